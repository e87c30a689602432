//! A policy as of one height: its program, and what its feeds say to it (K-1, K-2, K-12).
//!
//! What stays true here: all of it is of the state at h − 1, so within a block every evaluation of a policy sees the same readings.
//! They are read once a block and policy; an evaluation looks at memory alone.

use crate::contracts::Feeds;
use crate::reader::{PeriodItems, StateReader};
use contracts_vm::{
    Activation, DenyReason, FeedUse, InputUsed, Package, Rate, Reading, Readings, Return, SectorCode, Unit, Verdict,
};
use ledger_tree::ReadError;
use ledger_types::contract::{Loan, Obligation, RECEIPT_INPUTS_MAX, ReadValue, ReceiptInput};
use ledger_types::encoding::List;
use ledger_types::feed::{Feed, FeedItem, FeedName, FeedUnit, Frequency};
use ledger_types::ids::*;
use ledger_types::rejection::Rejection;
use std::sync::Arc;

/// A deployed program, and what its feeds say to it.
pub struct PolicyAtHeight {
    package: Arc<Package>,
    /// In the program's order.
    feeds: Vec<FeedAtHeight>,
}

struct FeedAtHeight {
    number: FeedNumber,
    /// By `back`, which counts the periods that have items.
    readings: Vec<Option<Reading>>,
}

/// The rate of a return, and what it rests on.
pub struct ReturnRate {
    pub rate: i64,
    pub fuel: u32,
    pub inputs: List<ReceiptInput, RECEIPT_INPUTS_MAX>,
}

impl PolicyAtHeight {
    /// `feeds` and `reader` as of h − 1.
    pub fn read<R: StateReader>(reader: &R, feeds: &Feeds, policy: &PolicyHash) -> Result<Self, ReadError> {
        let package = reader.package(policy)?.ok_or_else(|| ReadError::new("a deployed package is missing"))?;
        let feeds = package.program.feeds().iter().map(|used| FeedAtHeight::read(reader, feeds, used));
        let feeds = feeds.collect::<Result<_, _>>()?;
        Ok(PolicyAtHeight { package, feeds })
    }

    /// From when a coin that was issued then is idle (K-3).
    pub fn idle_from_ms(&self, issued_ms: u64) -> u64 {
        issued_ms.saturating_add(self.package.program.idle_after_ms())
    }

    /// In how many days the loan falls due, or why there is none.
    pub fn due_days(&self, time_ms: u64, loan: &Loan) -> Result<u64, Rejection> {
        let Loan { sector, rate, term_days } = *loan;
        let activation = Activation { time_ms, sector: SectorCode(sector), loan_rate: rate, term_days };
        match self.package.program.verdict(&activation, self) {
            Verdict::Permit { due_days } => Ok(u64::from(due_days)),
            Verdict::Deny { reason } => Err(rejection_of(reason)),
        }
    }

    pub fn return_rate(&self, time_ms: u64, obligation: &Obligation) -> ReturnRate {
        let context = Return { activated_ms: obligation.activated_ms, time_ms };
        let evaluation = self.package.program.return_rate(&context, self);
        let Rate(rate) = evaluation.value;
        // A program looks at each of its readings once, so the bound cuts nothing off.
        let inputs = evaluation.inputs.iter().take(RECEIPT_INPUTS_MAX).map(|input| self.receipt_input(input));
        let inputs = List::new(inputs.collect()).expect("taken up to the bound");
        ReturnRate { rate, fuel: evaluation.fuel, inputs }
    }

    fn receipt_input(&self, input: &InputUsed) -> ReceiptInput {
        let found = input.reading.map(|reading| ReadValue {
            period: Period(reading.period.0.unsigned_abs()),
            vintage: Vintage(reading.vintage),
            value: reading.value,
        });
        let feed = self.feeds.get(usize::from(input.feed)).map_or(FeedNumber(0), |feed| feed.number);
        ReceiptInput { feed, back: input.back, found }
    }
}

impl Readings for PolicyAtHeight {
    fn reading(&self, feed: usize, back: u16) -> Option<Reading> {
        *self.feeds.get(feed)?.readings.get(usize::from(back))?
    }
}

impl FeedAtHeight {
    fn read<R: StateReader>(reader: &R, feeds: &Feeds, used: &FeedUse) -> Result<Self, ReadError> {
        let Some(feed) = feed_of(feeds, used) else {
            return Ok(FeedAtHeight { number: FeedNumber(0), readings: Vec::new() }); // a deployment has checked it: K-7
        };
        let number = feed.definition.feed;
        let item = |of: PeriodItems| match used.vintage {
            contracts_vm::Vintage::First => of.first,
            contracts_vm::Vintage::Latest => of.last,
        };
        let periods = reader.newest_periods(number, used.periods)?.into_iter();
        let readings = periods.map(|of| reading_of(item(of))).collect(); // K-12
        Ok(FeedAtHeight { number, readings })
    }
}

/// None for a period that no calendar has; a publication has checked that it is none of those (K-11).
fn reading_of(item: FeedItem) -> Option<Reading> {
    Some(Reading {
        period: contracts_vm::Period(i32::try_from(item.head.period.0).ok()?),
        vintage: item.head.vintage.0,
        value: item.value,
        published_ms: item.head.published_ms,
        valid_until_ms: item.head.valid_until_ms,
    })
}

/// The registered feed that a program means: of its name, and what it is taken for (K-7).
pub(crate) fn feed_of<'a>(feeds: &'a Feeds, used: &FeedUse) -> Option<&'a Feed> {
    let feed = feeds.named(&FeedName::parse(used.series.as_str())?)?;
    let unit = match used.unit {
        Unit::Rate => FeedUnit::Rate,
        Unit::Index { .. } => FeedUnit::Index,
        Unit::Money { currency, .. } => FeedUnit::Money(Currency(currency.bytes())),
        Unit::Spread | Unit::Days | Unit::Truth => return None,
    };
    let FeedUse { scale, frequency, .. } = used;
    let is_meant = |feed: &&Feed| {
        let definition = &feed.definition;
        definition.unit == unit && definition.scale == *scale && calendar(definition.frequency) == *frequency
    };
    Some(feed).filter(is_meant)
}

/// Whether a period of this frequency has begun at an instant (K-11).
pub(crate) fn has_begun(period: Period, frequency: Frequency, time_ms: u64) -> bool {
    let current = contracts_vm::Period::containing(calendar(frequency), time_ms);
    i64::from(period.0) <= i64::from(current.0)
}

fn calendar(frequency: Frequency) -> contracts_vm::Frequency {
    match frequency {
        Frequency::Daily => contracts_vm::Frequency::Daily,
        Frequency::Monthly => contracts_vm::Frequency::Monthly,
        Frequency::Quarterly => contracts_vm::Frequency::Quarterly,
        Frequency::Yearly => contracts_vm::Frequency::Yearly,
    }
}

/// 61 and the reason's number (K-2).
fn rejection_of(reason: DenyReason) -> Rejection {
    match reason {
        DenyReason::NotYet { .. } => Rejection::DeniedNotYet,
        DenyReason::WindowOver { .. } => Rejection::DeniedWindowOver,
        DenyReason::Calendar { .. } => Rejection::DeniedCalendar,
        DenyReason::Sector { .. } => Rejection::DeniedSector,
        DenyReason::LoanRate { .. } => Rejection::DeniedLoanRate,
        DenyReason::LoanTerm { .. } => Rejection::DeniedLoanTerm,
        DenyReason::State { .. } => Rejection::DeniedState,
        DenyReason::Condition { .. } => Rejection::DeniedCondition,
        DenyReason::Explicit { .. } => Rejection::DeniedExplicitly,
        DenyReason::FeedStale { .. } => Rejection::DeniedFeedStale,
        DenyReason::Uncomputable => Rejection::DeniedUncomputable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_refusal_of_a_deny_is_61_and_the_number_of_its_reason() {
        let reasons: Vec<DenyReason> = (0..=u8::MAX).filter_map(|number| DenyReason::from_parts(number, 0)).collect();
        assert_eq!(reasons.len(), 11);
        for reason in reasons {
            assert_eq!(rejection_of(reason).number(), 61 + u16::from(reason.number()), "{reason}");
        }
    }

    #[test]
    fn a_period_has_begun_on_its_first_day() {
        let day = |date: Option<contracts_vm::Date>| date.unwrap().start_ms();
        let april = day(contracts_vm::Date::new(2026, 4, 1));
        let second = Period(2026 * 4 + 1);
        assert!(has_begun(second, Frequency::Quarterly, april));
        assert!(!has_begun(second, Frequency::Quarterly, april - 1));
        assert!(has_begun(Period(0), Frequency::Daily, 0));
        assert!(!has_begun(Period(u32::MAX), Frequency::Yearly, u64::MAX));
    }
}
