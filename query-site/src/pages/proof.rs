//! A pasted proof file, checked here from the pinned genesis. The browser's own check replaces this when it can.

use super::failure::named;
use super::frame::Frame;
use super::{Here, html};
use crate::api::documents::status_code;
use crate::ledger::{Failure, outcome};
use askama::Template;
use axum::Form;
use axum::extract::State;
use axum::extract::rejection::FormRejection;
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use ledger_types::{CoinId, Decode};
use ledger_verify::{CoinProof, Reason, StateProof, VerifiedState, verify_coin, verify_state};
use serde::Deserialize;

#[derive(Deserialize)]
pub struct Pasted {
    #[serde(default)]
    proof: String,
    #[serde(default)]
    coin: String,
}

/// As `assay coin show --save` and this site write it.
#[derive(Deserialize)]
struct ProofFile {
    #[serde(default)]
    coin: Option<String>,
    proof: String,
}

#[derive(Template)]
#[template(path = "proof.html")]
struct Page {
    f: Frame,
    /// `verified`, `power`, `invalid`, `unreadable` or `tlog`.
    outcome: &'static str,
    sentence: String,
    reason: Option<(u16, &'static str, &'static str)>,
    coin: Option<(String, &'static str)>,
    as_of: Option<(u64, u64, u64, usize)>,
}

pub async fn page(State(here): State<Here>, uri: Uri, pasted: Result<Form<Pasted>, FormRejection>) -> Response {
    match pasted {
        Ok(Form(pasted)) => check(&here, &uri, &pasted.proof, &pasted.coin),
        Err(_) => check(&here, &uri, "", ""),
    }
}

pub fn show(here: &Here, uri: &Uri, text: &str) -> Response {
    check(here, uri, text, "")
}

enum Checked {
    Unreadable,
    Tlog,
    Failed(Failure),
    Coin(CoinId, &'static str, VerifiedState),
    State(VerifiedState),
}

fn check(here: &Here, uri: &Uri, text: &str, coin: &str) -> Response {
    let f = here.frame(uri, "verify", here.t("proof.title"));
    let (status, outcome, sentence) = (StatusCode::OK, "verified", String::new());
    let page = Page { f, outcome, sentence, reason: None, coin: None, as_of: None };
    let as_of =
        |state: &VerifiedState| Some((state.height().0, state.time_ms(), state.signed_at_ms(), state.signers().len()));
    let (status, page) = match checked(here, text.trim(), coin.trim()) {
        Checked::Unreadable => {
            let sentence = here.t("js.proof_unreadable").into();
            (StatusCode::UNPROCESSABLE_ENTITY, Page { outcome: "unreadable", sentence, ..page })
        }
        Checked::Tlog => (status, Page { outcome: "tlog", sentence: here.t("proof.tlog").into(), ..page }),
        Checked::Failed(failure) => {
            let outcome = match failure {
                Failure::Invalid(_) => "invalid",
                Failure::NotEnoughPower { .. } | Failure::Omitted => "power",
            };
            let reason = Some(named(&page.f, failure));
            let sentence = here.t("proof.invalid").into();
            (StatusCode::UNPROCESSABLE_ENTITY, Page { outcome, sentence, reason, ..page })
        }
        Checked::Coin(coin, code, state) => {
            let key = if code == "not_registered" { "coin.absent" } else { &format!("coin.{code}") };
            let coin = Some((coin.to_string(), here.t(key)));
            let sentence = here.language.fill("proof.coin", &[&page.f.time(state.time_ms())]);
            (status, Page { sentence, coin, as_of: as_of(&state), ..page })
        }
        Checked::State(state) => {
            (status, Page { sentence: here.t("proof.state").into(), as_of: as_of(&state), ..page })
        }
    };
    html(status, &page)
}

fn checked(here: &Here, text: &str, coin: &str) -> Checked {
    if text.starts_with("c2sp.org/tlog-proof@") {
        return Checked::Tlog;
    }
    let (named, proof) = match serde_json::from_str::<ProofFile>(text) {
        Ok(file) => (file.coin, file.proof),
        Err(_) => (None, text.split_whitespace().collect()),
    };
    let Ok(bytes) = hex::decode(&proof) else { return Checked::Unreadable };
    let now_ms = here.site.now_ms();
    if let Ok(proof) = CoinProof::from_bytes(&bytes) {
        // A proof may hold and be of another coin than the one that the file, or the reader, names.
        let asked = [Some(coin.to_owned()).filter(|coin| !coin.is_empty()), named].into_iter().flatten();
        for text in asked {
            match CoinId::parse(&text) {
                Ok(asked) if asked == proof.coin => {}
                Ok(_) => return Checked::Failed(Failure::Invalid(Reason::OtherCoin)),
                Err(_) => return Checked::Failed(Failure::Invalid(Reason::Malformed)),
            }
        }
        let verdict = here.site.ledger().belief.judge(|trust| verify_coin(trust, &proof.coin, &proof, now_ms));
        return match outcome(verdict) {
            Ok(coin) => Checked::Coin(coin.coin(), status_code(&coin.answer()), coin.state().clone()),
            Err(failure) => Checked::Failed(failure),
        };
    }
    if let Ok(proof) = StateProof::from_bytes(&bytes) {
        let verdict = here.site.ledger().belief.judge(|trust| verify_state(trust, &proof, now_ms));
        return match outcome(verdict) {
            Ok(state) => Checked::State(state),
            Err(failure) => Checked::Failed(failure),
        };
    }
    Checked::Unreadable
}
