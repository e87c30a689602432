//! HTTP/1.1 over one accept loop with limits that a stranger cannot stretch, as the node's own (`node/src/http`; the walls
//! between packages keep the two apart).
//!
//! - A connection has a time for each request's head, from the moment when it is open or has answered, and a time for all of
//!   a request. Connections are bounded in all and for each remote network; requests are bounded in rate.
//! - Every answer carries the same strict headers. No cookie is set and none is read.

mod connections;
mod rate;
pub mod refusal;

pub use connections::{ConnectionBounds, RemoteNetwork};

use crate::config::{Config, Limits};
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use connections::{Admitted, Connections};
use hyper::service::Service;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rate::Rate;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Longer than any request's head may be: a proof pasted into the search box travels in the address.
const HEAD_BYTES_MAX: usize = 64 << 10;
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
pub async fn serve(listener: TcpListener, router: Router, limits: &Limits, mut stop: watch::Receiver<bool>) {
    let head = Duration::from_millis(limits.head_ms);
    let bounds = ConnectionBounds { all: limits.connections, per_network: limits.connections_per_address };
    let connections = Connections::new(bounds);
    let mut tasks = tokio::task::JoinSet::new();
    loop {
        while tasks.try_join_next().is_some() {}
        let (stream, address) = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Out of descriptors, or the peer went away: neither ends the server.
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::task::yield_now().await;
                    continue;
                }
            },
            () = stopped(&mut stop) => break,
        };
        let from = RemoteNetwork::of(address.ip());
        match connections.admit(from) {
            Some(admitted) => {
                tasks.spawn(converse(stream, from, admitted, router.clone(), head, stop.clone()));
            }
            None => tracing::debug!(%address, "a connection is closed: every other one serves a request"),
        }
    }
    let drained = async { while tasks.join_next().await.is_some() {} };
    if tokio::time::timeout(Duration::from_secs(2), drained).await.is_err() {
        tasks.abort_all();
    }
}

async fn converse(
    stream: TcpStream,
    from: RemoteNetwork,
    admitted: Admitted,
    router: Router,
    head: Duration,
    mut stop: watch::Receiver<bool>,
) {
    let _ = stream.set_nodelay(true);
    let router = TowerToHyperService::new(router);
    let service = hyper::service::service_fn(|mut request: hyper::Request<hyper::body::Incoming>| {
        let serving = admitted.serve();
        request.extensions_mut().insert(from);
        let answer = router.call(request.map(Body::new));
        async move {
            let answer = answer.await;
            drop(serving);
            answer
        }
    });
    let mut server = hyper::server::conn::http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(head).max_buf_size(HEAD_BYTES_MAX);
    let connection = server.serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    tokio::select! {
        _ = connection.as_mut() => {}
        () = admitted.closed() => {}
        () = stopped(&mut stop) => {
            connection.as_mut().graceful_shutdown();
            let _ = connection.await;
        }
    }
}

/// Resolves when the process is told to stop.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    // An error means that the sender is gone: the process is ending anyway.
    let _ = stop.wait_for(|stop| *stop).await;
}
