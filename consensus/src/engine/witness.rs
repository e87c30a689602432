//! What this node has seen others vote, each with a signature that held.
//!
//! Two rules live on it. B-5: a value whose time is off is given to the engine once a quorum prevoted for it. B-9: a validator
//! that starts asks the others for the newest vote of its own that they hold.
//!
//! What must stay true: only votes whose signature was verified enter ([`super::signing::StrictVerifier`]); the memory is
//! bounded by the validator set and [`TALLIES_MAX`].

use ledger_types::keys::Signature;
use ledger_types::participant::ValidatorSet;
use ledger_types::vote::{Vote, VoteStep};
use ledger_types::{BlockHash, Height, ParticipantNumber};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use tokio::sync::mpsc::UnboundedSender;

/// (step, round, block) combinations counted for the height in progress. Honest validators make two a round; the engine drops
/// votes more than ten rounds ahead and all but the first conflicts of a validator.
const TALLIES_MAX: usize = 1024;

/// A quorum of one step in one round for one block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuorumSeen {
    pub height: Height,
    pub block: BlockHash,
    pub step: VoteStep,
}

pub struct Witness {
    seen: Mutex<Seen>,
    quorums: UnboundedSender<QuorumSeen>,
}

struct Seen {
    height: Height,
    validators: ValidatorSet,
    tallies: BTreeMap<(VoteStep, u32, BlockHash), BTreeSet<ParticipantNumber>>,
    newest: BTreeMap<ParticipantNumber, (Vote, Signature)>,
}

fn position(vote: &Vote) -> (Height, u32, VoteStep) {
    (vote.height, vote.round, vote.step)
}

impl Witness {
    /// Quorums are sent when they are reached. `height` is the one in progress.
    pub fn new(height: Height, validators: ValidatorSet, quorums: UnboundedSender<QuorumSeen>) -> Self {
        Witness {
            seen: Mutex::new(Seen { height, validators, tallies: BTreeMap::new(), newest: BTreeMap::new() }),
            quorums,
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().expect("no holder panics")
    }

    pub fn saw(&self, vote: Vote, signature: Signature) {
        let mut seen = self.lock();
        if seen.validators.get(vote.validator).is_none() {
            return;
        }
        let newest = seen.newest.entry(vote.validator).or_insert((vote, signature));
        if position(&vote) > position(&newest.0) {
            *newest = (vote, signature);
        }
        let Some(block) = vote.block else { return };
        if vote.height != seen.height || seen.tallies.len() >= TALLIES_MAX {
            return;
        }
        let Seen { validators, tallies, .. } = &mut *seen;
        let voters = tallies.entry((vote.step, vote.round, block)).or_default();
        let was_quorum = is_quorum(validators, voters);
        voters.insert(vote.validator);
        if !was_quorum && is_quorum(validators, voters) {
            // The receiver is gone when the node stops.
            let _ = self.quorums.send(QuorumSeen { height: vote.height, block, step: vote.step });
        }
    }

    /// More than two thirds of the power gave this step to the block in one round.
    pub fn has_quorum(&self, height: Height, step: VoteStep, block: BlockHash) -> bool {
        let seen = self.lock();
        height == seen.height
            && seen
                .tallies
                .iter()
                .any(|((s, _, b), voters)| *s == step && *b == block && is_quorum(&seen.validators, voters))
    }

    pub fn newest_of(&self, validator: ParticipantNumber) -> Option<(Vote, Signature)> {
        self.lock().newest.get(&validator).copied()
    }

    /// A height was committed; `height` is now in progress.
    pub fn advance(&self, height: Height, validators: ValidatorSet) {
        let mut seen = self.lock();
        seen.height = height;
        seen.validators = validators;
        seen.tallies.clear();
    }
}

fn is_quorum(validators: &ValidatorSet, voters: &BTreeSet<ParticipantNumber>) -> bool {
    validators.is_quorum(voters.iter().filter_map(|voter| validators.get(*voter)).map(|v| v.power).sum())
}
