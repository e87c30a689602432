//! The documents that are checked here, and their bytes.
//!
//! ```text
//! state proof = version u8 ‖ genesis hash[32] ‖ state leaf ‖ path: list of hash[32] ‖ checkpoint: byte string
//! coin proof  = state proof ‖ coin[32] ‖ answer u8 ‖ [record] ‖ map proof: byte string
//! bucket proof = state proof ‖ bits u8 ‖ prefix[4] ‖ siblings: list of hash[32]
//!                ‖ entries: list of (key hash[32] ‖ value: byte string)
//! ```
//! `answer` is 1 and a record follows, or 0 for "no such coin". The path is the state leaf's, at index size − 1 of the
//! checkpoint's log (L-1); an index is not in it, for there is no choice. The checkpoint is a C2SP signed note.
//!
//! Decoding bounds and shapes; it believes nothing.

use ledger_tree::map::{DEPTH_MAX, MapProof, Prefix};
use ledger_tree::merkle::PATH_HASHES_MAX;
use ledger_types::confirmation::Record;
use ledger_types::encoding::{Decode, DecodeError, Encode, List, Octets, Reader};
use ledger_types::log_leaf::StateLeaf;
use ledger_types::participant::PARTICIPANTS_MAX;
use ledger_types::{CoinId, GenesisHash, TreeRoot, layout};

pub const PROOF_VERSION: u8 = 1;

/// Text of at most 131 bytes and an empty line; the log's signature line of at most 162; 180 bytes for each cosigner.
pub const CHECKPOINT_BYTES_MAX: usize = 132 + 162 + 180 * PARTICIPANTS_MAX;
/// End, leaf, depth, bitmap, siblings.
pub(crate) const MAP_PROOF_BYTES_MAX: usize = 1 + 64 + 2 + DEPTH_MAX / 8 + 32 * DEPTH_MAX;

const STATE_LEAF_BYTES: usize = 8 + 8 + 8 + 32 + 32 + 16 + 16;
const RECORD_BYTES: usize = 1 + 8 + 8 + 8 + 4 + 2 + 32;
pub const STATE_PROOF_BYTES_MAX: usize =
    1 + 32 + STATE_LEAF_BYTES + 2 + 32 * PATH_HASHES_MAX + 2 + CHECKPOINT_BYTES_MAX;
pub const COIN_PROOF_BYTES_MAX: usize = STATE_PROOF_BYTES_MAX + 32 + 1 + RECORD_BYTES + 2 + MAP_PROOF_BYTES_MAX;

/// A confirmed state of the ledger: the last state leaf of a log whose checkpoint is signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateProof {
    pub genesis_hash: GenesisHash,
    pub state_leaf: StateLeaf,
    /// Of the state leaf, from its level up.
    pub path: List<TreeRoot, PATH_HASHES_MAX>,
    /// The signed note, with the log's signature and cosignatures of the set that the state leaf names, and no others.
    pub checkpoint: Octets<CHECKPOINT_BYTES_MAX>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    Present(Record),
    Absent,
}

/// What the registry says of one coin, in a confirmed state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CoinProof {
    pub state: StateProof,
    pub coin: CoinId,
    pub answer: Answer,
    pub map_proof: MapProof,
}

/// More are no bucket: whoever wants fewer names a longer prefix.
pub const BUCKET_ENTRIES_MAX: usize = 1_024;
/// The longest value of the map is a directory line, of 1,645 bytes at most.
pub(crate) const VALUE_BYTES_MAX: usize = 2_048;

/// Every entry of the map below a prefix, in a confirmed state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketProof {
    pub state: StateProof,
    pub prefix: Prefix,
    /// Root first. As many as the prefix has bits, or fewer if the walk towards it ends above it (L-4).
    pub siblings: List<TreeRoot, { Prefix::BITS_MAX as usize }>,
    /// Strictly ascending by key hash. All of the subtree where the walk ends, so one at most if that is above the prefix.
    pub entries: List<BucketEntry, BUCKET_ENTRIES_MAX>,
}

/// An entry of the map, whole. Of a coin the value is its record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketEntry {
    pub key_hash: TreeRoot,
    pub value: Octets<VALUE_BYTES_MAX>,
}
layout!(BucketEntry { key_hash, value });

impl Encode for StateProof {
    fn encode(&self, out: &mut Vec<u8>) {
        PROOF_VERSION.encode(out);
        self.genesis_hash.encode(out);
        self.state_leaf.encode(out);
        self.path.encode(out);
        self.checkpoint.encode(out);
    }
}

impl Decode for StateProof {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match reader.read::<u8>()? {
            PROOF_VERSION => {}
            byte => return Err(DecodeError::UnknownValue { field: "proof version", byte }),
        }
        let (genesis_hash, state_leaf) = (reader.read()?, reader.read()?);
        let (path, checkpoint) = (reader.read()?, reader.read()?);
        Ok(StateProof { genesis_hash, state_leaf, path, checkpoint })
    }
}

impl Encode for Answer {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Answer::Present(record) => Some(*record).encode(out),
            Answer::Absent => None::<Record>.encode(out),
        }
    }
}

impl Decode for Answer {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(reader.read::<Option<Record>>()?.map_or(Answer::Absent, Answer::Present))
    }
}

impl Encode for CoinProof {
    fn encode(&self, out: &mut Vec<u8>) {
        self.state.encode(out);
        self.coin.encode(out);
        self.answer.encode(out);
        let bytes = self.map_proof.encode();
        Octets::<MAP_PROOF_BYTES_MAX>::new(bytes).expect("a map proof has at most 256 siblings").encode(out);
    }
}

impl Decode for CoinProof {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let (state, coin, answer) = (reader.read()?, reader.read()?, reader.read()?);
        let bytes: Octets<MAP_PROOF_BYTES_MAX> = reader.read()?;
        let map_proof = MapProof::decode(&bytes).map_err(|_| DecodeError::NotCanonical("map proof"))?;
        Ok(CoinProof { state, coin, answer, map_proof })
    }
}

impl Encode for BucketProof {
    fn encode(&self, out: &mut Vec<u8>) {
        self.state.encode(out);
        self.prefix.bits().encode(out);
        self.prefix.first().encode(out);
        self.siblings.encode(out);
        self.entries.encode(out);
    }
}

impl Decode for BucketProof {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let (state, bits, first) = (reader.read()?, reader.read()?, reader.read()?);
        let prefix = Prefix::new(bits, first).ok_or(DecodeError::NotCanonical("prefix of a bucket"))?;
        let proof = BucketProof { state, prefix, siblings: reader.read()?, entries: reader.read()? };
        match proof.entries.is_sorted_by(|one, next| one.key_hash < next.key_hash) {
            true => Ok(proof),
            false => Err(DecodeError::NotCanonical("order of a bucket's entries")),
        }
    }
}
