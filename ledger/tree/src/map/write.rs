//! Applies changes through `jmt`, and translates its nodes to ours.
//!
//! jmt counts versions one by one and looks for the tree before version v at v − 1; ours may skip from the genesis chunks
//! to height 0, so its question for a root is answered with the base's.
//!
//! Missing and malformed nodes are errors. Well-formed nodes of another tree under the right keys (a store restored from
//! mixed parts) may make jmt panic: then the process stops before anything is signed, as after any broken invariant.
//!
//! Measured at 10^6 entries on one core, nodes in memory: 3 µs an entry to load sorted chunks; 25 to 35 µs, 4 to 6 rows
//! and 1 to 2.5 kB of nodes an update in batches of 10 to 3,000.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use jmt::storage::{LeafNode, Node as JmtNode, NodeKey, TreeReader, TreeUpdateBatch};
use jmt::{KeyHash, RootHash, ValueHash};
use sha2::Sha256;

use super::node::{Child, Children, Node, node_key, root_key};
use super::{MapError, MapReader, Version};
use crate::Hash;

type Jmt<'a, R> = jmt::JellyfishMerkleTree<'a, JmtReader<'a, R>, Sha256>;

/// What one update writes, all of it under keys that did not exist, and what it makes stale.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MapUpdate {
    pub version: Version,
    pub root: Hash,
    /// (node key, node), ascending.
    pub nodes: Vec<(Vec<u8>, Vec<u8>)>,
    /// (key hash, value or deleted), to be stored at `version`, ascending.
    pub values: Vec<(Hash, Option<Vec<u8>>)>,
    /// Keys of nodes that no version from this one on needs.
    pub stale_nodes: Vec<Vec<u8>>,
    /// (key hash, bound): no version from this one on needs a value of this key stored below the bound.
    pub superseded_values: Vec<(Hash, Version)>,
}

/// Makes `version` out of `base` (`None`: out of nothing) by setting and deleting (`None`) entries under their key hash.
///
/// Deleting what is not there changes nothing. Memory: the changes, and about three nodes of up to 650 bytes for each. To
/// load many entries, sort them by key hash before cutting chunks: then each chunk rewrites its own branch only.
pub fn update<R: MapReader + ?Sized>(
    reader: &R,
    base: Option<Version>,
    version: Version,
    changes: BTreeMap<Hash, Option<Vec<u8>>>,
) -> Result<MapUpdate, MapError> {
    if let Some(base) = base.filter(|base| *base >= version) {
        return Err(MapError::VersionNotAfterBase { base, version });
    }
    let jmt_reader = JmtReader { reader, base, leaves_read: RefCell::default() };
    let written = if changes.is_empty() {
        Written::copy_of_root(&jmt_reader, version)?
    } else {
        Written::by_jmt(&jmt_reader, version, &changes)?
    };
    let leaves_read = jmt_reader.leaves_read.into_inner();
    let mut values = Vec::with_capacity(changes.len());
    let mut superseded_values = Vec::new();
    for (key_hash, value) in changes {
        // To change an entry jmt must read its leaf: no leaf read, no entry.
        let existed = leaves_read.contains(&key_hash);
        if existed {
            // Of a deletion not even the note of it is needed once the version before it is gone.
            let bound = if value.is_some() { version } else { Version(version.0 + 1) };
            superseded_values.push((key_hash, bound));
        }
        if existed || value.is_some() {
            values.push((key_hash, value));
        }
    }
    Ok(MapUpdate {
        version,
        root: written.root,
        nodes: written.nodes.into_iter().collect(),
        values,
        stale_nodes: written.stale_nodes.into_iter().collect(),
        superseded_values,
    })
}

struct Written {
    root: Hash,
    nodes: BTreeMap<Vec<u8>, Vec<u8>>,
    stale_nodes: BTreeSet<Vec<u8>>,
}

impl Written {
    /// A version without changes still has its own root node.
    fn copy_of_root<R: MapReader + ?Sized>(reader: &JmtReader<R>, version: Version) -> Result<Self, MapError> {
        let root = reader.base_root()?;
        Ok(Self {
            root: root.hash(),
            nodes: BTreeMap::from([(root_key(version.0), root.encode())]),
            stale_nodes: reader.base_root_key().into_iter().collect(),
        })
    }

    fn by_jmt<R: MapReader + ?Sized>(
        reader: &JmtReader<R>,
        version: Version,
        changes: &BTreeMap<Hash, Option<Vec<u8>>>,
    ) -> Result<Self, MapError> {
        let tree = Jmt::new(reader);
        // The batch call hashes shared levels once, but cannot delete.
        let set: Option<Vec<_>> =
            changes.iter().map(|(key, value)| value.clone().map(|value| (KeyHash(*key), value))).collect();
        let written = match set {
            Some(set) => tree.batch_put_value_sets(vec![set], None, version.0).map(|(roots, batch)| (roots[0], batch)),
            None => tree.put_value_set(changes.iter().map(|(key, value)| (KeyHash(*key), value.clone())), version.0),
        };
        let (RootHash(root), batch) = written.map_err(translate_error)?;
        Ok(Self::translate(reader, root, &batch))
    }

    fn translate<R: MapReader + ?Sized>(reader: &JmtReader<R>, root: Hash, batch: &TreeUpdateBatch) -> Self {
        let nodes = batch.node_batch.nodes().iter();
        let stale = batch.stale_node_index_batch.iter().map(|stale| &stale.node_key);
        // jmt knows the base's root under another version, and forgets that an unchanged or empty root goes stale too.
        let below_root = stale.filter(|key| !key.nibble_path().is_empty()).map(encode_key);
        Self {
            root,
            nodes: nodes.map(|(key, node)| (encode_key(key), from_jmt(node).encode())).collect(),
            stale_nodes: below_root.chain(reader.base_root_key()).collect(),
        }
    }
}

/// Answers jmt out of our rows, and remembers which leaves it looked at.
struct JmtReader<'a, R: ?Sized> {
    reader: &'a R,
    base: Option<Version>,
    leaves_read: RefCell<BTreeSet<Hash>>,
}

impl<R: MapReader + ?Sized> JmtReader<'_, R> {
    fn base_root_key(&self) -> Option<Vec<u8>> {
        self.base.map(|base| root_key(base.0))
    }

    /// A missing root is an error: jmt would take it for an empty map and go on.
    fn base_root(&self) -> Result<Node, MapError> {
        match self.base {
            None => Ok(Node::Empty),
            Some(base) => self.read(&root_key(base.0))?.ok_or(MapError::MissingRoot(base)),
        }
    }

    fn read(&self, key: &[u8]) -> Result<Option<Node>, MapError> {
        let Some(bytes) = self.reader.node(key)? else { return Ok(None) };
        let corrupt = |fault| MapError::CorruptNode { key: hex::encode(key), fault };
        Node::decode(&bytes).map(Some).map_err(corrupt)
    }
}

impl<R: MapReader + ?Sized> TreeReader for JmtReader<'_, R> {
    fn get_node_option(&self, key: &NodeKey) -> anyhow::Result<Option<JmtNode>> {
        let node = if key.nibble_path().is_empty() {
            self.base_root()?
        } else {
            let key = encode_key(key);
            self.read(&key)?.ok_or_else(|| MapError::MissingNode { key: hex::encode(&key) })?
        };
        if let Node::Leaf { key_hash, .. } = &node {
            self.leaves_read.borrow_mut().insert(*key_hash);
        }
        to_jmt(&node).map(Some)
    }

    fn get_value_option(&self, _: jmt::Version, _: KeyHash) -> anyhow::Result<Option<Vec<u8>>> {
        Err(anyhow::anyhow!("only jmt's own proofs ask for values"))
    }

    fn get_rightmost_leaf(&self) -> anyhow::Result<Option<(NodeKey, LeafNode)>> {
        Err(anyhow::anyhow!("only jmt's restore asks for the rightmost leaf"))
    }
}

fn translate_error(error: anyhow::Error) -> MapError {
    error.downcast::<MapError>().unwrap_or_else(|error| MapError::Inconsistent(format!("{error:#}")))
}

fn encode_key(key: &NodeKey) -> Vec<u8> {
    node_key(key.version(), key.nibble_path().nibbles().map(u8::from))
}

fn from_jmt(node: &JmtNode) -> Node {
    match node {
        JmtNode::Null => Node::Empty,
        JmtNode::Leaf(leaf) => {
            // jmt keeps the value hash to itself, except in the encoding: key hash ‖ value hash.
            let bytes = borsh::to_vec(leaf).expect("writing to memory does not fail");
            let (_, value_hash) = bytes.split_last_chunk::<32>().expect("a leaf encodes as two hashes");
            Node::Leaf { key_hash: leaf.key_hash().0, value_hash: *value_hash }
        }
        JmtNode::Internal(inner) => {
            let mut children = Box::<Children>::default();
            for (nibble, child) in inner.children_sorted() {
                let child = Child { hash: child.hash, version: child.version, is_leaf: child.is_leaf() };
                children.0[nibble.as_usize()] = Some(child);
            }
            Node::Inner(children)
        }
    }
}

fn to_jmt(node: &Node) -> anyhow::Result<JmtNode> {
    let children = match node {
        Node::Empty => return Ok(JmtNode::Null),
        Node::Leaf { key_hash, value_hash } => {
            return Ok(JmtNode::Leaf(LeafNode::new(KeyHash(*key_hash), ValueHash(*value_hash))));
        }
        Node::Inner(children) => children,
    };
    // jmt does not export the parts of an inner node; its encoding is the one way in: tag, sixteen optional children
    // (hash, version, kind with the leaf count below, which nothing proves and we do not keep), two counts.
    let mut bytes = Vec::with_capacity(1 + 16 * 50 + 16);
    bytes.push(1);
    for child in &children.0 {
        bytes.push(u8::from(child.is_some()));
        if let Some(child) = child {
            bytes.extend_from_slice(&child.hash);
            bytes.extend_from_slice(&child.version.to_le_bytes());
            bytes.push(u8::from(!child.is_leaf));
            if !child.is_leaf {
                bytes.extend_from_slice(&0u64.to_le_bytes());
            }
        }
    }
    let present = children.0.iter().flatten().count() as u64;
    bytes.extend_from_slice(&present.to_le_bytes());
    bytes.extend_from_slice(&0u64.to_le_bytes());
    Ok(borsh::from_slice(&bytes)?)
}
