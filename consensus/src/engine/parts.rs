//! A proposed block travels in parts, and is put together again within bounds (trap 9).
//!
//! What must stay true: a part says by itself which block of which height and round it belongs to, so that parts may come in
//! any order; the parts of a block come from one publisher, which the caller has checked to be allowed to propose it; nothing
//! is allocated beyond [`BLOCK_BYTES_MAX`] (B-11) an assembly and [`ASSEMBLIES_MAX`] assemblies; an assembled block hashes to the hash
//! that its parts named.
//!
//! A block that is whole is not a block that is valid: it was only decoded.

use super::context::Assay;
use arc_malachitebft_core_types as core;
use bytes::Bytes;
use ledger_types::block::{BLOCK_BYTES_MAX, Block};
use ledger_types::{BlockHash, Chain, Decode, Encode, Height, ParticipantNumber};
use std::collections::BTreeMap;

/// One gossip message (B-12). Most blocks fit in one: 1,024 certificates of four acks are 326 kB.
pub const PART_BYTES_MAX: usize = 128 << 10;
/// Blocks being assembled (B-12): two a publisher would do for seven publishers at once; more only come from an
/// attacker.
pub const ASSEMBLIES_MAX: usize = 16;

const PARTS_MAX: usize = BLOCK_BYTES_MAX.div_ceil(PART_BYTES_MAX);

#[derive(Clone, PartialEq, Eq)]
pub struct BlockPart {
    pub height: Height,
    pub round: u32,
    pub block: BlockHash,
    /// Of the whole encoded block.
    pub block_bytes: u32,
    pub index: u16,
    /// [`PART_BYTES_MAX`] bytes, or what is left for the last part.
    pub bytes: Bytes,
}

impl std::fmt::Debug for BlockPart {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let BlockPart { height, round, block, index, bytes, .. } = self;
        write!(f, "BlockPart({height}/{round} {block:?} #{index}, {} bytes)", bytes.len())
    }
}

impl core::ProposalPart<Assay> for BlockPart {
    fn is_first(&self) -> bool {
        self.index == 0
    }

    fn is_last(&self) -> bool {
        usize::from(self.index) + 1 == self.count()
    }
}

impl BlockPart {
    fn count(&self) -> usize {
        (self.block_bytes as usize).div_ceil(PART_BYTES_MAX)
    }

    /// Its size is what its place in the block demands (B-12), and the block's size is bounded (B-11).
    pub fn is_well_formed(&self) -> bool {
        let (total, start) = (self.block_bytes as usize, usize::from(self.index) * PART_BYTES_MAX);
        (1..=BLOCK_BYTES_MAX).contains(&total) && start < total && self.bytes.len() == PART_BYTES_MAX.min(total - start)
    }
}

/// Cuts an encoded block.
pub fn cut(height: Height, round: u32, block: BlockHash, encoded: &Bytes) -> Vec<BlockPart> {
    let block_bytes = u32::try_from(encoded.len()).expect("a block is at most BLOCK_BYTES_MAX");
    (0..encoded.len().div_ceil(PART_BYTES_MAX))
        .map(|index| {
            let start = index * PART_BYTES_MAX;
            let bytes = encoded.slice(start..encoded.len().min(start + PART_BYTES_MAX));
            BlockPart { height, round, block, block_bytes, index: index as u16, bytes }
        })
        .collect()
}

/// A block that came whole out of its parts.
#[derive(Clone, Debug)]
pub struct Assembled {
    pub round: u32,
    pub hash: BlockHash,
    pub block: Block,
    pub encoded: Bytes,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum PartRefused {
    #[error("the part's size does not fit its place in the block")]
    Malformed,
    #[error("the block's size was given differently before")]
    SizeChanged,
    #[error("the assembled bytes are no block: {0}")]
    Decode(#[from] ledger_types::DecodeError),
    #[error("the block has another hash or height than its parts say")]
    OtherBlock,
}

type Key = (Height, u32, ParticipantNumber, BlockHash);

#[derive(Default)]
pub struct Assemblies {
    open: BTreeMap<Key, Assembly>,
}

struct Assembly {
    block_bytes: u32,
    parts: BTreeMap<u16, Bytes>,
}

impl Assemblies {
    /// Takes a part of a publisher that may propose in this round; returns the block when it is whole.
    pub fn add(
        &mut self,
        chain: &Chain,
        publisher: ParticipantNumber,
        part: BlockPart,
    ) -> Result<Option<Assembled>, PartRefused> {
        if !part.is_well_formed() {
            return Err(PartRefused::Malformed);
        }
        let key = (part.height, part.round, publisher, part.block);
        let (count, block_bytes) = (part.count(), part.block_bytes);
        let assembly = self.open.entry(key).or_insert_with(|| Assembly { block_bytes, parts: BTreeMap::new() });
        if assembly.block_bytes != block_bytes {
            return Err(PartRefused::SizeChanged);
        }
        assembly.parts.insert(part.index, part.bytes);
        debug_assert!(assembly.parts.len() <= PARTS_MAX);
        if assembly.parts.len() < count {
            self.shed(&key);
            return Ok(None);
        }
        let assembly = self.open.remove(&key).expect("inserted above");
        let encoded = join(assembly);
        let block = Block::from_bytes(&encoded)?;
        if block.hash(chain) != part.block || block.header.height != part.height {
            return Err(PartRefused::OtherBlock);
        }
        Ok(Some(Assembled { round: part.round, hash: part.block, block, encoded }))
    }

    pub fn open_count(&self) -> usize {
        self.open.len()
    }

    pub fn forget_through(&mut self, height: Height) {
        self.open.retain(|(h, ..), _| *h > height);
    }

    /// Drops the assembly that is furthest ahead in height and round, but never the one that is being fed.
    fn shed(&mut self, keep: &Key) {
        while self.open.len() > ASSEMBLIES_MAX {
            let last = *self.open.keys().rev().find(|key| *key != keep).expect("more than one is open");
            self.open.remove(&last);
        }
    }
}

fn join(assembly: Assembly) -> Bytes {
    if assembly.parts.len() == 1 {
        return assembly.parts.into_values().next().expect("one part");
    }
    let mut encoded = Vec::with_capacity(assembly.block_bytes as usize);
    assembly.parts.values().for_each(|part| encoded.extend_from_slice(part));
    encoded.into()
}

/// The bytes that a block is proposed, synced and logged as.
pub fn encode(block: &Block) -> Bytes {
    block.to_bytes().into()
}
