//! Coins and rows of one database together: a change of coins is a row of its height's batch, and a view sees both as of one moment.

use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;

use ledger_types::CoinId;
use ledger_types::coin::Coin;
use rocksdb::{DB, ReadOptions, WriteBatch};

use super::{Database, Scan, Stopped};
use crate::coins::{Changes, CoinTable, Version};
use crate::columns::{self, Key, MetaRow};
use crate::damage::Damage;
use crate::error::StoreError;
use crate::options::{self, Memory};

/// The coins of a database, and the thread that writes their file.
pub(super) struct Coins {
    filer: Arc<Filer>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// What writing a file of coins takes.
struct Filer {
    table: CoinTable,
    rocks: Arc<DB>,
    stopped: Stopped,
    damage: Damage,
    /// Held while a change is written, and while it is looked at what a file is to hold: nothing that the rows do not have.
    changing: Mutex<()>,
    /// Held while a file is written.
    filing: Mutex<()>,
}

const NO_PANIC: &str = "no holder of this lock panics";

fn key(key: impl Key) -> Vec<u8> {
    let mut bytes = Vec::new();
    key.write(&mut bytes);
    bytes
}

fn number(rocks: &DB, row: MetaRow, options: &ReadOptions) -> Result<u64, StoreError> {
    let what = || format!("the row {row:?}");
    let meta = rocks.cf_handle(columns::META.name()).expect("all columns of a ledger are opened");
    let found = rocks.get_pinned_cf_opt(meta, key(row), options).map_err(|error| StoreError::read(what(), error))?;
    let bytes = found.as_deref().and_then(|bytes| bytes.try_into().ok());
    bytes.map(u64::from_le_bytes).ok_or_else(|| StoreError::corrupt(what(), "it is not there"))
}

fn put_number(rocks: &DB, batch: &mut WriteBatch, row: MetaRow, number: u64) {
    let meta = rocks.cf_handle(columns::META.name()).expect("all columns of a ledger are opened");
    batch.put_cf(meta, key(row), number.to_le_bytes());
}

impl Coins {
    fn of(table: CoinTable, rocks: &Arc<DB>, stopped: &Stopped, damage: &Damage) -> Self {
        let (changing, filing) = Default::default();
        let (rocks, stopped, damage) = (rocks.clone(), stopped.clone(), damage.clone());
        let filer = Arc::new(Filer { table, rocks, stopped, damage, changing, filing });
        Coins { filer, thread: Mutex::default() }
    }

    pub fn create(
        rocks: &Arc<DB>,
        folder: &Path,
        memory: Memory,
        stopped: &Stopped,
        damage: &Damage,
    ) -> Result<Self, StoreError> {
        let table = CoinTable::create(folder, memory.coin_changes)?;
        let mut batch = WriteBatch::default();
        put_number(rocks, &mut batch, MetaRow::CoinFile, 0);
        put_number(rocks, &mut batch, MetaRow::CoinChanges, 0);
        let written = rocks.write_opt(batch, &options::synced());
        written.map_err(|error| StoreError::write(folder.display().to_string(), error))?;
        Ok(Self::of(table, rocks, stopped, damage))
    }

    pub fn open(database: &Database, folder: &Path, memory: Memory) -> Result<Self, StoreError> {
        let file = number(&database.rocks, MetaRow::CoinFile, &ReadOptions::default())?;
        let changes = database.scan(&columns::COIN_CHANGES, Scan::all()).map(|row| {
            let (number, bytes) = row?;
            let changes = Changes::from_bytes(&bytes);
            Ok((number, changes.map_err(|error| StoreError::corrupt(format!("change {number} of the coins"), error))?))
        });
        let table = CoinTable::open(folder, memory.coin_changes, file, changes)?;
        let last = number(&database.rocks, MetaRow::CoinChanges, &ReadOptions::default())?;
        if table.newest().number() != last {
            return Err(StoreError::corrupt(format!("change {last} of the coins"), "it is missing"));
        }
        table.delete_unnamed()?;
        Ok(Self::of(table, &database.rocks, &database.stopped, &database.damage))
    }

    /// The coins of the moment that the options name. None: the database has gone on by two changes since.
    pub fn version(&self, rocks: &DB, options: &ReadOptions) -> Result<Option<Arc<Version>>, StoreError> {
        Ok(self.table().after(number(rocks, MetaRow::CoinChanges, options)?))
    }

    pub fn table(&self) -> &CoinTable {
        &self.filer.table
    }

    /// Into the batch, and before it is written into memory: who sees the batch asks for the version. The guard is held until it is
    /// written.
    pub fn put(&self, rocks: &DB, batch: &mut WriteBatch, changes: Changes) -> MutexGuard<'_, ()> {
        let changing = self.filer.changing.lock().expect(NO_PANIC);
        let number = self.table().newest().number() + 1;
        let family = rocks.cf_handle(columns::COIN_CHANGES.name()).expect("all columns of a ledger are opened");
        batch.put_cf(family, key(number), changes.to_bytes());
        put_number(rocks, batch, MetaRow::CoinChanges, number);
        self.table().follow(changes);
        changing
    }

    /// Begins to write the file anew if it is worth it. While the last one is being written there may be twice as many changes, no more.
    pub fn file_if_due(&self) {
        let mut thread = self.thread.lock().expect(NO_PANIC);
        let writes = thread.as_ref().is_some_and(|thread| !thread.is_finished());
        if self.table().files_due() <= usize::from(writes) {
            return;
        }
        thread.take().into_iter().for_each(|thread| drop(thread.join()));
        let filer = self.filer.clone();
        let begun = std::thread::Builder::new().name("coins".into()).spawn(move || {
            if let Err(error) = filer.file() {
                tracing::error!(%error, "the file of coins cannot be written; nothing is written any more");
                filer.stopped.store(true, Ordering::SeqCst);
            }
        });
        match begun {
            Ok(begun) => *thread = Some(begun),
            Err(error) => tracing::warn!(%error, "the next height begins to write the file of coins"),
        }
    }

    /// The file that the rows name.
    pub fn file_number(&self) -> Result<u64, StoreError> {
        number(&self.filer.rocks, MetaRow::CoinFile, &ReadOptions::default())
    }
}

impl Drop for Coins {
    /// The thread holds the database.
    fn drop(&mut self) {
        let mut thread = self.thread.lock().expect(NO_PANIC);
        thread.take().into_iter().for_each(|thread| drop(thread.join()));
    }
}

impl Filer {
    fn go_on(&self) -> Result<(), StoreError> {
        if self.stopped.load(Ordering::SeqCst) { Err(StoreError::Stopped) } else { Ok(()) }
    }

    /// All that has changed so far is in the file when it returns.
    fn file(&self) -> Result<(), StoreError> {
        let _one_at_a_time = self.filing.lock().expect(NO_PANIC);
        let version = {
            let _nothing_changes = self.changing.lock().expect(NO_PANIC);
            self.go_on()?;
            self.table.to_file()
        };
        let Some(version) = version else { return Ok(()) };
        let rows = version.rows_from(&CoinId([0; 32]));
        let rows = rows.map(|row| row.map_err(|error| self.damage.note(error, String::new)));
        let filed = self.table.write(&version, rows)?;
        let mut batch = WriteBatch::default();
        put_number(&self.rocks, &mut batch, MetaRow::CoinFile, filed.number());
        let family = self.rocks.cf_handle(columns::COIN_CHANGES.name()).expect("all columns of a ledger are opened");
        batch.delete_range_cf(family, key(0u64), key(filed.number() + 1));
        self.go_on()?;
        let written = self.rocks.write_opt(batch, &options::synced());
        written.map_err(|error| StoreError::write("the name of the file of coins", error))?;
        self.table.replace(filed)
    }
}

impl Database {
    fn coins(&self) -> &Coins {
        self.coins.as_ref().expect("a ledger's database has coins")
    }

    /// All that has changed so far is in the file of coins when it returns.
    pub fn file_coins(&self) -> Result<(), StoreError> {
        self.coins.as_ref().map_or(Ok(()), |coins| coins.filer.file())
    }

    /// As they are now, from this id on, ascending.
    pub fn coins_from(&self, id: &CoinId) -> impl Iterator<Item = Result<(CoinId, Coin), StoreError>> + use<'_> {
        let rows = self.coins().table().newest().rows_from(id);
        rows.map(|row| row.map_err(|error| self.damage.note(error, String::new)))
    }
}
