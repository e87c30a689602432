//! One run of the engine's actors, with a vote or without.
//!
//! What must stay true: the actors are stopped in order and waited for, so that the next session finds its port free; whatever
//! fails ends the session and is reported; nothing of the engine's own that we left at its default is a limit on memory
//! (trap 14) or on who may connect (traps 12, 15).

use super::actors::{Guardian, HostActor, Overheard, WalActor};
use super::blocks::Judge;
use super::codec::EngineCodec;
use super::connector::{Connector, Ended, Wiring};
use super::context::Assay;
use super::counters::Counters;
use super::courier::Courier;
use super::peers::{Peers, check_address};
use super::recall::Mute;
use super::signing::{GuardedSigner, StrictVerifier, address};
use super::wal::{Record, RecordKind, Recovered};
use super::witness::{QuorumSeen, Witness};
use super::{EngineConfig, EngineError, Status};
use crate::plane::wire::CONSENSUS_BYTES_MAX;
use app::config::{
    ConsensusConfig, DiscoveryConfig, GossipSubConfig, P2pConfig, PubSubProtocol, ValuePayload, ValueSyncConfig,
};
use app::engine::network::{NetworkIdentity, NetworkMsg};
use app::engine::util::events::TxEvent;
use app::engine::util::output_port::{OutputPort, OutputPortSubscriberTrait};
use app::metrics::{Metrics, SharedRegistry};
use app::types::Keypair;
use app::types::codec::Codec;
use arc_malachitebft_app_channel::app;
use arc_malachitebft_signing::{Signer, Verifier};
use bytesize::ByteSize;
use ledger_types::keys::SigningKey;
use ractor::{Actor, ActorCell};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};

/// An actor that does not stop by then is killed.
const STOP_DEADLINE: Duration = Duration::from_secs(5);

/// What all sessions of a node share.
pub struct Home {
    pub config: Arc<EngineConfig>,
    /// A consensus key; it signs with a guard only, so there may be no `signer`.
    pub has_key: bool,
    pub engine_peer: SigningKey,
    pub judge: Judge,
    pub witness: Arc<Witness>,
    pub status: watch::Sender<Status>,
    pub counters: Arc<Counters>,
    pub signer: Option<GuardedSigner>,
}

/// How a session takes part.
pub enum Part {
    /// With what the log held of the height in progress.
    Votes(Recovered),
    /// Without a vote; ends by itself when the mute is over.
    Follows { mute: Option<Mute> },
}

/// Runs until it is asked to stop or something ends it. Returns with all actors gone.
pub async fn run(
    home: &Home,
    part: Part,
    quorums: &mut mpsc::UnboundedReceiver<QuorumSeen>,
    stop: oneshot::Receiver<()>,
) -> Result<Ended, EngineError> {
    let mut actors = Actors(Vec::new());
    let result = match start(home, part, quorums, &mut actors).await {
        Ok(connector) => Ok(connector.run(stop).await),
        Err(error) => Err(error),
    };
    actors.stop().await;
    // What the application was doing for the connector goes on without it; the next session, or the end, comes after it.
    drop(home.judge.turn().await);
    result
}

async fn start<'a>(
    home: &Home,
    part: Part,
    quorums: &'a mut mpsc::UnboundedReceiver<QuorumSeen>,
    actors: &mut Actors,
) -> Result<Connector<'a>, EngineError> {
    let (events_in, events) = mpsc::unbounded_channel();
    let config = &home.config;
    let (signer, mute, recovered) = match part {
        Part::Votes(recovered) => (home.signer.as_ref(), None, recovered),
        Part::Follows { mute } => (None, mute, Recovered::default()),
    };
    let votes = signer.is_some();
    let failed = |error: &dyn std::fmt::Display| EngineError::Start(error.to_string());

    // A registry of its own: sessions and nodes of one process must not add to each other's figures.
    let registry = SharedRegistry::new(Default::default(), None);
    let metrics = Metrics::register(&registry);
    let (guardian, _) = Actor::spawn(None, Guardian(events_in.clone()), ()).await.map_err(|e| failed(&e))?;
    actors.0.push(guardian.get_cell());
    let supervise = |cell: ActorCell, actors: &mut Actors| {
        cell.link(guardian.get_cell());
        actors.0.push(cell);
    };

    // Keys may have changed since the session before.
    let directory = home.judge.application.tip().directory;
    let peers = Peers::of(config, &directory)?;
    let consensus_config = consensus_config(config, &peers)?;
    let sync_config = sync_config();
    let network = app::spawn::spawn_network_actor::<Assay, _>(
        &consensus_config,
        &sync_config,
        identity(config, &home.engine_peer, signer)?,
        &registry,
        EngineCodec,
    );
    let network = network.await.map_err(|e| failed(&e))?;
    supervise(network.get_cell(), actors);
    let peers = watch::Sender::new(peers);
    let courier = Courier::new(network, Arc::clone(&home.judge.supply), peers.subscribe());
    let (network, _) = Actor::spawn(None, courier, ()).await.map_err(|e| failed(&e))?;
    supervise(network.get_cell(), actors);

    let wal = signer.map(|signer| Arc::clone(&signer.wal));
    let resuming =
        recovered.height == Some(home.judge.application.tip().height.next()) && !recovered.records.is_empty();
    let blocks: Vec<Record> = match resuming {
        true => recovered.records.iter().filter(|record| record.kind == RecordKind::Block).cloned().collect(),
        false => Vec::new(),
    };
    let wal_actor = WalActor { wal: wal.clone(), recovered: Mutex::new(Some(recovered)) };
    let (wal_actor, _) = Actor::spawn(None, wal_actor, ()).await.map_err(|e| failed(&e))?;
    supervise(wal_actor.get_cell(), actors);

    let (host, _) = Actor::spawn(None, HostActor(events_in.clone()), ()).await.map_err(|e| failed(&e))?;
    supervise(host.get_cell(), actors);

    let sync_port = Arc::new(OutputPort::new());
    let verifier: Box<dyn Verifier<Assay>> =
        Box::new(StrictVerifier { chain: home.judge.chain, witness: Arc::clone(&home.witness) });
    let consensus = app::spawn::spawn_consensus_actor(
        Assay,
        address(config.me, votes),
        consensus_config,
        verifier,
        signer.map(|signer| Box::new(signer.clone()) as Box<dyn Signer<Assay>>),
        network.clone(),
        host.clone(),
        wal_actor,
        Arc::clone(&sync_port),
        metrics,
        TxEvent::new(),
        guardian.clone(),
    );
    let consensus = consensus.await.map_err(|e| failed(&e))?;
    supervise(consensus.get_cell(), actors);

    let sync = app::spawn::spawn_sync_actor(
        Assay,
        network.clone(),
        host,
        consensus.clone(),
        EngineCodec,
        &sync_config,
        &registry,
    );
    if let Some(sync) = sync.await.map_err(|e| failed(&e))? {
        sync.subscribe_to_port(&sync_port);
        supervise(sync.get_cell(), actors);
    }

    let tip = Arc::new(AtomicU64::new(0));
    let (overheard, _) =
        Actor::spawn(None, Overheard { events: events_in, tip: Arc::clone(&tip) }, ()).await.map_err(|e| failed(&e))?;
    supervise(overheard.get_cell(), actors);
    network.cast(NetworkMsg::Subscribe(Box::new(overheard))).map_err(|e| failed(&e))?;

    let wiring = Wiring {
        config: Arc::clone(config),
        judge: home.judge.clone(),
        witness: Arc::clone(&home.witness),
        wal,
        events,
        quorums,
        consensus,
        network,
        peers,
        status: home.status.clone(),
        counters: Arc::clone(&home.counters),
        mute,
        recovered: blocks,
        overheard_tip: tip,
    };
    Ok(Connector::new(wiring, resuming).await)
}

/// In the order of their start; stopped in the reverse order.
struct Actors(Vec<ActorCell>);

impl Actors {
    async fn stop(self) {
        let Some((guardian, others)) = self.0.split_first() else { return };
        // Unlinked first: an actor that stops because it was told to is no failure.
        others.iter().for_each(|cell| cell.unlink(guardian.clone()));
        for cell in others.iter().rev().chain([guardian]) {
            cell.stop(None);
            if cell.wait(Some(STOP_DEADLINE)).await.is_err() {
                // The consensus actor hangs on purpose after a failure that makes signing unsafe.
                tracing::warn!(actor = %cell.get_id(), "an actor of the engine did not stop; it is killed");
                cell.kill();
                let _ = cell.wait(Some(STOP_DEADLINE)).await;
            }
        }
    }
}

pub fn keypair(key: &SigningKey) -> Keypair {
    let mut seed = key.seed();
    Keypair::ed25519_from_bytes(&mut seed[..]).expect("an Ed25519 seed has 32 bytes")
}

fn consensus_config(config: &EngineConfig, peers: &Peers) -> Result<ConsensusConfig, EngineError> {
    check_address(&config.listen)?;
    // Trap 12: only those whom the directory names, each by its id; no discovery.
    let discovery =
        DiscoveryConfig { enabled: false, max_connections_per_ip: config.peers.len().max(16), ..Default::default() };
    Ok(ConsensusConfig {
        enabled: true,
        p2p: P2pConfig {
            listen_addr: config.listen.clone(),
            persistent_peers: peers.addresses(),
            persistent_peers_only: true,
            discovery,
            // Trap 2: not Broadcast, which opens a substream for each message. See `Courier` for what still goes this way.
            protocol: PubSubProtocol::GossipSub(GossipSubConfig::new(2, 3, 2, 1, false, false, true)),
            pubsub_max_size: ByteSize::b(CONSENSUS_BYTES_MAX as u64),
            rpc_max_size: ByteSize::mib(6),
            ..Default::default()
        },
        // Trap 1: with ProposalOnly every signed proposal counts as valid.
        value_payload: ValuePayload::ProposalAndParts,
        ..Default::default()
    })
}

/// Trap 14: an answer holds at most 3 MiB of blocks and a block's worth more; a peer gets 100 of them in 10 s, four at a time.
fn sync_config() -> ValueSyncConfig {
    ValueSyncConfig {
        enabled: true,
        status_update_interval: Duration::from_secs(2),
        request_timeout: Duration::from_secs(5),
        max_request_size: ByteSize::kib(4),
        max_response_size: ByteSize::mib(6),
        parallel_requests: 4,
        batch_size: 16,
        inbound_request_rate_limit_window: Duration::from_secs(10),
        max_inbound_requests_per_window: 100,
        max_concurrent_inbound_requests: 4,
        max_pending_inbound_requests: 16,
        ..Default::default()
    }
}

fn identity(
    config: &EngineConfig,
    engine_peer: &SigningKey,
    signer: Option<&GuardedSigner>,
) -> Result<NetworkIdentity, EngineError> {
    let (moniker, keypair) = (format!("participant {}", config.me), keypair(engine_peer));
    let Some(signer) = signer else { return Ok(NetworkIdentity::new(moniker, keypair, None)) };
    let proof = signer.prove_peer(keypair.public().to_peer_id().to_bytes());
    let proof = EngineCodec.encode(&proof).map_err(|error| EngineError::Start(error.to_string()))?;
    Ok(NetworkIdentity::new_validator(moniker, keypair, config.me.to_string(), proof))
}
