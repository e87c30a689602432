//! The public append-only log: an RFC 6962 Merkle tree over SHA-256 (rule L-1).
//!
//! What stays true here:
//! - Stored are only hashes of *complete* subtrees: node `(level, index)` covers the leaves
//!   `[index · 2^level, (index + 1) · 2^level)`. Such a node never changes, so storage is append-only too, a root can be
//!   computed at any earlier size, and a log that grew further than was voted for holds nothing wrong.
//! - An append reads at most 64 nodes, none if the caller keeps the [`Frontier`] from height to height.
//! - Verifying reads nothing.
//!
//! ```text
//! leaf hash = SHA-256(0x00 ‖ leaf)      node = SHA-256(0x01 ‖ left ‖ right)      root of nothing = SHA-256("")
//! ```
//! Proofs are lists of hashes in the order of RFC 6962, 2.1.1 and 2.1.2; their bytes are [`crate::merkle`]'s path bytes.
//!
//! Left to others: what a leaf contains, and who signs a root.

use sha2::{Digest, Sha256};

use crate::merkle::{self, PathError, TreeHasher};
use crate::{Hash, ReadError};

/// What the log needs of storage.
pub trait LogReader {
    /// The hash of the complete subtree `(level, index)`, if it was stored.
    fn node(&self, level: u8, index: u64) -> Result<Option<Hash>, ReadError>;
}

/// Where a complete subtree stands: level 0 are the leaves.
pub type Position = (u8, u64);

/// RFC 6962's hash functions. A leaf of [`merkle`] is 32 bytes; [`leaf_hash`] takes any.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rfc6962;

impl TreeHasher for Rfc6962 {
    fn empty(&self) -> Hash {
        Sha256::digest([]).into()
    }

    fn leaf(&self, leaf: &Hash) -> Hash {
        leaf_hash(leaf)
    }

    fn node(&self, left: &Hash, right: &Hash) -> Hash {
        Sha256::new_with_prefix([1]).chain_update(left).chain_update(right).finalize().into()
    }
}

pub fn leaf_hash(leaf: &[u8]) -> Hash {
    Sha256::new_with_prefix([0]).chain_update(leaf).finalize().into()
}

#[derive(Debug, thiserror::Error)]
pub enum LogError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("the log's storage lacks the subtree at level {level}, index {index}")]
    MissingNode { level: u8, index: u64 },
    #[error("leaf index {index} is not below the log's size {size}")]
    IndexOutOfRange { index: u64, size: u64 },
    #[error("the first size {first} is above the second size {second}")]
    SizesOutOfOrder { first: u64, second: u64 },
    #[error("the log would hold 2^64 leaves")]
    Full,
}

/// What an append adds. `nodes` in ascending order of creation: a node comes after both of its children.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogAppend {
    pub nodes: Vec<(Position, Hash)>,
    pub size: u64,
    pub root: Hash,
}

/// The complete subtrees whose leaves are exactly the log's, largest first: one for every bit set in the size.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Frontier {
    size: u64,
    peaks: Vec<Hash>,
}

impl Frontier {
    /// Reads one node for every bit set in `size`.
    pub fn load<R: LogReader + ?Sized>(reader: &R, size: u64) -> Result<Self, LogError> {
        let peaks = peak_positions(0, size).map(|position| stored(reader, position)).collect::<Result<_, _>>()?;
        Ok(Self { size, peaks })
    }

    pub fn size(&self) -> u64 {
        self.size
    }

    pub fn root(&self) -> Hash {
        root_of_peaks(&self.peaks)
    }

    /// Appends leaves, given by their [`leaf_hash`].
    pub fn append(&mut self, leaf_hashes: &[Hash]) -> Result<LogAppend, LogError> {
        let grown = self.size.checked_add(leaf_hashes.len() as u64).ok_or(LogError::Full)?;
        // A log of n leaves has fewer than 2n complete subtrees.
        let mut nodes = Vec::with_capacity(2 * leaf_hashes.len());
        for leaf_hash in leaf_hashes {
            let (mut level, mut index, mut hash) = (0u8, self.size, *leaf_hash);
            nodes.push(((level, index), hash));
            // Every trailing one of the old size is a subtree that this leaf completes, as in a binary carry.
            while index & 1 == 1 {
                let left = self.peaks.pop().expect("the size has a peak for every bit set");
                hash = Rfc6962.node(&left, &hash);
                (level, index) = (level + 1, index >> 1);
                nodes.push(((level, index), hash));
            }
            self.peaks.push(hash);
            self.size += 1;
        }
        debug_assert_eq!(self.size, grown);
        Ok(LogAppend { nodes, size: self.size, root: self.root() })
    }
}

/// Of a tree over these, given by their [`leaf_hash`]; or over the roots of subtrees of one size, which only the last may fall short
/// of.
pub fn root_of_leaves(hashes: &[Hash]) -> Hash {
    let mut frontier = Frontier::default();
    frontier.append(hashes).expect("fewer than 2^64 are in memory").root
}

/// Appends to a log of `size` leaves; the caller stores [`LogAppend::nodes`].
pub fn append<R: LogReader + ?Sized>(reader: &R, size: u64, leaf_hashes: &[Hash]) -> Result<LogAppend, LogError> {
    Frontier::load(reader, size)?.append(leaf_hashes)
}

/// The root at any size up to the stored one.
pub fn root<R: LogReader + ?Sized>(reader: &R, size: u64) -> Result<Hash, LogError> {
    Ok(Frontier::load(reader, size)?.root())
}

/// The path from leaf `index` to the root at `size` (RFC 6962, 2.1.1). Reads O(log size) nodes.
pub fn prove_inclusion<R: LogReader + ?Sized>(reader: &R, index: u64, size: u64) -> Result<Vec<Hash>, LogError> {
    if index >= size {
        return Err(LogError::IndexOutOfRange { index, size });
    }
    let mut proof = Vec::new();
    let (mut begin, mut count) = (0, size);
    while count > 1 {
        let left = largest_power_of_two_below(count);
        if index - begin < left {
            proof.push(subtree(reader, begin + left, count - left)?);
            count = left;
        } else {
            proof.push(subtree(reader, begin, left)?);
            (begin, count) = (begin + left, count - left);
        }
    }
    proof.reverse();
    Ok(proof)
}

/// The proof that the log at `first` is a prefix of the log at `second` (RFC 6962, 2.1.2); from size 0 and between
/// equal sizes it is empty. Reads O(log second) nodes.
pub fn prove_consistency<R: LogReader + ?Sized>(reader: &R, first: u64, second: u64) -> Result<Vec<Hash>, LogError> {
    if first > second {
        return Err(LogError::SizesOutOfOrder { first, second });
    }
    let mut proof = Vec::new();
    if first == 0 || first == second {
        return Ok(proof);
    }
    let (mut begin, mut count, mut remaining) = (0, second, first);
    // While no left part was skipped, the old tree ends in a subtree whose root the verifier has: it is the old root.
    let mut old_root_is_subtree = true;
    while remaining < count {
        let left = largest_power_of_two_below(count);
        if remaining <= left {
            proof.push(subtree(reader, begin + left, count - left)?);
            count = left;
        } else {
            proof.push(subtree(reader, begin, left)?);
            (begin, count, remaining) = (begin + left, count - left, remaining - left);
            old_root_is_subtree = false;
        }
    }
    if !old_root_is_subtree {
        proof.push(subtree(reader, begin, count)?);
    }
    proof.reverse();
    Ok(proof)
}

/// Checks that the leaf with this [`leaf_hash`] is number `index` of the log of `size` leaves under `root`.
pub fn verify_inclusion(root: &Hash, index: u64, size: u64, leaf_hash: &Hash, proof: &[Hash]) -> Result<(), PathError> {
    let reached = root_of_inclusion(index, size, leaf_hash, proof)?;
    if reached == *root { Ok(()) } else { Err(PathError::RootDiffers) }
}

/// The root of the log of `size` leaves to which `proof` leads from the leaf with this [`leaf_hash`] at `index`.
pub fn root_of_inclusion(index: u64, size: u64, leaf_hash: &Hash, proof: &[Hash]) -> Result<Hash, PathError> {
    merkle::root_of_path(&Rfc6962, index, size, *leaf_hash, proof)
}

/// Why a consistency proof fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ConsistencyError {
    #[error("the first size {first} is above the second size {second}")]
    SizesOutOfOrder { first: u64, second: u64 },
    #[error("the proof has fewer hashes than these sizes need")]
    TooShort,
    #[error("the proof has more hashes than these sizes need")]
    TooLong,
    #[error("the proof does not lead to the first root")]
    FirstRootDiffers,
    #[error("the proof does not lead to the second root")]
    SecondRootDiffers,
}

/// Checks that a log only grew from `first` to `second` (RFC 9162, 2.1.4.2). Of a log of size 0 only the root is
/// checked: everything extends it.
pub fn verify_consistency(
    first: u64,
    first_root: &Hash,
    second: u64,
    second_root: &Hash,
    proof: &[Hash],
) -> Result<(), ConsistencyError> {
    use ConsistencyError::{FirstRootDiffers, SecondRootDiffers, SizesOutOfOrder, TooLong, TooShort};
    if first > second {
        return Err(SizesOutOfOrder { first, second });
    }
    if first == 0 && *first_root != Rfc6962.empty() {
        return Err(FirstRootDiffers);
    }
    if first == second && first_root != second_root {
        return Err(SecondRootDiffers);
    }
    if first == 0 || first == second {
        return if proof.is_empty() { Ok(()) } else { Err(TooLong) };
    }

    let (mut position, mut last) = (first - 1, second - 1);
    while position & 1 == 1 {
        position >>= 1;
        last >>= 1;
    }
    // A first size that is a power of two is a complete subtree: its root opens the proof and is not sent.
    let (start, rest) = match first.is_power_of_two() {
        true => (*first_root, proof),
        false => proof.split_first().map(|(start, rest)| (*start, rest)).ok_or(TooShort)?,
    };
    let (mut first_hash, mut second_hash) = (start, start);
    for sibling in rest {
        if last == 0 {
            return Err(TooLong);
        }
        if position & 1 == 1 || position == last {
            first_hash = Rfc6962.node(sibling, &first_hash);
            second_hash = Rfc6962.node(sibling, &second_hash);
            while position & 1 == 0 && position != 0 {
                position >>= 1;
                last >>= 1;
            }
        } else {
            second_hash = Rfc6962.node(&second_hash, sibling);
        }
        position >>= 1;
        last >>= 1;
    }
    if last != 0 {
        Err(TooShort)
    } else if first_hash != *first_root {
        Err(FirstRootDiffers)
    } else if second_hash != *second_root {
        Err(SecondRootDiffers)
    } else {
        Ok(())
    }
}

fn stored<R: LogReader + ?Sized>(reader: &R, (level, index): Position) -> Result<Hash, LogError> {
    reader.node(level, index)?.ok_or(LogError::MissingNode { level, index })
}

/// The complete subtrees that make up `[begin, begin + count)`, largest first. `begin` is a multiple of every one's size.
fn peak_positions(begin: u64, count: u64) -> impl Iterator<Item = Position> {
    let mut next = begin;
    (0..64u8).rev().filter(move |level| count >> level & 1 == 1).map(move |level| {
        let index = next >> level;
        next += 1 << level;
        (level, index)
    })
}

/// The hash over `[begin, begin + count)`: one read if it is complete, else one for every bit set in `count`.
fn subtree<R: LogReader + ?Sized>(reader: &R, begin: u64, count: u64) -> Result<Hash, LogError> {
    let peaks = peak_positions(begin, count).map(|position| stored(reader, position)).collect::<Result<Vec<_>, _>>()?;
    Ok(root_of_peaks(&peaks))
}

fn root_of_peaks(peaks: &[Hash]) -> Hash {
    let folded = peaks.iter().rev().copied().reduce(|right, left| Rfc6962.node(&left, &right));
    folded.unwrap_or_else(|| Rfc6962.empty())
}

/// For `count` ≥ 2.
fn largest_power_of_two_below(count: u64) -> u64 {
    1 << (count - 1).ilog2()
}
