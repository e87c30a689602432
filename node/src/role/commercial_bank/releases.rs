//! Key release: the roots of the envelopes that this bank was a party of, until registration has them.
//!
//! A release is kept, encrypted, until registration acknowledges it; then it is destroyed. Cursors never go back, not even where the
//! desk is put back from a backup ([`first_cursor_after`]).

use super::desk::{Inner, release_cursor};
use super::job::Step;
use super::rows::{ReleaseRow, RowError, Table};
use crate::link::{LinkRefusal, Release, Response};
use std::time::Duration;

/// Of one answer: 80 bytes each.
const RELEASES_MAX: u32 = 4096;
const WAIT_MAX_MS: u32 = 20_000;

/// Above every cursor that a desk gave before it was put back from a backup: they count from 1, or from an earlier restore, by fewer
/// than 65,536 a millisecond. Under a cursor that registration has, a key would never be taken, and an acknowledgement would delete it.
pub(super) fn first_cursor_after(restored_ms: u64) -> u64 {
    restored_ms << 16
}

impl Inner {
    pub async fn take_releases(&self, after: u64, max: u32, wait_ms: u32) -> Response {
        let mut released = self.released.subscribe();
        let wait = Duration::from_millis(wait_ms.min(WAIT_MAX_MS).into());
        // `released` holds the next cursor: everything below is on disk.
        let _ = tokio::time::timeout(wait, released.wait_for(|next| *next > after.saturating_add(1))).await;
        let next = *self.released.borrow();
        match self.read_releases(after, max.min(RELEASES_MAX), next) {
            Ok(releases) => Response::Releases(releases),
            Err(error) => {
                tracing::error!(%error, "cannot read the releases");
                Response::Refused(LinkRefusal::new("internal", "the desk cannot read its releases"))
            }
        }
    }

    /// Everything below is on disk.
    pub fn tell_released(&self, next: u64) {
        self.released.send_if_modified(|released| {
            let is_later = next > *released;
            *released = next.max(*released);
            is_later
        });
    }

    fn read_releases(&self, after: u64, max: u32, next: u64) -> Result<Vec<Release>, RowError> {
        let from = after.saturating_add(1).to_be_bytes();
        let rows = self.rows.from::<ReleaseRow>(Table::Releases, &from, max as usize)?;
        let mut releases = Vec::with_capacity(rows.len());
        for (key, row) in rows {
            let cursor = release_cursor(&key).ok_or(RowError::Malformed("releases"))?;
            if cursor < next {
                releases.push(Release { cursor, envelope: row.envelope, root: row.root });
            }
        }
        Ok(releases)
    }

    /// Registration has them durably: the desk's copies are destroyed.
    pub async fn ack_releases(&self, up_to: u64) -> Response {
        let acknowledged = self.change_durably(|shared, unit| {
            let end = up_to.saturating_add(1).min(shared.release_next);
            for cursor in shared.release_first..end {
                unit.delete(Table::Releases, &cursor.to_be_bytes());
            }
            shared.release_first = shared.release_first.max(end);
            let done: Vec<u64> = shared.release_jobs.range(..end).map(|(cursor, _)| *cursor).collect();
            for cursor in done {
                if let Some(id) = shared.release_jobs.remove(&cursor)
                    && let Some(active) = shared.jobs.get_mut(&id)
                {
                    active.job.trace(Step::KeyReleased, "registration has it");
                }
            }
        });
        match acknowledged.await {
            Ok(()) => Response::Done,
            Err(stopped) => Response::Refused(LinkRefusal::new("stopping", stopped.to_string())),
        }
    }
}
