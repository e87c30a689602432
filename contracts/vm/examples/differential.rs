//! The long run of `tests/differential.rs`: how many programs, from which seed, on how many threads.
//! `cargo run --release -p contracts-vm --example differential -- 1000000 [SEED] [THREADS]`

#[path = "../tests/naive/mod.rs"]
mod naive;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

fn main() {
    let mut arguments = std::env::args().skip(1).map(|number| number.parse::<u64>().expect("a number"));
    let programs = arguments.next().unwrap_or(1_000_000);
    let (seed, threads) = (arguments.next().unwrap_or(0), arguments.next().unwrap_or(1));
    let (began, next) = (Instant::now(), AtomicU64::new(seed));
    let end = seed.checked_add(programs).expect("seeds are 64 bits");
    let mut seen = naive::Seen::default();
    std::thread::scope(|scope| {
        let run = || {
            let mut seen = naive::Seen::default();
            loop {
                let from = next.fetch_add(1000, Ordering::Relaxed);
                if from >= end {
                    return seen;
                }
                (from..(from + 1000).min(end)).for_each(|seed| seen.add(naive::one(seed)));
                if (from - seed) % 1_000_000 == 0 {
                    eprintln!("{} programs, {:.0} s", from - seed, began.elapsed().as_secs_f64());
                }
            }
        };
        let runs: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
        runs.into_iter().for_each(|run| seen.add(run.join().expect("no disagreement")));
    });
    let seconds = began.elapsed().as_secs_f64();
    println!(
        "{seen:?} from seed {seed} in {seconds:.1} s: {:.0} programs a second, no disagreement",
        programs as f64 / seconds
    );
}
