//! The answer of the search box: an exact hit redirects, several exact ones are offered, a miss says why.

use super::finding::{Finding, Hit, Why, find};
use super::frame::Frame;
use super::{Here, html, ok, redirect};
use crate::search::Miss;
use askama::Template;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use serde::Deserialize;

#[derive(Deserialize)]
pub struct Asked {
    #[serde(default)]
    q: String,
}

#[derive(Template)]
#[template(path = "search.html")]
struct Page {
    f: Frame,
    asked: String,
    hits: Vec<Hit>,
    why: Option<String>,
    help: Option<&'static str>,
    /// The text around the character at fault.
    fault: Option<(String, String, String)>,
}

pub async fn page(State(here): State<Here>, uri: Uri, asked: Result<Query<Asked>, QueryRejection>) -> Response {
    let asked = asked.map(|Query(asked)| asked.q).unwrap_or_default();
    let frame = || here.frame(&uri, "search", here.t("search.title"));
    let (hits, why) = match find(&here.site, &asked) {
        Finding::Nothing => return redirect(StatusCode::SEE_OTHER, &format!("/{}", here.language.code()), false),
        Finding::Hits(hits) if hits.len() == 1 => {
            return redirect(StatusCode::SEE_OTHER, &format!("/{}{}", here.language.code(), hits[0].path), false);
        }
        Finding::Proof(text) => return super::proof::show(&here, &uri, &text),
        Finding::Hits(hits) => (hits, None),
        Finding::Miss(why) => (Vec::new(), Some(why)),
    };
    let f = frame();
    match why {
        None => ok(&Page { f, asked, hits, why: None, help: None, fault: None }),
        Some(why) => miss(f, asked, &why, StatusCode::NOT_FOUND),
    }
}

/// Also of a coin's address that is none.
pub fn miss(f: Frame, asked: String, why: &Why, status: StatusCode) -> Response {
    let text = sentence(&f, why);
    let help = match why {
        Why::Text(
            Miss::ChecksumAt(_) | Miss::Checksum | Miss::Character { .. } | Miss::Length { .. } | Miss::MixedCase,
        ) => Some(f.t("miss.help.copy")),
        Why::Text(Miss::Wallet) => Some(f.t("miss.help.wallet")),
        Why::Hash => Some(f.t("miss.help.hash")),
        _ => None,
    };
    let fault = why.at().and_then(|at| around(&asked, at));
    let asked = shown(&asked);
    html(status, &Page { f, asked, hits: Vec::new(), why: Some(text), help, fault })
}

fn sentence(f: &Frame, why: &Why) -> String {
    let key = format!("miss.{}", why.code());
    match why {
        Why::Text(Miss::ChecksumAt(at)) => f.fill(&key, &[at]),
        Why::Text(Miss::Character { at, found }) => f.fill(&key, &[at, found]),
        Why::Text(Miss::Length { found }) => f.fill(&key, &[&ledger_types::CoinId::TEXT_LEN, found]),
        Why::Text(Miss::OtherPrefix(prefix)) => f.fill(&key, &[prefix]),
        Why::NoState { height, before, after } => {
            let around: Vec<String> = before.iter().chain(after).map(u64::to_string).collect();
            match around.is_empty() {
                true => f.fill("miss.no_state_at_all", &[height]),
                false => f.fill(&key, &[height, &around.join(f.t("list.comma"))]),
            }
        }
        Why::NoBatch { batch, newest } => f.fill(&key, &[batch, &newest.map_or("–".into(), |n| n.to_string())]),
        Why::NoCheckpoint { size } => f.fill(&key, &[size]),
        Why::NoNumber(n) => f.fill(&key, &[n]),
        Why::Text(Miss::Checksum | Miss::MixedCase | Miss::Wallet | Miss::TooLong | Miss::Unknown) | Why::Hash => {
            f.t(&key).to_owned()
        }
    }
}

/// Character `at` (from 1) of the coin id in what was typed, between what stands before and after it.
fn around(asked: &str, at: usize) -> Option<(String, String, String)> {
    let joined: String = asked.chars().filter(|c| !c.is_whitespace()).collect();
    let begin = joined.to_ascii_lowercase().find("coin1")?;
    let id: Vec<char> = joined.get(begin..)?.chars().take(80).collect();
    let fault = id.get(at.checked_sub(1)?)?;
    Some((id[..at - 1].iter().collect(), fault.to_string(), id[at..].iter().collect()))
}

/// Enough of it to recognise it.
fn shown(asked: &str) -> String {
    asked.trim().chars().take(200).collect()
}
