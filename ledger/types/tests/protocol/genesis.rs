//! G-1, one test a rule: what a genesis document may say. A document is refused whether it is built or read.

use crate::fixture::*;
use ledger_types::genesis::*;
use ledger_types::keys::PublicKey;
use ledger_types::*;

/// The fixture's genesis after a change; its bytes, read as untrusted ones, are refused for the same reason.
fn error_after(change: impl FnOnce(&mut Genesis)) -> GenesisError {
    let mut genesis = genesis();
    change(&mut genesis);
    let error = genesis.check().expect_err("this genesis breaks a rule");
    assert_eq!(Genesis::parse(&genesis.to_bytes()).unwrap_err(), error);
    error
}

fn preissue_error_after(change: impl FnOnce(&mut Preissue)) -> GenesisError {
    error_after(|genesis| change(&mut genesis.preissues.as_mut_slice()[0]))
}

fn officers(phrases: &[&str]) -> List<PublicKey, 16> {
    List::new(phrases.iter().map(|phrase| public(phrase)).collect()).unwrap()
}

#[test]
fn the_fixtures_genesis_is_good_and_its_bytes_pin_its_hash() {
    let genesis = genesis();
    assert_eq!(genesis.check(), Ok(()));
    let document = genesis.to_bytes();
    assert_eq!(Genesis::parse(&document).unwrap(), genesis);
    assert_eq!(genesis.hash().0, blake3::derive_key("assay genesis v1", &document));
    assert_eq!(genesis.chain().genesis_hash(), genesis.hash());
}

#[test]
fn a_document_that_does_not_decode_is_refused() {
    let mut document = genesis().to_bytes();
    document.push(0);
    assert_eq!(Genesis::parse(&document), Err(GenesisError::Decode(DecodeError::Leftover(1))));
    assert_eq!(Genesis::parse(&[]), Err(GenesisError::Decode(DecodeError::Truncated)));
}

#[test]
fn a_small_order_key_in_the_directory_is_refused_by_name() {
    let document = genesis().to_bytes();
    let key = participant_key(BANK_3, "cosign").public_key();
    let at = document.windows(32).position(|window| window == key.0).unwrap();
    for weak in crate::signatures::SMALL_ORDER_KEYS {
        let mut document = document.clone();
        document[at..at + 32].copy_from_slice(&PublicKey::from_hex(weak).unwrap().0);
        let unsound = DecodeError::NotCanonical("directory: an unsound key");
        assert_eq!(Genesis::parse(&document), Err(GenesisError::Decode(unsound)), "{weak}");
    }
}

#[test]
fn another_version_is_refused() {
    assert_eq!(error_after(|g| g.version = 2), GenesisError::Version(2));
    assert_eq!(error_after(|g| g.version = 0), GenesisError::Version(0));
}

#[test]
fn spending_unconfirmed_coins_cannot_be_switched_on() {
    assert_eq!(error_after(|g| g.unconfirmed_depth_max = 1), GenesisError::UnconfirmedDepth);
}

#[test]
fn the_officers_threshold_lies_between_one_and_their_number() {
    assert_eq!(error_after(|g| g.officer_threshold = 0), GenesisError::Officers);
    assert_eq!(error_after(|g| g.officer_threshold = 4), GenesisError::Officers);
    assert_eq!(error_after(|g| g.officers = List::empty()), GenesisError::Officers);
}

#[test]
fn an_officer_named_twice_is_refused() {
    let twice = officers(&["officer 0", "officer 1", "officer 0"]);
    assert_eq!(error_after(|g| g.officers = twice), GenesisError::Officers);
}

#[test]
fn an_officer_with_a_small_order_key_is_refused() {
    for weak in crate::signatures::SMALL_ORDER_KEYS {
        let weak = PublicKey::from_hex(weak).unwrap();
        assert_eq!(error_after(|g| g.officers.as_mut_slice()[1] = weak), GenesisError::Officers);
    }
}

#[test]
fn series_are_numbered_from_one_without_gaps() {
    let with = |numbers: &[u32]| List::new(numbers.iter().map(|n| series(*n)).collect()).unwrap();
    for wrong in [&[][..], &[0, 1], &[2], &[1, 3], &[1, 1], &[2, 1]] {
        assert_eq!(error_after(|g| g.series = with(wrong)), GenesisError::Series, "{wrong:?}");
    }
}

#[test]
fn a_preissue_of_an_unknown_series_is_refused() {
    assert_eq!(preissue_error_after(|line| line.series = SeriesNumber(0)), GenesisError::Preissue);
    assert_eq!(preissue_error_after(|line| line.series = SeriesNumber(3)), GenesisError::Preissue);
}

#[test]
fn a_preissue_to_somebody_who_is_no_bank_is_refused() {
    assert_eq!(preissue_error_after(|line| line.bank = ParticipantNumber(5)), GenesisError::Preissue);
    assert_eq!(preissue_error_after(|line| line.bank = OBSERVER), GenesisError::Preissue);
}

#[test]
fn a_preissue_of_no_value_of_no_coin_or_of_too_many_is_refused() {
    assert_eq!(preissue_error_after(|line| line.amount = Amount(0)), GenesisError::Preissue);
    assert_eq!(preissue_error_after(|line| line.count = 0), GenesisError::Preissue);
    assert_eq!(preissue_error_after(|line| line.count = u32::MAX), GenesisError::Preissue);
    // The bound holds for all lines together.
    let half = PREISSUED_COINS_MAX as u32 / 2 + 1;
    let twice = |g: &mut Genesis| {
        let line = Preissue { count: half, ..g.preissues[0].clone() };
        g.preissues = List::new(vec![line.clone(), line]).unwrap();
    };
    assert_eq!(error_after(twice), GenesisError::Preissue);
}

#[test]
fn a_preissue_to_a_small_order_key_is_refused() {
    for weak in crate::signatures::SMALL_ORDER_KEYS {
        let weak = PublicKey::from_hex(weak).unwrap();
        assert_eq!(preissue_error_after(|line| line.owner = weak), GenesisError::Preissue);
    }
}

#[test]
fn a_kem_key_of_another_length_than_the_suites_or_of_small_order_is_refused_g2() {
    // The central bank's is the first that is looked at.
    assert_eq!(error_after(|g| g.kem_suite = KemSuite::XWing), GenesisError::KemKey(CENTRAL_BANK));
    let mut participants = participants();
    let small_order = [1].into_iter().chain([0; 31]).collect();
    for unsound in [vec![7; 31], vec![0; 32], small_order] {
        participants[2].keys.kem = Octets::new(unsound).unwrap();
        let directory = ledger_types::participant::Directory::new(participants.clone()).unwrap();
        assert_eq!(error_after(|g| g.directory = directory), GenesisError::KemKey(BANK_3));
    }
}

#[test]
fn every_limit_has_a_range() {
    let limit = GenesisError::Limit;
    assert_eq!(error_after(|g| g.exponent = 7), limit("exponent"));
    for ms in [0, 999, 86_400_001] {
        assert_eq!(error_after(|g| g.expiry_window_ms = ms), limit("expiry_window_ms"));
    }
    for ms in [999, 7 * 86_400_000 + 1] {
        assert_eq!(error_after(|g| g.release_deadline_ms = ms), limit("release_deadline_ms"));
    }
    for bytes in [65_535, (1 << 30) + 1] {
        let changed = error_after(|g| g.bytes_per_submitter_per_height = bytes);
        assert_eq!(changed, limit("bytes_per_submitter_per_height"));
    }
    for records in [0, 20_001] {
        assert_eq!(error_after(|g| g.batch_records_max = records), limit("batch_records_max"));
    }
}

/// The origin is a line of a C2SP checkpoint and part of a key's name: no space, no plus sign, nothing that prints otherwise.
#[test]
fn the_origin_is_printable_ascii_without_spaces_or_plus_signs() {
    for wrong in ["", "two words", "a+b", "bank.中国", "tab\u{a0}"] {
        assert_eq!(error_after(|g| g.origin = Text::new(wrong).unwrap()), GenesisError::Origin, "{wrong:?}");
    }
}

/// Rule G-1: the coins follow from the document and its hash, so nothing in the document refers to them.
#[test]
fn preissued_coins_differ_and_follow_from_the_genesis_hash() {
    let genesis = genesis();
    let (chain, line) = (genesis.chain(), &genesis.preissues[0]);
    let openings: Vec<_> = (0..line.count).map(|index| line.opening(&chain, genesis.currency, index)).collect();
    let notes: std::collections::BTreeSet<_> = openings.iter().map(|opening| opening.note(&chain)).collect();
    assert_eq!(notes.len(), 3);
    assert!(openings.iter().all(|opening| (opening.amount, opening.owner) == (line.amount, line.owner)));
    let other = Chain::new(GenesisHash([1; 32]));
    assert!(line.opening(&other, genesis.currency, 0).rho != openings[0].rho);
}
