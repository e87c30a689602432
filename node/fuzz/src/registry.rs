//! What the public is shown: records, contracts and feeds, notes, and the map's rows and paths.

use crate::ledger::{any_canonical, canonical, chain};
use ledger_tree::log::{self, leaf_hash, root_of_leaves};
use ledger_tree::map::{self, MapProof, MapReader, Version, verify_absence, verify_inclusion};
use ledger_tree::merkle::{decode_path, encode_path};
use ledger_tree::note::{Checkpoint, CosignerKey, Note, NoteKey};
use ledger_tree::tile::Tile;
use ledger_tree::{Hash, ReadError};
use ledger_types::Reader;
use ledger_types::confirmation::{Batch, Overdue, Record, SignedBatch};
use ledger_types::contract::*;
use ledger_types::feed::{Feed, FeedDefinition, FeedItem, ItemHead};
use ledger_types::log_leaf::{LogLeaf, StateLeaf};
use ledger_types::reconciliation::{Difference, ReconciliationClaim, ReconciliationReport};
use ledger_types::request::OfficerRequest;
use node::checkpoint::CheckpointSignature;

pub(crate) fn record(bytes: &[u8]) -> bool {
    any_canonical!(bytes; Record, Batch, SignedBatch, Overdue, LogLeaf, StateLeaf, OfficerRequest, ReconciliationClaim,
        ReconciliationReport, Difference)
}

pub(crate) fn contract(bytes: &[u8]) -> bool {
    if let Some(definition) = canonical::<FeedDefinition>(bytes) {
        definition.is_sound();
    }
    if let Some(obligation) = canonical::<OpenObligation>(bytes) {
        obligation.id(&chain());
    }
    any_canonical!(bytes; ContractOrder, ContractHead, DeployedPolicy, Loan, Obligation, OpenObligation, Receipt, Feed,
        FeedDefinition, FeedItem, ItemHead)
}

/// A signed note, a checkpoint, a verifier key, a tile's path, a line that validators send each other.
pub(crate) fn note(bytes: &[u8]) -> bool {
    let note = Note::parse(bytes);
    if let Ok(note) = &note
        && let Ok(checkpoint) = Checkpoint::parse(note.text())
    {
        assert_eq!(checkpoint.to_text(), note.text(), "one text a checkpoint");
    }
    let line = canonical::<CheckpointSignature>(bytes).is_some();
    let Ok(text) = std::str::from_utf8(bytes) else { return note.is_ok() | line };
    let tile = Tile::parse(text);
    if let Some(tile) = &tile {
        assert_eq!(tile.to_string(), text, "one path a tile");
    }
    let keys = [NoteKey::parse(text).is_ok(), CosignerKey::parse(text).is_ok()];
    note.is_ok() | line | tile.is_some() | keys.contains(&true) | Checkpoint::parse(text).is_ok()
}

/// A store that answers every question with the same row.
struct OneRow<'a>(&'a [u8]);

impl MapReader for OneRow<'_> {
    fn node(&self, _: &[u8]) -> Result<Option<Vec<u8>>, ReadError> {
        Ok(Some(self.0.to_vec()))
    }
}

/// The map's rows, its paths, and what stands below a prefix.
pub(crate) fn map(bytes: &[u8]) -> bool {
    let (root, key) = ([1; 32], [2; 32]);
    let reader = OneRow(bytes);
    let looked_up = map::prove(&reader, Version::after_height(1), &key);
    let _ = map::root(&reader, Version::after_height(1));
    let proof = MapProof::decode(bytes);
    if let Ok(proof) = &proof {
        assert_eq!(proof.encode(), bytes, "one encoding a path");
        assert!(verify_absence(&root, &key, proof).is_err(), "nothing hashes to this root");
        assert!(verify_inclusion(&root, &key, &[3; 32], proof).is_err(), "nothing hashes to this root");
    }
    looked_up.is_ok() | proof.is_ok()
}

/// The leaves of a log of seven are their numbers.
fn log_of(size: u64) -> Vec<Hash> {
    (0..size as u8).map(|number| leaf_hash(&[number])).collect()
}

/// Paths through a log whose leaves are known: what is believed is true. `inclusion: index u64 ‖ leaf u8 ‖ path`,
/// `consistency: 2^63 + first u64 ‖ first root ‖ path`.
pub(crate) fn paths(bytes: &[u8]) -> bool {
    const SIZE: u64 = 7;
    const IS_CONSISTENCY: u64 = 1 << 63;
    let root = root_of_leaves(&log_of(SIZE));
    let mut reader = Reader::new(bytes);
    let Ok(number) = reader.read::<u64>() else { return false };
    let first = number ^ IS_CONSISTENCY;
    let (leaf, first_root) = match number < IS_CONSISTENCY {
        true => (reader.read::<u8>().ok(), None),
        false => (None, reader.read::<[u8; 32]>().ok()),
    };
    let Ok(path) = reader.take(reader.remaining()).map_err(drop).and_then(|rest| {
        let path = decode_path(rest).map_err(drop)?;
        assert_eq!(encode_path(&path), rest, "one encoding a path");
        Ok(path)
    }) else {
        return false;
    };
    if let Some(leaf) = leaf
        && log::verify_inclusion(&root, number, SIZE, &leaf_hash(&[leaf]), &path).is_ok()
    {
        assert_eq!(u64::from(leaf), number, "each leaf stands at its number");
    }
    if let Some(first_root) = first_root
        && log::verify_consistency(first, &first_root, SIZE, &root, &path).is_ok()
    {
        assert!(first <= SIZE && first_root == root_of_leaves(&log_of(first)), "the log had no other root");
    }
    leaf.is_some() | first_root.is_some()
}
