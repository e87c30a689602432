//! Nodes that die and come back lose nothing that was acknowledged (invariant 7, B-8, B-9).

use crate::cluster::*;
use node_api::{Client, ClientError, desk, ledger};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

/// A payer whose bank may die at any moment: it asks again under the same key until somebody answers, which pays once (E8).
async fn answered<T>(what: &str, mut ask: impl AsyncFnMut() -> Result<T, ClientError>) -> T {
    let mut answer = None;
    wait_until(60, what, async || match ask().await {
        Ok(given) => {
            answer = Some(given);
            true
        }
        Err(ClientError::Unreachable { .. }) => false,
        Err(refused) => panic!("{what}: {refused}"),
    })
    .await;
    answer.expect("the wait ends with an answer")
}

/// Pays without a pause until it is told to stop, and keeps what was acknowledged: envelope and height. Gives the payments
/// that the bank has taken.
async fn load(
    payer: Client,
    nodes: Vec<Client>,
    trust: ledger_verify::Trust,
    acknowledged: Arc<Mutex<Vec<(String, u64)>>>,
    stop: Arc<AtomicBool>,
) -> Vec<String> {
    let mut paid = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let number = paid.len();
        let batch: Vec<_> = (0..8)
            .map(|index| desk::NewPayment {
                idempotency_key: Some(format!("payment {}", number + index)),
                ..payment("vault", "vault@bank3", 10, "")
            })
            .collect();
        let payments: Vec<desk::Payment> =
            answered("the bank takes payments", async || payer.post("/v1/payments/batch", &batch).await).await;
        for started in payments {
            let path = format!("/v1/payments/{}?wait=ordered&timeout_ms=2000", started.id);
            let mut envelope = None;
            wait_until(60, "the payment is ordered", async || {
                // It was taken, so the bank must know it for ever.
                let now: desk::Payment = answered("the bank knows its payment", async || payer.get(&path).await).await;
                assert!(!matches!(now.state.as_str(), "refused" | "disputed"), "{now:?}");
                envelope = now.envelope_id.filter(|_| now.state != "pending");
                envelope.is_some()
            })
            .await;
            paid.push(started.id);
            let envelope = envelope.expect("an ordered payment has an envelope");
            // Whoever answers now, the one that is about to be killed too, must not take it back.
            for node in &nodes {
                let Ok(status) = node.envelope(&envelope).await else { continue };
                let accepted = verify_status(&trust, &status).verified().expect("an acknowledgement verifies");
                acknowledged.lock().unwrap().push((envelope.clone(), accepted.height().0));
            }
        }
    }
    paid
}

/// Whether a quorum's precommits for a height above this one include the validator's.
async fn has_voted_above(node: &Client, height: u64, validator: u16) -> bool {
    let Ok(tip) = node.status().await else { return false };
    for height in height + 1..=tip.height {
        let Ok(block) = node.get::<ledger::Block>(&format!("/v1/blocks/{height}")).await else { return false };
        if block.signers.contains(&validator) {
            return true;
        }
    }
    false
}

/// Each of the four in turn, the bank that submits the load among them.
#[tokio::test]
async fn validators_killed_twenty_times_under_load_lose_no_acknowledged_envelope() {
    tokio::task::LocalSet::new().run_until(kill_twenty_times_under_load()).await;
}

async fn kill_twenty_times_under_load() {
    let mut cluster = Cluster::up(102, 3_000).await;
    let acknowledged = Arc::new(Mutex::new(Vec::new()));
    let stop = Arc::new(AtomicBool::new(false));
    let nodes = NODES.map(|name| cluster.client(name)).to_vec();
    let load = tokio::task::spawn_local(load(
        cluster.client("bank2"),
        nodes,
        cluster.trust().clone(),
        acknowledged.clone(),
        stop.clone(),
    ));
    let observer = cluster.client("observer");
    let mut before = 0;
    for kill in 0..20 {
        let victim = VALIDATORS[kill % VALIDATORS.len()];
        // Under load: since the last kill more was acknowledged; and whoever was killed then follows the others again.
        wait_until(60, "more is acknowledged, and all nodes stand close to each other", async || {
            assert!(!load.is_finished(), "the load ended before kill {kill}");
            let mut heights = Vec::new();
            for name in NODES {
                let Ok(status) = cluster.client(name).status().await else { return false };
                heights.push(status.height);
            }
            let (lowest, highest) = (heights.iter().min().unwrap(), heights.iter().max().unwrap());
            acknowledged.lock().unwrap().len() > before && lowest + 5 >= *highest
        })
        .await;
        cluster.kill(victim);
        cluster.start(victim);
        before = acknowledged.lock().unwrap().len();
    }
    stop.store(true, Ordering::Relaxed);
    let paid = load.await.unwrap();
    cluster.ready().await;
    let acknowledged = acknowledged.lock().unwrap().clone();
    assert!(paid.len() >= 80 && acknowledged.len() >= paid.len(), "{} paid", paid.len());
    // Every one is accepted on every node, at the height that was acknowledged.
    for node in NODES {
        for (envelope, height) in &acknowledged {
            let accepted = cluster.acknowledged(node, envelope).await;
            assert_eq!(accepted.map(|accepted| accepted.height().0), Some(*height), "{envelope} at {node}");
        }
    }
    // The desk of the bank that died with them under way has lost none either.
    let bank2 = cluster.client("bank2");
    for id in &paid {
        reached(&bank2, id, "confirmed", 60).await;
    }
    // And all of them vote again: without the one that is down now, each of the other three is needed.
    for (down, payee, voters) in [("bank3", "vault@bank4", &[1, 2, 4][..]), ("bank4", "vault@bank3", &[3][..])] {
        cluster.kill(down);
        let before = observer.status().await.unwrap().height;
        bank2.pay(&payment("vault", payee, 10, "")).await.unwrap();
        for voter in voters {
            wait_until(30, &format!("a height with the vote of validator {voter}"), async || {
                has_voted_above(&observer, before, *voter).await
            })
            .await;
        }
        cluster.start(down);
        cluster.ready().await;
    }
}
