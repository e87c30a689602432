//! What a verifier believes: the genesis, the validators of now, and the newest log that it accepted.
//!
//! - The only way in is the genesis document; the only way to other validators is a verified hand-over (G-3).
//! - Trust stands at one validator set. A set that was handed over signs nothing any more: whoever holds its retired keys
//!   could sign an old state anew. A proof saved before a hand-over is checked with the trust of before it.
//! - The log key is the genesis's for good: no rule changes it.

use crate::verdict::Reason;
use ledger_tree::log::{self, ConsistencyError};
use ledger_tree::note::{CosignerKey, NoteKey};
use ledger_types::genesis::{Genesis, GenesisError};
use ledger_types::participant::ValidatorSet;
use ledger_types::{Chain, Height, ParticipantNumber, TreeRoot, ValidatorSetHash, layout};

/// The size and root of a log that was accepted; what a verifier keeps between two runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TreeHead {
    pub size: u64,
    pub root: TreeRoot,
}
layout!(TreeHead { size, root });

/// One who may cosign.
#[derive(Clone, Debug)]
pub(crate) struct Cosigner {
    pub number: ParticipantNumber,
    pub power: u64,
    pub key: CosignerKey,
}

#[derive(Clone, Debug)]
pub struct Trust {
    genesis: Genesis,
    chain: Chain,
    log_key: NoteKey,
    validators: ValidatorSet,
    set_hash: ValidatorSetHash,
    cosigners: Vec<Cosigner>,
    /// Sets that were handed over, oldest first; their count is the number of the last hand-over.
    past_sets: Vec<ValidatorSetHash>,
    /// The block whose header named the set first.
    set_since: Height,
    newest: Option<TreeHead>,
}

impl Trust {
    /// Reads and checks the document (G-1, G-2). Whether it is the right one is the caller's to pin:
    /// `trust.chain().genesis_hash()`.
    pub fn from_genesis(document: &[u8]) -> Result<Self, GenesisError> {
        let genesis = Genesis::parse(document)?;
        let chain = genesis.chain();
        let log = genesis.directory.central_bank_keys().log;
        let log_key = NoteKey::new(genesis.origin.as_str(), &log.0)
            .expect("G-1 and G-2, just checked: the origin is a key name, the log key is sound");
        let validators = genesis.directory.validators();
        let set_hash = validators.hash(&chain);
        let cosigners = cosigners(&genesis, &validators);
        let (past_sets, set_since, newest) = (Vec::new(), Height::GENESIS, None);
        Ok(Trust { genesis, chain, log_key, validators, set_hash, cosigners, past_sets, set_since, newest })
    }

    pub fn genesis(&self) -> &Genesis {
        &self.genesis
    }

    pub fn chain(&self) -> &Chain {
        &self.chain
    }

    pub fn validators(&self) -> &ValidatorSet {
        &self.validators
    }

    pub fn set_hash(&self) -> ValidatorSetHash {
        self.set_hash
    }

    /// How many hand-overs were verified.
    pub fn hand_overs(&self) -> u32 {
        u32::try_from(self.past_sets.len()).expect("each hand-over is numbered by a u32")
    }

    pub fn newest(&self) -> Option<TreeHead> {
        self.newest
    }

    /// Takes up what an earlier run of this verifier accepted and kept; never what another party says.
    pub fn resume_from(&mut self, newest: TreeHead) {
        self.newest = Some(newest);
    }

    /// Accepts a verified log state as seen: `consistency` proves that of two sizes the smaller is a prefix of the larger.
    /// An older state than the newest is checked too, and changes nothing (L-3).
    pub fn remember(&mut self, seen: TreeHead, consistency: &[[u8; 32]]) -> Result<(), Reason> {
        if let Some(newest) = self.newest {
            let (first, second) = if newest.size <= seen.size { (newest, seen) } else { (seen, newest) };
            log::verify_consistency(first.size, &first.root.0, second.size, &second.root.0, consistency).map_err(
                |error| match error {
                    ConsistencyError::TooShort | ConsistencyError::TooLong => Reason::ConsistencyNotShown,
                    ConsistencyError::FirstRootDiffers
                    | ConsistencyError::SecondRootDiffers
                    | ConsistencyError::SizesOutOfOrder { .. } => Reason::SplitView,
                },
            )?;
            if seen.size <= newest.size {
                return Ok(());
            }
        }
        self.newest = Some(seen);
        Ok(())
    }

    /// L-3: two roots of one size are a split view, and no consistency proof is needed to say so.
    pub(crate) fn contradicts(&self, seen: &TreeHead) -> bool {
        self.newest.is_some_and(|newest| newest.size == seen.size && newest.root != seen.root)
    }

    /// The set that a state leaf or a header names must be the one that trust stands at.
    pub(crate) fn stands_at(&self, set: &ValidatorSetHash) -> Result<(), Reason> {
        if *set == self.set_hash {
            Ok(())
        } else if self.past_sets.contains(set) {
            Err(Reason::WrongSet)
        } else {
            Err(Reason::OmittedUpdate)
        }
    }

    pub(crate) fn log_key(&self) -> &NoteKey {
        &self.log_key
    }

    pub(crate) fn cosigners(&self) -> &[Cosigner] {
        &self.cosigners
    }

    pub(crate) fn set_since(&self) -> Height {
        self.set_since
    }

    /// Called by the check of a hand-over alone; the set's keys are sound.
    pub(crate) fn move_to(&mut self, set: ValidatorSet, since: Height) {
        self.past_sets.push(self.set_hash);
        self.set_hash = set.hash(&self.chain);
        self.cosigners = cosigners(&self.genesis, &set);
        self.validators = set;
        self.set_since = since;
    }
}

fn cosigners(genesis: &Genesis, set: &ValidatorSet) -> Vec<Cosigner> {
    set.iter()
        .map(|validator| {
            let name = genesis.cosigner_name(validator.number);
            let key = CosignerKey::new(&name, &validator.cosign.0)
                .expect("the keys of a set in trust are sound: G-2, or checked with the hand-over");
            Cosigner { number: validator.number, power: validator.power, key }
        })
        .collect()
}
