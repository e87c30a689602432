//! Bounded memories: recent bundles by bytes, verified certificates by count. Losing an entry costs a read or a verification,
//! never correctness: every bundle in here is on disk.

use ledger_types::BundleDigest;
use ledger_types::bundle::Bundle;
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;

/// Least recently used bundles leave first.
pub(super) struct Recent {
    bytes_max: usize,
    bytes: usize,
    clock: u64,
    bundles: HashMap<BundleDigest, (u64, Arc<Bundle>)>,
    by_use: BTreeMap<u64, BundleDigest>,
}

impl Recent {
    pub fn new(bytes_max: usize) -> Self {
        Recent { bytes_max, bytes: 0, clock: 0, bundles: HashMap::new(), by_use: BTreeMap::new() }
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }

    pub fn get(&mut self, digest: &BundleDigest) -> Option<Arc<Bundle>> {
        self.clock += 1;
        let (used, bundle) = self.bundles.get_mut(digest)?;
        self.by_use.remove(used);
        *used = self.clock;
        self.by_use.insert(self.clock, *digest);
        Some(bundle.clone())
    }

    pub fn insert(&mut self, bundle: Arc<Bundle>) {
        if self.get(&bundle.digest()).is_some() {
            return;
        }
        self.clock += 1;
        self.bytes += bundle.header().bytes as usize;
        self.by_use.insert(self.clock, bundle.digest());
        self.bundles.insert(bundle.digest(), (self.clock, bundle));
        while self.bytes > self.bytes_max {
            let Some((_, oldest)) = self.by_use.pop_first() else { return };
            let (_, gone) = self.bundles.remove(&oldest).expect("both indexes hold the same digests");
            self.bytes -= gone.header().bytes as usize;
        }
    }
}

/// Hashes of certificates that verified under the current validator set; the oldest leave first.
pub(super) struct Verified {
    max: usize,
    known: HashSet<[u8; 32]>,
    order: VecDeque<[u8; 32]>,
}

impl Verified {
    pub fn new(max: usize) -> Self {
        Verified { max, known: HashSet::new(), order: VecDeque::new() }
    }

    pub fn contains(&self, hash: &[u8; 32]) -> bool {
        self.known.contains(hash)
    }

    pub fn insert(&mut self, hash: [u8; 32]) {
        if self.known.insert(hash) {
            self.order.push_back(hash);
        }
        if self.order.len() > self.max {
            let oldest = self.order.pop_front().expect("longer than its maximum");
            self.known.remove(&oldest);
        }
    }

    /// Another validator set decides: what verified before may not now.
    pub fn clear(&mut self) {
        self.known.clear();
        self.order.clear();
    }
}
