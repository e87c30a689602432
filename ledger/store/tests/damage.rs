//! Whoever meets a stored row that cannot be read, the store knows of it from then on: which column, which row, what is wrong.

use crate::common;

use std::fs;
use std::path::PathBuf;

use common::bed::BANK2;
use common::{StoredChain, coin_file, raw_rows};
use ledger_store::Found;
use ledger_types::{CoinId, Height};

fn found(chain: &StoredChain) -> Found {
    chain.store().damage().found()
}

/// The one file in which a column's rows lie.
fn file_of(chain: &StoredChain, column: &str) -> PathBuf {
    let rows = raw_rows(&chain.path());
    let family = rows.cf_handle(column).unwrap();
    rows.flush_cf(family).unwrap();
    rows.compact_range_cf(family, None::<&[u8]>, None::<&[u8]>);
    let files = rows.live_files().unwrap();
    let file = files.iter().find(|file| file.column_family_name == column).expect("the column has rows");
    chain.path().join("state").join(file.name.trim_start_matches('/'))
}

#[test]
fn a_row_that_does_not_decode_is_noted_with_its_column_and_key() {
    let mut chain = StoredChain::closed();
    let rows = raw_rows(&chain.path());
    let blocks = rows.cf_handle("blocks").unwrap();
    let key = 1u64.to_be_bytes();
    let mut block = rows.get_cf(blocks, key).unwrap().unwrap();
    block.pop();
    rows.put_cf(blocks, key, block).unwrap();
    drop(rows);
    chain.reopen();
    assert_eq!(found(&chain), Found::default(), "a start does not read the whole history");

    let block = |height| chain.store().readers().snapshot().unwrap().block(Height(height));
    for times in 1..=2 {
        assert!(block(1).is_err());
        assert_eq!(found(&chain).reads, times);
    }
    assert!(block(2).unwrap().is_some());
    let place = found(&chain).first.unwrap();
    assert!(place.contains("column blocks") && place.contains("row 0000000000000001"), "{place}");
    assert_eq!(found(&chain).reads, 2, "a sound row is no damage");
    chain.reopen();
    assert_eq!(found(&chain), Found::default(), "a start looks anew");
}

/// By the database's own checksums, whichever way a reader takes.
#[test]
fn bytes_that_changed_beneath_the_database_are_noted_by_a_look_up_and_by_a_scan() {
    let mut chain = StoredChain::closed();
    let coins = coin_file(&chain.path().join("state"));
    for file in ["results", "coins", "evidence"] {
        if file == "evidence" {
            chain.reopen();
            chain.store().put_evidence(Height(2), b"two signatures").unwrap();
            chain.store = None;
        }
        let file = if file == "coins" { coins.clone() } else { file_of(&chain, file) };
        let mut bytes = fs::read(&file).unwrap();
        bytes[8] ^= 1;
        fs::write(&file, bytes).unwrap();
    }
    chain.reopen();
    let readers = chain.store().readers();
    let snapshot = readers.snapshot().unwrap();
    assert!(snapshot.result_codes(Height(1)).is_err());
    let place = found(&chain).first.unwrap();
    assert!(place.contains("column results") && place.contains("Corruption"), "{place}");
    assert!(snapshot.evidence().any(|row| row.is_err()));
    // There is one page, whatever stands on it.
    assert!(snapshot.coin(&CoinId([0xff; 32])).is_err());
    assert_eq!(found(&chain).reads, 3);
}

#[test]
fn a_stored_bundle_whose_bytes_changed_is_noted() {
    let mut chain = StoredChain::closed();
    chain.reopen();
    let block = chain.store().readers().snapshot().unwrap().block(Height(1)).unwrap().unwrap();
    let certificate = block.certificates.iter().next().unwrap();
    assert_eq!(certificate.header.slot.submitter, BANK2);
    let digest = certificate.digest(&chain.bed.rules.chain);
    let segment = chain.path().join("bundles/00000000.bundles");
    let mut bytes = fs::read(&segment).unwrap();
    bytes[200] ^= 1;
    fs::write(&segment, bytes).unwrap();
    assert!(chain.store().bundles().get(&digest).is_err());
    let place = found(&chain).first.unwrap();
    assert!(place.contains("00000000.bundles") && place.contains(&digest.to_string()), "{place}");
}
