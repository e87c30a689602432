//! The node's command: runs one process from its configuration, or makes a local cluster.

use clap::{Parser, Subcommand};
use ledger_types::genesis::KemSuite;
use node::backup;
use node::cluster_init::ClusterPlan;
use node::doctor::Verdict;
use node_api::version::long_version;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

/// RocksDB allocates through it too. With glibc's allocator half of a busy node's resident memory was free room in its arenas
/// (decision 045); `.cargo/config.toml` sets its options.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

static LONG_VERSION: LazyLock<String> = LazyLock::new(|| {
    long_version(env!("CARGO_PKG_VERSION"), option_env!("ASSAY_COMMIT"), &[consensus::engine::NAME_AND_VERSION])
});

#[derive(Parser)]
#[command(name = "assay-node", version, long_version = &**LONG_VERSION, about = "A node of the Assay ledger")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the process that a configuration file describes, until it is told to stop.
    Run {
        #[arg(long)]
        config: PathBuf,
        /// Write the log as JSON lines.
        #[arg(long)]
        log_json: bool,
    },
    /// The files beside the keys that remember what the keys have signed.
    Guards {
        #[command(subcommand)]
        command: GuardsCommand,
    },
    /// Keep the state of a node, running or not, in a folder elsewhere: its ledger, and a bank's desk as it lies encrypted on the
    /// disk. No guards and no keys: keys come from the key ceremony, and guards never from a copy (B-9). A refusal has a number.
    Backup {
        #[arg(long)]
        config: PathBuf,
        /// Absent or empty; best on another disk.
        #[arg(long)]
        to: PathBuf,
        #[arg(long)]
        json: bool,
    },
    /// Put a backup back where the state is absent or empty, if every byte is the one that was taken and the ledger proves itself.
    /// Until `guards renew` has made the guards that are missing, and the node has caught up, it signs nothing.
    Restore {
        #[arg(long)]
        config: PathBuf,
        #[arg(long)]
        from: PathBuf,
        /// The guards beside the keys never left this machine: only the state was lost.
        #[arg(long)]
        guards_are_current: bool,
        #[arg(long)]
        json: bool,
    },
    /// Look at a process's files as its start would, and say what is wrong and what to do. It signs, sends and creates nothing.
    /// Exit code 0: fine; 1: it would not start; 5: it would start and do less than it should.
    Doctor {
        #[arg(long)]
        config: PathBuf,
        /// Compute log and map anew from the stored bytes too: minutes for ten million coins.
        #[arg(long)]
        deep: bool,
        #[arg(long)]
        json: bool,
    },
    /// Make genesis, keys, guards and configurations of a local cluster.
    InitCluster {
        #[arg(long)]
        folder: PathBuf,
        /// Commercial banks, beside the central bank and an observer.
        #[arg(long, default_value_t = 3)]
        banks: u16,
        #[arg(long, default_value_t = 8100)]
        base_port: u16,
        /// The processes listen on 127.0.SUBNET.1, 127.0.SUBNET.2 and so on.
        #[arg(long, default_value_t = 1)]
        subnet: u8,
        /// Coins that each commercial bank's vault has from the start, for benches.
        #[arg(long, default_value_t = 0)]
        bench_coins: u32,
        /// Minor units of each such coin.
        #[arg(long, default_value_t = 10_000)]
        bench_coin_amount: u64,
        /// `x-wing` (hybrid, post-quantum) or `x25519`.
        #[arg(long, default_value = "x-wing", value_parser = parse_kem)]
        kem: KemSuite,
        #[arg(long, default_value_t = 30_000)]
        release_deadline_ms: u64,
        #[arg(long)]
        json: bool,
    },
}

#[derive(Subcommand)]
enum GuardsCommand {
    /// Make the guards anew that are lost. Stop the node first, and be sure that no other runs with these keys: until it has
    /// caught up, the node signs nothing with them. One validator at a time.
    Renew {
        #[arg(long)]
        config: PathBuf,
        #[arg(long)]
        json: bool,
    },
}

fn parse_kem(text: &str) -> Result<KemSuite, String> {
    match text {
        "x-wing" => Ok(KemSuite::XWing),
        "x25519" => Ok(KemSuite::X25519),
        _ => Err("x-wing or x25519".into()),
    }
}

/// Says on the terminal how far the copying is, at most once a second.
fn shown(what: &'static str) -> impl FnMut(u64, u64) {
    let (mut last, mebibytes) = (Instant::now(), |bytes: u64| bytes.div_ceil(1 << 20));
    move |done, total| {
        if done == total || last.elapsed() >= Duration::from_secs(1) {
            last = Instant::now();
            eprintln!("{what} {} of {} MiB", mebibytes(done), mebibytes(total));
        }
    }
}

fn backed_up(manifest: &backup::Manifest) -> serde_json::Value {
    serde_json::json!({
        "chain": manifest.chain.to_string(),
        "participant": manifest.participant.0,
        "height": manifest.height.0,
        "made_ms": manifest.made_ms,
        "files": manifest.files.len(),
        "bytes": manifest.bytes(),
    })
}

fn refused(refusal: &backup::Refusal, json: bool) -> ExitCode {
    if json {
        println!("{}", serde_json::json!({ "refusal": refusal.number(), "what": refusal.to_string() }));
    }
    eprintln!("assay-node: refusal {}: {refusal}", refusal.number());
    ExitCode::FAILURE
}

fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Run { config, log_json } => {
            node::start::init_logging(log_json);
            match node::start::run(&config) {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => {
                    tracing::error!(%error, "the node stops");
                    eprintln!("assay-node: {error}");
                    ExitCode::FAILURE
                }
            }
        }
        Command::Guards { command: GuardsCommand::Renew { config, json } } => {
            match node::start::renew_guards(&config) {
                Ok(made) if json => {
                    println!("{}", serde_json::json!({ "renewed": made }));
                    ExitCode::SUCCESS
                }
                Ok(made) => {
                    match made.is_empty() {
                        true => println!("no guard is missing"),
                        false => made.iter().for_each(|path| println!("made anew {}", path.display())),
                    }
                    ExitCode::SUCCESS
                }
                Err(error) => {
                    eprintln!("assay-node: {error}");
                    ExitCode::FAILURE
                }
            }
        }
        Command::Backup { config, to, json } => match backup::back_up(&config, &to, &mut shown("backed up")) {
            Ok(made) => {
                let backup::Manifest { height, files, .. } = &made;
                match json {
                    true => println!("{}", backed_up(&made)),
                    false => {
                        println!("height {height}, {} files, {} bytes in {}", files.len(), made.bytes(), to.display())
                    }
                }
                ExitCode::SUCCESS
            }
            Err(refusal) => refused(&refusal, json),
        },
        Command::Restore { config, from, guards_are_current, json } => {
            match backup::restore(&config, &from, guards_are_current, &mut shown("restored")) {
                Ok(restored) if json => {
                    let missing: Vec<&PathBuf> = restored.missing.iter().map(|(path, _)| path).collect();
                    let mut document = backed_up(&restored.manifest);
                    document["guards_missing"] = serde_json::json!(missing);
                    println!("{document}");
                    ExitCode::SUCCESS
                }
                Ok(restored) => {
                    println!("height {}, proved from the genesis", restored.manifest.height);
                    for (path, without_it) in &restored.missing {
                        println!("{} is missing: this node {without_it}", path.display());
                    }
                    if !restored.missing.is_empty() {
                        let command = format!("assay-node guards renew --config {}", config.display());
                        println!("be sure that no other node runs with these keys, then: {command}");
                    }
                    ExitCode::SUCCESS
                }
                Err(refusal) => refused(&refusal, json),
            }
        }
        Command::Doctor { config, deep, json } => {
            let report = node::doctor::examine(&config, deep);
            let worst = report.worst();
            if json {
                let document = serde_json::json!({ "verdict": worst, "findings": report.findings });
                println!("{}", serde_json::to_string_pretty(&document).expect("a report is plain JSON"));
            } else {
                for finding in &report.findings {
                    let word = match finding.verdict {
                        Verdict::Fine => "fine",
                        Verdict::Attention => "attention",
                        Verdict::Broken => "broken",
                    };
                    println!("{word:10} {:14} {}", finding.check, finding.what);
                    if !finding.action.is_empty() {
                        println!("{:25} -> {}", "", finding.action);
                    }
                }
            }
            ExitCode::from(match worst {
                Verdict::Fine => 0,
                Verdict::Broken => 1,
                Verdict::Attention => 5,
            })
        }
        Command::InitCluster {
            folder,
            banks,
            base_port,
            subnet,
            bench_coins,
            bench_coin_amount,
            kem,
            release_deadline_ms,
            json,
        } => {
            let plan = ClusterPlan {
                folder,
                banks,
                base_port,
                subnet,
                preissued_per_bank: bench_coins,
                preissued_amount: bench_coin_amount,
                kem_suite: kem,
                release_deadline_ms,
            };
            match plan.init() {
                Ok(cluster) if json => {
                    println!("{}", serde_json::to_string_pretty(&cluster).expect("a manifest is plain JSON"));
                    ExitCode::SUCCESS
                }
                Ok(cluster) => {
                    println!("genesis {}", cluster.genesis_hash);
                    cluster
                        .processes
                        .iter()
                        .for_each(|process| println!("{:<24} {}", process.name, process.config.display()));
                    ExitCode::SUCCESS
                }
                Err(error) => {
                    eprintln!("assay-node: {error}");
                    ExitCode::FAILURE
                }
            }
        }
    }
}
