//! A member's side of an epoch (E-2).
//!
//! A [`ReceivingEpoch`] exists only after every check of its offer. It must be stored before it is acknowledged: the sender
//! seals as soon as all have acknowledged, and a member that forgot the key could open nothing of it.
//!
//! Left to the caller: finding an epoch that it already holds by its id (acknowledge it again if it [`Epoch::is_of`] the
//! offer, refuse it otherwise), and never accepting again what it has destroyed, by remembering each sender's highest number.

use crate::epoch::{EPOCH_LIFETIME_MAX_MS, Epoch, EpochKey, are_members_of, encapsulation_info};
use crate::kem::KemSecret;
use crate::offer::EpochAck;
use ledger_types::channel::{EpochOffer, SignedEpochOffer};
use ledger_types::keys::{PublicKey, SigningKey};
use ledger_types::{Chain, DecodeError, ParticipantNumber};
use std::sync::Arc;
use zeroize::Zeroizing;

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OfferRefused {
    #[error("the members are not strictly ascending or do not include the sender")]
    Members,
    #[error("this participant is no member of the epoch, or is its sender")]
    NotAMember,
    #[error("the encapsulations are not exactly one for every member but the sender, in their order")]
    Encapsulations,
    #[error("the epoch ended at {not_after_ms} ms")]
    Ended { not_after_ms: u64 },
    #[error("the epoch ends at {not_after_ms} ms, more than {EPOCH_LIFETIME_MAX_MS} ms from now")]
    LivesTooLong { not_after_ms: u64 },
    #[error("the signature does not verify with the sender's offer key")]
    SignatureInvalid,
    #[error("the encapsulation for this participant does not open")]
    CannotOpenKey,
    #[error("the key is not the one that the offer commits to")]
    OtherKey,
}

/// An epoch of another sender, whose envelopes this participant can open.
#[derive(Debug)]
pub struct ReceivingEpoch {
    epoch: Arc<Epoch>,
}

/// Checks an offer and opens its key. `own` is the receiver's number, `offer_key` the directory's offer key of the sender.
pub fn accept_offer(
    chain: &Chain,
    own: ParticipantNumber,
    kem_secret: &KemSecret,
    offer_key: &PublicKey,
    signed: &SignedEpochOffer,
    now_ms: u64,
) -> Result<ReceivingEpoch, OfferRefused> {
    let offer = &signed.offer;
    if !are_members_of(&offer.members, offer.sender) {
        return Err(OfferRefused::Members);
    }
    if own == offer.sender || !offer.members.contains(&own) {
        return Err(OfferRefused::NotAMember);
    }
    let receivers = offer.members.iter().filter(|member| **member != offer.sender);
    if !offer.encapsulations.iter().map(|encapsulation| &encapsulation.member).eq(receivers) {
        return Err(OfferRefused::Encapsulations);
    }
    if now_ms > offer.not_after_ms {
        return Err(OfferRefused::Ended { not_after_ms: offer.not_after_ms });
    }
    if offer.not_after_ms - now_ms > EPOCH_LIFETIME_MAX_MS {
        return Err(OfferRefused::LivesTooLong { not_after_ms: offer.not_after_ms }); // E-4: else the key is never destroyed
    }
    // E-2: HPKE Base authenticates nobody, this signature does; hence before the key is opened.
    if !offer_key.verify(&offer.message(chain), &signed.signature) {
        return Err(OfferRefused::SignatureInvalid);
    }
    let mine = offer
        .encapsulations
        .iter()
        .find(|encapsulation| encapsulation.member == own)
        .ok_or(OfferRefused::Encapsulations)?;
    let info = encapsulation_info(chain, offer, own);
    let opened =
        kem_secret.open(&mine.encapsulated_key, &info, b"", &mine.ciphertext).ok_or(OfferRefused::CannotOpenKey)?;
    let mut bytes = Zeroizing::new([0; 32]);
    bytes.copy_from_slice(opened.get(..32).ok_or(OfferRefused::CannotOpenKey)?);
    let key = EpochKey::new(bytes);
    if !key.matches(chain, &offer.commitment) {
        return Err(OfferRefused::OtherKey);
    }
    Ok(ReceivingEpoch { epoch: Arc::new(Epoch::of(chain, offer, key)) })
}

impl ReceivingEpoch {
    pub fn epoch(&self) -> &Arc<Epoch> {
        &self.epoch
    }

    /// Only after the epoch's record is durable. `None` when `offer` is not this epoch's; `offer_key` is `own`'s.
    pub fn acknowledge(
        &self,
        chain: &Chain,
        offer: &EpochOffer,
        own: ParticipantNumber,
        offer_key: &SigningKey,
    ) -> Option<EpochAck> {
        self.epoch.is_of(chain, offer).then(|| EpochAck {
            epoch: self.epoch.id(),
            member: own,
            signature: offer_key.sign(&offer.ack_message(chain, own)),
        })
    }

    /// For storage under the holder's encryption.
    pub fn record(&self) -> Zeroizing<Vec<u8>> {
        self.epoch.record()
    }

    pub fn restore(record: &[u8]) -> Result<Self, DecodeError> {
        Ok(ReceivingEpoch { epoch: Arc::new(Epoch::from_record(record)?) })
    }
}
