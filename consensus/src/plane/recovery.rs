//! What peers report of the own lane and this node's disk has lost is fetched back before the lane goes on, so that a restored
//! disk does not sign its slots a second time.
//!
//! Must stay true:
//! - one task works for a peer, however many reports it sends: the newest waits, in the place of one that waited before;
//! - a peer counts among those who reported only when each bundle that it holds is here, or was asked of *it* in vain: another
//!   that is asked for the same may lie;
//! - a bundle that several report is asked of one peer at a time, as long as that one is quick;
//! - when the lane is settled, nothing of this goes on.
//!
//! The own signature proves what a peer gives back; where it says that the lane stands has to be believed for a while.

use super::fetch::Named;
use super::peer::Peer;
use super::pool::{Claim, Window};
use super::shared::{Shared, lock};
use super::wire::{HeldSlot, LaneReport};
use ledger_types::{BundleDigest, ParticipantNumber};
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

/// How long a report waits for those of others that hold the same.
const WAIT_MAX: Duration = Duration::from_secs(5);

#[derive(Default)]
pub(super) struct Recovery {
    /// Peers whose report is worked on, and the newest that waits for that.
    working: Mutex<BTreeMap<ParticipantNumber, Option<LaneReport>>>,
    /// What a peer is asked for now.
    asked: Mutex<HashSet<BundleDigest>>,
    /// Something of it came, or did not come.
    moved: Notify,
}

/// One bundle is asked of one peer; ends when it is dropped.
struct Asking<'a> {
    recovery: &'a Recovery,
    digest: BundleDigest,
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        lock(&self.recovery.asked).remove(&self.digest);
        self.recovery.moved.notify_waiters();
    }
}

impl Recovery {
    /// Takes the first that nobody is asked for out of `left`.
    fn ask_next(&self, left: &mut Vec<HeldSlot>) -> Option<(HeldSlot, Asking<'_>)> {
        let mut asked = lock(&self.asked);
        let at = left.iter().position(|held| !asked.contains(&held.digest))?;
        let held = left.remove(at);
        asked.insert(held.digest);
        Some((held, Asking { recovery: self, digest: held.digest }))
    }

    /// The report that waited; none ends the work for this peer.
    fn next_report(&self, from: ParticipantNumber) -> Option<LaneReport> {
        let mut working = lock(&self.working);
        let next = working.get_mut(&from).and_then(Option::take);
        if next.is_none() {
            working.remove(&from);
        }
        next
    }
}

impl Shared {
    /// A peer tells what it knows of our lane.
    pub fn receive_lane_report(self: &Arc<Self>, peer: &Arc<Peer>, report: LaneReport) {
        if self.bundle_key.is_none() {
            return;
        }
        let place = (report.incarnation, report.next_sequence);
        let Some(mut settled) = lock(&self.queue).told(place) else { return };
        let from = peer.number;
        match lock(&self.recovery.working).entry(from) {
            Entry::Occupied(mut waiting) => {
                waiting.insert(Some(report));
                return;
            }
            Entry::Vacant(free) => free.insert(None),
        };
        let shared = self.clone();
        self.spawn(async move {
            let work = async {
                let mut next = Some(report);
                while let Some(report) = next {
                    shared.recover(from, report).await;
                    shared.reported(from);
                    next = shared.recovery.next_report(from);
                }
            };
            tokio::select! {
                biased;
                _ = settled.wait_for(|settled| *settled) => drop(lock(&shared.recovery.working).remove(&from)),
                () = work => {}
            }
        });
    }

    async fn recover(self: &Arc<Self>, from: ParticipantNumber, report: LaneReport) {
        let patient_until = Instant::now() + WAIT_MAX;
        let mut left: Vec<HeldSlot> =
            report.held.iter().filter(|held| held.slot.submitter == self.me).copied().collect();
        while !left.is_empty() {
            // Before the look: what moves between the two is heard.
            let moved = self.recovery.moved.notified();
            if let Some((held, _asking)) = self.recovery.ask_next(&mut left) {
                self.recover_one(from, held).await;
            } else if timeout_at(patient_until, moved).await.is_err() {
                // Whoever is asked for it is slow, or lies and reports it again and again.
                self.recover_one(from, left.remove(0)).await;
            }
        }
    }

    async fn recover_one(self: &Arc<Self>, from: ParticipantNumber, held: HeldSlot) {
        let Some(key) = self.bundle_key.as_ref().map(|key| key.public_key()) else { return };
        let look = self.pool().look(held.slot, &held.digest);
        if !matches!(look, Claim::New | Claim::Again | Claim::Outside(Window::Early | Window::Far)) {
            return;
        }
        let fetched = self.fetch_from(&[from], held.digest, Named::ByReport, self.limits.recover_max).await;
        let Ok(bundle) = fetched else { return };
        if bundle.slot() != held.slot || !bundle.signature_is_valid(&key) {
            return;
        }
        tracing::warn!(me = %self.me, slot = ?bundle.slot(), "a bundle of the own lane was lost and came back");
        match look {
            Claim::New | Claim::Again => self.take(bundle, self.me).await,
            _ => drop(self.pool().keep_early(bundle, self.me)),
        }
    }
}
