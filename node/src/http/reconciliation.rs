//! What reconciliation found, for the bank's own people. The token is checked around it.

use super::metrics::ReconciliationCounts;
use super::refusal::{Body, InPath, Refusal, internal, not_found, unavailable};
use super::routes::routes;
use crate::clock::now_ms;
use crate::reconciliation::findings::{Findings, FindingsError};
use crate::role::commercial_bank::Desk;
use crate::role::commercial_bank::desk::Inner;
use crate::role::commercial_bank::reconciling::NotRepaired;
use axum::extract::{DefaultBodyLimit, State};
use axum::{Json, Router};
use node_api::Problem;
use node_api::reconciliation as doc;
use std::sync::Arc;

const BODY_BYTES_MAX: usize = 4 << 10;

type DeskState = State<Arc<Inner>>;
type Answered = Result<Json<doc::Reconciliation>, Refusal>;

routes! { const RECONCILIATION, fn reconciliation_routes -> Router<Arc<Inner>> {
    GET "/v1/reconciliation" => show;
    POST "/v1/reconciliation/differences/{id}/mute" => mute;
    POST "/v1/reconciliation/differences/{id}/unmute" => unmute;
    POST "/v1/reconciliation/differences/{id}/repair" => repair;
} }

pub fn router(desk: Desk) -> Router {
    reconciliation_routes().layer(DefaultBodyLimit::max(BODY_BYTES_MAX)).with_state(desk.inner().clone())
}

/// For alerts. Holds the desk weakly: the metrics end with it.
pub fn counts(desk: &Desk) -> ReconciliationCounts {
    let desk = Arc::downgrade(desk.inner());
    Arc::new(move || {
        let desk = desk.upgrade();
        let counts = desk.as_ref().and_then(|desk| Some(desk.reconciling.findings()?.counts(now_ms())));
        counts.unwrap_or_default()
    })
}

fn findings(desk: &Inner) -> Result<&Findings, Refusal> {
    desk.reconciling.findings().ok_or_else(|| unavailable("starting", "the desk is starting"))
}

fn refused(error: FindingsError) -> Refusal {
    match error.status_and_code() {
        (404, _) => not_found(error.to_string()),
        (500, _) => internal(error),
        (status, code) => Problem::new(status, code, "Reconciliation does not take this", error.to_string()).into(),
    }
}

async fn show(State(desk): DeskState) -> Answered {
    Ok(Json(findings(&desk)?.document()))
}

async fn mute(State(desk): DeskState, InPath(id): InPath<String>, Body(mute): Body<doc::Mute>) -> Answered {
    let findings = findings(&desk)?;
    findings.mute(&id, mute, now_ms()).map_err(refused)?;
    Ok(Json(findings.document()))
}

async fn unmute(State(desk): DeskState, InPath(id): InPath<String>) -> Answered {
    let findings = findings(&desk)?;
    findings.unmute(&id).map_err(refused)?;
    Ok(Json(findings.document()))
}

async fn repair(State(desk): DeskState, InPath(id): InPath<String>) -> Answered {
    let done = desk.clone().repair(&id).await;
    done.map_err(|error| match error {
        NotRepaired::Findings(error) => refused(error),
        NotRepaired::NothingHere(why) => {
            Problem::new(422, "nothing_to_repair_here", "This bank has nothing to repair there", why).into()
        }
        NotRepaired::Cannot(why) => Problem::new(422, "cannot_be_mended", "The repair does not work", why).into(),
        NotRepaired::NoProof(why) => unavailable("no_proof", why),
        NotRepaired::Row(error) => internal(error),
        NotRepaired::Stopped(_) => unavailable("stopping", "the desk stops"),
    })?;
    Ok(Json(findings(&desk)?.document()))
}
