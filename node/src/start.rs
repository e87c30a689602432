//! Starts a process in the order in which its parts depend on each other, and stops it in the reverse order.
//!
//! A part that fails takes the process down: a node that cannot write, sign or follow must not look alive.

use crate::backup::copy::Sources;
use crate::checkpoint::{self, AuditStatus, CheckpointKeys};
use crate::config::{self, Config, ConfigError, Network, RoleName};
use crate::guards::{self, Guards};
use crate::history::{History, NeededFrom};
use crate::http::auth::Token;
use crate::http::health::NodeHealth;
use crate::http::ledger::LedgerHttp;
use crate::http::rate::{Class, Gate, limited};
use crate::http::reads::Reads;
use crate::http::submit::Submissions;
use crate::http::{self, ConnectionBounds, ServerLimits};
use crate::joining::{self, Beginning};
use crate::keys::{KeyError, KeyFolder, passphrase, read_secret_file};
use crate::ledger::{BundleFiles, LedgerView, LedgerWriter};
use crate::own_keys::{self, KeyRefused, OwnKeys, ValidatorKeys};
use crate::role;
use consensus::engine::{self, EngineConfig, EngineKeys, EnginePeer, Pace, Status, Timeouts, Vote};
use consensus::pinned::PinnedKey;
use consensus::plane::{Backlog, Plane, PlaneConfig, PlaneKeys, PlaneLimits, PlanePeer, SubmitError};
use ledger_store::{Store, StoreOptions};
use ledger_types::bundle::{Bundle, BundleHeader, Slot};
use ledger_types::envelope::Envelope;
use ledger_types::genesis::Genesis;
use ledger_types::keys::Signature;
use ledger_types::rules::RULES_KNOWN;
use ledger_types::{EnvelopeId, ParticipantNumber, RulesVersion};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error("cannot read the genesis {path}: {source}")]
    GenesisFile { path: PathBuf, source: std::io::Error },
    #[error("the genesis is not sound: {0}")]
    Genesis(#[from] ledger_types::genesis::GenesisError),
    #[error("participant {0} is not in the directory")]
    UnknownParticipant(u16),
    #[error(transparent)]
    KeyRefused(#[from] KeyRefused),
    #[error(transparent)]
    Guard(#[from] guards::GuardFault),
    #[error("cannot listen on {address}: {source}")]
    Listen { address: std::net::SocketAddr, source: std::io::Error },
    #[error("{part} failed: {reason}")]
    Part { part: &'static str, reason: String },
}

/// Bundle bytes of one block: 8 MiB are some ten thousand envelopes, executed within a quarter of a second.
const PROPOSE_BYTES_MAX: usize = 8 << 20;
/// B-5: an idle chain makes a height a minute.
const IDLE_HEIGHT_EVERY: Duration = Duration::from_secs(60);

fn part(part: &'static str) -> impl Fn(String) -> StartError {
    move |reason| StartError::Part { part, reason }
}

/// Hands envelopes and bundles to the data plane. Queued is not acknowledged.
#[derive(Clone)]
pub struct Submitter {
    plane: Arc<Plane>,
}

impl Submitter {
    pub async fn envelopes(&self, envelopes: Vec<Envelope>) -> Result<(), SubmitError> {
        self.plane.submit(envelopes).await
    }

    pub async fn bundle(&self, bundle: Bundle) -> Result<(), SubmitError> {
        self.plane.submit_bundle(bundle).await
    }

    /// Whether a bundle with this head would be taken now.
    pub fn admits(&self, header: &BundleHeader, signature: &Signature) -> Result<(), SubmitError> {
        self.plane.admits(header, signature)
    }

    /// Whether a bundle that was submitted here with this envelope has lost its slot: only its submitter can sign it again.
    pub fn is_lost(&self, envelope: &EnvelopeId) -> bool {
        self.plane.envelope_is_lost(envelope)
    }

    /// What waits on this node.
    pub fn backlog(&self) -> Backlog {
        self.plane.backlog()
    }

    pub fn next_slot(&self, submitter: ParticipantNumber) -> Slot {
        self.plane.next_slot(submitter)
    }

    pub fn connected(&self) -> Vec<ParticipantNumber> {
        self.plane.connected()
    }
}

/// Opens an envelope for its own bank, as a JSON document; `None` when the bank is no party.
pub type Opener = Arc<dyn Fn(&EnvelopeId, &Envelope) -> Option<serde_json::Value> + Send + Sync>;

/// What a bank's role gets from the node.
pub struct Services {
    pub config: Config,
    pub view: LedgerView,
    pub submit: Submitter,
    pub keys: Arc<KeyFolder>,
    pub stop: watch::Receiver<bool>,
}

pub fn init_logging(json: bool) {
    use tracing_subscriber::EnvFilter;
    let filter = EnvFilter::try_from_env("ASSAY_LOG")
        .unwrap_or_else(|_| EnvFilter::new("info,libp2p=warn,arc_malachitebft=warn"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if json { builder.json().init() } else { builder.with_ansi(false).init() }
}

/// Runs the process until SIGTERM or SIGINT, or until a part fails.
pub fn run(config: &Path) -> Result<(), StartError> {
    let config = Config::read(config)?;
    // A panic in any task means that a rule of ours was wrong: stop before anything more is signed.
    let default = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        default(panic);
        std::process::abort();
    }));
    refuse_core_files();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| part("the runtime")(error.to_string()))?;
    let outcome = runtime.block_on(async {
        let (stop_sender, stop) = watch::channel(false);
        let mut terminate = signal(SignalKind::terminate()).map_err(|e| part("signals")(e.to_string()))?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(|e| part("signals")(e.to_string()))?;
        tokio::spawn(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            tracing::info!("stopping");
            let _ = stop_sender.send(true);
        });
        match config.role {
            RoleName::Registration => {
                role::registration::run(config, stop).await.map_err(|e| part("registration")(e.to_string()))
            }
            RoleName::ConfirmationIssuance => {
                let run = role::confirmation_issuance::run(config, stop).await;
                run.map_err(|e| part("confirmation issuance")(e.to_string()))
            }
            _ => run_node(config, stop).await,
        }
    });
    runtime.shutdown_timeout(Duration::from_secs(2));
    outcome
}

/// Keys live in this process's memory: the kernel must not write it to a core file.
fn refuse_core_files() {
    let none = std::process::Command::new("prlimit")
        .args([format!("--pid={}", std::process::id()).as_str(), "--core=0:0"])
        .status();
    if !none.is_ok_and(|status| status.success()) {
        tracing::warn!("cannot switch core files off for this process; run it with ulimit -c 0");
    }
}

pub fn read_genesis(config: &Config) -> Result<Genesis, StartError> {
    let path = config.genesis.clone();
    let document = std::fs::read(&path).map_err(|source| StartError::GenesisFile { path, source })?;
    Ok(Genesis::parse(&document)?)
}

async fn run_node(config: Config, stop: watch::Receiver<bool>) -> Result<(), StartError> {
    let genesis = read_genesis(&config)?;
    let chain = genesis.chain();
    let me = config.me();
    let participant = genesis.directory.get(me).ok_or(StartError::UnknownParticipant(me.0))?.clone();
    let keys = Arc::new(KeyFolder::new(&config.keys, passphrase(config.passphrase_file.as_deref())?));
    tracing::info!(role = config.role.as_str(), participant = me.0, genesis = %chain.genesis_hash(), "starting");

    // The ledger. Each guard belongs to the key whose file lies beside it.
    let consensus = keys.signing_key("consensus")?.public_key();
    let Guards { votes: vote_guard, acks: ack_guard, cosigner, log } =
        guards::open(&config.keys, &participant, consensus, &genesis)?;
    let state = config.state.clone();
    let plane_network = config.plane.as_ref().expect("Config::check asks for it");
    let plane_peers = peers(plane_network, |number, pinned, addr| PlanePeer { number, pinned, addr });
    let data_peer = keys.signing_key("data-peer")?;
    let (begins_from, peers_asked) = (config.begins_from, &plane_peers);
    let beginning =
        Beginning { state: &state, begins_from, genesis: &genesis, data_peer: &data_peer, peers: peers_asked };
    let mut stopped = stop.clone();
    let (joined, ack_guard) = tokio::select! {
        begun = joining::begin(beginning, ack_guard) => begun.map_err(|e| part("joining by a snapshot")(e.to_string()))?,
        _ = stopped.wait_for(|stop| *stop) => return Ok(()),
    };
    let opened = tokio::task::spawn_blocking({
        let genesis = genesis.clone();
        let rules_known = config.rules_known.map_or(RULES_KNOWN, RulesVersion);
        let options = StoreOptions { rules_known, ..StoreOptions::default() };
        move || Store::open(&state.join("ledger"), genesis, options, ack_guard)
    });
    let store = opened
        .await
        .expect("opening a store does not panic")
        .map_err(|e| part("the store")(format!("{e}. {}", e.hint())))?;
    let store = Arc::new(store);
    let (writer, view, received) =
        LedgerWriter::new(store.clone(), me).map_err(|e| part("the ledger")(e.to_string()))?;
    let writer = Arc::new(writer);
    let bundles = Arc::new(BundleFiles::new(store.clone()));

    // Keys as the directory of the durable tip names them: officers may have rotated some since the genesis (decision 069).
    let tip = view.ledger();
    let participant = tip.directory.get(me).ok_or(StartError::UnknownParticipant(me.0))?;
    // Also of one who does not vote: officers may make it a validator while it runs (G-3).
    let validator_keys = ValidatorKeys::of(&keys, participant, &tip.validators.set, &config.returned_keys)?;
    let watched_keys = validator_keys.own(me);
    let ValidatorKeys { consensus: consensus_key, bundle: bundle_key, cosign } = validator_keys;
    let log = match (&participant.central_bank, log) {
        (Some(central), Some(guard)) => Some((own_keys::log(&keys, central, me)?, guard)),
        _ => None,
    };
    // B-9: a key without its guard signs nothing.
    let checkpoint_keys = CheckpointKeys { cosign: cosigner.map(|guard| (cosign, guard)), log };
    let network_keys = OwnKeys::of_network(&keys, me)?;
    network_keys.check(&genesis.directory, &tip.directory, tip.height, &config.returned_keys)?;
    let desk_keys = match config.role {
        RoleName::CommercialBank | RoleName::CentralBank => {
            let is_central_bank = participant.is_central_bank();
            Some(OwnKeys::of_desk(&keys, me, is_central_bank, genesis.kem_suite)?)
        }
        _ => None,
    };
    if let Some(desk_keys) = &desk_keys {
        desk_keys.check(&genesis.directory, &tip.directory, tip.height, &config.returned_keys)?;
    }
    let engine_peer = keys.signing_key("engine-peer")?;

    // Consensus.
    let plane_config = PlaneConfig {
        me,
        listen: address(&plane_network.listen),
        peers: plane_peers,
        limits: PlaneLimits::new(genesis.bytes_per_submitter_per_height),
    };
    let plane_keys = PlaneKeys { data_peer, bundle: Some(bundle_key) };
    let plane = Plane::start(plane_config, plane_keys, chain, view.tip(), bundles, writer.clone())
        .await
        .map_err(|e| part("the data plane")(e.to_string()))?;
    let (pace, height_every) = crate::pace::channel();
    let engine_network = config.engine.as_ref().expect("Config::check asks for it");
    let engine_config = EngineConfig {
        me,
        home: config.state.join("engine"),
        listen: address(&engine_network.listen),
        peers: peers(engine_network, |number, pinned, addr| EnginePeer { number, pinned, addr }),
        timeouts: Timeouts::default(),
        propose_bytes_max: PROPOSE_BYTES_MAX,
        idle_height_every: IDLE_HEIGHT_EVERY,
        pace: Pace { height_every, unless_bytes: PROPOSE_BYTES_MAX / 4 },
    };
    let mut running = engine::run(
        engine_config,
        EngineKeys { consensus: Some(consensus_key), engine_peer },
        chain,
        vote_guard,
        writer.clone(),
        plane.clone(),
        Arc::new(crate::clock::now_ms),
    )
    .await
    .map_err(|e| part("the engine")(e.to_string()))?;

    let mut parts = tokio::task::JoinSet::new();
    parts.spawn(begin_renewed_acks(store.clone(), running.status()));
    parts.spawn(async move {
        crate::pace::keep(pace).await;
        Ok(())
    });
    let (audit, audited) = watch::channel(AuditStatus::default());
    parts.spawn({
        let (view, stop) = (view.clone(), stop.clone());
        async move {
            checkpoint::audit(view, audit, stop).await;
            Ok(())
        }
    });
    parts.spawn({
        let (view, plane, stop, audited) = (view.clone(), plane.clone(), stop.clone(), audited.clone());
        async move {
            let run = checkpoint::run(view, plane, checkpoint_keys, audited, received, stop).await;
            run.map_err(|e| part("checkpoint signing")(e.to_string()))
        }
    });

    for own in [network_keys, watched_keys] {
        let (view, directory) = (view.clone(), tip.directory.clone());
        parts.spawn(async move {
            own.watch(view, directory).await;
            Ok(())
        });
    }

    // The role. A desk signs nothing before the ledger, as far as this node has it, names its keys.
    if let Some(desk_keys) = desk_keys {
        let mut stopped = stop.clone();
        tokio::select! {
            () = desk_keys.until_named(&view) => {}
            ended = running.ended() => return Err(engine_ended(ended)),
            stopped = plane.failure() => return Err(part("the data plane")(stopped.to_string())),
            error = first_failure(&mut parts) => return Err(error),
            _ = stopped.wait_for(|stop| *stop) => {
                if let Err(error) = running.stop().await {
                    tracing::warn!(%error, "the engine did not stop cleanly");
                }
                parts.shutdown().await;
                plane.stop().await;
                return Ok(());
            }
        }
        let (view, directory) = (view.clone(), tip.directory.clone());
        parts.spawn(async move {
            desk_keys.watch(view, directory).await;
            Ok(())
        });
    }
    let submit = Submitter { plane: plane.clone() };
    let services = Services {
        config: config.clone(),
        view: view.clone(),
        submit: submit.clone(),
        keys: keys.clone(),
        stop: stop.clone(),
    };
    let http_config = config.http.clone().expect("Config::check asks for it");
    let token = http_config.token_file.as_deref().map(read_secret_file).transpose()?;
    let token = Token::new(token.as_ref().map(|token| &token[..]));
    let mut desk_database = None;
    let mut desk_needs: Option<NeededFrom> = None;
    let (desk_router, opener, reconciliation) = match config.role {
        RoleName::CommercialBank | RoleName::CentralBank => {
            let desk = role::commercial_bank::start(services).await.map_err(|e| part("the desk")(e.to_string()))?;
            parts.spawn({
                let failed = desk.failed();
                async move { failed.await.map_err(|e| part("the desk")(e)) }
            });
            desk_database = Some(desk.database());
            desk_needs = Some({
                let desk = desk.clone();
                Arc::new(move || desk.needed_from())
            });
            let router = http::desk::router(desk.clone())
                .merge(http::lending::router(desk.clone()))
                .merge(http::reconciliation::router(desk.clone()));
            (Some(router), Some(desk.opener()), Some(http::reconciliation::counts(&desk)))
        }
        _ => (None, None, None),
    };
    let serves_loans = config.role == RoleName::CentralBank;
    let history =
        History { store: store.clone(), view: view.clone(), kept: config.history, desk: desk_needs, serves_loans };
    parts.spawn({
        let stop = stop.clone();
        async move {
            history.run(stop).await;
            Ok(())
        }
    });
    let health = NodeHealth::new(view.clone(), plane.clone(), running.view(), audited, joined);
    parts.spawn({
        let (health, stop) = (health.clone(), stop.clone());
        async move {
            health.watch(stop).await;
            Ok(())
        }
    });
    let gate = Gate::new(token.clone(), &http_config.limits);
    let public = LedgerHttp {
        view: view.clone(),
        submissions: Submissions::new(submit.clone(), chain, me),
        submit,
        health,
        role: config.role.as_str(),
        opener,
        reads: Reads::default(),
        reconciliation,
    };
    let own = LedgerHttp { reads: Reads::default(), ..public.clone() };
    let bounds = ConnectionBounds {
        all: http_config.limits.connections,
        per_network: http_config.limits.connections_per_address,
    };
    let streams = http::events::Streams::new(bounds, stop.clone());
    let mut router = http::ledger::public(public, streams, gate.clone()).merge(http::ledger::participant(
        own,
        token.clone(),
        gate.clone(),
    ));
    let sources = Sources { state: config.state.clone(), store, desk: desk_database, making: Mutex::default() };
    let for_backups = http::state_copy::router(Arc::new(sources));
    for own in desk_router.into_iter().chain([for_backups]) {
        let own = own
            .layer(axum::middleware::from_fn_with_state(token.clone(), http::auth::require))
            .layer(axum::middleware::from_fn_with_state((gate.clone(), Class::NoToken), limited));
        router = router.merge(own);
    }
    let listen = http_config.listen;
    let listener = tokio::net::TcpListener::bind(listen).await;
    let listener = listener.map_err(|source| StartError::Listen { address: listen, source })?;
    parts.spawn({
        let stop = stop.clone();
        async move {
            http::serve(listener, router, ServerLimits::new(bounds), stop).await;
            Ok(())
        }
    });
    tracing::info!(api = %listen, "ready to serve");

    let mut stopped = stop.clone();
    let outcome = tokio::select! {
        _ = stopped.wait_for(|stop| *stop) => Ok(()),
        ended = running.ended() => return Err(engine_ended(ended)),
        stopped = plane.failure() => Err(part("the data plane")(stopped.to_string())),
        error = first_failure(&mut parts) => Err(error),
    };
    if let Err(error) = running.stop().await {
        tracing::warn!(%error, "the engine did not stop cleanly");
    }
    parts.shutdown().await;
    plane.stop().await;
    outcome
}

/// Of the parts that run beside the engine and the plane; one that ends well is no failure.
async fn first_failure(parts: &mut tokio::task::JoinSet<Result<(), StartError>>) -> StartError {
    while let Some(ended) = parts.join_next().await {
        match ended {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return error,
            Err(panicked) => return part("a task")(panicked.to_string()),
        }
    }
    std::future::pending().await
}

fn engine_ended(ended: Result<(), engine::EngineError>) -> StartError {
    part("the engine")(ended.err().map_or_else(|| "it ended by itself".to_owned(), |error| error.to_string()))
}

/// B-9: a renewed ack guard begins when this node votes again, so when it has caught up with the height that was in progress, and
/// stands on a block that is later than the guard.
async fn begin_renewed_acks(store: Arc<Store>, mut status: watch::Receiver<Status>) -> Result<(), StartError> {
    while store.ack_guard_is_waiting() {
        // The engine's end is the whole node's.
        if status.wait_for(|status| status.vote == Vote::Votes).await.is_err() {
            return Ok(());
        }
        let store = store.clone();
        let begun = tokio::task::spawn_blocking(move || store.begin_renewed_acks()).await;
        let begun = begun.expect("writing a guard does not panic").map_err(|e| part("the ack guard")(e.to_string()))?;
        if begun {
            tracing::info!(
                "the renewed ack guard begins: this node acks bundles again, behind what it may have acked before"
            );
        } else if status.changed().await.is_err() {
            return Ok(());
        }
    }
    Ok(())
}

/// Makes the guards anew that this process's keys have lost, and returns their files.
pub fn renew_guards(config: &Path) -> Result<Vec<PathBuf>, StartError> {
    let config = Config::read(config)?;
    if matches!(config.role, RoleName::Registration | RoleName::ConfirmationIssuance) {
        return Ok(Vec::new());
    }
    let genesis = read_genesis(&config)?;
    let me = config.me();
    let participant = genesis.directory.get(me).ok_or(StartError::UnknownParticipant(me.0))?;
    let keys = KeyFolder::new(&config.keys, passphrase(config.passphrase_file.as_deref())?);
    let consensus = keys.signing_key("consensus")?.public_key();
    Ok(guards::renew(&config.keys, participant, consensus, &genesis)?)
}

fn address(text: &str) -> libp2p::Multiaddr {
    text.parse().expect("Config::check parsed it")
}

fn peers<T>(network: &Network, make: impl Fn(ParticipantNumber, PinnedKey, libp2p::Multiaddr) -> T) -> Vec<T> {
    let of = |peer: &config::Peer| make(ParticipantNumber(peer.participant), peer.pinned(), address(&peer.address));
    network.peers.iter().map(of).collect()
}
