//! A role's own columns.

use ledger_store::{Bincode, Column, ColumnSpec, OpenError, PrivateStore, Raw, Scan, StoreError};
use ledger_types::{Chain, CoinId, GenesisHash, Height, ParticipantNumber};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Wallet {
    name: String,
    coins: Vec<[u8; 32]>,
}

const WALLETS: Column<(ParticipantNumber, String), Wallet, Bincode> = Column::ascending("wallets");
const COINS: Column<CoinId, Height> = Column::random("coins");
const OUTBOX: Column<u64, Vec<u8>, Raw> = Column::ascending("outbox");
const ALL: [ColumnSpec; 3] = [WALLETS.spec(), COINS.spec(), OUTBOX.spec()];

const CHAIN: Chain = Chain::new(GenesisHash([3; 32]));

fn open(folder: &tempfile::TempDir) -> Result<PrivateStore, OpenError> {
    PrivateStore::open(&folder.path().join("desk"), "bank desk", 1, &CHAIN, &ALL)
}

fn wallet(name: &str) -> Wallet {
    Wallet { name: name.into(), coins: vec![[1; 32], [2; 32]] }
}

#[test]
fn a_batch_over_several_columns_is_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder).unwrap();
    let mut writes = store.writes();
    writes.put(&WALLETS, &(ParticipantNumber(2), "alice".into()), &wallet("Alice")).unwrap();
    writes.put(&COINS, &CoinId([9; 32]), &Height(4)).unwrap();
    writes.put(&OUTBOX, &1, &b"first".to_vec()).unwrap();
    assert_eq!(writes.rows(), 3);
    writes.commit().unwrap();
    // Never committed: never there.
    let mut dropped = store.writes();
    dropped.put(&OUTBOX, &2, &b"second".to_vec()).unwrap();
    drop(dropped);
    drop(store);
    let store = open(&folder).unwrap();
    assert_eq!(store.get(&WALLETS, &(ParticipantNumber(2), "alice".into())).unwrap(), Some(wallet("Alice")));
    assert_eq!(store.get(&COINS, &CoinId([9; 32])).unwrap(), Some(Height(4)));
    assert_eq!(store.get(&OUTBOX, &1).unwrap(), Some(b"first".to_vec()));
    assert_eq!(store.get(&OUTBOX, &2).unwrap(), None);
    let mut writes = store.writes();
    writes.delete(&COINS, &CoinId([9; 32]));
    writes.commit().unwrap();
    assert_eq!(store.get(&COINS, &CoinId([9; 32])).unwrap(), None);
}

#[test]
fn rows_come_in_the_order_of_their_keys() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder).unwrap();
    let mut writes = store.writes();
    for (bank, name) in [(258, "x"), (2, "bob"), (2, "alice"), (1, "zoe"), (3, "carol")] {
        writes.put(&WALLETS, &(ParticipantNumber(bank), name.into()), &wallet(name)).unwrap();
    }
    for number in [300u64, 2, 256, 1] {
        writes.put(&OUTBOX, &number, &vec![]).unwrap();
    }
    writes.commit().unwrap();
    let names = |scan: Scan| -> Vec<String> { store.scan(&WALLETS, scan).map(|row| row.unwrap().0.1).collect() };
    assert_eq!(names(Scan::all()), ["zoe", "alice", "bob", "carol", "x"]);
    assert_eq!(names(Scan::under(&ParticipantNumber(2))), ["alice", "bob"]);
    assert_eq!(names(Scan::under(&ParticipantNumber(2)).backwards()), ["bob", "alice"]);
    assert_eq!(names(Scan::under(&ParticipantNumber(4))), Vec::<String>::new());
    let numbers = |scan: Scan| -> Vec<u64> { store.scan(&OUTBOX, scan).map(|row| row.unwrap().0).collect() };
    assert_eq!(numbers(Scan::all()), [1, 2, 256, 300]);
    assert_eq!(numbers(Scan::all().starting_at(&2u64)), [2, 256, 300]);
    assert_eq!(numbers(Scan::all().starting_at(&299u64).backwards()), [256, 2, 1]);
    assert_eq!(numbers(Scan::all().backwards())[0], 300);
}

#[test]
fn a_scan_does_not_see_writes_that_follow() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder).unwrap();
    let put = |number: u64| {
        let mut writes = store.writes();
        writes.put(&OUTBOX, &number, &vec![]).unwrap();
        writes.commit().unwrap();
    };
    (1..=3).for_each(put);
    let mut rows = store.scan(&OUTBOX, Scan::all());
    rows.next().unwrap().unwrap();
    put(4);
    assert_eq!(rows.count(), 2);
}

#[test]
fn a_row_of_another_type_is_an_error_and_ends_no_process() {
    const NUMBERS: Column<u64, u64, Bincode> = Column::ascending("outbox");
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder).unwrap();
    let mut writes = store.writes();
    writes.put(&OUTBOX, &1, &b"five b".to_vec()).unwrap();
    writes.put(&OUTBOX, &2, &b"nine bytes".to_vec()).unwrap();
    writes.commit().unwrap();
    assert!(matches!(store.get(&NUMBERS, &1), Err(StoreError::Corrupt { .. })));
    assert!(matches!(store.get(&NUMBERS, &2), Err(StoreError::Corrupt { .. })), "leftovers are refused");
    assert!(matches!(store.scan(&NUMBERS, Scan::all()).next(), Some(Err(StoreError::Corrupt { .. }))));
}

#[test]
fn a_value_beyond_the_limit_is_refused_before_it_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder).unwrap();
    let mut writes = store.writes();
    let huge = Wallet { name: "x".repeat(ledger_store::VALUE_BYTES_MAX), coins: vec![] };
    let refused = writes.put(&WALLETS, &(ParticipantNumber(1), "huge".into()), &huge);
    assert!(matches!(refused, Err(StoreError::Unstorable { column: "wallets", .. })));
    assert_eq!(writes.rows(), 0);
}

#[test]
fn another_purpose_version_or_chain_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(&folder).unwrap());
    let path = folder.path().join("desk");
    let other =
        |purpose, version, chain: &Chain| PrivateStore::open(&path, purpose, version, chain, &ALL).err().unwrap();
    assert!(matches!(other("registration", 1, &CHAIN), OpenError::OtherPurpose { .. }));
    assert!(matches!(other("bank desk", 2, &CHAIN), OpenError::UnknownVersion { found: 1, known: 2, .. }));
    assert!(matches!(other("bank desk", 1, &Chain::new(GenesisHash([4; 32]))), OpenError::OtherGenesis { .. }));
    let _open = open(&folder).unwrap();
    assert!(matches!(open(&folder), Err(OpenError::InUse { .. })));
}

#[test]
fn a_column_that_is_new_is_empty_and_the_old_ones_stay() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("desk");
    let store = PrivateStore::open(&path, "bank desk", 1, &CHAIN, &ALL[..2]).unwrap();
    let mut writes = store.writes();
    writes.put(&COINS, &CoinId([9; 32]), &Height(4)).unwrap();
    writes.commit().unwrap();
    drop(store);
    let store = open(&folder).unwrap();
    assert_eq!(store.get(&COINS, &CoinId([9; 32])).unwrap(), Some(Height(4)));
    assert_eq!(store.scan(&OUTBOX, Scan::all()).count(), 0);
}

/// A hint or an outbox row that was durable and is gone must not be taken for one that never was.
#[test]
fn lost_rows_are_refused_and_a_lost_database_is_not_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder).unwrap();
    for number in 0..3u64 {
        let mut writes = store.writes();
        writes.put(&OUTBOX, &number, &vec![7; 100]).unwrap();
        writes.commit().unwrap();
    }
    drop(store);
    let rows = folder.path().join("desk/rows");
    let files = std::fs::read_dir(&rows).unwrap().map(|entry| entry.unwrap().path());
    let log = files.filter(|path| path.extension().is_some_and(|extension| extension == "log")).max().unwrap();
    let good = std::fs::read(&log).unwrap();
    let refuses = |bytes: &[u8]| {
        std::fs::write(&log, bytes).unwrap();
        let copy = tempfile::tempdir().unwrap();
        std::fs::create_dir(copy.path().join("desk")).unwrap();
        for entry in std::fs::read_dir(&rows).unwrap().map(|entry| entry.unwrap()) {
            std::fs::create_dir_all(copy.path().join("desk/rows")).unwrap();
            std::fs::copy(entry.path(), copy.path().join("desk/rows").join(entry.file_name())).unwrap();
        }
        std::fs::copy(folder.path().join("desk/FORMAT"), copy.path().join("desk/FORMAT")).unwrap();
        matches!(open(&copy), Err(OpenError::RowsLost { .. }))
    };
    assert!(!refuses(&good));
    for cut in [good.len() - 1, good.len() / 2, 1] {
        assert!(refuses(&good[..cut]), "cut at {cut}");
    }
    for byte in (0..good.len()).step_by(13) {
        let mut bad = good.clone();
        bad[byte] ^= 64;
        assert!(refuses(&bad), "byte {byte}");
    }
    std::fs::remove_dir_all(&rows).unwrap();
    assert!(open(&folder).is_err());
    assert!(open(&folder).is_err(), "nor by the first attempt");
}
