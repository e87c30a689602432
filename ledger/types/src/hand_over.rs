//! Hand-overs of the validator set (G-3): the one way from the genesis's validators to others.
//!
//! ```text
//! order     = number u32 ‖ outgoing set hash[32] ‖ incoming set           officers sign D("hand over", order)
//! hand-over = order ‖ officers' signatures ‖ block header ‖ commit certificate
//! ```
//! Hand-overs are numbered from 1, so officers' signatures of an earlier one do not serve again.
//!
//! Power that moves is less than a third on either side, so that whoever still trusts the outgoing set has an honest
//! majority among those who stay: kept(v) = min(power before, power after) if all keys of `v` are the same, else 0;
//! 3 · (total − Σ kept) < total, for the total before and the total after.

use crate::block::BlockHeader;
use crate::domain::{Chain, Tag};
use crate::encoding::Encode;
use crate::envelope::OfficerSignatures;
use crate::genesis::Genesis;
use crate::ids::{ParticipantNumber, ValidatorSetHash};
use crate::layout;
use crate::participant::{Validator, ValidatorSet};
use crate::vote::CommitCertificate;
use std::collections::BTreeSet;

/// What the officers sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandOverOrder {
    pub number: u32,
    pub outgoing: ValidatorSetHash,
    pub incoming: ValidatorSet,
}
layout!(HandOverOrder { number, outgoing, incoming });

impl HandOverOrder {
    pub fn message(&self, chain: &Chain) -> [u8; 32] {
        chain.hash(Tag::HandOver, &[&self.to_bytes()])
    }

    /// k of the genesis's n officers, each once, in ascending order, every signature good.
    pub fn is_signed_by(&self, officers: &OfficerSignatures, genesis: &Genesis, chain: &Chain) -> bool {
        // What is cheap comes first.
        if officers.len() < usize::from(genesis.officer_threshold)
            || !officers.is_sorted_by(|a, b| a.officer < b.officer)
        {
            return false;
        }
        let message = self.message(chain);
        let signed = |officer: u8, signature| {
            genesis.officers.get(usize::from(officer)).is_some_and(|key| key.verify(&message, signature))
        };
        officers.iter().all(|line| signed(line.officer, &line.signature))
    }
}

/// What a verifier is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandOver {
    pub order: HandOverOrder,
    /// Strictly ascending by officer.
    pub officers: OfficerSignatures,
    /// Its `next_set_hash` is the incoming set's.
    pub header: BlockHeader,
    /// By the outgoing set.
    pub certificate: CommitCertificate,
}
layout!(HandOver { order, officers, header, certificate });

impl ValidatorSet {
    /// What G-2 asks of the validators of a directory. Order and power are a set's own.
    pub fn is_sound(&self) -> bool {
        let mut keys = BTreeSet::new();
        self.iter().all(|Validator { number, consensus, bundle, cosign, .. }| {
            *number != ParticipantNumber::REGISTRATION
                && [consensus, bundle, cosign].into_iter().all(|key| key.is_sound() && keys.insert(*key))
        })
    }

    pub fn less_than_a_third_moves(&self, after: &ValidatorSet) -> bool {
        let kept_of = |old: &Validator| {
            let same =
                |new: &&Validator| (new.consensus, new.bundle, new.cosign) == (old.consensus, old.bundle, old.cosign);
            after.get(old.number).filter(same).map_or(0, |new| new.power.min(old.power))
        };
        let kept: u64 = self.iter().map(kept_of).sum();
        // Totals are at most 2^32: no product overflows.
        [self.total_power(), after.total_power()].into_iter().all(|total| 3 * (total - kept) < total)
    }
}
