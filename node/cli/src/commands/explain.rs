//! `assay explain`: every refusal, by its code or its number.

use crate::outcome::{Exit, Failure, Outcome};
use ledger_types::rejection::Rejection;
use ledger_verify::Reason;
use serde_json::json;

pub fn explain(code: &str) -> Result<Outcome, Failure> {
    let number: Option<u16> = code.trim_start_matches(['E', 'e']).parse().ok();
    let matches = |c: &str, n: u16| c == code || Some(n) == number;
    let mut found = Vec::new();
    for rejection in Rejection::ALL.iter().filter(|r| matches(r.code(), r.number())) {
        let kind = if rejection.is_final() { "final" } else { "may change with the ledger's state" };
        found.push(("ledger rejection", rejection.number(), rejection.code(), rejection.message(), kind));
    }
    for reason in Reason::ALL.iter().filter(|r| matches(r.code(), r.number())) {
        found.push(("invalid proof", reason.number(), reason.code(), reason.message(), "final"));
    }
    if found.is_empty() {
        let failure = Failure::new(Exit::NotFound, "unknown_code", format!("nothing here is called {code}"));
        return Err(failure.with_help("ledger/PROTOCOL.md lists every refusal"));
    }
    let text: Vec<String> = found
        .iter()
        .map(|(family, number, code, message, kind)| format!("{family} {number} {code} ({kind})\n  {message}"))
        .collect();
    let data: Vec<_> = found
        .iter()
        .map(|(family, number, code, message, kind)| {
            json!({ "family": family, "number": number, "code": code, "message": message, "kind": kind })
        })
        .collect();
    Ok(Outcome::new(data, text.join("\n")))
}
