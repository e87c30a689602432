//! B-13: how the rules change on a running chain, and every order that does not change them.

use crate::common;

use common::*;
use ledger_state::{ApplyError, BlockRefusal, Ledger, RulesUnknown, entries_of_small_state};
use ledger_tree::map::{self, EntryType, Version};
use ledger_types::encoding::{Decode, Encode};
use ledger_types::ids::*;
use ledger_types::log_leaf::LogLeaf;
use ledger_types::rejection::Rejection;
use ledger_types::rules::{RULES_KNOWN, RULES_NOTICE_MAX, RulesOrder};

fn ordered(bed: &mut Bed, version: u8, activates_at: u64) -> Draft {
    bed.rules_order(CENTRAL, version, activates_at).authorize_by_officers(&bed.rules.clone(), &[0, 2])
}

#[test]
fn b13_a_chain_begins_under_version_1_and_this_program_knows_it() {
    let mut bed = Bed::new();
    assert_eq!(bed.block(&[]).header.version, RulesVersion(1));
    assert_eq!((bed.rules.known, RULES_KNOWN), (RULES_KNOWN, RulesVersion(2)));
}

#[test]
fn b13_the_version_changes_exactly_at_the_height_that_officers_ordered() {
    let mut bed = Bed::new();
    let order = RulesOrder { version: RulesVersion(2), activates_at: Height(4) };
    let draft = ordered(&mut bed, 2, 4);
    let bundle = bed.bundle(CENTRAL, vec![draft.seal()]);
    let applied = bed.block(&[bundle]);
    assert_eq!((applied.results[0].code, applied.header.version), (0, RulesVersion(1)));
    assert_eq!(bed.ledger.rules_schedule.pending(bed.ledger.height), Some(order));
    for version in [1, 1, 2, 2] {
        assert_eq!(bed.block(&[]).header.version, RulesVersion(version), "height {}", bed.ledger.height);
    }
    assert_eq!(bed.ledger.rules_schedule.pending(bed.ledger.height), None);
}

#[test]
fn b13_an_order_stands_in_the_map_at_once_and_in_the_log_with_the_next_batch() {
    let mut bed = Bed::new();
    let order = RulesOrder { version: RulesVersion(2), activates_at: Height(9) };
    let key = map::key_hash(EntryType::Rules, &[2]);
    let value = |bed: &Bed| map::prove(&bed.state, Version::after_height(bed.ledger.height.0), &key).unwrap().value;
    bed.block(&[]);
    assert_eq!(value(&bed), None);
    let draft = ordered(&mut bed, 2, 9);
    assert_eq!(bed.submit(draft), 0);
    assert_eq!(value(&bed), Some(9u64.to_le_bytes().to_vec()));
    let size = bed.ledger.log_size;
    assert_eq!(bed.confirm(vec![]), 0);
    assert_eq!(LogLeaf::from_bytes(&bed.state.log_leaves[&size]).unwrap(), LogLeaf::Rules(order));
    // A node that joins by a snapshot has the small state, and knows the version and the map's entry by it (B-7).
    bed.wait_heights(8);
    let joined = Ledger::from_bytes(&bed.ledger.to_bytes()).unwrap();
    assert_eq!(joined, bed.ledger);
    assert!(entries_of_small_state(&bed.rules.chain, &joined).contains(&(key, 9u64.to_le_bytes().to_vec())));
}

#[test]
fn b13_a_program_that_does_not_know_the_version_executes_every_height_before_it_and_none_from_it_on() {
    let mut bed = Bed::new();
    bed.rules.known = RulesVersion(1);
    let draft = ordered(&mut bed, 2, 4);
    assert_eq!(bed.submit(draft), 0);
    let unknown = RulesUnknown { needed: RulesVersion(2), known: RulesVersion(1), from: Height(4) };
    assert_eq!(bed.ledger.rules_schedule.unknown_to(bed.rules.known), Some(unknown));
    bed.wait_heights(2);
    match bed.try_block(&[]) {
        Err(ApplyError::RulesUnknown(found)) => assert_eq!(found, unknown),
        other => panic!("{other:?}"),
    }
    // Installed: the same ledger goes on.
    bed.rules.known = RULES_KNOWN;
    assert_eq!(bed.block(&[]).header.version, RulesVersion(2));
    assert_eq!(bed.ledger.rules_schedule.unknown_to(bed.rules.known), None);
}

#[test]
fn b13_a_header_of_another_version_is_refused_before_and_after_the_activation() {
    let mut bed = Bed::new();
    let draft = ordered(&mut bed, 2, 3);
    assert_eq!(bed.submit(draft), 0);
    for (other, governs) in [(2, 1), (1, 2)] {
        let applied = bed.block(&[]);
        let mut header = applied.header.clone();
        assert_eq!(header.version, RulesVersion(governs));
        header.version = RulesVersion(other);
        assert_eq!(applied.compare(&header), Err(BlockRefusal::RulesVersionDiffers));
    }
}

#[test]
fn b13_an_order_of_the_same_block_counts_for_the_next_one() {
    let mut bed = Bed::new();
    let (first, second) = (ordered(&mut bed, 2, 5).seal(), ordered(&mut bed, 2, 6).seal());
    let bundle = bed.bundle(CENTRAL, vec![first, second]);
    let codes: Vec<u16> = bed.block(&[bundle]).results.iter().map(|result| result.code).collect();
    assert_eq!(codes, [0, Rejection::RulesPending.number()]);
}

#[test]
fn rejection_3_a_commercial_bank_carries_no_rules_order_b13() {
    let mut bed = Bed::new();
    let order = bed.rules_order(BANK2, 2, 9).authorize_by_officers(&bed.rules.clone(), &[0, 2]);
    assert_refused(&bed, order, Rejection::SubmitterMayNotSubmitThis);
}

#[test]
fn rejection_13_fewer_than_k_officers_or_one_of_them_twice_or_an_order_that_was_used_b13() {
    let mut bed = Bed::new();
    let rules = bed.rules.clone();
    for officers in [&[0][..], &[], &[1, 1], &[2, 0]] {
        let order = bed.rules_order(CENTRAL, 2, 9).authorize_by_officers(&rules, officers);
        assert_refused(&bed, order, Rejection::NotAuthorized);
    }
    let order = ordered(&mut bed, 2, 9);
    assert_eq!(bed.submit(order.clone()), 0);
    assert_refused(&bed, order, Rejection::NotAuthorized);
}

#[test]
fn rejection_29_while_one_version_is_pending_there_is_no_other_b13() {
    let mut bed = Bed::new();
    bed.rules.known = RulesVersion(9);
    let order = ordered(&mut bed, 2, 4);
    assert_eq!(bed.submit(order), 0);
    for version in [2, 3] {
        let order = ordered(&mut bed, version, 9);
        assert_refused(&bed, order, Rejection::RulesPending);
    }
    // In the block before the activation it is pending still, in that of the activation no more.
    bed.block(&[]);
    let order = ordered(&mut bed, 3, 9);
    assert_refused(&bed, order.clone(), Rejection::RulesPending);
    bed.block(&[]);
    assert_eq!(bed.submit(order), 0);
}

#[test]
fn rejection_30_only_the_next_version_can_be_ordered_b13() {
    let mut bed = Bed::new();
    for version in [0, 1, 3, 255] {
        let order = ordered(&mut bed, version, 9);
        assert_refused(&bed, order, Rejection::RulesNotNext);
    }
}

#[test]
fn rejection_30_there_is_no_version_after_the_last_b13() {
    let mut bed = Bed::new();
    bed.rules.known = RulesVersion(255);
    for version in 2..=255 {
        let activates_at = bed.ledger.height.0 + 3;
        let order = ordered(&mut bed, version, activates_at);
        assert_eq!(bed.submit(order), 0);
        bed.wait_heights(2);
    }
    assert_eq!(bed.block(&[]).header.version, RulesVersion(255));
    let order = ordered(&mut bed, 0, 1_000);
    assert_eq!(bed.submit(order), Rejection::RulesNotNext.number());
}

#[test]
fn rejection_31_the_activation_lies_two_to_ten_million_heights_ahead_b13() {
    let mut bed = Bed::new();
    bed.wait_heights(4);
    let at = bed.ledger.height.0 + 1;
    for activates_at in [0, at - 1, at, at + 1, at + RULES_NOTICE_MAX + 1, u64::MAX] {
        let order = ordered(&mut bed, 2, activates_at);
        assert_refused(&bed, order, Rejection::ActivationDoesNotFit);
    }
    for activates_at in [at + 2, at + RULES_NOTICE_MAX] {
        let mut bed = bed.clone();
        let order = ordered(&mut bed, 2, activates_at);
        assert_eq!(bed.submit(order), 0);
    }
}
