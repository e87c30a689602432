//! Contracts, feeds and loans of the small registry, and how an observer serves them, honestly or not.

use super::chain::{Purpose, Registry, key};
use super::{Manner, Observer, Of, not_found, refused};
use assay_site::trial::{Asked, try_out};
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use contracts_vm::{Package, Readings};
use ledger_types::contract::*;
use ledger_types::encoding::{Decode, Encode, List, Octets};
use ledger_types::feed::*;
use ledger_types::log_leaf::LogLeaf;
use ledger_types::*;
use ledger_verify::EntryKey;
use node_api::contracts as doc;
use serde_json::json;
use std::collections::HashMap;
use std::sync::Arc;

pub const LPR: FeedNumber = FeedNumber(1);
pub const GDP: FeedNumber = FeedNumber(2);

pub fn bridge(version: u32) -> String {
    let rate = if version == 1 { "lpr - 50 bp" } else { "lpr - 100 bp" };
    format!(
        r#"policy "bridge" version {version}
currency CNY
feed lpr = "cn.lpr.1y" monthly percent scale 2, at most 60 days old, latest vintage, when stale deny
feed gdp = "cn.gdp.real" quarterly index scale 1, at most 200 days old, latest vintage, when stale deny

effective when
    time from 2023-01-01 until 2100-01-01
    sector in ISIC {{ A, C10..C12 }}
    loan rate <= lpr + 150 bp
    loan term <= 3 years

idle after 60 days
due 30 days after loan term

return rate
    when gdp falls 2 quarters in a row : 0.50 %
    otherwise {rate}
    clamp 0.10 % .. 4.00 %, step 1 bp
"#
    )
}

fn plain(name: &str) -> String {
    format!(
        "policy \"{name}\" version 1\ncurrency CNY\n\neffective when\n    loan rate <= 6.00 %\n\nidle after 30 days\n\
         due 10 days after loan term\n\nreturn rate\n    otherwise 1.00 %\n    clamp 0.10 % .. 4.00 %, step 1 bp\n"
    )
}

/// The hash that contract 4 says its back-test's report has: of a report that nobody has.
pub const REPORT: [u8; 32] = [0xab; 32];

/// What was asked of history when `bridge` was deployed.
pub fn question(version: u32) -> Asked {
    Asked {
        policy: bridge(version),
        sector: "C10".into(),
        rate: "6.00".into(),
        years_later: "52".into(),
        rounds: true,
        ..Asked::default()
    }
}

/// The hash of the report that contract 1 was deployed with: as the try-out page makes it.
pub fn bridge_report(version: u32) -> [u8; 32] {
    let trial = try_out(question(version), contracts_vm::Language::English);
    trial
        .answer
        .ok()
        .and_then(|tried| tried.replayed.ok())
        .expect("it is a policy, and history has its feeds")
        .report_blake3
}

pub fn owed() -> ObligationId {
    ObligationId([4; 32])
}

/// Of the newest receipt.
pub fn returned(registry: &Registry) -> ObligationId {
    receipts(registry).first().expect("one was returned").1.obligation
}

pub fn receipts(registry: &Registry) -> Vec<(u64, Receipt)> {
    let receipt = |(index, leaf): (usize, &Vec<u8>)| match LogLeaf::from_bytes(leaf) {
        Ok(LogLeaf::Receipt(receipt)) => Some((index as u64, receipt)),
        _ => None,
    };
    registry.leaves.iter().enumerate().rev().filter_map(receipt).collect()
}

fn definition(feed: FeedNumber, name: &str, unit: FeedUnit, scale: u8, frequency: Frequency) -> FeedDefinition {
    FeedDefinition {
        feed,
        name: FeedName::parse(name).unwrap(),
        unit,
        scale,
        frequency,
        publishers: List::new((1..=3).map(|n| key(Purpose::Owner, 40 + n).public_key()).collect()).unwrap(),
        threshold: 2,
        step_max: 500,
    }
}

/// Periods without a gap up to the newest that ended before `time_ms`; every fourth is revised.
fn publish(registry: &mut Registry, definition: FeedDefinition, values: &[i64], time_ms: u64) {
    let calendar = assay_site::ledger::contracts::calendar(definition.frequency);
    let newest = contracts_vm::Period::containing(calendar, time_ms).0 - 1;
    let first = newest - values.len() as i32 + 1;
    for (n, value) in values.iter().enumerate() {
        let period = Period((first + n as i32) as u32);
        let end = contracts_vm::Period(period.0 as i32).end(calendar).unwrap().start_ms();
        for vintage in 0..=u32::from(n % 4 == 3) {
            let published_ms = end + u64::from(vintage) * 20 * DAY_MS;
            let head = ItemHead {
                feed: definition.feed,
                period,
                vintage: Vintage(vintage),
                scale: definition.scale,
                published_ms: published_ms.min(time_ms - 1_000),
                valid_until_ms: published_ms + 200 * DAY_MS,
            };
            let item = FeedItem { head, value: value + 5 * i64::from(vintage) };
            registry.put(EntryKey::FeedItem(definition.feed, period, Vintage(vintage)), &item);
        }
    }
    registry.append(&LogLeaf::Feed(definition.clone()));
    registry.put(EntryKey::Feed(definition.feed), &Feed { newest: Some(Period(newest as u32)), definition });
}

struct Given(Vec<Vec<contracts_vm::Reading>>);

impl Readings for Given {
    fn reading(&self, feed: usize, back: u16) -> Option<contracts_vm::Reading> {
        self.0.get(feed)?.get(usize::from(back)).copied()
    }
}

/// The last vintages of a feed, newest period first.
fn last_vintages(registry: &Registry, feed: FeedNumber) -> Vec<FeedItem> {
    let mut last: Vec<FeedItem> = Vec::new();
    let mut items: Vec<FeedItem> = registry
        .entries
        .iter()
        .filter_map(|(key, value)| match key {
            EntryKey::FeedItem(of, ..) if *of == feed => Some(FeedItem::from_bytes(value).unwrap()),
            _ => None,
        })
        .collect();
    items.sort_by_key(|item| std::cmp::Reverse((item.head.period.0, item.head.vintage.0)));
    for item in items {
        if last.last().is_none_or(|newer| newer.head.period != item.head.period) {
            last.push(item);
        }
    }
    last
}

/// Contract 1 in force with a version before it, 2 stopped, 3 in notice, 4 retired; two feeds; a loan that is owed, one returned.
pub fn deploy(registry: &mut Registry, time_ms: u64) {
    let lpr: Vec<i64> = (0..46).map(|n| 430 - 2 * n + (n % 5) * 3).collect();
    publish(registry, definition(LPR, "cn.lpr.1y", FeedUnit::Rate, 2, Frequency::Monthly), &lpr, time_ms);
    let gdp: Vec<i64> = (0..14).map(|n| 1_000 + 11 * n - if n > 11 { 25 * (n - 11) } else { 0 }).collect();
    publish(registry, definition(GDP, "cn.gdp.real", FeedUnit::Index, 1, Frequency::Quarterly), &gdp, time_ms);

    let contracts: [(u32, Vec<String>, ContractHead, [u64; 2]); 4] = [
        (1, vec![bridge(1), bridge(2)], head(2, 0, None), [4, 7]),
        (2, vec![plain("harvest")], head(1, 1, None), [5, 0]),
        (3, vec![plain("later")], head(1, 0, None), [1_000_000_000, 0]),
        (4, vec![plain("spring")], head(1, 0, Some(8)), [5, 0]),
    ];
    for (number, sources, head, binds_at) in contracts {
        let contract = ContractNumber(number);
        for (n, source) in sources.iter().enumerate() {
            let package = Package::of(source).unwrap_or_else(|wrong| panic!("{source}: {wrong:?}")).to_bytes();
            let (policy, version) = (policy_hash(&registry.chain, &package), PolicyVersion(n as u32 + 1));
            let report = match number {
                1 => bridge_report(n as u32 + 1),
                4 => REPORT,
                _ => [0; 32],
            };
            let (deployed_at, binds_at) = (Height(2 + n as u64), Height(binds_at[n]));
            let action = ContractAction::Deploy;
            registry.append(&LogLeaf::Contract(ContractEvent { action, contract, version, policy, report, binds_at }));
            registry
                .put(EntryKey::Version(contract, version), &DeployedPolicy { policy, report, deployed_at, binds_at });
            registry.packages.push(package);
            if head.stopped.0 > 0 {
                let action = ContractAction::Stop;
                registry.append(&LogLeaf::Contract(ContractEvent {
                    action,
                    contract,
                    version,
                    policy,
                    report,
                    binds_at: Height(8),
                }));
            }
        }
        registry.put(EntryKey::Contract(contract), &head);
    }
    lend(registry, time_ms);
}

/// A contract whose source and explanations say this, as no honest deployment could: its program is another's.
pub fn deploy_text(registry: &mut Registry, number: u32, text: &str) {
    let program = Package::of(&plain("harvest")).unwrap().program.to_bytes();
    let mut package = b"APK\x01".to_vec();
    for field in [&program[..], text.as_bytes(), text.as_bytes(), text.as_bytes()] {
        package.extend((field.len() as u32).to_be_bytes());
        package.extend(field);
    }
    let (contract, policy) = (ContractNumber(number), policy_hash(&registry.chain, &package));
    let deployed = DeployedPolicy { policy, report: [0; 32], deployed_at: Height(1), binds_at: Height(3) };
    registry.put(EntryKey::Version(contract, PolicyVersion(1)), &deployed);
    registry.put(EntryKey::Contract(contract), &head(1, 0, None));
    registry.packages.push(package);
}

fn head(newest: u32, stopped: u32, retires_at: Option<u64>) -> ContractHead {
    ContractHead { newest: PolicyVersion(newest), stopped: PolicyVersion(stopped), retires_at: retires_at.map(Height) }
}

fn lend(registry: &mut Registry, time_ms: u64) {
    let (contract, version) = (ContractNumber(1), PolicyVersion(1));
    let package = registry.packages[0].clone();
    let policy = policy_hash(&registry.chain, &package);
    registry.put(EntryKey::Obligation(owed()), &Obligation::on_the_day(contract, version, policy, time_ms, 30));
    let program = Package::as_deployed(&package).unwrap().program;
    let reading = |item: &FeedItem| contracts_vm::Reading {
        period: contracts_vm::Period(item.head.period.0 as i32),
        vintage: item.head.vintage.0,
        value: item.value,
        published_ms: item.head.published_ms,
        valid_until_ms: item.head.valid_until_ms,
    };
    let feeds = [LPR, GDP];
    let given = Given(feeds.map(|feed| last_vintages(registry, feed).iter().map(reading).collect()).to_vec());
    for (n, held_days) in [(1u8, 40), (2, 90)] {
        let from_ms = (time_ms - held_days * DAY_MS) / DAY_MS * DAY_MS;
        let evaluation = program.return_rate(&contracts_vm::Return { activated_ms: from_ms, time_ms }, &given);
        let input = |used: &contracts_vm::InputUsed| ReceiptInput {
            feed: feeds[usize::from(used.feed)],
            back: used.back,
            found: used.reading.map(|reading| ReadValue {
                period: Period(reading.period.0 as u32),
                vintage: Vintage(reading.vintage),
                value: reading.value,
            }),
        };
        registry.append(&LogLeaf::Receipt(Receipt {
            obligation: ObligationId([n; 32]),
            contract,
            version,
            policy,
            rate: evaluation.value.0,
            from_ms,
            to_ms: time_ms,
            fuel: evaluation.fuel,
            inputs: List::new(evaluation.inputs.iter().map(input).collect()).unwrap(),
        }));
    }
}

pub fn routes() -> Router<Arc<Observer>> {
    Router::new()
        .route("/v1/contracts", get(contracts))
        .route("/v1/contracts/{number}", get(contract))
        .route("/v1/feeds", get(feeds))
        .route("/v1/feeds/{name}", get(feed))
        .route("/v1/obligations", get(obligations))
        .route("/v1/receipts/{obligation}", get(receipt))
        .route("/v1/entries", get(entries))
}

fn value<T: Decode>(registry: &Registry, key: EntryKey) -> Option<T> {
    let (_, bytes) = registry.entries.iter().find(|(known, _)| *known == key)?;
    Some(T::from_bytes(bytes).unwrap())
}

fn package_of(registry: &Registry, policy: &PolicyHash) -> Vec<u8> {
    let is_its = |bytes: &&Vec<u8>| policy_hash(&registry.chain, bytes) == *policy;
    registry.packages.iter().find(is_its).expect("it was deployed").clone()
}

/// As a node that never heard of what is believed here would say it.
fn summary(registry: &Registry, number: u32) -> Option<doc::ContractSummary> {
    let contract = ContractNumber(number);
    let head: ContractHead = value(registry, EntryKey::Contract(contract))?;
    let height = registry.states.last().unwrap().0.height.next();
    let binding = (1..=head.newest.0).rev().find(|version| {
        let policy: DeployedPolicy = value(registry, EntryKey::Version(contract, PolicyVersion(*version))).unwrap();
        policy.binds_at <= height
    });
    Some(doc::ContractSummary {
        contract: number,
        name: "what an observer calls it".into(),
        version: head.newest.0,
        state: "in_force".into(),
        version_in_force: binding,
        retires_at: None,
    })
}

async fn contracts(State(observer): Of) -> Response {
    let registry = observer.registry.lock().unwrap();
    let mut contracts: Vec<_> = (1..).map_while(|number| summary(&registry, number)).collect();
    if observer.manner() == Manner::SaysLess {
        contracts.pop();
    }
    Json(doc::Contracts { height: 9, contracts }).into_response()
}

async fn contract(State(observer): Of, Path(number): Path<u32>) -> Response {
    let registry = observer.registry.lock().unwrap();
    let Some(mut summary) = summary(&registry, number) else { return not_found() };
    if observer.manner() == Manner::KnowsNothing {
        return not_found();
    }
    if observer.manner() == Manner::SaysLess {
        summary.version = 1;
        summary.version_in_force = Some(1);
    }
    let shown = if observer.manner() == Manner::OtherSource { number % 4 + 1 } else { number };
    let version = |version: u32| {
        let of = |number| {
            let key = EntryKey::Version(ContractNumber(number), PolicyVersion(version));
            value::<DeployedPolicy>(&registry, key)
        };
        let deployed = of(shown).or_else(|| of(number)).unwrap();
        let bytes = package_of(&registry, &deployed.policy);
        let package = Package::as_deployed(&bytes).unwrap();
        doc::ContractVersion {
            version,
            policy: deployed.policy.to_string(),
            report: None,
            deployed_at: deployed.deployed_at.0,
            binds_at: deployed.binds_at.0,
            source: package.source,
            explanation_en: package.english,
            explanation_zh: package.chinese,
            package: hex::encode(bytes),
        }
    };
    let versions = (1..=summary.version).map(version).collect();
    Json(doc::Contract { summary, versions, as_of: None, proof: None }).into_response()
}

fn feed_summary(feed: &Feed) -> doc::FeedSummary {
    doc::FeedSummary {
        feed: feed.definition.feed.0,
        name: feed.definition.name.to_string(),
        unit: "percent".into(),
        scale: 9,
        frequency: "yearly".into(),
        publishers: Vec::new(),
        threshold: 1,
        step_max: 0,
        newest_period: feed.newest.map(|period| period.0),
    }
}

fn all_feeds(registry: &Registry) -> Vec<Feed> {
    (1..).map_while(|number| value(registry, EntryKey::Feed(FeedNumber(number)))).collect()
}

async fn feeds(State(observer): Of) -> Response {
    let registry = observer.registry.lock().unwrap();
    let mut feeds: Vec<_> = all_feeds(&registry).iter().map(feed_summary).collect();
    if observer.manner() == Manner::SaysLess {
        feeds.pop();
    }
    Json(doc::Feeds { height: 9, feeds }).into_response()
}

async fn feed(State(observer): Of, Path(name): Path<String>) -> Response {
    let registry = observer.registry.lock().unwrap();
    let Some(feed) = all_feeds(&registry).into_iter().find(|feed| feed.definition.name.as_str() == name) else {
        return not_found();
    };
    if observer.manner() == Manner::KnowsNothing {
        return not_found();
    }
    let mut items: Vec<doc::Item> = Vec::new();
    for (key, bytes) in &registry.entries {
        match (key, FeedItem::from_bytes(bytes)) {
            (EntryKey::FeedItem(of, ..), Ok(item)) if *of == feed.definition.feed => items.push(doc::Item {
                period: item.head.period.0,
                period_text: "as the observer writes it".into(),
                vintage: item.head.vintage.0,
                value: 7,
                published_ms: 1,
                valid_until_ms: 2,
            }),
            _ => {}
        }
    }
    items.sort_by_key(|item| (item.period, item.vintage));
    let mut summary = feed_summary(&feed);
    if observer.manner() == Manner::SaysLess {
        let newest = summary.newest_period.unwrap();
        items.retain(|item| item.period < newest);
        summary.newest_period = Some(newest - 1);
    }
    Json(doc::Feed { summary, items, as_of: None, proof: None }).into_response()
}

async fn obligations(State(observer): Of, Query(of): Query<HashMap<String, u32>>) -> Response {
    let registry = observer.registry.lock().unwrap();
    let open = registry.entries.iter().filter_map(|(key, bytes)| match (key, Obligation::from_bytes(bytes)) {
        (EntryKey::Obligation(id), Ok(owed)) if owed.contract.0 == of["contract"] => Some(doc::Obligation {
            obligation: id.to_string(),
            contract: owed.contract.0,
            version: owed.version.0,
            policy: owed.policy.to_string(),
            activated_ms: 0,
            due_ms: 0,
        }),
        _ => None,
    });
    Json(open.collect::<Vec<_>>()).into_response()
}

async fn receipt(State(observer): Of, Path(id): Path<String>) -> Response {
    let registry = observer.registry.lock().unwrap();
    let found = receipts(&registry).into_iter().find(|(_, receipt)| receipt.obligation.to_string() == id);
    let Some((_, receipt)) = found.filter(|_| observer.manner() != Manner::KnowsNothing) else { return not_found() };
    let leaf = LogLeaf::Receipt(receipt.clone());
    let mut proof = registry.leaf_proof_with(&leaf, &observer.checkpoint(&registry));
    if observer.manner() == Manner::OtherRate {
        proof.leaf = LogLeaf::Receipt(Receipt { rate: receipt.rate + 100, ..receipt });
    }
    Json(json!({
        "index": 0, "obligation": id, "contract": 1, "version": 1, "policy": "", "rate": 1, "from_ms": 0, "to_ms": 0,
        "fuel": 0, "inputs": [], "as_of": { "log_size": 0, "height": 0, "time_ms": 0, "age_ms": 0, "signers": 0 },
        "proof": hex::encode(proof.to_bytes()),
    }))
    .into_response()
}

async fn entries(State(observer): Of, Query(asked): Query<HashMap<String, String>>) -> Response {
    let registry = observer.registry.lock().unwrap();
    let key = |text: &str| hex::decode(text).ok().and_then(|bytes| EntryKey::from_bytes(&bytes).ok());
    let Some(keys) = asked["keys"].split(',').map(key).collect::<Option<Vec<_>>>() else {
        return refused(400, "bad_query");
    };
    if keys.len() > doc::ENTRIES_MAX {
        return refused(400, "bad_query");
    }
    let mut entries: Vec<_> = keys.iter().map(|key| registry.entry_in_state(*key)).collect();
    match observer.manner() {
        Manner::EntryLeftOut => {
            entries.pop();
        }
        Manner::OtherValue => {
            for entry in &mut entries {
                if let (EntryKey::FeedItem(..), Some(bytes)) = (entry.key, &entry.value) {
                    let item = FeedItem::from_bytes(bytes).unwrap();
                    let altered = FeedItem { value: item.value + 1, ..item };
                    entry.value = Some(Octets::new(altered.to_bytes()).unwrap());
                }
            }
        }
        _ => {}
    }
    let state = registry.state_proof_with(&observer.checkpoint(&registry));
    Json(json!({
        "as_of": { "log_size": 0, "height": 0, "time_ms": 0, "age_ms": 0, "signers": 0 },
        "state": hex::encode(state.to_bytes()),
        "entries": entries.iter().map(|entry| hex::encode(entry.to_bytes())).collect::<Vec<_>>(),
    }))
    .into_response()
}
