//! Authenticated map and append-only log that persist nothing, with their proofs.
//!
//! What stays true here:
//! - Nothing reads a clock, randomness, a file or a socket. Storage is a small port that the caller implements
//!   ([`log::LogReader`], [`map::MapReader`]); what is to be written comes back as plain bytes.
//! - The same inputs give the same bytes on every node: no hash-map order reaches a result.
//! - A verifier needs the root, the claim and the proof, and no other part of this system: whoever reads the byte layouts
//!   in the module heads can write it again in another language.
//!
//! Left to others: what a leaf or a record says (`ledger-types`), making a height durable (`ledger-store`), which
//! checkpoint to believe (`ledger-verify`).

pub mod log;
pub mod map;
pub mod merkle;
pub mod note;
pub mod proof_file;
mod read;
pub mod tile;

pub use read::ReadError;

/// A 32-byte digest: SHA-256 in the log and the map, the caller's function in [`merkle`].
pub type Hash = [u8; 32];
