//! The one writer of registration. Every step is one synced batch:
//!
//! ```text
//! a height    accepted envelopes wait, or are judged at once if their key came early; deadlines; directory; cursor
//! releases    keys of one bank: judged, booked, or kept until their block comes; the bank's cursor
//!   both      accounts, outbox units and what they follow from in the same batch ─▶ spool files ─▶ only then the ack
//! ```
//! What stays true here:
//! - An accepted envelope is confirmed or disputed exactly once, by the first key that matches its commitment (R-1); a key that
//!   does not match is counted and ignored.
//! - What was not committed was not said: units reach the spool, and banks their ack, after the commit.
//! - After an error in the middle of a step nothing goes on in memory: the registrar is dropped, and the next start reads
//!   the disk. An answer out of order is refused before anything is touched.
//! - Overdue is who had the time: the deadline runs from when registration could first wait for the key, so neither its own
//!   outage nor its own backlog makes anybody overdue. Overdue ends, by a key or by a second deadline: then the envelope is
//!   disputed, so that no coin and no bank hangs on a key that never comes.

use super::RegistrationError;
use super::accounts::{Booking, Preissued};
use super::blocks::OrderedHeight;
use super::books::{Books, Mend};
use super::early::Early;
use super::judge::{Case, judge_all};
use super::loans::Loans;
use super::recent::Recent;
use super::rows::{self, AccountStatus, CursorRow, OutboxRow, WaitingRow};
use super::trust::ChainTrust;
use crate::link::Release;
use crate::outbox::{
    Entry, EntryHash, Event, Failpoint, OutboxId, SpoolKey, SpoolWriter, StorageKey, UNIT_ENTRIES_MAX,
};
use crate::reconciliation::AsOf;
use ledger_seal::{DisclosureKey, EnvelopeRoot};
use ledger_state::{Contracts, OVERDUE_PER_SUBMITTER_MAX, Rules};
use ledger_store::{PrivateStore, Scan, Writes};
use ledger_types::confirmation::{Overdue, RecordStatus};
use ledger_types::contract::ContractOrder;
use ledger_types::envelope::Envelope;
use ledger_types::participant::Directory;
use ledger_types::*;
use ledger_verify::Trust;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::Path;
use std::sync::Arc;

/// By so much more than before a block has to be ahead of the clock to count: more than the stamps of one block and the next may
/// differ (B-5).
const LAG_STEP_MS: u64 = 5_000;

/// Wall clock in milliseconds.
pub type Clock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// Half of what the ledger takes: within one batch as many may be cleared and others become overdue, and the ledger compares
/// with the count before the batch.
const OVERDUE_AT_ONCE_MAX: usize = OVERDUE_PER_SUBMITTER_MAX as usize / 2;
/// A bank whose releases still come in full answers is not behind; but nobody stays out of the deadline's reach for ever.
const BACKLOG_DEADLINES: u64 = 20;
/// Overdue envelopes of one submitter that one height gives up: the step stays as large as a height's.
const GIVEN_UP_AT_ONCE_MAX: usize = 100;

/// Where registration keeps what.
pub struct RegistrarConfig<'a> {
    pub database: &'a Path,
    pub outbox: &'a Path,
    /// To whom booked envelopes are sealed (R-4).
    pub officers: DisclosureKey,
    pub storage_secret: &'a [u8; 32],
    pub outbox_secret: &'a [u8; 32],
    pub clock: Clock,
    pub failpoint: Failpoint,
}

/// What operators see.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Progress {
    pub height: u64,
    pub block_time_ms: u64,
    /// Accepted envelopes without a matching key.
    pub waiting: u64,
    pub overdue: u64,
    pub early_keys: u64,
    /// The last sequence written to the outbox.
    pub outbox_sequence: u64,
    /// Since the start of the process.
    pub confirmed: u64,
    pub disputed: u64,
    pub keys_that_do_not_match: u64,
    /// Banks with more releases than one answer holds.
    pub backlog_at: BTreeSet<u16>,
}

/// What became of one answer of a bank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Durable up to here: to be acknowledged.
    pub up_to: u64,
    /// The bank has too many keys without a block here: ask again after the next height.
    pub bank_is_full: bool,
}

pub struct Registrar {
    pub(super) fixed: Fixed,
    pub(super) memory: Memory,
}

pub(super) struct Fixed {
    pub rules: Rules,
    pub trust: ChainTrust,
    /// Shared with readers of a moment ([`Books`]); this thread alone writes.
    pub store: Arc<PrivateStore>,
    officers: DisclosureKey,
    pub key: StorageKey,
    pub preissued: Preissued,
    spool: SpoolWriter,
    pub clock: Clock,
    failpoint: Failpoint,
}

/// What of the disk is kept in memory too.
pub(super) struct Memory {
    cursor: Option<CursorRow>,
    outbox: OutboxRow,
    last_batch: BatchNumber,
    /// As [`rows::REGISTERED_AS`].
    pub registered_as: BTreeMap<CoinId, AccountStatus>,
    directories: BTreeMap<Height, Arc<Directory>>,
    /// By the first height that each governs; none before the first deployment.
    contracts: BTreeMap<Height, Arc<Contracts>>,
    /// With the block time from which on each is disputed.
    overdue: BTreeMap<(ParticipantNumber, EnvelopeId), u64>,
    early: Early,
    settled: Recent,
    /// Units that are in the spool and whose rows the next batch deletes.
    spooled: Vec<u64>,
    progress: Progress,
    /// A whole deadline after this, and after blocks last outran the clock, nothing is overdue: banks could not be asked.
    started_ms: u64,
    /// How far blocks are ahead of the clock, as far as that was noted, and the time of the block at which it last grew.
    clock_lag_ms: u64,
    outrun_at_ms: u64,
}

/// One batch in the making.
pub(super) struct Step<'a> {
    pub writes: Writes<'a>,
    cases: Vec<Case>,
    /// Envelopes in `cases`.
    judged: HashSet<EnvelopeId>,
    pub events: Vec<Event>,
    loans: Loans<'a>,
}

impl Registrar {
    pub fn open(rules: Rules, config: RegistrarConfig<'_>) -> Result<Self, RegistrationError> {
        let store = rows::open(config.database, &rules.chain)?;
        let key = StorageKey::new(rows::KEY_CONTEXT, config.storage_secret);
        let outbox = match store.get(&rows::OUTBOX_STATE, &())? {
            Some(outbox) => outbox,
            None => create(&store, &rules)?,
        };
        let spool_key = SpoolKey::new(config.outbox_secret);
        let spool =
            SpoolWriter::open(config.outbox, spool_key, rules.chain, OutboxId(outbox.id), config.failpoint.clone())?;
        let cursor = store.get(&rows::CURSOR, &())?;
        let last_batch = store.get(&rows::LAST_BATCH, &())?.unwrap_or(BatchNumber(0));
        let registered_as = store.scan(&rows::REGISTERED_AS, Scan::all()).collect::<Result<_, _>>()?;
        let directories = store.scan(&rows::DIRECTORIES, Scan::all());
        let directories = directories.map(|row| row.map(|(height, directory)| (height, Arc::new(directory))));
        let directories = directories.collect::<Result<_, _>>()?;
        let contracts = store.scan(&rows::CONTRACTS, Scan::all());
        let contracts = contracts.map(|row| row.map(|(height, contracts)| (height, Arc::new(contracts))));
        let contracts = contracts.collect::<Result<_, _>>()?;
        let overdue: BTreeMap<_, _> = store.scan(&rows::OVERDUE, Scan::all()).collect::<Result<_, _>>()?;
        let mut waiting = overdue.len() as u64;
        for row in store.scan(&rows::DEADLINES, Scan::all()) {
            row?;
            waiting += 1;
        }
        let early = Early::load(&store)?;
        let progress = Progress {
            height: cursor.as_ref().map_or(0, |cursor: &CursorRow| cursor.header.height.0),
            block_time_ms: cursor.as_ref().map_or(rules.genesis.time_ms, |cursor| cursor.header.time_ms),
            waiting,
            overdue: overdue.len() as u64,
            early_keys: early.len() as u64,
            outbox_sequence: outbox.next_sequence - 1,
            ..Progress::default()
        };
        let memory = Memory {
            cursor,
            outbox,
            last_batch,
            registered_as,
            directories,
            contracts,
            overdue,
            early,
            settled: Recent::new(2 * rules.genesis.expiry_window_ms),
            spooled: Vec::new(),
            progress,
            started_ms: (config.clock)(),
            clock_lag_ms: 0,
            outrun_at_ms: 0,
        };
        let preissued = Preissued::of(&rules);
        let (officers, clock, failpoint) = (config.officers, config.clock, config.failpoint);
        let hand_overs = store.scan(&rows::HAND_OVERS, Scan::all()).map(|row| row.map(|(_, hand_over)| hand_over));
        let hand_overs = hand_overs.collect::<Result<_, _>>()?;
        let trust = ChainTrust::new(Trust::from_genesis(&rules.genesis.to_bytes())?, hand_overs);
        let store = Arc::new(store);
        let fixed = Fixed { rules, trust, store, officers, key, preissued, spool, clock, failpoint };
        let mut registrar = Registrar { fixed, memory };
        registrar.spool_what_is_left()?;
        Ok(registrar)
    }

    pub fn trust(&self) -> &ChainTrust {
        &self.fixed.trust
    }

    pub fn rules(&self) -> &Rules {
        &self.fixed.rules
    }

    /// The last height booked, with its proof.
    pub fn cursor(&self) -> Option<&CursorRow> {
        self.memory.cursor.as_ref()
    }

    /// The directory that governs the next height.
    pub fn directory(&self) -> Arc<Directory> {
        self.memory.directories.last_key_value().expect("the genesis's directory is there from the start").1.clone()
    }

    /// The last release taken from a bank.
    pub fn taken_from(&self, bank: ParticipantNumber) -> Result<u64, RegistrationError> {
        Ok(self.fixed.store.get(&rows::TAKEN, &bank)?.unwrap_or(0))
    }

    pub fn progress(&self) -> &Progress {
        &self.memory.progress
    }

    /// The accounts as of the last height booked; none before height 1.
    pub(super) fn books(&self) -> Option<Books> {
        let CursorRow { header, .. } = self.memory.cursor.as_ref()?;
        let (rules, store) = (self.fixed.rules.clone(), self.fixed.store.clone());
        let as_of = AsOf {
            height: header.height,
            block: header.hash(&rules.chain),
            time_ms: header.time_ms,
            batch: self.memory.last_batch,
        };
        Some(Books { rules, store, as_of, directory: self.directory() })
    }

    /// Makes the account of a coin say what the registry says of it (R-7). Gives what was done, or why nothing mends it.
    pub(super) fn mend(&mut self, mend: &Mend) -> Result<Result<&'static str, &'static str>, RegistrationError> {
        let Fixed { store, preissued, .. } = &self.fixed;
        let preissued_at = preissued.get(&mend.coin).map(|(bank, _)| bank);
        let registered_as = self.memory.registered_as.get(&mend.coin).copied();
        let row = match mend.change(store, preissued_at, registered_as)? {
            Ok(row) => row,
            Err(why) => return Ok(Err(why)),
        };
        let mut writes = store.writes();
        row.write(&mend.coin, &mut writes)?;
        writes.commit()?;
        tracing::warn!(coin = %mend.coin, what = row.what(), "an account was mended");
        Ok(Ok(row.what()))
    }

    /// Whether a bank's last answer was full, so that there is more to take.
    pub fn note_backlog(&mut self, bank: ParticipantNumber, is_full: bool) {
        let backlog = &mut self.memory.progress.backlog_at;
        if is_full {
            backlog.insert(bank.0)
        } else {
            backlog.remove(&bank.0)
        };
    }

    /// Books the next height.
    pub fn take_height(&mut self, ordered: OrderedHeight) -> Result<(), RegistrationError> {
        let (fixed, memory) = (&self.fixed, &mut self.memory);
        let OrderedHeight { header, certificate, envelopes, announced, contract_orders, batches, directory, hand_over } =
            ordered;
        let expected = memory.cursor.as_ref().map_or(Height(1), |cursor| cursor.header.height.next());
        assert_eq!(header.height, expected, "heights are checked and booked in order");
        let mut step = fixed.step();
        let governing = memory.governing_at(header.height);
        let now_ms = (fixed.clock)();
        let deadline_ms = header.time_ms.max(now_ms) + fixed.rules.genesis.release_deadline_ms;
        memory.note_clock(now_ms, header.time_ms);
        for (id, envelope) in envelopes {
            step.loans.note_ordered(&fixed.rules.chain, id, &envelope, header.time_ms);
            let commitment = &envelope.header.commitment;
            let roots = memory.early.take(&fixed.store, &fixed.key, &id, &mut step.writes)?;
            let count = roots.len();
            let matching = roots.into_iter().enumerate().find(|(_, root)| root.matches(&fixed.rules.chain, commitment));
            memory.progress.keys_that_do_not_match += matching.as_ref().map_or(count, |(before, _)| *before) as u64;
            match matching {
                Some((_, root)) => {
                    step.add(governing.clone().case(id, header.time_ms, envelope, Some(root)));
                }
                None => {
                    step.writes.put(&rows::DEADLINES, &(envelope.submitter(), deadline_ms, id), &Vec::new())?;
                    step.writes.put(
                        &rows::WAITING,
                        &id,
                        &WaitingRow { height: header.height, time_ms: header.time_ms, deadline_ms, envelope },
                    )?;
                    memory.progress.waiting += 1;
                }
            }
        }
        for batch in &batches {
            memory.last_batch = batch.number;
            step.writes.put(&rows::LAST_BATCH, &(), &batch.number)?;
            for record in &batch.records {
                if record.status != RecordStatus::Spent {
                    step.writes.delete(&rows::UNPUBLISHED, &record.coin);
                }
                fixed.note_published(memory, &record.coin, record.status, &mut step.writes)?;
            }
        }
        step.events.extend(announced.into_iter().map(Event::Announced));
        if let Some(directory) = directory {
            // A new key binds from the next height.
            let from = header.height.next();
            step.writes.put(&rows::DIRECTORIES, &from, &*directory)?;
            memory.directories.insert(from, directory);
        }
        if let Some(hand_over) = hand_over {
            step.writes.put(&rows::HAND_OVERS, &hand_over.order.number, &hand_over)?;
            fixed.trust.learn(hand_over);
        }
        if !contract_orders.is_empty() {
            // K-1: as with a key, from the next height.
            let (chain, from) = (&fixed.rules.chain, header.height.next());
            let mut contracts = Contracts::clone(&governing.contracts);
            for order in &contract_orders {
                contracts.take(chain, header.height, order);
                if let ContractOrder::Dispute(dispute) = order {
                    step.loans.note_dispute(chain, dispute)?;
                }
            }
            step.writes.put(&rows::CONTRACTS, &from, &contracts)?;
            memory.contracts.insert(from, Arc::new(contracts));
        }
        let (time_ms, height) = (header.time_ms, header.height);
        // While blocks outran the clock, keys were stamped before the blocks that their envelopes come in.
        if time_ms >= memory.outrun_at_ms.saturating_add(fixed.rules.genesis.release_deadline_ms) {
            memory.early.let_go(&fixed.store, time_ms, fixed.rules.genesis.expiry_window_ms, &mut step.writes)?;
        }
        fixed.find_overdue(memory, time_ms, &mut step)?;
        memory.settled.let_go(time_ms);
        let cursor = CursorRow { header, certificate };
        step.writes.put(&rows::CURSOR, &(), &cursor)?;
        memory.cursor = Some(cursor);
        (memory.progress.height, memory.progress.block_time_ms) = (height.0, time_ms);
        fixed.commit(memory, step)
    }

    /// Books what a bank has released. The releases are ascending and follow what was taken from it before.
    pub fn take_releases(&mut self, bank: ParticipantNumber, releases: &[Release]) -> Result<Taken, RegistrationError> {
        let (fixed, memory) = (&self.fixed, &mut self.memory);
        let before = fixed.store.get(&rows::TAKEN, &bank)?.unwrap_or(0);
        let is_ascending = releases.is_sorted_by(|a, b| a.cursor < b.cursor);
        if !is_ascending || releases.first().is_some_and(|first| first.cursor <= before) {
            return Err(RegistrationError::ReleasesOutOfOrder(bank));
        }
        let (mut taken, mut other_keys) = (Taken { up_to: before, bank_is_full: false }, 0);
        let mut step = fixed.step();
        // Not before the last block: a clock that is behind would have the key let go before its envelope comes.
        let now_ms = (fixed.clock)().max(memory.progress.block_time_ms);
        for release in releases {
            let id = EnvelopeId(release.envelope);
            // R-1: the first that matches was taken; this is the other party's.
            if !memory.settled.contains(&id) && !step.judged.contains(&id) {
                match fixed.store.get(&rows::WAITING, &id)? {
                    Some(waiting) => {
                        let root = EnvelopeRoot::from_bytes(release.root);
                        if root.matches(&fixed.rules.chain, &waiting.envelope.header.commitment) {
                            fixed.stop_waiting(memory, &id, &waiting, &mut step);
                            let WaitingRow { height, time_ms, envelope, .. } = waiting;
                            step.add(memory.governing_at(height).case(id, time_ms, envelope, Some(root)));
                        } else {
                            memory.progress.keys_that_do_not_match += 1;
                            other_keys += 1;
                        }
                    }
                    // Booked long ago by the other party's: this bank could not be asked meanwhile.
                    None if fixed.store.get(&rows::SEALED_ROOTS, &id)?.is_some() => {}
                    None if memory.early.is_full(bank) => {
                        taken.bank_is_full = true;
                        break;
                    }
                    None => memory.early.put(&fixed.key, id, bank, &release.root, now_ms, &mut step.writes)?,
                }
            }
            taken.up_to = release.cursor;
        }
        if other_keys > 0 {
            tracing::warn!(%bank, keys = other_keys, "released keys do not match their envelopes");
        }
        if taken.up_to > before {
            step.writes.put(&rows::TAKEN, &bank, &taken.up_to)?;
            fixed.commit(memory, step)?;
        }
        Ok(taken)
    }

    /// Units of an earlier life: perhaps in the spool already, then with the same entries.
    fn spool_what_is_left(&mut self) -> Result<(), RegistrationError> {
        let (fixed, memory) = (&self.fixed, &mut self.memory);
        for row in fixed.store.scan(&rows::OUTBOX, Scan::all()) {
            let (first, sealed) = row?;
            let unreadable = || RegistrationError::Unreadable("a unit of the outbox");
            let plaintext = fixed.key.open(&unit_text(first), &sealed).ok_or_else(unreadable)?;
            let mut reader = Reader::new(&plaintext);
            let mut entries: Vec<Entry> = Vec::new();
            while reader.remaining() > 0 {
                entries.push(reader.read().map_err(|_| unreadable())?);
            }
            fixed.spool.write(&entries)?;
            memory.spooled.push(first);
        }
        Ok(())
    }
}

/// The first rows of a new database.
fn create(store: &PrivateStore, rules: &Rules) -> Result<OutboxRow, RegistrationError> {
    let mut id = [0; 16];
    rand::RngCore::fill_bytes(&mut rand::rngs::OsRng, &mut id);
    let outbox = OutboxRow { id, next_sequence: 1, last: EntryHash::NONE };
    let mut writes = store.writes();
    writes.put(&rows::OUTBOX_STATE, &(), &outbox)?;
    writes.put(&rows::DIRECTORIES, &Height::GENESIS, &rules.genesis.directory)?;
    writes.commit()?;
    Ok(outbox)
}

fn unit_text(first: u64) -> Vec<u8> {
    [&b"outbox "[..], &first.to_le_bytes()].concat()
}

/// What an envelope of one height is judged by (rules P).
#[derive(Clone)]
struct Governing {
    directory: Arc<Directory>,
    contracts: Arc<Contracts>,
}

impl Governing {
    fn case(self, id: EnvelopeId, time_ms: u64, envelope: Envelope, root: Option<EnvelopeRoot>) -> Case {
        let Governing { directory, contracts } = self;
        Case { id, envelope, root, time_ms, directory, contracts }
    }
}

impl Memory {
    /// A quorum took this block's time (B-5): if it is in the clock's future, the clock is behind. If it is so by as much as before, it
    /// does no harm, for block time goes on as fast as the clock. But where blocks outrun it, as in catching up under a clock that
    /// stood still, whole deadlines pass while no bank is asked.
    fn note_clock(&mut self, now_ms: u64, block_time_ms: u64) {
        let lag_ms = block_time_ms.saturating_sub(now_ms);
        if lag_ms > self.clock_lag_ms + LAG_STEP_MS {
            if self.clock_lag_ms == 0 {
                tracing::warn!(lag_ms, "blocks are ahead of this machine's clock: set it from a time server");
            }
            (self.clock_lag_ms, self.outrun_at_ms) = (lag_ms, block_time_ms);
        } else if lag_ms + LAG_STEP_MS < self.clock_lag_ms {
            self.clock_lag_ms = if lag_ms > LAG_STEP_MS { lag_ms } else { 0 };
        }
    }

    fn governing_at(&self, height: Height) -> Governing {
        let directory = self.directories.range(..=height).next_back();
        let directory = directory.expect("the genesis's directory is there from the start").1.clone();
        let contracts = self.contracts.range(..=height).next_back();
        Governing { directory, contracts: contracts.map(|(_, contracts)| contracts.clone()).unwrap_or_default() }
    }

    /// None: the registry says what the account says.
    pub fn note_registered_as(
        &mut self,
        coin: &CoinId,
        says: Option<AccountStatus>,
        writes: &mut Writes<'_>,
    ) -> Result<(), RegistrationError> {
        match says {
            Some(says) => {
                writes.put(&rows::REGISTERED_AS, coin, &says)?;
                self.registered_as.insert(*coin, says);
            }
            None => {
                writes.delete(&rows::REGISTERED_AS, coin);
                self.registered_as.remove(coin);
            }
        }
        Ok(())
    }
}

impl Step<'_> {
    fn add(&mut self, case: Case) {
        self.judged.insert(case.id);
        self.cases.push(case);
    }
}

impl Fixed {
    pub fn step(&self) -> Step<'_> {
        Step {
            writes: self.store.writes(),
            cases: Vec::new(),
            judged: HashSet::new(),
            events: Vec::new(),
            loans: Loans::new(&self.store, &self.key),
        }
    }

    fn fail_here(&self, name: &'static str) -> Result<(), RegistrationError> {
        if (self.failpoint)(name) { Err(RegistrationError::Failpoint(name)) } else { Ok(()) }
    }

    fn stop_waiting(&self, memory: &mut Memory, id: &EnvelopeId, waiting: &WaitingRow, step: &mut Step<'_>) {
        step.writes.delete(&rows::WAITING, id);
        step.writes.delete(&rows::DEADLINES, &(waiting.envelope.submitter(), waiting.deadline_ms, *id));
        memory.progress.waiting -= 1;
    }

    /// R-1.
    fn find_overdue(
        &self,
        memory: &mut Memory,
        block_time_ms: u64,
        step: &mut Step<'_>,
    ) -> Result<(), RegistrationError> {
        let deadline_ms = self.rules.genesis.release_deadline_ms;
        if block_time_ms < memory.started_ms.max(memory.outrun_at_ms).saturating_add(deadline_ms) {
            return Ok(());
        }
        let directory = memory.directories.last_key_value().expect("there is always one").1.clone();
        for participant in directory.iter() {
            let submitter = participant.number;
            let has_backlog = memory.progress.backlog_at.contains(&submitter.0);
            let grace_ms = if has_backlog { (BACKLOG_DEADLINES - 1) * deadline_ms } else { 0 };
            let until_ms = block_time_ms.saturating_sub(grace_ms);
            let of_submitter = (submitter, EnvelopeId::ZERO)..=(submitter, EnvelopeId([0xff; 32]));
            let of_submitter = memory.overdue.range(of_submitter);
            let count = of_submitter.clone().count();
            let given_up: Vec<EnvelopeId> = of_submitter
                .filter(|(_, disputed_from_ms)| **disputed_from_ms <= until_ms)
                .map(|((_, envelope), _)| *envelope)
                .take(GIVEN_UP_AT_ONCE_MAX)
                .collect();
            for envelope in given_up {
                self.give_up(memory, envelope, step)?;
            }
            for row in self
                .store
                .scan(&rows::DEADLINES, Scan::under(&submitter))
                .take(OVERDUE_AT_ONCE_MAX.saturating_sub(count))
            {
                let ((_, deadline_ms, envelope), _) = row?;
                if deadline_ms > until_ms {
                    break;
                }
                step.writes.delete(&rows::DEADLINES, &(submitter, deadline_ms, envelope));
                let disputed_from_ms = block_time_ms.max((self.clock)()) + self.rules.genesis.release_deadline_ms;
                step.writes.put(&rows::OVERDUE, &(submitter, envelope), &disputed_from_ms)?;
                step.events.push(Event::Overdue(Overdue { envelope, submitter }));
                memory.overdue.insert((submitter, envelope), disputed_from_ms);
                tracing::warn!(%submitter, %envelope, "a key release is overdue");
            }
        }
        Ok(())
    }

    /// R-1: the second deadline has passed. Booking disputes the envelope and clears the entry.
    fn give_up(&self, memory: &mut Memory, id: EnvelopeId, step: &mut Step<'_>) -> Result<(), RegistrationError> {
        let waiting = self.store.get(&rows::WAITING, &id)?;
        let waiting = waiting.ok_or(RegistrationError::Unreadable("an overdue envelope"))?;
        self.stop_waiting(memory, &id, &waiting, step);
        let WaitingRow { height, time_ms, envelope, .. } = waiting;
        tracing::warn!(submitter = %envelope.submitter(), envelope = %id, "a key was never released");
        step.add(memory.governing_at(height).case(id, time_ms, envelope, None));
        Ok(())
    }

    /// Judges, books, and makes everything durable with the events that follow from it; then spools them.
    pub fn commit(&self, memory: &mut Memory, step: Step<'_>) -> Result<(), RegistrationError> {
        let Step { mut writes, cases, mut events, loans, .. } = step;
        let mut booking = Booking::new(&self.store, &self.key, &self.rules, &self.preissued, loans);
        for judged in judge_all(&self.rules, &self.officers, cases) {
            let (id, submitter) = (judged.case.id, judged.case.envelope.submitter());
            let confirmed = booking.book(&judged, &mut writes)?;
            match confirmed.outputs.iter().find(|output| output.status == RecordStatus::Disputed) {
                None if judged.verdict.is_ok() => memory.progress.confirmed += 1,
                _ => {
                    memory.progress.disputed += 1;
                    tracing::warn!(%submitter, envelope = %id, verdict = ?judged.verdict, "a payment is disputed");
                }
            }
            for output in &confirmed.outputs {
                writes.put(&rows::UNPUBLISHED, &output.coin, &memory.progress.block_time_ms)?;
            }
            events.push(Event::Confirmed(confirmed));
            if memory.overdue.remove(&(submitter, id)).is_some() {
                writes.delete(&rows::OVERDUE, &(submitter, id));
                events.push(Event::Cleared(Overdue { envelope: id, submitter }));
            }
            memory.settled.insert(id, memory.progress.block_time_ms);
        }
        booking.finish(&mut writes)?;
        writes.delete_all(&rows::OUTBOX, &memory.spooled);
        let units = self.units(memory, events);
        for unit in &units {
            let mut plaintext = zeroize::Zeroizing::new(Vec::new());
            unit.iter().for_each(|entry| entry.encode(&mut plaintext));
            let first = unit[0].sequence;
            writes.put(&rows::OUTBOX, &first, &self.key.seal(&unit_text(first), &plaintext))?;
        }
        writes.put(&rows::OUTBOX_STATE, &(), &memory.outbox)?;
        self.fail_here("before commit")?;
        writes.commit()?;
        self.fail_here("after commit")?;
        memory.spooled.clear();
        for unit in &units {
            self.spool.write(unit)?;
            self.fail_here("after spool")?;
            memory.spooled.push(unit[0].sequence);
        }
        let progress = &mut memory.progress;
        progress.overdue = memory.overdue.len() as u64;
        progress.early_keys = memory.early.len() as u64;
        progress.outbox_sequence = memory.outbox.next_sequence - 1;
        Ok(())
    }

    /// R-7: from this batch on the registry says so. Only freezing makes it say for a time what the account does not.
    fn note_published(
        &self,
        memory: &mut Memory,
        coin: &CoinId,
        status: RecordStatus,
        writes: &mut Writes<'_>,
    ) -> Result<(), RegistrationError> {
        if status != RecordStatus::Frozen && !memory.registered_as.contains_key(coin) {
            return Ok(());
        }
        let says = match status {
            RecordStatus::Live => Some(AccountStatus::Live),
            RecordStatus::Frozen => Some(AccountStatus::Frozen),
            RecordStatus::Disputed => Some(AccountStatus::Disputed),
            RecordStatus::Spent => None,
        };
        // A pre-issued coin has no row while it is live.
        let account = self.store.get(&rows::ACCOUNTS, coin)?.map_or(AccountStatus::Live, |row| row.status);
        memory.note_registered_as(coin, says.filter(|says| *says != account), writes)
    }

    fn units(&self, memory: &mut Memory, events: Vec<Event>) -> Vec<Vec<Entry>> {
        let mut units: Vec<Vec<Entry>> = Vec::new();
        for event in events {
            let entry = Entry { sequence: memory.outbox.next_sequence, previous: memory.outbox.last, event };
            memory.outbox.next_sequence += 1;
            memory.outbox.last = entry.hash();
            match units.last_mut() {
                Some(unit) if unit.len() < UNIT_ENTRIES_MAX => unit.push(entry),
                _ => units.push(vec![entry]),
            }
        }
        units
    }
}
