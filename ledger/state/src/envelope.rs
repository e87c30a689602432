//! What happens to one envelope. Each kind is one file; what all kinds share stands here.
//!
//! Checks run in the order of PROTOCOL.md 11.1 and 12.6: by [`Rejection`]'s numbers, but for the kinds of rules K. Those that look at
//! the envelope and the parent's ledger alone come first ([`check`]) and say which coins must be read; the others look at the state
//! ([`execute`]).

mod activate;
mod contract_order;
mod feed_order;
mod hand_over;
mod issue;
mod participant_update;
mod publication;
mod reclaim;
mod recover;
mod redeem;
mod request;
mod return_;
mod rules_order;
mod transfer;

use crate::ledger::Ledger;
use crate::reader::StateReader;
use crate::rules::Rules;
use crate::working::{NoVerdict, Working};
use ledger_types::envelope::{Bucket, ClearContext, Core, Envelope, Inputs, OfficerSignature, TermsFlag};
use ledger_types::ids::*;
use ledger_types::keys::Signature;
use ledger_types::participant::Participant;
use ledger_types::rejection::Rejection;

/// What a kind demands of every envelope of its kind.
struct Shape {
    may_submit: fn(&Participant) -> bool,
    inputs: std::ops::RangeInclusive<usize>,
    outputs: std::ops::RangeInclusive<usize>,
    /// Which contract may be declared, and which outputs flagged (K-4, K-5).
    terms_fit: fn(&Core) -> bool,
}

/// What an envelope is checked against before any state is read.
pub(crate) struct Circumstances<'a> {
    pub rules: &'a Rules,
    /// The directory, contracts and feeds that govern the block, and the authorizations used before it.
    pub parent: &'a Ledger,
    pub height: Height,
    pub time_ms: u64,
    /// Whose bundle it is.
    pub bundle_submitter: ParticipantNumber,
}

/// Rejections 1 to 13, and 80 and 83 of a publication. Appends the inputs' coin ids to `inputs` if they had to be computed.
pub(crate) fn check(now: &Circumstances, envelope: &Envelope, inputs: &mut Vec<CoinId>) -> Result<(), Rejection> {
    let core = &envelope.header.core;
    if !is_well_formed(envelope) {
        return Err(Rejection::Malformed);
    }
    if core.submitter != now.bundle_submitter {
        return Err(Rejection::SubmitterIsNotTheBundles);
    }
    let shape = match core.context {
        ClearContext::Issue(_) => issue::SHAPE,
        ClearContext::Transfer => transfer::SHAPE,
        ClearContext::Redeem(_) => redeem::SHAPE,
        ClearContext::Recover(_) => recover::SHAPE,
        ClearContext::ParticipantUpdate(_) => participant_update::SHAPE,
        ClearContext::Request(_) => request::SHAPE,
        ClearContext::Activate(_) => activate::SHAPE,
        ClearContext::Return(_) => return_::SHAPE,
        ClearContext::Reclaim(_) => reclaim::SHAPE,
        ClearContext::ContractOrder(_) => contract_order::SHAPE,
        ClearContext::FeedOrder(_) => feed_order::SHAPE,
        ClearContext::Publication(_) => publication::SHAPE,
        ClearContext::HandOver(_) => hand_over::SHAPE,
        ClearContext::RulesOrder(_) => rules_order::SHAPE,
    };
    if !now.parent.directory.get(core.submitter).is_some_and(shape.may_submit) {
        return Err(Rejection::SubmitterMayNotSubmitThis); // C, table
    }
    if core.expiry_ms < now.time_ms {
        return Err(Rejection::Expired);
    }
    if core.expiry_ms - now.time_ms > now.rules.genesis.expiry_window_ms {
        return Err(Rejection::ExpiryTooFar); // E-4
    }
    if !shape.inputs.contains(&core.inputs.count()) || !shape.outputs.contains(&core.outputs.len()) {
        return Err(Rejection::CountsDoNotFitTheKind);
    }
    let first = inputs.len();
    match &core.inputs {
        Inputs::Spends(spends) => {
            inputs.extend(spends.iter().map(|spend| spend.coin_id(&now.rules.chain, core.submitter))); // C-2
        }
        Inputs::ById(ids) => inputs.extend_from_slice(ids),
    }
    if !inputs[first..].is_sorted_by(|a, b| a < b) {
        return Err(Rejection::InputsNotAscending);
    }
    if !core.outputs.is_sorted_by(|a, b| a.note < b.note) {
        return Err(Rejection::OutputsNotAscending);
    }
    if !named_contracts_exist(now, core) {
        return Err(Rejection::ContractUnknown); // K-4, K-8
    }
    if !(shape.terms_fit)(core) {
        return Err(Rejection::TermsNotAllowed); // K-4
    }
    match &core.context {
        ClearContext::Issue(context) => issue::check(now, core, context),
        ClearContext::Transfer => Ok(()),
        ClearContext::Redeem(context) => redeem::check(now, core, context),
        ClearContext::Recover(context) => recover::check(now, core, context),
        ClearContext::ParticipantUpdate(context) => participant_update::check(now, core, context),
        ClearContext::Request(context) => request::check(now, core, context),
        ClearContext::Activate(_) => Ok(()),
        ClearContext::Return(context) => return_::check(now, core, context),
        ClearContext::Reclaim(context) => reclaim::check(now, core, context),
        ClearContext::ContractOrder(context) => contract_order::check(now, core, context),
        ClearContext::FeedOrder(context) => feed_order::check(now, core, context),
        ClearContext::Publication(context) => publication::check(now, context),
        ClearContext::HandOver(context) => hand_over::check(now, context),
        ClearContext::RulesOrder(context) => rules_order::check(now, core, context),
    }
}

/// The other rejections, and what an accepted envelope does. `inputs` as [`check`] found them.
pub(crate) fn execute<R: StateReader>(
    working: &mut Working<R>,
    id: EnvelopeId,
    core: &Core,
    inputs: &[CoinId],
) -> Result<(), NoVerdict> {
    match &core.context {
        ClearContext::Issue(context) => issue::execute(working, id, core, context)?,
        ClearContext::Transfer => transfer::execute(working, core, inputs)?,
        ClearContext::Redeem(context) => redeem::execute(working, id, core, context, inputs)?,
        ClearContext::Recover(context) => recover::execute(working, id, core, context, inputs)?,
        ClearContext::ParticipantUpdate(context) => participant_update::execute(working, core, context)?,
        ClearContext::Request(context) => request::execute(working, core, context)?,
        ClearContext::Activate(loan) => activate::execute(working, id, core, loan, inputs)?,
        ClearContext::Return(context) => return_::execute(working, id, core, context, inputs)?,
        ClearContext::Reclaim(context) => reclaim::execute(working, id, core, context, inputs)?,
        ClearContext::ContractOrder(context) => contract_order::execute(working, core, context)?,
        ClearContext::FeedOrder(context) => feed_order::execute(working, core, context)?,
        ClearContext::Publication(context) => publication::execute(working, context)?,
        ClearContext::HandOver(context) => hand_over::execute(working, context)?,
        ClearContext::RulesOrder(context) => rules_order::execute(working, core, context)?,
    }
    Ok(())
}

fn named_contracts_exist(now: &Circumstances, core: &Core) -> bool {
    let binds =
        |number| now.parent.contracts.get(number).is_some_and(|contract| contract.binding(now.height).is_some());
    let ordered = match &core.context {
        ClearContext::ContractOrder(context) => contract_order::contract_exists(now, &context.order),
        _ => true,
    };
    ordered && (core.contract == ContractNumber(0) || binds(core.contract))
}

fn is_plain(core: &Core) -> bool {
    core.contract == ContractNumber(0) && core.outputs.iter().all(|output| output.terms_flag == TermsFlag::Plain)
}

fn is_a_bank(participant: &Participant) -> bool {
    participant.is_commercial_bank() || participant.is_central_bank()
}

/// A public amount, under the issue key.
fn amount_is_signed(now: &Circumstances, core: &Core, amount: Amount, by: &Signature) -> Result<(), Rejection> {
    if amount == Amount(0) {
        return Err(Rejection::AmountIsZero);
    }
    let message = core.authorization_message(&now.rules.chain);
    let signed = now.parent.directory.central_bank_keys().issue.verify(&message, by);
    if signed { Ok(()) } else { Err(Rejection::NotAuthorized) }
}

/// Decoding gives no other; an envelope that was put together in memory could be.
fn is_well_formed(envelope: &Envelope) -> bool {
    let core = &envelope.header.core;
    envelope.ciphertext.len() == core.bucket.ciphertext_bytes()
        && matches!(core.inputs, Inputs::ById(_)) == core.kind().names_inputs_by_id()
        && (core.bucket == Bucket::None) == core.kind().seals_nothing()
}

/// k of the genesis's n officers, each named once in ascending order, all of whose signatures verify.
fn officers_authorize(now: &Circumstances, core: &Core, signatures: &[OfficerSignature]) -> Result<(), Rejection> {
    let genesis = &now.rules.genesis;
    // What is cheap comes first: any participant may send us sixteen signatures.
    let enough = signatures.len() >= usize::from(genesis.officer_threshold);
    if !enough || !signatures.is_sorted_by(|a, b| a.officer < b.officer) {
        return Err(Rejection::NotAuthorized);
    }
    let message = core.authorization_message(&now.rules.chain);
    if now.parent.used_authorizations.contains_key(&message) {
        return Err(Rejection::NotAuthorized);
    }
    let all_verify = signatures
        .iter()
        .all(|by| genesis.officers.get(usize::from(by.officer)).is_some_and(|key| key.verify(&message, &by.signature)));
    if all_verify { Ok(()) } else { Err(Rejection::NotAuthorized) }
}
