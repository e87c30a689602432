//! An epoch (E-2): one sender, an exact set of members, one key for a while.
//!
//! The key never leaves this package but in a record that its holder stores encrypted; dropping the last copy wipes it (E-4).
//! An [`Epoch`] has been offered and, at its holder, checked: its members are strictly ascending and include the sender.

use ledger_types::channel::{EpochOffer, MEMBERS_MAX};
use ledger_types::{Chain, DecodeError, Encode, List, ParticipantNumber, Reader, Tag, layout};
use std::fmt;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// Names an epoch: a sender's numbers grow over all its channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EpochId {
    pub sender: ParticipantNumber,
    pub number: u64,
}
layout!(EpochId { sender, number });

impl fmt::Display for EpochId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "epoch {} of participant {}", self.number, self.sender)
    }
}

/// The secret that all members of an epoch share. Not `Clone`: it is shared by reference and wiped when dropped.
pub struct EpochKey(Zeroizing<[u8; 32]>);

impl EpochKey {
    pub(crate) fn new(bytes: Zeroizing<[u8; 32]>) -> Self {
        EpochKey(bytes)
    }

    pub(crate) fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Stands in the offer, so that all members got the same key.
    pub(crate) fn commitment(&self, chain: &Chain) -> [u8; 32] {
        chain.hash(Tag::EpochCommit, &[self.bytes()])
    }

    pub(crate) fn matches(&self, chain: &Chain, commitment: &[u8; 32]) -> bool {
        self.commitment(chain).ct_eq(commitment).into()
    }
}

impl fmt::Debug for EpochKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EpochKey(secret)")
    }
}

#[derive(Debug)]
pub struct Epoch {
    id: EpochId,
    members: List<ParticipantNumber, MEMBERS_MAX>,
    not_after_ms: u64,
    /// What the sender signed; tells a repeated offer from a second one with the same number.
    offer_message: [u8; 32],
    key: EpochKey,
}

/// A receiver takes no epoch that ends later than so long from now (E-4): a day. A node's own live an hour, and clocks differ
/// by seconds.
pub const EPOCH_LIFETIME_MAX_MS: u64 = 86_400_000;

/// First byte of a stored epoch.
const RECORD_VERSION: u8 = 1;

impl Epoch {
    pub(crate) fn of(chain: &Chain, offer: &EpochOffer, key: EpochKey) -> Self {
        Epoch {
            id: EpochId { sender: offer.sender, number: offer.epoch },
            members: offer.members.clone(),
            not_after_ms: offer.not_after_ms,
            offer_message: offer.message(chain),
            key,
        }
    }

    pub fn id(&self) -> EpochId {
        self.id
    }

    /// Strictly ascending, the sender included.
    pub fn members(&self) -> &[ParticipantNumber] {
        &self.members
    }

    pub fn not_after_ms(&self) -> u64 {
        self.not_after_ms
    }

    pub(crate) fn key(&self) -> &EpochKey {
        &self.key
    }

    /// Whether this epoch is the one that `offer` offers, to the byte.
    pub fn is_of(&self, chain: &Chain, offer: &EpochOffer) -> bool {
        self.offer_message == offer.message(chain)
    }

    /// From then on nothing sealed under it can still be accepted by the ledger: an envelope is sealed by `not_after_ms` and
    /// expires within the window. Unreleased roots must be stored before the epoch goes (E-4).
    pub fn may_be_destroyed(&self, now_ms: u64, expiry_window_ms: u64) -> bool {
        now_ms > self.not_after_ms.saturating_add(expiry_window_ms)
    }

    /// The whole epoch, key included, for storage under the holder's encryption.
    pub fn record(&self) -> Zeroizing<Vec<u8>> {
        // Longer than any record, so that the vector does not move and leave a copy of the key behind.
        let mut out = Zeroizing::new(Vec::with_capacity(256));
        RECORD_VERSION.encode(&mut out);
        self.id.encode(&mut out);
        self.members.encode(&mut out);
        self.not_after_ms.encode(&mut out);
        self.offer_message.encode(&mut out);
        self.key.bytes().encode(&mut out);
        out
    }

    pub(crate) fn from_record(record: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(record);
        match reader.read::<u8>()? {
            RECORD_VERSION => {}
            byte => return Err(DecodeError::UnknownValue { field: "epoch record version", byte }),
        }
        let id: EpochId = reader.read()?;
        let members: List<ParticipantNumber, MEMBERS_MAX> = reader.read()?;
        if !are_members_of(&members, id.sender) {
            return Err(DecodeError::NotCanonical("epoch members"));
        }
        let not_after_ms = reader.read()?;
        let offer_message = reader.read()?;
        let key = EpochKey::new(Zeroizing::new(reader.array()?));
        reader.end()?;
        Ok(Epoch { id, members, not_after_ms, offer_message, key })
    }
}

/// Strictly ascending, and `participant` is one of them.
pub(crate) fn are_members_of(members: &[ParticipantNumber], participant: ParticipantNumber) -> bool {
    members.is_sorted_by(|a, b| a < b) && members.binary_search(&participant).is_ok()
}

/// HPKE's info: which epoch a key is for, between whom, and for whom of them it is encapsulated (E-2).
pub(crate) fn encapsulation_info(chain: &Chain, offer: &EpochOffer, member: ParticipantNumber) -> [u8; 32] {
    chain.hash(
        Tag::EpochInfo,
        &[
            &offer.sender.0.to_le_bytes(),
            &offer.epoch.to_le_bytes(),
            &offer.members.to_bytes(),
            &member.0.to_le_bytes(),
        ],
    )
}
