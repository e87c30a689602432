//! Bundle files whose every bundle is gone from history, oldest first.
//!
//! What stays true here:
//! - A file goes as a whole: when each bundle in it was ordered at a height that is not held any more, or was never ordered and is
//!   forgotten. It goes after every earlier one but those in which a bundle still waits for a block.
//! - Its row goes first. A crash between the two leaves a file without a row, which the next start deletes.
//! - A file is written to until it is full, but not for longer than history is kept once it holds anything: so a bundle outlasts its
//!   height by as long at most, on a quiet chain too.

use ledger_types::Height;

use super::{Bundles, NO_PANIC};
use crate::columns;
use crate::database::Scan;
use crate::error::{OpenError, StoreError};

/// The oldest file that holds ordered bundles, once nothing in it can be ordered any more.
#[derive(Clone, Copy, Debug)]
pub(super) struct Oldest {
    segment: u32,
    /// That ordered the last of its bundles; none if their rows are gone.
    newest: Option<Height>,
}

impl Bundles {
    /// Deletes the file that was found oldest, if it holds nothing that was ordered at `first` or later. True if it did; the next
    /// may be free too. The rows of the bundles below `first` must be gone, and no height may be committed meanwhile.
    pub(crate) fn delete_oldest(&self, first: Height) -> Result<bool, StoreError> {
        let found = *self.oldest.lock().expect(NO_PANIC);
        let Some(oldest) = found.filter(|oldest| oldest.newest.is_none_or(|newest| newest < first)) else {
            return Ok(false);
        };
        let mut writes = self.database.writes();
        writes.delete(&columns::SEGMENTS, &oldest.segment);
        writes.commit()?;
        let mut index = self.index.write().expect(NO_PANIC);
        index.segments.remove(&oldest.segment);
        self.delete_file(oldest.segment)?;
        drop(index);
        *self.oldest.lock().expect(NO_PANIC) = None;
        Ok(true)
    }

    /// Finds the oldest file in which nothing waits. It is read once: what is in it does not change any more. That takes a while, and
    /// heights may be committed meanwhile.
    pub(crate) fn find_oldest(&self) -> Result<(), StoreError> {
        let mut known = self.oldest.lock().expect(NO_PANIC);
        if known.is_some() {
            return Ok(());
        }
        for row in self.database.scan(&columns::SEGMENTS, Scan::all()) {
            let (number, _) = row?;
            if self.is_written_to(number)? {
                return Ok(());
            }
            if !self.waits(number) {
                let read = self.newest_in(number);
                let newest = read.map_err(|error| self.database.damage().note(error, String::new))?;
                *known = Some(Oldest { segment: number, newest });
                return Ok(());
            }
        }
        Ok(())
    }

    /// The last height that ordered a bundle of this file.
    fn newest_in(&self, number: u32) -> Result<Option<Height>, StoreError> {
        let segment = self.segment(number)?;
        let unreadable = |error: OpenError| StoreError::read(segment.path().display().to_string(), error);
        let mut newest = None;
        for digest in segment.digests(segment.length().map_err(unreadable)?) {
            // One that was forgotten and came again may stand in a later file too.
            let row = self.database.get(&columns::BUNDLES, &digest?)?.filter(|row| row.segment == number);
            newest = newest.max(row.map(|row| Height(row.height)));
        }
        Ok(newest)
    }

    /// A block may still hold one of its bundles.
    fn waits(&self, number: u32) -> bool {
        self.index.read().expect(NO_PANIC).segments.get(&number).is_some_and(|count| count.unordered > 0)
    }

    /// A file that has outlived its first bundle is closed.
    fn is_written_to(&self, number: u32) -> Result<bool, StoreError> {
        let files = self.files.lock().expect(NO_PANIC);
        if files.segment.number != number {
            return Ok(false);
        }
        let Some(first) = files.segment.digests(files.end).next().transpose()? else { return Ok(true) };
        if self.contains(&first)? || files.waiting.contains_key(&first) {
            return Ok(true);
        }
        Ok(self.next_segment(files)?.segment.number == number)
    }
}
