//! A program as text, and back: LANGUAGE.md, P. For people who want to see what a validator runs.

use crate::Frequency;
use crate::instruction::{Instruction, Operand, TABLE, sectors_of};
use crate::program::{Parts, Program, ProgramError};
use crate::unit::{Currency, FeedUse, SeriesName, Unit, Vintage, WhenStale};
use crate::verify::refused;
use std::fmt::Write;

impl Program {
    /// P-4: [`Program::assemble`] gives the same program.
    pub fn disassemble(&self) -> String {
        let parts = &self.parts;
        let mut text = String::new();
        let _ = writeln!(text, "policy {} version {}", parts.name, parts.version);
        let _ = writeln!(text, "currency {} idle {} due {}", parts.currency, parts.idle_days, parts.due_days);
        let _ = writeln!(text, "clamp {} {} step {}", parts.lower, parts.upper, parts.step);
        for feed in &parts.feeds {
            let vintage = match feed.vintage {
                Vintage::First => "first",
                Vintage::Latest => "latest",
            };
            let stale = match feed.when_stale {
                WhenStale::Deny => "deny".to_owned(),
                WhenStale::Fallback(value) => value.to_string(),
            };
            let unit = unit_text(feed.unit);
            let _ = writeln!(
                text,
                "feed {} {} {unit} scale {} age {} {vintage} stale {stale} periods {}",
                feed.series,
                feed.frequency.word(),
                feed.scale,
                feed.max_age_days,
                feed.periods
            );
        }
        for (heading, code) in [("activation", &parts.activation), ("return", &parts.return_rate)] {
            let _ = writeln!(text, "{heading}");
            for (at, instruction) in code.iter().enumerate() {
                let mut line = format!("    {at:4}  {}", instruction.op.row().mnemonic);
                let mut scalars = [instruction.a, instruction.b].into_iter();
                for operand in instruction.op.row().operands {
                    let _ = match operand {
                        Operand::Unit => write!(line, " {}", unit_text(instruction.unit)),
                        Operand::Sectors => write!(line, " {:#x}", instruction.sectors.bits()),
                        _ => write!(line, " {}", scalars.next().expect("no instruction has three")),
                    };
                }
                let _ = writeln!(text, "{line:<44}; fuel {}", instruction.fuel());
            }
        }
        text
    }

    /// Verified as bytes are.
    pub fn assemble(text: &str) -> Result<Self, ProgramError> {
        Self::verified(parts(text)?)
    }
}

fn unit_text(unit: Unit) -> String {
    match unit {
        Unit::Rate => "rate".to_owned(),
        Unit::Spread => "spread".to_owned(),
        Unit::Index { scale } => format!("index.{scale}"),
        Unit::Money { currency, scale } => format!("money.{currency}.{scale}"),
        Unit::Days => "days".to_owned(),
        Unit::Truth => "truth".to_owned(),
    }
}

fn unit_of(text: &str) -> Option<Unit> {
    let scale = |text: &str| text.parse().ok().filter(|scale| *scale <= crate::unit::INDEX_SCALE_MAX);
    Some(match text.split('.').collect::<Vec<_>>()[..] {
        ["rate"] => Unit::Rate,
        ["spread"] => Unit::Spread,
        ["days"] => Unit::Days,
        ["index", text] => Unit::Index { scale: scale(text)? },
        ["money", currency, text] => Unit::Money { currency: Currency::parse(currency)?, scale: scale(text)? },
        _ => return None,
    })
}

fn parts(text: &str) -> Result<Parts, ProgramError> {
    let lines: Vec<Vec<&str>> = text
        .lines()
        .map(|line| line.split(';').next().unwrap_or_default().split_whitespace().collect::<Vec<_>>())
        .filter(|words| !words.is_empty())
        .collect();
    let wrong = |words: &[&str]| refused(1, format!("`{}` is no line of a program", words.join(" ")));
    let mut lines = lines.iter().map(Vec::as_slice).peekable();
    let end = || refused(1, "the text ends too early");
    fn value<T: std::str::FromStr>(text: &str) -> Result<T, ProgramError> {
        text.parse().map_err(|_| refused(1, format!("`{text}` is no number that fits")))
    }

    let first = lines.next().ok_or_else(end)?;
    let ["policy", name, "version", version] = first[..] else { return Err(wrong(first)) };
    let second = lines.next().ok_or_else(end)?;
    let ["currency", currency, "idle", idle, "due", due] = second[..] else { return Err(wrong(second)) };
    let third = lines.next().ok_or_else(end)?;
    let ["clamp", lower, upper, "step", step] = third[..] else { return Err(wrong(third)) };
    let mut feeds = Vec::new();
    while let Some(words) = lines.next_if(|words| words[0] == "feed") {
        let ["feed", series, frequency, unit, "scale", scale, "age", age, vintage, "stale", stale, "periods", periods] =
            words[..]
        else {
            return Err(wrong(words));
        };
        let scale = value(scale)?;
        let unit = unit_of(unit).filter(|unit| match *unit {
            Unit::Rate => scale <= crate::unit::PERCENT_DECIMALS,
            Unit::Index { scale: own } | Unit::Money { scale: own, .. } => own == scale,
            _ => false,
        });
        feeds.push(FeedUse {
            series: SeriesName::parse(series).ok_or_else(|| wrong(words))?,
            frequency: Frequency::ALL
                .into_iter()
                .find(|known| known.word() == frequency)
                .ok_or_else(|| wrong(words))?,
            unit: unit.ok_or_else(|| wrong(words))?,
            scale,
            max_age_days: value(age)?,
            vintage: match vintage {
                "first" => Vintage::First,
                "latest" => Vintage::Latest,
                _ => return Err(wrong(words)),
            },
            when_stale: if stale == "deny" { WhenStale::Deny } else { WhenStale::Fallback(value(stale)?) },
            periods: value(periods)?,
        });
    }
    let mut code = |heading: &str| {
        if lines.next_if(|words| *words == [heading]).is_none() {
            return Err(refused(1, format!("`{heading}` is missing")));
        }
        let mut code = Vec::new();
        while let Some(words) = lines.next_if(|words| words[0].starts_with(|c: char| c.is_ascii_digit())) {
            code.push(instruction(words, code.len())?);
        }
        Ok(code)
    };
    let (activation, return_rate) = (code("activation")?, code("return")?);
    if let Some(words) = lines.next() {
        return Err(wrong(words));
    }
    Ok(Parts {
        name: name.to_owned(),
        version: value(version)?,
        currency: Currency::parse(currency).ok_or_else(|| wrong(second))?,
        idle_days: value(idle)?,
        due_days: value(due)?,
        lower: value(lower)?,
        upper: value(upper)?,
        step: value(step)?,
        feeds,
        activation,
        return_rate,
    })
}

fn instruction(words: &[&str], at: usize) -> Result<Instruction, ProgramError> {
    let wrong = |what: &str| refused(4, format!("`{}`: {what}", words.join(" ")));
    if words[0].parse() != Ok(at) {
        return Err(wrong("the lines are not counted from 0"));
    }
    let mnemonic = words.get(1).ok_or_else(|| wrong("no instruction"))?;
    let row = TABLE.iter().find(|row| row.mnemonic == *mnemonic).ok_or_else(|| wrong("no such instruction"))?;
    if words.len() != 2 + row.operands.len() {
        return Err(wrong("it has another number of operands"));
    }
    let mut instruction = Instruction::new(row.op);
    let mut scalars = Vec::new();
    for (operand, word) in row.operands.iter().zip(&words[2..]) {
        match operand {
            Operand::Unit => instruction.unit = unit_of(word).ok_or_else(|| wrong("no such unit"))?,
            Operand::Sectors => {
                let bits = word.strip_prefix("0x").and_then(|hex| u128::from_str_radix(hex, 16).ok());
                let set = sectors_of(bits.ok_or_else(|| wrong("no set of sectors"))?);
                instruction.sectors = set.map_err(|cause| refused(4, cause))?;
            }
            _ => scalars.push(word.parse().map_err(|_| wrong("no number"))?),
        }
    }
    instruction.set_scalars(&scalars).map_err(|cause| refused(4, cause))?;
    Ok(instruction)
}
