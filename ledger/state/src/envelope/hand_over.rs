//! Hand-over of the validator set (G-3): k of n officers name the set that shall decide.
//!
//! What stays true here: who is a validator in the directory changes at once, who decides changes when the hand-over binds
//! ([`crate::validators`]). The incoming set takes its keys from the directory, so a line of it is never one that a participant update
//! could still change. The central bank carries it alone: a replayed one costs every validator up to sixteen signatures.

use super::{Circumstances, Shape, is_plain};
use crate::reader::StateReader;
use crate::validators::PendingHandOver;
use crate::working::Working;
use ledger_types::Chain;
use ledger_types::envelope::HandOverContext;
use ledger_types::hand_over::HandOverOrder;
use ledger_types::log_leaf::LogLeaf;
use ledger_types::participant::{Directory, Participant, Validator};
use ledger_types::rejection::Rejection;
use std::sync::Arc;

pub(super) const SHAPE: Shape =
    Shape { may_submit: Participant::is_central_bank, inputs: 0..=0, outputs: 0..=0, terms_fit: is_plain };

pub(super) fn check(now: &Circumstances, context: &HandOverContext) -> Result<(), Rejection> {
    let Circumstances { rules, .. } = now;
    let signed = context.order.is_signed_by(&context.authorizations, &rules.genesis, &rules.chain);
    if signed { Ok(()) } else { Err(Rejection::NotAuthorized) }
}

pub(super) fn execute<R: StateReader>(working: &mut Working<R>, context: &HandOverContext) -> Result<(), Rejection> {
    let chain = *working.chain();
    let order = &context.order;
    fits(working, order, &chain)?;
    let before = working.ledger.directory.clone();
    let directory = before.with_validators(&order.incoming).map_err(|_| Rejection::DirectoryRuleBroken)?;
    let changed = before.iter().zip(directory.iter()).filter(|(before, after)| before != after);
    working.participants_changed.extend(changed.map(|(line, _)| line.number));
    let ledger = &mut working.ledger;
    ledger.participants_hash = directory.hash(&chain);
    ledger.directory = Arc::new(directory);
    ledger.events_to_log.push(LogLeaf::Participants(ledger.participants_hash)); // L-1
    ledger.events_to_log.push(LogLeaf::HandOver(order.incoming.hash(&chain)));
    let officers = context.authorizations.clone();
    let pending = PendingHandOver { order: order.clone(), officers, binds_at: None };
    working.note_hand_over(&pending);
    working.ledger.validators.pending = Some(pending);
    Ok(())
}

fn fits<R: StateReader>(working: &Working<R>, order: &HandOverOrder, chain: &Chain) -> Result<(), Rejection> {
    let (directory, validators) = (&working.ledger.directory, &working.ledger.validators);
    if order.incoming.iter().any(|validator| directory.get(validator.number).is_none()) {
        return Err(Rejection::ParticipantUnknown);
    }
    if validators.pending.is_some() {
        return Err(Rejection::HandOverPending);
    }
    if Some(order.number) != validators.hand_overs.checked_add(1) || order.outgoing != working.ledger.set_hash {
        return Err(Rejection::HandOverNotNext);
    }
    if !order.incoming.iter().all(|validator| keys_are_the_lines(directory, validator)) {
        return Err(Rejection::ValidatorKeysDiffer);
    }
    if !validators.set.less_than_a_third_moves(&order.incoming) {
        return Err(Rejection::TooMuchPowerMoved);
    }
    if order.incoming.hash(chain) == order.outgoing {
        return Err(Rejection::SetUnchanged);
    }
    let central_bank = directory.central_bank();
    if central_bank.is_validator() && order.incoming.get(central_bank.number).is_none() {
        return Err(Rejection::CentralBankWouldLeave); // L-2
    }
    Ok(())
}

fn keys_are_the_lines(directory: &Directory, validator: &Validator) -> bool {
    directory.get(validator.number).is_some_and(|line| {
        let keys = &line.keys;
        (keys.consensus, keys.bundle, keys.cosign) == (validator.consensus, validator.bundle, validator.cosign)
    })
}
