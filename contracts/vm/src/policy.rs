//! A policy that has been checked: every quantity has its unit, every number its scale. [`crate::check`] alone makes
//! one; what is here can be read by everybody, so that an outsider may explain, draw or evaluate it anew.

use crate::calendar::{Date, Frequency};
use crate::sector::SectorSet;
use crate::unit::{Currency, SeriesName, Unit, Vintage, WhenStale};

#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Policy {
    /// 1 to 32 of `a-z 0-9 -`.
    pub name: String,
    pub version: u32,
    pub currency: Currency,
    pub feeds: Vec<Feed>,
    /// All of them must hold.
    pub effective: Vec<Condition>,
    /// None of them may hold.
    pub denies: Vec<Condition>,
    /// After the issue. Money that has not been lent by then goes back.
    pub idle_days: u16,
    /// After the end of the loan's term.
    pub due_days: u16,
    /// The first whose condition holds gives the rate.
    pub cases: Vec<Case>,
    pub otherwise: Quantity,
    /// Multiples of `step`, as `upper` is.
    pub lower: i64,
    pub upper: i64,
    /// In hundredths of a basis point, above 0.
    pub step: i64,
}

#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Feed {
    /// How the policy calls it.
    pub name: String,
    pub series: SeriesName,
    pub frequency: Frequency,
    pub unit: Unit,
    /// Decimals of its readings.
    pub scale: u8,
    pub cycle: Cycle,
    pub max_age_days: u16,
    pub vintage: Vintage,
    pub when_stale: WhenStale,
}

/// How a series moves with the economy. Nothing that runs depends on it: the analysis asks whether a policy leans
/// against the cycle or with it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cycle {
    /// Up in a boom, as output: what an index or an amount of money is taken for.
    Procyclical,
    /// Up in a slump, as unemployment.
    Countercyclical,
    /// Neither: what a percent series is taken for.
    Acyclical,
}

#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Case {
    pub when: Condition,
    pub rate: Quantity,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Comparison {
    Less,
    AtMost,
    Equal,
    AtLeast,
    Greater,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Condition {
    And(Box<Condition>, Box<Condition>),
    Or(Box<Condition>, Box<Condition>),
    Not(Box<Condition>),
    /// Both sides have one unit.
    Compare(Comparison, Quantity, Quantity),
    /// From the first instant of a day to before the first instant of another; at least one of them.
    Time {
        from: Option<Date>,
        until: Option<Date>,
    },
    /// Bit 0 is January.
    Months(u16),
    /// Bit 0 is Monday.
    Weekdays(u8),
    Sector(SectorSet),
    /// The newest so many changes of the feed are all falls.
    Falls {
        feed: u8,
        periods: u16,
    },
    Rises {
        feed: u8,
        periods: u16,
    },
}

#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Quantity {
    pub unit: Unit,
    pub kind: QuantityKind,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum QuantityKind {
    /// In the unit's own scale.
    Constant(i64),
    LoanRate,
    LoanTerm,
    /// Days since the activation, on return.
    LoanAge,
    /// Days from the activation to the same day so many months ahead.
    Months(u16),
    /// A feed's value so many periods ago; 0 is the newest.
    Level {
        feed: u8,
        back: u16,
    },
    /// Over the newest so many periods.
    Average {
        feed: u8,
        periods: u16,
    },
    Highest {
        feed: u8,
        periods: u16,
    },
    Lowest {
        feed: u8,
        periods: u16,
    },
    /// Newest value less the value so many periods ago.
    Change {
        feed: u8,
        periods: u16,
    },
    /// The same in percent of the older value.
    Growth {
        feed: u8,
        periods: u16,
    },
    Add(Box<Quantity>, Box<Quantity>),
    Subtract(Box<Quantity>, Box<Quantity>),
    /// By a factor of six decimals, half to even.
    Times(i64, Box<Quantity>),
    Min(Box<Quantity>, Box<Quantity>),
    Max(Box<Quantity>, Box<Quantity>),
    /// A rate as its distance from zero.
    InBasisPoints(Box<Quantity>),
    /// A spread as the rate that lies so far above zero.
    InPercent(Box<Quantity>),
}

/// Language of an explanation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Language {
    English,
    Chinese,
}
