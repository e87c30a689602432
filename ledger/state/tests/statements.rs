//! Statements of loans that officers dispute (K-9): every path and every refusal, met by one.

use crate::common;

use common::lending::*;
use common::*;
use ledger_types::contract::*;
use ledger_types::encoding::{Encode, Octets};
use ledger_types::envelope::*;
use ledger_types::ids::*;
use ledger_types::log_leaf::LogLeaf;
use ledger_types::rejection::Rejection;
use ledger_types::request::BasisCode;

/// A shop.
const FOUND: u32 = 0x472f;

/// What the officers say of an activation: the borrower is a shop.
fn dispute(bed: &Bed, activation: &Draft) -> StatementDispute {
    let envelope = activation.clone().seal();
    StatementDispute {
        contract: ONE,
        sector: FOUND,
        basis: BasisCode::parse("SRV-12").unwrap(),
        evidence: [7; 32],
        activation: Octets::new(envelope.header.to_bytes()).unwrap(),
        ciphertext: envelope.ciphertext_hash(&bed.rules.chain),
    }
}

fn order(bed: &mut Bed, dispute: StatementDispute) -> Draft {
    bed.contract_order(ContractOrder::Dispute(dispute))
}

fn statement(bed: &Bed, activation: &Draft) -> FalseStatement {
    FalseStatement {
        obligation: bed.obligation_of(activation),
        contract: ONE,
        stated: GOOD_LOAN.sector,
        found: FOUND,
        basis: BasisCode::parse("SRV-12").unwrap(),
        evidence: [7; 32],
    }
}

#[test]
fn a_false_statement_stands_in_the_log_without_the_bank_and_the_loan_and_its_contract_stay_as_they_are() {
    let (mut bed, activation) = lent();
    let dispute = dispute(&bed, &activation);
    let order = order(&mut bed, dispute);
    let (contracts, map_root) = (bed.ledger.contracts.clone(), bed.ledger.map_root);
    let obligations = bed.state.obligations.clone();
    assert_eq!(bed.submit(order.clone()), 0);
    assert_eq!((&bed.ledger.contracts, &bed.state.obligations), (&contracts, &obligations));
    assert_ne!(bed.ledger.map_root, map_root, "the lane was served");
    // The signatures serve once.
    assert_refused(&bed, order, Rejection::NotAuthorized);
    let leaves = logged(&mut bed);
    let expected = statement(&bed, &activation);
    assert!(leaves.contains(&LogLeaf::FalseStatement(expected)), "{leaves:?}");
    assert!(bed.state.contract_leaves.contains(&(ONE, bed.ledger.log_size - 2)));
    assert_eq!(LogLeaf::FalseStatement(expected).to_bytes().len(), 1 + 32 + 4 + 4 + 4 + 8 + 32);
}

/// K-8 does not count it: it neither keeps a stop or a deployment out, nor is kept out by one.
#[test]
fn a_dispute_and_an_order_about_its_contract_go_into_one_block() {
    let (mut bed, activation) = lent();
    let dispute = dispute(&bed, &activation);
    let (dispute, retirement) = (order(&mut bed, dispute), retire(&mut bed, 5));
    let bundle = bed.bundle(CENTRAL, vec![dispute.seal(), retirement.seal()]);
    let codes: Vec<u16> = bed.block(&[bundle]).results.iter().map(|result| result.code).collect();
    assert_eq!(codes, [0, 0]);
}

#[test]
fn rejection_73_a_loan_that_was_never_made_and_one_of_the_same_block_cannot_be_disputed_and_a_returned_one_can() {
    let mut bed = Bed::with_a_policy_in_force();
    let coin = bed.inert_coin(100);
    let activation = bed.activate(&[coin], GOOD_LOAN, 60);
    let brought = dispute(&bed, &activation);
    let early = order(&mut bed, brought.clone());
    assert_refused(&bed, early.clone(), Rejection::ObligationUnknown);
    // K-1: as of the height before.
    let bundles = [bed.bundle(BANK2, vec![activation.clone().seal()]), bed.bundle(CENTRAL, vec![early.seal()])];
    let codes: Vec<u16> = bed.block(&bundles).results.iter().map(|result| result.code).collect();
    assert_eq!(codes, [0, Rejection::ObligationUnknown.number()]);
    let (id, own) = (bed.obligation_of(&activation), bed.coin_of(CENTRAL, 0));
    let returned = bed.return_loan(&[own], id, RETURN_RATE);
    assert_eq!(bed.submit(returned), 0);
    let dispute = order(&mut bed, brought);
    assert_refused(&bed, dispute.clone(), Rejection::ObligationUnknown);
    logged(&mut bed);
    assert_eq!(bed.submit(dispute), 0, "its receipt is in the log");
}

#[test]
fn rejection_86_what_is_no_statement_and_what_does_not_contradict_one_is_refused_for_good() {
    let (mut bed, activation) = lent();
    let good = dispute(&bed, &activation);
    let transfer = bed.coin_of(BANK2, 0);
    let transfer = bed.transfer(BANK2, &[transfer], &[(BANK3, 60)]).seal();
    let mut cut = good.activation.to_vec();
    cut.pop();
    let cases = [
        (
            "another kind",
            StatementDispute { activation: Octets::new(transfer.header.to_bytes()).unwrap(), ..good.clone() },
        ),
        ("cut off", StatementDispute { activation: Octets::new(cut).unwrap(), ..good.clone() }),
        ("what was stated", StatementDispute { sector: GOOD_LOAN.sector, ..good.clone() }),
        ("its section", StatementDispute { sector: 0x4300, ..good.clone() }),
        ("no sector", StatementDispute { sector: 0x47ff, ..good.clone() }),
    ];
    for (what, dispute) in cases {
        let order = order(&mut bed, dispute);
        let bundle = bed.bundle(CENTRAL, vec![order.clone().seal()]);
        assert_eq!(bed.try_block(&[bundle]).unwrap().results[0].code, 86, "{what}");
        assert_refused(&bed, order, Rejection::StatementDoesNotFit);
    }
    // Under a second contract the loan was not made.
    let deploy = bed.deploy(2, 1, NOTICE_HEIGHTS_MIN, &policy(1).replace("\"lending\"", "\"other\""));
    assert_eq!(bed.submit(deploy), 0);
    let elsewhere = order(&mut bed, StatementDispute { contract: ContractNumber(2), ..good.clone() });
    assert_refused(&bed, elsewhere, Rejection::StatementDoesNotFit);
    // One bit of the statement makes it another loan's.
    let unknown = order(&mut bed, StatementDispute { ciphertext: [1; 32], ..good });
    assert_refused(&bed, unknown, Rejection::ObligationUnknown);
}

#[test]
fn a_dispute_without_enough_officers_from_another_or_about_no_contract_is_refused_before_it_is_looked_at() {
    let (mut bed, activation) = lent();
    let good = dispute(&bed, &activation);
    let nobody = order(&mut bed, StatementDispute { contract: ContractNumber(9), sector: 0, ..good.clone() });
    assert_refused(&bed, nobody, Rejection::ContractUnknown);
    let mut one_officer = order(&mut bed, StatementDispute { sector: 0, ..good.clone() });
    let ClearContext::ContractOrder(context) = &mut one_officer.core.context else { unreachable!() };
    context.authorizations = ledger_types::encoding::List::new(context.authorizations[..1].to_vec()).unwrap();
    assert_refused(&bed, one_officer, Rejection::NotAuthorized);
    let mut other = order(&mut bed, good.clone());
    let ClearContext::ContractOrder(context) = &mut other.core.context else { unreachable!() };
    let ContractOrder::Dispute(dispute) = &mut context.order else { unreachable!() };
    dispute.sector = 0x4101;
    assert_refused(&bed, other, Rejection::NotAuthorized);
    let mut carried_by_a_bank = order(&mut bed, good);
    carried_by_a_bank.core.submitter = BANK2;
    assert_refused(&bed, carried_by_a_bank, Rejection::SubmitterMayNotSubmitThis);
}
