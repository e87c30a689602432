//! A coin id as people see it: `coin1…`, bech32m (BIP-350), one text a coin.

use crate::fixture;
use bech32::primitives::iter::Fe32IterExt;
use bech32::{Bech32, Bech32m, Fe32, Hrp};
use ledger_types::CoinId;
use ledger_types::ids::CoinIdError;
use proptest::prelude::*;

const ALPHABET: &str = "qpzry9x8gf2tvdw0s3jn54khce6mua7l";

fn text() -> String {
    fixture::coin(&fixture::chain()).to_string()
}

proptest! {
    #[test]
    fn every_coin_id_survives_its_text(id in any::<[u8; 32]>()) {
        let text = CoinId(id).to_string();
        prop_assert_eq!(text.len(), CoinId::TEXT_LEN);
        prop_assert_eq!(CoinId::parse(&text), Ok(CoinId(id)));
    }

    #[test]
    fn no_text_makes_the_parser_panic_and_each_coin_has_one(text in "(coin1)?.{0,70}") {
        if let Ok(id) = CoinId::parse(&text) {
            prop_assert_eq!(id.to_string(), text);
        }
    }
}

#[test]
fn a_mistyped_character_is_refused_at_every_place() {
    let text = text();
    for at in "coin1".len()..text.len() {
        for typed in ALPHABET.chars().filter(|typed| !text[at..].starts_with(*typed)) {
            let mistyped = [&text[..at], &typed.to_string(), &text[at + 1..]].concat();
            assert_eq!(CoinId::parse(&mistyped), Err(CoinIdError::Checksum), "{mistyped}");
        }
    }
}

#[test]
fn two_swapped_neighbours_are_refused() {
    let text = text();
    for at in "coin1".len()..text.len() - 1 {
        let mut bytes = text.clone().into_bytes();
        bytes.swap(at, at + 1);
        let swapped = String::from_utf8(bytes).unwrap();
        if swapped != text {
            assert_eq!(CoinId::parse(&swapped), Err(CoinIdError::Checksum));
        }
    }
}

#[test]
fn another_prefix_is_refused() {
    let id = fixture::coin(&fixture::chain());
    let other = bech32::encode::<Bech32m>(Hrp::parse("token").unwrap(), &id.0).unwrap();
    for text in [other.as_str(), "", "coin", "coi", "Coin1", &text().to_uppercase(), &text()[1..]] {
        assert_eq!(CoinId::parse(text), Err(CoinIdError::WrongPrefix), "{text}");
    }
}

#[test]
fn another_length_is_refused_and_told_in_characters() {
    let text = text();
    let wrong = |found| Err(CoinIdError::WrongLength { expected: 63, found });
    assert_eq!(CoinId::parse(&text[..62]), wrong(62));
    assert_eq!(CoinId::parse(&format!("{text}q")), wrong(64));
    assert_eq!(CoinId::parse("coin1"), wrong(5));
    // 63 characters in 64 bytes: the length is right, the text is not.
    assert_eq!(CoinId::parse(&format!("{}é", &text[..62])), Err(CoinIdError::Checksum));
}

#[test]
fn a_character_outside_the_alphabet_and_mixed_case_are_refused() {
    let text = text();
    for typed in ["b", "i", "o", "1", " ", "Q"] {
        assert_eq!(CoinId::parse(&format!("{}{typed}", &text[..62])), Err(CoinIdError::Checksum), "{typed}");
    }
}

#[test]
fn the_older_bech32_checksum_is_refused() {
    let id = fixture::coin(&fixture::chain());
    let older = bech32::encode::<Bech32>(Hrp::parse("coin").unwrap(), &id.0).unwrap();
    assert_eq!(CoinId::parse(&older), Err(CoinIdError::Checksum));
}

/// 52 characters hold four bits more than 32 bytes: without a check, fifteen further texts with valid checksums would name
/// the same coin.
#[test]
fn a_second_text_for_the_same_coin_is_refused() {
    let hrp = Hrp::parse("coin").unwrap();
    let text = text();
    let digits: Vec<Fe32> = text[5..57].chars().map(|c| Fe32::from_char(c).unwrap()).collect();
    for extra in 1..16u8 {
        let mut digits = digits.clone();
        let last = digits.last_mut().unwrap();
        *last = Fe32::try_from(last.to_u8() | extra).unwrap();
        let second: String = digits.into_iter().with_checksum::<Bech32m>(&hrp).chars().collect();
        assert_eq!(CoinId::parse(&second), Err(CoinIdError::Padding), "{second}");
    }
}
