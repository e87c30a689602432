//! What one height writes, as plain values. All of it is persisted in one write, or none.

use crate::reader::PendingAmount;
use crate::validators::PendingHandOver;
use ledger_tree::Hash;
use ledger_tree::log::Position;
use ledger_tree::map::MapUpdate;
use ledger_types::coin::Coin;
use ledger_types::confirmation::Record;
use ledger_types::contract::OpenObligation;
use ledger_types::feed::FeedItem;
use ledger_types::ids::*;
use ledger_types::request::OfficerRequest;

/// The difference between two heights, each list in ascending order and each key at most once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StateChanges {
    /// Created, or in a new status.
    pub coins_put: Vec<(CoinId, Coin)>,
    /// Spent (C-1).
    pub coins_deleted: Vec<CoinId>,
    /// The latest record of each coin that the height confirmed.
    pub records: Vec<(CoinId, Record)>,
    pub pending_put: Vec<(EnvelopeId, PendingAmount)>,
    pub pending_deleted: Vec<EnvelopeId>,
    /// One for every height; genesis chunks that only load coins have none.
    pub map: Option<MapUpdate>,
    /// Complete subtrees of the log that did not exist before.
    pub log_nodes: Vec<(Position, Hash)>,
    /// The bytes of each new leaf, with its index in the log.
    pub log_leaves: Vec<(u64, Vec<u8>)>,
    /// Coin → index of the leaf that holds its latest record.
    pub record_leaves: Vec<(CoinId, u64)>,
    /// That the next height's set takes over by.
    pub hand_over: Option<PendingHandOver>,
    /// Packages as they were deployed.
    pub packages: Vec<(PolicyHash, Vec<u8>)>,
    /// Ascending by feed, period, vintage.
    pub feed_items: Vec<FeedItem>,
    pub obligations_put: Vec<(ObligationId, OpenObligation)>,
    /// Returned.
    pub obligations_deleted: Vec<(ObligationId, OpenObligation)>,
    /// The leaves that are about a contract: events and receipts.
    pub contract_leaves: Vec<(ContractNumber, u64)>,
    /// The leaves that are receipts.
    pub receipt_leaves: Vec<(ObligationId, u64)>,
    /// The leaves that are requests of the officers.
    pub request_leaves: Vec<(u64, OfficerRequest)>,
}
