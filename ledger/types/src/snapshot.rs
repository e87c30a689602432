//! The hash of all state that the transition reads and no tree commits to (B-7): what a node that joins by a snapshot checks.
//!
//! ```text
//! row           = key ‖ value, canonical, of one part         parts: 1 small state, 2 coins, 3 pending amounts,
//!                                                             4 packages, 5 open obligations
//! chunk         = part u8 ‖ rows, ascending by key, up to and with the row that brings it to 131,072 bytes or more;
//!                 the last chunk of a part is what is left; a part without rows has no chunk
//! chunk hash    = D("snapshot chunk", chunk)
//! snapshot hash = D("snapshot", height u64 ‖ block hash ‖ count of chunks u32 ‖ Merkle root of the chunk hashes)
//! ```
//! Chunks stand in the parts' order. The block is the one after which the state is: its header commits to the log and the map.
//! Delta says that two states had the same history; it cannot be computed from a state. This can, by whoever has only the rows: a
//! joining node takes chunks from anybody and believes none before it is checked. The chunks are a function of the rows.

use crate::domain::{Chain, Tag};
use crate::ids::{BlockHash, Height};
use crate::merkle;
use crate::{layout, numbered};

/// A chunk ends with the row that fills it so far: small against what a node keeps of a request, and 2,900 chunks for 10^7 coins.
pub const CHUNK_BYTES: usize = 131_072;
/// States after heights divisible by it are hashed.
pub const SNAPSHOT_HEIGHTS: u64 = 10_000;
/// So many heights later the hash is in the state root: reading all rows takes longer than a height.
pub const SNAPSHOT_DELAY: u64 = 1_000;

/// The height whose state's hash enters the state root of this height; none at most heights.
pub fn snapshot_due_at(height: Height) -> Option<Height> {
    let of = height.0.checked_sub(SNAPSHOT_DELAY)?;
    (of > 0 && of.is_multiple_of(SNAPSHOT_HEIGHTS)).then_some(Height(of))
}

/// Whether the state after this height is hashed.
pub fn is_snapshot_height(height: Height) -> bool {
    height.0 > 0 && height.0.is_multiple_of(SNAPSHOT_HEIGHTS)
}

/// A state, by its height and its snapshot hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotHash {
    pub height: Height,
    pub hash: [u8; 32],
}
layout!(SnapshotHash { height, hash });

numbered! {
    /// What a chunk's rows are about; its number opens the chunk.
    pub enum Part {
        /// One row, without a key.
        SmallState = 1,
        Coins = 2,
        PendingAmounts = 3,
        Packages = 4,
        Obligations = 5,
    }
}

/// Cuts rows into chunks. The parts' rows are put in the parts' order, and ascending by key.
#[derive(Debug, Default)]
pub struct Chunks {
    open: Option<(Part, Vec<u8>)>,
}

impl Chunks {
    /// Whether a row of this part would be the first of its chunk.
    pub fn begins(&self, part: Part) -> bool {
        self.open.as_ref().is_none_or(|(open, _)| *open != part)
    }

    /// The chunks that this row completes: the last one of the part before, and its own if it fills that.
    pub fn put(&mut self, part: Part, row: &[u8]) -> impl Iterator<Item = Vec<u8>> + use<> {
        let ended = match &self.open {
            Some((open, _)) if *open != part => self.open.take().map(|(_, chunk)| chunk),
            _ => None,
        };
        let (_, chunk) = self.open.get_or_insert_with(|| (part, vec![part as u8]));
        chunk.extend_from_slice(row);
        let filled = if chunk.len() >= CHUNK_BYTES { self.open.take().map(|(_, chunk)| chunk) } else { None };
        ended.into_iter().chain(filled)
    }

    /// The last one.
    pub fn end(self) -> Option<Vec<u8>> {
        self.open.map(|(_, chunk)| chunk)
    }
}

pub fn chunk_hash(chain: &Chain, chunk: &[u8]) -> [u8; 32] {
    chain.hash(Tag::SnapshotChunk, &[chunk])
}

/// What a snapshot hash commits to.
#[derive(Clone, Copy, Debug)]
pub struct SnapshotCommitment<'a> {
    pub height: Height,
    /// The block after which the state is.
    pub block: BlockHash,
    /// The hashes of all chunks, in their order.
    pub chunks: &'a [[u8; 32]],
}

impl SnapshotCommitment<'_> {
    pub fn hash(&self, chain: &Chain) -> [u8; 32] {
        let count = (self.chunks.len() as u32).to_le_bytes();
        let root = merkle::root(chain, self.chunks);
        chain.hash(Tag::Snapshot, &[&self.height.0.to_le_bytes(), &self.block.0, &count, &root.0])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::GenesisHash;

    const CHAIN: Chain = Chain::new(GenesisHash([7; 32]));

    fn chunks(rows: &[(Part, Vec<u8>)]) -> Vec<Vec<u8>> {
        let mut chunks = Chunks::default();
        let mut cut: Vec<_> = rows.iter().flat_map(|(part, row)| chunks.put(*part, row)).collect();
        cut.extend(chunks.end());
        cut
    }

    fn hash_at(height: u64, block: u8, rows: &[(Part, Vec<u8>)]) -> [u8; 32] {
        let hashes: Vec<_> = chunks(rows).iter().map(|chunk| chunk_hash(&CHAIN, chunk)).collect();
        SnapshotCommitment { height: Height(height), block: BlockHash([block; 32]), chunks: &hashes }.hash(&CHAIN)
    }

    fn hash(rows: &[(Part, Vec<u8>)]) -> [u8; 32] {
        hash_at(10_000, 1, rows)
    }

    #[test]
    fn b7_every_row_its_place_and_its_part_are_in_the_hash() {
        let rows: Vec<_> =
            (0..6u8).map(|n| (if n < 3 { Part::Coins } else { Part::Obligations }, vec![n; 37])).collect();
        let whole = hash(&rows);
        for spoil in [
            |rows: &mut Vec<(Part, Vec<u8>)>| rows[1].1[36] ^= 1,
            |rows: &mut Vec<(Part, Vec<u8>)>| drop(rows.remove(4)),
            |rows: &mut Vec<(Part, Vec<u8>)>| rows.swap(0, 1),
            |rows: &mut Vec<(Part, Vec<u8>)>| rows.push(rows[5].clone()),
            |rows: &mut Vec<(Part, Vec<u8>)>| rows[2].0 = Part::SmallState,
        ] {
            let mut rows = rows.clone();
            spoil(&mut rows);
            assert_ne!(hash(&rows), whole);
        }
        assert_ne!(hash_at(20_000, 1, &rows), whole);
        assert_ne!(hash_at(10_000, 2, &rows), whole);
    }

    #[test]
    fn b7_a_chunk_ends_with_the_row_that_fills_it_and_with_its_part() {
        // 1 byte of the part and 3,542 rows are 131,055 bytes; the next row fills the chunk.
        let coin = |n: u32| (Part::Coins, [&n.to_be_bytes()[..], &[0; 33]].concat());
        let lengths = |rows: Vec<_>| chunks(&rows).iter().map(Vec::len).collect::<Vec<_>>();
        assert_eq!(lengths((0..3_542).map(coin).collect()), [131_055]);
        assert_eq!(lengths((0..3_543).map(coin).collect()), [131_092]);
        assert_eq!(lengths((0..3_544).map(coin).collect()), [131_092, 38]);
        let large = (Part::Packages, vec![1; 300_000]);
        let mixed =
            vec![(Part::SmallState, vec![0; 9]), coin(1), large.clone(), large, (Part::Obligations, vec![2; 5])];
        assert_eq!(lengths(mixed), [10, 38, 300_001, 300_001, 6]);
        assert_eq!(lengths(Vec::new()), [0usize; 0]);
    }

    #[test]
    fn b7_a_hash_is_due_a_thousand_heights_after_every_ten_thousandth() {
        let due: Vec<_> =
            (0..32_000).filter_map(|height| snapshot_due_at(Height(height)).map(|of| (height, of.0))).collect();
        assert_eq!(due, [(11_000, 10_000), (21_000, 20_000), (31_000, 30_000)]);
        assert!(
            !is_snapshot_height(Height(0)) && is_snapshot_height(Height(10_000)) && !is_snapshot_height(Height(10_001))
        );
    }
}
