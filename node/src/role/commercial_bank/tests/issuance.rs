use super::world::*;
use crate::role::commercial_bank::job::{State, Work};
use crate::role::commercial_bank::requests::NewJob;
use ledger_types::confirmation::RecordStatus;
use ledger_types::envelope::RecoverReason;
use ledger_types::{CoinId, ParticipantNumber};

fn issue(bank: ParticipantNumber, amounts: &[u64]) -> NewJob {
    let work = Work::Issue { bank: bank.0, series: 1, amounts: amounts.to_vec() };
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

#[tokio::test]
async fn a_commercial_bank_cannot_issue_redeem_or_recover() {
    let world = World::with_desks().await;
    let desk = world.desk(BANK2);
    for work in [
        Work::Issue { bank: BANK2.0, series: 1, amounts: vec![5] },
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
