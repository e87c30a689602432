//! Makes one height durable atomically, and reads it back.
//!
//! What stays true here:
//! - One height is one synced write: block, certificate, changes, tree nodes, cursors and height are on disk together or not at
//!   all; its bundles were there before (B-8).
//! - What a call has returned for is on disk. After a failed write nothing is written any more, and the caller stops the node
//!   (invariant 7).
//! - A folder is opened only if it is of this format and chain, and if the height at which it stands is proved from the
//!   genesis (what that covers, and what not: `proof`); what cannot be told apart from loss is refused by name, never repaired
//!   by guess.
//! - A reader sees one height, whole, and no later write changes what it sees.
//!
//! ```text
//! folder/FORMAT                     what this is                                 folder
//! folder/state/                     RocksDB: chain, state, map, log              store, proof, audit, columns, database
//! folder/state/NNNN.coins           the coins, but for their latest changes      coins
//! folder/state/WITNESS              up to where the rows had been durable        witness
//! folder/bundles/NNNNNNNN.bundles   bundles in the order of their arrival        bundles
//! folder/bundles/acked-before       acks whose bundles an earlier folder held    bundles::recover
//! folder/snapshots/HEIGHT/          rows of an earlier height, in hard links     offers
//! beside the keys                   one ack a slot                               bundles::guard
//! ```
//! Left to others: whether a block is right (`ledger-state`), whether it was decided (`consensus`), and what roles keep in
//! their [`PrivateStore`].

mod error;
mod folder;

// Rows.
mod coins;
pub mod columns;
mod damage;
mod database;
mod deciders;
mod options;
mod values;
mod witness;

// The ledger.
mod audit;
mod bundles;
mod commit;
mod copy;
mod genesis;
mod history;
mod joining;
mod offer;
mod offers;
mod parts;
mod proof;
mod prune;
mod snapshot;
mod store;

// What roles keep for themselves.
mod private;

pub use audit::Audit;
pub use bundles::{AckGuard, Bundles};
pub use columns::{Bincode, Canonical, Column, ColumnSpec, FORMAT_VERSION, Format, Key, Raw};
pub use commit::CommittedHeight;
pub use copy::note_earlier_acks;
pub use damage::{Damage, Found};
pub use database::{Rows, Scan, Writes};
pub use error::{CommitError, CommitRefusal, OpenError, ProofGap, StoreError};
pub use history::HistoryPruned;
pub use joining::{JoinError, begins_from_nothing, join};
pub use offer::{
    BLOCKS, Checked, CheckedOffer, HandOvers, Hashes, Headers, Lie, OFFER_BYTES_MAX, Offer, PIECE_BYTES_MAX, Piece,
};
pub use offers::KeptSnapshot;
pub use options::Memory;
pub use private::PrivateStore;
pub use prune::Pruned;
pub use snapshot::{OrderedEnvelope, Readers, Snapshot};
pub use store::{Losses, Store, StoreOptions, Tip};
pub use values::VALUE_BYTES_MAX;
