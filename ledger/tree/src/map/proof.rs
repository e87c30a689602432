//! Proofs that the map holds an entry, or holds none, and their check: SHA-256 and nothing of the writer.
//!
//! A proof is a walk from the root along the bits of the key hash, most significant first, that ends where the tree does:
//! at a leaf or at an empty slot. It lists the sibling at every step, root first.
//!
//! - *Inclusion*: the walk ends at the key's own leaf.
//! - *Absence*: the walk ends at an empty slot, or at the leaf of another key whose first bits are the walk's: were the
//!   asked key there, that leaf would stand deeper.
//!
//! ```text
//! proof = end u8 ‖ [key hash[32] ‖ value hash[32]] ‖ depth u16 ‖ bitmap[⌈depth / 8⌉] ‖ siblings[32] …
//! ```
//! `end` is 1 with a leaf, whose two hashes follow, and 0 with an empty slot. `depth` (little-endian, 0..=256) is the
//! number of steps. Bit d of the bitmap (byte d / 8, most significant bit first; the rest of the last byte 0) is set if
//! the sibling at step d is not `empty`; only these siblings follow, in order. A listed sibling is never `empty`, nothing
//! follows the last one: a proof has one encoding.
//!
//! To verify: start with the leaf's hash, or `empty`; for d from depth − 1 down to 0 hash with sibling d, which is the
//! left input if bit d of the *asked* key hash is 1, else the right; compare with the root.

use sha2::{Digest, Sha256};

use super::node::leaf_hash;
use crate::Hash;

/// The root of a map without entries, and the hash of every empty slot.
pub const EMPTY_ROOT: Hash = *b"SPARSE_MERKLE_PLACEHOLDER_HASH__";

/// A key hash has this many bits.
pub const DEPTH_MAX: usize = 256;

/// Where the walk towards a key ends, and the siblings on its way. Believe nothing in it before it is verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MapProof {
    leaf: Option<(Hash, Hash)>,
    siblings: Vec<Hash>,
}

/// Why a proof does not prove its claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MapProofError {
    #[error("the walk ends at an empty slot: that proves absence, not inclusion")]
    EndsAtEmptySlot,
    #[error("the walk ends at the leaf of another key")]
    EndsAtOtherKey,
    #[error("the leaf holds another value")]
    OtherValue,
    #[error("the walk ends at the leaf of the key that is said to be absent")]
    KeyIsPresent,
    #[error("the leaf at the walk's end does not lie on the asked key's way")]
    LeafOffTheWay,
    #[error("the proof leads to another root")]
    RootDiffers,
}

/// Why bytes are not a proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MapProofBytesError {
    #[error("the first byte is neither 0 (empty slot) nor 1 (leaf)")]
    UnknownEnd,
    #[error("the proof is deeper than {DEPTH_MAX} steps")]
    TooDeep,
    #[error("the bitmap has bits beyond the depth")]
    BitmapOverhang,
    #[error("a listed sibling is the empty hash, which the bitmap expresses")]
    EmptySiblingListed,
    #[error("the proof's bytes end early")]
    Truncated,
    #[error("bytes follow the proof")]
    Leftover,
}

impl MapProof {
    /// `leaf` is (key hash, value hash); siblings root first. `None` if there are more than [`DEPTH_MAX`].
    pub fn new(leaf: Option<(Hash, Hash)>, siblings: Vec<Hash>) -> Option<Self> {
        (siblings.len() <= DEPTH_MAX).then_some(Self { leaf, siblings })
    }

    /// (key hash, value hash) at the walk's end.
    pub fn leaf(&self) -> Option<(Hash, Hash)> {
        self.leaf
    }

    /// Root first.
    pub fn siblings(&self) -> &[Hash] {
        &self.siblings
    }

    pub fn encode(&self) -> Vec<u8> {
        let listed = || self.siblings.iter().enumerate().filter(|(_, sibling)| **sibling != EMPTY_ROOT);
        let mut bitmap = vec![0u8; self.siblings.len().div_ceil(8)];
        for (depth, _) in listed() {
            bitmap[depth / 8] |= 0x80 >> (depth % 8);
        }
        let mut bytes = vec![u8::from(self.leaf.is_some())];
        if let Some((key_hash, value_hash)) = &self.leaf {
            bytes.extend_from_slice(key_hash);
            bytes.extend_from_slice(value_hash);
        }
        bytes.extend_from_slice(&(self.siblings.len() as u16).to_le_bytes());
        bytes.extend_from_slice(&bitmap);
        bytes.extend(listed().flat_map(|(_, sibling)| sibling));
        bytes
    }

    pub fn decode(bytes: &[u8]) -> Result<Self, MapProofBytesError> {
        use MapProofBytesError::{BitmapOverhang, EmptySiblingListed, Leftover, TooDeep, Truncated, UnknownEnd};
        let (end, rest) = bytes.split_first().ok_or(Truncated)?;
        let (leaf, rest) = match *end {
            0 => (None, rest),
            1 => {
                let (key_hash, rest) = rest.split_first_chunk().ok_or(Truncated)?;
                let (value_hash, rest) = rest.split_first_chunk().ok_or(Truncated)?;
                (Some((*key_hash, *value_hash)), rest)
            }
            _ => return Err(UnknownEnd),
        };
        let (depth, rest) = rest.split_first_chunk().ok_or(Truncated)?;
        let depth = usize::from(u16::from_le_bytes(*depth));
        if depth > DEPTH_MAX {
            return Err(TooDeep);
        }
        let (bitmap, rest) = rest.split_at_checked(depth.div_ceil(8)).ok_or(Truncated)?;
        let bit = |depth: usize| bitmap[depth / 8] >> (7 - depth % 8) & 1 == 1;
        if (depth..8 * bitmap.len()).any(bit) {
            return Err(BitmapOverhang);
        }
        let (mut listed, leftover) = rest.as_chunks::<32>();
        let mut siblings = Vec::with_capacity(depth);
        for depth in 0..depth {
            if !bit(depth) {
                siblings.push(EMPTY_ROOT);
                continue;
            }
            let (sibling, others) = listed.split_first().ok_or(Truncated)?;
            if *sibling == EMPTY_ROOT {
                return Err(EmptySiblingListed);
            }
            siblings.push(*sibling);
            listed = others;
        }
        if !listed.is_empty() || !leftover.is_empty() {
            return Err(Leftover);
        }
        Ok(Self { leaf, siblings })
    }

    /// The root that the walk towards `key_hash` comes from.
    fn root(&self, key_hash: &Hash) -> Hash {
        let end = self.leaf.map_or(EMPTY_ROOT, |(key_hash, value_hash)| leaf_hash(&key_hash, &value_hash));
        self.siblings.iter().enumerate().rev().fold(end, |hash, (depth, sibling)| match bit(key_hash, depth) {
            true => inner_hash(sibling, &hash),
            false => inner_hash(&hash, sibling),
        })
    }
}

/// Checks that the map under `root` holds this value under this key.
pub fn verify_inclusion(
    root: &Hash,
    key_hash: &Hash,
    value_hash: &Hash,
    proof: &MapProof,
) -> Result<(), MapProofError> {
    let (leaf_key, leaf_value) = proof.leaf.ok_or(MapProofError::EndsAtEmptySlot)?;
    if leaf_key != *key_hash {
        return Err(MapProofError::EndsAtOtherKey);
    }
    if leaf_value != *value_hash {
        return Err(MapProofError::OtherValue);
    }
    if proof.root(key_hash) == *root { Ok(()) } else { Err(MapProofError::RootDiffers) }
}

/// Checks that the map under `root` holds nothing under this key.
pub fn verify_absence(root: &Hash, key_hash: &Hash, proof: &MapProof) -> Result<(), MapProofError> {
    if let Some((leaf_key, _)) = proof.leaf {
        if leaf_key == *key_hash {
            return Err(MapProofError::KeyIsPresent);
        }
        // The walk follows the asked key's bits, so under a root made by the rule this leaf could not pass anyway. Said by
        // name, and needed should a root ever cover a leaf in a wrong place.
        if (0..proof.siblings.len()).any(|depth| bit(&leaf_key, depth) != bit(key_hash, depth)) {
            return Err(MapProofError::LeafOffTheWay);
        }
    }
    if proof.root(key_hash) == *root { Ok(()) } else { Err(MapProofError::RootDiffers) }
}

/// Bit `depth` of a key hash, the most significant first.
pub(super) fn bit(key_hash: &Hash, depth: usize) -> bool {
    key_hash[depth / 8] >> (7 - depth % 8) & 1 == 1
}

pub(super) fn inner_hash(left: &Hash, right: &Hash) -> Hash {
    // The tag is jmt's, sixteen bytes, spelt so in its source.
    Sha256::new_with_prefix(b"JMT::IntrnalNode").chain_update(left).chain_update(right).finalize().into()
}
