//! Domain separation: every hash says what it is for and on which chain.
//!
//! `D(tag, x)` = BLAKE3 derive_key(context `assay <tag> v1`, genesis_hash ‖ x). All tags stand in [`Tag`] and nowhere else.

use crate::ids::GenesisHash;
use blake3::hazmat::{ContextKey, HasherExt, hash_derive_key_context};
use std::sync::LazyLock;

macro_rules! tags {
    ($($(#[$meta:meta])* $variant:ident = $text:literal),* $(,)?) => {
        /// What a hash is for.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Tag { $($(#[$meta])* $variant),* }
        impl Tag {
            pub const ALL: &'static [Tag] = &[$(Tag::$variant),*];
            /// The BLAKE3 derive_key context.
            pub const fn context(self) -> &'static str {
                match self { $(Tag::$variant => concat!("assay ", $text, " v1")),* }
            }
        }
    };
}

tags! {
    // Coins (C)
    Terms = "terms",
    Note = "note",
    CustodyBlind = "custody blind",
    Custody = "custody",
    Origin = "origin",
    IssueOrigin = "issue origin",
    Link = "link",
    Coin = "coin",
    OwnerTag = "owner tag",
    TagBlind = "tag blind",
    Ownership = "ownership",
    PreissueRho = "preissue rho",
    // Envelopes and channels (E)
    EnvelopeKey = "envelope key",
    Core = "core",
    KeyCommit = "key commit",
    Seal = "seal",
    Header = "header",
    Ciphertext = "ciphertext",
    Envelope = "envelope",
    Salt = "salt",
    Plaintext = "plaintext",
    Hint = "hint",
    EpochCommit = "epoch commit",
    EpochOffer = "epoch offer",
    EpochAck = "epoch ack",
    EpochInfo = "epoch info",
    // Orders and authority (P)
    Memo = "memo",
    Order = "order",
    IssueOrder = "issue order",
    Acceptance = "acceptance",
    Authorization = "authorization",
    // Contracts and feeds (K)
    Policy = "policy",
    Obligation = "obligation",
    FeedValue = "feed value",
    // Bundles and blocks (B)
    Bundle = "bundle",
    Ack = "ack",
    Certificate = "certificate",
    Result = "result",
    MerkleLeaf = "merkle leaf",
    MerkleNode = "merkle node",
    MerkleEmpty = "merkle empty",
    Vote = "vote",
    Proposal = "proposal",
    PeerProof = "peer proof",
    Block = "block",
    State = "state",
    Delta = "delta",
    SnapshotChunk = "snapshot chunk",
    Snapshot = "snapshot",
    IssueNumbers = "issue numbers",
    Overdue = "overdue",
    Participants = "participants",
    ValidatorSet = "validator set",
    HandOver = "hand over",
    // Registration (R)
    Batch = "batch",
    Disclosure = "disclosure",
    DisclosureKey = "disclosure key",
    DisclosureBase = "disclosure base",
    DisclosurePad = "disclosure pad",
    DisclosureSeal = "disclosure seal",
    DisclosureShare = "disclosure share",
    ReconciledSet = "reconciled set",
    ReconciliationClaim = "reconciliation claim",
    ReconciliationReport = "reconciliation report",
}

/// The contexts' half of derive_key, by tag: hashed once a process instead of once a hash.
static CONTEXT_KEYS: LazyLock<Vec<ContextKey>> =
    LazyLock::new(|| Tag::ALL.iter().map(|tag| hash_derive_key_context(tag.context())).collect());

/// A chain: its genesis hash, and with it every domain-separated hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chain {
    genesis_hash: GenesisHash,
}

impl Chain {
    pub const fn new(genesis_hash: GenesisHash) -> Self {
        Chain { genesis_hash }
    }

    pub const fn genesis_hash(&self) -> GenesisHash {
        self.genesis_hash
    }

    /// `D(tag, parts[0] ‖ parts[1] ‖ …)`. The caller's layout must make the concatenation unambiguous.
    pub fn hash(&self, tag: Tag, parts: &[&[u8]]) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new_from_context_key(&CONTEXT_KEYS[tag as usize]);
        hasher.update(&self.genesis_hash.0);
        for part in parts {
            hasher.update(part);
        }
        *hasher.finalize().as_bytes()
    }
}
