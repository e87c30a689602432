//! What is ordered: envelopes and what is sealed in them, bundles, blocks; and the genesis that all of it stands on.

use ledger_seal::{
    DisclosureKey, DisclosureKeyDocument, EnvelopeRoot, EpochAck, KemSecret, KeyRelease, OfficersAnswer, SealedRoot,
    accept_offer, open_with_root,
};
use ledger_types::block::{Acknowledgement, Block, BlockHeader, EnvelopeResult};
use ledger_types::bundle::{Bundle, BundleCertificate, BundleHeader};
use ledger_types::channel::{EpochOffer, SignedEpochOffer};
use ledger_types::coin::{Coin, Opening};
use ledger_types::envelope::{Core, Envelope, IssueContext, PublicationContext, ReturnContext};
use ledger_types::genesis::{Genesis, KemSuite};
use ledger_types::keys::SigningKey;
use ledger_types::order::{AcceptedOutputs, Order};
use ledger_types::ownership::{Challenge, OwnershipProof};
use ledger_types::participant::{Directory, Participant};
use ledger_types::sealed::Sealed;
use ledger_types::{Chain, Decode, Encode};

/// Whether the bytes are a `T`; then they are the bytes of that `T`.
pub(crate) fn canonical<T: Decode + Encode>(bytes: &[u8]) -> Option<T> {
    let value = T::from_bytes(bytes).ok()?;
    assert_eq!(value.to_bytes(), bytes, "one encoding a value");
    Some(value)
}

/// Whether they are one of these.
macro_rules! any_canonical {
    ($bytes:expr; $($t:ty),* $(,)?) => {
        [$($crate::ledger::canonical::<$t>($bytes).is_some()),*].contains(&true)
    };
}
pub(crate) use any_canonical;

pub(crate) fn chain() -> Chain {
    *crate::proofs::honest_trust().chain()
}

pub(crate) fn envelope(bytes: &[u8]) -> bool {
    let envelope = canonical::<Envelope>(bytes);
    if let Some(envelope) = &envelope {
        envelope.id(&chain());
        let opened = open_with_root(&chain(), envelope, &EnvelopeRoot::from_bytes([7; 32]));
        assert!(opened.is_err(), "nobody sealed it under this root");
    }
    envelope.is_some() | any_canonical!(bytes; Core, IssueContext, ReturnContext, PublicationContext)
}

/// A sender signs whatever it likes: the key that its offer commits to was never encapsulated for this receiver.
fn offered(mut signed: SignedEpochOffer) {
    let sender = SigningKey::from_seed(&[3; 32]);
    signed.signature = sender.sign(&signed.offer.message(&chain()));
    let offer = &signed.offer;
    let Some(own) = offer.members.iter().copied().find(|member| *member != offer.sender) else { return };
    for suite in [KemSuite::X25519, KemSuite::XWing] {
        let secret = KemSecret::from_seed(suite, &[4; 32]);
        let now_ms = offer.not_after_ms.saturating_sub(1);
        let accepted = accept_offer(&chain(), own, &secret, &sender.public_key(), &signed, now_ms);
        assert!(accepted.is_err(), "nobody encapsulated a key for this receiver");
    }
}

pub(crate) fn sealed(bytes: &[u8]) -> bool {
    if let Some(signed) = canonical::<SignedEpochOffer>(bytes) {
        offered(signed);
    }
    if let Some(document) = canonical::<DisclosureKeyDocument>(bytes) {
        assert!(
            DisclosureKey::check(crate::proofs::honest_trust().genesis(), &document).is_err(),
            "no officer signed it"
        );
    }
    let release = KeyRelease::from_bytes(bytes);
    if let Ok(release) = &release {
        assert_eq!(&release.to_bytes()[..], bytes, "one encoding a release");
    }
    release.is_ok()
        | any_canonical!(bytes; Sealed, Order, AcceptedOutputs, Coin, Opening, OwnershipProof, Challenge, EpochOffer, SignedEpochOffer, EpochAck,
            SealedRoot, OfficersAnswer, DisclosureKeyDocument)
}

pub(crate) fn bundle(bytes: &[u8]) -> bool {
    let bundle = Bundle::parse(&chain(), bytes);
    if let Ok(bundle) = &bundle {
        assert_eq!(bundle.to_bytes(), bytes, "one encoding a bundle");
    }
    bundle.is_ok() | any_canonical!(bytes; BundleHeader, BundleCertificate)
}

pub(crate) fn block(bytes: &[u8]) -> bool {
    let block = canonical::<Block>(bytes);
    if let Some(block) = &block {
        block.header.hash(&chain());
    }
    block.is_some() | any_canonical!(bytes; BlockHeader, EnvelopeResult, Acknowledgement)
}

/// A genesis is checked as a whole; a participant's update comes in an envelope.
pub(crate) fn genesis(bytes: &[u8]) -> bool {
    let genesis = Genesis::parse(bytes);
    if let Ok(genesis) = &genesis {
        assert_eq!(genesis.to_bytes(), bytes, "one encoding a genesis");
        genesis.chain();
    }
    genesis.is_ok() | any_canonical!(bytes; Directory, Participant)
}
