//! Policies and worlds from a seed.

use super::tree::{Feed, Kind, Number, Policy, Truth, What};
use contracts_vm::{Activation, Period, Reading, Readings, Return, SectorCode};
use std::sync::LazyLock;

/// SplitMix64: every seed has a sequence of its own.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5851_f42d_4c95_7f2d)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn between(&mut self, least: i64, most: i64) -> i64 {
        least + self.below((most - least) as u64 + 1) as i64
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize]
    }
}

/// The published list, read as text.
pub fn codes() -> &'static [String] {
    static CODES: LazyLock<Vec<String>> = LazyLock::new(|| {
        let list = include_str!("../../data/isic-rev4.csv");
        list.lines().skip(1).filter_map(|line| line.split(',').next()).map(str::to_owned).collect()
    });
    &CODES
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum At {
    Activation,
    Return,
}

struct Maker<'a> {
    random: &'a mut Random,
    feeds: Vec<Feed>,
    at: At,
}

pub fn policy(random: &mut Random) -> Policy {
    let feeds = (0..random.below(5)).map(|_| feed(random)).collect();
    let mut maker = Maker { random, feeds, at: At::Activation };
    let effective = maker.lines(1);
    let denies = maker.lines(0);
    maker.at = At::Return;
    let cases: Vec<_> = (0..maker.random.below(4)).map(|_| (maker.truth(2), maker.number(What::Rate, 2))).collect();
    let mut otherwise = maker.number(What::Rate, 2);
    // Every feed is read, else the policy is refused.
    let mut denies = denies;
    for feed in 0..maker.feeds.len() {
        let count = maker.count(63);
        if maker.random.below(2) == 0 {
            maker.at = At::Activation;
            denies.push(Truth::And(Box::new(Truth::Falls(feed, count)), Box::new(maker.truth(0))));
            maker.at = At::Return;
        } else {
            let level = Number::Level(feed, count);
            let spread = match maker.feeds[feed].what() {
                What::Rate => Number::Subtract(Box::new(level.clone()), Box::new(Number::Level(feed, 0))),
                _ => Number::InBp(Box::new(Number::Growth(feed, count))),
            };
            otherwise = Number::Add(Box::new(otherwise), Box::new(spread));
        }
    }
    // Denials hold rarely, so that what stands behind them is reached.
    if maker.random.below(3) > 0 {
        denies.truncate(0);
        for feed in 0..maker.feeds.len() {
            let spread = match maker.feeds[feed].what() {
                What::Rate => Number::Change(feed, 1),
                _ => Number::InBp(Box::new(Number::Growth(feed, 1))),
            };
            otherwise = Number::Add(Box::new(otherwise), Box::new(spread));
        }
    }
    let (lower, upper, step) = clamp(maker.random);
    let (idle_days, due_days) = (1 + maker.random.below(1000), maker.random.below(60) as u32);
    let feeds = maker.feeds;
    Policy { feeds, effective, denies, idle_days, due_days, cases, otherwise, lower, upper, step }
}

/// Lower, upper and step.
pub fn clamp(random: &mut Random) -> (i64, i64, i64) {
    let step = random.pick(&[1, 10, 25, 50, 100, 500, 2500]);
    let lower = random.between(-20, 200) * step;
    (lower, lower + random.between(0, 600) * step, step)
}

/// At the feed's scale; every second feed has one.
pub fn fallback(random: &mut Random, kind: Kind, scale: u32) -> Option<i64> {
    (random.below(2) == 0).then(|| match kind {
        Kind::Percent => random.between(-5, 20) * 10_i64.pow(scale) / 2,
        _ => random.between(-10, 100_000),
    })
}

fn feed(random: &mut Random) -> Feed {
    let kind =
        random.pick(&[Kind::Percent, Kind::Percent, Kind::Index, Kind::Index, Kind::Money("CNY"), Kind::Money("USD")]);
    let scale = random.below(if kind == Kind::Percent { 5 } else { 4 }) as u32;
    let fallback = fallback(random, kind, scale);
    Feed {
        kind,
        scale,
        period: random.pick(&["day", "month", "quarter", "year"]),
        max_age_days: 1 + random.below(400),
        first_vintage: random.below(2) == 0,
        fallback,
    }
}

impl Maker<'_> {
    fn lines(&mut self, least: u64) -> Vec<Truth> {
        (0..least + self.random.below(3)).map(|_| self.truth(2)).collect()
    }

    fn count(&mut self, most: u64) -> u16 {
        let most = if self.random.below(8) == 0 { most } else { 8 };
        1 + self.random.below(most) as u16
    }

    fn feed_of(&mut self, is_wanted: impl Fn(&Feed) -> bool) -> Option<usize> {
        let wanted: Vec<_> = (0..self.feeds.len()).filter(|at| is_wanted(&self.feeds[*at])).collect();
        if wanted.is_empty() { None } else { Some(self.random.pick(&wanted)) }
    }

    fn truth(&mut self, depth: u32) -> Truth {
        if depth > 0 && self.random.below(2) == 0 {
            let left = Box::new(self.truth(depth - 1));
            return match self.random.below(3) {
                0 => Truth::Not(left),
                1 => Truth::And(left, Box::new(self.truth(depth - 1))),
                _ => Truth::Or(left, Box::new(self.truth(depth - 1))),
            };
        }
        match self.random.below(10) {
            0 => self.time(),
            1 => Truth::Months(self.some(12)),
            2 => Truth::Weekdays(self.some(7)),
            3 if self.at == At::Activation => {
                let count = 1 + self.random.below(6);
                let mut codes: Vec<_> = (0..count).map(|_| self.code()).collect();
                codes.dedup();
                Truth::Sectors(codes)
            }
            4 | 5 if !self.feeds.is_empty() => {
                let (feed, count) = (self.random.below(self.feeds.len() as u64) as usize, self.count(63));
                let count = count.min(3);
                if self.random.below(2) == 0 { Truth::Falls(feed, count) } else { Truth::Rises(feed, count) }
            }
            _ => {
                let what = match self.random.below(6) {
                    0 => What::Days,
                    1 => What::Spread,
                    2 | 3 if !self.feeds.is_empty() => {
                        let feed = self.random.below(self.feeds.len() as u64) as usize;
                        self.feeds[feed].what()
                    }
                    _ => What::Rate,
                };
                let symbol = self.random.pick(&["<", "<=", "=", ">=", ">"]);
                let (left, right) = self.two(what, 2);
                Truth::Compare(symbol, left, right)
            }
        }
    }

    fn code(&mut self) -> String {
        let codes = codes();
        codes[self.random.below(codes.len() as u64) as usize].clone()
    }

    fn some(&mut self, most: u64) -> Vec<u32> {
        let count = 1 + self.random.below(most);
        (0..count).map(|_| 1 + self.random.below(most) as u32).collect()
    }

    fn time(&mut self) -> Truth {
        let mut date = |from: i64| {
            let day = if self.random.below(2) == 0 { 1 } else { 1 + self.random.below(28) as u32 };
            (from + self.random.below(30) as i64, 1 + self.random.below(12) as u32, day)
        };
        let (from, until) = (date(1990), date(2021));
        match self.random.below(3) {
            0 => Truth::Time(Some(from), None),
            1 => Truth::Time(None, Some(until)),
            _ => Truth::Time(Some(from), Some(until)),
        }
    }

    /// Two of one unit. A level's constant stands beside a level only, whose scale it takes.
    fn two(&mut self, what: What, depth: u32) -> (Number, Number) {
        let left = self.number(what, depth.saturating_sub(1));
        let right = match what {
            What::Level(kind, scale) if self.random.below(3) == 0 => {
                let value = self.random.between(-100, 200_000);
                let _ = kind;
                Number::Constant(What::Level(kind, scale), value)
            }
            _ => self.number(what, depth.saturating_sub(1)),
        };
        if self.random.below(2) == 0 { (left, right) } else { (right, left) }
    }

    fn number(&mut self, what: What, depth: u32) -> Number {
        if depth > 0 && self.random.below(3) > 0 {
            let both = |(left, right)| (Box::new(left), Box::new(right));
            match (what, self.random.below(8)) {
                (_, 0) => {
                    let factor = match self.random.below(3) {
                        0 => self.random.between(-3, 3) * 1_000_000,
                        1 => self.random.between(-40, 40) * 125_000,
                        _ => self.random.between(-2_000_000, 2_000_000),
                    };
                    return Number::Times(factor, Box::new(self.number(what, depth - 1)));
                }
                (_, 1) => {
                    let (left, right) = both(self.two(what, depth));
                    return Number::Min(left, right);
                }
                (_, 2) => {
                    let (left, right) = both(self.two(what, depth));
                    return Number::Max(left, right);
                }
                (What::Rate, 3) => return Number::InPercent(Box::new(self.number(What::Spread, depth - 1))),
                (What::Rate, kind) => {
                    let rate = Box::new(self.number(What::Rate, depth - 1));
                    let spread = Box::new(self.number(What::Spread, depth - 1));
                    return match kind {
                        4 => Number::Add(spread, rate),
                        5 | 6 => Number::Subtract(rate, spread),
                        _ => Number::Add(rate, spread),
                    };
                }
                (What::Spread, 3) => return Number::InBp(Box::new(self.number(What::Rate, depth - 1))),
                (What::Spread, 4 | 5) => {
                    let (left, right) = both(self.two(What::Rate, depth));
                    return Number::Subtract(left, right);
                }
                (_, 6) => {
                    let (left, right) = both(self.two(what, depth));
                    return Number::Subtract(left, right);
                }
                _ => {
                    let (left, right) = both(self.two(what, depth));
                    return Number::Add(left, right);
                }
            }
        }
        self.leaf(what)
    }

    fn leaf(&mut self, what: What) -> Number {
        match what {
            What::Rate => match self.random.below(4) {
                0 if self.at == At::Activation => Number::LoanRate,
                1 => match self.feed_of(|feed| feed.kind != Kind::Percent) {
                    Some(feed) => Number::Growth(feed, self.count(63)),
                    None => self.constant(what),
                },
                2 => match self.feed_of(|feed| feed.kind == Kind::Percent) {
                    Some(feed) => self.level(feed),
                    None => self.constant(what),
                },
                _ => self.constant(what),
            },
            What::Spread => match self.feed_of(|feed| feed.kind == Kind::Percent) {
                Some(feed) if self.random.below(2) == 0 => Number::Change(feed, self.count(63)),
                _ => self.constant(what),
            },
            What::Days => match self.random.below(3) {
                0 => self.constant(what),
                1 if self.random.below(2) == 0 => Number::Months(1 + self.random.below(2) as i64),
                1 => Number::Months(1 + self.random.below(60) as i64),
                _ if self.at == At::Activation => Number::LoanTerm,
                _ => Number::LoanAge,
            },
            What::Level(..) => {
                let feed = self.feed_of(|feed| feed.what() == what).expect("it is the unit of a feed");
                if self.random.below(4) == 0 { Number::Change(feed, self.count(63)) } else { self.level(feed) }
            }
        }
    }

    fn level(&mut self, feed: usize) -> Number {
        match self.random.below(6) {
            0 => Number::Average(feed, self.count(64)),
            1 => Number::Highest(feed, self.count(64)),
            2 => Number::Lowest(feed, self.count(64)),
            3 => Number::Level(feed, self.count(63)),
            _ => Number::Level(feed, 0),
        }
    }

    fn constant(&mut self, what: What) -> Number {
        let value = match what {
            What::Rate => self.random.between(-20, 100) * self.random.pick(&[1, 37, 100, 1000, 2500]),
            What::Spread => self.random.between(-300, 300) * self.random.pick(&[1, 25, 100]),
            What::Days => self.random.between(0, 1500),
            What::Level(..) => unreachable!("only beside a level"),
        };
        Number::Constant(what, value)
    }
}

/// Readings and contexts.
#[derive(Debug)]
pub struct World {
    pub activation: Activation,
    pub returned: Return,
    /// Of each feed, newest first.
    feeds: Vec<Vec<Option<Reading>>>,
}

impl Readings for World {
    fn reading(&self, feed: usize, back: u16) -> Option<Reading> {
        self.feeds[feed].get(usize::from(back)).copied().flatten()
    }
}

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// `periods`: how many readings of each feed are worth making.
pub fn world(random: &mut Random, policy: &Policy, periods: &[u16]) -> World {
    // Now and then at the very edge of a day.
    let day = match random.below(4) {
        // Of a January, whose last days have no like in February.
        0 => random.below(80) * 365 + 18 + random.below(32),
        _ => random.below(80 * 365),
    };
    let time_ms = day * DAY_MS + random.pick(&[0, 0, 1, DAY_MS - 1, DAY_MS / 2]);
    let sector = if random.below(16) == 0 {
        SectorCode(random.next() as u32)
    } else {
        let codes = codes();
        SectorCode::parse(&codes[random.below(codes.len() as u64) as usize]).expect("of the list")
    };
    let loan_rate = match random.below(32) {
        0 => i64::MAX - random.below(1000) as i64,
        1 => i64::MIN + random.below(1000) as i64,
        _ => random.between(-10_000, 100_000),
    };
    // Half of them about a month or two, whose lengths differ.
    let term_days = if random.below(2) == 0 { 28 + random.below(4) } else { random.below(1500) } as u16;
    let activation = Activation { time_ms, sector, loan_rate, term_days };
    let activated_ms = time_ms.saturating_sub(random.below(2000) * DAY_MS) + random.below(2) * DAY_MS;
    let feeds =
        policy.feeds.iter().zip(periods).map(|(feed, periods)| series(random, feed, time_ms, *periods)).collect();
    World { activation, returned: Return { activated_ms, time_ms }, feeds }
}

fn series(random: &mut Random, feed: &Feed, time_ms: u64, periods: u16) -> Vec<Option<Reading>> {
    let one = 10_i64.pow(feed.scale);
    let is_wild = random.below(24) == 0;
    let trend = random.between(-2, 2);
    let mut value = match feed.kind {
        Kind::Percent => random.between(0, 10 * one),
        _ => random.between(one, 3000 * one),
    };
    let max_age_ms = feed.max_age_days * DAY_MS;
    let age_ms = match random.below(12) {
        0 => max_age_ms,
        1 => max_age_ms + 1,
        2 => random.below(2 * max_age_ms),
        _ => random.below(max_age_ms),
    };
    let mut published_ms = time_ms.saturating_sub(age_ms);
    if random.below(48) == 0 {
        published_ms = time_ms + 1;
    }
    let valid_until_ms =
        if random.below(16) == 0 { time_ms - random.below(2).min(time_ms) } else { time_ms + random.below(1000) };
    let mut period = random.between(-5, 40_000) as i32;
    let length = if random.below(8) == 0 { random.below(8) } else { u64::from(periods) };
    let mut readings = Vec::new();
    for _ in 0..length {
        let reading =
            Reading { period: Period(period), vintage: random.below(3) as u32, value, published_ms, valid_until_ms };
        readings.push((random.below(400) > 0).then_some(reading));
        let step = (value.unsigned_abs() / 50).min(1 << 40) as i64;
        value = value.saturating_add(trend * step + random.between(-step - 1, step + 1));
        if is_wild {
            value = match random.below(4) {
                0 => random.next() as i64,
                1 => i64::MAX - random.below(2) as i64,
                2 => i64::MIN + random.below(2) as i64,
                _ => value,
            };
        }
        period -= match (feed.period, random.below(500)) {
            ("day", _) => random.between(1, 4) as i32,
            (_, 0) => random.between(-1, 3) as i32,
            _ => 1,
        };
        published_ms = published_ms.saturating_sub(random.below(100) * DAY_MS);
    }
    readings
}
