//! The public log of an observer, read by programs that share no code with it, and by a reader who names no coin.

use crate::cluster::*;
use ledger_tree::map::{self, EntryType, Prefix};
use ledger_types::{CoinId, Decode};
use ledger_verify::{Answer, BucketProof, verify_bucket, verify_coin};
use node_api::{ClientError, log};
use std::path::Path;
use std::process::Command;

/// 3 · 200 coins: full tiles, partial ones, and a second level.
const COINS_PER_BANK: u32 = 200;

/// Runs the client in Python, which uses hashlib and the program openssl.
fn outside_client(cluster: &Cluster, coin: &str) -> String {
    let hash = hex::encode(CoinId::parse(coin).unwrap().0);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/nodes/public_log.py");
    let ran = Command::new("python3")
        .arg("-B")
        .arg(script)
        .args([cluster.address("observer"), cluster.genesis().display().to_string(), coin.to_owned(), hash])
        .output()
        .expect("python3 starts: scripts/test installs it, and an outside client that did not run has checked nothing");
    let (said, errors) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success(), "{said}{errors}");
    said.into_owned()
}

#[tokio::test]
async fn outside_programs_read_the_log_of_an_observer_and_agree_with_every_signature() {
    let cluster = Cluster::up(131, COINS_PER_BANK).await;
    let (observer, bank2) = (cluster.client("observer"), cluster.client("bank2"));
    let mut events = observer.events().await.unwrap();
    let first = events.next().await.unwrap().unwrap();

    let mut coins = Vec::new();
    for _ in 0..3 {
        let paid: node_api::desk::Payment =
            bank2.post("/v1/payments", &payment("vault", "vault@bank3", 10, "")).await.unwrap();
        coins.push(reached(&bank2, &paid.id, "confirmed", 60).await.coin.unwrap());
    }
    let coin = coins.last().unwrap();
    wait_until(30, "the observer proves the payment's coin", async || {
        let Some(verified) = cluster.verified_coin("observer", coin).await else { return false };
        matches!(verified.answer(), Answer::Present(_))
    })
    .await;
    let next = events.next().await.unwrap().unwrap();
    assert!(next.log_size > first.log_size && next.batch > first.batch, "{first:?}, {next:?}");

    let said = outside_client(&cluster, coin);
    assert!(said.contains(" hold"), "{said}");
    let states = observer.states(None, 100).await.unwrap();
    let genesis = states.last().unwrap();
    assert_eq!((genesis.height, genesis.records), (0, 3 * u64::from(COINS_PER_BANK)));
    assert_eq!(genesis.issued, (3 * u64::from(COINS_PER_BANK) * COIN_AMOUNT).to_string());
    assert!(states.len() >= 2, "{states:?}");
    assert_eq!(observer.hand_overs().await.unwrap(), Vec::<String>::new());
    without_naming_a_coin(&cluster, coin).await;

    // A coin that nobody registered has no proof file, and a word that is no coin is refused by name.
    let absent = CoinId([9; 32]);
    for (coin, status, code) in [(absent.to_string(), 404, "not_found"), ("coin1".into(), 400, "not_a_coin_id")] {
        match observer.log_proof(&coin).await {
            Err(ClientError::Refused(problem)) => assert_eq!((problem.status, problem.code.as_str()), (status, code)),
            other => panic!("{coin}: {other:?}"),
        }
    }
}

/// A bucket answers for the coin as the coin's own proof does, and for one that is not registered.
async fn without_naming_a_coin(cluster: &Cluster, coin: &str) {
    let observer = cluster.client("observer");
    let advice = observer.bucket_advice().await.unwrap();
    // 600 coins and more, some of them spent: they stay in the map.
    assert!((3..=5).contains(&advice.bits) && advice.expected_entries >= 32, "{advice:?}");
    for coin in [CoinId::parse(coin).unwrap(), CoinId([9; 32])] {
        let prefix = Prefix::of(&map::key_hash(EntryType::Record, &coin.0), advice.bits).unwrap();
        let bucket = observer.bucket(advice.bits, &hex::encode(prefix.first())).await.unwrap();
        let proof = BucketProof::from_bytes(&hex::decode(&bucket.proof).unwrap()).unwrap();
        let now_ms = node::clock::now_ms();
        let verified = verify_bucket(cluster.trust(), &prefix, &proof, now_ms).verified().expect("an honest bucket");
        assert_eq!(verified.entries(), bucket.entries as usize);
        assert!(verified.entries() >= 16, "{} entries", verified.entries());
        assert_eq!(verified.state().head().size, bucket.as_of.log_size);
        let alone = coin_proof(&observer.coin(&coin.to_string()).await.unwrap());
        let alone = verify_coin(cluster.trust(), &coin, &alone, now_ms).verified().unwrap();
        assert_eq!(verified.answer(&coin), Ok(alone.answer()));
    }
    let refusals = [
        (33, "00000000".to_owned(), "bad_prefix"),
        (4, "0f000000".into(), "bad_prefix"),
        (4, "F0000000".into(), "bad_prefix"),
        (4, "f0".into(), "bad_prefix"),
    ];
    for (bits, prefix, code) in refusals {
        match observer.bucket(bits, &prefix).await {
            Err(ClientError::Refused(problem)) => assert_eq!((problem.status, problem.code.as_str()), (400, code)),
            other => panic!("{bits}/{prefix}: {other:?}"),
        }
    }
    let all: Result<log::Bucket, _> = observer.bucket(0, "00000000").await;
    assert_eq!(all.unwrap().bits, 0, "600 entries are few enough for one bucket");
}
