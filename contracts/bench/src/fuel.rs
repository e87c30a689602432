//! Whether fuel measures time: programs of one kind of line each, over readings and loans that are as wide as they can
//! be, as long as the bounds of a program allow. The dearest kind may take five times as long for its fuel as the median.

use contracts_vm::{Activation, Period, Program, Reading, Readings, SectorCode, Verdict};
use std::hint::black_box;

const NOW_MS: u64 = 1_780_000_000_000;

/// Far from zero and from each other, none of which an instruction refuses.
struct Wide;

impl Readings for Wide {
    fn reading(&self, _: usize, back: u16) -> Option<Reading> {
        let value = i64::MAX / 1_000_000 - i64::from(back) * 1_000_003;
        let period = Period(8_000 - i32::from(back));
        Some(Reading { period, vintage: 1, value, published_ms: NOW_MS, valid_until_ms: u64::MAX })
    }
}

/// Lines of activation code without their numbers, `#` for the count of the line.
const KINDS: [(&str, &str); 12] = [
    ("level", "level 0 #; level 0 0; at_most"),
    ("change", "change 0 #; push index.0 0; at_least"),
    ("growth", "growth 0 #; push rate 0; at_least"),
    ("average", "average 0 #; level 0 0; at_most"),
    ("highest", "highest 0 #; level 0 0; at_most"),
    ("rises", "rises 0 #"),
    ("times", "loan_rate; times 1000000; times 999999; times 1000000; times 999999; loan_rate; at_most"),
    ("sum", "loan_rate; push spread 1; subtract; push spread 1; add; loan_rate; at_most"),
    ("months", "loan_term; months 2148; at_most"),
    ("calendar", "month_in 4095; weekday_in 127; and"),
    ("sector", "sector_in 0xf"),
    ("time", "time_from 0; time_until 2932896; and"),
];

/// Nanoseconds for one fuel, of each kind.
pub fn per_fuel(median_ns: impl Fn(&mut dyn FnMut()) -> f64) -> Vec<(&'static str, f64)> {
    let loan = Activation { time_ms: NOW_MS, sector: SectorCode(0x4101), loan_rate: i64::MAX / 2, term_days: 365 };
    let measured = KINDS.iter().map(|(name, line)| {
        let program = (1..).map_while(|lines| program(line, lines)).last().expect("one line is a program");
        let evaluation = program.activate(&loan, &Wide);
        assert!(matches!(evaluation.value, Verdict::Permit { .. }), "{name}: {:?}", evaluation.value);
        let ns = median_ns(&mut || {
            black_box(program.verdict(black_box(&loan), &Wide));
        });
        (*name, ns / f64::from(evaluation.fuel))
    });
    measured.collect()
}

/// None if so many lines are too many.
fn program(line: &str, lines: usize) -> Option<Program> {
    let mut code = Vec::new();
    for count in 1..=lines {
        let line = line.replace('#', &((count - 1) % 63 + 1).to_string());
        code.extend(line.split("; ").map(str::to_owned));
        code.push("deny_unless 7 1".to_owned());
    }
    code.push("permit".to_owned());
    let periods = code.iter().filter_map(|line| {
        let mut words = line.split(' ');
        let before = match words.next()? {
            "level" | "change" | "growth" | "rises" => 1,
            "average" | "highest" => 0,
            _ => return None,
        };
        words.nth(1)?.parse::<u16>().ok().map(|periods| periods + before)
    });
    let feed = periods.max().map_or(String::new(), |periods| {
        format!("feed f monthly index.0 scale 0 age 40 latest stale deny periods {periods}\n")
    });
    let mut text = format!("policy p version 1\ncurrency CNY idle 1 due 0\nclamp 0 0 step 1\n{feed}activation\n");
    code.iter().enumerate().for_each(|(at, line)| text += &format!("{at} {line}\n"));
    text += "return\n0 push rate 0\n1 pay\n";
    Program::assemble(&text).ok()
}
