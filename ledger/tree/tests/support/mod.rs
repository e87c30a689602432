//! Storage in memory, and the definitions of the trees written as naively as they read.
#![allow(dead_code)]

use std::collections::BTreeMap;

use ledger_tree::log::{LogAppend, LogReader};
use ledger_tree::map::{MapReader, MapUpdate, Version, prunable};
use ledger_tree::merkle::TreeHasher;
use ledger_tree::{Hash, ReadError};
use sha2::{Digest, Sha256};

pub fn sha256(parts: &[&[u8]]) -> Hash {
    let mut hasher = Sha256::new();
    parts.iter().for_each(|part| hasher.update(part));
    hasher.finalize().into()
}

/// RFC 6962, 2.1, word for word: over hashes of leaves.
pub fn naive_root(hasher: &impl TreeHasher, leaf_hashes: &[Hash]) -> Hash {
    match leaf_hashes {
        [] => hasher.empty(),
        [alone] => *alone,
        more => {
            let (left, right) = more.split_at(naive_split(more.len()));
            hasher.node(&naive_root(hasher, left), &naive_root(hasher, right))
        }
    }
}

/// RFC 6962, 2.1.1.
pub fn naive_path(hasher: &impl TreeHasher, index: usize, leaf_hashes: &[Hash]) -> Vec<Hash> {
    if leaf_hashes.len() == 1 {
        return Vec::new();
    }
    let split = naive_split(leaf_hashes.len());
    let (left, right) = leaf_hashes.split_at(split);
    let (mut path, sibling) = if index < split {
        (naive_path(hasher, index, left), naive_root(hasher, right))
    } else {
        (naive_path(hasher, index - split, right), naive_root(hasher, left))
    };
    path.push(sibling);
    path
}

/// RFC 6962, 2.1.2: SUBPROOF(m, D[n], b).
pub fn naive_subproof(hasher: &impl TreeHasher, first: usize, leaf_hashes: &[Hash], whole: bool) -> Vec<Hash> {
    if first == leaf_hashes.len() {
        return if whole { Vec::new() } else { vec![naive_root(hasher, leaf_hashes)] };
    }
    let split = naive_split(leaf_hashes.len());
    let (left, right) = leaf_hashes.split_at(split);
    let (mut proof, last) = if first <= split {
        (naive_subproof(hasher, first, left, whole), naive_root(hasher, right))
    } else {
        (naive_subproof(hasher, first - split, right, false), naive_root(hasher, left))
    };
    proof.push(last);
    proof
}

fn naive_split(count: usize) -> usize {
    let mut split = 1;
    while split * 2 < count {
        split *= 2;
    }
    split
}

/// Rule L-4, word for word. `entries` are (key hash, value hash) in ascending order; `depth` bits are spent.
pub fn naive_map_root(entries: &[(Hash, Hash)], depth: usize) -> Hash {
    match entries {
        [] => *b"SPARSE_MERKLE_PLACEHOLDER_HASH__",
        [(key_hash, value_hash)] => sha256(&[b"JMT::LeafNode", key_hash, value_hash]),
        more => {
            let ones = more.partition_point(|(key_hash, _)| key_hash[depth / 8] >> (7 - depth % 8) & 1 == 0);
            let (left, right) = more.split_at(ones);
            sha256(&[b"JMT::IntrnalNode", &naive_map_root(left, depth + 1), &naive_map_root(right, depth + 1)])
        }
    }
}

#[derive(Default)]
pub struct MemoryLog {
    pub nodes: BTreeMap<(u8, u64), Hash>,
}

impl MemoryLog {
    pub fn store(&mut self, append: &LogAppend) {
        for (position, hash) in &append.nodes {
            assert_eq!(self.nodes.insert(*position, *hash), None, "a node is written once");
        }
    }
}

impl LogReader for MemoryLog {
    fn node(&self, level: u8, index: u64) -> Result<Option<Hash>, ReadError> {
        Ok(self.nodes.get(&(level, index)).copied())
    }
}

/// The rows as the head of `map` tells a store to keep them.
#[derive(Default, Clone)]
pub struct MemoryMap {
    pub nodes: BTreeMap<Vec<u8>, Vec<u8>>,
    pub stale: BTreeMap<Version, Vec<Vec<u8>>>,
}

impl MemoryMap {
    pub fn store(&mut self, update: &MapUpdate) {
        for (key, node) in &update.nodes {
            assert_eq!(self.nodes.insert(key.clone(), node.clone()), None, "a node is written once");
        }
        for key in &update.stale_nodes {
            assert!(self.nodes.contains_key(key), "only what is stored goes stale");
        }
        assert!(self.stale.insert(update.version, update.stale_nodes.clone()).is_none());
    }

    pub fn prune(&mut self, oldest_kept: Version) {
        let due: Vec<_> = self.stale.keys().copied().filter(|since| prunable(*since, oldest_kept)).collect();
        for since in due {
            for key in self.stale.remove(&since).unwrap() {
                assert!(self.nodes.remove(&key).is_some(), "a node goes stale once");
            }
        }
    }
}

impl MapReader for MemoryMap {
    fn node(&self, key: &[u8]) -> Result<Option<Vec<u8>>, ReadError> {
        Ok(self.nodes.get(key).cloned())
    }
}
