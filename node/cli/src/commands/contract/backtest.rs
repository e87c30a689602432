//! `assay contract backtest`: verdicts and rates over history, what changed when, a counterfactual, a report and a chart.

use super::{PolicyFile, percent, sector};
use crate::commands::table;
use crate::outcome::{Failure, Outcome};
use contracts_backtest::{
    Change, FeedSource, Loan, Mapping, Plan, Replay, Report, Rounding, Table, Year, chart, crisis_years, period_at,
    replay, report, verdict_word,
};
use contracts_vm::policy::Policy;
use contracts_vm::{Period, SectorCode, Verdict, Vintage};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

#[derive(clap::Args)]
pub struct Backtest {
    #[command(flatten)]
    policy: PolicyFile,
    /// A CSV of history: a heading; a row a period, oldest first; the period in year and quarter, year and month, or a
    /// column called period or date.
    #[arg(long, value_name = "FILE.csv")]
    data: PathBuf,
    /// Which column stands for a series (or for the policy's name of a feed). Without, the column of that name.
    #[arg(long = "map", value_name = "SERIES=COLUMN", value_parser = pair)]
    maps: Vec<(String, String)>,
    /// First period: 1974, 1974Q4, 1974-12.
    #[arg(long, value_name = "PERIOD")]
    from: Option<String>,
    /// Last period.
    #[arg(long, value_name = "PERIOD")]
    to: Option<String>,
    /// The borrower's sector: ISIC section (C) or division (C10). Several are several loans.
    #[arg(long = "sector", value_name = "CODE", value_parser = sector)]
    sectors: Vec<SectorCode>,
    /// The loan's yearly rate: 4.30%.
    #[arg(long, value_name = "PERCENT", value_parser = percent, allow_hyphen_values = true)]
    rate: Option<i64>,
    /// The loan's term in days.
    #[arg(long, value_name = "DAYS", default_value_t = contracts_backtest::TERM_DAYS)]
    term: u16,
    /// Days from a period's end until its value is published.
    #[arg(long, value_name = "DAYS", default_value_t = 0)]
    lag_days: u16,
    /// Replay history as if it happened so many years later: into a policy's window of time, or past 1970, when block time
    /// begins. After 400 years the calendar repeats itself to the day.
    #[arg(long, value_name = "YEARS", default_value_t = 0, value_parser = clap::value_parser!(u16).range(0..=7000))]
    years_later: u16,
    /// Round values that have more decimals than their feed, half to even. Without, they are refused.
    #[arg(long)]
    round: bool,
    /// Years of the counterfactual. Without, 1974, 1980 and 2008 as far as the table has them.
    #[arg(long = "year", value_name = "YEAR")]
    years: Vec<i32>,
    /// Write the report and the chart into this folder: NAME-vVERSION.json and .svg.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (series, column) = text.split_once('=').ok_or("write SERIES=COLUMN, such as us.gdp.real=realgdp")?;
    Ok((series.trim().to_owned(), column.trim().to_owned()))
}

impl Backtest {
    pub fn run(self, is_json: bool) -> Result<Outcome, Failure> {
        let policy = self.policy.checked()?.policy;
        let bytes = std::fs::read(&self.data).map_err(|error| Failure::file(&self.data, error))?;
        let table = Table::read(&bytes)?;
        let mapping: Mapping = self.maps.iter().cloned().collect();
        let rounding = if self.round { Rounding::HalfToEven } else { Rounding::Refuse };
        let (series, sources) = table.series(&policy, &mapping, rounding)?;
        let plan = self.plan(&table)?;
        let mut progress = Progress::new(is_json);
        let periods = (table.frequency, &table.periods[..]);
        let replay = replay(&policy, &policy.compile(), periods, &series, &plan, &mut |done, all| {
            progress.tell(done, all);
        })?;
        progress.end();
        let report = report(&policy, &table, &sources, rounding, &plan, &replay);
        let drawn = chart(&policy, &series, &replay);
        let files = match &self.out {
            Some(folder) => Some(write(folder, &policy, &report, &drawn)?),
            None => None,
        };
        let years = self.years(&replay)?;

        let mut text = read_text(&table, &sources, &policy, &replay);
        text.push_str("\n\n");
        text.push_str(&rows_text(&replay));
        text.push_str("\n\n");
        text.push_str(&changes_text(&replay));
        text.push_str("\n\nwhat banks would have paid\n");
        years.iter().for_each(|year| text.push_str(&format!("  {}\n", year_text(year, &replay))));
        text.push('\n');
        let hash = hex::encode(report.blake3);
        match &files {
            Some([json, svg]) => {
                text.push_str(&format!("report  {}\nchart   {}\n", json.display(), svg.display()));
            }
            None => text.push_str("report and chart are written with --out DIR\n"),
        }
        text.push_str(&format!("blake3  {hash}  of the report: give it to the deployment"));

        let files = files.map(|[json, svg]| json!({ "report": json, "chart": svg }));
        let data = json!({ "report": report.document, "report_blake3": hash, "files": files });
        let outcome = warnings(&policy, &sources, &replay)
            .into_iter()
            .fold(Outcome::new(data, text), |outcome, warning| outcome.with_warning(warning));
        Ok(outcome)
    }

    fn plan(&self, table: &Table) -> Result<Plan, Failure> {
        let at = |text: &Option<String>, is_end| {
            text.as_ref().map(|text| period_at(text, table.frequency, is_end)).transpose()
        };
        let sectors: Vec<Option<SectorCode>> =
            if self.sectors.is_empty() { vec![None] } else { self.sectors.iter().copied().map(Some).collect() };
        let loan = |sector| Loan { sector, rate: self.rate, term_days: Some(self.term) };
        Ok(Plan {
            loans: sectors.into_iter().map(loan).collect(),
            from: at(&self.from, false)?,
            to: at(&self.to, true)?,
            lag_days: self.lag_days,
            years_later: self.years_later,
        })
    }

    fn years(&self, replay: &Replay) -> Result<Vec<Year>, Failure> {
        let all = replay.years();
        let asked = if self.years.is_empty() { crisis_years(replay) } else { self.years.clone() };
        let one = |year: &i32| {
            all.iter().find(|found| found.year == *year).cloned().ok_or_else(|| {
                let (first, last) = (all[0].year, all[all.len() - 1].year);
                Failure::usage(format!("{year} was not replayed"))
                    .with_help(format!("the replay has {first} to {last}"))
            })
        };
        asked.iter().map(one).collect()
    }
}

/// On a terminal, and only of a replay that lasts: a bar that goes when the work is done.
struct Progress {
    begun: Instant,
    is_quiet: bool,
    bar: Option<ProgressBar>,
}

impl Progress {
    fn new(is_quiet: bool) -> Self {
        Progress { begun: Instant::now(), is_quiet, bar: None }
    }

    fn tell(&mut self, done: usize, all: usize) {
        if self.is_quiet || (self.bar.is_none() && self.begun.elapsed() < Duration::from_millis(500)) {
            return;
        }
        let bar = self.bar.get_or_insert_with(|| {
            // It draws on standard error, and not at all if that is no terminal.
            let style = ProgressStyle::with_template("replayed {pos} of {len} periods {bar:30} {eta} left");
            ProgressBar::new(all as u64).with_style(style.expect("the template is well formed"))
        });
        bar.set_position(done as u64);
    }

    fn end(&mut self) {
        self.bar.take().inspect(ProgressBar::finish_and_clear);
    }
}

fn write(folder: &Path, policy: &Policy, report: &Report, drawn: &str) -> Result<[PathBuf; 2], Failure> {
    std::fs::create_dir_all(folder).map_err(|error| Failure::file(folder, error))?;
    let named = |ending: &str| folder.join(format!("{}-v{}.{ending}", policy.name, policy.version));
    let files = [named("json"), named("svg")];
    for (path, bytes) in files.iter().zip([&report.bytes[..], drawn.as_bytes()]) {
        std::fs::write(path, bytes).map_err(|error| Failure::file(path, error))?;
    }
    Ok(files)
}

fn read_text(table: &Table, sources: &[FeedSource], policy: &Policy, replay: &Replay) -> String {
    let text = |period: Period| period.text(table.frequency);
    let (first, last) = (text(table.periods[0]), text(table.periods[table.periods.len() - 1]));
    let mut lines = vec![format!(
        "read      {} {} periods, {first} to {last}, told by {}",
        table.periods.len(),
        table.frequency.word(),
        table.period_columns.join(" and ")
    )];
    for (source, feed) in sources.iter().zip(&policy.feeds) {
        let decimals = if feed.scale == 1 { "decimal" } else { "decimals" };
        lines.push(format!(
            "feed      {} = {} from column {}, {} {decimals}",
            source.feed, source.series, source.column, feed.scale
        ));
    }
    let of = |row: &contracts_backtest::Row| row.period.text(replay.frequency);
    lines.push(format!(
        "replayed  {} periods, {} to {}",
        replay.rows.len(),
        of(&replay.rows[0]),
        of(&replay.rows[replay.rows.len() - 1])
    ));
    lines.join("\n")
}

fn rows_text(replay: &Replay) -> String {
    let mut header = vec!["period".to_owned(), "known from".to_owned()];
    header.extend((0..replay.loans.len()).map(|loan| loan_name(replay, loan)));
    header.push("rate".to_owned());
    let header: Vec<&str> = header.iter().map(String::as_str).collect();
    let rows: Vec<Vec<String>> = replay
        .rows
        .iter()
        .map(|row| {
            let mut cells = vec![row.period.text(replay.frequency), row.known_from.to_string()];
            cells.extend(row.verdicts.iter().map(verdict_word));
            cells.push(row.rate.to_string());
            cells
        })
        .collect();
    table(&header, &rows)
}

fn loan_name(replay: &Replay, loan: usize) -> String {
    replay.loans[loan].sector.map_or_else(|| "verdict".to_owned(), |sector| format!("sector {sector}"))
}

fn changes_text(replay: &Replay) -> String {
    let changes = replay.changes();
    let one = |Change { before, row }: &Change<'_>| {
        let mut what = Vec::new();
        for (loan, (was, is)) in before.verdicts.iter().zip(&row.verdicts).enumerate() {
            if was != is {
                what.push(format!("{} {} → {}", loan_name(replay, loan), verdict_word(was), verdict_word(is)));
            }
        }
        if before.rate != row.rate {
            what.push(format!("rate {} → {}", before.rate, row.rate));
        }
        format!("  {}  ({})  {}", row.known_from, row.period.text(replay.frequency), what.join("; "))
    };
    let lines: Vec<String> = changes.iter().map(one).collect();
    match lines.len() {
        0 => "nothing ever changed".to_owned(),
        1 => format!("changed on 1 day\n{}", lines[0]),
        count => format!("changed on {count} days\n{}", lines.join("\n")),
    }
}

fn year_text(year: &Year, replay: &Replay) -> String {
    let Year { year, lowest, highest, average, permitted, .. } = year;
    let paid = if lowest == highest {
        format!("{lowest} throughout")
    } else {
        format!("{lowest} to {highest}, {average} on average")
    };
    let names: Vec<String> = permitted.iter().map(|period| period.text(replay.frequency)).collect();
    let lent =
        if names.is_empty() { "nothing could be lent".to_owned() } else { format!("lent in {}", names.join(", ")) };
    format!("{year}  {paid}; {lent}")
}

fn warnings(policy: &Policy, sources: &[FeedSource], replay: &Replay) -> Vec<String> {
    let mut warnings = Vec::new();
    if let Some((first, last)) = replay.before_block_time {
        let (first, last) = (first.text(replay.frequency), last.text(replay.frequency));
        warnings.push(format!(
            "{first} to {last} are looked back on, but not replayed: block time begins in 1970; --years-later 400 replays them"
        ));
    }
    for (source, feed) in sources.iter().zip(&policy.feeds) {
        let FeedSource { feed: name, column, rounded, missing, repeated, .. } = source;
        if feed.vintage == Vintage::First {
            warnings.push(format!(
                "{name} reads the first vintage, and a table has one: if {column} was revised since, the policy knew less"
            ));
        }
        if *repeated {
            let word = feed.frequency.period_word();
            warnings
                .push(format!("{column} is coarser than {name}: each {word} is given the value of the row it lies in"));
        }
        if *rounded > 0 {
            warnings.push(format!("{rounded} values of {column} were rounded to {} decimals", feed.scale));
        }
        if *missing > 0 {
            warnings.push(format!("{column} has no value in {missing} rows"));
        }
    }
    let never = |row: &contracts_backtest::Row| {
        row.verdicts.iter().all(|verdict| {
            let Verdict::Deny { reason } = verdict else { return false };
            matches!(reason.number(), 1 | 2)
        })
    };
    if replay.rows.iter().all(never) {
        let line = "every period lies outside the policy's window of time: --years-later YEARS moves history into it";
        warnings.push(line.to_owned());
    }
    warnings
}
