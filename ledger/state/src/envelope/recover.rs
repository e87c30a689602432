//! Recover: k of n officers settle a dispute, a failed bank or a court order, by coin id and whosever custody it is. Counted in
//! public, so no coin is stranded for good and none is taken in silence.

use super::{Circumstances, Shape, is_plain, officers_authorize};
use crate::reader::StateReader;
use crate::working::Working;
use ledger_types::coin::{CoinStatus, INPUTS_BY_ID_MAX, OUTPUTS_MAX, origin};
use ledger_types::envelope::{Core, RecoverContext};
use ledger_types::ids::*;
use ledger_types::log_leaf::LogLeaf;
use ledger_types::participant::Participant;
use ledger_types::rejection::Rejection;

pub(super) const SHAPE: Shape = Shape {
    may_submit: Participant::is_central_bank,
    inputs: 1..=INPUTS_BY_ID_MAX,
    outputs: 0..=OUTPUTS_MAX,
    // Of a contract's coins, officers say which outputs keep its terms.
    terms_fit: |core| core.contract != ContractNumber(0) || is_plain(core),
};

pub(super) fn check(now: &Circumstances, core: &Core, context: &RecoverContext) -> Result<(), Rejection> {
    officers_authorize(now, core, &context.authorizations)
}

pub(super) fn execute<R: StateReader>(
    working: &mut Working<R>,
    id: EnvelopeId,
    core: &Core,
    context: &RecoverContext,
    inputs: &[CoinId],
) -> Result<(), Rejection> {
    // An unconfirmed coin is first confirmed or disputed: until then nobody has looked into it.
    working.inputs_are_spendable(inputs, |status| status != CoinStatus::Unconfirmed)?;
    working.inputs_have_terms(inputs, core.contract)?;
    let origin = origin(working.chain(), inputs);
    let issued_ms = working.oldest_issue(inputs);
    working.replace_coins(inputs, &origin, core, issued_ms);
    *working.ledger.recovered.entry(context.reason).or_default() += 1;
    let inputs = u16::try_from(inputs.len()).expect("at most 1,000 inputs");
    working.ledger.events_to_log.push(LogLeaf::Recovered { envelope: id, reason: context.reason, inputs }); // L-1
    Ok(())
}
