//! `assay bench idle`: what each process takes while there is nothing to do.
//!
//! Idle is not stopped: the chain makes a height a minute (B-5), checkpoints are cosigned again every 30 s (L-3), links
//! and the engine's peers are kept. The desks' splitting is waited for first; it is work.

use super::Ground;
use super::cluster::{BenchCluster, Plan, Progress, Seat};
use super::measure::{self, Usage};
use crate::commands::table;
use crate::outcome::{Failure, Outcome};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const COIN_AMOUNT: u64 = 10_000;
/// No height for so long: what was to be split and confirmed at the start is done.
const QUIET_FOR: Duration = Duration::from_secs(10);
const QUIET_WITHIN: Duration = Duration::from_secs(300);
const POLL: Duration = Duration::from_millis(500);
/// Of one core, in hundredths of a percent: a node that takes more is not idle.
const BAR: u64 = 100;

#[derive(clap::Args)]
pub struct Idle {
    /// How long is measured.
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,
    #[command(flatten)]
    ground: Ground,
}

/// One process over the window.
struct Measured {
    name: String,
    role: String,
    /// Hundredths of a percent of one core.
    cpu: u64,
    rss_mib: u64,
}

/// Processor time over a time, in hundredths of a percent of one core.
fn share(cpu_us: u64, over: Duration) -> u64 {
    let us = u64::try_from(over.as_micros()).unwrap_or(u64::MAX).max(1);
    cpu_us * 10_000 / us
}

fn percent(hundredths: u64) -> String {
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}

impl Idle {
    pub async fn run(self, progress: &Progress) -> Result<Outcome, Failure> {
        let plan = Plan {
            banks: super::BANKS,
            coins_per_bank: self.ground.coins / super::BANKS,
            coin_amount: COIN_AMOUNT,
            runs: |_| true,
            set: &[],
            keep: self.ground.keep,
            node: self.ground.node_program.clone(),
            folder: self.ground.folder.clone(),
        };
        let mut cluster = BenchCluster::start(plan, progress).await?;
        let before = quiet(&mut cluster).await?;
        progress.say(format_args!("quiet at height {before}; measuring for {} s", self.seconds));

        let usage = |cluster: &BenchCluster| -> Vec<Usage> {
            cluster.processes().map(|(_, pid)| measure::usage(pid)).collect()
        };
        let (start, first) = (Instant::now(), usage(&cluster));
        let end = start + Duration::from_secs(self.seconds);
        while Instant::now() < end {
            cluster.all_run()?;
            tokio::time::sleep_until((Instant::now() + POLL).min(end).into()).await;
        }
        let (last, over) = (usage(&cluster), start.elapsed());
        let (after, _) = cluster.one_tip().await?;
        let measured: Vec<Measured> = cluster
            .processes()
            .zip(first.iter().zip(&last))
            .map(|((seat, _), (first, last))| Measured {
                name: seat.name.clone(),
                role: seat.role.clone(),
                cpu: share(last.cpu_us.saturating_sub(first.cpu_us), over),
                rss_mib: last.rss_kib / 1024,
            })
            .collect();
        Ok(self.report(&measured, over, after - before))
    }

    fn report(&self, measured: &[Measured], over: Duration, heights: u64) -> Outcome {
        let rows: Vec<Vec<String>> = measured
            .iter()
            .map(|process| {
                vec![
                    process.name.clone(),
                    process.role.clone(),
                    format!("{} %", percent(process.cpu)),
                    format!("{} MiB", process.rss_mib),
                ]
            })
            .collect();
        let worst = measured.iter().map(|process| process.cpu).max().unwrap_or(0);
        let checked = [
            format!(
                "no process ended; {heights} heights in {:.0} s; all nodes at one tip afterwards",
                over.as_secs_f64()
            ),
            format!("before: no height for {} s", QUIET_FOR.as_secs()),
        ];
        let not_checked = ["the bench asks the nodes nothing during the window"];
        let mut text = format!(
            "idle       at most {} % of a core a process over {:.0} s\n{}\nmachine    {}\n\
             sizes      {} processes, {} live coins\nlimited by nothing: the cluster has no work\n",
            percent(worst),
            over.as_secs_f64(),
            table(&["process", "role", "cpu", "resident"], &rows),
            measure::machine_text(),
            measured.len(),
            self.ground.coins,
        );
        checked.iter().for_each(|check| text.push_str(&format!("checked    {check}\n")));
        not_checked.iter().for_each(|what| text.push_str(&format!("not checked  {what}\n")));
        let processes: Vec<Value> = measured
            .iter()
            .map(|process| {
                json!({ "name": process.name, "role": process.role, "cpu_percent": process.cpu as f64 / 100.0,
                    "rss_mib": process.rss_mib })
            })
            .collect();
        let data = json!({
            "bench": "idle", "seconds": over.as_secs_f64(), "processes": processes,
            "cpu_percent_max": worst as f64 / 100.0,
            "rss_mib_max": measured.iter().map(|process| process.rss_mib).max(), "heights": heights,
            "limiting_stage": "none: the cluster has no work", "checked": checked, "not_checked": not_checked,
            "machine": measure::machine(), "sizes": { "processes": measured.len(), "live_coins": self.ground.coins },
        });
        let busy: Vec<&str> =
            measured.iter().filter(|process| process.cpu > BAR).map(|process| process.name.as_str()).collect();
        let outcome = Outcome::new(data, text);
        match busy.is_empty() {
            true => outcome,
            false => outcome.with_warning(format!("over {} % of a core: {}", percent(BAR), busy.join(", "))),
        }
    }
}

/// The height at which nothing has come any more for [`QUIET_FOR`].
async fn quiet(cluster: &mut BenchCluster) -> Result<u64, Failure> {
    let observer = cluster.seats().find(|seat| seat.role == "observer").map(Seat::client).transpose()?;
    let observer = observer.ok_or_else(|| Failure::network("no_observer", "the cluster has no observer"))?;
    let until = Instant::now() + QUIET_WITHIN;
    loop {
        cluster.all_run()?;
        let status = observer.status().await?;
        if u128::from(status.since_commit_ms) >= QUIET_FOR.as_millis() {
            return Ok(cluster.one_tip().await?.0);
        }
        if Instant::now() > until {
            let message = format!("heights still come after {QUIET_WITHIN:?}, the last is {}", status.height);
            return Err(Failure::network("not_idle", message));
        }
        tokio::time::sleep(POLL).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_of_one_core_over_the_window() {
        assert_eq!(share(3_000_000, Duration::from_secs(300)), 100);
        assert_eq!(percent(share(150_000, Duration::from_secs(300))), "0.05");
    }

    #[test]
    fn a_process_above_a_percent_of_a_core_is_named_in_a_warning() {
        let idle = Idle { seconds: 300, ground: Ground { coins: 300, node_program: None, folder: None, keep: false } };
        let process = |name: &str, cpu| Measured { name: name.into(), role: "observer".into(), cpu, rss_mib: 100 };
        let outcome = idle.report(&[process("a", 100), process("b", 101)], Duration::from_secs(300), 5);
        assert_eq!(outcome.warnings, ["over 1.00 % of a core: b"]);
        assert_eq!(outcome.data["cpu_percent_max"], 1.01);
    }
}
