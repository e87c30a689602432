//! All entries whose key hashes begin with the same bits, and the proof that they are all.
//!
//! What stays true here:
//! - The proof is the subtree itself: its root is computed from the entries, so one that is left out, added or altered leads to
//!   another root. Whoever asks names a prefix, and learns of every key hash below it whether it is there.
//! - A subtree with one entry is that entry's leaf, however high it stands. So the walk towards a prefix may end above it: then
//!   at most one entry is listed, and it may be none of the prefix's.

use super::node::{Children, Leaf, Node, Range, leaf_hash, node_key, root_key};
use super::proof::{EMPTY_ROOT, bit, inner_hash};
use super::prove::read;
use super::{MapError, MapReader, Version};
use crate::Hash;

/// The first bits of a key hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prefix {
    bits: u8,
    first: [u8; 4],
}

impl Prefix {
    /// 2^32 prefixes are enough for 10^11 entries.
    pub const BITS_MAX: u8 = 32;

    /// `None` if there are too many bits, or if one behind them is set.
    pub fn new(bits: u8, first: [u8; 4]) -> Option<Self> {
        let mask = Self::mask(bits)?;
        (u32::from_be_bytes(first) & !mask == 0).then_some(Prefix { bits, first })
    }

    /// `None` if there are too many bits.
    pub fn of(key_hash: &Hash, bits: u8) -> Option<Self> {
        let first = u32::from_be_bytes(*key_hash.first_chunk().expect("4 of 32 bytes"));
        Some(Prefix { bits, first: (first & Self::mask(bits)?).to_be_bytes() })
    }

    fn mask(bits: u8) -> Option<u32> {
        let behind = u32::from(Self::BITS_MAX.checked_sub(bits)?);
        Some(u32::MAX.checked_shl(behind).unwrap_or(0))
    }

    pub fn bits(&self) -> u8 {
        self.bits
    }

    /// The bits behind the prefix are zero.
    pub fn first(&self) -> [u8; 4] {
        self.first
    }

    pub fn contains(&self, key_hash: &Hash) -> bool {
        self.agrees(key_hash, self.bits.into())
    }

    fn agrees(&self, key_hash: &Hash, depth: usize) -> bool {
        (0..depth).all(|depth| bit(key_hash, depth) == self.bit(depth))
    }

    fn bit(&self, depth: usize) -> bool {
        self.first[depth / 8] >> (7 - depth % 8) & 1 == 1
    }
}

/// What stands below a prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Below {
    /// Of the subtree in which the walk towards the prefix ends, root first.
    pub siblings: Vec<Hash>,
    /// (key hash, value), ascending: all entries of that subtree.
    pub entries: Vec<(Hash, Vec<u8>)>,
}

/// All entries below a prefix as of a version, with the way up to its [`root`](super::root); `None` if they are more than
/// `entries_max`. Reads one row an entry, and some for the levels above.
pub fn prove_below<R: MapReader + ?Sized>(
    reader: &R,
    version: Version,
    prefix: &Prefix,
    entries_max: usize,
) -> Result<Option<Below>, MapError> {
    let mut node = read(reader, &root_key(version.get()))?.ok_or(MapError::MissingRoot(version))?;
    let (mut siblings, mut path) = (Vec::new(), Vec::new());
    let mut found = Entries { reader, entries: Vec::new(), entries_max };
    'walk: loop {
        let children = match node {
            Node::Empty => break,
            Node::Leaf(leaf) => {
                found.push(leaf);
                break;
            }
            Node::Inner(children) => children,
        };
        let (mut start, mut width) = (0, 16);
        let depth = 4 * path.len();
        for depth in depth..usize::from(prefix.bits).min(depth + 4) {
            let half = width / 2;
            let (towards, sibling) = if prefix.bit(depth) { (start + half, start) } else { (start, start + half) };
            siblings.push(children.range_hash(sibling, half));
            (start, width) = (towards, half);
            // Where the walk ends above the prefix, nothing stands beside it in this subtree.
            match children.range(start, width) {
                Range::Empty => break 'walk,
                Range::Child { child, .. } if child.is_leaf => {
                    found.take(&children, start, width, &mut path)?;
                    break 'walk;
                }
                Range::Child { .. } | Range::Split => {}
            }
        }
        if usize::from(prefix.bits) <= depth + 4 {
            found.take(&children, start, width, &mut path)?;
            break;
        }
        let child = children.0[start].expect("a range of width 1 that is not empty is its child");
        path.push(u8::try_from(start).expect("one of sixteen slots"));
        let row = node_key(child.version, path.iter().copied());
        node = read(reader, &row)?.ok_or_else(|| MapError::MissingNode { key: hex::encode(&row) })?;
        if let Node::Inner(children) = &node {
            children.are_named_by(&child, &row)?;
        }
    }
    let complete = found.entries.len() <= entries_max;
    Ok(complete.then_some(Below { siblings, entries: found.entries }))
}

struct Entries<'a, R: ?Sized> {
    reader: &'a R,
    entries: Vec<(Hash, Vec<u8>)>,
    entries_max: usize,
}

impl<R: MapReader + ?Sized> Entries<'_, R> {
    fn push(&mut self, leaf: Leaf) {
        self.entries.push((leaf.key_hash, leaf.value));
    }

    /// Everything below these slots of the node at `path`; stops soon after there are too many.
    fn take(&mut self, children: &Children, start: usize, width: usize, path: &mut Vec<u8>) -> Result<(), MapError> {
        let slots = (start..start + width).filter_map(|slot| Some((slot, children.0[slot]?)));
        let slots: Vec<_> = slots
            .map(|(slot, child)| {
                let slot = u8::try_from(slot).expect("one of sixteen slots");
                (slot, child, node_key(child.version, path.iter().copied().chain([slot])))
            })
            .collect();
        let rows: Vec<Vec<u8>> = slots.iter().map(|(.., row)| row.clone()).collect();
        for ((slot, child, row), bytes) in slots.into_iter().zip(self.reader.nodes(&rows)?) {
            if self.entries.len() > self.entries_max {
                return Ok(());
            }
            let bytes = bytes.ok_or_else(|| MapError::MissingNode { key: hex::encode(&row) })?;
            let corrupt = |fault| MapError::CorruptNode { key: hex::encode(&row), fault };
            match Node::decode(&bytes).map_err(corrupt)? {
                Node::Empty => return Err(MapError::Inconsistent("an empty node stands below another".into())),
                Node::Leaf(leaf) => {
                    leaf.is_named_by(&child, &row)?;
                    self.push(leaf);
                }
                Node::Inner(_) if path.len() >= 63 => {
                    let fault = "an inner node stands below the last bit of a key hash";
                    return Err(MapError::Inconsistent(fault.into()));
                }
                Node::Inner(below) => {
                    below.are_named_by(&child, &row)?;
                    path.push(slot);
                    self.take(&below, 0, 16, path)?;
                    path.pop();
                }
            }
        }
        Ok(())
    }
}

/// Why entries are not all that stand below a prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BelowError {
    #[error("there are more siblings than the prefix has bits")]
    TooDeep,
    #[error("the walk ends above the prefix, where one entry can stand at most")]
    EndsAbove,
    #[error("an entry does not stand in the subtree where the walk ends")]
    EntryElsewhere,
    #[error("the entries are not strictly ascending")]
    NotAscending,
    #[error("the entries lead to another root")]
    RootDiffers,
}

/// Checks that the map under `root` holds, in the subtree where the walk towards the prefix ends, these (key hash, value hash)
/// and no others: so of the keys that begin with the prefix exactly those that are listed are there.
pub fn verify_below(
    root: &Hash,
    prefix: &Prefix,
    siblings: &[Hash],
    entries: &[(Hash, Hash)],
) -> Result<(), BelowError> {
    let depth = siblings.len();
    if depth > usize::from(prefix.bits) {
        return Err(BelowError::TooDeep);
    }
    if depth < usize::from(prefix.bits) && entries.len() > 1 {
        return Err(BelowError::EndsAbove);
    }
    if !entries.iter().all(|(key_hash, _)| prefix.agrees(key_hash, depth)) {
        return Err(BelowError::EntryElsewhere);
    }
    if !entries.is_sorted_by(|one, next| one.0 < next.0) {
        return Err(BelowError::NotAscending);
    }
    let climb = |hash, (depth, sibling): (usize, &Hash)| match prefix.bit(depth) {
        true => inner_hash(sibling, &hash),
        false => inner_hash(&hash, sibling),
    };
    let reached = siblings.iter().enumerate().rev().fold(subtree_root(entries, depth), climb);
    if reached == *root { Ok(()) } else { Err(BelowError::RootDiffers) }
}

/// L-4, as it is written. The entries ascend strictly and agree in their first `depth` bits, so that it ends.
fn subtree_root(entries: &[(Hash, Hash)], depth: usize) -> Hash {
    match entries {
        [] => EMPTY_ROOT,
        [(key_hash, value_hash)] => leaf_hash(key_hash, value_hash),
        several => {
            let (left, right) = several.split_at(several.partition_point(|(key_hash, _)| !bit(key_hash, depth)));
            inner_hash(&subtree_root(left, depth + 1), &subtree_root(right, depth + 1))
        }
    }
}
