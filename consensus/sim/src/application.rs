//! The ledger under consensus: the shipped transition on a snapshot in memory.
//!
//! What is modelled: the store. A commit is one write and one sync; the state moves when the sync returned, whole or not at all.
//! RocksDB and the bundle files have crash tests of their own (`ledger-store`).

use crate::bugs::Bug;
use crate::chain::Chain0;
use crate::disk::{Disk, DiskFile};
use consensus::medium::Medium;
use consensus::port::{self, BlockRefused, Candidate, DecidedBlock, Evidence, LanePosition, MustStop, Tip};
use contracts_vm::Package;
use ledger_state::memory::MemoryState;
use ledger_state::{Applied, ApplyError, CandidateBlock, Ledger, PendingAmount, PeriodItems, StateReader, apply};
use ledger_tree::log::LogReader;
use ledger_tree::map::MapReader;
use ledger_tree::{Hash, ReadError};
use ledger_types::block::{Block, BlockHeader, EnvelopeResult, certificates_root};
use ledger_types::bundle::{Bundle, BundleCertificate};
use ledger_types::coin::Coin;
use ledger_types::confirmation::Record;
use ledger_types::contract::OpenObligation;
use ledger_types::feed::FeedItem;
use ledger_types::ids::*;
use ledger_types::participant::ValidatorSet;
use ledger_types::vote::CommitCertificate;
use ledger_types::{BlockHash, Height, List, ParticipantNumber};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

pub struct Committed {
    pub decided: DecidedBlock,
    pub bundles: Vec<Arc<Bundle>>,
    pub results: Vec<EnvelopeResult>,
}

/// What is on disk, and what was executed on it.
pub struct State {
    pub ledger: Ledger,
    pub memory: MemoryState,
    pub certificate: Option<CommitCertificate>,
    pub blocks: Vec<Arc<Committed>>,
    tip: Tip,
    executed: BTreeMap<BlockHash, Applied>,
    /// For a seeded bug.
    spent: BTreeMap<CoinId, Coin>,
    pub evidence: Vec<Evidence>,
}

pub struct Application {
    chain0: &'static Chain0,
    bug: Option<Bug>,
    /// Of the node, for bugs that differ by node.
    index: usize,
    file: DiskFile,
    state: Mutex<State>,
}

impl Application {
    pub fn new(chain0: &'static Chain0, disk: &Disk, index: usize, bug: Option<Bug>) -> Self {
        let ledger = chain0.ledger.clone();
        let state = State {
            tip: tip_of(chain0, &ledger, None, &ledger.validators.set),
            ledger,
            memory: chain0.state.clone(),
            certificate: None,
            blocks: Vec::new(),
            executed: BTreeMap::new(),
            spent: BTreeMap::new(),
            evidence: Vec::new(),
        };
        Application { chain0, bug, index, file: disk.open("store"), state: Mutex::new(state) }
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("one thread")
    }

    /// What was only in memory is gone.
    pub fn restart(&self) {
        self.state().executed.clear();
    }

    fn execute(
        &self,
        state: &mut State,
        height: Height,
        time_ms: u64,
        certificates: &[BundleCertificate],
        bundles: &[Arc<Bundle>],
        parent_round: u32,
    ) -> Result<Applied, BlockRefused> {
        let given = certificates;
        let order = self.order(certificates.len());
        let shuffled: (Vec<_>, Vec<_>) =
            order.iter().map(|at| (certificates[*at].clone(), Arc::clone(&bundles[*at]))).unzip();
        let (certificates, bundles) = match self.bug {
            Some(Bug::MapOrder) => (&shuffled.0[..], &shuffled.1[..]),
            _ => (certificates, bundles),
        };
        let candidate = CandidateBlock { height, time_ms, certificates, bundles, parent_round };
        let applied = match self.bug {
            Some(Bug::UnspentCheckSkipped) => {
                let reader = NeverSpent { state: &state.memory, spent: &state.spent };
                apply(&self.chain0.rules, &state.ledger, &reader, candidate)
            }
            _ => apply(&self.chain0.rules, &state.ledger, &state.memory, candidate),
        };
        let applied = applied.map(|applied| self.with_the_blocks_own_certificates(applied, given));
        applied.map_err(|error| match error {
            ApplyError::Refused(refusal) => BlockRefused { reason: refusal.to_string() },
            ApplyError::RulesUnknown(unknown) => BlockRefused { reason: unknown.to_string() },
            ApplyError::Read(error) => BlockRefused { reason: error.to_string() },
        })
    }

    /// Only the order of execution is wrong: the header says what the block holds.
    fn with_the_blocks_own_certificates(&self, mut applied: Applied, given: &[BundleCertificate]) -> Applied {
        if self.bug == Some(Bug::MapOrder) {
            let chain = &self.chain0.rules.chain;
            applied.header.certificates_root = certificates_root(chain, given);
            applied.ledger.block = applied.header.hash(chain);
        }
        applied
    }

    /// Of bundles in a block; another at each node where a hash map rules.
    fn order(&self, count: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..count).collect();
        order.sort_by_key(|at| *blake3::hash(&[self.index as u8, *at as u8]).as_bytes());
        order
    }
}

fn tip_of(chain0: &Chain0, ledger: &Ledger, certificate: Option<CommitCertificate>, decided_by: &ValidatorSet) -> Tip {
    let lanes = ledger.lanes.iter().map(|(submitter, lane)| {
        let position = LanePosition {
            incarnation: lane.incarnation,
            next_sequence: lane.next_sequence,
            served_at: lane.served_at,
            bytes_left: ledger.bytes_left(&chain0.rules, *submitter),
        };
        (*submitter, position)
    });
    Tip {
        height: ledger.height,
        block: ledger.block,
        time_ms: ledger.time_ms,
        certificate,
        decided_by: decided_by.clone(),
        validators: (*ledger.validators.set).clone(),
        directory: ledger.directory.clone(),
        lanes: Arc::new(lanes.collect()),
    }
}

impl port::Application for Application {
    fn tip(&self) -> Tip {
        self.state().tip.clone()
    }

    fn propose(&self, candidate: Candidate) -> Result<Block, BlockRefused> {
        let mut state = self.state();
        let parent_round = candidate.parent_certificate.as_ref().map_or(0, |certificate| certificate.round);
        let (certificates, bundles) = (&candidate.certificates, &candidate.bundles);
        let applied =
            self.execute(&mut state, candidate.height, candidate.time_ms, certificates, bundles, parent_round)?;
        let header = applied.header.clone();
        state.executed.insert(header.hash(&self.chain0.rules.chain), applied);
        Ok(Block {
            header,
            certificates: List::new(candidate.certificates).expect("cut to its maximum"),
            parent_certificate: candidate.parent_certificate,
        })
    }

    fn check(&self, block: &Block, bundles: &[Arc<Bundle>]) -> Result<(), BlockRefused> {
        let mut state = self.state();
        let (header, hash) = (&block.header, block.hash(&self.chain0.rules.chain));
        if state.executed.contains_key(&hash) {
            return Ok(());
        }
        let applied =
            self.execute(&mut state, header.height, header.time_ms, &block.certificates, bundles, header.parent_round)?;
        applied.compare(header).map_err(|refusal| BlockRefused { reason: refusal.to_string() })?;
        state.executed.insert(hash, applied);
        Ok(())
    }

    fn commit(&self, decided: DecidedBlock, bundles: &[Arc<Bundle>]) -> Result<Tip, MustStop> {
        let hash = decided.block.hash(&self.chain0.rules.chain);
        self.check(&decided.block, bundles).map_err(|refused| MustStop(refused.reason))?;
        let stop = |error: std::io::Error| MustStop(error.to_string());
        self.file.write_all_at(&hash.0, decided.block.header.height.0 * 32).map_err(stop)?;
        self.file.sync_data().map_err(stop)?;
        let mut state = self.state();
        let applied = state.executed.remove(&hash).expect("just checked");
        state.executed.clear();
        if self.bug == Some(Bug::UnspentCheckSkipped) {
            for id in &applied.changes.coins_deleted {
                let coin = state.memory.coins.get(id).copied().or(state.spent.get(id).copied());
                state.spent.extend(coin.map(|coin| (*id, coin)));
            }
        }
        let spends = !applied.changes.coins_deleted.is_empty();
        state.memory.write(&applied.changes);
        let decided_by = Arc::clone(&state.ledger.validators.set);
        state.ledger = applied.ledger;
        if self.bug == Some(Bug::SpendingIsIssuing) && spends {
            state.ledger.issued += 1;
        }
        state.certificate = Some(decided.certificate.clone());
        state.tip = tip_of(self.chain0, &state.ledger, Some(decided.certificate.clone()), &decided_by);
        let committed = Committed { decided, bundles: bundles.to_vec(), results: applied.results };
        state.blocks.push(Arc::new(committed));
        Ok(state.tip.clone())
    }

    fn decided(&self, height: Height) -> Option<DecidedBlock> {
        let state = self.state();
        state.blocks.get(usize::try_from(height.0.checked_sub(1)?).ok()?).map(|committed| committed.decided.clone())
    }

    fn header(&self, height: Height) -> Option<BlockHeader> {
        self.decided(height).map(|decided| decided.block.header)
    }

    fn message(&self, _: ParticipantNumber, _: Vec<u8>) {}

    fn evidence(&self, evidence: Evidence) {
        self.state().evidence.push(evidence);
    }
}

/// A snapshot in which nothing is ever spent.
struct NeverSpent<'a> {
    state: &'a MemoryState,
    spent: &'a BTreeMap<CoinId, Coin>,
}

impl MapReader for NeverSpent<'_> {
    fn node(&self, key: &[u8]) -> Result<Option<Vec<u8>>, ReadError> {
        MapReader::node(self.state, key)
    }
}

impl LogReader for NeverSpent<'_> {
    fn node(&self, level: u8, index: u64) -> Result<Option<Hash>, ReadError> {
        LogReader::node(self.state, level, index)
    }
}

impl StateReader for NeverSpent<'_> {
    fn snapshot_hash(&self, height: Height) -> Result<[u8; 32], ReadError> {
        self.state.snapshot_hash(height)
    }
    fn coins(&self, ids: &[CoinId]) -> Result<Vec<Option<Coin>>, ReadError> {
        let coins = self.state.coins(ids)?;
        Ok(ids.iter().zip(coins).map(|(id, coin)| coin.or(self.spent.get(id).copied())).collect())
    }
    fn records(&self, ids: &[CoinId]) -> Result<Vec<Option<Record>>, ReadError> {
        self.state.records(ids)
    }
    fn pending_amount(&self, envelope: &EnvelopeId) -> Result<Option<PendingAmount>, ReadError> {
        self.state.pending_amount(envelope)
    }
    fn package(&self, policy: &PolicyHash) -> Result<Option<Arc<Package>>, ReadError> {
        self.state.package(policy)
    }
    fn last_vintage(&self, feed: FeedNumber, period: Period) -> Result<Option<FeedItem>, ReadError> {
        self.state.last_vintage(feed, period)
    }
    fn newest_periods(&self, feed: FeedNumber, periods: u16) -> Result<Vec<PeriodItems>, ReadError> {
        self.state.newest_periods(feed, periods)
    }
    fn obligation(&self, id: &ObligationId) -> Result<Option<OpenObligation>, ReadError> {
        self.state.obligation(id)
    }
    fn has_receipt(&self, id: &ObligationId) -> Result<bool, ReadError> {
        self.state.has_receipt(id)
    }
    fn earliest_due(&self, bank: ParticipantNumber, contract: ContractNumber) -> Result<Option<u64>, ReadError> {
        self.state.earliest_due(bank, contract)
    }
}
