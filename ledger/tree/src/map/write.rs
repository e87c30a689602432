//! Applies changes to the stored nodes, as one batch.
//!
//! ```text
//! read    from the root downwards: every node on the way to a changed key, one call of the port a level
//! merge   from the leaves upwards: a node below which something changed is made anew and hashed once, any other stays
//! ```
//! What stays true here: the rows are those of `jmt` for the same changes (its oracle stands in the tests), so a map may have been
//! written by either. Missing, malformed and misplaced nodes are errors and nothing is guessed.
//!
//! Measured, with jmt beside it: decision 043.

use std::collections::BTreeMap;

use super::node::{Child, Children, Leaf, Node, nibble, node_key, root_key};
use super::{MapError, MapReader, Version};
use crate::Hash;

/// What one update writes, all of it under keys that did not exist, and what it makes stale.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MapUpdate {
    pub version: Version,
    pub root: Hash,
    /// (node key, node), ascending.
    pub nodes: Vec<(Vec<u8>, Vec<u8>)>,
    /// Keys of nodes that no version from this one on needs, ascending.
    pub stale_nodes: Vec<Vec<u8>>,
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
    let changes: Vec<Change> = changes
        .into_iter()
        .map(|(key, value)| Change { key, leaf: value.map(|value| Leaf::new(key, value)) })
        .collect();
    let mut merge =
        Merge { reader, version: version.0, known: Vec::new(), path: Vec::new(), nodes: Vec::new(), stale: Vec::new() };
    if let Some(base) = base {
        let row = root_key(base.0);
        let bytes = reader.node(&row)?.ok_or(MapError::MissingRoot(base))?;
        merge.known.push(Known::decode(row, &bytes)?);
        merge.read_towards(&changes)?;
    }
    let root = match merge.under(base.map(|_| 0), &changes)? {
        New::Nothing => Node::Empty,
        New::Leaf(leaf) => Node::Leaf(leaf),
        New::Inner(children) => Node::Inner(children),
        // A version without changes still has its own root node.
        New::Unchanged => {
            let old = merge.known.first();
            merge.stale.extend(old.map(|old| old.row.clone()));
            old.map_or(Node::Empty, |old| old.node.clone())
        }
    };
    let Merge { mut nodes, mut stale, .. } = merge;
    nodes.push((root_key(version.0), root.encode()));
    nodes.sort_unstable();
    stale.sort_unstable();
    Ok(MapUpdate { version, root: root.hash(), nodes, stale_nodes: stale })
}

struct Change {
    key: Hash,
    /// `None` deletes.
    leaf: Option<Leaf>,
}

/// A stored node that was read, and where in [`Merge::known`] those below it stand.
struct Known {
    row: Vec<u8>,
    node: Node,
    below: [Option<usize>; 16],
}

impl Known {
    fn decode(row: Vec<u8>, bytes: &[u8]) -> Result<Self, MapError> {
        match Node::decode(bytes) {
            Ok(node) => Ok(Known { row, node, below: [None; 16] }),
            Err(fault) => Err(MapError::CorruptNode { key: hex::encode(row), fault }),
        }
    }
}

/// What stands at a place after the changes. A leaf has no row yet: it may come to stand higher.
enum New {
    Unchanged,
    Nothing,
    Leaf(Leaf),
    Inner(Box<Children>),
}

struct Merge<'a, R: ?Sized> {
    reader: &'a R,
    version: u64,
    /// The root first.
    known: Vec<Known>,
    /// The nibbles from the root to where the merge is.
    path: Vec<u8>,
    nodes: Vec<(Vec<u8>, Vec<u8>)>,
    stale: Vec<Vec<u8>>,
}

impl<R: MapReader + ?Sized> Merge<'_, R> {
    /// Reads every stored node below the root that lies on the way to a change, a level at a time.
    fn read_towards(&mut self, changes: &[Change]) -> Result<(), MapError> {
        let mut level = vec![(0, changes)];
        let mut depth = 0;
        while !level.is_empty() {
            let (mut rows, mut places) = (Vec::new(), Vec::new());
            for (parent, changes) in level {
                let Node::Inner(children) = &self.known[parent].node else { continue };
                for changes in by_nibble(changes, depth)? {
                    let slot = nibble(&changes[0].key, depth);
                    if let Some(child) = &children.0[slot] {
                        let path = (0..=depth).map(|index| nibble(&changes[0].key, index) as u8);
                        rows.push(node_key(child.version, path));
                        places.push((parent, slot, changes));
                    }
                }
            }
            level = Vec::with_capacity(rows.len());
            let found = self.reader.nodes(&rows)?;
            for ((row, bytes), (parent, slot, changes)) in rows.into_iter().zip(found).zip(places) {
                let known = self.known.len();
                self.known.push(fitting(row, bytes, self.child_of(parent, slot), &changes[0].key, depth + 1)?);
                self.known[parent].below[slot] = Some(known);
                level.push((known, changes));
            }
            depth += 1;
        }
        Ok(())
    }

    fn child_of(&self, parent: usize, slot: usize) -> Option<Child> {
        match &self.known[parent].node {
            Node::Inner(children) => children.0[slot],
            Node::Empty | Node::Leaf { .. } => None,
        }
    }

    /// Applies the changes, which share the path's nibbles, to what stood there before.
    fn under(&mut self, old: Option<usize>, changes: &[Change]) -> Result<New, MapError> {
        let entries = || changes.iter().filter_map(|change| change.leaf.as_ref()).collect::<Vec<_>>();
        let Some(place) = old else { return Ok(self.fresh(&entries())) };
        let new = match self.known[place].node.clone() {
            Node::Inner(children) => return self.under_inner(place, children, changes),
            Node::Empty => self.fresh(&entries()),
            Node::Leaf(leaf) => {
                let mut entries = entries();
                let is_changed = changes.binary_search_by(|change| change.key.cmp(&leaf.key_hash)).is_ok();
                match (is_changed, entries.is_empty()) {
                    (true, true) => New::Nothing,
                    (false, true) => New::Unchanged,
                    (true, false) => self.fresh(&entries),
                    (false, false) => {
                        entries.insert(entries.partition_point(|entry| entry.key_hash < leaf.key_hash), &leaf);
                        self.fresh(&entries)
                    }
                }
            }
        };
        if !matches!(new, New::Unchanged) {
            self.stale.push(self.known[place].row.clone());
        }
        Ok(new)
    }

    fn under_inner(&mut self, place: usize, mut children: Box<Children>, changes: &[Change]) -> Result<New, MapError> {
        let depth = self.path.len();
        let mut made: [New; 16] = std::array::from_fn(|_| New::Unchanged);
        let mut changed = false;
        for changes in by_nibble(changes, depth)? {
            let slot = nibble(&changes[0].key, depth);
            let below = self.known[place].below[slot];
            self.path.push(slot as u8);
            made[slot] = self.under(below, changes)?;
            self.path.pop();
            match self.as_child(&made[slot]) {
                None => {}
                Some(child) => {
                    children.0[slot] = child;
                    changed = true;
                }
            }
        }
        if !changed {
            return Ok(New::Unchanged);
        }
        self.stale.push(self.known[place].row.clone());
        let mut present = (0..16).filter_map(|slot| Some((slot, children.0[slot]?)));
        match (present.next(), present.next()) {
            (None, _) => Ok(New::Nothing),
            (Some((slot, child)), None) if child.is_leaf => {
                self.move_up(slot, child, std::mem::replace(&mut made[slot], New::Unchanged))
            }
            _ => {
                for (slot, new) in made.into_iter().enumerate() {
                    self.write(slot, new);
                }
                Ok(New::Inner(children))
            }
        }
    }

    /// A leaf that is left alone below an inner node takes the node's place.
    fn move_up(&mut self, slot: usize, child: Child, made: New) -> Result<New, MapError> {
        if let New::Leaf(_) = made {
            return Ok(made);
        }
        self.path.push(slot as u8);
        let row = node_key(child.version, self.path.iter().copied());
        self.path.pop();
        let bytes = self.reader.node(&row)?;
        let bytes = bytes.ok_or_else(|| MapError::MissingNode { key: hex::encode(&row) })?;
        let known = Known::decode(row, &bytes)?;
        let Node::Leaf(leaf) = known.node else { return Err(misplaced(&known.row)) };
        self.stale.push(known.row);
        Ok(New::Leaf(leaf))
    }

    /// Entries, ascending, where nothing stands.
    fn fresh(&mut self, entries: &[&Leaf]) -> New {
        match entries {
            [] => return New::Unchanged,
            [leaf] => return New::Leaf((*leaf).clone()),
            _ => {}
        }
        let depth = self.path.len();
        let mut children = Box::<Children>::default();
        for entries in entries.chunk_by(|a, b| nibble(&a.key_hash, depth) == nibble(&b.key_hash, depth)) {
            let slot = nibble(&entries[0].key_hash, depth);
            self.path.push(slot as u8);
            let new = self.fresh(entries);
            self.path.pop();
            children.0[slot] = self.as_child(&new).flatten();
            self.write(slot, new);
        }
        New::Inner(children)
    }

    /// What its parent says of it: `None` as before, `Some(None)` nothing.
    fn as_child(&self, new: &New) -> Option<Option<Child>> {
        let version = self.version;
        match new {
            New::Unchanged => None,
            New::Nothing => Some(None),
            New::Leaf(leaf) => Some(Some(Child { hash: leaf.hash(), version, is_leaf: true })),
            New::Inner(children) => Some(Some(Child { hash: children.range_hash(0, 16), version, is_leaf: false })),
        }
    }

    /// Below the path.
    fn write(&mut self, slot: usize, new: New) {
        let node = match new {
            New::Unchanged | New::Nothing => return,
            New::Leaf(leaf) => Node::Leaf(leaf),
            New::Inner(children) => Node::Inner(children),
        };
        self.path.push(slot as u8);
        self.nodes.push((node_key(self.version, self.path.iter().copied()), node.encode()));
        self.path.pop();
    }
}

/// Cuts changes, ascending, where their next nibble differs.
fn by_nibble(changes: &[Change], depth: usize) -> Result<impl Iterator<Item = &[Change]>, MapError> {
    if depth >= 64 {
        return Err(MapError::Inconsistent("an inner node stands below the last nibble of a key hash".into()));
    }
    Ok(changes.chunk_by(move |a, b| nibble(&a.key, depth) == nibble(&b.key, depth)))
}

/// The node of a row, if it is of the kind that its parent says and, being a leaf, lies on the way of its key.
fn fitting(
    row: Vec<u8>,
    bytes: Option<Vec<u8>>,
    child: Option<Child>,
    way: &Hash,
    depth: usize,
) -> Result<Known, MapError> {
    let bytes = bytes.ok_or_else(|| MapError::MissingNode { key: hex::encode(&row) })?;
    let known = Known::decode(row, &bytes)?;
    let Some(child) = child else { return Err(misplaced(&known.row)) };
    match &known.node {
        Node::Inner(_) if !child.is_leaf => Ok(known),
        Node::Leaf(leaf) if child.is_leaf && (0..depth).all(|at| nibble(&leaf.key_hash, at) == nibble(way, at)) => {
            leaf.is_named_by(&child, &known.row)?;
            Ok(known)
        }
        _ => Err(misplaced(&known.row)),
    }
}

fn misplaced(row: &[u8]) -> MapError {
    MapError::Inconsistent(format!(
        "the node {} is not of the kind, or not in the place, that its parent says",
        hex::encode(row)
    ))
}
