//! Registration dies, stops, and is late: every payment is confirmed once, and payments in confirmed coins go on.

use crate::cluster::*;
use ledger_types::block::Acknowledgement;
use ledger_types::confirmation::{Record, RecordStatus};
use ledger_types::log_leaf::LogLeaf;
use ledger_types::{CoinId, Decode, ParticipantNumber};
use ledger_verify::Answer;
use node_api::{desk, ledger};
use std::collections::{BTreeMap, BTreeSet};

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
    batches_are_without_gaps(&cluster).await;
    live_coins(&cluster, &coins).await;

    // Registration stopped: what is confirmed is paid on, and waits for it.
    cluster.kill("registration");
    let before = bank2.registry().await.unwrap().batch;
    let mut waiting = Vec::new();
    for _ in 0..5 {
        for id in pay_eight().await {
            let settled = reached(&bank2, &id, "settled", 60).await;
            assert_eq!(settled.state, "settled", "nobody confirms without registration");
            waiting.push(id);
        }
    }
    assert_eq!(bank2.registry().await.unwrap().batch, before);
    cluster.start("registration");
    let mut backlog = Vec::new();
    for id in &waiting {
        backlog.push(reached(&bank2, id, "confirmed", 60).await);
    }
    let coins: BTreeSet<String> = backlog.iter().map(|payment| payment.coin.clone().unwrap()).collect();
    assert_eq!(cluster.settled_wealth(&BANKS, 60).await, wealth);
    batches_are_without_gaps(&cluster).await;
    live_coins(&cluster, &coins).await;

    // Registration drains in the order in which the ledger took the payments, over its deaths and its backlog: no payment is in
    // an earlier batch than one before it. Within a batch the coins' ids give the order.
    let mut lines = live_lines(&mut cluster, &[confirmed, backlog].concat()).await;
    lines.sort_unstable_by_key(|line| line.ordered);
    assert!(lines.is_sorted_by_key(|line| line.batch), "{lines:?}");
    assert!(lines[0].batch < lines[lines.len() - 1].batch, "one batch took them all: its order says nothing");
}

/// Where a payment stands on the ledger and in the log.
#[derive(Debug)]
struct LogLine {
    /// Height, and the place among its results.
    ordered: (u64, u32),
    batch: u64,
}

/// Each output of these payments has one line in the public log that makes it live, and no other but that of its being spent;
/// read from the observer's own ledger, all of it.
async fn live_lines(cluster: &mut Cluster, payments: &[desk::Payment]) -> Vec<LogLine> {
    let observer = cluster.client("observer");
    let mut outputs = Vec::new();
    for payment in payments {
        let envelope = payment.envelope_id.as_ref().unwrap();
        let status = observer.envelope(envelope).await.unwrap();
        let acknowledgement = Acknowledgement::from_bytes(&hex::decode(&status.acknowledgement).unwrap()).unwrap();
        let content: ledger::EnvelopeContent =
            observer.get(&format!("/v1/envelopes/{envelope}/content")).await.unwrap();
        assert_eq!(content.outputs.len(), 2, "the payee's coin and the change");
        outputs.push(((status.height, acknowledgement.index), content.outputs));
    }
    let newest = cluster.client("central-bank").registry().await.unwrap().batch;
    wait_until(30, "the observer has the last batch", async || observer.registry().await.unwrap().batch >= newest)
        .await;

    cluster.kill("observer");
    let leaves = leaves_by_coin(cluster);
    cluster.start("observer");
    cluster.ready().await;
    let mut lines = Vec::new();
    for (ordered, outputs) in outputs {
        let mut batches = BTreeSet::new();
        for output in outputs {
            let records = leaves.get(&CoinId::parse(&output.coin).unwrap()).map_or(&[][..], Vec::as_slice);
            let live: Vec<_> = records.iter().filter(|record| record.status == RecordStatus::Live).collect();
            assert_eq!(live.len(), 1, "{}: {records:?}", output.coin);
            let spent = records.iter().filter(|record| record.status == RecordStatus::Spent).count();
            assert!(spent <= 1 && live.len() + spent == records.len(), "{}: {records:?}", output.coin);
            batches.insert(live[0].batch.0);
        }
        assert_eq!(batches.len(), 1, "an envelope's records are never split (R-2)");
        lines.push(LogLine { ordered, batch: batches.pop_first().expect("one") });
    }
    lines
}

/// The public log of the observer, which must not run.
fn leaves_by_coin(cluster: &Cluster) -> BTreeMap<CoinId, Vec<Record>> {
    let store = cluster.observers_ledger();
    let readers = store.readers();
    let snapshot = readers.snapshot().unwrap();
    let mut records: BTreeMap<CoinId, Vec<Record>> = BTreeMap::new();
    for index in 0..snapshot.tip().ledger.log_size {
        let leaf = snapshot.log_leaf(index).unwrap().expect("the log is whole");
        if let LogLeaf::Record { coin, record } = LogLeaf::from_bytes(&leaf).unwrap() {
            records.entry(coin).or_default().push(record);
        }
    }
    records
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
