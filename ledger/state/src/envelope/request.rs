//! Request: k of n officers say in public that a coin is to be opened, frozen or let go, and on which basis; which coin they do not
//! say.
//!
//! What stays true here: a request is counted and on its way into the log in the block that accepts it, and changes no coin.
//! What follows from it, a share of an officer or a record of registration, waits until it stands in the log.

use super::{Circumstances, Shape, is_plain, officers_authorize};
use crate::reader::StateReader;
use crate::working::Working;
use ledger_types::envelope::{Core, RequestContext};
use ledger_types::log_leaf::LogLeaf;
use ledger_types::rejection::Rejection;
use ledger_types::request::{EPOCH_MS, RequestKind};

/// Any participant may carry it: the officers' signatures authorise it.
pub(super) const SHAPE: Shape = Shape { may_submit: |_| true, inputs: 0..=0, outputs: 0..=0, terms_fit: is_plain };

pub(super) fn check(now: &Circumstances, core: &Core, context: &RequestContext) -> Result<(), Rejection> {
    officers_authorize(now, core, &context.authorizations)
}

pub(super) fn execute<R: StateReader>(
    working: &mut Working<R>,
    core: &Core,
    context: &RequestContext,
) -> Result<(), Rejection> {
    let authorization = working.unused_authorization(core)?;
    let request = context.request;
    if request.epoch != core.expiry_ms / EPOCH_MS {
        return Err(Rejection::EpochDoesNotFit);
    }
    working.use_authorization(authorization, core.expiry_ms);
    let ledger = &mut working.ledger;
    *ledger.requests.entry(RequestKind { class: request.class, basis: request.basis }).or_default() += 1;
    ledger.events_to_log.push(LogLeaf::Request(request)); // L-1
    Ok(())
}
