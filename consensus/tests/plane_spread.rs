//! Honest planes on loopback: bundles are stored, acked, certified, ordered, fetched and forgotten.

use crate::plane_support;

use consensus::plane::{FetchError, SubmitError};
use consensus::port::{BundleStore, LanePosition};
use ledger_types::ParticipantNumber;
use plane_support::*;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

const P1: ParticipantNumber = ParticipantNumber(1);
const P2: ParticipantNumber = ParticipantNumber(2);
const P3: ParticipantNumber = ParticipantNumber(3);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bundles_of_every_lane_become_certified_on_every_node() {
    let network = Network::new();
    let nodes = network.start_all(1..=4).await;
    for node in &nodes {
        let seed = u64::from(node.number.0) * 1000;
        node.plane.submit(envelopes(node.number, seed..seed + 20)).await.unwrap();
    }
    let tip = first_tip();
    until("four lanes are certified on all", || nodes.iter().all(|node| node.candidates(&tip).len() == 4)).await;
    for node in &nodes {
        assert!(node.plane.has_work(&tip));
        let certificates = node.candidates(&tip);
        let bytes: usize = certificates.iter().map(|certificate| certificate.header.bytes as usize).sum();
        assert_eq!(node.plane.waiting_bytes(&tip), bytes);
        assert!(certificates.iter().all(|certificate| node.plane.certificate_is_valid(certificate)));
        let bundles = node.plane.bundles(&certificates).expect("candidates are on the own disk");
        assert_eq!(bundles.iter().map(|bundle| bundle.envelopes().len()).sum::<usize>(), 80);
        assert!(certificates.iter().all(|c| node.store.contains(&c.digest(&chain()))));
    }
    let mut forged = nodes[0].candidates(&tip)[0].clone();
    forged.acks.as_mut_slice()[0].signature = forged.acks[1].signature;
    assert!(!nodes[0].plane.certificate_is_valid(&forged));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_committed_block_moves_lanes_on_and_frees_what_it_holds() {
    let network = Network::new();
    let nodes = network.start_all(1..=4).await;
    nodes[0].plane.submit(envelopes(P1, 0..5)).await.unwrap();
    let tip = first_tip();
    until("the bundle is certified", || nodes.iter().all(|node| node.plane.has_work(&tip))).await;
    let certificates = nodes[1].candidates(&tip);
    let (block, next) = ordered(&tip, &certificates);
    for node in &nodes {
        node.plane.committed(&block, next.clone());
        assert!(!node.plane.has_work(&next));
        assert_eq!(node.plane.waiting_bytes(&next), 0);
        assert!(node.candidates(&next).is_empty());
        assert_eq!((node.plane.metrics().sponsored, node.plane.metrics().certified), (0, 0));
        assert_eq!(node.plane.next_slot(P1), slot(P1, 0, 1));
    }
    nodes[0].plane.submit(envelopes(P1, 5..9)).await.unwrap();
    until("the next bundle is certified", || nodes.iter().all(|node| node.plane.has_work(&next))).await;
    assert_eq!(nodes[3].candidates(&next)[0].header.slot, slot(P1, 0, 1));
}

/// B-3, B-4: least recently served first, one bundle a lane and pass, without gaps, within quota and limits.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn candidates_are_taken_from_the_least_recently_served_lane_on() {
    let mut network = Network::new();
    network.limits.cut_after = Duration::from_millis(1);
    let nodes = network.start_all(1..=4).await;
    let tip = first_tip();
    for round in 0..3 {
        for (node, number) in [(&nodes[0], P1), (&nodes[1], P2)] {
            node.plane.submit(envelopes(number, round * 10..round * 10 + 2)).await.unwrap();
            until("it is certified", || {
                nodes[2].candidates(&tip).iter().filter(|c| c.header.slot.submitter == number).count() as u64
                    == round + 1
            })
            .await;
        }
    }
    let lanes = |served: &[(ParticipantNumber, u64, u64, u64)]| {
        let lanes: BTreeMap<_, _> = served
            .iter()
            .map(|(number, next_sequence, served_at, bytes_left)| {
                let served_at = ledger_types::Height(*served_at);
                (
                    *number,
                    LanePosition { incarnation: 0, next_sequence: *next_sequence, served_at, bytes_left: *bytes_left },
                )
            })
            .collect();
        let mut tip = first_tip();
        tip.lanes = Arc::new(lanes);
        tip
    };
    let slots = |tip, bytes_max, certificates_max| -> Vec<(u16, u64)> {
        let chosen = nodes[2].plane.candidates(&tip, bytes_max, certificates_max);
        chosen.iter().map(|c| (c.header.slot.submitter.0, c.header.slot.sequence)).collect()
    };
    let one = nodes[2].candidates(&tip)[0].header.bytes as usize;

    assert_eq!(slots(lanes(&[]), usize::MAX, 99), [(1, 0), (2, 0), (1, 1), (2, 1), (1, 2), (2, 2)]);
    let served = [(P1, 0, 9, QUOTA), (P2, 0, 3, QUOTA)];
    assert_eq!(slots(lanes(&served), usize::MAX, 99), [(2, 0), (1, 0), (2, 1), (1, 1), (2, 2), (1, 2)]);
    assert_eq!(slots(lanes(&served), usize::MAX, 3), [(2, 0), (1, 0), (2, 1)]);
    assert_eq!(slots(lanes(&served), 2 * one, 99), [(2, 0), (1, 0)]);
    assert_eq!(slots(lanes(&served), 1, 99), [(2, 0)], "the first bundle always fits");
    let refused_before = [(P1, 1, 3, 0), (P2, 0, 9, QUOTA)];
    assert_eq!(
        slots(lanes(&refused_before), usize::MAX, 99),
        [(1, 1), (2, 0), (2, 1), (2, 2)],
        "a lane without quota left still gets its first bundle"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn missing_bundles_are_fetched_from_signers() {
    let network = Network::new();
    let nodes = network.start_all(1..=3).await;
    for (node, number) in [(&nodes[0], P1), (&nodes[1], P2), (&nodes[2], P3)] {
        node.plane.submit(envelopes(number, 0..50)).await.unwrap();
    }
    let tip = first_tip();
    until("three lanes are certified", || nodes[0].candidates(&tip).len() == 3).await;
    let certificates = nodes[0].candidates(&tip);
    let (block, next) = ordered(&tip, &certificates);
    nodes.iter().for_each(|node| node.plane.committed(&block, next.clone()));

    // A node with an empty disk: it hears of the bundles from the block alone.
    let late = network.start(4).await;
    assert_eq!(late.plane.bundles(&certificates).unwrap_err().len(), 3);
    let bundles = late.plane.fetch(&certificates, PATIENCE).await.unwrap();
    let fetched: Vec<_> = bundles.iter().map(|bundle| bundle.digest()).collect();
    let wanted: Vec<_> = certificates.iter().map(|certificate| certificate.digest(&chain())).collect();
    assert_eq!(fetched, wanted);
    assert!(wanted.iter().all(|digest| late.store.contains(digest)), "fetched bundles are on disk");
    assert_eq!(late.plane.metrics().acks_sent, 0, "a fetched bundle is not acked");

    let nowhere = certificate(&bundle(slot(P2, 0, 7), 0..3), &[1, 2, 3]);
    let missed = late.plane.fetch(std::slice::from_ref(&nowhere), Duration::from_millis(200)).await.unwrap_err();
    assert_eq!(missed, FetchError::Deadline(vec![nowhere.digest(&chain())]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_missed_a_certificate_hears_it_when_it_connects_and_fetches_the_bundle() {
    let network = Network::new();
    let nodes = network.start_all(1..=3).await;
    nodes[0].plane.submit(envelopes(P1, 0..50)).await.unwrap();
    let tip = first_tip();
    until("it is certified", || nodes[0].plane.has_work(&tip)).await;
    let late = network.start(4).await;
    until("the late node may propose it", || late.candidates(&tip).len() == 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_observer_follows_and_neither_acks_nor_submits() {
    let network = Network::new();
    let nodes = network.start_all([1, 2, 3, OBSERVER.0]).await;
    nodes[0].plane.submit(envelopes(P1, 0..5)).await.unwrap();
    let tip = first_tip();
    until("the observer knows it", || nodes[3].candidates(&tip).len() == 1).await;
    let certificate = &nodes[3].candidates(&tip)[0];
    assert_eq!(certificate.acks.iter().map(|ack| ack.signer.0).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(nodes[3].plane.metrics().acks_sent, 0);
    assert_eq!(nodes[3].plane.submit(envelopes(OBSERVER, 0..1)).await, Err(SubmitError::NotASubmitter));
    let own = bundle(slot(BANK, 0, 0), 0..1);
    assert_eq!(nodes[3].plane.submit_bundle(own).await, Err(SubmitError::NotASubmitter));
}

/// Back-pressure: eight bundles under way, then the queue fills, then `Busy`; a block makes room.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flooding_submitter_gets_busy_and_memory_stays_bounded() {
    let mut network = Network::new();
    network.limits.queue_bytes_max = 100_000;
    network.limits.bundle_bytes_target = 20_000;
    network.limits.bundle_bytes_max = 20_000;
    let nodes = network.start_all(1..=4).await;
    let tip = first_tip();
    let flood = || async {
        let mut seed = 0;
        // Ten idle looks after the last one taken: the lane stands still.
        let mut busy = 0;
        while busy < 10 {
            match nodes[0].plane.submit(envelopes(P1, seed..seed + 10)).await {
                Ok(()) => busy = 0,
                Err(SubmitError::Busy(_)) => {
                    busy += 1;
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                Err(other) => panic!("{other}"),
            }
            seed += 10;
            let metrics = nodes[0].plane.metrics();
            assert!(metrics.queue_bytes <= 100_000 && metrics.sponsored <= 8 && metrics.certified <= 8, "{metrics:?}");
        }
    };
    flood().await;
    until("the window is full", || nodes.iter().all(|node| node.candidates(&tip).len() == 8)).await;
    assert!(nodes[0].plane.metrics().queue_bytes > 80_000);

    let (block, next) = ordered(&tip, &nodes[0].candidates(&tip)[..3]);
    nodes.iter().for_each(|node| node.plane.committed(&block, next.clone()));
    until("three more are certified", || nodes.iter().all(|node| node.candidates(&next).len() == 8)).await;
    assert_eq!(nodes[2].candidates(&next)[7].header.slot, slot(P1, 0, 10));
    nodes[0].plane.submit(envelopes(P1, 0..10)).await.expect("there is room again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_envelope_queue_refuses_what_exceeds_its_bound_as_a_whole() {
    let mut network = Network::new();
    network.limits.queue_bytes_max = 10_000;
    let node = network.start(1).await;
    assert!(matches!(node.plane.submit(envelopes(P1, 0..20)).await, Err(SubmitError::Busy(_))));
    assert_eq!(node.plane.metrics().queue_bytes, 0);
    node.plane.submit(envelopes(P1, 0..5)).await.unwrap();
    assert_eq!(node.refusals("queue_full"), 1);
}

/// B-10, B-3: a participant without a node of its own submits signed bundles in slots of its own choice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_submitted_bundle_is_certified_and_refused_by_name_when_its_slot_does_not_fit() {
    let network = Network::new();
    let nodes = network.start_all(1..=4).await;
    let (tip, plane) = (first_tip(), nodes[1].plane.clone());
    let first = bundle(slot(BANK, 0, 0), 0..3);
    assert_eq!(plane.next_slot(BANK), first.slot());
    plane.submit_bundle(first.clone()).await.unwrap();
    assert!(nodes[1].store.contains(&first.digest()), "durable when the call returns");
    until("it is certified", || nodes.iter().all(|node| node.candidates(&tip).len() == 1)).await;
    plane.submit_bundle(first.clone()).await.expect("again is no error");
    assert_eq!(plane.next_slot(BANK), slot(BANK, 0, 1));

    let refusal = |outcome: Result<(), SubmitError>| outcome.unwrap_err().to_string();
    let reused = bundle(slot(BANK, 0, 0), 5..6);
    assert!(refusal(plane.submit_bundle(reused).await).contains("the slot holds another bundle"));
    let forged = ledger_types::bundle::Bundle::sign(&chain(), slot(BANK, 0, 1), envelopes(BANK, 0..1), &bundle_key(P1));
    assert!(refusal(plane.submit_bundle(forged.unwrap()).await).contains("signature does not verify"));
    let stranger = ParticipantNumber(77);
    assert!(refusal(plane.submit_bundle(bundle(slot(stranger, 0, 0), 0..1)).await).contains("not in the directory"));
    assert!(refusal(plane.submit_bundle(bundle(slot(P2, 0, 0), 0..1)).await).contains("own lane"));
    assert!(matches!(plane.submit_bundle(bundle(slot(BANK, 0, 8), 0..1)).await, Err(SubmitError::Busy(_))));
    assert!(refusal(plane.submit_bundle(bundle(slot(BANK, 0, 99), 0..1)).await).contains("far ahead"));
    assert!(refusal(plane.submit_bundle(bundle(slot(BANK, 2, 0), 0..1)).await).contains("far ahead"));

    let (block, next) = ordered(&tip, &nodes[0].candidates(&tip));
    plane.committed(&block, next);
    assert!(refusal(plane.submit_bundle(first).await).contains("the slot is closed"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restarted_node_resumes_its_lane_without_reusing_a_slot() {
    let network = Network::new();
    let mut nodes = network.start_all(1..=4).await;
    let tip = first_tip();
    nodes[0].plane.submit(envelopes(P1, 0..5)).await.unwrap();
    until("the first is certified", || nodes.iter().all(|node| node.candidates(&tip).len() == 1)).await;
    let before = nodes[1].candidates(&tip)[0].digest(&chain());
    let gone = nodes.remove(0);
    gone.plane.stop().await;
    drop(gone);

    let again = network.start(1).await;
    again.plane.submit(envelopes(P1, 100..105)).await.unwrap();
    until("the second is certified", || nodes.iter().all(|node| node.candidates(&tip).len() == 2)).await;
    let slots: Vec<_> = nodes[0].candidates(&tip).iter().map(|c| (c.header.slot, c.digest(&chain()))).collect();
    assert_eq!(slots[0], (slot(P1, 0, 0), before));
    assert_eq!(slots[1].0, slot(P1, 0, 1));
    assert!(nodes.iter().all(|node| node.witness.evidence.lock().unwrap().is_empty()));
    until("the restarted node certified its old bundle again", || again.candidates(&tip).len() == 2).await;
}

/// The disk was lost or restored from before: peers give the lane's bundles back before a slot is signed again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_with_an_empty_disk_gets_its_lane_back_from_its_peers() {
    let network = Network::new();
    let mut nodes = network.start_all(1..=4).await;
    let tip = first_tip();
    nodes[0].plane.submit(envelopes(P1, 0..5)).await.unwrap();
    until("it is certified", || nodes.iter().all(|node| node.candidates(&tip).len() == 1)).await;
    let gone = nodes.remove(0);
    gone.plane.stop().await;
    drop(gone);
    std::fs::remove_dir_all(network.folder_of(1)).unwrap();

    let again = network.start(1).await;
    again.plane.submit(envelopes(P1, 100..105)).await.unwrap();
    until("the next slot is certified", || nodes.iter().all(|node| node.candidates(&tip).len() == 2)).await;
    assert!(nodes.iter().all(|node| node.witness.evidence.lock().unwrap().is_empty()));
}

/// B-9's channel: answers come from validators only, and from those that come up or learn to answer while it is asked.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn questions_are_answered_by_validators_and_repeated_to_those_who_come_late() {
    let network = Network::new();
    let nodes = network.start_all([1, 2, 3, OBSERVER.0]).await;
    for node in &nodes[1..] {
        let me = node.number.0 as u8;
        node.plane.answer_with(Box::new(move |from, request| [&[me, from.0 as u8], &request[..]].concat()));
    }
    let mut answers = nodes[0].plane.ask_peers(b"newest".to_vec(), 2, PATIENCE).await;
    answers.sort();
    assert_eq!(answers, [(P2, b"\x02\x01newest".to_vec()), (P3, b"\x03\x01newest".to_vec())]);

    let asking = nodes[0].plane.clone();
    let asked = tokio::spawn(async move { asking.ask_peers(b"again".to_vec(), 3, PATIENCE).await });
    let late = network.start(4).await;
    until("the late node is connected", || late.plane.connected().contains(&P1)).await;
    late.plane.answer_with(Box::new(|_, _| b"late".to_vec()));
    let answers: BTreeMap<_, _> = asked.await.unwrap().into_iter().collect();
    assert_eq!(answers[&ParticipantNumber(4)], b"late");

    let started = std::time::Instant::now();
    let few = nodes[0].plane.ask_peers(b"too many wanted".to_vec(), 9, Duration::from_millis(300)).await;
    assert_eq!(few.len(), 3, "the deadline returns what came");
    assert!(started.elapsed() < PATIENCE);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn application_messages_reach_every_peer() {
    let network = Network::new();
    let nodes = network.start_all([1, 2, OBSERVER.0]).await;
    nodes[0].plane.broadcast(b"cosignature".to_vec());
    nodes[0].plane.broadcast(vec![0; 16 * 1024 + 1]);
    nodes[0].plane.broadcast(b"the next".to_vec());
    let expected = vec![(P1, b"cosignature".to_vec()), (P1, b"the next".to_vec())];
    until("both got the messages in order, without the one that is too long", || {
        nodes[1..].iter().all(|node| *node.witness.messages.lock().unwrap() == expected)
    })
    .await;
}

/// Trap 7: an idle node wakes on a received certificate, and on a height that more than a third of the power began.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_waiting_node_wakes_when_there_is_work() {
    let network = Network::new();
    let nodes = network.start_all(1..=4).await;
    let tip = first_tip();
    let waiting = nodes[3].plane.clone();
    let woken = tokio::spawn({
        let tip = tip.clone();
        async move {
            while !waiting.has_work(&tip) {
                waiting.work().await;
            }
        }
    });
    nodes[0].plane.submit(envelopes(P1, 0..1)).await.unwrap();
    tokio::time::timeout(PATIENCE, woken).await.expect("woken in time").unwrap();

    let (block, next) = ordered(&tip, &nodes[0].candidates(&tip));
    nodes.iter().for_each(|node| node.plane.committed(&block, next.clone()));
    nodes[0].plane.height_started(next.height.next());
    nodes[0].plane.broadcast(b"after the note".to_vec());
    until("the note arrived", || !nodes[3].witness.messages.lock().unwrap().is_empty()).await;
    assert!(!nodes[3].plane.has_work(&next), "one validator of four cannot wake the others");
    nodes[1].plane.height_started(next.height.next());
    until("two can", || nodes[3].plane.has_work(&next)).await;
}

/// If it was not durable it was not said: a node whose disk fails acks nothing more and says that it must stop.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_write_stops_the_plane_and_no_ack_leaves() {
    let network = Network::new();
    let nodes = network.start_all(1..=3).await;
    nodes[2].store.fail_from_now_on();
    nodes[0].plane.submit(envelopes(P1, 0..5)).await.unwrap();
    let cause = tokio::time::timeout(PATIENCE, nodes[2].plane.failure()).await.expect("the failure is told");
    assert!(cause.to_string().contains("the disk is full"));
    assert_eq!(nodes[2].plane.metrics().acks_sent, 0);
    assert_eq!(nodes[2].plane.submit(envelopes(P3, 0..1)).await, Err(SubmitError::Stopped));
    until("the second node acked", || nodes[1].plane.metrics().acks_sent == 1).await;
    assert_eq!(nodes[0].plane.metrics().certificates_made, 0, "two of four are no quorum");
}

/// What was sent before a restart and never certified is offered again by the restarted node and by those that stayed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_uncertified_bundle_is_offered_again_to_peers_that_connect_later() {
    let network = Network::new();
    let first = network.start(1).await;
    let second = network.start(2).await;
    until("two are connected", || first.plane.connected() == [P2]).await;
    // The owner waits for a quorum of lane reports before it signs: none yet.
    first.plane.submit(envelopes(P1, 0..5)).await.unwrap();
    let submitted = bundle(slot(BANK, 0, 0), 0..3);
    first.plane.submit_bundle(submitted.clone()).await.unwrap();
    until("the second node has it", || second.store.contains(&submitted.digest())).await;
    assert_eq!(first.plane.metrics().certificates_made, 0);
    assert_eq!(first.plane.metrics().bundles_own, 0, "no own bundle before a quorum of reports");
    let third = network.start(3).await;
    let tip = first_tip();
    until("both bundles are certified", || third.candidates(&tip).len() == 2).await;
}

/// The disk was restored from before, and blocks hold what it does not know of: nothing is signed before the tip has caught up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restored_disk_signs_nothing_in_slots_that_blocks_hold() {
    let network = Network::new();
    let mut nodes = network.start_all(1..=4).await;
    let tip = first_tip();
    nodes[0].plane.submit(envelopes(P1, 0..5)).await.unwrap();
    until("it is certified", || nodes.iter().all(|node| node.candidates(&tip).len() == 1)).await;
    let (block, next) = ordered(&tip, &nodes[1].candidates(&tip));
    nodes.iter().for_each(|node| node.plane.committed(&block, next.clone()));
    let gone = nodes.remove(0);
    gone.plane.stop().await;
    drop(gone);
    std::fs::remove_dir_all(network.folder_of(1)).unwrap();

    let again = network.start_at(1, tip).await;
    again.plane.submit(envelopes(P1, 100..105)).await.unwrap();
    until("all are connected", || nodes.iter().all(|node| node.plane.connected().contains(&P1))).await;
    // Sent after the lane reports on the same streams.
    nodes.iter().for_each(|node| node.plane.broadcast(b"after the report".to_vec()));
    until("all reports came", || again.witness.messages.lock().unwrap().len() == 3).await;
    assert_eq!(again.plane.metrics().bundles_own, 0);
    again.plane.committed(&block, next.clone());
    until("it goes on after the block", || nodes.iter().all(|node| node.candidates(&next).len() == 1)).await;
    assert_eq!(nodes[0].candidates(&next)[0].header.slot, slot(P1, 0, 1));
    let signed: Vec<_> = again.store.unordered().unwrap().iter().map(|bundle| bundle.slot()).collect();
    assert_eq!(signed, [slot(P1, 0, 1)], "slot 0 was not signed again");
}

/// B-3: a bundle of the lane is lost for good. What stands before the gap is ordered first; then a new incarnation begins.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lane_with_a_gap_goes_on_in_the_next_incarnation() {
    let network = Network::new();
    let kept = [bundle(slot(P1, 0, 0), 0..3), bundle(slot(P1, 0, 2), 3..6)].map(Arc::new);
    FolderStore::open(&network.folder_of(1)).put(&kept).unwrap();
    let nodes = network.start_all(1..=4).await;
    let tip = first_tip();
    nodes[0].plane.submit(envelopes(P1, 10..13)).await.unwrap();
    until("both are certified", || nodes.iter().all(|node| node.plane.metrics().certified == 2)).await;
    assert_eq!(nodes[1].candidates(&tip).len(), 1, "a block takes nothing behind the gap");
    assert_eq!(nodes[0].plane.metrics().bundles_own, 0, "a new incarnation would close the old one");

    let (block, next) = ordered(&tip, &nodes[1].candidates(&tip));
    nodes.iter().for_each(|node| node.plane.committed(&block, next.clone()));
    until("the next incarnation is certified", || nodes.iter().all(|node| node.candidates(&next).len() == 1)).await;
    assert_eq!(nodes[2].candidates(&next)[0].header.slot, slot(P1, 1, 0));
    let (block, after) = ordered(&next, &nodes[2].candidates(&next));
    nodes.iter().for_each(|node| node.plane.committed(&block, after.clone()));
    assert!(nodes.iter().all(|node| node.plane.metrics().certified == 0), "the closed incarnation is forgotten");
}
