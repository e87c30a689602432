//! Questions to an observer. Nothing that comes back is believed here; it is bounded and decoded.

use node_api::Problem;
use serde::de::DeserializeOwned;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// An observer that is silent for longer counts as gone: the next is asked, or what is known is shown.
const TIMEOUT: Duration = Duration::from_secs(5);
/// A node closes a connection that is silent for ten seconds: it is not used again shortly before that.
const IDLE: Duration = Duration::from_secs(5);

#[derive(Clone, Debug, thiserror::Error)]
pub enum UpstreamError {
    #[error("the observer does not answer")]
    Unreachable,
    #[error("the observer answered with something that is no document of its interface")]
    Foreign,
    #[error("the observer refused: {0}")]
    Refused(Box<Problem>),
    #[error("too many questions are on their way to the observers")]
    Busy,
}

#[derive(Clone)]
pub struct Upstream {
    base: String,
    http: reqwest::Client,
    places: Arc<Semaphore>,
}

impl Upstream {
    pub fn new(base: &str, places: Arc<Semaphore>) -> Self {
        let http = reqwest::Client::builder().timeout(TIMEOUT).pool_idle_timeout(IDLE).no_proxy();
        // Where an observer sends us is not where we ask.
        let http = http.redirect(reqwest::redirect::Policy::none());
        let http = http.build().expect("a client without TLS always builds");
        Upstream { base: base.trim_end_matches('/').to_owned(), http, places }
    }

    pub fn base(&self) -> &str {
        &self.base
    }

    /// For a reader's question. `path` is of this program's making.
    pub async fn ask<T: DeserializeOwned>(&self, path: &str, bytes_max: usize) -> Result<T, UpstreamError> {
        let _place = self.places.try_acquire().map_err(|_| UpstreamError::Busy)?;
        self.json(path, bytes_max).await
    }

    pub async fn ask_bytes(&self, path: &str, bytes_max: usize) -> Result<Vec<u8>, UpstreamError> {
        let _place = self.places.try_acquire().map_err(|_| UpstreamError::Busy)?;
        self.bytes(path, bytes_max).await
    }

    /// For the follower, which a crowd of readers does not keep out.
    pub async fn json<T: DeserializeOwned>(&self, path: &str, bytes_max: usize) -> Result<T, UpstreamError> {
        let body = self.bytes(path, bytes_max).await?;
        serde_json::from_slice(&body).map_err(|_| UpstreamError::Foreign)
    }

    pub async fn bytes(&self, path: &str, bytes_max: usize) -> Result<Vec<u8>, UpstreamError> {
        let asked = self.http.get(format!("{}{path}", self.base)).send().await;
        let mut response = asked.map_err(|_| UpstreamError::Unreachable)?;
        let status = response.status();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|_| UpstreamError::Unreachable)? {
            if body.len() + chunk.len() > bytes_max {
                return Err(UpstreamError::Foreign);
            }
            body.extend_from_slice(&chunk);
        }
        if status.is_success() {
            return Ok(body);
        }
        match serde_json::from_slice::<Problem>(&body) {
            Ok(problem) => Err(UpstreamError::Refused(Box::new(problem))),
            // A proxy before an observer that is gone.
            Err(_) if status.is_server_error() => Err(UpstreamError::Unreachable),
            Err(_) => Err(UpstreamError::Foreign),
        }
    }
}
