//! Refusals over HTTP: RFC 9457 problem documents.
//!
//! Codes are stable. Those of a ledger rejection are the rejection's own, with status 422; those of the interface stand in
//! [`crate::refusals`]. 429 is back-pressure or a rate, and never what cannot be taken: that is 403, 409, 413 or 422. 429 and 503 come
//! with `Retry-After`, which `retry_after_s` repeats.

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
