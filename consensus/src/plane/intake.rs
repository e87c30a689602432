//! Where bundles become trusted, and durable.
//!
//! ```text
//!  frame ─▶ prefix: slot open? known? ─▶ signature ─▶ parse (body ≡ digest) ─▶ claim the slot ─▶ one task:
//!        put and guard, many bundles a sync ─▶ only then: ack to whom it came from, offers, waiters
//! ```
//! Must stay true: no ack leaves before its bundle and its slot's guard are on disk; one digest a slot (B-3); a failed write
//! stops the plane, and with it the node.

use super::SubmitError;
use super::metrics::Count;
use super::peer::Peer;
use super::pool::{Claim, Guarded, Window};
use super::shared::{Shared, lock};
use super::wire::{Ack, BUNDLE_PREFIX_BYTES, Frame, Kind, WireError, bundle_prefix};
use crate::port::{Evidence, MustStop};
use bytes::Bytes;
use ledger_types::bundle::{Bundle, BundleCertificate, BundleHeader, Slot, ack_message};
use ledger_types::keys::Signature;
use ledger_types::{BundleDigest, Encode, ParticipantNumber};
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

/// Bundles that wait for the disk. One sync takes what has gathered.
pub(super) const INTAKE_QUEUE: usize = 16;

/// A verified bundle on its way to the disk.
pub(super) struct Incoming {
    pub bundle: Arc<Bundle>,
    pub source: Source,
}

pub(super) enum Source {
    /// Cut by this node; also one that a peer gave back after this node's disk had lost it.
    Own,
    Submitted(oneshot::Sender<Result<(), SubmitError>>),
    Peer(ParticipantNumber),
    /// Somebody's certificate names it; it is kept, not acked.
    Fetched,
}

struct Stored {
    incoming: Incoming,
    guarded: Guarded,
    ack: Option<Signature>,
}

pub(super) async fn store(shared: Arc<Shared>, mut incoming: mpsc::Receiver<Incoming>) {
    while let Some(first) = incoming.recv().await {
        let mut batch = vec![first];
        while batch.len() < INTAKE_QUEUE {
            let Ok(next) = incoming.try_recv() else { break };
            batch.push(next);
        }
        if shared.has_failed() {
            return;
        }
        let writer = shared.clone();
        let written = tokio::task::spawn_blocking(move || writer.write(batch)).await;
        match written.unwrap_or_else(|panic| Err(MustStop(format!("the bundle store panicked: {panic}")))) {
            Ok(stored) => stored.into_iter().for_each(|stored| shared.settle(stored)),
            Err(cause) => return shared.fail(cause),
        }
    }
}

impl Shared {
    fn write(&self, batch: Vec<Incoming>) -> Result<Vec<Stored>, MustStop> {
        let bundles: Vec<Arc<Bundle>> = batch.iter().map(|incoming| incoming.bundle.clone()).collect();
        self.store.put(&bundles)?;
        let guards = self.bundle_key.is_some();
        let is_guarded = |incoming: &Incoming| guards && !matches!(incoming.source, Source::Fetched);
        let claims: Vec<(Slot, BundleDigest)> = batch
            .iter()
            .filter(|incoming| is_guarded(incoming))
            .map(|incoming| (incoming.bundle.slot(), incoming.bundle.digest()))
            .collect();
        let mut acked = self.store.guard_acks(&claims)?.into_iter();
        let acks = self.is_validator();
        let stored = batch.into_iter().map(|incoming| {
            let digest = incoming.bundle.digest();
            let guarded = match (&incoming.source, is_guarded(&incoming)) {
                (Source::Fetched, _) => Guarded::NotAsked,
                (_, false) => Guarded::Nothing,
                (_, true) => acked.next().flatten().map_or(Guarded::Nothing, Guarded::Acked),
            };
            let is_offered = matches!(incoming.source, Source::Peer(_));
            let acked = acks && is_offered && guarded == Guarded::Acked(digest);
            let ack = if acked { self.sign_ack(&digest) } else { None };
            Stored { incoming, guarded, ack }
        });
        Ok(stored.collect())
    }

    pub fn sign_ack(&self, digest: &BundleDigest) -> Option<Signature> {
        self.bundle_key.as_ref().map(|key| key.sign(&ack_message(&self.chain, digest, self.me)))
    }

    fn settle(&self, stored: Stored) {
        let Stored { incoming: Incoming { bundle, source }, guarded, ack } = stored;
        let (slot, digest) = (bundle.slot(), bundle.digest());
        self.counters.bundles_stored.add(1);
        lock(&self.recent).insert(bundle.clone());
        self.pool().stored(slot, digest, guarded);
        let other = match guarded {
            Guarded::Acked(acked) if acked != digest => Some(acked),
            _ => None,
        };
        if let Some(acked) = other {
            if let Source::Submitted(reply) = source {
                let _ = reply.send(Err(SubmitError::SlotTaken));
            } else if slot.submitter == self.me {
                // Cannot be: own slots are taken after everything on disk, in the guard, and that a quorum of peers reported.
                return self.fail(MustStop(format!("the own slot {slot:?} was acked with another bundle")));
            }
            return self.accuse(bundle.header(), &digest, &bundle.signature(), acked);
        }
        match source {
            Source::Own => self.sponsor(bundle.clone()),
            Source::Submitted(reply) => {
                self.sponsor(bundle.clone());
                let _ = reply.send(Ok(()));
            }
            Source::Peer(from) => {
                if let (Some(signature), Some(peer)) = (ack, self.peers.get(&from)) {
                    self.counters.acks_sent.add(1);
                    self.send(peer, Frame::Ack(Ack { digest, signature }).to_bytes());
                }
            }
            Source::Fetched => self.counters.bundles_fetched.add(1),
        }
        lock(&self.waiters).arrived(&bundle);
        if self.pool().is_certified(slot) {
            self.work.notify_one();
        }
    }

    /// B-3: two signed headers in one slot. Written down once a slot.
    fn accuse(&self, second: &BundleHeader, digest: &BundleDigest, signature: &Signature, first: BundleDigest) {
        if first == *digest || self.pool().is_accused(second.slot) {
            return;
        }
        // While the first is not on disk yet nothing can be shown, so nothing counts as written down.
        let Some(first) = self.bundle(&first) else { return };
        let key = self.pool().tip().directory.bundle_key(second.slot.submitter);
        if !key.is_some_and(|key| first.signature_is_valid(&key)) {
            // Signed with a key that was replaced, or fetched by a certificate from one who changed the signature: no proof.
            self.counters.refused("evidence_unproved");
            return;
        }
        if !self.pool().accuse(second.slot) {
            return;
        }
        let signed = |header: &BundleHeader, signature: &Signature| [header.to_bytes(), signature.0.to_vec()].concat();
        self.counters.evidence.add(1);
        tracing::debug!(me = %self.me, submitter = %second.slot.submitter, slot = ?second.slot, "a slot was reused");
        let evidence = Evidence {
            validator: second.slot.submitter,
            height: self.pool().tip().height,
            what: "bundle slot".to_owned(),
            first: signed(first.header(), &first.signature()),
            second: signed(second, signature),
        };
        self.application.evidence(evidence);
    }

    pub async fn receive_bundle(self: &Arc<Self>, peer: &Arc<Peer>, bytes: Bytes) -> Result<(), WireError> {
        let (header, signature) = bundle_prefix(&bytes).map_err(|error| WireError::Malformed(Kind::Bundle, error))?;
        if bytes.len() != BUNDLE_PREFIX_BYTES + header.bytes as usize {
            return Err(WireError::BundleRefused("the frame and the header disagree about the length".into()));
        }
        if u64::from(header.bytes) > self.limits.lane_quota_bytes {
            // The first bundle of a lane must always fit its quota, or the lane would stand still for good.
            return Err(WireError::BundleRefused("it exceeds its submitter's quota of a whole height".into()));
        }
        let digest = header.digest(&self.chain);
        let look = self.pool().look(header.slot, &digest);
        match look {
            // One that acks nothing gains nothing by storing it again.
            Claim::Again if !self.is_validator() && self.store.contains(&digest) => return Ok(()),
            Claim::New | Claim::Again | Claim::Outside(Window::Early) => {}
            Claim::Taken(_) => {}
            Claim::Storing => return Ok(()),
            Claim::Acked => {
                self.ack_again(peer, digest).await;
                return Ok(());
            }
            Claim::Outside(Window::Old) => {
                self.counters.refused("slot_closed");
                return Ok(());
            }
            Claim::Outside(_) => {
                self.counters.refused("slot_out_of_reach");
                return Ok(());
            }
        }
        let key = self.pool().tip().directory.bundle_key(header.slot.submitter);
        let (worker, is_author) = (self.clone(), header.slot.submitter == peer.number);
        let verified = tokio::task::spawn_blocking(move || {
            if !key.is_some_and(|key| key.verify(&digest.0, &signature)) {
                if is_author {
                    return Err(WireError::BundleRefused("its signature does not verify".into()));
                }
                // No misbehaviour for sure: whoever took the bundle from its author checked it under the directory of
                // another height. The key was replaced since, or its participant is new and our tip is behind.
                worker.counters.refused("bundle_key_other");
                return Ok(None);
            }
            if let Claim::Taken(first) = look {
                worker.counters.refused("slot_taken");
                worker.accuse(&header, &digest, &signature, first);
                return Ok(None);
            }
            let parsed = Bundle::parse(&worker.chain, &bytes);
            parsed.map(|bundle| Some(Arc::new(bundle))).map_err(|error| WireError::BundleRefused(error.to_string()))
        });
        let verified = verified.await.map_err(|_| WireError::BundleRefused("parsing panicked".into()))??;
        if let Some(bundle) = verified {
            self.take(bundle, peer.number).await;
        }
        Ok(())
    }

    /// A verified bundle from a peer takes its slot, if that is free. One of the own lane comes from a peer only when this
    /// node's disk has lost it.
    pub async fn take(&self, bundle: Arc<Bundle>, from: ParticipantNumber) {
        // The room first, then the claim: a task that is cancelled in between must not leave a slot claimed for nothing.
        let Ok(room) = self.intake.reserve().await else { return };
        let is_own = bundle.slot().submitter == self.me;
        if let Some(acked) = self.store.acked(&bundle.slot()).filter(|acked| is_own && *acked != bundle.digest()) {
            // Ours was acked and is lost with the disk; this one, of our key too, was submitted elsewhere. It may win its slot,
            // without our ack.
            self.pool().claim_for_guard(bundle.slot(), acked);
            self.counters.refused("slot_taken");
            return;
        }
        let claim = self.pool().claim(bundle.slot(), bundle.digest());
        match claim {
            Claim::New | Claim::Again => {
                let source = if is_own { Source::Own } else { Source::Peer(from) };
                room.send(Incoming { bundle, source });
            }
            Claim::Outside(Window::Early) if !self.pool().keep_early(bundle, from) => {
                self.counters.refused("early_bundles_full");
            }
            // Kept until its slot opens; or another came between the look and the claim; if this is a reuse, its next offer leaves the evidence.
            _ => {}
        }
    }

    /// A sponsor that missed our ack offers again; Ed25519 signs the same bytes the same way. Only for a guarded ack
    /// (`Claim::Acked`): that the bundle is on disk is not enough.
    async fn ack_again(self: &Arc<Self>, peer: &Arc<Peer>, digest: BundleDigest) {
        if !self.is_validator() || self.has_failed() {
            return;
        }
        if let Some(signature) = self.sign_ack(&digest) {
            self.counters.acks_sent.add(1);
            self.send(peer, Frame::Ack(Ack { digest, signature }).to_bytes());
        }
    }

    pub async fn receive_certificate(self: &Arc<Self>, certificate: BundleCertificate) {
        if !self.pool().certificate_is_news(certificate.header.slot) {
            return;
        }
        let worker = self.clone();
        let taken = tokio::task::spawn_blocking(move || match worker.verified_under(&certificate) {
            Some(set) => worker.add_certificate(certificate, set),
            None => {
                // No misbehaviour for sure: a peer ahead of us may know a validator set that we do not.
                worker.counters.refused("certificate_invalid");
                false
            }
        });
        if taken.await.unwrap_or(false) {
            self.counters.certificates_received.add(1);
        }
    }
}
