//! `POST /v1/contracts/try`: what the page of that name answers, as JSON. The one path that takes a body; it keeps nothing.

use super::Answered;
use super::documents::count;
use crate::http::refusal::{bad_request, body_too_large, overloaded};
use crate::site::Site;
use crate::trial::{Asked, NotReplayed, Replayed, Trial, Tried};
use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use contracts_backtest::verdict_word;
use contracts_vm::diagnostic::line_and_column;
use contracts_vm::{Diagnostic, Finding, Language, Severity, Span, Verdict};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// Of diagnostics, and of findings.
const LISTED_MAX: usize = 100;

/// A policy, and the question that history is asked.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TrialQuestion {
    /// The source, at most 8 KiB (contracts/LANGUAGE.md).
    policy: String,
    /// `us-quarterly` (the default: 1959Q1 to 2009Q3) or `us-employment` (2006-01 to 2015-12).
    #[serde(default)]
    history: String,
    /// Which column stands for which series. Without, the one that the history has for it, or the column of that name.
    #[serde(default)]
    columns: BTreeMap<String, String>,
    /// ISIC section (`C`) or division (`C10`).
    #[serde(default)]
    sector: String,
    /// Percent a year, `4.30`.
    #[serde(default)]
    rate: String,
    term_days: Option<u16>,
    /// From a period's end until its value is published.
    lag_days: Option<u16>,
    /// Replays history as if it came so many years later.
    years_later: Option<u16>,
    /// `1974`, `1974Q4`, `1974-12`.
    #[serde(default)]
    from: String,
    #[serde(default)]
    to: String,
    /// Round values that have more decimals than their feed, half to even. Without, they are refused.
    #[serde(default)]
    round: bool,
}

impl From<TrialQuestion> for Asked {
    fn from(question: TrialQuestion) -> Self {
        let text = |number: Option<u16>| number.map(|number| number.to_string()).unwrap_or_default();
        Asked {
            policy: question.policy,
            history: question.history,
            columns: question.columns,
            sector: question.sector,
            rate: question.rate,
            term_days: text(question.term_days),
            lag_days: text(question.lag_days),
            years_later: text(question.years_later),
            from: question.from,
            to: question.to,
            rounds: question.round,
        }
    }
}

#[derive(Serialize, ToSchema)]
pub struct TrialAnswer {
    pub schema_version: u32,
    pub is_policy: bool,
    /// Why it is none, the first hundred in the order of the text.
    pub diagnostics: Vec<Remark>,
    pub diagnostics_in_all: u32,
    /// What is odd about it.
    pub findings: Vec<Remark>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<PolicyShown>,
    /// Absent if it is no policy, or was not replayed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replay: Option<ReplayShown>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_replayed: Option<NotReplayedShown>,
}

/// A diagnostic or a finding.
#[derive(Serialize, ToSchema)]
pub struct Remark {
    /// `D-12`, `A-3`: contracts/LANGUAGE.md.
    pub rule: String,
    /// `error`, `defect`, `warning` or `note`.
    pub severity: String,
    /// From 1.
    pub line: u32,
    /// Characters, from 1.
    pub column: u32,
    pub cause: String,
    pub mend: String,
    pub also: Vec<AlsoAt>,
}

/// Another place that a remark is about.
#[derive(Serialize, ToSchema)]
pub struct AlsoAt {
    pub line: u32,
    pub column: u32,
    pub text: String,
}

/// What would be deployed.
#[derive(Serialize, ToSchema)]
pub struct PolicyShown {
    pub name: String,
    pub version: u32,
    pub currency: String,
    /// Canonical.
    pub source: String,
    pub english: String,
    pub chinese: String,
    /// The program as text.
    pub assembly: String,
    /// Hex of the program.
    pub bytes: String,
    /// The most that an evaluation costs.
    pub fuel: u32,
}

#[derive(Serialize, ToSchema)]
pub struct ReplayShown {
    pub history: String,
    pub feeds: Vec<FeedFrom>,
    pub periods: Vec<PeriodShown>,
    /// Periods from which on the verdict or the rate is another than before.
    pub changes: Vec<String>,
    pub years: Vec<YearShown>,
    /// SVG.
    pub chart: String,
    /// Hex of the hash of the report, as `assay contract backtest` makes it from the same table and question.
    pub report_blake3: String,
    /// Of all evaluations together.
    pub fuel: u64,
}

#[derive(Serialize, ToSchema)]
pub struct FeedFrom {
    pub feed: String,
    pub series: String,
    pub column: String,
    pub missing: u32,
    pub rounded: u32,
    /// The table is coarser than the feed: each of its periods has the value of the row that it lies in.
    pub repeated: bool,
}

#[derive(Serialize, ToSchema)]
pub struct PeriodShown {
    pub period: String,
    /// Date on which the period's value was published.
    pub known_from: String,
    pub permitted: bool,
    /// `permit`, or `deny: ` and why.
    pub verdict: String,
    /// Hundredths of a basis point: 1 % is 10000.
    pub rate: i64,
}

/// What banks would have paid in a year: hundredths of a basis point.
#[derive(Serialize, ToSchema)]
pub struct YearShown {
    pub year: i32,
    pub rate_lowest: i64,
    pub rate_highest: i64,
    pub rate_average: i64,
    /// Periods in which a loan was permitted.
    pub permitted: Vec<String>,
}

/// Why a policy was not replayed.
#[derive(Serialize, ToSchema)]
pub struct NotReplayedShown {
    /// `B-13`, or absent if a field of the question holds no value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// `loan_unspecified`, or `bad_field`.
    pub code: String,
    pub detail: String,
}

/// Whether a text is a policy, what it does, and what it would have done over public history. Nothing of it is kept. At most
/// 16 KiB; the content type is not looked at.
#[utoipa::path(
    post, path = "/v1/contracts/try", request_body = TrialQuestion,
    responses((status = 200, body = TrialAnswer)),
)]
pub async fn contract_try(State(site): State<Site>, body: Result<Bytes, BytesRejection>) -> Answered<TrialAnswer> {
    let body = body.map_err(|rejection| match rejection.into_response().status() {
        StatusCode::PAYLOAD_TOO_LARGE => body_too_large(crate::trial::BODY_BYTES_MAX),
        _ => bad_request("bad_body", "the body did not arrive whole"),
    })?;
    let question: TrialQuestion =
        serde_json::from_slice(&body).map_err(|error| bad_request("bad_body", error.to_string()))?;
    let trial = site.trials().run(question.into(), Language::English).await;
    let trial = trial.map_err(|_| overloaded("more policies are being tried out than the site computes at once"))?;
    Ok(Json(TrialAnswer::of(&trial)))
}

impl TrialAnswer {
    fn of(trial: &Trial) -> Self {
        let mut answer = TrialAnswer {
            schema_version: node_api::SCHEMA_VERSION,
            is_policy: trial.answer.is_ok(),
            diagnostics: Vec::new(),
            diagnostics_in_all: 0,
            findings: Vec::new(),
            policy: None,
            replay: None,
            not_replayed: None,
        };
        let source = &trial.asked.policy;
        match &trial.answer {
            Err(wrong) => {
                answer.diagnostics_in_all = count(wrong.len());
                let listed = wrong.iter().take(LISTED_MAX);
                answer.diagnostics = listed.map(|found| Remark::of_diagnostic(source, found)).collect();
            }
            Ok(tried) => {
                let listed = tried.findings.iter().take(LISTED_MAX);
                answer.findings = listed.map(|found| Remark::of_finding(source, found)).collect();
                answer.policy = Some(PolicyShown::of(tried));
                match &tried.replayed {
                    Ok(replayed) => answer.replay = Some(ReplayShown::of(trial.history.name, replayed)),
                    Err(why) => answer.not_replayed = Some(NotReplayedShown::of(why)),
                }
            }
        }
        answer
    }
}

fn at(source: &str, place: Span) -> (u32, u32) {
    let (line, column) = line_and_column(source, place.from);
    (count(line), count(column))
}

fn also(source: &str, also: &[(Span, String)]) -> Vec<AlsoAt> {
    let one = |(place, text): &(Span, String)| {
        let (line, column) = at(source, *place);
        AlsoAt { line, column, text: text.clone() }
    };
    also.iter().map(one).collect()
}

impl Remark {
    fn of_diagnostic(source: &str, found: &Diagnostic) -> Self {
        let (line, column) = at(source, found.place);
        let (cause, mend) = (found.cause.clone(), found.mend.clone());
        let also = also(source, &found.also);
        Remark { rule: format!("D-{}", found.number), severity: "error".into(), line, column, cause, mend, also }
    }

    fn of_finding(source: &str, found: &Finding) -> Self {
        let (line, column) = at(source, found.place);
        let severity = match found.severity {
            Severity::Note => "note",
            Severity::Warning => "warning",
            Severity::Defect => "defect",
        };
        let (cause, mend) = (found.cause.clone(), found.mend.clone());
        let also = also(source, &found.also);
        Remark { rule: format!("A-{}", found.number), severity: severity.into(), line, column, cause, mend, also }
    }
}

impl PolicyShown {
    fn of(tried: &Tried) -> Self {
        let package = &tried.package;
        PolicyShown {
            name: tried.policy.name.clone(),
            version: tried.policy.version,
            currency: tried.policy.currency.as_str().into(),
            source: package.source.clone(),
            english: package.english.clone(),
            chinese: package.chinese.clone(),
            assembly: tried.listing.clone(),
            bytes: hex::encode(package.program.to_bytes()),
            fuel: package.program.fuel(),
        }
    }
}

impl ReplayShown {
    fn of(history: &str, replayed: &Replayed) -> Self {
        let replay = &replayed.replay;
        let text = |period: contracts_vm::Period| period.text(replay.frequency);
        let feeds = replayed.sources.iter().map(|source| FeedFrom {
            feed: source.feed.clone(),
            series: source.series.clone(),
            column: source.column.clone(),
            missing: count(source.missing),
            rounded: count(source.rounded),
            repeated: source.repeated,
        });
        let periods = replay.rows.iter().map(|row| PeriodShown {
            period: text(row.period),
            known_from: row.known_from.to_string(),
            permitted: matches!(row.verdicts[0], Verdict::Permit { .. }),
            verdict: verdict_word(&row.verdicts[0]),
            rate: row.rate.0,
        });
        let years = replay.years().into_iter().map(|year| YearShown {
            year: year.year,
            rate_lowest: year.lowest.0,
            rate_highest: year.highest.0,
            rate_average: year.average.0,
            permitted: year.permitted.into_iter().map(text).collect(),
        });
        ReplayShown {
            history: history.into(),
            feeds: feeds.collect(),
            periods: periods.collect(),
            changes: replay.changes().iter().map(|change| text(change.row.period)).collect(),
            years: years.collect(),
            chart: replayed.chart.clone(),
            report_blake3: hex::encode(replayed.report_blake3),
            fuel: replayed.fuel() as u64,
        }
    }
}

impl NotReplayedShown {
    fn of(why: &NotReplayed) -> Self {
        match why {
            NotReplayed::Field(name) => NotReplayedShown {
                rule: None,
                code: "bad_field".into(),
                detail: format!("{name} holds no value that can be read"),
            },
            NotReplayed::Refused(refusal) => NotReplayedShown {
                rule: Some(format!("B-{}", refusal.number)),
                code: refusal.code().into(),
                detail: refusal.cause.clone(),
            },
        }
    }
}
