//! The report: one canonical JSON document, so that its hash can stand in a deployment and anybody can make it again.
//!
//! Canonical as RFC 8785 has it for what is used here: keys sorted, no white space, integers and ASCII or UTF-8 strings
//! without needless escapes; no floats. Rates are integers in hundredths of a basis point (1 % is 10000), values of feeds
//! decimal strings at the feed's scale. It names no file, no machine and no time of its making.

use crate::replay::{FeedValue, Loan, Plan, Replay, Row};
use crate::table::{FeedSource, Rounding, Table};
use contracts_vm::policy::Policy;
use contracts_vm::unit::decimal;
use contracts_vm::{Frequency, Period, Verdict};
use serde_json::{Value, json};

pub struct Report {
    pub document: Value,
    /// What is hashed and saved.
    pub bytes: Vec<u8>,
    pub blake3: [u8; 32],
}

pub fn report(
    policy: &Policy,
    table: &Table,
    sources: &[FeedSource],
    rounding: Rounding,
    plan: &Plan,
    replay: &Replay,
) -> Report {
    let frequency = replay.frequency;
    let text = |period: Period| period.text(frequency);
    let feeds: Vec<Value> = policy
        .feeds
        .iter()
        .zip(sources)
        .map(|(feed, source)| {
            json!({
                "feed": feed.name, "series": source.series, "column": source.column, "scale": feed.scale,
                "frequency": feed.frequency.word(), "missing": source.missing, "rounded": source.rounded,
                "repeated": source.repeated,
            })
        })
        .collect();
    let changes: Vec<Value> = replay
        .changes()
        .iter()
        .map(|change| {
            json!({
                "period": text(change.row.period), "known_from": change.row.known_from.to_string(),
                "rate_before": change.before.rate.0, "rate": change.row.rate.0,
                "verdicts_before": verdicts(change.before), "verdicts": verdicts(change.row),
            })
        })
        .collect();
    let years: Vec<Value> = replay
        .years()
        .iter()
        .map(|year| {
            json!({
                "year": year.year, "rows": year.rows, "rate_lowest": year.lowest.0, "rate_highest": year.highest.0,
                "rate_average": year.average.0,
                "permitted": year.permitted.iter().copied().map(text).collect::<Vec<_>>(),
            })
        })
        .collect();
    let document = json!({
        "schema": "assay-backtest-1",
        "policy": {
            "name": policy.name, "version": policy.version, "currency": policy.currency.as_str(),
            "source_blake3": hex(blake3::hash(policy.canonical().as_bytes()).as_bytes()),
        },
        "data": {
            "blake3": hex(&table.blake3), "frequency": table.frequency.word(), "feeds": feeds,
            "first": table.periods[0].text(table.frequency),
            "last": table.periods[table.periods.len() - 1].text(table.frequency),
            "vintages": "one",
            "rounding": if rounding == Rounding::Refuse { "refused" } else { "half_to_even" },
        },
        "plan": {
            "loans": replay.loans.iter().map(loan).collect::<Vec<_>>(),
            "lag_days": plan.lag_days, "years_later": plan.years_later,
        },
        "rows": replay.rows.iter().map(|found| row(found, frequency, policy)).collect::<Vec<_>>(),
        "changes": changes,
        "years": years,
        "before_block_time": replay.before_block_time.map(|(first, last)| json!([text(first), text(last)])),
    });
    // Maps of serde_json are sorted, for no package of ours asks for the order of insertion; a test holds that.
    let bytes = serde_json::to_vec(&document).expect("strings and integers");
    let blake3 = *blake3::hash(&bytes).as_bytes();
    Report { document, bytes, blake3 }
}

fn loan(loan: &Loan) -> Value {
    json!({ "sector": loan.sector.map(|sector| sector.to_string()), "rate": loan.rate, "term_days": loan.term_days })
}

fn row(row: &Row, frequency: Frequency, policy: &Policy) -> Value {
    let input = |input: &FeedValue| {
        let feed = &policy.feeds[usize::from(input.feed)];
        let (period, value) = match input.value {
            Some((period, value)) => (Some(period.text(feed.frequency)), Some(decimal(value, feed.scale, feed.scale))),
            None => (None, None),
        };
        json!({ "feed": feed.name, "back": input.back, "period": period, "value": value })
    };
    json!({
        "period": row.period.text(frequency), "known_from": row.known_from.to_string(), "rate": row.rate.0,
        "verdicts": verdicts(row), "fuel": [row.fuel.0, row.fuel.1],
        "inputs": row.inputs.iter().map(input).collect::<Vec<_>>(),
    })
}

fn verdicts(row: &Row) -> Vec<Value> {
    row.verdicts
        .iter()
        .map(|verdict| match verdict {
            Verdict::Permit { due_days } => json!({ "permit": true, "due_days": due_days }),
            Verdict::Deny { reason } => {
                json!({ "permit": false, "reason": reason.number(), "detail": reason.detail() })
            }
        })
        .collect()
}

/// `permit`, or `deny: ` and why.
pub fn verdict_word(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Permit { .. } => "permit".to_owned(),
        Verdict::Deny { reason } => format!("deny: {reason}"),
    }
}

fn hex(bytes: &[u8; 32]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
