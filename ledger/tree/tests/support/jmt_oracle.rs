//! jmt as its authors run it: its own nodes in its own storage, its own proofs, its own verifier.
#![allow(dead_code)]

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jmt::proof::SparseMerkleProof;
use jmt::storage::{LeafNode, Node, NodeKey, TreeReader};
use jmt::{KeyHash, OwnedValue, Sha256Jmt};
use ledger_tree::Hash;
use ledger_tree::map::MapProof;
use sha2::Sha256;

use super::sha256;

#[derive(Default)]
pub struct JmtOracle {
    nodes: HashMap<NodeKey, Node>,
    values: BTreeMap<(KeyHash, u64), Option<OwnedValue>>,
    next_version: u64,
}

/// The nodes that a version wrote and made stale, each by its version and nibbles.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Rows {
    pub written: BTreeSet<(u64, Vec<u8>)>,
    pub stale: BTreeSet<(u64, Vec<u8>)>,
}

fn row(key: &NodeKey) -> (u64, Vec<u8>) {
    (key.version(), key.nibble_path().nibbles().map(u8::from).collect())
}

impl JmtOracle {
    /// Applies changes as the next version, counted from 0, one key after the other.
    pub fn apply(&mut self, changes: &BTreeMap<Hash, Option<Vec<u8>>>) -> (Hash, Rows) {
        let changes = changes.iter().map(|(key, value)| (KeyHash(*key), value.clone()));
        let (root, batch) = Sha256Jmt::new(self).put_value_set(changes, self.next_version).unwrap();
        self.nodes.extend(batch.node_batch.nodes().clone());
        let values = batch.node_batch.values();
        self.values.extend(values.iter().map(|((version, key), value)| ((*key, *version), value.clone())));
        self.next_version += 1;
        let stale = batch.stale_node_index_batch.iter().map(|stale| row(&stale.node_key)).collect();
        (root.0, Rows { written: batch.node_batch.nodes().keys().map(row).collect(), stale })
    }

    /// jmt's proof, checked by jmt, in our form.
    pub fn prove(&self, version: u64, key_hash: &Hash) -> (Option<OwnedValue>, MapProof) {
        let tree = Sha256Jmt::new(self);
        let root = tree.get_root_hash(version).unwrap();
        let (value, proof) = tree.get_with_proof(KeyHash(*key_hash), version).unwrap();
        proof.verify(root, KeyHash(*key_hash), value.as_ref()).unwrap();
        (value, convert(&proof))
    }
}

/// Reads jmt's encoding, the only way to the siblings: an optional leaf, then the siblings, leaf first.
fn convert(proof: &SparseMerkleProof<Sha256>) -> MapProof {
    fn take<const N: usize>(bytes: &mut &[u8]) -> [u8; N] {
        let (head, rest) = bytes.split_first_chunk().unwrap();
        *bytes = rest;
        *head
    }
    let encoded = borsh::to_vec(proof).unwrap();
    let mut bytes = &encoded[..];
    let leaf = (take::<1>(&mut bytes) == [1]).then(|| (take::<32>(&mut bytes), take::<32>(&mut bytes)));
    let count = u32::from_le_bytes(take(&mut bytes));
    let mut siblings = Vec::new();
    for _ in 0..count {
        siblings.push(match take::<1>(&mut bytes) {
            [0] => *b"SPARSE_MERKLE_PLACEHOLDER_HASH__",
            [1] => sha256(&[b"JMT::IntrnalNode", &take::<64>(&mut bytes)]),
            [2] => sha256(&[b"JMT::LeafNode", &take::<64>(&mut bytes)]),
            other => panic!("no kind of sibling: {other:?}"),
        });
    }
    assert!(bytes.is_empty());
    siblings.reverse();
    MapProof::new(leaf, siblings).unwrap()
}

impl TreeReader for JmtOracle {
    fn get_node_option(&self, key: &NodeKey) -> anyhow::Result<Option<Node>> {
        Ok(self.nodes.get(key).cloned())
    }

    fn get_value_option(&self, newest: u64, key: KeyHash) -> anyhow::Result<Option<OwnedValue>> {
        Ok(self.values.range((key, 0)..=(key, newest)).next_back().and_then(|(_, value)| value.clone()))
    }

    fn get_rightmost_leaf(&self) -> anyhow::Result<Option<(NodeKey, LeafNode)>> {
        unreachable!("nothing is restored here")
    }
}
