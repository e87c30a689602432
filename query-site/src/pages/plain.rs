//! Pages of words.

use super::frame::Frame;
use super::{Here, ok};
use askama::Template;
use axum::extract::State;
use axum::http::Uri;
use axum::response::Response;

#[derive(Template)]
#[template(path = "contracts.html")]
struct Contracts {
    f: Frame,
}

pub async fn contracts(State(here): State<Here>, uri: Uri) -> Response {
    ok(&Contracts { f: here.frame(&uri, "contracts", here.t("contracts.title")) })
}

#[derive(Template)]
#[template(path = "feeds.html")]
struct Feeds {
    f: Frame,
}

pub async fn feeds(State(here): State<Here>, uri: Uri) -> Response {
    ok(&Feeds { f: here.frame(&uri, "feeds", here.t("feeds.title")) })
}

#[derive(Template)]
#[template(path = "promises.html")]
struct Promises {
    f: Frame,
}

pub async fn promises(State(here): State<Here>, uri: Uri) -> Response {
    ok(&Promises { f: here.frame(&uri, "promises", here.t("promises.title")) })
}
