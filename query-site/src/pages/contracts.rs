//! Contracts: the list of them, and one with what it says, what it would do now, and what came of it.

use super::back_test::BackTestShown;
use super::frame::Frame;
use super::{Here, failure, html, ok};
use crate::api::contracts::{RECEIPTS, action_code};
use crate::counterfactual::Counterfactual;
use crate::ledger::contracts::{ContractFound, FeedsRead, LISTED_MAX, VersionFound, period_text};
use crate::show;
use askama::Template;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use contracts_backtest::{Rounding, decimal_at_scale};
use contracts_vm::unit::{PERCENT_DECIMALS, WhenStale};
use contracts_vm::{
    Activation, DenyReason, Evaluation, FeedUse, InputUsed, Language, Program, Rate, Return, SectorCode, Verdict,
};
use ledger_types::feed::Frequency;
use ledger_types::{ContractNumber, Period};
use ledger_verify::STALE_AFTER_MS;
use serde::Deserialize;

#[derive(Template)]
#[template(path = "contracts.html")]
struct List {
    f: Frame,
    rows: Vec<Row>,
    /// Those before the newest are not listed.
    left_out: u32,
    log_size: u64,
    signers: usize,
}

struct Row {
    number: u32,
    name: String,
    version: u32,
    currency: String,
    state: &'static str,
    since: u64,
}

pub async fn list(State(here): State<Here>, uri: Uri) -> Response {
    let f = here.frame(&uri, "contracts", here.t("contracts.title"));
    let found = match here.site.ledger().contracts().await {
        Ok(found) => found,
        Err(error) => return failure::no_answer(&here, &uri, &error),
    };
    let row = |one: &crate::ledger::contracts::ContractListed| Row {
        number: one.number.0,
        name: one.package.program.name().to_owned(),
        version: one.shown.0,
        currency: one.package.program.currency().as_str().to_owned(),
        state: one.standing.code(),
        since: one.deployed.binds_at.0,
    };
    ok(&List {
        rows: found.contracts.iter().map(row).collect(),
        left_out: found.count.saturating_sub(LISTED_MAX),
        log_size: found.proved.state.head().size,
        signers: found.proved.state.signers().len(),
        f,
    })
}

/// A loan that somebody asks about, as it was typed.
#[derive(Clone, Default, Deserialize)]
pub struct Asked {
    #[serde(default)]
    sector: String,
    #[serde(default)]
    rate: String,
    #[serde(default)]
    term_days: String,
}

#[derive(Template)]
#[template(path = "contract.html")]
struct One {
    f: Frame,
    number: u32,
    name: String,
    state: &'static str,
    headline: &'static str,
    sentence: String,
    version: u32,
    policy: String,
    report: Option<String>,
    currency: String,
    deployed_at: u64,
    binds_at: u64,
    idle_days: u64,
    clamp: String,
    fuel: u32,
    explanation: String,
    other_explanation: String,
    source: String,
    now: Option<Now>,
    fields: Vec<Field>,
    back_test: BackTestShown,
    versions: Vec<VersionRow>,
    orders: Vec<OrderRow>,
    open: Vec<OpenRow>,
    is_more_open: bool,
    receipts: Vec<ReceiptRow>,
    /// Orders and receipts before this leaf of the log were not read; 0 if all were.
    first_leaf: u64,
    height: u64,
    log_size: u64,
    signers: usize,
    is_stale: bool,
}

struct Field {
    name: &'static str,
    label: &'static str,
    value: String,
    is_wrong: bool,
}

/// What it would do at the state's time.
struct Now {
    time: String,
    /// Of the loan that was asked about; none if a field holds no value.
    verdict: Option<(bool, String)>,
    rate: String,
    fuel: String,
    inputs: Vec<InputRow>,
}

struct InputRow {
    series: String,
    period: String,
    vintage: String,
    value: String,
    published: String,
    fresh_until: String,
    is_stale: bool,
    /// What the policy does without.
    without: String,
}

struct VersionRow {
    version: u32,
    state: &'static str,
    deployed_at: u64,
    binds_at: u64,
    policy: String,
    short_policy: String,
}

struct OrderRow {
    index: u64,
    action: &'static str,
    version: u32,
    binds_at: u64,
}

struct OpenRow {
    obligation: String,
    short: String,
    version: u32,
    since: String,
    due: String,
    is_overdue: bool,
}

struct ReceiptRow {
    obligation: String,
    short: String,
    version: u32,
    rate: String,
    from: String,
    to: String,
    inputs: usize,
    fuel: u32,
}

pub async fn one(
    State(here): State<Here>,
    uri: Uri,
    path: Result<Path<u32>, PathRejection>,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Response {
    let Ok(Path(number)) = path else { return failure::no_such(&here, &uri, "contracts", failure::NoSuch::Contract) };
    match here.site.ledger().contract(ContractNumber(number)).await {
        Ok(Some(found)) => {
            let asked = asked.map(|Query(asked)| asked).unwrap_or_default();
            let would_have = here.site.counterfactuals().of(found.shown()).await;
            html(StatusCode::OK, &shown(&here, &uri, &found, asked, &would_have))
        }
        Ok(None) => failure::no_such(&here, &uri, "contracts", failure::NoSuch::Contract),
        Err(error) => failure::no_answer(&here, &uri, &error),
    }
}

fn shown(here: &Here, uri: &Uri, found: &ContractFound, asked: Asked, would_have: &Counterfactual) -> One {
    let version = found.shown();
    let program = &version.package.program;
    let f = here.frame(uri, "contracts", f_title(here, found.number.0, program.name()));
    let (state, time_ms) = (&found.proved.state, found.proved.state.time_ms());
    let code = found.standing.code();
    let retires = found.head.retires_at.map_or(0, |height| height.0);
    let sentence = match code {
        "in_force" if retires > 0 => f.fill("contract.in_force_retires", &[&version.version, &retires]),
        "in_force" => f.fill("contract.in_force_text", &[&version.version, &version.deployed.binds_at.0]),
        "in_notice" => f.fill("contract.in_notice_text", &[&version.deployed.binds_at.0]),
        "stopped" => f.fill("contract.stopped_text", &[&found.head.stopped.0]),
        _ => f.fill("contract.retired_text", &[&retires]),
    };
    let (explanation, other_explanation) = match f.language.of_policies() {
        Language::English => (&version.package.english, &version.package.chinese),
        Language::Chinese => (&version.package.chinese, &version.package.english),
    };
    let (loan, fields) = asked.read(&f);
    let events = f.view.tail.events();
    let orders = events.orders(found.number).map(|(index, order)| OrderRow {
        index: *index,
        action: f.t(match action_code(order.action) {
            "deploy" => "order.deploy",
            "stop" => "order.stop",
            _ => "order.retire",
        }),
        version: order.version.0,
        binds_at: order.binds_at.0,
    });
    let receipts = events.receipts(found.number).take(RECEIPTS).map(|(_, receipt)| ReceiptRow {
        obligation: receipt.obligation.to_string(),
        short: show::short(&receipt.obligation.to_string()),
        version: receipt.version.0,
        rate: Rate(receipt.rate).to_string(),
        from: f.day(receipt.from_ms),
        to: f.day(receipt.to_ms),
        inputs: receipt.inputs.len(),
        fuel: receipt.fuel,
    });
    let open = found.open.iter().map(|(id, obligation)| OpenRow {
        obligation: id.to_string(),
        short: show::short(&id.to_string()),
        version: obligation.version.0,
        since: f.day(obligation.activated_ms),
        due: f.day(obligation.due_ms),
        is_overdue: obligation.due_ms < time_ms,
    });
    let (lower, upper) = program.clamp();
    let signed_at_ms = state.signed_at_ms();
    One {
        number: found.number.0,
        name: program.name().to_owned(),
        state: code,
        headline: f.t(state_key(code)),
        sentence,
        version: version.version.0,
        policy: version.deployed.policy.to_string(),
        report: (version.deployed.report != [0; 32]).then(|| hex::encode(version.deployed.report)),
        currency: program.currency().as_str().to_owned(),
        deployed_at: version.deployed.deployed_at.0,
        binds_at: version.deployed.binds_at.0,
        idle_days: program.idle_after_ms() / ledger_types::contract::DAY_MS,
        clamp: f.fill("contract.clamp_text", &[&lower, &upper, &program.step()]),
        fuel: program.fuel(),
        explanation: explanation.clone(),
        other_explanation: other_explanation.clone(),
        source: version.package.source.clone(),
        now: found.readings.as_ref().map(|readings| Now::of(&f, version, readings, loan, time_ms)),
        fields,
        back_test: BackTestShown::of(&f, would_have),
        versions: found.versions.iter().rev().map(|one| VersionRow::of(&f, found, one)).collect(),
        orders: orders.collect(),
        open: open.collect(),
        is_more_open: found.is_more_open,
        receipts: receipts.collect(),
        first_leaf: events.first_leaf(),
        height: state.height().0,
        log_size: state.head().size,
        signers: state.signers().len(),
        is_stale: f.now_ms.abs_diff(signed_at_ms) > STALE_AFTER_MS,
        f,
    }
}

fn f_title(here: &Here, number: u32, name: &str) -> String {
    here.language.fill("contract.page_title", &[&number, &name])
}

pub fn state_key(code: &str) -> &'static str {
    match code {
        "in_force" => "contract.in_force",
        "in_notice" => "contract.in_notice",
        "stopped" => "contract.stopped",
        _ => "contract.retired",
    }
}

impl VersionRow {
    fn of(f: &Frame, found: &ContractFound, one: &VersionFound) -> Self {
        let height = found.proved.state.height().next();
        let key = match found.binding {
            _ if one.deployed.binds_at > height => "contract.in_notice",
            Some(binding) if one.version < binding => "contract.superseded",
            _ => state_key(found.standing.code()),
        };
        let policy = one.deployed.policy.to_string();
        VersionRow {
            version: one.version.0,
            state: f.t(key),
            deployed_at: one.deployed.deployed_at.0,
            binds_at: one.deployed.binds_at.0,
            short_policy: show::short(&policy),
            policy,
        }
    }
}

impl Asked {
    /// The loan, if every field holds a value, and the fields as they are shown again.
    fn read(self, f: &Frame) -> (Option<Activation>, Vec<Field>) {
        let or = |text: String, default: &str| if text.trim().is_empty() { default.to_owned() } else { text };
        let (sector, rate, term) = (or(self.sector, "C10"), or(self.rate, "4.30"), or(self.term_days, "365"));
        let sector_read = SectorCode::parse(sector.trim());
        let digits = rate.trim().trim_end_matches('%').trim_end();
        let rate_read = decimal_at_scale(digits, PERCENT_DECIMALS, Rounding::Refuse).ok().map(|(rate, _)| rate);
        let term_read = term.trim().parse::<u16>().ok();
        let loan = sector_read.zip(rate_read).zip(term_read).map(|((sector, loan_rate), term_days)| Activation {
            time_ms: 0,
            sector,
            loan_rate,
            term_days,
        });
        let field = |name, label, value: String, is_wrong| Field {
            name,
            label: f.t(label),
            value: value.chars().take(40).collect(),
            is_wrong,
        };
        let fields = vec![
            field("sector", "try.field.sector", sector, sector_read.is_none()),
            field("rate", "try.field.rate", rate, rate_read.is_none()),
            field("term_days", "try.field.term_days", term, term_read.is_none()),
        ];
        (loan, fields)
    }
}

impl Now {
    fn of(f: &Frame, version: &VersionFound, readings: &FeedsRead, loan: Option<Activation>, time_ms: u64) -> Self {
        let program = &version.package.program;
        let judged = loan.map(|loan| program.activate(&Activation { time_ms, ..loan }, readings));
        let owed = program.return_rate(&Return { activated_ms: time_ms, time_ms }, readings);
        let mut used: Vec<InputUsed> = judged.iter().flat_map(|judged| judged.inputs.iter().copied()).collect();
        used.extend(owed.inputs.iter().filter(|input| !used.contains(input)).copied().collect::<Vec<_>>());
        let fuel = judged.as_ref().map_or(0, |judged| judged.fuel) + owed.fuel;
        Now {
            time: f.time(time_ms),
            verdict: judged.map(|judged| said(f, program, &judged)),
            rate: owed.value.to_string(),
            fuel: f.fill("contract.fuel_text", &[&fuel, &program.fuel()]),
            inputs: used.iter().map(|input| InputRow::of(f, program, input, time_ms)).collect(),
        }
    }
}

/// Whether a loan is permitted, and the sentence that says so.
fn said(f: &Frame, program: &Program, judged: &Evaluation<Verdict>) -> (bool, String) {
    match &judged.value {
        Verdict::Permit { due_days } => (true, f.fill("contract.permit", &[due_days])),
        Verdict::Deny { reason } => {
            let why = match reason {
                DenyReason::Sector { line: 0 } => f.t("deny.no_sector").to_owned(),
                DenyReason::FeedStale { feed } => {
                    let series = program.feeds().get(usize::from(*feed)).map_or("", |used| used.series.as_str());
                    f.fill("deny.10", &[&series])
                }
                other => f.fill(&format!("deny.{}", other.number()), &[&other.detail()]),
            };
            (false, f.fill("contract.deny", &[&why]))
        }
    }
}

fn frequency_of(used: &FeedUse) -> Frequency {
    match used.frequency {
        contracts_vm::Frequency::Daily => Frequency::Daily,
        contracts_vm::Frequency::Monthly => Frequency::Monthly,
        contracts_vm::Frequency::Quarterly => Frequency::Quarterly,
        contracts_vm::Frequency::Yearly => Frequency::Yearly,
    }
}

impl InputRow {
    fn of(f: &Frame, program: &Program, input: &InputUsed, time_ms: u64) -> Self {
        let used = program.feeds().get(usize::from(input.feed));
        let series = used.map_or_else(String::new, |used| used.series.to_string());
        let without = match used.map(|used| used.when_stale) {
            Some(WhenStale::Fallback(_)) => f.t("contract.falls_back"),
            _ => f.t("contract.denies"),
        };
        let dash = || "–".to_owned();
        let (Some(used), Some(reading)) = (used, input.reading) else {
            let none = f.t("contract.no_reading").to_owned();
            return InputRow {
                series,
                period: f.fill("contract.periods_back", &[&input.back]),
                vintage: dash(),
                value: none,
                published: dash(),
                fresh_until: dash(),
                is_stale: true,
                without: without.to_owned(),
            };
        };
        let period = Period(reading.period.0.unsigned_abs());
        // LANGUAGE.md, R-2; of older periods nothing is asked.
        let oldest = u64::from(used.max_age_days) * ledger_types::contract::DAY_MS;
        let fresh_until_ms = reading.valid_until_ms.min(reading.published_ms.saturating_add(oldest));
        InputRow {
            series,
            period: period_text(period, frequency_of(used)),
            vintage: reading.vintage.to_string(),
            value: show::scaled(reading.value, used.scale),
            published: f.day(reading.published_ms),
            fresh_until: f.day(fresh_until_ms),
            is_stale: input.back == 0 && (time_ms > fresh_until_ms || time_ms < reading.published_ms),
            without: without.to_owned(),
        }
    }
}
