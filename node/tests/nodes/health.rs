//! What a node says of itself, and to whom: health, metrics, limits, and nothing of envelopes to the public.

use crate::cluster::*;
use crate::malformed::request;
use node_api::{Client, ClientError, ledger};

pub fn get(cluster: &Cluster, node: &str, path: &str) -> (u16, String) {
    let (status, body) = request(&cluster.address(node), "GET", path, None, b"");
    (status, String::from_utf8(body).unwrap())
}

pub fn health(cluster: &Cluster, node: &str) -> (u16, ledger::Health) {
    let (status, body) = get(cluster, node, "/health");
    (status, serde_json::from_str(&body).unwrap())
}

/// The value of a metric, named with its labels.
pub fn metric(page: &str, name: &str) -> f64 {
    let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no metric {name} in\n{page}")).parse().unwrap()
}

#[tokio::test]
async fn work_that_waits_without_a_quorum_makes_a_node_unhealthy_and_names_who_is_missing() {
    let mut cluster = Cluster::up(120, 20).await;
    // Who started late may have followed the first heights, and who dials again has yet to be connected.
    wait_until(30, "bank2 votes and misses nobody", async || {
        let (_, page) = get(&cluster, "bank2", "/metrics");
        metric(&page, "assay_vote{state=\"votes\"}") == 1.0 && metric(&page, "assay_validators_missing") == 0.0
    })
    .await;
    for node in NODES {
        let (status, health) = health(&cluster, node);
        assert_eq!((status, health.healthy, health.reason), (200, true, None), "{node}");
    }
    let status = cluster.client("bank2").status().await.unwrap();
    assert_eq!((status.votes, status.vote.as_str(), status.vote_reason), (true, "votes", None));
    assert!(["deciding", "committing", "idle"].contains(&status.stage.as_str()) && status.deciding_height > 1);
    let status = cluster.client("observer").status().await.unwrap();
    assert_eq!((status.votes, status.vote.as_str()), (false, "never"));
    let (code, page) = get(&cluster, "bank2", "/metrics");
    assert_eq!(code, 200);
    assert!(metric(&page, "assay_height") >= 2.0 && metric(&page, "assay_consensus_heights_total") >= 2.0);
    assert_eq!(metric(&page, "assay_vote{state=\"votes\"}"), 1.0);
    assert_eq!(metric(&page, "assay_vote{state=\"guard_missing\"}"), 0.0);
    assert_eq!(metric(&page, "assay_healthy"), 1.0);
    assert_eq!(metric(&page, "assay_validators_missing"), 0.0);
    for name in ["assay_plane_queue_bytes", "assay_consensus_round", "assay_execute_seconds_total"] {
        metric(&page, name);
    }
    assert!(page.contains("# TYPE assay_plane_refusals_total counter"));

    // Two of four are no quorum. Nothing to do is no complaint; a payment that waits is one.
    cluster.kill("central-bank");
    cluster.kill("bank4");
    let bank2 = cluster.client("bank2");
    let paid = bank2.pay(&payment("vault", "vault@bank3", 10, "")).await.unwrap();
    wait_until(30, "bank2 says that it does not get on", async || health(&cluster, "bank2").0 == 503).await;
    let (_, unhealthy) = health(&cluster, "bank2");
    assert!(!unhealthy.healthy && unhealthy.waiting_ms >= 5_000, "{unhealthy:?}");
    assert_eq!(unhealthy.missing, [1, 4]);
    let reason = unhealthy.reason.unwrap();
    assert!(reason.contains("participant 4") && reason.contains("hold 2 of the power 3"), "{reason}");
    let (_, page) = get(&cluster, "bank2", "/metrics");
    assert_eq!((metric(&page, "assay_healthy"), metric(&page, "assay_validators_missing")), (0.0, 2.0));
    assert!(metric(&page, "assay_plane_unordered_bundles") + metric(&page, "assay_plane_queue_bytes") > 0.0);

    cluster.start("central-bank");
    cluster.start("bank4");
    wait_until(60, "bank2 gets on", async || health(&cluster, "bank2").0 == 200).await;
    reached(&bank2, &paid.id, "settled", 30).await;
}

#[tokio::test]
async fn the_public_gets_no_verdict_of_an_envelope_and_a_bank_does_at_its_own_node() {
    let cluster = Cluster::up(121, 20).await;
    let bank2 = cluster.client("bank2");
    let paid = bank2.pay(&payment("vault", "vault@bank3", 10, "")).await.unwrap();
    let envelope = reached(&bank2, &paid.id, "confirmed", 30).await.envelope_id.unwrap();
    assert!(cluster.acknowledged("bank2", &envelope).await.is_some());
    for node in NODES {
        let public = Client::new(&cluster.address(node), None);
        let refused = |answer: Result<ledger::EnvelopeStatus, ClientError>| match answer {
            Err(ClientError::Refused(problem)) => (problem.status, problem.code),
            other => panic!("{node}: {other:?}"),
        };
        assert_eq!(refused(public.envelope(&envelope).await), (401, "token_required".into()));
        // The public path to the verdicts of batches leads to no envelope.
        assert_eq!(refused(public.batch(&envelope).await), (404, "not_found".into()));
    }
    // The payment was confirmed: confirmation issuance, which has no token, saw its batch's verdict.
    wait_until(30, "the observer has the batch", async || {
        cluster.client("observer").registry().await.unwrap().batch > 0
    })
    .await;
}

#[tokio::test]
async fn a_stranger_who_asks_without_end_is_slowed_and_the_bank_is_not() {
    let cluster = Cluster::up(122, 20).await;
    let stranger = Client::new(&cluster.address("bank2"), None);
    let mut refused = None;
    for _ in 0..5_000 {
        match stranger.status().await {
            Ok(_) => {}
            Err(ClientError::Refused(problem)) => {
                refused = Some(problem);
                break;
            }
            Err(error) => panic!("{error}"),
        }
    }
    let refused = refused.expect("5,000 requests at once are too many");
    assert_eq!((refused.status, refused.code.as_str()), (429, "rate_limited"));
    assert!(refused.retry_after_s.is_some_and(|seconds| seconds >= 1));
    let bank2 = cluster.client("bank2");
    for _ in 0..1_000 {
        bank2.status().await.unwrap();
    }
    // Other nodes have buckets of their own.
    Client::new(&cluster.address("bank3"), None).status().await.unwrap();
}
