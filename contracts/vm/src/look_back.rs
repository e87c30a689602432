//! What a program asks of its feeds: LANGUAGE.md, R.

use crate::calendar::{Frequency, MS_PER_DAY};
use crate::instruction::{Instruction, Op};
use crate::reading::{InputUsed, Reading, Readings};
use crate::steps::{Code, Slot, Slots, Step};
use crate::unit::{FeedUse, PERCENT, PERCENT_DECIMALS, Unit, WhenStale, divide_64_half_even, divide_half_even};
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
    /// How many of the newest it takes, if it is one that takes them all.
    taken: u16,
    /// Of the readings alone.
    fuel: u16,
    /// Where what is found is kept for the rest of the evaluation.
    pub to: Slot,
    of: Feed,
}

impl LookBack {
    pub fn of(instruction: &Instruction, feed: &Feed, to: Slot) -> Self {
        Self {
            op: instruction.op,
            feed: instruction.a as u8,
            periods: instruction.b as u16,
            taken: instruction.periods().map_or(0, |(_, periods)| periods),
            fuel: instruction.fuel() as u16 - 1,
            to,
            of: *feed,
        }
    }

    pub fn is_of(&self, instruction: &Instruction) -> bool {
        let is_one = self.op == instruction.op;
        is_one && i64::from(self.feed) == instruction.a && i64::from(self.periods) == instruction.b
    }

    pub fn has_fallback(&self) -> bool {
        self.of.fallback.is_some()
    }

    /// what it is of a feed that stands still. Only a feed with a fallback does.
    pub fn at_rest(&self) -> i64 {
        match self.op {
            Op::Change | Op::Growth | Op::Falls | Op::Rises => 0,
            _ => self.of.fallback.unwrap_or(0),
        }
    }
}

/// Who wants to know what a run rests on and what it costs (V-8).
pub(crate) trait Record {
    fn asked(&mut self, feed: u8, back: u16, reading: Option<Reading>);
    /// The first of these steps.
    fn runs(&mut self, code: &Code, steps: &[Step]);
    /// a look-back of a feed with a fallback, once.
    fn tried(&mut self, look_back: &LookBack);
}

/// Nobody.
impl Record for () {
    #[inline(always)]
    fn asked(&mut self, _: u8, _: u16, _: Option<Reading>) {}
    #[inline(always)]
    fn runs(&mut self, _: &Code, _: &[Step]) {}
    #[inline(always)]
    fn tried(&mut self, _: &LookBack) {}
}

/// A receipt: each reading once, in the order in which they were first asked for.
pub(crate) struct Receipt {
    /// Of each feed the periods that it has already.
    seen: [u64; FEEDS_MAX],
    /// Feeds with a fallback and one look-back, that was charged for being tried.
    is_tried: u8,
    pub fuel: u32,
    pub inputs: Vec<InputUsed>,
}

const _: () = assert!(PERIODS_MAX as u32 <= u64::BITS && FEEDS_MAX as u32 <= u8::BITS);

impl Receipt {
    pub fn of(feeds: &[FeedUse]) -> Self {
        let most = feeds.iter().map(|feed| usize::from(feed.periods)).sum();
        Self { seen: [0; FEEDS_MAX], is_tried: 0, fuel: 0, inputs: Vec::with_capacity(most) }
    }
}

impl Record for Receipt {
    fn asked(&mut self, feed: u8, back: u16, reading: Option<Reading>) {
        let seen = &mut self.seen[usize::from(feed)];
        if *seen >> back & 1 == 0 {
            *seen |= 1 << back;
            self.inputs.push(InputUsed { feed, back, reading });
        }
    }

    fn runs(&mut self, code: &Code, steps: &[Step]) {
        self.fuel += code.fuel[code.steps.len() - steps.len()];
        let Some(Step::LookBack { at, .. }) = steps.first() else { return };
        let look_back = &code.look_backs[usize::from(*at)];
        if look_back.has_fallback() && self.is_tried >> look_back.feed & 1 == 0 {
            self.is_tried |= 1 << look_back.feed;
            self.tried(look_back);
        }
    }

    fn tried(&mut self, look_back: &LookBack) {
        self.fuel += u32::from(look_back.fuel);
    }
}

/// The feeds as one evaluation sees them. Whoever asks twice finds the same.
pub(crate) struct Feeds<'a, R: ?Sized, I> {
    pub readings: &'a R,
    pub now_ms: u64,
    pub record: &'a mut I,
    /// Of the feeds with a fallback and several look-backs.
    pub is_tried: u8,
}

impl<R: Readings + ?Sized, I: Record> Feeds<'_, R, I> {
    // Apart, as the calendar is.
    #[inline(never)]
    pub fn find_at(&mut self, code: &Code, at: u16) -> Option<i64> {
        self.find(&code.look_backs[usize::from(at)])
    }

    /// all look-backs of a feed with a fallback, in the order of the code; if one fails, all of them stand still, so
    /// that its readings and its fallback never meet in one evaluation.
    #[inline(never)]
    pub fn try_all<const COUNT: usize>(&mut self, code: &Code, feed: u8, slots: &mut Slots<COUNT>) {
        if self.is_tried >> feed & 1 == 1 {
            return;
        }
        self.is_tried |= 1 << feed;
        let of_feed = || code.look_backs.iter().filter(|look_back| look_back.feed == feed);
        for look_back in of_feed() {
            self.record.tried(look_back);
            let Some(found) = self.find(look_back) else {
                return of_feed().for_each(|look_back| slots.set(look_back.to, look_back.at_rest()));
            };
            slots.set(look_back.to, found);
        }
    }

    /// What an instruction that reads a feed finds, if all that it needs is there, in place and in range.
    #[inline(always)]
    fn find(&mut self, look_back: &LookBack) -> Option<i64> {
        let newest = self.newest(look_back)?;
        let finer = look_back.of.finer;
        match look_back.op {
            Op::Level => self.older(look_back, newest)?.checked_mul(finer),
            Op::Change => {
                let older = self.older(look_back, newest)?;
                newest.value.checked_mul(finer)?.checked_sub(older.checked_mul(finer)?)
            }
            Op::Growth => growth(newest.value, self.older(look_back, newest)?),
            _ => self.find_in_many(look_back, newest),
        }
    }

    // Apart, so that the others need not keep as much on the stack.
    #[inline(never)]
    fn find_in_many(&mut self, look_back: &LookBack, newest: Reading) -> Option<i64> {
        let finer = look_back.of.finer;
        match look_back.op {
            Op::Average => {
                let mut sum = i128::from(newest.value);
                self.walk(look_back, newest, |value| sum += i128::from(value))?;
                i64::try_from(divide_half_even(sum * i128::from(finer), look_back.periods.into())).ok()
            }
            Op::Highest => {
                let mut highest = newest.value;
                self.walk(look_back, newest, |value| highest = highest.max(value))?;
                highest.checked_mul(finer)
            }
            Op::Lowest => {
                let mut lowest = newest.value;
                self.walk(look_back, newest, |value| lowest = lowest.min(value))?;
                lowest.checked_mul(finer)
            }
            Op::Falls => self.each_of(look_back, newest, |later, value| later < value),
            Op::Rises => self.each_of(look_back, newest, |later, value| later > value),
            _ => None,
        }
    }

    /// Whether something holds of each value and the one before it.
    fn each_of(&mut self, look_back: &LookBack, newest: Reading, is_so: impl Fn(i64, i64) -> bool) -> Option<i64> {
        let (mut later, mut holds) = (newest.value, true);
        self.walk(look_back, newest, |value| {
            holds &= is_so(later, value);
            later = value;
        })?;
        Some(holds.into())
    }

    fn reading(&mut self, feed: u8, back: u16) -> Option<Reading> {
        let reading = self.readings.reading(feed.into(), back);
        self.record.asked(feed, back, reading);
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

    /// the value so many periods before the newest.
    fn older(&mut self, look_back: &LookBack, newest: Reading) -> Option<i64> {
        let back = look_back.periods;
        if back == 0 {
            return Some(newest.value);
        }
        let older = self.reading(look_back.feed, back)?;
        let apart = i64::from(newest.period.0) - i64::from(older.period.0);
        let is_in_place = if look_back.of.is_daily { apart > 0 } else { apart == i64::from(back) };
        is_in_place.then_some(older.value)
    }

    /// the values before the newest that the look-back takes, newest first; none if one of them is missing or out of
    /// place.
    fn walk(&mut self, look_back: &LookBack, newest: Reading, mut take: impl FnMut(i64)) -> Option<()> {
        let mut later = newest.period;
        for back in 1..look_back.taken {
            let reading = self.reading(look_back.feed, back)?;
            let apart = i64::from(later.0) - i64::from(reading.period.0);
            if apart != 1 && (apart < 1 || !look_back.of.is_daily) {
                return None;
            }
            take(reading.value);
            later = reading.period;
        }
        Some(())
    }
}

/// in percent of the older value, which must lie above zero.
#[inline]
fn growth(newest: i64, older: i64) -> Option<i64> {
    const WHOLE: i64 = 100 * PERCENT;
    if older <= 0 {
        return None;
    }
    // As nearly always.
    if let Some(change) = newest.checked_sub(older).and_then(|change| change.checked_mul(WHOLE)) {
        return Some(divide_64_half_even(change, older));
    }
    let change = (i128::from(newest) - i128::from(older)) * i128::from(WHOLE);
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
