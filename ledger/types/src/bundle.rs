//! Bundles: many envelopes of one submitter under one signature, in one slot of its lane (B-3).
//!
//! ```text
//! digest = D("bundle", submitter ‖ incarnation ‖ sequence ‖ count ‖ bytes ‖ Merkle root of the item ids)
//! bundle = header ‖ signature over the digest ‖ body          body = count items back to back
//! ```
//! The items are envelopes; in the registration lane the only item is a confirmation batch. Item ids commit to every byte of
//! an item, so a certified digest has exactly one body.

use crate::confirmation::SignedBatch;
use crate::domain::{Chain, Tag};
use crate::encoding::{DecodeError, Encode, List, Reader};
use crate::envelope::{ENVELOPE_BYTES_MIN, Envelope};
use crate::ids::*;
use crate::keys::{Signature, SigningKey};
use crate::layout;
use crate::merkle;
use crate::participant::{PARTICIPANTS_MAX, SignedBy, SignerError, ValidatorSet};
use std::sync::Arc;

pub const BUNDLE_ENVELOPES_MAX: usize = 4096;
/// Of the body. A frame on the data plane holds one bundle.
pub const BUNDLE_BYTES_MAX: usize = 4 << 20;
/// A malformed or crafted lane cannot hold more certified, unordered bundles than this (B-3).
pub const LANE_DEPTH_MAX: u64 = 8;

/// A place in a lane. Ordered by incarnation, then sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Slot {
    pub submitter: ParticipantNumber,
    pub incarnation: u32,
    pub sequence: u64,
}
layout!(Slot { submitter, incarnation, sequence });

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BundleHeader {
    pub slot: Slot,
    /// How many items the body holds.
    pub count: u16,
    /// The body's length.
    pub bytes: u32,
    pub ids_root: MerkleRoot,
}
layout!(BundleHeader { slot, count, bytes, ids_root });

impl BundleHeader {
    pub fn digest(&self, chain: &Chain) -> BundleDigest {
        BundleDigest(chain.hash(Tag::Bundle, &[&self.to_bytes()]))
    }
}

/// What a bundle carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BundleBody {
    Envelopes(Vec<Envelope>),
    Confirmation(Box<SignedBatch>),
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    #[error("the bundle does not decode: {0}")]
    Decode(#[from] DecodeError),
    #[error("the body has {found} bytes, the header says {said}")]
    Length { said: u32, found: usize },
    #[error("a bundle holds 1 to {BUNDLE_ENVELOPES_MAX} items in at most {BUNDLE_BYTES_MAX} bytes")]
    Size,
    #[error("the registration lane carries one confirmation batch a bundle, every other lane carries envelopes")]
    OtherLane,
    #[error("the items' ids do not lead to the header's root")]
    IdsRoot,
    #[error("the signature does not verify under the submitter's bundle key")]
    Signature,
    #[error("participant {0} is not in the directory")]
    UnknownSubmitter(ParticipantNumber),
}

/// A bundle whose body decodes, agrees with its header and hashes to its digest. The signature is checked apart, by
/// [`Bundle::signature_is_valid`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bundle {
    header: BundleHeader,
    digest: BundleDigest,
    signature: Signature,
    ids: Arc<Vec<EnvelopeId>>,
    body: Arc<BundleBody>,
}

impl Bundle {
    pub fn sign(chain: &Chain, slot: Slot, envelopes: Vec<Envelope>, key: &SigningKey) -> Result<Self, BundleError> {
        Self::build(chain, slot, BundleBody::Envelopes(envelopes), key)
    }

    pub fn sign_confirmation(
        chain: &Chain,
        slot: Slot,
        batch: SignedBatch,
        key: &SigningKey,
    ) -> Result<Self, BundleError> {
        Self::build(chain, slot, BundleBody::Confirmation(Box::new(batch)), key)
    }

    fn build(chain: &Chain, slot: Slot, body: BundleBody, key: &SigningKey) -> Result<Self, BundleError> {
        let is_confirmation = matches!(body, BundleBody::Confirmation(_));
        if is_confirmation != (slot.submitter == ParticipantNumber::REGISTRATION) {
            return Err(BundleError::OtherLane);
        }
        let ids = item_ids(chain, &body);
        let mut bytes = Vec::new();
        body.encode(&mut bytes);
        let header = BundleHeader {
            slot,
            count: u16::try_from(ids.len()).map_err(|_| BundleError::Size)?,
            bytes: u32::try_from(bytes.len()).map_err(|_| BundleError::Size)?,
            ids_root: ids_root(chain, &ids),
        };
        check_size(&header)?;
        let digest = header.digest(chain);
        let signature = key.sign(&digest.0);
        Ok(Bundle { header, digest, signature, ids: Arc::new(ids), body: Arc::new(body) })
    }

    /// Parses untrusted bytes: bounds, then form, then that body and header agree.
    pub fn parse(chain: &Chain, bytes: &[u8]) -> Result<Self, BundleError> {
        let mut reader = Reader::new(bytes);
        let header: BundleHeader = reader.read()?;
        let signature: Signature = reader.read()?;
        check_size(&header)?;
        if reader.remaining() != header.bytes as usize {
            return Err(BundleError::Length { said: header.bytes, found: reader.remaining() });
        }
        let body = if header.slot.submitter == ParticipantNumber::REGISTRATION {
            if header.count != 1 {
                return Err(BundleError::OtherLane);
            }
            BundleBody::Confirmation(Box::new(reader.read()?))
        } else {
            // Before the allocation: a count that the body cannot hold.
            if usize::from(header.count) * ENVELOPE_BYTES_MIN > reader.remaining() {
                return Err(DecodeError::Truncated.into());
            }
            let mut envelopes = Vec::with_capacity(usize::from(header.count));
            for _ in 0..header.count {
                envelopes.push(reader.read()?);
            }
            BundleBody::Envelopes(envelopes)
        };
        reader.end()?;
        let ids = item_ids(chain, &body);
        if ids_root(chain, &ids) != header.ids_root {
            return Err(BundleError::IdsRoot);
        }
        let digest = header.digest(chain);
        Ok(Bundle { header, digest, signature, ids: Arc::new(ids), body: Arc::new(body) })
    }

    pub fn signature_is_valid(&self, bundle_key: &crate::keys::PublicKey) -> bool {
        bundle_key.verify(&self.digest.0, &self.signature)
    }

    pub fn header(&self) -> &BundleHeader {
        &self.header
    }

    pub fn signature(&self) -> Signature {
        self.signature
    }

    pub fn slot(&self) -> Slot {
        self.header.slot
    }

    pub fn digest(&self) -> BundleDigest {
        self.digest
    }

    /// Ids of the envelopes in order; for a confirmation, its batch hash as an id.
    pub fn ids(&self) -> &[EnvelopeId] {
        &self.ids
    }

    pub fn body(&self) -> &BundleBody {
        &self.body
    }

    pub fn envelopes(&self) -> &[Envelope] {
        match &*self.body {
            BundleBody::Envelopes(envelopes) => envelopes,
            BundleBody::Confirmation(_) => &[],
        }
    }
}

impl Encode for BundleBody {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            BundleBody::Envelopes(envelopes) => envelopes.iter().for_each(|envelope| envelope.encode(out)),
            BundleBody::Confirmation(batch) => batch.encode(out),
        }
    }
}

impl Encode for Bundle {
    fn encode(&self, out: &mut Vec<u8>) {
        out.reserve(self.header.bytes as usize + 128);
        self.header.encode(out);
        self.signature.encode(out);
        self.body.encode(out);
    }
}

fn check_size(header: &BundleHeader) -> Result<(), BundleError> {
    let count_fits = (1..=BUNDLE_ENVELOPES_MAX).contains(&usize::from(header.count));
    if count_fits && header.bytes as usize <= BUNDLE_BYTES_MAX { Ok(()) } else { Err(BundleError::Size) }
}

fn item_ids(chain: &Chain, body: &BundleBody) -> Vec<EnvelopeId> {
    match body {
        BundleBody::Envelopes(envelopes) => envelopes.iter().map(|envelope| envelope.id(chain)).collect(),
        BundleBody::Confirmation(batch) => vec![EnvelopeId(batch.item_id(chain))],
    }
}

fn ids_root(chain: &Chain, ids: &[EnvelopeId]) -> MerkleRoot {
    let items: Vec<[u8; 32]> = ids.iter().map(|id| id.0).collect();
    merkle::root(chain, &items)
}

/// The message of an ack: "I hold this bundle durably, and no other in its slot" (B-3).
pub fn ack_message(chain: &Chain, digest: &BundleDigest, signer: ParticipantNumber) -> [u8; 32] {
    chain.hash(Tag::Ack, &[&digest.0, &signer.0.to_le_bytes()])
}

/// A bundle's header and the acks of a quorum: the bundle is available. This is what blocks order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BundleCertificate {
    pub header: BundleHeader,
    /// Strictly ascending by signer.
    pub acks: List<SignedBy, PARTICIPANTS_MAX>,
}
layout!(BundleCertificate { header, acks });

impl BundleCertificate {
    pub fn digest(&self, chain: &Chain) -> BundleDigest {
        self.header.digest(chain)
    }

    pub fn hash(&self, chain: &Chain) -> [u8; 32] {
        chain.hash(Tag::Certificate, &[&self.to_bytes()])
    }

    pub fn verify(&self, chain: &Chain, validators: &ValidatorSet) -> Result<(), SignerError> {
        let digest = self.digest(chain);
        let power = validators.power_of(&self.acks, |v| v.bundle, |signer| ack_message(chain, &digest, signer))?;
        if !validators.is_quorum(power) {
            return Err(SignerError::NoQuorum { power, total: validators.total_power() });
        }
        Ok(())
    }
}
