//! The hashes that a header commits to (B-1, B-7).
//!
//! ```text
//! delta_h    = D("delta", delta_{h−1} ‖ created ‖ deleted ‖ changed)
//!              created, changed = count u32 ‖ (coin id ‖ its state)…                     deleted = count u32 ‖ coin id…
//!              each ascending by coin id; delta_0 = zero, for the genesis coins follow from the genesis
//! state root = D("state", delta ‖ map root ‖ batch hash ‖ D("issue numbers", …) ‖ D("overdue", …) ‖ snapshot)
//!              issue numbers = count u32 ‖ (series u32 ‖ next u64)…                      ascending by series
//!              overdue = count u32 ‖ (envelope id ‖ submitter u16)…                      ascending
//!              snapshot = height u64 ‖ snapshot hash, of the last that was due; nothing before the first
//! ```
//! A coin that a block both creates and deletes stands in none of the three lists.

use crate::ledger::{Ledger, encode_entries};
use crate::working::CoinChanges;
use ledger_types::coin::Coin;
use ledger_types::encoding::Encode;
use ledger_types::ids::*;
use ledger_types::layout;
use ledger_types::snapshot::SnapshotHash;
use ledger_types::{Chain, Tag};

pub(crate) fn delta(chain: &Chain, previous: &[u8; 32], changes: &CoinChanges) -> [u8; 32] {
    let coins = |list: &[(CoinId, Coin)]| {
        let mut bytes = Vec::with_capacity(4 + 37 * list.len());
        (list.len() as u32).encode(&mut bytes);
        for (id, coin) in list {
            id.encode(&mut bytes);
            coin.encode(&mut bytes);
        }
        bytes
    };
    let mut deleted = Vec::with_capacity(4 + 32 * changes.deleted.len());
    (changes.deleted.len() as u32).encode(&mut deleted);
    changes.deleted.iter().for_each(|id| id.encode(&mut deleted));
    chain.hash(Tag::Delta, &[previous, &coins(&changes.created), &deleted, &coins(&changes.changed)])
}

/// What a state root is the hash of: with it a header says which snapshot hash a quorum stands for (B-7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateRootParts {
    pub delta: [u8; 32],
    pub map_root: TreeRoot,
    pub batch_hash: BatchHash,
    pub issue_numbers: [u8; 32],
    pub overdue: [u8; 32],
    pub snapshot: Option<SnapshotHash>,
}
layout!(StateRootParts { delta, map_root, batch_hash, issue_numbers, overdue, snapshot });

impl StateRootParts {
    pub fn root(&self, chain: &Chain) -> StateRoot {
        let snapshot = self.snapshot.map_or_else(Vec::new, |snapshot| snapshot.to_bytes());
        let StateRootParts { delta, map_root, batch_hash, issue_numbers, overdue, .. } = self;
        let parts: [&[u8]; 6] = [delta, &map_root.0, &batch_hash.0, issue_numbers, overdue, &snapshot];
        StateRoot(chain.hash(Tag::State, &parts))
    }
}

pub(crate) fn state_root_parts(chain: &Chain, ledger: &Ledger) -> StateRootParts {
    let mut numbers = Vec::new();
    encode_entries(&ledger.issue_numbers, &mut numbers);
    StateRootParts {
        delta: ledger.delta,
        map_root: ledger.map_root,
        batch_hash: ledger.batch_hash,
        issue_numbers: chain.hash(Tag::IssueNumbers, &[&numbers]),
        overdue: chain.hash(Tag::Overdue, &[&ledger.overdue.to_bytes()]),
        snapshot: ledger.snapshot,
    }
}
