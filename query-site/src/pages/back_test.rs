//! What a deployed policy would have done, on its contract's page: chart, years and dates of the report that the
//! deployment names.
//!
//! What must stay true: every figure of the two tables stands in the report, and is marked with `data-check`, so that a
//! reader's browser, which hashes the report itself, holds the page to it (`web/README.md`).

use super::contract_try::warnings;
use super::frame::Frame;
use crate::counterfactual::{Counterfactual, Made};
use contracts_backtest::{Change, Row, Year, crisis_years};
use contracts_vm::{Period, Rate, Verdict};

pub struct BackTestShown {
    pub made: Option<MadeShown>,
    /// Why there is none.
    pub none: &'static str,
}

pub struct MadeShown {
    /// SVG.
    pub chart: String,
    pub span: String,
    pub permitted: String,
    pub years: Vec<YearRow>,
    /// Of the verdict. When the rate alone moves, chart and report show it.
    pub changes: Vec<ChangeRow>,
    pub history: &'static str,
    pub source: &'static str,
    /// Name and value of what was asked besides.
    pub asked: Vec<(&'static str, String)>,
    /// Feed, series and column.
    pub feeds: Vec<(String, String, String)>,
    pub warnings: Vec<String>,
}

pub struct YearRow {
    pub year: i32,
    pub lowest: String,
    pub highest: String,
    pub average: String,
    pub permitted: String,
}

pub struct ChangeRow {
    pub known_from: String,
    pub period: String,
    pub verdict: String,
    pub rate: String,
}

impl BackTestShown {
    pub fn of(f: &Frame, found: &Counterfactual) -> Self {
        let none = |key| BackTestShown { made: None, none: f.t(key) };
        match found {
            Counterfactual::Made(made) => BackTestShown { made: Some(MadeShown::of(f, made)), none: "" },
            Counterfactual::Unnamed => none("contract.then_unnamed"),
            Counterfactual::Elsewhere => none("contract.then_elsewhere"),
            Counterfactual::Later => none("contract.then_later"),
        }
    }
}

/// As the browser puts it too.
fn from_to(was: &str, is: &str) -> String {
    if was == is { is.to_owned() } else { format!("{was} → {is}") }
}

impl MadeShown {
    fn of(f: &Frame, made: &Made) -> Self {
        let (language, replay) = (f.language, &made.replay);
        let text = |period: Period| period.text(replay.frequency);
        let (first, last) = (&replay.rows[0], &replay.rows[replay.rows.len() - 1]);
        let crises = crisis_years(replay);
        let year = |Year { year, lowest, highest, average, permitted, .. }: Year| {
            let names: Vec<String> = permitted.into_iter().map(text).collect();
            let permitted = if names.is_empty() { "–".to_owned() } else { names.join(", ") };
            let [lowest, highest, average] = [lowest, highest, average].map(|rate: Rate| rate.to_string());
            YearRow { year, lowest, highest, average, permitted }
        };
        let permits = |row: &Row| matches!(row.verdicts[0], Verdict::Permit { .. });
        let verdict = |row: &Row| f.t(if permits(row) { "js.report_permit" } else { "js.report_deny" });
        let change = |Change { before, row }: &Change<'_>| ChangeRow {
            known_from: row.known_from.to_string(),
            period: text(row.period),
            verdict: from_to(verdict(before), verdict(row)),
            rate: from_to(&before.rate.to_string(), &row.rate.to_string()),
        };
        let (history, source) = match made.history {
            Some(name) => (f.t(&format!("try.history.{name}")), f.t(&format!("try.source.{name}"))),
            None => (f.t("contract.then_table"), f.t("contract.then_table_text")),
        };
        let asked = &made.asked;
        let asked = [
            ("try.field.sector", &asked.sector),
            ("try.field.rate", &asked.rate),
            ("try.field.term_days", &asked.term_days),
            ("try.field.lag_days", &asked.lag_days),
            ("try.field.years_later", &asked.years_later),
            ("try.field.from", &asked.from),
            ("try.field.to", &asked.to),
        ];
        let asked = asked.into_iter().filter(|(_, value)| !value.is_empty());
        let sources = made.sources.iter();
        let changes = replay.changes();
        MadeShown {
            chart: made.chart(language.of_policies()).to_owned(),
            span: f.fill("try.span", &[&replay.rows.len(), &text(first.period), &text(last.period)]),
            permitted: f.fill("try.permitted", &[&replay.permitted(0).len()]),
            years: replay.years().into_iter().filter(|year| crises.contains(&year.year)).map(year).collect(),
            changes: changes
                .iter()
                .filter(|change| permits(change.before) != permits(change.row))
                .map(change)
                .collect(),
            history,
            source,
            asked: asked.map(|(key, value)| (f.t(key), value.clone())).collect(),
            feeds: sources.map(|of| (of.feed.clone(), of.series.clone(), of.column.clone())).collect(),
            warnings: warnings(language, &made.policy, &made.sources, replay),
        }
    }
}
