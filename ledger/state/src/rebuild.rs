//! What follows from a snapshot's rows and the public log: nobody sends it, so nobody can lie about it (B-7).
//!
//! What stays true here: what [`crate::apply`] writes height by height into the rows that the log repeats, and into the map, follows
//! from the log's leaves, the small state and the open obligations alone. The map's root in the header says whether it is all.

use crate::block::index_leaves;
use crate::changes::StateChanges;
use crate::ledger::Ledger;
use crate::validators::HandOverEntry;
use ledger_tree::Hash;
use ledger_tree::map::{self, EntryType};
use ledger_types::Chain;
use ledger_types::confirmation::Record;
use ledger_types::contract::OpenObligation;
use ledger_types::encoding::Encode;
use ledger_types::feed::FeedItem;
use ledger_types::hand_over::HandOver;
use ledger_types::ids::*;
use ledger_types::log_leaf::LogLeaf;
use ledger_types::rules::RulesOrder;
use std::collections::BTreeMap;

/// An entry of the map: key hash and value (L-4).
pub type MapEntry = (Hash, Vec<u8>);

/// The rows that the log's leaves from this index on repeat: records, items of feeds, and where leaves are found again. Changes of
/// later leaves are written over those of earlier ones.
pub fn rows_of_leaves(first: u64, leaves: &[LogLeaf]) -> StateChanges {
    let mut changes = StateChanges::default();
    index_leaves(first, leaves, &mut changes);
    let mut records = BTreeMap::new();
    for leaf in leaves {
        match leaf {
            LogLeaf::Record { coin, record } => drop(records.insert(*coin, *record)),
            LogLeaf::FeedItem(item) => changes.feed_items.push(*item),
            _ => {}
        }
    }
    changes.records = records.into_iter().collect();
    changes
}

/// Directory lines, lanes that were served, contracts with their versions, feeds, the hand-over that is under way, the versions of the rules.
pub fn entries_of_small_state(chain: &Chain, ledger: &Ledger) -> Vec<MapEntry> {
    let mut entries = Vec::new();
    let mut put = |entry_type, id: &[u8], value: Vec<u8>| entries.push((map::key_hash(entry_type, id), value));
    for line in ledger.directory.iter() {
        put(EntryType::Participant, &line.number.to_bytes(), line.to_bytes());
    }
    for (submitter, lane) in &ledger.lanes {
        put(EntryType::Lane, &submitter.to_bytes(), lane.to_bytes());
    }
    for (number, contract) in ledger.contracts.iter() {
        put(EntryType::Contract, &number.to_bytes(), contract.head.to_bytes());
        for (version, policy) in (1..).map(PolicyVersion).zip(&contract.versions) {
            put(EntryType::Contract, &[number.to_bytes(), version.to_bytes()].concat(), policy.to_bytes());
        }
    }
    for feed in ledger.feeds.iter() {
        put(EntryType::Feed, &feed.definition.feed.to_bytes(), feed.to_bytes());
    }
    if let Some(pending) = &ledger.validators.pending {
        put(EntryType::HandOver, &pending.order.number.to_bytes(), pending.entry(chain).to_bytes());
    }
    entries.extend(ledger.rules_schedule.orders().map(|order| entry_of_rules(&order)));
    entries
}

/// Of a hand-over that has bound.
pub fn entry_of_hand_over(chain: &Chain, hand_over: &HandOver) -> MapEntry {
    let HandOver { order, header, .. } = hand_over;
    let (incoming, binds_at) = (order.incoming.hash(chain), Some(header.height.next()));
    let entry = HandOverEntry { outgoing: order.outgoing, incoming, binds_at };
    (map::key_hash(EntryType::HandOver, &order.number.to_bytes()), entry.to_bytes())
}

/// Of an ordered version: the height at which it begins (9.3, type 8, id: its number).
pub fn entry_of_rules(order: &RulesOrder) -> MapEntry {
    (map::key_hash(EntryType::Rules, &order.version.to_bytes()), order.activates_at.to_bytes())
}

pub fn entry_of_record(coin: &CoinId, record: &Record) -> MapEntry {
    (map::key_hash(EntryType::Record, &coin.0), record.to_bytes())
}

pub fn entry_of_obligation(id: &ObligationId, open: &OpenObligation) -> MapEntry {
    (map::key_hash(EntryType::Obligation, &id.0), open.obligation.to_bytes())
}

pub fn entry_of_feed_item(item: &FeedItem) -> MapEntry {
    let head = &item.head;
    let id = [head.feed.to_bytes(), head.period.to_bytes(), head.vintage.to_bytes()].concat();
    (map::key_hash(EntryType::Feed, &id), item.to_bytes())
}
