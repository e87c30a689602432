//! What registration asks a bank's desk, and tells it. What is signed stands inside as its canonical bytes (PROTOCOL 9.5).

use super::set::{Range, RangeAnswer};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Question {
    /// The bank's signed claim after this height → `Claim`, `Passed` or, after `wait_ms`, `NotYet`.
    Claim { height: u64, wait_ms: u32 },
    /// The centre's signed claim of the same height → `Taken`.
    CentreClaims { claim: Vec<u8>, signature: Vec<u8> },
    /// What the bank's set holds in these ranges → `Ranges`, one each.
    Ranges { height: u64, status: u8, ranges: Vec<Range> },
    /// What the claims differ in, signed → `Taken`, once it is durable.
    Report { report: Vec<u8>, signature: Vec<u8> },
    /// The record of a coin in the registry, with its proof as of the newest checkpoint → `Proof`.
    CoinProof { coin: [u8; 32] },
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    Claim {
        claim: Vec<u8>,
        signature: Vec<u8>,
    },
    /// The desk stands beyond that height already, at this one.
    Passed {
        height: u64,
    },
    /// It has not come there.
    NotYet {
        height: u64,
    },
    Ranges(Vec<RangeAnswer>),
    Taken,
    Proof(Vec<u8>),
}
