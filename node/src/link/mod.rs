//! Bank links: authenticated, encrypted requests between banks, and from registration to all of them.
//!
//! - The noise handshake proves a peer's link key; only keys of the directory, and registration's, get a stream. When a participant
//!   update replaces a key, whoever follows the chain says so ([`Links::know_by`]), and the old key loses its connections.
//! - Requests are pipelined on one long-lived stream a direction and answered out of order. Nothing is retried here: a caller
//!   that gets [`LinkError`] does not know whether the request took effect, so every request is idempotent.
//! - A peer that takes nothing, or says nothing to what it was asked, loses its stream ([`Patience`]); a stream is opened again
//!   when there is something to say.
//! - A process without `listen` only dials: registration has no listening socket.

mod calls;
mod network;
mod serve;
pub mod wire;

pub use calls::LinkError;
pub use wire::{
    AcceptedCoin, BlockDocument, FRAME_BYTES_MAX, Invoice, LinkRefusal, Release, Request, Response, SuccessState,
};

use crate::config::Network;
use calls::Calls;
use consensus::pinned::PinnedKey;
use futures::future::BoxFuture;
use ledger_types::ParticipantNumber;
use ledger_types::keys::{PublicKey, SigningKey};
use ledger_types::participant::Directory;
use libp2p::{Multiaddr, PeerId, identity};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

const PROTOCOL: libp2p::StreamProtocol = libp2p::StreamProtocol::new("/assay/link/1");

/// Who is at the other end, by the key that the handshake proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Caller {
    Participant(ParticipantNumber),
    /// The central bank's registration process.
    Registration,
}

/// Answers requests. Called concurrently; a slow answer delays no other.
pub trait LinkService: Send + Sync + 'static {
    fn answer(&self, caller: Caller, request: Request) -> BoxFuture<'static, Response>;
}

/// Refuses everything: for processes that only call.
pub struct NoService;

impl LinkService for NoService {
    fn answer(&self, _: Caller, _: Request) -> BoxFuture<'static, Response> {
        Box::pin(async { Response::Refused(LinkRefusal::new("not_served", "this process answers no requests")) })
    }
}

#[derive(Debug, thiserror::Error)]
#[error("bank links: {0}")]
pub struct LinkStartError(pub String);

/// How long a peer may keep a stream waiting.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// Of one frame, or of what the peer's window does not take.
    pub write: Duration,
    /// Without any reply while calls wait: longer than the longest wait that a request asks for.
    pub silence: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Patience { write: Duration::from_secs(10), silence: Duration::from_secs(60) }
    }
}

/// Who calls under which id.
type Callers = BTreeMap<PeerId, Caller>;
type Pinned = BTreeMap<ParticipantNumber, PinnedKey>;

/// The running links. Dropping the last handle ends them.
pub struct Links {
    me: PeerId,
    pinned: Pinned,
    callers: watch::Sender<Arc<Callers>>,
    calls: BTreeMap<ParticipantNumber, Calls>,
    tasks: tokio::task::JoinSet<()>,
}

fn callers(me: &PeerId, pinned: &Pinned, directory: &Directory) -> Result<Callers, LinkStartError> {
    let mut callers = BTreeMap::new();
    for participant in directory.iter() {
        let named = participant.keys.link;
        let key = pinned.get(&participant.number).map_or(named, |pinned| pinned.or(named));
        callers.insert(peer_id(&key)?, Caller::Participant(participant.number));
    }
    callers.insert(peer_id(&directory.central_bank_keys().registration_link)?, Caller::Registration);
    callers.remove(me);
    Ok(callers)
}

/// The id of a participant, if it is no process of ours.
fn id_of(callers: &Callers, number: ParticipantNumber) -> Option<PeerId> {
    callers.iter().find(|(_, caller)| **caller == Caller::Participant(number)).map(|(id, _)| *id)
}

impl Links {
    /// Starts listening (if the configuration says so) and serving; connections are made when they are needed.
    pub async fn start(
        config: &Network,
        key: &SigningKey,
        directory: &Directory,
        service: Arc<dyn LinkService>,
    ) -> Result<Arc<Links>, LinkStartError> {
        Links::start_with(Patience::default(), config, key, directory, service).await
    }

    async fn start_with(
        patience: Patience,
        config: &Network,
        key: &SigningKey,
        directory: &Directory,
        service: Arc<dyn LinkService>,
    ) -> Result<Arc<Links>, LinkStartError> {
        let me = peer_id(&key.public_key())?;
        let pinned = config.peers.iter().map(|peer| (ParticipantNumber(peer.participant), peer.pinned()));
        let pinned: Pinned = pinned.collect();
        let callers = watch::Sender::new(Arc::new(callers(&me, &pinned, directory)?));

        let listen = match config.listen.as_str() {
            "" => None,
            text => Some(text.parse::<Multiaddr>().map_err(|error| LinkStartError(format!("{text}: {error}")))?),
        };
        let (commands, received) = tokio::sync::mpsc::channel(64);
        let network = network::LinkNetwork::start(key, listen, callers.subscribe(), received).await?;
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(serve::accept(network.accept(), callers.subscribe(), service, patience));
        let mut calls = BTreeMap::new();
        for peer in &config.peers {
            let number = ParticipantNumber(peer.participant);
            if directory.get(number).is_none() {
                return Err(LinkStartError(format!("participant {number} is not in the directory")));
            }
            if id_of(&callers.borrow(), number).is_none() {
                continue;
            }
            let address = peer.address.parse().map_err(|error| LinkStartError(format!("{}: {error}", peer.address)))?;
            let (handle, task) =
                calls::calls(number, callers.subscribe(), address, network.control(), commands.clone(), patience);
            calls.insert(number, handle);
            tasks.spawn(task);
        }
        tasks.spawn(network.run());
        Ok(Arc::new(Links { me, pinned, callers, calls, tasks }))
    }

    /// From now on these are the keys: a committed participant update has replaced some.
    pub fn know_by(&self, directory: &Directory) {
        match callers(&self.me, &self.pinned, directory) {
            Ok(callers) => self.callers.send_if_modified(|before| {
                let changed = **before != callers;
                *before = Arc::new(callers);
                changed
            }),
            // G-2 leaves no unsound key in a directory.
            Err(error) => {
                tracing::error!(%error, "link keys of the directory cannot be used");
                false
            }
        };
    }

    /// Those whom this process can call.
    pub fn peers(&self) -> impl Iterator<Item = ParticipantNumber> + '_ {
        self.calls.keys().copied()
    }

    /// Calls a participant. The deadline covers connecting, queueing and the answer.
    pub async fn call(
        &self,
        peer: ParticipantNumber,
        request: Request,
        deadline: Duration,
    ) -> Result<Response, LinkError> {
        let calls = self.calls.get(&peer).ok_or(LinkError::UnknownPeer(peer))?;
        match tokio::time::timeout(deadline, calls.call(request)).await {
            Ok(Ok(Response::Refused(refusal))) => Ok(Response::Refused(refusal.cut_short())),
            Ok(answer) => answer,
            Err(_) => {
                Err(LinkError::Deadline { peer, waited_ms: u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX) })
            }
        }
    }

    pub fn is_running(&self) -> bool {
        !self.tasks.is_empty()
    }
}

fn peer_id(key: &PublicKey) -> Result<PeerId, LinkStartError> {
    let key = identity::ed25519::PublicKey::try_from_bytes(&key.0)
        .map_err(|error| LinkStartError(format!("the link key {key} is unsound: {error}")))?;
    Ok(identity::PublicKey::from(key).to_peer_id())
}

#[cfg(test)]
mod tests;
