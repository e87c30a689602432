//! Rows of one batch.

use std::sync::atomic::Ordering;

use ledger_types::CoinId;
use ledger_types::coin::Coin;
use rocksdb::WriteBatch;

use super::Database;
use crate::coins::Changes;
use crate::columns::{Column, Format, Key};
use crate::error::StoreError;
use crate::options;

/// Rows to be written together. Dropped without [`commit`](Self::commit), nothing is written.
#[must_use = "nothing is written before `commit`"]
pub struct Writes<'a> {
    pub(super) database: &'a Database,
    pub(super) batch: WriteBatch,
    pub(super) coins: Vec<(CoinId, Option<Coin>)>,
    pub(super) key: Vec<u8>,
    pub(super) value: Vec<u8>,
}

impl Writes<'_> {
    pub fn put<K: Key, V, F: Format<V>>(
        &mut self,
        column: &Column<K, V, F>,
        key: &K,
        value: &V,
    ) -> Result<(), StoreError> {
        self.put_all(column, [(key, value)])
    }

    /// Several rows of one column; ascending keys are written fastest.
    pub fn put_all<'r, K: Key + 'r, V: 'r, F: Format<V>>(
        &mut self,
        column: &Column<K, V, F>,
        rows: impl IntoIterator<Item = (&'r K, &'r V)>,
    ) -> Result<(), StoreError> {
        let family = self.database.family(column);
        for (key, value) in rows {
            self.key.clear();
            key.write(&mut self.key);
            self.value.clear();
            F::encode(value, &mut self.value)
                .map_err(|fault| StoreError::Unstorable { column: column.name(), fault })?;
            self.batch.put_cf(family, &self.key, &self.value);
        }
        Ok(())
    }

    pub fn delete<K: Key, V, F>(&mut self, column: &Column<K, V, F>, key: &K) {
        self.delete_all(column, [key]);
    }

    pub fn delete_all<'r, K: Key + 'r, V, F>(
        &mut self,
        column: &Column<K, V, F>,
        keys: impl IntoIterator<Item = &'r K>,
    ) {
        let family = self.database.family(column);
        for key in keys {
            self.key.clear();
            key.write(&mut self.key);
            self.batch.delete_cf(family, &self.key);
        }
    }

    /// Coins that are made or change. No coin twice in one batch.
    pub(crate) fn put_coins(&mut self, coins: &[(CoinId, Coin)]) {
        self.coins.extend(coins.iter().map(|(id, coin)| (*id, Some(*coin))));
    }

    /// Coins that are spent.
    pub(crate) fn delete_coins(&mut self, coins: &[CoinId]) {
        self.coins.extend(coins.iter().map(|id| (*id, None)));
    }

    pub fn rows(&self) -> usize {
        self.batch.len()
    }

    /// Returns when all rows are on disk.
    pub fn commit(self) -> Result<(), StoreError> {
        let database = self.database;
        self.write(&options::synced())?;
        database.testify()
    }

    /// Not in the log: lost in a crash before [`Database::flush`].
    pub(crate) fn load(self) -> Result<(), StoreError> {
        let mut options = rocksdb::WriteOptions::default();
        options.disable_wal(true);
        self.write(&options)
    }

    fn write(mut self, options: &rocksdb::WriteOptions) -> Result<(), StoreError> {
        let database = self.database;
        if database.stopped.load(Ordering::SeqCst) {
            return Err(StoreError::Stopped);
        }
        let coins = database.coins.as_ref().filter(|_| !self.coins.is_empty());
        let changing = coins.map(|coins| coins.put(&database.rocks, &mut self.batch, Changes::new(self.coins)));
        database.rocks.write_opt(self.batch, options).map_err(|error| database.write_failed(error))?;
        drop(changing);
        coins.inspect(|coins| coins.file_if_due());
        Ok(())
    }
}
