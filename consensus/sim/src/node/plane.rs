//! The data plane: the shipped pool (lanes, slots, windows, candidates), with bundles, acks and certificates between nodes.
//!
//! What is modelled: the store (one write and one sync a bundle with its ack; whole or not at all), who sends what when, fetching.

use super::{Ctx, Gone, Local, Node, Packet, TICK, To};
use crate::bugs::Bug;
use crate::disk::{Disk, DiskFile};
use crate::network::Micros;
use crate::signatures;
use bytes::Bytes;
use consensus::engine::supply::{AnswerFn, Supply};
use consensus::medium::Medium;
use consensus::plane::ConsensusListener;
use consensus::plane::pool::{Claim, Guarded, Pool};
use consensus::port::Tip;
use futures::future::BoxFuture;
use ledger_types::block::Block;
use ledger_types::bundle::{Bundle, BundleCertificate, Slot, ack_message};
use ledger_types::envelope::Envelope;
use ledger_types::participant::SignedBy;
use ledger_types::{BundleDigest, Chain, Height, List, ParticipantNumber};
use rand::Rng;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What is on disk of it.
pub struct PlaneStore {
    bundles: BTreeMap<BundleDigest, Arc<Bundle>>,
    acks: BTreeMap<Slot, BundleDigest>,
    file: DiskFile,
    /// Asked of the others; stored when they come, whatever their slot is taken by.
    wanted: BTreeSet<BundleDigest>,
}

impl PlaneStore {
    pub fn new(disk: &Disk) -> Self {
        PlaneStore {
            bundles: BTreeMap::new(),
            acks: BTreeMap::new(),
            file: disk.open("plane"),
            wanted: BTreeSet::new(),
        }
    }

    /// Which bundle this node acks in the slot; durable when it returns.
    fn put(&mut self, bundle: &Arc<Bundle>, forgets_acks: bool) -> std::io::Result<BundleDigest> {
        let (slot, digest) = (bundle.slot(), bundle.digest());
        let acked = self.acks.get(&slot).copied().filter(|_| !forgets_acks).unwrap_or(digest);
        if self.bundles.contains_key(&digest) && self.acks.get(&slot) == Some(&acked) {
            return Ok(acked);
        }
        self.file.write_all_at(&digest.0, 32 * self.bundles.len() as u64)?;
        self.file.sync_data()?;
        self.bundles.insert(digest, Arc::clone(bundle));
        self.acks.insert(slot, acked);
        self.wanted.remove(&digest);
        Ok(acked)
    }
}

pub struct Sponsored {
    bundle: Arc<Bundle>,
    acks: BTreeMap<ParticipantNumber, SignedBy>,
    certificate: Option<BundleCertificate>,
}

/// What the judge sees of the plane.
pub struct SimSupply {
    pub chain: Chain,
    pub pool: Arc<Mutex<Pool>>,
    pub store: Arc<Mutex<PlaneStore>>,
}

impl SimSupply {
    fn pool(&self) -> std::sync::MutexGuard<'_, Pool> {
        self.pool.lock().expect("one thread")
    }
}

impl Supply for SimSupply {
    fn candidates(&self, tip: &Tip, bytes_max: usize, certificates_max: usize) -> Vec<BundleCertificate> {
        self.pool().candidates(tip, bytes_max, certificates_max)
    }
    fn bundles(&self, certificates: &[BundleCertificate]) -> Option<Vec<Arc<Bundle>>> {
        let store = self.store.lock().expect("one thread");
        certificates.iter().map(|c| store.bundles.get(&c.digest(&self.chain)).cloned()).collect()
    }
    fn fetch<'a>(&'a self, _: &'a [BundleCertificate], _: Duration) -> BoxFuture<'a, Option<Vec<Arc<Bundle>>>> {
        Box::pin(std::future::ready(None))
    }
    fn certificate_is_valid(&self, certificate: &BundleCertificate) -> bool {
        let validators = self.pool().tip().validators.clone();
        signatures::bundle_certificate_holds(&self.chain, certificate, &validators)
    }
    fn committed(&self, _: &Block, _: Tip) {}
    fn height_started(&self, _: Height) {}
    fn has_work(&self, tip: &Tip) -> bool {
        self.pool().has_work(tip)
    }
    fn waiting_bytes(&self, tip: &Tip) -> usize {
        self.pool().waiting_bytes(tip)
    }
    fn work(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::pending())
    }
    fn ask_peers(&self, _: Vec<u8>, _: usize, _: Duration) -> BoxFuture<'_, Vec<(ParticipantNumber, Vec<u8>)>> {
        Box::pin(std::future::ready(Vec::new()))
    }
    fn answer_with(&self, _: AnswerFn) {}
    fn send_consensus(&self, _: Bytes) -> bool {
        false
    }
    fn hear_consensus(&self, _: ConsensusListener) {}
}

/// Bundles and certificates of one tick that are sent again.
const AGAIN_MAX: usize = 4;
const STATUS_EVERY_TICKS: u64 = 4;

impl Node {
    /// From a client of this bank.
    pub fn submit(&mut self, ctx: &mut Ctx<'_>, envelopes: Vec<Envelope>) {
        self.set_clock(ctx.now);
        self.own_queue.push(envelopes);
        self.settle(ctx);
    }

    /// From registration, whose lane the central bank's node sponsors.
    pub fn give(&mut self, ctx: &mut Ctx<'_>, bundle: &Arc<Bundle>) {
        self.set_clock(ctx.now);
        if matches!(self.pool().claim(bundle.slot(), bundle.digest()), Claim::New | Claim::Again) {
            self.store_later(ctx, bundle);
        }
        self.settle(ctx);
    }

    pub fn next_slot_of(&self, submitter: ParticipantNumber) -> Slot {
        self.pool().next_slot(submitter)
    }

    fn sponsors(&self, bundle: &Bundle) -> bool {
        self.sponsor_of(bundle) == self.durable.me
    }

    fn sponsor_of(&self, bundle: &Bundle) -> ParticipantNumber {
        match bundle.slot().submitter {
            ParticipantNumber::REGISTRATION => ParticipantNumber(1),
            submitter => submitter,
        }
    }

    fn store_later(&self, ctx: &mut Ctx<'_>, bundle: &Arc<Bundle>) {
        let after: Micros = ctx.rng.gen_range(100..2_000);
        self.later(ctx, after, Local::Store(Arc::clone(bundle)));
    }

    /// After a start: what the disk holds and no block does.
    pub fn take_up_bundles(&mut self) {
        let store = self.durable.plane.lock().expect("one thread");
        let unordered: Vec<(Arc<Bundle>, BundleDigest)> =
            store.bundles.values().map(|bundle| (Arc::clone(bundle), store.acks[&bundle.slot()])).collect();
        drop(store);
        for (bundle, acked) in unordered {
            let (slot, digest) = (bundle.slot(), bundle.digest());
            let claim = self.pool().claim(slot, digest);
            if matches!(claim, Claim::Outside(_)) {
                continue;
            }
            self.pool().stored(slot, digest, Guarded::Acked(acked));
            if acked == digest && self.sponsors(&bundle) {
                self.sponsor(bundle);
            }
        }
    }

    fn ack(&self, digest: &BundleDigest) -> SignedBy {
        let message = ack_message(&self.chain, digest, self.durable.me);
        SignedBy { signer: self.durable.me, signature: self.durable.bundle_key.sign(&message) }
    }

    fn sponsor(&mut self, bundle: Arc<Bundle>) {
        let (digest, ack) = (bundle.digest(), self.ack(&bundle.digest()));
        let acks = BTreeMap::from([(self.durable.me, ack)]);
        self.sponsored.entry(digest).or_insert(Sponsored { bundle, acks, certificate: None });
    }

    /// For a liar that has two bundles in a slot.
    pub fn sponsor_also(&mut self, bundle: Arc<Bundle>) {
        self.sponsor(bundle);
    }

    /// B-3: the next own bundle.
    pub fn cut_own(&mut self, ctx: &mut Ctx<'_>) {
        while !self.own_queue.is_empty() {
            let Some(slot) = self.pool().own_next(self.durable.me) else { return };
            let acked = self.durable.plane.lock().expect("one thread").acks.get(&slot).copied();
            if let Some(acked) = acked {
                self.pool().claim_for_guard(slot, acked);
                continue;
            }
            let envelopes = self.own_queue.remove(0);
            let Ok(bundle) = Bundle::sign(&self.chain, slot, envelopes, &self.durable.bundle_key) else { return };
            let bundle = Arc::new(bundle);
            if self.pool().claim(slot, bundle.digest()) == Claim::New {
                self.store_later(ctx, &bundle);
            }
        }
    }

    pub fn on_bundle(&mut self, ctx: &mut Ctx<'_>, bundle: &Arc<Bundle>) {
        let Some(key) = self.tip.directory.bundle_key(bundle.slot().submitter) else { return };
        if !signatures::verify(&key, &bundle.digest().0, &bundle.signature()) {
            return;
        }
        let (slot, digest) = (bundle.slot(), bundle.digest());
        let wanted = self.durable.plane.lock().expect("one thread").wanted.contains(&digest);
        let claim = self.pool().claim(slot, digest);
        match claim {
            Claim::New | Claim::Again => self.store_later(ctx, bundle),
            Claim::Acked => self.send_ack(ctx, bundle),
            Claim::Taken(_) => {
                ctx.trace.count("plane: second bundle in a slot");
                if wanted || self.durable.bug == Some(Bug::AckGuardDropped) {
                    self.store_later(ctx, bundle);
                }
            }
            Claim::Storing => {}
            Claim::Outside(_) if wanted => self.store_later(ctx, bundle),
            Claim::Outside(_) => {}
        }
    }

    fn send_ack(&self, ctx: &mut Ctx<'_>, bundle: &Bundle) {
        if !self.is_in_the_set() {
            return;
        }
        let (digest, sponsor) = (bundle.digest(), self.sponsor_of(bundle));
        let ack = self.ack(&digest);
        for (index, number) in self.durable.numbers.iter().enumerate() {
            if *number == sponsor && index != self.durable.index {
                ctx.send(To::One(index), Packet::Ack(digest, ack));
            }
        }
    }

    pub fn on_stored(&mut self, ctx: &mut Ctx<'_>, bundle: Arc<Bundle>) {
        let (slot, digest) = (bundle.slot(), bundle.digest());
        let forgets = self.durable.bug == Some(Bug::AckGuardDropped);
        let put = self.durable.plane.lock().expect("one thread").put(&bundle, forgets);
        let acked = match put {
            Ok(acked) => acked,
            Err(_) if self.durable.disk.is_dead() => {
                self.gone = Some(Gone::Died);
                return;
            }
            Err(error) => return self.must_stop(ctx, error.to_string()),
        };
        self.pool().stored(slot, digest, Guarded::Acked(acked));
        if acked != digest {
            return;
        }
        if self.sponsors(&bundle) {
            self.sponsor(Arc::clone(&bundle));
            ctx.send(To::All, Packet::Bundle(bundle));
        } else {
            self.send_ack(ctx, &bundle);
        }
    }

    pub fn on_ack(&mut self, ctx: &mut Ctx<'_>, digest: &BundleDigest, ack: &SignedBy) {
        let Some(validator) = self.tip.validators.get(ack.signer) else { return };
        if !signatures::verify(&validator.bundle, &ack_message(&self.chain, digest, ack.signer), &ack.signature) {
            return;
        }
        let Some(sponsored) = self.sponsored.get_mut(digest).filter(|sponsored| sponsored.certificate.is_none()) else {
            return;
        };
        sponsored.acks.insert(ack.signer, *ack);
        self.certify(ctx, digest);
    }

    /// Acks of a quorum make the certificate. One of who left the set meanwhile does not count.
    fn certify(&mut self, ctx: &mut Ctx<'_>, digest: &BundleDigest) {
        let validators = &self.tip.validators;
        let Some(sponsored) = self.sponsored.get_mut(digest).filter(|sponsored| sponsored.certificate.is_none()) else {
            return;
        };
        sponsored.acks.retain(|signer, _| validators.get(*signer).is_some());
        if !validators.is_quorum(sponsored.acks.len() as u64) {
            return;
        }
        let acks = List::new(sponsored.acks.values().copied().collect()).expect("of the set");
        let certificate = BundleCertificate { header: sponsored.bundle.header().clone(), acks };
        sponsored.certificate = Some(certificate.clone());
        self.take_certificate(ctx, &certificate);
        ctx.send(To::All, Packet::Certificate(Box::new(certificate)));
    }

    /// Who has come in acks what its guard held for it as an observer.
    fn ack_own(&mut self, digest: &BundleDigest) {
        let (me, ack, is_in) = (self.durable.me, self.ack(digest), self.is_in_the_set());
        let store = self.durable.plane.lock().expect("one thread");
        if let Some(sponsored) = self.sponsored.get_mut(digest)
            && is_in
            && store.acks.get(&sponsored.bundle.slot()) == Some(digest)
        {
            sponsored.acks.insert(me, ack);
        }
    }

    /// G-3: bundles whose certificates the incoming set does not take are offered again, and acks are counted by it.
    pub fn certify_anew(&mut self, ctx: &mut Ctx<'_>) {
        let mut uncertified = Vec::new();
        {
            let pool = self.pool.lock().expect("one thread");
            for (digest, sponsored) in &mut self.sponsored {
                if sponsored.certificate.is_some() && !pool.is_certified(sponsored.bundle.slot()) {
                    ctx.trace.count("hand over: bundle certified anew");
                    sponsored.certificate = None;
                }
                if sponsored.certificate.is_none() {
                    uncertified.push(*digest);
                }
            }
        }
        // What serves on counts in the incoming set too.
        for certificate in self.pool().unordered_certificates(self.instant(ctx.now)) {
            ctx.oracle.certified(&self.tip.validators, certificate.header.slot, certificate.digest(&self.chain));
        }
        for digest in uncertified {
            self.ack_own(&digest);
            self.certify(ctx, &digest);
        }
    }

    pub fn on_certificate(&mut self, ctx: &mut Ctx<'_>, certificate: &BundleCertificate) {
        let slot = certificate.header.slot;
        if self.pool().certificate_is_news(slot)
            && signatures::bundle_certificate_holds(&self.chain, certificate, &self.tip.validators)
        {
            self.take_certificate(ctx, certificate);
        }
    }

    fn take_certificate(&mut self, ctx: &mut Ctx<'_>, certificate: &BundleCertificate) {
        let digest = certificate.digest(&self.chain);
        ctx.oracle.certified(&self.tip.validators, certificate.header.slot, digest);
        let on_disk = self.durable.plane.lock().expect("one thread").bundles.contains_key(&digest);
        let now = self.instant(ctx.now);
        self.pool().certified(certificate.clone(), on_disk, now);
    }

    /// B-6.
    pub fn want(&mut self, ctx: &mut Ctx<'_>, certificates: &[BundleCertificate]) {
        let mut missing = Vec::new();
        {
            let mut store = self.durable.plane.lock().expect("one thread");
            for digest in certificates.iter().map(|certificate| certificate.digest(&self.chain)) {
                if !store.bundles.contains_key(&digest) {
                    store.wanted.insert(digest);
                    missing.push(digest);
                }
            }
        }
        if !missing.is_empty() {
            ctx.trace.count("plane: fetched");
            let others = self.durable.numbers.len();
            let peer = (self.durable.index + ctx.rng.gen_range(1..others)) % others;
            ctx.send(To::One(peer), Packet::Fetch(missing));
        }
    }

    pub fn on_fetch(&mut self, ctx: &mut Ctx<'_>, from: usize, digests: &[BundleDigest]) {
        let store = self.durable.plane.lock().expect("one thread");
        for bundle in digests.iter().filter_map(|digest| store.bundles.get(digest)) {
            ctx.send(To::One(from), Packet::Bundle(Arc::clone(bundle)));
        }
    }

    pub fn bundles_committed(&mut self, ctx: &mut Ctx<'_>) {
        let (opened, is_another_set) = {
            let mut pool = self.pool();
            let before = pool.tip().validators.clone();
            (pool.advance(self.tip.clone()), self.tip.validators != before)
        };
        let pool = self.pool.lock().expect("one thread");
        self.sponsored.retain(|_, sponsored| {
            let slot = sponsored.bundle.slot();
            (slot.incarnation, slot.sequence) >= pool.position(slot.submitter)
        });
        drop(pool);
        if is_another_set {
            self.certify_anew(ctx);
        }
        for (bundle, _) in opened {
            self.on_bundle(ctx, &bundle);
        }
    }

    /// What was lost on the way goes out again.
    pub fn on_tick(&mut self, ctx: &mut Ctx<'_>) {
        self.later(ctx, TICK, Local::Tick);
        let tick = ctx.now / TICK;
        if (tick + self.durable.index as u64).is_multiple_of(STATUS_EVERY_TICKS) {
            ctx.send(To::All, Packet::Status(self.tip.height));
        }
        self.catch_up(ctx);
        // Bundles that lack acks before certificates, the next slots first.
        let mut waiting: Vec<&Sponsored> = self.sponsored.values().collect();
        waiting.sort_by_key(|sponsored| {
            let slot = sponsored.bundle.slot();
            (sponsored.certificate.is_some(), slot.incarnation, slot.sequence)
        });
        let again: Vec<Packet> = waiting
            .into_iter()
            .take(AGAIN_MAX)
            .map(|sponsored| match &sponsored.certificate {
                Some(certificate) => Packet::Certificate(Box::new(certificate.clone())),
                None => Packet::Bundle(Arc::clone(&sponsored.bundle)),
            })
            .collect();
        for packet in again {
            ctx.send(To::All, packet);
        }
        let before = self.instant(ctx.now.saturating_sub(TICK));
        let lacking = self.pool().lacking(before);
        self.want(ctx, &lacking);
    }
}
