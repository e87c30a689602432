//! Refusals as HTTP answers.

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection};
use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use node_api::Problem;
use std::time::Duration;

/// A problem document as a response.
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
        let kind = header::HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        if let Some(seconds) = self.0.retry_after_s {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}

pub fn bad_request(code: &str, detail: impl Into<String>) -> Refusal {
    Problem::new(400, code, "The request is not well-formed", detail).into()
}

pub fn not_found(detail: impl Into<String>) -> Refusal {
    Problem::new(404, "not_found", "There is no such thing here", detail).into()
}

pub fn unavailable(code: &str, detail: impl Into<String>) -> Refusal {
    Problem::new(503, code, "Not possible now", detail).retry_after(1).into()
}

/// The node does as much as it lets strangers cause.
pub fn overloaded(detail: &str) -> Refusal {
    unavailable("overloaded", detail)
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

pub fn too_large(code: &str, detail: impl Into<String>) -> Refusal {
    Problem::new(413, code, "The request is too large", detail).into()
}

/// The node could not read what it stores. The cause goes to the log, not to the reader.
pub fn internal(error: impl std::fmt::Display) -> Refusal {
    tracing::error!(%error, "a request failed inside the node");
    Problem::new(500, "internal", "The node failed", "the node's log says why").into()
}

/// A JSON body whose refusal is a problem document.
pub struct Body<T>(pub T);

impl<S: Send + Sync, T> FromRequest<S> for Body<T>
where
    Json<T>: FromRequest<S, Rejection = JsonRejection>,
{
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        match Json::<T>::from_request(request, state).await {
            Ok(Json(body)) => Ok(Body(body)),
            Err(rejection) => Err(bad_body("malformed_json", rejection.status(), rejection.body_text())),
        }
    }
}

fn bad_body(code: &str, status: StatusCode, detail: String) -> Refusal {
    match status {
        StatusCode::PAYLOAD_TOO_LARGE => too_large("body_too_large", detail),
        _ => bad_request(code, detail),
    }
}

/// Parameters of the path. One that is no UTF-8 or not of its type is refused by a problem document; [`Path`] alone answers in
/// plain text.
pub struct InPath<T>(pub T);

impl<S: Send + Sync, T> FromRequestParts<S> for InPath<T>
where
    Path<T>: FromRequestParts<S, Rejection = PathRejection>,
{
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        match Path::<T>::from_request_parts(parts, state).await {
            Ok(Path(parameters)) => Ok(InPath(parameters)),
            Err(rejection) => Err(bad_request("bad_path", rejection.body_text())),
        }
    }
}

pub async fn no_such_path() -> Refusal {
    Problem::new(404, "no_such_path", "This path leads nowhere", "the interface has no such path on this node").into()
}

pub async fn method_not_allowed() -> Refusal {
    Problem::new(405, "method_not_allowed", "The path does not take this method", "use the path's own method").into()
}
