//! `assay explain`: every numbered refusal, by its code or its number.
//!
//! Numbers are given family by family, so one number can stand in several: each answer says which family it is of and where its
//! numbers are met. Refusals of a node's interface have codes alone and carry their own sentence.

use crate::outcome::{Exit, Failure, Outcome};
use ledger_state::{BlockRefusal, PaymentRule};
use ledger_types::rejection::Rejection;
use ledger_verify::Reason;
use serde::Serialize;

#[derive(Serialize)]
struct Meaning {
    family: &'static str,
    /// Where a number of this family is met.
    met: &'static str,
    number: u16,
    code: &'static str,
    message: &'static str,
    /// Whether the same bytes can be accepted later; none where nothing is submitted again.
    kind: Option<&'static str>,
}

fn meanings() -> Vec<Meaning> {
    let rejections = Rejection::ALL.iter().map(|r| Meaning {
        family: "ledger rejection",
        met: "the verdict on an envelope or a batch",
        number: r.number(),
        code: r.code(),
        message: r.message(),
        kind: Some(if r.is_final() { "final" } else { "may change with the ledger's state" }),
    });
    let rules = PaymentRule::ALL.iter().map(|r| Meaning {
        family: "payment rule",
        met: "the failed check of a disputed coin",
        number: r.number(),
        code: r.code(),
        message: r.message(),
        kind: None,
    });
    let reasons = Reason::ALL.iter().map(|r| Meaning {
        family: "invalid proof",
        met: "a proof that does not verify",
        number: r.number(),
        code: r.code(),
        message: r.message(),
        kind: Some("final"),
    });
    let blocks = BlockRefusal::ALL.iter().map(|r| Meaning {
        family: "block refusal",
        met: "a proposed block that a validator votes against",
        number: r.number(),
        code: r.code(),
        message: r.message(),
        kind: None,
    });
    let backtests = contracts_backtest::REFUSALS.iter().map(|(number, code, message)| Meaning {
        family: "back-test refusal",
        met: "a table or a plan that assay contract backtest cannot replay, as B-N",
        number: u16::from(*number),
        code,
        message,
        kind: None,
    });
    rejections.chain(rules).chain(reasons).chain(blocks).chain(backtests).collect()
}

pub fn explain(code: &str) -> Result<Outcome, Failure> {
    let number: Option<u16> = code.trim_start_matches(['E', 'e']).parse().ok();
    let found: Vec<Meaning> =
        meanings().into_iter().filter(|meaning| meaning.code == code || Some(meaning.number) == number).collect();
    if found.is_empty() {
        let failure = Failure::new(Exit::NotFound, "unknown_code", format!("nothing here is called {code}"));
        return Err(failure.with_help("ledger/PROTOCOL.md lists every refusal that has a number"));
    }
    let text: Vec<String> = found
        .iter()
        .map(|Meaning { family, met, number, code, message, kind }| {
            let kind = kind.map(|kind| format!("; {kind}")).unwrap_or_default();
            format!("{family} {number} {code} ({met}{kind})\n  {message}")
        })
        .collect();
    Ok(Outcome::new(found, text.join("\n")))
}
