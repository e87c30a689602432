//! What the consensus engine says, on streams of its own.

use crate::plane_support;

use bytes::Bytes;
use consensus::plane::wire::{Flow, Frame};
use ledger_types::{DecodeError, ParticipantNumber};
use libp2p::futures::StreamExt;
use plane_support::*;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const P1: ParticipantNumber = ParticipantNumber(1);
const P4: ParticipantNumber = ParticipantNumber(4);
const NONSENSE: &[u8] = b"nonsense";

/// Stands for an engine.
#[derive(Clone, Default)]
struct Ear(Arc<Mutex<Vec<(ParticipantNumber, Bytes)>>>);

impl Ear {
    fn of(node: &Node) -> Self {
        let ear = Ear::default();
        let heard = ear.clone();
        node.plane.hear_consensus(Arc::new(move |from, message| match message == NONSENSE {
            true => Err(DecodeError::Truncated),
            false => {
                heard.0.lock().unwrap().push((from, message));
                Ok(())
            }
        }));
        ear
    }

    fn has(&self, from: ParticipantNumber, message: &Bytes) -> bool {
        self.0.lock().unwrap().contains(&(from, message.clone()))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_reaches_every_peer_in_order_with_its_sender() {
    let network = Network::new();
    let nodes = network.start_all(1..=OBSERVER.0).await;
    let ears: Vec<Ear> = nodes[1..].iter().map(Ear::of).collect();
    let probe = Bytes::from_static(b"are all streams open?");
    let all_hear = || nodes[0].plane.send_consensus(probe.clone()) && ears.iter().all(|ear| ear.has(P1, &probe));
    until("all have heard", all_hear).await;
    let said: Vec<Bytes> = (0..20u8).map(|number| vec![number; 100].into()).collect();
    for message in &said {
        assert!(nodes[0].plane.send_consensus(message.clone()));
    }
    for ear in &ears {
        until("the last has come", || ear.has(P1, &said[19])).await;
        let heard = ear.0.lock().unwrap();
        let came: Vec<_> = heard.iter().filter(|(_, message)| *message != probe).cloned().collect();
        assert_eq!(came, said.iter().map(|message| (P1, message.clone())).collect::<Vec<_>>());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_validator_that_is_away_is_told_of_and_the_others_hear() {
    let network = Network::new();
    let mut nodes = network.start_all(1..=4).await;
    let message = Bytes::from_static(b"a vote");
    until("every validator hears", || nodes[0].plane.send_consensus(message.clone())).await;
    let detours = nodes[0].plane.metrics().consensus_detours;
    nodes.pop().unwrap().plane.stop().await;
    let ears: Vec<Ear> = nodes[1..].iter().map(Ear::of).collect();
    let last = Bytes::from_static(b"a vote after the fourth has gone");
    until("the fourth's stream is closed", || !nodes[0].plane.send_consensus(last.clone())).await;
    assert!(nodes[0].plane.metrics().consensus_detours > detours);
    until("the others have heard", || ears.iter().all(|ear| ear.has(P1, &last))).await;
}

/// A version without such streams: it has no protocol of that name. Nothing must change for several times that a stream is asked for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_validator_that_knows_no_consensus_stream_is_not_taken_for_one_that_hears() {
    let network = Network::new();
    let nodes = network.start_all(1..=3).await;
    let mut older = Puppet::start(P4, &data_peer_key(P4), &[(peer_id(1), network.address(1))]);
    older.greet(peer_id(1), Flow::Control).await;
    until("all three are connected", || nodes[0].plane.connected().len() == 3).await;
    let (ears, message) = (nodes[1..].iter().map(Ear::of).collect::<Vec<_>>(), Bytes::from_static(b"a vote"));
    let since = Instant::now();
    while since.elapsed() < Duration::from_secs(1) || !ears.iter().all(|ear| ear.has(P1, &message)) {
        assert!(!nodes[0].plane.send_consensus(message.clone()), "the fourth cannot hear");
        assert!(since.elapsed() < PATIENCE, "the others hear");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The peer refuses streams for a while, or replaced this one: nothing that is said to it would be heard.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_the_peer_drops_is_noticed_and_opened_again_with_nothing_said() {
    let network = Network::new();
    let nodes = network.start_all(1..=3).await;
    let mut fourth = Puppet::start(P4, &data_peer_key(P4), &[(peer_id(1), network.address(1))]);
    let mut streams = fourth.control.accept(Flow::Consensus.protocol()).unwrap();
    let control = fourth.greet(peer_id(1), Flow::Control).await;
    for _ in 0..3 {
        let opened = tokio::time::timeout(PATIENCE, streams.next()).await.expect("a stream in time");
        let (_, mut stream) = opened.expect("the swarm runs");
        assert!(matches!(read(Flow::Consensus, &mut stream).await.unwrap(), Frame::Hello(_)));
    }
    drop((control, nodes));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_no_validator_is_not_heard_and_who_speaks_nonsense_loses_its_stream() {
    let network = Network::new();
    let node = network.start(1).await;
    let ear = Ear::of(&node);
    let vote = Bytes::from_static(b"a vote");
    let mut observer = Puppet::start(OBSERVER, &data_peer_key(OBSERVER), &[(peer_id(1), network.address(1))]);
    let mut stream = observer.greet(peer_id(1), Flow::Consensus).await;
    send(&mut stream, &Frame::Consensus(vote.clone())).await;
    until("the observer is refused", || node.refusals("consensus_of_no_validator") == 1).await;
    let mut fourth = Puppet::start(P4, &data_peer_key(P4), &[(peer_id(1), network.address(1))]);
    let mut stream = fourth.greet(peer_id(1), Flow::Consensus).await;
    send(&mut stream, &Frame::Consensus(vote.clone())).await;
    until("the validator is heard", || ear.has(P4, &vote)).await;
    send(&mut stream, &Frame::Consensus(Bytes::from_static(NONSENSE))).await;
    until("the nonsense is refused", || node.refusals("consensus_malformed") == 1).await;
    assert!(!ear.has(OBSERVER, &vote));
    assert!(read(Flow::Consensus, &mut stream).await.is_err(), "the stream is closed");
}
