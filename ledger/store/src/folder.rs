//! A folder that says what it is.
//!
//! What stays true here:
//! - A folder exists whole or not at all: it is built beside its place, synced, and renamed into it. What a broken build left
//!   is removed by the next one.
//! - Its file `FORMAT` names purpose, format version and chain, for programs and people alike, and is compared before anything
//!   else is opened.
//!
//! ```text
//! assay ledger
//! format 1
//! chain 5f…e2
//! ```

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use ledger_types::GenesisHash;

use crate::error::OpenError;

const FORMAT_FILE: &str = "FORMAT";

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Marker {
    /// One line, without the leading "assay ".
    pub purpose: String,
    pub version: u32,
    pub chain: GenesisHash,
}

impl Marker {
    fn text(&self) -> String {
        format!("assay {}\nformat {}\nchain {}\n", self.purpose, self.version, self.chain)
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.split('\n');
        let purpose = lines.next()?.strip_prefix("assay ")?.to_owned();
        let version = lines.next()?.strip_prefix("format ")?.parse().ok()?;
        let chain = GenesisHash::from_hex(lines.next()?.strip_prefix("chain ")?)?;
        Some(Marker { purpose, version, chain }).filter(|marker| marker.text() == text)
    }
}

/// Whether something was created at `path`.
pub(crate) fn exists(path: &Path) -> Result<bool, OpenError> {
    match fs::read_dir(path) {
        Ok(mut entries) => Ok(entries.next().is_some()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(OpenError::io(path, "the folder cannot be read")(error)),
    }
}

/// Refuses a folder of another format, purpose or chain.
pub(crate) fn check(path: &Path, expected: &Marker) -> Result<(), OpenError> {
    let unmarked = || OpenError::Unmarked { path: path.to_owned() };
    let text = match fs::read(path.join(FORMAT_FILE)) {
        Ok(bytes) => String::from_utf8(bytes).map_err(|_| unmarked())?,
        Err(error) if error.kind() == ErrorKind::NotFound => return Err(unmarked()),
        Err(error) => return Err(OpenError::io(path, "the file FORMAT cannot be read")(error)),
    };
    let found = Marker::parse(&text).ok_or_else(unmarked)?;
    if found.purpose != expected.purpose {
        return Err(OpenError::OtherPurpose {
            path: path.to_owned(),
            found: found.purpose,
            expected: expected.purpose.clone(),
        });
    }
    if found.version != expected.version {
        return Err(OpenError::UnknownVersion { path: path.to_owned(), found: found.version, known: expected.version });
    }
    if found.chain != expected.chain {
        return Err(OpenError::OtherGenesis { path: path.to_owned(), found: found.chain, expected: expected.chain });
    }
    Ok(())
}

/// Creates the folder with what `build` puts into it. `build` syncs its own files.
pub(crate) fn create<E: From<OpenError>>(
    path: &Path,
    marker: &Marker,
    build: impl FnOnce(&Path) -> Result<(), E>,
) -> Result<(), E> {
    let building = beside(path);
    let failed = |what| OpenError::io(&building, what);
    match fs::remove_dir_all(&building) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            return Err(failed("a broken build cannot be removed")(error).into());
        }
        _ => {}
    }
    fs::create_dir_all(&building).map_err(failed("the folder cannot be created"))?;
    build(&building)?;
    let mut file = File::create_new(building.join(FORMAT_FILE)).map_err(failed("the file FORMAT cannot be written"))?;
    file.write_all(marker.text().as_bytes()).map_err(failed("the file FORMAT cannot be written"))?;
    file.sync_all().map_err(failed("the file FORMAT cannot be synced"))?;
    sync_folder(&building)?;
    // Onto nothing, or onto an empty folder; onto anything else it fails.
    fs::rename(&building, path).map_err(OpenError::io(path, "the built folder cannot be renamed into its place"))?;
    Ok(sync_folder(parent_of(path))?)
}

/// Makes the folder's entries durable.
pub(crate) fn sync_folder(path: &Path) -> Result<(), OpenError> {
    let synced = File::open(path).and_then(|folder| folder.sync_all());
    synced.map_err(OpenError::io(path, "the folder cannot be synced"))
}

pub(crate) fn parent_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

fn beside(path: &Path) -> PathBuf {
    let mut name = path.file_name().map_or_else(|| OsString::from("ledger"), OsString::from);
    name.push(".building");
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marker() -> Marker {
        Marker { purpose: "ledger".into(), version: 3, chain: GenesisHash([7; 32]) }
    }

    fn created(folder: &tempfile::TempDir) -> PathBuf {
        let path = folder.path().join("state");
        create::<OpenError>(&path, &marker(), |building| {
            fs::write(building.join("row"), b"x").unwrap();
            Ok(())
        })
        .unwrap();
        path
    }

    #[test]
    fn a_folder_is_there_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        let broken = create::<OpenError>(&path, &marker(), |building| {
            fs::write(building.join("half"), b"x").unwrap();
            Err(OpenError::Unmarked { path: building.to_owned() })
        });
        assert!(broken.is_err() && !exists(&path).unwrap());
        let path = created(&folder);
        assert!(exists(&path).unwrap() && !path.join("half").exists());
        check(&path, &marker()).unwrap();
    }

    #[test]
    fn another_version_purpose_or_chain_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = created(&folder);
        let refusal = |expected: Marker| check(&path, &expected).unwrap_err();
        assert!(matches!(
            refusal(Marker { version: 2, ..marker() }),
            OpenError::UnknownVersion { found: 3, known: 2, .. }
        ));
        assert!(matches!(refusal(Marker { purpose: "desk".into(), ..marker() }), OpenError::OtherPurpose { .. }));
        assert!(matches!(refusal(Marker { chain: GenesisHash([8; 32]), ..marker() }), OpenError::OtherGenesis { .. }));
    }

    #[test]
    fn every_flipped_bit_of_the_format_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = created(&folder);
        let file = path.join(FORMAT_FILE);
        let good = fs::read(&file).unwrap();
        assert_eq!(String::from_utf8_lossy(&good), format!("assay ledger\nformat 3\nchain {}\n", "07".repeat(32)));
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            fs::write(&file, &bad).unwrap();
            assert!(check(&path, &marker()).is_err(), "bit {bit}");
        }
        fs::remove_file(&file).unwrap();
        assert!(matches!(check(&path, &marker()), Err(OpenError::Unmarked { .. })));
    }
}
