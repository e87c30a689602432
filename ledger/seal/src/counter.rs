//! Counters that are never used twice, whenever the process dies (rule E, hint).
//!
//! A counter may be used only below a limit that is on disk. Whoever restarts continues *at* the limit on disk, so every
//! counter that may have been used lies below where it continues.
//!
//! ```text
//!            used │ reserved, unused          │ free
//! 0 ─────────────▶ next ─────────────────────▶ limit (on disk) ─▶
//!                 reserve: limit' = next + 1,024 ─▶ caller stores limit' ─▶ confirm(limit')
//!                 crash ─▶ next = limit on disk, at most 1,024 counters are skipped
//! ```
//! Left to the caller: that the limit is durable before [`CounterReservation::confirm`].

/// At most so many counters are reserved and unused, so a crash skips no more: a quarter of a receiver's window.
pub const RESERVED_MAX: u64 = 1024;
/// A new reservation is wanted when so few are left, so that storing it overlaps with using them.
const RESERVE_BELOW: u64 = RESERVED_MAX / 2;

/// A limit to be stored. Not `Clone`: it is confirmed once, by who stored it.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "store the limit, then confirm it"]
pub struct Reservation {
    limit: u64,
}

impl Reservation {
    /// All counters below may have been used once this is stored.
    pub fn limit(&self) -> u64 {
        self.limit
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoCounter {
    #[error("the reserved counters are used up: reserve, store and confirm first")]
    NotReserved,
    #[error("all {0} counters are used up")]
    Exhausted(u64),
}

#[derive(Debug)]
pub struct CounterReservation {
    next: u64,
    /// Confirmed as stored.
    limit: u64,
    /// A reservation is out and not yet confirmed. One at a time: two writes could reach the disk in the wrong order.
    pending: bool,
    /// Counters are 0 .. end.
    end: u64,
}

impl CounterReservation {
    /// Continues at the limit on disk; 0 when none has been stored.
    pub fn resume(stored_limit: u64, end: u64) -> Self {
        CounterReservation { next: stored_limit, limit: stored_limit, pending: false, end }
    }

    /// The next limit to be stored, when few counters are left and none is being stored.
    pub fn reserve(&mut self) -> Option<Reservation> {
        let limit = self.next.saturating_add(RESERVED_MAX).min(self.end);
        if self.pending || self.limit - self.next > RESERVE_BELOW || limit <= self.limit {
            return None;
        }
        self.pending = true;
        Some(Reservation { limit })
    }

    /// The reservation is durable.
    pub fn confirm(&mut self, reservation: Reservation) {
        self.limit = self.limit.max(reservation.limit);
        self.pending = false;
    }

    /// A counter that nobody has had before.
    pub fn take(&mut self) -> Result<u64, NoCounter> {
        if self.next >= self.end {
            return Err(NoCounter::Exhausted(self.end));
        }
        if self.next >= self.limit {
            return Err(NoCounter::NotReserved);
        }
        let counter = self.next;
        self.next += 1;
        Ok(counter)
    }

    /// The counter that [`Self::take`] would give next.
    pub fn next(&self) -> u64 {
        self.next
    }

    pub fn is_exhausted(&self) -> bool {
        self.next >= self.end
    }
}
