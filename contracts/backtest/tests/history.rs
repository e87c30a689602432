//! Policies over real history: shared data that everybody can fetch, and verdicts that can be checked by hand.

use contracts_backtest::{
    Loan, Mapping, Plan, Replay, Rounding, Series, Table, chart, crisis_years, period_at, replay, report,
};
use contracts_vm::{Policy, SectorCode};

const MACRO: &[u8] = include_bytes!("../data/macro-us-quarterly/macrodata.csv");
const SECTORS: &[u8] = include_bytes!("../data/macro-sectors/us-employment.csv");
const SECOND_FALL: &str = include_str!("../../policies/second-fall.policy");

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
    sources: Vec<contracts_backtest::FeedSource>,
    plan: Plan,
    replay: Replay,
}

fn run(source: &str, data: &[u8], map: &[(&str, &str)], plan: Plan) -> Run {
    let policy = policy(source);
    let table = Table::read(data).unwrap();
    let (series, sources) = table.series(&policy, &mapping(map), Rounding::Refuse).unwrap();
    let periods = (table.frequency, &table.periods[..]);
    let replay = replay(&policy, &policy.compile(), periods, &series, &plan, &mut |_, _| ()).unwrap();
    Run { policy, table, series, sources, plan, replay }
}

fn permitted(replay: &Replay, loan: usize) -> Vec<String> {
    replay.permitted(loan).into_iter().map(|period| period.text(replay.frequency)).collect()
}

const SECOND_FALLS: [&str; 10] =
    ["1970Q1", "1974Q4", "1975Q1", "1980Q3", "1982Q1", "1990Q4", "1991Q1", "2008Q4", "2009Q1", "2009Q2"];

#[test]
fn a_second_fall_of_real_output_fires_on_exactly_ten_quarters_of_fifty_years() {
    let found = run(SECOND_FALL, MACRO, &[("us.gdp.real", "realgdp")], Plan::default());
    assert_eq!(permitted(&found.replay, 0), SECOND_FALLS);
    let text = |period: contracts_vm::Period| period.text(found.replay.frequency);
    let before = found.replay.before_block_time.map(|(first, last)| (text(first), text(last)));
    assert_eq!(before, Some(("1959Q1".into(), "1969Q3".into())), "they end before 1970");
    // Moved by 400 years, after which the calendar repeats itself to the day, all fifty years are replayed.
    let moved = Plan { years_later: 400, ..Plan::default() };
    let found = run(SECOND_FALL, MACRO, &[("gdp", "realgdp")], moved);
    assert_eq!(permitted(&found.replay, 0), SECOND_FALLS);
    assert_eq!((found.replay.rows.len(), found.replay.before_block_time), (203, None));
}
