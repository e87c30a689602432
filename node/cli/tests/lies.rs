//! A server that lies, over the command line: each lie ends with exit code 6 and its own name.

use crate::shared;

use serde_json::Value;
use shared::{Cluster, Said, text, wait_registered, wait_until};
use std::process::{Child, Command, Stdio};

/// A lying server; it ends with the test.
struct Liar {
    process: Child,
    url: String,
}

impl Drop for Liar {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Liar {
    async fn start(cluster: &Cluster, kind: &str, port: u16) -> Liar {
        let address = format!("127.0.98.50:{port}");
        let process = Command::new(env!("CARGO_BIN_EXE_assay"))
            .args(["attack", "lie", kind, "--listen", &address])
            .env("ASSAY_CLUSTER", cluster.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let liar = Liar { process, url: format!("http://{address}") };
        wait_until(30, "the lying server answers", || liar.ask(cluster, &["status"]).code == 0).await;
        liar
    }

    fn ask(&self, cluster: &Cluster, words: &[&str]) -> Said {
        cluster.assay(&[words, &["--api", &self.url, "--json"]].concat())
    }
}

fn is_named(said: &Said, reason: &str) -> bool {
    said.code == 6 && said.error_code() == reason
}

#[tokio::test]
async fn each_lie_of_a_server_is_named_and_the_truth_beside_it_is_not() {
    let cluster = Cluster::up(98, 100).await;
    cluster.done(&["wallet", "new", "bob", "--as", "bank3"]);
    let pay = ["pay", "2.50", "--from", "vault@bank2", "--to", "bob@bank3", "--wait", "confirmed"];
    let coin = text(&cluster.done(&pay), "coin");
    wait_registered(&cluster, &coin).await;
    let manifest: Value = serde_json::from_slice(&std::fs::read(cluster.path().join("cluster.json")).unwrap()).unwrap();
    let processes = manifest["processes"].as_array().unwrap();
    let observer = text(processes.iter().find(|process| process["role"] == "observer").unwrap(), "http");
    let bank = text(processes.iter().find(|process| process["name"] == "bank4").unwrap(), "http");
    wait_until(30, "two nodes show one log", || cluster.assay(&["coin", "show", &coin, "--mirror", &bank]).code == 0)
        .await;

    // What the server says of the coin, and of the totals: they hang on the same checkpoint.
    for (port, kind, reason, about_totals) in [
        (8201, "wrong-record", "wrong_record", false),
        (8202, "missing-log-signature", "missing_log_signature", true),
        (8203, "forged-signer", "forged_signer", true),
        (8204, "duplicated-signer", "duplicated_signer", true),
        (8205, "wrong-set", "wrong_set", true),
        (8206, "omitted-update", "omitted_update", true),
    ] {
        let liar = Liar::start(&cluster, kind, port).await;
        let said = liar.ask(&cluster, &["coin", "show", &coin]);
        assert!(is_named(&said, reason), "{kind}: {said:?}");
        let said = liar.ask(&cluster, &["supply"]);
        assert_eq!(is_named(&said, reason), about_totals, "{kind}: {said:?}");
        assert!(about_totals || said.code == 0, "{kind}: {said:?}");
    }

    // Alone it holds: everyone who counts has signed it. A second view names it.
    let liar = Liar::start(&cluster, "split-view", 8207).await;
    assert_eq!(liar.ask(&cluster, &["coin", "show", &coin]).code, 0);
    // While a checkpoint is under way the two views differ in size as well.
    wait_until(30, "the split view is named", || {
        is_named(&liar.ask(&cluster, &["coin", "show", &coin, "--mirror", &observer]), "split_view")
    })
    .await;
    drop(liar);

    // It says the truth until there is something older than the truth.
    let liar = Liar::start(&cluster, "stale-root", 8208).await;
    cluster.done(&pay);
    wait_until(30, "the older state is told, and named", || {
        is_named(&liar.ask(&cluster, &["coin", "show", &coin]), "stale_root")
    })
    .await;
    assert!(is_named(&liar.ask(&cluster, &["supply"]), "stale_root"));

    assert_eq!(cluster.assay(&["coin", "show", &coin]).code, 0, "the observer has said the truth all along");
}
