//! What runs: a header of plain values, the feeds, and two runs of instructions.

use crate::reading::{Activation, Evaluation, Rate, Readings, Return, Verdict};
use crate::unit::{Currency, FeedUse};

/// Verified: exists only after [`Program::from_bytes`] or [`crate::policy::Policy::compile`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Program {
    name: String,
    version: u32,
    currency: Currency,
    idle_days: u16,
    feeds: Vec<FeedUse>,
}

/// Why bytes or an assembly text are no program.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProgramError {
    /// LANGUAGE.md, V.
    pub rule: u8,
    pub cause: String,
}

impl Program {
    pub fn from_bytes(_bytes: &[u8]) -> Result<Self, ProgramError> {
        todo!()
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        todo!()
    }

    pub fn disassemble(&self) -> String {
        todo!()
    }

    pub fn assemble(_text: &str) -> Result<Self, ProgramError> {
        todo!()
    }

    /// 1 to 32 of `a-z 0-9 -`.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn version(&self) -> u32 {
        self.version
    }

    pub fn currency(&self) -> Currency {
        self.currency
    }

    /// After the issue: what has not been lent by then goes back.
    pub fn idle_after_ms(&self) -> u64 {
        u64::from(self.idle_days) * crate::calendar::MS_PER_DAY
    }

    pub fn feeds(&self) -> &[FeedUse] {
        &self.feeds
    }

    /// The most that either evaluation can cost, whatever the readings.
    pub fn fuel(&self) -> u32 {
        todo!()
    }

    /// Lowest and highest rate of a return, both multiples of the step.
    pub fn clamp(&self) -> (Rate, Rate) {
        todo!()
    }

    pub fn step(&self) -> Rate {
        todo!()
    }

    pub fn activate(&self, _context: &Activation, _readings: &dyn Readings) -> Evaluation<Verdict> {
        todo!()
    }

    pub fn return_rate(&self, _context: &Return, _readings: &dyn Readings) -> Evaluation<Rate> {
        todo!()
    }
}
