//! What became of bundles that this node answered for: bounded memories, since the ledger itself keeps only what was ordered.
//!
//! A bundle whose slot a block has closed without it is *lost*: another bundle of its lane took the slot, or a later incarnation
//! closed it. The own lane's lost envelopes are queued again (`lane`); a submitter of whole bundles is told, and signs again.

use ledger_types::bundle::{Bundle, LANE_DEPTH_MAX};
use ledger_types::{BundleDigest, EnvelopeId};
use std::collections::{HashMap, HashSet, VecDeque};

/// Ordered bundles of all lanes: what closes while a bundle is written to disk is found here.
const ORDERED_MAX: usize = 4096;
/// Ids of lost envelopes; the newest bundle is remembered whatever its size.
const LOST_ENVELOPES_MAX: usize = 32 * 1024;
/// Own bundles whose ids are remembered: everything that a block can hold while a bundle of the lane is under way.
const OWN_ORDERED_MAX: usize = 2 * LANE_DEPTH_MAX as usize;

#[derive(Default)]
pub(super) struct Fates {
    ordered: HashSet<BundleDigest>,
    ordered_by_age: VecDeque<BundleDigest>,
    lost: VecDeque<(BundleDigest, Vec<EnvelopeId>)>,
    /// How many lost bundles hold an envelope.
    lost_envelopes: HashMap<EnvelopeId, usize>,
    own_ordered: VecDeque<Vec<EnvelopeId>>,
}

impl Fates {
    pub fn ordered(&mut self, digest: BundleDigest) {
        if !self.ordered.insert(digest) {
            return;
        }
        self.ordered_by_age.push_back(digest);
        if self.ordered_by_age.len() > ORDERED_MAX {
            let oldest = self.ordered_by_age.pop_front().expect("longer than its maximum");
            self.ordered.remove(&oldest);
        }
    }

    pub fn is_ordered(&self, digest: &BundleDigest) -> bool {
        self.ordered.contains(digest)
    }

    /// A block holds this bundle of the own lane.
    pub fn own_ordered(&mut self, ids: &[EnvelopeId]) {
        self.own_ordered.push_back(ids.to_vec());
        if self.own_ordered.len() > OWN_ORDERED_MAX {
            self.own_ordered.pop_front();
        }
    }

    pub fn own_ordered_ids(&self) -> impl Iterator<Item = &EnvelopeId> {
        self.own_ordered.iter().flatten()
    }

    pub fn lost(&mut self, bundle: &Bundle) {
        if self.is_lost(&bundle.digest()) {
            return;
        }
        for id in bundle.ids() {
            *self.lost_envelopes.entry(*id).or_default() += 1;
        }
        self.lost.push_back((bundle.digest(), bundle.ids().to_vec()));
        while self.lost.len() > 1 && self.lost.iter().map(|(_, ids)| ids.len()).sum::<usize>() > LOST_ENVELOPES_MAX {
            let (_, ids) = self.lost.pop_front().expect("more than one");
            self.forget(&ids);
        }
    }

    fn forget(&mut self, ids: &[EnvelopeId]) {
        for id in ids {
            if let Some(count) = self.lost_envelopes.get_mut(id) {
                *count -= 1;
                if *count == 0 {
                    self.lost_envelopes.remove(id);
                }
            }
        }
    }

    pub fn is_lost(&self, digest: &BundleDigest) -> bool {
        self.lost.iter().any(|(lost, _)| lost == digest)
    }

    pub fn envelope_is_lost(&self, id: &EnvelopeId) -> bool {
        self.lost_envelopes.contains_key(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memories_are_bounded_and_the_oldest_leave_first() {
        let mut fates = Fates::default();
        let digest = |n: usize| {
            let mut bytes = [0; 32];
            bytes[..8].copy_from_slice(&(n as u64).to_le_bytes());
            BundleDigest(bytes)
        };
        (0..ORDERED_MAX + 1).for_each(|n| fates.ordered(digest(n)));
        assert!(!fates.is_ordered(&digest(0)) && fates.is_ordered(&digest(1)));
        assert_eq!(fates.ordered.len(), ORDERED_MAX);
        (0..OWN_ORDERED_MAX + 1).for_each(|n| fates.own_ordered(&[EnvelopeId(digest(n).0)]));
        assert_eq!(fates.own_ordered_ids().next(), Some(&EnvelopeId(digest(1).0)));
    }
}
