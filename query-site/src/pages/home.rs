//! The first page: one box, and what the ledger did last.

use super::frame::Frame;
use super::{Here, ok};
use askama::Template;
use axum::extract::State;
use axum::http::Uri;
use axum::response::Response;

const BATCHES_SHOWN: usize = 6;

#[derive(Template)]
#[template(path = "home.html")]
struct Page {
    f: Frame,
    in_circulation: Option<String>,
    batches: Vec<BatchCard>,
}

pub struct BatchCard {
    pub batch: u64,
    pub size: u64,
    pub height: u64,
    pub time_ms: u64,
    pub age: String,
    pub records: Option<u64>,
}

pub async fn page(State(here): State<Here>, uri: Uri) -> Response {
    let f = here.frame(&uri, "home", here.t("home.title"));
    let in_circulation = f.view.tip.as_ref().map(|tip| f.amount(tip.supply.in_circulation()));
    let newest = f.view.tail.states().iter().rev().take(BATCHES_SHOWN);
    let batches = newest
        .map(|state| BatchCard {
            batch: state.leaf.batch.0,
            size: state.size,
            height: state.leaf.height.0,
            time_ms: state.leaf.time_ms,
            age: f.age(state.leaf.time_ms),
            records: state.records(),
        })
        .collect();
    ok(&Page { f, in_circulation, batches })
}
