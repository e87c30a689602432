//! Reading and writing the streams of one peer.
//!
//! Every node writes to streams that it opened and reads from those that it accepted: one of each flow each way. A newer stream of a peer replaces the older, so that a peer holds at most a reader of ours a flow. A frame that only a
//! faulty peer sends closes the stream with a named reason, and the peer's streams are refused for a while.

use super::metrics::Count;
use super::network::Disconnect;
use super::peer::Peer;
use super::shared::Shared;
use super::wire::{Flow, Frame, Hello, WIRE_VERSION, WireError};
use bytes::{Bytes, BytesMut};
use futures::{AsyncReadExt, AsyncWrite, AsyncWriteExt, StreamExt};
use ledger_types::{BundleDigest, ParticipantNumber};
use libp2p::Stream;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::timeout;

/// A control stream is never silent for longer.
const ALIVE_EVERY: Duration = Duration::from_secs(3);
/// After which a peer counts as gone, whatever TCP believes.
const SILENT_MAX: Duration = Duration::from_secs(15);
const OPEN_MAX: Duration = Duration::from_secs(5);
const REOPEN_FIRST: Duration = Duration::from_millis(20);
const REOPEN_MAX: Duration = Duration::from_secs(2);
/// For 64 KiB: a peer that takes longer than 6 KiB/s allows is stalled.
const WRITE_MAX: Duration = Duration::from_secs(10);
const WRITE_CHUNK: usize = 64 * 1024;

async fn write(stream: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> Result<(), WireError> {
    for chunk in bytes.chunks(WRITE_CHUNK) {
        timeout(WRITE_MAX, stream.write_all(chunk)).await.map_err(|_| WireError::Silent)??;
    }
    Ok(())
}

async fn flush(stream: &mut (impl AsyncWrite + Unpin)) -> Result<(), WireError> {
    Ok(timeout(WRITE_MAX, stream.flush()).await.map_err(|_| WireError::Silent)??)
}

/// Opens a stream whenever the peer is connected, forever.
struct Opener {
    shared: Arc<Shared>,
    peer: Arc<Peer>,
    control: libp2p_stream::Control,
    flow: Flow,
    delay: Duration,
}

impl Opener {
    async fn open(&mut self) -> Option<Stream> {
        let mut connected = self.peer.connected.subscribe();
        loop {
            connected.wait_for(|connected| *connected).await.ok()?;
            if let Ok(Ok(stream)) =
                timeout(OPEN_MAX, self.control.open_stream(self.peer.id(), self.flow.protocol())).await
            {
                return Some(stream);
            }
            self.wait().await;
        }
    }

    async fn hello(&mut self, stream: &mut Stream) -> Result<(), WireError> {
        let hello = Hello { version: WIRE_VERSION, chain: self.shared.chain.genesis_hash(), number: self.shared.me };
        write(stream, &Frame::Hello(hello).to_bytes()).await?;
        flush(stream).await
    }

    async fn wait(&mut self) {
        tokio::time::sleep(self.delay).await;
        self.delay = (self.delay * 2).min(REOPEN_MAX);
    }
}

/// Frames of a queue, as they come: control, or the consensus engine's.
pub(super) async fn write_queued(
    shared: Arc<Shared>,
    peer: Arc<Peer>,
    flow: Flow,
    control: libp2p_stream::Control,
    mut frames: mpsc::Receiver<Bytes>,
) {
    let mut opener = Opener { shared: shared.clone(), peer: peer.clone(), control, flow, delay: REOPEN_FIRST };
    let mut out = BytesMut::new();
    while let Some(mut stream) = opener.open().await {
        // Left over from a stream that broke: `greet` says again what matters of control, and the engine says most things once.
        if flow == Flow::Control {
            while frames.try_recv().is_ok() {}
            out.clear();
        }
        let opened = Instant::now();
        let ended = async {
            opener.hello(&mut stream).await?;
            peer.set_open(flow, true);
            if flow == Flow::Control {
                shared.greet(&peer);
            }
            let mut connected = peer.connected.subscribe();
            let (mut closed, mut stream) = stream.split();
            loop {
                // It says nothing on a stream of ours: what there is to read is that it has dropped it.
                let mut nothing = [0];
                tokio::select! {
                    frame = timeout(ALIVE_EVERY, frames.recv()), if out.is_empty() => match frame {
                        Ok(Some(frame)) => out.extend_from_slice(&frame),
                        Ok(None) => return Ok::<(), WireError>(()),
                        Err(_) if flow == Flow::Control => out.extend_from_slice(&Frame::Alive.to_bytes()),
                        Err(_) => continue,
                    },
                    _ = closed.read(&mut nothing) => return Ok(()),
                    _ = connected.wait_for(|connected| !connected) => return Ok(()),
                    () = std::future::ready(()), if !out.is_empty() => {}
                }
                while out.len() < WRITE_CHUNK {
                    let Ok(frame) = frames.try_recv() else { break };
                    out.extend_from_slice(&frame);
                }
                write(&mut stream, &out).await?;
                flush(&mut stream).await?;
                shared.count_sent(out.len());
                out.clear();
            }
        };
        let ended = ended.await;
        peer.set_open(flow, false);
        tracing::debug!(me = %shared.me, peer = %peer.number, ?flow, ?ended, "a stream to a peer closed");
        if opened.elapsed() > SILENT_MAX {
            opener.delay = REOPEN_FIRST;
        }
        opener.wait().await;
    }
}

pub(super) async fn write_bulk(
    shared: Arc<Shared>,
    peer: Arc<Peer>,
    control: libp2p_stream::Control,
    mut offers: mpsc::Receiver<BundleDigest>,
    mut replies: mpsc::Receiver<Bytes>,
) {
    let mut opener =
        Opener { shared: shared.clone(), peer: peer.clone(), control, flow: Flow::Bulk, delay: REOPEN_FIRST };
    while let Some(mut stream) = opener.open().await {
        let opened = Instant::now();
        let ended = async {
            opener.hello(&mut stream).await?;
            for digest in shared.uncertified() {
                let Some(frame) = shared.sponsored_frame(&digest) else { continue };
                write(&mut stream, &frame).await?;
                shared.count_sent(frame.len());
            }
            flush(&mut stream).await?;
            let mut connected = peer.connected.subscribe();
            loop {
                let frame = tokio::select! {
                    Some(digest) = offers.recv() => shared.sponsored_frame(&digest),
                    Some(reply) = replies.recv() => Some(reply),
                    _ = connected.wait_for(|connected| !connected) => return Ok::<(), WireError>(()),
                };
                // None: a block holds the bundle by now, and who lacks it fetches it.
                let Some(frame) = frame else { continue };
                write(&mut stream, &frame).await?;
                if offers.is_empty() && replies.is_empty() {
                    flush(&mut stream).await?;
                }
                shared.count_sent(frame.len());
            }
        };
        let ended = ended.await;
        tracing::debug!(me = %shared.me, peer = %peer.number, ?ended, "bulk stream closed");
        if opened.elapsed() > SILENT_MAX {
            opener.delay = REOPEN_FIRST;
        }
        opener.wait().await;
    }
}

/// Reads the bundles that a peer wants from disk, one after the other.
pub(super) async fn serve(shared: Arc<Shared>, peer: Arc<Peer>, mut wanted: mpsc::Receiver<BundleDigest>) {
    while let Some(digest) = wanted.recv().await {
        let reader = shared.clone();
        let frame = tokio::task::spawn_blocking(move || {
            reader.bundle(&digest).map(|bundle| super::wire::fetched_frame(&bundle))
        });
        match frame.await {
            Ok(Some(frame)) => {
                shared.counters.bundles_served.add(1);
                if peer.replies.send(frame).await.is_err() {
                    return;
                }
            }
            Ok(None) | Err(_) => shared.send(&peer, Frame::Absent(digest).to_bytes()),
        }
    }
}

pub(super) async fn accept(
    shared: Arc<Shared>,
    flow: Flow,
    mut incoming: libp2p_stream::IncomingStreams,
    disconnect: mpsc::Sender<Disconnect>,
) {
    let mut readers = JoinSet::new();
    let mut current: BTreeMap<ParticipantNumber, AbortHandle> = BTreeMap::new();
    loop {
        tokio::select! {
            next = incoming.next() => {
                let Some((id, stream)) = next else { return };
                let Some(peer) = shared.opener(id) else { continue };
                let task = readers.spawn(read(shared.clone(), peer.clone(), flow, stream, disconnect.clone()));
                if let Some(older) = current.insert(peer.number, task) {
                    older.abort();
                }
            }
            Some(_) = readers.join_next() => {}
        }
    }
}

async fn read(
    shared: Arc<Shared>,
    peer: Arc<Peer>,
    flow: Flow,
    mut stream: Stream,
    disconnect: mpsc::Sender<Disconnect>,
) {
    let Err(error) = read_frames(&shared, &peer, flow, &mut stream).await;
    let (me, from, name) = (shared.me, peer.number, error.name());
    if error.is_misbehaviour() {
        tracing::warn!(%me, peer = %from, ?flow, name, %error, "a stream was closed");
        shared.counters.refused(name);
        peer.mute_until(Instant::now() + shared.limits.mute);
    } else {
        tracing::debug!(%me, peer = %from, ?flow, name, %error, "a stream ended");
    }
    if matches!(error, WireError::Silent) {
        let _ = disconnect.send(Disconnect(peer.id())).await;
    }
}

async fn read_frames(
    shared: &Arc<Shared>,
    peer: &Arc<Peer>,
    flow: Flow,
    stream: &mut Stream,
) -> Result<std::convert::Infallible, WireError> {
    let mut room = BytesMut::new();
    match timeout(SILENT_MAX, Frame::read(flow, stream, &mut room)).await.map_err(|_| WireError::Silent)?? {
        Frame::Hello(hello) if hello.version != WIRE_VERSION => return Err(WireError::OtherVersion(hello.version)),
        Frame::Hello(hello) if hello.chain != shared.chain.genesis_hash() => return Err(WireError::OtherChain),
        Frame::Hello(hello) if hello.number != peer.number => return Err(WireError::OtherParticipant(hello.number)),
        Frame::Hello(_) => {}
        _ => return Err(WireError::HelloMisplaced),
    }
    loop {
        let frame = match flow {
            Flow::Control => {
                timeout(SILENT_MAX, Frame::read(flow, stream, &mut room)).await.map_err(|_| WireError::Silent)??
            }
            // These come when there are any; the control stream tells whether the peer lives.
            Flow::Bulk | Flow::Consensus => Frame::read(flow, stream, &mut room).await?,
        };
        peer.note_heard();
        receive(shared, peer, frame).await?;
    }
}

/// One frame after the other: a peer that is served slowly sends slowly.
async fn receive(shared: &Arc<Shared>, peer: &Arc<Peer>, frame: Frame) -> Result<(), WireError> {
    match frame {
        Frame::Hello(_) => return Err(WireError::HelloMisplaced),
        Frame::Bundle(bytes) => {
            shared.counters.bytes_received.add(bytes.len() as u64);
            shared.receive_bundle(peer, bytes).await?;
        }
        Frame::Fetched(digest, bytes) => {
            shared.counters.bytes_received.add(bytes.len() as u64);
            shared.receive_fetched(peer, digest, bytes).await;
        }
        Frame::Absent(digest) => shared.absent(peer.number, &digest),
        Frame::Ack(ack) => shared.receive_ack(peer.number, ack),
        Frame::Certificate(certificate) => shared.receive_certificate(*certificate).await,
        Frame::Want(digests) => {
            for digest in &digests {
                if peer.serve.try_send(*digest).is_err() {
                    shared.send(peer, Frame::Absent(*digest).to_bytes());
                }
            }
        }
        Frame::Message(bytes) => {
            // One at a time of each peer, in its order: who sends many waits itself, and no other.
            let (application, from) = (shared.application.clone(), peer.number);
            let _ = tokio::task::spawn_blocking(move || application.message(from, bytes)).await;
        }
        Frame::Question(question) => shared.answer(peer, question).await,
        Frame::Answer(answer) => shared.questions.answered(peer.number, answer),
        Frame::HeightStarted(height) => shared.height_started(peer.number, height),
        Frame::Alive => {}
        Frame::Consensus(bytes) => shared.hear_consensus(peer.number, bytes)?,
        Frame::LaneReport(report) => shared.receive_lane_report(peer, report),
    }
    Ok(())
}
