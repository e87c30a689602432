//! The map against its rule (L-4) written naively, and against jmt's own tree, proofs and verifier.

#[path = "support/jmt_oracle.rs"]
mod jmt_oracle;
use crate::support;

use std::collections::{BTreeMap, BTreeSet};

use jmt_oracle::{JmtOracle, Rows};
use ledger_tree::Hash;
use ledger_tree::map::{
    self, BelowError, EMPTY_ROOT, EntryType, MapError, MapProof, MapProofBytesError, MapProofError, MapReader,
    MapUpdate, Prefix, Version,
};
use proptest::prelude::*;
use support::{MemoryMap, naive_map_root, sha256};

type Changes = BTreeMap<Hash, Option<Vec<u8>>>;
type Entries = BTreeMap<Hash, Vec<u8>>;

/// Sixteen hashed keys, sixteen that differ in the last byte only, and sixteen that part at ever deeper bits.
fn pool() -> Vec<Hash> {
    let hashed = (0..16).map(|number| map::key_hash(EntryType::Record, &[number]));
    let late = (0..16).map(|number| {
        let mut key = [0x5a; 32];
        key[31] = number * 7;
        key
    });
    let ever_later = (0..16usize).map(|number| {
        let mut key = [0x5a; 32];
        key[number * 2] ^= 0x10 >> (number % 5);
        key
    });
    hashed.chain(late).chain(ever_later).collect()
}

fn changes() -> impl Strategy<Value = Changes> {
    let value = prop::option::weighted(0.7, prop::collection::vec(any::<u8>(), 0..4));
    prop::collection::btree_map(prop::sample::select(pool()), value, 0..14)
}

fn apply(entries: &mut Entries, changes: &Changes) {
    for (key, value) in changes {
        match value {
            Some(value) => drop(entries.insert(*key, value.clone())),
            None => drop(entries.remove(key)),
        }
    }
}

fn naive_root_of(entries: &Entries) -> Hash {
    let hashed: Vec<_> = entries.iter().map(|(key, value)| (*key, sha256(&[value]))).collect();
    naive_map_root(&hashed, 0)
}

/// The rows of an update as jmt names them: versions counted from 0, nibbles one by one.
fn rows_of(update: &MapUpdate, before: &[(Version, Hash, Entries)], version: Version) -> Rows {
    let row = |key: &Vec<u8>| {
        let (stored, path) = key.split_first_chunk::<8>().unwrap();
        let stored = Version::from_stored(u64::from_be_bytes(*stored));
        let step = before.iter().map(|(version, ..)| *version).chain([version]).position(|version| version == stored);
        let nibbles = path[1..].iter().flat_map(|byte| [byte >> 4, byte & 15]).take(path[0].into()).collect();
        (step.unwrap() as u64, nibbles)
    };
    Rows {
        written: update.nodes.iter().map(|(key, _)| row(key)).collect(),
        stale: update.stale_nodes.iter().map(row).collect(),
    }
}

/// A map of one version, with these entries.
fn stored(entries: &Entries) -> (MemoryMap, Version, Hash) {
    let mut stored = MemoryMap::default();
    let version = Version::after_height(0);
    let changes = entries.iter().map(|(key, value)| (*key, Some(value.clone()))).collect();
    let update = map::update(&stored, None, version, changes).unwrap();
    stored.store(&update);
    (stored, version, update.root)
}

fn numbered(count: u32) -> Entries {
    let entry = |number: u32| (map::key_hash(EntryType::Record, &number.to_le_bytes()), number.to_le_bytes().to_vec());
    (0..count).map(entry).collect()
}

/// Every claim about every pool key at a version, proved and verified; `entries` says what is true.
fn every_key_is_proved(stored: &MemoryMap, version: Version, root: &Hash, entries: &Entries) {
    for key in pool() {
        let lookup = map::prove(stored, version, &key).unwrap();
        assert_eq!(lookup.value.as_ref(), entries.get(&key));
        match &lookup.value {
            Some(value) => {
                assert_eq!(map::verify_inclusion(root, &key, &sha256(&[value]), &lookup.proof), Ok(()));
                let other = map::verify_inclusion(root, &key, &[0; 32], &lookup.proof);
                assert_eq!(other, Err(MapProofError::OtherValue));
                assert_eq!(map::verify_absence(root, &key, &lookup.proof), Err(MapProofError::KeyIsPresent));
            }
            None => {
                assert_eq!(map::verify_absence(root, &key, &lookup.proof), Ok(()));
                assert!(map::verify_inclusion(root, &key, &[0; 32], &lookup.proof).is_err());
            }
        }
        assert!(map::verify_absence(&[0; 32], &key, &lookup.proof).is_err());
        assert_eq!(MapProof::decode(&lookup.proof.encode()), Ok(lookup.proof));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn l_4_any_history_has_the_rule_s_root_jmt_s_root_and_jmt_s_proofs(
        history in prop::collection::vec(changes(), 1..10), chunks in 0usize..4,
    ) {
        let (mut stored, mut oracle, mut entries) = (MemoryMap::default(), JmtOracle::default(), Entries::new());
        let mut base = None;
        let mut versions = Vec::new();
        let mut only_sets = true;
        let chunks = chunks.min(history.len() - 1);
        for (step, changes) in history.iter().enumerate() {
            let version = match step.checked_sub(chunks) {
                None => Version::genesis_chunk(step as u32).unwrap(),
                Some(height) => Version::after_height(height as u64),
            };
            let update = map::update(&stored, base, version, changes.clone()).unwrap();
            stored.store(&update);
            apply(&mut entries, changes);
            prop_assert_eq!(update.root, naive_root_of(&entries));
            let (root, mut rows) = oracle.apply(changes);
            prop_assert_eq!(update.root, root);
            // jmt deletes one key after the other, and so moves leaves to and fro that a batch leaves where they are.
            only_sets &= changes.values().all(Option::is_some);
            if only_sets && !changes.is_empty() {
                // jmt forgets that an empty root goes stale too.
                rows.stale.extend((step as u64).checked_sub(1).map(|base| (base, Vec::new())));
                prop_assert!(rows_of(&update, &versions, version) == rows, "other rows than jmt's");
            }
            prop_assert_eq!(map::root(&stored, version).unwrap(), Some(update.root));
            for key in pool() {
                let (value, proof) = oracle.prove(step as u64, &key);
                let lookup = map::prove(&stored, version, &key).unwrap();
                prop_assert_eq!((lookup.value, lookup.proof), (value, proof));
            }
            versions.push((version, update.root, entries.clone()));
            base = Some(version);
        }
        // Earlier versions answer as they did.
        for (version, root, entries) in &versions {
            every_key_is_proved(&stored, *version, root, entries);
        }
    }

    #[test]
    fn pruning_leaves_exactly_what_the_kept_versions_need(
        history in prop::collection::vec(changes(), 1..10), kept in 1usize..4,
    ) {
        let (mut stored, mut entries, mut base) = (MemoryMap::default(), Entries::new(), None);
        let mut versions = Vec::new();
        for (height, changes) in history.iter().enumerate() {
            let version = Version::after_height(height as u64);
            let update = map::update(&stored, base, version, changes.clone()).unwrap();
            stored.store(&update);
            apply(&mut entries, changes);
            versions.push((version, update.root, entries.clone()));
            base = Some(version);
        }
        let kept = &versions[versions.len().saturating_sub(kept)..];
        let oldest_kept = kept[0].0;
        stored.prune(oldest_kept);
        let after_once = stored.nodes.clone();
        stored.prune(oldest_kept);
        prop_assert_eq!(&stored.nodes, &after_once);

        let reads = CountingReader { stored: &stored, read: Default::default() };
        for (version, root, entries) in kept {
            every_key_is_proved(&stored, *version, root, entries);
            // Keys that lie under every node: all that are in the map.
            for key in entries.keys() {
                map::prove(&reads, *version, key).unwrap();
            }
            map::root(&reads, *version).unwrap();
        }
        let needed = reads.read.into_inner();
        prop_assert_eq!(stored.nodes.keys().cloned().collect::<BTreeSet<_>>(), needed);
        if oldest_kept != versions[0].0 {
            prop_assert_eq!(map::root(&stored, versions[0].0).unwrap(), None);
        }
    }

    #[test]
    fn entries_have_one_root_in_any_order_and_any_chunks(
        entries in prop::collection::btree_map(any::<Hash>(), prop::collection::vec(any::<u8>(), 0..3), 1..60),
        order in any::<u64>(), chunk in 1usize..20,
    ) {
        let (_, _, root) = stored(&entries);
        prop_assert_eq!(root, naive_root_of(&entries));
        let mut shuffled: Vec<_> = entries.iter().collect();
        shuffled.sort_by_key(|(key, _)| sha256(&[&order.to_le_bytes(), *key]));
        let mut chunked = MemoryMap::default();
        let (mut base, mut last) = (None, EMPTY_ROOT);
        for (index, chunk) in shuffled.chunks(chunk).enumerate() {
            let version = Version::genesis_chunk(index as u32);
            let changes = chunk.iter().map(|(key, value)| (**key, Some((*value).clone()))).collect();
            let update = map::update(&chunked, base, version.unwrap(), changes).unwrap();
            chunked.store(&update);
            (base, last) = (version, update.root);
        }
        prop_assert_eq!(last, root);
    }

    #[test]
    fn what_decodes_as_a_proof_encodes_back(
        end in 0u8..3, depth in 0u16..40, bytes in prop::collection::vec(any::<u8>(), 0..400), leaf: [[u8; 32]; 2],
    ) {
        let mut proof = vec![end];
        if end == 1 {
            proof.extend(leaf.as_flattened());
        }
        proof.extend(depth.to_le_bytes());
        proof.extend(bytes);
        if let Ok(decoded) = MapProof::decode(&proof) {
            prop_assert_eq!(decoded.encode(), proof);
        }
    }

    #[test]
    fn proof_bytes_are_bijective(
        leaf: Option<(Hash, Hash)>,
        siblings in prop::collection::vec(prop_oneof![any::<Hash>(), Just(EMPTY_ROOT)], 0..=256),
    ) {
        let proof = MapProof::new(leaf, siblings).unwrap();
        prop_assert_eq!(MapProof::decode(&proof.encode()), Ok(proof));
    }
}

struct CountingReader<'a> {
    stored: &'a MemoryMap,
    read: std::cell::RefCell<BTreeSet<Vec<u8>>>,
}

impl MapReader for CountingReader<'_> {
    fn node(&self, key: &[u8]) -> Result<Option<Vec<u8>>, ledger_tree::ReadError> {
        self.read.borrow_mut().insert(key.to_vec());
        self.stored.node(key)
    }
}

#[test]
fn ten_thousand_flipped_bits_and_not_one_accepted_proof() {
    let entries = numbered(500);
    let (stored, version, root) = stored(&entries);
    let present = entries.keys().take(20).copied();
    let absent = (0..20u32).map(|number| map::key_hash(EntryType::Lane, &number.to_le_bytes()));
    let (mut flips, mut refused_by_decoder, mut other_leaf, mut empty_slot) = (0, 0, 0, 0);
    for key in present.chain(absent) {
        let lookup = map::prove(&stored, version, &key).unwrap();
        if lookup.value.is_none() {
            *(if lookup.proof.leaf().is_some() { &mut other_leaf } else { &mut empty_slot }) += 1;
        }
        let bytes = lookup.proof.encode();
        for bit in 0..8 * bytes.len() {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            flips += 1;
            let Ok(proof) = MapProof::decode(&flipped) else {
                refused_by_decoder += 1;
                continue;
            };
            let accepted = match &lookup.value {
                Some(value) => map::verify_inclusion(&root, &key, &sha256(&[value]), &proof).is_ok(),
                None => map::verify_absence(&root, &key, &proof).is_ok(),
            };
            assert!(!accepted, "bit {bit} of the proof for {} does not matter", hex::encode(key));
            // Nor does a flip turn the proof into one of the contrary.
            assert!(map::verify_absence(&root, &key, &proof).is_err());
            assert!(map::verify_inclusion(&root, &key, &sha256(&[b"forged"]), &proof).is_err());
        }
    }
    assert!(flips > 10_000, "{flips}");
    assert!(refused_by_decoder > 0 && refused_by_decoder < flips / 10, "{refused_by_decoder} of {flips}");
    assert!(other_leaf > 0 && empty_slot > 0, "{other_leaf} {empty_slot}");
}

#[test]
fn another_key_s_leaf_with_its_own_siblings_proves_nobody_absent() {
    let entries = numbered(50);
    let (stored, version, root) = stored(&entries);
    for present in entries.keys() {
        for (other, proof) in entries.keys().map(|key| (key, map::prove(&stored, version, key).unwrap().proof)) {
            let refused = map::verify_absence(&root, present, &proof).unwrap_err();
            let reason = if other == present { MapProofError::KeyIsPresent } else { MapProofError::LeafOffTheWay };
            assert_eq!(refused, reason);
            if other != present {
                let borrowed = map::verify_inclusion(&root, present, &sha256(&[&entries[present]]), &proof);
                assert_eq!(borrowed, Err(MapProofError::EndsAtOtherKey));
            }
        }
        let cut = map::prove(&stored, version, present).unwrap().proof;
        let cut = MapProof::new(None, cut.siblings().to_vec()).unwrap();
        assert_eq!(map::verify_absence(&root, present, &cut), Err(MapProofError::RootDiffers));
        let ended = map::verify_inclusion(&root, present, &sha256(&[&entries[present]]), &cut);
        assert_eq!(ended, Err(MapProofError::EndsAtEmptySlot));
    }
}

#[test]
fn proof_bytes_that_no_proof_has_are_refused_by_name() {
    use MapProofBytesError::{BitmapOverhang, EmptySiblingListed, Leftover, TooDeep, Truncated, UnknownEnd};
    let proof = MapProof::new(Some(([1; 32], [2; 32])), vec![[3; 32], EMPTY_ROOT, [4; 32]]).unwrap();
    let bytes = proof.encode();
    for end in 0..bytes.len() {
        assert_eq!(MapProof::decode(&bytes[..end]), Err(Truncated), "first {end} bytes");
    }
    assert_eq!(MapProof::decode(&[&bytes[..], &[0]].concat()), Err(Leftover));
    assert_eq!(MapProof::decode(&[&bytes[..], &[5; 32]].concat()), Err(Leftover));
    assert_eq!(MapProof::decode(&[&[2][..], &bytes[1..]].concat()), Err(UnknownEnd));
    assert_eq!(MapProof::decode(&[0, 1, 1]), Err(TooDeep));
    assert_eq!(MapProof::decode(&[0, 255, 255]), Err(TooDeep));
    assert_eq!(MapProof::decode(&[0, 3, 0, 0b0001_0000]), Err(BitmapOverhang));
    let listed = [&[0, 1, 0, 0x80][..], &EMPTY_ROOT].concat();
    assert_eq!(MapProof::decode(&listed), Err(EmptySiblingListed));
    assert_eq!(MapProof::new(None, vec![[0; 32]; 257]), None);
}

#[test]
fn an_empty_map_has_a_root_and_proves_every_key_absent() {
    let (stored, version, root) = stored(&Entries::new());
    assert_eq!(root, EMPTY_ROOT);
    let lookup = map::prove(&stored, version, &[7; 32]).unwrap();
    assert_eq!((lookup.value, lookup.proof.encode()), (None, vec![0, 0, 0]));
    assert_eq!(map::verify_absence(&EMPTY_ROOT, &[7; 32], &lookup.proof), Ok(()));
}

#[test]
fn a_map_emptied_by_deletion_is_an_empty_map_and_can_be_filled_again() {
    let entries = numbered(5);
    let (mut stored, version, full) = stored(&entries);
    let next = Version::after_height(1);
    let update = map::update(&stored, Some(version), next, entries.keys().map(|key| (*key, None)).collect()).unwrap();
    stored.store(&update);
    assert_eq!(update.root, EMPTY_ROOT);
    let refill = entries.into_iter().map(|(key, value)| (key, Some(value))).collect();
    let update = map::update(&stored, Some(next), Version::after_height(2), refill).unwrap();
    assert_eq!(update.root, full);
}

#[test]
fn a_height_without_changes_still_has_its_root_and_lets_the_one_before_go() {
    let (mut stored, version, root) = stored(&numbered(30));
    let next = Version::after_height(1);
    let update = map::update(&stored, Some(version), next, Changes::new()).unwrap();
    assert_eq!((update.root, update.nodes.len(), update.stale_nodes.len()), (root, 1, 1));
    stored.store(&update);
    stored.prune(next);
    assert_eq!(map::root(&stored, next).unwrap(), Some(root));
    assert_eq!(map::root(&stored, version).unwrap(), None);
}

#[test]
fn deleting_what_is_not_there_writes_nothing_but_the_root() {
    let (stored, version, root) = stored(&numbered(30));
    let update = map::update(&stored, Some(version), Version::after_height(1), [([1; 32], None)].into()).unwrap();
    assert_eq!((update.root, update.nodes.len(), update.stale_nodes.len()), (root, 1, 1));
}

#[test]
fn versions_go_forward_from_the_genesis_chunks_through_height_0() {
    let chunks = [0, 1, Version::GENESIS_CHUNKS_MAX - 1].map(|index| Version::genesis_chunk(index).unwrap());
    let heights = [0, 1, u64::MAX].map(Version::after_height);
    assert!(chunks.iter().chain(&heights).is_sorted());
    assert!(chunks[0].get() > 0);
    assert_eq!(chunks[2].get() + 1, heights[0].get());
    assert_eq!(Version::genesis_chunk(Version::GENESIS_CHUNKS_MAX), None);

    let (stored, version, _) = stored(&numbered(3));
    let again = map::update(&stored, Some(version), version, Changes::new());
    assert!(matches!(again, Err(MapError::VersionNotAfterBase { .. })));
}

#[test]
fn a_missing_root_is_an_error_and_not_an_empty_map() {
    let (stored, version, _) = stored(&numbered(3));
    let (unknown, next) = (Version::after_height(8), Version::after_height(9));
    for changes in [Changes::new(), [([1; 32], Some(vec![]))].into(), [([1; 32], None)].into()] {
        let refused = map::update(&stored, Some(unknown), next, changes);
        assert!(matches!(refused, Err(MapError::MissingRoot(root)) if root == unknown));
    }
    assert!(matches!(map::prove(&stored, unknown, &[1; 32]), Err(MapError::MissingRoot(_))));
    assert_eq!(map::root(&stored, unknown).unwrap(), None);
    assert!(map::root(&stored, version).unwrap().is_some());
}

#[test]
fn lost_and_damaged_nodes_are_named() {
    let entries = numbered(300);
    let (stored, version, _) = stored(&entries);
    let key = entries.keys().next().unwrap();
    let change: Changes = [(*key, Some(vec![1]))].into();
    let on_the_way: Vec<_> = {
        let reads = CountingReader { stored: &stored, read: Default::default() };
        map::prove(&reads, version, key).unwrap();
        reads.read.into_inner().into_iter().collect()
    };
    assert!(on_the_way.len() >= 3);
    for lost in &on_the_way[1..] {
        let mut holed = stored.clone();
        holed.nodes.remove(lost);
        let named = |error| matches!(error, MapError::MissingNode { key } if key == hex::encode(lost));
        assert!(named(map::prove(&holed, version, key).unwrap_err()));
        assert!(named(map::update(&holed, Some(version), Version::after_height(1), change.clone()).unwrap_err()));
    }
    for damage in [vec![], vec![9], vec![0, 0], vec![1; 32], vec![2, 0, 0, 0, 0], vec![2, 1, 0, 0, 0, 7]] {
        let mut damaged = stored.clone();
        damaged.nodes.insert(on_the_way[1].clone(), damage);
        assert!(matches!(map::prove(&damaged, version, key), Err(MapError::CorruptNode { .. })));
        let update = map::update(&damaged, Some(version), Version::after_height(1), change.clone());
        assert!(matches!(update, Err(MapError::CorruptNode { .. })));
    }
}

#[test]
fn a_value_that_is_not_the_map_s_never_leaves_beside_a_proof() {
    let entries = numbered(3);
    let (stored, version, _) = stored(&entries);
    for (row, node) in &stored.nodes {
        // A leaf's row: 1, key hash, value.
        let Some((1, body)) = node.split_first().map(|(kind, body)| (*kind, body)) else { continue };
        let key: Hash = body[..32].try_into().unwrap();
        let forged = [&[1], &key[..], b"forged"].concat();
        let mut altered = stored.clone();
        altered.nodes.insert(row.clone(), forged);
        let named = |error| matches!(error, MapError::CorruptNode { key, .. } if key == hex::encode(row));
        assert!(named(map::prove(&altered, version, &key).unwrap_err()));
        let change = [(key, Some(vec![7]))].into();
        assert!(named(map::update(&altered, Some(version), Version::after_height(1), change).unwrap_err()));
    }
}

/// Whether the claim holds that these are all entries below the prefix.
fn is_all(root: &Hash, prefix: &Prefix, siblings: &[Hash], entries: &Entries) -> Result<(), BelowError> {
    let hashed: Vec<_> = entries.iter().map(|(key, value)| (*key, sha256(&[value]))).collect();
    map::verify_below(root, prefix, siblings, &hashed)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn what_stands_below_a_prefix_is_proved_to_be_all_of_it(
        entries in prop::collection::btree_map(prop::sample::select(pool()), prop::collection::vec(any::<u8>(), 0..3), 0..30),
        towards in prop::sample::select(pool()), bits in 0..=Prefix::BITS_MAX,
    ) {
        let (stored, version, root) = stored(&entries);
        let prefix = Prefix::of(&towards, bits).unwrap();
        let below = map::prove_below(&stored, version, &prefix, 48).unwrap().unwrap();
        let shown: Entries = below.entries.iter().cloned().collect();
        prop_assert!(below.entries.is_sorted());
        let asked: Entries = entries.clone().into_iter().filter(|(key, _)| prefix.contains(key)).collect();
        // Nothing is left out; a walk that ends above the prefix may meet one leaf beside it.
        prop_assert!(asked.iter().all(|(key, value)| shown.get(key) == Some(value)));
        prop_assert!(shown == asked || (shown.len() == 1 && below.siblings.len() < bits.into()));
        prop_assert_eq!(is_all(&root, &prefix, &below.siblings, &shown), Ok(()));

        for key in shown.keys() {
            let mut fewer = shown.clone();
            fewer.remove(key);
            prop_assert!(is_all(&root, &prefix, &below.siblings, &fewer).is_err(), "one is left out");
            let mut other = shown.clone();
            other.insert(*key, b"other".to_vec());
            prop_assert!(is_all(&root, &prefix, &below.siblings, &other).is_err(), "one has another value");
        }
        for key in pool().iter().filter(|key| !shown.contains_key(*key)) {
            let mut more = shown.clone();
            more.insert(*key, Vec::new());
            prop_assert!(is_all(&root, &prefix, &below.siblings, &more).is_err(), "one is added");
        }
        if !shown.is_empty() {
            prop_assert_eq!(map::prove_below(&stored, version, &prefix, shown.len() - 1).unwrap(), None);
        }
        prop_assert_eq!(map::prove_below(&stored, version, &prefix, shown.len()).unwrap().unwrap(), below);
    }
}

#[test]
fn a_prefix_has_one_form_and_32_bits_at_most() {
    let key = [0xff; 32];
    for bits in 0..=Prefix::BITS_MAX {
        let prefix = Prefix::of(&key, bits).unwrap();
        assert!(prefix.contains(&key) && prefix.bits() == bits);
        assert_eq!(Prefix::new(bits, prefix.first()), Some(prefix));
        assert_eq!(Prefix::new(bits, [0xff; 4]).is_some(), bits == 32, "a bit behind the prefix is set");
    }
    assert_eq!(Prefix::of(&key, 9).unwrap().first(), [0xff, 0x80, 0, 0]);
    assert_eq!((Prefix::of(&key, 33), Prefix::new(33, [0; 4])), (None, None));
}

/// What [`map::verify_below`] refuses, by name.
#[test]
fn another_subtree_than_the_prefix_s_is_refused_by_name() {
    let entries = numbered(64);
    let (stored, version, root) = stored(&entries);
    let first = *entries.keys().next().unwrap();
    let prefix = Prefix::of(&first, 2).unwrap();
    let below = map::prove_below(&stored, version, &prefix, 64).unwrap().unwrap();
    let shown: Vec<_> = below.entries.iter().map(|(key, value)| (*key, sha256(&[value]))).collect();
    let check = |prefix: &Prefix, siblings: &[Hash], entries: &[(Hash, Hash)]| {
        map::verify_below(&root, prefix, siblings, entries)
    };
    assert_eq!(check(&prefix, &below.siblings, &shown), Ok(()));
    let deeper = [&below.siblings[..], &[EMPTY_ROOT]].concat();
    assert_eq!(check(&prefix, &deeper, &shown), Err(BelowError::TooDeep));
    assert_eq!(check(&prefix, &below.siblings[..1], &shown), Err(BelowError::EndsAbove));
    let backwards: Vec<_> = shown.iter().rev().copied().collect();
    assert_eq!(check(&prefix, &below.siblings, &backwards), Err(BelowError::NotAscending));
    let twice = [&shown[..], &shown[shown.len() - 1..]].concat();
    assert_eq!(check(&prefix, &below.siblings, &twice), Err(BelowError::NotAscending));
    let elsewhere = Prefix::new(2, [first[0] & 0xc0 ^ 0x80, 0, 0, 0]).unwrap();
    assert_eq!(check(&elsewhere, &below.siblings, &shown), Err(BelowError::EntryElsewhere));
    assert_eq!(check(&prefix, &below.siblings, &shown[1..]), Err(BelowError::RootDiffers));
}
