//! How often a stranger may ask: a token bucket for each remote network and class of endpoint.
//!
//! Whoever shows the node's own token is not limited: it is the bank's own programs, which the bank can stop by itself. The
//! remote network is the one that connects; behind a proxy that is the proxy, which then has to limit its own callers: no
//! header of a request is believed.

use super::RemoteNetwork;
use super::auth::Token;
use super::refusal::{self, Refusal};
use crate::config::{HttpLimits, Rate};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Networks that have been silent for long are forgotten once in so many requests.
const FORGET_EVERY: u32 = 4096;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Public documents.
    Read,
    /// Bundles that their submitter signed.
    Submit,
    /// Endpoints that take the node's token, asked without it: guesses.
    NoToken,
}

struct Bucket {
    limiter: DefaultKeyedRateLimiter<RemoteNetwork>,
    asked: AtomicU32,
}

impl Bucket {
    fn new(rate: Rate) -> Self {
        let quota = Quota::per_second(rate.per_second).allow_burst(rate.burst);
        Bucket { limiter: DefaultKeyedRateLimiter::keyed(quota), asked: AtomicU32::new(0) }
    }

    /// How long to wait when there is none left.
    fn take(&self, from: RemoteNetwork) -> Result<(), Duration> {
        if self.asked.fetch_add(1, Ordering::Relaxed) % FORGET_EVERY == FORGET_EVERY - 1 {
            self.limiter.retain_recent();
        }
        self.limiter.check_key(&from).map_err(|until| until.wait_time_from(DefaultClock::default().now()))
    }
}

/// The token that lifts the limits, and the limits.
#[derive(Clone)]
pub struct Gate(Arc<Inner>);

struct Inner {
    token: Token,
    read: Bucket,
    submit: Bucket,
    no_token: Bucket,
}

impl Gate {
    pub fn new(token: Token, limits: &HttpLimits) -> Self {
        let [read, submit, no_token] = [limits.read, limits.submit, limits.no_token].map(Bucket::new);
        Gate(Arc::new(Inner { token, read, submit, no_token }))
    }

    fn pass(&self, class: Class, request: &Request) -> Result<(), Refusal> {
        if self.0.token.is_shown_by(request.headers()) {
            return Ok(());
        }
        // A request that came over no connection is this process's own.
        let Some(from) = request.extensions().get::<RemoteNetwork>() else { return Ok(()) };
        let bucket = match class {
            Class::Read => &self.0.read,
            Class::Submit => &self.0.submit,
            Class::NoToken => &self.0.no_token,
        };
        bucket.take(*from).map_err(refusal::rate_limited)
    }
}

/// As a layer around the endpoints of a class.
pub async fn limited(State((gate, class)): State<(Gate, Class)>, request: Request, next: Next) -> Response {
    match gate.pass(class, &request) {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::Router;
    use axum::body::Body;
    use axum::http::StatusCode;
    use axum::http::header::RETRY_AFTER;
    use axum::routing::get;
    use std::num::NonZeroU32;
    use tower::ServiceExt;

    fn gate(burst: u32) -> Gate {
        let burst = NonZeroU32::new(burst).unwrap();
        let rate = Rate { per_second: NonZeroU32::MIN, burst };
        let limits = HttpLimits { read: rate, submit: rate, no_token: rate, ..HttpLimits::default() };
        Gate::new(Token::new(Some(b"secret")), &limits)
    }

    fn router(gate: &Gate, class: Class) -> Router {
        let layer = axum::middleware::from_fn_with_state((gate.clone(), class), limited);
        Router::new().route("/", get(async || "here")).layer(layer)
    }

    async fn ask(router: &Router, host: &str, token: Option<&str>) -> Response {
        let mut request = Request::new(Body::empty());
        request.extensions_mut().insert(RemoteNetwork::of(host.parse().unwrap()));
        if let Some(token) = token {
            request.headers_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
        }
        router.clone().oneshot(request).await.unwrap()
    }

    #[tokio::test]
    async fn a_burst_ends_with_429_and_retry_after_for_its_sender_and_its_class_alone() {
        let gate = gate(3);
        let reads = router(&gate, Class::Read);
        for _ in 0..3 {
            assert_eq!(ask(&reads, "10.0.0.1", None).await.status(), StatusCode::OK);
        }
        let refused = ask(&reads, "10.0.0.1", None).await;
        assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(refused.headers()[RETRY_AFTER], "1");
        let body = axum::body::to_bytes(refused.into_body(), 4096).await.unwrap();
        let problem: node_api::Problem = serde_json::from_slice(&body).unwrap();
        assert_eq!((problem.code.as_str(), problem.retry_after_s), ("rate_limited", Some(1)));
        assert_eq!(ask(&reads, "10.0.0.2", None).await.status(), StatusCode::OK);
        assert_eq!(ask(&router(&gate, Class::Submit), "10.0.0.1", None).await.status(), StatusCode::OK);
    }

    #[tokio::test]
    async fn the_nodes_own_token_is_not_limited_and_a_guessed_one_is() {
        let gate = gate(3);
        let desk = router(&gate, Class::NoToken);
        for _ in 0..10 {
            assert_eq!(ask(&desk, "10.0.0.1", Some("secret")).await.status(), StatusCode::OK);
        }
        for _ in 0..3 {
            assert_eq!(ask(&desk, "10.0.0.1", Some("guess")).await.status(), StatusCode::OK);
        }
        assert_eq!(ask(&desk, "10.0.0.1", Some("guess")).await.status(), StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(ask(&desk, "10.0.0.1", Some("secret")).await.status(), StatusCode::OK);
    }
}
