//! Runs a verified program: LANGUAGE.md, E. Never fails: what cannot be computed takes the branch that the policy
//! declares, else it denies a loan, or pays a return at the clamp's upper end.
//!
//! Nothing here allocates but a receipt's list of inputs. Arithmetic is checked; intermediates of products, quotients and
//! means are `i128`.

use crate::calendar::{MS_PER_DAY, days_to_months_ahead, month_of_year, weekday};
use crate::look_back::{Feeds, Receipt, Record};
use crate::program::Program;
use crate::reading::{Activation, DenyReason, Evaluation, Rate, Readings, Return, Verdict};
use crate::sector::SectorCode;
use crate::steps::{Code, FEW, LOAN_AGE, LOAN_RATE, LOAN_TERM, MORE, MOST, Slots, Step, TODAY};
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
        match self.activation.slots.len() {
            FEW => self.lend_on::<FEW, R, I>(loan, readings, record),
            MORE => self.lend_on::<MORE, R, I>(loan, readings, record),
            _ => self.lend_on::<MOST, R, I>(loan, readings, record),
        }
    }

    #[inline(never)]
    fn lend_on<const COUNT: usize, R: Readings + ?Sized, I: Record>(
        &self,
        loan: &Activation,
        readings: &R,
        record: &mut I,
    ) -> Verdict {
        let mut slots = Slots::<COUNT>::of(&self.activation);
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
        match self.return_rate.slots.len() {
            FEW => self.take_back_on::<FEW, R, I>(due, readings, record),
            MORE => self.take_back_on::<MORE, R, I>(due, readings, record),
            _ => self.take_back_on::<MOST, R, I>(due, readings, record),
        }
    }

    #[inline(never)]
    fn take_back_on<const COUNT: usize, R: Readings + ?Sized, I: Record>(
        &self,
        due: &Return,
        readings: &R,
        record: &mut I,
    ) -> Rate {
        let mut slots = Slots::<COUNT>::of(&self.return_rate);
        slots.set(TODAY, day(due.time_ms));
        slots.set(LOAN_AGE, day(due.time_ms.saturating_sub(due.activated_ms)));
        let context = Context { time_ms: due.time_ms, activated_ms: due.activated_ms, sector: SectorCode(0) };
        Rate(match run(&self.return_rate, slots, &context, readings, record) {
            End::Pay(rate) => self.parts.paid(rate),
            End::PayConstant(rate) => rate,
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
    let mut feeds = Feeds { readings, now_ms: context.time_ms, record };
    let mut steps = code.steps.iter();
    loop {
        feeds.record.runs(code, steps.as_slice());
        let step = *steps.next().expect("it was verified that the code ends");
        let (to, value) = match step {
            Step::LookBack { to, at } => match feeds.find_one(code, at) {
                Some(found) => (to, found),
                None => return End::Stale(code.look_backs[usize::from(at)].feed),
            },
            Step::Try { at } => {
                feeds.find_all(code, at, &mut slots);
                continue;
            }
            Step::Months { to, months } => (to, days_to_months_ahead(day(context.activated_ms), months.into())),
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
                if months >> month_of_year(slots.get(TODAY)) & 1 == 0 {
                    steps = code.steps[usize::from(target)..].iter();
                }
                continue;
            }
            Step::UnlessWeekdayIn { weekdays, target } => {
                if weekdays >> weekday(slots.get(TODAY)) & 1 == 0 {
                    steps = code.steps[usize::from(target)..].iter();
                }
                continue;
            }
            Step::Deny { reason } => return End::Deny(reason),
            Step::Permit => return End::Permit,
            Step::Pay { rate } => return End::Pay(slots.get(rate)),
            Step::PayConstant { rate } => return End::PayConstant(slots.get(rate)),
        };
        slots.set(to, value);
    }
}

fn day(time_ms: u64) -> i64 {
    (time_ms / MS_PER_DAY) as i64
}
