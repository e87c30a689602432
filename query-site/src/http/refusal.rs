//! Refusals of the API as HTTP answers: RFC 9457 problem documents with stable codes.

use axum::Json;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use node_api::Problem;
use std::time::Duration;

#[derive(Debug)]
pub struct Refusal(pub Problem);

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Refusal(problem)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(&self.0)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = self.0.retry_after_s {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}

pub fn bad_request(code: &str, detail: impl Into<String>) -> Refusal {
    Problem::new(400, code, "The request is not well-formed", detail).into()
}

pub fn not_found(detail: &str) -> Refusal {
    Problem::new(404, "not_found", "There is no such thing", detail).into()
}

pub fn body_too_large(most: usize) -> Refusal {
    let detail = format!("the body has more than {most} bytes");
    Problem::new(413, "body_too_large", "The request is too large", detail).into()
}

/// No observer answers, and nothing verified is kept.
pub fn silent() -> Refusal {
    let detail = "no observer answers the site just now, and it keeps nothing verified that would answer";
    Problem::new(503, "observers_silent", "Not possible now", detail).retry_after(2).into()
}

pub fn overloaded(detail: &str) -> Refusal {
    Problem::new(503, "overloaded", "Not possible now", detail).retry_after(1).into()
}

/// An observer's answer failed a check; it is not passed on.
pub fn unverified(code: &str) -> Refusal {
    let detail = format!("the observer's answer fails verification: {code}");
    Problem::new(502, "unverified", "The answer fails verification", detail).with_help(code).into()
}

pub fn rate_limited(wait: Duration) -> Refusal {
    // Rounded up: who waits so long is not refused again.
    let seconds = u32::try_from(wait.as_secs()).unwrap_or(u32::MAX).saturating_add(1);
    let detail = format!("this address has asked too often; the next request is taken in {} ms", wait.as_millis());
    Problem::new(429, "rate_limited", "Too many requests", detail).retry_after(seconds).into()
}

pub fn timed_out(limit: Duration) -> Refusal {
    let detail = format!("request and answer together took more than {} ms", limit.as_millis());
    Problem::new(504, "timed_out", "The request took too long", detail).into()
}

pub fn no_such_path() -> Refusal {
    Problem::new(404, "no_such_path", "This path leads nowhere", "/openapi.json lists the paths").into()
}

pub fn method_not_allowed() -> Refusal {
    Problem::new(405, "method_not_allowed", "The path does not take this method", "use the path's own method").into()
}
