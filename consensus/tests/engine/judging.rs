//! What a block must be before its bundles are asked for, and what each way of not being it is called.

use crate::toy::{CHAIN, Cluster, acked, certified, decided, key};
use consensus::engine::blocks::{CLOCK_TOLERANCE_MS, Judge, Origin, Verdict};
use consensus::port::{Application, Candidate, DecidedBlock, Tip};
use ledger_types::block::{BLOCK_BUNDLE_BYTES_MAX, Block};
use ledger_types::bundle::{BUNDLE_BYTES_MAX, Bundle, BundleCertificate};
use ledger_types::participant::SignedBy;
use ledger_types::vote::CommitCertificate;
use ledger_types::*;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

const NOW_MS: u64 = 1_000_000;

/// Four validators and an observer; the first of them judges.
struct Bench {
    cluster: Cluster,
    judge: Judge,
}

impl Bench {
    fn new() -> Self {
        let cluster = Cluster::new(4, 1, Duration::from_secs(60));
        let judge = Judge {
            chain: CHAIN,
            application: cluster.nodes[0].toy.clone(),
            supply: cluster.nodes[0].plane.clone(),
            clock: Arc::new(|| NOW_MS),
            execution: Arc::default(),
        };
        Bench { cluster, judge }
    }

    fn tip(&self) -> Tip {
        self.cluster.nodes[0].toy.tip()
    }

    /// What an honest node would propose on the tip.
    fn block(
        &self,
        time_ms: u64,
        ordered: Vec<(Arc<Bundle>, BundleCertificate)>,
        parent_certificate: Option<CommitCertificate>,
    ) -> Block {
        let (bundles, certificates) = ordered.into_iter().unzip();
        let height = self.tip().height.next();
        let candidate = Candidate { height, time_ms, certificates, bundles, parent_certificate };
        self.cluster.nodes[0].toy.propose(candidate).unwrap()
    }

    async fn verdict(&self, block: &Block, origin: Origin) -> Verdict {
        let block = Arc::new(block.clone());
        self.judge.check(&self.tip(), block.hash(&CHAIN), block, origin, false).await.verdict
    }
}

#[derive(Debug)]
enum Expected {
    Valid,
    Refused(&'static str),
    Malformed(&'static str),
    Withheld,
}
use Expected::*;

/// Refused is what the block's hash binds; anything else that is wrong may be another sender's doing (B-1, B-2, B-5).
#[tokio::test]
async fn each_way_in_which_a_block_is_wrong_has_its_verdict_and_is_seen_before_a_bundle_is_fetched() {
    let bench = Bench::new();
    let node = &bench.cluster.nodes[0];
    let first = bench.block(NOW_MS - 10, Vec::new(), None);
    let mut cases: Vec<(&str, Block, Origin, Expected)> = Vec::new();

    let changed = |block: &Block, change: &dyn Fn(&mut Block)| {
        let mut block = block.clone();
        change(&mut block);
        block
    };
    let no_parent = "a parent's certificate where none belongs, or none";
    let genesis = decided(Height(0), 0, first.header.parent, 1..=4);
    cases.push((
        "height 1 with a parent's certificate",
        changed(&first, &|block| block.parent_certificate = Some(genesis.clone())),
        Origin::Proposed,
        Malformed(no_parent),
    ));
    cases.push((
        "height 1 with a parent's round",
        changed(&first, &|block| block.header.parent_round = 1),
        Origin::Proposed,
        Refused("the parent's round of height 1 is not 0"),
    ));
    check(&bench, cases).await;

    let (height, hash, round) = (first.header.height, first.hash(&CHAIN), 2);
    let certificate = decided(height, round, hash, 1..=3);
    node.toy.commit(DecidedBlock { block: first, certificate: certificate.clone() }, &[]).unwrap();
    let (bundle, whole) = certified(&node.toy.directory, 0);
    let header = whole.header.clone();
    bench.cluster.fabric.certify(&node.toy.directory, 1);
    let (next, other) = certified(&node.toy.directory, 1);
    let ordering = |certificate: BundleCertificate| {
        bench.block(NOW_MS, vec![(bundle.clone(), certificate)], Some(decided(height, round, hash, 1..=3)))
    };
    let good = ordering(whole.clone());
    let under = |certificate: Option<CommitCertificate>| {
        changed(&good, &move |block| block.parent_certificate.clone_from(&certificate))
    };
    let proposed = |what, block, expected| (what, block, Origin::Proposed, expected);

    let no_certificate = "the certificate of bundle";
    let mut forged = acked(&header, 1..=3).acks.to_vec();
    forged[2].signature = key(4, crate::toy::BUNDLE).sign(&[0; 32]);
    let forged = BundleCertificate { header: header.clone(), acks: List::new(forged).unwrap() };
    let of_another = BundleCertificate { header: header.clone(), acks: other.acks.clone() };
    let second_is_short = vec![(bundle.clone(), whole.clone()), (next, acked(&other.header, 1..=2))];
    let mut cases = vec![
        proposed("as it should be", good.clone(), Valid),
        proposed("acks of a quorum", ordering(acked(&header, 2..=4)), Valid),
        proposed("fewer acks than a quorum", ordering(acked(&header, 1..=2)), Refused(no_certificate)),
        proposed("no acks", ordering(acked(&header, [])), Refused(no_certificate)),
        proposed("one ack twice", ordering(acked(&header, [1, 2, 2])), Refused(no_certificate)),
        proposed("acks out of order", ordering(acked(&header, [1, 3, 2])), Refused(no_certificate)),
        proposed("an ack of one without a vote", ordering(acked(&header, [1, 2, 3, 5])), Refused(no_certificate)),
        proposed("a forged ack", ordering(forged), Refused(no_certificate)),
        proposed("another bundle's acks", ordering(of_another), Refused(no_certificate)),
        proposed(
            "the second certificate is short",
            bench.block(NOW_MS, second_is_short, Some(certificate.clone())),
            Refused(no_certificate),
        ),
    ];

    let no_root = "the certificates are not those of the header";
    cases.extend([
        proposed("without its certificates", changed(&good, &|b| b.certificates = List::empty()), Malformed(no_root)),
        proposed(
            "its certificate with other acks",
            changed(&good, &|b| b.certificates = List::new(vec![acked(&header, 1..=3)]).unwrap()),
            Malformed(no_root),
        ),
        proposed(
            "another certificates root",
            changed(&good, &|b| b.header.certificates_root = MerkleRoot([9; 32])),
            Malformed(no_root),
        ),
    ]);

    let no_tip = "the block does not follow the tip";
    let other_hash = BlockHash([9; 32]);
    let not_after = "the block's time is not after its parent's";
    cases.extend([
        proposed("another parent", changed(&good, &|b| b.header.parent = other_hash), Refused(no_tip)),
        proposed("the tip's height", changed(&good, &|b| b.header.height = height), Refused(no_tip)),
        proposed("a height ahead", changed(&good, &|b| b.header.height = Height(3)), Refused(no_tip)),
        proposed("its parent's time", changed(&good, &|b| b.header.time_ms = NOW_MS - 10), Refused(not_after)),
        proposed("a time before its parent's", changed(&good, &|b| b.header.time_ms = 1), Refused(not_after)),
    ]);
    let at = |time_ms| bench.block(time_ms, Vec::new(), Some(certificate.clone()));
    let limit_ms = NOW_MS + CLOCK_TOLERANCE_MS;
    cases.extend([
        proposed("a time just near enough", at(limit_ms), Valid),
        proposed("a time too far ahead", at(limit_ms + 1), Withheld),
        ("a time too far ahead that a quorum saw in time", at(limit_ms + 1), Origin::Vouched, Valid),
    ]);

    let no_decision = "the parent's certificate does not hold";
    let mut forged = certificate.clone();
    let mut precommits = forged.precommits.to_vec();
    precommits[0] = SignedBy { signature: precommits[1].signature, ..precommits[0] };
    forged.precommits = List::new(precommits).unwrap();
    let other_round = decided(height, 1, hash, 1..=3);
    cases.extend([
        proposed("the parent's certificate by others", under(Some(decided(height, round, hash, 2..=4))), Valid),
        proposed("no parent's certificate", under(None), Malformed(no_parent)),
        proposed("one short of a quorum", under(Some(decided(height, round, hash, 1..=2))), Malformed(no_decision)),
        proposed("a forged precommit", under(Some(forged)), Malformed(no_decision)),
        proposed("an observer's precommit", under(Some(decided(height, round, hash, 2..=5))), Malformed(no_decision)),
        proposed("of another block", under(Some(decided(height, round, other_hash, 1..=3))), Malformed(no_decision)),
        proposed("of another height", under(Some(decided(Height(2), round, hash, 1..=3))), Malformed(no_decision)),
        proposed("of another round than the header's", under(Some(other_round.clone())), Malformed(no_decision)),
        proposed(
            "the header has another round than the certificate",
            changed(&good, &|b| b.header.parent_round = 1),
            Malformed(no_decision),
        ),
        // Both rounds have a quorum only where more than f lie; nobody can tell, and the block may stand on either.
        proposed("another quorum's round in both", bench.block(NOW_MS, Vec::new(), Some(other_round)), Valid),
    ]);
    check(&bench, cases).await;
}

async fn check(bench: &Bench, cases: Vec<(&str, Block, Origin, Expected)>) {
    let node = &bench.cluster.nodes[0];
    node.plane.receives.store(false, Ordering::SeqCst);
    for (what, block, origin, expected) in cases {
        let seen = || (node.toy.executed.load(Ordering::Relaxed), node.plane.fetched.load(Ordering::SeqCst));
        let before = seen();
        let got = bench.verdict(&block, origin).await;
        let is_it = match (&got, &expected) {
            (Verdict::Valid(_), Valid) | (Verdict::Withheld, Withheld) => true,
            (Verdict::Refused(got), Refused(reason)) | (Verdict::Malformed(got), Malformed(reason)) => {
                got.starts_with(reason)
            }
            _ => false,
        };
        assert!(is_it, "{what}: {got:?}, and {expected:?} is right");
        let wanted = match expected {
            Valid => (before.0 + 1, before.1 + block.certificates.len() as u64),
            _ => before,
        };
        assert_eq!(seen(), wanted, "{what}: executed and fetched");
        node.plane.forget();
    }
}

/// A proposer that takes no heed of `propose_bytes_max` orders as much as all lanes together hold.
#[tokio::test]
async fn b2_a_block_that_orders_too_many_bytes_is_refused_before_a_bundle_is_fetched() {
    let bench = Bench::new();
    let node = &bench.cluster.nodes[0];
    let largest = BLOCK_BUNDLE_BYTES_MAX / BUNDLE_BYTES_MAX as u64;
    for (count, is_too_much) in [(largest, false), (largest + 1, true)] {
        let ordered = (0..count).map(|sequence| {
            let (bundle, mut certificate) = certified(&node.toy.directory, sequence);
            certificate.header.bytes = BUNDLE_BYTES_MAX as u32;
            (bundle, acked(&certificate.header, 1..=4))
        });
        let block = bench.block(NOW_MS, ordered.collect(), None);
        // Nobody has these bundles: a block that is within the bound is asked for, in vain.
        node.plane.can_fetch.store(false, Ordering::SeqCst);
        match bench.verdict(&block, Origin::Proposed).await {
            Verdict::Refused(reason) if is_too_much => assert_eq!(reason, "the block orders too many bytes"),
            Verdict::BundlesMissing if !is_too_much => {}
            other => panic!("{count} bundles: {other:?}"),
        }
    }
}

/// All that can be seen of it from outside is right: only executing it shows that its header is another's.
#[tokio::test]
async fn b1_a_block_that_the_own_execution_refuses_is_refused() {
    let bench = Bench::new();
    let mut block = bench.block(NOW_MS, Vec::new(), None);
    assert!(matches!(bench.verdict(&block, Origin::Proposed).await, Verdict::Valid(_)));
    block.header.state_root.0[0] ^= 1;
    for origin in [Origin::Proposed, Origin::Vouched] {
        match bench.verdict(&block, origin).await {
            Verdict::Refused(reason) => assert_eq!(reason, "another header"),
            other => panic!("{other:?}"),
        }
    }
}
