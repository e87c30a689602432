//! From what a text is to what the ledger holds of it: exact hits, each with its place, or the reason of a miss.

use crate::api::documents::SearchAnswer;
use crate::search::{self, Found, Miss};
use crate::site::Site;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    Nothing,
    /// At least one; paths without a language.
    Hits(Vec<Hit>),
    Proof(String),
    Miss(Why),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hit {
    /// `coin`, `height`, `batch`, `log_size`, `contract`, `loan`, `genesis`, `log_root`, `map_root`.
    pub kind: &'static str,
    pub path: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    Text(Miss),
    /// The block of this height confirmed nothing, or lies beyond what is confirmed or kept.
    NoState {
        height: u64,
        before: Option<u64>,
        after: Option<u64>,
    },
    NoBatch {
        batch: u64,
        newest: Option<u64>,
    },
    NoCheckpoint {
        size: u64,
    },
    NoNumber(u64),
    /// 64 hex characters that are no root or genesis.
    Hash,
}

impl Why {
    /// Stable, for programs and locale files.
    pub fn code(&self) -> &'static str {
        match self {
            Why::Text(Miss::ChecksumAt(_)) => "checksum_at",
            Why::Text(Miss::Checksum) => "checksum",
            Why::Text(Miss::Character { .. }) => "character",
            Why::Text(Miss::Length { .. }) => "length",
            Why::Text(Miss::MixedCase) => "mixed_case",
            Why::Text(Miss::OtherPrefix(_)) => "other_prefix",
            Why::Text(Miss::Wallet) => "wallet",
            Why::Text(Miss::TooLong) => "too_long",
            Why::Text(Miss::Unknown) => "unknown",
            Why::NoState { .. } => "no_state",
            Why::NoBatch { .. } => "no_batch",
            Why::NoCheckpoint { .. } => "no_checkpoint",
            Why::NoNumber(_) => "no_number",
            Why::Hash => "hash",
        }
    }

    pub fn at(&self) -> Option<usize> {
        match self {
            Why::Text(Miss::ChecksumAt(at) | Miss::Character { at, .. }) => Some(*at),
            _ => None,
        }
    }
}

pub fn find(site: &Site, text: &str) -> Finding {
    let view = site.ledger().view();
    let tail = &view.tail;
    let at_size = |kind, size: u64| Hit { kind, path: format!("/checkpoints/{size}") };
    let height = |n| tail.at_height(n).map(|state| at_size("height", state.size));
    let batch = |n| tail.with_batch(n).map(|state| at_size("batch", state.size));
    let log_size = |n| tail.at_size(n).map(|state| at_size("log_size", state.size));
    let one = |hit: Option<Hit>, why: Why| hit.map_or(Finding::Miss(why), |hit| Finding::Hits(vec![hit]));
    match search::read(text) {
        Found::Nothing => Finding::Nothing,
        Found::Coin(coin) => Finding::Hits(vec![Hit { kind: "coin", path: format!("/coin/{coin}") }]),
        Found::Height(n) => {
            let before = tail.states().iter().rev().map(|state| state.leaf.height.0).find(|height| *height < n);
            let after = tail.states().iter().map(|state| state.leaf.height.0).find(|height| *height > n);
            one(height(n), Why::NoState { height: n, before, after })
        }
        Found::Batch(n) => {
            let newest = view.tip.as_ref().map(|tip| tip.state().batch().0);
            one(batch(n), Why::NoBatch { batch: n, newest })
        }
        Found::LogSize(n) => one(log_size(n), Why::NoCheckpoint { size: n }),
        Found::Number(n) => {
            let hits: Vec<Hit> = [height(n), batch(n), log_size(n)].into_iter().flatten().collect();
            if hits.is_empty() { Finding::Miss(Why::NoNumber(n)) } else { Finding::Hits(hits) }
        }
        Found::Contract(n) => Finding::Hits(vec![Hit { kind: "contract", path: format!("/contracts/{n}") }]),
        Found::Hash(hash) => {
            let genesis = (hex::encode(hash) == site.genesis_hash())
                .then(|| Hit { kind: "genesis", path: "/verify#genesis".into() });
            let root = || {
                tail.states().iter().find_map(|state| {
                    let kind = match hash {
                        root if root == state.root.0 => "log_root",
                        root if root == state.leaf.map_root.0 => "map_root",
                        _ => return None,
                    };
                    Some(at_size(kind, state.size))
                })
            };
            let loan = || {
                let known = tail.events().receipt(&ledger_types::ObligationId(hash))?;
                Some(Hit { kind: "loan", path: format!("/loans/{}", known.1.obligation) })
            };
            one(genesis.or_else(root).or_else(loan), Why::Hash)
        }
        Found::Proof(text) => Finding::Proof(text),
        Found::Miss(miss) => Finding::Miss(Why::Text(miss)),
    }
}

pub fn as_document(finding: Finding) -> SearchAnswer {
    let (outcome, locations, why) = match finding {
        Finding::Nothing => ("nothing", Vec::new(), None),
        Finding::Hits(hits) => ("hit", hits.into_iter().map(|hit| format!("/en{}", hit.path)).collect(), None),
        Finding::Proof(_) => ("hit", vec!["/en/verify".into()], None),
        Finding::Miss(why) => ("miss", Vec::new(), Some(why)),
    };
    SearchAnswer {
        outcome: outcome.into(),
        locations,
        reason: why.as_ref().map(|why| why.code().into()),
        at: why.as_ref().and_then(Why::at).map(|at| at as u64),
    }
}
