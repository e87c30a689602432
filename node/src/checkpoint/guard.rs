//! What a checkpoint key has signed (B-9): a size never shrinks, and one size never has two roots.
//!
//! The file is replaced whole by an atomic rename, synced before the signature leaves. It is created with its key and never by
//! a running node: a node whose guard is gone does not sign.

use ledger_types::{Decode, Encode, TreeRoot, layout};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

#[derive(Debug, thiserror::Error)]
pub enum GuardError {
    #[error("the checkpoint guard {path} is missing or damaged: restore the key's own guard, or rotate the key")]
    Missing { path: PathBuf },
    #[error("the checkpoint guard {0} exists already")]
    Exists(PathBuf),
    #[error("cannot write the checkpoint guard {path}: {source}")]
    Io { path: PathBuf, source: std::io::Error },
    #[error(
        "refusing to sign size {size} with root {root}: size {signed_size} with root {signed_root} was signed before"
    )]
    Conflict { size: u64, root: TreeRoot, signed_size: u64, signed_root: TreeRoot },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Signed {
    size: u64,
    root: TreeRoot,
}
layout!(Signed { size, root });

#[derive(Debug)]
pub struct CheckpointGuard {
    path: PathBuf,
    signed: Signed,
}

impl CheckpointGuard {
    pub fn create(path: &Path) -> Result<(), GuardError> {
        if path.exists() {
            return Err(GuardError::Exists(path.to_owned()));
        }
        write(path, &Signed { size: 0, root: TreeRoot::ZERO })
    }

    pub fn open(path: &Path) -> Result<Self, GuardError> {
        let missing = || GuardError::Missing { path: path.to_owned() };
        let bytes = fs::read(path).map_err(|_| missing())?;
        let (body, checksum) = bytes.split_last_chunk::<32>().ok_or_else(missing)?;
        if blake3::hash(body) != *checksum {
            return Err(missing());
        }
        let signed = Signed::from_bytes(body).map_err(|_| missing())?;
        Ok(CheckpointGuard { path: path.to_owned(), signed })
    }

    /// Whether a larger size than this was signed. A node that lost its disk and follows the chain anew passes such sizes: it
    /// keeps silent until it is where it was.
    pub fn is_ahead_of(&self, size: u64) -> bool {
        self.signed.size > size
    }

    /// Returns when the permission to sign is durable. The same size and root may be signed again, with a newer time.
    pub fn allow(&mut self, size: u64, root: TreeRoot) -> Result<(), GuardError> {
        let before = self.signed;
        if size == before.size && root == before.root {
            return Ok(());
        }
        if size <= before.size {
            let (signed_size, signed_root) = (before.size, before.root);
            return Err(GuardError::Conflict { size, root, signed_size, signed_root });
        }
        let signed = Signed { size, root };
        write(&self.path, &signed)?;
        self.signed = signed;
        Ok(())
    }
}

fn write(path: &Path, signed: &Signed) -> Result<(), GuardError> {
    let io = |source| GuardError::Io { path: path.to_owned(), source };
    let mut bytes = signed.to_bytes();
    bytes.extend_from_slice(blake3::hash(&bytes).as_bytes());
    let temporary = path.with_extension("new");
    let mut file = fs::File::create(&temporary).map_err(io)?;
    file.write_all(&bytes).map_err(io)?;
    file.sync_all().map_err(io)?;
    fs::rename(&temporary, path).map_err(io)?;
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(io)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_smaller_size_or_another_root_is_never_signed_b9() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cosign.guard");
        assert!(matches!(CheckpointGuard::open(&path), Err(GuardError::Missing { .. })), "no node creates a guard");
        CheckpointGuard::create(&path).unwrap();
        assert!(matches!(CheckpointGuard::create(&path), Err(GuardError::Exists(_))));
        let mut guard = CheckpointGuard::open(&path).unwrap();
        guard.allow(5, TreeRoot([1; 32])).unwrap();
        guard.allow(5, TreeRoot([1; 32])).unwrap();
        let mut guard = CheckpointGuard::open(&path).unwrap();
        assert!(matches!(guard.allow(5, TreeRoot([2; 32])), Err(GuardError::Conflict { .. })));
        assert!(matches!(guard.allow(4, TreeRoot([1; 32])), Err(GuardError::Conflict { .. })));
        assert!(guard.is_ahead_of(4) && !guard.is_ahead_of(5));
        guard.allow(6, TreeRoot([2; 32])).unwrap();
    }

    #[test]
    fn a_damaged_guard_is_not_used() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.guard");
        CheckpointGuard::create(&path).unwrap();
        let good = fs::read(&path).unwrap();
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            fs::write(&path, &bad).unwrap();
            assert!(matches!(CheckpointGuard::open(&path), Err(GuardError::Missing { .. })));
        }
    }
}
