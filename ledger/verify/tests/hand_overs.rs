//! Hand-overs of the validator set (G-3): what moves trust, and what does not.

use crate::chain;

use chain::*;
use ledger_types::block::genesis_block_hash;
use ledger_types::encoding::{Decode, DecodeError, Encode, List};
use ledger_types::envelope::OfficerSignature;
use ledger_types::participant::ValidatorSet;
use ledger_types::rules::RULES_KNOWN;
use ledger_types::*;
use ledger_verify::*;

fn officers(chain: &Chain, order: &HandOverOrder, signers: &[u8]) -> List<OfficerSignature, 16> {
    let message = order.message(chain);
    let sign = |officer: &u8| {
        let signature = key(Purpose::Officer, u16::from(*officer) + 1).sign(&message);
        OfficerSignature { officer: *officer, signature }
    };
    List::new(signers.iter().map(sign).collect()).unwrap()
}

/// To `incoming`, decided at `height` by `deciders` and authorised by officers 0 and 2.
fn hand_over(registry: &Registry, number: u32, incoming: &ValidatorSet, height: u64, deciders: &[u16]) -> HandOver {
    let order = HandOverOrder { number, outgoing: registry.set.hash(&registry.chain), incoming: incoming.clone() };
    let mut header = registry.header(height, genesis_block_hash(&registry.chain));
    header.next_set_hash = incoming.hash(&registry.chain);
    let certificate = registry.certificate(&header, deciders);
    HandOver { officers: officers(&registry.chain, &order, &[0, 2]), order, header, certificate }
}

fn judge(trust: &mut Trust, document: &HandOver) -> Verdict<()> {
    let decoded = HandOver::from_bytes(&document.to_bytes()).unwrap();
    let before = trust.set_hash();
    let verdict = trust.hand_over(&decoded);
    assert_eq!(verdict.is_verified(), trust.set_hash() != before, "trust moves with a verified hand-over only");
    verdict
}

/// Validator 4 makes way for 6.
fn incoming() -> ValidatorSet {
    set_of(&[(1, 1), (2, 1), (3, 1), (6, 1)])
}

#[test]
fn trust_follows_the_set_through_hand_overs_g3() {
    let mut registry = Registry::new();
    let mut trust = registry.trust();
    let before = registry.coin_proof(issued_coin(&registry.chain, 2));
    let document = hand_over(&registry, 1, &incoming(), 3, &[1, 2, 3]);

    registry.set = incoming();
    let line = [registry.live(4)];
    registry.confirm(6, &line);
    let text = registry.checkpoint_text(registry.size());
    let by = |registry: &Registry, numbers: [u16; 3]| {
        let cosigned = numbers.map(|number| cosign(&text, number, COSIGNED_AT_S));
        let note = note(&text, cosigned.into_iter().chain([log_sign(&text)]));
        registry.coin_proof_with(issued_coin(&registry.chain, 4), &note)
    };
    let after = by(&registry, [1, 3, 6]);
    let by_the_old_set = by(&registry, [1, 3, 4]);

    let judge_coin = |trust: &Trust, proof: &CoinProof| verify_coin(trust, &proof.coin, proof, NOW_MS);
    assert!(judge_coin(&trust, &before).is_verified());
    assert_eq!(judge_coin(&trust, &after).verified(), None);
    assert_eq!(judge_coin(&trust, &after), Verdict::Invalid(Reason::OmittedUpdate));

    assert!(judge(&mut trust, &document).is_verified());
    assert_eq!(trust.hand_overs(), 1);
    let verified = judge_coin(&trust, &after).verified().unwrap();
    assert_eq!(verified.state().signers(), [1, 3, 6].map(ParticipantNumber));
    assert_eq!(judge_coin(&trust, &by_the_old_set), Verdict::Invalid(Reason::UnknownSigner));
    // What the outgoing set signed counts with the trust of then, not of now.
    assert_eq!(judge_coin(&trust, &before), Verdict::Invalid(Reason::WrongSet));

    // And on: validator 3 makes way for 7. The deciders are the incoming set of before.
    let second = hand_over(&registry, 2, &set_of(&[(1, 1), (2, 1), (6, 1), (7, 1)]), 9, &[1, 2, 6]);
    assert!(judge(&mut trust, &second).is_verified());
    assert_eq!(trust.hand_overs(), 2);
}

#[test]
fn a_hand_over_serves_once_and_in_order_g3() {
    let mut registry = Registry::new();
    let mut trust = registry.trust();
    let first = hand_over(&registry, 1, &incoming(), 3, &[1, 2, 3]);
    let skipped = hand_over(&registry, 2, &incoming(), 3, &[1, 2, 3]);
    assert_eq!(judge(&mut trust, &skipped), Verdict::Invalid(Reason::HandOverNotNext));
    assert!(judge(&mut trust, &first).is_verified());
    assert_eq!(judge(&mut trust, &first), Verdict::Invalid(Reason::WrongSet));

    // Back to the first set; then the first hand-over's signatures must not move it once more.
    let genesis_set = registry.set.clone();
    registry.set = incoming();
    let too_early = hand_over(&registry, 2, &genesis_set, 3, &[1, 2, 3]);
    assert_eq!(judge(&mut trust, &too_early), Verdict::Invalid(Reason::HandOverNotNext));
    assert!(judge(&mut trust, &hand_over(&registry, 2, &genesis_set, 5, &[1, 2, 6])).is_verified());
    assert_eq!(judge(&mut trust, &first), Verdict::Invalid(Reason::HandOverNotNext));
}

#[test]
fn a_third_of_the_power_cannot_move_at_once_g3() {
    let registry = Registry::new();
    let judge_set = |set: &[(u16, u64)]| {
        let incoming = set_of(set);
        judge(&mut registry.trust(), &hand_over(&registry, 1, &incoming, 3, &[1, 2, 3, 4]))
    };
    assert!(judge_set(&[(1, 1), (2, 1), (3, 1)]).is_verified(), "a quarter leaves");
    assert!(judge_set(&[(1, 1), (2, 1), (3, 1), (4, 1), (6, 1)]).is_verified(), "a fifth comes");
    for set in [
        &[(1, 1), (2, 1), (6, 1), (7, 1)][..],
        &[(1, 1), (2, 1)],
        // Nobody leaves, and those who come hold a third.
        &[(1, 1), (2, 1), (3, 1), (4, 1), (6, 1), (7, 1)],
        &[(1, 3), (2, 1), (3, 1), (4, 1)],
        &[(6, 1)],
    ] {
        assert_eq!(judge_set(set), Verdict::Invalid(Reason::TooMuchPowerMoved), "{set:?}");
    }
    // A validator with another key is another validator.
    let mut bytes = set_of(&[(1, 1), (2, 1), (3, 1), (4, 1)]).to_bytes();
    let line = 2 + 8 + 3 * 32;
    bytes[2 + 2 * line + 10..][..32].copy_from_slice(&key(Purpose::Owner, 1).public_key().0);
    bytes[2 + 3 * line + 10..][..32].copy_from_slice(&key(Purpose::Owner, 2).public_key().0);
    let rekeyed = ValidatorSet::from_bytes(&bytes).unwrap();
    let document = hand_over(&registry, 1, &rekeyed, 3, &[1, 2, 3, 4]);
    assert_eq!(judge(&mut registry.trust(), &document), Verdict::Invalid(Reason::TooMuchPowerMoved));
}

#[test]
fn an_unsound_incoming_set_is_refused_g2() {
    let registry = Registry::new();
    let sound = incoming().to_bytes();
    let line = 2 + 8 + 3 * 32;
    let changed = |at: usize, with: &[u8]| {
        let mut bytes = sound.clone();
        bytes[at..at + with.len()].copy_from_slice(with);
        ValidatorSet::from_bytes(&bytes)
    };
    let judge_set = |set: Result<ValidatorSet, DecodeError>| {
        judge(&mut registry.trust(), &hand_over(&registry, 1, &set.unwrap(), 3, &[1, 2, 3]))
    };
    assert!(judge_set(changed(0, &[4, 0])).is_verified(), "unchanged");
    let last = 2 + 3 * line;
    let unsound = Verdict::Invalid(Reason::UnsoundSet);
    assert_eq!(judge_set(changed(last, &[0xff; 2])), unsound, "the registration lane's number");
    assert_eq!(judge_set(changed(last + 10, &sound[12..44])), unsound, "a key of another");
    assert_eq!(judge_set(changed(last + 42, &sound[last + 10..last + 42])), unsound, "one key for two purposes");
    let mut small_order = [0; 32];
    small_order[0] = 1;
    assert_eq!(judge_set(changed(last + 10, &small_order)), unsound, "a small-order key");
    // These are no validator sets at all.
    assert!(changed(last + 2, &[0; 8]).is_err(), "no power");
    assert!(changed(last + 2, &[0xff; 8]).is_err(), "too much power");
    assert!(changed(last, &[0; 2]).is_err(), "order");
    assert!(ValidatorSet::from_bytes(&[0, 0]).is_err(), "nobody");
}

#[test]
fn a_hand_over_needs_k_officers_and_the_outgoing_sets_block_g3() {
    let registry = Registry::new();
    let honest = hand_over(&registry, 1, &incoming(), 3, &[1, 2, 3]);
    let judge = |document: &HandOver| judge(&mut registry.trust(), document);
    assert!(judge(&honest).is_verified());

    let with_officers = |signers: &[u8]| {
        judge(&HandOver { officers: officers(&registry.chain, &honest.order, signers), ..honest.clone() })
    };
    assert!(with_officers(&[0, 1, 2]).is_verified());
    let not_authorized = Verdict::Invalid(Reason::NotAuthorized);
    for signers in [&[0][..], &[], &[0, 0], &[2, 0], &[0, 3]] {
        assert_eq!(with_officers(signers), not_authorized, "{signers:?}");
    }
    let of_another = HandOverOrder { number: 2, ..honest.order.clone() };
    let borrowed = HandOver { officers: officers(&registry.chain, &of_another, &[0, 2]), ..honest.clone() };
    assert_eq!(judge(&borrowed), not_authorized);

    // The officers alone, with a block that the set decided for something else.
    let header = registry.header(3, genesis_block_hash(&registry.chain));
    let certificate = registry.certificate(&header, &[1, 2, 3]);
    let undecided = HandOver { header, certificate, ..honest.clone() };
    assert_eq!(judge(&undecided), Verdict::Invalid(Reason::HandOverNotDecided));
    let other_certificate = HandOver { certificate: undecided.certificate.clone(), ..honest.clone() };
    assert_eq!(judge(&other_certificate), Verdict::Invalid(Reason::WrongBlock));
    let two = hand_over(&registry, 1, &incoming(), 3, &[1, 2]);
    assert_eq!(judge(&two), Verdict::NotEnoughPower { have: 2, need: 3 });
    // The incoming validator does not decide its own coming.
    let by_itself = hand_over(&registry, 1, &incoming(), 3, &[1, 2, 6]);
    assert_eq!(judge(&by_itself), Verdict::Invalid(Reason::UnknownSigner));

    let mut elsewhere = registry.clone();
    elsewhere.set = incoming();
    assert_eq!(judge(&hand_over(&elsewhere, 1, &incoming(), 3, &[1, 2, 3])), Verdict::Invalid(Reason::OmittedUpdate));
}

#[test]
fn b13_a_hand_over_under_newer_rules_is_named_and_moves_no_trust() {
    let registry = Registry::new();
    let mut newer = hand_over(&registry, 1, &incoming(), 3, &[1, 2, 3]);
    newer.header.version = RulesVersion(RULES_KNOWN.0 + 1);
    newer.certificate = registry.certificate(&newer.header, &[1, 2, 3]);
    assert_eq!(judge(&mut registry.trust(), &newer), Verdict::Invalid(Reason::UnknownRules));
    newer.certificate = registry.certificate(&newer.header, &[1, 2]);
    assert_eq!(judge(&mut registry.trust(), &newer), Verdict::Invalid(Reason::WrongBlock));
}

#[test]
fn a_block_of_before_the_hand_over_is_not_of_the_incoming_set() {
    let registry = Registry::new();
    let mut trust = registry.trust();
    assert!(judge(&mut trust, &hand_over(&registry, 1, &incoming(), 3, &[1, 2, 3])).is_verified());
    let header = registry.header(3, genesis_block_hash(&registry.chain));
    let certificate = registry.certificate(&header, &[1, 2, 3]);
    assert_eq!(verify_block(&trust, &header, &certificate), Verdict::Invalid(Reason::WrongSet));
    let next = registry.header(4, genesis_block_hash(&registry.chain));
    let certificate = registry.certificate(&next, &[1, 2, 3]);
    assert!(verify_block(&trust, &next, &certificate).is_verified());
}
