//! The stored form of the map's nodes.
//!
//! A stored inner node is four levels of the binary tree at once: its sixteen children are the slots below a nibble of
//! the key hash. The levels between are hashed again when needed, at most fifteen hashes.
//!
//! ```text
//! node key = version u64 big-endian ‖ nibbles u8 (0..=64) ‖ the nibbles, two a byte, high half first, an odd rest 0
//! empty    = 0x00                                            only as a root
//! leaf     = 0x01 ‖ key hash[32] ‖ value
//! inner    = 0x02 ‖ present u16 ‖ leaves u16 ‖ for every present child, ascending: hash[32] ‖ version u64
//! ```
//! Little-endian except in the key, which sorts by version. Bit i of `present` says that child i exists, of `leaves` that
//! it is a leaf; `leaves` is a subset of `present`; a single child is never a leaf, for it would stand a level higher.

use sha2::{Digest, Sha256};

use super::proof::{EMPTY_ROOT, inner_hash};
use super::{MapError, value_hash};
use crate::Hash;

const EMPTY: u8 = 0;
const LEAF: u8 = 1;
const INNER: u8 = 2;
const CHILD_BYTES: usize = 32 + 8;

/// How a stored node is malformed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CorruptNode {
    #[error("its first byte names no kind of node")]
    UnknownKind,
    #[error("its length does not fit its kind")]
    WrongLength,
    #[error("its children are none, a single leaf, or leaves that are not present")]
    ImpossibleChildren,
    #[error("it is not the leaf that its parent names")]
    OtherLeaf,
    #[error("it is not the inner node that its parent names")]
    OtherChildren,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Child {
    pub hash: Hash,
    pub version: u64,
    pub is_leaf: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Node {
    Empty,
    Leaf(Leaf),
    Inner(Box<Children>),
}

/// An entry. The value stands in its row, so that whatever is read beside a proof is what the proof covers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Leaf {
    pub key_hash: Hash,
    pub value: Vec<u8>,
    pub value_hash: Hash,
}

impl Leaf {
    pub fn new(key_hash: Hash, value: Vec<u8>) -> Self {
        Leaf { key_hash, value_hash: value_hash(&value), value }
    }

    pub fn hash(&self) -> Hash {
        leaf_hash(&self.key_hash, &self.value_hash)
    }

    /// A damaged or misplaced value is found before it goes out or goes on.
    pub fn is_named_by(&self, child: &Child, row: &[u8]) -> Result<(), MapError> {
        match self.hash() == child.hash {
            true => Ok(()),
            false => Err(MapError::CorruptNode { key: hex::encode(row), fault: CorruptNode::OtherLeaf }),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Children(pub [Option<Child>; 16]);

impl Node {
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Empty => vec![EMPTY],
            Self::Leaf(leaf) => [&[LEAF][..], &leaf.key_hash, &leaf.value].concat(),
            Self::Inner(children) => {
                let (present, leaves) = children.bitmaps();
                let mut bytes = Vec::with_capacity(5 + CHILD_BYTES * present.count_ones() as usize);
                bytes.push(INNER);
                bytes.extend_from_slice(&present.to_le_bytes());
                bytes.extend_from_slice(&leaves.to_le_bytes());
                for child in children.0.iter().flatten() {
                    bytes.extend_from_slice(&child.hash);
                    bytes.extend_from_slice(&child.version.to_le_bytes());
                }
                bytes
            }
        }
    }

    pub fn decode(bytes: &[u8]) -> Result<Self, CorruptNode> {
        let (kind, body) = bytes.split_first().ok_or(CorruptNode::WrongLength)?;
        match *kind {
            EMPTY if body.is_empty() => Ok(Self::Empty),
            LEAF => match body.split_first_chunk::<32>() {
                Some((key_hash, value)) => Ok(Self::Leaf(Leaf::new(*key_hash, value.to_vec()))),
                None => Err(CorruptNode::WrongLength),
            },
            INNER => Children::decode(body).map(|children| Self::Inner(Box::new(children))),
            EMPTY => Err(CorruptNode::WrongLength),
            _ => Err(CorruptNode::UnknownKind),
        }
    }

    pub fn hash(&self) -> Hash {
        match self {
            Self::Empty => EMPTY_ROOT,
            Self::Leaf(leaf) => leaf.hash(),
            Self::Inner(children) => children.range_hash(0, 16),
        }
    }
}

impl Children {
    fn decode(body: &[u8]) -> Result<Self, CorruptNode> {
        let (bitmaps, rows) = body.split_first_chunk::<4>().ok_or(CorruptNode::WrongLength)?;
        let present = u16::from_le_bytes([bitmaps[0], bitmaps[1]]);
        let leaves = u16::from_le_bytes([bitmaps[2], bitmaps[3]]);
        let (rows, rest) = rows.as_chunks::<CHILD_BYTES>();
        if !rest.is_empty() || rows.len() != present.count_ones() as usize {
            return Err(CorruptNode::WrongLength);
        }
        if present == 0 || leaves & !present != 0 || (present.is_power_of_two() && leaves == present) {
            return Err(CorruptNode::ImpossibleChildren);
        }
        let mut children = Self::default();
        let mut rows = rows.iter();
        for (slot, child) in children.0.iter_mut().enumerate().filter(|(slot, _)| present >> slot & 1 == 1) {
            let (hash, version) = rows.next().expect("one row for every bit set").split_at(32);
            *child = Some(Child {
                hash: hash.try_into().expect("split at 32"),
                version: u64::from_le_bytes(version.try_into().expect("the other 8 of 40")),
                is_leaf: leaves >> slot & 1 == 1,
            });
        }
        Ok(children)
    }

    /// A damaged hash of a child is found where all of a subtree is read.
    pub fn are_named_by(&self, child: &Child, row: &[u8]) -> Result<(), MapError> {
        match self.range_hash(0, 16) == child.hash {
            true => Ok(()),
            false => Err(MapError::CorruptNode { key: hex::encode(row), fault: CorruptNode::OtherChildren }),
        }
    }

    fn bitmaps(&self) -> (u16, u16) {
        let (mut present, mut leaves) = (0, 0);
        for (slot, child) in self.0.iter().enumerate() {
            if let Some(child) = child {
                present |= 1 << slot;
                leaves |= u16::from(child.is_leaf) << slot;
            }
        }
        (present, leaves)
    }

    /// What stands for the aligned range of `width` slots from `start`.
    pub fn range(&self, start: usize, width: usize) -> Range<'_> {
        let mut present = self.0[start..start + width]
            .iter()
            .enumerate()
            .filter_map(|(slot, child)| child.as_ref().map(|child| (start + slot, child)));
        match (present.next(), present.next()) {
            (None, _) => Range::Empty,
            (Some((slot, child)), None) if width == 1 || child.is_leaf => Range::Child { slot, child },
            _ => Range::Split,
        }
    }

    pub fn range_hash(&self, start: usize, width: usize) -> Hash {
        match self.range(start, width) {
            Range::Empty => EMPTY_ROOT,
            Range::Child { child, .. } => child.hash,
            Range::Split => {
                let half = width / 2;
                inner_hash(&self.range_hash(start, half), &self.range_hash(start + half, half))
            }
        }
    }
}

/// A range of an inner node's slots, as one node of the binary tree.
pub(super) enum Range<'a> {
    Empty,
    /// A lone leaf, or the one child of a range of width 1.
    Child {
        slot: usize,
        child: &'a Child,
    },
    Split,
}

pub(super) fn leaf_hash(key_hash: &Hash, value_hash: &Hash) -> Hash {
    Sha256::new_with_prefix(b"JMT::LeafNode").chain_update(key_hash).chain_update(value_hash).finalize().into()
}

/// Nibble `index` of a key hash, the most significant first.
pub(super) fn nibble(key_hash: &Hash, index: usize) -> usize {
    let byte = key_hash[index / 2];
    usize::from(if index.is_multiple_of(2) { byte >> 4 } else { byte & 0x0f })
}

/// The key of the node at `version` under these nibbles.
pub(super) fn node_key(version: u64, nibbles: impl Iterator<Item = u8>) -> Vec<u8> {
    let mut key = Vec::with_capacity(9 + 8);
    key.extend_from_slice(&version.to_be_bytes());
    key.push(0);
    for (position, nibble) in nibbles.enumerate() {
        if position % 2 == 0 {
            key.push(nibble << 4);
        } else {
            *key.last_mut().expect("the nibble before this one was pushed") |= nibble;
        }
        key[8] += 1;
    }
    key
}

pub(super) fn root_key(version: u64) -> Vec<u8> {
    node_key(version, std::iter::empty())
}
