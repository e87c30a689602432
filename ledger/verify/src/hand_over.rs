//! Hand-overs of the validator set (G-3): the one way from the genesis's validators to others.
//!
//! ```text
//! order     = number u32 ‖ outgoing set hash[32] ‖ incoming set           officers sign D("hand over", order)
//! hand-over = order ‖ officers' signatures ‖ block header ‖ commit certificate
//! ```
//! The outgoing set decides a block whose header names the incoming set as the next one: the set of every later height.
//! Hand-overs are numbered from 1, so officers' signatures of an earlier one do not serve again.
//!
//! Power that moves is less than a third on either side, so that whoever still trusts the outgoing set has an honest
//! majority among those who stay: kept(v) = min(power before, power after) if all keys of `v` are the same, else 0;
//! 3 · (total − Σ kept) < total, for the total before and the total after.

use crate::block::check_block;
use crate::trust::Trust;
use crate::verdict::{Reason, Verdict};
use ledger_types::block::BlockHeader;
use ledger_types::encoding::Encode;
use ledger_types::envelope::OfficerSignatures;
use ledger_types::genesis::Genesis;
use ledger_types::participant::{Validator, ValidatorSet};
use ledger_types::vote::CommitCertificate;
use ledger_types::{Chain, ParticipantNumber, Tag, ValidatorSetHash, layout};
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
}

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

impl Trust {
    /// Moves trust to the incoming set when the hand-over holds; otherwise trust stays as it is.
    pub fn hand_over(&mut self, document: &HandOver) -> Verdict<()> {
        let decided =
            match check(self, document).and_then(|()| check_block(self, &document.header, &document.certificate)) {
                Ok(decided) => decided,
                Err(reason) => return Verdict::Invalid(reason),
            };
        let verdict = decided.judge(self);
        if let Verdict::Verified(block) = &verdict {
            self.move_to(document.order.incoming.clone(), block.header().height);
        }
        verdict.map(|_| ())
    }
}

fn check(trust: &Trust, document: &HandOver) -> Result<(), Reason> {
    let HandOver { order, officers, header, .. } = document;
    trust.stands_at(&order.outgoing)?;
    if Some(order.number) != trust.hand_overs().checked_add(1) {
        return Err(Reason::HandOverNotNext);
    }
    if !set_is_sound(&order.incoming) {
        return Err(Reason::UnsoundSet);
    }
    if !less_than_a_third_moves(trust.validators(), &order.incoming) {
        return Err(Reason::TooMuchPowerMoved);
    }
    if !officers_agree(trust.genesis(), &order.message(trust.chain()), officers) {
        return Err(Reason::NotAuthorized);
    }
    if header.height <= trust.set_since() {
        return Err(Reason::HandOverNotNext);
    }
    if header.next_set_hash != order.incoming.hash(trust.chain()) {
        return Err(Reason::HandOverNotDecided);
    }
    Ok(())
}

/// What G-2 asks of the validators of a directory. Order and power are a [`ValidatorSet`]'s own.
fn set_is_sound(set: &ValidatorSet) -> bool {
    let mut keys = BTreeSet::new();
    set.iter().all(|Validator { number, consensus, bundle, cosign, .. }| {
        *number != ParticipantNumber::REGISTRATION
            && [consensus, bundle, cosign].into_iter().all(|key| key.is_sound() && keys.insert(*key))
    })
}

fn less_than_a_third_moves(before: &ValidatorSet, after: &ValidatorSet) -> bool {
    let kept_of = |old: &Validator| {
        let same =
            |new: &&Validator| (new.consensus, new.bundle, new.cosign) == (old.consensus, old.bundle, old.cosign);
        after.get(old.number).filter(same).map_or(0, |new| new.power.min(old.power))
    };
    let kept: u64 = before.iter().map(kept_of).sum();
    // Totals are at most 2^32: no product overflows.
    [before.total_power(), after.total_power()].into_iter().all(|total| 3 * (total - kept) < total)
}

/// k of the n officers, each once, in ascending order, every signature good.
fn officers_agree(genesis: &Genesis, message: &[u8; 32], signatures: &OfficerSignatures) -> bool {
    let ascending = signatures.is_sorted_by(|a, b| a.officer < b.officer);
    let signed = |officer: u8, signature| {
        genesis.officers.get(usize::from(officer)).is_some_and(|key| key.verify(message, signature))
    };
    ascending
        && signatures.len() >= usize::from(genesis.officer_threshold)
        && signatures.iter().all(|line| signed(line.officer, &line.signature))
}
