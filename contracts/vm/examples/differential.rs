//! The long run of `tests/differential.rs`, a range of seeds after the other, until the log has so many programs:
//! `cargo run --release -p contracts-vm --example differential -- FILE.log 100000000 [THREADS]`
//!
//! A range that was run to its end is a line of the log; a run that was ended goes on behind the last of them. A seed at
//! which machine and walk disagree, or either panics, is told and counted, and the run ends with 1.

#[path = "../tests/naive/mod.rs"]
mod naive;

use contracts_vm::{Frequency, Period};
use std::fs::OpenOptions;
use std::io::Write;
use std::panic::catch_unwind;
use std::process::{Command, ExitCode};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, SystemTime};

const SEEDS: u64 = 1_000_000 / naive::PROGRAMS;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [path, programs, rest @ ..] = &arguments[..] else {
        eprintln!("differential FILE.log PROGRAMS [THREADS]");
        return ExitCode::from(2);
    };
    let wanted: u64 = programs.parse().expect("how many programs");
    let threads: u64 = rest.first().map_or(1, |threads| threads.parse().expect("how many threads"));
    let commit = Command::new("git").args(["describe", "--always", "--dirty", "--exclude=*"]).output();
    let commit = commit.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default();
    let (mut seed, mut done) = logged(&std::fs::read_to_string(path).unwrap_or_default());
    let mut log = OpenOptions::new().create(true).append(true).open(path).expect("the log can be written");
    while done < wanted {
        let seeds = (wanted - done).div_ceil(naive::PROGRAMS).min(SEEDS);
        let began = Instant::now();
        let (seen, disagreements) = run(seed, seed + seeds, threads);
        let line = format!(
            "{{\"date\":\"{}\",\"commit\":\"{commit}\",\"seeds\":[{seed},{}],\"programs\":{},\"evaluations\":{},\
             \"disagreements\":{disagreements}}}\n",
            today(),
            seed + seeds,
            seen.programs,
            seen.evaluations
        );
        log.write_all(line.as_bytes()).and_then(|()| log.sync_data()).expect("the log can be written");
        let us = began.elapsed().as_secs_f64() * 1e6 / seen.programs.max(1) as f64;
        eprint!("{us:.1} us a program: {line}");
        if disagreements > 0 {
            return ExitCode::FAILURE;
        }
        (seed, done) = (seed + seeds, done + seen.programs);
    }
    println!("{done} programs without a disagreement, from seed 0 to {seed}");
    ExitCode::SUCCESS
}

/// Where to go on, and how many programs there are.
fn logged(log: &str) -> (u64, u64) {
    let numbers_behind = |line: &str, key: &str| -> Vec<u64> {
        let behind = line.split_once(key).map_or("", |(_, behind)| behind);
        let numbers = behind.split(|c: char| !c.is_ascii_digit()).map(str::parse);
        numbers.map_while(Result::ok).collect()
    };
    log.lines().fold((0, 0), |(seed, programs), line| {
        match (&numbers_behind(line, "\"seeds\":[")[..], &numbers_behind(line, "\"programs\":")[..]) {
            ([_, end, ..], [more, ..]) => (seed.max(*end), programs + more),
            _ => (seed, programs),
        }
    })
}

/// What was seen, and how many seeds disagreed.
fn run(from: u64, end: u64, threads: u64) -> (naive::Seen, u64) {
    let (next, mut seen, mut disagreements) = (AtomicU64::new(from), naive::Seen::default(), 0);
    std::thread::scope(|scope| {
        let run = || {
            let (mut seen, mut disagreements) = (naive::Seen::default(), 0);
            loop {
                let from = next.fetch_add(1000, Ordering::Relaxed);
                for seed in from..(from + 1000).min(end) {
                    // Its message has been printed.
                    catch_unwind(|| naive::one(seed)).map_or_else(|_| disagreements += 1, |one| seen.add(one));
                }
                if from >= end {
                    return (seen, disagreements);
                }
            }
        };
        let runs: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
        for run in runs {
            let (more, wrong) = run.join().expect("what panics is caught");
            seen.add(more);
            disagreements += wrong;
        }
    });
    (seen, disagreements)
}

#[expect(clippy::disallowed_methods, reason = "the day of the run, for its log")]
fn today() -> String {
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("it is later than 1970");
    Period::containing(Frequency::Daily, since_1970.as_millis() as u64).text(Frequency::Daily)
}
