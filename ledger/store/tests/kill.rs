//! A real process, killed with -9 while it stores, acks and commits: nothing that it said is lost.

use crate::common;

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use common::bed::{BANK2, BANK3, Bed, KnownCoin, preissue};
use common::{StoredChain, VALIDATORS, precommits};
use ledger_store::{AckGuard, CommittedHeight, Memory, Store, StoreOptions};
use ledger_types::block::Block;
use ledger_types::{BundleDigest, Height, List};

const CHILD: &str = "ASSAY_STORE_KILLED_CHILD";
const KILLS: usize = 20;

fn bed() -> Bed {
    Bed::with_preissues(vec![preissue(BANK2, 200)])
}

fn open(path: &Path) -> Store {
    let (rules, file) = (bed().rules, path.with_file_name("acks"));
    if !file.exists() {
        AckGuard::create(&file, rules.chain.genesis_hash()).unwrap();
    }
    let guard = AckGuard::open(&file, rules.chain.genesis_hash()).unwrap();
    // The file of coins is written again and again.
    let memory = Memory { coin_changes: 8, ..Memory::LEDGER };
    let options = StoreOptions { memory, ..StoreOptions::default() };
    Store::open(path, (*rules.genesis).clone(), options, Some(guard)).unwrap_or_else(|error| panic!("{error}"))
}

/// Goes on from the tip until it is killed; says what it has done, after it has done it.
fn child(path: &Path) -> ! {
    let store = open(path);
    let mut bed = bed();
    let coins: Vec<KnownCoin> = bed.preissued.clone();
    let mut out = std::io::stdout();
    let mut say = |text: String| {
        out.write_all(text.as_bytes()).and_then(|()| out.flush()).unwrap_or_else(|_| std::process::exit(0))
    };
    loop {
        let tip = store.tip();
        bed.ledger = tip.ledger.clone();
        let first = tip.ledger.height.0 as usize * 7;
        let envelopes = (first..first + 40).map(|nth| {
            let coin = coins[nth % coins.len()].clone();
            bed.transfer(BANK2, &[coin], &[(BANK3, 60), (BANK2, 40)]).seal()
        });
        let envelopes = envelopes.collect();
        let bundle = bed.bundle(BANK2, envelopes);
        store.bundles().put(std::slice::from_ref(&bundle)).unwrap();
        let acked = store.bundles().guard_acks(&[(bundle.slot(), bundle.digest())]).unwrap()[0].unwrap();
        say(format!("acked {} {acked}\n", bundle.slot().sequence));
        // After a kill the bundle that was acked is the one to be ordered.
        let bundle = store.bundles().get(&acked).unwrap().unwrap();
        let certificates = common::bed::certificates(std::slice::from_ref(&bundle));
        let candidate = ledger_state::CandidateBlock {
            height: tip.ledger.height.next(),
            time_ms: tip.ledger.time_ms + 1_000,
            certificates: &certificates,
            bundles: &[bundle],
            parent_round: 0,
        };
        let readers = store.readers();
        let applied = ledger_state::apply(&bed.rules, &tip.ledger, &readers.snapshot().unwrap(), candidate).unwrap();
        let certificate = precommits(&bed.rules.chain, applied.ledger.height, applied.ledger.block, &VALIDATORS);
        let block = Block {
            header: applied.header.clone(),
            certificates: List::new(certificates).unwrap(),
            parent_certificate: tip.certificate.clone(),
        };
        store.commit(CommittedHeight { block: &block, certificate: &certificate, applied: &applied }).unwrap();
        say(format!("committed {} {}\n", applied.ledger.height, applied.ledger.block));
    }
}

#[test]
fn a_process_killed_at_random_moments_loses_nothing_that_it_said() {
    if let Some(path) = std::env::var_os(CHILD) {
        child(Path::new(&path));
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger");
    drop(open(&path));
    let mut acked: HashMap<u64, BundleDigest> = HashMap::new();
    let mut blocks: HashMap<u64, String> = HashMap::new();
    for round in 0..KILLS {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "kill::a_process_killed_at_random_moments_loses_nothing_that_it_said", "--nocapture"])
            .env(CHILD, &path)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // Killed after some lines, at a moment that the scheduler picks; then what it had said before it died is read.
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut said: Vec<String> = Vec::new();
        while said.len() < 3 + round % 6 {
            let line = lines.next().expect("the child goes on until it is killed").unwrap();
            said.extend((line.starts_with("acked ") || line.starts_with("committed ")).then_some(line));
        }
        process.kill().unwrap();
        said.extend(lines.map_while(Result::ok));
        process.wait().unwrap();

        for line in &said {
            let words: Vec<_> = line.split(' ').collect();
            let [what, number, value] = words[..] else { continue };
            let number: u64 = number.parse().unwrap();
            match what {
                "acked" => {
                    let digest = BundleDigest::from_hex(value).unwrap();
                    assert_eq!(*acked.entry(number).or_insert(digest), digest, "one ack a slot");
                }
                "committed" => {
                    assert_eq!(*blocks.entry(number).or_insert(value.to_owned()), value, "one block a height")
                }
                _ => {}
            }
        }
        let store = open(&path);
        let readers = store.readers();
        let snapshot = readers.snapshot().unwrap();
        let newest = blocks.keys().max().copied().unwrap_or(0);
        assert!(snapshot.height() >= Height(newest), "round {round}");
        for (height, hash) in &blocks {
            assert_eq!(snapshot.block(Height(*height)).unwrap().unwrap().hash(&store.rules().chain).to_string(), *hash);
        }
        for digest in acked.values() {
            assert!(store.bundles().get(digest).unwrap().is_some(), "round {round}: the acked bundle {digest} is lost");
        }
    }
    assert!(blocks.len() >= KILLS);
    // The whole chain, executed again from nothing, gives the same blocks.
    let store = open(&path);
    let (readers, mut replay) = (store.readers(), StoredChain::of(bed()));
    let snapshot = readers.snapshot().unwrap();
    for height in 1..=snapshot.height().0 {
        let block = snapshot.block(Height(height)).unwrap().unwrap();
        let digest = |c: &ledger_types::bundle::BundleCertificate| c.digest(&store.rules().chain);
        let bundles: Vec<_> =
            block.certificates.iter().map(|c| store.bundles().get(&digest(c)).unwrap().unwrap()).collect();
        assert_eq!(replay.block(&bundles).applied.header, block.header);
    }
    assert_eq!(replay.store().tip().ledger, store.tip().ledger);
}
