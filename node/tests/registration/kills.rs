//! Exactly once, whatever dies: a history is run again and again, killed at the first step, the second, the third …

use crate::bed::*;
use crate::world::*;
use ledger_types::confirmation::{Record, RecordStatus};
use ledger_types::{CoinId, OwnerTag};
use std::collections::{BTreeMap, BTreeSet};

/// What of a record does not depend on how often somebody died.
type Said = BTreeMap<CoinId, (RecordStatus, u16, OwnerTag)>;

/// Good payments, one that mints, an early key, an overdue release, change that is spent again, an issue.
async fn history(world: &mut World) {
    let first: Vec<Payment> = {
        let mut bed = world.bed();
        let coins: Vec<KnownCoin> = (0..4).map(|nth| bed.coin_of(BANK2, nth)).collect();
        let number = bed.ledger.issue_numbers[&ledger_types::SeriesNumber(1)];
        let payments = vec![
            bed.pay(BANK2, &coins[..1], &[(BANK3, 60), (BANK2, 40)]),
            bed.pay_spoilt(BANK2, &coins[1..2], &[(BANK3, 100)], Spoilt { minted: 5, ..Spoilt::default() }),
            bed.pay(BANK2, &coins[2..3], &[(BANK4, 100)]),
            bed.issue(number, &[(BANK3, 500)], Spoilt::default()),
        ];
        bed.order(&payments.iter().collect::<Vec<_>>());
        payments
    };
    world.release_by_all(&first[0]);
    world.release_by_all(&first[1]);
    world.release_by_all(&first[3]);
    let early = {
        let mut bed = world.bed();
        let input = bed.coin_of(BANK3, 0);
        bed.pay(BANK3, &[input], &[(BANK4, 100)])
    };
    world.release_by_all(&early);
    world.settle().await;
    world.bed().order(&[&early]);
    world.bed().pass_time(RELEASE_DEADLINE_MS + 1);
    world.settle().await;
    world.release_by_all(&first[2]);
    world.settle().await;
    let again = {
        let mut bed = world.bed();
        let change: Vec<KnownCoin> = first[0].coins.iter().filter(|coin| coin.bank == BANK2).cloned().collect();
        let again = bed.pay(BANK2, &change, &[(BANK4, 40)]);
        bed.order(&[&again]);
        again
    };
    world.release_by_all(&again);
    world.settle().await;
}

fn said(world: &World) -> Said {
    let bed = world.bed();
    let said = |record: &Record| (record.status, record.failed_check, record.tag);
    bed.state.records.iter().map(|(coin, record)| (*coin, said(record))).collect()
}

/// Where in the public log a coin is named, without the genesis's lines.
fn lines(world: &World) -> BTreeMap<CoinId, Vec<u64>> {
    use ledger_types::Decode;
    use ledger_types::log_leaf::LogLeaf;
    let bed = world.bed();
    let mut lines: BTreeMap<CoinId, Vec<u64>> = BTreeMap::new();
    for (index, leaf) in &bed.state.log_leaves {
        if let LogLeaf::Record { coin, .. } = LogLeaf::from_bytes(leaf).unwrap() {
            lines.entry(coin).or_default().push(*index);
        }
    }
    lines
}

fn times_published(world: &World) -> BTreeMap<CoinId, usize> {
    lines(world).into_iter().map(|(coin, places)| (coin, places.len())).collect()
}

#[tokio::test]
async fn killed_at_each_step_registration_and_issuance_release_exactly_once() {
    let mut undisturbed = World::new();
    history(&mut undisturbed).await;
    let (expected, expected_lines) = (said(&undisturbed), times_published(&undisturbed));
    let (issued, redeemed) = {
        let bed = undisturbed.bed();
        assert!(bed.ledger.overdue.is_empty());
        (bed.ledger.issued, bed.ledger.redeemed)
    };
    // All of them, some eighty: a history takes a tenth of a second.
    for step in 0.. {
        let killer = Killer::at(step);
        let mut world = World::killed_by(killer.clone());
        history(&mut world).await;
        assert_eq!(said(&world), expected, "killed at step {step}");
        assert_eq!(
            times_published(&world),
            expected_lines,
            "killed at step {step}: every coin is published as often as without a kill"
        );
        let bed = world.bed();
        assert_eq!((bed.ledger.issued, bed.ledger.redeemed), (issued, redeemed), "killed at step {step}");
        assert!(bed.ledger.overdue.is_empty(), "killed at step {step}");
        drop(bed);
        quiet_issuer(&world);
        assert_eq!(world.spool_files(), 0, "killed at step {step}: nothing is left in the spool");
        if !killer.has_killed() {
            assert!(step > 60, "only {step} steps were interrupted");
            break;
        }
    }
}

#[tokio::test]
async fn a_bank_is_told_that_its_key_may_go_only_after_what_it_opened_is_durable() {
    for step in 0..6 {
        let killer = Killer::at(step);
        let mut world = World::killed_by(killer);
        let payment = {
            let mut bed = world.bed();
            let input = bed.coin_of(BANK2, 0);
            let payment = bed.pay(BANK2, &[input], &[(BANK3, 100)]);
            bed.order(&[&payment]);
            payment
        };
        world.release_by_all(&payment);
        let died = world.try_register().is_err();
        let acknowledged: Vec<_> =
            world.acknowledged.iter().filter(|(_, up_to)| **up_to > 0).map(|(bank, _)| *bank).collect();
        world.kill_registrar();
        // The bank destroys what was acknowledged, and nobody can say it again.
        for bank in &acknowledged {
            world.releases.remove(bank);
        }
        if !acknowledged.is_empty() {
            world.releases.clear();
        }
        let progress = world.settle().await;
        assert_eq!(progress.waiting, 0, "step {step}, died: {died}, acknowledged: {acknowledged:?}");
        assert_eq!(world.bed().record(&payment.coins[0]), Some(RecordStatus::Live));
    }
}

#[tokio::test]
async fn with_issuance_stopped_the_backlog_waits_and_drains_in_order() {
    let mut world = World::new();
    let mut payments = Vec::new();
    for nth in 0..8 {
        let payment = {
            let mut bed = world.bed();
            let input = bed.coin_of(BANK2, nth);
            // Nine records each, of which a batch holds fifty: the backlog takes two batches.
            let outputs = [vec![(BANK3, 30)], vec![(BANK2, 10); 7]].concat();
            let payment = bed.pay(BANK2, &[input], &outputs);
            bed.order(&[&payment]);
            payment
        };
        world.release_by_all(&payment);
        world.register();
        payments.push(payment);
    }
    assert_eq!(world.spool_files(), 8);
    let through = world.register().outbox_sequence;
    world.publish(through).await;
    assert_eq!(world.spool_files(), 0);
    let lines = lines(&world);
    let bed = world.bed();
    let mut drained = Vec::new();
    for payment in &payments {
        assert!(payment.coins.iter().all(|coin| bed.record(coin) == Some(RecordStatus::Live)));
        let batches: BTreeSet<u64> = payment.coins.iter().map(|coin| bed.state.records[&coin.id].batch.0).collect();
        assert_eq!(batches.len(), 1, "an envelope's records are never split");
        let places: Vec<u64> = payment.coins.iter().flat_map(|coin| lines[&coin.id].clone()).collect();
        assert_eq!(places.len(), payment.coins.len(), "each coin has one line in the log");
        drained.push((*batches.first().unwrap(), *places.iter().min().unwrap(), *places.iter().max().unwrap()));
    }
    assert!(drained.first().unwrap().0 < drained.last().unwrap().0, "one batch would show no order");
    for pair in drained.windows(2) {
        let ((batch, _, last), (next_batch, first, _)) = (pair[0], pair[1]);
        // Within a batch the records ascend by coin id.
        assert!(next_batch == batch || (next_batch == batch + 1 && last < first), "{drained:?}");
    }
}
