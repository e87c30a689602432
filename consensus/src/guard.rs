//! The signing guard: the memory of what this validator's key last signed (B-9, trap 3).
//!
//! What must stay true:
//! - a signature is returned only after the record of it is synced to disk;
//! - positions (height, round, step) never go back, and one position gets one message: the same message gets the stored
//!   signature again, another message gets a refusal;
//! - a guard comes into being by [`SigningGuard::create`], beside its key, and never by starting a node;
//! - after one failed write nothing is signed any more: what is on disk is then unknown.
//!
//! ```text
//! file = slot 0 (at 0) ‖ slot 1 (at 4096)       the newer of two records is overwritten never, the older always
//! slot = record ‖ BLAKE3(record)                records count upwards by one: a gap means that a newer one was lost
//! ```
//! A slot that does not read back, or a gap, makes the guard *uncertain*: it still refuses what it knows of, and its holder
//! must not vote before the height in progress is decided by others. An interrupted write shows as an unreadable slot too;
//! that costs a needless height and never a double vote.
//!
//! A guard that was made anew keeps the time of that for ever: its key votes only on a block that was proposed afterwards, and so
//! in a height that it cannot have voted in before. What others say of that height is a claim; a block's time is not.
//!
//! Leaves to the caller: what to sign, and what the others remember ([`crate::engine::recall`]).

use crate::medium::Medium;
use ledger_types::block::RENEWAL_MARGIN_MS;
use ledger_types::keys::{PublicKey, Signature};
use ledger_types::{Chain, Decode, Encode, GenesisHash, Height, layout, numbered};
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

const MAGIC: [u8; 8] = *b"assaygrd";
/// 1 had no `renewed_ms`.
const VERSION: u8 = 2;
/// Slots lie in different pages, so that one interrupted write cannot reach both.
const SLOT_OFFSETS: [u64; 2] = [0, 4096];

numbered! {
    /// What is signed in a round, in this order.
    pub enum Step {
        Proposal = 0,
        Prevote = 1,
        Precommit = 2,
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    pub height: Height,
    pub round: u32,
    pub step: Step,
}
layout!(Position { height, round, step });

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let step = match self.step {
            Step::Proposal => "proposal",
            Step::Prevote => "prevote",
            Step::Precommit => "precommit",
        };
        write!(f, "{step} of height {} round {}", self.height, self.round)
    }
}

/// How far the log of consensus inputs was durable when something was signed. After a restart the log must reach at least
/// there; if it does not, it was damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct LogMark {
    pub bytes: u64,
    pub checksum: [u8; 16],
}
layout!(LogMark { bytes, checksum });

/// The last thing that was signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastSigned {
    pub position: Position,
    pub message: [u8; 32],
    pub signature: Signature,
    pub log: LogMark,
}
layout!(LastSigned { position, message, signature, log });

struct Record {
    magic: [u8; 8],
    version: u8,
    genesis: GenesisHash,
    key: PublicKey,
    /// Since 1970, when it was made anew; zero: it was made with its key.
    renewed_ms: u64,
    sequence: u64,
    last: Option<LastSigned>,
}
layout!(Record { magic, version, genesis, key, renewed_ms, sequence, last });

/// Of the longest record with its checksum; a slot is read as that many bytes.
const SLOT_BYTES: usize = 8 + 1 + 32 + 32 + 8 + 8 + 1 + (8 + 4 + 1) + 32 + 64 + (8 + 16) + 32;

#[derive(Debug, thiserror::Error)]
pub enum GuardError {
    #[error(
        "there is no signing guard at {0}; create it together with its key, never for a key that has signed elsewhere"
    )]
    Missing(PathBuf),
    #[error("a signing guard exists already at {0}: creating it again would forget what was signed")]
    Exists(PathBuf),
    #[error("the signing guard at {0} is in use by another process")]
    InUse(PathBuf),
    #[error("neither slot of the signing guard at {0} can be read")]
    Unreadable(PathBuf),
    #[error("the signing guard at {0} belongs to another key or chain")]
    OtherKey(PathBuf),
    #[error("the signing guard at {path} has format {version}, which this version of the node does not read")]
    OtherVersion { path: PathBuf, version: u8 },
    #[error("signing guard {path}: {source}")]
    Io { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Refused(#[from] Refusal),
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("{asked} comes before {last}, which was signed already")]
    Regression { asked: Position, last: Position },
    #[error("{0} was signed already with another content")]
    Conflict(Position),
    #[error("an earlier write of the guard failed")]
    AfterFailure,
}

#[derive(Debug)]
pub struct SigningGuard<F = File> {
    path: PathBuf,
    file: F,
    genesis: GenesisHash,
    key: PublicKey,
    renewed_ms: u64,
    sequence: u64,
    /// Where the next record goes: over the older one.
    next_slot: usize,
    last: Option<LastSigned>,
    certain: bool,
    failed: bool,
}

impl SigningGuard {
    /// Makes an empty guard for a key that has signed nothing yet. Refuses to replace one.
    pub fn create(path: &Path, chain: &Chain, key: PublicKey) -> Result<(), GuardError> {
        Self::make(path, chain, key, 0, [0, 1])
    }

    /// Makes a guard in place of one that is lost. What the key has signed is unknown, and the file says so by a gap between its
    /// records: it is uncertain until something is signed again. `now_ms` is the time, since 1970. Refuses to replace one.
    pub fn renew(path: &Path, chain: &Chain, key: PublicKey, now_ms: u64) -> Result<(), GuardError> {
        Self::make(path, chain, key, now_ms.max(1), [0, 2])
    }

    fn make(
        path: &Path,
        chain: &Chain,
        key: PublicKey,
        renewed_ms: u64,
        sequences: [u64; 2],
    ) -> Result<(), GuardError> {
        let at = |source| GuardError::Io { path: path.to_owned(), source };
        let mut options = OpenOptions::new();
        let file =
            options.write(true).create_new(true).mode(0o600).open(path).map_err(|source| match source.kind() {
                io::ErrorKind::AlreadyExists => GuardError::Exists(path.to_owned()),
                _ => at(source),
            })?;
        fill(&file, chain, key, renewed_ms, sequences).map_err(at)?;
        file.sync_all().map_err(at)?;
        if let Some(folder) = path.parent() {
            let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
            File::open(folder).and_then(|folder| folder.sync_all()).map_err(at)?;
        }
        Ok(())
    }

    pub fn open(path: &Path, chain: &Chain, key: PublicKey) -> Result<Self, GuardError> {
        let at = |source| GuardError::Io { path: path.to_owned(), source };
        let file = OpenOptions::new().read(true).write(true).open(path).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => GuardError::Missing(path.to_owned()),
            _ => at(source),
        })?;
        file.try_lock().map_err(|error| match error {
            std::fs::TryLockError::WouldBlock => GuardError::InUse(path.to_owned()),
            std::fs::TryLockError::Error(source) => at(source),
        })?;
        Self::open_on(file, path, chain, key)
    }
}

impl<F: Medium> SigningGuard<F> {
    /// [`SigningGuard::create`] on anything; synced when it returns.
    pub fn create_on(file: &F, chain: &Chain, key: PublicKey) -> io::Result<()> {
        fill(file, chain, key, 0, [0, 1])?;
        file.sync_data()
    }

    /// [`SigningGuard::open`] on anything that nobody else has open. `path` is its name in errors.
    pub fn open_on(file: F, path: &Path, chain: &Chain, key: PublicKey) -> Result<Self, GuardError> {
        let at = |source| GuardError::Io { path: path.to_owned(), source };
        let mut slots = [None, None];
        for (slot, offset) in slots.iter_mut().zip(SLOT_OFFSETS) {
            *slot = read_slot(&file, offset).map_err(at)?;
        }
        let newest = match &slots {
            [None, None] => {
                return Err(match other_version(&file) {
                    Some(version) => GuardError::OtherVersion { path: path.to_owned(), version },
                    None => GuardError::Unreadable(path.to_owned()),
                });
            }
            [Some(a), Some(b)] => usize::from(b.sequence > a.sequence),
            [a, _] => usize::from(a.is_none()),
        };
        let certain = match &slots {
            [Some(a), Some(b)] => a.sequence.abs_diff(b.sequence) == 1,
            _ => false,
        };
        let record = slots[newest].take().expect("the newest slot was readable");
        if record.genesis != chain.genesis_hash() || record.key != key {
            return Err(GuardError::OtherKey(path.to_owned()));
        }
        Ok(SigningGuard {
            path: path.to_owned(),
            file,
            genesis: record.genesis,
            key,
            renewed_ms: record.renewed_ms,
            sequence: record.sequence,
            next_slot: 1 - newest,
            last: record.last,
            certain,
            failed: false,
        })
    }

    /// False when a newer record may have been lost.
    pub fn is_certain(&self) -> bool {
        self.certain
    }

    /// The earliest time of a tip on which this key may vote, whatever else holds; zero where any will do.
    pub fn votes_from_ms(&self) -> u64 {
        match self.renewed_ms {
            0 => 0,
            renewed_ms => renewed_ms.saturating_add(RENEWAL_MARGIN_MS + 1),
        }
    }

    pub fn last(&self) -> Option<&LastSigned> {
        self.last.as_ref()
    }

    /// Records, syncs, and only then returns the signature.
    pub fn sign(
        &mut self,
        position: Position,
        message: &[u8; 32],
        log: LogMark,
        sign: impl FnOnce(&[u8; 32]) -> Signature,
    ) -> Result<Signature, GuardError> {
        if self.failed {
            return Err(Refusal::AfterFailure.into());
        }
        if let Some(last) = &self.last {
            if position < last.position {
                return Err(Refusal::Regression { asked: position, last: last.position }.into());
            }
            if position == last.position {
                return if *message == last.message {
                    Ok(last.signature)
                } else {
                    Err(Refusal::Conflict(position).into())
                };
            }
        }
        let last = LastSigned { position, message: *message, signature: sign(message), log };
        let sequence = self.sequence.checked_add(1).expect("2^64 signatures are not reached");
        let record = Record {
            magic: MAGIC,
            version: VERSION,
            genesis: self.genesis,
            key: self.key,
            renewed_ms: self.renewed_ms,
            sequence,
            last: Some(last),
        };
        let written = self
            .file
            .write_all_at(&slot_bytes(&record), SLOT_OFFSETS[self.next_slot])
            .and_then(|()| self.file.sync_data());
        if let Err(source) = written {
            self.failed = true;
            return Err(GuardError::Io { path: self.path.clone(), source });
        }
        self.sequence = sequence;
        self.next_slot = 1 - self.next_slot;
        self.last = Some(last);
        Ok(last.signature)
    }
}

/// Both slots of a guard that has signed nothing.
fn fill(file: &impl Medium, chain: &Chain, key: PublicKey, renewed_ms: u64, sequences: [u64; 2]) -> io::Result<()> {
    for (sequence, offset) in sequences.into_iter().zip(SLOT_OFFSETS) {
        let (genesis, last) = (chain.genesis_hash(), None);
        let record = Record { magic: MAGIC, version: VERSION, genesis, key, renewed_ms, sequence, last };
        file.write_all_at(&slot_bytes(&record), offset)?;
    }
    Ok(())
}

/// Always [`SLOT_BYTES`] long, so that no rest of an older record stands behind a newer one.
fn slot_bytes(record: &Record) -> Vec<u8> {
    let mut bytes = record.to_bytes();
    bytes.resize(SLOT_BYTES - 32, 0);
    let checksum = blake3::hash(&bytes);
    bytes.extend_from_slice(checksum.as_bytes());
    bytes
}

fn read_slot(file: &impl Medium, offset: u64) -> io::Result<Option<Record>> {
    let mut bytes = [0; SLOT_BYTES];
    match file.read_exact_at(&mut bytes, offset) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    }
    let (record, checksum) = bytes.split_at(SLOT_BYTES - 32);
    if blake3::hash(record).as_bytes() != checksum {
        return Ok(None);
    }
    let mut reader = ledger_types::Reader::new(record);
    let Ok(record) = Record::decode(&mut reader) else { return Ok(None) };
    Ok((record.magic == MAGIC && record.version == VERSION).then_some(record))
}

/// Of a file that is a guard in another format. Slots of other formats have another length, so only their beginning is read.
fn other_version(file: &impl Medium) -> Option<u8> {
    let mut start = [0; MAGIC.len() + 1];
    file.read_exact_at(&mut start, 0).ok()?;
    let (magic, version) = start.split_at(MAGIC.len());
    (magic == MAGIC && version != [VERSION]).then_some(version[0])
}

#[cfg(test)]
mod tests {
    use super::*;
    use ledger_types::keys::SigningKey;

    fn chain() -> Chain {
        Chain::new(GenesisHash([7; 32]))
    }

    fn key() -> SigningKey {
        SigningKey::from_seed(&[1; 32])
    }

    fn at(height: u64, round: u32, step: Step) -> Position {
        Position { height: Height(height), round, step }
    }

    fn fresh() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("guard");
        SigningGuard::create(&path, &chain(), key().public_key()).unwrap();
        (folder, path)
    }

    fn open(path: &Path) -> SigningGuard {
        SigningGuard::open(path, &chain(), key().public_key()).unwrap()
    }

    fn sign(guard: &mut SigningGuard, position: Position, message: u8) -> Result<Signature, GuardError> {
        guard.sign(position, &[message; 32], LogMark { bytes: 9, checksum: [3; 16] }, |m| key().sign(m))
    }

    #[test]
    fn b9_opening_never_creates_and_creating_never_replaces() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("guard");
        let missing = SigningGuard::open(&path, &chain(), key().public_key());
        assert!(matches!(missing, Err(GuardError::Missing(_))));
        assert!(!path.exists());
        SigningGuard::create(&path, &chain(), key().public_key()).unwrap();
        let again = SigningGuard::create(&path, &chain(), key().public_key());
        assert!(matches!(again, Err(GuardError::Exists(_))));
    }

    #[test]
    fn b9_a_renewed_guard_is_uncertain_until_it_has_signed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("guard");
        SigningGuard::renew(&path, &chain(), key().public_key(), 1).unwrap();
        let again = SigningGuard::renew(&path, &chain(), key().public_key(), 1);
        assert!(matches!(again, Err(GuardError::Exists(_))));
        for _ in 0..2 {
            let guard = open(&path);
            assert!(!guard.is_certain() && guard.last().is_none());
        }
        sign(&mut open(&path), at(5, 0, Step::Prevote), 1).unwrap();
        assert!(open(&path).is_certain());
    }

    #[test]
    fn b9_positions_never_go_back_and_one_position_gets_one_message() {
        let (_folder, path) = fresh();
        let mut guard = open(&path);
        let steps = [
            (at(5, 0, Step::Proposal), at(4, 9, Step::Precommit)),
            (at(5, 0, Step::Prevote), at(5, 0, Step::Proposal)),
            (at(5, 0, Step::Precommit), at(5, 0, Step::Prevote)),
            (at(5, 1, Step::Prevote), at(5, 0, Step::Precommit)),
            (at(6, 0, Step::Prevote), at(5, 7, Step::Precommit)),
        ];
        for (position, earlier) in steps {
            let signature = sign(&mut guard, position, 1).unwrap();
            assert_eq!(sign(&mut guard, position, 1).unwrap(), signature, "the same message gets the stored signature");
            let other = sign(&mut guard, position, 2).unwrap_err();
            assert!(matches!(other, GuardError::Refused(Refusal::Conflict(p)) if p == position));
            let back = sign(&mut guard, earlier, 1).unwrap_err();
            assert!(
                matches!(back, GuardError::Refused(Refusal::Regression { asked, last }) if asked == earlier && last == position)
            );
        }
    }

    #[test]
    fn a_reopened_guard_remembers_the_signature_and_the_mark() {
        let (_folder, path) = fresh();
        let mut signed = Vec::new();
        for round in 0..5 {
            let mut guard = open(&path);
            assert!(guard.is_certain());
            assert_eq!(guard.last().map(|last| last.signature), signed.last().copied());
            signed.push(sign(&mut guard, at(1, round, Step::Prevote), round as u8).unwrap());
        }
        let mut guard = open(&path);
        assert_eq!(guard.last().unwrap().log, LogMark { bytes: 9, checksum: [3; 16] });
        assert_eq!(
            guard.sign(at(1, 4, Step::Prevote), &[4; 32], LogMark::default(), |_| unreachable!()).unwrap(),
            signed[4]
        );
        assert!(sign(&mut guard, at(1, 4, Step::Prevote), 9).is_err());
    }

    /// The process dies between any two bytes of the newest record's write: the next start sees the old record, the new one,
    /// or knows that it does not know.
    #[test]
    fn a_write_cut_at_any_byte_is_the_old_record_the_new_one_or_uncertain() {
        let (folder, path) = fresh();
        let mut guard = open(&path);
        sign(&mut guard, at(3, 0, Step::Prevote), 1).unwrap();
        drop(guard);
        let before = std::fs::read(&path).unwrap();
        let mut guard = open(&path);
        sign(&mut guard, at(3, 0, Step::Precommit), 2).unwrap();
        drop(guard);
        let after = std::fs::read(&path).unwrap();
        let slot = (0..2)
            .map(|i| SLOT_OFFSETS[i] as usize)
            .find(|o| before.get(*o..o + SLOT_BYTES) != after.get(*o..o + SLOT_BYTES))
            .unwrap();
        let mut outcomes = [0, 0, 0];
        for cut in 0..=SLOT_BYTES {
            let mut torn = before.clone();
            torn.resize(after.len(), 0);
            torn[slot..slot + cut].copy_from_slice(&after[slot..slot + cut]);
            let copy = folder.path().join(format!("torn {cut}"));
            std::fs::write(&copy, &torn).unwrap();
            let guard = open(&copy);
            let step = guard.last().unwrap().position.step;
            outcomes[if guard.is_certain() { usize::from(step == Step::Precommit) } else { 2 }] += 1;
            assert!(guard.is_certain() || step == Step::Prevote);
        }
        assert!(outcomes.iter().all(|count| *count > 0), "{outcomes:?}");
    }

    #[test]
    fn any_flipped_bit_makes_the_guard_uncertain_or_unreadable_but_never_wrong() {
        let (folder, path) = fresh();
        let mut guard = open(&path);
        sign(&mut guard, at(3, 0, Step::Prevote), 1).unwrap();
        sign(&mut guard, at(3, 0, Step::Precommit), 2).unwrap();
        let newest = *guard.last().unwrap();
        drop(guard);
        let whole = std::fs::read(&path).unwrap();
        let copy = folder.path().join("flipped");
        for offset in SLOT_OFFSETS {
            for byte in 0..SLOT_BYTES {
                let mut flipped = whole.clone();
                flipped[offset as usize + byte] ^= 1 << (byte % 8);
                std::fs::write(&copy, &flipped).unwrap();
                let guard = open(&copy);
                assert!(!guard.is_certain());
                assert!(guard.last().unwrap().position <= newest.position);
            }
        }
    }

    #[test]
    fn b9_a_guard_made_anew_keeps_the_time_of_it_through_every_signature() {
        let (folder, path) = fresh();
        assert_eq!(open(&path).votes_from_ms(), 0);
        let renewed = folder.path().join("renewed");
        SigningGuard::renew(&renewed, &chain(), key().public_key(), 1_000_000).unwrap();
        for round in 0..3 {
            let mut guard = open(&renewed);
            assert_eq!(guard.is_certain(), round > 0);
            assert_eq!(guard.votes_from_ms(), 1_000_000 + RENEWAL_MARGIN_MS + 1);
            sign(&mut guard, at(7, round, Step::Prevote), 1).unwrap();
        }
    }

    #[test]
    fn a_guard_of_the_first_format_is_refused_by_name() {
        let (_folder, path) = fresh();
        let mut bytes = std::fs::read(&path).unwrap();
        for offset in SLOT_OFFSETS {
            bytes[offset as usize + MAGIC.len()] = 1;
        }
        std::fs::write(&path, bytes).unwrap();
        let refused = SigningGuard::open(&path, &chain(), key().public_key()).unwrap_err();
        assert!(matches!(refused, GuardError::OtherVersion { version: 1, .. }), "{refused}");
    }

    #[test]
    fn both_slots_damaged_is_no_guard() {
        let (_folder, path) = fresh();
        std::fs::write(&path, vec![0xff; 8192]).unwrap();
        assert!(matches!(SigningGuard::open(&path, &chain(), key().public_key()), Err(GuardError::Unreadable(_))));
    }

    /// An old copy of one slot: both read, but a record between them is gone.
    #[test]
    fn a_gap_between_the_slots_makes_the_guard_uncertain() {
        let (_folder, path) = fresh();
        let mut guard = open(&path);
        sign(&mut guard, at(1, 0, Step::Prevote), 1).unwrap();
        let old = std::fs::read(&path).unwrap();
        for round in 1..4 {
            sign(&mut guard, at(1, round, Step::Prevote), 1).unwrap();
        }
        let next = SLOT_OFFSETS[guard.next_slot] as usize;
        drop(guard);
        let mut mixed = std::fs::read(&path).unwrap();
        mixed[next..next + SLOT_BYTES].copy_from_slice(&old[next..next + SLOT_BYTES]);
        std::fs::write(&path, &mixed).unwrap();
        assert!(!open(&path).is_certain());
    }

    #[test]
    fn another_key_chain_or_process_is_refused() {
        let (_folder, path) = fresh();
        let other_key = SigningKey::from_seed(&[2; 32]).public_key();
        assert!(matches!(SigningGuard::open(&path, &chain(), other_key), Err(GuardError::OtherKey(_))));
        let other_chain = Chain::new(GenesisHash([8; 32]));
        assert!(matches!(SigningGuard::open(&path, &other_chain, key().public_key()), Err(GuardError::OtherKey(_))));
        let _held = open(&path);
        assert!(matches!(SigningGuard::open(&path, &chain(), key().public_key()), Err(GuardError::InUse(_))));
    }

    #[test]
    fn after_a_failed_write_nothing_is_signed() {
        let (_folder, path) = fresh();
        let mut guard = open(&path);
        guard.file = File::open(&path).unwrap(); // for reading only: every write fails
        assert!(matches!(sign(&mut guard, at(1, 0, Step::Prevote), 1), Err(GuardError::Io { .. })));
        guard.file = OpenOptions::new().read(true).write(true).open(&path).unwrap();
        let later = sign(&mut guard, at(1, 1, Step::Prevote), 1).unwrap_err();
        assert!(matches!(later, GuardError::Refused(Refusal::AfterFailure)));
    }

    #[test]
    fn the_guard_file_is_readable_by_its_owner_only() {
        use std::os::unix::fs::PermissionsExt;
        let (_folder, path) = fresh();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
