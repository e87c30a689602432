//! Redeem: coins that were paid into the central bank's own vault go out of circulation.

use crate::role::commercial_bank::desk::Inner;
use crate::role::commercial_bank::job::Job;
use crate::role::commercial_bank::run::{Ready, Setback};
use ledger_types::Amount;
use ledger_types::envelope::{ClearContext, RedeemContext};
use ledger_types::keys::Signature;

impl Inner {
    pub(crate) async fn prepare_redemption(&self, job: &Job, amount: u64) -> Result<Ready, Setback> {
        let central = self.central.as_ref().ok_or_else(|| Setback::refused("only the central bank redeems"))?;
        let coins = self.obtain_coins(job, amount).await?;
        let (inputs, owners) = self.inputs_and_owners(&coins)?;
        let sum = Amount::sum(inputs.iter().map(|input| input.opening.amount));
        let change = sum.checked_sub(u128::from(amount)).and_then(|change| u64::try_from(change).ok());
        let change = change.ok_or_else(|| Setback::Later("the coins do not cover it".into()))?;
        let amounts = if change > 0 { vec![change] } else { Vec::new() };
        let context = ClearContext::Redeem(RedeemContext { amount: Amount(amount), authorization: Signature([0; 64]) });
        let chain = *self.chain();
        let authorize = |part: &ledger_seal::Unauthorized| central.authority.authorize(&chain, part);
        self.prepare_to_self(job, inputs, &owners, &amounts, u64::MAX, context, authorize).await
    }
}
