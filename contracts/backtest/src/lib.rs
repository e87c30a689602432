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
mod table;

pub use chart::chart;
pub use replay::{
    Asks, Change, FeedValue, Loan, Plan, Replay, Row, Series, Year, asks, crisis_years, period_at, replay,
};
pub use report::{Report, report, verdict_word};
pub use table::{FeedSource, Mapping, Rounding, Table, decimal_at_scale, parse_period};

use std::fmt;

/// Why a history cannot be replayed. Numbers are kept: scripts and the site name them.
///
/// | number | meaning |
/// |---|---|
/// | 1 | the table is too large, or no text |
/// | 2 | a line has another number of cells than the heading, or the heading names a column twice |
/// | 3 | no column says which period a row is of |
/// | 4 | a period cannot be read |
/// | 5 | periods do not follow each other |
/// | 6 | a feed has no column |
/// | 7 | a mapping names a series or column that is not there |
/// | 8 | a cell is no decimal number |
/// | 9 | a cell has more decimals than its feed |
/// | 10 | a cell is too large |
/// | 11 | a column is finer than its feed: nobody said how to join its periods |
/// | 12 | nothing to replay |
/// | 13 | the policy asks about the loan, and the plan does not say |
/// | 14 | years cannot be moved like this |
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
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "B-{}: {}", self.number, self.cause)
    }
}
