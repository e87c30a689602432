//! Confirmations (rules R): the central bank's signed, gap-free batches, and the records that they leave in the registry.

use crate::domain::{Chain, Tag};
use crate::encoding::{Encode, List};
use crate::ids::*;
use crate::keys::{PublicKey, Signature, SigningKey};
use crate::{layout, numbered};

pub const BATCH_RECORDS_MAX: usize = 20_000;
pub const BATCH_SETTLED_MAX: usize = 20_000;
pub const BATCH_OVERDUE_MAX: usize = 20_000;

numbered! {
    /// What a confirmation says of a coin.
    pub enum RecordStatus {
        Live = 1,
        Spent = 2,
        Frozen = 3,
        Disputed = 4,
    }
}

/// One line of a batch. The tag is zero for a spent coin; `failed_check` is zero unless the coin is disputed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchRecord {
    pub coin: CoinId,
    pub status: RecordStatus,
    /// The number of the failed check of `payment_is_good`.
    pub failed_check: u16,
    pub tag: OwnerTag,
}
layout!(BatchRecord { coin, status, failed_check, tag });

/// A key that its parties have not released within the deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Overdue {
    pub envelope: EnvelopeId,
    pub submitter: ParticipantNumber,
}
layout!(Overdue { envelope, submitter });

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// k. Consumed only when the batch is accepted.
    pub number: BatchNumber,
    /// Hash of batch k − 1.
    pub previous: BatchHash,
    /// Strictly ascending by coin id.
    pub records: List<BatchRecord, BATCH_RECORDS_MAX>,
    /// Envelopes with a public amount (issue, redeem) that registration has confirmed: the totals move now. Strictly ascending.
    pub settled: List<EnvelopeId, BATCH_SETTLED_MAX>,
    /// Strictly ascending.
    pub overdue: List<Overdue, BATCH_OVERDUE_MAX>,
    /// Formerly overdue. Strictly ascending.
    pub cleared: List<Overdue, BATCH_OVERDUE_MAX>,
}
layout!(Batch { number, previous, records, settled, overdue, cleared });

impl Batch {
    /// Chains to the next batch, and is what the registration key signs.
    pub fn hash(&self, chain: &Chain) -> BatchHash {
        BatchHash(chain.hash(Tag::Batch, &[&self.to_bytes()]))
    }

    pub fn sign(self, chain: &Chain, registration: &SigningKey) -> SignedBatch {
        let signature = registration.sign(&self.hash(chain).0);
        SignedBatch { batch: self, signature }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedBatch {
    pub batch: Batch,
    pub signature: Signature,
}
layout!(SignedBatch { batch, signature });

impl SignedBatch {
    /// Commits to the signature too, so that a bundle digest has exactly one body.
    pub fn item_id(&self, chain: &Chain) -> [u8; 32] {
        let ciphertext = chain.hash(Tag::Ciphertext, &[&self.signature.0]);
        chain.hash(Tag::Envelope, &[&self.batch.hash(chain).0, &ciphertext])
    }

    pub fn signature_is_valid(&self, chain: &Chain, registration: &PublicKey) -> bool {
        registration.verify(&self.batch.hash(chain).0, &self.signature)
    }
}

/// The latest confirmation of a coin, as it stands in the map and, with the coin id, in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    pub status: RecordStatus,
    pub batch: BatchNumber,
    /// Of the block that accepted the batch.
    pub height: Height,
    pub time_ms: u64,
    pub contract: ContractNumber,
    pub failed_check: u16,
    pub tag: OwnerTag,
}
layout!(Record { status, batch, height, time_ms, contract, failed_check, tag });
