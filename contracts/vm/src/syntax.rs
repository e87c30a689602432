//! What a source text consists of, before anybody asks what it means: LANGUAGE.md, G. Keywords are reserved, so that a line's first
//! words say what it is.

use crate::calendar::{Date, Frequency};
use crate::diagnostic::Span;
use crate::policy::{Comparison, Cycle};
use crate::unit::Vintage;

#[derive(Default)]
pub(crate) struct Source {
    pub policy: Option<(String, Span, i64, Span)>,
    pub currency: Option<(String, Span)>,
    pub feeds: Vec<FeedLine>,
    pub effective: Option<Section<Expression>>,
    pub denies: Option<Section<Expression>>,
    pub idle: Option<Literal>,
    pub due: Option<Literal>,
    pub rates: Option<Section<(Expression, Expression)>>,
    pub otherwise: Option<Expression>,
    pub clamp: Option<Clamp>,
}

pub(crate) struct Section<T> {
    pub heading: Span,
    pub lines: Vec<T>,
}

pub(crate) struct Clamp {
    pub place: Span,
    pub lower: Literal,
    pub upper: Literal,
    pub step: Literal,
}

pub(crate) struct FeedLine {
    pub place: Span,
    pub name: String,
    pub name_place: Span,
    pub series: String,
    pub series_place: Span,
    pub frequency: Frequency,
    pub unit: FeedUnit,
    pub scale: i64,
    pub scale_place: Span,
    pub cycle: Option<Cycle>,
    pub max_age: Literal,
    pub vintage: Vintage,
    /// None is deny.
    pub fallback: Option<Literal>,
}

pub(crate) enum FeedUnit {
    Percent,
    Index,
    Money(String, Span),
}

/// A number with its unit.
#[derive(Clone)]
pub(crate) struct Literal {
    pub digits: i64,
    pub decimals: u8,
    pub unit: UnitWord,
    pub place: Span,
}

#[derive(Clone, PartialEq, Eq)]
pub(crate) enum UnitWord {
    None,
    Percent,
    BasisPoints,
    Points,
    Days,
    Weeks,
    Months,
    Quarters,
    Years,
    Money(String),
}

pub(crate) struct Expression {
    pub place: Span,
    pub kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Over {
    Average,
    Highest,
    Lowest,
    Change,
    Growth,
}

/// First and last code, as written.
pub(crate) type SectorRun = ((String, Span), (String, Span));

pub(crate) enum Kind {
    Or(Box<Expression>, Box<Expression>),
    And(Box<Expression>, Box<Expression>),
    Not(Box<Expression>),
    Compare(Comparison, Box<Expression>, Box<Expression>),
    Add(Box<Expression>, Box<Expression>),
    Subtract(Box<Expression>, Box<Expression>),
    Multiply(Box<Expression>, Box<Expression>),
    Min(Box<Expression>, Box<Expression>),
    Max(Box<Expression>, Box<Expression>),
    InBasisPoints(Box<Expression>),
    InPercent(Box<Expression>),
    Literal(Literal),
    LoanRate,
    LoanTerm,
    LoanAge,
    Feed {
        name: String,
        name_place: Span,
        back: Option<Literal>,
    },
    Over {
        over: Over,
        name: String,
        name_place: Span,
        periods: Literal,
    },
    Falls {
        name: String,
        name_place: Span,
        periods: Literal,
    },
    Rises {
        name: String,
        name_place: Span,
        periods: Literal,
    },
    Time {
        from: Option<Date>,
        until: Option<Date>,
    },
    Months(u16),
    Weekdays(u8),
    /// As written: first and last of each run, and whether they are meant to be outside.
    Sectors {
        outside: bool,
        runs: Vec<SectorRun>,
    },
}

const KEYWORDS: [&str; 76] = [
    "policy",
    "version",
    "currency",
    "feed",
    "daily",
    "monthly",
    "quarterly",
    "yearly",
    "percent",
    "index",
    "money",
    "scale",
    "procyclical",
    "countercyclical",
    "acyclical",
    "at",
    "most",
    "least",
    "old",
    "first",
    "latest",
    "vintage",
    "when",
    "stale",
    "deny",
    "use",
    "effective",
    "time",
    "from",
    "until",
    "through",
    "in",
    "month",
    "weekday",
    "sector",
    "not",
    "and",
    "or",
    "loan",
    "rate",
    "term",
    "age",
    "falls",
    "rises",
    "a",
    "row",
    "growth",
    "change",
    "average",
    "highest",
    "lowest",
    "of",
    "over",
    "ago",
    "min",
    "max",
    "bp",
    "points",
    "day",
    "days",
    "week",
    "weeks",
    "months",
    "quarter",
    "quarters",
    "year",
    "years",
    "idle",
    "after",
    "due",
    "return",
    "otherwise",
    "clamp",
    "step",
    "below",
    "above",
];

pub(crate) fn is_keyword(word: &str) -> bool {
    KEYWORDS.contains(&word) || MONTHS.contains(&word) || WEEKDAYS.contains(&word)
}

pub(crate) const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];
pub(crate) const WEEKDAYS: [&str; 7] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
