//! The validator set changes under load (G-3): an observer becomes a validator, a first validator leaves and goes on without a vote.

use crate::cluster::*;
use crate::rotated_keys::{refusal, update};
use ledger_types::envelope::*;
use ledger_types::hand_over::{HandOver, HandOverOrder};
use ledger_types::participant::{Participant, Roles, Validator, ValidatorSet};
use ledger_types::*;
use ledger_verify::{Answer, Trust, Verdict, verify_coin};
use node::keys::{KeyFolder, passphrase};
use node_api::{Client, desk, ledger};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const OBSERVER: ParticipantNumber = ParticipantNumber(5);
const BANK4: ParticipantNumber = ParticipantNumber(4);

/// To a set with these participants' power changed, 0 taking one out; `updated` is a line of which the genesis has other keys. Two
/// of three officers sign it.
fn hand_over(
    cluster: &Cluster,
    trust: &Trust,
    changes: &[(ParticipantNumber, u64)],
    updated: Option<&Participant>,
) -> Envelope {
    let mut powers: std::collections::BTreeMap<_, _> = trust.validators().iter().map(|v| (v.number, v.power)).collect();
    powers.extend(changes.iter().copied());
    let validator = |(number, power): (ParticipantNumber, u64)| {
        let line = updated.filter(|line| line.number == number);
        let keys = &line.unwrap_or_else(|| trust.genesis().directory.get(number).unwrap()).keys;
        Validator { number, power, consensus: keys.consensus, bundle: keys.bundle, cosign: keys.cosign }
    };
    let validators = powers.into_iter().filter(|(_, power)| *power > 0).map(validator).collect();
    let incoming: List<Validator, 256> = List::new(validators).unwrap();
    let order = HandOverOrder {
        number: trust.hand_overs() + 1,
        outgoing: trust.set_hash(),
        incoming: ValidatorSet::from_bytes(&incoming.to_bytes()).unwrap(),
    };
    let folder = cluster.folder("central-bank");
    let officers = KeyFolder::new(&folder.join("../officers"), passphrase(Some(&folder.join("passphrase"))).unwrap());
    let message = order.message(trust.chain());
    let sign = |officer: u8| {
        let key = officers.signing_key(&format!("officer-{}", officer + 1)).unwrap();
        OfficerSignature { officer, signature: key.sign(&message) }
    };
    let authorizations = List::new((0..2).map(sign).collect()).unwrap();
    let core = Core {
        submitter: ParticipantNumber(1),
        inputs: Inputs::Spends(List::empty()),
        outputs: List::empty(),
        contract: ContractNumber(0),
        expiry_ms: node::clock::now_ms() + 30_000,
        bucket: Bucket::None,
        hint: EnvelopeHint([0; 16]),
        salt: Salt([7; 32]),
        context: ClearContext::HandOver(Box::new(HandOverContext { order, authorizations })),
    };
    Envelope { header: EnvelopeHeader { core, commitment: KeyCommitment::ZERO }, ciphertext: Vec::new() }
}

/// Orders it, and waits until every node that runs knows that it has bound.
async fn carry_out(cluster: &Cluster, trust: &Trust, changes: &[(ParticipantNumber, u64)]) {
    carry_out_with(cluster, trust, changes, None).await;
}

async fn carry_out_with(
    cluster: &Cluster,
    trust: &Trust,
    changes: &[(ParticipantNumber, u64)],
    updated: Option<&Participant>,
) {
    let number = trust.hand_overs() + 1;
    let order = hand_over(cluster, trust, changes, updated);
    cluster.client("central-bank").submit_envelopes(vec![hex::encode(order.to_bytes())]).await.unwrap();
    for node in NODES.iter().filter(|node| cluster.runs(node)) {
        wait_until(60, "the hand-over binds on every node", async || {
            let now: ledger::Participants = cluster.client(node).get("/v1/participants").await.unwrap();
            now.hand_overs == number && now.pending_hand_over.is_none()
        })
        .await;
    }
}

/// From the genesis to the set of the newest checkpoint, once that is the set of this hand-over.
async fn followed(cluster: &Cluster, node: &str, number: usize) -> Trust {
    let mut shown = Vec::new();
    wait_until(60, "a checkpoint of the incoming set", async || {
        shown = cluster.client(node).hand_overs().await.unwrap().hand_overs;
        shown.len() >= number
    })
    .await;
    let documents: Vec<HandOver> =
        shown.iter().map(|text| HandOver::from_bytes(&hex::decode(text).unwrap()).unwrap()).collect();
    let mut trust = cluster.trust().clone();
    assert!(trust.follow(&documents, Height(u64::MAX)).is_verified());
    assert_eq!(trust.hand_overs() as usize, number);
    trust
}

async fn pay(bank: &Client, to: &str, state: &str) -> desk::Payment {
    let paid = bank.pay(&payment("vault", &format!("vault@{to}"), 10, "")).await.unwrap();
    reached(bank, &paid.id, state, 90).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g3_under_load_an_observer_joins_the_validators_one_of_them_leaves_and_nothing_acknowledged_is_lost() {
    let mut cluster = Cluster::up(116, 400).await;
    let bank2 = cluster.client("bank2");
    pay(&bank2, "bank3", "confirmed").await;
    let stop = Arc::new(AtomicBool::new(false));
    let paying = pay_until(stop.clone(), bank2.clone());

    let genesis = cluster.trust().clone();
    carry_out(&cluster, &genesis, &[(OBSERVER, 1)]).await;
    wait_until(60, "the observer votes", async || cluster.client("observer").status().await.unwrap().votes).await;
    let five = followed(&cluster, "bank3", 1).await;
    assert_eq!(five.validators().len(), 5);

    carry_out(&cluster, &five, &[(BANK4, 0)]).await;
    wait_until(60, "bank 4 votes no more", async || cluster.client("bank4").status().await.unwrap().vote == "never")
        .await;
    let without_bank4 = followed(&cluster, "bank3", 2).await;
    stop.store(true, Ordering::Relaxed);
    let taken = paying.await.unwrap();
    assert!(taken.len() >= 3, "payments went on: {}", taken.len());
    for paid in &taken {
        assert_eq!(reached(&bank2, &paid.id, "confirmed", 60).await.state, "confirmed");
    }

    // Bank 4 goes on as a bank that only follows.
    let paid = pay(&cluster.client("bank4"), "bank2", "confirmed").await;
    let id = CoinId::parse(&paid.coin.unwrap()).unwrap();
    wait_until(30, "the coin is proved to whoever pins the genesis alone", async || {
        let proof = coin_proof(&cluster.client("bank3").coin(&id.to_string()).await.unwrap());
        match verify_coin(&without_bank4, &id, &proof, node::clock::now_ms()) {
            Verdict::Verified(verified) => matches!(verified.answer(), Answer::Present(_)),
            other => panic!("{other:?}"),
        }
    })
    .await;

    // The joiner's vote counts: of central bank, 2, 3 and observer three are a quorum.
    cluster.kill("bank3");
    pay(&bank2, "bank4", "settled").await;
    // The leaver's does not: central bank, 2 and bank 4 are three, and no quorum.
    cluster.kill("observer");
    let tip = bank2.status().await.unwrap().height;
    let waits = bank2.pay(&payment("vault", "vault@bank4", 10, "")).await.unwrap();
    let path = format!("/v1/payments/{}?wait=ordered&timeout_ms=5000", waits.id);
    let waiting: desk::Payment = bank2.get(&path).await.unwrap();
    assert_eq!(waiting.state, "pending");
    assert!(bank2.status().await.unwrap().height <= tip + 1, "at most a height that was decided before");

    // Started anew, everybody knows who decides; the set is proved from the genesis alone.
    for name in ["bank4", "central-bank"] {
        cluster.kill(name);
        cluster.start(name);
    }
    for name in ["observer", "bank3"] {
        cluster.start(name);
    }
    cluster.ready().await;
    assert_eq!(reached(&bank2, &waits.id, "confirmed", 90).await.state, "confirmed");
    cluster.kill("registration");
    cluster.start("registration");
    pay(&bank2, "bank3", "confirmed").await;
    assert_eq!(cluster.client("bank4").status().await.unwrap().vote, "never");
    assert!(cluster.client("observer").status().await.unwrap().votes);
}

/// By heights that are later than its guard was made; without bank 3 each of the others is a quorum's.
async fn bank4_votes_and_is_needed(cluster: &mut Cluster) {
    let (bank2, bank4) = (cluster.client("bank2"), cluster.client("bank4"));
    wait_until(90, "bank 4 votes", async || {
        pay(&bank2, "bank3", "settled").await;
        bank4.status().await.is_ok_and(|status| status.votes)
    })
    .await;
    cluster.kill("bank3");
    pay(&bank2, "bank4", "settled").await;
    cluster.start("bank3");
    cluster.ready().await;
}

/// Bank 4 leaves the validators, is given other consensus, bundle and cosign keys, and comes back with them; and once more with an
/// emptied disk, whose chain begins with the keys of the genesis.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g3_a_validator_that_left_comes_back_with_other_keys() {
    const KEYS: [&str; 3] = ["consensus", "bundle", "cosign"];
    let mut cluster = Cluster::up(141, 100).await;
    let (bank2, bank4) = (cluster.client("bank2"), cluster.client("bank4"));
    pay(&bank4, "bank2", "confirmed").await;
    // A batch logs a hand-over, and heights follow it.
    let stop = Arc::new(AtomicBool::new(false));
    let paying = pay_until(stop.clone(), bank2.clone());
    let genesis = cluster.trust().clone();
    carry_out(&cluster, &genesis, &[(BANK4, 0)]).await;
    let three = followed(&cluster, "bank3", 1).await;
    stop.store(true, Ordering::Relaxed);
    paying.await.unwrap();
    wait_until(60, "bank 4 votes no more", async || bank4.status().await.unwrap().vote == "never").await;

    let folder = cluster.folder("bank4").join("keys");
    let file = |name: &str, end: &str| folder.join(format!("{name}.{end}"));
    KEYS.iter().for_each(|name| std::fs::rename(file(name, "pem"), file(name, "old")).unwrap());
    std::fs::rename(file("votes", "guard"), folder.join("votes.guard.old")).unwrap();
    let (keys, mut line) = (cluster.keys("bank4"), genesis.genesis().directory.get(BANK4).unwrap().clone());
    // As the hand-over has left its line (G-4).
    (line.roles, line.power) = (Roles::COMMERCIAL_BANK.and(Roles::OBSERVER), 0);
    let own = [&mut line.keys.consensus, &mut line.keys.bundle, &mut line.keys.cosign];
    KEYS.into_iter().zip(own).for_each(|(name, key)| *key = keys.create_signing_key(name).unwrap().public_key());
    let update = update(&cluster, line.clone());
    let id = update.id(genesis.chain()).to_string();
    cluster.client("central-bank").submit_envelopes(vec![hex::encode(update.to_bytes())]).await.unwrap();
    for node in NODES {
        wait_until(30, "the update is accepted", async || cluster.acknowledged(node, &id).await.is_some()).await;
    }
    let log = || std::fs::read_to_string(cluster.folder("bank4").join("log")).unwrap();
    wait_until(30, "bank 4 says that its keys are replaced", async || log().matches("key_replaced").count() >= 3).await;

    cluster.kill("bank4");
    let config = cluster.folder("bank4").join("node.toml");
    let renewed = std::process::Command::new(env!("CARGO_BIN_EXE_assay-node"))
        .args(["guards", "renew", "--config"])
        .arg(&config)
        .output()
        .unwrap();
    assert!(renewed.status.success(), "{}", String::from_utf8_lossy(&renewed.stderr));
    cluster.start("bank4");
    cluster.ready().await;
    // Its bundles are signed with the new key.
    pay(&bank4, "bank2", "confirmed").await;
    let stop = Arc::new(AtomicBool::new(false));
    let paying = pay_until(stop.clone(), bank2.clone());
    carry_out_with(&cluster, &three, &[(BANK4, 1)], Some(&line)).await;
    stop.store(true, Ordering::Relaxed);
    paying.await.unwrap();
    bank4_votes_and_is_needed(&mut cluster).await;

    cluster.kill("bank4");
    std::fs::remove_dir_all(cluster.folder("bank4").join("state")).unwrap();
    let said = refusal(&cluster, "bank4");
    assert!(said.contains(r#"returned_keys = ["consensus"]"#), "{said}");
    cluster.edit_config("bank4", "[http]", "returned_keys = [\"consensus\", \"bundle\", \"cosign\"]\n\n[http]");
    cluster.start("bank4");
    cluster.ready().await;
    bank4_votes_and_is_needed(&mut cluster).await;
}
