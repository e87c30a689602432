//! A policy tried out: a text, what stands in its way or what it will do, and what it would have done. One form, which works
//! without a script; an address with an example's name shows that example and its answer.

use super::frame::Frame;
use super::{Here, failure, ok};
use crate::language::Language;
use crate::ledger::contracts::ContractFound;
use crate::trial::history::{EXAMPLES, Example, HISTORIES, History};
use crate::trial::{Asked, NotReplayed, Replayed, Trial, Tried, is_never_in_its_window};
use askama::Template;
use axum::Form;
use axum::extract::rejection::{FormRejection, QueryRejection};
use axum::extract::{Query, State};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use contracts_backtest::{Change, FeedSource, Replay, Year, crisis_years};
use contracts_vm::diagnostic::line_and_column;
use contracts_vm::{DenyReason, Diagnostic, Finding, Period, Policy, Severity, Span, Verdict, Vintage};
use ledger_types::ContractNumber;
use serde::Deserialize;

/// Of diagnostics, and of findings: who has more mends these first.
pub const SHOWN_MAX: usize = 40;
/// Of a source line: one may be the whole source.
const EXCERPT_CHARACTERS_MAX: usize = 100;

#[derive(Deserialize)]
pub struct Chosen {
    example: Option<String>,
    /// One that is deployed: its source to begin with.
    contract: Option<u32>,
}

/// A contract on the ledger whose source is tried out, with the report that it was deployed with.
struct Deployed {
    number: u32,
    report: Option<String>,
}

pub async fn page(State(here): State<Here>, uri: Uri, chosen: Result<Query<Chosen>, QueryRejection>) -> Response {
    let (name, contract) = chosen.map_or((None, None), |Query(chosen)| (chosen.example, chosen.contract));
    if let Some(number) = contract {
        return match here.site.ledger().contract(ContractNumber(number)).await {
            Ok(Some(found)) => {
                let asked = Asked { policy: found.shown().package.source.clone(), ..Asked::default() };
                answered(&here, &uri, asked, None, Some(deployed(&found))).await
            }
            Ok(None) => failure::no_such(&here, &uri, "contracts", failure::NoSuch::Contract),
            Err(error) => failure::no_answer(&here, &uri, &error),
        };
    }
    let example = EXAMPLES.iter().find(|example| Some(example.name) == name.as_deref()).unwrap_or(&EXAMPLES[0]);
    answered(&here, &uri, Asked::example(example), Some(example), None).await
}

fn deployed(found: &ContractFound) -> Deployed {
    let report = found.shown().deployed.report;
    Deployed { number: found.number.0, report: (report != [0; 32]).then(|| hex::encode(report)) }
}

pub async fn answer(
    State(here): State<Here>,
    uri: Uri,
    form: Result<Form<Vec<(String, String)>>, FormRejection>,
) -> Response {
    match form {
        Ok(Form(pairs)) => {
            let number = pairs.iter().find(|(name, _)| name == "contract").and_then(|(_, n)| n.parse().ok());
            // Without an answer the trial stands by itself.
            let of = match number {
                Some(number) => here.site.ledger().contract(ContractNumber(number)).await.ok().flatten(),
                None => None,
            };
            answered(&here, &uri, asked(pairs), None, of.map(|found| deployed(&found))).await
        }
        Err(rejection) => match rejection.into_response().status() {
            StatusCode::PAYLOAD_TOO_LARGE => failure::too_large(&here, &uri),
            _ => answered(&here, &uri, Asked::default(), None, None).await,
        },
    }
}

/// What the form does not have is left aside.
fn asked(pairs: Vec<(String, String)>) -> Asked {
    let mut asked = Asked::default();
    for (name, value) in pairs {
        match name.as_str() {
            "policy" => asked.policy = value,
            "history" => asked.history = value,
            "sector" => asked.sector = value,
            "rate" => asked.rate = value,
            "term_days" => asked.term_days = value,
            "lag_days" => asked.lag_days = value,
            "years_later" => asked.years_later = value,
            "from" => asked.from = value,
            "to" => asked.to = value,
            "rounds" => asked.rounds = true,
            _ => {
                if let Some(series) = name.strip_prefix("column.") {
                    asked.columns.insert(series.to_owned(), value);
                }
            }
        }
    }
    asked
}

async fn answered(
    here: &Here,
    uri: &Uri,
    asked: Asked,
    example: Option<&'static Example>,
    of: Option<Deployed>,
) -> Response {
    let language = here.language.of_policies();
    let Ok(trial) = here.site.trials().run(asked, language).await else { return failure::busy(here, uri, "try.busy") };
    let f = here.frame(uri, "contracts", here.t("try.title"));
    ok(&Page { deployed: of, ..Page::new(f, &trial, example) })
}

#[derive(Template)]
#[template(path = "contract_try.html")]
struct Page {
    f: Frame,
    examples: Vec<(&'static str, &'static str, bool)>,
    /// Behind a line end: a browser drops the first of a text area.
    policy: String,
    histories: Vec<(&'static str, &'static str, bool)>,
    columns: Vec<ColumnOf>,
    fields: Vec<Field>,
    rounds: bool,
    /// Why it is no policy.
    wrong: Vec<Remark>,
    wrong_count: usize,
    tried: Option<Shown>,
    deployed: Option<Deployed>,
}

/// Which column stands for a series.
struct ColumnOf {
    series: String,
    choices: Vec<(String, bool)>,
}

struct Field {
    name: &'static str,
    label: &'static str,
    hint: &'static str,
    value: String,
    is_wrong: bool,
}

/// A diagnostic or a finding.
struct Remark {
    /// `D-12`
    number: String,
    tone: &'static str,
    kind: &'static str,
    /// What the number means.
    meaning: &'static str,
    place: Place,
    /// The language's own words, which are English.
    cause: String,
    mend: String,
    also: Vec<(Place, String)>,
}

struct Place {
    words: String,
    before: String,
    marked: String,
    after: String,
}

struct Shown {
    findings: Vec<Remark>,
    explanation: String,
    source: String,
    listing: String,
    bytes: usize,
    fuel: u32,
    replay: Option<ReplayShown>,
    /// What stands in its way, and the details in English.
    not_replayed: Option<(String, String)>,
}

struct ReplayShown {
    history: &'static str,
    source: &'static str,
    chart: String,
    span: String,
    permitted: String,
    feeds: Vec<(String, String, String)>,
    warnings: Vec<String>,
    years: Vec<(i32, String, String)>,
    changes: Vec<Changed>,
    hash: String,
    fuel: String,
}

struct Changed {
    known_from: String,
    period: String,
    verdict: String,
    rate: String,
}

impl Page {
    fn new(f: Frame, trial: &Trial, example: Option<&'static Example>) -> Self {
        let Trial { asked, history, answer } = trial;
        let language = f.language;
        let is_chosen = |known: &Example| example.is_some_and(|example| example.name == known.name);
        let examples = EXAMPLES
            .iter()
            .map(|known| (known.name, language.t(&format!("try.example.{}", known.name)), is_chosen(known)))
            .collect();
        let histories = HISTORIES
            .iter()
            .map(|known| (known.name, language.t(&format!("try.history.{}", known.name)), known.name == history.name))
            .collect();
        let wrong_field = match answer.as_ref().map(|tried| &tried.replayed) {
            Ok(Err(NotReplayed::Field(name))) => Some(*name),
            _ => None,
        };
        let fields = [
            ("sector", &asked.sector),
            ("rate", &asked.rate),
            ("term_days", &asked.term_days),
            ("lag_days", &asked.lag_days),
            ("years_later", &asked.years_later),
            ("from", &asked.from),
            ("to", &asked.to),
        ];
        let fields = fields.into_iter().map(|(name, value)| Field {
            name,
            label: language.t(&format!("try.field.{name}")),
            hint: language.t(&format!("try.hint.{name}")),
            value: value.clone(),
            is_wrong: wrong_field == Some(name),
        });
        let fields = fields.collect();
        let columns = answer.as_ref().map_or_else(|_| Vec::new(), |tried| columns(asked, history, &tried.policy));
        let (wrong, wrong_count) = match answer {
            Ok(_) => (Vec::new(), 0),
            Err(wrong) => {
                let remark = |diagnostic| Remark::of_diagnostic(language, &asked.policy, diagnostic);
                (wrong.iter().take(SHOWN_MAX).map(remark).collect(), wrong.len())
            }
        };
        let tried = answer.as_ref().ok().map(|tried| Shown::new(language, asked, history, tried));
        let (policy, rounds) = (format!("\n{}", asked.policy), asked.rounds);
        Page { f, examples, policy, histories, columns, fields, rounds, wrong, wrong_count, tried, deployed: None }
    }
}

impl Page {
    /// Whether this replay's report is the one that the contract was deployed with.
    fn compared(&self, hash: &str) -> Option<(&'static str, String)> {
        let Deployed { number, report } = self.deployed.as_ref()?;
        Some(match report {
            None => ("note", self.f.t("try.report_none").to_owned()),
            Some(report) if report == hash => ("note-good", self.f.fill("try.report_same", &[number])),
            Some(report) => ("note-warn", self.f.fill("try.report_other", &[number, report])),
        })
    }
}

fn columns(asked: &Asked, history: &'static History, policy: &Policy) -> Vec<ColumnOf> {
    let of = |feed: &contracts_vm::policy::Feed| {
        let series = feed.series.to_string();
        let chosen = asked.columns.get(&series).map(String::as_str).filter(|column| !column.is_empty());
        let chosen = chosen.or_else(|| history.column_for(&series));
        let choices = history.columns().map(|column| (column.to_owned(), Some(column) == chosen)).collect();
        ColumnOf { series, choices }
    };
    policy.feeds.iter().map(of).collect()
}

impl Remark {
    fn of_diagnostic(language: Language, source: &str, found: &Diagnostic) -> Self {
        Remark {
            number: format!("D-{}", found.number),
            tone: "bad",
            kind: language.t("severity.error"),
            meaning: language.t(&format!("diagnostic.{}", found.number)),
            place: Place::of(language, source, found.place),
            cause: found.cause.clone(),
            mend: found.mend.clone(),
            also: found.also.iter().map(|(place, text)| (Place::of(language, source, *place), text.clone())).collect(),
        }
    }

    fn of_finding(language: Language, source: &str, found: &Finding) -> Self {
        let (tone, key) = match found.severity {
            Severity::Note => ("note", "severity.note"),
            Severity::Warning => ("warn", "severity.warning"),
            Severity::Defect => ("bad", "severity.defect"),
        };
        Remark {
            number: format!("A-{}", found.number),
            tone,
            kind: language.t(key),
            meaning: language.t(&format!("finding.{}", found.number)),
            place: Place::of(language, source, found.place),
            cause: found.cause.clone(),
            mend: found.mend.clone(),
            also: found.also.iter().map(|(place, text)| (Place::of(language, source, *place), text.clone())).collect(),
        }
    }
}

impl Place {
    /// The line it begins in, as far as it is shown, with what it is about apart.
    fn of(language: Language, source: &str, span: Span) -> Self {
        let (line, column) = line_and_column(source, span.from);
        let text = source.lines().nth(line - 1).unwrap_or_default();
        let marked = source.get(span.from as usize..span.to as usize).unwrap_or_default();
        let marked = marked.lines().next().unwrap_or_default().chars().count();
        // So that the place is in sight, however long the line.
        let from = (column - 1).saturating_sub(EXCERPT_CHARACTERS_MAX / 2);
        let part = |skip: usize, take: usize| text.chars().skip(skip).take(take).collect::<String>();
        let marked = marked.min(EXCERPT_CHARACTERS_MAX / 2);
        Place {
            words: language.fill("try.place", &[&line, &column]),
            before: part(from, column - 1 - from),
            marked: part(column - 1, marked),
            after: part(column - 1 + marked, EXCERPT_CHARACTERS_MAX / 2 - marked),
        }
    }
}

impl Shown {
    fn new(language: Language, asked: &Asked, history: &'static History, tried: &Tried) -> Self {
        let remark = |found| Remark::of_finding(language, &asked.policy, found);
        let (replay, not_replayed) = match &tried.replayed {
            Ok(replayed) => (Some(ReplayShown::new(language, history, &tried.policy, replayed)), None),
            Err(NotReplayed::Field(name)) => {
                let label = language.t(&format!("try.field.{name}"));
                (None, Some((language.fill("try.wrong_field", &[&label]), String::new())))
            }
            Err(NotReplayed::Refused(refusal)) => {
                let sentence = language.t(&format!("replay.{}", refusal.number)).to_owned();
                (None, Some((sentence, refusal.to_string())))
            }
        };
        let package = &tried.package;
        Shown {
            findings: tried.findings.iter().take(SHOWN_MAX).map(remark).collect(),
            explanation: match language {
                Language::English => package.english.clone(),
                Language::Chinese => package.chinese.clone(),
            },
            source: package.source.clone(),
            listing: tried.listing.clone(),
            bytes: package.program.to_bytes().len(),
            fuel: package.program.fuel(),
            replay,
            not_replayed,
        }
    }
}

impl ReplayShown {
    fn new(language: Language, history: &'static History, policy: &Policy, replayed: &Replayed) -> Self {
        let replay = &replayed.replay;
        let text = |period: Period| period.text(replay.frequency);
        let (first, last) = (&replay.rows[0], &replay.rows[replay.rows.len() - 1]);
        let sources = replayed.sources.iter();
        let change = |Change { before, row }: &Change<'_>| {
            let from_to = |was: &str, is: &str| if was == is { is.to_owned() } else { format!("{was} → {is}") };
            let verdict = |at: &contracts_backtest::Row| word(language, policy, &at.verdicts[0]);
            Changed {
                known_from: row.known_from.to_string(),
                period: text(row.period),
                verdict: from_to(&verdict(before), &verdict(row)),
                rate: from_to(&before.rate.to_string(), &row.rate.to_string()),
            }
        };
        let crises = crisis_years(replay);
        let years = replay.years().into_iter().filter(|year| crises.contains(&year.year));
        let year = |Year { year, lowest, highest, average, permitted, .. }: Year| {
            let paid = match lowest == highest {
                true => language.fill("try.paid_throughout", &[&lowest]),
                false => language.fill("try.paid", &[&lowest, &highest, &average]),
            };
            let names: Vec<String> = permitted.into_iter().map(text).collect();
            let lent = if names.is_empty() { language.t("try.not_lent").to_owned() } else { names.join(", ") };
            (year, paid, lent)
        };
        ReplayShown {
            history: language.t(&format!("try.history.{}", history.name)),
            source: language.t(&format!("try.source.{}", history.name)),
            chart: replayed.chart.clone(),
            span: language.fill("try.span", &[&replay.rows.len(), &text(first.period), &text(last.period)]),
            permitted: language.fill("try.permitted", &[&replay.permitted(0).len()]),
            feeds: sources.map(|of| (of.feed.clone(), of.series.clone(), of.column.clone())).collect(),
            warnings: warnings(language, policy, &replayed.sources, replay),
            years: years.map(year).collect(),
            changes: replay.changes().iter().map(change).collect(),
            hash: hex::encode(replayed.report_blake3),
            fuel: language.fill("try.fuel", &[&replayed.fuel(), &crate::trial::FUEL_MAX]),
        }
    }
}

fn word(language: Language, policy: &Policy, verdict: &Verdict) -> String {
    let Verdict::Deny { reason } = verdict else { return language.t("try.permit").to_owned() };
    match reason {
        DenyReason::Sector { line: 0 } => language.t("deny.no_sector").to_owned(),
        DenyReason::FeedStale { feed } => language.fill("deny.10", &[&policy.feeds[usize::from(*feed)].name]),
        other => language.fill(&format!("deny.{}", other.number()), &[&other.detail()]),
    }
}

/// What a reader must know of the history to read the answer rightly.
pub fn warnings(language: Language, policy: &Policy, sources: &[FeedSource], replay: &Replay) -> Vec<String> {
    let mut warnings = Vec::new();
    if let Some((first, last)) = replay.before_block_time {
        let (first, last) = (first.text(replay.frequency), last.text(replay.frequency));
        warnings.push(language.fill("try.warn_before", &[&first, &last]));
    }
    for (source, feed) in sources.iter().zip(&policy.feeds) {
        let (name, column) = (&source.feed, &source.column);
        if feed.vintage == Vintage::First {
            warnings.push(language.fill("try.warn_first", &[name, column]));
        }
        if source.repeated {
            warnings.push(language.fill("try.warn_repeated", &[name, column]));
        }
        if source.rounded > 0 {
            warnings.push(language.fill("try.warn_rounded", &[&source.rounded, column, &feed.scale]));
        }
        if source.missing > 0 {
            warnings.push(language.fill("try.warn_missing", &[column, &source.missing]));
        }
    }
    if is_never_in_its_window(replay) {
        warnings.push(language.t("try.warn_window").to_owned());
    }
    warnings
}
