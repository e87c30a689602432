//! Registration dies, stops, and is late: every payment is confirmed once, and payments in confirmed coins go on.

use crate::cluster::*;
use ledger_types::ParticipantNumber;
use ledger_types::confirmation::RecordStatus;
use ledger_verify::Answer;
use node_api::{desk, ledger};
use std::collections::BTreeSet;

const BANKS: [&str; 3] = ["bank2", "bank3", "bank4"];
const COINS_PER_BANK: u32 = 500;

#[tokio::test]
async fn registration_killed_ten_times_confirms_every_payment_once_and_payments_go_on_without_it() {
    let mut cluster = Cluster::up(107, COINS_PER_BANK).await;
    let bank2 = cluster.client("bank2");
    let wealth = 3 * u64::from(COINS_PER_BANK) * COIN_AMOUNT;
    assert_eq!(cluster.settled_wealth(&BANKS, 10).await, wealth);
    let mut ids = Vec::new();
    let pay_eight = async || {
        let batch: Vec<_> = (0..8).map(|_| payment("vault", "vault@bank3", 10, "")).collect();
        let started: Vec<desk::Payment> = bank2.post("/v1/payments/batch", &batch).await.unwrap();
        started.into_iter().map(|payment| payment.id).collect::<Vec<_>>()
    };
    for kill in 0..10 {
        let started = pay_eight().await;
        // At another step of its work each time: the payments are pending, ordered, settled or partly confirmed.
        let state = ["pending", "ordered", "settled", "confirmed"][kill % 4];
        if state != "pending" {
            reached(&bank2, &started[kill % 8], state, 60).await;
        }
        ids.extend(started);
        cluster.kill("registration");
        if kill % 3 == 0 {
            cluster.kill("confirmation-issuance");
            cluster.start("confirmation-issuance");
        }
        cluster.start("registration");
    }
    let mut confirmed = Vec::new();
    for id in &ids {
        confirmed.push(reached(&bank2, id, "confirmed", 60).await);
    }
    // Once: nothing is left unconfirmed, and nothing was made or lost.
    assert_eq!(cluster.settled_wealth(&BANKS, 60).await, wealth);
    let coins: BTreeSet<String> = confirmed.iter().map(|payment| payment.coin.clone().unwrap()).collect();
    assert_eq!(coins.len(), ids.len(), "every payment made a coin of its own");
    batches_are_without_gaps(&cluster).await;
    live_coins(&cluster, &coins).await;

    // Registration stopped: what is confirmed is paid on, and waits for it.
    cluster.kill("registration");
    let before = bank2.registry().await.unwrap().batch;
    let mut waiting = Vec::new();
    for _ in 0..3 {
        for id in pay_eight().await {
            let settled = reached(&bank2, &id, "settled", 60).await;
            assert_eq!(settled.state, "settled", "nobody confirms without registration");
            waiting.push(id);
        }
    }
    assert_eq!(bank2.registry().await.unwrap().batch, before);
    cluster.start("registration");
    let mut coins = BTreeSet::new();
    for id in &waiting {
        coins.insert(reached(&bank2, id, "confirmed", 60).await.coin.unwrap());
    }
    assert_eq!(coins.len(), waiting.len());
    assert_eq!(cluster.settled_wealth(&BANKS, 60).await, wealth);
    batches_are_without_gaps(&cluster).await;
    live_coins(&cluster, &coins).await;
}

/// The blocks hold as many accepted batches as the registry counts, and it counts every number once.
async fn batches_are_without_gaps(cluster: &Cluster) {
    let bank2 = cluster.client("bank2");
    let registry = bank2.registry().await.unwrap();
    let (mut batches, mut refused) = (0, 0);
    for height in 1..=registry.height {
        let block: ledger::Block = bank2.get(&format!("/v1/blocks/{height}")).await.unwrap();
        batches +=
            block.bundles.iter().filter(|bundle| bundle.submitter == ParticipantNumber::REGISTRATION.0).count() as u64;
        refused += u64::from(block.refused);
    }
    // A refused item is a batch that was submitted again after it had been accepted, or nothing.
    assert!(batches >= registry.batch && batches <= registry.batch + refused, "{batches} and {refused}, {registry:?}");
    assert!(registry.overdue.is_empty());
}

/// All of them are proved live by the observer.
async fn live_coins(cluster: &Cluster, coins: &BTreeSet<String>) {
    for coin in coins {
        wait_until(20, "the observer proves the coin live", async || {
            let Some(verified) = cluster.verified_coin("observer", coin).await else { return false };
            matches!(verified.answer(), Answer::Present(record) if record.status == RecordStatus::Live)
        })
        .await;
    }
}
