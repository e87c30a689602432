//! A policy tried out before anybody deploys it: is it one, what does it do, and what would it have done.
//!
//! What must stay true:
//! - It is the ledger's own language and the command line's own back-test; the site adds no second opinion. The same text,
//!   history and question give the report whose hash `assay contract backtest` prints.
//! - A stranger's text costs what is bounded before it runs. The language ends a source at 8 KiB and an evaluation at 10 000
//!   fuel; the embedded histories end a replay at [`PERIODS_MAX`] periods of one loan, so a run costs at most [`FUEL_MAX`].
//!   At most [`AT_WORK`] runs compute, [`IN_HAND`] are taken on, the crowd beyond hears "later". They compute on threads
//!   of their own: the pages of the registry do not wait for them.
//! - Nothing of it is kept, and nothing of it is of the ledger. Back-tests of deployed policies ([`crate::counterfactual`]) take
//!   the same places and are kept, so that of their readers the first one waits.

pub mod history;

use contracts_backtest::{FeedSource, Loan, Mapping, Plan, Refusal, Replay, Report, Rounding, Series, Table};
use contracts_vm::{Checked, Diagnostic, Finding, Frequency, Language, Package, Policy, SectorCode, Verdict};
use history::History;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Of a request: the largest source of the language, escaped for the way, and the question.
pub const BODY_BYTES_MAX: usize = 16 << 10;
/// Quarters 1959Q1 to 2009Q3; the other history has fewer months.
pub const PERIODS_MAX: usize = 203;
/// For each period a verdict and a rate.
pub const FUEL_MAX: usize = PERIODS_MAX * 2 * contracts_vm::FUEL_MAX as usize;

const AT_WORK: usize = 2;
const IN_HAND: usize = 16;

/// What was typed, as it was typed.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Asked {
    pub policy: String,
    pub history: String,
    /// By series; an empty one is left to the history.
    pub columns: BTreeMap<String, String>,
    pub sector: String,
    /// Percent a year.
    pub rate: String,
    pub term_days: String,
    pub lag_days: String,
    pub years_later: String,
    pub from: String,
    pub to: String,
    pub rounds: bool,
}

/// What came of it.
pub struct Trial {
    pub asked: Asked,
    pub history: &'static History,
    pub answer: Result<Box<Tried>, Vec<Diagnostic>>,
}

pub struct Tried {
    pub policy: Policy,
    pub findings: Vec<Finding>,
    pub package: Package,
    /// The program as text.
    pub listing: String,
    pub replayed: Result<Replayed, NotReplayed>,
}

pub struct Replayed {
    pub sources: Vec<FeedSource>,
    pub replay: Replay,
    /// SVG.
    pub chart: String,
    pub report_blake3: [u8; 32],
}

#[derive(Debug)]
pub enum NotReplayed {
    /// The name of the field whose text is no value.
    Field(&'static str),
    Refused(Refusal),
}

/// As many are in hand as the site takes on.
#[derive(Debug)]
pub struct Crowded;

#[derive(Clone)]
pub struct Trials(Arc<Places>);

struct Places {
    in_hand: Arc<Semaphore>,
    at_work: Semaphore,
}

impl Default for Trials {
    fn default() -> Self {
        let (in_hand, at_work) = (Arc::new(Semaphore::new(IN_HAND)), Semaphore::new(AT_WORK));
        Trials(Arc::new(Places { in_hand, at_work }))
    }
}

impl Trials {
    /// `language` is the chart's.
    pub async fn run(&self, asked: Asked, language: Language) -> Result<Trial, Crowded> {
        self.compute(move || try_out(asked, language)).await
    }

    /// `work` in one of the places.
    pub(crate) async fn compute<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Crowded> {
        let in_hand = self.0.in_hand.clone().try_acquire_owned().map_err(|_| Crowded)?;
        let places = self.0.clone();
        // A request that is given up leaves its place only when its work has ended.
        let done = tokio::spawn(async move {
            let _at_work = places.at_work.acquire().await;
            let done = tokio::task::spawn_blocking(work).await;
            drop(in_hand);
            done
        });
        // A panic would be a defect of the language, and is the caller's to see in tests; a reader hears "later".
        done.await.ok().and_then(Result::ok).ok_or(Crowded)
    }
}

pub fn try_out(mut asked: Asked, language: Language) -> Trial {
    // A form sends line ends of its own; those of the source say nothing, and the shorter text is the one that is meant.
    asked.policy = asked.policy.replace("\r\n", "\n");
    let called = History::called(&asked.history);
    let history = called.unwrap_or(&history::HISTORIES[0]);
    let answer = contracts_vm::check(&asked.policy).map(|Checked { policy, findings }| {
        let package = Package::of_policy(&policy);
        let listing = package.program.disassemble();
        let replayed = match called {
            Some(history) => replayed(&asked, history, &policy, &package, language),
            None => Err(NotReplayed::Field("history")),
        };
        Box::new(Tried { policy, findings, package, listing, replayed })
    });
    Trial { asked, history, answer }
}

/// A back-test, before anything is drawn of it.
pub(crate) struct Run {
    pub sources: Vec<FeedSource>,
    pub series: Vec<Series>,
    pub replay: Replay,
    pub report: Report,
}

/// `column_for` says which column stands for a series where the question does not.
pub(crate) fn run(
    asked: &Asked,
    table: &Table,
    column_for: impl Fn(&str) -> Option<String>,
    policy: &Policy,
    package: &Package,
) -> Result<Run, NotReplayed> {
    let plan = asked.plan(table.frequency)?;
    let rounding = if asked.rounds { Rounding::HalfToEven } else { Rounding::Refuse };
    let mapping = asked.mapping(column_for, policy);
    let (series, sources): (Vec<Series>, _) = table.series(policy, &mapping, rounding)?;
    let periods = (table.frequency, &table.periods[..]);
    let replay = contracts_backtest::replay(policy, &package.program, periods, &series, &plan, &mut |_, _| ())?;
    let report = contracts_backtest::report(policy, table, &sources, rounding, &plan, &replay);
    Ok(Run { sources, series, replay, report })
}

fn replayed(
    asked: &Asked,
    history: &History,
    policy: &Policy,
    package: &Package,
    language: Language,
) -> Result<Replayed, NotReplayed> {
    let run = run(asked, &history.table, |series| history.column_for(series).map(str::to_owned), policy, package)?;
    let chart = contracts_backtest::chart_in(language, policy, &run.series, &run.replay);
    Ok(Replayed { sources: run.sources, replay: run.replay, chart, report_blake3: run.report.blake3 })
}

impl From<Refusal> for NotReplayed {
    fn from(refusal: Refusal) -> Self {
        NotReplayed::Refused(refusal)
    }
}

impl Asked {
    pub fn example(example: &history::Example) -> Self {
        Asked {
            policy: example.policy.into(),
            history: example.history.into(),
            sector: example.sector.into(),
            rate: example.rate.into(),
            years_later: example.years_later.into(),
            ..Asked::default()
        }
    }

    pub(crate) fn plan(&self, frequency: Frequency) -> Result<Plan, NotReplayed> {
        let number = |name: &'static str, text: &str, or: u16, most: u16| match text.trim() {
            "" => Ok(or),
            text => text.parse().ok().filter(|n| *n <= most).ok_or(NotReplayed::Field(name)),
        };
        let sector = match self.sector.trim() {
            "" => None,
            text => Some(SectorCode::parse(text).ok_or(NotReplayed::Field("sector"))?),
        };
        let rate = match self.rate.trim().trim_end_matches('%').trim_end() {
            "" => None,
            digits => {
                let decimals = contracts_vm::unit::PERCENT_DECIMALS;
                let read = contracts_backtest::decimal_at_scale(digits, decimals, Rounding::Refuse);
                Some(read.map_err(|_| NotReplayed::Field("rate"))?.0)
            }
        };
        let at = |name: &'static str, text: &str, is_end| match text.trim() {
            "" => Ok(None),
            text => {
                contracts_backtest::period_at(text, frequency, is_end).map(Some).map_err(|_| NotReplayed::Field(name))
            }
        };
        let term_days = number("term_days", &self.term_days, contracts_backtest::TERM_DAYS, u16::MAX)?;
        Ok(Plan {
            loans: vec![Loan { sector, rate, term_days: Some(term_days) }],
            from: at("from", &self.from, false)?,
            to: at("to", &self.to, true)?,
            lag_days: number("lag_days", &self.lag_days, 0, u16::MAX)?,
            // As the command line has it.
            years_later: number("years_later", &self.years_later, 0, 7_000)?,
        })
    }

    /// Of the series that the policy reads: a column that somebody chose, else the one that stands for it.
    fn mapping(&self, column_for: impl Fn(&str) -> Option<String>, policy: &Policy) -> Mapping {
        let column = |series: &str| {
            let chosen = self.columns.get(series).filter(|column| !column.is_empty()).cloned();
            chosen.or_else(|| column_for(series))
        };
        policy.feeds.iter().filter_map(|feed| Some((feed.series.to_string(), column(feed.series.as_str())?))).collect()
    }
}

impl Replayed {
    /// What the run cost, which is at most [`FUEL_MAX`].
    pub fn fuel(&self) -> usize {
        self.replay.rows.iter().map(|row| row.fuel.0 as usize + row.fuel.1 as usize).sum()
    }
}

/// Every period lies outside the policy's window of time.
pub fn is_never_in_its_window(replay: &Replay) -> bool {
    let is_outside =
        |verdict: &Verdict| matches!(verdict, Verdict::Deny { reason } if matches!(reason.number(), 1 | 2));
    replay.rows.iter().all(|row| row.verdicts.iter().all(is_outside))
}

#[cfg(test)]
impl Trials {
    /// Nothing more is taken on until what is returned is dropped.
    pub(crate) fn take_every_place(&self) -> tokio::sync::OwnedSemaphorePermit {
        let places = u32::try_from(IN_HAND).expect("a few");
        self.0.in_hand.clone().try_acquire_many_owned(places).expect("nothing runs")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_crowd_beyond_what_is_taken_on_hears_later_and_a_place_comes_back_when_its_work_ends() {
        let trials = Trials::default();
        let at_work = trials.0.at_work.acquire_many(u32::try_from(AT_WORK).unwrap()).await.unwrap();
        let run = || {
            let trials = trials.clone();
            tokio::spawn(async move { trials.run(Asked::default(), Language::English).await.is_ok() })
        };
        let mut waiting: Vec<_> = (0..IN_HAND).map(|_| run()).collect();
        while trials.0.in_hand.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        assert!(!run().await.unwrap(), "every place is taken");
        // Who gives up does not make room before the work is done: else a stranger would buy more of it by hanging up.
        let given_up = waiting.pop().unwrap();
        given_up.abort();
        assert!(given_up.await.is_err());
        assert!(!run().await.unwrap(), "the work of who gave up still waits");
        drop(at_work);
        for one in waiting {
            assert!(one.await.unwrap());
        }
        while trials.0.in_hand.available_permits() < IN_HAND {
            tokio::task::yield_now().await;
        }
        assert!(run().await.unwrap());
    }
}
