//! Reclaim: inert money that nobody lent in its window is retired, whosever custody (K-3). The policy authorises it, nobody signs.

use super::{Circumstances, Shape};
use crate::reader::{PendingAmount, StateReader};
use crate::working::{NoVerdict, Working};
use ledger_types::coin::{CoinStatus, INPUTS_BY_ID_MAX, origin};
use ledger_types::envelope::{Core, ReclaimContext};
use ledger_types::ids::*;
use ledger_types::participant::Participant;
use ledger_types::rejection::Rejection;

pub(super) const SHAPE: Shape = Shape {
    may_submit: Participant::is_central_bank,
    inputs: 1..=INPUTS_BY_ID_MAX,
    outputs: 0..=0,
    terms_fit: |core| core.contract != ContractNumber(0),
};

pub(super) fn check(_: &Circumstances, _: &Core, context: &ReclaimContext) -> Result<(), Rejection> {
    if context.amount == Amount(0) { Err(Rejection::AmountIsZero) } else { Ok(()) }
}

pub(super) fn execute<R: StateReader>(
    working: &mut Working<R>,
    id: EnvelopeId,
    core: &Core,
    context: &ReclaimContext,
    inputs: &[CoinId],
) -> Result<(), NoVerdict> {
    // What registration has not confirmed it cannot retire; frozen and disputed coins are the officers'.
    working.inputs_are_spendable(inputs, |status| status == CoinStatus::Live)?;
    working.inputs_have_terms(inputs, core.contract)?;
    if !are_idle(working, core.contract, inputs)? {
        return Err(Rejection::NotIdleYet.into()); // K-3
    }
    let origin = origin(working.chain(), inputs);
    working.replace_coins(inputs, &origin, core, 0);
    working.put_pending(id, PendingAmount::Redeem { amount: context.amount });
    Ok(())
}

fn are_idle<R: StateReader>(
    working: &mut Working<R>,
    contract: ContractNumber,
    inputs: &[CoinId],
) -> Result<bool, NoVerdict> {
    let contract = working.parent.contracts.get(contract).ok_or(Rejection::ContractUnknown)?;
    if contract.is_retired(working.height) {
        return Ok(true);
    }
    let (_, binding) = contract.binding(working.height).ok_or(Rejection::ContractUnknown)?;
    let (time_ms, newest_ms) = (working.time_ms, working.newest_issue(inputs));
    Ok(time_ms >= working.policy(&binding.policy)?.idle_from_ms(newest_ms))
}
