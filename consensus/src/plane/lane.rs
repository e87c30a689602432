//! The own lane: envelopes queue here and leave as bundles.
//!
//! Must stay true:
//! - a slot is never signed twice (B-3): bundles are claimed in memory and on disk before they leave, and a starting node takes
//!   up its lane only when everything that it or a quorum of peers holds of the lane is claimed again;
//! - at most `LANE_DEPTH_MAX` bundles of the lane wait for a block; then the queue fills, and then submitters hear `Busy`.
//!
//! A bundle is cut when the queue reaches `bundle_bytes_target`, or when its oldest envelope has waited `cut_after` for every
//! bundle of the lane that is on its way (and one): a lonely envelope waits 5 ms, and a busy lane makes fewer, larger bundles
//! instead of many syncs and signatures.

use super::SubmitError;
use super::intake::{Incoming, Source};
use super::metrics::Count;
use super::peer::Peer;
use super::pool::{Claim, Place, Window};
use super::shared::{Shared, lock};
use super::wire::{HeldSlot, LANE_REPORT_MAX, LaneReport};
use crate::port::MustStop;
use ledger_types::bundle::{BUNDLE_ENVELOPES_MAX, Bundle};
use ledger_types::envelope::Envelope;
use ledger_types::{Encode, List, ParticipantNumber};
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a peer may take to give back a bundle of ours that it reported.
const RECOVER_MAX: Duration = Duration::from_secs(5);
/// How long the lane waits for the own tip to reach what a single peer told: long enough to sync, and no faulty peer can keep
/// a lane from going on for longer.
const CATCH_UP_MAX: Duration = Duration::from_secs(30);
/// Between two looks when nothing wakes the lane.
const IDLE: Duration = Duration::from_secs(1);

#[derive(Default)]
pub(super) struct Queue {
    envelopes: VecDeque<(Envelope, usize)>,
    bytes: usize,
    oldest: Option<Instant>,
    /// Peers that reported what they hold of this lane.
    reported: BTreeSet<ParticipantNumber>,
    is_settled: bool,
    /// The furthest position of the lane that a peer told, and when: our tip has to reach it, or a disk restored from before
    /// would sign slots that blocks hold.
    told: Option<(Place, Instant)>,
}

impl Queue {
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes whole envelopes up to the limits; what is left keeps its place.
    fn cut(&mut self, bytes_max: usize) -> Vec<Envelope> {
        let (mut taken, mut bytes) = (Vec::new(), 0);
        while let Some((_, size)) = self.envelopes.front() {
            if taken.len() >= BUNDLE_ENVELOPES_MAX || (bytes + size > bytes_max && !taken.is_empty()) {
                break;
            }
            bytes += size;
            self.bytes -= size;
            taken.push(self.envelopes.pop_front().expect("front is some").0);
        }
        self.oldest = (!self.envelopes.is_empty()).then(Instant::now);
        taken
    }

    fn put_back(&mut self, envelopes: &[Envelope]) {
        for envelope in envelopes.iter().rev() {
            let bytes = encoded_bytes(envelope);
            self.bytes += bytes;
            self.envelopes.push_front((envelope.clone(), bytes));
        }
        self.oldest.get_or_insert_with(Instant::now);
    }
}

fn encoded_bytes(envelope: &Envelope) -> usize {
    envelope.header.to_bytes().len() + envelope.ciphertext.len()
}

impl Shared {
    pub fn enqueue(&self, envelopes: Vec<Envelope>) -> Result<(), SubmitError> {
        if self.bundle_key.is_none() {
            return Err(SubmitError::NotASubmitter);
        }
        if self.has_failed() {
            return Err(SubmitError::Stopped);
        }
        let sized: Vec<(Envelope, usize)> = envelopes
            .into_iter()
            .map(|envelope| {
                let bytes = encoded_bytes(&envelope);
                (envelope, bytes)
            })
            .collect();
        let bytes: usize = sized.iter().map(|(_, bytes)| bytes).sum();
        if sized.iter().any(|(_, bytes)| *bytes > self.limits.bundle_bytes_max()) {
            return Err(SubmitError::TooLarge("an envelope is larger than a bundle may be"));
        }
        let mut queue = lock(&self.queue);
        if queue.bytes + bytes > self.limits.queue_bytes_max {
            self.counters.refused("queue_full");
            return Err(SubmitError::Busy("the lane's queue is full"));
        }
        queue.bytes += bytes;
        queue.oldest.get_or_insert_with(Instant::now);
        queue.envelopes.extend(sized);
        drop(queue);
        self.lane.notify_one();
        Ok(())
    }

    /// When the next bundle is to be cut: `Ok` now, else how long to wait, unless something happens.
    fn cut_in(&self) -> Result<(), Option<Duration>> {
        let position = self.pool().position(self.me);
        let queue = lock(&self.queue);
        let oldest = queue.oldest.filter(|_| queue.is_settled).ok_or(None)?;
        if let Some((place, since)) = queue.told.filter(|(place, _)| *place > position) {
            let left = CATCH_UP_MAX.saturating_sub(since.elapsed());
            if !left.is_zero() {
                tracing::debug!(me = %self.me, ?place, ?position, "the own lane waits for the tip to catch up");
                return Err(Some(left));
            }
        }
        if queue.bytes >= self.limits.bundle_bytes_target {
            return Ok(());
        }
        let under_way = lock(&self.sponsored).values().filter(|s| s.bundle.slot().submitter == self.me).count();
        let due = oldest + self.limits.cut_after * (1 + under_way as u32);
        match due.checked_duration_since(Instant::now()) {
            Some(left) if !left.is_zero() => Err(Some(left)),
            _ => Ok(()),
        }
    }

    /// What this node knows of a peer's lane.
    pub fn lane_report(&self, owner: ParticipantNumber) -> LaneReport {
        let pool = self.pool();
        let newest = pool.slots_of(owner).into_iter().rev().take(LANE_REPORT_MAX);
        let held = newest.map(|(slot, digest)| HeldSlot { slot, digest }).collect();
        let (incarnation, next_sequence) = pool.position(owner);
        LaneReport { incarnation, next_sequence, held: List::new(held).expect("cut to its maximum") }
    }

    /// A peer tells what it knows of our lane. What our own disk does not know of is fetched back and taken up again, so that
    /// a restored disk does not sign its slots a second time. Our own signature proves what a peer gives back; where it says
    /// that the lane stands has to be believed for a while.
    pub fn receive_lane_report(self: &Arc<Self>, peer: &Arc<Peer>, report: LaneReport) {
        let Some(key) = self.bundle_key.as_ref().map(|key| key.public_key()) else { return };
        {
            let mut queue = lock(&self.queue);
            if queue.is_settled {
                return;
            }
            let place = (report.incarnation, report.next_sequence);
            if queue.told.is_none_or(|(furthest, _)| place > furthest) {
                queue.told = Some((place, Instant::now()));
            }
        }
        let (shared, peer) = (self.clone(), peer.clone());
        self.spawn(async move {
            for held in report.held.iter().filter(|held| held.slot.submitter == shared.me) {
                let look = shared.pool().look(held.slot, &held.digest);
                if !matches!(look, Claim::New | Claim::Outside(Window::Early | Window::Far)) {
                    continue;
                }
                let Ok(bundle) = shared.fetch_from(&[peer.number], held.digest, RECOVER_MAX).await else { continue };
                if bundle.slot() != held.slot || !bundle.signature_is_valid(&key) {
                    continue;
                }
                tracing::warn!(me = %shared.me, slot = ?bundle.slot(), "a bundle of the own lane was lost and came back");
                match look {
                    Claim::New => shared.take(bundle, shared.me).await,
                    _ => drop(shared.pool().keep_early(bundle, shared.me)),
                }
            }
            shared.reported(peer.number);
        });
    }

    /// The lane may go on when those who reported, with this node, are a quorum: any certified bundle was acked by one of them
    /// that is honest. Without them nothing could be certified anyway.
    pub fn reported(&self, from: ParticipantNumber) {
        let validators = self.pool().tip().validators.clone();
        let mut queue = lock(&self.queue);
        queue.reported.insert(from);
        queue.reported.insert(self.me);
        let power = queue.reported.iter().filter_map(|number| validators.get(*number)).map(|v| v.power).sum();
        // A submitter without a vote asks a quorum of the others.
        queue.is_settled = validators.is_quorum(power);
        drop(queue);
        self.lane.notify_one();
    }
}

pub(super) async fn run(shared: Arc<Shared>) {
    let Some(key) = shared.bundle_key.clone() else { return };
    while !shared.has_failed() {
        let due = shared.cut_in();
        // None: the window is full, and `committed` wakes us.
        let slot = shared.pool().own_next(shared.me);
        let (Ok(()), Some(slot)) = (due, slot) else {
            let left = due.err().flatten().unwrap_or(IDLE);
            let _ = tokio::time::timeout(left, shared.lane.notified()).await;
            continue;
        };
        let envelopes = lock(&shared.queue).cut(shared.limits.bundle_bytes_max());
        if envelopes.is_empty() {
            continue;
        }
        let (chain, key) = (shared.chain, key.clone());
        let signed = tokio::task::spawn_blocking(move || Bundle::sign(&chain, slot, envelopes, &key)).await;
        let bundle = match signed {
            Ok(Ok(bundle)) => Arc::new(bundle),
            Ok(Err(error)) => return shared.fail(MustStop(format!("an own bundle cannot be built: {error}"))),
            Err(panic) => return shared.fail(MustStop(format!("signing a bundle panicked: {panic}"))),
        };
        let Ok(room) = shared.intake.reserve().await else { return };
        let claim = shared.pool().claim(slot, bundle.digest());
        if claim != Claim::New {
            // A bundle that a peer gave back took the slot meanwhile. The signature has not left this task: cut again.
            lock(&shared.queue).put_back(bundle.envelopes());
            continue;
        }
        shared.counters.bundles_own.add(1);
        room.send(Incoming { bundle, source: Source::Own });
    }
}
