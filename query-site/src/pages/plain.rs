//! Pages of words.

use super::frame::Frame;
use super::{Here, ok};
use askama::Template;
use axum::extract::State;
use axum::http::Uri;
use axum::response::Response;

#[derive(Template)]
#[template(path = "promises.html")]
struct Promises {
    f: Frame,
}

pub async fn promises(State(here): State<Here>, uri: Uri) -> Response {
    ok(&Promises { f: here.frame(&uri, "promises", here.t("promises.title")) })
}
