//! Keys whose envelope no block has brought yet: registration's validator may lag behind a bank, and a bank may never get its
//! envelope ordered.
//!
//! What stays true here: a key stays until its envelope could no more be ordered, and no bank has more than
//! [`EARLY_PER_BANK_MAX`] of them: beyond that nothing more is taken from it until some are used or let go.

use super::RegistrationError;
use super::rows::{self, EarlyRow};
use crate::outbox::StorageKey;
use ledger_seal::EnvelopeRoot;
use ledger_store::{PrivateStore, Scan, Writes};
use ledger_types::{EnvelopeId, Octets, ParticipantNumber};
use std::collections::BTreeMap;
use zeroize::Zeroizing;

/// Some ten seconds of a busy bank; 6 MB on disk and in memory.
pub const EARLY_PER_BANK_MAX: usize = 50_000;
/// On top of the expiry window: clocks differ, and a block is not ordered at once.
const SLACK_MS: u64 = 60_000;
/// What one step lets go at most.
const LET_GO_MAX: usize = 10_000;

pub struct Early {
    banks_of: BTreeMap<EnvelopeId, Vec<(ParticipantNumber, u64)>>,
    count_of: BTreeMap<ParticipantNumber, usize>,
}

impl Early {
    pub fn load(store: &PrivateStore) -> Result<Self, RegistrationError> {
        let mut early = Early { banks_of: BTreeMap::new(), count_of: BTreeMap::new() };
        for row in store.scan(&rows::EARLY_BY_ARRIVAL, Scan::all()) {
            let ((arrived_ms, envelope, bank), _) = row?;
            early.remember(envelope, bank, arrived_ms);
        }
        Ok(early)
    }

    fn remember(&mut self, envelope: EnvelopeId, bank: ParticipantNumber, arrived_ms: u64) {
        self.banks_of.entry(envelope).or_default().push((bank, arrived_ms));
        *self.count_of.entry(bank).or_default() += 1;
    }

    pub fn len(&self) -> usize {
        self.count_of.values().sum()
    }

    pub fn is_full(&self, bank: ParticipantNumber) -> bool {
        self.count_of.get(&bank).is_some_and(|count| *count >= EARLY_PER_BANK_MAX)
    }

    /// A bank's first key for an envelope stays; what it says later of the same one is ignored.
    pub fn put(
        &mut self,
        key: &StorageKey,
        envelope: EnvelopeId,
        bank: ParticipantNumber,
        root: &[u8; 32],
        arrived_ms: u64,
        writes: &mut Writes<'_>,
    ) -> Result<(), RegistrationError> {
        if self.banks_of.get(&envelope).is_some_and(|banks| banks.iter().any(|(known, _)| *known == bank)) {
            return Ok(());
        }
        let sealed_root = Octets::new(key.seal(&text(&envelope, bank), root)).expect("a sealed root takes 72 bytes");
        writes.put(&rows::EARLY, &(envelope, bank), &EarlyRow { arrived_ms, sealed_root })?;
        writes.put(&rows::EARLY_BY_ARRIVAL, &(arrived_ms, envelope, bank), &Vec::new())?;
        self.remember(envelope, bank, arrived_ms);
        Ok(())
    }

    /// All keys that came for the envelope, in the order of their arrival; they are let go.
    pub fn take(
        &mut self,
        store: &PrivateStore,
        key: &StorageKey,
        envelope: &EnvelopeId,
        writes: &mut Writes<'_>,
    ) -> Result<Vec<EnvelopeRoot>, RegistrationError> {
        let mut roots = Vec::new();
        for (bank, arrived_ms) in self.banks_of.remove(envelope).unwrap_or_default() {
            let unreadable = || RegistrationError::Unreadable("an early key");
            let row = store.get(&rows::EARLY, &(*envelope, bank))?.ok_or_else(unreadable)?;
            let root = key.open(&text(envelope, bank), &row.sealed_root).ok_or_else(unreadable)?;
            let root: Zeroizing<[u8; 32]> = Zeroizing::new(root[..].try_into().map_err(|_| unreadable())?);
            roots.push(EnvelopeRoot::from_bytes(*root));
            self.forget(envelope, bank, arrived_ms, writes);
        }
        Ok(roots)
    }

    /// Lets keys go whose envelope can no more be ordered: it was sealed before its key came, and expires within the window.
    pub fn let_go(
        &mut self,
        store: &PrivateStore,
        block_time_ms: u64,
        expiry_window_ms: u64,
        writes: &mut Writes<'_>,
    ) -> Result<(), RegistrationError> {
        let until_ms = block_time_ms.saturating_sub(expiry_window_ms + SLACK_MS);
        for row in store.scan(&rows::EARLY_BY_ARRIVAL, Scan::all()).take(LET_GO_MAX) {
            let ((arrived_ms, envelope, bank), _) = row?;
            if arrived_ms >= until_ms {
                break;
            }
            // One that this step has taken is in the store still.
            if let Some(banks) = self.banks_of.get_mut(&envelope) {
                banks.retain(|(known, _)| *known != bank);
                if banks.is_empty() {
                    self.banks_of.remove(&envelope);
                }
                self.forget(&envelope, bank, arrived_ms, writes);
            }
        }
        Ok(())
    }

    fn forget(&mut self, envelope: &EnvelopeId, bank: ParticipantNumber, arrived_ms: u64, writes: &mut Writes<'_>) {
        writes.delete(&rows::EARLY, &(*envelope, bank));
        writes.delete(&rows::EARLY_BY_ARRIVAL, &(arrived_ms, *envelope, bank));
        let count = self.count_of.get_mut(&bank).expect("a key that is remembered is counted");
        *count -= 1;
    }
}

fn text(envelope: &EnvelopeId, bank: ParticipantNumber) -> Vec<u8> {
    [b"early ", &envelope.0[..], &bank.0.to_le_bytes()].concat()
}
