//! Ciphertexts that are authentic and still mean nothing: only the holder of the epoch key could make them.

use super::*;
use crate::epoch::EpochKey;
use crate::seal::encrypt;
use ledger_types::envelope::{ClearContext, Core, Inputs};
use ledger_types::*;
use proptest::prelude::*;

fn chain() -> Chain {
    Chain::new(GenesisHash([7; 32]))
}

fn core(bucket: Bucket) -> Core {
    Core {
        submitter: ParticipantNumber(2),
        inputs: Inputs::Spends(List::empty()),
        outputs: List::empty(),
        contract: ContractNumber(0),
        expiry_ms: 1,
        bucket,
        hint: EnvelopeHint([3; 16]),
        salt: Salt([4; 32]),
        context: ClearContext::Transfer,
    }
}

/// The smallest plaintext: nothing but a currency and four empty lists or options and an empty memo.
fn plaintext() -> Sealed {
    Sealed {
        terms: None,
        currency: Currency::parse("EUR").unwrap(),
        inputs: List::empty(),
        outputs: List::empty(),
        order: None,
        acceptance: None,
        memo: Octets::default(),
    }
}

fn sealed_as(bucket: Bucket, padded: &[u8]) -> (Envelope, EnvelopeRoot) {
    let key = EpochKey::new(Zeroizing::new([1; 32]));
    let root = EnvelopeRoot::derive(&chain(), &key, &core(bucket));
    (encrypt(&chain(), core(bucket), &root, padded), root)
}

#[test]
fn an_authentic_plaintext_opens() {
    let (envelope, root) = sealed_as(Bucket::B512, &plaintext().padded(Bucket::B512).unwrap());
    assert_eq!(open_with_root(&chain(), &envelope, &root), Ok(plaintext()));
}

#[test]
fn e_1_bad_padding_is_the_one_error() {
    let good = plaintext().padded(Bucket::B512).unwrap();
    for at in [plaintext().to_bytes().len(), 300, 511] {
        let mut padded = good.clone();
        padded[at] = 1;
        let (envelope, root) = sealed_as(Bucket::B512, &padded);
        assert_eq!(open_with_root(&chain(), &envelope, &root), Err(CannotOpen), "padding byte {at}");
    }
}

#[test]
fn e_1_an_authentic_ciphertext_of_another_length_than_its_bucket_is_the_one_error() {
    let whole = plaintext().padded(Bucket::B1024).unwrap();
    for bytes in [0, 17, 511, 513, 1024] {
        let (envelope, root) = sealed_as(Bucket::B512, &whole[..bytes]);
        assert_eq!(open_with_root(&chain(), &envelope, &root), Err(CannotOpen), "{bytes} bytes in the 512 bucket");
    }
    let (envelope, root) = sealed_as(Bucket::None, &[]);
    assert_eq!(open_with_root(&chain(), &envelope, &root), Err(CannotOpen), "no bucket");
}

proptest! {
    #[test]
    fn e_1_an_authentic_plaintext_that_does_not_decode_is_the_one_error(bytes in prop::collection::vec(any::<u8>(), 512)) {
        let (envelope, root) = sealed_as(Bucket::B512, &bytes);
        let expected = Sealed::from_padded(&bytes).map_err(|_| CannotOpen);
        prop_assert_eq!(open_with_root(&chain(), &envelope, &root), expected);
    }
}

#[test]
fn e_1_the_one_error_says_nothing_but_that() {
    assert_eq!(size_of::<CannotOpen>(), 0);
    assert_eq!(CannotOpen.to_string(), "the envelope does not open");
}
