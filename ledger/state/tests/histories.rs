//! Generated histories: a naive ledger replays every block and agrees on every verdict, every coin, the supply and the roots; a
//! second instance, which gets the bundles as bytes, computes the same.
//!
//! The seed is fixed, so that a run is repeatable and its coverage can be asserted; `HISTORY_SEED=n` explores others.

use crate::common;
#[path = "histories/naive.rs"]
mod naive;
#[path = "histories/plan.rs"]
mod plan;
#[path = "histories/player.rs"]
mod player;

use common::*;
use ledger_state::{ApplyError, Ledger, Rules};
use ledger_tree::map::{self, EntryType, Version};
use ledger_types::block::{EnvelopeResult, results_root};
use ledger_types::bundle::Bundle;
use ledger_types::coin::CoinStatus;
use ledger_types::confirmation::RecordStatus;
use ledger_types::encoding::{Decode, Encode};
use ledger_types::ids::*;
use ledger_types::log_leaf::LogLeaf;
use ledger_types::rejection::Rejection;
use naive::Naive;
use plan::{BlockDefect, BlockPlan};
use player::Player;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

const HISTORIES: u32 = 220;

/// What the histories met, over all of them.
#[derive(Default)]
struct Coverage {
    blocks: u64,
    results: BTreeMap<u16, u64>,
    refusals: BTreeMap<u16, u64>,
    too_late: u64,
    hand_overs: u64,
    new_rules: u64,
}

#[test]
fn a_naive_ledger_agrees_with_every_verdict_status_and_total_over_generated_histories() {
    let seed: u64 = std::env::var("HISTORY_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(0);
    let mut seed_bytes = [0; 32];
    seed_bytes[..8].copy_from_slice(&seed.to_le_bytes());
    // A history takes about 0.1 s: a failing one is made shorter for a minute, not for an hour.
    let config = Config { cases: HISTORIES, failure_persistence: None, max_shrink_iters: 400, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &seed_bytes));
    let coverage = RefCell::new(Coverage::default());
    let outcome = runner.run(&plan::history(), |history| {
        play(&history, &mut coverage.borrow_mut());
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("HISTORY_SEED={seed}: {failure}");
    }
    let coverage = coverage.into_inner();
    println!("{} blocks, results {:?}, refused {:?}", coverage.blocks, coverage.results, coverage.refusals);
    assert!(coverage.blocks >= 20 * u64::from(HISTORIES));
    assert!(coverage.too_late > 0 && coverage.hand_overs > 0 && coverage.new_rules > 0);
    assert_eq!(coverage.refusals.keys().copied().collect::<Vec<_>>(), [2, 6, 7, 8]);
    // Signed bundles cannot hold a malformed envelope, and without contracts no coin has terms; 60 and above are theirs alone.
    let unreachable = [Rejection::Malformed, Rejection::InputTermsNotAllowed];
    let of_contracts = |rejection: &&Rejection| rejection.number() >= 60;
    let others = Rejection::ALL.iter().filter(|rejection| !of_contracts(rejection) && !unreachable.contains(rejection));
    let expected: BTreeSet<u16> = others.map(|rejection| rejection.number()).collect();
    let met: BTreeSet<u16> =
        coverage.results.keys().copied().filter(|code| *code != EnvelopeResult::ACCEPTED).collect();
    assert_eq!(met, expected);
}

fn naive_of(rules: &Rules) -> Naive {
    let mut naive = Naive {
        chain: rules.chain,
        genesis: rules.genesis.clone(),
        height: 0,
        time: rules.genesis.time_ms,
        coins: Default::default(),
        records: Default::default(),
        unsettled: Default::default(),
        overdue: Default::default(),
        issue_numbers: rules.genesis.series.iter().map(|series| (series.number.0, 0)).collect(),
        lanes: Default::default(),
        lines: rules.genesis.directory.iter().cloned().collect(),
        batch: 0,
        batch_hash: BatchHash(empty_batch_hash(rules)),
        issued: Default::default(),
        redeemed: 0,
        log: vec![],
        events: vec![],
        used: Default::default(),
        requests: Default::default(),
        delta: [0; 32],
        skipped: vec![],
        validators: rules.genesis.directory.validators(),
        hand_overs: 0,
        pending: None,
        ordered: Default::default(),
        rules: 1,
        next_rules: None,
        rules_ordered: Default::default(),
    };
    for line in &rules.genesis.preissues {
        for index in 0..line.count {
            let number = naive.issue_numbers.get_mut(&line.series.0).unwrap();
            let opening = line.opening(&rules.chain, rules.genesis.currency, index);
            let origin = ledger_types::coin::issue_origin(&rules.chain, line.series, *number);
            let coin = opening.coin_id(&rules.chain, &origin, 0, line.bank);
            *number += 1;
            let record = ledger_types::confirmation::Record {
                status: RecordStatus::Live,
                batch: BatchNumber(0),
                height: Height(0),
                time_ms: rules.genesis.time_ms,
                contract: ContractNumber(0),
                failed_check: 0,
                tag: opening.owner_tag(&rules.chain, &coin),
            };
            naive.coins.insert(coin, CoinStatus::Live);
            naive.records.insert(coin, vec![record]);
            naive.log.push(Some(LogLeaf::Record { coin, record }));
            *naive.issued.entry(line.series.0).or_default() += u128::from(line.amount.0);
        }
    }
    naive.log.push(None);
    naive
}

/// The documented one of batch 0: number 0, previous zero, four empty lists.
fn empty_batch_hash(rules: &Rules) -> [u8; 32] {
    rules.chain.hash(ledger_types::Tag::Batch, &[&[0; 8 + 32 + 4 * 2]])
}

fn play(history: &[BlockPlan], coverage: &mut Coverage) {
    let mut bed = Bed::with_small_limits();
    bed.rules.known = RulesVersion(u8::MAX);
    let mut second = bed.clone();
    let mut naive = naive_of(&bed.rules);
    let mut player = Player::new(&bed);
    agree(&bed, &naive);
    for plan in history {
        let bundles = player.bundles(&mut bed, &naive, plan);
        let step = if plan.defect == BlockDefect::TimeStandsStill { 0 } else { u64::from(plan.time_step_ms) };
        let time_ms = bed.ledger.time_ms + step;
        let expected = naive.block(time_ms, &bundles);
        let applied = match (bed.try_block_at(time_ms, &bundles), expected) {
            (Err(ApplyError::Refused(refusal)), Err(number)) => {
                assert_eq!(refusal.number(), number, "{plan:?}");
                *coverage.refusals.entry(number).or_default() += 1;
                continue;
            }
            (Ok(applied), Ok(codes)) => {
                let found: Vec<u16> = applied.results.iter().map(|result| result.code).collect();
                assert_eq!(found, codes, "{plan:?}");
                applied
            }
            (found, expected) => panic!("{plan:?}: {found:?}, the naive ledger says {expected:?}"),
        };
        coverage.blocks += 1;
        coverage.hand_overs += u64::from(applied.changes.hand_over.is_some());
        coverage.new_rules += u64::from(naive.rules > 1);
        coverage.too_late += applied.too_late.len() as u64;
        applied.results.iter().for_each(|result| *coverage.results.entry(result.code).or_default() += 1);

        let ids: Vec<EnvelopeId> = bundles.iter().flat_map(|bundle| bundle.ids().to_vec()).collect();
        assert!(applied.results.iter().map(|result| result.envelope).eq(ids));
        assert_eq!(applied.header.results_root, results_root(&bed.rules.chain, &applied.results));
        assert_eq!(applied.header.state_root, naive.state_root(&applied.header.map_root));
        assert_eq!(applied.too_late, naive.skipped);
        assert_eq!(applied.header.version.0, naive.rules);

        // B-1: who gets the same bundles over the wire, with a ledger read back from disk, computes the same bytes.
        let parse = |bundle: &Arc<Bundle>| Arc::new(Bundle::parse(&second.rules.chain, &bundle.to_bytes()).unwrap());
        let replayed: Vec<Arc<Bundle>> = bundles.iter().map(parse).collect();
        second.ledger = Ledger::from_bytes(&second.ledger.to_bytes()).unwrap();
        let again = second.try_block_at(time_ms, &replayed).unwrap();
        assert_eq!(again, applied);
        bed.write(&applied);
        second.write(&again);
        agree(&bed, &naive);
    }
    assert_eq!(bed.state, second.state);
    map_holds_what_the_naive_ledger_knows(&bed, &naive);
}

#[track_caller]
fn agree(bed: &Bed, naive: &Naive) {
    let (state, ledger) = (&bed.state, &bed.ledger);
    let coins: BTreeMap<CoinId, CoinStatus> = state.coins.iter().map(|(id, coin)| (*id, coin.status)).collect();
    assert_eq!(coins, naive.coins.iter().map(|(id, status)| (*id, *status)).collect());
    let last = naive.records.iter().map(|(id, records)| (*id, *records.last().unwrap())).collect();
    assert_eq!(state.records, last);
    assert_eq!(state.pending.len(), naive.unsettled.len());
    assert_eq!((ledger.issued, ledger.redeemed), (naive.issued.values().sum(), naive.redeemed));
    for (series, issued) in &naive.issued {
        assert_eq!(ledger.issued_by_series[&SeriesNumber(*series)], *issued);
    }
    let requests = ledger.requests.iter().map(|(kind, count)| ((kind.class as u8, kind.basis.to_string()), *count));
    assert_eq!(requests.collect::<HashMap<_, _>>(), naive.requests);
    assert_eq!(ledger.height.0, naive.height);
    assert_eq!((ledger.batch.0, ledger.batch_hash), (naive.batch, naive.batch_hash));
    assert_eq!(ledger.delta, naive.delta);
    let overdue: BTreeSet<_> = ledger.overdue.iter().map(|entry| (entry.envelope, entry.submitter.0)).collect();
    assert_eq!(overdue, naive.overdue.iter().copied().collect());
    for (submitter, lane) in &ledger.lanes {
        let lane = (lane.incarnation, lane.next_sequence, lane.served_at.0, lane.refused_bytes);
        assert_eq!(naive.lanes[&submitter.0], lane);
    }
    assert_eq!(ledger.lanes.len(), naive.lanes.len());
    assert!(ledger.directory.iter().eq(naive.lines.iter()));
    assert_eq!(ledger.participants_hash, ledger.directory.hash(&naive.chain));
    assert_eq!((&*ledger.validators.set, ledger.validators.hand_overs), (&naive.validators, naive.hand_overs));
    assert_eq!(ledger.set_hash, naive.validators.hash(&naive.chain));
    assert_eq!(ledger.events_to_log, naive.events);
    assert_eq!(ledger.log_size, naive.log.len() as u64);
    for (expected, bytes) in naive.log.iter().zip(state.log_leaves.values()).rev().take(40) {
        match (expected, LogLeaf::from_bytes(bytes).unwrap()) {
            (None, LogLeaf::State(_)) => {}
            (Some(expected), found) => assert_eq!(*expected, found),
            (None, found) => panic!("{found:?} in place of a state leaf"),
        }
    }
}

/// L-4: the map of the whole history is the map of its outcome.
fn map_holds_what_the_naive_ledger_knows(bed: &Bed, naive: &Naive) {
    let mut entries = BTreeMap::new();
    for (coin, records) in &naive.records {
        entries.insert(map::key_hash(EntryType::Record, &coin.0), Some(records.last().unwrap().to_bytes()));
    }
    for line in &naive.lines {
        entries.insert(map::key_hash(EntryType::Participant, &line.number.to_bytes()), Some(line.to_bytes()));
    }
    for (submitter, (incarnation, next, served_at, refused)) in &naive.lanes {
        let mut lane = incarnation.to_le_bytes().to_vec();
        [next, served_at, refused].iter().for_each(|number| lane.extend(number.to_le_bytes()));
        entries.insert(map::key_hash(EntryType::Lane, &submitter.to_le_bytes()), Some(lane));
    }
    for (number, (outgoing, incoming, binds_at)) in &naive.ordered {
        let value = [outgoing.to_bytes(), incoming.to_bytes(), binds_at.to_bytes()].concat();
        entries.insert(map::key_hash(EntryType::HandOver, &number.to_le_bytes()), Some(value));
    }
    for (version, begins) in &naive.rules_ordered {
        let begins = begins.to_le_bytes().to_vec();
        entries.insert(map::key_hash(EntryType::Rules, &version.to_le_bytes()), Some(begins));
    }
    let empty = ledger_state::memory::MemoryState::default();
    let at_once = map::update(&empty, None, Version::after_height(0), entries).unwrap();
    assert_eq!(TreeRoot(at_once.root), bed.ledger.map_root);
}
