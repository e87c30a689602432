//! The log of the seeded bugs: one line a bug and run, only ever appended to, and committed.
//!
//! `date commit bug seconds catcher outcome`, separated by tabs. The seconds are those of the test or row alone, without its build.

use std::fmt;
use std::io::Write;
use std::path::Path;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caught {
    /// UTC, to the day.
    pub date: String,
    pub commit: String,
    pub bug: String,
    pub seconds: u64,
    pub catcher: String,
    /// `caught: ` and what the assertion said, or `missed: ` and why.
    pub outcome: String,
}

impl Caught {
    pub fn is_caught(&self) -> bool {
        self.outcome.starts_with("caught: ")
    }

    fn parse(line: &str) -> Option<Self> {
        let fields: Vec<&str> = line.split('\t').collect();
        let [date, commit, bug, seconds, catcher, outcome] = fields[..] else { return None };
        Some(Caught {
            date: date.into(),
            commit: commit.into(),
            bug: bug.into(),
            seconds: seconds.parse().ok()?,
            catcher: catcher.into(),
            outcome: outcome.into(),
        })
    }

    pub fn append(&self, log: &Path) -> std::io::Result<()> {
        std::fs::File::options().create(true).append(true).open(log)?.write_all(format!("{self}\n").as_bytes())
    }
}

impl fmt::Display for Caught {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Caught { date, commit, bug, seconds, catcher, outcome } = self;
        let outcome: Vec<&str> = outcome.split_whitespace().collect();
        write!(f, "{date}\t{commit}\t{bug}\t{seconds}\t{catcher}\t{}", outcome.join(" "))
    }
}

/// Every line of the log; none if it does not exist. An error names the line that is none.
pub fn read(log: &Path) -> Result<Vec<Caught>, String> {
    let Ok(text) = std::fs::read_to_string(log) else { return Ok(Vec::new()) };
    let lines = text.lines().enumerate().map(|(at, line)| {
        Caught::parse(line).ok_or_else(|| format!("{}:{}: not a run: {line}", log.display(), at + 1))
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("seeded.tsv");
        let caught = Caught {
            date: "2026-11-27".into(),
            commit: "0123456789ab".into(),
            bug: "MapOrder".into(),
            seconds: 3,
            catcher: "row P3".into(),
            outcome: "caught: left\tis not\nright".into(),
        };
        caught.append(&log).unwrap();
        let missed = Caught { outcome: "missed: it passes".into(), ..caught.clone() };
        missed.append(&log).unwrap();
        let read_back = read(&log).unwrap();
        assert_eq!(read_back, [Caught { outcome: "caught: left is not right".into(), ..caught }, missed]);
        assert_eq!(read_back.iter().map(Caught::is_caught).collect::<Vec<_>>(), [true, false]);
        std::fs::write(&log, "MapOrder\n").unwrap();
        assert!(read(&log).unwrap_err().contains("seeded.tsv:1"));
    }
}
