//! Reconciliation: what a bank and the registration centre each say of the coins in the bank's custody, and in which
//! coins the two sayings differ.
//!
//! Both speak of the same height: a coin counts as the registry has it after that block, so what is under way is no difference.

use crate::coin::CoinStatus;
use crate::domain::{Chain, Tag};
use crate::encoding::{Encode, List};
use crate::ids::*;
use crate::{layout, numbered};

/// Differences that one report names. A book that differs in more is not mended coin by coin.
pub const DIFFERENCES_MAX: usize = 10_000;

/// A coin and its owner tag: what a reconciled set holds. As bytes, sets sort by the coin.
pub type ReconciledCoin = [u8; 64];

pub fn reconciled_coin(coin: &CoinId, tag: &OwnerTag) -> ReconciledCoin {
    let mut item = [0; 64];
    item[..32].copy_from_slice(&coin.0);
    item[32..].copy_from_slice(&tag.0);
    item
}

pub fn coin_of(item: &ReconciledCoin) -> CoinId {
    CoinId(*item.first_chunk().expect("32 of 64 bytes"))
}

pub fn tag_of(item: &ReconciledCoin) -> OwnerTag {
    OwnerTag(*item.last_chunk().expect("32 of 64 bytes"))
}

/// Of a set, or of a range of it: `items` ascending. A coin that stands there twice counts twice.
pub fn set_fingerprint(
    chain: &Chain,
    bank: ParticipantNumber,
    status: CoinStatus,
    items: &[ReconciledCoin],
) -> [u8; 32] {
    let count = items.len() as u64;
    chain.hash(
        Tag::ReconciledSet,
        &[&bank.0.to_le_bytes(), &[status.number()], &count.to_le_bytes(), items.as_flattened()],
    )
}

numbered! {
    pub enum ReconciliationSide {
        Bank = 1,
        RegistrationCentre = 2,
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReconciledSet {
    pub status: CoinStatus,
    pub count: u64,
    pub fingerprint: [u8; 32],
}
layout!(ReconciledSet { status, count, fingerprint });

/// One side's word, signed: by the bank's desk key, or by registration's link key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReconciliationClaim {
    pub side: ReconciliationSide,
    pub bank: ParticipantNumber,
    pub height: Height,
    pub block: BlockHash,
    /// The last batch that the registry had accepted by then.
    pub batch: BatchNumber,
    /// One of each status, ascending. Unconfirmed: those only that have been so for too long.
    pub sets: List<ReconciledSet, 4>,
}
layout!(ReconciliationClaim { side, bank, height, block, batch, sets });

impl ReconciliationClaim {
    pub fn message(&self, chain: &Chain) -> [u8; 32] {
        chain.hash(Tag::ReconciliationClaim, &[&self.to_bytes()])
    }
}

numbered! {
    /// The words measure the bank's book by the registration centre's accounts.
    pub enum DifferenceKind {
        /// The centre has the coin in the bank's custody, the bank's book lacks it.
        Missing = 1,
        /// The bank's book has the coin, the centre does not have it, or the book has it twice.
        Extra = 2,
        /// Both have it, with different owner tags; or the centre has it in another bank's custody.
        WrongOwner = 3,
        /// Both have it, with different statuses.
        WrongState = 4,
        /// Ordered, and not confirmed long after it should have been.
        Late = 5,
        /// Ordered, and no party has released its key by the deadline.
        UnreleasedKey = 6,
    }
}

/// What one side has of a coin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CoinAtSide {
    pub status: CoinStatus,
    pub tag: OwnerTag,
}
layout!(CoinAtSide { status, tag });

/// Nothing that the bank may not know: it is the coin's custodian, or a party of the envelope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    pub kind: DifferenceKind,
    pub coin: CoinId,
    pub at_bank: Option<CoinAtSide>,
    pub at_centre: Option<CoinAtSide>,
    /// The envelope that made the coin, where the centre knows it.
    pub made_by: Option<EnvelopeId>,
}
layout!(Difference { kind, coin, at_bank, at_centre, made_by });

/// What the two claims of a height differ in, signed by registration's link key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReconciliationReport {
    pub bank: ParticipantNumber,
    pub height: Height,
    pub block: BlockHash,
    pub batch: BatchNumber,
    /// Ascending by coin and kind.
    pub differences: List<Difference, DIFFERENCES_MAX>,
    /// Found beyond those that are named.
    pub unnamed: u64,
}
layout!(ReconciliationReport { bank, height, block, batch, differences, unnamed });

impl ReconciliationReport {
    pub fn message(&self, chain: &Chain) -> [u8; 32] {
        chain.hash(Tag::ReconciliationReport, &[&self.to_bytes()])
    }
}
