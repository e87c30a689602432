//! B-3: a bundle's bytes agree with its header, its header with its digest, and one digest has one body.

use crate::any::{Any, Gen};
use crate::fixture::*;
use ledger_types::bundle::*;
use ledger_types::envelope::Envelope;
use ledger_types::keys::Signature;
use ledger_types::*;
use proptest::prelude::*;

/// The fixture's bundle with a changed header and body, signed by nobody: parsing does not look at the signature.
fn parse_after(change: impl FnOnce(&mut BundleHeader, &mut Vec<u8>)) -> Result<Bundle, BundleError> {
    let chain = chain();
    let bundle = bundle(&chain);
    let mut header = bundle.header().clone();
    let mut body = bundle.body().to_bytes();
    change(&mut header, &mut body);
    Bundle::parse(&chain, &[header.to_bytes(), Signature([0; 64]).to_bytes(), body].concat())
}

#[test]
fn a_signed_bundle_survives_its_bytes() {
    let chain = chain();
    for (bundle, key) in [
        (bundle(&chain), participant_key(BANK_2, "bundle").public_key()),
        (confirmation_bundle(&chain), participant_key(CENTRAL_BANK, "registration").public_key()),
    ] {
        let parsed = Bundle::parse(&chain, &bundle.to_bytes()).unwrap();
        assert_eq!(parsed, bundle);
        assert!(parsed.signature_is_valid(&key));
        assert!(!parsed.signature_is_valid(&participant_key(BANK_3, "bundle").public_key()));
        assert_eq!(parsed.ids().len(), usize::from(parsed.header().count));
    }
}

#[test]
fn a_bundle_that_ends_early_is_refused() {
    let chain = chain();
    let bytes = bundle(&chain).to_bytes();
    let truncated = Err(BundleError::Decode(DecodeError::Truncated));
    assert_eq!(Bundle::parse(&chain, &[]), truncated);
    assert_eq!(Bundle::parse(&chain, &bytes[..100]), truncated);
}

#[test]
fn a_body_of_another_length_than_the_headers_is_refused() {
    let bytes = bundle(&chain()).header().bytes;
    let found = bytes as usize;
    assert_eq!(parse_after(|_, body| body.push(0)), Err(BundleError::Length { said: bytes, found: found + 1 }));
    assert_eq!(
        parse_after(|_, body| body.truncate(found - 1)),
        Err(BundleError::Length { said: bytes, found: found - 1 })
    );
}

#[test]
fn a_bundle_of_no_items_of_too_many_or_of_too_many_bytes_is_refused() {
    assert_eq!(parse_after(|header, _| header.count = 0), Err(BundleError::Size));
    assert_eq!(parse_after(|header, _| header.count = BUNDLE_ENVELOPES_MAX as u16 + 1), Err(BundleError::Size));
    // Before the body is looked at: it need not be there.
    assert_eq!(parse_after(|header, _| header.bytes = BUNDLE_BYTES_MAX as u32 + 1), Err(BundleError::Size));

    let chain = chain();
    let key = participant_key(BANK_2, "bundle");
    assert_eq!(Bundle::sign(&chain, slot(BANK_2, 0), Vec::new(), &key), Err(BundleError::Size));
    let many = vec![transfer(&chain); BUNDLE_ENVELOPES_MAX + 1];
    assert_eq!(Bundle::sign(&chain, slot(BANK_2, 0), many, &key), Err(BundleError::Size));
}

#[test]
fn a_count_that_the_body_cannot_hold_is_refused_before_memory_is_taken() {
    let many = |header: &mut BundleHeader, _: &mut Vec<u8>| header.count = BUNDLE_ENVELOPES_MAX as u16;
    assert_eq!(parse_after(many), Err(BundleError::Decode(DecodeError::Truncated)));
}

#[test]
fn a_body_with_bytes_after_the_last_item_is_refused() {
    let padded = |header: &mut BundleHeader, body: &mut Vec<u8>| {
        body.push(0);
        header.bytes += 1;
    };
    assert_eq!(parse_after(padded), Err(BundleError::Decode(DecodeError::Leftover(1))));
    let one_less = |header: &mut BundleHeader, _: &mut Vec<u8>| header.count = 1;
    assert!(matches!(parse_after(one_less), Err(BundleError::Decode(DecodeError::Leftover(_)))));
}

#[test]
fn an_item_that_does_not_decode_is_refused() {
    let bad_version = |_: &mut BundleHeader, body: &mut Vec<u8>| body[0] = 9;
    let unknown = DecodeError::UnknownValue { field: "envelope version", byte: 9 };
    assert_eq!(parse_after(bad_version), Err(BundleError::Decode(unknown)));
}

#[test]
fn items_that_do_not_hash_to_the_headers_root_are_refused() {
    // A ciphertext byte, which every form check passes.
    let changed = |_: &mut BundleHeader, body: &mut Vec<u8>| *body.last_mut().unwrap() ^= 1;
    assert_eq!(parse_after(changed), Err(BundleError::IdsRoot));
    let other_root = |header: &mut BundleHeader, _: &mut Vec<u8>| header.ids_root.0[0] ^= 1;
    assert_eq!(parse_after(other_root), Err(BundleError::IdsRoot));
    let swapped = |_: &mut BundleHeader, body: &mut Vec<u8>| {
        let half = body.len() / 2;
        body.rotate_left(half);
    };
    assert_eq!(parse_after(swapped), Err(BundleError::IdsRoot));
}

#[test]
fn the_registration_lane_carries_one_batch_and_no_other_lane_does() {
    let chain = chain();
    let key = participant_key(BANK_2, "bundle");
    let registration = slot(ParticipantNumber::REGISTRATION, 0);
    let envelopes = Bundle::sign(&chain, registration, vec![transfer(&chain)], &key);
    assert_eq!(envelopes, Err(BundleError::OtherLane));
    let batch = Bundle::sign_confirmation(&chain, slot(BANK_2, 0), signed_batch(&chain), &key);
    assert_eq!(batch, Err(BundleError::OtherLane));

    let two = |header: &mut BundleHeader, _: &mut Vec<u8>| header.slot = slot(ParticipantNumber::REGISTRATION, 0);
    assert_eq!(parse_after(two), Err(BundleError::OtherLane));
    // One envelope in the registration lane is no batch.
    let one = |header: &mut BundleHeader, body: &mut Vec<u8>| {
        (header.slot, header.count) = (slot(ParticipantNumber::REGISTRATION, 0), 1);
        body.truncate(body.len() / 2);
        header.bytes = body.len() as u32;
    };
    assert!(matches!(parse_after(one), Err(BundleError::Decode(_))));
}

/// Were the batch's signature outside the id, anybody could make a second body for a certified digest.
#[test]
fn a_batch_with_another_signature_has_another_item_id() {
    let chain = chain();
    let batch = signed_batch(&chain);
    let mut other = batch.clone();
    other.signature.0[0] ^= 1;
    assert_ne!(batch.item_id(&chain), other.item_id(&chain));
    assert!(batch.signature_is_valid(&chain, &participant_key(CENTRAL_BANK, "registration").public_key()));
    assert!(!other.signature_is_valid(&chain, &participant_key(CENTRAL_BANK, "registration").public_key()));
}

#[test]
fn the_digest_commits_to_the_slot() {
    let chain = chain();
    let key = participant_key(BANK_2, "bundle");
    let in_slot = |slot| Bundle::sign(&chain, slot, vec![transfer(&chain)], &key).unwrap().digest();
    let digest = in_slot(slot(BANK_2, 5));
    assert_ne!(digest, in_slot(slot(BANK_2, 6)));
    assert_ne!(digest, in_slot(slot(BANK_3, 5)));
    assert_ne!(digest, in_slot(Slot { incarnation: 2, ..slot(BANK_2, 5) }));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn every_bundle_survives_its_bytes(seed in any::<u64>(), count in 1usize..6) {
        let (chain, g) = (chain(), &mut Gen::new(seed));
        let envelopes: Vec<Envelope> = (0..count).map(|_| Envelope::any(g)).collect();
        let bundle = Bundle::sign(&chain, slot(BANK_2, seed), envelopes, &participant_key(BANK_2, "bundle")).unwrap();
        let bytes = bundle.to_bytes();
        prop_assert_eq!(Bundle::parse(&chain, &bytes).unwrap().to_bytes(), bytes);
    }

    #[test]
    fn no_bytes_make_the_parser_panic_and_one_body_has_one_encoding(
        seed in any::<u64>(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let chain = chain();
        let mut bytes = if seed % 2 == 0 { bundle(&chain) } else { confirmation_bundle(&chain) }.to_bytes();
        let at = at.index(if seed % 3 == 0 { 200 } else { bytes.len() });
        bytes[at] = byte;
        if let Ok(parsed) = Bundle::parse(&chain, &bytes) {
            prop_assert_eq!(parsed.to_bytes(), bytes);
        }
    }
}
