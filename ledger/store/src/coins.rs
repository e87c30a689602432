//! The live coins: one file of sorted rows, and in memory what changed since it was written.
//!
//! An ordered envelope spends coins and makes others, each under a hash of its own, and nothing is ever asked for but one coin by its
//! whole id, or all in order. A general tree of rows pays for more than that (record 084).
//!
//! What stays true here:
//! - A change is durable in the batch of its height, as one row of [`crate::columns::COIN_CHANGES`]; memory holds what those rows say, and a
//!   start reads them again.
//! - A [`Version`] never changes: whoever holds one sees the coins after one change.
//! - The file is replaced as a whole, when the changes are half of it: the next one is on disk before a batch names it and deletes the
//!   rows that are in it (`database::coins`). The file before it is kept until then, for a database that lost that batch.
//!
//! Memory: that of the changes ([`crate::Memory`]), and nine bytes for 22 coins.

mod changes;
mod file;

use std::iter::Peekable;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, RwLock};

use ledger_types::CoinId;
use ledger_types::coin::Coin;

use crate::error::StoreError;
pub(crate) use changes::Changes;
use file::{CoinFile, CoinRows};

/// A file is written anew when so many of its coins have changed: one in two. Between as many of the changes that memory has
/// room for, and all of them.
const PART_CHANGED: usize = 2;

/// The coins after one change.
#[derive(Clone, Debug)]
pub(crate) struct Version {
    /// Of the last change; 0 for none.
    number: u64,
    file: Arc<CoinFile>,
    /// Newest last. Each is longer than twice the one after it, so that they are few.
    changes: Vec<Arc<Changes>>,
}

impl Version {
    pub fn number(&self) -> u64 {
        self.number
    }

    /// One entry an id, in their order.
    pub fn get(&self, ids: &[CoinId]) -> Result<Vec<Option<Coin>>, StoreError> {
        let get = |id: &CoinId| match self.changes.iter().rev().find_map(|changes| changes.get(id)) {
            Some(coin) => Ok(coin),
            None => self.file.get(id),
        };
        ids.iter().map(get).collect()
    }

    /// All coins from this id on, ascending.
    pub fn rows_from(&self, id: &CoinId) -> Rows {
        let layers =
            self.changes.iter().rev().map(|changes| Layer { next: changes.position(id), changes: changes.clone() });
        let mut rows = Rows { file: self.file.rows_from(id).peekable(), layers: layers.collect(), next_changed: None };
        rows.look_for_changed();
        rows
    }

    fn followed_by(&self, changes: Changes, may_join: usize) -> Version {
        let mut next = Version { number: self.number + 1, ..self.clone() };
        let mut newest = Arc::new(changes);
        while next.changes.len() > may_join
            && let Some(before) = next.changes.pop_if(|before| before.rows().len() <= 2 * newest.rows().len())
        {
            newest = Arc::new(newest.over(&before));
        }
        next.changes.push(newest);
        next
    }
}

/// Ends after the first error.
pub(crate) struct Rows {
    file: Peekable<CoinRows>,
    /// Newest first.
    layers: Vec<Layer>,
    /// The least id that any of them is at.
    next_changed: Option<CoinId>,
}

struct Layer {
    changes: Arc<Changes>,
    next: usize,
}

impl Layer {
    fn row(&self) -> Option<&(CoinId, Option<Coin>)> {
        self.changes.rows().get(self.next)
    }
}

impl Rows {
    fn look_for_changed(&mut self) {
        self.next_changed = self.layers.iter().filter_map(Layer::row).map(|(id, _)| *id).min();
    }

    /// What the newest layer says of a coin that one of them names.
    fn take_changed(&mut self, id: &CoinId) -> Option<Coin> {
        let mut newest = None;
        for layer in &mut self.layers {
            if let Some((_, coin)) = layer.row().filter(|(at, _)| at == id).copied() {
                layer.next += 1;
                newest.get_or_insert(coin);
            }
        }
        self.look_for_changed();
        newest.flatten()
    }
}

impl Iterator for Rows {
    type Item = Result<(CoinId, Coin), StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let Some(id) = self.next_changed else { return self.file.next() };
            match self.file.peek() {
                Some(Err(_)) => {
                    self.next_changed = None;
                    return self.file.next();
                }
                Some(Ok((stored, _))) if *stored < id => return self.file.next(),
                Some(Ok((stored, _))) if *stored == id => drop(self.file.next()),
                _ => {}
            }
            if let Some(coin) = self.take_changed(&id) {
                return Some(Ok((id, coin)));
            }
        }
    }
}

/// One writer, many readers.
pub(crate) struct CoinTable {
    folder: PathBuf,
    changes_max: usize,
    versions: RwLock<Versions>,
    /// Of the newest version's changes, the first that are being written into a file: they stay as they are. Held by whoever makes a
    /// version of another.
    being_filed: Mutex<usize>,
    /// Held by whoever deletes a file, or wants none to go.
    deleting: Mutex<()>,
}

/// Two, for a reader that looks between a write's coming into sight and its end.
struct Versions {
    newest: Arc<Version>,
    before: Arc<Version>,
}

/// A file that holds more changes than the table's.
pub(crate) struct Filed {
    file: Arc<CoinFile>,
    number: u64,
}

impl Filed {
    /// Of the last change that is in it.
    pub fn number(&self) -> u64 {
        self.number
    }
}

const NO_PANIC: &str = "no holder of this lock panics";

impl CoinTable {
    /// No coins.
    pub fn create(folder: &Path, changes_max: usize) -> Result<Self, StoreError> {
        let file = CoinFile::write(&file::path(folder, 0), 0, std::iter::empty())?;
        Ok(Self::of(folder, changes_max, file, 0))
    }

    /// The file with this number, and the changes after it, in their order.
    pub fn open(
        folder: &Path,
        changes_max: usize,
        number: u64,
        changes: impl Iterator<Item = Result<(u64, Changes), StoreError>>,
    ) -> Result<Self, StoreError> {
        let table = Self::of(folder, changes_max, CoinFile::open(&file::path(folder, number), number)?, number);
        for row in changes {
            let (number, changes) = row?;
            if number != table.newest().number + 1 {
                return Err(StoreError::corrupt(format!("change {number} of the coins"), "one before it is missing"));
            }
            table.follow(changes);
        }
        Ok(table)
    }

    fn of(folder: &Path, changes_max: usize, file: CoinFile, number: u64) -> Self {
        let newest = Arc::new(Version { number, file: Arc::new(file), changes: Vec::new() });
        let versions = RwLock::new(Versions { before: newest.clone(), newest });
        let (being_filed, deleting) = Default::default();
        CoinTable { folder: folder.to_owned(), changes_max, versions, being_filed, deleting }
    }

    pub fn newest(&self) -> Arc<Version> {
        self.versions.read().expect(NO_PANIC).newest.clone()
    }

    /// The version after this change. None: two others have followed.
    pub fn after(&self, number: u64) -> Option<Arc<Version>> {
        let versions = self.versions.read().expect(NO_PANIC);
        [&versions.newest, &versions.before].into_iter().find(|version| version.number == number).cloned()
    }

    /// Called before the change comes into sight in the database, where the version before it is still asked for until then.
    pub fn follow(&self, changes: Changes) {
        let being_filed = self.being_filed.lock().expect(NO_PANIC);
        let before = self.newest();
        let newest = Arc::new(before.followed_by(changes, *being_filed));
        *self.versions.write().expect(NO_PANIC) = Versions { newest, before };
    }

    /// How many files the changes are worth.
    pub fn files_due(&self) -> usize {
        let newest = self.newest();
        let rows = usize::try_from(newest.file.rows()).unwrap_or(usize::MAX);
        let due = (rows / PART_CHANGED).clamp(self.changes_max.div_ceil(PART_CHANGED), self.changes_max);
        let changes: usize = newest.changes.iter().map(|changes| changes.rows().len()).sum();
        changes / due
    }

    /// What a file is to hold: all that has changed, which stays as it is until [`Self::replace`]. Every change must be in the
    /// database by now. None: nothing has changed. One at a time.
    pub fn to_file(&self) -> Option<Arc<Version>> {
        let mut being_filed = self.being_filed.lock().expect(NO_PANIC);
        let version = self.newest();
        *being_filed = version.changes.len();
        (!version.changes.is_empty()).then_some(version)
    }

    /// On disk when it returns, and known to nobody before [`Self::replace`].
    pub fn write(
        &self,
        version: &Version,
        rows: impl Iterator<Item = Result<(CoinId, Coin), StoreError>>,
    ) -> Result<Filed, StoreError> {
        let file = CoinFile::write(&file::path(&self.folder, version.number), version.number, rows)?;
        Ok(Filed { file: Arc::new(file), number: version.number })
    }

    /// From now on the file stands for the changes that are in it. Those before the last are deleted.
    pub fn replace(&self, filed: Filed) -> Result<(), StoreError> {
        let last = {
            let mut being_filed = self.being_filed.lock().expect(NO_PANIC);
            let in_it = std::mem::take(&mut *being_filed);
            let without = |version: &Version| {
                let mut next = Version { file: filed.file.clone(), ..version.clone() };
                next.changes.drain(..in_it);
                Arc::new(next)
            };
            let mut versions = self.versions.write().expect(NO_PANIC);
            let last = versions.newest.file.number();
            versions.newest = without(&versions.newest);
            // A reader of a moment before the file looks again, and finds the next one in the database.
            versions.before = match versions.before.number >= filed.number {
                true => without(&versions.before),
                false => versions.newest.clone(),
            };
            last
        };
        let _deleting = self.deleting.lock().expect(NO_PANIC);
        self.delete(|number| number < last)
    }

    /// Those that were begun and never named, or whose naming is lost: for who has just opened the table, and found it whole.
    pub fn delete_unnamed(&self) -> Result<(), StoreError> {
        let named = self.newest().file.number();
        self.delete(|number| number > named)
    }

    fn delete(&self, goes: impl Fn(u64) -> bool) -> Result<(), StoreError> {
        let failed = |error| StoreError::write(self.folder.display().to_string(), error);
        for entry in std::fs::read_dir(&self.folder).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if file::number(&path).is_some_and(&goes) {
                std::fs::remove_file(&path).map_err(failed)?;
            }
        }
        Ok(())
    }

    /// No file that is named goes while this is held, and at most one more gets its name.
    pub fn keep_files(&self) -> MutexGuard<'_, ()> {
        self.deleting.lock().expect(NO_PANIC)
    }

    /// These files in another folder, beside a copy of the rows that names one of them. Nobody writes into a file twice, so both may
    /// share it.
    pub fn link_to(&self, folder: &Path, mut numbers: Vec<u64>) -> std::io::Result<()> {
        numbers.dedup();
        numbers
            .iter()
            .try_for_each(|number| std::fs::hard_link(file::path(&self.folder, *number), file::path(folder, *number)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ledger_types::coin::CoinStatus;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    type State = BTreeMap<CoinId, Coin>;

    #[derive(Clone, Debug)]
    enum Step {
        /// The id's first byte, and a status or that it is spent.
        Change(BTreeMap<u8, Option<usize>>),
        /// With so many changes while the file is being written.
        File(usize),
        Open,
    }

    fn step() -> impl Strategy<Value = Step> {
        let change =
            prop::collection::btree_map(any::<u8>(), prop::option::of(0..4usize), 1..40).prop_map(Step::Change);
        prop_oneof![6 => change, 1 => (0..3usize).prop_map(Step::File), 1 => Just(Step::Open)]
    }

    fn id(first: u8) -> CoinId {
        let mut id = [3; 32];
        id[0] = first;
        CoinId(id)
    }

    fn file(table: &CoinTable) -> Option<Filed> {
        table.to_file().map(|version| table.write(&version, version.rows_from(&CoinId([0; 32]))).unwrap())
    }

    struct History {
        folder: tempfile::TempDir,
        table: CoinTable,
        /// As the database keeps them.
        rows: BTreeMap<u64, Vec<u8>>,
        file: u64,
        /// Of every version, to see that none changes.
        seen: Vec<(Arc<Version>, State)>,
    }

    impl History {
        fn change(&mut self, changes: &BTreeMap<u8, Option<usize>>) {
            let coin = |status: usize| Coin::plain(CoinStatus::ALL[status]);
            let rows: Vec<_> = changes.iter().map(|(first, now)| (id(*first), now.map(coin))).collect();
            let mut state = self.seen.last().unwrap().1.clone();
            for (id, coin) in &rows {
                match coin {
                    Some(coin) => drop(state.insert(*id, *coin)),
                    None => drop(state.remove(id)),
                }
            }
            let (changes, before) = (Changes::new(rows), self.table.newest().number());
            self.rows.insert(before + 1, changes.to_bytes());
            self.table.follow(changes);
            assert_eq!(self.table.after(before).unwrap().number(), before);
            self.seen.push((self.table.after(before + 1).unwrap(), state));
        }

        fn take(&mut self, step: &Step) {
            match step {
                Step::Change(changes) => self.change(changes),
                Step::File(meanwhile) => {
                    let filed = file(&self.table);
                    (0..*meanwhile as u8).for_each(|first| self.change(&[(first, Some(1)), (200, None)].into()));
                    let Some(filed) = filed else { return };
                    self.file = filed.number();
                    self.rows.retain(|number, _| *number > filed.number());
                    self.table.replace(filed).unwrap();
                    let versions = self.table.versions.read().unwrap();
                    for version in [&versions.newest, &versions.before] {
                        assert!(version.changes.len() <= *meanwhile, "what is in the file is not in memory too");
                    }
                    drop(versions);
                    let (newest, state) = (self.table.newest(), self.seen.last().unwrap().1.clone());
                    self.seen.push((newest, state));
                }
                Step::Open => {
                    let changes =
                        self.rows.iter().map(|(number, bytes)| Ok((*number, Changes::from_bytes(bytes).unwrap())));
                    self.table = CoinTable::open(self.folder.path(), 8, self.file, changes).unwrap();
                    let (newest, state) = (self.table.newest(), self.seen.last().unwrap().1.clone());
                    assert_eq!(newest.number(), self.seen.last().unwrap().0.number());
                    self.seen.push((newest, state));
                }
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

        #[test]
        fn every_version_says_what_the_memory_said_whatever_follows(steps in prop::collection::vec(step(), 1..40)) {
            let folder = tempfile::tempdir().unwrap();
            let table = CoinTable::create(folder.path(), 8).unwrap();
            let seen = vec![(table.newest(), State::new())];
            let mut history = History { folder, table, rows: BTreeMap::new(), file: 0, seen };
            steps.iter().for_each(|step| history.take(step));
            let ids: Vec<_> = (0..=255).map(id).collect();
            for (version, state) in &history.seen {
                let expected: Vec<_> = ids.iter().map(|id| state.get(id).copied()).collect();
                prop_assert_eq!(version.get(&ids).unwrap(), expected);
                for from in [id(0), id(77), id(255)] {
                    let rows: Vec<_> = version.rows_from(&from).map(Result::unwrap).collect();
                    let expected: Vec<_> = state.range(from..).map(|(id, coin)| (*id, *coin)).collect();
                    prop_assert_eq!(rows, expected);
                }
            }
        }
    }

    #[test]
    fn a_change_that_is_missing_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        drop(CoinTable::create(folder.path(), 8).unwrap());
        let changes = [(1, Changes::default()), (3, Changes::default())].into_iter().map(Ok);
        let opened = CoinTable::open(folder.path(), 8, 0, changes);
        assert!(matches!(opened.err(), Some(StoreError::Corrupt { what, .. }) if what.contains("change 3")));
        assert!(CoinTable::open(folder.path(), 8, 5, std::iter::empty()).is_err(), "no file of this number");
    }

    #[test]
    fn a_file_that_nothing_names_goes_and_the_named_one_and_the_one_before_stay() {
        let folder = tempfile::tempdir().unwrap();
        let table = CoinTable::create(folder.path(), 8).unwrap();
        table.follow(Changes::new(vec![(id(1), Some(Coin::plain(CoinStatus::Live)))]));
        table.replace(file(&table).unwrap()).unwrap();
        std::fs::write(file::path(folder.path(), 9), b"begun").unwrap();
        let table = CoinTable::open(folder.path(), 8, 1, std::iter::empty()).unwrap();
        table.delete_unnamed().unwrap();
        let stands = [0, 1, 9].map(|number| file::path(folder.path(), number).exists());
        assert_eq!(stands, [true, true, false]);
    }

    #[test]
    fn the_last_file_is_kept_until_another_follows() {
        let folder = tempfile::tempdir().unwrap();
        let table = CoinTable::create(folder.path(), 8).unwrap();
        let mut names = vec![];
        for first in 0..3 {
            table.follow(Changes::new(vec![(id(first), Some(Coin::plain(CoinStatus::Live)))]));
            table.replace(file(&table).unwrap()).unwrap();
            let mut numbers: Vec<_> =
                std::fs::read_dir(folder.path()).unwrap().map(|entry| file::number(&entry.unwrap().path())).collect();
            numbers.sort();
            names.push(numbers);
        }
        assert_eq!(names, [[Some(0), Some(1)], [Some(1), Some(2)], [Some(2), Some(3)]]);
    }
}
