//! Amounts as people write them, without floats: `12.50` with two decimal places is 1250 minor units.

use crate::outcome::Failure;

pub fn parse(text: &str, exponent: u8) -> Result<u64, Failure> {
    let refuse = |why: &str| Err(Failure::usage(format!("{text} is no amount: {why}")));
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if whole.is_empty() || !whole.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit()) {
        return refuse("write digits, and a point before the minor units");
    }
    if text.ends_with('.') || fraction.len() > usize::from(exponent) {
        return refuse(&format!("the currency has {exponent} decimal places"));
    }
    let padded = format!("{whole}{fraction:0<width$}", width = usize::from(exponent));
    match padded.parse::<u64>() {
        Ok(0) => refuse("it is zero"),
        Ok(minor) => Ok(minor),
        Err(_) => refuse("it is too large"),
    }
}

pub fn show(minor: u128, exponent: u8) -> String {
    let unit = 10u128.pow(u32::from(exponent));
    match exponent {
        0 => minor.to_string(),
        _ => format!("{}.{:0width$}", minor / unit, minor % unit, width = usize::from(exponent)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_exact_and_never_rounded() {
        for (text, minor) in
            [("12.50", 1250), ("12.5", 1250), ("12", 1200), ("0.01", 1), ("184467440737095516.15", u64::MAX)]
        {
            assert_eq!(parse(text, 2).unwrap(), minor);
        }
        for text in
            ["", ".", "1.", ".5", "0", "0.00", "1.001", "-1", "+1", "1e3", "1,5", "184467440737095516.16", "1.5.0"]
        {
            assert!(parse(text, 2).is_err(), "{text}");
        }
        assert_eq!(parse("7", 0).unwrap(), 7);
        assert_eq!(show(1250, 2), "12.50");
        assert_eq!(show(5, 2), "0.05");
        assert_eq!(show(7, 0), "7");
    }
}
