//! The ledger's documents.

use super::auth::{self, Token};
use super::events::Streams;
use super::health::{self, NodeHealth};
use super::rate::{Class, Gate, limited};
use super::reads::Reads;
use super::refusal::{InPath, Refusal, bad_request, internal, not_found, unavailable};
use super::routes::routes;
use super::submit::{self, Submissions};
use crate::checkpoint::Published;
use crate::ledger::{EvidencePlace, LedgerError, LedgerView};
use crate::start::Submitter;
use axum::extract::rejection::QueryRejection;
use axum::extract::{DefaultBodyLimit, Query, State};
use axum::http::header;
use axum::response::IntoResponse;
use axum::{Json, Router};
use ledger_types::block::EnvelopeResult;
use ledger_types::confirmation::RecordStatus;
use ledger_types::envelope::Envelope;
use ledger_types::participant::{Roles, Validator};
use ledger_types::rejection::Rejection;
use ledger_types::request::{OfficerRequest, RequestClass};
use ledger_types::{CoinId, Encode, EnvelopeId, Height, ParticipantNumber};
use ledger_verify::Answer;
use node_api::ledger as doc;
use node_api::{Problem, SCHEMA_VERSION};
use serde::Deserialize;

const EVIDENCE_PER_PAGE_MAX: usize = 100;
/// Of the officers' newest.
const REQUESTS_SHOWN: usize = 100;

#[derive(Clone)]
pub struct LedgerHttp {
    pub view: LedgerView,
    pub submit: Submitter,
    pub health: NodeHealth,
    pub role: &'static str,
    /// Opens an envelope that this node's bank is a party of, as JSON.
    pub opener: Option<crate::start::Opener>,
    /// Of the public and of the bank apart: a crowd outside does not keep the bank from its own node.
    pub reads: Reads,
    pub submissions: Submissions,
    /// For the metrics of a node with a desk.
    pub reconciliation: Option<super::metrics::ReconciliationCounts>,
}

impl LedgerHttp {
    /// Runs `read` on the ledger away from the workers that consensus runs on.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&LedgerView) -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, Refusal> {
        let view = self.view.clone();
        self.reads.run(move || read(&view)).await
    }
}

routes! { const PUBLIC, fn public_routes -> Router<LedgerHttp> {
    GET "/v1/status" => status;
    GET "/health" => health;
    GET "/v1/coins/{coin}" => coin;
    GET "/v1/checkpoint" => checkpoint;
    GET "/v1/checkpoint.txt" => checkpoint_note;
    GET "/v1/participants" => participants;
    GET "/v1/supply" => supply;
    GET "/v1/registry" => registry;
    GET "/v1/disclosures" => disclosures;
    GET "/v1/disclosures/{index}" => disclosure;
    GET "/v1/batches/{id}" => batch_status;
    GET "/v1/lanes/{submitter}" => lane;
    GET "/v1/evidence" => evidence;
} }

routes! { const BUNDLES, fn bundle_routes -> Router<Submissions> {
    // Signed by a participant's bundle key, so it needs no token (B-10).
    POST "/v1/bundles" => submit::signed_bundle;
} }

routes! { const OWN, fn own_routes -> Router<LedgerHttp> {
    GET "/v1/blocks/{height}" => block;
    GET "/v1/envelopes/{id}" => envelope_status;
    GET "/v1/envelopes/{id}/content" => envelope_content;
} }

routes! { const ENVELOPES, fn envelope_routes -> Router<Submissions> {
    POST "/v1/envelopes" => submit::envelopes;
} }

/// Documents for everyone who reaches this address: nothing of an envelope (leakage; record 035).
pub fn public(http: LedgerHttp, streams: Streams, gate: Gate) -> Router {
    let bundles = bundle_routes()
        .layer(axum::middleware::from_fn_with_state((gate.clone(), Class::Submit), limited))
        .with_state(http.submissions.clone());
    let metrics = super::metrics::router(http.view.clone(), http.health.clone(), http.reconciliation.clone());
    let contracts = super::contracts::router(http.clone());
    let log = super::log::router(http.clone()).merge(super::events::router(http.view.follow_published(), streams));
    public_routes()
        .with_state(http)
        .merge(metrics)
        .merge(log)
        .merge(contracts)
        .layer(axum::middleware::from_fn_with_state((gate, Class::Read), limited))
        .merge(bundles)
}

/// Documents for the node's own bank.
pub fn participant(http: LedgerHttp, token: Token, gate: Gate) -> Router {
    let submissions = envelope_routes()
        .layer(DefaultBodyLimit::max(submit::ENVELOPES_BODY_BYTES_MAX))
        .with_state(http.submissions.clone());
    own_routes()
        .with_state(http)
        .merge(submissions)
        .layer(axum::middleware::from_fn_with_state(token, auth::require))
        .layer(axum::middleware::from_fn_with_state((gate, Class::NoToken), limited))
}

pub(super) type Answered<T> = Result<Json<T>, Refusal>;

async fn status(State(http): State<LedgerHttp>) -> Answered<doc::Status> {
    let ledger = http.view.ledger();
    let me = http.view.me();
    let name = ledger.directory.get(me).map_or(String::new(), |p| p.name.as_str().to_owned());
    let look = http.health.look();
    let (schedule, known, next) = (&ledger.rules_schedule, http.view.rules().known, ledger.height.next());
    Ok(Json(doc::Status {
        schema_version: SCHEMA_VERSION,
        participant: me.0,
        name,
        role: http.role.into(),
        genesis_hash: http.view.rules().chain.genesis_hash().to_string(),
        height: ledger.height.0,
        block_hash: ledger.block.to_string(),
        block_time_ms: ledger.time_ms,
        since_commit_ms: health::ms(look.since_commit),
        votes: look.engine.vote == consensus::engine::Vote::Votes,
        vote: health::vote_state(&look.engine.vote).into(),
        vote_reason: health::vote_reason(&look.engine.vote),
        stage: health::stage(look.engine.stage).into(),
        deciding_height: look.engine.height.0,
        round: look.engine.round,
        lost_rounds: look.counters.lost_rounds,
        heights_synced: look.counters.synced,
        waiting_ms: health::ms(look.waiting),
        queued_bytes: look.plane.queue_bytes as u64,
        unordered_bundles: look.plane.sponsored as u64,
        certified_bundles: look.plane.certified as u64,
        peers_connected: http.submit.connected().iter().map(|peer| peer.0).collect(),
        validators_missing: look.missing.iter().map(|(number, _)| number.0).collect(),
        batch: ledger.batch.0,
        log_size: ledger.log_size,
        first_height: http.view.first_height().map_err(internal)?.0,
        joined_at: look.joined.height.map(|height| height.0),
        lying_peers: look
            .joined
            .liars
            .iter()
            .map(|(peer, lie)| doc::Liar { participant: peer.0, lie: lie.clone() })
            .collect(),
        version: env!("CARGO_PKG_VERSION").into(),
        rules_version: schedule.at(next).0,
        rules_known: known.0,
        pending_rules: schedule
            .pending(next)
            .map(|order| doc::PendingRules { version: order.version.0, activates_at: order.activates_at.0 }),
        rules_unknown: schedule.unknown_to(known).map(|unknown| unknown.to_string()),
    }))
}

async fn health(State(http): State<LedgerHttp>) -> impl IntoResponse {
    let health = http.health.document();
    let code = if health.healthy { axum::http::StatusCode::OK } else { axum::http::StatusCode::SERVICE_UNAVAILABLE };
    (code, Json(health))
}

pub(super) fn parse_coin(text: &str) -> Result<CoinId, Refusal> {
    CoinId::parse(text).map_err(|error| bad_request("not_a_coin_id", error.to_string()))
}

fn parse_envelope_id(text: &str) -> Result<EnvelopeId, Refusal> {
    EnvelopeId::from_hex(text).ok_or_else(|| bad_request("not_an_envelope_id", "an envelope id has 64 hex digits"))
}

fn not_held(detail: impl Into<String>) -> Refusal {
    Problem::new(404, "not_held", "This node does not keep it", detail).into()
}

/// What was let go while it was read is as absent as what was let go before.
fn held<T>(read: Result<Option<T>, LedgerError>) -> Result<Option<T>, Refusal> {
    match read {
        Err(LedgerError::NotHeld { .. }) => Ok(None),
        read => read.map_err(internal),
    }
}

/// Of an envelope: where early heights are not held, nobody here can tell whether one of them had it.
fn no_such_envelope(view: &LedgerView, what: &str) -> Refusal {
    match view.first_height() {
        Ok(first) if first > Height(1) => {
            not_held(format!("this node holds blocks from height {first} on, and finds no verdict on {what} in them"))
        }
        Ok(_) => not_found(format!("no committed block holds {what}")),
        Err(error) => internal(error),
    }
}

pub(super) fn no_checkpoint() -> Refusal {
    unavailable(
        "no_checkpoint",
        "no checkpoint has been signed yet, or none since the snapshot by which this node began; a quorum and the central bank's \
         validator must be up",
    )
}

pub(super) fn as_of(published: &Published) -> doc::AsOf {
    doc::AsOf {
        log_size: published.size,
        height: published.state_leaf.height.0,
        time_ms: published.state_leaf.time_ms,
        age_ms: crate::clock::now_ms().saturating_sub(published.signed_at_s * 1000),
        signers: published.signers,
    }
}

async fn coin(State(http): State<LedgerHttp>, InPath(text): InPath<String>) -> Answered<doc::CoinAnswer> {
    let coin = parse_coin(&text)?;
    let found = http.read(move |view| view.prove_coin(coin).map_err(internal)).await?;
    let (published, proof) = found.ok_or_else(no_checkpoint)?;
    let as_of = as_of(&published);
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
    Ok(Json(doc::CoinAnswer { coin: coin.to_string(), status: status.into(), record, as_of, proof }))
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
    let validators = &ledger.validators;
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
        power: validators.set.get(p.number).map_or(0, |validator| validator.power),
        consensus_key: p.keys.consensus.to_string(),
        bundle_key: p.keys.bundle.to_string(),
        cosign_key: p.keys.cosign.to_string(),
    });
    let power = |v: &Validator| doc::ValidatorPower { participant: v.number.0, power: v.power };
    let pending = validators.pending.as_ref().map(|pending| doc::PendingHandOver {
        number: pending.order.number,
        set_hash: pending.order.incoming.hash(http.view.chain()).to_string(),
        incoming: pending.order.incoming.iter().map(power).collect(),
        binds_at: pending.binds_at.map(|height| height.0),
    });
    Ok(Json(doc::Participants {
        participants: participants.collect(),
        quorum_power: validators.set.total_power() * 2 / 3 + 1,
        set_hash: ledger.set_hash.to_string(),
        hand_overs: validators.hand_overs,
        pending_hand_over: pending,
    }))
}

async fn supply(State(http): State<LedgerHttp>) -> Answered<doc::Supply> {
    let published = http.view.published().ok_or_else(no_checkpoint)?;
    let (leaf, as_of) = (published.state_leaf, as_of(&published));
    let proof = http.read(move |view| view.prove_state(&published).map_err(internal)).await?;
    Ok(Json(doc::Supply {
        currency: http.view.rules().genesis.currency.to_string(),
        exponent: http.view.rules().genesis.exponent,
        issued: leaf.issued.to_string(),
        redeemed: leaf.redeemed.to_string(),
        outstanding: leaf.issued.saturating_sub(leaf.redeemed).to_string(),
        as_of,
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

/// How often officers asked for what, and on which basis.
async fn disclosures(State(http): State<LedgerHttp>) -> Answered<doc::Disclosures> {
    let published = http.view.published().ok_or_else(no_checkpoint)?;
    let as_of = as_of(&published);
    let ledger = http.view.ledger();
    let count =
        |class: RequestClass| ledger.requests.iter().filter(|(kind, _)| kind.class == class).map(|(_, n)| n).sum();
    let by_basis = ledger.requests.iter().map(|(kind, count)| doc::DisclosureCount {
        class: kind.class.as_str().into(),
        basis: kind.basis.to_string(),
        count: *count,
    });
    let newest = http.read(move |view| view.requests(&published, REQUESTS_SHOWN).map_err(internal)).await?;
    Ok(Json(doc::Disclosures {
        disclose: count(RequestClass::Disclose),
        freeze: count(RequestClass::Freeze),
        unfreeze: count(RequestClass::Unfreeze),
        by_basis: by_basis.collect(),
        newest: newest.iter().map(|(index, request)| request_leaf(*index, request)).collect(),
        as_of,
    }))
}

fn request_leaf(index: u64, request: &OfficerRequest) -> doc::RequestLeaf {
    doc::RequestLeaf {
        index,
        class: request.class.as_str().into(),
        basis: request.basis.to_string(),
        epoch: request.epoch,
        commitment: request.commitment.to_string(),
    }
}

/// One request, with the proof that it stands in the log.
async fn disclosure(State(http): State<LedgerHttp>, InPath(index): InPath<u64>) -> Answered<doc::Disclosure> {
    let published = http.view.published().ok_or_else(no_checkpoint)?;
    let as_of = as_of(&published);
    let proof = http.read(move |view| view.prove_request(index, &published).map_err(internal)).await?;
    let proof = proof.ok_or_else(|| not_found("no request of the officers stands at this place of the log"))?;
    let request = request_leaf(index, &proof.request);
    Ok(Json(doc::Disclosure { request, as_of, proof: hex::encode(proof.to_bytes()) }))
}

async fn lane(State(http): State<LedgerHttp>, InPath(submitter): InPath<u16>) -> Answered<doc::Lane> {
    let slot = http.submit.next_slot(ParticipantNumber(submitter));
    Ok(Json(doc::Lane { submitter, incarnation: slot.incarnation, sequence: slot.sequence }))
}

/// `?limit=N&after=ID`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Page {
    limit: Option<usize>,
    after: Option<String>,
}

fn evidence_id(place: &EvidencePlace) -> String {
    format!("{}-{}", place.height.0, hex::encode(place.hash))
}

fn parse_evidence_id(text: &str) -> Option<EvidencePlace> {
    let (height, hash) = text.split_once('-')?;
    let mut place = EvidencePlace { height: Height(height.parse().ok()?), hash: [0; 32] };
    hex::decode_to_slice(hash, &mut place.hash).ok()?;
    Some(place)
}

async fn evidence(
    State(http): State<LedgerHttp>,
    page: Result<Query<Page>, QueryRejection>,
) -> Answered<Vec<doc::Evidence>> {
    let Query(page) = page.map_err(|rejection| bad_request("bad_query", rejection.body_text()))?;
    let limit = page.limit.unwrap_or(EVIDENCE_PER_PAGE_MAX);
    if !(1..=EVIDENCE_PER_PAGE_MAX).contains(&limit) {
        return Err(bad_request("bad_query", format!("limit is 1 to {EVIDENCE_PER_PAGE_MAX}")));
    }
    let not_an_id = || bad_request("bad_query", "after is the id of a piece of evidence");
    let after = page.after.map(|text| parse_evidence_id(&text).ok_or_else(not_an_id)).transpose()?;
    let evidence = http.read(move |view| view.evidence(after, limit).map_err(internal)).await?;
    let documents = evidence.into_iter().map(|(place, evidence)| doc::Evidence {
        id: evidence_id(&place),
        validator: evidence.validator.0,
        height: evidence.height.0,
        what: evidence.what.as_str().into(),
        first: hex::encode(&*evidence.first),
        second: hex::encode(&*evidence.second),
    });
    Ok(Json(documents.collect()))
}

async fn envelope_status(
    State(http): State<LedgerHttp>,
    InPath(text): InPath<String>,
) -> Answered<doc::EnvelopeStatus> {
    let id = parse_envelope_id(&text)?;
    let lost = http.submit.is_lost(&id);
    match verdict(&http, id, |_, _| Ok(true)).await {
        Err(_) if lost => Err(not_found("the bundle that held it lost its slot to another: sign it for the next slot")),
        answer => answer,
    }
}

/// The verdict on a confirmation batch, by its item's id: batches are public, envelopes are not.
async fn batch_status(State(http): State<LedgerHttp>, InPath(text): InPath<String>) -> Answered<doc::EnvelopeStatus> {
    let id = parse_envelope_id(&text)?;
    let is_batch = |view: &LedgerView, id: &EnvelopeId| {
        let Some(ordered) = view.ordered(id).map_err(internal)? else { return Ok(false) };
        Ok(view.submitter_of(&ordered).map_err(internal)? == Some(ParticipantNumber::REGISTRATION))
    };
    verdict(&http, id, is_batch).await
}

async fn verdict(
    http: &LedgerHttp,
    id: EnvelopeId,
    is_shown: impl FnOnce(&LedgerView, &EnvelopeId) -> Result<bool, Refusal> + Send + 'static,
) -> Answered<doc::EnvelopeStatus> {
    let read = move |view: &LedgerView| match is_shown(view, &id)? {
        true => {
            let Some(acknowledgement) = held(view.acknowledgement(&id))? else { return Ok(None) };
            let told = tells_the_first_verdict(view, &id, acknowledgement.result.code);
            Ok(held(told)?.map(|()| acknowledgement))
        }
        false => Ok(None),
    };
    let acknowledgement = http.read(read).await?;
    let acknowledgement = acknowledgement.ok_or_else(|| no_such_envelope(&http.view, "this"))?;
    let code = acknowledgement.result.code;
    Ok(Json(doc::EnvelopeStatus {
        envelope_id: id.to_string(),
        verdict: if code == EnvelopeResult::ACCEPTED { "accepted" } else { "refused" }.into(),
        height: acknowledgement.header.height.0,
        rejection: rejection_code(code),
        acknowledgement: hex::encode(acknowledgement.to_bytes()),
    }))
}

/// None: an acceptance may have been let go before this refusal. An envelope that was accepted long ago is refused as expired when
/// somebody orders it again; of every other refusal the first verdict is still held, for no less is kept than an envelope may take
/// (`history`).
fn tells_the_first_verdict(view: &LedgerView, id: &EnvelopeId, code: u16) -> Result<Option<()>, LedgerError> {
    let first = view.first_height()?;
    if code != Rejection::Expired.number() || first <= Height(1) {
        return Ok(Some(()));
    }
    let (Some((_, envelope)), Some((held, _))) = (view.envelope(id)?, view.decided(first)?) else {
        return Ok(Some(()));
    };
    let acceptable_from_ms = envelope.header.core.expiry_ms.saturating_sub(view.rules().genesis.expiry_window_ms);
    Ok((acceptable_from_ms >= held.block.header.time_ms).then_some(()))
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

async fn envelope_content(
    State(http): State<LedgerHttp>,
    InPath(text): InPath<String>,
) -> Answered<doc::EnvelopeContent> {
    let id = parse_envelope_id(&text)?;
    let opener = http.opener.clone();
    let document = http.read(move |view| {
        let found = held(view.envelope(&id))?;
        let absent = || no_such_envelope(view, "this envelope");
        let (height, envelope) = found.ok_or_else(absent)?;
        let opened = opener.as_ref().and_then(|opener| opener(&id, &envelope));
        Ok(content(view, &id, height, &envelope, opened))
    });
    Ok(Json(document.await?))
}

fn content(
    view: &LedgerView,
    id: &EnvelopeId,
    height: Height,
    envelope: &Envelope,
    opened: Option<serde_json::Value>,
) -> doc::EnvelopeContent {
    let core = &envelope.header.core;
    let outputs = view.output_coins(envelope).into_iter().zip(&core.outputs).map(|(coin, output)| {
        let (note, custody) = (output.note.to_string(), output.custody.to_string());
        doc::EnvelopeOutput { coin: coin.to_string(), note, custody }
    });
    doc::EnvelopeContent {
        envelope_id: id.to_string(),
        height: height.0,
        submitter: envelope.submitter().0,
        kind: format!("{:?}", envelope.kind()).to_lowercase(),
        inputs: core.input_ids(view.chain()).iter().map(CoinId::to_string).collect(),
        outputs: outputs.collect(),
        expiry_ms: core.expiry_ms,
        ciphertext: hex::encode(&envelope.ciphertext),
        opened,
        envelope: hex::encode(envelope.to_bytes()),
    }
}

async fn block(State(http): State<LedgerHttp>, InPath(height): InPath<u64>) -> Answered<doc::Block> {
    let read = move |view: &LedgerView| match view.decided(Height(height)) {
        Err(error @ LedgerError::NotHeld { .. }) => Err(not_held(error.to_string())),
        decided => decided.map_err(internal),
    };
    let found = http.read(read).await?;
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
