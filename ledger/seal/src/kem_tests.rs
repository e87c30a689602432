use super::*;
use serde_json::Value;

/// Gives the listed bytes, and panics when asked for more.
struct ListedRng(std::collections::VecDeque<u8>);

impl ListedRng {
    fn new(bytes: Vec<u8>) -> Self {
        ListedRng(bytes.into())
    }
}

impl RngCore for ListedRng {
    fn next_u32(&mut self) -> u32 {
        unreachable!("keys are drawn as bytes")
    }

    fn next_u64(&mut self) -> u64 {
        unreachable!("keys are drawn as bytes")
    }

    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        bytes.iter_mut().for_each(|byte| *byte = self.0.pop_front().expect("a listed byte"));
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), rand_core::Error> {
        self.fill_bytes(bytes);
        Ok(())
    }
}

impl CryptoRng for ListedRng {}

fn field(value: &Value, name: &str) -> Vec<u8> {
    hex::decode(value[name].as_str().expect("a text")).expect("hex")
}

fn vectors(text: &str) -> Vec<Value> {
    serde_json::from_str(text).expect("a list of vectors")
}

const HPKE: &str = include_str!("../tests/vectors/hpke_x25519_sha256_aesgcm.json");
const XWING: &str = include_str!("../tests/vectors/xwing_draft.json");

/// RFC 9180, kem 0x0020, kdf 0x0001, aead 0x0002, Base: the genesis suite X25519, through the functions that offers use.
#[test]
fn the_x25519_suite_seals_and_opens_as_the_rfc_9180_vector_says() {
    let vectors = vectors(HPKE);
    let mut tried = 0;
    for vector in vectors.iter().filter(|v| v["mode"] == 0 && v["aead_id"] == 2) {
        let secret = KemSecret::from_seed(KemSuite::X25519, &field(vector, "ikmR").try_into().unwrap());
        assert_eq!(secret.public_key().to_vec(), field(vector, "pkRm"), "the pair is derived from the seed");
        let first = &vector["encryptions"][0];
        let (info, aad, plaintext) = (field(vector, "info"), field(first, "aad"), field(first, "pt"));

        let mut rng = ListedRng::new(field(vector, "ikmE"));
        let (encapsulated_key, ciphertext) =
            seal_to(KemSuite::X25519, &secret.public_key(), &info, &aad, &plaintext, &mut rng).unwrap();
        assert_eq!(encapsulated_key, field(vector, "enc"));
        assert_eq!(ciphertext, field(first, "ct"));
        assert_eq!(*secret.open(&encapsulated_key, &info, &aad, &ciphertext).unwrap(), plaintext);
        assert!(secret.open(&encapsulated_key, b"other info", &aad, &ciphertext).is_none());
        assert!(secret.open(&encapsulated_key, &info, b"other aad", &ciphertext).is_none());
        tried += 1;
    }
    assert_eq!(tried, 1);
}

/// The library beyond the one message that an offer holds: every listed ciphertext in its order, both AES key lengths.
#[test]
fn the_hpke_library_opens_every_base_vector() {
    fn open_all<A: hpke::aead::Aead>(vector: &Value) -> usize {
        let (secret, _) = X25519HkdfSha256::derive_keypair(&field(vector, "ikmR"));
        let enc = <X25519HkdfSha256 as Kem>::EncappedKey::from_bytes(&field(vector, "enc")).unwrap();
        let mut receiver = hpke::setup_receiver::<A, HkdfSha256, X25519HkdfSha256>(
            &OpModeR::Base,
            &secret,
            &enc,
            &field(vector, "info"),
        )
        .unwrap();
        let encryptions = vector["encryptions"].as_array().unwrap();
        for encryption in encryptions {
            let opened = receiver.open(&field(encryption, "ct"), &field(encryption, "aad")).unwrap();
            assert_eq!(opened, field(encryption, "pt"));
        }
        encryptions.len()
    }
    for vector in vectors(HPKE).iter().filter(|v| v["mode"] == 0) {
        let opened = match vector["aead_id"].as_u64() {
            Some(1) => open_all::<hpke::aead::AesGcm128>(vector),
            Some(2) => open_all::<AesGcm256>(vector),
            other => panic!("aead {other:?} is not of this file"),
        };
        assert_eq!(opened, 6);
    }
}

/// The X-Wing draft's vectors through the KEM that the suite uses: key expansion, encapsulation, decapsulation.
#[test]
fn x_wing_is_the_x_wing_of_the_draft() {
    let vectors = vectors(XWING);
    assert_eq!(vectors.len(), 3);
    for vector in &vectors {
        let secret = <XWing as Kem>::PrivateKey::from_bytes(&field(vector, "sk")).unwrap();
        let public = XWing::sk_to_pk(&secret);
        assert_eq!(public.to_bytes().to_vec(), field(vector, "pk"));
        let mut rng = ListedRng::new(field(vector, "eseed"));
        let (shared, encapsulated_key) = XWing::encap_with_rng(&public, None, &mut Bridge(&mut rng)).unwrap();
        assert_eq!(encapsulated_key.to_bytes().to_vec(), field(vector, "ct"));
        assert_eq!(shared.0.to_vec(), field(vector, "ss"));
        assert_eq!(XWing::decap(&secret, None, &encapsulated_key).unwrap().0.to_vec(), field(vector, "ss"));
    }
}

/// HPKE Base over X-Wing as another implementation makes it, from the seed to the opened key.
#[test]
fn the_x_wing_suite_opens_what_another_implementation_sealed() {
    let vectors = vectors(include_str!("../tests/vectors/hpke_xwing_sha256_aes256gcm.json"));
    assert_eq!(vectors.len(), 3);
    for vector in &vectors {
        let secret = KemSecret::from_seed(KemSuite::XWing, &field(vector, "seed").try_into().unwrap());
        assert_eq!(secret.public_key().to_vec(), field(vector, "pk"));
        let opened = secret.open(&field(vector, "enc"), &field(vector, "info"), b"", &field(vector, "ct")).unwrap();
        assert_eq!(*opened, field(vector, "pt"));
    }
}

#[test]
fn a_seed_gives_one_key_pair_of_the_suites_length_and_only_its_secret_opens() {
    for suite in [KemSuite::X25519, KemSuite::XWing] {
        let secret = KemSecret::from_seed(suite, &[1; 32]);
        let other = KemSecret::from_seed(suite, &[2; 32]);
        assert_eq!(secret.public_key(), KemSecret::from_seed(suite, &[1; 32]).public_key());
        assert_ne!(secret.public_key(), other.public_key());
        assert_eq!(secret.public_key().len(), suite.public_key_bytes());
        assert!(public_key_is_sound(suite, &secret.public_key()));
        assert!(ledger_types::kem::public_key_is_sound(suite, &secret.public_key()));

        let mut rng = ListedRng::new(vec![5; 64]);
        let (enc, mut ct) = seal_to(suite, &secret.public_key(), b"info", b"", &[9; 32], &mut rng).unwrap();
        assert_eq!(ct.len(), 48);
        assert_eq!(*secret.open(&enc, b"info", b"", &ct).unwrap(), vec![9; 32]);
        assert!(other.open(&enc, b"info", b"", &ct).is_none());
        assert!(secret.open(&enc[1..], b"info", b"", &ct).is_none());
        assert!(secret.open(&enc, b"info", b"", &ct[..15]).is_none());
        ct[0] ^= 1;
        assert!(secret.open(&enc, b"info", b"", &ct).is_none());
        assert!(!format!("{secret:?}").contains(&hex::encode(&secret.public_key()[..4])));
    }
}

/// G-2, on the points of small order that Wycheproof lists: each gives the zero secret with any key.
#[test]
fn a_small_order_kem_key_is_refused_in_both_suites() {
    let wycheproof: Value = serde_json::from_str(include_str!("../tests/vectors/wycheproof_x25519.json")).unwrap();
    let mut tried = 0;
    for test in wycheproof["testGroups"][0]["tests"].as_array().unwrap() {
        if field(test, "shared") != [0; 32] {
            continue;
        }
        let small = field(test, "public");
        assert!(!public_key_is_sound(KemSuite::X25519, &small));
        // The directory's own list (G-2) knows the same points.
        assert!(!ledger_types::kem::public_key_is_sound(KemSuite::X25519, &small));
        let mut x_wing = KemSecret::from_seed(KemSuite::XWing, &[1; 32]).public_key().to_vec();
        let at = x_wing.len() - 32;
        x_wing[at..].copy_from_slice(&small);
        assert!(!public_key_is_sound(KemSuite::XWing, &x_wing));
        assert!(seal_to(KemSuite::XWing, &x_wing, b"", b"", &[0; 32], &mut ListedRng::new(vec![5; 64])).is_none());
        tried += 1;
    }
    assert!(tried >= 10, "{tried} tried");
    // Not a reduced ML-KEM polynomial, and wrong lengths.
    assert!(!public_key_is_sound(KemSuite::XWing, &[0xff; 1216]));
    assert!(!public_key_is_sound(KemSuite::XWing, &[9; 32]));
    assert!(!public_key_is_sound(KemSuite::X25519, &[9; 31]));
}
