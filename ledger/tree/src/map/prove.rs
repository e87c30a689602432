//! Walks the stored nodes towards a key and notes the siblings on the way.
//!
//! Reads one node for every four levels, about seven in a map of 10^6 entries. Depends on no part of the
//! writer, so a proof that verifies also says that the writer kept the hash rule.

use super::node::{Child, Children, Leaf, Node, Range, nibble, node_key, root_key};
use super::{MapError, MapProof, MapReader, Version};
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
    let mut node = read(reader, &root_key(version.get()))?.ok_or(MapError::MissingRoot(version))?;
    let mut siblings = Vec::new();
    let mut nibbles = 0;
    loop {
        let children = match node {
            Node::Empty => return Ok(ends(key_hash, None, siblings)),
            Node::Leaf(leaf) => return Ok(ends(key_hash, Some(leaf), siblings)),
            Node::Inner(children) => children,
        };
        if nibbles == 64 {
            return Err(MapError::Inconsistent("an inner node stands below the last bit of a key hash".into()));
        }
        let Some((slot, child)) = descend(&children, nibble(key_hash, nibbles), &mut siblings) else {
            return Ok(ends(key_hash, None, siblings));
        };
        // A lone leaf may stand in another slot than the key's: its node is stored under its own nibble.
        let path = (0..nibbles).map(|index| nibble(key_hash, index)).chain([slot]).map(|nibble| nibble as u8);
        let row = node_key(child.version, path);
        node = read(reader, &row)?.ok_or_else(|| MapError::MissingNode { key: hex::encode(&row) })?;
        if let Node::Leaf(leaf) = &node {
            leaf.is_named_by(&child, &row)?;
        }
        nibbles += 1;
    }
}

/// Walks the four levels inside an inner node: notes each sibling, and gives the child where the walk goes on, if any.
fn descend(children: &Children, towards: usize, siblings: &mut Vec<Hash>) -> Option<(usize, Child)> {
    for width in [8, 4, 2, 1] {
        let start = towards & !(width - 1);
        siblings.push(children.range_hash(start ^ width, width));
        match children.range(start, width) {
            Range::Empty => return None,
            Range::Child { slot, child } => return Some((slot, *child)),
            Range::Split => {}
        }
    }
    unreachable!("a range of width 1 is empty or one child")
}

fn ends(asked: &Hash, leaf: Option<Leaf>, siblings: Vec<Hash>) -> Lookup {
    let hashes = leaf.as_ref().map(|leaf| (leaf.key_hash, leaf.value_hash));
    let proof = MapProof::new(hashes, siblings).expect("at most 64 inner nodes of four levels each");
    Lookup { value: leaf.filter(|leaf| leaf.key_hash == *asked).map(|leaf| leaf.value), proof }
}

pub(super) fn read<R: MapReader + ?Sized>(reader: &R, key: &[u8]) -> Result<Option<Node>, MapError> {
    let Some(bytes) = reader.node(key)? else { return Ok(None) };
    let corrupt = |fault| MapError::CorruptNode { key: hex::encode(key), fault };
    Node::decode(&bytes).map(Some).map_err(corrupt)
}
