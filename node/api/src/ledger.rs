//! What any node answers about the ledger.

use serde::{Deserialize, Serialize};

/// A peer whose piece of a snapshot was not what a quorum stands for.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct Liar {
    pub participant: u16,
    pub lie: String,
}

/// `GET /v1/status`
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct Status {
    pub schema_version: u32,
    pub participant: u16,
    pub name: String,
    /// `central_bank`, `commercial_bank` or `observer`.
    pub role: String,
    pub genesis_hash: String,
    pub height: u64,
    pub block_hash: String,
    pub block_time_ms: u64,
    /// How long ago this node last committed a height.
    pub since_commit_ms: u64,
    /// Whether this node votes now (B-9); a validator that may have to repeat what it signed does not.
    pub votes: bool,
    /// `votes`, `never` (no validator), `asking`, `not_through` or `guard_missing`.
    #[serde(default)]
    pub vote: String,
    /// Why it does not vote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vote_reason: Option<String>,
    /// Of consensus: `starting`, `deciding`, `committing` or `idle`.
    #[serde(default)]
    pub stage: String,
    /// The height in progress, and its round.
    #[serde(default)]
    pub deciding_height: u64,
    #[serde(default)]
    pub round: u32,
    /// Since the start: rounds without a decision, and heights that a peer sent decided.
    #[serde(default)]
    pub lost_rounds: u64,
    #[serde(default)]
    pub heights_synced: u64,
    /// How long work has been waiting without a height.
    #[serde(default)]
    pub waiting_ms: u64,
    /// Envelopes that wait for a bundle of the own lane.
    #[serde(default)]
    pub queued_bytes: u64,
    /// Own or submitted bundles, and certified ones, that no block holds yet.
    #[serde(default)]
    pub unordered_bundles: u64,
    #[serde(default)]
    pub certified_bundles: u64,
    pub peers_connected: Vec<u16>,
    /// Other validators that are not connected.
    #[serde(default)]
    pub validators_missing: Vec<u16>,
    pub batch: u64,
    pub log_size: u64,
    /// Blocks and envelopes are held from this height on: later than 1 on a node that joined by a snapshot, or keeps so many days only.
    #[serde(default)]
    pub first_height: u64,
    /// The height of the snapshot by which this process's node joined (B-7).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub joined_at: Option<u64>,
    /// Who sent it state that nobody had committed to, when it joined.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lying_peers: Vec<Liar>,
    pub version: String,
    /// Of the ledger's rules (B-13): which governs the next height, and up to which this program knows them.
    #[serde(default)]
    pub rules_version: u8,
    #[serde(default)]
    pub rules_known: u8,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending_rules: Option<PendingRules>,
    /// Before which height this node will stop, and what to do: this program does not know the rules from there on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rules_unknown: Option<String>,
}

/// Officers ordered it, and it does not govern yet.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct PendingRules {
    pub version: u8,
    /// Its first height.
    pub activates_at: u64,
}

/// `GET /health`: 200 while the node makes progress or has nothing to do, 503 otherwise. A live process alone is no health.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct Health {
    pub healthy: bool,
    pub height: u64,
    pub since_commit_ms: u64,
    /// How long work has been waiting without a height.
    #[serde(default)]
    pub waiting_ms: u64,
    /// As in [`Status`].
    #[serde(default)]
    pub vote: String,
    /// Other validators that are not connected.
    #[serde(default)]
    pub missing: Vec<u16>,
    /// Why it is not healthy, and what is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// `POST /v1/envelopes` (the bank's own token): envelopes for the bank's lane.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct SubmitEnvelopes {
    /// Hex of canonical envelopes.
    pub envelopes: Vec<String>,
}

/// Queued is not acknowledged: see [`EnvelopeStatus::acknowledgement`].
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct Submitted {
    pub envelope_ids: Vec<String>,
}

/// `GET /v1/lanes/{submitter}`: the slot that the submitter's next bundle must take.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct Lane {
    pub submitter: u16,
    pub incarnation: u32,
    pub sequence: u64,
}

/// `GET /v1/envelopes/{id}` (participants only), and `GET /v1/batches/{id}` (public) for a confirmation batch by its item's id.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct EnvelopeStatus {
    pub envelope_id: String,
    /// `accepted` or `refused`; an envelope that no block holds is 404.
    pub verdict: String,
    pub height: u64,
    /// The rejection's number and code when refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rejection: Option<RejectionCode>,
    /// Hex of the canonical `Acknowledgement`: a commit certificate and the path to the verdict (B-2). Verify it.
    pub acknowledgement: String,
}

#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct RejectionCode {
    pub number: u16,
    pub code: String,
    pub message: String,
    /// Whether the same envelope can never be accepted any more.
    #[serde(rename = "final")]
    pub is_final: bool,
}

/// `GET /v1/disclosures`: how often officers asked to open, freeze or let go a coin, and on which basis. Which coins is
/// nobody's to see. Counts are as of the newest height; a request is in the log from the next batch on.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct Disclosures {
    pub disclose: u64,
    pub freeze: u64,
    pub unfreeze: u64,
    pub by_basis: Vec<DisclosureCount>,
    /// Of those in the log, newest first, at most 100.
    pub newest: Vec<RequestLeaf>,
    pub as_of: AsOf,
}

#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct DisclosureCount {
    /// `disclose`, `freeze` or `unfreeze`.
    pub class: String,
    pub basis: String,
    pub count: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct RequestLeaf {
    /// In the public log.
    pub index: u64,
    pub class: String,
    pub basis: String,
    /// Days since 1970.
    pub epoch: u64,
    /// Hex: says nothing of its coin to who does not know the blind.
    pub commitment: String,
}

/// `GET /v1/disclosures/{index}`
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct Disclosure {
    pub request: RequestLeaf,
    pub as_of: AsOf,
    /// Hex of the canonical `RequestProof` (PROTOCOL 10.8).
    pub proof: String,
}

/// `GET /v1/envelopes/{id}/content` (participants only): the envelope as every validator stores it.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct EnvelopeContent {
    pub envelope_id: String,
    pub height: u64,
    pub submitter: u16,
    pub kind: String,
    /// Bech32m coin ids.
    pub inputs: Vec<String>,
    pub outputs: Vec<EnvelopeOutput>,
    pub expiry_ms: u64,
    /// Hex of the whole canonical envelope.
    pub envelope: String,
    /// Hex of the ciphertext.
    pub ciphertext: String,
    /// What this node's bank can read in it, if it is a party.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opened: Option<serde_json::Value>,
}

#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct EnvelopeOutput {
    pub coin: String,
    pub note: String,
    pub custody: String,
}

/// `GET /v1/coins/{coin}`
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct CoinAnswer {
    pub coin: String,
    /// `live`, `spent`, `frozen`, `disputed`, or `not_registered` as of the checkpoint.
    pub status: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<Record>,
    /// The checkpoint that the answer is as of.
    pub as_of: AsOf,
    /// Hex of the canonical `CoinProof`; verify it from a pinned genesis.
    pub proof: String,
}

#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct Record {
    pub batch: u64,
    pub height: u64,
    pub time_ms: u64,
    pub contract: u32,
    /// Number and code of the failed check when disputed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed_check: Option<u16>,
    /// The desensitised owner.
    pub owner_tag: String,
}

#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct AsOf {
    pub log_size: u64,
    pub height: u64,
    pub time_ms: u64,
    /// Age of the quorum-th newest cosignature.
    pub age_ms: u64,
    pub signers: u32,
}

/// `GET /v1/checkpoint`: the signed note stands in `note` byte for byte; `GET /v1/checkpoint.txt` serves it bare.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct Checkpoint {
    pub origin: String,
    pub size: u64,
    /// Hex of the RFC 6962 root.
    pub root: String,
    pub signers: u32,
    pub note: String,
}

/// `GET /v1/participants`
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct Participants {
    pub participants: Vec<Participant>,
    pub quorum_power: u64,
    /// Of the validators that decide the next height; hex.
    #[serde(default)]
    pub set_hash: String,
    /// Hand-overs of the validator set that have bound (G-3).
    #[serde(default)]
    pub hand_overs: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending_hand_over: Option<PendingHandOver>,
}

/// Officers have ordered it; until it binds the set of before decides.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct PendingHandOver {
    pub number: u32,
    /// Of the incoming set; hex.
    pub set_hash: String,
    pub incoming: Vec<ValidatorPower>,
    /// The first height that the incoming set decides; none before a batch has logged the order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binds_at: Option<u64>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq)]
pub struct ValidatorPower {
    pub participant: u16,
    pub power: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct Participant {
    pub number: u16,
    pub name: String,
    pub roles: Vec<String>,
    /// In the set that decides the next height.
    pub power: u64,
    pub consensus_key: String,
    pub bundle_key: String,
    #[serde(default)]
    pub cosign_key: String,
}

/// `GET /v1/supply`: by the state leaf of the latest checkpoint, proved by it.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct Supply {
    pub currency: String,
    pub exponent: u8,
    /// Decimal strings: totals are 128 bits wide.
    pub issued: String,
    pub redeemed: String,
    pub outstanding: String,
    pub as_of: AsOf,
    /// Hex of the canonical `StateProof`; verify it from a pinned genesis.
    pub proof: String,
}

/// `GET /v1/registry`: where the confirmation batches stand on the ledger.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct Registry {
    /// Number of the last accepted batch.
    pub batch: u64,
    pub batch_hash: String,
    pub height: u64,
    pub overdue: Vec<Overdue>,
}

#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct Overdue {
    pub envelope_id: String,
    pub submitter: u16,
}

/// `GET /v1/blocks/{height}` (participants only)
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct Block {
    pub height: u64,
    pub hash: String,
    pub parent: String,
    pub time_ms: u64,
    pub state_root: String,
    pub map_root: String,
    pub log_size: u64,
    pub log_root: String,
    pub round: u32,
    pub signers: Vec<u16>,
    pub bundles: Vec<BlockBundle>,
    pub accepted: u32,
    pub refused: u32,
}

#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct BlockBundle {
    pub digest: String,
    pub submitter: u16,
    pub incarnation: u32,
    pub sequence: u64,
    pub envelopes: u16,
    pub bytes: u32,
}

/// `GET /v1/evidence?limit=N&after=ID`: validators that signed two different things for one place, at most 100 pieces a page,
/// by height. Of each validator the first 16 pieces in 1,000 heights are kept.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct Evidence {
    /// The next page begins behind it.
    #[serde(default)]
    pub id: String,
    pub validator: u16,
    pub height: u64,
    pub what: String,
    pub first: String,
    pub second: String,
}

/// A copy of the node's state lies in its folder, for `assay-node backup`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateCopied {
    pub height: u64,
}
