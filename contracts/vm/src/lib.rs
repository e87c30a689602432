//! Monetary policy as a program that everybody can read, and nobody can make run for ever.
//!
//! ```text
//!  source ──check──▶ Policy ──compile──▶ Program ──activate──▶ Verdict  ┐ with the fuel used
//!    │                 ├─ canonical        ▲    └──return_rate──▶ Rate  ┘ and every reading
//!    └ Diagnostics     ├─ explain          │ verify
//!      Findings        └──── Package ──────┴── bytes (what the ledger hashes)
//! ```
//!
//! Meaning and grammar are `contracts/LANGUAGE.md`, rule by rule. What must stay true: a checked policy always compiles
//! and its program always verifies; an evaluation ends within the fuel that is known before it starts, with a verdict
//! or a rate, whatever it is given; the same program, context and readings give the same bytes on every machine.

pub mod calendar;
pub mod sector;
pub mod unit;

pub mod diagnostic;
mod lex;
mod parse;
mod syntax;

mod check;
pub mod policy;

mod canonical;
mod explain;

pub mod instruction;

mod compile;
mod cycle;
mod verify;

mod assembly;
pub mod program;
pub mod reading;

mod look_back;
mod steps;

mod evaluate;

mod analyse;
pub mod package;
mod table;

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

/// From a text to a policy, or everything that stands in the way, in the order of the text.
pub fn check(source: &str) -> Result<Checked, Vec<Diagnostic>> {
    let (policy, places) = check_without_analysis(source)?;
    let findings = analyse::findings(&policy, &places);
    Ok(Checked { policy, findings })
}

/// The same without the findings: all that a validator needs.
pub fn policy_of(source: &str) -> Result<Policy, Vec<Diagnostic>> {
    check_without_analysis(source).map(|(policy, _)| policy)
}

fn check_without_analysis(source: &str) -> Result<(Policy, check::Places), Vec<Diagnostic>> {
    let end = Span::new(source.trim_end().len(), source.trim_end().len());
    // D-4: before anything else looks at it.
    // G-1
    if source.len() > SOURCE_BYTES_MAX {
        let cause = format!("the text is longer than {SOURCE_BYTES_MAX} bytes");
        return Err(vec![diagnostic::diagnostic(4, Span::new(0, 0), cause, "shorten it: twenty lines say a policy")]);
    }
    let mut diagnostics = Vec::new();
    if let Some((policy, places)) = read(source, end, &mut diagnostics) {
        let cause = match Program::of(&policy) {
            Ok(_) if !is_canonical_form_of(&policy.canonical(), &policy) => (30, CANONICAL_CAUSE.to_owned()),
            Ok(_) => return Ok((policy, places)),
            Err(error) => (27, format!("the policy is too large ({error})")),
        };
        let mend = "read fewer periods, or say it in fewer lines";
        diagnostics.push(diagnostic::diagnostic(cause.0, end, cause.1, mend));
    }
    diagnostics.sort_by_key(|diagnostic| (diagnostic.place.from, diagnostic.number));
    Err(diagnostics)
}

fn read(source: &str, end: Span, diagnostics: &mut Vec<Diagnostic>) -> Option<(Policy, check::Places)> {
    let lines = lex::lines(source, diagnostics);
    let shape = parse::parse(&lines, diagnostics);
    check::check(&shape, end, diagnostics).filter(|_| diagnostics.is_empty())
}

const CANONICAL_CAUSE: &str = "the policy has no canonical form of at most 8 KiB that says the same";

/// C-1, D-30: a package holds this text alone, and is made anew from it (P-3).
fn is_canonical_form_of(text: &str, policy: &Policy) -> bool {
    let again = (text.len() <= SOURCE_BYTES_MAX).then(|| read(text, Span::default(), &mut Vec::new()));
    again.flatten().is_some_and(|(again, _)| again == *policy)
}

impl Policy {
    pub fn compile(&self) -> Program {
        Program::of(self).expect("the check tried it")
    }
}
