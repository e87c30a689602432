//! What the registry says of every coin below a prefix of key hashes (L-4), for a reader who does not name the one it means.
//!
//! The entries are checked to be *all* below the prefix, so one proof answers for any coin there, a coin without a record too.

use crate::proof::{Answer, BucketProof};
use crate::state::{CheckedState, VerifiedState};
use crate::trust::Trust;
use crate::verdict::{Reason, Verdict};
use ledger_tree::Hash;
use ledger_tree::map::{self, EntryType, Prefix};
use ledger_types::confirmation::Record;
use ledger_types::encoding::Decode;
use ledger_types::{CoinId, TreeRoot};
use std::collections::BTreeMap;

/// Every entry of the map below a prefix, in a confirmed state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedBucket {
    prefix: Prefix,
    /// Values by key hash.
    entries: BTreeMap<Hash, Vec<u8>>,
    state: VerifiedState,
}

impl VerifiedBucket {
    pub fn prefix(&self) -> Prefix {
        self.prefix
    }

    /// Among how many the reader's coin is hidden.
    pub fn entries(&self) -> usize {
        self.entries.keys().filter(|key_hash| self.prefix.contains(key_hash)).count()
    }

    /// As in [`VerifiedCoin`](crate::VerifiedCoin). A coin of another bucket is [`Reason::OtherCoin`].
    pub fn answer(&self, coin: &CoinId) -> Result<Answer, Reason> {
        let key_hash = map::key_hash(EntryType::Record, &coin.0);
        if !self.prefix.contains(&key_hash) {
            return Err(Reason::OtherCoin);
        }
        let Some(value) = self.entries.get(&key_hash) else { return Ok(Answer::Absent) };
        Record::from_bytes(value).map(Answer::Present).map_err(|_| Reason::WrongRecord)
    }

    /// As of which batch, height and time, signed by whom and how long ago.
    pub fn state(&self) -> &VerifiedState {
        &self.state
    }
}

/// `asked` is the prefix that the question was about.
pub fn verify_bucket(trust: &Trust, asked: &Prefix, proof: &BucketProof, now_ms: u64) -> Verdict<VerifiedBucket> {
    if proof.prefix != *asked {
        return Verdict::Invalid(Reason::OtherCoin);
    }
    let checked = CheckedState::check(trust, &proof.state).and_then(|checked| {
        entries_are_all(&checked.leaf().map_root, proof)?;
        let entries = proof.entries.iter().map(|entry| (entry.key_hash.0, entry.value.to_vec())).collect();
        Ok(checked.judge(trust, now_ms).map(|state| VerifiedBucket { prefix: proof.prefix, entries, state }))
    });
    checked.into()
}

/// L-4. An entry that is left out, added or altered leads to another root.
fn entries_are_all(root: &TreeRoot, proof: &BucketProof) -> Result<(), Reason> {
    let siblings: Vec<Hash> = proof.siblings.iter().map(|sibling| sibling.0).collect();
    let entries: Vec<(Hash, Hash)> =
        proof.entries.iter().map(|entry| (entry.key_hash.0, map::value_hash(&entry.value))).collect();
    map::verify_below(&root.0, &proof.prefix, &siblings, &entries).map_err(|_| Reason::WrongRecord)
}
