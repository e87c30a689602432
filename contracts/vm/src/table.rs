//! Which of some conditions can hold together, decided over a table (LANGUAGE.md, A-1 to A-5).
//!
//! Every comparison is brought to the form "this much more than that", every run of falls or rises to one count; for each such
//! magnitude the values at and beside the bounds that the policy names stand for all others, and for the calendar one day of each
//! kind between the dates that it names. Magnitudes count as free of each other, so that "can never" is always true, and "can" may
//! be true on paper alone.

use crate::calendar::{self, LAST_DAY};
use crate::policy::{Comparison, Condition, Quantity, QuantityKind};
use crate::sector::{CODES, SectorSet};
use crate::unit::{DAYS_MAX, FACTOR_ONE};
use std::collections::BTreeMap;

/// Rows of a table; one that would have more is none.
const TABLE_MAX: usize = 1 << 16;

/// An evaluation has no other numbers (E-6): of what leaves 64 bits nothing is said.
pub(crate) fn in_64_bits(value: i128) -> Option<i128> {
    i64::try_from(value).ok().map(i128::from)
}

impl Quantity {
    /// Its value, if it is the same always.
    pub(crate) fn constant(&self) -> Option<i128> {
        let linear = Linear::of(self);
        linear.terms.is_empty().then_some(linear.constant)
    }
}

/// A sum of magnitudes, each so many times, and a constant. What is no sum is one magnitude.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Linear {
    terms: BTreeMap<String, i128>,
    constant: i128,
}

impl Linear {
    fn of(quantity: &Quantity) -> Self {
        let constant = |constant| Self { terms: BTreeMap::new(), constant };
        match &quantity.kind {
            QuantityKind::Constant(value) => constant((*value).into()),
            QuantityKind::Add(left, right) => Self::of(left).plus(&Self::of(right), 1),
            QuantityKind::Subtract(left, right) => Self::of(left).plus(&Self::of(right), -1),
            QuantityKind::InBasisPoints(inner) | QuantityKind::InPercent(inner) => Self::of(inner),
            QuantityKind::Times(factor, inner) => match Self::product(*factor, inner) {
                Some(value) => constant(value),
                None => Self::magnitude(&quantity.kind),
            },
            // A factor rounds, and a lower or higher one of two bends: magnitudes of their own.
            kind => Self::magnitude(kind),
        }
    }

    fn magnitude(kind: &QuantityKind) -> Self {
        Self { terms: BTreeMap::from([(format!("{kind:?}"), 1)]), constant: 0 }
    }

    /// Of a constant; none either where it leaves 64 bits, for an evaluation has none then (E-6). So a line's sums of
    /// at most 64 such constants stay within 128.
    fn product(factor: i64, inner: &Quantity) -> Option<i128> {
        let product = inner.constant()?.checked_mul(factor.into())?;
        in_64_bits(crate::unit::divide_half_even(product, FACTOR_ONE.into()))
    }

    fn plus(mut self, other: &Self, sign: i128) -> Self {
        for (term, times) in &other.terms {
            *self.terms.entry(term.clone()).or_default() += sign * times;
        }
        self.terms.retain(|_, times| *times != 0);
        self.constant += sign * other.constant;
        self
    }

    /// What varies, with its first term positive, whether that turned it round, and the constant apart.
    fn apart(self) -> (String, bool, i128) {
        let is_turned = self.terms.values().next().is_some_and(|first| *first < 0);
        let sign = if is_turned { -1 } else { 1 };
        let name: Vec<_> = self.terms.iter().map(|(term, times)| format!("{} {term}", sign * times)).collect();
        (name.join(" + "), is_turned, self.constant)
    }
}

/// What a row of the table gives a value to.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Magnitude {
    Sum(String),
    /// Of a feed: newest changes that all are falls, below zero rises.
    Falls(u8),
    Day,
    /// A position of the list.
    Sector,
}

/// A condition over a row.
enum Shape {
    And(Box<Shape>, Box<Shape>),
    Or(Box<Shape>, Box<Shape>),
    Not(Box<Shape>),
    Compare(usize, Comparison, i128),
    Window(usize, Option<i128>, Option<i128>),
    Months(usize, u16),
    Weekdays(usize, u8),
    OneOf(usize, u128),
}

/// Of a day of the table: its month and its day of the week, both from 0.
fn month_and_weekday(day: i128) -> (u32, u32) {
    let day = i64::try_from(day).expect("a day of the calendar");
    (calendar::civil(day).1 - 1, calendar::weekday(day))
}

impl Shape {
    fn holds(&self, row: &[i128]) -> bool {
        match self {
            Self::And(left, right) => left.holds(row) && right.holds(row),
            Self::Or(left, right) => left.holds(row) || right.holds(row),
            Self::Not(inner) => !inner.holds(row),
            Self::Compare(at, comparison, bound) => match comparison {
                Comparison::Less => row[*at] < *bound,
                Comparison::AtMost => row[*at] <= *bound,
                Comparison::Equal => row[*at] == *bound,
                Comparison::AtLeast => row[*at] >= *bound,
                Comparison::Greater => row[*at] > *bound,
            },
            Self::Window(at, from, until) => {
                from.is_none_or(|from| row[*at] >= from) && until.is_none_or(|until| row[*at] < until)
            }
            Self::Months(at, set) => set >> month_and_weekday(row[*at]).0 & 1 == 1,
            Self::Weekdays(at, set) => set >> month_and_weekday(row[*at]).1 & 1 == 1,
            Self::OneOf(at, set) => set >> row[*at] & 1 == 1,
        }
    }
}

/// Every way in which some conditions can hold or fail together.
#[derive(Default)]
pub(crate) struct Table {
    magnitudes: Vec<Magnitude>,
    /// Of each magnitude the values that stand for all.
    values: Vec<Vec<i128>>,
    sectors: Vec<SectorSet>,
    months: Vec<u16>,
    weekdays: Vec<u8>,
    shapes: Vec<Shape>,
}

impl Table {
    pub(crate) fn of(conditions: &[&Condition]) -> Option<Self> {
        let mut table = Self::default();
        for condition in conditions {
            let shape = table.shape(condition);
            table.shapes.push(shape);
        }
        for (magnitude, values) in table.magnitudes.iter().zip(&mut table.values) {
            if *magnitude == Magnitude::Day {
                *values = days_of_each_kind(values, &table.months, &table.weekdays);
            }
            if *magnitude == Magnitude::Sector {
                // One code for each way to be in some of the sets and outside the others.
                let signature = |at| table.sectors.iter().map(|set| set.contains(at)).collect::<Vec<_>>();
                let ways: BTreeMap<_, _> = (0..CODES).rev().map(|at| (signature(at), i128::from(at))).collect();
                *values = ways.into_values().collect();
            }
            if values.is_empty() {
                // All that the bounds named lies outside: any value stands for all.
                values.push(0);
            }
            values.sort_unstable();
            values.dedup();
        }
        let rows = table.values.iter().try_fold(1_usize, |rows, values| rows.checked_mul(values.len()));
        rows.is_some_and(|rows| rows <= TABLE_MAX).then_some(table)
    }

    pub(crate) fn count(&self) -> usize {
        self.values.iter().map(Vec::len).product()
    }

    /// Itself, if so many rows are left; it takes its own.
    pub(crate) fn within(self, rows_left: &mut usize) -> Option<Self> {
        *rows_left = rows_left.checked_sub(self.count())?;
        Some(self)
    }

    /// The magnitude's place in a row, where these values are to stand too, as far as it can have them.
    fn with(&mut self, magnitude: Magnitude, values: impl IntoIterator<Item = i128>) -> usize {
        let at = self.magnitudes.iter().position(|known| *known == magnitude).unwrap_or_else(|| {
            self.magnitudes.push(magnitude);
            self.values.push(Vec::new());
            self.values.len() - 1
        });
        let (least, most) = match &self.magnitudes[at] {
            Magnitude::Sum(name) if *name == format!("1 {:?}", QuantityKind::LoanTerm) => (0, DAYS_MAX.into()),
            Magnitude::Sum(name) if *name == format!("1 {:?}", QuantityKind::LoanAge) => (0, i128::MAX),
            Magnitude::Sum(_) | Magnitude::Falls(_) => (i128::MIN, i128::MAX),
            Magnitude::Day => (0, LAST_DAY.into()),
            Magnitude::Sector => (0, i128::MAX),
        };
        // Of constants alone nothing varies.
        let is_constant = self.magnitudes[at] == Magnitude::Sum(String::new());
        let values = values.into_iter().map(|value| if is_constant { 0 } else { value });
        self.values[at].extend(values.filter(|value| (least..=most).contains(value)));
        at
    }

    fn shape(&mut self, condition: &Condition) -> Shape {
        match condition {
            Condition::And(left, right) => Shape::And(Box::new(self.shape(left)), Box::new(self.shape(right))),
            Condition::Or(left, right) => Shape::Or(Box::new(self.shape(left)), Box::new(self.shape(right))),
            Condition::Not(inner) => Shape::Not(Box::new(self.shape(inner))),
            Condition::Compare(comparison, left, right) => {
                let (name, is_turned, constant) = Linear::of(left).plus(&Linear::of(right), -1).apart();
                let (comparison, bound) = match (is_turned, comparison) {
                    (true, Comparison::Less) => (Comparison::Greater, constant),
                    (true, Comparison::AtMost) => (Comparison::AtLeast, constant),
                    (true, Comparison::AtLeast) => (Comparison::AtMost, constant),
                    (true, Comparison::Greater) => (Comparison::Less, constant),
                    (true, Comparison::Equal) => (Comparison::Equal, constant),
                    (false, comparison) => (*comparison, -constant),
                };
                // The values on both sides of where the answer turns.
                let beside = match comparison {
                    Comparison::Less | Comparison::AtLeast => bound - 1..=bound,
                    Comparison::AtMost | Comparison::Greater => bound..=bound + 1,
                    Comparison::Equal => bound - 1..=bound + 1,
                };
                Shape::Compare(self.with(Magnitude::Sum(name), beside), comparison, bound)
            }
            Condition::Time { from, until } => {
                let [from, until] = [from, until].map(|date| date.map(|date| i128::from(date.0)));
                Shape::Window(self.with(Magnitude::Day, [from, until].into_iter().flatten()), from, until)
            }
            Condition::Months(set) => {
                self.months.push(*set);
                Shape::Months(self.with(Magnitude::Day, []), *set)
            }
            Condition::Weekdays(set) => {
                self.weekdays.push(*set);
                Shape::Weekdays(self.with(Magnitude::Day, []), *set)
            }
            Condition::Sector(set) => {
                self.sectors.push(*set);
                Shape::OneOf(self.with(Magnitude::Sector, []), set.bits())
            }
            Condition::Falls { feed, periods } => {
                let least = i128::from(*periods);
                let at = self.with(Magnitude::Falls(*feed), [least - 1, least]);
                Shape::Compare(at, Comparison::AtLeast, least)
            }
            Condition::Rises { feed, periods } => {
                let most = -i128::from(*periods);
                let at = self.with(Magnitude::Falls(*feed), [most, most + 1]);
                Shape::Compare(at, Comparison::AtMost, most)
            }
        }
    }

    /// For every row, which of the conditions hold.
    pub(crate) fn rows(&self) -> impl Iterator<Item = Vec<bool>> + '_ {
        let mut row = vec![0; self.values.len()];
        (0..self.count()).map(move |at| {
            let mut rest = at;
            for (value, values) in row.iter_mut().zip(&self.values) {
                *value = values[rest % values.len()];
                rest /= values.len();
            }
            self.shapes.iter().map(|shape| shape.holds(&row)).collect()
        })
    }
}

/// Between each two of the dates, before the first and after the last: one day for each way to be in some of the sets of
/// months and days of the week and outside the others, as far as there is such a day.
fn days_of_each_kind(dates: &[i128], months: &[u16], weekdays: &[u8]) -> Vec<i128> {
    const DAYS_OF_A_YEAR: i128 = 366;
    let kind = |(month, weekday): (u32, u32)| {
        let of_months: Vec<bool> = months.iter().map(|set| set >> month & 1 == 1).collect();
        let of_week: Vec<bool> = weekdays.iter().map(|set| set >> weekday & 1 == 1).collect();
        (of_months, of_week)
    };
    // A year has each month with each day of the week.
    let pairs = (0..12).flat_map(|month| (0..7).map(move |weekday| (month, weekday)));
    let mut kinds = BTreeMap::new();
    let of_pairs: Vec<usize> = pairs
        .map(|pair| {
            let next = kinds.len();
            *kinds.entry(kind(pair)).or_insert(next)
        })
        .collect();
    let mut begins: Vec<i128> = dates.iter().copied().chain([0]).collect();
    begins.sort_unstable();
    begins.dedup();
    let ends: Vec<i128> = begins[1..].iter().copied().chain([i128::from(LAST_DAY) + 1]).collect();
    let mut found = Vec::new();
    for (begin, end) in begins.into_iter().zip(ends) {
        let mut is_seen = vec![false; kinds.len()];
        let mut left = kinds.len();
        let mut day = begin;
        while left > 0 && day < end.min(begin + DAYS_OF_A_YEAR) {
            let (month, weekday) = month_and_weekday(day);
            let seen = &mut is_seen[of_pairs[(month * 7 + weekday) as usize]];
            if !std::mem::replace(seen, true) {
                found.push(day);
                left -= 1;
            }
            day += 1;
        }
    }
    found
}
