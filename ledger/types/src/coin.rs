//! Coins (rules C): from an opening to a coin id, and what the ledger keeps of it.

use crate::domain::{Chain, Tag};
use crate::encoding::{Decode, DecodeError, Encode, Reader};
use crate::ids::*;
use crate::keys::PublicKey;
use crate::secret::{debug_shows_no_field, wipes_rho};
use crate::{layout, numbered};
use zeroize::Zeroizing;

/// Every input and output count of a spending envelope.
pub const SPENDS_MAX: usize = 8;
pub const OUTPUTS_MAX: usize = 8;
/// Inputs of recover and reclaim.
pub const INPUTS_BY_ID_MAX: usize = 1000;

/// The secret behind a coin id. Whoever holds it can check amount and owner; it is not the right to spend.
#[derive(Clone, PartialEq, Eq)]
pub struct Opening {
    pub amount: Amount,
    pub currency: Currency,
    pub series: SeriesNumber,
    pub terms: Terms,
    pub owner: PublicKey,
    pub rho: [u8; 32],
}
layout!(Opening { amount, currency, series, terms, owner, rho });

debug_shows_no_field!(Opening);
wipes_rho!(Opening);

impl Opening {
    pub fn note(&self, chain: &Chain) -> Note {
        Note(chain.hash(Tag::Note, &[&Zeroizing::new(self.to_bytes())]))
    }

    pub fn kappa(&self, chain: &Chain) -> Kappa {
        Kappa(chain.hash(Tag::CustodyBlind, &[&self.rho]))
    }

    pub fn custody(&self, chain: &Chain, bank: ParticipantNumber) -> Custody {
        custody(chain, bank, &self.kappa(chain))
    }

    /// What blinds the owner tag; shown in an ownership proof, it unblinds this coin's tag and nothing else (C-6).
    pub fn tag_blind(&self, chain: &Chain) -> [u8; 32] {
        chain.hash(Tag::TagBlind, &[&self.rho])
    }

    pub fn owner_tag(&self, chain: &Chain, coin: &CoinId) -> OwnerTag {
        owner_tag(chain, coin, &self.owner, &self.tag_blind(chain))
    }

    pub fn coin_id(&self, chain: &Chain, origin: &Origin, output_index: u8, bank: ParticipantNumber) -> CoinId {
        let link = coin_link(chain, origin, output_index, &self.note(chain));
        coin_id(chain, &link, &self.custody(chain, bank))
    }
}

pub fn custody(chain: &Chain, bank: ParticipantNumber, kappa: &Kappa) -> Custody {
    Custody(chain.hash(Tag::Custody, &[&bank.0.to_le_bytes(), &kappa.0]))
}

/// The origin of outputs of an envelope with inputs; `inputs` ascending.
pub fn origin(chain: &Chain, inputs: &[CoinId]) -> Origin {
    let mut bytes = Vec::with_capacity(2 + 32 * inputs.len());
    (inputs.len() as u16).encode(&mut bytes);
    inputs.iter().for_each(|id| id.encode(&mut bytes));
    Origin(chain.hash(Tag::Origin, &[&bytes]))
}

/// Issue numbers are dense per series (C-1).
pub fn issue_origin(chain: &Chain, series: SeriesNumber, issue_number: u64) -> Origin {
    Origin(chain.hash(Tag::IssueOrigin, &[&series.0.to_le_bytes(), &issue_number.to_le_bytes()]))
}

pub fn coin_link(chain: &Chain, origin: &Origin, output_index: u8, note: &Note) -> CoinLink {
    CoinLink(chain.hash(Tag::Link, &[&origin.0, &[output_index], &note.0]))
}

pub fn coin_id(chain: &Chain, link: &CoinLink, custody: &Custody) -> CoinId {
    CoinId(chain.hash(Tag::Coin, &[&link.0, &custody.0]))
}

pub fn owner_tag(chain: &Chain, coin: &CoinId, owner: &PublicKey, tag_blind: &[u8; 32]) -> OwnerTag {
    OwnerTag(chain.hash(Tag::OwnerTag, &[&coin.0, &owner.0, tag_blind]))
}

pub fn preissue_rho(chain: &Chain, seed: &[u8; 32], index: u32) -> [u8; 32] {
    chain.hash(Tag::PreissueRho, &[seed, &index.to_le_bytes()])
}

numbered! {
    /// What the ledger says of a coin. A spent coin is deleted from the state (C); its last record says spent.
    pub enum CoinStatus {
        Unconfirmed = 1,
        Live = 2,
        Frozen = 3,
        Disputed = 4,
    }
}

/// The state's line for one coin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Coin {
    pub status: CoinStatus,
    /// 0 for plain money; else the coin is inert under this contract (K-4).
    pub contract: ContractNumber,
    /// Of an inert coin: when it was issued, and for change the oldest of what it was made of, from which its idle window runs
    /// (K-3). 0 for plain money, and then in no bytes.
    pub issued_ms: u64,
}

impl Coin {
    pub const fn plain(status: CoinStatus) -> Self {
        Coin { status, contract: ContractNumber(0), issued_ms: 0 }
    }

    pub const fn is_plain(&self) -> bool {
        self.contract.0 == 0
    }
}

impl Encode for Coin {
    fn encode(&self, out: &mut Vec<u8>) {
        self.status.encode(out);
        self.contract.encode(out);
        if !self.is_plain() {
            self.issued_ms.encode(out);
        }
    }
}

impl Decode for Coin {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let (status, contract) = (reader.read()?, reader.read()?);
        let issued_ms = if contract == ContractNumber(0) { 0 } else { reader.read()? };
        Ok(Coin { status, contract, issued_ms })
    }
}
