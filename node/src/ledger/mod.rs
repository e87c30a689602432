//! The ledger of this node: one writer, many readers.
//!
//! ```text
//! consensus ──propose, check, commit──▶ LedgerWriter ──one synced batch──▶ store
//!                                            │ new height
//!                           LedgerView: readers at the tip · Follower: every height once, in order
//! ```

mod bundle_files;
mod committed;
mod evidence;
mod public_log;
mod shared;
mod view;
mod writer;

pub use bundle_files::BundleFiles;
pub use committed::{Committed, Follower};
pub use evidence::{EvidencePlace, StoredEvidence};
pub use public_log::{BucketFound, BucketSize, CheckpointSeen, StateSeen};
pub use view::LedgerView;
pub use writer::LedgerWriter;

/// The ledger on this node's disk could not be read.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    #[error(transparent)]
    Store(#[from] ledger_store::StoreError),
    #[error("{0} is missing on this node's disk")]
    Missing(String),
    #[error("the proof of {what} cannot be made: {cause}")]
    Proof { what: String, cause: String },
}
