//! Registration as the process that it is: it listens on nothing, dials its validator and the banks, survives `kill -9`, and
//! stops on SIGTERM. Validator and banks are played by this test, over real links.

use crate::bed::*;
use futures::future::BoxFuture;
use ledger_types::{Encode, Height, ParticipantNumber};
use node::config::{BeginsFrom, Config, Desk, History, Network, Peer, Reconciliation, RoleName, Upstream};
use node::keys::{KeyFolder, passphrase, write_secret_file};
use node::link::*;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

struct Answers {
    bed: Bed,
    releases: BTreeMap<ParticipantNumber, Vec<Release>>,
    acknowledged: BTreeMap<ParticipantNumber, u64>,
    /// Requests of anybody but registration.
    strangers: usize,
}

#[derive(Clone)]
struct Bank {
    number: ParticipantNumber,
    answers: Arc<Mutex<Answers>>,
}

impl LinkService for Bank {
    fn answer(&self, caller: Caller, request: Request) -> BoxFuture<'static, Response> {
        let bank = self.clone();
        Box::pin(async move {
            let nothing_yet = Instant::now() + Duration::from_millis(200);
            loop {
                if let Some(response) = bank.try_answer(caller, &request, Instant::now() >= nothing_yet) {
                    return response;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
    }
}

impl Bank {
    fn try_answer(&self, caller: Caller, request: &Request, at_last: bool) -> Option<Response> {
        let mut answers = self.answers.lock().unwrap();
        if caller != Caller::Registration {
            answers.strangers += 1;
        }
        match request {
            Request::FollowBlocks { from, max, .. } if self.number == CENTRAL => {
                let documents: Vec<_> =
                    answers.bed.documents.iter().skip(*from as usize - 1).take(*max as usize).collect();
                let blocks: Vec<_> = documents.into_iter().map(|(document, _)| document.clone()).collect();
                (at_last || !blocks.is_empty()).then_some(Response::Blocks(blocks))
            }
            Request::Bundle { digest } if self.number == CENTRAL => {
                let mut bundles = answers.bed.documents.iter().flat_map(|(_, bundles)| bundles);
                bundles.find(|bundle| bundle.digest().0 == *digest).map(|bundle| Response::Bundle(bundle.to_bytes()))
            }
            Request::TakeReleases { after, max, .. } => {
                let releases = answers.releases.get(&self.number).into_iter().flatten();
                let new: Vec<_> =
                    releases.filter(|release| release.cursor > *after).take(*max as usize).cloned().collect();
                (at_last || !new.is_empty()).then_some(Response::Releases(new))
            }
            Request::AckReleases { up_to } => {
                answers.acknowledged.insert(self.number, *up_to);
                Some(Response::Done)
            }
            _ => Some(Response::Refused(LinkRefusal::new("not_played", "this test does not play that"))),
        }
    }
}

fn free_address() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    format!("/ip4/127.0.0.1/tcp/{}", listener.local_addr().unwrap().port())
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(Instant::now() < deadline, "{what} did not come about within 30 s");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Sockets of a process in the state LISTEN.
fn listening_sockets(pid: u32) -> usize {
    let inodes: Vec<String> = std::fs::read_dir(format!("/proc/{pid}/fd"))
        .unwrap()
        .filter_map(|item| std::fs::read_link(item.unwrap().path()).ok()?.to_str().map(str::to_owned))
        .filter_map(|link| link.strip_prefix("socket:[")?.strip_suffix(']').map(str::to_owned))
        .collect();
    let mut listening = 0;
    for table in ["tcp", "tcp6"] {
        let Ok(table) = std::fs::read_to_string(format!("/proc/{pid}/net/{table}")) else { continue };
        listening += table
            .lines()
            .skip(1)
            .map(|line| line.split_whitespace().collect::<Vec<_>>())
            .filter(|fields| fields[3] == "0A" && inodes.iter().any(|inode| inode == fields[9]))
            .count();
    }
    listening
}

/// Ended with the test, whatever happens.
struct Process(Child);

impl Process {
    fn start(config: &Path) -> Self {
        Process(Command::new(env!("CARGO_BIN_EXE_assay-node")).arg("run").arg("--config").arg(config).spawn().unwrap())
    }

    fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn configure(folder: &Path, addresses: &BTreeMap<ParticipantNumber, String>) -> Config {
    let peers =
        addresses.iter().map(|(number, address)| Peer { participant: number.0, address: address.clone(), key: None });
    let config = Config {
        role: RoleName::Registration,
        participant: CENTRAL.0,
        genesis: "genesis.bin".into(),
        state: "state".into(),
        keys: "keys".into(),
        passphrase_file: Some("passphrase".into()),
        begins_from: BeginsFrom::default(),
        returned_keys: Vec::new(),
        rules_known: None,
        http: None,
        engine: None,
        plane: None,
        link: Some(Network { listen: String::new(), peers: peers.collect() }),
        upstream: Some(Upstream { http: "http://127.0.0.1:1".into(), outbox: "outbox".into() }),
        desk: Desk::default(),
        reconciliation: Reconciliation::default(),
        history: History::default(),
    };
    std::fs::write(folder.join("node.toml"), toml::to_string_pretty(&config).unwrap()).unwrap();
    config
}

fn order_and_release(answers: &Mutex<Answers>, nth: usize) {
    let mut answers = answers.lock().unwrap();
    let bed = &mut answers.bed;
    let input = bed.coin_of(BANK2, nth);
    let payment = bed.pay(BANK2, &[input], &[(BANK3, 100)]);
    bed.order(&[&payment]);
    for bank in [BANK2, BANK3] {
        let releases = answers.releases.entry(bank).or_default();
        releases.push(Release { cursor: releases.len() as u64 + 1, envelope: payment.id.0, root: payment.root });
    }
}

fn spool_files(folder: &Path) -> usize {
    let files = std::fs::read_dir(folder.join("outbox")).into_iter().flatten();
    files
        .filter(|item| item.as_ref().unwrap().path().extension().is_some_and(|extension| extension == "outbox"))
        .count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_process_listens_on_nothing_goes_on_after_kill_9_and_stops_on_sigterm() {
    // Invariant 5
    let folder = tempfile::tempdir().unwrap();
    write_secret_file(&folder.path().join("passphrase"), b"correct horse").unwrap();
    let keys =
        KeyFolder::new(&folder.path().join("keys"), passphrase(Some(&folder.path().join("passphrase"))).unwrap());
    let link_key = keys.create_signing_key("registration-link").unwrap();
    keys.create_secret("storage").unwrap();
    keys.create_secret("outbox").unwrap();
    let genesis = genesis_with_link(link_key.public_key());
    std::fs::write(folder.path().join("genesis.bin"), genesis.to_bytes()).unwrap();
    std::fs::write(folder.path().join("disclosure-key.bin"), officers_document(&genesis).to_bytes()).unwrap();
    let bed = Bed::with_genesis(genesis.clone());
    let answers = Answers { bed, releases: BTreeMap::new(), acknowledged: BTreeMap::new(), strangers: 0 };
    let answers = Arc::new(Mutex::new(answers));
    let addresses: BTreeMap<_, _> = BANKS.into_iter().map(|bank| (bank, free_address())).collect();
    let mut links = Vec::new();
    for (number, listen) in &addresses {
        let network = Network { listen: listen.clone(), peers: Vec::new() };
        let service = Arc::new(Bank { number: *number, answers: answers.clone() });
        links.push(Links::start(&network, &key(*number, "link"), &genesis.directory, service).await.unwrap());
    }
    configure(folder.path(), &addresses);

    let process = Process::start(&folder.path().join("node.toml"));
    order_and_release(&answers, 0);
    until("the first payment", || spool_files(folder.path()) == 1).await;
    until("both acknowledgements", || {
        answers.lock().unwrap().acknowledged.values().filter(|up_to| **up_to == 1).count() == 2
    })
    .await;
    assert_eq!(listening_sockets(process.0.id()), 0, "registration listens on nothing");
    assert!(listening_sockets(std::process::id()) >= 4, "this test's own listeners are seen");

    process.kill();
    order_and_release(&answers, 1);
    let mut process = Process::start(&folder.path().join("node.toml"));
    until("the second payment", || spool_files(folder.path()) == 2).await;
    until("the second acknowledgements", || {
        answers.lock().unwrap().acknowledged.values().filter(|up_to| **up_to == 2).count() == 2
    })
    .await;
    let status = folder.path().join("state/status.json");
    let height = |text: String| serde_json::from_str::<serde_json::Value>(&text).unwrap()["height"].as_u64();
    until("the status file", || std::fs::read_to_string(&status).ok().and_then(height) == Some(2)).await;

    let pid = process.0.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    until("the end", || process.0.try_wait().unwrap().is_some()).await;
    assert!(process.0.try_wait().unwrap().unwrap().success(), "SIGTERM stops it cleanly");
    assert_eq!(answers.lock().unwrap().strangers, 0);
    assert_eq!(answers.lock().unwrap().bed.ledger.height, Height(2));
}
