//! The ledger's documents.

use super::auth::{self, Token};
use super::refusal::{self, Body, Refusal, bad_request, internal, not_found, unavailable};
use crate::checkpoint::Published;
use crate::ledger::LedgerView;
use crate::start::Submitter;
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, PathRejection};
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use axum::{Json, Router};
use ledger_types::block::EnvelopeResult;
use ledger_types::bundle::{BUNDLE_BYTES_MAX, Bundle, BundleError};
use ledger_types::confirmation::RecordStatus;
use ledger_types::envelope::{ENVELOPE_BYTES_MAX, Envelope};
use ledger_types::participant::Roles;
use ledger_types::rejection::Rejection;
use ledger_types::{CoinId, Decode, Encode, EnvelopeId, Height, ParticipantNumber};
use ledger_verify::Answer;
use node_api::SCHEMA_VERSION;
use node_api::ledger as doc;
use std::time::Instant;

/// Envelopes of one request; a bundle's worth.
const ENVELOPES_PER_REQUEST_MAX: usize = 256;

#[derive(Clone)]
pub struct LedgerHttp {
    pub view: LedgerView,
    pub submit: Submitter,
    pub role: &'static str,
    pub votes: bool,
    /// Opens an envelope that this node's bank is a party of, as JSON.
    pub opener: Option<crate::start::Opener>,
}

/// Documents for everyone who reaches this address.
pub fn public(http: LedgerHttp) -> Router {
    Router::new()
        .route("/v1/status", get(status))
        .route("/health", get(health))
        .route("/v1/coins/{coin}", get(coin))
        .route("/v1/checkpoint", get(checkpoint))
        .route("/v1/checkpoint.txt", get(checkpoint_note))
        .route("/v1/participants", get(participants))
        .route("/v1/supply", get(supply))
        .route("/v1/registry", get(registry))
        .route("/v1/lanes/{submitter}", get(lane))
        .route("/v1/evidence", get(evidence))
        // A submitter follows its own envelope by its id, which only the parties know before it is ordered.
        .route("/v1/envelopes/{id}", get(envelope_status))
        // Signed by a participant's bundle key, so it needs no token (B-10).
        .route("/v1/bundles", post(submit_bundle).layer(DefaultBodyLimit::max(BUNDLE_BYTES_MAX + 1024)))
        .with_state(http)
}

/// Documents for the node's own bank.
pub fn participant(http: LedgerHttp, token: Token) -> Router {
    let submit_bytes_max = 2 * ENVELOPES_PER_REQUEST_MAX * 8 * 1024;
    Router::new()
        .route("/v1/blocks/{height}", get(block))
        .route("/v1/envelopes/{id}/content", get(envelope_content))
        .route("/v1/envelopes", post(submit_envelopes).layer(DefaultBodyLimit::max(submit_bytes_max)))
        .layer(axum::middleware::from_fn_with_state(token, auth::require))
        .with_state(http)
}

type Answered<T> = Result<Json<T>, Refusal>;

async fn status(State(http): State<LedgerHttp>) -> Answered<doc::Status> {
    let ledger = http.view.ledger();
    let me = http.view.me();
    let name = ledger.directory.get(me).map_or(String::new(), |p| p.name.as_str().to_owned());
    Ok(Json(doc::Status {
        schema_version: SCHEMA_VERSION,
        participant: me.0,
        name,
        role: http.role.into(),
        genesis_hash: http.view.rules().chain.genesis_hash().to_string(),
        height: ledger.height.0,
        block_hash: ledger.block.to_string(),
        block_time_ms: ledger.time_ms,
        since_commit_ms: since_ms(http.view.committed_at()),
        votes: http.votes,
        peers_connected: http.submit.connected().iter().map(|peer| peer.0).collect(),
        batch: ledger.batch.0,
        log_size: ledger.log_size,
        version: env!("CARGO_PKG_VERSION").into(),
    }))
}

fn since_ms(at: Instant) -> u64 {
    u64::try_from(at.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// Progress, not liveness (trap 4): work that waits longer than this without a height is no health.
const STALL_MS: u64 = 10_000;
/// Even an idle chain makes a height a minute.
const IDLE_STALL_MS: u64 = 90_000;

async fn health(State(http): State<LedgerHttp>) -> impl IntoResponse {
    let since_commit_ms = since_ms(http.view.committed_at());
    let reason = if http.submit.has_work() && since_commit_ms > STALL_MS {
        Some(format!("bundles wait and no height was committed for {since_commit_ms} ms"))
    } else if since_commit_ms > IDLE_STALL_MS {
        Some(format!("no height for {since_commit_ms} ms; an idle chain makes one a minute"))
    } else {
        None
    };
    let health =
        doc::Health { healthy: reason.is_none(), height: http.view.ledger().height.0, since_commit_ms, reason };
    let code = if health.healthy { axum::http::StatusCode::OK } else { axum::http::StatusCode::SERVICE_UNAVAILABLE };
    (code, Json(health))
}

fn parse_coin(text: &str) -> Result<CoinId, Refusal> {
    CoinId::parse(text).map_err(|error| bad_request("not_a_coin_id", error.to_string()))
}

fn parse_envelope_id(text: &str) -> Result<EnvelopeId, Refusal> {
    EnvelopeId::from_hex(text).ok_or_else(|| bad_request("not_an_envelope_id", "an envelope id has 64 hex digits"))
}

fn no_checkpoint() -> Refusal {
    unavailable(
        "no_checkpoint",
        "no checkpoint has been signed yet; a quorum and the central bank's validator must be up",
    )
}

fn as_of(published: &Published) -> doc::AsOf {
    doc::AsOf {
        log_size: published.size,
        height: published.state_leaf.height.0,
        time_ms: published.state_leaf.time_ms,
        age_ms: crate::clock::now_ms().saturating_sub(published.signed_at_s * 1000),
        signers: published.signers,
    }
}

async fn coin(State(http): State<LedgerHttp>, Path(text): Path<String>) -> Answered<doc::CoinAnswer> {
    let coin = parse_coin(&text)?;
    let published = http.view.published().ok_or_else(no_checkpoint)?;
    let proof = http.view.prove_coin(coin, &published).map_err(internal)?;
    let (status, record) = match &proof.answer {
        Answer::Absent => ("not_registered", None),
        Answer::Present(record) => {
            let status = match record.status {
                RecordStatus::Live => "live",
                RecordStatus::Spent => "spent",
                RecordStatus::Frozen => "frozen",
                RecordStatus::Disputed => "disputed",
            };
            let document = doc::Record {
                batch: record.batch.0,
                height: record.height.0,
                time_ms: record.time_ms,
                contract: record.contract.0,
                failed_check: (record.failed_check != 0).then_some(record.failed_check),
                owner_tag: record.tag.to_string(),
            };
            (status, Some(document))
        }
    };
    let proof = hex::encode(proof.to_bytes());
    Ok(Json(doc::CoinAnswer { coin: coin.to_string(), status: status.into(), record, as_of: as_of(&published), proof }))
}

async fn checkpoint(State(http): State<LedgerHttp>) -> Answered<doc::Checkpoint> {
    let published = http.view.published().ok_or_else(no_checkpoint)?;
    Ok(Json(doc::Checkpoint {
        origin: http.view.rules().genesis.origin.as_str().into(),
        size: published.size,
        root: published.root.to_string(),
        signers: published.signers,
        note: published.note.clone(),
    }))
}

async fn checkpoint_note(State(http): State<LedgerHttp>) -> Result<impl IntoResponse, Refusal> {
    let published = http.view.published().ok_or_else(no_checkpoint)?;
    Ok(([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], published.note.clone()))
}

async fn participants(State(http): State<LedgerHttp>) -> Answered<doc::Participants> {
    let ledger = http.view.ledger();
    let total = ledger.directory.validators().total_power();
    let named = [
        (Roles::VALIDATOR, "validator"),
        (Roles::CENTRAL_BANK, "central_bank"),
        (Roles::COMMERCIAL_BANK, "commercial_bank"),
        (Roles::OBSERVER, "observer"),
        (Roles::SWITCH, "switch"),
    ];
    let participants = ledger.directory.iter().map(|p| doc::Participant {
        number: p.number.0,
        name: p.name.as_str().into(),
        roles: named.iter().filter(|(role, _)| p.roles.include(*role)).map(|(_, name)| (*name).into()).collect(),
        power: p.power,
        consensus_key: p.keys.consensus.to_string(),
        bundle_key: p.keys.bundle.to_string(),
    });
    Ok(Json(doc::Participants { participants: participants.collect(), quorum_power: total * 2 / 3 + 1 }))
}

async fn supply(State(http): State<LedgerHttp>) -> Answered<doc::Supply> {
    let published = http.view.published().ok_or_else(no_checkpoint)?;
    let leaf = &published.state_leaf;
    let proof = http.view.prove_state(&published).map_err(internal)?;
    Ok(Json(doc::Supply {
        currency: http.view.rules().genesis.currency.to_string(),
        exponent: http.view.rules().genesis.exponent,
        issued: leaf.issued.to_string(),
        redeemed: leaf.redeemed.to_string(),
        outstanding: leaf.issued.saturating_sub(leaf.redeemed).to_string(),
        as_of: as_of(&published),
        proof: hex::encode(proof.to_bytes()),
    }))
}

async fn registry(State(http): State<LedgerHttp>) -> Answered<doc::Registry> {
    let ledger = http.view.ledger();
    let overdue = ledger
        .overdue
        .iter()
        .map(|entry| doc::Overdue { envelope_id: entry.envelope.to_string(), submitter: entry.submitter.0 });
    Ok(Json(doc::Registry {
        batch: ledger.batch.0,
        batch_hash: ledger.batch_hash.to_string(),
        height: ledger.height.0,
        overdue: overdue.collect(),
    }))
}

async fn lane(State(http): State<LedgerHttp>, path: Result<Path<u16>, PathRejection>) -> Answered<doc::Lane> {
    let submitter = refusal::number(path)?;
    let slot = http.submit.next_slot(ParticipantNumber(submitter));
    Ok(Json(doc::Lane { submitter, incarnation: slot.incarnation, sequence: slot.sequence }))
}

async fn evidence(State(http): State<LedgerHttp>) -> Answered<Vec<doc::Evidence>> {
    let evidence = http.view.evidence().map_err(internal)?;
    let documents = evidence.into_iter().map(|evidence| doc::Evidence {
        validator: evidence.validator.0,
        height: evidence.height.0,
        what: evidence.what.as_str().into(),
        first: hex::encode(&*evidence.first),
        second: hex::encode(&*evidence.second),
    });
    Ok(Json(documents.collect()))
}

async fn envelope_status(State(http): State<LedgerHttp>, Path(text): Path<String>) -> Answered<doc::EnvelopeStatus> {
    let id = parse_envelope_id(&text)?;
    let found = http.view.acknowledgement(&id).map_err(internal)?;
    let acknowledgement = found.ok_or_else(|| {
        let detail = match http.submit.is_lost(&id) {
            true => "the bundle that held it lost its slot to another: sign it for the lane's next slot",
            false => "no committed block holds this envelope",
        };
        not_found(detail)
    })?;
    let code = acknowledgement.result.code;
    Ok(Json(doc::EnvelopeStatus {
        envelope_id: id.to_string(),
        verdict: if code == EnvelopeResult::ACCEPTED { "accepted" } else { "refused" }.into(),
        height: acknowledgement.header.height.0,
        rejection: rejection_code(code),
        acknowledgement: hex::encode(acknowledgement.to_bytes()),
    }))
}

/// The rejection behind a result code; none for an acceptance.
pub fn rejection_code(code: u16) -> Option<doc::RejectionCode> {
    Rejection::from_number(code).map(|rejection| doc::RejectionCode {
        number: rejection.number(),
        code: rejection.code().into(),
        message: rejection.message().into(),
        is_final: rejection.is_final(),
    })
}

async fn envelope_content(State(http): State<LedgerHttp>, Path(text): Path<String>) -> Answered<doc::EnvelopeContent> {
    let id = parse_envelope_id(&text)?;
    let found = http.view.envelope(&id).map_err(internal)?;
    let (height, envelope) = found.ok_or_else(|| not_found("no committed block holds this envelope"))?;
    let chain = &http.view.rules().chain;
    let core = &envelope.header.core;
    let outputs = http.view.output_coins(&envelope).into_iter().zip(&core.outputs).map(|(coin, output)| {
        let (note, custody) = (output.note.to_string(), output.custody.to_string());
        doc::EnvelopeOutput { coin: coin.to_string(), note, custody }
    });
    Ok(Json(doc::EnvelopeContent {
        envelope_id: id.to_string(),
        height: height.0,
        submitter: envelope.submitter().0,
        kind: format!("{:?}", envelope.kind()).to_lowercase(),
        inputs: core.input_ids(chain).iter().map(CoinId::to_string).collect(),
        outputs: outputs.collect(),
        expiry_ms: core.expiry_ms,
        ciphertext: hex::encode(&envelope.ciphertext),
        opened: http.opener.as_ref().and_then(|opener| opener(&id, &envelope)),
        envelope: hex::encode(envelope.to_bytes()),
    }))
}

async fn block(State(http): State<LedgerHttp>, path: Result<Path<u64>, PathRejection>) -> Answered<doc::Block> {
    let height = refusal::number(path)?;
    let found = http.view.decided(Height(height)).map_err(internal)?;
    let (decided, results) = found.ok_or_else(|| not_found(format!("height {height} is not committed here")))?;
    let header = &decided.block.header;
    let accepted = results.iter().filter(|code| **code == EnvelopeResult::ACCEPTED).count();
    let chain = &http.view.rules().chain;
    let bundles = decided.block.certificates.iter().map(|certificate| doc::BlockBundle {
        digest: certificate.digest(chain).to_string(),
        submitter: certificate.header.slot.submitter.0,
        incarnation: certificate.header.slot.incarnation,
        sequence: certificate.header.slot.sequence,
        envelopes: certificate.header.count,
        bytes: certificate.header.bytes,
    });
    Ok(Json(doc::Block {
        height,
        hash: decided.certificate.block.to_string(),
        parent: header.parent.to_string(),
        time_ms: header.time_ms,
        state_root: header.state_root.to_string(),
        map_root: header.map_root.to_string(),
        log_size: header.log_size,
        log_root: header.log_root.to_string(),
        round: decided.certificate.round,
        signers: decided.certificate.precommits.iter().map(|signed| signed.signer.0).collect(),
        bundles: bundles.collect(),
        accepted: u32::try_from(accepted).unwrap_or(u32::MAX),
        refused: u32::try_from(results.len() - accepted).unwrap_or(u32::MAX),
    }))
}

async fn submit_envelopes(
    State(http): State<LedgerHttp>,
    Body(request): Body<doc::SubmitEnvelopes>,
) -> Answered<doc::Submitted> {
    if request.envelopes.is_empty() || request.envelopes.len() > ENVELOPES_PER_REQUEST_MAX {
        let detail = format!("a request holds 1 to {ENVELOPES_PER_REQUEST_MAX} envelopes");
        return Err(bad_request("envelope_count", detail));
    }
    let chain = http.view.rules().chain;
    let mut envelopes = Vec::with_capacity(request.envelopes.len());
    let mut envelope_ids = Vec::with_capacity(request.envelopes.len());
    for (index, text) in request.envelopes.iter().enumerate() {
        if text.len() > 2 * ENVELOPE_BYTES_MAX {
            return Err(bad_request("malformed", format!("envelope {index} exceeds {ENVELOPE_BYTES_MAX} bytes")));
        }
        let bytes = hex::decode(text).map_err(|e| bad_request("malformed", format!("envelope {index}: {e}")))?;
        let envelope =
            Envelope::from_bytes(&bytes).map_err(|e| bad_request("malformed", format!("envelope {index}: {e}")))?;
        if envelope.submitter() != http.view.me() {
            return Err(Refusal(node_api::Problem::rejection(Rejection::SubmitterIsNotTheBundles)));
        }
        envelope_ids.push(envelope.id(&chain).to_string());
        envelopes.push(envelope);
    }
    http.submit.envelopes(envelopes).await.map_err(busy)?;
    Ok(Json(doc::Submitted { envelope_ids }))
}

async fn submit_bundle(
    State(http): State<LedgerHttp>,
    body: Result<Bytes, BytesRejection>,
) -> Answered<doc::Submitted> {
    let body = refusal::bytes(body)?;
    let chain = http.view.rules().chain;
    let bundle = Bundle::parse(&chain, &body).map_err(|error| bad_request("malformed", error.to_string()))?;
    let submitter = bundle.slot().submitter;
    let directory = &http.view.ledger().directory;
    let key = directory.bundle_key(submitter);
    let key =
        key.ok_or_else(|| bad_request("unknown_submitter", BundleError::UnknownSubmitter(submitter).to_string()))?;
    if !bundle.signature_is_valid(&key) {
        return Err(bad_request("bundle_signature", BundleError::Signature.to_string()));
    }
    let envelope_ids = bundle.ids().iter().map(EnvelopeId::to_string).collect();
    http.submit.bundle(bundle).await.map_err(busy)?;
    Ok(Json(doc::Submitted { envelope_ids }))
}

fn busy(error: crate::start::SubmitRefused) -> Refusal {
    let problem = node_api::Problem::new(429, "busy", "The lane is full", error.to_string());
    Refusal(problem.with_help("submit again when earlier bundles are ordered"))
}
