//! Nanoseconds of each step for the example policies: `cargo run --release -p contracts-vm --example speed`.

use contracts_vm::{
    Activation, Package, Period, Program, Reading, Readings, Return, SectorCode, Verdict, check, policy_of,
};
use std::hint::black_box;
use std::time::Instant;

const NOW_MS: u64 = 1_780_000_000_000;

/// As a ledger would hold them: a table.
struct Table(Vec<Vec<Reading>>);

impl Readings for Table {
    fn reading(&self, feed: usize, back: u16) -> Option<Reading> {
        self.0.get(feed)?.get(usize::from(back)).copied()
    }
}

fn nanoseconds(times: u32, mut what: impl FnMut()) -> f64 {
    let mut best = f64::MAX;
    for _ in 0..5 {
        let began = Instant::now();
        (0..times).for_each(|_| what());
        best = best.min(began.elapsed().as_nanos() as f64 / f64::from(times));
    }
    best
}

fn main() {
    for name in ["time", "sector", "loan-rate", "economic-state", "second-fall", "combined"] {
        let path = format!("{}/../policies/{name}.policy", env!("CARGO_MANIFEST_DIR"));
        let source = std::fs::read_to_string(path).expect("the policy is there");
        let program = policy_of(&source).expect("a policy").compile();
        let series = |feed: &contracts_vm::FeedUse| {
            let reading = |back| Reading {
                period: Period(8000 - back),
                vintage: 0,
                value: 345 * 10_i64.pow(feed.scale.into()) / 100 + i64::from(back),
                published_ms: NOW_MS,
                valid_until_ms: u64::MAX,
            };
            (0..64).map(reading).collect()
        };
        let table = Table(program.feeds().iter().map(series).collect());
        let sector = SectorCode::parse(if name == "sector" { "F41" } else { "A01" }).expect("a code");
        let time_ms = if name == "sector" { 1_200_000_000_000 } else { NOW_MS };
        let context = Activation { time_ms, sector, loan_rate: 30_000, term_days: 200 };
        let back = Return { activated_ms: NOW_MS - 86_400_000, time_ms };
        let permits = matches!(program.activate(&context, &table).value, Verdict::Permit { .. });
        let activate = nanoseconds(200_000, || _ = black_box(program.verdict(black_box(&context), &table)));
        let pay = nanoseconds(200_000, || _ = black_box(program.rate(black_box(&back), &table)));
        let compile =
            nanoseconds(500, || drop(black_box(policy_of(black_box(&source)).map(|policy| policy.compile()))));
        let checked = nanoseconds(50, || drop(black_box(check(black_box(&source)))));
        let package = nanoseconds(200, || drop(black_box(Package::of(black_box(&source)))));
        let bytes = program.to_bytes();
        let verify = nanoseconds(500, || drop(black_box(Program::from_bytes(black_box(&bytes)))));
        println!(
            "{name:16} activate {activate:5.0} ns (permits: {permits}), return {pay:5.0} ns; source to program {:.1} \
             µs, with findings {:.1} µs, package {:.1} µs, bytes to program {:.1} µs",
            compile / 1e3,
            checked / 1e3,
            package / 1e3,
            verify / 1e3
        );
    }
}
