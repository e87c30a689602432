//! What registration remembers of loans (K-2, K-5, K-9): of each that is owed the principal and the day, so that what is returned can
//! be compared with what is owed; and whose keys are a bank's own, so that a bank that lends to itself is known.
//!
//! ```text
//! activation ordered ─▶ Waits ─key─▶ Known {principal}, sealed with the storage key   ─return booked─▶ nothing
//!                                └─▶ Unread: nobody could open it
//! ```
//! What stays true here: a row stands from the height that makes the obligation to the booking of its return; all that the officers
//! order of it in between is in it. Of what was returned nothing is kept.

use super::rows::{self, LoanRow, LoanStage};
use super::{Alarm, RegistrationError};
use crate::outbox::StorageKey;
use ledger_state::{PaymentRule, Rules, contradiction};
use ledger_store::{PrivateStore, Writes};
use ledger_types::contract::{DAY_MS, StatementDispute, owed};
use ledger_types::envelope::{ClearContext, Envelope, ReturnContext, TermsFlag};
use ledger_types::keys::PublicKey;
use ledger_types::sealed::Sealed;
use ledger_types::{Amount, Chain, Decode, Encode, EnvelopeId, ObligationId, Octets};
use std::collections::{BTreeMap, BTreeSet};

const BANKS_KEY: &[u8] = b"bank's key";

/// What one step does to the loans: it reads its own writes.
pub struct Loans<'a> {
    store: &'a PrivateStore,
    key: &'a StorageKey,
    /// None: returned.
    changed: BTreeMap<ObligationId, Option<LoanRow>>,
    /// Of this step.
    banks_keys: BTreeSet<[u8; 32]>,
}

impl<'a> Loans<'a> {
    pub fn new(store: &'a PrivateStore, key: &'a StorageKey) -> Self {
        Loans { store, key, changed: BTreeMap::new(), banks_keys: BTreeSet::new() }
    }

    fn row(&self, id: &ObligationId) -> Result<Option<LoanRow>, RegistrationError> {
        match self.changed.get(id) {
            Some(changed) => Ok(changed.clone()),
            None => Ok(self.store.get(&rows::LOANS, id)?),
        }
    }

    /// A block has accepted the envelope: if it is an activation, its obligation counts from that day.
    pub fn note_ordered(&mut self, chain: &Chain, id: EnvelopeId, envelope: &Envelope, time_ms: u64) {
        if let ClearContext::Activate(_) = envelope.header.core.context {
            let activated_ms = time_ms - time_ms % DAY_MS;
            let row = LoanRow {
                activated_ms,
                stage: LoanStage::Waits,
                principal: Octets::new(Vec::new()).expect("nothing is short enough"),
                found: None,
            };
            self.changed.insert(obligation_of(chain, id, envelope), Some(row));
        }
    }

    /// A block has accepted the officers' finding. Of a loan that was returned it changes nothing here.
    pub fn note_dispute(&mut self, chain: &Chain, dispute: &StatementDispute) -> Result<(), RegistrationError> {
        let Some(statement) = contradiction(chain, dispute) else { return Ok(()) };
        if let Some(row) = self.row(&statement.obligation)? {
            self.changed.insert(statement.obligation, Some(LoanRow { found: Some(statement.found), ..row }));
        }
        Ok(())
    }

    /// Checks 18 and 19 as registration alone can make them, of an activation that passed all others.
    pub fn judge_activation(
        &self,
        chain: &Chain,
        id: EnvelopeId,
        envelope: &Envelope,
        sealed: &Sealed,
    ) -> Result<Result<(), PaymentRule>, RegistrationError> {
        let borrower = plain_output(envelope).and_then(|index| sealed.outputs.get(index)).map(|output| output.owner);
        if let Some(borrower) = borrower
            && self.is_a_banks(&borrower)?
        {
            return Ok(Err(PaymentRule::LentToTheLender)); // K-5
        }
        let row = self.row(&obligation_of(chain, id, envelope))?;
        let is_disputed = row.is_some_and(|row| row.found.is_some());
        Ok(if is_disputed { Err(PaymentRule::StatementIsFalse) } else { Ok(()) }) // K-9
    }

    /// The activation is booked, good or not: what it lent, if that is proved, is what is owed (K-2).
    pub fn note_booked(
        &mut self,
        rules: &Rules,
        id: EnvelopeId,
        envelope: &Envelope,
        sealed: Option<&Sealed>,
    ) -> Result<(), RegistrationError> {
        let obligation = obligation_of(&rules.chain, id, envelope);
        let Some(row) = self.row(&obligation)? else { return Ok(()) };
        let row = match sealed.and_then(|sealed| principal(&rules.chain, envelope, sealed)) {
            Some(principal) => {
                let sealed = self.key.seal(&loan_text(&obligation), &principal.to_bytes());
                let principal = Octets::new(sealed).expect("a sealed amount takes 48 bytes");
                LoanRow { stage: LoanStage::Known, principal, ..row }
            }
            None => LoanRow { stage: LoanStage::Unread, ..row },
        };
        self.changed.insert(obligation, Some(row));
        Ok(())
    }

    /// K-2: what is retired is what is owed. A principal that nobody could open is none to compare with.
    pub fn judge_return(
        &self,
        envelope: EnvelopeId,
        context: &ReturnContext,
        time_ms: u64,
    ) -> Result<Result<(), PaymentRule>, RegistrationError> {
        let obligation = context.obligation;
        let row = self.row(&obligation)?.ok_or(Alarm::LoanNotSeen { envelope, obligation })?;
        let owed = match row.stage {
            // The central bank waits for the activation's records (K-2).
            LoanStage::Waits => None,
            LoanStage::Unread => return Ok(Ok(())),
            LoanStage::Known => {
                let unreadable = || RegistrationError::Unreadable("a loan");
                let principal = self.key.open(&loan_text(&obligation), &row.principal).ok_or_else(unreadable)?;
                let principal = Amount(u64::from_bytes(&principal).map_err(|_| unreadable())?);
                owed(principal, context.rate, row.activated_ms, time_ms)
            }
        };
        if owed == Some(context.amount) {
            return Ok(Ok(()));
        }
        // Not by how much: with what was returned, which is public, that would tell the principal (R-4).
        tracing::warn!(%envelope, %obligation, "a return is not what is owed");
        Ok(Err(PaymentRule::ReturnDiffers))
    }

    /// The ledger has let the obligation go, whatever registration found.
    pub fn note_returned(&mut self, obligation: ObligationId) {
        self.changed.insert(obligation, None);
    }

    /// Money was issued to these keys: they are a bank's own.
    pub fn note_issued(&mut self, sealed: &Sealed) {
        self.banks_keys.extend(sealed.outputs.iter().map(|output| self.key.mark(BANKS_KEY, &output.owner.0)));
    }

    fn is_a_banks(&self, owner: &PublicKey) -> Result<bool, RegistrationError> {
        let mark = self.key.mark(BANKS_KEY, &owner.0);
        Ok(self.banks_keys.contains(&mark) || self.store.get(&rows::BANKS_KEYS, &mark)?.is_some())
    }

    pub fn finish(self, writes: &mut Writes<'_>) -> Result<(), RegistrationError> {
        for (id, row) in &self.changed {
            match row {
                Some(row) => writes.put(&rows::LOANS, id, row)?,
                None => writes.delete(&rows::LOANS, id),
            }
        }
        for owner in &self.banks_keys {
            writes.put(&rows::BANKS_KEYS, owner, &Vec::new())?;
        }
        Ok(())
    }
}

fn obligation_of(chain: &Chain, id: EnvelopeId, activation: &Envelope) -> ObligationId {
    let core = &activation.header.core;
    ObligationId::of(chain, core.submitter, &id, &core.salt)
}

fn plain_output(activation: &Envelope) -> Option<usize> {
    activation.header.core.outputs.iter().position(|output| output.terms_flag == TermsFlag::Plain)
}

/// What the sealed part says of the borrower's output, if it hashes to the note.
fn principal(chain: &Chain, activation: &Envelope, sealed: &Sealed) -> Option<Amount> {
    let index = plain_output(activation)?;
    let opening = sealed.output_opening(index, sealed.common_series(), false)?;
    (opening.note(chain) == activation.header.core.outputs.get(index)?.note).then_some(opening.amount)
}

fn loan_text(obligation: &ObligationId) -> Vec<u8> {
    [b"loan ", &obligation.0[..]].concat()
}
