//! Every numbered rejection of confirmation batches, met by one. A refused batch changes nothing, its number included.

use crate::common;

use common::*;
use ledger_types::confirmation::{BatchRecord, Overdue, RecordStatus, SignedBatch};
use ledger_types::encoding::List;
use ledger_types::ids::*;
use ledger_types::rejection::Rejection;

#[track_caller]
fn assert_batch_refused(bed: &mut Bed, signed: SignedBatch, expected: Rejection) {
    let bundle = bed.confirmation_after(0, signed);
    let bytes = u64::from(bundle.header().bytes);
    let applied = bed.try_block(&[bundle]).unwrap();
    assert_eq!(Rejection::from_number(applied.results[0].code), Some(expected));
    assert_nothing_changed(bed, &applied);
    assert_eq!(applied.ledger.lane(ParticipantNumber::REGISTRATION).refused_bytes, bytes);
}

#[test]
fn rejection_40_batch_numbers_have_no_gap_r2() {
    let mut bed = Bed::new();
    for number in [0, 2, u64::MAX] {
        let mut batch = bed.batch(vec![]);
        batch.number = BatchNumber(number);
        let signed = bed.sign(batch);
        assert_batch_refused(&mut bed, signed, Rejection::BatchNumberNotNext);
    }
}

#[test]
fn rejection_41_a_batch_continues_the_one_before_r2() {
    let mut bed = Bed::new();
    let mut batch = bed.batch(vec![]);
    batch.previous = BatchHash([3; 32]);
    let signed = bed.sign(batch);
    assert_batch_refused(&mut bed, signed, Rejection::BatchChainBroken);
}

#[test]
fn rejection_42_only_the_registration_key_confirms_r2() {
    let mut bed = Bed::new();
    let squatter = bed.batch(vec![live(bed.coin_of(BANK2, 0).id)]).sign(&bed.rules.chain, &key_of(CENTRAL, "bundle"));
    assert_batch_refused(&mut bed, squatter, Rejection::BatchSignatureInvalid);
    let mut altered = bed.sign(bed.batch(vec![]));
    altered.batch.settled = List::new(vec![EnvelopeId([1; 32])]).unwrap();
    assert_batch_refused(&mut bed, altered, Rejection::BatchSignatureInvalid);
}

#[test]
fn refusal_42_is_open_because_the_registration_key_rotates() {
    assert!(!Rejection::BatchSignatureInvalid.is_final());
    let mut bed = Bed::new();
    let by_next_key = bed.batch(vec![]).sign(&bed.rules.chain, &key("next registration key"));
    assert_batch_refused(&mut bed, by_next_key.clone(), Rejection::BatchSignatureInvalid);
    let mut line = bed.ledger.directory.central_bank().clone();
    line.central_bank.as_mut().unwrap().registration = public("next registration key");
    let update = bed.update(CENTRAL, line).authorize_by_officers(&bed.rules, &[0, 1]);
    assert_eq!(bed.submit(update), 0);
    let bundle = bed.confirmation_after(0, by_next_key);
    assert_eq!(bed.block(&[bundle]).results[0].code, 0);
}

#[test]
fn rejection_43_a_batch_is_no_larger_than_the_genesis_allows() {
    let mut bed = Bed::new();
    let line =
        |index: u16| live(CoinId([index.to_be_bytes()[0], index.to_be_bytes()[1]].repeat(16).try_into().unwrap()));
    let signed = bed.sign(bed.batch((0..1_001).map(line).collect()));
    assert_batch_refused(&mut bed, signed, Rejection::BatchTooLarge);
}

#[test]
fn rejection_44_every_list_of_a_batch_ascends_strictly() {
    let mut bed = Bed::new();
    let twice = live(bed.coin_of(BANK2, 0).id);
    let mut batch = bed.batch(vec![]);
    batch.records = List::new(vec![twice, twice]).unwrap();
    let records = bed.sign(batch);
    let mut batch = bed.batch(vec![]);
    batch.settled = List::new(vec![EnvelopeId([2; 32]), EnvelopeId([1; 32])]).unwrap();
    let settled = bed.sign(batch);
    let entry = Overdue { envelope: EnvelopeId([5; 32]), submitter: BANK2 };
    let mut batch = bed.batch(vec![]);
    batch.overdue = List::new(vec![entry, entry]).unwrap();
    let overdue = bed.sign(batch);
    let mut batch = bed.batch(vec![]);
    batch.cleared = List::new(vec![entry, entry]).unwrap();
    let cleared = bed.sign(batch);
    for signed in [records, settled, overdue, cleared] {
        assert_batch_refused(&mut bed, signed, Rejection::BatchNotAscending);
    }
}

#[test]
fn rejection_45_tag_and_failed_check_fit_the_status() {
    let mut bed = Bed::new();
    let coin = bed.coin_of(BANK2, 0).id;
    let (tag, none) = (OwnerTag([9; 32]), OwnerTag::ZERO);
    for (status, failed_check, tag) in [
        (RecordStatus::Live, 0, none),
        (RecordStatus::Live, 15, tag),
        (RecordStatus::Frozen, 0, none),
        (RecordStatus::Frozen, 15, tag),
        (RecordStatus::Spent, 0, tag),
        (RecordStatus::Spent, 15, none),
        (RecordStatus::Disputed, 0, tag),
    ] {
        let signed = bed.sign(bed.batch(vec![BatchRecord { coin, status, failed_check, tag }]));
        assert_batch_refused(&mut bed, signed, Rejection::RecordFieldsDoNotFit);
    }
}

#[test]
fn rejection_46_no_record_outside_rule_r3_is_accepted() {
    let mut bed = Bed::new();
    let live_coin = bed.coin_of(BANK2, 0).id;
    for status in [RecordStatus::Live, RecordStatus::Disputed, RecordStatus::Spent] {
        let signed = bed.sign(bed.batch(vec![record(live_coin, status)]));
        assert_batch_refused(&mut bed, signed, Rejection::RecordChangeForbidden);
    }
    let payment = {
        let coin = bed.coin_of(BANK2, 0);
        bed.transfer(BANK2, &[coin], &[(BANK3, 60), (BANK2, 40)])
    };
    assert_eq!(bed.submit(payment.clone()), 0);
    let unconfirmed = payment.coins[0].id;
    let signed = bed.sign(bed.batch(vec![record(unconfirmed, RecordStatus::Spent)]));
    assert_batch_refused(&mut bed, signed, Rejection::RecordChangeForbidden);
    assert_eq!(bed.confirm(vec![record(unconfirmed, RecordStatus::Disputed)]), 0);
    for status in [RecordStatus::Disputed, RecordStatus::Frozen, RecordStatus::Spent] {
        let signed = bed.sign(bed.batch(vec![record(unconfirmed, status)]));
        assert_batch_refused(&mut bed, signed, Rejection::RecordChangeForbidden);
    }
    let frozen = bed.coin_of(BANK3, 0).id;
    assert_eq!(bed.confirm(vec![record(frozen, RecordStatus::Frozen)]), 0);
    for status in [RecordStatus::Disputed, RecordStatus::Frozen, RecordStatus::Spent] {
        let signed = bed.sign(bed.batch(vec![record(frozen, status)]));
        assert_batch_refused(&mut bed, signed, Rejection::RecordChangeForbidden);
    }
}

#[test]
fn rejection_47_only_an_open_public_amount_is_settled_r6() {
    let mut bed = Bed::new();
    let issue = bed.issue(2, 0, &[(BANK2, 500)]).authorize_by_issue_key(&bed.rules).seal();
    let id = issue.id(&bed.rules.chain);
    let settle = |bed: &Bed| {
        let mut batch = bed.batch(vec![]);
        batch.settled = List::new(vec![id]).unwrap();
        bed.sign(batch)
    };
    let early = settle(&bed);
    assert_batch_refused(&mut bed, early, Rejection::SettledUnknown);
    let bundle = bed.bundle(CENTRAL, vec![issue]);
    assert_eq!(bed.block(&[bundle]).results[0].code, 0);
    assert_eq!(bed.ledger.issued, 2_000);
    let bundle = bed.confirmation_after(0, settle(&bed));
    assert_eq!(bed.block(&[bundle]).results[0].code, 0);
    assert_eq!(bed.ledger.issued, 2_500);
    let twice = settle(&bed);
    assert_batch_refused(&mut bed, twice, Rejection::SettledUnknown);
}

#[test]
fn rejection_48_overdue_entries_are_new_and_cleared_ones_exist_r1() {
    let mut bed = Bed::new();
    let entry = |byte, submitter| Overdue { envelope: EnvelopeId([byte; 32]), submitter };
    let batch_of = |bed: &Bed, overdue: Vec<Overdue>, cleared: Vec<Overdue>| {
        let mut batch = bed.batch(vec![]);
        (batch.overdue, batch.cleared) = (List::new(overdue).unwrap(), List::new(cleared).unwrap());
        bed.sign(batch)
    };
    let unknown = batch_of(&bed, vec![entry(1, ParticipantNumber(99))], vec![]);
    let absent = batch_of(&bed, vec![], vec![entry(1, BANK2)]);
    let both = batch_of(&bed, vec![entry(1, BANK2)], vec![entry(1, BANK2)]);
    let many = (0..=ledger_state::OVERDUE_PER_SUBMITTER_MAX).map(|index| {
        let mut envelope = EnvelopeId([0; 32]);
        envelope.0[..4].copy_from_slice(&index.to_be_bytes());
        Overdue { envelope, submitter: BANK2 }
    });
    let too_many = batch_of(&bed, many.collect(), vec![]);
    for signed in [unknown, absent, both, too_many] {
        assert_batch_refused(&mut bed, signed, Rejection::OverdueDoesNotFit);
    }
    let bundle = bed.confirmation_after(0, batch_of(&bed, vec![entry(1, BANK2)], vec![]));
    assert_eq!(bed.block(&[bundle]).results[0].code, 0);
    let again = batch_of(&bed, vec![entry(1, BANK2)], vec![]);
    assert_batch_refused(&mut bed, again, Rejection::OverdueDoesNotFit);
}

/// R-1 and 11.1: room that a batch itself clears is not yet there, and what it adds is not yet there to clear.
#[test]
fn rejection_48_counts_a_submitters_entries_without_the_batchs_own_cleared_ones_r1() {
    let mut bed = Bed::new();
    let entry = |index: u32, submitter| {
        let mut envelope = EnvelopeId([0; 32]);
        envelope.0[..4].copy_from_slice(&index.to_be_bytes());
        Overdue { envelope, submitter }
    };
    let batch_of = |bed: &Bed, overdue: Vec<Overdue>, cleared: Vec<Overdue>| {
        let mut batch = bed.batch(vec![]);
        (batch.overdue, batch.cleared) = (List::new(overdue).unwrap(), List::new(cleared).unwrap());
        bed.sign(batch)
    };
    let accepted = |bed: &mut Bed, signed: SignedBatch| {
        let bundle = bed.confirmation_after(0, signed);
        assert_eq!(bed.block(&[bundle]).results[0].code, 0);
    };
    let full = ledger_state::OVERDUE_PER_SUBMITTER_MAX;
    assert_eq!(full, 1_000);
    let all = batch_of(&bed, (0..full).map(|index| entry(index, BANK2)).collect(), vec![]);
    accepted(&mut bed, all);
    let (new, old) = (entry(full, BANK2), entry(0, BANK2));
    let one_in_one_out = batch_of(&bed, vec![new], vec![old]);
    assert_batch_refused(&mut bed, one_in_one_out, Rejection::OverdueDoesNotFit);
    // Another submitter's room is its own.
    let of_another = batch_of(&bed, vec![entry(full, BANK3)], vec![old]);
    accepted(&mut bed, of_another);
    let room = batch_of(&bed, vec![new], vec![]);
    accepted(&mut bed, room);
    // Two batches of one block come one after the other.
    let first = batch_of(&bed, vec![], vec![new]);
    let mut second = batch_of(&bed, vec![entry(0, BANK2)], vec![]).batch;
    second.number = BatchNumber(first.batch.number.0 + 1);
    second.previous = first.batch.hash(&bed.rules.chain);
    let bundles = [bed.confirmation_after(0, first), bed.confirmation_after(1, bed.sign(second))];
    let applied = bed.block(&bundles);
    assert_eq!(applied.results.iter().map(|result| result.code).collect::<Vec<_>>(), [0, 0]);
}

#[test]
fn rejection_48_an_overdue_entry_names_a_participant_of_the_parents_directory_r1() {
    let mut bed = Bed::new();
    for submitter in [ParticipantNumber(99), ParticipantNumber::REGISTRATION] {
        let mut batch = bed.batch(vec![]);
        batch.overdue = List::new(vec![Overdue { envelope: EnvelopeId([1; 32]), submitter }]).unwrap();
        let signed = bed.sign(batch);
        assert_batch_refused(&mut bed, signed, Rejection::OverdueDoesNotFit);
    }
}
