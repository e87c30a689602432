//! Runs the BFT engine (Malachite) against the ports: decides blocks, never what they mean.
//!
//! ```text
//!   run ── supervises ──▶ session ──▶ engine's actors: consensus, network, sync        (theirs)
//!    │                      │              │ HostMsg         ▲ values, parts
//!    │ B-9: may we vote?    │              ▼                 │
//!    └── recall             └────────▶ connector (one loop) ─┴─▶ tasks: check, propose, commit ──▶ Application, Plane
//!                                          │
//!        guard ◀── signer ◀── log flushed ─┘ blocks and inputs of the height in progress
//! ```
//! What must stay true: this node signs only what its guard recorded and what it executed; it votes only when the others agree
//! that it has not forgotten a vote; when anything durable fails it stops. Whether it stopped is said by [`Running::ended`].

pub mod blocks;
pub mod codec;
pub mod connector;
pub mod context;
pub mod counters;
pub mod courier;
pub mod demotion;
pub mod parts;
pub mod peers;
pub mod recall;
pub mod signing;
pub mod supply;
pub mod wal;
pub mod witness;

mod actors;
mod session;
mod supervisor;

use crate::guard::SigningGuard;
use crate::pinned::PinnedKey;
use crate::plane::Plane;
use crate::port::{Application, MustStop};
use arc_malachitebft_core_types::LinearTimeouts;
use blocks::{Judge, blocking};
use counters::Counters;
pub use counters::EngineMetrics;
use ledger_types::keys::SigningKey;
use ledger_types::{BlockHash, Chain, Height, ParticipantNumber};
use libp2p::Multiaddr;
use recall::Answer;
use session::Home;
use signing::GuardedSigner;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use supervisor::Supervisor;
use supply::Supply;
use tokio::sync::{mpsc, watch};
use wal::Wal;
use witness::Witness;

/// In [`EngineConfig::home`].
pub const WAL_FILE: &str = "consensus.wal";

/// For people: as it is pinned in the workspace's manifest.
pub const NAME_AND_VERSION: &str = "engine    Malachite 0.8.2";

/// A participant whose engine we connect to. Validators and observers alike: nobody else gets a connection. Its key is the one that
/// the directory of the tip names, whenever that changes.
#[derive(Clone, Debug)]
pub struct EnginePeer {
    pub number: ParticipantNumber,
    pub pinned: PinnedKey,
    /// `/ip4` or `/ip6` and `/tcp` only (trap 15).
    pub addr: Multiaddr,
}

/// A dead proposer costs propose + prevote and precommit of one round: 0.6 s.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    pub propose: Duration,
    pub vote: Duration,
    /// Longer by this in each further round, so that any network is slow enough at last.
    pub longer_each_round: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Timeouts {
            propose: Duration::from_millis(500),
            vote: Duration::from_millis(100),
            longer_each_round: Duration::from_millis(250),
        }
    }
}

impl Timeouts {
    pub fn linear(&self) -> LinearTimeouts {
        LinearTimeouts {
            propose: self.propose,
            propose_delta: self.longer_each_round,
            prevote: self.vote,
            prevote_delta: self.longer_each_round,
            precommit: self.vote,
            precommit_delta: self.longer_each_round,
            rebroadcast: self.propose + self.vote * 2,
            max_timeout: Duration::from_secs(10),
        }
    }
}

#[derive(Clone, Debug)]
pub struct EngineConfig {
    pub me: ParticipantNumber,
    /// For the log.
    pub home: PathBuf,
    /// Each node has an address of its own (trap 12).
    pub listen: Multiaddr,
    pub peers: Vec<EnginePeer>,
    pub timeouts: Timeouts,
    /// Of the bundles that the own proposals order.
    pub propose_bytes_max: usize,
    pub idle_height_every: Duration,
    pub pace: Pace,
}

/// How fast heights follow each other while there is work. A height costs every node some 6 ms of processor time whatever it
/// orders, so small heights in a row are the costliest way to be busy.
#[derive(Clone, Debug)]
pub struct Pace {
    /// From the start of one height to the start of the next, at least. It may change while heights run.
    pub height_every: watch::Receiver<Duration>,
    /// So many bytes of certified bundles do not wait.
    pub unless_bytes: usize,
}

impl Pace {
    /// One that never changes.
    pub fn steady(height_every: Duration, unless_bytes: usize) -> Self {
        Pace { height_every: watch::channel(height_every).1, unless_bytes }
    }
}

pub struct EngineKeys {
    /// None: a full node that never votes. One with a key votes while the set that decides names it (G-3).
    pub consensus: Option<SigningKey>,
    pub engine_peer: SigningKey,
}

#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    #[error("the engine's configuration: {0}")]
    Config(String),
    #[error("the engine cannot start: {0}")]
    Start(String),
    #[error("the log at {path}: {source}")]
    Log { path: PathBuf, source: std::io::Error },
    #[error("the engine failed: {0}")]
    Failed(String),
    #[error(transparent)]
    MustStop(#[from] MustStop),
}

/// What the node is doing in consensus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    Starting,
    Deciding,
    Committing,
    /// Between heights, without work.
    Idle,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Vote {
    Votes,
    /// The set that decides does not name this node, or it has no key.
    Never,
    /// B-9: the others have not answered yet.
    Asking,
    /// B-9: not before this height is decided by others.
    NotThrough {
        height: Height,
        why: recall::Why,
    },
    /// B-9: there is no signing guard.
    GuardMissing,
}

/// Health is progress (trap 4): compare `tip` and `decided_at_ms`, never that the process lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    pub tip: Height,
    pub block: BlockHash,
    /// By the own clock; zero before the first decision of this process.
    pub decided_at_ms: u64,
    /// In progress.
    pub height: Height,
    pub round: u32,
    pub stage: Stage,
    pub vote: Vote,
}

pub struct Running {
    status: watch::Receiver<Status>,
    counters: Arc<Counters>,
    /// Stops the engine when it is set, and when it is dropped.
    stop: watch::Sender<bool>,
    task: tokio::task::JoinHandle<Result<(), EngineError>>,
}

/// Reads what a running engine does; outlives it.
#[derive(Clone)]
pub struct EngineView {
    status: watch::Receiver<Status>,
    counters: Arc<Counters>,
}

impl EngineView {
    pub fn status(&self) -> Status {
        self.status.borrow().clone()
    }

    pub fn metrics(&self) -> EngineMetrics {
        self.counters.snapshot()
    }
}

impl Running {
    pub fn view(&self) -> EngineView {
        EngineView { status: self.status.clone(), counters: Arc::clone(&self.counters) }
    }

    pub fn status(&self) -> watch::Receiver<Status> {
        self.status.clone()
    }

    pub fn metrics(&self) -> EngineMetrics {
        self.counters.snapshot()
    }

    /// Resolves when the engine has ended: by an error, or after [`Running::stop`].
    pub async fn ended(&mut self) -> Result<(), EngineError> {
        flatten((&mut self.task).await)
    }

    /// Stops cleanly; everything is down when it returns.
    pub async fn stop(self) -> Result<(), EngineError> {
        self.stop.send_replace(true);
        flatten(self.task.await)
    }
}

fn flatten(joined: Result<Result<(), EngineError>, tokio::task::JoinError>) -> Result<(), EngineError> {
    joined.unwrap_or_else(|panic| Err(EngineError::Failed(panic.to_string())))
}

pub type Clock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// Starts the engine. `guard` belongs to `keys.consensus`; without one the node follows and never votes (B-9).
pub async fn run(
    config: EngineConfig,
    keys: EngineKeys,
    chain: Chain,
    guard: Option<SigningGuard>,
    application: Arc<dyn Application>,
    plane: Arc<Plane>,
    clock: Clock,
) -> Result<Running, EngineError> {
    run_on(config, keys, chain, guard, application, plane, clock).await
}

/// [`run`] on anything that supplies bundles.
pub async fn run_on(
    config: EngineConfig,
    keys: EngineKeys,
    chain: Chain,
    guard: Option<SigningGuard>,
    application: Arc<dyn Application>,
    supply: Arc<dyn Supply>,
    clock: Clock,
) -> Result<Running, EngineError> {
    let tip = {
        let application = Arc::clone(&application);
        blocking(move || application.tip()).await
    };
    let path = config.home.join(WAL_FILE);
    let opened = std::fs::create_dir_all(&config.home).and_then(|()| Wal::open(&path));
    let (wal, recovered) = opened.map_err(|source| EngineError::Log { path, source })?;

    let has_key = keys.consensus.is_some();
    let signer = keys.consensus.zip(guard).map(|(key, guard)| GuardedSigner {
        chain,
        key,
        guard: Arc::new(Mutex::new(guard)),
        wal: Arc::new(wal),
        stopped: Arc::default(),
    });
    let (quorums_in, quorums) = mpsc::unbounded_channel();
    let witness = Arc::new(Witness::new(tip.height.next(), tip.validators.clone(), quorums_in));
    let (status_in, status) = watch::channel(Status {
        tip: tip.height,
        block: tip.block,
        decided_at_ms: 0,
        height: tip.height.next(),
        round: 0,
        stage: Stage::Starting,
        vote: Vote::Never,
    });
    supply.answer_with(answer_from(&witness, &application, status.clone()));
    let judge = Judge { chain, application, supply, clock, execution: Arc::new(tokio::sync::Mutex::new(())) };
    let counters = Arc::new(Counters::default());
    let home = Home {
        config: Arc::new(config),
        has_key,
        engine_peer: keys.engine_peer,
        judge,
        witness,
        status: status_in,
        counters: Arc::clone(&counters),
        signer,
    };
    let (stop, stopping) = watch::channel(false);
    let task = tokio::spawn(Supervisor { home, recovered, quorums, stopping }.run());
    Ok(Running { status, counters, stop, task })
}

/// What others may ask (B-9): the newest vote of theirs that we saw since our start or that our tip's certificate holds.
fn answer_from(
    witness: &Arc<Witness>,
    application: &Arc<dyn Application>,
    status: watch::Receiver<Status>,
) -> supply::AnswerFn {
    let (witness, application) = (Arc::clone(witness), Arc::clone(application));
    Box::new(move |asker, request| {
        if request != recall::REQUEST {
            return Vec::new();
        }
        Answer::of(asker, &witness, &application.tip(), status.borrow().height).bytes()
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_engine_is_named_with_the_version_that_is_pinned() {
        let manifest = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml")).unwrap();
        let version = super::NAME_AND_VERSION.rsplit_once(' ').unwrap().1;
        assert!(manifest.contains(&format!("arc-malachitebft-engine = \"={version}\"\n")), "{version}");
    }
}
