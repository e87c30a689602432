//! Channels and their epochs (E-2): an exact set of parties, one sender, one key for a while.

use crate::domain::{Chain, Tag};
use crate::encoding::{List, Octets};
use crate::ids::*;
use crate::keys::Signature;
use crate::layout;

pub const MEMBERS_MAX: usize = 8;

/// The epoch key, sealed by HPKE to one member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encapsulation {
    pub member: ParticipantNumber,
    /// HPKE `enc`.
    pub encapsulated_key: Octets<1120>,
    /// HPKE ciphertext of the 32-byte epoch key and its tag.
    pub ciphertext: [u8; 48],
}
layout!(Encapsulation { member, encapsulated_key, ciphertext });

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EpochOffer {
    pub sender: ParticipantNumber,
    /// Grows by at least one with every offer of this sender, over all its channels.
    pub epoch: u64,
    /// All parties, the sender included, strictly ascending.
    pub members: List<ParticipantNumber, MEMBERS_MAX>,
    /// No envelope is sealed under this epoch after this time.
    pub not_after_ms: u64,
    /// D("epoch commit", epoch_key): all members get the same key.
    pub commitment: [u8; 32],
    /// One for every member but the sender, in their order.
    pub encapsulations: List<Encapsulation, MEMBERS_MAX>,
}
layout!(EpochOffer { sender, epoch, members, not_after_ms, commitment, encapsulations });

impl EpochOffer {
    /// Signed by the sender's offer key.
    pub fn message(&self, chain: &Chain) -> [u8; 32] {
        use crate::encoding::Encode;
        chain.hash(Tag::EpochOffer, &[&self.to_bytes()])
    }

    /// Signed by a member's offer key when it has opened the key and stored it.
    pub fn ack_message(&self, chain: &Chain, member: ParticipantNumber) -> [u8; 32] {
        chain.hash(Tag::EpochAck, &[&self.message(chain), &member.0.to_le_bytes()])
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedEpochOffer {
    pub offer: EpochOffer,
    pub signature: Signature,
}
layout!(SignedEpochOffer { offer, signature });
