//! `/metrics` in Prometheus' text format: read off the ledger and the data plane at each scrape, no counters of our own.

use crate::ledger::LedgerView;
use axum::Router;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::get;
use consensus::plane::Plane;
use std::fmt::Write;
use std::sync::Arc;

pub fn router(view: LedgerView, plane: Arc<Plane>) -> Router {
    Router::new().route("/metrics", get(metrics)).with_state((view, plane))
}

async fn metrics(State((view, plane)): State<(LedgerView, Arc<Plane>)>) -> impl IntoResponse {
    let ledger = view.ledger();
    let mut text = String::new();
    let mut gauge = |name: &str, help: &str, value: f64| {
        let _ = writeln!(text, "# HELP assay_{name} {help}\n# TYPE assay_{name} gauge\nassay_{name} {value}");
    };
    gauge("height", "Last committed height.", ledger.height.0 as f64);
    gauge("block_time_seconds", "Time of the last committed block.", ledger.time_ms as f64 / 1000.0);
    gauge(
        "since_commit_seconds",
        "Seconds since this node committed a height.",
        view.committed_at().elapsed().as_secs_f64(),
    );
    gauge("batch", "Last accepted confirmation batch.", ledger.batch.0 as f64);
    gauge("log_size", "Leaves of the public log.", ledger.log_size as f64);
    gauge("overdue", "Envelopes whose keys are overdue.", ledger.overdue.iter().count() as f64);
    gauge("peers_connected", "Participants connected on the data plane.", plane.connected().len() as f64);
    if let Some(published) = view.published() {
        gauge("checkpoint_size", "Size of the newest checkpoint.", published.size as f64);
        let age_ms = crate::clock::now_ms().saturating_sub(published.signed_at_s * 1000);
        gauge("checkpoint_age_seconds", "Age of its quorum-th newest cosignature.", age_ms as f64 / 1000.0);
        gauge("checkpoint_signers", "Validators that cosigned it.", f64::from(published.signers));
    }
    for (name, help, value) in view.stage_totals() {
        let _ = writeln!(text, "# HELP assay_{name} {help}\n# TYPE assay_{name} counter\nassay_{name} {value}");
    }
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text)
}
