//! A cluster of processes that one test, or one run of a row, owns: they end with it, whatever happens.
//!
//! - Two clusters of a program stand at a time, and no two on one subnet: a third would miss deadlines for want of processors.
//! - Nothing waits for a time to pass; everything waits for a condition, with a deadline that names it.
//! - What fails panics, and prints the last lines of every process.

use ledger_store::{Store, StoreOptions};
use ledger_types::block::Acknowledgement;
use ledger_types::bundle::Bundle;
use ledger_types::genesis::KemSuite;
use ledger_types::{CoinId, Decode, Height};
use ledger_verify::{AcceptedEnvelope, CoinProof, Trust, Verdict, VerifiedCoin, verify_acknowledgement, verify_coin};
use node::cluster_init::{ClusterPlan, ClusterProcess};
use node::config::Config;
use node::keys::{KeyFolder, passphrase};
use node_api::{Client, ClientError, desk, ledger};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// The participants' processes that answer over HTTP, in the order of their numbers.
pub const NODES: [&str; 5] = ["central-bank", "bank2", "bank3", "bank4", "observer"];
pub const VALIDATORS: [&str; 4] = ["central-bank", "bank2", "bank3", "bank4"];
/// Of a pre-issued coin.
pub const COIN_AMOUNT: u64 = 10_000;
const POLL: Duration = Duration::from_millis(25);
const READY_WITHIN_S: u64 = 60;

pub struct Cluster {
    // Dropped in this order: first the processes end, then their folder goes, then the next test may start.
    running: Running,
    processes: Vec<ClusterProcess>,
    /// By process: the command that starts its program elsewhere, such as in a network namespace.
    entered_by: BTreeMap<String, Vec<String>>,
    /// Where the whole logs go if the run fails.
    logs_if_failed: Option<PathBuf>,
    folder: tempfile::TempDir,
    trust: Trust,
    _ground: Ground,
}

/// A cluster's leave to stand on its subnet.
struct Ground(u8);

static BUILT_ON: Mutex<BTreeSet<u8>> = Mutex::new(BTreeSet::new());
static GIVEN_BACK: Condvar = Condvar::new();
const CLUSTERS_AT_A_TIME: usize = 2;

impl Ground {
    /// Waits until the subnet is free, and one of the places.
    fn take(subnet: u8) -> Self {
        let taken = |built_on: &mut BTreeSet<u8>| built_on.len() >= CLUSTERS_AT_A_TIME || built_on.contains(&subnet);
        GIVEN_BACK.wait_while(Self::built_on(), taken).unwrap_or_else(|poisoned| poisoned.into_inner()).insert(subnet);
        Ground(subnet)
    }

    fn built_on() -> MutexGuard<'static, BTreeSet<u8>> {
        BUILT_ON.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        Self::built_on().remove(&self.0);
        GIVEN_BACK.notify_all();
    }
}

/// The node's program: in the folder of this program, or for a test in the folder above.
pub fn program() -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let folders = own.ancestors().skip(1).take(2);
    let found = folders.map(|folder| folder.join("assay-node")).find(|program| program.exists());
    found.unwrap_or_else(|| panic!("there is no assay-node beside {}: build the workspace's programs", own.display()))
}

struct Running(BTreeMap<String, Child>);

impl Drop for Running {
    fn drop(&mut self) {
        for child in self.0.values_mut() {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Cluster {
    /// Three commercial banks on 127.0.`subnet`.n, each with so many pre-issued coins; started and at one height.
    pub async fn up(subnet: u8, coins_per_bank: u32) -> Self {
        let mut cluster = Self::init(subnet, coins_per_bank);
        cluster.start_all();
        cluster.ready().await;
        cluster
    }

    pub fn init(subnet: u8, coins_per_bank: u32) -> Self {
        // Longer than any test: what a test keeps from being released does not become overdue.
        Self::init_with_deadline(subnet, coins_per_bank, 3_600_000)
    }

    /// With so long a deadline for key releases.
    pub fn init_with_deadline(subnet: u8, coins_per_bank: u32, release_deadline_ms: u64) -> Self {
        let ground = Ground::take(subnet);
        let folder = tempfile::tempdir().unwrap();
        let plan = ClusterPlan {
            folder: folder.path().join("cluster"),
            banks: 3,
            base_port: 8100,
            subnet,
            preissued_per_bank: coins_per_bank,
            preissued_amount: COIN_AMOUNT,
            kem_suite: KemSuite::X25519,
            release_deadline_ms,
        };
        let processes = plan.init().unwrap().processes;
        // The desks split nothing in idle time: a test's coins stay as it made them.
        for process in &processes {
            let config = std::fs::read_to_string(&process.config).unwrap();
            let kept_whole = config.replace("split_above = 1000", "split_above = 9223372036854775807");
            assert_ne!(config, kept_whole, "the configuration names the desk's limit");
            std::fs::write(&process.config, kept_whole).unwrap();
        }
        let trust = Trust::from_genesis(&std::fs::read(plan.folder.join("genesis.bin")).unwrap()).unwrap();
        Cluster {
            running: Running(BTreeMap::new()),
            processes,
            entered_by: BTreeMap::new(),
            logs_if_failed: None,
            folder,
            trust,
            _ground: ground,
        }
    }

    pub fn trust(&self) -> &Trust {
        &self.trust
    }

    /// The names of all processes, those that serve nothing among them.
    pub fn names(&self) -> Vec<String> {
        self.processes.iter().map(|process| process.name.clone()).collect()
    }

    /// If the run fails, every process's whole log is copied there.
    pub fn keep_logs_if_failed(&mut self, folder: PathBuf) {
        self.logs_if_failed = Some(folder);
    }

    /// Before the start: replaces a text in the process's configuration, where it must stand.
    pub fn edit_config(&self, name: &str, from: &str, to: &str) {
        let path = &self.process(name).config;
        let config = std::fs::read_to_string(path).unwrap();
        assert!(config.contains(from), "{} says {from}", path.display());
        std::fs::write(path, config.replace(from, to)).unwrap();
    }

    /// Before the start: every process has the address `prefix`N in place of 127.0.`subnet`.N, and is started by a command of
    /// its own, to which the program and its arguments are added.
    pub fn live_elsewhere(&mut self, subnet: u8, prefix: &str, entered_by: impl Fn(&ClusterProcess) -> Vec<String>) {
        let loopback = format!("127.0.{subnet}.");
        for name in self.names() {
            self.edit_config(&name, &loopback, prefix);
        }
        for process in &mut self.processes {
            process.http = process.http.as_ref().map(|http| http.replace(&loopback, prefix));
            self.entered_by.insert(process.name.clone(), entered_by(process));
        }
    }

    /// From its next start on the process is started by this command, or as ever.
    pub fn enter_by(&mut self, name: &str, command: Option<Vec<String>>) {
        match command {
            Some(command) => self.entered_by.insert(name.to_owned(), command),
            None => self.entered_by.remove(name),
        };
    }

    /// A second process over a copy of this one's folder, keys and guards included, that listens at another address. The first must
    /// not run: what is copied while it is written is torn. A copy of that name that there was is gone.
    pub fn copy(&mut self, of: &str, name: &str, (from, to): (&str, &str), entered_by: Vec<String>) {
        assert!(!self.running.0.contains_key(of) && !self.running.0.contains_key(name), "{of} or {name} runs");
        self.processes.retain(|process| process.name != name);
        let mut copy = self.process(of).clone();
        let folder = copy.folder.with_file_name(name);
        let _ = std::fs::remove_dir_all(&folder);
        crate::disk::run("cp", &["-a", crate::disk::text(&copy.folder), crate::disk::text(&folder)]);
        copy.config = folder.join(copy.config.file_name().expect("a file has a name"));
        copy.token_file = copy.token_file.map(|file| folder.join(file.file_name().expect("a file has a name")));
        copy.http = copy.http.map(|http| http.replace(from, to));
        (copy.name, copy.folder) = (name.to_owned(), folder);
        self.processes.push(copy);
        self.edit_config(name, from, to);
        self.enter_by(name, Some(entered_by));
    }

    fn process(&self, name: &str) -> &ClusterProcess {
        self.processes
            .iter()
            .find(|process| process.name == name)
            .unwrap_or_else(|| panic!("there is no process {name}"))
    }

    /// The process's own folder.
    pub fn folder(&self, name: &str) -> PathBuf {
        self.process(name).folder.clone()
    }

    /// The genesis document.
    pub fn genesis(&self) -> PathBuf {
        self.folder.path().join("cluster/genesis.bin")
    }

    /// The spool between registration and confirmation issuance.
    pub fn outbox(&self) -> PathBuf {
        self.folder.path().join("cluster/outbox")
    }

    /// Before the start: whoever calls this bank's desk calls the address that is returned, where the test answers with
    /// the bank's link key. The bank's own process validates, takes envelopes, and is called by nobody.
    pub fn answer_for_the_desk_of(&self, name: &str) -> String {
        let listen = Config::read(&self.process(name).config).unwrap().link.expect("a bank has links").listen;
        let (host, port) = listen.rsplit_once('/').unwrap();
        let elsewhere = format!("{host}/{}", port.parse::<u16>().unwrap() + 1);
        for process in self.processes.iter().filter(|process| process.name != name) {
            let config = std::fs::read_to_string(&process.config).unwrap();
            std::fs::write(&process.config, config.replace(&format!("\"{listen}\""), &format!("\"{elsewhere}\"")))
                .unwrap();
        }
        elsewhere
    }

    /// The process's keys, which the test may use as their holder could.
    pub fn keys(&self, name: &str) -> KeyFolder {
        let folder = self.folder(name);
        KeyFolder::new(&folder.join("keys"), passphrase(Some(&folder.join("passphrase"))).unwrap())
    }

    pub fn observers_ledger(&self) -> Store {
        self.ledger_of("observer")
    }

    /// What the process has on disk. It must not run meanwhile.
    pub fn ledger_of(&self, name: &str) -> Store {
        assert!(!self.running.0.contains_key(name), "its store is open");
        let folder = self.folder(name).join("state/ledger");
        Store::open(&folder, self.trust.genesis().clone(), StoreOptions::default(), None).unwrap()
    }

    pub fn address(&self, name: &str) -> String {
        self.process(name).http.clone().unwrap_or_else(|| panic!("{name} serves nothing"))
    }

    pub fn token(&self, name: &str) -> String {
        let file = self.process(name).token_file.as_ref().unwrap_or_else(|| panic!("{name} has no token"));
        std::fs::read_to_string(file).unwrap().trim().to_owned()
    }

    pub fn client(&self, name: &str) -> Client {
        Client::new(&self.address(name), Some(self.token(name)))
    }

    pub fn pid(&self, name: &str) -> u32 {
        self.running.0[name].id()
    }

    pub fn start(&mut self, name: &str) {
        assert!(!self.running.0.contains_key(name), "{name} runs already");
        let process = self.process(name);
        let log = OpenOptions::new().create(true).append(true).open(process.folder.join("log")).unwrap();
        let mut command = match self.entered_by.get(name).map(Vec::as_slice) {
            Some([enter, arguments @ ..]) => {
                let mut command = Command::new(enter);
                command.args(arguments).arg(program());
                command
            }
            _ => Command::new(program()),
        };
        let child = command
            .arg("run")
            .arg("--config")
            .arg(&process.config)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.running.0.insert(name.to_owned(), child);
    }

    pub fn start_all(&mut self) {
        let names: Vec<String> = self.processes.iter().map(|process| process.name.clone()).collect();
        names.iter().for_each(|name| self.start(name));
    }

    /// SIGKILL, as a crash would.
    pub fn kill(&mut self, name: &str) {
        let mut child = self.running.0.remove(name).unwrap_or_else(|| panic!("{name} does not run"));
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// SIGSTOP, and not back before the kernel has stopped it: its sockets stay open, and nobody answers on them.
    pub async fn pause(&self, names: &[&str]) {
        names.iter().for_each(|name| self.signal(name, "-STOP"));
        wait_until(READY_WITHIN_S, "the kernel has stopped them", async || {
            names.iter().all(|name| self.is_paused(name))
        })
        .await;
    }

    pub fn resume(&self, name: &str) {
        self.signal(name, "-CONT");
    }

    /// As the kernel has it.
    pub fn is_paused(&self, name: &str) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid(name))).expect("the process runs");
        // The name before the state may hold anything but ends with the last bracket.
        stat.rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with('T'))
    }

    fn signal(&self, name: &str, signal: &str) {
        crate::disk::run("kill", &[signal, &self.pid(name).to_string()]);
    }

    pub fn runs(&self, name: &str) -> bool {
        self.running.0.contains_key(name)
    }

    /// Of a process that has ended by itself since it was started; from then on it counts as stopped.
    pub fn ended(&mut self, name: &str) -> Option<ExitStatus> {
        let status = self.running.0.get_mut(name)?.try_wait().unwrap()?;
        self.running.0.remove(name);
        Some(status)
    }

    /// All nodes that run stand at one height of at least 2 with one hash.
    pub async fn ready(&mut self) {
        wait_until(READY_WITHIN_S, "one height with one hash on every node", async || {
            self.nobody_has_ended();
            self.same_tip().await.is_some_and(|(height, _)| height >= 2)
        })
        .await;
    }

    /// Panics with the status of a process that has ended by itself.
    pub fn nobody_has_ended(&mut self) {
        for (name, child) in &mut self.running.0 {
            if let Some(status) = child.try_wait().unwrap() {
                panic!("{name} ended by itself: {status}");
            }
        }
    }

    /// Height and hash, if all nodes that run agree on them.
    pub async fn same_tip(&self) -> Option<(u64, String)> {
        let mut tips = Vec::new();
        for name in NODES.iter().filter(|name| self.running.0.contains_key(**name)) {
            let status = self.client(name).status().await.ok()?;
            tips.push((status.height, status.block_hash));
        }
        tips.dedup();
        (tips.len() == 1).then(|| tips.remove(0))
    }

    /// An acknowledgement of this envelope, verified from the genesis (B-2); none where the node has it in no block, or gives no
    /// answer.
    pub async fn acknowledged(&self, node: &str, envelope: &str) -> Option<AcceptedEnvelope> {
        self.answer_about(&self.client(node), envelope).await.ok().flatten()
    }

    /// The same; an error where there is no answer.
    pub async fn answer_about(&self, node: &Client, envelope: &str) -> Result<Option<AcceptedEnvelope>, ClientError> {
        match node.envelope(envelope).await {
            Ok(status) => Ok(verify_status(&self.trust, &status).verified()),
            Err(ClientError::Refused(problem)) if problem.status == 404 => Ok(None),
            Err(other) => Err(other),
        }
    }

    /// The registry's answer, verified from the genesis document.
    pub async fn verified_coin(&self, node: &str, coin: &str) -> Option<VerifiedCoin> {
        let answer = self.client(node).coin(coin).await.ok()?;
        let proof = coin_proof(&answer);
        let id = CoinId::parse(coin).unwrap();
        match verify_coin(&self.trust, &id, &proof, node::clock::now_ms()) {
            Verdict::Verified(verified) => Some(verified),
            other => panic!("{node} answers with a proof that does not verify: {other:?}"),
        }
    }

    /// Everything that wallets of these banks hold, once nothing is under way; panics after the deadline.
    pub async fn settled_wealth(&self, banks: &[&str], within_s: u64) -> u64 {
        let mut sum = 0;
        wait_until(within_s, "nothing unconfirmed or reserved in any wallet", async || {
            sum = 0;
            for bank in banks {
                let wallets: Vec<desk::Wallet> = self.client(bank).get("/v1/wallets").await.unwrap();
                if wallets.iter().any(|wallet| wallet.unconfirmed + wallet.reserved + wallet.frozen_or_disputed > 0) {
                    return false;
                }
                sum += wallets.iter().map(|wallet| wallet.live).sum::<u64>();
            }
            true
        })
        .await;
        sum
    }

    fn print_logs(&self) {
        for process in &self.processes {
            let log = std::fs::read_to_string(process.folder.join("log")).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            eprintln!("--- {}", process.name);
            lines[lines.len().saturating_sub(12)..].iter().for_each(|line| eprintln!("{line}"));
            if let Some(folder) = &self.logs_if_failed {
                // The run fails with its own message; a log that cannot be kept must not hide it.
                let _ = std::fs::create_dir_all(folder);
                let _ = std::fs::write(folder.join(format!("{}.log", process.name)), &log);
            }
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.print_logs();
        }
    }
}

/// Every bundle that a block of this ledger holds, in their order, with the block's height.
pub fn ordered_bundles(ledger: &Store) -> Vec<(Height, Arc<Bundle>)> {
    let chain = ledger.rules().chain;
    let readers = ledger.readers();
    let snapshot = readers.snapshot().unwrap();
    let mut bundles = Vec::new();
    for height in (1..=snapshot.height().0).map(Height) {
        for certificate in snapshot.block(height).unwrap().expect("blocks are without gaps").certificates.iter() {
            let bundle = ledger.bundles().get(&certificate.digest(&chain)).unwrap();
            bundles.push((height, bundle.expect("what a block holds is on disk (B-8)")));
        }
    }
    bundles
}

pub fn coin_proof(answer: &ledger::CoinAnswer) -> CoinProof {
    CoinProof::from_bytes(&hex::decode(&answer.proof).unwrap()).unwrap()
}

pub fn verify_status(trust: &Trust, status: &ledger::EnvelopeStatus) -> Verdict<AcceptedEnvelope> {
    let acknowledgement = Acknowledgement::from_bytes(&hex::decode(&status.acknowledgement).unwrap()).unwrap();
    assert_eq!(acknowledgement.result.envelope.to_string(), status.envelope_id, "it acknowledges another envelope");
    verify_acknowledgement(trust, &acknowledgement)
}

/// Polls until `holds`; panics after the deadline with what it waited for.
pub async fn wait_until(within_s: u64, what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(within_s);
    while !holds().await {
        assert!(Instant::now() < deadline, "within {within_s} s: {what}");
        tokio::time::sleep(POLL).await;
    }
}

pub fn payment(from: &str, to: &str, amount: u64, memo: &str) -> desk::NewPayment {
    desk::NewPayment { from: from.into(), to: to.into(), amount, memo: memo.into(), idempotency_key: None }
}

/// Long-polls until the payment has reached the state; panics on a refusal or after the deadline.
pub async fn reached(bank: &Client, id: &str, state: &str, within_s: u64) -> desk::Payment {
    let deadline = Instant::now() + Duration::from_secs(within_s);
    loop {
        let path = format!("/v1/payments/{id}?wait={state}&timeout_ms=2000");
        let now: desk::Payment = bank.get(&path).await.unwrap();
        if now.state == state || now.state == "confirmed" || (now.state == "settled" && state == "ordered") {
            return now;
        }
        assert!(!matches!(now.state.as_str(), "refused" | "disputed"), "the payment is {}: {now:?}", now.state);
        assert!(Instant::now() < deadline, "within {within_s} s: {state}, not {now:?}");
    }
}

/// Long-polls until the payment is ordered or refused; panics after the deadline.
pub async fn decided(bank: &Client, id: &str, within_s: u64) -> desk::Payment {
    let deadline = Instant::now() + Duration::from_secs(within_s);
    loop {
        let now: desk::Payment = bank.get(&format!("/v1/payments/{id}?wait=ordered&timeout_ms=2000")).await.unwrap();
        if now.state != "pending" {
            return now;
        }
        assert!(Instant::now() < deadline, "within {within_s} s: ordered or refused, not {now:?}");
    }
}

/// Pays one after the other, from the bank's vault to bank 3's, until told to stop; every payment that the bank took.
pub fn pay_until(stop: Arc<AtomicBool>, bank: Client) -> tokio::task::JoinHandle<Vec<desk::Payment>> {
    tokio::spawn(async move {
        let mut taken = Vec::new();
        while !stop.load(Ordering::Relaxed) {
            let paid = bank.pay(&payment("vault", "vault@bank3", 10, "")).await.unwrap();
            reached(&bank, &paid.id, "settled", 90).await;
            taken.push(paid);
        }
        taken
    })
}

/// The central bank's operation, confirmed.
pub async fn issued(cluster: &Cluster, bank: u16, amount: u64) -> desk::Operation {
    let central = cluster.client("central-bank");
    let issue = desk::NewIssue { bank, series: 1, amount, coins: 4, contract: 0, idempotency_key: None };
    let mut operation: desk::Operation = central.post("/v1/issues", &issue).await.unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    while operation.state != "confirmed" {
        assert!(Instant::now() < deadline, "the issue is not confirmed within 30 s: {operation:?}");
        assert!(!matches!(operation.state.as_str(), "refused" | "disputed"), "{operation:?}");
        let path = format!("/v1/operations/{}?wait=confirmed&timeout_ms=2000", operation.id);
        operation = central.get(&path).await.unwrap();
    }
    operation
}

pub async fn wallet(bank: &Client, name: &str) -> desk::Wallet {
    bank.post("/v1/wallets", &desk::NewWallet { name: name.into() }).await.unwrap()
}

/// What a file holds, empty if it went away meanwhile: databases delete their own files.
pub fn read_if_there(path: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Ok(mut file) = File::open(path) {
        use std::io::Read;
        // A socket or a file that shrinks under the reader ends the reading early.
        let _ = file.read_to_end(&mut bytes);
    }
    bytes
}
