//! The one way to write a policy: LANGUAGE.md, C. Checked again, the text gives the same policy.

use crate::policy::{Comparison, Condition, Cycle, Feed, Policy, Quantity, QuantityKind};
use crate::syntax::{MONTHS, WEEKDAYS};
use crate::unit::{FACTOR_ONE, Unit, Vintage, WhenStale, decimal};
use std::fmt::Write;

impl Policy {
    /// Without comments, each date a day, each part in its place.
    pub fn canonical(&self) -> String {
        let mut text = format!("policy \"{}\" version {}\ncurrency {}\n", self.name, self.version, self.currency);
        for feed in &self.feeds {
            let _ = writeln!(text, "{}", self.feed_line(feed));
        }
        let mut section = |heading: &str, conditions: &[Condition]| {
            if !conditions.is_empty() {
                let _ = writeln!(text, "\n{heading}");
                for condition in conditions {
                    let _ = writeln!(text, "    {}", self.condition(condition, Level::Or));
                }
            }
        };
        section("effective when", &self.effective);
        section("deny when", &self.denies);
        let _ = writeln!(text, "\nidle after {}", Unit::Days.write(self.idle_days.into()));
        if self.due_days > 0 {
            let _ = writeln!(text, "due {} after loan term", Unit::Days.write(self.due_days.into()));
        }
        text.push_str("\nreturn rate\n");
        for case in &self.cases {
            let (when, rate) = (self.condition(&case.when, Level::Or), self.quantity(&case.rate, Level::Sum));
            let _ = writeln!(text, "    when {when} : {rate}");
        }
        let _ = writeln!(text, "    otherwise {}", self.quantity(&self.otherwise, Level::Sum));
        let [lower, upper] = [self.lower, self.upper].map(|rate| Unit::Rate.write(rate));
        let _ = writeln!(text, "    clamp {lower} .. {upper}, step {}", Unit::Spread.write(self.step));
        text
    }

    fn feed_line(&self, feed: &Feed) -> String {
        let unit = match feed.unit {
            Unit::Rate => "percent".to_owned(),
            Unit::Money { currency, .. } => format!("money {currency}"),
            _ => "index".to_owned(),
        };
        let usual = if feed.unit == Unit::Rate { Cycle::Acyclical } else { Cycle::Procyclical };
        let cycle = match feed.cycle {
            cycle if cycle == usual => "",
            Cycle::Procyclical => " procyclical,",
            Cycle::Countercyclical => " countercyclical,",
            Cycle::Acyclical => " acyclical,",
        };
        let vintage = match feed.vintage {
            Vintage::First => "first",
            Vintage::Latest => "latest",
        };
        let stale = match feed.when_stale {
            WhenStale::Deny => "deny".to_owned(),
            WhenStale::Fallback(_) => format!("use {}", feed.unit.write(feed.fallback_in_unit().expect("it has one"))),
        };
        format!(
            "feed {} = \"{}\" {} {unit} scale {},{cycle} at most {} old, {vintage} vintage, when stale {stale}",
            feed.name,
            feed.series,
            feed.frequency.word(),
            feed.scale,
            Unit::Days.write(feed.max_age_days.into()),
        )
    }

    fn periods(&self, feed: u8, count: u16) -> String {
        let word = self.feeds[usize::from(feed)].frequency.period_word();
        if count == 1 { format!("1 {word}") } else { format!("{count} {word}s") }
    }

    fn condition(&self, condition: &Condition, around: Level) -> String {
        let (level, text) = match condition {
            Condition::Or(left, right) => {
                let (left, right) = (self.condition(left, Level::Or), self.condition(right, Level::And));
                (Level::Or, format!("{left} or {right}"))
            }
            Condition::And(left, right) => {
                let (left, right) = (self.condition(left, Level::And), self.condition(right, Level::Not));
                (Level::And, format!("{left} and {right}"))
            }
            Condition::Not(inner) => match &**inner {
                Condition::Sector(set) => (Level::Not, format!("sector not in ISIC {}", sectors(*set))),
                inner => (Level::Not, format!("not {}", self.condition(inner, Level::Not))),
            },
            Condition::Compare(comparison, left, right) => {
                let (left, right) = (self.quantity(left, Level::Sum), self.quantity(right, Level::Sum));
                (Level::Not, format!("{left} {} {right}", comparison.symbol()))
            }
            Condition::Time { from, until } => {
                let mut text = "time".to_owned();
                from.iter().for_each(|from| text += &format!(" from {from}"));
                until.iter().for_each(|until| text += &format!(" until {until}"));
                (Level::Not, text)
            }
            Condition::Months(set) => (Level::Not, format!("month in {}", named(&MONTHS, (*set).into()))),
            Condition::Weekdays(set) => (Level::Not, format!("weekday in {}", named(&WEEKDAYS, (*set).into()))),
            Condition::Sector(set) => (Level::Not, format!("sector in ISIC {}", sectors(*set))),
            Condition::Falls { feed, periods } | Condition::Rises { feed, periods } => {
                let word = if matches!(condition, Condition::Falls { .. }) { "falls" } else { "rises" };
                let name = &self.feeds[usize::from(*feed)].name;
                (Level::Not, format!("{name} {word} {} in a row", self.periods(*feed, *periods)))
            }
        };
        if level < around { format!("({text})") } else { text }
    }

    fn quantity(&self, quantity: &Quantity, around: Level) -> String {
        let name = |feed: &u8| &self.feeds[usize::from(*feed)].name;
        let over = |word: &str, feed: &u8, periods: &u16| {
            (Level::Primary, format!("{word} of {} over {}", name(feed), self.periods(*feed, *periods)))
        };
        let two = |word: &str, left: &Quantity, right: &Quantity| {
            let (left, right) = (self.quantity(left, Level::Sum), self.quantity(right, Level::Sum));
            (Level::Primary, format!("{word}({left}, {right})"))
        };
        let (level, text) = match &quantity.kind {
            QuantityKind::Constant(value) => (Level::Primary, quantity.unit.write(*value)),
            QuantityKind::LoanRate => (Level::Primary, "loan rate".to_owned()),
            QuantityKind::LoanTerm => (Level::Primary, "loan term".to_owned()),
            QuantityKind::LoanAge => (Level::Primary, "loan age".to_owned()),
            QuantityKind::Months(months) => (Level::Primary, crate::canonical::months(*months)),
            QuantityKind::Level { feed, back: 0 } => (Level::Primary, name(feed).clone()),
            QuantityKind::Level { feed, back } => {
                (Level::Primary, format!("{} {} ago", name(feed), self.periods(*feed, *back)))
            }
            QuantityKind::Average { feed, periods } => over("average", feed, periods),
            QuantityKind::Highest { feed, periods } => over("highest", feed, periods),
            QuantityKind::Lowest { feed, periods } => over("lowest", feed, periods),
            QuantityKind::Change { feed, periods } => over("change", feed, periods),
            QuantityKind::Growth { feed, periods } => over("growth", feed, periods),
            QuantityKind::Add(left, right) | QuantityKind::Subtract(left, right) => {
                let sign = if matches!(quantity.kind, QuantityKind::Add(..)) { '+' } else { '-' };
                let (left, right) = (self.quantity(left, Level::Sum), self.quantity(right, Level::Product));
                (Level::Sum, format!("{left} {sign} {right}"))
            }
            QuantityKind::Times(factor, inner) => {
                let factor = factor_text(*factor);
                // From left to right, so that a chain needs no brackets that its source had not.
                let text = match inner.kind {
                    QuantityKind::Times(..) => format!("{} * {factor}", self.quantity(inner, Level::Product)),
                    _ => format!("{factor} * {}", self.quantity(inner, Level::Converted)),
                };
                (Level::Product, text)
            }
            QuantityKind::Min(left, right) => two("min", left, right),
            QuantityKind::Max(left, right) => two("max", left, right),
            QuantityKind::InBasisPoints(inner) => {
                (Level::Converted, format!("{} in bp", self.quantity(inner, Level::Converted)))
            }
            QuantityKind::InPercent(inner) => {
                (Level::Converted, format!("{} in percent", self.quantity(inner, Level::Converted)))
            }
        };
        if level < around { format!("({text})") } else { text }
    }
}

/// How tightly it binds, loosest first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Or,
    And,
    Not,
    Sum,
    Product,
    Converted,
    Primary,
}

impl Comparison {
    pub(crate) fn symbol(self) -> &'static str {
        match self {
            Self::Less => "<",
            Self::AtMost => "<=",
            Self::Equal => "=",
            Self::AtLeast => ">=",
            Self::Greater => ">",
        }
    }
}

impl Feed {
    /// At its unit's scale rather than its readings'.
    pub(crate) fn fallback_in_unit(&self) -> Option<i64> {
        let finer = if self.unit == Unit::Rate { 10_i64.pow(4 - u32::from(self.scale)) } else { 1 };
        match self.when_stale {
            WhenStale::Deny => None,
            WhenStale::Fallback(value) => Some(value * finer),
        }
    }
}

pub(crate) fn factor_text(factor: i64) -> String {
    decimal(factor, FACTOR_ONE.ilog10() as u8, 0)
}

pub(crate) fn months(months: u16) -> String {
    match (months, months % 12) {
        (1, _) => "1 month".to_owned(),
        (12, _) => "1 year".to_owned(),
        (_, 0) => format!("{} years", months / 12),
        _ => format!("{months} months"),
    }
}

fn sectors(set: crate::sector::SectorSet) -> String {
    let runs = set.runs().into_iter().map(
        |(first, last)| {
            if first == last { first.to_string() } else { format!("{first}..{last}") }
        },
    );
    format!("{{ {} }}", runs.collect::<Vec<_>>().join(", "))
}

/// Runs of set bits, first and last.
pub(crate) fn bit_runs(bits: u32) -> Vec<(usize, usize)> {
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for at in (0..32).filter(|at| bits >> at & 1 == 1) {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == at => *last = at,
            _ => runs.push((at, at)),
        }
    }
    runs
}

fn named(names: &[&str], bits: u32) -> String {
    let runs = bit_runs(bits).into_iter().map(|(first, last)| {
        if first == last { names[first].to_owned() } else { format!("{} .. {}", names[first], names[last]) }
    });
    format!("{{ {} }}", runs.collect::<Vec<_>>().join(", "))
}
