//! Redeem: the central bank retires coins that were first transferred to its own vault. The amount is public, change is sealed.

use super::{Circumstances, Shape, amount_is_signed, is_plain};
use crate::reader::{PendingAmount, StateReader};
use crate::working::Working;
use ledger_types::coin::{CoinStatus, OUTPUTS_MAX, SPENDS_MAX, origin};
use ledger_types::envelope::{Core, RedeemContext};
use ledger_types::ids::*;
use ledger_types::participant::Participant;
use ledger_types::rejection::Rejection;

pub(super) const SHAPE: Shape = Shape {
    may_submit: Participant::is_central_bank,
    inputs: 1..=SPENDS_MAX,
    outputs: 0..=OUTPUTS_MAX,
    terms_fit: is_plain,
};

pub(super) fn check(now: &Circumstances, core: &Core, context: &RedeemContext) -> Result<(), Rejection> {
    amount_is_signed(now, core, context.amount, &context.authorization)
}

pub(super) fn execute<R: StateReader>(
    working: &mut Working<R>,
    id: EnvelopeId,
    core: &Core,
    context: &RedeemContext,
    inputs: &[CoinId],
) -> Result<(), Rejection> {
    working.inputs_are_spendable(inputs, |status| status == CoinStatus::Live)?; // C-3
    working.inputs_have_terms(inputs, core.contract)?;
    let origin = origin(working.chain(), inputs);
    working.replace_coins(inputs, &origin, core, 0);
    working.put_pending(id, PendingAmount::Redeem { amount: context.amount });
    Ok(())
}
