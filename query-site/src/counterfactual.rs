//! What a deployed policy would have done: the back-test whose report its deployment names, made again.
//!
//! The ledger holds of a report its hash alone, and neither the table nor the question that officers asked of it. The
//! site has tables, and questions that it tries on each deployed version: those that it ships, and those of its
//! configuration.
//!
//! What must stay true:
//! - A report is the one that was deployed by the BLAKE3 hash of its bytes (PROTOCOL 12.1), which the proved entry of
//!   the version states, and by nothing else. What no question gives is not shown.
//! - Readers cannot make it compute again and again. A version and its report never change, so which question gives the
//!   report, or that none does, is found once and kept for good: some hundred bytes a deployed version. Of the last
//!   [`MADE_KEPT`] versions that were asked for the back-tests themselves are kept, of others the one replay that is
//!   known is run again. One search runs at a time, in a place of [`Trials`]; the crowd beyond hears "later".
//! - A search costs at most a replay of each question: of the shipped ones `trial::FUEL_MAX` fuel each, of a configured
//!   table's at most [`PERIODS_MAX`] periods of one loan.

use crate::config::BackTest;
use crate::ledger::contracts::VersionFound;
use crate::ledger::seen::Seen;
use crate::trial::history::{EXAMPLES, HISTORIES, History};
use crate::trial::{Asked, Run, Trials, run};
use contracts_backtest::{FeedSource, Replay, Table};
use contracts_vm::{Language, Package, Policy};
use eyre::{Context, OptionExt, bail};
use ledger_types::PolicyHash;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

/// Of a configured table: months of 166 years.
pub const PERIODS_MAX: usize = 2_000;
/// A browser reads no longer answer (`web/src/page/source.ts`).
pub const REPORT_BYTES_MAX: usize = 4 << 20;
/// A report, a replay and two charts are some 300 KiB.
const MADE_KEPT: usize = 32;

#[derive(Clone)]
pub enum Counterfactual {
    /// The version was deployed without a report.
    Unnamed,
    /// No table and question of this site gives the report.
    Elsewhere,
    Made(Arc<Made>),
    /// It was not looked for yet, and the site computes as much as it takes on.
    Later,
}

/// The back-test that the deployment names.
pub struct Made {
    pub policy: Policy,
    /// The shipped history; None is a table of the configuration.
    pub history: Option<&'static str>,
    pub asked: Asked,
    pub sources: Vec<FeedSource>,
    pub replay: Replay,
    /// What the deployment's hash is of.
    pub report: Vec<u8>,
    english: String,
    chinese: String,
}

impl Made {
    /// SVG.
    pub fn chart(&self, language: Language) -> &str {
        match language {
            Language::English => &self.english,
            Language::Chinese => &self.chinese,
        }
    }
}

#[derive(Clone)]
pub struct Counterfactuals(Arc<Inner>);

/// A version's program and source are its policy hash's; the report is not.
type Key = (PolicyHash, [u8; 32]);

struct Inner {
    questions: Vec<Question>,
    trials: Trials,
    /// Which question gives a version's report, or that none does.
    found: Mutex<HashMap<Key, Option<usize>>>,
    made: Seen<Key, Arc<Made>>,
    looking: Mutex<()>,
}

struct Question {
    on: On,
    asked: Asked,
}

enum On {
    Shipped(&'static History),
    Given(Arc<Table>),
}

impl Counterfactuals {
    /// Reads the configured tables.
    pub fn new(configured: &[BackTest], trials: Trials) -> eyre::Result<Self> {
        let mut tables = HashMap::new();
        // Those of the configuration first: somebody said that they were asked.
        let mut questions = configured
            .iter()
            .map(|back_test| Question::configured(back_test, &mut tables))
            .collect::<eyre::Result<Vec<_>>>()?;
        questions.extend(Question::shipped());
        let (found, made, looking) = (Mutex::default(), Seen::new(MADE_KEPT), Mutex::default());
        Ok(Counterfactuals(Arc::new(Inner { questions, trials, found, made, looking })))
    }

    pub async fn of(&self, version: &VersionFound) -> Counterfactual {
        self.named(version.deployed.policy, version.deployed.report, &version.package).await
    }

    async fn named(&self, policy: PolicyHash, report: [u8; 32], package: &Arc<Package>) -> Counterfactual {
        if report == [0; 32] {
            return Counterfactual::Unnamed;
        }
        let key = (policy, report);
        if let Some(known) = self.0.known(&key) {
            return known;
        }
        let (inner, package) = (self.0.clone(), package.clone());
        let looked = self.0.trials.compute(move || inner.look(key, &package)).await;
        looked.unwrap_or(Counterfactual::Later)
    }
}

impl Inner {
    fn known(&self, key: &Key) -> Option<Counterfactual> {
        if let Some(made) = self.made.get(key) {
            return Some(Counterfactual::Made(made));
        }
        let is_elsewhere = self.found().get(key) == Some(&None);
        is_elsewhere.then_some(Counterfactual::Elsewhere)
    }

    fn found(&self) -> std::sync::MutexGuard<'_, HashMap<Key, Option<usize>>> {
        self.found.lock().expect("no holder panics")
    }

    fn look(&self, key: Key, package: &Package) -> Counterfactual {
        // It guards the processor and no value: a search that panicked leaves nothing behind.
        let _one_at_a_time = self.looking.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = self.known(&key) {
            return known;
        }
        let before = self.found().get(&key).copied().flatten();
        let places = before.map_or(0..self.questions.len(), |at| at..at + 1);
        let made = contracts_vm::policy_of(&package.source).ok().and_then(|policy| {
            let mut places = places;
            places.find_map(|at| Some((at, self.questions[at].gives(&key.1, &policy, package)?)))
        });
        self.found().insert(key, made.as_ref().map(|(at, _)| *at));
        match made {
            None => Counterfactual::Elsewhere,
            Some((_, made)) => {
                let made = Arc::new(made);
                self.made.put(key, made.clone());
                Counterfactual::Made(made)
            }
        }
    }
}

impl Question {
    /// What the try-out page asks of each history where nobody asks otherwise, and what its examples ask; each with
    /// values as they are and with values rounded.
    fn shipped() -> Vec<Question> {
        let plain = HISTORIES.iter().map(|history| Asked { history: history.name.into(), ..Asked::default() });
        let examples = EXAMPLES.iter().map(|example| Asked { policy: String::new(), ..Asked::example(example) });
        let mut asked: Vec<Asked> = Vec::new();
        for one in plain.chain(examples) {
            if !asked.contains(&one) {
                asked.push(one);
            }
        }
        let question = |asked: Asked| {
            let history = History::called(&asked.history).expect("an example's history is shipped");
            Question { on: On::Shipped(history), asked }
        };
        asked.into_iter().flat_map(|one| [one.clone(), Asked { rounds: true, ..one }]).map(question).collect()
    }

    fn configured(back_test: &BackTest, tables: &mut HashMap<PathBuf, Arc<Table>>) -> eyre::Result<Question> {
        let number = |number: Option<u16>| number.map(|number| number.to_string()).unwrap_or_default();
        let asked = Asked {
            policy: String::new(),
            history: back_test.history.clone(),
            columns: back_test.columns.clone(),
            sector: back_test.sector.clone(),
            rate: back_test.rate.clone(),
            term_days: number(back_test.term_days),
            lag_days: number(back_test.lag_days),
            years_later: number(back_test.years_later),
            from: back_test.from.clone(),
            to: back_test.to.clone(),
            rounds: back_test.round,
        };
        let on = match &back_test.data {
            None => On::Shipped(History::called(&asked.history).ok_or_eyre("back_test: no such history is shipped")?),
            Some(_) if !asked.history.is_empty() => bail!("back_test: data or history, not both"),
            Some(path) if tables.contains_key(path) => On::Given(tables[path].clone()),
            Some(path) => {
                let name = path.display();
                let bytes = std::fs::read(path).wrap_err_with(|| format!("back_test: cannot read {name}"))?;
                let table = Table::read(&bytes).map_err(|refusal| eyre::eyre!("back_test: {name}: {refusal}"))?;
                let periods = table.periods.len();
                if periods > PERIODS_MAX {
                    bail!("back_test: {name} has {periods} periods, at most {PERIODS_MAX} are replayed");
                }
                let table = Arc::new(table);
                tables.insert(path.clone(), table.clone());
                On::Given(table)
            }
        };
        let question = Question { on, asked };
        let planned = question.asked.plan(question.table().frequency);
        planned.map_err(|refused| eyre::eyre!("back_test: {refused:?}"))?;
        Ok(question)
    }

    fn table(&self) -> &Table {
        match &self.on {
            On::Shipped(history) => &history.table,
            On::Given(table) => table,
        }
    }

    /// The back-test, if it gives this report.
    fn gives(&self, report: &[u8; 32], policy: &Policy, package: &Package) -> Option<Made> {
        let column_for = |series: &str| match self.on {
            On::Shipped(history) => history.column_for(series).map(str::to_owned),
            On::Given(_) => None,
        };
        let Run { sources, series, replay, report: made } =
            run(&self.asked, self.table(), column_for, policy, package).ok()?;
        if made.blake3 != *report || made.bytes.len() > REPORT_BYTES_MAX {
            return None;
        }
        let chart = |language| by_steps(&contracts_backtest::chart_in(language, policy, &series, &replay));
        Some(Made {
            policy: policy.clone(),
            history: match self.on {
                On::Shipped(history) => Some(history.name),
                On::Given(_) => None,
            },
            asked: self.asked.clone(),
            english: chart(Language::English),
            chinese: chart(Language::Chinese),
            sources,
            replay,
            report: made.bytes,
        })
    }
}

/// The same picture in half the bytes on the way: lines of hundreds of points are written by their steps, which repeat.
fn by_steps(svg: &str) -> String {
    svg.split_inclusive('\n').map(|line| line_by_steps(line).unwrap_or_else(|| line.to_owned())).collect()
}

/// None of what is no line of two points at least.
fn line_by_steps(line: &str) -> Option<String> {
    let (before, rest) = line.strip_prefix("<polyline ")?.split_once(" points=\"")?;
    let (points, after) = rest.split_once('"')?;
    let point = |text: &str| {
        let (x, y) = text.split_once(',')?;
        Some((x.parse().ok()?, y.parse().ok()?))
    };
    let points: Vec<(i32, i32)> = points.split_whitespace().map(point).collect::<Option<_>>()?;
    let step = |pair: &[(i32, i32)]| format!("{},{}", pair[1].0 - pair[0].0, pair[1].1 - pair[0].1);
    let steps: Vec<String> = points.windows(2).map(step).collect();
    let ((x, y), steps) = (points.first().filter(|_| !steps.is_empty())?, steps.join(" "));
    Some(format!("<path {before} d=\"M{x},{y}l{steps}\"{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trial::try_out;

    #[test]
    fn a_line_by_steps_leads_through_its_points_and_nothing_else_is_touched() {
        let line = |drawn: &str| format!("<svg>\n<rect x=\"1\"/>\n<{drawn}/>\n<polyline points=\"1,1\"/>\n</svg>\n");
        let svg = line("polyline fill=\"none\" points=\"84,53 88,53 92,129 \"");
        let steps = line("path fill=\"none\" d=\"M84,53l4,0 4,76\"");
        assert_eq!(by_steps(&svg), steps);
    }

    fn package(name: &str) -> (Arc<Package>, PolicyHash) {
        let example = EXAMPLES.iter().find(|example| example.name == name).unwrap();
        (Arc::new(Package::of(example.policy).unwrap()), PolicyHash([7; 32]))
    }

    /// As the command line asks it: the example's own text and question.
    fn deployed_with(asked: Asked) -> [u8; 32] {
        let tried = try_out(asked, Language::English).answer.ok().unwrap();
        tried.replayed.ok().unwrap().report_blake3
    }

    fn example(name: &str) -> Asked {
        Asked::example(EXAMPLES.iter().find(|example| example.name == name).unwrap())
    }

    fn made(found: Counterfactual) -> Arc<Made> {
        match found {
            Counterfactual::Made(made) => made,
            Counterfactual::Elsewhere => panic!("no question gave it"),
            Counterfactual::Unnamed | Counterfactual::Later => panic!("it was not looked for"),
        }
    }

    #[tokio::test]
    async fn the_report_of_each_example_is_found_and_its_bytes_have_the_deployed_hash() {
        let site = Counterfactuals::new(&[], Trials::default()).unwrap();
        for one in EXAMPLES.iter().filter(|one| one.name != "mistakes") {
            let report = deployed_with(example(one.name));
            let (package, policy) = package(one.name);
            let made = made(site.named(policy, report, &package).await);
            assert_eq!(blake3::hash(&made.report).as_bytes(), &report, "{}", one.name);
            assert_eq!(made.history, Some(one.history));
        }
    }

    #[tokio::test]
    async fn a_version_is_searched_once_and_answered_without_a_place_afterwards() {
        let trials = Trials::default();
        let site = Counterfactuals::new(&[], trials.clone()).unwrap();
        let (package, policy) = package("second-fall");
        let (named, foreign) = (deployed_with(example("second-fall")), [0xab; 32]);
        assert!(matches!(site.named(policy, [0; 32], &package).await, Counterfactual::Unnamed));
        let first = made(site.named(policy, named, &package).await);
        assert!(matches!(site.named(policy, foreign, &package).await, Counterfactual::Elsewhere));

        let crowd = trials.take_every_place();
        assert!(Arc::ptr_eq(&first, &made(site.named(policy, named, &package).await)), "what was made is kept");
        assert!(matches!(site.named(policy, foreign, &package).await, Counterfactual::Elsewhere));
        assert!(matches!(site.named(policy, [0xac; 32], &package).await, Counterfactual::Later), "a new one waits");
        drop(crowd);
        // Of a version that fell out of what is kept, the question is known: nothing is searched.
        let key = (policy, named);
        let known = site.0.found().get(&key).copied().flatten().unwrap();
        for n in 0..=MADE_KEPT {
            site.0.made.put((policy, [n as u8; 32]), first.clone());
        }
        assert!(site.0.known(&key).is_none());
        made(site.named(policy, named, &package).await);
        assert_eq!(site.0.found().get(&key).copied().flatten(), Some(known));
    }

    #[tokio::test]
    async fn a_table_and_a_question_of_the_configuration_give_the_report_that_nobody_ships() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("jobs.csv");
        let history = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/../contracts/vm/tests/data/macrodata.csv"));
        std::fs::write(&path, history.unwrap()).unwrap();
        let back_test = BackTest {
            data: Some(path.clone()),
            columns: [("us.gdp.real".to_owned(), "realgdp".to_owned())].into(),
            lag_days: Some(30),
            from: "1971".into(),
            ..BackTest::default()
        };
        let question = Asked { lag_days: "30".into(), from: "1971".into(), ..example("second-fall") };
        let report = deployed_with(Asked { years_later: String::new(), ..question });
        let (package, policy) = package("second-fall");
        let shipped = Counterfactuals::new(&[], Trials::default()).unwrap();
        assert!(matches!(shipped.named(policy, report, &package).await, Counterfactual::Elsewhere));
        let site = Counterfactuals::new(std::slice::from_ref(&back_test), Trials::default()).unwrap();
        let made = made(site.named(policy, report, &package).await);
        assert_eq!((made.history, made.replay.rows.len()), (None, 155));

        for wrong in [
            BackTest { history: "us-quarterly".into(), ..back_test.clone() },
            BackTest { data: None, history: "mars".into(), ..back_test.clone() },
            BackTest { data: Some(folder.path().join("none.csv")), ..back_test.clone() },
            BackTest { rate: "dear".into(), ..back_test.clone() },
        ] {
            assert!(Counterfactuals::new(std::slice::from_ref(&wrong), Trials::default()).is_err(), "{wrong:?}");
        }
        let years: String = (0..=PERIODS_MAX).map(|n| format!("{},1\n", 1000 + n)).collect();
        std::fs::write(&path, format!("year,gdp\n{years}")).unwrap();
        assert!(Counterfactuals::new(&[back_test], Trials::default()).is_err(), "a table that is too long");
    }
}
