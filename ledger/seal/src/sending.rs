//! The sender's use of an epoch: one [`SealingSlot`] for every envelope, until the epoch is spent.
//!
//! - A slot is given once, in time, within the stored reservation, and never so far ahead of what the ledger has ordered that
//!   a receiver's window would not reach it. So every envelope that is ordered is found by its members.
//! - A sending epoch exists only after all members acknowledged; its record may be resumed for the same reason.
//!
//! A spent epoch seals nothing more, but still opens: it stays until [`Epoch::may_be_destroyed`].

use crate::counter::{CounterReservation, NoCounter, Reservation};
use crate::epoch::{Epoch, EpochId};
use crate::hint::{AHEAD, hint};
use ledger_types::{Chain, DecodeError, EnvelopeHint};
use std::sync::Arc;
use zeroize::Zeroizing;

#[derive(Debug)]
pub struct SendingEpoch {
    epoch: Arc<Epoch>,
    counters: CounterReservation,
    /// One above the highest counter that the ledger is known to have ordered.
    ordered_end: u64,
}

/// The right to seal one envelope under an epoch. Not `Clone`: its hint is used once.
#[derive(Debug)]
#[must_use = "an unused slot leaves a gap in the counters"]
pub struct SealingSlot {
    pub(crate) epoch: Arc<Epoch>,
    counter: u64,
}

impl SealingSlot {
    pub(crate) fn hint(&self, chain: &Chain) -> EnvelopeHint {
        hint(chain, self.epoch.key(), self.counter)
    }

    pub fn epoch(&self) -> EpochId {
        self.epoch.id()
    }

    pub fn counter(&self) -> u64 {
        self.counter
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoSlot {
    #[error("the epoch is spent by time, by count, or too far ahead of what was ordered: go on under another one")]
    Spent,
    #[error("the reserved counters are used up: reserve, store and confirm first")]
    NotReserved,
}

impl SendingEpoch {
    pub(crate) fn new(epoch: Epoch, envelopes_max: u64) -> Self {
        SendingEpoch { epoch: Arc::new(epoch), counters: CounterReservation::resume(0, envelopes_max), ordered_end: 0 }
    }

    /// For storage under the holder's encryption, before the first slot is used.
    pub fn record(&self) -> Zeroizing<Vec<u8>> {
        self.epoch.record()
    }

    /// After a restart: from its record, the newest stored reservation limit (0 without one) and the highest ordered counter.
    pub fn resume(
        record: &[u8],
        envelopes_max: u64,
        stored_limit: u64,
        highest_ordered: Option<u64>,
    ) -> Result<Self, DecodeError> {
        Ok(SendingEpoch {
            epoch: Arc::new(Epoch::from_record(record)?),
            counters: CounterReservation::resume(stored_limit, envelopes_max),
            ordered_end: highest_ordered.map_or(0, |counter| counter.saturating_add(1)),
        })
    }

    pub fn epoch(&self) -> &Arc<Epoch> {
        &self.epoch
    }

    /// Rotation by time and count (E-2). Time counts in milliseconds of the sender's clock.
    pub fn is_spent(&self, now_ms: u64) -> bool {
        now_ms > self.epoch.not_after_ms() || self.counters.is_exhausted() || self.is_too_far_ahead()
    }

    /// Crashes and envelopes that were never ordered skip counters; a receiver holds only the next [`AHEAD`] of the highest seen.
    fn is_too_far_ahead(&self) -> bool {
        self.counters.next() >= self.ordered_end.saturating_add(AHEAD)
    }

    /// Pass on to [`CounterReservation::reserve`]: ask after every slot, store what comes out, and confirm it.
    pub fn reserve(&mut self) -> Option<Reservation> {
        self.counters.reserve()
    }

    pub fn confirm(&mut self, reservation: Reservation) {
        self.counters.confirm(reservation);
    }

    /// An own envelope with this counter is in a committed block.
    pub fn note_ordered(&mut self, counter: u64) {
        self.ordered_end = self.ordered_end.max(counter.saturating_add(1));
    }

    pub fn next_slot(&mut self, now_ms: u64) -> Result<SealingSlot, NoSlot> {
        if self.is_spent(now_ms) {
            return Err(NoSlot::Spent);
        }
        match self.counters.take() {
            Ok(counter) => Ok(SealingSlot { epoch: Arc::clone(&self.epoch), counter }),
            Err(NoCounter::NotReserved) => Err(NoSlot::NotReserved),
            Err(NoCounter::Exhausted(_)) => Err(NoSlot::Spent),
        }
    }
}
