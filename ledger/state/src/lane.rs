//! Lanes (B-3): the order of a submitter's bundles, and how many bytes it may have ordered.
//!
//! What stays true here: a slot is served at most once, in order; an abandoned incarnation never returns, so neither a bundle
//! nor a refusal in it is ever repeated. Who may sign in a lane is checked where bundles arrive.

use crate::refusal::BlockRefusal;
use crate::rules::Rules;
use ledger_types::bundle::BundleHeader;
use ledger_types::ids::*;
use ledger_types::layout;

/// Where a lane stands. In the map under type 6, id = the submitter's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Lane {
    pub incarnation: u32,
    /// Sequence of the next bundle that a block may hold.
    pub next_sequence: u64,
    /// Height that last served the lane (B-4).
    pub served_at: Height,
    /// Bytes of the envelopes that this height refused; they count a second time in the next height that serves the lane.
    pub refused_bytes: u64,
}
layout!(Lane { incarnation, next_sequence, served_at, refused_bytes });

impl Lane {
    /// What the submitter may have ordered in the next height. The first bundle of a height fits even beyond this, up to
    /// the whole quota; else refused bytes could close a lane for good.
    pub fn bytes_left(&self, rules: &Rules) -> u64 {
        rules.genesis.bytes_per_submitter_per_height.saturating_sub(self.refused_bytes)
    }
}

/// A lane while a block is taken apart.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LaneInBlock {
    before: Lane,
    incarnation: u32,
    next_sequence: u64,
    bytes: u64,
    pub refused_bytes: u64,
}

impl LaneInBlock {
    pub fn start(before: Lane) -> Self {
        let Lane { incarnation, next_sequence, .. } = before;
        LaneInBlock { before, incarnation, next_sequence, bytes: 0, refused_bytes: 0 }
    }

    /// Takes the next bundle of the lane: last + 1, or (incarnation + 1, 0), which closes the old one (B-3).
    pub fn take(&mut self, rules: &Rules, bundle: &BundleHeader) -> Result<(), BlockRefusal> {
        let slot = bundle.slot;
        let continues = slot.incarnation == self.incarnation && slot.sequence == self.next_sequence;
        let begins_anew = self.incarnation.checked_add(1) == Some(slot.incarnation) && slot.sequence == 0;
        if !continues && !begins_anew {
            return Err(BlockRefusal::SlotNotNext);
        }
        let is_first = self.bytes == 0;
        self.bytes = self.bytes.saturating_add(u64::from(bundle.bytes));
        let quota = if is_first { rules.genesis.bytes_per_submitter_per_height } else { self.before.bytes_left(rules) };
        if self.bytes > quota {
            return Err(BlockRefusal::QuotaExceeded);
        }
        self.incarnation = slot.incarnation;
        // A lane of 2^64 bundles has no next one; a new incarnation goes on.
        self.next_sequence = slot.sequence.checked_add(1).ok_or(BlockRefusal::SlotNotNext)?;
        Ok(())
    }

    pub fn served(&self, height: Height) -> Lane {
        let LaneInBlock { incarnation, next_sequence, refused_bytes, .. } = *self;
        Lane { incarnation, next_sequence, served_at: height, refused_bytes }
    }
}
