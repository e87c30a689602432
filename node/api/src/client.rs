//! A client for the interface. Every call has a deadline; an answer beyond the body limit is an error.

use crate::{Problem, desk, ledger};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::time::Duration;

#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("no answer from {url}: {source}")]
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

    async fn send<T: DeserializeOwned>(&self, request: reqwest::RequestBuilder, path: &str) -> Result<T, ClientError> {
        let url = format!("{}{path}", self.base);
        let request = match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        };
        let unreachable = |source| ClientError::Unreachable { url: url.clone(), source };
        let mut response = request.send().await.map_err(unreachable)?;
        let status = response.status();
        let retry_after =
            response.headers().get("retry-after").and_then(|value| value.to_str().ok()?.parse::<u32>().ok());
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
            if body.len() + chunk.len() > ANSWER_BYTES_MAX {
                return Err(ClientError::Foreign { url, detail: format!("more than {ANSWER_BYTES_MAX} bytes") });
            }
            body.extend_from_slice(&chunk);
        }
        if status.is_success() {
            return serde_json::from_slice(&body)
                .map_err(|error| ClientError::Foreign { url, detail: error.to_string() });
        }
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
}
