//! Civil calendar, UTC, in integers alone: days since 1970-01-01, and the periods that statistics are published for.
//!
//! The calendar repeats itself after 400 years, which are 4800 months: their first days are a table, and every date is
//! counted from it. Years 1970 to 9999, no leap seconds, as block time has none.

use std::fmt;

pub const MS_PER_DAY: u64 = 86_400_000;
/// 9999-12-31, the last date that a policy may name.
pub const LAST_DAY: i32 = 2_932_896;

/// A civil date of UTC, as days since 1970-01-01.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Date(pub i32);

impl Date {
    /// None if there is no such day, or the year lies outside 1970 to 9999.
    pub fn new(year: i32, month: u32, day: u32) -> Option<Self> {
        let is_day = (1970..=9999).contains(&year) && (1..=12).contains(&month) && day >= 1;
        (is_day && day <= days_in_month(year.into(), month))
            .then(|| Self(i32::try_from(days(year.into(), month, day)).expect("the year is at most 9999")))
    }

    /// First instant of the day, unix milliseconds.
    pub fn start_ms(self) -> u64 {
        u64::try_from(self.0).unwrap_or(0) * MS_PER_DAY
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = civil(self.0.into());
        write!(f, "{year:04}-{month:02}-{day:02}")
    }
}

/// How often a series has a value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Frequency {
    Daily = 1,
    Monthly = 2,
    Quarterly = 3,
    Yearly = 4,
}

impl Frequency {
    pub const ALL: [Self; 4] = [Self::Daily, Self::Monthly, Self::Quarterly, Self::Yearly];

    pub fn word(self) -> &'static str {
        match self {
            Self::Daily => "daily",
            Self::Monthly => "monthly",
            Self::Quarterly => "quarterly",
            Self::Yearly => "yearly",
        }
    }

    /// One of its periods: `quarter`.
    pub fn period_word(self) -> &'static str {
        match self {
            Self::Daily => "day",
            Self::Monthly => "month",
            Self::Quarterly => "quarter",
            Self::Yearly => "year",
        }
    }
}

/// What a reading is about, counted in the frequency of its feed: days since 1970-01-01, or months, quarters, years
/// since year 0. Periods of one frequency that follow each other differ by one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Period(pub i32);

impl Period {
    pub fn day(date: Date) -> Self {
        Self(date.0)
    }

    /// `month` 1 to 12.
    pub fn month(year: i32, month: u32) -> Self {
        Self(year * 12 + month as i32 - 1)
    }

    /// `quarter` 1 to 4.
    pub fn quarter(year: i32, quarter: u32) -> Self {
        Self(year * 4 + quarter as i32 - 1)
    }

    pub fn year(year: i32) -> Self {
        Self(year)
    }

    /// The period of this frequency that the instant lies in.
    pub fn containing(frequency: Frequency, time_ms: u64) -> Self {
        let day = i32::try_from(time_ms / MS_PER_DAY).unwrap_or(i32::MAX).min(LAST_DAY);
        let (year, month, _) = civil(day.into());
        let year = i32::try_from(year).expect("at most 9999");
        match frequency {
            Frequency::Daily => Self(day),
            Frequency::Monthly => Self::month(year, month),
            Frequency::Quarterly => Self::quarter(year, (month - 1) / 3 + 1),
            Frequency::Yearly => Self::year(year),
        }
    }

    /// First day after the period, when its value can first be known. None outside the years 1970 to 9999.
    pub fn end(self, frequency: Frequency) -> Option<Date> {
        let next = self.0.checked_add(1)?;
        match frequency {
            Frequency::Daily => (0..=LAST_DAY).contains(&next).then_some(Date(next)),
            Frequency::Monthly => Date::new(next.div_euclid(12), next.rem_euclid(12) as u32 + 1, 1),
            Frequency::Quarterly => Date::new(next.div_euclid(4), next.rem_euclid(4) as u32 * 3 + 1, 1),
            Frequency::Yearly => Date::new(next, 1, 1),
        }
    }

    /// As people write it: `2026-01-31`, `2026-01`, `2026Q1`, `2026`.
    pub fn text(self, frequency: Frequency) -> String {
        match frequency {
            Frequency::Daily => Date(self.0).to_string(),
            Frequency::Monthly => format!("{:04}-{:02}", self.0.div_euclid(12), self.0.rem_euclid(12) + 1),
            Frequency::Quarterly => format!("{:04}Q{}", self.0.div_euclid(4), self.0.rem_euclid(4) + 1),
            Frequency::Yearly => format!("{:04}", self.0),
        }
    }
}

const YEARS: i64 = 400;
const MONTHS: i64 = YEARS * 12;
const DAYS: i64 = 146_097;
const FIRST_YEAR: i64 = 1970;

/// First day of each month of the 400 years from 1970 on, counted from 1970-01-01, and the day behind the last.
static MONTH_STARTS: [u32; MONTHS as usize + 1] = {
    let mut starts = [0; MONTHS as usize + 1];
    let mut month = 0;
    while month < MONTHS as usize {
        starts[month + 1] = starts[month] + days_in_month(FIRST_YEAR + month as i64 / 12, month as u32 % 12 + 1);
        month += 1;
    }
    assert!(starts[MONTHS as usize] as i64 == DAYS);
    starts
};

pub const fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

pub const fn days_in_month(year: i64, month: u32) -> u32 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Months since 1970-01 of a day since 1970-01-01, and its place in its month, from 0.
#[inline]
fn month_of(day: i64) -> (i64, i64) {
    let (cycles, day) = within(day, DAYS);
    // Months differ by so little from their mean that this is the month, or the one before it.
    let before = (day.saturating_sub(2) * MONTHS as u32 / DAYS as u32) as usize;
    let month = before + usize::from(MONTH_STARTS[before + 1] <= day);
    (cycles * MONTHS + month as i64, i64::from(day - MONTH_STARTS[month]))
}

/// Since 1970-01-01, of a month since 1970-01; and how many days it has.
#[inline]
fn first_day_and_length(month: i64) -> (i64, i64) {
    let (cycles, month) = within(month, MONTHS);
    let [first, next] = [MONTH_STARTS[month as usize], MONTH_STARTS[month as usize + 1]];
    (cycles * DAYS + i64::from(first), i64::from(next - first))
}

/// How often the calendar has repeated itself, in our time never, and what is left.
#[inline]
fn within(count: i64, of: i64) -> (i64, u32) {
    if (0..of).contains(&count) { (0, count as u32) } else { (count.div_euclid(of), count.rem_euclid(of) as u32) }
}

/// Days since 1970-01-01.
pub fn days(year: i64, month: u32, day: u32) -> i64 {
    first_day_and_length((year - FIRST_YEAR) * 12 + i64::from(month) - 1).0 + i64::from(day) - 1
}

/// Year, month and day of a day since 1970-01-01.
pub fn civil(day: i64) -> (i64, u32, u32) {
    let (month, day) = month_of(day);
    (FIRST_YEAR + month.div_euclid(12), month.rem_euclid(12) as u32 + 1, day as u32 + 1)
}

/// Of a day since 1970-01-01; 0 is January.
#[inline]
pub fn month_of_year(day: i64) -> u32 {
    month_of(day).0.rem_euclid(12) as u32
}

/// 0 is Monday.
#[inline]
pub fn weekday(day: i64) -> u32 {
    (day + 3).rem_euclid(7) as u32
}

/// Days from a day to the same day of the month so many months later, or to that month's last day if it is shorter.
#[inline]
pub fn days_to_months_ahead(day: i64, months: i64) -> i64 {
    let (month, day_of_month) = month_of(day);
    let (first, length) = first_day_and_length(month + months);
    first + day_of_month.min(length - 1) - day
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_day_of_the_calendar_comes_back_and_follows_its_forerunner() {
        let mut last = (1969, 12, 31);
        for day in 0..=i64::from(LAST_DAY) {
            let (year, month, day_of_month) = civil(day);
            assert_eq!(days(year, month, day_of_month), day);
            let (before_year, before_month, before_day) = last;
            let expected = if before_day < days_in_month(before_year, before_month) {
                (before_year, before_month, before_day + 1)
            } else if before_month < 12 {
                (before_year, before_month + 1, 1)
            } else {
                (before_year + 1, 1, 1)
            };
            assert_eq!((year, month, day_of_month), expected);
            last = expected;
        }
        assert_eq!(last, (9999, 12, 31));
    }

    #[test]
    fn every_day_of_400_years_lies_in_the_month_of_the_table_that_holds_it() {
        for month in 0..MONTHS {
            let (first, length) = first_day_and_length(month);
            (0..length).for_each(|day| assert_eq!(month_of(first + day), (month, day)));
        }
        assert_eq!(civil(-1), (1969, 12, 31));
        assert_eq!(civil(-719_529), (-1, 12, 31));
        assert_eq!(civil(LAST_DAY.into()), (9999, 12, 31));
    }

    #[test]
    fn known_days_have_their_weekdays() {
        assert_eq!(weekday(days(1970, 1, 1)), 3, "a Thursday");
        assert_eq!(weekday(days(2000, 2, 29)), 1, "a Tuesday");
        assert_eq!(weekday(days(2026, 11, 27)), 4, "a Friday");
    }

    #[test]
    fn a_month_ahead_of_a_long_month_ends_on_the_last_day_of_a_short_one() {
        let from = days(2028, 1, 31);
        assert_eq!(days_to_months_ahead(from, 1), 29, "2028 is a leap year");
        assert_eq!(days_to_months_ahead(from, 12), 366);
        assert_eq!(days_to_months_ahead(days(2028, 2, 29), 12), 365, "28 February 2029");
    }

    #[test]
    fn a_period_names_itself_and_its_end() {
        assert_eq!(Period::quarter(1970, 1).text(Frequency::Quarterly), "1970Q1");
        assert_eq!(Period::quarter(1970, 4).end(Frequency::Quarterly), Date::new(1971, 1, 1));
        assert_eq!(Period::month(2026, 12).text(Frequency::Monthly), "2026-12");
        assert_eq!(Period::containing(Frequency::Quarterly, 0), Period::quarter(1970, 1));
        assert_eq!(Period::containing(Frequency::Daily, u64::MAX), Period(LAST_DAY));
    }
}
