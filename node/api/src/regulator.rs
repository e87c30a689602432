//! Files between the officers, the central bank's operator and registration (R-4, R-5). None goes over a network by itself.
//!
//! ```text
//! request ──▶ RequestFile ──(registration's folder)──▶ FromRegistration ──▶ SealedFile ──▶ an officer each: AnswerFile ──▶ OpeningFile
//! ```

use serde::{Deserialize, Serialize};

/// Beside the genesis: `ledger_seal::DisclosureKeyDocument`.
pub const DISCLOSURE_KEY_FILE: &str = "disclosure-key.bin";

/// A request that stands in the log, and what its commitment opens to. Names the coin: for who acts on it alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestFile {
    pub schema_version: u32,
    pub genesis_hash: String,
    /// `disclose`, `freeze` or `unfreeze`.
    pub class: String,
    pub basis: String,
    pub epoch: u64,
    pub coin: String,
    /// Hex of r.
    pub blind: String,
    /// Of the leaf, in the public log.
    pub index: u64,
    /// Hex of the canonical `RequestProof` (PROTOCOL 10.8).
    pub proof: String,
    /// Hex of the hand-overs from the genesis's validators to those that the proof names (PROTOCOL 10.6), oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hand_overs: Vec<String>,
}

/// What an officer needs beside the request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SealedFile {
    pub schema_version: u32,
    pub request: RequestFile,
    /// Hex of the envelope that made the coin.
    pub envelope: String,
    /// Hex of its root, sealed to the officers (PROTOCOL 9.6).
    pub sealed_root: String,
}

/// One officer's part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnswerFile {
    pub schema_version: u32,
    pub coin: String,
    /// Of the request's leaf.
    pub index: u64,
    /// From 1, as the genesis lists them.
    pub officer: u8,
    /// Hex of the answer (PROTOCOL 9.6).
    pub answer: String,
}

/// What was disclosed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OpeningFile {
    pub schema_version: u32,
    pub coin: String,
    pub envelope_id: String,
    /// The envelope's submitter.
    pub payer_bank: u16,
    /// In whose custody the coin was made.
    pub payee_bank: u16,
    /// Minor units.
    pub amount: u64,
    pub currency: String,
    pub owner_key: String,
    /// Hex of the 111 bytes (PROTOCOL 5), of the origin, and the output's index: they hash to the coin.
    pub opening: String,
    pub origin: String,
    pub output_index: u8,
}

/// `state/regulator/in/NAME.json` of registration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ToRegistration {
    Request(RequestFile),
    /// For the worth of a dispute.
    Opening(OpeningFile),
}

/// `state/regulator/out/NAME.json`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum FromRegistration {
    Sealed {
        envelope_id: String,
        sealed_root: String,
    },
    /// With the next batch.
    Done {
        status: String,
    },
    Refused {
        reason: String,
    },
}
