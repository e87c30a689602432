//! A table of history as statistics offices publish it: a heading, a row a period, one column a series.
//!
//! Cells stay text until a feed asks for them at its scale, so no number passes through a float.

use crate::Refusal;
use crate::replay::Series;
use contracts_vm::policy::{Feed, Policy};
use contracts_vm::{Date, Frequency, Period, calendar};
use std::collections::BTreeMap;

/// Fifty years of days in thirty columns are 5 MiB.
pub const TABLE_BYTES_MAX: usize = 16 << 20;
/// Names under which one column says the period, in the order in which they are looked for.
const PERIOD_NAMES: [&str; 8] =
    ["period", "date", "observation_date", "time_period", "time", "quarter", "month", "year"];
/// As offices write that there is no value.
const NO_VALUE: [&str; 6] = ["", ".", "..", "-", "NA", "NaN"];

pub struct Table {
    pub frequency: Frequency,
    /// Which columns said the period: `year, quarter`.
    pub period_columns: Vec<String>,
    /// All columns, in the order of the file.
    pub columns: Vec<String>,
    /// Ascending; without a gap unless daily.
    pub periods: Vec<Period>,
    rows: Vec<csv::StringRecord>,
    /// Of the file's bytes.
    pub blake3: [u8; 32],
}

/// Which column stands for which series, as somebody asked: by the series' name or by the policy's name for the feed.
pub type Mapping = BTreeMap<String, String>;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rounding {
    /// More decimals than the feed has are refused.
    Refuse,
    HalfToEven,
}

/// Where a feed's values come from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FeedSource {
    pub feed: String,
    pub series: String,
    pub column: String,
    /// Values that had more decimals than the feed.
    pub rounded: usize,
    /// Rows without a value.
    pub missing: usize,
    /// The table is coarser than the feed, whose every period was given the value of the row that it lies in.
    pub repeated: bool,
}

impl Table {
    pub fn read(bytes: &[u8]) -> Result<Table, Refusal> {
        if bytes.len() > TABLE_BYTES_MAX {
            let cause = format!("the table has {} bytes, at most {TABLE_BYTES_MAX} are read", bytes.len());
            return Err(Refusal::new(1, cause, "keep the columns that the policy reads"));
        }
        let blake3 = *blake3::hash(bytes).as_bytes();
        let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text);
        let columns: Vec<String> = reader.headers().map_err(of_csv)?.iter().map(str::to_owned).collect();
        for (at, column) in columns.iter().enumerate() {
            if columns[..at].contains(column) {
                return Err(Refusal::new(2, format!("two columns are called \"{column}\""), "rename one"));
            }
        }
        let rows = reader.records().collect::<Result<Vec<_>, _>>().map_err(of_csv)?;
        if rows.is_empty() {
            return Err(Refusal::new(12, "the table has no rows", "give a heading and a row for each period"));
        }
        let (period_columns, frequency, periods) = periods(&columns, &rows)?;
        follow_each_other(&periods, frequency)?;
        Ok(Table { frequency, period_columns, columns, periods, rows, blake3 })
    }

    /// For each feed of the policy its history, and where it came from.
    pub fn series(
        &self,
        policy: &Policy,
        mapping: &Mapping,
        rounding: Rounding,
    ) -> Result<(Vec<Series>, Vec<FeedSource>), Refusal> {
        for name in mapping.keys() {
            if !policy.feeds.iter().any(|feed| names(feed).contains(&name.as_str())) {
                let cause = format!("the policy reads no series \"{name}\"");
                let feeds: Vec<&str> = policy.feeds.iter().map(|feed| feed.series.as_str()).collect();
                return Err(Refusal::new(7, cause, format!("it reads: {}", feeds.join(", "))));
            }
        }
        let found: Result<Vec<_>, Refusal> =
            policy.feeds.iter().map(|feed| self.series_of(feed, mapping, rounding)).collect();
        Ok(found?.into_iter().unzip())
    }

    fn series_of(&self, feed: &Feed, mapping: &Mapping, rounding: Rounding) -> Result<(Series, FeedSource), Refusal> {
        let at = self.column_of(feed, mapping)?;
        let column = self.columns[at].clone();
        if (self.frequency as u8) < (feed.frequency as u8) {
            let (table, wants) = (self.frequency.word(), feed.frequency.word());
            let cause = format!("\"{column}\" is {table}, the feed \"{}\" is {wants}", feed.name);
            return Err(Refusal::new(
                11,
                cause,
                format!("give a {wants} table: its last value or its mean is your choice"),
            ));
        }
        let mut source = FeedSource {
            feed: feed.name.clone(),
            series: feed.series.to_string(),
            column,
            rounded: 0,
            missing: 0,
            repeated: self.frequency != feed.frequency,
        };
        let mut values = Vec::with_capacity(self.rows.len());
        for (row, period) in self.rows.iter().zip(&self.periods) {
            let cell = &row[at];
            if NO_VALUE.contains(&cell) {
                source.missing += 1;
                continue;
            }
            let (value, was_rounded) = decimal_at_scale(cell, feed.scale, rounding).map_err(|mut refusal| {
                refusal.cause =
                    format!("column \"{}\", {}: {}", source.column, period.text(self.frequency), refusal.cause);
                refusal
            })?;
            source.rounded += usize::from(was_rounded);
            let (first, last) = within(*period, self.frequency, feed.frequency);
            values.extend((first.0..=last.0).map(|period| (Period(period), value)));
        }
        Ok((Series { frequency: feed.frequency, values }, source))
    }

    fn column_of(&self, feed: &Feed, mapping: &Mapping) -> Result<usize, Refusal> {
        let all = || format!("the columns are: {}", self.columns.join(", "));
        if let Some(column) = names(feed).iter().find_map(|name| mapping.get(*name)) {
            if self.period_columns.contains(column) {
                return Err(Refusal::new(7, format!("the column \"{column}\" says the period"), all()));
            }
            return self
                .columns
                .iter()
                .position(|found| found == column)
                .ok_or_else(|| Refusal::new(7, format!("the table has no column \"{column}\""), all()));
        }
        let found = self.columns.iter().position(|column| names(feed).contains(&column.as_str()));
        found.filter(|at| !self.period_columns.contains(&self.columns[*at])).ok_or_else(|| {
            let cause = format!("no column is called as the feed \"{}\" or its series \"{}\"", feed.name, feed.series);
            Refusal::new(6, cause, format!("say which it is: --map {}=COLUMN; {}", feed.series, all()))
        })
    }
}

fn names(feed: &Feed) -> [&str; 2] {
    [feed.series.as_str(), feed.name.as_str()]
}

fn of_csv(error: csv::Error) -> Refusal {
    let number = if matches!(error.kind(), csv::ErrorKind::Utf8 { .. }) { 1 } else { 2 };
    Refusal::new(number, format!("the table is no CSV: {error}"), "save it as comma-separated UTF-8 with one heading")
}

type Periods = (Vec<String>, Frequency, Vec<Period>);

fn periods(columns: &[String], rows: &[csv::StringRecord]) -> Result<Periods, Refusal> {
    let named = |name: &str| columns.iter().position(|column| column.eq_ignore_ascii_case(name));
    let year = named("year");
    for (part, frequency, parts) in [("quarter", Frequency::Quarterly, 4), ("month", Frequency::Monthly, 12)] {
        let (Some(year), Some(at)) = (year, named(part)) else { continue };
        let found: Result<Vec<Period>, Refusal> = rows
            .iter()
            .map(|row| {
                let numbers = (row[year].parse::<i32>().ok(), row[at].parse::<u32>().ok());
                match numbers {
                    (Some(year @ 1..=9999), Some(within)) if (1..=parts).contains(&within) => {
                        Ok(if parts == 4 { Period::quarter(year, within) } else { Period::month(year, within) })
                    }
                    _ => Err(unreadable(row, &format!("{} and {}", &row[year], &row[at]))),
                }
            })
            .collect();
        return Ok((vec![columns[year].clone(), columns[at].clone()], frequency, found?));
    }
    let Some(at) = PERIOD_NAMES.iter().find_map(|name| named(name)) else {
        let cause = format!("no column says which period a row is of: {}", columns.join(", "));
        return Err(Refusal::new(3, cause, "call it period or date, or give year and quarter, or year and month"));
    };
    let found = rows
        .iter()
        .map(|row| parse_period(&row[at]).ok_or_else(|| unreadable(row, &row[at])))
        .collect::<Result<Vec<_>, _>>()?;
    let (frequency, first) = found[0];
    if let Some(other) = found.iter().position(|(other, _)| *other != frequency) {
        return Err(unreadable(&rows[other], &rows[other][at]));
    }
    let mut periods: Vec<Period> = found.into_iter().map(|(_, period)| period).collect();
    let frequency = if frequency == Frequency::Daily { coarser(&mut periods) } else { frequency };
    debug_assert!(frequency != Frequency::Daily || periods[0] == first);
    Ok((vec![columns[at].clone()], frequency, periods))
}

fn unreadable(row: &csv::StringRecord, text: &str) -> Refusal {
    let line = row.position().map_or(0, csv::Position::line);
    let mend = "write 1974Q4, 1974-12, 1974-12-31 or 1974, all rows alike";
    Refusal::new(4, format!("line {line}: \"{text}\" is no period like those above it"), mend)
}

/// Days that are all the first of a month, and apart like months, quarters or years, stand for those: so offices date them.
fn coarser(periods: &mut [Period]) -> Frequency {
    let days: Vec<_> = periods.iter().map(|period| calendar::civil(period.0.into())).collect();
    if days.len() < 2 || days.iter().any(|(_, _, day)| *day != 1) {
        return Frequency::Daily;
    }
    let months: Vec<i64> = days.iter().map(|(year, month, _)| year * 12 + i64::from(*month) - 1).collect();
    let apart = months.windows(2).map(|pair| pair[1] - pair[0]).min().unwrap_or(1);
    let (frequency, length) = match apart {
        12 => (Frequency::Yearly, 12),
        3 if months.iter().all(|month| month % 3 == 0) => (Frequency::Quarterly, 3),
        _ => (Frequency::Monthly, 1),
    };
    for (period, month) in periods.iter_mut().zip(months) {
        *period = Period(i32::try_from(month / length).expect("a month of the years 1 to 9999"));
    }
    frequency
}

fn follow_each_other(periods: &[Period], frequency: Frequency) -> Result<(), Refusal> {
    for pair in periods.windows(2) {
        let apart = i64::from(pair[1].0) - i64::from(pair[0].0);
        // Days without trade have no row.
        if apart == 1 || (apart > 1 && frequency == Frequency::Daily) {
            continue;
        }
        let cause = format!("{} comes after {}", pair[1].text(frequency), pair[0].text(frequency));
        return Err(Refusal::new(
            5,
            cause,
            "one row a period, oldest first; leave the cells empty where nothing is known",
        ));
    }
    Ok(())
}

/// `1974Q4`, `1974-Q4`, `1974-12`, `1974-12-31`, `1974`; years 1 to 9999.
pub fn parse_period(text: &str) -> Option<(Frequency, Period)> {
    let number = |digits: &str, length: usize| -> Option<u32> {
        (digits.len() == length && digits.bytes().all(|b| b.is_ascii_digit())).then(|| digits.parse().ok())?
    };
    let year = i32::try_from(number(text.get(..4)?, 4)?).ok().filter(|year| *year > 0)?;
    let rest = text.get(4..)?;
    if rest.is_empty() {
        return Some((Frequency::Yearly, Period::year(year)));
    }
    if let Some(quarter) = rest.trim_start_matches('-').strip_prefix(['Q', 'q']) {
        let quarter = number(quarter, 1).filter(|quarter| (1..=4).contains(quarter))?;
        return Some((Frequency::Quarterly, Period::quarter(year, quarter)));
    }
    let month = number(rest.get(1..3)?, 2).filter(|month| rest.starts_with('-') && (1..=12).contains(month))?;
    let rest = rest.get(3..)?;
    if rest.is_empty() {
        return Some((Frequency::Monthly, Period::month(year, month)));
    }
    let days = calendar::days_in_month(year.into(), month);
    let day = number(rest.strip_prefix('-')?, 2).filter(|day| (1..=days).contains(day))?;
    let day = i32::try_from(calendar::days(year.into(), month, day)).ok()?;
    Some((Frequency::Daily, Period::day(Date(day))))
}

/// First and last period of the finer frequency within one of the coarser.
pub(crate) fn within(period: Period, coarse: Frequency, fine: Frequency) -> (Period, Period) {
    if coarse == fine {
        return (period, period);
    }
    let months = |period: Period| match coarse {
        Frequency::Yearly => i64::from(period.0) * 12,
        Frequency::Quarterly => i64::from(period.0) * 3,
        Frequency::Monthly | Frequency::Daily => i64::from(period.0),
    };
    let (from, to) = (months(period), months(Period(period.0 + 1)));
    let at = |month: i64| -> i64 {
        match fine {
            Frequency::Daily => {
                let month_of_year = u32::try_from(month.rem_euclid(12)).expect("0 to 11") + 1;
                calendar::days(month.div_euclid(12), month_of_year, 1)
            }
            Frequency::Monthly => month,
            Frequency::Quarterly => month / 3,
            Frequency::Yearly => month / 12,
        }
    };
    let period = |count: i64| Period(i32::try_from(count).expect("of the years 1 to 9999"));
    (period(at(from)), period(at(to) - 1))
}

/// The number as an integer of so many decimals, and whether it had to be rounded.
pub fn decimal_at_scale(text: &str, scale: u8, rounding: Rounding) -> Result<(i64, bool), Refusal> {
    let no_number = || {
        let mend = "write digits and a point, without thousands separators, exponents or units";
        Refusal::new(8, format!("\"{text}\" is no decimal number"), mend)
    };
    let too_large = || Refusal::new(10, format!("{text} is too large for scale {scale}"), "publish it in larger units");
    let (is_negative, digits) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let is_number =
        !(whole.is_empty() && fraction.is_empty()) && whole.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit());
    if !is_number {
        return Err(no_number());
    }
    let kept = fraction.len().min(scale.into());
    let beyond = fraction[kept..].trim_end_matches('0');
    let exact = format!("{whole}{:0<width$}", &fraction[..kept], width = usize::from(scale));
    let exact = exact.trim_start_matches('0');
    let mut value: i64 = if exact.is_empty() { 0 } else { exact.parse().map_err(|_| too_large())? };
    if !beyond.is_empty() {
        if rounding == Rounding::Refuse {
            let decimals = kept + beyond.len();
            let mend = "let the feed have more decimals, or let them be rounded half to even: --round";
            return Err(Refusal::new(9, format!("{text} has {decimals} decimals, the feed has {scale}"), mend));
        }
        let goes_up = match (beyond.as_bytes()[0], beyond.len()) {
            (b'5', 1) => value % 2 == 1,
            (first, _) => first >= b'5',
        };
        value = value.checked_add(i64::from(goes_up)).ok_or_else(too_large)?;
    }
    Ok((if is_negative { -value } else { value }, !beyond.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Table, Refusal> {
        Table::read(text.as_bytes())
    }

    fn span(text: &str) -> (Frequency, String) {
        let table = read(text).unwrap();
        let texts: Vec<String> = table.periods.iter().map(|period| period.text(table.frequency)).collect();
        (table.frequency, texts.join(" "))
    }

    #[test]
    fn decimals_are_exact_refused_or_rounded_on_request_and_never_a_float() {
        let exact = |text, scale| decimal_at_scale(text, scale, Rounding::Refuse).map_err(|refusal| refusal.number);
        assert_eq!(exact("2710.349", 3), Ok((2_710_349, false)));
        assert_eq!(exact("-0.74", 2), Ok((-74, false)));
        assert_eq!(exact("5840.4", 3), Ok((5_840_400, false)));
        assert_eq!(exact("28.980", 2), Ok((2_898, false)), "a zero more says nothing new");
        assert_eq!(exact(".5", 1), Ok((5, false)));
        assert_eq!(exact("0.1", 9), Ok((100_000_000, false)));
        assert_eq!(exact("9007199254740993", 0), Ok((9_007_199_254_740_993, false)), "beyond a float's integers");
        assert_eq!(exact("1.005", 2), Err(9));
        assert_eq!(exact("9223372036854775808", 0), Err(10));
        for wrong in ["", ".", "-", "1e3", "1,000", "12 %", "0x10", "--1", "1.2.3", "٣"] {
            assert_eq!(exact(wrong, 2), Err(8), "{wrong}");
        }
        let rounded = |text| decimal_at_scale(text, 2, Rounding::HalfToEven).unwrap();
        assert_eq!(rounded("1.005"), (100, true));
        assert_eq!(rounded("1.015"), (102, true));
        assert_eq!(rounded("1.0051"), (101, true));
        assert_eq!(rounded("-1.015"), (-102, true));
        assert_eq!(rounded("1.004999"), (100, true));
    }

    #[test]
    fn periods_are_found_in_every_shape_that_offices_write() {
        assert_eq!(span("year,quarter,x\n1959,4,1\n1960,1,2\n"), (Frequency::Quarterly, "1959Q4 1960Q1".into()));
        assert_eq!(span("Year,Month,x\n1959,12,1\n1960,1,2\n"), (Frequency::Monthly, "1959-12 1960-01".into()));
        assert_eq!(span("x,period\n1,1959Q4\n2,1960-Q1\n"), (Frequency::Quarterly, "1959Q4 1960Q1".into()));
        assert_eq!(span("date,x\n2006-01-01,1\n2006-02-01,1\n"), (Frequency::Monthly, "2006-01 2006-02".into()));
        assert_eq!(span("DATE,x\n1959-10-01,1\n1960-01-01,1\n"), (Frequency::Quarterly, "1959Q4 1960Q1".into()));
        assert_eq!(span("date,x\n1959-01-01,1\n1960-01-01,1\n"), (Frequency::Yearly, "1959 1960".into()));
        assert_eq!(span("date,x\n2026-01-02,1\n2026-01-05,1\n"), (Frequency::Daily, "2026-01-02 2026-01-05".into()));
        assert_eq!(span("year,x\n1959,1\n1960,1\n"), (Frequency::Yearly, "1959 1960".into()));
        assert_eq!(span("\u{feff}\"year\",\"quarter\"\n1959,1\n"), (Frequency::Quarterly, "1959Q1".into()));
    }

    #[test]
    fn a_table_that_is_not_clear_is_refused_by_its_number() {
        for (number, text) in [
            (2, "year,quarter,x\n1959,1\n"),
            (2, "year,x,x\n1959,1,2\n"),
            (3, "x,y\n1,2\n"),
            (4, "year,quarter\n1959,5\n"),
            (4, "date,x\n1959-02-29,1\n"),
            (4, "date,x\n1959Q1,1\n1959-04,1\n"),
            (5, "year,quarter\n1959,1\n1959,3\n"),
            (5, "year,quarter\n1959,2\n1959,1\n"),
            (5, "date,x\n2026-01-05,1\n2026-01-05,1\n"),
            (12, "year,quarter\n"),
        ] {
            assert_eq!(read(text).map(|_| ()).unwrap_err().number, number, "{text}");
        }
        assert_eq!(Table::read(b"year,x\n1959,\xff\n").map(|_| ()).unwrap_err().number, 1);
    }

    #[test]
    fn a_quarter_has_three_months_and_a_year_its_days() {
        let within = |coarse, fine, text: &str| {
            let (_, period) = parse_period(text).unwrap();
            let (from, to) = super::within(period, coarse, fine);
            format!("{}..{}", from.text(fine), to.text(fine))
        };
        assert_eq!(within(Frequency::Quarterly, Frequency::Monthly, "1974Q4"), "1974-10..1974-12");
        assert_eq!(within(Frequency::Yearly, Frequency::Quarterly, "1974"), "1974Q1..1974Q4");
        assert_eq!(within(Frequency::Monthly, Frequency::Daily, "2008-02"), "2008-02-01..2008-02-29");
        assert_eq!(within(Frequency::Yearly, Frequency::Daily, "2008"), "2008-01-01..2008-12-31");
    }
}
