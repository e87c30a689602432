//! Records that were tampered with on a stopped process's disk, as its operator meets them: named, muted, mended.

use crate::shared;

use ledger_store::Scan;
use ledger_types::genesis::Genesis;
use ledger_types::{CoinId, ParticipantNumber};
use node::role::commercial_bank::open_database;
use node::role::registration::rows::{self, AccountRow, AccountStatus};
use serde_json::Value;
use shared::{Cluster, wait_until};
use std::collections::BTreeSet;

/// (bank, kind, coin)
fn named(found: &Value) -> BTreeSet<(u64, String, String)> {
    let differences = found["differences"].as_array().unwrap().iter();
    let text = |difference: &Value, field: &str| difference[field].as_str().unwrap().to_owned();
    differences.map(|found| (found["bank"].as_u64().unwrap(), text(found, "kind"), text(found, "coin"))).collect()
}

fn find<'a>(found: &'a Value, kind: &str) -> &'a Value {
    let mut differences = found["differences"].as_array().unwrap().iter();
    differences.find(|difference| difference["kind"] == kind).unwrap_or_else(|| panic!("no {kind} in {found}"))
}

/// Compares now. Every bank answers.
fn run(cluster: &Cluster) -> Value {
    let found = cluster.done(&["reconcile", "run"]);
    let runs = found["runs"].as_array().unwrap();
    assert_eq!(runs.len(), 4, "the central bank's desk and three banks: {found}");
    assert!(runs.iter().all(|run| run["outcome"] != "failed" && run.get("failure").is_none()), "{found}");
    found
}

async fn wait_up(cluster: &Cluster, node: &str) {
    wait_until(60, &format!("{node} answers and stands where bank4 stands"), || {
        let status = |node| cluster.assay(&["status", "--json", "--as", node]);
        let (said, other) = (status(node), status("bank4"));
        said.code == 0 && said.document()["data"]["block_hash"] == other.document()["data"]["block_hash"]
    })
    .await;
}

fn live_at(cluster: &Cluster, wallet: &str) -> BTreeSet<String> {
    let coins = cluster.done(&["coin", "list", "--wallet", wallet]);
    let coins = coins.as_array().or_else(|| coins["coins"].as_array()).unwrap().clone();
    let live = coins.iter().filter(|coin| coin["status"] == "live");
    live.map(|coin| coin["coin"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_lost_coin_of_a_bank_and_an_altered_account_of_registration_are_named_muted_and_mended() {
    let mut cluster = Cluster::init(83, 20);
    // The desks split nothing in idle time: the test's coins stay as it made them.
    for bank in ["bank2", "bank3", "bank4"] {
        let path = cluster.path().join(bank).join("node.toml");
        let config = std::fs::read_to_string(&path).unwrap();
        let kept_whole = config.replace("split_above = 1000", "split_above = 9223372036854775807");
        assert_ne!(config, kept_whole, "the configuration names the desk's limit");
        std::fs::write(&path, kept_whole).unwrap();
    }
    cluster.start_all().await;
    let chain = Genesis::parse(&std::fs::read(cluster.path().join("genesis.bin")).unwrap()).unwrap().chain();
    cluster.done(&["wallet", "new", "bob", "--as", "bank3"]);
    let pay = ["pay", "12.50", "--from", "vault@bank2", "--to", "bob@bank3", "--wait", "confirmed"];
    let paid = cluster.done(&pay);
    let bobs = paid["coin"].as_str().unwrap().to_owned();
    let envelope = paid["envelope_id"].as_str().unwrap().to_owned();
    let first = run(&cluster);
    assert_eq!(named(&first), BTreeSet::new(), "{first}");
    assert!(first["runs"].as_array().unwrap().iter().all(|run| run["outcome"] == "agreed"), "{first}");

    // Bank 2 loses the row of its change; registration's account of bob's coin says disputed.
    let content = cluster.done(&["envelope", "show", &envelope, "--as", "bank2"]);
    let outputs =
        content["outputs"].as_array().unwrap().iter().map(|output| output["coin"].as_str().unwrap().to_owned());
    let change = outputs.into_iter().find(|coin| *coin != bobs).unwrap();
    wait_until(30, "the change is live", || live_at(&cluster, "vault@bank2").contains(&change)).await;
    cluster.kill("bank2");
    cluster.kill("registration");
    {
        let folder = cluster.path().join("bank2/state/desk");
        let (store, coins) = open_database(&folder, &chain).unwrap();
        let key = CoinId::parse(&change).unwrap().0.to_vec();
        assert!(store.get(&coins, &key).unwrap().is_some(), "the change has a row");
        let mut writes = store.writes();
        writes.delete(&coins, &key);
        writes.commit().unwrap();
    }
    {
        let store = rows::open(&cluster.path().join("registration/state/registration"), &chain).unwrap();
        let id = CoinId::parse(&bobs).unwrap();
        let account = store.get(&rows::ACCOUNTS, &id).unwrap().expect("bob's coin has an account");
        assert_eq!(account.bank, Some(ParticipantNumber(3)));
        let mut writes = store.writes();
        writes.put(&rows::ACCOUNTS, &id, &AccountRow { status: AccountStatus::Disputed, ..account }).unwrap();
        writes.commit().unwrap();
        assert!(store.scan(&rows::ACCOUNTS, Scan::all()).count() >= 2);
    }
    cluster.start("bank2");
    cluster.start("registration");
    wait_up(&cluster, "bank2").await;
    assert!(!live_at(&cluster, "vault@bank2").contains(&change));

    let found = run(&cluster);
    let expected =
        BTreeSet::from([(2, "missing".to_owned(), change.clone()), (3, "wrong_state".to_owned(), bobs.clone())]);
    assert_eq!(named(&found), expected, "{found}");
    let account = find(&found, "wrong_state");
    assert_eq!((&account["at_fault"], &account["repair"]), (&"registration".into(), &"mend_account".into()), "{found}");
    assert_eq!(find(&found, "missing")["repair"], Value::Null, "the bank mends its own book");
    let at_bank2 = cluster.done(&["reconcile", "--as", "bank2"]);
    let missing = find(&at_bank2, "missing").clone();
    assert_eq!((&missing["at_fault"], &missing["repair"]), (&"bank".into(), &"mend_book".into()), "{at_bank2}");
    assert_eq!(missing["coin"], change.as_str());
    let at_bank3 = cluster.done(&["reconcile", "--as", "bank3"]);
    assert_eq!(find(&at_bank3, "wrong_state")["repair"], Value::Null, "only registration can mend it");

    // Muted: shown with its reason, counted apart, over a restart.
    let id = missing["id"].as_str().unwrap().to_owned();
    cluster.done(&["reconcile", "mute", &id, "--reason", "restored on Monday", "--until", "48h", "--as", "bank2"]);
    cluster.kill("bank2");
    cluster.start("bank2");
    wait_up(&cluster, "bank2").await;
    let said = cluster.assay(&["reconcile", "--as", "bank2"]);
    assert!(said.stdout.contains("restored on Monday"), "{said:?}");
    assert!(said.stdout.contains("0 differences are open, 1 muted"), "{said:?}");
    let metrics = metrics(&cluster, "bank2").await;
    assert!(metrics.contains("\nassay_reconciliation_differences 0\n"), "{metrics}");
    assert!(metrics.contains("\nassay_reconciliation_muted 1\n"), "{metrics}");
    cluster.done(&["reconcile", "unmute", &id, "--as", "bank2"]);

    // Each side mends its own, by the registry's word, and the next run agrees.
    let account = account["id"].as_str().unwrap().to_owned();
    let refused = cluster.assay(&["reconcile", "repair", &account, "--as", "bank3", "--json"]);
    assert_eq!((refused.code, refused.error_code().as_str()), (3, "nothing_to_repair_here"), "{refused:?}");
    cluster.done(&["reconcile", "repair", &account, "--as", "registration"]);
    cluster.done(&["reconcile", "repair", &id, "--as", "bank2"]);
    assert!(live_at(&cluster, "vault@bank2").contains(&change));
    let last = run(&cluster);
    assert_eq!(named(&last), BTreeSet::new(), "{last}");
    // What was mended can be spent: it is the vault's only coin of its size.
    cluster.done(&["pay", "87.50", "--from", "vault@bank2", "--to", "bob@bank3", "--wait", "confirmed"]);
    assert!(!live_at(&cluster, "vault@bank2").contains(&change));
    let last = run(&cluster);
    assert_eq!(named(&last), BTreeSet::new(), "{last}");
}

async fn metrics(cluster: &Cluster, node: &str) -> String {
    let manifest = std::fs::read(cluster.path().join("cluster.json")).unwrap();
    let manifest: Value = serde_json::from_slice(&manifest).unwrap();
    let processes = manifest["processes"].as_array().unwrap();
    let http = processes.iter().find(|process| process["name"] == node).unwrap()["http"].as_str().unwrap().to_owned();
    reqwest::get(format!("{http}/metrics")).await.unwrap().text().await.unwrap()
}
