//! Results and failures, as text or as one versioned JSON document.

use node_api::{ClientError, Problem};
use serde_json::{Value, json};
use std::process::ExitCode;

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Text,
    Json,
}

/// What a command gives: the data of the JSON document, and the same as text.
pub struct Outcome {
    pub data: Value,
    pub text: String,
    pub warnings: Vec<String>,
}

impl Outcome {
    pub fn new(data: impl serde::Serialize, text: impl Into<String>) -> Self {
        let data = serde_json::to_value(data).expect("documents are plain JSON");
        Outcome { data, text: text.into(), warnings: Vec::new() }
    }

    pub fn with_warning(mut self, warning: impl Into<String>) -> Self {
        self.warnings.push(warning.into());
        self
    }
}

/// Exit codes that scripts rely on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    Usage = 2,
    Refused = 3,
    NotFound = 4,
    Network = 5,
    VerificationFailed = 6,
}

#[derive(Debug)]
pub struct Failure {
    pub exit: Exit,
    pub code: String,
    pub message: String,
    pub help: Option<String>,
}

impl Failure {
    pub fn new(exit: Exit, code: &str, message: impl Into<String>) -> Self {
        Failure { exit, code: code.into(), message: message.into(), help: None }
    }

    pub fn usage(message: impl Into<String>) -> Self {
        Failure::new(Exit::Usage, "usage", message)
    }

    pub fn network(code: &str, message: impl Into<String>) -> Self {
        Failure::new(Exit::Network, code, message)
    }

    pub fn unverified(code: &str, message: impl Into<String>) -> Self {
        Failure::new(Exit::VerificationFailed, code, message)
    }

    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        let exit = match problem.status {
            400 => Exit::Usage,
            404 => Exit::NotFound,
            500..=599 => Exit::Network,
            _ => Exit::Refused,
        };
        let number = problem.number.map(|number| format!(" (rejection {number})")).unwrap_or_default();
        Failure { exit, code: problem.code, message: format!("{}{number}", problem.detail), help: problem.help }
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Refused(problem) => problem.into(),
            ClientError::Unreachable { url, source } => {
                let cause = std::error::Error::source(&source).map_or_else(|| source.to_string(), ToString::to_string);
                Failure::network("unreachable", format!("no answer from {url}: {cause}"))
                    .with_help("is the cluster up? scripts/cluster status")
            }
            ClientError::Foreign { .. } => Failure::network("foreign_answer", error.to_string()),
        }
    }
}

pub fn print(format: Format, result: Result<Outcome, Failure>) -> ExitCode {
    match (format, result) {
        (Format::Text, Ok(outcome)) => {
            outcome.warnings.iter().for_each(|warning| eprintln!("warning: {warning}"));
            println!("{}", outcome.text.trim_end());
            ExitCode::SUCCESS
        }
        (Format::Json, Ok(outcome)) => {
            println!("{}", document(Some(outcome.data), &[], &outcome.warnings));
            ExitCode::SUCCESS
        }
        (Format::Text, Err(failure)) => {
            eprintln!("error: {} [{}]", failure.message, failure.code);
            if let Some(help) = &failure.help {
                eprintln!("help:  {help}");
            }
            ExitCode::from(failure.exit as u8)
        }
        (Format::Json, Err(failure)) => {
            println!("{}", document(None, std::slice::from_ref(&failure), &[]));
            ExitCode::from(failure.exit as u8)
        }
    }
}

fn document(data: Option<Value>, failures: &[Failure], warnings: &[String]) -> Value {
    let errors: Vec<Value> =
        failures.iter().map(|f| json!({ "code": f.code, "message": f.message, "help": f.help })).collect();
    json!({ "schema_version": 1, "success": failures.is_empty(), "data": data, "errors": errors, "warnings": warnings })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_by_a_rule_exits_with_3_and_keeps_its_code_and_number() {
        let problem = Problem::rejection(ledger_types::rejection::Rejection::CoinIsNotSpendable);
        let failure = Failure::from(problem);
        assert_eq!((failure.exit, failure.code.as_str()), (Exit::Refused, "coin_is_not_spendable"));
        assert!(failure.message.ends_with("(rejection 16)"));
    }

    #[test]
    fn the_document_has_one_shape_for_results_and_errors() {
        let good = document(Some(json!({ "height": 2 })), &[], &["old".into()]);
        assert_eq!(
            good.to_string(),
            r#"{"data":{"height":2},"errors":[],"schema_version":1,"success":true,"warnings":["old"]}"#
        );
        let bad = document(None, &[Failure::usage("no")], &[]);
        let expected = r#"{"data":null,"errors":[{"code":"usage","help":null,"message":"no"}],"schema_version":1,"success":false,"warnings":[]}"#;
        assert_eq!(bad.to_string(), expected);
    }
}
