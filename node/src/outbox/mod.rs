//! The one-way road from registration to confirmation issuance: a folder of files.
//!
//! ```text
//! registration: its database ─▶ writer: tmp, fsync, rename, fsync folder ─▶ NNN.outbox ─▶ reader ─▶ confirmation issuance
//! ```
//! What stays true here:
//! - Entries are numbered without gaps, and a number means the same entry for ever. One file holds the entries of one unit of
//!   registration's database and is named by the first; written again after a crash it holds the same entries. Entries are
//!   chained by their hashes, so the reader notices if that ever does not hold (R-3).
//! - A file is there whole or not at all. The writer never changes the contents of a name, so the reader may delete a file
//!   once its own cursor is durable past it, whatever the writer does meanwhile.
//! - Nothing flows back: registration reads nothing from the folder.
//!
//! Left to others: making the entries in the same batch as the accounts (`role::registration`), and saying in public what of
//! them may be said (`role::confirmation_issuance`).

mod at_rest;
mod entry;
mod file;
mod reader;
mod status;
mod writer;

pub use at_rest::StorageKey;
pub use entry::{Changed, Confirmed, ConfirmedOutput, Entry, EntryHash, Event, TagOpening};
pub use file::{OutboxId, SpoolKey, UNIT_ENTRIES_MAX};
pub use reader::SpoolReader;
pub use status::StatusFile;
pub use writer::SpoolWriter;

use std::path::{Path, PathBuf};

/// Called between two steps of work with the step's name. `true` means: die here. Only tests say so.
pub type Failpoint = std::sync::Arc<dyn Fn(&'static str) -> bool + Send + Sync>;

/// The failpoint of a running process.
pub fn no_failpoint() -> Failpoint {
    std::sync::Arc::new(|_| false)
}

#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    #[error("cannot {what} {path}: {source}")]
    Io { what: &'static str, path: PathBuf, source: std::io::Error },
    #[error("{path} is damaged: {fault}")]
    Damaged { path: PathBuf, fault: &'static str },
    #[error("{path} belongs to another chain or another registration database")]
    Foreign { path: PathBuf },
    #[error("{path} does not open under this process's outbox key")]
    OtherKey { path: PathBuf },
    #[error("entry {expected} is missing in the outbox: the next is {found}")]
    Gap { expected: u64, found: u64 },
    /// R-3.
    #[error("entry {sequence} of the outbox, or one before it, has another content than before")]
    OtherContent { sequence: u64 },
    #[error("stopped at {0}")]
    Failpoint(&'static str),
}

impl SpoolError {
    fn io(what: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> SpoolError + use<> {
        let path = path.to_owned();
        move |source| SpoolError::Io { what, path, source }
    }
}

#[cfg(test)]
mod tests;
