//! The engine's actors that are ours: thin, each turns the engine's messages into something that plain code works on.
//! [`super::courier`], which stands for the engine's network, is one more.
//!
//! - [`HostActor`] passes what the engine asks of the application on as [`Event`]s. It awaits nothing (trap 8: the engine's own
//!   connector waits for each reply before it takes the next message, so that one slow block would stop all votes).
//! - [`Overheard`] tells of peers that are at a height above ours.
//! - [`Guardian`] stands where the engine expects its own supervisor. That one kills the network actor, whose socket then stays
//!   open for ever, or hangs with a process that looks alive (trap 4); this one reports, and the session stops everything in order.
//! - [`WalActor`] keeps the log. A flush that the engine asks for is no write: the signing guard flushes the log before each
//!   signature, and nothing else that leaves the node is our word. See decision 011.

use super::codec::EngineCodec;
use super::context::{Assay, EngineHeight};
use super::wal::{RecordKind, Recovered, Wal};
use arc_malachitebft_app_channel::app::engine;
use arc_malachitebft_core_consensus::Input;
use engine::host::HostMsg;
use engine::network::NetworkEvent;
use engine::node::NodeMsg;
use engine::wal::{Msg as WalMsg, decode_entry, encode_entry};
use ledger_types::Height;
use ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent, async_trait};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::mpsc::UnboundedSender;

/// What the connector's loop lives on.
#[expect(clippy::large_enum_variant, reason = "one at a time, moved once: a box would only add an allocation")]
pub enum Event {
    Host(HostMsg<Assay>),
    /// A peer is at this height or wants to be.
    Overheard(Height),
    /// An actor of the engine failed, or gave up for safety.
    EngineFailed(String),
}

pub struct HostActor(pub UnboundedSender<Event>);

#[async_trait]
impl Actor for HostActor {
    type Msg = HostMsg<Assay>;
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<Self::Msg>, _: ()) -> Result<(), ActorProcessingErr> {
        Ok(())
    }

    async fn handle(&self, _: ActorRef<Self::Msg>, message: Self::Msg, _: &mut ()) -> Result<(), ActorProcessingErr> {
        // A closed channel means that the loop has ended and this actor is about to be stopped.
        let _ = self.0.send(Event::Host(message));
        Ok(())
    }
}

pub struct Guardian(pub UnboundedSender<Event>);

#[async_trait]
impl Actor for Guardian {
    type Msg = NodeMsg;
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<NodeMsg>, _: ()) -> Result<(), ActorProcessingErr> {
        Ok(())
    }

    async fn handle(
        &self,
        _: ActorRef<NodeMsg>,
        NodeMsg::SafetyFailure(reason): NodeMsg,
        _: &mut (),
    ) -> Result<(), ActorProcessingErr> {
        let _ = self.0.send(Event::EngineFailed(reason));
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        _: ActorRef<NodeMsg>,
        event: SupervisionEvent,
        _: &mut (),
    ) -> Result<(), ActorProcessingErr> {
        let failed = match event {
            SupervisionEvent::ActorFailed(_, error) => error.to_string(),
            SupervisionEvent::ActorTerminated(_, _, reason) => reason.unwrap_or_else(|| "an actor stopped".into()),
            _ => return Ok(()),
        };
        let _ = self.0.send(Event::EngineFailed(failed));
        Ok(())
    }
}

/// A network event by the height that its sender is at; zero when it tells nothing.
pub struct Heard(Height);

impl From<NetworkEvent<Assay>> for Heard {
    fn from(event: NetworkEvent<Assay>) -> Self {
        use arc_malachitebft_core_types::{Proposal, Vote};
        Heard(match event {
            NetworkEvent::Vote(_, vote) => Vote::height(&vote.message).0,
            NetworkEvent::Proposal(_, proposal) => Proposal::height(&proposal.message).0,
            NetworkEvent::ProposalPart(_, _, part) => part.content.into_data().map_or(Height(0), |part| part.height),
            // A peer whose tip is h: height h is over for it.
            NetworkEvent::Status(_, status) => status.tip_height.0,
            _ => Height(0),
        })
    }
}

pub struct Overheard {
    pub events: UnboundedSender<Event>,
    /// Written by the connector: what is not above it is of no interest.
    pub tip: Arc<AtomicU64>,
}

#[async_trait]
impl Actor for Overheard {
    type Msg = Heard;
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<Heard>, _: ()) -> Result<(), ActorProcessingErr> {
        Ok(())
    }

    async fn handle(&self, _: ActorRef<Heard>, Heard(height): Heard, _: &mut ()) -> Result<(), ActorProcessingErr> {
        if height.0 > self.tip.load(Ordering::Relaxed) {
            let _ = self.events.send(Event::Overheard(height));
        }
        Ok(())
    }
}

pub struct WalActor {
    /// None for a node without a vote: it signs nothing and forgets nothing.
    pub wal: Option<Arc<Wal>>,
    /// Taken by the height that it belongs to.
    pub recovered: std::sync::Mutex<Option<Recovered>>,
}

type Inputs = Vec<io::Result<Input<Assay>>>;

impl WalActor {
    fn started(&self, height: Height) -> Inputs {
        let Some(wal) = &self.wal else { return Vec::new() };
        let recovered = self.recovered.lock().expect("no holder panics").take();
        let Some(recovered) = recovered.filter(|r| r.height == Some(height)) else {
            wal.start(height);
            return Vec::new();
        };
        wal.resume(&recovered);
        let inputs = recovered.records.iter().filter(|record| record.kind == RecordKind::Input);
        inputs.map(|record| decode_entry(&EngineCodec, io::Cursor::new(&record.bytes))).collect()
    }

    fn append(&self, height: EngineHeight, input: Input<Assay>) -> io::Result<()> {
        let Some(wal) = &self.wal else { return Ok(()) };
        let mut bytes = Vec::new();
        encode_entry(input, &EngineCodec, &mut bytes)?;
        wal.append(height.0, RecordKind::Input, &bytes)
    }
}

#[async_trait]
impl Actor for WalActor {
    type Msg = WalMsg<Assay>;
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<Self::Msg>, _: ()) -> Result<(), ActorProcessingErr> {
        Ok(())
    }

    async fn handle(&self, _: ActorRef<Self::Msg>, message: Self::Msg, _: &mut ()) -> Result<(), ActorProcessingErr> {
        // The engine stops its actors itself when an answer is an error; one that went away needs no answer.
        match message {
            WalMsg::StartedHeight(height, reply) => drop(reply.send(Ok(self.started(height.0)))),
            WalMsg::Reset(height, reply) => {
                if let Some(wal) = &self.wal {
                    wal.start(height.0);
                }
                drop(reply.send(Ok(())));
            }
            WalMsg::Append(height, input, reply) => drop(reply.send(self.append(height, input).map_err(Into::into))),
            WalMsg::Flush(reply) => drop(reply.send(Ok(()))),
            WalMsg::Dump => {}
        }
        Ok(())
    }
}
