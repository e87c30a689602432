//! Every instruction at the edges of what it takes, against arithmetic that is wide enough to be plain.

use contracts_vm::calendar::{LAST_DAY, MS_PER_DAY};
use contracts_vm::instruction::TABLE;
use contracts_vm::{
    Activation, DenyReason, Period, Program, Rate, Reading, Readings, Return, SectorCode, SectorSet, Verdict,
};
use std::collections::BTreeSet;

const EDGES: [i64; 15] = [
    i64::MIN,
    i64::MIN + 1,
    -9_223_372_036_855,
    -1_500_000,
    -3,
    -1,
    0,
    1,
    2,
    500_000,
    1_500_000,
    9_223_372_036_854,
    9_223_372_036_855,
    i64::MAX - 1,
    i64::MAX,
];
const NOW_MS: u64 = 1_780_000_000_000;

/// Of each feed its values, newest first, all published at one time.
struct Values<'a>(&'a [&'a [i64]], u64);

impl Readings for Values<'_> {
    fn reading(&self, feed: usize, back: u16) -> Option<Reading> {
        let value = *self.0[feed].get(usize::from(back))?;
        let period = Period(8000 - i32::from(back));
        Some(Reading { period, vintage: 0, value, published_ms: self.1, valid_until_ms: u64::MAX })
    }
}

/// Programs of a few lines, and the instructions that were in them.
#[derive(Default)]
struct Bench {
    tried: BTreeSet<String>,
}

impl Bench {
    /// Feeds 0 to 2 are indices of whole numbers, feed 3 a rate of all its decimals.
    fn program(&mut self, activation: &str, returned: &str, clamp: &str) -> Program {
        let lines = |code: &str| -> Vec<String> { code.split("; ").map(str::to_owned).collect() };
        let (activation, returned) = (lines(activation), lines(returned));
        let periods = |feed: usize| {
            let reads = activation.iter().chain(&returned).filter_map(|line| {
                let words: Vec<&str> = line.split(' ').collect();
                let (of, periods, before) = match words[..] {
                    ["level" | "change" | "growth" | "falls" | "rises", of, periods] => (of, periods, 1),
                    ["average" | "highest" | "lowest", of, periods] => (of, periods, 0),
                    _ => return None,
                };
                (of == feed.to_string()).then(|| periods.parse::<u16>().expect("a number") + before)
            });
            reads.max()
        };
        let mut text = format!("policy p version 1\ncurrency CNY idle 1 due 0\nclamp {clamp}\n");
        for feed in 0..4 {
            let unit = if feed == 3 { "rate scale 4" } else { "index.0 scale 0" };
            // One that nothing reads would be no feed of the program, and feeds are counted: it is read at the end.
            let periods = periods(feed).unwrap_or(1);
            text += &format!("feed f{feed} monthly {unit} age 65535 latest stale deny periods {periods}\n");
        }
        let read_all = "level 0 0; level 1 0; equal; deny_unless 7 2; level 2 0; level 2 0; equal; deny_unless 7 2; \
                        level 3 0; level 3 0; equal; deny_unless 7 2; permit";
        let activation = activation.into_iter().chain(lines(read_all)).collect::<Vec<_>>();
        for (heading, code) in [("activation", &activation), ("return", &returned)] {
            text += heading;
            text += "\n";
            for (at, line) in code.iter().enumerate() {
                self.tried.insert(line.split(' ').next().expect("an instruction").to_owned());
                text += &format!("{at} {line}\n");
            }
        }
        Program::assemble(&text).unwrap_or_else(|wrong| panic!("{wrong}\n{text}"))
    }

    /// The reason with which a test denies that stands in line 1; none if it lets the loan pass to what reads all feeds.
    fn denied(&mut self, code: &str, feeds: &[&[i64]], context: &Activation) -> Option<DenyReason> {
        let program = self.program(code, "push rate 0; pay", "0 0 step 1");
        let readings = Values(feeds, context.time_ms);
        let found = program.activate(context, &readings);
        assert_eq!(program.verdict(context, &readings), found.value);
        assert!(found.fuel <= program.fuel());
        match found.value {
            Verdict::Deny { reason } if !matches!(reason, DenyReason::State { line: 2 }) => Some(reason),
            _ => None,
        }
    }

    /// What the code leaves on the stack, an index: it is compared with what is expected.
    fn gives(&mut self, code: &str, [a, b]: [&[i64]; 2], expected: Option<i64>, otherwise: DenyReason) {
        let code = format!("{code}; level 2 0; equal; deny_unless 7 1");
        let found = self.denied(&code, &[a, b, &[expected.unwrap_or(0)], &[0]], &LOAN);
        assert_eq!(found, if expected.is_some() { None } else { Some(otherwise) }, "{code} of {a:?} and {b:?}");
    }

    /// The same for a rate.
    fn gives_rate(&mut self, code: &str, a: &[i64], expected: Option<i64>, otherwise: DenyReason) {
        let code = format!("{code}; level 3 0; equal; deny_unless 7 1");
        let found = self.denied(&code, &[a, &[0], &[0], &[expected.unwrap_or(0)]], &LOAN);
        assert_eq!(found, if expected.is_some() { None } else { Some(otherwise) }, "{code} of {a:?}");
    }

    fn holds_at(&mut self, code: &str, context: &Activation) -> bool {
        self.holds(code, [&[0], &[0]], context)
    }

    fn holds(&mut self, code: &str, feeds: [&[i64]; 2], context: &Activation) -> bool {
        let feeds = [feeds[0], feeds[1], &[0], &[0]];
        let holds = self.denied(&format!("{code}; deny_unless 7 1"), &feeds, context).is_none();
        let denied = self.denied(&format!("{code}; deny_if 9 1"), &feeds, context);
        assert_eq!(denied, holds.then_some(DenyReason::Explicit { line: 1 }), "{code} of {feeds:?}");
        holds
    }
}

const LOAN: Activation = Activation { time_ms: NOW_MS, sector: SectorCode(0x4101), loan_rate: 0, term_days: 0 };
const OUT: DenyReason = DenyReason::Uncomputable;
const STALE: DenyReason = DenyReason::FeedStale { feed: 0 };

fn fits(value: i128) -> Option<i64> {
    i64::try_from(value).ok()
}

/// Half to even, by trying the neighbours.
fn nearest(value: i128, by: i128) -> i128 {
    let near = value / by;
    let rest = |whole: i128| (value - whole * by).abs();
    *[near, near - 1, near + 1].iter().min_by_key(|whole| (rest(**whole), *whole & 1)).expect("there are three")
}

#[test]
fn every_instruction_does_at_the_edges_what_wide_arithmetic_does() {
    let mut bench = Bench::default();
    arithmetic(&mut bench);
    look_backs(&mut bench);
    truths(&mut bench);
    calendar(&mut bench);
    loans(&mut bench);
    returns(&mut bench);
    let all: BTreeSet<String> = TABLE.iter().map(|row| row.mnemonic.to_owned()).collect();
    assert_eq!(bench.tried, all);
}

fn arithmetic(bench: &mut Bench) {
    const MOST: i64 = contracts_vm::unit::LEVEL_MAX;
    for a in EDGES {
        for b in EDGES {
            let (wide_a, wide_b) = (i128::from(a), i128::from(b));
            let mut two = |op: &str, expected| {
                bench.gives(&format!("level 0 0; level 1 0; {op}"), [&[a], &[b]], expected, OUT);
            };
            two("add", fits(wide_a + wide_b));
            two("subtract", fits(wide_a - wide_b));
            two("min", Some(a.min(b)));
            two("max", Some(a.max(b)));
            let comparisons =
                [("less", a < b), ("at_most", a <= b), ("equal", a == b), ("at_least", a >= b), ("greater", a > b)];
            for (op, holds) in comparisons {
                assert_eq!(bench.holds(&format!("level 0 0; level 1 0; {op}"), [&[a], &[b]], &LOAN), holds);
            }
        }
        for constant in [-MOST, -1, 0, 1, MOST] {
            let (wide_a, wide) = (i128::from(a), i128::from(constant));
            let push = format!("push index.0 {constant}");
            let mut two = |code: String, expected| bench.gives(&code, [&[a], &[0]], expected, OUT);
            two(format!("level 0 0; {push}; add"), fits(wide_a + wide));
            two(format!("{push}; level 0 0; add"), fits(wide_a + wide));
            two(format!("level 0 0; {push}; subtract"), fits(wide_a - wide));
            two(format!("{push}; level 0 0; subtract"), fits(wide - wide_a));
            two(format!("{push}; level 0 0; min"), Some(a.min(constant)));
            two(format!("{push}; {push}; add; level 0 0; max"), Some(a.max(2 * constant)));
            for (op, is_swapped, holds) in [
                ("less", false, a < constant),
                ("less", true, constant < a),
                ("at_most", true, constant <= a),
                ("equal", true, constant == a),
                ("at_least", false, a >= constant),
                ("at_least", true, constant >= a),
                ("greater", true, constant > a),
            ] {
                let code =
                    if is_swapped { format!("{push}; level 0 0; {op}") } else { format!("level 0 0; {push}; {op}") };
                assert_eq!(bench.holds(&code, [&[a], &[0]], &LOAN), holds, "{code} of {a}");
            }
        }
        for factor in [-1_000_000_000, -1_000_000, -500_000, -1, 0, 1, 500_000, 999_999, 1_500_000, 1_000_000_000] {
            let expected = fits(nearest(i128::from(a) * factor, 1_000_000));
            bench.gives(&format!("level 0 0; times {factor}"), [&[a], &[0]], expected, OUT);
        }
    }
    // A rate and a spread count the same.
    assert!(bench.holds("push rate 7; in_bp; push spread 7; equal", [&[0], &[0]], &LOAN));
    assert!(bench.holds("push spread 7; in_percent; push rate 7; equal", [&[0], &[0]], &LOAN));
}

fn look_backs(bench: &mut Bench) {
    for a in EDGES {
        for b in EDGES {
            let (wide_a, wide_b) = (i128::from(a), i128::from(b));
            let mut of = |code: &str, expected| bench.gives(code, [&[a, b], &[0]], expected, STALE);
            of("level 0 0", Some(a));
            of("level 0 1", Some(b));
            of("level 0 2", None);
            of("change 0 1", fits(wide_a - wide_b));
            of("average 0 1", Some(a));
            of("average 0 2", fits(nearest(wide_a + wide_b, 2)));
            of("average 0 3", None);
            of("highest 0 2", Some(a.max(b)));
            of("lowest 0 2", Some(a.min(b)));
            let growth = if b > 0 { fits(nearest((wide_a - wide_b) * 1_000_000, wide_b)) } else { None };
            bench.gives_rate("growth 0 1", &[a, b], growth, STALE);
            assert_eq!(bench.holds("falls 0 1", [&[a, b], &[0]], &LOAN), a < b);
            assert_eq!(bench.holds("rises 0 1", [&[a, b], &[0]], &LOAN), a > b);
            // Asked twice, found once.
            assert!(bench.holds("change 0 1; change 0 1; equal", [&[0, 1], &[0]], &LOAN));
            for c in [i64::MIN, 0, 1, i64::MAX] {
                let sum = wide_a + wide_b + i128::from(c);
                bench.gives("average 0 3", [&[a, b, c], &[0]], fits(nearest(sum, 3)), STALE);
                assert_eq!(bench.holds("falls 0 2", [&[a, b, c], &[0]], &LOAN), a < b && b < c);
                assert_eq!(bench.holds("rises 0 2", [&[a, b, c], &[0]], &LOAN), a > b && b > c);
            }
        }
    }
}

fn truths(bench: &mut Bench) {
    let of = |truth: bool| if truth { "time_from 0" } else { "time_until 0" };
    for (a, b) in [(false, false), (false, true), (true, false), (true, true)] {
        let mut holds = |code: String| bench.holds(&code, [&[0], &[0]], &LOAN);
        assert_eq!(holds(format!("{}; {}; and", of(a), of(b))), a && b);
        assert_eq!(holds(format!("{}; {}; or", of(a), of(b))), a || b);
        assert_eq!(holds(format!("{}; not", of(a))), !a);
        assert_eq!(holds(format!("{}; {}; not; or; not; not", of(a), of(b))), a || !b);
    }
}

/// Year, month, day and back, by the era algorithms, which share nothing with the table.
fn civil(day: i64) -> (i64, i64, i64) {
    let day = day + 719_468;
    let (era, of_era) = (day.div_euclid(146_097), day.rem_euclid(146_097));
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year + era * 400 + i64::from(month <= 2), month, day)
}

fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

fn calendar(bench: &mut Bench) {
    let last = i64::from(LAST_DAY);
    let end_of_time = (u64::MAX / MS_PER_DAY) as i64;
    for day in [0, 1, 20_000, last] {
        let begins_ms = day as u64 * MS_PER_DAY;
        for time_ms in [0, begins_ms.saturating_sub(1), begins_ms, begins_ms + 1, u64::MAX] {
            let context = Activation { time_ms, ..LOAN };
            let mut holds = |code: String| bench.holds_at(&code, &context);
            assert_eq!(holds(format!("time_from {day}")), time_ms >= begins_ms);
            assert_eq!(holds(format!("time_until {day}")), time_ms < begins_ms);
        }
    }
    let mut edges = vec![0, end_of_time];
    for year in [1970, 1999, 2000, 2027, 2028, 2100, 2369, 2370, 9999] {
        for month in 1..=12 {
            edges.extend([days(year, month, 1), days(year, month, 28), days(year, month + 1, 1) - 1]);
        }
    }
    for day in edges.into_iter().filter(|day| (0..=end_of_time).contains(day)) {
        let (year, month, of_month) = civil(day);
        for time_ms in [day as u64 * MS_PER_DAY, (day as u64 * MS_PER_DAY).saturating_add(MS_PER_DAY - 1)] {
            let context = Activation { time_ms, ..LOAN };
            for other in 1..=12 {
                let holds = bench.holds_at(&format!("month_in {}", 1 << (other - 1)), &context);
                assert_eq!(holds, other == month, "month {other} on {day}");
            }
            for other in 0..7 {
                let holds = bench.holds_at(&format!("weekday_in {}", 1 << other), &context);
                // 1970-01-01 was a Thursday.
                assert_eq!(holds, other == (day + 3) % 7, "weekday {other} on {day}");
            }
            for months in [1, 2, 11, 12, 13, 2148] {
                let count = year * 12 + month - 1 + months;
                let first = days(count.div_euclid(12), count.rem_euclid(12) + 1, 1);
                let next = days((count + 1).div_euclid(12), (count + 1).rem_euclid(12) + 1, 1);
                let expected = first + (of_month - 1).min(next - first - 1) - day;
                let context = Activation { term_days: expected as u16, ..context };
                assert!(bench.holds_at(&format!("loan_term; months {months}; equal"), &context), "{months} from {day}");
            }
        }
    }
}

fn loans(bench: &mut Bench) {
    for loan_rate in EDGES {
        let context = Activation { loan_rate, ..LOAN };
        let code = "loan_rate; level 3 0; equal; deny_unless 7 1";
        assert_eq!(bench.denied(code, &[&[0], &[0], &[0], &[loan_rate]], &context), None);
    }
    for term_days in [0, 1, 65_534, 65_535] {
        let context = Activation { term_days, ..LOAN };
        assert!(bench.holds_at(&format!("loan_term; push days {term_days}; equal"), &context));
    }
    for position in 0..contracts_vm::sector::CODES {
        let mut set = SectorSet::default();
        set.insert(SectorCode::at(position));
        let code = format!("sector_in 0x{:x}", set.bits());
        for other in 0..contracts_vm::sector::CODES {
            let context = Activation { sector: SectorCode::at(other), ..LOAN };
            assert_eq!(bench.holds_at(&code, &context), set.contains(other));
        }
        for code_of_none in [0, 0x4100 + 4, 0x5a00, u32::MAX] {
            let context = Activation { sector: SectorCode(code_of_none), ..LOAN };
            let denied = bench.denied(&format!("{code}; deny_if 9 1"), &[&[0], &[0], &[0], &[0]], &context);
            assert_eq!(denied, Some(DenyReason::Sector { line: 0 }));
        }
    }
}

fn returns(bench: &mut Bench) {
    let feeds: [&[i64]; 4] = [&[0], &[0], &[0], &[0]];
    for days in [0, 1, 65_535] {
        let code = format!("loan_age; push days {days}; equal; skip_unless 6; push rate 100; pay; push rate 200; pay");
        let program = bench.program("time_from 0; deny_unless 7 1", &code, "0 1000 step 100");
        for (held_ms, age) in [
            (0, 0),
            (MS_PER_DAY - 1, 0),
            (MS_PER_DAY, 1),
            (65_536 * MS_PER_DAY - 1, 65_535),
            (65_536 * MS_PER_DAY, 65_536),
        ] {
            let context = Return { activated_ms: 7, time_ms: 7 + held_ms };
            let expected = Rate(if age == days { 100 } else { 200 });
            assert_eq!(program.rate(&context, &Values(&feeds, context.time_ms)), expected);
            assert_eq!(program.return_rate(&context, &Values(&feeds, context.time_ms)).value, expected);
        }
        // An activation that lies ahead is none that is old.
        let ahead = Return { activated_ms: u64::MAX, time_ms: 0 };
        assert_eq!(program.rate(&ahead, &Values(&feeds, 0)), Rate(if days == 0 { 100 } else { 200 }));
    }
    for (lower, upper, step) in
        [(0, 0, 1), (-10_000_000, 10_000_000, 1), (-300, 900, 100), (-7, 14, 7), (250, 500, 250)]
    {
        let program =
            bench.program("time_from 0; deny_unless 7 1", "level 3 0; pay", &format!("{lower} {upper} step {step}"));
        let near =
            [lower - 1, lower, lower + 1, upper - 1, upper, upper + 1, step / 2, step / 2 + 1, -step / 2, 3 * step / 2];
        for rate in EDGES.into_iter().chain(near) {
            let expected = nearest(rate.clamp(lower, upper).into(), step.into()) as i64 * step;
            let context = Return { activated_ms: 0, time_ms: NOW_MS };
            let readings: [&[i64]; 4] = [&[0], &[0], &[0], &[rate]];
            assert_eq!(program.rate(&context, &Values(&readings, NOW_MS)), Rate(expected), "{rate}");
        }
    }
}

/// As much code as a program can have, of which a run passes over nearly all.
#[test]
fn what_a_jump_passes_over_costs_nothing_however_much_it_is() {
    let means = vec!["average 0 64"; 60].join("; ");
    let segment = format!("weekday_in 1; skip_unless #; {means}{}; pay", "; min".repeat(59));
    let lines = |segments: usize| -> Vec<String> {
        let each = segment.split("; ").count();
        let passed = (1..=segments).flat_map(|count| {
            let segment = segment.replace('#', &(each * count).to_string());
            segment.split("; ").map(str::to_owned).collect::<Vec<_>>()
        });
        passed.chain(["push rate 7".to_owned(), "pay".to_owned()]).collect()
    };
    let program = |segments: usize| {
        let mut text =
            "policy p version 1\ncurrency CNY idle 1 due 0\nclamp 0 100 step 1\nfeed f monthly rate scale 4 \
                        age 40 latest stale deny periods 64\nactivation\n0 permit\nreturn\n"
                .to_owned();
        lines(segments).iter().enumerate().for_each(|(at, line)| text += &format!("{at} {line}\n"));
        Program::assemble(&text).ok()
    };
    let segments = (1..).take_while(|segments| program(*segments).is_some()).last().expect("one segment fits");
    let program = program(segments).expect("it was tried");
    // 1970-01-01 was a Thursday; the lines ask for a Monday.
    let thursday = Return { activated_ms: 0, time_ms: 0 };
    let found = program.return_rate(&thursday, &Values(&[&[5; 64]], 0));
    assert_eq!((found.value, found.fuel), (Rate(7), 2 * segments as u32 + 2));
    let monday = Return { activated_ms: 0, time_ms: 4 * MS_PER_DAY };
    let found = program.return_rate(&monday, &Values(&[&[5; 64]], monday.time_ms));
    assert_eq!((found.value, found.fuel), (Rate(5), 2 + 60 * 65 + 59 + 1));
    assert!(segments > 10);
}
