//! The desk is killed after every single unit that it makes durable, and started again.

use super::world::*;
use crate::role::commercial_bank::desk::Inner;
use crate::role::commercial_bank::job::State;
use ledger_seal::counter::RESERVED_MAX;
use ledger_types::{EnvelopeHint, EnvelopeId};
use std::collections::BTreeMap;
use std::time::Duration;

/// More units than a payment writes at either bank.
const UNITS_MAX: u64 = 14;
const AMOUNT: u64 = 2_500;

async fn world() -> Held {
    let world = World::with_desks().await;
    world.desk(BANK3).create_wallet("bob").await.unwrap();
    world
}

/// Blocks and confirmations until nothing moves any more.
async fn settle(world: &World) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    loop {
        world.step().await;
        let unfinished = BANKS.iter().any(|bank| !world.desk(*bank).shared().jobs.is_empty());
        if !unfinished && world.waiting_envelopes() == 0 {
            return;
        }
        assert!(tokio::time::Instant::now() < deadline, "a job does not end");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_payers_bank_killed_after_any_durable_step_pays_exactly_once_what_it_promised() {
    for units in 0..UNITS_MAX {
        let world = world().await;
        let total = owned(&world.desk(BANK2), "vault");
        world.kill(BANK2).await;
        world.open(BANK2, settings(), Some(units)).await;
        let key = || with_key(payment("vault", BANK3, "bob", AMOUNT), "once");
        let answered = create(&world.desk(BANK2), key()).await.is_ok();
        for _ in 0..3 {
            world.step().await;
        }
        world.kill(BANK2).await;
        world.open(BANK2, settings(), None).await;
        settle(&world).await;
        let paid_before = live(&world.desk(BANK3), "bob");
        assert!(
            !answered || paid_before == u128::from(AMOUNT),
            "killed after {units} units: an answered payment is lost"
        );
        // The customer asks again with the same key.
        let job = create(&world.desk(BANK2), key()).await.unwrap();
        assert_eq!(world.finish(BANK2, &job.id).await.state, State::Confirmed, "killed after {units} units");
        settle(&world).await;
        assert_eq!(live(&world.desk(BANK3), "bob"), u128::from(AMOUNT), "killed after {units} units");
        assert_eq!(owned(&world.desk(BANK2), "vault"), total - u128::from(AMOUNT), "killed after {units} units");
        assert_eq!(world.accepted().len(), 1, "killed after {units} units");
        world.desk(BANK2).shared().book.check();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_payees_bank_killed_after_any_durable_step_books_every_payment_once() {
    for units in 0..UNITS_MAX {
        let world = world().await;
        world.kill(BANK3).await;
        world.open(BANK3, settings(), Some(units)).await;
        let job = create(&world.desk(BANK2), payment("vault", BANK3, "bob", AMOUNT)).await.unwrap();
        for _ in 0..3 {
            world.step().await;
        }
        world.kill(BANK3).await;
        world.open(BANK3, settings(), None).await;
        let job = world.finish(BANK2, &job.id).await;
        assert_eq!(job.state, State::Confirmed, "killed after {units} units");
        assert_eq!(live(&world.desk(BANK3), "bob"), u128::from(AMOUNT), "killed after {units} units");
        world.desk(BANK3).shared().book.check();
    }
}

/// Whether the payment was confirmed before the desk was killed.
async fn pay_until_killed(world: &World) -> bool {
    let desk = world.desk(BANK2);
    let Ok(job) = create(&desk, payment("vault", BANK3, "bob", AMOUNT)).await else { return false };
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    while desk.show(|_| ()).await.is_ok() {
        if desk.find_job(&job.id).unwrap().is_some_and(|job| job.state == State::Confirmed) {
            return true;
        }
        assert!(tokio::time::Instant::now() < deadline, "the payment does not end");
        world.step().await;
    }
    false
}

/// Takes the hints that are left of the channel's first reservation of this life, as for payments that are never handed
/// in. Whether the desk lives.
async fn use_up_the_reservation(desk: &Inner) -> bool {
    loop {
        match desk.epochs.slot(&*desk.ports, &desk.journal, &[BANK2, BANK3]).await {
            Ok(slot) if (slot.counter() + 1).is_multiple_of(RESERVED_MAX) => return true,
            Ok(_) => {}
            Err(_) => return false,
        }
    }
}

/// Of everything that was ever handed in, ordered or not: which envelopes have a hint.
fn envelopes_by_hint(world: &World) -> BTreeMap<EnvelopeHint, Vec<EnvelopeId>> {
    let mut by_hint: BTreeMap<EnvelopeHint, Vec<EnvelopeId>> = BTreeMap::new();
    for passed in world.passed() {
        let Passed::Submitted(envelope) = passed else { continue };
        let envelopes = by_hint.entry(envelope.header.core.hint).or_default();
        let id = envelope.id(&world.rules.chain);
        // The same envelope may be handed in again.
        if !envelopes.contains(&id) {
            envelopes.push(id);
        }
    }
    by_hint
}

/// Rule E, hint. A counter that is used before its reservation is on disk, or a restart below the reservation, gives one
/// hint to two envelopes of an epoch.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_payers_bank_killed_after_any_durable_step_of_reserving_and_using_hints_never_repeats_one() {
    for units in 0.. {
        let world = world().await;
        assert!(pay_until_killed(&world).await, "nobody kills the first life");
        world.kill(BANK2).await;
        // It comes back with nothing reserved: the first payment reserves, and uses the reservation's first hint.
        world.open(BANK2, settings(), Some(units)).await;
        let desk = world.desk(BANK2);
        let lived = pay_until_killed(&world).await
            // On into what is reserved next.
            && use_up_the_reservation(&desk).await
            && pay_until_killed(&world).await;
        drop(desk);
        world.kill(BANK2).await;
        world.open(BANK2, settings(), None).await;
        settle(&world).await;
        assert!(pay_until_killed(&world).await, "killed after {units} units: it does not pay any more");
        let by_hint = envelopes_by_hint(&world);
        for (hint, envelopes) in &by_hint {
            assert_eq!(envelopes.len(), 1, "killed after {units} units: {hint:?} stands on {envelopes:?}");
        }
        if lived {
            assert!(by_hint.len() >= 4 && units > 8, "{} envelopes, {units} units", by_hint.len());
            return;
        }
        assert!(units < 100, "no life is long enough");
    }
}
