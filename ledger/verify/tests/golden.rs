//! The bytes of proofs that others store and send, pinned. A change of them is a commit of its own that says why.

use crate::chain;

use chain::*;
use ledger_tree::map::Prefix;
use ledger_types::encoding::{Decode, Encode};
use ledger_verify::*;

fn grown() -> Registry {
    let mut registry = Registry::new();
    let lines = [registry.spent(1), registry.live(4)];
    registry.confirm(2, &lines);
    registry
}

#[track_caller]
fn compare(name: &str, golden: &str, bytes: &[u8]) {
    let now = hex::encode(bytes);
    assert!(now == golden.trim_end(), "{name} is now\n{now}");
}

#[test]
fn golden_bytes_of_a_coin_proof() {
    let registry = grown();
    let coin = issued_coin(&registry.chain, 4);
    let proof = registry.coin_proof(coin);
    compare("coin_proof", include_str!("golden/coin_proof.hex"), &proof.to_bytes());
    // Stored long ago, it still says the same.
    let stored = hex::decode(include_str!("golden/coin_proof.hex").trim_end()).unwrap();
    let verified = verify_coin(&registry.trust(), &coin, &CoinProof::from_bytes(&stored).unwrap(), NOW_MS);
    assert!(verified.is_verified());
}

#[test]
fn golden_bytes_of_a_proof_of_absence() {
    let registry = grown();
    let proof = registry.coin_proof(issued_coin(&registry.chain, 90));
    compare("absence_proof", include_str!("golden/absence_proof.hex"), &proof.to_bytes());
}

#[test]
fn golden_bytes_of_a_bucket() {
    let registry = grown();
    let coin = issued_coin(&registry.chain, 4);
    let asked = Prefix::of(&record_key(&coin), 1).unwrap();
    compare("bucket", include_str!("golden/bucket.hex"), &registry.bucket_proof(asked).to_bytes());
    let stored = hex::decode(include_str!("golden/bucket.hex").trim_end()).unwrap();
    let verified = verify_bucket(&registry.trust(), &asked, &BucketProof::from_bytes(&stored).unwrap(), NOW_MS);
    assert!(matches!(verified.verified().unwrap().answer(&coin), Ok(Answer::Present(_))));
}

#[test]
fn golden_bytes_of_a_tree_head() {
    let registry = grown();
    let verified = verify_state(&registry.trust(), &registry.state_proof(), NOW_MS).verified().unwrap();
    compare("tree_head", include_str!("golden/tree_head.hex"), &verified.head().to_bytes());
}
