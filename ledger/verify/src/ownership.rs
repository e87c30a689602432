//! "This coin is mine" (C-6), for a coin whose record was verified.

use crate::coin::VerifiedCoin;
use crate::proof::Answer;
use crate::trust::Trust;
use crate::verdict::Reason;
use ledger_types::ownership::{Challenge, OwnershipProof};

/// Checks an answer to `asked`. It shows who may call the coin theirs in the state that the coin was verified in, no more:
/// whether that state is stale and whether the record says live are for the caller to look at.
pub fn verify_ownership(
    trust: &Trust,
    coin: &VerifiedCoin,
    asked: &Challenge,
    proof: &OwnershipProof,
    now_ms: u64,
) -> Result<(), Reason> {
    if proof.coin != coin.coin() {
        return Err(Reason::OtherCoin);
    }
    // An answer to an older question, perhaps asked by someone else, proves nothing today.
    if proof.challenge != *asked {
        return Err(Reason::OtherChallenge);
    }
    if now_ms > asked.not_after_ms {
        return Err(Reason::ChallengeExpired);
    }
    // The record of a spent coin has the zero tag, which no owner has.
    let tag = proof.tag(trust.chain());
    if !matches!(coin.answer(), Answer::Present(record) if record.tag == tag) {
        return Err(Reason::NotTheOwner);
    }
    if !proof.is_valid_for(trust.chain(), &tag, now_ms) {
        return Err(Reason::ForgedOwnership);
    }
    Ok(())
}
