//! The hash of the whole coin state (B-7), for snapshots.
//!
//! ```text
//! row           = coin id ‖ status u8 ‖ contract u32 ‖ [issued_ms u64 if inert]    every coin that is not spent
//! chunk         = 4,096 rows, the last one fewer; all rows ascend strictly by coin id
//! chunk hash    = D("coin set chunk", rows of the chunk)
//! coin set hash = D("coin set", height u64 ‖ count of rows u64 ‖ Merkle root of the chunk hashes)
//! ```
//! Delta (B-7) says that two states had the same history; it cannot be computed from a state. This can, by whoever has only the
//! rows: a joining node takes chunks from anybody, each with its Merkle path, and believes none before it is checked. The
//! count fixes how many chunks there are and how long the last is.
//!
//! Reserved: no header commits to it yet (PROTOCOL.md, B-7).

use crate::coin::Coin;
use crate::domain::{Chain, Tag};
use crate::encoding::Encode;
use crate::ids::{CoinId, Height, MerkleRoot};
use crate::merkle;

/// 151,552 bytes a chunk of plain money, 184,320 of inert: small against a frame of the data plane, and 2,442 chunks for 10^7 coins.
pub const COIN_SET_CHUNK_ROWS: usize = 4096;
/// Heights divisible by it carry the hash, from the version on that begins it.
pub const COIN_SET_HEIGHTS: u64 = 10_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("coin {0} does not come after the one before it")]
pub struct NotAscending(pub CoinId);

/// `rows` are the whole state, ascending. Holds one chunk at a time, and 32 bytes a chunk.
pub fn coin_set_hash(
    chain: &Chain,
    height: Height,
    rows: impl IntoIterator<Item = (CoinId, Coin)>,
) -> Result<[u8; 32], NotAscending> {
    let (mut chunks, mut chunk, mut count, mut last) = (Vec::new(), Vec::new(), 0u64, None);
    for (id, coin) in rows {
        if last.is_some_and(|last| last >= id) {
            return Err(NotAscending(id));
        }
        last = Some(id);
        id.encode(&mut chunk);
        coin.encode(&mut chunk);
        count += 1;
        if count.is_multiple_of(COIN_SET_CHUNK_ROWS as u64) {
            chunks.push(chunk_hash(chain, &chunk));
            chunk.clear();
        }
    }
    if !chunk.is_empty() {
        chunks.push(chunk_hash(chain, &chunk));
    }
    Ok(coin_set_hash_of(chain, height, count, &merkle::root(chain, &chunks)))
}

/// Of a chunk's rows as they are encoded.
pub fn chunk_hash(chain: &Chain, rows: &[u8]) -> [u8; 32] {
    chain.hash(Tag::CoinSetChunk, &[rows])
}

/// From the root over the chunk hashes: what a node compares before it asks for a chunk.
pub fn coin_set_hash_of(chain: &Chain, height: Height, count: u64, chunks_root: &MerkleRoot) -> [u8; 32] {
    chain.hash(Tag::CoinSet, &[&height.0.to_le_bytes(), &count.to_le_bytes(), &chunks_root.0])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coin::CoinStatus;
    use crate::ids::{ContractNumber, GenesisHash};

    const CHAIN: Chain = Chain::new(GenesisHash([7; 32]));

    fn row(index: u32) -> (CoinId, Coin) {
        let mut id = [0; 32];
        id[..4].copy_from_slice(&index.to_be_bytes());
        (CoinId(id), Coin::plain(CoinStatus::Live))
    }

    fn hash_of(count: u32) -> [u8; 32] {
        coin_set_hash(&CHAIN, Height(10_000), (0..count).map(row)).unwrap()
    }

    #[test]
    fn b7_every_row_every_field_and_the_height_are_in_the_hash() {
        let rows: Vec<_> = (0..3).map(row).collect();
        let whole = coin_set_hash(&CHAIN, Height(10_000), rows.clone()).unwrap();
        assert_eq!(whole, hash_of(3));
        assert_ne!(whole, hash_of(2));
        assert_ne!(whole, coin_set_hash(&CHAIN, Height(20_000), rows.clone()).unwrap());
        for spoil in [
            |row: &mut (CoinId, Coin)| row.0.0[31] ^= 1,
            |row: &mut (CoinId, Coin)| row.1.status = CoinStatus::Frozen,
            |row: &mut (CoinId, Coin)| row.1.contract = ContractNumber(1),
        ] {
            let mut rows = rows.clone();
            spoil(&mut rows[1]);
            assert_ne!(coin_set_hash(&CHAIN, Height(10_000), rows).unwrap(), whole);
        }
    }

    #[test]
    fn b7_rows_that_do_not_ascend_have_no_hash() {
        for rows in [[row(1), row(0)], [row(1), row(1)]] {
            assert_eq!(coin_set_hash(&CHAIN, Height(10_000), rows), Err(NotAscending(rows[1].0)));
        }
    }

    #[test]
    fn b7_a_chunk_is_checked_by_itself_with_its_path() {
        let most = COIN_SET_CHUNK_ROWS as u32;
        for (count, chunks) in [(0, 0), (1, 1), (most, 1), (most + 1, 2), (2 * most + 5, 3)] {
            let rows: Vec<Vec<u8>> = (0..count)
                .map(row)
                .map(|(id, coin)| {
                    let mut bytes = Vec::new();
                    id.encode(&mut bytes);
                    coin.encode(&mut bytes);
                    bytes
                })
                .collect();
            let hashes: Vec<[u8; 32]> =
                rows.chunks(COIN_SET_CHUNK_ROWS).map(|chunk| chunk_hash(&CHAIN, &chunk.concat())).collect();
            assert_eq!(hashes.len(), chunks);
            let root = merkle::root(&CHAIN, &hashes);
            assert_eq!(coin_set_hash_of(&CHAIN, Height(10_000), count.into(), &root), hash_of(count));
            for (index, hash) in hashes.iter().enumerate() {
                let path = merkle::path(&CHAIN, &hashes, index).unwrap();
                let (index, chunks) = (index as u64, chunks as u64);
                assert!(merkle::path_is_valid(&CHAIN, &root, hash, index, chunks, &path));
            }
        }
    }
}
