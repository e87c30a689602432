//! From a checked policy to instructions: LANGUAGE.md, E. Operands first, left before right; no branch inside a
//! condition, so that what is read, and the fuel, depend on no value but those that end a line.

use crate::instruction::{Instruction, Op};
use crate::policy::{Comparison, Condition, Policy, Quantity, QuantityKind};
use crate::reading::DenyReason;

/// E-1: what denies comes first, then what must hold, in the order of the lines; at the end stands permit.
pub(crate) fn activation(policy: &Policy) -> Vec<Instruction> {
    let mut code = Vec::new();
    for (line, condition) in (1..).zip(&policy.denies) {
        push_condition(condition, &mut code);
        code.push(test(Op::DenyIf, DenyReason::Explicit { line }));
    }
    for (line, condition) in (1..).zip(&policy.effective) {
        // A window has two ways not to hold, and a receipt says which.
        if let Condition::Time { from, until } = condition {
            if let Some(from) = from {
                code.push(Instruction::with(Op::TimeFrom, from.0.into(), 0));
                code.push(test(Op::DenyUnless, DenyReason::NotYet { line }));
            }
            if let Some(until) = until {
                code.push(Instruction::with(Op::TimeUntil, until.0.into(), 0));
                code.push(test(Op::DenyUnless, DenyReason::WindowOver { line }));
            }
            continue;
        }
        push_condition(condition, &mut code);
        code.push(test(Op::DenyUnless, reason(condition, line)));
    }
    code.push(Instruction::new(Op::Permit));
    code
}

/// E-2: the first case that holds pays.
pub(crate) fn return_rate(policy: &Policy) -> Vec<Instruction> {
    let mut code = Vec::new();
    for case in &policy.cases {
        push_condition(&case.when, &mut code);
        let skip = code.len();
        code.push(Instruction::new(Op::SkipUnless));
        push_quantity(&case.rate, &mut code);
        code.push(Instruction::new(Op::Pay));
        code[skip].a = code.len() as i64;
    }
    push_quantity(&policy.otherwise, &mut code);
    code.push(Instruction::new(Op::Pay));
    code
}

fn test(op: Op, reason: DenyReason) -> Instruction {
    Instruction::with(op, reason.number().into(), reason.detail().into())
}

/// What a line asks about, bit by bit.
#[derive(Clone, Copy, PartialEq, Eq)]
struct About(u8);

impl About {
    const NOTHING: Self = Self(0);
    const TIME: Self = Self(1);
    const CALENDAR: Self = Self(2);
    const SECTOR: Self = Self(4);
    const LOAN_RATE: Self = Self(8);
    const LOAN_TERM: Self = Self(16);
    const FEED: Self = Self(32);

    fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// E-3: the reason that a line's failure gives.
pub(crate) fn reason(condition: &Condition, line: u8) -> DenyReason {
    let about = about(condition);
    let without_feeds = About(about.0 & !About::FEED.0);
    match (about, without_feeds) {
        (About::CALENDAR, _) => DenyReason::Calendar { line },
        (About::SECTOR, _) => DenyReason::Sector { line },
        // A bound that moves with a feed is still a bound on the loan's rate or term.
        (_, About::LOAN_RATE) => DenyReason::LoanRate { line },
        (_, About::LOAN_TERM) => DenyReason::LoanTerm { line },
        (About::FEED, _) => DenyReason::State { line },
        _ => DenyReason::Condition { line },
    }
}

fn about(condition: &Condition) -> About {
    match condition {
        Condition::And(left, right) | Condition::Or(left, right) => about(left).and(about(right)),
        Condition::Not(inner) => about(inner),
        Condition::Compare(_, left, right) => about_quantity(left).and(about_quantity(right)),
        Condition::Time { .. } => About::TIME,
        Condition::Months(_) | Condition::Weekdays(_) => About::CALENDAR,
        Condition::Sector(_) => About::SECTOR,
        Condition::Falls { .. } | Condition::Rises { .. } => About::FEED,
    }
}

fn about_quantity(quantity: &Quantity) -> About {
    match &quantity.kind {
        QuantityKind::Constant(_) | QuantityKind::Months(_) | QuantityKind::LoanAge => About::NOTHING,
        QuantityKind::LoanRate => About::LOAN_RATE,
        QuantityKind::LoanTerm => About::LOAN_TERM,
        QuantityKind::Add(left, right)
        | QuantityKind::Subtract(left, right)
        | QuantityKind::Min(left, right)
        | QuantityKind::Max(left, right) => about_quantity(left).and(about_quantity(right)),
        QuantityKind::Times(_, inner) | QuantityKind::InBasisPoints(inner) | QuantityKind::InPercent(inner) => {
            about_quantity(inner)
        }
        _ => About::FEED,
    }
}

fn push_condition(condition: &Condition, code: &mut Vec<Instruction>) {
    match condition {
        // E-7: both sides, left first.
        Condition::And(left, right) | Condition::Or(left, right) => {
            push_condition(left, code);
            push_condition(right, code);
            let op = if matches!(condition, Condition::And(..)) { Op::And } else { Op::Or };
            code.push(Instruction::new(op));
        }
        Condition::Not(inner) => {
            push_condition(inner, code);
            code.push(Instruction::new(Op::Not));
        }
        Condition::Compare(comparison, left, right) => {
            push_quantity(left, code);
            push_quantity(right, code);
            code.push(Instruction::new(match comparison {
                Comparison::Less => Op::Less,
                Comparison::AtMost => Op::AtMost,
                Comparison::Equal => Op::Equal,
                Comparison::AtLeast => Op::AtLeast,
                Comparison::Greater => Op::Greater,
            }));
        }
        Condition::Time { from, until } => {
            let (from, until) = (from.map(|from| (Op::TimeFrom, from)), until.map(|until| (Op::TimeUntil, until)));
            let has_both = from.is_some() && until.is_some();
            for (op, day) in from.into_iter().chain(until) {
                code.push(Instruction::with(op, day.0.into(), 0));
            }
            if has_both {
                code.push(Instruction::new(Op::And));
            }
        }
        Condition::Months(months) => code.push(Instruction::with(Op::MonthIn, (*months).into(), 0)),
        Condition::Weekdays(weekdays) => code.push(Instruction::with(Op::WeekdayIn, (*weekdays).into(), 0)),
        Condition::Sector(sectors) => {
            code.push(Instruction { sectors: *sectors, ..Instruction::new(Op::SectorIn) });
        }
        Condition::Falls { feed, periods } => {
            code.push(Instruction::with(Op::Falls, (*feed).into(), (*periods).into()));
        }
        Condition::Rises { feed, periods } => {
            code.push(Instruction::with(Op::Rises, (*feed).into(), (*periods).into()));
        }
    }
}

fn push_quantity(quantity: &Quantity, code: &mut Vec<Instruction>) {
    let mut two = |op, left: &Quantity, right: &Quantity| {
        push_quantity(left, code);
        push_quantity(right, code);
        Instruction::new(op)
    };
    let instruction = match &quantity.kind {
        QuantityKind::Constant(value) => Instruction { unit: quantity.unit, ..Instruction::with(Op::Push, *value, 0) },
        QuantityKind::LoanRate => Instruction::new(Op::LoanRate),
        QuantityKind::LoanTerm => Instruction::new(Op::LoanTerm),
        QuantityKind::LoanAge => Instruction::new(Op::LoanAge),
        QuantityKind::Months(months) => Instruction::with(Op::Months, (*months).into(), 0),
        QuantityKind::Level { feed, back } => Instruction::with(Op::Level, (*feed).into(), (*back).into()),
        QuantityKind::Average { feed, periods } => Instruction::with(Op::Average, (*feed).into(), (*periods).into()),
        QuantityKind::Highest { feed, periods } => Instruction::with(Op::Highest, (*feed).into(), (*periods).into()),
        QuantityKind::Lowest { feed, periods } => Instruction::with(Op::Lowest, (*feed).into(), (*periods).into()),
        QuantityKind::Change { feed, periods } => Instruction::with(Op::Change, (*feed).into(), (*periods).into()),
        QuantityKind::Growth { feed, periods } => Instruction::with(Op::Growth, (*feed).into(), (*periods).into()),
        QuantityKind::Add(left, right) => two(Op::Add, left, right),
        QuantityKind::Subtract(left, right) => two(Op::Subtract, left, right),
        QuantityKind::Min(left, right) => two(Op::Min, left, right),
        QuantityKind::Max(left, right) => two(Op::Max, left, right),
        QuantityKind::Times(factor, inner) => {
            push_quantity(inner, code);
            Instruction::with(Op::Times, *factor, 0)
        }
        QuantityKind::InBasisPoints(inner) => {
            push_quantity(inner, code);
            Instruction::new(Op::InBp)
        }
        QuantityKind::InPercent(inner) => {
            push_quantity(inner, code);
            Instruction::new(Op::InPercent)
        }
    };
    code.push(instruction);
}
