//! A policy as the generator makes it, and the ways to write it.

use super::generate::Random;
use std::fmt::Write;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Percent,
    Index,
    /// Of CNY or USD.
    Money(&'static str),
}

/// What a quantity is: the feeds' own units are told by the feed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum What {
    Rate,
    Spread,
    Level(Kind, u32),
    Days,
}

#[derive(Clone, Debug)]
pub struct Feed {
    pub kind: Kind,
    pub scale: u32,
    /// Period word: day, month, quarter or year.
    pub period: &'static str,
    pub max_age_days: u64,
    pub first_vintage: bool,
    /// At the feed's scale.
    pub fallback: Option<i64>,
}

impl Feed {
    pub fn what(&self) -> What {
        match self.kind {
            Kind::Percent => What::Rate,
            kind => What::Level(kind, self.scale),
        }
    }
}

#[derive(Clone, Debug)]
pub enum Number {
    /// At its own scale: rate 6 decimals of one, spread the same, level the feed's, days whole.
    Constant(What, i64),
    Months(i64),
    LoanRate,
    LoanTerm,
    LoanAge,
    Level(usize, u16),
    Average(usize, u16),
    Highest(usize, u16),
    Lowest(usize, u16),
    Change(usize, u16),
    Growth(usize, u16),
    Add(Box<Number>, Box<Number>),
    Subtract(Box<Number>, Box<Number>),
    /// Six decimals.
    Times(i64, Box<Number>),
    Min(Box<Number>, Box<Number>),
    Max(Box<Number>, Box<Number>),
    InBp(Box<Number>),
    InPercent(Box<Number>),
}

#[derive(Clone, Debug)]
pub enum Truth {
    And(Box<Truth>, Box<Truth>),
    Or(Box<Truth>, Box<Truth>),
    Not(Box<Truth>),
    Compare(&'static str, Number, Number),
    /// Dates as written, (year, month, day).
    Time(Option<(i64, u32, u32)>, Option<(i64, u32, u32)>),
    /// From 1.
    Months(Vec<u32>),
    /// From 1, Monday.
    Weekdays(Vec<u32>),
    Sectors(Vec<String>),
    Falls(usize, u16),
    Rises(usize, u16),
}

#[derive(Clone, Debug)]
pub struct Policy {
    pub feeds: Vec<Feed>,
    pub effective: Vec<Truth>,
    pub denies: Vec<Truth>,
    pub idle_days: u64,
    pub due_days: u32,
    pub cases: Vec<(Truth, Number)>,
    pub otherwise: Number,
    pub lower: i64,
    pub upper: i64,
    pub step: i64,
}

/// A decimal number with at most the decimals of its scale, sometimes with zeros that say nothing.
fn decimal(value: i64, scale: u32, random: &mut Random) -> String {
    let one = 10_i64.pow(scale);
    let (whole, mut fraction) = (value.abs() / one, format!("{:0w$}", value.abs() % one, w = scale as usize));
    if scale == 0 {
        fraction.clear();
    }
    while fraction.ends_with('0') && random.below(4) > 0 {
        fraction.pop();
    }
    let sign = if value < 0 { "-" } else { "" };
    if fraction.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
}

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];
const WEEKDAYS: [&str; 7] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];

impl Policy {
    pub fn write(&self, random: &mut Random) -> String {
        let mut text = String::from("# generated\npolicy \"generated\" version 7\ncurrency CNY\n");
        for (at, feed) in self.feeds.iter().enumerate() {
            let unit = match feed.kind {
                Kind::Percent => "percent".to_owned(),
                Kind::Index => "index".to_owned(),
                Kind::Money(currency) => format!("money {currency}"),
            };
            let frequency = match feed.period {
                "day" => "daily",
                "month" => "monthly",
                "quarter" => "quarterly",
                _ => "yearly",
            };
            let vintage = if feed.first_vintage { "first" } else { "latest" };
            let stale = match feed.fallback {
                None => "deny".to_owned(),
                Some(value) => format!("use {}", written(feed.kind, value, feed.scale, random)),
            };
            let _ = writeln!(
                text,
                "feed f{at} = \"series.{at}\" {frequency} {unit} scale {}, at most {} days old, {vintage} vintage, \
                 when stale {stale}",
                feed.scale, feed.max_age_days
            );
        }
        text += "effective when\n";
        self.effective.iter().for_each(|line| {
            let _ = writeln!(text, "  {}", self.truth(line, random, false));
        });
        if !self.denies.is_empty() {
            text += "deny when\n";
            self.denies.iter().for_each(|line| {
                let _ = writeln!(text, "\t{} # denied", self.truth(line, random, false));
            });
        }
        let _ = writeln!(text, "idle after {} days", self.idle_days);
        if self.due_days > 0 {
            let _ = writeln!(text, "due {} days after loan term", self.due_days);
        }
        text += "return rate\n";
        for (when, rate) in &self.cases {
            let (when, rate) = (self.truth(when, random, false), self.number(rate, random, false));
            let _ = writeln!(text, "  when {when} : {rate}");
        }
        let _ = writeln!(text, "  otherwise {}", self.number(&self.otherwise, random, false));
        let [lower, upper] = [self.lower, self.upper].map(|rate| decimal(rate, 4, random));
        let step = decimal(self.step, 2, random);
        let _ = writeln!(text, "  clamp {lower} % .. {upper} %, step {step} bp");
        text
    }

    fn count(&self, feed: usize, count: u16, random: &mut Random) -> String {
        let word = self.feeds[feed].period;
        let s = if count == 1 || random.below(8) == 0 { "" } else { "s" };
        format!("{count} {word}{s}")
    }

    fn truth(&self, truth: &Truth, random: &mut Random, inner: bool) -> String {
        let bracket = |text: String| if inner { format!("({text})") } else { text };
        match truth {
            Truth::And(left, right) | Truth::Or(left, right) => {
                let word = if matches!(truth, Truth::And(..)) { "and" } else { "or" };
                let (left, right) = (self.truth(left, random, true), self.truth(right, random, true));
                bracket(format!("{left} {word} {right}"))
            }
            Truth::Not(inner) => match &**inner {
                Truth::Sectors(codes) if random.below(2) == 0 => {
                    format!("sector not in ISIC {{ {} }}", codes.join(", "))
                }
                other => format!("not {}", self.truth(other, random, true)),
            },
            Truth::Compare(symbol, left, right) => {
                let (left, right) = (self.number(left, random, false), self.number(right, random, false));
                let word = match *symbol {
                    "<" if random.below(3) == 0 => "below",
                    "<=" if random.below(3) == 0 => "at most",
                    ">=" if random.below(3) == 0 => "at least",
                    ">" if random.below(3) == 0 => "above",
                    symbol => symbol,
                };
                bracket(format!("{left} {word} {right}"))
            }
            Truth::Time(from, until) => {
                let date = |(year, month, day): (i64, u32, u32), random: &mut Random| match (month, day) {
                    (1 | 4 | 7 | 10, 1) if random.below(2) == 0 => format!("{year}Q{}", month.div_ceil(3)),
                    (_, 1) if random.below(2) == 0 => format!("{year}-{month:02}"),
                    _ => format!("{year}-{month:02}-{day:02}"),
                };
                let mut text = String::from("time");
                if let Some(from) = from {
                    text += &format!(" from {}", date(*from, random));
                }
                match until {
                    // Before the first of a month is through the one before.
                    Some((year, month, 1)) if random.below(2) == 0 => {
                        let (year, month) = if *month == 1 { (year - 1, 12) } else { (*year, month - 1) };
                        text += &match month % 3 {
                            0 if random.below(2) == 0 => format!(" through {year}Q{}", month / 3),
                            _ => format!(" through {year}-{month:02}"),
                        };
                    }
                    Some(until) => text += &format!(" until {}", date(*until, random)),
                    None => {}
                }
                text
            }
            Truth::Months(months) => {
                let names: Vec<_> = months.iter().map(|month| MONTHS[*month as usize - 1]).collect();
                format!("month in {{ {} }}", names.join(", "))
            }
            Truth::Weekdays(days) => {
                let names: Vec<_> = days.iter().map(|day| WEEKDAYS[*day as usize - 1]).collect();
                format!("weekday in {{ {} }}", names.join(", "))
            }
            Truth::Sectors(codes) => format!("sector in ISIC {{ {} }}", codes.join(", ")),
            Truth::Falls(feed, count) => format!("f{feed} falls {} in a row", self.count(*feed, *count, random)),
            Truth::Rises(feed, count) => format!("f{feed} rises {} in a row", self.count(*feed, *count, random)),
        }
    }

    fn number(&self, number: &Number, random: &mut Random, inner: bool) -> String {
        let bracket = |text: String| if inner { format!("({text})") } else { text };
        match number {
            Number::Constant(What::Rate, value) => written(Kind::Percent, *value, 4, random),
            Number::Constant(What::Spread, value) => format!("{} bp", decimal(*value, 2, random)),
            Number::Constant(What::Level(kind, scale), value) => written(*kind, *value, *scale, random),
            Number::Constant(What::Days, value) if value % 7 == 0 && random.below(2) == 0 => {
                format!("{} weeks", value / 7)
            }
            Number::Constant(What::Days, value) => format!("{value} days"),
            Number::Months(months) if months % 12 == 0 && random.below(2) == 0 => format!("{} years", months / 12),
            Number::Months(months) if months % 3 == 0 && random.below(2) == 0 => format!("{} quarters", months / 3),
            Number::Months(months) => format!("{months} months"),
            Number::LoanRate => "loan rate".to_owned(),
            Number::LoanTerm => "loan term".to_owned(),
            Number::LoanAge => "loan age".to_owned(),
            Number::Level(feed, 0) => format!("f{feed}"),
            Number::Level(feed, back) => format!("f{feed} {} ago", self.count(*feed, *back, random)),
            Number::Average(feed, count) => format!("average of f{feed} over {}", self.count(*feed, *count, random)),
            Number::Highest(feed, count) => format!("highest of f{feed} over {}", self.count(*feed, *count, random)),
            Number::Lowest(feed, count) => format!("lowest of f{feed} over {}", self.count(*feed, *count, random)),
            Number::Change(feed, count) => format!("change of f{feed} over {}", self.count(*feed, *count, random)),
            Number::Growth(feed, count) => format!("growth of f{feed} over {}", self.count(*feed, *count, random)),
            Number::Add(left, right) | Number::Subtract(left, right) => {
                let sign = if matches!(number, Number::Add(..)) { '+' } else { '-' };
                // What stands on the left needs no brackets, whichever sum it is.
                let is_sum = matches!(**left, Number::Add(..) | Number::Subtract(..));
                let is_bracketed = !is_sum || (sums(left) < 3 && random.below(2) == 0);
                let left = self.number(left, random, is_bracketed);
                bracket(format!("{left} {sign} {}", self.number(right, random, true)))
            }
            Number::Times(factor, of) => {
                let (factor, of) = (decimal(*factor, 6, random), self.number(of, random, true));
                bracket(if random.below(2) == 0 { format!("{factor} * {of}") } else { format!("{of} * {factor}") })
            }
            Number::Min(left, right) => {
                format!("min({}, {})", self.number(left, random, false), self.number(right, random, false))
            }
            Number::Max(left, right) => {
                format!("max({}, {})", self.number(left, random, false), self.number(right, random, false))
            }
            Number::InBp(of) => bracket(format!("{} in bp", self.number(of, random, true))),
            Number::InPercent(of) => bracket(format!("{} in percent", self.number(of, random, true))),
        }
    }
}

/// Sums on the left of each other: brackets around all of them would be too deep.
fn sums(number: &Number) -> u32 {
    match number {
        Number::Add(left, _) | Number::Subtract(left, _) => 1 + sums(left),
        _ => 0,
    }
}

fn written(kind: Kind, value: i64, scale: u32, random: &mut Random) -> String {
    let number = decimal(value, scale, random);
    match kind {
        Kind::Percent => format!("{number} %"),
        Kind::Index => format!("{number} points"),
        Kind::Money(currency) => format!("{currency} {number}"),
    }
}
