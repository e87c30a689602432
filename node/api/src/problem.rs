//! Refusals over HTTP: RFC 9457 problem documents.

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
}

impl Problem {
    pub fn new(status: u16, code: &str, title: &str, detail: impl Into<String>) -> Self {
        Problem { status, code: code.into(), number: None, title: title.into(), detail: detail.into(), help: None }
    }

    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
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
        }
    }
}
