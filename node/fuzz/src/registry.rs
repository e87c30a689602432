//! What the public is shown: records, contracts and feeds, notes, and the map's rows and paths.

use crate::ledger::{any_canonical, canonical, chain};
use ledger_tree::ReadError;
use ledger_tree::map::{self, MapProof, MapReader, Version, verify_absence, verify_inclusion};
use ledger_tree::note::{Checkpoint, CosignerKey, Note, NoteKey};
use ledger_tree::tile::Tile;
use ledger_types::confirmation::{Batch, Overdue, Record, SignedBatch};
use ledger_types::contract::*;
use ledger_types::feed::{Feed, FeedDefinition, FeedItem, ItemHead};
use ledger_types::log_leaf::{LogLeaf, StateLeaf};
use ledger_types::reconciliation::{Difference, ReconciliationClaim, ReconciliationReport};
use ledger_types::request::OfficerRequest;

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

/// A signed note, a checkpoint, a verifier key, a tile's path.
pub(crate) fn note(bytes: &[u8]) -> bool {
    let note = Note::parse(bytes);
    if let Ok(note) = &note
        && let Ok(checkpoint) = Checkpoint::parse(note.text())
    {
        assert_eq!(checkpoint.to_text(), note.text(), "one text a checkpoint");
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return note.is_ok() };
    let tile = Tile::parse(text);
    if let Some(tile) = &tile {
        assert_eq!(tile.to_string(), text, "one path a tile");
    }
    let keys = [NoteKey::parse(text).is_ok(), CosignerKey::parse(text).is_ok()];
    note.is_ok() | tile.is_some() | keys.contains(&true) | Checkpoint::parse(text).is_ok()
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
