//! A bench's own cluster: made in a temporary folder, run as real processes, ended and removed with this value.

use super::measure;
use crate::outcome::Failure;
use ledger_types::genesis::Genesis;
use node_api::Client;
use serde::Deserialize;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const READY_WITHIN: Duration = Duration::from_secs(600);
/// Of pre-issued coins a second, over all nodes: a node makes their tree at its first start, and then computes it anew at a quarter
/// of a processor (decision 051).
const COINS_PER_SECOND: u32 = 5_000;
const AGREE_WITHIN: Duration = Duration::from_secs(30);
const PORT: u16 = 8100;

/// What a bench says about its cluster.
pub struct Plan {
    pub banks: u32,
    pub coins_per_bank: u32,
    pub coin_amount: u64,
    /// Which processes run; all of them take part in the genesis.
    pub runs: fn(&Seat) -> bool,
    /// Fields of every process's configuration to set, wherever they stand in it.
    pub set: &'static [(&'static str, &'static str)],
    pub keep: bool,
    pub node: Option<PathBuf>,
    pub folder: Option<PathBuf>,
}

/// One process, as `cluster.json` names it.
#[derive(Clone, Debug, Deserialize)]
pub struct Seat {
    pub name: String,
    pub role: String,
    pub participant: u16,
    pub folder: PathBuf,
    pub config: PathBuf,
    pub http: Option<String>,
    pub token_file: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Manifest {
    genesis: PathBuf,
    processes: Vec<Seat>,
}

pub struct BenchCluster {
    pub folder: PathBuf,
    pub genesis: Genesis,
    program: PathBuf,
    running: Vec<(Seat, Child)>,
    /// Those of the genesis that do not run yet.
    waiting: Vec<Seat>,
    ready_within: Duration,
    keep: bool,
}

impl Seat {
    pub fn is_validator(&self) -> bool {
        matches!(self.role.as_str(), "central_bank" | "commercial_bank")
    }

    pub fn is_bank(&self) -> bool {
        self.role == "commercial_bank"
    }

    pub fn client(&self) -> Result<Client, Failure> {
        let token = match &self.token_file {
            Some(path) => Some(read(path)?.trim().to_owned()),
            None => None,
        };
        Ok(Client::new(self.http.as_deref().unwrap_or_default(), token))
    }

    fn log(&self) -> PathBuf {
        self.folder.join("log.txt")
    }
}

fn read(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path).map_err(|error| cannot(path, &error))
}

pub fn cannot(path: &Path, error: &dyn std::fmt::Display) -> Failure {
    Failure::file(path, error)
}

/// One line a step, with the seconds since the bench began.
pub struct Progress(pub Instant);

impl Progress {
    pub fn say(&self, text: impl std::fmt::Display) {
        eprintln!("{:>7.1} s  {text}", self.0.elapsed().as_secs_f64());
    }
}

impl BenchCluster {
    pub async fn start(plan: Plan, progress: &Progress) -> Result<Self, Failure> {
        let program = plan.node.unwrap_or_else(|| beside_this_program("assay-node"));
        let folder =
            plan.folder.unwrap_or_else(|| std::env::temp_dir().join(format!("assay-bench-{}", std::process::id())));
        let subnet = free_subnet()?;
        let made = Command::new(&program)
            .args(["init-cluster", "--banks", &plan.banks.to_string(), "--kem", "x25519"])
            .args(["--base-port", &PORT.to_string(), "--subnet", &subnet.to_string()])
            .args(["--bench-coins", &plan.coins_per_bank.to_string()])
            .args(["--bench-coin-amount", &plan.coin_amount.to_string()])
            .arg("--folder")
            .arg(&folder)
            .output()
            .map_err(|error| cannot(&program, &error).with_help("build assay-node, or name it with --node-program"))?;
        if !made.status.success() {
            return Err(Failure::file(&folder, String::from_utf8_lossy(&made.stderr).trim()));
        }
        let manifest: Manifest = serde_json::from_str(&read(&folder.join("cluster.json"))?)
            .map_err(|error| cannot(&folder.join("cluster.json"), &error))?;
        let document = std::fs::read(&manifest.genesis).map_err(|error| cannot(&manifest.genesis, &error))?;
        let genesis = Genesis::parse(&document).map_err(|error| cannot(&manifest.genesis, &error))?;
        let coins_take = Duration::from_secs(u64::from(plan.coins_per_bank * plan.banks / COINS_PER_SECOND));
        let ready_within = READY_WITHIN + coins_take;
        let (running, waiting) = (Vec::new(), Vec::new());
        let keep = plan.keep;
        let mut cluster = BenchCluster { folder, genesis, program, running, waiting, ready_within, keep };
        let (first, later): (Vec<Seat>, Vec<Seat>) = manifest.processes.into_iter().partition(plan.runs);
        for seat in first.iter().chain(&later) {
            set_fields(&seat.config, plan.set)?;
        }
        for seat in first {
            cluster.spawn(seat)?;
        }
        cluster.waiting = later;
        progress.say(format_args!("{} processes started in {}", cluster.running.len(), cluster.folder.display()));
        cluster.wait_until_ready().await?;
        progress.say("ready: all nodes committed height 2");
        cluster.wait_until_audited().await?;
        progress.say("all nodes have computed their log and map anew");
        Ok(cluster)
    }

    fn spawn(&mut self, seat: Seat) -> Result<(), Failure> {
        let log = std::fs::File::create(seat.log()).map_err(|error| cannot(&seat.log(), &error))?;
        let child = Command::new(&self.program)
            .args(["run", "--config"])
            .arg(&seat.config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .map_err(|error| cannot(&self.program, &error))?;
        self.running.push((seat, child));
        Ok(())
    }

    /// Starts one that did not run so far.
    pub fn start_waiting(&mut self, role: &str) -> Result<(), Failure> {
        let at = self.waiting.iter().position(|seat| seat.role == role);
        let at = at.ok_or_else(|| Failure::network("no_process", format!("no process with the role {role} waits")))?;
        let seat = self.waiting.remove(at);
        self.spawn(seat)
    }

    /// All nodes at height 2 or above, or the reason why not.
    async fn wait_until_ready(&mut self) -> Result<(), Failure> {
        self.wait_for_every_node("not_ready", async |client| {
            Ok(client.status().await.is_ok_and(|status| status.height >= 2))
        })
        .await
    }

    /// Every node computes its log and map anew at its start (decision 051); a bench measures what comes after.
    async fn wait_until_audited(&mut self) -> Result<(), Failure> {
        // A node program from before decision 051 has no such counter.
        self.wait_for_every_node("not_audited", async |client| {
            Ok(measure::metrics(client).await?.get("assay_audits_passed_total").is_none_or(|passed| *passed >= 1.0))
        })
        .await
    }

    async fn wait_for_every_node(
        &mut self,
        code: &'static str,
        holds: impl AsyncFn(&Client) -> Result<bool, Failure>,
    ) -> Result<(), Failure> {
        let until = Instant::now() + self.ready_within;
        let clients: Vec<Client> =
            self.seats().filter(|seat| seat.http.is_some()).map(Seat::client).collect::<Result<_, _>>()?;
        for client in &clients {
            while !holds(client).await? {
                self.all_run()?;
                if Instant::now() > until {
                    let waited = format!("{}: {} after {:?}", client.base(), code.replace('_', " "), self.ready_within);
                    return Err(Failure::network(code, waited));
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
        Ok(())
    }

    /// A process that ended by itself ends the bench, with the last lines that it wrote.
    pub fn all_run(&mut self) -> Result<(), Failure> {
        for (seat, child) in &mut self.running {
            if let Ok(Some(status)) = child.try_wait() {
                let last = last_lines(&seat.log());
                return Err(Failure::network("node_ended", format!("{} ended ({status}):\n{last}", seat.name)));
            }
        }
        Ok(())
    }

    pub fn seats(&self) -> impl Iterator<Item = &Seat> {
        self.running.iter().map(|(seat, _)| seat)
    }

    pub fn banks(&self) -> Vec<Seat> {
        self.seats().filter(|seat| seat.is_bank()).cloned().collect()
    }

    /// Every process with its id.
    pub fn processes(&self) -> impl Iterator<Item = (&Seat, u32)> {
        self.running.iter().map(|(seat, child)| (seat, child.id()))
    }

    /// All nodes that serve HTTP at one height with one hash, once nothing new comes for a moment.
    pub async fn one_tip(&mut self) -> Result<(u64, String), Failure> {
        let until = Instant::now() + AGREE_WITHIN;
        let clients: Vec<Client> =
            self.seats().filter(|seat| seat.http.is_some()).map(Seat::client).collect::<Result<_, _>>()?;
        loop {
            self.all_run()?;
            let mut tips = Vec::new();
            for client in &clients {
                let status = client.status().await?;
                tips.push((status.height, status.block_hash));
            }
            tips.dedup();
            if tips.len() == 1 {
                return Ok(tips.remove(0));
            }
            if Instant::now() > until {
                return Err(Failure::unverified("nodes_disagree", format!("the nodes' tips differ: {tips:?}")));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub fn validator_pids(&self) -> Vec<u32> {
        self.running.iter().filter(|(seat, _)| seat.is_validator()).map(|(_, child)| child.id()).collect()
    }
}

impl Drop for BenchCluster {
    fn drop(&mut self) {
        for (_, child) in &mut self.running {
            let _ = child.kill();
        }
        for (_, child) in &mut self.running {
            let _ = child.wait();
        }
        if self.keep {
            eprintln!("kept: {}", self.folder.display());
        } else {
            let _ = std::fs::remove_dir_all(&self.folder);
        }
    }
}

pub fn beside_this_program(name: &str) -> PathBuf {
    let own = std::env::current_exe().unwrap_or_default();
    own.with_file_name(name)
}

/// Clusters stand side by side on 127.0.X.*; 1 to 99 are left to others.
fn free_subnet() -> Result<u8, Failure> {
    let first = (std::process::id() % 100) as u8;
    let mut subnets = (0..100).map(|further| 100 + (first + further) % 100);
    subnets.find(|subnet| TcpListener::bind((Ipv4Addr::new(127, 0, *subnet, 1), PORT)).is_ok()).ok_or_else(|| {
        Failure::network("no_address", format!("port {PORT} is taken on each of 127.0.100.1 to 127.0.199.1"))
    })
}

/// What a process that ended wrote last.
pub fn last_lines(log: &Path) -> String {
    let log = read(log).unwrap_or_default();
    let last: Vec<&str> = log.lines().rev().take(5).collect();
    last.into_iter().rev().collect::<Vec<_>>().join("\n")
}

/// Replaces lines `key = …` of the configuration that `init-cluster` wrote.
fn set_fields(config: &Path, fields: &[(&str, &str)]) -> Result<(), Failure> {
    let text = read(config)?;
    let lines = text.lines().map(|line| {
        let set = fields.iter().find(|(key, _)| line.split_once('=').is_some_and(|(name, _)| name.trim() == *key));
        set.map_or_else(|| line.to_owned(), |(key, value)| format!("{key} = {value}"))
    });
    let text = lines.collect::<Vec<_>>().join("\n");
    std::fs::write(config, text + "\n").map_err(|error| cannot(config, &error))
}
