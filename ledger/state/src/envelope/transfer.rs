//! Transfer: pay, split, merge or refresh coins in the submitter's custody.

use super::Shape;
use crate::reader::StateReader;
use crate::working::Working;
use ledger_types::coin::{CoinStatus, OUTPUTS_MAX, SPENDS_MAX, origin};
use ledger_types::envelope::Core;
use ledger_types::ids::*;
use ledger_types::participant::Participant;
use ledger_types::rejection::Rejection;

pub(super) const SHAPE: Shape = Shape { may_submit: is_a_bank, inputs: 1..=SPENDS_MAX, outputs: 1..=OUTPUTS_MAX };

fn is_a_bank(participant: &Participant) -> bool {
    participant.is_commercial_bank() || participant.is_central_bank()
}

pub(super) fn execute<R: StateReader>(
    working: &mut Working<R>,
    core: &Core,
    inputs: &[CoinId],
) -> Result<(), Rejection> {
    if working.ledger.overdue.count_of(core.submitter) > 0 {
        return Err(Rejection::SubmitterIsOverdue);
    }
    working.inputs_are_spendable(inputs, |status| status == CoinStatus::Live)?; // C-3
    working.inputs_are_plain(inputs)?;
    let origin = origin(working.chain(), inputs);
    working.replace_coins(inputs, &origin, &core.outputs);
    Ok(())
}
