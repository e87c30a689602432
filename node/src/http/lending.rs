//! What a bank's own people order about contracts, feeds and loans. The token is checked around them.

use super::contracts::{parse_feed_name, parse_obligation};
use super::desk::*;
use super::refusal::{Body, InPath, Refusal, bad_request, internal, not_found, unavailable};
use super::routes::routes;
use crate::clock::now_ms;
use crate::role::commercial_bank::Desk;
use crate::role::commercial_bank::book::{VAULT, inert_wallet};
use crate::role::commercial_bank::desk::{Inner, is_wallet_name};
use crate::role::commercial_bank::job::Work;
use crate::role::commercial_bank::lending::{LoanRow, Owed};
use crate::role::commercial_bank::requests::NewJob;
use axum::extract::DefaultBodyLimit;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::{Json, Router};
use contracts_vm::{Package, SectorCode};
use ledger_state::contradiction;
use ledger_types::contract::{ContractOrder, Deployment, PACKAGE_BYTES_MAX, StatementDispute, terms};
use ledger_types::envelope::{Kind, PublicationContext};
use ledger_types::feed::{FeedDefinition, FeedUnit, Frequency, ItemHead, PublishedValue};
use ledger_types::keys::{PublicKey, Signature};
use ledger_types::rejection::Rejection;
use ledger_types::request::BasisCode;
use ledger_types::*;
use node_api::{Problem, contracts as doc};
use std::sync::Arc;

/// A package in hex, and what stands beside it.
const BODY_BYTES_MAX: usize = 2 * PACKAGE_BYTES_MAX + (8 << 10);
/// Their openings fit the largest sealed part.
const RECLAIMED_MAX: usize = 32;

routes! { const LENDING, fn lending_routes -> Router<Arc<Inner>> {
    POST "/v1/contracts" => deploy;
    POST "/v1/contracts/{number}/stop" => stop;
    POST "/v1/contracts/{number}/retire" => retire;
    POST "/v1/feeds" => register_feed;
    POST "/v1/feeds/{name}/items" => publish;
    GET "/v1/inert" => inert;
    GET "/v1/loans" => loans;
    POST "/v1/loans" => lend;
    POST "/v1/loans/{obligation}/return" => pay_back;
    POST "/v1/disputes" => dispute;
    POST "/v1/reclaims" => reclaim;
} }

pub fn router(desk: Desk) -> Router {
    lending_routes().layer(DefaultBodyLimit::max(BODY_BYTES_MAX)).with_state(desk.inner().clone())
}

async fn operation(desk: &Arc<Inner>, work: Work, asked_by: Option<String>) -> Result<Response, Refusal> {
    let job = create_one(desk, NewJob { wallet: String::new(), work, key: key(asked_by)? }).await?;
    Ok(created(StatusCode::ACCEPTED, operation_of(desk, &job)?))
}

async fn deploy(State(desk): DeskState, Body(new): Body<doc::NewDeployment>) -> Result<Response, Refusal> {
    only_at_the_central_bank(&desk)?;
    let bytes = hex::decode(&new.package).map_err(|_| bad_request("bad_package", "a package is hex"))?;
    let read = Package::from_bytes(&bytes).map_err(unsound)?;
    let package = Octets::new(bytes).map_err(|error| unprocessable("package_too_large", error.to_string()))?;
    let mut report = [0; 32];
    if let Some(text) = &new.report {
        hex::decode_to_slice(text, &mut report)
            .map_err(|_| bad_request("bad_report", "a SHA-256 has 64 hex digits"))?;
    }
    let ledger = desk.ports.ledger();
    let contract = match new.contract {
        Some(number) if ledger.contracts.get(ContractNumber(number)).is_some() => ContractNumber(number),
        Some(number) => return Err(not_found(format!("there is no contract {number}"))),
        None => ContractNumber(ledger.contracts.iter().last().map_or(0, |(number, _)| number.0).saturating_add(1)),
    };
    let version = PolicyVersion(read.program.version());
    let order = ContractOrder::Deploy(Deployment { contract, version, notice: new.notice, report, package });
    operation(&desk, Work::OrderContract { order: order.to_bytes() }, new.idempotency_key).await
}

/// As the ledger would say; nothing is signed about it.
fn unsound(error: contracts_vm::PackageError) -> Refusal {
    Problem { detail: error.to_string(), ..Problem::rejection(Rejection::PackageUnsound) }.into()
}

/// Before anything is signed about it.
fn existing(desk: &Inner, number: u32) -> Result<ContractNumber, Refusal> {
    let contract = ContractNumber(number);
    let ledger = desk.ports.ledger();
    ledger.contracts.get(contract).map(|_| contract).ok_or_else(|| not_found(format!("there is no contract {number}")))
}

async fn stop(
    State(desk): DeskState,
    InPath(number): InPath<u32>,
    Body(new): Body<doc::NewStop>,
) -> Result<Response, Refusal> {
    only_at_the_central_bank(&desk)?;
    let order = ContractOrder::Stop { contract: existing(&desk, number)? };
    operation(&desk, Work::OrderContract { order: order.to_bytes() }, new.idempotency_key).await
}

async fn retire(
    State(desk): DeskState,
    InPath(number): InPath<u32>,
    Body(new): Body<doc::NewRetirement>,
) -> Result<Response, Refusal> {
    only_at_the_central_bank(&desk)?;
    let order = ContractOrder::Retire { contract: existing(&desk, number)?, notice: new.notice };
    operation(&desk, Work::OrderContract { order: order.to_bytes() }, new.idempotency_key).await
}

async fn register_feed(State(desk): DeskState, Body(new): Body<doc::NewFeed>) -> Result<Response, Refusal> {
    only_at_the_central_bank(&desk)?;
    let name = parse_feed_name(&new.name)?;
    let unit = match new.unit.as_str() {
        "percent" => FeedUnit::Rate,
        "index" => FeedUnit::Index,
        other => {
            let letters = contracts_vm::Currency::parse(other);
            let letters = letters.ok_or_else(|| bad_request("bad_unit", "a unit is percent, index or a currency"))?;
            FeedUnit::Money(Currency(letters.bytes()))
        }
    };
    let frequency = match new.frequency.as_str() {
        "daily" => Frequency::Daily,
        "monthly" => Frequency::Monthly,
        "quarterly" => Frequency::Quarterly,
        "yearly" => Frequency::Yearly,
        _ => return Err(bad_request("bad_frequency", "a frequency is daily, monthly, quarterly or yearly")),
    };
    let bad_key = || bad_request("bad_publishers", "1 to 16 public keys, 64 hex digits each");
    let publisher = |text: &String| {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).map(|()| PublicKey(bytes)).map_err(|_| bad_key())
    };
    let publishers = new.publishers.iter().map(publisher).collect::<Result<Vec<_>, _>>()?;
    let publishers = List::new(publishers).map_err(|_| bad_key())?;
    let ledger = desk.ports.ledger();
    let feed = match ledger.feeds.named(&name) {
        Some(feed) => feed.definition.feed,
        None => FeedNumber(ledger.feeds.iter().last().map_or(0, |feed| feed.definition.feed.0).saturating_add(1)),
    };
    let (scale, threshold, step_max) = (new.scale, new.threshold, new.step_max);
    let definition = FeedDefinition { feed, name, unit, scale, frequency, publishers, threshold, step_max };
    if !definition.is_sound() {
        return Err(Problem::rejection(Rejection::FeedUnsound).into());
    }
    operation(&desk, Work::OrderFeed { definition: definition.to_bytes() }, new.idempotency_key).await
}

async fn publish(
    State(desk): DeskState,
    InPath(name): InPath<String>,
    Body(new): Body<doc::NewItem>,
) -> Result<Response, Refusal> {
    let name = parse_feed_name(&name)?;
    let ledger = desk.ports.ledger();
    let feed = ledger.feeds.named(&name).ok_or_else(|| not_found(format!("there is no feed {name}")))?;
    let head = ItemHead {
        feed: feed.definition.feed,
        period: Period(new.period),
        vintage: Vintage(new.vintage),
        scale: feed.definition.scale,
        published_ms: new.published_ms,
        valid_until_ms: new.valid_until_ms,
    };
    let bad = || bad_request("bad_values", "1 to 16 values, each with its publisher's signature of 128 hex digits");
    let value = |by: &doc::SignedValue| {
        let signature = hex::decode(&by.signature).ok().and_then(|bytes| Signature::from_bytes(&bytes).ok());
        Ok(PublishedValue { publisher: by.publisher, value: by.value, signature: signature.ok_or_else(bad)? })
    };
    let values = new.values.iter().map(value).collect::<Result<Vec<_>, Refusal>>()?;
    if values.is_empty() {
        return Err(bad());
    }
    let publication = PublicationContext { head, values: List::new(values).map_err(|_| bad())? };
    operation(&desk, Work::Publish { publication: publication.to_bytes() }, new.idempotency_key).await
}

async fn inert(State(desk): DeskState) -> Result<Json<Vec<doc::InertMoney>>, Refusal> {
    let ledger = desk.ports.ledger();
    let all = |shared: &crate::role::commercial_bank::desk::Shared| {
        let mut found = Vec::new();
        for (number, contract) in ledger.contracts.iter() {
            for (version, deployed) in (1u32..).zip(&contract.versions) {
                let wallet = inert_wallet(&terms(desk.chain(), number, &deployed.policy));
                let (Some(sums), Some(coins)) = (desk.wallet(shared, &wallet), Inner::wallet_coins(shared, &wallet))
                else {
                    continue;
                };
                found.push(doc::InertMoney {
                    contract: number.0,
                    version,
                    live: sums.live,
                    unconfirmed: sums.unconfirmed,
                    reserved: sums.reserved,
                    frozen_or_disputed: sums.frozen_or_disputed,
                    coins: coins.into_iter().map(|coin| coin.coin).collect(),
                });
            }
        }
        found
    };
    Ok(Json(desk.show(all).await.map_err(stopping)?))
}

/// What the banker can do: K-4 lets no bank put inert coins together.
fn in_several_loans(parts: &[u64]) -> String {
    const NAMED: usize = 8;
    let named: Vec<String> = parts.iter().take(NAMED).map(u64::to_string).collect();
    let more = if parts.len() > NAMED { " and so on" } else { "" };
    format!(
        "the eight largest coins of one version are worth {} minor units: lend it as {} loans, one after the other, of \
         {}{more} minor units; each is owed and returned by itself",
        parts[0],
        parts.len(),
        named.join(", "),
    )
}

async fn lend(State(desk): DeskState, query: WaitQuery, Body(new): Body<doc::NewLoan>) -> Result<Response, Refusal> {
    let waits = Wait::parse(query)?;
    let amount = not_zero(new.amount)?;
    let (bank, to) = address(&desk, &new.to)?;
    if bank == desk.me && to == VAULT {
        return Err(unprocessable(
            "lent_to_the_lender",
            "the borrower is another than the bank: its own vault lets the money idle",
        ));
    }
    if bank == desk.me && !desk.shared().book.wallets.contains_key(&to) {
        return Err(not_found(format!("there is no wallet {to} at this bank")));
    }
    let sector = SectorCode::parse(&new.sector);
    let sector = sector.ok_or_else(|| {
        bad_request("bad_sector", format!("{} is no section or division of ISIC, such as C or C10", new.sector))
    })?;
    let contract = existing(&desk, new.contract)?;
    let wallet = desk.inert_wallet_for(contract, amount).unwrap_or_default();
    if !desk.shared().book.can_cover(&wallet, amount) {
        let detail = format!("the vault holds less than {amount} minor units under one version of the contract");
        return Err(unprocessable("insufficient_funds", detail));
    }
    let parts = desk.shared().book.in_parts(&wallet, amount);
    if parts.len() > 1 {
        return Err(unprocessable("too_many_inert_coins", in_several_loans(&parts)));
    }
    let work = Work::Lend {
        contract: contract.0,
        sector: sector.0,
        rate: new.rate,
        term_days: new.term_days,
        bank: bank.0,
        to,
        amount,
    };
    let job = create_one(&desk, NewJob { wallet, work, key: key(new.idempotency_key)? }).await?;
    paid(&desk, job, waits).await
}

fn owed_now(desk: &Inner, id: &ObligationId, row: &LoanRow) -> Result<Option<(u64, Owed)>, String> {
    let Some(open) = desk.ports.obligation(id)? else { return Ok(None) };
    let owed = desk.owed_now(&open, Amount(row.amount), now_ms())?;
    Ok(Some((open.obligation.due_ms, owed)))
}

fn loan_of(desk: &Inner, id: ObligationId, row: &LoanRow) -> doc::Loan {
    let now = match &row.returned {
        Some(_) => None,
        None => owed_now(desk, &id, row).unwrap_or_else(|reason| {
            tracing::warn!(obligation = %id, reason, "cannot reckon what is owed");
            None
        }),
    };
    let returned = row.returned.as_ref();
    doc::Loan {
        obligation: id.to_string(),
        contract: row.contract,
        borrower: format!("{}@{}", row.to, desk.participant_name(ParticipantNumber(row.bank))),
        amount: row.amount,
        sector: SectorCode(row.sector).to_string(),
        rate: row.rate,
        term_days: row.term_days,
        lent_ms: row.lent_ms,
        envelope_id: hex::encode(row.envelope),
        state: if returned.is_some() { "returned" } else { "open" }.into(),
        due_ms: now.map(|(due_ms, _)| due_ms),
        return_rate: returned.map(|returned| returned.rate).or(now.map(|(_, owed)| owed.rate)),
        owed: returned.map(|returned| returned.amount).or(now.map(|(_, owed)| owed.amount.0)),
        returned_by: returned.map(|returned| hex::encode(returned.envelope)),
        returned_ms: returned.map(|returned| returned.at_ms),
        given_back: row.given_back,
        dispute: row.disputed.as_ref().map(|disputed| doc::LoanDispute {
            found: SectorCode(disputed.sector).to_string(),
            basis: disputed.basis.clone(),
            evidence: hex::encode(disputed.evidence),
            at_ms: disputed.at_ms,
        }),
    }
}

async fn loans(State(desk): DeskState) -> Result<Json<Vec<doc::Loan>>, Refusal> {
    // What is on disk is what is told.
    let mut rows = desk.loans().map_err(internal)?;
    rows.sort_by_key(|(id, row)| (row.lent_ms, *id));
    Ok(Json(rows.iter().map(|(id, row)| loan_of(&desk, *id, row)).collect()))
}

async fn pay_back(
    State(desk): DeskState,
    InPath(id): InPath<String>,
    query: WaitQuery,
    Body(new): Body<doc::NewReturn>,
) -> Result<Response, Refusal> {
    let waits = Wait::parse(query)?;
    let id = parse_obligation(&id)?;
    if !is_wallet_name(&new.from) {
        return Err(bad_request("bad_wallet_name", format!("{} is no wallet's name", new.from)));
    }
    let row = desk.loan(&id).map_err(internal)?;
    let row = row.ok_or_else(|| not_found("this bank has made no such loan"))?;
    // K-2: what came back is to be paid again, by a payment of its own.
    let nth = if row.given_back > 0 { format!(" {}", row.given_back) } else { String::new() };
    let asked_by = new.idempotency_key.unwrap_or_else(|| format!("return {}{nth}", hex::encode(&id.0[..16])));
    let known = desk.job_of_key(&asked_by).await.map_err(not_shown)?;
    let job = match known {
        // Interest may have grown since: it is the same return all the same.
        Some(job) if matches!(&job.work, Work::PayBack { obligation, .. } if *obligation == id.0) => job,
        _ => {
            if row.returned.is_some() {
                let problem = Problem::new(409, "already_returned", "The loan is returned", "nothing is owed for it");
                return Err(problem.into());
            }
            let owed = owed_now(&desk, &id, &row).map_err(|reason| unavailable("not_reckoned", reason))?;
            let (_, owed) = owed.ok_or_else(|| not_found("the ledger has no such open loan"))?;
            let bank = desk.ports.ledger().directory.central_bank().number.0;
            let (obligation, claim, amount) = (id.0, row.claim.clone(), owed.amount.0);
            let work = Work::PayBack { bank, obligation, claim, amount };
            create_one(&desk, NewJob { wallet: new.from, work, key: key(Some(asked_by))? }).await?
        }
    };
    paid(&desk, job, waits).await
}

/// K-9: the activation is looked up here, so that the order brings what the bank stated.
async fn dispute(State(desk): DeskState, Body(new): Body<doc::NewDispute>) -> Result<Response, Refusal> {
    only_at_the_central_bank(&desk)?;
    let loan = parse_obligation(&new.loan)?;
    let sector = SectorCode::parse(&new.sector).ok_or_else(|| bad_request("bad_sector", "no code of ISIC Rev. 4"))?;
    let basis = BasisCode::parse(&new.basis);
    let basis = basis.ok_or_else(|| bad_request("bad_basis", "a basis is 1 to 8 of A-Z, 0-9 and -"))?;
    let mut evidence = [0; 32];
    let hash = hex::decode_to_slice(&new.evidence, &mut evidence);
    hash.map_err(|_| bad_request("bad_evidence", "the hash of the evidence has 64 hex digits"))?;
    let open = desk.ports.obligation(&loan).map_err(internal)?;
    let id = open.map_or(EnvelopeId(loan.0), |open| open.activation);
    let activation = desk.ports.envelope(&id).map_err(internal)?;
    let activation = activation.filter(|envelope| envelope.kind() == Kind::Activate);
    let activation = activation.ok_or_else(|| not_found("no such loan is open, and no activation has this id"))?;
    let dispute = StatementDispute {
        contract: activation.header.core.contract,
        sector: sector.0,
        basis,
        evidence,
        activation: Octets::new(activation.header.to_bytes()).map_err(internal)?,
        ciphertext: activation.ciphertext_hash(desk.chain()),
    };
    if contradiction(desk.chain(), &dispute).is_none() {
        let detail = "the bank stated this sector, or one that it is a part of, or the whole of which it is a part";
        return Err(unprocessable(Rejection::StatementDoesNotFit.code(), detail));
    }
    let order = ContractOrder::Dispute(dispute).to_bytes();
    operation(&desk, Work::OrderContract { order }, new.idempotency_key).await
}

async fn reclaim(State(desk): DeskState, Body(new): Body<doc::NewReclaim>) -> Result<Response, Refusal> {
    only_at_the_central_bank(&desk)?;
    if new.coins.is_empty() || new.coins.len() > RECLAIMED_MAX {
        return Err(bad_request("bad_coins", format!("1 to {RECLAIMED_MAX} coins")));
    }
    let mut coins = new.coins.iter().map(|text| coin_id(text)).collect::<Result<Vec<_>, _>>()?;
    coins.sort_unstable();
    if !coins.is_sorted_by(|a, b| a < b) {
        return Err(bad_request("bad_coins", "a coin is named twice"));
    }
    let contract = existing(&desk, new.contract)?;
    let coins = coins.iter().map(|coin| coin.0).collect();
    operation(&desk, Work::Reclaim { contract: contract.0, coins }, new.idempotency_key).await
}
