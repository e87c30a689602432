//! What a checkpoint key has signed (B-9): a size never shrinks, and one size never has two roots.
//!
//! The file is replaced whole by an atomic rename, synced before the signature leaves. It is created with its key and never by
//! a running node: a node whose guard is gone does not sign. One that was made anew signs nothing before a block that was
//! proposed after that: the log is then at least as long as anything that the key has signed.
//!
//! ```text
//! "ASSAYCKP" ‖ version u8 = 1 ‖ size u64 ‖ root[32] ‖ renewed_ms u64 (0: made with its key) ‖ BLAKE3 of all before it[32]
//! ```

use ledger_types::block::RENEWAL_MARGIN_MS;
use ledger_types::{Decode, Encode, TreeRoot, layout};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

#[derive(Debug, thiserror::Error)]
pub enum GuardError {
    #[error("the checkpoint guard {path} is missing")]
    Missing { path: PathBuf },
    #[error("the checkpoint guard {path} is damaged, or of another version")]
    Damaged { path: PathBuf },
    #[error("the checkpoint guard {0} exists already")]
    Exists(PathBuf),
    #[error("cannot read or write the checkpoint guard {path}: {source}")]
    Io { path: PathBuf, source: std::io::Error },
    #[error(
        "refusing to sign size {size} with root {root}: size {signed_size} with root {signed_root} was signed before"
    )]
    Conflict { size: u64, root: TreeRoot, signed_size: u64, signed_root: TreeRoot },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Signed {
    magic: [u8; 8],
    version: u8,
    size: u64,
    root: TreeRoot,
    renewed_ms: u64,
}
layout!(Signed { magic, version, size, root, renewed_ms });

const MAGIC: [u8; 8] = *b"ASSAYCKP";
const VERSION: u8 = 1;

#[derive(Debug)]
pub struct CheckpointGuard {
    path: PathBuf,
    signed: Signed,
}

impl CheckpointGuard {
    /// With its key, that has signed nothing.
    pub fn create(path: &Path) -> Result<(), GuardError> {
        Self::make(path, 0)
    }

    /// In place of one that is lost: what the key signed before `now_ms` is unknown.
    pub fn renew(path: &Path, now_ms: u64) -> Result<(), GuardError> {
        Self::make(path, now_ms.max(1))
    }

    fn make(path: &Path, renewed_ms: u64) -> Result<(), GuardError> {
        if path.exists() {
            return Err(GuardError::Exists(path.to_owned()));
        }
        write(path, &Signed { magic: MAGIC, version: VERSION, size: 0, root: TreeRoot::ZERO, renewed_ms })
    }

    pub fn open(path: &Path) -> Result<Self, GuardError> {
        let damaged = || GuardError::Damaged { path: path.to_owned() };
        let bytes = fs::read(path).map_err(|source| match source.kind() {
            std::io::ErrorKind::NotFound => GuardError::Missing { path: path.to_owned() },
            _ => GuardError::Io { path: path.to_owned(), source },
        })?;
        let (body, checksum) = bytes.split_last_chunk::<32>().ok_or_else(damaged)?;
        if blake3::hash(body) != *checksum {
            return Err(damaged());
        }
        let signed = Signed::from_bytes(body).map_err(|_| damaged())?;
        if signed.magic != MAGIC || signed.version != VERSION {
            return Err(damaged());
        }
        Ok(CheckpointGuard { path: path.to_owned(), signed })
    }

    /// Whether a larger size than this was signed, or may have been: a node that lost its disk and follows the chain anew passes
    /// such sizes and keeps silent until it is where it was. `block_time_ms` is the tip's.
    pub fn is_silent_at(&self, size: u64, block_time_ms: u64) -> bool {
        let renewed_ms = self.signed.renewed_ms;
        self.signed.size > size || (renewed_ms > 0 && block_time_ms <= renewed_ms + RENEWAL_MARGIN_MS)
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
        let signed = Signed { size, root, ..before };
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
        assert!(guard.is_silent_at(4, 0) && !guard.is_silent_at(5, 0));
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
            assert!(matches!(CheckpointGuard::open(&path), Err(GuardError::Damaged { .. })), "damage is not absence");
        }
    }

    #[test]
    fn a_renewed_guard_is_silent_until_a_block_that_is_later_than_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.guard");
        CheckpointGuard::renew(&path, 1_000_000).unwrap();
        assert!(matches!(CheckpointGuard::renew(&path, 1), Err(GuardError::Exists(_))));
        let mut guard = CheckpointGuard::open(&path).unwrap();
        assert!(guard.is_silent_at(u64::MAX, 1_000_000 + RENEWAL_MARGIN_MS));
        assert!(!guard.is_silent_at(0, 1_000_001 + RENEWAL_MARGIN_MS));
        guard.allow(7, TreeRoot([1; 32])).unwrap();
        let guard = CheckpointGuard::open(&path).unwrap();
        assert!(guard.is_silent_at(7, 1_000_000) && !guard.is_silent_at(7, 2_000_000));
    }

    #[test]
    fn the_bytes_of_the_guard_file_are_fixed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cosign.guard");
        CheckpointGuard::renew(&path, 258).unwrap();
        CheckpointGuard::open(&path).unwrap().allow(5, TreeRoot([7; 32])).unwrap();
        let bytes = fs::read(&path).unwrap();
        let body = "4153534159434b50010500000000000000".to_owned() + &"07".repeat(32) + "0201000000000000";
        assert_eq!(hex::encode(&bytes[..57]), body);
        assert_eq!(bytes[57..], *blake3::hash(&bytes[..57]).as_bytes());
    }
}
