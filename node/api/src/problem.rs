//! Refusals over HTTP: RFC 9457 problem documents.
//!
//! Codes are stable. Those of a ledger rejection are the rejection's own, with status 422; those of the interface are:
//!
//! | status | code | meaning |
//! |---|---|---|
//! | 400 | `malformed`, `malformed_json`, `bad_path`, `bad_query`, `bad_tile_path`, `bad_prefix`, `not_a_coin_id`, `not_an_envelope_id`, `envelope_count`, … | the request is not well-formed |
//! | 401 | `token_required` | the endpoint takes the node's own token |
//! | 403 | `bundle_signature`, `unknown_submitter` | the bundle is not signed by its submitter, or by nobody in the directory |
//! | 403 | `own_lane`, `not_a_submitter` | this node does not take this submitter's bundles, or none at all: another node does |
//! | 404 | `not_found`, `no_such_path` | |
//! | 405 | `method_not_allowed` | |
//! | 409 | `slot_taken`, `slot_closed`, `slot_lost`, `slot_far_ahead` | this bundle can never be, or is far from being, the next of its lane: ask the lane for its slot and sign anew |
//! | 413 | `body_too_large` | longer than the endpoint reads |
//! | 413 | `over_quota` | it exceeds what its submitter may have in a whole height, so it can never be ordered |
//! | 422 | `bucket_too_large` | too many entries begin with this prefix: ask with a longer one |
//! | 429 | `busy` | back-pressure: the lane is full; send the same again |
//! | 429 | `rate_limited` | this address asks too often |
//! | 500 | `internal` | the node failed |
//! | 503 | `stopping`, `overloaded`, `no_checkpoint`, `too_many_streams`, … | not now |
//! | 504 | `timed_out` | the request, its body included, took too long |
//!
//! 429 and 503 come with `Retry-After`, which `retry_after_s` repeats. The desk's codes stand with its endpoints.

use serde::{Deserialize, Serialize};

/// `application/problem+json`.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq, thiserror::Error)]
#[error("{title}: {detail}")]
pub struct Problem {
    /// HTTP status.
    pub status: u16,
    /// Stable, for programs: a ledger rejection's code, or a code of the interface such as `not_found`.
    pub code: String,
    /// The number of the ledger's rejection, if it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<u16>,
    pub title: String,
    pub detail: String,
    /// What the receiver can do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// Seconds after which the same request may be taken; only where it may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_s: Option<u32>,
}

impl Problem {
    pub fn new(status: u16, code: &str, title: &str, detail: impl Into<String>) -> Self {
        let (code, title, detail) = (code.into(), title.into(), detail.into());
        Problem { status, code, number: None, title, detail, help: None, retry_after_s: None }
    }

    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    pub fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after_s = Some(seconds);
        self
    }

    pub fn rejection(rejection: ledger_types::rejection::Rejection) -> Self {
        Problem {
            status: 422,
            code: rejection.code().into(),
            number: Some(rejection.number()),
            title: "Refused by the ledger's rules".into(),
            detail: rejection.message().into(),
            help: None,
            retry_after_s: None,
        }
    }
}
