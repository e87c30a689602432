//! The writing end. A file's name appears only after its bytes are on disk, and is on disk itself when `write` returns.

use super::entry::Entry;
use super::file::{self, OutboxId, SpoolKey};
use super::{Failpoint, SpoolError};
use ledger_types::Chain;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

pub struct SpoolWriter {
    folder: PathBuf,
    key: SpoolKey,
    chain: Chain,
    id: OutboxId,
    failpoint: Failpoint,
}

impl SpoolWriter {
    /// Removes what a broken write left. There is one writer, so nobody else is writing such a file.
    pub fn open(
        folder: &Path,
        key: SpoolKey,
        chain: Chain,
        id: OutboxId,
        failpoint: Failpoint,
    ) -> Result<Self, SpoolError> {
        fs::create_dir_all(folder).map_err(SpoolError::io("create", folder))?;
        for item in fs::read_dir(folder).map_err(SpoolError::io("read", folder))? {
            let path = item.map_err(SpoolError::io("read", folder))?.path();
            if path.extension().is_some_and(|extension| extension == "tmp") {
                fs::remove_file(&path).map_err(SpoolError::io("remove", &path))?;
            }
        }
        Ok(SpoolWriter { folder: folder.to_owned(), key, chain, id, failpoint })
    }

    /// Returns when the file is on disk under its name. `entries` are one unit.
    pub fn write(&self, entries: &[Entry]) -> Result<(), SpoolError> {
        let Some(first) = entries.first().map(|entry| entry.sequence) else { return Ok(()) };
        let bytes = file::encode(&self.key, &self.chain, self.id, entries);
        let path = self.folder.join(file::file_name(first));
        let building = path.with_extension("tmp");
        // Readable by the group: the two processes run under separate users with a common one.
        let mut out = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o640)
            .open(&building)
            .map_err(SpoolError::io("create", &building))?;
        self.step("spool: file created")?;
        out.write_all(&bytes).map_err(SpoolError::io("write", &building))?;
        out.sync_all().map_err(SpoolError::io("sync", &building))?;
        self.step("spool: file synced")?;
        fs::rename(&building, &path).map_err(SpoolError::io("rename", &building))?;
        self.step("spool: file renamed")?;
        let folder = File::open(&self.folder).map_err(SpoolError::io("open", &self.folder))?;
        folder.sync_all().map_err(SpoolError::io("sync", &self.folder))
    }

    fn step(&self, name: &'static str) -> Result<(), SpoolError> {
        if (self.failpoint)(name) { Err(SpoolError::Failpoint(name)) } else { Ok(()) }
    }
}
