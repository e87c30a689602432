//! Feeds: the list of them, and one with its history, revisions included.

use super::frame::Frame;
use super::{Here, failure, ok};
use crate::api::contracts::frequency_code;
use crate::chart::{Chart, Line, Shape};
use crate::ledger::contracts::{FeedFound, LISTED_MAX, period_text};
use crate::show;
use askama::Template;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::Uri;
use axum::response::Response;
use ledger_types::encoding::Encode;
use ledger_types::feed::{Feed, FeedDefinition, FeedItem, FeedName, FeedUnit, Frequency};
use ledger_types::{Period, Vintage};
use ledger_verify::{EntryKey, STALE_AFTER_MS};
use serde::Deserialize;

#[derive(Template)]
#[template(path = "feeds.html")]
struct List {
    f: Frame,
    rows: Vec<Row>,
    left_out: u32,
    log_size: u64,
    signers: usize,
}

struct Row {
    number: u32,
    name: String,
    unit: String,
    frequency: &'static str,
    newest: String,
    publishers: String,
}

fn unit(f: &Frame, definition: &FeedDefinition) -> String {
    match definition.unit {
        FeedUnit::Rate => f.t("feed.percent").into(),
        FeedUnit::Index => f.t("feed.index").into(),
        FeedUnit::Money(currency) => currency.to_string(),
    }
}

fn frequency(f: &Frame, frequency: Frequency) -> &'static str {
    f.t(match frequency_code(frequency) {
        "daily" => "feed.daily",
        "monthly" => "feed.monthly",
        "quarterly" => "feed.quarterly",
        _ => "feed.yearly",
    })
}

fn publishers(f: &Frame, definition: &FeedDefinition) -> String {
    f.fill("feed.threshold", &[&definition.threshold, &definition.publishers.len()])
}

pub async fn list(State(here): State<Here>, uri: Uri) -> Response {
    let f = here.frame(&uri, "feeds", here.t("feeds.title"));
    let found = match here.site.ledger().feeds().await {
        Ok(found) => found,
        Err(error) => return failure::no_answer(&here, &uri, &error),
    };
    let row = |feed: &Feed| Row {
        number: feed.definition.feed.0,
        name: feed.definition.name.to_string(),
        unit: unit(&f, &feed.definition),
        frequency: frequency(&f, feed.definition.frequency),
        newest: feed.newest.map_or_else(|| "–".into(), |newest| period_text(newest, feed.definition.frequency)),
        publishers: publishers(&f, &feed.definition),
    };
    ok(&List {
        rows: found.feeds.iter().map(row).collect(),
        left_out: found.count.saturating_sub(LISTED_MAX),
        log_size: found.proved.state.head().size,
        signers: found.proved.state.signers().len(),
        f,
    })
}

#[derive(Deserialize)]
pub struct Page {
    before: Option<u32>,
}

#[derive(Template)]
#[template(path = "feed.html")]
struct One {
    f: Frame,
    name: String,
    number: u32,
    unit: String,
    frequency: &'static str,
    publishers: String,
    keys: Vec<String>,
    step_max: String,
    scale: u8,
    /// Of the newest value, and only on the page that has it.
    standing: Option<(bool, String)>,
    chart: Option<String>,
    items: Vec<Item>,
    older: Option<u32>,
    is_newest_page: bool,
    /// What the browser asks for: this page's periods.
    query: String,
    height: u64,
    log_size: u64,
    signers: usize,
    is_stale: bool,
}

struct Item {
    /// Hex, as the proofs have it.
    key: String,
    period: String,
    vintage: u32,
    value: String,
    published_ms: u64,
    valid_until_ms: u64,
    /// Whether a later vintage stands, it is stale, or it may be read.
    state: &'static str,
    tone: &'static str,
}

pub async fn one(
    State(here): State<Here>,
    uri: Uri,
    path: Result<Path<String>, PathRejection>,
    page: Result<Query<Page>, QueryRejection>,
) -> Response {
    let name = path.ok().and_then(|Path(name)| FeedName::parse(&name));
    let Some(name) = name else { return failure::no_such(&here, &uri, "feeds", failure::NoSuch::Feed) };
    let before = page.ok().and_then(|Query(page)| page.before);
    match here.site.ledger().feed(name.as_str(), before).await {
        Ok(Some(found)) => ok(&shown(&here, &uri, &found, before)),
        Ok(None) => failure::no_such(&here, &uri, "feeds", failure::NoSuch::Feed),
        Err(error) => failure::no_answer(&here, &uri, &error),
    }
}

fn shown(here: &Here, uri: &Uri, found: &FeedFound, before: Option<u32>) -> One {
    let definition = &found.feed.definition;
    let f = here.frame(uri, "feeds", here.language.fill("feed.page_title", &[&definition.name]));
    let state = &found.proved.state;
    let time_ms = state.time_ms();
    let is_newest_page = found.periods.first().map(|(period, _)| *period) == found.feed.newest;
    let standing = found.periods.first().filter(|_| is_newest_page).and_then(|(_, items)| items.last()).map(|item| {
        let is_stale = time_ms > item.head.valid_until_ms;
        let key = if is_stale { "feed.stale_now" } else { "feed.fresh_now" };
        let period = period_text(item.head.period, definition.frequency);
        let value = show::scaled(item.value, definition.scale);
        (is_stale, f.fill(key, &[&value, &period, &f.time(item.head.valid_until_ms)]))
    });
    let mut items = Vec::new();
    for (period, vintages) in &found.periods {
        for item in vintages.iter().rev() {
            let is_last = Some(item) == vintages.last();
            items.push(Item::of(&f, definition, *period, item, is_last, time_ms));
        }
    }
    let signed_at_ms = state.signed_at_ms();
    One {
        chart: chart(&f, found),
        name: definition.name.to_string(),
        number: definition.feed.0,
        unit: unit(&f, definition),
        frequency: frequency(&f, definition.frequency),
        publishers: publishers(&f, definition),
        keys: definition.publishers.iter().map(|key| key.to_string()).collect(),
        step_max: show::scaled(i64::try_from(definition.step_max).unwrap_or(i64::MAX), definition.scale),
        scale: definition.scale,
        standing,
        items,
        older: found.older.map(|period| period.0),
        is_newest_page,
        query: before.map_or_else(String::new, |before| format!("?before={before}")),
        height: state.height().0,
        log_size: state.head().size,
        signers: state.signers().len(),
        is_stale: f.now_ms.abs_diff(signed_at_ms) > STALE_AFTER_MS,
        f,
    }
}

impl Item {
    fn of(
        f: &Frame,
        definition: &FeedDefinition,
        period: Period,
        item: &FeedItem,
        is_last: bool,
        time_ms: u64,
    ) -> Self {
        let vintage = Vintage(item.head.vintage.0);
        let (key, tone) = match (is_last, time_ms > item.head.valid_until_ms) {
            (false, _) => ("feed.revised", "soft"),
            (true, true) => ("feed.stale", "warn"),
            (true, false) => ("feed.fresh", "good"),
        };
        Item {
            key: hex::encode(EntryKey::FeedItem(definition.feed, period, vintage).to_bytes()),
            period: period_text(period, definition.frequency),
            vintage: vintage.0,
            value: show::scaled(item.value, definition.scale),
            published_ms: item.head.published_ms,
            valid_until_ms: item.head.valid_until_ms,
            state: f.t(key),
            tone,
        }
    }
}

/// The last word on each period, and, where it was revised, the first.
fn chart(f: &Frame, found: &FeedFound) -> Option<String> {
    let definition = &found.feed.definition;
    let unit = 10f64.powi(i32::from(definition.scale));
    let points = |of: &dyn Fn(&[FeedItem]) -> Option<FeedItem>| {
        let point =
            |(period, items): &(Period, Vec<FeedItem>)| Some((u64::from(period.0), of(items)?.value as f64 / unit));
        found.periods.iter().rev().filter_map(point).collect::<Vec<_>>()
    };
    let (last, first) = (points(&|items| items.last().copied()), points(&|items| items.first().copied()));
    let (begin, end) = (*last.first()?, *last.last()?);
    let label = |period: u64| period_text(Period(u32::try_from(period).unwrap_or(u32::MAX)), definition.frequency);
    let is_revised = last != first;
    let key = if is_revised { "feed.chart_revised" } else { "feed.chart_text" };
    let description = f.fill(key, &[&label(begin.0), &label(end.0), &begin.1, &end.1]);
    let mut lines = vec![Line { class: "line-a", points: last, shape: Shape::Steps }];
    if is_revised {
        lines.push(Line { class: "line-c", points: first, shape: Shape::Steps });
    }
    Chart {
        id: "feed",
        title: f.t("feed.chart_title"),
        description: &description,
        lines: &lines,
        x_label: &|at, _| label(at),
        y_label: &|value| format!("{value}"),
    }
    .svg_around()
}
