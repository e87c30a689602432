//! The rules of a running chain change (B-13): nodes get the new program one after the other, officers order, and who was left out
//! stops by name.

use crate::cluster::*;
use ledger_types::envelope::*;
use ledger_types::rules::RulesOrder;
use ledger_types::*;
use node::keys::{KeyFolder, passphrase};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const VALIDATORS: [&str; 4] = ["central-bank", "bank2", "bank3", "bank4"];
/// As the file begins.
const FIRST_LINE: &str = "role = ";
const OLD_PROGRAM: &str = "rules_known = 1\nrole = ";

/// Two of three officers sign it.
fn order(cluster: &Cluster, activates_at: u64) -> Envelope {
    let order = RulesOrder { version: RulesVersion(2), activates_at: Height(activates_at) };
    let context = |authorizations| ClearContext::RulesOrder(RulesOrderContext { order, authorizations });
    let mut core = Core {
        submitter: ParticipantNumber(1),
        inputs: Inputs::Spends(List::empty()),
        outputs: List::empty(),
        contract: ContractNumber(0),
        expiry_ms: node::clock::now_ms() + 30_000,
        bucket: Bucket::None,
        hint: EnvelopeHint([0; 16]),
        salt: Salt([7; 32]),
        context: context(List::empty()),
    };
    let folder = cluster.folder("central-bank");
    let officers = KeyFolder::new(&folder.join("../officers"), passphrase(Some(&folder.join("passphrase"))).unwrap());
    let message = core.authorization_message(cluster.trust().chain());
    let sign = |officer: u8| {
        let key = officers.signing_key(&format!("officer-{}", officer + 1)).unwrap();
        OfficerSignature { officer, signature: key.sign(&message) }
    };
    core.context = context(List::new((0..2).map(sign).collect()).unwrap());
    Envelope { header: EnvelopeHeader { core, commitment: KeyCommitment::ZERO }, ciphertext: Vec::new() }
}

/// The old program dies, and the new one begins on its data.
async fn install(cluster: &mut Cluster, name: &str) {
    if cluster.runs(name) {
        cluster.kill(name);
    }
    cluster.edit_config(name, OLD_PROGRAM, FIRST_LINE);
    cluster.start(name);
    wait_until(90, "the replaced node votes", async || {
        cluster.client(name).status().await.is_ok_and(|status| status.votes && status.rules_known == 2)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b13_under_load_programs_are_replaced_one_by_one_the_rules_change_and_one_left_old_stops_by_name_and_catches_up()
 {
    let mut cluster = Cluster::init(118, 400);
    for name in VALIDATORS {
        cluster.edit_config(name, FIRST_LINE, OLD_PROGRAM);
    }
    cluster.start_all();
    cluster.ready().await;
    let bank2 = cluster.client("bank2");
    install(&mut cluster, "bank2").await;
    let stop = Arc::new(AtomicBool::new(false));
    let paying = pay_until(stop.clone(), bank2.clone());
    for name in ["central-bank", "bank3"] {
        install(&mut cluster, name).await;
    }

    // Far enough that it is seen waiting on every node.
    let central = cluster.client("central-bank");
    let activates_at = central.status().await.unwrap().height + 40;
    let envelope = order(&cluster, activates_at);
    central.submit_envelopes(vec![hex::encode(envelope.to_bytes())]).await.unwrap();
    wait_until(60, "the order waits on every node, and the old one warns", async || {
        let (old, new) = (cluster.client("bank4").status().await.unwrap(), central.status().await.unwrap());
        let waits = |pending: Option<node_api::ledger::PendingRules>| {
            pending.is_some_and(|order| (order.version, order.activates_at) == (2, activates_at))
        };
        let warned = old.rules_unknown.is_some_and(|warning| warning.starts_with("rules_unknown: "));
        waits(old.pending_rules) && waits(new.pending_rules) && warned && new.rules_unknown.is_none()
    })
    .await;

    let mut status = None;
    wait_until(120, "the old program stops", async || {
        status = status.or_else(|| cluster.ended("bank4"));
        status.is_some()
    })
    .await;
    assert!(!status.unwrap().success());
    let log = std::fs::read_to_string(cluster.folder("bank4").join("log")).unwrap();
    let named = format!("rules_unknown: from height {activates_at} on version 2 of the rules governs");
    assert!(log.contains(&named), "the end is named");
    let report = node::doctor::examine(&cluster.folder("bank4").join("node.toml"), false);
    let finding = report.findings.iter().find(|finding| finding.check == "rules").unwrap();
    assert!(finding.verdict == node::doctor::Verdict::Broken && finding.what.starts_with(&named), "{finding:?}");
    wait_until(60, "the others go on under the new rules", async || {
        let status = central.status().await.unwrap();
        status.height > activates_at + 10 && status.rules_version == 2
    })
    .await;

    install(&mut cluster, "bank4").await;
    stop.store(true, Ordering::Relaxed);
    let taken = paying.await.unwrap();
    assert!(taken.len() >= 10, "payments went on: {}", taken.len());
    for paid in &taken {
        assert_eq!(reached(&bank2, &paid.id, "confirmed", 90).await.state, "confirmed");
    }
    wait_until(60, "all nodes stand at one height", async || {
        cluster.same_tip().await.is_some_and(|(height, _)| height > activates_at)
    })
    .await;
    cluster.kill("bank4");
    let ledger = cluster.ledger_of("bank4");
    let readers = ledger.readers();
    let snapshot = readers.snapshot().unwrap();
    for (height, version) in [(1, 1), (activates_at - 1, 1), (activates_at, 2), (activates_at + 1, 2)] {
        let header = snapshot.block(Height(height)).unwrap().unwrap().header;
        assert_eq!(header.version, RulesVersion(version), "height {height}");
    }
}
