//! `assay loan` as people read it, over a node whose answers are fixed: what a command sends, and what it prints.

use crate::shared;

use axum::extract::{Path, RawQuery, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use node_api::contracts::{FalseStatement, NewDispute, NewReclaim};
use node_api::desk::Operation;
use serde_json::Value;
use shared::{Said, assay, golden};
use std::sync::{Arc, Mutex};

/// What the node was sent, in order.
type Asked = Arc<Mutex<Vec<String>>>;

struct Node {
    api: String,
    asked: Asked,
}

impl Node {
    async fn start() -> Node {
        let asked = Asked::default();
        let routes = Router::new()
            .route("/v1/reclaims", post(reclaim))
            .route("/v1/disputes", post(dispute).get(disputes))
            .route("/v1/operations/{id}", get(operation))
            .with_state(asked.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let api = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Node { api, asked }
    }

    async fn says(&self, words: &[&str]) -> Said {
        let arguments: Vec<String> =
            ["loan"].iter().chain(words).chain(&["--api", &self.api]).map(|word| (*word).to_owned()).collect();
        let run = move || assay(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
        tokio::task::spawn_blocking(run).await.unwrap()
    }

    fn was_asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }
}

fn heard(asked: &Asked, what: String) {
    asked.lock().unwrap().push(what);
}

fn pending(id: &str, kind: &str) -> Json<Operation> {
    Json(Operation {
        id: id.into(),
        kind: kind.into(),
        amount: 0,
        state: "pending".into(),
        refusal: None,
        reason: None,
        envelope_id: None,
        coins: Vec::new(),
    })
}

async fn reclaim(State(asked): State<Asked>, Json(order): Json<NewReclaim>) -> Json<Operation> {
    heard(&asked, format!("reclaim {} of contract {}", order.coins.len(), order.contract));
    pending("c0ffee00", "reclaim")
}

async fn dispute(State(asked): State<Asked>, Json(order): Json<NewDispute>) -> Json<Operation> {
    let NewDispute { loan, sector, basis, evidence, .. } = order;
    heard(&asked, format!("dispute {loan} {sector} {basis} {evidence}"));
    pending("d15b07ed", "contract_order")
}

async fn operation(Path(id): Path<String>) -> Json<Operation> {
    let kind = if id == "c0ffee00" { "reclaim" } else { "contract_order" };
    let Json(ordered) = pending(&id, kind);
    Json(Operation { state: "confirmed".into(), envelope_id: Some("e0".repeat(32)), ..ordered })
}

async fn disputes(State(asked): State<Asked>, RawQuery(query): RawQuery) -> Json<Vec<FalseStatement>> {
    heard(&asked, format!("disputes {}", query.unwrap_or_default()));
    let statement = |index, byte: &str, stated: &str, found: &str, basis: &str| FalseStatement {
        index,
        obligation: byte.repeat(32),
        contract: 7,
        stated: stated.into(),
        found: found.into(),
        basis: basis.into(),
        evidence: "e7".repeat(32),
    };
    Json(vec![statement(912, "0b", "C10", "G47", "SRV-12"), statement(40, "0a", "A", "K64", "BANKACT7")])
}

/// Texts, and the document for scripts.
async fn held(node: &Node, name: &str, words: &[&str]) {
    let said = node.says(words).await;
    assert_eq!(said.code, 0, "{said:?}");
    golden(&format!("{name}.txt"), &said.stdout);
    let said = node.says(&[words, &["--json"]].concat()).await;
    let document: Value = said.document();
    golden(&format!("{name}.json"), &format!("{document:#}\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reclaim_names_so_many_coins_as_one_envelope_can_and_says_how_many_are_retired() {
    let node = Node::start().await;
    let coins: Vec<String> = (0..33u8).map(|n| ledger_types::CoinId([n; 32]).to_string()).collect();
    let words: Vec<&str> =
        ["reclaim"].into_iter().chain(coins.iter().map(String::as_str)).chain(["--contract", "7"]).collect();
    held(&node, "loan-reclaim", &words).await;
    let once = ["reclaim 32 of contract 7", "reclaim 1 of contract 7"];
    assert_eq!(node.was_asked(), [once, once].concat());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dispute_sends_the_hash_of_its_evidence_and_never_the_evidence() {
    let node = Node::start().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file-12.txt");
    std::fs::write(&file, "the borrower runs a shop").unwrap();
    let obligation = "0b".repeat(32);
    let words = ["dispute", &obligation, "--sector", "G47", "--basis", "SRV-12", "--evidence", file.to_str().unwrap()];
    held(&node, "loan-dispute", &words).await;
    let evidence = blake3::hash(b"the borrower runs a shop").to_hex();
    let once = format!("dispute {obligation} G47 SRV-12 {evidence}");
    assert_eq!(node.was_asked(), [once.clone(), once]);
}

#[tokio::test(flavor = "multi_thread")]
async fn disputes_are_listed_as_the_log_has_them_newest_first() {
    let node = Node::start().await;
    held(&node, "loan-disputes", &["disputes", "--contract", "7"]).await;
    assert_eq!(node.was_asked(), ["disputes contract=7", "disputes contract=7"]);
}
