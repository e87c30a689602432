//! What a policy would have done: a table of history in, verdicts and rates period by period out.
//!
//! ```text
//!  CSV bytes ──Table::read──▶ Table ──series──▶ Series, one a feed ┐
//!                                                                  ├─replay─▶ Replay ─┬─ report (canonical JSON)
//!                                          Program, Plan ──────────┘                  └─ chart  (SVG)
//! ```
//!
//! What must stay true: the same bytes, policy and plan give the same replay, report and chart, byte for byte, on every
//! machine and in every build; a number of the table reaches the program exactly as it is written, or is refused, or is
//! rounded because somebody asked for it, and then the report counts it. Nothing here reads a file or a clock, so that the
//! command line and the site replay the same way. Validators do not link it: here is where floats are (inside the chart,
//! behind every decision).
//!
//! Left out: vintages. A table has one value a period, and it stands for the first and for the latest: figures that were
//! revised since make a policy look wiser than it could have been, and the report says so.

mod chart;
mod replay;
mod report;
pub mod svg;
mod table;

pub use chart::{chart, chart_in};
pub use replay::{
    Asks, Change, FeedValue, INPUTS_SHOWN, Loan, Plan, Replay, Row, Series, TERM_DAYS, Year, asks, crisis_years,
    period_at, replay,
};
pub use report::{Report, report, verdict_word};
pub use table::{FeedSource, Mapping, Rounding, Table, decimal_at_scale, parse_period};

use std::fmt;

/// Number, code and meaning of every refusal. Numbers and codes are kept: scripts and the site name them.
pub const REFUSALS: [(u8, &str, &str); 14] = [
    (1, "table_too_large", "the table is too large, or no text"),
    (2, "table_malformed", "a line has another number of cells than the heading, or the heading names a column twice"),
    (3, "no_period_column", "no column says which period a row is of"),
    (4, "period_unreadable", "a period cannot be read, or is of another frequency than the others"),
    (5, "periods_out_of_order", "periods do not follow each other without a gap"),
    (6, "feed_without_column", "no column is called as a feed or its series, and none was named for it"),
    (7, "unknown_series_or_column", "a mapping names a series or a column that is not there"),
    (8, "not_a_number", "a cell is no decimal number"),
    (9, "too_many_decimals", "a cell has more decimals than its feed, and nobody said that it may be rounded"),
    (10, "value_too_large", "a cell is too large"),
    (11, "column_too_fine", "a column is finer than its feed, and nobody said how to join its periods"),
    (12, "nothing_to_replay", "no period is left to replay"),
    (13, "loan_unspecified", "the policy asks about the loan, and nobody said what it is"),
    (14, "years_cannot_move", "history cannot be moved by so many years"),
];

/// Why a history cannot be replayed: one of [`REFUSALS`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    pub number: u8,
    pub cause: String,
    pub mend: String,
}

impl Refusal {
    fn new(number: u8, cause: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { number, cause: cause.into(), mend: mend.into() }
    }

    pub fn code(&self) -> &'static str {
        REFUSALS[usize::from(self.number) - 1].1
    }

    /// Whether other arguments mend it; else the table must change.
    pub fn is_of_the_question(&self) -> bool {
        matches!(self.number, 6 | 7 | 12 | 13 | 14)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "B-{}: {}", self.number, self.cause)
    }
}
