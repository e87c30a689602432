//! What a block must be before its bundles are asked for.

use crate::toy::{CHAIN, Cluster, certified};
use consensus::engine::blocks::{Judge, Origin, Verdict};
use consensus::port::{Application, Candidate};
use ledger_types::block::BLOCK_BUNDLE_BYTES_MAX;
use ledger_types::bundle::BUNDLE_BYTES_MAX;
use std::sync::Arc;
use std::time::Duration;

/// A proposer that takes no heed of `propose_bytes_max` orders as much as all lanes together hold.
#[tokio::test]
async fn b2_a_block_that_orders_too_many_bytes_is_refused_before_a_bundle_is_fetched() {
    let cluster = Cluster::new(4, 0, Duration::from_secs(60));
    let node = &cluster.nodes[0];
    let judge = Judge {
        chain: CHAIN,
        application: node.toy.clone(),
        supply: node.plane.clone(),
        clock: Arc::new(|| 10),
        execution: Arc::default(),
    };
    let tip = node.toy.tip();
    let largest = BLOCK_BUNDLE_BYTES_MAX / BUNDLE_BYTES_MAX as u64;
    for (count, is_too_much) in [(largest, false), (largest + 1, true)] {
        let (bundles, certificates): (Vec<_>, Vec<_>) = (0..count)
            .map(|sequence| {
                let (bundle, mut certificate) = certified(&node.toy.directory, sequence);
                certificate.header.bytes = BUNDLE_BYTES_MAX as u32;
                (bundle, certificate)
            })
            .unzip();
        let candidate =
            Candidate { height: tip.height.next(), time_ms: 10, certificates, bundles, parent_certificate: None };
        let block = Arc::new(node.toy.propose(candidate).unwrap());
        // Nobody has these bundles: a block that is within the bound is asked for, in vain.
        node.plane.can_fetch.store(false, std::sync::atomic::Ordering::SeqCst);
        let verdict = judge.check(&tip, block.hash(&CHAIN), block, Origin::Proposed, false).await;
        match verdict.verdict {
            Verdict::Refused(reason) if is_too_much => assert_eq!(reason, "the block orders too many bytes"),
            Verdict::BundlesMissing if !is_too_much => {}
            other => panic!("{count} bundles: {other:?}"),
        }
    }
}
