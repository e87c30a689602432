//! What registration makes of what was ordered and released (R-1, rules P, invariants 2 and 5).

use crate::bed::*;
use crate::world::*;
use ledger_state::PaymentRule;
use ledger_types::confirmation::RecordStatus;
use node::role::registration::blocks::BlockFault;
use node::role::registration::{Alarm, RegistrationError};
use std::sync::atomic::Ordering;

/// Status and failed check of a coin's record.
fn record(world: &World, coin: &KnownCoin) -> (RecordStatus, u16) {
    let bed = world.bed();
    let record = bed.state.records.get(&coin.id).expect("the coin has a record");
    (record.status, record.failed_check)
}

fn disputed(rule: PaymentRule) -> (RecordStatus, u16) {
    (RecordStatus::Disputed, rule.number())
}

#[tokio::test]
async fn a_good_payment_is_confirmed_with_the_owners_tag_and_its_input_is_spent() {
    let mut world = World::new();
    let payment = {
        let mut bed = world.bed();
        let input = bed.coin_of(BANK2, 0);
        let payment = bed.pay(BANK2, std::slice::from_ref(&input), &[(BANK3, 60), (BANK2, 40)]);
        bed.order(&[&payment]);
        payment
    };
    world.release_by_all(&payment);
    let progress = world.settle().await;
    assert_eq!((progress.confirmed, progress.disputed, progress.waiting), (1, 0, 0));
    let bed = world.bed();
    assert_eq!(bed.record(&bed.coin_of(BANK2, 0)), Some(RecordStatus::Spent));
    for coin in &payment.coins {
        let record = bed.state.records[&coin.id];
        assert_eq!(record.status, RecordStatus::Live);
        assert_eq!(record.tag, coin.opening.owner_tag(&bed.rules.chain, &coin.id));
    }
    assert_eq!(world.spool_files(), 0, "what is published is deleted");
}

#[tokio::test]
async fn confirmed_change_is_spent_again_and_an_issue_and_a_redemption_settle() {
    let mut world = World::new();
    let issue = {
        let mut bed = world.bed();
        let number = bed.ledger.issue_numbers[&ledger_types::SeriesNumber(1)];
        let issue = bed.issue(number, &[(BANK2, 70), (BANK2, 30)], Spoilt::default());
        bed.order(&[&issue]);
        issue
    };
    world.release_by_all(&issue);
    let issued_before = world.bed().ledger.issued;
    world.settle().await;
    assert_eq!(world.bed().ledger.issued, issued_before + 100);
    let payment = {
        let mut bed = world.bed();
        let payment = bed.pay(BANK2, &issue.coins, &[(CENTRAL, 100)]);
        bed.order(&[&payment]);
        payment
    };
    world.release_by_all(&payment);
    world.settle().await;
    let redemption = {
        let mut bed = world.bed();
        let redemption = bed.redeem(&payment.coins, 75, &[(CENTRAL, 25)]);
        bed.order(&[&redemption]);
        redemption
    };
    world.release_by_all(&redemption);
    world.settle().await;
    assert_eq!(world.bed().ledger.redeemed, 75);
    assert_eq!(record(&world, &redemption.coins[0]).0, RecordStatus::Live);
}

#[tokio::test]
async fn a_payment_that_fails_a_check_is_disputed_with_the_checks_number_and_spends_its_input() {
    let cases = [
        (Spoilt { minted: 900, ..Spoilt::default() }, PaymentRule::ValueNotConserved),
        (Spoilt { acceptance: true, ..Spoilt::default() }, PaymentRule::AcceptanceNotSigned),
        (Spoilt { inputs: true, ..Spoilt::default() }, PaymentRule::InputsDiffer),
    ];
    for (spoilt, rule) in cases {
        let mut world = World::new();
        let payment = {
            let mut bed = world.bed();
            let input = bed.coin_of(BANK2, 0);
            let payment = bed.pay_spoilt(BANK2, &[input], &[(BANK3, 60), (BANK2, 40)], spoilt);
            bed.order(&[&payment]);
            payment
        };
        world.release_by_all(&payment);
        let progress = world.settle().await;
        assert_eq!((progress.confirmed, progress.disputed), (0, 1), "{rule}");
        let input = world.bed().coin_of(BANK2, 0);
        assert_eq!(record(&world, &input).0, RecordStatus::Spent);
        for coin in &payment.coins {
            assert_eq!(record(&world, coin), disputed(rule));
        }
    }
}

#[tokio::test]
async fn what_does_not_open_under_the_committed_key_is_disputed_without_a_tag() {
    let mut world = World::new();
    let payment = {
        let mut bed = world.bed();
        let input = bed.coin_of(BANK2, 0);
        let mut payment = bed.pay(BANK2, &[input], &[(BANK3, 100)]);
        bed.make_unreadable(&mut payment);
        bed.order(&[&payment]);
        payment
    };
    world.release_by_all(&payment);
    world.settle().await;
    assert_eq!(record(&world, &payment.coins[0]), disputed(PaymentRule::DoesNotOpen));
    assert_eq!(world.bed().state.records[&payment.coins[0].id].tag, ledger_types::OwnerTag::ZERO);
}

#[tokio::test]
async fn p4_what_never_opened_is_given_back_up_to_what_it_had_spent_and_no_coin_is_stranded() {
    let mut world = World::new();
    let unreadable = {
        let mut bed = world.bed();
        let inputs = [bed.coin_of(BANK2, 0), bed.coin_of(BANK2, 1)];
        let mut payment = bed.pay(BANK2, &inputs, &[(BANK3, 150), (BANK2, 50)]);
        bed.make_unreadable(&mut payment);
        bed.order(&[&payment]);
        payment
    };
    world.release_by_all(&unreadable);
    world.settle().await;
    let recover = |world: &World, inputs: &[KnownCoin], amount| {
        let mut bed = world.bed();
        let recovery = bed.recover_unopened(inputs, &[(BANK4, amount)]);
        bed.order(&[&recovery]);
        recovery
    };
    let greedy = recover(&world, &unreadable.coins, 201);
    world.release_by_all(&greedy);
    world.settle().await;
    assert_eq!(record(&world, &greedy.coins[0]), disputed(PaymentRule::ValueNotConserved));
    let fair = recover(&world, &greedy.coins, 200);
    world.release_by_all(&fair);
    world.settle().await;
    assert_eq!(record(&world, &fair.coins[0]).0, RecordStatus::Live);
    // Of a coin that is not disputed somebody has the opening: officers who do not show it take nothing.
    let blind = recover(&world, &fair.coins, 200);
    world.release_by_all(&blind);
    world.settle().await;
    assert_eq!(record(&world, &blind.coins[0]), disputed(PaymentRule::InputsDiffer));
}

#[tokio::test]
async fn r1_a_key_that_never_comes_ends_in_a_dispute_and_the_submitter_pays_again() {
    let mut world = World::new();
    let silent = {
        let mut bed = world.bed();
        let input = bed.coin_of(BANK2, 0);
        let silent = bed.pay(BANK2, &[input], &[(BANK3, 60), (BANK2, 40)]);
        bed.order(&[&silent]);
        silent
    };
    world.settle().await;
    world.bed().pass_time(RELEASE_DEADLINE_MS + 1);
    assert_eq!(world.settle().await.overdue, 1);
    assert_eq!(world.bed().record(&silent.coins[0]), None, "a late key may still come");
    world.kill_registrar();
    world.bed().pass_time(RELEASE_DEADLINE_MS - 1_000);
    assert_eq!(world.settle().await.overdue, 1, "the second deadline has not passed");
    world.bed().pass_time(2_000);
    let progress = world.settle().await;
    assert_eq!((progress.overdue, progress.waiting, progress.disputed), (0, 0, 1));
    for coin in &silent.coins {
        assert_eq!(record(&world, coin), disputed(PaymentRule::KeyNeverReleased));
    }
    let input = world.bed().coin_of(BANK2, 0);
    assert_eq!(record(&world, &input).0, RecordStatus::Spent);
    assert!(world.bed().ledger.overdue.is_empty(), "cleared: its transfers are taken again");
    // The key that comes now changes nothing.
    world.release_by_all(&silent);
    let progress = world.settle().await;
    assert_eq!((progress.confirmed, progress.disputed), (0, 1));
    let (again, recovery) = {
        let mut bed = world.bed();
        let input = bed.coin_of(BANK2, 1);
        let again = bed.pay(BANK2, &[input], &[(BANK3, 100)]);
        let recovery = bed.recover_unopened(&silent.coins, &[(BANK2, 100)]);
        bed.order(&[&again, &recovery]);
        (again, recovery)
    };
    world.release_by_all(&again);
    world.release_by_all(&recovery);
    assert_eq!(world.settle().await.confirmed, 2);
    assert_eq!(record(&world, &recovery.coins[0]).0, RecordStatus::Live, "what it had spent is given back");
}

#[tokio::test]
async fn an_issue_that_its_bank_did_not_accept_is_disputed_and_does_not_count_as_issued() {
    let mut world = World::new();
    let issue = {
        let mut bed = world.bed();
        let number = bed.ledger.issue_numbers[&ledger_types::SeriesNumber(1)];
        let issue = bed.issue(number, &[(BANK2, 100)], Spoilt { acceptance: true, ..Spoilt::default() });
        bed.order(&[&issue]);
        issue
    };
    let before = world.bed().ledger.issued;
    world.release_by_all(&issue);
    world.settle().await;
    assert_eq!(record(&world, &issue.coins[0]), disputed(PaymentRule::AcceptanceNotSigned));
    assert_eq!(world.bed().ledger.issued, before);
}

#[tokio::test]
async fn a_key_that_does_not_match_is_ignored_and_the_other_partys_is_taken() {
    //
    let mut world = World::new();
    let payment = {
        let mut bed = world.bed();
        let input = bed.coin_of(BANK2, 0);
        let payment = bed.pay(BANK2, &[input], &[(BANK3, 100)]);
        bed.order(&[&payment]);
        payment
    };
    world.release(BANK2, payment.id, named("a wrong key"));
    let progress = world.register();
    assert_eq!((progress.confirmed, progress.waiting, progress.keys_that_do_not_match), (0, 1, 1));
    world.release(BANK3, payment.id, payment.root);
    let progress = world.settle().await;
    assert_eq!((progress.confirmed, progress.disputed, progress.waiting), (1, 0, 0));
    assert_eq!(record(&world, &payment.coins[0]).0, RecordStatus::Live);
}

#[tokio::test]
async fn keys_that_come_before_their_block_are_kept_over_a_restart_and_the_matching_one_is_taken() {
    let mut world = World::new();
    let payment = {
        let mut bed = world.bed();
        let input = bed.coin_of(BANK2, 0);
        bed.pay(BANK2, &[input], &[(BANK3, 100)])
    };
    world.release(BANK2, payment.id, named("a wrong key"));
    world.release(BANK3, payment.id, payment.root);
    assert_eq!(world.register().early_keys, 2);
    world.kill_registrar();
    world.bed().order(&[&payment]);
    let progress = world.settle().await;
    assert_eq!((progress.confirmed, progress.early_keys, progress.waiting), (1, 0, 0));
    assert_eq!(record(&world, &payment.coins[0]).0, RecordStatus::Live);
}

#[test]
fn a_key_without_an_envelope_is_let_go_when_its_envelope_could_no_more_be_ordered() {
    let mut world = World::new();
    world.release(BANK2, ledger_types::EnvelopeId([9; 32]), [9; 32]);
    assert_eq!(world.register().early_keys, 1);
    world.bed().pass_time(EXPIRY_WINDOW_MS);
    assert_eq!(world.register().early_keys, 1, "a block of the window may still bring it");
    world.bed().pass_time(EXPIRY_WINDOW_MS);
    world.bed().pass_time(1_000);
    assert_eq!(world.register().early_keys, 0);
}

#[tokio::test]
async fn a_late_key_makes_its_envelope_overdue_and_later_cleared() {
    //
    let mut world = World::new();
    let payment = {
        let mut bed = world.bed();
        let input = bed.coin_of(BANK2, 0);
        let payment = bed.pay(BANK2, &[input], &[(BANK3, 100)]);
        bed.order(&[&payment]);
        payment
    };
    world.settle().await;
    world.bed().pass_time(RELEASE_DEADLINE_MS - 1);
    assert_eq!(world.settle().await.overdue, 0, "the deadline has not passed");
    world.bed().pass_time(2);
    assert_eq!(world.settle().await.overdue, 1);
    let overdue = |world: &World| world.bed().ledger.overdue.iter().copied().collect::<Vec<_>>();
    let expected = ledger_types::confirmation::Overdue { envelope: payment.id, submitter: BANK2 };
    assert_eq!(overdue(&world), [expected]);
    // Its transfers wait until it has released.
    let next = {
        let mut bed = world.bed();
        let input = bed.coin_of(BANK2, 1);
        let next = bed.pay(BANK2, &[input], &[(BANK3, 100)]);
        let bundle = bed.bundle(&[&next]);
        let time_ms = bed.next_time_ms();
        bed.block(time_ms, &[bundle]).unwrap();
        next.id
    };
    let refused = ledger_types::rejection::Rejection::SubmitterIsOverdue.number();
    assert_eq!(world.bed().results[&next], refused);
    world.kill_registrar();
    world.release(BANK3, payment.id, payment.root);
    assert_eq!(world.settle().await.overdue, 0);
    assert_eq!(overdue(&world), []);
    assert_eq!(record(&world, &payment.coins[0]).0, RecordStatus::Live);
}

#[tokio::test]
async fn nobody_is_overdue_for_the_time_that_registration_itself_was_down() {
    let mut world = World::new();
    let payment = {
        let mut bed = world.bed();
        let input = bed.coin_of(BANK2, 0);
        let payment = bed.pay(BANK2, &[input], &[(BANK3, 100)]);
        bed.order(&[&payment]);
        payment
    };
    world.register();
    world.kill_registrar();
    world.bed().pass_time(10 * RELEASE_DEADLINE_MS);
    // Registration starts when the chain is far ahead, and sees the block before the bank could say anything.
    let now = world.bed().ledger.time_ms;
    world.clock.store(now, Ordering::SeqCst);
    assert_eq!(world.register().overdue, 0);
    world.release_by_all(&payment);
    assert_eq!(world.settle().await.overdue, 0);
    assert_eq!(record(&world, &payment.coins[0]).0, RecordStatus::Live);
}

/// The machine slept and its clock stands still: blocks rush by in which no bank could be asked, and what is released meanwhile belongs
/// to blocks that are still to come.
#[tokio::test]
async fn blocks_that_outrun_the_clock_make_nobody_late_and_let_no_key_go() {
    let mut world = World::new();
    world.clock_behind_ms = None;
    let order = |world: &World, nth| {
        let mut bed = world.bed();
        let input = bed.coin_of(BANK2, nth);
        let payment = bed.pay(BANK2, &[input], &[(BANK3, 100)]);
        bed.order(&[&payment]);
        payment
    };
    let never_released = order(&world, 0);
    world.register();
    for _ in 0..300 {
        world.bed().pass_time(2_000);
    }
    let payment = order(&world, 1);
    world.release(BANK3, payment.id, payment.root);
    world.blocks_at_once = 5;
    assert_eq!(world.register().early_keys, 1);
    world.blocks_at_once = usize::MAX;
    let progress = world.settle().await;
    assert_eq!((progress.early_keys, progress.overdue, progress.waiting), (0, 0, 1));
    assert_eq!(record(&world, &payment.coins[0]).0, RecordStatus::Live);
    // The clock is set right, and the banks have a deadline again, counted from some seconds before at most.
    world.clock_behind_ms = Some(0);
    world.bed().pass_time(RELEASE_DEADLINE_MS - 5_000);
    assert_eq!(world.settle().await.overdue, 0);
    world.bed().pass_time(5_001);
    assert_eq!(world.settle().await.overdue, 1);
    let named: Vec<_> = world.bed().ledger.overdue.iter().map(|overdue| overdue.envelope).collect();
    assert_eq!(named, [never_released.id]);
}

/// It does no harm: block time goes on as fast as it.
#[tokio::test]
async fn under_a_clock_that_is_always_a_minute_behind_a_late_key_is_overdue_all_the_same() {
    let mut world = World::new();
    world.clock_behind_ms = Some(60_000);
    let payment = {
        let mut bed = world.bed();
        bed.pass_time(60_000);
        let input = bed.coin_of(BANK2, 0);
        let payment = bed.pay(BANK2, &[input], &[(BANK3, 100)]);
        bed.order(&[&payment]);
        payment
    };
    world.settle().await;
    for _ in 1..RELEASE_DEADLINE_MS / 2_000 {
        world.bed().pass_time(2_000);
        assert_eq!(world.register().overdue, 0);
    }
    world.bed().pass_time(2_001);
    assert_eq!(world.settle().await.overdue, 1);
    assert_eq!(world.bed().ledger.overdue.iter().next().unwrap().envelope, payment.id);
}

#[tokio::test]
async fn two_banks_that_mint_together_are_never_confirmed_and_recover_no_more_than_they_put_in() {
    // Invariant 2
    let mut world = World::new();
    let minted = {
        let mut bed = world.bed();
        let input = bed.coin_of(BANK2, 0);
        let minted =
            bed.pay_spoilt(BANK2, &[input], &[(BANK3, 100)], Spoilt { minted: 1_000_000, ..Spoilt::default() });
        bed.order(&[&minted]);
        minted
    };
    world.release_by_all(&minted);
    world.settle().await;
    assert_eq!(record(&world, &minted.coins[0]), disputed(PaymentRule::ValueNotConserved));
    // It cannot be spent on.
    let spend = {
        let mut bed = world.bed();
        let spend = bed.pay(BANK3, &minted.coins, &[(BANK3, 1_000_100)]);
        let bundle = bed.bundle(&[&spend]);
        let time_ms = bed.next_time_ms();
        bed.block(time_ms, &[bundle]).unwrap();
        spend.id
    };
    assert_eq!(world.bed().results[&spend], ledger_types::rejection::Rejection::CoinIsNotLive.number());
    // Officers who are told of a million give back what was put in, or nothing.
    let greedy = {
        let mut bed = world.bed();
        let greedy = bed.recover(&minted.coins, &[(BANK3, 101)]);
        bed.order(&[&greedy]);
        greedy
    };
    world.release_by_all(&greedy);
    world.settle().await;
    assert_eq!(record(&world, &greedy.coins[0]), disputed(PaymentRule::ValueNotConserved));
    let fair = {
        let mut bed = world.bed();
        let fair = bed.recover(&greedy.coins, &[(BANK3, 100)]);
        bed.order(&[&fair]);
        fair
    };
    world.release_by_all(&fair);
    world.settle().await;
    assert_eq!(record(&world, &fair.coins[0]).0, RecordStatus::Live);
}

#[tokio::test]
async fn a_wronged_customer_gets_the_coin_back_and_two_recoveries_share_what_there_is() {
    let mut world = World::new();
    let disputed = {
        let mut bed = world.bed();
        let inputs = [bed.coin_of(BANK2, 0), bed.coin_of(BANK2, 1)];
        let outputs = [(BANK3, 120), (BANK2, 80)];
        let disputed = bed.pay_spoilt(BANK2, &inputs, &outputs, Spoilt { acceptance: true, ..Spoilt::default() });
        bed.order(&[&disputed]);
        disputed
    };
    world.release_by_all(&disputed);
    world.settle().await;
    let recoveries = {
        let mut bed = world.bed();
        let first = bed.recover(&disputed.coins[..1], &[(BANK4, 150)]);
        let second = bed.recover(&disputed.coins[1..], &[(BANK4, 51)]);
        // The first coin is worth less than 150: `payment_is_good` refuses it, and its share stays with its dispute.
        bed.order(&[&first, &second]);
        [first, second]
    };
    recoveries.iter().for_each(|recovery| world.release_by_all(recovery));
    let progress = world.settle().await;
    let statuses = recoveries.each_ref().map(|recovery| record(&world, &recovery.coins[0]));
    assert_eq!(statuses[0], (RecordStatus::Disputed, PaymentRule::ValueNotConserved.number()));
    // All of the worth went with the first; officers name both to give it back.
    assert_eq!(statuses[1], (RecordStatus::Disputed, PaymentRule::ValueNotConserved.number()));
    assert_eq!(progress.waiting, 0);
    let both = {
        let mut bed = world.bed();
        let inputs = [recoveries[0].coins[0].clone(), recoveries[1].coins[0].clone()];
        let both = bed.recover(&inputs, &[(BANK4, 200)]);
        bed.order(&[&both]);
        both
    };
    world.release_by_all(&both);
    world.settle().await;
    assert_eq!(record(&world, &both.coins[0]).0, RecordStatus::Live);
}

#[test]
fn a_spend_of_a_coin_that_registration_never_confirmed_stops_it_with_an_alarm() {
    // Invariant 2: a ledger on which banks made a coin live without us is not followed.
    let mut world = World::new();
    let payment = {
        let mut bed = world.bed();
        let input = bed.coin_of(BANK2, 0);
        let first = bed.pay(BANK2, &[input], &[(BANK2, 100)]);
        bed.order(&[&first]);
        let coin = &first.coins[0];
        let live = ledger_types::coin::Coin::plain(ledger_types::coin::CoinStatus::Live);
        bed.state.coins.insert(coin.id, live);
        let second = bed.pay(BANK2, std::slice::from_ref(coin), &[(BANK3, 100)]);
        bed.order(&[&second]);
        second
    };
    world.release_by_all(&payment);
    let stopped = world.try_register().unwrap_err();
    assert!(matches!(stopped, RegistrationError::Alarm(Alarm::InputNotConfirmed { .. })), "{stopped}");
}

#[test]
fn a_payment_is_judged_by_the_directory_of_its_own_block() {
    let mut world = World::new();
    let (before, update) = {
        let mut bed = world.bed();
        let input = bed.coin_of(BANK2, 0);
        (bed.pay(BANK2, &[input], &[(BANK3, 100)]), bed.new_desk_key(BANK3))
    };
    {
        let mut bed = world.bed();
        bed.order(&[&before]);
        bed.order(&[&update]);
    }
    // The key comes when bank 3's desk key, which signed the acceptance, is another already.
    world.register();
    world.kill_registrar();
    world.release_by_all(&before);
    let progress = world.register();
    assert_eq!((progress.confirmed, progress.disputed, progress.waiting), (1, 0, 0));
}

#[test]
fn a_block_that_is_not_proved_is_refused_by_name() {
    let world = World::new();
    let payment = {
        let mut bed = world.bed();
        let input = bed.coin_of(BANK2, 0);
        let payment = bed.pay(BANK2, &[input], &[(BANK3, 100)]);
        bed.order(&[&payment]);
        payment
    };
    let (_, mut checker) = world.open_registrar().unwrap();
    let (good, bundles) = world.bed().documents[0].clone();
    let mut refusal = |document: &node::link::BlockDocument, bundles: &[ledger_types::bundle::Bundle]| {
        checker.check(document).and_then(|decided| checker.accept(decided, bundles)).map(drop).unwrap_err()
    };
    let mut bad = good.clone();
    bad.codes[0] = 16;
    assert_eq!(refusal(&bad, &bundles), BlockFault::Results);
    let mut bad = good.clone();
    bad.codes.push(0);
    assert_eq!(refusal(&bad, &bundles), BlockFault::Results);
    let mut bad = good.clone();
    bad.block.push(0);
    assert_eq!(refusal(&bad, &bundles), BlockFault::Malformed);
    let mut bad = good.clone();
    let last = bad.certificate.len() - 1;
    bad.certificate[last] ^= 1;
    assert!(matches!(refusal(&bad, &bundles), BlockFault::NotDecided(_)));
    assert_eq!(refusal(&good, &[]), BlockFault::Bundle);
    let other = world.bed().bundle(&[&payment]);
    assert_eq!(refusal(&good, &[other]), BlockFault::Bundle);
    let decided = checker.check(&good).unwrap();
    assert_eq!(checker.accept(decided, &bundles).unwrap().envelopes.len(), 1);
    assert!(matches!(checker.check(&good), Err(BlockFault::NotDecided(_))), "the same height does not follow itself");
}

#[test]
fn releases_out_of_order_are_refused_and_nothing_is_taken() {
    let mut world = World::new();
    world.bed().pass_time(1_000);
    world.release(BANK2, ledger_types::EnvelopeId([1; 32]), [1; 32]);
    world.release(BANK2, ledger_types::EnvelopeId([2; 32]), [2; 32]);
    world.releases.get_mut(&BANK2).unwrap().reverse();
    assert!(matches!(world.try_register(), Err(RegistrationError::ReleasesOutOfOrder(BANK2))));
    let (registrar, _) = world.open_registrar().unwrap();
    assert_eq!((registrar.taken_from(BANK2).unwrap(), registrar.progress().early_keys), (0, 0));
}

#[tokio::test]
async fn no_opening_and_no_key_lies_readable_on_registrations_disk() {
    let mut world = World::new();
    let (paid, early) = {
        let mut bed = world.bed();
        let inputs = [bed.coin_of(BANK2, 0), bed.coin_of(BANK2, 1)];
        let paid = bed.pay(BANK2, &inputs[..1], &[(BANK3, 100)]);
        let early = bed.pay(BANK2, &inputs[1..], &[(BANK3, 100)]);
        bed.order(&[&paid]);
        (paid, early)
    };
    world.release_by_all(&paid);
    world.release_by_all(&early);
    world.register();
    world.kill_registrar();
    let secrets =
        [paid.root, early.root, paid.coins[0].opening.rho, early.coins[0].opening.rho, owner().public_key().0];
    let files = files_without(&secrets, world.folder.path().to_owned()).len();
    assert!(files > 3, "the database and a file of the outbox were looked through");
}
