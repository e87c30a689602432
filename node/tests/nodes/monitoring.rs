//! `config/monitoring`: every query of the dashboard and of the alerts, asked of a Prometheus that scrapes a live cluster.

use crate::cluster::*;
use node_api::{Client, ClientError};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// What stays without a series until something is refused; `/metrics` still says that it exists.
const EMPTY_WHEN_ALL_IS_WELL: &str = "assay_plane_refusals_total";

struct Prometheus {
    process: Child,
    client: Client,
    _folder: tempfile::TempDir,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn monitoring() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/monitoring")
}

/// Scrapes the cluster each second, with the alerts of `config/monitoring`.
fn prometheus(cluster: &Cluster, address: &str) -> Prometheus {
    let programs = std::env::var("ASSAY_PROMETHEUS").expect("scripts/test says where Prometheus is: ASSAY_PROMETHEUS");
    let folder = tempfile::tempdir().unwrap();
    let mut config = String::from("global: { scrape_interval: 1s, evaluation_interval: 1s }\n");
    config += &format!("rule_files: [{}]\n", monitoring().join("alerts.yml").canonicalize().unwrap().display());
    config += "scrape_configs:\n  - job_name: assay\n    static_configs:\n";
    for node in NODES {
        let target = cluster.address(node).replace("http://", "");
        let role = if VALIDATORS.contains(&node) { "validator" } else { "observer" };
        config += &format!("      - {{ targets: [\"{target}\"], labels: {{ node: {node}, role: {role} }} }}\n");
    }
    let path = folder.path().join("prometheus.yml");
    std::fs::write(&path, config).unwrap();
    let process = Command::new(Path::new(&programs).join("prometheus"))
        .arg(format!("--config.file={}", path.display()))
        .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
        .arg(format!("--web.listen-address={address}"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("Prometheus starts");
    Prometheus { process, client: Client::new(&format!("http://{address}"), None), _folder: folder }
}

impl Prometheus {
    async fn query(&self, expression: &str) -> Result<Vec<Value>, ClientError> {
        let mut encoded = String::new();
        for byte in expression.bytes() {
            encoded += &format!("%{byte:02x}");
        }
        let answer: Value = self.client.get(&format!("/api/v1/query?query={encoded}")).await?;
        assert_eq!(answer["status"], "success", "{expression}: {answer}");
        Ok(answer["data"]["result"].as_array().expect("a vector").clone())
    }

    async fn firing(&self) -> BTreeSet<(String, String)> {
        let Ok(answer) = self.client.get::<Value>("/api/v1/alerts").await else { return BTreeSet::new() };
        let alerts = answer["data"]["alerts"].as_array().expect("a list").clone();
        let text = |label: &Value| label.as_str().unwrap_or_default().to_owned();
        let firing = alerts.iter().filter(|alert| alert["state"] == "firing");
        firing.map(|alert| (text(&alert["labels"]["alertname"]), text(&alert["labels"]["node"]))).collect()
    }
}

/// Title and expression of each query of the dashboard.
fn dashboard() -> Vec<(String, String)> {
    let text = std::fs::read(monitoring().join("grafana-dashboard.json")).unwrap();
    let dashboard: Value = serde_json::from_slice(&text).unwrap();
    let mut queries = Vec::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().into_iter().flatten() {
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            queries.push((text(&panel["title"]), text(&target["expr"])));
        }
    }
    queries
}

fn alerts() -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(monitoring().join("alerts.yml")).unwrap();
    let after = |line: &str, key: &str| line.trim().strip_prefix(key).map(str::to_owned);
    let names = text.lines().filter_map(|line| after(line, "- alert: "));
    names.zip(text.lines().filter_map(|line| after(line, "expr: "))).collect()
}

fn metric_names(expression: &str) -> BTreeSet<String> {
    let words = expression.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("assay_")).map(str::to_owned).collect()
}

#[tokio::test]
async fn every_query_of_dashboard_and_alerts_holds_on_a_live_cluster_and_a_dead_validator_is_named() {
    let mut cluster = Cluster::up(114, 20).await;
    let prometheus = prometheus(&cluster, "127.0.114.9:9090");
    let all_seen = async || {
        let up = prometheus.query("up == 1").await.map(|up| up.len());
        // Rates take two scrapes.
        let twice = prometheus.query("rate(assay_log_size[1m])").await.map(|rates| rates.len());
        (up.ok(), twice.ok()) == (Some(NODES.len()), Some(NODES.len()))
    };
    wait_until(60, "every node is scraped twice", all_seen).await;
    let bank2 = cluster.client("bank2");
    let paid = bank2.pay(&payment("vault", "vault@bank3", 10, "")).await.unwrap();
    reached(&bank2, &paid.id, "confirmed", 60).await;
    let counted = async || {
        let envelopes = prometheus.query("rate(assay_envelopes_total[1m]) > 0").await;
        envelopes.is_ok_and(|nodes| nodes.len() == NODES.len())
    };
    wait_until(60, "the payment is counted at every node", counted).await;

    let page = bank2.get_text("/metrics").await.unwrap();
    let central = cluster.client("central-bank").get_text("/metrics").await.unwrap();
    let exists = |name: &String| [&page, &central].iter().any(|page| page.contains(&format!("# TYPE {name} ")));
    let (dashboard, alerts) = (dashboard(), alerts());
    assert!(dashboard.len() > 30 && alerts.len() > 10, "the files are read");
    for (title, expression) in &dashboard {
        let names = metric_names(expression);
        assert!(names.iter().all(exists), "{title}: {expression} names a metric that no node has");
        let series = prometheus.query(expression).await.unwrap();
        let may_be_empty = names.contains(EMPTY_WHEN_ALL_IS_WELL);
        assert!(!series.is_empty() || may_be_empty, "the panel {title} is empty: {expression}");
    }
    for (alert, expression) in &alerts {
        assert!(metric_names(expression).iter().all(exists), "{alert}: {expression} names a metric that no node has");
        prometheus.query(expression).await.unwrap();
    }
    assert_eq!(prometheus.firing().await, BTreeSet::new(), "nothing fires over a cluster that is well");

    cluster.kill("bank4");
    let dead = ("AssayNodeDown".to_owned(), "bank4".to_owned());
    wait_until(60, "the alert that bank4 is down", async || prometheus.firing().await.contains(&dead)).await;
}
