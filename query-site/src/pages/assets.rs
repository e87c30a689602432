//! Style sheet, mark and the browser's verifier, embedded in the program. Their addresses carry their hash, so they are kept
//! for ever; without it they are asked for again.

use crate::site::Site;
use axum::Router;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use sha2::{Digest, Sha256};
use std::sync::LazyLock;

const CSS: &str = include_str!("../../assets/site.css");
const MARK: &str = include_str!("../../assets/mark.svg");
const SCRIPT: &str = include_str!("../../assets/assay.js");

static CSS_PATH: LazyLock<String> = LazyLock::new(|| versioned("/assets/site.css", CSS));
static SCRIPT_PATH: LazyLock<String> = LazyLock::new(|| versioned("/assets/assay.js", SCRIPT));

fn versioned(path: &str, content: &str) -> String {
    format!("{path}?v={}", hex::encode(&Sha256::digest(content)[..6]))
}

pub fn css_path() -> &'static str {
    &CSS_PATH
}

/// None while the bundle is not built: pages then stand without it, as they do in a browser without JavaScript.
pub fn script_path() -> Option<&'static str> {
    (!SCRIPT.trim().is_empty()).then_some(SCRIPT_PATH.as_str())
}

pub fn router() -> Router<Site> {
    Router::new()
        .route("/assets/site.css", get(async |uri| asset(&uri, CSS, "text/css; charset=utf-8")))
        .route("/assets/mark.svg", get(async |uri| asset(&uri, MARK, "image/svg+xml")))
        .route("/favicon.ico", get(async |uri| asset(&uri, MARK, "image/svg+xml")))
        .route("/assets/assay.js", get(async |uri| asset(&uri, SCRIPT, "text/javascript; charset=utf-8")))
}

fn asset(uri: &axum::http::Uri, content: &'static str, kind: &'static str) -> Response {
    let is_versioned = uri.query().is_some_and(|query| query.starts_with("v="));
    let kept = if is_versioned { "public, max-age=31536000, immutable" } else { "public, max-age=300" };
    ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, kept)], content).into_response()
}
