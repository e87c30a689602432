//! Why the header commits to the key: AES-GCM lets one ciphertext open under two keys (E-1; "One ciphertext, one meaning").
//!
//! GHASH is linear in each ciphertext block: for two keys and one tag there is always a block that makes both tags equal.
//! A sender could so show one payment to the payee's bank and release the key of another to registration.

use crate::support;

use aes_gcm::aead::{AeadInPlace, KeyInit};
use aes_gcm::aes::Aes256;
use aes_gcm::aes::cipher::BlockEncrypt;
use aes_gcm::{Aes256Gcm, Nonce, Tag as GcmTag};
use ledger_seal::*;
use ledger_types::envelope::{Bucket, Envelope, EnvelopeHeader};
use ledger_types::*;
use support::*;

/// GHASH's field: bit 0 is the highest bit, x^128 = x^7 + x^2 + x + 1.
fn multiply(x: u128, y: u128) -> u128 {
    let (mut product, mut shifted) = (0, y);
    for bit in (0..128).rev() {
        if x >> bit & 1 == 1 {
            product ^= shifted;
        }
        shifted = (shifted >> 1) ^ if shifted & 1 == 1 { 0xe1 << 120 } else { 0 };
    }
    product
}

const ONE: u128 = 1 << 127;

fn power(x: u128, exponent: u128) -> u128 {
    (0..128).rev().fold(ONE, |result, bit| {
        let squared = multiply(result, result);
        if exponent >> bit & 1 == 1 { multiply(squared, x) } else { squared }
    })
}

/// x^(2^128 − 2).
fn inverse(x: u128) -> u128 {
    power(x, u128::MAX - 1)
}

struct Gcm {
    cipher: Aes256Gcm,
    /// GHASH's key, and the mask on its result.
    h: u128,
    mask: u128,
}

impl Gcm {
    fn new(key: &[u8; 32]) -> Self {
        let aes = Aes256::new(key.into());
        let encrypt = |block: u128| {
            let mut block = block.to_be_bytes().into();
            aes.encrypt_block(&mut block);
            u128::from_be_bytes(block.into())
        };
        Gcm { cipher: Aes256Gcm::new(key.into()), h: encrypt(0), mask: encrypt(1) }
    }

    fn tag(&self, aad: &[u8; 32], blocks: &[u128]) -> u128 {
        let lengths = (256u128 << 64) | (blocks.len() as u128 * 128);
        let aad = aad.chunks_exact(16).map(|chunk| u128::from_be_bytes(chunk.try_into().unwrap()));
        let ghash =
            aad.chain(blocks.iter().copied()).chain([lengths]).fold(0, |hash, block| multiply(hash ^ block, self.h));
        ghash ^ self.mask
    }

    fn opens(&self, aad: &[u8; 32], ciphertext: &[u8]) -> Option<Vec<u8>> {
        let (body, tag) = ciphertext.split_at(ciphertext.len() - 16);
        let mut plaintext = body.to_vec();
        self.cipher.decrypt_in_place_detached(&Nonce::default(), aad, &mut plaintext, GcmTag::from_slice(tag)).ok()?;
        Some(plaintext)
    }
}

#[test]
fn e_1_a_ciphertext_that_opens_under_two_keys_is_refused_by_the_commitment() {
    let memo = [b'm'; 80];
    let mut sending = sending_epoch(1);
    let slot = slot(&mut sending);
    let (honest, root) =
        seal(&chain(), slot, draft(), &payment(&memo), &bank_secret(), &mut NamedRng::new("seal")).unwrap();
    let other_root = EnvelopeRoot::from_bytes(named("the key of another story"));
    let aad = chain().hash(Tag::Header, &[&honest.header.to_bytes()]);
    let data_key = |root: &EnvelopeRoot| chain().hash(Tag::Seal, &[root.secret()]);
    let (one, two) = (Gcm::new(&data_key(&root)), Gcm::new(&data_key(&other_root)));

    // A block inside the memo may take any value, and the plaintext still decodes.
    let mut blocks: Vec<u128> =
        honest.ciphertext[..512].chunks_exact(16).map(|chunk| u128::from_be_bytes(chunk.try_into().unwrap())).collect();
    assert_eq!(one.tag(&aad, &blocks).to_be_bytes(), honest.ciphertext[512..], "our GHASH is GCM's");
    let memo_at = payment(&memo).to_bytes().len() - memo.len();
    let free = memo_at.div_ceil(16);
    assert!((free + 1) * 16 <= memo_at + memo.len());

    // The tags under both keys are equal when free · (h1^e ⊕ h2^e) = the difference of the tags with a zero block there.
    blocks[free] = 0;
    let exponent = (blocks.len() - free + 1) as u128;
    let difference = one.tag(&aad, &blocks) ^ two.tag(&aad, &blocks);
    blocks[free] = multiply(difference, inverse(power(one.h, exponent) ^ power(two.h, exponent)));
    let mut crafted = honest.clone();
    crafted.ciphertext = blocks.iter().flat_map(|block| block.to_be_bytes()).collect();
    crafted.ciphertext.extend_from_slice(&one.tag(&aad, &blocks).to_be_bytes());

    // AES-GCM alone accepts it under both keys, with two meanings.
    let (first, second) = (one.opens(&aad, &crafted.ciphertext), two.opens(&aad, &crafted.ciphertext));
    assert!(first.is_some() && second.is_some() && first != second);

    // We accept it under the one key that the header commits to.
    assert_eq!(open_with_root(&chain(), &crafted, &root).unwrap().inputs, payment(&memo).inputs);
    assert!(!other_root.matches(&chain(), &crafted.header.commitment));
    assert_eq!(open_with_root(&chain(), &crafted, &other_root).err(), Some(CannotOpen));
    let releases = [&other_root, &root].map(|root| KeyRelease { envelope: crafted.id(&chain()), root: root.clone() });
    let taken = first_matching(&chain(), crafted.id(&chain()), &crafted.header.commitment, &releases).unwrap();
    assert_eq!(taken.root.secret(), root.secret());

    // And to commit to the other key is another header: then AES-GCM itself refuses both.
    let mut recommitted = crafted.clone();
    recommitted.header.commitment = other_root.commitment(&chain());
    assert_eq!(open_with_root(&chain(), &recommitted, &other_root).err(), Some(CannotOpen));
    assert_eq!(open_with_root(&chain(), &recommitted, &root).err(), Some(CannotOpen));
}

/// Here the ciphertext under the other key is authentic and its plaintext decodes, so nothing but the commitment refuses it.
#[test]
fn e_1_a_whole_payment_sealed_under_a_key_that_the_header_does_not_commit_to_is_refused() {
    let mut sending = sending_epoch(1);
    let slot = slot(&mut sending);
    let (shown, root) =
        seal(&chain(), slot, draft(), &payment(b"tea"), &bank_secret(), &mut NamedRng::new("seal")).unwrap();
    let other_root = EnvelopeRoot::from_bytes(named("the key of another story"));
    let sealed_under = |root: &EnvelopeRoot, header: &EnvelopeHeader| {
        let aad = chain().hash(Tag::Header, &[&header.to_bytes()]);
        let gcm = Gcm::new(&chain().hash(Tag::Seal, &[root.secret()]));
        let mut ciphertext = payment(b"another story").padded(Bucket::B512).unwrap();
        let tag = gcm.cipher.encrypt_in_place_detached(&Nonce::default(), &aad, &mut ciphertext).unwrap();
        ciphertext.extend_from_slice(&tag);
        Envelope { header: header.clone(), ciphertext }
    };
    let committed_to_first = sealed_under(&other_root, &shown.header);
    assert_eq!(open_with_root(&chain(), &committed_to_first, &other_root).err(), Some(CannotOpen));
    assert_eq!(open_with_root(&chain(), &committed_to_first, &root).err(), Some(CannotOpen));

    let header = EnvelopeHeader { commitment: other_root.commitment(&chain()), ..shown.header.clone() };
    let committed_to_other = sealed_under(&other_root, &header);
    assert_eq!(open_with_root(&chain(), &committed_to_other, &other_root), Ok(payment(b"another story")));
    // But it is not the key that the epoch gives for this core: no member opens it, so no bank says success for it.
    assert_eq!(open_with_epoch(&chain(), &committed_to_other, sending.epoch()).err(), Some(CannotOpen));
}
