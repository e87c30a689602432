//! Reconciliation (R-7): each bank and the registration centre compare what they have of the coins in the bank's custody, find
//! the records that differ, and offer the repair.
//!
//! ```text
//! registration ── claim at height H? ──▶ bank        both take their sets after the same block, and sign them
//!      set: which ranges differ ◀──▶ ranges           O(d log n) bytes
//!      classify ─▶ signed report ──▶ bank
//!      findings                      findings         each shows, mutes and mends its own
//! ```
//! What must stay true:
//! - Registration asks and tells over the connections that it makes; it listens on nothing.
//! - Both sides speak of one height. What is ordered and not confirmed, or spent and not registered, is in neither set.
//! - Only coin ids, statuses, owner tags, and ids of envelopes that the bank is a party of cross the link.
//! - A difference stays until a later run no longer finds it, over restarts; muting it hides it from alerts and from nothing
//!   else.
//!
//! Left to others: the roles' own books (`role::registration::reconciling`, `role::commercial_bank::reconciling`).

pub mod classify;
pub mod findings;
pub mod set;
pub mod wire;
pub mod words;

use ledger_types::coin::CoinStatus;
use ledger_types::reconciliation::{ReconciliationClaim, ReconciliationSide};
use ledger_types::{BatchNumber, BlockHash, Chain, Height, List, ParticipantNumber};
use set::CoinSet;

/// A coin that is unconfirmed for so long is late: confirmation takes 2 to 3 s.
pub const LATE_AFTER_MS: u64 = 60_000;

/// What both sides speak of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AsOf {
    pub height: Height,
    pub block: BlockHash,
    pub time_ms: u64,
    /// The last batch accepted by then.
    pub batch: BatchNumber,
}

/// The four sets of a bank: one of each status, in the order of their numbers.
pub type FourSets = [CoinSet; 4];

pub fn claim(
    chain: &Chain,
    side: ReconciliationSide,
    bank: ParticipantNumber,
    as_of: &AsOf,
    sets: &FourSets,
) -> ReconciliationClaim {
    let lines = sets.iter().map(|set| set.line(chain)).collect();
    ReconciliationClaim {
        side,
        bank,
        height: as_of.height,
        block: as_of.block,
        batch: as_of.batch,
        sets: List::new(lines).expect("four sets"),
    }
}

/// Whether the other side's claim is about the same, and whole.
pub fn is_comparable(own: &ReconciliationClaim, other: &ReconciliationClaim) -> bool {
    let about = |claim: &ReconciliationClaim| (claim.bank, claim.height, claim.block, claim.batch);
    about(own) == about(other)
        && own.side != other.side
        && other.sets.iter().map(|set| set.status).eq(CoinStatus::ALL.iter().copied())
}
