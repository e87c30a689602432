//! A validator's disk is lost with state and guards while the others go on, and its state comes back from a backup that is older than
//! what its keys have signed: it votes again, and nothing is signed twice.

use crate::canaries::Canaries;
use crate::cluster::*;
use crate::lost_disks::{bank4_signed, height};
use assay_faults::healed;
use node_api::{Client, ledger};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

fn run(arguments: &[&str], paths: &[(&str, &Path)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_assay-node"));
    command.args(arguments);
    for (flag, path) in paths {
        command.arg(flag).arg(path);
    }
    command.output().unwrap()
}

fn done(output: Output) -> Value {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Number and text of a refusal.
fn refused(output: Output) -> (u64, String) {
    assert!(!output.status.success());
    let refusal: Value = serde_json::from_slice(&output.stdout).unwrap();
    (refusal["refusal"].as_u64().unwrap(), refusal["what"].as_str().unwrap().to_owned())
}

fn config(cluster: &Cluster, node: &str) -> PathBuf {
    cluster.folder(node).join("node.toml")
}

fn restore(cluster: &Cluster, node: &str, from: &Path, flags: &[&str]) -> Output {
    let arguments = [&["restore", "--json"], flags].concat();
    run(&arguments, &[("--config", &config(cluster, node)), ("--from", from)])
}

/// Pays from bank 2 to bank 3 until it is told to stop; gives the payments.
async fn load(payer: Client, stop: Arc<AtomicBool>) -> Vec<String> {
    let mut paid = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let started = payer.pay(&payment("vault", "vault@bank3", 10, "")).await.unwrap();
        reached(&payer, &started.id, "ordered", 60).await;
        paid.push(started.id);
    }
    paid
}

/// What a backup must not hold: guards, and what the keys' folder holds, sealed or opened.
fn secrets(cluster: &Cluster) -> Canaries {
    let (mut canaries, folder) = (Canaries::default(), cluster.folder("bank4"));
    for guard in [&b"ASSAYACK"[..], b"ASSAYCKP"] {
        canaries.add("a guard", guard);
    }
    let votes = std::fs::read(folder.join("keys/votes.guard")).unwrap();
    canaries.add("the guard of votes", &votes[..16]);
    canaries.add_in_every_form("the token", cluster.token("bank4").as_bytes());
    canaries.add_in_every_form("the passphrase", std::fs::read(folder.join("passphrase")).unwrap().trim_ascii());
    let keys = cluster.keys("bank4");
    for name in ["kem", "storage", "vault"] {
        canaries.add_in_every_form(name, &*keys.secret(name).unwrap());
    }
    for entry in std::fs::read_dir(folder.join("keys")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "pem") {
            let pem = std::fs::read(&path).unwrap();
            canaries.add(&path.display().to_string(), &pem[pem.len() / 2..pem.len() / 2 + 24]);
        }
    }
    canaries
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        match entry.file_type().unwrap().is_dir() {
            true => copy_folder(&entry.path(), &to.join(entry.file_name())),
            false => drop(std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap()),
        }
    }
}

/// So many heights pass under the load.
async fn heights_pass(cluster: &Cluster, count: u64) {
    let before = height(cluster, "bank2").await;
    wait_until(120, "heights pass", async || height(cluster, "bank2").await >= before + count).await;
}

async fn bank4_votes_again(cluster: &Cluster) {
    let started = height(cluster, "bank2").await;
    wait_until(120, "bank 4's vote is counted again", async || {
        bank4_signed(cluster, started + 1..=height(cluster, "bank2").await).await
    })
    .await;
}

#[tokio::test]
async fn a_validator_restored_twice_from_an_old_backup_votes_again_and_signs_nothing_twice() {
    tokio::task::LocalSet::new().run_until(restore_twice()).await;
}

async fn restore_twice() {
    let mut cluster = Cluster::up(133, 3_000).await;
    let (bank2, bank4) = (cluster.client("bank2"), cluster.client("bank4"));
    wallet(&bank4, "dora").await;
    // Both ways, so that the bank's desk has channels and coins of its own.
    for (payer, from, to) in [(&bank2, "vault", "dora@bank4"), (&bank4, "vault", "vault@bank2")] {
        let paid = payer.pay(&payment(from, to, 10, "")).await.unwrap();
        reached(payer, &paid.id, "confirmed", 60).await;
    }
    let money = healed::money(&cluster).await;
    let wealth = cluster.settled_wealth(&["bank4"], 60).await;

    let stop = Arc::new(AtomicBool::new(false));
    let load = tokio::task::spawn_local(load(bank2.clone(), stop.clone()));
    heights_pass(&cluster, 3).await;
    let elsewhere = tempfile::tempdir().unwrap();
    let (kept, rotten) = (elsewhere.path().join("kept"), elsewhere.path().join("rotten"));
    let configured = config(&cluster, "bank4");
    let made = tokio::task::spawn_blocking({
        let (configured, kept) = (configured.clone(), kept.clone());
        move || run(&["backup", "--json"], &[("--config", &configured), ("--to", &kept)])
    });
    let made = made.await.unwrap();
    assert!(String::from_utf8_lossy(&made.stderr).contains("backed up"), "it shows how far it is");
    let made = done(made);
    assert!(made["height"].as_u64().unwrap() >= 3, "{made}");
    assert!(!cluster.folder("bank4").join("state/copy").exists(), "the copy within the state is gone");
    assert_eq!(secrets(&cluster).found_below(&kept), []);
    assert_ne!(secrets(&cluster).found_below(&cluster.folder("bank4")), [], "the scan finds what is there");
    let again = run(&["backup", "--json"], &[("--config", &configured), ("--to", &kept)]);
    assert_eq!(refused(again).0, 3, "nothing is written over a backup");
    assert_eq!(refused(restore(&cluster, "bank4", &kept, &[])).0, 12, "nor over a state");
    assert_eq!(refused(restore(&cluster, "bank3", &kept, &[])).0, 11, "another bank's");

    // The disk is lost: state and guards. The keys come from the ceremony.
    heights_pass(&cluster, 20).await;
    cluster.kill("bank4");
    let (state, keys) = (cluster.folder("bank4").join("state"), cluster.folder("bank4").join("keys"));
    std::fs::remove_dir_all(&state).unwrap();
    for guard in ["votes.guard", "acks.guard", "cosign.guard"] {
        std::fs::remove_file(keys.join(guard)).unwrap();
    }
    copy_folder(&kept, &rotten);
    let file = rotten.join("ledger/bundles/00000000.bundles");
    let mut bytes = std::fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let (number, what) = refused(restore(&cluster, "bank4", &rotten, &[]));
    assert!(number == 9 && what.contains("ledger/bundles/00000000.bundles"), "{number}: {what}");
    assert!(!state.exists() && !state.with_file_name("state.restoring").exists(), "nothing of it is left");

    let restored = done(restore(&cluster, "bank4", &kept, &[]));
    assert_eq!(restored["guards_missing"].as_array().unwrap().len(), 3, "{restored}");
    assert!(run(&["guards", "renew"], &[("--config", &configured)]).status.success());
    cluster.start("bank4");
    bank4_votes_again(&cluster).await;

    // Once more, from the same backup, which is older now; this time the guards are still there.
    heights_pass(&cluster, 20).await;
    cluster.kill("bank4");
    std::fs::remove_dir_all(&state).unwrap();
    assert_eq!(refused(restore(&cluster, "bank4", &kept, &[])).0, 13, "they may have come from a copy");
    done(restore(&cluster, "bank4", &kept, &["--guards-are-current"]));
    cluster.start("bank4");
    bank4_votes_again(&cluster).await;

    stop.store(true, Ordering::Relaxed);
    let paid = load.await.unwrap();
    cluster.ready().await;
    for id in &paid {
        reached(&bank2, id, "confirmed", 120).await;
    }
    assert_eq!(cluster.settled_wealth(&["bank4"], 60).await, wealth);
    // Its desk pays and is paid.
    for (payer, from, to) in [(&bank4, "dora", "vault@bank2"), (&bank2, "vault", "dora@bank4")] {
        let paid = payer.pay(&payment(from, to, 10, "")).await.unwrap();
        reached(payer, &paid.id, "confirmed", 120).await;
    }
    assert_eq!(healed::money(&cluster).await, money, "money is neither made nor lost");
    for node in NODES {
        let evidence: Vec<ledger::Evidence> = cluster.client(node).get("/v1/evidence").await.unwrap();
        assert!(evidence.is_empty(), "{node} holds evidence: {evidence:?}");
    }
}
