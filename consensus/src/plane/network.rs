//! The plane's own swarm: who is connected, and nothing about what is said.
//!
//! Must stay true: only keys of the tip's directory pass the noise handshake's end (everyone else is disconnected before a stream
//! exists); a key that a participant update replaces loses its connections when the update commits; the lower participant number
//! dials (trap 13), again and again with a bounded back-off.

use super::PlaneError;
use super::peer::{Peer, peer_id};
use super::shared::Shared;
use super::wire::Flow;
use ledger_types::ParticipantNumber;
use ledger_types::keys::SigningKey;
use ledger_types::participant::Directory;
use libp2p::futures::StreamExt;
use libp2p::swarm::dial_opts::DialOpts;
use libp2p::swarm::{NetworkBehaviour, SwarmEvent};
use libp2p::{Multiaddr, PeerId, Swarm, allow_block_list, connection_limits, identity, noise, tcp, yamux};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

const DIAL_FIRST: Duration = Duration::from_millis(50);
const DIAL_MAX: Duration = Duration::from_secs(3);
/// A connection without streams: both ends open theirs at once, so this is only for a peer that never does.
const IDLE: Duration = Duration::from_secs(30);
/// Three streams each way, as many again while they are replaced, and states that are fetched.
const STREAMS_MAX: usize = 16;

#[derive(NetworkBehaviour)]
pub(super) struct Behaviour {
    allowed: allow_block_list::Behaviour<allow_block_list::AllowedPeers>,
    limits: connection_limits::Behaviour,
    streams: libp2p_stream::Behaviour,
}

/// The connection to a peer is dead or useless: drop it and start again.
pub(super) struct Disconnect(pub PeerId);

pub(super) struct Network {
    swarm: Swarm<Behaviour>,
    peers: BTreeMap<PeerId, Arc<Peer>>,
    me: ParticipantNumber,
    dials: BTreeMap<PeerId, Dial>,
    commands: mpsc::Receiver<Disconnect>,
}

struct Dial {
    next: Instant,
    delay: Duration,
}

impl Network {
    pub async fn listen(
        me: ParticipantNumber,
        key: &SigningKey,
        listen: Multiaddr,
        peers: &BTreeMap<ParticipantNumber, Arc<Peer>>,
        commands: mpsc::Receiver<Disconnect>,
    ) -> Result<Self, PlaneError> {
        let start = |cause: String| PlaneError::Start(cause);
        let keypair = identity::Keypair::ed25519_from_bytes(*key.seed())
            .map_err(|error| start(format!("data_peer key: {error}")))?;
        let mut allowed = allow_block_list::Behaviour::default();
        for peer in peers.values() {
            allowed.allow_peer(peer.id());
        }
        // A reconnecting peer may come before its dead connection is noticed: two a peer, and few strangers in the handshake.
        let limits = connection_limits::ConnectionLimits::default()
            .with_max_established_per_peer(Some(2))
            .with_max_pending_incoming(Some(2 * peers.len() as u32 + 16));
        let mut swarm = libp2p::SwarmBuilder::with_existing_identity(keypair)
            .with_tokio()
            .with_tcp(tcp::Config::default().nodelay(true), noise::Config::new, || {
                let mut config = yamux::Config::default();
                config.set_max_num_streams(STREAMS_MAX);
                config
            })
            .map_err(|error| start(error.to_string()))?
            .with_behaviour(|_| Behaviour {
                allowed,
                limits: connection_limits::Behaviour::new(limits),
                streams: libp2p_stream::Behaviour::new(),
            })
            .map_err(|error| start(error.to_string()))?
            .with_swarm_config(|config| config.with_idle_connection_timeout(IDLE))
            .build();
        swarm.listen_on(listen.clone()).map_err(|error| start(format!("cannot listen on {listen}: {error}")))?;
        loop {
            match swarm.select_next_some().await {
                SwarmEvent::NewListenAddr { .. } => break,
                SwarmEvent::ListenerClosed { reason, .. } => {
                    return Err(start(format!("cannot listen on {listen}: {reason:?}")));
                }
                SwarmEvent::ListenerError { error, .. } => {
                    return Err(start(format!("cannot listen on {listen}: {error}")));
                }
                _ => {}
            }
        }
        let now = Instant::now();
        // Trap 13: streams need a dial, and one side's is enough.
        let dialled = peers.values().filter(|peer| me < peer.number && peer.addr.is_some());
        let dials = dialled.map(|peer| (peer.id(), Dial { next: now, delay: DIAL_FIRST })).collect();
        let peers = peers.values().map(|peer| (peer.id(), peer.clone())).collect();
        Ok(Network { swarm, peers, me, dials, commands })
    }

    pub fn control(&self) -> libp2p_stream::Control {
        self.swarm.behaviour().streams.new_control()
    }

    pub fn accept(&self, flow: Flow) -> libp2p_stream::IncomingStreams {
        self.control().accept(flow.protocol()).expect("each flow is accepted once, at the start")
    }

    pub fn accept_state(&self) -> libp2p_stream::IncomingStreams {
        self.control().accept(super::state::PROTOCOL).expect("the protocol is accepted once, at the start")
    }

    pub async fn run(mut self, shared: Arc<Shared>) {
        let mut tick = tokio::time::interval(DIAL_FIRST);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut directory = shared.directory.subscribe();
        // What committed between the start and here.
        directory.mark_changed();
        loop {
            tokio::select! {
                event = self.swarm.select_next_some() => self.observe(event, &shared),
                Some(Disconnect(peer)) = self.commands.recv() => {
                    let _ = self.swarm.disconnect_peer_id(peer);
                }
                Ok(()) = directory.changed() => {
                    let directory = directory.borrow_and_update().clone();
                    self.know_by(&directory);
                }
                _ = tick.tick() => self.dial(),
            }
        }
    }

    /// Peers whose key an update has replaced: the old key loses its connections, the new one is let in and dialled at once.
    fn know_by(&mut self, directory: &Directory) {
        let peers: Vec<Arc<Peer>> = self.peers.values().cloned().collect();
        for peer in peers {
            // No update takes a line away.
            let Some(line) = directory.get(peer.number) else { continue };
            let id = match peer_id(&peer.pinned.or(line.keys.data_peer)) {
                Ok(id) if id != peer.id() => id,
                Ok(_) => continue,
                // G-2 leaves no unsound key in a directory.
                Err(error) => {
                    tracing::error!(me = %self.me, peer = %peer.number, %error, "a peer's key cannot be used");
                    continue;
                }
            };
            tracing::info!(me = %self.me, peer = %peer.number, "a participant update replaced its data_peer key");
            let before = peer.set_id(id);
            let allowed = &mut self.swarm.behaviour_mut().allowed;
            allowed.disallow_peer(before);
            allowed.allow_peer(id);
            self.peers.remove(&before);
            if self.dials.remove(&before).is_some() {
                self.dials.insert(id, Dial { next: Instant::now(), delay: DIAL_FIRST });
            }
            peer.connected.send_replace(false);
            self.peers.insert(id, peer);
        }
    }

    fn dial(&mut self) {
        let now = Instant::now();
        for (id, dial) in &mut self.dials {
            if now < dial.next || self.swarm.is_connected(id) {
                continue;
            }
            dial.next = now + dial.delay;
            dial.delay = (dial.delay * 2).min(DIAL_MAX);
            let addr = self.peers[id].addr.clone().expect("only peers with an address are dialled");
            let opts = DialOpts::peer_id(*id).addresses(vec![addr]).allocate_new_port().build();
            if let Err(error) = self.swarm.dial(opts) {
                tracing::debug!(peer = %self.peers[id].number, %error, "dial");
            }
        }
    }

    fn observe<E>(&mut self, event: SwarmEvent<E>, shared: &Shared) {
        match event {
            SwarmEvent::ConnectionEstablished { peer_id, .. } => {
                if let Some(dial) = self.dials.get_mut(&peer_id) {
                    dial.delay = DIAL_FIRST;
                }
                if let Some(peer) = self.peers.get(&peer_id) {
                    tracing::info!(me = %self.me, peer = %peer.number, "connected");
                    peer.connected.send_replace(true);
                }
            }
            SwarmEvent::ConnectionClosed { peer_id, num_established: 0, cause, .. } => {
                if let Some(peer) = self.peers.get(&peer_id) {
                    tracing::info!(me = %self.me, peer = %peer.number, ?cause, "disconnected");
                    peer.connected.send_replace(false);
                }
            }
            SwarmEvent::IncomingConnectionError { error: libp2p::swarm::ListenError::Denied { cause }, .. } => {
                tracing::warn!(me = %self.me, %cause, "an incoming connection was refused");
                let stranger = cause.downcast::<allow_block_list::NotAllowed>().is_ok();
                shared.counters.refused(if stranger { "stranger" } else { "too_many_connections" });
            }
            _ => {}
        }
    }
}
