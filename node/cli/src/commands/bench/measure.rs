//! What a bench reads off the machine and the nodes, and how it sums it up.

use crate::outcome::Failure;
use node_api::Client;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;

/// Linux counts process time in hundredths of a second (`getconf CLK_TCK`).
const US_PER_TICK: u64 = 10_000;

/// Processor time and resident memory of one process.
#[derive(Clone, Copy, Default)]
pub struct Usage {
    pub cpu_us: u64,
    pub rss_kib: u64,
}

pub fn usage(pid: u32) -> Usage {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    Usage { cpu_us: cpu_us(&stat).unwrap_or_default(), rss_kib: rss_kib(&status).unwrap_or_default() }
}

/// utime and stime, the 14th and 15th field; the name before them may hold spaces and brackets.
fn cpu_us(stat: &str) -> Option<u64> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let ticks = fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?;
    Some(ticks * US_PER_TICK)
}

fn rss_kib(status: &str) -> Option<u64> {
    status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?.split_whitespace().next()?.parse().ok()
}

/// Share of the machine's processors that did nothing, in parts of a thousand, between two readings.
#[derive(Clone, Copy, Default)]
pub struct Processors {
    idle: u64,
    all: u64,
}

pub fn processors() -> Processors {
    let stat = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let ticks: Vec<u64> = stat
        .lines()
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .skip(1)
        .filter_map(|field| field.parse().ok())
        .collect();
    // user, nice, system, idle, iowait, irq, softirq, steal; guest time stands in user already.
    let idle = ticks.get(3).copied().unwrap_or(0) + ticks.get(4).copied().unwrap_or(0);
    Processors { idle, all: ticks.iter().take(8).sum() }
}

impl Processors {
    pub fn idle_per_mille_until(self, later: Processors) -> u64 {
        (later.idle - self.idle) * 1000 / (later.all - self.all).max(1)
    }
}

/// A node's counters at one moment, by name.
pub async fn metrics(client: &Client) -> Result<BTreeMap<String, f64>, Failure> {
    let url = format!("{}/metrics", client.base());
    let unreachable = |error: reqwest::Error| Failure::network("unreachable", format!("{url}: {error}"));
    let text = reqwest::get(&url).await.map_err(unreachable)?.text().await.map_err(unreachable)?;
    let lines = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.rsplit_once(' '));
    Ok(lines.filter_map(|(name, value)| Some((name.to_owned(), value.parse().ok()?))).collect())
}

/// How far one of a node's counters went between two readings.
pub fn grown(before: &BTreeMap<String, f64>, after: &BTreeMap<String, f64>, name: &str) -> f64 {
    let at = |metrics: &BTreeMap<String, f64>| metrics.get(name).copied().unwrap_or(0.0);
    at(after) - at(before)
}

/// Nearest-rank percentiles of latencies, in microseconds.
pub struct Latencies(Vec<u64>);

impl Latencies {
    pub fn new(mut us: Vec<u64>) -> Self {
        us.sort_unstable();
        Latencies(us)
    }

    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// In milliseconds, to a tenth; none without a measurement.
    pub fn ms(&self, percent: usize) -> Option<f64> {
        let rank = (self.0.len() * percent).div_ceil(100).max(1);
        self.0.get(rank - 1).map(|us| (us / 100) as f64 / 10.0)
    }

    pub fn json(&self) -> Value {
        json!({ "p50": self.ms(50), "p95": self.ms(95), "p99": self.ms(99), "count": self.count() })
    }

    pub fn text(&self) -> String {
        let shown = |percent| self.ms(percent).map_or_else(|| "–".to_owned(), |ms| format!("{ms:.1}"));
        format!("p50 {}  p95 {}  p99 {} ms", shown(50), shown(95), shown(99))
    }
}

pub fn machine() -> Value {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let after = |text: &str, key: &str| {
        text.lines()
            .find(|line| line.starts_with(key))
            .and_then(|line| line.split_once(':'))
            .map(|(_, v)| v.trim().to_owned())
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    json!({ "cpu": after(&cpu, "model name"), "cores": cores, "memory": after(&memory, "MemTotal"),
        "kernel": std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim() })
}

/// The same on one line.
pub fn machine_text() -> String {
    let machine = machine();
    let field = |name: &str| machine[name].as_str().unwrap_or("unknown").to_owned();
    format!("{}, {} cores, {}, kernel {}", field("cpu"), machine["cores"], field("memory"), field("kernel"))
}

/// Bytes that a folder's files take on disk.
pub fn disk_bytes(folder: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let sizes = entries.flatten().map(|entry| match entry.metadata() {
        Ok(meta) if meta.is_dir() => disk_bytes(&entry.path()),
        Ok(meta) => meta.blocks() * 512,
        Err(_) => 0,
    });
    sizes.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_the_nearest_rank() {
        let latencies = Latencies::new((1..=100).rev().map(|ms| ms * 1000).collect());
        assert_eq!((latencies.ms(50), latencies.ms(95), latencies.ms(99)), (Some(50.0), Some(95.0), Some(99.0)));
        assert_eq!(Latencies::new(vec![1_250]).ms(99), Some(1.2));
        assert_eq!(Latencies::new(Vec::new()).ms(50), None);
    }

    #[test]
    fn process_time_is_read_behind_a_name_with_brackets() {
        let stat = "42 (a (b) c) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20 0 1 0 100 200 300";
        assert_eq!(cpu_us(stat), Some(2_000_000));
        assert_eq!(rss_kib("Name:\tx\nVmRSS:\t  1234 kB\n"), Some(1234));
    }
}
