//! Runs a verified program: LANGUAGE.md, E and R. Never fails: what cannot be computed takes the branch that the policy
//! declares, else it denies a loan, or pays a return at the clamp's upper end.
//!
//! Nothing here allocates but the list of inputs. Arithmetic is checked; intermediates of products, quotients and means
//! are `i128`.

use crate::calendar::{Frequency, MS_PER_DAY, civil, days_to_months_ahead, weekday};
use crate::instruction::{Instruction, Op};
use crate::program::Program;
use crate::reading::{Activation, DenyReason, Evaluation, InputUsed, Rate, Reading, Readings, Return, Verdict};
use crate::unit::{FACTOR_ONE, FeedUse, PERCENT, PERCENT_DECIMALS, Unit, WhenStale, divide_half_even};
use crate::verify::STACK_MAX;
use crate::{FEEDS_MAX, PERIODS_MAX};

/// An instruction, ready to run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Step {
    op: Op,
    fuel: u16,
    a: i64,
    b: i64,
    sectors: crate::sector::SectorSet,
}

impl Step {
    pub(crate) fn of(instruction: &Instruction) -> Self {
        let fuel = u16::try_from(instruction.fuel()).expect("at most 66");
        Self { op: instruction.op, fuel, a: instruction.a, b: instruction.b, sectors: instruction.sectors }
    }
}

/// What runs of a program at activation or on return.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Code {
    steps: Vec<Step>,
    /// each different look-back of the feeds that have a fallback, in the order of the code.
    tried: Vec<Step>,
}

impl Code {
    pub(crate) fn of(code: &[Instruction], feeds: &[FeedUse]) -> Self {
        let steps = code.iter().map(Step::of).collect();
        Self { steps, tried: tried(code, feeds).iter().map(Step::of).collect() }
    }
}

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

/// How a run ends.
enum End {
    Permit,
    Pay(i64),
    Deny(DenyReason),
    /// the feed has no reading that counts, and no fallback.
    Stale(u8),
    /// E-6.
    Uncomputable,
}

/// What the instructions may ask about, beside the feeds.
struct Context {
    time_ms: u64,
    /// T-10: where months are counted from.
    activated_ms: u64,
    sector: Option<u8>,
    loan_rate: i64,
    term_days: i64,
    loan_age_days: i64,
}

pub(crate) fn activate(
    program: &Program,
    code: &Code,
    context: &Activation,
    readings: &dyn Readings,
) -> Evaluation<Verdict> {
    let mut run = Run::new(
        program,
        readings,
        Context {
            time_ms: context.time_ms,
            activated_ms: context.time_ms,
            sector: context.sector.position(),
            loan_rate: context.loan_rate,
            term_days: context.term_days.into(),
            loan_age_days: 0,
        },
    );
    let value = match run.run(code) {
        Ok(End::Permit) => {
            Verdict::Permit { due_days: u32::from(context.term_days) + u32::from(program.parts.due_days) }
        }
        Ok(End::Deny(reason)) | Err(End::Deny(reason)) => Verdict::Deny { reason },
        Ok(End::Stale(feed)) | Err(End::Stale(feed)) => Verdict::Deny { reason: DenyReason::FeedStale { feed } },
        _ => Verdict::Deny { reason: DenyReason::Uncomputable },
    };
    Evaluation { value, fuel: run.fuel, inputs: run.inputs }
}

pub(crate) fn return_rate(
    program: &Program,
    code: &Code,
    context: &Return,
    readings: &dyn Readings,
) -> Evaluation<Rate> {
    let held_ms = context.time_ms.saturating_sub(context.activated_ms);
    let mut run = Run::new(
        program,
        readings,
        Context {
            time_ms: context.time_ms,
            activated_ms: context.activated_ms,
            sector: None,
            loan_rate: 0,
            term_days: 0,
            loan_age_days: (held_ms / MS_PER_DAY) as i64,
        },
    );
    let (lower, upper, step) = (program.parts.lower, program.parts.upper, program.parts.step);
    let rate = match run.run(code) {
        // E-5: both bounds are multiples of the step, so rounding does not leave the clamp.
        Ok(End::Pay(rate)) => {
            let steps = divide_half_even(rate.clamp(lower, upper).into(), step.into());
            i64::try_from(steps).expect("the clamp's bounds are small") * step
        }
        // E-6
        _ => upper,
    };
    Evaluation { value: Rate(rate), fuel: run.fuel, inputs: run.inputs }
}

struct Run<'a> {
    feeds: &'a [FeedUse],
    readings: &'a dyn Readings,
    context: Context,
    fuel: u32,
    /// Of each feed the periods that stand in `inputs` already.
    seen: [u64; FEEDS_MAX],
    /// Of each feed with a fallback, once it was asked for.
    stands_still: [Option<bool>; FEEDS_MAX],
    inputs: Vec<InputUsed>,
}

const _: () = assert!(PERIODS_MAX as u32 <= u64::BITS);

impl<'a> Run<'a> {
    fn new(program: &'a Program, readings: &'a dyn Readings, context: Context) -> Self {
        let feeds = program.feeds();
        let inputs = Vec::with_capacity(feeds.iter().map(|feed| usize::from(feed.periods)).sum());
        Self { feeds, readings, context, fuel: 0, seen: [0; FEEDS_MAX], stands_still: [None; FEEDS_MAX], inputs }
    }

    /// An error is an end too, from the middle of an expression.
    fn run(&mut self, code: &Code) -> Result<End, End> {
        let mut stack = [0_i64; STACK_MAX];
        let mut top = 0;
        let mut at = 0;
        macro_rules! push {
            ($value:expr) => {{
                let value: i64 = $value;
                stack[top] = value;
                top += 1;
            }};
        }
        macro_rules! two {
            (|$left:ident, $right:ident| $value:expr) => {{
                let ($left, $right) = (stack[top - 2], stack[top - 1]);
                top -= 1;
                stack[top - 1] = $value;
            }};
        }
        loop {
            let step = &code.steps[at];
            at += 1;
            self.fuel += u32::from(step.fuel);
            match step.op {
                Op::Push => push!(step.a),
                Op::LoanRate => push!(self.context.loan_rate),
                Op::LoanTerm => push!(self.context.term_days),
                Op::LoanAge => push!(self.context.loan_age_days),
                Op::Months => push!(days_to_months_ahead((self.context.activated_ms / MS_PER_DAY) as i64, step.a)),
                Op::Level
                | Op::Average
                | Op::Highest
                | Op::Lowest
                | Op::Change
                | Op::Growth
                | Op::Falls
                | Op::Rises => push!(self.of_feed(step, &code.tried)?),
                Op::Add => two!(|left, right| left.checked_add(right).ok_or(End::Uncomputable)?),
                Op::Subtract => two!(|left, right| left.checked_sub(right).ok_or(End::Uncomputable)?),
                Op::Times => {
                    let product = i128::from(stack[top - 1]) * i128::from(step.a);
                    let product = divide_half_even(product, FACTOR_ONE.into());
                    stack[top - 1] = i64::try_from(product).map_err(|_| End::Uncomputable)?;
                }
                Op::Min => two!(|left, right| left.min(right)),
                Op::Max => two!(|left, right| left.max(right)),
                Op::InBp | Op::InPercent => {}
                Op::Less => two!(|left, right| i64::from(left < right)),
                Op::AtMost => two!(|left, right| i64::from(left <= right)),
                Op::Equal => two!(|left, right| i64::from(left == right)),
                Op::AtLeast => two!(|left, right| i64::from(left >= right)),
                Op::Greater => two!(|left, right| i64::from(left > right)),
                Op::TimeFrom => push!(i64::from(self.day() >= step.a)),
                Op::TimeUntil => push!(i64::from(self.day() < step.a)),
                Op::MonthIn => push!(step.a >> (civil(self.day()).1 - 1) & 1),
                Op::WeekdayIn => push!(step.a >> weekday(self.day()) & 1),
                Op::SectorIn => {
                    // E-4
                    let position = self.context.sector.ok_or(End::Deny(DenyReason::Sector { line: 0 }))?;
                    push!(i64::from(step.sectors.contains(position)));
                }
                Op::And => two!(|left, right| left & right),
                Op::Or => two!(|left, right| left | right),
                Op::Not => stack[top - 1] ^= 1,
                Op::DenyIf | Op::DenyUnless => {
                    top -= 1;
                    if (stack[top] != 0) == (step.op == Op::DenyIf) {
                        let reason = DenyReason::from_parts(step.a as u8, step.b as u8);
                        return Ok(End::Deny(reason.expect("its bounds were verified")));
                    }
                }
                Op::Permit => return Ok(End::Permit),
                Op::SkipUnless => {
                    top -= 1;
                    if stack[top] == 0 {
                        at = step.a as usize;
                    }
                }
                Op::Pay => return Ok(End::Pay(stack[top - 1])),
            }
        }
    }

    fn day(&self) -> i64 {
        (self.context.time_ms / MS_PER_DAY) as i64
    }

    /// every reading that was asked for stands in the receipt once.
    fn reading(&mut self, feed: usize, back: u16) -> Option<Reading> {
        let reading = self.readings.reading(feed, back);
        if self.seen[feed] >> back & 1 == 0 {
            self.seen[feed] |= 1 << back;
            self.inputs.push(InputUsed { feed: feed as u8, back, reading });
        }
        reading
    }

    /// the newest reading, if it is not stale.
    fn newest(&mut self, feed: usize) -> Option<Reading> {
        let now = self.context.time_ms;
        let max_age_ms = u64::from(self.feeds[feed].max_age_days) * MS_PER_DAY;
        self.reading(feed, 0).filter(|reading| {
            let age_ms = now.checked_sub(reading.published_ms);
            age_ms.is_some_and(|age_ms| age_ms <= max_age_ms) && now <= reading.valid_until_ms
        })
    }

    /// the newest value, and the one so many periods ago.
    fn ends(&mut self, feed: i64, back: i64) -> Option<(i64, i64)> {
        let (feed, back) = (feed as usize, back as u16);
        let newest = self.newest(feed)?;
        if back == 0 {
            return Some((newest.value, newest.value));
        }
        let older = self.reading(feed, back)?;
        let is_in_place = match self.feeds[feed].frequency {
            Frequency::Daily => older.period < newest.period,
            _ => i64::from(newest.period.0) - i64::from(older.period.0) == i64::from(back),
        };
        is_in_place.then_some((newest.value, older.value))
    }

    /// the values of the newest so many periods, newest first; whether all of them are there and in place.
    fn walk(&mut self, feed: i64, periods: i64, mut take: impl FnMut(i64)) -> bool {
        let feed = feed as usize;
        let Some(newest) = self.newest(feed) else { return false };
        take(newest.value);
        let is_daily = self.feeds[feed].frequency == Frequency::Daily;
        let mut later = newest.period;
        for back in 1..periods as u16 {
            let Some(reading) = self.reading(feed, back) else { return false };
            let step = i64::from(later.0) - i64::from(reading.period.0);
            if step < 1 || (!is_daily && step > 1) {
                return false;
            }
            take(reading.value);
            later = reading.period;
        }
        true
    }

    /// what the instruction finds, or the declared branch of its feed.
    fn of_feed(&mut self, step: &Step, tried: &[Step]) -> Result<i64, End> {
        let feed = step.a as usize;
        let WhenStale::Fallback(value) = self.feeds[feed].when_stale else {
            return self.look_back(step).ok_or(End::Stale(feed as u8));
        };
        let found = if self.stands_still(feed, tried) { None } else { self.look_back(step) };
        Ok(found.unwrap_or_else(|| match step.op {
            Op::Change | Op::Growth | Op::Falls | Op::Rises => 0,
            _ => in_unit(&self.feeds[feed], value).expect("its bounds were verified"),
        }))
    }

    /// whether any look-back of the feed fails, of all that the code has, so that its readings and its fallback
    /// never meet in one evaluation. Decided when the feed is first asked for, and charged as what it asks (V-8).
    fn stands_still(&mut self, feed: usize, tried: &[Step]) -> bool {
        if let Some(stands_still) = self.stands_still[feed] {
            return stands_still;
        }
        let mut of_feed = tried.iter().filter(|step| step.a as usize == feed);
        let stands_still = of_feed.any(|step| {
            self.fuel += u32::from(step.fuel) - 1;
            self.look_back(step).is_none()
        });
        self.stands_still[feed] = Some(stands_still);
        stands_still
    }

    /// What an instruction that reads a feed finds, if all that it needs is there, in place and in range.
    fn look_back(&mut self, step: &Step) -> Option<i64> {
        let feed = &self.feeds[step.a as usize];
        match step.op {
            Op::Level => self.ends(step.a, step.b).and_then(|(_, older)| in_unit(feed, older)),
            Op::Change => {
                let (newest, older) = self.ends(step.a, step.b)?;
                in_unit(feed, newest)?.checked_sub(in_unit(feed, older)?)
            }
            Op::Growth => self.ends(step.a, step.b).and_then(|(newest, older)| growth(newest, older)),
            Op::Average => {
                let mut sum = 0_i128;
                self.walk(step.a, step.b, |value| sum += i128::from(value))
                    .then(|| i64::try_from(divide_half_even(sum * finer(feed), step.b.into())).ok())?
            }
            Op::Highest | Op::Lowest => {
                let mut found = None;
                let is_highest = step.op == Op::Highest;
                let is_whole = self.walk(step.a, step.b, |value| {
                    let best = found.unwrap_or(value);
                    found = Some(if is_highest { value.max(best) } else { value.min(best) });
                });
                found.filter(|_| is_whole).and_then(|value| in_unit(feed, value))
            }
            Op::Falls | Op::Rises => {
                let falls = step.op == Op::Falls;
                let (mut later, mut holds) = (None, true);
                let is_whole = self.walk(step.a, step.b + 1, |value| {
                    holds &= later.is_none_or(|later| if falls { later < value } else { later > value });
                    later = Some(value);
                });
                is_whole.then_some(i64::from(holds))
            }
            _ => None,
        }
    }
}

/// From a series' decimals to its unit's: only a rate has more.
fn finer(feed: &FeedUse) -> i128 {
    if feed.unit == Unit::Rate { 10_i128.pow((PERCENT_DECIMALS - feed.scale).into()) } else { 1 }
}

fn in_unit(feed: &FeedUse, value: i64) -> Option<i64> {
    if feed.unit == Unit::Rate { value.checked_mul(finer(feed) as i64) } else { Some(value) }
}

/// in percent of the older value, which must lie above zero.
fn growth(newest: i64, older: i64) -> Option<i64> {
    if older <= 0 {
        return None;
    }
    let change = (i128::from(newest) - i128::from(older)) * i128::from(100 * PERCENT);
    i64::try_from(divide_half_even(change, older.into())).ok()
}
