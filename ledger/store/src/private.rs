//! What a role keeps for itself: typed columns in a database of its own.
//!
//! What stays true here: a batch of rows is on disk together or not at all when [`Writes::commit`] returns; a folder belongs to
//! one purpose, one format and one chain.
//!
//! ```no_run
//! use ledger_store::{Bincode, Column, PrivateStore, Scan};
//! use ledger_types::{Chain, CoinId, ParticipantNumber};
//!
//! const COINS: Column<(ParticipantNumber, CoinId), u64, Bincode> = Column::random("coins");
//!
//! fn example(chain: &Chain, bank: ParticipantNumber, coin: CoinId) -> Result<(), Box<dyn std::error::Error>> {
//!     let store = PrivateStore::open("vault".as_ref(), "vault", 1, chain, &[COINS.spec()])?;
//!     let mut writes = store.writes();
//!     writes.put(&COINS, &(bank, coin), &500)?;
//!     writes.commit()?;
//!     for row in store.scan(&COINS, Scan::under(&bank)) {
//!         let ((_, coin), amount) = row?;
//!         println!("{coin}: {amount}");
//!     }
//!     Ok(())
//! }
//! ```
//! Left to others: encrypting what is secret before it comes here.

use std::path::Path;

use ledger_types::Chain;

use crate::columns::{Column, ColumnSpec, Format, Key};
use crate::damage::Damage;
use crate::database::{Database, Rows, Scan, Writes};
use crate::error::{OpenError, StoreError};
use crate::folder::{self, Marker};
use crate::options::Memory;
use crate::store::Losses;

pub struct PrivateStore {
    pub(crate) database: Database,
    pub(crate) marker: Marker,
}

impl PrivateStore {
    /// Opens the folder, or creates it if it is absent or empty. `purpose` is one line, for people too: "bank desk".
    pub fn open(
        path: &Path,
        purpose: &str,
        version: u32,
        chain: &Chain,
        columns: &[ColumnSpec],
    ) -> Result<Self, OpenError> {
        let marker = Marker { purpose: purpose.to_owned(), version, chain: chain.genesis_hash() };
        let rows = |folder: &Path| folder.join("rows");
        if !folder::exists(path)? {
            folder::create(path, &marker, |building| {
                Database::create(&rows(building), purpose, columns, Memory::SMALL).map(drop)
            })?;
        }
        folder::check(path, &marker)?;
        let database = Database::open(&rows(path), purpose, columns, Memory::SMALL, Losses::Refuse, Damage::default())?;
        Ok(PrivateStore { database, marker })
    }

    pub fn get<K: Key, V, F: Format<V>>(&self, column: &Column<K, V, F>, key: &K) -> Result<Option<V>, StoreError> {
        self.database.get(column, key)
    }

    /// Rows in the order of their keys, as they are now: writes that follow do not change what a scan gives.
    pub fn scan<K: Key, V, F: Format<V>>(&self, column: &Column<K, V, F>, scan: Scan) -> Rows<'_, K, V, F> {
        self.database.scan(column, scan)
    }

    pub fn writes(&self) -> Writes<'_> {
        self.database.writes()
    }
}
