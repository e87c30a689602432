//! `/v1/events`: browsers hear of every new verified state. A place is taken for as long as the stream is open.

use super::documents::StateEvent;
use crate::http::refusal::{Refusal, overloaded};
use crate::ledger::{Tip, View};
use crate::site::Site;
use axum::extract::State;
use axum::response::Sse;
use axum::response::sse::{Event, KeepAlive};
use futures::Stream;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, watch};

/// Proxies close what is silent for a minute.
const KEEP_ALIVE: Duration = Duration::from_secs(20);

struct Following {
    changes: watch::Receiver<Arc<View>>,
    told_size: u64,
    _place: OwnedSemaphorePermit,
}

/// Server-sent events: `state`, once at the start and whenever a new state was verified.
#[utoipa::path(get, path = "/v1/events", responses((status = 200, body = String, content_type = "text/event-stream")))]
pub async fn events(State(site): State<Site>) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Refusal> {
    let place =
        site.streams().clone().try_acquire_owned().map_err(|_| overloaded("too many follow the log already"))?;
    let mut changes = site.ledger().changes();
    // The first event says where the log stands.
    changes.mark_changed();
    let following = Following { changes, told_size: 0, _place: place };
    let events = futures::stream::unfold(following, async |mut following| {
        loop {
            following.changes.changed().await.ok()?;
            let tip = following.changes.borrow_and_update().tip.clone();
            let Some(tip) = tip.filter(|tip| tip.state().head().size > following.told_size) else { continue };
            following.told_size = tip.state().head().size;
            return Some((Ok(event(&tip)), following));
        }
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

fn event(tip: &Tip) -> Event {
    let state = tip.state();
    let document = StateEvent {
        log_size: state.head().size,
        height: state.height().0,
        batch: state.batch().0,
        time_ms: state.time_ms(),
        map_root: state.leaf().map_root.to_string(),
    };
    let text = serde_json::to_string(&document).expect("a plain document");
    Event::default().event("state").id(document.log_size.to_string()).data(text)
}
