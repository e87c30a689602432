//! What runs: a header of plain values, the feeds, and two runs of instructions. Layout: LANGUAGE.md, P.

use crate::calendar::Frequency;
use crate::instruction::{Instruction, take, unit_bytes, unit_of};
use crate::policy::Policy;
use crate::reading::Rate;
use crate::steps::Code;
use crate::unit::{Currency, FeedUse, PERCENT_DECIMALS, SeriesName, Unit, Vintage, WhenStale};
use crate::verify::{refused, verify};
use crate::{FEEDS_MAX, PERIODS_MAX, PROGRAM_BYTES_MAX, compile};

/// Verified: exists only after [`Program::from_bytes`], [`Program::assemble`] or [`Policy::compile`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Program {
    pub(crate) parts: Parts,
    fuel: u32,
    pub(crate) activation: Code,
    pub(crate) return_rate: Code,
}

/// Not verified.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Parts {
    pub name: String,
    pub version: u32,
    pub currency: Currency,
    pub idle_days: u16,
    pub due_days: u16,
    pub lower: i64,
    pub upper: i64,
    pub step: i64,
    pub feeds: Vec<FeedUse>,
    pub activation: Vec<Instruction>,
    pub return_rate: Vec<Instruction>,
}

/// Why bytes or an assembly text are no program.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProgramError {
    /// LANGUAGE.md, V.
    pub rule: u8,
    pub cause: String,
}

impl std::fmt::Display for ProgramError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "V-{}: {}", self.rule, self.cause)
    }
}

impl std::error::Error for ProgramError {}

const MAGIC: &[u8; 4] = b"APL\x01";

impl Program {
    /// V-8 and the bound on its bytes are what a checked policy can still fail.
    pub(crate) fn of(policy: &Policy) -> Result<Self, ProgramError> {
        let activation = compile::activation(policy);
        let return_rate = compile::return_rate(policy);
        let read = || activation.iter().chain(&return_rate).filter_map(Instruction::periods);
        let feeds = policy.feeds.iter().zip(0..).map(|(feed, at)| FeedUse {
            series: feed.series.clone(),
            frequency: feed.frequency,
            unit: feed.unit,
            scale: feed.scale,
            max_age_days: feed.max_age_days,
            vintage: feed.vintage,
            when_stale: feed.when_stale,
            periods: read().filter(|(feed, _)| *feed == at).map(|(_, periods)| periods).max().unwrap_or(0),
        });
        Self::verified(Parts {
            name: policy.name.clone(),
            version: policy.version,
            currency: policy.currency,
            idle_days: policy.idle_days,
            due_days: policy.due_days,
            lower: policy.lower,
            upper: policy.upper,
            step: policy.step,
            feeds: feeds.collect(),
            activation,
            return_rate,
        })
    }

    pub(crate) fn verified(parts: Parts) -> Result<Self, ProgramError> {
        let fuel = verify(&parts)?;
        // V-1
        let length = parts.to_bytes().len();
        // P-2
        if length > PROGRAM_BYTES_MAX {
            return Err(refused(1, format!("it is {length} bytes long, {PROGRAM_BYTES_MAX} are the most")));
        }
        let activation = Code::of(&parts.activation, &parts);
        let return_rate = Code::of(&parts.return_rate, &parts);
        Ok(Self { parts, fuel, activation, return_rate })
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        self.parts.to_bytes()
    }

    /// P-1: of each program these bytes alone.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ProgramError> {
        if bytes.len() > PROGRAM_BYTES_MAX {
            return Err(refused(1, format!("{} bytes are more than {PROGRAM_BYTES_MAX}", bytes.len())));
        }
        Self::verified(Parts::decode(bytes)?)
    }

    /// 1 to 32 of `a-z 0-9 -`.
    pub fn name(&self) -> &str {
        &self.parts.name
    }

    pub fn version(&self) -> u32 {
        self.parts.version
    }

    pub fn currency(&self) -> Currency {
        self.parts.currency
    }

    /// After the issue: what has not been lent by then goes back (E-8).
    pub fn idle_after_ms(&self) -> u64 {
        u64::from(self.parts.idle_days) * crate::calendar::MS_PER_DAY
    }

    pub fn feeds(&self) -> &[FeedUse] {
        &self.parts.feeds
    }

    /// The most that either evaluation can cost, whatever the readings.
    pub fn fuel(&self) -> u32 {
        self.fuel
    }

    /// Lowest and highest rate of a return, both multiples of the step.
    pub fn clamp(&self) -> (Rate, Rate) {
        (Rate(self.parts.lower), Rate(self.parts.upper))
    }

    pub fn step(&self) -> Rate {
        Rate(self.parts.step)
    }
}

fn number<const N: usize>(bytes: &mut &[u8]) -> Result<[u8; N], String> {
    take(bytes, N).map(|taken| taken.try_into().expect("as many were taken"))
}

fn text(bytes: &mut &[u8]) -> Result<String, String> {
    let [length] = number(bytes)?;
    String::from_utf8(take(bytes, length.into())?.to_vec()).map_err(|_| "a name is not UTF-8".to_owned())
}

impl Parts {
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        let text = |bytes: &mut Vec<u8>, text: &str| {
            bytes.push(u8::try_from(text.len()).expect("a name has at most 32 bytes"));
            bytes.extend(text.as_bytes());
        };
        text(&mut bytes, &self.name);
        bytes.extend(self.version.to_be_bytes());
        bytes.extend(self.currency.bytes());
        bytes.extend(self.idle_days.to_be_bytes());
        bytes.extend(self.due_days.to_be_bytes());
        for rate in [self.lower, self.upper, self.step] {
            bytes.extend(rate.to_be_bytes());
        }
        bytes.push(u8::try_from(self.feeds.len()).expect("at most 8"));
        for feed in &self.feeds {
            text(&mut bytes, feed.series.as_str());
            bytes.push(feed.frequency as u8);
            // A percent series has decimals of its own, a rate none to state.
            let mut unit = unit_bytes(feed.unit);
            unit[1] = feed.scale;
            bytes.extend(unit);
            bytes.extend(feed.max_age_days.to_be_bytes());
            bytes.push(feed.vintage as u8);
            match feed.when_stale {
                WhenStale::Deny => bytes.push(0),
                WhenStale::Fallback(value) => {
                    bytes.push(1);
                    bytes.extend(value.to_be_bytes());
                }
            }
            bytes.push(u8::try_from(feed.periods).expect("at most 64"));
        }
        for code in [&self.activation, &self.return_rate] {
            let mut encoded = Vec::with_capacity(code.len() * 4);
            code.iter().for_each(|instruction| instruction.encode(&mut encoded));
            bytes.extend(u16::try_from(encoded.len()).unwrap_or(u16::MAX).to_be_bytes());
            bytes.extend(encoded);
        }
        bytes
    }

    /// V-1, V-3 and V-4. One encoding for each program; leftovers are refused.
    fn decode(bytes: &[u8]) -> Result<Self, ProgramError> {
        let mut rest = bytes;
        let parts = Self::read(&mut rest)?;
        if rest.is_empty() { Ok(parts) } else { Err(refused(1, format!("{} bytes are left over", rest.len()))) }
    }

    fn read(bytes: &mut &[u8]) -> Result<Self, ProgramError> {
        let layout = |cause: String| refused(1, cause);
        if take(bytes, MAGIC.len()).map_err(layout)? != MAGIC {
            return Err(refused(1, "it does not begin as a program of version 1 does"));
        }
        let name = text(bytes).map_err(layout)?;
        let version = u32::from_be_bytes(number(bytes).map_err(layout)?);
        let letters = number(bytes).map_err(layout)?;
        let currency = Currency::from_bytes(letters).ok_or_else(|| refused(2, "its currency is none"))?;
        let idle_days = u16::from_be_bytes(number(bytes).map_err(layout)?);
        let due_days = u16::from_be_bytes(number(bytes).map_err(layout)?);
        let mut rate = || number(bytes).map(i64::from_be_bytes).map_err(layout);
        let (lower, upper, step) = (rate()?, rate()?, rate()?);
        let [count] = number(bytes).map_err(layout)?;
        if usize::from(count) > FEEDS_MAX {
            return Err(refused(3, format!("it has more than {FEEDS_MAX} feeds")));
        }
        let feeds = (0..count).map(|_| feed(bytes)).collect::<Result<_, _>>()?;
        let mut code = || {
            let length = u16::from_be_bytes(number(bytes).map_err(layout)?);
            let mut encoded = take(bytes, length.into()).map_err(layout)?;
            let mut code = Vec::new();
            while !encoded.is_empty() {
                code.push(Instruction::decode(&mut encoded).map_err(|cause| refused(4, cause))?);
            }
            Ok(code)
        };
        let (activation, return_rate) = (code()?, code()?);
        Ok(Self { name, version, currency, idle_days, due_days, lower, upper, step, feeds, activation, return_rate })
    }
}

fn feed(bytes: &mut &[u8]) -> Result<FeedUse, ProgramError> {
    let layout = |cause: String| refused(1, cause);
    let none = |what: &str| refused(3, format!("a feed's {what} is none"));
    let series = SeriesName::parse(&text(bytes).map_err(layout)?).ok_or_else(|| none("series"))?;
    let [frequency] = number(bytes).map_err(layout)?;
    let frequency =
        Frequency::ALL.into_iter().find(|known| *known as u8 == frequency).ok_or_else(|| none("frequency"))?;
    let mut unit: [u8; 5] = number(bytes).map_err(layout)?;
    let scale = unit[1];
    if unit[0] == 1 {
        unit[1] = 0;
    }
    let unit = unit_of(unit).filter(|unit| match unit {
        Unit::Rate => scale <= PERCENT_DECIMALS,
        Unit::Index { .. } | Unit::Money { .. } => true,
        Unit::Spread | Unit::Days | Unit::Truth => false,
    });
    let unit = unit.ok_or_else(|| none("unit"))?;
    let max_age_days = u16::from_be_bytes(number(bytes).map_err(layout)?);
    let vintage = match number(bytes).map_err(layout)? {
        [1] => Vintage::First,
        [2] => Vintage::Latest,
        _ => return Err(none("vintage")),
    };
    let when_stale = match number(bytes).map_err(layout)? {
        [0] => WhenStale::Deny,
        [1] => WhenStale::Fallback(i64::from_be_bytes(number(bytes).map_err(layout)?)),
        _ => return Err(none("rule for stale readings")),
    };
    let [periods] = number(bytes).map_err(layout)?;
    let periods = u16::from(periods);
    if periods > PERIODS_MAX {
        return Err(none("count of periods"));
    }
    Ok(FeedUse { series, frequency, unit, scale, max_age_days, vintage, when_stale, periods })
}
