//! Verifier keys of the two signature types that this system uses, each a type of its own: a log's signature can never
//! be counted as a cosignature, nor the other way round.

use std::fmt;
use std::marker::PhantomData;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use ed25519_dalek::{Signature, VerifyingKey};
use sha2::{Digest, Sha256};

use super::{NAME_BYTES_MAX, Note, NoteSignature, name_is_valid};

/// A log's key: signature type 1, over the text alone.
pub type NoteKey = VerifierKey<PlainSignature>;
/// A cosigner's key: signature type 4, over the time and the text.
pub type CosignerKey = VerifierKey<Cosignature>;

/// The signature type of a [`VerifierKey`].
pub trait SignatureType {
    const IDENTIFIER: u8;
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlainSignature;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cosignature;

impl SignatureType for PlainSignature {
    const IDENTIFIER: u8 = 1;
}

impl SignatureType for Cosignature {
    const IDENTIFIER: u8 = 4;
}

/// Why something is no verifier key of the wanted type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    #[error("the key name is empty, longer than {NAME_BYTES_MAX} bytes, or has a space, a plus or a control character")]
    InvalidName,
    #[error("the verifier key is not name, plus, key id, plus, key")]
    Malformed,
    #[error("the verifier key is of type {0}, another was asked for")]
    OtherType(u8),
    #[error("the key id does not belong to this name and key")]
    WrongKeyId,
    #[error("the key is not a point of the curve, or of small order")]
    InvalidKey,
}

/// Why a signature of a known key does not hold. The whole note is then to be refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    #[error("the signature by {name} has {found} bytes, not {expected}")]
    WrongLength { name: String, found: usize, expected: usize },
    #[error("the cosignature by {name} has a time beyond 2^63 - 1")]
    TimeOutOfRange { name: String },
    #[error("the signature by {name} does not verify")]
    Invalid { name: String },
}

/// Who may have signed a note: a name, a key, and by their type what was signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifierKey<T> {
    name: String,
    key_id: [u8; 4],
    key: VerifyingKey,
    signature_type: PhantomData<T>,
}

impl<T: SignatureType> VerifierKey<T> {
    pub fn new(name: &str, key: &[u8; 32]) -> Result<Self, KeyError> {
        if !name_is_valid(name) {
            return Err(KeyError::InvalidName);
        }
        let verifying = VerifyingKey::from_bytes(key).map_err(|_| KeyError::InvalidKey)?;
        // G-2: under a small-order key one signature would fit many texts.
        if verifying.is_weak() {
            return Err(KeyError::InvalidKey);
        }
        let key_id = key_id(name, T::IDENTIFIER, key);
        Ok(Self { name: name.to_owned(), key_id, key: verifying, signature_type: PhantomData })
    }

    /// Reads the vkey form; [`Display`](fmt::Display) writes it.
    pub fn parse(vkey: &str) -> Result<Self, KeyError> {
        // name, plus, 8 hex digits, plus, 44 characters of base64 for 33 bytes.
        if vkey.len() > NAME_BYTES_MAX + 1 + 8 + 1 + 44 {
            return Err(KeyError::Malformed);
        }
        // Base64 may have a plus itself, a name not.
        let mut parts = vkey.splitn(3, '+');
        let (Some(name), Some(id), Some(encoded)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(KeyError::Malformed);
        };
        let material = BASE64.decode(encoded).map_err(|_| KeyError::Malformed)?;
        let (identifier, key) = material.split_first().ok_or(KeyError::Malformed)?;
        if *identifier != T::IDENTIFIER {
            return Err(KeyError::OtherType(*identifier));
        }
        let parsed = Self::new(name, key.try_into().map_err(|_| KeyError::Malformed)?)?;
        if hex::encode(parsed.key_id) == id { Ok(parsed) } else { Err(KeyError::WrongKeyId) }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn key_id(&self) -> [u8; 4] {
        self.key_id
    }

    pub fn key(&self) -> &[u8; 32] {
        self.key.as_bytes()
    }

    fn lines_of<'a>(&'a self, note: &'a Note) -> impl Iterator<Item = &'a [u8]> {
        let mine = |line: &&NoteSignature| line.key_id == self.key_id && line.name == self.name;
        note.signatures.iter().filter(mine).map(|line| &line.signature[..])
    }

    fn line(&self, signature: Vec<u8>) -> NoteSignature {
        NoteSignature { name: self.name.clone(), key_id: self.key_id, signature }
    }

    fn sized<const N: usize>(&self, signature: &[u8]) -> Result<[u8; N], SignatureError> {
        let wrong = |_| SignatureError::WrongLength { name: self.name.clone(), found: signature.len(), expected: N };
        signature.try_into().map_err(wrong)
    }

    fn verify(&self, message: &[u8], signature: &[u8; 64]) -> Result<(), SignatureError> {
        let verified = self.key.verify_strict(message, &Signature::from_bytes(signature));
        verified.map_err(|_| SignatureError::Invalid { name: self.name.clone() })
    }
}

impl NoteKey {
    /// The signature line of this key, around what `sign` makes of the message.
    pub fn sign(&self, text: &str, sign: impl FnOnce(&[u8]) -> [u8; 64]) -> NoteSignature {
        self.line(sign(text.as_bytes()).to_vec())
    }

    /// Whether this key signed the note. Every line of this key must verify.
    pub fn signed(&self, note: &Note) -> Result<bool, SignatureError> {
        let mut signed = false;
        for line in self.lines_of(note) {
            self.verify(note.text.as_bytes(), &self.sized(line)?)?;
            signed = true;
        }
        Ok(signed)
    }
}

impl CosignerKey {
    /// The cosignature line of this key. `time_s` is at most 2^63 − 1 (tlog-cosignature, "Format").
    pub fn cosign(&self, text: &str, time_s: u64, sign: impl FnOnce(&[u8]) -> [u8; 64]) -> NoteSignature {
        let signature = sign(&cosignature_message(text, time_s));
        self.line([&time_s.to_be_bytes()[..], &signature].concat())
    }

    /// The newest time at which this key cosigned the note, in seconds; `None` if it did not. Every line of this key must
    /// verify.
    pub fn cosigned(&self, note: &Note) -> Result<Option<u64>, SignatureError> {
        let mut newest = None;
        for line in self.lines_of(note) {
            let line: [u8; 72] = self.sized(line)?;
            let (time, signature) = line.split_first_chunk().expect("72 bytes are 8 and 64");
            let time_s = u64::from_be_bytes(*time);
            if time_s > i64::MAX as u64 {
                return Err(SignatureError::TimeOutOfRange { name: self.name.clone() });
            }
            let signature = signature.try_into().expect("72 bytes are 8 and 64");
            self.verify(&cosignature_message(&note.text, time_s), signature)?;
            newest = newest.max(Some(time_s));
        }
        Ok(newest)
    }
}

/// What a cosigner signs. The first line keeps it apart from a plain note, the cosigner's name is not in it: one key must
/// not serve two cosigners.
pub fn cosignature_message(text: &str, time_s: u64) -> Vec<u8> {
    format!("cosignature/v1\ntime {time_s}\n{text}").into_bytes()
}

impl<T: SignatureType> fmt::Display for VerifierKey<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let material = [&[T::IDENTIFIER][..], self.key()].concat();
        write!(formatter, "{}+{}+{}", self.name, hex::encode(self.key_id), BASE64.encode(material))
    }
}

fn key_id(name: &str, identifier: u8, key: &[u8; 32]) -> [u8; 4] {
    let preimage = Sha256::new_with_prefix(name).chain_update([b'\n', identifier]);
    let digest: [u8; 32] = preimage.chain_update(key).finalize().into();
    *digest.first_chunk().expect("a digest has 32 bytes")
}
