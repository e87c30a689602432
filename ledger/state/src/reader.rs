//! The read port: what the transition asks of storage. A reader is a snapshot at one height and never changes.

use contracts_vm::Package;
use ledger_tree::ReadError;
use ledger_tree::log::LogReader;
use ledger_tree::map::MapReader;
use ledger_types::coin::Coin;
use ledger_types::confirmation::Record;
use ledger_types::contract::OpenObligation;
use ledger_types::encoding::{Decode, DecodeError, Encode, Reader};
use ledger_types::feed::FeedItem;
use ledger_types::ids::*;
use std::sync::Arc;

/// A snapshot of the state after one height.
pub trait StateReader: MapReader + LogReader {
    /// One entry an id, in the order of `ids`; `None` for a coin that never existed or is spent. Exact (C-5).
    /// The transition asks once a block, with distinct ids in ascending order.
    fn coins(&self, ids: &[CoinId]) -> Result<Vec<Option<Coin>>, ReadError>;

    /// The latest record of each coin, in the order of `ids`.
    fn records(&self, ids: &[CoinId]) -> Result<Vec<Option<Record>>, ReadError>;

    /// The public amount of an issue or redeem that registration has not settled yet.
    fn pending_amount(&self, envelope: &EnvelopeId) -> Result<Option<PendingAmount>, ReadError>;

    /// A deployed package. Compiling one takes long next to running it: a reader keeps what it compiled.
    fn package(&self, policy: &PolicyHash) -> Result<Option<Arc<Package>>, ReadError>;

    /// Of a feed's period, if it has any.
    fn last_vintage(&self, feed: FeedNumber, period: Period) -> Result<Option<FeedItem>, ReadError>;

    /// The newest so many periods of a feed that have items, newest first. What it costs does not depend on how often a period was
    /// revised.
    fn newest_periods(&self, feed: FeedNumber, periods: u16) -> Result<Vec<PeriodItems>, ReadError>;

    fn obligation(&self, id: &ObligationId) -> Result<Option<OpenObligation>, ReadError>;

    /// Whether the log has the receipt of this obligation's return.
    fn has_receipt(&self, id: &ObligationId) -> Result<bool, ReadError>;

    /// When the first of the obligations of this bank under this contract falls due, unix ms (K-6).
    fn earliest_due(&self, bank: ParticipantNumber, contract: ContractNumber) -> Result<Option<u64>, ReadError>;

    /// The snapshot hash of the state after this height (B-7), [`ledger_types::snapshot::SNAPSHOT_DELAY`] heights ago. A reader that
    /// is still computing it waits.
    fn snapshot_hash(&self, height: Height) -> Result<[u8; 32], ReadError>;
}

/// Of the vintages of one period, those that a policy may name (K-12).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeriodItems {
    pub first: FeedItem,
    pub last: FeedItem,
}

/// A public amount that moves into the totals when registration settles its envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PendingAmount {
    Issue {
        series: SeriesNumber,
        amount: Amount,
    },
    /// The series of what is redeemed is sealed, so redemptions are public in total only.
    Redeem {
        amount: Amount,
    },
}

impl Encode for PendingAmount {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            PendingAmount::Issue { series, amount } => {
                out.push(1);
                series.encode(out);
                amount.encode(out);
            }
            PendingAmount::Redeem { amount } => {
                out.push(2);
                amount.encode(out);
            }
        }
    }
}

impl Decode for PendingAmount {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(match reader.read::<u8>()? {
            1 => PendingAmount::Issue { series: reader.read()?, amount: reader.read()? },
            2 => PendingAmount::Redeem { amount: reader.read()? },
            byte => return Err(DecodeError::UnknownValue { field: "pending amount", byte }),
        })
    }
}
