//! Transfer: pay, split, merge or refresh coins in the submitter's custody.

use super::{Shape, is_a_bank, is_plain};
use crate::reader::StateReader;
use crate::working::Working;
use ledger_types::coin::{CoinStatus, OUTPUTS_MAX, SPENDS_MAX, origin};
use ledger_types::envelope::Core;
use ledger_types::ids::*;
use ledger_types::rejection::Rejection;

pub(super) const SHAPE: Shape =
    Shape { may_submit: is_a_bank, inputs: 1..=SPENDS_MAX, outputs: 1..=OUTPUTS_MAX, terms_fit: is_plain };

pub(super) fn execute<R: StateReader>(
    working: &mut Working<R>,
    core: &Core,
    inputs: &[CoinId],
) -> Result<(), Rejection> {
    working.submitter_is_not_overdue(core.submitter)?;
    working.inputs_are_spendable(inputs, |status| status == CoinStatus::Live)?; // C-3
    working.inputs_have_terms(inputs, core.contract)?;
    let origin = origin(working.chain(), inputs);
    working.replace_coins(inputs, &origin, core, 0);
    Ok(())
}
