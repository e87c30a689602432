//! What consensus asks of the rest of the node. `node` implements both ports; consensus does not know what a coin is.
//!
//! All calls are synchronous and may take tens of milliseconds (execution, a synced write): the engine's connector and the
//! data plane call them from blocking threads, never inside an event loop.

use ledger_types::block::{Block, BlockHeader};
use ledger_types::bundle::{Bundle, BundleCertificate, Slot};
use ledger_types::participant::{Directory, ValidatorSet};
use ledger_types::vote::CommitCertificate;
use ledger_types::{BlockHash, BundleDigest, Height, ParticipantNumber};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Where a lane stands after a height (B-3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct LanePosition {
    pub incarnation: u32,
    /// Sequence of the next bundle that a block may hold.
    pub next_sequence: u64,
    /// Height that last served the lane (B-4); zero when none has.
    pub served_at: Height,
    /// Bytes that the submitter may still have ordered in the next height (refused bytes count twice).
    pub bytes_left: u64,
}

/// The last durable height.
#[derive(Clone, Debug)]
pub struct Tip {
    pub height: Height,
    pub block: BlockHash,
    pub time_ms: u64,
    /// None at the genesis.
    pub certificate: Option<CommitCertificate>,
    /// The set that decided `height`; at the genesis, that of height 1.
    pub decided_by: ValidatorSet,
    /// The set that decides `height + 1` (G-3).
    pub validators: ValidatorSet,
    pub directory: Arc<Directory>,
    /// Lanes that no block has served yet are missing: they stand at incarnation 0, sequence 0.
    pub lanes: Arc<BTreeMap<ParticipantNumber, LanePosition>>,
}

/// A block to be executed: what a proposer chooses. Everything else in the header follows from execution.
#[derive(Clone, Debug)]
pub struct Candidate {
    pub height: Height,
    pub time_ms: u64,
    pub certificates: Vec<BundleCertificate>,
    /// The certificates' bundles, in their order.
    pub bundles: Vec<Arc<Bundle>>,
    pub parent_certificate: Option<CommitCertificate>,
}

/// Why a block gets a nil prevote (B-2): never because of an envelope in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("block refused: {reason}")]
pub struct BlockRefused {
    pub reason: String,
}

/// The node must stop before it signs anything more (B-1, B-8).
#[derive(Debug, thiserror::Error)]
#[error("the node must stop: {0}")]
pub struct MustStop(pub String);

#[derive(Clone, Debug)]
pub struct DecidedBlock {
    pub block: Block,
    pub certificate: CommitCertificate,
}

pub trait Application: Send + Sync + 'static {
    fn tip(&self) -> Tip;

    /// Executes a candidate on the tip and completes its header. The application keeps the outcome by block hash, so that the
    /// same block is executed once (B-1).
    fn propose(&self, candidate: Candidate) -> Result<Block, BlockRefused>;

    /// Executes a block that another proposed and compares every root. Signatures of its certificates and of its parent's
    /// certificate are
    /// checked by the caller, which knows which certificates it has verified already.
    fn check(&self, block: &Block, bundles: &[Arc<Bundle>]) -> Result<(), BlockRefused>;

    /// Makes a decided block durable; returns when it is (B-8). A root mismatch here is an alarm: `MustStop`.
    fn commit(&self, decided: DecidedBlock, bundles: &[Arc<Bundle>]) -> Result<Tip, MustStop>;

    fn decided(&self, height: Height) -> Option<DecidedBlock>;

    /// The first height whose block and bundles are here: peers that need earlier ones ask others. Reads the disk.
    fn first_height(&self) -> Height {
        Height(1)
    }

    /// Headers only, for peers that ask where we stand.
    fn header(&self, height: Height) -> Option<BlockHeader>;

    /// Whether this program can execute the height after the tip (B-13). Where it cannot, the engine stops before it.
    fn can_go_on(&self) -> Result<(), MustStop> {
        Ok(())
    }

    /// An earliest time at which the ledger needs a height of its own (a policy's edge); none for now is `None`.
    fn next_edge_ms(&self) -> Option<u64> {
        None
    }

    /// Answers a participant that begins from nothing ([`crate::plane::state`]). Empty: there is nothing. Reads the disk.
    fn state(&self, _question: &[u8]) -> Vec<u8> {
        Vec::new()
    }

    /// A small signed message from a peer that consensus carries for the application (checkpoint cosignatures).
    fn message(&self, from: ParticipantNumber, bytes: Vec<u8>);

    /// A validator signed two different things for one place: persisted and shown.
    fn evidence(&self, evidence: Evidence);
}

/// Two conflicting signed messages of one validator, as they were received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    pub validator: ParticipantNumber,
    pub height: Height,
    /// "prevote", "precommit", "proposal" or "bundle slot".
    pub what: String,
    pub first: Vec<u8>,
    pub second: Vec<u8>,
}

/// Arrival-ordered bundle files. What `put` has returned for is on disk.
pub trait BundleStore: Send + Sync + 'static {
    /// Stores several bundles with one sync. Storing a digest again is no error and writes nothing.
    fn put(&self, bundles: &[Arc<Bundle>]) -> Result<(), MustStop>;

    fn get(&self, digest: &BundleDigest) -> Result<Option<Arc<Bundle>>, MustStop>;

    fn contains(&self, digest: &BundleDigest) -> bool;

    /// Bundles that no committed block holds, for the start of a node.
    fn unordered(&self) -> Result<Vec<Arc<Bundle>>, MustStop>;

    /// One guarded ack per slot (B-3): records that this node acks `digest` in `slot`, durably, before the ack leaves.
    /// Returns the digests acked in the slots: the given one, another that was acked there before, or none where this node may
    /// not ack: its guard is missing, or was made anew and the slot may have been acked before (B-9).
    fn guard_acks(&self, acks: &[(Slot, BundleDigest)]) -> Result<Vec<Option<BundleDigest>>, MustStop>;

    /// What the guard holds for a slot. From memory.
    fn acked(&self, slot: &Slot) -> Option<BundleDigest>;

    /// Whether the guard knows all that was ever acked in this slot: not if it is missing, or was made anew and the
    /// slot may have been acked before (B-9). From memory.
    fn remembers(&self, slot: &Slot) -> bool;

    /// Forgets unordered bundles and ack guards of slots that no block can hold any more.
    fn collect(&self, lanes: &BTreeMap<ParticipantNumber, LanePosition>) -> Result<(), MustStop>;
}
