//! Envelopes that were settled lately: both parties release a key, and the second one is not to be kept as an early one.
//! Forgetting one costs a row that is let go later; so this is in memory only.

use ledger_types::EnvelopeId;
use std::collections::{HashSet, VecDeque};

/// 40 MB at most.
const RECENT_MAX: usize = 1 << 19;

pub struct Recent {
    keep_ms: u64,
    ids: HashSet<EnvelopeId>,
    order: VecDeque<(u64, EnvelopeId)>,
}

impl Recent {
    pub fn new(keep_ms: u64) -> Self {
        Recent { keep_ms, ids: HashSet::new(), order: VecDeque::new() }
    }

    pub fn contains(&self, id: &EnvelopeId) -> bool {
        self.ids.contains(id)
    }

    pub fn insert(&mut self, id: EnvelopeId, time_ms: u64) {
        if self.ids.insert(id) {
            self.order.push_back((time_ms, id));
        }
        if self.order.len() > RECENT_MAX {
            self.pop();
        }
    }

    pub fn let_go(&mut self, time_ms: u64) {
        while self.order.front().is_some_and(|(since, _)| since.saturating_add(self.keep_ms) < time_ms) {
            self.pop();
        }
    }

    fn pop(&mut self) {
        if let Some((_, id)) = self.order.pop_front() {
            self.ids.remove(&id);
        }
    }
}
