//! A node's state at one moment, kept elsewhere, and put back (record 089).
//!
//! Must stay true:
//! - A backup holds no guard and no key: guards say what their keys have signed, and an old one would let a key sign twice (B-9).
//!   What it holds of a desk is encrypted as it lies on the disk, under a key that is not in it.
//! - It is put back whole or not at all, into nothing, and only if every byte is the one that was taken.
//! - A node whose state was put back signs nothing that it may have signed before: without guards it is mute until an operator
//!   renews them; with guards that never left this machine it is behind them until it has caught up; and its desk seals nothing
//!   under what was handed out before (`EpochLimits::forgotten_up_to`).
//!
//! ```text
//!  assay-node backup ──▶ state/copy (hard links, made by the node if it runs) ──▶ DIR.building, hashed ──▶ DIR
//!  assay-node restore ─▶ DIR, hashed ──▶ state.restoring ──▶ the ledger is opened and proved ──▶ state
//! ```

pub mod copy;
mod make;
mod manifest;
mod refusal;
mod restore;

pub use make::back_up;
pub use manifest::Manifest;
pub use refusal::Refusal;
pub use restore::{Restored, restore, restored_ms};

/// Told while files are copied: bytes done, and of how many.
pub type Progress<'a> = &'a mut dyn FnMut(u64, u64);
