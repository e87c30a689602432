//! Loans (K-2, K-3, K-5, K-6): activation, idle money, return, overdue obligations. Every path and every refusal, met by one.

use crate::common;

use common::lending::*;
use common::*;
use ledger_tree::map::EntryType;
use ledger_types::coin::{Coin, CoinStatus};
use ledger_types::confirmation::RecordStatus;
use ledger_types::contract::*;
use ledger_types::encoding::{Encode, List};
use ledger_types::envelope::*;
use ledger_types::feed::FeedDefinition;
use ledger_types::ids::*;
use ledger_types::log_leaf::LogLeaf;
use ledger_types::rejection::Rejection;

// Activate (K-5, K-2).

#[test]
fn a_permitted_loan_gives_plain_money_keeps_the_change_inert_and_leaves_an_obligation() {
    let (mut bed, activation) = lent();
    let block_ms = bed.ledger.time_ms;
    for coin in &activation.coins {
        let is_lent = coin.bank == BANK3;
        let expected = match is_lent {
            true => Coin::plain(CoinStatus::Unconfirmed),
            // The idle window goes on from the issue.
            false => Coin { status: CoinStatus::Unconfirmed, contract: ONE, issued_ms: OPENS_MS + 1_000 },
        };
        assert_eq!(bed.state.coins[&coin.id], expected);
    }
    let id = bed.obligation_of(&activation);
    let open = bed.state.obligations[&id];
    let policy = bed.ledger.contracts.get(ONE).unwrap().newest().policy;
    // Days, no more: the block's time would tell whose lane was served.
    let activated_ms = OPENS_MS;
    assert!(block_ms > activated_ms && block_ms < activated_ms + DAY_MS);
    let due_ms = activated_ms + (365 + 30 + 1) * DAY_MS - 1;
    let obligation = Obligation { contract: ONE, version: PolicyVersion(1), policy, activated_ms, due_ms };
    assert_eq!((open.obligation, open.bank), (obligation, BANK2));
    of_map(&bed, EntryType::Obligation, &id.0, Some(&|| obligation.to_bytes()));
    // Retail money is unconditional: the borrower pays on.
    let borrowed = activation.coins.iter().find(|coin| coin.bank == BANK3).unwrap().clone();
    bed.make_live(std::slice::from_ref(&borrowed));
    let payment = bed.transfer(BANK3, &[borrowed], &[(BANK4, 60)]);
    assert_eq!(bed.submit(payment), 0);
}

#[test]
fn each_condition_of_the_policy_denies_by_its_own_number() {
    let mut bed = Bed::with_a_policy_in_force();
    let coin = bed.inert_coin(100);
    let cases = [
        (Loan { sector: 0x420d, ..GOOD_LOAN }, Rejection::DeniedSector),
        (Loan { sector: u32::MAX, ..GOOD_LOAN }, Rejection::DeniedSector),
        // One basis point too dear.
        (Loan { rate: GOOD_LOAN.rate + 100, ..GOOD_LOAN }, Rejection::DeniedLoanRate),
        (Loan { rate: GOOD_LOAN.rate + 1, ..GOOD_LOAN }, Rejection::DeniedLoanRate),
    ];
    for (loan, expected) in cases {
        let activation = bed.activate(std::slice::from_ref(&coin), loan, 60);
        assert_refused(&bed, activation, expected);
    }
    let activation = bed.activate(&[coin], GOOD_LOAN, 100);
    assert_eq!(bed.submit(activation), 0, "and without change");
}

#[test]
fn a_loan_before_the_window_is_too_early_by_a_millisecond_and_one_after_it_too_late() {
    let mut bed = Bed::new();
    bed.registers_the_benchmark();
    bed.publishes(NOVEMBER, 0, 345);
    let deploy = bed.deploy(1, 1, 2, &policy(1).replace("60 days", "400 days"));
    assert_eq!(bed.submit(deploy), 0);
    bed.wait_heights(1);
    let coin = bed.inert_coin(100);
    let code_at = |bed: &mut Bed, time_ms: u64| {
        bed.wait_until(time_ms - 1_000);
        let activation = bed.activate(std::slice::from_ref(&coin), GOOD_LOAN, 60);
        let bundle = bed.bundle(BANK2, vec![activation.seal()]);
        bed.try_block_at(time_ms, &[bundle]).unwrap().results[0].code
    };
    assert_eq!(code_at(&mut bed.clone(), OPENS_MS - 1), Rejection::DeniedNotYet.number());
    assert_eq!(code_at(&mut bed.clone(), OPENS_MS), 0);
    let june_ms = 1_717_200_000_000;
    for month in 1..=6 {
        bed.wait_until(OPENS_MS + u64::from(month) * 30 * DAY_MS);
        bed.publishes(NOVEMBER + month, 0, 345);
    }
    assert_eq!(code_at(&mut bed.clone(), june_ms - 1), 0);
    assert_eq!(code_at(&mut bed, june_ms), Rejection::DeniedWindowOver.number());
}

#[test]
fn a_missing_or_stale_feed_takes_the_declared_branch_and_nothing_is_fetched() {
    let mut bed = Bed::new();
    bed.registers_the_benchmark();
    let deploy = bed.deploy(1, 1, 2, &policy(1));
    assert_eq!(bed.submit(deploy), 0);
    bed.wait_heights(1);
    bed.wait_until(OPENS_MS);
    let coin = bed.inert_coin(100);
    let never_published = bed.activate(std::slice::from_ref(&coin), GOOD_LOAN, 60);
    assert_refused(&bed, never_published, Rejection::DeniedFeedStale);
    bed.publishes(NOVEMBER, 0, 345);
    bed.wait_until(OPENS_MS + 41 * DAY_MS);
    let stale = bed.activate(std::slice::from_ref(&coin), GOOD_LOAN, 60);
    assert_refused(&bed, stale, Rejection::DeniedFeedStale);
    // The other branch: a value that the policy itself names.
    let fallback = policy(1).replace("when stale deny", "when stale use 3.45 %");
    let mut bed = Bed::with_policy(&fallback);
    bed.wait_until(OPENS_MS + 41 * DAY_MS);
    let coin = bed.inert_coin(100);
    let activation = bed.activate(&[coin], GOOD_LOAN, 60);
    assert_eq!(bed.submit(activation), 0);
}

/// K-12: what a program looks back at are periods that have items, of the vintage that the policy names.
#[test]
fn a_program_looks_back_over_published_periods_at_first_or_last_vintages() {
    use ledger_types::feed::Frequency;
    let rate_of = |frequency, vintage: &str, published: &[(u32, u32, i64)]| {
        let (word, unit) = if frequency == Frequency::Daily { ("daily", "days") } else { ("monthly", "months") };
        let rate = format!("otherwise average of lpr over 2 {unit}");
        let source = policy_with(1, "loan term <= 2 years", "60 days", &rate);
        let source = source.replace("    when lpr < 3.00 % : 0.50 %\n", "").replace("monthly", word);
        let source = source.replace("latest vintage", vintage);
        let mut bed = Bed::new();
        let order = bed.feed_order(FeedDefinition { frequency, step_max: 1_000, ..benchmark() });
        assert_eq!(bed.submit(order), 0);
        for (period, vintage, value) in published {
            bed.publishes(*period, *vintage, *value);
        }
        let deploy = bed.deploy(1, 1, 2, &source);
        assert_eq!(bed.submit(deploy), 0);
        bed.wait_heights(1);
        bed.wait_until(OPENS_MS);
        let coin = bed.inert_coin(100);
        let activation = bed.activate(&[coin], Loan { rate: 10_000, ..GOOD_LOAN }, 60);
        assert_eq!(bed.submit(activation.clone()), 0);
        let (own, id) = (bed.coin_of(CENTRAL, 0), bed.obligation_of(&activation));
        let rates = (0..=40_000).step_by(100);
        let mut met = rates.filter(|rate| {
            let returned = bed.return_loan(std::slice::from_ref(&own), id, *rate);
            bed.try_block(&[bed.bundle(CENTRAL, vec![returned.seal()])]).unwrap().results[0].code == 0
        });
        met.next().unwrap()
    };
    let revised = [(NOVEMBER - 1, 0, 200), (NOVEMBER, 0, 300), (NOVEMBER - 1, 1, 100)];
    assert_eq!(rate_of(Frequency::Monthly, "latest vintage", &revised), 20_000);
    assert_eq!(rate_of(Frequency::Monthly, "first vintage", &revised), 25_000);
    // A month is missing: the average cannot be had, and the clamp's upper end is due.
    let gap = [(NOVEMBER - 2, 0, 200), (NOVEMBER, 0, 300)];
    assert_eq!(rate_of(Frequency::Monthly, "latest vintage", &gap), 40_000);
    // Of a daily series the days between, a weekend, are none of its periods.
    let friday = (GENESIS_TIME_MS / DAY_MS) as u32 - 4;
    let weekend = [(friday, 0, 200), (friday + 3, 0, 300)];
    assert_eq!(rate_of(Frequency::Daily, "latest vintage", &weekend), 25_000);
}

/// K-1: benchmark and loan in one block do not see each other, whichever comes first.
#[test]
fn a_benchmark_that_moves_at_a_height_binds_the_loans_of_the_next() {
    let mut bed = Bed::with_a_policy_in_force();
    let coins = [bed.inert_coin(100), bed.inert_coin(100)];
    let head = bed.head(NOVEMBER, 1);
    let down = bed.publish(head, &[(0, 320), (1, 320)]);
    let loan = bed.activate(&coins[..1], GOOD_LOAN, 60);
    let bundles = [bed.bundle(CENTRAL, vec![down.seal()]), bed.bundle(BANK2, vec![loan.seal()])];
    let codes: Vec<u16> = bed.block(&bundles).results.iter().map(|result| result.code).collect();
    assert_eq!(codes, [0, 0]);
    let too_dear_now = bed.activate(&coins[1..], GOOD_LOAN, 60);
    assert_refused(&bed, too_dear_now, Rejection::DeniedLoanRate);
    let cheaper = bed.activate(&coins[1..], Loan { rate: 37_000, ..GOOD_LOAN }, 60);
    assert_eq!(bed.submit(cheaper), 0);
}

#[test]
fn an_activation_is_refused_like_a_transfer_before_its_policy_is_asked() {
    let mut bed = Bed::with_a_policy_in_force();
    let coin = bed.inert_coin(100);
    let wrong = Loan { sector: 0, ..GOOD_LOAN };
    // Spent or never there: 16. Not live: 17. A stranger: 16. Nobody's bank: 3.
    let mut gone = coin.clone();
    gone.origin = Origin([9; 32]);
    let activation = bed.activate(&[gone], wrong, 60);
    assert_refused(&bed, activation, Rejection::CoinIsNotSpendable);
    let issue = bed.issue_inert(1, &[(BANK2, 50)]);
    let unconfirmed = issue.coins[0].clone();
    assert_eq!(bed.submit(issue), 0);
    let activation = bed.activate(&[unconfirmed], wrong, 50);
    assert_refused(&bed, activation, Rejection::CoinIsNotLive);
    let mut activation = bed.activate(std::slice::from_ref(&coin), wrong, 60);
    activation.core.submitter = BANK3;
    assert_refused(&bed, activation, Rejection::CoinIsNotSpendable);
    let mut activation = bed.activate(std::slice::from_ref(&coin), wrong, 60);
    activation.core.submitter = OBSERVER;
    assert_refused(&bed, activation, Rejection::SubmitterMayNotSubmitThis);
    //
    let overdue = ledger_types::confirmation::Overdue { envelope: EnvelopeId([1; 32]), submitter: BANK2 };
    let mut batch = bed.batch(Vec::new());
    batch.overdue = List::new(vec![overdue]).unwrap();
    let bundle = bed.confirmation(batch);
    bed.block(&[bundle]);
    let activation = bed.activate(&[coin], wrong, 60);
    assert_refused(&bed, activation, Rejection::SubmitterIsOverdue);
}

// Idle money (K-3).

#[test]
fn from_its_idle_instant_on_a_coin_is_denied_for_ever_and_the_policy_alone_lets_it_be_reclaimed() {
    let mut bed = Bed::with_a_policy_in_force();
    let coin = bed.inert_coin(100);
    let issued_ms = bed.state.coins[&coin.id].issued_ms;
    let (last, first) = (issued_ms + DAYS_60 - 1, issued_ms + DAYS_60);
    bed.wait_until(issued_ms + 30 * DAY_MS);
    bed.publishes(NOVEMBER + 1, 0, 345);
    bed.wait_until(last - 1_000);
    let activation = bed.activate(std::slice::from_ref(&coin), GOOD_LOAN, 60);
    let reclaim = bed.reclaim(std::slice::from_ref(&coin));
    let code_at = |bed: &Bed, draft: &Draft, time_ms: u64| {
        let bundle = bed.bundle(draft.core.submitter, vec![draft.clone().seal()]);
        bed.try_block_at(time_ms, &[bundle]).unwrap().results[0].code
    };
    assert_eq!(code_at(&bed, &activation, last), 0);
    assert_eq!(code_at(&bed, &activation, first), Rejection::DeniedWindowOver.number());
    assert_eq!(code_at(&bed, &reclaim, last), Rejection::NotIdleYet.number());
    assert_eq!(code_at(&bed, &reclaim, first), 0);
    // A stop does not keep it.
    let stopped = stop(&mut bed);
    let bundle = bed.bundle(CENTRAL, vec![stopped.seal()]);
    let applied = bed.try_block_at(first, &[bundle]).unwrap();
    bed.write(&applied);
    let reclaim = bed.reclaim(std::slice::from_ref(&coin));
    let id = reclaim.clone().seal().id(&bed.rules.chain);
    assert_eq!(bed.submit(reclaim), 0);
    assert!(!bed.state.coins.contains_key(&coin.id));
    // It is redeemed when registration has settled it.
    let mut batch = bed.batch(vec![record(coin.id, RecordStatus::Spent)]);
    batch.settled = List::new(vec![id]).unwrap();
    let redeemed = bed.ledger.redeemed;
    let bundle = bed.confirmation(batch);
    assert_eq!(bed.block(&[bundle]).results[0].code, 0);
    assert_eq!(bed.ledger.redeemed, redeemed + 100);
}

#[test]
fn change_is_as_old_as_the_oldest_of_what_it_was_made_of() {
    let mut bed = Bed::with_a_policy_in_force();
    let old = bed.inert_coin(100);
    let oldest_ms = bed.state.coins[&old.id].issued_ms;
    bed.wait_until(OPENS_MS + 20 * DAY_MS);
    let young = bed.inert_coin(100);
    let activation = bed.activate(&[old, young], GOOD_LOAN, 150);
    let change = activation.coins.iter().find(|coin| coin.bank == BANK2).unwrap().id;
    assert_eq!(bed.submit(activation), 0);
    assert_eq!(bed.state.coins[&change].issued_ms, oldest_ms);
}

#[test]
fn rejection_75_a_reclaim_waits_for_the_youngest_of_its_coins_and_takes_live_ones_alone() {
    let mut bed = Bed::with_a_policy_in_force();
    let old = bed.inert_coin(100);
    bed.wait_until(OPENS_MS + 20 * DAY_MS);
    let issue = bed.issue_inert(1, &[(BANK3, 50)]);
    let young = issue.coins[0].clone();
    assert_eq!(bed.submit(issue), 0);
    let unconfirmed = bed.reclaim(std::slice::from_ref(&young));
    assert_refused(&bed, unconfirmed, Rejection::CoinIsNotLive);
    bed.make_live(std::slice::from_ref(&young));
    bed.wait_until(OPENS_MS + 61 * DAY_MS);
    let both = bed.reclaim(&[old.clone(), young.clone()]);
    assert_refused(&bed, both, Rejection::NotIdleYet);
    let mut nothing = bed.reclaim(std::slice::from_ref(&old));
    nothing.core.context = ClearContext::Reclaim(ReclaimContext { amount: Amount(0) });
    assert_refused(&bed, nothing, Rejection::AmountIsZero);
    let mut by_a_bank = bed.reclaim(std::slice::from_ref(&old));
    by_a_bank.core.submitter = BANK3;
    assert_refused(&bed, by_a_bank, Rejection::SubmitterMayNotSubmitThis);
    let plain = bed.coin_of(BANK2, 0);
    let plain = bed.reclaim(&[plain]);
    assert_refused(&bed, plain, Rejection::InputTermsNotAllowed);
    bed.wait_until(OPENS_MS + 81 * DAY_MS);
    // Frozen is the officers'.
    assert_eq!(bed.confirm(vec![record(old.id, RecordStatus::Frozen)]), 0);
    let frozen = bed.reclaim(std::slice::from_ref(&old));
    assert_refused(&bed, frozen, Rejection::CoinIsNotLive);
    let young = bed.reclaim(&[young]);
    assert_eq!(bed.submit(young), 0);
}

// Return (K-2).

#[test]
fn a_return_retires_money_ends_the_obligation_and_leaves_a_receipt_without_the_bank() {
    let (mut bed, activation) = lent();
    let id = bed.obligation_of(&activation);
    let from_ms = OPENS_MS;
    logged(&mut bed);
    bed.wait_until(OPENS_MS + 20 * DAY_MS);
    let own = bed.coin_of(CENTRAL, 0);
    let returned = bed.return_loan(std::slice::from_ref(&own), id, RETURN_RATE);
    let envelope = returned.clone().seal().id(&bed.rules.chain);
    assert_eq!(bed.submit(returned), 0);
    let to_ms = bed.ledger.time_ms;
    assert!(bed.state.obligations.is_empty() && !bed.state.coins.contains_key(&own.id));
    of_map(&bed, EntryType::Obligation, &id.0, None);

    let leaves = logged(&mut bed);
    let [LogLeaf::Receipt(receipt), LogLeaf::State(_)] = &leaves[..] else { panic!("{leaves:?}") };
    let policy = bed.ledger.contracts.get(ONE).unwrap().newest().policy;
    let value = ReadValue { period: Period(NOVEMBER), vintage: Vintage(0), value: 345 };
    let inputs = vec![ReceiptInput { feed: FEED, back: 0, found: Some(value) }];
    let expected = Receipt {
        obligation: id,
        contract: ONE,
        version: PolicyVersion(1),
        policy,
        rate: RETURN_RATE,
        from_ms,
        to_ms,
        fuel: receipt.fuel,
        inputs: List::new(inputs).unwrap(),
    };
    assert_eq!(*receipt, expected);
    let package = &bed.state.packages[&policy];
    assert!(receipt.fuel > 0 && receipt.fuel <= package.program.fuel());
    assert_eq!(bed.state.receipt_leaves[&id], bed.ledger.log_size - 2);
    assert!(bed.state.contract_leaves.contains(&(ONE, bed.ledger.log_size - 2)));
    //
    let mut batch = bed.batch(Vec::new());
    batch.settled = List::new(vec![envelope]).unwrap();
    let bundle = bed.confirmation(batch);
    assert_eq!(bed.block(&[bundle]).results[0].code, 0);
    assert_eq!(bed.ledger.redeemed, 100);
}

#[test]
fn rejection_74_when_the_feed_moves_a_return_is_due_at_the_new_rate_and_at_no_other() {
    let (mut bed, activation) = lent();
    let id = bed.obligation_of(&activation);
    let own = bed.coin_of(CENTRAL, 0);
    bed.publishes(NOVEMBER, 1, 290);
    for wrong in [RETURN_RATE, 5_000 + 1, 5_000 - 100] {
        let returned = bed.return_loan(std::slice::from_ref(&own), id, wrong);
        assert_refused(&bed, returned, Rejection::ReturnRateDiffers);
    }
    // Below 3.00 % the policy asks 0.50 %.
    let returned = bed.return_loan(&[own], id, 5_000);
    assert_eq!(bed.submit(returned), 0);
}

#[test]
fn rejection_73_an_obligation_is_returned_once_and_not_in_the_block_that_makes_it() {
    let (mut bed, activation) = lent();
    let id = bed.obligation_of(&activation);
    let own = [bed.coin_of(CENTRAL, 0), bed.coin_of(CENTRAL, 1)];
    let unknown = bed.return_loan(&own[..1], ObligationId([3; 32]), RETURN_RATE);
    assert_refused(&bed, unknown, Rejection::ObligationUnknown);
    let twice = [bed.return_loan(&own[..1], id, RETURN_RATE), bed.return_loan(&own[1..], id, RETURN_RATE)];
    let bundle = bed.bundle(CENTRAL, twice.map(Draft::seal).to_vec());
    let codes: Vec<u16> = bed.block(&[bundle]).results.iter().map(|result| result.code).collect();
    assert_eq!(codes, [0, 73]);
    let again = bed.return_loan(&own[1..], id, RETURN_RATE);
    assert_refused(&bed, again, Rejection::ObligationUnknown);

    let mut bed = Bed::with_a_policy_in_force();
    let coin = bed.inert_coin(100);
    let activation = bed.activate(&[coin], GOOD_LOAN, 60);
    let returned = bed.return_loan(&own[..1], bed.obligation_of(&activation), RETURN_RATE);
    let bundles = [bed.bundle(BANK2, vec![activation.seal()]), bed.bundle(CENTRAL, vec![returned.clone().seal()])];
    let codes: Vec<u16> = bed.block(&bundles).results.iter().map(|result| result.code).collect();
    assert_eq!(codes, [0, 73]);
    assert_eq!(bed.submit(returned), 0, "an open refusal");
}

#[test]
fn a_return_is_the_central_banks_under_its_issue_key_of_its_own_plain_live_coins() {
    let (mut bed, activation) = lent();
    let id = bed.obligation_of(&activation);
    let own = bed.coin_of(CENTRAL, 0);
    let mut unsigned = bed.return_loan(std::slice::from_ref(&own), id, RETURN_RATE);
    let ClearContext::Return(context) = &mut unsigned.core.context else { unreachable!() };
    context.rate += 1;
    assert_refused(&bed, unsigned, Rejection::NotAuthorized);
    let mut nothing = bed.return_loan(std::slice::from_ref(&own), id, RETURN_RATE);
    let ClearContext::Return(context) = &mut nothing.core.context else { unreachable!() };
    context.amount = Amount(0);
    assert_refused(&bed, nothing, Rejection::AmountIsZero);
    let mut by_a_bank = bed.return_loan(&[own], id, RETURN_RATE);
    by_a_bank.core.submitter = BANK2;
    assert_refused(&bed, by_a_bank, Rejection::SubmitterMayNotSubmitThis);
    let theirs = bed.coin_of(BANK2, 0);
    let theirs = bed.return_loan(&[theirs], id, RETURN_RATE);
    assert_refused(&bed, theirs, Rejection::CoinIsNotSpendable);
    let issue = bed.issue_inert(1, &[(CENTRAL, 100)]);
    let inert = issue.coins[0].clone();
    assert_eq!(bed.submit(issue), 0);
    let unconfirmed = bed.return_loan(std::slice::from_ref(&inert), id, RETURN_RATE);
    assert_refused(&bed, unconfirmed, Rejection::CoinIsNotLive);
    bed.make_live(std::slice::from_ref(&inert));
    let inert = bed.return_loan(&[inert], id, RETURN_RATE);
    assert_refused(&bed, inert, Rejection::InputTermsNotAllowed);
}

// Overdue (K-6).

#[test]
fn rejection_61_an_overdue_obligation_blocks_its_banks_loans_under_that_contract_until_it_is_returned() {
    let mut bed = Bed::with_policy(&policy(1).replace("60 days", "400 days"));
    let second = bed.deploy(2, 1, 2, &policy(1).replace("60 days", "400 days"));
    assert_eq!(bed.submit(second), 0);
    let coins = [bed.inert_coin(100), bed.inert_coin(100)];
    // Due on the day after tomorrow: a day's loan and no time to spare would still be 31 days.
    let loan = Loan { term_days: 1, ..GOOD_LOAN };
    let activation = bed.activate(&coins[..1], loan, 100);
    assert_eq!(bed.submit(activation.clone()), 0);
    let id = bed.obligation_of(&activation);
    let due_ms = bed.state.obligations[&id].obligation.due_ms;
    assert_eq!(due_ms, OPENS_MS + 32 * DAY_MS - 1);
    bed.wait_until(due_ms - 5_000);
    bed.publishes(NOVEMBER + 1, 0, 345);
    bed.wait_until(due_ms - 1_000);

    let again = bed.activate(&coins[1..], GOOD_LOAN, 100);
    let code_at = |bed: &Bed, time_ms: u64| {
        let bundle = bed.bundle(BANK2, vec![again.clone().seal()]);
        bed.try_block_at(time_ms, &[bundle]).unwrap().results[0].code
    };
    assert_eq!(code_at(&bed, due_ms), 0);
    assert_eq!(code_at(&bed, due_ms + 1), Rejection::ObligationOverdue.number());
    // Not the loans of another bank, nor those under another contract.
    assert_eq!(bed.state_owes(BANK3, ONE), None);
    assert_eq!(bed.state_owes(BANK2, ContractNumber(2)), None);
    bed.wait_until(due_ms + 1);
    let own = bed.coin_of(CENTRAL, 0);
    let returned = bed.return_loan(&[own], id, RETURN_RATE);
    let bundles = [bed.bundle(CENTRAL, vec![returned.seal()]), bed.bundle(BANK2, vec![again.clone().seal()])];
    let codes: Vec<u16> = bed.block(&bundles).results.iter().map(|result| result.code).collect();
    assert_eq!(codes, [0, 61], "K-1: as of the height before");
    assert_eq!(bed.submit(again), 0);
}
