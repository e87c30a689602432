//! on real processes, by the commands that officers and registration's operator run.

use crate::shared;

use serde_json::Value;
use shared::{Cluster, Said, wait_until};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

fn text(data: &Value, field: &str) -> String {
    data[field].as_str().unwrap_or_else(|| panic!("{field} of {data}")).to_owned()
}

fn refused(said: &Said, code: &str) {
    assert_ne!(said.code, 0, "{said:?}");
    assert_eq!(said.error_code(), code, "{said:?}");
}

fn request(cluster: &Cluster, coin: &str, class: &str, name: &str) -> String {
    let file = cluster.scratch(name);
    let basis = ["regulator", "request", coin, "--basis", "COURT-9", "--class", class, "--out", &file];
    cluster.done(&basis);
    file
}

async fn reads(cluster: &Cluster, coin: &str, status: &str) {
    wait_until(60, &format!("{coin} reads {status}"), || {
        let said = cluster.assay(&["coin", "show", coin, "--json"]);
        said.document()["data"]["status"] == status
    })
    .await;
}

#[tokio::test]
async fn officers_disclose_freeze_and_let_go_what_the_public_log_shows_first() {
    let cluster = Cluster::up(82, 20).await;
    for (bank, wallet) in [("bank2", "alice"), ("bank3", "bob"), ("bank4", "carol")] {
        cluster.done(&["wallet", "new", wallet, "--as", bank]);
    }
    cluster.done(&["pay", "50.00", "--from", "vault@bank2", "--to", "alice@bank2", "--wait", "confirmed"]);
    // Below what a desk splits by itself: the coin stays.
    let paid = cluster.done(&["pay", "9.00", "--from", "alice@bank2", "--to", "bob@bank3", "--wait", "confirmed"]);
    let coin = text(&paid, "coin");
    reads(&cluster, &coin, "live").await;

    // Disclose: the leaf, the sealed root, two answers, the opening.
    let asked = request(&cluster, &coin, "disclose", "request.json");
    assert_eq!(std::fs::metadata(&asked).unwrap().permissions().mode() & 0o777, 0o600);
    let sealed = cluster.scratch("sealed.json");
    cluster.done(&["regulator", "export", &asked, "--out", &sealed]);
    let officers = cluster.path().join("officers");
    let passphrase = cluster.path().join("central-bank/passphrase").to_str().unwrap().to_owned();
    let answer = |n: usize, sealed: &str, out: &str| {
        let share = officers.join(format!("officer-{n}-share.pem"));
        let share = share.to_str().unwrap();
        let words = ["regulator", "share", sealed, "--officer", share, "--passphrase-file", &passphrase, "--out", out];
        cluster.assay(&[&words[..], &["--json"]].concat())
    };
    let answers: Vec<String> = (1..=3).map(|n| cluster.scratch(&format!("answer-{n}.json"))).collect();
    for (n, out) in [(1, &answers[0]), (3, &answers[2])] {
        assert_eq!(answer(n, &sealed, out).code, 0);
    }
    let opening = cluster.scratch("opening.json");
    let disclose = |shares: &[&str], out: &str| {
        let mut words = vec!["regulator", "disclose", &sealed, "--out", out, "--json"];
        shares.iter().for_each(|share| words.extend(["--share", share]));
        cluster.assay(&words)
    };
    refused(&disclose(&[&answers[0]], &opening), "too_few_shares");
    let spoilt = cluster.scratch("spoilt.json");
    spoil(&answers[2], &spoilt, "answer");
    let bad = disclose(&[&answers[0], &spoilt], &opening);
    refused(&bad, "bad_share");
    assert!(bad.document()["errors"][0]["message"].as_str().unwrap().contains("officer 3"), "{bad:?}");
    let disclosed = disclose(&[&answers[0], &answers[2]], &opening);
    let data = disclosed.document()["data"].clone();
    assert_eq!((data["amount"].as_u64(), text(&data, "coin")), (Some(900), coin.clone()));
    assert_eq!((data["payer_bank"].as_u64(), data["payee_bank"].as_u64()), (Some(2), Some(3)));
    // What the payee's own bank knows of the coin.
    let known = cluster.assay(&["coin", "list", "--wallet", "bob@bank3", "--json"]).document()["data"].clone();
    let known = known.as_array().unwrap().iter().find(|line| line["coin"] == coin.as_str()).unwrap().clone();
    assert_eq!(known["amount"].as_u64(), data["amount"].as_u64());

    // One leaf, one answer of each officer; another target, another chain, a share whose memory is gone: none.
    let again = cluster.scratch("again.json");
    refused(&answer(1, &sealed, &again), "request_used");
    assert!(!Path::new(&again).exists());
    for (field, code) in [("coin", "other_coin"), ("blind", "other_coin"), ("proof", "other_chain")] {
        let moved = cluster.scratch(&format!("moved-{field}.json"));
        let other = text(
            &cluster.done(&["pay", "1.00", "--from", "alice@bank2", "--to", "carol@bank4", "--wait", "confirmed"]),
            "coin",
        );
        move_request(&sealed, &moved, field, &other);
        refused(&answer(2, &moved, &again), code);
    }
    let memory = officers.join("officer-2-share.answered");
    std::fs::rename(&memory, officers.join("gone")).unwrap();
    refused(&answer(2, &sealed, &again), "file");
    std::fs::rename(officers.join("gone"), &memory).unwrap();
    assert_eq!(answer(2, &sealed, &answers[1]).code, 0, "refused tries used nothing up");

    // Freeze: it reads frozen and is not spent; let go, it is.
    let all_of_bob = |code: i32| {
        let words = ["pay", "9.00", "--from", "bob@bank3", "--to", "carol@bank4", "--wait", "settled", "--json"];
        let said = cluster.assay(&words);
        assert_eq!(said.code == 0, code == 0, "{said:?}");
        said
    };
    let freeze = request(&cluster, &coin, "freeze", "freeze.json");
    refused(&cluster.assay(&["regulator", "unfreeze", &freeze, "--json"]), "usage");
    cluster.done(&["regulator", "freeze", &freeze]);
    refused(&cluster.assay(&["regulator", "freeze", &freeze, "--json"]), "registration_refuses");
    reads(&cluster, &coin, "frozen").await;
    all_of_bob(3);
    let unfreeze = request(&cluster, &coin, "unfreeze", "unfreeze.json");
    cluster.done(&["regulator", "unfreeze", &unfreeze]);
    reads(&cluster, &coin, "live").await;
    wait_until(60, "bob's coin can be spent again", || {
        let words = ["pay", "9.00", "--from", "bob@bank3", "--to", "carol@bank4", "--wait", "settled", "--json"];
        cluster.assay(&words).code == 0
    })
    .await;

    // All of it is counted in public, whoever is asked.
    let counted = cluster.assay(&["regulator", "requests", "--json"]).document()["data"].clone();
    let counts = ["disclose", "freeze", "unfreeze"].map(|class| counted[class].as_u64());
    assert_eq!(counts, [Some(1), Some(1), Some(1)]);
    assert_eq!(counted["newest"].as_array().unwrap().len(), 3);
    assert!(!counted.to_string().contains(&coin), "which coin is nobody's to see");
}

/// The same document with one hex digit of a field changed.
fn spoil(from: &str, to: &str, field: &str) {
    let mut document: Value = serde_json::from_slice(&std::fs::read(from).unwrap()).unwrap();
    let mut digits = document[field].as_str().unwrap().to_owned().into_bytes();
    let last = digits.len() - 1;
    digits[last] = if digits[last] == b'0' { b'1' } else { b'0' };
    document[field] = Value::String(String::from_utf8(digits).unwrap());
    std::fs::write(to, document.to_string()).unwrap();
}

fn move_request(from: &str, to: &str, field: &str, coin: &str) {
    let mut document: Value = serde_json::from_slice(&std::fs::read(from).unwrap()).unwrap();
    let request = &mut document["request"];
    match field {
        "coin" => request["coin"] = coin.into(),
        "blind" => request["blind"] = "11".repeat(32).into(),
        // The genesis hash stands behind the proof's version.
        _ => {
            let mut proof = request["proof"].as_str().unwrap().to_owned();
            proof.replace_range(2..66, &"ab".repeat(32));
            request["proof"] = proof.into();
        }
    }
    std::fs::write(to, document.to_string()).unwrap();
}
