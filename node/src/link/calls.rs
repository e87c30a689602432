//! The calling side: one stream to a peer, opened again when it breaks.

use super::network::Dial;
use super::wire::{self, Call, Reply, Request, Response};
use super::{Callers, PROTOCOL, Patience, id_of};
use futures::{AsyncReadExt, AsyncWriteExt};
use ledger_types::ParticipantNumber;
use libp2p::Multiaddr;
use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot, watch};

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
    callers: watch::Receiver<Arc<Callers>>,
    address: Multiaddr,
    control: libp2p_stream::Control,
    commands: mpsc::Sender<Dial>,
    patience: Patience,
) -> (Calls, impl Future<Output = ()> + Send + 'static) {
    let (queue, queued) = mpsc::channel(QUEUE);
    (Calls { peer, queue }, run(peer, callers, address, control, commands, queued, patience))
}

async fn run(
    peer: ParticipantNumber,
    callers: watch::Receiver<Arc<Callers>>,
    address: Multiaddr,
    mut control: libp2p_stream::Control,
    commands: mpsc::Sender<Dial>,
    mut queued: mpsc::Receiver<Queued>,
    patience: Patience,
) {
    let mut redial = REDIAL_FIRST;
    loop {
        // Connect when there is something to say.
        let Some(mut first) = next_call(&mut queued).await else { return };
        let (id, stream) = loop {
            // Its key of now. No update takes a line away, so that there is one.
            let Some(id) = id_of(&callers.borrow(), peer) else { return };
            // A stream asked for while the connection is being made may never be given: ask again on the connection.
            match tokio::time::timeout(OPEN_WITHIN, control.open_stream(id, PROTOCOL)).await {
                Ok(Ok(stream)) => break (id, stream),
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
        // The swarm closes the connection of a key that was replaced a moment later than it is replaced.
        let is_current = || id_of(&callers.borrow(), peer) == Some(id);
        if converse(stream, first, &mut queued, is_current, patience).await == Ended::ByCallers {
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

#[derive(Default)]
struct Waiting {
    calls: HashMap<u64, (Instant, oneshot::Sender<Response>)>,
    /// When the last reply came.
    heard: Option<Instant>,
}

impl Waiting {
    /// Nothing was heard for so long although something was asked before that.
    fn is_silent(&self, now: Instant, limit: Duration) -> bool {
        let is_past = |at: Instant| now.saturating_duration_since(at) > limit;
        self.heard.is_none_or(is_past) && self.calls.values().any(|(asked, _)| is_past(*asked))
    }
}

/// Asks and listens at the same time, until the stream breaks; whoever still waits then hears that it broke.
/// A peer whose machine went away without a word is found out by its silence: the kernel would keep the connection for many
/// minutes.
async fn converse(
    stream: libp2p::Stream,
    first: Queued,
    queued: &mut mpsc::Receiver<Queued>,
    is_current: impl Fn() -> bool,
    patience: Patience,
) -> Ended {
    let (mut reader, mut writer) = stream.split();
    let waiting = Mutex::<Waiting>::default();
    let listen = async {
        while let Ok(reply) = wire::read_frame::<Reply>(&mut reader).await {
            let answer = {
                let mut waiting = waiting.lock().expect("no holder of the waiting calls panics");
                waiting.heard = Some(Instant::now());
                waiting.calls.remove(&reply.id)
            };
            if let Some((_, answer)) = answer {
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
                if !is_current() {
                    return Ended::ByStream;
                }
                next_id += 1;
                {
                    let mut waiting = waiting.lock().expect("no holder of the waiting calls panics");
                    if next_id.is_multiple_of(FORGET_EVERY) {
                        waiting.calls.retain(|_, (_, answer)| !answer.is_closed());
                    }
                    waiting.calls.insert(next_id, (Instant::now(), answer));
                }
                let call = Call { id: next_id, request };
                if wire::within(patience.write, wire::write_frame(&mut writer, &call)).await.is_err() {
                    return Ended::ByStream;
                }
                next = queued.try_recv().ok();
            }
            if wire::within(patience.write, writer.flush()).await.is_err() {
                return Ended::ByStream;
            }
            match next_call(queued).await {
                Some(call) => next = Some(call),
                None => return Ended::ByCallers,
            }
        }
    };
    let silence = async {
        let mut every = tokio::time::interval(patience.silence / 4);
        loop {
            every.tick().await;
            let waiting = waiting.lock().expect("no holder of the waiting calls panics");
            if waiting.is_silent(Instant::now(), patience.silence) {
                return Ended::ByStream;
            }
        }
    };
    tokio::pin!(listen, ask, silence);
    tokio::select! {
        ended = &mut listen => ended,
        ended = &mut ask => ended,
        ended = &mut silence => ended,
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
