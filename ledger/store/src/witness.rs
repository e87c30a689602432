//! Up to where the rows had been durable.
//!
//! What stays true here: the number in the file was durable before it was written there. So rows that end below it were lost,
//! and rows that end above it are no fault. The file is written after every synced write and not synced itself, which costs a
//! microsecond: a killed process leaves it exact, a power cut at most too small.
//!
//! ```text
//! WITNESS   sequence number u64 ‖ checksum[8]      little-endian; checksum = BLAKE3(number)[..8]
//! ```

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::error::{OpenError, StoreError};

const FILE: &str = "WITNESS";

pub(crate) struct Witness {
    path: PathBuf,
    file: File,
    durable: Option<u64>,
}

fn bytes(number: u64) -> [u8; 16] {
    let number = number.to_le_bytes();
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&number);
    bytes[8..].copy_from_slice(&blake3::hash(&number).as_bytes()[..8]);
    bytes
}

impl Witness {
    pub fn create(folder: &Path) -> Result<Self, OpenError> {
        let path = folder.join(FILE);
        let failed = OpenError::io(&path, "the witness cannot be created");
        let file = File::create_new(&path).and_then(|file| {
            file.write_all_at(&bytes(0), 0)?;
            file.sync_all()?;
            Ok(file)
        });
        Ok(Witness { file: file.map_err(failed)?, path, durable: Some(0) })
    }

    pub fn open(folder: &Path) -> Result<Self, OpenError> {
        let path = folder.join(FILE);
        let failed = OpenError::io(&path, "the witness cannot be opened");
        let file = OpenOptions::new().read(true).write(true).open(&path).map_err(failed)?;
        let mut found = [0; 16];
        let number = file.read_exact_at(&mut found, 0).ok().map(|()| {
            let (number, _) = found.split_first_chunk().expect("eight of sixteen bytes");
            u64::from_le_bytes(*number)
        });
        let durable = number.filter(|number| bytes(*number) == found);
        if durable.is_none() {
            // One fault; it takes a second one, in the rows, to lose something unseen.
            tracing::warn!(file = %path.display(), "the witness is damaged and is written anew");
        }
        Ok(Witness { path, file, durable })
    }

    /// None: the file is damaged.
    pub fn durable(&self) -> Option<u64> {
        self.durable
    }

    pub fn write(&self, number: u64) -> Result<(), StoreError> {
        let written = self.file.write_all_at(&bytes(number), 0);
        written.map_err(|error| StoreError::write(self.path.display().to_string(), error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_is_found_again_and_a_flipped_bit_makes_it_none() {
        let folder = tempfile::tempdir().unwrap();
        Witness::create(folder.path()).unwrap().write(70_000).unwrap();
        assert_eq!(Witness::open(folder.path()).unwrap().durable(), Some(70_000));
        let path = folder.path().join(FILE);
        let good = std::fs::read(&path).unwrap();
        assert_eq!(hex::encode(&good[..8]), "7011010000000000");
        for bit in 0..128 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            std::fs::write(&path, bad).unwrap();
            assert_eq!(Witness::open(folder.path()).unwrap().durable(), None, "bit {bit}");
        }
        std::fs::write(&path, &good[..9]).unwrap();
        assert_eq!(Witness::open(folder.path()).unwrap().durable(), None);
    }
}
