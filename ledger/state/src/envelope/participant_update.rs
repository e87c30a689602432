//! Participant update: k of n officers replace one line of the directory, to rotate keys.
//!
//! What stays true here: the validator set does not change, that takes a hand-over (G-3). A validator's consensus, bundle and
//! cosign keys, its power and its role stand in that set (the bundle key signs acks), so none of them may change here. The log's
//! own key is pinned by every verifier with the genesis and may not change either. A new key binds from the next height.

use super::{Circumstances, Shape, is_plain, officers_authorize};
use crate::reader::StateReader;
use crate::working::Working;
use ledger_types::envelope::{Core, ParticipantUpdateContext};
use ledger_types::kem;
use ledger_types::log_leaf::LogLeaf;
use ledger_types::participant::{Directory, Participant};
use ledger_types::rejection::Rejection;
use std::sync::Arc;

/// Any participant may carry it: the officers' signatures authorise it.
pub(super) const SHAPE: Shape = Shape { may_submit: |_| true, inputs: 0..=0, outputs: 0..=0, terms_fit: is_plain };

pub(super) fn check(now: &Circumstances, core: &Core, context: &ParticipantUpdateContext) -> Result<(), Rejection> {
    officers_authorize(now, core, &context.authorizations)
}

pub(super) fn execute<R: StateReader>(
    working: &mut Working<R>,
    core: &Core,
    context: &ParticipantUpdateContext,
) -> Result<(), Rejection> {
    let chain = *working.chain();
    let authorization = working.unused_authorization(core)?;
    let directory = changed_directory(working, &context.participant)?;
    working.use_authorization(authorization, core.expiry_ms);
    working.ledger.participants_hash = directory.hash(&chain);
    working.ledger.directory = Arc::new(directory);
    working.ledger.events_to_log.push(LogLeaf::Participants(working.ledger.participants_hash)); // L-1
    working.participants_changed.insert(context.participant.number);
    Ok(())
}

fn changed_directory<R: StateReader>(working: &Working<R>, line: &Participant) -> Result<Directory, Rejection> {
    // With the updates of this block so far, so that two of them cannot give one key twice.
    let current = &working.ledger.directory;
    if current.get(line.number).is_none() {
        return Err(Rejection::ParticipantUnknown);
    }
    if !kem::public_key_is_sound(working.rules.genesis.kem_suite, &line.keys.kem) {
        return Err(Rejection::DirectoryRuleBroken); // G-2
    }
    let lines = current.iter().map(|p| if p.number == line.number { line.clone() } else { p.clone() }).collect();
    let changed = Directory::new(lines).map_err(|_| Rejection::DirectoryRuleBroken)?; // G-2
    if changed.central_bank_keys().log != current.central_bank_keys().log {
        return Err(Rejection::DirectoryRuleBroken); // L-2
    }
    if changed.validators() != current.validators() {
        return Err(Rejection::ValidatorSetWouldChange); // G-3
    }
    Ok(changed)
}
