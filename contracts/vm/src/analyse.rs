//! What an economist should know of a policy that is well formed: LANGUAGE.md, A.
//!
//! Whether conditions can hold together is decided over a [`Table`]. Where it would be too large, lines and cases are compared by
//! twos, and that is said.

use crate::check::Places;
use crate::cycle::with_the_cycle;
use crate::diagnostic::{Finding, Severity, Span};
use crate::policy::{Comparison, Condition, Policy, Quantity, QuantityKind};
use crate::table::{Table, in_64_bits};
use crate::unit::{FACTOR_ONE, Unit, WhenStale};

/// Of all tables of two lines together: some tenths of a second. What is beyond is not compared.
const ROWS_BY_TWOS_MAX: usize = 1 << 22;

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

pub(crate) fn finding(number: u16, severity: Severity, place: Span, cause: impl Into<String>, mend: &str) -> Finding {
    Finding { number, severity, place, also: Vec::new(), cause: cause.into(), mend: mend.to_owned() }
}

///
pub(crate) fn not_analysed(place: Span, cause: &str) -> Finding {
    finding(10, Severity::Note, place, cause, "if it matters, say it in fewer comparisons, or try it on examples")
}

/// The lines of a policy: all of `effective when` must hold for a loan, none of `deny when` may.
struct Lines {
    all: Vec<Condition>,
    /// So many of them are of `effective when`.
    effective: usize,
}

impl Lines {
    /// Each as `of` has it.
    fn of(policy: &Policy, of: impl Fn(&Condition) -> Condition) -> Self {
        let all = policy.effective.iter().chain(&policy.denies).map(of).collect();
        Self { all, effective: policy.effective.len() }
    }

    /// Whether these lines exclude every loan; None if there are too many ways in which they can hold.
    fn exclude(&self, lines: &[usize]) -> Option<bool> {
        let conditions: Vec<_> = lines.iter().map(|line| &self.all[*line]).collect();
        let table = Table::of(&conditions)?;
        let permits =
            |truths: &[bool]| lines.iter().zip(truths).all(|(line, holds)| *holds == (*line < self.effective));
        Some(!table.rows().any(|truths| permits(&truths)))
    }

    fn exclude_together(&self) -> Option<bool> {
        self.exclude(&(0..self.all.len()).collect::<Vec<_>>())
    }

    fn one_that_excludes(&self) -> Option<usize> {
        (0..self.all.len()).find(|line| self.exclude(&[*line]) == Some(true))
    }

    fn two_that_exclude(&self) -> Option<(usize, usize)> {
        let mut rows_left = ROWS_BY_TWOS_MAX;
        let pairs = (0..self.effective).flat_map(|left| (left + 1..self.all.len()).map(move |right| (left, right)));
        pairs.into_iter().find(|(left, right)| {
            let table = Table::of(&[&self.all[*left], &self.all[*right]]);
            let Some(table) = table.and_then(|table| table.within(&mut rows_left)) else { return false };
            !table.rows().any(|truths| truths[0] && truths[1] == (*right < self.effective))
        })
    }

    /// By all lines together, or where those are too many by one or two of them.
    fn exclude_every_loan(&self) -> bool {
        let by_twos = || self.one_that_excludes().is_some() || self.two_that_exclude().is_some();
        self.exclude_together().unwrap_or_else(by_twos)
    }
}

/// no time, loan or state of the economy is permitted. A-10: there are too many ways to try them all; then no line
/// by itself and no two of them were found to exclude every loan.
fn never_in_effect(policy: &Policy, places: &Places, findings: &mut Vec<Finding>) {
    let lines = Lines::of(policy, Condition::clone);
    let mend = "the conditions exclude each other: widen one of them";
    let together = lines.exclude_together();
    if together == Some(false) {
        return;
    }
    let place = |line: usize| match line.checked_sub(lines.effective) {
        None => places.effective[line],
        Some(denies) => places.denies[denies],
    };
    // A line that excludes all by itself is the one to look at.
    if let Some(line) = lines.one_that_excludes() {
        let cause = match line < lines.effective {
            true => "the policy can never take effect: this line never holds",
            false => "the policy can never take effect: this line of `deny when` always holds",
        };
        findings.push(finding(1, Severity::Defect, place(line), cause, mend));
    } else if together == Some(true) {
        let cause = "the policy can never take effect: no loan meets all lines and none of `deny when`";
        findings.push(finding(1, Severity::Defect, places.effective_heading, cause, mend));
    } else if let Some((left, right)) = lines.two_that_exclude() {
        let cause = match right < lines.effective {
            true => "two lines never hold together",
            false => "a line of `deny when` holds whenever this line does",
        };
        let cause = format!("the policy can never take effect: {cause}");
        let mut excluded = finding(1, Severity::Defect, place(left), cause, mend);
        excluded.also.push((place(right), "the other line".to_owned()));
        findings.push(excluded);
    } else {
        let cause = "too many ways in which the lines can hold: each two of them were compared, nothing further";
        findings.push(not_analysed(places.effective_heading, cause));
    }
}

/// permission that no date ends: after all dates that the policy names some loan is permitted. The money
/// still goes back after its idle days.
fn never_over(policy: &Policy, places: &Places, findings: &mut Vec<Finding>) {
    if !Lines::of(policy, Condition::after_all_dates).exclude_every_loan() {
        let cause = "no date ends the permission: every new issue can be lent for as long as the policy is in force";
        let mend = "add `time until DATE`, or retire the policy when it has served";
        findings.push(finding(2, Severity::Note, places.effective_heading, cause, mend));
    }
}

/// a loan's end is a wait too. Of loans with a term beyond all that the policy compares it with, some is permitted.
fn any_term(policy: &Policy, places: &Places, findings: &mut Vec<Finding>) {
    if !Lines::of(policy, Condition::beyond_all_terms).exclude_every_loan() {
        let cause = "no line bounds the loan's term: a loan may run for up to 179 years before its return falls due";
        findings.push(finding(3, Severity::Note, places.effective_heading, cause, "add `loan term <= 3 years`"));
    }
}

impl Condition {
    fn always(holds: bool) -> Self {
        let zero = Quantity { unit: Unit::Days, kind: QuantityKind::Constant(0) };
        let comparison = if holds { Comparison::Equal } else { Comparison::Less };
        Self::Compare(comparison, zero.clone(), zero)
    }

    /// With each condition that is no `and`, `or` or `not` as `of` has it.
    fn with_each(&self, of: &impl Fn(&Self) -> Self) -> Self {
        let inner = |inner: &Self| Box::new(inner.with_each(of));
        match self {
            Self::And(left, right) => Self::And(inner(left), inner(right)),
            Self::Or(left, right) => Self::Or(inner(left), inner(right)),
            Self::Not(negated) => Self::Not(inner(negated)),
            one => of(one),
        }
    }

    fn after_all_dates(&self) -> Self {
        self.with_each(&|one| match one {
            Self::Time { until, .. } => Self::always(until.is_none()),
            other => other.clone(),
        })
    }

    fn beyond_all_terms(&self) -> Self {
        self.with_each(&|one| match one {
            Self::Compare(comparison, left, right) => {
                let slope = left.slope_in_term().saturating_sub(right.slope_in_term());
                match (comparison, slope.signum()) {
                    (_, 0) => Self::Compare(*comparison, left.beyond_all_terms(), right.beyond_all_terms()),
                    (Comparison::Greater | Comparison::AtLeast, sign) => Self::always(sign > 0),
                    (Comparison::Less | Comparison::AtMost, sign) => Self::always(sign < 0),
                    (Comparison::Equal, _) => Self::always(false),
                }
            }
            other => other.clone(),
        })
    }
}

impl Quantity {
    /// How fast it grows with the loan's term once that is long, in units of [`Self::TERM_ITSELF`]. What is so small
    /// that it comes to 0 moves by no day over all terms that there are.
    fn slope_in_term(&self) -> i128 {
        match &self.kind {
            QuantityKind::LoanTerm => Self::TERM_ITSELF,
            QuantityKind::Add(left, right) => left.slope_in_term().saturating_add(right.slope_in_term()),
            QuantityKind::Subtract(left, right) => left.slope_in_term().saturating_sub(right.slope_in_term()),
            QuantityKind::Times(factor, inner) => {
                inner.slope_in_term().saturating_mul((*factor).into()) / i128::from(FACTOR_ONE)
            }
            QuantityKind::Min(left, right) => left.slope_in_term().min(right.slope_in_term()),
            QuantityKind::Max(left, right) => left.slope_in_term().max(right.slope_in_term()),
            _ => 0,
        }
    }

    /// Of the lower or higher one of two, the one that it is once the term is long.
    fn beyond_all_terms(&self) -> Self {
        let inner = |inner: &Self| Box::new(inner.beyond_all_terms());
        let one = |left: &Self, right: &Self, is_left: fn(&i128, &i128) -> bool| {
            let (left_slope, right_slope) = (left.slope_in_term(), right.slope_in_term());
            (left_slope != right_slope).then(|| match is_left(&left_slope, &right_slope) {
                true => left.beyond_all_terms(),
                false => right.beyond_all_terms(),
            })
        };
        let kind = match &self.kind {
            QuantityKind::Min(left, right) => {
                return one(left, right, i128::lt).unwrap_or_else(|| self.clone());
            }
            QuantityKind::Max(left, right) => {
                return one(left, right, i128::gt).unwrap_or_else(|| self.clone());
            }
            QuantityKind::Add(left, right) => QuantityKind::Add(inner(left), inner(right)),
            QuantityKind::Subtract(left, right) => QuantityKind::Subtract(inner(left), inner(right)),
            QuantityKind::Times(factor, of) => QuantityKind::Times(*factor, inner(of)),
            kind => kind.clone(),
        };
        Self { unit: self.unit, kind }
    }

    const TERM_ITSELF: i128 = 1_000_000_000_000;
}

/// Which cases are reached, and which two can hold together with none before them.
struct Reached {
    /// The last is `otherwise`.
    reached: Vec<bool>,
    /// By the earlier of the two.
    together: Vec<Vec<bool>>,
}

impl Reached {
    fn by_all(cases: &[&Condition]) -> Option<Self> {
        let table = Table::of(cases)?;
        let mut reached = vec![false; cases.len() + 1];
        let mut together = vec![vec![false; cases.len()]; cases.len()];
        for truths in table.rows() {
            let first = truths.iter().position(|holds| *holds).unwrap_or(cases.len());
            reached[first] = true;
            if first < cases.len() {
                (first + 1..cases.len()).filter(|later| truths[*later]).for_each(|later| together[first][later] = true);
            }
        }
        Some(Self { reached, together })
    }

    /// As far as one case, or one and an earlier one, tell. What even they are too many for counts as reached and apart.
    fn by_twos(cases: &[&Condition]) -> Self {
        let count = cases.len();
        let mut found = Self { reached: vec![true; count + 1], together: vec![vec![false; count]; count] };
        let mut rows_left = ROWS_BY_TWOS_MAX;
        let mut table = |conditions: &[&Condition]| Table::of(conditions)?.within(&mut rows_left);
        for (later, condition) in cases.iter().enumerate() {
            if let Some(table) = table(&[condition]) {
                found.reached[later] &= table.rows().any(|truths| truths[0]);
                found.reached[count] &= table.rows().any(|truths| !truths[0]);
            }
            for (earlier, before) in cases[..later].iter().enumerate() {
                if let Some(table) = table(&[before, condition]) {
                    found.reached[later] &= table.rows().any(|truths| truths[..] == [false, true]);
                    found.reached[count] &= table.rows().any(|truths| truths[..] == [false, false]);
                    found.together[earlier][later] = table.rows().any(|truths| truths[..] == [true, true]);
                }
            }
        }
        found
    }
}

/// a case that none of the earlier ones leaves anything to. A-5: two cases that can hold together, and pay
/// otherwise. A-10: there are too many ways to try all cases together; then each two of them were compared.
fn cases(policy: &Policy, places: &Places, findings: &mut Vec<Finding>) {
    let all: Vec<_> = policy.cases.iter().map(|case| &case.when).collect();
    let Reached { reached, together } = Reached::by_all(&all).unwrap_or_else(|| {
        let cause = "too many ways in which the cases can hold: each two of them were compared, nothing further";
        findings.push(not_analysed(places.cases[0], cause));
        Reached::by_twos(&all)
    });
    for (at, place) in places.cases.iter().enumerate() {
        if !reached[at] {
            let cause = "the case is never reached: whenever it holds, an earlier one does, or it never holds";
            let mut unreached =
                finding(4, Severity::Warning, *place, cause, "take it out, or put it before the wider case");
            let wider = (0..at).filter(|earlier| together[*earlier][at]);
            unreached
                .also
                .extend(wider.map(|earlier| (places.cases[earlier], "an earlier case that holds with it".to_owned())));
            findings.push(unreached);
        }
        for later in (at + 1..all.len()).filter(|later| together[at][*later] && reached[at] && reached[*later]) {
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

/// a rate that its clamp always replaces, or a constant that its step rounds.
fn outside_clamp(policy: &Policy, places: &Places, findings: &mut Vec<Finding>) {
    let rates = policy.cases.iter().map(|case| &case.rate).zip(places.rates.iter().copied());
    for (rate, place) in rates.chain([(&policy.otherwise, places.otherwise)]) {
        let Span128 { least, most } = rate.span();
        let outside = match (least, most) {
            (Some(least), _) if least > policy.upper.into() => Some(policy.upper),
            (_, Some(most)) if most < policy.lower.into() => Some(policy.lower),
            _ => None,
        };
        if let Some(paid) = outside {
            let cause = format!("the rate lies outside the clamp: {} is paid instead", Unit::Rate.write(paid));
            let mut outside = finding(7, Severity::Warning, place, cause, "change the rate or the clamp");
            outside.also.push((places.clamp, "the clamp".to_owned()));
            findings.push(outside);
        } else if rate.constant().is_some_and(|value| value % i128::from(policy.step) != 0) {
            let cause = "the rate is no multiple of the step, and is rounded";
            let mut between = finding(7, Severity::Warning, place, cause, "change the rate or the step");
            between.also.push((places.clamp, "the step".to_owned()));
            findings.push(between);
        }
    }
}

/// The least and the most that a quantity can be; None where nothing bounds it.
#[derive(Clone, Copy)]
struct Span128 {
    least: Option<i128>,
    most: Option<i128>,
}

impl Span128 {
    const ALL: Self = Self { least: None, most: None };

    fn both(left: Self, right: Self, of: impl Fn(i128, i128) -> i128) -> Self {
        let both = |left: Option<i128>, right: Option<i128>| in_64_bits(of(left?, right?));
        Self { least: both(left.least, right.least), most: both(left.most, right.most) }
    }

    fn negative(self) -> Self {
        let turned = |bound: Option<i128>| bound.map(|bound| -bound);
        Self { least: turned(self.most), most: turned(self.least) }
    }
}

impl Quantity {
    fn span(&self) -> Span128 {
        // Of either bound the one that is there: `min` and `max` are bounded by one side alone.
        let either = |left: Option<i128>, right: Option<i128>, of: fn(i128, i128) -> i128| match (left, right) {
            (Some(left), Some(right)) => Some(of(left, right)),
            (bound, None) | (None, bound) => bound,
        };
        if let Some(value) = self.constant() {
            return Span128 { least: Some(value), most: Some(value) };
        }
        match &self.kind {
            QuantityKind::Add(left, right) => Span128::both(left.span(), right.span(), |left, right| left + right),
            QuantityKind::Subtract(left, right) => {
                Span128::both(left.span(), right.span().negative(), |left, right| left + right)
            }
            QuantityKind::Min(left, right) => {
                let (left, right) = (left.span(), right.span());
                let least = left.least.zip(right.least).map(|(left, right)| left.min(right));
                Span128 { least, most: either(left.most, right.most, i128::min) }
            }
            QuantityKind::Max(left, right) => {
                let (left, right) = (left.span(), right.span());
                let most = left.most.zip(right.most).map(|(left, right)| left.max(right));
                Span128 { least: either(left.least, right.least, i128::max), most }
            }
            QuantityKind::InBasisPoints(inner) | QuantityKind::InPercent(inner) => inner.span(),
            QuantityKind::Times(factor, inner) => {
                let by = |bound: Option<i128>| {
                    let product = bound?.checked_mul((*factor).into())?;
                    in_64_bits(crate::unit::divide_half_even(product, FACTOR_ONE.into()))
                };
                let Span128 { least, most } = inner.span();
                match *factor < 0 {
                    true => Span128 { least: by(most), most: by(least) },
                    false => Span128 { least: by(least), most: by(most) },
                }
            }
            _ => Span128::ALL,
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
        self.with_each(&|one| match one {
            Self::Compare(comparison, left, right) => {
                Self::Compare(*comparison, left.with_feed_at(at, value), right.with_feed_at(at, value))
            }
            Self::Falls { feed, .. } | Self::Rises { feed, .. } if *feed == at => Self::always(false),
            other => other.clone(),
        })
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

    pub(crate) fn each(&self, seen: &mut impl FnMut(&Self)) {
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
}

impl Condition {
    /// Each that is no `and`, `or` or `not`.
    pub(crate) fn each_one(&self, seen: &mut impl FnMut(&Self)) {
        match self {
            Self::And(left, right) | Self::Or(left, right) => {
                left.each_one(seen);
                right.each_one(seen);
            }
            Self::Not(inner) => inner.each_one(seen),
            one => seen(one),
        }
    }

    pub(crate) fn each_quantity(&self, seen: &mut impl FnMut(&Quantity)) {
        self.each_one(&mut |one| {
            if let Self::Compare(_, left, right) = one {
                left.each(seen);
                right.each(seen);
            }
        });
    }

    fn each_feed(&self, seen: &mut impl FnMut(u8)) {
        self.each_one(&mut |one| match one {
            Self::Compare(_, left, right) => {
                left.each_feed(seen);
                right.each_feed(seen);
            }
            Self::Falls { feed, .. } | Self::Rises { feed, .. } => seen(*feed),
            _ => {}
        });
    }
}
