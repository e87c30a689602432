//! "This coin is mine" (C-6), said by the bank that holds the wallet's keys, and the opening that the holder may show.
//!
//! - Only of a coin in the own custody, and signed by no key but the one that its opening names.
//! - What leaves is about this coin alone: its own key and the blind of its own tag, which lead to no other coin's.

use super::desk::{Inner, Shared};
use crate::wallet_keys::owner_key;
use ledger_types::CoinId;
use ledger_types::keys::SigningKey;
use ledger_types::ownership::{Challenge, OwnershipProof};
use ledger_types::{Chain, Encode};
use node_api::desk as doc;

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotProved {
    #[error("this bank holds no such coin")]
    NotHeld,
    #[error("the challenge has expired: whoever asked takes no answer any more")]
    Expired,
    #[error("the coin's owner is not a key of its wallet")]
    OtherOwner,
}

impl Inner {
    /// The key comes out of the wallet's seed and is wiped when the answer is made.
    pub fn prove_ownership(
        &self,
        shared: &Shared,
        coin: &CoinId,
        challenge: Challenge,
        now_ms: u64,
    ) -> Result<OwnershipProof, NotProved> {
        if now_ms > challenge.not_after_ms {
            return Err(NotProved::Expired);
        }
        let held = shared.book.coins.get(coin).ok_or(NotProved::NotHeld)?;
        let wallet = shared.book.wallets.get(&held.wallet).ok_or(NotProved::NotHeld)?;
        let key = owner_key(&wallet.seed, held.key_index);
        if key.public_key() != held.opening.owner {
            return Err(NotProved::OtherOwner);
        }
        Ok(prove(self.chain(), *coin, held.opening.tag_blind(self.chain()), &key, challenge))
    }

    pub fn opening_of(&self, shared: &Shared, coin: &CoinId) -> Option<doc::CoinOpening> {
        let held = shared.book.coins.get(coin)?;
        Some(doc::CoinOpening {
            coin: held.id.to_string(),
            opening: hex::encode(held.opening.to_bytes()),
            origin: held.origin.to_string(),
            output_index: held.output_index,
            bank: self.me.0,
        })
    }
}

fn prove(chain: &Chain, coin: CoinId, tag_blind: [u8; 32], key: &SigningKey, challenge: Challenge) -> OwnershipProof {
    let owner = key.public_key();
    let tag = ledger_types::coin::owner_tag(chain, &coin, &owner, &tag_blind);
    let signature = key.sign(&OwnershipProof::message(chain, &coin, &tag, &challenge));
    OwnershipProof { coin, owner, tag_blind, challenge, signature }
}
