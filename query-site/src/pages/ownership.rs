//! "Is it mine, is it theirs?" The forms are the browser's; without JavaScript the page says how the command line does it.

use super::frame::Frame;
use super::{Here, ok};
use crate::search::{Found, read};
use askama::Template;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::Uri;
use axum::response::Response;
use serde::Deserialize;

#[derive(Deserialize)]
pub struct Asked {
    coin: Option<String>,
}

#[derive(Template)]
#[template(path = "ownership.html")]
struct Page {
    f: Frame,
    coin: Option<String>,
    /// In the commands.
    coin_word: String,
}

pub async fn page(State(here): State<Here>, uri: Uri, asked: Result<Query<Asked>, QueryRejection>) -> Response {
    let f = here.frame(&uri, "ownership", here.t("ownership.title"));
    let asked = asked.ok().and_then(|Query(asked)| asked.coin);
    let coin = asked.and_then(|text| match read(&text) {
        Found::Coin(coin) => Some(coin.to_string()),
        _ => None,
    });
    let coin_word = coin.clone().unwrap_or_else(|| "coin1…".into());
    ok(&Page { f, coin, coin_word })
}
