//! The pages, in English below `/en` and in Chinese below `/zh`. Each is whole without JavaScript.
//!
//! Texts are the locale files'; whatever comes from the ledger, an observer or a reader is put in as text by the templates'
//! escaping. Attributes for the browser's own check: `query-site/web/README.md`.

mod api_list;
mod assets;
mod back_test;
mod checkpoints;
mod coin;
mod contract_try;
pub mod contracts;
mod disclosures;
mod failure;
mod feeds;
pub mod finding;
mod frame;
mod home;
mod loan;
mod network;
mod ownership;
mod plain;
mod proof;
mod search;
mod supply;
mod verify;

use crate::language::Language;
use crate::site::Site;
use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use frame::Frame;

pub use api_list::LISTED as API_LISTED;

/// Where a page stands: the site, in a language.
#[derive(Clone)]
pub struct Here {
    site: Site,
    language: Language,
}

impl Here {
    fn t(&self, key: &str) -> &'static str {
        self.language.t(key)
    }

    fn frame(&self, uri: &Uri, page: &'static str, title: impl Into<String>) -> Frame {
        Frame::new(&self.site, self.language, uri, page, title.into())
    }
}

pub fn router(site: Site) -> Router {
    let mut router = Router::new();
    for language in Language::ALL {
        router = router.merge(pages(Here { site: site.clone(), language }));
    }
    router
        .route("/", get(to_preferred))
        // What a QR code holds: no language in it.
        .route("/coin/{coin}", get(to_preferred))
        .route("/robots.txt", get(async || "User-agent: *\nDisallow: /*/coin/\nDisallow: /*/search\n"))
        .merge(assets::router())
        .fallback(failure::no_such_page)
        .layer(axum::middleware::from_fn(chosen_language))
        .with_state(site)
}

fn pages(here: Here) -> Router<Site> {
    let at = |path: &str| format!("/{}{path}", here.language.code());
    Router::new()
        .route(&at(""), get(home::page))
        .route(&at("/search"), get(search::page))
        .route(&at("/check"), post(proof::page))
        .route(&at("/coin/{coin}"), get(coin::page))
        .route(&at("/supply"), get(supply::page))
        .route(&at("/checkpoints"), get(checkpoints::list))
        .route(&at("/checkpoints/{size}"), get(checkpoints::one))
        .route(&at("/network"), get(network::page))
        .route(&at("/verify"), get(verify::page))
        .route(&at("/ownership"), get(ownership::page))
        .route(&at("/disclosures"), get(disclosures::page))
        .route(&at("/contracts"), get(contracts::list))
        .route(&at("/contracts/{number}"), get(contracts::one))
        .route(&at("/loans/{obligation}"), get(loan::page))
        .route(&at("/contracts/try"), get(contract_try::page).post(contract_try::answer).layer(bound()))
        .route(&at("/feeds"), get(feeds::list))
        .route(&at("/feeds/{name}"), get(feeds::one))
        .route(&at("/promises"), get(plain::promises))
        .route(&at("/api"), get(api_list::page))
        .with_state(here)
}

/// What a policy is tried out with is smaller than a proof.
fn bound() -> DefaultBodyLimit {
    DefaultBodyLimit::max(crate::trial::BODY_BYTES_MAX)
}

/// `/en/supply` is `Some(English)`.
fn language_of_path(path: &str) -> Option<Language> {
    Language::of_code(path.strip_prefix('/')?.split('/').next()?)
}

fn accepted(request: &Request) -> Language {
    Language::preferred(request.headers().get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok()))
}

async fn to_preferred(State(_): State<Site>, request: Request) -> Response {
    let path = request.uri().path().trim_end_matches('/');
    redirect(StatusCode::FOUND, &format!("/{}{path}", accepted(&request).code()), true)
}

/// `?lang=zh` on any page leads to that page in that language.
async fn chosen_language(request: Request, next: Next) -> Response {
    let query = request.uri().query().unwrap_or_default();
    let chosen = query.split('&').find_map(|pair| Language::of_code(pair.strip_prefix("lang=")?));
    let Some(language) = chosen else { return next.run(request).await };
    let path = request.uri().path();
    let rest = match language_of_path(path) {
        Some(_) => path.get(3..).unwrap_or_default(),
        None => path.trim_end_matches('/'),
    };
    let others: Vec<&str> = query.split('&').filter(|pair| !pair.starts_with("lang=") && !pair.is_empty()).collect();
    let query = if others.is_empty() { String::new() } else { format!("?{}", others.join("&")) };
    redirect(StatusCode::FOUND, &format!("/{}{rest}{query}", language.code()), false)
}

fn redirect(status: StatusCode, to: &str, by_language: bool) -> Response {
    let mut response = (status, [(header::LOCATION, to)]).into_response();
    if by_language {
        response.headers_mut().insert(header::VARY, header::HeaderValue::from_static("accept-language"));
    }
    response
}

/// A template as a page.
fn html(status: StatusCode, page: &impl askama::Template) -> Response {
    match page.render() {
        Ok(text) => (status, [(header::CONTENT_TYPE, "text/html; charset=utf-8")], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "a page could not be rendered");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

fn ok(page: &impl askama::Template) -> Response {
    html(StatusCode::OK, page)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_its_language() {
        for (path, language) in [
            ("/en", Some(Language::English)),
            ("/zh/coin/x", Some(Language::Chinese)),
            ("/enx", None),
            ("/", None),
            ("", None),
        ] {
            assert_eq!(language_of_path(path), language, "{path}");
        }
    }
}
