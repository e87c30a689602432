//! A copy of the node's state, for `assay-node backup` on the same machine: within the state's own folder, so that the answer
//! names nothing but a height and the request names no path. The token is checked around it.

use super::ledger::Answered;
use super::refusal::internal;
use super::routes::routes;
use crate::backup::copy::Sources;
use axum::extract::State;
use axum::{Json, Router};
use node_api::ledger as doc;
use std::sync::Arc;

routes! { const STATE_COPY, fn state_copy_routes -> Router<Arc<Sources>> {
    POST "/v1/state-copy" => make;
} }

pub fn router(sources: Arc<Sources>) -> Router {
    state_copy_routes().with_state(sources)
}

async fn make(State(sources): State<Arc<Sources>>) -> Answered<doc::StateCopied> {
    let copied = tokio::task::spawn_blocking(move || sources.copy()).await;
    let height = copied.expect("copying a state does not panic").map_err(internal)?;
    tracing::info!(height = height.0, "a copy of the state was made, for a backup");
    Ok(Json(doc::StateCopied { height: height.0 }))
}
