//! A submitter that signs two bundles for one slot of its lane, and gives them to two nodes at once (B-3).
//!
//! Which of the two is certified is the acks' doing, and with half of the acks each neither is: the slot is dead then,
//! and the lane goes on in its next incarnation. What never happens is that both are.

use crate::cluster::*;
use crate::double_spend::bundle_key;
use ledger_types::bundle::{Bundle, BundleHeader, Slot};
use ledger_types::coin::{coin_link, issue_origin};
use ledger_types::envelope::{Envelope, Spend};
use ledger_types::keys::Signature;
use ledger_types::{Encode, ParticipantNumber, Reader};
use ledger_verify::Trust;
use node_api::{Client, ClientError, ledger};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

const ROUNDS: u32 = 6;
const PER_BUNDLE: u32 = 3;
/// Of a bundle that a quorum acks; a slot that is silent for longer counts as dead, which no assertion relies on.
const ORDERED_WITHIN: Duration = Duration::from_secs(4);
const LANES: [(u16, [&str; 2]); 3] = [(2, ["bank3", "bank4"]), (3, ["bank4", "central-bank"]), (4, ["bank2", "bank3"])];

/// Pre-issued coins of this bank, one an envelope: no two envelopes of the test conflict.
fn spends(trust: &Trust, bank: u16, coins: std::ops::Range<u32>) -> Vec<Envelope> {
    let (chain, genesis) = (trust.chain(), trust.genesis());
    let submitter = ParticipantNumber(bank);
    let at = genesis.preissues.iter().position(|line| line.bank == submitter).unwrap();
    let before: u64 = genesis.preissues[..at].iter().map(|line| u64::from(line.count)).sum();
    let made = coins.map(|index| {
        let opening = genesis.preissues[at].opening(chain, genesis.currency, index);
        let origin = issue_origin(chain, genesis.preissues[at].series, before + u64::from(index));
        let link = coin_link(chain, &origin, 0, &opening.note(chain));
        crate::double_spend::noisy(trust, submitter, Spend { link, kappa: opening.kappa(chain) }, index, bank as u8)
    });
    made.collect()
}

async fn give(node: &Client, bundle: &Bundle) -> bool {
    match node.submit_bundle(bundle.to_bytes()).await {
        Ok(_) => true,
        // The other node's bundle was here first.
        Err(ClientError::Refused(problem)) if problem.status == 409 => false,
        Err(error) => panic!("{error}"),
    }
}

/// The header and whether the submitter signed it.
fn signed_header(trust: &Trust, bytes: &str) -> BundleHeader {
    let bytes = hex::decode(bytes).unwrap();
    let mut reader = Reader::new(&bytes);
    let header: BundleHeader = reader.read().unwrap();
    let signature: Signature = reader.read().unwrap();
    reader.end().unwrap();
    let line = trust.genesis().directory.get(header.slot.submitter).unwrap();
    assert!(line.keys.bundle.verify(&header.digest(trust.chain()).0, &signature), "evidence is signed");
    header
}

/// Slots of which some node shows two signed headers, with both digests.
async fn evidence(cluster: &Cluster) -> BTreeMap<Slot, BTreeSet<String>> {
    let chain = cluster.trust().chain();
    let mut slots: BTreeMap<Slot, BTreeSet<String>> = BTreeMap::new();
    for node in VALIDATORS {
        let pieces: Vec<ledger::Evidence> = cluster.client(node).get("/v1/evidence").await.unwrap();
        for piece in pieces {
            assert_eq!(piece.what, "bundle slot");
            let [first, second] = [&piece.first, &piece.second].map(|bytes| signed_header(cluster.trust(), bytes));
            assert_eq!(first.slot, second.slot);
            assert_eq!(first.slot.submitter.0, piece.validator);
            let slot = first.slot;
            let digests = [first, second].map(|header| header.digest(chain).to_string());
            assert_ne!(digests[0], digests[1], "two different things");
            slots.entry(slot).or_default().extend(digests);
        }
    }
    slots
}

#[tokio::test]
async fn a_reused_lane_slot_gets_no_second_certificate_and_leaves_evidence() {
    let mut cluster = Cluster::up(114, 100).await;
    let chain = *cluster.trust().chain();
    // Both bundles were taken by a node.
    let mut reused: Vec<(Slot, [String; 2])> = Vec::new();
    let mut outcomes = BTreeMap::new();
    for (bank, through) in LANES {
        let key = bundle_key(&cluster, &format!("bank{bank}"));
        let nodes = through.map(|name| cluster.client(name));
        for round in 0..ROUNDS {
            let lane = nodes[0].lane(bank).await.unwrap();
            let submitter = ParticipantNumber(bank);
            let slot = Slot { submitter, incarnation: lane.incarnation, sequence: lane.sequence };
            let start = 2 * PER_BUNDLE * round;
            let bundles = [start, start + PER_BUNDLE].map(|start| {
                let envelopes = spends(cluster.trust(), bank, start..start + PER_BUNDLE);
                Bundle::sign(&chain, slot, envelopes, &key).unwrap()
            });
            let taken = tokio::join!(give(&nodes[0], &bundles[0]), give(&nodes[1], &bundles[1]));
            assert_ne!(taken, (false, false), "one was first");
            if taken == (true, true) {
                reused.push((slot, [0, 1].map(|which| bundles[which].digest().to_string())));
            }
            let observer = cluster.client("observer");
            let started = Instant::now();
            let mut winner = None;
            while winner.is_none() && started.elapsed() < ORDERED_WITHIN {
                for (which, bundle) in bundles.iter().enumerate() {
                    if observer.envelope(&bundle.ids()[0].to_string()).await.is_ok() {
                        winner = Some(which);
                    }
                }
                tokio::time::sleep(Duration::from_millis(25)).await;
            }
            *outcomes.entry((taken, winner)).or_insert(0) += 1;
            if winner.is_none() {
                // A dead slot. The lane's own node passes it by when it has something to say: below.
                break;
            }
        }
    }
    eprintln!("who was taken and who won: {outcomes:?}");
    assert!(!reused.is_empty(), "no slot was ever reused: {outcomes:?}");

    wait_until(30, "evidence of every reused slot", async || {
        let evidence = evidence(&cluster).await;
        reused.iter().all(|(slot, digests)| evidence.get(slot).is_some_and(|of| digests.iter().all(|d| of.contains(d))))
    })
    .await;
    // Lanes with a dead slot go on too: their own nodes pay, and registration confirms.
    for (bank, payee) in [("bank2", "bank3"), ("bank3", "bank4"), ("bank4", "bank2")] {
        let client = cluster.client(bank);
        let paid = client.pay(&payment("vault", &format!("vault@{payee}"), 10, "")).await.unwrap();
        reached(&client, &paid.id, "confirmed", 60).await;
    }

    // In all blocks every slot stands once, and of two bundles for one slot at most one was ordered.
    wait_until(30, "one height, one hash", async || cluster.same_tip().await.is_some()).await;
    cluster.kill("observer");
    let ordered = ordered_bundles(&cluster.observers_ledger());
    let mut held = BTreeMap::new();
    for (_, bundle) in &ordered {
        assert_eq!(held.insert(bundle.slot(), bundle.digest().to_string()), None, "{:?} stands twice", bundle.slot());
    }
    for (slot, digests) in &reused {
        let anywhere = ordered.iter().filter(|(_, bundle)| digests.contains(&bundle.digest().to_string())).count();
        assert!(anywhere <= 1, "both bundles of {slot:?} were ordered");
    }
}
