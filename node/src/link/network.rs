//! The links' swarm: who may connect, and dialling when a caller asks for it.

use super::{Callers, LinkStartError, PROTOCOL};
use futures::StreamExt;
use ledger_types::keys::SigningKey;
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::swarm::{NetworkBehaviour, SwarmEvent};
use libp2p::{Multiaddr, PeerId, Swarm, allow_block_list, connection_limits, identity, noise, tcp, yamux};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// Links carry requests every few seconds; a connection without any stream is let go.
const IDLE: Duration = Duration::from_secs(60);

#[derive(NetworkBehaviour)]
pub(super) struct Behaviour {
    allowed: allow_block_list::Behaviour<allow_block_list::AllowedPeers>,
    limits: connection_limits::Behaviour,
    streams: libp2p_stream::Behaviour,
}

/// "Connect to this peer, if you are not."
pub(super) struct Dial(pub PeerId, pub Multiaddr);

pub(super) struct LinkNetwork {
    swarm: Swarm<Behaviour>,
    callers: watch::Receiver<Arc<Callers>>,
    allowed: BTreeSet<PeerId>,
    commands: mpsc::Receiver<Dial>,
}

impl LinkNetwork {
    pub async fn start(
        key: &SigningKey,
        listen: Option<Multiaddr>,
        mut callers: watch::Receiver<Arc<Callers>>,
        commands: mpsc::Receiver<Dial>,
    ) -> Result<Self, LinkStartError> {
        let start = |cause: String| LinkStartError(cause);
        let keypair = identity::Keypair::ed25519_from_bytes(*key.seed()).map_err(|error| start(error.to_string()))?;
        let known: BTreeSet<PeerId> = callers.borrow_and_update().keys().copied().collect();
        let mut allowed = allow_block_list::Behaviour::default();
        known.iter().for_each(|peer| {
            allowed.allow_peer(*peer);
        });
        // Both ends may dial at once, and a dead connection may not be noticed yet.
        let limits = connection_limits::ConnectionLimits::default()
            .with_max_established_per_peer(Some(4))
            .with_max_pending_incoming(Some(64));
        let mut swarm = libp2p::SwarmBuilder::with_existing_identity(keypair)
            .with_tokio()
            .with_tcp(tcp::Config::default().nodelay(true), noise::Config::new, yamux::Config::default)
            .map_err(|error| start(error.to_string()))?
            .with_behaviour(|_| Behaviour {
                allowed,
                limits: connection_limits::Behaviour::new(limits),
                streams: libp2p_stream::Behaviour::new(),
            })
            .map_err(|error| start(error.to_string()))?
            .with_swarm_config(|config| config.with_idle_connection_timeout(IDLE))
            .build();
        if let Some(listen) = listen {
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
        }
        Ok(LinkNetwork { swarm, callers, allowed: known, commands })
    }

    pub fn control(&self) -> libp2p_stream::Control {
        self.swarm.behaviour().streams.new_control()
    }

    pub fn accept(&self) -> libp2p_stream::IncomingStreams {
        self.control().accept(PROTOCOL).expect("the protocol is accepted once, at the start")
    }

    /// Keys that were replaced lose their connections.
    fn allow(&mut self) {
        let known: BTreeSet<PeerId> = self.callers.borrow_and_update().keys().copied().collect();
        let behaviour = &mut self.swarm.behaviour_mut().allowed;
        self.allowed.difference(&known).for_each(|peer| {
            behaviour.disallow_peer(*peer);
        });
        known.difference(&self.allowed).for_each(|peer| {
            behaviour.allow_peer(*peer);
        });
        self.allowed = known;
    }

    pub async fn run(mut self) {
        loop {
            tokio::select! {
                event = self.swarm.select_next_some() => {
                    if let SwarmEvent::IncomingConnectionError { error: libp2p::swarm::ListenError::Denied { cause }, .. } = event {
                        tracing::warn!(%cause, "a link was refused");
                    }
                }
                Ok(()) = self.callers.changed() => self.allow(),
                // A process that calls nobody still serves: an end of the commands is no end of the links.
                Some(Dial(peer, address)) = self.commands.recv() => {
                    let options = DialOpts::peer_id(peer).addresses(vec![address]).condition(PeerCondition::DisconnectedAndNotDialing);
                    // Refused when it is connected or on its way: both are what was asked for.
                    let _ = self.swarm.dial(options.allocate_new_port().build());
                }
            }
        }
    }
}
