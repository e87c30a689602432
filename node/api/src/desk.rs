//! What a bank's desk answers to its own people. All of it takes the bank's local token (`Authorization: Bearer …`).

use serde::{Deserialize, Serialize};

/// `POST /v1/wallets`. The vault is the wallet `vault`, which every bank has from the start.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct NewWallet {
    /// 1 to 32 letters, digits, `-` or `_`; unique at its bank.
    pub name: String,
}

/// `GET /v1/wallets`, `GET /v1/wallets/{name}`
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct Wallet {
    pub name: String,
    /// `name@bank2`: where to pay to.
    pub address: String,
    /// Minor units that can be spent now.
    pub live: u64,
    /// Received or changed, and not yet confirmed.
    pub unconfirmed: u64,
    /// Reserved by payments under way.
    pub reserved: u64,
    pub frozen_or_disputed: u64,
    pub coins: u32,
}

/// `GET /v1/wallets/{name}/coins`
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct WalletCoin {
    pub coin: String,
    pub amount: u64,
    /// `unconfirmed`, `live`, `reserved`, `spent`, `frozen` or `disputed`.
    pub status: String,
    pub owner: String,
    /// Hex of the canonical opening: whoever holds it can check amount and owner.
    pub opening: String,
    pub origin: String,
    pub output_index: u8,
}

/// `GET /v1/openings/{coin}`: what the holder of a coin in the bank's custody may show to whom they choose; the bank's number
/// is part of the coin's id. Whoever has it knows amount and owner and can follow that coin to its end; it is not the right
/// to spend.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct CoinOpening {
    pub coin: String,
    /// Hex of the canonical opening.
    pub opening: String,
    pub origin: String,
    pub output_index: u8,
    pub bank: u16,
}

/// `POST /v1/ownership`: the wallet's answer to a challenge, for a coin in the bank's custody (C-6).
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct NewOwnershipProof {
    pub coin: String,
    /// Hex of the canonical challenge, as whoever asks has made it.
    pub challenge: String,
}

#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct OwnershipProof {
    pub coin: String,
    /// Hex of the canonical ownership proof. It holds the key and the tag's blind of this coin, and of no other.
    pub ownership: String,
}

/// `POST /v1/payments`
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct NewPayment {
    pub from: String,
    /// `name@bankN`.
    pub to: String,
    pub amount: u64,
    #[serde(default)]
    pub memo: String,
    /// The caller's own unique key: the same key again gives the same payment, never a second one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
}

/// `GET /v1/payments/{id}`. `?wait=STATE&timeout_ms=N` answers when that state is reached or the time is up.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct Payment {
    pub id: String,
    pub from: String,
    pub to: String,
    pub amount: u64,
    /// `pending` (durable at the bank, not yet ordered), `ordered` (accepted on the ledger), `settled` (the payee's bank has
    /// checked it and says success), `confirmed` (registered by the central bank), `disputed`, or `refused`.
    pub state: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<crate::ledger::RejectionCode>,
    /// Why it is refused or waiting, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub envelope_id: Option<String>,
    /// The coin that the payee received.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coin: Option<String>,
    pub trace: Vec<TraceStep>,
}

#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct TraceStep {
    /// `order_signed`, `accepted_by_payee_bank`, `sealed`, `submitted`, `ordered`, `opened`, `payee_bank_success`,
    /// `key_released`, `confirmed`.
    pub step: String,
    /// Unix time in microseconds.
    pub at_us: u64,
    pub note: String,
}

/// `POST /v1/issues` (central bank)
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct NewIssue {
    /// Participant number of the receiving bank.
    pub bank: u16,
    pub series: u32,
    pub amount: u64,
    /// Into how many coins, 1 to 8.
    #[serde(default = "one")]
    pub coins: u8,
    /// Money that is lent when this contract permits it (K-4); 0 for plain money.
    #[serde(default)]
    pub contract: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
}

fn one() -> u8 {
    1
}

/// `POST /v1/redemptions` (central bank): takes coins out of its own vault, where a bank has paid them before.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct NewRedemption {
    pub amount: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
}

/// `POST /v1/recoveries` (central bank, with officers' keys at hand): gives coins that are disputed or frozen, or those of a
/// failed bank, to a wallet.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct NewRecovery {
    pub coins: Vec<String>,
    /// `dispute`, `failed_bank` or `court_order`.
    pub reason: String,
    pub to: String,
    /// Minor units; without it, all that the coins say that they are worth. A coin of a payment that minted says too much, and
    /// one that nobody could open says nothing: then it is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
}

/// Answer to issues, redemptions and recoveries; `GET /v1/operations/{id}` follows it.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct Operation {
    pub id: String,
    /// `issue`, `redeem` or `recover`.
    pub kind: String,
    pub amount: u64,
    /// As a payment's: `pending`, `ordered`, `confirmed`, `disputed` or `refused`.
    pub state: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<crate::ledger::RejectionCode>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub envelope_id: Option<String>,
    pub coins: Vec<String>,
}
