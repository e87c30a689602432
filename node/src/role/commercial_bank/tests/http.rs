//! The desk's endpoints, through the router.

use super::world::*;
use crate::http::desk::router;
use crate::http::lending;
use crate::role::commercial_bank::Desk;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use ledger_types::coin::Opening;
use ledger_types::encoding::{Octets, Text};
use ledger_types::ownership::{Challenge, OwnershipProof};
use ledger_types::{CoinId, Decode, Encode, Origin, ParticipantNumber};
use serde_json::{Value, json};
use std::sync::Arc;
use tower::ServiceExt;

fn desk(world: &World, bank: ParticipantNumber) -> Desk {
    // A world's desk has no task that could end.
    let (_, ended) = tokio::sync::watch::channel(None);
    Desk { inner: world.desk(bank), blocks: None, ended }
}

async fn send(world: &World, bank: ParticipantNumber, request: Request<Body>) -> (StatusCode, Value) {
    let routes = router(desk(world, bank)).merge(lending::router(desk(world, bank)));
    let response = routes.oneshot(request).await.unwrap();
    let status = response.status();
    let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
    (status, serde_json::from_slice(&body).unwrap())
}

pub(super) async fn post(world: &World, bank: ParticipantNumber, path: &str, body: impl ToString) -> (u16, Value) {
    let request =
        Request::post(path).header("content-type", "application/json").body(Body::from(body.to_string())).unwrap();
    let (status, value) = send(world, bank, request).await;
    (status.as_u16(), value)
}

async fn get(world: &World, bank: ParticipantNumber, path: &str) -> (u16, Value) {
    let (status, value) = send(world, bank, Request::get(path).body(Body::empty()).unwrap()).await;
    (status.as_u16(), value)
}

fn pay(to: &str, amount: u64) -> Value {
    json!({ "from": "vault", "to": to, "amount": amount })
}

/// Blocks and registration in the background, as on a living chain.
fn living(world: &Arc<World>) -> tokio::task::JoinHandle<()> {
    let world = world.clone();
    tokio::spawn(async move {
        loop {
            world.step().await;
        }
    })
}

#[tokio::test]
async fn a_payment_can_be_waited_for_and_its_wallets_show_it() {
    let world = World::with_desks().await;
    let chain = living(&world);
    assert_eq!(post(&world, BANK3, "/v1/wallets", json!({ "name": "bob" })).await.0, 201);
    let (status, payment) =
        post(&world, BANK2, "/v1/payments?wait=confirmed&timeout_ms=20000", pay("bob@bank3", 250)).await;
    assert_eq!((status, payment["state"].as_str()), (202, Some("confirmed")), "{payment}");
    assert_eq!(payment["to"], "bob@bank3");
    let id = payment["id"].as_str().unwrap();
    let (status, again) = get(&world, BANK2, &format!("/v1/payments/{id}")).await;
    assert_eq!((status, &again), (200, &payment));
    // The payee's bank reads the same height a moment before or after the payer's.
    until("the payee's bank has it too", || live(&world.desk(BANK3), "bob") == 250).await;
    let (_, wallet) = get(&world, BANK3, "/v1/wallets/bob").await;
    assert_eq!((wallet["live"].as_u64(), wallet["address"].as_str()), (Some(250), Some("bob@bank3")));
    let (_, coins) = get(&world, BANK3, "/v1/wallets/bob/coins").await;
    assert_eq!((coins[0]["coin"].clone(), coins[0]["status"].as_str()), (payment["coin"].clone(), Some("live")));
    let (_, vault) = get(&world, BANK2, "/v1/wallets/vault").await;
    assert_eq!(vault["coins"].as_u64(), Some(u64::from(PREISSUED_COUNT)), "untouched pre-issued coins are counted");
    let (status, issue) =
        post(&world, CENTRAL, "/v1/issues", json!({ "bank": 3, "series": 1, "amount": 10, "coins": 3 })).await;
    assert_eq!((status, issue["kind"].as_str()), (202, Some("issue")), "{issue}");
    let path = format!("/v1/operations/{}?wait=confirmed&timeout_ms=20000", issue["id"].as_str().unwrap());
    let (_, issue) = get(&world, CENTRAL, &path).await;
    assert_eq!((issue["state"].as_str(), issue["coins"].as_array().unwrap().len()), (Some("confirmed"), 3), "{issue}");
    chain.abort();
}

#[tokio::test]
async fn everything_malformed_gets_its_named_refusal_and_changes_nothing() {
    let world = World::with_desks().await;
    let before = owned(&world.desk(BANK2), "vault");
    let long = "m".repeat(81);
    let refusals = [
        ("/v1/payments", pay("bob", 1).to_string(), 400, "bad_address"),
        ("/v1/payments", pay("bob@bank9", 1).to_string(), 400, "bad_address"),
        ("/v1/payments", pay("b b@bank3", 1).to_string(), 400, "bad_address"),
        ("/v1/payments", pay("bob@bank3", 0).to_string(), 422, "amount_is_zero"),
        ("/v1/payments", pay("bob@bank3", 80_001).to_string(), 422, "insufficient_funds"),
        ("/v1/payments", pay("nobody@bank2", 1).to_string(), 404, "not_found"),
        ("/v1/payments", pay("vault@bank2", 1).to_string(), 422, "same_wallet"),
        ("/v1/payments", json!({ "from": "none", "to": "bob@bank3", "amount": 1 }).to_string(), 404, "not_found"),
        ("/v1/payments", json!({ "from": "a b", "to": "bob@bank3", "amount": 1 }).to_string(), 400, "bad_wallet_name"),
        (
            "/v1/payments",
            json!({ "from": "vault", "to": "bob@bank3", "amount": 1, "memo": long }).to_string(),
            422,
            "memo_too_long",
        ),
        (
            "/v1/payments",
            json!({ "from": "vault", "to": "bob@bank3", "amount": -1 }).to_string(),
            400,
            "malformed_json",
        ),
        ("/v1/payments", "{".into(), 400, "malformed_json"),
        ("/v1/payments", " ".repeat((64 << 10) + 1), 413, "body_too_large"),
        ("/v1/payments?wait=soon", pay("bob@bank3", 1).to_string(), 400, "bad_query"),
        ("/v1/payments?timeout_ms=25001", pay("bob@bank3", 1).to_string(), 400, "bad_query"),
        (
            "/v1/payments",
            json!({ "from": "vault", "to": "bob@bank3", "amount": 1, "idempotency_key": "" }).to_string(),
            400,
            "bad_idempotency_key",
        ),
        ("/v1/payments/batch", "[]".into(), 400, "bad_batch"),
        ("/v1/payments/batch", json!(vec![pay("bob@bank3", 1); 257]).to_string(), 400, "bad_batch"),
        ("/v1/wallets", json!({ "name": "" }).to_string(), 400, "bad_wallet_name"),
        ("/v1/wallets", json!({ "name": "x".repeat(33) }).to_string(), 400, "bad_wallet_name"),
        ("/v1/wallets", json!({ "name": "vault" }).to_string(), 409, "wallet_exists"),
        ("/v1/issues", json!({ "bank": 3, "series": 1, "amount": 5 }).to_string(), 403, "not_the_central_bank"),
        ("/v1/redemptions", json!({ "amount": 5 }).to_string(), 403, "not_the_central_bank"),
        (
            "/v1/recoveries",
            json!({ "coins": [], "reason": "dispute", "to": "bob@bank3" }).to_string(),
            403,
            "not_the_central_bank",
        ),
    ];
    for (path, body, status, code) in refusals {
        let answer = post(&world, BANK2, path, &body).await;
        assert_eq!((answer.0, answer.1["code"].as_str()), (status, Some(code)), "{path} {:.80}: {}", body, answer.1);
    }
    let at_the_central_bank = [
        ("/v1/issues", json!({ "bank": 3, "series": 1, "amount": 0 }), 422, "amount_is_zero"),
        ("/v1/issues", json!({ "bank": 3, "series": 1, "amount": 5, "coins": 9 }), 422, "bad_coin_count"),
        ("/v1/issues", json!({ "bank": 3, "series": 1, "amount": 2, "coins": 3 }), 422, "bad_coin_count"),
        ("/v1/issues", json!({ "bank": 3, "series": 7, "amount": 5 }), 422, "series_unknown"),
        ("/v1/issues", json!({ "bank": 9, "series": 1, "amount": 5 }), 422, "bank_unknown"),
        ("/v1/redemptions", json!({ "amount": 5 }), 422, "insufficient_funds"),
        ("/v1/recoveries", json!({ "coins": [], "reason": "dispute", "to": "vault@bank3" }), 400, "bad_coins"),
        (
            "/v1/recoveries",
            json!({ "coins": ["coin1x"], "reason": "dispute", "to": "vault@bank3" }),
            400,
            "not_a_coin_id",
        ),
        ("/v1/recoveries", json!({ "coins": ["coin1x"], "reason": "whim", "to": "vault@bank3" }), 400, "bad_reason"),
    ];
    for (path, body, status, code) in at_the_central_bank {
        let answer = post(&world, CENTRAL, path, &body).await;
        assert_eq!((answer.0, answer.1["code"].as_str()), (status, Some(code)), "{path} {body}: {}", answer.1);
    }
    for (path, status, code) in [
        ("/v1/payments/xyz", 400, "bad_id"),
        ("/v1/payments/00000000000000000000000000000000", 404, "not_found"),
        ("/v1/operations/00000000000000000000000000000000", 404, "not_found"),
        ("/v1/openings/coin1x", 400, "not_a_coin_id"),
        ("/v1/wallets/nobody", 404, "not_found"),
        ("/v1/wallets/nobody/coins", 404, "not_found"),
    ] {
        let answer = get(&world, BANK2, path).await;
        assert_eq!((answer.0, answer.1["code"].as_str()), (status, Some(code)), "{path}");
    }
    assert_eq!(owned(&world.desk(BANK2), "vault"), before);
    assert!(world.desk(BANK2).shared().jobs.is_empty() && world.desk(CENTRAL).shared().jobs.is_empty());
}

#[tokio::test]
async fn a_batch_answers_each_payment_in_its_place() {
    let world = World::with_desks().await;
    let chain = living(&world);
    world.desk(BANK3).create_wallet("bob").await.unwrap();
    let batch = json!([pay("bob@bank3", 11), pay("bob@bank3", 0), pay("bob@bank3", 13), pay("bob@bank3", 900_000)]);
    let (status, answers) = post(&world, BANK2, "/v1/payments/batch", batch).await;
    assert_eq!(status, 202);
    assert_eq!((answers[0]["amount"].as_u64(), answers[2]["amount"].as_u64()), (Some(11), Some(13)));
    assert_eq!(
        (answers[1]["code"].as_str(), answers[3]["code"].as_str()),
        (Some("amount_is_zero"), Some("insufficient_funds"))
    );
    for place in [0, 2] {
        let path = format!("/v1/payments/{}?wait=confirmed&timeout_ms=20000", answers[place]["id"].as_str().unwrap());
        assert_eq!(get(&world, BANK2, &path).await.1["state"], "confirmed");
    }
    // The payee's bank reads the same height a moment before or after the payer's.
    until("the payee's bank has both", || live(&world.desk(BANK3), "bob") == 24).await;
    chain.abort();
}

fn challenge(text: &str, not_after_ms: u64) -> Challenge {
    Challenge { text: Text::new(text).unwrap(), nonce: Octets::new(vec![7; 32]).unwrap(), not_after_ms }
}

fn ask(coin: &CoinId, challenge: &Challenge) -> Value {
    json!({ "coin": coin.to_string(), "challenge": hex::encode(challenge.to_bytes()) })
}

/// Two confirmed coins of bob's at bank 3.
async fn bobs_coins(world: &World) -> Vec<CoinId> {
    world.desk(BANK3).create_wallet("bob").await.unwrap();
    for amount in [100, 250] {
        let job = create(&world.desk(BANK2), payment("vault", BANK3, "bob", amount)).await.unwrap();
        world.finish(BANK2, &job.id).await;
    }
    until("bob has both", || live(&world.desk(BANK3), "bob") == 350).await;
    world.desk(BANK3).shared().book.wallets["bob"].coins.iter().copied().collect()
}

#[tokio::test]
async fn an_answer_to_a_challenge_is_the_owners_and_tells_nothing_of_their_other_coins_c6() {
    let world = World::with_desks().await;
    let coins = bobs_coins(&world).await;
    let desk = world.desk(BANK3);
    let asked = challenge("Is order 7 paid with your coin?", u64::MAX);
    let (status, answer) = post(&world, BANK3, "/v1/ownership", ask(&coins[0], &asked)).await;
    assert_eq!((status, &answer["coin"]), (200, &json!(coins[0].to_string())), "{answer}");
    let proof = OwnershipProof::from_bytes(&hex::decode(answer["ownership"].as_str().unwrap()).unwrap()).unwrap();
    assert_eq!(proof.challenge, asked);
    let registered = desk.shared().book.coins[&coins[0]].opening.owner_tag(desk.chain(), &coins[0]);
    assert!(proof.is_valid_for(desk.chain(), &registered, 1), "it opens the tag that registration computes");

    let text = answer.to_string();
    for coin in &coins {
        let (opening, tag) = {
            let shared = desk.shared();
            let opening = shared.book.coins[coin].opening.clone();
            (opening.clone(), opening.owner_tag(desk.chain(), coin))
        };
        let is_asked = *coin == coins[0];
        assert_eq!(text.contains(&coin.to_string()), is_asked);
        assert_eq!(text.contains(&opening.owner.to_string()), is_asked, "one key a coin");
        let of_others = [hex::encode(coin.0), tag.to_string(), hex::encode(opening.tag_blind(desk.chain()))];
        assert!(is_asked || of_others.iter().all(|secret| !text.contains(secret)), "{text}");
        // Not even of the coin itself: what it is worth is the opening's to tell.
        assert!(!text.contains(&hex::encode(opening.rho)) && !text.contains(&hex::encode(opening.to_bytes())));
        let note = opening.note(desk.chain());
        assert!(!text.contains(&hex::encode(note.0)));
    }
    let seed = desk.shared().book.wallets["bob"].seed.clone();
    assert!(!text.contains(&hex::encode(*seed)));
}

#[tokio::test]
async fn ownership_is_proved_of_coins_in_custody_alone_and_to_challenges_that_stand() {
    let world = World::with_desks().await;
    let coins = bobs_coins(&world).await;
    let (good, late) = (challenge("now", u64::MAX), challenge("then", 1));
    let long = [&300u16.to_le_bytes()[..], &[b'x'; 300], &[0, 0], &[0; 8]].concat();
    let coin = coins[0].to_string();
    for (bank, body, status, code) in [
        (BANK2, ask(&coins[0], &good), 404, "not_found"),
        (BANK3, ask(&CoinId([9; 32]), &good), 404, "not_found"),
        (BANK3, ask(&coins[0], &late), 422, "challenge_expired"),
        (BANK3, json!({ "coin": "coin1x", "challenge": "" }), 400, "not_a_coin_id"),
        (BANK3, json!({ "coin": coin, "challenge": "xyz" }), 400, "bad_challenge"),
        (BANK3, json!({ "coin": coin, "challenge": "00" }), 400, "bad_challenge"),
        (BANK3, json!({ "coin": coin, "challenge": hex::encode(long) }), 400, "bad_challenge"),
    ] {
        let answer = post(&world, bank, "/v1/ownership", &body).await;
        assert_eq!((answer.0, answer.1["code"].as_str()), (status, Some(code)), "{body}: {}", answer.1);
    }
    assert_eq!(get(&world, BANK2, &format!("/v1/openings/{coin}")).await.0, 404, "another bank does not have it");
}

#[tokio::test]
async fn the_opening_that_a_holder_shows_leads_to_the_coin_id() {
    let world = World::with_desks().await;
    let coins = bobs_coins(&world).await;
    let (status, shown) = get(&world, BANK3, &format!("/v1/openings/{}", coins[1])).await;
    assert_eq!(status, 200);
    let opening = Opening::from_bytes(&hex::decode(shown["opening"].as_str().unwrap()).unwrap()).unwrap();
    let origin = Origin::from_hex(shown["origin"].as_str().unwrap()).unwrap();
    let index = u8::try_from(shown["output_index"].as_u64().unwrap()).unwrap();
    let bank = ParticipantNumber(u16::try_from(shown["bank"].as_u64().unwrap()).unwrap());
    assert_eq!(opening.coin_id(world.desk(BANK3).chain(), &origin, index, bank), coins[1]);
    assert!(!shown.to_string().contains(&coins[0].to_string()));
}
