//! The network as the engine's actors see it: what validators say to each other goes over streams of the data plane.
//!
//! ```text
//! message on a stream = 1 u8 ‖ vote or proposal  |  2 u8 ‖ liveness message  |  3 u8 ‖ block part        each as the codec has it
//! ```
//! The engine's own network stays for the rest: who is connected, statuses, fetching of heights. It also carries, by GossipSub, each
//! message that a validator, or another peer that is connected, may not have had on its own stream, for others to pass on: its
//! process is gone or of a version without such streams, or the way between the two is cut; and what the engine repeats because
//! a round stands still. Who has heard a message already hears it twice. See decision 090.
//!
//! Must stay true: a part counts as published by the peer whose stream it came on, which is who it says by the key of that stream, and only
//! if the engine is to know that peer.

use super::codec::EngineCodec;
use super::context::Assay;
use super::parts::{BlockPart, PART_BYTES_MAX};
use super::peers::Peers;
use super::supply::Supply;
use crate::plane::wire::CONSENSUS_BYTES_MAX;
use arc_malachitebft_app_channel::app::engine::network::{NetworkEvent, NetworkMsg, NetworkRef};
use arc_malachitebft_app_channel::app::engine::util::output_port::OutputPort;
use arc_malachitebft_app_channel::app::engine::util::streaming::StreamMessage;
use arc_malachitebft_app_channel::app::types::PeerId;
use arc_malachitebft_app_channel::app::types::codec::Codec;
use arc_malachitebft_core_consensus::{LivenessMsg, SignedConsensusMsg};
use bytes::{Buf, Bytes};
use ledger_types::{Decode, DecodeError, numbered};
use ractor::{Actor, ActorProcessingErr, ActorRef, async_trait};
use std::sync::Arc;
use tokio::sync::watch;

/// As the engine's own network has it, eight times over: what a subscriber is behind by more is lost to it, whoever sent it.
const EVENTS_BEHIND_MAX: usize = 1024;
/// Height, round, hash and place of a part, and its tag.
const _: () = assert!(PART_BYTES_MAX + 64 <= CONSENSUS_BYTES_MAX);

numbered! {
    pub enum Spoken {
        Consensus = 1,
        Liveness = 2,
        Part = 3,
    }
}

pub struct Courier {
    network: NetworkRef<Assay>,
    supply: Arc<dyn Supply>,
    peers: watch::Receiver<Peers>,
    heard: Arc<OutputPort<NetworkEvent<Assay>>>,
}

impl Courier {
    pub fn new(network: NetworkRef<Assay>, supply: Arc<dyn Supply>, peers: watch::Receiver<Peers>) -> Self {
        Courier { network, supply, peers, heard: Arc::new(OutputPort::with_capacity(EVENTS_BEHIND_MAX)) }
    }
}

#[async_trait]
impl Actor for Courier {
    type Msg = NetworkMsg<Assay>;
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<Self::Msg>, _: ()) -> Result<(), ActorProcessingErr> {
        let (peers, port) = (self.peers.clone(), Arc::clone(&self.heard));
        self.supply.hear_consensus(Arc::new(move |from, message| {
            let publisher = peers.borrow().id_of(from);
            port.send(heard(publisher, message)?);
            Ok(())
        }));
        Ok(())
    }

    async fn handle(&self, _: ActorRef<Self::Msg>, message: Self::Msg, _: &mut ()) -> Result<(), ActorProcessingErr> {
        let all_hear = match &message {
            NetworkMsg::PublishConsensusMsg(said) => self.supply.send_consensus(spoken(Spoken::Consensus, said)?),
            NetworkMsg::PublishProposalPart(part) => self.supply.send_consensus(spoken(Spoken::Part, part)?),
            NetworkMsg::PublishLivenessMsg(said) => {
                self.supply.send_consensus(spoken(Spoken::Liveness, said)?);
                // Somebody waits for what was said before: every way is tried.
                false
            }
            NetworkMsg::Subscribe(subscriber) => {
                subscriber.subscribe_to_port(&self.heard);
                false
            }
            _ => false,
        };
        if !all_hear {
            self.network.cast(message)?;
        }
        Ok(())
    }
}

/// A message as it stands on a stream.
pub fn spoken<T>(what: Spoken, message: &T) -> Result<Bytes, DecodeError>
where
    EngineCodec: Codec<T, Error = DecodeError>,
{
    let message = EngineCodec.encode(message)?;
    let mut bytes = Vec::with_capacity(1 + message.len());
    bytes.push(what.number());
    bytes.extend_from_slice(&message);
    Ok(bytes.into())
}

/// What the engine hears when a stream says this. A part is its publisher's, whom the engine must know by this id; of votes and proposals it
/// asks only by whom they are signed.
pub fn heard(publisher: Option<PeerId>, mut message: Bytes) -> Result<NetworkEvent<Assay>, DecodeError> {
    let from = publisher.unwrap_or_else(nobody);
    let what = Spoken::from_bytes(message.get(..1).ok_or(DecodeError::Truncated)?)?;
    message.advance(1);
    Ok(match what {
        Spoken::Consensus => match EngineCodec.decode(message)? {
            SignedConsensusMsg::Vote(vote) => NetworkEvent::Vote(from, vote),
            SignedConsensusMsg::Proposal(proposal) => NetworkEvent::Proposal(from, proposal),
        },
        Spoken::Liveness => match EngineCodec.decode(message)? {
            LivenessMsg::Vote(vote) => NetworkEvent::Vote(from, vote),
            LivenessMsg::PolkaCertificate(certificate) => NetworkEvent::PolkaCertificate(from, certificate),
            LivenessMsg::SkipRoundCertificate(certificate) => NetworkEvent::RoundCertificate(from, certificate),
        },
        Spoken::Part => {
            let part: StreamMessage<BlockPart> = EngineCodec.decode(message)?;
            NetworkEvent::ProposalPart(from, publisher, part)
        }
    })
}

fn nobody() -> PeerId {
    PeerId::from_bytes(&[0, 0]).expect("an id of an empty key")
}
