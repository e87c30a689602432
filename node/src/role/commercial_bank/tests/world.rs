//! A small world for the desk's tests: the real transition in memory, real desks on real databases, links as calls, and a
//! registration that opens what the desks release.

mod registry;

use crate::config;
use crate::ledger::Committed;
use crate::link::{Caller, LinkError, Request, Response};
use crate::reconciliation::words::Registered;
use crate::role::central_bank::{CentralBankDesk, IssuanceAuthority, Officers};
use crate::role::commercial_bank::at_rest::AtRest;
use crate::role::commercial_bank::desk::{DeskKeys, Inner, Started};
use crate::role::commercial_bank::epochs::EpochLimits;
use crate::role::commercial_bank::job::{Job, JobId, State, Work};
use crate::role::commercial_bank::journal::Journal;
use crate::role::commercial_bank::ports::Ports;
use crate::role::commercial_bank::requests::{NewJob, NotCreated};
use crate::role::commercial_bank::rows::{FORMAT, Table};
use crate::wallet_keys::owner_key;
use futures::future::BoxFuture;
use ledger_seal::{DisclosureKey, EnvelopeRoot, KemSecret, open_with_root};
use ledger_state::memory::MemoryState;
use ledger_state::{
    CandidateBlock, GenesisLoad, GenesisStep, Ledger, PaymentRule, PolicyAtHeight, Rules, SignatureChecks, StateReader,
    apply, payment_is_good,
};
use ledger_store::PrivateStore;
use ledger_types::block::Block;
use ledger_types::bundle::{Bundle, BundleCertificate, Slot};
use ledger_types::channel::SignedEpochOffer;
use ledger_types::coin::{Coin, coin_id, coin_link, issue_origin, origin};
use ledger_types::confirmation::{Batch, BatchRecord, Overdue, Record, RecordStatus};
use ledger_types::contract::OpenObligation;
use ledger_types::envelope::{ClearContext, Envelope, Kind, OfficerSignature};
use ledger_types::genesis::{GENESIS_VERSION, Genesis, KemSuite, Preissue, Series};
use ledger_types::keys::{Signature, SigningKey};
use ledger_types::participant::{CentralBankKeys, Directory, Participant, ParticipantKeys, Roles};
use ledger_types::sealed::Sealed;
use ledger_types::vote::CommitCertificate;
use ledger_types::*;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;
use zeroize::Zeroizing;

pub const CENTRAL: ParticipantNumber = ParticipantNumber(1);
pub const BANK2: ParticipantNumber = ParticipantNumber(2);
pub const BANK3: ParticipantNumber = ParticipantNumber(3);
pub const BANK4: ParticipantNumber = ParticipantNumber(4);
pub const BANKS: [ParticipantNumber; 4] = [CENTRAL, BANK2, BANK3, BANK4];

/// Of each of bank 2's pre-issued coins.
pub const PREISSUED_AMOUNT: u64 = 10_000;
pub const PREISSUED_COUNT: u32 = 8;

pub fn named(name: &str) -> [u8; 32] {
    *blake3::hash(name.as_bytes()).as_bytes()
}

pub fn key_of(number: ParticipantNumber, purpose: &str) -> SigningKey {
    SigningKey::from_seed(&named(&format!("{number} {purpose}")))
}

pub fn vault_seed(number: ParticipantNumber) -> [u8; 32] {
    named(&format!("{number} vault"))
}

pub fn storage_secret(number: ParticipantNumber) -> [u8; 32] {
    named(&format!("{number} storage"))
}

fn kem(number: ParticipantNumber) -> KemSecret {
    KemSecret::from_seed(KemSuite::X25519, &named(&format!("{number} kem")))
}

fn participant(number: ParticipantNumber) -> Participant {
    let public = |purpose| key_of(number, purpose).public_key();
    let central = number == CENTRAL;
    Participant {
        number,
        name: Text::new(&if central { "central-bank".into() } else { format!("bank{number}") }).unwrap(),
        roles: Roles::VALIDATOR.and(if central { Roles::CENTRAL_BANK } else { Roles::COMMERCIAL_BANK }),
        power: 1,
        keys: ParticipantKeys {
            consensus: public("consensus"),
            bundle: public("bundle"),
            cosign: public("cosign"),
            desk: public("desk"),
            offer: public("offer"),
            link: public("link"),
            engine_peer: public("engine peer"),
            data_peer: public("data peer"),
            kem: kem(number).public_key(),
        },
        central_bank: central.then(|| CentralBankKeys {
            log: public("log"),
            registration: public("registration"),
            registration_link: public("registration link"),
            issue: public("issue"),
        }),
    }
}

fn officer(index: usize) -> SigningKey {
    SigningKey::from_seed(&named(&format!("officer {index}")))
}

/// Of a ceremony of this world's officers.
pub fn officers_key(genesis: &Genesis) -> DisclosureKey {
    let mut document = crate::officers_key::hold(3, 2).unwrap().document;
    let message = document.message(&genesis.chain());
    let sign = |index: u8| OfficerSignature { officer: index, signature: officer(index.into()).sign(&message) };
    document.authorizations = List::new([0, 2].map(sign).to_vec()).unwrap();
    DisclosureKey::check(genesis, &document).unwrap()
}

pub fn genesis() -> Genesis {
    let genesis = Genesis {
        version: GENESIS_VERSION,
        currency: Currency(*b"CNY"),
        exponent: 2,
        kem_suite: KemSuite::X25519,
        time_ms: crate::clock::now_ms(),
        origin: Text::new("assay.example/log").unwrap(),
        officers: List::new((0..3).map(officer).map(|key| key.public_key()).collect()).unwrap(),
        officer_threshold: 2,
        unconfirmed_depth_max: 0,
        expiry_window_ms: 60_000,
        release_deadline_ms: 60_000,
        bytes_per_submitter_per_height: 4 << 20,
        batch_records_max: 1_000,
        series: List::new(vec![Series { number: SeriesNumber(1), name: Text::new("first").unwrap() }]).unwrap(),
        preissues: List::new(vec![Preissue {
            series: SeriesNumber(1),
            seed: [2; 32],
            bank: BANK2,
            owner: owner_key(&vault_seed(BANK2), 0).public_key(),
            amount: Amount(PREISSUED_AMOUNT),
            count: PREISSUED_COUNT,
        }])
        .unwrap(),
        directory: Directory::new(BANKS.map(participant).to_vec()).unwrap(),
    };
    genesis.check().unwrap();
    genesis
}

/// What registration has seen of an envelope.
struct Ordered {
    envelope: Envelope,
    registered: bool,
}

struct Chain {
    state: MemoryState,
    ledger: Arc<Ledger>,
    lanes: BTreeMap<ParticipantNumber, Vec<Envelope>>,
    ordered: HashMap<EnvelopeId, Ordered>,
    accepted: Vec<EnvelopeId>,
    /// Of each bank, the releases that registration has.
    taken: HashMap<ParticipantNumber, u64>,
}

/// What went between desks, or to the ledger, that a test may want in its order.
#[derive(Clone)]
pub enum Passed {
    /// The sender has heard it.
    Acknowledged { offer: SignedEpochOffer, member: ParticipantNumber, signature: Signature },
    /// Whether or not it is ever ordered; again when a desk hands it in again.
    Submitted(Envelope),
}

pub struct World {
    pub rules: Rules,
    chain: Mutex<Chain>,
    desks: RwLock<HashMap<ParticipantNumber, Arc<Inner>>>,
    cut_off: RwLock<HashSet<ParticipantNumber>>,
    /// Those who do what they are asked and whose answers are lost.
    unheard: RwLock<HashSet<ParticipantNumber>>,
    /// Every committed height, for desks that come back.
    heights: Mutex<Vec<Arc<Committed>>>,
    passed: Mutex<Vec<Passed>>,
    /// Of the desks that are opened from now on.
    epoch_limits: RwLock<EpochLimits>,
    pub folder: tempfile::TempDir,
}

pub struct WorldPorts {
    world: Arc<World>,
    me: ParticipantNumber,
}

impl Ports for WorldPorts {
    fn rules(&self) -> &Rules {
        &self.world.rules
    }

    fn ledger(&self) -> Arc<Ledger> {
        self.world.chain().ledger.clone()
    }

    fn coins(&self, ids: &[CoinId]) -> Result<Vec<Option<Coin>>, String> {
        self.world.chain().state.coins(ids).map_err(|error| error.to_string())
    }

    fn record(&self, coin: &CoinId) -> Result<Option<Record>, String> {
        Ok(self.world.chain().state.records.get(coin).copied())
    }

    fn registered(&self, coin: &CoinId) -> Result<Registered, String> {
        Ok(match self.record(coin)? {
            None => Registered::Absent,
            Some(record) => Registered::Record { status: record.status, tag: record.tag },
        })
    }

    fn coin_proof(&self, coin: &CoinId) -> Result<Vec<u8>, String> {
        Ok(self.world.prove_coin(coin).to_bytes())
    }

    fn obligation(&self, id: &ObligationId) -> Result<Option<OpenObligation>, String> {
        self.world.chain().state.obligation(id).map_err(|error| error.to_string())
    }

    fn policy(&self, policy: &PolicyHash) -> Result<PolicyAtHeight, String> {
        let chain = self.world.chain();
        PolicyAtHeight::read(&chain.state, &chain.ledger.feeds, policy).map_err(|error| error.to_string())
    }

    fn envelope(&self, id: &EnvelopeId) -> Result<Option<Envelope>, String> {
        Ok(self.world.chain().ordered.get(id).map(|ordered| ordered.envelope.clone()))
    }

    fn submit(&self, envelopes: Vec<Envelope>) -> BoxFuture<'static, Result<(), String>> {
        self.world.passed.lock().unwrap().extend(envelopes.iter().cloned().map(Passed::Submitted));
        self.world.chain().lanes.entry(self.me).or_default().extend(envelopes);
        Box::pin(async { Ok(()) })
    }

    fn call(
        &self,
        peer: ParticipantNumber,
        request: Request,
        deadline: Duration,
    ) -> BoxFuture<'static, Result<Response, LinkError>> {
        let desk = self.world.desks.read().unwrap().get(&peer).cloned();
        let desk = desk.filter(|_| !self.world.cut_off.read().unwrap().contains(&peer));
        let caller = Caller::Participant(self.me);
        let world = self.world.clone();
        let offer = match &request {
            Request::OfferEpoch { offer } => SignedEpochOffer::from_bytes(offer).ok(),
            _ => None,
        };
        Box::pin(async move {
            let Some(desk) = desk else { return Err(LinkError::Broken(peer)) };
            let waited_ms = deadline.as_millis() as u64;
            let answer = tokio::time::timeout(deadline, desk.answer(caller, request))
                .await
                .map_err(|_| LinkError::Deadline { peer, waited_ms });
            if world.unheard.read().unwrap().contains(&peer) {
                return Err(LinkError::Broken(peer));
            }
            if let (Some(offer), Ok(Response::EpochAcked { signature })) = (offer, &answer) {
                let signature = Signature::from_bytes(signature).unwrap();
                world.passed.lock().unwrap().push(Passed::Acknowledged { offer, member: peer, signature });
            }
            answer
        })
    }

    fn peers(&self) -> Vec<ParticipantNumber> {
        BANKS.into_iter().filter(|bank| *bank != self.me).collect()
    }
}

pub fn settings() -> config::Desk {
    config::Desk { live_coins_per_wallet: 4, split_above: 1_000, split_every_ms: 20, ..config::Desk::default() }
}

/// A test's own hold on its world. Desks hold the world that they are in, which would outlive the test and leave its
/// folder behind: they go when the test lets go.
pub struct Held(Arc<World>);

impl std::ops::Deref for Held {
    type Target = Arc<World>;

    fn deref(&self) -> &Arc<World> {
        &self.0
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Ok(mut desks) = self.0.desks.write() {
            desks.clear();
        }
    }
}

impl World {
    pub fn with_genesis(genesis: Genesis) -> Held {
        let rules = Rules::new(genesis);
        let mut state = MemoryState::default();
        let mut load = GenesisLoad::start(&rules);
        let ledger = loop {
            match load.step(&state).unwrap() {
                GenesisStep::More(changes) => state.write(&changes),
                GenesisStep::Last(changes, ledger) => {
                    state.write(&changes);
                    break *ledger;
                }
            }
        };
        let chain = Chain {
            state,
            ledger: Arc::new(ledger),
            lanes: BTreeMap::new(),
            ordered: HashMap::new(),
            accepted: Vec::new(),
            taken: HashMap::new(),
        };
        Held(Arc::new(World {
            rules,
            chain: Mutex::new(chain),
            desks: RwLock::default(),
            cut_off: RwLock::default(),
            unheard: RwLock::default(),
            heights: Mutex::default(),
            passed: Mutex::default(),
            epoch_limits: RwLock::default(),
            folder: tempfile::tempdir().unwrap(),
        }))
    }

    /// All four banks' desks, running.
    pub async fn with_desks() -> Held {
        let world = World::with_genesis(genesis());
        for bank in BANKS {
            world.open(bank, settings(), None).await;
        }
        world
    }

    fn chain(&self) -> std::sync::MutexGuard<'_, Chain> {
        self.chain.lock().unwrap()
    }

    /// The last release of this bank that registration has.
    pub fn taken(&self, bank: ParticipantNumber) -> u64 {
        self.chain().taken[&bank]
    }

    pub fn desk(&self, bank: ParticipantNumber) -> Arc<Inner> {
        self.desks.read().unwrap()[&bank].clone()
    }

    pub fn desk_folder(&self, bank: ParticipantNumber) -> std::path::PathBuf {
        self.folder.path().join(format!("bank{bank}"))
    }

    /// Opens a bank's desk, lets it catch up, and takes up its unfinished jobs. `units`: its journal ends after so many.
    pub async fn open(self: &Arc<Self>, bank: ParticipantNumber, settings: config::Desk, units: Option<u64>) {
        let folder = self.desk_folder(bank);
        let store = PrivateStore::open(&folder, "bank desk", FORMAT, &self.rules.chain, &Table::specs()).unwrap();
        let keys = DeskKeys {
            desk: key_of(bank, "desk"),
            offer: key_of(bank, "offer"),
            kem: kem(bank),
            storage: Zeroizing::new(storage_secret(bank)),
            vault: Zeroizing::new(vault_seed(bank)),
            epoch_limits: *self.epoch_limits.read().unwrap(),
        };
        let ports = Arc::new(WorldPorts { world: self.clone(), me: bank });
        let central = (bank == CENTRAL).then(|| CentralBankDesk {
            authority: IssuanceAuthority::of_key(key_of(CENTRAL, "issue")),
            officers: Officers::of_keys((0..3).map(officer).collect(), &self.rules).unwrap(),
            issuing: tokio::sync::Mutex::new(()),
        });
        let journal = |store: Arc<PrivateStore>, at_rest: Arc<AtRest>| match units {
            None => Journal::start(store, at_rest),
            Some(units) => Journal::start_until_killed(store, at_rest, units),
        };
        let (desk, unfinished): (Arc<Inner>, Vec<Started>) =
            Inner::open(store, journal, keys, bank, settings, ports, central).unwrap();
        let heights: Vec<Arc<Committed>> = self.heights.lock().unwrap().clone();
        let cursor = desk.shared().cursor;
        for committed in heights.iter().filter(|committed| committed.height > cursor) {
            if desk.follow_height(committed).await.is_err() {
                break;
            }
        }
        self.desks.write().unwrap().insert(bank, desk.clone());
        unfinished.into_iter().for_each(|started| desk.spawn(started));
    }

    /// Ends a desk as kill -9 would: nothing that waits in memory is written any more. Returns when its database is free.
    pub async fn kill(&self, bank: ParticipantNumber) {
        let desk = self.desks.write().unwrap().remove(&bank).unwrap();
        desk.journal.kill();
        let alive = Arc::downgrade(&desk);
        drop(desk);
        until("the killed desk's tasks have ended", || alive.strong_count() == 0).await;
        let folder = self.desk_folder(bank);
        let chain = self.rules.chain;
        until("its database is free", || {
            PrivateStore::open(&folder, "bank desk", FORMAT, &chain, &Table::specs()).is_ok()
        })
        .await;
    }

    /// Every committed height above this one.
    pub fn heights_above(&self, height: Height) -> Vec<Arc<Committed>> {
        let heights = self.heights.lock().unwrap();
        heights.iter().filter(|committed| committed.height > height).cloned().collect()
    }

    pub fn cut_off(&self, bank: ParticipantNumber) {
        self.cut_off.write().unwrap().insert(bank);
    }

    pub fn reconnect(&self, bank: ParticipantNumber) {
        self.cut_off.write().unwrap().remove(&bank);
    }

    pub fn lose_answers(&self, bank: ParticipantNumber) {
        self.unheard.write().unwrap().insert(bank);
    }

    pub fn hear_again(&self, bank: ParticipantNumber) {
        self.unheard.write().unwrap().remove(&bank);
    }

    pub fn limit_epochs(&self, limits: EpochLimits) {
        *self.epoch_limits.write().unwrap() = limits;
    }

    pub fn passed(&self) -> Vec<Passed> {
        self.passed.lock().unwrap().clone()
    }

    pub fn submit(&self, bank: ParticipantNumber, envelope: Envelope) {
        self.chain().lanes.entry(bank).or_default().push(envelope);
    }

    pub fn accepted(&self) -> Vec<EnvelopeId> {
        self.chain().accepted.clone()
    }

    pub fn waiting_envelopes(&self) -> usize {
        self.chain().lanes.values().map(Vec::len).sum()
    }

    /// What was handed in is lost, as a bundle that never finds a quorum.
    pub fn lose_lanes(&self) {
        self.chain().lanes.clear();
    }

    pub fn record(&self, coin: &CoinId) -> Option<ledger_types::confirmation::Record> {
        self.chain().state.records.get(coin).copied()
    }

    pub fn issued(&self) -> (u128, u128) {
        let chain = self.chain();
        (chain.ledger.issued, chain.ledger.redeemed)
    }

    /// Decides a block of all that was handed in, now.
    pub async fn block(&self) {
        self.block_at(crate::clock::now_ms()).await;
    }

    pub async fn block_at(&self, time_ms: u64) {
        let bundles = {
            let mut chain = self.chain();
            let lanes = std::mem::take(&mut chain.lanes);
            let bundle = |(bank, envelopes): (ParticipantNumber, Vec<Envelope>)| {
                let lane = chain.ledger.lane(bank);
                let slot = Slot { submitter: bank, incarnation: lane.incarnation, sequence: lane.next_sequence };
                Arc::new(Bundle::sign(&self.rules.chain, slot, envelopes, &key_of(bank, "bundle")).unwrap())
            };
            lanes.into_iter().filter(|(_, envelopes)| !envelopes.is_empty()).map(bundle).collect::<Vec<_>>()
        };
        self.decide(time_ms, bundles).await;
    }

    async fn decide(&self, time_ms: u64, bundles: Vec<Arc<Bundle>>) {
        let committed = {
            let mut chain = self.chain();
            let certificate =
                |bundle: &Arc<Bundle>| BundleCertificate { header: bundle.header().clone(), acks: List::empty() };
            let certificates: Vec<BundleCertificate> = bundles.iter().map(certificate).collect();
            let height = chain.ledger.height.next();
            let time_ms = time_ms.max(chain.ledger.time_ms + 1);
            let candidate =
                CandidateBlock { height, time_ms, certificates: &certificates, bundles: &bundles, parent_round: 0 };
            let applied = apply(&self.rules, &chain.ledger, &chain.state, candidate).unwrap();
            chain.state.write(&applied.changes);
            chain.ledger = Arc::new(applied.ledger.clone());
            let hash = applied.header.hash(&self.rules.chain);
            let committed = Committed {
                height,
                hash,
                time_ms,
                block: Block {
                    header: applied.header.clone(),
                    certificates: List::new(certificates).unwrap(),
                    parent_certificate: None,
                },
                certificate: CommitCertificate { height, round: 0, block: hash, precommits: List::empty() },
                bundles,
                results: applied.results.clone(),
                records: applied.changes.records.clone(),
            };
            for (id, envelope, code) in committed.envelopes() {
                if code == 0 {
                    chain.accepted.push(*id);
                    chain.ordered.insert(*id, Ordered { envelope: envelope.clone(), registered: false });
                }
            }
            Arc::new(committed)
        };
        self.heights.lock().unwrap().push(committed.clone());
        let desks: Vec<Arc<Inner>> = self.desks.read().unwrap().values().cloned().collect();
        for desk in desks {
            // A killed desk does not follow.
            let _ = desk.follow_height(&committed).await;
        }
    }

    /// Registration takes what the desks release, checks it, and confirms. Gives how many envelopes.
    pub async fn register(&self) -> usize {
        let mut roots: HashMap<EnvelopeId, Vec<EnvelopeRoot>> = HashMap::new();
        for bank in BANKS {
            let Some(desk) = self.desks.read().unwrap().get(&bank).cloned() else { continue };
            let after = self.chain().taken.get(&bank).copied().unwrap_or(0);
            let Response::Releases(releases) = desk.clone().answer(Caller::Registration, take_releases(after)).await
            else {
                panic!("a desk does not release")
            };
            for release in &releases {
                roots.entry(EnvelopeId(release.envelope)).or_default().push(EnvelopeRoot::from_bytes(release.root));
            }
            if let Some(last) = releases.last() {
                let up_to = last.cursor;
                desk.answer(Caller::Registration, Request::AckReleases { up_to }).await;
                self.chain().taken.insert(bank, up_to);
            }
        }
        let (records, settled) = self.judge(&roots);
        if records.is_empty() {
            return 0;
        }
        let count = records.len();
        self.confirm(Said { records, settled, ..Said::default() }).await;
        count
    }

    /// registration says that the bank has not released a key, or that it has.
    pub async fn overdue(&self, envelope: EnvelopeId, submitter: ParticipantNumber) {
        self.confirm(Said { overdue: vec![Overdue { envelope, submitter }], ..Said::default() }).await;
    }

    pub async fn cleared(&self, envelope: EnvelopeId, submitter: ParticipantNumber) {
        self.confirm(Said { cleared: vec![Overdue { envelope, submitter }], ..Said::default() }).await;
    }

    /// registration gives an envelope up whose key never came.
    pub async fn give_up(&self, id: EnvelopeId) {
        let records = {
            let mut chain = self.chain();
            let ordered = chain.ordered.get_mut(&id).unwrap();
            ordered.registered = true;
            records_of(&self.rules.chain, &ordered.envelope, Err(PaymentRule::KeyNeverReleased))
        };
        self.confirm(Said { records, ..Said::default() }).await;
    }

    async fn confirm(&self, said: Said) {
        let bundle = {
            let chain = self.chain();
            let batch = Batch {
                number: BatchNumber(chain.ledger.batch.0 + 1),
                previous: chain.ledger.batch_hash,
                records: List::new(said.records.into_values().collect()).unwrap(),
                settled: List::new(said.settled).unwrap(),
                overdue: List::new(said.overdue).unwrap(),
                cleared: List::new(said.cleared).unwrap(),
            };
            let lane = chain.ledger.lane(ParticipantNumber::REGISTRATION);
            let slot = Slot {
                submitter: ParticipantNumber::REGISTRATION,
                incarnation: lane.incarnation,
                sequence: lane.next_sequence,
            };
            let key = key_of(CENTRAL, "registration");
            Arc::new(
                Bundle::sign_confirmation(&self.rules.chain, slot, batch.sign(&self.rules.chain, &key), &key).unwrap(),
            )
        };
        self.decide(crate::clock::now_ms(), vec![bundle]).await;
    }

    fn judge(
        &self,
        roots: &HashMap<EnvelopeId, Vec<EnvelopeRoot>>,
    ) -> (BTreeMap<CoinId, BatchRecord>, Vec<EnvelopeId>) {
        let (mut records, mut settled) = (BTreeMap::new(), Vec::new());
        let mut chain = self.chain();
        let Chain { ordered, ledger, .. } = &mut *chain;
        for (id, roots) in roots {
            let Some(ordered) = ordered.get_mut(id).filter(|ordered| !ordered.registered) else { continue };
            let (envelope, tree) = (&ordered.envelope, &self.rules.chain);
            let Some(sealed) = roots.iter().find_map(|root| open_with_root(tree, envelope, root).ok()) else {
                continue;
            };
            ordered.registered = true;
            let (directory, contracts) = (&ledger.directory, &ledger.contracts);
            let good =
                payment_is_good(&self.rules, directory, contracts, &envelope.header, &sealed, SignatureChecks::All);
            let tags = tags_of(tree, envelope, &sealed);
            for (coin, mut record) in records_of(tree, envelope, good) {
                if record.status != RecordStatus::Spent {
                    record.tag = tags.get(&coin).copied().unwrap_or(record.tag);
                }
                // Spent goes before what the coin was until then.
                match record.status {
                    RecordStatus::Spent => drop(records.insert(coin, record)),
                    _ => drop(records.entry(coin).or_insert(record)),
                }
            }
            if good.is_ok() && matches!(envelope.kind(), Kind::Issue | Kind::Redeem | Kind::Return) {
                settled.push(*id);
            }
        }
        settled.sort_unstable();
        (records, settled)
    }

    /// Blocks and registration until the job is final.
    pub async fn finish(&self, bank: ParticipantNumber, id: &JobId) -> Job {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
        loop {
            let job = self.desk(bank).wait_for(id, State::Pending, Duration::ZERO).await.unwrap();
            let job = job.expect("the job is known");
            if job.state.is_final() {
                return job;
            }
            assert!(tokio::time::Instant::now() < deadline, "the job does not end: {job:?}");
            self.step().await;
        }
    }

    /// Gives everybody a moment, then a block, then registration.
    pub async fn step(&self) {
        tokio::time::timeout(Duration::from_millis(10), async {
            while self.waiting_envelopes() == 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        })
        .await
        .ok();
        self.block().await;
        self.register().await;
    }

    pub async fn until_submitted(&self, count: usize) {
        until("the envelope is handed in", || self.waiting_envelopes() >= count).await;
    }
}

/// What one batch says.
#[derive(Default)]
struct Said {
    records: BTreeMap<CoinId, BatchRecord>,
    settled: Vec<EnvelopeId>,
    overdue: Vec<Overdue>,
    cleared: Vec<Overdue>,
}

fn records_of(
    chain: &ledger_types::Chain,
    envelope: &Envelope,
    good: Result<(), PaymentRule>,
) -> BTreeMap<CoinId, BatchRecord> {
    let mut records = BTreeMap::new();
    let spent = envelope.header.core.input_ids(chain);
    for coin in spent {
        records.insert(coin, BatchRecord { coin, status: RecordStatus::Spent, failed_check: 0, tag: OwnerTag::ZERO });
    }
    let (status, failed_check) = match good {
        Ok(()) => (RecordStatus::Live, 0),
        Err(rule) => (RecordStatus::Disputed, rule.number()),
    };
    for coin in outputs_of(chain, envelope) {
        records.insert(coin, BatchRecord { coin, status, failed_check, tag: OwnerTag([9; 32]) });
    }
    records
}

/// The owner tags of what the sealed part opens to.
fn tags_of(chain: &ledger_types::Chain, envelope: &Envelope, sealed: &Sealed) -> HashMap<CoinId, OwnerTag> {
    let core = &envelope.header.core;
    let series = match &core.context {
        ClearContext::Issue(issue) => issue.series,
        _ => sealed.common_series(),
    };
    let openings = (0..core.outputs.len()).filter_map(|place| sealed.output_opening(place, series, false));
    outputs_of(chain, envelope)
        .into_iter()
        .zip(openings)
        .map(|(coin, opening)| (coin, opening.owner_tag(chain, &coin)))
        .collect()
}

/// The coins that an envelope makes, as anybody can compute them.
pub fn outputs_of(chain: &ledger_types::Chain, envelope: &Envelope) -> Vec<CoinId> {
    let core = &envelope.header.core;
    let origin = match &core.context {
        ClearContext::Issue(issue) => issue_origin(chain, issue.series, issue.issue_number),
        _ => origin(chain, &core.input_ids(chain)),
    };
    let coin = |(place, output): (u8, &ledger_types::envelope::Output)| {
        coin_id(chain, &coin_link(chain, &origin, place, &output.note), &output.custody)
    };
    (0u8..).zip(&core.outputs).map(coin).collect()
}

fn take_releases(after: u64) -> Request {
    Request::TakeReleases { after, max: 1000, wait_ms: 0 }
}

/// Polls a condition; panics when it does not come true.
pub async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(tokio::time::Instant::now() < deadline, "{what}: not within 20 s");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

pub fn payment(from: &str, bank: ParticipantNumber, to: &str, amount: u64) -> NewJob {
    let work = Work::Pay { bank: bank.0, to: to.into(), amount, memo: "thank you".into() };
    NewJob { wallet: from.into(), work, key: None }
}

pub fn with_key(job: NewJob, key: &str) -> NewJob {
    NewJob { key: Some(key.into()), ..job }
}

pub async fn create(desk: &Arc<Inner>, job: NewJob) -> Result<Job, NotCreated> {
    desk.create(vec![job]).await?.pop().unwrap()
}

/// Everything that a wallet has, whatever its state.
pub fn owned(desk: &Inner, wallet: &str) -> u128 {
    let sums = desk.shared().book.sums(wallet).unwrap();
    sums.available + sums.unconfirmed + sums.reserved + sums.blocked
}

pub fn live(desk: &Inner, wallet: &str) -> u128 {
    desk.shared().book.sums(wallet).unwrap().available
}

/// All bytes of all files under a folder.
pub fn files(folder: &Path) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(std::fs::read(path).unwrap());
        }
    }
    found
}

pub fn state(desk: &Inner, id: &JobId) -> State {
    desk.find_job(id).unwrap().unwrap().state
}
