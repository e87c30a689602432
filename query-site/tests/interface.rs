//! `/v1`: documents, refusals, headers, limits; and the document of them all.

use crate::support;

use assay_site::api::openapi;
use assay_site::pages::API_LISTED;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::time::{Duration, Instant};
use support::{Fixture, Manner, Observer, contracts, fixture, fixture_over, registry};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

fn committed() -> String {
    std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/openapi.json")).unwrap_or_default()
}

/// To accept a change: `ASSAY_WRITE=1 cargo test -p assay-site --test query-site interface::`.
#[test]
fn the_committed_openapi_document_is_the_codes() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi.json");
    if std::env::var_os("ASSAY_WRITE").is_some() {
        std::fs::write(path, openapi()).unwrap();
    }
    assert_eq!(committed(), openapi(), "query-site/openapi.json is not what the code says");
}

#[test]
fn the_readable_list_names_every_path_of_the_document() {
    let document: serde_json::Value = serde_json::from_str(&openapi()).unwrap();
    let paths: BTreeSet<&str> = document["paths"].as_object().unwrap().keys().map(String::as_str).collect();
    let listed: BTreeSet<&str> = API_LISTED.iter().map(|(path, _)| *path).collect();
    assert_eq!(paths, listed);
}

fn returned(fixture: &Fixture) -> String {
    contracts::returned(&fixture.observer.registry.lock().unwrap()).to_string()
}

#[tokio::test]
async fn every_path_of_the_document_answers() {
    let fixture = fixture().await;
    for (path, _) in API_LISTED.iter().filter(|(path, _)| *path != "/v1/events") {
        let path = path
            .replace("{coin}", &fixture.coin(4))
            .replace("{number}", "1")
            .replace("{version}", "2")
            .replace("{name}", "cn.lpr.1y")
            .replace("{obligation}", &returned(&fixture))
            .replace("{bits}", "2")
            .replace("{prefix}", "40000000")
            .replace("{tile}", "entries/000.p/4");
        let path = match path.as_str() {
            "/v1/consistency" => "/v1/consistency?from=4&to=8".into(),
            "/v1/search" => "/v1/search?q=height%203".into(),
            _ => path,
        };
        let answer = match path.as_str() {
            "/v1/contracts/try" => fixture.post(&path, r#"{"policy": ""}"#).await,
            _ => fixture.get(&path).await,
        };
        assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.body);
        assert_eq!(answer.header("access-control-allow-origin"), "*", "{path}");
    }
}

#[tokio::test]
async fn a_client_of_the_node_reads_the_site() {
    let fixture = fixture().await;
    let read = async |path: String| fixture.get(&path).await.body;
    let coin: node_api::ledger::CoinAnswer =
        serde_json::from_str(&read(format!("/v1/coins/{}", fixture.coin(4))).await).unwrap();
    assert_eq!((coin.status.as_str(), coin.as_of.height, coin.as_of.signers), ("live", 9, 4));
    let supply: node_api::ledger::Supply = serde_json::from_str(&read("/v1/supply".into()).await).unwrap();
    assert_eq!((supply.issued.as_str(), supply.outstanding.as_str()), ("7000", "7000"));
    let checkpoint: node_api::ledger::Checkpoint = serde_json::from_str(&read("/v1/checkpoint".into()).await).unwrap();
    assert_eq!(checkpoint.note, read("/log/checkpoint".into()).await);
    let contracts: node_api::contracts::Contracts = serde_json::from_str(&read("/v1/contracts".into()).await).unwrap();
    let contract: node_api::contracts::Contract = serde_json::from_str(&read("/v1/contracts/1".into()).await).unwrap();
    assert_eq!((contracts.contracts.len(), contract.versions.len(), contract.summary.name.as_str()), (4, 2, "bridge"));
    let feeds: node_api::contracts::Feeds = serde_json::from_str(&read("/v1/feeds".into()).await).unwrap();
    let feed: node_api::contracts::Feed = serde_json::from_str(&read("/v1/feeds/cn.lpr.1y".into()).await).unwrap();
    assert_eq!((feeds.feeds.len(), feed.items.len()), (2, 50));
    let receipt: node_api::contracts::ProvedReceipt =
        serde_json::from_str(&read(format!("/v1/receipts/{}", returned(&fixture))).await).unwrap();
    assert_eq!(receipt.receipt.contract, 1);
    let participants: node_api::ledger::Participants =
        serde_json::from_str(&read("/v1/participants".into()).await).unwrap();
    assert_eq!((participants.participants.len(), participants.quorum_power), (5, 3));
    let _: node_api::log::Consistency =
        serde_json::from_str(&read("/v1/consistency?from=4&to=8".into()).await).unwrap();
    let states: Vec<node_api::log::State> = serde_json::from_str(&read("/v1/states".into()).await).unwrap();
    assert_eq!(states.len(), 4);
    assert_eq!(states[2].records, 3);
    let genesis = fixture.site.router();
    let request = Request::get("/genesis").body(Body::empty()).unwrap();
    let body = tower::ServiceExt::oneshot(genesis, request).await.unwrap().into_body();
    let bytes = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let trust = ledger_verify::Trust::from_genesis(&bytes).unwrap();
    assert_eq!(trust.chain().genesis_hash().to_string(), fixture.site.genesis_hash());
}

#[tokio::test]
async fn every_refusal_is_a_problem_document_with_a_stable_code() {
    let fixture = fixture().await;
    let coin = fixture.coin(4);
    let mistyped = format!("{}{}", &coin[..62], if coin.ends_with('q') { "p" } else { "q" });
    for (path, status, code) in [
        (format!("/v1/coins/{mistyped}"), 400, "not_a_coin_id"),
        ("/v1/coins/hello".into(), 400, "not_a_coin_id"),
        ("/v1/coins/%FF".into(), 400, "bad_path"),
        ("/v1/contracts/first".into(), 400, "bad_path"),
        ("/v1/contracts/9".into(), 404, "not_found"),
        ("/v1/feeds/GDP".into(), 400, "bad_path"),
        ("/v1/feeds/gdp".into(), 404, "not_found"),
        ("/v1/feeds/cn.lpr.1y?before=x".into(), 400, "bad_query"),
        ("/v1/receipts/9".into(), 400, "bad_path"),
        (format!("/v1/receipts/{}", "09".repeat(32)), 404, "not_found"),
        ("/v1/coins".into(), 404, "no_such_path"),
        ("/v1/nothing".into(), 404, "no_such_path"),
        ("/log/nothing".into(), 404, "no_such_path"),
        ("/v1/states?limit=0".into(), 400, "bad_query"),
        ("/v1/states?limit=501".into(), 400, "bad_query"),
        ("/v1/states?limt=5".into(), 400, "bad_query"),
        ("/v1/states?before=-1".into(), 400, "bad_query"),
        ("/v1/consistency?from=8&to=4".into(), 400, "bad_query"),
        ("/v1/buckets/33/00000000".into(), 400, "bad_path"),
        ("/v1/buckets/2/4".into(), 400, "bad_path"),
        ("/log/tile/0/../../v1/status".into(), 400, "bad_path"),
        ("/log/tile/00/000".into(), 400, "bad_path"),
        ("/v1/search".into(), 400, "bad_query"),
    ] {
        let answer = fixture.get(&path).await;
        assert_eq!((answer.status.as_u16(), answer.json()["code"].as_str()), (status, Some(code)), "{path}");
        assert_eq!(answer.header("content-type"), "application/problem+json", "{path}");
    }
    fixture.get(&format!("/v1/coins/{mistyped}")).await.has("the checksum fails at character 63");
    let post = Request::post("/v1/supply").body(Body::empty()).unwrap();
    let answer = fixture.ask(post).await;
    assert_eq!((answer.status.as_u16(), answer.json()["code"].as_str()), (405, Some("method_not_allowed")));
    fixture.observer.behaves(Manner::Silent);
    let answer = fixture.get(&format!("/v1/coins/{coin}")).await;
    assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (503, "2"));
    assert_eq!(answer.json()["code"], "observers_silent");
}

#[tokio::test]
async fn every_answer_carries_the_strict_headers() {
    let fixture = fixture().await;
    for path in
        ["/", "/en", "/v1/supply", "/v1/nothing", "/en/nothing", "/assets/site.css", "/genesis", "/openapi.json"]
    {
        let answer = fixture.get(path).await;
        let policy = answer.header("content-security-policy");
        for part in [
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "connect-src 'self'",
            "frame-ancestors 'none'",
            "base-uri 'none'",
        ] {
            assert!(policy.split("; ").any(|directive| directive == part), "{path}: {part} in {policy}");
        }
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(answer.header("referrer-policy"), "no-referrer", "{path}");
    }
    let observer = Observer::start(registry()).await;
    let mirrored = fixture_over(&[observer], |config| config.mirror = Some("https://mirror.example".into())).await;
    let page = mirrored.get("/en").await;
    assert!(page.header("content-security-policy").contains("connect-src 'self' https://mirror.example;"));
    page.has("data-mirror-url=\"https://mirror.example\"");
}

#[tokio::test]
async fn the_search_as_json_says_hits_and_the_place_of_a_fault() {
    let fixture = fixture().await;
    let coin = fixture.coin(4);
    let hit = fixture.get(&format!("/v1/search?q={coin}")).await.json();
    assert_eq!((&hit["outcome"], &hit["locations"][0]), (&"hit".into(), &format!("/en/coin/{coin}").into()));
    let mistyped = format!("{}{}", &coin[..62], if coin.ends_with('q') { "p" } else { "q" });
    let miss = fixture.get(&format!("/v1/search?q={mistyped}")).await.json();
    assert_eq!((&miss["outcome"], &miss["reason"], &miss["at"]), (&"miss".into(), &"checksum_at".into(), &63.into()));
}

#[tokio::test]
async fn an_observer_that_is_asked_too_often_is_overloaded_and_not_the_readers_fault() {
    let fixture = fixture().await;
    fixture.observer.behaves(Manner::Crowded);
    for path in [format!("/v1/coins/{}", fixture.coin(4)), "/v1/buckets".into(), "/v1/consistency?from=4&to=8".into()] {
        let answer = fixture.get(&path).await;
        assert_eq!((answer.status, answer.header("retry-after")), (StatusCode::SERVICE_UNAVAILABLE, "1"), "{path}");
        assert_eq!(answer.json()["code"], "overloaded", "{path}");
    }
}

/// Over a real connection.
struct Open {
    fixture: Fixture,
    address: std::net::SocketAddr,
    stop: tokio::sync::watch::Sender<bool>,
}

async fn open(change: impl FnOnce(&mut assay_site::config::Config)) -> Open {
    let observer = Observer::start(registry()).await;
    let fixture = fixture_over(&[observer], change).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let (router, limits) = (fixture.site.router(), fixture.site.config().limits.clone());
    tokio::spawn(async move { assay_site::http::serve(listener, router, &limits, stopped).await });
    Open { fixture, address, stop }
}

async fn say(address: std::net::SocketAddr, text: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut answer)).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn a_burst_ends_with_429_and_says_when_to_come_again() {
    let open = open(|config| {
        (config.limits.requests_per_second, config.limits.burst) = (NonZeroU32::MIN, NonZeroU32::new(3).unwrap());
    })
    .await;
    let ask = || say(open.address, "GET /v1/supply HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    for _ in 0..3 {
        assert!(ask().await.starts_with("HTTP/1.1 200"));
    }
    let refused = ask().await;
    assert!(refused.starts_with("HTTP/1.1 429") && refused.contains("retry-after: 1"), "{refused}");
    assert!(refused.contains("rate_limited") && refused.contains("default-src 'none'"), "{refused}");
}

#[tokio::test]
async fn a_head_that_comes_too_slowly_closes_its_connection_and_no_other() {
    let open = open(|config| config.limits.head_ms = 300).await;
    let began = Instant::now();
    let mut slow = TcpStream::connect(open.address).await.unwrap();
    slow.write_all(b"GET /en HTTP/1.1\r\nhost: x\r\n").await.unwrap();
    let healthy = say(open.address, "GET /en HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    assert!(healthy.starts_with("HTTP/1.1 200"), "{healthy:.200}");
    let mut rest = Vec::new();
    tokio::time::timeout(Duration::from_secs(10), slow.read_to_end(&mut rest)).await.expect("closed").unwrap();
    assert!(began.elapsed() >= Duration::from_millis(300));
    assert!(!String::from_utf8_lossy(&rest).contains("200 OK"));
}

#[tokio::test]
async fn a_crowd_of_silent_connections_keeps_nobody_out() {
    let open = open(|config| (config.limits.connections, config.limits.connections_per_address) = (8, 8)).await;
    let mut crowd = Vec::new();
    for _ in 0..32 {
        crowd.push(TcpStream::connect(open.address).await.unwrap());
    }
    let answer = say(open.address, "GET /en HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer:.200}");
}

#[tokio::test]
async fn a_crowd_of_bodies_that_never_end_keeps_nobody_out() {
    let open = open(|config| (config.limits.connections, config.limits.connections_per_address) = (8, 8)).await;
    let head = "POST /en/check HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-www-form-urlencoded\r\n\
                content-length: 100000\r\nexpect: 100-continue\r\n\r\n";
    let mut crowd = Vec::new();
    for _ in 0..8 {
        let mut stream = TcpStream::connect(open.address).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        // The site reads the body: the request is under way.
        read_until(&mut stream, &mut String::new(), "100 Continue").await;
        stream.write_all(b"proof=").await.unwrap();
        crowd.push(stream);
    }
    let answer = say(open.address, "GET /en HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer:.200}");
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_refused_and_one_that_never_ends_times_out() {
    let open = open(|config| config.limits.request_ms = 400).await;
    let head = "POST /en/check HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/x-www-form-urlencoded\r\n";
    let answer = say(open.address, &format!("{head}content-length: 100000\r\n\r\nproof=")).await;
    assert!(answer.starts_with("HTTP/1.1 504") && answer.contains("timed_out"), "{answer:.300}");
    let large = "a".repeat(300 << 10);
    let answer = say(open.address, &format!("{head}content-length: {}\r\n\r\n{large}", large.len())).await;
    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1.1 422") || answer.starts_with("HTTP/1.1 413"),
        "{answer:.300}"
    );
}

#[tokio::test]
async fn a_browser_hears_of_a_new_state_and_the_crowd_of_listeners_is_bounded() {
    let open = open(|config| config.limits.event_streams = 1).await;
    let mut stream = TcpStream::connect(open.address).await.unwrap();
    stream.write_all(b"GET /v1/events HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut heard = String::new();
    read_until(&mut stream, &mut heard, "\"height\":9").await;
    assert!(heard.contains("text/event-stream") && heard.contains("event: state") && heard.contains("id: "), "{heard}");
    let second = say(open.address, "GET /v1/events HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    assert!(second.starts_with("HTTP/1.1 503") && second.contains("overloaded"), "{second}");
    {
        let mut registry = open.fixture.observer.registry.lock().unwrap();
        let line = registry.live(8);
        registry.confirm(12, &[line]);
    }
    open.fixture.site.ledger().look().await;
    read_until(&mut stream, &mut heard, "\"height\":12").await;
    open.stop.send(true).unwrap();
}

async fn read_until(stream: &mut TcpStream, heard: &mut String, text: &str) {
    let mut bytes = [0; 4096];
    while !heard.contains(text) {
        let read = tokio::time::timeout(Duration::from_secs(20), stream.read(&mut bytes)).await.expect(text).unwrap();
        assert!(read > 0, "{heard}");
        heard.push_str(&String::from_utf8_lossy(&bytes[..read]));
    }
}

#[tokio::test]
async fn a_whole_page_is_below_sixty_kilobytes_as_it_travels() {
    let fixture = fixture().await;
    let travels = async |path: &str| {
        let request = Request::get(path).header("accept-encoding", "gzip").body(Body::empty()).unwrap();
        let response = tower::ServiceExt::oneshot(fixture.site.router(), request).await.unwrap();
        assert_eq!(response.headers()["content-encoding"], "gzip", "{path}");
        axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap().len()
    };
    let shared = travels("/assets/site.css").await + travels("/assets/assay.js").await;
    for path in [
        format!("/zh/coin/{}", fixture.coin(4)),
        "/en/verify".into(),
        "/zh/network".into(),
        "/zh/contracts/try".into(),
        "/en/contracts/try?example=combined".into(),
        "/zh/contracts".into(),
        "/zh/contracts/1".into(),
        "/en/contracts/1".into(),
        "/zh/feeds/cn.lpr.1y".into(),
        format!("/en/loans/{}", returned(&fixture)),
    ] {
        let bytes = travels(&path).await + shared;
        assert!(bytes < 60 << 10, "{path}: {bytes}");
    }
}
