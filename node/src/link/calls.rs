//! The calling side: one stream to a peer, opened again when it breaks.

use super::PROTOCOL;
use super::network::Dial;
use super::wire::{self, Call, Reply, Request, Response};
use futures::{AsyncReadExt, AsyncWriteExt};
use ledger_types::ParticipantNumber;
use libp2p::{Multiaddr, PeerId};
use std::collections::HashMap;
use std::future::Future;
use std::sync::Mutex;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// Calls that wait for the stream; beyond it callers wait, until their own deadline.
const QUEUE: usize = 1024;
/// Calls whose deadline passed unanswered are forgotten from time to time.
const FORGET_EVERY: u64 = 1024;
/// A round trip and the negotiation, on a busy machine.
const OPEN_WITHIN: Duration = Duration::from_millis(1_000);
const REDIAL_FIRST: Duration = Duration::from_millis(50);
const REDIAL_MAX: Duration = Duration::from_secs(2);

#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    #[error("participant {0} has no link here")]
    UnknownPeer(ParticipantNumber),
    #[error("participant {peer} did not answer within {waited_ms} ms")]
    Deadline { peer: ParticipantNumber, waited_ms: u64 },
    #[error("the link to participant {0} broke before the answer came")]
    Broken(ParticipantNumber),
}

type Queued = (Request, oneshot::Sender<Response>);

pub(super) struct Calls {
    peer: ParticipantNumber,
    queue: mpsc::Sender<Queued>,
}

impl Calls {
    pub async fn call(&self, request: Request) -> Result<Response, LinkError> {
        let (answer, answered) = oneshot::channel();
        self.queue.send((request, answer)).await.map_err(|_| LinkError::Broken(self.peer))?;
        answered.await.map_err(|_| LinkError::Broken(self.peer))
    }
}

pub(super) fn calls(
    peer: ParticipantNumber,
    id: PeerId,
    address: Multiaddr,
    control: libp2p_stream::Control,
    commands: mpsc::Sender<Dial>,
) -> (Calls, impl Future<Output = ()> + Send + 'static) {
    let (queue, queued) = mpsc::channel(QUEUE);
    (Calls { peer, queue }, run(id, address, control, commands, queued))
}

async fn run(
    id: PeerId,
    address: Multiaddr,
    mut control: libp2p_stream::Control,
    commands: mpsc::Sender<Dial>,
    mut queued: mpsc::Receiver<Queued>,
) {
    let mut redial = REDIAL_FIRST;
    loop {
        // Connect when there is something to say.
        let Some(mut first) = next_call(&mut queued).await else { return };
        let stream = loop {
            // A stream asked for while the connection is being made may never be given: ask again on the connection.
            match tokio::time::timeout(OPEN_WITHIN, control.open_stream(id, PROTOCOL)).await {
                Ok(Ok(stream)) => break stream,
                failed => {
                    tracing::debug!(%id, ?failed, "no link yet");
                    if commands.send(Dial(id, address.clone())).await.is_err() {
                        return;
                    }
                    tokio::time::sleep(redial).await;
                    redial = (redial * 2).min(REDIAL_MAX);
                    if first.1.is_closed() {
                        // Its deadline has passed; take one that still waits.
                        match next_call(&mut queued).await {
                            Some(next) => first = next,
                            None => return,
                        }
                    }
                }
            }
        };
        redial = REDIAL_FIRST;
        if converse(stream, first, &mut queued).await == Ended::ByCallers {
            return;
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    /// The handle was dropped.
    ByCallers,
    ByStream,
}

type Waiting = Mutex<HashMap<u64, oneshot::Sender<Response>>>;

/// Asks and listens at the same time, until the stream breaks; whoever still waits then hears that it broke.
async fn converse(stream: libp2p::Stream, first: Queued, queued: &mut mpsc::Receiver<Queued>) -> Ended {
    let (mut reader, mut writer) = stream.split();
    let waiting = Waiting::default();
    let listen = async {
        while let Ok(reply) = wire::read_frame::<Reply>(&mut reader).await {
            let answer = waiting.lock().expect("no holder of the waiting calls panics").remove(&reply.id);
            if let Some(answer) = answer {
                let _ = answer.send(reply.response);
            }
        }
        Ended::ByStream
    };
    let ask = async {
        let mut next_id = 0u64;
        let mut next = Some(first);
        loop {
            // All that has gathered goes out with one flush.
            while let Some((request, answer)) = next.take() {
                next_id += 1;
                {
                    let mut waiting = waiting.lock().expect("no holder of the waiting calls panics");
                    if next_id.is_multiple_of(FORGET_EVERY) {
                        waiting.retain(|_, answer| !answer.is_closed());
                    }
                    waiting.insert(next_id, answer);
                }
                if wire::write_frame(&mut writer, &Call { id: next_id, request }).await.is_err() {
                    return Ended::ByStream;
                }
                next = queued.try_recv().ok();
            }
            if writer.flush().await.is_err() {
                return Ended::ByStream;
            }
            match next_call(queued).await {
                Some(call) => next = Some(call),
                None => return Ended::ByCallers,
            }
        }
    };
    tokio::pin!(listen, ask);
    tokio::select! {
        ended = &mut listen => ended,
        ended = &mut ask => ended,
    }
}

/// The next call whose caller still waits.
async fn next_call(queued: &mut mpsc::Receiver<Queued>) -> Option<Queued> {
    loop {
        let call = queued.recv().await?;
        if !call.1.is_closed() {
            return Some(call);
        }
    }
}
