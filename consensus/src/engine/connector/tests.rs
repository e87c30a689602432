//! Two checks of one block that end in the order that a test chooses, around the commit of that block; and what a lost round's
//! block is to the next proposer; and what is said of a peer that lies when it is asked for decided heights.

use super::*;
use crate::engine::blocks::Origin;
use crate::engine::connector::proposals::Proposal;
use crate::engine::context::certificate_from_ledger;
use crate::engine::parts;
use crate::engine::supply::{AnswerFn, Supply};
use crate::engine::wal::RecordKind;
use crate::engine::{EngineConfig, Pace, Timeouts, Vote};
use crate::plane::ConsensusListener;
use crate::port::{BlockRefused, Candidate};
use arc_malachitebft_app_channel::app::engine::host::SyncedValueOutcome;
use arc_malachitebft_core_types::{Context, NilOrVal, SignedMessage};
use bytes::Bytes;
use futures::future::BoxFuture;
use ledger_types::ParticipantNumber;
use ledger_types::block::{BLOCK_BYTES_MAX, BlockHeader, certificates_root, genesis_block_hash};
use ledger_types::bundle::{Bundle, BundleCertificate, BundleHeader, Slot, ack_message};
use ledger_types::keys::SigningKey;
use ledger_types::participant::{CentralBankKeys, Directory, Participant, ParticipantKeys, Roles, SignedBy};
use ledger_types::{
    Chain, Decode, Encode, GenesisHash, List, MerkleRoot, Octets, RulesVersion, StateRoot, Text, TreeRoot,
};
use ractor::{Actor, ActorProcessingErr, ActorRef};
use std::collections::BTreeSet;
use std::marker::PhantomData;
use std::sync::{Condvar, Mutex};

const CHAIN: Chain = Chain::new(GenesisHash([7; 32]));
const ME: ParticipantNumber = ParticipantNumber(1);
const FIRST: Height = Height(1);
const TIME_MS: u64 = 1_000;
const SOON: Duration = Duration::from_secs(30);

/// One validator, which is the central bank.
fn directory() -> Directory {
    let public = |purpose: u8| SigningKey::from_seed(&[purpose; 32]).public_key();
    let participant = Participant {
        number: ME,
        name: Text::new("the only one").unwrap(),
        roles: Roles::VALIDATOR.and(Roles::CENTRAL_BANK),
        power: 1,
        keys: ParticipantKeys {
            consensus: public(1),
            bundle: public(2),
            cosign: public(3),
            desk: public(4),
            offer: public(5),
            link: public(6),
            engine_peer: public(7),
            data_peer: public(8),
            kem: Octets::new(vec![1; 32]).unwrap(),
        },
        central_bank: Some(CentralBankKeys {
            log: public(9),
            registration: public(10),
            registration_link: public(11),
            issue: public(12),
        }),
    };
    Directory::new(vec![participant]).unwrap()
}

/// The certificate of some bundle with an ack for each of `signers`.
fn signed(sequence: u64, signers: &[ParticipantNumber]) -> BundleCertificate {
    let slot = Slot { submitter: ME, incarnation: 0, sequence };
    let header = BundleHeader { slot, count: 1, bytes: 1, ids_root: MerkleRoot::ZERO };
    let digest = header.digest(&CHAIN);
    let ack = |signer| SigningKey::from_seed(&[2; 32]).sign(&ack_message(&CHAIN, &digest, signer));
    let acks = signers.iter().map(|signer| SignedBy { signer: *signer, signature: ack(*signer) });
    BundleCertificate { acks: List::new(acks.collect()).unwrap(), header }
}

/// Takes every block that follows its tip, and only such a one.
struct Ledger {
    tip: Mutex<Tip>,
    executions: Arc<Gate>,
    evidence: Arc<Mutex<Vec<Evidence>>>,
}

impl Application for Ledger {
    fn tip(&self) -> Tip {
        self.tip.lock().unwrap().clone()
    }

    fn propose(&self, _: Candidate) -> Result<Block, BlockRefused> {
        Err(BlockRefused { reason: "no block is built here".into() })
    }

    fn check(&self, block: &Block, _: &[Arc<Bundle>]) -> Result<(), BlockRefused> {
        self.executions.pass();
        match block.header.height == self.tip().height.next() {
            true => Ok(()),
            false => Err(BlockRefused { reason: "the height is not the next one".into() }),
        }
    }

    fn commit(&self, decided: DecidedBlock, _: &[Arc<Bundle>]) -> Result<Tip, MustStop> {
        let mut tip = self.tip.lock().unwrap();
        (tip.height, tip.block) = (decided.block.header.height, decided.block.hash(&CHAIN));
        tip.time_ms = decided.block.header.time_ms;
        tip.certificate = Some(decided.certificate);
        Ok(tip.clone())
    }

    fn decided(&self, _: Height) -> Option<DecidedBlock> {
        None
    }

    fn header(&self, _: Height) -> Option<BlockHeader> {
        None
    }

    fn message(&self, _: ParticipantNumber, _: Vec<u8>) {}

    fn evidence(&self, evidence: Evidence) {
        self.evidence.lock().unwrap().push(evidence);
    }
}

/// Where the checks of a test wait: each asks for its block's bundles, and gets them when its number is let through. Another one
/// stands before executions, and is open if a test does not close it.
#[derive(Default)]
struct Gate {
    waiting: Mutex<Checks>,
    changed: Condvar,
}

#[derive(Default)]
struct Checks {
    came: usize,
    let_through: BTreeSet<usize>,
    open: bool,
}

impl Gate {
    fn pass(&self) {
        let mut checks = self.waiting.lock().unwrap();
        let number = checks.came;
        checks.came += 1;
        self.changed.notify_all();
        let until = |checks: &mut Checks| !checks.open && !checks.let_through.contains(&number);
        let late = self.changed.wait_timeout_while(checks, SOON, until).unwrap().1;
        assert!(!late.timed_out(), "check {number} was never let through");
    }

    fn set_open(&self, open: bool) {
        self.waiting.lock().unwrap().open = open;
        self.changed.notify_all();
    }

    fn let_through(&self, number: usize) {
        self.waiting.lock().unwrap().let_through.insert(number);
        self.changed.notify_all();
    }

    /// Until so many checks have come.
    async fn came(self: &Arc<Self>, count: usize) {
        let gate = Arc::clone(self);
        blocking(move || {
            let checks = gate.waiting.lock().unwrap();
            let late = gate.changed.wait_timeout_while(checks, SOON, |checks| checks.came < count).unwrap().1;
            assert!(!late.timed_out(), "check {count} did not come");
        })
        .await;
    }
}

struct Gated(Arc<Gate>);

impl Supply for Gated {
    fn candidates(&self, _: &Tip, _: usize, _: usize) -> Vec<BundleCertificate> {
        Vec::new()
    }

    fn bundles(&self, _: &[BundleCertificate]) -> Option<Vec<Arc<Bundle>>> {
        self.0.pass();
        Some(Vec::new())
    }

    fn fetch<'a>(&'a self, _: &'a [BundleCertificate], _: Duration) -> BoxFuture<'a, Option<Vec<Arc<Bundle>>>> {
        unreachable!("every bundle is here")
    }

    fn certificate_is_valid(&self, certificate: &BundleCertificate) -> bool {
        certificate.verify(&CHAIN, &directory().validators()).is_ok()
    }

    fn committed(&self, _: &Block, _: Tip) {}

    fn height_started(&self, _: Height) {}

    fn has_work(&self, _: &Tip) -> bool {
        false
    }

    fn waiting_bytes(&self, _: &Tip) -> usize {
        0
    }

    fn work(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::pending())
    }

    fn ask_peers(&self, _: Vec<u8>, _: usize, _: Duration) -> BoxFuture<'_, Vec<(ParticipantNumber, Vec<u8>)>> {
        Box::pin(std::future::ready(Vec::new()))
    }

    fn answer_with(&self, _: AnswerFn) {}

    fn send_consensus(&self, _: Bytes) -> bool {
        false
    }

    fn hear_consensus(&self, _: ConsensusListener) {}
}

/// Stands for an actor of the engine, and hears everything.
struct Deaf<M>(PhantomData<fn(M)>);

#[async_trait::async_trait]
impl<M: ractor::Message> Actor for Deaf<M> {
    type Msg = M;
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<M>, _: ()) -> Result<(), ActorProcessingErr> {
        Ok(())
    }
}

async fn deaf<M: ractor::Message>() -> ActorRef<M> {
    Actor::spawn(None, Deaf(PhantomData), ()).await.unwrap().0
}

/// A connector in its first height, whose loop is the test.
struct Bench<'a> {
    connector: Connector<'a>,
    gate: Arc<Gate>,
    executions: Arc<Gate>,
    evidence: Arc<Mutex<Vec<Evidence>>>,
    /// From the engine.
    events: mpsc::UnboundedSender<Event>,
    block: Block,
    hash: BlockHash,
}

impl<'a> Bench<'a> {
    async fn new(quorums: &'a mut mpsc::UnboundedReceiver<QuorumSeen>) -> Self {
        let directory = Arc::new(directory());
        let validators = directory.validators();
        let tip = Tip {
            height: Height(0),
            block: genesis_block_hash(&CHAIN),
            time_ms: 1,
            certificate: None,
            decided_by: validators.clone(),
            validators: validators.clone(),
            directory,
            lanes: Arc::default(),
        };
        let (gate, executions) = (Arc::new(Gate::default()), Arc::new(Gate::default()));
        executions.set_open(true);
        let evidence = Arc::<Mutex<Vec<Evidence>>>::default();
        let (events_in, events) = mpsc::unbounded_channel();
        let listen: libp2p::Multiaddr = "/ip4/127.0.0.1/tcp/1".parse().unwrap();
        let config = EngineConfig {
            me: ME,
            home: std::path::PathBuf::new(),
            listen,
            peers: Vec::new(),
            timeouts: Timeouts::default(),
            propose_bytes_max: 1 << 20,
            idle_height_every: SOON,
            pace: Pace::steady(Duration::ZERO, 0),
        };
        let status = Status {
            tip: tip.height,
            block: tip.block,
            decided_at_ms: 0,
            height: FIRST,
            round: 0,
            stage: Stage::Deciding,
            vote: Vote::Never,
        };
        let header = BlockHeader {
            version: RulesVersion::GENESIS,
            height: FIRST,
            parent: tip.block,
            time_ms: TIME_MS,
            certificates_root: certificates_root(&CHAIN, &[]),
            results_root: MerkleRoot::ZERO,
            state_root: StateRoot::ZERO,
            log_size: 0,
            log_root: TreeRoot::ZERO,
            map_root: TreeRoot::ZERO,
            participants_hash: tip.directory.hash(&CHAIN),
            next_set_hash: validators.hash(&CHAIN),
            parent_round: 0,
        };
        let block = Block { header, certificates: List::empty(), parent_certificate: None };
        let wiring = Wiring {
            config: Arc::new(config),
            judge: Judge {
                chain: CHAIN,
                application: Arc::new(Ledger {
                    tip: Mutex::new(tip),
                    executions: Arc::clone(&executions),
                    evidence: Arc::clone(&evidence),
                }),
                supply: Arc::new(Gated(Arc::clone(&gate))),
                clock: Arc::new(|| TIME_MS),
                execution: Arc::default(),
            },
            witness: Arc::new(Witness::new(FIRST, validators, mpsc::unbounded_channel().0)),
            wal: None,
            events,
            quorums,
            consensus: deaf().await,
            network: deaf().await,
            peers: watch::Sender::new(Peers::default()),
            status: watch::Sender::new(status),
            counters: Arc::default(),
            mute: None,
            recovered: Vec::new(),
            overheard_tip: Arc::default(),
        };
        let mut connector = Connector::new(wiring, false).await;
        connector.on_round(FIRST, Round::ZERO).unwrap();
        let hash = block.hash(&CHAIN);
        Bench { connector, gate, executions, evidence, events: events_in, block, hash }
    }

    /// The block comes in parts, and its check begins.
    fn proposed(&mut self) {
        let (key, encoded) = ((FIRST, self.hash), parts::encode(&self.block));
        self.connector.known.insert(key, Known::new(self.block.clone(), encoded, 0, Origin::Proposed));
        self.connector.judge(key);
    }

    /// The block comes with a sync answer, and its check begins. What is said of it comes with the receiver.
    fn synced(&mut self) -> ractor::concurrency::OneshotReceiver<SyncedValueOutcome<Assay>> {
        self.synced_bytes(parts::encode(&self.block))
    }

    /// As [`Self::synced`], of whatever a peer sends for the first height.
    fn synced_bytes(&mut self, bytes: Bytes) -> ractor::concurrency::OneshotReceiver<SyncedValueOutcome<Assay>> {
        let (reply, said) = ractor::concurrency::oneshot();
        let answer = SyncAnswer { round: Round::ZERO, proposer: Address(ME), reply: reply.into() };
        self.connector.on_synced(FIRST, bytes, answer);
        said
    }

    /// What is said of a block that a sync peer sends, after its check.
    async fn said_of(&mut self, block: &Block) -> SyncedValueOutcome<Assay> {
        let said = self.synced_bytes(parts::encode(block));
        self.hear().await;
        said.await.unwrap()
    }

    /// The true block is synced, decided and committed, whatever was sent before.
    async fn assert_commits_the_true_block(&mut self) {
        let said = self.said_of(&self.block.clone()).await;
        assert!(matches!(said, SyncedValueOutcome::Verdict(value) if value.validity.is_valid()));
        self.decided();
        self.hear().await;
        self.assert_committed();
    }

    /// The engine asks for a proposal. What it gets comes with the receiver.
    fn asked_in(&mut self, round: u32) -> ractor::concurrency::OneshotReceiver<LocallyProposedValue<Assay>> {
        let (reply, proposed) = ractor::concurrency::oneshot();
        self.connector.on_get_value(FIRST, Round::new(round), reply.into()).unwrap();
        proposed
    }

    async fn next(&mut self) -> Done {
        tokio::time::timeout(SOON, self.connector.done.recv()).await.expect("a task ends").expect("the sender is here")
    }

    /// The loop hears what the next task brings back.
    async fn hear(&mut self) {
        let done = self.next().await;
        self.connector.on_done(done).unwrap();
    }

    fn decided(&mut self) {
        let precommits = List::empty();
        let certificate = CommitCertificate { height: FIRST, round: 0, block: self.hash, precommits };
        let reply = ractor::concurrency::oneshot().0.into();
        self.connector.deciding = Some(Deciding { certificate, reply, committing: false });
        self.connector.commit_when_judged().unwrap();
    }

    fn assert_committed(&self) {
        assert_eq!((self.connector.tip.height, self.connector.tip.block), (FIRST, self.hash));
    }
}

#[tokio::test]
async fn a_check_that_ends_after_sync_settled_the_block_does_not_stop_the_node() {
    let (_quorums_in, mut quorums) = mpsc::unbounded_channel();
    let mut bench = Bench::new(&mut quorums).await;
    bench.proposed();
    bench.gate.came(1).await;
    let said = bench.synced();
    bench.gate.came(2).await;
    bench.gate.let_through(1);
    let synced = bench.next().await;
    assert!(matches!(&synced, Done::Synced { verdict: Verdict::Valid(_), .. }));
    bench.connector.on_done(synced).unwrap();
    assert!(matches!(said.await.unwrap(), SyncedValueOutcome::Verdict(value) if value.validity.is_valid()));
    bench.decided();
    let committed = bench.next().await;
    // The tip has moved under the first check, and what it says is heard first.
    bench.gate.let_through(0);
    let judged = bench.next().await;
    assert!(matches!(&judged, Done::Judged { verdict: Verdict::Refused(_), .. }));
    bench.connector.on_done(judged).unwrap();
    bench.connector.on_done(committed).unwrap();
    bench.assert_committed();
}

#[tokio::test]
async fn a_check_for_sync_that_ends_after_the_decision_does_not_stop_the_node() {
    let (_quorums_in, mut quorums) = mpsc::unbounded_channel();
    let mut bench = Bench::new(&mut quorums).await;
    bench.proposed();
    bench.gate.came(1).await;
    let said = bench.synced();
    bench.gate.came(2).await;
    bench.gate.let_through(0);
    let judged = bench.next().await;
    assert!(matches!(&judged, Done::Judged { verdict: Verdict::Valid(_), .. }));
    bench.connector.on_done(judged).unwrap();
    bench.decided();
    let committed = bench.next().await;
    bench.gate.let_through(1);
    let synced = bench.next().await;
    assert!(matches!(&synced, Done::Synced { verdict: Verdict::Refused(_), .. }));
    bench.connector.on_done(synced).unwrap();
    assert!(matches!(said.await.unwrap(), SyncedValueOutcome::LocalTransientError));
    bench.connector.on_done(committed).unwrap();
    bench.assert_committed();
}

/// As above, and the engine has not decided yet: what was judged valid stays valid.
#[tokio::test]
async fn a_second_check_does_not_take_back_that_a_block_is_valid() {
    let (_quorums_in, mut quorums) = mpsc::unbounded_channel();
    let mut bench = Bench::new(&mut quorums).await;
    bench.proposed();
    bench.gate.let_through(0);
    bench.hear().await;
    let (reply, said) = ractor::concurrency::oneshot();
    let answer = SyncAnswer { round: Round::new(1), proposer: Address(ME), reply: reply.into() };
    let known = Known::new(bench.block.clone(), parts::encode(&bench.block), 1, Origin::Vouched);
    let verdict = Verdict::Refused("the tip had moved".into());
    bench.connector.on_done(Done::Synced { hash: bench.hash, known, verdict, answer }).unwrap();
    assert!(matches!(said.await.unwrap(), SyncedValueOutcome::Verdict(value) if value.validity.is_valid()));
    bench.decided();
    bench.hear().await;
    bench.assert_committed();
}

/// After a restart the log decides at once, and the check of the block waits for its bundles; sync brings the block first.
#[tokio::test]
async fn a_block_that_the_log_decided_is_committed_when_sync_settles_it_first() {
    let (_quorums_in, mut quorums) = mpsc::unbounded_channel();
    let mut bench = Bench::new(&mut quorums).await;
    bench.proposed();
    bench.gate.came(1).await;
    bench.decided();
    let _said = bench.synced();
    bench.gate.let_through(1);
    bench.hear().await;
    bench.hear().await;
    bench.assert_committed();
    bench.gate.let_through(0);
}

/// Nothing is checked, and nothing of it is kept.
#[tokio::test]
async fn what_a_sync_peer_sends_that_is_no_block_of_the_height_is_its_fault_at_once() {
    let (_quorums_in, mut quorums) = mpsc::unbounded_channel();
    let mut bench = Bench::new(&mut quorums).await;
    let good = parts::encode(&bench.block);
    let mut of_another_height = bench.block.clone();
    of_another_height.header.height = FIRST.next();
    // It decodes, and its length alone is wrong (B-11).
    let mut too_long = bench.block.clone();
    let largest = signed(0, &[ME; 256]);
    let count = BLOCK_BYTES_MAX / largest.to_bytes().len() + 1;
    too_long.certificates = List::new(vec![largest; count]).unwrap();
    too_long.header.certificates_root = certificates_root(&CHAIN, &too_long.certificates);
    assert_eq!(Block::from_bytes(&too_long.to_bytes()).as_ref(), Ok(&too_long));
    let cases = [
        ("nothing", Bytes::new()),
        ("no block", Bytes::from_static(b"no block")),
        ("a block cut short", good.slice(..good.len() - 1)),
        ("a block and a byte", [&good[..], &[0]].concat().into()),
        ("a block of another height", parts::encode(&of_another_height)),
        ("a block that is too long", parts::encode(&too_long)),
    ];
    for (what, bytes) in cases {
        let said = bench.synced_bytes(bytes).await.unwrap();
        assert!(matches!(said, SyncedValueOutcome::PeerFault), "{what}: {said:?}");
        assert!(bench.connector.known.is_empty() && bench.connector.checks.is_empty(), "{what}");
    }
    bench.gate.set_open(true);
    bench.assert_commits_the_true_block().await;
}

/// The header's hash does not bind what is wrong: the peer put it there, and the true block under the same hash is still taken.
#[tokio::test]
async fn a_synced_block_in_a_forged_wrapping_is_the_peers_fault_and_the_true_one_is_taken_after_it() {
    let (_quorums_in, mut quorums) = mpsc::unbounded_channel();
    let mut bench = Bench::new(&mut quorums).await;
    bench.gate.set_open(true);
    let parent = bench.block.header.parent;
    let certificate = CommitCertificate { height: Height(0), round: 0, block: parent, precommits: List::empty() };
    let with_parent = Block { parent_certificate: Some(certificate), ..bench.block.clone() };
    let with_bundle = Block { certificates: List::new(vec![signed(0, &[ME])]).unwrap(), ..bench.block.clone() };
    for (what, block) in [("a parent's certificate", with_parent), ("a bundle's certificate", with_bundle)] {
        assert_eq!(block.hash(&CHAIN), bench.hash);
        let said = bench.said_of(&block).await;
        assert!(matches!(said, SyncedValueOutcome::PeerFault), "{what}: {said:?}");
        assert!(bench.connector.known.is_empty(), "{what}");
    }
    bench.assert_commits_the_true_block().await;
}

/// Each is another block than the certificate names. The answer says by its hash which block came, and the engine, which compares
/// it with the certificate, holds it against the peer; nothing stops here, and nothing of it is committed.
#[tokio::test]
async fn another_block_than_the_decided_one_is_answered_by_its_own_hash_and_is_not_committed() {
    let (_quorums_in, mut quorums) = mpsc::unbounded_channel();
    let mut bench = Bench::new(&mut quorums).await;
    bench.gate.set_open(true);
    let ordering = |certificate: BundleCertificate| {
        let mut block = bench.block.clone();
        block.certificates = List::new(vec![certificate]).unwrap();
        block.header.certificates_root = certificates_root(&CHAIN, &block.certificates);
        block
    };
    let mut forged = signed(0, &[ME]);
    forged.header.slot.sequence = 1;
    let (without_acks, forged) = (ordering(signed(0, &[])), ordering(forged));
    let mut later = bench.block.clone();
    later.header.time_ms += 1;
    let mut of_another_parent = bench.block.clone();
    of_another_parent.header.parent = bench.hash;
    let cases = [
        ("a bundle without acks", without_acks, false),
        ("a bundle with a forged ack", forged, false),
        ("another parent", of_another_parent, false),
        ("a valid block", later, true),
    ];
    for (what, block, is_valid) in cases {
        let SyncedValueOutcome::Verdict(said) = bench.said_of(&block).await else { panic!("{what}") };
        assert_eq!((said.value.0, said.validity.is_valid()), (block.hash(&CHAIN), is_valid), "{what}");
        assert_ne!(said.value.0, bench.hash);
        assert_eq!(bench.connector.tip.height, Height(0), "{what}");
        assert!(bench.connector.deciding.is_none(), "{what}");
    }
    bench.assert_commits_the_true_block().await;
}

/// The tip has moved for those who wait for their turn, and the loop has not heard of it: it must hear of it first.
#[tokio::test]
async fn a_commit_is_heard_of_before_any_check_gets_its_turn() {
    let (_quorums_in, mut quorums) = mpsc::unbounded_channel();
    let mut bench = Bench::new(&mut quorums).await;
    bench.proposed();
    bench.gate.let_through(0);
    bench.hear().await;
    bench.decided();
    let judge = bench.connector.wiring.judge.clone();
    let has_turn = || judge.execution.try_lock().is_err() || judge.application.tip().height == FIRST;
    while !has_turn() {
        tokio::task::yield_now().await;
    }
    // This test is the runtime's only thread: while it awaits nothing, of the commit's task only what has the turn runs.
    let begun = std::time::Instant::now();
    while judge.execution.try_lock().is_err() {
        assert!(begun.elapsed() < SOON, "the commit does not give its turn back");
        std::thread::yield_now();
    }
    assert!(matches!(bench.connector.done.try_recv(), Ok(Done::Committed(_))));
}

#[tokio::test]
async fn a_valid_block_of_a_lost_round_is_proposed_again_and_none_is_built() {
    let (_quorums_in, mut quorums) = mpsc::unbounded_channel();
    let mut bench = Bench::new(&mut quorums).await;
    bench.proposed();
    bench.gate.let_through(0);
    bench.hear().await;
    bench.connector.on_round(FIRST, Round::new(1)).unwrap();
    let proposed = bench.asked_in(1);
    bench.hear().await;
    let proposed = proposed.await.unwrap();
    assert_eq!((proposed.value.0, proposed.round), (bench.hash, Round::new(1)));
    // Trap 5: the same when it is asked again.
    assert_eq!(bench.asked_in(1).await.unwrap().value.0, bench.hash);
}

/// The round was lost because the block is much work: the next proposer is in the middle of it.
#[tokio::test]
async fn a_proposer_waits_for_its_execution_of_a_lost_rounds_block() {
    let (_quorums_in, mut quorums) = mpsc::unbounded_channel();
    let mut bench = Bench::new(&mut quorums).await;
    bench.executions.set_open(false);
    bench.proposed();
    bench.gate.let_through(0);
    bench.executions.came(1).await;
    bench.connector.on_round(FIRST, Round::new(1)).unwrap();
    let proposed = bench.asked_in(1);
    bench.executions.let_through(0);
    bench.hear().await; // the verdict
    bench.hear().await; // the turn
    assert_eq!(proposed.await.unwrap().value.0, bench.hash);
}

/// Once, its age does not matter: a block that is much work is old when everybody has executed it.
#[tokio::test]
async fn b5_a_block_whose_time_others_may_not_take_is_proposed_again_only_once() {
    let (_quorums_in, mut quorums) = mpsc::unbounded_channel();
    let mut bench = Bench::new(&mut quorums).await;
    bench.proposed();
    bench.gate.let_through(0);
    bench.hear().await;
    bench.connector.wiring.judge.clock = Arc::new(|| TIME_MS + crate::engine::blocks::CLOCK_TOLERANCE_MS);
    bench.gate.set_open(true);
    bench.connector.on_round(FIRST, Round::new(1)).unwrap();
    let proposed = bench.asked_in(1);
    bench.hear().await;
    assert_eq!(proposed.await.unwrap().value.0, bench.hash);
    bench.connector.on_round(FIRST, Round::new(2)).unwrap();
    let _asked = bench.asked_in(2);
    bench.hear().await;
    assert!(matches!(bench.next().await, Done::Proposed { proposed: None, .. }), "it builds one of its own");
}

/// Parts of far rounds are taken from every validator, for the engine has others repeat proposals there.
#[tokio::test]
async fn only_what_a_lost_rounds_proposer_sent_is_proposed_again() {
    let (_quorums_in, mut quorums) = mpsc::unbounded_channel();
    let mut bench = Bench::new(&mut quorums).await;
    bench.proposed();
    bench.gate.set_open(true);
    bench.hear().await;
    let by_another = Proposal { round: 0, publisher: Some(ParticipantNumber(9)) };
    let ahead = Proposal { round: 10, publisher: Some(ME) };
    bench.connector.known.get_mut(&(FIRST, bench.hash)).unwrap().proposals = vec![by_another, ahead];
    bench.connector.on_round(FIRST, Round::new(1)).unwrap();
    let _asked = bench.asked_in(1);
    bench.hear().await;
    assert!(matches!(bench.next().await, Done::Proposed { proposed: None, .. }), "it builds one of its own");
}

/// After a restart the log says what was proposed in which round, another's block as well.
#[tokio::test]
async fn trap_5_anothers_block_that_was_proposed_again_is_proposed_after_a_restart() {
    let (_quorums_in, mut quorums) = mpsc::unbounded_channel();
    let mut bench = Bench::new(&mut quorums).await;
    let encoded = parts::encode(&bench.block);
    for (round, own) in [(0u32, false), (1, true)] {
        let bytes = [&round.to_le_bytes()[..], &[u8::from(own)], &encoded].concat();
        bench.connector.recover(&Record { kind: RecordKind::Block, bytes });
    }
    assert_eq!(bench.asked_in(1).await.unwrap().value.0, bench.hash);
}

/// The engine may say what it saw of a height after the height is durable.
#[tokio::test]
async fn evidence_of_the_height_that_changes_the_set_is_kept_before_the_session_ends() {
    let (_quorums_in, mut quorums) = mpsc::unbounded_channel();
    let mut bench = Bench::new(&mut quorums).await;
    bench.gate.set_open(true);
    // The height's set is another than the one of the session's beginning.
    (bench.connector.ready, bench.connector.was_validator) = (true, false);
    bench.assert_commits_the_true_block().await;
    assert!(bench.connector.is_over().unwrap().is_none(), "the engine has not told what it saw of the height");

    let vote = |block| {
        let key = SigningKey::from_seed(&[1; 32]);
        let vote = Assay.new_prevote(EngineHeight(FIRST), Round::ZERO, NilOrVal::Val(block), Address(ME));
        SignedMessage::new(vote, key.sign(b"the engine has checked it"))
    };
    let mut evidence = MisbehaviorEvidence { proposals: Default::default(), votes: Default::default() };
    evidence.votes.add(vote(BlockHash([1; 32])), vote(BlockHash([2; 32])));
    let certificate = CommitCertificate { height: FIRST, round: 0, block: bench.hash, precommits: List::empty() };
    let told = HostMsg::Finalized {
        certificate: certificate_from_ledger(&certificate).trim_vote_extensions(),
        extensions: Default::default(),
        evidence,
        reply_to: ractor::concurrency::oneshot().0.into(),
    };
    assert!(bench.events.send(Event::Host(told)).is_ok());
    let (_stop_in, stop) = oneshot::channel();
    let ended = tokio::time::timeout(SOON, bench.connector.run(stop)).await.expect("the session ends");
    assert!(matches!(ended, Ended::SetChanged), "{ended:?}");
    let kept = bench.evidence.lock().unwrap();
    assert_eq!(kept.iter().map(|one| (one.validator, one.height)).collect::<Vec<_>>(), [(ME, FIRST)]);
}
