//! State for participants that begin from nothing: questions and answers that only the application understands.
//!
//! ```text
//! question, answer = length u32 LE ‖ body[length]        an empty answer: there is nothing
//! ```
//! What stays true here:
//! - Only keys of the directory get a stream, one a peer. One question of a peer is answered at a time, every [`ANSWER_EVERY`] at
//!   most, however often it opens a stream; of all peers as many at once as leave the disk to consensus. A peer that asks slowly or
//!   reads slowly holds nothing but its own stream.
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
use tokio::sync::{Mutex, Semaphore};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Interval, MissedTickBehavior, interval, timeout};

pub const PROTOCOL: StreamProtocol = StreamProtocol::new("/assay/state/1");
pub const QUESTION_BYTES_MAX: usize = 64;
/// Questions of all peers that are answered at once: each reads the disk.
const ANSWERED_AT_ONCE: usize = 2;
/// Some 30 MB a second and peer, where answers are of 128 KiB.
const ANSWER_EVERY: Duration = Duration::from_millis(4);
/// A peer that is silent for longer is not joining.
const SILENT_MAX: Duration = Duration::from_secs(60);
/// For an answer, which a peer takes in at its own speed, and for what it is asked.
const ANSWER_MAX: Duration = Duration::from_secs(30);
const DIAL_EVERY: Duration = Duration::from_millis(500);

/// Of one peer to read the disk, through all its streams.
#[derive(Clone)]
struct Turn {
    of_peer: Arc<Mutex<Interval>>,
    of_all: Arc<Semaphore>,
}

impl Turn {
    fn new(of_all: &Arc<Semaphore>) -> Self {
        let mut interval = interval(ANSWER_EVERY);
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Turn { of_peer: Arc::new(Mutex::new(interval)), of_all: of_all.clone() }
    }

    /// The turn ends with the reading, though nobody waits for it any more.
    async fn read<T: Send + 'static>(&self, read: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
        let mut of_peer = self.of_peer.clone().lock_owned().await;
        of_peer.tick().await;
        let of_all = self.of_all.clone().acquire_owned().await.expect("the semaphore is never closed");
        let reading = tokio::task::spawn_blocking(move || {
            let _held = (of_peer, of_all);
            read()
        });
        reading.await.map_err(io::Error::other)
    }
}

pub(super) async fn accept(shared: Arc<Shared>, mut incoming: libp2p_stream::IncomingStreams) {
    let of_all = Arc::new(Semaphore::new(ANSWERED_AT_ONCE));
    let turns: BTreeMap<_, _> = shared.peers.keys().map(|number| (*number, Turn::new(&of_all))).collect();
    let mut answering = JoinSet::new();
    let mut current: BTreeMap<ParticipantNumber, AbortHandle> = BTreeMap::new();
    loop {
        tokio::select! {
            next = incoming.next() => {
                let Some((id, stream)) = next else { return };
                let Some(peer) = shared.opener(id) else { continue };
                let (number, shared, turn) = (peer.number, shared.clone(), turns[&peer.number].clone());
                let task = answering.spawn(async move {
                    let ended = answer(&shared, &turn, stream).await;
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

async fn answer(shared: &Arc<Shared>, turn: &Turn, mut stream: Stream) -> io::Result<()> {
    loop {
        let question = timeout(SILENT_MAX, read(&mut stream, QUESTION_BYTES_MAX)).await??;
        let application = shared.application.clone();
        let answer = turn.read(move || application.state(&question)).await?;
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

/// Asks, before there is a ledger and a data plane: by the genesis's keys, or those that the operator has pinned.
pub struct StateClient {
    control: libp2p_stream::Control,
    peers: BTreeMap<ParticipantNumber, Asked>,
    swarm: tokio::task::JoinHandle<()>,
}

struct Asked {
    id: PeerId,
    stream: Mutex<Option<Stream>>,
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
        let mut asked = BTreeMap::new();
        for peer in peers.iter().filter(|peer| address_is_plain(&peer.addr)) {
            let Some(line) = directory.get(peer.number) else { continue };
            let id = peer_id(&peer.pinned.or(line.keys.data_peer))?;
            dialled.push((id, peer.addr.clone()));
            asked.insert(peer.number, Asked { id, stream: Mutex::default() });
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
        Ok(StateClient { control, peers: asked, swarm })
    }

    pub fn peers(&self) -> impl Iterator<Item = ParticipantNumber> {
        self.peers.keys().copied()
    }

    /// One question of a peer after the other; an error, or dropping this, ends the stream, and the next question opens another.
    pub async fn ask(&self, peer: ParticipantNumber, question: &[u8], answer_bytes_max: usize) -> io::Result<Vec<u8>> {
        let peer = self.peers.get(&peer).ok_or(io::ErrorKind::NotFound)?;
        let asked = async {
            let mut held = peer.stream.lock().await;
            let mut stream = match held.take() {
                Some(stream) => stream,
                None => {
                    let opened = self.control.clone().open_stream(peer.id, PROTOCOL).await;
                    opened.map_err(|error| io::Error::new(io::ErrorKind::NotConnected, error))?
                }
            };
            write(&mut stream, question).await?;
            let answer = read(&mut stream, answer_bytes_max).await?;
            *held = Some(stream);
            Ok(answer)
        };
        timeout(ANSWER_MAX, asked).await?
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
    use std::sync::mpsc;

    #[tokio::test]
    async fn a_frame_is_read_back_and_a_longer_one_than_the_maximum_is_refused_before_its_body() {
        let mut bytes = Vec::new();
        write(&mut bytes, b"a question").await.unwrap();
        assert_eq!(hex::encode(&bytes), format!("0a000000{}", hex::encode("a question")));
        assert_eq!(read(&mut &bytes[..], 10).await.unwrap(), b"a question");
        assert_eq!(read(&mut &bytes[..], 9).await.unwrap_err().kind(), io::ErrorKind::InvalidData);
        assert_eq!(
            read(&mut &u32::MAX.to_le_bytes()[..], 1 << 20).await.unwrap_err().kind(),
            io::ErrorKind::InvalidData
        );
        assert_eq!(read(&mut &bytes[..8], 10).await.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[tokio::test]
    async fn a_closed_stream_gives_its_turn_back_when_the_disk_was_read_and_not_before() {
        let of_all = Arc::new(Semaphore::new(ANSWERED_AT_ONCE));
        let turn = Turn::new(&of_all);
        let (begun, has_begun) = tokio::sync::oneshot::channel();
        let (end, may_end) = mpsc::channel::<()>();
        let reading = tokio::spawn({
            let turn = turn.clone();
            async move {
                let read = move || {
                    begun.send(()).unwrap();
                    may_end.recv().unwrap();
                };
                turn.read(read).await
            }
        });
        has_begun.await.unwrap();
        reading.abort();
        assert!(reading.await.unwrap_err().is_cancelled());
        assert!(turn.of_peer.try_lock().is_err());
        assert_eq!(of_all.available_permits(), ANSWERED_AT_ONCE - 1);
        end.send(()).unwrap();
        assert_eq!(turn.read(|| 7).await.unwrap(), 7);
    }

    #[tokio::test]
    async fn a_peer_is_answered_no_faster_than_its_pace_through_however_many_streams() {
        let turn = Turn::new(&Arc::new(Semaphore::new(ANSWERED_AT_ONCE)));
        let started = std::time::Instant::now();
        for _ in 0..11 {
            turn.clone().read(|| ()).await.unwrap();
        }
        assert!(started.elapsed() >= ANSWER_EVERY * 10, "{:?}", started.elapsed());
    }
}
