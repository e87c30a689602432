//! `assay contract new`: a policy from flags, or from answers, which are turned into the same flags.
//!
//! What is asked is what the paper names: time, sector, loan rate, state of the economy. Every answer is checked when it is
//! given, by checking the policy that it makes with what is still missing filled in; so a wrong one is asked again with the
//! language's own cause and mend.

use super::refused;
use crate::outcome::{Failure, Outcome};
use contracts_vm::{Checked, Diagnostic};
use serde_json::json;
use std::io::{BufRead, IsTerminal, Write};
use std::path::PathBuf;

#[derive(clap::Args)]
pub struct New {
    #[command(flatten)]
    draft: Draft,
    /// Write the policy here, where no file is yet; without, to standard output.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// A policy's lines, as the language has them (contracts/LANGUAGE.md).
#[derive(clap::Args, Clone, Default, PartialEq, Eq, Debug)]
struct Draft {
    /// 1 to 32 of a-z, 0-9 and -. Without it, and on a terminal, everything is asked.
    #[arg(long)]
    name: Option<String>,
    /// Without, 1.
    #[arg(long, value_name = "NUMBER")]
    version: Option<u32>,
    #[arg(long, value_name = "CODE")]
    currency: Option<String>,
    /// A series that it reads: 'gdp = "cn.gdp.real" quarterly index scale 3, at most 200 days old, first vintage, when
    /// stale deny'.
    #[arg(long = "feed", value_name = "LINE")]
    feeds: Vec<String>,
    /// What must hold for a loan: 'loan rate <= lpr + 50 bp'. Several must all hold.
    #[arg(long = "when", value_name = "CONDITION")]
    effective: Vec<String>,
    /// What no loan may be, whatever else holds.
    #[arg(long = "deny", value_name = "CONDITION")]
    denies: Vec<String>,
    /// After so many days money that nobody lent goes back.
    #[arg(long, value_name = "DAYS")]
    idle_days: Option<u16>,
    /// So many days after the loan's term the bank's return falls due. Without, none.
    #[arg(long, value_name = "DAYS")]
    due_days: Option<u16>,
    /// A rate that is paid while something holds: 'gdp falls 2 quarters in a row : 0.50 %'. The first that holds pays.
    #[arg(long = "case", value_name = "CONDITION : RATE")]
    cases: Vec<String>,
    /// The rate that is paid while no case holds.
    #[arg(long, value_name = "RATE")]
    otherwise: Option<String>,
    /// The lowest rate that may ever be paid: '0.10 %'.
    #[arg(long, value_name = "RATE", allow_hyphen_values = true)]
    lowest: Option<String>,
    /// The highest.
    #[arg(long, value_name = "RATE", allow_hyphen_values = true)]
    highest: Option<String>,
    /// What rates are rounded to. Without, '1 bp'.
    #[arg(long, value_name = "SPREAD")]
    step: Option<String>,
}

impl New {
    pub fn run(self, is_json: bool) -> Result<Outcome, Failure> {
        let asks = self.draft == Draft::default() && !is_json && std::io::stdin().is_terminal();
        let draft = if asks {
            let mut asked = Form { input: &mut std::io::stdin().lock(), output: &mut std::io::stderr().lock() };
            asked.fill()?
        } else {
            self.draft
        };
        let missing = draft.missing();
        if !missing.is_empty() {
            let failure = Failure::usage(format!("a policy needs {}", missing.join(", ")));
            return Err(failure.with_help("on a terminal, assay contract new without flags asks for everything"));
        }
        let Checked { policy, findings } = draft.check().map_err(|wrong| {
            let source = draft.text();
            let lines: Vec<String> = wrong.iter().map(|found| found.line(&source)).collect();
            refused("what these flags say", &wrong, &lines.join("\n"))
        })?;
        let text = policy.canonical();
        if let Some(path) = &self.out {
            let made = std::fs::File::create_new(path).and_then(|mut file| file.write_all(text.as_bytes()));
            made.map_err(|error| Failure::file(path, error))?;
        }
        let flags = draft.flags();
        let command = format!("assay contract new {}", flags.join(" "));
        if asks {
            eprintln!("\nthe same again: {command}\n");
        }
        let data = json!({ "policy": text, "command": command, "file": self.out });
        let shown = self.out.map_or(text, |path| format!("the policy is in {}", path.display()));
        let findings = findings.iter().map(|found| format!("A-{}: {}; {}", found.number, found.cause, found.mend));
        Ok(findings.fold(Outcome::new(data, shown), Outcome::with_warning))
    }
}

/// ISO 4217's code where no currency is meant.
const NO_CURRENCY: &str = "XXX";

impl Draft {
    fn missing(&self) -> Vec<&'static str> {
        let parts = [
            (self.name.is_none(), "--name"),
            (self.currency.is_none(), "--currency"),
            (self.effective.is_empty(), "--when"),
            (self.idle_days.is_none(), "--idle-days"),
            (self.otherwise.is_none(), "--otherwise"),
            (self.lowest.is_none(), "--lowest"),
            (self.highest.is_none(), "--highest"),
        ];
        parts.into_iter().filter(|(is_missing, _)| *is_missing).map(|(_, flag)| flag).collect()
    }

    /// With what is missing filled in by something that is well formed.
    fn text(&self) -> String {
        let or = |text: &Option<String>, filling: &str| text.clone().unwrap_or_else(|| filling.to_owned());
        let lines = |heading: &str, lines: &[String]| match lines {
            [] => String::new(),
            lines => format!("\n{heading}\n    {}\n", lines.join("\n    ")),
        };
        let highest = or(&self.highest, if self.lowest.is_some() { "1000 %" } else { "0.00 %" });
        let lowest = or(&self.lowest, if self.highest.is_some() { "-1000 %" } else { "0.00 %" });
        let filling = ["time from 2026-01-01".to_owned()];
        let effective = if self.effective.is_empty() { &filling[..] } else { &self.effective };
        let mut text = format!("policy \"{}\" version {}\n", or(&self.name, "unnamed"), self.version.unwrap_or(1));
        text.push_str(&format!("currency {}\n", or(&self.currency, NO_CURRENCY)));
        self.feeds.iter().for_each(|feed| text.push_str(&format!("feed {feed}\n")));
        text.push_str(&lines("effective when", effective));
        text.push_str(&lines("deny when", &self.denies));
        text.push_str(&format!("\nidle after {} days\n", self.idle_days.unwrap_or(1)));
        if let Some(days) = self.due_days {
            text.push_str(&format!("due {days} days after loan term\n"));
        }
        text.push_str("\nreturn rate\n");
        self.cases.iter().for_each(|case| text.push_str(&format!("    when {case}\n")));
        text.push_str(&format!("    otherwise {}\n", or(&self.otherwise, "0.00 %")));
        text.push_str(&format!("    clamp {lowest} .. {highest}, step {}\n", or(&self.step, "1 bp")));
        text
    }

    fn check(&self) -> Result<Checked, Vec<Diagnostic>> {
        contracts_vm::check(&self.text())
    }

    /// What is wrong with it so far. A feed that nothing reads yet (D-12) may still be read.
    fn wrong_so_far(&self) -> Option<Diagnostic> {
        self.check().err()?.into_iter().find(|found| found.number != 12)
    }

    fn flags(&self) -> Vec<String> {
        let number = |number: Option<String>| number.into_iter().collect::<Vec<_>>();
        let parts: [(&str, Vec<String>); 13] = [
            ("--name", number(self.name.clone())),
            ("--version", number(self.version.map(|version| version.to_string()))),
            ("--currency", number(self.currency.clone())),
            ("--feed", self.feeds.clone()),
            ("--when", self.effective.clone()),
            ("--deny", self.denies.clone()),
            ("--idle-days", number(self.idle_days.map(|days| days.to_string()))),
            ("--due-days", number(self.due_days.map(|days| days.to_string()))),
            ("--case", self.cases.clone()),
            ("--otherwise", number(self.otherwise.clone())),
            ("--lowest", number(self.lowest.clone())),
            ("--highest", number(self.highest.clone())),
            ("--step", number(self.step.clone())),
        ];
        parts
            .into_iter()
            .flat_map(|(flag, values)| values.into_iter().map(move |value| format!("{flag} {}", quoted(&value))))
            .collect()
    }
}

/// As a POSIX shell takes it for one word.
fn quoted(value: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if !value.is_empty() && value.chars().all(is_plain) {
        return value.to_owned();
    }
    format!("'{}'", value.replace('\'', r"'\''"))
}

/// The guided form. Questions go to standard error, so that the policy alone is on standard output.
struct Form<'a> {
    input: &'a mut dyn BufRead,
    output: &'a mut dyn Write,
}

impl Form<'_> {
    fn fill(&mut self) -> Result<Draft, Failure> {
        let mut draft = Draft::default();
        self.say("An empty answer takes what stands in brackets, or goes on. Ctrl-C leaves.\n")?;
        self.one(&mut draft, "Name of the policy (a-z, 0-9, -)", None, |draft, text| draft.name = Some(text))?;
        self.one(&mut draft, "Version", Some("1"), |draft, text| draft.version = text.parse().ok())?;
        self.one(&mut draft, "Currency", Some("CNY"), |draft, text| draft.currency = Some(text))?;

        self.say("\nSeries that it reads. Empty goes on.\n")?;
        while let Some(name) = self.ask("Short name for a series (gdp)", None)? {
            self.feed(&mut draft, &name)?;
        }
        self.say("\nWhen may a loan be made? What you leave empty does not matter.\n")?;
        let from = self.ask("Time: from which day (2026-01-01)", None)?;
        let until = self.ask("Time: until before which day", None)?;
        let time = match (from, until) {
            (None, None) => None,
            (from, until) => {
                let part =
                    |word: &str, day: Option<String>| day.map(|day| format!(" {word} {day}")).unwrap_or_default();
                Some(format!("time{}{}", part("from", from), part("until", until)))
            }
        };
        if let Some(line) = time {
            self.take(&mut draft, line, |draft, line| draft.effective.push(line))?;
        }
        self.maybe(&mut draft, "Sectors, by ISIC code (A, C10..C12)", |draft, text| {
            draft.effective.push(format!("sector in ISIC {{ {text} }}"));
        })?;
        self.maybe(&mut draft, "Loan rate (<= 4.50 %, or <= lpr + 50 bp)", |draft, text| {
            draft.effective.push(format!("loan rate {text}"));
        })?;
        self.maybe(&mut draft, "Loan term (<= 3 years)", |draft, text| {
            draft.effective.push(format!("loan term {text}"));
        })?;
        self.list(&mut draft, "State of the economy (gdp falls 2 quarters in a row)", |draft, text| {
            draft.effective.push(text);
        })?;
        self.list(&mut draft, "What denies a loan, whatever else holds", |draft, text| draft.denies.push(text))?;
        let whole_days = "a number of days";
        self.number(&mut draft, "Money that nobody lent goes back after days", "180", whole_days, |draft, days| {
            draft.idle_days = Some(days);
        })?;
        self.number(
            &mut draft,
            "The return falls due after the loan's term by days",
            "30",
            whole_days,
            |draft, days| {
                draft.due_days = Some(days);
            },
        )?;

        self.say("\nWhich yearly rate does the bank pay on return? The first case that holds pays.\n")?;
        self.one(&mut draft, "Lowest rate ever", Some("0.00 %"), |draft, text| draft.lowest = Some(text))?;
        self.one(&mut draft, "Highest rate ever", Some("4.00 %"), |draft, text| draft.highest = Some(text))?;
        self.one(&mut draft, "Rounded to", Some("1 bp"), |draft, text| draft.step = Some(text))?;
        self.list(&mut draft, "Case, CONDITION : RATE (gdp falls 2 quarters in a row : 0.50 %)", |draft, text| {
            draft.cases.push(text);
        })?;
        self.one(&mut draft, "Otherwise", None, |draft, text| draft.otherwise = Some(text))?;
        // Nothing was asked of a loan: then every loan is permitted, and the policy says so.
        if draft.effective.is_empty() {
            draft.effective.push("loan term >= 0 days".to_owned());
        }
        Ok(draft)
    }

    fn feed(&mut self, draft: &mut Draft, name: &str) -> Result<(), Failure> {
        loop {
            let answer = |found: Option<String>| found.unwrap_or_default();
            let series = answer(self.ask("  Its name on the ledger (cn.gdp.real)", None)?);
            let frequency = answer(self.ask("  daily, monthly, quarterly or yearly", Some("quarterly"))?);
            let unit = answer(self.ask("  percent, index, or money with its currency (money CNY)", Some("index"))?);
            let scale = answer(self.ask("  Decimals", Some("3"))?);
            let age = answer(self.ask("  Oldest that its newest value may be, in days", Some("200"))?);
            let vintage = answer(self.ask("  first or latest vintage", Some("first"))?);
            let stale = answer(self.ask("  When it is older: deny, or use a value (use 3.45 %)", Some("deny"))?);
            let line = format!(
                "{name} = \"{series}\" {frequency} {unit} scale {scale}, at most {age} days old, {vintage} vintage, \
                 when stale {stale}"
            );
            if self.take(draft, line, |draft, line| draft.feeds.push(line))? {
                return Ok(());
            }
        }
    }

    /// Asked until there is an answer that is right.
    fn one(
        &mut self,
        draft: &mut Draft,
        question: &str,
        usual: Option<&str>,
        put: impl Fn(&mut Draft, String),
    ) -> Result<(), Failure> {
        loop {
            if let Some(text) = self.ask(question, usual)?
                && self.take(draft, text, &put)?
            {
                return Ok(());
            }
        }
    }

    /// Asked until it is empty or right.
    fn maybe(&mut self, draft: &mut Draft, question: &str, put: impl Fn(&mut Draft, String)) -> Result<(), Failure> {
        while let Some(text) = self.ask(question, None)? {
            if self.take(draft, text, &put)? {
                break;
            }
        }
        Ok(())
    }

    /// Asked until it is empty.
    fn list(&mut self, draft: &mut Draft, question: &str, put: impl Fn(&mut Draft, String)) -> Result<(), Failure> {
        while let Some(text) = self.ask(question, None)? {
            self.take(draft, text, &put)?;
        }
        Ok(())
    }

    fn number(
        &mut self,
        draft: &mut Draft,
        question: &str,
        usual: &str,
        what: &str,
        put: impl Fn(&mut Draft, u16),
    ) -> Result<(), Failure> {
        loop {
            let text = self.ask(question, Some(usual))?.unwrap_or_default();
            match text.parse::<u16>() {
                Err(_) => self.say(&format!("  {text} is not {what}\n"))?,
                Ok(number) => {
                    if self.take(draft, number, &put)? {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Whether the answer was right, and is now in the draft.
    fn take<T>(&mut self, draft: &mut Draft, answer: T, put: impl FnOnce(&mut Draft, T)) -> Result<bool, Failure> {
        let mut tried = draft.clone();
        put(&mut tried, answer);
        match tried.wrong_so_far() {
            None => {
                *draft = tried;
                Ok(true)
            }
            Some(wrong) => {
                self.say(&format!("  {wrong}\n"))?;
                Ok(false)
            }
        }
    }

    fn ask(&mut self, question: &str, usual: Option<&str>) -> Result<Option<String>, Failure> {
        let brackets = usual.map(|usual| format!(" [{usual}]")).unwrap_or_default();
        self.say(&format!("{question}{brackets}: "))?;
        let mut line = String::new();
        let read = self.input.read_line(&mut line).map_err(|error| Failure::usage(error.to_string()))?;
        if read == 0 {
            return Err(Failure::interrupted());
        }
        let answer = line.trim();
        Ok(if answer.is_empty() { usual.map(str::to_owned) } else { Some(answer.to_owned()) })
    }

    fn say(&mut self, text: &str) -> Result<(), Failure> {
        let said = self.output.write_all(text.as_bytes()).and_then(|()| self.output.flush());
        said.map_err(|error| Failure::usage(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        new: New,
    }

    fn fill(answers: &str) -> (Draft, String) {
        let mut said = Vec::new();
        let draft = Form { input: &mut answers.as_bytes(), output: &mut said }.fill().unwrap();
        (draft, String::from_utf8(said).unwrap())
    }

    const ANSWERS: &str = "Second Fall\nsecond-fall\n\nUSD\n\
        gdp\nus.gdp.real\n\n\n\n\n\n\n\n\
        \n\n\n<= 430\n<= 4.30 %\n\ngdp falls 2 quarters in a row\n\n\n90\n\n\
        0.50 %\n2.00 %\n\ngdp falls 2 quarters in a row : 0.50 %\n\n2.00 %\n";

    #[test]
    fn answers_make_a_policy_and_a_wrong_one_is_asked_again_with_its_mend() {
        let (draft, said) = fill(ANSWERS);
        let policy = draft.check().unwrap().policy;
        assert_eq!((policy.name.as_str(), policy.idle_days, policy.effective.len()), ("second-fall", 90, 2));
        assert_eq!(said.matches("Name of the policy").count(), 2, "it has a capital and a space: {said}");
        assert_eq!(said.matches("Loan rate").count(), 2, "430 is no rate: {said}");
    }

    #[test]
    fn the_flags_that_are_printed_give_the_same_policy() {
        let (draft, _) = fill(ANSWERS);
        let words = draft.flags().join(" ");
        // A shell splits them: quotes hold words together.
        let mut arguments = vec!["new".to_owned()];
        for (at, part) in words.split('\'').enumerate() {
            if at % 2 == 1 {
                arguments.push(part.to_owned());
            } else {
                arguments.extend(part.split_whitespace().map(str::to_owned));
            }
        }
        let again = Line::try_parse_from(arguments).map_err(|error| error.to_string()).unwrap().new.draft;
        assert_eq!(again, draft);
    }

    #[test]
    fn an_end_of_the_answers_leaves_and_makes_nothing() {
        let mut form = Form { input: &mut "second-fall\n".as_bytes(), output: &mut Vec::new() };
        assert_eq!(form.fill().unwrap_err().code, "interrupted");
    }

    #[test]
    fn words_are_quoted_as_a_shell_takes_them() {
        assert_eq!(quoted("second-fall"), "second-fall");
        assert_eq!(quoted("0.50 %"), "'0.50 %'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
    }
}
