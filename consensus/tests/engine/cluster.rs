//! Validators decide together: all four, with one dead, with a wrong clock, with nothing to do; and who does not belong stays out.

use crate::toy::{Cluster, Node, eventually};
use consensus::engine::{EngineError, Pace};
use ledger_types::{Height, ParticipantNumber};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

const IDLE_NEVER: Duration = Duration::from_secs(3600);
const SOON: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_validators_decide_the_same_blocks() {
    let mut cluster = Cluster::new(4, 0, IDLE_NEVER);
    cluster.fabric.certify(&cluster.directory, 9);
    cluster.fabric.demand(12);
    cluster.start(0..4).await;
    cluster.reach(0..4, 12).await;
    cluster.assert_equal_histories();
    assert_eq!(cluster.nodes[0].toy.ordered(), 9, "every certified bundle is ordered once");
    // B-1: proposed once or checked once; a height with several rounds has several candidates.
    let candidates: u64 = cluster.nodes[0].toy.rounds().iter().map(|round| u64::from(*round) + 1).sum();
    assert!(cluster.nodes[0].toy.executed.load(Ordering::Relaxed) <= candidates);
    cluster.assert_no_evidence();
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_validator_alone_is_a_chain_too() {
    let mut cluster = Cluster::new(1, 0, IDLE_NEVER);
    cluster.fabric.demand(5);
    cluster.start(0..1).await;
    cluster.reach(0..1, 5).await;
    cluster.stop().await;
}

/// A height whose proposer is dead takes one more round: propose and vote timeouts, 0.6 s, and the work of a height.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_proposer_costs_at_most_a_second_and_is_demoted_b4() {
    let mut cluster = Cluster::new(4, 0, IDLE_NEVER);
    cluster.fabric.demand(40);
    cluster.start(0..3).await;
    cluster.reach(0..3, 40).await;
    let (rounds, at) = (cluster.nodes[0].toy.rounds(), cluster.nodes[0].toy.committed_at.lock().unwrap().clone());
    // Height 1 pays for the start as well.
    let mut dead: Vec<Duration> = (1..40).filter(|i| rounds[*i] == 1).map(|i| at[i] - at[i - 1]).collect();
    dead.sort();
    assert!(dead.len() >= 2, "{rounds:?}");
    assert!(dead[dead.len() / 2] <= Duration::from_secs(1), "{dead:?}");
    // B-4: after the trial of eight heights and one more, nobody waits for it.
    assert!(rounds[9..].iter().all(|round| *round == 0), "{rounds:?}");
    cluster.assert_equal_histories();
    cluster.stop().await;
}

/// f = 2 of n = 7. Demotion (B-4) is not needed: two dead in a row cost a height two rounds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_of_seven_validators_decide_while_two_are_dead() {
    let mut cluster = Cluster::new(7, 0, IDLE_NEVER);
    cluster.fabric.certify(&cluster.directory, 5);
    cluster.fabric.demand(9);
    cluster.start(0..5).await;
    cluster.reach(0..5, 9).await;
    cluster.assert_equal_histories();
    let toy = &cluster.nodes[0].toy;
    assert_eq!(toy.ordered(), 5, "every certified bundle is ordered once");
    assert!((1..=9).all(|height| toy.signers(height) == [1, 2, 3, 4, 5]), "no quorum without each of the five");
    assert!(toy.rounds().iter().any(|round| *round > 0), "the dead are asked to propose: {:?}", toy.rounds());
    cluster.assert_no_evidence();
    cluster.stop().await;
}

/// One more than f is dead. A round does not end without a quorum of prevotes, so what passes is time. All start as five: four
/// are not enough to learn that they may vote (B-9).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_of_seven_validators_decide_nothing_until_a_fifth_is_back() {
    let mut cluster = Cluster::new(7, 0, IDLE_NEVER);
    cluster.start(0..5).await;
    cluster.reach(0..5, 2).await;
    cluster.nodes[4].stop().await;
    cluster.fabric.demand(5);
    let signs = |node: &Node| node.last_signed().is_some_and(|last| last.position.height == Height(3));
    let all_sign = || cluster.nodes[..4].iter().all(signs);
    eventually("votes of all four in height 3", SOON, all_sign, || format!("{:?}", cluster.heights())).await;
    let timeouts = cluster.nodes[0].config.timeouts;
    let since = Instant::now();
    while since.elapsed() < 3 * (timeouts.propose + timeouts.vote) {
        assert_eq!(cluster.heights(), [2, 2, 2, 2, 2, 0, 0]);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    cluster.nodes[4].start().await;
    cluster.reach(0..5, 5).await;
    cluster.assert_equal_histories();
    cluster.assert_no_evidence();
    cluster.stop().await;
}

/// Each block is more work than a round has time for: the next round decides it, and nobody executes another.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_block_that_takes_longer_than_its_round_is_decided_in_a_later_one_and_executed_once() {
    let mut cluster = Cluster::new(4, 0, IDLE_NEVER);
    let timeouts = cluster.nodes[0].config.timeouts;
    let check_takes = timeouts.propose + timeouts.vote;
    for node in &cluster.nodes {
        node.toy.check_takes_ms.store(check_takes.as_millis() as u64, Ordering::Relaxed);
    }
    cluster.fabric.demand(6);
    cluster.start(0..4).await;
    cluster.reach(0..4, 6).await;
    let rounds = cluster.nodes[0].toy.rounds();
    // The first two heights pay for the start as well.
    assert!(rounds[2..].contains(&1), "{rounds:?}");
    for node in &cluster.nodes {
        let executed = node.toy.executed.load(Ordering::Relaxed);
        let before: u64 = node.toy.rounds()[..2].iter().map(|round| u64::from(*round) + 1).sum();
        assert!(executed <= before + 5, "{executed} executions, rounds {rounds:?}");
    }
    cluster.assert_no_evidence();
    cluster.stop().await;
}

/// Five heights from the third on: the first two never wait.
async fn five_heights_take(pace: Pace) -> Duration {
    let mut cluster = Cluster::new(4, 0, IDLE_NEVER);
    cluster.nodes.iter_mut().for_each(|node| node.config.pace = pace.clone());
    cluster.fabric.demand(8);
    cluster.start(0..4).await;
    cluster.reach(0..4, 8).await;
    let at = cluster.nodes[0].toy.committed_at.lock().unwrap().clone();
    cluster.stop().await;
    at[7] - at[2]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_busy_chain_keeps_its_pace_unless_much_lies_ready() {
    let height_every = Duration::from_millis(600);
    // The toy's work counts as one byte.
    let paced = five_heights_take(Pace::steady(height_every, 2)).await;
    assert!(paced >= height_every * 4, "{paced:?}");
    let hurried = five_heights_take(Pace::steady(height_every, 1)).await;
    assert!(hurried < height_every * 4, "{hurried:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trap_7_without_work_no_height_is_made_and_with_work_all_wake() {
    let mut cluster = Cluster::new(4, 0, IDLE_NEVER);
    cluster.start(0..4).await;
    cluster.reach(0..4, 2).await; // heights 1 and 2 always run
    let idle_since = Instant::now();
    while idle_since.elapsed() < Duration::from_secs(3) {
        assert_eq!(cluster.heights(), vec![2; 4]);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let woken = Instant::now();
    cluster.fabric.demand(3);
    cluster.reach(0..4, 3).await;
    assert!(woken.elapsed() < Duration::from_secs(2), "{:?}", woken.elapsed());
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b5_an_idle_chain_makes_one_height_each_interval() {
    let interval = Duration::from_secs(1);
    let mut cluster = Cluster::new(4, 0, interval);
    cluster.start(0..4).await;
    cluster.reach(0..4, 2).await;
    let start = Instant::now();
    cluster.reach(0..4, 5).await;
    assert!(start.elapsed() > interval * 2, "three heights in {:?}", start.elapsed());
    cluster.assert_equal_histories();
    cluster.stop().await;
}

/// Its blocks are withheld by the others while it proposes; theirs it takes when a quorum has prevoted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b5_a_validator_with_a_wrong_clock_follows_and_its_blocks_are_withheld() {
    for skew_ms in [-60_000, 60_000] {
        let mut cluster = Cluster::new(4, 0, IDLE_NEVER);
        cluster.nodes[1].clock_skew_ms.store(skew_ms, Ordering::SeqCst);
        cluster.fabric.demand(10);
        cluster.start(0..4).await;
        cluster.reach(0..4, 10).await;
        cluster.assert_equal_histories();
        cluster.assert_no_evidence();
        let times = cluster.nodes[0].toy.times_ms();
        assert!(times.is_sorted_by(|a, b| a < b), "parent.time < time");
        if skew_ms > 0 {
            #[expect(clippy::disallowed_methods, reason = "the nodes' clock is skewed from this one")]
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as u64;
            assert!(times.iter().all(|time| *time <= now + 2_000), "no block of the future was decided");
        }
        cluster.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b1_a_decided_block_that_is_refused_here_stops_the_node() {
    let mut cluster = Cluster::new(4, 0, IDLE_NEVER);
    cluster.nodes[3].toy.refuses.store(4, Ordering::Relaxed);
    cluster.fabric.demand(8);
    cluster.start(0..4).await;
    cluster.reach(0..3, 8).await;
    let mut running = cluster.nodes[3].running.take().unwrap();
    let ended = tokio::time::timeout(SOON, running.ended()).await.expect("stops by itself").unwrap_err();
    assert!(matches!(&ended, EngineError::MustStop(must_stop) if must_stop.0.contains("refused here")), "{ended}");
    assert_eq!(cluster.nodes[3].toy.height(), 3);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_height_that_cannot_be_made_durable_stops_the_node() {
    let mut cluster = Cluster::new(1, 0, IDLE_NEVER);
    cluster.nodes[0].toy.cannot_commit.store(true, Ordering::Relaxed);
    cluster.start(0..1).await;
    let mut running = cluster.nodes[0].running.take().unwrap();
    let ended = tokio::time::timeout(SOON, running.ended()).await.expect("stops by itself").unwrap_err();
    assert!(matches!(&ended, EngineError::MustStop(must_stop) if must_stop.0.contains("disk is full")), "{ended}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b13_a_validator_with_old_rules_stops_before_their_end_and_signs_nothing_while_the_others_go_on() {
    let mut cluster = Cluster::new(4, 0, IDLE_NEVER);
    cluster.nodes[3].toy.knows_through.store(4, Ordering::Relaxed);
    cluster.fabric.demand(8);
    cluster.start(0..4).await;
    cluster.reach(0..3, 8).await;
    for _ in 0..2 {
        // And as often as it is started again.
        let mut running = cluster.nodes[3].running.take().unwrap();
        let ended = tokio::time::timeout(SOON, running.ended()).await.expect("stops by itself").unwrap_err();
        assert!(matches!(&ended, EngineError::MustStop(must_stop) if must_stop.0.contains("rules")), "{ended}");
        assert_eq!(cluster.nodes[3].toy.height(), 4);
        assert!(cluster.nodes[3].last_signed().is_none_or(|last| last.position.height <= Height(4)));
        cluster.nodes[3].start().await;
    }
    for height in 5..=8 {
        assert!(!cluster.nodes[0].toy.signers(height).contains(&4), "height {height}");
    }
    // With the new program it catches up, and votes.
    let _ = cluster.nodes[3].running.take().unwrap().ended().await;
    cluster.nodes[3].toy.knows_through.store(u64::MAX, Ordering::Relaxed);
    cluster.nodes[3].start().await;
    cluster.reach(3..4, 8).await;
    cluster.fabric.demand(16);
    cluster.reach(0..4, 16).await;
    let votes = || cluster.nodes[3].last_signed().is_some_and(|last| last.position.height > Height(8));
    eventually("the new program votes", SOON, votes, || format!("{:?}", cluster.nodes[3].vote())).await;
    cluster.assert_equal_histories();
    cluster.assert_no_evidence();
    cluster.stop().await;
}

/// Two nodes with one key sign two proposals for one place. The others see it, keep it, and still agree.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn equivocation_is_reported_with_both_signed_messages() {
    let mut cluster = Cluster::new(4, 1, IDLE_NEVER);
    cluster.make_a_twin(4, 3);
    // The twins sign apart when both hear of a proposal in time, which is not so at every height: heights until they have.
    cluster.fabric.demand(u64::MAX);
    cluster.start(0..5).await;
    let seen = || cluster.nodes[..3].iter().any(|node| !node.toy.evidence.lock().unwrap().is_empty());
    eventually("evidence", SOON, seen, || format!("{:?}", cluster.heights())).await;
    let twin = ParticipantNumber(4);
    for evidence in cluster.nodes[..3].iter().flat_map(|node| node.toy.evidence.lock().unwrap().clone()) {
        assert_eq!(evidence.validator, twin);
        assert_ne!(evidence.first, evidence.second);
        assert!(["proposal", "prevote", "precommit"].contains(&evidence.what.as_str()));
    }
    cluster.assert_equal_histories();
    cluster.stop().await;
}

/// Trap 12: only those whom the directory names, each by its key.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stranger_gets_no_connection_and_learns_no_block() {
    let mut cluster = Cluster::new(4, 1, IDLE_NEVER);
    cluster.make_a_stranger(4);
    cluster.fabric.demand(30);
    cluster.start(0..5).await;
    cluster.reach(0..4, 30).await;
    assert_eq!(cluster.nodes[4].toy.height(), 0);
    cluster.stop().await;
}

/// Trap 15.
#[tokio::test]
async fn addresses_that_need_a_resolver_are_refused() {
    for address in ["/dns4/localhost/tcp/1", "/ip4/127.0.0.1/udp/1/quic-v1", "/ip4/127.0.0.1"] {
        let mut cluster = Cluster::new(1, 0, IDLE_NEVER);
        cluster.nodes[0].config.listen = address.parse().unwrap();
        cluster.start(0..1).await;
        let mut running = cluster.nodes[0].running.take().unwrap();
        assert!(matches!(running.ended().await, Err(EngineError::Config(_))), "{address}");
    }
}
