//! The hashes that a header commits to (B-1, B-7).
//!
//! ```text
//! delta_h    = D("delta", delta_{h−1} ‖ created ‖ deleted ‖ changed)
//!              created, changed = count u32 ‖ (coin id ‖ its state)…                     deleted = count u32 ‖ coin id…
//!              each ascending by coin id; delta_0 = zero, for the genesis coins follow from the genesis
//! state root = D("state", delta ‖ map root ‖ batch hash ‖ D("issue numbers", …) ‖ D("overdue", …))
//!              issue numbers = count u32 ‖ (series u32 ‖ next u64)…                      ascending by series
//!              overdue = count u32 ‖ (envelope id ‖ submitter u16)…                      ascending
//! ```
//! A coin that a block both creates and deletes stands in none of the three lists.

use crate::ledger::{Ledger, encode_entries};
use crate::working::CoinChanges;
use ledger_types::coin::Coin;
use ledger_types::encoding::Encode;
use ledger_types::ids::*;
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

pub(crate) fn state_root(chain: &Chain, ledger: &Ledger) -> StateRoot {
    let mut numbers = Vec::new();
    encode_entries(&ledger.issue_numbers, &mut numbers);
    let issue_numbers = chain.hash(Tag::IssueNumbers, &[&numbers]);
    let overdue = chain.hash(Tag::Overdue, &[&ledger.overdue.to_bytes()]);
    let parts: [&[u8]; 5] = [&ledger.delta, &ledger.map_root.0, &ledger.batch_hash.0, &issue_numbers, &overdue];
    StateRoot(chain.hash(Tag::State, &parts))
}
