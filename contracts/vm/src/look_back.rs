//! What a program asks of its feeds: LANGUAGE.md, R. Each different look-back is found once in an evaluation.

use crate::calendar::{Frequency, MS_PER_DAY};
use crate::instruction::{Instruction, Op};
use crate::reading::{InputUsed, Reading, Readings};
use crate::unit::{FeedUse, PERCENT, PERCENT_DECIMALS, Unit, WhenStale, divide_half_even};
use crate::{FEEDS_MAX, PERIODS_MAX};

/// What reading a feed needs to know of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Feed {
    max_age_ms: u64,
    is_daily: bool,
    /// From the series' decimals to its unit's: only a rate has more.
    finer: i64,
    /// In its unit.
    fallback: Option<i64>,
}

impl Feed {
    pub fn of(feed: &FeedUse) -> Self {
        let is_rate = feed.unit == Unit::Rate;
        let finer = if is_rate { 10_i64.pow((PERCENT_DECIMALS - feed.scale).into()) } else { 1 };
        Self {
            max_age_ms: u64::from(feed.max_age_days) * MS_PER_DAY,
            is_daily: feed.frequency == Frequency::Daily,
            finer,
            fallback: match feed.when_stale {
                WhenStale::Deny => None,
                WhenStale::Fallback(value) => Some(value.checked_mul(finer).expect("its bounds were verified")),
            },
        }
    }
}

/// An instruction that reads a feed, and the feed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct LookBack {
    op: Op,
    pub feed: u8,
    /// As the instruction has it.
    periods: u16,
    /// Of the readings alone.
    fuel: u16,
    of: Feed,
}

impl LookBack {
    pub fn of(instruction: &Instruction, feeds: &[Feed]) -> Self {
        Self {
            op: instruction.op,
            feed: instruction.a as u8,
            periods: instruction.b as u16,
            fuel: instruction.fuel() as u16 - 1,
            of: feeds[instruction.a as usize],
        }
    }
}

/// who wants to know which readings were asked for.
pub(crate) trait Inputs {
    fn asked(&mut self, feed: u8, back: u16, reading: Option<Reading>);
}

/// Nobody.
impl Inputs for () {
    fn asked(&mut self, _: u8, _: u16, _: Option<Reading>) {}
}

/// A receipt: each reading once, in the order in which they were first asked for.
pub(crate) struct Receipt {
    /// Of each feed the periods that it has already.
    seen: [u64; FEEDS_MAX],
    pub inputs: Vec<InputUsed>,
}

const _: () = assert!(PERIODS_MAX as u32 <= u64::BITS);

impl Receipt {
    pub fn of(feeds: &[FeedUse]) -> Self {
        let most = feeds.iter().map(|feed| usize::from(feed.periods)).sum();
        Self { seen: [0; FEEDS_MAX], inputs: Vec::with_capacity(most) }
    }
}

impl Inputs for Receipt {
    fn asked(&mut self, feed: u8, back: u16, reading: Option<Reading>) {
        let seen = &mut self.seen[usize::from(feed)];
        if *seen >> back & 1 == 0 {
            *seen |= 1 << back;
            self.inputs.push(InputUsed { feed, back, reading });
        }
    }
}

/// Look-backs whose results are kept for the rest of the evaluation; further ones are found each time.
const KEPT: usize = 8;

/// The feeds as one evaluation sees them.
pub(crate) struct Feeds<'a, R: ?Sized, I> {
    look_backs: &'a [LookBack],
    readings: &'a R,
    now_ms: u64,
    found: [i64; KEPT],
    /// Which of `found` are, a bit each.
    is_found: u32,
    /// Of the feeds with a fallback: which were asked for, and which stand still.
    is_tried: u32,
    stands_still: u32,
    /// What trying has cost (V-8).
    pub fuel: u32,
    pub inputs: I,
}

const _: () = assert!(KEPT <= 32 && FEEDS_MAX <= 32);

impl<'a, R: Readings + ?Sized, I: Inputs> Feeds<'a, R, I> {
    pub fn new(look_backs: &'a [LookBack], readings: &'a R, now_ms: u64, inputs: I) -> Self {
        let (is_found, is_tried, stands_still) = (0, 0, 0);
        Self { look_backs, readings, now_ms, found: [0; KEPT], is_found, is_tried, stands_still, fuel: 0, inputs }
    }

    /// what the look-back finds, or the declared branch of its feed, if it has one.
    #[inline(always)]
    pub fn get(&mut self, at: u16) -> Option<i64> {
        let at = usize::from(at);
        let kept = self.kept(at);
        if kept.is_some() { kept } else { self.ask(at) }
    }

    fn kept(&self, at: usize) -> Option<i64> {
        (at < KEPT && self.is_found >> at & 1 == 1).then(|| self.found[at])
    }

    #[inline(never)]
    fn ask(&mut self, at: usize) -> Option<i64> {
        let look_backs = self.look_backs;
        let look_back = &look_backs[at];
        let Some(fallback) = look_back.of.fallback else { return self.find(at, look_back) };
        if self.stands_still(look_back.feed) {
            return Some(match look_back.op {
                Op::Change | Op::Growth | Op::Falls | Op::Rises => 0,
                _ => fallback,
            });
        }
        let kept = self.kept(at);
        if kept.is_some() { kept } else { self.find(at, look_back) }
    }

    fn find(&mut self, at: usize, look_back: &'a LookBack) -> Option<i64> {
        let found = self.look_back(look_back)?;
        if at < KEPT {
            self.found[at] = found;
            self.is_found |= 1 << at;
        }
        Some(found)
    }

    /// whether any look-back of the feed fails, of all that the code has, so that its readings and its fallback
    /// never meet in one evaluation. Decided when the feed is first asked for, and charged as what it asks (V-8).
    fn stands_still(&mut self, feed: u8) -> bool {
        if self.is_tried >> feed & 1 == 0 {
            self.is_tried |= 1 << feed;
            let is_found = self.is_found;
            let look_backs = self.look_backs;
            for at in (0..look_backs.len()).filter(|at| look_backs[*at].feed == feed) {
                self.fuel += u32::from(look_backs[at].fuel);
                if self.find(at, &look_backs[at]).is_none() {
                    self.is_found = is_found;
                    self.stands_still |= 1 << feed;
                    break;
                }
            }
        }
        self.stands_still >> feed & 1 == 1
    }

    /// What an instruction that reads a feed finds, if all that it needs is there, in place and in range.
    fn look_back(&mut self, look_back: &'a LookBack) -> Option<i64> {
        let periods = look_back.periods;
        let finer = look_back.of.finer;
        match look_back.op {
            Op::Level => self.ends(look_back)?.1.checked_mul(finer),
            Op::Change => {
                let (newest, older) = self.ends(look_back)?;
                newest.checked_mul(finer)?.checked_sub(older.checked_mul(finer)?)
            }
            Op::Growth => {
                let (newest, older) = self.ends(look_back)?;
                growth(newest, older)
            }
            Op::Average => {
                let mut sum = 0_i128;
                self.walk(look_back, periods, |value| sum += i128::from(value))
                    .then(|| i64::try_from(divide_half_even(sum * i128::from(finer), periods.into())).ok())?
            }
            Op::Highest => {
                let mut highest = i64::MIN;
                let is_whole = self.walk(look_back, periods, |value| highest = highest.max(value));
                if is_whole { highest.checked_mul(finer) } else { None }
            }
            Op::Lowest => {
                let mut lowest = i64::MAX;
                let is_whole = self.walk(look_back, periods, |value| lowest = lowest.min(value));
                if is_whole { lowest.checked_mul(finer) } else { None }
            }
            Op::Falls | Op::Rises => {
                let falls = look_back.op == Op::Falls;
                let (mut later, mut holds) = (None, true);
                let is_whole = self.walk(look_back, periods + 1, |value| {
                    holds &= later.is_none_or(|later| if falls { later < value } else { later > value });
                    later = Some(value);
                });
                is_whole.then_some(i64::from(holds))
            }
            _ => None,
        }
    }

    fn reading(&mut self, feed: u8, back: u16) -> Option<Reading> {
        let reading = self.readings.reading(feed.into(), back);
        self.inputs.asked(feed, back, reading);
        reading
    }

    /// the newest reading, if it is not stale.
    fn newest(&mut self, look_back: &LookBack) -> Option<Reading> {
        let now = self.now_ms;
        self.reading(look_back.feed, 0).filter(|reading| {
            let age_ms = now.checked_sub(reading.published_ms);
            age_ms.is_some_and(|age_ms| age_ms <= look_back.of.max_age_ms) && now <= reading.valid_until_ms
        })
    }

    /// the newest value, and the one so many periods ago.
    fn ends(&mut self, look_back: &LookBack) -> Option<(i64, i64)> {
        let newest = self.newest(look_back)?;
        let back = look_back.periods;
        if back == 0 {
            return Some((newest.value, newest.value));
        }
        let older = self.reading(look_back.feed, back)?;
        let apart = i64::from(newest.period.0) - i64::from(older.period.0);
        let is_in_place = if look_back.of.is_daily { apart > 0 } else { apart == i64::from(back) };
        is_in_place.then_some((newest.value, older.value))
    }

    /// the values of the newest so many periods, newest first; whether all of them are there and in place.
    fn walk(&mut self, look_back: &LookBack, periods: u16, mut take: impl FnMut(i64)) -> bool {
        let Some(newest) = self.newest(look_back) else { return false };
        take(newest.value);
        let mut later = newest.period;
        for back in 1..periods {
            let Some(reading) = self.reading(look_back.feed, back) else { return false };
            let apart = i64::from(later.0) - i64::from(reading.period.0);
            if apart != 1 && (apart < 1 || !look_back.of.is_daily) {
                return false;
            }
            take(reading.value);
            later = reading.period;
        }
        true
    }
}

/// in percent of the older value, which must lie above zero.
fn growth(newest: i64, older: i64) -> Option<i64> {
    if older <= 0 {
        return None;
    }
    let change = (i128::from(newest) - i128::from(older)) * i128::from(100 * PERCENT);
    i64::try_from(divide_half_even(change, older.into())).ok()
}

/// Each different look-back of the feeds that have a fallback, in the order of the code: R-4.
pub(crate) fn tried(code: &[Instruction], feeds: &[FeedUse]) -> Vec<Instruction> {
    let mut tried = Vec::new();
    for instruction in code {
        let Some((feed, _)) = instruction.periods() else { continue };
        let has_fallback = feeds.get(usize::from(feed)).is_some_and(|feed| feed.when_stale != WhenStale::Deny);
        if has_fallback && !tried.contains(instruction) {
            tried.push(*instruction);
        }
    }
    tried
}
