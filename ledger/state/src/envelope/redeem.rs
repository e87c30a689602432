//! Redeem: the central bank retires coins that were first transferred to its own vault. The amount is public, change is sealed.

use super::{Circumstances, Shape};
use crate::reader::{PendingAmount, StateReader};
use crate::working::Working;
use ledger_types::coin::{CoinStatus, OUTPUTS_MAX, SPENDS_MAX, origin};
use ledger_types::envelope::{Core, RedeemContext};
use ledger_types::ids::*;
use ledger_types::participant::Participant;
use ledger_types::rejection::Rejection;

pub(super) const SHAPE: Shape =
    Shape { may_submit: Participant::is_central_bank, inputs: 1..=SPENDS_MAX, outputs: 0..=OUTPUTS_MAX };

pub(super) fn check(now: &Circumstances, core: &Core, context: &RedeemContext) -> Result<(), Rejection> {
    if context.amount == Amount(0) {
        return Err(Rejection::AmountIsZero);
    }
    let message = core.authorization_message(&now.rules.chain);
    if !now.directory.central_bank_keys().issue.verify(&message, &context.authorization) {
        return Err(Rejection::NotAuthorized);
    }
    Ok(())
}

pub(super) fn execute<R: StateReader>(
    working: &mut Working<R>,
    id: EnvelopeId,
    core: &Core,
    context: &RedeemContext,
    inputs: &[CoinId],
) -> Result<(), Rejection> {
    working.inputs_are_spendable(inputs, |status| status == CoinStatus::Live)?; // C-3
    working.inputs_are_plain(inputs)?;
    let origin = origin(working.chain(), inputs);
    working.replace_coins(inputs, &origin, &core.outputs);
    working.put_pending(id, PendingAmount::Redeem { amount: context.amount });
    Ok(())
}
