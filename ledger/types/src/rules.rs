//! The version of the ledger's rules, and the order that changes it on a running chain (B-13).
//!
//! ```text
//! rules order = version u8 ‖ activates_at u64              officers sign D("authorization", core), as of any order
//! ```

use crate::ids::{Height, RulesVersion};
use crate::layout;

/// The newest rules that this program executes and verifies; it knows all versions up to it. Version 2 differs from 1 in nothing but
/// its number.
pub const RULES_KNOWN: RulesVersion = RulesVersion(2);
/// From the height that accepts an order to the first one under the new rules, at least: as a hand-over binds after its batch (G-4).
pub const RULES_NOTICE_MIN: u64 = 2;
/// An order is not withdrawn, so one that nobody lives to see would be the last.
pub const RULES_NOTICE_MAX: u64 = 10_000_000;

impl RulesVersion {
    pub const GENESIS: RulesVersion = RulesVersion(1);

    pub const fn next(self) -> Option<RulesVersion> {
        match self.0.checked_add(1) {
            Some(next) => Some(RulesVersion(next)),
            None => None,
        }
    }
}

/// The first height of a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RulesOrder {
    pub version: RulesVersion,
    pub activates_at: Height,
}
layout!(RulesOrder { version, activates_at });
