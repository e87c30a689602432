//! Peers that lie, flood, repeat themselves or speak nonsense.

use crate::plane_support;

use consensus::plane::SubmitError;
use consensus::plane::wire::{
    Ack, CONSENSUS_BYTES_MAX, Flow, Frame, HEAD_BYTES, Hello, Kind, Question, WIRE_VERSION, bundle_frame,
};
use consensus::port::{BundleStore, Tip};
use ledger_types::bundle::{BundleHeader, ack_message};
use ledger_types::keys::{Signature, SigningKey};
use ledger_types::participant::Directory;
use ledger_types::{Encode, GenesisHash, Height, List, Octets, ParticipantNumber, Reader};
use libp2p::futures::AsyncWriteExt;
use plane_support::*;
use std::sync::Arc;

const P1: ParticipantNumber = ParticipantNumber(1);
const P4: ParticipantNumber = ParticipantNumber(4);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_outside_the_directory_gets_no_stream() {
    let network = Network::new();
    let node = network.start(1).await;
    let stranger = SigningKey::from_seed(&[99; 32]);
    let mut puppet = Puppet::start(P4, &stranger, &[(peer_id(1), network.address(1))]);
    for flow in Flow::ALL {
        let opened = puppet.open(peer_id(1), flow).await;
        assert!(opened.is_err(), "a stranger got a {flow:?} stream");
    }
    until("the refusal is counted", || node.refusals("stranger") >= 1).await;
    assert!(node.plane.connected().is_empty());

    // The same peer with a key of the directory gets both.
    let mut member = Puppet::start(P4, &data_peer_key(P4), &[(peer_id(1), network.address(1))]);
    member.greet(peer_id(1), Flow::Control).await;
    until("the member is connected", || node.plane.connected() == [P4]).await;
    assert_eq!(node.refusals("participant_other"), 0);
}

/// A participant update commits: from then on the old key is a stranger's, also on a connection that stands.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replaced_key_loses_its_streams_and_the_new_key_gets_them() {
    let network = Network::new();
    let node = network.start(1).await;
    let dial = [(peer_id(1), network.address(1))];
    let mut before = Puppet::start(P4, &data_peer_key(P4), &dial);
    before.greet(peer_id(1), Flow::Control).await;
    until("the old key is connected", || node.plane.connected() == [P4]).await;

    let new = SigningKey::from_seed(&[44; 32]);
    let mut lines: Vec<_> = directory().iter().cloned().collect();
    lines[3].keys.data_peer = new.public_key();
    let (block, tip) = ordered(&first_tip(), &[]);
    let directory = Arc::new(Directory::new(lines).unwrap());
    node.plane.committed(&block, Tip { directory, ..tip });
    until("the old key is disconnected", || node.plane.connected().is_empty()).await;
    let mut again = Puppet::start(P4, &data_peer_key(P4), &dial);
    assert!(again.open(peer_id(1), Flow::Control).await.is_err(), "the old key got a stream");
    until("the refusal is counted", || node.refusals("stranger") >= 1).await;

    let mut after = Puppet::start(P4, &new, &dial);
    after.greet(peer_id(1), Flow::Control).await;
    until("the new key is connected", || node.plane.connected() == [P4]).await;
}

/// B-3: a second digest in a slot gets no ack, so never a certificate, and the two signed headers are kept as evidence.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reused_slot_gets_no_second_certificate_and_leaves_evidence() {
    let network = Network::new();
    let nodes = network.start_all(1..=3).await;
    let dial: Vec<_> = (1..=3).map(|number| (peer_id(number), network.address(number))).collect();
    let mut cheat = Puppet::start(P4, &data_peer_key(P4), &dial);
    let (first, second) = (bundle(slot(P4, 0, 0), 0..3), bundle(slot(P4, 0, 0), 3..6));
    let ids: Vec<_> = (1..=3).map(peer_id).collect();
    let mut controls = cheat.accepted_from(Flow::Control, &ids).await;
    for (number, id) in (1..=3).map(|number| (ParticipantNumber(number), peer_id(number))) {
        let mut bulk = cheat.greet(id, Flow::Bulk).await;
        bulk.write_all(&bundle_frame(&first)).await.unwrap();
        bulk.flush().await.unwrap();
        let control = controls.get_mut(&id).unwrap();
        let ack = expect(Flow::Control, control, |frame| match frame {
            Frame::Ack(ack) => Some(ack),
            _ => None,
        })
        .await;
        assert_eq!(ack.digest, first.digest());
        let message = ack_message(&chain(), &first.digest(), number);
        assert!(bundle_key(number).public_key().verify(&message, &ack.signature));

        // The second digest, and then the first again: the only further ack is of the first.
        bulk.write_all(&bundle_frame(&second)).await.unwrap();
        bulk.write_all(&bundle_frame(&first)).await.unwrap();
        bulk.flush().await.unwrap();
        let ack = expect(Flow::Control, control, |frame| match frame {
            Frame::Ack(ack) => Some(ack),
            _ => None,
        })
        .await;
        assert_eq!(ack.digest, first.digest());
    }
    for node in &nodes {
        until("the evidence is told", || node.witness.evidence.lock().unwrap().len() == 1).await;
        let evidence = node.witness.evidence.lock().unwrap()[0].clone();
        assert_eq!((evidence.validator, evidence.what.as_str()), (P4, "bundle slot"));
        for (bytes, of) in [(&evidence.first, &first), (&evidence.second, &second)] {
            let mut reader = Reader::new(bytes);
            let header: BundleHeader = reader.read().unwrap();
            let signature: Signature = reader.read().unwrap();
            assert_eq!(&header, of.header());
            assert!(bundle_key(P4).public_key().verify(&header.digest(&chain()).0, &signature));
        }
        assert!(!node.store.contains(&second.digest()), "the second bundle takes no room on disk");
        assert_eq!(node.refusals("slot_taken"), 1);
    }
}

/// B-3 across restarts: the guard on disk answers when memory is fresh.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slot_stays_taken_across_a_restart_of_the_acking_node() {
    let network = Network::new();
    let node = network.start(1).await;
    let (first, second) = (bundle(slot(P4, 0, 0), 0..3), bundle(slot(P4, 0, 0), 3..6));
    node.store.put(&[Arc::new(first.clone())]).unwrap();
    node.store.guard_acks(&[(first.slot(), first.digest())]).unwrap();
    node.plane.stop().await;
    drop(node);
    let node = network.start(1).await;
    let mut cheat = Puppet::start(P4, &data_peer_key(P4), &[(peer_id(1), network.address(1))]);
    let mut bulk = cheat.greet(peer_id(1), Flow::Bulk).await;
    bulk.write_all(&bundle_frame(&second)).await.unwrap();
    bulk.flush().await.unwrap();
    until("the evidence is told", || node.witness.evidence.lock().unwrap().len() == 1).await;
    assert_eq!(node.plane.metrics().acks_sent, 0);
}

/// The guard knows that the slot is reused before the disk has both headers to show: the first bundle is lost, or still
/// on its way to the disk.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reuse_that_cannot_be_proved_yet_leaves_evidence_when_it_can() {
    let network = Network::new();
    let node = network.start(1).await;
    let (first, second) = (bundle(slot(P4, 0, 0), 0..3), bundle(slot(P4, 0, 0), 3..6));
    node.store.guard_acks(&[(first.slot(), first.digest())]).unwrap();
    let mut cheat = Puppet::start(P4, &data_peer_key(P4), &[(peer_id(1), network.address(1))]);
    let mut bulk = cheat.greet(peer_id(1), Flow::Bulk).await;
    for bundle in [&second, &first, &second] {
        bulk.write_all(&bundle_frame(bundle)).await.unwrap();
        bulk.flush().await.unwrap();
        until("the bundle is on disk", || node.store.contains(&bundle.digest())).await;
    }
    // Until the first is known to be acked it would be stored again, not compared.
    until("the first is acked", || node.plane.metrics().acks_sent == 1).await;
    bulk.write_all(&bundle_frame(&second)).await.unwrap();
    bulk.flush().await.unwrap();
    until("the evidence is told", || node.witness.evidence.lock().unwrap().len() == 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_serves_other_bytes_is_passed_over() {
    let network = Network::new();
    let wanted = bundle(slot(P1, 0, 2), 0..3);
    let other = bundle(slot(P1, 0, 3), 3..6);
    FolderStore::open(&network.folder_of(2)).put(&[Arc::new(wanted.clone())]).unwrap();
    let honest = network.start(2).await;
    let node = network.start(3).await;
    let mut liar = Puppet::start(P4, &data_peer_key(P4), &[(peer_id(3), network.address(3))]);
    until("the honest node is connected", || node.plane.connected().contains(&honest.number)).await;
    let (_, mut control) = liar.accepted(Flow::Control).await;
    let mut bulk = liar.greet(peer_id(3), Flow::Bulk).await;
    until("the liar is connected", || node.plane.connected().contains(&P4)).await;

    // Sequence 2 of three signers: the fourth participant is asked first.
    let certificate = certificate(&wanted, &[1, 2, 4]);
    let lying = tokio::spawn(async move {
        let asked = expect(Flow::Control, &mut control, |frame| match frame {
            Frame::Want(digests) => Some(digests[0]),
            _ => None,
        })
        .await;
        send(&mut bulk, &Frame::Fetched(asked, other.to_bytes().into())).await;
        (asked, bulk, control)
    });
    let bundles = node.plane.fetch(std::slice::from_ref(&certificate), PATIENCE).await.unwrap();
    assert_eq!(bundles[0].digest(), wanted.digest());
    assert_eq!(lying.await.unwrap().0, wanted.digest(), "the liar was asked first");
    assert_eq!(node.refusals("fetched_other_bytes"), 1);
    assert_eq!(honest.plane.metrics().bundles_served, 1);
}

/// B-3: no ack before its guard. A fetched copy of the bundle reaches the disk while the offered one still waits for
/// the guard: a repeated offer, or the bundle submitted here, gets no ack for that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bundle_whose_fetched_copy_is_on_disk_is_not_acked_before_its_guard() {
    let network = Network::new();
    let node = network.start(3).await;
    let wanted = bundle(slot(P1, 0, 0), 0..3);
    let mut peer = Puppet::start(P4, &data_peer_key(P4), &[(peer_id(3), network.address(3))]);
    let (_, mut control) = peer.accepted(Flow::Control).await;
    let mut bulk = peer.greet(peer_id(3), Flow::Bulk).await;
    until("the peer is connected", || node.plane.connected().contains(&P4)).await;

    node.store.hold(true, true);
    let (plane, certificate) = (node.plane.clone(), certificate(&wanted, &[1, 2, 4]));
    let fetching = tokio::spawn(async move { plane.fetch(&[certificate], PATIENCE).await });
    let asked = expect(Flow::Control, &mut control, |frame| match frame {
        Frame::Want(digests) => Some(digests[0]),
        _ => None,
    })
    .await;
    send(&mut bulk, &Frame::Fetched(asked, wanted.to_bytes().into())).await;
    until("the fetched copy waits for the disk", || node.store.held() == 1).await;
    bulk.write_all(&bundle_frame(&wanted)).await.unwrap();
    // Frames of a stream are taken one after the other: this one shows that those before it were.
    let out_of_reach = bundle_frame(&bundle(slot(P1, 0, 99), 0..1));
    bulk.write_all(&out_of_reach).await.unwrap();
    bulk.flush().await.unwrap();
    until("the offer was taken", || node.refusals("slot_out_of_reach") == 1).await;
    node.store.hold(false, true);
    fetching.await.unwrap().expect("the fetched copy is on disk");
    until("the offered one waits for the guard", || node.store.held() == 1).await;

    bulk.write_all(&bundle_frame(&wanted)).await.unwrap();
    bulk.write_all(&out_of_reach).await.unwrap();
    bulk.flush().await.unwrap();
    until("the second offer was taken", || node.refusals("slot_out_of_reach") == 2).await;
    assert_eq!(node.plane.metrics().acks_sent, 0, "an ack left before its guard");
    assert!(matches!(node.plane.submit_bundle(wanted.clone()).await, Err(SubmitError::Busy(_))));
    assert_eq!(node.store.acked(&wanted.slot()), None);

    node.store.hold(false, false);
    until("the guarded ack leaves", || node.plane.metrics().acks_sent == 1).await;
    assert_eq!(node.store.acked(&wanted.slot()), Some(wanted.digest()));
    bulk.write_all(&bundle_frame(&wanted)).await.unwrap();
    bulk.flush().await.unwrap();
    until("and again when it is offered again", || node.plane.metrics().acks_sent == 2).await;
}

/// A peer may send as much as it likes: what is not in a lane's window is dropped, what is early is bounded in bytes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_bundles_stays_within_its_window_and_memory() {
    let mut network = Network::new();
    network.limits.early_bytes_max = 10_000;
    let node = network.start(1).await;
    let mut flooder = Puppet::start(P4, &data_peer_key(P4), &[(peer_id(1), network.address(1))]);
    let mut bulk = flooder.greet(peer_id(1), Flow::Bulk).await;
    for sequence in (0..40).rev() {
        for incarnation in 0..3 {
            let seed = sequence * 10;
            let flood = bundle_frame(&bundle(slot(P4, incarnation, sequence), seed..seed + 5));
            bulk.write_all(&flood).await.unwrap();
            assert!(node.plane.metrics().early_bytes <= 10_000);
        }
    }
    bulk.flush().await.unwrap();
    // Two incarnations of eight slots are open; 2 × 24 and the whole third are out of reach; of 16 early ones few fit.
    until("all were looked at", || {
        let early_refused = node.refusals("early_bundles_full");
        node.plane.metrics().bundles_stored == 16 && node.refusals("slot_out_of_reach") == 88 && early_refused >= 12
    })
    .await;
    assert!(node.plane.metrics().early_bytes <= 10_000 && node.plane.metrics().early_bytes > 0);

    // When a block moves the lane on, a bundle that waited in memory opens and is stored without being sent again.
    let before = node.plane.metrics().bundles_stored;
    let last = certificate(&bundle(slot(P4, 0, 7), 70..75), &[1, 2, 3]);
    let (block, tip) = ordered(&first_tip(), &[last]);
    node.plane.committed(&block, tip);
    until("the early bundles are stored", || {
        node.plane.metrics().bundles_stored > before && node.plane.metrics().early_bytes < 10_000
    })
    .await;
}

/// What waits in memory is shared among the lanes: whoever sends more than its share takes none of the others'.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lane_that_floods_early_slots_takes_no_room_of_another() {
    let mut network = Network::new();
    let one = bundle(slot(P4, 0, 8), 0..3).header().bytes as usize;
    // Six participants and the registration lane, three bundles each.
    network.limits.early_bytes_max = 7 * 3 * one;
    let node = network.start(1).await;
    let mut flooder = Puppet::start(P4, &data_peer_key(P4), &[(peer_id(1), network.address(1))]);
    let mut bulk = flooder.greet(peer_id(1), Flow::Bulk).await;
    let early = |lane| {
        let slots = (0..2).flat_map(move |incarnation| (8..16).map(move |sequence| slot(lane, incarnation, sequence)));
        slots.map(|at| bundle_frame(&bundle(at, 0..3)))
    };
    for lane in [P4, BANK, OBSERVER] {
        for frame in early(lane) {
            bulk.write_all(&frame).await.unwrap();
        }
        bulk.flush().await.unwrap();
    }
    until("all were looked at", || node.refusals("early_bundles_full") == 3 * 13).await;
    assert_eq!(node.plane.metrics().early_bytes, 3 * 3 * one);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_malformed_frame_closes_the_stream_with_a_named_reason() {
    let mut network = Network::new();
    network.limits.mute = std::time::Duration::from_millis(50);
    let node = network.start(1).await;
    let mut puppet = Puppet::start(P4, &data_peer_key(P4), &[(peer_id(1), network.address(1))]);
    let hello = puppet.hello().to_bytes().to_vec();
    let after_hello = |rest: Vec<u8>| [hello.clone(), rest].concat();
    let frame = |kind: u8, length: u32, body: &[u8]| [&[kind][..], &length.to_le_bytes(), body].concat();
    let hello_of = |version, chain: [u8; 32], number| {
        Frame::Hello(Hello { version, chain: GenesisHash(chain), number: ParticipantNumber(number) })
            .to_bytes()
            .to_vec()
    };
    let genesis = chain().genesis_hash().0;
    let tampered = |change: fn(&mut Vec<u8>)| {
        let mut bytes = bundle_frame(&bundle(slot(P4, 0, 0), 0..3)).to_vec();
        change(&mut bytes);
        bytes
    };
    let sixteen = List::new(vec![ledger_types::BundleDigest::ZERO; 16]).unwrap();
    let wants = Frame::Want(sixteen).to_bytes().to_vec();
    let seventeen =
        [vec![Kind::Want.number()], 546u32.to_le_bytes().to_vec(), 17u16.to_le_bytes().to_vec(), vec![0; 544]];
    let cases: Vec<(Flow, Vec<u8>, &str)> = vec![
        (Flow::Control, frame(99, 0, &[]), "frame_kind_unknown"),
        (Flow::Control, Frame::Alive.to_bytes().to_vec(), "hello_misplaced"),
        (Flow::Control, after_hello(hello.clone()), "hello_misplaced"),
        (Flow::Control, hello_of(WIRE_VERSION + 1, genesis, 4), "wire_version_other"),
        (Flow::Control, hello_of(WIRE_VERSION, [8; 32], 4), "chain_other"),
        (Flow::Control, hello_of(WIRE_VERSION, genesis, 2), "participant_other"),
        (Flow::Control, after_hello(frame(32, 10, &[0; 10])), "frame_on_wrong_stream"),
        (Flow::Bulk, after_hello(wants.clone()), "frame_on_wrong_stream"),
        (Flow::Control, after_hello(frame(6, 16 * 1024 + 1, &[])), "frame_too_long"),
        (Flow::Bulk, after_hello(frame(32, u32::MAX, &[])), "frame_too_long"),
        (Flow::Consensus, after_hello(frame(64, CONSENSUS_BYTES_MAX as u32 + 1, &[])), "frame_too_long"),
        (Flow::Consensus, after_hello(Frame::Alive.to_bytes().to_vec()), "frame_on_wrong_stream"),
        (Flow::Control, after_hello(frame(64, 1, &[0])), "frame_on_wrong_stream"),
        (Flow::Control, after_hello(frame(2, 95, &[0; 95])), "frame_malformed"),
        (Flow::Control, after_hello(frame(9, 7, &[0; 7])), "frame_malformed"),
        (Flow::Control, after_hello(seventeen.concat()), "frame_too_long"),
        (Flow::Bulk, after_hello(frame(32, 3, &[0; 3])), "frame_malformed"),
        (Flow::Bulk, after_hello(frame(33, 31, &[0; 31])), "frame_malformed"),
        // A byte of the signature, of the body, of the count.
        (Flow::Bulk, after_hello(tampered(|bytes| bytes[HEAD_BYTES + 60] ^= 1)), "bundle_refused"),
        (Flow::Bulk, after_hello(tampered(|bytes| *bytes.last_mut().unwrap() ^= 1)), "bundle_refused"),
        (Flow::Bulk, after_hello(tampered(|bytes| bytes[HEAD_BYTES + 14] ^= 1)), "bundle_refused"),
        // Its author's, of another key.
        (
            Flow::Bulk,
            after_hello(bundle_frame(&bundle_of(slot(P4, 0, 0), 0..1, &bundle_key(P1))).to_vec()),
            "bundle_refused",
        ),
    ];
    for (flow, bytes, name) in cases {
        let before = node.refusals(name);
        // After a malformed frame the peer's streams are refused for a while: try until one is read.
        let deadline = std::time::Instant::now() + PATIENCE;
        while node.refusals(name) == before {
            assert!(
                std::time::Instant::now() < deadline,
                "{name} was not refused: {:?}",
                node.plane.metrics().refusals
            );
            if let Ok(mut stream) = puppet.open(peer_id(1), flow).await {
                let _ = stream.write_all(&bytes).await;
                let _ = stream.flush().await;
                // Closed by the other end: with a refusal, or because it still mutes us.
                let _ = read(flow, &mut stream).await;
            }
        }
    }
    assert_eq!(node.plane.metrics().bundles_stored, 0);
    assert!(node.refusals("stream_refused") > 0, "a misbehaving peer waits");
}

/// Acks, certificates and answers of no use are ignored without harm.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unasked_and_forged_control_frames_change_nothing() {
    let network = Network::new();
    let nodes = network.start_all(1..=2).await;
    let mut puppet = Puppet::start(P4, &data_peer_key(P4), &[(peer_id(1), network.address(1))]);
    let mut control = puppet.greet(peer_id(1), Flow::Control).await;
    let submitted = bundle(slot(BANK, 0, 0), 0..3);
    nodes[0].plane.submit_bundle(submitted.clone()).await.unwrap();
    until("the second node acked", || nodes[1].plane.metrics().acks_sent >= 1).await;

    let forged_ack = Frame::Ack(Ack { digest: submitted.digest(), signature: submitted.signature() });
    let no_quorum = certificate(&submitted, &[1, 2]);
    let mut forged = certificate(&submitted, &[1, 2, 3]);
    forged.acks.as_mut_slice()[2].signature = submitted.signature();
    let unasked = Frame::Answer(Question { id: 5, bytes: Octets::new(vec![1]).unwrap() });
    for frame in [
        forged_ack,
        Frame::Certificate(Box::new(no_quorum)),
        Frame::Certificate(Box::new(forged)),
        unasked,
        Frame::HeightStarted(Height(u64::MAX)),
        Frame::Absent(submitted.digest()),
        Frame::Message(b"the last".to_vec()),
    ] {
        send(&mut control, &frame).await;
    }
    until("the last frame was read", || !nodes[0].witness.messages.lock().unwrap().is_empty()).await;
    assert_eq!(nodes[0].refusals("ack_invalid"), 1);
    assert_eq!(nodes[0].refusals("certificate_invalid"), 2);
    assert_eq!(nodes[0].plane.metrics().certificates_made, 0);
    assert!(!nodes[0].plane.has_work(&first_tip()));

    // A true third ack completes the quorum.
    let signature = bundle_key(P4).sign(&ack_message(&chain(), &submitted.digest(), P4));
    send(&mut control, &Frame::Ack(Ack { digest: submitted.digest(), signature })).await;
    until("the bundle is certified", || nodes[1].plane.has_work(&first_tip())).await;
}
