//! Where blocks become trusted: registration believes its validator nothing that the chain does not prove.
//!
//! ```text
//! document ─▶ commit certificate by a quorum, follows the last block ─▶ bundle certificates under the header's root
//!          ─▶ each bundle hashes to its certificate's header ─▶ one code an item, under the header's results root
//!          ─▶ the directory after the block is the one that the header names
//!          ─▶ a header that names another set as next comes with the hand-over to it (G-3)
//! ```
//! Left to others: whether the execution was right; a quorum said so, and the central bank's own validator is part of it.

use super::trust::ChainTrust;
use crate::link::BlockDocument;
use ledger_types::block::{Block, BlockHeader, EnvelopeResult, certificates_root, results_root};
use ledger_types::bundle::{Bundle, BundleBody, BundleCertificate};
use ledger_types::confirmation::Batch;
use ledger_types::contract::ContractOrder;
use ledger_types::envelope::{ClearContext, Envelope};
use ledger_types::hand_over::HandOver;
use ledger_types::participant::Directory;
use ledger_types::vote::CommitCertificate;
use ledger_types::{Chain, Decode, EnvelopeId, Height, ParticipantsHash};
use ledger_verify::{Trust, Verdict, VerifiedBlock, verify_block, verify_segment};
use std::sync::Arc;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BlockFault {
    #[error("the block or its certificate does not decode")]
    Malformed,
    #[error("{0}")]
    NotDecided(ledger_verify::Reason),
    #[error("its signers hold {have} of the power, a quorum takes {need}")]
    NotEnoughPower { have: u64, need: u64 },
    #[error("its bundle certificates are not under its header's root")]
    Certificates,
    #[error("a bundle is not the one that its certificate names")]
    Bundle,
    #[error("its results are not under its header's root")]
    Results,
    #[error("the directory after it is not the one that its header names")]
    Directory,
    #[error("the hand-over to the set that its header names as next is missing, or does not hold")]
    HandOver,
}

/// A block that a quorum decided, before its bundles are here.
pub struct DecidedHeight {
    block: Block,
    certificate: CommitCertificate,
    verified: VerifiedBlock,
    codes: Vec<u16>,
    hand_over: Option<HandOver>,
}

impl DecidedHeight {
    pub fn certificates(&self) -> &[BundleCertificate] {
        &self.block.certificates
    }

    pub fn height(&self) -> Height {
        self.block.header.height
    }
}

/// A height as registration books it.
pub struct OrderedHeight {
    pub header: BlockHeader,
    pub certificate: CommitCertificate,
    /// Accepted envelopes with a sealed part, in the block's order.
    pub envelopes: Vec<(EnvelopeId, Envelope)>,
    /// Accepted envelopes whose leaves wait for a batch (L-1): the officers' requests and hand-overs, and what is about contracts and
    /// feeds.
    pub announced: Vec<EnvelopeId>,
    /// Accepted orders about contracts, in the block's order: they govern from the next height on (K-1).
    pub contract_orders: Vec<ContractOrder>,
    /// Accepted confirmation batches, in the block's order.
    pub batches: Vec<Batch>,
    /// The directory from the next height on, if this one changes it.
    pub directory: Option<Arc<Directory>>,
    /// By which another set decides the next height.
    pub hand_over: Option<HandOver>,
}

/// Checks heights one after the other.
pub struct BlockChecker {
    trust: Trust,
    last: Option<VerifiedBlock>,
    directory: Arc<Directory>,
    participants_hash: ParticipantsHash,
}

impl BlockChecker {
    /// `last` is the last height booked, with its certificate; `directory` governs the next.
    pub fn new(
        trust: &ChainTrust,
        last: Option<(&BlockHeader, &CommitCertificate)>,
        directory: Arc<Directory>,
    ) -> Result<Self, BlockFault> {
        let height = last.map_or(Height::GENESIS, |(header, _)| header.height);
        let of_last = trust.after(Height(height.0.saturating_sub(1)));
        let last =
            last.map(|(header, certificate)| decided(verify_block(&of_last, header, certificate))).transpose()?;
        let trust = trust.after(height);
        let participants_hash = directory.hash(trust.chain());
        Ok(BlockChecker { trust, last, directory, participants_hash })
    }

    pub fn next_height(&self) -> Height {
        self.last.as_ref().map_or(Height(1), |last| last.header().height.next())
    }

    fn chain(&self) -> &Chain {
        self.trust.chain()
    }

    /// Checks that the document is the next height and was decided.
    pub fn check(&self, document: &BlockDocument) -> Result<DecidedHeight, BlockFault> {
        let block = Block::from_bytes(&document.block).map_err(|_| BlockFault::Malformed)?;
        let certificate = CommitCertificate::from_bytes(&document.certificate).map_err(|_| BlockFault::Malformed)?;
        let link = [(block.header.clone(), certificate)];
        let verified = decided(verify_segment(&self.trust, self.last.as_ref(), &link))?;
        if certificates_root(self.chain(), &block.certificates) != block.header.certificates_root {
            return Err(BlockFault::Certificates);
        }
        let [(_, certificate)] = link;
        let hand_over = document.hand_over.as_deref().map(HandOver::from_bytes).transpose();
        let hand_over = hand_over.map_err(|_| BlockFault::HandOver)?;
        Ok(DecidedHeight { block, certificate, verified, codes: document.codes.clone(), hand_over })
    }

    /// Takes the height up: the next one is checked as its child. `bundles` in the order of the certificates.
    pub fn accept(&mut self, decided: DecidedHeight, bundles: &[Bundle]) -> Result<OrderedHeight, BlockFault> {
        let DecidedHeight { block, certificate, verified, codes, hand_over } = decided;
        let headers = block.certificates.iter().map(|certificate| &certificate.header);
        if !headers.eq(bundles.iter().map(Bundle::header)) {
            return Err(BlockFault::Bundle);
        }
        let ids: Vec<EnvelopeId> = bundles.iter().flat_map(|bundle| bundle.ids().iter().copied()).collect();
        if ids.len() != codes.len() {
            return Err(BlockFault::Results);
        }
        let results: Vec<_> = ids
            .iter()
            .zip(&codes)
            .map(|(envelope, code)| EnvelopeResult { envelope: *envelope, code: *code })
            .collect();
        if results_root(self.chain(), &results) != block.header.results_root {
            return Err(BlockFault::Results);
        }
        let mut results = results.iter();
        let (mut envelopes, mut batches) = (Vec::new(), Vec::new());
        let (mut announced, mut contract_orders) = (Vec::new(), Vec::new());
        let mut directory: Option<Arc<Directory>> = None;
        for bundle in bundles {
            let items = match bundle.body() {
                BundleBody::Envelopes(items) => items,
                BundleBody::Confirmation(signed) => {
                    if results.next().is_some_and(|result| result.code == EnvelopeResult::ACCEPTED) {
                        batches.push(signed.batch.clone());
                    }
                    continue;
                }
            };
            for (envelope, result) in items.iter().zip(results.by_ref()) {
                if result.code != EnvelopeResult::ACCEPTED {
                    continue;
                }
                let context = &envelope.header.core.context;
                let before = directory.as_ref().unwrap_or(&self.directory);
                if let Some(after) = context.directory_after(before) {
                    directory = Some(Arc::new(after.map_err(|_| BlockFault::Directory)?));
                }
                match context {
                    ClearContext::ParticipantUpdate(_) => {}
                    ClearContext::ContractOrder(context) => {
                        contract_orders.push(context.order.clone());
                        announced.push(result.envelope);
                    }
                    ClearContext::Request(_)
                    | ClearContext::FeedOrder(_)
                    | ClearContext::Publication(_)
                    | ClearContext::HandOver(_)
                    | ClearContext::RulesOrder(_) => announced.push(result.envelope),
                    _ => envelopes.push((result.envelope, envelope.clone())),
                }
            }
        }
        let hash = directory.as_ref().map_or(self.participants_hash, |directory| directory.hash(self.chain()));
        if hash != block.header.participants_hash {
            return Err(BlockFault::Directory);
        }
        let hand_over = self.hand_over(&block.header, hand_over)?;
        self.participants_hash = hash;
        if let Some(directory) = &directory {
            self.directory = directory.clone();
        }
        self.last = Some(verified);
        let header = block.header;
        Ok(OrderedHeight { header, certificate, envelopes, announced, contract_orders, batches, directory, hand_over })
    }

    fn hand_over(&mut self, header: &BlockHeader, document: Option<HandOver>) -> Result<Option<HandOver>, BlockFault> {
        if header.next_set_hash == self.trust.set_hash() {
            return Ok(None);
        }
        let document = document.filter(|document| document.header == *header).ok_or(BlockFault::HandOver)?;
        match self.trust.hand_over(&document) {
            Verdict::Verified(()) => Ok(Some(document)),
            _ => Err(BlockFault::HandOver),
        }
    }
}

fn decided(verdict: Verdict<VerifiedBlock>) -> Result<VerifiedBlock, BlockFault> {
    match verdict {
        Verdict::Verified(block) => Ok(block),
        Verdict::NotEnoughPower { have, need } => Err(BlockFault::NotEnoughPower { have, need }),
        Verdict::Invalid(reason) => Err(BlockFault::NotDecided(reason)),
    }
}
