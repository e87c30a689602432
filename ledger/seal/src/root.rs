//! The root key of one envelope: derived, committed to, used once, and the only thing that is ever released.
//!
//! ```text
//! root = D("envelope key", epoch_key ‖ D("core", core))     commitment = D("key commit", root)     key = D("seal", root)
//! ```
//! AES-GCM alone lets one ciphertext open under two keys; the commitment in the header is what fixes the key (E-1).

use crate::epoch::EpochKey;
use ledger_types::envelope::Core;
use ledger_types::{Chain, KeyCommitment, Tag};
use std::fmt;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// Opens one envelope and no other. Wiped when dropped.
#[derive(Clone)]
pub struct EnvelopeRoot(Zeroizing<[u8; 32]>);

impl EnvelopeRoot {
    /// The core with its salt and authorizations: whatever differs there gives another key.
    pub(crate) fn derive(chain: &Chain, epoch_key: &EpochKey, core: &Core) -> Self {
        EnvelopeRoot(Zeroizing::new(chain.hash(Tag::EnvelopeKey, &[epoch_key.bytes(), &core.hash(chain)])))
    }

    /// From storage, or from a release.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        EnvelopeRoot(Zeroizing::new(bytes))
    }

    /// For storage under the holder's encryption, and for the release to registration.
    pub fn secret(&self) -> &[u8; 32] {
        &self.0
    }

    pub fn commitment(&self, chain: &Chain) -> KeyCommitment {
        KeyCommitment(chain.hash(Tag::KeyCommit, &[self.secret()]))
    }

    /// In constant time.
    pub fn matches(&self, chain: &Chain, commitment: &KeyCommitment) -> bool {
        self.commitment(chain).0.ct_eq(&commitment.0).into()
    }

    /// The AES-256-GCM key.
    pub(crate) fn data_key(&self, chain: &Chain) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(chain.hash(Tag::Seal, &[self.secret()]))
    }
}

impl fmt::Debug for EnvelopeRoot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EnvelopeRoot(secret)")
    }
}
