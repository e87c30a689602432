//! Contracts, feeds and contingent money: what everybody reads, and what a bank's own people order with its token.
//!
//! Rates are of a year in hundredths of a basis point: 4.30 % is 43000. A feed's value is an integer with the feed's scale.

use crate::ledger::AsOf;
use serde::{Deserialize, Serialize};

/// `GET /v1/contracts`: as of the node's tip.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct Contracts {
    pub height: u64,
    pub contracts: Vec<ContractSummary>,
}

#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct ContractSummary {
    pub contract: u32,
    /// Of the policy.
    pub name: String,
    /// The newest version.
    pub version: u32,
    /// `in_force`, `in_notice` (no version binds yet), `stopped` or `retired`.
    pub state: String,
    /// The version that issues and loans are judged by; none unless it is in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version_in_force: Option<u32>,
    /// The height at which it is retired, if that is ordered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retires_at: Option<u64>,
}

/// `GET /v1/contracts/{number}`
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct Contract {
    #[serde(flatten)]
    pub summary: ContractSummary,
    /// Oldest first.
    pub versions: Vec<ContractVersion>,
    /// As of which the proof is; none before the first checkpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub as_of: Option<AsOf>,
    /// Hex of the entry proof of the contract's head.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct ContractVersion {
    pub version: u32,
    /// Hex of the hash of its package.
    pub policy: String,
    /// Hex of the BLAKE3 hash of the back-test's report; none if there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<String>,
    pub deployed_at: u64,
    /// The first height that it governs.
    pub binds_at: u64,
    /// Canonical.
    pub source: String,
    pub explanation_en: String,
    pub explanation_zh: String,
    /// Hex of the package: source, explanations and program, as it was deployed.
    pub package: String,
}

/// `GET /v1/feeds`: as of the node's tip.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct Feeds {
    pub height: u64,
    pub feeds: Vec<FeedSummary>,
}

#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct FeedSummary {
    pub feed: u32,
    pub name: String,
    /// `percent`, `index`, or the three letters of a currency.
    pub unit: String,
    /// Decimal places of a value.
    pub scale: u8,
    /// `daily`, `monthly`, `quarterly` or `yearly`.
    pub frequency: String,
    /// Hex of their keys, in the order in which publications name them.
    pub publishers: Vec<String>,
    /// So many publishers make an item.
    pub threshold: u8,
    /// How far a value may lie from the one before it.
    pub step_max: u64,
    /// The newest period that has an item.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newest_period: Option<u32>,
}

/// `GET /v1/feeds/{name}`
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct Feed {
    #[serde(flatten)]
    pub summary: FeedSummary,
    /// All vintages, ascending by period and vintage.
    pub items: Vec<Item>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub as_of: Option<AsOf>,
    /// Hex of the entry proof of the feed's definition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct Item {
    /// A count in the feed's frequency.
    pub period: u32,
    /// The same as people write it: `2026Q1`.
    pub period_text: String,
    pub vintage: u32,
    pub value: i64,
    pub published_ms: u64,
    pub valid_until_ms: u64,
}

/// At most so many keys a question of `/v1/entries`.
pub const ENTRIES_MAX: usize = 256;

/// `GET /v1/entries?keys=HEX,HEX…`: entries of the map, or that there are none, all as of one checkpoint. A key is that of PROTOCOL
/// 10.9, and `state` followed by one of `entries` is the entry proof of that section.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct Entries {
    pub as_of: AsOf,
    /// Hex of the state proof.
    pub state: String,
    /// Hex, in the order of the keys.
    pub entries: Vec<String>,
}

/// `GET /v1/obligations?contract=N`: loans that are not returned. Whose they are is not public (K-6).
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct Obligation {
    pub obligation: String,
    pub contract: u32,
    pub version: u32,
    pub policy: String,
    pub activated_ms: u64,
    pub due_ms: u64,
}

/// `GET /v1/receipts?contract=N&before=SIZE&limit=N`: of returned loans, newest first, as the log of the newest checkpoint has them.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct Receipt {
    /// Where its leaf stands in the log.
    pub index: u64,
    pub obligation: String,
    pub contract: u32,
    pub version: u32,
    pub policy: String,
    pub rate: i64,
    pub from_ms: u64,
    pub to_ms: u64,
    pub fuel: u32,
    pub inputs: Vec<ReceiptInput>,
}

/// `GET /v1/receipts/{obligation}`
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct ProvedReceipt {
    #[serde(flatten)]
    pub receipt: Receipt,
    pub as_of: AsOf,
    /// Hex of the leaf proof.
    pub proof: String,
}

/// One look of the program at a feed.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct ReceiptInput {
    pub feed: u32,
    /// 0 is the newest period that the feed had.
    pub back: u16,
    /// None of them: there was no such period.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub period: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vintage: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<i64>,
}

/// `POST /v1/contracts` (central bank, with officers' keys at hand); answered by an operation.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct NewDeployment {
    /// Hex of the package.
    pub package: String,
    /// A contract that gets its next version; without it, a new contract.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contract: Option<u32>,
    /// In heights, from the one that orders it.
    pub notice: u32,
    /// Hex of the BLAKE3 hash of the back-test's report.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
}

/// `POST /v1/contracts/{number}/stop` (central bank)
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq)]
pub struct NewStop {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
}

/// `POST /v1/contracts/{number}/retire` (central bank)
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct NewRetirement {
    pub notice: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
}

/// `POST /v1/feeds` (central bank): registers a feed, or says who publishes one that stands.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct NewFeed {
    pub name: String,
    pub unit: String,
    pub scale: u8,
    pub frequency: String,
    /// Hex of their keys.
    pub publishers: Vec<String>,
    pub threshold: u8,
    pub step_max: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
}

/// `POST /v1/feeds/{name}/items` (any bank): its publishers' signatures are the authorization.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct NewItem {
    pub period: u32,
    pub vintage: u32,
    pub published_ms: u64,
    pub valid_until_ms: u64,
    /// Ascending by publisher.
    pub values: Vec<SignedValue>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct SignedValue {
    /// Place in the feed's publishers.
    pub publisher: u8,
    pub value: i64,
    /// Hex.
    pub signature: String,
}

/// `GET /v1/inert`: money in the vault that waits to be lent.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct InertMoney {
    pub contract: u32,
    /// The version that it was issued under.
    pub version: u32,
    /// Minor units that can be lent now, if the policy permits it.
    pub live: u64,
    pub unconfirmed: u64,
    pub reserved: u64,
    pub frozen_or_disputed: u64,
    pub coins: Vec<String>,
}

/// `POST /v1/loans`; answered by a payment, which is refused if the policy denies the loan.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct NewLoan {
    pub contract: u32,
    /// The borrower, `name@bankN`.
    pub to: String,
    pub amount: u64,
    /// ISIC Rev. 4: a section's letter, or with its division in two digits: `C10`.
    pub sector: String,
    pub rate: i64,
    pub term_days: u16,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
}

/// `GET /v1/loans`
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct Loan {
    pub obligation: String,
    pub contract: u32,
    pub borrower: String,
    pub amount: u64,
    pub sector: String,
    pub rate: i64,
    pub term_days: u16,
    pub lent_ms: u64,
    pub envelope_id: String,
    /// `open` or `returned`.
    pub state: String,
    /// Of an open one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due_ms: Option<u64>,
    /// At which it would be returned now, or was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub return_rate: Option<i64>,
    /// What would have to be paid back now, or was: principal and interest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owed: Option<u64>,
    /// The central bank's return.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub returned_by: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub returned_ms: Option<u64>,
    /// How often what was paid for it came back, since it was less than was owed by then: it may be paid again.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub given_back: u32,
    /// Officers have found what the bank stated to be false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dispute: Option<LoanDispute>,
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct LoanDispute {
    /// The sector that the officers found.
    pub found: String,
    pub basis: String,
    /// Hex of the BLAKE3 hash of what they looked at.
    pub evidence: String,
    pub at_ms: u64,
}

/// `GET /v1/disputes?contract=N&before=SIZE&limit=N`: statements of loans that officers found to be false, newest first, as the log
/// of the newest checkpoint has them. Whose they are is not public.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct FalseStatement {
    /// Where its leaf stands in the log.
    pub index: u64,
    pub obligation: String,
    pub contract: u32,
    pub stated: String,
    pub found: String,
    pub basis: String,
    pub evidence: String,
}

/// `GET /v1/disputes/{index}`
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct ProvedFalseStatement {
    #[serde(flatten)]
    pub statement: FalseStatement,
    pub as_of: AsOf,
    /// Hex of the leaf proof.
    pub proof: String,
}

/// `POST /v1/disputes` (central bank, with officers' keys at hand); answered by an operation.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct NewDispute {
    /// An open obligation, or the envelope of an activation: of a returned loan only that.
    pub loan: String,
    /// In which the borrower was found: ISIC Rev. 4, a section's letter, or with its division: `G47`.
    pub sector: String,
    /// The legal basis, public: 1 to 8 of `A`–`Z`, `0`–`9` and `-`.
    pub basis: String,
    /// Hex of the BLAKE3 hash of what the officers looked at.
    pub evidence: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
}

/// `POST /v1/loans/{obligation}/return`; answered by the payment to the central bank, which settles the loan when it has arrived.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct NewReturn {
    /// The wallet that pays.
    #[serde(default = "vault")]
    pub from: String,
    /// Without it a loan is paid back once: a second request gives the payment of the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
}

fn vault() -> String {
    "vault".into()
}

/// `POST /v1/reclaims` (central bank): retires inert money that nobody lent in its window.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct NewReclaim {
    pub contract: u32,
    pub coins: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
}
