//! Walks the stored nodes towards a key and notes the siblings on the way.
//!
//! Reads one node for every four levels, about seven in a map of 10^6 entries, and the value. Depends on no part of the
//! writer, so a proof that verifies also says that the writer kept the hash rule.

use super::node::{Children, Node, Range, nibble, node_key, root_key};
use super::{MapError, MapProof, MapReader, Version, value_hash};
use crate::Hash;

/// What the map holds under a key, with the proof of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lookup {
    /// `None`: the proof is one of absence.
    pub value: Option<Vec<u8>>,
    pub proof: MapProof,
}

/// The root at a version, or `None` if the version was never written or is pruned.
pub fn root<R: MapReader + ?Sized>(reader: &R, version: Version) -> Result<Option<Hash>, MapError> {
    Ok(read(reader, &root_key(version.get()))?.map(|node| node.hash()))
}

/// Looks a key up as of a version, and proves the answer under the [`root`] of that version.
pub fn prove<R: MapReader + ?Sized>(reader: &R, version: Version, key_hash: &Hash) -> Result<Lookup, MapError> {
    let proof = walk(reader, version, key_hash)?;
    let value = match proof.leaf() {
        Some((leaf_key, leaf_value)) if leaf_key == *key_hash => {
            let value = reader.value(key_hash, version)?;
            // Values and nodes are kept in different rows: a value that the map does not hold must not go out beside it.
            let value = value.filter(|value| value_hash(value) == leaf_value);
            Some(value.ok_or_else(|| MapError::WrongValue { key_hash: hex::encode(key_hash), version })?)
        }
        _ => None,
    };
    Ok(Lookup { value, proof })
}

fn walk<R: MapReader + ?Sized>(reader: &R, version: Version, key_hash: &Hash) -> Result<MapProof, MapError> {
    let mut node = read(reader, &root_key(version.get()))?.ok_or(MapError::MissingRoot(version))?;
    let mut siblings = Vec::new();
    let mut nibbles = 0;
    loop {
        let children = match node {
            Node::Empty => return Ok(ends(None, siblings)),
            Node::Leaf { key_hash, value_hash } => return Ok(ends(Some((key_hash, value_hash)), siblings)),
            Node::Inner(children) => children,
        };
        if nibbles == 64 {
            return Err(MapError::Inconsistent("an inner node stands below the last bit of a key hash".into()));
        }
        let Some((slot, version)) = descend(&children, nibble(key_hash, nibbles), &mut siblings) else {
            return Ok(ends(None, siblings));
        };
        // A lone leaf may stand in another slot than the key's: its node is stored under its own nibble.
        let path = (0..nibbles).map(|index| nibble(key_hash, index)).chain([slot]).map(|nibble| nibble as u8);
        let key = node_key(version, path);
        node = read(reader, &key)?.ok_or_else(|| MapError::MissingNode { key: hex::encode(&key) })?;
        nibbles += 1;
    }
}

/// Walks the four levels inside an inner node: notes each sibling, and gives the child where the walk goes on, if any.
fn descend(children: &Children, towards: usize, siblings: &mut Vec<Hash>) -> Option<(usize, u64)> {
    for width in [8, 4, 2, 1] {
        let start = towards & !(width - 1);
        siblings.push(children.range_hash(start ^ width, width));
        match children.range(start, width) {
            Range::Empty => return None,
            Range::Child { slot, child } => return Some((slot, child.version)),
            Range::Split => {}
        }
    }
    unreachable!("a range of width 1 is empty or one child")
}

fn ends(leaf: Option<(Hash, Hash)>, siblings: Vec<Hash>) -> MapProof {
    MapProof::new(leaf, siblings).expect("at most 64 inner nodes of four levels each")
}

fn read<R: MapReader + ?Sized>(reader: &R, key: &[u8]) -> Result<Option<Node>, MapError> {
    let Some(bytes) = reader.node(key)? else { return Ok(None) };
    let corrupt = |fault| MapError::CorruptNode { key: hex::encode(key), fault };
    Node::decode(&bytes).map(Some).map_err(corrupt)
}
