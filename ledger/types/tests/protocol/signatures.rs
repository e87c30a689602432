//! Keys and signatures beyond the outside vectors: G-2's sound keys, and secrets that are never printed.

use crate::any::{Any, Gen};
use crate::fixture::{key, opening, public};
use ledger_types::keys::{PublicKey, Signature};
use ledger_types::sealed::{Sealed, SealedInput, SealedOutput};

/// The encodings of the eight points of small order, canonical and not (RFC 8032 decoding, "Taming the many EdDSAs" table 1).
pub const SMALL_ORDER_KEYS: [&str; 14] = [
    "0100000000000000000000000000000000000000000000000000000000000000",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "0100000000000000000000000000000000000000000000000000000000000080",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
];

#[test]
fn a_key_of_small_order_is_not_sound_and_verifies_nothing() {
    for hex in SMALL_ORDER_KEYS {
        let weak = PublicKey::from_hex(hex).unwrap();
        assert!(!weak.is_sound(), "{hex}");
        // With such a key, R = A and S = 0 would hold for every message that a lenient verifier tries.
        let mut signature = [0; 64];
        signature[..32].copy_from_slice(&weak.0);
        assert!(!weak.verify(b"anything", &Signature(signature)), "{hex}");
    }
}

/// y and y + p decode to one point; only y < p is the point's encoding.
#[test]
fn a_key_in_a_second_encoding_is_not_sound() {
    let mut points = 0;
    for above in 0..19u8 {
        let mut second = [0xff; 32];
        (second[0], second[31]) = (0xed + above, 0x7f);
        assert!(!PublicKey(second).is_sound(), "p + {above}");
        let mut first = [0; 32];
        first[0] = above;
        points += usize::from(PublicKey(first).is_sound());
    }
    // Some of these are points of large order, so it is the encoding that was refused.
    assert!(points > 0);
}

#[test]
fn a_key_off_the_curve_is_not_sound() {
    let mut off_curve = 0;
    for y in 0..=255u8 {
        let mut bytes = [0; 32];
        bytes[0] = y;
        let key = PublicKey(bytes);
        if !key.is_sound() && !SMALL_ORDER_KEYS.contains(&key.to_string().as_str()) {
            off_curve += 1;
            assert!(!key.verify(b"", &Signature([0; 64])));
        }
    }
    assert!((64..192).contains(&off_curve), "about half of all y are no points: {off_curve}");
}

#[test]
fn a_signature_holds_for_its_message_and_its_key_only() {
    let signature = key("alice").sign(b"message");
    assert!(public("alice").verify(b"message", &signature));
    assert!(!public("alice").verify(b"another", &signature));
    assert!(!public("bob").verify(b"message", &signature));
    for bit in 0..512 {
        let mut flipped = signature;
        flipped.0[bit / 8] ^= 1 << (bit % 8);
        assert!(!public("alice").verify(b"message", &flipped), "bit {bit}");
    }
}

#[test]
fn secrets_are_not_printed() {
    let seed = key("alice").seed();
    let printed = format!("{:?}", key("alice"));
    assert!(!printed.contains(&hex::encode(&seed[..4])), "{printed}");

    let g = &mut Gen::new(1);
    for printed in [
        format!("{:#?}", opening()),
        format!("{:?}", SealedInput::any(g)),
        format!("{:?}", SealedOutput::any(g)),
        format!("{:?}", Sealed::any(g)),
    ] {
        assert!(!printed.contains(|c: char| c.is_ascii_digit()), "a number or hash is shown: {printed}");
    }
}
