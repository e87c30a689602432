//! Does a policy pay more in a slump than in a boom (LANGUAGE.md, A-8)?
//!
//! It is tried, not proved: the program itself runs over a path on which the economy falls by the same step in every
//! period, and over its mirror image, for every steepness, beginning, time and loan age of a grid. The grid has what
//! the policy's cases name and what lies beside it, so that no case is left out because nothing comes near its bound.
//! Where the grid would take more than [`FUEL_MAX`], it is one time and one age, or the usual beginnings alone, and that
//! is said.

use crate::analyse::{finding, not_analysed};
use crate::calendar::{Frequency, LAST_DAY, MS_PER_DAY, Period};
use crate::check::Places;
use crate::diagnostic::{Finding, Severity};
use crate::policy::{Condition, Cycle, Policy, Quantity, QuantityKind};
use crate::reading::{Reading, Readings, Return};
use crate::unit::{DAYS_MAX, PERCENT, Unit};
use crate::{Program, Rate};
use std::collections::BTreeSet;

/// Per period, in hundredths of a percent, or of a percentage point.
const STEEPNESS: [i64; 7] = [5, 25, 50, 100, 200, 400, 800];
/// Of the whole grid: some tens of milliseconds.
const FUEL_MAX: usize = 8_000_000;
/// Where a percent series may begin, whatever the policy names.
const LEVELS: [i64; 5] = [0, 2 * PERCENT, 5 * PERCENT, 8 * PERCENT, 12 * PERCENT];
/// In the middle of the calendar: 2030-03-17.
const DAY: i64 = 21_990;
const AGE_DAYS: i64 = 365;

///
pub(crate) fn with_the_cycle(policy: &Policy, places: &Places, findings: &mut Vec<Finding>) {
    if policy.feeds.iter().all(|feed| feed.cycle == Cycle::Acyclical) {
        return;
    }
    let program = policy.compile();
    let place = places.cases.first().copied().unwrap_or(places.otherwise).to_end_of(places.clamp);
    let mut grid = Grid::of(policy);
    let points_max = FUEL_MAX / program.fuel().max(1) as usize;
    if grid.points() > points_max {
        let cause = "too many times, loan ages and constants to try: whether it pays more in a slump was asked of few";
        findings.push(not_analysed(place, cause));
        (grid.days, grid.ages) = (vec![DAY], vec![AGE_DAYS]);
        if grid.points() > points_max {
            grid.levels.retain(|level| LEVELS.contains(level));
            grid.indices.truncate(1);
        }
    }
    let mut worst: Option<Worst> = None;
    for (steepness, level) in STEEPNESS.into_iter().flat_map(|step| grid.levels.iter().map(move |level| (step, *level)))
    {
        for indices in &grid.indices {
            let [fall, rise] = [-steepness, steepness].map(|step| Path::of(policy, &program, step, level, indices));
            for (day, age) in grid.days.iter().flat_map(|day| grid.ages.iter().map(move |age| (*day, *age))) {
                let (fall, rise) = (fall.rate(&program, day, age), rise.rate(&program, day, age));
                let is_worse = worst.as_ref().is_none_or(|worst| fall.0 - rise.0 > worst.fall.0 - worst.rise.0);
                if fall > rise && is_worse {
                    worst = Some(Worst { steepness, level, fall, rise });
                }
            }
        }
    }
    if let Some(Worst { steepness, level, fall, rise }) = worst {
        let steepness = crate::unit::decimal(steepness, 2, 0);
        let standing = match policy.feeds.iter().any(|feed| feed.unit == Unit::Rate) {
            true => format!(" (percent series beginning at {})", Unit::Rate.write(level)),
            false => String::new(),
        };
        let cause = format!(
            "the policy is pro-cyclical: it pays {fall} when the economy falls by {steepness} % in every period, and \
             {rise} when it rises as fast{standing}"
        );
        let mend = "let the rate be lower in a fall than in a rise, or declare the feed countercyclical or acyclical";
        findings.push(finding(8, Severity::Warning, place, cause, mend));
    }
}

struct Worst {
    steepness: i64,
    level: i64,
    fall: Rate,
    rise: Rate,
}

/// What is tried, each with each, but for indices: of several units each takes its next constant at the same time.
struct Grid {
    /// Where percent feeds begin, in their unit.
    levels: Vec<i64>,
    /// Where each feed begins that is an index or an amount.
    indices: Vec<Vec<i64>>,
    /// Since 1970-01-01.
    days: Vec<i64>,
    /// Of the loan on return.
    ages: Vec<i64>,
}

impl Grid {
    fn of(policy: &Policy) -> Self {
        let mut levels = BTreeSet::from(LEVELS);
        let mut ages = BTreeSet::from([AGE_DAYS]);
        let mut asks_for_age = false;
        let mut quantity = |quantity: &Quantity| match (quantity.unit, &quantity.kind) {
            (Unit::Rate, QuantityKind::Constant(value)) => {
                levels.extend([*value - PERCENT / 4, *value, *value + PERCENT / 4]);
            }
            (Unit::Days, QuantityKind::Constant(days)) => ages.extend([*days - 1, *days, *days + 1]),
            // The shortest and the longest that so many months can be.
            (_, QuantityKind::Months(months)) => ages.extend([28 * i64::from(*months), 31 * i64::from(*months) + 1]),
            (_, QuantityKind::LoanAge) => asks_for_age = true,
            _ => {}
        };
        policy.cases.iter().for_each(|case| case.when.each_quantity(&mut quantity));
        ages.retain(|age| asks_for_age && (0..=DAYS_MAX).contains(age) || *age == AGE_DAYS);

        let (mut dates, mut of_months, mut of_week) = (BTreeSet::from([DAY]), false, false);
        policy.cases.iter().for_each(|case| {
            case.when.each_one(&mut |one| match one {
                Condition::Time { from, until } => {
                    let named = [from, until].into_iter().flatten();
                    dates.extend(named.flat_map(|date| [i64::from(date.0) - 1, i64::from(date.0)]));
                }
                Condition::Months(_) => of_months = true,
                Condition::Weekdays(_) => of_week = true,
                _ => {}
            });
        });
        // Twelve steps of thirty days from the middle of a month are twelve months.
        let months = if of_months { 12 } else { 1 };
        let week = if of_week { 7 } else { 1 };
        let days = dates
            .iter()
            .flat_map(|date| (0..months).flat_map(move |month| (0..week).map(move |day| *date + 30 * month + day)));
        let days: BTreeSet<i64> = days.filter(|day| (0..=i64::from(LAST_DAY)).contains(day)).collect();

        let begins: Vec<Vec<i64>> = policy.feeds.iter().map(|feed| index_levels(policy, feed.unit)).collect();
        let most = begins.iter().map(Vec::len).max().unwrap_or(1);
        let indices = (0..most).map(|at| begins.iter().map(|levels| levels[at % levels.len()]).collect()).collect();
        let all = |of: BTreeSet<i64>| of.into_iter().collect();
        Self { levels: all(levels), indices, days: all(days), ages: all(ages) }
    }

    /// Evaluations.
    fn points(&self) -> usize {
        2 * STEEPNESS.len() * self.levels.len() * self.indices.len() * self.days.len() * self.ages.len()
    }
}

/// Where an index or an amount begins: each constant of its unit that a case compares with, else one far from all.
fn index_levels(policy: &Policy, unit: Unit) -> Vec<i64> {
    let mut levels = BTreeSet::new();
    if unit == Unit::Rate {
        return vec![0];
    }
    let mut constants = |quantity: &Quantity| match quantity.kind {
        QuantityKind::Constant(value) if quantity.unit == unit && value > 0 => drop(levels.insert(value)),
        _ => {}
    };
    policy.cases.iter().for_each(|case| case.when.each_quantity(&mut constants));
    if levels.is_empty() {
        levels.insert(1_000_000_000_000);
    }
    levels.into_iter().collect()
}

/// An economy that moves by the same step in every period.
struct Path {
    /// Of each feed what is read, newest first.
    values: Vec<Vec<i64>>,
}

impl Path {
    /// Both paths begin at one value, before all that is read: so a mean lies on the side of its path.
    fn of(policy: &Policy, program: &Program, steepness: i64, level: i64, indices: &[i64]) -> Self {
        let feeds = policy.feeds.iter().zip(program.feeds()).zip(indices);
        let values = feeds.map(|((feed, used), index)| {
            let step = match feed.cycle {
                Cycle::Procyclical => steepness,
                Cycle::Countercyclical => -steepness,
                Cycle::Acyclical => 0,
            };
            let mut values = Vec::new();
            let finer = 10_i64.pow(4_u32.saturating_sub(feed.scale.into()));
            let mut grown = i128::from(*index) * 1_000_000;
            for period in 1..=i64::from(used.periods) {
                grown += grown / 10_000 * i128::from(step);
                values.push(match feed.unit {
                    Unit::Rate => (level + period * step * PERCENT / 100) / finer,
                    _ => i64::try_from(grown / 1_000_000).unwrap_or(i64::MAX),
                });
            }
            values.reverse();
            values
        });
        Path { values: values.collect() }
    }

    /// Of a loan that is so many days old on that day.
    fn rate(&self, program: &Program, day: i64, age: i64) -> Rate {
        let time_ms = day.unsigned_abs() * MS_PER_DAY;
        let activated_ms = time_ms.saturating_sub(age.unsigned_abs() * MS_PER_DAY);
        program.rate(&Return { activated_ms, time_ms }, &At { path: self, time_ms })
    }
}

struct At<'a> {
    path: &'a Path,
    time_ms: u64,
}

impl Readings for At<'_> {
    fn reading(&self, feed: usize, back: u16) -> Option<Reading> {
        let value = *self.path.values[feed].get(usize::from(back))?;
        let newest = Period::containing(Frequency::Daily, self.time_ms);
        let period = Period(newest.0 - i32::from(back));
        Some(Reading { period, vintage: 0, value, published_ms: self.time_ms, valid_until_ms: u64::MAX })
    }
}
