//! Benches on a cluster of their own, on this machine, generator included.
//!
//! `order` measures ordering alone: envelopes sealed before the clock starts, in whole signed bundles. `pay` measures the whole
//! line through the banks' desks. Both say what they checked, and what they leave out.

mod cluster;
mod keys;
mod lane;
mod measure;
mod order;
mod pay;
pub mod sealing;

use crate::outcome::{Failure, Outcome};
use cluster::Progress;
use std::path::PathBuf;
use std::time::Instant;

#[derive(clap::Subcommand)]
pub enum Bench {
    /// Orders sealed envelopes of one input and two outputs: throughput, or latency at a given rate.
    Order(order::Order),
    /// Payments through the banks' desks: signed, accepted, sealed, ordered, opened, released, registered, confirmed.
    Pay(pay::Pay),
}

/// What both benches take.
#[derive(clap::Args)]
pub struct Common {
    /// How long the clock runs.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,
    /// Live coins pre-issued in the genesis, over all banks.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(300..=10_000_000))]
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

impl Bench {
    pub async fn run(self) -> Result<Outcome, Failure> {
        let progress = Progress(Instant::now());
        let bench = async {
            match self {
                Bench::Order(order) => order.run(&progress).await,
                Bench::Pay(pay) => pay.run(&progress).await,
            }
        };
        // The cluster ends with the bench, also when somebody interrupts it.
        tokio::select! {
            outcome = bench => outcome,
            _ = tokio::signal::ctrl_c() => Err(Failure::usage("interrupted")),
        }
    }
}
