//! `assay explain`: every refusal, by its code or its number.
//!
//! Numbers are given family by family, so one number can stand in several: each answer says which family it is of and where its
//! refusals are met. Those of the interface have codes alone.

use crate::outcome::{Exit, Failure, Outcome};
use ledger_state::{BlockRefusal, PaymentRule};
use ledger_types::rejection::Rejection;
use ledger_verify::Reason;
use node_api::refusals::REFUSALS;
use serde::Serialize;

#[derive(Serialize)]
struct Meaning {
    family: &'static str,
    /// Where a number of this family is met.
    met: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    number: Option<u16>,
    code: &'static str,
    message: &'static str,
    /// What whoever is refused can do; a rule's message says it by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    mend: Option<&'static str>,
    /// Whether the same bytes can be accepted later; none where nothing is submitted again.
    kind: Option<&'static str>,
}

fn meanings() -> Vec<Meaning> {
    let rejections = Rejection::ALL.iter().map(|r| Meaning {
        family: "ledger rejection",
        met: "the verdict on an envelope or a batch",
        number: Some(r.number()),
        code: r.code(),
        message: r.message(),
        mend: None,
        kind: Some(if r.is_final() { "final" } else { "may change with the ledger's state" }),
    });
    let rules = PaymentRule::ALL.iter().map(|r| Meaning {
        family: "payment rule",
        met: "the failed check of a disputed coin",
        number: Some(r.number()),
        code: r.code(),
        message: r.message(),
        mend: None,
        kind: None,
    });
    let reasons = Reason::ALL.iter().map(|r| {
        // The one reason that says something of the program and not of the proof (B-13).
        let is_the_programs = *r == Reason::UnknownRules;
        Meaning {
            family: "invalid proof",
            met: "a proof that does not verify",
            number: Some(r.number()),
            code: r.code(),
            message: r.message(),
            mend: is_the_programs.then_some("install a newer program and check again"),
            kind: (!is_the_programs).then_some("final"),
        }
    });
    let blocks = BlockRefusal::ALL.iter().map(|r| Meaning {
        family: "block refusal",
        met: "a proposed block that a validator votes against",
        number: Some(r.number()),
        code: r.code(),
        message: r.message(),
        mend: None,
        kind: None,
    });
    let interface = REFUSALS.iter().map(|meaning| Meaning {
        family: "interface refusal",
        met: "an answer of a node, a desk or the site",
        number: None,
        code: meaning.code,
        message: meaning.cause,
        mend: Some(meaning.mend),
        kind: None,
    });
    let backtests = contracts_backtest::REFUSALS.iter().map(|(number, code, message)| Meaning {
        family: "back-test refusal",
        met: "a table or a plan that assay contract backtest cannot replay, as B-N",
        number: Some(u16::from(*number)),
        code,
        message,
        mend: None,
        kind: None,
    });
    rejections.chain(rules).chain(reasons).chain(blocks).chain(interface).chain(backtests).collect()
}

pub fn explain(code: &str) -> Result<Outcome, Failure> {
    let number: Option<u16> = code.trim_start_matches(['E', 'e']).parse().ok();
    let found: Vec<Meaning> =
        meanings().into_iter().filter(|m| m.code == code || (number.is_some() && m.number == number)).collect();
    if found.is_empty() {
        let failure = Failure::new(Exit::NotFound, "unknown_code", format!("nothing here is called {code}"));
        return Err(failure.with_help(
            "ledger/PROTOCOL.md lists every refusal that has a number, node/api/src/refusals.rs all others",
        ));
    }
    let text: Vec<String> = found
        .iter()
        .map(|Meaning { family, met, number, code, message, mend, kind }| {
            let kind = kind.map(|kind| format!("; {kind}")).unwrap_or_default();
            let number = number.map(|number| format!(" {number}")).unwrap_or_default();
            let mend = mend.map(|mend| format!("\n  mend: {mend}")).unwrap_or_default();
            format!("{family}{number} {code} ({met}{kind})\n  {message}{mend}")
        })
        .collect();
    Ok(Outcome::new(found, text.join("\n")))
}
