//! The whole line: issued, paid, settled, confirmed, proved.

use crate::cluster::*;
use ledger_types::coin::Opening;
use ledger_types::confirmation::RecordStatus;
use ledger_types::{CoinId, Decode};
use ledger_verify::Answer;
use node_api::desk;

#[tokio::test]
async fn a_payment_goes_the_whole_line_to_a_proof_that_verifies_from_the_genesis() {
    let cluster = Cluster::up(101, 0).await;
    let (bank2, bank3) = (cluster.client("bank2"), cluster.client("bank3"));
    issued(&cluster, 2, 100_000).await;
    wallet(&bank2, "alice").await;
    wallet(&bank3, "bob").await;
    let funding = bank2.pay(&payment("vault", "alice@bank2", 5_000, "")).await.unwrap();
    reached(&bank2, &funding.id, "confirmed", 30).await;

    let paid = bank2.pay(&payment("alice", "bob@bank3", 1_250, "for tea")).await.unwrap();
    let settled = reached(&bank2, &paid.id, "settled", 30).await;
    let paid = reached(&bank2, &paid.id, "confirmed", 30).await;
    let steps: Vec<&str> = paid.trace.iter().map(|step| step.step.as_str()).collect();
    // Each of them once: nothing went wrong on the way.
    let mut once = steps.clone();
    once.sort_unstable();
    let mut expected = vec![
        "order_signed",
        "accepted_by_payee_bank",
        "sealed",
        "submitted",
        "ordered",
        "opened",
        "payee_bank_success",
        "key_released",
        "confirmed",
    ];
    // Registration opens with either party's key, and may be there before the payee's bank says that it has succeeded.
    if settled.state == "confirmed" && !steps.contains(&"payee_bank_success") {
        expected.retain(|step| *step != "payee_bank_success");
    }
    expected.sort_unstable();
    assert_eq!(once, expected, "{steps:?}");
    assert!(paid.trace.is_sorted_by_key(|step| step.at_us), "{:?}", paid.trace);

    // B-2: every node acknowledges it, verifiably, at one height.
    let envelope = paid.envelope_id.clone().unwrap();
    let mut heights = Vec::new();
    for node in NODES {
        let mut accepted = None;
        wait_until(60, "an acknowledgement that verifies", async || {
            accepted = cluster.acknowledged(node, &envelope).await;
            accepted.is_some()
        })
        .await;
        heights.push(accepted.unwrap().height());
    }
    heights.dedup();
    assert_eq!(heights.len(), 1);

    // The payee's coin: the desk's opening leads to its id, and the observer proves it live with the payee's tag (C-6).
    let coin = paid.coin.clone().unwrap();
    let id = CoinId::parse(&coin).unwrap();
    wait_until(60, "the payee's coin is live in the registry as the observer proves it", async || {
        cluster
            .verified_coin("observer", &coin)
            .await
            .is_some_and(|verified| matches!(verified.answer(), Answer::Present(_)))
    })
    .await;
    let mut held = None;
    wait_until(60, "the payee holds the coin", async || {
        let coins: Vec<desk::WalletCoin> = bank3.get("/v1/wallets/bob/coins").await.unwrap();
        held = coins.into_iter().find(|held| held.coin == coin);
        held.is_some()
    })
    .await;
    let held = held.unwrap();
    let opening = Opening::from_bytes(&hex::decode(&held.opening).unwrap()).unwrap();
    assert_eq!((opening.amount.0, held.amount), (1_250, 1_250));
    let verified = cluster.verified_coin("observer", &coin).await.unwrap();
    let Answer::Present(record) = verified.answer() else { panic!("the record went away") };
    assert_eq!(record.status, RecordStatus::Live);
    assert_eq!(record.tag, opening.owner_tag(cluster.trust().chain(), &id));
    assert!(verified.state().signers().len() >= 3);

    // No such coin is proved too.
    let nobody = CoinId([7; 32]).to_string();
    assert_eq!(cluster.verified_coin("observer", &nobody).await.unwrap().answer(), Answer::Absent);

    // Nothing was made or lost: 100,000 issued, all of it in the banks' wallets.
    assert_eq!(cluster.settled_wealth(&["bank2", "bank3", "bank4"], 30).await, 100_000);
}
