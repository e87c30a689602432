//! Runs the BFT engine against an [`port::Application`], spreads bundles, guards the signing key. Does not know what a coin is.
//!
//! The map is in `README.md`; the rules are B-1 … B-12 of `ledger/PROTOCOL.md`.

pub mod medium;
pub mod pinned;
pub mod port;

pub mod plane;

pub mod guard;

pub mod engine;
