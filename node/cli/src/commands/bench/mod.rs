//! Benches on a cluster of their own, on this machine, generator included.
//!
//! `order` measures ordering alone: envelopes sealed before the clock starts, in whole signed bundles. `pay` measures the whole
//! line through the banks' desks, `lookup` the site's answers with proof, `join` how long a node from nothing takes, `idle` what a
//! cluster costs that has nothing to do.
//! Each says what it checked, and what it leaves out.

mod bar;
mod cluster;
mod conservation;
mod idle;
mod join;
mod lane;
mod lookup;
pub mod measure;
mod order;
mod pay;
mod picture;
pub mod sealing;

// The benches open the key files of the clusters that they make.
use crate::key_file as keys;
use crate::outcome::{Exit, Failure, Outcome};
use cluster::Progress;
pub use cluster::beside_this_program;
use std::path::PathBuf;
use std::time::Instant;
use tokio::signal::unix::{SignalKind, signal};

#[derive(clap::Subcommand)]
pub enum Bench {
    /// Orders sealed envelopes of one input and two outputs: throughput, or latency at a given rate.
    Order(order::Order),
    /// Payments through the banks' desks: signed, accepted, sealed, ordered, opened, released, registered, confirmed.
    Pay(pay::Pay),
    /// Questions for one coin each with its proof, at the query site over an observer.
    Lookup(lookup::Lookup),
    /// What every process of a cluster takes while there is nothing to do: processor time and resident memory.
    Idle(idle::Idle),
    /// A node from nothing: how long it takes to a snapshot's state and to the tip. Eleven thousand heights come first.
    Join(join::Join),
}

/// What the benches take that run against a clock.
#[derive(clap::Args)]
pub struct Common {
    /// How long the clock runs.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,
    #[command(flatten)]
    ground: Ground,
    /// Draw the run into this file.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

/// What a bench's cluster is made of, and where.
#[derive(clap::Args)]
pub struct Ground {
    /// Live coins pre-issued in the genesis, over all three banks; rounded up to as many at each.
    #[arg(long, default_value = "1000000", value_parser = coins_of_whole_banks)]
    coins: u32,
    /// The node's program; else assay-node beside this one.
    #[arg(long, value_name = "FILE")]
    node_program: Option<PathBuf>,
    /// Where the cluster is made; else a temporary folder.
    #[arg(long, value_name = "DIR")]
    folder: Option<PathBuf>,
    /// Leave the folder, with the nodes' logs, when the bench ends.
    #[arg(long)]
    keep: bool,
}

const BANKS: u32 = 3;

/// Rounded up: who asks for a million gets at least a million.
fn coins_of_whole_banks(text: &str) -> Result<u32, String> {
    let coins: u32 = text.parse().map_err(|_| format!("{text} is no number"))?;
    if !(300..=10_000_000).contains(&coins) {
        return Err("300 to 10000000".into());
    }
    Ok(coins.next_multiple_of(BANKS))
}

/// How many of `at_us`, microseconds since the clock started, fell into each second of the run.
fn per_second(at_us: impl IntoIterator<Item = (u64, u64)>, seconds: u64) -> Vec<u64> {
    let mut each = vec![0; usize::try_from(seconds).unwrap_or(0)];
    for (at_us, count) in at_us {
        if let Some(second) = usize::try_from(at_us / 1_000_000).ok().and_then(|second| each.get_mut(second)) {
            *second += count;
        }
    }
    each
}

/// Whether a long run slows down: the mean of its first and of its last minute, once it has two of them.
fn minutes(per_second: &[u64]) -> serde_json::Value {
    let mean = |part: &[u64]| part.iter().sum::<u64>() / 60;
    match (per_second.first_chunk::<60>(), per_second.last_chunk::<60>()) {
        (Some(first), Some(last)) if per_second.len() >= 120 => {
            serde_json::json!({ "first_per_s": mean(first), "last_per_s": mean(last) })
        }
        _ => serde_json::Value::Null,
    }
}

impl Bench {
    pub async fn run(self) -> Result<Outcome, Failure> {
        let progress = Progress(Instant::now());
        let svg = match &self {
            Bench::Order(order::Order { common, .. })
            | Bench::Pay(pay::Pay { common, .. })
            | Bench::Lookup(lookup::Lookup { common, .. }) => common.svg.clone(),
            Bench::Idle(_) | Bench::Join(_) => None,
        };
        let bench = async {
            match self {
                Bench::Order(order) => order.run(&progress).await,
                Bench::Pay(pay) => pay.run(&progress).await,
                Bench::Lookup(lookup) => lookup.run(&progress).await,
                Bench::Idle(idle) => idle.run(&progress).await,
                Bench::Join(join) => join.run(&progress).await,
            }
        };
        // The cluster ends with the bench, also when somebody ends that.
        let mut terminate =
            signal(SignalKind::terminate()).map_err(|error| Failure::new(Exit::Local, "signals", error.to_string()))?;
        let outcome = tokio::select! {
            outcome = bench => outcome?,
            _ = tokio::signal::ctrl_c() => return Err(Failure::interrupted()),
            _ = terminate.recv() => return Err(Failure::interrupted()),
        };
        // A run takes minutes: a picture that cannot be written costs none of it.
        match svg.map(|file| std::fs::write(&file, picture::svg(&outcome.data)).map_err(|error| (file, error))) {
            Some(Err((file, error))) if outcome.failure.is_none() => Ok(outcome.but(Failure::file(&file, error))),
            _ => Ok(outcome),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coins_are_rounded_up_to_as_many_at_each_bank() {
        assert_eq!(coins_of_whole_banks("1000000"), Ok(1_000_002));
        assert_eq!(coins_of_whole_banks("300"), Ok(300));
        assert!(coins_of_whole_banks("299").is_err() && coins_of_whole_banks("ten").is_err());
    }

    #[test]
    fn items_fall_into_their_second_and_those_after_the_run_into_none() {
        assert_eq!(per_second([(0, 1), (999_999, 2), (1_000_000, 4), (2_000_000, 8)], 2), [3, 4]);
        assert!(minutes(&[1; 119]).is_null());
        let slower: Vec<u64> = [[10; 60], [9; 60], [8; 60]].concat();
        assert_eq!(minutes(&slower), serde_json::json!({ "first_per_s": 10, "last_per_s": 8 }));
    }
}
