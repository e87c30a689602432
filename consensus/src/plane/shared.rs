//! What all tasks of the plane share. Locks are held for look-ups and bookkeeping only, never across I/O or an await.

use super::ConsensusListener;
use super::PlaneLimits;
use super::cache::{Recent, Verified};
use super::fates::Fates;
use super::fetch::Waiters;
use super::intake::Incoming;
use super::lane::Queue;
use super::metrics::{Count, Counters};
use super::peer::Peer;
use super::pool::Pool;
use super::question::Questions;
use super::recovery::Recovery;
use super::sponsor::Sponsored;
use super::wire::{Frame, WireError};
use crate::port::{Application, BundleStore, MustStop};
use bytes::Bytes;
use ledger_types::bundle::{Bundle, BundleCertificate};
use ledger_types::keys::SigningKey;
use ledger_types::participant::Directory;
use ledger_types::{BundleDigest, Chain, Height, ParticipantNumber, ValidatorSetHash};
use libp2p::PeerId;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;

pub(super) struct Shared {
    pub me: ParticipantNumber,
    pub chain: Chain,
    pub limits: PlaneLimits,
    pub bundle_key: Option<SigningKey>,
    pub store: Arc<dyn BundleStore>,
    pub application: Arc<dyn Application>,
    pub runtime: tokio::runtime::Handle,
    pub counters: Counters,
    pub peers: BTreeMap<ParticipantNumber, Arc<Peer>>,
    /// The tip's, for the network: it names the peers' keys.
    pub directory: watch::Sender<Arc<Directory>>,

    pub pool: Mutex<Pool>,
    pub recent: Mutex<Recent>,
    pub verified: Mutex<(ValidatorSetHash, Verified)>,
    pub sponsored: Mutex<HashMap<BundleDigest, Sponsored>>,
    pub queue: Mutex<Queue>,
    pub recovery: Recovery,
    pub fates: Mutex<Fates>,
    pub waiters: Mutex<Waiters>,
    pub questions: Questions,
    /// Where the consensus engine's messages go; to nobody while it does not run.
    pub consensus: Mutex<Option<ConsensusListener>>,
    /// Newest height that each peer said it began.
    pub heights: Mutex<BTreeMap<ParticipantNumber, Height>>,

    /// To the one task that stores bundles.
    pub intake: mpsc::Sender<Incoming>,
    /// The engine has something to look at.
    pub work: Notify,
    /// The own lane has more to cut, or more room.
    pub lane: Notify,
    pub failed: watch::Sender<Option<String>>,
    /// Everything that runs. It holds this structure in turn: `Plane`'s drop cuts the circle.
    pub tasks: Mutex<JoinSet<()>>,
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no code that holds a lock of the plane panics")
}

impl Shared {
    /// Who opened a stream; none if its key is nobody's (any more) or the peer is not heard, which is counted.
    pub fn opener(&self, id: PeerId) -> Option<&Arc<Peer>> {
        let known = self.peers.values().find(|peer| peer.id() == id).filter(|peer| !peer.is_muted());
        if known.is_none() {
            self.counters.refused("stream_refused");
        }
        known
    }

    pub fn pool(&self) -> MutexGuard<'_, Pool> {
        lock(&self.pool)
    }

    /// A write failed or an invariant broke: from now on nothing is stored, acked or submitted, and the node must stop.
    pub fn fail(&self, cause: MustStop) {
        tracing::error!(%cause, "the data plane stops");
        self.failed.send_if_modified(|failed| match failed {
            Some(_) => false,
            None => {
                *failed = Some(cause.0);
                true
            }
        });
        self.lane.notify_one();
        self.work.notify_one();
    }

    pub fn has_failed(&self) -> bool {
        self.failed.borrow().is_some()
    }

    /// Peers hold a bundle under another key than the directory's against its author.
    pub fn may_sign_bundles(&self) -> bool {
        let key = self.bundle_key.as_ref().map(|key| key.public_key());
        key.is_some() && self.pool().tip().directory.bundle_key(self.me) == key
    }

    pub fn is_validator(&self) -> bool {
        let key = self.bundle_key.as_ref().map(|key| key.public_key());
        self.pool().tip().validators.get(self.me).is_some_and(|line| Some(line.bundle) == key)
    }

    /// From memory, else from disk. Blocks.
    pub fn bundle(&self, digest: &BundleDigest) -> Option<Arc<Bundle>> {
        if let Some(bundle) = lock(&self.recent).get(digest) {
            return Some(bundle);
        }
        match self.store.get(digest) {
            Ok(found) => {
                if let Some(bundle) = &found {
                    lock(&self.recent).insert(bundle.clone());
                }
                found
            }
            Err(cause) => {
                self.fail(cause);
                None
            }
        }
    }

    pub fn certificate_is_valid(&self, certificate: &BundleCertificate) -> bool {
        self.verified_under(certificate).is_some()
    }

    /// The set under which the certificate verifies. Once a certificate and validator set. Blocks for 39 µs a signature when it is
    /// new.
    pub fn verified_under(&self, certificate: &BundleCertificate) -> Option<ValidatorSetHash> {
        let (validators, set) = {
            let pool = self.pool();
            (pool.tip().validators.clone(), pool.set())
        };
        let hash = certificate.hash(&self.chain);
        {
            let mut verified = lock(&self.verified);
            if verified.0 != set {
                verified.0 = set;
                verified.1.clear();
            }
            if verified.1.contains(&hash) {
                return Some(set);
            }
        }
        let valid = certificate.verify(&self.chain, &validators).is_ok();
        let mut verified = lock(&self.verified);
        if valid && verified.0 == set {
            verified.1.insert(hash);
        }
        valid.then_some(set)
    }

    /// A certificate that was verified under a set enters the pool, unless another set decides by now; the engine wakes when it
    /// was news.
    pub fn add_certificate(&self, certificate: BundleCertificate, verified_under: ValidatorSetHash) -> bool {
        let on_disk = self.store.contains(&certificate.digest(&self.chain));
        let news = {
            let mut pool = self.pool();
            pool.set() == verified_under && pool.certified(certificate, on_disk, Instant::now())
        };
        if news {
            self.work.notify_one();
        }
        news
    }

    /// To every peer with a stream. A full queue drops the frame: whatever must arrive is repeated by its owner.
    pub fn broadcast(&self, frame: Bytes) {
        self.peers.values().for_each(|peer| self.send(peer, frame.clone()));
    }

    /// On every stream for it. False when a validator, or a connected peer, has none or no room in it, or was not heard of late.
    pub fn send_consensus(&self, message: Bytes) -> bool {
        let frame = Frame::Consensus(message).to_bytes();
        let validators = self.pool().tip().validators.clone();
        let mut reached = true;
        for peer in self.peers.values() {
            let sent = peer.takes_consensus() && peer.consensus.try_send(frame.clone()).is_ok();
            let must_hear = peer.is_up() || validators.get(peer.number).is_some();
            reached &= !must_hear || (sent && peer.was_heard_of_late());
        }
        if !reached {
            self.counters.consensus_detours.add(1);
        }
        reached
    }

    /// Of a validator, or of one that the directory lets become one; who else has nothing to say.
    pub fn hear_consensus(&self, from: ParticipantNumber, message: Bytes) -> Result<(), WireError> {
        let may_speak = {
            let pool = self.pool();
            let tip = pool.tip();
            tip.validators.get(from).is_some() || tip.directory.get(from).is_some_and(|line| line.is_validator())
        };
        if !may_speak {
            self.counters.refused("consensus_of_no_validator");
            return Ok(());
        }
        let listener = lock(&self.consensus).clone();
        match listener {
            Some(listener) => listener(from, message).map_err(WireError::ConsensusMalformed),
            None => Ok(()),
        }
    }

    pub fn send(&self, peer: &Peer, frame: Bytes) {
        if !peer.is_up() {
            return;
        }
        match peer.control.try_send(frame) {
            Ok(()) => {}
            Err(_) => self.counters.refused("control_queue_full"),
        }
    }

    /// A fresh control stream to `peer` is open: tell it what it may have missed.
    pub fn greet(&self, peer: &Peer) {
        let report = self.lane_report(peer.number);
        self.send(peer, Frame::LaneReport(report).to_bytes());
        let certificates = self.pool().unordered_certificates(Instant::now());
        for certificate in certificates {
            self.send(peer, Frame::Certificate(Box::new(certificate)).to_bytes());
        }
        self.questions.repeat_to(self, peer);
    }

    pub fn count_sent(&self, bytes: usize) {
        self.counters.bytes_sent.add(bytes as u64);
    }
}
