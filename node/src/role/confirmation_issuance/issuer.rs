//! What confirmation issuance keeps on disk, and the only places where it changes:
//!
//! ```text
//! formed    the next batch is signed and persisted          (pending)
//! assigned  the lane's slot in which it is submitted         (pending.slot)
//! accepted  the registry shows it: cursor, number and hash move, the files behind the cursor are deleted
//! ```
//! Killed between any two lines, the next start goes on from the last of them: with the same bytes. Unless the
//! registration key was rotated meanwhile: then with the same content under the key of now, in a slot that the old
//! signature does not stand in.

use super::batch::{form, genesis_batch_hash};
use super::registry::RegistryTip;
use super::{Alarm, IssuanceError, Progress};
use crate::outbox::{Entry, EntryHash, Event, Failpoint, OutboxId, SpoolError, SpoolKey, SpoolReader};
use ledger_state::Rules;
use ledger_store::{Column, PrivateStore};
use ledger_types::bundle::{Bundle, Slot};
use ledger_types::confirmation::SignedBatch;
use ledger_types::keys::SigningKey;
use ledger_types::{BatchHash, BatchNumber, Chain, layout};
use std::collections::VecDeque;
use std::path::Path;
use std::time::{Duration, Instant};

/// R-2.
const RELEASE_ENVELOPES: usize = 128;
pub const RELEASE_AFTER: Duration = Duration::from_secs(2);
/// Entries in memory; the rest waits in the spool. Some 15 MB of payments.
const GATHERED_MAX: usize = 50_000;

const STATE: Column<(), StateRow> = Column::ascending("state");
const PENDING: Column<(), PendingRow> = Column::ascending("pending");

#[derive(Clone, Debug, PartialEq, Eq)]
struct StateRow {
    /// Registration's database; learnt with the first batch.
    outbox: Option<[u8; 16]>,
    /// The last entry in a batch that the registry shows, and its hash (R-3).
    cursor: u64,
    at_cursor: EntryHash,
    /// That batch.
    number: BatchNumber,
    hash: BatchHash,
}
layout!(StateRow { outbox, cursor, at_cursor, number, hash });

/// A batch that is signed and that the registry has not shown yet.
#[derive(Clone, Debug, PartialEq, Eq)]
struct PendingRow {
    batch: SignedBatch,
    /// The last entry in it, and its hash.
    through: u64,
    at_through: EntryHash,
    slot: Option<Slot>,
}
layout!(PendingRow { batch, through, at_through, slot });

pub struct IssuerConfig<'a> {
    pub rules: &'a Rules,
    pub database: &'a Path,
    pub outbox: &'a Path,
    pub outbox_secret: &'a [u8; 32],
    pub key: SigningKey,
    /// [`RELEASE_AFTER`] where others can see it.
    pub release_after: Duration,
    pub failpoint: Failpoint,
}

/// How the registry stands to what was signed here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It has not caught up with what it showed before.
    Behind,
    /// It shows the last batch that was accepted; a pending one is next.
    Level,
    /// It has just shown the pending batch.
    Accepted,
}

pub struct Issuer {
    chain: Chain,
    records_max: usize,
    key: SigningKey,
    release_after: Duration,
    store: PrivateStore,
    failpoint: Failpoint,
    spool: SpoolReader,
    state: StateRow,
    pending: Option<PendingRow>,
    gathered: VecDeque<Entry>,
    envelopes_gathered: usize,
    /// When which entries came: (last sequence, time).
    arrivals: VecDeque<(u64, Instant)>,
}

impl Issuer {
    pub fn open(config: IssuerConfig<'_>) -> Result<Self, IssuanceError> {
        let chain = config.rules.chain;
        let columns = [STATE.spec(), PENDING.spec()];
        let store = PrivateStore::open(config.database, "confirmation issuance", 2, &chain, &columns)?;
        let state = store.get(&STATE, &())?.unwrap_or_else(|| StateRow {
            outbox: None,
            cursor: 0,
            at_cursor: EntryHash::NONE,
            number: BatchNumber(0),
            hash: genesis_batch_hash(&chain),
        });
        let pending = match store.get(&PENDING, &())? {
            Some(pending) => Some(signed_with(&config.key, &chain, &store, pending)?),
            None => None,
        };
        let read_through = match &pending {
            Some(PendingRow { through, at_through, .. }) => (*through, *at_through),
            None => (state.cursor, state.at_cursor),
        };
        let spool_key = SpoolKey::new(config.outbox_secret);
        let spool = SpoolReader::open(config.outbox, spool_key, chain, state.outbox.map(OutboxId), read_through);
        Ok(Issuer {
            chain,
            records_max: config.rules.genesis.batch_records_max as usize,
            key: config.key,
            release_after: config.release_after,
            store,
            failpoint: config.failpoint,
            spool,
            state,
            pending,
            gathered: VecDeque::new(),
            envelopes_gathered: 0,
            arrivals: VecDeque::new(),
        })
    }

    pub(super) fn fail_here(&self, name: &'static str) -> Result<(), IssuanceError> {
        if (self.failpoint)(name) { Err(IssuanceError::Failpoint(name)) } else { Ok(()) }
    }

    pub fn progress(&self) -> Progress {
        Progress {
            batch: self.state.number.0,
            pending_batch: self.pending.as_ref().map(|pending| pending.batch.batch.number.0),
            backlog: self.gathered.len() as u64,
            outbox_sequence: self.state.cursor,
            waiting_for: None,
        }
    }

    pub fn has_pending(&self) -> bool {
        self.pending.is_some()
    }

    /// Reads what registration has written.
    pub fn gather(&mut self, now: Instant) -> Result<(), IssuanceError> {
        let room = GATHERED_MAX.saturating_sub(self.gathered.len());
        if room == 0 {
            return Ok(());
        }
        let entries = self.spool.poll(room).map_err(|error| match error {
            SpoolError::OtherContent { sequence } => Alarm::EntryRewritten { sequence }.into(),
            error => IssuanceError::from(error),
        })?;
        if let Some(last) = entries.last() {
            self.arrivals.push_back((last.sequence, now));
        }
        self.envelopes_gathered += count_envelopes(&entries);
        self.gathered.extend(entries);
        // Files that an earlier life was done with and did not get to delete, or that registration wrote again.
        Ok(self.spool.delete_through(self.state.cursor)?)
    }

    /// R-2: 128 envelopes, or two seconds since the first of them came.
    fn is_due(&self, now: Instant) -> bool {
        let waited = self.arrivals.front().map(|(_, since)| now.saturating_duration_since(*since));
        self.envelopes_gathered >= RELEASE_ENVELOPES || waited.is_some_and(|waited| waited >= self.release_after)
    }

    /// Signs and persists the next batch when it is due. Only while none is pending, and the registry was seen to be level.
    pub fn form(&mut self, now: Instant) -> Result<bool, IssuanceError> {
        if self.pending.is_some() || !self.is_due(now) {
            return Ok(false);
        }
        let number = BatchNumber(self.state.number.0 + 1);
        let before = self.gathered.len();
        let formed = form(&self.chain, self.records_max, number, self.state.hash, &mut self.gathered)?;
        let Some((batch, last)) = formed else { return Ok(false) };
        let (through, at_through) = (last.sequence, last.hash());
        let batch = batch.sign(&self.chain, &self.key);
        let (records, entries) = (batch.batch.records.len(), before - self.gathered.len());
        let pending = PendingRow { batch, through, at_through, slot: None };
        self.fail_here("before the batch is persisted")?;
        // The registration database is known from the first entry on.
        self.state.outbox = self.spool.id().map(|id| id.0);
        let mut writes = self.store.writes();
        writes.put(&STATE, &(), &self.state)?;
        writes.put(&PENDING, &(), &pending)?;
        writes.commit()?;
        self.fail_here("after the batch is persisted")?;
        self.pending = Some(pending);
        self.envelopes_gathered = count_envelopes(&self.gathered);
        while self.arrivals.front().is_some_and(|(last, _)| *last <= through) {
            self.arrivals.pop_front();
        }
        tracing::info!(batch = number.0, records, entries, "a confirmation batch is signed");
        Ok(true)
    }

    /// The pending batch in its slot: the same bytes whenever it is asked for, as long as the key is the same. None
    /// before a slot is assigned.
    pub fn bundle(&self) -> Result<Option<Bundle>, IssuanceError> {
        let Some(PendingRow { batch, slot: Some(slot), .. }) = &self.pending else { return Ok(None) };
        Ok(Some(Bundle::sign_confirmation(&self.chain, *slot, batch.clone(), &self.key)?))
    }

    /// Persists the slot before anything is signed in it.
    pub fn assign(&mut self, slot: Slot) -> Result<(), IssuanceError> {
        let Some(pending) = &self.pending else { return Ok(()) };
        let pending = PendingRow { slot: Some(slot), ..pending.clone() };
        let mut writes = self.store.writes();
        writes.put(&PENDING, &(), &pending)?;
        writes.commit()?;
        self.fail_here("after the slot is persisted")?;
        self.pending = Some(pending);
        Ok(())
    }

    /// Compares the registry with what was signed here; takes the pending batch as accepted when the registry shows it.
    pub fn observe(&mut self, tip: &RegistryTip) -> Result<Standing, IssuanceError> {
        let signed = self.pending.as_ref().map_or(self.state.number, |pending| pending.batch.batch.number);
        if tip.number > signed {
            return Err(Alarm::ForeignBatch { found: tip.number, signed }.into());
        }
        if tip.number == self.state.number {
            // R-3: a number holds one content for ever.
            return if tip.hash == self.state.hash {
                Ok(Standing::Level)
            } else {
                Err(Alarm::OtherContent(tip.number).into())
            };
        }
        if tip.number < self.state.number {
            return Ok(Standing::Behind);
        }
        let pending = self.pending.clone().expect("a number above the last accepted one is the pending one's");
        if tip.hash != pending.batch.batch.hash(&self.chain) {
            return Err(Alarm::OtherContent(tip.number).into());
        }
        let PendingRow { through: cursor, at_through: at_cursor, .. } = pending;
        let state = StateRow { outbox: self.state.outbox, cursor, at_cursor, number: tip.number, hash: tip.hash };
        self.fail_here("before the acceptance is persisted")?;
        let mut writes = self.store.writes();
        writes.put(&STATE, &(), &state)?;
        writes.delete(&PENDING, &());
        writes.commit()?;
        self.fail_here("after the acceptance is persisted")?;
        (self.state, self.pending) = (state, None);
        self.spool.delete_through(self.state.cursor)?;
        Ok(Standing::Accepted)
    }

    pub fn pending_number(&self) -> Option<BatchNumber> {
        self.pending.as_ref().map(|pending| pending.batch.batch.number)
    }
}

/// The pending batch under the key of now. The ledger takes a batch under its directory's registration key alone
/// (refusal 42), so one from before a rotation is signed anew: number, content and hash stay (R-2), and whichever of
/// the two a block takes first, the other finds its number used up. The old one may hold its slot at some validators
/// or at all of them: the new one goes into the lane's next incarnation, which closes it (B-3).
fn signed_with(
    key: &SigningKey,
    chain: &Chain,
    store: &PrivateStore,
    pending: PendingRow,
) -> Result<PendingRow, IssuanceError> {
    if pending.batch.signature_is_valid(chain, &key.public_key()) {
        return Ok(pending);
    }
    let batch = pending.batch.batch.sign(chain, key);
    let slot = pending.slot.map(|slot| Slot { incarnation: slot.incarnation + 1, sequence: 0, ..slot });
    tracing::warn!(batch = batch.batch.number.0, "the pending batch is signed anew: the registration key was replaced");
    let pending = PendingRow { batch, slot, ..pending };
    let mut writes = store.writes();
    writes.put(&PENDING, &(), &pending)?;
    writes.commit()?;
    Ok(pending)
}

fn count_envelopes<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> usize {
    entries.into_iter().filter(|entry| matches!(entry.event, Event::Confirmed(_))).count()
}
