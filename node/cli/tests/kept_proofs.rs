//! Proofs that are kept: each is checked offline from the genesis alone, also when other validators have taken over since it.

use crate::shared;

use serde_json::Value;
use shared::{Cluster, text, wait_registered};

fn pay(cluster: &Cluster) -> String {
    // Small enough that the desk does not split it.
    let words = ["pay", "2.50", "--from", "vault@bank2", "--to", "bob@bank3", "--wait", "confirmed"];
    text(&cluster.done(&words), "coin")
}

/// The file of a coin's proof, and that of the supply's.
fn keep(cluster: &Cluster, coin: &str, name: &str) -> [String; 2] {
    let files = ["coin", "supply"].map(|of| cluster.scratch(&format!("{name}-{of}.json")));
    cluster.done(&["coin", "show", coin, "--save", &files[0]]);
    cluster.done(&["supply", "--save", &files[1]]);
    files
}

fn read(file: &str) -> Value {
    serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
}

fn changed(cluster: &Cluster, file: &str, change: impl FnOnce(&mut Value)) -> String {
    let mut document = read(file);
    change(&mut document);
    let path = cluster.scratch("changed.json");
    std::fs::write(&path, document.to_string()).unwrap();
    path
}

#[tokio::test]
async fn g3_a_proof_that_is_kept_leads_from_the_genesis_to_the_validators_that_signed_it() {
    let cluster = Cluster::up(81, 100).await;
    cluster.done(&["wallet", "new", "bob", "--as", "bank3"]);
    let coin = pay(&cluster);
    wait_registered(&cluster, &coin).await;
    let before = keep(&cluster, &coin, "before");

    // Payments make the batch that the order binds with.
    std::thread::scope(|scope| {
        let change = scope.spawn(|| cluster.done(&["validators", "change", "5=1", "--yes"]));
        while !change.is_finished() {
            pay(&cluster);
        }
    });
    let coin = pay(&cluster);
    wait_registered(&cluster, &coin).await;
    let after = keep(&cluster, &coin, "after");
    let request = cluster.scratch("request.json");
    cluster.done(&["regulator", "request", &coin, "--basis", "AML-7", "--class", "disclose", "--out", &request]);
    let sealed = cluster.scratch("sealed.json");
    cluster.done(&["regulator", "export", &request, "--out", &sealed]);

    let genesis = cluster.path().join("genesis.bin").to_str().unwrap().to_owned();
    let share = cluster.path().join("officers/officer-1-share.pem").to_str().unwrap().to_owned();
    let passphrase = cluster.path().join("central-bank/passphrase").to_str().unwrap().to_owned();
    let answer = cluster.scratch("answer.json");
    let check = |what: &str, file: &str| cluster.assay(&[what, "verify", file, "--genesis", &genesis, "--json"]);
    let answered = |sealed: &str| {
        let words = ["regulator", "share", sealed, "--officer", &share, "--passphrase-file", &passphrase];
        cluster.assay(&[&words[..], &["--out", &answer, "--json"]].concat())
    };

    let hand_overs = |document: &Value| document["hand_overs"].as_array().map_or(0, Vec::len);
    for (kept, count) in [(&before, 0), (&after, 1)] {
        for (what, file) in ["coin", "supply"].into_iter().zip(kept) {
            assert_eq!(hand_overs(&read(file)), count, "{file}");
            let said = check(what, file);
            assert_eq!(said.code, 0, "{file}: {said:?}");
        }
    }
    for (what, file) in ["coin", "supply"].into_iter().zip(&after) {
        // Without what leads there, and with a signature of it spoilt.
        let left_out = changed(&cluster, file, |document| document["hand_overs"] = Value::Array(Vec::new()));
        assert_eq!(check(what, &left_out).error_code(), "omitted_update");
        let spoilt = changed(&cluster, file, |document| {
            let mut bytes = hex::decode(document["hand_overs"][0].as_str().unwrap()).unwrap();
            *bytes.last_mut().unwrap() ^= 1;
            document["hand_overs"][0] = hex::encode(bytes).into();
        });
        let said = check(what, &spoilt);
        assert_eq!(said.code, 6, "{said:?}");
    }
    let left_out = changed(&cluster, &sealed, |document| document["request"]["hand_overs"] = Value::Array(Vec::new()));
    assert_eq!(answered(&left_out).error_code(), "omitted_update");
    let said = answered(&sealed);
    assert_eq!(said.code, 0, "{said:?}");
}
