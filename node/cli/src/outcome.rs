//! Results and failures, as text or as one versioned JSON document.

use node_api::{ClientError, Problem};
use serde_json::{Value, json};
use std::io::{self, Write};
use std::path::Path;
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
    /// What was done is told all the same, and the command fails with this.
    pub failure: Option<Failure>,
}

impl Outcome {
    pub fn new(data: impl serde::Serialize, text: impl Into<String>) -> Self {
        let data = serde_json::to_value(data).expect("documents are plain JSON");
        Outcome { data, text: text.into(), warnings: Vec::new(), failure: None }
    }

    pub fn but(mut self, failure: Failure) -> Self {
        self.failure = Some(failure);
        self
    }

    pub fn with_warning(mut self, warning: impl Into<String>) -> Self {
        self.warnings.push(warning.into());
        self
    }
}

/// Exit codes that scripts rely on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// This machine failed: a file, the disk, a program that does not start.
    Local = 1,
    /// What was asked cannot be asked so: arguments, or a token that the node does not know.
    Usage = 2,
    /// A rule of the ledger, of a bank's desk or of the interface says no.
    Refused = 3,
    NotFound = 4,
    /// No answer, not yet, or too many requests: the same again may succeed.
    Network = 5,
    VerificationFailed = 6,
    /// As shells tell of SIGINT.
    Interrupted = 130,
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

    /// A file that cannot be read or written, or whose content is not what its name says.
    pub fn file(path: &Path, cause: impl std::fmt::Display) -> Self {
        Failure::new(Exit::Local, "file", format!("{}: {cause}", path.display()))
    }

    pub fn interrupted() -> Self {
        Failure::new(Exit::Interrupted, "interrupted", "interrupted")
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
            400 | 401 => Exit::Usage,
            404 => Exit::NotFound,
            // The node asks for patience: the same request is good later.
            429 | 500..=599 => Exit::Network,
            _ => Exit::Refused,
        };
        let help = match problem.status {
            401 => Some("--as NODE takes a local node's own token, --token-file FILE any other's".to_owned()),
            429 => Some(problem.help.unwrap_or_else(|| "ask again in a second".to_owned())),
            _ => problem.help,
        };
        let number = problem.number.map(|number| format!(" (rejection {number})")).unwrap_or_default();
        Failure { exit, code: problem.code, message: format!("{}{number}", problem.detail), help }
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Refused(problem) => problem.into(),
            ClientError::Unreachable { .. } => Failure::network("unreachable", error.to_string())
                .with_help("is the cluster up? scripts/cluster status"),
            ClientError::Foreign { .. } => Failure::network("foreign_answer", error.to_string()),
        }
    }
}

pub fn print(format: Format, result: Result<Outcome, Failure>) -> ExitCode {
    let (outcome, failure) = match result {
        Ok(mut outcome) => {
            let failure = outcome.failure.take();
            (Some(outcome), failure)
        }
        Err(failure) => (None, Some(failure)),
    };
    let mut written = Ok(());
    match format {
        Format::Text => {
            if let Some(outcome) = &outcome {
                outcome.warnings.iter().for_each(|warning| eprintln!("warning: {warning}"));
                written = write_out(outcome.text.trim_end());
            }
            if let Some(failure) = &failure {
                eprintln!("error: {} [{}]", failure.message, failure.code);
                failure.help.iter().for_each(|help| eprintln!("help:  {help}"));
            }
        }
        Format::Json => {
            let (data, warnings) = outcome.map(|outcome| (outcome.data, outcome.warnings)).unzip();
            written = write_out(&document(data, failure.as_ref(), &warnings.unwrap_or_default()).to_string());
        }
    }
    if let Err(error) = written {
        eprintln!("error: the result cannot be written: {error} [output]");
        return ExitCode::from(Exit::Local as u8);
    }
    failure.map_or(ExitCode::SUCCESS, |failure| ExitCode::from(failure.exit as u8))
}

/// A reader that has gone, as `head` goes, wants no more: that is no failure.
fn write_out(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

fn document(data: Option<Value>, failure: Option<&Failure>, warnings: &[String]) -> Value {
    let errors: Vec<Value> =
        failure.iter().map(|f| json!({ "code": f.code, "message": f.message, "help": f.help })).collect();
    json!({ "schema_version": 1, "success": failure.is_none(), "data": data, "errors": errors, "warnings": warnings })
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
    fn a_missing_token_is_the_callers_and_a_full_lane_asks_for_patience() {
        let token = Failure::from(Problem::new(401, "token_required", "", "no token"));
        assert_eq!((token.exit, token.code.as_str()), (Exit::Usage, "token_required"));
        assert!(token.help.unwrap().contains("--token-file"));
        let full = Failure::from(Problem::new(429, "busy", "", "full").with_help("ask again in 7 s"));
        assert_eq!((full.exit, full.help.as_deref()), (Exit::Network, Some("ask again in 7 s")));
    }

    #[test]
    fn a_file_that_fails_is_no_fault_of_the_arguments() {
        let failure = Failure::file(Path::new("/nowhere"), "no such file");
        assert_eq!((failure.exit, failure.code.as_str()), (Exit::Local, "file"));
    }

    #[test]
    fn the_document_has_one_shape_for_results_and_errors() {
        let good = document(Some(json!({ "height": 2 })), None, &["old".into()]);
        assert_eq!(
            good.to_string(),
            r#"{"data":{"height":2},"errors":[],"schema_version":1,"success":true,"warnings":["old"]}"#
        );
        let bad = document(None, Some(&Failure::usage("no")), &[]);
        let expected = r#"{"data":null,"errors":[{"code":"usage","help":null,"message":"no"}],"schema_version":1,"success":false,"warnings":[]}"#;
        assert_eq!(bad.to_string(), expected);
    }
}
