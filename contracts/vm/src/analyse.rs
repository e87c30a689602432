//! What an economist should know of a policy that is well formed: LANGUAGE.md, A.
//!
//! Whether conditions can hold together is decided over a table of cases. Every comparison is brought to the form "this
//! much more than that", every run of falls or rises to one count; for each such magnitude the values at and beside the
//! bounds that the policy names stand for all others. Magnitudes count as free of each other, so that "can never" is
//! always true, and "can" may be true on paper alone. Where the table would be larger than [`TABLE_MAX`], lines are
//! compared by twos, and that is said.

use crate::calendar::{Frequency, Period};
use crate::check::Places;
use crate::diagnostic::{Finding, Severity, Span};
use crate::policy::{Comparison, Condition, Cycle, Policy, Quantity, QuantityKind};
use crate::reading::{Reading, Readings, Return};
use crate::sector::{CODES, SectorSet};
use crate::unit::{FACTOR_ONE, PERCENT, Unit, WhenStale};
use crate::{Program, Rate};
use std::collections::BTreeMap;

const TABLE_MAX: usize = 1 << 16;

pub(crate) fn findings(policy: &Policy, places: &Places) -> Vec<Finding> {
    let mut findings = Vec::new();
    never_in_effect(policy, places, &mut findings);
    never_over(policy, places, &mut findings);
    any_term(policy, places, &mut findings);
    cases(policy, places, &mut findings);
    without_fallback(policy, places, &mut findings);
    outside_clamp(policy, places, &mut findings);
    denial_that_fails_open(policy, places, &mut findings);
    with_the_cycle(policy, places, &mut findings);
    findings.sort_by_key(|finding| (finding.place.from, finding.number));
    findings
}

fn finding(number: u16, severity: Severity, place: Span, cause: impl Into<String>, mend: &str) -> Finding {
    Finding { number, severity, place, also: Vec::new(), cause: cause.into(), mend: mend.to_owned() }
}

/// no time, loan or state of the economy is permitted. A-10: there are too many ways to try them all; then no line
/// by itself and no two of them were found to exclude every loan.
fn never_in_effect(policy: &Policy, places: &Places, findings: &mut Vec<Finding>) {
    let all: Vec<_> = policy.effective.iter().chain(&policy.denies).collect();
    let count = policy.effective.len();
    let mend = "the conditions exclude each other: widen one of them";
    let never = |lines: &[usize]| {
        let conditions: Vec<_> = lines.iter().map(|line| all[*line]).collect();
        let table = Table::of(&conditions)?;
        let permits = |truths: &[bool]| lines.iter().zip(truths).all(|(line, holds)| *holds == (*line < count));
        Some(!table.rows().any(|truths| permits(&truths)))
    };
    let every: Vec<_> = (0..all.len()).collect();
    let is_never = never(&every);
    if is_never == Some(false) {
        return;
    }
    // A line that can never hold by itself is the one to look at.
    for (line, place) in places.effective.iter().enumerate() {
        if never(&[line]) == Some(true) {
            let cause = "the policy can never take effect: this line never holds";
            findings.push(finding(1, Severity::Defect, *place, cause, mend));
            return;
        }
    }
    if is_never.is_none() {
        let pairs = (0..count).flat_map(|left| (left + 1..all.len()).map(move |right| (left, right)));
        for (left, right) in pairs {
            if never(&[left, right]) == Some(true) {
                let (cause, also) = match right < count {
                    true => ("two lines never hold together", places.effective[right]),
                    false => ("a line of `deny when` holds whenever this line does", places.denies[right - count]),
                };
                let cause = format!("the policy can never take effect: {cause}");
                let mut excluded = finding(1, Severity::Defect, places.effective[left], cause, mend);
                excluded.also.push((also, "the other line".to_owned()));
                findings.push(excluded);
                return;
            }
        }
        let cause = "too many ways in which the lines can hold: each two of them were compared, nothing further";
        findings.push(not_analysed(places.effective_heading, cause));
        return;
    }
    let cause = "the policy can never take effect: no loan meets all lines and none of `deny when`";
    findings.push(finding(1, Severity::Defect, places.effective_heading, cause, mend));
}

///
fn not_analysed(place: Span, cause: &str) -> Finding {
    finding(10, Severity::Note, place, cause, "if it matters, say it in fewer comparisons, or try it on examples")
}

/// permission that no date ends. The money still goes back after its idle days.
fn never_over(policy: &Policy, places: &Places, findings: &mut Vec<Finding>) {
    let ends =
        policy.effective.iter().any(|line| ends(line, true)) || policy.denies.iter().any(|line| ends(line, false));
    if !ends {
        let cause = "no date ends the permission: every new issue can be lent for as long as the policy is in force";
        let mend = "add `time until DATE`, or retire the policy when it has served";
        findings.push(finding(2, Severity::Note, places.effective_heading, cause, mend));
    }
}

/// Whether from some date on the condition is `not holds` for good.
fn ends(condition: &Condition, holds: bool) -> bool {
    match condition {
        Condition::And(left, right) if holds => ends(left, holds) || ends(right, holds),
        Condition::And(left, right) => ends(left, holds) && ends(right, holds),
        Condition::Or(left, right) if holds => ends(left, holds) && ends(right, holds),
        Condition::Or(left, right) => ends(left, holds) || ends(right, holds),
        Condition::Not(inner) => ends(inner, !holds),
        Condition::Time { until, .. } if holds => until.is_some(),
        Condition::Time { until, .. } => until.is_none(),
        _ => false,
    }
}

/// a loan's end is a wait too.
fn any_term(policy: &Policy, places: &Places, findings: &mut Vec<Finding>) {
    if !policy.effective.iter().chain(&policy.denies).any(asks_for_term) {
        let cause = "no line bounds the loan's term: a loan may run for up to 179 years before its return falls due";
        findings.push(finding(3, Severity::Note, places.effective_heading, cause, "add `loan term <= 3 years`"));
    }
}

fn asks_for_term(condition: &Condition) -> bool {
    match condition {
        Condition::And(left, right) | Condition::Or(left, right) => asks_for_term(left) || asks_for_term(right),
        Condition::Not(inner) => asks_for_term(inner),
        Condition::Compare(_, left, right) => [left, right].into_iter().any(|side| {
            let mut asks = false;
            side.each(&mut |part| asks |= part.kind == QuantityKind::LoanTerm);
            asks
        }),
        _ => false,
    }
}

/// a case that none of the earlier ones leaves anything to. A-5: two cases that can hold together, and pay
/// otherwise.
fn cases(policy: &Policy, places: &Places, findings: &mut Vec<Finding>) {
    let all: Vec<_> = policy.cases.iter().map(|case| &case.when).collect();
    let Some(table) = Table::of(&all) else {
        let cause = "too many ways in which the cases can hold: whether each is reached was not analysed";
        findings.push(not_analysed(places.cases[0], cause));
        return;
    };
    let mut reached = vec![false; all.len() + 1];
    let mut meets = vec![vec![false; all.len()]; all.len()];
    for truths in table.rows() {
        let first = truths.iter().position(|holds| *holds).unwrap_or(all.len());
        reached[first] = true;
        if first < all.len() {
            (first + 1..all.len()).filter(|later| truths[*later]).for_each(|later| meets[first][later] = true);
        }
    }
    for (at, place) in places.cases.iter().enumerate() {
        if !reached[at] {
            let cause = "the case is never reached: whenever it holds, an earlier one does, or it never holds";
            let mut unreached =
                finding(4, Severity::Warning, *place, cause, "take it out, or put it before the wider case");
            let wider = (0..at).filter(|earlier| meets[*earlier][at]);
            unreached
                .also
                .extend(wider.map(|earlier| (places.cases[earlier], "an earlier case that holds with it".to_owned())));
            findings.push(unreached);
        }
        for later in (at + 1..all.len()).filter(|later| meets[at][*later] && reached[at] && reached[*later]) {
            if policy.cases[at].rate != policy.cases[later].rate {
                let cause = "two cases can hold together; then the earlier one pays";
                let mend = "if that is meant, nothing is to be done: the first case that holds counts";
                let mut overlap = finding(5, Severity::Note, places.cases[later], cause, mend);
                overlap.also.push((*place, "the earlier one".to_owned()));
                findings.push(overlap);
            }
        }
    }
    if !reached[all.len()] && !all.is_empty() {
        let cause = "`otherwise` is never reached: one of the cases always holds";
        findings.push(finding(
            4,
            Severity::Warning,
            places.otherwise,
            cause,
            "take out the condition that always holds",
        ));
    }
}

///
fn without_fallback(policy: &Policy, places: &Places, findings: &mut Vec<Finding>) {
    for ((at, feed), place) in (0..).zip(&policy.feeds).zip(&places.feeds) {
        if feed.when_stale == WhenStale::Deny {
            let (name, upper) = (&feed.name, Unit::Rate.write(policy.upper));
            let then = match policy.reads(at) {
                (true, false) => "loans are denied".to_owned(),
                (false, _) => format!("returns whose rate depends on it cost {upper}"),
                (true, true) => format!("loans are denied and returns whose rate depends on it cost {upper}"),
            };
            let cause = format!("`{name}` has no fallback: while it is stale, or lacks a value that is needed, {then}");
            findings.push(finding(
                6,
                Severity::Note,
                *place,
                cause,
                "write `when stale use VALUE` if that is too hard",
            ));
        }
    }
}

/// with a feed that is missing the line may not hold, and what it should deny is lent.
fn denial_that_fails_open(policy: &Policy, places: &Places, findings: &mut Vec<Finding>) {
    for (line, place) in policy.denies.iter().zip(&places.denies) {
        for ((at, feed), feed_place) in (0..).zip(&policy.feeds).zip(&places.feeds) {
            let mut is_read = false;
            line.each_feed(&mut |read| is_read |= read == at);
            let Some(value) = feed.fallback_in_unit().filter(|_| is_read) else { continue };
            let still = line.with_feed_at(at, value);
            if Table::of(&[&still]).is_some_and(|table| table.rows().all(|truths| truths[0])) {
                continue;
            }
            let cause = format!(
                "while `{}` is missing it stands still at {}, and this line may then deny nothing",
                feed.name,
                feed.unit.write(value)
            );
            let mend = "write `when stale deny`, or a fallback at which the line holds";
            let mut open = finding(9, Severity::Warning, *place, cause, mend);
            open.also.push((*feed_place, "its fallback".to_owned()));
            findings.push(open);
        }
    }
}

/// a rate that its clamp always replaces.
fn outside_clamp(policy: &Policy, places: &Places, findings: &mut Vec<Finding>) {
    let rates = policy.cases.iter().map(|case| &case.rate).zip(places.rates.iter().copied());
    for (rate, place) in rates.chain([(&policy.otherwise, places.otherwise)]) {
        let Some(value) = rate.constant() else { continue };
        let paid = value.clamp(i128::from(policy.lower), i128::from(policy.upper));
        if paid != value {
            let paid = Unit::Rate.write(i64::try_from(paid).expect("the clamp's bounds are small"));
            let cause = format!("the rate lies outside the clamp: {paid} is paid instead");
            let mut outside = finding(7, Severity::Warning, place, cause, "change the rate or the clamp");
            outside.also.push((places.clamp, "the clamp".to_owned()));
            findings.push(outside);
        } else if value % i128::from(policy.step) != 0 {
            let cause = "the rate is no multiple of the step, and is rounded";
            let mut between = finding(7, Severity::Warning, place, cause, "change the rate or the step");
            between.also.push((places.clamp, "the step".to_owned()));
            findings.push(between);
        }
    }
}

impl Policy {
    /// Whether the feed is read at activation, and on return.
    pub(crate) fn reads(&self, feed: u8) -> (bool, bool) {
        let (mut activation, mut back) = (false, false);
        let lines = self.effective.iter().chain(&self.denies);
        lines.for_each(|line| line.each_feed(&mut |read| activation |= read == feed));
        self.cases.iter().for_each(|case| case.when.each_feed(&mut |read| back |= read == feed));
        let rates = self.cases.iter().map(|case| &case.rate).chain([&self.otherwise]);
        rates.for_each(|rate| rate.each_feed(&mut |read| back |= read == feed));
        (activation, back)
    }
}

impl Condition {
    /// As it is while the feed stands still.
    fn with_feed_at(&self, at: u8, value: i64) -> Self {
        let inner = |inner: &Self| Box::new(inner.with_feed_at(at, value));
        match self {
            Self::And(left, right) => Self::And(inner(left), inner(right)),
            Self::Or(left, right) => Self::Or(inner(left), inner(right)),
            Self::Not(of) => Self::Not(inner(of)),
            Self::Compare(comparison, left, right) => {
                Self::Compare(*comparison, left.with_feed_at(at, value), right.with_feed_at(at, value))
            }
            Self::Falls { feed, .. } | Self::Rises { feed, .. } if *feed == at => {
                let zero = Quantity { unit: Unit::Days, kind: QuantityKind::Constant(0) };
                Self::Compare(Comparison::Less, zero.clone(), zero)
            }
            other => other.clone(),
        }
    }

    fn each_feed(&self, seen: &mut impl FnMut(u8)) {
        match self {
            Self::And(left, right) | Self::Or(left, right) => {
                left.each_feed(seen);
                right.each_feed(seen);
            }
            Self::Not(inner) => inner.each_feed(seen),
            Self::Compare(_, left, right) => {
                left.each_feed(seen);
                right.each_feed(seen);
            }
            Self::Falls { feed, .. } | Self::Rises { feed, .. } => seen(*feed),
            _ => {}
        }
    }
}

impl Quantity {
    fn with_feed_at(&self, at: u8, value: i64) -> Self {
        let inner = |inner: &Self| Box::new(inner.with_feed_at(at, value));
        let kind = match &self.kind {
            QuantityKind::Level { feed, .. }
            | QuantityKind::Average { feed, .. }
            | QuantityKind::Highest { feed, .. }
            | QuantityKind::Lowest { feed, .. }
                if *feed == at =>
            {
                QuantityKind::Constant(value)
            }
            QuantityKind::Change { feed, .. } | QuantityKind::Growth { feed, .. } if *feed == at => {
                QuantityKind::Constant(0)
            }
            QuantityKind::Add(left, right) => QuantityKind::Add(inner(left), inner(right)),
            QuantityKind::Subtract(left, right) => QuantityKind::Subtract(inner(left), inner(right)),
            QuantityKind::Min(left, right) => QuantityKind::Min(inner(left), inner(right)),
            QuantityKind::Max(left, right) => QuantityKind::Max(inner(left), inner(right)),
            QuantityKind::Times(factor, of) => QuantityKind::Times(*factor, inner(of)),
            QuantityKind::InBasisPoints(of) => QuantityKind::InBasisPoints(inner(of)),
            QuantityKind::InPercent(of) => QuantityKind::InPercent(inner(of)),
            kind => kind.clone(),
        };
        Self { unit: self.unit, kind }
    }

    fn each(&self, seen: &mut impl FnMut(&Self)) {
        seen(self);
        match &self.kind {
            QuantityKind::Add(left, right)
            | QuantityKind::Subtract(left, right)
            | QuantityKind::Min(left, right)
            | QuantityKind::Max(left, right) => {
                left.each(seen);
                right.each(seen);
            }
            QuantityKind::Times(_, inner) | QuantityKind::InBasisPoints(inner) | QuantityKind::InPercent(inner) => {
                inner.each(seen);
            }
            _ => {}
        }
    }

    fn each_feed(&self, seen: &mut impl FnMut(u8)) {
        self.each(&mut |part| match part.kind {
            QuantityKind::Level { feed, .. }
            | QuantityKind::Average { feed, .. }
            | QuantityKind::Highest { feed, .. }
            | QuantityKind::Lowest { feed, .. }
            | QuantityKind::Change { feed, .. }
            | QuantityKind::Growth { feed, .. } => seen(feed),
            _ => {}
        });
    }

    /// Its value, if it is the same always.
    fn constant(&self) -> Option<i128> {
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
        let product = crate::unit::divide_half_even(product, FACTOR_ONE.into());
        i64::try_from(product).ok().map(i128::from)
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
    Month,
    Weekday,
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
    OneOf(usize, u128),
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
            Self::OneOf(at, set) => set >> row[*at] & 1 == 1,
        }
    }
}

/// Every way in which some conditions can hold or fail together.
#[derive(Default)]
struct Table {
    magnitudes: Vec<Magnitude>,
    /// Of each magnitude the values that stand for all.
    values: Vec<Vec<i128>>,
    sectors: Vec<SectorSet>,
    shapes: Vec<Shape>,
}

impl Table {
    fn of(conditions: &[&Condition]) -> Option<Self> {
        let mut table = Self::default();
        for condition in conditions {
            let shape = table.shape(condition);
            table.shapes.push(shape);
        }
        for (magnitude, values) in table.magnitudes.iter().zip(&mut table.values) {
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

    /// The magnitude's place in a row, where these values are to stand too, as far as it can have them.
    fn with(&mut self, magnitude: Magnitude, values: impl IntoIterator<Item = i128>) -> usize {
        let at = self.magnitudes.iter().position(|known| *known == magnitude).unwrap_or_else(|| {
            self.magnitudes.push(magnitude);
            self.values.push(Vec::new());
            self.values.len() - 1
        });
        let least = match &self.magnitudes[at] {
            Magnitude::Sum(name) => {
                let is_never_negative = |kind| *name == format!("1 {kind:?}");
                let is_duration = [QuantityKind::LoanTerm, QuantityKind::LoanAge].into_iter().any(is_never_negative);
                if is_duration { 0 } else { i128::MIN }
            }
            Magnitude::Falls(_) => i128::MIN,
            _ => 0,
        };
        // Of constants alone nothing varies.
        let is_constant = self.magnitudes[at] == Magnitude::Sum(String::new());
        let values = values.into_iter().map(|value| if is_constant { 0 } else { value });
        self.values[at].extend(values.filter(|value| *value >= least));
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
                let beside = [from, until].into_iter().flatten().flat_map(|day| [day - 1, day]);
                Shape::Window(self.with(Magnitude::Day, beside), from, until)
            }
            Condition::Months(set) => Shape::OneOf(self.with(Magnitude::Month, 0..12), (*set).into()),
            Condition::Weekdays(set) => Shape::OneOf(self.with(Magnitude::Weekday, 0..7), (*set).into()),
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
    fn rows(&self) -> impl Iterator<Item = Vec<bool>> + '_ {
        let count = self.values.iter().map(Vec::len).product::<usize>();
        let mut row = vec![0; self.values.len()];
        (0..count).map(move |at| {
            let mut rest = at;
            for (value, values) in row.iter_mut().zip(&self.values) {
                *value = values[rest % values.len()];
                rest /= values.len();
            }
            self.shapes.iter().map(|shape| shape.holds(&row)).collect()
        })
    }
}

/// over a path on which the economy falls by so much in every period, and over its mirror image, the rate is
/// higher in the fall. Steepness in hundredths of a percent, or of a percentage point, per period.
const STEEPNESS: [i64; 7] = [5, 25, 50, 100, 200, 400, 800];

fn with_the_cycle(policy: &Policy, places: &Places, findings: &mut Vec<Finding>) {
    if policy.feeds.iter().all(|feed| feed.cycle == Cycle::Acyclical) {
        return;
    }
    let program = policy.compile();
    let mut worst: Option<(i64, i64, Rate, Rate)> = None;
    for steepness in STEEPNESS {
        for level in Path::levels(policy) {
            let rate = |steepness| Path { policy, program: &program, steepness, level }.rate();
            let (fall, rise) = (rate(-steepness), rate(steepness));
            let is_worse = worst.is_none_or(|(_, _, fallen, risen)| fall.0 - rise.0 > fallen.0 - risen.0);
            if fall > rise && is_worse {
                worst = Some((steepness, level, fall, rise));
            }
        }
    }
    if let Some((steepness, level, fall, rise)) = worst {
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
        let place = places.cases.first().copied().unwrap_or(places.otherwise).to_end_of(places.clamp);
        findings.push(finding(8, Severity::Warning, place, cause, mend));
    }
}

/// Readings of an economy that moves by the same step in every period.
struct Path<'a> {
    policy: &'a Policy,
    program: &'a Program,
    steepness: i64,
    /// Where a percent feed stands now, in its unit.
    level: i64,
}

impl Path<'_> {
    /// For percent feeds: around the constants that the policy compares them with, and at the usual places.
    fn levels(policy: &Policy) -> Vec<i64> {
        let mut levels = vec![0, 2 * PERCENT, 5 * PERCENT, 8 * PERCENT, 12 * PERCENT];
        let mut constants = |quantity: &Quantity| {
            if let (Unit::Rate, QuantityKind::Constant(value)) = (quantity.unit, &quantity.kind) {
                levels.extend([*value - PERCENT / 4, *value, *value + PERCENT / 4]);
            }
        };
        policy.cases.iter().for_each(|case| case.when.each_quantity(&mut constants));
        levels.sort_unstable();
        levels.dedup();
        levels.truncate(32);
        levels
    }

    /// In the middle of the calendar, so that windows of time are the same on both paths.
    const TIME_MS: u64 = 1_900_000_000_000;

    /// Where an index or an amount begins: the first constant of its unit that a condition names, else far from all.
    fn index_level(&self, unit: Unit) -> i64 {
        let mut level = None;
        let mut constants = |quantity: &Quantity| match quantity.kind {
            QuantityKind::Constant(value) if quantity.unit == unit && value > 0 => {
                level.get_or_insert(value);
            }
            _ => {}
        };
        self.policy.cases.iter().for_each(|case| case.when.each_quantity(&mut constants));
        level.unwrap_or(1_000_000_000_000)
    }

    fn rate(&self) -> Rate {
        let context =
            Return { activated_ms: Self::TIME_MS - 365 * crate::calendar::MS_PER_DAY, time_ms: Self::TIME_MS };
        self.program.rate(&context, self)
    }
}

impl Readings for Path<'_> {
    fn reading(&self, feed: usize, back: u16) -> Option<Reading> {
        // Both paths begin at one value, before all that is read: so a mean lies on the side of its path.
        let periods = i64::from(self.program.feeds()[feed].periods);
        let feed = &self.policy.feeds[feed];
        let step = match feed.cycle {
            Cycle::Procyclical => self.steepness,
            Cycle::Countercyclical => -self.steepness,
            Cycle::Acyclical => 0,
        };
        let value = if feed.unit == Unit::Rate {
            let finer = 10_i64.pow(4 - u32::from(feed.scale));
            (self.level + (periods - i64::from(back)) * step * PERCENT / 100) / finer
        } else {
            let mut value = i128::from(self.index_level(feed.unit)) * 1_000_000;
            (i64::from(back)..periods).for_each(|_| value += value / 10_000 * i128::from(step));
            i64::try_from(value / 1_000_000).unwrap_or(i64::MAX)
        };
        let newest = Period::containing(Frequency::Daily, Self::TIME_MS);
        let period = Period(newest.0 - i32::from(back));
        let (published_ms, valid_until_ms) = (Self::TIME_MS, u64::MAX);
        Some(Reading { period, vintage: 0, value, published_ms, valid_until_ms })
    }
}

impl Condition {
    fn each_quantity(&self, seen: &mut impl FnMut(&Quantity)) {
        match self {
            Self::And(left, right) | Self::Or(left, right) => {
                left.each_quantity(seen);
                right.each_quantity(seen);
            }
            Self::Not(inner) => inner.each_quantity(seen),
            Self::Compare(_, left, right) => {
                left.each(seen);
                right.each(seen);
            }
            _ => {}
        }
    }
}
