//! The desk's rows as they lie on disk: AES-256-GCM, each row under a key of its own.
//!
//! A row's key is derived from the bank's storage secret, the table and the row's name, so a row copied to another place does
//! not open, and a random 96-bit nonce can only meet itself among the versions of one row.

use aes_gcm::aead::{AeadInPlace, KeyInit};
use aes_gcm::{Aes256Gcm, Nonce, Tag};
use rand::RngCore;
use zeroize::Zeroizing;

const NONCE_BYTES: usize = 12;
const TAG_BYTES: usize = 16;

pub(crate) struct AtRest {
    rows: Zeroizing<[u8; 32]>,
    labels: Zeroizing<[u8; 32]>,
    derived: Zeroizing<[u8; 32]>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a row of {0} does not open: it was changed, moved, or the storage key is another")]
pub(crate) struct CannotOpenRow(pub &'static str);

impl AtRest {
    pub fn new(storage_secret: &[u8; 32]) -> Self {
        let derive = |context| Zeroizing::new(blake3::derive_key(context, storage_secret));
        AtRest {
            rows: derive("assay desk rows v1"),
            labels: derive("assay desk labels v1"),
            derived: derive("assay desk derived secrets v1"),
        }
    }

    /// What stands in a row's name for a text that says something about a customer.
    pub fn label(&self, of: &str, text: &str) -> [u8; 32] {
        keyed(&self.labels, &[of.as_bytes(), text.as_bytes()])
    }

    /// A secret that is the same whenever it is asked for: the randomness of a coin that was promised for an order.
    pub fn secret(&self, of: &str, parts: &[&[u8]]) -> [u8; 32] {
        let mut all = vec![of.as_bytes()];
        all.extend_from_slice(parts);
        keyed(&self.derived, &all)
    }

    fn cipher(&self, table: &str, key: &[u8]) -> Aes256Gcm {
        let row_key = Zeroizing::new(keyed(&self.rows, &[table.as_bytes(), key]));
        Aes256Gcm::new((&*row_key).into())
    }

    pub fn seal(&self, table: &str, key: &[u8], plaintext: &[u8]) -> Vec<u8> {
        let mut nonce = [0; NONCE_BYTES];
        rand::rngs::OsRng.fill_bytes(&mut nonce);
        let mut row = Vec::with_capacity(NONCE_BYTES + plaintext.len() + TAG_BYTES);
        row.extend_from_slice(&nonce);
        row.extend_from_slice(plaintext);
        let tag = self
            .cipher(table, key)
            .encrypt_in_place_detached(Nonce::from_slice(&nonce), key, &mut row[NONCE_BYTES..])
            .expect("a row is far below AES-GCM's length limit");
        row.extend_from_slice(&tag);
        row
    }

    pub fn open(&self, table: &'static str, key: &[u8], row: &[u8]) -> Result<Zeroizing<Vec<u8>>, CannotOpenRow> {
        if row.len() < NONCE_BYTES + TAG_BYTES {
            return Err(CannotOpenRow(table));
        }
        let (nonce, rest) = row.split_at(NONCE_BYTES);
        let (ciphertext, tag) = rest.split_at(rest.len() - TAG_BYTES);
        let mut plaintext = Zeroizing::new(ciphertext.to_vec());
        self.cipher(table, key)
            .decrypt_in_place_detached(Nonce::from_slice(nonce), key, &mut plaintext, Tag::from_slice(tag))
            .map_err(|_| CannotOpenRow(table))?;
        Ok(plaintext)
    }
}

/// The parts' lengths are hashed too: no two lists of parts give the same bytes.
fn keyed(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_keyed(key);
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    *hasher.finalize().as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_opens_in_its_own_place_and_nowhere_else() {
        let at_rest = AtRest::new(&[7; 32]);
        let mut row = at_rest.seal("coins", b"one", b"the opening");
        assert_eq!(&*at_rest.open("coins", b"one", &row).unwrap(), b"the opening");
        assert!(at_rest.open("coins", b"two", &row).is_err());
        assert!(at_rest.open("wallets", b"one", &row).is_err());
        assert!(AtRest::new(&[8; 32]).open("coins", b"one", &row).is_err());
        assert!(at_rest.open("coins", b"one", &row[..20]).is_err());
        assert_ne!(row, at_rest.seal("coins", b"one", b"the opening"), "the nonce is fresh");
        row[14] ^= 1;
        assert!(at_rest.open("coins", b"one", &row).is_err());
    }
}
