//! Every single bit of a valid proof, flipped: none is accepted.
//!
//! All four validators signed, so a flip that merely lost a cosignature would still leave a quorum. That it is refused all
//! the same is the rule that every signature line of a proof must hold.

use crate::chain;

use chain::*;
use ledger_tree::map::Prefix;
use ledger_types::block::Acknowledgement;
use ledger_types::encoding::{Decode, Encode};
use ledger_verify::*;

/// Calls `accepts` with each one-bit neighbour of `bytes`, and says which of them were accepted, and how many there were.
fn accepted_flips(bytes: &[u8], accepts: impl Fn(&[u8]) -> bool) -> (Vec<usize>, usize) {
    assert!(accepts(bytes), "the honest bytes are accepted");
    let mut bytes = bytes.to_vec();
    let bits = 8 * bytes.len();
    let flipped = |bit: &usize| {
        bytes[bit / 8] ^= 1 << (bit % 8);
        let accepted = accepts(&bytes);
        bytes[bit / 8] ^= 1 << (bit % 8);
        accepted
    };
    ((0..bits).filter(flipped).collect(), bits)
}

fn grown() -> Registry {
    let mut registry = Registry::new();
    let lines: Vec<_> = (4..=40).map(|number| registry.live(number)).collect();
    registry.confirm(2, &lines);
    registry
}

#[test]
fn no_bit_of_a_coin_proof_can_be_flipped() {
    let registry = grown();
    let trust = registry.trust();
    let mut tried = 0;
    // One that is there, and one that is not.
    for number in [7, 90] {
        let coin = issued_coin(&registry.chain, number);
        let accepts = |bytes: &[u8]| {
            let proof = CoinProof::from_bytes(bytes);
            proof.is_ok_and(|proof| verify_coin(&trust, &coin, &proof, NOW_MS).is_verified())
        };
        let bytes = registry.coin_proof(coin).to_bytes();
        let (accepted, bits) = accepted_flips(&bytes, accepts);
        assert_eq!(accepted, [], "bits of the proof of coin {number}");
        tried += bits;
    }
    assert!(tried >= 10_000, "{tried} bits");
}

#[test]
fn no_bit_of_a_request_proof_can_be_flipped() {
    let mut registry = Registry::new();
    let request = registry.request(ledger_types::request::RequestClass::Disclose, 2);
    registry.log_request(request);
    let lines: Vec<_> = (4..=40).map(|number| registry.live(number)).collect();
    registry.confirm(2, &lines);
    let (trust, coin) = (registry.trust(), issued_coin(&registry.chain, 2));
    let accepts = |bytes: &[u8]| {
        let proof = RequestProof::from_bytes(bytes);
        proof.is_ok_and(|proof| verify_request(&trust, &coin, &[2; 32], &proof, NOW_MS).is_verified())
    };
    let (accepted, _) = accepted_flips(&registry.request_proof(request).to_bytes(), accepts);
    assert_eq!(accepted, []);
}

#[test]
fn no_bit_of_a_bucket_can_be_flipped() {
    let registry = grown();
    let trust = registry.trust();
    let asked = Prefix::of(&record_key(&issued_coin(&registry.chain, 7)), 3).unwrap();
    let accepts = |bytes: &[u8]| {
        let proof = BucketProof::from_bytes(bytes);
        proof.is_ok_and(|proof| verify_bucket(&trust, &asked, &proof, NOW_MS).is_verified())
    };
    let (accepted, bits) = accepted_flips(&registry.bucket_proof(asked).to_bytes(), accepts);
    assert_eq!(accepted, []);
    assert!(bits >= 10_000, "{bits} bits");
}

#[test]
fn a_flip_never_costs_a_signer_in_silence() {
    let registry = grown();
    let trust = registry.trust();
    let proof = registry.state_proof();
    let first = proof.to_bytes().len() - proof.checkpoint.len();
    let bytes = proof.to_bytes();
    for bit in 8 * first..8 * bytes.len() {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let decoded = StateProof::from_bytes(&flipped).expect("the note is a byte string");
        assert!(matches!(verify_state(&trust, &decoded, NOW_MS), Verdict::Invalid(_)), "bit {bit}");
    }
}

/// The path's length and the sides of its steps say where the leaf stands; index and count only choose among the readings of
/// one path (B-2). A flip there may be accepted, and then proves the same verdict on the same envelope.
#[test]
fn no_bit_of_an_acknowledgement_can_be_flipped_save_in_where_its_leaf_stands() {
    let registry = grown();
    let trust = registry.trust();
    let acknowledgement = registry.acknowledgement(1);
    let honest = verify_acknowledgement(&trust, &acknowledgement).verified().unwrap();
    let accepts = |bytes: &[u8]| {
        let Ok(decoded) = Acknowledgement::from_bytes(bytes) else { return false };
        match verify_acknowledgement(&trust, &decoded) {
            Verdict::Verified(accepted) => {
                assert_eq!(accepted, honest, "no flip proves anything else");
                true
            }
            _ => false,
        }
    };
    let bytes = acknowledgement.to_bytes();
    let (accepted, bits) = accepted_flips(&bytes, accepts);
    let place = bytes.len() - acknowledgement.path.to_bytes().len() - 8;
    assert!(accepted.iter().all(|bit| (place..place + 8).contains(&(bit / 8))), "{accepted:?} of {bits}");
    assert!(bits >= 2_000, "{bits} bits");
}
