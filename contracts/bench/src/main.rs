//! The policy machine beside what a user would take instead: the same five policies in CEL, in Rhai and, compiled from Rust, in
//! WebAssembly under wasmi; one run, one machine, one profile.
//!
//! Before the clock starts, all engines must give the same verdict and the same rate for every case. An evaluation is one
//! verdict and one rate of one case, from the program as it was loaded: nothing of a case is worked out before the clock.
//! `wasmi` does the whole of each policy, as ours does (`equivalent/policies.rs`), but for the sector's place in the list.
//! CEL and Rhai are spared the age of each feed's newest value, whether its periods follow each other, month and day of the
//! week, terms on the calendar; they call native functions for quotients, products, means and rounding, and find their variables
//! bound. `wat` is spared as much, and written by hand: what wasmi could do at best, beside no equivalent. `assay+receipt` also
//! states the fuel and lists the readings, which none of the others can. The row `nothing` is a policy that asks nothing: what
//! a call costs, whatever is called.
//!
//! The bars are those of the project's issue 4; a bar that is missed ends the run with 6.

mod cel_engine;
mod compiled_engine;
mod fuel;
mod ours;
mod policies;
mod rhai_engine;
mod wasm_engine;

use policies::{Case, NOTHING, POLICIES, Text};
use std::hint::black_box;
use std::process::ExitCode;
use std::time::Instant;

/// What an engine makes of a policy.
pub trait Engine {
    /// Whether the loan is permitted, and the rate in hundredths of a basis point.
    fn run(&mut self) -> (bool, i64);
    /// The next evaluations are of this case. Not timed.
    fn bind(&mut self, case: &Case);
}

type Make = fn(&Text) -> Box<dyn Engine>;
const ENGINES: [(&str, Make); 7] = [
    ("assay", ours::make),
    ("assay+receipt", ours::make_with_receipt),
    ("wasmi", compiled_engine::make),
    ("wasmi+fuel", compiled_engine::make_metered),
    ("cel", cel_engine::make),
    ("rhai", rhai_engine::make),
    ("wat", wasm_engine::make),
];

/// Ours come first, what is spared and no equivalent comes last.
const OTHERS: std::ops::Range<usize> = 2..6;

const ROUNDS: usize = 15;
const ROUND_NS: u128 = 10_000_000;

/// Median over the rounds, nanoseconds for one call.
fn median_ns(mut call: impl FnMut()) -> f64 {
    let mut calls: u32 = 1;
    loop {
        let begun = Instant::now();
        (0..calls).for_each(|_| call());
        let took = begun.elapsed().as_nanos();
        if took >= ROUND_NS || calls > 1 << 28 {
            break;
        }
        calls = calls.saturating_mul(2);
    }
    let mut rounds: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let begun = Instant::now();
            (0..calls).for_each(|_| call());
            begun.elapsed().as_nanos() as f64 / f64::from(calls)
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    rounds[ROUNDS / 2]
}

fn main() -> ExitCode {
    let mut missed = Vec::new();
    let names = || ENGINES.iter().map(|(name, _)| (*name).to_owned());
    println!("{}  fastest/assay  wat/assay", line("ns an evaluation", names()));
    for text in POLICIES.iter().chain([&NOTHING]) {
        let cases = text.cases();
        let mut engines: Vec<Box<dyn Engine>> = ENGINES.iter().map(|(_, make)| make(text)).collect();
        let mut permits = 0;
        for case in &cases {
            let found: Vec<(bool, i64)> = engines
                .iter_mut()
                .map(|engine| {
                    engine.bind(case);
                    engine.run()
                })
                .collect();
            for ((name, _), other) in ENGINES.iter().zip(&found) {
                assert_eq!(*other, found[0], "{} and {name} disagree: {case:?}", text.name);
            }
            permits += usize::from(found[0].0);
        }
        let is_policy = text.name != NOTHING.name;
        assert!(!is_policy || (permits > 0 && permits < cases.len()), "{}: both verdicts are tried", text.name);
        let mut took = Vec::new();
        for engine in &mut engines {
            // Over all cases in turn, so that no branch is learnt by heart.
            let each = cases.iter().step_by(cases.len().div_ceil(32)).map(|case| {
                engine.bind(case);
                median_ns_short(&mut || {
                    black_box(engine.run());
                })
            });
            let each: Vec<f64> = each.collect();
            took.push(each.iter().sum::<f64>() / each.len() as f64);
        }
        let fastest = took[OTHERS].iter().copied().fold(f64::INFINITY, f64::min);
        let ratio = fastest / took[0];
        let told = line(text.name, took.iter().map(|ns| format!("{ns:.0}")));
        let by_hand = took[OTHERS.end] / took[0];
        println!("{told}  {ratio:>12.1}x  {by_hand:>8.1}x  {} cases, {permits} permitted", cases.len());
        if is_policy && ratio < 10.0 {
            missed.push(format!("{}: {ratio:.1} times as fast as the fastest other; the bar is 10", text.name));
        }
        if text.name == "combined" && took[0] > 1_000.0 {
            missed.push(format!("combined: {:.0} ns an evaluation; the bar is 1000", took[0]));
        }
    }

    println!("\n{}", line("us to compile", names()));
    for text in &POLICIES {
        let took: Vec<f64> =
            ENGINES.iter().map(|(_, make)| median_ns(|| drop(black_box(make(black_box(text))))) / 1_000.0).collect();
        println!("{}", line(text.name, took.iter().map(|us| format!("{us:.0}"))));
        if took[0] > 1_000.0 {
            missed.push(format!("{}: {:.0} us to compile; the bar is 1000", text.name, took[0]));
        }
    }

    let ms = median_ns(|| drop(black_box(ours::back_test()))) / 1e6;
    println!("\nback-test of 203 quarters, from the table's bytes to report and chart: {ms:.2} ms");
    if ms > 50.0 {
        missed.push(format!("back-test: {ms:.2} ms; the bar is 50"));
    }

    let mut per_fuel = fuel::per_fuel(|call| median_ns(call));
    per_fuel.sort_by(|(_, one), (_, other)| one.total_cmp(other));
    let (worst, dearest) = per_fuel[per_fuel.len() - 1];
    let ratio = dearest / per_fuel[per_fuel.len() / 2].1;
    let told: Vec<String> = per_fuel.iter().map(|(name, ns)| format!("{name} {ns:.2}")).collect();
    println!("ns for one fuel: {}; the dearest is {ratio:.1} times the median", told.join(", "));
    if ratio > 5.0 {
        missed.push(format!("{worst}: {ratio:.1} times the median time for its fuel; the bar is 5"));
    }
    missed.iter().for_each(|missed| println!("MISSED  {missed}"));
    if missed.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(6) }
}

fn line(name: &str, cells: impl Iterator<Item = String>) -> String {
    cells.fold(format!("{name:<16}"), |line, cell| format!("{line}{cell:>14}"))
}

/// The same for one of many cases.
fn median_ns_short(call: &mut dyn FnMut()) -> f64 {
    const CALLS: u32 = 2_000;
    (0..CALLS).for_each(|_| call());
    let mut rounds: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let begun = Instant::now();
            (0..CALLS).for_each(|_| call());
            begun.elapsed().as_nanos() as f64 / f64::from(CALLS)
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    rounds[ROUNDS / 2]
}
