//! `/v1`: every answer of the pages as JSON, and what outside tools need to verify it.
//!
//! - Exact keys only. Nothing lists coins. One path takes a body, to try a policy out, and keeps nothing of it.
//! - What the site verified it answers by itself; what only its reader can judge (consistency paths, buckets, tiles,
//!   `tlog-proof` files) it passes on from an observer and says so in `/openapi.json`.
//! - Everything is public, so any page may ask: `Access-Control-Allow-Origin: *`, and no credential is ever read.

pub mod contracts;
pub mod documents;
mod events;
mod log;
mod trial;

use crate::http::refusal::{self, Refusal, bad_request, overloaded, silent, unverified};
use crate::ledger::AnswerError;
use crate::pages::finding;
use crate::search::{self, Found};
use crate::site::Site;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use documents as doc;
use ledger_types::participant::Roles;
use ledger_types::{CoinId, ParticipantNumber};
use serde::Deserialize;
use std::sync::LazyLock;
use utoipa::openapi::{ContentBuilder, Ref, ResponseBuilder};
use utoipa::{Modify, OpenApi};

const STATES_PER_PAGE: usize = 100;
const STATES_PER_PAGE_MAX: usize = 500;

type Answered<T> = Result<Json<T>, Refusal>;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Assay query site",
        version = "1",
        description = "The public's view of the confirmation registry. Every answer was verified by this site from the \
            genesis document and carries the proof, so that its reader need not trust the site.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    paths(
        status,
        coin,
        coin_proof,
        log::coin_log_proof,
        supply,
        disclosures,
        checkpoint,
        checkpoint_note,
        states,
        participants,
        search_text,
        log::consistency,
        log::buckets,
        log::bucket,
        log::hand_overs,
        events::events,
        genesis,
        log::log_checkpoint,
        log::log_tile,
        contracts::contracts,
        contracts::contract,
        contracts::report,
        contracts::feeds,
        contracts::feed,
        contracts::receipt,
        trial::contract_try,
    ),
    components(schemas(doc::Problem, doc::StateEvent)),
    modifiers(&Refusals)
)]
struct Api;

/// Which refusals a path declares: a program written from the document meets no other.
struct Refusals;

/// Answered without an observer, from what the site itself knows.
const OWN: [&str; 5] = ["/genesis", "/v1/participants", "/v1/search", "/v1/states", "/v1/status"];
/// An observer's answers that are passed on, with its word on what it does not have.
const PASSED_ON: [&str; 6] = [
    "/log/tile/{tile}",
    "/v1/buckets",
    "/v1/buckets/{bits}/{prefix}",
    "/v1/coins/{coin}/log-proof",
    "/v1/consistency",
    "/v1/hand-overs",
];
/// The site itself says that there is none, and the map shows it.
const MAY_BE_ABSENT: [&str; 4] = [
    "/v1/contracts/{number}",
    "/v1/contracts/{number}/versions/{version}/report",
    "/v1/feeds/{name}",
    "/v1/receipts/{obligation}",
];
const VERIFIED_WHEN_ASKED: [&str; 8] = [
    "/v1/coins/{coin}",
    "/v1/coins/{coin}/proof",
    "/v1/contracts",
    "/v1/contracts/{number}",
    "/v1/contracts/{number}/versions/{version}/report",
    "/v1/feeds",
    "/v1/feeds/{name}",
    "/v1/receipts/{obligation}",
];

impl Modify for Refusals {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        for (path, item) in &mut document.paths.paths {
            let takes_a_body = item.post.is_some();
            let Some(operation) = item.get.as_mut().or(item.post.as_mut()) else { continue };
            let has_parameters = operation.parameters.is_some();
            let mut declare = |holds: bool, status: &str, description: &str| {
                if holds {
                    operation.responses.responses.insert(status.into(), problem(description).into());
                }
            };
            declare(
                has_parameters,
                "400",
                "The request is not well-formed: `not_a_coin_id`, `bad_path`, `bad_query` and such",
            );
            declare(takes_a_body, "400", "The body is no JSON object with these fields: `bad_body`");
            declare(takes_a_body, "413", "`body_too_large`");
            declare(PASSED_ON.contains(&path.as_str()), "404", "The observer has no such thing: `not_found`");
            declare(MAY_BE_ABSENT.contains(&path.as_str()), "404", "There is no such thing: `not_found`");
            declare(path == "/v1/buckets/{bits}/{prefix}", "422", "`bucket_too_large`: ask with more bits");
            declare(true, "429", "`rate_limited`: ask again after the seconds of `Retry-After`");
            declare(
                VERIFIED_WHEN_ASKED.contains(&path.as_str()),
                "502",
                "`unverified`: an observer's answer failed a check",
            );
            let asks_observers = !takes_a_body && !OWN.contains(&path.as_str());
            declare(asks_observers, "503", "`observers_silent`, `overloaded`");
            declare(takes_a_body, "503", "`overloaded`");
            declare(true, "504", "`timed_out`");
        }
    }
}

fn problem(description: &str) -> utoipa::openapi::Response {
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
    ResponseBuilder::new().description(description).content("application/problem+json", content).build()
}

/// The document of `/openapi.json`, as committed in `query-site/openapi.json`.
pub fn openapi() -> String {
    let mut text = Api::openapi().to_pretty_json().expect("a schema is plain JSON");
    text.push('\n');
    text
}

static OPENAPI: LazyLock<String> = LazyLock::new(openapi);

pub fn router(site: Site) -> Router {
    Router::new()
        .route("/v1/status", get(status))
        .route("/v1/coins/{coin}", get(coin))
        .route("/v1/coins/{coin}/proof", get(coin_proof))
        .route("/v1/coins/{coin}/log-proof", get(log::coin_log_proof))
        .route("/v1/supply", get(supply))
        .route("/v1/disclosures", get(disclosures))
        .route("/v1/checkpoint", get(checkpoint))
        .route("/v1/checkpoint.txt", get(checkpoint_note))
        .route("/v1/states", get(states))
        .route("/v1/participants", get(participants))
        .route("/v1/search", get(search_text))
        .route("/v1/consistency", get(log::consistency))
        .route("/v1/buckets", get(log::buckets))
        .route("/v1/buckets/{bits}/{prefix}", get(log::bucket))
        .route("/v1/hand-overs", get(log::hand_overs))
        .route("/v1/events", get(events::events))
        .route("/v1/contracts", get(contracts::contracts))
        .route("/v1/contracts/{number}", get(contracts::contract))
        .route("/v1/contracts/{number}/versions/{version}/report", get(contracts::report))
        .route("/v1/feeds", get(contracts::feeds))
        .route("/v1/feeds/{name}", get(contracts::feed))
        .route("/v1/receipts/{obligation}", get(contracts::receipt))
        .route(
            "/v1/contracts/try",
            post(trial::contract_try).layer(DefaultBodyLimit::max(crate::trial::BODY_BYTES_MAX)),
        )
        .route("/v1/{*rest}", axum::routing::any(async || refusal::no_such_path()))
        .route("/genesis", get(genesis))
        .route("/log/checkpoint", get(log::log_checkpoint))
        .route("/log/tile/{*tile}", get(log::log_tile))
        .route("/openapi.json", get(async || json_text(&OPENAPI)))
        .route("/health", get(health))
        .method_not_allowed_fallback(async || refusal::method_not_allowed())
        .layer(axum::middleware::map_response(for_any_page))
        .with_state(site)
}

async fn for_any_page(mut response: Response) -> Response {
    response.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    response
}

fn json_text(text: &'static str) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], text).into_response()
}

pub(crate) fn validators(site: &Site) -> usize {
    site.ledger().belief.judge(|trust| trust.validators().len())
}

/// How the site stands: newest verified state, its observers, and whether their logs contradict each other.
#[utoipa::path(get, path = "/v1/status", responses((status = 200, body = doc::Status)))]
async fn status(State(site): State<Site>) -> Json<doc::Status> {
    let (view, now_ms) = (site.ledger().view(), site.now_ms());
    let validators = validators(&site);
    Json(doc::Status {
        schema_version: node_api::SCHEMA_VERSION,
        role: "site".into(),
        genesis_hash: site.genesis_hash().into(),
        as_of: view.tip.as_ref().map(|tip| doc::AsOf::new(tip.state(), validators, now_ms)),
        split_view: view.split.as_ref().map(|split| doc::SplitView {
            accepted_size: split.accepted.size,
            accepted_root: split.accepted.root.to_string(),
            shown_size: split.shown.size,
            shown_root: split.shown.root.to_string(),
            seen_at_ms: split.seen_at_ms,
        }),
        observers: view
            .upstreams
            .iter()
            .map(|upstream| doc::Observer {
                name: upstream.name.clone(),
                height: upstream.height,
                standing: upstream.standing.code().into(),
                reason: match &upstream.standing {
                    crate::ledger::UpstreamStanding::Lies(failure) => Some(failure.code().into()),
                    _ => None,
                },
                verified_at_ms: upstream.verified_at_ms,
            })
            .collect(),
        version: env!("CARGO_PKG_VERSION").into(),
    })
}

/// 200 while the site has something verified to show; whether that is fresh, `/v1/status` says.
async fn health(State(site): State<Site>) -> Result<&'static str, Refusal> {
    if site.ledger().view().tip.is_some() { Ok("ok\n") } else { Err(silent()) }
}

fn coin_id(path: Result<Path<String>, PathRejection>) -> Result<CoinId, Refusal> {
    let Path(text) = path.map_err(|rejection| bad_request("bad_path", rejection.body_text()))?;
    match search::read(&text) {
        Found::Coin(coin) => Ok(coin),
        Found::Miss(search::Miss::ChecksumAt(at)) => {
            Err(bad_request("not_a_coin_id", format!("the checksum fails at character {at}")))
        }
        _ => match CoinId::parse(&text) {
            Ok(coin) => Ok(coin),
            Err(error) => Err(bad_request("not_a_coin_id", error.to_string())),
        },
    }
}

fn no_answer(error: AnswerError) -> Refusal {
    match error {
        AnswerError::Silent => silent(),
        AnswerError::Busy => overloaded("too many questions wait for the observers"),
        AnswerError::Untrue { failure, .. } => unverified(failure.code()),
    }
}

/// What the registry says of one coin, proved; `not_registered` is proved as well.
#[utoipa::path(
    get, path = "/v1/coins/{coin}", params(("coin" = String, Path, description = "A coin id, `coin1…`")),
    responses((status = 200, body = doc::CoinAnswer)),
)]
async fn coin(State(site): State<Site>, path: Result<Path<String>, PathRejection>) -> Answered<doc::CoinAnswer> {
    let found = site.ledger().coin(coin_id(path)?).await.map_err(no_answer)?;
    let view = site.ledger().view();
    Ok(Json(doc::CoinAnswer::new(&found, &view, validators(&site), site.now_ms())))
}

/// The same as a file to keep: `assay coin verify FILE --genesis GENESIS`.
#[utoipa::path(
    get, path = "/v1/coins/{coin}/proof", params(("coin" = String, Path, description = "A coin id, `coin1…`")),
    responses((status = 200, body = doc::ProofFile)),
)]
async fn coin_proof(State(site): State<Site>, path: Result<Path<String>, PathRejection>) -> Result<Response, Refusal> {
    let found = site.ledger().coin(coin_id(path)?).await.map_err(no_answer)?;
    let coin = found.coin.coin().to_string();
    let name = format!("attachment; filename=\"{coin}-{}.assayproof\"", found.coin.state().head().size);
    let hand_overs = site.ledger().belief.hand_overs();
    let file =
        doc::ProofFile { schema_version: node_api::SCHEMA_VERSION, coin, proof: found.proof.clone(), hand_overs };
    Ok(([(header::CONTENT_DISPOSITION, name)], Json(file)).into_response())
}

/// Totals of the newest verified state.
#[utoipa::path(get, path = "/v1/supply", responses((status = 200, body = doc::Supply)))]
async fn supply(State(site): State<Site>) -> Answered<doc::Supply> {
    let tip = site.ledger().view().tip.clone().ok_or_else(silent)?;
    Ok(Json(site.ledger().belief.judge(|trust| doc::Supply::new(&tip, trust, site.now_ms()))))
}

/// How often officers asked to open, freeze or let go a coin, and on which basis.
#[utoipa::path(get, path = "/v1/disclosures", responses((status = 200, body = doc::Disclosures)))]
async fn disclosures(State(site): State<Site>) -> Answered<doc::Disclosures> {
    let view = site.ledger().view();
    let tip = view.tip.as_ref().filter(|_| view.tail.size() > 0).ok_or_else(silent)?;
    let as_of = doc::AsOf::new(tip.state(), validators(&site), site.now_ms());
    Ok(Json(doc::Disclosures::new(&view.tail, as_of)))
}

/// The newest verified checkpoint.
#[utoipa::path(get, path = "/v1/checkpoint", responses((status = 200, body = doc::Checkpoint)))]
async fn checkpoint(State(site): State<Site>) -> Answered<doc::Checkpoint> {
    let tip = site.ledger().view().tip.clone().ok_or_else(silent)?;
    let head = tip.state().head();
    Ok(Json(doc::Checkpoint {
        origin: site.ledger().belief.judge(|trust| trust.genesis().origin.as_str().to_owned()),
        size: head.size,
        root: head.root.to_string(),
        signers: doc::count(tip.state().signers().len()),
        note: tip.note.clone(),
    }))
}

/// The same checkpoint as the bare signed note.
#[utoipa::path(get, path = "/v1/checkpoint.txt", responses((status = 200, body = String, content_type = "text/plain")))]
async fn checkpoint_note(State(site): State<Site>) -> Result<String, Refusal> {
    Ok(site.ledger().view().tip.clone().ok_or_else(silent)?.note.clone())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StatesPage {
    before: Option<u64>,
    limit: Option<usize>,
}

/// Confirmed states, newest first.
#[utoipa::path(
    get, path = "/v1/states",
    params(
        ("before" = Option<u64>, Query, description = "Only logs smaller than this"),
        ("limit" = Option<usize>, Query, description = "At most so many, up to 500; 100 by default"),
    ),
    responses((status = 200, body = Vec<doc::State>)),
)]
async fn states(
    State(site): State<Site>,
    page: Result<Query<StatesPage>, QueryRejection>,
) -> Answered<Vec<doc::State>> {
    let Query(page) = page.map_err(|rejection| bad_request("bad_query", rejection.body_text()))?;
    let limit = page.limit.unwrap_or(STATES_PER_PAGE);
    if !(1..=STATES_PER_PAGE_MAX).contains(&limit) {
        return Err(bad_request("bad_query", format!("limit is 1 to {STATES_PER_PAGE_MAX}")));
    }
    let before = page.before.unwrap_or(u64::MAX);
    let view = site.ledger().view();
    let newest_first = view.tail.states().iter().rev().filter(|state| state.size < before);
    Ok(Json(newest_first.take(limit).map(doc::State::new).collect()))
}

pub(crate) const ROLES: [(Roles, &str); 5] = [
    (Roles::VALIDATOR, "validator"),
    (Roles::CENTRAL_BANK, "central_bank"),
    (Roles::COMMERCIAL_BANK, "commercial_bank"),
    (Roles::OBSERVER, "observer"),
    (Roles::SWITCH, "switch"),
];

/// Who takes part, with keys and voting power.
#[utoipa::path(get, path = "/v1/participants", responses((status = 200, body = doc::Participants)))]
async fn participants(State(site): State<Site>) -> Json<doc::Participants> {
    let tip = site.ledger().view().tip.clone();
    let cosigned_at_s = |number: ParticipantNumber| {
        let cosigned = &tip.as_ref()?.cosigned;
        cosigned.iter().find(|(signer, _)| *signer == number).map(|(_, time_s)| *time_s)
    };
    Json(site.ledger().belief.judge(|trust| {
        let participants = trust.genesis().directory.iter().map(|line| doc::Participant {
            number: line.number.0,
            name: line.name.as_str().into(),
            roles: ROLES.iter().filter(|(role, _)| line.roles.include(*role)).map(|(_, name)| (*name).into()).collect(),
            power: trust.validators().get(line.number).map_or(0, |validator| validator.power),
            consensus_key: line.keys.consensus.to_string(),
            bundle_key: line.keys.bundle.to_string(),
            cosign_key: line.keys.cosign.to_string(),
            cosigned_at_s: cosigned_at_s(line.number),
        });
        let quorum_power = trust.validators().total_power() * 2 / 3 + 1;
        doc::Participants { participants: participants.collect(), quorum_power }
    }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    q: String,
}

/// What a text is: a coin, a height, a batch, a checkpoint; or why it is none.
#[utoipa::path(
    get, path = "/v1/search", params(("q" = String, Query, description = "What a reader typed")),
    responses((status = 200, body = doc::SearchAnswer)),
)]
async fn search_text(
    State(site): State<Site>,
    question: Result<Query<Question>, QueryRejection>,
) -> Answered<doc::SearchAnswer> {
    let Query(question) = question.map_err(|rejection| bad_request("bad_query", rejection.body_text()))?;
    Ok(Json(finding::as_document(finding::find(&site, &question.q))))
}

/// The bytes of the genesis document that the site pins. Compare its hash with one that you have from elsewhere.
#[utoipa::path(
    get, path = "/genesis", responses((status = 200, body = String, content_type = "application/octet-stream")),
)]
async fn genesis(State(site): State<Site>) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"genesis.bin\""),
        (header::CACHE_CONTROL, "public, max-age=86400"),
    ];
    (headers, site.genesis().to_vec()).into_response()
}
