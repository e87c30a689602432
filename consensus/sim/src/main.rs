//! Runs seeds, and says what they met.
//!
//! ```text
//! cargo run --release -p consensus-sim -- --seeds 0..2000
//! cargo run --release -p consensus-sim -- --twins 0..5000
//! cargo run --release -p consensus-sim -- --seeds 17..18 --events            what happened, line by line, in a file
//! cargo run --release -p consensus-sim -- --seeds 0..500 --bug MapOrder      a seeded bug, until it is found
//! ```

use clap::Parser;
use consensus_sim::bugs::Bug;
use consensus_sim::report::{Kind, Report, sweep};
use std::ops::Range;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Parser)]
struct Arguments {
    /// First and one past the last seed.
    #[arg(long, value_parser = range)]
    seeds: Option<Range<u64>>,
    /// First and one past the last of the enumerated schedules of twins.
    #[arg(long, value_parser = range)]
    twins: Option<Range<u64>>,
    /// A fault of our own making, which has to be found.
    #[arg(long, value_parser = |name: &str| Bug::named(name).ok_or_else(|| format!("one of {:?}", Bug::ALL)))]
    bug: Option<Bug>,
    /// Writes every event of every run.
    #[arg(long)]
    events: bool,
    /// Where event logs go.
    #[arg(long, default_value = "target/sim")]
    folder: PathBuf,
    /// Appends one line of JSON about this run.
    #[arg(long)]
    log: Option<PathBuf>,
    /// Goes on after a violation.
    #[arg(long)]
    keep_going: bool,
}

fn range(text: &str) -> Result<Range<u64>, String> {
    let (first, end) = text.split_once("..").ok_or("a range: first..end")?;
    let number = |text: &str| text.parse::<u64>().map_err(|error| error.to_string());
    Ok(number(first)?..number(end)?)
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    #[expect(clippy::disallowed_methods, reason = "the program's one clock, for the log")]
    let now = jiff::Timestamp::now().to_string();
    let mut reports: Vec<Report> = Vec::new();
    for (kind, range) in [(Kind::Seeds, &arguments.seeds), (Kind::Twins, &arguments.twins)] {
        let Some(range) = range else { continue };
        let report =
            sweep(kind, range.clone(), arguments.bug, arguments.events, &arguments.folder, arguments.keep_going);
        println!("{report}");
        if let Some(path) = &arguments.log
            && let Err(error) = report.append_to(path, &now)
        {
            eprintln!("{}: {error}", path.display());
            return ExitCode::FAILURE;
        }
        reports.push(report);
    }
    match reports.iter().any(|report| !report.failures.is_empty()) {
        true => ExitCode::FAILURE,
        false => ExitCode::SUCCESS,
    }
}
