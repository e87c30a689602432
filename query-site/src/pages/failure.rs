//! Pages that say no: nothing at this address, no observer answers, an observer's answer fails a check.

use super::frame::Frame;
use super::{Here, accepted, html, language_of_path};
use crate::http::refusal;
use crate::ledger::{AnswerError, Failure};
use crate::site::Site;
use askama::Template;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};

#[derive(Template)]
#[template(path = "failure.html")]
struct Page {
    f: Frame,
    sentence: String,
    /// A named failure: number, name, sentence.
    reason: Option<(u16, &'static str, &'static str)>,
    is_lie: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoSuch {
    Contract,
    Feed,
    Loan,
}

pub async fn no_such_page(State(site): State<Site>, request: Request) -> Response {
    let path = request.uri().path();
    if ["/v1", "/log", "/assets"].iter().any(|folder| path.starts_with(folder)) {
        return refusal::no_such_path().into_response();
    }
    let language = language_of_path(path).unwrap_or_else(|| accepted(&request));
    let f = Frame::new(&site, language, request.uri(), "none", language.t("failure.no_page").into());
    let sentence = language.t("failure.no_page_text").into();
    html(StatusCode::NOT_FOUND, &Page { f, sentence, reason: None, is_lie: false })
}

pub fn no_state(here: &Here, uri: &Uri) -> Response {
    let f = here.frame(uri, "none", here.t("failure.silent"));
    let sentence = here.t("failure.silent_text").into();
    later(html(StatusCode::SERVICE_UNAVAILABLE, &Page { f, sentence, reason: None, is_lie: false }))
}

/// Nothing of this name or number.
pub fn no_such(here: &Here, uri: &Uri, page: &'static str, of: NoSuch) -> Response {
    let (title, text) = match of {
        NoSuch::Contract => ("contract.none", "contract.none_text"),
        NoSuch::Feed => ("feed.none", "feed.none_text"),
        NoSuch::Loan => ("loan.none", "loan.none_text"),
    };
    let f = here.frame(uri, page, here.t(title));
    let sentence = here.t(text).into();
    html(StatusCode::NOT_FOUND, &Page { f, sentence, reason: None, is_lie: false })
}

fn later(mut response: Response) -> Response {
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("2"));
    response
}

pub fn busy(here: &Here, uri: &Uri, key: &str) -> Response {
    let f = here.frame(uri, "none", here.t("failure.busy"));
    let sentence = here.t(key).into();
    later(html(StatusCode::SERVICE_UNAVAILABLE, &Page { f, sentence, reason: None, is_lie: false }))
}

pub fn too_large(here: &Here, uri: &Uri) -> Response {
    let f = here.frame(uri, "none", here.t("failure.too_large"));
    let sentence = here.t("failure.too_large_text").into();
    html(StatusCode::PAYLOAD_TOO_LARGE, &Page { f, sentence, reason: None, is_lie: false })
}

pub fn no_answer(here: &Here, uri: &Uri, error: &AnswerError) -> Response {
    no_answer_of(here, uri, error, "failure.untrue_entry")
}

pub fn no_coin(here: &Here, uri: &Uri, error: &AnswerError) -> Response {
    no_answer_of(here, uri, error, "failure.untrue_text")
}

fn no_answer_of(here: &Here, uri: &Uri, error: &AnswerError, key: &str) -> Response {
    match error {
        AnswerError::Silent => no_state(here, uri),
        AnswerError::Busy => busy(here, uri, "failure.busy_text"),
        AnswerError::Untrue { by, failure } => {
            let f = here.frame(uri, "none", here.t("failure.untrue"));
            let sentence = here.language.fill(key, &[by]);
            let reason = Some(named(&f, *failure));
            html(StatusCode::BAD_GATEWAY, &Page { f, sentence, reason, is_lie: true })
        }
    }
}

pub fn named(f: &Frame, failure: Failure) -> (u16, &'static str, &'static str) {
    match failure {
        Failure::Invalid(reason) => {
            (reason.number(), f.reason_name(reason), f.t(&format!("reason.{}", reason.number())))
        }
        Failure::NotEnoughPower { .. } => (0, f.t("reason.power.name"), f.t("reason.power")),
        Failure::Omitted => (0, f.t("reason.omitted.name"), f.t("reason.omitted")),
    }
}
