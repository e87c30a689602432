//! A leaf of the public log that is about a key of the map: a receipt, a false statement of a loan, what officers ordered about a
//! contract, a feed or its item (12.5).
//!
//! ```text
//! leaf proof = state proof ‖ leaf ‖ index u64 ‖ path: list of hash[32]
//! ```
//! What stays true here: a [`LoggedLeaf`] stands below a checkpoint with the log's signature and a quorum's. Nothing says that it is
//! the last about its key: that is what the map is for.

use crate::entry::EntryKey;
use crate::proof::StateProof;
use crate::state::{CheckedState, VerifiedState};
use crate::trust::Trust;
use crate::verdict::{Reason, Verdict};
use ledger_tree::log;
use ledger_tree::merkle::PATH_HASHES_MAX;
use ledger_types::contract::ContractAction;
use ledger_types::encoding::{Encode, List};
use ledger_types::log_leaf::LogLeaf;
use ledger_types::{TreeRoot, layout};

/// A leaf, and where it stands in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeafProof {
    pub state: StateProof,
    pub leaf: LogLeaf,
    pub index: u64,
    /// From the leaf's level up.
    pub path: List<TreeRoot, PATH_HASHES_MAX>,
}
layout!(LeafProof { state, leaf, index, path });

/// A leaf in the log as of a confirmed state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoggedLeaf {
    leaf: LogLeaf,
    index: u64,
    state: VerifiedState,
}

impl LoggedLeaf {
    pub fn leaf(&self) -> &LogLeaf {
        &self.leaf
    }

    pub fn index(&self) -> u64 {
        self.index
    }

    pub fn state(&self) -> &VerifiedState {
        &self.state
    }
}

/// `asked` is the key that the question was about: a proof may hold and be of a leaf about another.
pub fn verify_leaf(trust: &Trust, asked: &EntryKey, proof: &LeafProof, now_ms: u64) -> Verdict<LoggedLeaf> {
    if !is_about(&proof.leaf, asked) {
        return Verdict::Invalid(Reason::OtherCoin);
    }
    let checked = CheckedState::check(trust, &proof.state).and_then(|checked| {
        if !is_logged(&checked, &proof.leaf, proof.index, &proof.path) {
            return Err(Reason::LeafNotLogged);
        }
        let (leaf, index) = (proof.leaf.clone(), proof.index);
        Ok(checked.judge(trust, now_ms).map(|state| LoggedLeaf { leaf, index, state }))
    });
    checked.into()
}

fn is_about(leaf: &LogLeaf, key: &EntryKey) -> bool {
    match (leaf, key) {
        (LogLeaf::Contract(event), EntryKey::Contract(contract)) => event.contract == *contract,
        (LogLeaf::Contract(event), EntryKey::Version(contract, version)) => {
            event.action == ContractAction::Deploy && (event.contract, event.version) == (*contract, *version)
        }
        (LogLeaf::Feed(definition), EntryKey::Feed(feed)) => definition.feed == *feed,
        (LogLeaf::FeedItem(item), EntryKey::FeedItem(feed, period, vintage)) => {
            (item.head.feed, item.head.period, item.head.vintage) == (*feed, *period, *vintage)
        }
        (LogLeaf::Receipt(receipt), EntryKey::Obligation(id)) => receipt.obligation == *id,
        (LogLeaf::FalseStatement(statement), EntryKey::Obligation(id)) => statement.obligation == *id,
        _ => false,
    }
}

/// L-1: below the checkpoint's root, at this index.
pub(crate) fn is_logged(checked: &CheckedState, leaf: &LogLeaf, index: u64, path: &[TreeRoot]) -> bool {
    let head = checked.head();
    let path: Vec<[u8; 32]> = path.iter().map(|hash| hash.0).collect();
    log::verify_inclusion(&head.root.0, index, head.size, &log::leaf_hash(&leaf.to_bytes()), &path).is_ok()
}
