//! What the API answers. Fields that the node's interface has too (`node-api`) have its names and meanings, so that
//! whoever reads a node reads the site; a test decodes one as the other.

use crate::ledger::tail::{KnownState, Tail};
use crate::ledger::{CoinFound, Tip, View};
use ledger_types::confirmation::RecordStatus;
use ledger_types::request::RequestClass;
use ledger_verify::{Answer, STALE_AFTER_MS, Trust, VerifiedState};
use serde::Serialize;
use utoipa::ToSchema;

/// As of what an answer is true, how old that is, and who signed it.
#[derive(Serialize, ToSchema)]
pub struct AsOf {
    pub log_size: u64,
    pub height: u64,
    pub batch: u64,
    /// Of the block.
    pub time_ms: u64,
    /// When a quorum had signed: the quorum-th newest time.
    pub signed_at_ms: u64,
    pub age_ms: u64,
    /// Older than two minutes: true as of then, and not shown to be true now.
    pub stale: bool,
    pub signers: u32,
    pub validators: u32,
}

impl AsOf {
    pub fn new(state: &VerifiedState, validators: usize, now_ms: u64) -> Self {
        let signed_at_ms = state.signed_at_ms();
        AsOf {
            log_size: state.head().size,
            height: state.height().0,
            batch: state.batch().0,
            time_ms: state.time_ms(),
            signed_at_ms,
            age_ms: now_ms.saturating_sub(signed_at_ms),
            stale: now_ms.abs_diff(signed_at_ms) > STALE_AFTER_MS,
            signers: count(state.signers().len()),
            validators: count(validators),
        }
    }
}

pub fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

#[derive(Serialize, ToSchema)]
pub struct CoinAnswer {
    /// `coin1…`
    pub coin: String,
    /// `live`, `spent`, `frozen`, `disputed`, or `not_registered` as of the checkpoint.
    #[schema(example = "live")]
    pub status: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record: Option<Record>,
    pub as_of: AsOf,
    /// Hex of the canonical coin proof (PROTOCOL 10.2); verify it from a pinned genesis.
    pub proof: String,
}

#[derive(Serialize, ToSchema)]
pub struct Record {
    pub batch: u64,
    pub height: u64,
    pub time_ms: u64,
    pub contract: u32,
    /// The number of the failed check (PROTOCOL 7) when disputed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed_check: Option<u16>,
    /// The desensitised owner; zero when spent.
    pub owner_tag: String,
    /// Coins that the same batch confirmed: it is linked with chance 1/m. None beyond the history kept here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch_records: Option<u32>,
}

pub fn status_code(answer: &Answer) -> &'static str {
    match answer {
        Answer::Absent => "not_registered",
        Answer::Present(record) => match record.status {
            RecordStatus::Live => "live",
            RecordStatus::Spent => "spent",
            RecordStatus::Frozen => "frozen",
            RecordStatus::Disputed => "disputed",
        },
    }
}

impl CoinAnswer {
    pub fn new(found: &CoinFound, view: &View, validators: usize, now_ms: u64) -> Self {
        let answer = found.coin.answer();
        let record = match &answer {
            Answer::Absent => None,
            Answer::Present(record) => Some(Record {
                batch: record.batch.0,
                height: record.height.0,
                time_ms: record.time_ms,
                contract: record.contract.0,
                failed_check: (record.failed_check != 0).then_some(record.failed_check),
                owner_tag: record.tag.to_string(),
                batch_records: view.tail.records_of(record.batch),
            }),
        };
        CoinAnswer {
            coin: found.coin.coin().to_string(),
            status: status_code(&answer).into(),
            record,
            as_of: AsOf::new(found.coin.state(), validators, now_ms),
            proof: found.proof.clone(),
        }
    }
}

/// A saved proof: `assay coin verify FILE --genesis GENESIS` checks it offline, for ever.
#[derive(Serialize, ToSchema)]
pub struct ProofFile {
    pub schema_version: u32,
    pub coin: String,
    /// Hex of the canonical coin proof.
    pub proof: String,
    /// Hex of the hand-overs from the genesis's validators to those of now (PROTOCOL 10.6), oldest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hand_overs: Vec<String>,
}

#[derive(Serialize, ToSchema)]
pub struct Supply {
    #[schema(example = "XAS")]
    pub currency: String,
    /// Decimal places of the minor unit.
    pub exponent: u8,
    /// Decimal strings of minor units: totals are 128 bits wide.
    pub issued: String,
    pub redeemed: String,
    pub outstanding: String,
    pub as_of: AsOf,
    /// Hex of the canonical state proof (PROTOCOL 10.1).
    pub proof: String,
}

impl Supply {
    pub fn new(tip: &Tip, trust: &Trust, now_ms: u64) -> Self {
        let genesis = trust.genesis();
        Supply {
            currency: genesis.currency.to_string(),
            exponent: genesis.exponent,
            issued: tip.supply.issued().to_string(),
            redeemed: tip.supply.redeemed().to_string(),
            outstanding: tip.supply.in_circulation().to_string(),
            as_of: AsOf::new(tip.state(), trust.validators().len(), now_ms),
            proof: tip.proof.clone(),
        }
    }
}

/// The officers' requests in the public log, counted here from its leaves, which lead to a signed root. Which coins they
/// are about nobody can see.
#[derive(Serialize, ToSchema)]
pub struct Disclosures {
    /// Requests to open what a coin is worth and whose it is.
    pub disclose: u64,
    pub freeze: u64,
    pub unfreeze: u64,
    pub by_basis: Vec<DisclosureCount>,
    /// Newest first, at most 100.
    pub newest: Vec<RequestLeaf>,
    /// The first leaf that was read: with 0 these are all requests there are, else those since.
    pub first_leaf: u64,
    /// Of the log that was read; smaller than `as_of`'s while leaves are being read.
    pub log_size: u64,
    pub as_of: AsOf,
}

#[derive(Serialize, ToSchema)]
pub struct DisclosureCount {
    /// `disclose`, `freeze` or `unfreeze`.
    pub class: String,
    /// The legal basis.
    #[schema(example = "COURT-9")]
    pub basis: String,
    pub count: u64,
}

#[derive(Serialize, ToSchema)]
pub struct RequestLeaf {
    /// Its place in the log.
    pub index: u64,
    pub class: String,
    pub basis: String,
    /// Days since 1970.
    pub epoch: u64,
    /// Hex: says nothing of its coin to who does not know the blind.
    pub commitment: String,
}

impl Disclosures {
    pub fn new(tail: &Tail, as_of: AsOf) -> Self {
        let requests = tail.events();
        let by_basis = requests.counts().iter().map(|(kind, count)| DisclosureCount {
            class: kind.class.as_str().into(),
            basis: kind.basis.to_string(),
            count: *count,
        });
        let newest = requests.newest().map(|(index, request)| RequestLeaf {
            index: *index,
            class: request.class.as_str().into(),
            basis: request.basis.to_string(),
            epoch: request.epoch,
            commitment: request.commitment.to_string(),
        });
        Disclosures {
            disclose: requests.count(RequestClass::Disclose),
            freeze: requests.count(RequestClass::Freeze),
            unfreeze: requests.count(RequestClass::Unfreeze),
            by_basis: by_basis.collect(),
            newest: newest.collect(),
            first_leaf: requests.first_leaf(),
            log_size: tail.size(),
            as_of,
        }
    }
}

#[derive(Serialize, ToSchema)]
pub struct Checkpoint {
    pub origin: String,
    pub size: u64,
    /// Hex of the RFC 6962 root.
    pub root: String,
    pub signers: u32,
    /// The C2SP signed note, byte for byte.
    pub note: String,
}

/// A confirmed state in the log. All of it was computed here from the log's leaves, which lead to a signed root.
#[derive(Serialize, ToSchema)]
pub struct State {
    /// Of the log that ends with this state.
    pub log_size: u64,
    /// Hex of that log's root.
    pub log_root: String,
    pub batch: u64,
    pub height: u64,
    pub time_ms: u64,
    pub map_root: String,
    pub issued: String,
    pub redeemed: String,
    /// Records that its block confirmed. None for the oldest in the history kept here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub records: Option<u64>,
    /// From the block's time to the first checkpoint over it that this site verified, if it was watching.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confirmed_after_ms: Option<u64>,
}

impl State {
    pub fn new(state: &KnownState) -> Self {
        State {
            log_size: state.size,
            log_root: state.root.to_string(),
            batch: state.leaf.batch.0,
            height: state.leaf.height.0,
            time_ms: state.leaf.time_ms,
            map_root: state.leaf.map_root.to_string(),
            issued: state.leaf.issued.to_string(),
            redeemed: state.leaf.redeemed.to_string(),
            records: state.records(),
            confirmed_after_ms: state.lag_ms(),
        }
    }
}

#[derive(Serialize, ToSchema)]
pub struct Participants {
    pub participants: Vec<Participant>,
    /// The least power that signs for all: more than two thirds.
    pub quorum_power: u64,
}

/// From the pinned genesis; who validates now, from the verified hand-overs since.
#[derive(Serialize, ToSchema)]
pub struct Participant {
    pub number: u16,
    pub name: String,
    pub roles: Vec<String>,
    pub power: u64,
    /// Hex of Ed25519 keys.
    pub consensus_key: String,
    pub bundle_key: String,
    pub cosign_key: String,
    /// Its cosignature on the newest checkpoint, in seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cosigned_at_s: Option<u64>,
}

#[derive(Serialize, ToSchema)]
pub struct Status {
    pub schema_version: u32,
    /// Always `site`.
    pub role: String,
    pub genesis_hash: String,
    /// None until a first state was verified.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub as_of: Option<AsOf>,
    /// Two signed logs that contradict each other. Once seen, it stays.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub split_view: Option<SplitView>,
    pub observers: Vec<Observer>,
    pub version: String,
}

#[derive(Serialize, ToSchema)]
pub struct SplitView {
    pub accepted_size: u64,
    pub accepted_root: String,
    pub shown_size: u64,
    pub shown_root: String,
    pub seen_at_ms: u64,
}

#[derive(Serialize, ToSchema)]
pub struct Observer {
    /// As the observer says.
    pub name: String,
    pub height: u64,
    /// `answers`, `silent`, `lies`, `is_validator`, `other_chain` or `unknown`.
    pub standing: String,
    /// The reason's code when it lies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verified_at_ms: Option<u64>,
}

/// What a text is that a reader typed. Exact hits alone; a near miss says why it is none.
#[derive(Serialize, ToSchema)]
pub struct SearchAnswer {
    /// `hit`, `miss` or `nothing`.
    pub outcome: String,
    /// Paths on this site, of every thing that is exactly this.
    pub locations: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The character that is at fault, counted from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<u64>,
}

/// RFC 9457, `application/problem+json`.
#[derive(Serialize, ToSchema)]
pub struct Problem {
    pub status: u16,
    /// Stable, for programs.
    #[schema(example = "not_a_coin_id")]
    pub code: String,
    pub title: String,
    pub detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// As in the header `Retry-After`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after_s: Option<u32>,
}

/// RFC 6962 consistency proof between two log sizes; the reader verifies it.
#[derive(Serialize, ToSchema)]
pub struct Consistency {
    pub from: u64,
    pub to: u64,
    /// Hex hashes.
    pub path: Vec<String>,
}

/// How long a prefix to ask for.
#[derive(Serialize, ToSchema)]
pub struct BucketAdvice {
    pub bits: u8,
    /// k: among so many entries an asked coin is hidden on average.
    pub expected_entries: u32,
    pub log_size: u64,
}

/// Every entry of the map below a prefix.
#[derive(Serialize, ToSchema)]
pub struct Bucket {
    pub bits: u8,
    pub prefix: String,
    pub entries: u32,
    pub as_of: serde_json::Value,
    /// Hex of the canonical bucket proof; it holds the entries.
    pub proof: String,
}

#[derive(Serialize, ToSchema)]
pub struct HandOvers {
    /// Hex of canonical hand-over documents (PROTOCOL 10.6), oldest first.
    pub hand_overs: Vec<String>,
}

/// An event `state` of `/v1/events`.
#[derive(Serialize, ToSchema)]
pub struct StateEvent {
    pub log_size: u64,
    pub height: u64,
    pub batch: u64,
    pub time_ms: u64,
    pub map_root: String,
}
