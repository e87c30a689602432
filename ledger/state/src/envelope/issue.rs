//! Issue: the central bank creates coins for a bank's vault. The amount is public; the total moves when registration settles.

use super::{Circumstances, Shape, amount_is_signed, is_plain};
use crate::reader::{PendingAmount, StateReader};
use crate::working::Working;
use ledger_types::coin::{OUTPUTS_MAX, issue_origin};
use ledger_types::envelope::{Core, IssueContext, TermsFlag};
use ledger_types::ids::*;
use ledger_types::participant::Participant;
use ledger_types::rejection::Rejection;

pub(super) const SHAPE: Shape = Shape {
    may_submit: Participant::is_central_bank,
    inputs: 0..=0,
    outputs: 1..=OUTPUTS_MAX,
    terms_fit: all_outputs_are_as_declared,
};

fn all_outputs_are_as_declared(core: &Core) -> bool {
    let flagged = || core.outputs.iter().all(|output| output.terms_flag == TermsFlag::Contract);
    if core.contract == ContractNumber(0) { is_plain(core) } else { flagged() }
}

pub(super) fn check(now: &Circumstances, core: &Core, context: &IssueContext) -> Result<(), Rejection> {
    if context.amount == Amount(0) {
        return Err(Rejection::AmountIsZero);
    }
    if !now.rules.genesis.series.iter().any(|series| series.number == context.series) {
        return Err(Rejection::SeriesUnknown);
    }
    amount_is_signed(now, core, context.amount, &context.authorization)
}

pub(super) fn execute<R: StateReader>(
    working: &mut Working<R>,
    id: EnvelopeId,
    core: &Core,
    context: &IssueContext,
) -> Result<(), Rejection> {
    // C-1: dense numbers make the outputs' ids new. At 2^64 − 1 the series is closed.
    let next = *working.ledger.issue_numbers.get(&context.series).ok_or(Rejection::SeriesUnknown)?;
    if context.issue_number != next {
        return Err(Rejection::IssueNumberNotNext);
    }
    let after = next.checked_add(1).ok_or(Rejection::IssueNumberNotNext)?;
    if core.contract != ContractNumber(0) {
        working.contract_in_force(core.contract)?; // K-4
    }
    working.ledger.issue_numbers.insert(context.series, after);
    let origin = issue_origin(working.chain(), context.series, context.issue_number);
    let issued_ms = working.time_ms;
    working.replace_coins(&[], &origin, core, issued_ms);
    working.put_pending(id, PendingAmount::Issue { series: context.series, amount: context.amount });
    Ok(())
}
