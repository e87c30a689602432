//! Activate: a bank lends inert money (K-5). Every validator runs the policy; on permit plain money comes out, and the bank owes.
//!
//! What stays true here: the loan is judged by the policy in force and the feeds as of h − 1 and by the block's time, so its
//! verdict is the same whatever else stands in the block.

use super::{Shape, is_a_bank};
use crate::reader::StateReader;
use crate::working::{NoVerdict, Working};
use ledger_types::coin::{CoinStatus, OUTPUTS_MAX, SPENDS_MAX, origin};
use ledger_types::contract::{Loan, Obligation, OpenObligation};
use ledger_types::envelope::{Core, TermsFlag};
use ledger_types::ids::*;
use ledger_types::rejection::Rejection;

pub(super) const SHAPE: Shape =
    Shape { may_submit: is_a_bank, inputs: 1..=SPENDS_MAX, outputs: 1..=OUTPUTS_MAX, terms_fit: one_output_is_plain };

/// The borrower's; the others are change and stay inert.
fn one_output_is_plain(core: &Core) -> bool {
    let plain = core.outputs.iter().filter(|output| output.terms_flag == TermsFlag::Plain).count();
    core.contract != ContractNumber(0) && plain == 1
}

pub(super) fn execute<R: StateReader>(
    working: &mut Working<R>,
    id: EnvelopeId,
    core: &Core,
    loan: &Loan,
    inputs: &[CoinId],
) -> Result<(), NoVerdict> {
    working.submitter_is_not_overdue(core.submitter)?;
    working.inputs_are_spendable(inputs, |status| status == CoinStatus::Live)?; // C-3
    working.inputs_have_terms(inputs, core.contract)?;
    let (version, policy) = working.contract_in_force(core.contract)?;
    if working.owes_overdue(core.submitter, core.contract)? {
        return Err(Rejection::ObligationOverdue.into()); // K-6
    }
    let issued_ms = working.oldest_issue(inputs);
    let time_ms = working.time_ms;
    let program = working.policy(&policy)?;
    if time_ms >= program.idle_from_ms(issued_ms) {
        return Err(Rejection::DeniedWindowOver.into()); // K-3
    }
    let due_days = program.due_days(time_ms, loan)?; // K-2

    let origin = origin(working.chain(), inputs);
    working.replace_coins(inputs, &origin, core, issued_ms);
    let obligation = Obligation::on_the_day(core.contract, version, policy, time_ms, due_days);
    working.make_obligation(OpenObligation { obligation, bank: core.submitter, activation: id, salt: core.salt });
    Ok(())
}
