//! A copy of a store that goes on: one height, whole, that opens as a ledger does, and holds no guard.

use crate::common;

use std::fs;
use std::path::{Path, PathBuf};

use common::bed::BANK2;
use common::{StoredChain, copy_folder};
use ledger_store::{AckGuard, OpenError, Store, StoreOptions, note_earlier_acks};
use ledger_types::Height;
use ledger_types::bundle::Slot;
use ledger_types::genesis::Genesis;

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => found.push(path),
        }
    }
    found
}

#[test]
fn a_copy_stands_at_its_height_with_its_bundles_while_the_original_goes_on() {
    let mut chain = StoredChain::new();
    chain.payment(0);
    let coin = chain.bed.coin_of(BANK2, 1);
    chain.confirmation(&[coin]);
    let (copy, back) = (chain.folder.path().join("copy"), chain.folder.path().join("back"));
    assert_eq!(chain.store().copy_to(&copy).unwrap(), Height(2));
    chain.payment(1);
    chain.empty_block();
    copy_folder(&copy, &back);
    assert!(files(&copy).iter().all(|file| !fs::read(file).unwrap().starts_with(b"ASSAYACK")), "no guard is in it");

    let genesis = Genesis::clone(&chain.bed.rules.genesis);
    let restored = Store::open(&back, genesis, StoreOptions::default(), None).unwrap();
    assert_eq!(restored.tip().ledger.height, Height(2));
    for height in 1..=2 {
        let block = restored.readers().snapshot().unwrap().block(Height(height)).unwrap().unwrap();
        for certificate in &block.certificates {
            let digest = certificate.digest(&chain.bed.rules.chain);
            assert!(restored.bundles().get(&digest).unwrap().is_some(), "bundle {digest} of height {height}");
        }
    }
    drop(restored);
    // The original has not noticed.
    chain.reopen();
    assert_eq!(chain.store().tip().ledger.height, Height(4));
}

/// B-9: the guard has gone on since the copy was made; what it acked is no loss of the folder that was put back.
#[test]
fn beside_a_guard_that_went_on_a_folder_that_was_put_back_opens_once_it_says_so() {
    let mut chain = StoredChain::new();
    chain.payment(0);
    let (copy, back) = (chain.folder.path().join("copy"), chain.folder.path().join("back"));
    chain.store().copy_to(&copy).unwrap();
    copy_folder(&copy, &back);
    let bundle = chain.payment_bundle(1);
    let slot: Slot = bundle.slot();
    chain.store().bundles().put(std::slice::from_ref(&bundle)).unwrap();
    chain.store().bundles().guard_acks(&[(slot, bundle.digest())]).unwrap();
    chain.store = None;

    let path = chain.folder.path().join("acks");
    let guard = || AckGuard::open(&path, chain.bed.rules.chain.genesis_hash()).unwrap();
    let open = || Store::open(&back, Genesis::clone(&chain.bed.rules.genesis), StoreOptions::default(), Some(guard()));
    assert!(matches!(open(), Err(OpenError::AckedBundleLost { .. })));
    note_earlier_acks(&back, &guard()).unwrap();
    let store = open().unwrap();
    assert_eq!(store.bundles().acked(&slot), Some(bundle.digest()), "no other bundle is ever acked there");
}
