//! The rows that a snapshot hash covers, as bytes and back (B-7).

use ledger_state::Ledger;
use ledger_types::CoinId;
use ledger_types::encoding::{DecodeError, Encode, Reader};
use ledger_types::snapshot::Part;

use crate::columns::{self, Column, Format, Key};
use crate::commit;
use crate::database::{Database, Scan, Writes};
use crate::error::StoreError;

/// A row's key in its column, and the row as it is hashed.
type PartRow = Result<(Vec<u8>, Vec<u8>), StoreError>;

/// The rows of a part from this key on, ascending by key.
pub(crate) fn rows<'a>(database: &'a Database, part: Part, from: &[u8]) -> Box<dyn Iterator<Item = PartRow> + 'a> {
    match part {
        Part::SmallState => keyed(database, &columns::LEDGER, from),
        Part::Coins => coins(database, from),
        Part::PendingAmounts => keyed(database, &columns::PENDING_AMOUNTS, from),
        Part::Packages => {
            let packages = database.scan(&columns::PACKAGES, Scan::all().starting_at(&from.to_vec()));
            Box::new(packages.map(|row| {
                let (policy, package) = row?;
                let length = (package.len() as u32).to_le_bytes();
                Ok((policy.0.to_vec(), [&policy.0[..], &length, &package].concat()))
            }))
        }
        Part::Obligations => keyed(database, &columns::OBLIGATIONS, from),
    }
}

/// `from` is a whole id, or nothing.
fn coins<'a>(database: &'a Database, from: &[u8]) -> Box<dyn Iterator<Item = PartRow> + 'a> {
    let from = CoinId::from_key(from).unwrap_or(CoinId([0; 32]));
    Box::new(database.coins_from(&from).map(|row| {
        let (id, coin) = row?;
        let mut row = id.0.to_vec();
        coin.encode(&mut row);
        Ok((id.0.to_vec(), row))
    }))
}

fn keyed<'a, K: Key + 'a, V: Encode + 'a, F: Format<V> + 'a>(
    database: &'a Database,
    column: &Column<K, V, F>,
    from: &[u8],
) -> Box<dyn Iterator<Item = PartRow> + 'a> {
    let rows = database.scan(column, Scan::all().starting_at(&from.to_vec()));
    Box::new(rows.map(|row| {
        let (key, value) = row?;
        let mut bytes = Vec::new();
        key.write(&mut bytes);
        let mut row = bytes.clone();
        value.encode(&mut row);
        Ok((bytes, row))
    }))
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum PartError {
    #[error("a snapshot's rows do not decode: {0}")]
    Encoding(#[from] DecodeError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Writes the rows of a chunk where they belong; gives the small state, which its writer puts down last.
pub(crate) fn write(writes: &mut Writes<'_>, chunk: &[u8]) -> Result<Option<Ledger>, PartError> {
    let mut reader = Reader::new(chunk);
    let part: Part = reader.read()?;
    let mut small_state = None;
    while reader.remaining() > 0 {
        match part {
            Part::SmallState => small_state = Some(reader.read()?),
            Part::Coins => writes.put_coins(&[(reader.read()?, reader.read()?)]),
            Part::PendingAmounts => writes.put(&columns::PENDING_AMOUNTS, &reader.read()?, &reader.read()?)?,
            Part::Packages => {
                let (policy, length) = (reader.read()?, reader.read::<u32>()?);
                writes.put(&columns::PACKAGES, &policy, &reader.take(length as usize)?.to_vec())?;
            }
            Part::Obligations => {
                let (id, open) = (reader.read()?, reader.read()?);
                commit::write_obligation(writes, &id, &open)?;
            }
        }
    }
    Ok(small_state)
}
