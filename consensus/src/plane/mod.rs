//! The data plane: spreads bundles so that blocks need only order their certificates.
//!
//! ```text
//!   submit ─▶ queue ─▶ lane: cut, sign ─┐
//!   submit_bundle ──────────────────────┤                 ┌─▶ ack to the peer it came from
//!   a peer's bulk stream ─▶ parse ──────┴─▶ intake: disk ─┼─▶ offers to all peers (own, submitted)
//!                                                         └─▶ whoever waits in a fetch
//!   acks of a quorum ─▶ certificate ─▶ all peers ─▶ pool ─▶ candidates ─▶ a block ─▶ committed
//! ```
//! Must stay true:
//! - no ack leaves before the bundle and its slot's guard are on disk, and one digest is acked a slot (B-3; `intake`, `pool`);
//! - nothing of the own lane is signed twice in a slot, across restarts and restored disks (`lane`);
//! - only keys of the tip's directory get a stream (`network`); all memory is bounded a peer and a lane (`peer`, `pool`, `cache`);
//! - a failed write stops the plane, and `failure` tells the node to stop.
//!
//! Leaves to others: what an envelope means, which block orders what, and the verification of a block's certificates before
//! they are fetched by (`certificate_is_valid`).

mod cache;
mod fates;
mod fetch;
mod intake;
mod lane;
mod metrics;
mod network;
mod peer;
pub mod pool;
mod question;
mod recovery;
mod shared;
mod sponsor;
mod start;
pub mod state;
mod streams;
pub mod wire;

pub use metrics::PlaneMetrics;

use crate::pinned::PinnedKey;
use crate::port::{Application, BundleStore, MustStop, Tip};
use bytes::Bytes;
use intake::{Incoming, Source};
use ledger_types::block::Block;
use ledger_types::bundle::{BUNDLE_BYTES_MAX, Bundle, BundleCertificate, BundleHeader, Slot};
use ledger_types::envelope::Envelope;
use ledger_types::keys::{Signature, SigningKey};
use ledger_types::{BundleDigest, Chain, DecodeError, EnvelopeId, Height, ParticipantNumber};
use libp2p::Multiaddr;
use pool::{Claim, Window};
use shared::{Shared, lock};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use wire::{Frame, MESSAGE_BYTES_MAX};

/// A participant whose data plane we reach, or that reaches us: the lower participant number dials. Its key is the one that the
/// directory of the tip names, whenever that changes.
#[derive(Clone, Debug)]
pub struct PlanePeer {
    pub number: ParticipantNumber,
    pub pinned: PinnedKey,
    /// `/ip4` or `/ip6` and `/tcp` only.
    pub addr: Multiaddr,
}

#[derive(Clone, Debug)]
pub struct PlaneConfig {
    pub me: ParticipantNumber,
    pub listen: Multiaddr,
    /// Those of the directory that have a known address. Others of the directory may still dial in.
    pub peers: Vec<PlanePeer>,
    pub limits: PlaneLimits,
}

#[derive(Clone, Debug)]
pub struct PlaneLimits {
    /// The genesis's `bytes_per_submitter_per_height`: a larger bundle could never be ordered, so none is cut or acked.
    pub lane_quota_bytes: u64,
    /// Envelopes that wait for the own lane; beyond it submitters hear `Busy`.
    pub queue_bytes_max: usize,
    /// A bundle is cut when this much waits.
    pub bundle_bytes_target: usize,
    /// A bundle takes at most this much of what waits.
    pub bundle_bytes_max: usize,
    /// How long an envelope waits for others.
    pub cut_after: Duration,
    /// And how much longer for each bundle of the lane that no block holds yet.
    pub cut_after_each: Duration,
    /// Parsed bundles kept in memory, so that execution rarely reads the disk.
    pub cache_bytes_max: usize,
    /// Bundles that came before their slot opened, of all lanes but the own; a lane has an equal share, and room for one bundle
    /// at least. As much again for the own lane.
    pub early_bytes_max: usize,
    /// The own lane's next bundle that stays uncertified for this long, with a quorum connected, is passed by: the lane goes on
    /// in its next incarnation.
    pub pass_after: Duration,
    /// How long a peer may take to give back a bundle of the own lane that it reported.
    pub recover_max: Duration,
    /// For how long the streams of a peer that misbehaved are refused.
    pub mute: Duration,
}

impl PlaneLimits {
    pub fn new(bytes_per_submitter_per_height: u64) -> Self {
        PlaneLimits {
            lane_quota_bytes: bytes_per_submitter_per_height,
            queue_bytes_max: 8 << 20,
            bundle_bytes_target: 384 << 10,
            bundle_bytes_max: 1 << 20,
            cut_after: Duration::from_millis(5),
            cut_after_each: Duration::from_millis(20),
            cache_bytes_max: 64 << 20,
            early_bytes_max: 32 << 20,
            pass_after: Duration::from_secs(5),
            recover_max: Duration::from_secs(5),
            mute: Duration::from_secs(1),
        }
    }

    fn bundle_bytes_max(&self) -> usize {
        let quota = usize::try_from(self.lane_quota_bytes).unwrap_or(usize::MAX);
        self.bundle_bytes_max.min(quota).min(BUNDLE_BYTES_MAX)
    }
}

pub struct PlaneKeys {
    /// Peers check it against the directory. It may have been rotated in a height that this node has yet to fetch.
    pub data_peer: SigningKey,
    /// None: an observer. It follows and fetches, and never acks or submits.
    pub bundle: Option<SigningKey>,
}

#[derive(Debug, thiserror::Error)]
pub enum PlaneError {
    #[error("the data plane cannot start: {0}")]
    Start(String),
    #[error(transparent)]
    MustStop(#[from] MustStop),
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    /// Back-pressure: the same may be taken later.
    #[error("busy: {0}; try again later")]
    Busy(&'static str),
    /// B-3: the first bundle that asks has the slot.
    #[error("refused: the slot holds another bundle")]
    SlotTaken,
    #[error("refused: the slot is closed: a block holds it or a later one")]
    SlotClosed,
    #[error("refused: the bundle lost its slot to another: sign its envelopes for the next slot")]
    SlotLost,
    #[error("refused: the slot is far ahead of the lane")]
    SlotFarAhead,
    /// It could never be ordered.
    #[error("refused: {0}")]
    TooLarge(&'static str),
    #[error("refused: the submitter is not in the directory")]
    UnknownSubmitter,
    #[error("refused: the signature does not verify under the submitter's bundle key")]
    Signature,
    #[error("refused: this node cuts the bundles of its own lane itself")]
    OwnLane,
    #[error("this node submits nothing")]
    NotASubmitter,
    #[error("the data plane has stopped")]
    Stopped,
}

/// What became of a bundle that this node answers for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Not certified yet, or certified and in no block yet.
    UnderWay {
        is_certified: bool,
    },
    Ordered,
    /// A block closed its slot without it. Only its submitter can sign its envelopes for another slot.
    Lost,
    /// Never seen here, or too long ago: the ledger tells what is ordered.
    Unknown,
}

/// What waits on this node, for its health: work that waits and a tip that stands still are no progress (trap 4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Envelopes that wait for a bundle of the own lane.
    pub queued: usize,
    pub queued_bytes: usize,
    /// Since when the oldest of them waits.
    pub oldest_queued: Option<Duration>,
    /// Bundles of the own lane and submitted ones that no block holds yet, and the envelopes in them.
    pub sponsored: usize,
    pub sponsored_envelopes: usize,
    pub uncertified: usize,
    pub oldest_sponsored: Option<Duration>,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    #[error("{} bundles could not be fetched before the deadline", .0.len())]
    Deadline(Vec<BundleDigest>),
    #[error("the data plane has stopped")]
    Stopped,
}

/// Takes a message of the sender for the consensus engine, or says why no engine could have sent it.
pub type ConsensusListener = Arc<dyn Fn(ParticipantNumber, Bytes) -> Result<(), DecodeError> + Send + Sync>;

/// The running data plane. Dropping it stops it.
pub struct Plane {
    shared: Arc<Shared>,
}

impl Plane {
    pub async fn start(
        cfg: PlaneConfig,
        keys: PlaneKeys,
        chain: Chain,
        tip: Tip,
        store: Arc<dyn BundleStore>,
        application: Arc<dyn Application>,
    ) -> Result<Arc<Plane>, PlaneError> {
        let shared = start::start(cfg, keys, chain, tip, store, application).await?;
        Ok(Arc::new(Plane { shared }))
    }

    /// Queues envelopes for this node's own lane. This acknowledges nothing (B-2); `Busy` is back-pressure: nothing of the
    /// call was taken.
    pub async fn submit(&self, envelopes: Vec<Envelope>) -> Result<(), SubmitError> {
        match envelopes.is_empty() {
            true => Ok(()),
            false => self.shared.enqueue(envelopes),
        }
    }

    /// A whole bundle that a participant signed (B-10). Returns when it is on disk here and on its way; again for a bundle
    /// that is under way already.
    pub async fn submit_bundle(&self, bundle: Bundle) -> Result<(), SubmitError> {
        let shared = &self.shared;
        let (slot, digest) = (bundle.slot(), bundle.digest());
        self.admits(bundle.header(), &bundle.signature())?;
        // The room first, then the claim: a call that is cancelled in between must not leave a slot claimed for nothing.
        let room = shared.intake.reserve().await.map_err(|_| SubmitError::Stopped)?;
        let claim = shared.pool().claim(slot, digest);
        match claim {
            Claim::New | Claim::Again => {}
            Claim::Acked => {
                drop(room);
                // Submitted again, perhaps to a node that restarted: it answers for the bundle once more.
                shared.sponsor(Arc::new(bundle));
                return Ok(());
            }
            other => return other.takes_a_bundle(),
        }
        let (reply, stored) = oneshot::channel();
        let incoming = Incoming { bundle: Arc::new(bundle), source: Source::Submitted(reply) };
        room.send(incoming);
        stored.await.map_err(|_| SubmitError::Stopped)?
    }

    /// What a bundle's header and signature alone say: whether [`Plane::submit_bundle`] would take the bundle now. A body is
    /// worth reading and parsing only after this (B-10): the signature covers the header, and the header its body.
    pub fn admits(&self, header: &BundleHeader, signature: &Signature) -> Result<(), SubmitError> {
        let shared = &self.shared;
        if shared.has_failed() {
            return Err(SubmitError::Stopped);
        }
        // Whoever may become a validator has keys and a guard, and offers nobody's bundles before (G-3).
        if !shared.is_validator() {
            return Err(SubmitError::NotASubmitter);
        }
        if header.slot.submitter == shared.me {
            return Err(SubmitError::OwnLane);
        }
        let digest = header.digest(&shared.chain);
        let key = shared.pool().tip().directory.bundle_key(header.slot.submitter);
        if !key.ok_or(SubmitError::UnknownSubmitter)?.verify(&digest.0, signature) {
            return Err(SubmitError::Signature);
        }
        if u64::from(header.bytes) > shared.limits.lane_quota_bytes {
            return Err(SubmitError::TooLarge("the bundle exceeds its submitter's quota of a whole height"));
        }
        let look = shared.pool().look(header.slot, &digest);
        match look {
            Claim::Outside(Window::Old) if self.fate(&digest) == Fate::Lost => Err(SubmitError::SlotLost),
            look => look.takes_a_bundle(),
        }
    }

    /// After everything that this node knows of the lane; for clients of `submit_bundle`.
    pub fn next_slot(&self, submitter: ParticipantNumber) -> Slot {
        self.shared.pool().next_slot(submitter)
    }

    /// What a block after `tip` may hold (B-3, B-4). Every bundle of it is on this node's disk. `bytes_max` counts the
    /// bundles' bodies.
    pub fn candidates(&self, tip: &Tip, bytes_max: usize, certificates_max: usize) -> Vec<BundleCertificate> {
        self.shared.pool().candidates(tip, bytes_max, certificates_max)
    }

    /// The bundles of these certificates, in their order, or what this node lacks. May read the disk.
    pub fn bundles(&self, certificates: &[BundleCertificate]) -> Result<Vec<Arc<Bundle>>, Vec<BundleDigest>> {
        let digests = certificates.iter().map(|certificate| certificate.digest(&self.shared.chain));
        let found: Vec<_> = digests.map(|digest| self.shared.bundle(&digest).ok_or(digest)).collect();
        let missing: Vec<BundleDigest> = found.iter().filter_map(|found| found.as_ref().err().copied()).collect();
        if missing.is_empty() { Ok(found.into_iter().flatten().collect()) } else { Err(missing) }
    }

    /// As `bundles`, and fetches what is missing: from signers, then from anyone. The caller has verified the certificates.
    /// Dropping the future cancels it.
    pub async fn fetch(
        &self,
        certificates: &[BundleCertificate],
        deadline: Duration,
    ) -> Result<Vec<Arc<Bundle>>, FetchError> {
        self.shared.fetch(certificates, deadline).await
    }

    /// Under the tip's validator set; verified once.
    pub fn certificate_is_valid(&self, certificate: &BundleCertificate) -> bool {
        self.shared.certificate_is_valid(certificate)
    }

    /// The application has made `block` durable. Lanes move on, memory is freed, bundles whose slots opened are taken up.
    pub fn committed(&self, block: &Block, tip: Tip) {
        debug_assert_eq!(block.header.height, tip.height);
        self.shared.committed(block, tip);
    }

    pub fn has_work(&self, tip: &Tip) -> bool {
        self.shared.has_work(tip)
    }

    /// Of the bundles that a block after this tip could hold, quotas aside.
    pub fn waiting_bytes(&self, tip: &Tip) -> usize {
        self.shared.pool().waiting_bytes(tip)
    }

    /// Resolves when `has_work` may have become true. One waiter at a time; a wake-up between two calls is not lost.
    pub async fn work(&self) {
        self.shared.work.notified().await;
    }

    /// Tells all peers that this node has begun a height, so that all wake together (trap 7).
    pub fn height_started(&self, height: Height) {
        self.shared.broadcast(Frame::HeightStarted(height).to_bytes());
    }

    /// A message of the consensus engine to every peer, each on a stream of its own; at most [`wire::CONSENSUS_BYTES_MAX`] bytes.
    /// False when a validator, or another peer that is connected, may not hear it so: it needs another way.
    pub fn send_consensus(&self, message: Bytes) -> bool {
        self.shared.send_consensus(message)
    }

    /// Gives the validators' messages for the consensus engine to `listener` from now on, on the task that reads the sender's stream.
    pub fn hear_consensus(&self, listener: ConsensusListener) {
        *lock(&self.shared.consensus) = Some(listener);
    }

    /// A small application message to all connected peers, best effort. Longer ones than 16 KiB are dropped with an error in
    /// the log.
    pub fn broadcast(&self, bytes: Vec<u8>) {
        if bytes.len() > MESSAGE_BYTES_MAX {
            tracing::error!(bytes = bytes.len(), "an application message is too long to be sent");
            return;
        }
        self.shared.broadcast(Frame::Message(bytes).to_bytes());
    }

    /// B-9: asks the other validators until `enough` have answered or the deadline has passed; returns what came. Questions
    /// and answers have at most 16 KiB.
    pub async fn ask_peers(
        &self,
        request: Vec<u8>,
        enough: usize,
        deadline: Duration,
    ) -> Vec<(ParticipantNumber, Vec<u8>)> {
        self.shared.ask(request, enough, deadline).await
    }

    /// Until this is called, peers' questions stay open and are asked again.
    pub fn answer_with(&self, f: Box<dyn Fn(ParticipantNumber, Vec<u8>) -> Vec<u8> + Send + Sync>) {
        self.shared.questions.answer_with(Arc::from(f));
    }

    /// What became of a bundle that was submitted here or cut here.
    pub fn fate(&self, digest: &BundleDigest) -> Fate {
        if let Some(sponsored) = lock(&self.shared.sponsored).get(digest) {
            return Fate::UnderWay { is_certified: sponsored.is_certified };
        }
        let fates = lock(&self.shared.fates);
        match (fates.is_ordered(digest), fates.is_lost(digest)) {
            (true, _) => Fate::Ordered,
            (false, true) => Fate::Lost,
            (false, false) => Fate::Unknown,
        }
    }

    /// Whether a submitted bundle that held this envelope has lost its slot. The envelope may stand in another bundle: ask the
    /// ledger first.
    pub fn envelope_is_lost(&self, id: &EnvelopeId) -> bool {
        lock(&self.shared.fates).envelope_is_lost(id)
    }

    pub fn backlog(&self) -> Backlog {
        let shared = &self.shared;
        let (queued, queued_bytes, oldest_queued) = lock(&shared.queue).waiting();
        let sponsored = lock(&shared.sponsored);
        Backlog {
            queued,
            queued_bytes,
            oldest_queued: oldest_queued.map(|since| since.elapsed()),
            sponsored: sponsored.len(),
            sponsored_envelopes: sponsored.values().map(|s| s.bundle.ids().len()).sum(),
            uncertified: sponsored.values().filter(|s| !s.is_certified).count(),
            oldest_sponsored: sponsored.values().map(|s| s.since).min().map(|since| since.elapsed()),
        }
    }

    pub fn connected(&self) -> Vec<ParticipantNumber> {
        self.shared.peers.values().filter(|peer| peer.is_up()).map(|peer| peer.number).collect()
    }

    pub fn metrics(&self) -> PlaneMetrics {
        let shared = &self.shared;
        let (early_bytes, certified) = {
            let pool = shared.pool();
            (pool.early_bytes(), pool.certified_count())
        };
        PlaneMetrics {
            connected: self.connected().len(),
            queue_bytes: lock(&shared.queue).bytes(),
            cache_bytes: lock(&shared.recent).bytes(),
            early_bytes,
            sponsored: lock(&shared.sponsored).len(),
            certified,
            ..shared.counters.snapshot()
        }
    }

    /// Resolves when the plane met a failure after which the node must stop: nothing is acked from then on.
    pub async fn failure(&self) -> MustStop {
        let mut failed = self.shared.failed.subscribe();
        let cause = failed.wait_for(Option::is_some).await.map(|cause| cause.clone());
        MustStop(cause.ok().flatten().unwrap_or_else(|| "the data plane is gone".to_owned()))
    }

    /// Stops every task and waits for it; a write that has begun is finished.
    pub async fn stop(&self) {
        self.shared.stop().await;
    }
}

impl Claim {
    fn takes_a_bundle(self) -> Result<(), SubmitError> {
        match self {
            Claim::New | Claim::Again | Claim::Acked => Ok(()),
            Claim::Storing => Err(SubmitError::Busy("the bundle is being stored")),
            Claim::Taken(_) => Err(SubmitError::SlotTaken),
            Claim::Outside(Window::Old) => Err(SubmitError::SlotClosed),
            Claim::Outside(Window::Early | Window::Open) => {
                Err(SubmitError::Busy("the lane holds as many unordered bundles as it may"))
            }
            Claim::Outside(Window::Far) => Err(SubmitError::SlotFarAhead),
        }
    }
}

impl Drop for Plane {
    fn drop(&mut self) {
        self.shared.abort();
    }
}
