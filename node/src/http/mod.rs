//! HTTP/1.1 under `/v1`, over one accept loop with limits that a stranger cannot stretch.
//!
//! - A connection has ten seconds for each request's head, from the moment when it is open or has answered, and thirty seconds
//!   for all of a request; a body ends at its route's limit (`bundle`, and the routers' body limits).
//! - A request is served from when the last byte of it is here; until then its connection makes room like any that waits
//!   (`arriving`).
//! - Connections are bounded in all and for each remote network (`connections`); requests without the node's own token are
//!   bounded in rate (`rate`); reads of the disk run apart from the workers that consensus runs on (`reads`).
//! - Ledger documents are public on an observer; blocks, envelopes and the desk take the node's own token.

mod arriving;
pub mod auth;
mod bundle;
mod connections;
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

pub use connections::{ConnectionBounds, RemoteNetwork};

use arriving::Arriving;
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use connections::{Admitted, Connections};
use hyper::service::Service;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Longer than any request's head may be.
const HEAD_BYTES_MAX: usize = 64 << 10;
/// For a peer that sends on after it was refused.
const HANG_UP_WITHIN: Duration = Duration::from_secs(2);
/// More than any body that is taken has.
const UNREAD_BYTES_MAX: u64 = 8 << 20;

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
pub async fn serve(listener: TcpListener, router: Router, limits: ServerLimits, mut stop: watch::Receiver<bool>) {
    let router = router
        .fallback(refusal::no_such_path)
        .method_not_allowed_fallback(refusal::method_not_allowed)
        .layer(axum::middleware::from_fn_with_state(limits.request, within));
    let connections = Connections::new(limits.connections);
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
                tasks.spawn(converse(stream, from, admitted, router.clone(), limits.head, stop.clone()));
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
    let (router, admitted) = (TowerToHyperService::new(router), Arc::new(admitted));
    let service = hyper::service::service_fn(|mut request: hyper::Request<hyper::body::Incoming>| {
        request.extensions_mut().insert(from);
        let (head, body) = request.into_parts();
        let (body, served) = Arriving::new(body, admitted.clone());
        let answer = router.call(hyper::Request::from_parts(head, Body::new(body)));
        Box::pin(async move {
            let answer = answer.await;
            served.end();
            answer
        })
    });
    let mut server = hyper::server::conn::http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(head).max_buf_size(HEAD_BYTES_MAX);
    let mut connection = server.serve_connection(TokioIo::new(stream), service);
    let ended = tokio::select! {
        ended = poll_fn(|context| connection.poll_without_shutdown(context)) => ended,
        () = admitted.closed() => return,
        () = stopped(&mut stop) => {
            std::pin::Pin::new(&mut connection).graceful_shutdown();
            let _ = connection.await;
            return;
        }
    };
    // What ended by a fault of the peer's was answered too.
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ends");
    }
    tokio::select! {
        () = hang_up(connection.into_parts().io.into_inner()) => {}
        () = admitted.closed() => {}
        () = stopped(&mut stop) => {}
    }
}

/// Says that no more comes, and reads on for a while: to close on unread bytes is a reset, and whoever was refused before its
/// body was read would lose the refusal (RFC 9112, 9.6).
async fn hang_up(mut stream: TcpStream) {
    if stream.shutdown().await.is_ok() {
        let mut unread = stream.take(UNREAD_BYTES_MAX);
        let _ = tokio::time::timeout(HANG_UP_WITHIN, tokio::io::copy(&mut unread, &mut tokio::io::sink())).await;
    }
}

/// A body that comes too slowly and an answer that does are the same to the server.
async fn within(State(limit): State<Duration>, request: Request, next: Next) -> Response {
    match tokio::time::timeout(limit, next.run(request)).await {
        Ok(answer) => answer,
        Err(_) => refusal::timed_out(limit).into_response(),
    }
}

/// Resolves when the process is told to stop.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    // An error means that the sender is gone: the process is ending anyway.
    let _ = stop.wait_for(|stop| *stop).await;
}

#[cfg(test)]
mod tests;
