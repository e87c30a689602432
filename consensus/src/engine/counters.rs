//! What happened, counted since the start of the process.

use std::sync::atomic::{AtomicU64, Ordering};

#[derive(Default)]
pub struct Counter(AtomicU64);

impl Counter {
    pub fn count(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

#[derive(Default)]
pub struct Counters {
    pub heights: Counter,
    pub synced: Counter,
    pub lost_rounds: Counter,
    pub withheld: Counter,
    pub refused: Counter,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EngineMetrics {
    /// Heights made durable.
    pub heights: u64,
    /// Of them, those that a peer sent decided.
    pub synced: u64,
    /// Rounds that ended without a decision.
    pub lost_rounds: u64,
    /// Blocks whose time was off (B-5).
    pub withheld: u64,
    /// Blocks that got a nil (B-2).
    pub refused: u64,
}

impl Counters {
    pub fn snapshot(&self) -> EngineMetrics {
        EngineMetrics {
            heights: self.heights.get(),
            synced: self.synced.get(),
            lost_rounds: self.lost_rounds.get(),
            withheld: self.withheld.get(),
            refused: self.refused.get(),
        }
    }
}
