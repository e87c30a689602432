//! Four validators, a bank without a vote and an observer on loopback; a bundle store in a folder; a peer that says what the
//! test wants.
#![allow(dead_code)] // Each test program uses its part.

use consensus::plane::wire::{Flow, Frame, Hello, WIRE_VERSION, WireError};
use consensus::plane::{Plane, PlaneConfig, PlaneKeys, PlaneLimits, PlanePeer};
use consensus::port::{
    Application, BlockRefused, BundleStore, Candidate, DecidedBlock, Evidence, LanePosition, MustStop, Tip,
};
use ledger_types::block::{Block, BlockHeader};
use ledger_types::bundle::{Bundle, BundleCertificate, LANE_DEPTH_MAX, Slot, ack_message};
use ledger_types::envelope::*;
use ledger_types::keys::SigningKey;
use ledger_types::participant::*;
use ledger_types::*;
use libp2p::futures::{AsyncWriteExt, StreamExt};
use libp2p::swarm::SwarmEvent;
use libp2p::{Multiaddr, PeerId, Stream, identity};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

pub const VALIDATORS: u16 = 4;
pub const BANK: ParticipantNumber = ParticipantNumber(5);
pub const OBSERVER: ParticipantNumber = ParticipantNumber(6);
pub const QUOTA: u64 = 1 << 20;
pub const PATIENCE: Duration = Duration::from_secs(20);

pub fn chain() -> Chain {
    Chain::new(GenesisHash([7; 32]))
}

/// Purposes: 0 consensus, 1 bundle, …, 7 data peer, 8 to 11 the central bank's.
pub fn key(number: ParticipantNumber, purpose: u8) -> SigningKey {
    let mut seed = [0x5a; 32];
    seed[..2].copy_from_slice(&number.0.to_le_bytes());
    seed[2] = purpose;
    SigningKey::from_seed(&seed)
}

pub fn bundle_key(number: ParticipantNumber) -> SigningKey {
    key(number, 1)
}

pub fn data_peer_key(number: ParticipantNumber) -> SigningKey {
    key(number, 7)
}

pub fn directory() -> Directory {
    let participant = |number: u16| {
        let at = ParticipantNumber(number);
        let public = |purpose| key(at, purpose).public_key();
        let is_validator = number <= VALIDATORS;
        let roles = match number {
            1 => Roles::VALIDATOR.and(Roles::CENTRAL_BANK),
            _ if is_validator => Roles::VALIDATOR.and(Roles::COMMERCIAL_BANK),
            5 => Roles::COMMERCIAL_BANK,
            _ => Roles::OBSERVER,
        };
        Participant {
            number: at,
            name: Text::new(&format!("participant {number}")).unwrap(),
            roles,
            power: u64::from(is_validator),
            keys: ParticipantKeys {
                consensus: public(0),
                bundle: public(1),
                cosign: public(2),
                desk: public(3),
                offer: public(4),
                link: public(5),
                engine_peer: public(6),
                data_peer: public(7),
                kem: Octets::new(vec![number as u8; 32]).unwrap(),
            },
            central_bank: (number == 1).then(|| CentralBankKeys {
                log: public(8),
                registration: public(9),
                registration_link: public(10),
                issue: public(11),
            }),
        }
    };
    Directory::new((1..=OBSERVER.0).map(participant).collect()).unwrap()
}

pub fn first_tip() -> Tip {
    let directory = directory();
    Tip {
        height: Height(0),
        block: BlockHash([0; 32]),
        time_ms: 0,
        certificate: None,
        decided_by: directory.validators(),
        validators: directory.validators(),
        directory: Arc::new(directory),
        lanes: Arc::new(BTreeMap::new()),
    }
}

/// The tip with another bundle key of one participant.
pub fn with_bundle_key(tip: &Tip, number: ParticipantNumber, key: &SigningKey) -> Tip {
    let mut lines: Vec<Participant> = tip.directory.iter().cloned().collect();
    lines.iter_mut().filter(|line| line.number == number).for_each(|line| line.keys.bundle = key.public_key());
    Tip { directory: Arc::new(Directory::new(lines).unwrap()), ..tip.clone() }
}

/// An envelope of about 700 bytes whose bytes follow from `seed`.
pub fn envelope(submitter: ParticipantNumber, seed: u64) -> Envelope {
    let mut bytes = [0u8; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let core = Core {
        submitter,
        inputs: Inputs::Spends(List::new(vec![Spend { link: CoinLink(bytes), kappa: Kappa(bytes) }]).unwrap()),
        outputs: List::new(vec![Output { note: Note(bytes), custody: Custody(bytes), terms_flag: TermsFlag::Plain }])
            .unwrap(),
        contract: ContractNumber(0),
        expiry_ms: seed,
        bucket: Bucket::B512,
        hint: EnvelopeHint([1; 16]),
        salt: Salt(bytes),
        context: ClearContext::Transfer,
    };
    let header = EnvelopeHeader { core, commitment: KeyCommitment(bytes) };
    Envelope { header, ciphertext: vec![seed as u8; Bucket::B512.ciphertext_bytes()] }
}

pub fn envelopes(submitter: ParticipantNumber, seeds: std::ops::Range<u64>) -> Vec<Envelope> {
    seeds.map(|seed| envelope(submitter, seed)).collect()
}

pub fn slot(submitter: ParticipantNumber, incarnation: u32, sequence: u64) -> Slot {
    Slot { submitter, incarnation, sequence }
}

pub fn bundle(at: Slot, seeds: std::ops::Range<u64>) -> Bundle {
    bundle_of(at, seeds, &bundle_key(at.submitter))
}

pub fn bundle_of(at: Slot, seeds: std::ops::Range<u64>, key: &SigningKey) -> Bundle {
    Bundle::sign(&chain(), at, envelopes(at.submitter, seeds), key).unwrap()
}

/// A certificate by these signers.
pub fn certificate(bundle: &Bundle, signers: &[u16]) -> BundleCertificate {
    let acks = signers.iter().map(|signer| {
        let signer = ParticipantNumber(*signer);
        let signature = bundle_key(signer).sign(&ack_message(&chain(), &bundle.digest(), signer));
        SignedBy { signer, signature }
    });
    BundleCertificate { header: bundle.header().clone(), acks: List::new(acks.collect()).unwrap() }
}

/// The tip after a block that holds `certificates`.
pub fn ordered(tip: &Tip, certificates: &[BundleCertificate]) -> (Block, Tip) {
    let height = tip.height.next();
    let mut lanes = (*tip.lanes).clone();
    for certificate in certificates {
        let at = certificate.header.slot;
        let (incarnation, next_sequence) = (at.incarnation, at.sequence + 1);
        lanes.insert(at.submitter, LanePosition { incarnation, next_sequence, served_at: height, bytes_left: QUOTA });
    }
    let header = BlockHeader {
        version: RulesVersion::GENESIS,
        height,
        parent: tip.block,
        time_ms: height.0,
        certificates_root: MerkleRoot::ZERO,
        results_root: MerkleRoot::ZERO,
        state_root: StateRoot::ZERO,
        log_size: 0,
        log_root: TreeRoot::ZERO,
        map_root: TreeRoot::ZERO,
        participants_hash: ParticipantsHash::ZERO,
        next_set_hash: ValidatorSetHash::ZERO,
        parent_round: 0,
    };
    let block = Block { header, certificates: List::new(certificates.to_vec()).unwrap(), parent_certificate: None };
    let tip = Tip { height, block: block.hash(&chain()), time_ms: height.0, lanes: Arc::new(lanes), ..tip.clone() };
    (block, tip)
}

/// Polls until the condition holds; the test fails when it does not in time.
pub async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A bundle is a file named for its digest; guards are appended to one file. Everything is synced before it returns.
pub struct FolderStore {
    folder: PathBuf,
    chain: Chain,
    inner: Mutex<Inner>,
    moved: Condvar,
}

#[derive(Default)]
struct Inner {
    bundles: HashMap<BundleDigest, Arc<Bundle>>,
    guards: BTreeMap<Slot, BundleDigest>,
    puts: u64,
    fails: bool,
    holds_puts: bool,
    holds_guards: bool,
    /// The guard was made anew at the chain's start, and permits what is behind the first window alone.
    is_renewed: bool,
    /// Calls that are held.
    held: usize,
}

impl Inner {
    fn remembers(&self, slot: &Slot) -> bool {
        !self.is_renewed || slot.sequence >= LANE_DEPTH_MAX
    }
}

impl FolderStore {
    /// The guard is lost, and one that was made anew lies in its place.
    pub fn renew_guard(folder: &Path) {
        std::fs::create_dir_all(folder).unwrap();
        std::fs::write(folder.join("renewed"), []).unwrap();
    }

    pub fn open(folder: &Path) -> Self {
        std::fs::create_dir_all(folder.join("bundles")).unwrap();
        let mut inner = Inner { is_renewed: folder.join("renewed").exists(), ..Inner::default() };
        for file in std::fs::read_dir(folder.join("bundles")).unwrap() {
            let bundle = Bundle::parse(&chain(), &std::fs::read(file.unwrap().path()).unwrap()).unwrap();
            inner.bundles.insert(bundle.digest(), Arc::new(bundle));
        }
        for record in std::fs::read(folder.join("guards")).unwrap_or_default().chunks(14 + 32) {
            let mut reader = Reader::new(record);
            inner.guards.insert(reader.read().unwrap(), reader.read().unwrap());
        }
        FolderStore { folder: folder.to_owned(), chain: chain(), inner: Mutex::new(inner), moved: Condvar::new() }
    }

    pub fn fail_from_now_on(&self) {
        self.inner.lock().unwrap().fails = true;
    }

    /// From now on `put`, or the guarding of acks, does not return until it is called again.
    pub fn hold(&self, puts: bool, guards: bool) {
        let mut inner = self.inner.lock().unwrap();
        (inner.holds_puts, inner.holds_guards) = (puts, guards);
        self.moved.notify_all();
    }

    pub fn held(&self) -> usize {
        self.inner.lock().unwrap().held
    }

    fn wait_while(&self, holds: impl Fn(&Inner) -> bool) -> MutexGuard<'_, Inner> {
        let mut inner = self.inner.lock().unwrap();
        inner.held += 1;
        inner = self.moved.wait_while(inner, |inner| holds(inner)).unwrap();
        inner.held -= 1;
        inner
    }

    pub fn puts(&self) -> u64 {
        self.inner.lock().unwrap().puts
    }
}

impl BundleStore for FolderStore {
    fn put(&self, bundles: &[Arc<Bundle>]) -> Result<(), MustStop> {
        let mut inner = self.wait_while(|inner| inner.holds_puts);
        if inner.fails {
            return Err(MustStop("the disk is full".to_owned()));
        }
        inner.puts += 1;
        for bundle in bundles {
            if inner.bundles.insert(bundle.digest(), bundle.clone()).is_none() {
                let path = self.folder.join("bundles").join(bundle.digest().to_string());
                std::fs::write(&path, bundle.to_bytes()).unwrap();
                std::fs::File::open(&path).unwrap().sync_all().unwrap();
            }
        }
        Ok(())
    }

    fn get(&self, digest: &BundleDigest) -> Result<Option<Arc<Bundle>>, MustStop> {
        // Not while a file is being written.
        let _inner = self.inner.lock().unwrap();
        let path = self.folder.join("bundles").join(digest.to_string());
        Ok(std::fs::read(path).ok().map(|bytes| Arc::new(Bundle::parse(&self.chain, &bytes).unwrap())))
    }

    fn contains(&self, digest: &BundleDigest) -> bool {
        self.inner.lock().unwrap().bundles.contains_key(digest)
    }

    fn unordered(&self) -> Result<Vec<Arc<Bundle>>, MustStop> {
        Ok(self.inner.lock().unwrap().bundles.values().cloned().collect())
    }

    fn acked(&self, slot: &Slot) -> Option<BundleDigest> {
        self.inner.lock().unwrap().guards.get(slot).copied()
    }

    fn remembers(&self, slot: &Slot) -> bool {
        self.inner.lock().unwrap().remembers(slot)
    }

    fn guard_acks(&self, acks: &[(Slot, BundleDigest)]) -> Result<Vec<Option<BundleDigest>>, MustStop> {
        use std::io::Write;
        let mut inner = self.wait_while(|inner| inner.holds_guards && !acks.is_empty());
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(self.folder.join("guards")).unwrap();
        let mut acked = Vec::new();
        for (slot, digest) in acks {
            if !inner.guards.contains_key(slot) && inner.remembers(slot) {
                inner.guards.insert(*slot, *digest);
                file.write_all(&[slot.to_bytes(), digest.to_bytes()].concat()).unwrap();
            }
            acked.push(inner.guards.get(slot).copied());
        }
        file.sync_all().unwrap();
        Ok(acked)
    }

    fn collect(&self, _lanes: &BTreeMap<ParticipantNumber, LanePosition>) -> Result<(), MustStop> {
        Ok(())
    }
}

/// Remembers what it is told; executes nothing.
#[derive(Default)]
pub struct Witness {
    pub messages: Mutex<Vec<(ParticipantNumber, Vec<u8>)>>,
    pub evidence: Mutex<Vec<Evidence>>,
}

impl Application for Witness {
    fn tip(&self) -> Tip {
        first_tip()
    }

    fn propose(&self, _: Candidate) -> Result<Block, BlockRefused> {
        Err(BlockRefused { reason: "this application executes nothing".to_owned() })
    }

    fn check(&self, _: &Block, _: &[Arc<Bundle>]) -> Result<(), BlockRefused> {
        Err(BlockRefused { reason: "this application executes nothing".to_owned() })
    }

    fn commit(&self, _: DecidedBlock, _: &[Arc<Bundle>]) -> Result<Tip, MustStop> {
        Err(MustStop("this application executes nothing".to_owned()))
    }

    fn decided(&self, _: Height) -> Option<DecidedBlock> {
        None
    }

    fn header(&self, _: Height) -> Option<BlockHeader> {
        None
    }

    fn message(&self, from: ParticipantNumber, bytes: Vec<u8>) {
        self.messages.lock().unwrap().push((from, bytes));
    }

    fn evidence(&self, evidence: Evidence) {
        self.evidence.lock().unwrap().push(evidence);
    }
}

pub struct Network {
    addresses: BTreeMap<ParticipantNumber, Multiaddr>,
    pub folder: tempfile::TempDir,
    pub limits: PlaneLimits,
}

pub struct Node {
    pub number: ParticipantNumber,
    pub plane: Arc<Plane>,
    pub store: Arc<FolderStore>,
    pub witness: Arc<Witness>,
}

impl Network {
    /// Each node has its own loopback address (trap 12).
    pub fn new() -> Self {
        let _ = tracing_subscriber::fmt().with_env_filter(tracing_subscriber::EnvFilter::from_default_env()).try_init();
        let address = |number: u16| {
            let host = format!("127.0.0.{}", 10 + number);
            let port = std::net::TcpListener::bind((host.as_str(), 0)).unwrap().local_addr().unwrap().port();
            (ParticipantNumber(number), format!("/ip4/{host}/tcp/{port}").parse().unwrap())
        };
        Network {
            addresses: (1..=OBSERVER.0).map(address).collect(),
            folder: tempfile::tempdir().unwrap(),
            limits: PlaneLimits::new(QUOTA),
        }
    }

    pub fn address(&self, number: u16) -> Multiaddr {
        self.addresses[&ParticipantNumber(number)].clone()
    }

    pub fn folder_of(&self, number: u16) -> PathBuf {
        self.folder.path().join(number.to_string())
    }

    pub fn config(&self, number: u16) -> PlaneConfig {
        let me = ParticipantNumber(number);
        let peers = self.addresses.iter().filter(|(peer, _)| **peer != me).map(|(number, addr)| PlanePeer {
            number: *number,
            pinned: Default::default(),
            addr: addr.clone(),
        });
        PlaneConfig { me, listen: self.address(number), peers: peers.collect(), limits: self.limits.clone() }
    }

    pub async fn start(&self, number: u16) -> Node {
        self.start_at(number, first_tip()).await
    }

    pub async fn start_at(&self, number: u16, tip: Tip) -> Node {
        let me = ParticipantNumber(number);
        let store = Arc::new(FolderStore::open(&self.folder_of(number)));
        let witness = Arc::new(Witness::default());
        let keys = PlaneKeys { data_peer: data_peer_key(me), bundle: (me != OBSERVER).then(|| bundle_key(me)) };
        let plane =
            Plane::start(self.config(number), keys, chain(), tip, store.clone(), witness.clone()).await.unwrap();
        Node { number: me, plane, store, witness }
    }

    pub async fn start_all(&self, numbers: impl IntoIterator<Item = u16>) -> Vec<Node> {
        let mut nodes = Vec::new();
        for number in numbers {
            nodes.push(self.start(number).await);
        }
        let others = nodes.len() - 1;
        until("all are connected", || nodes.iter().all(|node| node.plane.connected().len() >= others)).await;
        nodes
    }
}

impl Node {
    pub fn candidates(&self, tip: &Tip) -> Vec<BundleCertificate> {
        self.plane.candidates(tip, usize::MAX, 1024)
    }

    pub fn refusals(&self, name: &str) -> u64 {
        self.plane.metrics().refusals.get(name).copied().unwrap_or(0)
    }
}

/// A peer without a plane: a bare swarm with a key of the test's choice.
pub struct Puppet {
    pub control: libp2p_stream::Control,
    pub number: ParticipantNumber,
    incoming: BTreeMap<Flow, libp2p_stream::IncomingStreams>,
    /// Whoever it was ever connected with.
    met: tokio::sync::watch::Receiver<BTreeSet<PeerId>>,
    swarm: tokio::task::JoinHandle<()>,
}

impl Drop for Puppet {
    fn drop(&mut self) {
        self.swarm.abort();
    }
}

pub fn peer_id(number: u16) -> PeerId {
    let public = data_peer_key(ParticipantNumber(number)).public_key();
    identity::PublicKey::from(identity::ed25519::PublicKey::try_from_bytes(&public.0).unwrap()).to_peer_id()
}

impl Puppet {
    pub fn start(number: ParticipantNumber, key: &SigningKey, dial: &[(PeerId, Multiaddr)]) -> Self {
        let keypair = identity::Keypair::ed25519_from_bytes(*key.seed()).unwrap();
        let mut swarm = libp2p::SwarmBuilder::with_existing_identity(keypair)
            .with_tokio()
            .with_tcp(libp2p::tcp::Config::default(), libp2p::noise::Config::new, libp2p::yamux::Config::default)
            .unwrap()
            .with_behaviour(|_| libp2p_stream::Behaviour::new())
            .unwrap()
            .with_swarm_config(|config| config.with_idle_connection_timeout(Duration::from_secs(600)))
            .build();
        let mut control = swarm.behaviour().new_control();
        let incoming = [Flow::Control, Flow::Bulk].map(|flow| (flow, control.accept(flow.protocol()).unwrap())).into();
        for (peer, addr) in dial {
            let opts = libp2p::swarm::dial_opts::DialOpts::peer_id(*peer).addresses(vec![addr.clone()]).build();
            swarm.dial(opts).unwrap();
        }
        let (meets, met) = tokio::sync::watch::channel(BTreeSet::new());
        let swarm = tokio::spawn(async move {
            loop {
                if let SwarmEvent::ConnectionEstablished { peer_id, .. } = swarm.select_next_some().await {
                    meets.send_if_modified(|met| met.insert(peer_id));
                }
            }
        });
        Puppet { control, number, incoming, met, swarm }
    }

    pub fn hello(&self) -> Frame {
        Frame::Hello(Hello { version: WIRE_VERSION, chain: chain().genesis_hash(), number: self.number })
    }

    pub async fn open(&mut self, peer: PeerId, flow: Flow) -> Result<Stream, String> {
        let opened = tokio::time::timeout(PATIENCE, self.control.open_stream(peer, flow.protocol())).await;
        opened.map_err(|_| "timeout".to_owned())?.map_err(|error| error.to_string())
    }

    /// Opens a stream and says hello on it. The connection stands before: a stream that is asked for while it is made may never
    /// come.
    pub async fn greet(&mut self, peer: PeerId, flow: Flow) -> Stream {
        let met = tokio::time::timeout(PATIENCE, self.met.wait_for(|met| met.contains(&peer))).await;
        drop(met.expect("a connection in time").expect("the swarm runs"));
        let mut stream = self.open(peer, flow).await.unwrap();
        stream.write_all(&self.hello().to_bytes()).await.unwrap();
        stream.flush().await.unwrap();
        stream
    }

    /// The next stream that a peer opens towards us.
    pub async fn accepted(&mut self, flow: Flow) -> (PeerId, Stream) {
        let incoming = self.incoming.get_mut(&flow).unwrap();
        tokio::time::timeout(PATIENCE, incoming.next()).await.expect("a stream in time").expect("the swarm runs")
    }

    /// Streams of one flow from each of `peers`, without their hello.
    pub async fn accepted_from(&mut self, flow: Flow, peers: &[PeerId]) -> BTreeMap<PeerId, Stream> {
        let mut streams = BTreeMap::new();
        while !peers.iter().all(|peer| streams.contains_key(peer)) {
            let (peer, mut stream) = self.accepted(flow).await;
            assert!(matches!(read(flow, &mut stream).await.unwrap(), Frame::Hello(_)));
            streams.insert(peer, stream);
        }
        streams
    }
}

pub async fn send(stream: &mut Stream, frame: &Frame) {
    stream.write_all(&frame.to_bytes()).await.unwrap();
    stream.flush().await.unwrap();
}

pub async fn read(flow: Flow, stream: &mut Stream) -> Result<Frame, WireError> {
    let mut room = Default::default();
    tokio::time::timeout(PATIENCE, Frame::read(flow, stream, &mut room)).await.unwrap_or(Err(WireError::Silent))
}

/// The next frame for which `pick` gives a value.
pub async fn expect<T>(flow: Flow, stream: &mut Stream, mut pick: impl FnMut(Frame) -> Option<T>) -> T {
    loop {
        if let Some(found) = pick(read(flow, stream).await.expect("a frame")) {
            return found;
        }
    }
}
