//! A process or a machine that dies at any moment: what was said stays, and what was not may go.
//!
//! A copy of the folder taken while the store is open is what a killed process leaves. Files cut shorter are what a power cut
//! leaves of writes that had not returned.

use crate::common;

use std::fs;
use std::path::{Path, PathBuf};

use common::{StoredChain, copy_folder};
use ledger_store::{Losses, OpenError, Store, StoreOptions};
use ledger_types::Height;

#[test]
fn a_killed_process_loses_nothing_that_was_committed() {
    let mut chain = StoredChain::new();
    for nth in 0..4 {
        chain.payment(nth);
        let copy = chain.copy();
        let store = chain.open_at(&copy.path().join("ledger")).unwrap();
        assert_eq!(store.tip(), chain.store().tip());
        assert!(store.bundles().unordered().unwrap().is_empty());
    }
}

/// B-8: bundles first, then the height. Between the two the bundle is there and unordered.
#[test]
fn a_process_killed_between_bundle_and_height_finds_the_bundle_unordered() {
    let mut chain = StoredChain::new();
    chain.payment(0);
    let bundle = chain.payment_bundle(1);
    chain.store().bundles().put(std::slice::from_ref(&bundle)).unwrap();
    let copy = chain.copy();
    let store = chain.open_at(&copy.path().join("ledger")).unwrap();
    assert_eq!(store.tip().ledger.height, Height(1));
    assert_eq!(store.bundles().unordered().unwrap(), vec![bundle.clone()]);
    let decided = chain.decide(&[bundle]);
    store.commit(decided.height()).unwrap();
    assert_eq!(store.tip().ledger, decided.applied.ledger);
}

fn newest_log_file(path: &Path) -> PathBuf {
    let files = fs::read_dir(path.join("state")).unwrap().map(|entry| entry.unwrap().path());
    let mut logs: Vec<_> = files.filter(|file| file.extension().is_some_and(|extension| extension == "log")).collect();
    logs.sort();
    logs.pop().unwrap()
}

/// A write that never returned may be on disk in part. The height before it stands, whole.
#[test]
fn a_height_whose_write_was_torn_anywhere_is_there_whole_or_not_at_all() {
    let mut chain = StoredChain::new();
    chain.payment(0);
    let before = chain.copy();
    let before_bytes = fs::metadata(newest_log_file(&before.path().join("ledger"))).unwrap().len();
    let tip_before = chain.store().tip();
    let bed_before = chain.bed.clone();
    chain.payment(1);
    let after = chain.copy();
    let after_bytes = fs::metadata(newest_log_file(&after.path().join("ledger"))).unwrap().len();
    assert!(after_bytes > before_bytes + 1_000);

    let step = (after_bytes - before_bytes) / 40;
    let cuts =
        (before_bytes..after_bytes).step_by(step as usize).chain([before_bytes + 1, before_bytes + 6, after_bytes - 1]);
    for cut in cuts {
        let torn = tempfile::tempdir().unwrap();
        let path = torn.path().join("ledger");
        copy_folder(&after.path().join("ledger"), &path);
        let log = fs::OpenOptions::new().write(true).open(newest_log_file(&path)).unwrap();
        log.set_len(cut).unwrap();
        // The write did not return, so nothing bears witness to it.
        fs::copy(before.path().join("ledger/state/WITNESS"), path.join("state/WITNESS")).unwrap();
        let store = chain.open_at(&path).unwrap_or_else(|error| panic!("cut at {cut}: {error}"));
        assert_eq!(store.tip(), tip_before, "cut at {cut}");
        let readers = store.readers();
        common::agrees(&readers.snapshot().unwrap(), &bed_before);
        assert_eq!(store.bundles().unordered().unwrap().len(), 1, "its bundle is there, unordered");
    }
    // After power was cut, zeros may stand where a write had not come to.
    let torn = tempfile::tempdir().unwrap();
    let path = torn.path().join("ledger");
    copy_folder(&after.path().join("ledger"), &path);
    let log = newest_log_file(&path);
    let mut bytes = fs::read(&log).unwrap();
    bytes[before_bytes as usize + 100..before_bytes as usize + 900].fill(0);
    fs::write(&log, bytes).unwrap();
    fs::copy(before.path().join("ledger/state/WITNESS"), path.join("state/WITNESS")).unwrap();
    assert_eq!(chain.open_at(&path).unwrap().tip(), tip_before);
}

/// A height that had been durable and is gone is told apart from a write that never returned.
#[test]
fn a_lost_durable_height_is_refused_unless_the_operator_accepts_it() {
    let mut chain = StoredChain::new();
    chain.payment(0);
    let early = chain.copy();
    let early_bytes = fs::metadata(newest_log_file(&early.path().join("ledger"))).unwrap().len() as usize;
    chain.payment(1);
    chain.payment(2);
    chain.store = None;

    let log = newest_log_file(&chain.path());
    let good = fs::read(&log).unwrap();
    let mut flipped = good.clone();
    flipped[early_bytes + 200] ^= 4;
    let mut last_flipped = good.clone();
    *last_flipped.last_mut().unwrap() ^= 1;
    // In each the storage engine goes back to the last record that is whole.
    for damaged in [&flipped, &last_flipped, &good[..early_bytes].to_vec(), &good[..good.len() - 1].to_vec()] {
        fs::write(&log, damaged).unwrap();
        let copy = tempfile::tempdir().unwrap();
        copy_folder(&chain.path(), copy.path());
        let refused = chain.open_at(copy.path()).err().unwrap();
        assert!(matches!(refused, OpenError::RowsLost { .. }), "{refused}");
        assert!(refused.hint().contains("disk"));
    }

    fs::write(&log, &flipped).unwrap();
    let accept = StoreOptions { losses: Losses::Accept, ..StoreOptions::default() };
    let genesis = (*chain.bed.rules.genesis).clone();
    let store = Store::open(&chain.path(), genesis, accept, chain.guard_of(&chain.path())).unwrap();
    assert_eq!(store.tip().ledger.height, Height(1));
    assert_eq!(store.bundles().unordered().unwrap().len(), 2, "the bundles of the lost heights can be ordered again");
    drop(store);
    assert!(chain.open_at(&chain.path()).is_ok(), "what was accepted once is not asked again");
}

#[test]
fn a_genesis_that_was_broken_off_is_begun_again() {
    let chain = StoredChain::new();
    let path = chain.folder.path().join("fresh");
    let building = chain.folder.path().join("fresh.building");
    copy_folder(&chain.path(), &building);
    fs::remove_file(building.join("FORMAT")).unwrap();
    fs::remove_dir_all(building.join("bundles")).unwrap();
    let store = chain.open_at(&path).unwrap();
    assert_eq!(store.tip().ledger, chain.store().tip().ledger);
    assert!(!building.exists());
}
