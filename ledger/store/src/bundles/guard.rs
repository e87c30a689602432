//! The ack guard: one bundle a slot (B-3, B-9).
//!
//! What stays true here: an ack that left this node is in this file, and no damage to the file passes for "never acked". A
//! line stands twice, so one flipped bit is repaired from the other; a pair of which neither is whole is damage if any
//! line says that the file had been on disk beyond it, else a write that never returned.
//!
//! ```text
//! head   "ASSAYACK" ‖ version u32 ‖ zero[4] ‖ chain[32] ‖ checksum[16]                            64 bytes
//! line   "AK" ‖ submitter u16 ‖ incarnation u32 ‖ sequence u64 ‖ digest[32] ‖ synced u32 ‖ checksum[12]
//!                                                                                       64 bytes, each twice: a pair
//!        synced      so many pairs were on disk before this one was written, or in a file written anew before it was named
//! ```
//! Integers little-endian; checksum = BLAKE3(chain ‖ all before it in the head or line), cut to its length.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use ledger_types::bundle::Slot;
use ledger_types::encoding::{Decode, Encode};
use ledger_types::{BundleDigest, GenesisHash, layout};

use crate::error::{OpenError, StoreError};
use crate::folder::sync_folder;

const MAGIC: &[u8; 8] = b"ASSAYACK";
const VERSION: u32 = 1;
const LINE_MAGIC: &[u8; 2] = b"AK";
const HEAD_BYTES: usize = 64;
const LINE_BYTES: usize = 64;
const PAIR_BYTES: usize = 2 * LINE_BYTES;
const CHECKSUM_BYTES: usize = 12;
/// The file is written anew when more pairs than this, and more than half, are of slots that are gone.
const GONE_PAIRS_MAX: usize = 1_024;

pub(super) struct AckGuard {
    path: PathBuf,
    chain: GenesisHash,
    file: File,
    /// Where the next pair goes.
    end: u64,
    acked: BTreeMap<Slot, BundleDigest>,
    /// After a failed write it is unknown what the file says.
    failed: bool,
}

fn checksum<const N: usize>(chain: &GenesisHash, bytes: &[u8]) -> [u8; N] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&chain.0).update(bytes);
    *hasher.finalize().as_bytes().first_chunk().expect("N is 12 or 16, of 32 bytes")
}

fn head(chain: &GenesisHash) -> Vec<u8> {
    let mut bytes = [&MAGIC[..], &VERSION.to_le_bytes(), &[0; 4], &chain.0].concat();
    let sum: [u8; 16] = checksum(chain, &bytes);
    bytes.extend_from_slice(&sum);
    bytes
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Line {
    slot: Slot,
    digest: BundleDigest,
    synced_pairs: u32,
}
layout!(Line { slot, digest, synced_pairs });

impl Line {
    fn write_pair(&self, chain: &GenesisHash, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(LINE_MAGIC);
        self.encode(out);
        let sum: [u8; CHECKSUM_BYTES] = checksum(chain, &out[start..]);
        out.extend_from_slice(&sum);
        out.extend_from_within(start..);
    }

    fn read(chain: &GenesisHash, bytes: &[u8]) -> Option<Self> {
        let (fields, sum) = bytes.first_chunk::<LINE_BYTES>()?.split_at(LINE_BYTES - CHECKSUM_BYTES);
        let sum_fits = checksum::<CHECKSUM_BYTES>(chain, fields) == *sum;
        Line::from_bytes(fields.strip_prefix(LINE_MAGIC)?).ok().filter(|_| sum_fits)
    }
}

enum Pair {
    Whole(Line),
    OneLine(Line),
    Contradiction,
    Neither,
}

impl Pair {
    fn read(chain: &GenesisHash, bytes: &[u8]) -> Self {
        let second = bytes.get(LINE_BYTES..).and_then(|bytes| Line::read(chain, bytes));
        match (Line::read(chain, bytes), second) {
            (Some(a), Some(b)) if a == b => Pair::Whole(a),
            (Some(_), Some(_)) => Pair::Contradiction,
            (Some(line), None) | (None, Some(line)) => Pair::OneLine(line),
            (None, None) => Pair::Neither,
        }
    }
}

impl AckGuard {
    /// For a folder that is being created; never for one that is opened (B-9).
    pub fn create(path: &Path, chain: GenesisHash) -> Result<(), OpenError> {
        let written = File::create_new(path).and_then(|mut file| {
            file.write_all(&head(&chain))?;
            file.sync_all()
        });
        written.map_err(OpenError::io(path, "the ack guard cannot be created"))
    }

    pub fn open(path: &Path, chain: GenesisHash) -> Result<Self, OpenError> {
        let bytes = match fs::read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(OpenError::GuardMissing { path: path.to_owned() });
            }
            read => read.map_err(OpenError::io(path, "the ack guard cannot be read"))?,
        };
        let damaged = |offset: usize| OpenError::GuardDamaged { path: path.to_owned(), offset: offset as u64 };
        let pairs = bytes.strip_prefix(&head(&chain)[..]).ok_or_else(|| damaged(0))?;

        let lines = pairs.chunks(LINE_BYTES).filter_map(|bytes| Line::read(&chain, bytes));
        let promised = lines.map(|line| line.synced_pairs as usize).max().unwrap_or(0);
        let mut acked = BTreeMap::new();
        let mut clean = true;
        for (number, bytes) in pairs.chunks(PAIR_BYTES).enumerate() {
            let damaged = || damaged(HEAD_BYTES + number * PAIR_BYTES);
            let line = match Pair::read(&chain, bytes) {
                Pair::Whole(line) => line,
                Pair::OneLine(line) => {
                    clean = false;
                    line
                }
                Pair::Contradiction => return Err(damaged()),
                Pair::Neither if number < promised => return Err(damaged()),
                Pair::Neither => {
                    clean = false;
                    break;
                }
            };
            if acked.insert(line.slot, line.digest).is_some_and(|before| before != line.digest) {
                return Err(damaged());
            }
        }
        if pairs.len() < promised * PAIR_BYTES {
            return Err(damaged(bytes.len()));
        }
        let failed = OpenError::io(path, "the ack guard cannot be opened");
        let file = OpenOptions::new().read(true).write(true).open(path).map_err(failed)?;
        let end = bytes.len() as u64;
        // What a killed process had written may stand in the page cache alone; from here on it is taken for guarded.
        file.sync_all().map_err(OpenError::io(path, "the ack guard cannot be synced"))?;
        let mut guard = AckGuard { path: path.to_owned(), chain, file, end, acked, failed: false };
        if !clean {
            tracing::warn!(file = %path.display(), "the ack guard's end was torn or one of its lines was damaged; it is written anew");
            guard.rewrite()?;
        }
        Ok(guard)
    }

    pub fn acked(&self, slot: &Slot) -> Option<BundleDigest> {
        self.acked.get(slot).copied()
    }

    pub fn iter(&self) -> impl Iterator<Item = (&Slot, &BundleDigest)> {
        self.acked.iter()
    }

    /// Guards acks of slots that are free. On disk when it returns: one write, one sync.
    pub fn append(&mut self, acks: &BTreeMap<Slot, BundleDigest>) -> Result<(), StoreError> {
        if self.failed {
            return Err(StoreError::Stopped);
        }
        if acks.is_empty() {
            return Ok(());
        }
        let mut bytes = Vec::with_capacity(acks.len() * PAIR_BYTES);
        let synced_pairs = self.pairs() as u32;
        for (slot, digest) in acks {
            debug_assert!(!self.acked.contains_key(slot));
            Line { slot: *slot, digest: *digest, synced_pairs }.write_pair(&self.chain, &mut bytes);
        }
        let written = self.file.write_all_at(&bytes, self.end).and_then(|()| self.file.sync_data());
        if let Err(error) = written {
            self.failed = true;
            return Err(StoreError::write(self.path.display().to_string(), error));
        }
        self.end += bytes.len() as u64;
        self.acked.extend(acks);
        Ok(())
    }

    /// Forgets slots that no block can hold any more.
    pub fn collect(&mut self, is_open: impl Fn(&Slot) -> bool) -> Result<(), StoreError> {
        if self.failed {
            return Err(StoreError::Stopped);
        }
        self.acked.retain(|slot, _| is_open(slot));
        let gone = self.pairs() - self.acked.len();
        if gone > GONE_PAIRS_MAX && gone > self.acked.len() {
            self.rewrite().map_err(|error| {
                self.failed = true;
                StoreError::write(self.path.display().to_string(), io::Error::other(error.to_string()))
            })?;
        }
        Ok(())
    }

    fn pairs(&self) -> usize {
        (self.end as usize - HEAD_BYTES) / PAIR_BYTES
    }

    /// Puts a new file in the old one's place. A crash leaves either of them whole.
    fn rewrite(&mut self) -> Result<(), OpenError> {
        let building = self.path.with_extension("building");
        let failed = |what| OpenError::io(&self.path, what);
        let mut bytes = head(&self.chain);
        // The file is on disk whole before it gets its name.
        let synced_pairs = self.acked.len() as u32;
        for (slot, digest) in &self.acked {
            Line { slot: *slot, digest: *digest, synced_pairs }.write_pair(&self.chain, &mut bytes);
        }
        let written =
            OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&building).and_then(|file| {
                file.write_all_at(&bytes, 0)?;
                file.sync_all()?;
                fs::rename(&building, &self.path)?;
                Ok(file)
            });
        self.file = written.map_err(failed("the ack guard cannot be written anew"))?;
        self.end = bytes.len() as u64;
        sync_folder(self.path.parent().expect("the guard stands in a folder"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ledger_types::ParticipantNumber;

    const CHAIN: GenesisHash = GenesisHash([5; 32]);

    fn slot(sequence: u64) -> Slot {
        Slot { submitter: ParticipantNumber(3), incarnation: 1, sequence }
    }

    fn digest(byte: u8) -> BundleDigest {
        BundleDigest([byte; 32])
    }

    fn guard_with(count: u8) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("acks");
        AckGuard::create(&path, CHAIN).unwrap();
        let mut guard = AckGuard::open(&path, CHAIN).unwrap();
        for number in 0..count {
            guard.append(&BTreeMap::from([(slot(number.into()), digest(number))])).unwrap();
        }
        (folder, path)
    }

    fn acked(path: &Path) -> Result<Vec<BundleDigest>, OpenError> {
        AckGuard::open(path, CHAIN).map(|guard| guard.iter().map(|(_, digest)| *digest).collect())
    }

    #[test]
    fn acks_are_found_again_after_a_restart() {
        let (_folder, path) = guard_with(3);
        assert_eq!(acked(&path).unwrap(), vec![digest(0), digest(1), digest(2)]);
        assert_eq!(fs::metadata(&path).unwrap().len(), 64 + 3 * 128);
    }

    #[test]
    fn the_bytes_of_the_guard_file_are_fixed() {
        let (_folder, path) = guard_with(1);
        let bytes = fs::read(&path).unwrap();
        let text = "4153534159 41434b 01000000 00000000".replace(' ', "") + &"05".repeat(32);
        assert_eq!(hex::encode(&bytes[..48]), text);
        assert_eq!(hex::encode(&bytes[64..112]), "414b030001000000".to_owned() + &"00".repeat(8) + &"00".repeat(32));
        assert_eq!(bytes[64..128], bytes[128..192]);
        assert_eq!(
            hex::encode(blake3::hash(&bytes).as_bytes()),
            "5762b63d52e7fd2aa547ea0ef649fc9fb42d35c48924e3471dfe04836183799d"
        );
    }

    /// A lost guard line is a slot in which this node could ack twice (B-3).
    #[test]
    fn a_flipped_bit_in_any_byte_is_repaired_or_refused() {
        let (_folder, path) = guard_with(3);
        let good = fs::read(&path).unwrap();
        let all = acked(&path).unwrap();
        for bit in (0..good.len()).map(|byte| 8 * byte + byte % 8) {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            fs::write(&path, &bad).unwrap();
            match acked(&path) {
                Ok(found) => {
                    assert_eq!(found, all, "bit {bit}");
                    assert_eq!(acked(&path).unwrap(), all, "bit {bit} is repaired on disk");
                    assert_ne!(fs::read(&path).unwrap(), bad, "bit {bit} is repaired on disk");
                }
                Err(OpenError::GuardDamaged { .. }) => assert!(bit < HEAD_BYTES * 8, "bit {bit}"),
                Err(other) => panic!("bit {bit}: {other}"),
            }
        }
    }

    #[test]
    fn a_torn_end_loses_only_what_was_never_acked() {
        let (_folder, path) = guard_with(3);
        let good = fs::read(&path).unwrap();
        for length in HEAD_BYTES..good.len() {
            fs::write(&path, &good[..length]).unwrap();
            let whole_pairs = (length - HEAD_BYTES) / PAIR_BYTES;
            let found = acked(&path).unwrap();
            assert!(found.len() >= whole_pairs && found.len() <= whole_pairs + 1, "length {length}");
            assert_eq!(acked(&path).unwrap(), found, "what it is cut to stays");
        }
    }

    #[test]
    fn a_pair_that_is_lost_in_the_middle_is_refused() {
        let (_folder, path) = guard_with(3);
        let mut bytes = fs::read(&path).unwrap();
        bytes[HEAD_BYTES + PAIR_BYTES + 9] ^= 1;
        bytes[HEAD_BYTES + PAIR_BYTES + LINE_BYTES + 9] ^= 2;
        fs::write(&path, &bytes).unwrap();
        assert!(matches!(acked(&path), Err(OpenError::GuardDamaged { offset: 192, .. })));
    }

    /// A power cut may write the later pages of a batch and not the earlier ones.
    #[test]
    fn a_batch_that_never_returned_may_have_a_hole() {
        let (_folder, path) = guard_with(1);
        let mut guard = AckGuard::open(&path, CHAIN).unwrap();
        guard.append(&(10..50).map(|number| (slot(number), digest(1))).collect()).unwrap();
        let mut bytes = fs::read(&path).unwrap();
        bytes[HEAD_BYTES + PAIR_BYTES..HEAD_BYTES + 3 * PAIR_BYTES].fill(0);
        fs::write(&path, &bytes).unwrap();
        assert_eq!(acked(&path).unwrap(), vec![digest(0)]);
    }

    /// A file that was written anew is on disk whole, its last pair too.
    #[test]
    fn a_pair_that_is_lost_from_a_file_written_anew_is_refused_wherever_it_stood() {
        let (_folder, path) = guard_with(3);
        let mut bytes = fs::read(&path).unwrap();
        bytes[HEAD_BYTES + 9] ^= 1;
        fs::write(&path, &bytes).unwrap();
        assert_eq!(acked(&path).unwrap().len(), 3);
        let anew = fs::read(&path).unwrap();
        for number in 0..3 {
            let mut bytes = anew.clone();
            bytes[HEAD_BYTES + number * PAIR_BYTES + 9] ^= 1;
            bytes[HEAD_BYTES + number * PAIR_BYTES + LINE_BYTES + 9] ^= 2;
            fs::write(&path, &bytes).unwrap();
            assert!(matches!(acked(&path), Err(OpenError::GuardDamaged { .. })), "pair {number}");
            fs::write(&path, &anew[..HEAD_BYTES + number * PAIR_BYTES + 1]).unwrap();
            let lost = acked(&path);
            assert!(number == 0 || matches!(lost, Err(OpenError::GuardDamaged { .. })), "cut at pair {number}");
        }
    }

    #[test]
    fn a_guard_of_another_chain_or_none_is_refused() {
        let (_folder, path) = guard_with(1);
        assert!(matches!(AckGuard::open(&path, GenesisHash([6; 32])), Err(OpenError::GuardDamaged { offset: 0, .. })));
        fs::remove_file(&path).unwrap();
        assert!(matches!(acked(&path), Err(OpenError::GuardMissing { .. })));
    }

    #[test]
    fn the_file_shrinks_when_most_of_its_slots_are_gone() {
        let (_folder, path) = guard_with(0);
        let mut guard = AckGuard::open(&path, CHAIN).unwrap();
        let many: BTreeMap<_, _> = (0..2_000).map(|number| (slot(number), digest(1))).collect();
        guard.append(&many).unwrap();
        guard.collect(|slot| slot.sequence >= 1_990).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().len(), 64 + 10 * 128);
        guard.append(&BTreeMap::from([(slot(2_000), digest(2))])).unwrap();
        assert_eq!(acked(&path).unwrap().len(), 11);
    }
}
