//! Reconciliation between real desks' books and registration's real accounts, over real links.

use super::world::*;
use crate::clock::now_ms;
use crate::config::{self, Network, Peer};
use crate::ledger::Committed;
use crate::link::{Caller, LinkService, Links, Request, Response};
use crate::outbox::no_failpoint;
use crate::reconciliation::LATE_AFTER_MS;
use crate::reconciliation::findings::Findings;
use crate::role::commercial_bank::at_rest::AtRest;
use crate::role::commercial_bank::desk::Inner;
use crate::role::commercial_bank::reconciling::NotRepaired;
use crate::role::commercial_bank::rows::{CoinRow, FORMAT, Table, decode, encode};
use crate::role::registration::blocks::OrderedHeight;
use crate::role::registration::follow::{Work, book};
use crate::role::registration::reconciling::Reconciling;
use crate::role::registration::trust::ChainTrust;
use crate::role::registration::{Progress, Registrar, RegistrarConfig, rows as accounts};
use futures::future::BoxFuture;
use ledger_store::{PrivateStore, Scan};
use ledger_types::bundle::BundleBody;
use ledger_types::coin::Opening;
use ledger_types::confirmation::RecordStatus;
use ledger_types::envelope::Kind;
use ledger_types::genesis::Genesis;
use ledger_types::keys::PublicKey;
use ledger_types::reconciliation::ReconciliationSide;
use ledger_types::request::RequestClass;
use ledger_types::*;
use ledger_verify::Trust;
use node_api::reconciliation::{Difference, Mute, Reconciliation};
use node_api::regulator::{FromRegistration, RequestFile, ToRegistration};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};

/// Answers for whichever desk of the bank runs now.
struct DeskOf(Arc<World>, ParticipantNumber);

impl LinkService for DeskOf {
    fn answer(&self, caller: Caller, request: Request) -> BoxFuture<'static, Response> {
        let desk = self.0.desk(self.1);
        Box::pin(desk.answer(caller, request))
    }
}

/// Registration as it is, fed with the world's heights and the desks' keys.
struct Centre {
    world: Arc<World>,
    works: mpsc::Sender<Work>,
    heights: watch::Receiver<Progress>,
    reconciling: Reconciling,
    links: Arc<Links>,
    taken: BTreeMap<ParticipantNumber, u64>,
    clock: Arc<AtomicU64>,
    _desks: Vec<Arc<Links>>,
}

/// Every test has its own loopback addresses.
fn address(test: u8, bank: ParticipantNumber) -> String {
    let process = std::process::id();
    format!("/ip4/127.{}.{}.{test}/tcp/{}", 40 + process % 50, process / 50 % 250, 4800 + bank.0)
}

impl Centre {
    async fn open(world: &Arc<World>, test: u8) -> Self {
        let directory = &world.rules.genesis.directory;
        let mut desks = Vec::new();
        for bank in BANKS {
            let config = Network { listen: address(test, bank), peers: Vec::new() };
            let service = Arc::new(DeskOf(world.clone(), bank));
            desks.push(Links::start(&config, &key_of(bank, "link"), directory, service).await.unwrap());
            world.desk(bank).reconciling.keep(Self::findings_of(world, bank));
        }
        let peers = BANKS.map(|bank| Peer { participant: bank.0, address: address(test, bank), key: None }).to_vec();
        let key = key_of(CENTRAL, "registration link");
        let config = Network { listen: String::new(), peers };
        let links = Links::start(&config, &key, directory, Arc::new(crate::link::NoService)).await.unwrap();

        let clock = Arc::new(AtomicU64::new(now_ms()));
        let now = clock.clone();
        let registrar = RegistrarConfig {
            database: &world.folder.path().join("registration"),
            outbox: &world.folder.path().join("outbox"),
            officers: officers_key(&world.rules.genesis),
            storage_secret: &[1; 32],
            outbox_secret: &[2; 32],
            clock: Arc::new(move || now.load(Ordering::SeqCst)),
            failpoint: no_failpoint(),
        };
        let registrar = Registrar::open(world.rules.clone(), registrar).unwrap();
        let mut taken = BTreeMap::new();
        for bank in BANKS {
            taken.insert(bank, registrar.taken_from(bank).unwrap());
        }
        let (progress, heights) = watch::channel(registrar.progress().clone());
        let (works, received) = mpsc::channel(2);
        std::thread::spawn(move || book(registrar, received, &progress).unwrap());
        let path = world.folder.path().join("centre.json");
        let reconciling = Reconciling {
            key,
            findings: Arc::new(Findings::open(&path, ReconciliationSide::RegistrationCentre).unwrap()),
            requests: world.folder.path().join("requests"),
            every: Duration::from_secs(3_600),
            trust: ChainTrust::new(Trust::from_genesis(&world.rules.genesis.to_bytes()).unwrap(), Vec::new()),
            validator: CENTRAL,
        };
        let (world, _desks) = (world.clone(), desks);
        Centre { world, works, heights, reconciling, links, taken, clock, _desks }
    }

    fn findings_of(world: &World, bank: ParticipantNumber) -> Findings {
        let path = world.folder.path().join(format!("findings-{bank}.json"));
        Findings::open(&path, ReconciliationSide::Bank).unwrap()
    }

    /// Books every height that it has not booked.
    async fn follow(&mut self) {
        let booked = Height(self.heights.borrow().height);
        let heights = self.world.heights_above(booked);
        for committed in &heights {
            self.works.send(Work::Height(Box::new(ordered(committed)))).await.ok().unwrap();
        }
        if let Some(last) = heights.last() {
            self.heights.wait_for(|progress| progress.height >= last.height.0).await.unwrap();
        }
    }

    /// Takes the keys that the desks release. To be called before the world's own registration takes and destroys them.
    async fn take_keys(&mut self) {
        for bank in BANKS {
            let after = self.taken[&bank];
            let request = Request::TakeReleases { after, max: 1_000, wait_ms: 0 };
            let Response::Releases(releases) = self.world.desk(bank).answer(Caller::Registration, request).await else {
                panic!("a desk does not release")
            };
            let (taken, outcome) = oneshot::channel();
            self.works.send(Work::Releases { bank, releases, is_full: false, taken }).await.ok().unwrap();
            self.taken.insert(bank, outcome.await.unwrap().up_to);
        }
    }

    /// One run; gives what the bank shows then, and what the centre shows of it.
    async fn run(&mut self, bank: ParticipantNumber) -> (Reconciliation, Vec<Difference>) {
        self.follow().await;
        self.reconciling.run_with_all(&self.links, &self.works, &mut self.heights).await;
        let at_centre = self.reconciling.findings.document();
        for run in &at_centre.runs {
            assert_eq!(run.failure, None, "{run:?}");
        }
        let of_bank = at_centre.differences.into_iter().filter(|difference| difference.bank == bank.0).collect();
        (shown(&self.world.desk(bank)), of_bank)
    }

    /// No bank differs, at whatever step this is.
    async fn agrees(&mut self, step: &str) {
        self.run(BANK2).await;
        let document = self.reconciling.findings.document();
        assert_eq!(document.differences, vec![], "{step}");
        assert!(document.runs.iter().all(|run| run.outcome == "agreed"), "{step}");
    }

    /// An operator's file with a request of the officers.
    async fn hand(&self, request: RequestFile) -> FromRegistration {
        let (answered, answer) = oneshot::channel();
        let document = ToRegistration::Request(request);
        self.works.send(Work::Handed { document, answered }).await.ok().unwrap();
        answer.await.unwrap()
    }

    /// Registration's own records of a time in which it does not run.
    async fn stop(self) -> PrivateStore {
        let world = self.world.clone();
        drop(self);
        let folder = world.folder.path().join("registration");
        let mut store = None;
        until("registration's database is free", || {
            store = accounts::open(&folder, &world.rules.chain).ok();
            store.is_some()
        })
        .await;
        store.unwrap()
    }
}

fn shown(desk: &Inner) -> Reconciliation {
    desk.reconciling.findings().unwrap().document()
}

fn ordered(committed: &Committed) -> OrderedHeight {
    let accepted = committed.envelopes().filter(|(_, _, code)| *code == 0);
    let accepted = accepted.map(|(id, envelope, _)| (*id, envelope.clone()));
    let (requests, envelopes): (Vec<_>, Vec<_>) = accepted.partition(|(_, envelope)| envelope.kind() == Kind::Request);
    let batches = committed.bundles.iter().filter_map(|bundle| match bundle.body() {
        BundleBody::Confirmation(signed) => Some(signed.batch.clone()),
        BundleBody::Envelopes(_) => None,
    });
    OrderedHeight {
        contract_orders: Vec::new(),
        header: committed.block.header.clone(),
        certificate: committed.certificate.clone(),
        envelopes,
        announced: requests.into_iter().map(|(id, _)| id).collect(),
        batches: batches.collect(),
        directory: None,
        hand_over: None,
    }
}

fn kinds(differences: &[Difference]) -> BTreeSet<(String, String)> {
    differences.iter().map(|difference| (difference.kind.clone(), difference.coin.clone())).collect()
}

fn named(expected: &[(&str, CoinId)]) -> BTreeSet<(String, String)> {
    expected.iter().map(|(kind, coin)| ((*kind).to_owned(), coin.to_string())).collect()
}

/// A bank's coin rows, of a desk that does not run.
struct CoinRows {
    store: PrivateStore,
    at_rest: AtRest,
}

impl CoinRows {
    fn open(world: &World, bank: ParticipantNumber) -> Self {
        let folder = world.desk_folder(bank);
        let store = PrivateStore::open(&folder, "bank desk", FORMAT, &world.rules.chain, &Table::specs()).unwrap();
        CoinRows { store, at_rest: AtRest::new(&storage_secret(bank)) }
    }

    fn get(&self, nth: usize) -> (CoinId, CoinRow) {
        let (key, sealed) = self.store.scan(&Table::Coins.column(), Scan::all()).nth(nth).unwrap().unwrap();
        let plain = self.at_rest.open(Table::Coins.name(), &key, &sealed).unwrap();
        (CoinId::from_bytes(&key).unwrap(), decode(&plain).unwrap())
    }

    fn put(&self, coin: &CoinId, row: Option<&CoinRow>) {
        let (column, key) = (Table::Coins.column(), coin.0.to_vec());
        let mut writes = self.store.writes();
        match row {
            Some(row) => {
                let sealed = self.at_rest.seal(Table::Coins.name(), &key, &encode(row));
                writes.put(&column, &key, &sealed).unwrap();
            }
            None => writes.delete(&column, &key),
        }
        writes.commit().unwrap();
    }
}

async fn world_of(genesis: Genesis) -> Held {
    let world = World::with_genesis(genesis);
    for bank in BANKS {
        world.open(bank, settings(), None).await;
    }
    world
}

/// Whose desks split no coin by themselves.
async fn still_world() -> Held {
    let world = World::with_genesis(genesis());
    for bank in BANKS {
        world.open(bank, config::Desk { split_above: u64::MAX, ..settings() }, None).await;
    }
    world
}

async fn reopen(world: &Arc<World>, bank: ParticipantNumber) {
    world.open(bank, settings(), None).await;
    world.desk(bank).reconciling.keep(Centre::findings_of(world, bank));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_missing_one_duplicated_and_one_altered_among_100_000_records_are_named_exactly_and_mended() {
    const COINS: u32 = 100_000;
    let mut genesis = genesis();
    let mut preissues = genesis.preissues.clone().into_vec();
    preissues[0].count = COINS;
    genesis.preissues = List::new(preissues).unwrap();
    let world = world_of(genesis).await;
    let mut centre = Centre::open(&world, 1).await;
    // Every coin has a row of its own, as coins that were paid have.
    let desk = world.desk(BANK2);
    let rows = desk.change_durably(|shared, unit| shared.book.fill_vault(COINS as usize, unit));
    rows.await.unwrap();
    drop(desk);
    world.block().await;
    let (found, at_centre) = centre.run(BANK2).await;
    assert_eq!(found.runs[0].outcome, "agreed");
    assert_eq!((found.differences, at_centre), (vec![], vec![]));
    let live = found.runs[0].sets.iter().find(|set| set.status == "live").unwrap();
    assert_eq!((live.at_bank, live.at_centre), (COINS.into(), COINS.into()));

    world.kill(BANK2).await;
    let (missing, duplicate, altered) = {
        let rows = CoinRows::open(&world, BANK2);
        let (missing, _) = rows.get(12_345);
        let (_, original) = rows.get(50_000);
        let (altered, mut row) = rows.get(99_000);
        let duplicate = CoinId(super::world::named("a row that stands a second time"));
        let opening = Opening::from_bytes(&row.opening).unwrap();
        let owner = key_of(BANK3, "desk").public_key();
        row.opening = Opening { owner, ..opening.clone() }.to_bytes();
        rows.put(&missing, None);
        rows.put(&duplicate, Some(&original));
        rows.put(&altered, Some(&row));
        (missing, duplicate, altered)
    };
    reopen(&world, BANK2).await;
    let (found, at_centre) = centre.run(BANK2).await;
    let expected = named(&[("missing", missing), ("extra", duplicate), ("wrong_owner", altered)]);
    assert_eq!(kinds(&found.differences), expected);
    assert_eq!(kinds(&at_centre), expected);
    assert_eq!(found.differences.len(), 3);
    assert_eq!(found.runs[0].unnamed, 0);
    for difference in &found.differences {
        assert_eq!((difference.at_fault.as_str(), difference.repair.as_deref()), ("bank", Some("mend_book")));
    }
    for run in centre.reconciling.findings.document().runs.iter().filter(|run| run.bank != BANK2.0) {
        assert_eq!(run.outcome, "agreed", "bank {}", run.bank);
    }

    // Muted over a restart, and mended.
    let id = found.differences[0].id.clone();
    let mute = Mute { reason: "the desk was restored on Monday".into(), until_ms: None };
    world.desk(BANK2).reconciling.findings().unwrap().mute(&id, mute, now_ms()).unwrap();
    world.kill(BANK2).await;
    reopen(&world, BANK2).await;
    let (found, _) = centre.run(BANK2).await;
    assert_eq!(kinds(&found.differences), expected);
    assert_eq!(found.differences.iter().filter(|difference| difference.is_muted(now_ms())).count(), 1);
    for difference in &found.differences {
        world.desk(BANK2).repair(&difference.id).await.unwrap();
    }
    let (found, at_centre) = centre.run(BANK2).await;
    assert_eq!((found.differences, at_centre), (vec![], vec![]));
    let desk = world.desk(BANK2);
    desk.shared().book.check();
    assert!(desk.shared().book.coins.contains_key(&missing) && !desk.shared().book.coins.contains_key(&duplicate));
    let owner: PublicKey = desk.owner_key("vault", 0).unwrap().public_key();
    assert_eq!(desk.shared().book.coins[&altered].opening.owner, owner);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_payment_under_way_is_no_difference_at_any_step() {
    let world = world_of(genesis()).await;
    let mut centre = Centre::open(&world, 2).await;
    world.desk(BANK3).create_wallet("bob").await.unwrap();
    let job = create(&world.desk(BANK2), payment("vault", BANK3, "bob", 1_234)).await.unwrap();
    world.until_submitted(1).await;
    world.block().await;
    centre.agrees("ordered: the coin is spent in the bank's book and not in the centre's").await;
    centre.take_keys().await;
    centre.agrees("registered, and confirmed by no batch").await;
    assert_eq!(world.register().await, 3);
    centre.agrees("confirmed").await;
    let at_bank3 = shown(&world.desk(BANK3));
    let live = at_bank3.runs[0].sets.iter().find(|set| set.status == "live").unwrap();
    assert_eq!((live.at_bank, live.at_centre, at_bank3.runs[0].batch), (1, 1, 1));
    world.finish(BANK2, &job.id).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_nobody_released_by_the_deadline_is_named_and_released_again() {
    let world = world_of(genesis()).await;
    let mut centre = Centre::open(&world, 3).await;
    world.desk(BANK3).create_wallet("bob").await.unwrap();
    create(&world.desk(BANK2), payment("vault", BANK3, "bob", 1_234)).await.unwrap();
    world.until_submitted(1).await;
    world.block().await;
    centre.follow().await;
    // Acknowledged by a registration that lost them, as by one that was restored from a backup.
    for bank in [BANK2, BANK3] {
        let request = Request::AckReleases { up_to: u64::MAX };
        assert_eq!(world.desk(bank).answer(Caller::Registration, request).await, Response::Done);
    }
    let (found, _) = centre.run(BANK2).await;
    assert_eq!(found.differences, vec![], "the deadline has not passed");
    let later_ms = now_ms() + 2 * world.rules.genesis.release_deadline_ms - 1_000;
    centre.clock.store(later_ms, Ordering::SeqCst);
    world.block_at(later_ms).await;
    let (found, _) = centre.run(BANK2).await;
    let envelope = world.accepted()[0];
    assert_eq!(found.differences.len(), 2, "the payment and its change: {found:?}");
    for difference in &found.differences {
        assert_eq!(
            (difference.kind.as_str(), difference.made_by.clone()),
            ("unreleased_key", Some(envelope.to_string()))
        );
        assert_eq!(difference.repair.as_deref(), Some("release_again"));
    }
    world.desk(BANK2).repair(&found.differences[0].id).await.unwrap();
    centre.take_keys().await;
    centre.follow().await;
    let (found, _) = centre.run(BANK2).await;
    assert_eq!(found.differences, vec![]);

    // Registered, and confirmation issuance does not come: late on both sides, for whoever has the coins.
    world.block_at(later_ms + LATE_AFTER_MS + 1_000).await;
    let (found, _) = centre.run(BANK2).await;
    let paid_to = shown(&world.desk(BANK3)).differences;
    for differences in [&found.differences, &paid_to] {
        let kinds: Vec<_> = differences.iter().map(|late| (late.kind.as_str(), late.repair.clone())).collect();
        assert_eq!(kinds, [("late", None)]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_only_the_centre_can_mend_is_raised_there_and_the_bank_changes_nothing() {
    let world = world_of(genesis()).await;
    let mut centre = Centre::open(&world, 4).await;
    paid(&world, &mut centre).await;
    let (found, _) = centre.run(BANK3).await;
    assert_eq!(found.differences, vec![]);

    let coin = {
        let store = centre.stop().await;
        let is_bobs = |row: &accounts::AccountRow| row.bank == Some(BANK3);
        let rows = store.scan(&accounts::ACCOUNTS, Scan::all()).map(Result::unwrap);
        let (coin, row) = rows.into_iter().find(|(_, row)| is_bobs(row)).unwrap();
        let mut writes = store.writes();
        let row = accounts::AccountRow { status: accounts::AccountStatus::Disputed, ..row };
        writes.put(&accounts::ACCOUNTS, &coin, &row).unwrap();
        writes.commit().unwrap();
        coin
    };
    let mut centre = Centre::open(&world, 5).await;
    let (found, at_centre) = centre.run(BANK3).await;
    assert_eq!(kinds(&found.differences), named(&[("wrong_state", coin)]));
    assert_eq!(kinds(&at_centre), kinds(&found.differences));
    let difference = &found.differences[0];
    assert_eq!((difference.at_fault.as_str(), difference.repair.clone()), ("registration", None));
    assert!(difference.explanation.contains("it is raised there"), "{}", difference.explanation);
    let refused = world.desk(BANK3).repair(&difference.id).await;
    assert!(matches!(refused, Err(NotRepaired::NothingHere(_))));
    assert_eq!(live(&world.desk(BANK3), "bob"), 1_234);
}

/// Bank 3 has one coin of bob's, confirmed; gives it.
async fn paid(world: &Arc<World>, centre: &mut Centre) -> CoinId {
    world.desk(BANK3).create_wallet("bob").await.unwrap();
    let job = create(&world.desk(BANK2), payment("vault", BANK3, "bob", 1_234)).await.unwrap();
    world.until_submitted(1).await;
    world.block().await;
    centre.take_keys().await;
    world.register().await;
    world.finish(BANK2, &job.id).await;
    centre.agrees("paid").await;
    let desk = world.desk(BANK3);
    let shared = desk.shared();
    *shared.book.coins.keys().next().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_freeze_counts_from_the_batch_that_publishes_it_and_is_no_difference_at_any_step() {
    let world = still_world().await;
    let mut centre = Centre::open(&world, 6).await;
    let bobs = paid(&world, &mut centre).await;
    let unspent = world.unspent();
    let mut preissued = ledger_state::preissued_coins(&world.rules).map(|coin| coin.id);
    let preissued = preissued.find(|coin| unspent.contains(coin)).unwrap();
    let (frozen, let_go) = (RecordStatus::Frozen, RecordStatus::Live);
    for (class, status, test) in [(RequestClass::Freeze, frozen, 7), (RequestClass::Unfreeze, let_go, 8)] {
        for coin in [bobs, preissued] {
            let request = world.ask(class, &coin).await;
            let answer = centre.hand(request).await;
            assert_eq!(answer, FromRegistration::Done { status: class.as_str().into() });
            centre.agrees("in the accounts, and published by no batch").await;
        }
        // What the registry says meanwhile is kept over a restart.
        drop(centre.stop().await);
        centre = Centre::open(&world, test).await;
        centre.agrees("after a restart").await;
        for coin in [bobs, preissued] {
            world.publish(coin, status).await;
            centre.agrees("published").await;
        }
        let at_bank3 = shown(&world.desk(BANK3));
        let frozen = at_bank3.runs[0].sets.iter().find(|set| set.status == "frozen").unwrap();
        let expected = u64::from(status == RecordStatus::Frozen);
        assert_eq!((frozen.at_bank, frozen.at_centre), (expected, expected));
    }
    let store = centre.stop().await;
    assert_eq!(store.scan(&accounts::REGISTERED_AS, Scan::all()).count(), 0, "nothing is under way");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_account_is_named_and_mended_and_a_freeze_under_way_stays() {
    let world = still_world().await;
    let mut centre = Centre::open(&world, 10).await;
    let bobs = paid(&world, &mut centre).await;
    let mut preissued: Vec<CoinId> = ledger_state::preissued_coins(&world.rules).map(|coin| coin.id).collect();
    let unspent = world.unspent();
    let spent = preissued.iter().position(|coin| !unspent.contains(coin)).map(|at| preissued.swap_remove(at)).unwrap();
    let change = *unspent.iter().find(|coin| **coin != bobs && !preissued.contains(coin)).unwrap();
    let (frozen, forgotten) = (preissued[0], preissued[1]);
    let freeze = world.ask(RequestClass::Freeze, &frozen).await;
    centre.hand(freeze).await;
    centre.agrees("under way").await;

    let bobs_account = {
        let store = centre.stop().await;
        let mut writes = store.writes();
        let account = |coin: &CoinId| store.get(&accounts::ACCOUNTS, coin).unwrap().unwrap();
        let mut put = |coin: &CoinId, row: accounts::AccountRow| writes.put(&accounts::ACCOUNTS, coin, &row).unwrap();
        let (bobs_account, other) = (account(&bobs), Some(OwnerTag([7; 32])));
        put(&bobs, accounts::AccountRow { status: accounts::AccountStatus::Disputed, ..bobs_account.clone() });
        put(&change, accounts::AccountRow { tag: other, ..account(&change) });
        put(&frozen, accounts::AccountRow { tag: other, ..account(&frozen) });
        writes.put(&accounts::PREISSUED_SPENT, &forgotten, &Vec::new()).unwrap();
        writes.delete(&accounts::PREISSUED_SPENT, &spent);
        writes.commit().unwrap();
        bobs_account
    };
    let mut centre = Centre::open(&world, 11).await;
    let (_, found) = centre.run(BANK3).await;
    assert_eq!(kinds(&found), named(&[("wrong_state", bobs)]));
    let (_, found) = centre.run(BANK2).await;
    let expected = [("wrong_owner", change), ("wrong_owner", frozen), ("extra", forgotten), ("missing", spent)];
    assert_eq!(kinds(&found), named(&expected));
    for difference in centre.reconciling.findings.document().differences {
        let offered = (difference.at_fault.as_str(), difference.repair.as_deref());
        assert_eq!(offered, ("registration", Some("mend_account")), "{difference:?}");
        centre.reconciling.repair(&difference.id, &centre.links, &centre.works).await.unwrap();
    }
    centre.agrees("mended").await;
    world.publish(frozen, RecordStatus::Frozen).await;
    centre.agrees("the freeze that was under way is published").await;
    let store = centre.stop().await;
    let account = |coin: &CoinId| store.get(&accounts::ACCOUNTS, coin).unwrap();
    assert_eq!(account(&bobs), Some(bobs_account));
    assert_eq!(account(&frozen).unwrap().status, accounts::AccountStatus::Frozen);
    assert_eq!(account(&frozen).unwrap().tag, world.record(&frozen).map(|record| record.tag));
    assert_eq!(store.get(&accounts::PREISSUED_SPENT, &forgotten).unwrap(), None);
    assert!(store.get(&accounts::PREISSUED_SPENT, &spent).unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_of_a_coin_that_the_registry_has_as_spent_is_closed_and_stays_openable() {
    let world = still_world().await;
    let mut centre = Centre::open(&world, 12).await;
    let bobs = paid(&world, &mut centre).await;
    let account = {
        let store = centre.stop().await;
        store.get(&accounts::ACCOUNTS, &bobs).unwrap().unwrap()
    };
    let mut centre = Centre::open(&world, 13).await;
    let job = create(&world.desk(BANK3), payment("bob", BANK2, "vault", 1_000)).await.unwrap();
    world.until_submitted(1).await;
    world.block().await;
    centre.take_keys().await;
    world.register().await;
    world.finish(BANK3, &job.id).await;
    centre.agrees("spent").await;
    {
        let store = centre.stop().await;
        let mut writes = store.writes();
        writes.put(&accounts::ACCOUNTS, &bobs, &account).unwrap();
        writes.delete(&accounts::SPENT, &bobs);
        writes.commit().unwrap();
    }
    let mut centre = Centre::open(&world, 14).await;
    let (_, found) = centre.run(BANK3).await;
    assert_eq!(kinds(&found), named(&[("missing", bobs)]));
    centre.reconciling.repair(&found[0].id, &centre.links, &centre.works).await.unwrap();
    centre.agrees("closed").await;
    let request = world.ask(RequestClass::Disclose, &bobs).await;
    centre.follow().await;
    let FromRegistration::Sealed { envelope_id, .. } = centre.hand(request).await else { panic!("it is refused") };
    assert_eq!(envelope_id, account.made_by.to_string());
}
