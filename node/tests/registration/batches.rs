//! Confirmation batches: when they go, what is in them, and that each goes once.

use crate::bed::*;
use crate::world::*;
use ledger_types::bundle::{Bundle, BundleBody};
use ledger_types::confirmation::{Batch, RecordStatus};
use ledger_types::{BatchNumber, List};
use node::role::confirmation_issuance::*;
use std::time::{Duration, Instant};

/// So many payments of two banks, ordered in one block and released.
fn payments(world: &mut World, count: usize) -> Vec<Payment> {
    let payments: Vec<Payment> = {
        let mut bed = world.bed();
        let banks = [BANK2, BANK3];
        let payments: Vec<Payment> = (0..count)
            .map(|nth| {
                let bank = banks[nth % 2];
                let input = bed.coin_of(bank, nth / 2);
                bed.pay(bank, &[input], &[(BANK4, 60), (bank, 40)])
            })
            .collect();
        bed.order(&payments.iter().collect::<Vec<_>>());
        payments
    };
    payments.iter().for_each(|payment| world.release_by_all(payment));
    payments
}

#[tokio::test]
async fn a_batch_goes_after_two_seconds_and_not_before() {
    //
    let mut world = World::new();
    payments(&mut world, 2);
    world.register();
    let before = Instant::now();
    let mut issuer = quiet_issuer(&world);
    assert!(!issuer.form(before + RELEASE_AFTER - Duration::from_millis(1)).unwrap());
    assert!(issuer.form(Instant::now() + RELEASE_AFTER).unwrap());
    assert!(!issuer.form(Instant::now() + 2 * RELEASE_AFTER).unwrap(), "one batch at a time");
}

#[tokio::test]
async fn records_ascend_no_envelope_is_split_and_no_batch_exceeds_the_genesis_limit() {
    // 16 payments of three records each, 50 records a batch.
    let mut world = World::new();
    let payments = payments(&mut world, 16);
    let more = {
        let mut bed = world.bed();
        let input = bed.coin_of(BANK4, 0);
        let more = bed.pay(BANK4, &[input], &[(BANK2, 60), (BANK4, 40)]);
        bed.order(&[&more]);
        more
    };
    world.release_by_all(&more);
    let through = world.register().outbox_sequence;
    let registry = world.registry();
    world.try_publish(through, registry.clone()).await.unwrap();
    let submitted = registry.submitted.lock().unwrap().clone();
    let batches: Vec<Batch> = submitted
        .iter()
        .map(|bundle| match bundle.body() {
            BundleBody::Confirmation(signed) => signed.batch.clone(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(batches.iter().map(|batch| batch.number.0).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(batches.iter().map(|batch| batch.records.len()).sum::<usize>(), 51);
    assert!(
        batches.iter().all(|batch| batch.records.len() <= 50 && batch.records.is_sorted_by_key(|record| record.coin))
    );
    for payment in payments.iter().chain([&more]) {
        let in_batch = |batch: &&Batch| batch.records.iter().any(|record| record.coin == payment.coins[0].id);
        let batch = batches.iter().find(in_batch).unwrap();
        assert!(payment.coins.iter().all(|coin| batch.records.iter().any(|record| record.coin == coin.id)));
    }
}

#[tokio::test]
async fn a_batch_submitted_again_is_the_same_to_the_byte_and_changes_nothing() {
    let mut world = World::new();
    let payments = payments(&mut world, 2);
    let through = world.register().outbox_sequence;
    let mut issuer = quiet_issuer(&world);
    assert!(issuer.form(Instant::now() + RELEASE_AFTER).unwrap());
    let registry = world.registry();
    issuer.assign(registry.slot().await.unwrap()).unwrap();
    let first = issuer.bundle().unwrap().unwrap();
    drop(issuer);
    let issuer = quiet_issuer(&world);
    assert_eq!(issuer.bundle().unwrap().unwrap(), first, "the same after a restart");
    drop(issuer);
    registry.submit(&first).await.unwrap();
    let ledger = world.bed().ledger.clone();
    // The slot is used up, and in another slot the number is.
    assert!(registry.submit(&first).await.is_err());
    assert_eq!(world.bed().ledger, ledger);
    world.try_publish(through, registry).await.unwrap();
    assert_eq!(world.bed().ledger.batch, BatchNumber(1));
    assert!(payments.iter().all(|payment| world.bed().record(&payment.coins[0]) == Some(RecordStatus::Live)));
}

#[tokio::test]
async fn a_squatted_or_refused_slot_is_left_for_the_next_incarnation() {
    for fault in [Fault::SquattedSlot, Fault::RefusedSlot] {
        let mut world = World::new();
        let payments = payments(&mut world, 2);
        let through = world.register().outbox_sequence;
        let registry = LedgerRegistry { fault, ..world.registry() };
        world.try_publish(through, registry.clone()).await.unwrap();
        let submitted = registry.submitted.lock().unwrap().clone();
        let last = submitted.last().unwrap();
        assert_eq!((last.slot().incarnation, last.slot().sequence), (1, 0), "{fault:?}");
        assert!(submitted.iter().all(|bundle| bundle.ids() == last.ids()), "one content in every slot");
        assert!(payments.iter().all(|payment| world.bed().record(&payment.coins[0]) == Some(RecordStatus::Live)));
        // What lies in the closed slot revives nothing.
        let ledger = world.bed().ledger.clone();
        let revived = LedgerRegistry { fault: Fault::None, ..registry };
        assert!(revived.submit(&submitted[0]).await.is_err());
        assert_eq!(world.bed().ledger, ledger);
    }
}

/// A batch is signed and has its slot when the issuer dies; gives the bundle that it would have submitted.
async fn waiting_bundle(world: &World, registry: &LedgerRegistry) -> Bundle {
    let mut issuer = quiet_issuer(world);
    assert!(issuer.form(Instant::now() + RELEASE_AFTER).unwrap());
    issuer.assign(registry.slot().await.unwrap()).unwrap();
    issuer.bundle().unwrap().unwrap()
}

/// What became of the bundle under the old key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Old {
    NeverOrdered,
    AcceptedBeforeTheRotation,
    RefusedAfterIt,
}

/// The directory names another registration key while a batch waits. Its signature was never renewed: the ledger
/// refused it (42) under whatever bundle, and nothing was ever confirmed again.
#[tokio::test]
async fn r2_a_batch_that_waits_while_the_registration_key_is_rotated_is_confirmed_once() {
    for old in [Old::NeverOrdered, Old::AcceptedBeforeTheRotation, Old::RefusedAfterIt] {
        let mut world = World::new();
        let payments = payments(&mut world, 2);
        let through = world.register().outbox_sequence;
        let registry = world.registry();
        let before = waiting_bundle(&world, &registry).await;
        let order = |world: &World| {
            let mut bed = world.bed();
            let time_ms = bed.next_time_ms();
            bed.block(time_ms, std::slice::from_ref(&before)).unwrap();
        };
        if old == Old::AcceptedBeforeTheRotation {
            order(&world);
        }
        world.registration_key = key(CENTRAL, "the next registration");
        {
            let mut bed = world.bed();
            let update = bed.new_registration_key(world.registration_key.public_key());
            bed.order(&[&update]);
        }
        if old == Old::RefusedAfterIt {
            order(&world);
            assert_eq!(world.bed().results[&before.ids()[0]], 42);
        }

        world.try_publish(through, registry.clone()).await.unwrap_or_else(|error| panic!("{old:?}: {error}"));
        let submitted = registry.submitted.lock().unwrap().clone();
        let content = |bundle: &Bundle| match bundle.body() {
            BundleBody::Confirmation(signed) => signed.batch.clone(),
            other => panic!("{other:?}"),
        };
        assert_eq!(submitted.len(), usize::from(old != Old::AcceptedBeforeTheRotation), "{old:?}");
        for bundle in &submitted {
            assert_eq!((bundle.slot().incarnation, bundle.slot().sequence), (1, 0), "{old:?}: the old slot is closed");
            assert_eq!(content(bundle), content(&before), "{old:?}");
        }
        assert_eq!(world.bed().ledger.batch, BatchNumber(1), "{old:?}");
        assert!(payments.iter().all(|payment| world.bed().record(&payment.coins[0]) == Some(RecordStatus::Live)));
        // The next batch goes on from it, and the old signature revives nothing.
        let after = {
            let mut bed = world.bed();
            let input = bed.coin_of(BANK4, 0);
            let after = bed.pay(BANK4, &[input], &[(BANK2, 60), (BANK4, 40)]);
            bed.order(&[&after]);
            after
        };
        world.release_by_all(&after);
        world.settle().await;
        assert_eq!(world.bed().ledger.batch, BatchNumber(2), "{old:?}");
        let ledger = world.bed().ledger.clone();
        assert!(registry.submit(&before).await.is_err());
        assert_eq!(world.bed().ledger, ledger);
    }
}

/// Rotated away and back: the batch bears the right signature, and the ledger has refused just that one before.
#[tokio::test]
async fn r2_a_batch_whose_key_was_rotated_away_and_back_is_confirmed_in_another_slot() {
    let mut world = World::new();
    let payments = payments(&mut world, 2);
    let through = world.register().outbox_sequence;
    let registry = world.registry();
    let refused = waiting_bundle(&world, &registry).await;
    for next in ["the next registration", "registration"] {
        {
            let mut bed = world.bed();
            let update = bed.new_registration_key(key(CENTRAL, next).public_key());
            bed.order(&[&update]);
        }
        if next == "the next registration" {
            let mut bed = world.bed();
            let time_ms = bed.next_time_ms();
            bed.block(time_ms, std::slice::from_ref(&refused)).unwrap();
            assert_eq!(bed.results[&refused.ids()[0]], 42);
        }
    }
    world.try_publish(through, registry).await.unwrap();
    assert_eq!(world.bed().ledger.batch, BatchNumber(1));
    assert!(payments.iter().all(|payment| world.bed().record(&payment.coins[0]) == Some(RecordStatus::Live)));
}

/// Each refusal opened a further incarnation, and the ledger takes none but the next one: nothing was taken after the
/// right key came.
#[tokio::test]
async fn b3_under_a_key_that_the_ledger_does_not_name_the_lane_s_reach_is_not_left() {
    let mut world = World::new();
    let payments = payments(&mut world, 2);
    let through = world.register().outbox_sequence;
    let update = world.bed().new_registration_key(key(CENTRAL, "the next registration").public_key());
    world.bed().order(&[&update]);
    let registry = world.registry();
    let slots = || {
        let mut slots: Vec<_> = registry.submitted.lock().unwrap().iter().map(|bundle| bundle.slot()).collect();
        slots.dedup();
        slots
    };
    let left_three = async {
        while slots().len() < 4 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::select! {
        outcome = world.try_publish(through, registry.clone()) => panic!("{outcome:?}"),
        () = left_three => {}
    }
    assert!(slots().iter().all(|slot| slot.incarnation <= 1), "{:?}", slots());
    world.registration_key = key(CENTRAL, "the next registration");
    world.try_publish(through, registry.clone()).await.unwrap();
    assert_eq!(world.bed().ledger.batch, BatchNumber(1));
    assert!(payments.iter().all(|payment| world.bed().record(&payment.coins[0]) == Some(RecordStatus::Live)));
}

/// A batch that somebody else signed with the registration key.
fn foreign(world: &World, records: Vec<ledger_types::confirmation::BatchRecord>) -> Bundle {
    let bed = world.bed();
    let batch = Batch {
        number: BatchNumber(bed.ledger.batch.0 + 1),
        previous: bed.ledger.batch_hash,
        records: List::new(records).unwrap(),
        settled: List::empty(),
        overdue: List::empty(),
        cleared: List::empty(),
    };
    let signer = key(CENTRAL, "registration");
    let signed = batch.sign(&bed.rules.chain, &signer);
    let submitter = ledger_types::ParticipantNumber::REGISTRATION;
    let lane = bed.ledger.lane(submitter);
    let slot = ledger_types::bundle::Slot { submitter, incarnation: lane.incarnation, sequence: lane.next_sequence };
    Bundle::sign_confirmation(&bed.rules.chain, slot, signed, &signer).unwrap()
}

#[tokio::test]
async fn a_number_that_holds_another_content_is_an_alarm() {
    //
    let mut world = World::new();
    payments(&mut world, 2);
    let through = world.register().outbox_sequence;
    let mut issuer = quiet_issuer(&world);
    assert!(issuer.form(Instant::now() + RELEASE_AFTER).unwrap());
    drop(issuer);
    world.registry().submit(&foreign(&world, vec![])).await.unwrap();
    let alarm = world.try_publish(through, world.registry()).await.unwrap_err();
    assert!(matches!(alarm, IssuanceError::Alarm(Alarm::OtherContent(BatchNumber(1)))), "{alarm}");
}

/// Registration comes back from a backup and books what comes next under numbers that were used: the entries would be taken
/// for known ones, and the coins in them never be confirmed.
#[tokio::test]
async fn r3_a_registration_restored_from_a_backup_is_an_alarm_and_not_a_loss() {
    let mut world = World::new();
    let pay = |world: &mut World, nth: usize| {
        let payment = {
            let mut bed = world.bed();
            let input = bed.coin_of(BANK2, nth);
            let payment = bed.pay(BANK2, &[input], &[(BANK3, 100)]);
            bed.order(&[&payment]);
            payment
        };
        world.release_by_all(&payment);
        payment
    };
    pay(&mut world, 0);
    world.settle().await;
    world.kill_registrar();
    let backup = world.back_up_registration();
    let lost = pay(&mut world, 1);
    pay(&mut world, 2);
    assert_eq!(world.settle().await.outbox_sequence, 3);
    // The banks have destroyed the keys that were acknowledged: the same entries do not come again.
    world.restore_registration(&backup);
    let of_lost = world.releases.values_mut().flatten().filter(|release| release.envelope == lost.id.0);
    of_lost.for_each(|release| release.root = named("destroyed"));
    pay(&mut world, 3);
    let through = world.register().outbox_sequence;
    assert_eq!(through, 3, "the last number is one that was used");
    let alarm = world.try_publish(through + 1, world.registry()).await.unwrap_err();
    let expected = Alarm::EntryRewritten { sequence: 3 };
    assert!(matches!(&alarm, IssuanceError::Alarm(alarm) if *alarm == expected), "{alarm}");
    assert!(world.spool_files() > 0, "what would have been lost is there");
}

#[tokio::test]
async fn a_number_that_was_never_signed_here_is_an_alarm() {
    let mut world = World::new();
    payments(&mut world, 2);
    let through = world.register().outbox_sequence;
    world.registry().submit(&foreign(&world, vec![])).await.unwrap();
    let alarm = world.try_publish(through, world.registry()).await.unwrap_err();
    let expected = Alarm::ForeignBatch { found: BatchNumber(1), signed: BatchNumber(0) };
    assert!(matches!(alarm, IssuanceError::Alarm(alarm) if alarm == expected));
}

#[tokio::test]
async fn a_batch_that_the_ledger_refuses_is_an_alarm_with_the_refusals_name() {
    // the ledger has lost a coin's unconfirmed status, so "live" is a forbidden change.
    let mut world = World::new();
    let payments = payments(&mut world, 1);
    let through = world.register().outbox_sequence;
    let live = ledger_types::coin::Coin::plain(ledger_types::coin::CoinStatus::Live);
    world.bed().state.coins.insert(payments[0].coins[0].id, live);
    let alarm = world.try_publish(through, world.registry()).await.unwrap_err();
    let expected =
        Alarm::Refused { number: BatchNumber(1), rejection: ledger_types::rejection::Rejection::RecordChangeForbidden };
    assert!(matches!(&alarm, IssuanceError::Alarm(alarm) if *alarm == expected), "{alarm}");
}

#[tokio::test]
async fn entries_of_another_registration_database_are_refused() {
    let mut world = World::new();
    payments(&mut world, 1);
    let progress = world.register();
    world.publish(progress.outbox_sequence).await;
    // Registration's database is lost and begun anew.
    world.kill_registrar();
    std::fs::remove_dir_all(world.folder.path().join("registration")).unwrap();
    world.register();
    let mut issuer = world.open_issuer().unwrap();
    let refused = issuer.gather(Instant::now()).unwrap_err();
    assert!(matches!(refused, IssuanceError::Spool(node::outbox::SpoolError::Foreign { .. })), "{refused}");
}
