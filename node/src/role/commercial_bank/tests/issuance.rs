use super::world::*;
use crate::role::commercial_bank::job::{State, Work};
use crate::role::commercial_bank::requests::NewJob;
use ledger_types::confirmation::RecordStatus;
use ledger_types::envelope::RecoverReason;
use ledger_types::{CoinId, ParticipantNumber};

fn issue(bank: ParticipantNumber, amounts: &[u64]) -> NewJob {
    let work = Work::Issue { bank: bank.0, series: 1, amounts: amounts.to_vec(), contract: 0 };
    NewJob { wallet: String::new(), work, key: None }
}

#[tokio::test]
async fn issued_money_arrives_in_the_vault_and_redeemed_money_leaves_circulation() {
    let world = World::with_desks().await;
    let (central, bank) = (world.desk(CENTRAL), world.desk(BANK3));
    let issued_before = world.issued().0;
    let job = create(&central, issue(BANK3, &[600, 400])).await.unwrap();
    let job = world.finish(CENTRAL, &job.id).await;
    assert_eq!((job.state, job.coins.len()), (State::Confirmed, 2));
    assert_eq!(live(&bank, "vault"), 1_000);
    assert_eq!(world.issued().0, issued_before + 1_000);

    let back = create(&bank, payment("vault", CENTRAL, "vault", 700)).await.unwrap();
    assert_eq!(world.finish(BANK3, &back.id).await.state, State::Confirmed);
    let redeem = |amount| NewJob { wallet: "vault".into(), work: Work::Redeem { amount }, key: None };
    let part = create(&central, redeem(500)).await.unwrap();
    assert_eq!(world.finish(CENTRAL, &part.id).await.state, State::Confirmed);
    let rest = create(&central, redeem(200)).await.unwrap();
    assert_eq!(world.finish(CENTRAL, &rest.id).await.state, State::Confirmed);
    assert_eq!(world.issued().1, 700);
    assert_eq!((live(&bank, "vault"), owned(&central, "vault")), (300, 0));
}

#[tokio::test]
async fn issues_asked_for_at_once_get_dense_numbers() {
    let world = World::with_desks().await;
    let central = world.desk(CENTRAL);
    let mut jobs = Vec::new();
    for amount in 1..=4 {
        let bank = if amount % 2 == 0 { BANK3 } else { BANK4 };
        jobs.push(create(&central, issue(bank, &[amount])).await.unwrap().id);
    }
    for id in &jobs {
        assert_eq!(world.finish(CENTRAL, id).await.state, State::Confirmed);
    }
    assert_eq!(live(&world.desk(BANK3), "vault"), 2 + 4);
    assert_eq!(live(&world.desk(BANK4), "vault"), 1 + 3);
}

/// One bank that is away held up every issue: its job kept the turn while it waited for an answer, without an end.
#[tokio::test]
async fn a_bank_that_is_away_holds_up_its_own_issue_and_no_other() {
    let world = World::with_desks().await;
    let central = world.desk(CENTRAL);
    world.cut_off(BANK3);
    let waits = create(&central, issue(BANK3, &[30])).await.unwrap();
    until("it says why it waits", || central.job(&waits.id).unwrap().reason.is_some()).await;
    let other = create(&central, issue(BANK4, &[40])).await.unwrap();
    assert_eq!(world.finish(CENTRAL, &other.id).await.state, State::Confirmed);
    assert_eq!((live(&world.desk(BANK4), "vault"), state(&central, &waits.id)), (40, State::Pending));
    world.reconnect(BANK3);
    assert_eq!(world.finish(CENTRAL, &waits.id).await.state, State::Confirmed);
    assert_eq!(live(&world.desk(BANK3), "vault"), 30);
}

fn recovery(coins: &[CoinId], bank: ParticipantNumber, to: &str, amount: u64) -> NewJob {
    let mut coins: Vec<[u8; 32]> = coins.iter().map(|coin| coin.0).collect();
    coins.sort_unstable();
    let work = Work::Recover { coins, reason: RecoverReason::Dispute.number(), bank: bank.0, to: to.into(), amount };
    NewJob { wallet: String::new(), work, key: None }
}

fn asked(coins: &[CoinId], amount: Option<u64>) -> serde_json::Value {
    let coins: Vec<String> = coins.iter().map(CoinId::to_string).collect();
    let mut body = serde_json::json!({ "coins": coins, "reason": "dispute", "to": "alice@bank4" });
    if let Some(amount) = amount {
        body["amount"] = amount.into();
    }
    body
}

/// Nobody books the coins of a payment that is not good, so nobody could say what to give back.
#[tokio::test]
async fn a_disputed_payments_coins_are_given_back_with_the_openings_that_its_payees_bank_kept() {
    let world = World::with_desks().await;
    let (central, payee, helper) = (world.desk(CENTRAL), world.desk(BANK3), world.desk(BANK4));
    payee.create_wallet("bob").await.unwrap();
    helper.create_wallet("alice").await.unwrap();
    let minted = super::payments::mint(&world).await;
    world.block().await;
    world.register().await;
    let before = (owned(&payee, "bob"), payee.shared().book.coins.len());
    assert_eq!(before, (0, 0), "what is kept for a recovery is no balance and no coin to spend");
    // The bank that cheated is no help, and the honest one remembers over a restart.
    world.cut_off(BANK2);
    drop(payee);
    world.kill(BANK3).await;
    world.open(BANK3, settings(), None).await;
    let inputs = central.find_openings(&minted).await.unwrap();
    let mut amounts: Vec<u64> = inputs.iter().map(|input| input.opening.amount.0).collect();
    amounts.sort_unstable();
    assert_eq!(amounts, [100, 1_000_000]);
    let more = asked(&minted, Some(1_000_101));
    let (status, refusal) = super::http::post(&world, CENTRAL, "/v1/recoveries", more).await;
    assert_eq!((status, refusal["code"].as_str()), (422, Some("amount_too_large")), "{refusal}");
    let job = create(&central, recovery(&minted, BANK4, "alice", PREISSUED_AMOUNT)).await.unwrap();
    let job = world.finish(CENTRAL, &job.id).await;
    assert_eq!(job.state, State::Confirmed, "{job:?}");
    assert_eq!(live(&helper, "alice"), u128::from(PREISSUED_AMOUNT), "what the payment had spent");
    assert!(world.desk(BANK3).shared().kept.is_empty(), "they are spent");
    assert_eq!(central.find_openings(&minted).await.err(), Some(minted[0]));
}

/// P-4
#[tokio::test]
async fn a_disputed_coin_that_nobody_could_open_is_given_back_without_its_opening() {
    let world = World::with_desks().await;
    let (central, payer, payee, helper) =
        (world.desk(CENTRAL), world.desk(BANK2), world.desk(BANK3), world.desk(BANK4));
    payee.create_wallet("bob").await.unwrap();
    helper.create_wallet("alice").await.unwrap();
    let job = create(&payer, payment("vault", BANK3, "bob", 40)).await.unwrap();
    world.until_submitted(1).await;
    let attempt = payer.job(&job.id).unwrap().attempt.unwrap();
    let mut noise: ledger_types::envelope::Envelope = ledger_types::Decode::from_bytes(&attempt.bytes).unwrap();
    noise.ciphertext.iter_mut().for_each(|byte| *byte ^= 0x5a);
    world.lose_lanes();
    world.submit(BANK2, noise.clone());
    world.block().await;
    let coins = outputs_of(central.chain(), &noise);
    assert!(central.find_openings(&coins).await.is_err(), "it is not disputed yet");
    world.give_up(noise.id(central.chain())).await;
    let inputs = central.find_openings(&coins).await.unwrap();
    assert!(inputs.iter().all(|input| input.is_unopened()));
    let (status, refusal) = super::http::post(&world, CENTRAL, "/v1/recoveries", asked(&coins, None)).await;
    assert_eq!((status, refusal["code"].as_str()), (422, Some("amount_needed")), "{refusal}");
    let (status, job) =
        super::http::post(&world, CENTRAL, "/v1/recoveries", asked(&coins, Some(PREISSUED_AMOUNT))).await;
    assert_eq!(status, 202, "{job}");
    let mut id = [0; 16];
    hex::decode_to_slice(job["id"].as_str().unwrap(), &mut id).unwrap();
    let job = world.finish(CENTRAL, &id).await;
    assert_eq!(job.state, State::Confirmed, "{job:?}");
    assert_eq!(live(&helper, "alice"), u128::from(PREISSUED_AMOUNT));
}

/// The answer got lost, and the coins are spent by the time that it is asked for again: it was refused as naming
/// unknown coins.
#[tokio::test]
async fn a_recovery_that_is_asked_for_again_with_its_key_gets_its_first_answer() {
    let world = World::with_desks().await;
    world.desk(BANK3).create_wallet("bob").await.unwrap();
    world.desk(BANK4).create_wallet("alice").await.unwrap();
    let minted = super::payments::mint(&world).await;
    world.block().await;
    world.register().await;
    let with_key = |amount| {
        let mut body = asked(&minted, amount);
        body["idempotency_key"] = "a recovery".into();
        body
    };
    let post = async |body| super::http::post(&world, CENTRAL, "/v1/recoveries", body).await;
    let (status, first) = post(with_key(Some(PREISSUED_AMOUNT))).await;
    assert_eq!(status, 202, "{first}");
    let mut id = [0; 16];
    hex::decode_to_slice(first["id"].as_str().unwrap(), &mut id).unwrap();
    assert_eq!(world.finish(CENTRAL, &id).await.state, State::Confirmed);
    for again in [Some(PREISSUED_AMOUNT), None] {
        let (status, answer) = post(with_key(again)).await;
        assert_eq!(
            (status, &answer["id"], answer["state"].as_str()),
            (202, &first["id"], Some("confirmed")),
            "{answer}"
        );
    }
    let (status, refusal) = post(with_key(Some(1))).await;
    assert_eq!((status, refusal["code"].as_str()), (409, Some("idempotency_key_reused")), "{refusal}");
    let (status, refusal) = post(asked(&minted, None)).await;
    assert_eq!((status, refusal["code"].as_str()), (422, Some("coin_unknown")), "{refusal}");
    assert_eq!(live(&world.desk(BANK4), "alice"), u128::from(PREISSUED_AMOUNT), "once");
}

/// No output says that registration gave it up: its coins are spent either way, and it was shown as confirmed.
#[tokio::test]
async fn r1_a_redemption_without_change_whose_key_never_came_is_shown_as_disputed() {
    let world = World::with_desks().await;
    let central = world.desk(CENTRAL);
    let redeemed_before = world.issued().1;
    let issued = create(&central, issue(CENTRAL, &[500])).await.unwrap();
    assert_eq!(world.finish(CENTRAL, &issued.id).await.state, State::Confirmed);
    let redeem = NewJob { wallet: "vault".into(), work: Work::Redeem { amount: 500 }, key: None };
    let job = create(&central, redeem).await.unwrap();
    world.until_submitted(1).await;
    world.block().await;
    let envelope = central.job(&job.id).unwrap().envelope.unwrap();
    world.give_up(ledger_types::EnvelopeId(envelope)).await;
    let job = world.finish(CENTRAL, &job.id).await;
    assert_eq!((job.state, world.issued().1), (State::Disputed, redeemed_before), "{job:?}");
    assert!(job.reason.unwrap().contains("not settled"));
}

#[tokio::test]
async fn a_commercial_bank_cannot_issue_redeem_or_recover() {
    let world = World::with_desks().await;
    let desk = world.desk(BANK2);
    for work in [
        Work::Issue { bank: BANK2.0, series: 1, amounts: vec![5], contract: 0 },
        Work::Redeem { amount: 5 },
        Work::Recover { coins: vec![[1; 32]], reason: 1, bank: BANK2.0, to: "vault".into(), amount: 5 },
    ] {
        let job = create(&desk, NewJob { wallet: "vault".into(), work, key: None }).await.unwrap();
        assert_eq!(world.finish(BANK2, &job.id).await.state, State::Refused);
    }
    assert!(world.accepted().is_empty());
}

#[tokio::test]
async fn officers_give_a_customers_coins_to_another_bank_when_its_own_has_failed() {
    let world = World::with_desks().await;
    let (central, old, new) = (world.desk(CENTRAL), world.desk(BANK3), world.desk(BANK4));
    new.create_wallet("bob").await.unwrap();
    let job = create(&central, issue(BANK3, &[600, 400])).await.unwrap();
    let mut coins = world.finish(CENTRAL, &job.id).await.coins;
    coins.sort_unstable();
    let reason = RecoverReason::FailedBank.number();
    let work = Work::Recover { coins: coins.clone(), reason, bank: BANK4.0, to: "bob".into(), amount: 1_000 };
    let job = create(&central, NewJob { wallet: String::new(), work, key: None }).await.unwrap();
    let job = world.finish(CENTRAL, &job.id).await;
    assert_eq!(job.state, State::Confirmed, "{job:?}");
    assert_eq!((owned(&old, "vault"), live(&new, "bob")), (0, 1_000));
    assert_eq!(world.record(&CoinId(coins[0])).unwrap().status, RecordStatus::Spent);
    // The key behind it is the wallet's own: the coin can be spent.
    let spend = create(&new, payment("bob", BANK3, "vault", 1_000)).await.unwrap();
    assert_eq!(world.finish(BANK4, &spend.id).await.state, State::Confirmed);
}

#[tokio::test]
async fn a_coin_of_the_genesis_that_officers_recover_before_its_turn_is_no_longer_counted_and_its_turn_never_comes() {
    let world = World::with_desks().await;
    let recovered = ledger_state::preissued_coins(&world.rules).nth(2).unwrap().id;
    assert!(!world.desk(BANK2).shared().book.coins.contains_key(&recovered), "it was never taken");
    let rest = u128::from(PREISSUED_AMOUNT) * u128::from(PREISSUED_COUNT - 1);
    world.desk(BANK4).create_wallet("alice").await.unwrap();
    let job = create(&world.desk(CENTRAL), recovery(&[recovered], BANK4, "alice", PREISSUED_AMOUNT)).await.unwrap();
    let job = world.finish(CENTRAL, &job.id).await;
    assert_eq!(job.state, State::Confirmed, "{job:?}");
    assert_eq!(live(&world.desk(BANK4), "alice"), u128::from(PREISSUED_AMOUNT));
    let figures = |desk: &crate::role::commercial_bank::desk::Inner| (owned(desk, "vault"), live(desk, "vault"));
    assert_eq!(figures(&world.desk(BANK2)), (rest, rest));
    world.kill(BANK2).await;
    world.open(BANK2, settings(), None).await;
    let desk = world.desk(BANK2);
    assert_eq!(figures(&desk), (rest, rest));
    // All turns come, and what is there can be spent.
    desk.create_wallet("bob").await.unwrap();
    let job = create(&desk, payment("vault", BANK2, "bob", u64::try_from(rest).unwrap())).await.unwrap();
    assert_eq!(world.finish(BANK2, &job.id).await.state, State::Confirmed);
}
