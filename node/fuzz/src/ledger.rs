//! What is ordered: envelopes and what is sealed in them, bundles, blocks; and the genesis that all of it stands on.

use ledger_seal::{
    DisclosureKeyDocument, EnvelopeRoot, EpochAck, KeyRelease, OfficersAnswer, SealedRoot, open_with_root,
};
use ledger_types::block::{Acknowledgement, Block, BlockHeader, EnvelopeResult};
use ledger_types::bundle::{Bundle, BundleCertificate, BundleHeader};
use ledger_types::channel::{EpochOffer, SignedEpochOffer};
use ledger_types::coin::{Coin, Opening};
use ledger_types::envelope::{Core, Envelope, IssueContext, PublicationContext, ReturnContext};
use ledger_types::genesis::Genesis;
use ledger_types::order::{AcceptedOutputs, Order};
use ledger_types::ownership::OwnershipProof;
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

pub(crate) fn sealed(bytes: &[u8]) -> bool {
    let release = KeyRelease::from_bytes(bytes);
    if let Ok(release) = &release {
        assert_eq!(&release.to_bytes()[..], bytes, "one encoding a release");
    }
    release.is_ok()
        | any_canonical!(bytes; Sealed, Order, AcceptedOutputs, Coin, Opening, OwnershipProof, EpochOffer, SignedEpochOffer, EpochAck,
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
