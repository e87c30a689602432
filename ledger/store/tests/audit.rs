//! Log and map computed anew from the stored bytes: what is whole passes, and a flipped byte anywhere in it does not.

use crate::common;

use common::bed::{self, BANK2, Bed};
use common::{StoredChain, raw_rows};
use ledger_store::{Audit, StoreError};
use ledger_types::confirmation::RecordStatus;
use rocksdb::IteratorMode;

/// Coins that are registered at the genesis, one that was paid, spent and confirmed, and directory and lanes.
fn chain_of(preissued: u32) -> StoredChain {
    let mut chain = StoredChain::of(Bed::with_preissues(vec![bed::preissue(BANK2, preissued)]));
    chain.payment(0);
    let spent = bed::record(chain.bed.coin_of(BANK2, 0).id, RecordStatus::Spent);
    let batch = chain.bed.batch(vec![spent]);
    let bundle = chain.bed.confirmation(batch);
    chain.block(&[bundle]);
    assert!(chain.bed.ledger.batch.0 == 1, "the batch was accepted");
    chain
}

/// Steps to the end; the number of steps.
fn audited(chain: &StoredChain) -> Result<usize, StoreError> {
    let readers = chain.store().readers();
    let (mut audit, mut steps) = (Audit::default(), 1);
    let mut progress = audit.progress();
    while !audit.step(&readers)? {
        assert!(audit.progress() >= progress);
        (progress, steps) = (audit.progress(), steps + 1);
    }
    assert!((audit.progress() - 1.0).abs() < 1e-9, "{}", audit.progress());
    Ok(steps)
}

#[test]
fn a_whole_ledger_passes_in_many_small_steps_and_while_it_grows() {
    let mut chain = chain_of(9_000);
    // Three of the log, eight of the map, of 9,000 leaves.
    assert!(audited(&chain).unwrap() >= 10);
    let (mut audit, mut paid) = (Audit::default(), 1);
    loop {
        let readers = chain.store().readers();
        if audit.step(&readers).unwrap() {
            break;
        }
        chain.payment(paid);
        paid += 1;
    }
}

/// Flips a bit in the middle of every nth row of a column, one at a time; how many there were, and how many passed unseen.
fn flipped(chain: &mut StoredChain, column: &str, nth: usize) -> (usize, Vec<String>) {
    chain.store = None;
    let rows: Vec<_> = {
        let database = raw_rows(&chain.path());
        let family = database.cf_handle(column).unwrap();
        database.iterator_cf(family, IteratorMode::Start).map(Result::unwrap).step_by(nth).collect()
    };
    let mut unseen = Vec::new();
    for (key, value) in &rows {
        let path = chain.path();
        let write = |bytes: &[u8]| {
            let database = raw_rows(&path);
            database.put_cf(database.cf_handle(column).unwrap(), key, bytes).unwrap();
        };
        let mut bad = value.to_vec();
        let middle = bad.len() / 2;
        bad[middle] ^= 1;
        write(&bad);
        // What is so near the tip that a start sees it is refused at the start.
        if let Ok(store) = chain.open_at(&chain.path()) {
            chain.store = Some(store);
            match audited(chain) {
                Ok(_) => unseen.push(hex::encode(key)),
                Err(error) => assert!(matches!(error, StoreError::Corrupt { .. }), "{error}"),
            }
            chain.store = None;
        }
        write(value);
    }
    chain.reopen();
    audited(chain).expect("all is as it was");
    (rows.len(), unseen)
}

#[test]
fn a_flipped_byte_in_any_leaf_or_node_of_the_log_is_found() {
    let mut chain = chain_of(40);
    for column in ["log_leaves", "log_nodes"] {
        let (tried, unseen) = flipped(&mut chain, column, 3);
        assert!(tried >= 13 && unseen.is_empty(), "{column}: {unseen:?} of {tried}");
    }
}

#[test]
fn a_flipped_byte_in_any_record_or_its_place_is_found() {
    let mut chain = chain_of(40);
    for column in ["records", "coin_leaves"] {
        let (tried, unseen) = flipped(&mut chain, column, 3);
        assert!(tried >= 13 && unseen.is_empty(), "{column}: {unseen:?} of {tried}");
    }
}

#[test]
fn a_flipped_byte_in_any_node_of_the_map_is_found() {
    let mut chain = chain_of(40);
    // Rows of versions before the tip's are read by nobody any more: they are pruned first.
    let height = chain.bed.ledger.height;
    chain.store().prune(height, usize::MAX).unwrap();
    let (tried, unseen) = flipped(&mut chain, "map_nodes", 1);
    assert!(tried >= 40 && unseen.is_empty(), "{unseen:?} of {tried}");
}

#[test]
fn a_leaf_that_is_gone_is_found() {
    let mut chain = chain_of(40);
    chain.store = None;
    {
        let database = raw_rows(&chain.path());
        database.delete_cf(database.cf_handle("log_leaves").unwrap(), 7u64.to_be_bytes()).unwrap();
    }
    chain.reopen();
    let fault = audited(&chain).unwrap_err().to_string();
    assert!(fault.contains("leaf 7"), "{fault}");
}
