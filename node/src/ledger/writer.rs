//! The one writer: executes candidates, and makes decided blocks durable.
//!
//! - A block is executed once: the outcome is kept by block hash until a height is committed (B-1).
//! - `commit` returns when the height is on disk. A root that differs on a decided block is an alarm: the node stops (B-1).

use super::committed::Committed;
use super::evidence::StoredEvidence;
use super::messages::{Message, Messages};
use super::shared::{AtTip, Shared};
use super::view::LedgerView;
use super::{LedgerError, with_causes};
use crate::joining::wire::Provider;
use consensus::port::{Application, BlockRefused, Candidate, DecidedBlock, Evidence, MustStop, Tip};
use ledger_state::{Applied, ApplyError, CandidateBlock, Ledger};
use ledger_store::{CommittedHeight, Store};
use ledger_tree::ReadError;
use ledger_types::block::{Block, BlockHeader};
use ledger_types::bundle::{Bundle, BundleCertificate};
use ledger_types::{BlockHash, Height, List, ParticipantNumber};
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;
use tokio::sync::mpsc;

/// Outcomes kept at one height: more rounds than that are executed again.
const EXECUTED_MAX: usize = 8;

pub struct LedgerWriter {
    shared: Arc<Shared>,
    executed: Mutex<HashMap<BlockHash, Arc<Applied>>>,
    messages: Messages,
    provider: Provider,
    /// One piece at a time; and of each validator, how many were not kept since the last one that was.
    keeping_evidence: Mutex<BTreeMap<ParticipantNumber, u64>>,
}

impl LedgerWriter {
    /// With what other nodes send beside consensus; what finds no room is dropped, and sent again later.
    pub fn new(
        store: Arc<Store>,
        me: ParticipantNumber,
    ) -> Result<(Self, LedgerView, mpsc::UnboundedReceiver<Message>), LedgerError> {
        let shared = Arc::new(Shared::new(me, store)?);
        let view = LedgerView::new(shared.clone())?;
        let (messages, received) = Messages::new(&shared.rules.genesis.directory);
        let provider = Provider::new(shared.store.readers());
        let (executed, keeping_evidence) = Default::default();
        Ok((LedgerWriter { shared, executed, messages, provider, keeping_evidence }, view, received))
    }

    fn execute(
        &self,
        height: Height,
        time_ms: u64,
        certificates: &[BundleCertificate],
        bundles: &[Arc<Bundle>],
        parent_round: u32,
    ) -> Result<Arc<Applied>, ApplyError> {
        let start = Instant::now();
        let ledger = self.shared.at_tip().ledger.clone();
        let readers = self.shared.store.readers();
        let reader = readers.snapshot().map_err(|error| ApplyError::Read(ReadError::new(error)))?;
        let candidate = CandidateBlock { height, time_ms, certificates, bundles, parent_round };
        let applied = ledger_state::apply(&self.shared.rules, &ledger, &reader, candidate)?;
        add_us(&self.shared.stages.execute_us, start);
        Ok(Arc::new(applied))
    }

    fn keep(&self, applied: &Arc<Applied>) -> BlockHash {
        let hash = applied.header.hash(&self.shared.rules.chain);
        let mut executed = self.executed.lock().expect("no holder of the outcomes panics");
        if executed.len() >= EXECUTED_MAX {
            executed.clear();
        }
        executed.insert(hash, applied.clone());
        hash
    }

    fn kept(&self, hash: &BlockHash) -> Option<Arc<Applied>> {
        self.executed.lock().expect("no holder of the outcomes panics").get(hash).cloned()
    }

    fn execute_block(&self, block: &Block, bundles: &[Arc<Bundle>]) -> Result<Arc<Applied>, ApplyError> {
        if let Some(applied) = self.kept(&block.hash(&self.shared.rules.chain)) {
            return Ok(applied);
        }
        let header = &block.header;
        let applied = self.execute(header.height, header.time_ms, &block.certificates, bundles, header.parent_round)?;
        applied.compare(header)?;
        self.keep(&applied);
        Ok(applied)
    }
}

fn add_us(total: &AtomicU64, start: Instant) {
    total.fetch_add(u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
}

fn refused(error: impl std::fmt::Display) -> BlockRefused {
    BlockRefused { reason: error.to_string() }
}

impl Application for LedgerWriter {
    fn tip(&self) -> Tip {
        self.shared.consensus_tip()
    }

    fn propose(&self, candidate: Candidate) -> Result<Block, BlockRefused> {
        let Candidate { height, time_ms, certificates, bundles, parent_certificate } = candidate;
        let parent_round = parent_certificate.as_ref().map_or(0, |certificate| certificate.round);
        let applied = self.execute(height, time_ms, &certificates, &bundles, parent_round).map_err(refused)?;
        self.keep(&applied);
        let certificates = List::new(certificates).map_err(refused)?;
        Ok(Block { header: applied.header.clone(), certificates, parent_certificate })
    }

    fn check(&self, block: &Block, bundles: &[Arc<Bundle>]) -> Result<(), BlockRefused> {
        self.execute_block(block, bundles).map(|_| ()).map_err(refused)
    }

    fn commit(&self, decided: DecidedBlock, bundles: &[Arc<Bundle>]) -> Result<Tip, MustStop> {
        let stop = |error: &dyn std::error::Error| {
            MustStop(format!("height {}: {}", decided.block.header.height, with_causes(error)))
        };
        // ALARM: a quorum decided what our own execution does not give. Nothing more is signed here.
        let applied = self.execute_block(&decided.block, bundles).map_err(|error| stop(&error))?;
        let start = Instant::now();
        let height = CommittedHeight { block: &decided.block, certificate: &decided.certificate, applied: &applied };
        self.shared.store.commit(height).map_err(|error| stop(&error))?;
        let stages = &self.shared.stages;
        add_us(&stages.commit_us, start);
        let refused = applied.results.iter().filter(|result| result.code != 0).count() as u64;
        stages.envelopes.fetch_add(applied.results.len() as u64, Ordering::Relaxed);
        stages.refused.fetch_add(refused, Ordering::Relaxed);
        stages.bytes.fetch_add(bundles.iter().map(|b| u64::from(b.header().bytes)).sum(), Ordering::Relaxed);
        stages.heights.fetch_add(1, Ordering::Relaxed);
        self.executed.lock().expect("no holder of the outcomes panics").clear();
        let DecidedBlock { block, certificate } = decided;
        let committed = Committed {
            height: block.header.height,
            hash: certificate.block,
            time_ms: block.header.time_ms,
            bundles: bundles.to_vec(),
            results: applied.results.clone(),
            records: applied.changes.records.clone(),
            block,
            certificate: certificate.clone(),
        };
        let before = self.shared.at_tip();
        let unknown = |ledger: &Ledger| ledger.rules_schedule.unknown_to(self.shared.rules.known);
        if let Some(unknown) = unknown(&applied.ledger).filter(|_| unknown(&before.ledger).is_none()) {
            tracing::error!(%unknown, "officers ordered rules that this program does not know: it will stop before them");
        }
        let ledger = Arc::new(applied.ledger.clone());
        let decided_by = before.ledger.validators.set.clone();
        let tip = AtTip { ledger, certificate: Some(certificate), decided_by, committed_at: Instant::now() };
        self.shared.advance(tip, committed);
        Ok(self.tip())
    }

    fn can_go_on(&self) -> Result<(), MustStop> {
        let ledger = &self.shared.at_tip().ledger;
        let allowed = ledger.rules_schedule.allows(ledger.height.next(), self.shared.rules.known);
        allowed.map_err(|unknown| MustStop(unknown.to_string()))
    }

    fn decided(&self, height: Height) -> Option<DecidedBlock> {
        let read = || -> Result<Option<DecidedBlock>, LedgerError> {
            let readers = self.shared.store.readers();
            let snapshot = readers.snapshot()?;
            let (block, certificate) = (snapshot.block(height)?, snapshot.certificate(height)?);
            Ok(block.zip(certificate).map(|(block, certificate)| DecidedBlock { block, certificate }))
        };
        read().unwrap_or_else(|error| {
            tracing::error!(%error, %height, "cannot read a decided block");
            None
        })
    }

    fn first_height(&self) -> Height {
        let read = || self.shared.store.readers().snapshot()?.first_height();
        read().unwrap_or_else(|error| {
            tracing::error!(%error, "cannot read which heights are held");
            // The engine never lowers what it was told once: a peer that asks in vain asks another.
            Height(1)
        })
    }

    fn header(&self, height: Height) -> Option<BlockHeader> {
        self.decided(height).map(|decided| decided.block.header)
    }

    fn state(&self, question: &[u8]) -> Vec<u8> {
        self.provider.answer(question).unwrap_or_else(|error| {
            tracing::error!(%error, "state cannot be read for a node that joins");
            Vec::new()
        })
    }

    fn message(&self, from: ParticipantNumber, bytes: Vec<u8>) {
        if !self.messages.take(from, bytes) {
            tracing::debug!(%from, "a message beside consensus is dropped: its sender's share is full");
        }
    }

    /// Said as often as it is kept: a validator that signs twice everywhere fills the log as little as the disk.
    fn evidence(&self, evidence: Evidence) {
        let (validator, height) = (evidence.validator, evidence.height);
        let stored = StoredEvidence::new(&evidence);
        let mut not_kept = self.keeping_evidence.lock().expect("no holder of this lock panics");
        match stored.keep_in(&self.shared.store) {
            Ok(true) => {
                let not_kept = not_kept.remove(&validator).unwrap_or(0);
                tracing::error!(%validator, %height, what = evidence.what, not_kept, "EQUIVOCATION");
            }
            Ok(false) => *not_kept.entry(validator).or_default() += 1,
            Err(error) => tracing::error!(%error, "cannot store the evidence"),
        }
    }
}
