//! What must hold at the end of every run, when nothing is faulty any more.

use crate::cluster::{Cluster, NODES, VALIDATORS, reached, wait_until};
use crate::evidence;
use crate::load::Paid;
use crate::record::Counts;
use futures::future::join_all;
use ledger_types::Decode;
use ledger_verify::{Answer, StateProof, verify_supply};
use node_api::ledger;
use std::time::{Duration, Instant};

/// Conditions have generous limits: other work may hold the machine. What was measured is reported as it was.
const WITHIN_S: u64 = 240;

/// What no fault may change: minor units issued, redeemed, and in the banks' wallets together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Money {
    issued: u128,
    redeemed: u128,
    in_wallets: u64,
}

const BANKS: [&str; 3] = ["bank2", "bank3", "bank4"];

/// The supply is verified from the genesis; the wallets are what the banks' desks say. Waits until nothing is under way.
pub async fn money(cluster: &Cluster) -> Money {
    let in_wallets = cluster.settled_wealth(&BANKS, WITHIN_S).await;
    let observer = cluster.client("observer");
    let mut money = None;
    wait_until(WITHIN_S, "the observer proves the supply", async || {
        let Ok(answer) = observer.get::<ledger::Supply>("/v1/supply").await else { return false };
        let proof = StateProof::from_bytes(&hex::decode(&answer.proof).unwrap()).unwrap();
        let verified = verify_supply(cluster.trust(), &proof, node::clock::now_ms()).verified();
        let supply = verified.expect("a supply that is served verifies");
        money = Some(Money { issued: supply.issued(), redeemed: supply.redeemed(), in_wallets });
        true
    })
    .await;
    money.expect("the wait ends with the supply")
}

/// All processes run, the load has stopped. Panics at the first thing that does not hold; counts envelopes that a node has lost and
/// panics for them last. `accused` is the one who was made to sign twice.
pub async fn check(cluster: &mut Cluster, before: Money, paid: &Paid, accused: Option<u16>, counts: &mut Counts) {
    wait_until(WITHIN_S, "one height with one hash on every node, and every validator votes", async || {
        cluster.nobody_has_ended();
        for name in VALIDATORS {
            let Ok(status) = cluster.client(name).status().await else { return false };
            if !status.votes {
                return false;
            }
        }
        cluster.same_tip().await.is_some()
    })
    .await;

    // Every payment that a bank took goes its way to the end, and no money came or went.
    for (bank, id) in &paid.payments {
        reached(&cluster.client(bank), id, "confirmed", WITHIN_S).await;
    }
    assert_eq!(money(cluster).await, before, "money is neither made nor lost");

    // Nobody else has signed two things for one place.
    for node in NODES {
        for piece in evidence::held(&cluster.client(node)).await.unwrap() {
            assert_eq!(Some(piece.validator), accused, "{node} holds evidence: {piece:?}");
            evidence::prove(cluster.trust(), &piece);
        }
    }

    // What the public reads: the newest coin that a payee got, proved by the observer.
    let (bank, id) = paid.payments.last().expect("something was paid");
    let coin =
        reached(&cluster.client(bank), id, "confirmed", WITHIN_S).await.coin.expect("a confirmed payment has one");
    wait_until(WITHIN_S, "the observer proves a coin that was paid", async || {
        let verified = cluster.verified_coin("observer", &coin).await;
        verified.is_some_and(|verified| matches!(verified.answer(), Answer::Present(_)))
    })
    .await;

    counts.set("acknowledged", paid.acknowledged.len() as u64);
    let cluster = &*cluster;
    let at_nodes = join_all(NODES.map(|node| async move {
        let (client, mut verified, mut lost) = (cluster.client(node), 0, Vec::new());
        for (envelope, height) in &paid.acknowledged {
            let mut accepted = None;
            wait_until(WITHIN_S, &format!("{node} answers about {envelope}"), async || {
                let Ok(answer) = cluster.answer_about(&client, envelope).await else { return false };
                accepted = answer;
                true
            })
            .await;
            match accepted.filter(|accepted| accepted.height().0 == *height) {
                Some(_) => verified += 1,
                None => lost.push(format!("{envelope} of height {height} at {node}")),
            }
        }
        (verified, lost)
    }))
    .await;
    counts.set("verified", at_nodes.iter().map(|(verified, _)| *verified).min().unwrap_or_default());
    let lost: Vec<&String> = at_nodes.iter().flat_map(|(_, lost)| lost).collect();
    counts.set("lost", lost.len() as u64);
    assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
}

/// How long the node takes from now until it answers with a height that the highest of the others has now, and votes if it is a
/// validator.
pub async fn rejoined(cluster: &mut Cluster, name: &str, since: Instant) -> Duration {
    let mut target = 0;
    for other in NODES {
        if let Ok(status) = cluster.client(other).status().await {
            target = target.max(status.height);
        }
    }
    wait_until(WITHIN_S, &format!("{name} is back at height {target}"), async || {
        cluster.nobody_has_ended();
        let Ok(status) = cluster.client(name).status().await else { return false };
        status.height >= target && (status.votes || !VALIDATORS.contains(&name))
    })
    .await;
    since.elapsed()
}
