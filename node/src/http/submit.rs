//! Submission: envelopes for the own bank's lane, and bundles that another participant signed (B-10).
//!
//! Queued is not acknowledged (B-2). What the data plane refuses keeps its reason: only back-pressure asks to come again.

use super::bundle::{self, InFlight};
use super::ledger::Answered;
use super::reads::Reads;
use super::refusal::{Body, Refusal, bad_request, too_large, unavailable};
use crate::start::Submitter;
use axum::Json;
use axum::extract::{Request, State};
use axum::http::header::CONTENT_LENGTH;
use consensus::plane::SubmitError;
use ledger_types::bundle::Bundle;
use ledger_types::envelope::{ENVELOPE_BYTES_MAX, Envelope};
use ledger_types::rejection::Rejection;
use ledger_types::{Chain, Decode, EnvelopeId, ParticipantNumber};
use node_api::{Problem, ledger as doc};
use std::sync::Arc;

/// Envelopes of one request; a bundle's worth.
const ENVELOPES_PER_REQUEST_MAX: usize = 256;
/// In hex, of 8 KiB each on average: a request of larger ones holds fewer.
pub(super) const ENVELOPES_BODY_BYTES_MAX: usize = 2 * ENVELOPES_PER_REQUEST_MAX * 8 * 1024;

#[derive(Clone)]
pub struct Submissions {
    pub submit: Submitter,
    pub chain: Chain,
    pub me: ParticipantNumber,
    parsing: Reads,
    in_flight: Arc<InFlight>,
}

impl Submissions {
    pub fn new(submit: Submitter, chain: Chain, me: ParticipantNumber) -> Self {
        Submissions { submit, chain, me, parsing: Reads::default(), in_flight: Arc::default() }
    }
}

pub(super) async fn envelopes(
    State(http): State<Submissions>,
    Body(request): Body<doc::SubmitEnvelopes>,
) -> Answered<doc::Submitted> {
    if request.envelopes.is_empty() || request.envelopes.len() > ENVELOPES_PER_REQUEST_MAX {
        let detail = format!("a request holds 1 to {ENVELOPES_PER_REQUEST_MAX} envelopes");
        return Err(bad_request("envelope_count", detail));
    }
    let (chain, me) = (http.chain, http.me);
    let parsed = http.parsing.run(move || parse(&chain, me, &request.envelopes)).await?;
    let (envelopes, envelope_ids) = parsed.into_iter().unzip();
    http.submit.envelopes(envelopes).await.map_err(not_taken)?;
    Ok(Json(doc::Submitted { envelope_ids }))
}

fn parse(chain: &Chain, me: ParticipantNumber, texts: &[String]) -> Result<Vec<(Envelope, String)>, Refusal> {
    let mut parsed = Vec::with_capacity(texts.len());
    for (index, text) in texts.iter().enumerate() {
        let malformed = |cause: &dyn std::fmt::Display| bad_request("malformed", format!("envelope {index}: {cause}"));
        if text.len() > 2 * ENVELOPE_BYTES_MAX {
            return Err(malformed(&format!("it exceeds {ENVELOPE_BYTES_MAX} bytes")));
        }
        let bytes = hex::decode(text).map_err(|error| malformed(&error))?;
        let envelope = Envelope::from_bytes(&bytes).map_err(|error| malformed(&error))?;
        if envelope.submitter() != me {
            return Err(Refusal(Problem::rejection(Rejection::SubmitterIsNotTheBundles)));
        }
        let id = envelope.id(chain).to_string();
        parsed.push((envelope, id));
    }
    Ok(parsed)
}

/// Signed by a participant's bundle key, so it needs no token.
pub(super) async fn signed_bundle(State(http): State<Submissions>, request: Request) -> Answered<doc::Submitted> {
    let length = request.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    let submit = http.submit.clone();
    let admits = move |header: &_, signature: &_| submit.admits(header, signature).map_err(not_taken);
    // Until the bundle is on disk its bytes count.
    let (bytes, _reserved) = bundle::receive(request.into_body(), length, &http.in_flight, admits).await?;
    let chain = http.chain;
    let parse = move || Bundle::parse(&chain, &bytes).map_err(|error| bad_request("malformed", error.to_string()));
    let bundle = http.parsing.run(parse).await?;
    let envelope_ids = bundle.ids().iter().map(EnvelopeId::to_string).collect();
    http.submit.bundle(bundle).await.map_err(not_taken)?;
    Ok(Json(doc::Submitted { envelope_ids }))
}

fn not_taken(error: SubmitError) -> Refusal {
    let detail = error.to_string();
    let problem = |status, code, title| Problem::new(status, code, title, detail.clone());
    let sign_anew = "GET /v1/lanes/{submitter} says which slot the lane's next bundle must take; sign it anew for that";
    let elsewhere = "submit it through another validator";
    Refusal(match error {
        SubmitError::Busy(_) => problem(429, "busy", "The lane is full")
            .with_help("submit the same again when earlier bundles are ordered")
            .retry_after(1),
        SubmitError::SlotTaken => problem(409, "slot_taken", "The slot holds another bundle").with_help(sign_anew),
        SubmitError::SlotClosed => problem(409, "slot_closed", "The slot is closed").with_help(sign_anew),
        SubmitError::SlotLost => problem(409, "slot_lost", "The slot went to another bundle").with_help(sign_anew),
        SubmitError::SlotFarAhead => {
            problem(409, "slot_far_ahead", "The slot is far ahead of its lane").with_help(sign_anew)
        }
        SubmitError::TooLarge(_) => return too_large("over_quota", detail),
        SubmitError::UnknownSubmitter => problem(403, "unknown_submitter", "No participant signed this"),
        SubmitError::Signature => problem(403, "bundle_signature", "The submitter did not sign this"),
        SubmitError::OwnLane => {
            problem(403, "own_lane", "This node signs its own lane's bundles itself").with_help(elsewhere)
        }
        SubmitError::NotASubmitter => {
            problem(403, "not_a_submitter", "This node takes no bundles").with_help(elsewhere)
        }
        SubmitError::Stopped => return unavailable("stopping", detail),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_keeps_its_code_and_only_what_may_be_taken_later_says_when() {
        let expected = [
            (SubmitError::Busy("the lane's queue is full"), 429, "busy", true),
            (SubmitError::SlotTaken, 409, "slot_taken", false),
            (SubmitError::SlotClosed, 409, "slot_closed", false),
            (SubmitError::SlotLost, 409, "slot_lost", false),
            (SubmitError::SlotFarAhead, 409, "slot_far_ahead", false),
            (SubmitError::TooLarge("the bundle exceeds its quota"), 413, "over_quota", false),
            (SubmitError::UnknownSubmitter, 403, "unknown_submitter", false),
            (SubmitError::Signature, 403, "bundle_signature", false),
            (SubmitError::OwnLane, 403, "own_lane", false),
            (SubmitError::NotASubmitter, 403, "not_a_submitter", false),
            (SubmitError::Stopped, 503, "stopping", true),
        ];
        for (error, status, code, later) in expected {
            let Refusal(problem) = not_taken(error);
            assert_eq!((problem.status, problem.code.as_str(), problem.retry_after_s.is_some()), (status, code, later));
        }
    }
}
