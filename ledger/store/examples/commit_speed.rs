//! What a height costs at 10^6 coins and more:
//! `cargo run --release -p ledger-store --example commit_speed [coins] [heights] [registered]`.
//!
//! Each height holds 2,000 envelopes with one input and two outputs; with `registered` also the batch of the three records of
//! each envelope of the height before. Printed are microseconds an envelope for storing bundles, executing on the stored
//! state, and committing, by the clock and as time on a processor, which another load of the machine does not touch as much; what
//! other threads of the store took; and the memory in use.

#[path = "../tests/common/mod.rs"]
mod common;

use std::time::{Duration, Instant};

use common::bed::{self, BANK2, BANK3, BANK4, BANK5, Bed, KnownCoin, certificates};
use common::{VALIDATORS, precommits};
use ledger_state::{CandidateBlock, Rules, apply, preissued_coins};
use ledger_store::{CommittedHeight, Store, StoreOptions};
use ledger_types::block::Block;
use ledger_types::confirmation::RecordStatus;
use ledger_types::encoding::List;

const ENVELOPES: usize = 2_000;
const BANKS: [ledger_types::ParticipantNumber; 4] = [BANK2, BANK3, BANK4, BANK5];

fn main() {
    let mut arguments = std::env::args().skip(1);
    let coins: u32 = arguments.next().map_or(1_000_000, |text| text.parse().expect("a number of coins"));
    let heights: usize = arguments.next().map_or(100, |text| text.parse().expect("a number of heights"));
    let is_registered = arguments.next().is_some_and(|text| text == "registered");

    let mut genesis = bed::genesis(BANKS.map(|bank| bed::preissue(bank, coins / 4)).to_vec());
    genesis.bytes_per_submitter_per_height = 16 << 20;
    genesis.expiry_window_ms = 86_400_000;
    let rules = Rules::new(genesis.clone());
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("ledger");
    let (store, spent) =
        timed(|| Store::open(&path, genesis.clone(), StoreOptions::default(), None).expect("a new store"));
    println!("genesis of {coins} coins: {:.1} s, {}", spent.clock.as_secs_f64(), memory());

    let mut bed = Bed::with_preissues(vec![]);
    bed.rules = rules.clone();
    let (mut put, mut execute, mut commit) = (Vec::new(), Vec::new(), Vec::new());
    let (mut parent_certificate, mut unregistered) = (None, Vec::new());
    let readers = store.readers();
    let known = |coin: ledger_state::PreissuedCoin| KnownCoin {
        id: coin.id,
        opening: coin.opening,
        origin: coin.origin,
        output_index: 0,
        bank: coin.bank,
    };
    // Interleaved, so that each height spends coins of all banks.
    let mut of_bank: Vec<_> = (0..4)
        .map(|bank| preissued_coins(&rules).skip(bank * (coins / 4) as usize).take((coins / 4) as usize).map(known))
        .collect();
    let started = Instant::now();
    let others = || all_on_processor().saturating_sub(on_processor());
    let others_before = others();
    for _ in 0..heights {
        let tip = store.tip();
        bed.ledger = tip.ledger.clone();
        let registered = std::mem::take(&mut unregistered);
        let mut bundles: Vec<_> = (BANKS.iter().zip(&mut of_bank))
            .map(|(bank, coins)| {
                let envelopes = coins.take(ENVELOPES / 4).map(|coin| {
                    let spent = bed::record(coin.id, RecordStatus::Spent);
                    let draft = bed.transfer(*bank, &[coin], &[(BANK3, 60), (*bank, 40)]);
                    if is_registered {
                        unregistered.push(spent);
                        unregistered.extend(draft.coins.iter().map(|coin| bed::live(coin.id)));
                    }
                    draft.seal()
                });
                let envelopes = envelopes.collect();
                bed.bundle(*bank, envelopes)
            })
            .collect();
        if !registered.is_empty() {
            bundles.push(bed.confirmation(bed.batch(registered)));
        }
        let ((), spent) = timed(|| store.bundles().put(&bundles).expect("bundles are stored"));
        put.push(spent);
        let certificates = certificates(&bundles);
        let candidate = CandidateBlock {
            height: tip.ledger.height.next(),
            time_ms: tip.ledger.time_ms + 1_000,
            certificates: &certificates,
            bundles: &bundles,
            parent_round: 0,
        };
        let (applied, spent) = timed(|| {
            let snapshot = readers.snapshot().expect("a snapshot");
            apply(&rules, &tip.ledger, &snapshot, candidate).expect("the block is right")
        });
        assert!(applied.results.iter().all(|result| result.code == 0));
        execute.push(spent);
        let block = Block {
            header: applied.header.clone(),
            certificates: List::new(certificates).expect("four certificates"),
            parent_certificate: parent_certificate.take(),
        };
        let certificate = precommits(&rules.chain, applied.ledger.height, applied.ledger.block, &VALIDATORS);
        let (_, spent) =
            timed(|| store.commit(CommittedHeight { block: &block, certificate: &certificate, applied: &applied }));
        commit.push(spent);
        parent_certificate = Some(certificate);
    }
    println!(
        "{heights} heights of {ENVELOPES} envelopes in {:.1} s (with drafting), {}",
        started.elapsed().as_secs_f64(),
        memory()
    );
    print("store bundles", &mut put);
    print("execute", &mut execute);
    print("commit", &mut commit);
    let others = (others() - others_before).as_secs_f64() * 1e6 / (heights * ENVELOPES) as f64;
    println!(" other threads: {others:6.2} on a processor");
    assert_eq!(store.tip().ledger.height.0, heights as u64);
    // Whoever reads keeps the folder open.
    drop((readers, store));
    let (reopened, spent) =
        timed(|| Store::open(&path, genesis, StoreOptions::default(), None).expect("the store opens again"));
    println!("reopened at height {} in {:.2} s", reopened.tip().ledger.height, spent.clock.as_secs_f64());
}

/// By the clock, and of this thread on a processor.
#[derive(Clone, Copy)]
struct Spent {
    clock: Duration,
    processor: Duration,
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, Spent) {
    let (start, before) = (Instant::now(), on_processor());
    let done = work();
    (done, Spent { clock: start.elapsed(), processor: on_processor() - before })
}

/// Of this thread.
fn on_processor() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split(' ').next().and_then(|number| number.parse().ok()).map_or(Duration::ZERO, Duration::from_nanos)
}

/// Of all threads of this process, those that ended too; in hundredths of a second.
fn all_on_processor() -> Duration {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // Its name is in brackets, and may hold anything; user and system time are the twelfth and thirteenth field after it.
    let fields = text.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: u64 = fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}

fn print(what: &str, times: &mut [Spent]) {
    let per_envelope = |time: Duration| time.as_secs_f64() * 1e6 / ENVELOPES as f64;
    let mean = |of: fn(&Spent) -> Duration| per_envelope(times.iter().map(of).sum()) / times.len() as f64;
    let (clock, processor) = (mean(|spent| spent.clock), mean(|spent| spent.processor));
    times.sort_unstable_by_key(|spent| spent.clock);
    let (median, worst) = (per_envelope(times[times.len() / 2].clock), per_envelope(times[times.len() - 1].clock));
    println!(
        "{what:>14}: {clock:6.2} us an envelope in the mean, {median:6.2} median, {worst:6.2} worst height; \
         {processor:6.2} on a processor"
    );
}

fn memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line =
        |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or(" unknown").trim().to_owned();
    format!("resident {} (peak {})", line("VmRSS:"), line("VmHWM:"))
}
