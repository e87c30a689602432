//! Overdue key releases: while a submitter has any, its transfers wait.
//!
//! What stays true here: the counts are those of the entries. Only the registration key adds or removes one.

use ledger_types::confirmation::Overdue;
use ledger_types::encoding::{Decode, DecodeError, Encode, Reader};
use ledger_types::ids::*;
use std::collections::{BTreeMap, BTreeSet};

/// One open entry stops a submitter; registration publishes at most this many at a time, so that the set, which stands whole
/// in memory and in every height's write, stays below 34 KB a submitter.
pub const OVERDUE_PER_SUBMITTER_MAX: u32 = 1_000;

#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct OverdueReleases {
    entries: BTreeSet<Overdue>,
    count: BTreeMap<ParticipantNumber, u32>,
}

impl OverdueReleases {
    pub fn contains(&self, entry: &Overdue) -> bool {
        self.entries.contains(entry)
    }

    pub fn count_of(&self, submitter: ParticipantNumber) -> u32 {
        self.count.get(&submitter).copied().unwrap_or(0)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Overdue> {
        self.entries.iter()
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(crate) fn insert(&mut self, entry: Overdue) {
        if self.entries.insert(entry) {
            *self.count.entry(entry.submitter).or_default() += 1;
        }
    }

    pub(crate) fn remove(&mut self, entry: &Overdue) {
        if self.entries.remove(entry) {
            let count = self.count.get_mut(&entry.submitter).expect("a submitter with an entry has a count");
            *count -= 1;
            if *count == 0 {
                self.count.remove(&entry.submitter);
            }
        }
    }
}

/// A `u32` count and the entries, ascending: also what D("overdue") hashes.
impl Encode for OverdueReleases {
    fn encode(&self, out: &mut Vec<u8>) {
        (self.entries.len() as u32).encode(out);
        self.entries.iter().for_each(|entry| entry.encode(out));
    }
}

impl Decode for OverdueReleases {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut overdue = OverdueReleases::default();
        for _ in 0..reader.read::<u32>()? {
            let entry: Overdue = reader.read()?;
            if overdue.entries.last().is_some_and(|last| *last >= entry) {
                return Err(DecodeError::NotCanonical("overdue releases"));
            }
            overdue.insert(entry);
        }
        Ok(overdue)
    }
}
