//! What a node offers to one that joins by a snapshot, and how the one that joins checks it (B-7).
//!
//! ```text
//! genesis set ── hand-overs ──▶ tip's certificate ──▶ tip's header ──▶ state root ──▶ snapshot hash ─┬▶ chunks of rows
//!                                                                                                 ├▶ log root ─▶ chunks of leaves
//!                                                                                                 └▶ block hash ─▶ headers ─▶ blocks
//! ```
//! What stays true here: an [`Offer`] that was checked says what every further byte must be, so each [`Piece`] is checked by itself,
//! from whomever it comes, and [`Checked`] is made nowhere else. What is no piece follows from pieces ([`crate::joining`]).

use ledger_state::{Rules, StateRootParts};
use ledger_tree::log;
use ledger_types::block::{Block, BlockHeader, certificates_root};
use ledger_types::encoding::{Decode, DecodeError, Encode, Reader};
use ledger_types::hand_over::{HandOver, HandOverOrder};
use ledger_types::participant::SignerError;
use ledger_types::snapshot::{SnapshotCommitment, chunk_hash};
use ledger_types::vote::CommitCertificate;
use ledger_types::{BlockHash, Height, TreeRoot, layout};

use crate::deciders::Deciders;

/// Leaves of one chunk of the log: a complete subtree, but for the last.
pub(crate) const LEAVES_PER_CHUNK: u64 = 1 << LEVEL_OF_CHUNKS;
pub(crate) const LEVEL_OF_CHUNKS: u8 = 10;
/// Blocks that come with a snapshot, up to its own: B-4 looks at the headers of the running cycle and at the one before it, 128 at most
/// (`consensus::engine::demotion::HEADERS_MAX`). With fewer a node would ask others to propose than those who have them.
pub const BLOCKS: u64 = 128;
/// Of an encoded offer: enough for 10^8 coins and as many leaves.
pub const OFFER_BYTES_MAX: usize = 16 << 20;
/// Of a piece: a row that fills a chunk may be a package or the small state.
pub const PIECE_BYTES_MAX: usize = 16 << 20;

/// Of a height that a peer claims, which may be the last that there is.
pub(crate) fn after(height: Height) -> Height {
    Height(height.0.saturating_add(1))
}

fn encode_counted<T: Encode>(items: &[T], out: &mut Vec<u8>) {
    (items.len() as u32).encode(out);
    items.iter().for_each(|item| item.encode(out));
}

/// A list of hashes: count `u32`, hashes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hashes(pub Vec<[u8; 32]>);

impl Encode for Hashes {
    fn encode(&self, out: &mut Vec<u8>) {
        encode_counted(&self.0, out);
    }
}

impl Decode for Hashes {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let count = reader.read::<u32>()? as usize;
        let (hashes, []) = reader.take(count.checked_mul(32).ok_or(DecodeError::Truncated)?)?.as_chunks::<32>() else {
            return Err(DecodeError::Truncated);
        };
        Ok(Hashes(hashes.to_vec()))
    }
}

/// The last [`BLOCKS`] headers, ascending: count `u32`, headers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Headers(pub Vec<BlockHeader>);

impl Encode for Headers {
    fn encode(&self, out: &mut Vec<u8>) {
        encode_counted(&self.0, out);
    }
}

impl Decode for Headers {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let count = reader.read::<u32>()?;
        if u64::from(count) > BLOCKS {
            return Err(DecodeError::TooLong { count: count as usize, max: BLOCKS as usize });
        }
        Ok(Headers((0..count).map(|_| reader.read()).collect::<Result<_, _>>()?))
    }
}

/// All hand-overs up to the anchor, ascending: count `u32`, hand-overs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandOvers(pub Vec<HandOver>);

impl Encode for HandOvers {
    fn encode(&self, out: &mut Vec<u8>) {
        encode_counted(&self.0, out);
    }
}

impl Decode for HandOvers {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let count = reader.read::<u32>()?;
        Ok(HandOvers((0..count).map(|_| reader.read()).collect::<Result<_, _>>()?))
    }
}

/// A snapshot, with the proof that a quorum stands for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// From the genesis's validators to those that decided the anchor.
    pub hand_overs: HandOvers,
    /// A decided block, whose state root commits to the snapshot's hash.
    pub anchor: BlockHeader,
    pub certificate: CommitCertificate,
    pub parts: StateRootParts,
    /// Of the snapshot's height: the last ones, up to the block after which the snapshot was taken.
    pub headers: Headers,
    /// Hashes of the chunks of rows.
    pub chunks: Hashes,
    /// Roots of the log's chunks.
    pub log_chunks: Hashes,
}
layout!(Offer { hand_overs, anchor, certificate, parts, headers, chunks, log_chunks });

/// Why an offer, or a piece of it, is not believed. Whoever sent it lies, or is on another chain.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Lie {
    #[error("it does not decode: {0}")]
    Encoding(#[from] DecodeError),
    #[error("its hand-overs do not lead from the genesis's validators to those that its blocks name")]
    HandOvers,
    #[error("its newest block is of validators that had handed over before, as another peer's offer shows")]
    PastSet,
    #[error("the certificate is for another block")]
    OtherCertificate,
    #[error("the certificate does not verify: {0}")]
    Certificate(#[from] SignerError),
    #[error("the state root is of other parts")]
    StateRoot,
    #[error("the state root commits to no snapshot")]
    NoSnapshot,
    #[error("the headers are no chain up to the snapshot's block")]
    Headers,
    #[error("the chunks' hashes are not those that the snapshot hash commits to")]
    Chunks,
    #[error("the roots of the log's chunks do not lead to the log's root")]
    LogChunks,
    #[error("{0} is not what was committed to")]
    Piece(Piece),
}

/// A part that is asked for by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Piece {
    /// A chunk of rows.
    Rows(u32),
    /// A chunk of the log's leaves: each a length `u32` and its bytes.
    Leaves(u32),
    /// A block of the last ones, the snapshot's own is the last: the block and the commit certificate.
    Block(u32),
}

impl std::fmt::Display for Piece {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Piece::Rows(index) => write!(formatter, "chunk {index} of the rows"),
            Piece::Leaves(index) => write!(formatter, "chunk {index} of the log"),
            Piece::Block(index) => write!(formatter, "block {index}"),
        }
    }
}

/// A piece whose bytes are those that a quorum stands for.
#[derive(Clone, Debug)]
pub struct Checked {
    pub(crate) piece: Piece,
    pub(crate) content: Content,
}

#[derive(Clone, Debug)]
pub(crate) enum Content {
    /// As they were sent: the part's number and rows.
    Rows(Vec<u8>),
    Leaves(Vec<Vec<u8>>),
    Block(Box<(Block, CommitCertificate)>),
}

/// An offer that [`Offer::check`] has seen.
#[derive(Clone, Debug)]
pub struct CheckedOffer {
    pub(crate) offer: Offer,
    deciders: Deciders,
    pub(crate) height: Height,
    pub(crate) hash: [u8; 32],
}

impl Offer {
    pub fn check(self, rules: &Rules) -> Result<CheckedOffer, Lie> {
        let chain = &rules.chain;
        let (block, block_height) = (self.anchor.hash(chain), self.anchor.height);
        if self.certificate.block != block || self.certificate.height != block_height {
            return Err(Lie::OtherCertificate);
        }
        let deciders = Deciders::follow(rules, &self.hand_overs.0);
        if deciders.hand_overs() != self.hand_overs.0.len()
            || deciders.of(after(block_height)).hash(chain) != self.anchor.next_set_hash
        {
            return Err(Lie::HandOvers);
        }
        self.certificate.verify(chain, deciders.of(block_height))?;
        if self.parts.root(chain) != self.anchor.state_root {
            return Err(Lie::StateRoot);
        }
        let snapshot = self.parts.snapshot.ok_or(Lie::NoSnapshot)?;
        let headers = &self.headers.0;
        let follow =
            |pair: &[BlockHeader]| after(pair[0].height) == pair[1].height && pair[0].hash(chain) == pair[1].parent;
        let last = headers.last().filter(|last| last.height == snapshot.height).ok_or(Lie::Headers)?;
        if headers.len() as u64 != BLOCKS.min(snapshot.height.0) || !headers.windows(2).all(follow) {
            return Err(Lie::Headers);
        }
        let names_its_set =
            |header: &BlockHeader| deciders.of(after(header.height)).hash(chain) == header.next_set_hash;
        if !headers.iter().all(names_its_set) {
            return Err(Lie::HandOvers);
        }
        let committed = SnapshotCommitment { height: snapshot.height, block: last.hash(chain), chunks: &self.chunks.0 };
        if committed.hash(chain) != snapshot.hash {
            return Err(Lie::Chunks);
        }
        let count = self.log_chunks.0.len() as u64;
        if count != last.log_size.div_ceil(LEAVES_PER_CHUNK) || root_of_chunks(&self.log_chunks.0) != last.log_root {
            return Err(Lie::LogChunks);
        }
        Ok(CheckedOffer { height: snapshot.height, hash: snapshot.hash, deciders, offer: self })
    }
}

impl CheckedOffer {
    /// Of the state that is offered.
    pub fn height(&self) -> Height {
        self.height
    }

    pub fn hash(&self) -> &[u8; 32] {
        &self.hash
    }

    /// That bound before the newest block. The one that the newest block itself makes was not followed by any.
    pub fn hand_overs(&self) -> usize {
        self.orders().count()
    }

    fn orders(&self) -> impl Iterator<Item = &HandOverOrder> {
        let before = |one: &&HandOver| one.header.height < self.offer.anchor.height;
        self.offer.hand_overs.0.iter().take_while(before).map(|one| &one.order)
    }

    /// Whether `other` shows that those who signed this offer's newest block were no validators any more: the keys of a set that
    /// handed over prove nothing above the height at which it did.
    pub fn is_of_a_past_set(&self, other: &CheckedOffer) -> bool {
        let next = other.offer.hand_overs.0.get(self.hand_overs());
        let handed_over = next.is_some_and(|next| next.header.height < self.offer.anchor.height);
        handed_over && self.orders().eq(other.orders().take(self.hand_overs()))
    }

    pub(crate) fn header(&self) -> &BlockHeader {
        self.offer.headers.0.last().expect("check has seen the snapshot's header")
    }

    pub(crate) fn block(&self, rules: &Rules) -> BlockHash {
        self.header().hash(&rules.chain)
    }

    /// All pieces, in the order in which [`crate::join`] takes them.
    pub fn pieces(&self) -> impl Iterator<Item = Piece> + Send + use<> {
        let count = |list: usize| u32::try_from(list).expect("an offer's lists are counted in u32");
        let rows = (0..count(self.offer.chunks.0.len())).map(Piece::Rows);
        let leaves = (0..count(self.offer.log_chunks.0.len())).map(Piece::Leaves);
        rows.chain(leaves).chain((0..count(self.offer.headers.0.len())).map(Piece::Block))
    }

    pub fn check(&self, rules: &Rules, piece: Piece, bytes: Vec<u8>) -> Result<Checked, Lie> {
        let content = match piece {
            Piece::Rows(index) => {
                let is_it = self.offer.chunks.0.get(index as usize) == Some(&chunk_hash(&rules.chain, &bytes));
                is_it.then_some(Content::Rows(bytes))
            }
            Piece::Leaves(index) => self.leaves(index, &bytes)?.map(Content::Leaves),
            Piece::Block(index) => self.decided(rules, index, &bytes)?.map(|block| Content::Block(Box::new(block))),
        };
        Ok(Checked { piece, content: content.ok_or(Lie::Piece(piece))? })
    }

    fn leaves(&self, index: u32, bytes: &[u8]) -> Result<Option<Vec<Vec<u8>>>, Lie> {
        let mut reader = Reader::new(bytes);
        let mut leaves = Vec::new();
        while reader.remaining() > 0 {
            let length = reader.read::<u32>()? as usize;
            leaves.push(reader.take(length)?.to_vec());
        }
        let first = u64::from(index) * LEAVES_PER_CHUNK;
        let count = self.header().log_size.saturating_sub(first).min(LEAVES_PER_CHUNK);
        let hashes: Vec<_> = leaves.iter().map(|leaf| log::leaf_hash(leaf)).collect();
        let is_it = leaves.len() as u64 == count
            && self.offer.log_chunks.0.get(index as usize) == Some(&log::root_of_leaves(&hashes));
        Ok(is_it.then_some(leaves))
    }

    /// What the header's hash does not cover, the certificates' root and signatures do.
    fn decided(&self, rules: &Rules, index: u32, bytes: &[u8]) -> Result<Option<(Block, CommitCertificate)>, Lie> {
        let chain = &rules.chain;
        let mut reader = Reader::new(bytes);
        let (block, certificate): (Block, CommitCertificate) = (reader.read()?, reader.read()?);
        reader.end()?;
        let header = &block.header;
        if self.offer.headers.0.get(index as usize) != Some(header)
            || certificates_root(chain, &block.certificates) != header.certificates_root
            || (certificate.height, certificate.block) != (header.height, header.hash(chain))
        {
            return Ok(None);
        }
        certificate.verify(chain, self.deciders.of(header.height))?;
        let Some(parent) = &block.parent_certificate else {
            return Ok((header.height == Height(1)).then_some((block, certificate)));
        };
        let of_parent = (after(parent.height), parent.block, parent.round);
        if of_parent != (header.height, header.parent, header.parent_round) {
            return Ok(None);
        }
        parent.verify(chain, self.deciders.of(parent.height))?;
        Ok(Some((block, certificate)))
    }
}

/// RFC 6962 splits at powers of two, so never within a chunk: the chunks' roots are the leaves of the tree above them.
fn root_of_chunks(chunks: &[[u8; 32]]) -> TreeRoot {
    TreeRoot(log::root_of_leaves(chunks))
}
