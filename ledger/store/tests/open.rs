//! What is not opened, and why: each refusal has a name and says what an operator can do.

mod common;

use std::fs;

use common::bed::{self, BANK2};
use common::{StoredChain, VALIDATORS, precommits, raw_rows};
use ledger_store::{OpenError, ProofGap, Store, StoreOptions};
use ledger_types::block::Block;
use ledger_types::encoding::{Decode, Encode};
use ledger_types::vote::CommitCertificate;
use ledger_types::{BlockHash, Height};

/// A closed chain of three heights: a payment, a confirmation, an empty one.
fn closed_chain() -> StoredChain {
    let mut chain = StoredChain::new();
    chain.payment(0);
    let coin = chain.bed.coin_of(BANK2, 1);
    chain.confirmation(&[coin]);
    chain.empty_block();
    chain.store = None;
    chain
}

fn refusal(chain: &StoredChain) -> OpenError {
    match chain.open_at(&chain.path()) {
        Ok(_) => panic!("the store opened"),
        Err(error) => {
            assert!(error.hint().len() > 20, "{error} has a hint");
            error
        }
    }
}

fn gap(chain: &StoredChain) -> (Height, ProofGap) {
    match refusal(chain) {
        OpenError::NotProven { height, gap } => (height, gap),
        other => panic!("expected a gap in the proof, got {other}"),
    }
}

/// Changes one row of the closed store.
fn change_row(chain: &StoredChain, column: &str, key: &[u8], change: impl FnOnce(Vec<u8>) -> Option<Vec<u8>>) {
    let rows = raw_rows(&chain.path());
    let family = rows.cf_handle(column).unwrap();
    let before = rows.get_cf(family, key).unwrap().unwrap();
    match change(before) {
        Some(after) => rows.put_cf(family, key, after).unwrap(),
        None => rows.delete_cf(family, key).unwrap(),
    }
}

fn height_key(height: u64) -> [u8; 8] {
    height.to_be_bytes()
}

#[test]
fn an_unknown_format_version_is_refused() {
    let chain = closed_chain();
    let file = chain.path().join("FORMAT");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("format 1", "format 2")).unwrap();
    assert!(matches!(refusal(&chain), OpenError::UnknownVersion { found: 2, known: 1, .. }));
}

#[test]
fn another_genesis_is_refused() {
    let chain = closed_chain();
    let other = bed::genesis(vec![bed::preissue(BANK2, 5)]);
    let expected = other.hash();
    let refused = Store::open(&chain.path(), other, StoreOptions::default(), None).err().unwrap();
    let found = chain.bed.rules.genesis.hash();
    assert!(matches!(refused, OpenError::OtherGenesis { found: f, expected: e, .. } if f == found && e == expected));
}

#[test]
fn a_folder_with_something_else_in_it_is_refused_and_left_as_it_is() {
    let chain = closed_chain();
    let path = chain.folder.path().join("photos");
    fs::create_dir(&path).unwrap();
    fs::write(path.join("cat.jpg"), b"meow").unwrap();
    assert!(matches!(chain.open_at(&path), Err(OpenError::Unmarked { .. })));
    assert_eq!(fs::read_dir(&path).unwrap().count(), 1);
}

#[test]
fn an_empty_folder_becomes_a_ledger() {
    let chain = closed_chain();
    let path = chain.folder.path().join("new");
    fs::create_dir(&path).unwrap();
    assert_eq!(chain.open_at(&path).unwrap().tip().ledger.height, Height::GENESIS);
}

#[test]
fn a_folder_in_use_is_refused() {
    let mut chain = closed_chain();
    chain.reopen();
    assert!(matches!(refusal(&chain), OpenError::InUse { .. }));
}

#[test]
fn a_height_without_its_certificate_is_refused() {
    let chain = closed_chain();
    change_row(&chain, "commit_certificates", &height_key(3), |_| None);
    assert_eq!(gap(&chain), (Height(3), ProofGap::CertificateMissing));
}

#[test]
fn a_height_without_its_block_is_refused() {
    let chain = closed_chain();
    change_row(&chain, "blocks", &height_key(3), |_| None);
    assert_eq!(gap(&chain), (Height(3), ProofGap::BlockMissing));
}

#[test]
fn a_height_whose_parent_is_missing_is_refused() {
    let chain = closed_chain();
    change_row(&chain, "blocks", &height_key(2), |_| None);
    assert_eq!(gap(&chain), (Height(3), ProofGap::ParentMissing));
}

#[test]
fn a_height_whose_certificate_is_for_another_block_is_refused() {
    let chain = closed_chain();
    let other = precommits(&chain.bed.rules.chain, Height(3), BlockHash([9; 32]), &VALIDATORS);
    change_row(&chain, "commit_certificates", &height_key(3), |_| Some(other.to_bytes()));
    assert_eq!(gap(&chain), (Height(3), ProofGap::OtherCertificate));
}

#[test]
fn a_height_without_a_quorum_or_with_a_forged_signature_is_refused() {
    let chain = closed_chain();
    let block = chain.bed.ledger.block;
    let few = precommits(&chain.bed.rules.chain, Height(3), block, &VALIDATORS[..2]);
    change_row(&chain, "commit_certificates", &height_key(3), |_| Some(few.to_bytes()));
    assert!(matches!(gap(&chain), (Height(3), ProofGap::Certificate(_))));
    let mut forged = precommits(&chain.bed.rules.chain, Height(3), block, &VALIDATORS);
    forged.precommits.as_mut_slice()[0].signature.0[0] ^= 1;
    change_row(&chain, "commit_certificates", &height_key(3), |_| Some(forged.to_bytes()));
    assert!(matches!(gap(&chain), (Height(3), ProofGap::Certificate(_))));
    let enough = precommits(&chain.bed.rules.chain, Height(3), block, &VALIDATORS[1..]);
    change_row(&chain, "commit_certificates", &height_key(3), |_| Some(enough.to_bytes()));
    assert!(chain.open_at(&chain.path()).is_ok());
}

#[test]
fn a_block_that_was_changed_on_disk_is_refused() {
    let chain = closed_chain();
    change_row(&chain, "blocks", &height_key(3), |bytes| {
        let mut block = Block::from_bytes(&bytes).unwrap();
        block.header.time_ms += 1;
        Some(block.to_bytes())
    });
    assert_eq!(gap(&chain), (Height(3), ProofGap::BlockMissing));
}

/// Whoever can write to the disk cannot make a state of his own that opens.
#[test]
fn a_state_that_its_header_does_not_commit_to_is_refused() {
    let differs = |change: &dyn Fn(&mut ledger_state::Ledger)| {
        let chain = closed_chain();
        change_row(&chain, "ledger", b"", |bytes| {
            let mut ledger = ledger_state::Ledger::from_bytes(&bytes).unwrap();
            change(&mut ledger);
            Some(ledger.to_bytes())
        });
        match gap(&chain) {
            (Height(3), ProofGap::StateDiffers(what)) => what,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(differs(&|ledger| ledger.delta[0] ^= 1), "the state root");
    assert_eq!(differs(&|ledger| ledger.batch_hash.0[0] ^= 1), "the state root");
    assert_eq!(differs(&|ledger| *ledger.issue_numbers.values_mut().next().unwrap() += 1), "the state root");
    assert_eq!(differs(&|ledger| ledger.map_root.0[0] ^= 1), "the map's root");
    assert_eq!(differs(&|ledger| ledger.log_root.0[0] ^= 1), "the log's root");
    assert_eq!(differs(&|ledger| ledger.time_ms += 1), "the time");
    assert_eq!(differs(&|ledger| ledger.set_hash.0[0] ^= 1), "the validator set");
}

/// Kept as it was decided: the certificate in the row is the one that was committed.
#[test]
fn the_certificate_of_the_tip_is_given_back() {
    let mut chain = closed_chain();
    let rows = raw_rows(&chain.path());
    let bytes = rows.get_cf(rows.cf_handle("commit_certificates").unwrap(), height_key(3)).unwrap().unwrap();
    drop(rows);
    chain.reopen();
    assert_eq!(chain.store().tip().certificate, Some(CommitCertificate::from_bytes(&bytes).unwrap()));
}
