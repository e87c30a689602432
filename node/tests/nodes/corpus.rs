//! Nothing of a person is in what the public can get, nor in what it is made from (E3).
//!
//! | place                                                    | looked at                                                        |
//! |----------------------------------------------------------|------------------------------------------------------------------|
//! | public log                                               | every leaf, as stored                                            |
//! | blocks                                                   | every bundle, batches among them, as ordered                     |
//! | every node's ledger folder and log                       | every file                                                       |
//! | whole folders of who is no party                         | every file, and the spool between registration and issuance      |
//! | public answers and metrics                               | of every node, for every coin and batch, with and without a find |

use crate::canaries::Canaries;
use crate::cluster::*;
use ledger_types::bundle::BundleBody;
use ledger_types::coin::Opening;
use ledger_types::{CoinId, Decode, Encode};
use node_api::desk;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// What people put where they should not: into the names of wallets and into memos.
const PAYER: &str = "Zhang-Weiguo-13912345678";
const PAYEE: &str = "Li_Xiulan-6222020200112233445";
const MEMO: &str = "张伟国 11010519491231002X to Li_Xiulan";
const PERSONS: [(&str, &str); 6] = [
    ("payer's name", "Zhang-Weiguo"),
    ("payer's phone", "13912345678"),
    ("payee's name", "Li_Xiulan"),
    ("payee's account", "6222020200112233445"),
    ("name in a memo", "张伟国"),
    ("identity number", "11010519491231002X"),
];
/// Answers without a token.
const PUBLIC_PAGES: [&str; 8] = [
    "/v1/status",
    "/health",
    "/v1/checkpoint",
    "/v1/checkpoint.txt",
    "/v1/participants",
    "/v1/supply",
    "/v1/registry",
    "/metrics",
];

/// A node's answer to anybody, byte for byte.
fn public_answer(address: &str, path: &str) -> Vec<u8> {
    let host = address.strip_prefix("http://").expect("nodes speak HTTP");
    let mut stream = TcpStream::connect(host).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(15))).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    answer
}

/// Every coin that the two wallets and the vault held on the way.
async fn held(cluster: &Cluster) -> Vec<desk::WalletCoin> {
    let mut held = Vec::new();
    for (bank, name) in [("bank2", "vault"), ("bank2", PAYER), ("bank3", PAYEE)] {
        let path = format!("/v1/wallets/{name}/coins");
        held.extend(cluster.client(bank).get::<Vec<desk::WalletCoin>>(&path).await.unwrap());
    }
    held
}

#[tokio::test]
async fn no_person_no_owner_key_and_no_opening_is_in_ledger_log_public_answers_logs_or_metrics() {
    let mut cluster = Cluster::up(134, 0).await;
    issued(&cluster, 2, 80_000).await;
    let (bank2, bank3) = (cluster.client("bank2"), cluster.client("bank3"));
    wallet(&bank2, PAYER).await;
    wallet(&bank3, PAYEE).await;
    let mut coins = held(&cluster).await;
    for (from, to, amount) in [("vault", format!("{PAYER}@bank2"), 7_000), (PAYER, format!("{PAYEE}@bank3"), 3_000)] {
        let paid = bank2.pay(&payment(from, &to, amount, MEMO)).await.unwrap();
        assert_eq!(reached(&bank2, &paid.id, "confirmed", 30).await.state, "confirmed");
        // The change is the payer's; its desk takes it as live with the same batch.
        wait_until(60, "both wallets hold live coins", async || {
            let now = held(&cluster).await;
            let live = now.iter().all(|coin| coin.status == "live");
            coins.extend(now);
            live
        })
        .await;
    }
    coins.sort_by(|a, b| a.coin.cmp(&b.coin));
    coins.dedup_by(|a, b| a.coin == b.coin);
    assert!(coins.len() >= 6, "issued, paid, change, paid on, change: {}", coins.len());

    let mut secret = Canaries::default();
    PERSONS.iter().for_each(|(name, text)| secret.add_in_every_form(name, text.as_bytes()));
    let mut public = Canaries::default();
    for held in &coins {
        let opening = Opening::from_bytes(&hex::decode(&held.opening).unwrap()).unwrap();
        secret.add_in_every_form("owner key", &opening.owner.0);
        secret.add_in_every_form("rho", &opening.rho);
        // The whole of it would begin where neither of them does.
        secret.add_in_every_form("opening", &opening.to_bytes());
        public.add_in_every_form("coin id", &CoinId::parse(&held.coin).unwrap().0);
    }

    let newest = cluster.client("central-bank").registry().await.unwrap().batch;
    let observer = cluster.client("observer");
    wait_until(30, "the observer has it all", async || observer.registry().await.unwrap().batch >= newest).await;

    // Columns on disk are compressed: what is in them is read through the store.
    cluster.kill("observer");
    let mut batches = Vec::new();
    {
        let store = cluster.observers_ledger();
        let readers = store.readers();
        let snapshot = readers.snapshot().unwrap();
        let mut leaves = Vec::new();
        for index in 0..snapshot.tip().ledger.log_size {
            leaves.extend(snapshot.log_leaf(index).unwrap().expect("the log is whole"));
        }
        assert_eq!(public.found_in(&leaves).len(), coins.len(), "the log holds every coin, and the scan finds it");
        assert_eq!(secret.found_in(&leaves), [] as [&str; 0], "the public log");
        for (height, bundle) in ordered_bundles(&store) {
            let block = snapshot.block(height).unwrap().expect("it holds the bundle").to_bytes();
            for bytes in [block, bundle.to_bytes()] {
                assert_eq!(secret.found_in(&bytes), [] as [&str; 0], "height {height}");
            }
            if matches!(bundle.body(), BundleBody::Confirmation(_)) {
                batches.extend(bundle.ids().iter().map(ToString::to_string));
            }
        }
    }
    assert!(batches.len() >= 3, "an issue and two payments are confirmed: {batches:?}");
    cluster.start("observer");
    cluster.ready().await;

    for node in NODES {
        let address = cluster.address(node);
        let of_coins = coins.iter().map(|held| format!("/v1/coins/{}", held.coin));
        let of_batches = batches.iter().map(|id| format!("/v1/batches/{id}"));
        let of_lanes = (1..=5).map(|lane| format!("/v1/lanes/{lane}"));
        let more = ["/v1/evidence".to_owned(), format!("/v1/coins/{PAYER}"), format!("/v1/wallets/{PAYEE}")];
        let pages = PUBLIC_PAGES.iter().map(|page| page.to_string());
        for path in pages.chain(of_coins.clone()).chain(of_batches).chain(of_lanes).chain(more) {
            let answer = public_answer(&address, &path);
            assert!(answer.starts_with(b"HTTP/1.1 "), "{node} {path}");
            // What was asked comes back in a refusal; it is the asker's own.
            let asked = secret.found_in(path.as_bytes());
            let found: Vec<&str> = secret.found_in(&answer).into_iter().filter(|name| !asked.contains(name)).collect();
            assert_eq!(found, [] as [&str; 0], "{node} answers {path}");
            let status = &answer[9..12];
            assert!(!asked.is_empty() || status == b"200", "{node} {path}: {}", String::from_utf8_lossy(status));
        }
        for path in of_coins {
            let found = public_answer(&address, &path);
            assert!(!public.found_in(&found).is_empty(), "the scan of an answer finds the coin that it is about");
        }
    }

    for node in NODES {
        let folder = cluster.folder(node);
        assert_eq!(secret.found_below(&folder.join("state/ledger")), [], "{node}'s ledger");
        assert_eq!(secret.found_in(&read_if_there(&folder.join("log"))), [] as [&str; 0], "{node}'s log");
    }
    for node in ["registration", "confirmation-issuance", "central-bank", "bank4", "observer"] {
        assert!(!read_if_there(&cluster.folder(node).join("log")).is_empty(), "{node} writes a log");
        assert_eq!(secret.found_below(&cluster.folder(node)), [], "{node}'s folder");
    }
    assert_eq!(secret.found_below(&cluster.outbox()), []);
    // Parties keep wallets and openings, encrypted but for the wallets' names.
    let mut keys = Canaries::default();
    for held in &coins {
        keys.add_in_every_form(
            "owner key",
            &Opening::from_bytes(&hex::decode(&held.opening).unwrap()).unwrap().owner.0,
        );
    }
    for party in ["bank2", "bank3"] {
        assert_eq!(keys.found_below(&cluster.folder(party)), [], "{party}'s folder");
    }
}
