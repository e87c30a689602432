//! Bundles that this node answers for: its own lane's, and those that clients submitted here.
//!
//! A sponsored bundle is offered to every peer until a quorum has acked it; the certificate is then sent to all. Offers and
//! certificates that got lost are repeated, ever more rarely, until a block holds the bundle.

use super::metrics::Count;
use super::pool::Window;
use super::shared::{Shared, lock};
use super::wire::{Ack, Frame, bundle_frame};
use bytes::Bytes;
use ledger_types::bundle::{Bundle, BundleCertificate, ack_message};
use ledger_types::keys::{PublicKey, Signature};
use ledger_types::participant::SignedBy;
use ledger_types::{BundleDigest, List, ParticipantNumber};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

const REPEAT_FIRST: Duration = Duration::from_millis(500);
const REPEAT_MAX: Duration = Duration::from_secs(10);

pub(super) struct Sponsored {
    pub bundle: Arc<Bundle>,
    /// Encoded once for all peers.
    frame: Bytes,
    /// With the key that each verified under.
    acks: BTreeMap<ParticipantNumber, (PublicKey, Signature)>,
    pub is_certified: bool,
    pub since: Instant,
    repeat_at: Instant,
    repeat_after: Duration,
}

impl Shared {
    /// The bundle is on disk here, and the pool knows what the slot's guard holds.
    pub fn sponsor(&self, bundle: Arc<Bundle>) {
        let digest = bundle.digest();
        let mut sponsored = Sponsored {
            frame: bundle_frame(&bundle),
            acks: BTreeMap::new(),
            is_certified: false,
            repeat_at: Instant::now() + REPEAT_FIRST,
            repeat_after: REPEAT_FIRST,
            since: Instant::now(),
            bundle,
        };
        let window = {
            // Both under the pool's lock: a block that closes the slot finds the bundle, or is found here.
            let pool = self.pool();
            let window = pool.window(sponsored.bundle.slot());
            if matches!(window, Window::Open | Window::Early) {
                sponsored.is_certified = pool.is_certified(sponsored.bundle.slot());
                lock(&self.sponsored).entry(digest).or_insert(sponsored);
                None
            } else {
                Some((window, sponsored))
            }
        };
        if let Some((window, sponsored)) = window {
            if window == Window::Old {
                // Closed while the bundle was written.
                self.settle_lost(vec![sponsored]);
            }
            return;
        }
        for peer in self.peers.values().filter(|peer| peer.is_up()) {
            // A full queue is a slow peer: it is offered the bundle again, or fetches it.
            let _ = peer.offers.try_send(digest);
        }
        self.ack_own(&digest);
        self.certify(&digest);
    }

    pub fn uncertified(&self) -> Vec<BundleDigest> {
        let sponsored = lock(&self.sponsored);
        sponsored.iter().filter(|(_, sponsored)| !sponsored.is_certified).map(|(digest, _)| *digest).collect()
    }

    pub fn sponsored_frame(&self, digest: &BundleDigest) -> Option<Bytes> {
        lock(&self.sponsored).get(digest).map(|sponsored| sponsored.frame.clone())
    }

    pub fn receive_ack(&self, from: ParticipantNumber, ack: Ack) {
        let is_awaited = lock(&self.sponsored)
            .get(&ack.digest)
            .is_some_and(|sponsored| !sponsored.is_certified && !sponsored.acks.contains_key(&from));
        if !is_awaited {
            return;
        }
        let key = self.pool().tip().validators.get(from).map(|validator| validator.bundle);
        let message = ack_message(&self.chain, &ack.digest, from);
        let Some(key) = key.filter(|key| key.verify(&message, &ack.signature)) else {
            self.counters.refused("ack_invalid");
            return;
        };
        if let Some(sponsored) = lock(&self.sponsored).get_mut(&ack.digest) {
            sponsored.acks.insert(from, (key, ack.signature));
        }
        self.certify(&ack.digest);
    }

    /// Acks of a quorum make the certificate.
    fn certify(&self, digest: &BundleDigest) {
        let (certificate, set) = {
            // Under the pool's lock, as in `sponsor`: another set that decides meanwhile finds what is certified here, or is seen here.
            let pool = self.pool();
            let validators = &pool.tip().validators;
            let mut all = lock(&self.sponsored);
            let Some(sponsored) = all.get_mut(digest).filter(|sponsored| !sponsored.is_certified) else { return };
            // An ack of one who left the set meanwhile, or has another key by now, does not count.
            sponsored.acks.retain(|signer, (key, _)| validators.get(*signer).is_some_and(|line| line.bundle == *key));
            let power = sponsored.acks.keys().filter_map(|signer| validators.get(*signer)).map(|v| v.power).sum();
            if !validators.is_quorum(power) {
                return;
            }
            sponsored.is_certified = true;
            let acks = sponsored.acks.iter().map(|(signer, (_, ack))| SignedBy { signer: *signer, signature: *ack });
            let acks = List::new(acks.collect()).expect("no more signers than validators");
            (BundleCertificate { header: sponsored.bundle.header().clone(), acks }, pool.set())
        };
        self.counters.certificates_made.add(1);
        // Every ack was verified as it came.
        {
            let mut verified = lock(&self.verified);
            if verified.0 == set {
                verified.1.insert(certificate.hash(&self.chain));
            }
        }
        self.broadcast(Frame::Certificate(Box::new(certificate.clone())).to_bytes());
        self.add_certificate(certificate, set);
    }

    /// Another set decides (G-3): bundles whose certificates it does not take are offered again, at once. Who has come into it acks what
    /// its guard held for it as an observer; and what was short of a quorum may have the incoming set's.
    pub fn certify_anew(&self) {
        let now = Instant::now();
        let mut uncertified = Vec::new();
        {
            let pool = self.pool();
            for (digest, sponsored) in lock(&self.sponsored).iter_mut() {
                sponsored.is_certified &= pool.is_certified(sponsored.bundle.slot());
                if !sponsored.is_certified {
                    (sponsored.repeat_at, sponsored.repeat_after) = (now, REPEAT_FIRST);
                    uncertified.push(*digest);
                }
            }
        }
        for digest in uncertified {
            self.ack_own(&digest);
            self.certify(&digest);
        }
    }

    /// The own ack of a bundle that lacks it: of a validator whose guard holds the slot for this bundle.
    fn ack_own(&self, digest: &BundleDigest) {
        let lacks = {
            let pool = self.pool();
            lock(&self.sponsored).get(digest).is_some_and(|sponsored| {
                !sponsored.acks.contains_key(&self.me) && pool.acked(sponsored.bundle.slot()) == Some(*digest)
            })
        };
        if !lacks || !self.is_validator() {
            return;
        }
        let Some(key) = &self.bundle_key else { return };
        let ack = (key.public_key(), key.sign(&ack_message(&self.chain, digest, self.me)));
        if let Some(sponsored) = lock(&self.sponsored).get_mut(digest) {
            sponsored.acks.insert(self.me, ack);
        }
    }

    /// Called a few times a second: repeats what may have got lost.
    pub fn repeat(&self, now: Instant) {
        let mut offers = Vec::new();
        let own_are_taken = self.may_sign_bundles();
        for (digest, sponsored) in lock(&self.sponsored).iter_mut() {
            let is_own = sponsored.bundle.slot().submitter == self.me;
            if now < sponsored.repeat_at || (is_own && !own_are_taken) {
                continue;
            }
            sponsored.repeat_after = (sponsored.repeat_after * 2).min(REPEAT_MAX);
            sponsored.repeat_at = now + sponsored.repeat_after;
            if !sponsored.is_certified {
                offers.push((*digest, sponsored.acks.keys().copied().collect::<Vec<_>>()));
            }
        }
        for (digest, acked) in offers {
            let silent = self.peers.values().filter(|peer| peer.is_up() && !acked.contains(&peer.number));
            for peer in silent {
                let _ = peer.offers.try_send(digest);
            }
        }
    }

    /// Certificates that no block took for a while go to everyone again, whoever made them: their maker may have told a few
    /// only.
    pub fn repeat_certificates(&self, now: Instant, older_than: Duration) {
        let Some(before) = now.checked_sub(older_than) else { return };
        let certificates = self.pool().unordered_certificates(before);
        for certificate in certificates {
            self.broadcast(Frame::Certificate(Box::new(certificate)).to_bytes());
        }
    }

    /// Lets go of bundles whose slots blocks have closed, and returns them in the order of their slots.
    pub fn forget_closed(&self) -> Vec<Sponsored> {
        let pool = self.pool();
        let is_closed = |_: &BundleDigest, sponsored: &mut Sponsored| {
            !matches!(pool.window(sponsored.bundle.slot()), Window::Open | Window::Early)
        };
        let mut closed: Vec<_> = lock(&self.sponsored).extract_if(is_closed).map(|(_, sponsored)| sponsored).collect();
        closed.sort_by_key(|sponsored| sponsored.bundle.slot());
        closed
    }

    /// Of bundles whose slots are closed: those that no block holds have lost their slot. The own lane's envelopes are queued
    /// again; a bundle that was submitted here is remembered as lost, since only its submitter can sign it for another slot.
    pub fn settle_lost(&self, closed: Vec<Sponsored>) {
        let mut own = Vec::new();
        for Sponsored { bundle, since, .. } in closed {
            let mut fates = lock(&self.fates);
            if fates.is_ordered(&bundle.digest()) {
                continue;
            }
            self.counters.bundles_lost.add(1);
            tracing::warn!(me = %self.me, slot = ?bundle.slot(), digest = %bundle.digest(), "a bundle lost its slot");
            if bundle.slot().submitter == self.me {
                own.push((bundle, since));
            } else {
                fates.lost(&bundle);
            }
        }
        self.queue_again(&own, |_| true);
    }
}
