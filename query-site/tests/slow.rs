//! The site's own program under heads and bodies that trickle, from more addresses than its bounds hold: who asks as one
//! should is answered as before.

use crate::support;

use assay_site::clock::Clock;
use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use support::{Observer, chain, registry};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpSocket, TcpStream};
use tokio::process::{Child, Command};

const CONNECTIONS: usize = 200;
const CONNECTIONS_PER_ADDRESS: usize = 60;
/// Of 127.0.0.0/8, besides the healthy client's: together they may hold more than there are.
const ATTACKING_ADDRESSES: usize = 5;
const ATTACKERS_PER_ADDRESS: usize = 80;
/// An attacker's pace.
const TRICKLE: Duration = Duration::from_millis(200);
const HEALTHY_REQUESTS: usize = 3_000;
/// Below this a percentile is noise of a machine that does other things too; a lost place would cost seconds.
const NOISE: Duration = Duration::from_millis(10);

/// The site as a process of its own.
struct RunningSite {
    address: SocketAddr,
    coin: String,
    // Ended with this value.
    _process: Child,
    _folder: tempfile::TempDir,
    _observer: Arc<Observer>,
}

async fn start() -> RunningSite {
    let observer = Observer::start(registry()).await;
    observer.cosigned_at_s.store(Clock::system().now_ms() / 1_000, Ordering::Relaxed);
    let folder = tempfile::tempdir().unwrap();
    let (genesis, coin) = {
        let registry = observer.registry.lock().unwrap();
        (registry.document(), chain::issued_coin(&registry.chain, 4).to_string())
    };
    std::fs::write(folder.path().join("genesis.bin"), genesis).unwrap();
    let config = format!(
        "listen = \"127.0.0.1:0\"\nupstream = [\"{}\"]\ngenesis = \"genesis.bin\"\n[limits]\nconnections = {CONNECTIONS}\n\
         connections_per_address = {CONNECTIONS_PER_ADDRESS}\nrequests_per_second = 100000\nburst = 100000\n",
        observer.base
    );
    std::fs::write(folder.path().join("site.toml"), config).unwrap();
    let mut process = Command::new(env!("CARGO_BIN_EXE_assay-site"))
        .arg("--log-json")
        .arg("--config")
        .arg(folder.path().join("site.toml"))
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut log = BufReader::new(process.stderr.take().unwrap()).lines();
    let address = loop {
        let line = log.next_line().await.unwrap().expect("the site opens before it ends");
        let line: serde_json::Value = serde_json::from_str(&line).unwrap();
        if line["fields"]["message"] == "the site is open" {
            break line["fields"]["address"].as_str().unwrap().parse().unwrap();
        }
    };
    // What it says further must not fill the pipe.
    tokio::spawn(async move { while let Ok(Some(_)) = log.next_line().await {} });
    let site = RunningSite { address, coin, _process: process, _folder: folder, _observer: observer };
    let until = Instant::now() + Duration::from_secs(30);
    while !site.ask("/health").await.starts_with("HTTP/1.1 200") {
        assert!(Instant::now() < until, "the site has a verified state within 30 s");
    }
    site
}

impl RunningSite {
    /// Over a connection of its own, from 127.0.0.1.
    async fn ask(&self, path: &str) -> String {
        let asked = async {
            let mut stream = TcpStream::connect(self.address).await?;
            let head = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
            stream.write_all(head.as_bytes()).await?;
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).await?;
            std::io::Result::Ok(String::from_utf8_lossy(&answer).into_owned())
        };
        tokio::time::timeout(Duration::from_secs(20), asked).await.map_or_else(
            |_| "no answer within 20 s".to_owned(),
            |asked| asked.unwrap_or_else(|error| error.to_string()),
        )
    }

    /// The 99th percentile of a healthy client's look-ups; every one of them must be answered.
    async fn p99(&self) -> Duration {
        let path = format!("/v1/coins/{}", self.coin);
        let mut took = Vec::new();
        for number in 0..HEALTHY_REQUESTS {
            let began = Instant::now();
            let answer = self.ask(&path).await;
            took.push(began.elapsed());
            assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("\"live\""), "{number}: {answer:.300}");
        }
        took.sort();
        took[HEALTHY_REQUESTS * 99 / 100 - 1]
    }
}

/// Sends its beginning and then a byte at a time, and comes again when it is closed.
async fn attack(site: SocketAddr, from: SocketAddr, beginning: &'static str, begun: Arc<AtomicUsize>) {
    let mut first = true;
    loop {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(from).unwrap();
        if let Ok(mut stream) = socket.connect(site).await
            && stream.write_all(beginning.as_bytes()).await.is_ok()
        {
            if std::mem::take(&mut first) {
                begun.fetch_add(1, Ordering::Relaxed);
            }
            let mut byte = [0];
            // Closed, or answered: either way it is over.
            while let Err(_still_open) = tokio::time::timeout(TRICKLE, stream.read(&mut byte)).await
                && stream.write_all(b"a").await.is_ok()
            {}
        }
        tokio::time::sleep(TRICKLE).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heads_and_bodies_that_trickle_leave_a_healthy_client_its_answers_and_their_time() {
    let site = start().await;
    let quiet = site.p99().await;
    let begun = Arc::new(AtomicUsize::new(0));
    let mut attackers = tokio::task::JoinSet::new();
    for number in 0..ATTACKING_ADDRESSES * ATTACKERS_PER_ADDRESS {
        let from = SocketAddr::from(([127, 0, 0, 2 + (number % ATTACKING_ADDRESSES) as u8], 0));
        let beginning = match number % 2 {
            0 => "GET /en HTTP/1.1\r\nhost: x\r\nx-a: ",
            _ => {
                "POST /en/check HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-www-form-urlencoded\r\n\
                 content-length: 100000\r\n\r\nproof="
            }
        };
        attackers.spawn(attack(site.address, from, beginning, begun.clone()));
    }
    let until = Instant::now() + Duration::from_secs(60);
    while begun.load(Ordering::Relaxed) < ATTACKING_ADDRESSES * ATTACKERS_PER_ADDRESS {
        assert!(Instant::now() < until, "every attacker has begun within 60 s");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let attacked = site.p99().await;
    println!("p99 of a look-up: {quiet:?} quiet, {attacked:?} under attack");
    assert!(attacked <= 2 * quiet.max(NOISE), "{quiet:?} quiet, {attacked:?} under attack");
}
