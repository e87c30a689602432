//! Issued, redeemed, in circulation: the signed totals, and how they came about.

use super::frame::Frame;
use super::{Here, failure, ok};
use crate::chart::{Chart, Line, Shape};
use crate::ledger::tail::KnownState;
use crate::show;
use askama::Template;
use axum::extract::State;
use axum::http::Uri;
use axum::response::Response;

/// A step each; more are not told apart on 720 units.
const POINTS_MAX: usize = 600;
const ROWS: usize = 12;

#[derive(Template)]
#[template(path = "supply.html")]
struct Page {
    f: Frame,
    issued: String,
    redeemed: String,
    in_circulation: String,
    issued_minor: String,
    redeemed_minor: String,
    log_size: u64,
    chart: Option<String>,
    rows: Vec<Row>,
}

struct Row {
    size: u64,
    time_ms: u64,
    batch: u64,
    issued: String,
    redeemed: String,
    in_circulation: String,
}

pub async fn page(State(here): State<Here>, uri: Uri) -> Response {
    let f = here.frame(&uri, "supply", here.t("supply.title"));
    let Some(tip) = f.view.tip.clone() else { return failure::no_state(&here, &uri) };
    let chart = chart(&f);
    let rows = f.view.tail.states().iter().rev().take(ROWS).map(|state| Row {
        size: state.size,
        time_ms: state.leaf.time_ms,
        batch: state.leaf.batch.0,
        issued: f.amount(state.leaf.issued),
        redeemed: f.amount(state.leaf.redeemed),
        in_circulation: f.amount(state.leaf.issued.saturating_sub(state.leaf.redeemed)),
    });
    ok(&Page {
        issued: f.amount(tip.supply.issued()),
        redeemed: f.amount(tip.supply.redeemed()),
        in_circulation: f.amount(tip.supply.in_circulation()),
        issued_minor: tip.supply.issued().to_string(),
        redeemed_minor: tip.supply.redeemed().to_string(),
        log_size: tip.state().head().size,
        chart,
        rows: rows.collect(),
        f,
    })
}

fn chart(f: &Frame) -> Option<String> {
    let states = f.view.tail.states();
    let every = states.len().div_ceil(POINTS_MAX).max(1);
    let unit = 10f64.powi(i32::from(f.exponent));
    let points = |of: &dyn Fn(&KnownState) -> u128| {
        // Counted from the newest, so that the last step is always there.
        let mut points: Vec<(u64, f64)> =
            states.iter().rev().step_by(every).map(|state| (state.leaf.time_ms, of(state) as f64 / unit)).collect();
        points.reverse();
        points
    };
    let lines = [
        Line {
            class: "line-a",
            points: points(&|s| s.leaf.issued.saturating_sub(s.leaf.redeemed)),
            shape: Shape::Area,
        },
        Line { class: "line-b", points: points(&|s| s.leaf.issued), shape: Shape::Steps },
        Line { class: "line-c", points: points(&|s| s.leaf.redeemed), shape: Shape::Steps },
    ];
    let (first, last) = (states.front()?, states.back()?);
    let description = f.fill(
        "supply.chart_text",
        &[
            &f.time(first.leaf.time_ms),
            &f.time(last.leaf.time_ms),
            &f.amount(first.leaf.issued.saturating_sub(first.leaf.redeemed)),
            &f.amount(last.leaf.issued.saturating_sub(last.leaf.redeemed)),
        ],
    );
    Chart {
        id: "supply",
        title: f.t("supply.chart_title"),
        description: &description,
        lines: &lines,
        x_label: &show::short_time,
        y_label: &|value| show::round(f.language, value),
    }
    .svg()
}
