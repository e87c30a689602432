//! The reading end: entries in order, each once, and files deleted when they are no longer needed.
//!
//! Registration writes its last units again after a crash. A file that lies wholly behind what was read is dropped only when the
//! chain that it is part of has been seen to reach the last entry read with the content that it had: what a registration
//! restored from a backup says under old numbers is an alarm, and stays in the folder.

use super::SpoolError;
use super::entry::{Entry, EntryHash};
use super::file::{self, OutboxId, SpoolKey};
use ledger_types::Chain;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

pub struct SpoolReader {
    folder: PathBuf,
    key: SpoolKey,
    chain: Chain,
    /// The registration database whose entries these are; learnt from the first file.
    id: Option<OutboxId>,
    /// The next entry to read.
    next: u64,
    /// Of the last entry read.
    last: EntryHash,
    /// Files that were read: first and last sequence.
    read: BTreeMap<u64, u64>,
    /// Files that came again and end before the last entry read, in the order in which they came.
    again: BTreeMap<u64, u64>,
    /// Where the chain of those stands.
    again_to: Option<(u64, EntryHash)>,
}

impl SpoolReader {
    /// Reads on after `cursor`, the last entry whose effect is durable with the caller, and its hash.
    pub fn open(
        folder: &Path,
        key: SpoolKey,
        chain: Chain,
        id: Option<OutboxId>,
        (cursor, last): (u64, EntryHash),
    ) -> Self {
        let (read, again) = (BTreeMap::new(), BTreeMap::new());
        SpoolReader { folder: folder.to_owned(), key, chain, id, next: cursor + 1, last, read, again, again_to: None }
    }

    pub fn id(&self) -> Option<OutboxId> {
        self.id
    }

    /// Entries that were not read yet: whole files, until `entries_max` is reached.
    pub fn poll(&mut self, entries_max: usize) -> Result<Vec<Entry>, SpoolError> {
        let mut entries = Vec::new();
        let mut files = self.list()?;
        // A file that was renamed while the folder was listed may be missing in the list although a later one is in it.
        if files.iter().find(|first| **first >= self.next).is_some_and(|first| *first > self.next) {
            files = self.list()?;
        }
        for first in files {
            if entries.len() >= entries_max {
                break;
            }
            if self.read.contains_key(&first) || self.again.contains_key(&first) {
                continue;
            }
            if first > self.next {
                return Err(SpoolError::Gap { expected: self.next, found: first });
            }
            let unit = self.read_file(first)?;
            self.take(first, unit, &mut entries)?;
        }
        Ok(entries)
    }

    /// Takes what is new of a unit, and compares what is not.
    fn take(&mut self, first: u64, unit: Vec<Entry>, entries: &mut Vec<Entry>) -> Result<(), SpoolError> {
        let end = unit.last().expect("a unit is not empty");
        let last_sequence = end.sequence;
        let other_content = |sequence| Err(SpoolError::OtherContent { sequence });
        if let Some((before, hash)) = self.again_to
            && before + 1 == first
            && unit[0].previous != hash
        {
            return other_content(before);
        }
        if last_sequence + 1 < self.next {
            self.again_to = Some((last_sequence, end.hash()));
            self.again.insert(first, last_sequence);
            return Ok(());
        }
        for entry in unit {
            if entry.sequence + 1 == self.next {
                if entry.hash() != self.last {
                    return other_content(entry.sequence);
                }
                // The chain reaches what was read: all that came again before it is the same as well.
                self.read.append(&mut self.again);
                self.again_to = None;
            }
            if entry.sequence == self.next {
                if entry.previous != self.last {
                    return other_content(entry.sequence - 1);
                }
                self.last = entry.hash();
                self.next += 1;
                entries.push(entry);
            }
        }
        self.read.insert(first, last_sequence);
        Ok(())
    }

    /// Deletes files whose last entry is at or before `cursor`, which is durable with the caller.
    pub fn delete_through(&mut self, cursor: u64) -> Result<(), SpoolError> {
        let done: Vec<u64> = self.read.iter().filter(|(_, last)| **last <= cursor).map(|(first, _)| *first).collect();
        for first in done {
            let path = self.folder.join(file::file_name(first));
            match fs::remove_file(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(SpoolError::io("remove", &path)(error));
                }
                _ => {}
            }
            self.read.remove(&first);
        }
        Ok(())
    }

    /// First sequences of the files there, ascending.
    fn list(&self) -> Result<Vec<u64>, SpoolError> {
        let mut files = Vec::new();
        for item in fs::read_dir(&self.folder).map_err(SpoolError::io("read", &self.folder))? {
            let item = item.map_err(SpoolError::io("read", &self.folder))?;
            files.extend(item.file_name().to_str().and_then(file::first_of_name));
        }
        files.sort_unstable();
        Ok(files)
    }

    fn read_file(&mut self, first: u64) -> Result<Vec<Entry>, SpoolError> {
        let path = self.folder.join(file::file_name(first));
        let bytes = fs::metadata(&path).map_err(SpoolError::io("read", &path))?.len();
        if bytes > file::FILE_BYTES_MAX {
            return Err(SpoolError::Damaged { path, fault: "it is too long" });
        }
        let bytes = fs::read(&path).map_err(SpoolError::io("read", &path))?;
        let (id, entries) = file::decode(&self.key, &self.chain, &path, first, &bytes)?;
        if *self.id.get_or_insert(id) != id {
            return Err(SpoolError::Foreign { path });
        }
        Ok(entries)
    }
}
