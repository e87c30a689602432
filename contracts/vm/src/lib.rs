//! Monetary policy as a program that everybody can read, and nobody can make run for ever.
//!
//! ```text
//!  source ──check──▶ Policy ──compile──▶ Program ──activate──▶ Verdict  ┐ with the fuel used
//!    │                 ├─ canonical        ▲    └──return_rate──▶ Rate  ┘ and every reading
//!    └ Diagnostics     ├─ explain          │ verify
//!      Findings        └──── Package ──────┴── bytes (what the ledger hashes)
//! ```
//!
//! Meaning and grammar are `contracts/LANGUAGE.md`, rule by rule. What must stay true: a checked policy always compiles and
//! its program always verifies; an evaluation ends within the fuel that is known before it starts, with a verdict or a
//! rate, whatever it is given; the same program, context and readings give the same bytes on every machine.

pub mod calendar;
pub mod sector;
pub mod unit;

pub mod diagnostic;
pub mod policy;

pub mod package;
pub mod program;
pub mod reading;

pub use calendar::{Date, Frequency, Period};
pub use diagnostic::{Diagnostic, Finding, Severity, Span};
pub use package::{Package, PackageError};
pub use policy::{Language, Policy};
pub use program::{Program, ProgramError};
pub use reading::{Activation, DenyReason, Evaluation, InputUsed, Rate, Reading, Readings, Return, Verdict};
pub use sector::{SectorCode, SectorSet};
pub use unit::{Currency, FeedUse, SeriesName, Unit, Vintage, WhenStale};

/// Of a source text.
pub const SOURCE_BYTES_MAX: usize = 8 * 1024;
pub const PROGRAM_BYTES_MAX: usize = 4 * 1024;
pub const FUEL_MAX: u32 = 10_000;
pub const FEEDS_MAX: usize = 8;
/// Newest periods that one feed may be read for.
pub const PERIODS_MAX: u16 = 64;

/// A policy, and what its analysis found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Checked {
    pub policy: Policy,
    pub findings: Vec<Finding>,
}

/// From a text to a policy, or everything that stands in the way.
pub fn check(_source: &str) -> Result<Checked, Vec<Diagnostic>> {
    todo!()
}

impl Policy {
    pub fn canonical(&self) -> String {
        todo!()
    }

    pub fn explain(&self, _language: Language) -> String {
        todo!()
    }

    pub fn compile(&self) -> Program {
        todo!()
    }
}
