//! an officer's share and registration answer only to a request that stands in the log of this chain, is about this coin and
//! still serves.

use crate::chain;

use chain::*;
use ledger_types::coin::Opening;
use ledger_types::encoding::{Decode, Encode, List, Octets};
use ledger_types::request::*;
use ledger_verify::*;

/// A registry with a request about coin 2 in its log, and the request.
fn asked() -> (Registry, OfficerRequest) {
    let mut registry = Registry::new();
    let request = registry.request(RequestClass::Disclose, 2);
    registry.log_request(request);
    let lines: Vec<_> = (4..=9).map(|number| registry.live(number)).collect();
    registry.confirm(2, &lines);
    (registry, request)
}

fn judge(registry: &Registry, number: u8, proof: &RequestProof, now_ms: u64) -> Result<LoggedRequest, Reason> {
    let coin = issued_coin(&registry.chain, number);
    match verify_request(&registry.trust(), &coin, &[number; 32], proof, now_ms) {
        Verdict::Verified(request) => Ok(request),
        Verdict::Invalid(reason) => Err(reason),
        Verdict::NotEnoughPower { have, need } => panic!("{have} of {need}"),
    }
}

#[test]
fn a_request_in_the_log_is_shown_with_its_coin_and_its_place() {
    let (registry, request) = asked();
    let proof = RequestProof::from_bytes(&registry.request_proof(request).to_bytes()).unwrap();
    let logged = judge(&registry, 2, &proof, NOW_MS).unwrap();
    assert_eq!((logged.request(), logged.index()), (&request, 4));
    assert_eq!(logged.coin(), issued_coin(&registry.chain, 2));
    assert_eq!(logged.state().signers().len(), 4);
}

#[test]
fn a_request_about_another_coin_or_with_another_blind_is_refused() {
    let (registry, request) = asked();
    let proof = registry.request_proof(request);
    assert_eq!(judge(&registry, 3, &proof, NOW_MS), Err(Reason::OtherCoin));
    let coin = issued_coin(&registry.chain, 2);
    let other_blind = verify_request(&registry.trust(), &coin, &[9; 32], &proof, NOW_MS);
    assert_eq!(other_blind, Verdict::Invalid(Reason::OtherCoin));
}

#[test]
fn a_request_that_was_never_logged_or_is_deleted_from_the_log_is_refused() {
    let (registry, request) = asked();
    let proof = registry.request_proof(request);
    // Altered: another class under the same place.
    let freeze = RequestProof { request: OfficerRequest { class: RequestClass::Freeze, ..request }, ..proof.clone() };
    assert_eq!(judge(&registry, 2, &freeze, NOW_MS), Err(Reason::RequestNotLogged));
    // A log of the same chain in which the request does not stand.
    let mut without = Registry::new();
    let lines: Vec<_> = (4..=10).map(|number| without.live(number)).collect();
    without.confirm(2, &lines);
    assert_eq!(without.size(), registry.size());
    let moved = RequestProof { state: without.state_proof(), ..proof.clone() };
    assert_eq!(judge(&without, 2, &moved, NOW_MS), Err(Reason::RequestNotLogged));
    for index in [0, proof.index + 1, registry.size(), u64::MAX] {
        let elsewhere = RequestProof { index, ..proof.clone() };
        assert_eq!(judge(&registry, 2, &elsewhere, NOW_MS), Err(Reason::RequestNotLogged), "index {index}");
    }
    let pathless = RequestProof { path: List::empty(), ..proof };
    assert_eq!(judge(&registry, 2, &pathless, NOW_MS), Err(Reason::RequestNotLogged));
}

#[test]
fn a_request_of_another_chain_or_without_the_logs_signature_is_refused() {
    let (registry, request) = asked();
    let mut genesis = genesis();
    genesis.time_ms += 1;
    let other = Registry::of(genesis);
    assert_eq!(judge(&other, 2, &registry.request_proof(request), NOW_MS), Err(Reason::OtherChain));
    let mut unsigned = registry.request_proof(request);
    let text = registry.checkpoint_text(registry.size());
    let by_validators = note(&text, VALIDATORS.iter().map(|number| cosign(&text, *number, COSIGNED_AT_S)));
    unsigned.state.checkpoint = Octets::new(by_validators.into_bytes()).unwrap();
    assert_eq!(judge(&registry, 2, &unsigned, NOW_MS), Err(Reason::MissingLogSignature));
}

#[test]
fn a_request_serves_until_the_end_of_the_day_after_its_epoch() {
    let (registry, request) = asked();
    let proof = registry.request_proof(request);
    let last_ms = (request.epoch + 2) * EPOCH_MS - 1;
    assert!(judge(&registry, 2, &proof, last_ms).is_ok());
    assert_eq!(judge(&registry, 2, &proof, last_ms + 1), Err(Reason::RequestExpired));
}

#[test]
fn the_commitment_says_nothing_that_its_coin_would_tell() {
    let registry = Registry::new();
    let (coin, other) = (issued_coin(&registry.chain, 2), issued_coin(&registry.chain, 3));
    let commitment = request_commitment(&registry.chain, &coin, &[7; 32]);
    assert_ne!(commitment, request_commitment(&registry.chain, &coin, &[8; 32]), "the same coin, another blind");
    assert_ne!(commitment, request_commitment(&registry.chain, &other, &[7; 32]));
    let Opening { rho, .. } = opening(&registry.chain, 2);
    assert_ne!(commitment.0, rho);
}
