//! Loans of inert money, as desks make them and pay them back (K-2, K-4, K-5).

use super::http;
use super::world::*;
use crate::role::commercial_bank::book::is_inert;
use crate::role::commercial_bank::desk::Inner;
use crate::role::commercial_bank::job::{Job, JobId, State, Work};
use crate::role::commercial_bank::journal::Unit;
use crate::role::commercial_bank::lending::{Claim, DisputedRow, LoanRow};
use crate::role::commercial_bank::requests::{NewJob, NotCreated};
use crate::role::commercial_bank::rows::Table;
use contracts_vm::Package;
use ledger_types::contract::{ContractOrder, Deployment};
use ledger_types::rejection::Rejection;
use ledger_types::*;
use serde_json::json;
use std::sync::Arc;

const LENT: u64 = 400;

const POLICY: &str = r#"policy "lending" version 1
currency CNY

effective when
    time from 2020-01-01 until 2099-01-01
    sector in ISIC { A, C10..C12 }

idle after 60 days

return rate
    otherwise 1.00 %
    clamp 0.00 % .. 4.00 %, step 1 bp
"#;

fn of_nobody(work: Work) -> NewJob {
    NewJob { wallet: String::new(), work, key: None }
}

async fn confirmed(world: &Held, bank: ParticipantNumber, job: NewJob) -> Job {
    let job = create(&world.desk(bank), job).await.unwrap();
    let job = world.finish(bank, &job.id).await;
    assert_eq!(job.state, State::Confirmed, "{job:?}");
    job
}

fn deployment() -> NewJob {
    let package = Package::of(POLICY).unwrap().to_bytes();
    let order = ContractOrder::Deploy(Deployment {
        contract: ContractNumber(1),
        version: PolicyVersion(1),
        notice: 2,
        report: [0; 32],
        package: Octets::new(package).unwrap(),
    });
    of_nobody(Work::OrderContract { order: order.to_bytes() })
}

fn issue(amounts: &[u64]) -> NewJob {
    of_nobody(Work::Issue { bank: BANK2.0, series: 1, amounts: amounts.to_vec(), contract: 1 })
}

/// To bank 3's vault.
fn loan(desk: &Inner, sector: u32) -> NewJob {
    loan_of(desk, sector, LENT)
}

fn loan_of(desk: &Inner, sector: u32, amount: u64) -> NewJob {
    let wallet = desk.inert_wallet_for(ContractNumber(1), amount).unwrap();
    let (bank, to) = (BANK3.0, "vault".to_owned());
    let work = Work::Lend { contract: 1, sector, rate: 39_500, term_days: 365, bank, to, amount };
    NewJob { wallet, work, key: None }
}

fn pay_back(row: &LoanRow, claim: &Claim, amount: u64) -> NewJob {
    assert_eq!(row.returned, None);
    let obligation = claim.obligation.0;
    let work = Work::PayBack { bank: CENTRAL.0, obligation, claim: claim.to_bytes(), amount };
    NewJob { wallet: "vault".into(), work, key: None }
}

fn only_loan(desk: &Inner) -> (ObligationId, LoanRow) {
    let mut loans = desk.loans().unwrap();
    assert_eq!(loans.len(), 1);
    loans.pop().unwrap()
}

/// With 1,000 under contract 1 at bank 2, in two coins.
async fn with_inert_money() -> Held {
    let world = World::with_desks().await;
    confirmed(&world, CENTRAL, deployment()).await;
    world.block().await;
    world.block().await;
    confirmed(&world, CENTRAL, issue(&[600, 400])).await;
    world
}

fn inert_of(desk: &Arc<Inner>) -> u64 {
    let shared = desk.shared();
    shared.book.coins.values().filter(|coin| is_inert(&coin.wallet)).map(|coin| coin.amount()).sum()
}

#[tokio::test]
async fn inert_money_lies_apart_from_the_vaults_and_still_does_after_a_restart() {
    let world = with_inert_money().await;
    let desk = world.desk(BANK2);
    let vault = owned(&desk, "vault");
    assert_eq!((inert_of(&desk), vault), (1_000, u128::from(PREISSUED_AMOUNT) * u128::from(PREISSUED_COUNT)));
    let all = u64::try_from(vault).unwrap();
    let more = create(&desk, payment("vault", BANK3, "vault", all + 1)).await;
    assert!(matches!(more, Err(NotCreated::InsufficientFunds { .. })));
    drop(desk);

    world.kill(BANK2).await;
    world.open(BANK2, settings(), None).await;
    let desk = world.desk(BANK2);
    assert_eq!((inert_of(&desk), owned(&desk, "vault")), (1_000, vault));
    let lent = confirmed(&world, BANK2, loan(&desk, 0x4100)).await;
    assert_eq!((lent.state, inert_of(&desk)), (State::Confirmed, 600), "a coin of the very amount is lent whole");
}

/// No kind of envelope lets a bank put inert coins together (K-4): the refusal says which loans it can make instead, and it can.
#[tokio::test]
async fn a_loan_of_more_than_eight_coins_is_refused_with_the_loans_that_make_it_up_and_those_are_permitted() {
    let world = with_inert_money().await;
    confirmed(&world, CENTRAL, issue(&[30, 10, 20, 40, 50, 60, 70, 80])).await;
    confirmed(&world, CENTRAL, issue(&[5, 4, 3])).await;
    let ask = |amount| {
        let to = "vault@bank3";
        let loan =
            json!({ "contract": 1, "sector": "A01", "rate": 39_500, "term_days": 365, "to": to, "amount": amount });
        http::post(&world, BANK2, "/v1/loans", loan)
    };
    let (status, refusal) = ask(1_370).await;
    assert_eq!((status, refusal["code"].as_str()), (422, Some("too_many_inert_coins")), "{refusal}");
    let detail = refusal["detail"].as_str().unwrap();
    assert!(
        detail.contains("worth 1330 minor units: lend it as 2 loans, one after the other, of 1330, 40 minor units"),
        "{detail}"
    );
    assert_eq!(ask(1_373).await.1["code"], "insufficient_funds");

    let desk = world.desk(BANK2);
    for part in [1_330, 40] {
        let lent = confirmed(&world, BANK2, loan_of(&desk, 0x4100, part)).await;
        assert_eq!(lent.state, State::Confirmed);
    }
    assert_eq!((inert_of(&desk), desk.loans().unwrap().len()), (2, 2));
    let NewJob { wallet, .. } = loan_of(&desk, 0x4100, 2);
    assert_eq!(desk.shared().book.in_parts(&wallet, 2), [2], "change is one coin");
}

#[tokio::test]
async fn a_denied_loan_ends_at_once_and_leaves_the_money_free() {
    let world = with_inert_money().await;
    let desk = world.desk(BANK2);
    let denied = create(&desk, loan(&desk, 0x4b40)).await.unwrap();
    let denied = world.finish(BANK2, &denied.id).await;
    assert_eq!((denied.state, denied.rejection), (State::Refused, Rejection::DeniedSector.number()));
    confirmed(&world, BANK2, loan(&desk, 0x4100)).await;
}

#[tokio::test]
async fn a_loan_that_is_paid_back_is_returned_by_the_central_bank_when_the_money_arrives() {
    let world = with_inert_money().await;
    let desk = world.desk(BANK2);
    confirmed(&world, BANK2, loan(&desk, 0x4100)).await;
    let (id, row) = only_loan(&desk);
    let claim = Claim::from_bytes(&row.claim).unwrap();
    assert_eq!((claim.obligation, claim.amount), (id, Amount(LENT)));
    confirmed(&world, BANK2, pay_back(&row, &claim, LENT)).await;
    while only_loan(&desk).1.returned.is_none() {
        world.step().await;
    }
    let returned = only_loan(&desk).1.returned.unwrap();
    assert_eq!((returned.rate, returned.amount), (10_000, LENT));
}

fn started_by(paid: &Job) -> JobId {
    *paid.envelope.unwrap().first_chunk().unwrap()
}

/// Validators see no principal: a bank that says that it lent less would keep the rest. What it paid goes back.
#[tokio::test]
async fn a_claim_that_does_not_open_what_was_lent_returns_nothing_and_the_money_goes_back() {
    let world = with_inert_money().await;
    let (desk, central) = (world.desk(BANK2), world.desk(CENTRAL));
    confirmed(&world, BANK2, loan(&desk, 0x4100)).await;
    let (_, row) = only_loan(&desk);
    let claim = Claim::from_bytes(&row.claim).unwrap();
    let less = Claim { amount: Amount(1), ..claim.clone() };
    let mut lies = vec![(BANK2, pay_back(&row, &less, 1), "does not open what was lent")];
    lies.push((BANK2, pay_back(&row, &claim, LENT - 1), "are owed"));
    let before = owned(&desk, "vault");
    for (bank, lie, why) in lies {
        let paid = confirmed(&world, bank, lie).await;
        let back = world.finish(CENTRAL, &started_by(&paid)).await;
        assert_eq!(back.state, State::Confirmed, "{back:?}");
        assert!(back.trace.iter().any(|row| row.note.contains(why)), "{back:?}");
    }
    while owned(&desk, "vault") != before {
        world.step().await;
    }
    assert_eq!(only_loan(&desk).1.given_back, 2);
    // Nor does another bank's money return it.
    let other = confirmed(&world, BANK3, pay_back(&row, &claim, LENT)).await;
    let back = world.finish(CENTRAL, &started_by(&other)).await;
    assert!(back.trace.iter().any(|row| row.note.contains("another bank owes")), "{back:?}");
    assert_eq!(only_loan(&desk).1.returned, None);
    assert!(central.ports.obligation(&claim.obligation).unwrap().is_some());
}

/// The rate fell, or nothing was owed any more for a day: what is over is the bank's.
#[tokio::test]
async fn what_a_bank_pays_over_for_a_loan_goes_back_to_its_vault_when_the_loan_is_returned() {
    let world = with_inert_money().await;
    let desk = world.desk(BANK2);
    confirmed(&world, BANK2, loan(&desk, 0x4100)).await;
    let (_, row) = only_loan(&desk);
    let claim = Claim::from_bytes(&row.claim).unwrap();
    let before = owned(&desk, "vault");
    confirmed(&world, BANK2, pay_back(&row, &claim, LENT + 7)).await;
    while only_loan(&desk).1.returned.is_none() || owned(&desk, "vault") != before - u128::from(LENT) {
        world.step().await;
    }
    assert_eq!(only_loan(&desk).1.returned.unwrap().amount, LENT);
    assert_eq!(only_loan(&desk).1.given_back, 0);
}

/// Each reads the row to change it, and the database has it as it was before the height.
#[tokio::test]
async fn what_one_height_says_of_a_loan_several_times_is_all_kept() {
    let world = with_inert_money().await;
    let desk = world.desk(BANK2);
    confirmed(&world, BANK2, loan(&desk, 0x4100)).await;
    let (id, row) = only_loan(&desk);
    let mut unit = Unit::default();
    desk.change_loan(&mut unit, &id, |row| row.given_back += 1);
    desk.change_loan(&mut unit, &id, |row| row.given_back += 1);
    let disputed = DisputedRow { sector: 0x472f, basis: "SRV-12".into(), evidence: [7; 32], at_ms: 1 };
    desk.change_loan(&mut unit, &id, |row| row.disputed = Some(disputed.clone()));
    let kept = unit.left::<LoanRow>(Table::Loans, &id.0);
    assert_eq!(kept, Some(Some(LoanRow { given_back: 2, disputed: Some(disputed), ..row })));
    // One that the same height made.
    let (made, row) = (ObligationId([9; 32]), only_loan(&desk).1);
    unit.put(Table::Loans, &made.0, &row);
    desk.change_loan(&mut unit, &made, |row| row.given_back += 1);
    assert_eq!(unit.left::<LoanRow>(Table::Loans, &made.0).flatten().map(|row| row.given_back), Some(1));
}
