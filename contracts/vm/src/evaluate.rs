//! Runs a verified program: LANGUAGE.md, E. Never fails: what cannot be computed takes the branch that the policy
//! declares, else it denies a loan, or pays a return at the clamp's upper end.
//!
//! Nothing here allocates but a receipt's list of inputs. Arithmetic is checked; what leaves 64 bits on the way of a
//! product, quotient or mean is `i128`.

use crate::calendar::{MS_PER_DAY, days_to_months_ahead, month_of_year, weekday};
use crate::look_back::{Feeds, Receipt, Record};
use crate::program::Program;
use crate::reading::{Activation, DenyReason, Evaluation, Rate, Readings, Return, Verdict};
use crate::sector::SectorCode;
use crate::steps::{Code, Image, LOAN_AGE, LOAN_RATE, LOAN_TERM, Slots, Step, TODAY};
use crate::unit::times;

/// How a run ends.
enum End {
    Permit,
    Pay(i64),
    /// One of the code's constants.
    PayConstant(u16),
    Deny(DenyReason),
    ///
    Stale(u8),
    /// E-6.
    Uncomputable,
}

/// What the steps may ask about, beside slots and feeds.
struct Context {
    time_ms: u64,
    /// T-10: where months are counted from.
    activated_ms: u64,
    /// On return nothing asks for it.
    sector: SectorCode,
}

impl Program {
    /// Whether the money may be lent on these terms, at the block's time.
    pub fn verdict<R: Readings + ?Sized>(&self, context: &Activation, readings: &R) -> Verdict {
        self.lend(context, readings, &mut ())
    }

    /// The same with what it cost and rests on.
    pub fn activate<R: Readings + ?Sized>(&self, context: &Activation, readings: &R) -> Evaluation<Verdict> {
        let mut receipt = Receipt::of(self.feeds());
        let value = self.lend(context, readings, &mut receipt);
        Evaluation { value, fuel: receipt.fuel, inputs: receipt.inputs }
    }

    /// What the bank pays, at the block's time.
    pub fn rate<R: Readings + ?Sized>(&self, context: &Return, readings: &R) -> Rate {
        self.take_back(context, readings, &mut ())
    }

    /// The same with what it cost and rests on.
    pub fn return_rate<R: Readings + ?Sized>(&self, context: &Return, readings: &R) -> Evaluation<Rate> {
        let mut receipt = Receipt::of(self.feeds());
        let value = self.take_back(context, readings, &mut receipt);
        Evaluation { value, fuel: receipt.fuel, inputs: receipt.inputs }
    }

    fn lend<R: Readings + ?Sized, I: Record>(&self, loan: &Activation, readings: &R, record: &mut I) -> Verdict {
        match &self.activation.image {
            Image::Few(image) => self.lend_on(image, loan, readings, record),
            Image::More(image) => self.lend_on(image, loan, readings, record),
            Image::Most(image) => self.lend_on(image, loan, readings, record),
        }
    }

    #[inline(never)]
    fn lend_on<const COUNT: usize, R: Readings + ?Sized, I: Record>(
        &self,
        image: &[i64; COUNT],
        loan: &Activation,
        readings: &R,
        record: &mut I,
    ) -> Verdict {
        let mut slots = Slots(*image);
        slots.set(TODAY, day(loan.time_ms));
        slots.set(LOAN_RATE, loan.loan_rate);
        slots.set(LOAN_TERM, loan.term_days.into());
        let context = Context { time_ms: loan.time_ms, activated_ms: loan.time_ms, sector: loan.sector };
        match run(&self.activation, slots, &context, readings, record) {
            End::Permit => Verdict::Permit { due_days: u32::from(loan.term_days) + u32::from(self.parts.due_days) },
            End::Deny(reason) => Verdict::Deny { reason },
            End::Stale(feed) => Verdict::Deny { reason: DenyReason::FeedStale { feed } },
            _ => Verdict::Deny { reason: DenyReason::Uncomputable },
        }
    }

    fn take_back<R: Readings + ?Sized, I: Record>(&self, due: &Return, readings: &R, record: &mut I) -> Rate {
        match &self.return_rate.image {
            Image::Few(image) => self.take_back_on(image, due, readings, record),
            Image::More(image) => self.take_back_on(image, due, readings, record),
            Image::Most(image) => self.take_back_on(image, due, readings, record),
        }
    }

    #[inline(never)]
    fn take_back_on<const COUNT: usize, R: Readings + ?Sized, I: Record>(
        &self,
        image: &[i64; COUNT],
        due: &Return,
        readings: &R,
        record: &mut I,
    ) -> Rate {
        let mut slots = Slots(*image);
        slots.set(TODAY, day(due.time_ms));
        slots.set(LOAN_AGE, day(due.time_ms.saturating_sub(due.activated_ms)));
        let context = Context { time_ms: due.time_ms, activated_ms: due.activated_ms, sector: SectorCode(0) };
        Rate(match run(&self.return_rate, slots, &context, readings, record) {
            End::Pay(rate) => self.parts.paid(rate),
            End::PayConstant(at) => self.return_rate.rates[usize::from(at)],
            // E-6
            _ => self.parts.upper,
        })
    }
}

// Inlined into its few callers, so that context and end are never written and read back.
#[inline(always)]
fn run<const COUNT: usize, R: Readings + ?Sized, I: Record>(
    code: &Code,
    mut slots: Slots<COUNT>,
    context: &Context,
    readings: &R,
    record: &mut I,
) -> End {
    let mut feeds = Feeds { readings, now_ms: context.time_ms, record, is_tried: 0 };
    let mut steps = code.steps.iter();
    loop {
        feeds.record.runs(code, steps.as_slice());
        let step = *steps.next().expect("it was verified that the code ends");
        let (to, value) = match step {
            Step::LookBack { to, at, target } => match feeds.find_at(code, at) {
                Some(found) => (to, found),
                None => {
                    steps = code.steps[usize::from(target)..].iter();
                    continue;
                }
            },
            Step::AtRest { to, at } => (to, code.at_rest(at)),
            Step::TryAll { feed } => {
                feeds.try_all(code, feed, &mut slots);
                continue;
            }
            Step::Stale { feed } => return End::Stale(feed),
            Step::GoTo { target } => {
                steps = code.steps[usize::from(target)..].iter();
                continue;
            }
            Step::Months { to, months } => (to, months_ahead(context.activated_ms, months)),
            Step::SectorIn { to, at } => match code.has_sector(at, context.sector) {
                Some(has) => (to, has.into()),
                // E-4
                None => return End::Deny(DenyReason::Sector { line: 0 }),
            },
            Step::Add { to, left, right } => match slots.get(left).checked_add(slots.get(right)) {
                Some(sum) => (to, sum),
                None => return End::Uncomputable,
            },
            Step::Subtract { to, left, right } => match slots.get(left).checked_sub(slots.get(right)) {
                Some(difference) => (to, difference),
                None => return End::Uncomputable,
            },
            Step::Times { to, of, factor } => match times(slots.get(of), slots.get(factor)) {
                Some(product) => (to, product),
                None => return End::Uncomputable,
            },
            Step::Min { to, left, right } => (to, slots.get(left).min(slots.get(right))),
            Step::Max { to, left, right } => (to, slots.get(left).max(slots.get(right))),
            Step::UnlessLess { left, right, target } => {
                if slots.get(left) >= slots.get(right) {
                    steps = code.steps[usize::from(target)..].iter();
                }
                continue;
            }
            Step::UnlessAtMost { left, right, target } => {
                if slots.get(left) > slots.get(right) {
                    steps = code.steps[usize::from(target)..].iter();
                }
                continue;
            }
            Step::UnlessEqual { left, right, target } => {
                if slots.get(left) != slots.get(right) {
                    steps = code.steps[usize::from(target)..].iter();
                }
                continue;
            }
            Step::UnlessUnequal { left, right, target } => {
                if slots.get(left) == slots.get(right) {
                    steps = code.steps[usize::from(target)..].iter();
                }
                continue;
            }
            Step::UnlessMonthIn { months, target } => {
                if !is_month_of(months, slots.get(TODAY)) {
                    steps = code.steps[usize::from(target)..].iter();
                }
                continue;
            }
            Step::UnlessWeekdayIn { weekdays, target } => {
                if !is_weekday_of(weekdays, slots.get(TODAY)) {
                    steps = code.steps[usize::from(target)..].iter();
                }
                continue;
            }
            Step::Deny { reason } => return End::Deny(reason),
            Step::Permit => return End::Permit,
            Step::Pay { rate } => return End::Pay(slots.get(rate)),
            Step::PayConstant { at } => return End::PayConstant(at),
        };
        slots.set(to, value);
    }
}

// The calendar stands apart, as all that few steps need: else the compiler has every run begin with it.

/// T-10.
#[inline(never)]
fn months_ahead(activated_ms: u64, months: u16) -> i64 {
    days_to_months_ahead(day(activated_ms), months.into())
}

#[inline(never)]
fn is_month_of(months: u16, day: i64) -> bool {
    months >> month_of_year(day) & 1 == 1
}

#[inline(never)]
fn is_weekday_of(weekdays: u8, day: i64) -> bool {
    weekdays >> weekday(day) & 1 == 1
}

fn day(time_ms: u64) -> i64 {
    (time_ms / MS_PER_DAY) as i64
}
