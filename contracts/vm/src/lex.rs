//! From characters to words, line by line. A line goes on inside an open bracket; `#` begins a comment (G-1).

use crate::diagnostic::{Diagnostic, Span};

#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Token {
    /// Lower case: a keyword or a feed's name.
    Word(String),
    /// Upper case: a currency, a sector code, `ISIC`.
    Code(String),
    Text(String),
    /// `4.30` is 430 with two decimals.
    Number {
        digits: i64,
        decimals: u8,
    },
    /// `2026-01-31`, `2026-01` or `2026Q1`: year, and what of it.
    Term(i32, TermOf),
    Symbol(&'static str),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum TermOf {
    Day(u32, u32),
    Month(u32),
    Quarter(u32),
}

impl Token {
    /// As a diagnostic calls it.
    pub fn describe(&self) -> String {
        match self {
            Self::Word(word) | Self::Code(word) => format!("`{word}`"),
            Self::Text(text) => format!("the text \"{text}\""),
            Self::Number { .. } => "a number".to_owned(),
            Self::Term(..) => "a date".to_owned(),
            Self::Symbol(symbol) => format!("`{symbol}`"),
        }
    }
}

pub(crate) type Placed = (Token, Span);

/// Longest first.
const SYMBOLS: [&str; 16] = ["..", "<=", ">=", "<", ">", "=", ",", ":", "{", "}", "(", ")", "+", "-", "*", "%"];
/// D-3: digits of a number. 10^15, the largest index or amount at its scale (D-18), has as many.
const DIGITS_MAX: usize = 16;

/// The lines that say something, but for those in which a word could not be read: those are told of, and left out.
pub(crate) fn lines(source: &str, diagnostics: &mut Vec<Diagnostic>) -> Vec<Vec<Placed>> {
    let mut lines = Vec::new();
    let mut told = diagnostics.len();
    let mut line: Vec<Placed> = Vec::new();
    let mut open = 0_u32;
    let bytes = source.as_bytes();
    let run = |from: usize, is: fn(u8) -> bool| bytes[from..].iter().take_while(|c| is(**c)).count();
    let mut at = 0;
    while at < bytes.len() {
        let from = at;
        let token = match bytes[at] {
            b'\n' => {
                at += 1;
                if open == 0 {
                    let line = std::mem::take(&mut line);
                    if !line.is_empty() && diagnostics.len() == told {
                        lines.push(line);
                    }
                    told = diagnostics.len();
                }
                continue;
            }
            b' ' | b'\t' | b'\r' => {
                at += 1;
                continue;
            }
            b'#' => {
                at += run(at, |c| c != b'\n');
                continue;
            }
            b'a'..=b'z' => {
                at += run(at, |c| matches!(c, b'a'..=b'z' | b'0'..=b'9' | b'_'));
                Token::Word(source[from..at].to_owned())
            }
            b'A'..=b'Z' => {
                at += run(at, |c| c.is_ascii_alphanumeric());
                Token::Code(source[from..at].to_owned())
            }
            b'"' => {
                let length = run(at + 1, |c| c != b'"' && c != b'\n');
                at += 1 + length;
                let text = source[from + 1..at].to_owned();
                if bytes.get(at) != Some(&b'"') {
                    diagnostics.push(Diagnostic {
                        number: 2,
                        place: Span::new(from, at),
                        also: Vec::new(),
                        cause: "the text has no closing quote on its line".to_owned(),
                        mend: "close it with \"".to_owned(),
                    });
                } else {
                    at += 1;
                }
                Token::Text(text)
            }
            b'0'..=b'9' => {
                let (token, length) = number(&bytes[at..]);
                at += length;
                token.unwrap_or_else(|| {
                    diagnostics.push(Diagnostic {
                        number: 3,
                        place: Span::new(from, at),
                        also: Vec::new(),
                        cause: format!("the number has more than {DIGITS_MAX} digits"),
                        mend: "write it shorter: no quantity of a policy needs as many".to_owned(),
                    });
                    Token::Number { digits: 0, decimals: 0 }
                })
            }
            _ => match SYMBOLS.iter().find(|symbol| bytes[at..].starts_with(symbol.as_bytes())) {
                Some(symbol) => {
                    at += symbol.len();
                    match *symbol {
                        "(" | "{" => open += 1,
                        ")" | "}" => open = open.saturating_sub(1),
                        _ => {}
                    }
                    Token::Symbol(symbol)
                }
                None => {
                    let character = source[at..].chars().next().expect("`at` is before the end, at a character");
                    at += character.len_utf8();
                    diagnostics.push(Diagnostic {
                        number: 1,
                        place: Span::new(from, at),
                        also: Vec::new(),
                        cause: match character.is_control() {
                            true => format!("the character {} has no meaning here", character.escape_default()),
                            false => format!("`{character}` has no meaning here"),
                        },
                        mend: match character {
                            '≤' => "write <=".to_owned(),
                            '≥' => "write >=".to_owned(),
                            '–' | '−' => "write -".to_owned(),
                            _ => "take it out, or put it behind # as a comment".to_owned(),
                        },
                    });
                    continue;
                }
            },
        };
        line.push((token, Span::new(from, at)));
    }
    if !line.is_empty() && diagnostics.len() == told {
        lines.push(line);
    }
    lines
}

/// A number or a date, and its length in bytes; no token if it has too many digits.
fn number(bytes: &[u8]) -> (Option<Token>, usize) {
    let digits = |from: usize| bytes.get(from..).unwrap_or(&[]).iter().take_while(|c| c.is_ascii_digit()).count();
    let value = |from: usize, length: usize| {
        bytes[from..from + length].iter().fold(0_u32, |value, c| value * 10 + u32::from(c - b'0'))
    };
    let whole = digits(0);
    if whole == 4 {
        let year = i32::try_from(value(0, 4)).expect("four digits");
        if bytes.get(4) == Some(&b'Q') && digits(5) == 1 {
            return (Some(Token::Term(year, TermOf::Quarter(value(5, 1)))), 6);
        }
        if bytes.get(4) == Some(&b'-') && digits(5) == 2 {
            let month = value(5, 2);
            if bytes.get(7) == Some(&b'-') && digits(8) == 2 {
                return (Some(Token::Term(year, TermOf::Day(month, value(8, 2)))), 10);
            }
            return (Some(Token::Term(year, TermOf::Month(month))), 7);
        }
    }
    let decimals = if bytes.get(whole) == Some(&b'.') { digits(whole + 1) } else { 0 };
    let length = if decimals > 0 { whole + 1 + decimals } else { whole };
    if whole + decimals > DIGITS_MAX {
        return (None, length);
    }
    let all = bytes[..length].iter().filter(|c| c.is_ascii_digit());
    let digits = all.fold(0_i64, |value, c| value * 10 + i64::from(c - b'0'));
    (Some(Token::Number { digits, decimals: u8::try_from(decimals).expect("at most 16") }), length)
}
