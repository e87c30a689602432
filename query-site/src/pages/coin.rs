//! A coin: what the registry says of it, in words, with the proof.

use super::finding::Why;
use super::frame::Frame;
use super::{Here, failure, ok, redirect, search};
use crate::api::documents::status_code;
use crate::ledger::CoinFound;
use crate::qr;
use crate::search::{Found, read};
use askama::Template;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use ledger_types::BatchNumber;
use ledger_verify::{Answer, STALE_AFTER_MS};

#[derive(Template)]
#[template(path = "coin.html")]
struct Page {
    f: Frame,
    coin: String,
    /// `live`, `spent`, `frozen`, `disputed`, `absent`.
    status: &'static str,
    headline: &'static str,
    sentence: String,
    record: Option<Shown>,
    height: u64,
    time_ms: u64,
    signed_at_ms: u64,
    log_size: u64,
    signers: usize,
    is_stale: bool,
    qr: Option<String>,
    qr_text: String,
}

struct Shown {
    height: u64,
    time_ms: u64,
    batch: u64,
    /// Zero for a spent coin, which has no owner any more.
    tag: Option<String>,
    contract: u32,
    failed_check: Option<(u16, &'static str)>,
    /// Where its batch is shown, if it is in the history kept here.
    batch_path: Option<String>,
    records: Option<u32>,
    is_preissued: bool,
}

pub async fn page(State(here): State<Here>, uri: Uri, path: Result<Path<String>, PathRejection>) -> Response {
    let asked = path.map(|Path(asked)| asked).unwrap_or_default();
    let coin = match read(&asked) {
        Found::Coin(coin) => coin,
        Found::Miss(miss) => {
            let f = here.frame(&uri, "search", here.t("search.title"));
            return search::miss(f, asked, &Why::Text(miss), StatusCode::NOT_FOUND);
        }
        _ => {
            let f = here.frame(&uri, "search", here.t("search.title"));
            return search::miss(f, asked, &Why::Text(crate::search::Miss::Unknown), StatusCode::NOT_FOUND);
        }
    };
    // One address a coin.
    if asked != coin.to_string() {
        return redirect(StatusCode::MOVED_PERMANENTLY, &format!("/{}/coin/{coin}", here.language.code()), false);
    }
    match here.site.ledger().coin(coin).await {
        Ok(found) => ok(&shown(&here, &uri, &found)),
        Err(error) => failure::no_coin(&here, &uri, &error),
    }
}

fn shown(here: &Here, uri: &Uri, found: &CoinFound) -> Page {
    let f = here.frame(uri, "coin", here.t("coin.title"));
    let (coin, state, answer) = (found.coin.coin().to_string(), found.coin.state(), found.coin.answer());
    let status = match status_code(&answer) {
        "not_registered" => "absent",
        code => code,
    };
    let record = match &answer {
        Answer::Absent => None,
        Answer::Present(record) => Some(Shown {
            height: record.height.0,
            time_ms: record.time_ms,
            batch: record.batch.0,
            tag: (record.tag != ledger_types::OwnerTag::ZERO).then(|| record.tag.to_string()),
            contract: record.contract.0,
            failed_check: (record.failed_check != 0)
                .then(|| (record.failed_check, f.t(&format!("check.{}", record.failed_check)))),
            batch_path: f
                .view
                .tail
                .with_batch(record.batch.0)
                .map(|state| f.to(&format!("/checkpoints/{}", state.size))),
            records: f.view.tail.records_of(record.batch),
            is_preissued: record.batch == BatchNumber(0),
        }),
    };
    let as_of = f.time(state.time_ms());
    let qr_text = match &here.site.config().public_url {
        Some(url) => format!("{}/coin/{coin}", url.trim_end_matches('/')),
        // Upper case is the shorter encoding in a QR code.
        None => coin.to_ascii_uppercase(),
    };
    let qr = qr::svg(&qr_text, &f.fill("coin.qr_alt", &[&coin]));
    let signed_at_ms = state.signed_at_ms();
    Page {
        headline: f.t(&format!("coin.{status}")),
        sentence: f.fill(&format!("coin.{status}_text"), &[&as_of]),
        coin,
        status,
        record,
        height: state.height().0,
        time_ms: state.time_ms(),
        signed_at_ms,
        log_size: state.head().size,
        signers: state.signers().len(),
        is_stale: f.now_ms.abs_diff(signed_at_ms) > STALE_AFTER_MS,
        qr,
        qr_text,
        f,
    }
}
