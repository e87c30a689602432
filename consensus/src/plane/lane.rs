//! The own lane: envelopes queue here and leave as bundles.
//!
//! Must stay true:
//! - a slot is never signed twice (B-3): bundles are claimed in memory and on disk before they leave, and a starting node takes
//!   up its lane only when everything that it or a quorum of peers holds of the lane is claimed again;
//! - at most `LANE_DEPTH_MAX` bundles of an incarnation wait for a block; then the queue fills, and then submitters hear `Busy`;
//! - an envelope that was taken is ordered, or it waits here: a bundle that loses its slot to another of the lane (its owner
//!   signed elsewhere, too) gives its envelopes back, and a slot that no quorum acks is passed by in the next incarnation.
//!
//! A bundle is cut when the queue reaches `bundle_bytes_target`, or when its oldest envelope has waited `cut_after`, and
//! `cut_after_each` for every bundle of the lane that no block holds yet: a lonely envelope waits 5 ms, and a busy lane makes
//! fewer, larger bundles instead of many syncs and signatures.

use super::SubmitError;
use super::intake::{Incoming, Source};
use super::metrics::Count;
use super::pool::{Claim, Place};
use super::shared::{Shared, lock};
use super::wire::{HeldSlot, LANE_REPORT_MAX, LaneReport};
use crate::port::MustStop;
use ledger_types::block::Block;
use ledger_types::bundle::{BUNDLE_ENVELOPES_MAX, Bundle, Slot};
use ledger_types::envelope::Envelope;
use ledger_types::{Encode, EnvelopeId, List, ParticipantNumber};
use std::collections::{BTreeSet, HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// How long the lane waits for the own tip to reach what a single peer told: long enough to sync, and no faulty peer can keep
/// a lane from going on for longer.
const CATCH_UP_MAX: Duration = Duration::from_secs(30);
/// Between two looks when nothing wakes the lane.
const IDLE: Duration = Duration::from_secs(1);

struct Queued {
    envelope: Envelope,
    bytes: usize,
    since: Instant,
    /// Of an envelope that stood in a bundle before: it leaves again if a block holds it after all.
    returned: Option<EnvelopeId>,
}

#[derive(Default)]
pub(super) struct Queue {
    envelopes: VecDeque<Queued>,
    bytes: usize,
    oldest: Option<Instant>,
    /// Peers that reported what they hold of this lane.
    reported: BTreeSet<ParticipantNumber>,
    /// Everything that a quorum holds of the lane is claimed again: it may go on, for good.
    settled: watch::Sender<bool>,
    /// The furthest position of the lane that a peer told, and when: our tip has to reach it, or a disk restored from before
    /// would sign slots that blocks hold.
    told: Option<(Place, Instant)>,
    /// The lane's next slot and since when it is seen uncertified with a quorum connected.
    uncertified: Option<(Place, Instant)>,
}

impl Queue {
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Envelopes, their bytes, and since when the oldest waits.
    pub fn waiting(&self) -> (usize, usize, Option<Instant>) {
        // What is put back stands in front and is the oldest.
        (self.envelopes.len(), self.bytes, self.envelopes.front().map(|queued| queued.since))
    }

    pub fn is_settled(&self) -> bool {
        *self.settled.borrow()
    }

    /// A peer says that the lane stands at `place`. Returns what tells when the lane is settled, and none when it is.
    pub fn told(&mut self, place: Place) -> Option<watch::Receiver<bool>> {
        if self.is_settled() {
            return None;
        }
        if self.told.is_none_or(|(furthest, _)| place > furthest) {
            self.told = Some((place, Instant::now()));
        }
        Some(self.settled.subscribe())
    }

    /// For how long the lane has still to wait for the own tip to reach `told`.
    fn catches_up_for(&self, position: Place) -> Option<Duration> {
        let (_, since) = self.told.filter(|(place, _)| *place > position)?;
        Some(CATCH_UP_MAX.saturating_sub(since.elapsed())).filter(|left| !left.is_zero())
    }

    /// Takes whole envelopes up to the limits; what is left keeps its place.
    fn cut(&mut self, bytes_max: usize) -> Vec<Queued> {
        let (mut taken, mut bytes) = (Vec::new(), 0);
        while let Some(front) = self.envelopes.front() {
            if taken.len() >= BUNDLE_ENVELOPES_MAX || (bytes + front.bytes > bytes_max && !taken.is_empty()) {
                break;
            }
            bytes += front.bytes;
            self.bytes -= front.bytes;
            taken.push(self.envelopes.pop_front().expect("front is some"));
        }
        self.oldest = (!self.envelopes.is_empty()).then(Instant::now);
        taken
    }

    /// In front, in this order.
    fn put_back(&mut self, envelopes: Vec<Queued>) {
        for queued in envelopes.into_iter().rev() {
            self.bytes += queued.bytes;
            self.envelopes.push_front(queued);
        }
        if !self.envelopes.is_empty() {
            self.oldest.get_or_insert_with(Instant::now);
        }
    }

    /// Blocks hold these: of what was put back, they need not be ordered again.
    fn forget_returned(&mut self, ordered: &HashSet<EnvelopeId>) {
        self.envelopes.retain(|queued| {
            let stays = queued.returned.is_none_or(|id| !ordered.contains(&id));
            if !stays {
                self.bytes -= queued.bytes;
            }
            stays
        });
        if self.envelopes.is_empty() {
            self.oldest = None;
        }
    }
}

fn encoded_bytes(envelope: &Envelope) -> usize {
    envelope.header.to_bytes().len() + envelope.ciphertext.len()
}

impl Shared {
    pub fn enqueue(&self, envelopes: Vec<Envelope>) -> Result<(), SubmitError> {
        if !self.may_sign_bundles() {
            return Err(SubmitError::NotASubmitter);
        }
        if self.has_failed() {
            return Err(SubmitError::Stopped);
        }
        let since = Instant::now();
        let sized: Vec<Queued> = envelopes
            .into_iter()
            .map(|envelope| {
                let bytes = encoded_bytes(&envelope);
                Queued { envelope, bytes, since, returned: None }
            })
            .collect();
        let bytes: usize = sized.iter().map(|queued| queued.bytes).sum();
        if sized.iter().any(|queued| queued.bytes > self.limits.bundle_bytes_max()) {
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
        let oldest = queue.oldest.filter(|_| queue.is_settled()).ok_or(None)?;
        if let Some(left) = queue.catches_up_for(position) {
            tracing::debug!(me = %self.me, told = ?queue.told, ?position, "the own lane waits for the tip to catch up");
            return Err(Some(left));
        }
        if queue.bytes >= self.limits.bundle_bytes_target {
            return Ok(());
        }
        let under_way = lock(&self.sponsored).values().filter(|s| s.bundle.slot().submitter == self.me).count();
        let due = oldest + self.limits.cut_after + self.limits.cut_after_each * under_way as u32;
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

    pub fn reported(&self, from: ParticipantNumber) {
        lock(&self.queue).reported.insert(from);
        self.settle_lane();
    }

    /// The lane may go on when those who reported, with this node, are a quorum: any certified bundle was acked by one
    /// of them that is honest and remembers it. This node is one of them only where its ack guard remembers (B-9): what
    /// a lost guard held may be just what a quorum is short of. Where it does not, the others' acks make the quorum of
    /// the lane's next bundle, too, so nothing could be certified with fewer anyway.
    pub fn settle_lane(&self) {
        if lock(&self.queue).is_settled() {
            return;
        }
        let (validators, (incarnation, sequence)) = {
            let pool = self.pool();
            (pool.tip().validators.clone(), pool.position(self.me))
        };
        let remembers = self.store.remembers(&Slot { submitter: self.me, incarnation, sequence });
        let queue = lock(&self.queue);
        let others = queue.reported.iter().filter(|number| **number != self.me);
        let reported = others.chain(remembers.then_some(&self.me));
        // A submitter without a vote asks a quorum of the others.
        let power = reported.filter_map(|number| validators.get(*number)).map(|v| v.power).sum();
        if validators.is_quorum(power) {
            queue.settled.send_replace(true);
        }
        drop(queue);
        self.lane.notify_one();
    }

    /// Called a few times a second. A quorum is there and yet the lane's next slot gets no certificate: the acks are split
    /// between two bundles (somebody else submits in this lane, too), or the bundle is lost. No block can take anything behind
    /// it, so the lane goes on in its next incarnation, whose first block closes this one (B-3).
    pub fn pass_uncertified(&self, now: Instant) {
        let (at, position) = {
            let pool = self.pool();
            (pool.own_uncertified(), pool.position(self.me))
        };
        let has_quorum = self.bundle_key.is_some() && self.has_quorum();
        let due = {
            let mut queue = lock(&self.queue);
            let waits = at.filter(|_| has_quorum && queue.is_settled() && queue.catches_up_for(position).is_none());
            queue.uncertified = match (waits, queue.uncertified) {
                (Some(at), Some((before, since))) if at == before => Some((at, since)),
                (waits, _) => waits.map(|at| (at, now)),
            };
            queue.uncertified.filter(|(_, since)| now.duration_since(*since) >= self.limits.pass_after)
        };
        let Some(((incarnation, sequence), _)) = due else { return };
        {
            let mut pool = self.pool();
            // A certificate or a block may have come meanwhile.
            if pool.own_uncertified() != Some((incarnation, sequence)) {
                return;
            }
            pool.give_up(incarnation);
        }
        tracing::warn!(
            me = %self.me, incarnation, sequence,
            "the lane's next bundle gets no certificate: the lane goes on in the next incarnation"
        );
        let mut unordered: Vec<(Arc<Bundle>, Instant)> = lock(&self.sponsored)
            .values()
            .map(|sponsored| (sponsored.bundle.clone(), sponsored.since))
            .filter(|(bundle, _)| bundle.slot().submitter == self.me && bundle.slot().incarnation == incarnation)
            .collect();
        unordered.sort_by_key(|(bundle, _)| bundle.slot());
        self.queue_again(&unordered, |slot| slot.incarnation > incarnation);
        self.lane.notify_one();
    }

    /// Whether the validators that are connected, with this node, are a quorum.
    fn has_quorum(&self) -> bool {
        let validators = self.pool().tip().validators.clone();
        let up = self.peers.values().filter(|peer| peer.is_up()).map(|peer| peer.number);
        let power = up.chain([self.me]).filter_map(|number| validators.get(number)).map(|v| v.power).sum();
        validators.is_quorum(power)
    }

    /// Puts the envelopes of these own bundles back in front of the queue: those that no block holds, that no bundle under way
    /// holds of which `counts` is true, and that were not put back before. Beyond `queue_bytes_max` if need be: what was taken
    /// is not dropped, and it is at most what two windows of the lane hold.
    pub fn queue_again(&self, bundles: &[(Arc<Bundle>, Instant)], counts: impl Fn(Slot) -> bool) {
        if bundles.is_empty() {
            return;
        }
        let mut elsewhere: HashSet<EnvelopeId> = lock(&self.fates).own_ordered_ids().copied().collect();
        for bundle in lock(&self.sponsored).values().map(|sponsored| &sponsored.bundle) {
            if bundle.slot().submitter == self.me && counts(bundle.slot()) {
                elsewhere.extend(bundle.ids());
            }
        }
        let mut queue = lock(&self.queue);
        elsewhere.extend(queue.envelopes.iter().filter_map(|queued| queued.returned));
        let mut back = Vec::new();
        for (bundle, since) in bundles {
            for (id, envelope) in bundle.ids().iter().zip(bundle.envelopes()) {
                if elsewhere.insert(*id) {
                    let (envelope, bytes) = (envelope.clone(), encoded_bytes(envelope));
                    back.push(Queued { envelope, bytes, since: *since, returned: Some(*id) });
                }
            }
        }
        self.counters.envelopes_requeued.add(back.len() as u64);
        queue.put_back(back);
        drop(queue);
        self.lane.notify_one();
    }

    /// What a block holds of the own lane need not be ordered again. Reads bundles that others submitted in this lane: they
    /// were executed a moment ago.
    pub fn settle_own_lane(&self, block: &Block) {
        let own = block.certificates.iter().filter(|certificate| certificate.header.slot.submitter == self.me);
        let mut ordered = HashSet::new();
        for certificate in own {
            let Some(bundle) = self.bundle(&certificate.digest(&self.chain)) else { continue };
            lock(&self.fates).own_ordered(bundle.ids());
            ordered.extend(bundle.ids().iter().copied());
        }
        if !ordered.is_empty() {
            lock(&self.queue).forget_returned(&ordered);
        }
    }
}

pub(super) async fn run(shared: Arc<Shared>) {
    let Some(key) = shared.bundle_key.clone() else { return };
    while !shared.has_failed() {
        let due = shared.cut_in();
        // None: the window is full, or the directory names another key; `committed` wakes us.
        let may_sign = shared.may_sign_bundles();
        let slot = may_sign.then(|| shared.pool().own_next(shared.me)).flatten();
        let (Ok(()), Some(slot)) = (due, slot) else {
            let left = due.err().flatten().unwrap_or(IDLE);
            let _ = tokio::time::timeout(left, shared.lane.notified()).await;
            continue;
        };
        if let Some(acked) = shared.store.acked(&slot) {
            // Acked, and the disk has lost the bundle: a second one in the slot would never be acked here, and be evidence.
            shared.pool().claim_for_guard(slot, acked);
            continue;
        }
        let mut taken = lock(&shared.queue).cut(shared.limits.bundle_bytes_max());
        if taken.is_empty() {
            continue;
        }
        let envelopes = taken.iter().map(|queued| queued.envelope.clone()).collect();
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
            lock(&shared.queue).put_back(std::mem::take(&mut taken));
            continue;
        }
        shared.counters.bundles_own.add(1);
        room.send(Incoming { bundle, source: Source::Own });
    }
}
