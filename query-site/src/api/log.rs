//! What is passed on from an observer: paths and tiles prove themselves to their reader.
//!
//! Requests are parsed first: an observer is never asked for a path that a stranger made up.

use super::{coin_id, documents as doc};
use crate::http::refusal::{Refusal, bad_request, overloaded, silent};
use crate::ledger::upstream::UpstreamError;
use crate::site::Site;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use ledger_tree::tile::{TILE_WIDTH, Tile};
use node_api::log::HAND_OVERS_BYTES_MAX;
use serde::Deserialize;

const LOG_PROOF_BYTES_MAX: usize = 128 << 10;
const CONSISTENCY_BYTES_MAX: usize = 16 << 10;
const BUCKET_BYTES_MAX: usize = 4 << 20;
const TILE_BYTES_MAX: usize = TILE_WIDTH as usize * (2 + 1024);

const JSON: &str = "application/json";
const TEXT: &str = "text/plain; charset=utf-8";
const BYTES: &str = "application/octet-stream";
/// A tile never changes.
const FOR_EVER: &str = "public, max-age=31536000, immutable";

async fn passed_on(site: &Site, path: &str, bytes_max: usize, kind: &'static str) -> Result<Response, Refusal> {
    let bytes = site.ledger().pass_on(path, bytes_max).await.map_err(refused)?;
    Ok(([(header::CONTENT_TYPE, kind)], bytes).into_response())
}

/// What an observer says of the question is passed on. What it says of itself is none of the reader's doing: that it is asked
/// too often, or that it is broken.
fn refused(error: UpstreamError) -> Refusal {
    match error {
        UpstreamError::Refused(problem) if matches!(problem.status, 400 | 404 | 422) => Refusal(*problem),
        UpstreamError::Refused(problem) if problem.status == 429 => {
            overloaded("the observer takes no more questions now")
        }
        UpstreamError::Unreachable | UpstreamError::Foreign | UpstreamError::Refused(_) => silent(),
        UpstreamError::Busy => overloaded("too many questions wait for the observers"),
    }
}

/// A C2SP `tlog-proof` file: the coin's record as a leaf of the log, under the newest checkpoint.
#[utoipa::path(
    get, path = "/v1/coins/{coin}/log-proof", params(("coin" = String, Path, description = "A coin id, `coin1…`")),
    responses((status = 200, body = String, content_type = "text/plain")),
)]
pub async fn coin_log_proof(
    State(site): State<Site>,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, Refusal> {
    let coin = coin_id(path)?;
    let mut answer = passed_on(&site, &format!("/v1/coins/{coin}/log-proof"), LOG_PROOF_BYTES_MAX, TEXT).await?;
    let name = format!("attachment; filename=\"{coin}.tlog-proof\"");
    answer.headers_mut().insert(header::CONTENT_DISPOSITION, name.parse().expect("a coin id is ASCII"));
    Ok(answer)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sizes {
    from: u64,
    to: u64,
}

/// How the log grew from one size to another (RFC 6962, 2.1.2).
#[utoipa::path(
    get, path = "/v1/consistency",
    params(("from" = u64, Query, description = "Smaller size"), ("to" = u64, Query, description = "Larger size")),
    responses((status = 200, body = doc::Consistency)),
)]
pub async fn consistency(
    State(site): State<Site>,
    sizes: Result<Query<Sizes>, QueryRejection>,
) -> Result<Response, Refusal> {
    let Query(Sizes { from, to }) = sizes.map_err(|rejection| bad_request("bad_query", rejection.body_text()))?;
    if from > to {
        return Err(bad_request("bad_query", "from is above to"));
    }
    passed_on(&site, &format!("/v1/consistency?from={from}&to={to}"), CONSISTENCY_BYTES_MAX, JSON).await
}

/// Which bucket size hides a question now: {bits, entries per bucket}.
#[utoipa::path(get, path = "/v1/buckets", responses((status = 200, body = doc::BucketAdvice)))]
pub async fn buckets(State(site): State<Site>) -> Result<Response, Refusal> {
    passed_on(&site, "/v1/buckets", CONSISTENCY_BYTES_MAX, JSON).await
}

/// All records below a prefix of the key hash, with one proof: the site does not learn which coin was meant.
#[utoipa::path(
    get, path = "/v1/buckets/{bits}/{prefix}",
    params(
        ("bits" = u8, Path, description = "Length of the prefix, 0 to 32 bits"),
        ("prefix" = String, Path, description = "Eight hex digits: first bits of SHA-256(0x01 ‖ coin), the rest zero"),
    ),
    responses((status = 200, body = doc::Bucket)),
)]
pub async fn bucket(
    State(site): State<Site>,
    path: Result<Path<(u16, String)>, PathRejection>,
) -> Result<Response, Refusal> {
    let Path((bits, prefix)) = path.map_err(|rejection| bad_request("bad_path", rejection.body_text()))?;
    if bits > 32 || prefix.len() != 8 || !prefix.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(bad_request("bad_path", "bits is 0 to 32, the prefix eight hex digits"));
    }
    passed_on(&site, &format!("/v1/buckets/{bits}/{prefix}"), BUCKET_BYTES_MAX, JSON).await
}

/// Hand-overs of the validator set since the genesis (PROTOCOL 10.6), oldest first.
#[utoipa::path(get, path = "/v1/hand-overs", responses((status = 200, body = doc::HandOvers)))]
pub async fn hand_overs(State(site): State<Site>) -> Result<Response, Refusal> {
    passed_on(&site, "/v1/hand-overs", HAND_OVERS_BYTES_MAX, JSON).await
}

/// The newest checkpoint that this site verified, as the C2SP signed note.
#[utoipa::path(get, path = "/log/checkpoint", responses((status = 200, body = String, content_type = "text/plain")))]
pub async fn log_checkpoint(State(site): State<Site>) -> Result<Response, Refusal> {
    let tip = site.ledger().view().tip.clone().ok_or_else(silent)?;
    Ok(([(header::CONTENT_TYPE, TEXT)], tip.note.clone()).into_response())
}

/// C2SP tlog-tiles: `L/N`, `L/N.p/W`, `entries/N`, `entries/N.p/W`. Immutable; mirror them as files.
#[utoipa::path(
    get, path = "/log/tile/{tile}", params(("tile" = String, Path, description = "As in `c2sp.org/tlog-tiles`")),
    responses((status = 200, body = String, content_type = "application/octet-stream")),
)]
pub async fn log_tile(
    State(site): State<Site>,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, Refusal> {
    let Path(tile) = path.map_err(|rejection| bad_request("bad_path", rejection.body_text()))?;
    if Tile::parse(&tile).is_none() {
        return Err(bad_request("bad_path", "a tile is L/N or entries/N, N in groups of three digits, perhaps .p/W"));
    }
    let mut answer = passed_on(&site, &format!("/log/tile/{tile}"), TILE_BYTES_MAX, BYTES).await?;
    answer.headers_mut().insert(header::CACHE_CONTROL, header::HeaderValue::from_static(FOR_EVER));
    Ok(answer)
}
