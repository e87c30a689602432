//! What a bank gives registration for one envelope: its root. Over their own link, never on the ledger.
//!
//! The encoded form holds the secret in the clear: the link encrypts it, and who stores it encrypts it.

use crate::root::EnvelopeRoot;
use ledger_types::{Chain, Decode, DecodeError, EnvelopeId, KeyCommitment, Reader};
use zeroize::Zeroizing;

#[derive(Clone, Debug)]
pub struct KeyRelease {
    pub envelope: EnvelopeId,
    pub root: EnvelopeRoot,
}

/// Encoded, a release takes exactly so many bytes.
pub const KEY_RELEASE_BYTES: usize = 64;

impl KeyRelease {
    /// Not [`ledger_types::Encode`]: that writes into vectors, which grow and leave copies of the root behind.
    pub fn to_bytes(&self) -> Zeroizing<[u8; KEY_RELEASE_BYTES]> {
        let mut bytes = Zeroizing::new([0; KEY_RELEASE_BYTES]);
        bytes[..32].copy_from_slice(&self.envelope.0);
        bytes[32..].copy_from_slice(self.root.secret());
        bytes
    }
}

impl Decode for KeyRelease {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(KeyRelease { envelope: reader.read()?, root: EnvelopeRoot::from_bytes(reader.array()?) })
    }
}

/// The first release that is for this envelope and matches its commitment; any other is as good as none.
pub fn first_matching<'a>(
    chain: &Chain,
    envelope: EnvelopeId,
    commitment: &KeyCommitment,
    releases: impl IntoIterator<Item = &'a KeyRelease>,
) -> Option<&'a KeyRelease> {
    releases.into_iter().find(|release| release.envelope == envelope && release.root.matches(chain, commitment))
}
