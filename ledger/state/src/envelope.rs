//! What happens to one envelope. Each kind is one file; what all kinds share stands here.
//!
//! Checks run in ascending order of [`Rejection`]'s numbers. Those up to 13 look at the envelope and the parent's directory
//! alone ([`check`]) and say which coins must be read; the others look at the state ([`execute`]).

mod issue;
mod participant_update;
mod recover;
mod redeem;
mod request;
mod transfer;

use crate::reader::StateReader;
use crate::rules::Rules;
use crate::working::{NoVerdict, Working};
use ledger_types::envelope::{Bucket, ClearContext, Core, Envelope, Inputs, OfficerSignature, TermsFlag};
use ledger_types::ids::*;
use ledger_types::participant::{Directory, Participant};
use ledger_types::rejection::Rejection;
use std::collections::BTreeMap;

/// What a kind demands of every envelope of its kind.
struct Shape {
    may_submit: fn(&Participant) -> bool,
    inputs: std::ops::RangeInclusive<usize>,
    outputs: std::ops::RangeInclusive<usize>,
}

/// What an envelope is checked against before any state is read.
pub(crate) struct Circumstances<'a> {
    pub rules: &'a Rules,
    pub directory: &'a Directory,
    /// See [`crate::Ledger::used_authorizations`]; as of the parent.
    pub used_authorizations: &'a BTreeMap<[u8; 32], u64>,
    pub time_ms: u64,
    /// Whose bundle it is.
    pub bundle_submitter: ParticipantNumber,
}

/// Rejections 1 to 13. Appends the inputs' coin ids to `inputs` if they had to be computed.
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
    };
    if !now.directory.get(core.submitter).is_some_and(shape.may_submit) {
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
    if core.contract != ContractNumber(0) {
        return Err(Rejection::ContractUnknown); // C-4, until contracts exist
    }
    if core.outputs.iter().any(|output| output.terms_flag != TermsFlag::Plain) {
        return Err(Rejection::TermsNotAllowed); // C-4
    }
    match &core.context {
        ClearContext::Issue(context) => issue::check(now, core, context),
        ClearContext::Transfer => Ok(()),
        ClearContext::Redeem(context) => redeem::check(now, core, context),
        ClearContext::Recover(context) => recover::check(now, core, context),
        ClearContext::ParticipantUpdate(context) => participant_update::check(now, core, context),
        ClearContext::Request(context) => request::check(now, core, context),
    }
}

/// Rejections from 14 on, and what an accepted envelope does. `inputs` as [`check`] found them.
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
    }
    Ok(())
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
    if now.used_authorizations.contains_key(&message) {
        return Err(Rejection::NotAuthorized);
    }
    let all_verify = signatures
        .iter()
        .all(|by| genesis.officers.get(usize::from(by.officer)).is_some_and(|key| key.verify(&message, &by.signature)));
    if all_verify { Ok(()) } else { Err(Rejection::NotAuthorized) }
}
