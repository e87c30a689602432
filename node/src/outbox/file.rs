//! One file of the outbox.
//!
//! ```text
//! header = "ASSAYOUT" ‖ version u32 ‖ genesis hash[32] ‖ outbox id[16] ‖ first sequence u64 ‖ count u32 ‖ sealed bytes u32
//! file   = header ‖ sealed ‖ BLAKE3(header ‖ sealed)[32]         sealed = entries back to back under a key bound to the header
//! ```
//! The checksum tells a damaged file from one of another key. Lengths are checked before anything is allocated.

use super::SpoolError;
use super::at_rest::StorageKey;
use super::entry::Entry;
use ledger_types::{Chain, Encode, GenesisHash, Reader};
use std::path::Path;

const MAGIC: &[u8; 8] = b"ASSAYOUT";
const VERSION: u32 = 2;
pub(super) const HEADER_BYTES: usize = 8 + 4 + 32 + 16 + 8 + 4 + 4;
const CHECKSUM_BYTES: usize = 32;
/// An entry of a recovery with 1,000 inputs takes 33 KB, so a full unit of them takes 9 MB.
pub const UNIT_ENTRIES_MAX: usize = 256;
pub(super) const FILE_BYTES_MAX: u64 = 12 << 20;

/// Made with registration's database: entries of another database never pass for this one's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutboxId(pub [u8; 16]);

/// The key that both processes hold.
#[derive(Debug)]
pub struct SpoolKey(StorageKey);

impl SpoolKey {
    pub fn new(secret: &[u8; 32]) -> Self {
        SpoolKey(StorageKey::new("assay outbox v1", secret))
    }
}

pub(super) fn file_name(first: u64) -> String {
    format!("{first:020}.outbox")
}

/// The first sequence in a file of this name; `None` for a name that no file of the outbox has.
pub(super) fn first_of_name(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".outbox").filter(|digits| digits.len() == 20)?;
    digits.parse().ok()
}

fn header(chain: &Chain, id: OutboxId, first: u64, count: usize, sealed_bytes: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEADER_BYTES + sealed_bytes + CHECKSUM_BYTES);
    out.extend_from_slice(MAGIC);
    VERSION.encode(&mut out);
    chain.genesis_hash().encode(&mut out);
    out.extend_from_slice(&id.0);
    first.encode(&mut out);
    u32::try_from(count).expect("a unit is bounded").encode(&mut out);
    u32::try_from(sealed_bytes).expect("a unit is bounded").encode(&mut out);
    out
}

/// `entries` are of one unit: not empty, dense, at most [`UNIT_ENTRIES_MAX`].
pub(super) fn encode(key: &SpoolKey, chain: &Chain, id: OutboxId, entries: &[Entry]) -> Vec<u8> {
    let mut salt = [0; 24];
    rand::RngCore::fill_bytes(&mut rand::thread_rng(), &mut salt);
    encode_with(key, salt, chain, id, entries)
}

pub(super) fn encode_with(key: &SpoolKey, salt: [u8; 24], chain: &Chain, id: OutboxId, entries: &[Entry]) -> Vec<u8> {
    let mut plaintext = zeroize::Zeroizing::new(Vec::new());
    entries.iter().for_each(|entry| entry.encode(&mut plaintext));
    let sealed_bytes = 24 + plaintext.len() + 16;
    let mut file = header(chain, id, entries[0].sequence, entries.len(), sealed_bytes);
    let sealed = key.0.seal_with(salt, &file, &plaintext);
    file.extend_from_slice(&sealed);
    let checksum = blake3::hash(&file);
    file.extend_from_slice(checksum.as_bytes());
    file
}

/// The entries of a file, and the database that they are from.
pub(super) fn decode(
    key: &SpoolKey,
    chain: &Chain,
    path: &Path,
    first: u64,
    file: &[u8],
) -> Result<(OutboxId, Vec<Entry>), SpoolError> {
    let damaged = |fault| SpoolError::Damaged { path: path.to_owned(), fault };
    let body_end = file.len().checked_sub(CHECKSUM_BYTES).ok_or_else(|| damaged("it is too short"))?;
    if blake3::hash(&file[..body_end]).as_bytes() != &file[body_end..] {
        return Err(damaged("its checksum fails"));
    }
    let mut reader = Reader::new(&file[..body_end]);
    let short = |_| damaged("its header is too short");
    if reader.array::<8>().map_err(short)? != *MAGIC || reader.read::<u32>().map_err(short)? != VERSION {
        return Err(damaged("its format is unknown"));
    }
    let genesis: GenesisHash = reader.read().map_err(short)?;
    if genesis != chain.genesis_hash() {
        return Err(SpoolError::Foreign { path: path.to_owned() });
    }
    let id = OutboxId(reader.array().map_err(short)?);
    let named: u64 = reader.read().map_err(short)?;
    let count = reader.read::<u32>().map_err(short)? as usize;
    let sealed_bytes = reader.read::<u32>().map_err(short)? as usize;
    if named != first || !(1..=UNIT_ENTRIES_MAX).contains(&count) || sealed_bytes != reader.remaining() {
        return Err(damaged("its header does not fit its name or its length"));
    }
    let sealed = reader.take(sealed_bytes).map_err(short)?;
    let plaintext = key.0.open(&file[..HEADER_BYTES], sealed);
    let plaintext = plaintext.ok_or_else(|| SpoolError::OtherKey { path: path.to_owned() })?;
    let mut reader = Reader::new(&plaintext);
    let mut entries = Vec::with_capacity(count);
    for sequence in (first..).take(count) {
        let entry: Entry = reader.read().map_err(|_| damaged("an entry does not decode"))?;
        if entry.sequence != sequence {
            return Err(damaged("its entries are not numbered without gaps"));
        }
        if entries.last().is_some_and(|before: &Entry| before.hash() != entry.previous) {
            return Err(damaged("an entry does not name the one before it"));
        }
        entries.push(entry);
    }
    reader.end().map_err(|_| damaged("bytes are left over"))?;
    Ok((id, entries))
}
