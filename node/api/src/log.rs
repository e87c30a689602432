//! The public log, and the registry for a reader who does not say which coin it is about.
//!
//! The log itself stands under `/log`, in the files of C2SP tlog-tiles: `/log/checkpoint`, `/log/tile/<L>/<N>[.p/<W>]`,
//! `/log/tile/entries/<N>[.p/<W>]`. `GET /v1/coins/{coin}/log-proof` is a C2SP tlog-proof file, as text.

use crate::ledger::AsOf;
use serde::{Deserialize, Serialize};

/// Digits of a bucket's prefix: the first four bytes of a key hash, in hex.
pub const PREFIX_DIGITS: usize = 8;

/// `GET /v1/buckets`: how long a prefix to ask for, at the newest checkpoint.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct BucketAdvice {
    /// 0 to 32.
    pub bits: u8,
    /// k: among so many entries an asked coin is hidden on average, as measured over some buckets. 16 at least, or all that
    /// there are.
    pub expected_entries: u32,
    pub log_size: u64,
}

/// `GET /v1/buckets/{bits}/{prefix}`: every entry of the map whose key hash SHA-256(0x01 ‖ coin) begins with these bits, so
/// that the node does not learn which coin is meant. The prefix has [`PREFIX_DIGITS`] digits, those beyond `bits` bits zero.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct Bucket {
    pub bits: u8,
    pub prefix: String,
    pub entries: u32,
    pub as_of: AsOf,
    /// Hex of the canonical `BucketProof`; verify it from a pinned genesis. It holds the entries.
    pub proof: String,
}

/// `GET /v1/consistency?from=N&to=M`: RFC 6962, 2.1.2, between two sizes up to that of the newest checkpoint.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct Consistency {
    pub from: u64,
    pub to: u64,
    /// Hex of the hashes; empty from 0, and between equal sizes.
    pub path: Vec<String>,
}

/// Of a list of hand-overs, as JSON.
pub const HAND_OVERS_BYTES_MAX: usize = 8 << 20;

/// `GET /v1/hand-overs`: those of the validator set, from the genesis to the set that the newest checkpoint names (PROTOCOL 10.6).
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct HandOvers {
    /// Hex of canonical hand-over documents, oldest first.
    pub hand_overs: Vec<String>,
}

/// One of `GET /v1/states?before=SIZE&limit=N`, newest first, at most 100: the state leaves of the log up to the newest
/// checkpoint. `before` is a `log_size`; the page holds smaller ones.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct State {
    /// Of the log that ends on this state leaf.
    pub log_size: u64,
    /// The last batch of the block.
    pub batch: u64,
    pub height: u64,
    pub time_ms: u64,
    pub map_root: String,
    /// Decimal strings: totals are 128 bits wide.
    pub issued: String,
    pub redeemed: String,
    /// Coins that the block's batches confirmed, m: which of them came from which is 1 in m to guess.
    pub records: u64,
}

/// One of `GET /v1/checkpoints?before=SIZE&limit=N`, newest first, at most 100: what this node has seen complete.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct CheckpointSeen {
    pub size: u64,
    /// Hex of the RFC 6962 root.
    pub root: String,
    pub signers: u32,
    /// The quorum-th newest cosignature time.
    pub signed_at_ms: u64,
}

/// The `state` event of `GET /v1/events` (text/event-stream): a new checkpoint is complete. Its `id` is `log_size`. A reader
/// that falls behind gets the newest alone; the node ends a stream after some minutes, and a reader asks again.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct StateEvent {
    pub log_size: u64,
    pub height: u64,
    pub batch: u64,
    pub time_ms: u64,
    pub map_root: String,
}
