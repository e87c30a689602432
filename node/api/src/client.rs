//! A client for the interface. Every call has a deadline; an answer beyond the body limit is an error.

use crate::{Problem, desk, ledger, log};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::time::Duration;

#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// By what stands behind reqwest's own words, which say neither that nobody listens nor that a connection broke.
    #[error("no answer from {url}: {}", causes(source))]
    Unreachable { url: String, source: reqwest::Error },
    #[error(transparent)]
    Refused(#[from] Problem),
    #[error("{url} answered with something that is no document of this interface: {detail}")]
    Foreign { url: String, detail: String },
}

#[derive(Clone)]
pub struct Client {
    base: String,
    token: Option<String>,
    http: reqwest::Client,
}

const TIMEOUT: Duration = Duration::from_secs(30);
/// A node closes a connection that is silent for ten seconds: it is not used again shortly before that.
const IDLE: Duration = Duration::from_secs(5);
/// A block document with 1,024 bundles stays below 1 MiB.
const ANSWER_BYTES_MAX: usize = 8 << 20;
/// Longer than a node keeps a stream of events open.
const STREAM_TIMEOUT: Duration = Duration::from_secs(3600);
const EVENT_BYTES_MAX: usize = 64 << 10;

fn causes(error: &reqwest::Error) -> String {
    let causes = std::iter::successors(std::error::Error::source(error), |cause| cause.source());
    let mut words: Vec<String> = causes.map(ToString::to_string).collect();
    words.dedup();
    if words.is_empty() { error.to_string() } else { words.join(": ") }
}

impl Client {
    /// `base` such as `http://127.0.1.1:8101`; the token opens the bank's own endpoints.
    pub fn new(base: &str, token: Option<String>) -> Self {
        let http = reqwest::Client::builder().timeout(TIMEOUT).pool_idle_timeout(IDLE);
        let http = http.build().expect("a client without TLS always builds");
        Client { base: base.trim_end_matches('/').to_owned(), token, http }
    }

    pub fn base(&self) -> &str {
        &self.base
    }

    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.send(self.http.get(format!("{}{path}", self.base)), path).await
    }

    pub async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, ClientError> {
        self.send(self.http.post(format!("{}{path}", self.base)).json(body), path).await
    }

    pub async fn post_bytes<T: DeserializeOwned>(&self, path: &str, body: Vec<u8>) -> Result<T, ClientError> {
        let request = self.http.post(format!("{}{path}", self.base));
        self.send(request.header("content-type", "application/octet-stream").body(body), path).await
    }

    /// The bytes of an answer that is no JSON: a tile, a checkpoint, a proof file.
    pub async fn get_bytes(&self, path: &str) -> Result<Vec<u8>, ClientError> {
        self.bytes(self.http.get(format!("{}{path}", self.base)), path).await
    }

    pub async fn get_text(&self, path: &str) -> Result<String, ClientError> {
        let foreign = |_| ClientError::Foreign { url: format!("{}{path}", self.base), detail: "not UTF-8".into() };
        String::from_utf8(self.get_bytes(path).await?).map_err(foreign)
    }

    async fn send<T: DeserializeOwned>(&self, request: reqwest::RequestBuilder, path: &str) -> Result<T, ClientError> {
        let body = self.bytes(request, path).await?;
        let url = format!("{}{path}", self.base);
        serde_json::from_slice(&body).map_err(|error| ClientError::Foreign { url, detail: error.to_string() })
    }

    async fn bytes(&self, request: reqwest::RequestBuilder, path: &str) -> Result<Vec<u8>, ClientError> {
        let mut response = self.accepted(request, path).await?;
        let url = format!("{}{path}", self.base);
        body(&mut response, url).await
    }

    /// An answer whose status is success; its body is not read.
    async fn accepted(&self, request: reqwest::RequestBuilder, path: &str) -> Result<reqwest::Response, ClientError> {
        let url = format!("{}{path}", self.base);
        let request = match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        };
        let answered = request.send().await;
        let mut response = answered.map_err(|source| ClientError::Unreachable { url: url.clone(), source })?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let retry_after =
            response.headers().get("retry-after").and_then(|value| value.to_str().ok()?.parse::<u32>().ok());
        let body = body(&mut response, url.clone()).await?;
        match serde_json::from_slice::<Problem>(&body) {
            Ok(problem) => Err(ClientError::Refused(match retry_after {
                Some(seconds) => {
                    let help = problem.help.as_deref().map(|help| format!("{help}; ")).unwrap_or_default();
                    problem.with_help(format!("{help}ask again in {seconds} s"))
                }
                None => problem,
            })),
            Err(_) => Err(ClientError::Foreign { url, detail: format!("status {status}") }),
        }
    }

    pub async fn status(&self) -> Result<ledger::Status, ClientError> {
        self.get("/v1/status").await
    }

    pub async fn coin(&self, coin: &str) -> Result<ledger::CoinAnswer, ClientError> {
        self.get(&format!("/v1/coins/{coin}")).await
    }

    pub async fn envelope(&self, id: &str) -> Result<ledger::EnvelopeStatus, ClientError> {
        self.get(&format!("/v1/envelopes/{id}")).await
    }

    /// A confirmation batch, by its item's id.
    pub async fn batch(&self, id: &str) -> Result<ledger::EnvelopeStatus, ClientError> {
        self.get(&format!("/v1/batches/{id}")).await
    }

    pub async fn registry(&self) -> Result<ledger::Registry, ClientError> {
        self.get("/v1/registry").await
    }

    pub async fn lane(&self, submitter: u16) -> Result<ledger::Lane, ClientError> {
        self.get(&format!("/v1/lanes/{submitter}")).await
    }

    pub async fn submit_bundle(&self, bundle: Vec<u8>) -> Result<ledger::Submitted, ClientError> {
        self.post_bytes("/v1/bundles", bundle).await
    }

    pub async fn submit_envelopes(&self, envelopes: Vec<String>) -> Result<ledger::Submitted, ClientError> {
        self.post("/v1/envelopes", &ledger::SubmitEnvelopes { envelopes }).await
    }

    pub async fn pay(&self, payment: &desk::NewPayment) -> Result<desk::Payment, ClientError> {
        self.post("/v1/payments", payment).await
    }

    /// The newest checkpoint as the log's mirrors serve it: a signed note.
    pub async fn log_checkpoint(&self) -> Result<String, ClientError> {
        self.get_text("/log/checkpoint").await
    }

    /// A C2SP tlog-proof file of the coin's newest record.
    pub async fn log_proof(&self, coin: &str) -> Result<String, ClientError> {
        self.get_text(&format!("/v1/coins/{coin}/log-proof")).await
    }

    pub async fn bucket_advice(&self) -> Result<log::BucketAdvice, ClientError> {
        self.get("/v1/buckets").await
    }

    /// `prefix` has [`log::PREFIX_DIGITS`] hex digits.
    pub async fn bucket(&self, bits: u8, prefix: &str) -> Result<log::Bucket, ClientError> {
        self.get(&format!("/v1/buckets/{bits}/{prefix}")).await
    }

    pub async fn consistency(&self, from: u64, to: u64) -> Result<log::Consistency, ClientError> {
        self.get(&format!("/v1/consistency?from={from}&to={to}")).await
    }

    pub async fn states(&self, before: Option<u64>, limit: usize) -> Result<Vec<log::State>, ClientError> {
        self.get(&page("/v1/states", before, limit)).await
    }

    pub async fn checkpoints(
        &self,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<log::CheckpointSeen>, ClientError> {
        self.get(&page("/v1/checkpoints", before, limit)).await
    }

    pub async fn hand_overs(&self) -> Result<log::HandOvers, ClientError> {
        self.get("/v1/hand-overs").await
    }

    /// Follows the checkpoints as they become complete.
    pub async fn events(&self) -> Result<Events, ClientError> {
        let path = "/v1/events";
        let request = self.http.get(format!("{}{path}", self.base)).timeout(STREAM_TIMEOUT);
        let response = self.accepted(request, path).await?;
        Ok(Events { url: format!("{}{path}", self.base), response, unread: Vec::new() })
    }
}

fn page(path: &str, before: Option<u64>, limit: usize) -> String {
    let before = before.map(|size| format!("&before={size}")).unwrap_or_default();
    format!("{path}?limit={limit}{before}")
}

/// All of it, if it is not too long.
async fn body(response: &mut reqwest::Response, url: String) -> Result<Vec<u8>, ClientError> {
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(None) => return Ok(body),
            Err(source) => return Err(ClientError::Unreachable { url, source }),
            Ok(Some(chunk)) if body.len() + chunk.len() > ANSWER_BYTES_MAX => {
                return Err(ClientError::Foreign { url, detail: format!("more than {ANSWER_BYTES_MAX} bytes") });
            }
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
        }
    }
}

/// A stream of server-sent events. It ends when the node ends it: ask for another.
pub struct Events {
    url: String,
    response: reqwest::Response,
    unread: Vec<u8>,
}

impl Events {
    /// The next `state` event, or none at the end of the stream.
    pub async fn next(&mut self) -> Result<Option<log::StateEvent>, ClientError> {
        loop {
            while let Some(end) = self.unread.windows(2).position(|two| two == b"\n\n") {
                let event: Vec<u8> = self.unread.drain(..end + 2).collect();
                if let Some(event) = self.state(&event)? {
                    return Ok(Some(event));
                }
            }
            if self.unread.len() > EVENT_BYTES_MAX {
                let detail = format!("an event of more than {EVENT_BYTES_MAX} bytes");
                return Err(ClientError::Foreign { url: self.url.clone(), detail });
            }
            let chunk = self.response.chunk().await;
            match chunk.map_err(|source| ClientError::Unreachable { url: self.url.clone(), source })? {
                Some(chunk) => self.unread.extend_from_slice(&chunk),
                None => return Ok(None),
            }
        }
    }

    /// None for a comment, which keeps the connection alive, and for an event of another name.
    fn state(&self, event: &[u8]) -> Result<Option<log::StateEvent>, ClientError> {
        let foreign = |detail| ClientError::Foreign { url: self.url.clone(), detail };
        let event = std::str::from_utf8(event).map_err(|error| foreign(error.to_string()))?;
        let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        match (field("event"), field("data")) {
            (Some("state"), Some(data)) => {
                serde_json::from_str(data).map(Some).map_err(|error| foreign(error.to_string()))
            }
            _ => Ok(None),
        }
    }
}
