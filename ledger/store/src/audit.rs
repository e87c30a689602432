//! Computes log and map anew from the stored bytes, all of them, a little at a time (L-2: what is cosigned is recomputed whole at
//! start and daily).
//!
//! What stays true here:
//! - Every stored leaf is hashed, every stored node of the log compared with what the leaves give, and the root at the end with
//!   the tip's. Every reachable row of the map is hashed, and leads to the tip's root.
//! - A coin's row and its place in the log are those of its latest leaf.
//! - Each step reads one view of one height and lets it go: no view is held for minutes. The log only grows, so its steps add up.
//!   Each part of the map is checked under the root of its own moment; what changes it later is what this node itself executes
//!   and others compare.
//! - Memory: a step's leaves, or one bucket of about [`BUCKET_ENTRIES`].
//!
//! Not seen: a coin's row without any leaf in the log, rows of live coins (only their history is committed to), and rows of
//! earlier versions of the map.

use std::collections::BTreeMap;

use ledger_tree::log::{self, Frontier, LogAppend};
use ledger_tree::map::{self, Prefix, Version};
use ledger_types::encoding::Decode;
use ledger_types::log_leaf::LogLeaf;
use ledger_types::{CoinId, TreeRoot};

use crate::columns;
use crate::error::StoreError;
use crate::snapshot::{Readers, Snapshot};

/// Some ten milliseconds.
const LEAVES_PER_STEP: usize = 4_096;
const BUCKET_ENTRIES: u64 = 1_024;

/// One run over everything.
#[derive(Debug, Default)]
pub struct Audit {
    /// Of the leaves that were read.
    log: Frontier,
    log_size: u64,
    map: Option<MapPart>,
}

#[derive(Clone, Copy, Debug)]
struct MapPart {
    bits: u8,
    /// Prefixes of so many bits that were checked.
    checked: u64,
}

impl Audit {
    /// True when all is checked. An error that is [`StoreError::Corrupt`] says what differs.
    pub fn step(&mut self, readers: &Readers) -> Result<bool, StoreError> {
        let snapshot = readers.snapshot()?;
        match &mut self.map {
            None => {
                if self.log_step(&snapshot)? {
                    let buckets = snapshot.tip().ledger.log_size / BUCKET_ENTRIES;
                    let bits = buckets.checked_ilog2().unwrap_or(0).min(Prefix::BITS_MAX.into());
                    self.map = Some(MapPart { bits: u8::try_from(bits).expect("32 at most"), checked: 0 });
                }
                Ok(false)
            }
            Some(part) => part.step(&snapshot),
        }
    }

    /// From 0 to 1; half of it is the log.
    pub fn progress(&self) -> f64 {
        match self.map {
            None => 0.5 * self.log.size() as f64 / self.log_size.max(1) as f64,
            Some(part) => 0.5 + 0.5 * part.checked as f64 / (1u64 << part.bits) as f64,
        }
    }

    /// True when the log's end is reached, and its root is the tip's.
    fn log_step(&mut self, snapshot: &Snapshot<'_>) -> Result<bool, StoreError> {
        let ledger = &snapshot.tip().ledger;
        self.log_size = ledger.log_size;
        let begin = self.log.size();
        let count = usize::try_from(ledger.log_size - begin).unwrap_or(usize::MAX).min(LEAVES_PER_STEP);
        let mut leaves = Vec::with_capacity(count);
        for (row, expected) in snapshot.log_leaves_from(begin).take(count).zip(begin..) {
            match row? {
                (index, leaf) if index == expected => leaves.push(leaf),
                _ => return Err(StoreError::corrupt(format!("leaf {expected} of the log"), "it is missing")),
            }
        }
        if leaves.len() < count {
            return Err(StoreError::corrupt("the log", "its last leaves are missing"));
        }
        let hashes: Vec<_> = leaves.iter().map(|leaf| log::leaf_hash(leaf)).collect();
        let grown = self.log.append(&hashes).map_err(|error| StoreError::corrupt("the log", error))?;
        nodes_are_stored(snapshot, &grown)?;
        rows_are_the_leaves(snapshot, begin, &leaves)?;
        if self.log.size() < ledger.log_size {
            return Ok(false);
        }
        match TreeRoot(self.log.root()) == ledger.log_root {
            true => Ok(true),
            false => Err(StoreError::corrupt("the log", "its leaves lead to another root than the tip's")),
        }
    }
}

fn nodes_are_stored(snapshot: &Snapshot<'_>, grown: &LogAppend) -> Result<(), StoreError> {
    let mut levels = BTreeMap::new();
    for ((level, index), hash) in &grown.nodes {
        // Of one level they come in the order of their rows.
        let rows = levels.entry(*level).or_insert_with(|| snapshot.log_nodes_from(*level, *index));
        if rows.next().transpose()? != Some(((*level, *index), *hash)) {
            let what = format!("node {index} of level {level} of the log");
            return Err(StoreError::corrupt(what, "it is not what the leaves give"));
        }
    }
    Ok(())
}

/// Of each coin in these leaves: its place in the log is its latest leaf, and its row is what that leaf says.
fn rows_are_the_leaves(snapshot: &Snapshot<'_>, begin: u64, leaves: &[Vec<u8>]) -> Result<(), StoreError> {
    let record = |bytes: &[u8], index| match LogLeaf::from_bytes(bytes) {
        Ok(LogLeaf::Record { coin, record }) => Ok(Some((coin, record))),
        Ok(_) => Ok(None),
        Err(error) => Err(StoreError::corrupt(format!("leaf {index} of the log"), error)),
    };
    let mut found = Vec::new();
    for (leaf, index) in leaves.iter().zip(begin..) {
        found.extend(record(leaf, index)?.map(|(coin, record)| (index, coin, record)));
    }
    let coins: Vec<CoinId> = found.iter().map(|(_, coin, _)| *coin).collect();
    let latest = snapshot.rows(&columns::COIN_LEAVES, &coins)?;
    let rows = snapshot.rows(&columns::RECORDS, &coins)?;
    for ((index, coin, at_leaf), (latest, row)) in found.into_iter().zip(latest.into_iter().zip(rows)) {
        let differs = |fault: &str| Err(StoreError::corrupt(format!("the row of {coin}"), fault));
        match latest {
            Some(latest) if latest == index && row == Some(at_leaf) => {}
            Some(latest) if latest == index => return differs("it is not what the coin's latest leaf says"),
            Some(latest) if latest > index => {
                let bytes = snapshot.log_leaf(latest)?.unwrap_or_default();
                if record(&bytes, latest)?.is_none_or(|(of, _)| of != coin) {
                    return differs("its place in the log is the leaf of another");
                }
            }
            _ => return differs("its place in the log is none, or not the latest"),
        }
    }
    Ok(())
}

impl MapPart {
    fn step(&mut self, snapshot: &Snapshot<'_>) -> Result<bool, StoreError> {
        let first = (self.checked << (u32::from(Prefix::BITS_MAX) - u32::from(self.bits))) as u32;
        let prefix = Prefix::new(self.bits, first.to_be_bytes()).expect("the bits behind the prefix are zero");
        let corrupt = |error: &dyn std::fmt::Display| StoreError::corrupt("the map", error.to_string());
        let version = Version::after_height(snapshot.height().0);
        let below = map::prove_below(snapshot, version, &prefix, usize::MAX).map_err(|error| corrupt(&error))?;
        let below = below.expect("no bucket has more entries than there are numbers");
        let entries: Vec<_> = below.entries.iter().map(|(key, value)| (*key, map::value_hash(value))).collect();
        let root = &snapshot.tip().ledger.map_root;
        map::verify_below(&root.0, &prefix, &below.siblings, &entries).map_err(|error| corrupt(&error))?;
        self.checked += 1;
        Ok(self.checked == 1 << self.bits)
    }
}
