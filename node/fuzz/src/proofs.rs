//! The verifiers, with the trust of an honest chain whose keys no fuzzer has: what they believe, that chain said.

use crate::ledger::canonical;
use ledger_types::block::Acknowledgement;
use ledger_types::block::BlockHeader;
use ledger_types::ownership::OwnershipProof;
use ledger_types::vote::CommitCertificate;
use ledger_types::{BlockHash, CoinId, Decode, EnvelopeId, Reader};
use ledger_verify::*;
use std::sync::LazyLock;

/// Written by `tests/seeds.rs` with the corpus.
const GENESIS: &[u8] = include_bytes!("../honest/genesis");
const HEAD: &[u8] = include_bytes!("../honest/head");
const BLOCK: &[u8] = include_bytes!("../honest/block");
const ENVELOPE: &[u8] = include_bytes!("../honest/envelope");
/// The proof of a coin that is live.
const COIN: &[u8] = include_bytes!("../honest/coin");
/// The hashes of blocks that a quorum signed, the first two in a row from the genesis.
const SIGNED: &[u8] = include_bytes!("../honest/signed");
/// Five seconds after the cosignatures of the corpus.
pub const NOW_MS: u64 = 1_700_000_105_000;
const BLIND: [u8; 32] = [2; 32];

pub(crate) fn honest_trust() -> &'static Trust {
    static TRUST: LazyLock<Trust> =
        LazyLock::new(|| Trust::from_genesis(GENESIS).expect("the honest chain has a genesis"));
    &TRUST
}

pub(crate) fn honest_block() -> BlockHash {
    BlockHash::from_bytes(BLOCK).expect("a hash")
}

/// One confirmed state of the honest chain bears the signatures that the corpus has.
fn is_honest(state: &VerifiedState) {
    assert_eq!(state.head(), TreeHead::from_bytes(HEAD).expect("a tree head"), "nobody signed another state");
}

pub(crate) fn coin(bytes: &[u8]) -> bool {
    let Some(proof) = canonical::<CoinProof>(bytes) else { return false };
    if let Verdict::Verified(coin) = verify_coin(honest_trust(), &proof.coin, &proof, NOW_MS) {
        is_honest(coin.state());
    }
    true
}

/// A state, a bucket, an entry, a leaf or a request.
pub(crate) fn proof(bytes: &[u8]) -> bool {
    let trust = honest_trust();
    let mut taken = false;
    if let Some(proof) = canonical::<StateProof>(bytes) {
        taken = true;
        let _ = verify_supply(trust, &proof, NOW_MS);
        if let Verdict::Verified(state) = verify_state(trust, &proof, NOW_MS) {
            is_honest(&state);
        }
    }
    if let Some(proof) = canonical::<BucketProof>(bytes) {
        taken = true;
        if let Verdict::Verified(bucket) = verify_bucket(trust, &proof.prefix, &proof, NOW_MS) {
            is_honest(bucket.state());
        }
    }
    if let Some(proof) = canonical::<EntryProof>(bytes) {
        taken = true;
        if let Verdict::Verified(entry) = verify_entry(trust, &proof.key, &proof, NOW_MS) {
            is_honest(entry.state());
        }
    }
    if let Some(proof) = canonical::<LeafProof>(bytes) {
        taken = true;
        let asked = EntryKey::Contract(ledger_types::ContractNumber(1));
        if let Verdict::Verified(leaf) = verify_leaf(trust, &asked, &proof, NOW_MS) {
            is_honest(leaf.state());
        }
    }
    if let Some(proof) = canonical::<RequestProof>(bytes) {
        taken = true;
        let coin = CoinId([1; 32]);
        if let Verdict::Verified(request) = verify_request(trust, &coin, &BLIND, &proof, NOW_MS) {
            is_honest(request.state());
        }
    }
    taken
}

pub(crate) fn acknowledgement(bytes: &[u8]) -> bool {
    let Some(acknowledgement) = canonical::<Acknowledgement>(bytes) else { return false };
    if let Verdict::Verified(accepted) = verify_acknowledgement(honest_trust(), &acknowledgement) {
        assert_eq!(accepted.envelope(), EnvelopeId::from_bytes(ENVELOPE).expect("an id"), "nothing else was accepted");
    }
    true
}

pub(crate) fn hand_over(bytes: &[u8]) -> bool {
    let Some(document) = canonical::<HandOver>(bytes) else { return false };
    let mut trust = honest_trust().clone();
    if trust.hand_over(&document).is_verified() {
        assert_eq!(document.order.number, 1, "the honest chain handed over once");
    }
    true
}

/// Headers with their certificates, in a row from the genesis.
pub(crate) fn blocks(bytes: &[u8]) -> bool {
    let mut reader = Reader::new(bytes);
    let mut blocks = Vec::new();
    while reader.remaining() > 0 {
        let (Ok(header), Ok(certificate)) = (reader.read::<BlockHeader>(), reader.read::<CommitCertificate>()) else {
            return false;
        };
        blocks.push((header, certificate));
    }
    let signed: Vec<&[u8]> = SIGNED.chunks(32).collect();
    let is_signed = |hash: BlockHash| assert!(signed.contains(&&hash.0[..]), "no quorum signed another block");
    for (header, certificate) in &blocks {
        if let Verdict::Verified(block) = verify_block(honest_trust(), header, certificate) {
            is_signed(block.hash());
        }
    }
    if let Verdict::Verified(last) = verify_segment(honest_trust(), None, &blocks) {
        assert_eq!(&last.hash().0[..], signed[blocks.len() - 1], "each follows the one before");
    }
    !blocks.is_empty()
}

/// An answer to the challenge that it names, of one who has no owner's key.
pub(crate) fn ownership(bytes: &[u8]) -> bool {
    static LIVE: LazyLock<VerifiedCoin> = LazyLock::new(|| {
        let proof = CoinProof::from_bytes(COIN).expect("the honest chain's coin");
        verify_coin(honest_trust(), &proof.coin, &proof, NOW_MS).verified().expect("it is honest")
    });
    let Some(mut proof) = canonical::<OwnershipProof>(bytes) else { return false };
    proof.coin = LIVE.coin();
    let challenge = proof.challenge.clone();
    assert!(verify_ownership(honest_trust(), &LIVE, &challenge, &proof, NOW_MS).is_err(), "it belongs to another");
    true
}
