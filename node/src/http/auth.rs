//! The bank's local token (B-10): a bearer token read from a file of mode 0600, compared in constant time.

use super::refusal::Refusal;
use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use node_api::Problem;
use std::sync::Arc;

/// Only its hash is kept. `None`: nobody has one, everyone is refused.
#[derive(Clone)]
pub struct Token(Option<Arc<blake3::Hash>>);

impl Token {
    pub fn new(token: Option<&[u8]>) -> Self {
        Token(token.map(|token| Arc::new(blake3::hash(token.trim_ascii()))))
    }

    pub fn is_shown_by(&self, headers: &HeaderMap) -> bool {
        self.opens(headers.get(AUTHORIZATION).map(|value| value.as_bytes()))
    }

    fn opens(&self, header: Option<&[u8]>) -> bool {
        let given = header.and_then(|value| value.strip_prefix(b"Bearer "));
        // blake3::Hash compares in constant time.
        matches!((&self.0, given), (Some(known), Some(given)) if **known == blake3::hash(given))
    }
}

pub async fn require(State(token): State<Token>, request: Request, next: Next) -> Response {
    if token.is_shown_by(request.headers()) {
        return next.run(request).await;
    }
    let problem = Problem::new(401, "token_required", "This takes the bank's own token", "no token, or another one")
        .with_help("send it as Authorization: Bearer …; it lies in the node's folder in the file token");
    Refusal(problem).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_very_token_opens() {
        let token = Token::new(Some(b"secret\n"));
        assert!(token.opens(Some(b"Bearer secret")));
        for wrong in [Some(&b"Bearer secret2"[..]), Some(b"secret"), Some(b"Bearer "), None] {
            assert!(!token.opens(wrong));
        }
        assert!(!Token::new(None).opens(Some(b"Bearer ")));
    }
}
