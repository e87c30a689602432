//! Bundles in their files, and the acks for them.

use crate::common;

use std::collections::HashSet;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use common::StoredChain;
use common::bed::{BANK2, BANK3, key_of};
use ledger_store::{AckGuard, OpenError, Store, StoreError, StoreOptions};
use ledger_types::block::RENEWAL_MARGIN_MS;
use ledger_types::bundle::{Bundle, Slot};
use ledger_types::encoding::Encode;
use ledger_types::{BundleDigest, ParticipantNumber};
use rand::{Rng, SeedableRng};

/// Bundles of one envelope each, in the given slots of bank 3's lane.
fn bundles(chain: &mut StoredChain, sequences: impl IntoIterator<Item = u64>) -> Vec<Arc<Bundle>> {
    let coin = chain.bed.coin_of(BANK3, 0);
    let mut bundle = |sequence| {
        let envelope = chain.bed.transfer(BANK3, std::slice::from_ref(&coin), &[(BANK2, 100)]).seal();
        let slot = slot(sequence);
        Arc::new(Bundle::sign(&chain.bed.rules.chain, slot, vec![envelope], &key_of(BANK3, "bundle")).unwrap())
    };
    sequences.into_iter().map(&mut bundle).collect()
}

fn slot(sequence: u64) -> Slot {
    Slot { submitter: BANK3, incarnation: 0, sequence }
}

fn segment(chain: &StoredChain, number: u32) -> PathBuf {
    chain.path().join("bundles").join(format!("{number:08}.bundles"))
}

fn digests(bundles: &[Arc<Bundle>]) -> Vec<BundleDigest> {
    bundles.iter().map(|bundle| bundle.digest()).collect()
}

fn unordered(store: &Store) -> Vec<BundleDigest> {
    digests(&store.bundles().unordered().unwrap())
}

#[test]
fn what_was_put_is_read_back_in_the_order_of_its_arrival() {
    let mut chain = StoredChain::new();
    let all = bundles(&mut chain, [3, 0, 7, 1]);
    let store = chain.store();
    store.bundles().put(&all[..1]).unwrap();
    store.bundles().put(&all[1..]).unwrap();
    for bundle in &all {
        assert!(store.bundles().contains(&bundle.digest()).unwrap());
        assert_eq!(store.bundles().get(&bundle.digest()).unwrap().as_ref(), Some(bundle));
    }
    assert_eq!(unordered(store), digests(&all));
    assert_eq!(store.bundles().get(&BundleDigest([1; 32])).unwrap(), None);
    assert!(!store.bundles().contains(&BundleDigest([1; 32])).unwrap());
    chain.reopen();
    assert_eq!(unordered(chain.store()), digests(&all));
}

#[test]
fn storing_a_bundle_again_writes_nothing() {
    let mut chain = StoredChain::new();
    let all = bundles(&mut chain, 0..2);
    chain.store().bundles().put(&all).unwrap();
    let bytes = fs::metadata(segment(&chain, 0)).unwrap().len();
    chain.store().bundles().put(&all).unwrap();
    chain.store().bundles().put(&[all[1].clone(), all[1].clone()]).unwrap();
    chain.reopen();
    chain.store().bundles().put(&all).unwrap();
    assert_eq!(fs::metadata(segment(&chain, 0)).unwrap().len(), bytes);
}

#[test]
fn many_threads_share_the_files() {
    let mut chain = StoredChain::new();
    let all = bundles(&mut chain, 0..64);
    let store = chain.store().bundles().clone();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let (store, all) = (&store, &all);
            scope.spawn(move || {
                // Each bundle is given by two threads.
                for pair in all[8 * thread..].iter().chain(all).take(16).collect::<Vec<_>>().chunks(2) {
                    let pair: Vec<_> = pair.iter().map(|bundle| (*bundle).clone()).collect();
                    store.put(&pair).unwrap();
                    for bundle in pair {
                        assert_eq!(store.get(&bundle.digest()).unwrap(), Some(bundle));
                    }
                }
            });
        }
    });
    drop(store);
    let sum: usize = all.iter().map(|bundle| bundle.to_bytes().len() + 80).sum();
    assert_eq!(fs::metadata(segment(&chain, 0)).unwrap().len() as usize, 96 + sum, "each is stored once");
    chain.reopen();
    let found: HashSet<_> = unordered(chain.store()).into_iter().collect();
    assert_eq!(found, digests(&all).into_iter().collect());
}

#[test]
fn an_ordered_bundle_stays_and_is_no_longer_unordered() {
    let mut chain = StoredChain::new();
    let bundle = chain.payment_bundle(0);
    chain.block(std::slice::from_ref(&bundle));
    for _ in 0..2 {
        let store = chain.store();
        assert!(unordered(store).is_empty());
        assert_eq!(store.bundles().get(&bundle.digest()).unwrap(), Some(bundle.clone()));
        store.collect_bundles().unwrap();
        chain.reopen();
    }
}

/// Everything behind the last sync may be cut anywhere; what had been synced is there.
#[test]
fn a_torn_tail_is_cut_off_wherever_it_was_torn() {
    let mut chain = StoredChain::new();
    let all = bundles(&mut chain, 0..4);
    chain.store().bundles().put(&all[..2]).unwrap();
    let synced = fs::metadata(segment(&chain, 0)).unwrap().len();
    chain.store().bundles().put(&all[2..]).unwrap();
    chain.store = None;
    let good = fs::read(segment(&chain, 0)).unwrap();
    let third_ends = synced as usize + 80 + all[2].to_bytes().len();
    let mut rng = rand::rngs::StdRng::seed_from_u64(7);
    let random = (0..30).map(|_| rng.gen_range(synced as usize..good.len())).collect::<Vec<_>>();
    for cut in
        random.into_iter().chain([synced as usize, synced as usize + 1, third_ends - 1, third_ends, good.len() - 1])
    {
        fs::write(segment(&chain, 0), &good[..cut]).unwrap();
        let store = chain.open_at(&chain.path()).unwrap();
        let stays = if cut >= third_ends { 3 } else { 2 };
        assert_eq!(unordered(&store), digests(&all[..stays]), "cut at {cut}");
        store.bundles().put(&all).unwrap();
        assert_eq!(unordered(&store), digests(&all), "and goes on, cut at {cut}");
    }
    // Power was cut: a later page is there, an earlier one is not.
    let mut holes = good.clone();
    holes[synced as usize + 10..third_ends - 10].fill(0);
    fs::write(segment(&chain, 0), &holes).unwrap();
    assert_eq!(unordered(&chain.open_at(&chain.path()).unwrap()), digests(&all[..2]));
}

#[test]
fn damage_before_the_last_sync_is_refused() {
    let mut chain = StoredChain::new();
    let all = bundles(&mut chain, 0..3);
    for bundle in &all {
        chain.store().bundles().put(std::slice::from_ref(bundle)).unwrap();
    }
    chain.store = None;
    let good = fs::read(segment(&chain, 0)).unwrap();
    let last_begins = good.len() - 80 - all[2].to_bytes().len();
    let mut rng = rand::rngs::StdRng::seed_from_u64(8);
    // Any bit of the head or of a frame that a later frame knows to have been on disk.
    for _ in 0..60 {
        let bit = rng.gen_range(0..last_begins * 8);
        let mut bad = good.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        fs::write(segment(&chain, 0), &bad).unwrap();
        let refused = chain.open_at(&chain.path()).err().unwrap_or_else(|| panic!("bit {bit} was not seen"));
        assert!(matches!(refused, OpenError::BundlesDamaged { .. }), "bit {bit}: {refused}");
        assert_eq!(fs::read(segment(&chain, 0)).unwrap(), bad, "the evidence is left as it is");
    }
}

#[test]
fn damage_to_an_ordered_bundle_is_refused_even_at_the_end_of_the_file() {
    let mut chain = StoredChain::new();
    chain.payment(0);
    chain.store = None;
    let good = fs::read(segment(&chain, 0)).unwrap();
    for at in [100, 300, good.len() - 1] {
        let mut bad = good.clone();
        bad[at] ^= 16;
        fs::write(segment(&chain, 0), &bad).unwrap();
        assert!(matches!(chain.open_at(&chain.path()), Err(OpenError::BundlesDamaged { offset: 96, .. })), "byte {at}");
    }
    fs::write(segment(&chain, 0), &good[..good.len() - 1]).unwrap();
    assert!(matches!(chain.open_at(&chain.path()), Err(OpenError::BundlesMissing { .. })));
    fs::remove_file(segment(&chain, 0)).unwrap();
    assert!(matches!(chain.open_at(&chain.path()), Err(OpenError::BundlesMissing { .. })));
}

#[test]
fn damage_met_while_reading_is_an_error_and_never_a_wrong_bundle() {
    let mut chain = StoredChain::new();
    let bundle = chain.payment_bundle(0);
    chain.block(std::slice::from_ref(&bundle));
    let good = fs::read(segment(&chain, 0)).unwrap();
    for at in [96, 150, 260, good.len() - 1] {
        let mut bad = good.clone();
        bad[at] ^= 1;
        fs::write(segment(&chain, 0), &bad).unwrap();
        assert!(matches!(chain.store().bundles().get(&bundle.digest()), Err(StoreError::Corrupt { .. })), "byte {at}");
    }
    fs::write(segment(&chain, 0), &good).unwrap();
    assert_eq!(chain.store().bundles().get(&bundle.digest()).unwrap(), Some(bundle));
}

/// B-3: one ack a slot, for ever.
#[test]
fn a_slot_is_acked_for_one_bundle_only() {
    let mut chain = StoredChain::new();
    let mut all = bundles(&mut chain, [0, 0, 1]);
    let (first, second, other) = (all.remove(0), all.remove(0), all.remove(0));
    chain.store().bundles().put(&[first.clone(), second.clone(), other.clone()]).unwrap();
    let guard = |chain: &StoredChain, bundle: &Arc<Bundle>| {
        chain.store().bundles().guard_acks(&[(bundle.slot(), bundle.digest())]).unwrap()
    };
    assert_eq!(guard(&chain, &first), vec![Some(first.digest())]);
    assert_eq!(guard(&chain, &second), vec![Some(first.digest())]);
    assert_eq!(guard(&chain, &first), vec![Some(first.digest())]);
    chain.reopen();
    assert_eq!(guard(&chain, &second), vec![Some(first.digest())]);
    let both = [(slot(1), other.digest()), (slot(1), second.digest()), (slot(0), second.digest())];
    let acked = chain.store().bundles().guard_acks(&both).unwrap();
    assert_eq!(acked, [other.digest(), other.digest(), first.digest()].map(Some).to_vec());
}

#[test]
fn a_guarded_ack_survives_a_kill_right_after() {
    let mut chain = StoredChain::new();
    let all = bundles(&mut chain, [0, 0]);
    chain.store().bundles().put(&all).unwrap();
    chain.store().bundles().guard_acks(&[(slot(0), all[0].digest())]).unwrap();
    let copy = chain.copy();
    let store = chain.open_at(&copy.path().join("ledger")).unwrap();
    assert_eq!(store.bundles().guard_acks(&[(slot(0), all[1].digest())]).unwrap(), vec![Some(all[0].digest())]);
}

#[test]
fn a_bundle_that_is_not_stored_gets_no_ack() {
    let mut chain = StoredChain::new();
    let all = bundles(&mut chain, [0]);
    let ack = [(slot(0), all[0].digest())];
    assert_eq!(chain.store().bundles().guard_acks(&ack).unwrap(), vec![None]);
    chain.store().bundles().put(&all).unwrap();
    assert_eq!(chain.store().bundles().guard_acks(&ack).unwrap(), vec![Some(all[0].digest())]);
}

#[test]
fn a_lost_bundle_that_was_acked_is_refused() {
    let mut chain = StoredChain::new();
    let all = bundles(&mut chain, [0, 1]);
    chain.store().bundles().put(&all).unwrap();
    chain.store().bundles().guard_acks(&[(slot(1), all[1].digest())]).unwrap();
    chain.store = None;
    let mut bytes = fs::read(segment(&chain, 0)).unwrap();
    // The last frame, to which no later one bears witness.
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(segment(&chain, 0), &bytes).unwrap();
    let refused = chain.open_at(&chain.path()).err().unwrap();
    assert!(matches!(refused, OpenError::AckedBundleLost { digest, .. } if digest == all[1].digest()), "{refused}");
    assert_eq!(fs::read(segment(&chain, 0)).unwrap(), bytes, "the evidence is left as it is");
}

/// B-9: no start makes a guard, and without one nothing is acked.
#[test]
fn without_its_guard_a_store_opens_and_acks_nothing() {
    let mut chain = StoredChain::new();
    let all = bundles(&mut chain, [0]);
    let ack = [(slot(0), all[0].digest())];
    chain.store().bundles().put(&all).unwrap();
    chain.store = None;
    let guard = chain.path().with_file_name("acks");
    fs::remove_file(&guard).unwrap();
    for _ in 0..2 {
        let store = chain.open_at(&chain.path()).unwrap();
        assert_eq!(store.bundles().guard_acks(&ack).unwrap(), vec![None]);
        assert!(!guard.exists());
    }
}

/// B-9: the folder was emptied and the guard kept. What was acked is not forgotten, and the start after the next one still
/// tells what the emptied folder held from what this one has lost.
#[test]
fn an_emptied_folder_is_created_anew_beside_its_guard_and_what_it_loses_itself_is_refused() {
    let mut chain = StoredChain::new();
    let all = bundles(&mut chain, [0, 0, 1]);
    chain.store().bundles().put(&all).unwrap();
    chain.store().bundles().guard_acks(&[(slot(0), all[0].digest())]).unwrap();
    chain.store = None;
    fs::remove_dir_all(chain.path()).unwrap();
    for _ in 0..2 {
        chain.reopen();
        chain.store().bundles().put(&all[1..]).unwrap();
        let acked = chain.store().bundles().guard_acks(&[(slot(0), all[1].digest())]).unwrap();
        assert_eq!(acked, vec![Some(all[0].digest())], "a second bundle in the slot is not acked");
    }
    // A bundle that this folder held, in another slot.
    let ack = [(slot(1), all[2].digest())];
    assert_eq!(chain.store().bundles().guard_acks(&ack).unwrap(), vec![Some(all[2].digest())]);
    chain.store = None;
    fs::write(segment(&chain, 0), &fs::read(segment(&chain, 0)).unwrap()[..96]).unwrap();
    let refused = chain.open_at(&chain.path()).err().unwrap();
    assert!(matches!(refused, OpenError::AckedBundleLost { digest, .. } if digest == all[2].digest()), "{refused}");

    let list = chain.path().join("bundles/acked-before");
    let mut bytes = fs::read(&list).unwrap();
    assert_eq!(bytes.len(), 46 + 32);
    bytes[20] ^= 1;
    fs::write(&list, &bytes).unwrap();
    assert!(matches!(chain.open_at(&chain.path()), Err(OpenError::BundlesDamaged { .. })));
}

/// B-9: floors are where the lanes stand at a height that began after the guard was made anew.
#[test]
fn a_renewed_guard_acks_behind_the_windows_of_a_later_height_only() {
    let mut chain = StoredChain::new();
    chain.store = None;
    let guard = chain.path().with_file_name("acks");
    fs::remove_file(&guard).unwrap();
    let renewed_ms = chain.bed.ledger.time_ms;
    AckGuard::renew(&guard, chain.bed.rules.chain.genesis_hash(), renewed_ms).unwrap();
    chain.reopen();
    let coin = chain.bed.coin_of(BANK3, 1);
    let mut sign = |sequence| {
        let envelope = chain.bed.transfer(BANK3, std::slice::from_ref(&coin), &[(BANK2, 100)]).seal();
        let key = key_of(BANK3, "bundle");
        Arc::new(Bundle::sign(&chain.bed.rules.chain, slot(sequence), vec![envelope], &key).unwrap())
    };
    let all: Vec<_> = [0, 7, 8].map(&mut sign).to_vec();
    let acks: Vec<_> = all.iter().map(|bundle| (bundle.slot(), bundle.digest())).collect();
    chain.store().bundles().put(&all).unwrap();
    while !chain.store().begin_renewed_acks().unwrap() {
        assert!(chain.store().tip().ledger.time_ms <= renewed_ms + 1_000 + RENEWAL_MARGIN_MS);
        assert!(chain.store().ack_guard_is_waiting());
        assert_eq!(chain.store().bundles().guard_acks(&acks).unwrap(), vec![None; 3]);
        chain.block(&[]);
    }
    assert!(chain.store().tip().ledger.time_ms > renewed_ms + RENEWAL_MARGIN_MS);
    let behind = vec![None, None, Some(all[2].digest())];
    assert_eq!(chain.store().bundles().guard_acks(&acks).unwrap(), behind);
    chain.reopen();
    assert!(!chain.store().ack_guard_is_waiting());
    assert_eq!(chain.store().bundles().guard_acks(&acks).unwrap(), behind);
}

#[test]
fn bundles_of_slots_that_no_block_can_hold_are_forgotten() {
    let mut chain = StoredChain::new();
    let coin = chain.bed.coin_of(BANK3, 1);
    let mut sign = |incarnation, sequence| {
        let envelope = chain.bed.transfer(BANK3, std::slice::from_ref(&coin), &[(BANK2, 100)]).seal();
        let slot = Slot { submitter: BANK3, incarnation, sequence };
        Arc::new(Bundle::sign(&chain.bed.rules.chain, slot, vec![envelope], &key_of(BANK3, "bundle")).unwrap())
    };
    let (twin, next, old_lane, new_lane) = (sign(0, 0), sign(0, 1), sign(0, 2), sign(1, 0));
    let all = [sign(0, 0), twin.clone(), next.clone(), old_lane.clone()];
    chain.store().bundles().put(&all).unwrap();
    chain.store().bundles().guard_acks(&[(next.slot(), next.digest())]).unwrap();
    chain.block(&all[..1]);
    chain.store().collect_bundles().unwrap();
    assert_eq!(unordered(chain.store()), vec![next.digest(), old_lane.digest()], "slot 0 is taken");

    chain.block(&[new_lane]);
    chain.store().collect_bundles().unwrap();
    assert!(unordered(chain.store()).is_empty(), "incarnation 1 closes the old lane");
    assert_eq!(chain.store().bundles().get(&next.digest()).unwrap(), None);
    chain.reopen();
    assert!(unordered(chain.store()).is_empty());
}

#[test]
fn a_lane_without_a_key_in_the_files_is_of_no_concern() {
    let mut chain = StoredChain::new();
    let confirmation = chain.bed.confirmation(chain.bed.batch(vec![]));
    assert_eq!(confirmation.slot().submitter, ParticipantNumber::REGISTRATION);
    chain.store().bundles().put(std::slice::from_ref(&confirmation)).unwrap();
    chain.reopen();
    assert_eq!(unordered(chain.store()), vec![confirmation.digest()]);
}

/// Small segments, so that there are many.
fn with_small_segments(chain: &mut StoredChain) {
    let options = StoreOptions { segment_bytes: 2_000, ..StoreOptions::default() };
    chain.store = None;
    let guard = chain.guard_of(&chain.path());
    chain.store = Some(Store::open(&chain.path(), (*chain.bed.rules.genesis).clone(), options, guard).unwrap());
}

fn segments(chain: &StoredChain) -> Vec<String> {
    let names = fs::read_dir(chain.path().join("bundles"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut segments: Vec<_> = names.filter_map(|name| name.strip_suffix(".bundles").map(str::to_owned)).collect();
    segments.sort();
    segments
}

#[test]
fn a_full_segment_gets_a_successor() {
    let mut chain = StoredChain::new();
    with_small_segments(&mut chain);
    let all = bundles(&mut chain, 0..12);
    let store = chain.store().bundles().clone();
    std::thread::scope(|scope| {
        for pair in all.chunks(2) {
            let store = &store;
            scope.spawn(move || store.put(pair).unwrap());
        }
    });
    drop(store);
    assert!(segments(&chain).len() >= 3, "{:?}", segments(&chain));
    for _ in 0..2 {
        for bundle in &all {
            assert_eq!(chain.store().bundles().get(&bundle.digest()).unwrap().as_ref(), Some(bundle));
        }
        with_small_segments(&mut chain);
    }
    // Only the last may be torn.
    chain.store = None;
    let first = segment(&chain, 0);
    let good = fs::read(&first).unwrap();
    fs::write(&first, &good[..good.len() - 1]).unwrap();
    assert!(matches!(chain.open_at(&chain.path()), Err(OpenError::BundlesDamaged { .. })));
}

#[test]
fn segments_with_nothing_ordered_are_deleted_and_history_stays() {
    let mut chain = StoredChain::new();
    with_small_segments(&mut chain);
    let ordered = chain.payment_bundle(0);
    chain.block(std::slice::from_ref(&ordered));
    // Slots of bank 3 that a new incarnation will close.
    let abandoned = bundles(&mut chain, 0..9);
    chain.store().bundles().put(&abandoned).unwrap();
    let before = segments(&chain);
    assert!(before.len() >= 4);
    chain.store().collect_bundles().unwrap();
    assert_eq!(segments(&chain), before, "every slot is still open");

    let coin = chain.bed.coin_of(BANK3, 1);
    let envelope = chain.bed.transfer(BANK3, &[coin], &[(BANK2, 100)]).seal();
    let slot = Slot { submitter: BANK3, incarnation: 1, sequence: 0 };
    let closing =
        Arc::new(Bundle::sign(&chain.bed.rules.chain, slot, vec![envelope], &key_of(BANK3, "bundle")).unwrap());
    chain.block(std::slice::from_ref(&closing));
    chain.store().collect_bundles().unwrap();
    let after = segments(&chain);
    assert!(after.len() <= 3 && after[0] == "00000000", "{after:?}");
    for _ in 0..2 {
        assert_eq!(chain.store().bundles().get(&ordered.digest()).unwrap(), Some(ordered.clone()));
        assert_eq!(chain.store().bundles().get(&closing.digest()).unwrap(), Some(closing.clone()));
        for bundle in &abandoned {
            assert_eq!(chain.store().bundles().get(&bundle.digest()).unwrap(), None);
        }
        with_small_segments(&mut chain);
    }
    // History that is not read at a start must still be there.
    chain.store = None;
    fs::remove_file(segment(&chain, 0)).unwrap();
    assert!(matches!(chain.open_at(&chain.path()), Err(OpenError::BundlesMissing { .. })));
}

/// A process killed while it made a segment leaves a head in part and nothing behind it.
#[test]
fn a_segment_whose_making_was_broken_off_is_made_again() {
    let mut chain = StoredChain::new();
    with_small_segments(&mut chain);
    let all = bundles(&mut chain, 0..5);
    chain.store().bundles().put(&all[..4]).unwrap();
    let last = segments(&chain).len() as u32;
    chain.store = None;
    for head in [&b""[..], b"ASSAYBND", &[0; 96]] {
        fs::write(segment(&chain, last), head).unwrap();
        let store = chain.open_at(&chain.path()).unwrap();
        assert_eq!(unordered(&store), digests(&all[..4]));
        store.bundles().put(&all[4..]).unwrap();
        assert_eq!(unordered(&store), digests(&all));
        drop(store);
        fs::remove_file(segment(&chain, last)).unwrap();
    }
}

/// Forgotten, stored again, and found twice by the next start.
#[test]
fn a_bundle_that_was_forgotten_and_came_again_is_of_no_harm() {
    let mut chain = StoredChain::new();
    with_small_segments(&mut chain);
    let late = bundles(&mut chain, [0, 0]);
    chain.store().bundles().put(&late[..1]).unwrap();
    chain.block(&late[..1]);
    // Slot 0 is taken; its twin comes, is forgotten, and comes again in a later segment.
    chain.store().bundles().put(&late[1..]).unwrap();
    chain.store().collect_bundles().unwrap();
    let filler = bundles(&mut chain, 1..6);
    chain.store().bundles().put(&filler).unwrap();
    chain.store().bundles().put(&late[1..]).unwrap();
    assert_eq!(unordered(chain.store()).len(), 6);
    for _ in 0..2 {
        with_small_segments(&mut chain);
        assert_eq!(unordered(chain.store()), digests(&filler));
        chain.store().collect_bundles().unwrap();
    }
}
