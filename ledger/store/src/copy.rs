//! A copy of a folder at one moment, made beside a node that runs.
//!
//! What stays true here:
//! - The copy stands at one height, whole: no height is committed while the database is taken and the bundle files are listed, so
//!   every bundle that a row orders is among the files.
//! - It holds no guard: guards lie with their keys (B-9), and a copy of one would be older than what its key has signed.
//! - It shares the unchanging files with the original (hard links), so it takes no room and lies on the same file system. It is
//!   there to be read and thrown away; who opens it as a ledger copies it first.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use ledger_types::Height;

use crate::bundles::{self, AckGuard};
use crate::error::OpenError;
use crate::folder;
use crate::private::PrivateStore;
use crate::store::{BUNDLES_FOLDER, STATE_FOLDER, Store, marker};

impl Store {
    /// The copy appears at `path` whole or not at all. Commits and acks wait meanwhile: some hundred milliseconds.
    pub fn copy_to(&self, path: &Path) -> Result<Height, OpenError> {
        // The copy has the hashes of states, not their rows: none may be missing. While one is computed commits go on.
        let _no_commit = loop {
            self.hashing.wait();
            let no_commit = self.committing.lock().expect("no thread panics while it commits");
            if self.hashing.offers().are_hashed()? {
                break no_commit;
            }
        };
        folder::create(path, &marker(self.rules()), |building| {
            self.shared.database.copy_to(&building.join(STATE_FOLDER))?;
            self.bundles.copy_to(&building.join(BUNDLES_FOLDER))
        })?;
        Ok(self.tip().ledger.height)
    }
}

impl PrivateStore {
    /// The copy appears at `path` whole or not at all.
    pub fn copy_to(&self, path: &Path) -> Result<(), OpenError> {
        folder::create(path, &self.marker, |building| self.database.copy_to(&building.join("rows")))
    }
}

/// For a ledger's folder that was put back from a copy, beside a guard that has gone on: what is acked and whose bundle the copy
/// does not hold is no loss of this folder (see `bundles::recover`).
pub fn note_earlier_acks(ledger: &Path, guard: &AckGuard) -> Result<(), OpenError> {
    bundles::note_earlier_acks(&ledger.join(BUNDLES_FOLDER), guard)
}

/// The first `bytes` of a file that grows, synced.
pub(crate) fn copy_beginning(from: &Path, to: &Path, bytes: u64) -> io::Result<()> {
    let mut copy = File::create_new(to)?;
    io::copy(&mut File::open(from)?.take(bytes), &mut copy)?;
    copy.sync_all()
}
