//! A ledger that counts, a data plane that does what a test says, and clusters of nodes on them.

use bytes::Bytes;
use consensus::engine::supply::{AnswerFn, Supply};
use consensus::engine::{EngineConfig, EngineError, EngineKeys, EnginePeer, Pace, Running, Timeouts, Vote, run_on};
use consensus::guard::{LastSigned, SigningGuard};
use consensus::plane::ConsensusListener;
use consensus::port::*;
use futures::future::BoxFuture;
use ledger_types::block::{Block, BlockHeader, certificates_root, genesis_block_hash};
use ledger_types::bundle::{Bundle, BundleCertificate, BundleHeader, Slot, ack_message};
use ledger_types::confirmation::{Batch, SignedBatch};
use ledger_types::keys::SigningKey;
use ledger_types::participant::*;
use ledger_types::vote::{self, CommitCertificate, VoteStep};
use ledger_types::*;
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::Notify;

pub const CHAIN: Chain = Chain::new(GenesisHash([7; 32]));

pub fn key(participant: u16, purpose: u8) -> SigningKey {
    let mut seed = [purpose; 32];
    seed[..2].copy_from_slice(&participant.to_le_bytes());
    SigningKey::from_seed(&seed)
}

pub const CONSENSUS: u8 = 1;
pub const BUNDLE: u8 = 2;
pub const ENGINE_PEER: u8 = 7;

/// Participants 1 … validators vote; the rest observe. Participant 1 is the central bank.
pub fn directory(validators: u16, observers: u16) -> Directory {
    let participants = (1..=validators + observers).map(|n| {
        let public = |purpose| key(n, purpose).public_key();
        let role = match n {
            1 => Roles::VALIDATOR.and(Roles::CENTRAL_BANK),
            n if n <= validators => Roles::VALIDATOR.and(Roles::COMMERCIAL_BANK),
            _ => Roles::OBSERVER,
        };
        Participant {
            number: ParticipantNumber(n),
            name: Text::new(&format!("node {n}")).unwrap(),
            roles: role,
            power: u64::from(n <= validators),
            keys: ParticipantKeys {
                consensus: public(CONSENSUS),
                bundle: public(BUNDLE),
                cosign: public(3),
                desk: public(4),
                offer: public(5),
                link: public(6),
                engine_peer: public(ENGINE_PEER),
                data_peer: public(8),
                kem: Octets::new(vec![n as u8; 32]).unwrap(),
            },
            central_bank: (n == 1).then(|| CentralBankKeys {
                log: public(9),
                registration: public(10),
                registration_link: public(11),
                issue: public(12),
            }),
        }
    });
    Directory::new(participants.collect()).unwrap()
}

/// A bundle with one empty batch, and its certificate.
pub fn certified(directory: &Directory, sequence: u64) -> (Arc<Bundle>, BundleCertificate) {
    let batch = Batch {
        number: BatchNumber(sequence),
        previous: BatchHash([0; 32]),
        records: List::empty(),
        settled: List::empty(),
        overdue: List::empty(),
        cleared: List::empty(),
    };
    let registration = key(1, 10);
    let signature = registration.sign(b"the toy does not look");
    let slot = Slot { submitter: ParticipantNumber::REGISTRATION, incarnation: 0, sequence };
    let bundle = Bundle::sign_confirmation(&CHAIN, slot, SignedBatch { batch, signature }, &registration).unwrap();
    let certificate = acked(bundle.header(), directory.validators().iter().map(|validator| validator.number.0));
    (Arc::new(bundle), certificate)
}

/// The certificate of a bundle by these signers.
pub fn acked(header: &BundleHeader, signers: impl IntoIterator<Item = u16>) -> BundleCertificate {
    let digest = header.digest(&CHAIN);
    let acks = signers.into_iter().map(|number| {
        let signer = ParticipantNumber(number);
        SignedBy { signer, signature: key(number, BUNDLE).sign(&ack_message(&CHAIN, &digest, signer)) }
    });
    BundleCertificate { header: header.clone(), acks: List::new(acks.collect()).unwrap() }
}

/// The certificate of a decision by these signers.
pub fn decided(
    height: Height,
    round: u32,
    block: BlockHash,
    signers: impl IntoIterator<Item = u16>,
) -> CommitCertificate {
    let precommits = signers.into_iter().map(|number| {
        let validator = ParticipantNumber(number);
        let vote = vote::Vote { step: VoteStep::Precommit, height, round, block: Some(block), validator };
        SignedBy { signer: validator, signature: key(number, CONSENSUS).sign(&vote.message(&CHAIN)) }
    });
    CommitCertificate { height, round, block, precommits: List::new(precommits.collect()).unwrap() }
}

/// Its state is a hash over everything that was decided. It outlives the nodes that run on it, like a disk.
pub struct Toy {
    pub directory: Arc<Directory>,
    blocks: Mutex<Vec<DecidedBlock>>,
    lanes: Mutex<BTreeMap<ParticipantNumber, LanePosition>>,
    /// Every item that was ordered, in order.
    pub items: Mutex<Vec<EnvelopeId>>,
    pub committed_at: Mutex<Vec<Instant>>,
    pub evidence: Mutex<Vec<Evidence>>,
    pub executed: AtomicU64,
    /// Refuses every block of this height that others propose.
    pub refuses: AtomicU64,
    /// Its program knows the rules of the heights up to this one.
    pub knows_through: AtomicU64,
    pub cannot_commit: AtomicBool,
    pub commit_takes_ms: AtomicU64,
    pub check_takes_ms: AtomicU64,
}

impl Toy {
    pub fn new(directory: &Arc<Directory>) -> Arc<Self> {
        Arc::new(Toy {
            directory: Arc::clone(directory),
            blocks: Mutex::default(),
            lanes: Mutex::default(),
            items: Mutex::default(),
            committed_at: Mutex::default(),
            evidence: Mutex::default(),
            executed: AtomicU64::new(0),
            refuses: AtomicU64::new(0),
            knows_through: AtomicU64::new(u64::MAX),
            cannot_commit: AtomicBool::new(false),
            commit_takes_ms: AtomicU64::new(0),
            check_takes_ms: AtomicU64::new(0),
        })
    }

    pub fn height(&self) -> u64 {
        self.blocks.lock().unwrap().len() as u64
    }

    pub fn hashes(&self) -> Vec<BlockHash> {
        self.blocks.lock().unwrap().iter().map(|decided| decided.block.hash(&CHAIN)).collect()
    }

    pub fn rounds(&self) -> Vec<u32> {
        self.blocks.lock().unwrap().iter().map(|decided| decided.certificate.round).collect()
    }

    /// Who signed the decision of this height.
    pub fn signers(&self, height: u64) -> Vec<u16> {
        let blocks = self.blocks.lock().unwrap();
        blocks[height as usize - 1].certificate.precommits.iter().map(|precommit| precommit.signer.0).collect()
    }

    pub fn times_ms(&self) -> Vec<u64> {
        self.blocks.lock().unwrap().iter().map(|decided| decided.block.header.time_ms).collect()
    }

    pub fn ordered_at(&self, height: u64) -> usize {
        self.blocks.lock().unwrap()[height as usize - 1].block.certificates.len()
    }

    pub fn ordered(&self) -> u64 {
        self.blocks.lock().unwrap().iter().map(|decided| decided.block.certificates.len() as u64).sum()
    }

    fn header(&self, candidate: &Candidate) -> BlockHeader {
        let tip = self.tip();
        let root = certificates_root(&CHAIN, &candidate.certificates);
        let state = CHAIN.hash(Tag::State, &[&tip.block.0, &root.0, &candidate.time_ms.to_le_bytes()]);
        BlockHeader {
            version: RulesVersion::GENESIS,
            height: candidate.height,
            parent: tip.block,
            time_ms: candidate.time_ms,
            certificates_root: root,
            results_root: MerkleRoot::ZERO,
            state_root: StateRoot(state),
            log_size: 0,
            log_root: TreeRoot::ZERO,
            map_root: TreeRoot::ZERO,
            participants_hash: self.directory.hash(&CHAIN),
            next_set_hash: self.directory.validators().hash(&CHAIN),
            parent_round: candidate.parent_certificate.as_ref().map_or(0, |certificate| certificate.round),
        }
    }
}

impl Application for Toy {
    fn tip(&self) -> Tip {
        let blocks = self.blocks.lock().unwrap();
        let last = blocks.last();
        Tip {
            height: Height(blocks.len() as u64),
            block: last.map_or(genesis_block_hash(&CHAIN), |decided| decided.block.hash(&CHAIN)),
            time_ms: last.map_or(1, |decided| decided.block.header.time_ms),
            certificate: last.map(|decided| decided.certificate.clone()),
            decided_by: self.directory.validators(),
            validators: self.directory.validators(),
            directory: Arc::clone(&self.directory),
            lanes: Arc::new(self.lanes.lock().unwrap().clone()),
        }
    }

    fn propose(&self, candidate: Candidate) -> Result<Block, BlockRefused> {
        assert_eq!(candidate.certificates.len(), candidate.bundles.len());
        self.executed.fetch_add(1, Ordering::Relaxed);
        Ok(Block {
            header: self.header(&candidate),
            certificates: List::new(candidate.certificates).unwrap(),
            parent_certificate: candidate.parent_certificate,
        })
    }

    fn check(&self, block: &Block, bundles: &[Arc<Bundle>]) -> Result<(), BlockRefused> {
        self.executed.fetch_add(1, Ordering::Relaxed);
        #[expect(clippy::disallowed_methods, reason = "a block that is much work, not a wait for something")]
        std::thread::sleep(Duration::from_millis(self.check_takes_ms.load(Ordering::Relaxed)));
        let digests: Vec<_> = block.certificates.iter().map(|certificate| certificate.digest(&CHAIN)).collect();
        assert_eq!(bundles.iter().map(|bundle| bundle.digest()).collect::<Vec<_>>(), digests);
        if block.header.height.0 == self.refuses.load(Ordering::Relaxed) {
            return Err(BlockRefused { reason: "the toy was told to".into() });
        }
        let expected = self.header(&Candidate {
            height: block.header.height,
            time_ms: block.header.time_ms,
            certificates: block.certificates.to_vec(),
            bundles: bundles.to_vec(),
            parent_certificate: block.parent_certificate.clone(),
        });
        if expected == block.header { Ok(()) } else { Err(BlockRefused { reason: "another header".into() }) }
    }

    fn commit(&self, decided: DecidedBlock, bundles: &[Arc<Bundle>]) -> Result<Tip, MustStop> {
        if self.cannot_commit.load(Ordering::Relaxed) {
            return Err(MustStop("the toy's disk is full".into()));
        }
        #[expect(clippy::disallowed_methods, reason = "a slow disk, not a wait for something")]
        std::thread::sleep(Duration::from_millis(self.commit_takes_ms.load(Ordering::Relaxed)));
        assert_eq!(bundles.len(), decided.block.certificates.len());
        decided.certificate.verify(&CHAIN, &self.directory.validators()).expect("what the engine decides is certified");
        assert_eq!(decided.certificate.block, decided.block.hash(&CHAIN));
        {
            let mut blocks = self.blocks.lock().unwrap();
            assert_eq!(decided.block.header.height.0, blocks.len() as u64 + 1, "heights follow each other");
            let mut lanes = self.lanes.lock().unwrap();
            for certificate in decided.block.certificates.iter() {
                let Slot { submitter, incarnation, sequence } = certificate.header.slot;
                let (next_sequence, served_at) = (sequence + 1, decided.block.header.height);
                lanes.insert(submitter, LanePosition { incarnation, next_sequence, served_at, bytes_left: 1 << 20 });
            }
            self.items.lock().unwrap().extend(bundles.iter().flat_map(|bundle| bundle.ids().to_vec()));
            blocks.push(decided);
        }
        self.committed_at.lock().unwrap().push(Instant::now());
        Ok(self.tip())
    }

    fn can_go_on(&self) -> Result<(), MustStop> {
        let known = self.height() < self.knows_through.load(Ordering::Relaxed);
        if known { Ok(()) } else { Err(MustStop("rules that the toy does not know".into())) }
    }

    fn decided(&self, height: Height) -> Option<DecidedBlock> {
        self.blocks.lock().unwrap().get(height.0.checked_sub(1)? as usize).cloned()
    }

    fn header(&self, height: Height) -> Option<BlockHeader> {
        self.decided(height).map(|decided| decided.block.header)
    }

    fn message(&self, _: ParticipantNumber, _: Vec<u8>) {}

    fn evidence(&self, evidence: Evidence) {
        self.evidence.lock().unwrap().push(evidence);
    }
}

/// What the nodes' planes share.
#[derive(Default)]
pub struct Fabric {
    bundles: Mutex<HashMap<BundleDigest, Arc<Bundle>>>,
    certificates: Mutex<Vec<BundleCertificate>>,
    answers: Mutex<BTreeMap<ParticipantNumber, Arc<AnswerFn>>>,
    wakes: Mutex<Vec<Arc<Notify>>>,
    /// There is work until this height.
    demand: AtomicU64,
}

impl Fabric {
    pub fn demand(&self, height: u64) {
        self.demand.fetch_max(height, Ordering::SeqCst);
        self.wakes.lock().unwrap().iter().for_each(|wake| wake.notify_one());
    }

    pub fn certify(&self, directory: &Directory, count: u64) {
        let mut certificates = self.certificates.lock().unwrap();
        for _ in 0..count {
            let (bundle, certificate) = certified(directory, certificates.len() as u64);
            self.bundles.lock().unwrap().insert(bundle.digest(), bundle);
            certificates.push(certificate);
        }
    }
}

/// One node's plane.
pub struct ScriptedPlane {
    fabric: Arc<Fabric>,
    me: ParticipantNumber,
    validators: ValidatorSet,
    wake: Arc<Notify>,
    held: Mutex<HashMap<BundleDigest, Arc<Bundle>>>,
    ordered: AtomicU64,
    /// Has every certified bundle at once; otherwise it must fetch.
    pub receives: AtomicBool,
    pub can_fetch: AtomicBool,
    pub fetched: AtomicU64,
    /// All that it proposes: certified, held here, and given to nobody.
    withheld: Mutex<Option<BundleCertificate>>,
    pub offered_withheld: AtomicU64,
}

impl ScriptedPlane {
    /// What it fetched.
    pub fn forget(&self) {
        self.held.lock().unwrap().clear();
    }

    /// From now on its node's own blocks order a bundle that no other node can have. That is more than f faulty validators
    /// can do (whoever acks has stored), and those who wait for it cannot tell.
    pub fn withhold(&self, directory: &Directory) -> EnvelopeId {
        let (bundle, certificate) = certified(directory, 1 << 32);
        let id = bundle.ids()[0];
        self.held.lock().unwrap().insert(bundle.digest(), bundle);
        *self.withheld.lock().unwrap() = Some(certificate);
        id
    }
}

impl Supply for ScriptedPlane {
    fn candidates(&self, _: &Tip, _: usize, certificates_max: usize) -> Vec<BundleCertificate> {
        if let Some(certificate) = self.withheld.lock().unwrap().clone() {
            self.offered_withheld.fetch_add(1, Ordering::SeqCst);
            return vec![certificate];
        }
        let ordered = self.ordered.load(Ordering::SeqCst) as usize;
        self.fabric.certificates.lock().unwrap().iter().skip(ordered).take(certificates_max.min(3)).cloned().collect()
    }

    fn bundles(&self, certificates: &[BundleCertificate]) -> Option<Vec<Arc<Bundle>>> {
        let (held, all) = (self.held.lock().unwrap(), self.fabric.bundles.lock().unwrap());
        let received = self.receives.load(Ordering::SeqCst);
        let find = |digest| held.get(&digest).or_else(|| all.get(&digest).filter(|_| received)).cloned();
        certificates.iter().map(|certificate| find(certificate.digest(&CHAIN))).collect()
    }

    fn fetch<'a>(
        &'a self,
        certificates: &'a [BundleCertificate],
        deadline: Duration,
    ) -> BoxFuture<'a, Option<Vec<Arc<Bundle>>>> {
        Box::pin(async move {
            let is_somewhere = {
                let all = self.fabric.bundles.lock().unwrap();
                certificates.iter().all(|certificate| all.contains_key(&certificate.digest(&CHAIN)))
            };
            if !is_somewhere || !self.can_fetch.load(Ordering::SeqCst) {
                tokio::time::sleep(deadline).await;
                return None;
            }
            {
                let all = self.fabric.bundles.lock().unwrap();
                let mut held = self.held.lock().unwrap();
                for digest in certificates.iter().map(|certificate| certificate.digest(&CHAIN)) {
                    if held.insert(digest, Arc::clone(&all[&digest])).is_none() {
                        self.fetched.fetch_add(1, Ordering::SeqCst);
                    }
                }
            }
            self.bundles(certificates)
        })
    }

    fn certificate_is_valid(&self, certificate: &BundleCertificate) -> bool {
        certificate.verify(&CHAIN, &self.validators).is_ok()
    }

    fn committed(&self, block: &Block, _: Tip) {
        self.ordered.fetch_add(block.certificates.len() as u64, Ordering::SeqCst);
    }

    fn height_started(&self, _: Height) {}

    fn has_work(&self, tip: &Tip) -> bool {
        tip.height.0 < self.fabric.demand.load(Ordering::SeqCst)
    }

    fn waiting_bytes(&self, tip: &Tip) -> usize {
        usize::from(self.has_work(tip))
    }

    fn work(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.wake.notified())
    }

    fn ask_peers(
        &self,
        request: Vec<u8>,
        enough: usize,
        deadline: Duration,
    ) -> BoxFuture<'_, Vec<(ParticipantNumber, Vec<u8>)>> {
        Box::pin(async move {
            let until = tokio::time::Instant::now() + deadline;
            loop {
                let others: Vec<_> = {
                    let answers = self.fabric.answers.lock().unwrap();
                    answers
                        .iter()
                        .filter(|(number, _)| **number != self.me)
                        .map(|(number, answer)| (*number, Arc::clone(answer)))
                        .collect()
                };
                if others.len() >= enough || tokio::time::Instant::now() >= until {
                    return others
                        .into_iter()
                        .map(|(number, answer)| (number, answer(self.me, request.clone())))
                        .collect();
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
    }

    fn answer_with(&self, answer: AnswerFn) {
        self.fabric.answers.lock().unwrap().insert(self.me, Arc::new(answer));
    }

    /// All goes by the engine's own network here; `whole.rs` has the plane's streams.
    fn send_consensus(&self, _: Bytes) -> bool {
        false
    }

    fn hear_consensus(&self, _: ConsensusListener) {}
}

pub struct Node {
    pub number: ParticipantNumber,
    pub toy: Arc<Toy>,
    pub plane: Arc<ScriptedPlane>,
    pub home: PathBuf,
    pub running: Option<Running>,
    /// Milliseconds that its clock is ahead.
    pub clock_skew_ms: Arc<AtomicI64>,
    pub with_guard: bool,
    pub config: EngineConfig,
    /// Whose consensus key it holds.
    pub consensus_of: Option<u16>,
}

impl Node {
    pub fn guard_path(&self) -> PathBuf {
        self.home.join("signing-guard")
    }

    pub async fn try_start(&mut self) -> Result<(), EngineError> {
        let consensus = self.consensus_of.map(|number| key(number, CONSENSUS));
        let guard = consensus
            .as_ref()
            .filter(|_| self.with_guard)
            .map(|key| SigningGuard::open(&self.guard_path(), &CHAIN, key.public_key()).unwrap());
        let skew = Arc::clone(&self.clock_skew_ms);
        #[expect(clippy::disallowed_methods, reason = "the clock that the node's own is skewed from")]
        let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64;
        let clock = Arc::new(move || (now() + skew.load(Ordering::SeqCst)) as u64);
        let keys = EngineKeys { consensus, engine_peer: key(self.number.0, ENGINE_PEER) };
        let application: Arc<dyn Application> = Arc::clone(&self.toy) as _;
        let supply: Arc<dyn Supply> = Arc::clone(&self.plane) as _;
        self.running = Some(run_on(self.config.clone(), keys, CHAIN, guard, application, supply, clock).await?);
        Ok(())
    }

    pub async fn start(&mut self) {
        self.try_start().await.unwrap();
    }

    pub fn vote(&self) -> Vote {
        self.running.as_ref().expect("runs").status().borrow().vote.clone()
    }

    /// What the guard holds, read from a copy: the file itself is locked.
    pub fn last_signed(&self) -> Option<LastSigned> {
        let copy = self.home.join("copy of the guard");
        std::fs::copy(self.guard_path(), &copy).unwrap();
        let key = key(self.consensus_of.expect("has a key"), CONSENSUS).public_key();
        SigningGuard::open(&copy, &CHAIN, key).unwrap().last().copied()
    }

    pub async fn stop(&mut self) {
        self.plane.fabric.answers.lock().unwrap().remove(&self.number);
        if let Some(running) = self.running.take() {
            running.stop().await.unwrap();
        }
    }
}

pub struct Cluster {
    pub directory: Arc<Directory>,
    pub fabric: Arc<Fabric>,
    pub nodes: Vec<Node>,
    _folder: tempfile::TempDir,
}

/// Each cluster of a test run has a loopback network of its own (trap 12).
static NETWORKS: AtomicU64 = AtomicU64::new(1);

impl Cluster {
    pub fn new(validators: u16, observers: u16, idle_height_every: Duration) -> Self {
        let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "off".into());
        let _ = tracing_subscriber::fmt().with_env_filter(filter).with_test_writer().try_init();
        let folder = tempfile::tempdir().unwrap();
        let directory = Arc::new(directory(validators, observers));
        let fabric = Arc::new(Fabric::default());
        let network = NETWORKS.fetch_add(1, Ordering::Relaxed);
        let pid = std::process::id() % 200;
        let address = |n: u16| format!("/ip4/127.{}.{network}.{n}/tcp/27100", 20 + pid).parse().unwrap();
        let peers: Vec<_> = directory
            .iter()
            .map(|p| EnginePeer { number: p.number, pinned: Default::default(), addr: address(p.number.0) })
            .collect();
        let nodes = directory.iter().map(|p| {
            let home = folder.path().join(p.number.to_string());
            std::fs::create_dir_all(&home).unwrap();
            let wake = Arc::new(Notify::new());
            fabric.wakes.lock().unwrap().push(Arc::clone(&wake));
            if p.is_validator() {
                SigningGuard::create(&home.join("signing-guard"), &CHAIN, p.keys.consensus).unwrap();
            }
            Node {
                number: p.number,
                toy: Toy::new(&directory),
                plane: Arc::new(ScriptedPlane {
                    fabric: Arc::clone(&fabric),
                    me: p.number,
                    validators: directory.validators(),
                    wake,
                    held: Mutex::default(),
                    ordered: AtomicU64::new(0),
                    receives: AtomicBool::new(true),
                    can_fetch: AtomicBool::new(true),
                    fetched: AtomicU64::new(0),
                    withheld: Mutex::default(),
                    offered_withheld: AtomicU64::new(0),
                }),
                config: EngineConfig {
                    me: p.number,
                    home: home.clone(),
                    listen: address(p.number.0),
                    peers: peers.clone(),
                    timeouts: Timeouts::default(),
                    propose_bytes_max: 1 << 20,
                    idle_height_every,
                    pace: Pace::steady(Duration::ZERO, 0),
                },
                home,
                running: None,
                clock_skew_ms: Arc::new(AtomicI64::new(0)),
                with_guard: true,
                consensus_of: p.is_validator().then_some(p.number.0),
            }
        });
        let nodes = nodes.collect();
        Cluster { directory, fabric, nodes, _folder: folder }
    }

    pub async fn start(&mut self, which: impl IntoIterator<Item = usize>) {
        for i in which {
            self.nodes[i].start().await;
        }
    }

    pub async fn stop(&mut self) {
        for node in &mut self.nodes {
            node.stop().await;
        }
    }

    /// How the connections of nobody are: this one's peers do not know it.
    pub fn make_a_stranger(&mut self, stranger: usize) {
        let number = self.nodes[stranger].number;
        for node in self.nodes.iter_mut().filter(|node| node.number != number) {
            node.config.peers.retain(|peer| peer.number != number);
        }
    }

    /// Gives `twin` the consensus key of a validator, and a guard of its own for it: the operator's worst mistake.
    pub fn make_a_twin(&mut self, twin: usize, of: usize) {
        let number = self.nodes[of].number;
        let node = &mut self.nodes[twin];
        (node.config.me, node.consensus_of) = (number, Some(number.0));
        SigningGuard::create(&node.guard_path(), &CHAIN, key(number.0, CONSENSUS).public_key()).unwrap();
    }

    pub fn assert_no_evidence(&self) {
        for node in &self.nodes {
            assert_eq!(*node.toy.evidence.lock().unwrap(), vec![], "held by node {}", node.number);
        }
    }

    pub fn heights(&self) -> Vec<u64> {
        self.nodes.iter().map(|node| node.toy.height()).collect()
    }

    /// Waits until all of these nodes have the height.
    pub async fn reach(&self, which: impl IntoIterator<Item = usize> + Clone, height: u64) {
        let what = format!("nodes at height {height}");
        let all_there = || which.clone().into_iter().all(|i| self.nodes[i].toy.height() >= height);
        eventually(&what, Duration::from_secs(60), all_there, || format!("{:?}", self.heights())).await;
    }

    /// As its guard says: a certificate has the votes that came first, so a vote need not be in any.
    pub async fn until_voted_after(&self, node: usize, height: u64) {
        let last = || self.nodes[node].last_signed();
        let voted = || last().is_some_and(|last| last.position.height > Height(height));
        eventually("a vote", Duration::from_secs(30), voted, || format!("{:?}", last())).await;
    }

    /// Safety: whatever two nodes decided, they decided alike.
    pub fn assert_equal_histories(&self) {
        let longest = self.nodes.iter().map(|node| node.toy.hashes()).max_by_key(Vec::len).unwrap();
        for node in &self.nodes {
            let hashes = node.toy.hashes();
            assert_eq!(hashes[..], longest[..hashes.len()], "node {}", node.number);
        }
    }
}

pub async fn eventually(what: &str, deadline: Duration, condition: impl Fn() -> bool, state: impl Fn() -> String) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < deadline, "not within {deadline:?}: {what}; {}", state());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
