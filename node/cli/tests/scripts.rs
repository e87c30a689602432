//! `scripts/cluster` as an operator meets it, with --json: one document a command, and nothing left behind.

use crate::shared;

use serde_json::Value;
use shared::{Said, assay_at, programs, wait_until};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

fn script(name: &str, cluster: &Path, arguments: &[&str]) -> Said {
    let output = Command::new(root().join("scripts").join(name))
        .args(arguments)
        .env("ASSAY_CLUSTER", cluster)
        .env("ASSAY_PROGRAMS", programs())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    Said::of(output)
}

/// Runs down whatever the test left running.
struct Down<'a>(&'a Path);

impl Drop for Down<'_> {
    fn drop(&mut self) {
        script("cluster", self.0, &["reset"]);
    }
}

/// Processes that run a configuration of this cluster.
fn processes_of(cluster: &Path) -> Vec<String> {
    let ours = cluster.to_str().unwrap();
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let command_lines = entries.filter_map(|entry| std::fs::read_to_string(entry.path().join("cmdline")).ok());
    command_lines.filter(|line| line.contains("--config\0") && line.contains(ours)).collect()
}

fn process<'a>(status: &'a Value, name: &str) -> &'a Value {
    let processes = status["data"]["processes"].as_array().unwrap();
    processes.iter().find(|process| process["name"] == name).unwrap()
}

/// Epoch keys go by X-Wing, which is what `up` makes if nothing is said; the other tests of whole nodes take X25519.
fn pays_under_the_default_suite(cluster: &Path) {
    let done = |words: &str| {
        let mut arguments: Vec<&str> = words.split_whitespace().collect();
        arguments.push("--json");
        let said = assay_at(cluster, &arguments);
        assert_eq!(said.code, 0, "{words}: {said:?}");
        said.document()["data"].clone()
    };
    let keys = done("keys list --as bank2");
    let kem = keys.as_array().unwrap().iter().find(|key| key["name"] == "kem").unwrap();
    assert_eq!(kem["public_key"].as_str().unwrap().len(), 2 * 1216, "{kem}");
    done("wallet new bob --as bank3");
    let paid = done("pay 5.00 --from vault@bank2 --to bob@bank3 --wait confirmed");
    assert_eq!(paid["state"], "confirmed");
    // Small enough that bob's desk does not split it.
    let coins = done("coin list --wallet bob@bank3");
    assert_eq!(coins.as_array().unwrap().len(), 1, "{coins}");
}

#[tokio::test]
async fn a_cluster_comes_up_tells_of_itself_survives_a_kill_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let cluster = folder.path().join("cluster");
    let _down = Down(&cluster);
    let run = |words: &str| {
        let mut arguments: Vec<&str> = words.split_whitespace().collect();
        arguments.push("--json");
        script("cluster", &cluster, &arguments)
    };
    let done = |words: &str| {
        let said = run(words);
        assert_eq!(said.code, 0, "{words}: {said:?}");
        said.document()
    };

    assert_eq!(run("status").error_code(), "no_cluster");
    let up = done("up --subnet 94 --bench-coins 10");
    let ready_s = up["data"]["ready_s"].as_f64().unwrap_or_else(|| panic!("{up}"));
    let slow = ready_s > 5.0;
    assert_eq!(up["data"]["within_bound"], !slow, "{ready_s}");
    assert_eq!(
        up["warnings"].as_array().unwrap().iter().any(|warning| warning.as_str().unwrap().contains("ready after")),
        slow
    );
    for process in up["data"]["processes"].as_array().unwrap() {
        assert_eq!(process["state"], "up", "{process}");
        assert!(process["pid"].is_number() && process["api"].is_string() == process["metrics"].is_string());
    }

    assert_eq!(process(&up, "bank2")["metrics"], "http://127.0.94.2:8100/metrics");
    wait_until(30, "the status tells of registration's backlog and of the first checkpoint's height", || {
        let lag = done("status")["data"]["registration_lag"].clone();
        lag["waiting_envelopes"].is_number() && lag["confirmed_height"].is_number()
    })
    .await;
    let status = done("status")["data"].clone();
    assert!(status["ready_s"].is_null() && status["within_bound"].is_null(), "nothing was started: {status}");
    let shown = script("cluster", &cluster, &["status"]).stdout;
    assert!(shown.contains("registration lag") && shown.contains("/metrics"), "{shown}");
    assert!(!done("logs bank2")["data"]["lines"].as_array().unwrap().is_empty());

    pays_under_the_default_suite(&cluster);

    // A cluster keeps the number of banks that it was made with.
    let other = run("up --banks 5");
    assert_eq!(other.error_code(), "other_cluster");
    assert!(other.document()["errors"][0]["help"].as_str().unwrap().contains("reset"));
    for (words, code, exit) in [
        ("kill nobody", "not_found", 4),
        ("kill", "usage", 2),
        ("restart nobody", "not_found", 4),
        ("logs bank2 -f", "usage", 2),
        ("up --no-such-option", "usage", 2),
        ("up --banks", "usage", 2),
        ("status bank2", "usage", 2),
        ("no-such-command", "usage", 2),
    ] {
        let said = run(words);
        assert_eq!((said.error_code().as_str(), said.code), (code, exit), "{words}");
    }

    // A participant's number names its node.
    let killed = done("kill 3")["data"]["killed_pid"].clone();
    assert_eq!(run("kill bank3").error_code(), "not_running");
    let status = done("status");
    assert_eq!(process(&status, "bank3")["state"], "down");
    assert!(status["warnings"].to_string().contains("bank3 is down"), "{status}");
    let restarted = done("restart bank3");
    assert!(restarted["data"]["answered_s"].is_number() && restarted["data"]["pid"] != killed, "{restarted}");
    assert!(process(&done("status"), "bank3")["height"].as_u64() >= Some(2), "it answers when restart returns");
    done("restart registration");

    // The same command again prints the status; a lost pid file loses no process.
    assert_eq!(process(&done("up"), "bank3")["pid"], restarted["data"]["pid"]);
    std::fs::remove_file(cluster.join("bank4/pid")).unwrap();
    done("down");
    assert_eq!(processes_of(&cluster), Vec::<String>::new());
    for number in 1..=5 {
        for port in 8100..=8103 {
            let address = format!("127.0.94.{number}:{port}");
            TcpListener::bind(&address).unwrap_or_else(|error| panic!("{address} is still taken: {error}"));
        }
    }
    let height = |status: &Value| process(status, "bank2")["height"].as_u64();
    assert!(height(&done("up")) >= Some(2), "the state survives, and no lock is left behind");
    done("reset");
    assert!(!cluster.exists() && processes_of(&cluster).is_empty());
    done("reset");
}

#[test]
fn reset_removes_no_folder_that_is_not_a_cluster_of_ours() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("thesis.txt"), "years of work").unwrap();
    std::fs::write(folder.path().join("cluster.json"), r#"{"processes": []}"#).unwrap();
    let said = script("cluster", folder.path(), &["reset", "--json"]);
    assert_eq!((said.error_code().as_str(), said.code), ("not_a_cluster", 1));
    assert!(folder.path().join("thesis.txt").exists());
}

/// That these stand in it in this order.
fn tells(said: &Said, headings: &[&str]) {
    let mut rest = said.stdout.as_str();
    for heading in headings {
        let at = rest.find(heading).unwrap_or_else(|| panic!("no {heading:?}, or not in its place: {said:?}"));
        rest = &rest[at..];
    }
}

#[test]
fn the_demo_tells_its_acts_then_the_attacks_are_stopped_and_the_cluster_stays_up() {
    let folder = tempfile::tempdir().unwrap();
    let cluster = folder.path().join("cluster");
    let _down = Down(&cluster);
    let done = |name: &str, arguments: &[&str]| {
        let said = script(name, &cluster, arguments);
        assert_eq!(said.code, 0, "{name} {arguments:?}: {said:?}");
        said
    };
    let all_are_up = || {
        let status = done("cluster", &["status", "--json"]).document();
        for process in status["data"]["processes"].as_array().unwrap() {
            assert_eq!(process["state"], "up", "{process}");
        }
        assert_eq!(status["data"]["site"]["state"], "up", "{status}");
    };
    // Made at addresses of the test's own, and started by the demo.
    done("cluster", &["up", "--subnet", "84"]);
    done("cluster", &["down"]);

    tells(
        &done("demo", &[]),
        &["Act 1: ", "Act 2: ", "Act 3: ", "Act 4: ", "Act 5: ", "Act 6: ", "Act 7: ", "What is up"],
    );
    all_are_up();
    let attacks = done("demo", &["--attacks"]);
    let headings =
        ["Before: ", "Attack 1: ", "Attack 2: ", "Attack 3: ", "Attack 4: ", "Every attack met its refusal."];
    tells(&attacks, &headings);
    assert!(attacks.stdout.contains("bank2 is overdue: its transfers are refused (R-1)"), "{attacks:?}");
    all_are_up();
    let again = script("demo", &cluster, &[]);
    assert_eq!(again.code, 1, "{again:?}");
    assert!(again.stderr.contains("bank2 is overdue") && again.stderr.contains("scripts/cluster reset"), "{again:?}");

    done("cluster", &["reset"]);
    assert_eq!(processes_of(&cluster), Vec::<String>::new());
}

#[test]
fn the_demo_refuses_an_option_that_it_does_not_know() {
    let folder = tempfile::tempdir().unwrap();
    let said = script("demo", &folder.path().join("cluster"), &["--atacks"]);
    assert_eq!(said.code, 2, "{said:?}");
    assert!(said.stderr.contains("--atacks") && !folder.path().join("cluster").exists());
}
