//! The Merkle tree of blocks and bundles: a path proves exactly one item at exactly one place.

use ledger_types::merkle::{path, path_is_valid, root};
use ledger_types::{Chain, GenesisHash, MerkleRoot, Tag};
use proptest::prelude::*;

fn chain() -> Chain {
    Chain::new(GenesisHash([9; 32]))
}

/// RFC 6962's definition, word for word, as the independent second opinion.
fn root_by_definition(chain: &Chain, items: &[[u8; 32]]) -> [u8; 32] {
    match items.len() {
        0 => chain.hash(Tag::MerkleEmpty, &[]),
        1 => chain.hash(Tag::MerkleLeaf, &[&items[0]]),
        n => {
            let mut k = 1;
            while 2 * k < n {
                k *= 2;
            }
            let (left, right) = (root_by_definition(chain, &items[..k]), root_by_definition(chain, &items[k..]));
            chain.hash(Tag::MerkleNode, &[&left, &right])
        }
    }
}

fn items() -> impl Strategy<Value = Vec<[u8; 32]>> {
    prop::collection::vec(any::<[u8; 32]>(), 1..80)
}

proptest! {
    #[test]
    fn the_root_is_the_definitions(items in prop::collection::vec(any::<[u8; 32]>(), 0..80)) {
        prop_assert_eq!(root(&chain(), &items).0, root_by_definition(&chain(), &items));
    }

    #[test]
    fn a_path_proves_its_item_at_its_place_and_nothing_else(
        items in items(),
        pick in any::<prop::sample::Index>(),
        flip in any::<prop::sample::Index>(),
    ) {
        let (chain, count) = (chain(), items.len() as u64);
        let index = pick.index(items.len());
        let (root, siblings) = (root(&chain, &items), path(&chain, &items, index).unwrap());
        let valid = |item: &[u8; 32], index: u64, siblings: &[[u8; 32]]| path_is_valid(&chain, &root, item, index, count, siblings);
        prop_assert!(valid(&items[index], index as u64, &siblings));
        prop_assert!(siblings.len() <= 7);

        for other in (0..count + 2).filter(|other| *other != index as u64) {
            prop_assert!(!valid(&items[index], other, &siblings), "also valid at {other}");
        }
        let mut changed = items[index];
        changed[flip.index(32)] ^= 1;
        prop_assert!(!valid(&changed, index as u64, &siblings));
        for at in 0..siblings.len() {
            let mut tampered = siblings.clone();
            tampered[at][flip.index(32)] ^= 1;
            prop_assert!(!valid(&items[index], index as u64, &tampered));
        }
        let longer = [&siblings[..], &[root.0]].concat();
        prop_assert!(!valid(&items[index], index as u64, &longer));
        if let Some((_, shorter)) = siblings.split_last() {
            prop_assert!(!valid(&items[index], index as u64, shorter));
        }
        let other_root = MerkleRoot(changed);
        prop_assert!(!path_is_valid(&chain, &other_root, &items[index], index as u64, count, &siblings));
    }

    #[test]
    fn a_path_is_bounded_work_for_any_index_and_count(
        index in any::<u64>(),
        count in any::<u64>(),
        item in any::<[u8; 32]>(),
        siblings in prop::collection::vec(any::<[u8; 32]>(), 0..70),
    ) {
        prop_assert!(!path_is_valid(&chain(), &MerkleRoot([1; 32]), &item, index, count, &siblings));
    }

    #[test]
    fn order_and_count_are_in_the_root(items in items(), extra in any::<[u8; 32]>()) {
        let chain = chain();
        let longer = [&items[..], &[extra]].concat();
        prop_assert_ne!(root(&chain, &items), root(&chain, &longer));
        let reversed: Vec<_> = items.iter().rev().copied().collect();
        prop_assert!(items.len() == 1 || root(&chain, &items) != root(&chain, &reversed));
    }
}

/// Without domain tags an inner node could be shown as an item.
#[test]
fn an_inner_node_is_no_item() {
    let chain = chain();
    let items = [[1; 32], [2; 32], [3; 32], [4; 32]];
    let node = root_by_definition(&chain, &items[..2]);
    let sibling = root_by_definition(&chain, &items[2..]);
    assert!(!path_is_valid(&chain, &root(&chain, &items), &node, 0, 2, &[sibling]));
}

#[test]
fn there_is_no_path_beyond_the_last_item_nor_in_an_empty_tree() {
    assert_eq!(path(&chain(), &[[1; 32]], 1), None);
    assert_eq!(path(&chain(), &[], 0), None);
    let empty = root(&chain(), &[]);
    assert!(!path_is_valid(&chain(), &empty, &[0; 32], 0, 0, &[]));
}
