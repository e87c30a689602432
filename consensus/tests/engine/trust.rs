//! What a validator may sign after a restart: the guard, the log, and what the others remember (B-9, trap 3, trap 5).

use crate::toy::{CHAIN, CONSENSUS, Cluster, directory, eventually, key};
use consensus::engine::recall::Why;
use consensus::engine::witness::{QuorumSeen, Witness};
use consensus::engine::{EngineError, Vote};
use consensus::guard::{Position, SigningGuard, Step};
use consensus::port::Application;
use ledger_types::block::RENEWAL_MARGIN_MS;
use ledger_types::keys::Signature;
use ledger_types::vote::VoteStep;
use ledger_types::{BlockHash, Height, ParticipantNumber};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

const IDLE_NEVER: Duration = Duration::from_secs(3600);
const SOON: Duration = Duration::from_secs(30);

async fn until_vote_is(cluster: &Cluster, node: usize, expected: impl Fn(&Vote) -> bool) {
    let vote = || cluster.nodes[node].vote();
    eventually("another standing", SOON, || expected(&vote()), || format!("{:?} at {:?}", vote(), cluster.heights()))
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b9_without_a_guard_a_validator_follows_and_never_votes() {
    let mut cluster = Cluster::new(4, 0, IDLE_NEVER);
    cluster.nodes[3].with_guard = false;
    cluster.fabric.demand(10);
    cluster.start(0..4).await;
    cluster.reach(0..4, 10).await;
    assert_eq!(cluster.nodes[3].vote(), Vote::GuardMissing);
    assert!((1..=10).all(|height| !cluster.nodes[0].toy.signers(height).contains(&4)));
    assert_eq!(cluster.nodes[3].last_signed(), None);
    cluster.stop().await;
}

/// All four stop in the middle of whatever they do and start again: the logs carry them on, nobody is muted, nobody signs twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trap_5_a_cluster_that_restarts_at_once_goes_on_from_its_logs() {
    let mut cluster = Cluster::new(4, 0, IDLE_NEVER);
    cluster.fabric.certify(&cluster.directory, 40);
    cluster.fabric.demand(1_000_000);
    for _ in 0..6 {
        let before = cluster.heights().into_iter().max().unwrap();
        cluster.start(0..4).await;
        cluster.reach(0..4, before + 4).await;
        for node in 0..4 {
            assert_eq!(cluster.nodes[node].vote(), Vote::Votes);
        }
        cluster.stop().await;
        cluster.assert_equal_histories();
    }
    cluster.assert_no_evidence();
    assert_eq!(cluster.nodes[0].toy.ordered(), 40.min(cluster.nodes[0].toy.height() * 3));
}

/// Two of four vote in a height that cannot be decided, and stop. `damage` is done to the fourth before all start again.
async fn stopped_in_the_middle_of_a_height(damage: impl Fn(&std::path::Path)) -> Cluster {
    let mut cluster = Cluster::new(4, 0, IDLE_NEVER);
    cluster.fabric.demand(3);
    cluster.start(0..4).await;
    cluster.reach(0..4, 3).await;
    for node in [1, 2] {
        cluster.nodes[node].stop().await;
    }
    cluster.fabric.demand(6);
    let signed = || cluster.nodes[3].last_signed().is_some_and(|last| last.position.height == Height(4));
    eventually("a vote in height 4", SOON, signed, || format!("{:?}", cluster.nodes[3].last_signed())).await;
    for node in [0, 3] {
        cluster.nodes[node].stop().await;
    }
    damage(&cluster.nodes[3].home);
    cluster.start(0..4).await;
    cluster
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b9_a_whole_log_lets_a_validator_vote_on_in_the_height_it_was_in() {
    let mut cluster = stopped_in_the_middle_of_a_height(|_| {}).await;
    cluster.reach(0..4, 6).await;
    assert_eq!(cluster.nodes[3].vote(), Vote::Votes);
    cluster.assert_equal_histories();
    cluster.assert_no_evidence();
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trap_3_with_a_damaged_log_a_validator_does_not_vote_before_others_decide_the_height() {
    let mut cluster = stopped_in_the_middle_of_a_height(|home| {
        let path = home.join("consensus.wal");
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[40] ^= 1;
        std::fs::write(&path, bytes).unwrap();
    })
    .await;
    cluster.reach(0..4, 6).await;
    assert!(!cluster.nodes[0].toy.signers(4).contains(&4), "height 4 was decided by the others");
    until_vote_is(&cluster, 3, |vote| *vote == Vote::Votes).await;
    cluster.fabric.demand(12);
    cluster.reach(0..4, 12).await;
    cluster.until_voted_after(3, 6).await;
    cluster.assert_equal_histories();
    cluster.assert_no_evidence();
    cluster.stop().await;
}

/// The guard knows a precommit of height 4 that the log does not lead to; consensus asks for another one in its place.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b9_what_the_guard_refuses_is_not_sent_and_ends_the_vote_for_the_height() {
    let mut cluster = stopped_in_the_middle_of_a_height(|home| {
        let key = key(4, CONSENSUS);
        let mut guard = SigningGuard::open(&home.join("signing-guard"), &CHAIN, key.public_key()).unwrap();
        let log = guard.last().unwrap().log;
        let unknown = Position { height: Height(4), round: 0, step: Step::Precommit };
        guard.sign(unknown, &[9; 32], log, |message| key.sign(message)).unwrap();
    })
    .await;
    cluster.reach(0..4, 6).await;
    assert!(!cluster.nodes[0].toy.signers(4).contains(&4));
    until_vote_is(&cluster, 3, |vote| *vote == Vote::Votes).await;
    cluster.fabric.demand(12);
    cluster.reach(0..4, 12).await;
    cluster.until_voted_after(3, 6).await;
    cluster.assert_equal_histories();
    cluster.assert_no_evidence();
    cluster.stop().await;
}

#[test]
fn b5_a_quorum_is_of_one_round_one_step_and_each_validator_once() {
    let (quorums_in, mut quorums) = tokio::sync::mpsc::unbounded_channel();
    let validators = directory(4, 1).validators();
    let witness = Witness::new(Height(5), validators.clone(), quorums_in);
    let block = BlockHash([1; 32]);
    let saw = |validator: u16, step, height: u64, round| {
        let vote = ledger_types::vote::Vote {
            step,
            height: Height(height),
            round,
            block: Some(block),
            validator: ParticipantNumber(validator),
        };
        witness.saw(vote, Signature([0; 64]));
    };
    let has_quorum = || witness.has_quorum(Height(5), VoteStep::Prevote, block);
    saw(1, VoteStep::Prevote, 5, 0);
    saw(1, VoteStep::Prevote, 5, 0);
    saw(2, VoteStep::Prevote, 5, 0);
    saw(3, VoteStep::Prevote, 5, 1);
    saw(3, VoteStep::Precommit, 5, 0);
    saw(3, VoteStep::Prevote, 6, 0);
    saw(5, VoteStep::Prevote, 5, 0);
    assert!(!has_quorum());
    assert!(quorums.try_recv().is_err());
    saw(4, VoteStep::Prevote, 5, 0);
    assert!(has_quorum());
    saw(3, VoteStep::Prevote, 5, 0);
    assert_eq!(quorums.try_recv().unwrap(), QuorumSeen { height: Height(5), block, step: VoteStep::Prevote });
    assert!(quorums.try_recv().is_err(), "it is said once");
    // B-9: what is held of each is its newest, also of later heights; nothing of one without a vote.
    assert_eq!(witness.newest_of(ParticipantNumber(3)).unwrap().0.height, Height(6));
    assert!(witness.newest_of(ParticipantNumber(5)).is_none());
    witness.advance(Height(6), validators);
    assert!(!has_quorum());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b9_an_old_copy_of_the_guard_is_found_out_by_what_the_others_hold() {
    let mut cluster = Cluster::new(4, 0, IDLE_NEVER);
    cluster.fabric.demand(3);
    cluster.start(0..4).await;
    cluster.reach(0..4, 3).await;
    cluster.nodes[3].stop().await;
    let guard = cluster.nodes[3].guard_path();
    let old = std::fs::read(&guard).unwrap();
    cluster.nodes[3].start().await;
    until_vote_is(&cluster, 3, |vote| *vote == Vote::Votes).await;
    cluster.fabric.demand(10);
    cluster.reach(0..4, 10).await;
    cluster.nodes[3].stop().await;
    std::fs::write(&guard, old).unwrap();
    cluster.nodes[3].start().await;
    let why = Why::NewerVoteElsewhere;
    until_vote_is(&cluster, 3, |vote| *vote == Vote::NotThrough { height: Height(11), why }).await;
    cluster.fabric.demand(20);
    cluster.reach(0..4, 20).await;
    assert!(!cluster.nodes[0].toy.signers(11).contains(&4));
    until_vote_is(&cluster, 3, |vote| *vote == Vote::Votes).await;
    cluster.assert_no_evidence();
    cluster.stop().await;
}

/// The guard was made anew for a key that had voted: the file is empty, the others are not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b9_a_guard_made_anew_waits_for_the_height_in_progress() {
    let mut cluster = Cluster::new(4, 0, IDLE_NEVER);
    cluster.fabric.demand(5);
    cluster.start(0..4).await;
    cluster.reach(0..4, 5).await;
    cluster.nodes[2].stop().await;
    std::fs::remove_file(cluster.nodes[2].guard_path()).unwrap();
    SigningGuard::create(&cluster.nodes[2].guard_path(), &CHAIN, key(3, CONSENSUS).public_key()).unwrap();
    cluster.nodes[2].start().await;
    until_vote_is(&cluster, 2, |vote| matches!(vote, Vote::NotThrough { height: Height(6), .. })).await;
    cluster.fabric.demand(9);
    cluster.reach(0..4, 9).await;
    until_vote_is(&cluster, 2, |vote| *vote == Vote::Votes).await;
    cluster.assert_no_evidence();
    cluster.stop().await;
}

/// The height in progress is decided by the others, and yet the tip is not later than the guard: there is no vote before it is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b9_a_renewed_guard_votes_on_a_tip_only_that_is_later_than_the_guard() {
    let mut cluster = Cluster::new(4, 0, IDLE_NEVER);
    cluster.fabric.demand(5);
    cluster.start(0..4).await;
    cluster.reach(0..4, 5).await;
    cluster.nodes[2].stop().await;
    std::fs::remove_file(cluster.nodes[2].guard_path()).unwrap();
    let (public, ahead_ms) = (key(3, CONSENSUS).public_key(), 60_000);
    let renewed_ms = cluster.nodes[2].toy.tip().time_ms + ahead_ms as u64 - RENEWAL_MARGIN_MS;
    SigningGuard::renew(&cluster.nodes[2].guard_path(), &CHAIN, public, renewed_ms).unwrap();
    cluster.nodes[2].start().await;
    let why = Why::GuardRenewed;
    until_vote_is(&cluster, 2, |vote| *vote == Vote::NotThrough { height: Height(6), why }).await;
    cluster.fabric.demand(20);
    cluster.reach(0..4, 20).await;
    assert_eq!(cluster.nodes[2].vote(), Vote::NotThrough { height: Height(6), why });
    assert_eq!(cluster.nodes[2].last_signed(), None);
    for node in &cluster.nodes {
        node.clock_skew_ms.store(ahead_ms + 1, Ordering::SeqCst);
    }
    cluster.fabric.demand(22);
    cluster.reach(0..4, 22).await;
    until_vote_is(&cluster, 2, |vote| *vote == Vote::Votes).await;
    cluster.fabric.demand(30);
    cluster.reach(0..4, 30).await;
    cluster.until_voted_after(2, 20).await;
    cluster.assert_no_evidence();
    cluster.stop().await;
}

/// Too few others answer: no vote. It follows, and votes when they do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b9_a_validator_that_nobody_answers_does_not_vote() {
    let mut cluster = Cluster::new(4, 0, IDLE_NEVER);
    cluster.fabric.demand(6);
    cluster.start(0..2).await;
    for node in 0..2 {
        until_vote_is(&cluster, node, |vote| *vote == Vote::Asking).await;
    }
    // Two are up, and each needs two answers: more than a round of asking passes without a vote.
    let since = Instant::now();
    while since.elapsed() < Duration::from_secs(3) {
        for node in 0..2 {
            assert_eq!((cluster.nodes[node].vote(), cluster.nodes[node].last_signed()), (Vote::Asking, None));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    cluster.start(2..3).await;
    cluster.reach(0..3, 6).await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trap_3_a_log_that_cannot_be_written_stops_the_node_before_it_signs() {
    let mut cluster = Cluster::new(1, 0, IDLE_NEVER);
    std::os::unix::fs::symlink("/dev/full", cluster.nodes[0].home.join("consensus.wal")).unwrap();
    cluster.start(0..1).await;
    let mut running = cluster.nodes[0].running.take().unwrap();
    let ended = tokio::time::timeout(SOON, running.ended()).await.expect("stops by itself").unwrap_err();
    assert!(matches!(&ended, EngineError::MustStop(must_stop) if must_stop.0.contains("durable")), "{ended}");
    assert_eq!(cluster.nodes[0].last_signed(), None);
}

/// Officers may have given its participant another key since (G-3), or it is the wrong file: nothing is signed with it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_validator_with_another_key_than_its_sets_follows_and_signs_nothing() {
    const ANOTHER: u16 = 99;
    let mut cluster = Cluster::new(4, 0, IDLE_NEVER);
    let node = &mut cluster.nodes[0];
    node.consensus_of = Some(ANOTHER);
    std::fs::remove_file(node.guard_path()).unwrap();
    SigningGuard::create(&node.guard_path(), &CHAIN, key(ANOTHER, CONSENSUS).public_key()).unwrap();
    cluster.start(0..4).await;
    cluster.reach(0..4, 2).await;
    assert_eq!((cluster.nodes[0].vote(), cluster.nodes[0].last_signed()), (Vote::Never, None));
    cluster.stop().await;
}
