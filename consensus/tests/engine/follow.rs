//! Those behind: a node that was away, an observer, one that lacks bundles.

use crate::toy::{Cluster, eventually};
use consensus::engine::Vote;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

const IDLE_NEVER: Duration = Duration::from_secs(3600);
const SOON: Duration = Duration::from_secs(30);

/// It fetches the bundles over the data plane, not over sync (B-6).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_was_away_catches_up_and_votes_again() {
    let mut cluster = Cluster::new(4, 0, IDLE_NEVER);
    cluster.fabric.demand(4);
    cluster.start(0..4).await;
    cluster.reach(0..4, 4).await;
    cluster.nodes[3].stop().await;
    cluster.fabric.certify(&cluster.directory, 30);
    cluster.fabric.demand(60);
    cluster.reach(0..3, 60).await;
    assert_eq!(cluster.nodes[3].toy.height(), 4);
    cluster.nodes[3].plane.receives.store(false, Ordering::SeqCst);
    let back = Instant::now();
    cluster.nodes[3].start().await;
    cluster.reach(3..4, 60).await;
    assert!(back.elapsed() < Duration::from_secs(10), "rejoined in {:?}", back.elapsed());
    assert_eq!(cluster.nodes[3].plane.fetched.load(Ordering::SeqCst), 30);
    cluster.assert_equal_histories();
    // The others are idle at 60: nothing but its own restart was there to be decided.
    assert_eq!(cluster.heights(), vec![60; 4]);
    cluster.fabric.demand(75);
    cluster.reach(0..4, 75).await;
    cluster.until_voted_after(3, 60).await;
    cluster.assert_no_evidence();
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_observer_follows_and_signs_nothing() {
    let mut cluster = Cluster::new(4, 1, IDLE_NEVER);
    cluster.fabric.certify(&cluster.directory, 6);
    cluster.fabric.demand(10);
    cluster.start(0..4).await;
    cluster.reach(0..4, 5).await;
    // It comes late: first by sync, then by what it hears.
    cluster.start(4..5).await;
    cluster.reach(0..5, 10).await;
    cluster.fabric.demand(20);
    cluster.reach(0..5, 20).await;
    assert_eq!(cluster.nodes[4].vote(), Vote::Never);
    assert!((1..=20).all(|height| !cluster.nodes[0].toy.signers(height).contains(&5)));
    assert_eq!(cluster.nodes[4].toy.ordered(), 6);
    cluster.assert_equal_histories();
    cluster.stop().await;
}

/// B-6: the others decide without waiting; the one without bundles votes for nothing that it has not executed, and follows when
/// it has them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_without_the_bundles_commits_when_it_has_fetched_them() {
    let mut cluster = Cluster::new(4, 0, IDLE_NEVER);
    cluster.start(0..4).await;
    cluster.reach(0..4, 2).await;
    let late = &cluster.nodes[3];
    late.plane.receives.store(false, Ordering::SeqCst);
    late.plane.can_fetch.store(false, Ordering::SeqCst);
    cluster.fabric.certify(&cluster.directory, 3);
    cluster.fabric.demand(6);
    cluster.reach(0..3, 6).await;
    assert!(late.toy.height() < 6 && late.toy.ordered() == 0, "height {}", late.toy.height());
    let (others, with_bundles) = (&cluster.nodes[0].toy, |height: &u64| cluster.nodes[0].toy.ordered_at(*height) > 0);
    assert!(
        (3..=6).filter(with_bundles).all(|height| !others.signers(height).contains(&4)),
        "it votes for nothing it has not executed"
    );
    late.plane.can_fetch.store(true, Ordering::SeqCst);
    cluster.reach(0..4, 6).await;
    assert_eq!(late.toy.ordered(), 3);
    cluster.assert_equal_histories();
    cluster.stop().await;
}

/// B-6: those who wait for bundles vote for nothing, and the next proposer orders what all have.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proposer_whose_bundles_nobody_can_have_costs_a_round_and_orders_nothing() {
    let mut cluster = Cluster::new(4, 0, IDLE_NEVER);
    let id = cluster.nodes[2].plane.withhold(&cluster.directory);
    cluster.fabric.certify(&cluster.directory, 6);
    cluster.fabric.demand(8);
    cluster.start(0..4).await;
    cluster.reach(0..4, 8).await;
    let toy = &cluster.nodes[0].toy;
    assert!(cluster.nodes[2].plane.offered_withheld.load(Ordering::SeqCst) > 0, "it proposed");
    assert!(toy.rounds().iter().any(|round| *round > 0), "its rounds are lost: {:?}", toy.rounds());
    assert_eq!(toy.ordered(), 6, "the others' proposals order what all have");
    assert!(!toy.items.lock().unwrap().contains(&id));
    cluster.assert_equal_histories();
    cluster.assert_no_evidence();
    cluster.stop().await;
}

/// Trap 6 and 9: two of four commit slowly, and no quorum is without one of them. What came for the next height while they were at
/// the last one is used: no round is lost to it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_for_the_next_height_during_a_slow_commit_is_used() {
    let mut cluster = Cluster::new(4, 0, IDLE_NEVER);
    for node in [1, 2] {
        cluster.nodes[node].toy.commit_takes_ms.store(60, Ordering::Relaxed);
    }
    cluster.fabric.demand(40);
    cluster.start(0..4).await;
    cluster.reach(0..4, 40).await;
    // A busy machine loses a few rounds by itself, to its time-outs.
    let rounds = cluster.nodes[0].toy.rounds();
    assert!(rounds[2..].iter().filter(|round| **round > 0).count() <= 8, "{rounds:?}");
    cluster.assert_equal_histories();
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_of_an_idle_chain_costs_no_height() {
    let mut cluster = Cluster::new(4, 0, IDLE_NEVER);
    cluster.fabric.demand(5);
    cluster.start(0..4).await;
    cluster.reach(0..4, 5).await;
    cluster.nodes[1].stop().await;
    cluster.nodes[1].start().await;
    let votes = || cluster.nodes[1].vote() == Vote::Votes;
    eventually("permission to vote", SOON, votes, || format!("{:?}", cluster.nodes[1].vote())).await;
    let since = Instant::now();
    while since.elapsed() < Duration::from_secs(2) {
        assert_eq!(cluster.heights(), vec![5; 4]);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    cluster.fabric.demand(9);
    cluster.reach(0..4, 9).await;
    cluster.stop().await;
}
