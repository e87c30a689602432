//! Rules B-2, B-3, B-5: the only reasons for a nil prevote that execution knows, one test each, and what is no reason.

use crate::common;

use common::*;
use ledger_state::{ApplyError, BlockRefusal, CandidateBlock, apply};
use ledger_types::block::{BLOCK_BUNDLE_BYTES_MAX, CERTIFICATES_MAX};
use ledger_types::bundle::{BUNDLE_BYTES_MAX, Bundle, BundleCertificate, BundleHeader, Slot};
use ledger_types::encoding::List;
use ledger_types::ids::*;
use ledger_types::rejection::Rejection;
use std::sync::Arc;

/// Nothing in it will be accepted, which is no reason against a block (B-2).
fn hopeless(bed: &mut Bed, submitter: ParticipantNumber, count: usize) -> Vec<ledger_types::envelope::Envelope> {
    let mut coin = bed.coin_of(BANK2, 0);
    coin.opening.rho = [200; 32];
    (0..count).map(|_| bed.transfer(submitter, std::slice::from_ref(&coin), &[(BANK2, 1)]).seal()).collect()
}

fn in_slot(bed: &mut Bed, submitter: ParticipantNumber, incarnation: u32, sequence: u64) -> Arc<Bundle> {
    let envelopes = hopeless(bed, submitter, 1);
    let slot = Slot { submitter, incarnation, sequence };
    Arc::new(Bundle::sign(&bed.rules.chain, slot, envelopes, &key_of(submitter, "bundle")).unwrap())
}

#[track_caller]
fn refused(bed: &Bed, candidate: CandidateBlock) -> BlockRefusal {
    match apply(&bed.rules, &bed.ledger, &bed.state, candidate) {
        Err(ApplyError::Refused(refusal)) => refusal,
        other => panic!("expected a refusal, got {other:?}"),
    }
}

fn empty(bed: &Bed) -> CandidateBlock<'static> {
    CandidateBlock {
        height: bed.ledger.height.next(),
        time_ms: bed.next_time_ms(),
        certificates: &[],
        bundles: &[],
        parent_round: 0,
    }
}

#[test]
fn refusal_1_heights_have_no_gap() {
    let mut bed = Bed::new();
    for height in [Height(0), Height(2)] {
        assert_eq!(refused(&bed, CandidateBlock { height, ..empty(&bed) }), BlockRefusal::HeightNotNext);
    }
    bed.block(&[]);
    assert_eq!(refused(&bed, CandidateBlock { height: Height(1), ..empty(&bed) }), BlockRefusal::HeightNotNext);
}

#[test]
fn refusal_2_time_goes_forward_b5() {
    let bed = Bed::new();
    for time_ms in [0, GENESIS_TIME_MS - 1, GENESIS_TIME_MS] {
        assert_eq!(refused(&bed, CandidateBlock { time_ms, ..empty(&bed) }), BlockRefusal::TimeNotAfterParent);
    }
    assert!(bed.try_block_at(GENESIS_TIME_MS + 1, &[]).is_ok());
}

#[test]
fn refusal_3_the_genesis_was_decided_in_no_round() {
    let mut bed = Bed::new();
    let parent_round = 1;
    assert_eq!(refused(&bed, CandidateBlock { parent_round, ..empty(&bed) }), BlockRefusal::ParentRoundOfGenesis);
    bed.block(&[]);
    let applied = apply(&bed.rules, &bed.ledger, &bed.state, CandidateBlock { parent_round, ..empty(&bed) }).unwrap();
    assert_eq!(applied.header.parent_round, 1);
}

#[test]
fn refusal_4_certificates_are_bounded_b2() {
    let mut bed = Bed::new();
    let bundle = in_slot(&mut bed, BANK2, 0, 0);
    let bundles = vec![bundle; CERTIFICATES_MAX + 1];
    assert_eq!(bed.refusal(&bundles), BlockRefusal::TooManyCertificates);
}

#[test]
fn refusal_5_bundles_are_the_certificates_bundles_in_their_order() {
    let mut bed = Bed::new();
    let bundles = [in_slot(&mut bed, BANK2, 0, 0), in_slot(&mut bed, BANK3, 0, 0)];
    let certificates = certificates(&bundles);
    let swapped = [bundles[1].clone(), bundles[0].clone()];
    for bundles in [&swapped[..], &bundles[..1], &[]] {
        let candidate = CandidateBlock { certificates: &certificates, bundles, ..empty(&bed) };
        assert_eq!(refused(&bed, candidate), BlockRefusal::BundlesDoNotMatch);
    }
    let candidate = CandidateBlock { certificates: &certificates[..1], bundles: &bundles, ..empty(&bed) };
    assert_eq!(refused(&bed, candidate), BlockRefusal::BundlesDoNotMatch);
}

#[test]
fn refusal_6_a_stranger_has_no_lane() {
    let mut bed = Bed::new();
    let bundle = in_slot(&mut bed, ParticipantNumber(77), 0, 0);
    assert_eq!(bed.refusal(&[bundle]), BlockRefusal::SubmitterUnknown);
}

#[test]
fn refusal_7_a_lane_goes_on_slot_by_slot_or_begins_anew_b3() {
    let mut bed = Bed::new();
    for (incarnation, sequence) in [(0, 1), (1, 1), (2, 0), (u32::MAX, 0), (0, u64::MAX)] {
        let bundle = in_slot(&mut bed, BANK2, incarnation, sequence);
        assert_eq!(bed.refusal(&[bundle]), BlockRefusal::SlotNotNext, "({incarnation}, {sequence})");
    }
    let bundles = [(0, 0), (0, 1), (1, 0), (1, 1)].map(|(i, s)| in_slot(&mut bed, BANK2, i, s));
    assert_eq!(bed.refusal(&[bundles[1].clone(), bundles[0].clone()]), BlockRefusal::SlotNotNext);
    assert_eq!(bed.refusal(&[bundles[0].clone(), bundles[0].clone()]), BlockRefusal::SlotNotNext);
    bed.block(&bundles);
    let lane = bed.ledger.lane(BANK2);
    assert_eq!((lane.incarnation, lane.next_sequence, lane.served_at), (1, 2, Height(1)));
    // A closed incarnation never returns: its abandoned slots cannot be filled.
    for (incarnation, sequence) in [(0, 2), (0, 0), (1, 0), (1, 1), (1, 3), (3, 0)] {
        let bundle = in_slot(&mut bed, BANK2, incarnation, sequence);
        assert_eq!(bed.refusal(&[bundle]), BlockRefusal::SlotNotNext, "({incarnation}, {sequence})");
    }
    let next = in_slot(&mut bed, BANK2, 2, 0);
    assert!(bed.try_block(&[next]).is_ok());
}

#[test]
fn refusal_8_a_submitters_bytes_are_bounded_a_height_and_refused_bytes_count_twice() {
    let mut bed = Bed::new();
    let quota = |bed: &Bed| bed.ledger.bytes_left(&bed.rules, BANK2);
    let envelopes = hopeless(&mut bed, BANK2, 500);
    let half = bed.bundle(BANK2, envelopes.clone());
    let bytes = u64::from(half.header().bytes);
    assert!(bytes > QUOTA_BYTES / 2 && bytes < QUOTA_BYTES);
    let second_half = bed.bundle_after(BANK2, 1, envelopes.clone());
    assert_eq!(bed.refusal(&[half.clone(), second_half]), BlockRefusal::QuotaExceeded);
    // Another lane has bytes of its own.
    let of_another = hopeless(&mut bed, BANK3, 500);
    let of_another = bed.bundle(BANK3, of_another);
    let applied = bed.block(&[half, of_another]);
    assert!(applied.results.iter().all(|result| result.code == Rejection::CoinIsNotSpendable.number()));
    assert_eq!(bed.ledger.lane(BANK2).refused_bytes, bytes);
    assert_eq!(quota(&bed), QUOTA_BYTES - bytes);
    // The first bundle fits even so, else a lane could be stuck; a second one does not.
    let first = bed.bundle(BANK2, envelopes.clone());
    let second = bed.bundle_after(BANK2, 1, envelopes[..1].to_vec());
    assert_eq!(bed.refusal(&[first.clone(), second]), BlockRefusal::QuotaExceeded);
    bed.block(&[first]);
    // Accepted bytes count once.
    let coin = bed.coin_of(BANK2, 0);
    let good = bed.transfer(BANK2, &[coin], &[(BANK2, 100)]);
    assert_eq!(bed.submit(good), 0);
    assert_eq!(quota(&bed), QUOTA_BYTES);
    // No bundle is larger than the whole quota.
    let too_large = hopeless(&mut bed, BANK2, 700);
    let too_large = bed.bundle(BANK2, too_large);
    assert_eq!(bed.refusal(&[too_large]), BlockRefusal::QuotaExceeded);
}

/// Each lane is within its quota; the sum of all lanes is what a block must bound.
#[test]
fn refusal_9_the_bytes_that_a_block_orders_are_bounded_before_its_bundles_are_looked_at_b2() {
    let mut bed = Bed::new();
    let header = in_slot(&mut bed, BANK2, 0, 0).header().clone();
    let of_bytes = |bytes: &[u64]| {
        let certificate = |bytes: &u64| BundleCertificate {
            header: BundleHeader { bytes: u32::try_from(*bytes).unwrap(), ..header.clone() },
            acks: List::empty(),
        };
        bytes.iter().map(certificate).collect::<Vec<_>>()
    };
    let largest = BUNDLE_BYTES_MAX as u64;
    assert_eq!(BLOCK_BUNDLE_BYTES_MAX, 4 * largest, "four of the largest fill a block");
    for (bytes, expected) in [
        (&[largest, largest, largest, largest][..], BlockRefusal::BundlesDoNotMatch),
        (&[largest, largest, largest, largest, 1], BlockRefusal::TooManyBytes),
        (&[u64::from(u32::MAX)], BlockRefusal::TooManyBytes),
        (&[u64::from(u32::MAX); CERTIFICATES_MAX], BlockRefusal::TooManyBytes),
        (&[largest; CERTIFICATES_MAX + 1], BlockRefusal::TooManyCertificates),
    ] {
        let candidate = CandidateBlock { certificates: &of_bytes(bytes), ..empty(&bed) };
        assert_eq!(refused(&bed, candidate), expected, "{} certificates", bytes.len());
    }
}

#[test]
fn refusals_10_to_18_name_what_differs_in_a_proposed_header_b1() {
    let mut bed = Bed::new();
    let applied = bed.block(&[]);
    let own = applied.header.clone();
    assert_eq!(applied.compare(&own), Ok(()));
    let spoilt = |spoil: fn(&mut ledger_types::block::BlockHeader)| {
        let mut header = own.clone();
        spoil(&mut header);
        applied.compare(&header).unwrap_err()
    };
    assert_eq!(spoilt(|h| h.version = RulesVersion(2)), BlockRefusal::RulesVersionDiffers);
    assert_eq!(spoilt(|h| h.height = Height(9)), BlockRefusal::HeightNotNext);
    assert_eq!(spoilt(|h| h.time_ms += 1), BlockRefusal::TimeNotAfterParent);
    assert_eq!(spoilt(|h| h.parent.0[0] ^= 1), BlockRefusal::ParentDiffers);
    assert_eq!(spoilt(|h| h.parent_round = 1), BlockRefusal::ParentDiffers);
    assert_eq!(spoilt(|h| h.certificates_root.0[0] ^= 1), BlockRefusal::CertificatesRootDiffers);
    assert_eq!(spoilt(|h| h.results_root.0[0] ^= 1), BlockRefusal::ResultsRootDiffers);
    assert_eq!(spoilt(|h| h.state_root.0[0] ^= 1), BlockRefusal::StateRootDiffers);
    assert_eq!(spoilt(|h| h.log_size += 1), BlockRefusal::LogDiffers);
    assert_eq!(spoilt(|h| h.log_root.0[0] ^= 1), BlockRefusal::LogDiffers);
    assert_eq!(spoilt(|h| h.map_root.0[0] ^= 1), BlockRefusal::MapRootDiffers);
    assert_eq!(spoilt(|h| h.participants_hash.0[0] ^= 1), BlockRefusal::ParticipantsDiffer);
    assert_eq!(spoilt(|h| h.next_set_hash.0[0] ^= 1), BlockRefusal::NextSetDiffers);
}

#[test]
fn numbers_and_codes_of_refusals_are_distinct_and_found_again() {
    let codes: std::collections::BTreeSet<&str> = BlockRefusal::ALL.iter().map(|refusal| refusal.code()).collect();
    assert_eq!(codes.len(), BlockRefusal::ALL.len());
    for refusal in BlockRefusal::ALL {
        assert_eq!(BlockRefusal::from_number(refusal.number()), Some(*refusal));
        assert!(refusal.message().ends_with('.'));
    }
}
