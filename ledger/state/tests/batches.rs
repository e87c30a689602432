//! Confirmation batches and what they leave in the log and the map (L-1, L-4).

use crate::common;

use common::*;
use ledger_tree::map::{self, EntryType, Version};
use ledger_tree::{log, map::verify_inclusion};
use ledger_types::bundle::{Bundle, Slot};
use ledger_types::coin::CoinStatus;
use ledger_types::confirmation::{Overdue, Record, RecordStatus};
use ledger_types::encoding::{Decode, Encode, List};
use ledger_types::envelope::{ClearContext, RecoverReason};
use ledger_types::ids::*;
use ledger_types::log_leaf::LogLeaf;
use ledger_types::rejection::Rejection;
use ledger_types::request::{RequestClass, RequestKind};
use std::sync::Arc;

fn leaves_from(bed: &Bed, size: u64) -> Vec<LogLeaf> {
    bed.state.log_leaves.range(size..).map(|(_, bytes)| LogLeaf::from_bytes(bytes).unwrap()).collect()
}

fn last_record(bed: &Bed, coin: &KnownCoin) -> Record {
    bed.state.records[&coin.id]
}

#[test]
fn a_coin_goes_its_way_through_all_statuses_r3() {
    let mut bed = Bed::new();
    let coin = bed.coin_of(BANK2, 0);
    let payment = bed.transfer(BANK2, std::slice::from_ref(&coin), &[(BANK3, 100)]);
    let received = payment.coins[0].clone();
    assert_eq!(bed.submit(payment), 0);
    let steps = [
        (RecordStatus::Disputed, CoinStatus::Disputed),
        (RecordStatus::Live, CoinStatus::Live),
        (RecordStatus::Frozen, CoinStatus::Frozen),
        (RecordStatus::Live, CoinStatus::Live),
    ];
    for (says, becomes) in steps {
        assert_eq!(bed.confirm(vec![record(received.id, says)]), 0);
        assert_eq!(bed.state.coins[&received.id].status, becomes);
        assert_eq!(last_record(&bed, &received).status, says);
        assert_eq!(last_record(&bed, &received).batch, bed.ledger.batch);
    }
    assert_eq!(bed.confirm(vec![record(coin.id, RecordStatus::Spent)]), 0);
    assert_eq!(last_record(&bed, &coin).status, RecordStatus::Spent);
    assert_eq!(last_record(&bed, &coin).tag, OwnerTag::ZERO);
    assert!(!bed.state.coins.contains_key(&coin.id));
}

#[test]
fn a_record_that_comes_too_late_is_skipped_and_not_logged_r3() {
    let mut bed = Bed::new();
    let (coin, other) = (bed.coin_of(BANK2, 0), bed.coin_of(BANK2, 1));
    let payment = bed.transfer(BANK2, std::slice::from_ref(&coin), &[(BANK3, 100)]);
    assert_eq!(bed.submit(payment), 0);
    let before = bed.ledger.log_size;
    let never_was = CoinId([1; 32]);
    let records = vec![
        record(coin.id, RecordStatus::Frozen),
        record(other.id, RecordStatus::Frozen),
        record(never_was, RecordStatus::Spent),
    ];
    let bundle = bed.confirmation(bed.batch(records));
    let applied = bed.block(&[bundle]);
    assert_eq!(applied.results[0].code, 0);
    let mut too_late = applied.too_late.clone();
    too_late.sort();
    let mut expected = vec![coin.id, never_was];
    expected.sort();
    assert_eq!(too_late, expected);
    let leaves = leaves_from(&bed, before);
    assert_eq!(leaves.len(), 2);
    assert!(matches!(leaves[0], LogLeaf::Record { coin, .. } if coin == other.id));
    assert!(matches!(leaves[1], LogLeaf::State(_)));
    assert_eq!(last_record(&bed, &coin).batch, BatchNumber(0));
    assert!(!bed.state.records.contains_key(&never_was));
    // Spent once more: its last record already says so.
    assert_eq!(bed.confirm(vec![record(coin.id, RecordStatus::Spent)]), 0);
    let bundle = bed.confirmation(bed.batch(vec![record(coin.id, RecordStatus::Spent)]));
    assert_eq!(bed.block(&[bundle]).too_late, [coin.id]);
}

#[test]
fn a_batch_replayed_changes_nothing_r2() {
    let mut bed = Bed::new();
    let coin = bed.coin_of(BANK2, 0);
    let signed = bed.sign(bed.batch(vec![record(coin.id, RecordStatus::Frozen)]));
    let bundle = bed.confirmation_after(0, signed.clone());
    assert_eq!(bed.block(&[bundle]).results[0].code, 0);
    assert_eq!(bed.confirm(vec![live(coin.id)]), 0);
    let (log_size, batch) = (bed.ledger.log_size, bed.ledger.batch);
    let replayed = bed.confirmation_after(0, signed);
    assert_eq!(bed.block(&[replayed]).results[0].code, Rejection::BatchNumberNotNext.number());
    assert_eq!(bed.state.coins[&coin.id].status, CoinStatus::Live);
    assert_eq!((bed.ledger.log_size, bed.ledger.batch), (log_size, batch));
}

#[test]
fn a_batch_revived_after_its_number_went_to_another_changes_nothing_r2() {
    let mut bed = Bed::new();
    let (abandoned_coin, coin) = (bed.coin_of(BANK2, 0), bed.coin_of(BANK2, 1));
    // It is refused: it settles what is not open. Its number stays free and goes to another batch.
    let mut abandoned = bed.batch(vec![record(abandoned_coin.id, RecordStatus::Frozen)]);
    let issue = bed.issue(2, 0, &[(BANK2, 5)]).authorize_by_issue_key(&bed.rules).seal();
    abandoned.settled = List::new(vec![issue.id(&bed.rules.chain)]).unwrap();
    let abandoned = bed.sign(abandoned);
    let bundle = bed.confirmation_after(0, abandoned.clone());
    assert_eq!(bed.block(&[bundle]).results[0].code, Rejection::SettledUnknown.number());
    assert_eq!(bed.ledger.batch, BatchNumber(0));
    assert_eq!(bed.confirm(vec![record(coin.id, RecordStatus::Frozen)]), 0);
    // Now what made it fail is gone, but its number is.
    let bundle = bed.bundle(CENTRAL, vec![issue]);
    assert_eq!(bed.block(&[bundle]).results[0].code, 0);
    let revived = bed.confirmation_after(0, abandoned);
    assert_eq!(bed.block(&[revived]).results[0].code, Rejection::BatchNumberNotNext.number());
    assert_eq!(bed.state.coins[&abandoned_coin.id].status, CoinStatus::Live);
    assert_eq!(bed.ledger.batch, BatchNumber(1));
}

#[test]
fn a_batch_squatted_by_another_key_changes_nothing_and_takes_no_number_r2() {
    let mut bed = Bed::new();
    let coin = bed.coin_of(BANK2, 0);
    for squatter in ["bundle", "issue", "log", "desk"] {
        let batch = bed.batch(vec![record(coin.id, RecordStatus::Frozen)]);
        let squat = batch.sign(&bed.rules.chain, &key_of(CENTRAL, squatter));
        let bundle = bed.confirmation_after(0, squat);
        assert_eq!(bed.block(&[bundle]).results[0].code, Rejection::BatchSignatureInvalid.number());
    }
    assert_eq!(bed.state.coins[&coin.id].status, CoinStatus::Live);
    assert_eq!((bed.ledger.batch, bed.ledger.log_size), (BatchNumber(0), 21));
    assert_eq!(bed.confirm(vec![record(coin.id, RecordStatus::Frozen)]), 0);
}

#[test]
fn a_batch_of_another_chain_is_refused() {
    let mut bed = Bed::new();
    let other = Bed::with_preissues(vec![preissue(BANK2, 4)]);
    let mut batch = other.batch(vec![]);
    batch.previous = bed.ledger.batch_hash;
    let foreign = other.sign(batch);
    let bundle = bed.confirmation_after(0, foreign);
    assert_eq!(bed.block(&[bundle]).results[0].code, Rejection::BatchSignatureInvalid.number());
}

#[test]
fn one_bad_record_refuses_the_whole_batch_r3() {
    let mut bed = Bed::new();
    let (good, bad) = (bed.coin_of(BANK2, 0), bed.coin_of(BANK2, 1));
    let records = vec![record(good.id, RecordStatus::Frozen), record(bad.id, RecordStatus::Disputed)];
    assert_eq!(bed.confirm(records), Rejection::RecordChangeForbidden.number());
    assert_eq!(bed.state.coins[&good.id].status, CoinStatus::Live);
    assert_eq!(bed.ledger.log_size, 21);
}

#[test]
fn two_batches_in_one_block_build_on_each_other_and_share_one_state_leaf_l1() {
    let mut bed = Bed::new();
    let coin = bed.coin_of(BANK2, 0);
    let first = bed.sign(bed.batch(vec![record(coin.id, RecordStatus::Frozen)]));
    let mut second = bed.batch(vec![live(coin.id)]);
    (second.number, second.previous) = (BatchNumber(2), first.batch.hash(&bed.rules.chain));
    let before = bed.ledger.log_size;
    let bundles = [bed.confirmation_after(0, first), bed.confirmation_after(1, bed.sign(second))];
    let applied = bed.block(&bundles);
    assert_eq!(applied.results.iter().map(|result| result.code).collect::<Vec<_>>(), [0, 0]);
    let leaves = leaves_from(&bed, before);
    assert!(matches!(
        leaves[..],
        [LogLeaf::Record { record: Record { status: RecordStatus::Frozen, .. }, .. },
         LogLeaf::Record { record: Record { status: RecordStatus::Live, .. }, .. },
         LogLeaf::State(state)] if state.batch == BatchNumber(2)
    ));
    assert_eq!(bed.state.coins[&coin.id].status, CoinStatus::Live);
    // The later leaf is the coin's.
    assert_eq!(bed.state.record_leaves[&coin.id], before + 1);
    assert!(applied.changes.coins_put.is_empty(), "live before and after");
}

#[test]
fn a_coin_created_confirmed_and_spent_in_one_block_leaves_only_its_record_b7() {
    let mut bed = Bed::new();
    let coin = bed.coin_of(BANK2, 0);
    let first = bed.transfer(BANK2, std::slice::from_ref(&coin), &[(BANK2, 100)]);
    let middle = first.coins[0].clone();
    let second = bed.transfer(BANK2, std::slice::from_ref(&middle), &[(BANK3, 100)]);
    let last = second.coins[0].clone();
    let confirmation = bed.confirmation(bed.batch(vec![live(middle.id)]));
    let bundles =
        [bed.bundle(BANK2, vec![first.seal()]), confirmation, bed.bundle_after(BANK2, 1, vec![second.seal()])];
    let applied = bed.block(&bundles);
    assert_eq!(applied.results.iter().map(|result| result.code).collect::<Vec<_>>(), [0, 0, 0]);
    assert_eq!(applied.changes.coins_put.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [last.id]);
    assert_eq!(applied.changes.coins_deleted, [coin.id]);
    assert_eq!(bed.state.records[&middle.id].status, RecordStatus::Live);
    assert_eq!(bed.confirm(vec![record(middle.id, RecordStatus::Spent)]), 0);
}

#[test]
fn public_events_enter_the_log_with_the_next_accepted_batch_l1() {
    let mut bed = Bed::new();
    let coin = bed.coin_of(BANK2, 0);
    let recover = bed.recover(&[coin], &[(BANK3, 100)]).authorize_by_officers(&bed.rules, &[0, 1]).seal();
    let envelope = recover.id(&bed.rules.chain);
    let bundle = bed.bundle(CENTRAL, vec![recover]);
    bed.block(&[bundle]);
    let line = bed.line_with_new_desk_key(BANK2, "new");
    let update = bed.update(BANK2, line).authorize_by_officers(&bed.rules, &[0, 1]);
    assert_eq!(bed.submit(update), 0);
    let request = bed.request(BANK4, RequestClass::Freeze, "AML-7").authorize_by_officers(&bed.rules, &[0, 2]);
    let ClearContext::Request(context) = &request.core.context else { unreachable!() };
    let asked = context.request;
    assert_eq!(bed.submit(request), 0);
    assert_eq!(bed.ledger.log_size, 21, "nothing but batches appends");
    // A refused batch brings nothing in.
    let mut refused = bed.batch(vec![]);
    refused.number = BatchNumber(5);
    let bundle = bed.confirmation(refused);
    bed.block(&[bundle]);
    assert_eq!(bed.ledger.log_size, 21);

    let overdue = Overdue { envelope: EnvelopeId([5; 32]), submitter: BANK4 };
    let frozen = bed.coin_of(BANK3, 0);
    let mut batch = bed.batch(vec![record(frozen.id, RecordStatus::Frozen)]);
    batch.overdue = List::new(vec![overdue]).unwrap();
    let bundle = bed.confirmation(batch);
    bed.block(&[bundle]);
    let leaves = leaves_from(&bed, 21);
    assert!(matches!(leaves[0], LogLeaf::Record { coin, .. } if coin == frozen.id));
    assert_eq!(leaves[1], LogLeaf::Overdue(overdue));
    assert_eq!(leaves[2], LogLeaf::Recovered { envelope, reason: RecoverReason::Dispute, inputs: 1 });
    assert_eq!(leaves[3], LogLeaf::Participants(bed.ledger.directory.hash(&bed.rules.chain)));
    assert_eq!(leaves[4], LogLeaf::Request(asked));
    assert_eq!(leaves[5], LogLeaf::State(bed.ledger.last_state_leaf));
    assert_eq!(leaves.len(), 6);
    assert_eq!(bed.state.request_leaves.clone().into_iter().collect::<Vec<_>>(), [(25, asked)]);
    let kind = RequestKind { class: asked.class, basis: asked.basis };
    assert_eq!(bed.ledger.requests.clone().into_iter().collect::<Vec<_>>(), [(kind, 1)]);
    assert_eq!(bed.ledger.recovered[&RecoverReason::Dispute], 1);
    assert!(bed.ledger.events_to_log.is_empty());
}

#[test]
fn the_log_always_ends_on_the_state_leaf_of_its_block_l1() {
    let mut bed = Bed::new();
    for step in 0..6u8 {
        if step % 2 == 0 {
            assert_eq!(bed.confirm(vec![]), 0);
        } else {
            bed.block(&[]);
        }
        let last = LogLeaf::from_bytes(&bed.state.log_leaves[&(bed.ledger.log_size - 1)]).unwrap();
        assert_eq!(last, LogLeaf::State(bed.ledger.last_state_leaf));
        let leaf = bed.ledger.last_state_leaf;
        assert_eq!(leaf.batch, bed.ledger.batch);
        assert_eq!(leaf.height == bed.ledger.height, step % 2 == 0);
        if leaf.height == bed.ledger.height {
            assert_eq!((leaf.map_root, leaf.time_ms), (bed.ledger.map_root, bed.ledger.time_ms));
        }
        assert_eq!(leaf.set_hash, bed.ledger.validators.set.hash(&bed.rules.chain));
        let root = log::root(&bed.state, bed.ledger.log_size).unwrap();
        assert_eq!(TreeRoot(root), bed.ledger.log_root);
    }
}

#[test]
fn records_lanes_and_directory_lines_are_proved_by_the_map_l4() {
    let mut bed = Bed::new();
    let coin = bed.coin_of(BANK2, 0);
    assert_eq!(bed.confirm(vec![record(coin.id, RecordStatus::Frozen)]), 0);
    let line = bed.line_with_new_desk_key(BANK3, "new");
    let update = bed.update(BANK3, line).authorize_by_officers(&bed.rules, &[0, 1]);
    assert_eq!(bed.submit(update), 0);
    let registration = ParticipantNumber::REGISTRATION;
    let entries = [
        (map::key_hash(EntryType::Record, &coin.id.0), bed.state.records[&coin.id].to_bytes()),
        (map::key_hash(EntryType::Lane, &BANK3.to_bytes()), bed.ledger.lane(BANK3).to_bytes()),
        (map::key_hash(EntryType::Lane, &registration.to_bytes()), bed.ledger.lane(registration).to_bytes()),
        (map::key_hash(EntryType::Participant, &BANK3.to_bytes()), bed.ledger.directory.get(BANK3).unwrap().to_bytes()),
        (map::key_hash(EntryType::Participant, &BANK4.to_bytes()), bed.ledger.directory.get(BANK4).unwrap().to_bytes()),
    ];
    let version = Version::after_height(bed.ledger.height.0);
    for (key, value) in entries {
        let found = map::prove(&bed.state, version, &key).unwrap();
        assert_eq!(found.value.as_ref(), Some(&value));
        verify_inclusion(&bed.ledger.map_root.0, &key, &map::value_hash(&value), &found.proof).unwrap();
    }
    // Never served: not there.
    let key = map::key_hash(EntryType::Lane, &BANK4.to_bytes());
    assert_eq!(map::prove(&bed.state, version, &key).unwrap().value, None);
}

#[test]
fn a_new_registration_key_binds_from_the_next_height() {
    let mut bed = Bed::new();
    let mut line = bed.ledger.directory.get(CENTRAL).unwrap().clone();
    line.central_bank.as_mut().unwrap().registration = public("new registration");
    let update = bed.update(CENTRAL, line).authorize_by_officers(&bed.rules, &[0, 1]).seal();
    let first = bed.sign(bed.batch(vec![]));
    let mut second = bed.batch(vec![]);
    (second.number, second.previous) = (BatchNumber(2), first.batch.hash(&bed.rules.chain));
    let under_old_key = bed.sign(second.clone());
    let under_new_key = second.sign(&bed.rules.chain, &key("new registration"));
    let applied = bed.block(&[bed.bundle(CENTRAL, vec![update]), bed.confirmation_after(0, first)]);
    assert_eq!(applied.results.iter().map(|result| result.code).collect::<Vec<_>>(), [0, 0]);
    let bundle = bed.confirmation_after(0, under_old_key);
    assert_eq!(bed.block(&[bundle]).results[0].code, Rejection::BatchSignatureInvalid.number());
    let registration = ParticipantNumber::REGISTRATION;
    let lane = bed.ledger.lane(registration);
    let slot = Slot { submitter: registration, incarnation: lane.incarnation, sequence: lane.next_sequence };
    let bundle = Bundle::sign_confirmation(&bed.rules.chain, slot, under_new_key, &key("new registration")).unwrap();
    assert_eq!(bed.block(&[Arc::new(bundle)]).results[0].code, 0);
}

#[test]
fn totals_move_when_registration_settles_r6() {
    let mut bed = Bed::new();
    let issue = bed.issue(2, 0, &[(BANK2, 500), (BANK2, 250)]).authorize_by_issue_key(&bed.rules).seal();
    let redeem = bed.redeem(&[bed.coin_of(CENTRAL, 0)], 30, &[(CENTRAL, 70)]).authorize_by_issue_key(&bed.rules).seal();
    let mut ids = [issue.id(&bed.rules.chain), redeem.id(&bed.rules.chain)];
    ids.sort();
    let bundle = bed.bundle(CENTRAL, vec![issue, redeem]);
    bed.block(&[bundle]);
    assert_eq!((bed.ledger.issued, bed.ledger.redeemed), (2_000, 0));
    assert_eq!(bed.state.pending.len(), 2);
    let mut batch = bed.batch(vec![]);
    batch.settled = List::new(ids.to_vec()).unwrap();
    let bundle = bed.confirmation(batch);
    assert_eq!(bed.block(&[bundle]).results[0].code, 0);
    assert_eq!((bed.ledger.issued, bed.ledger.redeemed), (2_750, 30));
    assert_eq!(bed.ledger.issued_by_series[&SeriesNumber(1)], 2_000);
    assert_eq!(bed.ledger.issued_by_series[&SeriesNumber(2)], 750);
    assert_eq!((bed.ledger.last_state_leaf.issued, bed.ledger.last_state_leaf.redeemed), (2_750, 30));
    assert!(bed.state.pending.is_empty());
}
