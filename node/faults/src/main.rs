//! `assay-faults`: runs rows of faults by name, records them, and makes the page of what was shown. `scripts/faults` gives it a
//! machine of its own to break.

use assay_faults::liar::{self, About};
use assay_faults::record::{Counts, Run};
use assay_faults::relay;
use assay_faults::rows::{Order, ROWS, Row, Tier};
use assay_faults::seeded::{self, Caught};
use assay_faults::{speed, strength};
use clap::{Parser, Subcommand};
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

#[derive(Parser)]
#[command(about = "Real faults on real processes of a local cluster")]
struct Arguments {
    /// The folder of node/faults, where the log lies.
    #[arg(long, global = true, default_value = "node/faults")]
    folder: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run these rows, or all.
    Run {
        rows: Vec<String>,
        /// Few faults, and of all rows those alone that run with every change.
        #[arg(long, conflicts_with = "soak")]
        brief: bool,
        /// Each row injects faults for so many hours, in place of a number of them.
        #[arg(long)]
        soak: Option<f64>,
        /// Of the rows' choices; random if it is not given.
        #[arg(long)]
        seed: Option<u64>,
        /// Append a line a run to the log.
        #[arg(long)]
        record: bool,
        /// What the programs were built from.
        #[arg(long, default_value = "unknown")]
        commit: String,
    },
    /// Put seeded bugs, these or all, into a copy of the tree, and demand that each is caught.
    Seeded {
        bugs: Vec<String>,
        /// Where the copy and its builds lie.
        #[arg(long)]
        copy: PathBuf,
        /// Append a line a bug to the log.
        #[arg(long)]
        record: bool,
        #[arg(long, default_value = "unknown")]
        commit: String,
    },
    /// Measure these of the benches that have bars, or all, each as often as its median wants.
    Speed {
        benches: Vec<String>,
        /// Append a line a run to the log, and draw the last run of each beside it.
        #[arg(long)]
        record: bool,
        #[arg(long, default_value = "unknown")]
        commit: String,
    },
    /// Hold back what redirected connections carry, until this is ended; the rows start it.
    #[command(hide = true)]
    Relay {
        #[arg(long)]
        listen: String,
        #[arg(long)]
        one_way_ms: u64,
    },
    /// Be a validator that lies, in place of a node; the rows start it.
    #[command(hide = true)]
    Liar {
        #[arg(long)]
        about: About,
        /// The command that would start the node. Its last word is the configuration.
        #[arg(trailing_var_arg = true, required = true)]
        in_place_of: Vec<PathBuf>,
    },
    /// The names of the rows.
    Rows,
    /// Write STRENGTH.md beside the folder, from the logs.
    Page,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let log = arguments.folder.join("runs.tsv");
    match arguments.command {
        Command::Rows => {
            ROWS.iter().for_each(|row| println!("{}\t{}\t{}", row.name, row.whole, row.promise));
            ExitCode::SUCCESS
        }
        Command::Page => match strength::write(&arguments.folder) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => refuse(&error),
        },
        Command::Relay { listen, one_way_ms } => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let relayed =
                runtime.and_then(|runtime| runtime.block_on(relay::run(&listen, Duration::from_millis(one_way_ms))));
            relayed.map_or_else(|error| refuse(&format!("{listen}: {error}")), |()| ExitCode::SUCCESS)
        }
        Command::Liar { about, in_place_of } => {
            let config = in_place_of.last().expect("clap asks for one");
            liar::run(config, about).map_or_else(|error| refuse(&error.to_string()), |()| ExitCode::SUCCESS)
        }
        Command::Seeded { bugs, copy, record, commit } => {
            let (log, mut missed) = (arguments.folder.join("seeded.tsv"), 0);
            let told = |caught: &Caught| {
                println!("{caught}");
                missed += u32::from(!caught.is_caught());
                let appended = if record { caught.append(&log) } else { Ok(()) };
                appended.map_err(|error| format!("{}: {error}", log.display()))
            };
            match seeded::run(Path::new("."), &copy, &bugs, &today(), &commit, told) {
                Ok(()) if missed == 0 => ExitCode::SUCCESS,
                Ok(()) => refuse(&format!("{missed} seeded bugs are not caught")),
                Err(error) => refuse(&error),
            }
        }
        Command::Speed { benches, record, commit } => {
            let assay = std::env::current_exe().unwrap_or_default().with_file_name("assay");
            let date = today();
            let stamp = record.then_some((date.as_str(), commit.as_str()));
            match speed::run(&assay, &benches, &arguments.folder, stamp) {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => refuse(&error),
            }
        }
        Command::Run { rows, brief, soak, seed, record, commit } => {
            let wrong = rows.iter().find(|name| !ROWS.iter().any(|row| row.name == **name));
            if let Some(wrong) = wrong {
                return refuse(&format!("there is no row {wrong}; see assay-faults rows"));
            }
            let tier = match soak.map(|hours| Duration::try_from_secs_f64(hours * 3600.0)).transpose() {
                Ok(Some(long)) => Tier::Soak(long),
                Ok(None) if brief => Tier::Brief,
                Ok(None) => Tier::Ci,
                Err(error) => return refuse(&format!("--soak takes hours: {error}")),
            };
            let mut all_passed = true;
            let is_asked = |row: &&Row| match rows.is_empty() {
                true => tier != Tier::Brief || row.brief.is_some(),
                false => rows.iter().any(|name| name == row.name),
            };
            for row in ROWS.iter().filter(is_asked) {
                let seed = seed.unwrap_or_else(rand::random);
                let run = run(row, seed, tier, &commit);
                println!("{run}");
                all_passed &= run.passed();
                if let Some(Err(error)) = record.then(|| run.append(&log)) {
                    return refuse(&format!("{}: {error}", log.display()));
                }
            }
            if all_passed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
    }
}

fn refuse(message: &str) -> ExitCode {
    eprintln!("error: {message}");
    ExitCode::from(2)
}

/// A row panics when something does not hold; here that is its outcome.
fn run(row: &Row, seed: u64, tier: Tier, commit: &str) -> Run {
    let folder = std::env::temp_dir().join(format!("assay-faults-{}-{seed}", row.name));
    eprintln!("{}: {} (seed {seed}, in {})", row.name, row.promise, folder.display());
    // A folder of an earlier run of the same seed that failed.
    let _ = std::fs::remove_dir_all(&folder);
    let mut counts = Counts::default();
    let outcome = match std::fs::create_dir_all(&folder) {
        Err(error) => Err(format!("{}: {error}", folder.display())),
        Ok(()) => {
            let order = Order { seed, tier, folder: folder.clone() };
            std::panic::catch_unwind(AssertUnwindSafe(|| (row.run)(&order, &mut counts))).map_err(|panic| {
                let text = panic.downcast_ref::<String>().cloned();
                text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
            })
        }
    };
    let outcome = match outcome {
        Ok(()) => {
            remove(&folder);
            "passed".to_owned()
        }
        Err(text) => {
            eprintln!("{}: failed; logs and journal are in {}", row.name, folder.display());
            format!("failed: {text}")
        }
    };
    Run {
        date: today(),
        commit: commit.to_owned(),
        row: row.name.to_owned(),
        tier: match tier {
            Tier::Brief => "brief",
            Tier::Ci => "ci",
            Tier::Soak(_) => "soak",
        }
        .to_owned(),
        seed,
        counts,
        outcome,
    }
}

fn today() -> String {
    let now = i64::try_from(node::clock::now_ms()).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    now.expect("the clock shows a time of this era").strftime("%F").to_string()
}

fn remove(folder: &Path) {
    if let Err(error) = std::fs::remove_dir_all(folder) {
        eprintln!("{}: {error}", folder.display());
    }
}
