//! What is not opened, and why: each refusal has a name and says what an operator can do.

use crate::common;

use std::fs;
use std::sync::Arc;

use common::bed::{self, BANK2, BANK3, CENTRAL};
use common::{StoredChain, VALIDATORS, precommits, raw_rows};
use ledger_state::{ApplyError, CandidateBlock, Lane, Ledger, RulesSchedule, apply};
use ledger_store::{OpenError, ProofGap, Store, StoreOptions};
use ledger_types::block::Block;
use ledger_types::encoding::{Decode, Encode, List};
use ledger_types::participant::{Directory, Roles, SignedBy};
use ledger_types::vote::{CommitCertificate, Vote, VoteStep};
use ledger_types::{BlockHash, Height, ParticipantNumber, RulesVersion};

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
    let chain = StoredChain::closed();
    let file = chain.path().join("FORMAT");
    let text = fs::read_to_string(&file).unwrap();
    // The ledger's row of 5 had no versions of the rules in it; 6 had coins in a column.
    for other in [5, 6, 8] {
        fs::write(&file, text.replace("format 7", &format!("format {other}"))).unwrap();
        assert!(matches!(refusal(&chain), OpenError::UnknownVersion { found, known: 7, .. } if found == other));
    }
}

#[test]
fn another_genesis_is_refused() {
    let chain = StoredChain::closed();
    let other = bed::genesis(vec![bed::preissue(BANK2, 5)]);
    let expected = other.hash();
    let refused = Store::open(&chain.path(), other, StoreOptions::default(), None).err().unwrap();
    let found = chain.bed.rules.genesis.hash();
    assert!(matches!(refused, OpenError::OtherGenesis { found: f, expected: e, .. } if f == found && e == expected));
}

#[test]
fn a_folder_with_something_else_in_it_is_refused_and_left_as_it_is() {
    let chain = StoredChain::closed();
    let path = chain.folder.path().join("photos");
    fs::create_dir(&path).unwrap();
    fs::write(path.join("cat.jpg"), b"meow").unwrap();
    assert!(matches!(chain.open_at(&path), Err(OpenError::Unmarked { .. })));
    assert_eq!(fs::read_dir(&path).unwrap().count(), 1);
}

#[test]
fn an_empty_folder_becomes_a_ledger() {
    let chain = StoredChain::closed();
    let path = chain.folder.path().join("new");
    fs::create_dir(&path).unwrap();
    assert_eq!(chain.open_at(&path).unwrap().tip().ledger.height, Height::GENESIS);
}

#[test]
fn a_folder_in_use_is_refused() {
    let mut chain = StoredChain::closed();
    chain.reopen();
    assert!(matches!(refusal(&chain), OpenError::InUse { .. }));
}

#[test]
fn a_file_that_is_missing_below_a_folder_whose_name_has_a_lock_in_it_is_not_another_process() {
    let chain = StoredChain::closed();
    let path = chain.folder.path().join("blocks of the blockchain");
    fs::rename(chain.path(), &path).unwrap();
    let is_manifest = |path: &std::path::PathBuf| path.file_name().unwrap().to_string_lossy().starts_with("MANIFEST");
    let manifest = fs::read_dir(path.join("state")).unwrap().map(|entry| entry.unwrap().path()).find(is_manifest);
    fs::remove_file(manifest.unwrap()).unwrap();
    assert!(matches!(chain.open_at(&path), Err(OpenError::Store(_))));
}

#[test]
fn a_height_without_its_certificate_is_refused() {
    let chain = StoredChain::closed();
    change_row(&chain, "commit_certificates", &height_key(3), |_| None);
    assert_eq!(gap(&chain), (Height(3), ProofGap::CertificateMissing));
}

#[test]
fn a_height_without_its_block_is_refused() {
    let chain = StoredChain::closed();
    change_row(&chain, "blocks", &height_key(3), |_| None);
    assert_eq!(gap(&chain), (Height(3), ProofGap::BlockMissing));
}

#[test]
fn a_height_whose_parent_is_missing_is_refused() {
    let chain = StoredChain::closed();
    change_row(&chain, "blocks", &height_key(2), |_| None);
    assert_eq!(gap(&chain), (Height(3), ProofGap::ParentMissing));
}

#[test]
fn a_height_whose_certificate_is_for_another_block_is_refused() {
    let chain = StoredChain::closed();
    let other = precommits(&chain.bed.rules.chain, Height(3), BlockHash([9; 32]), &VALIDATORS);
    change_row(&chain, "commit_certificates", &height_key(3), |_| Some(other.to_bytes()));
    assert_eq!(gap(&chain), (Height(3), ProofGap::OtherCertificate));
}

#[test]
fn a_height_without_a_quorum_or_with_a_forged_signature_is_refused() {
    let chain = StoredChain::closed();
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
    let chain = StoredChain::closed();
    change_row(&chain, "blocks", &height_key(3), |bytes| {
        let mut block = Block::from_bytes(&bytes).unwrap();
        block.header.time_ms += 1;
        Some(block.to_bytes())
    });
    assert_eq!(gap(&chain), (Height(3), ProofGap::BlockMissing));
}

/// The ledger's row of a closed chain at height 3, changed by `forge`, is refused; gives what is said to differ.
fn differs(chain: &StoredChain, forge: impl FnOnce(&mut Ledger)) -> &'static str {
    change_row(chain, "ledger", b"", |bytes| {
        let mut ledger = Ledger::from_bytes(&bytes).unwrap();
        forge(&mut ledger);
        Some(ledger.to_bytes())
    });
    match gap(chain) {
        (_, ProofGap::StateDiffers(what)) => what,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_small_state_that_its_header_does_not_commit_to_is_refused() {
    let differs = |forge: &dyn Fn(&mut Ledger)| differs(&StoredChain::closed(), forge);
    assert_eq!(differs(&|ledger| ledger.delta[0] ^= 1), "the state root");
    assert_eq!(differs(&|ledger| ledger.batch_hash.0[0] ^= 1), "the state root");
    assert_eq!(differs(&|ledger| *ledger.issue_numbers.values_mut().next().unwrap() += 1), "the state root");
    assert_eq!(differs(&|ledger| ledger.map_root.0[0] ^= 1), "the map's root");
    assert_eq!(differs(&|ledger| ledger.log_root.0[0] ^= 1), "the log's root");
    assert_eq!(differs(&|ledger| ledger.log_size -= 1), "the log's root");
    assert_eq!(differs(&|ledger| ledger.time_ms += 1), "the time");
    assert_eq!(differs(&|ledger| ledger.set_hash.0[0] ^= 1), "the validator set");
    let other_key = |ledger: &mut Ledger| {
        let lines = ledger.directory.iter().cloned().map(|mut line| {
            if line.number == BANK2 {
                line.keys.bundle = bed::key("thief").public_key();
            }
            line
        });
        ledger.directory = Arc::new(Directory::new(lines.collect()).unwrap());
    };
    assert_eq!(differs(&other_key), "the directory");
}

#[test]
fn totals_and_batch_that_the_logs_last_state_leaf_does_not_say_are_refused() {
    let differs = |forge: &dyn Fn(&mut Ledger)| differs(&StoredChain::closed(), forge);
    assert_eq!(differs(&|ledger| ledger.issued += 1), "the totals");
    assert_eq!(differs(&|ledger| ledger.redeemed += 1), "the totals");
    assert_eq!(differs(&|ledger| ledger.batch.0 += 1), "the batch");
    assert_eq!(differs(&|ledger| *ledger.issued_by_series.values_mut().next().unwrap() += 1), "the totals");
    assert_eq!(differs(&|ledger| *ledger.issued_by_series.values_mut().next().unwrap() = u128::MAX), "the totals");
    // Leaf and state changed alike: the leaf is not the one in the log.
    let counterfeit = |ledger: &mut Ledger| {
        ledger.issued += 1;
        ledger.last_state_leaf.issued += 1;
        *ledger.issued_by_series.values_mut().next().unwrap() += 1;
    };
    assert_eq!(differs(&counterfeit), "the last state leaf");
    let other_batch = |ledger: &mut Ledger| {
        ledger.batch.0 += 1;
        ledger.last_state_leaf.batch.0 += 1;
    };
    assert_eq!(differs(&other_batch), "the last state leaf");
    assert_eq!(differs(&|ledger| ledger.last_state_leaf.map_root.0[0] ^= 1), "the last state leaf");
}

#[test]
fn a_lane_that_the_map_does_not_hold_so_is_refused() {
    let differs = |forge: &dyn Fn(&mut Ledger)| differs(&StoredChain::closed(), forge);
    let lane = |ledger: &mut Ledger, of, forge: &dyn Fn(&mut Lane)| forge(ledger.lanes.get_mut(&of).unwrap());
    // Served again: a bundle could be replayed.
    assert_eq!(differs(&|ledger| lane(ledger, BANK2, &|lane| lane.next_sequence -= 1)), "a lane");
    assert_eq!(differs(&|ledger| lane(ledger, BANK2, &|lane| lane.incarnation += 1)), "a lane");
    assert_eq!(differs(&|ledger| lane(ledger, BANK2, &|lane| lane.refused_bytes += 1)), "a lane");
    assert_eq!(differs(&|ledger| lane(ledger, BANK2, &|lane| lane.served_at.0 -= 1)), "a lane");
    let registration = ParticipantNumber::REGISTRATION;
    assert_eq!(differs(&|ledger| lane(ledger, registration, &|lane| lane.next_sequence += 1)), "a lane");
    assert_eq!(differs(&|ledger| _ = ledger.lanes.remove(&BANK2)), "a lane");
    assert_eq!(differs(&|ledger| _ = ledger.lanes.insert(BANK3, Lane::default())), "a lane");
    assert_eq!(differs(&|ledger| _ = ledger.lanes.insert(ParticipantNumber(99), Lane::default())), "a lane");
}

#[test]
fn b13_a_version_of_the_rules_that_the_header_or_the_map_does_not_say_is_refused() {
    let schedule = |begins: u64| {
        let bytes = [&1u16.to_le_bytes()[..], &begins.to_le_bytes()].concat();
        RulesSchedule::from_bytes(&bytes).unwrap()
    };
    let differs = |begins| differs(&StoredChain::closed(), |ledger| ledger.rules_schedule = schedule(begins));
    assert_eq!(differs(3), "the rules' version");
    assert_eq!(differs(9), "the rules' versions");
}

#[test]
fn b13_a_ledger_that_is_opened_anew_at_each_height_changes_its_rules_when_it_was_ordered() {
    let mut chain = StoredChain::new();
    let order = chain.bed.rules_order(CENTRAL, 2, 4).authorize_by_officers(&chain.bed.rules.clone(), &[0, 2]);
    assert_eq!(chain.accepted(order).block.header.version, RulesVersion(1));
    for version in [1, 1, 2, 2] {
        chain.reopen();
        assert_eq!(chain.empty_block().block.header.version, RulesVersion(version));
    }
    chain.reopen();
    chain.agrees_with_memory();
}

#[test]
fn b13_a_program_that_does_not_know_the_rules_opens_the_ledger_whole_and_executes_nothing() {
    let mut chain = StoredChain::new();
    let order = chain.bed.rules_order(CENTRAL, 2, 3).authorize_by_officers(&chain.bed.rules.clone(), &[0, 2]);
    chain.accepted(order);
    chain.empty_block();
    chain.store = None;
    let options = StoreOptions { rules_known: RulesVersion(1), ..StoreOptions::default() };
    let genesis = (*chain.bed.rules.genesis).clone();
    let old = Store::open(&chain.path(), genesis, options, chain.guard_of(&chain.path())).unwrap();
    let readers = old.readers();
    let snapshot = readers.snapshot().unwrap();
    assert_eq!(snapshot.tip().ledger, chain.bed.ledger);
    let (height, time_ms) = (Height(3), chain.bed.next_time_ms());
    let candidate = CandidateBlock { height, time_ms, certificates: &[], bundles: &[], parent_round: 0 };
    let refused = apply(old.rules(), &snapshot.tip().ledger, &snapshot, candidate);
    assert!(matches!(refused, Err(ApplyError::RulesUnknown(unknown)) if unknown.from == height), "{refused:?}");
    drop(snapshot);
    drop((readers, old));
    chain.reopen();
    assert_eq!(chain.empty_block().block.header.version, RulesVersion(2));
}

/// At height 0 no header stands beside the state, and the genesis says what it must be.
#[test]
fn a_state_of_height_0_that_the_genesis_does_not_give_is_refused() {
    let differs = |forge: &dyn Fn(&mut Ledger)| {
        let mut chain = StoredChain::new();
        chain.store = None;
        differs(&chain, forge)
    };
    assert_eq!(differs(&|ledger| ledger.time_ms += 1), "the genesis state");
    assert_eq!(differs(&|ledger| *ledger.issue_numbers.values_mut().next().unwrap() += 1), "the genesis state");
    assert_eq!(differs(&|ledger| _ = ledger.lanes.insert(BANK2, Lane::default())), "the genesis state");
    assert_eq!(differs(&|ledger| _ = ledger.used_authorizations.insert([1; 32], u64::MAX)), "the genesis state");
    let counterfeit = |ledger: &mut Ledger| {
        ledger.issued += 1;
        ledger.last_state_leaf.issued += 1;
    };
    assert_eq!(differs(&counterfeit), "the genesis state");
    let other_map = |ledger: &mut Ledger| {
        ledger.map_root.0[0] ^= 1;
        ledger.last_state_leaf.map_root.0[0] ^= 1;
    };
    assert_eq!(differs(&other_map), "the map's root");
    assert_eq!(differs(&|ledger| ledger.log_root.0[0] ^= 1), "the log's root");
}

/// A header in the row of height 0 is nobody's: it vouches for nothing.
#[test]
fn a_header_beside_the_genesis_state_is_refused() {
    let mut chain = StoredChain::new();
    let mut header = chain.decide(&[]).applied.header;
    chain.store = None;
    let issued = chain.bed.ledger.issued + 1;
    let rows = raw_rows(&chain.path());
    header.height = Height(0);
    let block = Block { header, certificates: List::empty(), parent_certificate: None };
    rows.put_cf(rows.cf_handle("blocks").unwrap(), height_key(0), block.to_bytes()).unwrap();
    drop(rows);
    assert_eq!(differs(&chain, |ledger| ledger.issued = issued), "the genesis state");
}

/// The set that decides comes from the genesis. It once came from the stored parent, whose hash is known only from the block
/// under test: whoever could write to the disk wrote a parent that names a set of his own, and a certificate of that set.
#[test]
fn a_chain_of_ones_own_with_validators_of_ones_own_is_refused() {
    let chain = StoredChain::closed();
    let rules = &chain.bed.rules;
    let thief = bed::key("thief");
    let lines = rules.genesis.directory.iter().cloned().map(|mut line| {
        if line.number == CENTRAL {
            line.keys.consensus = thief.public_key();
        } else {
            line.power = 0;
            line.roles = Roles::OBSERVER;
        }
        line
    });
    let own_set = Directory::new(lines.collect()).unwrap().validators();

    let rows = raw_rows(&chain.path());
    let column = |name: &str| rows.cf_handle(name).unwrap();
    let block =
        |height| Block::from_bytes(&rows.get_cf(column("blocks"), height_key(height)).unwrap().unwrap()).unwrap();
    let (mut parent, mut tip) = (block(2), block(3));
    parent.header.next_set_hash = own_set.hash(&rules.chain);
    tip.header.parent = parent.hash(&rules.chain);
    let hash = tip.hash(&rules.chain);
    let vote = Vote { step: VoteStep::Precommit, height: Height(3), round: 0, block: Some(hash), validator: CENTRAL };
    let precommit = SignedBy { signer: CENTRAL, signature: thief.sign(&vote.message(&rules.chain)) };
    let precommits = List::new(vec![precommit]).unwrap();
    let certificate = CommitCertificate { height: Height(3), round: 0, block: hash, precommits };
    certificate.verify(&rules.chain, &own_set).unwrap();
    let mut ledger = chain.bed.ledger.clone();
    ledger.block = hash;

    rows.put_cf(column("validator_sets"), parent.header.next_set_hash.0, own_set.to_bytes()).unwrap();
    rows.put_cf(column("blocks"), height_key(2), parent.to_bytes()).unwrap();
    rows.put_cf(column("blocks"), height_key(3), tip.to_bytes()).unwrap();
    rows.put_cf(column("commit_certificates"), height_key(3), certificate.to_bytes()).unwrap();
    rows.put_cf(column("ledger"), b"", ledger.to_bytes()).unwrap();
    drop(rows);
    assert!(matches!(gap(&chain), (Height(3), ProofGap::Certificate(_))));
}

/// Readers go by a row of its own for the height.
#[test]
fn a_height_row_that_is_not_the_ledgers_is_refused() {
    let chain = StoredChain::closed();
    change_row(&chain, "meta", &[0], |_| Some(2u64.to_le_bytes().to_vec()));
    assert_eq!(gap(&chain), (Height(3), ProofGap::StateDiffers("the height's row")));
}

/// Kept as it was decided: the certificate in the row is the one that was committed.
#[test]
fn the_certificate_of_the_tip_is_given_back() {
    let mut chain = StoredChain::closed();
    let rows = raw_rows(&chain.path());
    let bytes = rows.get_cf(rows.cf_handle("commit_certificates").unwrap(), height_key(3)).unwrap().unwrap();
    drop(rows);
    chain.reopen();
    assert_eq!(chain.store().tip().certificate, Some(CommitCertificate::from_bytes(&bytes).unwrap()));
}
