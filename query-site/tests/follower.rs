//! The follower: growth, consistency, split views, and which observers it refuses.

use crate::support;

use axum::http::StatusCode;
use ledger_types::confirmation::RecordStatus;
use ledger_types::request::RequestClass;
use support::chain::Registry;
use support::{Manner, Observer, fixture, fixture_over, registry};

/// One more batch that confirms coin `number`.
fn grow(registry: &mut Registry, number: u8, height: u64) {
    let line = registry.live(number);
    registry.confirm(height, &[line]);
}

#[tokio::test]
async fn the_site_follows_the_log_as_it_grows_and_measures_how_long_a_confirmation_took() {
    let fixture = fixture().await;
    grow(&mut fixture.observer.registry.lock().unwrap(), 8, 12);
    fixture.later(1_000);
    fixture.site.ledger().look().await;
    let states = fixture.get("/v1/states").await.json();
    assert_eq!((&states[0]["height"], &states[0]["batch"], &states[0]["records"]), (&12.into(), &4.into(), &1.into()));
    // The block's time is twelve seconds after the genesis.
    let expected = support::chain::NOW_MS + 1_000 - support::chain::GENESIS_TIME_MS - 12_000;
    assert_eq!(states[0]["confirmed_after_ms"], expected);
    assert_eq!(states[1]["confirmed_after_ms"], serde_json::Value::Null, "it was there before the site watched");
    fixture.get("/en").await.has("Batch 4");
    fixture.get("/en/network").await.has("Confirmations seen").has_not("No confirmation yet");
}

#[tokio::test]
async fn a_log_of_more_than_a_tile_is_read_from_its_end_and_batches_are_counted() {
    let mut long = Registry::new();
    for height in 1..=300 {
        let lines = [long.live((height % 200) as u8 + 4)];
        long.confirm(height, &lines);
    }
    let observer = Observer::start(long).await;
    let fixture = fixture_over(&[observer], |config| config.cache.history_leaves = 300).await;
    let states = fixture.get("/v1/states?limit=500").await.json();
    let states = states.as_array().unwrap();
    let size = fixture.observer.registry.lock().unwrap().size();
    // 604 leaves: the tail begins at leaf 256, a tile's beginning.
    assert_eq!((states.len() as u64, states[0]["log_size"].as_u64()), ((size - 256) / 2, Some(size)));
    assert!(states[..states.len() - 1].iter().all(|state| state["records"] == 1));
    let root = states[100]["log_root"].as_str().unwrap();
    let registry = fixture.observer.registry.lock().unwrap();
    let at = states[100]["log_size"].as_u64().unwrap();
    assert_eq!(root, hex::encode(ledger_tree::log::root(&registry.rows, at).unwrap()));
}

/// A batch that brings requests of the officers into the log.
fn ask_for(registry: &mut Registry, requests: &[(RequestClass, u8)], height: u64) {
    for (class, number) in requests {
        registry.log_request(registry.request(*class, *number));
    }
    registry.confirm(height, &[]);
}

#[tokio::test]
async fn the_officers_requests_are_counted_from_the_logs_leaves_and_grow_with_it() {
    let mut asked = registry();
    let first = asked.size();
    ask_for(&mut asked, &[(RequestClass::Disclose, 4), (RequestClass::Freeze, 5)], 10);
    let observer = Observer::start(asked).await;
    let fixture = fixture_over(&[observer], |_| {}).await;
    let counts = |found: &serde_json::Value| ["disclose", "freeze", "unfreeze"].map(|class| found[class].clone());
    let found = fixture.get("/v1/disclosures").await.json();
    assert_eq!(counts(&found), [1, 1, 0].map(serde_json::Value::from));
    assert_eq!((&found["first_leaf"], &found["log_size"]), (&0.into(), &found["as_of"]["log_size"]));
    ask_for(&mut fixture.observer.registry.lock().unwrap(), &[(RequestClass::Disclose, 6)], 12);
    fixture.site.ledger().look().await;
    let found = fixture.get("/v1/disclosures").await;
    let read: node_api::ledger::Disclosures = serde_json::from_str(&found.body).unwrap();
    assert_eq!((read.disclose, read.freeze, read.unfreeze), (2, 1, 0));
    let by_basis: Vec<_> = read.by_basis.iter().map(|one| (&*one.class, &*one.basis, one.count)).collect();
    assert_eq!(by_basis, [("disclose", "COURT-9", 2), ("freeze", "COURT-9", 1)]);
    // Two requests and the state between.
    let indexes: Vec<u64> = read.newest.iter().map(|request| request.index).collect();
    assert_eq!(indexes, [first + 3, first + 1, first]);
    for (number, request) in [6, 5, 4].into_iter().zip(&read.newest) {
        // Of the coin nothing stands there.
        assert!(!found.body.contains(&fixture.coin(number)), "{request:?}");
    }
    let page = fixture.get("/en/disclosures").await;
    page.has("COURT-9").has("Counted by this site in the whole log").has(&read.newest[0].commitment);
    fixture.get("/zh/disclosures").await.has("披露").has("COURT-9");
}

#[tokio::test]
async fn a_site_that_has_read_the_end_of_the_log_alone_says_from_where_it_counts() {
    let mut long = Registry::new();
    ask_for(&mut long, &[(RequestClass::Freeze, 5)], 1);
    for height in 2..=300 {
        let lines = [long.live((height % 200) as u8 + 4)];
        long.confirm(height, &lines);
    }
    ask_for(&mut long, &[(RequestClass::Unfreeze, 5)], 301);
    let observer = Observer::start(long).await;
    let fixture = fixture_over(&[observer], |config| config.cache.history_leaves = 300).await;
    let counted = async || {
        let found = fixture.get("/v1/disclosures").await.json();
        ["freeze", "unfreeze", "first_leaf"].map(|field| found[field].as_u64().unwrap())
    };
    assert_eq!(counted().await, [0, 1, 256]);
    fixture.get("/en/disclosures").await.has("in leaves 256 to ");
    // Leaves that do not lead to the signed root are not counted.
    let honest = {
        let mut registry = fixture.observer.registry.lock().unwrap();
        let request = registry.leaves[0].clone();
        std::mem::replace(&mut registry.leaves[9], request)
    };
    fixture.site.ledger().look().await;
    assert_eq!(counted().await, [0, 1, 256]);
    fixture.observer.registry.lock().unwrap().leaves[9] = honest;
    fixture.site.ledger().look().await;
    assert_eq!(counted().await, [1, 1, 0]);
    fixture.get("/en/disclosures").await.has("in the whole log");
}

#[tokio::test]
async fn a_site_that_starts_on_a_long_log_counts_the_officers_requests_back_to_its_first_leaf() {
    let mut long = Registry::new();
    let requests = 3_000;
    ask_for(&mut long, &vec![(RequestClass::Freeze, 5); requests], 1);
    let observer = Observer::start(long).await;
    let fixture = fixture_over(&[observer], |config| config.cache.history_leaves = 300).await;
    let mut first_leaves = Vec::new();
    loop {
        let found = fixture.get("/v1/disclosures").await.json();
        let first = found["first_leaf"].as_u64().unwrap();
        first_leaves.push(first);
        assert!(first_leaves.len() <= 3, "a look reads eight bundles back: {first_leaves:?}");
        let newest: Vec<u64> =
            found["newest"].as_array().unwrap().iter().map(|request| request["index"].as_u64().unwrap()).collect();
        let last = found["log_size"].as_u64().unwrap() - 2;
        assert_eq!(newest, (0..100).map(|n| last - n).collect::<Vec<_>>());
        if first == 0 {
            assert_eq!((&found["freeze"], &found["by_basis"][0]["count"]), (&requests.into(), &requests.into()));
            break;
        }
        // It grows meanwhile, and reaches back all the same.
        assert_eq!(found["freeze"].as_u64(), Some(last + 1 - first), "as many as it says it read");
        fixture.site.ledger().look().await;
    }
    assert_eq!(first_leaves, [2_560, 512, 0]);
}

#[tokio::test]
async fn without_tiles_the_site_still_answers_and_shows_no_list() {
    let observer = Observer::start(registry()).await;
    observer.has_tiles.store(false, std::sync::atomic::Ordering::Relaxed);
    let fixture = fixture_over(&[observer], |_| {}).await;
    fixture.get("/en/checkpoints").await.has("gives no leaves of the log");
    fixture.get("/en/disclosures").await.has("gives no leaves of the log");
    // No count, rather than a count of nothing.
    assert_eq!(fixture.get("/v1/disclosures").await.status, StatusCode::SERVICE_UNAVAILABLE);
    fixture
        .get(&format!("/en/coin/{}", fixture.coin(4)))
        .await
        .has("Genuine and unspent")
        .has("beyond the history kept here");
    fixture.get("/en/supply").await.has("70.00");
}

#[tokio::test]
async fn a_log_that_was_rewritten_is_a_split_view_in_red_on_every_page_and_stays_one() {
    let fixture = fixture().await;
    let honest = fixture.observer.registry.lock().unwrap().clone();
    // Signed by everybody, of the same size, and other.
    let mut other = Registry::new();
    let lines = [other.live(20), other.live(21), other.live(22)];
    other.confirm(3, &lines);
    let lines = [other.live(23)];
    other.confirm(5, &lines);
    while other.size() + 2 < honest.size() {
        other.log_request(other.request(RequestClass::Freeze, 20));
    }
    other.confirm(9, &lines);
    assert_eq!(other.size(), honest.size());
    *fixture.observer.registry.lock().unwrap() = other;
    fixture.site.ledger().look().await;
    assert_split(&fixture).await;
    *fixture.observer.registry.lock().unwrap() = honest;
    fixture.site.ledger().look().await;
    assert_split(&fixture).await;
}

async fn assert_split(fixture: &support::Fixture) {
    for path in ["/en", "/en/supply", "/en/contracts", "/en/nothing"] {
        fixture.get(path).await.has("class=\"alarm\" role=\"alert\"").has("two signed logs contradict each other");
    }
    fixture.get("/zh/promises").await.has("日志分叉");
    assert!(fixture.get("/v1/status").await.json()["split_view"]["shown_root"].is_string());
}

#[tokio::test]
async fn two_observers_with_two_signed_histories_are_a_split_view() {
    let first = Observer::start(registry()).await;
    let mut other = registry();
    grow(first.registry.lock().as_deref_mut().unwrap(), 8, 12);
    grow(&mut other, 9, 12);
    grow(&mut other, 10, 14);
    let second = Observer::start(other).await;
    let fixture = fixture_over(&[first, second], |_| {}).await;
    assert_split(&fixture).await;
}

#[tokio::test]
async fn a_growth_that_nobody_shows_is_not_accepted_and_no_lie_yet() {
    let fixture = fixture().await;
    grow(&mut fixture.observer.registry.lock().unwrap(), 8, 12);
    fixture.observer.behaves(Manner::ShowsNoConsistency);
    fixture.site.ledger().look().await;
    let status = fixture.get("/v1/status").await.json();
    assert_eq!((&status["as_of"]["height"], &status["split_view"]), (&9.into(), &serde_json::Value::Null));
    fixture.observer.behaves(Manner::Honest);
    fixture.site.ledger().look().await;
    assert_eq!(fixture.get("/v1/status").await.json()["as_of"]["height"], 12);
}

#[tokio::test]
async fn a_validator_and_an_observer_of_another_chain_are_refused_by_name() {
    for (manner, word, standing) in [
        (Manner::Validator, "is a validator", "refused: it is a validator"),
        (Manner::OtherChain, "another chain", "refused: it is of another chain"),
    ] {
        let (honest, refused) = (Observer::start(registry()).await, Observer::start(registry()).await);
        refused.behaves(manner);
        let fixture = fixture_over(&[honest, refused.clone()], |_| {}).await;
        let error = fixture.site.ledger().open().await.unwrap_err().to_string();
        assert!(error.contains(word) && error.contains(&refused.base), "{error}");
        // Found out later, it is not asked; the other one is.
        fixture.get("/en/network").await.has(standing);
        fixture.get(&format!("/en/coin/{}", fixture.coin(4))).await.has("Genuine and unspent");
    }
}

#[tokio::test]
async fn one_lying_observer_of_two_is_named_and_the_other_answers() {
    let (liar, honest) = (Observer::start(registry()).await, Observer::start(registry()).await);
    liar.behaves(Manner::ForgedSigner);
    let fixture = fixture_over(&[liar, honest], |_| {}).await;
    fixture.get("/en/network").await.has("fails verification: forged signer (11)").has("answers, verified");
    fixture.get(&format!("/en/coin/{}", fixture.coin(4))).await.has("Genuine and unspent");
}

#[tokio::test]
async fn what_was_accepted_is_remembered_over_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("seen");
    let observer = Observer::start(registry()).await;
    let before = fixture_over(std::slice::from_ref(&observer), |config| config.remember = Some(file.clone())).await;
    assert_eq!(before.get("/v1/status").await.status, StatusCode::OK);
    drop(before);
    // Meanwhile the log is rewritten, and longer.
    let mut other = Registry::new();
    for height in 1..12 {
        let line = (
            support::chain::issued_coin(&other.chain, 30 + height as u8),
            RecordStatus::Live,
            ledger_types::OwnerTag([1; 32]),
        );
        other.confirm(height, &[line]);
    }
    *observer.registry.lock().unwrap() = other;
    let after = fixture_over(&[observer], |config| config.remember = Some(file)).await;
    assert_split(&after).await;
}
