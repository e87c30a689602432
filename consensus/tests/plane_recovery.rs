//! Peers that report what they hold of a starting node's lane: without end, all the same, or what they never give.

use crate::plane_support;

use consensus::plane::wire::{Flow, Frame, HeldSlot, LaneReport, bundle_frame};
use consensus::port::BundleStore;
use ledger_types::bundle::Bundle;
use ledger_types::{BundleDigest, Encode, List, ParticipantNumber};
use libp2p::Stream;
use libp2p::futures::AsyncWriteExt;
use plane_support::*;

const P1: ParticipantNumber = ParticipantNumber(1);
const P2: ParticipantNumber = ParticipantNumber(2);
const P3: ParticipantNumber = ParticipantNumber(3);
const P4: ParticipantNumber = ParticipantNumber(4);

/// A peer of participant 1, and its four streams.
struct Reporter {
    _puppet: Puppet,
    control: Stream,
    bulk: Stream,
    heard: Stream,
}

impl Reporter {
    async fn start(network: &Network, number: ParticipantNumber) -> Self {
        let node = peer_id(1);
        let mut puppet = Puppet::start(number, &data_peer_key(number), &[(node, network.address(1))]);
        let heard = puppet.accepted_from(Flow::Control, &[node]).await.remove(&node).unwrap();
        let control = puppet.greet(node, Flow::Control).await;
        let bulk = puppet.greet(node, Flow::Bulk).await;
        Reporter { _puppet: puppet, control, bulk, heard }
    }

    async fn report(&mut self, held: &[(u64, BundleDigest)]) {
        let held = held.iter().map(|(sequence, digest)| HeldSlot { slot: slot(P1, 0, *sequence), digest: *digest });
        let held = List::new(held.collect()).unwrap();
        send(&mut self.control, &Frame::LaneReport(LaneReport { incarnation: 0, next_sequence: 0, held })).await;
    }

    /// The next digest that it is asked for, other than `known`: who does not answer is asked again.
    async fn asked_for(&mut self, known: Option<BundleDigest>) -> BundleDigest {
        expect(Flow::Control, &mut self.heard, |frame| match frame {
            Frame::Want(digests) => Some(digests[0]).filter(|digest| Some(*digest) != known),
            _ => None,
        })
        .await
    }

    async fn serve(&mut self, bundle: &Bundle) {
        send(&mut self.bulk, &Frame::Fetched(bundle.digest(), bundle.to_bytes().into())).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_reports_of_one_peer_one_is_worked_on_and_the_newest_waits() {
    let network = Network::new();
    let node = network.start(1).await;
    let [first, last] = [bundle(slot(P1, 0, 0), 0..3), bundle(slot(P1, 0, 1), 3..6)];
    let mut peer = Reporter::start(&network, P4).await;
    peer.report(&[(0, first.digest())]).await;
    assert_eq!(peer.asked_for(None).await, first.digest());
    for number in 0..100 {
        peer.report(&[(1, BundleDigest([number; 32]))]).await;
    }
    peer.report(&[(1, last.digest())]).await;
    send(&mut peer.control, &Frame::Message(b"the last".to_vec())).await;
    until("all reports came", || !node.witness.messages.lock().unwrap().is_empty()).await;

    peer.serve(&first).await;
    assert_eq!(peer.asked_for(Some(first.digest())).await, last.digest());
    peer.serve(&last).await;
    until("both are claimed again", || node.plane.next_slot(P1) == slot(P1, 0, 2)).await;
}

/// The second peer is asked for what the first is not asked for; and for that too when the first does not give it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bundle_that_two_peers_report_is_asked_of_the_second_only_when_the_first_does_not_give_it() {
    let mut network = Network::new();
    network.limits.cut_after = std::time::Duration::from_millis(1);
    // Nobody is given up while the test runs, on however busy a machine: a report that was answered in vain counts.
    network.limits.recover_max = std::time::Duration::from_secs(3600);
    let node = network.start(1).await;
    let bundles: Vec<Bundle> = (0..3).map(|at| bundle(slot(P1, 0, at), 3 * at..3 * at + 3)).collect();
    let digests: Vec<BundleDigest> = bundles.iter().map(Bundle::digest).collect();
    let mut silent = Reporter::start(&network, P4).await;
    silent.report(&[(0, digests[0])]).await;
    assert_eq!(silent.asked_for(None).await, digests[0]);
    let mut honest = Reporter::start(&network, P3).await;
    honest.report(&[(0, digests[0]), (1, digests[1]), (2, digests[2])]).await;
    for at in [1, 2] {
        assert_eq!(honest.asked_for(Some(digests[at - 1])).await, digests[at]);
        honest.serve(&bundles[at]).await;
    }
    // The silent peer is asked for it all the while.
    node.plane.submit(envelopes(P1, 100..103)).await.unwrap();
    assert_eq!(honest.asked_for(Some(digests[2])).await, digests[0]);
    assert_eq!(node.plane.metrics().bundles_own, 0, "the honest peer's report was not done");
    honest.serve(&bundles[0]).await;

    // It is what the silent peer holds, too: with both, three of four have reported.
    until("the lane goes on behind what came back", || node.store.unordered().unwrap().len() == 4).await;
    assert_eq!(node.plane.metrics().bundles_own, 1);
    let mut slots: Vec<_> = node.store.unordered().unwrap().iter().map(|bundle| bundle.slot()).collect();
    slots.sort();
    assert_eq!(slots, (0..4).map(|at| slot(P1, 0, at)).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_the_lane_is_settled_nothing_more_is_taken_back() {
    let mut network = Network::new();
    network.limits.cut_after = std::time::Duration::from_millis(1);
    let node = network.start(1).await;
    let lost = bundle(slot(P1, 0, 5), 0..3);
    let mut late = Reporter::start(&network, P4).await;
    late.report(&[(5, lost.digest())]).await;
    assert_eq!(late.asked_for(None).await, lost.digest());
    let mut others = Vec::new();
    for number in [P2, P3] {
        let mut other = Reporter::start(&network, number).await;
        other.report(&[]).await;
        others.push(other);
    }
    node.plane.submit(envelopes(P1, 100..103)).await.unwrap();
    until("the lane goes on", || node.plane.metrics().bundles_own == 1).await;

    // Both reach the disk in their order, if they do.
    late.serve(&lost).await;
    late.bulk.write_all(&bundle_frame(&bundle(slot(P4, 0, 0), 0..3))).await.unwrap();
    late.bulk.flush().await.unwrap();
    until("the bundle behind it is acked", || node.plane.metrics().acks_sent == 1).await;
    assert_eq!(node.plane.metrics().bundles_fetched, 0);
    assert!(!node.store.contains(&lost.digest()));
}
