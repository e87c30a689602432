//! The log's checkpoints: the list, and each by the log's size at it.

use super::finding::Why;
use super::frame::Frame;
use super::{Here, failure, ok, search};
use crate::language::Language;
use crate::ledger::tail::KnownState;
use crate::show;
use askama::Template;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use serde::Deserialize;

const ROWS: usize = 30;

#[derive(Deserialize)]
pub struct Page {
    before: Option<u64>,
}

#[derive(Template)]
#[template(path = "checkpoints.html")]
struct List {
    f: Frame,
    rows: Vec<Row>,
    older: Option<u64>,
    is_first_page: bool,
}

struct Row {
    size: u64,
    root: String,
    batch: u64,
    height: u64,
    time_ms: u64,
    records: Option<u64>,
    lag: Option<String>,
}

impl Row {
    fn new(language: Language, state: &KnownState) -> Self {
        Row {
            size: state.size,
            root: state.root.to_string(),
            batch: state.leaf.batch.0,
            height: state.leaf.height.0,
            time_ms: state.leaf.time_ms,
            records: state.records(),
            lag: state.lag_ms().map(|ms| show::seconds(language, ms)),
        }
    }

    fn short_root(&self) -> String {
        show::short(&self.root)
    }
}

pub async fn list(State(here): State<Here>, uri: Uri, page: Result<Query<Page>, QueryRejection>) -> Response {
    let f = here.frame(&uri, "checkpoints", here.t("checkpoints.title"));
    if f.view.tip.is_none() {
        return failure::no_state(&here, &uri);
    }
    let before = page.ok().and_then(|Query(page)| page.before);
    let newest_first = f.view.tail.states().iter().rev().filter(|state| state.size < before.unwrap_or(u64::MAX));
    let mut rows: Vec<Row> = newest_first.take(ROWS + 1).map(|state| Row::new(f.language, state)).collect();
    let older = (rows.len() > ROWS).then(|| rows[ROWS - 1].size);
    rows.truncate(ROWS);
    ok(&List { f, rows, older, is_first_page: before.is_none() })
}

#[derive(Template)]
#[template(path = "checkpoint.html")]
struct One {
    f: Frame,
    row: Row,
    map_root: String,
    set_hash: String,
    issued: String,
    redeemed: String,
    batches: Vec<(u64, u32)>,
    /// The signed note, of the newest alone: older ones are what their log proves.
    note: Option<String>,
    previous: Option<u64>,
    next: Option<u64>,
}

pub async fn one(State(here): State<Here>, uri: Uri, path: Result<Path<u64>, PathRejection>) -> Response {
    let title = |size: u64| here.language.fill("checkpoint.title", &[&size]);
    let asked = uri.path().rsplit('/').next().unwrap_or_default().to_owned();
    let Ok(Path(size)) = path else {
        let f = here.frame(&uri, "search", here.t("search.title"));
        return search::miss(f, asked, &Why::Text(crate::search::Miss::Unknown), StatusCode::NOT_FOUND);
    };
    let f = here.frame(&uri, "checkpoints", title(size));
    let states = f.view.tail.states();
    let Some(at) = states.iter().position(|state| state.size == size) else {
        return search::miss(f, asked, &Why::NoCheckpoint { size }, StatusCode::NOT_FOUND);
    };
    let state = &states[at];
    let tip = f.view.tip.as_ref().filter(|tip| tip.state().head().size == size);
    ok(&One {
        row: Row::new(f.language, state),
        map_root: state.leaf.map_root.to_string(),
        set_hash: state.leaf.set_hash.to_string(),
        issued: f.amount(state.leaf.issued),
        redeemed: f.amount(state.leaf.redeemed),
        batches: state.batches.iter().map(|(batch, count)| (batch.0, *count)).collect(),
        note: tip.map(|tip| tip.note.clone()),
        previous: at.checked_sub(1).map(|at| states[at].size),
        next: states.get(at + 1).map(|state| state.size),
        f,
    })
}
