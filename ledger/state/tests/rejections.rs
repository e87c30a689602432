//! Every numbered rejection of envelopes, met by one. A refused envelope changes nothing and costs its submitter bytes.

use crate::common;

use common::*;
use ledger_types::coin::{Coin, CoinStatus};
use ledger_types::confirmation::{Overdue, RecordStatus};
use ledger_types::encoding::{List, Octets};
use ledger_types::envelope::*;
use ledger_types::ids::*;
use ledger_types::keys::Signature;
use ledger_types::rejection::Rejection;
use ledger_types::request::RequestClass;

fn good_transfer(bed: &mut Bed) -> Draft {
    let coin = bed.coin_of(BANK2, 0);
    bed.transfer(BANK2, &[coin], &[(BANK3, 60), (BANK2, 40)])
}

fn good_issue(bed: &mut Bed) -> Draft {
    bed.issue(2, 0, &[(BANK2, 500)])
}

fn good_recover(bed: &mut Bed) -> Draft {
    let coin = bed.coin_of(BANK2, 0);
    bed.recover(&[coin], &[(BANK3, 100)])
}

#[test]
fn the_drafts_that_these_tests_spoil_are_accepted_unspoilt() {
    let mut bed = Bed::new();
    let drafts = [good_transfer(&mut bed), {
        let issue = good_issue(&mut bed);
        issue.authorize_by_issue_key(&bed.rules)
    }];
    for draft in drafts {
        assert_eq!(bed.submit(draft), 0);
    }
    let coin = bed.coin_of(BANK3, 0);
    let recover = bed.recover(&[coin], &[(BANK3, 100)]).authorize_by_officers(&bed.rules, &[0, 2]);
    assert_eq!(bed.submit(recover), 0);
    let coin = bed.coin_of(CENTRAL, 0);
    let redeem = bed.redeem(&[coin], 30, &[(CENTRAL, 70)]).authorize_by_issue_key(&bed.rules);
    assert_eq!(bed.submit(redeem), 0);
    let line = bed.line_with_new_desk_key(BANK2, "a new desk key");
    let update = bed.update(BANK3, line).authorize_by_officers(&bed.rules, &[0, 1, 2]);
    assert_eq!(bed.submit(update), 0);
}

#[test]
fn rejection_1_an_envelope_whose_parts_disagree_is_malformed() {
    let mut bed = Bed::new();
    // What signing in memory lets through, parsing would not: `apply` must not depend on where a bundle came from.
    let mut by_id = good_transfer(&mut bed);
    by_id.core.inputs = Inputs::ById(List::new(by_id.core.input_ids(&bed.rules.chain)).unwrap());
    assert_refused(&bed, by_id, Rejection::Malformed);
    let mut without_bucket = good_transfer(&mut bed);
    (without_bucket.core.bucket, without_bucket.ciphertext) = (Bucket::None, Vec::new());
    assert_refused(&bed, without_bucket, Rejection::Malformed);
}

#[test]
fn rejection_2_a_bank_cannot_submit_in_anothers_name() {
    let mut bed = Bed::new();
    let draft = good_transfer(&mut bed);
    let bundle = bed.bundle(BANK3, vec![draft.clone().seal()]);
    let applied = bed.block(&[bundle]);
    assert_eq!(applied.results[0].code, Rejection::SubmitterIsNotTheBundles.number());
    // So a copy that is ordered first takes nothing from the envelope.
    assert_eq!(bed.submit(draft), 0);
}

/// A refusal is open as soon as one history turns it into an acceptance of the same bytes. Code 2: the test above; the codes
/// that name the state (5, 14 to 17) have such histories in their own tests.
#[test]
fn refusals_3_13_and_20_are_open_because_a_participant_update_turns_them() {
    let turned = |refused: Draft, update: Draft, bed: &mut Bed, expected: Rejection| {
        assert!(!expected.is_final());
        assert_refused(bed, refused.clone(), expected);
        assert_eq!(bed.submit(update), 0);
        assert_eq!(bed.submit(refused), 0, "{expected}");
    };
    // 3: an observer becomes a bank.
    let mut bed = Bed::new();
    let mut coin = bed.coin_of(BANK2, 0);
    let gift = bed.transfer(BANK2, &[coin], &[(OBSERVER, 100)]);
    coin = gift.coins[0].clone();
    assert_eq!(bed.submit(gift), 0);
    bed.make_live(std::slice::from_ref(&coin));
    let by_observer = bed.transfer(OBSERVER, &[coin], &[(OBSERVER, 100)]);
    let mut line = bed.ledger.directory.get(OBSERVER).unwrap().clone();
    line.roles = line.roles.and(ledger_types::participant::Roles::COMMERCIAL_BANK);
    let update = bed.update(BANK2, line).authorize_by_officers(&bed.rules, &[0, 1]);
    turned(by_observer, update, &mut bed, Rejection::SubmitterMayNotSubmitThis);

    // 13: signed by the issue key that comes.
    let mut bed = Bed::new();
    let mut issue = good_issue(&mut bed);
    let signature = key("next issue key").sign(&issue.core.authorization_message(&bed.rules.chain));
    let ClearContext::Issue(context) = &mut issue.core.context else { unreachable!() };
    context.authorization = signature;
    let mut line = bed.ledger.directory.central_bank().clone();
    line.central_bank.as_mut().unwrap().issue = public("next issue key");
    let update = bed.update(CENTRAL, line).authorize_by_officers(&bed.rules, &[0, 1]);
    turned(issue, update, &mut bed, Rejection::NotAuthorized);

    // 20: a key becomes free.
    let mut bed = Bed::new();
    let desk_of_bank_3 = bed.ledger.directory.get(BANK3).unwrap().keys.desk;
    let mut line = bed.ledger.directory.get(BANK2).unwrap().clone();
    line.keys.desk = desk_of_bank_3;
    let takes = bed.update(BANK2, line).authorize_by_officers(&bed.rules, &[0, 1]);
    let line = bed.line_with_new_desk_key(BANK3, "new");
    let leaves = bed.update(BANK3, line).authorize_by_officers(&bed.rules, &[0, 1]);
    turned(takes, leaves, &mut bed, Rejection::DirectoryRuleBroken);
}

#[test]
fn rejection_3_only_the_central_bank_issues_redeems_and_recovers_and_only_banks_transfer() {
    let mut bed = Bed::new();
    let mut issue = good_issue(&mut bed);
    issue.core.submitter = BANK2;
    let issue = issue.authorize_by_issue_key(&bed.rules);
    assert_refused(&bed, issue, Rejection::SubmitterMayNotSubmitThis);

    let coin = bed.coin_of(BANK2, 0);
    let mut redeem = bed.redeem(&[coin], 100, &[]);
    redeem.core.submitter = BANK2;
    let redeem = redeem.authorize_by_issue_key(&bed.rules);
    assert_refused(&bed, redeem, Rejection::SubmitterMayNotSubmitThis);

    let mut recover = good_recover(&mut bed);
    recover.core.submitter = BANK3;
    let recover = recover.authorize_by_officers(&bed.rules, &[0, 1]);
    assert_refused(&bed, recover, Rejection::SubmitterMayNotSubmitThis);

    let coin = bed.coin_of(BANK2, 0);
    let by_observer = bed.transfer(OBSERVER, &[coin], &[(OBSERVER, 100)]);
    assert_refused(&bed, by_observer, Rejection::SubmitterMayNotSubmitThis);
    // A bank is the central bank or a commercial one (G-2), with a vote or without.
    for bank in [CENTRAL, BANK2, BANK5] {
        let coin = bed.coin_of(bank, 0);
        let transfer = bed.transfer(bank, &[coin], &[(bank, 100)]);
        assert_eq!(bed.submit(transfer), 0, "{bank}");
    }
}

#[test]
fn rejection_4_an_expired_envelope_is_refused_and_one_in_its_last_millisecond_is_not() {
    let mut bed = Bed::new();
    let mut draft = good_transfer(&mut bed);
    draft.core.expiry_ms = bed.next_time_ms() - 1;
    assert_refused(&bed, draft.clone(), Rejection::Expired);
    draft.core.expiry_ms = bed.next_time_ms();
    assert_eq!(bed.submit(draft), 0);
}

#[test]
fn rejection_5_expiry_lies_within_the_window_of_rule_e4() {
    let mut bed = Bed::new();
    let mut draft = good_transfer(&mut bed);
    draft.core.expiry_ms = bed.next_time_ms() + EXPIRY_WINDOW_MS + 1;
    assert_refused(&bed, draft.clone(), Rejection::ExpiryTooFar);
    draft.core.expiry_ms = u64::MAX;
    assert_refused(&bed, draft.clone(), Rejection::ExpiryTooFar);
    draft.core.expiry_ms = bed.next_time_ms() + EXPIRY_WINDOW_MS;
    assert_eq!(bed.submit(draft), 0);
}

#[test]
fn rejection_6_counts_must_fit_the_kind() {
    let mut bed = Bed::new();
    let coin = bed.coin_of(BANK2, 0);
    let without_outputs = bed.transfer(BANK2, std::slice::from_ref(&coin), &[]);
    assert_refused(&bed, without_outputs, Rejection::CountsDoNotFitTheKind);
    let without_inputs = bed.transfer(BANK2, &[], &[(BANK2, 1)]);
    assert_refused(&bed, without_inputs, Rejection::CountsDoNotFitTheKind);
    let issue_without_outputs = bed.issue(1, 20, &[]).authorize_by_issue_key(&bed.rules);
    assert_refused(&bed, issue_without_outputs, Rejection::CountsDoNotFitTheKind);
    let mut issue_with_input = good_issue(&mut bed);
    issue_with_input.core.inputs = good_transfer(&mut bed).core.inputs;
    assert_refused(&bed, issue_with_input, Rejection::CountsDoNotFitTheKind);
    let redeem_of_nothing = bed.redeem(&[], 5, &[]);
    assert_refused(&bed, redeem_of_nothing, Rejection::CountsDoNotFitTheKind);
    let recover_of_nothing = bed.recover(&[], &[(BANK2, 5)]).authorize_by_officers(&bed.rules, &[0, 1]);
    assert_refused(&bed, recover_of_nothing, Rejection::CountsDoNotFitTheKind);
    let line = bed.line_with_new_desk_key(BANK2, "new");
    let mut update_with_output = bed.update(BANK2, line);
    update_with_output.core.outputs = good_transfer(&mut bed).core.outputs;
    assert_refused(&bed, update_with_output, Rejection::CountsDoNotFitTheKind);
}

#[test]
fn rejection_7_inputs_ascend_so_no_coin_is_named_twice() {
    let mut bed = Bed::new();
    let coins = [bed.coin_of(BANK2, 0), bed.coin_of(BANK2, 1)];
    let mut draft = bed.transfer(BANK2, &coins, &[(BANK2, 200)]);
    let Inputs::Spends(spends) = draft.core.inputs.clone() else { unreachable!() };
    draft.core.inputs = Inputs::Spends(List::new(vec![spends[1], spends[0]]).unwrap());
    assert_refused(&bed, draft.clone(), Rejection::InputsNotAscending);
    draft.core.inputs = Inputs::Spends(List::new(vec![spends[0], spends[0]]).unwrap());
    assert_refused(&bed, draft, Rejection::InputsNotAscending);
    let mut recover = good_recover(&mut bed);
    recover.core.inputs = Inputs::ById(List::new(vec![coins[0].id, coins[0].id]).unwrap());
    assert_refused(&bed, recover, Rejection::InputsNotAscending);
}

#[test]
fn rejection_8_outputs_ascend_by_note() {
    let mut bed = Bed::new();
    let mut draft = good_transfer(&mut bed);
    draft.core.outputs.as_mut_slice().reverse();
    assert_refused(&bed, draft.clone(), Rejection::OutputsNotAscending);
    let first = draft.core.outputs[0];
    draft.core.outputs = List::new(vec![first, first]).unwrap();
    assert_refused(&bed, draft, Rejection::OutputsNotAscending);
}

#[test]
fn rejection_9_no_contract_exists_yet() {
    let mut bed = Bed::new();
    let mut draft = good_transfer(&mut bed);
    draft.core.contract = ContractNumber(1);
    assert_refused(&bed, draft, Rejection::ContractUnknown);
}

#[test]
fn rejection_10_outputs_have_no_terms() {
    let mut bed = Bed::new();
    let mut draft = good_transfer(&mut bed);
    draft.core.outputs.as_mut_slice()[1].terms_flag = TermsFlag::Contract;
    assert_refused(&bed, draft, Rejection::TermsNotAllowed);
}

#[test]
fn rejection_11_a_public_amount_is_not_zero() {
    let mut bed = Bed::new();
    let issue = bed.issue(2, 0, &[(BANK2, 0)]).authorize_by_issue_key(&bed.rules);
    assert_refused(&bed, issue, Rejection::AmountIsZero);
    let coin = bed.coin_of(CENTRAL, 0);
    let redeem = bed.redeem(&[coin], 0, &[(CENTRAL, 100)]).authorize_by_issue_key(&bed.rules);
    assert_refused(&bed, redeem, Rejection::AmountIsZero);
}

#[test]
fn rejection_12_an_issue_names_a_series_of_the_genesis() {
    let mut bed = Bed::new();
    for series in [0, 3] {
        let issue = bed.issue(series, 0, &[(BANK2, 5)]).authorize_by_issue_key(&bed.rules);
        assert_refused(&bed, issue, Rejection::SeriesUnknown);
    }
}

#[test]
fn rejection_13_issue_and_redeem_take_the_issue_key_and_recover_and_update_k_officers() {
    let mut bed = Bed::new();
    let issue = good_issue(&mut bed);
    assert_refused(&bed, issue, Rejection::NotAuthorized);
    // An authorization is of one envelope, not of any with the same amount.
    let mut copied = good_issue(&mut bed).authorize_by_issue_key(&bed.rules);
    copied.core.salt = Salt([1; 32]);
    assert_refused(&bed, copied, Rejection::NotAuthorized);
    let coin = bed.coin_of(CENTRAL, 0);
    let redeem = bed.redeem(&[coin], 100, &[]);
    assert_refused(&bed, redeem, Rejection::NotAuthorized);
    for officers in [&[][..], &[0], &[1, 0], &[0, 0]] {
        let recover = good_recover(&mut bed).authorize_by_officers(&bed.rules, officers);
        assert_refused(&bed, recover, Rejection::NotAuthorized);
    }
    let stranger = good_recover(&mut bed).authorize_by_officers(&bed.rules, &[0, 3]);
    assert_refused(&bed, stranger, Rejection::NotAuthorized);
    let mut one_bad_of_three = good_recover(&mut bed).authorize_by_officers(&bed.rules, &[0, 1, 2]);
    let ClearContext::Recover(context) = &mut one_bad_of_three.core.context else { unreachable!() };
    context.authorizations.as_mut_slice()[2].signature = Signature([1; 64]);
    assert_refused(&bed, one_bad_of_three, Rejection::NotAuthorized);
    let line = bed.line_with_new_desk_key(BANK2, "new");
    let update = bed.update(BANK2, line).authorize_by_officers(&bed.rules, &[2]);
    assert_refused(&bed, update, Rejection::NotAuthorized);
    let request = bed.request(BANK2, RequestClass::Disclose, "AML-7").authorize_by_officers(&bed.rules, &[2]);
    assert_refused(&bed, request, Rejection::NotAuthorized);
}

#[test]
fn rejection_13_an_authorization_of_a_request_makes_one_leaf_r5() {
    let mut bed = Bed::new();
    let request = bed.request(BANK2, RequestClass::Freeze, "AML-7").authorize_by_officers(&bed.rules, &[0, 1]);
    let twice = bed.bundle(BANK2, vec![request.clone().seal(), request.clone().seal()]);
    let applied = bed.block(&[twice]);
    let codes: Vec<u16> = applied.results.iter().map(|result| result.code).collect();
    assert_eq!(codes, [0, Rejection::NotAuthorized.number()], "twice in one block");
    assert_refused(&bed, request, Rejection::NotAuthorized);
    assert_eq!(bed.ledger.requests.values().sum::<u64>(), 1);
    assert_eq!(bed.ledger.events_to_log.len(), 1);
}

#[test]
fn rejection_13_an_authorization_of_an_update_serves_once_so_an_old_line_cannot_be_brought_back() {
    let mut bed = Bed::new();
    let first = bed.line_with_new_desk_key(BANK2, "first");
    let first = bed.update(BANK2, first).authorize_by_officers(&bed.rules, &[0, 1]);
    assert_eq!(bed.submit(first.clone()), 0);
    let second = bed.line_with_new_desk_key(BANK2, "second");
    let second = bed.update(BANK2, second).authorize_by_officers(&bed.rules, &[0, 1]);
    assert_eq!(bed.submit(second), 0);
    assert_refused(&bed, first, Rejection::NotAuthorized);
    assert_eq!(bed.ledger.directory.get(BANK2).unwrap().keys.desk, public("second"));
    let third = bed.line_with_new_desk_key(BANK2, "third");
    let third = bed.update(BANK2, third).authorize_by_officers(&bed.rules, &[0, 1]).seal();
    let bundle = bed.bundle(BANK2, vec![third.clone(), third]);
    let applied = bed.block(&[bundle]);
    let codes: Vec<u16> = applied.results.iter().map(|result| result.code).collect();
    assert_eq!(codes, [0, Rejection::NotAuthorized.number()], "twice in one block");
}

#[test]
fn rejection_14_issue_numbers_are_dense_c1() {
    let mut bed = Bed::new();
    for number in [19, 21, u64::MAX] {
        let issue = bed.issue(1, number, &[(BANK2, 5)]).authorize_by_issue_key(&bed.rules);
        assert_refused(&bed, issue, Rejection::IssueNumberNotNext);
    }
    // 20 coins of series 1 were pre-issued.
    let issue = bed.issue(1, 20, &[(BANK2, 5)]).authorize_by_issue_key(&bed.rules);
    assert_eq!(bed.submit(issue.clone()), 0);
    assert_refused(&bed, issue, Rejection::IssueNumberNotNext);
}

#[test]
fn rejection_15_an_overdue_submitter_waits_until_it_is_cleared_r1() {
    let mut bed = Bed::new();
    let overdue = Overdue { envelope: EnvelopeId([5; 32]), submitter: BANK2 };
    let mut batch = bed.batch(vec![]);
    batch.overdue = List::new(vec![overdue]).unwrap();
    let confirmation = bed.confirmation(batch);
    assert_eq!(bed.block(&[confirmation]).results[0].code, 0);
    let transfer = good_transfer(&mut bed);
    assert_refused(&bed, transfer.clone(), Rejection::SubmitterIsOverdue);
    // Nobody else waits.
    let coin = bed.coin_of(BANK3, 0);
    let other = bed.transfer(BANK3, &[coin], &[(BANK2, 100)]);
    assert_eq!(bed.submit(other), 0);
    let mut batch = bed.batch(vec![]);
    batch.cleared = List::new(vec![overdue]).unwrap();
    let confirmation = bed.confirmation(batch);
    assert_eq!(bed.block(&[confirmation]).results[0].code, 0);
    assert_eq!(bed.submit(transfer), 0);
}

#[test]
fn rejection_16_a_coin_that_is_spent_or_in_other_custody_or_never_was_is_not_spendable_c1_c2() {
    let mut bed = Bed::new();
    let coin = bed.coin_of(BANK2, 0);
    let in_other_custody = bed.transfer(BANK3, std::slice::from_ref(&coin), &[(BANK3, 100)]);
    assert_refused(&bed, in_other_custody, Rejection::CoinIsNotSpendable);
    let spend = bed.transfer(BANK2, std::slice::from_ref(&coin), &[(BANK3, 100)]);
    assert_eq!(bed.submit(spend), 0);
    let again = bed.transfer(BANK2, std::slice::from_ref(&coin), &[(BANK4, 100)]);
    assert_refused(&bed, again, Rejection::CoinIsNotSpendable);
    let mut never = bed.coin_of(BANK2, 1);
    never.opening.rho = [77; 32];
    let never = bed.transfer(BANK2, &[never], &[(BANK2, 100)]);
    assert_refused(&bed, never, Rejection::CoinIsNotSpendable);
    let recover_spent = bed.recover(&[coin], &[]).authorize_by_officers(&bed.rules, &[0, 1]);
    assert_refused(&bed, recover_spent, Rejection::CoinIsNotSpendable);
}

#[test]
fn rejection_16_of_two_spends_in_one_block_the_first_wins_and_its_neighbours_are_unharmed() {
    let mut bed = Bed::new();
    let (coin, other) = (bed.coin_of(BANK2, 0), bed.coin_of(BANK2, 1));
    let first = bed.transfer(BANK2, std::slice::from_ref(&coin), &[(BANK3, 100)]);
    let second = bed.transfer(BANK2, &[coin], &[(BANK4, 100)]);
    let neighbour = bed.transfer(BANK2, &[other], &[(BANK4, 100)]);
    let bundle = bed.bundle(BANK2, [first.clone(), second, neighbour].map(Draft::seal).to_vec());
    let applied = bed.block(&[bundle]);
    let codes: Vec<u16> = applied.results.iter().map(|result| result.code).collect();
    assert_eq!(codes, [0, Rejection::CoinIsNotSpendable.number(), 0]);
    assert_eq!(bed.state.coins[&first.coins[0].id].status, CoinStatus::Unconfirmed);
}

#[test]
fn rejection_17_an_input_must_be_live_c3() {
    let mut bed = Bed::new();
    let payment = good_transfer(&mut bed);
    assert_eq!(bed.submit(payment.clone()), 0);
    let received = payment.coins.iter().find(|coin| coin.bank == BANK3).unwrap().clone();
    let unconfirmed = bed.transfer(BANK3, std::slice::from_ref(&received), &[(BANK3, 60)]);
    assert_refused(&bed, unconfirmed, Rejection::CoinIsNotLive);
    let recover_unconfirmed = bed.recover(&[received], &[]).authorize_by_officers(&bed.rules, &[0, 1]);
    assert_refused(&bed, recover_unconfirmed, Rejection::CoinIsNotLive);
    let coin = bed.coin_of(BANK4, 0);
    assert_eq!(bed.confirm(vec![record(coin.id, RecordStatus::Frozen)]), 0);
    let frozen = bed.transfer(BANK4, std::slice::from_ref(&coin), &[(BANK3, 100)]);
    assert_refused(&bed, frozen, Rejection::CoinIsNotLive);
    let recover_frozen = bed.recover(&[coin], &[(BANK2, 100)]).authorize_by_officers(&bed.rules, &[0, 1]);
    assert_eq!(bed.submit(recover_frozen), 0);
}

#[test]
fn rejection_17_a_coin_cannot_be_spent_in_the_block_that_creates_it() {
    let mut bed = Bed::new();
    let payment = good_transfer(&mut bed);
    let change = payment.coins.iter().find(|coin| coin.bank == BANK2).unwrap().clone();
    let spend_on = bed.transfer(BANK2, &[change], &[(BANK2, 40)]);
    let bundle = bed.bundle(BANK2, vec![payment.seal(), spend_on.seal()]);
    let applied = bed.block(&[bundle]);
    assert_eq!(applied.results[1].code, Rejection::CoinIsNotLive.number());
}

#[test]
fn rejection_18_coins_with_terms_do_not_move_as_plain_money_c4() {
    let mut bed = Bed::new();
    let coin = bed.coin_of(BANK2, 0);
    bed.state.coins.insert(coin.id, Coin { status: CoinStatus::Live, contract: ContractNumber(1), issued_ms: 1 });
    let transfer = bed.transfer(BANK2, &[coin], &[(BANK2, 100)]);
    assert_refused(&bed, transfer, Rejection::InputTermsNotAllowed);
}

#[test]
fn rejection_19_an_update_adds_no_participant() {
    let mut bed = Bed::new();
    let mut line = participant(ParticipantNumber(9), ledger_types::participant::Roles::COMMERCIAL_BANK, 0);
    let update = bed.update(BANK2, line.clone()).authorize_by_officers(&bed.rules, &[0, 1]);
    assert_refused(&bed, update, Rejection::ParticipantUnknown);
    line.number = ParticipantNumber::REGISTRATION;
    let update = bed.update(BANK2, line).authorize_by_officers(&bed.rules, &[0, 1]);
    assert_refused(&bed, update, Rejection::ParticipantUnknown);
}

#[test]
fn rejection_20_a_line_keeps_the_directorys_rules_g2() {
    let mut bed = Bed::new();
    let line = bed.ledger.directory.get(BANK5).unwrap().clone();
    let central = bed.ledger.directory.get(CENTRAL).unwrap().clone();
    let mut repeated = line.clone();
    repeated.keys.desk = central.keys.desk;
    let mut unsound = line.clone();
    unsound.keys.desk.0 = [0; 32];
    let mut short_kem = line.clone();
    short_kem.keys.kem = Octets::new(vec![1; 31]).unwrap();
    let mut power_without_role = line.clone();
    power_without_role.power = 1;
    // Every verifier pins the log's key with the genesis (L-2).
    let mut other_log = central.clone();
    other_log.central_bank.as_mut().unwrap().log = public("another log");
    let mut small_order_kem = line.clone();
    small_order_kem.keys.kem = Octets::new([1].into_iter().chain([0; 31]).collect()).unwrap();
    for line in [repeated, unsound, short_kem, small_order_kem, power_without_role, other_log] {
        let update = bed.update(BANK2, line).authorize_by_officers(&bed.rules, &[0, 1]);
        assert_refused(&bed, update, Rejection::DirectoryRuleBroken);
    }
}

/// 13, 19, 20, 21 in the order of their numbers, by lines that break several at once.
#[test]
fn rejections_13_and_19_to_21_of_an_update_come_in_their_order() {
    let mut bed = Bed::new();
    let mut line = bed.ledger.directory.get(BANK2).unwrap().clone();
    line.keys.consensus = public("another validator key");
    let other_set = line.clone();
    line.keys.kem = Octets::new(vec![0; 32]).unwrap();
    let and_unsound = line.clone();
    line.number = ParticipantNumber(9);
    for (line, expected) in [
        (other_set, Rejection::ValidatorSetWouldChange),
        (and_unsound, Rejection::DirectoryRuleBroken),
        (line.clone(), Rejection::ParticipantUnknown),
    ] {
        let update = bed.update(BANK3, line).authorize_by_officers(&bed.rules, &[0, 1]);
        assert_refused(&bed, update, expected);
    }
    let update = bed.update(BANK3, line).authorize_by_officers(&bed.rules, &[0]);
    assert_refused(&bed, update, Rejection::NotAuthorized);
}

#[test]
fn rejection_20_two_updates_in_one_block_cannot_give_one_key_twice() {
    let mut bed = Bed::new();
    let lines = [bed.line_with_new_desk_key(BANK2, "same"), bed.line_with_new_desk_key(BANK3, "same")];
    let updates = lines.map(|line| bed.update(BANK2, line).authorize_by_officers(&bed.rules.clone(), &[0, 1]).seal());
    let bundle = bed.bundle(BANK2, updates.to_vec());
    let applied = bed.block(&[bundle]);
    assert_eq!(applied.results[0].code, 0);
    assert_eq!(applied.results[1].code, Rejection::DirectoryRuleBroken.number());
}

#[test]
fn rejection_21_the_validator_set_changes_by_hand_over_only_g3() {
    let mut bed = Bed::new();
    let line = bed.ledger.directory.get(BANK2).unwrap().clone();
    let mut lines = vec![];
    for change in 0..5 {
        let mut line = line.clone();
        match change {
            0 => line.keys.consensus = public("new consensus"),
            1 => line.keys.bundle = public("new bundle: it signs acks"),
            2 => line.keys.cosign = public("new cosign"),
            3 => line.power = 2,
            _ => (line.power, line.roles) = (0, ledger_types::participant::Roles::COMMERCIAL_BANK),
        }
        lines.push(line);
    }
    for line in lines {
        let update = bed.update(BANK3, line).authorize_by_officers(&bed.rules, &[0, 1]);
        assert_refused(&bed, update, Rejection::ValidatorSetWouldChange);
    }
    // Who has no vote may change all of its keys.
    let mut line = bed.ledger.directory.get(BANK5).unwrap().clone();
    (line.keys.consensus, line.keys.bundle) = (public("5 consensus"), public("5 bundle, new"));
    let update = bed.update(BANK3, line).authorize_by_officers(&bed.rules, &[0, 1]);
    assert_eq!(bed.submit(update), 0);
}

#[test]
fn rejection_22_a_request_names_the_day_on_which_its_envelope_expires_r5() {
    let mut bed = Bed::new();
    for days_off in [-1i64, 1, 400] {
        let mut request = bed.request(BANK2, RequestClass::Disclose, "COURT");
        let ClearContext::Request(context) = &mut request.core.context else { unreachable!() };
        context.request.epoch = context.request.epoch.checked_add_signed(days_off).unwrap();
        let request = request.authorize_by_officers(&bed.rules, &[1, 2]);
        assert_refused(&bed, request, Rejection::EpochDoesNotFit);
    }
    // Whoever carries it.
    let request = bed.request(OBSERVER, RequestClass::Disclose, "COURT").authorize_by_officers(&bed.rules, &[1, 2]);
    assert_eq!(bed.submit(request), 0);
}

#[test]
fn every_rejection_has_its_test() {
    let files = [
        include_str!("rejections.rs"),
        include_str!("rejections_of_batches.rs"),
        include_str!("hand_overs.rs"),
        include_str!("rules.rs"),
    ];
    let text = files.concat();
    // From 60 on: `contracts.rs` and `feeds.rs`.
    for rejection in Rejection::ALL.iter().filter(|rejection| rejection.number() < 60) {
        assert!(text.contains(&format!("fn rejection_{}_", rejection.number())), "{rejection} has no test");
    }
}
