//! Our nouns in the engine's grammar.
//!
//! What must stay true: every vote and proposal maps to exactly one message of [`ledger_types::vote`], and the value that the
//! engine decides is the block's hash and nothing else (trap 10: the whole value goes into every log entry). Who proposes
//! follows from committed data alone.
//!
//! Leaves signatures to [`super::signing`] and bytes to [`super::codec`].

use super::parts::BlockPart;
use super::signing::Ed25519Strict;
use arc_malachitebft_core_types as core;
use core::{NilOrVal, Round, SignedExtension, VoteType};
use ledger_types::vote;
use ledger_types::{BlockHash, Height, ParticipantNumber};
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EngineHeight(pub Height);

impl fmt::Display for EngineHeight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl core::Height for EngineHeight {
    const ZERO: Self = EngineHeight(Height(0));
    const INITIAL: Self = EngineHeight(Height(1));

    fn increment_by(&self, n: u64) -> Self {
        // Peers' claims reach this addition; a height at the end of the range must not stop the node.
        EngineHeight(Height(self.0.0.saturating_add(n)))
    }

    fn decrement_by(&self, n: u64) -> Option<Self> {
        self.0.0.checked_sub(n).map(|height| EngineHeight(Height(height)))
    }

    fn as_u64(&self) -> u64 {
        self.0.0
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address(pub ParticipantNumber);

impl Address {
    /// The address of a node that has no vote: in no validator set, because the number is reserved (G-2).
    pub const NOBODY: Address = Address(ParticipantNumber(u16::MAX));
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl core::Address for Address {}

/// What the engine decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BlockValue(pub BlockHash);

impl core::Value for BlockValue {
    type Id = BlockHash;

    fn id(&self) -> BlockHash {
        self.0
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockProposal {
    pub height: EngineHeight,
    pub round: Round,
    pub value: BlockValue,
    pub valid_round: Round,
    pub proposer: Address,
}

impl BlockProposal {
    /// None for a proposal outside of any round, which nobody signs.
    pub fn to_ledger(&self) -> Option<vote::Proposal> {
        Some(vote::Proposal {
            height: self.height.0,
            round: self.round.as_u32()?,
            block: self.value.0,
            valid_round: self.valid_round.as_u32(),
            validator: self.proposer.0,
        })
    }

    pub fn from_ledger(proposal: &vote::Proposal) -> Self {
        BlockProposal {
            height: EngineHeight(proposal.height),
            round: Round::new(proposal.round),
            value: BlockValue(proposal.block),
            valid_round: Round::from(proposal.valid_round),
            proposer: Address(proposal.validator),
        }
    }
}

impl core::Proposal<Assay> for BlockProposal {
    fn height(&self) -> EngineHeight {
        self.height
    }
    fn round(&self) -> Round {
        self.round
    }
    fn value(&self) -> &BlockValue {
        &self.value
    }
    fn take_value(self) -> BlockValue {
        self.value
    }
    fn pol_round(&self) -> Round {
        self.valid_round
    }
    fn validator_address(&self) -> &Address {
        &self.proposer
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockVote {
    pub step: VoteType,
    pub height: EngineHeight,
    pub round: Round,
    pub block: NilOrVal<BlockHash>,
    pub validator: Address,
}

impl BlockVote {
    /// None for a vote outside of any round, which nobody signs.
    pub fn to_ledger(&self) -> Option<vote::Vote> {
        Some(vote::Vote {
            step: match self.step {
                VoteType::Prevote => vote::VoteStep::Prevote,
                VoteType::Precommit => vote::VoteStep::Precommit,
            },
            height: self.height.0,
            round: self.round.as_u32()?,
            block: match self.block {
                NilOrVal::Nil => None,
                NilOrVal::Val(block) => Some(block),
            },
            validator: self.validator.0,
        })
    }

    pub fn from_ledger(vote: &vote::Vote) -> Self {
        BlockVote {
            step: match vote.step {
                vote::VoteStep::Prevote => VoteType::Prevote,
                vote::VoteStep::Precommit => VoteType::Precommit,
            },
            height: EngineHeight(vote.height),
            round: Round::new(vote.round),
            block: vote.block.map_or(NilOrVal::Nil, NilOrVal::Val),
            validator: Address(vote.validator),
        }
    }
}

impl core::Vote<Assay> for BlockVote {
    fn height(&self) -> EngineHeight {
        self.height
    }
    fn round(&self) -> Round {
        self.round
    }
    fn value(&self) -> &NilOrVal<BlockHash> {
        &self.block
    }
    fn take_value(self) -> NilOrVal<BlockHash> {
        self.block
    }
    fn vote_type(&self) -> VoteType {
        self.step
    }
    fn validator_address(&self) -> &Address {
        &self.validator
    }
    // Vote extensions are not used: a vote has no place for one.
    fn extension(&self) -> Option<&SignedExtension<Assay>> {
        None
    }
    fn take_extension(&mut self) -> Option<SignedExtension<Assay>> {
        None
    }
    fn extend(self, _: SignedExtension<Assay>) -> Self {
        self
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Validator {
    pub address: Address,
    pub key: ledger_types::keys::PublicKey,
    pub power: u64,
}

impl core::Validator<Assay> for Validator {
    fn address(&self) -> &Address {
        &self.address
    }
    fn public_key(&self) -> &ledger_types::keys::PublicKey {
        &self.key
    }
    fn voting_power(&self) -> u64 {
        self.power
    }
}

/// The set that decides one height, with those of its validators that are demoted at that height (B-4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValidatorSet {
    validators: Arc<Vec<Validator>>,
    demoted: Arc<BTreeSet<ParticipantNumber>>,
}

impl ValidatorSet {
    pub fn new(set: &ledger_types::participant::ValidatorSet, demoted: BTreeSet<ParticipantNumber>) -> Self {
        let validators =
            set.iter().map(|v| Validator { address: Address(v.number), key: v.consensus, power: v.power }).collect();
        ValidatorSet { validators: Arc::new(validators), demoted: Arc::new(demoted) }
    }

    /// Round-robin by height and round over the set, ascending by number; the demoted come last.
    pub fn proposer(&self, height: Height, round: u32) -> &Validator {
        let count = self.validators.len() as u64;
        let turn = |rank: u64| &self.validators[((height.0 % count + rank) % count) as usize];
        let is_demoted = |v: &&Validator| self.demoted.contains(&v.address.0);
        let mut order = (0..count).map(turn).filter(|v| !is_demoted(v)).chain((0..count).map(turn).filter(is_demoted));
        order.nth((u64::from(round) % count) as usize).expect("the engine refuses an empty validator set")
    }
}

impl core::ValidatorSet<Assay> for ValidatorSet {
    fn count(&self) -> usize {
        self.validators.len()
    }
    fn total_voting_power(&self) -> u64 {
        self.validators.iter().map(|v| v.power).sum()
    }
    fn get_by_address(&self, address: &Address) -> Option<&Validator> {
        self.validators.iter().find(|v| v.address == *address)
    }
    fn get_by_index(&self, index: usize) -> Option<&Validator> {
        self.validators.get(index)
    }
}

/// The engine's type parameter: our ledger.
#[derive(Clone, Debug)]
pub struct Assay;

impl core::Context for Assay {
    type Address = Address;
    type Height = EngineHeight;
    type ProposalPart = BlockPart;
    type Proposal = BlockProposal;
    type Validator = Validator;
    type ValidatorSet = ValidatorSet;
    type Timeouts = core::LinearTimeouts;
    type Value = BlockValue;
    type Vote = BlockVote;
    type Extension = ();
    type SigningScheme = Ed25519Strict;

    fn select_proposer<'a>(&self, set: &'a ValidatorSet, height: EngineHeight, round: Round) -> &'a Validator {
        set.proposer(height.0, round.as_u32().unwrap_or(0))
    }

    fn new_proposal(
        &self,
        height: EngineHeight,
        round: Round,
        value: BlockValue,
        valid_round: Round,
        proposer: Address,
    ) -> BlockProposal {
        BlockProposal { height, round, value, valid_round, proposer }
    }

    fn new_prevote(
        &self,
        height: EngineHeight,
        round: Round,
        block: NilOrVal<BlockHash>,
        validator: Address,
    ) -> BlockVote {
        BlockVote { step: VoteType::Prevote, height, round, block, validator }
    }

    fn new_precommit(
        &self,
        height: EngineHeight,
        round: Round,
        block: NilOrVal<BlockHash>,
        validator: Address,
    ) -> BlockVote {
        BlockVote { step: VoteType::Precommit, height, round, block, validator }
    }
}

/// The ledger's certificate from the engine's: signers ascending, each once.
pub fn certificate_to_ledger(certificate: &core::CommitCertificate<Assay>) -> vote::CommitCertificate {
    let mut precommits: Vec<_> = certificate
        .commit_signatures
        .iter()
        .map(|s| ledger_types::participant::SignedBy { signer: s.address.0, signature: s.signature })
        .collect();
    precommits.sort_by_key(|s| s.signer);
    precommits.dedup_by_key(|s| s.signer);
    vote::CommitCertificate {
        height: certificate.height.0,
        round: certificate.round.as_u32().expect("a certificate is of a round: the engine counts votes by round"),
        block: certificate.value_id,
        precommits: ledger_types::List::new(precommits).expect("signers are of the set, which is no longer"),
    }
}

pub fn certificate_from_ledger(certificate: &vote::CommitCertificate) -> core::ExtendedCommitCertificate<Assay> {
    core::ExtendedCommitCertificate {
        height: EngineHeight(certificate.height),
        round: Round::new(certificate.round),
        value_id: certificate.block,
        commit_signatures: certificate
            .precommits
            .iter()
            .map(|s| core::ExtendedCommitSignature::new(Address(s.signer), s.signature, None))
            .collect(),
    }
}
