//! One lane, two nodes that submit in it: a bank's own node, and another that takes bundles signed by the bank (B-10). Whatever
//! the acks' split is, the lane goes on, and what the own node took is ordered.

use crate::plane_support;

use consensus::plane::Fate;
use consensus::plane::wire::{Flow, Frame};
use consensus::port::{BundleStore, Tip};
use ledger_types::bundle::{Bundle, BundleCertificate, Slot};
use ledger_types::{EnvelopeId, ParticipantNumber};
use plane_support::*;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

const P1: ParticipantNumber = ParticipantNumber(1);
const P4: ParticipantNumber = ParticipantNumber(4);

/// This node's disk holds the bundle, and its guard the ack.
fn acked_before(network: &Network, number: u16, bundle: &Bundle) {
    let store = FolderStore::open(&network.folder_of(number));
    store.put(&[Arc::new(bundle.clone())]).unwrap();
    store.guard_acks(&[(bundle.slot(), bundle.digest())]).unwrap();
}

fn ids(bundles: &[Arc<Bundle>]) -> Vec<EnvelopeId> {
    bundles.iter().flat_map(|bundle| bundle.ids().to_vec()).collect()
}

/// Every node commits a block of these certificates.
fn commit(nodes: &[Node], tip: &Tip, certificates: &[BundleCertificate]) -> Tip {
    let (block, next) = ordered(tip, certificates);
    nodes.iter().for_each(|node| node.plane.committed(&block, next.clone()));
    next
}

/// The other node's bundle has three acks, the own node's one: the own bundle's envelopes are ordered in the next slot, without
/// the one that the winner holds too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_own_bundle_that_lost_its_slot_has_its_envelopes_ordered_in_the_next_one() {
    let network = Network::new();
    let at = slot(P1, 0, 0);
    let (own, rival) = (bundle(at, 0..4), bundle(at, 3..6));
    acked_before(&network, 1, &own);
    let mut nodes = network.start_all(2..=4).await;
    nodes[0].plane.submit_bundle(rival.clone()).await.unwrap();
    let tip = first_tip();
    until("the rival is certified", || nodes.iter().all(|node| node.candidates(&tip).len() == 1)).await;
    nodes.push(network.start(1).await);
    until("the own node knows the winner", || nodes[3].candidates(&tip).len() == 1).await;
    assert_eq!(nodes[3].plane.fate(&own.digest()), Fate::UnderWay { is_certified: false });

    let next = commit(&nodes, &tip, &nodes[3].candidates(&tip));
    assert_eq!(nodes[3].plane.fate(&rival.digest()), Fate::Ordered);
    until("what lost is certified in the next slot", || nodes.iter().all(|node| node.candidates(&next).len() == 1))
        .await;
    let certificates = nodes[0].candidates(&next);
    assert_eq!(certificates[0].header.slot, slot(P1, 0, 1));
    let bundles = nodes[0].plane.bundles(&certificates).unwrap();
    assert_eq!(ids(&bundles), own.ids()[..3], "in its order, without the one that is ordered");
    let metrics = nodes[3].plane.metrics();
    assert_eq!((metrics.bundles_lost, metrics.envelopes_requeued), (1, 3));
}

/// The own node's bundle has three acks, the submitted one the ack of the node that took it: its submitter hears that it lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_submitted_bundle_that_lost_its_slot_is_told_as_lost() {
    let network = Network::new();
    let at = slot(P1, 0, 0);
    let (own, rival) = (bundle(at, 0..4), bundle(at, 4..6));
    for number in [1, 3, 4] {
        acked_before(&network, number, &own);
    }
    let second = network.start(2).await;
    second.plane.submit_bundle(rival.clone()).await.unwrap();
    assert_eq!(second.plane.fate(&rival.digest()), Fate::UnderWay { is_certified: false });
    let mut nodes = network.start_all([1, 3, 4]).await;
    nodes.push(second);
    let tip = first_tip();
    until("the own bundle is certified", || nodes.iter().all(|node| node.candidates(&tip).len() == 1)).await;
    commit(&nodes, &tip, &nodes[3].candidates(&tip));

    let plane = &nodes[3].plane;
    assert_eq!(plane.fate(&rival.digest()), Fate::Lost);
    assert!(rival.ids().iter().all(|id| plane.envelope_is_lost(id)));
    assert!(!own.ids().iter().any(|id| plane.envelope_is_lost(id)));
    let again = plane.submit_bundle(rival.clone()).await.unwrap_err().to_string();
    assert!(again.contains("lost"), "{again}");
    assert_eq!(plane.metrics().envelopes_requeued, 0, "only its submitter can sign it for another slot");
    assert_eq!(nodes[0].plane.fate(&own.digest()), Fate::Ordered);
}

/// Neither of two bundles has a quorum: the lane's next slot is dead, whatever stands behind it. The lane fills its window and
/// stands still, a restart too, until the own node passes the slot by. Then everything that it took is ordered once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lane_whose_acks_are_split_in_halves_goes_on_in_the_next_incarnation() {
    let mut network = Network::new();
    network.limits.pass_after = Duration::from_secs(3600);
    network.limits.cut_after = Duration::from_millis(1);
    let at = slot(P1, 0, 0);
    let (own, rival) = (bundle(at, 0..3), bundle(at, 1000..1003));
    for number in 1..=4 {
        acked_before(&network, number, if number % 2 == 1 { &own } else { &rival });
    }
    let mut nodes = network.start_all(1..=4).await;
    nodes[1].plane.submit_bundle(rival.clone()).await.unwrap();
    let tip = first_tip();
    for n in 1..=7 {
        nodes[0].plane.submit(envelopes(P1, 10 * n..10 * n + 2)).await.unwrap();
        until("what stands behind is certified", || nodes[0].plane.metrics().certified as u64 == n).await;
    }
    nodes[0].plane.submit(envelopes(P1, 80..82)).await.unwrap();
    assert!(nodes.iter().all(|node| node.candidates(&tip).is_empty()), "no block takes anything behind a dead slot");
    assert_eq!(nodes[0].plane.backlog().queued, 2);
    assert_eq!((nodes[0].plane.backlog().sponsored, nodes[0].plane.backlog().uncertified), (8, 1));

    let gone = nodes.remove(0);
    gone.plane.stop().await;
    drop(gone);
    network.limits.pass_after = Duration::from_millis(500);
    nodes.push(network.start(1).await);
    // What was queued in memory only was never acknowledged; its submitter submits it again.
    nodes[3].plane.submit(envelopes(P1, 80..82)).await.unwrap();
    let mut expected: Vec<EnvelopeId> = own.ids().to_vec();
    for n in 1..=8 {
        expected.extend(envelopes(P1, 10 * n..10 * n + 2).iter().map(|envelope| envelope.id(&chain())));
    }
    let mut times: BTreeMap<EnvelopeId, usize> = BTreeMap::new();
    let (mut tip, mut slots) = (tip, Vec::new());
    while !expected.iter().all(|id| times.contains_key(id)) {
        until("the lane goes on", || nodes.iter().all(|node| !node.candidates(&tip).is_empty())).await;
        let certificates = nodes[0].candidates(&tip);
        slots.extend(certificates.iter().map(|certificate| certificate.header.slot));
        for id in ids(&nodes[0].plane.bundles(&certificates).unwrap()) {
            *times.entry(id).or_default() += 1;
        }
        until("all know the block's certificates", || {
            nodes.iter().all(|node| node.plane.bundles(&certificates).is_ok())
        })
        .await;
        tip = commit(&nodes, &tip, &certificates);
    }
    assert!(slots.iter().all(|at| at.incarnation == 1), "{slots:?}");
    assert_eq!(slots[0], slot(P1, 1, 0));
    assert!(times.values().all(|times| *times == 1), "nothing is ordered twice");
    assert_eq!(times.len(), expected.len(), "and nothing of the rival");
    assert_eq!(nodes[0].plane.fate(&rival.digest()), Fate::Lost, "the node that took the rival says so");
    assert!(nodes.iter().all(|node| node.plane.metrics().certified == 0));
}

/// A lane that stands still for want of a quorum is not passed by: the slot may yet be certified.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_quorum_no_slot_is_passed_by() {
    let mut network = Network::new();
    network.limits.pass_after = Duration::ZERO;
    network.limits.cut_after = Duration::from_millis(1);
    let mut nodes = network.start_all(1..=3).await;
    // With a quorum the lane settles: from now on it is the want of one that holds it back.
    nodes[0].plane.submit(envelopes(P1, 0..3)).await.unwrap();
    let first = first_tip();
    until("the lane is settled", || nodes.iter().all(|node| node.candidates(&first).len() == 1)).await;
    let certificates = nodes[0].candidates(&first);
    let certified = certificates[0].header.slot;
    let at = Slot { sequence: certified.sequence + 1, ..certified };
    let tip = commit(&nodes, &first, &certificates);
    for gone in nodes.drain(1..) {
        gone.plane.stop().await;
    }
    let mut silent = Puppet::start(P4, &data_peer_key(P4), &[(peer_id(1), network.address(1))]);
    let mut streams = silent.accepted_from(Flow::Bulk, &[peer_id(1)]).await;
    until("they are gone", || nodes[0].plane.connected().len() == 1).await;
    let requeued = nodes[0].plane.metrics().envelopes_requeued;
    nodes[0].plane.submit(envelopes(P1, 10..13)).await.unwrap();
    // Housekeeping repeats offers and passes slots by: after the third offer it has looked at the lane more than once.
    for _ in 0..3 {
        let offered = expect(Flow::Bulk, streams.get_mut(&peer_id(1)).unwrap(), |frame| match frame {
            Frame::Bundle(bytes) => Some(bytes),
            _ => None,
        })
        .await;
        assert_eq!(Bundle::parse(&chain(), &offered).unwrap().slot(), at);
    }
    assert_eq!(nodes[0].plane.metrics().envelopes_requeued, requeued);
    drop(silent);

    // With a quorum again it waits for the acks, however late they come.
    let alone = nodes.remove(0);
    alone.plane.stop().await;
    drop(alone);
    network.limits.pass_after = Duration::from_secs(3600);
    for number in 1..=3 {
        nodes.push(network.start_at(number, tip.clone()).await);
    }
    until("it is certified", || nodes.iter().all(|node| node.candidates(&tip).len() == 1)).await;
    assert_eq!(nodes[0].candidates(&tip)[0].header.slot, at);
}

/// Everyone hears from everyone, three times: what came on the control streams before is worked on.
async fn all_are_heard(nodes: &[Node]) {
    for round in 1..=3u8 {
        nodes.iter().for_each(|node| node.plane.broadcast(vec![round]));
        until("all hear all", || {
            let heard = |node: &Node| node.witness.messages.lock().unwrap().len();
            nodes.iter().all(|node| heard(node) == usize::from(round) * (nodes.len() - 1))
        })
        .await;
    }
}

/// The lost guard may have held an ack that a quorum was short of: two others, one of them a liar, do not know it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b9_a_validator_whose_ack_guard_was_made_anew_does_not_count_among_those_who_remember_its_lane() {
    let mut network = Network::new();
    network.limits.cut_after = Duration::from_millis(1);
    FolderStore::renew_guard(&network.folder_of(1));
    let mut nodes = network.start_all(1..=3).await;
    nodes[0].plane.submit(envelopes(P1, 0..3)).await.unwrap();
    all_are_heard(&nodes).await;
    assert_eq!(nodes[0].plane.backlog().queued, 3, "two of four others do not tell where the lane stands");
    nodes.push(network.start(4).await);
    let tip = first_tip();
    until("the three others are enough", || nodes.iter().all(|node| node.candidates(&tip).len() == 1)).await;
    assert_eq!(nodes[0].plane.metrics().acks_sent, 0);

    // Behind the window of before the guard acks again, and remembers what it acked.
    for node in nodes.drain(..) {
        node.plane.stop().await;
    }
    let last = certificate(&bundle(slot(P1, 0, 7), 3..6), &[2, 3, 4]);
    let (_, tip) = ordered(&tip, &[last]);
    for number in 1..=3 {
        nodes.push(network.start_at(number, tip.clone()).await);
    }
    nodes[0].plane.submit(envelopes(P1, 6..9)).await.unwrap();
    until("it is certified", || nodes.iter().all(|node| node.candidates(&tip).len() == 1)).await;
    assert_eq!(nodes[0].candidates(&tip)[0].header.slot, slot(P1, 0, 8));
}
