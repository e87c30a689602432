//! What everybody reads of contracts, feeds and loans. Of loans never the bank (K-6): an obligation's id hides it.

use super::ledger::{Answered, LedgerHttp, as_of, no_checkpoint};
use super::refusal::{InPath, Refusal, bad_request, internal, not_found};
use super::routes::routes;
use crate::ledger::LedgerView;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::{Json, Router};
use contracts_vm::{Package, SectorCode};
use ledger_state::{Contract, StateReader};
use ledger_types::contract::{FalseStatement, Receipt};
use ledger_types::feed::{Feed, FeedItem, FeedName, FeedUnit, Frequency};
use ledger_types::log_leaf::LogLeaf;
use ledger_types::{ContractNumber, Decode, Encode, Height, ObligationId, PolicyHash};
use ledger_verify::EntryKey;
use node_api::contracts as doc;
use serde::Deserialize;

const PER_PAGE_MAX: usize = 100;

routes! { const CONTRACTS, fn contract_routes -> Router<LedgerHttp> {
    GET "/v1/contracts" => contracts;
    GET "/v1/contracts/{number}" => contract;
    GET "/v1/feeds" => feeds;
    GET "/v1/feeds/{name}" => feed;
    GET "/v1/entries" => entries;
    GET "/v1/obligations" => obligations;
    GET "/v1/disputes" => disputes;
    GET "/v1/disputes/{index}" => dispute;
    GET "/v1/receipts" => receipts;
    GET "/v1/receipts/{obligation}" => receipt;
} }

pub fn router(ledger: LedgerHttp) -> Router {
    contract_routes().with_state(ledger)
}

fn package_of(view: &LedgerView, policy: &PolicyHash) -> Result<std::sync::Arc<Package>, Refusal> {
    let readers = view.readers();
    let package = readers.snapshot().map_err(internal)?.package(policy).map_err(internal)?;
    package.ok_or_else(|| internal("a deployed package is missing"))
}

fn summary(
    view: &LedgerView,
    height: Height,
    number: ContractNumber,
    contract: &Contract,
) -> Result<doc::ContractSummary, Refusal> {
    // As the next height will be judged.
    let at = height.next();
    let in_force = contract.in_force(at).map(|(version, _)| version.0);
    let state = match (contract.binding(at), in_force) {
        _ if contract.is_retired(at) => "retired",
        (None, _) => "in_notice",
        (Some(_), None) => "stopped",
        (Some(_), Some(_)) => "in_force",
    };
    Ok(doc::ContractSummary {
        contract: number.0,
        name: package_of(view, &contract.newest().policy)?.program.name().to_owned(),
        version: contract.head.newest.0,
        state: state.into(),
        version_in_force: in_force,
        retires_at: contract.head.retires_at.map(|at| at.0),
    })
}

async fn contracts(State(http): State<LedgerHttp>) -> Answered<doc::Contracts> {
    let ledger = http.view.ledger();
    let height = ledger.height;
    let contracts = http
        .read(move |view| {
            let all = ledger.contracts.iter();
            all.map(|(number, contract)| summary(view, height, number, contract)).collect::<Result<_, _>>()
        })
        .await?;
    Ok(Json(doc::Contracts { height: height.0, contracts }))
}

async fn contract(State(http): State<LedgerHttp>, InPath(number): InPath<u32>) -> Answered<doc::Contract> {
    let (number, ledger) = (ContractNumber(number), http.view.ledger());
    let found = http.read(move |view| {
        let contract = ledger.contracts.get(number).ok_or_else(|| not_found("there is no contract of this number"))?;
        let mut versions = Vec::with_capacity(contract.versions.len());
        for (version, deployed) in (1u32..).zip(&contract.versions) {
            let package = package_of(view, &deployed.policy)?;
            versions.push(doc::ContractVersion {
                version,
                policy: deployed.policy.to_string(),
                report: (deployed.report != [0; 32]).then(|| hex::encode(deployed.report)),
                deployed_at: deployed.deployed_at.0,
                binds_at: deployed.binds_at.0,
                source: package.source.clone(),
                explanation_en: package.english.clone(),
                explanation_zh: package.chinese.clone(),
                package: hex::encode(package.to_bytes()),
            });
        }
        let proved = view.prove_entry(EntryKey::Contract(number)).map_err(internal)?;
        let summary = summary(view, ledger.height, number, contract)?;
        let as_of = proved.as_ref().map(|(published, _)| as_of(published));
        let proof = proved.map(|(_, proof)| hex::encode(proof.to_bytes()));
        Ok(doc::Contract { summary, versions, as_of, proof })
    });
    Ok(Json(found.await?))
}

pub(super) fn frequency_text(frequency: Frequency) -> &'static str {
    match frequency {
        Frequency::Daily => "daily",
        Frequency::Monthly => "monthly",
        Frequency::Quarterly => "quarterly",
        Frequency::Yearly => "yearly",
    }
}

fn feed_summary(feed: &Feed) -> doc::FeedSummary {
    let definition = &feed.definition;
    doc::FeedSummary {
        feed: definition.feed.0,
        name: definition.name.to_string(),
        unit: match definition.unit {
            FeedUnit::Rate => "percent".into(),
            FeedUnit::Index => "index".into(),
            FeedUnit::Money(currency) => currency.to_string(),
        },
        scale: definition.scale,
        frequency: frequency_text(definition.frequency).into(),
        publishers: definition.publishers.iter().map(|key| key.to_string()).collect(),
        threshold: definition.threshold,
        step_max: definition.step_max,
        newest_period: feed.newest.map(|period| period.0),
    }
}

async fn feeds(State(http): State<LedgerHttp>) -> Answered<doc::Feeds> {
    let ledger = http.view.ledger();
    Ok(Json(doc::Feeds { height: ledger.height.0, feeds: ledger.feeds.iter().map(feed_summary).collect() }))
}

pub(super) fn parse_feed_name(text: &str) -> Result<FeedName, Refusal> {
    FeedName::parse(text).ok_or_else(|| bad_request("bad_feed_name", "a feed's name has 1 to 32 of a-z 0-9 _ - ."))
}

fn item(item: &FeedItem, frequency: Frequency) -> doc::Item {
    let calendar = match frequency {
        Frequency::Daily => contracts_vm::Frequency::Daily,
        Frequency::Monthly => contracts_vm::Frequency::Monthly,
        Frequency::Quarterly => contracts_vm::Frequency::Quarterly,
        Frequency::Yearly => contracts_vm::Frequency::Yearly,
    };
    let period = item.head.period.0;
    // A publication has checked that it is a period of the calendar's (K-11).
    let text = contracts_vm::Period(i32::try_from(period).unwrap_or(i32::MAX)).text(calendar);
    doc::Item {
        period,
        period_text: text,
        vintage: item.head.vintage.0,
        value: item.value,
        published_ms: item.head.published_ms,
        valid_until_ms: item.head.valid_until_ms,
    }
}

async fn feed(State(http): State<LedgerHttp>, InPath(name): InPath<String>) -> Answered<doc::Feed> {
    let (name, ledger) = (parse_feed_name(&name)?, http.view.ledger());
    let found = http.read(move |view| {
        let feed = ledger.feeds.named(&name).ok_or_else(|| not_found("there is no feed of this name"))?;
        let (number, frequency) = (feed.definition.feed, feed.definition.frequency);
        let readers = view.readers();
        let snapshot = readers.snapshot().map_err(internal)?;
        let items = snapshot.feed_history(number).map(|row| row.map(|row| item(&row, frequency)));
        let items = items.collect::<Result<_, _>>().map_err(internal)?;
        let proved = view.prove_entry(EntryKey::Feed(number)).map_err(internal)?;
        let as_of = proved.as_ref().map(|(published, _)| as_of(published));
        let proof = proved.map(|(_, proof)| hex::encode(proof.to_bytes()));
        Ok(doc::Feed { summary: feed_summary(feed), items, as_of, proof })
    });
    Ok(Json(found.await?))
}

/// `?keys=HEX,HEX…`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Keys {
    keys: String,
}

async fn entries(State(http): State<LedgerHttp>, query: Result<Query<Keys>, QueryRejection>) -> Answered<doc::Entries> {
    let Query(Keys { keys }) = query.map_err(|rejection| bad_request("bad_query", rejection.body_text()))?;
    let key = |text: &str| hex::decode(text).ok().and_then(|bytes| EntryKey::from_bytes(&bytes).ok());
    // One more than are answered is already too many.
    let keys: Option<Vec<EntryKey>> = keys.split(',').take(doc::ENTRIES_MAX + 1).map(key).collect();
    let most = doc::ENTRIES_MAX;
    let keys = keys.filter(|keys| keys.len() <= most);
    let keys = keys.ok_or_else(|| {
        bad_request("bad_query", format!("keys are 1 to {most} keys of entries in hex, with commas between them"))
    })?;
    let found = http.read(move |view| view.prove_entries(&keys).map_err(internal)).await?;
    let found = found.ok_or_else(no_checkpoint)?;
    Ok(Json(doc::Entries {
        as_of: as_of(&found.published),
        state: hex::encode(found.state.to_bytes()),
        entries: found.entries.iter().map(|entry| hex::encode(entry.to_bytes())).collect(),
    }))
}

/// `?contract=N`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct OfContract {
    contract: u32,
}

async fn obligations(
    State(http): State<LedgerHttp>,
    query: Result<Query<OfContract>, QueryRejection>,
) -> Answered<Vec<doc::Obligation>> {
    let Query(of) = query.map_err(|rejection| bad_request("bad_query", rejection.body_text()))?;
    let contract = ContractNumber(of.contract);
    let found = http.read(move |view| {
        let readers = view.readers();
        let snapshot = readers.snapshot().map_err(internal)?;
        let mut found = Vec::new();
        for row in snapshot.obligations() {
            let (id, open) = row.map_err(internal)?;
            if open.obligation.contract == contract {
                found.push(doc::Obligation {
                    obligation: id.to_string(),
                    contract: contract.0,
                    version: open.obligation.version.0,
                    policy: open.obligation.policy.to_string(),
                    activated_ms: open.obligation.activated_ms,
                    due_ms: open.obligation.due_ms,
                });
            }
        }
        found.sort_by(|a, b| (a.due_ms, &a.obligation).cmp(&(b.due_ms, &b.obligation)));
        Ok(found)
    });
    Ok(Json(found.await?))
}

/// `?contract=N&before=SIZE&limit=N`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ReceiptPage {
    contract: u32,
    before: Option<u64>,
    limit: Option<usize>,
}

fn receipt_of(index: u64, receipt: &Receipt) -> doc::Receipt {
    let input = |input: &ledger_types::contract::ReceiptInput| doc::ReceiptInput {
        feed: input.feed.0,
        back: input.back,
        period: input.found.map(|found| found.period.0),
        vintage: input.found.map(|found| found.vintage.0),
        value: input.found.map(|found| found.value),
    };
    doc::Receipt {
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

/// Contract, the end of the log that is looked through, and how many at most.
fn page_of(
    http: &LedgerHttp,
    query: Result<Query<ReceiptPage>, QueryRejection>,
) -> Result<(ContractNumber, u64, usize), Refusal> {
    let Query(page) = query.map_err(|rejection| bad_request("bad_query", rejection.body_text()))?;
    let limit = page.limit.unwrap_or(PER_PAGE_MAX);
    if !(1..=PER_PAGE_MAX).contains(&limit) {
        return Err(bad_request("bad_query", format!("limit is 1 to {PER_PAGE_MAX}")));
    }
    let size = http.view.published().ok_or_else(no_checkpoint)?.size;
    Ok((ContractNumber(page.contract), page.before.unwrap_or(size).min(size), limit))
}

fn statement_of(index: u64, statement: &FalseStatement) -> doc::FalseStatement {
    doc::FalseStatement {
        index,
        obligation: statement.obligation.to_string(),
        contract: statement.contract.0,
        stated: SectorCode(statement.stated).to_string(),
        found: SectorCode(statement.found).to_string(),
        basis: statement.basis.to_string(),
        evidence: hex::encode(statement.evidence),
    }
}

async fn disputes(
    State(http): State<LedgerHttp>,
    query: Result<Query<ReceiptPage>, QueryRejection>,
) -> Answered<Vec<doc::FalseStatement>> {
    let (contract, before, limit) = page_of(&http, query)?;
    let found = http.read(move |view| view.false_statements(contract, before, limit).map_err(internal)).await?;
    Ok(Json(found.iter().map(|(index, statement)| statement_of(*index, statement)).collect()))
}

async fn dispute(State(http): State<LedgerHttp>, InPath(index): InPath<u64>) -> Answered<doc::ProvedFalseStatement> {
    let published = http.view.published().ok_or_else(no_checkpoint)?;
    let as_of = as_of(&published);
    let found = http.read(move |view| view.prove_leaf(index, &published).map_err(internal)).await?;
    let no_such = || not_found("the newest checkpoint's log has no dispute of this index");
    let proof = found.ok_or_else(no_such)?;
    let LogLeaf::FalseStatement(statement) = &proof.leaf else { return Err(no_such()) };
    let statement = statement_of(index, statement);
    Ok(Json(doc::ProvedFalseStatement { statement, as_of, proof: hex::encode(proof.to_bytes()) }))
}

async fn receipts(
    State(http): State<LedgerHttp>,
    query: Result<Query<ReceiptPage>, QueryRejection>,
) -> Answered<Vec<doc::Receipt>> {
    let (contract, before, limit) = page_of(&http, query)?;
    let found = http.read(move |view| view.receipts(contract, before, limit).map_err(internal)).await?;
    Ok(Json(found.iter().map(|(index, receipt)| receipt_of(*index, receipt)).collect()))
}

async fn receipt(State(http): State<LedgerHttp>, InPath(id): InPath<String>) -> Answered<doc::ProvedReceipt> {
    let id = parse_obligation(&id)?;
    let published = http.view.published().ok_or_else(no_checkpoint)?;
    let as_of = as_of(&published);
    let found = http.read(move |view| view.prove_receipt(&id, &published).map_err(internal)).await?;
    let (receipt, proof) = found.ok_or_else(|| not_found("the newest checkpoint's log has no receipt of it"))?;
    let receipt = receipt_of(proof.index, &receipt);
    Ok(Json(doc::ProvedReceipt { receipt, as_of, proof: hex::encode(proof.to_bytes()) }))
}

pub(super) fn parse_obligation(text: &str) -> Result<ObligationId, Refusal> {
    let id = ObligationId::from_hex(text);
    id.ok_or_else(|| bad_request("not_an_obligation_id", "an obligation id has 64 hex digits"))
}
