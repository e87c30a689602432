//! The accept loop of everything here that serves HTTP/1.1, with limits that a stranger cannot stretch.
//!
//! - A connection has a time for each request's head, from the moment when it is open or has answered. A time for the whole of a
//!   request, and the most that a body may have, are the router's.
//! - A request is served from when the last byte of it is here; until then its connection makes room like any that waits
//!   ([`arriving`]).
//! - Connections are bounded in all and for each remote network ([`connections`]).
//! - Who is refused before its body was read gets the refusal, and hears that the connection ends with it.

mod arriving;
mod connections;

pub use connections::{ConnectionBounds, RemoteNetwork};

use arriving::Arriving;
use axum::Router;
use axum::body::Body;
use axum::http::HeaderValue;
use axum::http::header::CONNECTION;
use connections::{Admitted, Connections};
use hyper::service::Service;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Longer than any request's head may be: a proof pasted into the site's search box travels in the address.
const HEAD_BYTES_MAX: usize = 64 << 10;
/// For requests under way when the loop stops.
const DRAINED_WITHIN: Duration = Duration::from_secs(2);
/// For a peer that sends on after it was refused.
const HANG_UP_WITHIN: Duration = Duration::from_secs(2);
/// More than any body that is taken has.
const UNREAD_BYTES_MAX: u64 = 8 << 20;

/// What a connection may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub connections: ConnectionBounds,
    /// From the moment when the connection waits for a head to the head's end.
    pub head: Duration,
}

/// Serves until `stop` turns true; requests under way are answered first. Each request has its [`RemoteNetwork`] as an extension.
pub async fn serve(listener: TcpListener, router: Router, limits: Limits, mut stop: watch::Receiver<bool>) {
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
    if tokio::time::timeout(DRAINED_WITHIN, drained).await.is_err() {
        tasks.abort_all();
    }
}

async fn converse(
    mut stream: TcpStream,
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
        async move {
            let answer = answer.await;
            let was_read = served.end();
            answer.map(|mut answer| {
                // It ends with this answer ([`hang_up`]), and the client must hear so, or its next request goes into the end.
                if !was_read {
                    answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
                }
                answer
            })
        }
    });
    let mut server = hyper::server::conn::http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(head).max_buf_size(HEAD_BYTES_MAX);
    {
        // Lent, so that the connection ends with all of its answer sent and nothing closed.
        let connection = server.serve_connection(TokioIo::new(&mut stream), service);
        tokio::pin!(connection);
        tokio::select! {
            ended = connection.as_mut() => if let Err(error) = ended {
                // What ended by a fault of the peer's was answered too.
                tracing::debug!(%error, "a connection ends");
            },
            () = admitted.closed() => return,
            () = stopped(&mut stop) => {
                connection.as_mut().graceful_shutdown();
                let _ = connection.await;
                return;
            }
        }
    }
    tokio::select! {
        () = hang_up(stream) => {}
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

/// Resolves when the process is told to stop.
pub async fn stopped(stop: &mut watch::Receiver<bool>) {
    // An error means that the sender is gone: the process is ending anyway.
    let _ = stop.wait_for(|stop| *stop).await;
}

#[cfg(test)]
mod tests;
