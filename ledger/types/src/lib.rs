//! The nouns of the ledger, their only byte encoding, and the message that is signed for each.
//!
//! Byte layouts are written down in `ledger/PROTOCOL.md`; this package is their only implementation.
//! Nothing here knows a clock, a file, a network or a source of randomness.

pub mod domain;
pub mod encoding;
pub mod ids;
pub mod keys;
pub mod merkle;
pub mod places;
mod secret;

pub mod genesis;
pub mod kem;
pub mod participant;

pub mod channel;
pub mod coin;
pub mod contract;
pub mod envelope;
pub mod feed;
pub mod hand_over;
pub mod order;
pub mod ownership;
pub mod request;
pub mod rules;
pub mod sealed;

pub mod block;
pub mod bundle;
pub mod snapshot;
pub mod vote;

pub mod confirmation;
pub mod log_leaf;
pub mod reconciliation;

pub mod rejection;

pub use domain::{Chain, Tag};
pub use encoding::{Decode, DecodeError, Encode, List, Octets, Reader, Text};
pub use ids::*;
