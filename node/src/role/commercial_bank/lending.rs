//! Loans of inert money: what a bank remembers of each, what it owes for it, and how it says so when it pays back (K-2, K-5).
//!
//! ```text
//! lend ─▶ activation ─▶ obligation, and a row here
//! pay back ─▶ transfer to the central bank's vault, whose memo is the claim ─▶ there: return ─▶ the row says at which rate
//! ```
//! What stays true here: the principal is not taken on anybody's word. A claim opens the note that the activation paid, so the
//! central bank reckons with what was lent; both reckon by the same function of the same ledger.

use super::book::inert_wallet;
use super::desk::Inner;
use super::job::JobId;
use super::rows::{RowError, Table};
use ledger_types::coin::{CoinStatus, Opening, coin_id, coin_link, origin};
use ledger_types::contract::{self, Obligation, OpenObligation, owed};
use ledger_types::envelope::{ClearContext, Envelope, Output, TermsFlag};
use ledger_types::keys::PublicKey;
use ledger_types::sealed::Sealed;
use ledger_types::*;
use serde::{Deserialize, Serialize};

/// Of one page of a scan.
const LOANS_PER_PAGE: usize = 1_000;

/// Which loan money is paid back for, and what it was: the memo of the payment.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Claim {
    pub obligation: ObligationId,
    pub amount: Amount,
    pub owner: PublicKey,
    pub rho: [u8; 32],
    pub series: SeriesNumber,
}
layout!(Claim { obligation, amount, owner, rho, series });

impl Claim {
    /// Whether this is what the activation's plain output is worth.
    fn opens_the_principal(&self, chain: &Chain, currency: Currency, activation: &Envelope) -> bool {
        let Claim { amount, owner, rho, series, .. } = *self;
        let opening = Opening { amount, currency, series, terms: Terms::ZERO, owner, rho };
        let note = opening.note(chain);
        let mut outputs = activation.header.core.outputs.iter();
        outputs.any(|output| output.terms_flag == TermsFlag::Plain && output.note == note)
    }
}

/// obligation id → this.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LoanRow {
    pub contract: u32,
    pub sector: u32,
    pub rate: i64,
    pub term_days: u16,
    pub bank: u16,
    pub to: String,
    pub amount: u64,
    pub envelope: [u8; 32],
    /// Canonical bytes of the [`Claim`].
    pub claim: Vec<u8>,
    pub lent_ms: u64,
    pub returned: Option<ReturnedRow>,
    /// How often what was paid for it came back: each time it may be paid for again.
    pub given_back: u32,
    pub disputed: Option<DisputedRow>,
}

/// Officers have found what this bank stated to be false (K-9).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DisputedRow {
    pub sector: u32,
    pub basis: String,
    pub evidence: [u8; 32],
    pub at_ms: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ReturnedRow {
    pub rate: i64,
    pub amount: u64,
    pub envelope: [u8; 32],
    pub at_ms: u64,
}

/// What is owed if it is returned now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Owed {
    pub rate: i64,
    pub amount: Amount,
}

/// The obligation that this activation makes (K-2).
pub(crate) fn obligation_of(chain: &Chain, id: EnvelopeId, activation: &Envelope) -> ObligationId {
    let core = &activation.header.core;
    ObligationId::of(chain, core.submitter, &id, &core.salt)
}

/// What the bank says of the loan that it has just made; none if the envelope is no loan.
pub(crate) fn claim_of(obligation: ObligationId, sealed: &Sealed) -> Option<Claim> {
    let payee = sealed.order.as_ref()?.payee_output?;
    let output = sealed.outputs.get(usize::from(payee))?;
    let (amount, owner, rho) = (output.amount, output.owner, output.rho);
    Some(Claim { obligation, amount, owner, rho, series: sealed.common_series() })
}

impl Inner {
    /// The loan that an own activation made, as its row.
    pub(crate) fn new_loan(
        &self,
        id: EnvelopeId,
        envelope: &Envelope,
        sealed: &Sealed,
        to: (u16, &str),
        time_ms: u64,
    ) -> Option<(ObligationId, LoanRow)> {
        let ClearContext::Activate(loan) = &envelope.header.core.context else { return None };
        let obligation = obligation_of(self.chain(), id, envelope);
        let claim = claim_of(obligation, sealed)?;
        let row = LoanRow {
            contract: envelope.header.core.contract.0,
            sector: loan.sector,
            rate: loan.rate,
            term_days: loan.term_days,
            bank: to.0,
            to: to.1.to_owned(),
            amount: claim.amount.0,
            envelope: id.0,
            claim: claim.to_bytes(),
            lent_ms: time_ms,
            returned: None,
            given_back: 0,
            disputed: None,
        };
        Some((obligation, row))
    }

    /// The wallet of coins under this contract that covers most of what is asked, the oldest version's first: of a new version all
    /// are governed by it alike (K-4), but coins of two versions do not go into one envelope.
    pub(crate) fn inert_wallet_for(&self, number: ContractNumber, amount: u64) -> Option<String> {
        let ledger = self.ports.ledger();
        let versions = &ledger.contracts.get(number)?.versions;
        let wallets: Vec<String> = versions
            .iter()
            .map(|version| inert_wallet(&contract::terms(self.chain(), number, &version.policy)))
            .collect();
        let shared = self.shared();
        let covers = |wallet: &&String| shared.book.can_cover(wallet, amount);
        wallets.iter().find(covers).or(wallets.first()).cloned()
    }

    pub(crate) fn loan(&self, obligation: &ObligationId) -> Result<Option<LoanRow>, RowError> {
        self.rows.get(Table::Loans, &obligation.0)
    }

    /// In no order of sense.
    pub(crate) fn loans(&self) -> Result<Vec<(ObligationId, LoanRow)>, RowError> {
        let (mut loans, mut from) = (Vec::new(), Vec::new());
        loop {
            let page = self.rows.from::<LoanRow>(Table::Loans, &from, LOANS_PER_PAGE)?;
            let is_last = page.len() < LOANS_PER_PAGE;
            for (key, row) in page {
                let id = ObligationId::from_bytes(&key).map_err(|_| RowError::Malformed(Table::Loans.name()))?;
                loans.push((id, row));
                from = [&key[..], &[0]].concat();
            }
            if is_last {
                return Ok(loans);
            }
        }
    }

    /// By the policy of the obligation and the feeds as they stand. `Err` says why it cannot be reckoned.
    pub(crate) fn owed_now(&self, open: &OpenObligation, principal: Amount, time_ms: u64) -> Result<Owed, String> {
        let Obligation { policy, activated_ms, .. } = open.obligation;
        let rate = self.ports.policy(&policy)?.return_rate(time_ms, &open.obligation).rate;
        let amount = owed(principal, rate, activated_ms, time_ms);
        Ok(Owed { rate, amount: amount.ok_or("what is owed is no amount")? })
    }

    /// Whether registration has booked the envelope: all its outputs have records.
    pub(crate) fn is_registered(&self, envelope: &EnvelopeId) -> Result<bool, String> {
        let chain = self.chain();
        let envelope = self.ports.envelope(envelope)?.ok_or("the envelope is not here")?;
        let core = &envelope.header.core;
        let origin = origin(chain, &core.input_ids(chain));
        let id = |(index, output): (u8, &Output)| {
            coin_id(chain, &coin_link(chain, &origin, index, &output.note), &output.custody)
        };
        let coins: Vec<CoinId> = (0u8..).zip(&core.outputs).map(id).collect();
        let found = self.ports.coins(&coins)?;
        // One that is spent was live before.
        Ok(found.iter().flatten().all(|coin| coin.status != CoinStatus::Unconfirmed))
    }

    /// The loan that a claim is about, if it is open and the claim tells the truth about it. `Err` says what is wrong.
    pub(crate) fn check_claim(&self, bank: ParticipantNumber, claim: &Claim) -> Result<OpenObligation, String> {
        let open = self.ports.obligation(&claim.obligation)?.ok_or("no loan of this obligation is open")?;
        if open.bank != bank {
            return Err("another bank owes for this loan".into());
        }
        let activation = self.ports.envelope(&open.activation)?.ok_or("the loan's activation is not here")?;
        if claim.opens_the_principal(self.chain(), self.rules.genesis.currency, &activation) {
            Ok(open)
        } else {
            Err("the claim does not open what was lent".into())
        }
    }
}

const GIVEN_BACK: &str = "not returned, given back: loan ";

/// The central bank's word with money that it gives back.
pub(crate) fn given_back_memo(obligation: &ObligationId) -> String {
    format!("{GIVEN_BACK}{obligation}")
}

pub(crate) fn given_back(memo: &[u8]) -> Option<ObligationId> {
    ObligationId::from_hex(std::str::from_utf8(memo).ok()?.strip_prefix(GIVEN_BACK)?)
}

/// A return of the central bank's that this desk itself has to start: money was paid into the vault for a loan.
pub(crate) fn return_job_id(envelope: EnvelopeId) -> JobId {
    *envelope.0.first_chunk().expect("32 bytes are more than 16")
}
