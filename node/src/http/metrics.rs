//! `/metrics` in Prometheus' text format: read off the ledger, consensus and the data plane at each scrape, no counters of our
//! own.

use super::health::{self, NodeHealth};
use super::routes::routes;
use crate::ledger::LedgerView;
use crate::reconciliation::findings::Counts;
use axum::Router;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use std::fmt::{Display, Write};
use std::sync::Arc;

/// What reconciliation last found, of a bank's node.
pub type ReconciliationCounts = Arc<dyn Fn() -> Counts + Send + Sync>;

routes! { const METRICS, fn metric_routes -> Router<Sources> {
    GET "/metrics" => metrics;
} }

pub fn router(view: LedgerView, health: NodeHealth, reconciliation: Option<ReconciliationCounts>) -> Router {
    metric_routes().with_state((view, health, reconciliation))
}

/// One page; names begin with `assay_`.
#[derive(Default)]
struct Page(String);

impl Page {
    fn head(&mut self, name: &str, help: &str, kind: &str) {
        let _ = writeln!(self.0, "# HELP assay_{name} {help}\n# TYPE assay_{name} {kind}");
    }

    fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.head(name, help, "gauge");
        let _ = writeln!(self.0, "assay_{name} {value}");
    }

    fn counter(&mut self, name: &str, help: &str, value: impl Display) {
        self.head(name, help, "counter");
        let _ = writeln!(self.0, "assay_{name} {value}");
    }

    /// One of several states: 1 for the one that holds, 0 for the others.
    fn state(&mut self, name: &str, help: &str, states: &[&str], now: &str) {
        self.head(name, help, "gauge");
        for state in states {
            let _ = writeln!(self.0, "assay_{name}{{state=\"{state}\"}} {}", u8::from(*state == now));
        }
    }
}

type Sources = (LedgerView, NodeHealth, Option<ReconciliationCounts>);

async fn metrics(State((view, health, reconciliation)): State<Sources>) -> impl IntoResponse {
    let ledger = view.ledger();
    let look = health.look();
    let mut page = Page::default();
    page.gauge("height", "Last committed height.", ledger.height.0);
    page.gauge("block_time_seconds", "Time of the last committed block.", ledger.time_ms as f64 / 1000.0);
    let help = "Seconds since this node committed a height.";
    page.gauge("since_commit_seconds", help, look.since_commit.as_secs_f64());
    page.gauge("healthy", "Whether /health says so.", u8::from(look.complaint().is_none()));
    page.gauge("work_waiting_seconds", "How long work has waited without a height.", look.waiting.as_secs_f64());
    page.gauge("batch", "Last accepted confirmation batch.", ledger.batch.0);
    page.gauge("log_size", "Leaves of the public log.", ledger.log_size);
    page.gauge("overdue", "Envelopes whose keys are overdue.", ledger.overdue.iter().count());
    let validators = &ledger.validators;
    page.gauge("validators", "Validators that decide the next height.", validators.set.len());
    let power = validators.set.get(view.me()).map_or(0, |validator| validator.power);
    page.gauge("own_power", "This node's power among them.", power);
    page.gauge("hand_overs", "Hand-overs of the validator set that have bound (G-3).", validators.hand_overs);
    let help = "Whether a hand-over is ordered and does not bind yet.";
    page.gauge("hand_over_pending", help, u8::from(validators.pending.is_some()));
    let unknown = ledger.rules_schedule.unknown_to(view.rules().known);
    let help = "Whether rules are ordered that this program does not know (B-13).";
    page.gauge("rules_unknown", help, u8::from(unknown.is_some()));
    if let Some(published) = view.published() {
        page.gauge("checkpoint_size", "Size of the newest checkpoint.", published.size);
        let age_ms = crate::clock::now_ms().saturating_sub(published.signed_at_s * 1000);
        page.gauge("checkpoint_age_seconds", "Age of its quorum-th newest cosignature.", age_ms as f64 / 1000.0);
        page.gauge("checkpoint_signers", "Validators that cosigned it.", published.signers);
    }

    if let Ok(first) = view.first_height() {
        page.gauge("first_height", "Blocks and envelopes are held from this height on.", first.0);
    }
    if let Some(height) = look.joined.height {
        page.gauge("joined_height", "The snapshot by which this node joined.", height.0);
    }
    page.gauge("lying_peers", "Peers that sent false state while this node joined.", look.joined.liars.len());
    if let Some(counts) = reconciliation {
        let counts = counts();
        page.gauge("reconciliation_differences", "Open differences that are not muted.", counts.open);
        page.gauge("reconciliation_muted", "Open differences that are muted.", counts.muted);
        page.gauge("reconciliation_unnamed", "Found beyond those that are named.", counts.unnamed);
        page.gauge("reconciliation_failed", "Whether the last run failed.", counts.failed_runs);
        let last_s = counts.last_run_ms as f64 / 1000.0;
        page.gauge("reconciliation_last_run_seconds", "When the last run was, since 1970; 0: never.", last_s);
    }
    page.gauge("audit_progress", "Of the newest computing anew of log and map, from 0 to 1.", look.audit.progress);
    page.gauge("audit_fault", "Whether stored bytes of log or map are damaged.", u8::from(look.audit.fault.is_some()));
    let help = "Reads of stored rows and bundles that failed since the start: damage.";
    page.counter("unreadable_rows_total", help, look.damage.reads);
    page.counter("audits_passed_total", "Runs since the start that found everything whole.", look.audit.passed);
    let help = "When the last of them ended.";
    page.gauge("audit_passed_time_seconds", help, look.audit.last_passed_ms as f64 / 1000.0);

    let vote = health::vote_state(&look.engine.vote);
    page.state("vote", "Whether this node votes (B-9).", &health::VOTE_STATES, vote);
    let stage = health::stage(look.engine.stage);
    page.state("consensus_stage", "What consensus is doing.", &health::STAGES, stage);
    page.gauge("consensus_height", "Height in progress.", look.engine.height.0);
    page.gauge("consensus_round", "Round in progress.", look.engine.round);
    let counters = look.counters;
    page.counter("consensus_heights_total", "Heights made durable since the start.", counters.heights);
    page.counter("consensus_synced_total", "Of them sent decided by a peer.", counters.synced);
    page.counter("consensus_lost_rounds_total", "Rounds that ended without a decision.", counters.lost_rounds);
    page.counter("consensus_withheld_total", "Blocks whose time was off (B-5).", counters.withheld);
    page.counter("consensus_refused_total", "Blocks that got a nil (B-2).", counters.refused);

    let plane = &look.plane;
    page.gauge("peers_connected", "Participants connected on the data plane.", plane.connected);
    page.gauge("validators_missing", "Other validators that are not connected.", look.missing.len());
    page.gauge("plane_queue_bytes", "Envelopes that wait for a bundle of the own lane.", plane.queue_bytes);
    page.gauge("plane_cache_bytes", "Parsed bundles kept in memory.", plane.cache_bytes);
    page.gauge("plane_early_bytes", "Bundles that came before their slot opened.", plane.early_bytes);
    page.gauge("plane_unordered_bundles", "Own or submitted bundles that no block holds.", plane.sponsored);
    page.gauge("plane_certified_bundles", "Certified bundles that no block holds.", plane.certified);
    page.counter("plane_bundles_own_total", "Bundles cut for the own lane.", plane.bundles_own);
    page.counter("plane_bundles_stored_total", "Bundles made durable.", plane.bundles_stored);
    page.counter("plane_bundles_fetched_total", "Bundles fetched from others.", plane.bundles_fetched);
    page.counter("plane_bundles_served_total", "Bundles given to others.", plane.bundles_served);
    page.counter("plane_acks_sent_total", "Acks sent.", plane.acks_sent);
    page.counter("plane_certificates_made_total", "Certificates made here.", plane.certificates_made);
    page.counter("plane_certificates_received_total", "Certificates of others.", plane.certificates_received);
    page.counter("plane_bytes_received_total", "Bytes received on the data plane.", plane.bytes_received);
    page.counter("plane_bytes_sent_total", "Bytes sent on the data plane.", plane.bytes_sent);
    page.counter(
        "plane_consensus_detours_total",
        "Consensus messages that a peer may not have had on its own stream.",
        plane.consensus_detours,
    );
    page.counter("plane_evidence_total", "Reused slots that were seen.", plane.evidence);
    page.head("plane_refusals_total", "What the data plane refused, by reason.", "counter");
    for (reason, count) in &plane.refusals {
        let _ = writeln!(page.0, "assay_plane_refusals_total{{reason=\"{reason}\"}} {count}");
    }
    for (name, help, value) in view.stage_totals() {
        page.counter(name, help, value);
    }
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], page.0)
}
