//! Return: what a bank paid into the vault for a loan is retired, at the rate of the loan's own policy (K-2).
//!
//! What stays true here: validators see no principal, so the amount is reckoned here, against the note that the activation paid, and
//! checked by registration. The envelope expires with the day for which the interest was reckoned. What was paid in is never
//! kept: what is over goes back when the loan is returned ([`over`]), and all of it when it cannot be.

use crate::clock::{now_ms, now_us};
use crate::role::commercial_bank::book::VAULT;
use crate::role::commercial_bank::desk::Inner;
use crate::role::commercial_bank::job::{Job, Step, TraceRow, Work};
use crate::role::commercial_bank::lending::{Claim, Owed, given_back_memo};
use crate::role::commercial_bank::pay::Paid;
use crate::role::commercial_bank::run::{MAYBE_DONE, Ready, Setback};
use ledger_types::contract::DAY_MS;
use ledger_types::envelope::{ClearContext, ReturnContext};
use ledger_types::keys::Signature;
use ledger_types::{Amount, Decode, ParticipantNumber};

/// Block time may still lie in yesterday for so long.
const MIDNIGHT_MS: u64 = 10_000;

impl Inner {
    pub(crate) async fn prepare_return(
        &self,
        job: &Job,
        bank: ParticipantNumber,
        claim: &[u8],
        paid: u64,
    ) -> Result<Ready, Setback> {
        let central = self.central.as_ref().ok_or_else(|| Setback::refused("only the central bank returns"))?;
        if job.gets_no_further_attempt() {
            let ledger = self.ports.ledger();
            if ledger.time_ms <= self.restored_ms || self.shared().cursor < ledger.height {
                return Err(Setback::Later("the desk has not reached the time of the restore yet".into()));
            }
        }
        let claim = Claim::from_bytes(claim).map_err(|_| Setback::refused("the claim does not decode"))?;
        let open = match self.check_claim(bank, &claim) {
            Ok(open) => open,
            Err(reason) => return self.give_back(job, bank, &claim, paid, reason).await,
        };
        if !self.is_registered(&open.activation).map_err(Setback::Later)? {
            return Err(Setback::Later("the loan is not registered yet".into())); // K-2
        }
        let time_ms = now_ms();
        if time_ms % DAY_MS < MIDNIGHT_MS {
            return Err(Setback::Later("a day has just begun".into()));
        }
        let Owed { rate, amount } = self.owed_now(&open, claim.amount, time_ms).map_err(Setback::Later)?;
        if amount.0 > paid {
            let reason = format!("{amount} minor units are owed, {paid} were paid");
            return self.give_back(job, bank, &claim, paid, reason).await;
        }
        let coins = self.obtain_coins(job, paid).await?;
        let (inputs, owners) = self.inputs_and_owners(&coins)?;
        let sum = Amount::sum(inputs.iter().map(|input| input.opening.amount));
        let change = sum.checked_sub(u128::from(amount.0)).and_then(|change| u64::try_from(change).ok());
        let change = change.ok_or_else(|| Setback::Later("the coins do not cover it".into()))?;
        let amounts = if change > 0 { vec![change] } else { Vec::new() };
        let authorization = Signature([0; 64]);
        let context = ClearContext::Return(ReturnContext { obligation: claim.obligation, rate, amount, authorization });
        let chain = *self.chain();
        let until_ms = (time_ms / DAY_MS + 1) * DAY_MS - 1;
        let authorize = |part: &ledger_seal::Unauthorized| central.authority.authorize(&chain, part);
        self.prepare_to_self(job, inputs, &owners, &amounts, until_ms, context, authorize).await
    }

    /// Nothing can be returned with what was paid: it goes back to the vault that it came from, with a word of which loan it was
    /// for, so that the bank may pay again.
    async fn give_back(
        &self,
        job: &Job,
        bank: ParticipantNumber,
        claim: &Claim,
        paid: u64,
        reason: String,
    ) -> Result<Ready, Setback> {
        if job.gets_no_further_attempt() {
            return Err(Setback::refused(format!("{reason}. {MAYBE_DONE}")));
        }
        tracing::warn!(%bank, obligation = %claim.obligation, reason, "what was paid for a loan goes back");
        let memo = given_back_memo(&claim.obligation);
        let back = Paid { bank, to: VAULT, amount: paid, memo: memo.as_bytes() };
        let mut ready = self.prepare_payment(job, back, None).await?;
        ready.trace.push(TraceRow { step: Step::OrderSigned, at_us: now_us(), note: reason });
        Ok(ready)
    }
}

/// What a bank paid over for the loan that the envelope returns, and the payment that gives it back.
pub(crate) fn over(work: &Work, context: &ClearContext) -> Option<Work> {
    let (Work::Return { bank, paid, .. }, ClearContext::Return(context)) = (work, context) else { return None };
    let amount = paid.checked_sub(context.amount.0).filter(|over| *over > 0)?;
    let memo = format!("paid over for loan {}", context.obligation);
    Some(Work::Pay { bank: *bank, to: VAULT.into(), amount, memo })
}
