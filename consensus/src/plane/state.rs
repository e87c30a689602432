//! State for participants that begin from nothing: questions and answers that only the application understands.
//!
//! ```text
//! question, answer = length u32 LE ‖ body[length]        an empty answer: there is nothing
//! ```
//! What stays true here:
//! - Only keys of the directory get a stream, one a peer; one question of a peer is answered at a time, and of all peers as many as
//!   leave the disk to consensus. A peer that asks slowly or reads slowly holds nothing but its own stream.
//! - A length is compared with its maximum before a byte of the body is read or allocated.
//! - Who asks has no ledger yet and believes nothing: the application checks every answer.

use super::peer::{address_is_plain, peer_id};
use super::shared::Shared;
use super::{PlaneError, PlanePeer};
use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, StreamExt};
use ledger_types::ParticipantNumber;
use ledger_types::keys::SigningKey;
use ledger_types::participant::Directory;
use libp2p::swarm::SwarmEvent;
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::{Multiaddr, PeerId, Stream, StreamProtocol, Swarm, identity, noise, tcp, yamux};
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::timeout;

pub const PROTOCOL: StreamProtocol = StreamProtocol::new("/assay/state/1");
pub const QUESTION_BYTES_MAX: usize = 64;
/// Of the longest list of hashes, or the longest row.
pub const ANSWER_BYTES_MAX: usize = 16 << 20;
/// Questions of all peers that are answered at once: each reads the disk.
const ANSWERED_AT_ONCE: usize = 2;
/// A peer that is silent for longer is not joining.
const SILENT_MAX: Duration = Duration::from_secs(60);
/// For an answer, which a peer takes in at its own speed, and for what it is asked.
const ANSWER_MAX: Duration = Duration::from_secs(30);
const DIAL_EVERY: Duration = Duration::from_millis(500);

pub(super) async fn accept(shared: Arc<Shared>, mut incoming: libp2p_stream::IncomingStreams) {
    let places = Arc::new(Semaphore::new(ANSWERED_AT_ONCE));
    let mut answering = JoinSet::new();
    let mut current: BTreeMap<ParticipantNumber, AbortHandle> = BTreeMap::new();
    loop {
        tokio::select! {
            next = incoming.next() => {
                let Some((id, stream)) = next else { return };
                let known = shared.peers.values().find(|peer| peer.id() == id);
                let Some(peer) = known.filter(|peer| !peer.is_muted()) else {
                    shared.counters.refused("stream_refused");
                    continue;
                };
                let (number, shared, places) = (peer.number, shared.clone(), places.clone());
                let task = answering.spawn(async move {
                    let ended = answer(&shared, &places, stream).await;
                    tracing::debug!(me = %shared.me, peer = %number, ?ended, "state stream closed");
                    if ended.is_err_and(|error| error.kind() == io::ErrorKind::InvalidData) {
                        shared.counters.refused("state_question_too_long");
                    }
                });
                if let Some(older) = current.insert(number, task) {
                    older.abort();
                }
            }
            Some(_) = answering.join_next() => {}
        }
    }
}

async fn answer(shared: &Arc<Shared>, places: &Semaphore, mut stream: Stream) -> io::Result<()> {
    loop {
        let question = timeout(SILENT_MAX, read(&mut stream, QUESTION_BYTES_MAX)).await??;
        let answer = {
            let _place = places.acquire().await.expect("the semaphore is never closed");
            let application = shared.application.clone();
            tokio::task::spawn_blocking(move || application.state(&question)).await.map_err(io::Error::other)?
        };
        timeout(ANSWER_MAX, write(&mut stream, &answer)).await??;
        shared.count_sent(answer.len());
    }
}

/// One frame. A length beyond `max` is [`io::ErrorKind::InvalidData`].
pub async fn read(stream: &mut (impl AsyncRead + Unpin), max: usize) -> io::Result<Vec<u8>> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).await?;
    let length = u32::from_le_bytes(length) as usize;
    if length > max {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("a frame of {length} bytes, {max} at most")));
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    Ok(body)
}

pub async fn write(stream: &mut (impl AsyncWrite + Unpin), body: &[u8]) -> io::Result<()> {
    let length = u32::try_from(body.len()).map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
    stream.write_all(&length.to_le_bytes()).await?;
    stream.write_all(body).await?;
    stream.flush().await
}

#[derive(Debug, thiserror::Error)]
pub enum AskError {
    #[error("participant {0} is no peer of the data plane")]
    UnknownPeer(ParticipantNumber),
    #[error("not connected")]
    NotConnected,
    #[error("no answer: {0}")]
    NoAnswer(#[from] io::Error),
}

/// Asks, before there is a ledger and a data plane: by the genesis's keys, or those that the operator has pinned.
pub struct StateClient {
    control: libp2p_stream::Control,
    peers: BTreeMap<ParticipantNumber, PeerId>,
    streams: BTreeMap<ParticipantNumber, Stream>,
    swarm: tokio::task::JoinHandle<()>,
}

impl Drop for StateClient {
    fn drop(&mut self) {
        self.swarm.abort();
    }
}

impl StateClient {
    pub fn start(key: &SigningKey, peers: &[PlanePeer], directory: &Directory) -> Result<Self, PlaneError> {
        let start = |cause: String| PlaneError::Start(cause);
        let keypair = identity::Keypair::ed25519_from_bytes(*key.seed())
            .map_err(|error| start(format!("data_peer key: {error}")))?;
        let mut dialled = Vec::new();
        let mut numbers = BTreeMap::new();
        for peer in peers.iter().filter(|peer| address_is_plain(&peer.addr)) {
            let Some(line) = directory.get(peer.number) else { continue };
            let id = peer_id(&peer.pinned.or(line.keys.data_peer))?;
            dialled.push((id, peer.addr.clone()));
            numbers.insert(peer.number, id);
        }
        let swarm = libp2p::SwarmBuilder::with_existing_identity(keypair)
            .with_tokio()
            .with_tcp(tcp::Config::default().nodelay(true), noise::Config::new, yamux::Config::default)
            .map_err(|error| start(error.to_string()))?
            .with_behaviour(|_| libp2p_stream::Behaviour::new())
            .map_err(|error| start(error.to_string()))?
            .with_swarm_config(|config| config.with_idle_connection_timeout(SILENT_MAX))
            .build();
        let control = swarm.behaviour().new_control();
        let swarm = tokio::spawn(stay_connected(swarm, dialled));
        Ok(StateClient { control, peers: numbers, streams: BTreeMap::new(), swarm })
    }

    pub fn peers(&self) -> impl Iterator<Item = ParticipantNumber> + use<> {
        self.peers.keys().copied().collect::<Vec<_>>().into_iter()
    }

    /// One question after the other; an error ends the stream, and the next question opens another.
    pub async fn ask(&mut self, peer: ParticipantNumber, question: &[u8]) -> Result<Vec<u8>, AskError> {
        let id = *self.peers.get(&peer).ok_or(AskError::UnknownPeer(peer))?;
        let mut stream = match self.streams.remove(&peer) {
            Some(stream) => stream,
            None => {
                let opened = timeout(ANSWER_MAX, self.control.open_stream(id, PROTOCOL)).await;
                opened.ok().and_then(Result::ok).ok_or(AskError::NotConnected)?
            }
        };
        let asked = timeout(ANSWER_MAX, async {
            write(&mut stream, question).await?;
            read(&mut stream, ANSWER_BYTES_MAX).await
        });
        let answer = asked.await.map_err(io::Error::from)??;
        self.streams.insert(peer, stream);
        Ok(answer)
    }
}

async fn stay_connected(mut swarm: Swarm<libp2p_stream::Behaviour>, peers: Vec<(PeerId, Multiaddr)>) {
    let mut tick = tokio::time::interval(DIAL_EVERY);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            event = swarm.select_next_some() => {
                if let SwarmEvent::OutgoingConnectionError { peer_id, error, .. } = event {
                    tracing::debug!(?peer_id, %error, "a peer to join by is not reached");
                }
            }
            _ = tick.tick() => {
                for (id, address) in &peers {
                    let options = DialOpts::peer_id(*id).addresses(vec![address.clone()]);
                    // Refused when it is connected or on its way: both are what was asked for.
                    let _ = swarm.dial(options.condition(PeerCondition::DisconnectedAndNotDialing).allocate_new_port().build());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_frame_is_read_back_and_a_longer_one_than_the_maximum_is_refused_before_its_body() {
        let mut bytes = Vec::new();
        write(&mut bytes, b"a question").await.unwrap();
        assert_eq!(hex::encode(&bytes), format!("0a000000{}", hex::encode("a question")));
        assert_eq!(read(&mut &bytes[..], 10).await.unwrap(), b"a question");
        assert_eq!(read(&mut &bytes[..], 9).await.unwrap_err().kind(), io::ErrorKind::InvalidData);
        assert_eq!(
            read(&mut &u32::MAX.to_le_bytes()[..], ANSWER_BYTES_MAX).await.unwrap_err().kind(),
            io::ErrorKind::InvalidData
        );
        assert_eq!(read(&mut &bytes[..8], 10).await.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}
