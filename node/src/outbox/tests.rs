//! The spool's bytes, its order under crashes, and what it refuses.

use super::file;
use super::*;
use ledger_types::confirmation::{Overdue, RecordStatus};
use ledger_types::keys::PublicKey;
use ledger_types::{Chain, CoinId, EnvelopeId, GenesisHash, List, ParticipantNumber};
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

const CHAIN: Chain = Chain::new(GenesisHash([7; 32]));
const ID: OutboxId = OutboxId([9; 16]);

fn key() -> SpoolKey {
    SpoolKey::new(&[3; 32])
}

fn confirmed() -> Event {
    let output =
        |coin: u8, status, failed_check, tag| ConfirmedOutput { coin: CoinId([coin; 32]), status, failed_check, tag };
    let tag = TagOpening { owner: PublicKey([5; 32]), blind: [6; 32] };
    let outputs = vec![output(2, RecordStatus::Live, 0, Some(tag)), output(3, RecordStatus::Disputed, 15, None)];
    Event::Confirmed(Confirmed {
        envelope: EnvelopeId([1; 32]),
        spent: List::new(vec![CoinId([4; 32])]).unwrap(),
        outputs: List::new(outputs).unwrap(),
        settled: true,
    })
}

fn overdue(envelope: u8) -> Event {
    Event::Overdue(Overdue { envelope: EnvelopeId([envelope; 32]), submitter: ParticipantNumber(2) })
}

/// Entries from 1 to `end`, of which those from `other_from` on are another registration's.
fn entries(end: u64, other_from: u64) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    for sequence in 1..=end {
        let event = if sequence >= other_from {
            overdue(9)
        } else if sequence % 2 == 0 {
            overdue(8)
        } else {
            confirmed()
        };
        let previous = entries.last().map_or(EntryHash::NONE, Entry::hash);
        entries.push(Entry { sequence, previous, event });
    }
    entries
}

fn unit(sequences: std::ops::RangeInclusive<u64>) -> Vec<Entry> {
    entries(*sequences.end(), u64::MAX).split_off(*sequences.start() as usize - 1)
}

/// As [`unit`], by a registration that was restored from a backup after entry 2.
fn other_unit(sequences: std::ops::RangeInclusive<u64>) -> Vec<Entry> {
    entries(*sequences.end(), 3).split_off(*sequences.start() as usize - 1)
}

fn hash_at(cursor: u64) -> EntryHash {
    entries(cursor, u64::MAX).last().map_or(EntryHash::NONE, Entry::hash)
}

fn writer(folder: &Path) -> SpoolWriter {
    SpoolWriter::open(folder, key(), CHAIN, ID, no_failpoint()).unwrap()
}

fn reader(folder: &Path, cursor: u64) -> SpoolReader {
    SpoolReader::open(folder, key(), CHAIN, None, (cursor, hash_at(cursor)))
}

fn sequences(entries: &[Entry]) -> Vec<u64> {
    entries.iter().map(|entry| entry.sequence).collect()
}

#[test]
fn a_file_keeps_its_bytes() {
    let bytes = file::encode_with(&key(), [1; 24], &CHAIN, ID, &unit(1..=2));
    // Computed from the layout by another implementation (Python, with its own BLAKE3 and AES-GCM).
    let expected = "211842f60dcdf6605cfad5c0f93cf2d42b7fed65b884e96e27aec3ad85d9e6e3";
    assert_eq!((bytes.len(), blake3::hash(&bytes).to_hex().as_str()), (469, expected));
}

#[test]
fn entries_come_back_in_order_and_each_once() {
    let folder = tempfile::tempdir().unwrap();
    let writer = writer(folder.path());
    let mut reader = reader(folder.path(), 0);
    assert_eq!(reader.poll(100).unwrap(), []);
    writer.write(&unit(1..=3)).unwrap();
    writer.write(&unit(4..=4)).unwrap();
    assert_eq!(reader.poll(100).unwrap(), unit(1..=4));
    assert_eq!(reader.poll(100).unwrap(), []);
    writer.write(&unit(5..=6)).unwrap();
    assert_eq!(reader.poll(100).unwrap(), unit(5..=6));
    reader.delete_through(4).unwrap();
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "the file of 5 and 6 is needed still");
    reader.delete_through(6).unwrap();
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_poll_ends_at_its_bound_and_the_next_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let writer = writer(folder.path());
    (0..5).for_each(|n| writer.write(&unit(2 * n + 1..=2 * n + 2)).unwrap());
    let mut reader = reader(folder.path(), 0);
    assert_eq!(sequences(&reader.poll(3).unwrap()), [1, 2, 3, 4]);
    assert_eq!(sequences(&reader.poll(100).unwrap()), [5, 6, 7, 8, 9, 10]);
}

#[test]
fn a_reader_goes_on_after_its_cursor_even_within_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let writer = writer(folder.path());
    writer.write(&unit(1..=4)).unwrap();
    assert_eq!(sequences(&reader(folder.path(), 2).poll(100).unwrap()), [3, 4]);
    let mut done = reader(folder.path(), 4);
    assert_eq!(done.poll(100).unwrap(), []);
    done.delete_through(4).unwrap();
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "a file written again after its deletion goes too");
}

#[test]
fn a_unit_written_again_after_a_crash_at_any_step_is_read_once() {
    for step in 0..3 {
        let folder = tempfile::tempdir().unwrap();
        let calls = Arc::new(AtomicUsize::new(0));
        let counted = calls.clone();
        let failpoint: Failpoint = Arc::new(move |_| counted.fetch_add(1, Ordering::SeqCst) == step);
        let crashing = SpoolWriter::open(folder.path(), key(), CHAIN, ID, failpoint).unwrap();
        assert!(matches!(crashing.write(&unit(1..=2)), Err(SpoolError::Failpoint(_))));
        let mut reader = reader(folder.path(), 0);
        let before = reader.poll(100).unwrap();
        assert!(before.is_empty() || before == unit(1..=2), "whole or not at all");
        let writer = writer(folder.path());
        writer.write(&unit(1..=2)).unwrap();
        writer.write(&unit(3..=3)).unwrap();
        let after = reader.poll(100).unwrap();
        assert_eq!([before, after].concat(), unit(1..=3), "step {step}");
        let names: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|item| item.unwrap().file_name()).collect();
        assert!(names.iter().all(|name| name.to_str().unwrap().ends_with(".outbox")), "{names:?}");
    }
}

#[test]
fn r3_a_number_that_comes_again_with_another_content_is_noticed_wherever_its_chain_meets_the_cursor() {
    let other_content = |poll: Result<Vec<Entry>, SpoolError>| match poll {
        Err(SpoolError::OtherContent { sequence }) => sequence,
        other => panic!("{other:?}"),
    };
    // At the cursor itself, beside it, and in a file over it.
    for (rewritten, noticed_at) in [(other_unit(4..=4), 4), (other_unit(5..=5), 4), (other_unit(3..=6), 4)] {
        let folder = tempfile::tempdir().unwrap();
        writer(folder.path()).write(&rewritten).unwrap();
        assert_eq!(other_content(reader(folder.path(), 4).poll(100)), noticed_at);
    }
    // Before the cursor it cannot be told apart yet, and is not thrown away: the next file shows what it was.
    let folder = tempfile::tempdir().unwrap();
    let writer = writer(folder.path());
    let mut reader = reader(folder.path(), 5);
    writer.write(&other_unit(3..=4)).unwrap();
    assert_eq!(reader.poll(100).unwrap(), []);
    reader.delete_through(5).unwrap();
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    writer.write(&other_unit(5..=5)).unwrap();
    assert_eq!(other_content(reader.poll(100)), 5);
    reader.delete_through(5).unwrap();
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "what was lost can still be read by a person");
}

#[test]
fn units_written_again_before_the_cursor_go_when_their_chain_has_reached_it() {
    let folder = tempfile::tempdir().unwrap();
    let writer = writer(folder.path());
    let mut reader = reader(folder.path(), 5);
    writer.write(&unit(1..=2)).unwrap();
    writer.write(&unit(3..=4)).unwrap();
    assert_eq!(reader.poll(100).unwrap(), []);
    writer.write(&unit(5..=6)).unwrap();
    assert_eq!(reader.poll(100).unwrap(), unit(6..=6));
    reader.delete_through(6).unwrap();
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    // Two files that do not follow each other are no chain.
    writer.write(&unit(1..=2)).unwrap();
    let mut skewed = other_unit(3..=3);
    skewed[0].previous = EntryHash([7; 32]);
    writer.write(&skewed).unwrap();
    assert!(matches!(reader.poll(100), Err(SpoolError::OtherContent { sequence: 2 })));
}

#[test]
fn a_missing_entry_is_named() {
    let folder = tempfile::tempdir().unwrap();
    writer(folder.path()).write(&unit(3..=4)).unwrap();
    let refused = reader(folder.path(), 0).poll(100).unwrap_err();
    assert!(matches!(refused, SpoolError::Gap { expected: 1, found: 3 }), "{refused}");
}

#[test]
fn every_flipped_bit_of_a_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    writer(folder.path()).write(&unit(1..=2)).unwrap();
    let path = folder.path().join(file::file_name(1));
    let good = fs::read(&path).unwrap();
    for bit in 0..good.len() * 8 {
        let mut bad = good.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        assert!(matches!(file::decode(&key(), &CHAIN, &path, 1, &bad), Err(SpoolError::Damaged { .. })), "bit {bit}");
    }
    for length in 0..good.len() {
        assert!(file::decode(&key(), &CHAIN, &path, 1, &good[..length]).is_err(), "length {length}");
    }
}

#[test]
fn another_key_chain_or_database_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    writer(folder.path()).write(&unit(1..=1)).unwrap();
    let mut other_key = SpoolReader::open(folder.path(), SpoolKey::new(&[4; 32]), CHAIN, None, (0, EntryHash::NONE));
    assert!(matches!(other_key.poll(9), Err(SpoolError::OtherKey { .. })));
    let other_genesis = Chain::new(GenesisHash([8; 32]));
    let mut other_chain = SpoolReader::open(folder.path(), key(), other_genesis, None, (0, EntryHash::NONE));
    assert!(matches!(other_chain.poll(9), Err(SpoolError::Foreign { .. })));
    let other_id = Some(OutboxId([1; 16]));
    let mut other_database = SpoolReader::open(folder.path(), key(), CHAIN, other_id, (0, EntryHash::NONE));
    assert!(matches!(other_database.poll(9), Err(SpoolError::Foreign { .. })));
}

#[test]
fn the_owner_and_its_blind_lie_in_no_file_readably() {
    let folder = tempfile::tempdir().unwrap();
    writer(folder.path()).write(&unit(1..=1)).unwrap();
    let bytes = fs::read(folder.path().join(file::file_name(1))).unwrap();
    assert!(!bytes.windows(16).any(|window| window == [5; 16] || window == [6; 16]));
    assert!(!format!("{:?}", confirmed()).contains("0505"));
}
