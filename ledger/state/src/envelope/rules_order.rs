//! Rules order: k of n officers say which height is the first under the next version of the rules (B-13).

use super::{Circumstances, Shape, is_plain, officers_authorize};
use crate::reader::StateReader;
use crate::rebuild;
use crate::working::Working;
use ledger_types::envelope::{Core, RulesOrderContext};
use ledger_types::log_leaf::LogLeaf;
use ledger_types::participant::Participant;
use ledger_types::rejection::Rejection;

pub(super) const SHAPE: Shape =
    Shape { may_submit: Participant::is_central_bank, inputs: 0..=0, outputs: 0..=0, terms_fit: is_plain };

pub(super) fn check(now: &Circumstances, core: &Core, context: &RulesOrderContext) -> Result<(), Rejection> {
    officers_authorize(now, core, &context.authorizations)
}

pub(super) fn execute<R: StateReader>(
    working: &mut Working<R>,
    core: &Core,
    context: &RulesOrderContext,
) -> Result<(), Rejection> {
    let authorization = working.unused_authorization(core)?;
    working.ledger.rules_schedule.take(working.height, &context.order)?;
    working.use_authorization(authorization, core.expiry_ms);
    let (key, value) = rebuild::entry_of_rules(&context.order);
    working.map_entries.insert(key, Some(value));
    working.ledger.events_to_log.push(LogLeaf::Rules(context.order)); // L-1
    Ok(())
}
