//! Light client: from a pinned genesis document to "this coin is confirmed with this record at this height".
//!
//! What stays true here:
//! - Everything is believed because of signatures that lead to the genesis document, and nothing for where it came from.
//! - Every answer is one of three: verified, not enough power, invalid with a numbered reason ([`Verdict`]).
//! - A verified value has private fields and one door: the check that made it.
//! - No clock, storage or network: the time is an argument, what a verifier remembers is in its [`Trust`].
//!
//! Left to others: fetching proofs, storing a [`TreeHead`] between runs, and what to show for a stale answer.
//! Layouts and rules: `ledger/PROTOCOL.md`, rules G-3, C-6, L-1 to L-4, B-2, R-2.

mod verdict;

// What is believed, and what is shown.
mod trust;

mod proof;

// The registry: checkpoint, state, coin, contracts and feeds, log, owner.
mod checkpoint;

mod state;

mod coin;

mod bucket;

mod entry;

mod leaf;

mod ownership;

mod request;

// Blocks, and the way from one validator set to the next.
mod block;

mod hand_over;

pub use verdict::{Reason, Verdict};

pub use trust::{TreeHead, Trust};

pub use proof::{
    Answer, BUCKET_ENTRIES_MAX, BucketEntry, BucketProof, CHECKPOINT_BYTES_MAX, COIN_PROOF_BYTES_MAX, CoinProof,
    PROOF_VERSION, STATE_PROOF_BYTES_MAX, StateProof,
};

pub use state::{STALE_AFTER_MS, Supply, VerifiedState, verify_state, verify_supply};

pub use bucket::{VerifiedBucket, verify_bucket};
pub use coin::{VerifiedCoin, verify_coin};

pub use entry::{
    ENTRY_PROOF_BYTES_MAX, Entry, EntryInState, EntryKey, EntryProof, VerifiedEntry, verify_entries, verify_entry,
};

pub use leaf::{LeafProof, LoggedLeaf, verify_leaf};

pub use ownership::verify_ownership;

pub use request::{LoggedRequest, REQUEST_PROOF_BYTES_MAX, RequestProof, verify_request};

pub use block::{AcceptedEnvelope, VerifiedBlock, verify_acknowledgement, verify_block, verify_segment};
pub use ledger_types::hand_over::{HandOver, HandOverOrder};
