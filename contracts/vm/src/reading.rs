//! What a program is given, and what it gives back. Nothing is fetched while it runs (LANGUAGE.md, R-1).

use crate::calendar::Period;
use crate::sector::SectorCode;
use crate::unit::{PERCENT_DECIMALS, decimal};
use std::fmt;

/// One value of a series, of the vintage that the feed asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reading {
    pub period: Period,
    pub vintage: u32,
    /// At the scale that the feed declares.
    pub value: i64,
    pub published_ms: u64,
    pub valid_until_ms: u64,
}

/// The feeds as the ledger stands. Asked twice for the same reading, it answers the same.
pub trait Readings {
    /// `feed` counts the program's feeds; `back` 0 is the newest period known at the evaluation, 1 the one before.
    /// The vintage is the one that the feed's rule asks for.
    fn reading(&self, feed: usize, back: u16) -> Option<Reading>;
}

/// The context of a loan, in the clear.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Activation {
    /// The block's time.
    pub time_ms: u64,
    pub sector: SectorCode,
    /// Hundredths of a basis point: 43 000 is 4.30 %.
    pub loan_rate: i64,
    pub term_days: u16,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Return {
    pub activated_ms: u64,
    /// The block's time.
    pub time_ms: u64,
}

/// A value, what it cost and every reading that it rests on, in the order in which they were first asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Evaluation<T> {
    pub value: T,
    pub fuel: u32,
    pub inputs: Vec<InputUsed>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct InputUsed {
    pub feed: u8,
    pub back: u16,
    /// None if there was none.
    pub reading: Option<Reading>,
}

/// A yearly rate in hundredths of a basis point.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Rate(pub i64);

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} %", decimal(self.0, PERCENT_DECIMALS, 2))
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// The loan's obligation falls due so many days after the activation.
    Permit {
        due_days: u32,
    },
    Deny {
        reason: DenyReason,
    },
}

/// Why a loan gets no money. `line` counts the lines of `effective when`, or of `deny when`, from 1.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DenyReason {
    NotYet {
        line: u8,
    },
    WindowOver {
        line: u8,
    },
    /// Wrong month or day of the week.
    Calendar {
        line: u8,
    },
    /// Not of the policy's sectors; line 0: no code of the list.
    Sector {
        line: u8,
    },
    LoanRate {
        line: u8,
    },
    LoanTerm {
        line: u8,
    },
    /// The economy is not in the state that the line asks for.
    State {
        line: u8,
    },
    /// A line that asks for several of these at once.
    Condition {
        line: u8,
    },
    /// A line of `deny when` holds.
    Explicit {
        line: u8,
    },
    FeedStale {
        feed: u8,
    },
    /// A number left its range.
    Uncomputable,
}

impl DenyReason {
    /// Part of the protocol: stands in receipts.
    pub fn number(self) -> u8 {
        match self {
            Self::NotYet { .. } => 1,
            Self::WindowOver { .. } => 2,
            Self::Calendar { .. } => 3,
            Self::Sector { .. } => 4,
            Self::LoanRate { .. } => 5,
            Self::LoanTerm { .. } => 6,
            Self::State { .. } => 7,
            Self::Condition { .. } => 8,
            Self::Explicit { .. } => 9,
            Self::FeedStale { .. } => 10,
            Self::Uncomputable => 11,
        }
    }

    /// The line, or for [`Self::FeedStale`] the feed, or 0.
    pub fn detail(self) -> u8 {
        match self {
            Self::NotYet { line }
            | Self::WindowOver { line }
            | Self::Calendar { line }
            | Self::Sector { line }
            | Self::LoanRate { line }
            | Self::LoanTerm { line }
            | Self::State { line }
            | Self::Condition { line }
            | Self::Explicit { line } => line,
            Self::FeedStale { feed } => feed,
            Self::Uncomputable => 0,
        }
    }

    pub fn from_parts(number: u8, detail: u8) -> Option<Self> {
        let line = detail;
        Some(match number {
            1 => Self::NotYet { line },
            2 => Self::WindowOver { line },
            3 => Self::Calendar { line },
            4 => Self::Sector { line },
            5 => Self::LoanRate { line },
            6 => Self::LoanTerm { line },
            7 => Self::State { line },
            8 => Self::Condition { line },
            9 => Self::Explicit { line },
            10 => Self::FeedStale { feed: detail },
            11 if detail == 0 => Self::Uncomputable,
            _ => return None,
        })
    }
}

impl fmt::Display for DenyReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotYet { line } => write!(f, "not yet: the window of line {line} has not begun"),
            Self::WindowOver { line } => write!(f, "over: the window of line {line} has ended"),
            Self::Calendar { line } => write!(f, "not in this month or on this day: line {line}"),
            Self::Sector { line: 0 } => f.write_str("the loan's sector is no code of the list"),
            Self::Sector { line } => write!(f, "not for this sector: line {line}"),
            Self::LoanRate { line } => write!(f, "not at this loan rate: line {line}"),
            Self::LoanTerm { line } => write!(f, "not for this term: line {line}"),
            Self::State { line } => write!(f, "not in this state of the economy: line {line}"),
            Self::Condition { line } => write!(f, "condition not met: line {line}"),
            Self::Explicit { line } => write!(f, "denied by line {line} of deny when"),
            Self::FeedStale { feed } => write!(f, "feed {feed} has no value that is new enough"),
            Self::Uncomputable => f.write_str("cannot be computed: a number left its range"),
        }
    }
}
