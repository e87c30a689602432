//! What the public has: the leaves of the log, read back from their bytes. Nothing else of the world comes in here.

use ledger_types::confirmation::RecordStatus;
use ledger_types::encoding::Decode;
use ledger_types::ids::*;
use ledger_types::log_leaf::LogLeaf;
use std::collections::HashMap;

#[derive(Clone, Copy)]
pub struct Leaf {
    /// Its number; 0 is the genesis.
    pub batch: u32,
    /// Among the records of its batch.
    pub place: u32,
}

pub struct Seen {
    pub id: CoinId,
    pub tag: OwnerTag,
    pub live: Option<Leaf>,
    pub spent: Option<Leaf>,
}

#[derive(Default)]
pub struct BatchSeen {
    pub made: Vec<u32>,
    pub spent: Vec<u32>,
}

#[derive(Default)]
pub struct Registry {
    pub coins: Vec<Seen>,
    /// By number.
    pub batches: Vec<BatchSeen>,
    pub of_id: HashMap<CoinId, u32>,
}

impl Registry {
    pub fn read(leaves: &[Vec<u8>]) -> Self {
        let mut registry = Registry::default();
        for leaf in leaves {
            let LogLeaf::Record { coin, record } = LogLeaf::from_bytes(leaf).unwrap() else { continue };
            let batch = record.batch.0 as usize;
            registry.batches.resize_with(registry.batches.len().max(batch + 1), BatchSeen::default);
            let index = *registry.of_id.entry(coin).or_insert_with(|| {
                registry.coins.push(Seen { id: coin, tag: OwnerTag::ZERO, live: None, spent: None });
                registry.coins.len() as u32 - 1
            });
            let lines = &mut registry.batches[batch];
            let place = (lines.made.len() + lines.spent.len()) as u32;
            let leaf = Some(Leaf { batch: batch as u32, place });
            let seen = &mut registry.coins[index as usize];
            if record.status == RecordStatus::Spent {
                lines.spent.push(index);
                seen.spent = leaf;
            } else {
                lines.made.push(index);
                (seen.live, seen.tag) = (leaf, record.tag);
            }
        }
        registry
    }

    /// 0: it was pre-issued. 1: it is unspent. Else twice the binary logarithm of its life in batches.
    pub fn life(&self, coin: u32) -> usize {
        let seen = &self.coins[coin as usize];
        match (seen.live, seen.spent) {
            (None, _) => 0,
            (Some(live), _) if live.batch == 0 => 0,
            (_, None) => 1,
            (Some(live), Some(spent)) => 2 + steps(u64::from(spent.batch - live.batch)),
        }
    }
}

/// Twice the binary logarithm, at most 27.
pub fn steps(distance: u64) -> usize {
    ((2.0 * (distance.max(1) as f64).log2()).round() as usize).min(27)
}

pub const LIVES: usize = 30;
