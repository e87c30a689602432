//! Key release: the roots of the envelopes that this bank was a party of, until registration has them.
//!
//! A release is kept, encrypted, until registration acknowledges it; then it is destroyed. Cursors never go back, not even where the
//! desk was put back from a backup: what registration has taken says how far they had come.

use super::desk::{Inner, Shared, release_cursor};
use super::job::JobId;
use super::job::Step;
use super::journal::{Stopped, Unit};
use super::rows::{Meta, ReleaseRow, RowError, Table};
use crate::link::{LinkRefusal, Release, Response};
use std::collections::BTreeMap;
use std::time::Duration;

/// Of one answer: 80 bytes each.
const RELEASES_MAX: u32 = 4096;
const WAIT_MAX_MS: u32 = 20_000;

enum NotNumbered {
    Stopped(Stopped),
    Unreadable(RowError),
}

fn unreadable(error: &RowError) -> Response {
    tracing::error!(%error, "cannot read the releases");
    Response::Refused(LinkRefusal::new("internal", "the desk cannot read its releases"))
}

impl Inner {
    pub async fn take_releases(&self, after: u64, max: u32, wait_ms: u32) -> Response {
        match self.number_on_after(after).await {
            Ok(()) => {}
            Err(NotNumbered::Stopped(stopped)) => {
                return Response::Refused(LinkRefusal::new("stopping", stopped.to_string()));
            }
            Err(NotNumbered::Unreadable(error)) => return unreadable(&error),
        }
        let mut released = self.released.subscribe();
        let wait = Duration::from_millis(wait_ms.min(WAIT_MAX_MS).into());
        // `released` holds the next cursor: everything below is on disk.
        let _ = tokio::time::timeout(wait, released.wait_for(|next| *next > after.saturating_add(1))).await;
        let next = *self.released.borrow();
        match self.read_releases(after, max.min(RELEASES_MAX), next) {
            Ok(releases) => Response::Releases(releases),
            Err(error) => unreadable(&error),
        }
    }

    /// Registration has taken releases up to a number that this desk has not given yet: it was put back from a backup (decision
    /// 089). What it holds and what follows goes behind that; under a number that registration has, it would never be taken.
    async fn number_on_after(&self, taken: u64) -> Result<(), NotNumbered> {
        loop {
            if self.shared().release_next > taken {
                return Ok(());
            }
            // What was handed in before is read back.
            self.show(|_| ()).await.map_err(NotNumbered::Stopped)?;
            let moved = self.change_durably(|shared, unit| self.move_releases(shared, unit, taken)).await;
            if let Some(next) = moved.map_err(NotNumbered::Stopped)?.map_err(NotNumbered::Unreadable)? {
                tracing::warn!(
                    taken,
                    next,
                    "registration has more releases than this desk gave: it goes on behind them"
                );
                self.tell_released(next);
                return Ok(());
            }
        }
    }

    /// None while a release that was handed in meanwhile is not on disk yet.
    fn move_releases(&self, shared: &mut Shared, unit: &mut Unit, taken: u64) -> Result<Option<u64>, RowError> {
        if shared.release_next > taken {
            return Ok(Some(shared.release_next));
        }
        let held = self.rows.from::<ReleaseRow>(Table::Releases, &[], usize::MAX)?;
        if held.len() as u64 != shared.release_next - shared.release_first {
            return Ok(None);
        }
        let (first, mut jobs) = (taken + 1, BTreeMap::<u64, JobId>::new());
        for (cursor, (key, row)) in (first..).zip(&held) {
            unit.delete(Table::Releases, key);
            unit.put(Table::Releases, &cursor.to_be_bytes(), row);
            let before = release_cursor(key).ok_or(RowError::Malformed("releases"))?;
            jobs.extend(shared.release_jobs.remove(&before).map(|job| (cursor, job)));
        }
        shared.release_jobs = jobs;
        (shared.release_first, shared.release_next) = (first, first + held.len() as u64);
        unit.put_meta(Meta::ReleaseNext, &shared.release_next);
        Ok(Some(shared.release_next))
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
