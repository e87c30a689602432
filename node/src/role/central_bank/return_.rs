//! Return: what a bank paid into the vault for a loan is retired, at the rate of the loan's own policy (K-2).
//!
//! What stays true here: validators see no principal, so that the amount is what is owed is checked here, against the note that
//! the activation paid. The envelope expires with the day for which the interest was reckoned.

use crate::clock::now_ms;
use crate::role::commercial_bank::desk::Inner;
use crate::role::commercial_bank::job::Job;
use crate::role::commercial_bank::lending::{Claim, Owed};
use crate::role::commercial_bank::run::{Ready, Setback};
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
        let claim = Claim::from_bytes(claim).map_err(|_| Setback::refused("the claim does not decode"))?;
        let open = self.check_claim(bank, &claim).map_err(Setback::refused)?;
        let time_ms = now_ms();
        if time_ms % DAY_MS < MIDNIGHT_MS {
            return Err(Setback::Later("a day has just begun".into()));
        }
        let Owed { rate, amount } = self.owed_now(&open, claim.amount, time_ms).map_err(Setback::Later)?;
        if amount.0 > paid {
            return Err(Setback::refused(format!("{amount} minor units are owed, {paid} were paid")));
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
}
