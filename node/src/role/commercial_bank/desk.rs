//! The desk itself: what it knows, how it starts from its rows, and the few ways to change it.
//!
//! One lock guards all that payments share; rows are handed to the journal under it, so the database is always some prefix of
//! what happened in memory. Whoever answers someone waits for the rows first (invariant 7).

use super::at_rest::AtRest;
use super::book::{Book, HeldCoin, VAULT};
use super::epochs::{EpochLimits, Epochs};
use super::invoices::Invoices;
use super::job::{Job, JobId, NO_FURTHER_ATTEMPT, State, Step, Work};
use super::journal::{Durable, Journal, Stopped, Unit};
use super::ports::Ports;
use super::preissued::Preissued;
use super::reconciling::Reconciling;
use super::releases::first_cursor_after;
use super::rows::{CoinRow, ExpectedRow, KeptRow, Meta, ReleaseRow, RowError, Rows, Table, VerdictRow, WalletRow};
use crate::config;
use crate::role::central_bank::CentralBankDesk;
use crate::wallet_keys::owner_key;
use ledger_seal::{BankSecret, KemSecret};
use ledger_state::{Contracts, Rules};
use ledger_store::PrivateStore;
use ledger_types::keys::{PublicKey, SigningKey};
use ledger_types::participant::Directory;
use ledger_types::{Chain, CoinId, Decode, Encode, EnvelopeId, Height, Note, ParticipantNumber};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::sync::{mpsc, watch};
use zeroize::Zeroizing;

/// The desk's secrets and settings.
pub(crate) struct DeskKeys {
    pub desk: SigningKey,
    pub offer: SigningKey,
    pub kem: KemSecret,
    pub storage: Zeroizing<[u8; 32]>,
    pub vault: Zeroizing<[u8; 32]>,
    pub epoch_limits: EpochLimits,
}

pub(crate) struct Inner {
    pub me: ParticipantNumber,
    pub rules: Rules,
    pub config: config::Desk,
    pub ports: Arc<dyn Ports>,
    pub desk_key: SigningKey,
    pub bank_secret: BankSecret,
    pub at_rest: Arc<AtRest>,
    pub rows: Rows,
    pub journal: Journal,
    pub epochs: Epochs,
    pub invoices: Invoices,
    pub reconciling: Reconciling,
    /// The central bank's desk can do more.
    pub central: Option<CentralBankDesk>,
    /// The last height whose effects are durable here.
    pub processed: watch::Sender<Height>,
    /// A release was added.
    pub released: watch::Sender<u64>,
    /// When the state was put back from a backup, last; 0: never.
    pub restored_ms: u64,
    shared: Mutex<Shared>,
}

/// Verdicts kept in memory; older ones are read from disk.
const VERDICTS_RECENT_MAX: usize = 100_000;

pub(crate) struct Shared {
    pub book: Book,
    pub jobs: HashMap<JobId, Active>,
    /// Callers' keys of jobs that are not on disk yet.
    pub keys_on_their_way: HashMap<[u8; 32], JobId>,
    pub by_envelope: HashMap<EnvelopeId, JobId>,
    /// Attempts by expiry.
    pub attempts: BTreeSet<(u64, EnvelopeId)>,
    /// The coin whose record decides a job.
    pub watched: HashMap<CoinId, JobId>,
    /// Coins of which only the opening is kept, for a recovery.
    pub kept: HashSet<CoinId>,
    pub expected: HashMap<Note, ExpectedRow>,
    pub expected_by_expiry: BTreeSet<(u64, Note)>,
    pub owners: HashMap<PublicKey, ExpectedRow>,
    pub verdicts: HashMap<EnvelopeId, VerdictRow>,
    pub release_next: u64,
    /// Everything below was acknowledged.
    pub release_first: u64,
    pub release_jobs: BTreeMap<u64, JobId>,
    /// Govern the height after the last one processed.
    pub directory: Arc<Directory>,
    pub contracts: Arc<Contracts>,
    pub cursor: Height,
}

/// A job that is not final.
pub(crate) struct Active {
    pub job: Job,
    /// For those who wait for a state; closed when the job is final.
    pub changed: watch::Sender<()>,
    /// To the job's task.
    pub verdicts: mpsc::UnboundedSender<(EnvelopeId, Verdict)>,
    /// Its amount is promised in the book and not yet reserved.
    pub promised: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Accepted,
    Refused(u16),
    /// A block lies beyond its expiry: it can never be accepted.
    Expired,
}

#[derive(Debug, thiserror::Error)]
pub enum DeskError {
    #[error("the desk's database: {0}")]
    Open(#[from] ledger_store::OpenError),
    #[error("the desk's database: {0}")]
    Row(#[from] RowError),
    #[error("{0}")]
    Key(#[from] crate::keys::KeyError),
    #[error("{0}")]
    Links(#[from] crate::link::LinkStartError),
    #[error("the key file {0} is not the key that the directory names")]
    OtherKey(&'static str),
    #[error("what reconciliation found: {0}")]
    Findings(#[from] crate::reconciliation::findings::FindingsError),
    #[error("cannot start the desk's journal: {0}")]
    Journal(std::io::Error),
    #[error("the file that says when the state was put back from a backup cannot be read: {0}")]
    Restored(std::io::Error),
    #[error("the role central_bank and the directory's line do not agree")]
    OtherRole,
}

/// A job with the receiving end of its verdicts, to be given to a task.
pub(crate) type Started = (JobId, mpsc::UnboundedReceiver<(EnvelopeId, Verdict)>);

impl Inner {
    /// Opens the database and takes up what it holds. The unfinished jobs come with it; nothing runs yet.
    pub fn open(
        store: PrivateStore,
        journal: impl FnOnce(Arc<PrivateStore>, Arc<AtRest>) -> std::io::Result<Journal>,
        keys: DeskKeys,
        me: ParticipantNumber,
        config: config::Desk,
        ports: Arc<dyn Ports>,
        central: Option<CentralBankDesk>,
    ) -> Result<(Arc<Self>, Vec<Started>), DeskError> {
        let rules = ports.rules().clone();
        let store = Arc::new(store);
        let at_rest = Arc::new(AtRest::new(&keys.storage));
        let rows = Rows { store: store.clone(), at_rest: at_rest.clone() };
        let epochs = Epochs::load(&rows, rules.chain, me, keys.kem, keys.offer, keys.epoch_limits)?;
        let bank_secret = BankSecret::from_bytes(at_rest.secret("bank secret", &[]));
        let (shared, started) = Shared::load(&rows, &rules, me, keys.vault)?;
        let journal = journal(store, at_rest.clone()).map_err(DeskError::Journal)?;
        let inner = Inner {
            me,
            rules,
            config,
            ports,
            desk_key: keys.desk,
            bank_secret,
            at_rest,
            rows,
            journal,
            epochs,
            invoices: Invoices::default(),
            reconciling: Reconciling::default(),
            central,
            processed: watch::Sender::new(shared.cursor),
            released: watch::Sender::new(shared.release_next),
            restored_ms: keys.epoch_limits.forgotten_up_to,
            shared: Mutex::new(shared),
        };
        inner.come_back_from_a_backup()?;
        Ok((Arc::new(inner), started))
    }

    /// At the first start after the desk was put back from a backup: what stood unfinished in it may have been carried out since,
    /// with other coins than the ledger here knows to be spent; and registration may have taken more releases than the desk knows of.
    fn come_back_from_a_backup(&self) -> Result<(), RowError> {
        if self.rows.meta::<u64>(Meta::Restored)?.unwrap_or(0) >= self.restored_ms {
            return Ok(());
        }
        let held = self.rows.from::<ReleaseRow>(Table::Releases, &[], usize::MAX)?;
        // Nobody is answered before it is on disk (`start`).
        let (_, _durable) = self.change(|shared, unit| {
            let pending = shared.jobs.values().filter(|active| active.job.state == State::Pending);
            for id in pending.map(|active| active.job.id).collect::<Vec<_>>() {
                shared.update(&id, unit, |job| job.first_refused_ms = NO_FURTHER_ATTEMPT);
            }
            let first = shared.release_next.max(first_cursor_after(self.restored_ms));
            for (cursor, (key, row)) in (first..).zip(&held) {
                unit.delete(Table::Releases, key);
                unit.put(Table::Releases, &cursor.to_be_bytes(), row);
            }
            (shared.release_first, shared.release_next) = (first, first + held.len() as u64);
            unit.put_meta(Meta::ReleaseNext, &shared.release_next);
            unit.put_meta(Meta::Restored, &self.restored_ms);
        });
        Ok(())
    }

    pub fn chain(&self) -> &Chain {
        &self.rules.chain
    }

    pub fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().expect("no holder of the desk's state panics")
    }

    /// Changes what is shared and hands the rows of the change to the journal, in this order with every other change.
    pub fn change<T>(&self, change: impl FnOnce(&mut Shared, &mut Unit) -> T) -> (T, Durable) {
        let mut shared = self.shared();
        let mut unit = Unit::default();
        let value = change(&mut shared, &mut unit);
        (value, self.journal.write(unit))
    }

    /// As [`Self::change`], and returns when it is on disk.
    pub async fn change_durably<T>(&self, change: impl FnOnce(&mut Shared, &mut Unit) -> T) -> Result<T, Stopped> {
        let (value, durable) = self.change(change);
        durable.wait().await?;
        Ok(value)
    }

    /// What is shared, as somebody outside may be told: returns when all that was seen is on disk (invariant 7).
    pub async fn show<T>(&self, look: impl FnOnce(&Shared) -> T) -> Result<T, Stopped> {
        // An empty unit: when it is durable, so is everything that was handed in before.
        self.change_durably(|shared, _| look(shared)).await
    }

    pub fn job(&self, id: &JobId) -> Option<Job> {
        self.shared().jobs.get(id).map(|active| active.job.clone())
    }

    /// As it stands in memory, or finished on disk: what a test looks at, and not what anybody is told ([`Self::show`]).
    #[cfg(test)]
    pub fn find_job(&self, id: &JobId) -> Result<Option<Job>, RowError> {
        match self.job(id) {
            Some(job) => Ok(Some(job)),
            None => self.rows.job(id),
        }
    }

    /// What this bank can tell a recovery of a coin: of one that it holds, taken or not yet, or of one that it opened and did
    /// not book.
    pub fn known_opening(&self, coin: &CoinId) -> Result<Option<KeptRow>, RowError> {
        let told = |held: &HeldCoin| KeptRow {
            opening: held.opening.to_bytes(),
            origin: held.origin.0,
            output_index: held.output_index,
        };
        let untouched = {
            let shared = self.shared();
            if let Some(held) = shared.book.coins.get(coin) {
                return Ok(Some(told(held)));
            }
            if shared.kept.contains(coin) {
                drop(shared);
                return self.rows.get(Table::Kept, &coin.0);
            }
            shared.book.preissued.untouched()
        };
        // Derived one by one, without the lock.
        Ok(untouched.into_iter().find(|held| held.id == *coin).as_ref().map(told))
    }

    pub fn participant_name(&self, number: ParticipantNumber) -> String {
        let ledger = self.ports.ledger();
        ledger.directory.get(number).map_or_else(|| number.to_string(), |line| line.name.as_str().to_owned())
    }

    /// `name@bank2`, or `name@2`.
    pub fn parse_address(&self, text: &str) -> Option<(ParticipantNumber, String)> {
        let (wallet, bank) = text.split_once('@')?;
        let ledger = self.ports.ledger();
        let named =
            ledger.directory.iter().find(|line| line.name.as_str() == bank || line.number.to_string() == bank)?;
        let has_desk = named.is_commercial_bank() || named.is_central_bank();
        (has_desk && is_wallet_name(wallet)).then(|| (named.number, wallet.to_owned()))
    }

    pub fn owner_key(&self, wallet: &str, key_index: u64) -> Option<SigningKey> {
        let seed = self.shared().book.wallets.get(wallet)?.seed.clone();
        Some(owner_key(&seed, key_index))
    }

    /// A key that nobody has seen before: its index is as good as random, and the same for the same parts.
    pub fn key_index(&self, of: &str, parts: &[&[u8]]) -> u64 {
        let secret = self.at_rest.secret(of, parts);
        u64::from_le_bytes(*secret.first_chunk().expect("32 bytes are more than 8"))
    }
}

pub(crate) fn is_wallet_name(name: &str) -> bool {
    (1..=32).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

impl Shared {
    fn load(
        rows: &Rows,
        rules: &Rules,
        me: ParticipantNumber,
        vault: Zeroizing<[u8; 32]>,
    ) -> Result<(Self, Vec<Started>), RowError> {
        let malformed = |table: Table| RowError::Malformed(table.name());
        let mut book = Book::default();
        let taken = rows.meta::<Vec<u32>>(Meta::Preissued)?.unwrap_or_default();
        let out_of_turn = rows.meta(Meta::PreissuedOutOfTurn)?.unwrap_or_default();
        book.preissued = Preissued::of(rules, me, owner_key(&vault, 0).public_key(), taken, out_of_turn);
        book.add_wallet(VAULT, vault);
        for (_, row) in rows.all::<WalletRow>(Table::Wallets)? {
            book.add_wallet(&row.name, Zeroizing::new(row.seed));
        }
        for (key, row) in rows.all::<CoinRow>(Table::Coins)? {
            let id = CoinId::from_bytes(&key).map_err(|_| malformed(Table::Coins))?;
            book.insert(HeldCoin::from_row(id, row).ok_or(malformed(Table::Coins))?);
        }
        let mut shared = Shared {
            book,
            jobs: HashMap::new(),
            keys_on_their_way: HashMap::new(),
            by_envelope: HashMap::new(),
            attempts: BTreeSet::new(),
            watched: HashMap::new(),
            kept: HashSet::new(),
            expected: HashMap::new(),
            expected_by_expiry: BTreeSet::new(),
            owners: HashMap::new(),
            verdicts: HashMap::new(),
            release_next: rows.meta(Meta::ReleaseNext)?.unwrap_or(1),
            release_first: 1,
            release_jobs: BTreeMap::new(),
            directory: match rows.meta::<Vec<u8>>(Meta::Directory)? {
                Some(bytes) => Arc::new(Directory::from_bytes(&bytes).map_err(|_| malformed(Table::Meta))?),
                None => Arc::new(rules.genesis.directory.clone()),
            },
            contracts: match rows.meta::<Vec<u8>>(Meta::Contracts)? {
                Some(bytes) => Arc::new(Contracts::from_bytes(&bytes).map_err(|_| malformed(Table::Meta))?),
                None => Arc::default(),
            },
            cursor: Height(rows.meta(Meta::Cursor)?.unwrap_or(0)),
        };
        for (key, _) in rows.all::<KeptRow>(Table::Kept)? {
            shared.kept.insert(CoinId::from_bytes(&key).map_err(|_| malformed(Table::Kept))?);
        }
        for (key, row) in rows.all::<ExpectedRow>(Table::Expected)? {
            shared.expect(Note::from_bytes(&key).map_err(|_| malformed(Table::Expected))?, row);
        }
        for (key, row) in rows.all::<ExpectedRow>(Table::Owners)? {
            shared.owners.insert(PublicKey::from_bytes(&key).map_err(|_| malformed(Table::Owners))?, row);
        }
        if let Some((key, _)) = rows.from::<ReleaseRow>(Table::Releases, &[], 1)?.first() {
            shared.release_first = release_cursor(key).ok_or(malformed(Table::Releases))?;
        } else {
            shared.release_first = shared.release_next;
        }
        let mut started = Vec::new();
        for (_, job) in rows.all::<Job>(Table::OpenJobs)? {
            started.push(shared.take_up(job));
        }
        Ok((shared, started))
    }

    /// An unfinished job from disk: what its attempt spends is reserved again.
    fn take_up(&mut self, mut job: Job) -> Started {
        let amount = job.work_amount();
        self.book.open_inert(&job.wallet);
        let promised = job.state == State::Pending && job.attempt.is_none() && job.needs_promise();
        if promised {
            self.book.promise(&job.wallet, amount);
        }
        if let (Some(attempt), State::Pending) = (&mut job.attempt, job.state) {
            // It may have been handed in before the process ended, and will be again.
            attempt.has_copies = true;
            let inputs = attempt.input_ids().collect();
            self.book.reserve_again(&job.wallet, job.id, amount, inputs);
        }
        self.insert(job, promised)
    }

    /// Makes a job active.
    pub fn insert(&mut self, job: Job, promised: bool) -> Started {
        let (verdicts, received) = mpsc::unbounded_channel();
        let id = job.id;
        if let (Some(attempt), State::Pending) = (&job.attempt, job.state) {
            let envelope = EnvelopeId(attempt.envelope);
            self.by_envelope.insert(envelope, id);
            self.attempts.insert((attempt.expiry_ms, envelope));
        }
        if matches!(job.state, State::Ordered | State::Settled)
            && let Some(coin) = job.watched_coin()
        {
            self.watched.insert(coin, id);
        }
        self.jobs.insert(id, Active { job, changed: watch::Sender::new(()), verdicts, promised });
        (id, received)
    }

    /// Changes a job and its row. Nothing happens if the job is final already.
    pub fn update(&mut self, id: &JobId, unit: &mut Unit, change: impl FnOnce(&mut Job)) -> bool {
        let Some(active) = self.jobs.get_mut(id) else { return false };
        change(&mut active.job);
        unit.put(Table::OpenJobs, id, &active.job);
        active.changed.send_replace(());
        true
    }

    /// The job is final: its coins are free, its row moves, those who wait are told.
    pub fn finish(&mut self, id: &JobId, unit: &mut Unit, change: impl FnOnce(&mut Job)) {
        let Some(mut active) = self.jobs.remove(id) else { return };
        change(&mut active.job);
        debug_assert!(active.job.state.is_final());
        self.forget_attempt(&mut active.job);
        if let Some(coin) = active.job.watched_coin() {
            self.watched.remove(&coin);
        }
        if active.promised {
            self.book.unpromise(&active.job.wallet, active.job.work_amount());
        }
        self.book.release(id, unit);
        unit.delete(Table::OpenJobs, id);
        unit.put(Table::Jobs, id, &active.job);
    }

    /// The attempt can not, or need not, be accepted any more.
    pub fn forget_attempt(&mut self, job: &mut Job) {
        if let Some(attempt) = job.attempt.take() {
            let envelope = EnvelopeId(attempt.envelope);
            self.by_envelope.remove(&envelope);
            self.attempts.remove(&(attempt.expiry_ms, envelope));
        }
    }

    /// The ledger says that the coin is spent.
    pub fn let_go_of(&mut self, coin: &CoinId, unit: &mut Unit) {
        if self.book.remove(coin).is_some() {
            unit.delete(Table::Coins, &coin.0);
        }
        if self.kept.remove(coin) {
            unit.delete(Table::Kept, &coin.0);
        }
    }

    pub fn expect(&mut self, note: Note, row: ExpectedRow) {
        self.expected_by_expiry.insert((row.expiry_ms, note));
        if let Some(before) = self.expected.insert(note, row.clone())
            && before.expiry_ms != row.expiry_ms
        {
            self.expected_by_expiry.remove(&(before.expiry_ms, note));
        }
    }

    pub fn stop_expecting(&mut self, note: &Note, unit: &mut Unit) -> Option<ExpectedRow> {
        let row = self.expected.remove(note)?;
        self.expected_by_expiry.remove(&(row.expiry_ms, *note));
        unit.delete(Table::Expected, &note.0);
        Some(row)
    }

    pub fn remember_verdict(&mut self, envelope: EnvelopeId, verdict: VerdictRow) {
        if self.verdicts.len() >= VERDICTS_RECENT_MAX {
            self.verdicts.clear();
        }
        self.verdicts.insert(envelope, verdict);
    }
}

pub(crate) fn release_cursor(key: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(key.try_into().ok()?))
}

impl Job {
    /// What the job takes out of its wallet's coins.
    pub fn work_amount(&self) -> u64 {
        match self.work {
            Work::Pay { amount, .. } | Work::Redeem { amount } => amount,
            Work::Lend { amount, .. } | Work::PayBack { amount, .. } => amount,
            Work::Return { paid, .. } => paid,
            _ => 0,
        }
    }

    /// Whether coins are still to be chosen for it.
    pub fn needs_promise(&self) -> bool {
        self.work_amount() > 0
    }

    /// Its record decides the job: that of its first coin, or of a spent one when none is made.
    pub fn watched_coin(&self) -> Option<CoinId> {
        self.coins.first().copied().map(CoinId)
    }

    pub fn refuse(&mut self, rejection: u16, reason: impl Into<String>) {
        self.state = State::Refused;
        self.rejection = rejection;
        let reason = reason.into();
        self.trace(Step::Refused, reason.clone());
        self.reason = Some(reason);
    }
}
