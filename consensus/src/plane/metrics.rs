//! What the plane counted since its start.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counters {
    ($($(#[$meta:meta])* $name:ident),* $(,)?) => {
        #[derive(Default)]
        pub(super) struct Counters {
            $(pub $name: AtomicU64,)*
            refusals: Mutex<BTreeMap<&'static str, u64>>,
        }

        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub struct PlaneMetrics {
            $($(#[$meta])* pub $name: u64,)*
            /// What was refused, by name.
            pub refusals: BTreeMap<&'static str, u64>,
            pub connected: usize,
            /// Envelopes that wait for a bundle of the own lane.
            pub queue_bytes: usize,
            /// Parsed bundles kept in memory.
            pub cache_bytes: usize,
            /// Bundles that came before their slot's window and wait for it.
            pub early_bytes: usize,
            /// Own or submitted bundles that no block holds yet.
            pub sponsored: usize,
            /// Certified bundles that no block holds yet.
            pub certified: usize,
        }

        impl Counters {
            pub fn snapshot(&self) -> PlaneMetrics {
                PlaneMetrics {
                    $($name: self.$name.load(Ordering::Relaxed),)*
                    refusals: self.refusals.lock().expect("counting does not panic").clone(),
                    ..PlaneMetrics::default()
                }
            }
        }
    };
}

counters! {
    bundles_own,
    bundles_stored,
    acks_sent,
    certificates_made,
    certificates_received,
    bundles_fetched,
    bundles_served,
    bytes_received,
    bytes_sent,
    evidence,
    /// Messages of the consensus engine that a validator or a connected peer may not have had on its own stream.
    consensus_detours,
    /// Own or submitted bundles whose slot a block closed without them.
    bundles_lost,
    /// Envelopes of own bundles that were queued again.
    envelopes_requeued,
}

impl Counters {
    pub fn refused(&self, name: &'static str) {
        *self.refusals.lock().expect("counting does not panic").entry(name).or_default() += 1;
    }
}

pub(super) trait Count {
    fn add(&self, count: u64);
}

impl Count for AtomicU64 {
    fn add(&self, count: u64) {
        self.fetch_add(count, Ordering::Relaxed);
    }
}
