//! Amounts, times and ages as people read them, in either language. Times are UTC: two readers compare what they see.

use crate::language::Language;

/// Minor units with `exponent` decimal places, in groups of three.
pub fn amount(minor: u128, exponent: u8) -> String {
    let exponent = usize::from(exponent);
    let digits = format!("{minor:0>width$}", width = exponent + 1);
    let (whole, fraction) = digits.split_at(digits.len() - exponent);
    let whole = grouped(whole);
    if fraction.is_empty() { whole } else { format!("{whole}.{fraction}") }
}

/// A feed's value with all its decimals, as the ledger has it: no grouping, so that a program reads it too.
pub fn scaled(value: i64, scale: u8) -> String {
    contracts_vm::unit::decimal(value, scale, scale)
}

pub fn number(n: u64) -> String {
    grouped(&n.to_string())
}

/// Digits in groups of three.
pub fn grouped(digits: &str) -> String {
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn at(ms: u64) -> jiff::Zoned {
    let timestamp = i64::try_from(ms).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    timestamp.unwrap_or(jiff::Timestamp::UNIX_EPOCH).to_zoned(jiff::tz::TimeZone::UTC)
}

pub fn time(language: Language, ms: u64) -> String {
    let format = match language {
        Language::English => "%-d %b %Y, %H:%M:%S UTC",
        Language::Chinese => "%Y年%-m月%-d日 %H:%M:%S（UTC）",
    };
    at(ms).strftime(format).to_string()
}

pub fn day(language: Language, ms: u64) -> String {
    let format = match language {
        Language::English => "%-d %b %Y",
        Language::Chinese => "%Y年%-m月%-d日",
    };
    at(ms).strftime(format).to_string()
}

/// For `datetime`.
pub fn machine_time(ms: u64) -> String {
    at(ms).strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// On a chart's axis.
pub fn short_time(ms: u64, span_ms: u64) -> String {
    let format = if span_ms > 2 * 86_400_000 { "%Y-%m-%d" } else { "%H:%M:%S" };
    at(ms).strftime(format).to_string()
}

pub fn age(language: Language, ms: u64) -> String {
    let seconds = ms / 1_000;
    let (key, n) = match seconds {
        0..=119 => ("js.age_seconds", seconds),
        120..=7_199 => ("js.age_minutes", seconds / 60),
        7_200..=172_799 => ("js.age_hours", seconds / 3_600),
        _ => ("js.age_days", seconds / 86_400),
    };
    language.t(key).replace("{n}", &n.to_string())
}

/// A duration to a tenth of a second.
pub fn seconds(language: Language, ms: u64) -> String {
    language.fill("seconds", &[&format_args!("{}.{}", ms / 1_000, ms % 1_000 / 100)])
}

/// A round number on a chart's axis.
pub fn round(language: Language, value: f64) -> String {
    let units: &[(f64, &str)] = match language {
        Language::English => &[(1e12, "T"), (1e9, "B"), (1e6, "M")],
        Language::Chinese => &[(1e12, "万亿"), (1e8, "亿"), (1e4, "万")],
    };
    match units.iter().find(|(unit, _)| value >= *unit) {
        Some((unit, name)) => format!("{}{name}", (value / unit * 100.0).round() / 100.0),
        None => number(value as u64),
    }
}

/// The first and last characters of something long.
pub fn short(text: &str) -> String {
    match (text.get(..10), text.get(text.len().saturating_sub(6)..)) {
        (Some(front), Some(back)) if text.len() > 20 => format!("{front}…{back}"),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_exact_and_grouped() {
        for (minor, exponent, text) in [
            (0, 2, "0.00"),
            (5, 2, "0.05"),
            (123_456_789, 2, "1,234,567.89"),
            (1_000, 0, "1,000"),
            (u128::MAX, 2, "3,402,823,669,209,384,634,633,746,074,317,682,114.55"),
        ] {
            assert_eq!(amount(minor, exponent), text);
        }
    }

    #[test]
    fn an_axis_counts_as_its_language_does() {
        for (value, english, chinese) in
            [(0.0, "0", "0"), (20_000.0, "20,000", "2万"), (5e7, "50M", "5000万"), (2.5e9, "2.5B", "25亿")]
        {
            let both = (round(Language::English, value), round(Language::Chinese, value));
            assert_eq!(both, (english.into(), chinese.into()));
        }
    }

    #[test]
    fn times_are_utc_and_no_number_breaks_them() {
        assert_eq!(time(Language::English, 1_700_000_000_000), "14 Nov 2023, 22:13:20 UTC");
        assert_eq!(time(Language::Chinese, 1_700_000_000_000), "2023年11月14日 22:13:20（UTC）");
        assert_eq!(machine_time(u64::MAX), "1970-01-01T00:00:00Z");
        assert_eq!(age(Language::English, 5_000), "5 s ago");
        assert_eq!(age(Language::Chinese, 180_000), "3 分钟前");
    }
}
