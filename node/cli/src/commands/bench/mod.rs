//! Benches on a cluster of their own, on this machine, generator included.
//!
//! `order` measures ordering alone: envelopes sealed before the clock starts, in whole signed bundles. `pay` measures the whole
//! line through the banks' desks, `lookup` the site's answers with proof, `idle` what a cluster costs that has nothing to do.
//! Each says what it checked, and what it leaves out.

mod bar;
mod cluster;
mod conservation;
mod idle;
mod lane;
mod lookup;
pub mod measure;
mod order;
mod pay;
pub mod sealing;

// The benches open the key files of the clusters that they make.
use crate::key_file as keys;
use crate::outcome::{Failure, Outcome};
use cluster::Progress;
pub use cluster::beside_this_program;
use std::path::PathBuf;
use std::time::Instant;

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
}

/// What the benches take that run against a clock.
#[derive(clap::Args)]
pub struct Common {
    /// How long the clock runs.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,
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

impl Bench {
    pub async fn run(self) -> Result<Outcome, Failure> {
        let progress = Progress(Instant::now());
        let bench = async {
            match self {
                Bench::Order(order) => order.run(&progress).await,
                Bench::Pay(pay) => pay.run(&progress).await,
                Bench::Lookup(lookup) => lookup.run(&progress).await,
                Bench::Idle(idle) => idle.run(&progress).await,
            }
        };
        // The cluster ends with the bench, also when somebody interrupts it.
        tokio::select! {
            outcome = bench => outcome,
            _ = tokio::signal::ctrl_c() => Err(Failure::interrupted()),
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
}
