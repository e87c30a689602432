//! Disks that are lost while the others run (B-9): `state` holds only what can be fetched again, and a guard that is lost with it
//! mutes its keys until an operator has made it anew and the node has caught up.

use crate::cluster::*;
use node_api::desk;
use std::process::Command;

/// Pays within bank 2, once, to the end: one bundle of its lane at least.
async fn pay(cluster: &Cluster) {
    let bank2 = cluster.client("bank2");
    let paid: desk::Payment = bank2.pay(&payment("vault", "alice@bank2", 10, "")).await.unwrap();
    reached(&bank2, &paid.id, "ordered", 60).await;
}

pub async fn height(cluster: &Cluster, name: &str) -> u64 {
    cluster.client(name).status().await.unwrap().height
}

/// Whether bank 4's precommit stands in a commit certificate of these heights, as the others keep them.
pub async fn bank4_signed(cluster: &Cluster, heights: std::ops::RangeInclusive<u64>) -> bool {
    for height in heights {
        let block: node_api::ledger::Block =
            cluster.client("bank2").get(&format!("/v1/blocks/{height}")).await.unwrap();
        if block.signers.contains(&4) {
            return true;
        }
    }
    false
}

/// With bank 3 gone, three of four are a quorum: what is ordered now needs bank 4's vote, and bank 4's ack of the bundle.
async fn bank4_is_needed_and_serves(cluster: &mut Cluster) {
    cluster.kill("bank3");
    let before = height(cluster, "bank2").await;
    pay(cluster).await;
    let after = height(cluster, "bank2").await;
    assert!(after > before && bank4_signed(cluster, before + 1..=after).await);
    cluster.start("bank3");
    cluster.ready().await;
}

fn log(cluster: &Cluster, name: &str) -> String {
    std::fs::read_to_string(cluster.folder(name).join("log")).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn emptied_states_join_again_and_lost_guards_mute_until_they_are_renewed() {
    let mut cluster = Cluster::up(111, 400).await;
    wallet(&cluster.client("bank2"), "alice").await;
    for _ in 0..5 {
        pay(&cluster).await;
    }

    // The state of an observer and of a validator is lost, their keys and guards are not.
    for name in ["observer", "bank4"] {
        cluster.kill(name);
        std::fs::remove_dir_all(cluster.folder(name).join("state")).unwrap();
        pay(&cluster).await;
        cluster.start(name);
    }
    for _ in 0..5 {
        pay(&cluster).await;
    }
    cluster.ready().await;
    bank4_is_needed_and_serves(&mut cluster).await;

    // The guards, too.
    cluster.kill("bank4");
    std::fs::remove_dir_all(cluster.folder("bank4").join("state")).unwrap();
    let keys = cluster.folder("bank4").join("keys");
    for guard in ["votes.guard", "acks.guard", "cosign.guard"] {
        std::fs::remove_file(keys.join(guard)).unwrap();
    }
    cluster.start("bank4");
    // A height that was under way when it was killed may have its vote; a payment made since is in a later one.
    pay(&cluster).await;
    let before = height(&cluster, "bank2").await;
    for _ in 0..10 {
        pay(&cluster).await;
    }
    cluster.ready().await;
    assert!(!keys.join("votes.guard").exists() && !keys.join("acks.guard").exists(), "no starting node makes a guard");
    assert!(log(&cluster, "bank4").contains("this node does not vote"));
    let muted = before + 1..=height(&cluster, "bank2").await;
    assert!(muted.clone().count() >= 10 && !bank4_signed(&cluster, muted).await, "bank 4 follows and does not vote");

    // An operator makes them anew.
    cluster.kill("bank4");
    let renewed = Command::new(env!("CARGO_BIN_EXE_assay-node"))
        .args(["guards", "renew", "--config"])
        .arg(cluster.folder("bank4").join("node.toml"))
        .output()
        .unwrap();
    assert!(renewed.status.success(), "{}", String::from_utf8_lossy(&renewed.stderr));
    assert!(["votes.guard", "acks.guard", "cosign.guard"].iter().all(|guard| keys.join(guard).exists()));
    cluster.start("bank4");
    let restarted = height(&cluster, "bank2").await + 1;
    wait_until(60, "bank 4's vote is counted again", async || {
        pay(&cluster).await;
        bank4_signed(&cluster, restarted..=height(&cluster, "bank2").await).await
    })
    .await;
    wait_until(60, "bank 4's ack guard begins", async || {
        pay(&cluster).await;
        log(&cluster, "bank4").contains("the renewed ack guard begins")
    })
    .await;
    // Behind the window that was open then, bank 4 acks.
    let floor = cluster.client("bank2").lane(2).await.unwrap();
    let mut now = floor.clone();
    while now.incarnation == floor.incarnation && now.sequence <= floor.sequence + 8 {
        pay(&cluster).await;
        now = cluster.client("bank2").lane(2).await.unwrap();
    }
    assert_eq!(now.incarnation, floor.incarnation, "nothing was passed by");
    cluster.ready().await;
    bank4_is_needed_and_serves(&mut cluster).await;
}
