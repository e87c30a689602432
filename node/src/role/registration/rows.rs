//! Registration's own database: every row, declared once.
//!
//! What was booked is sealed to the officers: no key of this process opens it. Keys on their way, amounts of disputes and
//! outbox entries are encrypted with its own key before they come here; ids, banks, statuses and tags are not.

use crate::outbox::EntryHash;
use ledger_seal::SealedRoot;
use ledger_state::Contracts;
use ledger_store::{Column, ColumnSpec, PrivateStore, Raw};
use ledger_types::block::BlockHeader;
use ledger_types::envelope::Envelope;
use ledger_types::hand_over::HandOver;
use ledger_types::participant::Directory;
use ledger_types::request::RequestClass;
use ledger_types::vote::CommitCertificate;
use ledger_types::*;
use std::path::Path;

pub const PURPOSE: &str = "registration";
/// Of the key that what is encrypted is under.
pub const KEY_CONTEXT: &str = "assay registration storage v1";
const VERSION: u32 = 7;

/// The last booked height with its proof; absent before height 1.
pub const CURSOR: Column<(), CursorRow> = Column::ascending("cursor");
/// One row: the random id of this database, the next sequence of the outbox, and the hash that the next entry names.
pub const OUTBOX_STATE: Column<(), OutboxRow> = Column::ascending("outbox_state");
/// The directory that governs from this height on. Few rows: one for the genesis and one for each update.
pub const DIRECTORIES: Column<Height, Directory> = Column::ascending("directories");

/// Hand-overs of the validator set that were followed, by number.
pub const HAND_OVERS: Column<u32, HandOver> = Column::ascending("hand_overs");

/// The contracts that govern from this height on. One row for each height that accepted an order about one.
pub const CONTRACTS: Column<Height, Contracts> = Column::ascending("contracts");

/// Accepted envelopes whose key has not come yet.
pub const WAITING: Column<EnvelopeId, WaitingRow> = Column::random("waiting");
/// (submitter, deadline in ms, envelope) of those that are not overdue yet.
pub const DEADLINES: Column<(ParticipantNumber, u64, EnvelopeId), Vec<u8>, Raw> = Column::ascending("deadlines");
/// Published as overdue and not cleared: the block time from which on it is disputed.
pub const OVERDUE: Column<(ParticipantNumber, EnvelopeId), u64> = Column::ascending("overdue");

/// Keys whose envelope no block has brought yet: encrypted, by envelope and bank.
pub const EARLY: Column<(EnvelopeId, ParticipantNumber), EarlyRow> = Column::random("early");
/// The same by arrival, for letting them go.
pub const EARLY_BY_ARRIVAL: Column<(u64, EnvelopeId, ParticipantNumber), Vec<u8>, Raw> =
    Column::ascending("early_by_arrival");
/// The last release taken from each bank.
pub const TAKEN: Column<ParticipantNumber, u64> = Column::ascending("taken");

/// The private accounts: every coin that exists and that registration has looked into.
pub const ACCOUNTS: Column<CoinId, AccountRow> = Column::random("accounts");
/// Spent coins, and the envelopes that made them: what officers may ask for later.
pub const SPENT: Column<CoinId, EnvelopeId> = Column::random("spent");
/// all that is kept of a booked envelope. None of an envelope whose key never came.
pub const SEALED_ROOTS: Column<EnvelopeId, SealedRoot> = Column::random("sealed_roots");
/// Requests of the officers that were acted on, by their place in the public log.
pub const REQUESTS_USED: Column<u64, RequestUse> = Column::ascending("requests_used");
/// Pre-issued coins that were spent; unspent ones follow from the genesis and have no row.
pub const PREISSUED_SPENT: Column<CoinId, Vec<u8>, Raw> = Column::random("preissued_spent");
/// What a disputed envelope had put in and recoveries have not given back yet.
pub const DISPUTES: Column<EnvelopeId, DisputeRow> = Column::random("disputes");

/// Loans whose return is not booked yet (K-2).
pub const LOANS: Column<ObligationId, LoanRow> = Column::random("loans");
/// Marks of the keys to which money was issued: banks' own, which borrow nothing (K-5).
pub const BANKS_KEYS: Column<[u8; 32], Vec<u8>, Raw> = Column::random("banks_keys");

/// Coins that were booked and that no batch has published yet: the block time by which they were booked.
pub const UNPUBLISHED: Column<CoinId, u64> = Column::random("unpublished");
/// Coins of which the registry says another status than their account, until a batch publishes it: what it says.
pub const REGISTERED_AS: Column<CoinId, AccountStatus> = Column::random("registered_as");
/// The last batch that a booked height has brought; absent before batch 1.
pub const LAST_BATCH: Column<(), BatchNumber> = Column::ascending("last_batch");

/// Units of the outbox that may not be in the spool yet, encrypted, by their first sequence.
pub const OUTBOX: Column<u64, Vec<u8>, Raw> = Column::ascending("outbox");

const ALL: &[ColumnSpec] = &[
    CURSOR.spec(),
    OUTBOX_STATE.spec(),
    DIRECTORIES.spec(),
    HAND_OVERS.spec(),
    CONTRACTS.spec(),
    WAITING.spec(),
    DEADLINES.spec(),
    OVERDUE.spec(),
    EARLY.spec(),
    EARLY_BY_ARRIVAL.spec(),
    TAKEN.spec(),
    ACCOUNTS.spec(),
    SPENT.spec(),
    SEALED_ROOTS.spec(),
    REQUESTS_USED.spec(),
    PREISSUED_SPENT.spec(),
    DISPUTES.spec(),
    LOANS.spec(),
    BANKS_KEYS.spec(),
    UNPUBLISHED.spec(),
    REGISTERED_AS.spec(),
    LAST_BATCH.spec(),
    OUTBOX.spec(),
];

pub fn open(folder: &Path, chain: &Chain) -> Result<PrivateStore, ledger_store::OpenError> {
    PrivateStore::open(folder, PURPOSE, VERSION, chain, ALL)
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CursorRow {
    pub header: BlockHeader,
    pub certificate: CommitCertificate,
}
layout!(CursorRow { header, certificate });

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutboxRow {
    pub id: [u8; 16],
    pub next_sequence: u64,
    /// Of the entry before the next.
    pub last: EntryHash,
}
layout!(OutboxRow { id, next_sequence, last });

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitingRow {
    pub height: Height,
    /// Of its block.
    pub time_ms: u64,
    pub deadline_ms: u64,
    pub envelope: Envelope,
}
layout!(WaitingRow { height, time_ms, deadline_ms, envelope });

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EarlyRow {
    pub arrived_ms: u64,
    pub sealed_root: Octets<128>,
}
layout!(EarlyRow { arrived_ms, sealed_root });

numbered! {
    pub enum AccountStatus {
        Live = 1,
        Disputed = 2,
        Frozen = 3,
    }
}

/// What registration keeps of a coin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountRow {
    pub status: AccountStatus,
    /// The envelope that made the coin; zero for a pre-issued coin, which has a row only while it is frozen.
    pub made_by: EnvelopeId,
    /// None, like the tag, when the coin could not be read.
    pub bank: Option<ParticipantNumber>,
    pub tag: Option<OwnerTag>,
}
layout!(AccountRow { status, made_by, bank, tag });

/// As many inputs as some disputes put together may have left unknown.
pub const UNKNOWN_INPUTS_MAX: usize = 20_000;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DisputeRow {
    /// Minor units (`u64`), encrypted.
    pub left: Octets<64>,
    /// Spent coins whose worth is not in it: nobody has shown their openings since they were booked. Ascending.
    pub unknown: List<CoinId, UNKNOWN_INPUTS_MAX>,
}
layout!(DisputeRow { left, unknown });

numbered! {
    pub enum LoanStage {
        /// The key of its activation has not come yet.
        Waits = 1,
        /// Nobody could open what was lent.
        Unread = 2,
        Known = 3,
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoanRow {
    /// The midnight (UTC) before its block's time, as in the obligation.
    pub activated_ms: u64,
    pub stage: LoanStage,
    /// Minor units (`u64`), encrypted; nothing unless known.
    pub principal: Octets<64>,
    /// In which sector officers found the borrower, if they said that the bank's statement is false (K-9).
    pub found: Option<u32>,
}
layout!(LoanRow { activated_ms, stage, principal, found });

/// What a request of the officers was used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestUse {
    pub class: RequestClass,
    pub coin: CoinId,
}
layout!(RequestUse { class, coin });

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outbox::StorageKey;
    use ledger_types::encoding::{Decode, Encode};

    fn keeps_its_bytes<T: Encode + Decode + PartialEq + std::fmt::Debug>(row: &T, expected: &str) {
        assert_eq!(hex::encode(row.to_bytes()), expected);
        assert_eq!(&T::from_bytes(&row.to_bytes()).unwrap(), row);
    }

    #[test]
    fn rows_keep_their_bytes() {
        let outbox = OutboxRow { id: [9; 16], next_sequence: 258, last: EntryHash([7; 32]) };
        keeps_its_bytes(&outbox, &["09".repeat(16), "0201000000000000".into(), "07".repeat(32)].concat());
        let early = EarlyRow { arrived_ms: 258, sealed_root: Octets::new(vec![5; 3]).unwrap() };
        keeps_its_bytes(&early, "02010000000000000300050505");
        let account = AccountRow {
            status: AccountStatus::Disputed,
            made_by: EnvelopeId([8; 32]),
            bank: Some(ParticipantNumber(3)),
            tag: None,
        };
        keeps_its_bytes(&account, &["02".into(), "08".repeat(32), "01030000".into()].concat());
        let loan = LoanRow {
            activated_ms: 258,
            stage: LoanStage::Waits,
            principal: Octets::new(Vec::new()).unwrap(),
            found: Some(258),
        };
        keeps_its_bytes(&loan, "02010000000000000100000102010000");
        let used = RequestUse { class: RequestClass::Freeze, coin: CoinId([4; 32]) };
        keeps_its_bytes(&used, &["02".into(), "04".repeat(32)].concat());
        // What is left of a dispute, sealed. Computed by another implementation (Python, with its own BLAKE3 and AES-GCM).
        let key = StorageKey::new(KEY_CONTEXT, &[1; 32]);
        let sealed = key.seal_with([2; 24], &[b"dispute ", &[8; 32][..]].concat(), &12_345u64.to_bytes());
        let unknown = List::new(vec![CoinId([6; 32])]).unwrap();
        let row = DisputeRow { left: Octets::new(sealed).unwrap(), unknown };
        let left = ["3000", &"02".repeat(24), "fa8d47562d9da8998e0cd8275f98900a32648b4f890d13f8"].concat();
        let expected = [left, "0100".into(), "06".repeat(32)].concat();
        keeps_its_bytes(&row, &expected);
    }
}
