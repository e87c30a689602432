//! More than two thirds of the power, each signer once, in order and verified: bundle and commit certificates.

use crate::fixture::*;
use ledger_types::bundle::BundleCertificate;
use ledger_types::participant::{Directory, SignedBy, SignerError, ValidatorSet};
use ledger_types::vote::{CommitCertificate, VoteStep};
use ledger_types::*;

fn validators() -> ValidatorSet {
    directory().validators()
}

fn block() -> BlockHash {
    BlockHash([8; 32])
}

fn verify_commit(change: impl FnOnce(&mut Vec<SignedBy>)) -> Result<(), SignerError> {
    let certificate = commit_by(&chain(), block(), &VALIDATORS[..3]);
    let mut precommits = certificate.precommits.to_vec();
    change(&mut precommits);
    CommitCertificate { precommits: List::new(precommits).unwrap(), ..certificate }.verify(&chain(), &validators())
}

fn verify_bundle(change: impl FnOnce(&mut Vec<SignedBy>)) -> Result<(), SignerError> {
    let certificate = certificate(&chain(), &bundle(&chain()));
    let mut acks = certificate.acks.to_vec();
    change(&mut acks);
    BundleCertificate { acks: List::new(acks).unwrap(), ..certificate }.verify(&chain(), &validators())
}

#[test]
fn three_of_four_equal_validators_are_a_quorum() {
    assert_eq!(verify_commit(|_| ()), Ok(()));
    assert_eq!(verify_bundle(|_| ()), Ok(()));
}

#[test]
fn two_of_four_are_none() {
    let no_quorum = Err(SignerError::NoQuorum { power: 20, total: 40 });
    assert_eq!(verify_commit(|signed| signed.truncate(2)), no_quorum);
    assert_eq!(verify_bundle(|signed| signed.truncate(2)), no_quorum);
    assert_eq!(verify_commit(Vec::clear), Err(SignerError::NoQuorum { power: 0, total: 40 }));
}

#[test]
fn exactly_two_thirds_of_the_power_are_no_quorum() {
    let mut participants = participants();
    participants.remove(3);
    let three = Directory::new(participants).unwrap().validators();
    assert_eq!(three.total_power(), 30);
    assert!(!three.is_quorum(20));
    assert!(three.is_quorum(21));
    let certificate = commit_by(&chain(), block(), &VALIDATORS[..2]);
    assert_eq!(certificate.verify(&chain(), &three), Err(SignerError::NoQuorum { power: 20, total: 30 }));
}

#[test]
fn a_signer_named_twice_or_out_of_order_refuses_the_whole_list() {
    assert_eq!(verify_commit(|signed| signed.insert(1, signed[0])), Err(SignerError::NotAscending(CENTRAL_BANK)));
    assert_eq!(verify_commit(|signed| signed.swap(0, 1)), Err(SignerError::NotAscending(CENTRAL_BANK)));
    assert_eq!(verify_bundle(|signed| signed.push(signed[2])), Err(SignerError::NotAscending(BANK_3)));
}

#[test]
fn a_signer_outside_the_set_refuses_the_whole_list() {
    let stranger = |number| move |signed: &mut Vec<SignedBy>| signed.push(SignedBy { signer: number, ..signed[0] });
    assert_eq!(verify_commit(stranger(OBSERVER)), Err(SignerError::NotInTheSet(OBSERVER)));
    assert_eq!(verify_bundle(stranger(ParticipantNumber(40))), Err(SignerError::NotInTheSet(ParticipantNumber(40))));
}

#[test]
fn one_signature_that_does_not_verify_refuses_the_whole_list() {
    assert_eq!(verify_commit(|signed| signed[1].signature.0[5] ^= 1), Err(SignerError::SignatureInvalid(BANK_2)));
    // A genuine signature under another signer's name.
    let borrowed = |signed: &mut Vec<SignedBy>| signed[1].signature = signed[0].signature;
    assert_eq!(verify_bundle(borrowed), Err(SignerError::SignatureInvalid(BANK_2)));
}

/// A prevote, a vote of another height, round or chain, and a nil vote are no precommit for this block.
#[test]
fn a_vote_of_another_kind_is_no_precommit() {
    let chain = chain();
    let precommit = vote(Some(block()), BANK_2);
    let others = [
        ledger_types::vote::Vote { step: VoteStep::Prevote, ..precommit },
        ledger_types::vote::Vote { height: Height(2), ..precommit },
        ledger_types::vote::Vote { round: 3, ..precommit },
        ledger_types::vote::Vote { block: None, ..precommit },
        ledger_types::vote::Vote { validator: BANK_3, ..precommit },
    ];
    let key = participant_key(BANK_2, "consensus");
    for other in others {
        let signature = key.sign(&other.message(&chain));
        let result = verify_commit(|signed| signed[1].signature = signature);
        assert_eq!(result, Err(SignerError::SignatureInvalid(BANK_2)), "{other:?}");
    }
    let elsewhere = Chain::new(GenesisHash([3; 32]));
    let signature = key.sign(&precommit.message(&elsewhere));
    assert_eq!(verify_commit(|s| s[1].signature = signature), Err(SignerError::SignatureInvalid(BANK_2)));
    // Another key of the same validator.
    let signature = participant_key(BANK_2, "bundle").sign(&precommit.message(&chain));
    assert_eq!(verify_commit(|s| s[1].signature = signature), Err(SignerError::SignatureInvalid(BANK_2)));
}

#[test]
fn acks_of_one_bundle_do_not_certify_another() {
    let chain = chain();
    let mut certificate = certificate(&chain, &bundle(&chain));
    certificate.header.slot.sequence += 1;
    let refused = certificate.verify(&chain, &validators());
    assert_eq!(refused, Err(SignerError::SignatureInvalid(CENTRAL_BANK)));
}
