//! Which version of the rules governs which height (B-13).
//!
//! What stays true here: versions are dense from 1, so the heights at which they begin say everything, and nothing changes when one
//! begins. At most one of them begins after the ledger's height.

use ledger_types::encoding::{Decode, DecodeError, Encode, List, Reader};
use ledger_types::ids::{Height, RulesVersion};
use ledger_types::rejection::Rejection;
use ledger_types::rules::{RULES_NOTICE_MAX, RULES_NOTICE_MIN, RulesOrder};

/// Versions after the genesis's.
const VERSIONS_MAX: usize = 254;

/// Version v begins at index v − 2; strictly ascending.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RulesSchedule(List<Height, VERSIONS_MAX>);

/// Rules that a program cannot execute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "rules_unknown: from height {from} on version {needed} of the rules governs, and this program knows them up to version {known}. \
     Install a program that knows version {needed} and start it on the same data: nothing is lost"
)]
pub struct RulesUnknown {
    pub needed: RulesVersion,
    pub known: RulesVersion,
    /// Of version `needed`: the first that this program does not execute.
    pub from: Height,
}

impl RulesSchedule {
    /// Under which a block of this height is executed, and which its header carries.
    pub fn at(&self, height: Height) -> RulesVersion {
        let begun = self.0.iter().filter(|begins| **begins <= height).count();
        RulesVersion(RulesVersion::GENESIS.0 + begun as u8)
    }

    pub fn orders(&self) -> impl Iterator<Item = RulesOrder> {
        let versions = (RulesVersion::GENESIS.0 + 1..=u8::MAX).map(RulesVersion);
        versions.zip(&self.0).map(|(version, begins)| RulesOrder { version, activates_at: *begins })
    }

    /// Ordered, and not in force at this height.
    pub fn pending(&self, height: Height) -> Option<RulesOrder> {
        self.orders().last().filter(|order| order.activates_at > height)
    }

    /// What stops a program that knows the versions up to `known`, from the order on.
    pub fn unknown_to(&self, known: RulesVersion) -> Option<RulesUnknown> {
        let first = self.orders().find(|order| order.version > known)?;
        Some(RulesUnknown { needed: first.version, known, from: first.activates_at })
    }

    /// Whether a program that knows the versions up to `known` executes a block of this height.
    pub fn allows(&self, height: Height, known: RulesVersion) -> Result<(), RulesUnknown> {
        match self.unknown_to(known) {
            Some(unknown) if unknown.from <= height => Err(unknown),
            _ => Ok(()),
        }
    }

    /// Takes an order in a block of this height.
    pub(crate) fn take(&mut self, height: Height, order: &RulesOrder) -> Result<(), Rejection> {
        if self.pending(height).is_some() {
            return Err(Rejection::RulesPending);
        }
        if self.at(height).next() != Some(order.version) {
            return Err(Rejection::RulesNotNext);
        }
        let notice = order.activates_at.0.saturating_sub(height.0);
        if !(RULES_NOTICE_MIN..=RULES_NOTICE_MAX).contains(&notice) {
            return Err(Rejection::ActivationDoesNotFit);
        }
        let begins = [&self.0[..], &[order.activates_at]].concat();
        self.0 = List::new(begins).expect("a version has a number below 256");
        Ok(())
    }
}

impl Encode for RulesSchedule {
    fn encode(&self, out: &mut Vec<u8>) {
        self.0.encode(out);
    }
}

impl Decode for RulesSchedule {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let begins: List<Height, VERSIONS_MAX> = reader.read()?;
        match begins.is_sorted_by(|a, b| a < b) {
            true => Ok(RulesSchedule(begins)),
            false => Err(DecodeError::NotCanonical("order of the rules' versions")),
        }
    }
}
