//! The other participants, as the plane sees them: identity, address and the queues of their streams.

use super::wire::Flow;
use super::{PlaneConfig, PlaneError};
use crate::pinned::PinnedKey;
use bytes::Bytes;
use ledger_types::keys::PublicKey;
use ledger_types::participant::Directory;
use ledger_types::{BundleDigest, ParticipantNumber};
use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, PeerId, identity};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, watch};

/// Small frames; at 16 KiB the largest, a stalled peer holds 8 MiB of ours.
const CONTROL_QUEUE: usize = 512;
/// Of [`super::wire::CONSENSUS_BYTES_MAX`] each at most; peers that stall together hold the same bytes.
const CONSENSUS_QUEUE: usize = 256;
/// A peer says something every 3 s at least.
const HEARD_OF_LATE: Duration = Duration::from_secs(4);
/// Digests only: the bundle is looked up when its turn comes.
const OFFER_QUEUE: usize = 64;
/// Whole bundles for a peer that fetches.
const REPLY_QUEUE: usize = 2;
/// Digests that a peer wants from us.
const SERVE_QUEUE: usize = 64;

pub(super) struct Peer {
    pub number: ParticipantNumber,
    /// Changes when a participant update commits; only the network sets it.
    id: Mutex<PeerId>,
    pub pinned: PinnedKey,
    pub addr: Option<Multiaddr>,
    pub control: mpsc::Sender<Bytes>,
    pub consensus: mpsc::Sender<Bytes>,
    pub offers: mpsc::Sender<BundleDigest>,
    pub replies: mpsc::Sender<Bytes>,
    pub serve: mpsc::Sender<BundleDigest>,
    /// A connection stands (streams may not yet).
    pub connected: watch::Sender<bool>,
    /// Our control stream to it is open.
    up: AtomicBool,
    /// Our consensus stream to it is open.
    consensus_up: AtomicBool,
    /// When a frame of it came last.
    heard: Mutex<Option<Instant>>,
    /// Streams that it opens before are dropped: it sent something that only a faulty peer sends.
    muted_until: Mutex<Option<Instant>>,
}

/// The receiving ends, for the peer's tasks.
pub(super) struct Outlets {
    pub control: mpsc::Receiver<Bytes>,
    pub consensus: mpsc::Receiver<Bytes>,
    pub offers: mpsc::Receiver<BundleDigest>,
    pub replies: mpsc::Receiver<Bytes>,
    pub serve: mpsc::Receiver<BundleDigest>,
}

impl Peer {
    pub fn id(&self) -> PeerId {
        *super::shared::lock(&self.id)
    }

    /// The id under which it was known before.
    pub fn set_id(&self, id: PeerId) -> PeerId {
        std::mem::replace(&mut super::shared::lock(&self.id), id)
    }

    pub fn is_up(&self) -> bool {
        self.up.load(Ordering::Acquire)
    }

    pub fn takes_consensus(&self) -> bool {
        self.consensus_up.load(Ordering::Acquire)
    }

    /// A stream to somebody who is cut off looks open for long.
    pub fn was_heard_of_late(&self) -> bool {
        super::shared::lock(&self.heard).is_some_and(|heard| heard.elapsed() < HEARD_OF_LATE)
    }

    pub fn note_heard(&self) {
        *super::shared::lock(&self.heard) = Some(Instant::now());
    }

    /// Our stream of this flow to it opened or closed.
    pub fn set_open(&self, flow: Flow, open: bool) {
        match flow {
            Flow::Control => self.up.store(open, Ordering::Release),
            Flow::Consensus => self.consensus_up.store(open, Ordering::Release),
            Flow::Bulk => {}
        }
    }

    pub fn mute_until(&self, until: Instant) {
        *super::shared::lock(&self.muted_until) = Some(until);
    }

    pub fn is_muted(&self) -> bool {
        super::shared::lock(&self.muted_until).is_some_and(|until| Instant::now() < until)
    }
}

pub(super) fn peer_id(key: &PublicKey) -> Result<PeerId, PlaneError> {
    let key = identity::ed25519::PublicKey::try_from_bytes(&key.0)
        .map_err(|error| PlaneError::Start(format!("the data_peer key {key} is unsound: {error}")))?;
    Ok(identity::PublicKey::from(key).to_peer_id())
}

/// Trap 15: the tree's DNS resolver has open advisories, and names would add a party to trust.
pub(super) fn address_is_plain(addr: &Multiaddr) -> bool {
    let parts: Vec<Protocol<'_>> = addr.iter().collect();
    matches!(parts[..], [Protocol::Ip4(_) | Protocol::Ip6(_), Protocol::Tcp(_)])
}

/// Everyone in the directory but this node. Whoever is not in it gets no stream.
pub(super) fn table(
    config: &PlaneConfig,
    directory: &Directory,
) -> Result<BTreeMap<ParticipantNumber, (Arc<Peer>, Outlets)>, PlaneError> {
    let mut addresses = BTreeMap::new();
    for peer in &config.peers {
        if directory.get(peer.number).is_none() {
            return Err(PlaneError::Start(format!("peer {} does not stand in the directory", peer.number)));
        }
        if !address_is_plain(&peer.addr) {
            return Err(PlaneError::Start(format!("{} must be /ip4 or /ip6 and /tcp", peer.addr)));
        }
        addresses.insert(peer.number, (peer.addr.clone(), peer.pinned.clone()));
    }
    let mut peers = BTreeMap::new();
    for participant in directory.iter().filter(|p| p.number != config.me) {
        let (control, control_out) = mpsc::channel(CONTROL_QUEUE);
        let (consensus, consensus_out) = mpsc::channel(CONSENSUS_QUEUE);
        let (offers, offers_out) = mpsc::channel(OFFER_QUEUE);
        let (replies, replies_out) = mpsc::channel(REPLY_QUEUE);
        let (serve, serve_out) = mpsc::channel(SERVE_QUEUE);
        let (addr, pinned) = addresses.remove(&participant.number).unzip();
        let pinned = pinned.unwrap_or_default();
        let peer = Peer {
            number: participant.number,
            id: Mutex::new(peer_id(&pinned.or(participant.keys.data_peer))?),
            pinned,
            addr,
            control,
            consensus,
            offers,
            replies,
            serve,
            connected: watch::Sender::new(false),
            up: AtomicBool::new(false),
            consensus_up: AtomicBool::new(false),
            heard: Mutex::new(None),
            muted_until: Mutex::new(None),
        };
        let outlets = Outlets {
            control: control_out,
            consensus: consensus_out,
            offers: offers_out,
            replies: replies_out,
            serve: serve_out,
        };
        peers.insert(participant.number, (Arc::new(peer), outlets));
    }
    Ok(peers)
}
