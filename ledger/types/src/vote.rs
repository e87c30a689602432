//! What validators sign to decide a block, and the certificate that results.

use crate::domain::{Chain, Tag};
use crate::encoding::{Encode, List};
use crate::ids::*;
use crate::participant::{PARTICIPANTS_MAX, SignedBy, SignerError, ValidatorSet};
use crate::{layout, numbered};

numbered! {
    pub enum VoteStep {
        Prevote = 1,
        Precommit = 2,
    }
}

/// A vote for a block, or for nil. Its message is D("vote", layout).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vote {
    pub step: VoteStep,
    pub height: Height,
    pub round: u32,
    pub block: Option<BlockHash>,
    pub validator: ParticipantNumber,
}
layout!(Vote { step, height, round, block, validator });

impl Vote {
    pub fn message(&self, chain: &Chain) -> [u8; 32] {
        chain.hash(Tag::Vote, &[&self.to_bytes()])
    }
}

/// A proposal of a block. `valid_round` is the round of the prevote quorum that it repeats, if any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proposal {
    pub height: Height,
    pub round: u32,
    pub block: BlockHash,
    pub valid_round: Option<u32>,
    pub validator: ParticipantNumber,
}
layout!(Proposal { height, round, block, valid_round, validator });

impl Proposal {
    pub fn message(&self, chain: &Chain) -> [u8; 32] {
        chain.hash(Tag::Proposal, &[&self.to_bytes()])
    }
}

/// Precommits of a quorum for one block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitCertificate {
    pub height: Height,
    pub round: u32,
    pub block: BlockHash,
    /// Strictly ascending by signer.
    pub precommits: List<SignedBy, PARTICIPANTS_MAX>,
}
layout!(CommitCertificate { height, round, block, precommits });

impl CommitCertificate {
    pub fn verify(&self, chain: &Chain, validators: &ValidatorSet) -> Result<(), SignerError> {
        let message = |validator| {
            let (height, round, block) = (self.height, self.round, Some(self.block));
            Vote { step: VoteStep::Precommit, height, round, block, validator }.message(chain)
        };
        let power = validators.power_of(&self.precommits, |v| v.consensus, message)?;
        if !validators.is_quorum(power) {
            return Err(SignerError::NoQuorum { power, total: validators.total_power() });
        }
        Ok(())
    }
}
