//! A site over observers of this process: a small registry with real keys, log and map (`ledger/verify/tests/chain`), served
//! as an observer serves it, honestly or not.

// Each test file uses a part of it.
#![allow(dead_code)]

#[path = "../../../ledger/verify/tests/chain/mod.rs"]
pub mod chain;
pub mod contracts;

use assay_site::Site;
use assay_site::clock::Clock;
use assay_site::config::Config;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, Request, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use chain::{COSIGNED_AT_S, NOW_MS, ORIGIN, Registry, VALIDATORS, cosign, log_sign, note};
use ledger_tree::log;
use ledger_tree::tile::{Tile, TileKind, push_entry};
use ledger_types::confirmation::RecordStatus;
use ledger_types::encoding::Encode;
use ledger_types::{BatchNumber, CoinId, ContractNumber, Height, OwnerTag};
use ledger_verify::CoinProof;
use node_api::ledger as doc;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use tower::ServiceExt;

/// How an observer answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    Honest,
    Silent,
    /// It is asked too often.
    Crowded,
    /// Its status says that it validates.
    Validator,
    OtherChain,
    /// Leaves the log's own signature out.
    NoLogSignature,
    /// Two of four validators sign.
    FewSigners,
    /// A validator's line by another key.
    ForgedSigner,
    /// A spent coin's record said to be live.
    WrongRecord,
    /// The answer is of another coin.
    OtherCoin,
    /// Bytes that are no proof.
    Garbage,
    /// An old state leaf under the newest checkpoint.
    StaleRoot,
    /// Signed, and of a log that does not continue the one before.
    ShowsNoConsistency,
    /// The package of another contract under this one's number.
    OtherSource,
    /// An item of a feed whose value is another.
    OtherValue,
    /// A receipt at another rate.
    OtherRate,
    /// A key that was asked for is left out of the answer.
    EntryLeftOut,
    /// Says that there is one version, contract, feed or period fewer than the map has.
    SaysLess,
    /// Says that it knows no contract, feed or receipt.
    KnowsNothing,
}

/// An observer over a registry that grows when the test says so.
pub struct Observer {
    pub registry: Mutex<Registry>,
    pub manner: Mutex<Manner>,
    pub name: Mutex<String>,
    pub cosigned_at_s: AtomicU64,
    pub has_tiles: AtomicBool,
    pub base: String,
}

impl Observer {
    pub async fn start(registry: Registry) -> Arc<Observer> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let observer = Arc::new(Observer {
            registry: Mutex::new(registry),
            manner: Mutex::new(Manner::Honest),
            name: Mutex::new("Observer".into()),
            cosigned_at_s: AtomicU64::new(COSIGNED_AT_S),
            has_tiles: AtomicBool::new(true),
            base: format!("http://{}", listener.local_addr().unwrap()),
        });
        let router = Router::new()
            .route("/v1/status", get(status))
            .route("/v1/supply", get(supply))
            .route("/v1/coins/{coin}", get(coin))
            .route(
                "/v1/coins/{coin}/log-proof",
                get(async |Path(coin): Path<String>| format!("c2sp.org/tlog-proof@v1\n{coin}\n")),
            )
            .route("/v1/consistency", get(consistency))
            .route(
                "/v1/buckets",
                get(async || Json(serde_json::json!({"bits": 2, "expected_entries": 16, "log_size": 4}))),
            )
            .route("/v1/buckets/{bits}/{prefix}", get(bucket))
            .route("/v1/hand-overs", get(async || Json(node_api::log::HandOvers { hand_overs: Vec::new() })))
            .route("/log/tile/{*tile}", get(tile))
            .merge(contracts::routes())
            .layer(axum::middleware::from_fn_with_state(observer.clone(), silent))
            .with_state(observer.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        observer
    }

    pub fn behaves(&self, manner: Manner) {
        *self.manner.lock().unwrap() = manner;
    }

    pub fn manner(&self) -> Manner {
        *self.manner.lock().unwrap()
    }

    /// The newest checkpoint with the lines that this manner gives it.
    pub fn checkpoint(&self, registry: &Registry) -> String {
        let text = registry.checkpoint_text(registry.size());
        let at_s = self.cosigned_at_s.load(Ordering::Relaxed);
        let cosigners: &[u16] = if self.manner() == Manner::FewSigners { &VALIDATORS[..2] } else { &VALIDATORS };
        let mut lines: Vec<_> = cosigners.iter().map(|number| cosign(&text, *number, at_s)).collect();
        if self.manner() == Manner::ForgedSigner {
            lines[1] = chain::cosign_as(&format!("{ORIGIN}/2"), &chain::key(chain::Purpose::Owner, 9), &text, at_s);
        }
        if self.manner() != Manner::NoLogSignature {
            lines.insert(0, log_sign(&text));
        }
        note(&text, lines)
    }

    fn prove(&self, registry: &Registry, coin: CoinId) -> CoinProof {
        let mut proof = registry.coin_proof_with(coin, &self.checkpoint(registry));
        match self.manner() {
            Manner::StaleRoot => proof.state.state_leaf = registry.states[0].0,
            Manner::WrongRecord => {
                if let ledger_verify::Answer::Present(record) = &mut proof.answer {
                    record.status = RecordStatus::Live;
                    record.tag = OwnerTag([1; 32]);
                }
            }
            Manner::OtherCoin => proof = registry.coin_proof_with(CoinId([9; 32]), &self.checkpoint(registry)),
            _ => {}
        }
        proof
    }
}

pub type Of = State<Arc<Observer>>;

async fn silent(State(observer): Of, request: Request<Body>, next: axum::middleware::Next) -> Response {
    if observer.manner() == Manner::Silent {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    if observer.manner() == Manner::Crowded {
        return refused(429, "rate_limited");
    }
    next.run(request).await
}

async fn status(State(observer): Of) -> Json<serde_json::Value> {
    let registry = observer.registry.lock().unwrap();
    let is_validator = observer.manner() == Manner::Validator;
    let genesis_hash = match observer.manner() {
        Manner::OtherChain => "00".repeat(32),
        _ => registry.chain.genesis_hash().to_string(),
    };
    Json(serde_json::json!({
        "schema_version": 1, "participant": if is_validator { 2 } else { 5 }, "name": *observer.name.lock().unwrap(),
        "role": if is_validator { "commercial_bank" } else { "observer" }, "genesis_hash": genesis_hash,
        "height": registry.states.last().unwrap().0.height.0, "block_hash": "", "block_time_ms": 0, "since_commit_ms": 0,
        "votes": is_validator, "peers_connected": [1, 2, 3, 4], "batch": registry.states.len() - 1,
        "log_size": registry.size(), "version": "0",
    }))
}

async fn supply(State(observer): Of) -> Json<doc::Supply> {
    let registry = observer.registry.lock().unwrap();
    let mut proof = registry.state_proof_with(&observer.checkpoint(&registry));
    if observer.manner() == Manner::StaleRoot {
        proof.state_leaf = registry.states[0].0;
    }
    let proof = if observer.manner() == Manner::Garbage { "00ff".into() } else { hex::encode(proof.to_bytes()) };
    let as_of = doc::AsOf { log_size: 0, height: 0, time_ms: 0, age_ms: 0, signers: 0 };
    Json(doc::Supply {
        currency: "XAS".into(),
        exponent: 2,
        // What is said beside the proof is not believed.
        issued: "999999999".into(),
        redeemed: "0".into(),
        outstanding: "999999999".into(),
        as_of,
        proof,
    })
}

async fn coin(State(observer): Of, Path(coin): Path<String>) -> Response {
    let registry = observer.registry.lock().unwrap();
    let Ok(id) = CoinId::parse(&coin) else { return StatusCode::BAD_REQUEST.into_response() };
    let proof = match observer.manner() {
        Manner::Garbage => "zz".into(),
        _ => hex::encode(observer.prove(&registry, id).to_bytes()),
    };
    let as_of = doc::AsOf { log_size: 0, height: 0, time_ms: 0, age_ms: 0, signers: 0 };
    Json(doc::CoinAnswer { coin, status: "live".into(), record: None, as_of, proof }).into_response()
}

async fn consistency(State(observer): Of, Query(sizes): Query<HashMap<String, u64>>) -> Response {
    let registry = observer.registry.lock().unwrap();
    if observer.manner() == Manner::ShowsNoConsistency || sizes["to"] > registry.size() {
        return not_found();
    }
    let path = log::prove_consistency(&registry.rows, sizes["from"], sizes["to"]).unwrap();
    let path: Vec<String> = path.iter().map(hex::encode).collect();
    Json(serde_json::json!({"from": sizes["from"], "to": sizes["to"], "path": path})).into_response()
}

/// What a node says, as it says it.
pub fn refused(status: u16, code: &str) -> Response {
    let headers = [(axum::http::header::CONTENT_TYPE, "application/problem+json")];
    let problem = node_api::Problem::new(status, code, "Refused", "refused by the observer of the tests");
    (StatusCode::from_u16(status).unwrap(), headers, Json(problem)).into_response()
}

pub fn not_found() -> Response {
    refused(404, "not_found")
}

async fn bucket(State(observer): Of, Path((bits, text)): Path<(u8, String)>) -> Response {
    let first = hex::decode(&text).ok().filter(|first| hex::encode(first) == text);
    let first = first.and_then(|first| <[u8; 4]>::try_from(first).ok());
    let Some(prefix) = first.and_then(|first| ledger_tree::map::Prefix::new(bits, first)) else {
        return refused(400, "bad_prefix");
    };
    let registry = observer.registry.lock().unwrap();
    let proof = registry.bucket_proof_with(prefix, &observer.checkpoint(&registry));
    let as_of = doc::AsOf { log_size: 0, height: 0, time_ms: 0, age_ms: 0, signers: 0 };
    let (entries, proof) = (proof.entries.len() as u32, hex::encode(proof.to_bytes()));
    Json(node_api::log::Bucket { bits, prefix: text, entries, as_of, proof }).into_response()
}

/// `entries/N.p/W` and `L/N.p/W`, as far as the log goes.
async fn tile(State(observer): Of, Path(tile): Path<String>) -> Response {
    let Some(tile) = Tile::parse(&tile) else { return refused(400, "bad_tile_path") };
    if !observer.has_tiles.load(Ordering::Relaxed) {
        return not_found();
    }
    let registry = observer.registry.lock().unwrap();
    if !tile.exists_at(registry.size()) {
        return not_found();
    }
    let (level, first) = tile.first_node().expect("it exists");
    let mut bytes = Vec::new();
    for node in first..first + u64::from(tile.width()) {
        let leaves = &registry.leaves[(node << level) as usize..((node + 1) << level) as usize];
        if tile.kind() == TileKind::Entries {
            push_entry(&mut bytes, &leaves[0]).unwrap();
        } else {
            let hashes: Vec<_> = leaves.iter().map(|leaf| log::leaf_hash(leaf)).collect();
            bytes.extend_from_slice(&log::append(&chain::Rows::default(), 0, &hashes).unwrap().root);
        }
    }
    bytes.into_response()
}

/// A site, with the time standing still until the test moves it.
pub struct Fixture {
    pub site: Site,
    pub observer: Arc<Observer>,
    pub now_ms: Arc<AtomicU64>,
}

/// Batch 0 with coins 1 to 3; batch 1: coin 1 spent, 4 live, 5 frozen, 6 disputed; batch 2: coin 7 live, contracts and feeds.
pub fn registry() -> Registry {
    registry_at(chain::GENESIS_TIME_MS + 9_000)
}

/// Its feeds' newest values were published shortly before that time.
pub fn registry_at(time_ms: u64) -> Registry {
    let mut registry = Registry::new();
    let (four, five, seven) = (registry.live(4), registry.live(5), registry.live(7));
    let frozen = (five.0, RecordStatus::Frozen, five.2);
    registry.confirm(3, &[registry.spent(1), four, frozen]);
    dispute(&mut registry, 6, 5);
    contracts::deploy(&mut registry, time_ms);
    registry.confirm(9, &[seven]);
    registry
}

/// A batch with one disputed coin, check 15.
fn dispute(registry: &mut Registry, number: u8, height: u64) {
    let coin = chain::issued_coin(&registry.chain, number);
    let batch = BatchNumber(registry.states.len() as u64);
    let record = ledger_types::confirmation::Record {
        status: RecordStatus::Disputed,
        batch,
        height: Height(height),
        time_ms: chain::GENESIS_TIME_MS + 1_000 * height,
        contract: ContractNumber(0),
        failed_check: 15,
        tag: OwnerTag([6; 32]),
    };
    use ledger_tree::map::{self, EntryType, Version};
    let base = registry.states.last().map(|(leaf, _)| Version::after_height(leaf.height.0));
    let changes = [(map::key_hash(EntryType::Record, &coin.0), Some(record.to_bytes()))].into_iter().collect();
    let update = map::update(&registry.rows, base, Version::after_height(height), changes).unwrap();
    registry.append(&ledger_types::log_leaf::LogLeaf::Record { coin, record });
    registry.map_root = update.root;
    registry.rows.map_nodes.extend(update.nodes);
    registry.records.insert(coin, record);
    registry.issued += 1_000;
    let leaf = ledger_types::log_leaf::StateLeaf {
        batch,
        height: Height(height),
        time_ms: record.time_ms,
        map_root: ledger_types::TreeRoot(registry.map_root),
        set_hash: registry.set.hash(&registry.chain),
        issued: registry.issued,
        redeemed: 0,
    };
    registry.append_state(leaf);
}

pub async fn fixture() -> Fixture {
    let observer = Observer::start(registry()).await;
    fixture_over(&[observer], |_| {}).await
}

pub async fn fixture_over(observers: &[Arc<Observer>], change: impl FnOnce(&mut Config)) -> Fixture {
    let upstream = observers.iter().map(|observer| observer.base.clone()).collect();
    let mut config = Config::new("127.0.0.1:0".parse().unwrap(), upstream, "genesis.bin".into());
    change(&mut config);
    let now_ms = Arc::new(AtomicU64::new(NOW_MS));
    let read = now_ms.clone();
    let genesis = observers[0].registry.lock().unwrap().document();
    let site = Site::new(config, genesis, Clock::of(move || read.load(Ordering::Relaxed))).unwrap();
    site.ledger().look().await;
    Fixture { site, observer: observers[0].clone(), now_ms }
}

pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    /// Of a page what is its own.
    fn main(&self) -> &str {
        let from = self.body.find("<main").unwrap_or(0);
        &self.body[from..self.body.find("<footer").unwrap_or(self.body.len())]
    }

    pub fn has(&self, text: &str) -> &Self {
        assert!(self.body.contains(text), "“{text}” is not in\n{}", self.main());
        self
    }

    pub fn has_not(&self, text: &str) -> &Self {
        // Behind it stand the texts of the browser's own check, of every outcome.
        let shown = self.body.split("<template id=\"assay-texts\">").next().unwrap();
        assert!(!shown.contains(text), "“{text}” is in\n{}", self.main());
        self
    }
}

impl Fixture {
    pub async fn get(&self, path: &str) -> Answer {
        self.ask(Request::get(path).body(Body::empty()).unwrap()).await
    }

    pub async fn ask(&self, request: Request<Body>) -> Answer {
        let response = self.site.router().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = axum::body::to_bytes(body, 8 << 20).await.unwrap();
        Answer { status: parts.status, headers: parts.headers, body: String::from_utf8_lossy(&body).into_owned() }
    }

    /// A form, as a browser sends it.
    pub async fn form(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let encode = |text: &str| text.bytes().map(|byte| format!("%{byte:02X}")).collect::<String>();
        let pairs: Vec<String> =
            fields.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
        let request = Request::post(path).header("content-type", "application/x-www-form-urlencoded");
        self.ask(request.body(Body::from(pairs.join("&"))).unwrap()).await
    }

    pub async fn post(&self, path: &str, body: impl Into<Body>) -> Answer {
        self.ask(Request::post(path).body(body.into()).unwrap()).await
    }

    pub fn coin(&self, number: u8) -> String {
        chain::issued_coin(&self.observer.registry.lock().unwrap().chain, number).to_string()
    }

    pub fn later(&self, ms: u64) {
        self.now_ms.fetch_add(ms, Ordering::Relaxed);
    }
}

/// Paths of every page below a language, with a coin of each status.
pub fn every_page(fixture: &Fixture) -> Vec<String> {
    let mut paths: Vec<String> = [
        "",
        "/supply",
        "/checkpoints",
        "/network",
        "/verify",
        "/ownership",
        "/contracts",
        "/contracts/try",
        "/contracts/try?example=combined",
        "/contracts/try?example=mistakes",
        "/contracts/1",
        "/contracts/1?sector=K64&rate=3.00&term_days=30",
        "/contracts/1?sector=9&rate=x&term_days=-1",
        "/contracts/2",
        "/contracts/3",
        "/contracts/4",
        "/contracts/99",
        "/contracts/try?contract=1",
        "/contracts/try?contract=99",
        "/feeds",
        "/feeds/cn.lpr.1y",
        "/feeds/cn.gdp.real",
        "/feeds/none",
        "/feeds/NONE",
        "/loans/99",
        "/promises",
        "/disclosures",
        "/api",
        "/search?q=height%204",
        "/search?q=coin1zz",
        "/nothing/here",
    ]
    .map(str::to_owned)
    .to_vec();
    paths.extend([1, 4, 5, 6, 99].map(|number| format!("/coin/{}", fixture.coin(number))));
    paths.push(format!("/ownership?coin={}", fixture.coin(4)));
    paths.push(format!("/loans/{}", contracts::returned(&fixture.observer.registry.lock().unwrap())));
    paths.push(format!("/loans/{}", contracts::owed()));
    let sizes: Vec<u64> = fixture.observer.registry.lock().unwrap().states.iter().map(|(_, size)| *size).collect();
    paths.extend(sizes.iter().map(|size| format!("/checkpoints/{size}")));
    paths
}
