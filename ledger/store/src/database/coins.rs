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
use crate::error::StoreError;
use crate::options::{self, Memory};

/// The coins of a database, and the thread that writes their file.
pub(super) struct Coins {
    pub table: Arc<CoinTable>,
    /// Held while a file is written.
    filing: Arc<Mutex<()>>,
    thread: Mutex<Option<JoinHandle<()>>>,
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
    fn of(table: CoinTable) -> Self {
        Coins { table: Arc::new(table), filing: Arc::default(), thread: Mutex::default() }
    }

    pub fn create(rocks: &DB, folder: &Path, memory: Memory) -> Result<Self, StoreError> {
        let table = CoinTable::create(folder, memory.coin_changes)?;
        let mut batch = WriteBatch::default();
        put_number(rocks, &mut batch, MetaRow::CoinFile, 0);
        put_number(rocks, &mut batch, MetaRow::CoinChanges, 0);
        let written = rocks.write_opt(batch, &options::synced());
        written.map_err(|error| StoreError::write(folder.display().to_string(), error))?;
        Ok(Self::of(table))
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
        match table.newest().number() == last {
            true => Ok(Self::of(table)),
            false => Err(StoreError::corrupt(format!("change {last} of the coins"), "it is missing")),
        }
    }

    /// The coins of the moment that the options name. None: the database has gone on by two changes since.
    pub fn version(&self, rocks: &DB, options: &ReadOptions) -> Result<Option<Arc<Version>>, StoreError> {
        Ok(self.table.after(number(rocks, MetaRow::CoinChanges, options)?))
    }

    /// Into the batch, and before it is written into memory: who sees the batch asks for the version.
    pub fn put(&self, rocks: &DB, batch: &mut WriteBatch, changes: Changes) {
        let number = self.table.newest().number() + 1;
        let family = rocks.cf_handle(columns::COIN_CHANGES.name()).expect("all columns of a ledger are opened");
        batch.put_cf(family, key(number), changes.to_bytes());
        put_number(rocks, batch, MetaRow::CoinChanges, number);
        self.table.follow(changes);
    }

    /// Begins to write the file anew if it is worth it. While the last one is being written there may be twice as many changes, no more.
    pub fn file_if_due(&self, rocks: &Arc<DB>, stopped: &Stopped) {
        let mut thread = self.thread.lock().expect(NO_PANIC);
        let writes = thread.as_ref().is_some_and(|thread| !thread.is_finished());
        if self.table.files_due() <= usize::from(writes) {
            return;
        }
        thread.take().into_iter().for_each(|thread| drop(thread.join()));
        let (rocks, table, filing, stopped) = (rocks.clone(), self.table.clone(), self.filing.clone(), stopped.clone());
        *thread = Some(std::thread::spawn(move || {
            let filing = filing.lock().expect(NO_PANIC);
            if let Err(error) = file(&filing, &rocks, &table) {
                tracing::error!(%error, "the file of coins cannot be written; nothing is written any more");
                stopped.store(true, Ordering::SeqCst);
            }
        }));
    }
}

impl Drop for Coins {
    /// The thread holds the database.
    fn drop(&mut self) {
        let mut thread = self.thread.lock().expect(NO_PANIC);
        thread.take().into_iter().for_each(|thread| drop(thread.join()));
    }
}

fn file(_one_at_a_time: &MutexGuard<'_, ()>, rocks: &DB, table: &CoinTable) -> Result<(), StoreError> {
    let Some(filed) = table.file()? else { return Ok(()) };
    let mut batch = WriteBatch::default();
    put_number(rocks, &mut batch, MetaRow::CoinFile, filed.number());
    let family = rocks.cf_handle(columns::COIN_CHANGES.name()).expect("all columns of a ledger are opened");
    batch.delete_range_cf(family, key(0u64), key(filed.number() + 1));
    let written = rocks.write_opt(batch, &options::synced());
    written.map_err(|error| StoreError::write("the name of the file of coins", error))?;
    table.replace(filed)
}

impl Database {
    fn coins(&self) -> &Coins {
        self.coins.as_ref().expect("a ledger's database has coins")
    }

    /// All that has changed so far is in the file of coins when it returns.
    pub fn file_coins(&self) -> Result<(), StoreError> {
        self.coins
            .as_ref()
            .map_or(Ok(()), |coins| file(&coins.filing.lock().expect(NO_PANIC), &self.rocks, &coins.table))
    }

    /// As they are now, from this id on, ascending.
    pub fn coins_from(&self, id: &CoinId) -> impl Iterator<Item = Result<(CoinId, Coin), StoreError>> + use<'_> {
        let rows = self.coins().table.newest().rows_from(id);
        rows.map(|row| row.map_err(|error| self.damage.note(error, String::new)))
    }
}
