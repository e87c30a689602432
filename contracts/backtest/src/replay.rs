//! The replay itself: at the end of each period of the table, with what was known by then, one verdict a loan and one rate.
//!
//! A row is about its period and runs when that period's value is published: `lag_days` after the period's end. So the row
//! 1974Q4 says what a bank was told from 1 January 1975 on, if the lag is nothing, and stands under 1974 in the years.
//! Block time begins in 1970: periods that end before it are history that a policy may look back on, and are rows only if
//! the plan moves the years ahead.

use crate::Refusal;
use crate::table::parse_period;
use contracts_vm::calendar::{self, MS_PER_DAY};
use contracts_vm::policy::{Condition, Policy, Quantity, QuantityKind};
use contracts_vm::unit::divide_half_even;
use contracts_vm::{
    Activation, Date, Evaluation, Frequency, Period, Program, Rate, Reading, Readings, Return, SectorCode, Verdict,
};

/// A feed's history: periods ascending, values at the feed's scale. A period without a value is left out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Series {
    pub frequency: Frequency,
    pub values: Vec<(Period, i64)>,
}

/// A loan that is asked about at every period.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Loan {
    pub sector: Option<SectorCode>,
    /// Hundredths of a basis point.
    pub rate: Option<i64>,
    /// None is a year of 365 days.
    pub term_days: Option<u16>,
}

pub const TERM_DAYS: u16 = 365;

#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Plan {
    /// None is a loan of which nothing is known.
    pub loans: Vec<Loan>,
    /// First and last period, in the table's frequency.
    pub from: Option<Period>,
    pub to: Option<Period>,
    /// From a period's end until its value is published.
    pub lag_days: u16,
    /// History happens so many years later: for windows of time that lie ahead, and for what came before block time.
    pub years_later: u16,
}

/// What a policy wants to know of a loan.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Asks {
    pub sector: bool,
    pub rate: bool,
    pub term: bool,
    /// On return: how long ago the loan was made.
    pub age: bool,
    pub dates: bool,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Replay {
    pub frequency: Frequency,
    /// As they were asked about: what the policy does not ask is None.
    pub loans: Vec<Loan>,
    pub asks: Asks,
    pub rows: Vec<Row>,
    /// Periods that were read, but are no rows, because they end before 1970.
    pub before_block_time: Option<(Period, Period)>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Row {
    pub period: Period,
    /// Day on which the period's value was published, as it was: years are not moved. May lie before 1970.
    pub known_from: Date,
    /// Of each loan.
    pub verdicts: Vec<Verdict>,
    /// Of a return that falls due on that day.
    pub rate: Rate,
    /// Most of any loan's verdict, and of the rate.
    pub fuel: (u32, u32),
    /// What verdicts and rate rest on, by feed and age.
    pub inputs: Vec<FeedValue>,
}

/// Period and value of a reading as they stand in the table: None where there was none.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct FeedValue {
    pub feed: u8,
    pub back: u16,
    pub value: Option<(Period, i64)>,
}

/// A row that differs from the one before it.
#[derive(Clone, Copy, Debug)]
pub struct Change<'a> {
    pub before: &'a Row,
    pub row: &'a Row,
}

/// The counterfactual of a calendar year.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Year {
    pub year: i32,
    pub lowest: Rate,
    pub highest: Rate,
    /// Over the year's rows, half to even.
    pub average: Rate,
    /// Periods in which any of the loans was permitted.
    pub permitted: Vec<Period>,
    pub rows: usize,
}

pub fn asks(policy: &Policy) -> Asks {
    let mut asks = Asks::default();
    policy.effective.iter().chain(&policy.denies).for_each(|condition| asks.of_condition(condition));
    for case in &policy.cases {
        asks.of_condition(&case.when);
        asks.of_quantity(&case.rate);
    }
    asks.of_quantity(&policy.otherwise);
    asks
}

impl Asks {
    fn of_condition(&mut self, condition: &Condition) {
        match condition {
            Condition::And(left, right) | Condition::Or(left, right) => {
                self.of_condition(left);
                self.of_condition(right);
            }
            Condition::Not(inner) => self.of_condition(inner),
            Condition::Compare(_, left, right) => {
                self.of_quantity(left);
                self.of_quantity(right);
            }
            Condition::Time { .. } | Condition::Months(_) | Condition::Weekdays(_) => self.dates = true,
            Condition::Sector(_) => self.sector = true,
            Condition::Falls { .. } | Condition::Rises { .. } => {}
        }
    }

    fn of_quantity(&mut self, quantity: &Quantity) {
        match &quantity.kind {
            QuantityKind::LoanRate => self.rate = true,
            QuantityKind::LoanTerm => self.term = true,
            QuantityKind::LoanAge => self.age = true,
            QuantityKind::Add(left, right)
            | QuantityKind::Subtract(left, right)
            | QuantityKind::Min(left, right)
            | QuantityKind::Max(left, right) => {
                self.of_quantity(left);
                self.of_quantity(right);
            }
            QuantityKind::Times(_, inner) | QuantityKind::InBasisPoints(inner) | QuantityKind::InPercent(inner) => {
                self.of_quantity(inner);
            }
            _ => {}
        }
    }
}

/// `frequency` and `periods` are the table's; `progress` is told of rows done and rows in all.
pub fn replay(
    policy: &Policy,
    program: &Program,
    (frequency, periods): (Frequency, &[Period]),
    series: &[Series],
    plan: &Plan,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Replay, Refusal> {
    let asks = asks(policy);
    let loans = plan.loans(asks)?;
    let moves = series.iter().map(|series| series.frequency).chain([frequency]);
    for moved in moves {
        if moved == Frequency::Daily && !plan.years_later.is_multiple_of(400) {
            let cause = "days are moved by 400 years, or not at all: other years have other days";
            return Err(Refusal::new(14, cause, "leave --years-later out, or give 400"));
        }
    }
    let chosen: Vec<Period> = periods
        .iter()
        .copied()
        .filter(|period| plan.from.is_none_or(|from| from <= *period) && plan.to.is_none_or(|to| *period <= to))
        .collect();
    let (Some(first), Some(last)) = (chosen.first(), chosen.last()) else {
        let (first, last) = (periods[0].text(frequency), periods[periods.len() - 1].text(frequency));
        return Err(Refusal::new(12, "no period lies in that span", format!("the table has {first} to {last}")));
    };
    if plan.end(*last, frequency).is_some_and(|day| day > calendar::LAST_DAY.into()) {
        return Err(Refusal::new(14, "the years lead beyond 9999", "move them less far"));
    }
    let begins = chosen.iter().position(|period| plan.published_ms(*period, frequency).is_some());
    let Some(begins) = begins else {
        let (first, last) = (first.text(frequency), last.text(frequency));
        let cause = format!("{first} to {last} end before 1970, when block time begins");
        return Err(Refusal::new(12, cause, "replay them as if they came later: --years-later 400"));
    };
    let before_block_time = begins.checked_sub(1).map(|last| (chosen[0], chosen[last]));

    let rows = chosen.len() - begins;
    let mut known = Known { series, plan, known: vec![0; series.len()] };
    let mut replay = Replay { frequency, loans, asks, rows: Vec::with_capacity(rows), before_block_time };
    for (done, period) in chosen[begins..].iter().enumerate() {
        progress(done, rows);
        let time_ms = plan.published_ms(*period, frequency).expect("periods ascend, and an earlier one has its time");
        known.learn(time_ms);
        let row = replay.row(program, *period, time_ms, &known);
        replay.rows.push(row);
    }
    progress(rows, rows);
    Ok(replay)
}

impl Plan {
    fn loans(&self, asks: Asks) -> Result<Vec<Loan>, Refusal> {
        let nothing = [Loan::default()];
        let loans = if self.loans.is_empty() { &nothing[..] } else { &self.loans };
        for loan in loans {
            let mut wants = Vec::new();
            if asks.sector && loan.sector.is_none() {
                wants.push("its sector: --sector C10");
            }
            if asks.rate && loan.rate.is_none() {
                wants.push("its rate: --rate 4.30%");
            }
            if !wants.is_empty() {
                let cause = "the policy asks about the loan";
                return Err(Refusal::new(13, cause, format!("give {}", wants.join(", and "))));
            }
        }
        let mut kept = Vec::new();
        for loan in loans {
            let loan = Loan {
                sector: loan.sector.filter(|_| asks.sector),
                rate: loan.rate.filter(|_| asks.rate),
                term_days: Some(loan.term_days.unwrap_or(TERM_DAYS)),
            };
            // Loans that differ only in what nobody asks are one.
            if !kept.contains(&loan) {
                kept.push(loan);
            }
        }
        Ok(kept)
    }

    fn moved(&self, period: Period, frequency: Frequency) -> Period {
        let years = i32::from(self.years_later);
        Period(period.0.saturating_add(match frequency {
            Frequency::Daily => years / 400 * 146_097,
            Frequency::Monthly => years * 12,
            Frequency::Quarterly => years * 4,
            Frequency::Yearly => years,
        }))
    }

    /// First day after the moved period and its lag, since 1970-01-01; None before that day.
    fn end(&self, period: Period, frequency: Frequency) -> Option<i64> {
        let day = end_day(self.moved(period, frequency), frequency) + i64::from(self.lag_days);
        (day >= 0).then_some(day)
    }

    fn published_ms(&self, period: Period, frequency: Frequency) -> Option<u64> {
        self.end(period, frequency).and_then(|day| u64::try_from(day).ok()).map(|day| day * MS_PER_DAY)
    }
}

/// First day after the period, since 1970-01-01, of any year.
fn end_day(period: Period, frequency: Frequency) -> i64 {
    let next = i64::from(period.0) + 1;
    let month =
        |count: i64| calendar::days(count.div_euclid(12), u32::try_from(count.rem_euclid(12)).expect("0 to 11") + 1, 1);
    match frequency {
        Frequency::Daily => next,
        Frequency::Monthly => month(next),
        Frequency::Quarterly => month(next * 3),
        Frequency::Yearly => month(next * 12),
    }
}

/// What was published by a row's time.
struct Known<'a> {
    series: &'a [Series],
    plan: &'a Plan,
    /// Values of each series, from its first.
    known: Vec<usize>,
}

impl Known<'_> {
    fn learn(&mut self, time_ms: u64) {
        for (series, known) in self.series.iter().zip(&mut self.known) {
            let is_known = |period| self.plan.published_ms(period, series.frequency).is_none_or(|at| at <= time_ms);
            while series.values.get(*known).is_some_and(|(period, _)| is_known(*period)) {
                *known += 1;
            }
        }
    }

    fn value(&self, feed: usize, back: u16) -> Option<(Period, i64)> {
        let at = self.known[feed].checked_sub(usize::from(back) + 1)?;
        Some(self.series[feed].values[at])
    }
}

impl Readings for Known<'_> {
    fn reading(&self, feed: usize, back: u16) -> Option<Reading> {
        let (period, value) = self.value(feed, back)?;
        let frequency = self.series[feed].frequency;
        Some(Reading {
            period: self.plan.moved(period, frequency),
            vintage: 1,
            value,
            published_ms: self.plan.published_ms(period, frequency).unwrap_or(0),
            // A table does not say until when a publisher answers for a value: the feed's maximum age does.
            valid_until_ms: u64::MAX,
        })
    }
}

impl Replay {
    fn row(&self, program: &Program, period: Period, time_ms: u64, known: &Known<'_>) -> Row {
        let mut inputs = Vec::new();
        let mut rests_on = |read: &[contracts_vm::InputUsed]| {
            inputs.extend(read.iter().map(|input| FeedValue {
                feed: input.feed,
                back: input.back,
                value: known.value(input.feed.into(), input.back),
            }));
        };
        let mut verdicts = Vec::with_capacity(self.loans.len());
        let mut fuel_activate = 0;
        for loan in &self.loans {
            let evaluation: Evaluation<Verdict> = program.activate(&loan.at(time_ms), known);
            rests_on(&evaluation.inputs);
            fuel_activate = fuel_activate.max(evaluation.fuel);
            verdicts.push(evaluation.value);
        }
        let held_ms = u64::from(self.loans[0].term_days.unwrap_or(TERM_DAYS)) * MS_PER_DAY;
        let due = Return { activated_ms: time_ms.saturating_sub(held_ms), time_ms };
        let rate = program.return_rate(&due, known);
        rests_on(&rate.inputs);
        inputs.sort_unstable();
        inputs.dedup();
        let known_from = end_day(period, self.frequency) + i64::from(known.plan.lag_days);
        let known_from = Date(i32::try_from(known_from).expect("a day of the years 1 to 9999"));
        Row { period, known_from, verdicts, rate: rate.value, fuel: (fuel_activate, rate.fuel), inputs }
    }

    /// Rows that differ from the one before in any verdict or in the rate.
    pub fn changes(&self) -> Vec<Change<'_>> {
        let pairs = self.rows.windows(2).map(|pair| Change { before: &pair[0], row: &pair[1] });
        pairs.filter(|Change { before, row }| before.rate != row.rate || before.verdicts != row.verdicts).collect()
    }

    /// Periods in which the loan is permitted, by its place among the loans.
    pub fn permitted(&self, loan: usize) -> Vec<Period> {
        let permits = |row: &&Row| matches!(row.verdicts[loan], Verdict::Permit { .. });
        self.rows.iter().filter(permits).map(|row| row.period).collect()
    }

    /// Calendar years of the rows, ascending.
    pub fn years(&self) -> Vec<Year> {
        let mut years: Vec<Year> = Vec::new();
        for rows in self.rows.chunk_by(|a, b| self.year_of(a.period) == self.year_of(b.period)) {
            let rates = || rows.iter().map(|row| row.rate);
            let sum: i128 = rates().map(|rate| i128::from(rate.0)).sum();
            let count = i128::try_from(rows.len()).expect("rows of a year");
            let average = i64::try_from(divide_half_even(sum, count)).expect("it lies between them");
            let permits = |row: &&Row| row.verdicts.iter().any(|verdict| matches!(verdict, Verdict::Permit { .. }));
            years.push(Year {
                year: self.year_of(rows[0].period),
                lowest: rates().min().expect("a year has rows"),
                highest: rates().max().expect("a year has rows"),
                average: Rate(average),
                permitted: rows.iter().filter(permits).map(|row| row.period).collect(),
                rows: rows.len(),
            });
        }
        years
    }

    pub fn year_of(&self, period: Period) -> i32 {
        match self.frequency {
            Frequency::Daily => i32::try_from(calendar::civil(period.0.into()).0).expect("of the years 1 to 9999"),
            Frequency::Monthly => period.0.div_euclid(12),
            Frequency::Quarterly => period.0.div_euclid(4),
            Frequency::Yearly => period.0,
        }
    }
}

impl Loan {
    /// What nobody asks about is anything that is well formed.
    fn at(&self, time_ms: u64) -> Activation {
        Activation {
            time_ms,
            sector: self.sector.unwrap_or(SectorCode::at(0)),
            loan_rate: self.rate.unwrap_or(0),
            term_days: self.term_days.unwrap_or(TERM_DAYS),
        }
    }
}

/// Years that an economist asks about first: of the oil shocks, the Volcker tightening and the financial crisis those that
/// the replay has; if none, the three in which most changed.
pub fn crisis_years(replay: &Replay) -> Vec<i32> {
    let years = replay.years();
    let has = |year: &i32| years.iter().any(|found| found.year == *year);
    let crises: Vec<i32> = [1974, 1980, 2008].into_iter().filter(has).collect();
    if !crises.is_empty() {
        return crises;
    }
    let changes = replay.changes();
    let changed = |year: i32| changes.iter().filter(|change| replay.year_of(change.row.period) == year).count();
    let mut most: Vec<(usize, i32)> = years.iter().map(|year| (changed(year.year), year.year)).collect();
    most.sort_unstable_by_key(|(changes, year)| (std::cmp::Reverse(*changes), *year));
    let mut most: Vec<i32> = most.into_iter().take(3).map(|(_, year)| year).collect();
    most.sort_unstable();
    most
}

/// A period of the table's frequency as somebody wrote it: of a coarser one its first, or its last at the end of a span.
pub fn period_at(text: &str, frequency: Frequency, is_end: bool) -> Result<Period, Refusal> {
    let found = parse_period(text).filter(|(written, _)| *written as u8 >= frequency as u8);
    let Some((written, period)) = found else {
        let cause = format!("\"{text}\" is no {} and nothing coarser", frequency.period_word());
        return Err(Refusal::new(4, cause, "write 1974, 1974Q4, 1974-12 or 1974-12-31, as the table's rows are"));
    };
    let (first, last) = crate::table::within(period, written, frequency);
    Ok(if is_end { last } else { first })
}
