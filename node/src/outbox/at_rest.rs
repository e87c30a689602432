//! Encryption of what must not lie readable on a disk.
//!
//! Every text has a key of its own, made from the process's secret, 24 random bytes and what the text is for; so the nonce can
//! be zero, no count of texts wears the secret out, and a text moved to another row does not open.

use aes_gcm::aead::{AeadInPlace, KeyInit};
use aes_gcm::{Aes256Gcm, Nonce, Tag};
use rand::RngCore;
use zeroize::Zeroizing;

const SALT_BYTES: usize = 24;
const TAG_BYTES: usize = 16;

pub struct StorageKey(Zeroizing<[u8; 32]>);

impl StorageKey {
    /// `purpose` separates the uses of one secret.
    pub fn new(purpose: &'static str, secret: &[u8; 32]) -> Self {
        StorageKey(Zeroizing::new(blake3::derive_key(purpose, secret)))
    }

    /// salt ‖ ciphertext ‖ tag
    pub fn seal(&self, what_for: &[u8], plaintext: &[u8]) -> Vec<u8> {
        let mut salt = [0; SALT_BYTES];
        rand::thread_rng().fill_bytes(&mut salt);
        self.seal_with(salt, what_for, plaintext)
    }

    pub(crate) fn seal_with(&self, salt: [u8; SALT_BYTES], what_for: &[u8], plaintext: &[u8]) -> Vec<u8> {
        let mut sealed = Vec::with_capacity(SALT_BYTES + plaintext.len() + TAG_BYTES);
        sealed.extend_from_slice(&salt);
        sealed.extend_from_slice(plaintext);
        let tag = self
            .cipher(&salt, what_for)
            .encrypt_in_place_detached(&Nonce::default(), &[], &mut sealed[SALT_BYTES..])
            .expect("a row or a file is far below AES-GCM's length limit");
        sealed.extend_from_slice(&tag);
        sealed
    }

    /// The same for the same bytes, and nothing to who has not the key: to find again what is not to lie readable.
    pub fn mark(&self, what_for: &[u8], bytes: &[u8]) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        hasher.update(b"mark ").update(&(what_for.len() as u64).to_le_bytes()).update(what_for).update(bytes);
        *hasher.finalize().as_bytes()
    }

    /// `None` for another key, another purpose or changed bytes.
    pub fn open(&self, what_for: &[u8], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (salt, rest) = sealed.split_first_chunk::<SALT_BYTES>()?;
        let (ciphertext, tag) = rest.split_last_chunk::<TAG_BYTES>()?;
        let mut plaintext = Zeroizing::new(ciphertext.to_vec());
        let cipher = self.cipher(salt, what_for);
        cipher.decrypt_in_place_detached(&Nonce::default(), &[], &mut plaintext, Tag::from_slice(tag)).ok()?;
        Some(plaintext)
    }

    fn cipher(&self, salt: &[u8; SALT_BYTES], what_for: &[u8]) -> Aes256Gcm {
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        hasher.update(salt);
        hasher.update(what_for);
        let key = Zeroizing::new(*hasher.finalize().as_bytes());
        Aes256Gcm::new((&*key).into())
    }
}

impl std::fmt::Debug for StorageKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("StorageKey(secret)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_opens_under_its_own_key_and_purpose_only() {
        let key = StorageKey::new("test", &[7; 32]);
        let sealed = key.seal(b"row 1", b"secret");
        assert!(!sealed.windows(6).any(|window| window == b"secret"));
        assert_eq!(&key.open(b"row 1", &sealed).unwrap()[..], b"secret");
        assert!(key.open(b"row 2", &sealed).is_none());
        assert!(StorageKey::new("other", &[7; 32]).open(b"row 1", &sealed).is_none());
        for bit in 0..sealed.len() * 8 {
            let mut changed = sealed.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(key.open(b"row 1", &changed).is_none(), "bit {bit}");
        }
        assert_ne!(sealed, key.seal(b"row 1", b"secret"), "the salt is fresh");
    }
}
