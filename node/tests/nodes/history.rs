//! Nodes that keep no more history than somebody still needs (`kept_days = 0`): what was acknowledged stays in the state.

use crate::cluster::*;
use crate::joining::{SNAPSHOT, copy_folder, grow};
use node_api::{Client, ClientError, desk, ledger};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const VALIDATORS: [&str; 4] = ["central-bank", "bank2", "bank3", "bank4"];

fn ledger_of(cluster: &Cluster, name: &str) -> std::path::PathBuf {
    cluster.folder(name).join("state/ledger")
}

/// Everything stands still, and the chain is long enough for its first snapshot to be offered.
fn stop_and_grow(cluster: &mut Cluster) {
    for name in cluster.names().iter().filter(|name| *name != "observer") {
        cluster.kill(name);
    }
    let grown = ledger_of(cluster, "bank2");
    grow(cluster, &grown);
    for name in VALIDATORS {
        std::fs::remove_dir_all(cluster.folder(name).join("state/engine")).unwrap();
        if name != "bank2" {
            std::fs::remove_dir_all(ledger_of(cluster, name)).unwrap();
            copy_folder(&grown, &ledger_of(cluster, name));
        }
    }
}

async fn first_height(cluster: &Cluster, name: &str) -> u64 {
    cluster.client(name).status().await.unwrap().first_height
}

async fn refusal<T: serde::de::DeserializeOwned>(client: &Client, path: &str) -> (u16, String) {
    match client.get::<T>(path).await {
        Err(ClientError::Refused(problem)) => (problem.status, problem.code),
        Err(other) => panic!("{path}: {other:?}"),
        Ok(_) => panic!("{path} is answered"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_under_load_let_go_of_what_nobody_needs_and_of_nothing_that_was_acknowledged() {
    let mut cluster = Cluster::init(139, 400);
    for name in NODES {
        cluster.edit_config(name, "[desk]", "[history]\nkept_days = 0\n\n[desk]");
    }
    cluster.edit_config("observer", "begins_from = \"blocks\"", "begins_from = \"snapshot\"");
    for name in cluster.names().iter().filter(|name| *name != "observer") {
        cluster.start(name);
    }
    cluster.ready().await;
    let bank2 = cluster.client("bank2");
    let mut early: Vec<desk::Payment> = Vec::new();
    for _ in 0..3 {
        let paid = bank2.pay(&payment("vault", "vault@bank3", 10, "")).await.unwrap();
        early.push(reached(&bank2, &paid.id, "confirmed", 60).await);
    }
    wait_until(60, "nothing is under way", async || {
        for name in VALIDATORS {
            let status = cluster.client(name).status().await.unwrap();
            if status.unordered_bundles + status.certified_bundles > 0 {
                return false;
            }
        }
        cluster.same_tip().await.is_some()
    })
    .await;
    // The chain is short: nobody could begin at a snapshot, so everything is kept.
    assert_eq!(first_height(&cluster, "bank2").await, 1);

    stop_and_grow(&mut cluster);
    for name in cluster.names().iter().filter(|name| *name != "observer") {
        cluster.start(name);
    }
    cluster.ready().await;
    let stop = Arc::new(AtomicBool::new(false));
    let paying = pay_until(stop.clone(), cluster.client("bank2"));
    wait_until(240, "every validator has let go of what came before the snapshot that it serves", async || {
        cluster.nobody_has_ended();
        for name in VALIDATORS {
            if first_height(&cluster, name).await != SNAPSHOT {
                return false;
            }
        }
        true
    })
    .await;
    stop.store(true, Ordering::Relaxed);
    let taken = paying.await.unwrap();
    for paid in &taken {
        reached(&bank2, &paid.id, "confirmed", 60).await;
    }

    // A node from nothing joins by what pruned nodes serve, and follows.
    cluster.start("observer");
    cluster.ready().await;
    let status = cluster.client("observer").status().await.unwrap();
    assert_eq!((status.joined_at, status.first_height), (Some(SNAPSHOT), SNAPSHOT + 1));
    for paid in early.iter().chain(&taken) {
        let coin = reached(&bank2, &paid.id, "confirmed", 60).await.coin.expect("a confirmed payment names its coin");
        wait_until(60, "the joined node proves the coin as bank 2 does", async || {
            let here = cluster.verified_coin("bank2", &coin).await.map(|coin| format!("{:?}", coin.answer()));
            let there = cluster.verified_coin("observer", &coin).await.map(|coin| format!("{:?}", coin.answer()));
            here.is_some() && here == there
        })
        .await;
    }

    let envelope = |paid: &desk::Payment| paid.envelope_id.clone().unwrap();
    let not_held = (404, "not_held".to_owned());
    for (name, first) in [("bank2", SNAPSHOT), ("observer", SNAPSHOT + 1)] {
        let client = cluster.client(name);
        for height in [1, 5, first - 1] {
            assert_eq!(refusal::<ledger::Block>(&client, &format!("/v1/blocks/{height}")).await, not_held);
        }
        let _: ledger::Block = client.get(&format!("/v1/blocks/{first}")).await.unwrap();
        for paid in &early {
            let path = format!("/v1/envelopes/{}", envelope(paid));
            assert_eq!(refusal::<ledger::EnvelopeStatus>(&client, &path).await, not_held);
            let path = format!("{path}/content");
            assert_eq!(refusal::<ledger::EnvelopeContent>(&client, &path).await, not_held);
        }
        let metrics = client.get_text("/metrics").await.unwrap();
        assert!(metrics.contains(&format!("\nassay_first_height {first}\n")));
    }
    for paid in &taken {
        let paid = reached(&bank2, &paid.id, "confirmed", 60).await;
        assert!(cluster.acknowledged("observer", &envelope(&paid)).await.is_some());
    }
}
