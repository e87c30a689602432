//! Bytes that some decoder takes, each with a name.

use crate::chain::*;
use consensus::engine::recall::{Answer, SignedVote};
use consensus::engine::wal::Wal;
use consensus::guard::SigningGuard;
use consensus::plane::wire::Frame;
use contracts_vm::Package;
use ledger_store::{AckGuard, Bincode, Format, Piece};
use ledger_tree::log::{self, LogReader, leaf_hash};
use ledger_tree::map::Prefix;
use ledger_tree::merkle::encode_path;
use ledger_tree::note::NoteKey;
use ledger_types::block::genesis_block_hash;
use ledger_types::envelope::OfficerSignature;
use ledger_types::keys::SigningKey;
use ledger_types::log_leaf::LogLeaf;
use ledger_types::request::RequestClass;
use ledger_types::vote::{Vote, VoteStep};
use ledger_types::{BundleDigest, ContractNumber, Encode, Height, List, ParticipantNumber, TreeRoot};
use ledger_verify::{EntryKey, HandOver, HandOverOrder};
use node::backup::Manifest;
use node::checkpoint::CheckpointSignature;
use node::joining::wire::Question;
use node::link::wire::{Call, Reply, encode};
use node::link::{Request, Response};
use serde_json::json;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

type Pool = BTreeMap<String, Vec<u8>>;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn grown() -> (Registry, ledger_types::request::OfficerRequest) {
    let mut registry = Registry::new();
    let request = registry.request(RequestClass::Disclose, 2);
    registry.log_request(request);
    let lines: Vec<_> = (4..=12).map(|number| registry.live(number)).collect();
    registry.confirm(2, &lines);
    (registry, request)
}

/// What the verifiers of the targets trust, and what that chain said.
pub fn honest() -> Pool {
    let (registry, _) = grown();
    let proof = registry.state_proof();
    let head = ledger_verify::verify_state(&registry.trust(), &proof, NOW_MS).verified().expect("it is honest").head();
    let acknowledgement = registry.acknowledgement(1);
    let accepted = ledger_verify::verify_acknowledgement(&registry.trust(), &acknowledgement);
    [
        ("genesis", registry.document()),
        ("head", head.to_bytes()),
        ("block", registry.first_header().hash(&registry.chain).to_bytes()),
        ("envelope", accepted.verified().expect("it is honest").envelope().to_bytes()),
        ("coin", registry.coin_proof(issued_coin(&registry.chain, 7)).to_bytes()),
        ("signed", signed(&registry)),
    ]
    .map(|(name, bytes)| (name.to_owned(), bytes))
    .into()
}

/// Of the first two blocks, and of the one that a hand-over shows.
fn signed(registry: &Registry) -> Vec<u8> {
    let mut headers: Vec<_> = registry.segment(2).into_iter().map(|(header, _)| header).collect();
    headers.push(hand_over(registry).header);
    headers.iter().flat_map(|header| header.hash(&registry.chain).0).collect()
}

pub fn pool() -> Pool {
    let mut pool = Pool::new();
    golden(&mut pool);
    proofs(&mut pool);
    paths(&mut pool);
    policies(&mut pool);
    frames(&mut pool);
    documents(&mut pool);
    files(&mut pool);
    pool
}

fn files_of(folder: &str) -> Vec<PathBuf> {
    let mut paths: Vec<_> = fs::read_dir(root().join(folder)).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap().to_str().unwrap().to_owned()
}

/// Every hex text of the golden files.
fn golden(pool: &mut Pool) {
    for path in files_of("ledger/types/tests/golden") {
        let document: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        if let Some(bytes) = document["bytes"].as_str() {
            pool.insert(stem(&path), hex::decode(bytes).unwrap());
        }
    }
    let engine = fs::read_to_string(root().join("consensus/tests/engine/golden.txt")).unwrap();
    for line in engine.lines() {
        if let Some((name, Ok(bytes))) = line.split_once(": ").map(|(name, bytes)| (name, hex::decode(bytes))) {
            pool.insert(format!("engine-{}", name.replace(' ', "-")), bytes);
        }
    }
}

fn proofs(pool: &mut Pool) {
    let (registry, request) = grown();
    let coin = issued_coin(&registry.chain, 7);
    let prefix = Prefix::of(&record_key(&coin), 2).unwrap();
    let header = registry.first_header();
    let text = registry.checkpoint_text(registry.size());
    let line = cosign(&text, 2, COSIGNED_AT_S).to_line();
    let line = CheckpointSignature::new(registry.size(), TreeRoot([6; 32]), &line).unwrap();
    for (name, bytes) in [
        ("honest-genesis", registry.document()),
        ("honest-coin", registry.coin_proof(coin).to_bytes()),
        ("honest-absence", registry.coin_proof(issued_coin(&registry.chain, 90)).to_bytes()),
        ("honest-bucket", registry.bucket_proof(prefix).to_bytes()),
        ("honest-request", registry.request_proof(request).to_bytes()),
        ("honest-leaf", registry.leaf_proof(&LogLeaf::Request(request)).to_bytes()),
        ("honest-state", registry.state_proof().to_bytes()),
        ("honest-acknowledgement", registry.acknowledgement(1).to_bytes()),
        ("honest-certificate", registry.certificate(&header, &[1, 2, 3]).to_bytes()),
        ("honest-hand-over", hand_over(&registry).to_bytes()),
        ("honest-checkpoint", registry.checkpoint().into_bytes()),
        ("honest-entry", registry.entry_proof(EntryKey::Contract(ContractNumber(1)), None).to_bytes()),
        ("honest-path", registry.coin_proof(coin).map_proof.encode()),
        ("honest-segment", segment(&registry)),
        ("honest-line", line.to_bytes()),
    ] {
        pool.insert(name.to_owned(), bytes);
    }
}

fn segment(registry: &Registry) -> Vec<u8> {
    let blocks = registry.segment(2).into_iter();
    blocks.flat_map(|(header, certificate)| [header.to_bytes(), certificate.to_bytes()].concat()).collect()
}

/// Of a log of seven leaves, as the target has it.
fn paths(pool: &mut Pool) {
    struct Nodes(BTreeMap<(u8, u64), [u8; 32]>);
    impl LogReader for Nodes {
        fn node(&self, level: u8, index: u64) -> Result<Option<[u8; 32]>, ledger_tree::ReadError> {
            Ok(self.0.get(&(level, index)).copied())
        }
    }
    let leaves: Vec<_> = (0..7).map(|number| leaf_hash(&[number])).collect();
    let nodes = log::append(&Nodes(BTreeMap::new()), 0, &leaves).unwrap().nodes;
    let nodes = Nodes(nodes.into_iter().collect());
    for index in [0u64, 3, 6] {
        let path = encode_path(&log::prove_inclusion(&nodes, index, 7).unwrap());
        pool.insert(format!("path-of-{index}"), [&index.to_le_bytes()[..], &[index as u8], &path].concat());
    }
    for first in [0u64, 3, 4, 7] {
        let path = encode_path(&log::prove_consistency(&nodes, first, 7).unwrap());
        let number = (first ^ (1 << 63)).to_le_bytes();
        let root = log::root_of_leaves(&leaves[..first as usize]);
        pool.insert(format!("path-from-{first}"), [&number[..], &root, &path].concat());
    }
}

fn hand_over(registry: &Registry) -> HandOver {
    let incoming = set_of(&[(1, 1), (2, 1), (3, 1), (6, 1)]);
    let order = HandOverOrder { number: 1, outgoing: registry.set.hash(&registry.chain), incoming: incoming.clone() };
    let message = order.message(&registry.chain);
    let sign = |officer: u8| {
        let signature = key(Purpose::Officer, u16::from(officer) + 1).sign(&message);
        OfficerSignature { officer, signature }
    };
    let mut header = registry.header(3, genesis_block_hash(&registry.chain));
    header.next_set_hash = incoming.hash(&registry.chain);
    let certificate = registry.certificate(&header, &[1, 2, 3]);
    HandOver { order, officers: List::new(vec![sign(0), sign(2)]).unwrap(), header, certificate }
}

fn policies(pool: &mut Pool) {
    for path in files_of("contracts/policies") {
        if path.extension().is_some_and(|extension| extension == "policy") {
            let source = fs::read_to_string(&path).unwrap();
            let package = Package::of(&source).unwrap();
            pool.insert(format!("program-{}", stem(&path)), package.program.to_bytes());
            pool.insert(format!("assembly-{}", stem(&path)), package.program.disassemble().into_bytes());
            pool.insert(format!("package-{}", stem(&path)), package.to_bytes());
            pool.insert(format!("source-{}", stem(&path)), source.into_bytes());
        }
    }
    let table = fs::read_to_string(root().join("contracts/vm/tests/data/macrodata.csv")).unwrap();
    let short: String = table.split_inclusive('\n').take(12).collect();
    pool.insert("table".to_owned(), short.into_bytes());
}

fn frames(pool: &mut Pool) {
    for frame in [
        Frame::Alive,
        Frame::HeightStarted(Height(7)),
        Frame::Absent(BundleDigest([1; 32])),
        Frame::Want(List::new(vec![BundleDigest([1; 32]), BundleDigest([2; 32])]).unwrap()),
        Frame::Message(b"a message".to_vec()),
        Frame::Consensus(b"a vote".to_vec().into()),
    ] {
        pool.insert(format!("frame-{:?}", frame.kind()).to_lowercase(), frame.to_bytes().to_vec());
    }
    let bundle: serde_json::Value =
        serde_json::from_slice(&fs::read(root().join("ledger/types/tests/golden/bundle.json")).unwrap()).unwrap();
    let bundle = hex::decode(bundle["bytes"].as_str().unwrap()).unwrap();
    pool.insert("frame-bundle".to_owned(), Frame::Bundle(bundle.into()).to_bytes().to_vec());
    let requests = [
        ("invoice", Request::Invoice { wallet: "shop".into(), amount: 12, nonce: [1; 16] }),
        ("releases", Request::TakeReleases { after: 1, max: 10, wait_ms: 5 }),
    ];
    for (name, request) in requests {
        pool.insert(format!("call-{name}"), encode(&Call { id: 3, request }).unwrap()[4..].to_vec());
    }
    for (name, question) in [
        ("offer", Question::Offer),
        ("rows", Question::Piece(Height(10_000), Piece::Rows(3))),
        ("block", Question::Piece(Height(10_000), Piece::Block(127))),
    ] {
        pool.insert(format!("question-{name}"), question.to_bytes());
    }
    let offer = fs::read_to_string(root().join("ledger/store/tests/golden/offer.txt")).unwrap();
    pool.insert("offer".to_owned(), hex::decode(offer.trim()).unwrap());
    let vote =
        Vote { step: VoteStep::Prevote, height: Height(7), round: 0, block: None, validator: ParticipantNumber(2) };
    let message = vote.message(&Registry::new().chain);
    let newest = Some(SignedVote { vote, signature: key(Purpose::Consensus, 2).sign(&message) });
    pool.insert("answer".to_owned(), Answer { in_progress: Height(8), newest }.bytes());
    let response = Response::EpochAcked { signature: vec![7; 64] };
    pool.insert("reply-acked".to_owned(), encode(&Reply { id: 3, response }).unwrap()[4..].to_vec());
}

fn documents(pool: &mut Pool) {
    for (name, document) in [
        ("wallet", json!({"name": "shop"})),
        ("mute", json!({"reason": "known"})),
        ("envelopes", json!({"envelopes": ["0102"]})),
        ("payment", json!({"request": "a1", "from": "vault", "to": "shop@bank3", "amount": 1250})),
    ] {
        pool.insert(format!("document-{name}"), document.to_string().into_bytes());
    }
    let vkey = NoteKey::new(ORIGIN, &key(Purpose::Log, 1).public_key().0).unwrap().to_string();
    let coin = issued_coin(&Registry::new().chain, 7).to_string();
    for (name, text) in [
        ("coin", coin.as_str()),
        ("height", "height 12"),
        ("number", "12"),
        ("tile", "0/x001/234.p/5"),
        ("vkey", vkey.as_str()),
        ("contract", "contract 1"),
    ] {
        pool.insert(format!("text-{name}"), text.as_bytes().to_vec());
    }
}

fn files(pool: &mut Pool) {
    let folder = tempfile::tempdir().unwrap();
    let (log, guard) = (folder.path().join("log"), folder.path().join("guard"));
    {
        let (wal, _) = Wal::open(&log).unwrap();
        wal.start(Height(7));
        wal.append(Height(7), consensus::engine::wal::RecordKind::Input, b"an input").unwrap();
        wal.flush().unwrap();
    }
    pool.insert("file-log".to_owned(), fs::read(&log).unwrap());
    let key = SigningKey::from_seed(&[1; 32]).public_key();
    SigningGuard::create(&guard, &Registry::new().chain, key).unwrap();
    pool.insert("file-guard".to_owned(), fs::read(&guard).unwrap());
    let mut row = Vec::new();
    let value = (7u64, Some([1u8; 32]), "shop".to_owned());
    <Bincode as Format<(u64, Option<[u8; 32]>, String)>>::encode(&value, &mut row).unwrap();
    pool.insert("row-tuple".to_owned(), row);
    let chain = Registry::new().chain.genesis_hash();
    let acks = folder.path().join("acks");
    AckGuard::create(&acks, chain).unwrap();
    pool.insert("file-acks".to_owned(), fs::read(&acks).unwrap());
    let (participant, height) = (ParticipantNumber(2), Height(9));
    let manifest = Manifest { chain, participant, height, made_ms: NOW_MS, files: Vec::new() };
    pool.insert("manifest".to_owned(), manifest.text().into_bytes());
}
