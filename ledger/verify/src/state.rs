//! A confirmed state (L-1 to L-3): a checkpoint, and the state leaf that is the last under its root.
//!
//! Everything that the registry proves hangs on the state leaf's map root; its totals are the public supply.

use crate::checkpoint::{Cosigned, LogSigned};
use crate::proof::StateProof;
use crate::trust::{TreeHead, Trust};
use crate::verdict::{Reason, Verdict, quorum_of};
use ledger_tree::log;
use ledger_types::encoding::Encode;
use ledger_types::log_leaf::{LogLeaf, StateLeaf};
use ledger_types::{BatchNumber, Height, ParticipantNumber};

/// An idle log is cosigned every 30 s; four missed rounds are no accident (L-3).
pub const STALE_AFTER_MS: u64 = 120_000;

/// The state leaf of a checkpoint with the log's signature and a quorum's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedState {
    leaf: StateLeaf,
    head: TreeHead,
    signers: Vec<ParticipantNumber>,
    power: u64,
    signed_at_ms: u64,
    age_ms: u64,
    stale: bool,
}

impl VerifiedState {
    pub fn leaf(&self) -> &StateLeaf {
        &self.leaf
    }

    /// The last accepted batch.
    pub fn batch(&self) -> BatchNumber {
        self.leaf.batch
    }

    /// Of the block that accepted it.
    pub fn height(&self) -> Height {
        self.leaf.height
    }

    /// Of that block.
    pub fn time_ms(&self) -> u64 {
        self.leaf.time_ms
    }

    /// To be given to [`Trust::remember`] with a consistency proof.
    pub fn head(&self) -> TreeHead {
        self.head
    }

    /// Ascending.
    pub fn signers(&self) -> &[ParticipantNumber] {
        &self.signers
    }

    pub fn power(&self) -> u64 {
        self.power
    }

    /// When a quorum had cosigned: the quorum-th newest time.
    pub fn signed_at_ms(&self) -> u64 {
        self.signed_at_ms
    }

    /// Zero if the signers' time lies ahead of the verifier's.
    pub fn age_ms(&self) -> u64 {
        self.age_ms
    }

    /// The signers' time and the verifier's differ by more than [`STALE_AFTER_MS`], either way: true as of then, and not
    /// shown to be true now.
    pub fn is_stale(&self) -> bool {
        self.stale
    }
}

pub fn verify_state(trust: &Trust, proof: &StateProof, now_ms: u64) -> Verdict<VerifiedState> {
    CheckedState::check(trust, proof).map(|checked| checked.judge(trust, now_ms)).into()
}

/// A state that breaks no rule; whether enough power stands behind it is judged after all else.
pub(crate) struct CheckedState {
    leaf: StateLeaf,
    head: TreeHead,
    cosigned: Cosigned,
}

impl CheckedState {
    pub fn check(trust: &Trust, proof: &StateProof) -> Result<Self, Reason> {
        if proof.genesis_hash != trust.chain().genesis_hash() {
            return Err(Reason::OtherChain);
        }
        let signed = LogSigned::check(trust, &proof.checkpoint)?;
        state_leaf_is_the_last(&signed.head, proof)?;
        // G-3: the state leaf itself names who cosigns at this size.
        trust.stands_at(&proof.state_leaf.set_hash)?;
        let cosigned = signed.cosigned(trust)?;
        if trust.contradicts(&signed.head) {
            return Err(Reason::SplitView);
        }
        Ok(CheckedState { leaf: proof.state_leaf, head: signed.head, cosigned })
    }

    pub fn leaf(&self) -> &StateLeaf {
        &self.leaf
    }

    pub fn head(&self) -> &TreeHead {
        &self.head
    }

    pub fn judge(self, trust: &Trust, now_ms: u64) -> Verdict<VerifiedState> {
        let Cosigned { signers, power, signed_at_s } = self.cosigned;
        let need = quorum_of(trust.validators().total_power());
        if power < need {
            return Verdict::NotEnoughPower { have: power, need };
        }
        let signed_at_ms = signed_at_s.saturating_mul(1_000);
        Verdict::Verified(VerifiedState {
            leaf: self.leaf,
            head: self.head,
            signers,
            power,
            signed_at_ms,
            age_ms: now_ms.saturating_sub(signed_at_ms),
            stale: now_ms.abs_diff(signed_at_ms) > STALE_AFTER_MS,
        })
    }
}

/// L-1: checkpoints end on a state leaf, and "latest" and "absent" are said by that one alone.
fn state_leaf_is_the_last(head: &TreeHead, proof: &StateProof) -> Result<(), Reason> {
    let leaf_hash = log::leaf_hash(&LogLeaf::State(proof.state_leaf).to_bytes());
    let path: Vec<[u8; 32]> = proof.path.iter().map(|hash| hash.0).collect();
    let index = head.size.checked_sub(1).ok_or(Reason::StaleRoot)?;
    log::verify_inclusion(&head.root.0, index, head.size, &leaf_hash, &path).map_err(|_| Reason::StaleRoot)
}

/// The totals of a confirmed state, over all series, in minor units. That the hidden amounts match them is the central
/// bank's signed statement, not a proof.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Supply {
    issued: u128,
    redeemed: u128,
    state: VerifiedState,
}

impl Supply {
    pub fn issued(&self) -> u128 {
        self.issued
    }

    pub fn redeemed(&self) -> u128 {
        self.redeemed
    }

    pub fn in_circulation(&self) -> u128 {
        self.issued - self.redeemed
    }

    pub fn state(&self) -> &VerifiedState {
        &self.state
    }
}

pub fn verify_supply(trust: &Trust, proof: &StateProof, now_ms: u64) -> Verdict<Supply> {
    let checked = CheckedState::check(trust, proof).and_then(|checked| {
        let StateLeaf { issued, redeemed, .. } = *checked.leaf();
        if redeemed > issued {
            return Err(Reason::ImpossibleSupply);
        }
        Ok(checked.judge(trust, now_ms).map(|state| Supply { issued, redeemed, state }))
    });
    checked.into()
}
