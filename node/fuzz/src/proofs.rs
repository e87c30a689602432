//! The verifiers, with the trust of an honest chain whose keys no fuzzer has: what they believe, that chain said.

use crate::ledger::canonical;
use ledger_types::block::Acknowledgement;
use ledger_types::{BlockHash, CoinId, Decode, EnvelopeId};
use ledger_verify::*;
use std::sync::LazyLock;

/// Written by `tests/seeds.rs` with the corpus.
const GENESIS: &[u8] = include_bytes!("../honest/genesis");
const HEAD: &[u8] = include_bytes!("../honest/head");
const BLOCK: &[u8] = include_bytes!("../honest/block");
const ENVELOPE: &[u8] = include_bytes!("../honest/envelope");
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
