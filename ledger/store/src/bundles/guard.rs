//! The ack guard: one bundle a slot (B-3, B-9). It lies beside its key and is made with it.
//!
//! What stays true here:
//! - An ack that left this node is in this file, and no damage to the file passes for "never acked". A line stands twice, so one
//!   flipped bit is repaired from the other; a pair of which neither is whole is damage if any line says that the file had
//!   been on disk beyond it, else a write that never returned.
//! - A guard that was made anew does not know what was acked before. It permits nothing until it has floors, and then only slots
//!   behind every window that was open before it was made.
//!
//! ```text
//! head   "ASSAYACK" ‖ version u32 ‖ renewed u32 ‖ chain[32] ‖ checksum[16]                        64 bytes
//! line   kind[2] ‖ submitter u16 ‖ incarnation u32 ‖ sequence u64 ‖ digest[32] ‖ synced u32 ‖ checksum[12]
//!                                                                                       64 bytes, each twice: a pair
//!        kind        "AK": the ack of a slot        "AF": a floor: where the lane stood when the renewed guard began; digest zero
//!        renewed     seconds since 1970 at which the guard was made anew; zero: it was made with its key
//!        synced      so many pairs were on disk before this one was written, or in a file written anew before it was named
//! ```
//! Integers little-endian; checksum = BLAKE3(chain ‖ all before it in the head or line), cut to its length.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use ledger_types::block::RENEWAL_MARGIN_MS;
use ledger_types::bundle::{LANE_DEPTH_MAX, Slot};
use ledger_types::encoding::{Decode, Encode};
use ledger_types::{BundleDigest, GenesisHash, ParticipantNumber, layout};

use crate::error::{OpenError, StoreError};
use crate::folder::{parent_of, sync_folder};

const MAGIC: &[u8; 8] = b"ASSAYACK";
/// 1 had no `renewed` and no floors, and lay within the ledger's folder.
const VERSION: u32 = 2;
const ACK: &[u8; 2] = b"AK";
const FLOOR: &[u8; 2] = b"AF";
const HEAD_BYTES: usize = 64;
const LINE_BYTES: usize = 64;
const PAIR_BYTES: usize = 2 * LINE_BYTES;
const CHECKSUM_BYTES: usize = 12;
/// The file is written anew when more pairs than this, and more than half, are of slots that are gone.
const GONE_PAIRS_MAX: usize = 1_024;

/// Incarnation and next sequence of a lane.
type Stand = (u32, u64);

#[derive(Debug)]
pub struct AckGuard {
    path: PathBuf,
    chain: GenesisHash,
    file: File,
    /// Where the next pair goes.
    end: u64,
    acked: BTreeMap<Slot, BundleDigest>,
    /// Seconds since 1970; zero: made with its key.
    renewed_s: u32,
    /// Where the lanes stood when the renewed guard began to permit; empty before.
    floors: BTreeMap<ParticipantNumber, Stand>,
    /// After a failed write it is unknown what the file says.
    failed: bool,
}

fn checksum<const N: usize>(chain: &GenesisHash, bytes: &[u8]) -> [u8; N] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&chain.0).update(bytes);
    *hasher.finalize().as_bytes().first_chunk().expect("N is 12 or 16, of 32 bytes")
}

fn head(chain: &GenesisHash, renewed_s: u32) -> Vec<u8> {
    let mut bytes = [&MAGIC[..], &VERSION.to_le_bytes(), &renewed_s.to_le_bytes(), &chain.0].concat();
    let sum: [u8; 16] = checksum(chain, &bytes);
    bytes.extend_from_slice(&sum);
    bytes
}

/// Version and `renewed` of a head that is whole and of this chain.
fn read_head(chain: &GenesisHash, bytes: &[u8]) -> Option<(u32, u32)> {
    let (fields, sum) = bytes.first_chunk::<HEAD_BYTES>()?.split_at(HEAD_BYTES - 16);
    let whole = fields.starts_with(MAGIC) && fields.ends_with(&chain.0) && checksum::<16>(chain, fields) == *sum;
    let number = |at: usize| u32::from_le_bytes(*fields[at..].first_chunk().expect("within the head"));
    whole.then(|| (number(8), number(12)))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Line {
    is_floor: bool,
    fields: Fields,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Fields {
    slot: Slot,
    digest: BundleDigest,
    synced_pairs: u32,
}
layout!(Fields { slot, digest, synced_pairs });

impl Line {
    fn ack(slot: Slot, digest: BundleDigest, synced_pairs: u32) -> Self {
        Line { is_floor: false, fields: Fields { slot, digest, synced_pairs } }
    }

    fn floor(submitter: ParticipantNumber, (incarnation, sequence): Stand, synced_pairs: u32) -> Self {
        let slot = Slot { submitter, incarnation, sequence };
        Line { is_floor: true, fields: Fields { slot, digest: BundleDigest::ZERO, synced_pairs } }
    }

    fn write_pair(&self, chain: &GenesisHash, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(if self.is_floor { FLOOR } else { ACK });
        self.fields.encode(out);
        let sum: [u8; CHECKSUM_BYTES] = checksum(chain, &out[start..]);
        out.extend_from_slice(&sum);
        out.extend_from_within(start..);
    }

    fn read(chain: &GenesisHash, bytes: &[u8]) -> Option<Self> {
        let (fields, sum) = bytes.first_chunk::<LINE_BYTES>()?.split_at(LINE_BYTES - CHECKSUM_BYTES);
        if checksum::<CHECKSUM_BYTES>(chain, fields) != *sum {
            return None;
        }
        let (is_floor, fields) = match fields.strip_prefix(FLOOR) {
            Some(fields) => (true, fields),
            None => (false, fields.strip_prefix(ACK)?),
        };
        Some(Line { is_floor, fields: Fields::from_bytes(fields).ok()? })
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
    /// With its key, that has acked nothing; never by a node that starts (B-9). Refuses to replace one.
    pub fn create(path: &Path, chain: GenesisHash) -> Result<(), OpenError> {
        Self::make(path, chain, 0)
    }

    /// In place of one that is lost: what the key acked before `now_ms` is unknown. Refuses to replace one.
    pub fn renew(path: &Path, chain: GenesisHash, now_ms: u64) -> Result<(), OpenError> {
        // The second that has not ended counts whole.
        Self::make(path, chain, u32::try_from(now_ms / 1_000 + 1).unwrap_or(u32::MAX))
    }

    fn make(path: &Path, chain: GenesisHash, renewed_s: u32) -> Result<(), OpenError> {
        let written = File::create_new(path).and_then(|mut file| {
            file.write_all(&head(&chain, renewed_s))?;
            file.sync_all()
        });
        written.map_err(OpenError::io(path, "the ack guard cannot be created"))?;
        sync_folder(parent_of(path))
    }

    pub fn open(path: &Path, chain: GenesisHash) -> Result<Self, OpenError> {
        let bytes = match fs::read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(OpenError::GuardMissing { path: path.to_owned() });
            }
            read => read.map_err(OpenError::io(path, "the ack guard cannot be read"))?,
        };
        let damaged = |offset: usize| OpenError::GuardDamaged { path: path.to_owned(), offset: offset as u64 };
        let (version, renewed_s) = read_head(&chain, &bytes).ok_or_else(|| damaged(0))?;
        if version != VERSION {
            return Err(OpenError::UnknownVersion { path: path.to_owned(), found: version, known: VERSION });
        }
        let pairs = &bytes[HEAD_BYTES..];

        let lines = pairs.chunks(LINE_BYTES).filter_map(|bytes| Line::read(&chain, bytes));
        let promised = lines.map(|line| line.fields.synced_pairs as usize).max().unwrap_or(0);
        let (mut acked, mut floors) = (BTreeMap::new(), BTreeMap::new());
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
            let Fields { slot, digest, .. } = line.fields;
            if line.is_floor {
                floors.insert(slot.submitter, (slot.incarnation, slot.sequence));
            } else if acked.insert(slot, digest).is_some_and(|before| before != digest) {
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
        let mut guard = AckGuard { path: path.to_owned(), chain, file, end, acked, renewed_s, floors, failed: false };
        if !clean {
            tracing::warn!(file = %path.display(), "the ack guard's end was torn or one of its lines was damaged; it is written anew");
            guard.rewrite()?;
        }
        Ok(guard)
    }

    /// B-9: whether an ack in a slot that holds none contradicts nothing that the key may have signed.
    ///
    /// A validator acks within two windows: the open incarnation's and the next one's. The floors are the lanes' stand at a
    /// height that began after the guard was lost: on any tip before it, no window reached further than these.
    pub fn permits(&self, slot: &Slot) -> bool {
        if self.renewed_s == 0 {
            return true;
        }
        if self.is_waiting() {
            return false;
        }
        // A lane that was opened later had no window before.
        let Some((incarnation, next)) = self.floors.get(&slot.submitter) else { return true };
        match slot.incarnation.checked_sub(*incarnation) {
            None => false,
            Some(0) => slot.sequence >= next.saturating_add(LANE_DEPTH_MAX),
            Some(1) => slot.sequence >= LANE_DEPTH_MAX,
            Some(_) => true,
        }
    }

    /// Made anew, and without floors yet: it permits nothing.
    pub fn is_waiting(&self) -> bool {
        self.renewed_s != 0 && self.floors.is_empty()
    }

    /// Whether a block of this time was proposed after the guard was made anew.
    pub fn is_older_than(&self, block_time_ms: u64) -> bool {
        block_time_ms > u64::from(self.renewed_s) * 1_000 + RENEWAL_MARGIN_MS
    }

    /// From now on slots behind these stands are permitted. On disk when it returns.
    pub fn set_floors(&mut self, floors: BTreeMap<ParticipantNumber, (u32, u64)>) -> Result<(), StoreError> {
        if self.failed {
            return Err(StoreError::Stopped);
        }
        self.floors = floors;
        self.rewrite().map_err(|error| {
            self.failed = true;
            StoreError::write(self.path.display().to_string(), io::Error::other(error.to_string()))
        })
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
            Line::ack(*slot, *digest, synced_pairs).write_pair(&self.chain, &mut bytes);
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
        let kept = self.acked.len() + self.floors.len();
        let gone = self.pairs() - kept;
        if gone > GONE_PAIRS_MAX && gone > kept {
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
        let mut bytes = head(&self.chain, self.renewed_s);
        // The file is on disk whole before it gets its name.
        let synced_pairs = (self.floors.len() + self.acked.len()) as u32;
        for (submitter, stand) in &self.floors {
            Line::floor(*submitter, *stand, synced_pairs).write_pair(&self.chain, &mut bytes);
        }
        for (slot, digest) in &self.acked {
            Line::ack(*slot, *digest, synced_pairs).write_pair(&self.chain, &mut bytes);
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
        sync_folder(parent_of(&self.path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let text = "4153534159 41434b 02000000 00000000".replace(' ', "") + &"05".repeat(32);
        assert_eq!(hex::encode(&bytes[..48]), text);
        assert_eq!(hex::encode(&bytes[64..112]), "414b030001000000".to_owned() + &"00".repeat(8) + &"00".repeat(32));
        assert_eq!(bytes[64..128], bytes[128..192]);
        assert_eq!(
            hex::encode(blake3::hash(&bytes).as_bytes()),
            "0e9a9207c9e34411b77fed7924fbf5e0b0c0749d54673626869924ab05680e98"
        );
    }

    /// B-9: two certificates for one slot, if a validator that lost its disk could ack what it may have acked before.
    #[test]
    fn a_renewed_guard_permits_nothing_before_its_floors_and_then_only_slots_behind_them() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("acks");
        AckGuard::renew(&path, CHAIN, 1_700_000_000_500).unwrap();
        assert!(AckGuard::renew(&path, CHAIN, 0).is_err() && AckGuard::create(&path, CHAIN).is_err());
        let mut guard = AckGuard::open(&path, CHAIN).unwrap();
        let at = |incarnation, sequence| Slot { submitter: ParticipantNumber(3), incarnation, sequence };
        assert!(guard.is_waiting());
        assert!(!guard.permits(&at(0, 0)) && !guard.permits(&at(9, 999)));
        assert!(!guard.is_older_than(1_700_000_011_000) && guard.is_older_than(1_700_000_011_001));

        guard.set_floors(BTreeMap::from([(ParticipantNumber(3), (2, 40)), (ParticipantNumber(4), (0, 0))])).unwrap();
        for _ in 0..2 {
            let closed = [at(0, 500), at(1, 500), at(2, 0), at(2, 40), at(2, 47), at(3, 0), at(3, 7)];
            assert!(!guard.is_waiting());
            assert!(closed.iter().all(|slot| !guard.permits(slot)));
            assert!([at(2, 48), at(3, 8), at(4, 0)].iter().all(|slot| guard.permits(slot)));
            assert!(!guard.permits(&Slot { submitter: ParticipantNumber(4), incarnation: 0, sequence: 7 }));
            assert!(guard.permits(&Slot { submitter: ParticipantNumber(9), incarnation: 0, sequence: 0 }));
            // The same after a restart, with an ack behind the floors.
            guard = AckGuard::open(&path, CHAIN).unwrap();
            guard.append(&BTreeMap::from([(at(2, 48), digest(1))])).unwrap();
            guard = AckGuard::open(&path, CHAIN).unwrap();
            assert_eq!(guard.acked(&at(2, 48)), Some(digest(1)));
            guard.acked.clear();
        }
    }

    #[test]
    fn the_bytes_of_a_renewed_guard_are_fixed_and_every_flipped_bit_is_repaired_or_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("acks");
        AckGuard::renew(&path, CHAIN, 1_700_000_000_500).unwrap();
        let mut guard = AckGuard::open(&path, CHAIN).unwrap();
        guard.set_floors(BTreeMap::from([(ParticipantNumber(3), (2, 40))])).unwrap();
        let good = fs::read(&path).unwrap();
        let text = "4153534159 41434b 02000000 01f15365".replace(' ', "") + &"05".repeat(32);
        assert_eq!(hex::encode(&good[..48]), text);
        let line = "41460300020000002800000000000000".to_owned() + &"00".repeat(32) + "01000000";
        assert_eq!(hex::encode(&good[64..116]), line);
        assert_eq!((good.len(), &good[64..128]), (192, &good[128..192]));
        for bit in (0..good.len()).map(|byte| 8 * byte + byte % 8) {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            fs::write(&path, &bad).unwrap();
            match AckGuard::open(&path, CHAIN) {
                Ok(found) => assert_eq!(found.floors, guard.floors, "bit {bit}"),
                Err(OpenError::GuardDamaged { .. }) => assert!(bit < HEAD_BYTES * 8, "bit {bit}"),
                Err(other) => panic!("bit {bit}: {other}"),
            }
        }
        // Without its floors it permits nothing.
        fs::write(&path, &good[..HEAD_BYTES]).unwrap();
        assert!(AckGuard::open(&path, CHAIN).unwrap().is_waiting());
    }

    #[test]
    fn a_guard_of_the_first_version_is_refused_by_name() {
        let (_folder, path) = guard_with(0);
        let mut bytes = [&MAGIC[..], &1u32.to_le_bytes(), &[0; 4], &CHAIN.0].concat();
        let sum: [u8; 16] = checksum(&CHAIN, &bytes);
        bytes.extend_from_slice(&sum);
        fs::write(&path, &bytes).unwrap();
        assert!(matches!(acked(&path), Err(OpenError::UnknownVersion { found: 1, known: 2, .. })));
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
