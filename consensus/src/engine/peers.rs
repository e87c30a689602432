//! Under which ids the engine's network knows the others: those of the `engine_peer` keys that the tip's directory names.
//!
//! What must stay true: only addresses that need no resolver, each with its id (traps 12, 15); a key that a participant update
//! replaces is let go, and the new one let in, when the update commits.

use super::context::Assay;
use super::{EngineConfig, EngineError};
use arc_malachitebft_app_channel::app::engine::network::{NetworkMsg, NetworkRef, PersistentPeersOp};
use arc_malachitebft_app_channel::app::types::PeerId;
use ledger_types::ParticipantNumber;
use ledger_types::keys::PublicKey;
use ledger_types::participant::Directory;
use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol;
use std::collections::BTreeMap;
use tokio::sync::watch;

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

    pub fn id_of(&self, number: ParticipantNumber) -> Option<PeerId> {
        self.0.iter().find(|(_, (known, _))| *known == number).map(|(id, _)| *id)
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

/// Tells the network, which knows `known`, of every change of the wanted peers, by one task and in order: with a task
/// for each, two updates of one peer in a row could overtake each other and leave the key between them let in.
pub async fn follow(mut known: Peers, mut wanted: watch::Receiver<Peers>, network: NetworkRef<Assay>) {
    while wanted.changed().await.is_ok() {
        let next = wanted.borrow_and_update().clone();
        for step in known.steps_to(&next) {
            take(step, &network).await;
        }
        known = next;
    }
}

/// A step that fails leaves a peer out until the next session or start, and is said.
async fn take(step: PersistentPeersOp, network: &NetworkRef<Assay>) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use arc_malachitebft_app_channel::app::engine::network::PersistentPeerError;
    use ledger_types::keys::SigningKey;
    use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort};
    use tokio::sync::mpsc;

    type Asked = (PersistentPeersOp, RpcReplyPort<Result<(), PersistentPeerError>>);

    /// Stands for the network: the test answers.
    struct Asks(mpsc::UnboundedSender<Asked>);

    #[async_trait::async_trait]
    impl Actor for Asks {
        type Msg = NetworkMsg<Assay>;
        type State = ();
        type Arguments = ();

        async fn pre_start(&self, _: ActorRef<Self::Msg>, _: ()) -> Result<(), ActorProcessingErr> {
            Ok(())
        }

        async fn handle(
            &self,
            _: ActorRef<Self::Msg>,
            message: Self::Msg,
            _: &mut (),
        ) -> Result<(), ActorProcessingErr> {
            if let NetworkMsg::UpdatePersistentPeers(step, reply) = message {
                self.0.send((step, reply)).unwrap();
            }
            Ok(())
        }
    }

    fn with_key(seed: u8) -> (Peers, Multiaddr) {
        let id = libp2p_id(&SigningKey::from_seed(&[seed; 32]).public_key()).unwrap();
        let address = "/ip4/127.0.0.2/tcp/1".parse::<Multiaddr>().unwrap().with(Protocol::P2p(id));
        let known = PeerId::from_bytes(&id.to_bytes()).unwrap();
        (Peers(BTreeMap::from([(known, (ParticipantNumber(2), address.clone()))])), address)
    }

    /// Each update had a task of its own: the second took its first step before the first its last, and the key between
    /// stayed.
    #[tokio::test]
    async fn two_updates_of_one_peer_in_a_row_reach_the_network_one_after_the_other() {
        let [(first, old), (second, between), (third, new)] = [1, 2, 3].map(with_key);
        let (asks, mut asked) = mpsc::unbounded_channel();
        let network = Actor::spawn(None, Asks(asks), ()).await.unwrap().0;
        let wanted = watch::Sender::new(first.clone());
        let following = tokio::spawn(follow(first, wanted.subscribe(), network.clone()));
        let mut let_in = vec![old.clone()];
        wanted.send_replace(second);
        let (step, reply) = asked.recv().await.unwrap();
        assert_eq!(step, PersistentPeersOp::Remove(old));
        wanted.send_replace(third);
        let mut next = Some((step, reply));
        while let Some((step, reply)) = next {
            assert!(asked.is_empty(), "one step at a time");
            match step {
                PersistentPeersOp::Add(address) => let_in.push(address),
                PersistentPeersOp::Remove(address) => let_in.retain(|known| *known != address),
            }
            reply.send(Ok(())).unwrap();
            next = if let_in == [new.clone()] { None } else { asked.recv().await };
        }
        assert!(!let_in.contains(&between));
        drop(wanted);
        following.await.unwrap();
        assert!(asked.is_empty(), "and no step is left");
        network.stop(None);
    }
}
