//! The public log: C2SP tlog-tiles under `/log`, which a plain web server or a CDN can mirror, and what readers of single coins,
//! of charts and of consistency need besides.
//!
//! - Only what the newest checkpoint covers is served, so a mirror never holds a tile that no checkpoint leads to.
//! - A tile's bytes never change: full ones are cached for ever. What is not there yet is not cached at all.

use super::ledger::{Answered, LedgerHttp, as_of, no_checkpoint, parse_coin};
use super::refusal::{InPath, Refusal, bad_request, internal, not_found};
use super::routes::routes;
use crate::ledger::{BucketFound, BucketSize};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use ledger_tree::map::Prefix;
use ledger_tree::tile::Tile;
use ledger_types::{Encode, Height};
use node_api::log as doc;
use node_api::{Problem, log::PREFIX_DIGITS};
use serde::Deserialize;
use std::sync::{Arc, Mutex};

const PER_PAGE_MAX: usize = 100;
const TEXT: &str = "text/plain; charset=utf-8";
const OCTETS: &str = "application/octet-stream";
/// A checkpoint a second: what is older than this is not the newest.
const FOR_SECONDS: &str = "public, max-age=2";
const FOR_EVER: &str = "public, max-age=31536000, immutable";
/// It never changes, and is superseded by the full one soon.
const FOR_A_DAY: &str = "public, max-age=86400, immutable";

#[derive(Clone)]
struct LogHttp {
    ledger: LedgerHttp,
    bucket_size: Arc<Mutex<Option<BucketSize>>>,
}

routes! { const LOG, fn log_routes -> Router<LogHttp> {
    GET "/log/checkpoint" => checkpoint;
    GET "/log/tile/{*path}" => tile;
    GET "/v1/coins/{coin}/log-proof" => log_proof;
    GET "/v1/buckets" => bucket_advice;
    GET "/v1/buckets/{bits}/{prefix}" => bucket;
    GET "/v1/consistency" => consistency;
    GET "/v1/states" => states;
    GET "/v1/checkpoints" => checkpoints;
    GET "/v1/hand-overs" => hand_overs;
} }

pub fn router(ledger: LedgerHttp) -> Router {
    log_routes().with_state(LogHttp { ledger, bucket_size: Arc::default() })
}

async fn checkpoint(State(http): State<LogHttp>) -> Result<Response, Refusal> {
    let published = http.ledger.view.published().ok_or_else(no_checkpoint)?;
    Ok(([(CONTENT_TYPE, TEXT), (CACHE_CONTROL, FOR_SECONDS)], published.note.clone()).into_response())
}

async fn tile(State(http): State<LogHttp>, InPath(path): InPath<String>) -> Result<Response, Refusal> {
    let bad = || {
        let shape =
            "a tile's path is <level>/<index>[.p/<width>] or entries/<index>[.p/<width>], as C2SP tlog-tiles writes it";
        bad_request("bad_tile_path", shape)
    };
    let tile = Tile::parse(&path).ok_or_else(bad)?;
    let bytes = http.ledger.read(move |view| view.tile(&tile).map_err(internal)).await?;
    let Some(bytes) = bytes else {
        let not_yet = not_found("the newest checkpoint does not cover this tile");
        return Ok(([(CACHE_CONTROL, "no-store")], not_yet).into_response());
    };
    let cached = if tile.is_full() { FOR_EVER } else { FOR_A_DAY };
    Ok(([(CONTENT_TYPE, OCTETS), (CACHE_CONTROL, cached)], bytes).into_response())
}

async fn log_proof(State(http): State<LogHttp>, InPath(text): InPath<String>) -> Result<Response, Refusal> {
    let coin = parse_coin(&text)?;
    http.ledger.view.published().ok_or_else(no_checkpoint)?;
    let file = http.ledger.read(move |view| view.log_proof(coin).map_err(internal)).await?;
    let file = file.ok_or_else(|| not_found("the log of the newest checkpoint holds no record of this coin"))?;
    let name = format!("attachment; filename=\"{coin}.tlog-proof\"");
    let kinds = [(CONTENT_TYPE, TEXT), (CACHE_CONTROL, FOR_SECONDS), (CONTENT_DISPOSITION, name.as_str())];
    Ok((kinds, file).into_response())
}

async fn bucket_advice(State(http): State<LogHttp>) -> Answered<doc::BucketAdvice> {
    let published = http.ledger.view.published().ok_or_else(no_checkpoint)?;
    let kept = *http.bucket_size.lock().expect("no holder of this lock panics");
    // Counted again when the log has grown by a sixteenth.
    let size = match kept.filter(|kept| published.size <= kept.log_size + kept.log_size / 16) {
        Some(size) => size,
        None => {
            let counted = http.ledger.read(|view| view.bucket_size().map_err(internal)).await?;
            let counted = counted.ok_or_else(no_checkpoint)?;
            *http.bucket_size.lock().expect("no holder of this lock panics") = Some(counted);
            counted
        }
    };
    let BucketSize { bits, expected_entries, log_size } = size;
    Ok(Json(doc::BucketAdvice { bits, expected_entries, log_size }))
}

async fn bucket(State(http): State<LogHttp>, InPath((bits, text)): InPath<(u8, String)>) -> Answered<doc::Bucket> {
    let bad = || {
        let shape = "a bucket is named by 0 to 32 bits and 8 lower-case hex digits, those behind the bits zero";
        bad_request("bad_prefix", shape)
    };
    let first = hex::decode(&text).ok().filter(|first| hex::encode(first) == text && text.len() == PREFIX_DIGITS);
    let first = first.and_then(|first| <[u8; 4]>::try_from(first).ok()).ok_or_else(bad)?;
    let prefix = Prefix::new(bits, first).ok_or_else(bad)?;
    let found = http.ledger.read(move |view| view.prove_bucket(prefix).map_err(internal)).await?;
    let BucketFound { published, proof } = found.ok_or_else(no_checkpoint)?;
    let proof = proof.ok_or_else(too_many_entries)?;
    let inside = proof.entries.iter().filter(|entry| prefix.contains(&entry.key_hash.0)).count();
    Ok(Json(doc::Bucket {
        bits,
        prefix: text,
        entries: u32::try_from(inside).unwrap_or(u32::MAX),
        as_of: as_of(&published),
        proof: hex::encode(proof.to_bytes()),
    }))
}

fn too_many_entries() -> Refusal {
    let most = ledger_verify::BUCKET_ENTRIES_MAX;
    let problem = Problem::new(
        422,
        "bucket_too_large",
        "The bucket has too many entries",
        format!("more than {most} entries begin with this prefix"),
    );
    problem.with_help("ask with the bits that /v1/buckets proposes, or with one more").into()
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sizes {
    from: u64,
    to: u64,
}

async fn consistency(
    State(http): State<LogHttp>,
    sizes: Result<Query<Sizes>, QueryRejection>,
) -> Answered<doc::Consistency> {
    let Query(Sizes { from, to }) = sizes.map_err(|rejection| bad_request("bad_query", rejection.body_text()))?;
    let published = http.ledger.view.published().ok_or_else(no_checkpoint)?;
    if from > to {
        return Err(bad_request("bad_query", "from is above to"));
    }
    if to > published.size {
        return Err(not_found(format!("the newest checkpoint is of size {}", published.size)));
    }
    let path = http.ledger.read(move |view| view.prove_consistency(from, to).map_err(internal)).await?;
    Ok(Json(doc::Consistency { from, to, path: path.iter().map(hex::encode).collect() }))
}

/// `?before=SIZE&limit=N`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Page {
    before: Option<u64>,
    limit: Option<usize>,
}

fn page(page: Result<Query<Page>, QueryRejection>) -> Result<(Option<u64>, usize), Refusal> {
    let Query(page) = page.map_err(|rejection| bad_request("bad_query", rejection.body_text()))?;
    match page.limit.unwrap_or(PER_PAGE_MAX) {
        limit @ 1..=PER_PAGE_MAX => Ok((page.before, limit)),
        _ => Err(bad_request("bad_query", format!("limit is 1 to {PER_PAGE_MAX}"))),
    }
}

async fn states(State(http): State<LogHttp>, asked: Result<Query<Page>, QueryRejection>) -> Answered<Vec<doc::State>> {
    let (before, limit) = page(asked)?;
    let states = http.ledger.read(move |view| view.states(before, limit).map_err(internal)).await?;
    let not_a_size = || bad_request("bad_query", "before is the log_size of a state");
    let documents = states.ok_or_else(not_a_size)?.into_iter().map(|state| doc::State {
        log_size: state.log_size,
        batch: state.leaf.batch.0,
        height: state.leaf.height.0,
        time_ms: state.leaf.time_ms,
        map_root: state.leaf.map_root.to_string(),
        issued: state.leaf.issued.to_string(),
        redeemed: state.leaf.redeemed.to_string(),
        records: state.records,
    });
    Ok(Json(documents.collect()))
}

async fn checkpoints(
    State(http): State<LogHttp>,
    asked: Result<Query<Page>, QueryRejection>,
) -> Answered<Vec<doc::CheckpointSeen>> {
    let (before, limit) = page(asked)?;
    let seen = http.ledger.read(move |view| view.checkpoints_seen(before, limit).map_err(internal)).await?;
    let documents = seen.into_iter().map(|seen| doc::CheckpointSeen {
        size: seen.size,
        root: hex::encode(seen.root),
        signers: seen.signers,
        signed_at_ms: seen.signed_at_s.saturating_mul(1000),
    });
    Ok(Json(documents.collect()))
}

/// Those that lead to the set which the newest checkpoint names. A later one would make a reader refuse that checkpoint.
async fn hand_overs(State(http): State<LogHttp>) -> Answered<doc::HandOvers> {
    let through = http.ledger.view.published().map_or(Height::GENESIS, |published| published.state_leaf.height);
    let all = http.ledger.read(|view| view.hand_overs().map_err(internal)).await?;
    let shown = all.iter().take_while(|hand_over| hand_over.header.height <= through);
    Ok(Json(doc::HandOvers { hand_overs: shown.map(|hand_over| hex::encode(hand_over.to_bytes())).collect() }))
}
