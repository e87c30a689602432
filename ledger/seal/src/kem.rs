//! KEM key pairs of the genesis's suite, and HPKE Base over them (E-2).
//!
//! A node stores a 32-byte seed and nothing else: the pair is RFC 9180 DeriveKeyPair (X-Wing: its counterpart in the HPKE-PQ
//! draft) of the seed. Both suites use HKDF-SHA256 and AES-256-GCM. X-Wing is safe as long as either ML-KEM-768 or X25519 is.
//! HPKE Base authenticates nobody: whoever believes an opened key must have checked the signature over the offer first.

use hpke::aead::AesGcm256;
use hpke::kdf::HkdfSha256;
use hpke::kem::{Kem, X25519HkdfSha256, XWing};
use hpke::{Deserializable, HpkeError, OpModeR, OpModeS, Serializable};
use ledger_types::Octets;
use ledger_types::genesis::KemSuite;
use ledger_types::participant::KEM_KEY_BYTES_MAX;
use rand_core::{CryptoRng, RngCore};
use std::convert::Infallible;
use std::fmt;
use zeroize::Zeroizing;

/// The directory's form of a KEM public key.
pub type KemPublicKey = Octets<KEM_KEY_BYTES_MAX>;

/// A participant's KEM secret; the library wipes it when it is dropped.
pub struct KemSecret(Secret);

enum Secret {
    X25519(<X25519HkdfSha256 as Kem>::PrivateKey),
    /// Boxed: it carries the expanded public key.
    XWing(Box<<XWing as Kem>::PrivateKey>),
}

impl KemSecret {
    pub fn from_seed(suite: KemSuite, seed: &[u8; 32]) -> Self {
        KemSecret(match suite {
            KemSuite::X25519 => Secret::X25519(X25519HkdfSha256::derive_keypair(seed).0),
            KemSuite::XWing => Secret::XWing(Box::new(XWing::derive_keypair(seed).0)),
        })
    }

    pub fn suite(&self) -> KemSuite {
        match self.0 {
            Secret::X25519(_) => KemSuite::X25519,
            Secret::XWing(_) => KemSuite::XWing,
        }
    }

    pub fn public_key(&self) -> KemPublicKey {
        let bytes = match &self.0 {
            Secret::X25519(secret) => X25519HkdfSha256::sk_to_pk(secret).to_bytes().to_vec(),
            Secret::XWing(secret) => XWing::sk_to_pk(secret).to_bytes().to_vec(),
        };
        Octets::new(bytes).expect("KEM_KEY_BYTES_MAX is the longest suite's key")
    }

    /// Opens an encapsulation made to this key. `None` for every failure.
    pub(crate) fn open(
        &self,
        encapsulated_key: &[u8],
        info: &[u8],
        aad: &[u8],
        ciphertext: &[u8],
    ) -> Option<Zeroizing<Vec<u8>>> {
        let opened = match &self.0 {
            Secret::X25519(secret) => hpke_open::<X25519HkdfSha256>(secret, encapsulated_key, info, aad, ciphertext),
            Secret::XWing(secret) => hpke_open::<XWing>(secret, encapsulated_key, info, aad, ciphertext),
        };
        opened.ok().map(Zeroizing::new)
    }
}

impl fmt::Debug for KemSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KemSecret({:?})", self.suite())
    }
}

/// Whether `key` is a usable public key of the suite: right length, decodes, and its X25519 part is not of small order (G-2).
pub fn public_key_is_sound(suite: KemSuite, key: &[u8]) -> bool {
    if key.len() != suite.public_key_bytes() {
        return false;
    }
    match suite {
        KemSuite::X25519 => x25519_is_contributory(key),
        // The library accepts a small-order X25519 part in X-Wing, since ML-KEM still protects; an honest key never has one.
        KemSuite::XWing => {
            <XWing as Kem>::PublicKey::from_bytes(key).is_ok() && x25519_is_contributory(&key[key.len() - 32..])
        }
    }
}

/// A small-order point gives the zero secret with every clamped scalar, and HPKE refuses the zero secret: so one try decides.
fn x25519_is_contributory(point: &[u8]) -> bool {
    let (any_secret, _) = X25519HkdfSha256::derive_keypair(&[0; 32]);
    <X25519HkdfSha256 as Kem>::EncappedKey::from_bytes(point).is_ok_and(|point| {
        hpke::setup_receiver::<AesGcm256, HkdfSha256, X25519HkdfSha256>(&OpModeR::Base, &any_secret, &point, b"")
            .is_ok()
    })
}

/// Returns the encapsulated key and the ciphertext. `None` when the public key is unsound.
pub(crate) fn seal_to(
    suite: KemSuite,
    public_key: &[u8],
    info: &[u8],
    aad: &[u8],
    plaintext: &[u8],
    rng: &mut (impl CryptoRng + RngCore),
) -> Option<(Vec<u8>, Vec<u8>)> {
    if !public_key_is_sound(suite, public_key) {
        return None;
    }
    let sealed = match suite {
        KemSuite::X25519 => hpke_seal::<X25519HkdfSha256>(public_key, info, aad, plaintext, rng),
        KemSuite::XWing => hpke_seal::<XWing>(public_key, info, aad, plaintext, rng),
    };
    sealed.ok()
}

fn hpke_seal<K: Kem>(
    public_key: &[u8],
    info: &[u8],
    aad: &[u8],
    plaintext: &[u8],
    rng: &mut (impl CryptoRng + RngCore),
) -> Result<(Vec<u8>, Vec<u8>), HpkeError> {
    let public_key = K::PublicKey::from_bytes(public_key)?;
    let (encapsulated_key, ciphertext) = hpke::single_shot_seal_with_rng::<AesGcm256, HkdfSha256, K>(
        &OpModeS::Base,
        &public_key,
        info,
        plaintext,
        aad,
        &mut Bridge(rng),
    )?;
    Ok((encapsulated_key.to_bytes().to_vec(), ciphertext))
}

fn hpke_open<K: Kem>(
    secret: &K::PrivateKey,
    encapsulated_key: &[u8],
    info: &[u8],
    aad: &[u8],
    ciphertext: &[u8],
) -> Result<Vec<u8>, HpkeError> {
    let encapsulated_key = K::EncappedKey::from_bytes(encapsulated_key)?;
    hpke::single_shot_open::<AesGcm256, HkdfSha256, K>(&OpModeR::Base, secret, &encapsulated_key, info, ciphertext, aad)
}

/// The callers' generators speak rand_core 0.6, hpke's 0.10.
struct Bridge<'a, R>(&'a mut R);

impl<R: RngCore> hpke::rand_core::TryRng for Bridge<'_, R> {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(self.0.next_u32())
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(self.0.next_u64())
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        self.0.fill_bytes(bytes);
        Ok(())
    }
}

impl<R: CryptoRng + RngCore> hpke::rand_core::TryCryptoRng for Bridge<'_, R> {}

#[cfg(test)]
#[path = "kem_tests.rs"]
mod tests;
