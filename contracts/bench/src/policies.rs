//! Five policies, each as its own source, as two CEL expressions, as two Rhai expressions and as two functions of WebAssembly
//! text; and the cases, from the same history that the examples are tested on.
//!
//! Rates count hundredths of a basis point: 1 % is 10000. Feeds are lists, newest value first, at the feed's own scale.

use contracts_vm::calendar::{self, days_to_months_ahead};
use contracts_vm::{Date, SectorCode};

pub struct Text {
    pub name: &'static str,
    pub source: &'static str,
    pub expressions: [&'static str; 2],
    /// Bodies of `verdict` and `rate`; see the prelude in wasm_engine.rs.
    pub wat: [&'static str; 2],
    /// Longest term, in months.
    pub term_months: i64,
    /// Of the policy's sector line.
    pub sectors: &'static [&'static str],
    days: [(i32, u32, u32); 4],
    feeds: [Option<(&'static str, &'static str, u8)>; 2],
}

#[derive(Clone, Debug)]
pub struct Case {
    pub day: i64,
    /// 0 is January.
    pub month: i64,
    /// 0 is Monday.
    pub weekday: i64,
    pub sector: SectorCode,
    pub loan_rate: i64,
    pub term: i64,
    pub term_max: i64,
    pub age: i64,
    pub feeds: [Vec<i64>; 2],
}

pub const MACRO: &str = include_str!("../../vm/tests/data/macrodata.csv");
const JOBS: &str = include_str!("../../vm/tests/data/us-employment.csv");

pub const POLICIES: [Text; 5] = [
    Text {
        name: "time",
        source: include_str!("../../policies/time.policy"),
        expressions: [
            "((day >= 20454 && day < 20544) || (day >= 20544 && day < 20635)) && (month >= 1 && month <= 3) && \
             weekday <= 4 && term <= term_max",
            "rounded(age > 180 ? 25000 : 15000, 0, 25000, 100)",
        ],
        wat: [
            "(i64.and (i64.and
                (i64.or
                    (i64.and (call $ge (local.get $day) (i64.const 20454)) (call $lt (local.get $day) (i64.const 20544)))
                    (i64.and (call $ge (local.get $day) (i64.const 20544)) (call $lt (local.get $day) (i64.const 20635))))
                (i64.and (call $ge (local.get $month) (i64.const 1)) (call $ge (i64.const 3) (local.get $month))))
              (i64.and (call $ge (i64.const 4) (local.get $weekday)) (call $ge (local.get $term_max) (local.get $term))))",
            "(call $rounded
                (select (i64.const 25000) (i64.const 15000) (i64.gt_s (local.get $age) (i64.const 180)))
                (i64.const 0) (i64.const 25000) (i64.const 100))",
        ],
        term_months: 9,
        sectors: &[],
        days: [(2026, 3, 3), (2026, 3, 7), (2026, 6, 2), (2025, 12, 31)],
        feeds: [None, None],
    },
    Text {
        name: "sector",
        source: include_str!("../../policies/sector.policy"),
        expressions: [
            "!(a[0] > times(1100000, average(a, 24))) && day >= 13149 && day < 16801 && \
             (sector in [17920, 17961, 17962, 17963, 19783]) && growth(a[0], a[12]) < 0 && term <= term_max",
            "rounded(growth(a[0], a[12]) < -100000 ? 2500 : (growth(a[0], a[12]) < 0 ? 10000 : 25000), 2500, 25000, 100)",
        ],
        wat: [
            "(if (i64.gt_s (call $a (i32.const 0)) (call $times (i64.const 1100000) (call $average (i32.const 24))))
                (then (return (i64.const 0))))
             (if (i64.lt_s (local.get $day) (i64.const 13149)) (then (return (i64.const 0))))
             (if (i64.ge_s (local.get $day) (i64.const 16801)) (then (return (i64.const 0))))
             (if (i64.eqz (call $in (local.get $sector) (i64.const SECTORS_LOW) (i64.const SECTORS_HIGH)))
                (then (return (i64.const 0))))
             (if (i64.ge_s (call $growth (call $a (i32.const 0)) (call $a (i32.const 12))) (i64.const 0))
                (then (return (i64.const 0))))
             (call $ge (local.get $term_max) (local.get $term))",
            "(local $growth i64)
             (local.set $growth (call $growth (call $a (i32.const 0)) (call $a (i32.const 12))))
             (call $rounded
                (select (i64.const 2500)
                    (select (i64.const 10000) (i64.const 25000) (i64.lt_s (local.get $growth) (i64.const 0)))
                    (i64.lt_s (local.get $growth) (i64.const -100000)))
                (i64.const 2500) (i64.const 25000) (i64.const 100))",
        ],
        term_months: 60,
        sectors: &["F", "M71"],
        days: [(2009, 6, 15), (2012, 3, 3), (2015, 12, 31), (2016, 1, 1)],
        feeds: [Some((JOBS, "construction", 0)), None],
    },
    Text {
        name: "loan-rate",
        source: include_str!("../../policies/loan-rate.policy"),
        expressions: [
            "loan_rate <= a[0] * 100 + 5000 && loan_rate >= 0 && term <= term_max",
            "rounded(a[0] * 100 - 15000 > 1000 ? a[0] * 100 - 15000 : 1000, 1000, 30000, 500)",
        ],
        wat: [
            "(i64.and (i64.and
                (call $ge (i64.add (i64.mul (call $a (i32.const 0)) (i64.const 100)) (i64.const 5000))
                    (local.get $loan_rate))
                (call $ge (local.get $loan_rate) (i64.const 0)))
              (call $ge (local.get $term_max) (local.get $term)))",
            "(local $rate i64)
             (local.set $rate (i64.sub (i64.mul (call $a (i32.const 0)) (i64.const 100)) (i64.const 15000)))
             (call $rounded
                (select (local.get $rate) (i64.const 1000) (i64.gt_s (local.get $rate) (i64.const 1000)))
                (i64.const 1000) (i64.const 30000) (i64.const 500))",
        ],
        term_months: 12,
        sectors: &[],
        days: [(2026, 3, 3), (2026, 3, 7), (2026, 6, 2), (2028, 2, 29)],
        feeds: [Some((MACRO, "tbilrate", 2)), None],
    },
    Text {
        name: "economic-state",
        source: include_str!("../../policies/economic-state.policy"),
        expressions: [
            "growth(a[0], a[4]) < 40000 && term <= term_max",
            "rounded(a[0] < a[1] && a[1] < a[2] ? 2500 : \
             (growth(a[0], a[4]) < 0 || (b[0] - b[4]) * 1000 > 10000 ? 5000 : \
             (b[0] * 1000 > 70000 ? 10000 : 20000 + times(500000, growth(a[0], a[4]) - 30000))), 2500, 40000, 2500)",
        ],
        wat: [
            "(i64.and
                (call $lt (call $growth (call $a (i32.const 0)) (call $a (i32.const 4))) (i64.const 40000))
                (call $ge (local.get $term_max) (local.get $term)))",
            "(local $growth i64)
             (if (call $falls) (then (return (i64.const 2500))))
             (local.set $growth (call $growth (call $a (i32.const 0)) (call $a (i32.const 4))))
             (if (i32.or
                    (i64.lt_s (local.get $growth) (i64.const 0))
                    (i64.gt_s
                        (i64.mul (i64.sub (call $b (i32.const 0)) (call $b (i32.const 4))) (i64.const 1000))
                        (i64.const 10000)))
                (then (return (i64.const 5000))))
             (if (i64.gt_s (i64.mul (call $b (i32.const 0)) (i64.const 1000)) (i64.const 70000))
                (then (return (i64.const 10000))))
             (call $rounded
                (i64.add (i64.const 20000)
                    (call $times (i64.const 500000) (i64.sub (local.get $growth) (i64.const 30000))))
                (i64.const 2500) (i64.const 40000) (i64.const 2500))",
        ],
        term_months: 24,
        sectors: &[],
        days: [(2026, 3, 3), (2026, 3, 7), (2026, 6, 2), (2028, 2, 29)],
        feeds: [Some((MACRO, "realgdp", 3)), Some((MACRO, "unemp", 1))],
    },
    Text {
        name: "combined",
        source: include_str!("../../policies/combined.policy"),
        expressions: [
            "!(loan_rate < 5000) && day >= 20454 && day < 21184 && \
             (sector in [16640, 16641, 16642, 16643, 17162, 17163, 17164, 17443]) && \
             loan_rate <= b[0] * 100 + 5000 && term <= term_max && growth(a[0], a[4]) < 50000",
            "rounded(a[0] < a[1] && a[1] < a[2] ? 1000 : (growth(a[0], a[4]) < 25000 ? b[0] * 100 - 20000 : \
             b[0] * 100 - 10000 + times(250000, growth(a[0], a[4]) - 25000)), 1000, 40000, 100)",
        ],
        wat: [
            "(if (i64.lt_s (local.get $loan_rate) (i64.const 5000)) (then (return (i64.const 0))))
             (if (i64.lt_s (local.get $day) (i64.const 20454)) (then (return (i64.const 0))))
             (if (i64.ge_s (local.get $day) (i64.const 21184)) (then (return (i64.const 0))))
             (if (i64.eqz (call $in (local.get $sector) (i64.const SECTORS_LOW) (i64.const SECTORS_HIGH)))
                (then (return (i64.const 0))))
             (if (i64.gt_s (local.get $loan_rate)
                    (i64.add (i64.mul (call $b (i32.const 0)) (i64.const 100)) (i64.const 5000)))
                (then (return (i64.const 0))))
             (if (i64.gt_s (local.get $term) (local.get $term_max)) (then (return (i64.const 0))))
             (call $lt (call $growth (call $a (i32.const 0)) (call $a (i32.const 4))) (i64.const 50000))",
            "(local $growth i64)
             (if (call $falls) (then (return (i64.const 1000))))
             (local.set $growth (call $growth (call $a (i32.const 0)) (call $a (i32.const 4))))
             (call $rounded
                (if (result i64) (i64.lt_s (local.get $growth) (i64.const 25000))
                    (then (i64.sub (i64.mul (call $b (i32.const 0)) (i64.const 100)) (i64.const 20000)))
                    (else (i64.add
                        (i64.sub (i64.mul (call $b (i32.const 0)) (i64.const 100)) (i64.const 10000))
                        (call $times (i64.const 250000) (i64.sub (local.get $growth) (i64.const 25000))))))
                (i64.const 1000) (i64.const 40000) (i64.const 100))",
        ],
        term_months: 36,
        sectors: &["A", "C10", "C11", "C12", "D35"],
        days: [(2026, 3, 3), (2027, 12, 31), (2025, 12, 31), (2026, 6, 2)],
        feeds: [Some((MACRO, "realgdp", 3)), Some((MACRO, "tbilrate", 2))],
    },
];

/// Always permits, at one rate.
pub const NOTHING: Text = Text {
    name: "nothing",
    source: "policy \"nothing\" version 1\ncurrency CNY\neffective when\nloan term >= 0 days\nidle after 1 day\nreturn rate\n\
             otherwise 0.00 %\nclamp 0.00 % .. 1.00 %, step 1 bp\n",
    expressions: ["true", "0"],
    wat: ["(i64.const 1)", "(i64.const 0)"],
    term_months: 1,
    sectors: &[],
    days: [(2026, 3, 3); 4],
    feeds: [None, None],
};

impl Text {
    /// Loans over history, permitted and denied.
    pub fn cases(&self) -> Vec<Case> {
        let columns: Vec<Vec<i64>> =
            self.feeds.iter().flatten().map(|(table, name, scale)| column(table, name, *scale)).collect();
        let length = columns.first().map_or(25, Vec::len);
        let sectors = ["A01", "C10", "F", "F41", "M71", "D35", "Q86"];
        let mut cases = Vec::new();
        for (at, newest) in (24..length).enumerate() {
            let (year, month, day) = self.days[at % 4];
            let date = i64::from(Date::new(year, month, day).expect("a day").0);
            let newest_first = |column: usize| -> Vec<i64> {
                columns
                    .get(column)
                    .map_or_else(Vec::new, |values| values[newest - 24..=newest].iter().rev().copied().collect())
            };
            for (turn, sector) in sectors.iter().enumerate() {
                let (year_month, weekday) = (calendar::civil(date).1, calendar::weekday(date));
                let around = columns.last().map_or(43_000, |values| values[newest] * 100);
                cases.push(Case {
                    day: date,
                    month: i64::from(year_month) - 1,
                    weekday: weekday.into(),
                    sector: SectorCode::parse(sector).expect("of the list"),
                    loan_rate: around + [-60_000, 0, 4_900, 5_000, 5_100, 300, 2_000][(turn + at) % 7],
                    term: [30, 365, 1095, 200, 730, 90, 366][(turn * 3 + at) % 7],
                    term_max: days_to_months_ahead(date, self.term_months),
                    age: [10, 180, 181, 400][(turn + at) % 4],
                    feeds: [newest_first(0), newest_first(1)],
                });
            }
        }
        cases
    }
}

fn column(table: &str, name: &str, scale: u8) -> Vec<i64> {
    let mut lines = table.lines();
    let heading = lines.next().expect("a heading");
    let at = heading.split(',').position(|column| column.trim_matches('"') == name).expect("the column");
    let value = |line: &str| {
        let cell = line.split(',').nth(at).expect("a cell");
        contracts_backtest::decimal_at_scale(cell, scale, contracts_backtest::Rounding::Refuse).expect("a number").0
    };
    lines.map(value).collect()
}
