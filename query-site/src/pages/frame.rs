//! What every page has around it: language, navigation, as of when, and the alarms.

use crate::language::Language;
use crate::ledger::{UpstreamStanding, View};
use crate::show;
use crate::site::Site;
use axum::http::Uri;
use ledger_verify::STALE_AFTER_MS;
use std::borrow::Borrow;
use std::sync::Arc;

pub struct Frame {
    pub language: Language,
    pub title: String,
    /// Which entry of the navigation is this page's.
    pub page: &'static str,
    /// Path and query without the language.
    rest: String,
    pub site: Site,
    pub view: Arc<View>,
    pub now_ms: u64,
    pub strip: Option<Strip>,
    pub split: Option<SplitShown>,
    /// No observer answers: since when, if it is known.
    pub silent: bool,
    pub currency: String,
    pub exponent: u8,
    pub validators: usize,
}

/// As of what this page is true.
pub struct Strip {
    pub height: u64,
    pub batch: u64,
    pub log_size: u64,
    pub time: String,
    pub machine_time: String,
    pub signed_at_ms: u64,
    pub age: String,
    pub signers: usize,
    pub is_stale: bool,
}

pub struct SplitShown {
    pub accepted: String,
    pub shown: String,
    pub by: String,
    pub time: String,
}

impl Frame {
    pub fn new(site: &Site, language: Language, uri: &Uri, page: &'static str, title: String) -> Self {
        let (view, now_ms) = (site.ledger().view(), site.now_ms());
        let rest = uri.path_and_query().map_or("", |whole| whole.as_str());
        let rest = rest.strip_prefix(&format!("/{}", language.code())).unwrap_or(rest).to_owned();
        let strip = view.tip.as_ref().map(|tip| {
            let state = tip.state();
            Strip {
                height: state.height().0,
                batch: state.batch().0,
                log_size: state.head().size,
                time: show::time(language, state.time_ms()),
                machine_time: show::machine_time(state.time_ms()),
                signed_at_ms: tip.signed_at_ms,
                age: show::age(language, now_ms.saturating_sub(tip.signed_at_ms)),
                signers: state.signers().len(),
                is_stale: now_ms.abs_diff(tip.signed_at_ms) > STALE_AFTER_MS,
            }
        });
        let split = view.split.as_ref().map(|split| SplitShown {
            accepted: format!("{} · {}", split.accepted.size, split.accepted.root),
            shown: format!("{} · {}", split.shown.size, split.shown.root),
            by: split.by.clone(),
            time: show::time(language, split.seen_at_ms),
        });
        let silent = !view.upstreams.iter().any(|upstream| upstream.standing == UpstreamStanding::Answers);
        let (currency, exponent, validators) = site
            .ledger()
            .belief
            .judge(|trust| (trust.genesis().currency.to_string(), trust.genesis().exponent, trust.validators().len()));
        let site = site.clone();
        Frame { language, title, page, rest, site, view, now_ms, strip, split, silent, currency, exponent, validators }
    }

    pub fn t(&self, key: &str) -> &'static str {
        self.language.t(key)
    }

    pub fn fill(&self, key: &str, values: &[&dyn std::fmt::Display]) -> String {
        self.language.fill(key, values)
    }

    /// As a template calls it: values of one type.
    pub fn say<T: std::fmt::Display>(&self, key: &str, values: impl AsRef<[T]>) -> String {
        let values: Vec<&dyn std::fmt::Display> =
            values.as_ref().iter().map(|value| value as &dyn std::fmt::Display).collect();
        self.language.fill(key, &values)
    }

    /// A path of this site in this page's language.
    pub fn to(&self, path: &str) -> String {
        format!("/{}{path}", self.language.code())
    }

    /// This page in the other language.
    pub fn other(&self) -> String {
        format!("/{}{}", self.language.other().code(), self.rest)
    }

    pub fn amount(&self, minor: u128) -> String {
        show::amount(minor, self.exponent)
    }

    pub fn time(&self, ms: impl Borrow<u64>) -> String {
        show::time(self.language, *ms.borrow())
    }

    pub fn day(&self, ms: impl Borrow<u64>) -> String {
        show::day(self.language, *ms.borrow())
    }

    pub fn machine_time(&self, ms: impl Borrow<u64>) -> String {
        show::machine_time(*ms.borrow())
    }

    pub fn age(&self, since_ms: impl Borrow<u64>) -> String {
        show::age(self.language, self.now_ms.saturating_sub(*since_ms.borrow()))
    }

    pub fn number(&self, n: impl std::fmt::Display) -> String {
        show::grouped(&n.to_string())
    }

    pub fn records(&self, n: impl std::fmt::Display) -> String {
        match n.to_string().as_str() {
            "1" => self.t("batch.record").into(),
            many => self.fill("batch.records", &[&show::grouped(many)]),
        }
    }

    pub fn genesis_hash(&self) -> &str {
        self.site.genesis_hash()
    }

    pub fn mirror(&self) -> Option<&str> {
        self.site.config().mirror.as_deref()
    }

    /// The mark of the current page for the navigation.
    pub fn current(&self, page: &str) -> &'static str {
        if self.page == page { "page" } else { "false" }
    }

    pub fn css(&self) -> &'static str {
        super::assets::css_path()
    }

    pub fn script(&self) -> Option<&'static str> {
        super::assets::script_path()
    }

    /// Texts of the browser's own check (`js.…`), by their names there.
    pub fn script_texts(&self) -> Vec<(&'static str, &'static str)> {
        self.language.below("js.").collect()
    }

    /// Numbers, names and sentences of reasons.
    pub fn reasons(&self) -> Vec<(u16, &'static str, &'static str)> {
        let reason = |reason: &ledger_verify::Reason| {
            let number = reason.number();
            (number, self.reason_name(*reason), self.t(&format!("reason.{number}")))
        };
        ledger_verify::Reason::ALL.iter().map(reason).collect()
    }

    pub fn reason_name(&self, reason: ledger_verify::Reason) -> &'static str {
        self.t(&format!("reason.{}.name", reason.number()))
    }

    pub fn failed_checks(&self) -> Vec<(&'static str, &'static str)> {
        self.language.below("check.").collect()
    }
}
