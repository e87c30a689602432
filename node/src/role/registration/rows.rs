//! Registration's own database: every row, declared once.
//!
//! Openings, amounts, released keys and outbox entries are encrypted before they come here; ids, banks and statuses are not.

use crate::outbox::EntryHash;
use ledger_store::{Column, ColumnSpec, PrivateStore, Raw};
use ledger_types::block::BlockHeader;
use ledger_types::envelope::Envelope;
use ledger_types::participant::Directory;
use ledger_types::vote::CommitCertificate;
use ledger_types::*;
use std::path::Path;

pub const PURPOSE: &str = "registration";
/// Of the key that what is encrypted is under.
pub const KEY_CONTEXT: &str = "assay registration storage v1";
const VERSION: u32 = 3;

/// The last booked height with its proof; absent before height 1.
pub const CURSOR: Column<(), CursorRow> = Column::ascending("cursor");
/// One row: the random id of this database, the next sequence of the outbox, and the hash that the next entry names.
pub const OUTBOX_STATE: Column<(), OutboxRow> = Column::ascending("outbox_state");
/// The directory that governs from this height on. Few rows: one for the genesis and one for each update.
pub const DIRECTORIES: Column<Height, Directory> = Column::ascending("directories");

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

/// The private accounts: every coin that exists and that registration has looked into. Spent coins have no row.
pub const ACCOUNTS: Column<CoinId, AccountRow> = Column::random("accounts");
/// Pre-issued coins that were spent; unspent ones follow from the genesis and have no row.
pub const PREISSUED_SPENT: Column<CoinId, Vec<u8>, Raw> = Column::random("preissued_spent");
/// What a disputed envelope had put in and recoveries have not given back yet: minor units (`u64`), encrypted.
pub const DISPUTES: Column<EnvelopeId, Octets<64>> = Column::random("disputes");

/// Coins that were booked and that no batch has published yet: the block time by which they were booked.
pub const UNPUBLISHED: Column<CoinId, u64> = Column::random("unpublished");
/// The last batch that a booked height has brought; absent before batch 1.
pub const LAST_BATCH: Column<(), BatchNumber> = Column::ascending("last_batch");

/// Units of the outbox that may not be in the spool yet, encrypted, by their first sequence.
pub const OUTBOX: Column<u64, Vec<u8>, Raw> = Column::ascending("outbox");

const ALL: &[ColumnSpec] = &[
    CURSOR.spec(),
    OUTBOX_STATE.spec(),
    DIRECTORIES.spec(),
    WAITING.spec(),
    DEADLINES.spec(),
    OVERDUE.spec(),
    EARLY.spec(),
    EARLY_BY_ARRIVAL.spec(),
    TAKEN.spec(),
    ACCOUNTS.spec(),
    PREISSUED_SPENT.spec(),
    DISPUTES.spec(),
    UNPUBLISHED.spec(),
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
    pub deadline_ms: u64,
    pub envelope: Envelope,
}
layout!(WaitingRow { height, deadline_ms, envelope });

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
    }
}

/// What registration keeps of a coin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountRow {
    pub status: AccountStatus,
    /// The envelope that made the coin.
    pub made_by: EnvelopeId,
    /// None, like the opening, when the coin could not be read.
    pub bank: Option<ParticipantNumber>,
    /// The opening, encrypted.
    pub opening: Option<Octets<256>>,
}
layout!(AccountRow { status, made_by, bank, opening });

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
            opening: None,
        };
        keeps_its_bytes(&account, &["02".into(), "08".repeat(32), "01030000".into()].concat());
        // What is left of a dispute, sealed. Computed by another implementation (Python, with its own BLAKE3 and AES-GCM).
        let key = StorageKey::new(KEY_CONTEXT, &[1; 32]);
        let sealed = key.seal_with([2; 24], &[b"dispute ", &[8; 32][..]].concat(), &12_345u64.to_bytes());
        let row: Octets<64> = Octets::new(sealed).unwrap();
        let expected = ["3000", &"02".repeat(24), "fa8d47562d9da8998e0cd8275f98900a32648b4f890d13f8"].concat();
        keeps_its_bytes(&row, &expected);
    }
}
