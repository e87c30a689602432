//! What became of coins since their file was written, in memory.

use ledger_types::CoinId;
use ledger_types::coin::Coin;
use ledger_types::encoding::{DecodeError, Encode, Reader};
use ledger_types::places::{Places, beginning};

/// Ascending by coin id, each at most once.
///
/// ```text
/// row   (coin id ‖ coin, or 0 for a spent one)…
/// ```
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    rows: Vec<(CoinId, Option<Coin>)>,
    places: Places,
}

/// No coin begins so: its first byte is its status.
const SPENT: u8 = 0;

impl Changes {
    /// Of distinct coins.
    pub fn new(mut rows: Vec<(CoinId, Option<Coin>)>) -> Self {
        // Stable: it finds what is in order already.
        rows.sort_by_key(|(id, _)| *id);
        Self::of(rows)
    }

    /// Of ascending rows.
    fn of(rows: Vec<(CoinId, Option<Coin>)>) -> Self {
        let places = Places::of(rows.iter().map(|(id, _)| beginning(id)));
        Changes { rows, places }
    }

    pub fn rows(&self) -> &[(CoinId, Option<Coin>)] {
        &self.rows
    }

    /// None: it did not change. Some(None): it is spent.
    pub fn get(&self, id: &CoinId) -> Option<Option<Coin>> {
        let (found, coin) = self.rows.get(self.position(id))?;
        (found == id).then_some(*coin)
    }

    /// Of the first that is not before this one.
    pub fn position(&self, id: &CoinId) -> usize {
        self.places.position(beginning(id), |at| self.rows[at].0 < *id)
    }

    /// Both together; where both name a coin, `self` is newer.
    pub fn over(&self, older: &Changes) -> Changes {
        let mut rows = Vec::with_capacity(self.rows.len() + older.rows.len());
        let (mut new, mut old) = (self.rows.as_slice(), older.rows.as_slice());
        while let ([first_new, rest_new @ ..], [first_old, rest_old @ ..]) = (new, old) {
            let order = first_new.0.cmp(&first_old.0);
            rows.push(if order.is_gt() { *first_old } else { *first_new });
            new = if order.is_gt() { new } else { rest_new };
            old = if order.is_lt() { old } else { rest_old };
        }
        rows.extend_from_slice(new);
        rows.extend_from_slice(old);
        Self::of(rows)
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(37 * self.rows.len());
        for (id, coin) in &self.rows {
            id.encode(&mut bytes);
            match coin {
                Some(coin) => coin.encode(&mut bytes),
                None => bytes.push(SPENT),
            }
        }
        bytes
    }

    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        let (mut reader, mut rows) = (Reader::new(bytes), Vec::new());
        while reader.remaining() > 0 {
            let id = reader.read()?;
            let rest = &bytes[bytes.len() - reader.remaining()..];
            let coin = if rest.first() == Some(&SPENT) {
                reader.read::<u8>()?;
                None
            } else {
                Some(reader.read()?)
            };
            rows.push((id, coin));
        }
        // One out of order would be found by nobody.
        if !rows.is_sorted_by(|(before, _), (after, _)| before < after) {
            return Err(DecodeError::NotCanonical("a change of coins"));
        }
        Ok(Self::of(rows))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ledger_types::ContractNumber;
    use ledger_types::coin::CoinStatus;

    fn id(first: u8, last: u8) -> CoinId {
        let mut id = [7; 32];
        (id[0], id[31]) = (first, last);
        CoinId(id)
    }

    const LIVE: Option<Coin> = Some(Coin::plain(CoinStatus::Live));
    const NEW: Option<Coin> = Some(Coin::plain(CoinStatus::Unconfirmed));

    #[test]
    fn the_newer_of_two_changes_counts_and_a_spent_coin_stays_spent() {
        let older = Changes::new(vec![(id(5, 0), NEW), (id(1, 0), NEW), (id(3, 0), None)]);
        let newer = Changes::new(vec![(id(5, 0), None), (id(4, 0), LIVE), (id(9, 0), LIVE)]);
        let both = newer.over(&older);
        let expected = [(id(1, 0), NEW), (id(3, 0), None), (id(4, 0), LIVE), (id(5, 0), None), (id(9, 0), LIVE)];
        assert_eq!(both.rows(), expected);
        assert_eq!((both.get(&id(5, 0)), both.get(&id(1, 0)), both.get(&id(2, 0))), (Some(None), Some(NEW), None));
    }

    #[test]
    fn a_row_is_found_wherever_it_stands_and_no_other() {
        // Evenly spread, all at one end, and many that begin alike.
        let spread: Vec<_> = (0..=255).map(|byte| (id(byte, 0), LIVE)).collect();
        let low: Vec<_> = (0..200).map(|byte| (id(0, byte), LIVE)).collect();
        let high: Vec<_> = (0..200).map(|byte| (id(255, byte), LIVE)).collect();
        for rows in [spread, low, high, vec![]] {
            let changes = Changes::new(rows);
            for (first, last) in (0..=255).flat_map(|first| [(first, 0), (first, 199), (first, 1)]) {
                let id = id(first, last);
                let expected = changes.rows().partition_point(|(row, _)| *row < id);
                assert_eq!(changes.position(&id), expected);
                let stands = changes.rows().iter().any(|(row, _)| *row == id);
                assert_eq!(changes.get(&id).is_some(), stands);
            }
        }
    }

    #[test]
    fn the_bytes_of_changes_are_fixed() {
        let inert = Some(Coin { status: CoinStatus::Frozen, contract: ContractNumber(258), issued_ms: 5 });
        let changes = Changes::new(vec![(id(3, 1), None), (id(2, 0), LIVE), (id(4, 2), inert)]);
        let middle = "07".repeat(30);
        let expected = format!("02{middle}000200000000 03{middle}0100 04{middle}0203020100000500000000000000");
        let expected = expected.replace(' ', "");
        assert_eq!(hex::encode(changes.to_bytes()), expected);
        assert_eq!(Changes::from_bytes(&changes.to_bytes()), Ok(changes));
        assert!(Changes::from_bytes(&hex::decode(&expected[..expected.len() - 2]).unwrap()).is_err());
        let twice = [hex::decode(&expected).unwrap(), hex::decode(&expected).unwrap()].concat();
        assert!(Changes::from_bytes(&twice).is_err(), "they are not in order");
    }
}
