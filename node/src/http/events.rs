//! Server-sent events: a line a checkpoint.
//!
//! - A stream holds the newest checkpoint and nothing else: a reader that is slow misses some and costs no memory.
//! - Streams are a fraction of the connections, in all and for each remote network, so they cannot take every place; and a
//!   stream's connection is one that waits (`connections`), so it is the first to go when somebody else needs the place.
//! - A stream ends after some minutes, and when the node stops. Browsers ask again by themselves.

use super::refusal::{Refusal, unavailable};
use super::routes::routes;
use super::{ConnectionBounds, RemoteNetwork, stopped};
use crate::checkpoint::Published;
use axum::extract::State;
use axum::http::header::CACHE_CONTROL;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Router};
use futures::Stream;
use node_api::log::StateEvent;
use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// One stream for so many connections that a network, or all together, may have.
const CONNECTIONS_PER_STREAM: usize = 8;
const STREAM_LASTS: Duration = Duration::from_secs(600);
/// A comment, so that a reader that went away is noticed.
const SILENT_FOR: Duration = Duration::from_secs(15);

routes! { const EVENTS, fn event_routes -> Router<(NewestPublished, Streams)> {
    GET "/v1/events" => events;
} }

pub fn router(published: NewestPublished, streams: Streams) -> Router {
    event_routes().with_state((published, streams))
}

type NewestPublished = watch::Receiver<Option<Arc<Published>>>;

/// Who has streams open, and when all end.
#[derive(Clone)]
pub struct Streams {
    all: usize,
    per_network: usize,
    open: Arc<Mutex<HashMap<RemoteNetwork, usize>>>,
    stop: watch::Receiver<bool>,
}

impl Streams {
    pub fn new(connections: ConnectionBounds, stop: watch::Receiver<bool>) -> Self {
        Streams {
            all: (connections.all / CONNECTIONS_PER_STREAM).max(1),
            per_network: (connections.per_network / CONNECTIONS_PER_STREAM).max(1),
            open: Arc::default(),
            stop,
        }
    }

    /// A place for one more, given back when it is dropped.
    fn admit(&self, from: RemoteNetwork) -> Option<Place> {
        let mut open = self.open.lock().expect("no holder of this lock panics");
        let all: usize = open.values().sum();
        let of_network = open.entry(from).or_default();
        let has_room = all < self.all && *of_network < self.per_network;
        if has_room {
            *of_network += 1;
        }
        if *of_network == 0 {
            open.remove(&from);
        }
        has_room.then(|| Place { from, open: self.open.clone() })
    }
}

struct Place {
    from: RemoteNetwork,
    open: Arc<Mutex<HashMap<RemoteNetwork, usize>>>,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.open.lock().expect("no holder of this lock panics");
        if let Some(streams) = open.get_mut(&self.from) {
            *streams -= 1;
            if *streams == 0 {
                open.remove(&self.from);
            }
        }
    }
}

async fn events(
    State((published, streams)): State<(NewestPublished, Streams)>,
    from: Option<Extension<RemoteNetwork>>,
) -> Result<Response, Refusal> {
    // A request that came over no connection is this process's own.
    let from = from.map_or(RemoteNetwork::of([127, 0, 0, 1].into()), |Extension(from)| from);
    let full =
        || unavailable("too_many_streams", "this address, or all together, have as many streams as this node keeps");
    let place = streams.admit(from).ok_or_else(full)?;
    let stream = states(published, streams.stop.clone(), place);
    let answer = Sse::new(stream).keep_alive(KeepAlive::new().interval(SILENT_FOR));
    Ok(([(CACHE_CONTROL, "no-store")], answer).into_response())
}

/// The newest checkpoint at once, and each that is larger as it becomes complete.
fn states(
    published: NewestPublished,
    stop: watch::Receiver<bool>,
    place: Place,
) -> impl Stream<Item = Result<Event, Infallible>> {
    let ends = Instant::now() + STREAM_LASTS;
    let start = (published, stop, 0u64, place);
    futures::stream::unfold(start, move |(mut published, mut stop, shown, place)| async move {
        let is_newer = |now: &Option<Arc<Published>>| now.as_ref().is_some_and(|now| now.size > shown);
        let newest = tokio::select! {
            newest = published.wait_for(is_newer) => newest.ok()?.clone()?,
            () = stopped(&mut stop) => return None,
            () = tokio::time::sleep_until(ends) => return None,
        };
        let size = newest.size;
        Some((Ok(event(&newest)), (published, stop, size, place)))
    })
}

fn event(published: &Published) -> Event {
    let leaf = &published.state_leaf;
    let state = StateEvent {
        log_size: published.size,
        height: leaf.height.0,
        batch: leaf.batch.0,
        time_ms: leaf.time_ms,
        map_root: leaf.map_root.to_string(),
    };
    let event = Event::default().event("state").id(published.size.to_string());
    event.json_data(state).expect("numbers and a hex text are JSON")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{ServerLimits, serve};
    use axum::routing::post;
    use ledger_types::log_leaf::StateLeaf;
    use ledger_types::{BatchNumber, Height, TreeRoot, ValidatorSetHash};
    use node_api::{Client, ClientError};
    use tokio::net::{TcpListener, TcpStream};

    fn published(size: u64) -> Option<Arc<Published>> {
        let state_leaf = StateLeaf {
            batch: BatchNumber(size),
            height: Height(size),
            time_ms: size,
            map_root: TreeRoot([7; 32]),
            set_hash: ValidatorSetHash([0; 32]),
            issued: 0,
            redeemed: 0,
        };
        let note = String::new();
        Some(Arc::new(Published { size, root: TreeRoot::ZERO, state_leaf, note, signers: 4, signed_at_s: size }))
    }

    struct Server {
        base: String,
        published: watch::Sender<Option<Arc<Published>>>,
        stop: watch::Sender<bool>,
        ended: tokio::task::JoinHandle<()>,
    }

    /// With room for so many connections, and for an eighth of them in streams.
    async fn server(connections: usize) -> Server {
        let bounds = ConnectionBounds { all: connections, per_network: connections };
        let published = watch::Sender::new(published(5));
        let (stop, stopping) = watch::channel(false);
        let streams = Streams::new(bounds, stopping.clone());
        let echo = Router::new().route("/echo", post(async |body: String| body));
        let router = router(published.subscribe(), streams).merge(echo);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let limits = ServerLimits::new(bounds);
        let ended = tokio::spawn(serve(listener, router, limits, stopping));
        Server { base, published, stop, ended }
    }

    #[tokio::test]
    async fn a_stream_begins_with_the_newest_checkpoint_and_follows_the_larger_ones() {
        let server = server(64).await;
        let mut events = Client::new(&server.base, None).events().await.unwrap();
        let first = events.next().await.unwrap().unwrap();
        assert_eq!((first.log_size, first.height, first.batch, first.time_ms), (5, 5, 5, 5));
        assert_eq!(first.map_root, "07".repeat(32));
        // Cosigned anew: the same state.
        server.published.send_replace(published(5));
        server.published.send_replace(published(9));
        assert_eq!(events.next().await.unwrap().unwrap().log_size, 9);
        // Whoever is slow sees the newest alone.
        server.published.send_replace(published(11));
        server.published.send_replace(published(12));
        assert_eq!(events.next().await.unwrap().unwrap().log_size, 12);

        server.stop.send_replace(true);
        assert_eq!(events.next().await.unwrap(), None, "a node that stops ends its streams");
        server.ended.await.unwrap();
    }

    #[tokio::test]
    async fn streams_take_an_eighth_of_the_places_and_give_way_to_whoever_comes() {
        let server = server(16).await;
        let client = || Client::new(&server.base, None);
        let mut first = client().events().await.unwrap();
        let mut second = client().events().await.unwrap();
        for events in [&mut first, &mut second] {
            assert_eq!(events.next().await.unwrap().unwrap().log_size, 5);
        }
        match client().events().await {
            Err(ClientError::Refused(problem)) => {
                assert_eq!((problem.status, problem.code.as_str()), (503, "too_many_streams"));
                assert!(problem.retry_after_s.is_some());
            }
            _ => panic!("a third stream of sixteen connections"),
        }
        // A reader that leaves gives its place back.
        drop(second);
        let mut third = loop {
            match client().events().await {
                Ok(events) => break events,
                Err(_) => tokio::task::yield_now().await,
            }
        };
        assert_eq!(third.next().await.unwrap().unwrap().log_size, 5);

        // Silent sockets fill every other place and more: the streams go first, and requests are answered.
        let address = server.base.strip_prefix("http://").unwrap();
        let mut silent = Vec::new();
        for _ in 0..20 {
            silent.push(TcpStream::connect(address).await.unwrap());
            let echoed: u32 = client().post("/echo", &7).await.unwrap();
            assert_eq!(echoed, 7);
        }
        assert!(first.next().await.is_err() && third.next().await.is_err(), "their places were given to others");
    }

    #[test]
    fn one_network_does_not_have_all_streams() {
        let bounds = ConnectionBounds { all: 32, per_network: 16 };
        let streams = Streams::new(bounds, watch::channel(false).1);
        let network = |host| RemoteNetwork::of([10, 0, 0, host].into());
        let one: Vec<_> = (0..4).map_while(|_| streams.admit(network(1))).collect();
        assert_eq!(one.len(), 2);
        let others: Vec<_> = (2..9).map_while(|host| streams.admit(network(host))).collect();
        assert_eq!(others.len(), 2, "four in all");
        drop(one);
        assert!(streams.admit(network(9)).is_some());
        drop(others);
        assert!(streams.open.lock().unwrap().is_empty(), "nothing is kept of who has left");
    }
}
