//! Blocks (rules B): a header over what the block's own execution gave, the bundle certificates that it orders, and the
//! commit certificate of its parent.

use crate::bundle::{BUNDLE_BYTES_MAX, BundleCertificate};
use crate::domain::{Chain, Tag};
use crate::encoding::{Encode, List};
use crate::ids::*;
use crate::layout;
use crate::merkle;
use crate::participant::ValidatorSet;
use crate::vote::CommitCertificate;

pub const CERTIFICATES_MAX: usize = 1024;
/// Of the encoding, with the parent's certificate (B-11): 1,024 certificates of 30 acks, or 122 of 256. A larger one is not
/// received, however it comes, so it is voted for by nobody.
pub const BLOCK_BYTES_MAX: usize = 2 << 20;
/// Of the bundles that one block orders (B-2). Quotas bound a submitter, and there may be 256: without this one proposer could
/// order gigabytes, which everybody has to fetch, execute and sync within a round. Four of the largest bundles, so that any
/// certified bundle fits a block, and twice what this code's proposers take, so that their limit can be tuned alone.
pub const BLOCK_BUNDLE_BYTES_MAX: u64 = 16 << 20;
/// A block later than this after a guard was made anew was proposed after it was made, whatever the clocks do that B-5 puts up
/// with: what the key signed before, it signed on an earlier tip (B-9).
pub const RENEWAL_MARGIN_MS: u64 = 10_000;
const _: () = assert!(BLOCK_BUNDLE_BYTES_MAX >= BUNDLE_BYTES_MAX as u64);

/// B-1. Neither its own round nor its proposer stands in it, so that a re-proposed block keeps its hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockHeader {
    /// Of the rules under which the block was executed (B-13).
    pub version: RulesVersion,
    pub height: Height,
    pub parent: BlockHash,
    pub time_ms: u64,
    pub certificates_root: MerkleRoot,
    pub results_root: MerkleRoot,
    pub state_root: StateRoot,
    pub log_size: u64,
    pub log_root: TreeRoot,
    pub map_root: TreeRoot,
    pub participants_hash: ParticipantsHash,
    /// Of the set that decides the next height.
    pub next_set_hash: ValidatorSetHash,
    /// The round in which the parent was decided; zero at height 1.
    pub parent_round: u32,
}
layout!(BlockHeader {
    version,
    height,
    parent,
    time_ms,
    certificates_root,
    results_root,
    state_root,
    log_size,
    log_root,
    map_root,
    participants_hash,
    next_set_hash,
    parent_round,
});

impl BlockHeader {
    pub fn hash(&self, chain: &Chain) -> BlockHash {
        BlockHash(chain.hash(Tag::Block, &[&self.to_bytes()]))
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    pub header: BlockHeader,
    pub certificates: List<BundleCertificate, CERTIFICATES_MAX>,
    /// Of the parent, in the header's `parent_round`; none at height 1. Any valid one serves, so it is not hashed.
    pub parent_certificate: Option<CommitCertificate>,
}
layout!(Block { header, certificates, parent_certificate });

impl Block {
    pub fn hash(&self, chain: &Chain) -> BlockHash {
        self.header.hash(chain)
    }
}

pub fn certificates_root(chain: &Chain, certificates: &[BundleCertificate]) -> MerkleRoot {
    let hashes: Vec<[u8; 32]> = certificates.iter().map(|certificate| certificate.hash(chain)).collect();
    merkle::root(chain, &hashes)
}

/// What a block orders, in bytes: known from its certificates, before any bundle is at hand.
pub fn bundle_bytes(certificates: &[BundleCertificate]) -> u64 {
    // At most 2^32 each, and 1,024 of them decode.
    certificates.iter().map(|certificate| u64::from(certificate.header.bytes)).sum()
}

/// Parent of height 1.
pub fn genesis_block_hash(chain: &Chain) -> BlockHash {
    BlockHash(chain.genesis_hash().0)
}

/// What became of one envelope: 0 accepted, else the number of the rejection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EnvelopeResult {
    pub envelope: EnvelopeId,
    pub code: u16,
}
layout!(EnvelopeResult { envelope, code });

impl EnvelopeResult {
    pub const ACCEPTED: u16 = 0;

    pub fn leaf(&self, chain: &Chain) -> [u8; 32] {
        chain.hash(Tag::Result, &[&self.to_bytes()])
    }
}

/// Over all results of a block, in the order of its certificates and the envelopes in them.
pub fn results_root(chain: &Chain, results: &[EnvelopeResult]) -> MerkleRoot {
    let leaves: Vec<[u8; 32]> = results.iter().map(|result| result.leaf(chain)).collect();
    merkle::root(chain, &leaves)
}

/// B-2: a commit certificate, and the path to the envelope's verdict. This, with code 0, is what "acknowledged" means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acknowledgement {
    pub header: BlockHeader,
    pub certificate: CommitCertificate,
    pub result: EnvelopeResult,
    pub index: u32,
    pub count: u32,
    pub path: List<MerkleRoot, 32>,
}
layout!(Acknowledgement { header, certificate, result, index, count, path });

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AcknowledgementError {
    #[error("the certificate is not of the header's block")]
    OtherBlock,
    #[error("the commit certificate is invalid: {0}")]
    Certificate(#[from] crate::participant::SignerError),
    #[error("the verdict is not under the header's results root")]
    Path,
    #[error("the envelope was refused with rejection {0}")]
    Refused(u16),
}

impl Acknowledgement {
    /// `Ok` only when a quorum decided the block and the envelope was accepted in it.
    pub fn verify(&self, chain: &Chain, validators: &ValidatorSet) -> Result<(), AcknowledgementError> {
        if self.certificate.block != self.header.hash(chain) || self.certificate.height != self.header.height {
            return Err(AcknowledgementError::OtherBlock);
        }
        self.certificate.verify(chain, validators)?;
        let path: Vec<[u8; 32]> = self.path.iter().map(|node| node.0).collect();
        let leaf = self.result.leaf(chain);
        if !merkle::path_is_valid(chain, &self.header.results_root, &leaf, self.index.into(), self.count.into(), &path)
        {
            return Err(AcknowledgementError::Path);
        }
        match self.result.code {
            EnvelopeResult::ACCEPTED => Ok(()),
            code => Err(AcknowledgementError::Refused(code)),
        }
    }
}
