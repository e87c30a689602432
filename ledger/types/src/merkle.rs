//! The Merkle tree inside blocks and bundles: RFC 6962's shape with BLAKE3 under domain tags.
//!
//! empty = D("merkle empty"); leaf = D("merkle leaf", x); node = D("merkle node", left ‖ right); the left subtree holds the
//! largest power of two smaller than the count. A path lists the siblings from the leaf upward.

use crate::domain::{Chain, Tag};
use crate::ids::MerkleRoot;

type Node = [u8; 32];

fn leaf(chain: &Chain, item: &[u8; 32]) -> Node {
    chain.hash(Tag::MerkleLeaf, &[item])
}

fn node(chain: &Chain, left: &Node, right: &Node) -> Node {
    chain.hash(Tag::MerkleNode, &[left, right])
}

fn split(count: usize) -> usize {
    1 << (usize::BITS - 1 - (count - 1).leading_zeros())
}

fn subtree(chain: &Chain, leaves: &[Node]) -> Node {
    match leaves {
        [] => chain.hash(Tag::MerkleEmpty, &[]),
        [only] => *only,
        _ => {
            let (left, right) = leaves.split_at(split(leaves.len()));
            node(chain, &subtree(chain, left), &subtree(chain, right))
        }
    }
}

pub fn root(chain: &Chain, items: &[[u8; 32]]) -> MerkleRoot {
    let leaves: Vec<Node> = items.iter().map(|item| leaf(chain, item)).collect();
    MerkleRoot(subtree(chain, &leaves))
}

/// The siblings from leaf `index` to the root; `None` beyond the last leaf.
pub fn path(chain: &Chain, items: &[[u8; 32]], index: usize) -> Option<Vec<[u8; 32]>> {
    if index >= items.len() {
        return None;
    }
    let leaves: Vec<Node> = items.iter().map(|item| leaf(chain, item)).collect();
    let (mut rest, mut index, mut siblings) = (&leaves[..], index, Vec::new());
    while rest.len() > 1 {
        let at = split(rest.len());
        let (left, right) = rest.split_at(at);
        if index < at {
            siblings.push(subtree(chain, right));
            rest = left;
        } else {
            siblings.push(subtree(chain, left));
            rest = right;
            index -= at;
        }
    }
    siblings.reverse();
    Some(siblings)
}

pub fn path_is_valid(
    chain: &Chain,
    root: &MerkleRoot,
    item: &[u8; 32],
    index: u64,
    count: u64,
    path: &[[u8; 32]],
) -> bool {
    if index >= count {
        return false;
    }
    // RFC 9162, 2.1.3.2.
    let (mut fn_, mut sn, mut hash) = (index, count - 1, leaf(chain, item));
    for sibling in path {
        if sn == 0 {
            return false;
        }
        if fn_ & 1 == 1 || fn_ == sn {
            hash = node(chain, sibling, &hash);
            while fn_ & 1 == 0 && fn_ != 0 {
                fn_ >>= 1;
                sn >>= 1;
            }
        } else {
            hash = node(chain, &hash, sibling);
        }
        fn_ >>= 1;
        sn >>= 1;
    }
    sn == 0 && hash == root.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::GenesisHash;

    #[test]
    fn every_path_leads_to_the_root_and_no_other_item_does() {
        let chain = Chain::new(GenesisHash([7; 32]));
        for count in 1..40usize {
            let items: Vec<[u8; 32]> = (0..count).map(|i| [i as u8; 32]).collect();
            let root = root(&chain, &items);
            for index in 0..count {
                let path = path(&chain, &items, index).unwrap();
                assert!(path_is_valid(&chain, &root, &items[index], index as u64, count as u64, &path));
                assert!(!path_is_valid(&chain, &root, &[99; 32], index as u64, count as u64, &path));
                assert!(
                    !path_is_valid(&chain, &root, &items[index], (index as u64 + 1) % 64, count as u64, &path)
                        || count == 1
                );
            }
            assert_eq!(super::path(&chain, &items, count), None);
        }
    }
}
