//! The generic tree against RFC 6962's own words.

use crate::support;

use ledger_tree::Hash;
use ledger_tree::merkle::{self, PathBytesError, PathError, Tree, TreeHasher};
use proptest::prelude::*;
use support::{naive_path, naive_root, sha256};

/// Any domain-separated function will do; this one is nobody's.
struct TestHasher;

impl TreeHasher for TestHasher {
    fn empty(&self) -> Hash {
        sha256(&[b"nothing"])
    }

    fn leaf(&self, leaf: &Hash) -> Hash {
        sha256(&[b"leaf", leaf])
    }

    fn node(&self, left: &Hash, right: &Hash) -> Hash {
        sha256(&[b"node", left, right])
    }
}

fn leaves(count: u64) -> Vec<Hash> {
    (0..count).map(|number| sha256(&[&number.to_le_bytes()])).collect()
}

#[test]
fn every_tree_up_to_70_leaves_has_the_rfc_s_root_and_paths() {
    for count in 0..=70u64 {
        let leaves = leaves(count);
        let hashed: Vec<Hash> = leaves.iter().map(|leaf| TestHasher.leaf(leaf)).collect();
        let tree = Tree::build(&TestHasher, &leaves);
        assert_eq!(tree.root(), naive_root(&TestHasher, &hashed), "{count} leaves");
        assert_eq!(merkle::root(&TestHasher, &leaves), tree.root());
        assert_eq!(tree.path(count), None);
        assert_eq!(tree.path(u64::MAX), None);
        for index in 0..count {
            let path = tree.path(index).unwrap();
            assert_eq!(path, naive_path(&TestHasher, index as usize, &hashed), "leaf {index} of {count}");
            let leaf = &leaves[index as usize];
            assert_eq!(merkle::verify_path(&TestHasher, &tree.root(), index, count, leaf, &path), Ok(()));
        }
    }
}

#[test]
fn a_path_proves_one_leaf_at_one_index_with_one_length() {
    for count in 1..=20u64 {
        let leaves = leaves(count);
        let tree = Tree::build(&TestHasher, &leaves);
        let verify = |index, leaf: &Hash, path: &[Hash]| {
            merkle::verify_path(&TestHasher, &tree.root(), index, count, leaf, path)
        };
        for index in 0..count {
            let (leaf, path) = (&leaves[index as usize], tree.path(index).unwrap());
            for other in (0..count).filter(|other| *other != index) {
                assert!(verify(other, leaf, &path).is_err(), "leaf {index} of {count} passed as leaf {other}");
                assert_eq!(verify(index, &leaves[other as usize], &path), Err(PathError::RootDiffers));
            }
            let longer = [&path[..], &[[0; 32]]].concat();
            assert_eq!(verify(index, leaf, &longer), Err(PathError::TooLong));
            if let Some((_, shorter)) = path.split_last() {
                assert_eq!(verify(index, leaf, shorter), Err(PathError::TooShort));
            }
            assert_eq!(verify(count, leaf, &path), Err(PathError::IndexOutOfRange { index: count, count }));
        }
    }
}

#[test]
fn an_index_in_an_empty_or_a_huge_tree_is_refused_without_arithmetic_trouble() {
    let refused = merkle::verify_path(&TestHasher, &TestHasher.empty(), 0, 0, &[0; 32], &[]);
    assert_eq!(refused, Err(PathError::IndexOutOfRange { index: 0, count: 0 }));
    // Of 2^64 - 1 leaves the first has 64 siblings; the last, carried up past one level, has 63.
    let path = [[7; 32]; 64];
    let verify = |index, path: &[Hash]| merkle::verify_path(&TestHasher, &[0; 32], index, u64::MAX, &[0; 32], path);
    assert_eq!(verify(0, &path), Err(PathError::RootDiffers));
    assert_eq!(verify(0, &path[1..]), Err(PathError::TooShort));
    assert_eq!(verify(u64::MAX - 1, &path[1..]), Err(PathError::RootDiffers));
    assert_eq!(verify(u64::MAX - 1, &path), Err(PathError::TooLong));
}

#[test]
fn path_bytes_that_no_path_has_are_refused_by_name() {
    let bytes = merkle::encode_path(&[[1; 32], [2; 32]]);
    assert_eq!(merkle::decode_path(&[]), Err(PathBytesError::Truncated));
    assert_eq!(merkle::decode_path(&bytes[..1]), Err(PathBytesError::Truncated));
    assert_eq!(merkle::decode_path(&bytes[..bytes.len() - 1]), Err(PathBytesError::Truncated));
    assert_eq!(merkle::decode_path(&[&bytes[..], &[0]].concat()), Err(PathBytesError::Leftover));
    assert_eq!(merkle::decode_path(&[65, 0]), Err(PathBytesError::TooManyHashes(65)));
    assert_eq!(merkle::decode_path(&[255, 255]), Err(PathBytesError::TooManyHashes(u16::MAX)));
}

proptest! {
    #[test]
    fn path_bytes_are_bijective(path in prop::collection::vec(any::<Hash>(), 0..=64)) {
        let bytes = merkle::encode_path(&path);
        prop_assert_eq!(bytes.len(), 2 + 32 * path.len());
        prop_assert_eq!(merkle::decode_path(&bytes), Ok(path));
    }

    #[test]
    fn what_decodes_as_a_path_encodes_back(mut bytes in prop::collection::vec(any::<u8>(), 0..200), count in 0u16..8) {
        if let Some(head) = bytes.first_chunk_mut() {
            *head = count.to_le_bytes();
        }
        if let Ok(path) = merkle::decode_path(&bytes) {
            prop_assert_eq!(merkle::encode_path(&path), bytes);
        }
    }

    #[test]
    fn one_flipped_bit_anywhere_breaks_a_path(count in 2u64..200, index: prop::sample::Index, flip: prop::sample::Index) {
        let leaves = leaves(count);
        let tree = Tree::build(&TestHasher, &leaves);
        let index = index.index(count as usize);
        let mut path = tree.path(index as u64).unwrap();
        let bit = flip.index(256 * path.len());
        path[bit / 256][bit % 256 / 8] ^= 1 << (bit % 8);
        let verified = merkle::verify_path(&TestHasher, &tree.root(), index as u64, count, &leaves[index], &path);
        prop_assert_eq!(verified, Err(PathError::RootDiffers));
    }
}
