//! Whatever is asked of the interface, the answer is one that `/openapi.json` declares, and never the site's fault.
//!
//! The questions are made from the document: for each path and parameter values that break parsers elsewhere, and random ones
//! from a fixed seed. An answer must have a declared status and content type, and a JSON answer must be what its schema says,
//! with no field beyond it.

use crate::support;

use assay_site::api::openapi;
use axum::body::Body;
use axum::http::{Method, Request, StatusCode, header};
use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::test_runner::{Config, TestRunner};
use serde_json::Value;
use std::cell::RefCell;
use std::collections::BTreeMap;
use support::{Fixture, contracts, fixture};
use tower::ServiceExt;

/// For each path: once the seed is fixed, always the same.
const RANDOM_QUESTIONS: u32 = 200;

fn hostile(fixture: &Fixture) -> Vec<Vec<u8>> {
    let coin = fixture.coin(4);
    let size = fixture.observer.registry.lock().unwrap().size();
    let texts = [
        "",
        " ",
        "\0",
        "\r\nx-injected: 1",
        "\t",
        ".",
        "..",
        "../../v1/status",
        "..\\..",
        "//",
        "%",
        "%2e%2e%2f",
        "%00",
        "?",
        "#",
        "&",
        ";",
        "'; DROP TABLE coins; --",
        "\"><script>alert(1)</script>",
        "{{7*7}}",
        "${jndi:ldap://x}",
        "*",
        "null",
        "true",
        "[]",
        "{}",
        "NaN",
        "Infinity",
        "1e309",
        "1.5",
        "0x10",
        "+1",
        "-0",
        "-1",
        "00",
        "08",
        "0",
        "1",
        "2",
        "31",
        "32",
        "33",
        "255",
        "256",
        "65535",
        "65536",
        "4294967295",
        "4294967296",
        "9223372036854775807",
        "9223372036854775808",
        "18446744073709551615",
        "18446744073709551616",
        "340282366920938463463374607431768211456",
        "00000000",
        "FFFFFFFF",
        "ffffffff",
        "0000000g",
        "000000000",
        "٣",
        "１",
        "💣",
        "\u{202e}1nioc",
        "\u{feff}",
        "e\u{301}",
        "entries/000",
        "entries/000.p/4",
        "entries/000.p/256",
        "entries/x018/x446/x744/x073/x709/x551/615",
        "0/000.p/1",
        "63/000",
        "7/x999/x999/x999/x999/x999/x999/999",
        "8/000.p/1",
        "0/../../v1/status",
        "coin1",
        "COIN1",
        "coin1qqqqqqqq",
        "wallet1qqqqqqqq",
        "height 18446744073709551616",
        "batch -1",
        "#",
        "log 0",
    ];
    let mut all: Vec<Vec<u8>> = texts.iter().map(|text| text.as_bytes().to_vec()).collect();
    all.extend(
        [coin.to_uppercase(), coin[..coin.len() - 1].into(), format!("{coin}{coin}"), format!(" {coin} ")]
            .map(Into::into),
    );
    all.extend([size - 1, size, size + 1].map(|size| size.to_string().into_bytes()));
    all.push(vec![0xff, 0xfe, 0xc0, 0x80]);
    all.push(vec![b'9'; 10_000]);
    all.push("聯".repeat(5_000).into_bytes());
    all
}

/// Every byte that is not plain is written in hex, so that any bytes reach the parser behind the decoding.
fn encoded(bytes: &[u8], and_plain: &str) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || and_plain.as_bytes().contains(byte);
    bytes.iter().map(|byte| if plain(byte) { char::from(*byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

/// The one path that takes a body: it keeps nothing of it.
const TAKES_A_BODY: &str = "/v1/contracts/try";

/// One path of the document.
struct Operation {
    path: String,
    method: Method,
    parameters: Vec<(String, bool)>,
    responses: Value,
}

fn operations(document: &Value) -> Vec<Operation> {
    let each = |(path, item): (&String, &Value)| {
        let (method, name) = if path == TAKES_A_BODY { (Method::POST, "post") } else { (Method::GET, "get") };
        assert_eq!(item.as_object().unwrap().keys().collect::<Vec<_>>(), [name], "{path}: the interface only reads");
        let parameters = item[name]["parameters"].as_array().cloned().unwrap_or_default();
        let parameters = parameters.iter().map(|one| (one["name"].as_str().unwrap().to_owned(), one["in"] == "path"));
        let (path, responses) = (path.clone(), item[name]["responses"].clone());
        Operation { path, method, parameters: parameters.collect(), responses }
    };
    document["paths"].as_object().unwrap().iter().map(each).collect()
}

impl Operation {
    /// A path with these values; a query parameter without one is left out.
    fn question(&self, values: &BTreeMap<&str, Vec<u8>>, beyond: &str) -> String {
        let (mut path, mut query) = (self.path.clone(), Vec::new());
        for (name, in_path) in &self.parameters {
            let Some(value) = values.get(name.as_str()) else { continue };
            match in_path {
                // A tile's name is a path of its own.
                true if name == "tile" => path = path.replace("{tile}", &encoded(value, "/._-")),
                true => path = path.replace(&format!("{{{name}}}"), &encoded(value, "_-")),
                false => query.push(format!("{name}={}", encoded(value, "_-"))),
            }
        }
        query.extend((!beyond.is_empty()).then(|| beyond.to_owned()));
        if query.is_empty() { path } else { format!("{path}?{}", query.join("&")) }
    }

    /// Values that are answered with 200.
    fn good(&self, fixture: &Fixture) -> BTreeMap<&str, Vec<u8>> {
        let good = |name: &str| match name {
            "coin" | "q" => fixture.coin(4),
            "tile" => "entries/000.p/4".into(),
            "number" => "1".into(),
            "version" => "2".into(),
            "name" => "cn.lpr.1y".into(),
            "obligation" => contracts::returned(&fixture.observer.registry.lock().unwrap()).to_string(),
            "bits" => "2".into(),
            "prefix" => "40000000".into(),
            "from" => "4".into(),
            "to" | "before" => "8".into(),
            "limit" => "2".into(),
            other => panic!("what is a good {other}?"),
        };
        self.parameters.iter().map(|(name, _)| (name.as_str(), good(name).into_bytes())).collect()
    }
}

/// What of a JSON value is not as the schema says; of schemas as much as the document uses.
fn faults(document: &Value, schema: &Value, value: &Value, at: &str) -> Vec<String> {
    if let Some(name) = schema["$ref"].as_str() {
        return faults(document, document.pointer(&name[1..]).expect("a reference leads somewhere"), value, at);
    }
    if let Some(one_of) = schema["oneOf"].as_array() {
        let fits = one_of.iter().any(|schema| faults(document, schema, value, at).is_empty());
        return if fits { Vec::new() } else { vec![format!("{at}: {value} is none of {one_of:?}")] };
    }
    let types: Vec<&str> = match &schema["type"] {
        Value::String(one) => vec![one],
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
        // Anything: what an observer said of itself.
        _ => return Vec::new(),
    };
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    if !types.contains(&kind) {
        return vec![format!("{at}: {value} is no {types:?}")];
    }
    let mut found = Vec::new();
    match value {
        Value::Array(items) => {
            items.iter().for_each(|item| found.extend(faults(document, &schema["items"], item, &format!("{at}[]"))));
        }
        Value::Object(fields) => {
            let required = schema["required"].as_array().cloned().unwrap_or_default();
            let absent = required.iter().filter_map(Value::as_str).filter(|name| !fields.contains_key(*name));
            found.extend(absent.map(|name| format!("{at}.{name} is absent")));
            for (name, field) in fields {
                match schema["properties"].get(name) {
                    Some(schema) => found.extend(faults(document, schema, field, &format!("{at}.{name}"))),
                    None => found.push(format!("{at}.{name} is not declared")),
                }
            }
        }
        Value::Number(number) if schema["minimum"] == 0 && number.as_i64().is_some_and(|number| number < 0) => {
            found.push(format!("{at}: {number} is negative"));
        }
        _ => {}
    }
    found
}

/// Asks, and holds the answer to what the document declares. Gives its status.
async fn asked(fixture: &Fixture, document: &Value, operation: &Operation, question: &str) -> StatusCode {
    asked_with(fixture, document, operation, question, if operation.method == Method::POST { GOOD_BODY } else { b"" })
        .await
}

const GOOD_BODY: &[u8] = br#"{"policy": "policy \"x\" version 1"}"#;

async fn asked_with(
    fixture: &Fixture,
    document: &Value,
    operation: &Operation,
    question: &str,
    body: &[u8],
) -> StatusCode {
    let request = Request::builder().method(&operation.method).uri(question).body(Body::from(body.to_vec()));
    let request = request.unwrap_or_else(|error| panic!("{question}: {error}"));
    let response = fixture.site.router().oneshot(request).await.unwrap();
    let status = response.status();
    assert!(!status.is_server_error(), "{question}: {status}");
    assert!(!response.headers().contains_key("x-injected"), "{question}");
    let kind = response.headers()[header::CONTENT_TYPE].to_str().unwrap().to_owned();
    let declared = &operation.responses[status.as_str()];
    let (name, content) = declared["content"]
        .as_object()
        .unwrap_or_else(|| panic!("{question}: {status} is not declared"))
        .iter()
        .find(|(name, _)| kind.split(';').next() == Some(name.as_str()))
        .unwrap_or_else(|| panic!("{question}: {status} as {kind} is not declared"));
    // A stream of events does not end.
    if name != "text/event-stream" {
        let body = axum::body::to_bytes(response.into_body(), 8 << 20).await.unwrap();
        if name.ends_with("json") {
            let value: Value = serde_json::from_slice(&body).unwrap_or_else(|error| panic!("{question}: {error}"));
            let found = faults(document, &content["schema"], &value, "$");
            assert!(found.is_empty(), "{question}: {status}: {found:?}\n{value}");
            assert!(status.is_success() || value["status"] == status.as_u16(), "{question}: {value}");
        }
    }
    status
}

#[tokio::test]
async fn hostile_values_in_every_parameter_get_declared_answers_and_never_a_5xx() {
    let (fixture, document) = (fixture().await, serde_json::from_str::<Value>(&openapi()).unwrap());
    let hostile = hostile(&fixture);
    for operation in operations(&document) {
        let good = operation.good(&fixture);
        let question = operation.question(&good, "");
        assert_eq!(asked(&fixture, &document, &operation, &question).await, StatusCode::OK, "{question}");
        for (name, in_path) in &operation.parameters {
            // Without it the path is another one.
            for value in hostile.iter().filter(|value| !(*in_path && value.is_empty())) {
                let mut values = good.clone();
                values.insert(name, value.clone());
                asked(&fixture, &document, &operation, &operation.question(&values, "")).await;
            }
            if !in_path {
                let mut values = good.clone();
                values.remove(name.as_str());
                asked(&fixture, &document, &operation, &operation.question(&values, "")).await;
                let twice = format!("{name}={}", encoded(&good[name.as_str()], ""));
                asked(&fixture, &document, &operation, &operation.question(&good, &twice)).await;
                let status = asked(&fixture, &document, &operation, &operation.question(&good, "unknown=1")).await;
                assert_eq!(status, StatusCode::BAD_REQUEST, "{}: a parameter that is not declared", operation.path);
            }
        }
    }
}

#[test]
fn random_values_in_all_parameters_at_once_get_declared_answers_and_never_a_5xx() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (fixture, document) = (runtime.block_on(fixture()), serde_json::from_str::<Value>(&openapi()).unwrap());
    let value = prop_oneof![
        vec(any::<u8>(), 1..80),
        any::<String>().prop_map(|text| format!("x{text}").into_bytes()),
        any::<u64>().prop_map(|number| number.to_string().into_bytes()),
        (0u64..40).prop_map(|number| number.to_string().into_bytes()),
        any::<u32>().prop_map(|number| format!("{number:08x}").into_bytes()),
        "(entries|[0-9]{1,2})/(x[0-9]{3}/){0,7}[0-9]{3}(\\.p/[0-9]{1,3})?".prop_map(String::into_bytes),
        "(coin|COIN|wallet)1[02-9ac-hj-np-z]{0,90}".prop_map(String::into_bytes),
        Just(fixture.coin(7).into_bytes()),
    ];
    for operation in operations(&document).iter().filter(|operation| !operation.parameters.is_empty()) {
        let seen = RefCell::new(BTreeMap::<u16, u32>::new());
        let config = Config { cases: RANDOM_QUESTIONS, failure_persistence: None, ..Config::default() };
        let mut runner = TestRunner::new_with_rng(config, seeded());
        // Some of them good: the others are read only when these are.
        let values = vec(proptest::option::of(value.clone()), operation.parameters.len());
        let good = operation.good(&fixture);
        let found = runner.run(&values, |values| {
            let names = operation.parameters.iter().map(|(name, _)| name.as_str());
            let values = names.zip(values).map(|(name, value)| (name, value.unwrap_or_else(|| good[name].clone())));
            let question = operation.question(&values.collect(), "");
            let status = runtime.block_on(asked(&fixture, &document, operation, &question));
            *seen.borrow_mut().entry(status.as_u16()).or_default() += 1;
            Ok(())
        });
        found.unwrap_or_else(|error| panic!("{}: {error}", operation.path));
        assert!(seen.borrow().len() > 1 || operation.path == "/v1/search", "{}: {seen:?}", operation.path);
    }
}

/// Each of these fields as every hostile text, and as every other kind of value.
const TRIAL_FIELDS: [&str; 9] =
    ["policy", "history", "sector", "rate", "term_days", "lag_days", "years_later", "from", "to"];

#[tokio::test]
async fn hostile_values_in_every_field_of_a_policy_that_is_tried_out_get_declared_answers() {
    let (fixture, document) = (fixture().await, serde_json::from_str::<Value>(&openapi()).unwrap());
    let declared = &document["components"]["schemas"]["TrialQuestion"]["properties"];
    let fields: Vec<&str> = declared.as_object().unwrap().keys().map(String::as_str).collect();
    let known = TRIAL_FIELDS.iter().copied().chain(["columns", "round"]);
    assert_eq!(fields.len(), known.clone().count());
    assert!(known.clone().all(|name| fields.contains(&name)), "{fields:?}");
    let operations = operations(&document);
    let operation = operations.iter().find(|operation| operation.path == TAKES_A_BODY).unwrap();
    let policy = include_str!("../../contracts/policies/combined.policy");
    let good = || serde_json::json!({ "policy": policy, "sector": "C10", "rate": "6.00", "years_later": 52 });
    let mut statuses = BTreeMap::<u16, u32>::new();
    let mut ask = async |body: &[u8]| {
        let status = asked_with(&fixture, &document, operation, TAKES_A_BODY, body).await;
        *statuses.entry(status.as_u16()).or_default() += 1;
        status
    };
    assert_eq!(ask(good().to_string().as_bytes()).await, StatusCode::OK);
    for bytes in hostile(&fixture) {
        ask(&bytes).await;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        for name in known.clone() {
            let mut question = good();
            question[name] = Value::String(text.clone());
            ask(question.to_string().as_bytes()).await;
        }
        let mut question = good();
        question["columns"] = serde_json::json!({ "cn.lpr.1y": text, (text.as_str()): "realgdp" });
        ask(question.to_string().as_bytes()).await;
        question["columns"] = serde_json::json!({});
        question["policy"] = format!("{policy}\n{text}").into();
        ask(question.to_string().as_bytes()).await;
    }
    for value in [Value::Null, true.into(), (-1).into(), 65_536.into(), 1.5.into(), serde_json::json!([[[]]])] {
        for name in known.clone() {
            let mut question = good();
            question[name] = value.clone();
            ask(question.to_string().as_bytes()).await;
        }
    }
    for (name, value) in [("from", "9999"), ("to", "0001"), ("lag_days", "65535"), ("term_days", "0")] {
        let mut question = good();
        question[name] =
            value.parse::<u16>().map_or(value.into(), |n| if name.len() > 4 { n.into() } else { value.into() });
        assert_eq!(ask(question.to_string().as_bytes()).await, StatusCode::OK, "{name}");
    }
    let (nested, long) = ("[".repeat(10_000), "x".repeat(16 << 10));
    ask(nested.as_bytes()).await;
    assert_eq!(ask(serde_json::json!({ "policy": long }).to_string().as_bytes()).await, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(statuses.keys().copied().collect::<Vec<_>>(), [200, 400, 413], "{statuses:?}");
}

fn seeded() -> proptest::test_runner::TestRng {
    proptest::test_runner::TestRng::from_seed(proptest::test_runner::RngAlgorithm::ChaCha, &[7; 32])
}

#[tokio::test]
async fn a_path_takes_no_other_method_than_the_one_that_is_declared() {
    let (fixture, document) = (fixture().await, serde_json::from_str::<Value>(&openapi()).unwrap());
    for operation in operations(&document) {
        let question = operation.question(&operation.good(&fixture), "");
        let all =
            [Method::GET, Method::POST, Method::PUT, Method::DELETE, Method::PATCH, Method::TRACE, Method::OPTIONS];
        for method in all.into_iter().filter(|method| *method != operation.method) {
            let request = Request::builder().method(&method).uri(&question).body(Body::from("x")).unwrap();
            let answer = fixture.ask(request).await;
            assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "{method} {question}");
            assert_eq!(answer.header("content-type"), "application/problem+json", "{method} {question}");
        }
    }
}
