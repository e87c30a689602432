//! The meaning of a tree, as LANGUAGE.md has it, with no thought for speed.

use super::generate::World;
use super::tree::{Kind, Number, Policy, Truth};
use contracts_vm::{Activation, DenyReason, Evaluation, InputUsed, Rate, Reading, Readings, Return, Verdict};

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

enum Stop {
    Stale(usize),
    NoSuchSector,
    OutOfRange,
}

struct Walk<'a> {
    policy: &'a Policy,
    world: &'a World,
    time_ms: u64,
    loan: Option<&'a Activation>,
    age_days: i128,
    activated_ms: u64,
    inputs: Vec<InputUsed>,
    /// V-8: one for each thing that the text asks or does, and one for each reading that it may ask for.
    fuel: u32,
    /// Of each feed with a fallback that was asked for, whether it counts as standing still.
    frozen: Vec<Option<bool>>,
}

pub fn activate(policy: &Policy, world: &World, loan: &Activation) -> Evaluation<Verdict> {
    let mut walk = Walk::new(policy, world, loan.time_ms, Some(loan), loan.time_ms, 0);
    let reason = walk.why_not();
    let value = match reason {
        Ok(None) => Verdict::Permit { due_days: u32::from(loan.term_days) + policy.due_days },
        Ok(Some(reason)) => Verdict::Deny { reason },
        Err(Stop::Stale(feed)) => Verdict::Deny { reason: DenyReason::FeedStale { feed: feed as u8 } },
        Err(Stop::NoSuchSector) => Verdict::Deny { reason: DenyReason::Sector { line: 0 } },
        Err(Stop::OutOfRange) => Verdict::Deny { reason: DenyReason::Uncomputable },
    };
    Evaluation { value, fuel: walk.fuel, inputs: walk.inputs }
}

pub fn return_rate(policy: &Policy, world: &World, back: &Return) -> Evaluation<Rate> {
    let age_ms = i128::from(back.time_ms) - i128::from(back.activated_ms);
    let age_days = age_ms.max(0) / i128::from(DAY_MS);
    let mut walk = Walk::new(policy, world, back.time_ms, None, back.activated_ms, age_days);
    let (lower, upper, step) = (i128::from(policy.lower), i128::from(policy.upper), i128::from(policy.step));
    let rate = match walk.rate() {
        Err(_) => upper,
        Ok(rate) if rate <= lower => lower,
        Ok(rate) if rate >= upper => upper,
        Ok(rate) => nearest(rate, step) * step,
    };
    Evaluation { value: Rate(rate as i64), fuel: walk.fuel, inputs: walk.inputs }
}

/// The whole number nearest to a quotient, the even one of two that are equally near.
fn nearest(value: i128, by: i128) -> i128 {
    let below = if value >= 0 || value % by == 0 { value / by } else { value / by - 1 };
    let (to_below, to_above) = (value - below * by, (below + 1) * by - value);
    let is_below = to_below < to_above || (to_below == to_above && below % 2 == 0);
    if is_below { below } else { below + 1 }
}

fn fits(value: i128) -> Result<i128, Stop> {
    if value < i128::from(i64::MIN) || value > i128::from(i64::MAX) { Err(Stop::OutOfRange) } else { Ok(value) }
}

impl<'a> Walk<'a> {
    fn new(
        policy: &'a Policy,
        world: &'a World,
        time_ms: u64,
        loan: Option<&'a Activation>,
        activated_ms: u64,
        age_days: i128,
    ) -> Self {
        let frozen = vec![None; policy.feeds.len()];
        Self { policy, world, time_ms, loan, age_days, activated_ms, inputs: Vec::new(), fuel: 0, frozen }
    }

    /// one failure among all that may be asked of a feed with a fallback, and all of it stands still.
    fn is_frozen(&mut self, feed: usize) -> bool {
        if self.policy.feeds[feed].fallback.is_none() {
            return false;
        }
        if let Some(frozen) = self.frozen[feed] {
            return frozen;
        }
        let mut asked = Vec::new();
        if self.loan.is_some() {
            let lines = self.policy.denies.iter().chain(&self.policy.effective);
            lines.for_each(|line| asked_by_truth(line, &mut asked));
        } else {
            for (when, rate) in &self.policy.cases {
                asked_by_truth(when, &mut asked);
                asked_by_number(rate, &mut asked);
            }
            asked_by_number(&self.policy.otherwise, &mut asked);
        }
        let (mut frozen, mut charged) = (false, Vec::new());
        for ask in asked {
            if ask.feed() != feed {
                continue;
            }
            if !charged.contains(&ask.name()) {
                charged.push(ask.name());
                self.fuel += ask.readings();
            }
            if self.find(ask).is_none() {
                frozen = true;
                break;
            }
        }
        self.frozen[feed] = Some(frozen);
        frozen
    }

    /// What is asked of a feed: a value, or how many of the newest changes go one way; a truth is 0 or 1.
    fn find(&mut self, ask: Ask<'_>) -> Option<i128> {
        match ask {
            Ask::Truth(truth @ (Truth::Falls(feed, count) | Truth::Rises(feed, count))) => {
                let values = self.run(*feed, count + 1)?;
                let falls = matches!(truth, Truth::Falls(..));
                let all = values.windows(2).all(|pair| if falls { pair[0] < pair[1] } else { pair[0] > pair[1] });
                Some(i128::from(all))
            }
            Ask::Number(Number::Level(feed, back)) => {
                let (_, older) = self.pair(*feed, *back)?;
                self.at_scale(*feed, older).ok()
            }
            Ask::Number(Number::Average(feed, count)) => {
                let values = self.run(*feed, *count)?;
                let sum: i128 = values.iter().map(|value| value * self.finer(*feed)).sum();
                fits(nearest(sum, (*count).into())).ok()
            }
            Ask::Number(Number::Highest(feed, count)) => {
                let values = self.run(*feed, *count)?;
                self.at_scale(*feed, values.into_iter().max()?).ok()
            }
            Ask::Number(Number::Lowest(feed, count)) => {
                let values = self.run(*feed, *count)?;
                self.at_scale(*feed, values.into_iter().min()?).ok()
            }
            Ask::Number(Number::Change(feed, count)) => {
                let (newest, older) = self.pair(*feed, *count)?;
                fits(self.at_scale(*feed, newest).ok()? - self.at_scale(*feed, older).ok()?).ok()
            }
            Ask::Number(Number::Growth(feed, count)) => {
                let (newest, older) = self.pair(*feed, *count).filter(|(_, older)| *older > 0)?;
                fits(nearest((newest - older) * 1_000_000, older)).ok()
            }
            _ => unreachable!("nothing else asks a feed"),
        }
    }

    fn ask(&mut self, ask: Ask<'_>) -> Result<i128, Stop> {
        let feed = ask.feed();
        self.fuel += 1 + ask.readings();
        let found = if self.is_frozen(feed) { None } else { self.find(ask) };
        match (found, ask) {
            (Some(found), _) => Ok(found),
            (None, Ask::Truth(_) | Ask::Number(Number::Change(..) | Number::Growth(..))) => self.still(feed).map(|_| 0),
            _ => self.still(feed),
        }
    }

    fn why_not(&mut self) -> Result<Option<DenyReason>, Stop> {
        for (at, line) in self.policy.denies.iter().enumerate() {
            let holds = self.truth(line)?;
            self.fuel += 1;
            if holds {
                return Ok(Some(DenyReason::Explicit { line: at as u8 + 1 }));
            }
        }
        for (at, condition) in self.policy.effective.iter().enumerate() {
            let line = at as u8 + 1;
            if let Truth::Time(from, until) = condition {
                self.fuel += if from.is_some() { 2 } else { 0 };
                if from.is_some_and(|from| self.today() < from) {
                    return Ok(Some(DenyReason::NotYet { line }));
                }
                self.fuel += if until.is_some() { 2 } else { 0 };
                if until.is_some_and(|until| self.today() >= until) {
                    return Ok(Some(DenyReason::WindowOver { line }));
                }
            } else {
                let holds = self.truth(condition)?;
                self.fuel += 1;
                if !holds {
                    return Ok(Some(why(condition, line)));
                }
            }
        }
        self.fuel += 1;
        Ok(None)
    }

    fn rate(&mut self) -> Result<i128, Stop> {
        for (when, rate) in &self.policy.cases {
            let holds = self.truth(when)?;
            self.fuel += 1;
            if holds {
                return self.paid(rate);
            }
        }
        self.paid(&self.policy.otherwise)
    }

    fn paid(&mut self, rate: &Number) -> Result<i128, Stop> {
        let rate = self.number(rate)?;
        self.fuel += 1;
        Ok(rate)
    }

    /// Counted from 1970 on, year by year, month by month.
    fn today(&self) -> (i64, u32, u32) {
        date(self.time_ms / DAY_MS)
    }

    fn truth(&mut self, truth: &Truth) -> Result<bool, Stop> {
        Ok(match truth {
            Truth::And(left, right) => {
                let (left, right) = (self.truth(left)?, self.truth(right)?);
                self.fuel += 1;
                left && right
            }
            Truth::Or(left, right) => {
                let (left, right) = (self.truth(left)?, self.truth(right)?);
                self.fuel += 1;
                left || right
            }
            Truth::Not(inner) => {
                let inner = self.truth(inner)?;
                self.fuel += 1;
                !inner
            }
            Truth::Compare(symbol, left, right) => {
                let (left, right) = (self.number(left)?, self.number(right)?);
                self.fuel += 1;
                match *symbol {
                    "<" => left < right,
                    "<=" => left <= right,
                    "=" => left == right,
                    ">=" => left >= right,
                    _ => left > right,
                }
            }
            Truth::Time(from, until) => {
                let today = self.today();
                // Both have to be joined.
                self.fuel += if from.is_some() && until.is_some() { 3 } else { 1 };
                from.is_none_or(|from| today >= from) && until.is_none_or(|until| today < until)
            }
            Truth::Months(months) => {
                self.fuel += 1;
                months.contains(&self.today().1)
            }
            // The first of January 1970 was a Thursday.
            Truth::Weekdays(days) => {
                self.fuel += 1;
                days.contains(&(((self.time_ms / DAY_MS + 3) % 7) as u32 + 1))
            }
            Truth::Sectors(codes) => {
                self.fuel += 1;
                let sector = self.loan.expect("no sector on return").sector.to_string();
                if !super::generate::codes().contains(&sector) {
                    return Err(Stop::NoSuchSector);
                }
                codes.iter().any(|code| *code == sector || (code.len() == 1 && sector.starts_with(code)))
            }
            Truth::Falls(..) | Truth::Rises(..) => self.ask(Ask::Truth(truth))? == 1,
        })
    }

    fn number(&mut self, number: &Number) -> Result<i128, Stop> {
        let of = match number {
            Number::Level(..)
            | Number::Average(..)
            | Number::Highest(..)
            | Number::Lowest(..)
            | Number::Change(..)
            | Number::Growth(..) => return self.ask(Ask::Number(number)),
            Number::Add(left, right)
            | Number::Subtract(left, right)
            | Number::Min(left, right)
            | Number::Max(left, right) => (self.number(left)?, self.number(right)?),
            Number::Times(_, inner) | Number::InBp(inner) | Number::InPercent(inner) => (self.number(inner)?, 0),
            _ => (0, 0),
        };
        self.fuel += if let Number::Times(..) = number { 4 } else { 1 };
        self.number_of(number, of)
    }

    /// Of what stands in its brackets.
    fn number_of(&self, number: &Number, (left, right): (i128, i128)) -> Result<i128, Stop> {
        match number {
            Number::Constant(_, value) => Ok((*value).into()),
            Number::Months(months) => {
                let (year, month, day) = date(self.activated_ms / DAY_MS);
                let count = year * 12 + i64::from(month) - 1 + months;
                let (year, month) = (count / 12, (count % 12) as u32 + 1);
                let from = (self.activated_ms / DAY_MS) as i128;
                Ok(day_number(year, month, day.min(length(year, month))) - from)
            }
            Number::LoanRate => Ok(self.loan.expect("no loan rate on return").loan_rate.into()),
            Number::LoanTerm => Ok(self.loan.expect("no term on return").term_days.into()),
            Number::LoanAge => Ok(self.age_days),
            Number::Add(..) => fits(left + right),
            Number::Subtract(..) => fits(left - right),
            Number::Times(factor, _) => fits(nearest(left * i128::from(*factor), 1_000_000)),
            Number::Min(..) => Ok(if left < right { left } else { right }),
            Number::Max(..) => Ok(if left > right { left } else { right }),
            Number::InBp(_) | Number::InPercent(_) => Ok(left),
            _ => unreachable!("it asks a feed"),
        }
    }

    fn finer(&self, feed: usize) -> i128 {
        let feed = &self.policy.feeds[feed];
        if feed.kind == Kind::Percent { 10_i128.pow(4 - feed.scale) } else { 1 }
    }

    fn at_scale(&self, feed: usize, value: i128) -> Result<i128, Stop> {
        fits(value * self.finer(feed))
    }

    fn still(&self, feed: usize) -> Result<i128, Stop> {
        match self.policy.feeds[feed].fallback {
            Some(value) => self.at_scale(feed, value.into()),
            None => Err(Stop::Stale(feed)),
        }
    }

    fn read(&mut self, feed: usize, back: u16) -> Option<Reading> {
        let reading = self.world.reading(feed, back);
        let used = InputUsed { feed: feed as u8, back, reading };
        if !self.inputs.contains(&used) {
            self.inputs.push(used);
        }
        reading
    }

    fn newest(&mut self, feed: usize) -> Option<Reading> {
        let reading = self.read(feed, 0)?;
        let is_published = reading.published_ms <= self.time_ms;
        let most = self.policy.feeds[feed].max_age_days * DAY_MS;
        let is_young = is_published && self.time_ms - reading.published_ms <= most;
        (is_young && self.time_ms <= reading.valid_until_ms).then_some(reading)
    }

    fn pair(&mut self, feed: usize, back: u16) -> Option<(i128, i128)> {
        let newest = self.newest(feed)?;
        if back == 0 {
            return Some((newest.value.into(), newest.value.into()));
        }
        let older = self.read(feed, back)?;
        let apart = i64::from(newest.period.0) - i64::from(older.period.0);
        let is_in_place = if self.policy.feeds[feed].period == "day" { apart > 0 } else { apart == i64::from(back) };
        is_in_place.then_some((newest.value.into(), older.value.into()))
    }

    fn run(&mut self, feed: usize, count: u16) -> Option<Vec<i128>> {
        let newest = self.newest(feed)?;
        let mut values = vec![newest.value.into()];
        let mut before = newest.period;
        for back in 1..count {
            let reading = self.read(feed, back)?;
            let apart = i64::from(before.0) - i64::from(reading.period.0);
            let is_in_place = if self.policy.feeds[feed].period == "day" { apart > 0 } else { apart == 1 };
            if !is_in_place {
                return None;
            }
            values.push(reading.value.into());
            before = reading.period;
        }
        Some(values)
    }
}

#[derive(Clone, Copy)]
enum Ask<'a> {
    Truth(&'a Truth),
    Number(&'a Number),
}

impl Ask<'_> {
    fn feed(self) -> usize {
        self.name().1
    }

    /// Two of one name are one question.
    fn name(self) -> (&'static str, usize, u16) {
        match self {
            Ask::Truth(Truth::Falls(feed, count)) => ("falls", *feed, *count),
            Ask::Truth(Truth::Rises(feed, count)) => ("rises", *feed, *count),
            Ask::Number(Number::Level(feed, back)) => ("level", *feed, *back),
            Ask::Number(Number::Average(feed, count)) => ("average", *feed, *count),
            Ask::Number(Number::Highest(feed, count)) => ("highest", *feed, *count),
            Ask::Number(Number::Lowest(feed, count)) => ("lowest", *feed, *count),
            Ask::Number(Number::Change(feed, count)) => ("change", *feed, *count),
            Ask::Number(Number::Growth(feed, count)) => ("growth", *feed, *count),
            _ => unreachable!("nothing else asks a feed"),
        }
    }

    /// That it may ask for.
    fn readings(self) -> u32 {
        match self.name() {
            ("level", _, 0) => 1,
            ("level" | "change" | "growth", ..) => 2,
            ("falls" | "rises", _, count) => u32::from(count) + 1,
            (_, _, count) => count.into(),
        }
    }
}

/// From left to right.
fn asked_by_truth<'a>(truth: &'a Truth, asked: &mut Vec<Ask<'a>>) {
    match truth {
        Truth::And(left, right) | Truth::Or(left, right) => {
            asked_by_truth(left, asked);
            asked_by_truth(right, asked);
        }
        Truth::Not(inner) => asked_by_truth(inner, asked),
        Truth::Compare(_, left, right) => {
            asked_by_number(left, asked);
            asked_by_number(right, asked);
        }
        Truth::Falls(..) | Truth::Rises(..) => asked.push(Ask::Truth(truth)),
        Truth::Time(..) | Truth::Months(_) | Truth::Weekdays(_) | Truth::Sectors(_) => {}
    }
}

fn asked_by_number<'a>(number: &'a Number, asked: &mut Vec<Ask<'a>>) {
    match number {
        Number::Constant(..) | Number::Months(_) | Number::LoanRate | Number::LoanTerm | Number::LoanAge => {}
        Number::Add(left, right)
        | Number::Subtract(left, right)
        | Number::Min(left, right)
        | Number::Max(left, right) => {
            asked_by_number(left, asked);
            asked_by_number(right, asked);
        }
        Number::Times(_, inner) | Number::InBp(inner) | Number::InPercent(inner) => asked_by_number(inner, asked),
        _ => asked.push(Ask::Number(number)),
    }
}

fn leap(year: i64) -> bool {
    (year % 4 == 0 && year % 100 != 0) || year % 400 == 0
}

fn length(year: i64, month: u32) -> u32 {
    [31, if leap(year) { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month as usize - 1]
}

fn date(mut days: u64) -> (i64, u32, u32) {
    let mut year = 1970;
    while days >= if leap(year) { 366 } else { 365 } {
        days -= if leap(year) { 366 } else { 365 };
        year += 1;
    }
    let mut month = 1;
    while days >= length(year, month).into() {
        days -= u64::from(length(year, month));
        month += 1;
    }
    (year, month, days as u32 + 1)
}

fn day_number(year: i64, month: u32, day: u32) -> i128 {
    let years: i128 = (1970..year).map(|year| if leap(year) { 366 } else { 365 }).sum();
    let months: i128 = (1..month).map(|month| i128::from(length(year, month))).sum();
    years + months + i128::from(day) - 1
}

/// What a line asks about, in the words of E-3.
fn why(condition: &Truth, line: u8) -> DenyReason {
    let mut asks = Vec::new();
    about(condition, &mut asks);
    asks.sort_unstable();
    asks.dedup();
    match asks[..] {
        ["calendar"] => DenyReason::Calendar { line },
        ["sector"] => DenyReason::Sector { line },
        ["feed", "rate"] | ["rate"] => DenyReason::LoanRate { line },
        ["feed", "term"] | ["term"] => DenyReason::LoanTerm { line },
        ["feed"] => DenyReason::State { line },
        _ => DenyReason::Condition { line },
    }
}

fn about(condition: &Truth, asks: &mut Vec<&'static str>) {
    match condition {
        Truth::And(left, right) | Truth::Or(left, right) => {
            about(left, asks);
            about(right, asks);
        }
        Truth::Not(inner) => about(inner, asks),
        Truth::Compare(_, left, right) => {
            about_number(left, asks);
            about_number(right, asks);
        }
        Truth::Time(..) => asks.push("time"),
        Truth::Months(_) | Truth::Weekdays(_) => asks.push("calendar"),
        Truth::Sectors(_) => asks.push("sector"),
        Truth::Falls(..) | Truth::Rises(..) => asks.push("feed"),
    }
}

fn about_number(number: &Number, asks: &mut Vec<&'static str>) {
    match number {
        Number::Constant(..) | Number::Months(_) | Number::LoanAge => {}
        Number::LoanRate => asks.push("rate"),
        Number::LoanTerm => asks.push("term"),
        Number::Add(left, right)
        | Number::Subtract(left, right)
        | Number::Min(left, right)
        | Number::Max(left, right) => {
            about_number(left, asks);
            about_number(right, asks);
        }
        Number::Times(_, inner) | Number::InBp(inner) | Number::InPercent(inner) => about_number(inner, asks),
        _ => asks.push("feed"),
    }
}
