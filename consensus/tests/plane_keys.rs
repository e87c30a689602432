//! Bundles whose signature does not verify under the directory's key: the key was replaced by a participant update, the
//! participant is new, or somebody lied.

use crate::plane_support;

use consensus::plane::wire::{Flow, Frame, HeldSlot, LaneReport, bundle_frame};
use consensus::port::{BundleStore, Tip};
use ledger_types::bundle::Bundle;
use ledger_types::keys::SigningKey;
use ledger_types::{Encode, List, ParticipantNumber};
use libp2p::Stream;
use libp2p::futures::AsyncWriteExt;
use plane_support::*;
use std::collections::BTreeSet;
use std::sync::Arc;

const P1: ParticipantNumber = ParticipantNumber(1);
const P4: ParticipantNumber = ParticipantNumber(4);

fn new_key() -> SigningKey {
    SigningKey::from_seed(&[0x77; 32])
}

/// The directory no longer holds the key with which `bundle` signs for the bank.
fn rotated(tip: &Tip) -> Tip {
    with_bundle_key(tip, BANK, &new_key())
}

async fn offer(bulk: &mut Stream, bundles: &[&Bundle]) {
    for bundle in bundles {
        bulk.write_all(&bundle_frame(bundle)).await.unwrap();
    }
    bulk.flush().await.unwrap();
}

/// Blocks go on naming what was certified before the update, and nodes that sync much later need it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certified_bundle_is_fetched_after_its_submitters_key_was_replaced() {
    let network = Network::new();
    let tip = rotated(&first_tip());
    let old = bundle(slot(BANK, 0, 0), 0..3);
    // Stored by a node that knew the old key, which starts again.
    FolderStore::open(&network.folder_of(2)).put(&[Arc::new(old.clone())]).unwrap();
    let second = network.start_at(2, tip.clone()).await;
    let third = network.start_at(3, tip.clone()).await;
    let certificate = certificate(&old, &[1, 2, 4]);
    let fetched = third.plane.fetch(std::slice::from_ref(&certificate), PATIENCE).await.unwrap();
    assert_eq!(fetched[0].ids(), old.ids());
    second.plane.stop().await;

    // It serves what it fetched, after a restart, too.
    third.plane.stop().await;
    drop(third);
    let third = network.start_at(3, tip.clone()).await;
    let late = network.start_at(1, tip.clone()).await;
    let fetched = late.plane.fetch(std::slice::from_ref(&certificate), PATIENCE).await.unwrap();
    assert_eq!(fetched[0].digest(), old.digest());
    assert_eq!(third.plane.metrics().bundles_served, 1);
    assert_eq!(late.refusals("fetched_other_bytes") + third.refusals("fetched_other_bytes"), 0);
    assert_eq!(late.plane.metrics().acks_sent, 0, "a quorum did that");
}

/// What a single peer names is believed only for its signature.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bundle_that_a_peer_reports_of_the_own_lane_is_not_stored_without_the_own_signature() {
    for forged in [
        bundle_of(slot(P1, 0, 0), 0..3, &bundle_key(P4)),
        // The report names the own lane; the digest is of a far slot of its own, which nothing would ever collect.
        bundle(slot(P4, 7, 9), 0..3),
    ] {
        is_not_stored(forged).await;
    }
}

async fn is_not_stored(forged: Bundle) {
    let network = Network::new();
    let node = network.start(1).await;
    let mut liar = Puppet::start(P4, &data_peer_key(P4), &[(peer_id(1), network.address(1))]);
    let mut wants = liar.accepted_from(Flow::Control, &[peer_id(1)]).await;
    let mut control = liar.greet(peer_id(1), Flow::Control).await;
    let mut bulk = liar.greet(peer_id(1), Flow::Bulk).await;
    let held = HeldSlot { slot: slot(P1, 0, 0), digest: forged.digest() };
    let report = LaneReport { incarnation: 0, next_sequence: 0, held: List::new(vec![held]).unwrap() };
    send(&mut control, &Frame::LaneReport(report)).await;
    let asked = expect(Flow::Control, wants.get_mut(&peer_id(1)).unwrap(), |frame| match frame {
        Frame::Want(digests) => Some(digests[0]),
        _ => None,
    })
    .await;
    send(&mut bulk, &Frame::Fetched(asked, forged.to_bytes().into())).await;
    until("it is refused", || node.refusals("fetched_other_bytes") == 1).await;
    assert!(!node.store.contains(&forged.digest()));
}

/// An honest node relays what it took under the directory of another height. It keeps its streams; the bundle gets no ack.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relayed_bundle_of_another_key_is_dropped_and_its_relayer_keeps_its_streams() {
    let network = Network::new();
    let node = network.start_at(1, rotated(&first_tip())).await;
    let mut relayer = Puppet::start(P4, &data_peer_key(P4), &[(peer_id(1), network.address(1))]);
    let mut bulk = relayer.greet(peer_id(1), Flow::Bulk).await;
    let replaced = bundle(slot(BANK, 0, 0), 0..3);
    let unknown = bundle(slot(ParticipantNumber(77), 0, 0), 0..1);
    let current = bundle_of(slot(BANK, 0, 0), 3..6, &new_key());
    offer(&mut bulk, &[&replaced, &unknown, &current]).await;
    until("the one of the current key is acked", || node.plane.metrics().acks_sent == 1).await;
    assert_eq!(node.store.acked(&current.slot()), Some(current.digest()));
    assert_eq!((node.refusals("bundle_key_other"), node.refusals("bundle_refused")), (2, 0));
    assert!(!node.store.contains(&replaced.digest()) && !node.store.contains(&unknown.digest()));
}

/// It was verified when it came, under the key of that time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bundle_that_waits_for_its_slot_is_dropped_when_its_key_is_replaced() {
    let network = Network::new();
    let node = network.start(1).await;
    let mut relayer = Puppet::start(P4, &data_peer_key(P4), &[(peer_id(1), network.address(1))]);
    let mut bulk = relayer.greet(peer_id(1), Flow::Bulk).await;
    // Lanes are taken up in their order: the bank's before the other.
    let [early, other] = [BANK, OBSERVER].map(|lane| bundle(slot(lane, 0, 8), 0..3));
    offer(&mut bulk, &[&early, &other]).await;
    let both = (early.header().bytes + other.header().bytes) as usize;
    until("both wait", || node.plane.metrics().early_bytes == both).await;
    let before = [BANK, OBSERVER].map(|lane| certificate(&bundle(slot(lane, 0, 7), 9..10), &[1, 2, 3]));
    let (block, tip) = ordered(&first_tip(), &before);
    node.plane.committed(&block, rotated(&tip));
    until("the other is acked", || node.plane.metrics().acks_sent == 1).await;
    assert!(node.store.contains(&other.digest()));
    assert_eq!(node.store.acked(&early.slot()), None);
}

/// The digest does not cover the signature: one who serves a certified bundle may have changed it. Of the own lane it
/// was neither offered nor, when it lost its slot, ordered again; and under the signature on the disk it would be
/// refused as ours.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stored_bundle_under_another_signature_is_offered_as_the_own_lane_s_alone_and_signed_anew() {
    let network = Network::new();
    let copy = bundle_of(slot(P1, 0, 0), 0..3, &bundle_key(P4));
    let own = bundle(slot(P1, 0, 1), 3..6);
    let foreign = bundle_of(slot(P4, 0, 0), 0..3, &bundle_key(P1));
    let store = FolderStore::open(&network.folder_of(1));
    store.put(&[&copy, &own, &foreign].map(|bundle| Arc::new(bundle.clone()))).unwrap();
    drop(store);
    let node = network.start(1).await;
    let mut peer = Puppet::start(P4, &data_peer_key(P4), &[(peer_id(1), network.address(1))]);
    let mut offers = peer.accepted_from(Flow::Bulk, &[peer_id(1)]).await;
    // The first offers come together; the last two are repetitions.
    let mut offered = BTreeSet::new();
    for _ in 0..4 {
        let next = expect(Flow::Bulk, offers.get_mut(&peer_id(1)).unwrap(), |frame| match frame {
            Frame::Bundle(bytes) => Some(Bundle::parse(&chain(), &bytes).unwrap()),
            _ => None,
        })
        .await;
        assert!(next.signature_is_valid(&bundle_key(P1).public_key()), "{:?}", next.slot());
        offered.insert(next.digest());
    }
    assert_eq!(offered, BTreeSet::from([copy.digest(), own.digest()]), "each under the digest that the slot holds");

    let mut bulk = peer.greet(peer_id(1), Flow::Bulk).await;
    offer(&mut bulk, &[&bundle(slot(P4, 0, 0), 3..6), &bundle(slot(P4, 0, 1), 6..9)]).await;
    until("the one behind it is acked", || node.plane.metrics().acks_sent == 1).await;
    assert_eq!((node.refusals("slot_taken"), node.refusals("evidence_unproved")), (1, 1));
    assert!(node.witness.evidence.lock().unwrap().is_empty());
}
