//! A byte of the stored log changes while a validator is down: it finds that by itself, and signs no checkpoint any more. A row that
//! nothing computes anew is damaged: the first who asks for it makes the node say so.

use crate::cluster::*;
use crate::health::{get, health, metric};
use node_api::ledger;

/// Changes the value of one row of the node's ledger. The node must not run.
fn change(cluster: &Cluster, node: &str, column: &str, key: u64, change: impl FnOnce(&mut Vec<u8>)) {
    let rows = cluster.folder(node).join("state/ledger/state");
    let options = rocksdb::Options::default();
    let columns = rocksdb::DB::list_cf(&options, &rows).unwrap();
    let rows = rocksdb::DB::open_cf(&options, &rows, columns).unwrap();
    let family = rows.cf_handle(column).unwrap();
    let mut value = rows.get_cf(family, key.to_be_bytes()).unwrap().expect("the row is there");
    change(&mut value);
    rows.put_cf(family, key.to_be_bytes(), value).unwrap();
}

fn flip_a_bit_of_leaf(cluster: &Cluster, node: &str, index: u64) {
    change(cluster, node, "log_leaves", index, |leaf| {
        let middle = leaf.len() / 2;
        leaf[middle] ^= 1;
    });
}

#[tokio::test]
async fn a_validator_whose_stored_log_lost_a_bit_says_so_and_cosigns_no_more_and_any_unreadable_row_is_told() {
    let mut cluster = Cluster::up(132, 20).await;
    for node in NODES {
        wait_until(30, "every node has computed its log and map anew", async || {
            metric(&get(&cluster, node, "/metrics").1, "assay_audits_passed_total") == 1.0
        })
        .await;
        let page = get(&cluster, node, "/metrics").1;
        assert_eq!((metric(&page, "assay_audit_progress"), metric(&page, "assay_audit_fault")), (1.0, 0.0));
    }
    let observer = cluster.client("observer");
    wait_until(30, "all four cosign", async || {
        observer.get::<ledger::Checkpoint>("/v1/checkpoint").await.is_ok_and(|checkpoint| checkpoint.signers == 4)
    })
    .await;

    cluster.kill("bank4");
    flip_a_bit_of_leaf(&cluster, "bank4", 3);
    cluster.start("bank4");
    wait_until(60, "bank4 says that its log is damaged", async || {
        // Until it serves, nobody answers.
        let answers = cluster.client("bank4").status().await.is_ok();
        answers
            && health(&cluster, "bank4")
                .1
                .reason
                .is_some_and(|reason| reason.contains("leaf 3") || reason.contains("node 3"))
    })
    .await;
    let (code, said) = health(&cluster, "bank4");
    assert_eq!((code, said.healthy), (503, false));
    assert!(said.reason.unwrap().contains("no checkpoint is signed here"));
    let page = get(&cluster, "bank4", "/metrics").1;
    assert_eq!((metric(&page, "assay_audit_fault"), metric(&page, "assay_audits_passed_total")), (1.0, 0.0));

    // It goes on voting, and the others' checkpoints go on without it.
    cluster.ready().await;
    let bank2 = cluster.client("bank2");
    let paid = bank2.pay(&payment("vault", "vault@bank3", 10, "")).await.unwrap();
    let coin = reached(&bank2, &paid.id, "confirmed", 60).await.coin.unwrap();
    wait_until(30, "the observer proves the coin", async || {
        let verified = cluster.verified_coin("observer", &coin).await;
        verified.is_some_and(|verified| matches!(verified.answer(), ledger_verify::Answer::Present(_)))
    })
    .await;
    let verified = cluster.verified_coin("observer", &coin).await.unwrap();
    let signers: Vec<u16> = verified.state().signers().iter().map(|signer| signer.0).collect();
    assert!(!signers.contains(&4), "{signers:?}");

    // A block's row is not computed anew by anyone: whoever asks for it is the first to know, and from then on its health says so.
    cluster.kill("observer");
    change(&cluster, "observer", "blocks", 2, |block| block.truncate(10));
    cluster.start("observer");
    cluster.ready().await;
    let (code, page) = (health(&cluster, "observer").0, get(&cluster, "observer", "/metrics").1);
    assert_eq!((code, metric(&page, "assay_unreadable_rows_total")), (200, 0.0), "nobody has asked for it");
    assert!(cluster.client("observer").get::<ledger::Block>("/v1/blocks/2").await.is_err());
    let (code, said) = health(&cluster, "observer");
    let reason = said.reason.expect("it is not well");
    assert!(code == 503 && reason.contains("column blocks") && reason.contains("0000000000000002"), "{code}: {reason}");
    assert!(metric(&get(&cluster, "observer", "/metrics").1, "assay_unreadable_rows_total") >= 1.0);
}
