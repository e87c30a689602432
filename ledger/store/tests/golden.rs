//! The bytes of every row. They change on purpose only, with another format version.
//!
//! `ASSAY_ACCEPT_GOLDEN=1 cargo test --release -p ledger-store --test store golden::` writes the file anew.

use crate::common;

use std::fmt::Write;
use std::path::Path;

use common::StoredChain;
use common::bed::{BANK2, CENTRAL, live};
use ledger_store::{HandOvers, Hashes, Headers, Offer};
use ledger_types::request::RequestClass;
use ledger_types::snapshot::SnapshotHash;
use ledger_types::{Decode, Encode};

/// Every column: how many rows, a hash over all of them, and the first row (long values cut).
fn rows() -> String {
    let mut chain = StoredChain::new();
    let decided = chain.payment(0);
    let created: Vec<_> = decided.applied.changes.coins_put.iter().map(|(id, _)| live(*id)).collect();
    let rules = chain.bed.rules.clone();
    let issue = chain.bed.issue(2, 0, &[(BANK2, 500)]).authorize_by_issue_key(&rules);
    let request = chain.bed.request(CENTRAL, RequestClass::Freeze, "AML-7").authorize_by_officers(&rules, &[0, 2]);
    let envelopes = chain.bed.bundle(CENTRAL, vec![issue.seal(), request.seal()]);
    let bundles = [envelopes, chain.bed.confirmation(chain.bed.batch(created))];
    assert!(chain.block(&bundles).applied.results.iter().all(|result| result.code == 0));
    chain.store().put_checkpoint(21, "a note").unwrap();
    chain.store().put_evidence(ledger_types::Height(2), b"two votes").unwrap();
    chain.store().prune(ledger_types::Height(1), usize::MAX).unwrap();
    chain.store = None;

    let database = common::raw_rows(&chain.path());
    let mut columns = rocksdb::DB::list_cf(&rocksdb::Options::default(), chain.path().join("state")).unwrap();
    columns.sort();
    let mut text = String::new();
    for column in columns {
        let mut hasher = blake3::Hasher::new();
        let (mut count, mut first) = (0, String::from("-"));
        for row in database.iterator_cf(database.cf_handle(&column).unwrap(), rocksdb::IteratorMode::Start) {
            let (key, value) = row.unwrap();
            hasher.update(&(key.len() as u32).to_le_bytes()).update(&key);
            hasher.update(&(value.len() as u32).to_le_bytes()).update(&value);
            if count == 0 {
                let cut = if value.len() > 48 { ".." } else { "" };
                first = format!(
                    "{} -> {} bytes {}{cut}",
                    hex::encode(&key),
                    value.len(),
                    hex::encode(&value[..value.len().min(48)])
                );
            }
            count += 1;
        }
        writeln!(text, "{column}: {count} rows, {}\n    {first}", hex::encode(&hasher.finalize().as_bytes()[..8]))
            .unwrap();
    }
    text
}

/// What a node that joins is shown.
fn offer() -> String {
    let mut chain = StoredChain::new();
    let [first, second] = [chain.payment(0), chain.empty_block()];
    let mut parts = second.applied.ledger.state_root_parts(&chain.bed.rules.chain);
    parts.snapshot = Some(SnapshotHash { height: first.block.header.height, hash: [3; 32] });
    let offer = Offer {
        hand_overs: HandOvers(vec![]),
        anchor: second.block.header,
        certificate: second.certificate,
        parts,
        headers: Headers(vec![first.block.header]),
        chunks: Hashes(vec![[1; 32]]),
        log_chunks: Hashes(vec![[2; 32], [4; 32]]),
    };
    assert_eq!(Offer::from_bytes(&offer.to_bytes()).unwrap(), offer);
    hex::encode(offer.to_bytes()) + "\n"
}

#[test]
fn the_bytes_of_every_row_are_the_golden_ones() {
    is_golden("rows.txt", rows());
}

#[test]
fn b7_the_bytes_of_an_offer_are_the_golden_ones() {
    is_golden("offer.txt", offer());
}

#[track_caller]
fn is_golden(file: &str, found: String) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(file);
    if std::env::var_os("ASSAY_ACCEPT_GOLDEN").is_some() {
        std::fs::write(&file, &found).unwrap();
    }
    let golden = std::fs::read_to_string(&file).unwrap();
    assert_eq!(found, golden);
}
