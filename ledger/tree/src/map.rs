//! The registry's authenticated map: a binary sparse Merkle tree over SHA-256 (rule L-4).
//!
//! What stays true here:
//! - The root is a function of the entries alone, not of their order, their history or the chunks they came in.
//! - Every version has its own root node; a version is read in full as long as none of its nodes was pruned.
//! - An update writes only new keys. What it supersedes it names, and deletes nothing.
//!
//! ```text
//! key hash    = SHA-256(type u8 ‖ id)          types: record 1, participant 2, contract 3, feed 4, obligation 5, lane 6
//! value hash  = SHA-256(value)
//! leaf        = SHA-256("JMT::LeafNode" ‖ key hash ‖ value hash)
//! inner       = SHA-256("JMT::IntrnalNode" ‖ left ‖ right)
//! empty       = "SPARSE_MERKLE_PLACEHOLDER_HASH__"
//! ```
//! A subtree without entries is `empty`, a subtree with one entry is that entry's leaf, any other is an inner node that
//! splits its entries by the next bit of the key hash, most significant first, 0 to the left.
//!
//! ## Versions
//! A version names one root. Genesis is loaded in chunks, each an update over the one before, so that memory is bounded by
//! a chunk; its last update has the version of height 0. From there on every height is one update, even one without
//! changes, so "the map after height h" needs no look-up. See [`Version`].
//!
//! ## What the store keeps
//! | rows | key | value |
//! |---|---|---|
//! | nodes | [`MapUpdate::nodes`], starts with the version, big-endian: new rows sort behind old ones | opaque |
//! | stale | the version of an update | [`MapUpdate::stale_nodes`] |
//!
//! Pruning: keep the versions from `oldest_kept` on. Everything that the updates with
//! [`prunable`]`(version, oldest_kept)` made stale may be deleted, and nothing else; when interrupted, again.
//!
//! The hash rule is `jmt`'s, and so are the stored rows' places; `jmt` itself is the tests' oracle.
//! Left to others: what a value says, and which root is to be believed.

mod below;
mod node;
mod proof;
mod prove;
mod write;

use sha2::{Digest, Sha256};

use crate::{Hash, ReadError};

pub use below::{Below, BelowError, Prefix, prove_below, verify_below};
pub use node::CorruptNode;
pub use proof::{DEPTH_MAX, EMPTY_ROOT, MapProof, MapProofBytesError, MapProofError, verify_absence, verify_inclusion};
pub use prove::{Lookup, prove, root};
pub use write::{MapUpdate, update};

/// What an entry is about; its byte opens the preimage of the key hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum EntryType {
    Record = 1,
    Participant = 2,
    Contract = 3,
    Feed = 4,
    Obligation = 5,
    Lane = 6,
    HandOver = 7,
    Rules = 8,
}

/// Where an entry stands in the map. An id is fixed fields of fixed lengths; within one type two kinds of ids (a contract and its
/// versions, a feed and its items) differ in length, so no two ids share a preimage.
pub fn key_hash(entry_type: EntryType, id: &[u8]) -> Hash {
    Sha256::new_with_prefix([entry_type as u8]).chain_update(id).finalize().into()
}

pub fn value_hash(value: &[u8]) -> Hash {
    Sha256::digest(value).into()
}

/// Names one root of the map.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Version(u64);

impl Version {
    /// Room for genesis chunks below height 0. At 10,000 entries a chunk, 10^10 entries.
    pub const GENESIS_CHUNKS_MAX: u32 = (1 << 20) - 1;

    /// The version of a genesis chunk that is not the last, counted from 0; `None` from
    /// [`GENESIS_CHUNKS_MAX`](Self::GENESIS_CHUNKS_MAX) on. The last chunk has [`after_height`](Self::after_height)`(0)`.
    pub const fn genesis_chunk(index: u32) -> Option<Self> {
        // From 1, as stored maps have it.
        if index < Self::GENESIS_CHUNKS_MAX { Some(Self(1 + index as u64)) } else { None }
    }

    /// The version that holds the map as it is after `height`; genesis is height 0. Saturates: whoever asks for a height
    /// that never comes gets a version that is never written.
    pub const fn after_height(height: u64) -> Self {
        Self(height.saturating_add(1 + Self::GENESIS_CHUNKS_MAX as u64))
    }

    /// For a version that was read back from storage.
    pub const fn from_stored(version: u64) -> Self {
        Self(version)
    }

    pub const fn get(self) -> u64 {
        self.0
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(formatter)
    }
}

/// What the map needs of storage.
pub trait MapReader {
    fn node(&self, key: &[u8]) -> Result<Option<Vec<u8>>, ReadError>;

    /// One answer a key, in their order. A storage engine that reads many rows cheaper together does so here.
    fn nodes(&self, keys: &[Vec<u8>]) -> Result<Vec<Option<Vec<u8>>>, ReadError> {
        keys.iter().map(|key| self.node(key)).collect()
    }
}

/// Whether what the update `stale_since` made stale is needed by no version from `oldest_kept` on.
pub fn prunable(stale_since: Version, oldest_kept: Version) -> bool {
    stale_since <= oldest_kept
}

#[derive(Debug, thiserror::Error)]
pub enum MapError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("the map has no root at version {0}: never written, or pruned")]
    MissingRoot(Version),
    #[error("the map's storage lacks the node {key}")]
    MissingNode { key: String },
    #[error("the map's node {key} is corrupt: {fault}")]
    CorruptNode { key: String, fault: CorruptNode },
    #[error("an update of version {base} cannot have version {version}")]
    VersionNotAfterBase { base: Version, version: Version },
    #[error("the map's nodes contradict each other: {0}")]
    Inconsistent(String),
}
