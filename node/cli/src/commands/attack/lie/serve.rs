//! The server: what carries a proof is altered, all else is passed on.

use super::Kind;
use super::forge::{Liar, head, other_source};
use crate::cluster::now_ms;
use crate::outcome::Failure;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use ledger_types::confirmation::RecordStatus;
use ledger_types::encoding::{Decode, Encode, Octets};
use ledger_types::feed::FeedItem;
use ledger_types::log_leaf::LogLeaf;
use ledger_verify::{Answer, BucketProof, CoinProof, EntryInState, EntryKey, LeafProof, StateProof};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const ANSWER_BYTES_MAX: usize = 8 << 20;
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// An event stream is not ended by it: nothing else is asked for that takes long.
const SILENT_FOR_AT_MOST: Duration = Duration::from_secs(60);

struct Server {
    observer: String,
    http: reqwest::Client,
    liar: Mutex<Liar>,
    told: AtomicU64,
}

/// Until interrupted; gives how many answers were altered.
pub async fn serve(listener: tokio::net::TcpListener, liar: Liar, observer: String) -> Result<u64, Failure> {
    let http = reqwest::Client::builder().connect_timeout(CONNECT_WITHIN).read_timeout(SILENT_FOR_AT_MOST);
    let http = http.build().expect("a client without TLS always builds");
    let server = Arc::new(Server { observer, http, liar: Mutex::new(liar), told: AtomicU64::new(0) });
    // The oldest state that it can keep is the one of now.
    server.forged_state().await?;
    server.told.store(0, Ordering::Relaxed);
    let router = Router::new().fallback(get(answer)).with_state(server.clone());
    let interrupted = async { drop(tokio::signal::ctrl_c().await) };
    tokio::select! {
        served = axum::serve(listener, router) => {
            served.map_err(|error| Failure::network("cannot_listen", error.to_string()))?;
        }
        () = interrupted => {}
    }
    Ok(server.told.load(Ordering::Relaxed))
}

type Said = Result<Response, Failure>;

async fn answer(State(server): State<Arc<Server>>, uri: Uri) -> Response {
    let path = uri.path();
    let segments: Vec<&str> = path.trim_matches('/').split('/').collect();
    let said: Said = match segments[..] {
        ["v1", "coins", _] => server.altered(&uri, Server::coin).await,
        ["v1", "supply"] => server.altered(&uri, Server::supply).await,
        ["v1", "buckets", _, _] => server.altered(&uri, Server::bucket).await,
        ["v1", "contracts"] if server.tells(Kind::EntryOmitted) => server.altered(&uri, Server::contracts).await,
        ["v1", "contracts", _] if server.tells(Kind::ContractSource) => server.altered(&uri, Server::contract).await,
        ["v1", "entries"] if server.tells(Kind::FeedValue) => server.altered(&uri, Server::entries).await,
        ["v1", "receipts", _] if server.tells(Kind::ReceiptRate) => server.altered(&uri, Server::receipt).await,
        ["v1", "checkpoint"] => server.checkpoint().await,
        ["v1", "checkpoint.txt"] | ["log", "checkpoint"] => server.note().await,
        ["v1", "hand-overs"] => match server.hand_overs() {
            Some(documents) => Ok(json_answer(&documents)),
            None => server.passed_on(&uri).await,
        },
        _ => server.passed_on(&uri).await,
    };
    said.unwrap_or_else(|failure| {
        (StatusCode::BAD_GATEWAY, [(header::CONTENT_TYPE, "text/plain")], failure.message).into_response()
    })
}

fn json_answer(document: &Value) -> Response {
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*")];
    (headers, document.to_string()).into_response()
}

fn foreign(cause: impl std::fmt::Display) -> Failure {
    Failure::network("foreign_answer", format!("the observer's answer: {cause}"))
}

fn proof_of<T: Decode>(document: &Value) -> Result<T, Failure> {
    let bytes = hex::decode(document["proof"].as_str().unwrap_or_default()).map_err(foreign)?;
    T::from_bytes(&bytes).map_err(foreign)
}

impl Server {
    fn url(&self, uri: &Uri) -> String {
        format!("{}{}", self.observer, uri.path_and_query().map_or("/", |asked| asked.as_str()))
    }

    async fn ask(&self, url: String) -> Result<reqwest::Response, Failure> {
        self.http.get(&url).send().await.map_err(|error| Failure::network("unreachable", format!("{url}: {error}")))
    }

    async fn passed_on(&self, uri: &Uri) -> Said {
        let response = self.ask(self.url(uri)).await?;
        let (status, headers) = (response.status(), passed(response.headers()));
        let chunks = futures::stream::unfold(response, |mut response| async move {
            response.chunk().await.transpose().map(|chunk| (chunk, response))
        });
        Ok((status, headers, Body::from_stream(chunks)).into_response())
    }

    /// A refusal is passed on as it is.
    async fn altered(&self, uri: &Uri, alter: fn(&Server, Value) -> Result<Value, Failure>) -> Said {
        let response = self.ask(self.url(uri)).await?;
        let (status, headers) = (response.status(), passed(response.headers()));
        let body = body_of(response).await?;
        if !status.is_success() {
            return Ok((status, headers, body).into_response());
        }
        let document = alter(self, serde_json::from_slice(&body).map_err(foreign)?)?;
        Ok(json_answer(&document))
    }

    fn tell<T>(&self, lie: impl FnOnce(&mut Liar, u64) -> T) -> T {
        self.told.fetch_add(1, Ordering::Relaxed);
        lie(&mut self.liar.lock().expect("no lie panics"), now_ms() / 1_000)
    }

    fn coin(&self, mut document: Value) -> Result<Value, Failure> {
        let proof: CoinProof = proof_of(&document)?;
        let lie = self.tell(|liar, now_s| liar.coin(proof, now_s));
        // Whoever reads the words alone reads what the proof says.
        document["status"] = match lie.answer {
            Answer::Absent => "not_registered",
            Answer::Present(record) => match record.status {
                RecordStatus::Live => "live",
                RecordStatus::Spent => "spent",
                RecordStatus::Frozen => "frozen",
                RecordStatus::Disputed => "disputed",
            },
        }
        .into();
        if let Answer::Present(record) = lie.answer {
            document["record"] = json!({ "batch": record.batch.0, "height": record.height.0, "time_ms": record.time_ms,
                "contract": record.contract.0, "owner_tag": record.tag.to_string() });
        }
        document["proof"] = hex::encode(lie.to_bytes()).into();
        Ok(document)
    }

    fn supply(&self, mut document: Value) -> Result<Value, Failure> {
        let proof: StateProof = proof_of(&document)?;
        let lie = self.tell(|liar, now_s| liar.state(proof, now_s));
        let (issued, redeemed) = (lie.state_leaf.issued, lie.state_leaf.redeemed);
        document["issued"] = issued.to_string().into();
        document["redeemed"] = redeemed.to_string().into();
        document["outstanding"] = issued.saturating_sub(redeemed).to_string().into();
        document["proof"] = hex::encode(lie.to_bytes()).into();
        Ok(document)
    }

    fn bucket(&self, mut document: Value) -> Result<Value, Failure> {
        let mut proof: BucketProof = proof_of(&document)?;
        proof.state = self.tell(|liar, now_s| liar.state(proof.state.clone(), now_s));
        document["proof"] = hex::encode(proof.to_bytes()).into();
        Ok(document)
    }

    fn tells(&self, kind: Kind) -> bool {
        self.liar.lock().expect("no lie panics").kind() == kind
    }

    fn contracts(&self, mut document: Value) -> Result<Value, Failure> {
        self.tell(|_, _| ());
        if let Some(contracts) = document["contracts"].as_array_mut() {
            contracts.pop();
        }
        Ok(document)
    }

    fn contract(&self, mut document: Value) -> Result<Value, Failure> {
        self.tell(|_, _| ());
        for version in document["versions"].as_array_mut().into_iter().flatten() {
            let package = hex::decode(version["package"].as_str().unwrap_or_default()).map_err(foreign)?;
            let lie = other_source(&package).ok_or_else(|| foreign("a package that is none"))?;
            version["package"] = hex::encode(lie).into();
        }
        Ok(document)
    }

    fn entries(&self, mut document: Value) -> Result<Value, Failure> {
        self.tell(|_, _| ());
        for text in document["entries"].as_array_mut().into_iter().flatten() {
            let bytes = hex::decode(text.as_str().unwrap_or_default()).map_err(foreign)?;
            let mut entry = EntryInState::from_bytes(&bytes).map_err(foreign)?;
            let (EntryKey::FeedItem(..), Some(value)) = (entry.key, &entry.value) else { continue };
            let item = FeedItem::from_bytes(value).map_err(foreign)?;
            let lie = FeedItem { value: item.value.wrapping_add(1), ..item };
            entry.value = Some(Octets::new(lie.to_bytes()).expect("as long as the true one"));
            *text = hex::encode(entry.to_bytes()).into();
        }
        Ok(document)
    }

    fn receipt(&self, mut document: Value) -> Result<Value, Failure> {
        let mut proof: LeafProof = proof_of(&document)?;
        self.tell(|_, _| ());
        if let LogLeaf::Receipt(receipt) = &mut proof.leaf {
            // Half a percent dearer.
            receipt.rate = receipt.rate.saturating_add(5_000);
            document["rate"] = receipt.rate.into();
        }
        document["proof"] = hex::encode(proof.to_bytes()).into();
        Ok(document)
    }

    async fn forged_state(&self) -> Result<StateProof, Failure> {
        let body = body_of(self.ask(format!("{}/v1/supply", self.observer)).await?).await?;
        let proof = proof_of(&serde_json::from_slice(&body).map_err(foreign)?)?;
        Ok(self.tell(|liar, now_s| liar.state(proof, now_s)))
    }

    async fn note(&self) -> Said {
        let note = self.forged_state().await?.checkpoint.to_vec();
        let headers = [(header::CONTENT_TYPE, "text/plain; charset=utf-8"), (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*")];
        Ok((headers, note).into_response())
    }

    async fn checkpoint(&self) -> Said {
        let body = body_of(self.ask(format!("{}/v1/checkpoint", self.observer)).await?).await?;
        let mut document: Value = serde_json::from_slice(&body).map_err(foreign)?;
        let note = self.forged_state().await?.checkpoint;
        if let Some((size, root)) = head(&note) {
            document["size"] = size.into();
            document["root"] = hex::encode(root).into();
        }
        document["note"] = String::from_utf8_lossy(&note).into_owned().into();
        Ok(json_answer(&document))
    }

    fn hand_overs(&self) -> Option<Value> {
        let liar = self.liar.lock().expect("no lie panics");
        let documents = liar.hand_overs()?;
        let hand_overs: Vec<String> = documents.iter().map(|document| hex::encode(document.to_bytes())).collect();
        Some(json!({ "hand_overs": hand_overs }))
    }
}

/// What a reader needs of the observer's headers.
fn passed(from: &HeaderMap) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for name in [header::CONTENT_TYPE, header::CACHE_CONTROL, header::RETRY_AFTER] {
        if let Some(value) = from.get(&name) {
            headers.insert(name, value.clone());
        }
    }
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers
}

async fn body_of(mut response: reqwest::Response) -> Result<Bytes, Failure> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(foreign)? {
        if body.len() + chunk.len() > ANSWER_BYTES_MAX {
            return Err(foreign(format!("more than {ANSWER_BYTES_MAX} bytes")));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.into())
}
