//! Engine and data plane together, as a node runs them: envelopes go in at some nodes, and all order them once and alike.

use crate::plane_support::{
    FolderStore, Network, OBSERVER, bundle_key, chain, data_peer_key, directory, envelopes, key, until,
};
use crate::toy::Toy;
use consensus::engine::{EngineConfig, EngineKeys, EnginePeer, Pace, Running, Timeouts, run};
use consensus::guard::SigningGuard;
use consensus::plane::{Plane, PlaneKeys, SubmitError};
use consensus::port::Application;
use ledger_types::participant::Directory;
use ledger_types::{EnvelopeId, ParticipantNumber};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

struct Node {
    toy: Arc<Toy>,
    plane: Arc<Plane>,
    running: Running,
}

struct Whole {
    network: Network,
    directory: Arc<Directory>,
    peers: Vec<EnginePeer>,
    /// The engines' own networks are not where the others look for them.
    apart: bool,
}

impl Whole {
    fn new() -> Self {
        let (network, directory) = (Network::new(), Arc::new(directory()));
        let address = |number: u16| {
            let host = format!("127.0.1.{}", 10 + number);
            let port = std::net::TcpListener::bind((host.as_str(), 0)).unwrap().local_addr().unwrap().port();
            format!("/ip4/{host}/tcp/{port}").parse().unwrap()
        };
        let peers = directory
            .iter()
            .map(|p| EnginePeer { number: p.number, pinned: Default::default(), addr: address(p.number.0) })
            .collect();
        Whole { network, directory, peers, apart: false }
    }

    /// A node on this ledger, in a folder of its own.
    async fn start(&self, number: u16, folder: &str, toy: &Arc<Toy>) -> Node {
        let plane = self.start_plane(number, folder, toy).await;
        self.start_engine(number, folder, toy, plane).await
    }

    async fn start_plane(&self, number: u16, folder: &str, toy: &Arc<Toy>) -> Arc<Plane> {
        let me = ParticipantNumber(number);
        let home = self.network.folder.path().join(folder);
        std::fs::create_dir_all(&home).unwrap();
        let store = Arc::new(FolderStore::open(&home));
        let application: Arc<dyn Application> = Arc::clone(toy) as _;
        let keys = PlaneKeys { data_peer: data_peer_key(me), bundle: (me != OBSERVER).then(|| bundle_key(me)) };
        Plane::start(self.network.config(number), keys, chain(), toy.tip(), store, application).await.unwrap()
    }

    async fn start_engine(&self, number: u16, folder: &str, toy: &Arc<Toy>, plane: Arc<Plane>) -> Node {
        let me = ParticipantNumber(number);
        let home = self.network.folder.path().join(folder);
        let application: Arc<dyn Application> = Arc::clone(toy) as _;
        let votes = self.directory.get(me).unwrap().is_validator();
        let guard = votes.then(|| {
            let (path, public) = (home.join("signing-guard"), key(me, 0).public_key());
            if !path.exists() {
                SigningGuard::create(&path, &chain(), public).unwrap();
            }
            SigningGuard::open(&path, &chain(), public).unwrap()
        });
        let config = EngineConfig {
            me,
            home,
            listen: match self.apart {
                true => "/ip4/127.0.0.1/tcp/0".parse().unwrap(),
                false => self.peers.iter().find(|peer| peer.number == me).unwrap().addr.clone(),
            },
            peers: self.peers.clone(),
            timeouts: Timeouts::default(),
            propose_bytes_max: 4 << 20,
            idle_height_every: Duration::from_secs(3600),
            pace: Pace::steady(Duration::from_millis(60), 1 << 20),
        };
        let keys = EngineKeys { consensus: votes.then(|| key(me, 0)), engine_peer: key(me, 6) };
        #[expect(clippy::disallowed_methods, reason = "the node's clock")]
        let clock = Arc::new(|| SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64);
        let running = run(config, keys, chain(), guard, application, Arc::clone(&plane), clock).await.unwrap();
        Node { toy: Arc::clone(toy), plane, running }
    }
}

impl Node {
    fn ordered(&self) -> Vec<EnvelopeId> {
        self.toy.items.lock().unwrap().clone()
    }

    async fn stop(self) {
        self.running.stop().await.unwrap();
        self.plane.stop().await;
    }
}

/// Submits until it is taken: a full queue is back-pressure.
async fn submit(node: &Node, number: u16, seeds: std::ops::Range<u64>) {
    for start in seeds.clone().step_by(50) {
        let batch = envelopes(ParticipantNumber(number), start..(start + 50).min(seeds.end));
        let deadline = Instant::now() + Duration::from_secs(20);
        while let Err(error) = node.plane.submit(batch.clone()).await {
            assert!(matches!(error, SubmitError::Busy(_)) && Instant::now() < deadline, "{error}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_submitted_envelope_is_ordered_once_and_alike_on_all_nodes() {
    let whole = Whole::new();
    let toys: Vec<_> = (0..6).map(|_| Toy::new(&whole.directory)).collect();
    let mut nodes = Vec::new();
    for number in 1..=6 {
        nodes.push(whole.start(number, &number.to_string(), &toys[usize::from(number) - 1]).await);
    }
    until("heights 1 and 2", || nodes.iter().all(|node| node.toy.height() >= 2)).await;

    // A validator, and a bank without a vote.
    let start = Instant::now();
    let (two, bank) = tokio::join!(submit(&nodes[1], 2, 0..2_000), submit(&nodes[4], 5, 0..2_000));
    let ((), ()) = (two, bank);
    until("4,000 envelopes on all six", || nodes.iter().all(|node| node.ordered().len() >= 4_000)).await;
    let (took, heights) = (start.elapsed(), nodes[0].toy.height());
    println!("4,000 envelopes in {took:?}, {heights} heights, rounds {:?}", nodes[0].toy.rounds());
    let all = nodes[0].ordered();
    assert_eq!(all.len(), 4_000);
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), 4_000, "none twice");
    assert!(nodes.iter().all(|node| node.ordered() == all), "in one order");

    // A node that was away for a while, and one that starts from nothing.
    for away in [3, 2] {
        nodes.remove(away).stop().await;
    }
    let fresh = Toy::new(&whole.directory);
    nodes.push(whole.start(4, "4", &toys[3]).await);
    until("three validators vote", || nodes.iter().all(|node| node.toy.height() >= heights)).await;
    submit(&nodes[1], 2, 2_000..3_000).await;
    nodes.push(whole.start(3, "3 with an empty disk", &fresh).await);
    until("5,000 envelopes on all six", || nodes.iter().all(|node| node.ordered().len() >= 5_000)).await;
    let all = nodes[0].ordered();
    assert!(nodes.iter().all(|node| node.ordered() == all), "in one order");
    for node in nodes {
        assert_eq!(*node.toy.evidence.lock().unwrap(), vec![]);
        node.stop().await;
    }
}

/// A quorum: what another misses while engines start it would fetch over its engine's own network.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn validators_decide_over_the_planes_streams_alone() {
    let whole = Whole { apart: true, ..Whole::new() };
    let toys: Vec<_> = (0..4).map(|_| Toy::new(&whole.directory)).collect();
    let mut planes = Vec::new();
    for (number, toy) in (1..).zip(&toys) {
        planes.push(whole.start_plane(number, &number.to_string(), toy).await);
    }
    let probe = || bytes::Bytes::from_static(b"is every stream open?");
    until("every stream is open", || planes.iter().all(|plane| plane.send_consensus(probe()))).await;
    let mut nodes = Vec::new();
    for ((number, toy), plane) in (1..).zip(&toys).zip(planes) {
        nodes.push(whole.start_engine(number, &number.to_string(), toy, plane).await);
    }
    submit(&nodes[1], 2, 0..500).await;
    let have_all = || nodes.iter().filter(|node| node.ordered().len() == 500).count();
    until("500 envelopes on a quorum", || have_all() >= 3).await;
    let all = nodes.iter().map(Node::ordered).max_by_key(Vec::len).unwrap();
    assert!(nodes.iter().all(|node| all.starts_with(&node.ordered())), "in one order");
    for node in nodes {
        node.stop().await;
    }
}
