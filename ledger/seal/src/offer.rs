//! The sender's side of an epoch's beginning (E-2).
//!
//! An epoch becomes usable by one way only: [`make_offer`], then every other member's [`EpochAck`], then
//! [`OfferedEpoch::into_sending`]. An offered epoch has no record: after a crash the sender offers another one, with a higher
//! number, and the members' unused copies run out.
//!
//! Left to the caller: that the number grows (store it before offering), and bringing offer and acks over the bank links.

use crate::epoch::{Epoch, EpochId, EpochKey, are_members_of, encapsulation_info};
use crate::kem;
use crate::sending::SendingEpoch;
use ledger_types::channel::{Encapsulation, EpochOffer, SignedEpochOffer};
use ledger_types::genesis::KemSuite;
use ledger_types::keys::{PublicKey, Signature, SigningKey};
use ledger_types::participant::Participant;
use ledger_types::{Chain, List, Octets, ParticipantNumber, layout};
use rand_core::{CryptoRng, RngCore};
use std::collections::BTreeSet;
use zeroize::Zeroizing;

/// A party of the channel, with its KEM key of the directory.
#[derive(Clone, Copy, Debug)]
pub struct Member<'a> {
    pub number: ParticipantNumber,
    pub kem_key: &'a [u8],
}

impl<'a> From<&'a Participant> for Member<'a> {
    fn from(participant: &'a Participant) -> Self {
        Member { number: participant.number, kem_key: &participant.keys.kem }
    }
}

#[derive(Clone, Copy, Debug)]
pub struct OfferTerms {
    pub sender: ParticipantNumber,
    /// Above every number that this sender has offered before.
    pub number: u64,
    pub not_after_ms: u64,
    /// The sender moves to another epoch after so many envelopes; not part of the offer.
    pub envelopes_max: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CannotOffer {
    #[error(
        "the members must be strictly ascending, at most {}, and include the sender",
        ledger_types::channel::MEMBERS_MAX
    )]
    Members,
    #[error("the KEM key of participant {0} is unsound or not of the suite")]
    KemKey(ParticipantNumber),
}

/// Draws an epoch key and seals it to every member but the sender. A channel of the sender alone needs no acknowledgement.
pub fn make_offer(
    chain: &Chain,
    suite: KemSuite,
    terms: &OfferTerms,
    members: &[Member<'_>],
    offer_key: &SigningKey,
    rng: &mut (impl CryptoRng + RngCore),
) -> Result<OfferedEpoch, CannotOffer> {
    let numbers: Vec<_> = members.iter().map(|member| member.number).collect();
    if !are_members_of(&numbers, terms.sender) {
        return Err(CannotOffer::Members);
    }
    let mut bytes = Zeroizing::new([0; 32]);
    rng.fill_bytes(bytes.as_mut());
    let key = EpochKey::new(bytes);

    let mut offer = EpochOffer {
        sender: terms.sender,
        epoch: terms.number,
        members: List::new(numbers).map_err(|_| CannotOffer::Members)?,
        not_after_ms: terms.not_after_ms,
        commitment: key.commitment(chain),
        encapsulations: List::empty(),
    };
    let mut encapsulations = Vec::with_capacity(members.len());
    for member in members.iter().filter(|member| member.number != terms.sender) {
        let info = encapsulation_info(chain, &offer, member.number);
        let (encapsulated_key, ciphertext) = kem::seal_to(suite, member.kem_key, &info, b"", key.bytes(), rng)
            .ok_or(CannotOffer::KemKey(member.number))?;
        encapsulations.push(Encapsulation {
            member: member.number,
            encapsulated_key: Octets::new(encapsulated_key)
                .expect("no suite's encapsulated key exceeds X-Wing's 1,120 bytes"),
            ciphertext: ciphertext.try_into().expect("32 bytes and a 16-byte tag"),
        });
    }
    offer.encapsulations = List::new(encapsulations).expect("fewer than the members");
    let signature = offer_key.sign(&offer.message(chain));
    let epoch = Epoch::of(chain, &offer, key);
    let signed = SignedEpochOffer { offer, signature };
    Ok(OfferedEpoch { epoch, signed, envelopes_max: terms.envelopes_max, acknowledged: BTreeSet::from([terms.sender]) })
}

/// A member has opened the epoch's key and stored it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EpochAck {
    pub epoch: EpochId,
    pub member: ParticipantNumber,
    /// By the member's offer key, over [`EpochOffer::ack_message`].
    pub signature: Signature,
}
layout!(EpochAck { epoch, member, signature });

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AckRefused {
    #[error("the acknowledgement is for {0}")]
    OtherEpoch(EpochId),
    #[error("participant {0} is no member of the epoch")]
    NotAMember(ParticipantNumber),
    #[error("the acknowledgement's signature does not verify with the offer key of participant {0}")]
    SignatureInvalid(ParticipantNumber),
}

/// An epoch that its members may not all hold yet: nothing can be sealed under it.
#[derive(Debug)]
pub struct OfferedEpoch {
    epoch: Epoch,
    signed: SignedEpochOffer,
    envelopes_max: u64,
    acknowledged: BTreeSet<ParticipantNumber>,
}

impl OfferedEpoch {
    /// To be sent to every missing member, again as often as needed: accepting it twice is harmless.
    pub fn signed_offer(&self) -> &SignedEpochOffer {
        &self.signed
    }

    pub fn id(&self) -> EpochId {
        self.epoch.id()
    }

    /// Who has not acknowledged yet.
    pub fn missing(&self) -> Vec<ParticipantNumber> {
        self.epoch.members().iter().copied().filter(|member| !self.acknowledged.contains(member)).collect()
    }

    /// Counts a member's acknowledgement; `offer_key` is the directory's offer key of `ack.member`. A repeated one is harmless.
    pub fn acknowledge(&mut self, chain: &Chain, ack: &EpochAck, offer_key: &PublicKey) -> Result<(), AckRefused> {
        if ack.epoch != self.epoch.id() {
            return Err(AckRefused::OtherEpoch(ack.epoch));
        }
        if !self.epoch.members().contains(&ack.member) {
            return Err(AckRefused::NotAMember(ack.member));
        }
        if !offer_key.verify(&self.signed.offer.ack_message(chain, ack.member), &ack.signature) {
            return Err(AckRefused::SignatureInvalid(ack.member));
        }
        self.acknowledged.insert(ack.member);
        Ok(())
    }

    /// The one door to a sending epoch; while a member is missing, the offered epoch comes back unchanged (E-2).
    pub fn into_sending(self) -> Result<SendingEpoch, Box<OfferedEpoch>> {
        if !self.missing().is_empty() {
            return Err(Box::new(self));
        }
        Ok(SendingEpoch::new(self.epoch, self.envelopes_max))
    }
}
