//! Under which ids the engine's network knows the others: those of the `engine_peer` keys that the tip's directory names.
//!
//! What must stay true: only addresses that need no resolver, each with its id (traps 12, 15); a key that a participant update
//! replaces is let go, and the new one let in, when the update commits.

use super::{EngineConfig, EngineError};
use arc_malachitebft_app_channel::app::engine::network::{NetworkMsg, NetworkRef, PersistentPeersOp};
use arc_malachitebft_app_channel::app::types::PeerId;
use ledger_types::ParticipantNumber;
use ledger_types::keys::PublicKey;
use ledger_types::participant::Directory;
use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol;
use std::collections::BTreeMap;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Peers(BTreeMap<PeerId, (ParticipantNumber, Multiaddr)>);

impl Peers {
    /// The others of the configuration.
    pub fn of(config: &EngineConfig, directory: &Directory) -> Result<Self, EngineError> {
        let mut peers = BTreeMap::new();
        for peer in config.peers.iter().filter(|peer| peer.number != config.me) {
            check_address(&peer.addr)?;
            let line = directory.get(peer.number);
            let line = line
                .ok_or_else(|| EngineError::Config(format!("participant {} is not in the directory", peer.number)))?;
            let id = libp2p_id(&peer.pinned.or(line.keys.engine_peer))?;
            let known = PeerId::from_bytes(&id.to_bytes()).expect("a peer id in its own bytes");
            peers.insert(known, (peer.number, peer.addr.clone().with(Protocol::P2p(id))));
        }
        Ok(Peers(peers))
    }

    pub fn number_of(&self, id: &PeerId) -> Option<ParticipantNumber> {
        self.0.get(id).map(|(number, _)| *number)
    }

    /// Each with its id.
    pub fn addresses(&self) -> Vec<Multiaddr> {
        self.0.values().map(|(_, address)| address.clone()).collect()
    }

    /// What tells a network that knows these to know `next` instead. The old go first: two peers at one address would be one.
    pub fn steps_to(&self, next: &Peers) -> Vec<PersistentPeersOp> {
        let only_in = |these: &Peers, those: &Peers| -> Vec<Multiaddr> {
            these
                .0
                .iter()
                .filter(|(id, _)| !those.0.contains_key(*id))
                .map(|(_, (_, address))| address.clone())
                .collect()
        };
        let gone = only_in(self, next).into_iter().map(PersistentPeersOp::Remove);
        gone.chain(only_in(next, self).into_iter().map(PersistentPeersOp::Add)).collect()
    }
}

/// One after the other. A step that fails leaves a peer out until the next session or start, and is said.
pub async fn take(steps: Vec<PersistentPeersOp>, network: NetworkRef<super::context::Assay>) {
    for step in steps {
        let asked = step.clone();
        let done = network.call(|reply| NetworkMsg::UpdatePersistentPeers(step, reply), None).await;
        let done = match done {
            Ok(ractor::rpc::CallResult::Success(done)) => done.map_err(|error| error.to_string()),
            Ok(_) => Err("the network does not answer".to_owned()),
            Err(error) => Err(error.to_string()),
        };
        match done {
            Ok(()) => tracing::info!(step = ?asked, "a participant update changed the engine's peers"),
            Err(error) => {
                tracing::error!(step = ?asked, error, "the engine's peers could not be changed: restart this node")
            }
        }
    }
}

fn libp2p_id(key: &PublicKey) -> Result<libp2p::PeerId, EngineError> {
    let key = libp2p::identity::ed25519::PublicKey::try_from_bytes(&key.0)
        .map_err(|_| EngineError::Config(format!("the engine peer key {key} is not sound")))?;
    Ok(libp2p::identity::PublicKey::from(key).to_peer_id())
}

/// Trap 15: only addresses that need no resolver.
pub fn check_address(addr: &Multiaddr) -> Result<(), EngineError> {
    let parts: Vec<_> = addr.iter().collect();
    match parts.as_slice() {
        [Protocol::Ip4(_) | Protocol::Ip6(_), Protocol::Tcp(_)] => Ok(()),
        _ => Err(EngineError::Config(format!("the address {addr} must be /ip4/…/tcp/… or /ip6/…/tcp/…"))),
    }
}
