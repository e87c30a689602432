//! Old versions of the map go, and what is still to be proved stays.

use crate::common;

use common::StoredChain;
use common::bed::BANK2;
use ledger_tree::map::{self, EntryType, Version};
use ledger_types::{Height, TreeRoot};

fn provable(chain: &StoredChain, height: Height) -> bool {
    let readers = chain.store().readers();
    let snapshot = readers.snapshot().unwrap();
    let header = snapshot.header(height).unwrap();
    let root = match map::root(&snapshot, Version::after_height(height.0)).unwrap() {
        Some(root) => root,
        None => return false,
    };
    assert!(header.is_none_or(|header| header.map_root == TreeRoot(root)));
    chain.bed.preissued.iter().all(|coin| {
        let key = map::key_hash(EntryType::Record, &coin.id.0);
        map::prove(&snapshot, Version::after_height(height.0), &key).is_ok_and(|found| {
            let value = found.value.expect("a pre-issued coin has a record");
            map::verify_inclusion(&root, &key, &map::value_hash(&value), &found.proof).is_ok()
        })
    })
}

fn rows_of(chain: &StoredChain, column: &str) -> usize {
    let rows = common::raw_rows(&chain.path());
    rows.iterator_cf(rows.cf_handle(column).unwrap(), rocksdb::IteratorMode::Start).count()
}

/// Entries of all versions of the map that are kept: rows that begin with 1.
fn leaves_of(chain: &StoredChain) -> usize {
    let rows = common::raw_rows(&chain.path());
    let nodes = rows.iterator_cf(rows.cf_handle("map_nodes").unwrap(), rocksdb::IteratorMode::Start);
    nodes.filter(|row| row.as_ref().unwrap().1.first() == Some(&1)).count()
}

/// Ten heights; records change at heights 2, 4, 6 and 8.
fn chain() -> StoredChain {
    let mut chain = StoredChain::new();
    for nth in 0..4 {
        let decided = chain.payment(nth);
        let spent = chain.bed.coin_of(BANK2, nth);
        let created: Vec<_> = decided.applied.changes.coins_put.iter().map(|(id, _)| common::bed::live(*id)).collect();
        let mut records = created;
        records.push(common::bed::record(spent.id, ledger_types::confirmation::RecordStatus::Spent));
        let bundle = chain.bed.confirmation(chain.bed.batch(records));
        assert_eq!(chain.block(&[bundle]).applied.results[0].code, 0);
    }
    chain.empty_block();
    chain.empty_block();
    chain
}

#[test]
fn versions_below_the_floor_go_and_the_others_stay() {
    let mut chain = chain();
    assert!((0..=10).all(|height| provable(&chain, Height(height))));
    let pruned = chain.store().prune(Height(5), usize::MAX).unwrap();
    assert!(pruned.done && pruned.rows > 0 && pruned.oldest == Height(5));
    assert!((0..5).all(|height| !provable(&chain, Height(height))));
    assert!((5..=10).all(|height| provable(&chain, Height(height))));
    let oldest = |chain: &StoredChain| chain.store().readers().snapshot().unwrap().oldest_map_height().unwrap();
    assert_eq!(oldest(&chain), Height(5));
    assert_eq!(chain.store().prune(Height(5), usize::MAX).unwrap().rows, 0);
    chain.reopen();
    assert_eq!(oldest(&chain), Height(5));
    chain.empty_block();
    assert!((5..=11).all(|height| provable(&chain, Height(height))));
}

#[test]
fn the_last_state_leaf_stays_provable_whatever_the_floor() {
    let mut chain = chain();
    let pruned = chain.store().prune(Height(1_000), usize::MAX).unwrap();
    assert_eq!(pruned.oldest, Height(8));
    assert!(provable(&chain, Height(8)) && provable(&chain, Height(10)) && !provable(&chain, Height(7)));
    chain.reopen();
    assert!(provable(&chain, Height(8)));
    // One version is left of what did not change since: nothing else piles up.
    chain.store = None;
    let leaves = leaves_of(&chain);
    let entries = 6 + 20 + 8 + 2; // participants, pre-issued records, records of outputs, lanes
    assert!((entries..=entries + 2).contains(&leaves), "{leaves} leaves for {entries} entries");
}

#[test]
fn a_prune_in_small_steps_ends_where_one_in_one_step_does() {
    let mut steps = chain();
    let mut count = 0;
    while !steps.store().prune(Height(9), 3).unwrap().done {
        count += 1;
        let tip = steps.store().tip().ledger.height;
        assert!(provable(&steps, Height(8)) && provable(&steps, tip));
        if count == 2 {
            // A process that ends in between goes on later.
            steps.reopen();
        }
    }
    assert!(count > 2);
    let mut whole = chain();
    whole.store().prune(Height(9), usize::MAX).unwrap();
    (steps.store, whole.store) = (None, None);
    for column in ["map_nodes", "map_stale"] {
        assert_eq!(rows_of(&steps, column), rows_of(&whole, column), "{column}");
    }
}
