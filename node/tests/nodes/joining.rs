//! Nodes from nothing join a running cluster by a snapshot, past a peer that is silent and one that lies (B-7).

use crate::cluster::*;
use consensus::guard::{LogMark, Position, SigningGuard, Step};
use ledger_state::{CandidateBlock, Rules, apply};
use ledger_store::{CommittedHeight, Store, StoreOptions};
use ledger_types::block::Block;
use ledger_types::participant::SignedBy;
use ledger_types::vote::{CommitCertificate, Vote, VoteStep};
use ledger_types::{Height, List, ParticipantNumber};
use std::path::Path;

pub const SNAPSHOT: u64 = 10_000;
/// The state root has its hash, and the chain has gone on.
const TIP: u64 = 11_001;

const COINS_PER_BANK: u32 = 40;

/// Empty heights of three validators, a millisecond each, after those that the store has; no node has it open. Their guards know the
/// last vote.
pub fn grow(cluster: &Cluster, folder: &Path) {
    let genesis = cluster.trust().genesis().clone();
    let rules = Rules::new(genesis.clone());
    let names = ["central-bank", "bank2", "bank3"];
    let signers = [1, 2, 3].map(ParticipantNumber);
    let keys = names.map(|name| cluster.keys(name).signing_key("consensus").unwrap());
    let store = Store::open(folder, genesis, StoreOptions::default(), None).unwrap();
    let mut parent_certificate = store.tip().certificate.clone();
    for height in (store.tip().ledger.height.0 + 1..=TIP).map(Height) {
        let readers = store.readers();
        let snapshot = readers.snapshot().unwrap();
        let ledger = &snapshot.tip().ledger;
        let time_ms = ledger.time_ms + 1;
        let candidate = CandidateBlock { height, time_ms, certificates: &[], bundles: &[], parent_round: 0 };
        let applied = apply(&rules, ledger, &snapshot, candidate).unwrap();
        let block = applied.ledger.block;
        let message = |validator| {
            let vote = Vote { step: VoteStep::Precommit, height, round: 0, block: Some(block), validator };
            vote.message(&rules.chain)
        };
        let precommits = signers
            .iter()
            .zip(&keys)
            .map(|(signer, key)| SignedBy { signer: *signer, signature: key.sign(&message(*signer)) });
        let precommits = List::new(precommits.collect()).unwrap();
        let certificate = CommitCertificate { height, round: 0, block, precommits };
        let block = Block { header: applied.header.clone(), certificates: List::empty(), parent_certificate };
        store.commit(CommittedHeight { block: &block, certificate: &certificate, applied: &applied }).unwrap();
        parent_certificate = Some(certificate);
        if height == Height(TIP) {
            for ((name, signer), key) in names.into_iter().zip(signers).zip(&keys) {
                let path = cluster.folder(name).join("keys/votes.guard");
                let mut guard = SigningGuard::open(&path, &rules.chain, key.public_key()).unwrap();
                let position = Position { height, round: 0, step: Step::Precommit };
                guard.sign(position, &message(signer), LogMark::default(), |message| key.sign(message)).unwrap();
            }
        }
    }
}

pub fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy_folder(&entry.path(), &target),
            false => drop(std::fs::copy(entry.path(), target).unwrap()),
        }
    }
}

/// One coin fewer in the rows that this node offers.
fn make_a_liar(ledger: &Path) {
    let rows = ledger.join("snapshots").join(SNAPSHOT.to_string());
    let options = rocksdb::Options::default();
    let columns = rocksdb::DB::list_cf(&options, &rows).unwrap();
    let database = rocksdb::DB::open_cf(&options, &rows, columns).unwrap();
    let (meta, changes) = (database.cf_handle("meta").unwrap(), database.cf_handle("coin_changes").unwrap());
    let number = |row: u8| u64::from_le_bytes(database.get_cf(meta, [row]).unwrap().unwrap().try_into().unwrap());
    let (file, next) = (number(3), number(4) + 1);
    let mut spent = std::fs::read(rows.join(format!("{file:020}.coins"))).unwrap()[..32].to_vec();
    spent.push(0);
    database.put_cf(changes, next.to_be_bytes(), spent).unwrap();
    database.put_cf(meta, [4], next.to_le_bytes()).unwrap();
}

async fn joined_past_the_liar(cluster: &Cluster, name: &str) {
    let status = cluster.client(name).status().await.unwrap();
    assert_eq!(status.joined_at, Some(SNAPSHOT));
    let liars: Vec<u16> = status.lying_peers.iter().map(|liar| liar.participant).collect();
    assert_eq!(liars, [1], "{:?}", status.lying_peers);
    assert_eq!(status.lying_peers[0].lie, "chunk 1 of the rows is not what was committed to");
    let log = std::fs::read_to_string(cluster.folder(name).join("log")).unwrap();
    assert_eq!(log.matches("A PEER LIES").count(), 1);
    let metrics = cluster.client(name).get_text("/metrics").await.unwrap();
    assert!(metrics.contains("\nassay_lying_peers 1\n") && metrics.contains("\nassay_joined_height 10000\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b7_nodes_from_nothing_join_by_a_snapshot_past_a_silent_peer_and_name_the_one_that_lies() {
    let mut cluster = Cluster::init(135, COINS_PER_BANK);
    let ledger = |cluster: &Cluster, name: &str| cluster.folder(name).join("state/ledger");
    let grown = ledger(&cluster, "bank2");
    grow(&cluster, &grown);
    for name in ["central-bank", "bank3", "bank4"] {
        copy_folder(&grown, &ledger(&cluster, name));
    }
    make_a_liar(&ledger(&cluster, "central-bank"));
    for name in ["observer", "bank4"] {
        cluster.edit_config(name, "begins_from = \"blocks\"", "begins_from = \"snapshot\"");
    }
    for name in cluster.names().iter().filter(|name| *name != "observer") {
        cluster.start(name);
    }
    cluster.ready().await;
    // Whoever is behind hears of heights that were decided since the others started.
    let bank2 = cluster.client("bank2");
    wallet(&bank2, "alice").await;
    let paid: node_api::desk::Payment = bank2.pay(&payment("vault", "alice@bank2", 10, "")).await.unwrap();
    let paid = reached(&bank2, &paid.id, "confirmed", 60).await;
    // Bank 3 takes connections and says nothing: it costs its silence and is no liar.
    cluster.pause(&["bank3"]).await;
    cluster.start("observer");
    let observer = cluster.client("observer");
    wait_until(120, "the observer has joined", async || observer.status().await.is_ok()).await;
    joined_past_the_liar(&cluster, "observer").await;
    assert!(cluster.is_paused("bank3"));
    cluster.resume("bank3");
    cluster.ready().await;

    // A validator whose desk has followed, and whose ledger is lost.
    cluster.kill("bank4");
    for lost in ["ledger", "engine"] {
        std::fs::remove_dir_all(cluster.folder("bank4").join("state").join(lost)).unwrap();
    }
    cluster.start("bank4");
    cluster.ready().await;
    joined_past_the_liar(&cluster, "bank4").await;
    let bank4 = cluster.client("bank4");
    wait_until(60, "bank 4 votes again (B-9)", async || {
        let paid: node_api::desk::Payment = bank2.pay(&payment("vault", "alice@bank2", 10, "")).await.unwrap();
        reached(&bank2, &paid.id, "ordered", 60).await;
        bank4.status().await.unwrap().votes
    })
    .await;
    cluster.ready().await;
    let coin = paid.coin.as_ref().expect("a confirmed payment names its coin");
    // None before the node has a checkpoint that holds the coin.
    let found = async |name: &str| cluster.verified_coin(name, coin).await.map(|coin| format!("{:?}", coin.answer()));
    wait_until(60, "joined nodes prove a coin as the others do", async || {
        let as_bank2_says = found("bank2").await;
        as_bank2_says.is_some() && found("observer").await == as_bank2_says && found("bank4").await == as_bank2_says
    })
    .await;
}

/// Nothing is registered since the genesis: the newest checkpoint is of a height that the map of a joined node does not reach.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b7_a_joined_node_proves_what_has_not_changed_since_before_its_snapshot() {
    let mut cluster = Cluster::init(140, COINS_PER_BANK);
    let ledger = |cluster: &Cluster, name: &str| cluster.folder(name).join("state/ledger");
    let grown = ledger(&cluster, "bank2");
    grow(&cluster, &grown);
    for name in ["central-bank", "bank3"] {
        copy_folder(&grown, &ledger(&cluster, name));
    }
    cluster.edit_config("observer", "begins_from = \"blocks\"", "begins_from = \"snapshot\"");
    for name in ["central-bank", "bank2", "bank3"] {
        cluster.start(name);
    }
    cluster.ready().await;
    // Whoever joins hears of heights that were decided since the others started.
    let bank2 = cluster.client("bank2");
    wallet(&bank2, "alice").await;
    let paid: node_api::desk::Payment = bank2.pay(&payment("vault", "alice@bank2", 10, "")).await.unwrap();
    reached(&bank2, &paid.id, "ordered", 60).await;
    cluster.start("observer");
    let observer = cluster.client("observer");
    wait_until(120, "the observer has joined", async || observer.status().await.is_ok()).await;
    assert_eq!(observer.status().await.unwrap().joined_at, Some(SNAPSHOT));
    let nobodys = ledger_types::CoinId([7; 32]).to_string();
    wait_until(60, "it proves as the others do", async || {
        let found = async |name| cluster.verified_coin(name, &nobodys).await.map(|coin| format!("{:?}", coin.answer()));
        let proved = found("observer").await;
        proved.is_some() && proved == found("bank2").await
    })
    .await;
}
