//! A folder that is made from a snapshot is what execution gives, and nothing else is believed (B-7).

use crate::common;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::{Arc, LazyLock};

use common::bed::lending::*;
use common::bed::{BANK2, BANK3, BANK4, BANK5, Bed, CENTRAL, Draft, OBSERVER, preissue};
use common::{Decided, StoredChain, coin_file, raw_rows};
use ledger_state::{CandidateBlock, apply};
use ledger_store::{
    Checked, CheckedOffer, CommittedHeight, HistoryPruned, JoinError, Lie, Memory, Offer, Piece, Store, StoreOptions,
    join,
};
use ledger_tree::map::{self, Prefix, Version};
use ledger_types::bundle::Bundle;
use ledger_types::coin::Coin;
use ledger_types::encoding::{Decode, Encode, Reader};
use ledger_types::genesis::Genesis;
use ledger_types::snapshot::{Chunks, Part, SnapshotCommitment, chunk_hash};
use ledger_types::{CoinId, Height, TreeRoot};
use tempfile::TempDir;

const AT: Height = Height(10_000);

struct Fixture {
    chain: StoredChain,
    offer: CheckedOffer,
    pieces: Vec<(Piece, Vec<u8>)>,
    /// Every height after the snapshot's, with its bundles.
    later: Vec<(Decided, Vec<Arc<Bundle>>)>,
}

/// 11,001 heights: loans, feeds, payments and confirmations before the snapshot, a payment in the height after it.
static FIXTURE: LazyLock<Fixture> = LazyLock::new(|| {
    let counts = [(CENTRAL, 4), (BANK2, 4_000), (BANK3, 4), (BANK4, 4), (BANK5, 4)];
    let mut chain = StoredChain::of(Bed::with_preissues(counts.map(|(bank, count)| preissue(bank, count)).to_vec()));
    let order = chain.bed.feed_order(benchmark());
    chain.accepted(order);
    let order = chain.bed.rules_order(CENTRAL, 2, 50).authorize_by_officers(&chain.bed.rules.clone(), &[0, 2]);
    chain.accepted(order);
    // One hand-over binds before the snapshot, another after it.
    let order = observer_with_power(&mut chain.bed, 1);
    chain.accepted(order);
    chain.confirmation(&[]);
    for (back, vintage, value) in [(1, 0, 345), (0, 0, 345), (0, 1, 350)] {
        let head = chain.bed.head(NOVEMBER - back, vintage);
        let publication = chain.bed.publish(head, &[(0, value), (2, value)]);
        chain.accepted(publication);
    }
    let deploy = chain.bed.deploy(1, 1, 2, &policy(1).replace("2023-11-20", "2023-11-14"));
    chain.accepted(deploy);
    chain.empty_block();
    let issue = chain.bed.issue_inert(1, &[(BANK2, 100), (BANK2, 50)]);
    let coins = issue.coins.clone();
    chain.accepted(issue);
    chain.confirmation(&coins);
    for (coin, term_days) in coins.iter().zip([400, 10]) {
        let loan = ledger_types::contract::Loan { term_days, ..GOOD_LOAN };
        let activation = chain.bed.activate(std::slice::from_ref(coin), loan, 50);
        chain.accepted(activation);
    }
    let (id, own) = (*chain.bed.state.obligations.keys().next().unwrap(), chain.bed.coin_of(CENTRAL, 0));
    let returned = chain.bed.return_loan(&[own], id, 25_000);
    chain.accepted(returned);
    chain.confirmation(&[]);
    chain.payment(0);
    let rules = chain.bed.rules.clone();
    let issue = chain.bed.issue(2, 1, &[(BANK2, 500)]).authorize_by_issue_key(&rules);
    chain.accepted(issue);
    // Published, and in the log with no batch before the snapshot.
    let head = chain.bed.head(NOVEMBER, 2);
    let publication = chain.bed.publish(head, &[(0, 351), (1, 351)]);
    chain.accepted(publication);
    while chain.bed.ledger.height < AT {
        chain.empty_block();
    }
    // A process that ends while it hashes hashes at its next start.
    chain.reopen();
    let hash = hash_of_memory(&chain.bed);
    chain.bed.state.snapshots.insert(AT, hash);

    let mut later = Vec::new();
    let payment = chain.payment_bundle(1);
    later.push((chain.block(std::slice::from_ref(&payment)), vec![payment]));
    let order = observer_with_power(&mut chain.bed, 0).seal();
    let order = chain.bed.bundle(CENTRAL, vec![order]);
    later.push((chain.block(std::slice::from_ref(&order)), vec![order]));
    let batch = chain.bed.confirmation(chain.bed.batch(vec![]));
    later.push((chain.block(std::slice::from_ref(&batch)), vec![batch]));
    while chain.bed.ledger.height < Height(11_001) {
        later.push((chain.empty_block(), Vec::new()));
    }
    let readers = chain.store().readers();
    let offer = readers.offer().unwrap().unwrap().check(&chain.bed.rules).unwrap();
    let pieces = offer.pieces().map(|piece| (piece, readers.piece(AT, piece).unwrap().unwrap())).collect();
    Fixture { chain, offer, pieces, later }
});

fn observer_with_power(bed: &mut Bed, power: u64) -> Draft {
    let incoming = bed.set_with(&[(OBSERVER, power)]);
    bed.hand_over(CENTRAL, incoming).authorize_by_officers(&bed.rules.clone(), &[0, 2])
}

/// The rows of the state in memory, cut and hashed without the store.
fn hash_of_memory(bed: &Bed) -> [u8; 32] {
    let state = &bed.state;
    let mut rows = vec![(Part::SmallState, bed.ledger.to_bytes())];
    rows.extend(state.coins.iter().map(|(id, coin)| (Part::Coins, [id.to_bytes(), coin.to_bytes()].concat())));
    let pending = |(id, amount): (&ledger_types::EnvelopeId, &ledger_state::PendingAmount)| {
        (Part::PendingAmounts, [id.to_bytes(), amount.to_bytes()].concat())
    };
    rows.extend(state.pending.iter().map(pending));
    for (policy, package) in &state.packages {
        let package = package.to_bytes();
        let length = (package.len() as u32).to_le_bytes();
        rows.push((Part::Packages, [&policy.0[..], &length, &package].concat()));
    }
    rows.extend(
        state.obligations.iter().map(|(id, open)| (Part::Obligations, [id.to_bytes(), open.to_bytes()].concat())),
    );
    let mut cut = Chunks::default();
    let mut chunks: Vec<_> = rows.iter().flat_map(|(part, row)| cut.put(*part, row)).collect();
    chunks.extend(cut.end());
    let chain = &bed.rules.chain;
    let chunks: Vec<_> = chunks.iter().map(|chunk| chunk_hash(chain, chunk)).collect();
    SnapshotCommitment { height: bed.ledger.height, block: bed.ledger.block, chunks: &chunks }.hash(chain)
}

fn genesis() -> Genesis {
    Genesis::clone(&FIXTURE.chain.bed.rules.genesis)
}

fn checked() -> impl Iterator<Item = Result<Checked, String>> {
    let Fixture { chain, offer, pieces, .. } = &*FIXTURE;
    pieces.iter().map(|(piece, bytes)| Ok(offer.check(&chain.bed.rules, *piece, bytes.clone()).unwrap()))
}

fn joined() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    join(&folder.path().join("ledger"), genesis(), Memory::SMALL, None, &FIXTURE.offer, checked()).unwrap();
    folder
}

type RawRow = (Vec<u8>, Vec<u8>);

fn column(rows: &rocksdb::DB, column: &str) -> Vec<RawRow> {
    let found = rows.iterator_cf(rows.cf_handle(column).unwrap(), rocksdb::IteratorMode::Start);
    found.map(|row| row.unwrap()).map(|(key, value)| (key.to_vec(), value.to_vec())).collect()
}

/// Rows of a folder that is open elsewhere.
fn rows_beside(path: &Path) -> rocksdb::DB {
    let options = rocksdb::Options::default();
    let columns = rocksdb::DB::list_cf(&options, path).unwrap();
    rocksdb::DB::open_cf_for_read_only(&options, path, columns, false).unwrap()
}

/// Live coins as the bytes of their file and of its changes say, each with its status, contract and time of issue.
fn coins(rows: &rocksdb::DB, folder: &Path) -> BTreeMap<CoinId, (u8, u32, u64)> {
    let file = fs::read(coin_file(folder)).unwrap();
    let (pages, end) = file.split_at(file.len() - 20);
    let count = u64::from_le_bytes(end[8..16].try_into().unwrap()) as usize;
    let stored = pages.chunks(1024).flat_map(|page| page.chunks_exact(45).take(22)).take(count);
    let mut coins: BTreeMap<_, _> = stored
        .map(|row| {
            let (contract, issued_ms) = (row[33..37].try_into().unwrap(), row[37..].try_into().unwrap());
            let coin = (row[32], u32::from_le_bytes(contract), u64::from_le_bytes(issued_ms));
            (CoinId(row[..32].try_into().unwrap()), coin)
        })
        .collect();
    for (_, changes) in column(rows, "coin_changes") {
        let mut reader = Reader::new(&changes);
        while reader.remaining() > 0 {
            let id: CoinId = reader.read().unwrap();
            if changes[changes.len() - reader.remaining()] == 0 {
                assert_eq!(reader.read::<u8>(), Ok(0));
                assert!(coins.remove(&id).is_some(), "what is spent was there");
            } else {
                let coin: Coin = reader.read().unwrap();
                coins.insert(id, (coin.status.number(), coin.contract.0, coin.issued_ms));
            }
        }
    }
    coins
}

#[test]
fn b7_a_folder_made_from_a_snapshot_holds_what_executing_every_block_gives() {
    let folder = joined();
    let executed = rows_beside(&FIXTURE.chain.path().join("snapshots/10000"));
    let joined = raw_rows(&folder.path().join("ledger"));
    for same in [
        "ledger",
        "records",
        "pending_amounts",
        "packages",
        "feed_items",
        "obligations",
        "obligations_due",
        "log_nodes",
        "log_leaves",
        "coin_leaves",
        "request_leaves",
        "contract_leaves",
        "receipt_leaves",
        "validator_sets",
        "hand_overs",
    ] {
        assert!(column(&joined, same) == column(&executed, same), "{same}");
    }
    let coins_executed = coins(&executed, &FIXTURE.chain.path().join("snapshots/10000"));
    assert!(coins_executed.len() > 1_000);
    assert!(coins(&joined, &folder.path().join("ledger/state")) == coins_executed);
    for last in ["blocks", "commit_certificates"] {
        let (joined, executed) = (column(&joined, last), column(&executed, last));
        assert_eq!(joined.len(), 128, "{last}");
        assert!(joined[..] == executed[executed.len() - 128..], "{last}");
    }
    assert_eq!(column(&joined, "block_heights").len(), 128);
    for not_in_it in ["results", "envelopes", "bundles", "segments", "map_stale", "checkpoints", "evidence"] {
        assert!(column(&joined, not_in_it).is_empty(), "{not_in_it}");
    }
}

#[test]
fn b7_the_map_of_a_joined_folder_has_every_entry_and_one_version() {
    let folder = joined();
    let store = FIXTURE.chain.open_at(&folder.path().join("ledger")).unwrap();
    let (joined, executed) = (store.readers(), FIXTURE.chain.store().readers());
    let (joined, executed) = (joined.snapshot().unwrap(), executed.snapshot().unwrap());
    let version = Version::after_height(AT.0);
    let all = Prefix::new(0, [0; 4]).unwrap();
    let entries = |snapshot: &ledger_store::Snapshot<'_>| {
        map::prove_below(snapshot, version, &all, usize::MAX).unwrap().unwrap().entries
    };
    assert!(entries(&joined).len() > 4_000);
    assert!(entries(&joined) == entries(&executed));
    assert_eq!(map::root(&joined, version).unwrap().map(TreeRoot), Some(joined.tip().ledger.map_root));
    assert_eq!(joined.oldest_map_height().unwrap(), AT);
}

#[test]
fn b7_a_joined_node_executes_the_heights_after_the_snapshot_as_the_others_did() {
    let folder = joined();
    let (store, rules) = (FIXTURE.chain.open_at(&folder.path().join("ledger")).unwrap(), &FIXTURE.chain.bed.rules);
    assert_eq!(store.tip().ledger.height, AT);
    for (decided, bundles) in &FIXTURE.later {
        store.bundles().put(bundles).unwrap();
        let (readers, block) = (store.readers(), &decided.block);
        let snapshot = readers.snapshot().unwrap();
        let candidate = CandidateBlock {
            height: block.header.height,
            time_ms: block.header.time_ms,
            certificates: &block.certificates,
            bundles,
            parent_round: block.header.parent_round,
        };
        let applied = apply(rules, &snapshot.tip().ledger, &snapshot, candidate).unwrap();
        applied.compare(&block.header).unwrap();
        let height = CommittedHeight { block, certificate: &decided.certificate, applied: &applied };
        store.commit(height).unwrap();
    }
    assert_eq!(*store.tip(), *FIXTURE.chain.store().tip());
    drop(store);
    a_joined_folder_holds_what_follows_its_snapshot_and_prunes_on(folder.path());
}

fn a_joined_folder_holds_what_follows_its_snapshot_and_prunes_on(folder: &Path) {
    let store = FIXTURE.chain.open_at(&folder.join("ledger")).unwrap();
    let first = |store: &Store| store.readers().snapshot().unwrap().first_height().unwrap();
    assert_eq!(first(&store), AT.next());
    assert_eq!(store.readers().oldest_offered(), None, "it has the hash of its snapshot, not the rows");
    assert_eq!(FIXTURE.chain.store().readers().oldest_offered(), Some(AT));
    let pruned = store.prune_history(Height(10_003), usize::MAX).unwrap();
    assert_eq!(pruned, HistoryPruned { first_height: Height(10_003), done: true });
    let readers = store.readers();
    let snapshot = readers.snapshot().unwrap();
    // The payment in the first height after the snapshot's is gone, and so are the oldest of the snapshot's own blocks.
    assert_eq!(snapshot.envelope(FIXTURE.later[0].1[0].ids().first().unwrap()).unwrap(), None);
    assert!(snapshot.envelope(FIXTURE.later[2].1[0].ids().first().unwrap()).unwrap().is_some());
    assert!(snapshot.block(Height(9_874)).unwrap().is_none() && snapshot.block(Height(9_875)).unwrap().is_some());
}

#[test]
fn b7_the_snapshot_hash_enters_the_state_root_a_thousand_heights_later_and_stays() {
    let snapshot = |height: u64| FIXTURE.later[height as usize - 10_001].0.applied.ledger.snapshot;
    assert_eq!(snapshot(10_999), None);
    let committed = snapshot(11_000).unwrap();
    assert_eq!((committed.height, committed.hash), (AT, *FIXTURE.offer.hash()));
    assert_eq!(snapshot(11_001), Some(committed));
    let ledger = &FIXTURE.chain.bed.ledger;
    let mut parts = ledger.state_root_parts(&FIXTURE.chain.bed.rules.chain);
    parts.snapshot = None;
    assert_ne!(parts.root(&FIXTURE.chain.bed.rules.chain), ledger.state_root(&FIXTURE.chain.bed.rules.chain));
}

#[test]
fn b7_only_states_that_are_served_count_as_kept() {
    let kept = FIXTURE.chain.store().kept_snapshots().unwrap();
    assert!(matches!(kept[..], [only] if only.height == AT && only.bytes > 100_000), "{kept:?}");
    let folder = joined();
    let store = FIXTURE.chain.open_at(&folder.path().join("ledger")).unwrap();
    assert_eq!(store.kept_snapshots().unwrap(), [], "a joined node knows the hash of its snapshot, not the rows");
}

#[test]
fn what_a_crash_left_among_the_snapshots_goes_with_the_next_start() {
    let folder = joined();
    let snapshots = folder.path().join("ledger/snapshots");
    for stray in ["7", "building"] {
        fs::create_dir_all(snapshots.join(stray)).unwrap();
        fs::write(snapshots.join(stray).join("000009.sst"), b"rows").unwrap();
    }
    drop(FIXTURE.chain.open_at(&folder.path().join("ledger")).unwrap());
    assert_eq!(fs::read_dir(&snapshots).unwrap().count(), 0);
}

/// The n-th byte of so many that are looked at: all of a short text, and spread over a long one.
fn places(length: usize) -> impl Iterator<Item = usize> {
    (0..length).filter(move |place| *place < 300 || *place + 300 > length || place.is_multiple_of(997))
}

#[test]
fn b7_a_piece_with_a_flipped_byte_a_missing_a_further_or_an_exchanged_row_is_named() {
    let Fixture { chain, offer, pieces, .. } = &*FIXTURE;
    let refused = |piece: Piece, bytes: Vec<u8>| match offer.check(&chain.bed.rules, piece, bytes) {
        Err(Lie::Piece(named)) => assert_eq!(named, piece),
        Err(_) => {}
        Ok(_) => panic!("{piece} was believed"),
    };
    let kinds = |kind: fn(&Piece) -> bool| pieces.iter().filter(move |(piece, _)| kind(piece));
    assert!(kinds(|piece| matches!(piece, Piece::Rows(_))).count() >= 5, "every part, and coins in two chunks");
    assert!(kinds(|piece| matches!(piece, Piece::Leaves(_))).count() >= 4);
    for (piece, bytes) in pieces.iter().filter(|(piece, _)| !matches!(piece, Piece::Block(index) if *index > 1)) {
        for place in places(bytes.len()) {
            let mut bytes = bytes.clone();
            bytes[place] ^= 1 << (place % 8);
            refused(*piece, bytes);
        }
        refused(*piece, bytes[..bytes.len() - 1].to_vec());
        refused(*piece, [&bytes[..], &[0]].concat());
    }
    let (coins, rows) = pieces.iter().find(|(_, bytes)| bytes[0] == Part::Coins as u8).unwrap();
    const ROW: usize = 37;
    let rows: Vec<_> = rows[1..].chunks(ROW).collect();
    let with = |rows: Vec<&[u8]>| [&[Part::Coins as u8][..], &rows.concat()].concat();
    assert!(offer.check(&chain.bed.rules, *coins, with(rows.clone())).is_ok());
    refused(*coins, with(rows[1..].to_vec()));
    refused(*coins, with([&rows[..1], &rows].concat()));
    let mut exchanged = rows.clone();
    exchanged.swap(3, 4);
    refused(*coins, with(exchanged));
    // A true piece in another's place.
    for pair in pieces.windows(2) {
        refused(pair[0].0, pair[1].1.clone());
    }
    refused(Piece::Rows(1_000), pieces[0].1.clone());
}

#[test]
fn b7_an_offer_with_any_byte_changed_is_refused() {
    let Fixture { chain, .. } = &*FIXTURE;
    let good = chain.store().readers().offer().unwrap().unwrap();
    let bytes = good.to_bytes();
    assert_eq!(Offer::from_bytes(&bytes).unwrap(), good);
    for place in places(bytes.len()).chain((0..bytes.len()).step_by(61)) {
        let mut bytes = bytes.clone();
        bytes[place] ^= 1 << (place % 8);
        let believed = Offer::from_bytes(&bytes).ok().and_then(|offer| offer.check(&chain.bed.rules).ok());
        assert!(believed.is_none(), "byte {place}");
    }
    let spoilt = |spoil: fn(&mut Offer)| {
        let mut offer = good.clone();
        spoil(&mut offer);
        offer.check(&chain.bed.rules).unwrap_err()
    };
    assert!(matches!(spoilt(|offer| drop(offer.hand_overs.0.pop())), Lie::HandOvers));
    assert!(matches!(spoilt(|offer| offer.hand_overs.0.swap(0, 1)), Lie::HandOvers));
    // The second brings back the set before the first.
    assert!(matches!(spoilt(|offer| offer.hand_overs.0.clear()), Lie::HandOvers));
    assert!(matches!(spoilt(|offer| offer.certificate.height = Height(11_000)), Lie::OtherCertificate));
    // Heights at which there is no next one.
    let last = Height(u64::MAX);
    let mut offer = good.clone();
    (offer.anchor.height, offer.certificate.height) = (last, last);
    offer.certificate.block = offer.anchor.hash(&chain.bed.rules.chain);
    assert!(matches!(offer.check(&chain.bed.rules), Err(Lie::Certificate(_))));
    assert!(matches!(spoilt(|offer| offer.headers.0[0].height = Height(u64::MAX)), Lie::Headers));
    assert!(matches!(spoilt(|offer| offer.hand_overs.0[0].header.height = Height(u64::MAX)), Lie::HandOvers));
    assert!(matches!(spoilt(|offer| offer.parts.snapshot = None), Lie::StateRoot));
    assert!(matches!(spoilt(|offer| _ = offer.headers.0.remove(0)), Lie::Headers));
    assert!(matches!(spoilt(|offer| _ = offer.headers.0.pop()), Lie::Headers));
    assert!(matches!(spoilt(|offer| offer.chunks.0.swap(0, 1)), Lie::Chunks));
    assert!(matches!(spoilt(|offer| offer.chunks.0.truncate(1)), Lie::Chunks));
    assert!(matches!(spoilt(|offer| offer.log_chunks.0.swap(0, 1)), Lie::LogChunks));
    assert!(matches!(spoilt(|offer| offer.log_chunks.0.truncate(1)), Lie::LogChunks));
}

#[test]
fn b7_an_offer_without_a_quorum_or_from_before_the_first_snapshot_is_refused() {
    let Fixture { chain, later, .. } = &*FIXTURE;
    let good = chain.store().readers().offer().unwrap().unwrap();
    let few = common::precommits(&chain.bed.rules.chain, good.anchor.height, good.certificate.block, &[CENTRAL, BANK2]);
    let offer = Offer { certificate: few, ..good.clone() };
    assert!(matches!(offer.check(&chain.bed.rules), Err(Lie::Certificate(_))));
    // A block that a quorum decided, and whose state root says nothing of snapshots.
    let (before, _) = &later[0];
    let parts = before.applied.ledger.state_root_parts(&chain.bed.rules.chain);
    let (anchor, certificate) = (before.block.header.clone(), before.certificate.clone());
    let offer = Offer { anchor, certificate, parts, ..good };
    assert_eq!(offer.check(&chain.bed.rules).unwrap_err(), Lie::NoSnapshot);
}

/// A set of the past signs a higher block, with keys that have leaked since. By itself such an offer holds.
#[test]
fn b7_an_offer_of_a_set_that_had_handed_over_is_known_beside_one_that_shows_it() {
    let Fixture { chain, offer: honest, .. } = &*FIXTURE;
    let rules = &chain.bed.rules;
    let good = chain.store().readers().offer().unwrap().unwrap();
    let past = good.hand_overs.0[0].order.incoming.clone();
    let signers: Vec<_> = past.iter().map(|validator| validator.number).collect();
    let of_the_past = |height: Height| {
        let mut offer = good.clone();
        offer.hand_overs.0.pop();
        (offer.anchor.height, offer.anchor.next_set_hash) = (height, past.hash(&rules.chain));
        offer.certificate = common::precommits(&rules.chain, height, offer.anchor.hash(&rules.chain), &signers);
        offer.check(rules).unwrap()
    };
    let forged = of_the_past(Height(20_000));
    assert!(forged.is_of_a_past_set(honest));
    assert!(!honest.is_of_a_past_set(&forged) && !honest.is_of_a_past_set(honest));
    let handed_over_at = good.hand_overs.0[1].header.height;
    assert!(of_the_past(handed_over_at.next()).is_of_a_past_set(honest));
    assert!(!of_the_past(handed_over_at).is_of_a_past_set(honest), "then it may have been the newest");
    // It makes the hand-over itself, by the true order and in a block of its own.
    let own_hand_over = |height: Height| {
        let mut offer = good.clone();
        offer.anchor.height = height;
        offer.certificate = common::precommits(&rules.chain, height, offer.anchor.hash(&rules.chain), &signers);
        let last = offer.hand_overs.0.last_mut().unwrap();
        (last.header, last.certificate) = (offer.anchor.clone(), offer.certificate.clone());
        offer.check(rules)
    };
    let forged = own_hand_over(Height(20_000)).unwrap();
    assert!(forged.is_of_a_past_set(honest) && !honest.is_of_a_past_set(&forged));
    assert!(forged.hand_overs() < honest.hand_overs());
    // There is no height after it that the incoming set could decide.
    assert!(matches!(own_hand_over(Height(u64::MAX)), Err(Lie::Certificate(_))));
}

#[test]
fn b7_a_join_that_breaks_off_leaves_nothing_that_opens_and_begins_anew() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger");
    let join =
        |pieces: Vec<Result<Checked, String>>| join(&path, genesis(), Memory::SMALL, None, &FIXTURE.offer, pieces);
    let all: Vec<_> = checked().collect();
    for broken in [0, 1, all.len() / 2, all.len() - 1] {
        let pieces = all[..broken].iter().cloned().chain([Err("the peers are gone".to_owned())]).collect();
        assert!(matches!(join(pieces), Err(JoinError::Pieces(_))));
        assert!(matches!(join(all[..broken].to_vec()), Err(JoinError::Pieces(_))), "a piece is missing");
        assert!(!path.exists());
    }
    let mut exchanged = all.clone();
    exchanged.swap(1, 2);
    assert!(matches!(join(exchanged), Err(JoinError::Pieces(_))));
    join(all).unwrap();
    drop(Store::open(&path, genesis(), StoreOptions::default(), None).unwrap());
}
