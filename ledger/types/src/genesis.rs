//! The genesis document (G-1): everything that a verifier pins.
//!
//! genesis_hash = BLAKE3 derive_key("assay genesis v1", document), over the document's canonical bytes.

use crate::coin::{Opening, preissue_rho};
use crate::domain::Chain;
use crate::encoding::{Decode, DecodeError, Encode, List, Text};
use crate::ids::{Amount, Currency, GenesisHash, ParticipantNumber, SeriesNumber, Terms};
use crate::keys::PublicKey;
use crate::participant::Directory;
use crate::{kem, layout, numbered};

numbered! {
    /// How epoch keys are established (E-2).
    pub enum KemSuite {
        /// DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM.
        X25519 = 1,
        /// X-Wing (ML-KEM-768 and X25519), HKDF-SHA256, AES-256-GCM.
        XWing = 2,
    }
}

impl KemSuite {
    pub const fn public_key_bytes(self) -> usize {
        match self {
            KemSuite::X25519 => 32,
            KemSuite::XWing => 1216,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Series {
    pub number: SeriesNumber,
    pub name: Text<32>,
}
layout!(Series { number, name });

/// Coins that exist from the start, derived from a public seed; they enter live with batch 0. Their openings are public.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preissue {
    pub series: SeriesNumber,
    pub seed: [u8; 32],
    pub bank: ParticipantNumber,
    pub owner: PublicKey,
    pub amount: Amount,
    pub count: u32,
}
layout!(Preissue { series, seed, bank, owner, amount, count });

impl Preissue {
    /// The opening of the coin `index` of this line; its origin is the issue origin of `first_issue_number + index`.
    pub fn opening(&self, chain: &Chain, currency: Currency, index: u32) -> Opening {
        Opening {
            amount: self.amount,
            currency,
            series: self.series,
            terms: Terms::ZERO,
            owner: self.owner,
            rho: preissue_rho(chain, &self.seed, index),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Genesis {
    pub version: u8,
    pub currency: Currency,
    /// Decimal places of the minor unit.
    pub exponent: u8,
    pub kem_suite: KemSuite,
    pub time_ms: u64,
    /// The public log's origin line (C2SP checkpoint).
    pub origin: Text<64>,
    pub officers: List<PublicKey, 16>,
    /// k of the n officers authorise recover, participant update and hand-over.
    pub officer_threshold: u8,
    /// How many generations of unconfirmed coins may be spent: 0, a coin is spent only when confirmed (C-3).
    pub unconfirmed_depth_max: u8,
    pub expiry_window_ms: u64,
    pub release_deadline_ms: u64,
    pub bytes_per_submitter_per_height: u64,
    pub batch_records_max: u32,
    pub series: List<Series, 256>,
    pub preissues: List<Preissue, 256>,
    pub directory: Directory,
}
layout!(Genesis {
    version,
    currency,
    exponent,
    kem_suite,
    time_ms,
    origin,
    officers,
    officer_threshold,
    unconfirmed_depth_max,
    expiry_window_ms,
    release_deadline_ms,
    bytes_per_submitter_per_height,
    batch_records_max,
    series,
    preissues,
    directory,
});

pub const GENESIS_VERSION: u8 = 1;
/// A series of 10^7 pre-issued coins is a bench, not a currency; beyond it the genesis is refused.
pub const PREISSUED_COINS_MAX: u64 = 20_000_000;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GenesisError {
    #[error("the genesis document does not decode: {0}")]
    Decode(#[from] DecodeError),
    #[error("genesis version {0} is not supported")]
    Version(u8),
    #[error("unconfirmed_depth_max must be 0")]
    UnconfirmedDepth,
    #[error("the officers' threshold must lie between 1 and their number, and their keys be sound and distinct")]
    Officers,
    #[error("series must be numbered 1, 2, 3 … without gaps")]
    Series,
    #[error(
        "a pre-issue names an unknown series, a participant that is no bank, a zero amount, an unsound owner key, \
         or no or too many coins"
    )]
    Preissue,
    #[error("the KEM key of participant {0} has not the suite's length, or is unsound")]
    KemKey(ParticipantNumber),
    #[error("{0} is out of its range")]
    Limit(&'static str),
    #[error("the origin must be printable ASCII without spaces or plus signs")]
    Origin,
}

impl Genesis {
    /// Decodes a document from its canonical bytes and checks G-1 and G-2.
    pub fn parse(document: &[u8]) -> Result<Self, GenesisError> {
        let genesis = Genesis::from_bytes(document)?;
        genesis.check()?;
        Ok(genesis)
    }

    pub fn check(&self) -> Result<(), GenesisError> {
        if self.version != GENESIS_VERSION {
            return Err(GenesisError::Version(self.version));
        }
        if self.unconfirmed_depth_max != 0 {
            return Err(GenesisError::UnconfirmedDepth);
        }
        let mut officers = self.officers.to_vec();
        officers.sort();
        officers.dedup();
        let threshold = usize::from(self.officer_threshold);
        if threshold == 0
            || threshold > officers.len()
            || officers.len() != self.officers.len()
            || !officers.iter().all(PublicKey::is_sound)
        {
            return Err(GenesisError::Officers);
        }
        if self.series.is_empty() || !self.series.iter().zip(1u32..).all(|(series, number)| series.number.0 == number) {
            return Err(GenesisError::Series);
        }
        for p in self.directory.iter() {
            if !kem::public_key_is_sound(self.kem_suite, &p.keys.kem) {
                return Err(GenesisError::KemKey(p.number));
            }
        }
        let mut preissued = 0u64;
        for line in &self.preissues {
            preissued = preissued.saturating_add(u64::from(line.count));
            let bank = self.directory.get(line.bank);
            let known = line.series.0 >= 1
                && line.series.0 as usize <= self.series.len()
                && bank.is_some_and(|p| p.is_central_bank() || p.is_commercial_bank());
            let counts = line.amount.0 > 0 && line.count > 0 && preissued <= PREISSUED_COINS_MAX;
            if !known || !counts || !line.owner.is_sound() {
                return Err(GenesisError::Preissue);
            }
        }
        let origin = self.origin.as_str();
        if origin.is_empty() || !origin.bytes().all(|b| b.is_ascii_graphic() && b != b'+') {
            return Err(GenesisError::Origin);
        }
        for (name, value, range) in [
            ("exponent", u64::from(self.exponent), 0..=6),
            ("expiry_window_ms", self.expiry_window_ms, 1_000..=86_400_000),
            ("release_deadline_ms", self.release_deadline_ms, 1_000..=7 * 86_400_000),
            ("bytes_per_submitter_per_height", self.bytes_per_submitter_per_height, 65_536..=1 << 30),
            ("batch_records_max", u64::from(self.batch_records_max), 1..=crate::confirmation::BATCH_RECORDS_MAX as u64),
        ] {
            if !range.contains(&value) {
                return Err(GenesisError::Limit(name));
            }
        }
        Ok(())
    }

    /// The key name of a validator's cosignatures in a checkpoint note; the log's own key name is the origin (L-2).
    pub fn cosigner_name(&self, validator: ParticipantNumber) -> String {
        format!("{}/{validator}", self.origin.as_str())
    }

    pub fn hash(&self) -> GenesisHash {
        GenesisHash(blake3::derive_key("assay genesis v1", &self.to_bytes()))
    }

    pub fn chain(&self) -> Chain {
        Chain::new(self.hash())
    }
}
