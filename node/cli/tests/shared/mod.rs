//! What the command line's own tests share: the programs as they were built, and a cluster that ends with its test.
//!
//! Nothing waits for a time to pass; everything waits for a condition, with a deadline that names it.

#![allow(dead_code, reason = "each test file uses its part of this")]

use serde_json::Value;
use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// The folder that the built programs lie in: this package's own, and the node's beside it.
pub fn programs() -> &'static Path {
    let folder = Path::new(env!("CARGO_BIN_EXE_assay")).parent().unwrap();
    assert!(folder.join("assay-node").exists(), "first: cargo build --release --workspace --bins");
    folder
}

/// How a command ended, and what it said.
#[derive(Debug)]
pub struct Said {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Said {
    pub fn of(output: Output) -> Said {
        let text = |bytes| String::from_utf8(bytes).expect("what is printed is UTF-8");
        // A signal has no code.
        Said { code: output.status.code().unwrap_or(-1), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    /// The one document on standard output, held to its shape: `success` is the exit code, errors name code and help.
    pub fn document(&self) -> Value {
        let document: Value = serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("stdout is no document: {error}: {self:?}"));
        let fields: Vec<&String> = document.as_object().expect("an object").keys().collect();
        assert_eq!(fields, ["data", "errors", "schema_version", "success", "warnings"], "{self:?}");
        assert_eq!(document["schema_version"], 1);
        assert_eq!(document["success"], self.code == 0, "{self:?}");
        let errors = document["errors"].as_array().expect("errors is a list");
        assert_eq!(errors.is_empty(), self.code == 0, "{self:?}");
        for error in errors {
            assert!(
                error["code"].is_string() && error["message"].is_string() && error.get("help").is_some(),
                "{self:?}"
            );
        }
        assert!(document["warnings"].as_array().unwrap().iter().all(Value::is_string), "{self:?}");
        document
    }

    pub fn error_code(&self) -> String {
        self.document()["errors"][0]["code"].as_str().unwrap_or_default().to_owned()
    }
}

/// `assay` without any cluster.
pub fn assay(arguments: &[&str]) -> Said {
    assay_at(Path::new("/nowhere"), arguments)
}

/// `assay` against the cluster in this folder.
pub fn assay_at(cluster: &Path, arguments: &[&str]) -> Said {
    let output = Command::new(env!("CARGO_BIN_EXE_assay"))
        .args(arguments)
        .env("ASSAY_CLUSTER", cluster)
        .env_remove("ASSAY_PASSPHRASE")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    Said::of(output)
}

/// Text that people read changes on purpose: `BLESS=1 cargo test -p assay --test cli contract::` (`loan::`) writes it anew.
pub fn golden(name: &str, found: &str) {
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "tests", "golden", name].iter().collect();
    if std::env::var_os("BLESS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, found).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert_eq!(found, kept, "{name} is not what it was");
}

/// Polls until `holds`; panics after the deadline with what it waited for.
pub async fn wait_until(within_s: u64, what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(within_s);
    while !holds() {
        assert!(Instant::now() < deadline, "within {within_s} s: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Three commercial banks, a central bank and an observer, made by `assay-node init-cluster`.
pub struct Cluster {
    // Dropped first: the processes end before their folder goes.
    running: Vec<(String, Child)>,
    folder: tempfile::TempDir,
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.running.iter().for_each(|(name, _)| self.print_log(name));
        }
        self.down();
    }
}

impl Cluster {
    /// Made, not started; each bank's vault holds `coins` live coins of 100.00.
    pub fn init(subnet: u8, coins: u32) -> Cluster {
        let folder = tempfile::tempdir().unwrap();
        let made = Command::new(programs().join("assay-node"))
            .args(["init-cluster", "--kem", "x25519", "--subnet", &subnet.to_string()])
            .args(["--bench-coins", &coins.to_string(), "--folder"])
            .arg(folder.path().join("cluster"))
            .output()
            .unwrap();
        assert!(made.status.success(), "{made:?}");
        Cluster { running: Vec::new(), folder }
    }

    pub async fn up(subnet: u8, coins: u32) -> Cluster {
        let mut cluster = Cluster::init(subnet, coins);
        cluster.start_all().await;
        cluster
    }

    pub async fn start_all(&mut self) {
        let cluster = self;
        let mut nodes = Vec::new();
        for process in cluster.processes() {
            let name = process["name"].as_str().unwrap().to_owned();
            cluster.start(&name);
            if process["http"].is_string() {
                nodes.push(name);
            }
        }
        wait_until(60, "one height of at least 2 with one hash on every node", || {
            cluster.nobody_has_ended();
            let tips: Vec<Value> = nodes
                .iter()
                .map(|node| cluster.assay(&["status", "--json", "--as", node]))
                .map(|said| said.document()["data"].clone())
                .collect();
            let tip = |status: &Value| (status["height"].as_u64(), status["block_hash"].clone());
            tips[0]["height"].as_u64() >= Some(2) && tips.iter().all(|status| tip(status) == tip(&tips[0]))
        })
        .await;
    }

    fn processes(&self) -> Vec<Value> {
        let manifest = std::fs::read(self.path().join("cluster.json")).unwrap();
        let manifest: Value = serde_json::from_slice(&manifest).unwrap();
        manifest["processes"].as_array().unwrap().clone()
    }

    pub fn start(&mut self, name: &str) {
        let process = self.processes().into_iter().find(|process| process["name"] == name).unwrap();
        let log = self.path().join(name).join("log");
        let log = OpenOptions::new().create(true).append(true).open(log).unwrap();
        let child = Command::new(programs().join("assay-node"))
            .args(["run", "--config", process["config"].as_str().unwrap()])
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.running.push((name.to_owned(), child));
    }

    /// SIGKILL, as a crash would.
    pub fn kill(&mut self, name: &str) {
        let at = self.running.iter().position(|(running, _)| running == name).unwrap();
        let (_, mut child) = self.running.remove(at);
        child.kill().unwrap();
        child.wait().unwrap();
    }

    pub fn path(&self) -> PathBuf {
        self.folder.path().join("cluster")
    }

    /// A file of the test's own that goes with it.
    pub fn scratch(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    pub fn assay(&self, arguments: &[&str]) -> Said {
        assay_at(&self.path(), arguments)
    }

    /// With --json; must succeed. Gives the data.
    pub fn done(&self, arguments: &[&str]) -> Value {
        let mut arguments = arguments.to_vec();
        arguments.push("--json");
        let said = self.assay(&arguments);
        assert_eq!(said.code, 0, "{arguments:?}: {said:?}");
        said.document()["data"].clone()
    }

    fn nobody_has_ended(&mut self) {
        for (name, child) in &mut self.running {
            if let Some(status) = child.try_wait().unwrap() {
                panic!("{name} ended by itself: {status}");
            }
        }
    }

    pub fn down(&mut self) {
        for (_, child) in &mut self.running {
            // It may have ended by itself.
            let _ = child.kill();
        }
        for (_, mut child) in self.running.drain(..) {
            let _ = child.wait();
        }
    }

    fn print_log(&self, name: &str) {
        let log = std::fs::read_to_string(self.path().join(name).join("log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        eprintln!("--- {name}");
        lines[lines.len().saturating_sub(8)..].iter().for_each(|line| eprintln!("{line}"));
    }
}

pub fn text(data: &Value, field: &str) -> String {
    data[field].as_str().unwrap_or_else(|| panic!("no text in {field}: {data}")).to_owned()
}

/// A checkpoint follows its batch by a moment.
pub async fn wait_registered(cluster: &Cluster, coin: &str) {
    wait_until(30, "the coin is in a checkpoint", || cluster.assay(&["coin", "show", coin]).code == 0).await;
}
