//! Requests of the officers (R-5): to open one coin, to freeze it, to let it go. Public before anything can follow from them.
//!
//! ```text
//! request    = class u8 ‖ basis u8[8] ‖ epoch u64 ‖ commitment
//! commitment = D("disclosure", coin id ‖ r[32])          epoch = the day on which its envelope expires, from 1970 on
//! ```
//! The commitment says nothing of its target to who does not know r, and no second coin opens it.

use crate::domain::{Chain, Tag};
use crate::encoding::{Decode, DecodeError, Encode, Reader};
use crate::ids::{CoinId, RequestCommitment};
use crate::{layout, numbered};
use std::fmt;

pub const EPOCH_MS: u64 = 86_400_000;

numbered! {
    /// What the officers ask for.
    pub enum RequestClass {
        /// Officers' shares open the envelope that made the coin.
        Disclose = 1,
        Freeze = 2,
        Unfreeze = 3,
    }
}

impl RequestClass {
    /// As the command line, the interface and the log of a node name it.
    pub const fn as_str(self) -> &'static str {
        match self {
            RequestClass::Disclose => "disclose",
            RequestClass::Freeze => "freeze",
            RequestClass::Unfreeze => "unfreeze",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        RequestClass::ALL.iter().copied().find(|class| class.as_str() == text)
    }
}

/// The legal basis of a request, public: 1 to 8 of `A`–`Z`, `0`–`9` and `-`, then zero bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BasisCode([u8; 8]);

impl BasisCode {
    pub fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; 8];
        bytes.get_mut(..text.len())?.copy_from_slice(text.as_bytes());
        BasisCode::of_bytes(bytes)
    }

    fn of_bytes(bytes: [u8; 8]) -> Option<Self> {
        let length = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
        let (text, rest) = bytes.split_at(length);
        let is_text = text.iter().all(|byte| matches!(byte, b'A'..=b'Z' | b'0'..=b'9' | b'-'));
        (!text.is_empty() && is_text && rest.iter().all(|byte| *byte == 0)).then_some(BasisCode(bytes))
    }

    pub fn as_str(&self) -> &str {
        let length = self.0.iter().position(|byte| *byte == 0).unwrap_or(self.0.len());
        std::str::from_utf8(&self.0[..length]).expect("a basis code is ASCII")
    }
}

impl fmt::Display for BasisCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for BasisCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BasisCode({self})")
    }
}

impl Encode for BasisCode {
    fn encode(&self, out: &mut Vec<u8>) {
        self.0.encode(out);
    }
}

impl Decode for BasisCode {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        BasisCode::of_bytes(reader.read()?).ok_or(DecodeError::NotCanonical("basis code"))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OfficerRequest {
    pub class: RequestClass,
    pub basis: BasisCode,
    /// Days since 1970.
    pub epoch: u64,
    pub commitment: RequestCommitment,
}
layout!(OfficerRequest { class, basis, epoch, commitment });

impl OfficerRequest {
    /// Nobody acts on a request after the day that follows its epoch.
    pub fn serves_at(&self, now_ms: u64) -> bool {
        now_ms / EPOCH_MS <= self.epoch.saturating_add(1)
    }

    /// Whether this is a request about this coin.
    pub fn is_about(&self, chain: &Chain, coin: &CoinId, blind: &[u8; 32]) -> bool {
        self.commitment == request_commitment(chain, coin, blind)
    }
}

/// `blind` is random and used for this request only.
pub fn request_commitment(chain: &Chain, coin: &CoinId, blind: &[u8; 32]) -> RequestCommitment {
    RequestCommitment(chain.hash(Tag::Disclosure, &[&coin.0, blind]))
}

/// What is counted in public.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RequestKind {
    pub class: RequestClass,
    pub basis: BasisCode,
}
layout!(RequestKind { class, basis });
