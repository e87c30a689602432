//! `assay contract`: everything about a policy that needs no node.
//!
//! A text that is no policy is refused with 3 and the diagnostics of `contracts/LANGUAGE.md`; a table that cannot be replayed,
//! with its number of the back-test. A policy that denies a loan has done its work: that is 0.

mod backtest;
mod check;
mod diff;
mod new;
mod simulate;

use crate::Global;
use crate::outcome::{Exit, Failure, Outcome};
use clap::ValueEnum;
use contracts_vm::{Checked, Diagnostic, Language, SectorCode};
use serde_json::json;
use std::io::{IsTerminal, Read};
use std::path::{Path, PathBuf};

#[derive(clap::Subcommand)]
pub enum Contract {
    /// Write a policy: asks step by step, or takes flags, and prints the text with the flags that give it again.
    New(Box<new::New>),
    /// Whether a text is a policy, and what an economist should know of it before anybody deploys it.
    Check(check::Check),
    /// What a policy does, in English or Chinese.
    Explain {
        #[command(flatten)]
        policy: PolicyFile,
        #[arg(long, value_enum, default_value_t = Lang::En)]
        lang: Lang,
    },
    /// One loan on one day: the verdict, and each condition's part in it; and the rate of a return on that day.
    Simulate(simulate::Simulate),
    /// What a policy would have permitted and paid, period by period, over a table of history.
    Backtest(backtest::Backtest),
    /// What differs between two policies: in words, in their text and in what runs.
    Diff(diff::Diff),
    /// What runs, instruction by instruction, with its fuel.
    Disasm(PolicyFile),
}

#[derive(clap::Args)]
pub struct PolicyFile {
    /// The policy's text; - is standard input.
    #[arg(value_name = "POLICY")]
    path: PathBuf,
}

#[derive(Clone, Copy, ValueEnum)]
pub enum Lang {
    En,
    Zh,
}

impl From<Lang> for Language {
    fn from(lang: Lang) -> Self {
        match lang {
            Lang::En => Language::English,
            Lang::Zh => Language::Chinese,
        }
    }
}

impl Contract {
    pub fn run(self, global: &Global) -> Result<Outcome, Failure> {
        match self {
            Contract::New(new) => new.run(global.json),
            Contract::Check(check) => check.run(),
            Contract::Explain { policy, lang } => {
                let text = policy.checked()?.policy.explain(lang.into());
                let lang = if matches!(lang, Lang::En) { "en" } else { "zh" };
                Ok(Outcome::new(json!({ "language": lang, "explanation": text }), text))
            }
            Contract::Simulate(simulate) => simulate.run(),
            Contract::Backtest(backtest) => backtest.run(global.json),
            Contract::Diff(diff) => diff.run(),
            Contract::Disasm(policy) => {
                let program = policy.checked()?.policy.compile();
                let (text, bytes) = (program.disassemble(), program.to_bytes());
                let data = json!({ "assembly": text, "bytes": hex::encode(&bytes), "fuel": program.fuel() });
                Ok(Outcome::new(data, format!("{text}\n{} bytes, at most {} fuel", bytes.len(), program.fuel())))
            }
        }
    }
}

impl PolicyFile {
    fn name(&self) -> String {
        if self.is_stdin() { "standard input".to_owned() } else { self.path.display().to_string() }
    }

    fn is_stdin(&self) -> bool {
        self.path == Path::new("-")
    }

    fn source(&self) -> Result<String, Failure> {
        // A little more than a policy may have: the language's own refusal then says how long it may be.
        let most = contracts_vm::SOURCE_BYTES_MAX as u64 + 1;
        let mut source = Vec::new();
        let read = if self.is_stdin() {
            std::io::stdin().lock().take(most).read_to_end(&mut source)
        } else {
            std::fs::File::open(&self.path).and_then(|file| file.take(most).read_to_end(&mut source))
        };
        read.map_err(|error| Failure::file(&self.path, error))?;
        String::from_utf8(source).map_err(|_| Failure::file(&self.path, "it is no UTF-8 text"))
    }

    /// The policy, or one line for each thing that stands in the way.
    fn checked(&self) -> Result<Checked, Failure> {
        let source = self.source()?;
        contracts_vm::check(&source).map_err(|wrong| {
            let lines: Vec<String> = wrong.iter().map(|diagnostic| diagnostic.line(&source)).collect();
            refused(&self.name(), &wrong, &lines.join("\n"))
        })
    }
}

fn refused(name: &str, wrong: &[Diagnostic], lines: &str) -> Failure {
    let places = if wrong.len() == 1 { "one place" } else { &format!("{} places", wrong.len()) };
    let lines = if lines.is_empty() { String::new() } else { format!("\n{lines}") };
    let failure = Failure::new(Exit::Refused, "no_policy", format!("{name} is no policy, in {places}{lines}"));
    failure.with_help("assay contract check draws each over the text; contracts/LANGUAGE.md has the rules")
}

/// As people write a percent rate, `4.30%`; to hundredths of a basis point.
fn percent(text: &str) -> Result<i64, String> {
    let digits = text.strip_suffix('%').unwrap_or(text).trim_end();
    let decimals = contracts_vm::unit::PERCENT_DECIMALS;
    contracts_backtest::decimal_at_scale(digits, decimals, contracts_backtest::Rounding::Refuse)
        .map(|(rate, _)| rate)
        .map_err(|refusal| format!("{}; write a yearly rate in percent, such as 4.30%", refusal.cause))
}

/// A code of the published list.
fn sector(text: &str) -> Result<SectorCode, String> {
    SectorCode::parse(text).ok_or_else(|| {
        format!("{text} is no code of ISIC Rev. 4: a section's letter (C), or letter and division (C10)")
    })
}

/// Colours are for people at a terminal who did not ask for none (no-color.org).
fn wants_colour() -> bool {
    let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    std::io::stdout().is_terminal() && !is_set("NO_COLOR") && !is_dumb
}

impl From<contracts_backtest::Refusal> for Failure {
    fn from(refusal: contracts_backtest::Refusal) -> Self {
        let exit = if refusal.is_of_the_question() { Exit::Usage } else { Exit::Refused };
        Failure::new(exit, refusal.code(), refusal.to_string()).with_help(refusal.mend)
    }
}
