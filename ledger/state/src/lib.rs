//! The deterministic step from one height to the next (rules C, P, R, L-1, L-4, B).
//!
//! What must stay true: every honest node that applies the same block to the same ledger gets the same bytes. Therefore nothing
//! here reads a clock, randomness or storage other than through the snapshot that it is given, uses a float, or iterates in an
//! order that is not the keys' own.
//!
//! Left to others: signatures of bundles, certificates and votes (the caller has checked them), making a height durable
//! (`ledger-store`), opening envelopes (`ledger-seal`).

mod numbered;

// What a chain is, what stands in memory, what is read, what is written.
mod changes;
mod contracts;
mod lane;
mod ledger;
mod overdue;
mod reader;
mod rules;
mod rules_schedule;
mod validators;

// The step.
mod block;
mod confirmation;
mod envelope;
mod genesis;
mod policy;
mod rebuild;
mod refusal;
mod roots;
mod statement;
mod working;

// What validators cannot see: is the sealed payment good?
pub mod payment;

/// A snapshot in memory, for tests and examples.
pub mod memory;

pub use block::{Applied, CandidateBlock, apply};
pub use changes::StateChanges;
pub use contracts::{Contract, Contracts, Feeds};
/// What a reader gives for a policy's hash.
pub use contracts_vm::Package;
pub use genesis::{GenesisLoad, GenesisStep, PreissuedCoin, genesis_ledger, preissued_coins};
pub use lane::Lane;
pub use ledger::Ledger;
pub use overdue::{OVERDUE_PER_SUBMITTER_MAX, OverdueReleases};
pub use payment::{PaymentRule, SignatureChecks, payment_is_good};
pub use policy::{PolicyAtHeight, ReturnRate};
pub use reader::{PendingAmount, PeriodItems, StateReader};
pub use rebuild::{
    MapEntry, entries_of_small_state, entry_of_feed_item, entry_of_hand_over, entry_of_obligation, entry_of_record,
    entry_of_rules, rows_of_leaves,
};
pub use refusal::{ApplyError, BlockRefusal};
pub use roots::StateRootParts;
pub use rules::Rules;
pub use rules_schedule::{RulesSchedule, RulesUnknown};
pub use statement::contradiction;
pub use validators::{HandOverEntry, PendingHandOver, Validators};
