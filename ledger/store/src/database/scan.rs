//! Rows of one column, in order.

use rocksdb::DB;

use crate::columns::{Column, Format, Key};
use crate::damage::Damage;
use crate::error::StoreError;

/// Which rows of a column, in which order.
#[derive(Clone, Debug, Default)]
pub struct Scan {
    pub(super) prefix: Vec<u8>,
    pub(super) from: Option<Vec<u8>>,
    pub(super) direction: ScanDirection,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum ScanDirection {
    #[default]
    Up,
    Down,
}

impl Scan {
    /// All rows, ascending by key.
    pub fn all() -> Self {
        Scan::default()
    }

    /// The rows whose key begins with this one: `Scan::under(&bank)` for keys `(bank, number)`.
    pub fn under(prefix: &impl Key) -> Self {
        let mut scan = Scan::default();
        prefix.write(&mut scan.prefix);
        scan
    }

    /// From this key on, itself included.
    pub fn starting_at(mut self, key: &impl Key) -> Self {
        let mut bytes = Vec::new();
        key.write(&mut bytes);
        self.from = Some(bytes);
        self
    }

    /// Descending by key.
    pub fn backwards(mut self) -> Self {
        self.direction = ScanDirection::Down;
        self
    }
}

/// Rows of a scan; ends after the first error.
pub struct Rows<'a, K, V, F> {
    pub(super) rows: rocksdb::DBIteratorWithThreadMode<'a, DB>,
    pub(super) column: Column<K, V, F>,
    pub(super) damage: &'a Damage,
    /// Key of the last row that was read: a row that the engine cannot give has no key.
    pub(super) passed: Box<[u8]>,
}

impl<K: Key, V, F: Format<V>> Iterator for Rows<'_, K, V, F> {
    type Item = Result<(K, V), StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(match self.rows.next()? {
            Ok((key, value)) => {
                let row = self.column.decode_row(&key, &value);
                let row = row.map_err(|error| self.damage.note(error, || format!("row {}: ", hex::encode(&key))));
                self.passed = key;
                row
            }
            Err(error) => {
                let error = StoreError::read(format!("column {}", self.column.name()), error);
                Err(self.damage.note(error, || format!("beside row {}: ", hex::encode(&self.passed))))
            }
        })
    }
}
