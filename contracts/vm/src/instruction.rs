//! The instructions: one table for encoder, verifier, interpreter, disassembler and LANGUAGE.md (a test compares it).
//!
//! Untrusted bytes become [`Instruction`]s only through [`decode`], which knows the operands' bounds; whether a run of
//! them means anything is the verifier's question.

use crate::sector::SectorSet;
use crate::unit::{Currency, FACTOR_MAX, INDEX_SCALE_MAX, Unit};
use crate::{FEEDS_MAX, PERIODS_MAX};

/// What stands behind an opcode, in big-endian bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Operand {
    /// Tag, scale, three letters.
    Unit,
    /// 8 bytes, within the unit's constants.
    Value,
    /// 8 bytes, six decimals.
    Factor,
    Feed,
    /// Periods ago, 0 to 63.
    Back,
    /// 1 to 64, or to 63 where the period before the first is read as well.
    Periods,
    /// 2 bytes, 1 to 2148.
    Months,
    /// 4 bytes, days since 1970-01-01.
    Day,
    /// 2 bytes, bit 0 is January.
    MonthSet,
    /// Bit 0 is Monday.
    WeekdaySet,
    /// 16 bytes, a bit for each code of the list.
    Sectors,
    /// Number of a reason to deny.
    Reason,
    /// From 1.
    Line,
    /// 2 bytes: count of an instruction, from 0.
    Target,
}

/// What it does to the stack's types.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Effect {
    Constant,
    GivesRate,
    GivesDays,
    GivesTruth,
    /// The feed's unit.
    GivesFeed,
    /// Of two values of the feed.
    GivesDifference,
    /// The feed is no rate.
    GivesGrowth,
    Sum,
    Difference,
    KeepsUnit,
    TwoOfOneUnit,
    RateToSpread,
    SpreadToRate,
    Compares,
    Joins,
    Negates,
    /// Takes a truth from a stack of nothing else.
    Tests,
    /// With nothing on the stack.
    Ends,
    /// Takes a truth from a stack of nothing else.
    Skips,
    /// Takes a rate from a stack of nothing else.
    Pays,
}

impl Effect {
    /// As LANGUAGE.md has it.
    pub fn text(self) -> &'static str {
        match self {
            Self::Constant => "→ unit",
            Self::GivesRate => "→ rate",
            Self::GivesDays => "→ days",
            Self::GivesTruth => "→ truth",
            Self::GivesFeed => "→ feed's unit",
            Self::GivesDifference => "→ difference of the feed's unit",
            Self::GivesGrowth => "→ rate (feed: index or money)",
            Self::Sum => "a b → sum (T-2)",
            Self::Difference => "a b → difference (T-3)",
            Self::KeepsUnit => "a → a",
            Self::TwoOfOneUnit => "a a → a",
            Self::RateToSpread => "rate → spread",
            Self::SpreadToRate => "spread → rate",
            Self::Compares => "a a → truth",
            Self::Joins => "truth truth → truth",
            Self::Negates => "truth → truth",
            Self::Tests => "truth →",
            Self::Ends => "end",
            Self::Skips => "truth →",
            Self::Pays => "rate → end",
        }
    }
}

/// Readings that it may ask for; each costs one fuel, beside what the instruction itself costs ([`Op::own_fuel`]).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Asks {
    Nothing,
    /// The newest, and the one so many periods ago.
    Ends,
    /// The newest so many.
    Run,
    /// The newest so many, and the one before them.
    RunAndOne,
}

/// Where it may stand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stands {
    Anywhere,
    InActivation,
    InReturn,
}

impl Stands {
    pub fn text(self) -> &'static str {
        match self {
            Self::Anywhere => "both",
            Self::InActivation => "activation",
            Self::InReturn => "return",
        }
    }
}

pub struct Row {
    pub op: Op,
    pub opcode: u8,
    pub mnemonic: &'static str,
    pub operands: &'static [Operand],
    pub effect: Effect,
    pub asks: Asks,
    pub stands: Stands,
    pub meaning: &'static str,
}

impl Row {
    /// As LANGUAGE.md has it.
    pub fn fuel_text(&self) -> String {
        match self.asks {
            Asks::Nothing => self.op.own_fuel().to_string(),
            Asks::Ends => "3, of the newest alone 2".into(),
            Asks::Run => "1 + periods".into(),
            Asks::RunAndOne => "2 + periods".into(),
        }
    }
}

macro_rules! instructions {
    ($($op:ident = $opcode:literal $mnemonic:literal [$($operand:ident),*] $effect:ident $asks:ident $stands:ident
        $meaning:literal)*) => {
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        #[repr(u8)]
        pub enum Op { $($op = $opcode),* }

        pub const TABLE: &[Row] = &[$(Row {
            op: Op::$op, opcode: $opcode, mnemonic: $mnemonic, operands: &[$(Operand::$operand),*],
            effect: Effect::$effect, asks: Asks::$asks, stands: Stands::$stands, meaning: $meaning,
        }),*];
    };
}

instructions! {
    Push       = 0x01 "push"        [Unit, Value]   Constant        Nothing   Anywhere     "a constant"
    LoanRate   = 0x02 "loan_rate"   []              GivesRate       Nothing   InActivation "the loan's rate"
    LoanTerm   = 0x03 "loan_term"   []              GivesDays       Nothing   InActivation "the loan's term"
    LoanAge    = 0x04 "loan_age"    []              GivesDays       Nothing   InReturn
        "whole days since the activation, rounded down"
    Months     = 0x05 "months"      [Months]        GivesDays       Nothing   Anywhere
        "days from the activation to the same day so many months ahead, or the last of that month"
    Level      = 0x10 "level"       [Feed, Back]    GivesFeed       Ends      Anywhere
        "the value so many periods ago"
    Average    = 0x11 "average"     [Feed, Periods] GivesFeed       Run       Anywhere
        "mean of the newest periods, half to even"
    Highest    = 0x12 "highest"     [Feed, Periods] GivesFeed       Run       Anywhere
        "the highest of the newest periods"
    Lowest     = 0x13 "lowest"      [Feed, Periods] GivesFeed       Run       Anywhere
        "the lowest of the newest periods"
    Change     = 0x14 "change"      [Feed, Periods] GivesDifference Ends      Anywhere
        "newest value less the value so many periods ago"
    Growth     = 0x15 "growth"      [Feed, Periods] GivesGrowth     Ends      Anywhere
        "the same in percent of the older value, half to even"
    Falls      = 0x16 "falls"       [Feed, Periods] GivesTruth      RunAndOne Anywhere
        "each of the newest periods lies below the one before it"
    Rises      = 0x17 "rises"       [Feed, Periods] GivesTruth      RunAndOne Anywhere
        "each of the newest periods lies above the one before it"
    Add        = 0x20 "add"         []              Sum             Nothing   Anywhere     "a + b"
    Subtract   = 0x21 "subtract"    []              Difference      Nothing   Anywhere     "a - b"
    Times      = 0x22 "times"       [Factor]        KeepsUnit       Nothing   Anywhere
        "a times the factor, half to even"
    Min        = 0x23 "min"         []              TwoOfOneUnit    Nothing   Anywhere     "the lower one"
    Max        = 0x24 "max"         []              TwoOfOneUnit    Nothing   Anywhere     "the higher one"
    InBp       = 0x25 "in_bp"       []              RateToSpread    Nothing   Anywhere
        "a rate as its distance from zero"
    InPercent  = 0x26 "in_percent"  []              SpreadToRate    Nothing   Anywhere
        "a spread as the rate so far above zero"
    Less       = 0x30 "less"        []              Compares        Nothing   Anywhere     "a < b"
    AtMost     = 0x31 "at_most"     []              Compares        Nothing   Anywhere     "a <= b"
    Equal      = 0x32 "equal"       []              Compares        Nothing   Anywhere     "a = b"
    AtLeast    = 0x33 "at_least"    []              Compares        Nothing   Anywhere     "a >= b"
    Greater    = 0x34 "greater"     []              Compares        Nothing   Anywhere     "a > b"
    TimeFrom   = 0x38 "time_from"   [Day]           GivesTruth      Nothing   Anywhere
        "the time is at or after the first instant of the day"
    TimeUntil  = 0x39 "time_until"  [Day]           GivesTruth      Nothing   Anywhere
        "the time is before the first instant of the day"
    MonthIn    = 0x3a "month_in"    [MonthSet]      GivesTruth      Nothing   Anywhere     "today's month is of the set"
    WeekdayIn  = 0x3b "weekday_in"  [WeekdaySet]    GivesTruth      Nothing   Anywhere
        "today's day of the week is of the set"
    SectorIn   = 0x3c "sector_in"   [Sectors]       GivesTruth      Nothing   InActivation
        "the loan's sector is of the set; a code that is not of the list denies"
    And        = 0x40 "and"         []              Joins           Nothing   Anywhere     "both"
    Or         = 0x41 "or"          []              Joins           Nothing   Anywhere     "one or both"
    Not        = 0x42 "not"         []              Negates         Nothing   Anywhere     "the opposite"
    DenyIf     = 0x50 "deny_if"     [Reason, Line]  Tests           Nothing   InActivation "ends with deny if true"
    DenyUnless = 0x51 "deny_unless" [Reason, Line]  Tests           Nothing   InActivation "ends with deny if false"
    Permit     = 0x52 "permit"      []              Ends            Nothing   InActivation "ends with permit"
    SkipUnless = 0x58 "skip_unless" [Target]        Skips           Nothing   InReturn
        "goes on at the target if false"
    Pay        = 0x59 "pay"         []              Pays            Nothing   InReturn
        "ends with the rate, clamped, then rounded to the step, half to even"
}

/// Of each opcode its place in the table; of what is none, a place behind its end.
const ROWS: [u8; 256] = {
    let mut rows = [u8::MAX; 256];
    let mut at = 0;
    while at < TABLE.len() {
        rows[TABLE[at].opcode as usize] = at as u8;
        at += 1;
    }
    rows
};

impl Op {
    pub fn row(self) -> &'static Row {
        &TABLE[usize::from(ROWS[self as usize])]
    }

    /// V-8, without its readings. A factor divides 128 bits where all else is done in 64: it takes ten times the time
    /// (record 082).
    pub fn own_fuel(self) -> u32 {
        if self == Self::Times { 4 } else { 1 }
    }
}

/// An opcode with its operands, unpacked. What it has no operand for is zero, so that equal means equal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Instruction {
    pub op: Op,
    pub unit: Unit,
    /// The first operand that is neither unit nor sectors, and the second.
    pub a: i64,
    pub b: i64,
    pub sectors: SectorSet,
}

impl Instruction {
    pub fn new(op: Op) -> Self {
        Self { op, unit: Unit::Truth, a: 0, b: 0, sectors: SectorSet::default() }
    }

    pub fn with(op: Op, a: i64, b: i64) -> Self {
        Self { a, b, ..Self::new(op) }
    }

    /// Feed and the most periods that it looks at, counted from the newest.
    pub fn periods(&self) -> Option<(u8, u16)> {
        let periods = match self.op.row().asks {
            Asks::Nothing => return None,
            Asks::Run => self.b,
            Asks::Ends | Asks::RunAndOne => self.b + 1,
        };
        Some((self.a as u8, periods as u16))
    }

    /// V-8: known before it runs.
    pub fn fuel(&self) -> u32 {
        let asked = match self.op.row().asks {
            Asks::Nothing => 0,
            Asks::Ends => 1 + i64::from(self.b > 0),
            Asks::Run => self.b,
            Asks::RunAndOne => self.b + 1,
        };
        self.op.own_fuel() + u32::try_from(asked).expect("at most 64 periods")
    }

    pub fn encode(&self, bytes: &mut Vec<u8>) {
        let row = self.op.row();
        bytes.push(row.opcode);
        let mut scalars = [self.a, self.b].into_iter();
        for operand in row.operands {
            match operand {
                Operand::Unit => bytes.extend(unit_bytes(self.unit)),
                Operand::Sectors => bytes.extend(self.sectors.bits().to_be_bytes()),
                scalar => {
                    let value = scalars.next().expect("no instruction has three");
                    bytes.extend(&value.to_be_bytes()[8 - scalar.width()..]);
                }
            }
        }
    }

    /// V-4. Takes the instruction off the front.
    pub fn decode(bytes: &mut &[u8]) -> Result<Self, String> {
        let opcode = take(bytes, 1)?[0];
        let row =
            TABLE.iter().find(|row| row.opcode == opcode).ok_or_else(|| format!("no instruction 0x{opcode:02x}"))?;
        let mut instruction = Self::new(row.op);
        let mut scalars = Vec::with_capacity(2);
        for operand in row.operands {
            match operand {
                Operand::Unit => {
                    let unit: [u8; 5] = take(bytes, 5)?.try_into().expect("five were taken");
                    instruction.unit = unit_of(unit).ok_or("no such unit")?;
                }
                Operand::Sectors => {
                    let bits: [u8; 16] = take(bytes, 16)?.try_into().expect("sixteen were taken");
                    instruction.sectors = sectors_of(u128::from_be_bytes(bits))?;
                }
                scalar => {
                    let taken = take(bytes, scalar.width())?;
                    let mut wide = [0; 8];
                    wide[8 - taken.len()..].copy_from_slice(taken);
                    scalars.push(i64::from_be_bytes(wide));
                }
            }
        }
        instruction.set_scalars(&scalars)?;
        Ok(instruction)
    }

    /// V-4: bounds of the operands.
    pub fn set_scalars(&mut self, scalars: &[i64]) -> Result<(), String> {
        let row = self.op.row();
        let wanted = row.operands.iter().filter(|operand| !matches!(operand, Operand::Unit | Operand::Sectors));
        for ((operand, value), slot) in wanted.zip(scalars).zip([&mut self.a, &mut self.b]) {
            let (least, most) = operand.bounds(row.asks, self.unit);
            if !(least..=most).contains(value) {
                return Err(format!("{}: {operand:?} {value} lies outside {least} to {most}", row.mnemonic));
            }
            *slot = *value;
        }
        // Which reason fits which test: deny_if is for `deny when` alone.
        let is_fitting = match self.op {
            Op::DenyIf => self.a == 9,
            Op::DenyUnless => self.a <= 8,
            _ => true,
        };
        if is_fitting { Ok(()) } else { Err(format!("{}: not with reason {}", row.mnemonic, self.a)) }
    }
}

impl Operand {
    fn width(self) -> usize {
        match self {
            Self::Feed | Self::Back | Self::Periods | Self::WeekdaySet | Self::Reason | Self::Line => 1,
            Self::Months | Self::MonthSet | Self::Target => 2,
            Self::Day => 4,
            Self::Unit => 5,
            Self::Value | Self::Factor => 8,
            Self::Sectors => 16,
        }
    }

    fn bounds(self, asks: Asks, unit: Unit) -> (i64, i64) {
        let most = match self {
            Self::Value => return (-unit.constant_max(), unit.constant_max()),
            Self::Factor => return (-FACTOR_MAX, FACTOR_MAX),
            Self::Feed => FEEDS_MAX as i64 - 1,
            Self::Back => i64::from(PERIODS_MAX) - 1,
            Self::Periods if asks == Asks::Run => return (1, PERIODS_MAX.into()),
            Self::Periods => return (1, i64::from(PERIODS_MAX) - 1),
            Self::Months => return (1, 2148),
            Self::Day => crate::calendar::LAST_DAY.into(),
            Self::MonthSet => return (1, 0xfff),
            Self::WeekdaySet => return (1, 0x7f),
            Self::Reason => return (1, 9),
            Self::Line => return (1, 32),
            Self::Target => u16::MAX.into(),
            Self::Unit | Self::Sectors => 0,
        };
        (0, most)
    }
}

pub(crate) fn sectors_of(bits: u128) -> Result<SectorSet, String> {
    let set = SectorSet::from_bits(bits).filter(|set| !set.is_empty());
    set.ok_or_else(|| "the sectors are no set of the list".to_owned())
}

pub(crate) fn take<'a>(bytes: &mut &'a [u8], count: usize) -> Result<&'a [u8], String> {
    let (taken, rest) = bytes.split_at_checked(count).ok_or("it is cut short")?;
    *bytes = rest;
    Ok(taken)
}

pub(crate) fn unit_bytes(unit: Unit) -> [u8; 5] {
    match unit {
        Unit::Rate => [1, 0, 0, 0, 0],
        Unit::Spread => [2, 0, 0, 0, 0],
        Unit::Index { scale } => [3, scale, 0, 0, 0],
        Unit::Money { currency, scale } => {
            let [a, b, c] = currency.bytes();
            [4, scale, a, b, c]
        }
        Unit::Days => [5, 0, 0, 0, 0],
        Unit::Truth => [0; 5],
    }
}

/// Of a number; a truth is no constant.
pub(crate) fn unit_of(bytes: [u8; 5]) -> Option<Unit> {
    let [tag, scale, letters @ ..] = bytes;
    let unit = match tag {
        1 => Unit::Rate,
        2 => Unit::Spread,
        3 => Unit::Index { scale },
        4 => Unit::Money { currency: Currency::from_bytes(letters)?, scale },
        5 => Unit::Days,
        _ => return None,
    };
    (scale <= INDEX_SCALE_MAX && unit_bytes(unit) == bytes).then_some(unit)
}
