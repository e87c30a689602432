//! The log against RFC 6962's own words and the vectors of transparency-dev/merkle.

use crate::support;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ledger_tree::Hash;
use ledger_tree::log::{self, ConsistencyError, Frontier, LogError, Rfc6962};
use ledger_tree::merkle::{PathError, TreeHasher};
use proptest::prelude::*;
use serde_json::Value;
use support::{MemoryLog, naive_path, naive_root, naive_subproof};

fn leaf_hashes(count: usize) -> Vec<Hash> {
    (0..count).map(|number| log::leaf_hash(format!("leaf {number}").as_bytes())).collect()
}

fn stored_log(leaf_hashes: &[Hash]) -> MemoryLog {
    let mut stored = MemoryLog::default();
    let append = log::append(&stored, 0, leaf_hashes).unwrap();
    stored.store(&append);
    stored
}

/// `None` where the vector gives something that is no hash.
fn hash(value: &Value) -> Option<Hash> {
    STANDARD.decode(value.as_str().unwrap()).unwrap().try_into().ok()
}

fn hashes(value: &Value) -> Option<Vec<Hash>> {
    value.as_array().map_or(Some(Vec::new()), |hashes| hashes.iter().map(hash).collect())
}

#[test]
fn the_inclusion_vectors_are_accepted_and_refused_as_they_say() {
    let vectors: Vec<Value> = serde_json::from_str(include_str!("vectors/rfc6962/inclusion.json")).unwrap();
    let (mut accepted, mut refused, mut refused_after_hashing) = (0, 0, 0);
    for vector in &vectors {
        let verdict = match (hash(&vector["root"]), hash(&vector["leafHash"]), hashes(&vector["proof"])) {
            (Some(root), Some(leaf_hash), Some(proof)) => {
                let (index, size) = (vector["leafIdx"].as_u64().unwrap(), vector["treeSize"].as_u64().unwrap());
                let verified = log::verify_inclusion(&root, index, size, &leaf_hash, &proof);
                refused_after_hashing += usize::from(verified == Err(PathError::RootDiffers));
                verified.is_ok()
            }
            _ => false,
        };
        assert_eq!(verdict, !vector["wantErr"].as_bool().unwrap(), "{} {}", vector["_file"], vector["desc"]);
        if verdict { accepted += 1 } else { refused += 1 }
    }
    assert_eq!((accepted, refused), (6, 92));
    assert!(refused_after_hashing > 10, "most vectors are well-formed: {refused_after_hashing}");
}

#[test]
fn the_consistency_vectors_are_accepted_and_break_when_altered() {
    let vectors: Vec<Value> = serde_json::from_str(include_str!("vectors/rfc6962/consistency-happy.json")).unwrap();
    assert_eq!(vectors.len(), 6);
    for vector in &vectors {
        let (first, second) = (vector["size1"].as_u64().unwrap(), vector["size2"].as_u64().unwrap());
        // One vector has placeholders for its two equal roots; their digests are equal too.
        let root = |field: &str| {
            let stand_in = || log::leaf_hash(vector[field].as_str().unwrap().as_bytes());
            hash(&vector[field]).unwrap_or_else(stand_in)
        };
        let (first_root, second_root) = (root("root1"), root("root2"));
        let proof = hashes(&vector["proof"]).unwrap();
        let verify = |first_root, second_root, proof: &[Hash]| {
            log::verify_consistency(first, &first_root, second, &second_root, proof)
        };
        assert_eq!(verify(first_root, second_root, &proof), Ok(()), "{}", vector["_file"]);
        assert!(verify([0; 32], second_root, &proof).is_err());
        assert!(verify(first_root, [0; 32], &proof).is_err());
        assert!(verify(first_root, second_root, &[&proof[..], &[[0; 32]]].concat()).is_err());
        if let Some((_, shorter)) = proof.split_last() {
            assert!(verify(first_root, second_root, shorter).is_err());
        }
    }
}

#[test]
fn a_log_proves_every_leaf_at_every_size_up_to_40() {
    let leaf_hashes = leaf_hashes(40);
    // One log of 40 leaves answers for all its earlier sizes.
    let stored = stored_log(&leaf_hashes);
    for size in 0..=40 {
        let leaves = &leaf_hashes[..size];
        let root = log::root(&stored, size as u64).unwrap();
        assert_eq!(root, naive_root(&Rfc6962, leaves), "size {size}");
        for (index, leaf_hash) in leaves.iter().enumerate() {
            let proof = log::prove_inclusion(&stored, index as u64, size as u64).unwrap();
            assert_eq!(proof, naive_path(&Rfc6962, index, leaves), "leaf {index} of {size}");
            let verified = log::verify_inclusion(&root, index as u64, size as u64, leaf_hash, &proof);
            assert_eq!(verified, Ok(()));
        }
    }
}

#[test]
fn a_log_proves_that_every_size_up_to_40_extends_every_earlier_one() {
    let leaf_hashes = leaf_hashes(40);
    let stored = stored_log(&leaf_hashes);
    let root = |size: usize| naive_root(&Rfc6962, &leaf_hashes[..size]);
    for second in 0..=40 {
        for first in 0..=second {
            let proof = log::prove_consistency(&stored, first as u64, second as u64).unwrap();
            if first > 0 {
                assert_eq!(proof, naive_subproof(&Rfc6962, first, &leaf_hashes[..second], true), "{first} to {second}");
            }
            let verify = |first_root: Hash, second_root: Hash, proof: &[Hash]| {
                log::verify_consistency(first as u64, &first_root, second as u64, &second_root, proof)
            };
            assert_eq!(verify(root(first), root(second), &proof), Ok(()), "{first} to {second}");

            // Another past, another present, a longer or a shorter proof: none passes.
            assert!(verify([1; 32], root(second), &proof).is_err());
            if first > 0 {
                assert!(verify(root(first), [1; 32], &proof).is_err());
            }
            assert_eq!(
                verify(root(first), root(second), &[&proof[..], &[[1; 32]]].concat()),
                Err(ConsistencyError::TooLong)
            );
            if let Some((_, shorter)) = proof.split_last() {
                assert_eq!(verify(root(first), root(second), shorter), Err(ConsistencyError::TooShort));
            }
        }
    }
}

#[test]
fn a_log_of_size_zero_has_the_empty_root_and_nothing_in_it() {
    let empty = MemoryLog::default();
    assert_eq!(log::root(&empty, 0).unwrap(), Rfc6962.empty());
    assert!(matches!(log::prove_inclusion(&empty, 0, 0), Err(LogError::IndexOutOfRange { index: 0, size: 0 })));
    assert_eq!(log::verify_consistency(0, &[9; 32], 5, &[1; 32], &[]), Err(ConsistencyError::FirstRootDiffers));
    let backwards = log::verify_consistency(2, &[9; 32], 1, &[9; 32], &[]);
    assert_eq!(backwards, Err(ConsistencyError::SizesOutOfOrder { first: 2, second: 1 }));
}

#[test]
fn equal_sizes_with_unequal_roots_are_a_split_view() {
    let differs = log::verify_consistency(7, &[1; 32], 7, &[2; 32], &[]);
    assert_eq!(differs, Err(ConsistencyError::SecondRootDiffers));
}

#[test]
fn a_missing_node_is_named_and_never_taken_for_an_empty_subtree() {
    let leaf_hashes = leaf_hashes(7);
    let full = stored_log(&leaf_hashes);
    assert!(matches!(log::root(&full, 8), Err(LogError::MissingNode { level: 3, index: 0 })));
    let mut holed = stored_log(&leaf_hashes);
    holed.nodes.remove(&(1, 2));
    assert!(matches!(log::root(&holed, 7), Err(LogError::MissingNode { level: 1, index: 2 })));
    assert!(matches!(log::append(&holed, 7, &leaf_hashes), Err(LogError::MissingNode { level: 1, index: 2 })));
    assert!(matches!(log::prove_inclusion(&holed, 0, 7), Err(LogError::MissingNode { level: 1, index: 2 })));
}

#[test]
fn sizes_next_to_the_end_of_u64_overflow_nothing() {
    let mut stored = MemoryLog::default();
    stored.nodes.extend((0..64).map(|level| ((level, (u64::MAX >> level) - 1), [level; 32])));
    assert!(matches!(log::append(&stored, u64::MAX, &[[0; 32]]), Err(LogError::Full)));
    let root = log::root(&stored, u64::MAX).unwrap();
    let proof = log::prove_inclusion(&stored, u64::MAX - 1, u64::MAX).unwrap();
    assert_eq!(proof.len(), 63);
    let verified = log::verify_inclusion(&root, u64::MAX - 1, u64::MAX, &[0; 32], &proof);
    assert_eq!(verified, Ok(()), "the last leaf is itself a peak, the one of level 0");
}

proptest! {
    #[test]
    fn a_log_grows_the_same_in_any_portions(portions in prop::collection::vec(0usize..30, 1..12)) {
        let leaf_hashes = leaf_hashes(portions.iter().sum());
        let mut by_reader = MemoryLog::default();
        let mut frontier = Frontier::default();
        let mut size = 0;
        for portion in portions {
            let leaves = &leaf_hashes[size..size + portion];
            let append = log::append(&by_reader, size as u64, leaves).unwrap();
            prop_assert_eq!(&frontier.append(leaves).unwrap(), &append);
            by_reader.store(&append);
            size += portion;
            prop_assert_eq!(append.size, size as u64);
            prop_assert_eq!(append.root, naive_root(&Rfc6962, &leaf_hashes[..size]));
            prop_assert_eq!(&Frontier::load(&by_reader, size as u64).unwrap(), &frontier);
        }
        prop_assert_eq!(by_reader.nodes, stored_log(&leaf_hashes).nodes);
    }

    #[test]
    fn one_flipped_bit_breaks_an_inclusion_proof(
        size in 2usize..300, index: prop::sample::Index, flip: prop::sample::Index,
    ) {
        let leaf_hashes = leaf_hashes(size);
        let stored = stored_log(&leaf_hashes);
        let index = index.index(size);
        let root = log::root(&stored, size as u64).unwrap();
        let mut proof = log::prove_inclusion(&stored, index as u64, size as u64).unwrap();
        let bit = flip.index(256 * proof.len());
        proof[bit / 256][bit % 256 / 8] ^= 1 << (bit % 8);
        let verified = log::verify_inclusion(&root, index as u64, size as u64, &leaf_hashes[index], &proof);
        prop_assert_eq!(verified, Err(PathError::RootDiffers));
    }

    #[test]
    fn one_flipped_bit_breaks_a_consistency_proof(
        second in 2usize..300, first: prop::sample::Index, flip: prop::sample::Index,
    ) {
        let first = 1 + first.index(second - 1);
        let leaf_hashes = leaf_hashes(second);
        let stored = stored_log(&leaf_hashes);
        let roots = [first, second].map(|size| log::root(&stored, size as u64).unwrap());
        let mut proof = log::prove_consistency(&stored, first as u64, second as u64).unwrap();
        let bit = flip.index(256 * proof.len());
        proof[bit / 256][bit % 256 / 8] ^= 1 << (bit % 8);
        prop_assert!(log::verify_consistency(first as u64, &roots[0], second as u64, &roots[1], &proof).is_err());
    }
}
