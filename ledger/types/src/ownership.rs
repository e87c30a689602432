//! Ownership proof (C-6): "the registered tag of this coin is mine", and nothing about any other coin.

use crate::coin::owner_tag;
use crate::domain::{Chain, Tag};
use crate::encoding::{Encode, Octets, Text};
use crate::ids::*;
use crate::keys::{PublicKey, Signature};
use crate::layout;

/// The verifier's question; a fresh nonce keeps an answer from being shown again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    pub text: Text<256>,
    pub nonce: Octets<32>,
    pub not_after_ms: u64,
}
layout!(Challenge { text, nonce, not_after_ms });

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnershipProof {
    pub coin: CoinId,
    pub owner: PublicKey,
    pub tag_blind: [u8; 32],
    pub challenge: Challenge,
    pub signature: Signature,
}
layout!(OwnershipProof { coin, owner, tag_blind, challenge, signature });

impl OwnershipProof {
    pub fn message(chain: &Chain, coin: &CoinId, tag: &OwnerTag, challenge: &Challenge) -> [u8; 32] {
        chain.hash(Tag::Ownership, &[&coin.0, &tag.0, &challenge.to_bytes()])
    }

    /// The tag that the proof is about. The caller compares it with the coin's confirmed record.
    pub fn tag(&self, chain: &Chain) -> OwnerTag {
        owner_tag(chain, &self.coin, &self.owner, &self.tag_blind)
    }

    pub fn is_valid_for(&self, chain: &Chain, registered: &OwnerTag, now_ms: u64) -> bool {
        let tag = self.tag(chain);
        tag == *registered
            && now_ms <= self.challenge.not_after_ms
            && self.owner.verify(&Self::message(chain, &self.coin, &tag, &self.challenge), &self.signature)
    }
}
