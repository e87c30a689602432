//! A validator that lies, with its real keys and guards: the shipped engine and data plane, over a ledger that says to others what it
//! does not hold. It runs in place of a node (`assay-faults liar`), serves no HTTP and has no desk.
//!
//! It signs no two things for one place: that is the twin's row. What it cannot do by itself it does not do here: a block's bundles
//! are certified by a quorum's acks, so it has none to withhold.

use consensus::engine::recall::Answer;
use consensus::engine::{self, EngineConfig, EngineKeys, EnginePeer, Pace, Timeouts};
use consensus::plane::{Plane, PlaneConfig, PlaneKeys, PlaneLimits, PlanePeer};
use consensus::port::{Application, BlockRefused, Candidate, DecidedBlock, Evidence, MustStop, Tip};
use ledger_store::{Store, StoreOptions};
use ledger_types::block::{Block, BlockHeader, certificates_root};
use ledger_types::bundle::Bundle;
use ledger_types::{Chain, Height, List, ParticipantNumber, StateRoot};
use node::config::{Config, Peer};
use node::guards::{self, Guards};
use node::keys::{KeyFolder, passphrase};
use node::ledger::{BundleFiles, LedgerWriter};
use node::start::{init_logging, read_genesis};
use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum About {
    /// Every block that it proposes is wrong, each in the next way.
    Blocks,
    /// Whoever asks for decided heights gets wrong ones, and who asks what it signed hears of heights that nobody is at.
    History,
}

/// A line of its log for each lie.
pub const TOLD: &str = "a lie:";

struct Lies {
    about: About,
    told: AtomicUsize,
}

impl Lies {
    /// Which of so many ways is next.
    fn next(&self, what: &str, ways: usize) -> usize {
        let told = self.told.fetch_add(1, Ordering::Relaxed);
        eprintln!("{TOLD} {what} {}", told % ways);
        told % ways
    }
}

struct LyingLedger {
    ledger: Arc<LedgerWriter>,
    chain: Chain,
    lies: Arc<Lies>,
}

fn another_state(header: &mut BlockHeader) {
    header.state_root = StateRoot(header.state_root.0.map(|byte| !byte));
}

impl LyingLedger {
    fn wrong(&self, mut block: Block) -> Block {
        let certificates = block.certificates.to_vec();
        let header = &mut block.header;
        match (self.lies.next("a block", 6), certificates.first().cloned()) {
            (0, _) => header.results_root.0[0] ^= 1,
            (1, _) => header.time_ms += 3_600_000,
            (2, _) => block.parent_certificate = None,
            // One certificate twice, under the root that belongs to it.
            (3, Some(first)) => {
                let twice = [vec![first], certificates].concat();
                header.certificates_root = certificates_root(&self.chain, &twice);
                block.certificates = List::new(twice).unwrap_or_default();
            }
            // Acked by one alone.
            (4, Some(mut first)) => {
                first.acks = List::new(first.acks.iter().take(1).cloned().collect()).expect("one of several");
                let alone = vec![first];
                header.certificates_root = certificates_root(&self.chain, &alone);
                block.certificates = List::new(alone).expect("one");
            }
            _ => another_state(header),
        }
        block
    }

    fn wrong_history(&self, decided: DecidedBlock) -> DecidedBlock {
        let DecidedBlock { mut block, mut certificate } = decided;
        match self.lies.next("a decided height", 4) {
            // Not what was decided.
            0 => another_state(&mut block.header),
            // The same, under a certificate that names it.
            1 => {
                another_state(&mut block.header);
                certificate.block = block.hash(&self.chain);
            }
            // Decided by one alone.
            2 => {
                let one = certificate.precommits.iter().take(1).cloned().collect();
                certificate.precommits = List::new(one).expect("one of several");
            }
            // Another height.
            _ => block.header.height = block.header.height.next(),
        }
        DecidedBlock { block, certificate }
    }
}

impl Application for LyingLedger {
    fn propose(&self, candidate: Candidate) -> Result<Block, BlockRefused> {
        let block = self.ledger.propose(candidate)?;
        Ok(if self.lies.about == About::Blocks { self.wrong(block) } else { block })
    }

    fn decided(&self, height: Height) -> Option<DecidedBlock> {
        let decided = self.ledger.decided(height)?;
        Some(if self.lies.about == About::History { self.wrong_history(decided) } else { decided })
    }

    fn tip(&self) -> Tip {
        self.ledger.tip()
    }

    fn check(&self, block: &Block, bundles: &[Arc<Bundle>]) -> Result<(), BlockRefused> {
        self.ledger.check(block, bundles)
    }

    fn commit(&self, decided: DecidedBlock, bundles: &[Arc<Bundle>]) -> Result<Tip, MustStop> {
        self.ledger.commit(decided, bundles)
    }

    fn header(&self, height: Height) -> Option<BlockHeader> {
        self.ledger.header(height)
    }

    fn can_go_on(&self) -> Result<(), MustStop> {
        self.ledger.can_go_on()
    }

    fn next_edge_ms(&self) -> Option<u64> {
        self.ledger.next_edge_ms()
    }

    fn state(&self, question: &[u8]) -> Vec<u8> {
        self.ledger.state(question)
    }

    fn message(&self, from: ParticipantNumber, bytes: Vec<u8>) {
        self.ledger.message(from, bytes);
    }

    fn evidence(&self, evidence: Evidence) {
        self.ledger.evidence(evidence);
    }
}

/// To "what did I sign last?" (B-9): nothing, and the height in progress is none that there is.
fn of_what_was_signed(lies: &Lies) -> Vec<u8> {
    let in_progress = [Height(0), Height(u64::MAX)][lies.next("what was signed", 2)];
    Answer { in_progress, newest: None }.bytes()
}

/// Runs until it is ended or its engine fails. `config` is the node's that it stands for.
pub fn run(config: &Path, about: About) -> Result<(), Box<dyn Error>> {
    init_logging(false);
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?.block_on(lie(config, about))
}

async fn lie(config: &Path, about: About) -> Result<(), Box<dyn Error>> {
    let config = Config::read(config)?;
    let (genesis, me) = (read_genesis(&config)?, config.me());
    let chain = genesis.chain();
    let participant = genesis.directory.get(me).ok_or("it is not in the directory")?.clone();
    let keys = KeyFolder::new(&config.keys, passphrase(config.passphrase_file.as_deref())?);
    let Guards { votes, acks, .. } = guards::open(&config.keys, &participant, participant.keys.consensus, &genesis)?;
    let (plane_at, engine_at) = (config.plane.ok_or("no plane")?, config.engine.ok_or("no engine")?);
    let limits = PlaneLimits::new(genesis.bytes_per_submitter_per_height);
    let store = Arc::new(Store::open(&config.state.join("ledger"), genesis, StoreOptions::default(), acks)?);
    let (ledger, view, _messages) = LedgerWriter::new(store.clone(), me)?;
    let lies = Arc::new(Lies { about, told: AtomicUsize::new(0) });
    let application = Arc::new(LyingLedger { ledger: Arc::new(ledger), chain, lies: lies.clone() });

    let number = |peer: &Peer| ParticipantNumber(peer.participant);
    let mut peers = Vec::new();
    for peer in &plane_at.peers {
        peers.push(PlanePeer { number: number(peer), pinned: peer.pinned(), addr: peer.address.parse()? });
    }
    let plane_config = PlaneConfig { me, listen: plane_at.listen.parse()?, peers, limits };
    let plane_keys = PlaneKeys { data_peer: keys.signing_key("data-peer")?, bundle: Some(keys.signing_key("bundle")?) };
    let bundles = Arc::new(BundleFiles::new(store));
    let plane = Plane::start(plane_config, plane_keys, chain, view.tip(), bundles, application.clone()).await?;

    let mut peers = Vec::new();
    for peer in &engine_at.peers {
        peers.push(EnginePeer { number: number(peer), pinned: peer.pinned(), addr: peer.address.parse()? });
    }
    let engine_config = EngineConfig {
        me,
        home: config.state.join("engine"),
        listen: engine_at.listen.parse()?,
        peers,
        timeouts: Timeouts::default(),
        propose_bytes_max: 8 << 20,
        idle_height_every: Duration::from_secs(60),
        pace: Pace::steady(Duration::from_millis(100), 2 << 20),
    };
    let engine_keys =
        EngineKeys { consensus: Some(keys.signing_key("consensus")?), engine_peer: keys.signing_key("engine-peer")? };
    let clock = Arc::new(node::clock::now_ms);
    let mut running = engine::run(engine_config, engine_keys, chain, votes, application, plane.clone(), clock).await?;
    if about == About::History {
        plane.answer_with(Box::new(move |_, _| of_what_was_signed(&lies)));
    }
    Ok(running.ended().await?)
}
