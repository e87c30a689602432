//! The Merkle tree of blocks and bundles, the public log, the map.

use super::chain::Registry;
use super::hex;
use ledger_tree::log::{self as tree_log, LogReader};
use ledger_tree::map::{self as tree_map, EntryType, MapReader, Version};
use ledger_tree::{Hash, ReadError};
use ledger_types::coin::{Coin, CoinStatus};
use ledger_types::encoding::Encode;
use ledger_types::merkle as tree_merkle;
use ledger_types::snapshot::{Chunks, Part, SnapshotCommitment, chunk_hash};
use ledger_types::{BlockHash, CoinId, Height};
use serde_json::{Value, json};
use std::collections::BTreeMap;

pub fn merkle() -> Value {
    let chain = Registry::new().chain;
    let items: Vec<[u8; 32]> = (0..7).map(|n| [n; 32]).collect();
    let trees: Vec<Value> = (0..=items.len())
        .map(|count| {
            let items = &items[..count];
            let paths: Vec<Vec<String>> = (0..count)
                .map(|index| tree_merkle::path(&chain, items, index).unwrap().iter().map(hex).collect())
                .collect();
            json!({ "count": count, "root": tree_merkle::root(&chain, items).to_string(), "paths": paths })
        })
        .collect();
    let items: Vec<String> = items.iter().map(hex).collect();
    json!({ "genesis_hash": chain.genesis_hash().to_string(), "items": items, "trees": trees })
}

#[derive(Default)]
struct Nodes(BTreeMap<tree_log::Position, Hash>);

impl LogReader for Nodes {
    fn node(&self, level: u8, index: u64) -> Result<Option<Hash>, ReadError> {
        Ok(self.0.get(&(level, index)).copied())
    }
}

pub fn log() -> Value {
    let leaves: Vec<Vec<u8>> = (0..11u8).map(|n| vec![n; usize::from(n)]).collect();
    let hashes: Vec<Hash> = leaves.iter().map(|leaf| tree_log::leaf_hash(leaf)).collect();
    let mut nodes = Nodes::default();
    nodes.0.extend(tree_log::append(&nodes, 0, &hashes).unwrap().nodes);
    let root = |size| hex(tree_log::root(&nodes, size).unwrap());
    let hashes = |hashes: Vec<Hash>| hashes.iter().map(hex).collect::<Vec<_>>();
    let inclusion: Vec<Value> = [(0, 1), (0, 11), (6, 7), (7, 8), (10, 11), (3, 10)]
        .into_iter()
        .map(|(index, size)| {
            let proof = tree_log::prove_inclusion(&nodes, index, size).unwrap();
            json!({ "index": index, "size": size, "proof": hashes(proof) })
        })
        .collect();
    let consistency: Vec<Value> = [(0, 5), (1, 11), (4, 11), (6, 7), (7, 11), (8, 8)]
        .into_iter()
        .map(|(first, second)| {
            let proof = tree_log::prove_consistency(&nodes, first, second).unwrap();
            json!({ "first": first, "second": second, "proof": hashes(proof) })
        })
        .collect();
    json!({
        "leaves": leaves.iter().map(hex).collect::<Vec<_>>(),
        "roots": (0..=11).map(root).collect::<Vec<_>>(),
        "inclusion": inclusion,
        "consistency": consistency,
    })
}

#[derive(Default)]
struct Rows(BTreeMap<Vec<u8>, Vec<u8>>);

impl MapReader for Rows {
    fn node(&self, key: &[u8]) -> Result<Option<Vec<u8>>, ReadError> {
        Ok(self.0.get(key).cloned())
    }
}

pub fn map() -> Value {
    let types = [EntryType::Record, EntryType::Participant, EntryType::Lane];
    let entries: Vec<(EntryType, Vec<u8>, Vec<u8>)> = (0..12u8)
        .map(|n| {
            let entry_type = types[usize::from(n) % 3];
            let id = if entry_type == EntryType::Record { vec![n; 32] } else { vec![n, 0] };
            (entry_type, id, vec![n; 5])
        })
        .collect();
    let version = Version::after_height(0);
    let key = |(entry_type, id, _): &(EntryType, Vec<u8>, Vec<u8>)| tree_map::key_hash(*entry_type, id);
    let loaded = |count: usize| {
        let changes = entries[..count].iter().map(|entry| (key(entry), Some(entry.2.clone()))).collect();
        let update = tree_map::update(&Rows::default(), None, version, changes).unwrap();
        (update.root, Rows(update.nodes.into_iter().collect()))
    };
    let roots: Vec<String> = (0..=entries.len()).map(|count| hex(loaded(count).0)).collect();
    let (root, rows) = loaded(entries.len());
    let proof = |key_hash: &Hash| hex(tree_map::prove(&rows, version, key_hash).unwrap().proof.encode());
    let included: Vec<Value> = entries
        .iter()
        .map(|entry| json!({ "type": entry.0 as u8, "id": hex(&entry.1), "value": hex(&entry.2), "proof": proof(&key(entry)) }))
        .collect();
    let absent: Vec<Value> = (100..106u8)
        .map(|n| json!({ "type": 1, "id": hex([n; 32]), "proof": proof(&tree_map::key_hash(EntryType::Record, &[n; 32])) }))
        .collect();
    json!({ "roots": roots, "root": hex(root), "included": included, "absent": absent })
}

/// Row i of a set of any size, by a rule that both sides can follow: the id is i in 32 bytes, big-endian, so rows ascend; the
/// statuses take turns.
fn coin_row(index: u32) -> (CoinId, Coin) {
    let mut id = [0; 32];
    id[28..].copy_from_slice(&index.to_be_bytes());
    let statuses = [CoinStatus::Unconfirmed, CoinStatus::Live, CoinStatus::Frozen, CoinStatus::Disputed];
    (CoinId(id), Coin::plain(statuses[index as usize % 4]))
}

/// A small state of five bytes, so many coins, and one package of six.
pub fn snapshots() -> Value {
    let chain = Registry::new().chain;
    let (height, block) = (Height(10_000), BlockHash([9; 32]));
    let sets: Vec<Value> = [0, 1, 3_543, 3_544, 8_193]
        .into_iter()
        .map(|count| {
            let coins =
                (0..count).map(coin_row).map(|(id, coin)| (Part::Coins, [id.to_bytes(), coin.to_bytes()].concat()));
            let small_state = [(Part::SmallState, b"small".to_vec())].into_iter();
            let package = [(Part::Packages, [&[1; 32][..], &6u32.to_le_bytes(), b"policy"].concat())];
            let mut cut = Chunks::default();
            let mut chunks: Vec<Vec<u8>> =
                small_state.chain(coins).chain(package).flat_map(|(part, row)| cut.put(part, &row)).collect();
            chunks.extend(cut.end());
            let hashes: Vec<[u8; 32]> = chunks.iter().map(|chunk| chunk_hash(&chain, chunk)).collect();
            json!({
                "coins": count,
                "chunk_bytes": chunks.iter().map(Vec::len).collect::<Vec<_>>(),
                "first_bytes": chunks.iter().map(|chunk| hex(&chunk[..chunk.len().min(80)])).collect::<Vec<_>>(),
                "chunk_hashes": hashes.iter().map(hex).collect::<Vec<_>>(),
                "chunks_root": tree_merkle::root(&chain, &hashes).to_string(),
                "snapshot_hash": hex(SnapshotCommitment { height, block, chunks: &hashes }.hash(&chain)),
            })
        })
        .collect();
    json!({
        "genesis_hash": chain.genesis_hash().to_string(),
        "coins": "coin i: coin id = i as 32 bytes, big-endian; status = i mod 4 + 1; contract 0",
        "height": height.0,
        "block_hash": block.to_string(),
        "states": sets,
    })
}
