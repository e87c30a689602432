//! C-6: an ownership proof shows this coin's tag to this verifier, and nothing of other coins.

use crate::fixture::*;
use ledger_types::ownership::{Challenge, OwnershipProof};
use ledger_types::*;

pub fn challenge() -> Challenge {
    Challenge {
        text: Text::new("counter 4, is this coin yours?").unwrap(),
        nonce: Octets::new(vec![0x5a; 16]).unwrap(),
        not_after_ms: GENESIS_TIME_MS + 120_000,
    }
}

pub fn proof(chain: &Chain) -> OwnershipProof {
    let (coin, opening) = (coin(chain), opening());
    let tag = opening.owner_tag(chain, &coin);
    let signature = key("alice").sign(&OwnershipProof::message(chain, &coin, &tag, &challenge()));
    let tag_blind = opening.tag_blind(chain);
    OwnershipProof { coin, owner: opening.owner, tag_blind, challenge: challenge(), signature }
}

fn is_valid_after(change: impl FnOnce(&mut OwnershipProof), now_ms: u64) -> bool {
    let chain = chain();
    let registered = opening().owner_tag(&chain, &coin(&chain));
    let mut proof = proof(&chain);
    change(&mut proof);
    proof.is_valid_for(&chain, &registered, now_ms)
}

#[test]
fn the_owner_proves_the_registered_tag_until_the_challenge_ends() {
    assert!(is_valid_after(|_| (), GENESIS_TIME_MS));
    assert!(is_valid_after(|_| (), GENESIS_TIME_MS + 120_000));
    assert!(!is_valid_after(|_| (), GENESIS_TIME_MS + 120_001));
}

#[test]
fn a_proof_with_any_changed_field_is_refused() {
    let now = GENESIS_TIME_MS;
    assert!(!is_valid_after(|p| p.coin.0[0] ^= 1, now));
    assert!(!is_valid_after(|p| p.owner = public("bob"), now));
    assert!(!is_valid_after(|p| p.tag_blind[0] ^= 1, now));
    assert!(!is_valid_after(|p| p.challenge.text = Text::new("another question").unwrap(), now));
    assert!(!is_valid_after(|p| p.challenge.nonce = Octets::new(vec![0x5b; 16]).unwrap(), now));
    assert!(!is_valid_after(|p| p.challenge.not_after_ms += 1, now));
    assert!(!is_valid_after(|p| p.signature.0[0] ^= 1, now));
}

#[test]
fn a_proof_for_one_coin_is_none_for_another() {
    let chain = chain();
    let other = OwnerTag([1; 32]);
    assert!(!proof(&chain).is_valid_for(&chain, &other, GENESIS_TIME_MS));
}

#[test]
fn two_coins_of_one_owner_have_tags_without_a_common_part() {
    let chain = chain();
    let (first, second) = (opening(), change());
    let second = ledger_types::coin::Opening { owner: first.owner, ..second };
    let tags = [
        first.owner_tag(&chain, &coin(&chain)),
        second.owner_tag(&chain, &coin(&chain)),
        first.owner_tag(&chain, &CoinId([1; 32])),
    ];
    assert!(tags[0] != tags[1] && tags[0] != tags[2]);
    assert_ne!(first.tag_blind(&chain), second.tag_blind(&chain));
    assert_ne!(first.tag_blind(&chain), first.kappa(&chain).0, "what a spend shows does not unblind the tag");
}
