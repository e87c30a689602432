//! Blocks, runs of blocks, and the verdict on one envelope (B-1, B-2).

use crate::chain;

use chain::*;
use ledger_types::block::{Acknowledgement, BlockHeader};
use ledger_types::encoding::{Decode, Encode, List};
use ledger_types::rules::RULES_KNOWN;
use ledger_types::vote::CommitCertificate;
use ledger_types::*;
use ledger_verify::*;

fn judge(registry: &Registry, acknowledgement: &Acknowledgement) -> Verdict<AcceptedEnvelope> {
    let decoded = Acknowledgement::from_bytes(&acknowledgement.to_bytes()).unwrap();
    verify_acknowledgement(&registry.trust(), &decoded)
}

/// With its results and header changed, and decided anew.
fn acknowledged_with(registry: &Registry, change: impl Fn(&mut BlockHeader), signers: &[u16]) -> Acknowledgement {
    let mut acknowledgement = registry.acknowledgement(0);
    change(&mut acknowledgement.header);
    acknowledgement.certificate = registry.certificate(&acknowledgement.header, signers);
    acknowledgement
}

#[test]
fn an_accepted_envelope_is_acknowledged_by_certificate_and_path_b2() {
    let registry = Registry::new();
    for index in [0, 1] {
        let acknowledgement = registry.acknowledgement(index);
        let accepted = judge(&registry, &acknowledgement).verified().unwrap();
        assert_eq!(accepted.envelope(), acknowledgement.result.envelope);
        assert_eq!((accepted.height(), accepted.time_ms()), (Height(1), GENESIS_TIME_MS + 1_000));
    }
}

#[test]
fn the_acknowledgement_of_a_refused_envelope_does_not_verify_b2() {
    let registry = Registry::new();
    let refused = registry.acknowledgement(2);
    assert_eq!(refused.result.code, 16);
    assert_eq!(judge(&registry, &refused), Verdict::Invalid(Reason::EnvelopeRefused));
    // Nor does saying that it was accepted.
    let mut lie = refused.clone();
    lie.result.code = 0;
    assert_eq!(judge(&registry, &lie), Verdict::Invalid(Reason::WrongResult));
    let mut other = registry.acknowledgement(1);
    other.result.envelope = refused.result.envelope;
    assert_eq!(judge(&registry, &other), Verdict::Invalid(Reason::WrongResult));
}

#[test]
fn a_commit_certificate_of_another_block_or_without_a_quorum_acknowledges_nothing_b2() {
    let registry = Registry::new();
    let honest = registry.acknowledgement(0);
    let certified =
        |certificate: CommitCertificate| judge(&registry, &Acknowledgement { certificate, ..honest.clone() });

    let other_header = registry.header(2, honest.header.hash(&registry.chain));
    let other_block = registry.certificate(&other_header, &[1, 2, 3]);
    assert_eq!(certified(other_block), Verdict::Invalid(Reason::WrongBlock));

    let two = registry.certificate(&honest.header, &[2, 3]);
    assert_eq!(certified(two), Verdict::NotEnoughPower { have: 2, need: 3 });

    let change = |change: &dyn Fn(&mut Vec<participant::SignedBy>)| {
        let mut precommits = honest.certificate.precommits.to_vec();
        change(&mut precommits);
        certified(CommitCertificate { precommits: List::new(precommits).unwrap(), ..honest.certificate.clone() })
    };
    assert_eq!(change(&|p| p.insert(0, p[0])), Verdict::Invalid(Reason::DuplicatedSigner));
    assert_eq!(change(&|p| p.swap(0, 1)), Verdict::Invalid(Reason::DuplicatedSigner));
    assert_eq!(change(&|p| p[2].signer = ParticipantNumber(5)), Verdict::Invalid(Reason::UnknownSigner));
    assert_eq!(change(&|p| p[2].signer = ParticipantNumber(3)), Verdict::Invalid(Reason::ForgedSigner));
    assert_eq!(change(&|p| p[0].signature = p[1].signature), Verdict::Invalid(Reason::ForgedSigner));
    // A prevote of the same validator for the same block is no precommit.
    assert_eq!(
        change(&|p| p[0].signature = prevote(&registry, &honest.header)),
        Verdict::Invalid(Reason::ForgedSigner)
    );
}

fn prevote(registry: &Registry, header: &BlockHeader) -> keys::Signature {
    let block = Some(header.hash(&registry.chain));
    let (step, height, validator) = (vote::VoteStep::Prevote, header.height, ParticipantNumber(1));
    let vote = vote::Vote { step, height, round: 0, block, validator };
    key(Purpose::Consensus, 1).sign(&vote.message(&registry.chain))
}

#[test]
fn a_reason_outweighs_a_lack_of_power() {
    let registry = Registry::new();
    let poor = acknowledged_with(&registry, |header| header.results_root = MerkleRoot([1; 32]), &[1]);
    assert_eq!(judge(&registry, &poor), Verdict::Invalid(Reason::WrongResult));
}

#[test]
fn b13_blocks_of_all_known_rules_are_verified_and_of_newer_ones_named() {
    let registry = Registry::new();
    let judged = |version| judge(&registry, &under_rules(&registry, version, &[1, 2, 3]));
    for known in 1..=RULES_KNOWN.0 {
        assert!(matches!(judged(known), Verdict::Verified(_)), "{known}");
    }
    for newer in [RULES_KNOWN.0 + 1, u8::MAX] {
        assert_eq!(judged(newer), Verdict::Invalid(Reason::UnknownRules), "{newer}");
    }
    assert_eq!(judged(0), Verdict::Invalid(Reason::WrongBlock));
}

fn under_rules(registry: &Registry, version: u8, signers: &[u16]) -> Acknowledgement {
    acknowledged_with(registry, |header| header.version = RulesVersion(version), signers)
}

#[test]
fn b13_nobody_but_a_quorum_can_say_that_the_rules_are_newer_than_the_program() {
    let registry = Registry::new();
    let newer = RULES_KNOWN.0 + 1;
    for too_few in [&[][..], &[1], &[2, 3]] {
        let judged = judge(&registry, &under_rules(&registry, newer, too_few));
        assert_eq!(judged, Verdict::Invalid(Reason::WrongBlock), "{too_few:?}");
    }
    let decided = under_rules(&registry, newer, &[1, 2, 3]);
    let mut forged = decided.clone();
    forged.certificate.precommits.as_mut_slice()[2].signature = keys::Signature([0; 64]);
    assert_eq!(judge(&registry, &forged), Verdict::Invalid(Reason::ForgedSigner));
    // A version that was written into a header of known rules.
    let mut rewritten = registry.acknowledgement(0);
    rewritten.header.version = RulesVersion(newer);
    assert_eq!(judge(&registry, &rewritten), Verdict::Invalid(Reason::WrongBlock));
    // Of what a block of newer rules says nothing is judged.
    let mut refused = decided;
    refused.result.code = 16;
    assert_eq!(judge(&registry, &refused), Verdict::Invalid(Reason::UnknownRules));
}

#[test]
fn b13_a_run_ends_where_newer_rules_begin() {
    let registry = Registry::new();
    let trust = registry.trust();
    let mut blocks = registry.segment(2);
    assert!(verify_segment(&trust, None, &blocks).is_verified());
    blocks[1].0.version = RulesVersion(RULES_KNOWN.0 + 1);
    blocks[1].1 = registry.certificate(&blocks[1].0, &[1, 2, 3]);
    assert_eq!(verify_segment(&trust, None, &blocks), Verdict::Invalid(Reason::UnknownRules));
    assert!(verify_segment(&trust, None, &blocks[..1]).is_verified());
}

#[test]
fn a_run_of_blocks_is_verified_from_the_genesis_b1() {
    let registry = Registry::new();
    let trust = registry.trust();
    let blocks = registry.segment(5);
    let last = verify_segment(&trust, None, &blocks).verified().unwrap();
    assert_eq!(last.hash(), blocks[4].0.hash(&registry.chain));
    // In two parts, and each alone.
    let third = verify_segment(&trust, None, &blocks[..3]).verified().unwrap();
    assert_eq!(verify_segment(&trust, Some(&third), &blocks[3..]).verified(), Some(last));
    for (header, certificate) in &blocks {
        assert_eq!(verify_block(&trust, header, certificate).verified().unwrap().header(), header);
    }
}

#[test]
fn a_run_with_a_gap_a_fork_or_a_clock_that_stands_is_broken_b5() {
    let registry = Registry::new();
    let trust = registry.trust();
    let blocks = registry.segment(4);
    let judge = |blocks: &[(BlockHeader, CommitCertificate)]| verify_segment(&trust, None, blocks);
    assert_eq!(judge(&[]), Verdict::Invalid(Reason::BrokenChain));
    assert_eq!(judge(&blocks[1..]), Verdict::Invalid(Reason::BrokenChain));
    let gap = [blocks[0].clone(), blocks[2].clone()];
    assert_eq!(judge(&gap), Verdict::Invalid(Reason::BrokenChain));

    let altered = |change: &dyn Fn(&mut BlockHeader), signers: &[u16]| {
        let mut blocks = blocks.clone();
        change(&mut blocks[1].0);
        blocks[1].1 = registry.certificate(&blocks[1].0, signers);
        judge(&blocks[..2])
    };
    let quorum = [1, 2, 3];
    assert!(altered(&|_| (), &quorum).is_verified());
    assert_eq!(altered(&|_| (), &[1, 2]), Verdict::NotEnoughPower { have: 2, need: 3 });
    assert_eq!(altered(&|header| header.parent = BlockHash([3; 32]), &quorum), Verdict::Invalid(Reason::BrokenChain));
    assert_eq!(altered(&|header| header.time_ms -= 1_000, &quorum), Verdict::Invalid(Reason::BrokenChain));

    // The next block must be decided by the set that this one names; of another, no hand-over was shown.
    let mut handed = blocks[..1].to_vec();
    handed[0].0.next_set_hash = ValidatorSetHash([4; 32]);
    handed[0].1 = registry.certificate(&handed[0].0, &quorum);
    let next = registry.header(2, handed[0].0.hash(&registry.chain));
    handed.push((next.clone(), registry.certificate(&next, &quorum)));
    assert_eq!(judge(&handed), Verdict::Invalid(Reason::OmittedUpdate));
}
