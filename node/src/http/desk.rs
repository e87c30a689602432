//! The desk's endpoints, for the bank's own people and programs. The token is checked around them.

use super::refusal::{Body, InPath, Refusal, bad_request, internal, not_found, unavailable};
use super::routes::routes;
use crate::clock::now_ms;
use crate::role::central_bank::worth_of;
use crate::role::commercial_bank::Desk;
use crate::role::commercial_bank::book::{VAULT, is_inert};
use crate::role::commercial_bank::desk::{Inner, Shared, is_wallet_name};
use crate::role::commercial_bank::documents::waitable;
use crate::role::commercial_bank::job::{Job, JobId, State as JobState, Work};
use crate::role::commercial_bank::journal::Stopped;
use crate::role::commercial_bank::ownership::NotProved;
use crate::role::commercial_bank::requests::{NewJob, NotCreated, NotShown};
use axum::extract::rejection::QueryRejection;
use axum::extract::{DefaultBodyLimit, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use ledger_types::coin::{INPUTS_BY_ID_MAX, OUTPUTS_MAX};
use ledger_types::envelope::RecoverReason;
use ledger_types::ownership::Challenge;
use ledger_types::rejection::Rejection;
use ledger_types::{CoinId, ContractNumber, Decode, Encode, ParticipantNumber};
use node_api::{Problem, desk as doc};
use serde::Deserialize;
use std::sync::Arc;
use std::time::Duration;

const BODY_BYTES_MAX: usize = 64 << 10;
const BATCH_BODY_BYTES_MAX: usize = 128 << 10;
const PAYMENTS_PER_BATCH_MAX: usize = 256;
const MEMO_BYTES_MAX: usize = 80;
const KEY_BYTES_MAX: usize = 64;
/// Below the server's own limit of a request.
const WAIT_MAX_MS: u64 = 25_000;
const WAIT_DEFAULT_MS: u64 = 10_000;

pub(super) type DeskState = State<Arc<Inner>>;

routes! { const DESK, fn desk_routes -> Router<Arc<Inner>> {
    GET "/v1/wallets" => wallets;
    POST "/v1/wallets" => new_wallet;
    GET "/v1/wallets/{name}" => wallet;
    GET "/v1/wallets/{name}/coins" => wallet_coins;
    POST "/v1/payments" => pay;
    GET "/v1/payments/{id}" => payment;
    POST "/v1/issues" => issue;
    POST "/v1/redemptions" => redeem;
    POST "/v1/recoveries" => recover;
    GET "/v1/operations/{id}" => operation;
    POST "/v1/ownership" => prove_ownership;
    GET "/v1/openings/{coin}" => opening;
} }

routes! { const BATCHES, fn batch_routes -> Router<Arc<Inner>> {
    POST "/v1/payments/batch" => pay_batch;
} }

pub fn router(desk: Desk) -> Router {
    desk_routes()
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .merge(batch_routes().layer(DefaultBodyLimit::max(BATCH_BODY_BYTES_MAX)))
        .with_state(desk.inner().clone())
}

pub(super) fn unprocessable(code: &str, detail: impl Into<String>) -> Refusal {
    Problem::new(422, code, "The desk does not take this", detail).into()
}

pub(super) fn created(status: StatusCode, document: impl serde::Serialize) -> Response {
    (status, Json(document)).into_response()
}

fn not_created(error: NotCreated) -> Refusal {
    match error {
        NotCreated::WalletUnknown(name) => not_found(format!("there is no wallet {name} at this bank")),
        NotCreated::InsufficientFunds { live, .. } => {
            Refusal(Problem::new(422, "insufficient_funds", "The wallet cannot pay this", error.to_string()).with_help(
                format!(
                    "{live} minor units are live; what is unconfirmed becomes live when the central bank confirms it"
                ),
            ))
        }
        NotCreated::Busy(_) => unavailable("busy", error.to_string()),
        NotCreated::KeyReused => Refusal(
            Problem::new(409, "idempotency_key_reused", "The key belongs to another request", error.to_string())
                .with_help("use a fresh key for every new payment, and the same one only to repeat a request"),
        ),
        NotCreated::WalletName => bad_request("bad_wallet_name", error.to_string()),
        NotCreated::WalletExists => Problem::new(409, "wallet_exists", "The name is taken", error.to_string()).into(),
        NotCreated::Stopped(_) => unavailable("stopping", "the desk stops; what was answered before is kept"),
        NotCreated::Row(error) => internal(error),
    }
}

async fn wallets(State(desk): DeskState) -> Result<Json<Vec<doc::Wallet>>, Refusal> {
    let all = |shared: &Shared| {
        let named = shared.book.wallets.keys().filter(|name| !is_inert(name));
        named.filter_map(|name| desk.wallet(shared, name)).collect()
    };
    Ok(Json(desk.show(all).await.map_err(stopping)?))
}

pub(super) fn stopping(stopped: Stopped) -> Refusal {
    not_created(stopped.into())
}

async fn new_wallet(State(desk): DeskState, Body(new): Body<doc::NewWallet>) -> Result<Response, Refusal> {
    desk.create_wallet(&new.name).await.map_err(not_created)?;
    let wallet = desk.show(|shared| desk.wallet(shared, &new.name)).await.map_err(stopping)?;
    Ok(created(StatusCode::CREATED, wallet))
}

fn known<T>(found: Option<T>, name: &str) -> Result<Json<T>, Refusal> {
    found.map(Json).ok_or_else(|| not_found(format!("there is no wallet {name} at this bank")))
}

async fn wallet(State(desk): DeskState, InPath(name): InPath<String>) -> Result<Json<doc::Wallet>, Refusal> {
    let found = desk.show(|shared| desk.wallet(shared, &name)).await.map_err(stopping)?;
    known(found, &name)
}

async fn wallet_coins(
    State(desk): DeskState,
    InPath(name): InPath<String>,
) -> Result<Json<Vec<doc::WalletCoin>>, Refusal> {
    let found = desk.show(|shared| Inner::wallet_coins(shared, &name)).await.map_err(stopping)?;
    known(found, &name)
}

pub(super) fn key(key: Option<String>) -> Result<Option<String>, Refusal> {
    match key {
        Some(key) if key.is_empty() || key.len() > KEY_BYTES_MAX => {
            Err(bad_request("bad_idempotency_key", format!("an idempotency key has 1 to {KEY_BYTES_MAX} bytes")))
        }
        key => Ok(key),
    }
}

pub(super) fn address(desk: &Inner, text: &str) -> Result<(ParticipantNumber, String), Refusal> {
    desk.parse_address(text).ok_or_else(|| {
        let problem = Problem::new(
            400,
            "bad_address",
            "The address leads nowhere",
            format!("{text} is no wallet@bank of this chain"),
        );
        Refusal(problem.with_help("addresses look like alice@bank2; assay participants lists the banks"))
    })
}

pub(super) fn not_zero(amount: u64) -> Result<u64, Refusal> {
    if amount == 0 { Err(unprocessable("amount_is_zero", "the amount is zero")) } else { Ok(amount) }
}

fn payment_job(desk: &Inner, new: doc::NewPayment) -> Result<NewJob, Refusal> {
    let (bank, to) = address(desk, &new.to)?;
    let amount = not_zero(new.amount)?;
    if new.memo.len() > MEMO_BYTES_MAX {
        let detail = format!("the memo has {} bytes, at most {MEMO_BYTES_MAX} fit", new.memo.len());
        return Err(unprocessable("memo_too_long", detail));
    }
    if !is_wallet_name(&new.from) {
        return Err(bad_request("bad_wallet_name", format!("{} is no wallet's name", new.from)));
    }
    if bank == desk.me && to == new.from {
        return Err(unprocessable("same_wallet", "payer and payee are the same wallet"));
    }
    if bank == desk.me && !desk.shared().book.wallets.contains_key(&to) {
        return Err(not_found(format!("there is no wallet {to} at this bank")));
    }
    let work = Work::Pay { bank: bank.0, to, amount, memo: new.memo };
    Ok(NewJob { wallet: new.from, work, key: key(new.idempotency_key)? })
}

pub(super) async fn create_one(desk: &Arc<Inner>, job: NewJob) -> Result<Job, Refusal> {
    let mut answers = desk.create(vec![job]).await.map_err(|stopped| not_created(stopped.into()))?;
    answers.pop().expect("one answer each").map_err(not_created)
}

pub(super) fn not_shown(error: NotShown) -> Refusal {
    match error {
        NotShown::Stopped(stopped) => stopping(stopped),
        NotShown::Row(error) => internal(error),
    }
}

/// `?wait=STATE&timeout_ms=N`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wait {
    wait: Option<String>,
    timeout_ms: Option<u64>,
}

pub(super) type WaitQuery = Result<Query<Wait>, QueryRejection>;

impl Wait {
    /// The state to wait for, and for how long.
    pub(super) fn parse(query: WaitQuery) -> Result<(JobState, Duration), Refusal> {
        let Query(wait) = query.map_err(|rejection| bad_request("bad_query", rejection.body_text()))?;
        let state = match wait.wait.as_deref() {
            None => JobState::Pending,
            Some(text) => waitable(text).ok_or_else(|| {
                bad_request("bad_query", "wait for pending, ordered, settled, confirmed, disputed or refused")
            })?,
        };
        let timeout_ms = wait.timeout_ms.unwrap_or(WAIT_DEFAULT_MS);
        if timeout_ms > WAIT_MAX_MS {
            return Err(bad_request("bad_query", format!("timeout_ms is at most {WAIT_MAX_MS}")));
        }
        Ok((state, Duration::from_millis(timeout_ms)))
    }
}

async fn waited(desk: &Inner, id: &JobId, query: WaitQuery) -> Result<Job, Refusal> {
    let (state, timeout) = Wait::parse(query)?;
    let found = desk.wait_for(id, state, timeout).await.map_err(not_shown)?;
    found.ok_or_else(|| not_found("the desk has no job with this id"))
}

fn job_id(text: &str) -> Result<JobId, Refusal> {
    let mut id = [0; 16];
    hex::decode_to_slice(text, &mut id).map_err(|_| bad_request("bad_id", "an id has 32 hex digits"))?;
    Ok(id)
}

fn payment_of(desk: &Inner, job: &Job) -> Result<doc::Payment, Refusal> {
    desk.payment(job).ok_or_else(|| not_found("this id is not a payment's"))
}

pub(super) fn operation_of(desk: &Inner, job: &Job) -> Result<doc::Operation, Refusal> {
    desk.operation(job).ok_or_else(|| not_found("this id is not an operation's"))
}

async fn pay(State(desk): DeskState, query: WaitQuery, Body(new): Body<doc::NewPayment>) -> Result<Response, Refusal> {
    // Before anything is created: a malformed query creates nothing.
    let (state, timeout) = Wait::parse(query)?;
    let job = payment_job(&desk, new)?;
    let job = create_one(&desk, job).await?;
    paid(&desk, job, (state, timeout)).await
}

/// The payment when it has reached the state, or as it stands when the time is up.
pub(super) async fn paid(
    desk: &Inner,
    mut job: Job,
    (state, timeout): (JobState, Duration),
) -> Result<Response, Refusal> {
    if !job.state.has_reached(state) {
        job = desk.wait_for(&job.id, state, timeout).await.map_err(not_shown)?.unwrap_or(job);
    }
    Ok(created(StatusCode::ACCEPTED, payment_of(desk, &job)?))
}

/// A payment or a problem for each, in their order. All that are taken are durable when the answer comes.
async fn pay_batch(State(desk): DeskState, Body(new): Body<Vec<doc::NewPayment>>) -> Result<Response, Refusal> {
    if new.is_empty() || new.len() > PAYMENTS_PER_BATCH_MAX {
        return Err(bad_request("bad_batch", format!("a batch holds 1 to {PAYMENTS_PER_BATCH_MAX} payments")));
    }
    let mut jobs = Vec::with_capacity(new.len());
    let mut answers: Vec<Option<Problem>> = Vec::with_capacity(new.len());
    for new in new {
        match payment_job(&desk, new) {
            Ok(job) => {
                jobs.push(job);
                answers.push(None);
            }
            Err(Refusal(problem)) => answers.push(Some(problem)),
        }
    }
    let created_jobs = desk.create(jobs).await.map_err(|stopped| not_created(stopped.into()))?;
    let mut created_jobs = created_jobs.into_iter();
    let mut documents = Vec::with_capacity(answers.len());
    for answer in answers {
        let problem = match answer {
            Some(problem) => problem,
            None => match created_jobs.next().expect("one answer for each job") {
                Ok(job) => {
                    documents.push(serde_json::to_value(payment_of(&desk, &job)?).map_err(internal)?);
                    continue;
                }
                Err(error) => not_created(error).0,
            },
        };
        documents.push(serde_json::to_value(problem).map_err(internal)?);
    }
    Ok(created(StatusCode::ACCEPTED, documents))
}

async fn payment(
    State(desk): DeskState,
    InPath(id): InPath<String>,
    query: WaitQuery,
) -> Result<Json<doc::Payment>, Refusal> {
    let job = waited(&desk, &job_id(&id)?, query).await?;
    Ok(Json(payment_of(&desk, &job)?))
}

async fn operation(
    State(desk): DeskState,
    InPath(id): InPath<String>,
    query: WaitQuery,
) -> Result<Json<doc::Operation>, Refusal> {
    let job = waited(&desk, &job_id(&id)?, query).await?;
    Ok(Json(operation_of(&desk, &job)?))
}

pub(super) fn only_at_the_central_bank(desk: &Inner) -> Result<(), Refusal> {
    if desk.central.is_some() {
        return Ok(());
    }
    Err(Problem::new(
        403,
        "not_the_central_bank",
        "Only the central bank does this",
        "this node is a commercial bank's",
    )
    .into())
}

async fn issue(State(desk): DeskState, Body(new): Body<doc::NewIssue>) -> Result<Response, Refusal> {
    only_at_the_central_bank(&desk)?;
    let amount = not_zero(new.amount)?;
    let coins = u64::from(new.coins);
    if coins == 0 || coins > OUTPUTS_MAX as u64 || coins > amount {
        return Err(unprocessable("bad_coin_count", format!("into 1 to {OUTPUTS_MAX} coins, each worth something")));
    }
    if !desk.rules.genesis.series.iter().any(|series| series.number.0 == new.series) {
        return Err(unprocessable("series_unknown", format!("there is no series {}", new.series)));
    }
    let ledger = desk.ports.ledger();
    if new.contract != 0 && ledger.contracts.get(ContractNumber(new.contract)).is_none() {
        return Err(Problem::rejection(Rejection::ContractUnknown).into());
    }
    let bank = ledger.directory.get(ParticipantNumber(new.bank));
    if !bank.is_some_and(|line| line.is_commercial_bank() || line.is_central_bank()) {
        return Err(unprocessable("bank_unknown", format!("participant {} is no bank", new.bank)));
    }
    let each = amount / coins;
    let mut amounts = vec![each; usize::from(new.coins)];
    amounts[0] += amount - each * coins;
    let work = Work::Issue { bank: new.bank, series: new.series, amounts, contract: new.contract };
    let job = NewJob { wallet: String::new(), work, key: key(new.idempotency_key)? };
    let job = create_one(&desk, job).await?;
    Ok(created(StatusCode::ACCEPTED, operation_of(&desk, &job)?))
}

async fn redeem(State(desk): DeskState, Body(new): Body<doc::NewRedemption>) -> Result<Response, Refusal> {
    only_at_the_central_bank(&desk)?;
    let work = Work::Redeem { amount: not_zero(new.amount)? };
    let job = NewJob { wallet: VAULT.to_owned(), work, key: key(new.idempotency_key)? };
    let job = create_one(&desk, job).await?;
    Ok(created(StatusCode::ACCEPTED, operation_of(&desk, &job)?))
}

async fn recover(State(desk): DeskState, Body(new): Body<doc::NewRecovery>) -> Result<Response, Refusal> {
    only_at_the_central_bank(&desk)?;
    let reason = match new.reason.as_str() {
        "dispute" => RecoverReason::Dispute,
        "failed_bank" => RecoverReason::FailedBank,
        "court_order" => RecoverReason::CourtOrder,
        other => {
            return Err(bad_request("bad_reason", format!("{other} is none of dispute, failed_bank, court_order")));
        }
    };
    if new.coins.is_empty() || new.coins.len() > INPUTS_BY_ID_MAX {
        return Err(bad_request("bad_coins", format!("1 to {INPUTS_BY_ID_MAX} coins")));
    }
    let mut coins = new.coins.iter().map(|text| coin_id(text)).collect::<Result<Vec<_>, _>>()?;
    coins.sort_unstable();
    if !coins.is_sorted_by(|a, b| a < b) {
        return Err(bad_request("bad_coins", "a coin is named twice"));
    }
    let (bank, to) = address(&desk, &new.to)?;
    let key = key(new.idempotency_key)?;
    let known = match &key {
        Some(key) => desk.job_of_key(key).await.map_err(not_shown)?,
        None => None,
    };
    let amount = match known.map(|job| job.work) {
        None => recovered_amount(&desk, &coins, new.amount).await?,
        // Asked before: the coins are spent by now, and nobody knows them any more. Whether it is the same request,
        // `create` says.
        Some(Work::Recover { amount, .. }) => new.amount.unwrap_or(amount),
        Some(_) => new.amount.unwrap_or_default(),
    };
    let coins = coins.iter().map(|coin| coin.0).collect();
    let work = Work::Recover { coins, reason: reason.number(), bank: bank.0, to, amount };
    let job = create_one(&desk, NewJob { wallet: String::new(), work, key }).await?;
    Ok(created(StatusCode::ACCEPTED, operation_of(&desk, &job)?))
}

/// What these coins give back: what officers say, within what the coins are known to be worth, or all of that.
async fn recovered_amount(desk: &Inner, coins: &[CoinId], asked: Option<u64>) -> Result<u64, Refusal> {
    let inputs = desk.find_openings(coins).await;
    let inputs =
        inputs.map_err(|coin| unprocessable("coin_unknown", format!("no bank gives the opening of {coin}")))?;
    match (asked, worth_of(&inputs)) {
        (Some(amount), Some(worth)) if u128::from(amount) > worth => {
            Err(unprocessable("amount_too_large", format!("the coins are worth {worth} minor units")))
        }
        (Some(amount), _) => not_zero(amount),
        (None, Some(worth)) => not_zero(
            u64::try_from(worth)
                .map_err(|_| unprocessable("amount_too_large", "the coins exceed what one coin holds"))?,
        ),
        (None, None) => Err(unprocessable(
            "amount_needed",
            "nobody could open one of the coins: say how much of what the disputed payment had spent is given back",
        )),
    }
}

pub(super) fn coin_id(text: &str) -> Result<CoinId, Refusal> {
    CoinId::parse(text).map_err(|error| bad_request("not_a_coin_id", error.to_string()))
}

fn not_held(coin: CoinId) -> Refusal {
    not_found(format!("this bank holds no coin {coin}"))
}

async fn prove_ownership(
    State(desk): DeskState,
    Body(new): Body<doc::NewOwnershipProof>,
) -> Result<Json<doc::OwnershipProof>, Refusal> {
    let coin = coin_id(&new.coin)?;
    let bytes = hex::decode(&new.challenge).map_err(|_| bad_request("bad_challenge", "a challenge is hex"))?;
    let challenge = Challenge::from_bytes(&bytes)
        .map_err(|error| bad_request("bad_challenge", format!("no challenge: {error}")))?;
    let answer =
        desk.show(|shared| desk.prove_ownership(shared, &coin, challenge, now_ms())).await.map_err(stopping)?;
    let proof = answer.map_err(|error| match error {
        NotProved::NotHeld => not_held(coin),
        NotProved::Expired => unprocessable("challenge_expired", error.to_string()),
        NotProved::OtherOwner => unprocessable("not_the_owner", error.to_string()),
    })?;
    Ok(Json(doc::OwnershipProof { coin: coin.to_string(), ownership: hex::encode(proof.to_bytes()) }))
}

async fn opening(State(desk): DeskState, InPath(text): InPath<String>) -> Result<Json<doc::CoinOpening>, Refusal> {
    let coin = coin_id(&text)?;
    let found = desk.show(|shared| desk.opening_of(shared, &coin)).await.map_err(stopping)?;
    found.map(Json).ok_or_else(|| not_held(coin))
}
