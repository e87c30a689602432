//! The store's bundle files, as consensus asks for them.

use super::with_causes;
use consensus::port::{BundleStore, LanePosition, MustStop};
use ledger_store::{Store, StoreError};
use ledger_types::bundle::{Bundle, Slot};
use ledger_types::{BundleDigest, ParticipantNumber};
use std::collections::BTreeMap;
use std::sync::Arc;

pub struct BundleFiles {
    store: Arc<Store>,
}

impl BundleFiles {
    pub fn new(store: Arc<Store>) -> Self {
        BundleFiles { store }
    }
}

fn stop(error: StoreError) -> MustStop {
    MustStop(with_causes(&error))
}

impl BundleStore for BundleFiles {
    fn put(&self, bundles: &[Arc<Bundle>]) -> Result<(), MustStop> {
        self.store.bundles().put(bundles).map_err(stop)
    }

    fn get(&self, digest: &BundleDigest) -> Result<Option<Arc<Bundle>>, MustStop> {
        self.store.bundles().get(digest).map_err(stop)
    }

    fn contains(&self, digest: &BundleDigest) -> bool {
        // A read that fails is found out by the next call that needs the bundle.
        self.store.bundles().contains(digest).unwrap_or(false)
    }

    fn unordered(&self) -> Result<Vec<Arc<Bundle>>, MustStop> {
        self.store.bundles().unordered().map_err(stop)
    }

    fn guard_acks(&self, acks: &[(Slot, BundleDigest)]) -> Result<Vec<Option<BundleDigest>>, MustStop> {
        self.store.bundles().guard_acks(acks).map_err(stop)
    }

    fn acked(&self, slot: &Slot) -> Option<BundleDigest> {
        self.store.bundles().acked(slot)
    }

    fn remembers(&self, slot: &Slot) -> bool {
        self.store.bundles().guard_permits(slot)
    }

    fn collect(&self, _: &BTreeMap<ParticipantNumber, LanePosition>) -> Result<(), MustStop> {
        // The store reads the lanes off the height that it committed last.
        self.store.collect_bundles().map_err(stop)
    }
}
