//! Policies over real history: shared data that everybody can fetch, and verdicts that can be checked by hand.

use contracts_backtest::{
    FeedSource, Loan, Mapping, Plan, Refusal, Replay, Report, Rounding, Series, Table, chart, crisis_years, period_at,
    replay, report,
};
use contracts_vm::{Frequency, Policy, Rate, SectorCode, Verdict};
use std::path::Path;

const MACRO: &[u8] = include_bytes!("../../vm/tests/data/macrodata.csv");
const JOBS: &[u8] = include_bytes!("../../vm/tests/data/us-employment.csv");
const SECOND_FALL: &str = include_str!("../../policies/second-fall.policy");
const ECONOMIC_STATE: &str = include_str!("../../policies/economic-state.policy");
const SECTOR: &str = include_str!("../../policies/sector.policy");
const COMBINED: &str = include_str!("../../policies/combined.policy");

fn policy(source: &str) -> Policy {
    contracts_vm::check(source).unwrap_or_else(|wrong| panic!("{wrong:?}")).policy
}

fn mapping(pairs: &[(&str, &str)]) -> Mapping {
    pairs.iter().map(|(series, column)| ((*series).to_owned(), (*column).to_owned())).collect()
}

struct Run {
    policy: Policy,
    table: Table,
    series: Vec<Series>,
    sources: Vec<FeedSource>,
    plan: Plan,
    replay: Replay,
}

fn try_run(source: &str, data: &[u8], map: &[(&str, &str)], plan: Plan) -> Result<Run, Refusal> {
    let policy = policy(source);
    let table = Table::read(data)?;
    let (series, sources) = table.series(&policy, &mapping(map), Rounding::Refuse)?;
    let periods = (table.frequency, &table.periods[..]);
    let replay = replay(&policy, &policy.compile(), periods, &series, &plan, &mut |_, _| ())?;
    Ok(Run { policy, table, series, sources, plan, replay })
}

fn run(source: &str, data: &[u8], map: &[(&str, &str)], plan: Plan) -> Run {
    try_run(source, data, map, plan).unwrap_or_else(|refusal| panic!("{refusal}; {}", refusal.mend))
}

impl Run {
    fn report(&self) -> Report {
        report(&self.policy, &self.table, &self.sources, Rounding::Refuse, &self.plan, &self.replay)
    }

    fn chart(&self) -> String {
        chart(&self.policy, &self.series, &self.replay)
    }

    fn permitted(&self, loan: usize) -> Vec<String> {
        self.replay.permitted(loan).into_iter().map(|period| period.text(self.replay.frequency)).collect()
    }

    fn rate(&self, period: &str) -> Rate {
        let period = period_at(period, self.replay.frequency, false).unwrap();
        self.replay.rows.iter().find(|row| row.period == period).expect("it was replayed").rate
    }
}

const OUTPUT: [(&str, &str); 1] = [("us.gdp.real", "realgdp")];
const STATE: [(&str, &str); 2] = [("us.gdp.real", "realgdp"), ("us.unemployment", "unemp")];

const SECOND_FALLS: [&str; 10] =
    ["1970Q1", "1974Q4", "1975Q1", "1980Q3", "1982Q1", "1990Q4", "1991Q1", "2008Q4", "2009Q1", "2009Q2"];

#[test]
fn a_second_fall_of_real_output_fires_on_exactly_ten_quarters_of_fifty_years() {
    let found = run(SECOND_FALL, MACRO, &OUTPUT, Plan::default());
    assert_eq!(found.permitted(0), SECOND_FALLS);
    let text = |period: contracts_vm::Period| period.text(found.replay.frequency);
    let before = found.replay.before_block_time.map(|(first, last)| (text(first), text(last)));
    assert_eq!(before, Some(("1959Q1".into(), "1969Q3".into())), "they end before 1970");
    // Moved by 400 years, after which the calendar repeats itself to the day, all fifty years are replayed.
    let moved = Plan { years_later: 400, ..Plan::default() };
    let found = run(SECOND_FALL, MACRO, &[("gdp", "realgdp")], moved);
    assert_eq!(found.permitted(0), SECOND_FALLS);
    assert_eq!((found.replay.rows.len(), found.replay.before_block_time), (203, None));
    assert_eq!(found.replay.rows[0].known_from.to_string(), "1959-04-01", "years are moved for the program alone");
}

/// Peaks and troughs of the National Bureau of Economic Research, by quarter.
const CYCLES: [(&str, &str); 7] = [
    ("1969Q4", "1970Q4"),
    ("1973Q4", "1975Q1"),
    ("1980Q1", "1980Q3"),
    ("1981Q3", "1982Q4"),
    ("1990Q3", "1991Q1"),
    ("2001Q1", "2001Q4"),
    ("2007Q4", "2009Q2"),
];

/// The mean rate of the quarters of recessions, and of all others.
fn mean_rates(found: &Run) -> (i64, i64) {
    let at = |text| period_at(text, Frequency::Quarterly, false).unwrap();
    let is_recession = |period| CYCLES.iter().any(|(peak, trough)| at(peak) < period && period <= at(trough));
    let mean = |recession: bool| {
        let rates =
            || found.replay.rows.iter().filter(|row| is_recession(row.period) == recession).map(|row| row.rate.0);
        rates().sum::<i64>() / i64::try_from(rates().count()).unwrap()
    };
    (mean(true), mean(false))
}

#[test]
fn the_economic_state_example_lowers_the_rate_in_every_recession_and_raises_it_in_every_expansion() {
    let found = run(ECONOMIC_STATE, MACRO, &STATE, Plan { lag_days: 30, ..Plan::default() });
    for (peak, trough) in CYCLES {
        assert!(
            found.rate(trough) < found.rate(peak),
            "{peak} to {trough}: {} {}",
            found.rate(peak),
            found.rate(trough)
        );
    }
    for (from, to) in CYCLES.windows(2).map(|pair| (pair[0].1, pair[1].0)) {
        assert!(found.rate(to) > found.rate(from), "{from} to {to}: {} {}", found.rate(from), found.rate(to));
    }
    let (in_recessions, else_) = mean_rates(&found);
    assert!(in_recessions + 10_000 < else_, "a whole percent apart: {in_recessions} {else_}");
}

/// Known before anything is replayed, and borne out by the same fifty years.
#[test]
fn check_warns_of_a_pro_cyclical_policy_the_economic_state_example_turned_round() {
    let turns = [
        ("a row : 0.25 %", "a row : 4.00 %"),
        ("100 bp : 0.50 %", "100 bp : 3.50 %"),
        ("7.0 % : 1.00 %", "7.0 % : 3.00 %"),
        ("2.00 % + 0.5", "2.00 % - 0.5"),
    ];
    let turned = turns.iter().fold(ECONOMIC_STATE.to_owned(), |source, (from, to)| {
        assert!(source.contains(from), "{from}");
        source.replace(from, to)
    });
    let is_warned = |source: &str| {
        let findings = contracts_vm::check(source).unwrap().findings;
        findings.iter().any(|found| found.cause.starts_with("the policy is pro-cyclical"))
    };
    assert!(is_warned(&turned) && !is_warned(ECONOMIC_STATE));
    let (in_recessions, else_) = mean_rates(&run(&turned, MACRO, &STATE, Plan { lag_days: 30, ..Plan::default() }));
    assert!(in_recessions > else_ + 10_000, "a whole percent apart: {in_recessions} {else_}");
}

#[test]
fn a_sector_policy_permits_its_sector_in_the_months_in_which_jobs_are_fewer_than_a_year_ago() {
    let loan = |code| Loan { sector: SectorCode::parse(code), rate: None, term_days: None };
    let loans = ["F41", "M71", "M70", "C10"].map(loan).to_vec();
    let found = run(SECTOR, JOBS, &[("us.ces.construction", "construction")], Plan { loans, ..Plan::default() });
    let lines: Vec<Vec<&str>> =
        std::str::from_utf8(JOBS).unwrap().lines().map(|line| line.split(',').collect()).collect();
    let column = lines[0].iter().position(|name| *name == "construction").unwrap();
    let jobs: Vec<(&str, u32)> = lines[1..].iter().map(|row| (&row[0][..7], row[column].parse().unwrap())).collect();
    // The month that ends with the window is told on the first day after it.
    let fewer = (12..jobs.len() - 1).filter(|at| jobs[*at].1 < jobs[at - 12].1).map(|at| jobs[at].0.to_owned());
    // The line that denies in a bubble looks back on two years, which the table has from 2007-12 on; it never holds.
    let expected: Vec<String> = fewer.filter(|month| month.as_str() >= "2007-12").collect();
    assert!(expected.len() > 24, "{expected:?}");
    assert_eq!(found.permitted(0), expected);
    assert_eq!(found.permitted(1), expected);
    // A mean over two years rests on 24 values; a row shows the newest.
    let shown = |row: &contracts_backtest::Row| row.inputs.iter().map(|input| input.back).collect::<Vec<_>>();
    assert_eq!(shown(&found.replay.rows[60]), (0..contracts_backtest::INPUTS_SHOWN).collect::<Vec<_>>());
    for (loan, row) in [2, 3].into_iter().flat_map(|loan| found.replay.rows.iter().map(move |row| (loan, row))) {
        assert!(matches!(row.verdicts[loan], Verdict::Deny { .. }), "{loan} {row:?}");
    }
}

#[test]
fn no_row_knows_what_was_published_after_it() {
    let plan = Plan { lag_days: 30, ..Plan::default() };
    let whole = run(ECONOMIC_STATE, MACRO, &STATE, plan.clone());
    let text = std::str::from_utf8(MACRO).unwrap();
    for rows in [48, 100, 203] {
        let head: String = text.lines().take(rows + 1).map(|line| format!("{line}\n")).collect();
        let part = run(ECONOMIC_STATE, head.as_bytes(), &STATE, plan.clone());
        assert_eq!(part.replay.rows[..], whole.replay.rows[..part.replay.rows.len()], "{rows} rows");
    }
}

#[test]
fn a_lag_moves_the_day_and_a_value_that_is_too_old_by_then_denies() {
    let day = |found: &Run| found.replay.rows[0].known_from.to_string();
    let lag = |lag_days| Plan {
        from: Some(period_at("1974Q4", Frequency::Quarterly, false).unwrap()),
        lag_days,
        ..Plan::default()
    };
    assert_eq!(day(&run(SECOND_FALL, MACRO, &OUTPUT, lag(0))), "1975-01-01");
    assert_eq!(day(&run(SECOND_FALL, MACRO, &OUTPUT, lag(30))), "1975-01-31");
    // An index of three decimals whose newest value is missing for a year.
    let table = "period,us.gdp.real\n2000Q1,3\n2000Q2,2\n2000Q3,1\n2000Q4,\n2001Q1,NA\n2001Q2,.\n2001Q3,0.5\n";
    let found = run(SECOND_FALL, table.as_bytes(), &[], Plan::default());
    assert_eq!(found.sources[0].missing, 3);
    let reasons: Vec<u8> = found
        .replay
        .rows
        .iter()
        .map(|row| match row.verdicts[0] {
            Verdict::Permit { .. } => 0,
            Verdict::Deny { reason } => reason.number(),
        })
        .collect();
    // 2000Q4 still stands on the third quarter, 92 days old; two quarters are too old, and then there is a gap.
    assert_eq!(reasons, [10, 10, 0, 0, 0, 10, 10]);
}

#[test]
fn what_a_policy_asks_must_be_said_and_what_it_does_not_is_not_asked() {
    let number =
        |source, data, map: &[(&str, &str)], plan| try_run(source, data, map, plan).map(|_| ()).unwrap_err().number;
    let jobs = [("us.ces.construction", "construction")];
    assert_eq!(number(SECTOR, JOBS, &jobs, Plan::default()), 13);
    assert_eq!(number(SECOND_FALL, MACRO, &[], Plan::default()), 6);
    assert_eq!(number(SECOND_FALL, MACRO, &[("us.gdp.real", "gnp")], Plan::default()), 7);
    assert_eq!(number(SECOND_FALL, MACRO, &[("us.gdp", "realgdp")], Plan::default()), 7);
    assert_eq!(number(SECOND_FALL, MACRO, &[("gdp", "year")], Plan::default()), 7, "it says the period");
}

#[test]
fn spans_that_hold_nothing_and_moves_that_no_calendar_has_are_refused() {
    let number = |plan| try_run(SECOND_FALL, MACRO, &OUTPUT, plan).map(|_| ()).unwrap_err().number;
    let at = |text, is_end| Some(period_at(text, Frequency::Quarterly, is_end).unwrap());
    assert_eq!(number(Plan { from: at("2010", false), ..Plan::default() }), 12);
    assert_eq!(number(Plan { to: at("1968", true), ..Plan::default() }), 12);
    assert_eq!(number(Plan { years_later: 8000, ..Plan::default() }), 14);
    let days = b"date,us.gdp.real\n2000-01-03,1\n2000-01-04,2\n";
    let plan = Plan { years_later: 28, ..Plan::default() };
    assert_eq!(try_run(SECOND_FALL, days, &[], plan).map(|_| ()).unwrap_err().number, 11, "days make no quarters");
    for (text, is_end, quarter) in [("1974", false, "1974Q1"), ("1974", true, "1974Q4"), ("1974q3", true, "1974Q3")] {
        assert_eq!(period_at(text, Frequency::Quarterly, is_end).unwrap().text(Frequency::Quarterly), quarter);
    }
    assert_eq!(period_at("1974-05", Frequency::Quarterly, false).unwrap_err().number, 4);
}

#[test]
fn a_coarser_column_stands_for_each_period_in_it_and_history_moves_into_a_window() {
    let sector = SectorCode::parse("A01");
    let loans = vec![Loan { sector, rate: Some(30_000), term_days: None }];
    let map = [("cn.gdp.real", "realgdp"), ("cn.lpr.1y", "tbilrate")];
    // 2008 and 2009 become 2026 and 2027.
    let plan = Plan { loans, years_later: 18, ..Plan::default() };
    let found = run(COMBINED, MACRO, &map, plan);
    assert!(found.sources[1].repeated && !found.sources[0].repeated);
    let years: Vec<&str> = SECOND_FALLS.iter().copied().filter(|quarter| *quarter >= "2008").collect();
    for quarter in years {
        assert_eq!(found.rate(quarter), Rate(1_000), "{quarter}: two falls in a row pay 0.10 %");
    }
    assert!(found.permitted(0).iter().all(|quarter| ("2007Q4".."2009Q4").contains(&quarter.as_str())));
}

#[test]
fn the_years_of_the_crises_come_first_and_else_those_in_which_most_changed() {
    let found = run(SECOND_FALL, MACRO, &OUTPUT, Plan::default());
    assert_eq!(crisis_years(&found.replay), [1974, 1980, 2008]);
    let year = found.replay.years().into_iter().find(|year| year.year == 1974).unwrap();
    assert_eq!((year.lowest, year.highest, year.average), (Rate(5_000), Rate(20_000), Rate(16_250)));
    assert_eq!(year.permitted.len(), 1);
    let at = |text| Some(period_at(text, Frequency::Quarterly, false).unwrap());
    let plan = Plan { from: at("1981"), to: at("1992"), ..Plan::default() };
    let found = run(SECOND_FALL, MACRO, &OUTPUT, plan);
    assert_eq!(crisis_years(&found.replay), [1982, 1990, 1991]);
}

/// The whole-node test `quarters` demands the same rows of four validators.
#[test]
fn all_fifty_years_are_the_same_bytes_in_every_build() {
    let moved = Plan { years_later: 400, ..Plan::default() };
    golden("second-fall-1959.json", &run(SECOND_FALL, MACRO, &OUTPUT, moved).report().bytes);
}

/// Bytes that are hashed change on purpose: `BLESS=1 cargo test -p contracts-backtest` writes them anew.
#[test]
fn report_and_chart_are_the_same_bytes_everywhere() {
    let from = Some(period_at("2006", Frequency::Quarterly, false).unwrap());
    let found = run(SECOND_FALL, MACRO, &OUTPUT, Plan { from, ..Plan::default() });
    let report = found.report();
    golden("second-fall-2006.json", &report.bytes);
    golden("second-fall-2006.svg", found.chart().as_bytes());
    assert_eq!(report.blake3, *blake3::hash(&report.bytes).as_bytes());
    let again = run(SECOND_FALL, MACRO, &OUTPUT, Plan { from, ..Plan::default() });
    assert_eq!((again.report().bytes, again.chart()), (report.bytes, found.chart()));
}

#[test]
fn the_report_is_canonical_sorted_dense_and_without_a_float() {
    let report = run(ECONOMIC_STATE, MACRO, &STATE, Plan::default()).report();
    sorted_without_floats(&report.document);
    let text = String::from_utf8(report.bytes).unwrap();
    assert!(!text.contains(": ") && !text.contains('\n'));
    // As they are written, too: a map that kept the order of insertion would begin with the schema.
    assert!(text.starts_with("{\"before_block_time\":[\"1959Q1\",\"1969Q3\"],\"changes\":["));
    assert!(text.contains("\"value\":\"12990.341\""), "the last quarter's output, as the table writes it");
}

fn sorted_without_floats(value: &serde_json::Value) {
    match value {
        serde_json::Value::Object(map) => {
            assert!(map.keys().is_sorted());
            map.values().for_each(sorted_without_floats);
        }
        serde_json::Value::Array(list) => list.iter().for_each(sorted_without_floats),
        serde_json::Value::Number(number) => assert!(!number.is_f64(), "{number}"),
        _ => {}
    }
}

fn golden(name: &str, bytes: &[u8]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, bytes).unwrap();
    }
    let kept = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert!(kept == bytes, "{name} is not what it was");
}
