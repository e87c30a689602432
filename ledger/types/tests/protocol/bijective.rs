//! The encoding is bijective: a value survives its bytes, and bytes that decode are the only bytes of their value.

use crate::any::{Any, Gen};
use crate::for_every_type;
use ledger_types::block::*;
use ledger_types::bundle::*;
use ledger_types::channel::*;
use ledger_types::coin::*;
use ledger_types::confirmation::*;
use ledger_types::contract::*;
use ledger_types::envelope::*;
use ledger_types::feed::*;
use ledger_types::genesis::*;
use ledger_types::hand_over::*;
use ledger_types::keys::{PublicKey, Signature};
use ledger_types::log_leaf::*;
use ledger_types::order::*;
use ledger_types::ownership::*;
use ledger_types::participant::*;
use ledger_types::reconciliation::*;
use ledger_types::request::*;
use ledger_types::rules::*;
use ledger_types::sealed::*;
use ledger_types::snapshot::*;
use ledger_types::vote::*;
use ledger_types::*;
use proptest::prelude::*;
use std::collections::BTreeSet;

/// What every encoding keeps, on one random value and on bytes near it.
fn holds<T: Any + Encode + Decode + PartialEq>(name: &str, seed: u64) -> Result<(), TestCaseError> {
    let mut g = Gen::new(seed);
    let value = T::any(&mut g);
    let bytes = value.to_bytes();
    match T::from_bytes(&bytes) {
        Ok(decoded) => prop_assert!(decoded == value, "{name}, seed {seed}: the value changed"),
        Err(error) => return Err(TestCaseError::fail(format!("{name}, seed {seed}: {error}"))),
    }
    // Bytes after the last field are never ignored, and a missing byte is never filled in.
    let longer = [&bytes[..], &[0]].concat();
    prop_assert!(T::from_bytes(&longer).err() == Some(DecodeError::Leftover(1)), "{name}, seed {seed}: leftover");
    let cut = g.below(bytes.len());
    prop_assert!(T::from_bytes(&bytes[..cut]).is_err(), "{name}, seed {seed}: cut at {cut}");
    for _ in 0..4 {
        let mut near = bytes.clone();
        // The first bytes hold versions, kinds and counts: half of the changes go there.
        let at = if g.below(2) == 0 { g.below(near.len().min(8)) } else { g.below(near.len()) };
        near[at] = u8::any(&mut g);
        one_value_one_encoding::<T>(name, &near)?;
    }
    Ok(())
}

/// Bytes that decode encode back to themselves; no bytes make the decoder panic.
fn one_value_one_encoding<T: Encode + Decode>(name: &str, bytes: &[u8]) -> Result<(), TestCaseError> {
    if let Ok(value) = T::from_bytes(bytes) {
        prop_assert!(value.to_bytes() == bytes, "{name}: {} decodes to a value of other bytes", hex::encode(bytes));
    }
    // A decoder inside another sees bytes beyond its own end.
    let mut reader = Reader::new(bytes);
    if let Ok(value) = T::decode(&mut reader) {
        let used = bytes.len() - reader.remaining();
        prop_assert!(value.to_bytes() == bytes[..used], "{name}: a prefix decodes to a value of other bytes");
    }
    Ok(())
}

/// Random bytes, or bytes whose first byte is small, as versions and kinds are.
fn untrusted_bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..2048),
        prop::collection::vec(0u8..4, 0..1024),
        (0u8..9, prop::collection::vec(prop_oneof![Just(0u8), Just(1), Just(255)], 0..1024))
            .prop_map(|(kind, rest)| [&[1, kind][..], &rest].concat()),
    ]
}

macro_rules! value_tests {
    ($($name:ident)*) => {
        proptest! {
            #![proptest_config(ProptestConfig::with_cases(96))]
            #[test]
            fn every_value_survives_its_bytes_and_has_no_others(seed in any::<u64>()) {
                $( holds::<$name>(stringify!($name), seed)?; )*
                holds::<Option<Slot>>("Option", seed)?;
                holds::<List<u16, 5>>("List", seed)?;
                holds::<Octets<9>>("Octets", seed)?;
                holds::<Text<40>>("Text", seed)?;
                holds::<u128>("u128", seed)?;
            }
        }
        proptest! {
            #![proptest_config(ProptestConfig::with_cases(512))]
            #[test]
            fn untrusted_bytes_decode_to_their_own_value_or_not_at_all(bytes in untrusted_bytes()) {
                $( one_value_one_encoding::<$name>(stringify!($name), &bytes)?; )*
                one_value_one_encoding::<Text<64>>("Text", &bytes)?;
            }
        }
        const LISTED: &[&str] = &[$(stringify!($name)),*];
    };
}
for_every_type!(value_tests);

/// Types with an encoding, as the sources declare them.
fn declared() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/src");
    for file in std::fs::read_dir(source).unwrap() {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        let (mut in_hashes, mut in_numbers) = (false, false);
        for line in text.lines() {
            let line = line.trim();
            let word = |text: &str| text.chars().take_while(|c| c.is_alphanumeric()).collect::<String>();
            if let Some(rest) = line.strip_prefix("layout!(").or(line.strip_prefix("impl Decode for ")) {
                found.insert(word(rest));
            }
            if let Some(rest) = line.strip_prefix("pub enum ") {
                // `numbered!` enumerations carry numbers.
                let body = &text[text.find(line).unwrap()..];
                if body[..body.find('}').unwrap()].contains(" = ") && !text.contains("macro_rules! refusals") {
                    found.insert(word(rest));
                }
            }
            in_hashes = (in_hashes || line == "hashes! {") && line != "}";
            in_numbers = (in_numbers || line == "numbers! {") && line != "}";
            if (in_hashes || in_numbers) && line.starts_with(char::is_uppercase) {
                found.insert(word(line));
            }
        }
    }
    // Macro parameters, not types.
    found.retain(|name| !name.is_empty());
    found
}

#[test]
fn every_type_with_an_encoding_is_tested_here() {
    let listed: BTreeSet<String> = LISTED.iter().map(|name| name.to_string()).collect();
    let declared = declared();
    assert!(declared.len() > 70, "the sources are not read as they are written: {declared:?}");
    let missing: Vec<_> = declared.difference(&listed).collect();
    assert!(missing.is_empty(), "give these a generator in any.rs and a place in for_every_type!: {missing:?}");
}

#[test]
fn padding_after_a_sealed_part_is_zero_or_refused() {
    let sealed = Sealed::any(&mut Gen::new(1));
    let bucket = Bucket::for_plaintext(sealed.to_bytes().len()).unwrap();
    let mut bytes = sealed.padded(bucket).unwrap();
    assert_eq!(bytes.len(), bucket.plaintext_bytes());
    assert!(Sealed::from_padded(&bytes).unwrap() == sealed);
    *bytes.last_mut().unwrap() = 1;
    assert_eq!(Sealed::from_padded(&bytes).unwrap_err(), DecodeError::NotCanonical("padding"));
}
