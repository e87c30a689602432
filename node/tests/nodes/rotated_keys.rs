//! Officers rotate a bank's keys (participant update): those that run take the new ones up when the update commits, and those that
//! start, whatever their disks hold, know their peers and themselves by the keys that their own chain names.

use crate::cluster::*;
use ledger_seal::KemSecret;
use ledger_types::envelope::*;
use ledger_types::genesis::KemSuite;
use ledger_types::participant::Participant;
use ledger_types::*;
use node::keys::{KeyFolder, passphrase};
use node_api::desk;
use std::fs;
use std::process::{Command, Stdio};

const ROTATED: [&str; 6] = ["data-peer", "engine-peer", "link", "desk", "offer", "kem"];

/// The central bank carries it; two of three officers sign it.
pub fn update(cluster: &Cluster, participant: Participant) -> Envelope {
    let folder = cluster.folder("central-bank");
    let officers = KeyFolder::new(&folder.join("../officers"), passphrase(Some(&folder.join("passphrase"))).unwrap());
    let context = ParticipantUpdateContext { participant, authorizations: List::empty() };
    let mut core = Core {
        submitter: ParticipantNumber(1),
        inputs: Inputs::Spends(List::empty()),
        outputs: List::empty(),
        contract: ContractNumber(0),
        expiry_ms: node::clock::now_ms() + 60_000,
        bucket: Bucket::None,
        hint: EnvelopeHint([0; 16]),
        salt: Salt([7; 32]),
        context: ClearContext::ParticipantUpdate(Box::new(context.clone())),
    };
    let message = core.authorization_message(cluster.trust().chain());
    let sign = |officer: u8| {
        let key = officers.signing_key(&format!("officer-{}", officer + 1)).unwrap();
        OfficerSignature { officer, signature: key.sign(&message) }
    };
    let authorizations = List::new((0..2).map(sign).collect()).unwrap();
    core.context = ClearContext::ParticipantUpdate(Box::new(ParticipantUpdateContext { authorizations, ..context }));
    Envelope { header: EnvelopeHeader { core, commitment: KeyCommitment::ZERO }, ciphertext: Vec::new() }
}

/// Pays between the two banks' wallets, to the registry's confirmation.
async fn pay(cluster: &Cluster, from: &str, to: &str) {
    let bank = cluster.client(from);
    let paid: desk::Payment = bank.pay(&payment("alice", &format!("bob@{to}"), 10, "")).await.unwrap();
    let paid = reached(&bank, &paid.id, "confirmed", 60).await;
    assert_eq!(paid.state, "confirmed");
}

/// How a node that cannot start says so.
pub fn refusal(cluster: &Cluster, name: &str) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_assay-node"))
        .args(["run", "--config"])
        .arg(cluster.folder(name).join("node.toml"))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(!output.status.success());
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rotated_keys_are_taken_up_by_those_that_run_and_by_those_that_start() {
    let mut cluster = Cluster::up(112, 100).await;
    for bank in ["bank2", "bank3"] {
        wallet(&cluster.client(bank), "alice").await;
        wallet(&cluster.client(bank), "bob").await;
        let funded: desk::Payment =
            cluster.client(bank).pay(&payment("vault", &format!("alice@{bank}"), 1_000, "")).await.unwrap();
        reached(&cluster.client(bank), &funded.id, "confirmed", 60).await;
    }
    pay(&cluster, "bank2", "bank3").await;

    // The operator of bank 3 makes new keys and moves the old away; its process runs on by those that it has read.
    let folder = cluster.folder("bank3").join("keys");
    let mut line = cluster.trust().genesis().directory.get(ParticipantNumber(3)).unwrap().clone();
    let file = |name: &str, end: &str| folder.join(format!("{name}.{end}"));
    ROTATED.iter().for_each(|name| fs::rename(file(name, "pem"), file(name, "old")).unwrap());
    let keys = cluster.keys("bank3");
    for (name, key) in [
        ("data-peer", &mut line.keys.data_peer),
        ("engine-peer", &mut line.keys.engine_peer),
        ("link", &mut line.keys.link),
        ("desk", &mut line.keys.desk),
        ("offer", &mut line.keys.offer),
    ] {
        *key = keys.create_signing_key(name).unwrap().public_key();
    }
    line.keys.kem = KemSecret::from_seed(KemSuite::X25519, &keys.create_secret("kem").unwrap()).public_key();
    let update = update(&cluster, line);
    let id = update.id(cluster.trust().chain()).to_string();
    cluster.client("central-bank").submit_envelopes(vec![hex::encode(update.to_bytes())]).await.unwrap();
    for node in ["central-bank", "bank2", "bank4", "observer"] {
        wait_until(30, "the update is accepted", async || cluster.acknowledged(node, &id).await.is_some()).await;
    }

    // Nobody else restarts: they know it by its new keys already.
    cluster.kill("bank3");
    cluster.start("bank3");
    cluster.ready().await;
    pay(&cluster, "bank2", "bank3").await;
    pay(&cluster, "bank3", "bank2").await;
    // With bank 4 gone, its votes and acks are needed.
    cluster.kill("bank4");
    pay(&cluster, "bank3", "bank2").await;
    cluster.start("bank4");
    cluster.ready().await;

    // Every process, one after the other: the genesis names other keys.
    for name in ["central-bank", "bank2", "bank3", "bank4", "observer", "registration", "confirmation-issuance"] {
        cluster.kill(name);
        cluster.start(name);
        if NODES.contains(&name) {
            cluster.ready().await;
        }
    }
    pay(&cluster, "bank2", "bank3").await;
    pay(&cluster, "bank3", "bank2").await;

    // A replaced key, and another's, are refused, each with its name and what to do.
    cluster.kill("bank3");
    for name in ROTATED {
        fs::rename(file(name, "pem"), file(name, "new")).unwrap();
        fs::copy(file(name, "old"), file(name, "pem")).unwrap();
        let said = refusal(&cluster, "bank3");
        assert!(
            said.contains(&format!("key_replaced: a participant update has replaced the key in {name}.pem")),
            "{said}"
        );
        fs::rename(file(name, "new"), file(name, "pem")).unwrap();
    }
    fs::rename(file("consensus", "pem"), file("consensus", "kept")).unwrap();
    fs::copy(file("bundle", "pem"), file("consensus", "pem")).unwrap();
    let said = refusal(&cluster, "bank3");
    assert!(said.contains("votes.guard was made with another key than the one in consensus.pem"), "{said}");
    fs::rename(file("consensus", "kept"), file("consensus", "pem")).unwrap();

    // Its disk is emptied: the directory that it begins with names its old keys. It follows by the new ones up to its update,
    // and its desk opens then.
    fs::remove_dir_all(cluster.folder("bank3").join("state")).unwrap();
    cluster.start("bank3");
    cluster.ready().await;
    let log = fs::read_to_string(cluster.folder("bank3").join("log")).unwrap();
    assert!(log.contains("the desk and the HTTP interface wait for the participant update"), "{log}");
    let wallets: Vec<desk::Wallet> = cluster.client("bank3").get("/v1/wallets").await.unwrap();
    assert!(wallets.iter().all(|wallet| wallet.name != "alice"), "its wallets went with its disk");
}

/// The process runs on by the old key: its batch is signed, and refused wherever it goes. The new key comes when it
/// starts again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_that_waits_while_the_registration_key_is_rotated_is_confirmed_under_the_new_one() {
    let mut cluster = Cluster::up(123, 100).await;
    wallet(&cluster.client("bank3"), "bob").await;
    let folder = cluster.folder("confirmation-issuance");
    let mut line = cluster.trust().genesis().directory.get(ParticipantNumber(1)).unwrap().clone();
    fs::rename(folder.join("keys/registration.pem"), folder.join("keys/registration.old")).unwrap();
    let key = cluster.keys("confirmation-issuance").create_signing_key("registration").unwrap();
    line.central_bank.as_mut().unwrap().registration = key.public_key();
    let update = update(&cluster, line);
    let id = update.id(cluster.trust().chain()).to_string();
    cluster.client("central-bank").submit_envelopes(vec![hex::encode(update.to_bytes())]).await.unwrap();
    wait_until(30, "the update is accepted", async || cluster.acknowledged("central-bank", &id).await.is_some()).await;

    let bank = cluster.client("bank2");
    let paid = bank.pay(&payment("vault", "bob@bank3", 10, "")).await.unwrap();
    reached(&bank, &paid.id, "settled", 30).await;
    // The lane's reach is two incarnations: it must not be left, however long this lasts.
    wait_until(60, "slot after slot is refused", async || {
        let log = fs::read_to_string(folder.join("log")).unwrap();
        log.matches("the lane's slot is stuck").count() >= 3
    })
    .await;
    let batch = bank.registry().await.unwrap().batch;
    cluster.kill("confirmation-issuance");
    cluster.start("confirmation-issuance");
    reached(&bank, &paid.id, "confirmed", 60).await;
    assert_eq!(bank.registry().await.unwrap().batch, batch + 1, "once");
    let log = fs::read_to_string(folder.join("log")).unwrap();
    assert!(log.contains("the pending batch is signed anew"), "{log}");
    let next = bank.pay(&payment("vault", "bob@bank3", 10, "")).await.unwrap();
    reached(&bank, &next.id, "confirmed", 60).await;
}
