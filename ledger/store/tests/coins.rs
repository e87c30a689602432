//! The file of coins is written anew while heights go on, and nobody notices.

use crate::common;

use std::path::Path;

use common::bed::{BANK2, Bed, preissue};
use common::{StoredChain, agrees, coin_file, copy_folder};
use ledger_store::{Memory, Store, StoreOptions};
use ledger_types::genesis::Genesis;

const COINS: u32 = 40;

/// A file for every third payment or so.
fn open(chain: &StoredChain, path: &Path) -> Store {
    let memory = Memory { coin_changes: 8, ..Memory::LEDGER };
    let options = StoreOptions { memory, ..StoreOptions::default() };
    Store::open(path, Genesis::clone(&chain.bed.rules.genesis), options, chain.guard_of(path)).unwrap()
}

fn chain() -> StoredChain {
    let mut chain = StoredChain::of(Bed::with_preissues(vec![preissue(BANK2, COINS)]));
    chain.store = None;
    chain.store = Some(open(&chain, &chain.path()));
    chain
}

#[track_caller]
fn says_what_memory_says(store: &Store, chain: &StoredChain) {
    let readers = store.readers();
    agrees(&readers.snapshot().unwrap(), &chain.bed);
}

#[test]
fn a_process_killed_at_any_height_finds_the_coins_of_that_height() {
    let mut chain = chain();
    let first = coin_file(&chain.path().join("state"));
    for nth in 0..24 {
        chain.payment(nth);
        says_what_memory_says(chain.store(), &chain);
        let killed = chain.copy();
        says_what_memory_says(&open(&chain, &killed.path().join("ledger")), &chain);
        if nth % 5 == 4 {
            chain.store = None;
            chain.store = Some(open(&chain, &chain.path()));
        }
    }
    assert!(coin_file(&chain.path().join("state")) > first, "another file was written");
}

#[test]
fn a_reader_sees_the_coins_of_its_height_whatever_files_follow() {
    let mut chain = chain();
    chain.payment(0);
    let (bed, readers) = (chain.bed.clone(), chain.store().readers());
    let snapshot = readers.snapshot().unwrap();
    for nth in 1..24 {
        chain.payment(nth);
    }
    agrees(&snapshot, &bed);
    says_what_memory_says(chain.store(), &chain);
}

#[test]
fn a_copy_has_the_coins_of_its_moment_and_outlives_the_original() {
    let mut chain = chain();
    for nth in 0..5 {
        chain.payment(nth);
    }
    let (copy, back) = (chain.folder.path().join("copy"), chain.folder.path().join("back"));
    chain.store().copy_to(&copy).unwrap();
    let bed = chain.bed.clone();
    for nth in 5..24 {
        chain.payment(nth);
    }
    copy_folder(&copy, &back);
    chain.bed = bed;
    says_what_memory_says(&open(&chain, &back), &chain);
}
