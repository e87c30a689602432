//! Runs a verified program: LANGUAGE.md, E. Never fails: what cannot be computed takes the branch that the policy
//! declares, else it denies a loan, or pays a return at the clamp's upper end.
//!
//! Nothing here allocates but a receipt's list of inputs. Arithmetic is checked; intermediates of products, quotients and
//! means are `i128`.

use crate::calendar::{MS_PER_DAY, days_to_months_ahead, month_of_year, weekday};
use crate::look_back::{Feeds, Inputs, Receipt};
use crate::program::Program;
use crate::reading::{Activation, DenyReason, Evaluation, Rate, Readings, Return, Verdict};
use crate::sector::SectorCode;
use crate::steps::{Code, LOAN_AGE, LOAN_RATE, LOAN_TERM, SLOTS_MAX, Slot, Step, TIME_MS};
use crate::unit::times;

/// How a run ends.
enum End {
    Permit,
    Pay(i64),
    /// Clamped and rounded already.
    PayConstant(i64),
    Deny(DenyReason),
    /// the feed has no reading that counts, and no fallback.
    Stale(u8),
    /// E-6.
    Uncomputable,
}

/// What the steps may ask about, beside the feeds.
struct Context {
    time_ms: u64,
    /// T-10: where months are counted from.
    activated_ms: u64,
    /// On return nothing asks for it.
    sector: SectorCode,
    loan_rate: i64,
    term_days: i64,
    loan_age_days: i64,
}

impl Program {
    /// Whether the money may be lent on these terms, at the block's time.
    pub fn verdict<R: Readings + ?Sized>(&self, context: &Activation, readings: &R) -> Verdict {
        self.lend(context, readings, ()).0
    }

    /// The same with what it cost and rests on.
    pub fn activate<R: Readings + ?Sized>(&self, context: &Activation, readings: &R) -> Evaluation<Verdict> {
        let (value, ran) = self.lend(context, readings, Receipt::of(self.feeds()));
        Evaluation { value, fuel: ran.fuel(&self.activation), inputs: ran.inputs.inputs }
    }

    /// What the bank pays, at the block's time.
    pub fn rate<R: Readings + ?Sized>(&self, context: &Return, readings: &R) -> Rate {
        self.take_back(context, readings, ()).0
    }

    /// The same with what it cost and rests on.
    pub fn return_rate<R: Readings + ?Sized>(&self, context: &Return, readings: &R) -> Evaluation<Rate> {
        let (value, ran) = self.take_back(context, readings, Receipt::of(self.feeds()));
        Evaluation { value, fuel: ran.fuel(&self.return_rate), inputs: ran.inputs.inputs }
    }

    fn lend<R: Readings + ?Sized, I: Inputs>(&self, loan: &Activation, readings: &R, inputs: I) -> (Verdict, Ran<I>) {
        let context = Context {
            time_ms: loan.time_ms,
            activated_ms: loan.time_ms,
            sector: loan.sector,
            loan_rate: loan.loan_rate,
            term_days: loan.term_days.into(),
            loan_age_days: 0,
        };
        let ran = run(&self.activation, &context, readings, inputs);
        let verdict = match ran.end {
            End::Permit => Verdict::Permit { due_days: u32::from(loan.term_days) + u32::from(self.parts.due_days) },
            End::Deny(reason) => Verdict::Deny { reason },
            End::Stale(feed) => Verdict::Deny { reason: DenyReason::FeedStale { feed } },
            _ => Verdict::Deny { reason: DenyReason::Uncomputable },
        };
        (verdict, ran)
    }

    fn take_back<R: Readings + ?Sized, I: Inputs>(&self, due: &Return, readings: &R, inputs: I) -> (Rate, Ran<I>) {
        let context = Context {
            time_ms: due.time_ms,
            activated_ms: due.activated_ms,
            sector: SectorCode(0),
            loan_rate: 0,
            term_days: 0,
            loan_age_days: day(due.time_ms.saturating_sub(due.activated_ms)),
        };
        let ran = run(&self.return_rate, &context, readings, inputs);
        let rate = match ran.end {
            End::Pay(rate) => self.parts.paid(rate),
            End::PayConstant(rate) => rate,
            // E-6
            _ => self.parts.upper,
        };
        (Rate(rate), ran)
    }
}

/// A run, ended.
struct Ran<I> {
    end: End,
    /// Behind its last step.
    at: usize,
    /// Fuel of what was skipped, and of what was tried.
    skipped: u32,
    tried: u32,
    inputs: I,
}

impl<I> Ran<I> {
    fn fuel(&self, code: &Code) -> u32 {
        code.fuel[self.at - 1] - self.skipped + self.tried
    }
}

// Inlined into each of its few callers, so that the context is never written and read back.
#[inline(always)]
fn run<R: Readings + ?Sized, I: Inputs>(code: &Code, context: &Context, readings: &R, inputs: I) -> Ran<I> {
    let feeds = Feeds::new(&code.look_backs, readings, context.time_ms, inputs);
    // Nearly all need few, and slots are zeroed before each run.
    if code.slots <= 16 {
        run_on::<16, R, I>(code, context, feeds)
    } else {
        run_on::<SLOTS_MAX, R, I>(code, context, feeds)
    }
}

struct Slots<const COUNT: usize>([i64; COUNT]);

/// Every slot of the code lies below the count, a power of two: so the remainder is the slot, and no bound is checked.
impl<const COUNT: usize> Slots<COUNT> {
    fn get(&self, slot: Slot) -> i64 {
        self.0[usize::from(slot) % COUNT]
    }

    fn set(&mut self, slot: Slot, value: i64) {
        self.0[usize::from(slot) % COUNT] = value;
    }
}

#[inline(always)]
fn run_on<const COUNT: usize, R: Readings + ?Sized, I: Inputs>(
    code: &Code,
    context: &Context,
    mut feeds: Feeds<'_, R, I>,
) -> Ran<I> {
    let mut slots = Slots([0; COUNT]);
    // A day that a policy can name ends long before the greatest of 63 bits.
    slots.set(TIME_MS, i64::try_from(context.time_ms).unwrap_or(i64::MAX));
    slots.set(LOAN_RATE, context.loan_rate);
    slots.set(LOAN_TERM, context.term_days);
    slots.set(LOAN_AGE, context.loan_age_days);
    let (mut at, mut skipped) = (0, 0);
    let end = loop {
        let step = code.steps[at];
        at += 1;
        let (to, value) = match step {
            Step::Constant { to, value } => (to, Some(value)),
            Step::Months { to, months } => (to, Some(days_to_months_ahead(day(context.activated_ms), months))),
            Step::LookBack { to, at } => match feeds.get(at) {
                None => break End::Stale(code.look_backs[usize::from(at)].feed),
                found => (to, found),
            },
            Step::Add { to, left, right } => (to, slots.get(left).checked_add(slots.get(right))),
            Step::AddConstant { to, left, right } => (to, slots.get(left).checked_add(right)),
            Step::Subtract { to, left, right } => (to, slots.get(left).checked_sub(slots.get(right))),
            Step::Times { to, of, factor } => (to, times(slots.get(of), factor)),
            Step::Min { to, left, right } => (to, Some(slots.get(left).min(slots.get(right)))),
            Step::Max { to, left, right } => (to, Some(slots.get(left).max(slots.get(right)))),
            Step::Compare { to, left, orders, right } => {
                (to, Some(orders.hold(slots.get(left), slots.get(right)).into()))
            }
            Step::CompareConstant { to, left, orders, right } => (to, Some(orders.hold(slots.get(left), right).into())),
            Step::MonthIn { to, months } => (to, Some(i64::from(months >> month_of_year(day(context.time_ms)) & 1))),
            Step::WeekdayIn { to, weekdays } => (to, Some(i64::from(weekdays >> weekday(day(context.time_ms)) & 1))),
            Step::SectorIn { to, at } => match context.sector.position() {
                Some(position) => (to, Some(code.sectors[usize::from(at)].contains(position).into())),
                // E-4
                None => break End::Deny(DenyReason::Sector { line: 0 }),
            },
            Step::And { to, left, right } => (to, Some(slots.get(left) & slots.get(right))),
            Step::Or { to, left, right } => (to, Some(slots.get(left) | slots.get(right))),
            Step::Not { to, of } => (to, Some(slots.get(of) ^ 1)),
            Step::DenyUnless { left, orders, right, reason } => {
                if orders.hold(slots.get(left), slots.get(right)) {
                    continue;
                }
                break End::Deny(reason);
            }
            Step::DenyUnlessConstant { left, orders, right, reason } => {
                if orders.hold(slots.get(left), right) {
                    continue;
                }
                break End::Deny(reason);
            }
            Step::SkipUnless { left, orders, right, target } => {
                if !orders.hold(slots.get(left), slots.get(right)) {
                    skipped += code.fuel_between(at - 1, target.into());
                    at = target.into();
                }
                continue;
            }
            Step::SkipUnlessConstant { left, orders, right, target } => {
                if !orders.hold(slots.get(left), right) {
                    skipped += code.fuel_between(at - 1, target.into());
                    at = target.into();
                }
                continue;
            }
            Step::Permit => break End::Permit,
            Step::Pay { rate } => break End::Pay(slots.get(rate)),
            Step::PayConstant { rate } => break End::PayConstant(rate),
        };
        match value {
            Some(value) => slots.set(to, value),
            None => break End::Uncomputable,
        }
    };
    Ran { end, at, skipped, tried: feeds.fuel, inputs: feeds.inputs }
}

fn day(time_ms: u64) -> i64 {
    (time_ms / MS_PER_DAY) as i64
}
