//! A binary Merkle tree of the RFC 6962 shape over a caller's hash functions: roots, paths and their check.
//!
//! What stays true here:
//! - The shape depends on the number of leaves only. The left subtree of `n` leaves holds the largest power of two below
//!   `n`; built level by level, a node without a right neighbour is carried up unchanged.
//! - A path has one accepted length for a given index and count, so a proof has one form.
//!
//! Left to the caller: leaf and inner hashes must lie in different domains (else an inner node passes for a leaf), and
//! the count must come from where the root comes from, for the root alone does not fix it.
//!
//! Path bytes: `count u16 ‖ count × hash[32]`, little-endian, siblings from the leaf's level up, at most
//! [`PATH_HASHES_MAX`], nothing after.

use crate::Hash;

/// A tree of 2^64 leaves is 64 levels deep.
pub const PATH_HASHES_MAX: usize = 64;

/// The hash functions of one tree.
pub trait TreeHasher {
    /// The root over no leaves.
    fn empty(&self) -> Hash;
    fn leaf(&self, leaf: &Hash) -> Hash;
    fn node(&self, left: &Hash, right: &Hash) -> Hash;
}

/// Why a path does not prove its leaf.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    #[error("leaf index {index} is not below the leaf count {count}")]
    IndexOutOfRange { index: u64, count: u64 },
    #[error("the path has fewer hashes than this leaf has levels above it")]
    TooShort,
    #[error("the path has more hashes than this leaf has levels above it")]
    TooLong,
    #[error("the path leads to another root")]
    RootDiffers,
}

/// Why bytes are not a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathBytesError {
    #[error("the path claims {0} hashes, more than {PATH_HASHES_MAX}")]
    TooManyHashes(u16),
    #[error("the path's bytes end early")]
    Truncated,
    #[error("bytes follow the path")]
    Leftover,
}

/// All levels of one tree in memory: for a block's worth of leaves, of which many paths are asked.
#[derive(Debug, Clone)]
pub struct Tree {
    /// Leaf hashes first; the last level has one hash, unless there are no leaves.
    levels: Vec<Vec<Hash>>,
    root: Hash,
}

impl Tree {
    pub fn build(hasher: &impl TreeHasher, leaves: &[Hash]) -> Self {
        let mut level: Vec<Hash> = leaves.iter().map(|leaf| hasher.leaf(leaf)).collect();
        let mut levels = Vec::new();
        while level.len() > 1 {
            let above = level_above(hasher, &level);
            levels.push(std::mem::replace(&mut level, above));
        }
        let root = level.first().copied().unwrap_or_else(|| hasher.empty());
        levels.push(level);
        Self { levels, root }
    }

    pub fn root(&self) -> Hash {
        self.root
    }

    /// The siblings from the leaf's level up, or `None` when there is no such leaf.
    pub fn path(&self, index: u64) -> Option<Vec<Hash>> {
        let mut position = usize::try_from(index).ok().filter(|index| *index < self.levels[0].len())?;
        let mut path = Vec::new();
        for level in &self.levels {
            path.extend(level.get(position ^ 1));
            position >>= 1;
        }
        Some(path)
    }
}

fn level_above(hasher: &impl TreeHasher, level: &[Hash]) -> Vec<Hash> {
    let pair = |pair: &[Hash]| match pair {
        [left, right] => hasher.node(left, right),
        alone => alone[0],
    };
    level.chunks(2).map(pair).collect()
}

/// The root over `leaves`, keeping no levels.
pub fn root(hasher: &impl TreeHasher, leaves: &[Hash]) -> Hash {
    let mut level: Vec<Hash> = leaves.iter().map(|leaf| hasher.leaf(leaf)).collect();
    while level.len() > 1 {
        level = level_above(hasher, &level);
    }
    level.first().copied().unwrap_or_else(|| hasher.empty())
}

/// One path; who needs several builds a [`Tree`].
pub fn path(hasher: &impl TreeHasher, leaves: &[Hash], index: u64) -> Option<Vec<Hash>> {
    Tree::build(hasher, leaves).path(index)
}

/// Checks that `leaf` is number `index` of the `count` leaves under `root`.
pub fn verify_path(
    hasher: &impl TreeHasher,
    root: &Hash,
    index: u64,
    count: u64,
    leaf: &Hash,
    path: &[Hash],
) -> Result<(), PathError> {
    let reached = root_of_path(hasher, index, count, hasher.leaf(leaf), path)?;
    if reached == *root { Ok(()) } else { Err(PathError::RootDiffers) }
}

/// The root that a path leads to (RFC 9162, 2.1.3.2), for a leaf that is hashed already.
pub(crate) fn root_of_path(
    hasher: &impl TreeHasher,
    index: u64,
    count: u64,
    leaf_hash: Hash,
    path: &[Hash],
) -> Result<Hash, PathError> {
    if index >= count {
        return Err(PathError::IndexOutOfRange { index, count });
    }
    let (mut position, mut last) = (index, count - 1);
    let mut hash = leaf_hash;
    for sibling in path {
        if last == 0 {
            return Err(PathError::TooLong);
        }
        if position & 1 == 1 || position == last {
            hash = hasher.node(sibling, &hash);
            // The last node of a level without a right neighbour was carried up: skip those levels.
            while position & 1 == 0 && position != 0 {
                position >>= 1;
                last >>= 1;
            }
        } else {
            hash = hasher.node(&hash, sibling);
        }
        position >>= 1;
        last >>= 1;
    }
    if last == 0 { Ok(hash) } else { Err(PathError::TooShort) }
}

/// The bytes of a path that this package made or decoded.
pub fn encode_path(path: &[Hash]) -> Vec<u8> {
    assert!(path.len() <= PATH_HASHES_MAX, "a path of 2^64 leaves has 64 hashes");
    let mut bytes = Vec::with_capacity(2 + 32 * path.len());
    bytes.extend_from_slice(&(path.len() as u16).to_le_bytes());
    bytes.extend(path.iter().flatten());
    bytes
}

pub fn decode_path(bytes: &[u8]) -> Result<Vec<Hash>, PathBytesError> {
    let (count, hashes) = bytes.split_first_chunk::<2>().ok_or(PathBytesError::Truncated)?;
    let count = u16::from_le_bytes(*count);
    if usize::from(count) > PATH_HASHES_MAX {
        return Err(PathBytesError::TooManyHashes(count));
    }
    match hashes.len().cmp(&(32 * usize::from(count))) {
        std::cmp::Ordering::Less => Err(PathBytesError::Truncated),
        std::cmp::Ordering::Greater => Err(PathBytesError::Leftover),
        std::cmp::Ordering::Equal => Ok(hashes.as_chunks::<32>().0.to_vec()),
    }
}
