//! What readers of a database could not read since it was opened: a row whose checksum, form or place is not what it was.
//!
//! What stays true here: whoever reads, for whatever purpose, a damaged row is noted before the reader has its error. An answer
//! that fails is one reader's; the damage is the operator's, who must hear of it from the node.

use std::error::Error;
use std::fmt::Write;
use std::sync::{Arc, Mutex};

use crate::error::StoreError;

/// Cheap to clone; all clones note into one.
#[derive(Clone, Debug, Default)]
pub struct Damage(Arc<Mutex<Found>>);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Reads that failed. One row that is asked for twice counts twice.
    pub reads: u64,
    /// Where the first of them was, and what is wrong there. Nothing clears it but a new start: a repair takes one.
    pub first: Option<String>,
}

impl Damage {
    pub fn found(&self) -> Found {
        self.0.lock().expect("no holder of this lock panics").clone()
    }

    /// `place` says where, beyond what the error names.
    pub(crate) fn note(&self, error: StoreError, place: impl FnOnce() -> String) -> StoreError {
        let mut found = self.0.lock().expect("no holder of this lock panics");
        found.reads += 1;
        if found.first.is_none() {
            let mut text = format!("{}{error}", place());
            let mut source = error.source();
            while let Some(cause) = source {
                let _ = write!(text, ": {cause}");
                source = cause.source();
            }
            tracing::error!(fault = %text, "stored rows cannot be read; health says so until the next start");
            found.first = Some(text);
        }
        error
    }
}
