//! How the plane starts, keeps house and stops.

use super::cache::{Recent, Verified};
use super::intake::INTAKE_QUEUE;
use super::network::Network;
use super::peer::{Outlets, address_is_plain, table};
use super::pool::{Guarded, Pool, Window};
use super::shared::{Shared, lock};
use super::wire::Flow;
use super::{PlaneConfig, PlaneError, PlaneKeys, lane, streams};
use crate::port::{Application, BundleStore, MustStop, Tip};
use ledger_types::block::Block;
use ledger_types::bundle::{Bundle, Slot};
use ledger_types::keys::SigningKey;
use ledger_types::{BundleDigest, Chain, Height, ParticipantNumber};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;

const HOUSEKEEPING: Duration = Duration::from_millis(250);
/// A certificate that waits this long for a block is told to everyone again.
const CERTIFICATES_REPEAT: Duration = Duration::from_secs(2);
/// Verified certificates remembered: 8 lanes deep for 256 participants, four times over.
const VERIFIED_MAX: usize = 8192;
/// Heights between two clean-ups of the store.
const COLLECT_EVERY: u64 = 64;

pub(super) async fn start(
    config: PlaneConfig,
    keys: PlaneKeys,
    chain: Chain,
    tip: Tip,
    store: Arc<dyn BundleStore>,
    application: Arc<dyn Application>,
) -> Result<Arc<Shared>, PlaneError> {
    if tip.directory.get(config.me).is_none() {
        return Err(PlaneError::Start(format!("participant {} does not stand in the directory", config.me)));
    }
    if !address_is_plain(&config.listen) {
        return Err(PlaneError::Start(format!("{} must be /ip4 or /ip6 and /tcp", config.listen)));
    }
    let peers = table(&config, &tip.directory)?;
    let (mut handles, mut outlets): (BTreeMap<_, _>, BTreeMap<ParticipantNumber, Outlets>) = Default::default();
    for (number, (peer, out)) in peers {
        handles.insert(number, peer);
        outlets.insert(number, out);
    }
    let (disconnect, commands) = mpsc::channel(64);
    let network = Network::listen(config.me, &keys.data_peer, config.listen, &handles, commands).await?;
    let (intake, incoming) = mpsc::channel(INTAKE_QUEUE);
    let limits = config.limits;
    let shared = Arc::new(Shared {
        me: config.me,
        chain,
        bundle_key: keys.bundle,
        store,
        application,
        runtime: tokio::runtime::Handle::current(),
        counters: Default::default(),
        peers: handles,
        directory: watch::Sender::new(tip.directory.clone()),
        verified: Mutex::new((tip.validators.hash(&chain), Verified::new(VERIFIED_MAX))),
        pool: Mutex::new(Pool::new(config.me, chain, tip, limits.lane_quota_bytes, limits.early_bytes_max)),
        recent: Mutex::new(Recent::new(limits.cache_bytes_max)),
        limits,
        sponsored: Default::default(),
        queue: Default::default(),
        recovery: Default::default(),
        fates: Default::default(),
        waiters: Default::default(),
        questions: super::question::Questions::new(),
        consensus: Default::default(),
        heights: Default::default(),
        intake,
        work: Notify::new(),
        lane: Notify::new(),
        failed: watch::Sender::new(None),
        tasks: Mutex::new(JoinSet::new()),
    });
    let restorer = shared.clone();
    tokio::task::spawn_blocking(move || restorer.restore())
        .await
        .unwrap_or_else(|panic| Err(MustStop(format!("reading unordered bundles panicked: {panic}"))))?;
    shared.settle_lane();

    for (number, out) in outlets {
        let peer = shared.peers[&number].clone();
        for (flow, frames) in [(Flow::Control, out.control), (Flow::Consensus, out.consensus)] {
            shared.spawn(streams::write_queued(shared.clone(), peer.clone(), flow, network.control(), frames));
        }
        shared.spawn(streams::write_bulk(shared.clone(), peer.clone(), network.control(), out.offers, out.replies));
        shared.spawn(streams::serve(shared.clone(), peer, out.serve));
    }
    for flow in Flow::ALL {
        shared.spawn(streams::accept(shared.clone(), flow, network.accept(flow), disconnect.clone()));
    }
    shared.spawn(super::state::accept(shared.clone(), network.accept_state()));
    shared.spawn(network.run(shared.clone()));
    shared.spawn(super::intake::store(shared.clone(), incoming));
    shared.spawn(lane::run(shared.clone()));
    shared.spawn(housekeeping(shared.clone()));
    Ok(shared)
}

async fn housekeeping(shared: Arc<Shared>) {
    let mut tick = tokio::time::interval(HOUSEKEEPING);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut certificates_at = Instant::now() + CERTIFICATES_REPEAT;
    loop {
        tick.tick().await;
        let now = Instant::now();
        shared.repeat(now);
        shared.pass_uncertified(now);
        shared.fetch_lacking(now);
        if now >= certificates_at {
            certificates_at = now + CERTIFICATES_REPEAT;
            shared.repeat_certificates(now, CERTIFICATES_REPEAT);
        }
    }
}

impl Shared {
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = lock(&self.tasks);
        while tasks.try_join_next().is_some() {}
        tasks.spawn_on(task, &self.runtime);
    }

    pub fn abort(&self) {
        lock(&self.tasks).abort_all();
    }

    pub async fn stop(&self) {
        let mut tasks = std::mem::take(&mut *lock(&self.tasks));
        tasks.shutdown().await;
    }

    /// Takes up what no block holds: slots stay claimed by what was acked in them, and the own lane is offered again.
    fn restore(&self) -> Result<(), MustStop> {
        let mut bundles: Vec<Arc<Bundle>> = self.store.unordered()?;
        bundles.retain(|bundle| matches!(self.pool().window(bundle.slot()), Window::Open | Window::Early));
        bundles.sort_by_key(|bundle| bundle.slot());
        let slots: Vec<(Slot, BundleDigest)> = bundles.iter().map(|bundle| (bundle.slot(), bundle.digest())).collect();
        // Of two bundles in a slot, the guard knows which was acked. Who acks none, or not in this slot: the first has it.
        let acked = match self.bundle_key {
            Some(_) => self.store.guard_acks(&slots)?,
            None => vec![None; slots.len()],
        };
        for (bundle, acked) in bundles.into_iter().zip(acked) {
            let (slot, digest) = (bundle.slot(), bundle.digest());
            self.pool().stored(slot, digest, acked.map_or(Guarded::Nothing, Guarded::Acked));
            let key = self.bundle_key.as_ref().filter(|_| slot.submitter == self.me);
            if let Some(key) = key.filter(|_| self.pool().is_claimed_by(slot, &digest)) {
                self.sponsor(self.signed_by(key, bundle)?);
            }
        }
        Ok(())
    }

    /// A bundle of the own lane as peers take it. A copy that was fetched by a certificate may bear any signature
    /// (`fetch`), and one from before the key was replaced bears the old key's. The digest covers no signature, so the
    /// one of now is of what stands in the slot already: on this disk come to lie only what this node signed and what a
    /// quorum took for that.
    fn signed_by(&self, key: &SigningKey, bundle: Arc<Bundle>) -> Result<Arc<Bundle>, MustStop> {
        if bundle.signature_is_valid(&key.public_key()) {
            return Ok(bundle);
        }
        let signed = Bundle::sign(&self.chain, bundle.slot(), bundle.envelopes().to_vec(), key);
        let signed = signed.map_err(|error| MustStop(format!("an own bundle cannot be signed anew: {error}")))?;
        debug_assert_eq!(signed.digest(), bundle.digest());
        Ok(Arc::new(signed))
    }

    pub fn committed(self: &Arc<Self>, block: &Block, tip: Tip) {
        let height = tip.height;
        {
            let mut fates = lock(&self.fates);
            block.certificates.iter().for_each(|certificate| fates.ordered(certificate.digest(&self.chain)));
        }
        self.directory.send_if_modified(|before| {
            let changed = *before != tip.directory;
            *before = tip.directory.clone();
            changed
        });
        let (opened, is_another_set) = {
            let mut pool = self.pool();
            let set = pool.set();
            (pool.advance(tip), pool.set() != set)
        };
        let closed = self.forget_closed();
        if is_another_set {
            self.certify_anew();
        }
        self.settle_own_lane(block);
        self.settle_lost(closed);
        self.settle_lane();
        lock(&self.heights).retain(|_, started| *started > height);
        if !opened.is_empty() {
            let shared = self.clone();
            self.spawn(async move {
                for (bundle, from) in opened {
                    shared.take(bundle, from).await;
                }
            });
        }
        if height.0.is_multiple_of(COLLECT_EVERY) {
            let shared = self.clone();
            self.spawn(async move {
                let lanes = shared.pool().tip().lanes.clone();
                let store = shared.store.clone();
                if let Ok(Err(cause)) = tokio::task::spawn_blocking(move || store.collect(&lanes)).await {
                    shared.fail(cause);
                }
            });
        }
        self.lane.notify_one();
        self.work.notify_one();
    }

    pub fn height_started(&self, from: ParticipantNumber, height: Height) {
        let validators = self.pool().tip().validators.clone();
        if validators.get(from).is_none() || height <= self.pool().tip().height {
            return;
        }
        lock(&self.heights).insert(from, height);
        self.work.notify_one();
    }

    /// A certified bundle is at hand, or more than a third of the power (so one honest validator) has begun a later height.
    pub fn has_work(&self, tip: &Tip) -> bool {
        if self.pool().has_work(tip) {
            return true;
        }
        let ahead: u64 = lock(&self.heights)
            .iter()
            .filter(|(_, height)| **height > tip.height)
            .filter_map(|(number, _)| tip.validators.get(*number))
            .map(|validator| validator.power)
            .sum();
        u128::from(ahead) * 3 > u128::from(tip.validators.total_power())
    }
}
