//! What an open store proves of the height at which it stands, from the genesis and the folder alone.
//!
//! ```text
//! genesis set ── hand-overs ─▶ decides ──▶ certificate ──▶ block hash ──▶ header ─┬▶ parent
//!                                                                   ├▶ time, directory, next set
//!                                                                   ├▶ state root ─▶ delta, batch hash, issue no., overdue
//!                                                                   ├▶ log root ───▶ state leaf at size − 1 ─▶ batch, totals
//!                                                                   └▶ map root ───▶ every submitter's lane, or that it has none;
//!                                                                                    the versions of the rules, and no more
//! ```
//! What stays true here: trust begins at the genesis, never at a stored row. At height 0 there is no header, and the small
//! state is what the genesis gives, but for the roots of its two trees.
//!
//! Not proved, since no header commits to it in a form that can be looked up:
//! - the rows of coins, records and pending amounts, the log's leaves, results, envelopes and bundles (delta chains what
//!   happened to the coins, not which there are; a bundle is checked by its digest when it is read);
//! - of the small state: public events that wait for a batch, authorizations that were used, recoveries by reason, requests by
//!   class and basis, and how the issued total divides into series;
//! - at height 0: that the trees hold the genesis's coins and directory, which would take a second load.
//!
//! Whoever writes to the disk can change these. Such a node executes a later block otherwise than the others: before the vote
//! it says nil, and on the decided block it stops (B-1). It cannot make others accept anything. Recoveries, requests and series are only
//! reported. Nor is it proved that the stored height is the newest: that is the witness's and the other validators' to say.

use ledger_state::{Ledger, Rules, entry_of_rules, genesis_ledger};
use ledger_tree::log;
use ledger_tree::map::{self, EntryType, MapError, Version};
use ledger_types::block::{BlockHeader, genesis_block_hash};
use ledger_types::encoding::Encode;
use ledger_types::log_leaf::LogLeaf;
use ledger_types::{Height, ParticipantNumber, RulesVersion, TreeRoot};

use crate::columns;
use crate::deciders::Deciders;
use crate::error::{OpenError, ProofGap, StoreError};
use crate::snapshot::StateView;
use crate::store::Tip;

/// Reads the tip and checks that it is proved.
pub(crate) fn prove_tip(rules: &Rules, state: &StateView<'_>) -> Result<Tip, OpenError> {
    let tip = state.tip()?;
    let height = tip.ledger.height;
    let not_proven = |gap| OpenError::NotProven { height, gap };
    if state.height()? != height {
        return Err(not_proven(ProofGap::StateDiffers("the height's row")));
    }
    prove_block(rules, state, &tip)?.map_err(not_proven)?;
    let differs = match header_differs(rules, &tip.ledger, tip.header.as_ref()) {
        Some(differs) => Some(differs),
        None => trees_differ(state, &tip.ledger)?,
    };
    match differs {
        Some(differs) => Err(not_proven(ProofGap::StateDiffers(differs))),
        None => Ok(tip),
    }
}

/// A quorum decided the tip's block, and its parent is there.
fn prove_block(rules: &Rules, state: &StateView<'_>, tip: &Tip) -> Result<Result<(), ProofGap>, StoreError> {
    let (chain, height) = (&rules.chain, tip.ledger.height);
    if height == Height::GENESIS {
        // Nobody decided it: a header here would be believed for nothing.
        let undecided = tip.header.is_none() && tip.certificate.is_none();
        return Ok(if undecided { Ok(()) } else { Err(ProofGap::StateDiffers("the genesis state")) });
    }
    let Some(header) = tip.header.as_ref().filter(|header| header.hash(chain) == tip.ledger.block) else {
        return Ok(Err(ProofGap::BlockMissing));
    };
    let Some(certificate) = &tip.certificate else { return Ok(Err(ProofGap::CertificateMissing)) };
    if header.height != height || certificate.height != height || certificate.block != tip.ledger.block {
        return Ok(Err(ProofGap::OtherCertificate));
    }
    if let Err(error) = certificate.verify(chain, deciders(rules, state)?.of(height)) {
        return Ok(Err(ProofGap::Certificate(error)));
    }
    let parent_is_there = match header.parent == genesis_block_hash(chain) {
        true => height == Height(1),
        false => {
            let parent = state.0.get(&columns::BLOCKS, &Height(height.0 - 1))?;
            parent.is_some_and(|parent| parent.hash(chain) == header.parent)
        }
    };
    Ok(if parent_is_there { Ok(()) } else { Err(ProofGap::ParentMissing) })
}

/// From the genesis, by the stored hand-overs. Never read from a stored parent: its hash is known only from
/// the block under test, so whoever forges the one forges the other.
fn deciders(rules: &Rules, state: &StateView<'_>) -> Result<Deciders, StoreError> {
    let mut hand_overs = Vec::new();
    while let Some(hand_over) = state.hand_over(hand_overs.len() as u32 + 1)? {
        hand_overs.push(hand_over);
    }
    Ok(Deciders::follow(rules, &hand_overs))
}

/// What of the small state is not what the header commits to, or at height 0 what the genesis gives.
fn header_differs(rules: &Rules, ledger: &Ledger, header: Option<&BlockHeader>) -> Option<&'static str> {
    let chain = &rules.chain;
    let Some(header) = header else {
        let is_the_genesis = *ledger == genesis_ledger(rules, ledger.map_root, ledger.log_root);
        return (!is_the_genesis).then_some("the genesis state");
    };
    let leaf = &ledger.last_state_leaf;
    let named = ledger.validators.pending.as_ref().map_or(&*ledger.validators.set, |pending| &pending.order.incoming);
    let same = [
        ("the rules' version", header.version == ledger.rules_schedule.at(header.height)),
        ("the time", header.time_ms == ledger.time_ms),
        ("the map's root", header.map_root == ledger.map_root),
        ("the log's root", (header.log_size, header.log_root) == (ledger.log_size, ledger.log_root)),
        ("the directory", header.participants_hash == ledger.participants_hash),
        ("the directory", ledger.directory.hash(chain) == ledger.participants_hash),
        ("the validator set", header.next_set_hash == ledger.set_hash),
        ("the validator set", ledger.validators.set.hash(chain) == ledger.set_hash),
        ("the validator set", ledger.directory.validators() == *named),
        ("the state root", header.state_root == ledger.state_root(chain)),
        // The leaf itself is proved under the log's root. It is that of the last accepted batch, and only a batch moves the
        // totals, so they are still its own (L-1, R-6).
        ("the batch", leaf.batch == ledger.batch),
        ("the totals", (leaf.issued, leaf.redeemed) == (ledger.issued, ledger.redeemed)),
        (
            "the totals",
            ledger.issued_by_series.values().try_fold(0u128, |sum, n| sum.checked_add(*n)) == Some(ledger.issued),
        ),
    ];
    same.into_iter().find(|(_, same)| !same).map(|(what, _)| what)
}

/// What of the trees, or of the small state that they commit to, is not what their roots say.
fn trees_differ(state: &StateView<'_>, ledger: &Ledger) -> Result<Option<&'static str>, StoreError> {
    let version = Version::after_height(ledger.height.0);
    if map::root(state, version).map_err(map_is_corrupt)?.map(TreeRoot) != Some(ledger.map_root) {
        return Ok(Some("the map's root"));
    }
    if TreeRoot(log::root(state, ledger.log_size).map_err(log_is_corrupt)?) != ledger.log_root {
        return Ok(Some("the log's root"));
    }
    if !state_leaf_is_the_last(state, ledger)? {
        return Ok(Some("the last state leaf"));
    }
    if !lanes_are_in_the_map(state, ledger, version)? {
        return Ok(Some("a lane"));
    }
    Ok(if rules_are_in_the_map(state, ledger, version)? { None } else { Some("the rules' versions") })
}

/// L-1: the log ends on the state leaf of its last batch.
fn state_leaf_is_the_last(state: &StateView<'_>, ledger: &Ledger) -> Result<bool, StoreError> {
    let (size, root) = (ledger.log_size, &ledger.log_root.0);
    let Some(last) = size.checked_sub(1) else { return Ok(false) };
    let path = log::prove_inclusion(state, last, size).map_err(log_is_corrupt)?;
    let leaf = log::leaf_hash(&LogLeaf::State(ledger.last_state_leaf).to_bytes());
    Ok(log::verify_inclusion(root, last, size, &leaf, &path).is_ok())
}

/// L-4: every lane that a block has served is in the map as it stands, and no other is.
fn lanes_are_in_the_map(state: &StateView<'_>, ledger: &Ledger, version: Version) -> Result<bool, StoreError> {
    let root = &ledger.map_root.0;
    let mut served = 0;
    let participants = ledger.directory.iter().map(|participant| participant.number);
    for submitter in participants.chain([ParticipantNumber::REGISTRATION]) {
        let key = map::key_hash(EntryType::Lane, &submitter.to_bytes());
        let proof = map::prove(state, version, &key).map_err(map_is_corrupt)?.proof;
        let proved = match ledger.lanes.get(&submitter) {
            Some(lane) => {
                served += 1;
                map::verify_inclusion(root, &key, &map::value_hash(&lane.to_bytes()), &proof)
            }
            None => map::verify_absence(root, &key, &proof),
        };
        if proved.is_err() {
            return Ok(false);
        }
    }
    // No line of the directory ever goes, so a lane of anybody else was never served.
    Ok(served == ledger.lanes.len())
}

/// B-13: what decides whether this program may execute the next height.
fn rules_are_in_the_map(state: &StateView<'_>, ledger: &Ledger, version: Version) -> Result<bool, StoreError> {
    let root = &ledger.map_root.0;
    let mut after = RulesVersion::GENESIS.next();
    for order in ledger.rules_schedule.orders() {
        let (key, begins) = entry_of_rules(&order);
        let proof = map::prove(state, version, &key).map_err(map_is_corrupt)?.proof;
        if map::verify_inclusion(root, &key, &map::value_hash(&begins), &proof).is_err() {
            return Ok(false);
        }
        after = order.version.next();
    }
    let Some(after) = after else { return Ok(true) };
    let key = map::key_hash(EntryType::Rules, &after.to_bytes());
    let proof = map::prove(state, version, &key).map_err(map_is_corrupt)?.proof;
    Ok(map::verify_absence(root, &key, &proof).is_ok())
}

fn map_is_corrupt(error: MapError) -> StoreError {
    StoreError::corrupt("the stored map", error)
}

fn log_is_corrupt(error: log::LogError) -> StoreError {
    StoreError::corrupt("the stored log", error)
}
