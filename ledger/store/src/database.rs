//! A RocksDB database behind typed columns. The one module, with [`crate::options`], that names RocksDB.
//!
//! What stays true here:
//! - [`Writes::commit`] returns when the whole batch is on disk, and a batch is on disk as a whole or not at all.
//! - After a failed write nothing more is written ([`StoreError::Stopped`]): a sync that failed once may have dropped pages
//!   that a second one would not miss.

mod coins;
mod scan;
mod writes;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ledger_types::CoinId;
use ledger_types::coin::Coin;
use rocksdb::checkpoint::Checkpoint;
use rocksdb::{
    Cache, ColumnFamily, ColumnFamilyDescriptor, DB, Direction, ErrorKind, IteratorMode, PrefixRange, ReadOptions,
};

use self::coins::Coins;
use self::scan::ScanDirection;
pub use self::scan::{Rows, Scan};
pub use self::writes::Writes;
use crate::coins::Version;
use crate::columns::{self, Column, ColumnSpec, Format, Key};
use crate::damage::Damage;
use crate::error::{OpenError, StoreError};
use crate::folder::sync_folder;
use crate::options::{self, Memory};
use crate::store::Losses;
use crate::witness::Witness;

/// Set after a failed write.
type Stopped = Arc<AtomicBool>;

pub(crate) struct Database {
    /// A ledger's.
    coins: Option<Coins>,
    rocks: Arc<DB>,
    witness: Witness,
    /// For messages.
    name: String,
    stopped: Stopped,
    damage: Damage,
}

fn is_a_ledgers(columns: &[ColumnSpec]) -> bool {
    columns.contains(&columns::COIN_CHANGES.spec())
}

impl Database {
    /// Within a folder that is being created.
    pub fn create(path: &Path, name: &str, columns: &[ColumnSpec], memory: Memory) -> Result<Self, OpenError> {
        let mut options = options::database(memory);
        options.create_if_missing(true);
        options.set_error_if_exists(true);
        let rocks = Arc::new(open(path, &options, columns, memory)?);
        let (stopped, damage) = Default::default();
        let coins = || Coins::create(&rocks, path, memory, &stopped, &damage);
        let coins = is_a_ledgers(columns).then(coins).transpose()?;
        let witness = Witness::create(path)?;
        Ok(Database { coins, rocks, witness, name: name.to_owned(), stopped, damage })
    }

    /// A column that is new is made; one that is there must be named. What cannot be read is noted into `damage`.
    pub fn open(
        path: &Path,
        name: &str,
        columns: &[ColumnSpec],
        memory: Memory,
        losses: Losses,
        damage: Damage,
    ) -> Result<Self, OpenError> {
        let rocks = Arc::new(open(path, &options::database(memory), columns, memory)?);
        let kept = rocks.latest_sequence_number();
        let witness = Witness::open(path)?;
        match witness.durable().filter(|durable| *durable > kept) {
            None => {}
            Some(durable) if losses == Losses::Refuse => {
                return Err(OpenError::RowsLost { path: path.to_owned(), kept, durable });
            }
            Some(durable) => {
                tracing::warn!(path = %path.display(), kept, durable, "rows that had been durable are lost")
            }
        }
        let stopped = Stopped::default();
        let mut database = Database { coins: None, rocks, witness, name: name.to_owned(), stopped, damage };
        if is_a_ledgers(columns) {
            database.coins = Some(Coins::open(&database, path, memory)?);
        }
        database.testify()?;
        Ok(database)
    }

    /// Every write is synced before it returns, so what is visible is durable.
    fn testify(&self) -> Result<(), StoreError> {
        let written = self.witness.write(self.rocks.latest_sequence_number());
        written.inspect_err(|_| self.stopped.store(true, Ordering::SeqCst))
    }

    fn family<K, V, F>(&self, column: &Column<K, V, F>) -> &ColumnFamily {
        self.rocks.cf_handle(column.name()).expect("a column is declared where its database is opened")
    }

    pub fn get<K: Key, V, F: Format<V>>(&self, column: &Column<K, V, F>, key: &K) -> Result<Option<V>, StoreError> {
        self.get_with(column, key, &ReadOptions::default())
    }

    fn get_with<K: Key, V, F: Format<V>>(
        &self,
        column: &Column<K, V, F>,
        key: &K,
        options: &ReadOptions,
    ) -> Result<Option<V>, StoreError> {
        let mut bytes = Vec::with_capacity(48);
        key.write(&mut bytes);
        let found = self.rocks.get_pinned_cf_opt(self.family(column), &bytes, options);
        let value = self.value(column, found);
        value.map_err(|error| self.damaged(error, &bytes))
    }

    fn value<K: Key, V, F: Format<V>>(
        &self,
        column: &Column<K, V, F>,
        found: Result<Option<rocksdb::DBPinnableSlice<'_>>, rocksdb::Error>,
    ) -> Result<Option<V>, StoreError> {
        let found =
            found.map_err(|error| StoreError::read(format!("column {} of {}", column.name(), self.name), error))?;
        found.map(|bytes| column.decode(&bytes)).transpose()
    }

    pub fn damage(&self) -> &Damage {
        &self.damage
    }

    /// Of rows that can be read and contradict each other.
    pub fn corrupt(&self, what: impl Into<String>, fault: impl ToString) -> StoreError {
        self.damage.note(StoreError::corrupt(what, fault), String::new)
    }

    /// Of a row whose column the error names.
    fn damaged(&self, error: StoreError, key: &[u8]) -> StoreError {
        self.damage.note(error, || format!("row {}: ", hex::encode(key)))
    }

    pub fn scan<K: Key, V, F: Format<V>>(&self, column: &Column<K, V, F>, scan: Scan) -> Rows<'_, K, V, F> {
        self.scan_with(column, scan, ReadOptions::default())
    }

    fn scan_with<K: Key, V, F: Format<V>>(
        &self,
        column: &Column<K, V, F>,
        scan: Scan,
        mut options: ReadOptions,
    ) -> Rows<'_, K, V, F> {
        options.set_iterate_range(PrefixRange(scan.prefix));
        let from = scan.from.unwrap_or_default();
        let mode = match (scan.direction, from.is_empty()) {
            (ScanDirection::Up, true) => IteratorMode::Start,
            (ScanDirection::Down, true) => IteratorMode::End,
            (ScanDirection::Up, false) => IteratorMode::From(&from, Direction::Forward),
            (ScanDirection::Down, false) => IteratorMode::From(&from, Direction::Reverse),
        };
        let rows = self.rocks.iterator_cf_opt(self.family(column), options, mode);
        Rows { rows, column: *column, damage: &self.damage, passed: Box::default() }
    }

    /// A view that no later write changes.
    pub fn view(&self) -> View<'_> {
        loop {
            let snapshot = self.rocks.snapshot();
            let Some(coins) = &self.coins else { return View { database: self, snapshot, coins: None } };
            let version = coins.version(&self.rocks, &at(&snapshot));
            // Heights were committed between the two lines above: a later moment does as well.
            let Some(version) = version.transpose() else { continue };
            return View { database: self, snapshot, coins: Some(version) };
        }
    }

    pub fn writes(&self) -> Writes<'_> {
        let (batch, coins, key, value) = Default::default();
        Writes { database: self, batch, coins, key, value }
    }

    /// Flushes what was written without a log, and syncs it.
    pub fn flush(&self, columns: &[ColumnSpec]) -> Result<(), StoreError> {
        for spec in columns {
            let family = self.rocks.cf_handle(spec.name).expect("the caller passes the columns it opened");
            self.rocks.flush_cf(family).map_err(|error| self.write_failed(error))?;
        }
        self.testify()
    }

    /// All rows of one moment, in a folder that shares this one's files.
    pub fn copy_to(&self, path: &Path) -> Result<(), OpenError> {
        // The copied rows name the file of before or of after.
        let kept = self.coins.as_ref().map(|coins| (coins.table().keep_files(), coins.file_number()));
        let durable = self.rocks.latest_sequence_number();
        let copied = Checkpoint::new(&self.rocks).and_then(|checkpoint| checkpoint.create_checkpoint(path));
        copied.map_err(|error| StoreError::write(format!("a copy of the {} database", self.name), error))?;
        if let Some((coins, (_kept, before))) = self.coins.as_ref().zip(kept) {
            let failed = OpenError::io(path, "the files of coins cannot be linked");
            coins.table().link_to(path, vec![before?, coins.file_number()?]).map_err(failed)?;
        }
        Witness::create(path)?.write(durable)?;
        sync_folder(path)
    }

    /// Puts each column's files into one sorted run, and the coins into their file. What is written little by little is left to the engine.
    pub fn compact(&self, columns: &[ColumnSpec]) -> Result<(), StoreError> {
        self.file_coins()?;
        for spec in columns {
            let family = self.rocks.cf_handle(spec.name).expect("the caller passes the columns it opened");
            self.rocks.compact_range_cf(family, None::<&[u8]>, None::<&[u8]>);
        }
        // The call says nothing of what went wrong; the count of such failures does.
        let failed = self.rocks.property_int_value("rocksdb.background-errors").map_err(|e| self.write_failed(e))?;
        match failed.unwrap_or(0) {
            0 => Ok(()),
            count => {
                self.stopped.store(true, Ordering::SeqCst);
                let error = std::io::Error::other(format!("{count} background errors"));
                Err(StoreError::write(format!("sorting the files of the {} database", self.name), error))
            }
        }
    }

    fn write_failed(&self, error: rocksdb::Error) -> StoreError {
        self.stopped.store(true, Ordering::SeqCst);
        StoreError::write(format!("the {} database", self.name), error)
    }
}

fn open(path: &Path, options: &rocksdb::Options, columns: &[ColumnSpec], memory: Memory) -> Result<DB, OpenError> {
    let cache = Cache::new_lru_cache(memory.block_cache_bytes);
    let families =
        columns.iter().map(|spec| ColumnFamilyDescriptor::new(spec.name, options::column(spec, memory, &cache)));
    DB::open_cf_descriptors(options, path, families).map_err(|error| open_error(path, error))
}

fn open_error(path: &Path, error: rocksdb::Error) -> OpenError {
    let text = error.to_string();
    // As RocksDB says it: of another process's lock, and of this one's.
    let is_locked = text.contains("While lock file") || text.contains("lock hold by current process");
    if error.kind() == ErrorKind::IOError && is_locked {
        return OpenError::InUse { path: path.to_owned() };
    }
    OpenError::Store(StoreError::read(format!("the database {}", path.display()), error))
}

pub(crate) struct View<'a> {
    database: &'a Database,
    snapshot: rocksdb::Snapshot<'a>,
    coins: Option<Result<Arc<Version>, StoreError>>,
}

fn at(snapshot: &rocksdb::Snapshot<'_>) -> ReadOptions {
    let mut options = ReadOptions::default();
    options.set_snapshot(snapshot);
    options
}

impl<'a> View<'a> {
    fn options(&self) -> ReadOptions {
        at(&self.snapshot)
    }

    /// One entry an id, in their order.
    pub fn coins(&self, ids: &[CoinId]) -> Result<Vec<Option<Coin>>, StoreError> {
        let version = self.coins.as_ref().expect("a ledger's database has coins");
        let found = version.clone().and_then(|version| version.get(ids));
        found.map_err(|error| self.database.damage.note(error, String::new))
    }

    pub fn get<K: Key, V, F: Format<V>>(&self, column: &Column<K, V, F>, key: &K) -> Result<Option<V>, StoreError> {
        self.database.get_with(column, key, &self.options())
    }

    /// One entry a key, in their order. `keys` need not be sorted; sorted they are read faster.
    pub fn get_many<K: Key + AsRef<[u8]>, V, F: Format<V>>(
        &self,
        column: &Column<K, V, F>,
        keys: &[K],
    ) -> Result<Vec<Option<V>>, StoreError> {
        let sorted = keys.is_sorted_by(|a, b| a.as_ref() <= b.as_ref());
        let family = self.database.family(column);
        let found = self.database.rocks.batched_multi_get_cf_opt(family, keys.iter(), sorted, &self.options());
        let read = |(found, key): (_, &K)| {
            self.database.value(column, found).map_err(|error| self.database.damaged(error, key.as_ref()))
        };
        found.into_iter().zip(keys).map(read).collect()
    }

    /// Of rows that can be read and contradict each other.
    pub fn corrupt(&self, what: impl Into<String>, fault: impl ToString) -> StoreError {
        self.database.corrupt(what, fault)
    }

    pub fn scan<K: Key, V, F: Format<V>>(&self, column: &Column<K, V, F>, scan: Scan) -> Rows<'_, K, V, F> {
        self.database.scan_with(column, scan, self.options())
    }
}
