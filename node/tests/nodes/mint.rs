//! Banks that seal more value than they spend (rules P): alone against an honest payee's bank, and two together.

use crate::cheat::{Cheat, Made, Payee};
use crate::cluster::*;
use ledger_state::PaymentRule;
use ledger_types::CoinId;
use ledger_types::confirmation::{Record, RecordStatus};
use ledger_types::rejection::Rejection;
use ledger_verify::{Answer, Verdict};
use node::link::SuccessState;
use node_api::{desk, ledger};

const COUNTERFEIT: u64 = 77 * COIN_AMOUNT;

/// As the observer's newest checkpoint proves it.
async fn record(cluster: &Cluster, coin: &CoinId) -> Option<Record> {
    let verified = cluster.verified_coin("observer", &coin.to_string()).await?;
    match verified.answer() {
        Answer::Present(record) => Some(record),
        Answer::Absent => None,
    }
}

/// Until the checkpointed proof says disputed, for this check; before that it says nothing, and never anything else.
async fn disputed(cluster: &Cluster, made: &Made, rule: PaymentRule, mut meanwhile: impl AsyncFnMut()) {
    wait_until(60, "the minted coin is proved disputed", async || {
        meanwhile().await;
        let Some(record) = record(cluster, &made.coin).await else { return false };
        assert_eq!((record.status, record.failed_check), (RecordStatus::Disputed, rule.number()), "{record:?}");
        true
    })
    .await;
}

async fn supply(cluster: &Cluster) -> (String, String, String) {
    let supply: ledger::Supply = cluster.client("observer").get("/v1/supply").await.unwrap();
    (supply.issued, supply.redeemed, supply.outstanding)
}

async fn holdings(cluster: &Cluster, bank: &str, wallet: &str) -> (u64, u64, u64) {
    let wallet: desk::Wallet = cluster.client(bank).get(&format!("/v1/wallets/{wallet}")).await.unwrap();
    (wallet.live, wallet.unconfirmed, wallet.frozen_or_disputed)
}

fn is_refused(cluster: &Cluster, status: &ledger::EnvelopeStatus, rejection: Rejection) {
    assert_eq!(status.rejection.as_ref().map(|why| why.number), Some(rejection.number()), "{status:?}");
    assert!(!matches!(verify_status(cluster.trust(), status), Verdict::Verified(_)), "a refusal that verifies");
}

/// Validators see no amounts, so the ledger takes the envelope; everybody who can open it says no.
#[tokio::test]
async fn a_bank_that_seals_more_than_it_spends_gets_no_success_at_an_honest_payees_bank_and_is_disputed() {
    let mut cluster = Cluster::init(111, 10);
    let elsewhere = cluster.answer_for_the_desk_of("bank2");
    cluster.start_all();
    cluster.ready().await;
    let cheat = Cheat::in_place_of(&cluster, "bank2", &elsewhere).await;
    wallet(&cluster.client("bank3"), "bob").await;
    let bob = Payee::Customer { bank: 3, wallet: "bob" };

    // What adds up is good, so the forgery has no flaw but its value.
    let honest = cheat.pay(&cheat.coin(0), &bob, COIN_AMOUNT).await;
    assert_eq!(cheat.submit(&honest).await.verdict, "accepted");
    assert_eq!(cheat.success_at(3, &honest, 20_000).await, SuccessState::Good);
    cheat.release(&honest);
    wait_until(30, "the honest coin is proved live", async || {
        record(&cluster, &honest.coin).await.is_some_and(|record| record.status == RecordStatus::Live)
    })
    .await;
    wait_until(30, "bob has it", async || holdings(&cluster, "bank3", "bob").await == (COIN_AMOUNT, 0, 0)).await;
    let before = supply(&cluster).await;

    // It releases the key as any bank does, or leaves that to the payee's bank.
    for (index, releases) in [(1, true), (2, false)] {
        let minted = cheat.pay(&cheat.coin(index), &bob, COUNTERFEIT).await;
        let status = cheat.submit(&minted).await;
        assert!(verify_status(cluster.trust(), &status).is_verified(), "{status:?}");
        if releases {
            cheat.release(&minted);
        }
        let value = PaymentRule::ValueNotConserved;
        assert_eq!(cheat.success_at(3, &minted, 20_000).await, SuccessState::NotGood(value.number()));
        let bob_has_what_he_had = async || {
            assert_eq!(holdings(&cluster, "bank3", "bob").await, (COIN_AMOUNT, 0, 0));
            let coins: Vec<desk::WalletCoin> = cluster.client("bank3").get("/v1/wallets/bob/coins").await.unwrap();
            assert!(coins.iter().all(|coin| coin.coin == honest.coin.to_string()), "{coins:?}");
        };
        disputed(&cluster, &minted, value, bob_has_what_he_had).await;
        bob_has_what_he_had().await;
        assert_eq!(cheat.success_at(3, &minted, 0).await, SuccessState::NotGood(value.number()));
    }
    assert_eq!(supply(&cluster).await, before);
    // Bob's honest coin is none the worse for it.
    let paid = cluster.client("bank3").pay(&payment("bob", "vault@bank4", COIN_AMOUNT, "")).await.unwrap();
    reached(&cluster.client("bank3"), &paid.id, "confirmed", 30).await;
}

/// The accomplice spends the counterfeit on, to an honest bank that accepts what it cannot see through.
async fn cannot_be_spent_on(cluster: &Cluster, accomplice: &Cheat, minted: &Made) {
    let carol = Payee::Customer { bank: 4, wallet: "carol" };
    let onward = accomplice.pay(minted.held.as_ref().unwrap(), &carol, COUNTERFEIT).await;
    is_refused(cluster, &accomplice.submit(&onward).await, Rejection::CoinIsNotLive);
    assert_eq!(accomplice.success_at(4, &onward, 0).await, SuccessState::NotYet);
    assert_eq!(holdings(cluster, "bank4", "carol").await, (0, 0, 0));
}

#[tokio::test]
async fn two_colluding_banks_that_mint_are_never_confirmed_and_never_spend_on() {
    const DEADLINE_MS: u64 = 6_000;
    let mut cluster = Cluster::init_with_deadline(112, 400, DEADLINE_MS);
    let elsewhere = ["bank2", "bank3"].map(|name| cluster.answer_for_the_desk_of(name));
    cluster.start_all();
    cluster.ready().await;
    let payer = Cheat::in_place_of(&cluster, "bank2", &elsewhere[0]).await;
    let payee = Cheat::in_place_of(&cluster, "bank3", &elsewhere[1]).await;
    let bank4 = cluster.client("bank4");
    for name in ["carol", "dave"] {
        wallet(&bank4, name).await;
    }
    // Together they can pay honestly, so it is no flaw of theirs that stops the rest.
    let honest = payer.pay(&payer.coin(0), &Payee::Accomplice(&payee), COIN_AMOUNT).await;
    assert_eq!(payer.submit(&honest).await.verdict, "accepted");
    payer.release(&honest);
    wait_until(30, "the honest coin is proved live", async || {
        record(&cluster, &honest.coin).await.is_some_and(|record| record.status == RecordStatus::Live)
    })
    .await;
    let before = supply(&cluster).await;

    // Both release the key. Nobody has opened the coin when it is first spent on.
    let minted = payer.pay(&payer.coin(1), &Payee::Accomplice(&payee), COUNTERFEIT).await;
    assert_eq!(payer.submit(&minted).await.verdict, "accepted");
    cannot_be_spent_on(&cluster, &payee, &minted).await;
    payer.release(&minted);
    payee.release(&minted);
    disputed(&cluster, &minted, PaymentRule::ValueNotConserved, async || ()).await;
    cannot_be_spent_on(&cluster, &payee, &minted).await;
    assert_eq!(supply(&cluster).await, before);

    // Neither does. Honest payments go on; their heights are what the deadlines are counted in.
    let hidden = payer.pay(&payer.coin(2), &Payee::Accomplice(&payee), COUNTERFEIT).await;
    assert_eq!(payer.submit(&hidden).await.verdict, "accepted");
    let pay_honestly = async || {
        let paid = bank4.pay(&payment("vault", "dave@bank4", 10, "")).await.unwrap();
        reached(&bank4, &paid.id, "ordered", 30).await;
    };
    wait_until(60, "the envelope is overdue", async || {
        assert_eq!(record(&cluster, &hidden.coin).await, None);
        pay_honestly().await;
        let registry = bank4.registry().await.unwrap();
        registry.overdue.iter().any(|overdue| (overdue.submitter, &overdue.envelope_id) == (2, &hidden.id.to_string()))
    })
    .await;
    // nothing of the payer's goes until the key is there or given up; what it made is no more live than before.
    let honest = payer.pay(&payer.coin(3), &Payee::Accomplice(&payee), COIN_AMOUNT).await;
    is_refused(&cluster, &payer.submit(&honest).await, Rejection::SubmitterIsOverdue);
    cannot_be_spent_on(&cluster, &payee, &hidden).await;
    let never = PaymentRule::KeyNeverReleased;
    disputed(&cluster, &hidden, never, pay_honestly).await;
    cannot_be_spent_on(&cluster, &payee, &hidden).await;

    // A key that comes too late opens nothing: the record is as it was when a later payment is confirmed.
    payer.release(&hidden);
    payee.release(&hidden);
    let later = payer.pay(&payer.coin(4), &Payee::Accomplice(&payee), COIN_AMOUNT).await;
    assert_eq!(payer.submit(&later).await.verdict, "accepted", "no longer overdue");
    payer.release(&later);
    wait_until(30, "a payment behind the late key is proved live", async || {
        record(&cluster, &later.coin).await.is_some_and(|record| record.status == RecordStatus::Live)
    })
    .await;
    for (minted, rule) in [(&minted, PaymentRule::ValueNotConserved), (&hidden, never)] {
        disputed(&cluster, minted, rule, async || ()).await;
        cannot_be_spent_on(&cluster, &payee, minted).await;
    }
    assert_eq!(supply(&cluster).await, before);
    assert!(bank4.registry().await.unwrap().overdue.is_empty());
}
