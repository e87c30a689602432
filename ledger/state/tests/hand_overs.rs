//! G-3: how the validator set changes, and every order that does not change it.

use crate::common;

use common::*;
use ledger_tree::map::{self, EntryType, Version};
use ledger_types::encoding::{Decode, Encode};
use ledger_types::envelope::ClearContext;
use ledger_types::ids::*;
use ledger_types::log_leaf::LogLeaf;
use ledger_types::participant::{Roles, ValidatorSet};
use ledger_types::rejection::Rejection;

fn ordered(bed: &mut Bed, incoming: ValidatorSet) -> Draft {
    bed.hand_over(CENTRAL, incoming).authorize_by_officers(&bed.rules.clone(), &[0, 2])
}

/// Orders it, logs it and lets it bind.
fn carry_out(bed: &mut Bed, incoming: ValidatorSet) {
    let order = ordered(bed, incoming.clone());
    assert_eq!(bed.submit(order), 0);
    assert_eq!(bed.confirm(vec![]), 0);
    bed.wait_heights(1);
    assert_eq!(*bed.ledger.validators.set, incoming);
}

#[test]
fn g3_an_observer_becomes_a_validator_two_heights_after_the_batch_that_logs_the_order() {
    let mut bed = Bed::new();
    let chain = bed.rules.chain;
    let (before, incoming) = (bed.ledger.set_hash, bed.set_with(&[(OBSERVER, 1)]));
    let order = ordered(&mut bed, incoming.clone());
    assert_eq!(bed.submit(order), 0);
    // Named in the directory at once; nobody else decides.
    let line = bed.ledger.directory.get(OBSERVER).unwrap();
    assert_eq!((line.roles, line.power), (Roles::OBSERVER.and(Roles::VALIDATOR), 1));
    assert_eq!((bed.ledger.directory.validators(), bed.ledger.set_hash), (incoming.clone(), before));
    // It waits for a batch for as long as that takes.
    for _ in 0..3 {
        assert_eq!(bed.block(&[]).header.next_set_hash, before);
    }
    let size = bed.ledger.log_size;
    assert_eq!(bed.confirm(vec![]), 0);
    let logged_at = bed.ledger.height;
    let leaf = |index: u64| LogLeaf::from_bytes(&bed.state.log_leaves[&index]).unwrap();
    assert_eq!(leaf(size), LogLeaf::Participants(bed.ledger.participants_hash));
    assert_eq!(leaf(size + 1), LogLeaf::HandOver(incoming.hash(&chain)));
    // L-1: the outgoing set still decides the next height, and cosigns.
    assert_eq!(bed.ledger.last_state_leaf.set_hash, before);
    let pending = bed.ledger.validators.pending.clone().unwrap();
    assert_eq!(pending.binds_at, Some(Height(logged_at.0 + 2)));
    let key = map::key_hash(EntryType::HandOver, &1u32.to_bytes());
    let proved = map::prove(&bed.state, Version::after_height(logged_at.0), &key).unwrap();
    assert_eq!(proved.value, Some(pending.entry(&chain).to_bytes()));

    let applied = bed.block(&[]);
    assert_eq!(applied.header.next_set_hash, incoming.hash(&chain));
    assert_eq!(applied.changes.hand_over, Some(pending));
    assert_eq!((bed.ledger.validators.hand_overs, &bed.ledger.validators.pending), (1, &None));
    assert_eq!(*bed.ledger.validators.set, incoming);
}

#[test]
fn g3_an_order_of_the_same_block_as_its_batch_is_logged_with_it() {
    let mut bed = Bed::new();
    let incoming = bed.set_with(&[(OBSERVER, 1)]);
    let order = ordered(&mut bed, incoming.clone()).seal();
    let bundles = [bed.bundle(CENTRAL, vec![order]), bed.confirmation(bed.batch(vec![]))];
    bed.block(&bundles);
    assert_eq!(bed.block(&[]).header.next_set_hash, incoming.hash(&bed.rules.chain));
}

#[test]
fn g3_a_later_batch_does_not_put_a_hand_over_off_and_its_leaf_names_who_cosigns() {
    let mut bed = Bed::new();
    let incoming = bed.set_with(&[(BANK4, 0)]);
    let order = ordered(&mut bed, incoming.clone());
    assert_eq!(bed.submit(order), 0);
    assert_eq!(bed.confirm(vec![]), 0);
    assert_eq!(bed.confirm(vec![]), 0);
    assert_eq!(bed.ledger.last_state_leaf.set_hash, incoming.hash(&bed.rules.chain));
    assert_eq!(*bed.ledger.validators.set, incoming);
}

#[test]
fn g3_one_who_leaves_the_set_observes_and_a_bank_stays_a_bank() {
    let mut bed = Bed::new();
    let incoming = bed.set_with(&[(BANK4, 0)]);
    carry_out(&mut bed, incoming);
    let line = bed.ledger.directory.get(BANK4).unwrap();
    assert_eq!((line.roles, line.power), (Roles::COMMERCIAL_BANK.and(Roles::OBSERVER), 0));
    let coin = bed.coin_of(BANK4, 0);
    let payment = bed.transfer(BANK4, &[coin], &[(BANK2, 100)]);
    assert_eq!(bed.submit(payment), 0);
}

#[test]
fn g3_one_hand_over_follows_another_and_the_state_survives_its_encoding() {
    let mut bed = Bed::new();
    let with_observer = bed.set_with(&[(OBSERVER, 1)]);
    carry_out(&mut bed, with_observer);
    let without_bank = bed.set_with(&[(BANK4, 0)]);
    let order = ordered(&mut bed, without_bank.clone());
    assert_eq!(bed.submit(order), 0);
    let decoded = ledger_state::Ledger::from_bytes(&bed.ledger.to_bytes()).unwrap();
    assert_eq!(decoded, bed.ledger);
    assert_eq!(bed.confirm(vec![]), 0);
    bed.wait_heights(1);
    assert_eq!((bed.ledger.validators.hand_overs, &*bed.ledger.validators.set), (2, &without_bank));
}

#[test]
fn rejection_3_a_commercial_bank_carries_no_hand_over() {
    let mut bed = Bed::new();
    let incoming = bed.set_with(&[(OBSERVER, 1)]);
    let order = bed.hand_over(BANK2, incoming).authorize_by_officers(&bed.rules.clone(), &[0, 2]);
    assert_refused(&bed, order, Rejection::SubmitterMayNotSubmitThis);
}

#[test]
fn rejection_13_fewer_than_k_officers_or_one_of_them_twice_or_over_another_order() {
    let mut bed = Bed::new();
    let rules = bed.rules.clone();
    let incoming = bed.set_with(&[(OBSERVER, 1)]);
    for officers in [&[0][..], &[], &[1, 1], &[2, 0]] {
        let order = bed.hand_over(CENTRAL, incoming.clone()).authorize_by_officers(&rules, officers);
        assert_refused(&bed, order, Rejection::NotAuthorized);
    }
    let mut order = ordered(&mut bed, incoming);
    let ClearContext::HandOver(context) = &mut order.core.context else { unreachable!() };
    context.order.incoming = bed.set_with(&[(BANK5, 1)]);
    assert_refused(&bed, order, Rejection::NotAuthorized);
}

#[test]
fn rejection_19_a_validator_that_the_directory_does_not_name() {
    let mut bed = Bed::new();
    let incoming = bed.set_with(&[(ParticipantNumber(77), 1)]);
    let order = ordered(&mut bed, incoming);
    assert_refused(&bed, order, Rejection::ParticipantUnknown);
}

#[test]
fn rejection_23_while_one_hand_over_is_pending_there_is_no_other() {
    let mut bed = Bed::new();
    let (first, second) = (bed.set_with(&[(OBSERVER, 1)]), bed.set_with(&[(BANK5, 1)]));
    let other = ordered(&mut bed, second);
    let order = ordered(&mut bed, first);
    assert_eq!(bed.submit(order), 0);
    assert_refused(&bed, other, Rejection::HandOverPending);
}

#[test]
fn rejection_24_an_order_serves_once_and_for_the_set_that_it_names() {
    let mut bed = Bed::new();
    let incoming = bed.set_with(&[(OBSERVER, 1)]);
    let order = ordered(&mut bed, incoming.clone());
    let number = {
        let mut draft = bed.hand_over(CENTRAL, incoming.clone());
        let ClearContext::HandOver(context) = &mut draft.core.context else { unreachable!() };
        context.order.number = 2;
        draft.authorize_by_officers(&bed.rules.clone(), &[0, 1])
    };
    assert_refused(&bed, number, Rejection::HandOverNotNext);
    carry_out(&mut bed, incoming);
    // The same officers' signatures in a new envelope.
    let ClearContext::HandOver(used) = order.core.context else { unreachable!() };
    let mut again = bed.hand_over(CENTRAL, used.order.incoming.clone());
    again.core.context = ClearContext::HandOver(used);
    assert_refused(&bed, again, Rejection::HandOverNotNext);
}

#[test]
fn rejection_25_an_incoming_validator_has_the_keys_of_its_line() {
    let mut bed = Bed::new();
    let incoming = bed.set_with(&[(BANK5, 1)]);
    let mut line = bed.ledger.directory.get(BANK5).unwrap().clone();
    line.keys.cosign = public("another cosigner");
    let update = bed.update(BANK5, line).authorize_by_officers(&bed.rules.clone(), &[0, 1]);
    assert_eq!(bed.submit(update), 0);
    let order = ordered(&mut bed, incoming);
    assert_refused(&bed, order, Rejection::ValidatorKeysDiffer);
}

#[test]
fn rejection_26_a_third_of_the_power_may_not_move_on_either_side() {
    let mut bed = Bed::new();
    for changes in [&[(BANK3, 0), (BANK4, 0)][..], &[(BANK5, 1), (OBSERVER, 1)], &[(OBSERVER, 2)], &[(BANK2, 3)]] {
        let incoming = bed.set_with(changes);
        let order = ordered(&mut bed, incoming);
        assert_refused(&bed, order, Rejection::TooMuchPowerMoved);
    }
}

#[test]
fn rejection_27_a_hand_over_changes_the_set() {
    let mut bed = Bed::new();
    let incoming = bed.set_with(&[]);
    let order = ordered(&mut bed, incoming);
    assert_refused(&bed, order, Rejection::SetUnchanged);
}

#[test]
fn rejection_28_the_central_bank_stays_a_validator() {
    let mut bed = Bed::new();
    let incoming = bed.set_with(&[(CENTRAL, 0)]);
    let order = ordered(&mut bed, incoming);
    assert_refused(&bed, order, Rejection::CentralBankWouldLeave);
}

#[test]
fn rejection_21_an_update_does_not_change_a_line_of_a_pending_set() {
    let mut bed = Bed::new();
    let incoming = bed.set_with(&[(OBSERVER, 1)]);
    let order = ordered(&mut bed, incoming);
    assert_eq!(bed.submit(order), 0);
    let mut line = bed.ledger.directory.get(OBSERVER).unwrap().clone();
    line.keys.consensus = public("another vote");
    let update = bed.update(CENTRAL, line).authorize_by_officers(&bed.rules.clone(), &[0, 1]);
    assert_refused(&bed, update, Rejection::ValidatorSetWouldChange);
}
