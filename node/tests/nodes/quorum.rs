//! What stops without a quorum or without the log's key, and what does not.

use crate::cluster::*;
use ledger_tree::note::{Checkpoint, CosignerKey, Note};
use ledger_types::{CoinId, Octets, ParticipantNumber};
use ledger_verify::{Answer, Reason, Verdict, verify_coin};
use node::keys::{KeyFolder, passphrase};
use node_api::desk;
use std::time::Instant;

/// E8. And the payer's bank may die meanwhile: a payment that it took is durable before it is answered.
#[tokio::test]
async fn without_a_quorum_payments_stay_pending_over_a_restart_of_their_bank_and_then_settle_once() {
    let mut cluster = Cluster::up(108, 50).await;
    let bank2 = cluster.client("bank2");
    let warm = bank2.pay(&payment("vault", "vault@bank3", 10, "")).await.unwrap();
    reached(&bank2, &warm.id, "confirmed", 30).await;
    let before = cluster.settled_wealth(&["bank2", "bank3", "bank4"], 30).await;

    cluster.kill("bank4");
    cluster.kill("central-bank");
    let tip = bank2.status().await.unwrap().height;
    // Each of an amount of its own, by which the payee's coin is told.
    let payments: Vec<desk::NewPayment> = (771..=776).map(keyed).collect();
    let mut paid = Vec::new();
    for payment in &payments {
        paid.push(bank2.pay(payment).await.unwrap());
    }
    let path = format!("/v1/payments/{}?wait=ordered&timeout_ms=4000", paid[0].id);
    let waiting: desk::Payment = bank2.get(&path).await.unwrap();
    assert_eq!(waiting.state, "pending", "two of four are no quorum");

    cluster.kill("bank2");
    cluster.start("bank2");
    wait_until(60, "bank 2 answers again", async || bank2.status().await.is_ok()).await;
    for (payment, first) in payments.iter().zip(&paid) {
        let known: desk::Payment = bank2.get(&format!("/v1/payments/{}", first.id)).await.unwrap();
        assert_eq!((known.state.as_str(), known.amount), ("pending", payment.amount));
        // A payer who heard no answer asks again: it is the same payment.
        assert_eq!(bank2.pay(payment).await.unwrap().id, first.id);
    }
    assert!(bank2.status().await.unwrap().height <= tip + 1, "at most a height that was decided before");

    cluster.start("bank4");
    cluster.start("central-bank");
    for paid in &paid {
        assert_eq!(reached(&bank2, &paid.id, "confirmed", 60).await.state, "confirmed");
    }
    // Once: the payee has one coin of each, and the sum is what it was.
    let mut of_each = Vec::new();
    wait_until(30, "the payee's bank has booked each", async || {
        let coins: Vec<desk::WalletCoin> = cluster.client("bank3").get("/v1/wallets/vault/coins").await.unwrap();
        let count = |payment: &desk::NewPayment| coins.iter().filter(|coin| coin.amount == payment.amount).count();
        of_each = payments.iter().map(count).collect();
        !of_each.contains(&0)
    })
    .await;
    assert_eq!(of_each, [1; 6]);
    assert_eq!(cluster.settled_wealth(&["bank2", "bank3", "bank4"], 30).await, before);
}

fn keyed(amount: u64) -> desk::NewPayment {
    let idempotency_key = Some(format!("payment of {amount}"));
    desk::NewPayment { idempotency_key, ..payment("vault", "vault@bank3", amount, "") }
}

/// E4. Registration is on nobody's way to success: without it a payment takes as long as with it.
#[tokio::test]
async fn payments_settle_as_fast_while_registration_is_stopped() {
    let mut cluster = Cluster::up(109, 200).await;
    let bank2 = cluster.client("bank2");
    let median_ms = async || {
        let mut times = Vec::new();
        for _ in 0..30 {
            let started = Instant::now();
            let paid = bank2.pay(&payment("vault", "vault@bank3", 10, "")).await.unwrap();
            reached(&bank2, &paid.id, "settled", 30).await;
            times.push(started.elapsed().as_millis());
        }
        times.sort_unstable();
        times[times.len() / 2]
    };
    // The first ones open the channel's epoch.
    median_ms().await;
    let running = median_ms().await;
    cluster.kill("registration");
    let stopped = median_ms().await;
    // To wait for registration would cost the 2 s of a batch; less than that is what else the machine does.
    assert!(stopped <= running + 1_500, "{stopped} ms without registration, {running} ms with it");
}

#[tokio::test]
async fn a_quorum_of_banks_without_the_logs_key_makes_no_checkpoint_that_verifies() {
    let mut cluster = Cluster::up(110, 50).await;
    let bank2 = cluster.client("bank2");
    let paid = bank2.pay(&payment("vault", "vault@bank3", 10, "")).await.unwrap();
    let coin = reached(&bank2, &paid.id, "confirmed", 30).await.coin.unwrap();
    wait_until(60, "the coin is proved", async || {
        let Some(verified) = cluster.verified_coin("observer", &coin).await else { return false };
        matches!(verified.answer(), Answer::Present(_))
    })
    .await;

    // L-2: the banks go on paying, and the log stands still.
    cluster.kill("central-bank");
    let observer = cluster.client("observer");
    let pay_one = async || {
        let paid = bank2.pay(&payment("vault", "vault@bank3", 10, "")).await.unwrap();
        reached(&bank2, &paid.id, "settled", 30).await;
    };
    // What the log's key signed before it went is delivered by then.
    pay_one().await;
    let before: node_api::ledger::Checkpoint = observer.get("/v1/checkpoint").await.unwrap();
    for _ in 0..5 {
        pay_one().await;
    }
    let after: node_api::ledger::Checkpoint = observer.get("/v1/checkpoint").await.unwrap();
    assert_eq!((after.size, &after.root), (before.size, &before.root));

    // All three banks cosign, first the true head and then one of their own making.
    let trust = cluster.trust();
    let id = CoinId::parse(&coin).unwrap();
    let proof = coin_proof(&observer.coin(&coin).await.unwrap());
    let now_ms = node::clock::now_ms();
    let origin = trust.genesis().origin.as_str().to_owned();
    let true_note = Note::parse(&proof.state.checkpoint).unwrap();
    let true_head = Checkpoint::parse(true_note.text()).unwrap();
    let proof_size = true_head.size();
    let forged_head = Checkpoint::new(&origin, true_head.size() + 2, [7; 32]).unwrap();
    for head in [true_head, forged_head] {
        let text = head.to_text();
        let cosign = |number: u16| {
            let folder = cluster.folder(&format!("bank{number}"));
            let keys = KeyFolder::new(&folder.join("keys"), passphrase(Some(&folder.join("passphrase"))).unwrap());
            let key = keys.signing_key("cosign").unwrap();
            let name = trust.genesis().cosigner_name(ParticipantNumber(number));
            let cosigner = CosignerKey::new(&name, &key.public_key().0).unwrap();
            cosigner.cosign(&text, now_ms / 1000, |message| key.sign(message).0)
        };
        let cosigned = [2, 3, 4].map(cosign).to_vec();
        let note = Note::new(text.clone(), cosigned.clone()).unwrap();
        let mut forged = proof.clone();
        forged.state.checkpoint = Octets::new(note.to_string().into_bytes()).unwrap();
        let verdict = verify_coin(trust, &id, &forged, now_ms);
        assert_eq!(verdict.map(|_| ()), Verdict::Invalid(Reason::MissingLogSignature));

        // The log's old signature beside them helps for the head that it is of, and for no other.
        let log_line =
            true_note.signatures().iter().find(|line| line.name() == origin).expect("the log signed").clone();
        let with_log_line = [vec![log_line], cosigned].concat();
        let note = Note::new(text, with_log_line).unwrap();
        forged.state.checkpoint = Octets::new(note.to_string().into_bytes()).unwrap();
        let verdict = verify_coin(trust, &id, &forged, now_ms).map(|_| ());
        let is_the_true_head = head.size() == proof_size;
        let expected =
            if is_the_true_head { Verdict::Verified(()) } else { Verdict::Invalid(Reason::ForgedLogSignature) };
        assert_eq!(verdict, expected);
    }
}
