//! Which KEM public keys may enter a directory (G-2).
//!
//! What must stay true: nobody can hold a key to which an honest sender's epoch key cannot be sealed, or whose shared secret
//! everybody knows. Encapsulating to such a key would fail (one line of the directory then stops all offers to its bank), or
//! would protect nothing. HPKE itself is in `ledger-seal`; here is only what a directory needs to know.

use crate::genesis::KemSuite;

/// X-Wing's public key is an ML-KEM-768 key of 1,184 bytes and an X25519 key.
const ML_KEM_BYTES: usize = 1184;
/// Of them the polynomials' 768 coefficients of 12 bits, below the modulus; the rest is a seed, where every byte is one.
const ML_KEM_POLYNOMIAL_BYTES: usize = 1152;
const ML_KEM_MODULUS: u16 = 3329;

/// Right length, and both halves are keys that an honest key generation could give.
pub fn public_key_is_sound(suite: KemSuite, key: &[u8]) -> bool {
    if key.len() != suite.public_key_bytes() {
        return false;
    }
    match suite {
        KemSuite::X25519 => !x25519_is_small_order(key),
        KemSuite::XWing => {
            let (ml_kem, x25519) = key.split_at(ML_KEM_BYTES);
            coefficients_are_reduced(&ml_kem[..ML_KEM_POLYNOMIAL_BYTES]) && !x25519_is_small_order(x25519)
        }
    }
}

/// FIPS 203, 7.2, the modulus check.
fn coefficients_are_reduced(bytes: &[u8]) -> bool {
    bytes.as_chunks::<3>().0.iter().all(|[a, b, c]| {
        let (a, b, c) = (u16::from(*a), u16::from(*b), u16::from(*c));
        (a | (b & 0x0f) << 8) < ML_KEM_MODULUS && (b >> 4 | c << 4) < ML_KEM_MODULUS
    })
}

/// The points of order 1, 2, 4 and 8 on the curve and its twist, in every encoding of 255 bits (2^255 − 19 = p, and RFC 7748
/// takes u mod p). Every clamped scalar is a multiple of 8, so it makes them the zero secret.
const SMALL_ORDER: [&str; 7] = [
    "0000000000000000000000000000000000000000000000000000000000000000", // 0
    "0100000000000000000000000000000000000000000000000000000000000000", // 1
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800", // order 8
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157", // order 8
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", // p − 1
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", // p
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", // p + 1
];

fn x25519_is_small_order(key: &[u8]) -> bool {
    let mut point = key.to_vec();
    // RFC 7748 ignores the highest bit.
    point[31] &= 0x7f;
    let point = hex::encode(point);
    SMALL_ORDER.contains(&point.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ed25519_dalek::VerifyingKey;

    fn bytes(text: &str) -> [u8; 32] {
        hex::decode(text).unwrap().try_into().unwrap()
    }

    /// The list is what the birational map gives of the eight small-order points that Ed25519 knows, and the twist's.
    #[test]
    fn the_list_holds_the_small_order_points_of_the_curve() {
        let mut found = 0;
        // y-coordinates of points of order 1, 2, 4, 8: those that `is_weak` names.
        for edwards in [
            "0100000000000000000000000000000000000000000000000000000000000000",
            "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "0000000000000000000000000000000000000000000000000000000000000000",
            "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
            "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        ] {
            let point = VerifyingKey::from_bytes(&bytes(edwards)).unwrap();
            assert!(point.is_weak());
            assert!(x25519_is_small_order(&point.to_montgomery().to_bytes()), "{edwards}");
            found += 1;
        }
        assert_eq!(found, 5);
    }

    #[test]
    fn a_small_order_point_is_refused_in_every_encoding_and_in_both_suites() {
        for text in SMALL_ORDER {
            for high_bit in [0, 0x80] {
                let mut point = bytes(text);
                point[31] |= high_bit;
                assert!(!public_key_is_sound(KemSuite::X25519, &point), "{text}");
                let mut x_wing = vec![1; ML_KEM_BYTES];
                x_wing.extend(point);
                assert!(!public_key_is_sound(KemSuite::XWing, &x_wing), "{text}");
            }
        }
        assert!(public_key_is_sound(KemSuite::X25519, &[9; 32]));
        assert!(public_key_is_sound(KemSuite::XWing, &[1; 1216]));
        assert!(!public_key_is_sound(KemSuite::X25519, &[9; 31]));
        assert!(!public_key_is_sound(KemSuite::XWing, &[1; 1215]));
    }

    #[test]
    fn an_ml_kem_coefficient_that_is_not_reduced_is_refused() {
        let mut key = vec![0; ML_KEM_BYTES];
        key.extend([9; 32]);
        assert!(public_key_is_sound(KemSuite::XWing, &key));
        // 3,329 = 0xd01 in the low and in the high coefficient of three bytes; 3,328 is the largest.
        for (at, three, sound) in [
            (0, [0x00, 0x0d, 0x00], true),
            (0, [0x01, 0x0d, 0x00], false),
            (1149, [0x00, 0x00, 0xd0], true),
            (1149, [0x00, 0x10, 0xd0], false),
        ] {
            let mut key = key.clone();
            key[at..at + 3].copy_from_slice(&three);
            assert_eq!(public_key_is_sound(KemSuite::XWing, &key), sound, "{three:x?} at {at}");
        }
        // The seed behind the polynomials may be anything.
        key[ML_KEM_POLYNOMIAL_BYTES..ML_KEM_BYTES].fill(0xff);
        assert!(public_key_is_sound(KemSuite::XWing, &key));
    }
}
