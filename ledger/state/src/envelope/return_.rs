//! Return: the central bank retires what a bank paid back for one activation, at the rate that the obligation's policy gives (K-2).
//!
//! What stays true here: the rate is the policy's under which the loan was made, whatever superseded it; an obligation is returned
//! once, and its receipt is on its way into the log in the block that returns it.

use super::{Circumstances, Shape, amount_is_signed, is_plain};
use crate::reader::{PendingAmount, StateReader};
use crate::working::{NoVerdict, Working};
use ledger_types::coin::{CoinStatus, OUTPUTS_MAX, SPENDS_MAX, origin};
use ledger_types::contract::Receipt;
use ledger_types::envelope::{Core, ReturnContext};
use ledger_types::ids::*;
use ledger_types::log_leaf::LogLeaf;
use ledger_types::participant::Participant;
use ledger_types::rejection::Rejection;

pub(super) const SHAPE: Shape = Shape {
    may_submit: Participant::is_central_bank,
    inputs: 1..=SPENDS_MAX,
    outputs: 0..=OUTPUTS_MAX,
    terms_fit: is_plain,
};

pub(super) fn check(now: &Circumstances, core: &Core, context: &ReturnContext) -> Result<(), Rejection> {
    amount_is_signed(now, core, context.amount, &context.authorization)
}

pub(super) fn execute<R: StateReader>(
    working: &mut Working<R>,
    id: EnvelopeId,
    core: &Core,
    context: &ReturnContext,
    inputs: &[CoinId],
) -> Result<(), NoVerdict> {
    working.inputs_are_spendable(inputs, |status| status == CoinStatus::Live)?; // C-3
    working.inputs_have_terms(inputs, core.contract)?;
    let open = working.obligation(&context.obligation)?.ok_or(Rejection::ObligationUnknown)?;
    let obligation = open.obligation;
    let time_ms = working.time_ms;
    let returned = working.policy(&obligation.policy)?.return_rate(time_ms, &obligation);
    if returned.rate != context.rate {
        return Err(Rejection::ReturnRateDiffers.into());
    }

    let origin = origin(working.chain(), inputs);
    working.replace_coins(inputs, &origin, core, 0);
    working.put_pending(id, PendingAmount::Redeem { amount: context.amount });
    working.settle_obligation(context.obligation, open);
    working.ledger.events_to_log.push(LogLeaf::Receipt(Receipt {
        obligation: context.obligation,
        contract: obligation.contract,
        version: obligation.version,
        policy: obligation.policy,
        rate: returned.rate,
        from_ms: obligation.activated_ms,
        to_ms: time_ms,
        fuel: returned.fuel,
        inputs: returned.inputs,
    })); // L-1
    Ok(())
}
