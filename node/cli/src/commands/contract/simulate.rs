//! `assay contract simulate`: one loan on one day, line by line.
//!
//! A program stops at the first line that decides. To say what every line comes to, each is run alone, in a program compiled
//! from the same policy with that line first and a line behind it that never holds: the machine's own answer, not a second
//! evaluator's.

use super::{PolicyFile, percent, sector};
use crate::outcome::{Exit, Failure, Outcome};
use contracts_backtest::{Rounding, asks, decimal_at_scale, parse_period, verdict_word};
use contracts_vm::calendar::MS_PER_DAY;
use contracts_vm::policy::{Condition, Policy, QuantityKind};
use contracts_vm::unit::{Unit, decimal};
use contracts_vm::{Activation, Date, DenyReason, InputUsed, Period, Reading, Readings, Return, SectorCode, Verdict};
use serde_json::{Value, json};

#[derive(clap::Args)]
pub struct Simulate {
    #[command(flatten)]
    policy: PolicyFile,
    /// The day, UTC: 2026-11-27.
    #[arg(long, value_name = "DATE", value_parser = date)]
    at: Date,
    /// The borrower's sector: ISIC section (C) or division (C10).
    #[arg(long, value_name = "CODE", value_parser = sector)]
    sector: Option<SectorCode>,
    /// The loan's yearly rate: 4.30%.
    #[arg(long, value_name = "PERCENT", value_parser = percent, allow_hyphen_values = true)]
    rate: Option<i64>,
    /// The loan's term in days.
    #[arg(long, value_name = "DAYS", default_value_t = contracts_backtest::TERM_DAYS)]
    term: u16,
    /// Values of a feed, oldest first: gdp=99.1,100.2. The last is of the newest whole period before --at, unless
    /// @PERIOD says otherwise: gdp=99.1,100.2@2026Q2. What is published is known at its period's end.
    #[arg(long = "feed", value_name = "NAME=VALUE,…[@PERIOD]")]
    feeds: Vec<String>,
    /// When the loan that is returned on that day was made; without, --term before it.
    #[arg(long, value_name = "DATE", value_parser = date)]
    activated: Option<Date>,
}

fn date(text: &str) -> Result<Date, String> {
    match parse_period(text) {
        Some((contracts_vm::Frequency::Daily, day)) if day.0 >= 0 => Ok(Date(day.0)),
        _ => Err(format!("{text} is no day from 1970 on: write 2026-11-27")),
    }
}

/// More than a line alone adds to a program, in bytes and in fuel: two conditions that ask for the month, two constants.
const ALONE_BYTES: usize = 128;

/// Readings of each feed, newest first.
struct Given(Vec<Vec<Reading>>);

impl Readings for Given {
    fn reading(&self, feed: usize, back: u16) -> Option<Reading> {
        self.0[feed].get(usize::from(back)).copied()
    }
}

/// What a line comes to.
enum Part {
    Holds,
    DoesNot,
    /// It has no answer, and ends the run so.
    Ends(DenyReason),
}

struct Line {
    text: String,
    part: Part,
    inputs: Vec<InputUsed>,
}

impl Simulate {
    pub fn run(self) -> Result<Outcome, Failure> {
        let policy = self.policy.checked()?.policy;
        let program = policy.compile();
        let asks = asks(&policy);
        if asks.sector && self.sector.is_none() {
            return Err(Failure::usage("the policy asks for the loan's sector").with_help("--sector C10"));
        }
        if asks.rate && self.rate.is_none() {
            return Err(Failure::usage("the policy asks for the loan's rate").with_help("--rate 4.30%"));
        }
        let given = self.readings(&policy)?;
        let time_ms = self.at.start_ms();
        let loan = Activation {
            time_ms,
            sector: self.sector.unwrap_or(SectorCode::at(0)),
            loan_rate: self.rate.unwrap_or(0),
            term_days: self.term,
        };
        let held_ms = u64::from(self.term) * MS_PER_DAY;
        let activated_ms = self.activated.map_or(time_ms.saturating_sub(held_ms), Date::start_ms);
        let due = Return { activated_ms, time_ms };

        let bytes = program.to_bytes().len() + ALONE_BYTES;
        let fuel = program.fuel() + ALONE_BYTES as u32;
        if bytes > contracts_vm::PROGRAM_BYTES_MAX || fuel > contracts_vm::FUEL_MAX {
            return Err(Failure::new(Exit::Refused, "policy_too_large", "the policy is too large to be taken apart"));
        }
        let texts = Texts::of(&policy);
        let denies = lines(&policy, &texts.denies, &policy.denies, &loan, &given);
        let effective = lines(&policy, &texts.effective, &policy.effective, &loan, &given);
        let cases = cases(&policy, &texts.cases, &due, &given);
        let verdict = program.activate(&loan, &given);
        let rate = program.return_rate(&due, &given);
        let decides = cases.iter().position(|line| !matches!(line.part, Part::DoesNot));

        let mut asked = vec![format!("for {} days", self.term)];
        asked.extend(self.sector.map(|sector| format!("of sector {sector}")));
        asked.extend(self.rate.map(|rate| format!("at {}", contracts_vm::Rate(rate))));
        let mut text =
            format!("{} version {} on {}: a loan {}\n", policy.name, policy.version, self.at, asked.join(", "));
        for (heading, lines) in [("effective when", &effective), ("deny when", &denies), ("return rate", &cases)] {
            if !lines.is_empty() {
                text.push_str(&format!("\n{heading}\n"));
            }
            for (number, line) in (1..).zip(lines) {
                text.push_str(&format!("  {number}  {:<14} {}\n", word(&line.part), line.text));
                let read = read(&policy, &line.inputs);
                if !read.is_empty() {
                    text.push_str(&format!("     {:<14} with {}\n", "", read.join(", ")));
                }
            }
        }
        let by = decides.map_or_else(|| "otherwise".to_owned(), |at| format!("line {}", at + 1));
        text.push_str(&format!("\nverdict  {}", verdict_text(&verdict.value, &policy)));
        text.push_str(&format!(
            "\nrate     {} by {by}, within {} to {}",
            rate.value,
            program.clamp().0,
            program.clamp().1
        ));
        text.push_str(&format!("\nfuel     {} and {} of at most {}", verdict.fuel, rate.fuel, program.fuel()));

        let list = |lines: &[Line]| lines.iter().map(|line| document(line, &policy)).collect::<Vec<_>>();
        let verdict_document = match verdict.value {
            Verdict::Permit { due_days } => json!({ "permit": true, "due_days": due_days }),
            Verdict::Deny { reason } => json!({
                "permit": false, "reason": reason.number(), "detail": reason.detail(), "message": reason.to_string(),
            }),
        };
        let data = json!({
            "policy": policy.name, "version": policy.version, "at": self.at.to_string(),
            "effective": list(&effective), "denies": list(&denies), "cases": list(&cases),
            "verdict": verdict_document, "rate": rate.value.0, "decided_by": by, "fuel": [verdict.fuel, rate.fuel],
        });
        Ok(Outcome::new(data, text))
    }

    fn readings(&self, policy: &Policy) -> Result<Given, Failure> {
        let mut given = Given(vec![Vec::new(); policy.feeds.len()]);
        for text in &self.feeds {
            let (name, values) = text.split_once('=').ok_or_else(|| {
                Failure::usage(format!("{text} gives no feed a value")).with_help("--feed gdp=99.1,100.2")
            })?;
            let is_named = |feed: &contracts_vm::policy::Feed| feed.name == name || feed.series.as_str() == name;
            let at = policy.feeds.iter().position(is_named).ok_or_else(|| {
                let names: Vec<&str> = policy.feeds.iter().map(|feed| feed.name.as_str()).collect();
                Failure::usage(format!("the policy reads no feed {name}"))
                    .with_help(format!("one of: {}", names.join(", ")))
            })?;
            let feed = &policy.feeds[at];
            let (values, newest) = match values.split_once('@') {
                None => (values, Period(Period::containing(feed.frequency, self.at.start_ms()).0 - 1)),
                Some((values, period)) => match parse_period(period) {
                    Some((frequency, period)) if frequency == feed.frequency => (values, period),
                    _ => {
                        let word = feed.frequency.period_word();
                        return Err(Failure::usage(format!("{period} is no {word}, which the feed {name} counts in")));
                    }
                },
            };
            for (period, value) in (0..).map(|back| Period(newest.0 - back)).zip(values.split(',').rev()) {
                let (value, _) = decimal_at_scale(value.trim(), feed.scale, Rounding::Refuse)?;
                given.0[at].push(Reading {
                    period,
                    vintage: 1,
                    value,
                    published_ms: period.end(feed.frequency).map_or(0, Date::start_ms),
                    valid_until_ms: u64::MAX,
                });
            }
        }
        Ok(given)
    }
}

/// The lines of the canonical text, part by part.
#[derive(Default)]
struct Texts {
    effective: Vec<String>,
    denies: Vec<String>,
    cases: Vec<String>,
}

impl Texts {
    fn of(policy: &Policy) -> Texts {
        let (mut texts, mut heading) = (Texts::default(), String::new());
        for line in policy.canonical().lines() {
            let Some(line) = line.strip_prefix("    ") else {
                heading = line.to_owned();
                continue;
            };
            match heading.as_str() {
                "effective when" => texts.effective.push(line.to_owned()),
                "deny when" => texts.denies.push(line.to_owned()),
                "return rate" if line.starts_with("when ") => texts.cases.push(line.to_owned()),
                _ => {}
            }
        }
        texts
    }
}

/// No month is outside the year.
fn never() -> Condition {
    Condition::Not(Box::new(Condition::Months(0xfff)))
}

fn lines(policy: &Policy, texts: &[String], conditions: &[Condition], loan: &Activation, given: &Given) -> Vec<Line> {
    let one = |(text, condition): (&String, &Condition)| {
        let mut alone = policy.clone();
        // What comes behind `never` keeps the feeds read, and never runs.
        let all = std::mem::take(&mut alone.effective).into_iter().chain(std::mem::take(&mut alone.denies));
        let mut others: Vec<Condition> = all.collect();
        others.retain(|other| other != condition);
        alone.effective = [condition.clone(), never()].into_iter().chain(others).collect();
        let found = alone.compile().activate(loan, given);
        let part = match found.value {
            Verdict::Deny { reason: DenyReason::Uncomputable } => Part::Ends(DenyReason::Uncomputable),
            Verdict::Deny { reason: reason @ DenyReason::FeedStale { .. } } => Part::Ends(reason),
            Verdict::Deny { reason: reason @ DenyReason::Sector { line: 0 } } => Part::Ends(reason),
            Verdict::Deny { reason } if reason.detail() == 1 => Part::DoesNot,
            _ => Part::Holds,
        };
        Line { text: text.clone(), part, inputs: found.inputs }
    };
    texts.iter().zip(conditions).map(one).collect()
}

/// Pays nothing where the case holds, a step where it does not, and two steps, the clamp's upper end, where it has no answer.
fn cases(policy: &Policy, texts: &[String], due: &Return, given: &Given) -> Vec<Line> {
    let one = |(at, text): (usize, &String)| {
        let mut alone = policy.clone();
        let pays = |condition: Condition, rate: i64| {
            let mut case = policy.cases[at].clone();
            case.when = condition;
            (case.rate.unit, case.rate.kind) = (Unit::Rate, QuantityKind::Constant(rate));
            case
        };
        let always = Condition::Months(0xfff);
        alone.cases[at].when = never();
        alone.cases.splice(0..0, [pays(policy.cases[at].when.clone(), 0), pays(always, policy.step)]);
        (alone.lower, alone.upper) = (0, 2 * policy.step);
        let found = alone.compile().return_rate(due, given);
        let part = match found.value.0 {
            0 => Part::Holds,
            rate if rate == policy.step => Part::DoesNot,
            _ => Part::Ends(DenyReason::Uncomputable),
        };
        Line { text: text.clone(), part, inputs: found.inputs }
    };
    texts.iter().enumerate().map(one).collect()
}

fn word(part: &Part) -> &'static str {
    match part {
        Part::Holds => "holds",
        Part::DoesNot => "does not hold",
        Part::Ends(_) => "has no answer",
    }
}

/// `gdp 2026Q2 100.2`, or that there is none.
fn read(policy: &Policy, inputs: &[InputUsed]) -> Vec<String> {
    let one = |input: &InputUsed| {
        let feed = &policy.feeds[usize::from(input.feed)];
        match input.reading {
            Some(reading) => {
                let value = decimal(reading.value, feed.scale, feed.scale);
                format!("{} {} {value}", feed.name, reading.period.text(feed.frequency))
            }
            None if input.back == 0 => format!("{} without a value", feed.name),
            None => format!("{} without a value {} {}s ago", feed.name, input.back, feed.frequency.period_word()),
        }
    };
    inputs.iter().map(one).collect()
}

fn verdict_text(verdict: &Verdict, policy: &Policy) -> String {
    match verdict {
        Verdict::Permit { due_days } => format!("permit: the bank's return falls due in {due_days} days"),
        Verdict::Deny { reason: DenyReason::FeedStale { feed } } => {
            format!("deny: the feed {} has no value that is new enough", policy.feeds[usize::from(*feed)].name)
        }
        Verdict::Deny { .. } => verdict_word(verdict),
    }
}

fn document(line: &Line, policy: &Policy) -> Value {
    let holds = match line.part {
        Part::Holds => Some(true),
        Part::DoesNot => Some(false),
        Part::Ends(_) => None,
    };
    let why = if let Part::Ends(reason) = line.part { Some(reason.to_string()) } else { None };
    json!({ "line": line.text, "holds": holds, "no_answer": why, "inputs": read(policy, &line.inputs) })
}
