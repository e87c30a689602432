//! What the officers asked for: counted from the log's leaves; which coins it was about stands nowhere.

use super::frame::Frame;
use super::{Here, failure, ok};
use crate::show;
use askama::Template;
use axum::extract::State;
use axum::http::Uri;
use axum::response::Response;
use ledger_types::request::{EPOCH_MS, RequestClass};

const ROWS: usize = 30;

#[derive(Template)]
#[template(path = "disclosures.html")]
struct Page {
    f: Frame,
    /// Word and count of each class.
    classes: Vec<(&'static str, u64)>,
    /// Which leaves were counted; none when the observers give no leaves.
    counted: Option<String>,
    rows: Vec<Row>,
}

struct Row {
    index: u64,
    class: &'static str,
    basis: String,
    day_ms: u64,
    commitment: String,
}

impl Row {
    fn short_commitment(&self) -> String {
        show::short(&self.commitment)
    }
}

pub async fn page(State(here): State<Here>, uri: Uri) -> Response {
    let f = here.frame(&uri, "disclosures", here.t("disclosures.title"));
    if f.view.tip.is_none() {
        return failure::no_state(&here, &uri);
    }
    let tail = f.view.tail.clone();
    let requests = tail.events();
    let word = |class| match class {
        RequestClass::Disclose => f.t("disclosures.disclose"),
        RequestClass::Freeze => f.t("disclosures.freeze"),
        RequestClass::Unfreeze => f.t("disclosures.unfreeze"),
    };
    let counted = match (requests.first_leaf(), tail.size()) {
        (_, 0) => None,
        (0, size) => Some(f.fill("disclosures.whole", &[&size])),
        (first, size) => Some(f.fill("disclosures.part", &[&first, &size])),
    };
    let rows = requests.newest().take(ROWS).map(|(index, request)| Row {
        index: *index,
        class: word(request.class),
        basis: request.basis.to_string(),
        day_ms: request.epoch.saturating_mul(EPOCH_MS),
        commitment: request.commitment.to_string(),
    });
    let rows = rows.collect();
    let classes = RequestClass::ALL.iter().map(|class| (word(*class), requests.count(*class))).collect();
    ok(&Page { classes, counted, rows, f })
}
