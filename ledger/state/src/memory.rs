//! A snapshot that lives in memory: the simplest [`StateReader`], for tests, examples and simulations.

use crate::changes::StateChanges;
use crate::reader::{PendingAmount, PeriodItems, StateReader};
use contracts_vm::Package;
use ledger_tree::log::{LogReader, Position};
use ledger_tree::map::MapReader;
use ledger_tree::{Hash, ReadError};
use ledger_types::coin::Coin;
use ledger_types::confirmation::Record;
use ledger_types::contract::OpenObligation;
use ledger_types::feed::FeedItem;
use ledger_types::ids::*;
use ledger_types::request::OfficerRequest;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Everything is public: a test may plant what no block could make.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemoryState {
    pub coins: BTreeMap<CoinId, Coin>,
    pub records: BTreeMap<CoinId, Record>,
    pub pending: BTreeMap<EnvelopeId, PendingAmount>,
    pub map_nodes: BTreeMap<Vec<u8>, Vec<u8>>,
    pub log_nodes: BTreeMap<Position, Hash>,
    pub log_leaves: BTreeMap<u64, Vec<u8>>,
    pub record_leaves: BTreeMap<CoinId, u64>,
    pub request_leaves: BTreeMap<u64, OfficerRequest>,
    pub packages: BTreeMap<PolicyHash, Arc<Package>>,
    pub feed_items: BTreeMap<(FeedNumber, Period, Vintage), FeedItem>,
    pub obligations: BTreeMap<ObligationId, OpenObligation>,
    pub contract_leaves: BTreeSet<(ContractNumber, u64)>,
    pub receipt_leaves: BTreeMap<ObligationId, u64>,
    /// Whoever keeps this state puts them in when their heights are reached (B-7).
    pub snapshots: BTreeMap<Height, [u8; 32]>,
}

impl MemoryState {
    pub fn write(&mut self, changes: &StateChanges) {
        self.coins.extend(changes.coins_put.iter().copied());
        for id in &changes.coins_deleted {
            self.coins.remove(id);
        }
        self.records.extend(changes.records.iter().copied());
        self.pending.extend(changes.pending_put.iter().copied());
        for id in &changes.pending_deleted {
            self.pending.remove(id);
        }
        if let Some(map) = &changes.map {
            self.map_nodes.extend(map.nodes.iter().cloned());
        }
        self.log_nodes.extend(changes.log_nodes.iter().copied());
        self.log_leaves.extend(changes.log_leaves.iter().cloned());
        self.record_leaves.extend(changes.record_leaves.iter().copied());
        self.request_leaves.extend(changes.request_leaves.iter().copied());
        for (policy, bytes) in &changes.packages {
            let package = Package::from_bytes(bytes).expect("what was deployed has verified");
            self.packages.insert(*policy, Arc::new(package));
        }
        let items = changes.feed_items.iter();
        self.feed_items.extend(items.map(|item| ((item.head.feed, item.head.period, item.head.vintage), *item)));
        self.obligations.extend(changes.obligations_put.iter().copied());
        for (id, _) in &changes.obligations_deleted {
            self.obligations.remove(id);
        }
        self.contract_leaves.extend(changes.contract_leaves.iter().copied());
        self.receipt_leaves.extend(changes.receipt_leaves.iter().copied());
    }
}

impl MapReader for MemoryState {
    fn node(&self, key: &[u8]) -> Result<Option<Vec<u8>>, ReadError> {
        Ok(self.map_nodes.get(key).cloned())
    }
}

impl LogReader for MemoryState {
    fn node(&self, level: u8, index: u64) -> Result<Option<Hash>, ReadError> {
        Ok(self.log_nodes.get(&(level, index)).copied())
    }
}

impl StateReader for MemoryState {
    fn coins(&self, ids: &[CoinId]) -> Result<Vec<Option<Coin>>, ReadError> {
        Ok(ids.iter().map(|id| self.coins.get(id).copied()).collect())
    }

    fn records(&self, ids: &[CoinId]) -> Result<Vec<Option<Record>>, ReadError> {
        Ok(ids.iter().map(|id| self.records.get(id).copied()).collect())
    }

    fn pending_amount(&self, envelope: &EnvelopeId) -> Result<Option<PendingAmount>, ReadError> {
        Ok(self.pending.get(envelope).copied())
    }

    fn package(&self, policy: &PolicyHash) -> Result<Option<Arc<Package>>, ReadError> {
        Ok(self.packages.get(policy).cloned())
    }

    fn last_vintage(&self, feed: FeedNumber, period: Period) -> Result<Option<FeedItem>, ReadError> {
        let of_period = (feed, period, Vintage(0))..=(feed, period, Vintage(u32::MAX));
        Ok(self.feed_items.range(of_period).next_back().map(|(_, item)| *item))
    }

    fn newest_periods(&self, feed: FeedNumber, periods: u16) -> Result<Vec<PeriodItems>, ReadError> {
        let mut before = (feed, Period(u32::MAX), Vintage(u32::MAX));
        let mut found = Vec::new();
        while found.len() < usize::from(periods) {
            let older = (feed, Period(0), Vintage(0))..before;
            let Some((_, last)) = self.feed_items.range(older).next_back() else { break };
            before = (feed, last.head.period, Vintage(0));
            let first = self.feed_items.get(&before).ok_or_else(|| ReadError::new("a period has no first vintage"))?;
            found.push(PeriodItems { first: *first, last: *last });
        }
        Ok(found)
    }

    fn obligation(&self, id: &ObligationId) -> Result<Option<OpenObligation>, ReadError> {
        Ok(self.obligations.get(id).copied())
    }

    fn has_receipt(&self, id: &ObligationId) -> Result<bool, ReadError> {
        Ok(self.receipt_leaves.contains_key(id))
    }

    fn earliest_due(&self, bank: ParticipantNumber, contract: ContractNumber) -> Result<Option<u64>, ReadError> {
        let of_both = |open: &&OpenObligation| open.bank == bank && open.obligation.contract == contract;
        Ok(self.obligations.values().filter(of_both).map(|open| open.obligation.due_ms).min())
    }

    fn snapshot_hash(&self, height: Height) -> Result<[u8; 32], ReadError> {
        self.snapshots.get(&height).copied().ok_or_else(|| ReadError::new("nobody put in this height's snapshot hash"))
    }
}
