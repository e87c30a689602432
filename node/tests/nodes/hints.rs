//! Hints never repeat, whenever a bank dies between reserving counters and using them (rule E).

use crate::cluster::*;
use ledger_types::EnvelopeHint;
use ledger_types::ParticipantNumber;
use node_api::{Client, ClientError, desk};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::collections::BTreeMap;
use std::time::Duration;

const KILLS: u32 = 16;
const BANK2: ParticipantNumber = ParticipantNumber(2);
/// A kill comes within this after the first payment of the bank's new life is taken: a payment is sealed within some
/// ms, the first one of a life behind the reservation that the life begins with.
const DIES_WITHIN: Duration = Duration::from_millis(120);

/// Payments to two banks and within the own one, so that three channels reserve and seal. The caller asks again under
/// the same keys until the bank answers.
async fn take_payments(bank: &Client, keys: &[String]) -> Vec<desk::Payment> {
    let batch: Vec<desk::NewPayment> = (0..)
        .zip(keys)
        .map(|(index, key)| {
            let to = ["vault@bank3", "vault@bank4", "alice@bank2"][index % 3];
            desk::NewPayment { idempotency_key: Some(key.clone()), ..payment("vault", to, 10, "") }
        })
        .collect();
    let mut taken = Vec::new();
    wait_until(60, "the bank takes payments", async || match bank.post("/v1/payments/batch", &batch).await {
        Ok(payments) => {
            taken = payments;
            true
        }
        Err(ClientError::Unreachable { .. }) => false,
        Err(refused) => panic!("{refused}"),
    })
    .await;
    taken
}

#[tokio::test]
async fn hints_never_repeat_over_sixteen_deaths_of_a_bank_that_seals() {
    let seed = rand::random();
    eprintln!("seed {seed}");
    let mut moments = StdRng::seed_from_u64(seed);
    let mut cluster = Cluster::up(115, 1_000).await;
    let bank2 = cluster.client("bank2");
    wallet(&bank2, "alice").await;
    let mut paid = Vec::new();
    for life in 0..=KILLS {
        let keys: Vec<String> = (0..12).map(|number| format!("payment {number} of life {life}")).collect();
        let taken = take_payments(&bank2, &keys).await;
        paid.extend(taken.iter().map(|payment| payment.id.clone()));
        if life == KILLS {
            break;
        }
        // The moment is what this test varies; nothing is awaited by it.
        tokio::time::sleep(moments.gen_range(Duration::ZERO..DIES_WITHIN)).await;
        cluster.kill("bank2");
        cluster.start("bank2");
    }
    for id in &paid {
        reached(&bank2, id, "ordered", 120).await;
    }
    wait_until(30, "one height, one hash", async || cluster.same_tip().await.is_some()).await;

    // Refused envelopes and those that were sealed anew for the same payment count too: all that any block holds.
    cluster.kill("observer");
    let ordered = ordered_bundles(&cluster.observers_ledger());
    let mut hints: BTreeMap<EnvelopeHint, _> = BTreeMap::new();
    let chain = *cluster.trust().chain();
    for (height, bundle) in &ordered {
        for envelope in bundle.envelopes().iter().filter(|envelope| envelope.submitter() == BANK2) {
            let id = envelope.id(&chain);
            // After a restart the same envelope may be submitted again, to the byte.
            if let Some((other, at)) = hints.insert(envelope.header.core.hint, (id, *height)) {
                assert_eq!(other, id, "two envelopes have one hint, at heights {at} and {height}");
            }
        }
    }
    assert!(hints.len() >= paid.len(), "{} hints of {} payments", hints.len(), paid.len());
    cluster.start("observer");
    for id in &paid {
        reached(&bank2, id, "confirmed", 60).await;
    }
}
