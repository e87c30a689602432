//! Height 0 (G-1): loaded in chunks, and the same as if loaded at once.

use crate::common;

use common::*;
use ledger_state::{Ledger, Rules, preissued_coins};
use ledger_tree::map::{self, EntryType, Version};
use ledger_types::coin::{CoinStatus, issue_origin};
use ledger_types::confirmation::{Overdue, RecordStatus};
use ledger_types::encoding::{Decode, Encode, List};
use ledger_types::genesis::Preissue;
use ledger_types::ids::*;
use ledger_types::log_leaf::LogLeaf;
use std::collections::BTreeMap;

fn line(series: u32, bank: ParticipantNumber, seed: u8, amount: u64, count: u32) -> Preissue {
    Preissue {
        series: SeriesNumber(series),
        seed: [seed; 32],
        bank,
        owner: owner().public_key(),
        amount: Amount(amount),
        count,
    }
}

#[test]
fn batch_0_exists_with_its_state_leaf_even_without_coins_g1() {
    let rules = Rules::new(genesis(vec![]));
    let (state, ledger) = load_genesis(&rules);
    assert_eq!((ledger.height, ledger.batch, ledger.log_size), (Height(0), BatchNumber(0), 1));
    assert_eq!(LogLeaf::from_bytes(&state.log_leaves[&0]).unwrap(), LogLeaf::State(ledger.last_state_leaf));
    assert_eq!(ledger.last_state_leaf.map_root, ledger.map_root);
    assert_eq!(ledger.block.0, rules.chain.genesis_hash().0);
    for number in [CENTRAL, BANK5, OBSERVER] {
        let key = map::key_hash(EntryType::Participant, &number.to_bytes());
        let found = map::prove(&state, Version::after_height(0), &key).unwrap();
        assert_eq!(found.value, Some(ledger.directory.get(number).unwrap().to_bytes()));
    }
}

#[test]
fn pre_issued_coins_are_live_recorded_counted_and_numbered_g1() {
    let lines = vec![line(1, BANK2, 1, 10, 3), line(2, BANK3, 2, 20, 2), line(1, BANK3, 3, 30, 4)];
    let rules = Rules::new(genesis(lines.clone()));
    let (state, ledger) = load_genesis(&rules);
    assert_eq!((ledger.issued, ledger.redeemed), (10 * 3 + 20 * 2 + 30 * 4, 0));
    assert_eq!(ledger.issued_by_series, BTreeMap::from([(SeriesNumber(1), 150), (SeriesNumber(2), 40)]));
    assert_eq!(ledger.issue_numbers, BTreeMap::from([(SeriesNumber(1), 7), (SeriesNumber(2), 2)]));
    assert_eq!(state.coins.len(), 9);

    // By hand: the third coin of the third line is number 3 + 2 of series 1.
    let opening = lines[2].opening(&rules.chain, rules.genesis.currency, 2);
    let origin = issue_origin(&rules.chain, SeriesNumber(1), 5);
    let id = opening.coin_id(&rules.chain, &origin, 0, BANK3);
    assert_eq!(state.coins[&id].status, CoinStatus::Live);
    let record = state.records[&id];
    assert_eq!((record.status, record.batch, record.height), (RecordStatus::Live, BatchNumber(0), Height(0)));
    assert_eq!((record.time_ms, record.tag), (GENESIS_TIME_MS, opening.owner_tag(&rules.chain, &id)));
    assert_eq!(state.record_leaves[&id], 3 + 2 + 2);
    let leaf = LogLeaf::from_bytes(&state.log_leaves[&7]).unwrap();
    assert_eq!(leaf, LogLeaf::Record { coin: id, record });
    assert_eq!(preissued_coins(&rules).nth(7).unwrap().id, id);
    let key = map::key_hash(EntryType::Record, &id.0);
    let found = map::prove(&state, Version::after_height(0), &key).unwrap();
    assert_eq!(found.value, Some(record.to_bytes()));
}

#[test]
fn a_genesis_of_many_chunks_has_the_map_and_log_of_one_loaded_at_once() {
    let rules = Rules::new(genesis(vec![line(1, BANK2, 1, 10, 12_345), line(2, BANK3, 2, 20, 8_000)]));
    let (state, ledger) = load_genesis(&rules);
    assert_eq!(state.coins.len(), 20_345);
    let mut entries: BTreeMap<_, _> = state
        .records
        .iter()
        .map(|(id, record)| (map::key_hash(EntryType::Record, &id.0), Some(record.to_bytes())))
        .collect();
    for p in rules.genesis.directory.iter() {
        entries.insert(map::key_hash(EntryType::Participant, &p.number.to_bytes()), Some(p.to_bytes()));
    }
    let empty = ledger_state::memory::MemoryState::default();
    let at_once = map::update(&empty, None, Version::after_height(0), entries).unwrap();
    assert_eq!(TreeRoot(at_once.root), ledger.map_root);
    let hashes: Vec<_> = state.log_leaves.values().map(|leaf| ledger_tree::log::leaf_hash(leaf)).collect();
    let at_once = ledger_tree::log::append(&empty, 0, &hashes).unwrap();
    assert_eq!((at_once.size, TreeRoot(at_once.root)), (ledger.log_size, ledger.log_root));
}

#[test]
fn the_stored_ledger_is_read_back_as_it_was() {
    let mut bed = Bed::new();
    let coin = bed.coin_of(BANK2, 0);
    let recover = bed.recover(&[coin], &[(BANK3, 100)]).authorize_by_officers(&bed.rules, &[0, 1]);
    assert_eq!(bed.submit(recover), 0);
    let line = bed.line_with_new_desk_key(BANK2, "new");
    let update = bed.update(BANK2, line).authorize_by_officers(&bed.rules, &[0, 1]);
    let mut batch = bed.batch(vec![]);
    let entry = |byte| Overdue { envelope: EnvelopeId([byte; 32]), submitter: BANK4 };
    batch.overdue = List::new(vec![entry(1), entry(2)]).unwrap();
    let bundle = bed.confirmation(batch);
    bed.block(&[bundle]);
    assert_eq!(bed.submit(update), 0);

    let bytes = bed.ledger.to_bytes();
    let read = Ledger::from_bytes(&bytes).unwrap();
    assert_eq!(read, bed.ledger);
    assert_eq!(read.overdue.count_of(BANK4), 2);
    assert!(!read.events_to_log.is_empty() && !read.used_authorizations.is_empty());
    for cut in 0..bytes.len() {
        assert!(Ledger::from_bytes(&bytes[..cut]).is_err());
    }
    assert!(Ledger::from_bytes(&[&bytes[..], &[0]].concat()).is_err());
}

#[test]
fn used_authorizations_are_forgotten_when_their_envelope_has_expired() {
    let mut bed = Bed::new();
    let line = bed.line_with_new_desk_key(BANK2, "new");
    let update = bed.update(BANK2, line).authorize_by_officers(&bed.rules, &[0, 1]);
    let expiry_ms = update.core.expiry_ms;
    assert_eq!(bed.submit(update), 0);
    let at = |bed: &Bed, time_ms| bed.try_block_at(time_ms, &[]).unwrap().ledger.used_authorizations.len();
    assert_eq!(at(&bed, expiry_ms), 1);
    assert_eq!(at(&bed, expiry_ms + 1), 0);
}
