//! The log of runs: one line a run, only ever appended to, and committed.
//!
//! `date commit row tier seed counts outcome`, separated by tabs; counts are `name=value`, separated by blanks.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

/// What a run counted, in the order in which it was counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts(Vec<(String, u64)>);

impl Counts {
    pub fn set(&mut self, name: &str, value: u64) {
        match self.0.iter_mut().find(|(known, _)| known == name) {
            Some((_, count)) => *count = value,
            None => self.0.push((name.to_owned(), value)),
        }
    }

    pub fn add(&mut self, name: &str, more: u64) {
        self.set(name, self.get(name).unwrap_or_default() + more);
    }

    pub fn get(&self, name: &str) -> Option<u64> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, count)| *count)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, u64)> {
        self.0.iter().map(|(name, count)| (name.as_str(), *count))
    }

    /// `NAME_p50_ms`, `NAME_p99_ms` and `NAME_max_ms` of times of which there is at least one: the nearest rank.
    pub fn times(&mut self, name: &str, times: &[Duration]) {
        let mut ms: Vec<u64> = times.iter().map(|time| time.as_millis() as u64).collect();
        ms.sort_unstable();
        let Some(max) = ms.last().copied() else { return };
        let rank = |percent: usize| ms[(ms.len() * percent).div_ceil(100) - 1];
        self.set(&format!("{name}_p50_ms"), rank(50));
        self.set(&format!("{name}_p99_ms"), rank(99));
        self.set(&format!("{name}_max_ms"), max);
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts: Vec<String> = self.iter().map(|(name, count)| format!("{name}={count}")).collect();
        f.write_str(&counts.join(" "))
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// UTC, to the day.
    pub date: String,
    pub commit: String,
    pub row: String,
    /// `brief`, `ci` or `soak`.
    pub tier: String,
    pub seed: u64,
    pub counts: Counts,
    /// `passed`, or `failed: ` and what did not hold.
    pub outcome: String,
}

impl Run {
    pub fn passed(&self) -> bool {
        self.outcome == "passed"
    }

    /// None if the line is none of this log's.
    pub fn parse(line: &str) -> Option<Self> {
        let fields: Vec<&str> = line.split('\t').collect();
        let [date, commit, row, tier, seed, counts, outcome] = fields[..] else { return None };
        let counts = counts.split_whitespace().map(|count| {
            let (name, value) = count.split_once('=')?;
            Some((name.to_owned(), value.parse().ok()?))
        });
        Some(Run {
            date: date.into(),
            commit: commit.into(),
            row: row.into(),
            tier: tier.into(),
            seed: seed.parse().ok()?,
            counts: Counts(counts.collect::<Option<_>>()?),
            outcome: outcome.into(),
        })
    }

    pub fn append(&self, log: &Path) -> std::io::Result<()> {
        std::fs::File::options().create(true).append(true).open(log)?.write_all(format!("{self}\n").as_bytes())
    }
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Run { date, commit, row, tier, seed, counts, outcome } = self;
        // A message of several lines, or with tabs, is one field of one line.
        let outcome: Vec<&str> = outcome.split_whitespace().collect();
        write!(f, "{date}\t{commit}\t{row}\t{tier}\t{seed}\t{counts}\t{}", outcome.join(" "))
    }
}

/// Every run of the log; none if it does not exist. An error names the line that is none.
pub fn read(log: &Path) -> Result<Vec<Run>, String> {
    let Ok(text) = std::fs::read_to_string(log) else { return Ok(Vec::new()) };
    let runs = text
        .lines()
        .enumerate()
        .map(|(at, line)| Run::parse(line).ok_or_else(|| format!("{}:{}: not a run: {line}", log.display(), at + 1)));
    runs.collect()
}

/// Sums over these runs, but of times the greatest, and of parts of a whole the least: a percentile of percentiles would be none.
pub fn total<'a>(runs: impl IntoIterator<Item = &'a Run>) -> BTreeMap<String, u64> {
    let mut total = BTreeMap::new();
    for (name, count) in runs.into_iter().flat_map(|run| run.counts.iter()) {
        let so_far: &mut u64 = total.entry(name.to_owned()).or_default();
        *so_far = match name {
            _ if name.ends_with("_percent") && *so_far > 0 => (*so_far).min(count),
            _ if is_no_sum(name) => (*so_far).max(count),
            _ => *so_far + count,
        };
    }
    total
}

fn is_no_sum(name: &str) -> bool {
    name.ends_with("_ms")
        || name.ends_with("_per_minute")
        || name.ends_with("_percent")
        || name.ends_with("_hundredths")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_read_from_its_line_as_it_was_written() {
        let mut counts = Counts::default();
        counts.add("faults", 2);
        counts.add("faults", 1);
        counts.times("rejoin", &[30, 10, 20].map(Duration::from_millis));
        let run = Run {
            date: "2026-11-27".into(),
            commit: "0123456789ab".into(),
            row: "P1".into(),
            tier: "ci".into(),
            seed: u64::MAX,
            counts,
            outcome: "failed: bank2\tis gone\nat once".into(),
        };
        let line = run.to_string();
        assert_eq!(
            line,
            "2026-11-27\t0123456789ab\tP1\tci\t18446744073709551615\t\
             faults=3 rejoin_p50_ms=20 rejoin_p99_ms=30 rejoin_max_ms=30\tfailed: bank2 is gone at once"
        );
        let read = Run::parse(&line).unwrap();
        assert_eq!(read, Run { outcome: "failed: bank2 is gone at once".into(), ..run });
        assert!(!read.passed());
        for wrong in ["", "P1", &line.replace("faults=3", "faults"), &format!("{line}\tmore")] {
            assert_eq!(Run::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn counts_of_several_runs_are_added_and_of_times_the_worst_stays() {
        let run = |text: &str| Run::parse(&format!("2026-11-27\tc\tP1\tci\t1\t{text}\tpassed")).unwrap();
        let total = total([
            &run("faults=3 rejoin_max_ms=20 rate_percent=90"),
            &run("faults=4 rejoin_max_ms=10 rate_percent=80"),
            &run("rate_percent=85"),
        ]);
        let expected = [("faults", 7), ("rate_percent", 80), ("rejoin_max_ms", 20)];
        assert_eq!(total, BTreeMap::from(expected.map(|(name, count)| (name.to_owned(), count))));
    }
}
