//! Bundles that a certificate or a peer's lane report names, and this node lacks.
//!
//! The certificate's signers are asked first, then anyone, one peer at a time a bundle; whoever is slow, has it not, or serves
//! other bytes is passed over for the next. What comes is parsed, compared with the wanted digest and stored durably before
//! anybody waiting hears of it.
//!
//! Must stay true: a bundle that no certificate names is stored only when its submitter signed it. One that a certificate names
//! needs no signature: a quorum checked it under the key of that time, the digest says that it is the same bundle, and the
//! directory may hold another key by now. The digest does not cover the signature, so that of a stored bundle proves
//! nothing by itself: whoever shows it to others, as evidence or as an offer, checks it first.

use super::FetchError;
use super::intake::{Incoming, Source};
use super::peer::Peer;
use super::shared::{Shared, lock};
use super::wire::{Frame, bundle_prefix};
use bytes::Bytes;
use futures::StreamExt;
use ledger_types::bundle::{Bundle, BundleCertificate};
use ledger_types::{BundleDigest, List, ParticipantNumber};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::time::timeout;

/// At 384 KiB a bundle and 25 ms of distance this fills 120 MB/s; at 4 MiB a bundle it is 32 MiB of memory.
const FETCHES_AT_ONCE: usize = 8;
/// For one peer: 4 MiB at 16 Mbit/s.
const TRY_MAX: Duration = Duration::from_secs(2);
const NOBODY_UP: Duration = Duration::from_millis(50);
/// A certified bundle that is still not here after this was not merely slower than its certificate.
const LACKING_SINCE: Duration = Duration::from_millis(300);
const BACKGROUND_MAX: Duration = Duration::from_secs(10);

/// On whose word a bundle is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Named {
    /// By a certificate that was verified, or that a decided block holds.
    ByCertificate,
    /// By one peer.
    ByReport,
}

struct Waiter {
    named: Named,
    sender: mpsc::UnboundedSender<Arrival>,
}

enum Arrival {
    Here(Arc<Bundle>),
    /// This peer does not have it, or lied.
    NotFrom(ParticipantNumber),
}

#[derive(Default)]
pub(super) struct Waiters {
    next: u64,
    waiting: HashMap<BundleDigest, HashMap<u64, Waiter>>,
    /// Fetched in the background already.
    background: std::collections::HashSet<BundleDigest>,
}

impl Waiters {
    pub fn arrived(&mut self, bundle: &Arc<Bundle>) {
        for waiter in self.waiting.remove(&bundle.digest()).into_iter().flatten() {
            let _ = waiter.1.sender.send(Arrival::Here(bundle.clone()));
        }
    }

    fn not_from(&self, peer: ParticipantNumber, digest: &BundleDigest) {
        for waiter in self.waiting.get(digest).into_iter().flatten() {
            let _ = waiter.1.sender.send(Arrival::NotFrom(peer));
        }
    }

    /// The best word for a bundle that somebody waits for; none when nobody does.
    fn named(&self, digest: &BundleDigest) -> Option<Named> {
        let waiters = self.waiting.get(digest)?;
        let by_certificate = waiters.values().any(|waiter| waiter.named == Named::ByCertificate);
        Some(if by_certificate { Named::ByCertificate } else { Named::ByReport })
    }

    fn wait(&mut self, digest: BundleDigest, named: Named) -> (u64, mpsc::UnboundedReceiver<Arrival>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.next += 1;
        self.waiting.entry(digest).or_default().insert(self.next, Waiter { named, sender });
        (self.next, receiver)
    }

    fn leave(&mut self, digest: &BundleDigest, id: u64) {
        if let Some(waiters) = self.waiting.get_mut(digest) {
            waiters.remove(&id);
            if waiters.is_empty() {
                self.waiting.remove(digest);
            }
        }
    }
}

/// Leaves when the fetch is dropped, whatever the reason.
struct Waiting<'a> {
    shared: &'a Shared,
    digest: BundleDigest,
    id: u64,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        lock(&self.shared.waiters).leave(&self.digest, self.id);
    }
}

impl Shared {
    pub async fn fetch(
        self: &Arc<Self>,
        certificates: &[BundleCertificate],
        deadline: Duration,
    ) -> Result<Vec<Arc<Bundle>>, FetchError> {
        let until = Instant::now() + deadline;
        let one = |certificate: BundleCertificate| async move {
            let digest = certificate.digest(&self.chain);
            let left = until.saturating_duration_since(Instant::now());
            self.fetch_from(&self.sources(&certificate), digest, Named::ByCertificate, left).await.map_err(|_| digest)
        };
        let fetches: Vec<_> = certificates.iter().cloned().map(one).collect();
        let fetched: Vec<_> = futures::stream::iter(fetches).buffered(FETCHES_AT_ONCE).collect().await;
        if self.has_failed() {
            return Err(FetchError::Stopped);
        }
        let missing: Vec<BundleDigest> = fetched.iter().filter_map(|fetched| fetched.as_ref().err().copied()).collect();
        match missing.is_empty() {
            true => Ok(fetched.into_iter().flatten().collect()),
            false => Err(FetchError::Deadline(missing)),
        }
    }

    /// Signers, starting at another one for each bundle, then everyone else.
    fn sources(&self, certificate: &BundleCertificate) -> Vec<ParticipantNumber> {
        let mut signers: Vec<_> = certificate.acks.iter().map(|ack| ack.signer).filter(|n| *n != self.me).collect();
        if !signers.is_empty() {
            let first = certificate.header.slot.sequence as usize % signers.len();
            signers.rotate_left(first);
        }
        let others: Vec<_> = self.peers.keys().copied().filter(|number| !signers.contains(number)).collect();
        signers.extend(others);
        signers
    }

    /// Cancel-safe. Asks the peers in order, again and again until the deadline.
    pub async fn fetch_from(
        self: &Arc<Self>,
        sources: &[ParticipantNumber],
        digest: BundleDigest,
        named: Named,
        deadline: Duration,
    ) -> Result<Arc<Bundle>, FetchError> {
        let (id, mut arrivals) = lock(&self.waiters).wait(digest, named);
        let _waiting = Waiting { shared: self, digest, id };
        let reader = self.clone();
        // After `wait`: what arrives between this look and the wait is heard.
        let local = tokio::task::spawn_blocking(move || reader.bundle(&digest)).await;
        if let Ok(Some(bundle)) = local {
            return Ok(bundle);
        }
        let want = Frame::Want(List::new(vec![digest]).expect("one of at most sixteen")).to_bytes();
        let asking = async {
            let mut nobody_up = true;
            for number in sources.iter().cycle().scan(0usize, |asked, number| {
                let round_ends = *asked % sources.len() == sources.len() - 1;
                *asked += 1;
                Some((number, round_ends))
            }) {
                let (number, round_ends) = number;
                let peer = self.peers.get(number).filter(|peer| peer.is_up());
                let wait = match peer {
                    Some(peer) => {
                        self.send(peer, want.clone());
                        nobody_up = false;
                        TRY_MAX
                    }
                    None if round_ends && nobody_up => NOBODY_UP,
                    None => Duration::ZERO,
                };
                if round_ends {
                    nobody_up = true;
                }
                let until = Instant::now() + wait;
                loop {
                    match timeout(until.saturating_duration_since(Instant::now()), arrivals.recv()).await {
                        Ok(Some(Arrival::Here(bundle))) => return Some(bundle),
                        Ok(Some(Arrival::NotFrom(who))) if who == *number => break,
                        Ok(Some(Arrival::NotFrom(_))) => {}
                        Ok(None) => return None,
                        Err(_) => break,
                    }
                }
                if round_ends {
                    // Everyone said no: do not ask in a busy loop.
                    tokio::time::sleep(NOBODY_UP).await;
                }
            }
            None
        };
        match timeout(deadline, asking).await {
            Ok(Some(bundle)) => Ok(bundle),
            _ => Err(FetchError::Deadline(vec![digest])),
        }
    }

    pub fn absent(&self, from: ParticipantNumber, digest: &BundleDigest) {
        lock(&self.waiters).not_from(from, digest);
    }

    pub async fn receive_fetched(self: &Arc<Self>, peer: &Arc<Peer>, digest: BundleDigest, bytes: Bytes) {
        let Some(named) = lock(&self.waiters).named(&digest) else { return };
        let worker = self.clone();
        let parsed = tokio::task::spawn_blocking(move || worker.parse_fetched(&digest, named, &bytes)).await;
        match parsed.ok().flatten() {
            Some(bundle) => {
                let _ = self.intake.send(Incoming { bundle, source: Source::Fetched }).await;
            }
            None => {
                tracing::warn!(me = %self.me, peer = %peer.number, %digest, "a peer served other bytes than were asked for");
                self.counters.refused("fetched_other_bytes");
                lock(&self.waiters).not_from(peer.number, &digest);
            }
        }
    }

    fn parse_fetched(&self, digest: &BundleDigest, named: Named, bytes: &[u8]) -> Option<Arc<Bundle>> {
        let (header, signature) = bundle_prefix(bytes).ok()?;
        if header.digest(&self.chain) != *digest {
            return None;
        }
        if named == Named::ByReport {
            // A peer reports of our lane only: anything else would be kept on its word, and nobody would ever collect it.
            (header.slot.submitter == self.me).then_some(())?;
            let key = self.pool().tip().directory.bundle_key(header.slot.submitter)?;
            key.verify(&digest.0, &signature).then_some(())?;
        }
        Bundle::parse(&self.chain, bytes).ok().map(Arc::new)
    }

    /// Called a few times a second: certified bundles that did not come by themselves.
    pub fn fetch_lacking(self: &Arc<Self>, now: Instant) {
        let Some(before) = now.checked_sub(LACKING_SINCE) else { return };
        let lacking = self.pool().lacking(before);
        for certificate in lacking {
            let (slot, digest) = (certificate.header.slot, certificate.digest(&self.chain));
            if self.store.contains(&digest) {
                self.pool().stored(slot, digest, super::pool::Guarded::NotAsked);
                self.work.notify_one();
                continue;
            }
            {
                let mut waiters = lock(&self.waiters);
                if waiters.background.len() >= FETCHES_AT_ONCE || !waiters.background.insert(digest) {
                    continue;
                }
            }
            let shared = self.clone();
            self.spawn(async move {
                let sources = shared.sources(&certificate);
                let _ = shared.fetch_from(&sources, digest, Named::ByCertificate, BACKGROUND_MAX).await;
                lock(&shared.waiters).background.remove(&digest);
            });
        }
    }
}
