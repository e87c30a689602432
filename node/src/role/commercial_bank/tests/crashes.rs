//! The desk is killed after every single unit that it makes durable, and started again.

use super::world::*;
use crate::role::commercial_bank::job::State;
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
