//! HTTP/1.1 over an accept loop with limits that a stranger cannot stretch (`http_server`).
//!
//! - All of a request has a time; requests are bounded in rate. Heads and bodies that trickle keep nobody out.
//! - Every answer carries the same strict headers. No cookie is set and none is read.

mod rate;
pub mod refusal;

pub use http_server::{ConnectionBounds, RemoteNetwork};

use crate::config::{Config, Limits};
use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use rate::Rate;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;

/// A pasted proof of the largest validator set is 110 KiB of hex.
pub const BODY_BYTES_MAX: usize = 256 << 10;

/// Scripts, styles and questions of this site alone (and of its mirror, for questions); nothing inline, nothing framed, no
/// form that leads elsewhere.
fn policy(mirror: Option<&str>) -> String {
    let mirror = mirror.map(|mirror| format!(" {mirror}")).unwrap_or_default();
    format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'{mirror}; \
         font-src 'none'; media-src 'none'; object-src 'none'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
}

const HEADERS: [(HeaderName, &str); 5] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    // The camera reads QR codes, in the page itself.
    (HeaderName::from_static("permissions-policy"), "camera=(self), microphone=(), geolocation=(), payment=(), usb=()"),
];

/// Around every route: headers, rate, time.
pub fn guarded(router: Router, config: &Config) -> Router {
    let policy = HeaderValue::from_str(&policy(config.mirror.as_deref())).expect("Config::check: a plain address");
    router
        .layer(axum::extract::DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(axum::middleware::from_fn_with_state(Duration::from_millis(config.limits.request_ms), within))
        .layer(axum::middleware::from_fn_with_state(Rate::new(&config.limits), limited))
        .layer(axum::middleware::map_response_with_state(policy, with_headers))
        // Nothing here is secret, so what a compressed length tells is no matter. Streams of events stay as they are.
        .layer(tower_http::compression::CompressionLayer::new())
}

async fn with_headers(State(policy): State<HeaderValue>, mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

async fn limited(State(rate): State<Rate>, request: Request, next: Next) -> Response {
    // A request that came over no connection is this process's own.
    if let Some(from) = request.extensions().get::<RemoteNetwork>()
        && let Err(wait) = rate.take(*from)
    {
        return refusal::rate_limited(wait).into_response();
    }
    next.run(request).await
}

/// A body that comes too slowly and an answer that does are the same to the server.
async fn within(State(limit): State<Duration>, request: Request, next: Next) -> Response {
    match tokio::time::timeout(limit, next.run(request)).await {
        Ok(answer) => answer,
        Err(_) => refusal::timed_out(limit).into_response(),
    }
}

/// Serves until `stop` turns true; requests under way are answered first.
pub async fn serve(listener: TcpListener, router: Router, limits: &Limits, stop: watch::Receiver<bool>) {
    let connections = ConnectionBounds { all: limits.connections, per_network: limits.connections_per_address };
    let limits = http_server::Limits { connections, head: Duration::from_millis(limits.head_ms) };
    http_server::serve(listener, router, limits, stop).await;
}
