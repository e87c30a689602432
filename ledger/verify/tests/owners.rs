//! Whose coin it is (C-6), for a coin whose record was verified.

use crate::chain;

use chain::*;
use ledger_types::encoding::{Octets, Text};
use ledger_types::ownership::{Challenge, OwnershipProof};
use ledger_types::{CoinId, OwnerTag};
use ledger_verify::*;

fn challenge() -> Challenge {
    let (text, nonce) = (Text::new("Order 7 at the market").unwrap(), Octets::new(vec![9; 16]).unwrap());
    Challenge { text, nonce, not_after_ms: NOW_MS + 60_000 }
}

/// What the owner of coin `number` answers about the coin `about`.
fn answer(registry: &Registry, number: u8, about: CoinId, challenge: &Challenge) -> OwnershipProof {
    let (chain, opening, secret) =
        (&registry.chain, opening(&registry.chain, number), key(Purpose::Owner, number.into()));
    let message = OwnershipProof::message(chain, &about, &opening.owner_tag(chain, &about), challenge);
    OwnershipProof {
        coin: about,
        owner: secret.public_key(),
        tag_blind: opening.tag_blind(chain),
        challenge: challenge.clone(),
        signature: secret.sign(&message),
    }
}

fn verified(registry: &Registry, coin: CoinId) -> VerifiedCoin {
    verify_coin(&registry.trust(), &coin, &registry.coin_proof(coin), NOW_MS).verified().unwrap()
}

#[test]
fn the_owner_shows_the_registered_tag_c6() {
    let registry = Registry::new();
    let coin = issued_coin(&registry.chain, 2);
    let proof = answer(&registry, 2, coin, &challenge());
    let verified = verified(&registry, coin);
    assert_eq!(verify_ownership(&registry.trust(), &verified, &challenge(), &proof, NOW_MS), Ok(()));
}

#[test]
fn every_other_answer_is_refused_by_name_c6() {
    let mut registry = Registry::new();
    let spent = [registry.spent(3)];
    registry.confirm(2, &spent);
    let trust = registry.trust();
    let coin = issued_coin(&registry.chain, 2);
    let shown = verified(&registry, coin);
    let asked = challenge();
    let honest = answer(&registry, 2, coin, &asked);
    let judge = |proof: &OwnershipProof| verify_ownership(&trust, &shown, &asked, proof, NOW_MS);
    assert_eq!(judge(&honest), Ok(()));

    let stranger = answer(&registry, 1, coin, &asked);
    assert_eq!(judge(&stranger), Err(Reason::NotTheOwner));
    let other_coin = answer(&registry, 2, issued_coin(&registry.chain, 1), &asked);
    assert_eq!(judge(&other_coin), Err(Reason::OtherCoin));
    let earlier = Challenge { nonce: Octets::new(vec![8; 16]).unwrap(), ..asked.clone() };
    assert_eq!(judge(&answer(&registry, 2, coin, &earlier)), Err(Reason::OtherChallenge));
    // The tag and blind are right, the key's holder did not sign: what a past viewer of the answer could build.
    let mut unsigned = honest.clone();
    unsigned.signature = key(Purpose::Owner, 1).sign(b"anything");
    assert_eq!(judge(&unsigned), Err(Reason::ForgedOwnership));
    let late = verify_ownership(&trust, &shown, &asked, &honest, asked.not_after_ms + 1);
    assert_eq!(late, Err(Reason::ChallengeExpired));

    // The record of a spent coin has no tag, and an unknown coin has no record.
    let gone = issued_coin(&registry.chain, 3);
    let verdict =
        verify_ownership(&trust, &verified(&registry, gone), &asked, &answer(&registry, 3, gone, &asked), NOW_MS);
    assert_eq!(verdict, Err(Reason::NotTheOwner));
    let unknown = issued_coin(&registry.chain, 90);
    let proof = answer(&registry, 90, unknown, &asked);
    assert_ne!(proof.tag(&registry.chain), OwnerTag::ZERO);
    assert_eq!(
        verify_ownership(&trust, &verified(&registry, unknown), &asked, &proof, NOW_MS),
        Err(Reason::NotTheOwner)
    );
}
