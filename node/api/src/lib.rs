//! The documents of the node's HTTP interface under `/v1`, and a client for it.
//!
//! Every answer is JSON; binary structures stand in it as lower-case hex of their canonical bytes (`ledger/PROTOCOL.md`).
//! Amounts are integers in minor units. A refusal is a [`Problem`] (RFC 9457) with a stable code.

pub mod client;
pub mod contracts;
pub mod desk;
pub mod ledger;
pub mod log;
pub mod problem;
pub mod reconciliation;
pub mod refusals;
pub mod regulator;
pub mod version;

pub use client::{Client, ClientError, Events};
pub use problem::Problem;

/// Of every document here. A field may be added within a version; none changes its meaning.
pub const SCHEMA_VERSION: u32 = 1;
