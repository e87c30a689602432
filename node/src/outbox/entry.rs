//! What registration tells confirmation issuance.
//!
//! ```text
//! entry  = sequence u64 ‖ previous hash[32] ‖ kind u8 ‖ event           kind: 1 confirmed, 2 overdue, 3 cleared,
//!                                                                         4 requested, 5 changed
//! hash   = BLAKE3 derive_key("assay outbox entry v1", entry)           previous: of the entry before, zero in the first
//! ```
//! The hash of one entry thus stands for all before it: who keeps the last one notices when a number comes again with another
//! content (R-3), as from a registration database that was restored from a backup.
//!
//! The owner's key and the tag's blind stand here still; confirmation issuance turns them into the owner tag and says no more.

use ledger_types::coin::{INPUTS_BY_ID_MAX, OUTPUTS_MAX, owner_tag};
use ledger_types::confirmation::{Overdue, RecordStatus};
use ledger_types::keys::PublicKey;
use ledger_types::{Chain, CoinId, Decode, DecodeError, Encode, EnvelopeId, List, OwnerTag, Reader, layout};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Dense from 1.
    pub sequence: u64,
    pub previous: EntryHash,
    pub event: Event,
}
layout!(Entry { sequence, previous, event });

/// An entry and all before it. Says nothing of them to who does not know them: each has a random blind, or is public.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntryHash(pub [u8; 32]);

impl EntryHash {
    /// Before the first entry.
    pub const NONE: EntryHash = EntryHash([0; 32]);
}

impl Encode for EntryHash {
    fn encode(&self, out: &mut Vec<u8>) {
        self.0.encode(out);
    }
}

impl Decode for EntryHash {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(EntryHash(reader.read()?))
    }
}

impl Entry {
    pub fn hash(&self) -> EntryHash {
        let bytes = zeroize::Zeroizing::new(self.to_bytes());
        EntryHash(blake3::derive_key("assay outbox entry v1", &bytes))
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    Confirmed(Confirmed),
    Overdue(Overdue),
    Cleared(Overdue),
    /// An envelope was accepted whose leaf enters the log with the next batch, so there is to be one (L-1): a request of the
    /// officers, an order about a contract or a feed, a publication.
    Announced(EnvelopeId),
    Changed(Changed),
}

/// A coin that is frozen or let go, for a request of the officers that stands in the log (R-3, R-5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Changed {
    pub coin: CoinId,
    /// Frozen or live.
    pub status: RecordStatus,
    /// As it was recorded before.
    pub tag: OwnerTag,
}
layout!(Changed { coin, status, tag });

/// An envelope that registration has opened, judged and booked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confirmed {
    pub envelope: EnvelopeId,
    pub spent: List<CoinId, INPUTS_BY_ID_MAX>,
    pub outputs: List<ConfirmedOutput, OUTPUTS_MAX>,
    /// An issue or redeem that is good: its public amount moves into the totals.
    pub settled: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfirmedOutput {
    pub coin: CoinId,
    pub status: RecordStatus,
    /// The number of the failed check; zero unless disputed.
    pub failed_check: u16,
    /// None when the coin's opening is not known.
    pub tag: Option<TagOpening>,
}
layout!(ConfirmedOutput { coin, status, failed_check, tag });

/// What an owner tag is made of (rules C).
#[derive(Clone, PartialEq, Eq)]
pub struct TagOpening {
    pub owner: PublicKey,
    pub blind: [u8; 32],
}
layout!(TagOpening { owner, blind });

impl TagOpening {
    pub fn tag(&self, chain: &Chain, coin: &CoinId) -> OwnerTag {
        owner_tag(chain, coin, &self.owner, &self.blind)
    }
}

impl std::fmt::Debug for TagOpening {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TagOpening(secret)")
    }
}

impl Encode for Confirmed {
    fn encode(&self, out: &mut Vec<u8>) {
        self.envelope.encode(out);
        self.spent.encode(out);
        self.outputs.encode(out);
        u8::from(self.settled).encode(out);
    }
}

impl Decode for Confirmed {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let (envelope, spent, outputs) = (reader.read()?, reader.read()?, reader.read()?);
        let settled = match reader.read::<u8>()? {
            0 => false,
            1 => true,
            byte => return Err(DecodeError::UnknownValue { field: "settled", byte }),
        };
        Ok(Confirmed { envelope, spent, outputs, settled })
    }
}

impl Encode for Event {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Event::Confirmed(confirmed) => {
                out.push(1);
                confirmed.encode(out);
            }
            Event::Overdue(overdue) => {
                out.push(2);
                overdue.encode(out);
            }
            Event::Cleared(overdue) => {
                out.push(3);
                overdue.encode(out);
            }
            Event::Announced(envelope) => {
                out.push(4);
                envelope.encode(out);
            }
            Event::Changed(changed) => {
                out.push(5);
                changed.encode(out);
            }
        }
    }
}

impl Decode for Event {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(match reader.read::<u8>()? {
            1 => Event::Confirmed(reader.read()?),
            2 => Event::Overdue(reader.read()?),
            3 => Event::Cleared(reader.read()?),
            4 => Event::Announced(reader.read()?),
            5 => Event::Changed(reader.read()?),
            byte => return Err(DecodeError::UnknownValue { field: "outbox event", byte }),
        })
    }
}
