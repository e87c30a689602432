//! Wycheproof through the crates that this package uses: aes-gcm for envelopes, and hpke's HKDF and X25519.

use aes_gcm::aead::{AeadInPlace, KeyInit};
use aes_gcm::{Aes256Gcm, Nonce, Tag};
use serde_json::Value;

fn groups(text: &str) -> Vec<Value> {
    let file: Value = serde_json::from_str(text).unwrap();
    file["testGroups"].as_array().unwrap().clone()
}

fn field(value: &Value, name: &str) -> Vec<u8> {
    hex::decode(value[name].as_str().unwrap()).unwrap()
}

#[test]
fn aes_256_gcm_with_a_96_bit_nonce_agrees() {
    let (mut valid, mut invalid) = (0, 0);
    let groups = groups(include_str!("vectors/wycheproof_aes_gcm.json"));
    for group in groups.iter().filter(|g| g["keySize"] == 256 && g["ivSize"] == 96 && g["tagSize"] == 128) {
        for test in group["tests"].as_array().unwrap() {
            let cipher = Aes256Gcm::new_from_slice(&field(test, "key")).unwrap();
            let iv = field(test, "iv");
            let (nonce, aad, message) = (Nonce::from_slice(&iv), field(test, "aad"), field(test, "msg"));
            let (ciphertext, tag) = (field(test, "ct"), field(test, "tag"));
            let mut opened = ciphertext.clone();
            let outcome = cipher.decrypt_in_place_detached(nonce, &aad, &mut opened, Tag::from_slice(&tag));
            if test["result"] == "valid" {
                assert!(outcome.is_ok(), "test {}", test["tcId"]);
                assert_eq!(opened, message, "test {}", test["tcId"]);
                let mut sealed = message.clone();
                assert_eq!(
                    cipher.encrypt_in_place_detached(nonce, &aad, &mut sealed).unwrap().as_slice(),
                    tag,
                    "test {}",
                    test["tcId"]
                );
                assert_eq!(sealed, ciphertext, "test {}", test["tcId"]);
                valid += 1;
            } else {
                assert!(outcome.is_err(), "test {}", test["tcId"]);
                invalid += 1;
            }
        }
    }
    assert_eq!(valid + invalid, 66);
    assert!(invalid >= 20, "{invalid} invalid ones");
}

#[test]
fn hkdf_sha256_agrees() {
    let (mut valid, mut invalid) = (0, 0);
    for group in groups(include_str!("vectors/wycheproof_hkdf_sha256.json")) {
        for test in group["tests"].as_array().unwrap() {
            let hkdf = hkdf::Hkdf::<sha2::Sha256>::new(Some(&field(test, "salt")), &field(test, "ikm"));
            let mut okm = vec![0; test["size"].as_u64().unwrap() as usize];
            let outcome = hkdf.expand(&field(test, "info"), &mut okm);
            if test["result"] == "valid" {
                assert!(outcome.is_ok(), "test {}", test["tcId"]);
                assert_eq!(okm, field(test, "okm"), "test {}", test["tcId"]);
                valid += 1;
            } else {
                assert!(outcome.is_err(), "test {}", test["tcId"]);
                invalid += 1;
            }
        }
    }
    assert_eq!((valid, invalid), (83, 3));
}

/// "Acceptable" are keys on the twist, of small order or not reduced: RFC 7748 computes with them, and the value must agree.
/// Small-order keys are refused one layer up (`kem::public_key_is_sound`).
#[test]
fn x25519_agrees() {
    let mut tried = 0;
    for group in groups(include_str!("vectors/wycheproof_x25519.json")) {
        for test in group["tests"].as_array().unwrap() {
            let secret: [u8; 32] = field(test, "private").try_into().unwrap();
            let public: [u8; 32] = field(test, "public").try_into().unwrap();
            let shared =
                x25519_dalek::StaticSecret::from(secret).diffie_hellman(&x25519_dalek::PublicKey::from(public));
            assert_eq!(shared.as_bytes().to_vec(), field(test, "shared"), "test {}", test["tcId"]);
            tried += 1;
        }
    }
    assert_eq!(tried, 518);
}
