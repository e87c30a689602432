//! Issue: the central bank creates coins for a bank's vault. The amount is public; the total moves when registration settles.

use super::{Circumstances, Shape};
use crate::reader::{PendingAmount, StateReader};
use crate::working::Working;
use ledger_types::coin::{OUTPUTS_MAX, issue_origin};
use ledger_types::envelope::{Core, IssueContext};
use ledger_types::ids::*;
use ledger_types::participant::Participant;
use ledger_types::rejection::Rejection;

pub(super) const SHAPE: Shape =
    Shape { may_submit: Participant::is_central_bank, inputs: 0..=0, outputs: 1..=OUTPUTS_MAX };

pub(super) fn check(now: &Circumstances, core: &Core, context: &IssueContext) -> Result<(), Rejection> {
    if context.amount == Amount(0) {
        return Err(Rejection::AmountIsZero);
    }
    if !now.rules.genesis.series.iter().any(|series| series.number == context.series) {
        return Err(Rejection::SeriesUnknown);
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
    context: &IssueContext,
) -> Result<(), Rejection> {
    // C-1: dense numbers make the outputs' ids new. At 2^64 − 1 the series is closed.
    let next = working.ledger.issue_numbers.get_mut(&context.series).ok_or(Rejection::SeriesUnknown)?;
    if context.issue_number != *next {
        return Err(Rejection::IssueNumberNotNext);
    }
    *next = next.checked_add(1).ok_or(Rejection::IssueNumberNotNext)?;
    let origin = issue_origin(working.chain(), context.series, context.issue_number);
    working.replace_coins(&[], &origin, &core.outputs);
    working.put_pending(id, PendingAmount::Issue { series: context.series, amount: context.amount });
    Ok(())
}
