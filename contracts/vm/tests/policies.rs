//! The policies of `contracts/policies` do what the files beside them expect: `NAME.expected` for `NAME.policy`.
//!
//! ```text
//! data SERIES FREQUENCY FILE COLUMN scale N published N days after    a column of tests/data, known so long after
//!                                                                     each of its periods;
//!     shifted 400 years                                               may stand behind it
//! value SERIES PERIOD NUMBER published DATE                           one value; a second one of a period is a vintage
//! lend TIME sector CODE rate N % term N days -> permit, due after N days | deny NUMBER line N | deny 10 feed N
//! return TIME lent TIME -> RATE
//! permits exactly 400 years after SERIES PERIOD ...                   a loan on the day of each publication
//! leans against SERIES                                                lower rates where the series falls, on average
//! ```

use contracts_vm::{
    Activation, Date, DenyReason, Frequency, Period, Program, Reading, Readings, Return, SectorCode, Verdict, Vintage,
    check,
};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// Of each series, each period: its vintages, oldest first, as (value, published).
#[derive(Default)]
struct Archive(BTreeMap<String, BTreeMap<i32, Vec<(i64, u64)>>>);

/// The calendar repeats itself after so many years, days of the week and all. Block time begins in 1970: what happened
/// before is replayed later.
const CYCLE_YEARS: i32 = 400;

/// The archive as it was known at an instant.
struct Known<'a> {
    archive: &'a Archive,
    program: &'a Program,
    time_ms: u64,
}

impl Readings for Known<'_> {
    fn reading(&self, feed: usize, back: u16) -> Option<Reading> {
        let feed = &self.program.feeds()[feed];
        let series = self.archive.0.get(feed.series.as_str())?;
        let known = |vintages: &Vec<(i64, u64)>| {
            vintages.iter().copied().enumerate().filter(|(_, (_, at))| *at <= self.time_ms).collect::<Vec<_>>()
        };
        let mut periods =
            series.iter().rev().map(|(at, vintages)| (*at, known(vintages))).filter(|(_, v)| !v.is_empty());
        let (period, vintages) = periods.nth(back.into())?;
        let vintage = match feed.vintage {
            Vintage::First => vintages.first(),
            Vintage::Latest => vintages.last(),
        };
        let (vintage, (value, published_ms)) = vintage.copied()?;
        let vintage = vintage as u32;
        Some(Reading { period: Period(period), vintage, value, published_ms, valid_until_ms: u64::MAX })
    }
}

/// `3.10` at two decimals is 310.
fn scaled(text: &str, scale: usize) -> i64 {
    let (whole, fraction) = text.trim_start_matches('-').split_once('.').unwrap_or((text.trim_start_matches('-'), ""));
    assert!(fraction.len() <= scale, "{text} has more than {scale} decimals");
    let digits: i64 = format!("{whole}{fraction:0<scale$}").parse().expect("a number");
    if text.starts_with('-') { -digits } else { digits }
}

fn date(text: &str) -> Date {
    let parts: Vec<u32> = text.split('-').map(|part| part.parse().expect("a date")).collect();
    Date::new(parts[0] as i32, parts[1], parts[2]).expect("a date")
}

/// `2026-01-31T23:59`.
fn time_ms(text: &str) -> u64 {
    let (day, clock) = text.split_once('T').expect("a time");
    let (hours, minutes) = clock.split_once(':').expect("hours and minutes");
    let number = |text: &str| text.parse::<u64>().expect("a number");
    date(day).start_ms() + (number(hours) * 60 + number(minutes)) * 60_000
}

fn period(text: &str) -> (Period, Frequency) {
    if let Some((year, quarter)) = text.split_once('Q') {
        return (
            Period::quarter(year.parse().expect("a year"), quarter.parse().expect("1 to 4")),
            Frequency::Quarterly,
        );
    }
    let (year, month) = text.split_once('-').expect("a month");
    (Period::month(year.parse().expect("a year"), month.parse().expect("1 to 12")), Frequency::Monthly)
}

impl Archive {
    fn add(&mut self, series: &str, period: Period, value: i64, published_ms: u64) {
        self.0.entry(series.to_owned()).or_default().entry(period.0).or_default().push((value, published_ms));
    }

    fn load(
        &mut self,
        [series, file, column]: [&str; 3],
        frequency: Frequency,
        scale: usize,
        lag_days: u64,
        shift_years: i32,
    ) {
        let text = std::fs::read_to_string(folder("tests/data").join(file)).expect("the data are there");
        let mut lines = text.lines().map(|line| line.split(',').map(|cell| cell.trim_matches('"')).collect::<Vec<_>>());
        let heading = lines.next().expect("a heading");
        let at = heading.iter().position(|name| *name == column).expect("the column is there");
        for cells in lines {
            let period = match frequency {
                Frequency::Quarterly => {
                    Period::quarter(cells[0].parse().expect("a year"), cells[1].parse().expect("1 to 4"))
                }
                _ => period(&cells[0][..7]).0,
            };
            let period = Period(period.0 + shift_years * if frequency == Frequency::Quarterly { 4 } else { 12 });
            // What was known before 1970 was known when block time began.
            let published_ms = period.end(frequency).map_or(0, |end| end.start_ms() + lag_days * 86_400_000);
            self.add(series, period, scaled(cells[at], scale), published_ms);
        }
    }
}

struct Case {
    archive: Archive,
    program: Program,
}

impl Case {
    fn lend(&self, time_ms: u64, sector: SectorCode, loan_rate: i64, term_days: u16) -> Verdict {
        let known = Known { archive: &self.archive, program: &self.program, time_ms };
        let evaluation = self.program.activate(&Activation { time_ms, sector, loan_rate, term_days }, &known);
        assert!(evaluation.fuel <= self.program.fuel());
        evaluation.value
    }

    fn rate(&self, activated_ms: u64, time_ms: u64) -> i64 {
        let known = Known { archive: &self.archive, program: &self.program, time_ms };
        let evaluation = self.program.return_rate(&Return { activated_ms, time_ms }, &known);
        assert!(evaluation.fuel <= self.program.fuel());
        evaluation.value.0
    }

    fn line(&mut self, line: &str) {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            [
                "data",
                series,
                frequency,
                file,
                column,
                "scale",
                scale,
                "published",
                lag,
                "days",
                "after",
                ref shift @ ..,
            ] => {
                let frequency =
                    Frequency::ALL.into_iter().find(|known| known.word() == frequency).expect("a frequency");
                let (scale, lag) = (scale.parse().expect("decimals"), lag.parse().expect("days"));
                let shift_years = match shift {
                    [] => 0,
                    ["shifted", "400", "years"] => CYCLE_YEARS,
                    _ => panic!("{line}"),
                };
                self.archive.load([series, file, column], frequency, scale, lag, shift_years);
            }
            ["value", series, at, number, "published", day] => {
                let feed = self.program.feeds().iter().find(|feed| feed.series.as_str() == series).expect("it is read");
                assert_eq!(period(at).1, feed.frequency, "{line}");
                let value = scaled(number, feed.scale.into());
                self.archive.add(series, period(at).0, value, date(day).start_ms());
            }
            ["lend", time, "sector", sector, "rate", rate, "%", "term", term, "days", "->", ref expected @ ..] => {
                let sector = SectorCode::parse(sector).unwrap_or(SectorCode(0));
                let verdict = self.lend(time_ms(time), sector, scaled(rate, 4), term.parse().expect("days"));
                let number = |text: &str| text.parse::<u8>().expect("a number");
                let expected = match expected {
                    ["permit,", "due", "after", days, "days"] => {
                        Verdict::Permit { due_days: days.parse().expect("days") }
                    }
                    ["deny", reason, "line" | "feed", detail] => {
                        let reason = DenyReason::from_parts(number(reason), number(detail)).expect("a reason");
                        Verdict::Deny { reason }
                    }
                    _ => panic!("{line}"),
                };
                assert_eq!(verdict, expected, "{line}");
            }
            ["return", time, "lent", lent, "->", rate, "%"] => {
                assert_eq!(self.rate(time_ms(lent), time_ms(time)), scaled(rate, 4), "{line}");
            }
            ["permits", "exactly", "400", "years", "after", series, ref expected @ ..] => {
                let mut permitted = Vec::new();
                for (at, vintages) in &self.archive.0[series] {
                    let sector = SectorCode::parse("C10").expect("a code");
                    if matches!(self.lend(vintages[0].1, sector, 40_000, 365), Verdict::Permit { .. }) {
                        permitted.push(Period(*at - CYCLE_YEARS * 4).text(Frequency::Quarterly));
                    }
                }
                assert_eq!(permitted, expected, "{line}");
            }
            ["leans", "against", series] => self.leans_against(series),
            _ => panic!("{line}"),
        }
    }

    fn leans_against(&self, series: &str) {
        let periods: Vec<_> = self.archive.0[series].values().map(|vintages| vintages[0]).collect();
        let mean = |wanted: fn(i64, i64) -> bool| {
            let rates = periods.windows(2).skip(4).filter(|pair| wanted(pair[0].0, pair[1].0));
            let rates: Vec<_> = rates.map(|pair| self.rate(pair[1].1, pair[1].1)).collect();
            rates.iter().sum::<i64>() / rates.len() as i64
        };
        let (falling, rising) = (mean(|before, now| now < before), mean(|before, now| now > before));
        assert!(falling + 10_000 < rising, "a whole point lower in falls: {falling} against {rising}");
    }
}

fn policies() -> Vec<PathBuf> {
    let listed = std::fs::read_dir(folder("../policies")).expect("the folder is there");
    let mut files: Vec<_> = listed.map(|entry| entry.expect("it can be read").path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "policy"));
    files.sort();
    files
}

#[test]
fn every_policy_of_the_folder_does_what_is_expected_beside_it() {
    let files = policies();
    assert!(files.len() >= 6);
    for file in files {
        let source = std::fs::read_to_string(&file).expect("the policy can be read");
        let checked = check(&source).unwrap_or_else(|wrong| {
            let lines: Vec<_> = wrong.iter().map(|wrong| wrong.line(&source)).collect();
            panic!("{}:\n{}", file.display(), lines.join("\n"))
        });
        let mut case = Case { archive: Archive::default(), program: checked.policy.compile() };
        let expected = std::fs::read_to_string(file.with_extension("expected")).expect("its expectations can be read");
        let lines = expected.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
        lines.for_each(|line| case.line(line));
    }
}

#[test]
fn no_example_has_a_finding_that_is_more_than_a_note() {
    for file in policies() {
        let source = std::fs::read_to_string(&file).expect("the policy can be read");
        let findings = check(&source).expect("it was checked").findings;
        let bad: Vec<_> = findings.iter().filter(|found| found.severity > contracts_vm::Severity::Note).collect();
        assert!(bad.is_empty(), "{}: {bad:?}", file.display());
    }
}

#[test]
fn an_economist_writes_each_example_in_about_twenty_lines() {
    for file in policies() {
        let source = std::fs::read_to_string(&file).expect("the policy can be read");
        let lines = source.lines().filter(|line| !line.trim().is_empty() && !line.trim().starts_with('#')).count();
        assert!(lines <= 20, "{}: {lines} lines", file.display());
    }
}
