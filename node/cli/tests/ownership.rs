//! "This coin is mine", and openings that are shown, over the command line.

use crate::shared;

use serde_json::Value;
use shared::{Cluster, assay, text, wait_registered};
use std::os::unix::fs::PermissionsExt;

/// Reads a file of hex, changes one byte of it, and writes it to another.
fn flipped(cluster: &Cluster, from: &str, to: &str, byte: usize) -> String {
    let mut bytes = hex::decode(std::fs::read_to_string(from).unwrap().trim()).unwrap();
    bytes[byte] ^= 1;
    let path = cluster.scratch(to);
    std::fs::write(&path, hex::encode(bytes)).unwrap();
    path
}

#[tokio::test]
async fn an_owner_answers_a_challenge_and_every_false_answer_is_named_offline_c6() {
    let mut cluster = Cluster::up(96, 100).await;
    cluster.done(&["wallet", "new", "bob", "--as", "bank3"]);
    // Small enough that the desk does not split them.
    let pay = |amount| {
        let words = ["pay", amount, "--from", "vault@bank2", "--to", "bob@bank3", "--wait", "confirmed"];
        text(&cluster.done(&words), "coin")
    };
    let (coin, other) = (pay("2.50"), pay("7.00"));
    wait_registered(&cluster, &other).await;
    let genesis = cluster.path().join("genesis.bin").to_str().unwrap().to_owned();
    let file = |name: &str| cluster.scratch(name);
    let (coin_proof, other_proof) = (file("coin.json"), file("other.json"));
    cluster.done(&["coin", "show", &coin, "--save", &coin_proof]);
    cluster.done(&["coin", "show", &other, "--save", &other_proof]);

    let (challenge, answer) = (file("challenge.hex"), file("answer.hex"));
    let asked = cluster.done(&["ownership", "challenge", &coin, "--text", "order 7", "--save", &challenge]);
    assert_eq!((asked["text"].as_str(), text(&asked, "nonce").len()), (Some("order 7"), 64));
    assert_eq!(std::fs::read_to_string(&challenge).unwrap().trim(), text(&asked, "challenge"));
    let prove = |coin: &str, challenge: &str, bank: &str, more: &[&str]| {
        let words = ["ownership", "prove", coin, "--challenge", challenge, "--as", bank, "--json"];
        cluster.assay(&[&words[..], more].concat())
    };
    let proved = prove(&coin, &challenge, "bank3", &["--save", &answer]);
    assert_eq!(proved.code, 0, "{proved:?}");
    // Nothing of the owner's other coin: neither its id nor its key, its tag or its opening.
    let coins = cluster.done(&["coin", "list", "--wallet", "bob@bank3"]);
    let of = |id: &str| coins.as_array().unwrap().iter().find(|held| held["coin"] == id).unwrap().clone();
    let tag = text(&cluster.done(&["coin", "show", &other])["record"], "owner_tag");
    for secret in [other.clone(), text(&of(&other), "owner"), tag, text(&of(&other), "opening")] {
        assert!(!proved.stdout.contains(&secret), "{secret} in {proved:?}");
    }
    assert!(proved.stdout.contains(&text(&of(&coin), "owner")));

    let elsewhere = prove(&coin, &challenge, "bank2", &[]);
    assert_eq!((elsewhere.error_code().as_str(), elsewhere.code), ("not_found", 4));
    let fresh = file("fresh.hex");
    cluster.done(&["ownership", "challenge", &coin, "--text", "order 7", "--save", &fresh]);
    // Expired at 1 ms: the last eight bytes of a challenge are its time.
    let expired = file("expired.hex");
    let mut bytes = hex::decode(text(&asked, "challenge")).unwrap();
    let time = bytes.len() - 8;
    bytes[time..].copy_from_slice(&1u64.to_le_bytes());
    std::fs::write(&expired, hex::encode(&bytes)).unwrap();
    let said = prove(&coin, &expired, "bank3", &[]);
    assert_eq!((said.error_code().as_str(), said.code), ("challenge_expired", 3));

    // From here on nobody is asked any more.
    let others_answer = file("others.hex");
    assert_eq!(prove(&other, &challenge, "bank3", &["--save", &others_answer]).code, 0);
    // The same answer with the expired challenge in it: coin, key and blind come first.
    let late_answer = file("late.hex");
    let mut late = hex::decode(std::fs::read_to_string(&answer).unwrap().trim()).unwrap();
    let challenge_end = 96 + bytes.len();
    late[96..challenge_end].copy_from_slice(&bytes);
    std::fs::write(&late_answer, hex::encode(&late)).unwrap();
    let forged = flipped(&cluster, &answer, "forged.hex", late.len() - 1);
    let other_tag = flipped(&cluster, &answer, "tag.hex", 64);
    let other_coin = flipped(&cluster, &answer, "coin.hex", 0);
    let shortened = file("short.hex");
    std::fs::write(&shortened, "00").unwrap();
    cluster.down();
    let verify = |answer: &str, challenge: &str, coin_proof: &str| {
        let words = ["ownership", "verify", answer, "--challenge", challenge, "--coin-proof", coin_proof];
        assay(&[&words[..], &["--genesis", &genesis, "--json"]].concat())
    };
    let said = verify(&answer, &challenge, &coin_proof);
    assert_eq!((said.code, &said.document()["data"]["verified"]), (0, &Value::from(true)), "{said:?}");
    assert_eq!(said.document()["data"]["owner"], of(&coin)["owner"]);
    for (answer, challenge, coin_proof, code) in [
        (&answer, &challenge, &other_proof, "other_coin"),
        (&other_coin, &challenge, &coin_proof, "other_coin"),
        (&answer, &fresh, &coin_proof, "other_challenge"),
        (&late_answer, &expired, &coin_proof, "challenge_expired"),
        (&other_tag, &challenge, &coin_proof, "not_the_owner"),
        (&forged, &challenge, &coin_proof, "forged_ownership"),
        (&shortened, &challenge, &coin_proof, "malformed"),
        (&answer, &shortened, &coin_proof, "malformed"),
    ] {
        let said = verify(answer, challenge, coin_proof);
        assert_eq!((said.error_code().as_str(), said.code), (code, 6), "{said:?}");
    }
    assert_eq!(verify(&others_answer, &challenge, &other_proof).code, 0, "the other coin is bob's too");
}

#[tokio::test]
async fn an_opening_is_written_for_its_holder_alone_and_checked_against_the_coin_id_offline() {
    let mut cluster = Cluster::up(97, 100).await;
    cluster.done(&["wallet", "new", "bob", "--as", "bank3"]);
    let pay = ["pay", "2.50", "--from", "vault@bank2", "--to", "bob@bank3", "--wait", "confirmed"];
    let coin = text(&cluster.done(&pay), "coin");
    let (shown, genesis) = (cluster.scratch("opening.json"), cluster.path().join("genesis.bin"));
    let genesis = genesis.to_str().unwrap().to_owned();
    cluster.done(&["coin", "opening", &coin, "--save", &shown, "--as", "bank3"]);
    assert_eq!(std::fs::metadata(&shown).unwrap().permissions().mode() & 0o777, 0o600);
    let again = cluster.assay(&["coin", "opening", &coin, "--save", &shown, "--as", "bank3", "--json"]);
    assert_eq!((again.error_code().as_str(), again.code), ("file", 1), "nothing is overwritten");
    let elsewhere = cluster.assay(&["coin", "opening", &coin, "--as", "bank2", "--json"]);
    assert_eq!((elsewhere.error_code().as_str(), elsewhere.code), ("not_found", 4));
    cluster.down();

    let check = |file: &str, coin: &str| assay(&["coin", "check-opening", file, coin, "--genesis", &genesis, "--json"]);
    let said = check(&shown, &coin);
    assert_eq!(said.code, 0, "{said:?}");
    assert_eq!((&said.document()["data"]["amount"], &said.document()["data"]["bank"]), (&250.into(), &3.into()));
    let document: Value = serde_json::from_slice(&std::fs::read(&shown).unwrap()).unwrap();
    for field in ["coin", "opening", "origin", "output_index", "bank"] {
        assert!(document.get(field).is_some(), "the page asks for {field}");
    }
    let other = ledger_types::CoinId([7; 32]).to_string();
    assert_eq!((check(&shown, &other).error_code().as_str(), check(&shown, &other).code), ("opening_differs", 6));
    let changed = cluster.scratch("changed.json");
    let mut richer = document.clone();
    // The amount is the first field: a claim to more.
    richer["opening"] = format!("ff{}", &text(&document, "opening")[2..]).into();
    std::fs::write(&changed, richer.to_string()).unwrap();
    assert_eq!(check(&changed, &coin).error_code(), "opening_differs");
    std::fs::write(&changed, "{}").unwrap();
    assert_eq!((check(&changed, &coin).error_code().as_str(), check(&changed, &coin).code), ("opening_malformed", 6));
}
