//! What the writer and all readers share: the store, the small state at the tip, and who waits for the next height.

use super::LedgerError;
use super::committed::Committed;
use crate::checkpoint::{OwnHead, Published};
use consensus::port::{LanePosition, Tip};
use ledger_state::{Ledger, Rules};
use ledger_store::{Snapshot, Store};
use ledger_types::block::{BlockHeader, EnvelopeResult};
use ledger_types::confirmation::Record;
use ledger_types::log_leaf::LogLeaf;
use ledger_types::participant::ValidatorSet;
use ledger_types::vote::CommitCertificate;
use ledger_types::{CoinId, Decode, Height, ParticipantNumber};
use std::collections::VecDeque;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, RwLock};
use std::time::Instant;
use tokio::sync::watch;

/// Heights kept in memory for followers that keep up: a few seconds' worth.
const RECENT_MAX: usize = 32;
/// Heights whose verdicts are kept for whoever asks for the acknowledgements of their envelopes: at most some MiB.
const VERDICTS_MAX: usize = 8;

pub(super) struct Shared {
    pub me: ParticipantNumber,
    pub rules: Rules,
    pub store: Arc<Store>,
    pub tip: RwLock<Arc<AtTip>>,
    pub heights: watch::Sender<Height>,
    pub heads: watch::Sender<OwnHead>,
    pub published: watch::Sender<Option<Arc<Published>>>,
    recent: Mutex<VecDeque<Arc<Committed>>>,
    verdicts: Mutex<VecDeque<Arc<Verdicts>>>,
    pub stages: Stages,
}

/// The last durable height.
pub(super) struct AtTip {
    pub ledger: Arc<Ledger>,
    pub certificate: Option<CommitCertificate>,
    /// Of the certificate.
    pub decided_by: Arc<ValidatorSet>,
    pub committed_at: Instant,
}

/// What a height's acknowledgements are made of.
pub(super) struct Verdicts {
    pub header: BlockHeader,
    pub certificate: CommitCertificate,
    /// One an item, in the block's order.
    pub results: Vec<EnvelopeResult>,
    /// Of the results; the header's results root is above them.
    pub leaves: Vec<[u8; 32]>,
}

/// Where the writer's time goes, in microseconds since the start.
#[derive(Default)]
pub(super) struct Stages {
    pub execute_us: AtomicU64,
    pub commit_us: AtomicU64,
    pub envelopes: AtomicU64,
    pub refused: AtomicU64,
    pub bytes: AtomicU64,
    pub heights: AtomicU64,
}

impl Shared {
    pub fn new(me: ParticipantNumber, store: Arc<Store>) -> Result<Self, LedgerError> {
        let rules = store.rules().clone();
        let durable = store.tip();
        let ledger = Arc::new(durable.ledger.clone());
        let head = own_head(&ledger);
        let certificate = durable.certificate.clone();
        let hand_overs = store.readers().snapshot()?.hand_overs()?;
        let before_tip = hand_overs.into_iter().rev().find(|hand_over| hand_over.header.height < ledger.height);
        let genesis_set = || rules.genesis.directory.validators();
        let decided_by = Arc::new(before_tip.map_or_else(genesis_set, |hand_over| hand_over.order.incoming));
        let tip = AtTip { ledger: ledger.clone(), certificate, decided_by, committed_at: Instant::now() };
        Ok(Shared {
            me,
            rules,
            store,
            tip: RwLock::new(Arc::new(tip)),
            heights: watch::Sender::new(ledger.height),
            heads: watch::Sender::new(head),
            published: watch::Sender::new(None),
            recent: Mutex::new(VecDeque::new()),
            verdicts: Mutex::new(VecDeque::new()),
            stages: Stages::default(),
        })
    }

    pub fn at_tip(&self) -> Arc<AtTip> {
        self.tip.read().expect("no holder of the tip panics").clone()
    }

    pub fn recent(&self, height: Height) -> Option<Arc<Committed>> {
        let recent = self.recent.lock().expect("no holder of the recent heights panics");
        recent.iter().find(|committed| committed.height == height).cloned()
    }

    /// Called by the writer, after the height is durable.
    pub fn advance(&self, tip: AtTip, committed: Committed) {
        let (height, head) = (tip.ledger.height, own_head(&tip.ledger));
        {
            let mut recent = self.recent.lock().expect("no holder of the recent heights panics");
            if recent.len() == RECENT_MAX {
                recent.pop_front();
            }
            recent.push_back(Arc::new(committed));
        }
        *self.tip.write().expect("no holder of the tip panics") = Arc::new(tip);
        self.heights.send_replace(height);
        self.heads.send_if_modified(|before| {
            let changed = before.size != head.size;
            if changed {
                *before = head;
            }
            changed
        });
    }

    pub fn consensus_tip(&self) -> Tip {
        let at_tip = self.at_tip();
        let ledger = &at_tip.ledger;
        let lanes = ledger.lanes.iter().map(|(submitter, lane)| {
            let position = LanePosition {
                incarnation: lane.incarnation,
                next_sequence: lane.next_sequence,
                served_at: lane.served_at,
                bytes_left: ledger.bytes_left(&self.rules, *submitter),
            };
            (*submitter, position)
        });
        Tip {
            height: ledger.height,
            block: ledger.block,
            time_ms: ledger.time_ms,
            certificate: at_tip.certificate.clone(),
            decided_by: ValidatorSet::clone(&at_tip.decided_by),
            validators: ValidatorSet::clone(&ledger.validators.set),
            directory: ledger.directory.clone(),
            lanes: Arc::new(lanes.collect()),
        }
    }

    /// The verdicts of a height. An old height's bundles are read and hashed for the ids of its items, which are stored nowhere
    /// else; its records are not, and the next who asks for the same height reads nothing.
    pub fn verdicts(&self, height: Height) -> Result<Arc<Verdicts>, LedgerError> {
        let cache = || self.verdicts.lock().expect("no holder of the verdicts panics");
        let cached = cache().iter().find(|verdicts| verdicts.header.height == height).cloned();
        if let Some(cached) = cached {
            return Ok(cached);
        }
        let (header, certificate, results) = match self.recent(height) {
            Some(recent) => (recent.block.header.clone(), recent.certificate.clone(), recent.results.clone()),
            None => {
                let missing = |what: &str| self.missing(height, what);
                let readers = self.store.readers();
                let snapshot = readers.snapshot()?;
                must_be_held(&snapshot, height)?;
                let header = snapshot.header(height)?.ok_or_else(|| missing("the block"))?;
                let certificate = snapshot.certificate(height)?.ok_or_else(|| missing("the certificate"))?;
                let results = self.store.results(height)?.ok_or_else(|| missing("the results"))?;
                (header, certificate, results)
            }
        };
        let leaves = results.iter().map(|result| result.leaf(&self.rules.chain)).collect();
        let verdicts = Arc::new(Verdicts { header, certificate, results, leaves });
        let mut cache = cache();
        if cache.len() == VERDICTS_MAX {
            cache.pop_front();
        }
        cache.push_back(verdicts.clone());
        Ok(verdicts)
    }

    /// What was found missing of a height may have been let go while it was read.
    pub fn missing(&self, height: Height, what: &str) -> LedgerError {
        let read = || must_be_held(&self.store.readers().snapshot()?, height);
        read().err().unwrap_or_else(|| LedgerError::Missing(format!("{what} of height {height}")))
    }

    /// A height as it was committed, read back from disk.
    pub fn read_committed(&self, height: Height) -> Result<Committed, LedgerError> {
        let missing = |what: &str| self.missing(height, what);
        let readers = self.store.readers();
        let snapshot = readers.snapshot()?;
        must_be_held(&snapshot, height)?;
        let block = snapshot.block(height)?.ok_or_else(|| missing("the block"))?;
        let certificate = snapshot.certificate(height)?.ok_or_else(|| missing("the certificate"))?;
        let mut bundles = Vec::with_capacity(block.certificates.len());
        for certificate in &block.certificates {
            let bundle = self.store.bundles().get(&certificate.digest(&self.rules.chain))?;
            bundles.push(bundle.ok_or_else(|| missing("a bundle"))?);
        }
        let codes = snapshot.result_codes(height)?.ok_or_else(|| missing("the results"))?;
        let ids = bundles.iter().flat_map(|bundle| bundle.ids().iter().copied());
        let results = ids.zip(codes).map(|(envelope, code)| EnvelopeResult { envelope, code }).collect();
        let records = self.records_of(&snapshot, height, block.header.log_size)?;
        Ok(Committed {
            height,
            hash: certificate.block,
            time_ms: block.header.time_ms,
            block,
            certificate,
            bundles,
            results,
            records,
        })
    }

    pub fn log_size_after(&self, snapshot: &Snapshot<'_>, height: Height) -> Result<u64, LedgerError> {
        if height == Height::GENESIS {
            // Batch 0: a leaf for each pre-issued coin, and the state leaf.
            return Ok(self.rules.genesis.preissues.iter().map(|line| u64::from(line.count)).sum::<u64>() + 1);
        }
        let header = snapshot.header(height)?;
        Ok(header.ok_or_else(|| LedgerError::Missing(format!("the block of height {height}")))?.log_size)
    }

    /// The log's leaves of one height are those between its parent's size and its own (L-1).
    fn records_of(
        &self,
        snapshot: &Snapshot<'_>,
        height: Height,
        log_size: u64,
    ) -> Result<Vec<(CoinId, Record)>, LedgerError> {
        let before = match height.0 {
            0 => self.log_size_after(snapshot, height)?,
            above => self.log_size_after(snapshot, Height(above - 1))?,
        };
        let mut records = Vec::new();
        for index in before..log_size {
            let bytes = snapshot.log_leaf(index)?;
            let bytes = bytes.ok_or_else(|| LedgerError::Missing(format!("leaf {index} of the log")))?;
            if let Ok(LogLeaf::Record { coin, record }) = LogLeaf::from_bytes(&bytes) {
                records.push((coin, record));
            }
        }
        Ok(records)
    }
}

/// Else whoever reads on would find half of a height.
pub(super) fn must_be_held(snapshot: &Snapshot<'_>, height: Height) -> Result<(), LedgerError> {
    let first = snapshot.first_height()?;
    match (Height(1)..first).contains(&height) {
        true => Err(LedgerError::NotHeld { height, first }),
        false => Ok(()),
    }
}

fn own_head(ledger: &Ledger) -> OwnHead {
    OwnHead { size: ledger.log_size, root: ledger.log_root, state_leaf: ledger.last_state_leaf }
}
