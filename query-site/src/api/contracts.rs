//! Contracts, feeds and receipts as JSON. Each answer carries what shows it, so that its reader need not trust the site.

use super::documents::AsOf;
use super::{Answered, no_answer, validators};
use crate::counterfactual::Counterfactual;
use crate::http::refusal::{Refusal, bad_request, not_found, overloaded};
use crate::ledger::contracts::{
    Computed, ContractFound, ContractListed, FeedFound, LoanFound, Proved, ReceiptFound, VersionFound, period_text,
};
use crate::ledger::tail::Tail;
use crate::site::Site;
use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use ledger_types::contract::{ContractAction, ReceiptInput};
use ledger_types::feed::{Feed, FeedName, FeedUnit, Frequency};
use ledger_types::{ContractNumber, ObligationId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Receipts that a contract's answer brings, and orders: the newest.
pub const RECEIPTS: usize = 20;

/// Entries of the map in one confirmed state. `state` and behind it one of `entries` is an entry proof (PROTOCOL 10.9).
#[derive(Serialize, ToSchema)]
pub struct Proofs {
    /// Hex of the state proof.
    pub state: String,
    /// Hex. Of each the key comes first.
    pub entries: Vec<String>,
}

impl Proofs {
    fn of(proved: &Proved) -> Self {
        Proofs { state: proved.state_proof.clone(), entries: proved.entries.clone() }
    }

    /// The first, whole.
    fn first(proved: &Proved) -> String {
        format!("{}{}", proved.state_proof, proved.entries.first().map_or("", String::as_str))
    }
}

/// Every contract, shown to be all by the number that none has; of very many the newest.
#[derive(Serialize, ToSchema)]
pub struct Contracts {
    pub height: u64,
    pub contracts: Vec<ContractSummary>,
    /// Of all contracts.
    pub count: u32,
    pub as_of: AsOf,
    pub proofs: Proofs,
}

#[derive(Serialize, ToSchema)]
pub struct ContractSummary {
    pub contract: u32,
    /// Of the policy.
    pub name: String,
    pub currency: String,
    /// The newest version.
    pub version: u32,
    /// As of the next height: `in_force`, `in_notice` (no version binds yet), `stopped` or `retired`.
    pub state: String,
    /// The version that issues and loans are judged by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version_in_force: Option<u32>,
    /// The first height that the version shown governs.
    pub binds_at: u64,
    /// The height at which it is retired, if that is ordered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retires_at: Option<u64>,
}

impl ContractSummary {
    fn of_listed(one: &ContractListed) -> Self {
        ContractSummary {
            contract: one.number.0,
            name: one.package.program.name().into(),
            currency: one.package.program.currency().as_str().into(),
            version: one.head.newest.0,
            state: one.standing.code().into(),
            version_in_force: (one.standing.code() == "in_force").then_some(one.shown.0),
            binds_at: one.deployed.binds_at.0,
            retires_at: one.head.retires_at.map(|height| height.0),
        }
    }
}

/// A contract with its versions, oldest first, each as it was deployed.
#[derive(Serialize, ToSchema)]
pub struct Contract {
    pub contract: u32,
    pub name: String,
    pub currency: String,
    pub version: u32,
    pub state: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version_in_force: Option<u32>,
    /// Versions up to this one are stopped; 0 for none.
    pub stopped: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retires_at: Option<u64>,
    pub versions: Vec<ContractVersion>,
    /// Loans that are not returned, the first of them; whose they are is not public.
    pub open_loans: Vec<OpenLoan>,
    /// Orders of the officers in the log that was read here, oldest first.
    pub orders: Vec<Order>,
    /// Of returned loans, newest first, from the log that was read here.
    pub receipts: Vec<Receipt>,
    pub as_of: AsOf,
    /// Hex of the entry proof of the contract's head.
    pub proof: String,
    /// Head, versions, open loans, and what its program reads now.
    pub proofs: Proofs,
}

#[derive(Serialize, ToSchema)]
pub struct ContractVersion {
    pub version: u32,
    /// Hex of the hash of its package.
    pub policy: String,
    /// Hex of the hash of the back-test's report that the officers deployed it with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub report: Option<String>,
    pub deployed_at: u64,
    pub binds_at: u64,
    /// Canonical.
    pub source: String,
    pub explanation_en: String,
    pub explanation_zh: String,
    /// Hex: what the ledger hashes.
    pub package: String,
}

#[derive(Serialize, ToSchema)]
pub struct OpenLoan {
    pub obligation: String,
    pub version: u32,
    pub activated_ms: u64,
    pub due_ms: u64,
}

#[derive(Serialize, ToSchema)]
pub struct Order {
    /// Its place in the log.
    pub index: u64,
    /// `deploy`, `stop` or `retire`.
    pub action: String,
    pub version: u32,
    /// The first height at which it binds.
    pub binds_at: u64,
}

pub fn action_code(action: ContractAction) -> &'static str {
    match action {
        ContractAction::Deploy => "deploy",
        ContractAction::Stop => "stop",
        ContractAction::Retire => "retire",
    }
}

impl ContractVersion {
    fn of(one: &VersionFound) -> Self {
        ContractVersion {
            version: one.version.0,
            policy: one.deployed.policy.to_string(),
            report: (one.deployed.report != [0; 32]).then(|| hex::encode(one.deployed.report)),
            deployed_at: one.deployed.deployed_at.0,
            binds_at: one.deployed.binds_at.0,
            source: one.package.source.clone(),
            explanation_en: one.package.english.clone(),
            explanation_zh: one.package.chinese.clone(),
            package: one.bytes.clone(),
        }
    }
}

impl Contract {
    fn of(found: &ContractFound, tail: &Tail, as_of: AsOf) -> Self {
        let program = &found.shown().package.program;
        let open = found.open.iter().map(|(id, obligation)| OpenLoan {
            obligation: id.to_string(),
            version: obligation.version.0,
            activated_ms: obligation.activated_ms,
            due_ms: obligation.due_ms,
        });
        let orders = tail.events().orders(found.number).map(|(index, order)| Order {
            index: *index,
            action: action_code(order.action).into(),
            version: order.version.0,
            binds_at: order.binds_at.0,
        });
        let receipts = tail.events().receipts(found.number).take(RECEIPTS);
        let in_force = found.binding.filter(|_| found.standing.code() == "in_force");
        Contract {
            contract: found.number.0,
            name: program.name().into(),
            currency: program.currency().as_str().into(),
            version: found.head.newest.0,
            state: found.standing.code().into(),
            version_in_force: in_force.map(|version| version.0),
            stopped: found.head.stopped.0,
            retires_at: found.head.retires_at.map(|height| height.0),
            versions: found.versions.iter().map(ContractVersion::of).collect(),
            open_loans: open.collect(),
            orders: orders.collect(),
            receipts: receipts.map(|(index, receipt)| Receipt::of(*index, receipt)).collect(),
            as_of,
            proof: Proofs::first(&found.proved),
            proofs: Proofs::of(&found.proved),
        }
    }
}

/// Every feed, shown to be all by the number that none has; of very many the newest.
#[derive(Serialize, ToSchema)]
pub struct Feeds {
    pub height: u64,
    pub feeds: Vec<FeedSummary>,
    pub count: u32,
    pub as_of: AsOf,
    pub proofs: Proofs,
}

#[derive(Serialize, ToSchema)]
pub struct FeedSummary {
    pub feed: u32,
    pub name: String,
    /// `percent`, `index`, or the three letters of a currency.
    pub unit: String,
    /// Decimal places of a value.
    pub scale: u8,
    /// `daily`, `monthly`, `quarterly` or `yearly`.
    pub frequency: String,
    /// Hex of their keys.
    pub publishers: Vec<String>,
    /// So many publishers make an item.
    pub threshold: u8,
    /// How far a value may lie from the one before it.
    pub step_max: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub newest_period: Option<u32>,
}

pub fn frequency_code(frequency: Frequency) -> &'static str {
    match frequency {
        Frequency::Daily => "daily",
        Frequency::Monthly => "monthly",
        Frequency::Quarterly => "quarterly",
        Frequency::Yearly => "yearly",
    }
}

impl FeedSummary {
    fn of(feed: &Feed) -> Self {
        let definition = &feed.definition;
        FeedSummary {
            feed: definition.feed.0,
            name: definition.name.to_string(),
            unit: match definition.unit {
                FeedUnit::Rate => "percent".into(),
                FeedUnit::Index => "index".into(),
                FeedUnit::Money(currency) => currency.to_string(),
            },
            scale: definition.scale,
            frequency: frequency_code(definition.frequency).into(),
            publishers: definition.publishers.iter().map(|key| key.to_string()).collect(),
            threshold: definition.threshold,
            step_max: definition.step_max,
            newest_period: feed.newest.map(|period| period.0),
        }
    }
}

/// A feed and every vintage of some periods without a gap.
#[derive(Serialize, ToSchema)]
pub struct FeedAnswer {
    pub feed: u32,
    pub name: String,
    pub unit: String,
    pub scale: u8,
    pub frequency: String,
    pub publishers: Vec<String>,
    pub threshold: u8,
    pub step_max: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub newest_period: Option<u32>,
    /// Ascending by period and vintage.
    pub items: Vec<Item>,
    /// `?before=` of the next page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub older_before: Option<u32>,
    pub as_of: AsOf,
    /// Hex of the entry proof of the feed's definition.
    pub proof: String,
    /// Definition, items, and behind each period's last vintage that there is no later one.
    pub proofs: Proofs,
}

#[derive(Serialize, ToSchema)]
pub struct Item {
    /// A count in the feed's frequency.
    pub period: u32,
    #[schema(example = "2026Q1")]
    pub period_text: String,
    pub vintage: u32,
    pub value: i64,
    pub published_ms: u64,
    pub valid_until_ms: u64,
}

impl FeedAnswer {
    fn of(found: &FeedFound, as_of: AsOf) -> Self {
        let summary = FeedSummary::of(&found.feed);
        let items = found.periods.iter().rev().flat_map(|(_, items)| items).map(|item| Item {
            period: item.head.period.0,
            period_text: period_text(item.head.period, found.feed.definition.frequency),
            vintage: item.head.vintage.0,
            value: item.value,
            published_ms: item.head.published_ms,
            valid_until_ms: item.head.valid_until_ms,
        });
        FeedAnswer {
            feed: summary.feed,
            name: summary.name,
            unit: summary.unit,
            scale: summary.scale,
            frequency: summary.frequency,
            publishers: summary.publishers,
            threshold: summary.threshold,
            step_max: summary.step_max,
            newest_period: summary.newest_period,
            items: items.collect(),
            older_before: found.older.map(|period| period.0),
            as_of,
            proof: Proofs::first(&found.proved),
            proofs: Proofs::of(&found.proved),
        }
    }
}

/// What a loan was returned at, and why. Without the bank.
#[derive(Serialize, ToSchema)]
pub struct Receipt {
    /// Its leaf's place in the log.
    pub index: u64,
    pub obligation: String,
    pub contract: u32,
    pub version: u32,
    pub policy: String,
    /// Of a year, in hundredths of a basis point: 4.30 % is 43000.
    pub rate: i64,
    pub from_ms: u64,
    pub to_ms: u64,
    pub fuel: u32,
    pub inputs: Vec<Input>,
}

/// One look of the program at a feed. Without period, vintage and value there was no such period.
#[derive(Serialize, ToSchema)]
pub struct Input {
    pub feed: u32,
    /// 0 is the newest period that the feed had.
    pub back: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub period: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vintage: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<i64>,
}

impl Receipt {
    fn of(index: u64, receipt: &ledger_types::contract::Receipt) -> Self {
        let input = |input: &ReceiptInput| Input {
            feed: input.feed.0,
            back: input.back,
            period: input.found.map(|found| found.period.0),
            vintage: input.found.map(|found| found.vintage.0),
            value: input.found.map(|found| found.value),
        };
        Receipt {
            index,
            obligation: receipt.obligation.to_string(),
            contract: receipt.contract.0,
            version: receipt.version.0,
            policy: receipt.policy.to_string(),
            rate: receipt.rate,
            from_ms: receipt.from_ms,
            to_ms: receipt.to_ms,
            fuel: receipt.fuel,
            inputs: receipt.inputs.iter().map(input).collect(),
        }
    }
}

#[derive(Serialize, ToSchema)]
pub struct ReceiptAnswer {
    pub index: u64,
    pub obligation: String,
    pub contract: u32,
    pub version: u32,
    pub policy: String,
    pub rate: i64,
    pub from_ms: u64,
    pub to_ms: u64,
    pub fuel: u32,
    pub inputs: Vec<Input>,
    /// The policy's answer to these inputs, computed here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub computed: Option<ComputedShown>,
    pub as_of: AsOf,
    /// Hex of the leaf proof (PROTOCOL 10.10).
    pub proof: String,
}

#[derive(Serialize, ToSchema)]
pub struct ComputedShown {
    pub rate: i64,
    pub fuel: u32,
    /// The program looked at what the receipt says, in that order.
    pub same_inputs: bool,
}

impl From<Computed> for ComputedShown {
    fn from(computed: Computed) -> Self {
        ComputedShown { rate: computed.rate, fuel: computed.fuel, same_inputs: computed.same_inputs }
    }
}

impl ReceiptAnswer {
    fn of(found: &ReceiptFound, as_of: AsOf) -> Self {
        let receipt = Receipt::of(found.logged.index(), &found.receipt);
        ReceiptAnswer {
            index: receipt.index,
            obligation: receipt.obligation,
            contract: receipt.contract,
            version: receipt.version,
            policy: receipt.policy,
            rate: receipt.rate,
            from_ms: receipt.from_ms,
            to_ms: receipt.to_ms,
            fuel: receipt.fuel,
            inputs: receipt.inputs,
            computed: found.computed.map(ComputedShown::from),
            as_of,
            proof: found.proof.clone(),
        }
    }
}

/// Contracts by number, with their state.
#[utoipa::path(get, path = "/v1/contracts", responses((status = 200, body = Contracts)))]
pub async fn contracts(State(site): State<Site>) -> Answered<Contracts> {
    let found = site.ledger().contracts().await.map_err(no_answer)?;
    let as_of = AsOf::new(&found.proved.state, validators(&site), site.now_ms());
    let contracts = found.contracts.iter().map(ContractSummary::of_listed).collect();
    let (height, proofs) = (as_of.height, Proofs::of(&found.proved));
    Ok(Json(Contracts { height, contracts, count: found.count, as_of, proofs }))
}

/// A contract: its versions with source and explanations, its state, open loans and newest receipts.
#[utoipa::path(
    get, path = "/v1/contracts/{number}", params(("number" = u32, Path, description = "1, 2, …")),
    responses((status = 200, body = Contract)),
)]
pub async fn contract(State(site): State<Site>, path: Result<Path<u32>, PathRejection>) -> Answered<Contract> {
    let Path(number) = path.map_err(|rejection| bad_request("bad_path", rejection.body_text()))?;
    let found = site.ledger().contract(ContractNumber(number)).await.map_err(no_answer)?;
    let found = found.ok_or_else(|| not_found("there is no contract of this number"))?;
    let as_of = AsOf::new(&found.proved.state, validators(&site), site.now_ms());
    Ok(Json(Contract::of(&found, &site.ledger().view().tail, as_of)))
}

/// Feeds by number, with who publishes them.
#[utoipa::path(get, path = "/v1/feeds", responses((status = 200, body = Feeds)))]
pub async fn feeds(State(site): State<Site>) -> Answered<Feeds> {
    let found = site.ledger().feeds().await.map_err(no_answer)?;
    let as_of = AsOf::new(&found.proved.state, validators(&site), site.now_ms());
    let feeds = found.feeds.iter().map(FeedSummary::of).collect();
    let (height, proofs) = (as_of.height, Proofs::of(&found.proved));
    Ok(Json(Feeds { height, feeds, count: found.count, as_of, proofs }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeedPage {
    before: Option<u32>,
}

/// A feed with every vintage of its newest periods, or of those before one.
#[utoipa::path(
    get, path = "/v1/feeds/{name}",
    params(
        ("name" = String, Path, description = "1 to 32 of `a-z 0-9 _ - .`"),
        ("before" = Option<u32>, Query, description = "Only periods before this one"),
    ),
    responses((status = 200, body = FeedAnswer)),
)]
pub async fn feed(
    State(site): State<Site>,
    path: Result<Path<String>, PathRejection>,
    page: Result<Query<FeedPage>, QueryRejection>,
) -> Answered<FeedAnswer> {
    let Path(name) = path.map_err(|rejection| bad_request("bad_path", rejection.body_text()))?;
    let Query(page) = page.map_err(|rejection| bad_request("bad_query", rejection.body_text()))?;
    let name =
        FeedName::parse(&name).ok_or_else(|| bad_request("bad_path", "a feed's name has 1 to 32 of a-z 0-9 _ - ."))?;
    let found = site.ledger().feed(name.as_str(), page.before).await.map_err(no_answer)?;
    let found = found.ok_or_else(|| not_found("there is no feed of this name"))?;
    let as_of = AsOf::new(&found.proved.state, validators(&site), site.now_ms());
    Ok(Json(FeedAnswer::of(&found, as_of)))
}

/// The receipt of a returned loan, with the policy's own answer to its inputs.
#[utoipa::path(
    get, path = "/v1/receipts/{obligation}",
    params(("obligation" = String, Path, description = "The loan's obligation, 64 hex digits")),
    responses((status = 200, body = ReceiptAnswer)),
)]
pub async fn receipt(State(site): State<Site>, path: Result<Path<String>, PathRejection>) -> Answered<ReceiptAnswer> {
    let Path(text) = path.map_err(|rejection| bad_request("bad_path", rejection.body_text()))?;
    let id: Option<ObligationId> = ObligationId::from_hex(&text);
    let id = id.ok_or_else(|| bad_request("bad_path", "an obligation has 64 hex digits"))?;
    match site.ledger().loan(id).await.map_err(no_answer)? {
        Some(LoanFound::Returned(found)) => {
            let as_of = AsOf::new(found.logged.state(), validators(&site), site.now_ms());
            Ok(Json(ReceiptAnswer::of(&found, as_of)))
        }
        Some(LoanFound::Open { .. }) => Err(not_found("the loan is not returned: it has no receipt yet")),
        None => Err(not_found("no loan with this obligation is known")),
    }
}

/// The report of the back-test that a version was deployed with, byte for byte: its BLAKE3 hash is the version's
/// `report`. Of a table and a question that the site has; a report of others it cannot make.
#[utoipa::path(
    get, path = "/v1/contracts/{number}/versions/{version}/report",
    params(
        ("number" = u32, Path, description = "1, 2, …"),
        ("version" = u32, Path, description = "1, 2, …; one of the newest sixteen"),
    ),
    responses(
        (status = 200, body = serde_json::Value, description = "As `assay contract backtest` writes it: `assay-backtest-1`"),
    ),
)]
pub async fn report(
    State(site): State<Site>,
    path: Result<Path<(u32, u32)>, PathRejection>,
) -> Result<Response, Refusal> {
    let Path((number, version)) = path.map_err(|rejection| bad_request("bad_path", rejection.body_text()))?;
    let found = site.ledger().contract(ContractNumber(number)).await.map_err(no_answer)?;
    let found = found.ok_or_else(|| not_found("there is no contract of this number"))?;
    let version = found.versions.iter().find(|one| one.version.0 == version);
    let version = version.ok_or_else(|| not_found("there is no such version, or it is not one of the newest"))?;
    match site.counterfactuals().of(version).await {
        Counterfactual::Made(made) => {
            let headers =
                [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "public, max-age=86400")];
            Ok((headers, made.report.clone()).into_response())
        }
        Counterfactual::Unnamed => Err(not_found("the version was deployed without a report")),
        Counterfactual::Elsewhere => Err(not_found("no table and question of this site gives the deployed report")),
        Counterfactual::Later => Err(overloaded("more policies are being tried out than the site computes at once")),
    }
}
