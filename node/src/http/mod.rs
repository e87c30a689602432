//! HTTP/1.1 under `/v1`, over an accept loop with limits that a stranger cannot stretch (`http_server`).
//!
//! - A connection has ten seconds for each request's head, from the moment when it is open or has answered, and thirty seconds
//!   for all of a request; a body ends at its route's limit (`bundle`, and the routers' body limits).
//! - Requests without the node's own token are bounded in rate (`rate`); reads of the disk run apart from the workers that
//!   consensus runs on (`reads`).
//! - Ledger documents are public on an observer; blocks, envelopes and the desk take the node's own token.

pub mod auth;
mod bundle;
mod contracts;
pub mod desk;
pub mod events;
pub mod health;
pub mod ledger;
pub mod lending;
mod log;
pub mod metrics;
pub mod rate;
pub mod reads;
pub mod reconciliation;
pub mod refusal;
pub mod routes;
pub mod state_copy;
pub mod submit;

pub use http_server::{ConnectionBounds, RemoteNetwork};

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http_server::stopped;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;

/// What a connection may take.
#[derive(Clone, Copy, Debug)]
pub struct ServerLimits {
    pub connections: ConnectionBounds,
    /// From the moment when the connection waits for a head to the head's end.
    pub head: Duration,
    /// From the head's end to the answer. Long polls of the desk answer within 25 s.
    pub request: Duration,
}

impl ServerLimits {
    pub fn new(connections: ConnectionBounds) -> Self {
        ServerLimits { connections, head: Duration::from_secs(10), request: Duration::from_secs(30) }
    }
}

/// Serves until `stop` turns true; requests under way are answered first.
pub async fn serve(listener: TcpListener, router: Router, limits: ServerLimits, stop: watch::Receiver<bool>) {
    let router = router
        .fallback(refusal::no_such_path)
        .method_not_allowed_fallback(refusal::method_not_allowed)
        .layer(axum::middleware::from_fn_with_state(limits.request, within));
    let ServerLimits { connections, head, .. } = limits;
    http_server::serve(listener, router, http_server::Limits { connections, head }, stop).await;
}

/// A body that comes too slowly and an answer that does are the same to the server.
async fn within(State(limit): State<Duration>, request: Request, next: Next) -> Response {
    match tokio::time::timeout(limit, next.run(request)).await {
        Ok(answer) => answer,
        Err(_) => refusal::timed_out(limit).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::routing::post;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn a_body_that_does_not_come_ends_with_the_requests_time_and_a_problem_document() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut stream = tokio::net::TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (_stop, stopped) = watch::channel(false);
        let bounds = ConnectionBounds { all: 8, per_network: 8 };
        let limits = ServerLimits { request: Duration::from_millis(200), ..ServerLimits::new(bounds) };
        let router = Router::new().route("/", post(async |body: String| body));
        tokio::spawn(serve(listener, router, limits, stopped));
        stream
            .write_all(b"POST / HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 2\r\n\r\nh")
            .await
            .unwrap();
        let mut answer = String::new();
        let read = tokio::time::timeout(Duration::from_secs(20), stream.read_to_string(&mut answer)).await;
        read.expect("an end within the deadline").unwrap();
        assert!(answer.starts_with("HTTP/1.1 504") && answer.contains("\"code\":\"timed_out\""), "{answer}");
    }
}
