//! Nodes that die and come back lose nothing that was acknowledged (invariant 7, B-8, B-9).

use crate::cluster::*;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

/// Pays without a pause until it is told to stop, and keeps what was acknowledged: envelope and height.
async fn load(
    payer: node_api::Client,
    nodes: Vec<node_api::Client>,
    trust: ledger_verify::Trust,
    acknowledged: Arc<Mutex<Vec<(String, u64)>>>,
    stop: Arc<AtomicBool>,
) -> u64 {
    let mut paid = 0;
    while !stop.load(Ordering::Relaxed) {
        let batch: Vec<_> = (0..8).map(|_| payment("vault", "vault@bank3", 10, "")).collect();
        let payments: Vec<node_api::desk::Payment> = payer.post("/v1/payments/batch", &batch).await.unwrap();
        for started in payments {
            let ordered = reached(&payer, &started.id, "ordered", 60).await;
            paid += 1;
            let envelope = ordered.envelope_id.expect("an ordered payment has an envelope");
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_validator_killed_twenty_times_under_load_loses_no_acknowledged_envelope() {
    let mut cluster = Cluster::up(102, 3_000).await;
    let acknowledged = Arc::new(Mutex::new(Vec::new()));
    let stop = Arc::new(AtomicBool::new(false));
    let nodes = ["bank4", "bank2", "observer"].map(|name| cluster.client(name)).to_vec();
    let load =
        tokio::spawn(load(cluster.client("bank2"), nodes, cluster.trust().clone(), acknowledged.clone(), stop.clone()));
    for kill in 0..20 {
        // Under load: since the last kill, more was acknowledged, and the victim takes part again.
        let before = acknowledged.lock().unwrap().len();
        wait_until(60, "more is acknowledged, and bank 4 follows the others", async || {
            assert!(!load.is_finished(), "the load ended before kill {kill}");
            let (Ok(victim), Ok(other)) =
                (cluster.client("bank4").status().await, cluster.client("bank2").status().await)
            else {
                return false;
            };
            acknowledged.lock().unwrap().len() > before && victim.height + 5 >= other.height
        })
        .await;
        cluster.kill("bank4");
        cluster.start("bank4");
    }
    stop.store(true, Ordering::Relaxed);
    let paid = load.await.unwrap();
    cluster.ready().await;
    let acknowledged = acknowledged.lock().unwrap().clone();
    assert!(paid >= 160 && acknowledged.len() as u64 >= paid);
    // Every one is accepted on every node, at the height that was acknowledged.
    for node in NODES {
        for (envelope, height) in &acknowledged {
            let accepted = cluster.acknowledged(node, envelope).await;
            assert_eq!(accepted.map(|accepted| accepted.height().0), Some(*height), "{envelope} at {node}");
        }
    }
    // And it votes again: without it, or without another, three of four are a quorum.
    cluster.kill("bank3");
    let before = cluster.client("bank4").status().await.unwrap().height;
    let bank2 = cluster.client("bank2");
    bank2.pay(&payment("vault", "vault@bank4", 10, "")).await.unwrap();
    wait_until(30, "a height that needs bank 4's vote", async || {
        cluster.client("bank4").status().await.is_ok_and(|status| status.height > before)
    })
    .await;
}
