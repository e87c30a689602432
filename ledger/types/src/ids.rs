//! Identifiers: 32-byte hashes and small numbers, each its own type so that none is taken for another.

use crate::encoding::{Decode, DecodeError, Encode, Reader};
use crate::places::beginning;
use std::cmp::Ordering;
use std::fmt;

macro_rules! hashes {
    ($($(#[$meta:meta])* $name:ident),* $(,)?) => { $(
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
        pub struct $name(pub [u8; 32]);
        impl $name {
            pub const ZERO: $name = $name([0; 32]);
            pub fn from_hex(text: &str) -> Option<Self> {
                let mut bytes = [0; 32];
                hex::decode_to_slice(text, &mut bytes).ok()?;
                Some($name(bytes))
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { write!(f, "{}({})", stringify!($name), hex::encode(&self.0[..6])) }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.write_str(&hex::encode(self.0)) }
        }
        impl Encode for $name {
            fn encode(&self, out: &mut Vec<u8>) { out.extend_from_slice(&self.0); }
        }
        impl Decode for $name {
            fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> { Ok($name(reader.array()?)) }
        }
        impl AsRef<[u8]> for $name {
            fn as_ref(&self) -> &[u8] { &self.0 }
        }
    )* };
}

hashes! {
    /// derive_key("assay genesis v1", document).
    GenesisHash,
    /// Hash of an opening.
    Note,
    /// Which bank may spend the coin, hidden until it is spent.
    Custody,
    /// What opens a custody.
    Kappa,
    /// Where an output comes from: the inputs' ids, or the issue number.
    Origin,
    /// Origin, output index and note; with the custody it makes the coin id.
    CoinLink,
    /// A blinded pseudonym of the owner, different for every coin.
    OwnerTag,
    /// D("terms", contract ‖ policy hash), or zero for plain money.
    Terms,
    EnvelopeId,
    /// Commits to the envelope's root key before anything is decrypted (E-1).
    KeyCommitment,
    Salt,
    BundleDigest,
    BlockHash,
    BatchHash,
    OrderHash,
    StateRoot,
    /// A root in the public log or map: SHA-256, not BLAKE3 (L-4).
    TreeRoot,
    /// A root of [`crate::merkle`].
    MerkleRoot,
    ParticipantsHash,
    ValidatorSetHash,
    /// D("disclosure", coin id ‖ r): which coin a request of the officers is about, and nothing of it.
    RequestCommitment,
    /// D("policy", package): what people read of a contract and what runs.
    PolicyHash,
    /// Names an activation that is not returned, and hides its bank from who does not see the activation (K-4).
    ObligationId,
}

/// A coin as outsiders know it; shown as bech32m `coin1…`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct CoinId(pub [u8; 32]);

/// By their bytes. Sorting and finding coins is a good part of a block's execution, and the first eight bytes nearly always tell.
impl Ord for CoinId {
    #[inline]
    fn cmp(&self, other: &Self) -> Ordering {
        beginning(self).cmp(&beginning(other)).then_with(|| self.0.cmp(&other.0))
    }
}

impl PartialOrd for CoinId {
    #[inline]
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

const COIN_PREFIX: bech32::Hrp = bech32::Hrp::parse_unchecked("coin");

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CoinIdError {
    #[error("a coin id starts with coin1")]
    WrongPrefix,
    #[error("a coin id has {expected} characters, this has {found}")]
    WrongLength { expected: usize, found: usize },
    #[error("the checksum fails: a character is mistyped")]
    Checksum,
    #[error("the last character carries bits that no coin id has")]
    Padding,
}

impl CoinId {
    /// `coin1` and 52 characters of data and 6 of checksum.
    pub const TEXT_LEN: usize = 63;

    pub fn parse(text: &str) -> Result<Self, CoinIdError> {
        if !text.starts_with("coin1") {
            return Err(CoinIdError::WrongPrefix);
        }
        let found = text.chars().count();
        if found != Self::TEXT_LEN {
            return Err(CoinIdError::WrongLength { expected: Self::TEXT_LEN, found });
        }
        let checked = bech32::primitives::decode::CheckedHrpstring::new::<bech32::Bech32m>(text)
            .map_err(|_| CoinIdError::Checksum)?;
        let bytes: Vec<u8> = checked.byte_iter().collect();
        let id = CoinId(bytes.try_into().map_err(|_| CoinIdError::Checksum)?);
        // 52 characters carry 260 bits: without this, sixteen texts with valid checksums would name one coin.
        if id.to_string() != text {
            return Err(CoinIdError::Padding);
        }
        Ok(id)
    }
}

impl fmt::Display for CoinId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&bech32::encode::<bech32::Bech32m>(COIN_PREFIX, &self.0).expect("32 bytes fit a bech32m string"))
    }
}

impl fmt::Debug for CoinId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CoinId({})", hex::encode(&self.0[..6]))
    }
}

impl Encode for CoinId {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0);
    }
}

impl Decode for CoinId {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(CoinId(reader.array()?))
    }
}

impl AsRef<[u8]> for CoinId {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

macro_rules! numbers {
    ($($(#[$meta:meta])* $name:ident($int:ty)),* $(,)?) => { $(
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
        pub struct $name(pub $int);
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { self.0.fmt(f) }
        }
        impl Encode for $name {
            fn encode(&self, out: &mut Vec<u8>) { self.0.encode(out); }
        }
        impl Decode for $name {
            fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> { Ok($name(reader.read()?)) }
        }
    )* };
}

numbers! {
    /// A line of the directory. Banks, the central bank and observers alike.
    ParticipantNumber(u16),
    Height(u64),
    /// A line of issues; 0 marks outputs whose inputs had different series (C-4).
    SeriesNumber(u32),
    /// Of the ledger's rules; the genesis has 1 (B-13).
    RulesVersion(u8),
    /// 0 is plain money.
    ContractNumber(u32),
    /// Of a contract's policy; dense from 1.
    PolicyVersion(u32),
    /// Dense from 1.
    FeedNumber(u32),
    /// Counted in the feed's frequency, so that the one before a period is one less.
    Period(u32),
    /// 0 first, then one more a revision.
    Vintage(u32),
    /// Confirmation batches are numbered without gaps; batch 0 is the genesis.
    BatchNumber(u64),
}

impl ParticipantNumber {
    /// The registration centre's lane. It is no line of the directory; its key is the central bank's `registration` key.
    pub const REGISTRATION: ParticipantNumber = ParticipantNumber(u16::MAX);
}

impl Height {
    pub const GENESIS: Height = Height(0);

    pub fn next(self) -> Height {
        Height(self.0.checked_add(1).expect("2^64 heights are not reached"))
    }
}

/// Lets a receiver find its envelopes with one look-up (rule E, hint).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct EnvelopeHint(pub [u8; 16]);

impl Encode for EnvelopeHint {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0);
    }
}

impl Decode for EnvelopeHint {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(EnvelopeHint(reader.array()?))
    }
}

/// ISO 4217 letters.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Currency(pub [u8; 3]);

impl Currency {
    pub fn parse(text: &str) -> Option<Self> {
        let bytes: [u8; 3] = text.as_bytes().try_into().ok()?;
        bytes.iter().all(u8::is_ascii_uppercase).then_some(Currency(bytes))
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Encode for Currency {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0);
    }
}

impl Decode for Currency {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let bytes: [u8; 3] = reader.array()?;
        if !bytes.iter().all(u8::is_ascii_uppercase) {
            return Err(DecodeError::NotCanonical("currency"));
        }
        Ok(Currency(bytes))
    }
}

/// Money in minor units. Arithmetic returns a result; sums are taken in `u128`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Amount(pub u64);

impl Amount {
    pub fn checked_add(self, other: Amount) -> Option<Amount> {
        self.0.checked_add(other.0).map(Amount)
    }

    pub fn checked_sub(self, other: Amount) -> Option<Amount> {
        self.0.checked_sub(other.0).map(Amount)
    }

    pub fn sum(amounts: impl IntoIterator<Item = Amount>) -> u128 {
        amounts.into_iter().map(|amount| u128::from(amount.0)).sum()
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Encode for Amount {
    fn encode(&self, out: &mut Vec<u8>) {
        self.0.encode(out);
    }
}

impl Decode for Amount {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Amount(reader.read()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn coin_ids_are_in_the_order_of_their_bytes(mut one: [u8; 32], other: [u8; 32], alike in 0..=32usize) {
            one[..alike].copy_from_slice(&other[..alike]);
            prop_assert_eq!(CoinId(one).cmp(&CoinId(other)), one.cmp(&other));
            prop_assert_eq!(CoinId(one).partial_cmp(&CoinId(other)), one.partial_cmp(&other));
        }
    }
}
