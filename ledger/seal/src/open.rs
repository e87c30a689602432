//! Opening an envelope (E-1): the commitment first, in constant time; then the ciphertext; then the plaintext's one form.
//!
//! Whatever fails, the answer is the same [`CannotOpen`]. Nothing that opens is believed for it (E-3).

use crate::epoch::Epoch;
use crate::root::EnvelopeRoot;
use crate::seal::associated;
use aes_gcm::aead::{AeadInPlace, KeyInit};
use aes_gcm::{Aes256Gcm, Nonce, Tag as GcmTag};
use ledger_types::Chain;
use ledger_types::envelope::{Bucket, Envelope, GCM_TAG_BYTES};
use ledger_types::sealed::Sealed;
use zeroize::Zeroizing;

/// Wrong key, wrong header, changed ciphertext, bad padding, no plaintext: one error without a field (E-1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the envelope does not open")]
pub struct CannotOpen;

/// Opens with a released root: registration's way.
pub fn open_with_root(chain: &Chain, envelope: &Envelope, root: &EnvelopeRoot) -> Result<Sealed, CannotOpen> {
    // E-1: before any decryption. AES-GCM would open one ciphertext under two keys; only one has this commitment.
    if !root.matches(chain, &envelope.header.commitment) {
        return Err(CannotOpen);
    }
    let bucket = envelope.header.core.bucket;
    if bucket == Bucket::None || envelope.ciphertext.len() != bucket.ciphertext_bytes() {
        return Err(CannotOpen);
    }
    let (ciphertext, tag) = envelope.ciphertext.split_at(envelope.ciphertext.len() - GCM_TAG_BYTES);
    let mut padded = Zeroizing::new(ciphertext.to_vec());
    Aes256Gcm::new(root.data_key(chain).as_ref().into())
        .decrypt_in_place_detached(
            &Nonce::default(),
            &associated(chain, &envelope.header),
            &mut padded,
            GcmTag::from_slice(tag),
        )
        .map_err(|_| CannotOpen)?;
    Sealed::from_padded(&padded).map_err(|_| CannotOpen)
}

/// Opens as a member of the epoch, the sender included, and gives the root that is to be released.
pub fn open_with_epoch(
    chain: &Chain,
    envelope: &Envelope,
    epoch: &Epoch,
) -> Result<(Sealed, EnvelopeRoot), CannotOpen> {
    // E-2: an epoch has one sender. The other members know its key, and could seal under it in their own name.
    if envelope.submitter() != epoch.id().sender {
        return Err(CannotOpen);
    }
    let root = EnvelopeRoot::derive(chain, epoch.key(), &envelope.header.core);
    let sealed = open_with_root(chain, envelope, &root)?;
    Ok((sealed, root))
}

#[cfg(test)]
#[path = "open_tests.rs"]
mod tests;
