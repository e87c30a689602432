//! Many runs, and what they met together: so that it is seen that the faults did happen.

use crate::bugs::Bug;
use crate::oracle::Invariant;
use crate::plan::Plan;
use crate::world::{Outcome, is_running, run};
use std::collections::BTreeMap;
use std::fmt;
use std::io::Write;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::time::{Duration, Instant};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Seeds,
    Twins,
}

impl Kind {
    pub fn plan(self, number: u64) -> Plan {
        match self {
            Kind::Seeds => Plan::of_seed(number),
            Kind::Twins => Plan::of_twins(number),
        }
    }

    fn flag(self) -> &'static str {
        match self {
            Kind::Seeds => "--seeds",
            Kind::Twins => "--twins",
        }
    }
}

pub struct Failure {
    pub number: u64,
    pub invariant: Invariant,
    pub text: String,
    pub events: Option<PathBuf>,
}

pub struct Report {
    pub kind: Kind,
    pub range: Range<u64>,
    pub ran: u64,
    pub bug: Option<Bug>,
    pub took: Duration,
    /// Over the traces of all runs: two machines that ran the same have the same.
    pub trace: blake3::Hash,
    pub counts: BTreeMap<&'static str, u64>,
    pub failures: Vec<Failure>,
}

/// A panic inside of a run is a finding and is told as one; those of other threads are told as ever.
fn silence_panics_of_nodes() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if !is_running() {
                hook(panic);
            }
        }));
    });
}

/// Runs all of a range, or up to the first violation.
pub fn sweep(
    kind: Kind,
    range: Range<u64>,
    bug: Option<Bug>,
    events: bool,
    folder: &Path,
    keeps_going: bool,
) -> Report {
    let began = Instant::now();
    let mut report = Report {
        kind,
        range: range.clone(),
        ran: 0,
        bug,
        took: Duration::ZERO,
        trace: blake3::hash(&[]),
        counts: BTreeMap::new(),
        failures: Vec::new(),
    };
    silence_panics_of_nodes();
    let mut traces = blake3::Hasher::new();
    for number in range {
        let plan = Plan { bug, readable: events, ..kind.plan(number) };
        let Outcome { violation, text, counts, trace } = run(plan.clone());
        traces.update(&trace);
        report.ran += 1;
        for (what, times) in counts {
            *report.counts.entry(what).or_default() += times;
        }
        // The same again, this time with words: one seed, one history.
        let text = match (&violation, text) {
            (Some(_), None) => run(Plan { readable: true, ..plan }).text,
            (_, text) => text,
        };
        let path = text.and_then(|text| write_events(folder, kind, number, bug, &text));
        if let Some(violation) = violation {
            report.failures.push(Failure {
                number,
                invariant: violation.invariant,
                text: violation.text,
                events: path,
            });
            if !keeps_going {
                break;
            }
        }
    }
    (report.took, report.trace) = (began.elapsed(), traces.finalize());
    report
}

fn write_events(folder: &Path, kind: Kind, number: u64, bug: Option<Bug>, text: &str) -> Option<PathBuf> {
    let bug = bug.map(|bug| format!("-{bug:?}")).unwrap_or_default();
    let path = folder.join(format!("{kind:?}-{number}{bug}.log"));
    let written = std::fs::create_dir_all(folder).and_then(|()| std::fs::write(&path, text));
    match written {
        Ok(()) => Some(path),
        Err(error) => {
            eprintln!("{}: {error}", path.display());
            None
        }
    }
}

impl Report {
    /// One line: {date, commit, kind, from, to, ran, seconds, bug, counts, outcome}.
    pub fn append_to(&self, path: &Path, now: &str) -> std::io::Result<()> {
        let git = std::process::Command::new("git").args(["rev-parse", "--short=12", "HEAD"]).output();
        let commit = git.ok().filter(|output| output.status.success());
        let commit = commit.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
        let line = serde_json::json!({
            "date": now,
            "commit": commit,
            "kind": format!("{:?}", self.kind),
            "from": self.range.start,
            "to": self.range.start + self.ran,
            "seconds": (self.took.as_secs_f64() * 10.0).round() / 10.0,
            "bug": self.bug.map(|bug| format!("{bug:?}")),
            "trace": self.trace.to_hex().as_str(),
            "counts": self.counts,
            "outcome": match self.failures.first() {
                None => "no invariant was violated".to_owned(),
                Some(failure) => format!("{} {}: {:?}: {}", self.kind.flag(), failure.number, failure.invariant, failure.text),
            },
        });
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path)?;
        writeln!(file, "{line}")
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.took.as_secs_f64();
        writeln!(
            f,
            "{:?} {}..{}: {} runs in {seconds:.1} s, {:.1} a second",
            self.kind,
            self.range.start,
            self.range.end,
            self.ran,
            self.ran as f64 / seconds.max(1e-9)
        )?;
        for (what, times) in &self.counts {
            writeln!(f, "  {times:>12}  {what}")?;
        }
        for failure in &self.failures {
            writeln!(
                f,
                "VIOLATION in {} {}: {:?}: {}",
                self.kind.flag(),
                failure.number,
                failure.invariant,
                failure.text
            )?;
            if let Some(path) = &failure.events {
                writeln!(f, "  events: {}", path.display())?;
            }
            let bug = self.bug.map(|bug| format!(" --bug {bug:?}")).unwrap_or_default();
            writeln!(
                f,
                "  again: cargo run --release -p consensus-sim -- {} {}..{} --events{bug}",
                self.kind.flag(),
                failure.number,
                failure.number + 1
            )?;
        }
        writeln!(f, "trace {}", self.trace)?;
        if self.failures.is_empty() {
            write!(f, "no invariant was violated")?;
        }
        Ok(())
    }
}
