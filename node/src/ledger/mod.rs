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
mod messages;
mod public_log;
mod shared;
mod view;
mod writer;

pub use bundle_files::BundleFiles;
pub use committed::{Committed, Follower};
pub use evidence::{EvidencePlace, StoredEvidence};
pub use messages::Message;
pub use public_log::{BucketFound, BucketSize, CheckpointSeen, StateSeen};
pub use view::LedgerView;
pub use writer::LedgerWriter;

use ledger_types::Height;

/// Who joins has the headers that consensus looks at (B-4).
const _: () = assert!(ledger_store::BLOCKS >= consensus::engine::demotion::HEADERS_MAX);

/// The ledger on this node's disk could not be read.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    #[error(transparent)]
    Store(#[from] ledger_store::StoreError),
    #[error("height {height} is not held: this node holds blocks and envelopes from height {first} on")]
    NotHeld { height: Height, first: Height },
    #[error("{0} is missing on this node's disk")]
    Missing(String),
    #[error("the proof of {what} cannot be made: {cause}")]
    Proof { what: String, cause: String },
}

/// The error with what caused it: "writing … failed" tells an operator nothing without "no space left on device".
fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    let mut text = error.to_string();
    for cause in causes.map(ToString::to_string) {
        // A transparent error has its cause's words.
        if !text.ends_with(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_that_stops_the_node_is_told_with_its_causes_each_once() {
        #[derive(Debug, thiserror::Error)]
        #[error("writing failed")]
        struct Writing(#[source] std::io::Error);
        #[derive(Debug, thiserror::Error)]
        #[error(transparent)]
        struct Whole(Writing);
        let full = || Writing(std::io::Error::other("no space left on device"));
        assert_eq!(with_causes(&full()), "writing failed: no space left on device");
        assert_eq!(with_causes(&Whole(full())), "writing failed: no space left on device");
    }
}
