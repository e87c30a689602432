//! A snapshot that lives in memory: the simplest [`StateReader`], for tests, examples and simulations.

use crate::changes::StateChanges;
use crate::reader::{PendingAmount, StateReader};
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

    fn vintages(&self, feed: FeedNumber, period: Period) -> Result<Vec<FeedItem>, ReadError> {
        let keys = (feed, period, Vintage(0))..=(feed, period, Vintage(u32::MAX));
        Ok(self.feed_items.range(keys).map(|(_, item)| *item).collect())
    }

    fn newest_items(&self, feed: FeedNumber, periods: u16) -> Result<Vec<FeedItem>, ReadError> {
        let keys = (feed, Period(0), Vintage(0))..=(feed, Period(u32::MAX), Vintage(u32::MAX));
        let of_feed: Vec<FeedItem> = self.feed_items.range(keys).map(|(_, item)| *item).collect();
        let newest: BTreeSet<Period> = of_feed.iter().map(|item| item.head.period).collect();
        let newest: BTreeSet<Period> = newest.into_iter().rev().take(usize::from(periods)).collect();
        Ok(of_feed.into_iter().filter(|item| newest.contains(&item.head.period)).collect())
    }

    fn obligation(&self, id: &ObligationId) -> Result<Option<OpenObligation>, ReadError> {
        Ok(self.obligations.get(id).copied())
    }

    fn earliest_due(&self, bank: ParticipantNumber, contract: ContractNumber) -> Result<Option<u64>, ReadError> {
        let of_both = |open: &&OpenObligation| open.bank == bank && open.obligation.contract == contract;
        Ok(self.obligations.values().filter(of_both).map(|open| open.obligation.due_ms).min())
    }
}
