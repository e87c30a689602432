//! Heights as roles see them: every one, once, in order, after it is durable.

use super::LedgerError;
use super::shared::Shared;
use ledger_types::block::Block;
use ledger_types::block::EnvelopeResult;
use ledger_types::bundle::{Bundle, BundleBody};
use ledger_types::confirmation::{Record, SignedBatch};
use ledger_types::envelope::Envelope;
use ledger_types::vote::CommitCertificate;
use ledger_types::{BlockHash, CoinId, EnvelopeId, Height};
use std::sync::Arc;
use tokio::sync::watch;

/// One durable height.
#[derive(Debug)]
pub struct Committed {
    pub height: Height,
    pub hash: BlockHash,
    pub time_ms: u64,
    pub block: Block,
    pub certificate: CommitCertificate,
    /// In the block's order.
    pub bundles: Vec<Arc<Bundle>>,
    /// One an item, in the order of the bundles and of the items in them.
    pub results: Vec<EnvelopeResult>,
    /// Confirmations that this height put into the registry.
    pub records: Vec<(CoinId, Record)>,
}

impl Committed {
    /// The envelopes with their verdicts; confirmation batches are left out, and so is what stands in another submitter's
    /// bundle. Anybody may copy the bytes of an envelope into a bundle of its own; the ledger refuses the copy (2,
    /// `submitter_is_not_the_bundles`), which says nothing of the envelope: its own submitter's bundle may bring it before or
    /// after. Whoever acts on a verdict must not see the copy's.
    pub fn envelopes(&self) -> impl Iterator<Item = (&EnvelopeId, &Envelope, u16)> {
        let items = self.bundles.iter().flat_map(|bundle| {
            let submitter = bundle.slot().submitter;
            match bundle.body() {
                BundleBody::Envelopes(envelopes) => {
                    let own = |envelope| Envelope::submitter(envelope) == submitter;
                    envelopes.iter().map(|envelope| own(envelope).then_some(envelope)).collect::<Vec<_>>()
                }
                BundleBody::Confirmation(_) => vec![None],
            }
        });
        items
            .zip(&self.results)
            .filter_map(|(envelope, result)| envelope.map(|envelope| (&result.envelope, envelope, result.code)))
    }

    /// Envelopes whose public amounts this height moved into the totals: those that accepted batches name.
    pub fn settled(&self) -> impl Iterator<Item = EnvelopeId> {
        let accepted = |batch: &SignedBatch| self.records.iter().any(|(_, record)| record.batch == batch.batch.number);
        let batches = self.bundles.iter().filter_map(|bundle| match bundle.body() {
            BundleBody::Confirmation(signed) => Some(signed),
            BundleBody::Envelopes(_) => None,
        });
        batches.filter(move |batch| accepted(batch)).flat_map(|batch| batch.batch.settled.iter().copied())
    }
}

/// Follows the ledger from a height on, then live.
pub struct Follower {
    shared: Arc<Shared>,
    next: Height,
    tip: watch::Receiver<Height>,
}

impl Follower {
    pub(super) fn new(shared: Arc<Shared>, next: Height) -> Self {
        let tip = shared.heights.subscribe();
        // Height 0 is the genesis and orders nothing.
        Follower { shared, next: next.max(Height(1)), tip }
    }

    /// The next height, as soon as it is durable here. Cancel-safe: a height is never skipped.
    pub async fn next(&mut self) -> Result<Arc<Committed>, LedgerError> {
        let next = self.next;
        if self.tip.wait_for(|tip| *tip >= next).await.is_err() {
            // The writer is gone: the process is stopping.
            std::future::pending::<()>().await;
        }
        let recent = self.shared.recent(next);
        let committed = match recent {
            Some(committed) => committed,
            None => {
                let shared = self.shared.clone();
                let read = tokio::task::spawn_blocking(move || shared.read_committed(next)).await;
                Arc::new(read.expect("reading a height does not panic")?)
            }
        };
        self.next = next.next();
        Ok(committed)
    }
}
