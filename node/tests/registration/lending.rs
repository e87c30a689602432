//! What registration makes of loans: of what a bank stated of one, of whom it lent to, and of what was returned (K-2, K-5, K-9).

use crate::bed::*;
use crate::world::*;
use contracts_vm::Package;
use ledger_state::PaymentRule;
use ledger_types::confirmation::RecordStatus;
use ledger_types::contract::*;
use ledger_types::envelope::*;
use ledger_types::keys::{PublicKey, Signature, SigningKey};
use ledger_types::log_leaf::LogLeaf;
use ledger_types::request::BasisCode;
use ledger_types::*;

const ONE: ContractNumber = ContractNumber(1);
/// Food.
const LOAN: Loan = Loan { sector: 0x430a, rate: 43_000, term_days: 365 };
const LENT: u64 = 60_000;
const INERT: u64 = 100_000;
const RATE: i64 = 36_500;

/// A return costs 3.65 % a year: a hundredth of a percent a day.
const POLICY: &str = r#"policy "lending" version 1
currency CNY

effective when
    time from 2020-01-01 until 2099-01-01
    sector in ISIC { A, C10..C12 }

idle after 60 days

return rate
    otherwise 3.65 %
    clamp 0.00 % .. 4.00 %, step 1 bp
"#;

fn public(name: &str) -> PublicKey {
    SigningKey::from_seed(&named(name)).public_key()
}

fn terms_of(bed: &Bed) -> Terms {
    let policy = bed.ledger.contracts.get(ONE).unwrap().newest().policy;
    terms(&bed.rules.chain, ONE, &policy)
}

/// An issue to bank 2, under the contract or plain, to a key.
fn issue(bed: &mut Bed, amount: u64, owner: PublicKey, contract: ContractNumber) -> Payment {
    let issue_number = bed.ledger.issue_numbers[&SeriesNumber(1)];
    let authorization = Signature([0; 64]);
    let context = IssueContext { series: SeriesNumber(1), issue_number, amount: Amount(amount), authorization };
    let terms = if contract == ONE { terms_of(bed) } else { Terms::ZERO };
    let output = Planned { bank: BANK2, amount, owner, terms };
    bed.envelope_of(CENTRAL, &[], &[output], contract, ClearContext::Issue(context), Spoilt::default())
}

/// Contract 1 is in force, and bank 2 has 1,000.00 under it.
async fn with_inert_money() -> (World, KnownCoin) {
    let mut world = World::new();
    let inert = {
        let mut bed = world.bed();
        let deployment = Deployment {
            contract: ONE,
            version: PolicyVersion(1),
            notice: NOTICE_HEIGHTS_MIN,
            report: [0; 32],
            package: Octets::new(Package::of(POLICY).unwrap().to_bytes()).unwrap(),
        };
        let deploy = bed.contract_order(ContractOrder::Deploy(deployment));
        bed.order(&[&deploy]);
        bed.pass_time(1_000);
        let inert = issue(&mut bed, INERT, owner().public_key(), ONE);
        bed.order(&[&inert]);
        inert
    };
    world.release_by_all(&inert);
    world.settle().await;
    (world, inert.coins[0].clone())
}

fn lend(bed: &mut Bed, inert: &KnownCoin, borrower: PublicKey) -> Payment {
    let outputs = [
        Planned { owner: borrower, ..Planned::plain(BANK3, LENT) },
        Planned { terms: inert.opening.terms, ..Planned::plain(BANK2, INERT - LENT) },
    ];
    let inputs = std::slice::from_ref(inert);
    bed.envelope_of(BANK2, inputs, &outputs, ONE, ClearContext::Activate(LOAN), Spoilt::default())
}

fn lent(world: &World, inert: &KnownCoin) -> Payment {
    let mut bed = world.bed();
    let loan = lend(&mut bed, inert, public("borrower"));
    bed.order(&[&loan]);
    loan
}

fn obligation_of(bed: &Bed, loan: &Payment) -> ObligationId {
    ObligationId::of(&bed.rules.chain, BANK2, &loan.id, &loan.envelope.header.core.salt)
}

/// Officers say that the borrower keeps a shop.
fn dispute(world: &World, loan: &Payment) -> FalseStatement {
    let mut bed = world.bed();
    let (basis, evidence) = (BasisCode::parse("SRV-12").unwrap(), [7; 32]);
    let dispute = StatementDispute {
        contract: ONE,
        sector: 0x472f,
        basis,
        evidence,
        activation: Octets::new(loan.envelope.header.to_bytes()).unwrap(),
        ciphertext: loan.envelope.ciphertext_hash(&bed.rules.chain),
    };
    let order = bed.contract_order(ContractOrder::Dispute(dispute));
    bed.order(&[&order]);
    let obligation = obligation_of(&bed, loan);
    FalseStatement { obligation, contract: ONE, stated: LOAN.sector, found: 0x472f, basis, evidence }
}

fn is_logged(world: &World, leaf: &LogLeaf) -> bool {
    let bytes = leaf.to_bytes();
    world.bed().state.log_leaves.values().any(|logged| *logged == bytes)
}

fn records(world: &World, payment: &Payment) -> Vec<(RecordStatus, u16)> {
    let bed = world.bed();
    let record = |coin: &KnownCoin| bed.state.records.get(&coin.id).map(|record| (record.status, record.failed_check));
    payment.coins.iter().map(|coin| record(coin).expect("the coin has a record")).collect()
}

/// Officers' recovery is good, to the last of what it gives back.
async fn is_recovered(world: &mut World, recover: impl FnOnce(&mut Bed) -> Payment) {
    let recovered = {
        let mut bed = world.bed();
        let recovered = recover(&mut bed);
        bed.order(&[&recovered]);
        recovered
    };
    world.release_by_all(&recovered);
    world.settle().await;
    assert_eq!(records(world, &recovered), vec![(RecordStatus::Live, 0)]);
}

fn all_disputed(rule: PaymentRule, coins: usize) -> Vec<(RecordStatus, u16)> {
    vec![(RecordStatus::Disputed, rule.number()); coins]
}

/// Of the central bank's own money, `more` than is owed at the given time.
fn give_back(world: &mut World, loan: &Payment, days: u64, more: i64) -> (Payment, u64) {
    let mut bed = world.bed();
    let start_ms = bed.ledger.time_ms;
    let time_ms = start_ms + days * DAY_MS;
    if days > 0 {
        bed.block(time_ms, &[]).unwrap();
    }
    let owed = owed(Amount(LENT), RATE, start_ms, time_ms + 1_000).unwrap().0;
    let amount = owed.checked_add_signed(more).unwrap();
    let issued = issue_to_the_central_bank(&mut bed, 2 * INERT);
    bed.order(&[&issued]);
    drop(bed);
    world.release_by_all(&issued);
    world.register();
    (Payment { coins: issued.coins, ..loan.clone() }, amount)
}

fn issue_to_the_central_bank(bed: &mut Bed, amount: u64) -> Payment {
    let number = bed.ledger.issue_numbers[&SeriesNumber(1)];
    bed.issue(number, &[(CENTRAL, amount)], Spoilt::default())
}

/// The loan is returned after so many days, with `more` than is owed.
async fn returned(world: &mut World, loan: &Payment, days: u64, more: i64) -> (Payment, u64) {
    let (with, amount) = give_back(world, loan, days, more);
    world.settle().await;
    let returned = {
        let mut bed = world.bed();
        let obligation = obligation_of(&bed, loan);
        let authorization = Signature([0; 64]);
        let context = ReturnContext { obligation, rate: RATE, amount: Amount(amount), authorization };
        let change = [Planned::plain(CENTRAL, 2 * INERT - amount)];
        let context = ClearContext::Return(context);
        let plain = ContractNumber(0);
        let returned = bed.envelope_of(CENTRAL, &with.coins, &change, plain, context, Spoilt::default());
        bed.order(&[&returned]);
        returned
    };
    world.release_by_all(&returned);
    (returned, amount)
}

#[tokio::test]
async fn k9_a_statement_that_officers_find_false_before_the_loan_is_registered_disputes_its_coins() {
    let (mut world, inert) = with_inert_money().await;
    let loan = lent(&world, &inert);
    world.register();
    let leaf = LogLeaf::FalseStatement(dispute(&world, &loan));
    world.release_by_all(&loan);
    world.settle().await;
    assert_eq!(records(&world, &loan), all_disputed(PaymentRule::StatementIsFalse, 2));
    assert!(is_logged(&world, &leaf));
}

#[tokio::test]
async fn k9_a_statement_found_false_later_is_in_the_log_and_takes_no_money_from_who_has_it() {
    let (mut world, inert) = with_inert_money().await;
    let loan = lent(&world, &inert);
    world.release_by_all(&loan);
    world.settle().await;
    let leaf = LogLeaf::FalseStatement(dispute(&world, &loan));
    let payment = {
        let mut bed = world.bed();
        let input = bed.coin_of(BANK2, 0);
        let payment = bed.pay(BANK2, &[input], &[(BANK3, 100)]);
        bed.order(&[&payment]);
        payment
    };
    world.release_by_all(&payment);
    world.settle().await;
    assert!(is_logged(&world, &leaf));
    assert_eq!(records(&world, &loan), vec![(RecordStatus::Live, 0); 2]);
}

#[tokio::test]
async fn k5_a_loan_to_a_key_to_which_money_was_issued_is_disputed_and_one_to_a_customer_is_not() {
    let (mut world, inert) = with_inert_money().await;
    let issued = {
        let mut bed = world.bed();
        let issued = issue(&mut bed, 500, public("another key of the vault"), ContractNumber(0));
        bed.order(&[&issued]);
        issued
    };
    world.release_by_all(&issued);
    world.settle().await;
    world.kill_registrar();
    let loan = {
        let mut bed = world.bed();
        let loan = lend(&mut bed, &inert, public("another key of the vault"));
        bed.order(&[&loan]);
        loan
    };
    world.release_by_all(&loan);
    world.settle().await;
    assert_eq!(records(&world, &loan), all_disputed(PaymentRule::LentToTheLender, 2));
    // P-4: what was put in is given back by officers.
    let is_plain = |coin: &&KnownCoin| coin.opening.terms == Terms::ZERO;
    let plain: Vec<KnownCoin> = loan.coins.iter().filter(is_plain).cloned().collect();
    is_recovered(&mut world, |bed| bed.recover(&plain, &[(BANK3, LENT)])).await;
}

#[tokio::test]
async fn k2_a_return_of_what_is_owed_settles_and_its_loan_is_forgotten() {
    let (mut world, inert) = with_inert_money().await;
    let loan = lent(&world, &inert);
    world.release_by_all(&loan);
    world.settle().await;
    let redeemed = world.bed().ledger.redeemed;
    world.kill_registrar();
    let (returned, amount) = returned(&mut world, &loan, 10, 0).await;
    assert_eq!(amount, LENT + 10 * LENT / 10_000);
    world.settle().await;
    assert_eq!(records(&world, &returned), vec![(RecordStatus::Live, 0)]);
    assert_eq!(world.bed().ledger.redeemed, redeemed + u128::from(amount));
}

#[tokio::test]
async fn k2_a_return_of_a_cent_more_or_less_than_is_owed_is_disputed_and_does_not_count_as_redeemed() {
    for more in [1, -1] {
        let (mut world, inert) = with_inert_money().await;
        let loan = lent(&world, &inert);
        world.release_by_all(&loan);
        world.settle().await;
        let redeemed = world.bed().ledger.redeemed;
        let (returned, _) = returned(&mut world, &loan, 10, more).await;
        world.settle().await;
        assert_eq!(records(&world, &returned), all_disputed(PaymentRule::ReturnDiffers, 1), "{more}");
        assert_eq!(world.bed().ledger.redeemed, redeemed);
        // P-4: the whole of it is the officers' to give back, by what went in and not by what the coin opens to.
        is_recovered(&mut world, |bed| bed.recover_unopened(&returned.coins, &[(CENTRAL, 2 * INERT)])).await;
    }
}

#[tokio::test]
async fn k2_a_return_before_the_loan_is_registered_is_disputed_and_of_a_loan_that_nobody_opened_any_sum_is_right() {
    let (mut world, inert) = with_inert_money().await;
    let loan = lent(&world, &inert);
    let (early, _) = returned(&mut world, &loan, 0, 0).await;
    world.settle().await;
    assert_eq!(records(&world, &early), all_disputed(PaymentRule::ReturnDiffers, 1));

    let (mut world, inert) = with_inert_money().await;
    let loan = {
        let mut bed = world.bed();
        let mut loan = lend(&mut bed, &inert, public("borrower"));
        bed.make_unreadable(&mut loan);
        bed.order(&[&loan]);
        loan
    };
    world.release_by_all(&loan);
    world.settle().await;
    let (returned, _) = returned(&mut world, &loan, 10, 17).await;
    world.settle().await;
    assert_eq!(records(&world, &returned), vec![(RecordStatus::Live, 0)]);
}

/// R-4: between a loan and its return registration keeps the principal, sealed with its own key.
#[tokio::test]
async fn k2_no_key_of_a_bank_or_borrower_lies_readable_on_registrations_disk() {
    let (mut world, inert) = with_inert_money().await;
    let loan = lent(&world, &inert);
    world.release_by_all(&loan);
    world.settle().await;
    world.kill_registrar();
    let secrets = [loan.root, public("borrower").0, owner().public_key().0];
    let files = files_without(&secrets, world.folder.path().join("registration")).len();
    assert!(files > 3, "the database was looked through");
}
