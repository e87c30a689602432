//! What a number is: its unit and its decimal scale. Two quantities meet only through the rules here (LANGUAGE.md, T).
//!
//! Every quantity is an `i64` and every unit has one scale. Rates and spreads count hundredths of a basis point, so
//! that 1 % is 10 000, 1 bp is 100, and a percent series of up to four decimals fits exactly.

use crate::calendar::Frequency;
use std::fmt;

/// 1 % in a rate's own unit, hundredths of a basis point.
pub const PERCENT: i64 = 10_000;
/// 1 bp in the same.
pub const BASIS_POINT: i64 = 100;
/// Decimals of a percent that a rate can hold.
pub const PERCENT_DECIMALS: u8 = 4;
/// Decimals that an index, an amount of money or a percent series may have.
pub const INDEX_SCALE_MAX: u8 = 9;

/// 1000 %, either sign: the largest rate or spread that a policy may write down.
pub const RATE_MAX: i64 = 1000 * PERCENT;
/// The largest index or amount that a policy may write down, at its own scale.
pub const LEVEL_MAX: i64 = 1_000_000_000_000_000;
/// Of a duration in days; a loan's term is a `u16`.
pub const DAYS_MAX: i64 = 65_535;
/// 1 in the unit of a factor: six decimals.
pub const FACTOR_ONE: i64 = 1_000_000;
pub const FACTOR_MAX: i64 = 1000 * FACTOR_ONE;

/// Three capital letters, as ISO 4217 has them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Currency([u8; 3]);

impl Currency {
    pub fn parse(text: &str) -> Option<Self> {
        Self::from_bytes(text.as_bytes().try_into().ok()?)
    }

    pub fn from_bytes(letters: [u8; 3]) -> Option<Self> {
        letters.iter().all(u8::is_ascii_uppercase).then_some(Self(letters))
    }

    pub fn bytes(self) -> [u8; 3] {
        self.0
    }

    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("capital letters are ASCII")
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unit {
    /// A level in percent: an interest rate, a growth rate, unemployment.
    Rate,
    /// A distance between two rates, in basis points.
    Spread,
    Index {
        scale: u8,
    },
    Money {
        currency: Currency,
        scale: u8,
    },
    /// A duration.
    Days,
    /// A condition.
    Truth,
}

impl Unit {
    /// T-2. A rate and a spread make a rate; two rates have no sum.
    pub fn sum(self, other: Self) -> Option<Self> {
        match (self, other) {
            (Self::Rate, Self::Spread) | (Self::Spread, Self::Rate) => Some(Self::Rate),
            (Self::Rate, Self::Rate) | (Self::Truth, _) => None,
            _ => (self == other).then_some(self),
        }
    }

    /// T-3. Between two rates lies a spread.
    pub fn difference(self, other: Self) -> Option<Self> {
        match (self, other) {
            (Self::Rate, Self::Rate) => Some(Self::Spread),
            (Self::Rate, Self::Spread) => Some(Self::Rate),
            (Self::Truth, _) => None,
            _ => (self == other).then_some(self),
        }
    }

    /// Largest constant of the unit.
    pub fn constant_max(self) -> i64 {
        match self {
            Self::Rate | Self::Spread => RATE_MAX,
            Self::Index { .. } | Self::Money { .. } => LEVEL_MAX,
            Self::Days => DAYS_MAX,
            Self::Truth => 0,
        }
    }

    /// A value of this unit as a policy would write it, `3.45 %`.
    pub fn write(self, value: i64) -> String {
        match self {
            Self::Rate => format!("{} %", decimal(value, PERCENT_DECIMALS, 2)),
            Self::Spread => format!("{} bp", decimal(value, 2, 0)),
            // All decimals: they are the constant's scale.
            Self::Index { scale } => format!("{} points", decimal(value, scale, scale)),
            Self::Money { currency, scale } => format!("{currency} {}", decimal(value, scale, scale)),
            Self::Days if value == 1 => "1 day".to_owned(),
            Self::Days => format!("{value} days"),
            Self::Truth => (value != 0).to_string(),
        }
    }
}

/// What it is called in a diagnostic.
impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rate => f.write_str("a rate in percent"),
            Self::Spread => f.write_str("a spread in basis points"),
            Self::Index { scale } => write!(f, "an index of scale {scale}"),
            Self::Money { currency, scale } => write!(f, "an amount of {currency} of scale {scale}"),
            Self::Days => f.write_str("a duration"),
            Self::Truth => f.write_str("a condition"),
        }
    }
}

/// An integer of a decimal scale, with at least so many decimals, and no zeros at the end beyond them.
pub fn decimal(value: i64, scale: u8, decimals_min: u8) -> String {
    let digits = format!("{:0width$}", value.unsigned_abs(), width = usize::from(scale) + 1);
    let (whole, fraction) = digits.split_at(digits.len() - usize::from(scale));
    let mut fraction = fraction.to_owned();
    while fraction.len() > usize::from(decimals_min) && fraction.ends_with('0') {
        fraction.pop();
    }
    let sign = if value < 0 { "-" } else { "" };
    if fraction.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
}

/// Half to even. `divisor` above 0.
#[inline]
pub fn divide_half_even(value: i128, divisor: i128) -> i128 {
    // A division of 128 bits takes several times as long as one of 64, which nearly all are.
    match (i64::try_from(value), i64::try_from(divisor)) {
        (Ok(value), Ok(divisor)) => divide_64_half_even(value, divisor).into(),
        _ => divide_wide_half_even(value, divisor),
    }
}

/// The same of 64 bits.
#[inline]
pub(crate) fn divide_64_half_even(value: i64, divisor: i64) -> i64 {
    let (quotient, rest) = (value.div_euclid(divisor), value.rem_euclid(divisor));
    quotient + i64::from(is_up(quotient & 1, rest, divisor))
}

#[cold]
fn divide_wide_half_even(value: i128, divisor: i128) -> i128 {
    let (quotient, rest) = (value.div_euclid(divisor), value.rem_euclid(divisor));
    quotient + i128::from(rest + (quotient & 1) > divisor - rest)
}

/// By a factor of six decimals, half to even; none if it leaves 64 bits.
#[inline]
pub(crate) fn times(value: i64, factor: i64) -> Option<i64> {
    match value.checked_mul(factor) {
        Some(product) => Some(divide_64_half_even(product, FACTOR_ONE)),
        None => times_wide(value, factor),
    }
}

/// Whole and part are multiplied for themselves, so that nothing of 128 bits is divided: it would take ten times as long
/// for the same fuel.
fn times_wide(value: i64, factor: i64) -> Option<i64> {
    let (whole, part) = (value.div_euclid(FACTOR_ONE), value.rem_euclid(FACTOR_ONE));
    let (quotient, rest) = ((part * factor).div_euclid(FACTOR_ONE), (part * factor).rem_euclid(FACTOR_ONE));
    let below = i128::from(whole) * i128::from(factor) + i128::from(quotient);
    i64::try_from(below + i128::from(is_up(below as i64 & 1, rest, FACTOR_ONE))).ok()
}

/// Whether a quotient that was rounded down goes up: if its rest is more than what the rest lacks to the divisor, or as
/// much and the quotient is odd.
#[inline]
fn is_up(odd: i64, rest: i64, divisor: i64) -> bool {
    rest + odd > divisor - rest
}

/// Name of a series in the ledger: 1 to 32 of `a-z 0-9 . - _`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SeriesName(String);

impl SeriesName {
    pub const MAX: usize = 32;

    pub fn parse(text: &str) -> Option<Self> {
        let is_name = (1..=Self::MAX).contains(&text.len())
            && text.bytes().all(|c| matches!(c, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'_'));
        is_name.then(|| Self(text.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SeriesName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Which vintage of a period a feed stands for: a revision makes a new one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Vintage {
    First = 1,
    Latest = 2,
}

/// What a reading counts as that is missing or too old (LANGUAGE.md, R).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WhenStale {
    /// The loan is denied; a return is paid at the clamp's upper end.
    Deny,
    /// The feed counts as having stood still at this value, at the feed's own scale.
    Fallback(i64),
}

/// A feed as the program reads it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FeedUse {
    pub series: SeriesName,
    pub frequency: Frequency,
    /// A rate, an index or money.
    pub unit: Unit,
    /// Decimals of a reading's value: 3.45 % of a percent series of scale 2 is read as 345.
    pub scale: u8,
    pub max_age_days: u16,
    pub vintage: Vintage,
    pub when_stale: WhenStale,
    /// How many of the newest periods the program may read: 1 for the newest alone, at most 64.
    pub periods: u16,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_half_goes_to_the_even_neighbour_on_both_sides_of_zero() {
        let cases =
            [(5, 2, 2), (7, 2, 4), (-5, 2, -2), (-7, 2, -4), (7, 4, 2), (-7, 4, -2), (1, 3, 0), (2, 3, 1), (-1, 2, 0)];
        for (value, divisor, expected) in cases {
            assert_eq!(divide_half_even(value, divisor), expected, "{value} / {divisor}");
        }
    }

    #[test]
    fn a_product_and_a_quotient_are_the_same_whether_or_not_they_fit_64_bits() {
        let edges =
            [0, 1, 2, 3, 499_999, 500_000, 500_001, 1_500_000, 1 << 31, 1 << 53, i64::MAX / FACTOR_MAX, i64::MAX];
        for value in edges.into_iter().flat_map(|value| [value, -value, value - 1, 1 - value]) {
            for factor in
                [0, 1, 3, 250_000, 500_000, 1_500_000, FACTOR_MAX].into_iter().flat_map(|factor| [factor, -factor])
            {
                let exact = divide_wide_half_even(i128::from(value) * i128::from(factor), FACTOR_ONE.into());
                assert_eq!(times(value, factor), i64::try_from(exact).ok(), "{value} times {factor}");
                assert_eq!(times_wide(value, factor), i64::try_from(exact).ok(), "{value} times {factor}");
            }
            for divisor in [1, 2, 3, 7, 1_000_000, i64::MAX - 1, i64::MAX] {
                let exact = divide_wide_half_even(value.into(), divisor.into());
                assert_eq!(i128::from(divide_64_half_even(value, divisor)), exact, "{value} / {divisor}");
            }
        }
    }

    #[test]
    fn a_quantity_is_written_with_its_unit() {
        assert_eq!(Unit::Rate.write(43_000), "4.30 %");
        assert_eq!(Unit::Rate.write(-12_345), "-1.2345 %");
        assert_eq!(Unit::Spread.write(5_000), "50 bp");
        assert_eq!(Unit::Spread.write(-25), "-0.25 bp");
        assert_eq!(Unit::Index { scale: 3 }.write(2_710_349), "2710.349 points");
        let money = Unit::Money { currency: Currency::parse("CNY").expect("a currency"), scale: 2 };
        assert_eq!(money.write(125_000), "CNY 1250.00");
        assert_eq!(Unit::Days.write(1), "1 day");
    }
}
