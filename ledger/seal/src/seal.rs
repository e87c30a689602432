//! Sealing an envelope: salt, then authorization, then root, then ciphertext.
//!
//! - The data key is used once: the hint is fresh, and the salt differs whenever the plaintext, the core or the randomness
//!   does. So the nonce can be zero, and a generator that repeats itself repeats at most the same envelope.
//! - The submitter is the epoch's sender, and the parties that the sealed part names are exactly the epoch's members: nobody
//!   else is given the key, nobody of them is left without it (invariant 3, only the parties read).
//!
//! Does not check that the payment is good; that is `ledger-state`'s `payment_is_good`.

use crate::epoch::Epoch;
use crate::root::EnvelopeRoot;
use crate::sending::SealingSlot;
use aes_gcm::aead::{AeadInPlace, KeyInit};
use aes_gcm::{Aes256Gcm, Nonce};
use ledger_types::coin::OUTPUTS_MAX;
use ledger_types::envelope::{Bucket, ClearContext, Core, Envelope, EnvelopeHeader, Inputs, OfficerSignatures, Output};
use ledger_types::keys::Signature;
use ledger_types::sealed::Sealed;
use ledger_types::{Chain, ContractNumber, Encode, List, Salt, Tag};
use rand_core::{CryptoRng, RngCore};
use std::collections::BTreeSet;
use std::fmt;
use zeroize::Zeroizing;

/// A bank's own secret behind its salts, so that a weak generator alone does not make them guessable.
pub struct BankSecret(Zeroizing<[u8; 32]>);

impl BankSecret {
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        BankSecret(Zeroizing::new(bytes))
    }
}

impl fmt::Debug for BankSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BankSecret(secret)")
    }
}

/// What the caller decides of a core; the rest follows from the epoch, the slot and the plaintext.
#[derive(Clone, Debug)]
pub struct Draft {
    pub inputs: Inputs,
    pub outputs: List<Output, OUTPUTS_MAX>,
    pub contract: ContractNumber,
    pub expiry_ms: u64,
    /// With a zero signature, or without officers' signatures.
    pub context: ClearContext,
}

/// Who allows an envelope, beside its submitter.
#[derive(Clone, Debug)]
pub enum Authorization {
    /// Transfers and activations; a reclaim's is the policy (K-3).
    NotNeeded,
    /// Issue, redeem and return: by the central bank's issue key.
    IssueKey(Signature),
    /// Recover.
    Officers(OfficerSignatures),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CannotSeal {
    #[error("the sealed part takes {0} bytes, more than the largest bucket")]
    TooLong(usize),
    #[error("this kind of envelope seals nothing")]
    NothingIsSealed,
    #[error("the submitter and the outputs' banks are not exactly the members of the channel")]
    OtherParties,
    #[error("the authorization is not the one that this kind of envelope needs")]
    Authorization,
}

/// A core whose salt is fixed and whose authorization is missing.
#[must_use = "its slot is used up"]
pub struct Unauthorized {
    slot: SealingSlot,
    core: Core,
    padded: Zeroizing<Vec<u8>>,
}

/// Seals an envelope that needs no authorization: a transfer.
pub fn seal(
    chain: &Chain,
    slot: SealingSlot,
    draft: Draft,
    sealed: &Sealed,
    bank_secret: &BankSecret,
    rng: &mut (impl CryptoRng + RngCore),
) -> Result<(Envelope, EnvelopeRoot), CannotSeal> {
    prepare(chain, slot, draft, sealed, bank_secret, rng)?.authorize(chain, Authorization::NotNeeded)
}

/// Fixes everything that an authorization covers; [`Unauthorized::authorize`] does the rest.
pub fn prepare(
    chain: &Chain,
    slot: SealingSlot,
    draft: Draft,
    sealed: &Sealed,
    bank_secret: &BankSecret,
    rng: &mut (impl CryptoRng + RngCore),
) -> Result<Unauthorized, CannotSeal> {
    if draft.context.kind().seals_nothing() {
        return Err(CannotSeal::NothingIsSealed);
    }
    if !members_are_the_parties(&slot.epoch, sealed) {
        return Err(CannotSeal::OtherParties);
    }
    let (bucket, padded) = pad(sealed)?;
    let mut core = Core {
        submitter: slot.epoch.id().sender,
        inputs: draft.inputs,
        outputs: draft.outputs,
        contract: draft.contract,
        expiry_ms: draft.expiry_ms,
        bucket,
        hint: slot.hint(chain),
        salt: Salt::ZERO,
        context: draft.context,
    };
    let mut random = Zeroizing::new([0; 32]);
    rng.fill_bytes(random.as_mut());
    let plaintext = chain.hash(Tag::Plaintext, &[&padded]);
    core.salt = Salt(chain.hash(Tag::Salt, &[bank_secret.0.as_ref(), random.as_ref(), &plaintext, &core.to_bytes()]));
    Ok(Unauthorized { slot, core, padded })
}

impl Unauthorized {
    /// What the issue key or the officers sign.
    pub fn authorization_message(&self, chain: &Chain) -> [u8; 32] {
        self.core.authorization_message(chain)
    }

    pub fn authorize(
        mut self,
        chain: &Chain,
        authorization: Authorization,
    ) -> Result<(Envelope, EnvelopeRoot), CannotSeal> {
        match (&mut self.core.context, authorization) {
            (
                ClearContext::Transfer | ClearContext::Activate(_) | ClearContext::Reclaim(_),
                Authorization::NotNeeded,
            ) => {}
            (ClearContext::Issue(context), Authorization::IssueKey(signature)) => context.authorization = signature,
            (ClearContext::Redeem(context), Authorization::IssueKey(signature)) => context.authorization = signature,
            (ClearContext::Return(context), Authorization::IssueKey(signature)) => context.authorization = signature,
            (ClearContext::Recover(context), Authorization::Officers(signatures)) => {
                context.authorizations = signatures
            }
            _ => return Err(CannotSeal::Authorization),
        }
        let root = EnvelopeRoot::derive(chain, self.slot.epoch.key(), &self.core);
        Ok((encrypt(chain, self.core, &root, &self.padded), root))
    }
}

/// Every output's bank reads, the submitter reads, nobody else is a member.
fn members_are_the_parties(epoch: &Epoch, sealed: &Sealed) -> bool {
    let mut parties: BTreeSet<_> = sealed.outputs.iter().map(|output| output.bank).collect();
    parties.insert(epoch.id().sender);
    parties.iter().eq(epoch.members())
}

/// The smallest bucket that holds the sealed part, and its padded bytes.
fn pad(sealed: &Sealed) -> Result<(Bucket, Zeroizing<Vec<u8>>), CannotSeal> {
    // More than any sealed part takes: 111 bytes an input, 74 an output, at most 680 beside them and the memo. So the vector
    // never moves while it is filled, and leaves no copy of the plaintext behind.
    let items = sealed.inputs.len() + sealed.outputs.len();
    let most = 1024 + 128 * items + sealed.memo.len();
    let mut plaintext = Zeroizing::new(Vec::with_capacity(most));
    sealed.encode(&mut plaintext);
    debug_assert!(plaintext.len() <= most);
    let bucket = Bucket::for_plaintext(plaintext.len()).ok_or(CannotSeal::TooLong(plaintext.len()))?;
    let mut padded = Zeroizing::new(vec![0; bucket.plaintext_bytes()]);
    padded[..plaintext.len()].copy_from_slice(&plaintext);
    Ok((bucket, padded))
}

pub(crate) fn encrypt(chain: &Chain, core: Core, root: &EnvelopeRoot, padded: &[u8]) -> Envelope {
    let mut ciphertext = Vec::with_capacity(core.bucket.ciphertext_bytes());
    ciphertext.extend_from_slice(padded);
    let header = EnvelopeHeader { core, commitment: root.commitment(chain) };
    // The nonce is zero because the key is used once.
    let tag = Aes256Gcm::new(root.data_key(chain).as_ref().into())
        .encrypt_in_place_detached(&Nonce::default(), &associated(chain, &header), &mut ciphertext)
        .expect("a bucket is far below AES-GCM's length limit");
    ciphertext.extend_from_slice(&tag);
    Envelope { header, ciphertext }
}

/// AES-GCM's associated data: the whole header.
pub(crate) fn associated(chain: &Chain, header: &EnvelopeHeader) -> [u8; 32] {
    chain.hash(Tag::Header, &[&header.to_bytes()])
}
