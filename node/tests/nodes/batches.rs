//! Confirmation batches that are revived, replayed or squatted change nothing (R-2, R-3, invariant 4).
//!
//! Two kinds of attacker: banks, which hold every batch that was ever ordered and no key of registration's, and
//! somebody with registration's key who sends what it has signed before, or puts other content under a number.

use crate::cluster::*;
use ledger_types::bundle::{Bundle, BundleBody, BundleHeader, Slot};
use ledger_types::coin::Opening;
use ledger_types::confirmation::{Batch, BatchRecord, RecordStatus, SignedBatch};
use ledger_types::keys::SigningKey;
use ledger_types::rejection::Rejection;
use ledger_types::{
    BatchHash, BatchNumber, Chain, CoinId, Decode, Encode, EnvelopeId, List, ParticipantNumber, merkle,
};
use ledger_verify::Answer;
use node_api::{Client, ClientError, desk, ledger};

const BANKS: [&str; 3] = ["bank2", "bank3", "bank4"];
const REGISTRATION: u16 = ParticipantNumber::REGISTRATION.0;

/// All that a batch could change.
#[derive(Debug, PartialEq)]
struct Registry {
    batch: u64,
    batch_hash: String,
    supply: (String, String),
    /// Size and root of the log.
    checkpoint: (u64, String),
    answers: Vec<Answer>,
}

async fn registry(cluster: &Cluster, coins: &[CoinId]) -> Registry {
    let observer = cluster.client("observer");
    let now = observer.registry().await.unwrap();
    let supply: ledger::Supply = observer.get("/v1/supply").await.unwrap();
    let checkpoint: ledger::Checkpoint = observer.get("/v1/checkpoint").await.unwrap();
    let mut answers = Vec::new();
    for coin in coins {
        answers.push(cluster.verified_coin("observer", &coin.to_string()).await.expect("a proof").answer());
    }
    Registry {
        batch: now.batch,
        batch_hash: now.batch_hash,
        supply: (supply.issued, supply.redeemed),
        checkpoint: (checkpoint.size, checkpoint.root),
        answers,
    }
}

/// Every node has all that was accepted, and the observer's checkpoint shows it. In this order: an observer that lacks the last block
/// has a checkpoint that fits its log as well.
async fn level(cluster: &Cluster) {
    wait_until(30, "all nodes and the checkpoint show the last batch", async || {
        if cluster.same_tip().await.is_none() {
            return false;
        }
        let observer = cluster.client("observer");
        let Ok(status) = observer.status().await else { return false };
        observer.get::<ledger::Checkpoint>("/v1/checkpoint").await.is_ok_and(|shown| shown.size >= status.log_size)
    })
    .await;
}

async fn confirmed_coin(bank: &Client) -> CoinId {
    let paid = bank.pay(&payment("vault", "vault@bank3", 10, "")).await.unwrap();
    CoinId::parse(&reached(bank, &paid.id, "confirmed", 30).await.coin.unwrap()).unwrap()
}

/// The batches that were accepted, each with the bundle that brought it.
async fn true_batches(cluster: &mut Cluster) -> Vec<(Bundle, SignedBatch)> {
    cluster.kill("observer");
    let bundles = ordered_bundles(&cluster.observers_ledger());
    cluster.start("observer");
    cluster.ready().await;
    let batches = bundles.into_iter().filter_map(|(_, bundle)| match bundle.body() {
        BundleBody::Confirmation(signed) => Some(((*bundle).clone(), (**signed).clone())),
        BundleBody::Envelopes(_) => None,
    });
    batches.collect()
}

/// Bytes of a bundle whose body is a batch, in whoever's lane and under whatever key.
fn batch_in_the_lane_of(chain: &Chain, slot: Slot, batch: &SignedBatch, key: &SigningKey) -> Vec<u8> {
    let body = batch.to_bytes();
    let ids_root = merkle::root(chain, &[batch.item_id(chain)]);
    let header = BundleHeader { slot, count: 1, bytes: body.len() as u32, ids_root };
    let signature = key.sign(&header.digest(chain).0);
    [header.to_bytes(), signature.0.to_vec(), body].concat()
}

fn code(refused: Result<ledger::Submitted, ClientError>) -> String {
    match refused {
        Err(ClientError::Refused(problem)) => problem.code,
        other => panic!("not refused: {other:?}"),
    }
}

async fn next_slot(node: &Client, submitter: u16) -> Slot {
    let lane = node.lane(submitter).await.unwrap();
    Slot { submitter: ParticipantNumber(submitter), incarnation: lane.incarnation, sequence: lane.sequence }
}

/// What a block says of the only item of the bundle in this slot.
async fn verdict(cluster: &Cluster, from: u64, slot: Slot) -> Option<ledger::Block> {
    let observer = cluster.client("observer");
    let mut found = None;
    wait_until(30, "a block holds the bundle", async || {
        let tip = observer.status().await.unwrap().height;
        for height in from + 1..=tip {
            let block: ledger::Block = observer.get(&format!("/v1/blocks/{height}")).await.unwrap();
            let is_it = |bundle: &ledger::BlockBundle| {
                (bundle.submitter, bundle.incarnation, bundle.sequence)
                    == (slot.submitter.0, slot.incarnation, slot.sequence)
            };
            if block.bundles.iter().any(is_it) {
                found = Some(block);
            }
        }
        found.is_some()
    })
    .await;
    found
}

fn claims_live(number: BatchNumber, previous: BatchHash, coin: CoinId, tag: ledger_types::OwnerTag) -> Batch {
    Batch {
        number,
        previous,
        records: List::new(vec![BatchRecord { coin, status: RecordStatus::Live, failed_check: 0, tag }]).unwrap(),
        settled: List::empty(),
        overdue: List::empty(),
        cleared: List::empty(),
    }
}

/// Registration is away, so the blocks hold nothing but what the attackers bring. A payment waits for it.
#[tokio::test]
async fn a_batch_that_is_revived_replayed_or_squatted_changes_nothing_and_the_true_ones_go_on() {
    let mut cluster = Cluster::up(113, 60).await;
    let chain = *cluster.trust().chain();
    let (bank2, bank3) = (cluster.client("bank2"), cluster.client("bank3"));
    let mut coins = Vec::new();
    for _ in 0..3 {
        coins.push(confirmed_coin(&bank2).await);
    }
    let wealth = cluster.settled_wealth(&BANKS, 30).await;
    cluster.kill("registration");
    wallet(&bank3, "bob").await;
    let paid = bank2.pay(&payment("vault", "bob@bank3", 777, "")).await.unwrap();
    let paid = reached(&bank2, &paid.id, "settled", 30).await;
    let waiting = CoinId::parse(paid.coin.as_deref().unwrap()).unwrap();
    coins.push(waiting);
    level(&cluster).await;
    let batches = true_batches(&mut cluster).await;
    assert!(batches.len() >= 3, "each payment had a batch of its own");
    level(&cluster).await;
    let before = registry(&cluster, &coins).await;
    let last = &batches.last().unwrap().1;
    let (newest, newest_hash) = (last.batch.number, last.batch.hash(&chain));
    assert_eq!((newest.0, newest_hash.to_string()), (before.batch, before.batch_hash.clone()));
    assert_eq!(before.answers[3], Answer::Absent, "nobody has confirmed the last payment");

    // Replayed to the byte, by any bank: the slot is closed.
    for (bundle, _) in &batches {
        for node in [&bank2, &bank3] {
            assert_eq!(code(node.submit_bundle(bundle.to_bytes()).await), "slot_closed");
        }
    }
    // Put into another bundle by a bank: it can sign neither for registration's lane nor carry a batch in its own.
    let bank4s = cluster.keys("bank4").signing_key("bundle").unwrap();
    let squatted = next_slot(&bank3, REGISTRATION).await;
    let own = next_slot(&bank3, 4).await;
    for (_, batch) in &batches {
        let forged = batch_in_the_lane_of(&chain, squatted, batch, &bank4s);
        assert_eq!(code(bank3.submit_bundle(forged).await), "bundle_signature");
        let foreign = batch_in_the_lane_of(&chain, own, batch, &bank4s);
        assert_eq!(code(bank3.submit_bundle(foreign).await), "malformed");
    }
    assert_eq!(registry(&cluster, &coins).await, before);

    // With registration's bundle key, a slot can be had; the ledger refuses what stands in it.
    let registrations = cluster.keys("confirmation-issuance").signing_key("registration").unwrap();
    let held: Vec<desk::WalletCoin> = bank3.get("/v1/wallets/bob/coins").await.unwrap();
    let opening = Opening::from_bytes(&hex::decode(&held[0].opening).unwrap()).unwrap();
    let tag = opening.owner_tag(&chain, &waiting);
    let says_live = |number, previous| claims_live(number, previous, waiting, tag);
    let next = BatchNumber(newest.0 + 1);
    let mut attacks: Vec<(&str, SignedBatch, Rejection)> = Vec::new();
    let revived = batches.iter().map(|(_, batch)| ("revived", batch.clone(), Rejection::BatchNumberNotNext));
    attacks.extend(revived);
    let (first, second) = (&batches[0].1.batch, &batches[1].1.batch);
    let other = says_live(second.number, first.hash(&chain));
    attacks.push(("other content", other.sign(&chain, &registrations), Rejection::BatchNumberNotNext));
    let ahead = says_live(BatchNumber(next.0 + 1), newest_hash);
    attacks.push(("ahead", ahead.sign(&chain, &registrations), Rejection::BatchNumberNotNext));
    let unchained = says_live(next, first.hash(&chain));
    attacks.push(("not chained", unchained.sign(&chain, &registrations), Rejection::BatchChainBroken));
    let squatted = says_live(next, newest_hash);
    attacks.push(("squatted", squatted.sign(&chain, &bank4s), Rejection::BatchSignatureInvalid));
    for (what, batch, rejection) in attacks {
        let slot = next_slot(&bank3, REGISTRATION).await;
        let from = bank3.status().await.unwrap().height;
        let item = EnvelopeId(batch.item_id(&chain));
        let was_accepted = batches.iter().any(|(_, accepted)| *accepted == batch);
        let bundle = Bundle::sign_confirmation(&chain, slot, batch, &registrations).unwrap();
        bank3.submit_bundle(bundle.to_bytes()).await.unwrap();
        let block = verdict(&cluster, from, slot).await.unwrap();
        assert_eq!((block.accepted, block.refused), (0, 1), "{what}: {block:?}");
        let status = cluster.client("observer").batch(&item.to_string()).await.unwrap();
        match was_accepted {
            // Its id says where it was accepted, long ago.
            true => assert!(verify_status(cluster.trust(), &status).verified().is_some(), "{what}"),
            false => assert_eq!(status.rejection.unwrap().number, rejection.number(), "{what}"),
        }
        level(&cluster).await;
        assert_eq!(registry(&cluster, &coins).await, before, "{what}");
        let bob: desk::Wallet = bank3.get("/v1/wallets/bob").await.unwrap();
        assert_eq!((bob.live, bob.unconfirmed), (0, 777), "{what}");
    }

    // The number that was squatted is the true batch's, in spite of all.
    cluster.start("registration");
    reached(&bank2, &paid.id, "confirmed", 60).await;
    level(&cluster).await;
    let Answer::Present(record) = cluster.verified_coin("observer", &waiting.to_string()).await.unwrap().answer()
    else {
        panic!("a confirmed coin has a record")
    };
    assert_eq!((record.status, record.batch, record.tag), (RecordStatus::Live, next, tag));
    assert_eq!(cluster.settled_wealth(&BANKS, 30).await, wealth);

    // And while true batches are under way, somebody squats the lane's slots as fast as blocks come.
    let mut paid = Vec::new();
    let mut squatters = Vec::new();
    for _ in 0..12 {
        let now = bank3.registry().await.unwrap();
        let previous = BatchHash::from_hex(&now.batch_hash).unwrap();
        paid.push(bank2.pay(&payment("vault", "bob@bank3", 10, "")).await.unwrap().id);
        let batch = says_live(BatchNumber(now.batch + 1), previous).sign(&chain, &bank4s);
        let item = EnvelopeId(batch.item_id(&chain)).to_string();
        let bundle = Bundle::sign_confirmation(&chain, next_slot(&bank3, REGISTRATION).await, batch, &registrations);
        match bank3.submit_bundle(bundle.unwrap().to_bytes()).await {
            Ok(_) => squatters.push(item),
            // The true one was there first.
            Err(ClientError::Refused(problem)) => assert!(problem.code.starts_with("slot_"), "{problem:?}"),
            Err(error) => panic!("{error}"),
        }
        reached(&bank2, paid.last().unwrap(), "settled", 30).await;
    }
    for id in &paid {
        reached(&bank2, id, "confirmed", 60).await;
    }
    level(&cluster).await;
    assert!(!squatters.is_empty(), "no squatter ever had a slot");
    for item in &squatters {
        match bank3.batch(item).await {
            Ok(status) => assert_eq!(status.verdict, "refused", "{status:?}"),
            // The slot went to the true batch.
            Err(ClientError::Refused(problem)) => assert_eq!(problem.status, 404),
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(cluster.settled_wealth(&BANKS, 30).await, wealth);
    // What the log holds are the true batches, each number once and chained to the one before.
    let registrations_key = cluster.trust().genesis().directory.central_bank_keys().registration;
    let now = bank3.registry().await.unwrap();
    let (mut number, mut hash) = (first.number.0 - 1, first.previous);
    for (_, batch) in true_batches(&mut cluster).await {
        if batch.signature_is_valid(&chain, &registrations_key)
            && (batch.batch.number.0, batch.batch.previous) == (number + 1, hash)
        {
            (number, hash) = (batch.batch.number.0, batch.batch.hash(&chain));
        }
    }
    assert_eq!((number, hash.to_string()), (now.batch, now.batch_hash));
}
