//! What reconciliation found, as a bank's desk answers it (`GET /v1/reconciliation`) and registration writes it
//! (`state/reconciliation.json`; that process listens on nothing). The same document on both sides.

use serde::{Deserialize, Serialize};

/// `GET /v1/reconciliation`; the bank's token.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq)]
pub struct Reconciliation {
    pub schema_version: u32,
    /// `bank` or `registration`.
    pub side: String,
    /// The last run with each bank; at a bank its own.
    pub runs: Vec<Run>,
    /// Open ones, muted ones among them.
    pub differences: Vec<Difference>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq)]
pub struct Run {
    pub bank: u16,
    pub at_ms: u64,
    /// `agreed`, `differ` or `failed`.
    pub outcome: String,
    /// As of which the two sides were compared; zero when the run failed before.
    pub height: u64,
    pub block: String,
    pub batch: u64,
    pub sets: Vec<Set>,
    /// Found beyond those that are named.
    pub unnamed: u64,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// What the two sides have signed (PROTOCOL 9.5), in hex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Evidence>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq)]
pub struct Set {
    /// `unconfirmed` (for too long), `live`, `frozen` or `disputed`.
    pub status: String,
    pub at_bank: u64,
    pub at_centre: u64,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq)]
pub struct Evidence {
    pub bank_claim: String,
    pub bank_signature: String,
    pub centre_claim: String,
    pub centre_signature: String,
    pub report_signature: String,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq)]
pub struct Difference {
    /// The same as long as the same coin differs in the same way.
    pub id: String,
    pub bank: u16,
    /// `missing` (the centre has it, the bank's book lacks it), `extra` (the other way), `wrong_owner`, `wrong_state`, `late`,
    /// `unreleased_key`.
    pub kind: String,
    pub coin: String,
    pub at_bank: Option<Side>,
    pub at_centre: Option<Side>,
    /// What the public registry says, once this side has asked it and checked the proof.
    pub registry: Option<Registry>,
    /// The envelope that made the coin.
    pub made_by: Option<String>,
    /// `bank`, `registration` or `unknown`: whose record the registry contradicts.
    pub at_fault: String,
    pub explanation: String,
    /// What this side can run; none when the other side, or a person, must act.
    pub repair: Option<String>,
    pub since_ms: u64,
    /// Of the last run that found it.
    pub height: u64,
    pub muted: Option<Muted>,
    /// What the last repair did; the next run shows whether it holds.
    pub repaired: Option<Repaired>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq)]
pub struct Side {
    pub status: String,
    pub tag: String,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq)]
pub struct Registry {
    /// `absent`, `live`, `spent`, `frozen` or `disputed`.
    pub status: String,
    pub tag: Option<String>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq)]
pub struct Muted {
    pub reason: String,
    pub at_ms: u64,
    /// From then on it counts again.
    pub until_ms: Option<u64>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq)]
pub struct Repaired {
    pub at_ms: u64,
    pub what: String,
}

/// `POST /v1/reconciliation/differences/{id}/mute`
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Mute {
    /// 1 to 200 bytes.
    pub reason: String,
    #[serde(default)]
    pub until_ms: Option<u64>,
}

/// A file in registration's `state/reconciliation-requests`: what an operator of that machine asks of it. It is answered by a
/// file beside it whose name ends in `.answer`, with a [`Reply`].
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// Compare now.
    Run,
    Mute {
        id: String,
        mute: Mute,
    },
    Unmute {
        id: String,
    },
    Repair {
        id: String,
    },
}

#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    Done(Reconciliation),
    Refused(crate::Problem),
}

impl Difference {
    pub fn is_muted(&self, now_ms: u64) -> bool {
        self.muted.as_ref().is_some_and(|muted| muted.until_ms.is_none_or(|until_ms| now_ms < until_ms))
    }
}
