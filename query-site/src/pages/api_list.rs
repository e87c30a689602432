//! The interface in a readable list; the document for programs is `/openapi.json`.

use super::frame::Frame;
use super::{Here, ok};
use askama::Template;
use axum::extract::State;
use axum::http::Uri;
use axum::response::Response;

/// Every path of `/openapi.json` (a test compares), with the key of its sentence.
pub const LISTED: &[(&str, &str)] = &[
    ("/v1/coins/{coin}", "api.coin"),
    ("/v1/coins/{coin}/proof", "api.coin_proof"),
    ("/v1/coins/{coin}/log-proof", "api.coin_log_proof"),
    ("/v1/supply", "api.supply"),
    ("/v1/disclosures", "api.disclosures"),
    ("/v1/status", "api.status"),
    ("/v1/checkpoint", "api.checkpoint"),
    ("/v1/checkpoint.txt", "api.checkpoint_note"),
    ("/v1/states", "api.states"),
    ("/v1/participants", "api.participants"),
    ("/v1/search", "api.search"),
    ("/v1/contracts", "api.contracts"),
    ("/v1/contracts/{number}", "api.contract"),
    ("/v1/contracts/{number}/versions/{version}/report", "api.report"),
    ("/v1/contracts/try", "api.contract_try"),
    ("/v1/feeds", "api.feeds"),
    ("/v1/feeds/{name}", "api.feed"),
    ("/v1/receipts/{obligation}", "api.receipt"),
    ("/v1/consistency", "api.consistency"),
    ("/v1/buckets", "api.buckets"),
    ("/v1/buckets/{bits}/{prefix}", "api.bucket"),
    ("/v1/hand-overs", "api.hand_overs"),
    ("/v1/events", "api.events"),
    ("/genesis", "api.genesis"),
    ("/log/checkpoint", "api.log_checkpoint"),
    ("/log/tile/{tile}", "api.log_tile"),
];

/// Codes of problem documents, with their status.
const CODES: &[(u16, &str)] = &[
    (400, "not_a_coin_id"),
    (400, "bad_path"),
    (400, "bad_query"),
    (400, "bad_body"),
    (404, "no_such_path"),
    (404, "not_found"),
    (405, "method_not_allowed"),
    (413, "body_too_large"),
    (429, "rate_limited"),
    (502, "unverified"),
    (503, "observers_silent"),
    (503, "overloaded"),
    (504, "timed_out"),
];

#[derive(Template)]
#[template(path = "api.html")]
struct Page {
    f: Frame,
    paths: Vec<(&'static str, &'static str)>,
    codes: Vec<(u16, &'static str, &'static str)>,
    per_second: u32,
    burst: u32,
}

pub async fn page(State(here): State<Here>, uri: Uri) -> Response {
    let f = here.frame(&uri, "api", here.t("api.title"));
    let limits = &here.site.config().limits;
    ok(&Page {
        paths: LISTED.iter().map(|(path, key)| (*path, f.t(key))).collect(),
        codes: CODES.iter().map(|(status, code)| (*status, *code, f.t(&format!("code.{code}")))).collect(),
        per_second: limits.requests_per_second.get(),
        burst: limits.burst.get(),
        f,
    })
}
