//! Another validator set decides (G-4): what its quorum has not acked is acked anew, and nobody's ack counts beyond its set.

use crate::plane_support;

use consensus::port::Tip;
use ledger_types::bundle::Slot;
use ledger_types::keys::SigningKey;
use ledger_types::participant::{Directory, Participant, ParticipantKeys, Roles};
use ledger_types::{Height, ParticipantNumber};
use plane_support::*;
use std::sync::Arc;

const P1: ParticipantNumber = ParticipantNumber(1);

/// An empty block later, with this participant's power in the set that decides.
fn with_power(tip: &Tip, number: ParticipantNumber, power: u64) -> Tip {
    let line = |line: &Participant| match line.number == number {
        true if power > 0 => Participant { roles: line.roles.and(Roles::VALIDATOR), power, ..line.clone() },
        true => Participant { roles: Roles::COMMERCIAL_BANK, power, ..line.clone() },
        false => line.clone(),
    };
    let directory = Directory::new(tip.directory.iter().map(line).collect()).unwrap();
    let validators = directory.validators();
    Tip { height: Height(tip.height.0 + 1), validators, directory: Arc::new(directory), ..tip.clone() }
}

fn commit(nodes: &[Node], before: &Tip, after: &Tip) {
    let (block, _) = ordered(before, &[]);
    nodes.iter().for_each(|node| node.plane.committed(&block, after.clone()));
}

fn signers(node: &Node, tip: &Tip) -> Option<Vec<u16>> {
    let certificates = node.candidates(tip);
    let certificate = certificates.first()?;
    assert!(certificate.verify(&chain(), &tip.validators).is_ok(), "a candidate holds under the set of its height");
    Some(certificate.acks.iter().map(|ack| ack.signer.0).collect())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g4_a_certificate_short_of_the_quorum_of_a_larger_set_is_made_anew_with_the_joiners_ack() {
    let network = Network::new();
    let nodes = network.start_all([1, 2, 3, BANK.0]).await;
    let tip = first_tip();
    nodes[0].plane.submit(envelopes(P1, 0..3)).await.unwrap();
    until("three of four have acked", || nodes.iter().all(|node| signers(node, &tip) == Some(vec![1, 2, 3]))).await;
    assert_eq!(nodes[3].plane.metrics().acks_sent, 0, "who is in no set acks nothing");

    let joined = with_power(&tip, BANK, 1);
    commit(&nodes, &tip, &joined);
    until("four of five have acked", || nodes.iter().all(|node| signers(node, &joined) == Some(vec![1, 2, 3, BANK.0])))
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g4_the_ack_of_one_who_left_counts_no_more_and_is_replaced() {
    let network = Network::new();
    let nodes = network.start_all(1..=4).await;
    let tip = first_tip();
    nodes[0].plane.submit(envelopes(P1, 0..3)).await.unwrap();
    until("certified", || nodes.iter().all(|node| signers(node, &tip).is_some())).await;

    let left = with_power(&tip, ParticipantNumber(4), 0);
    commit(&nodes, &tip, &left);
    until("all three of three have acked", || nodes.iter().all(|node| signers(node, &left) == Some(vec![1, 2, 3])))
        .await;
    assert!(signers(&nodes[0], &left).is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g4_a_certificate_of_the_set_before_is_none_for_the_next() {
    let network = Network::new();
    let nodes = network.start_all(1..=2).await;
    let (before, joined) = (first_tip(), with_power(&first_tip(), BANK, 1));
    let three = certificate(&bundle(slot(P1, 0, 0), 0..3), &[1, 2, 3]);
    assert!(nodes[0].plane.certificate_is_valid(&three));
    commit(&nodes, &before, &joined);
    assert!(!nodes[0].plane.certificate_is_valid(&three));
    let four = certificate(&bundle(slot(P1, 0, 0), 0..3), &[1, 2, 3, BANK.0]);
    assert!(nodes[0].plane.certificate_is_valid(&four));
}

/// Of the second bundle, in the slot in which it was offered and not in a later incarnation of the lane.
fn signers_of_the_second(node: &Node, tip: &Tip) -> Option<Vec<u16>> {
    let certificates = node.candidates(tip);
    let is_second = |slot: Slot| (slot.incarnation, slot.sequence) == (0, 1);
    let certificate = certificates.iter().find(|certificate| is_second(certificate.header.slot))?;
    assert!(certificate.verify(&chain(), &tip.validators).is_ok());
    Some(certificate.acks.iter().map(|ack| ack.signer.0).collect())
}

/// The first bundle of a lane is certified by three, then number 3 is gone, and the second one has the acks of 1 and 2.
async fn two_acks_of_four(nodes: &mut Vec<Node>, submitter: ParticipantNumber) -> Tip {
    let tip = first_tip();
    let sponsor = nodes.iter().position(|node| node.number == submitter).unwrap();
    nodes[sponsor].plane.submit(envelopes(submitter, 0..3)).await.unwrap();
    until("the first is certified", || nodes.iter().all(|node| signers(node, &tip).is_some())).await;
    nodes.retain(|node| node.number != ParticipantNumber(3));
    let sponsor = nodes.iter().position(|node| node.number == submitter).unwrap();
    until("number 3 is gone", || nodes.iter().all(|node| !node.plane.connected().contains(&ParticipantNumber(3))))
        .await;
    nodes[sponsor].plane.submit(envelopes(submitter, 3..6)).await.unwrap();
    let ackers: Vec<usize> = (0..nodes.len()).filter(|at| *at != sponsor && nodes[*at].number.0 <= 2).collect();
    until("the others have acked", || ackers.iter().all(|at| nodes[*at].plane.metrics().acks_sent == 2)).await;
    assert_eq!(nodes[sponsor].plane.backlog().uncertified, 1);
    tip
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g4_acks_short_of_a_quorum_are_counted_again_by_the_incoming_set() {
    let network = Network::new();
    let mut nodes = network.start_all(1..=3).await;
    let tip = two_acks_of_four(&mut nodes, P1).await;
    let three = with_power(&tip, ParticipantNumber(4), 0);
    commit(&nodes, &tip, &three);
    let two = with_power(&three, ParticipantNumber(3), 0);
    commit(&nodes, &three, &two);
    until("both of two have acked", || nodes.iter().all(|node| signers_of_the_second(node, &two) == Some(vec![1, 2])))
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g4_who_comes_in_acks_what_it_offered_as_an_observer() {
    let network = Network::new();
    let mut nodes = network.start_all([1, 2, 3, BANK.0]).await;
    let tip = two_acks_of_four(&mut nodes, BANK).await;
    let five = with_power(&tip, BANK, 1);
    commit(&nodes, &tip, &five);
    let four = with_power(&five, ParticipantNumber(3), 0);
    commit(&nodes, &five, &four);
    until("three of four have acked", || {
        nodes.iter().all(|node| signers_of_the_second(node, &four) == Some(vec![1, 2, BANK.0]))
    })
    .await;
}

/// Its process was not started with the key under which officers took it in.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g4_who_comes_in_under_a_key_that_it_does_not_have_acks_nothing() {
    let network = Network::new();
    let nodes = network.start_all([1, 2, 3, BANK.0]).await;
    let tip = first_tip();
    let joined = with_power(&tip, BANK, 1);
    let line = |line: &Participant| match line.number == BANK {
        true => Participant {
            keys: ParticipantKeys { bundle: SigningKey::from_seed(&[99; 32]).public_key(), ..line.keys.clone() },
            ..line.clone()
        },
        false => line.clone(),
    };
    let directory = Directory::new(joined.directory.iter().map(line).collect()).unwrap();
    let joined = Tip { validators: directory.validators(), directory: Arc::new(directory), ..joined };
    commit(&nodes, &tip, &joined);
    // Bundles are settled one after the other: with the second on disk the first one's ack would be out.
    for (count, envelopes) in [(1, envelopes(P1, 0..3)), (2, envelopes(P1, 3..6))] {
        nodes[0].plane.submit(envelopes).await.unwrap();
        until("all have the bundle", || nodes.iter().all(|node| node.plane.metrics().bundles_stored == count)).await;
    }
    until("the others have acked", || nodes[1..3].iter().all(|node| node.plane.metrics().acks_sent == 2)).await;
    assert_eq!(nodes[3].plane.metrics().acks_sent, 0);
    assert_eq!(nodes[0].plane.backlog().uncertified, 2, "three acks of five");
}
