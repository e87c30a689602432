//! Whether a run of instructions is a program: LANGUAGE.md, V. What has passed here runs to an end within its fuel, on
//! a stack that is never too small, and never meets a number of another unit than it takes.

use crate::instruction::{Effect, Instruction, Op, Stands};
use crate::program::{Parts, ProgramError};
use crate::unit::{RATE_MAX, Unit, WhenStale};
use crate::{FEEDS_MAX, FUEL_MAX};

/// Eight levels of brackets hold at most four operands each, and the innermost expression as many.
pub(crate) const STACK_MAX: usize = 64;

pub(crate) fn refused(rule: u8, cause: impl Into<String>) -> ProgramError {
    ProgramError { rule, cause: cause.into() }
}

/// The most fuel that either run can take.
pub(crate) fn verify(parts: &Parts) -> Result<u32, ProgramError> {
    header(parts)?;
    feeds(parts)?;
    let activation = run(parts, &parts.activation, Stands::InActivation)?;
    let return_rate = run(parts, &parts.return_rate, Stands::InReturn)?;
    let fuel = activation.max(return_rate);
    // V-8
    if fuel > FUEL_MAX {
        return Err(refused(8, format!("it may take {fuel} fuel, {FUEL_MAX} is the most")));
    }
    Ok(fuel)
}

/// V-2.
fn header(parts: &Parts) -> Result<(), ProgramError> {
    let is_name = (1..=32).contains(&parts.name.len())
        && parts.name.bytes().all(|c| matches!(c, b'a'..=b'z' | b'0'..=b'9' | b'-'));
    let bounds = [parts.lower, parts.upper];
    let is_clamp = parts.step > 0
        && parts.step <= RATE_MAX
        && parts.lower <= parts.upper
        && bounds.iter().all(|bound| (-RATE_MAX..=RATE_MAX).contains(bound) && bound % parts.step == 0);
    if !is_name || parts.version == 0 || parts.idle_days == 0 || !is_clamp {
        return Err(refused(2, "its name, version, idle days, clamp or step is none"));
    }
    Ok(())
}

/// V-3: a feed is declared as it is read, no further back.
fn feeds(parts: &Parts) -> Result<(), ProgramError> {
    if parts.feeds.len() > FEEDS_MAX {
        return Err(refused(3, format!("it has more than {FEEDS_MAX} feeds")));
    }
    for (at, feed) in parts.feeds.iter().enumerate() {
        let read = parts.activation.iter().chain(&parts.return_rate).filter_map(Instruction::periods);
        let periods = read.filter(|(feed, _)| usize::from(*feed) == at).map(|(_, periods)| periods).max();
        let has_fallback_in_range = match feed.when_stale {
            WhenStale::Deny => true,
            WhenStale::Fallback(value) => {
                let finest = if feed.unit == Unit::Rate { 10_i64.pow(4 - u32::from(feed.scale)) } else { 1 };
                let most = feed.unit.constant_max() / finest;
                (-most..=most).contains(&value)
            }
        };
        if periods != Some(feed.periods) || feed.max_age_days == 0 || !has_fallback_in_range {
            return Err(refused(3, format!("feed {at} is not declared as it is read")));
        }
    }
    Ok(())
}

/// V-5 to V-7: types in one pass, for jumps lead forward and only from an empty stack to an empty stack.
fn run(parts: &Parts, code: &[Instruction], stands: Stands) -> Result<u32, ProgramError> {
    let mut stack: Vec<Unit> = Vec::new();
    let mut targets: Vec<i64> = Vec::new();
    // False behind an end, until a jump leads there.
    let mut is_reached = true;
    for (at, instruction) in code.iter().enumerate() {
        let row = instruction.op.row();
        let wrong = |rule, cause: &str| Err(refused(rule, format!("{stands:?} {at}, {}: {cause}", row.mnemonic)));
        if targets.contains(&(at as i64)) {
            is_reached = true;
        }
        if !is_reached {
            return wrong(6, "nothing leads here");
        }
        if row.stands != Stands::Anywhere && row.stands != stands {
            return wrong(7, "it does not belong here");
        }
        let feed = match instruction.periods() {
            None => None,
            Some((feed, _)) => match parts.feeds.get(usize::from(feed)) {
                Some(feed) => Some(feed.unit),
                None => return wrong(3, "there is no such feed"),
            },
        };
        let mut pop = || stack.pop();
        let pushed = match row.effect {
            Effect::Constant => Some(instruction.unit),
            Effect::GivesRate => Some(Unit::Rate),
            Effect::GivesDays => Some(Unit::Days),
            Effect::GivesTruth => Some(Unit::Truth),
            Effect::GivesFeed => feed,
            Effect::GivesDifference => feed.and_then(|unit| unit.difference(unit)),
            Effect::GivesGrowth => match feed {
                Some(Unit::Rate) | None => return wrong(5, "a rate has no growth"),
                Some(_) => Some(Unit::Rate),
            },
            Effect::Sum | Effect::Difference => {
                let (Some(right), Some(left)) = (pop(), pop()) else { return wrong(5, "the stack is empty") };
                let unit = if row.effect == Effect::Sum { left.sum(right) } else { left.difference(right) };
                if unit.is_none() {
                    return wrong(5, "the units do not mix");
                }
                unit
            }
            Effect::KeepsUnit => match pop() {
                Some(Unit::Truth) | None => return wrong(5, "it takes a quantity"),
                unit => unit,
            },
            Effect::TwoOfOneUnit | Effect::Compares => match (pop(), pop()) {
                (Some(right), Some(left)) if left == right && left != Unit::Truth => {
                    Some(if row.effect == Effect::Compares { Unit::Truth } else { left })
                }
                _ => return wrong(5, "it takes two quantities of one unit"),
            },
            Effect::RateToSpread => match pop() {
                Some(Unit::Rate) => Some(Unit::Spread),
                _ => return wrong(5, "it takes a rate"),
            },
            Effect::SpreadToRate => match pop() {
                Some(Unit::Spread) => Some(Unit::Rate),
                _ => return wrong(5, "it takes a spread"),
            },
            Effect::Joins => match (pop(), pop()) {
                (Some(Unit::Truth), Some(Unit::Truth)) => Some(Unit::Truth),
                _ => return wrong(5, "it takes two truths"),
            },
            Effect::Negates => match pop() {
                Some(Unit::Truth) => Some(Unit::Truth),
                _ => return wrong(5, "it takes a truth"),
            },
            Effect::Tests | Effect::Skips => match (pop(), pop()) {
                (Some(Unit::Truth), None) => None,
                _ => return wrong(5, "it takes a truth from a stack of nothing else"),
            },
            Effect::Pays => match (pop(), pop()) {
                (Some(Unit::Rate), None) => None,
                _ => return wrong(5, "it takes a rate from a stack of nothing else"),
            },
            Effect::Ends => match pop() {
                None => None,
                Some(_) => return wrong(5, "something is left on the stack"),
            },
        };
        stack.extend(pushed);
        if stack.len() > STACK_MAX {
            return wrong(5, "the stack is too deep");
        }
        match instruction.op {
            Op::SkipUnless => {
                // V-6
                if instruction.a <= at as i64 || instruction.a >= code.len() as i64 {
                    return wrong(6, "it does not lead forward to an instruction");
                }
                targets.push(instruction.a);
            }
            Op::Permit | Op::Pay => is_reached = false,
            _ => {}
        }
        // A target in the middle of an expression would meet another stack.
        if targets.contains(&(at as i64 + 1)) && !stack.is_empty() {
            return wrong(6, "a jump leads behind it, with something left on the stack");
        }
    }
    if is_reached {
        return Err(refused(6, format!("{stands:?} does not end")));
    }
    let tried = crate::look_back::tried(code, &parts.feeds);
    Ok(worst(code) + tried.iter().map(|instruction| instruction.fuel() - 1).sum::<u32>())
}

/// V-8: the dearest way through, from the end backwards.
fn worst(code: &[Instruction]) -> u32 {
    let mut from = vec![0_u32; code.len() + 1];
    for (at, instruction) in code.iter().enumerate().rev() {
        let rest = match instruction.op {
            Op::Permit | Op::Pay => 0,
            Op::SkipUnless => from[at + 1].max(from[instruction.a as usize]),
            _ => from[at + 1],
        };
        from[at] = instruction.fuel() + rest;
    }
    from[0]
}
