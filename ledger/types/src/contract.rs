//! Contracts (rules K): what officers order, what the ledger keeps of it, and what a loan leaves.
//!
//! ```text
//! policy hash   = D("policy", package)                terms = D("terms", contract ‖ policy hash)
//! obligation id = D("obligation", bank ‖ activation ‖ salt of the activation's core)
//! ```
//! What a package says is `contracts-vm`'s; here it is a byte string. An obligation's id hides its bank: who does not see the
//! activation does not know the salt, and the public entry has no other word of the bank (K-4).

use crate::domain::{Chain, Tag};
use crate::encoding::{Decode, DecodeError, Encode, List, Octets, Reader};
use crate::ids::*;
use crate::request::BasisCode;
use crate::{layout, numbered};

/// So that a deployment with its officers' signatures fits an envelope.
pub const PACKAGE_BYTES_MAX: usize = 32 * 1024;
/// Header of an activation with eight inputs and eight outputs, the longest there is.
pub const ACTIVATION_HEADER_BYTES_MAX: usize = 1_147;
/// As many readings as a program may ask for: 8 feeds, 64 periods back.
pub const RECEIPT_INPUTS_MAX: usize = 512;
pub const DAY_MS: u64 = 86_400_000;
/// K-7, as with a hand-over (G-3): whoever follows the chain has seen an order before it binds. The rest is the officers' choice.
pub const NOTICE_HEIGHTS_MIN: u32 = 2;

/// Rates are in hundredths of a basis point: 4.30 % is 43,000.
pub const RATE_SCALE: i128 = 1_000_000;

pub fn policy_hash(chain: &Chain, package: &[u8]) -> PolicyHash {
    PolicyHash(chain.hash(Tag::Policy, &[package]))
}

pub fn terms(chain: &Chain, contract: ContractNumber, policy: &PolicyHash) -> Terms {
    Terms(chain.hash(Tag::Terms, &[&contract.0.to_le_bytes(), &policy.0]))
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deployment {
    /// The next number with version 1, or a contract that stands with its next version.
    pub contract: ContractNumber,
    pub version: PolicyVersion,
    /// In heights: it binds at the height that orders it + notice.
    pub notice: u32,
    /// BLAKE3 of the back-test's report; zero for none.
    pub report: [u8; 32],
    pub package: Octets<PACKAGE_BYTES_MAX>,
}
layout!(Deployment { contract, version, notice, report, package });

/// The officers' finding that what a bank stated of a loan is false (K-9). The bank's statement goes with it, so that whoever
/// judges the order needs no word of theirs for what was stated and of which loan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatementDispute {
    pub contract: ContractNumber,
    /// In which sector the borrower was found to be, as [`Loan::sector`].
    pub sector: u32,
    /// Public, like that of a request (R-5).
    pub basis: BasisCode,
    /// BLAKE3 of what the officers looked at. The file stays with them.
    pub evidence: [u8; 32],
    /// The activation's header, and D("ciphertext") of the rest: together its id.
    pub activation: Octets<ACTIVATION_HEADER_BYTES_MAX>,
    pub ciphertext: [u8; 32],
}
layout!(StatementDispute { contract, sector, basis, evidence, activation, ciphertext });

/// Of the first byte of an order that disputes a statement: no [`ContractAction`], since it does nothing to the contract.
const DISPUTES_A_STATEMENT: u8 = 4;

numbered! {
    pub enum ContractAction {
        Deploy = 1,
        /// At once: neither issue nor activation under the versions so far.
        Stop = 2,
        /// After a notice and for good.
        Retire = 3,
    }
}

/// What k of n officers order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ContractOrder {
    Deploy(Deployment),
    Stop { contract: ContractNumber },
    Retire { contract: ContractNumber, notice: u32 },
    Dispute(StatementDispute),
}

impl ContractOrder {
    /// None: the order is about a loan, and leaves the contract as it is.
    pub fn action(&self) -> Option<ContractAction> {
        match self {
            ContractOrder::Deploy(_) => Some(ContractAction::Deploy),
            ContractOrder::Stop { .. } => Some(ContractAction::Stop),
            ContractOrder::Retire { .. } => Some(ContractAction::Retire),
            ContractOrder::Dispute(_) => None,
        }
    }
}

impl Encode for ContractOrder {
    fn encode(&self, out: &mut Vec<u8>) {
        self.action().map_or(DISPUTES_A_STATEMENT, ContractAction::number).encode(out);
        match self {
            ContractOrder::Deploy(deployment) => deployment.encode(out),
            ContractOrder::Stop { contract } => contract.encode(out),
            ContractOrder::Retire { contract, notice } => {
                contract.encode(out);
                notice.encode(out);
            }
            ContractOrder::Dispute(dispute) => dispute.encode(out),
        }
    }
}

impl Decode for ContractOrder {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(match reader.read::<u8>()? {
            1 => ContractOrder::Deploy(reader.read()?),
            2 => ContractOrder::Stop { contract: reader.read()? },
            3 => ContractOrder::Retire { contract: reader.read()?, notice: reader.read()? },
            DISPUTES_A_STATEMENT => ContractOrder::Dispute(reader.read()?),
            byte => return Err(DecodeError::UnknownValue { field: "contract order", byte }),
        })
    }
}

/// The map's entry of a contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContractHead {
    /// Deployed last; it may not bind yet.
    pub newest: PolicyVersion,
    /// Versions up to this one are stopped; 0 for none.
    pub stopped: PolicyVersion,
    pub retires_at: Option<Height>,
}
layout!(ContractHead { newest, stopped, retires_at });

/// The map's entry of one version of a contract. It never changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeployedPolicy {
    pub policy: PolicyHash,
    pub report: [u8; 32],
    pub deployed_at: Height,
    /// The first height whose envelopes it governs.
    pub binds_at: Height,
}
layout!(DeployedPolicy { policy, report, deployed_at, binds_at });

/// What the public log says of an order of the officers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContractEvent {
    pub action: ContractAction,
    pub contract: ContractNumber,
    /// The newest after the order, with its policy and report.
    pub version: PolicyVersion,
    pub policy: PolicyHash,
    pub report: [u8; 32],
    /// The first height at which the order binds.
    pub binds_at: Height,
}
layout!(ContractEvent { action, contract, version, policy, report, binds_at });

/// What a bank states about a loan, in the clear (K-4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loan {
    /// ISIC Rev. 4: the section's letter in bits 8 to 15, the division's number in bits 0 to 7, 0 for the whole section.
    pub sector: u32,
    /// Hundredths of a basis point.
    pub rate: i64,
    pub term_days: u16,
}
layout!(Loan { sector, rate, term_days });

/// What the public log says of a statement that officers found to be false (K-9). Without the bank, as everywhere (K-4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FalseStatement {
    pub obligation: ObligationId,
    pub contract: ContractNumber,
    /// The sector that the bank stated.
    pub stated: u32,
    pub found: u32,
    pub basis: BasisCode,
    pub evidence: [u8; 32],
}
layout!(FalseStatement { obligation, contract, stated, found, basis, evidence });

/// An activation that was not returned yet: the map's entry, without the bank (K-2, K-6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Obligation {
    pub contract: ContractNumber,
    /// Whose return rate it owes, whatever supersedes it.
    pub version: PolicyVersion,
    pub policy: PolicyHash,
    /// The midnight (UTC) before the block's time.
    pub activated_ms: u64,
    /// The last millisecond of the day on which it falls due.
    pub due_ms: u64,
}
layout!(Obligation { contract, version, policy, activated_ms, due_ms });

impl Obligation {
    /// The entry is public and so is when each lane was served: it says days and no more (K-2), which is all that is reckoned with.
    pub fn on_the_day(
        contract: ContractNumber,
        version: PolicyVersion,
        policy: PolicyHash,
        time_ms: u64,
        due_days: u64,
    ) -> Self {
        let activated_ms = time_ms - time_ms % DAY_MS;
        let days_ms = due_days.saturating_add(1).saturating_mul(DAY_MS);
        let due_ms = activated_ms.saturating_add(days_ms - 1);
        Obligation { contract, version, policy, activated_ms, due_ms }
    }
}

/// An obligation as validators keep it: with what its id commits to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenObligation {
    pub obligation: Obligation,
    pub bank: ParticipantNumber,
    pub activation: EnvelopeId,
    /// Of the activation's core.
    pub salt: Salt,
}
layout!(OpenObligation { obligation, bank, activation, salt });

impl OpenObligation {
    pub fn id(&self, chain: &Chain) -> ObligationId {
        ObligationId::of(chain, self.bank, &self.activation, &self.salt)
    }
}

impl ObligationId {
    /// `salt`: of the activation's core.
    pub fn of(chain: &Chain, bank: ParticipantNumber, activation: &EnvelopeId, salt: &Salt) -> Self {
        ObligationId(chain.hash(Tag::Obligation, &[&bank.0.to_le_bytes(), &activation.0, &salt.0]))
    }
}

/// One look of a program at a feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReceiptInput {
    pub feed: FeedNumber,
    /// 0 is the newest period that the feed had.
    pub back: u16,
    /// None: there was no such period.
    pub found: Option<ReadValue>,
}
layout!(ReceiptInput { feed, back, found });

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadValue {
    pub period: Period,
    pub vintage: Vintage,
    pub value: i64,
}
layout!(ReadValue { period, vintage, value });

/// At which rate a loan was returned, and why (K-2). Public, and without the bank (K-4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    pub obligation: ObligationId,
    pub contract: ContractNumber,
    pub version: PolicyVersion,
    pub policy: PolicyHash,
    /// Of a year, in hundredths of a basis point, on the policy's step.
    pub rate: i64,
    pub from_ms: u64,
    pub to_ms: u64,
    pub fuel: u32,
    /// In the order in which the program looked.
    pub inputs: List<ReceiptInput, RECEIPT_INPUTS_MAX>,
}
layout!(Receipt { obligation, contract, version, policy, rate, from_ms, to_ms, fuel, inputs });

/// What is owed for a principal at a rate of a year (K-2): days are midnights passed (UTC), a year has 365, the interest is rounded
/// half to even. None when that is no amount.
pub fn owed(principal: Amount, rate: i64, from_ms: u64, to_ms: u64) -> Option<Amount> {
    let days = i128::from((to_ms / DAY_MS).checked_sub(from_ms / DAY_MS)?);
    let scaled = i128::from(principal.0).checked_mul(i128::from(rate))?.checked_mul(days)?;
    let interest = divided_half_to_even(scaled, 365 * RATE_SCALE);
    let owed = i128::from(principal.0).checked_add(interest)?;
    u64::try_from(owed).ok().map(Amount)
}

/// `by` > 0.
fn divided_half_to_even(number: i128, by: i128) -> i128 {
    let (floor, rest) = (number.div_euclid(by), number.rem_euclid(by));
    match rest.cmp(&(by - rest)) {
        std::cmp::Ordering::Less => floor,
        std::cmp::Ordering::Greater => floor + 1,
        std::cmp::Ordering::Equal => floor + floor.rem_euclid(2),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interest_counts_midnights_and_rounds_half_to_even() {
        let days = |n: u64| n * DAY_MS;
        // 4.30 % of 1,000.00 for a year.
        assert_eq!(owed(Amount(100_000), 43_000, days(10), days(375)), Some(Amount(104_300)));
        // The same day owes nothing, a minute over midnight owes a day.
        assert_eq!(owed(Amount(100_000), 43_000, days(10), days(11) - 1), Some(Amount(100_000)));
        assert_eq!(owed(Amount(3_650_000), 10_000, days(11) - 1, days(11)), Some(Amount(3_650_100)));
        // Halves: 0.5 → 0, 1.5 → 2, −0.5 → 0, −1.5 → −2.
        assert_eq!(owed(Amount(365), 500_000, 0, days(1)), Some(Amount(365)));
        assert_eq!(owed(Amount(1_095), 500_000, 0, days(1)), Some(Amount(1_097)));
        assert_eq!(owed(Amount(365), -500_000, 0, days(1)), Some(Amount(365)));
        assert_eq!(owed(Amount(1_095), -500_000, 0, days(1)), Some(Amount(1_093)));
        // Backwards in time, below nothing, above every amount.
        assert_eq!(owed(Amount(1), 1, days(2), days(1)), None);
        assert_eq!(owed(Amount(1), i64::MIN, 0, days(365)), None);
        assert_eq!(owed(Amount(u64::MAX), i64::MAX, 0, u64::MAX), None);
    }
}
