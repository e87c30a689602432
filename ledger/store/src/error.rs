//! What can go wrong, and what the caller does about it.
//!
//! | type | meaning | the caller |
//! |---|---|---|
//! | [`StoreError`] | the disk failed, or what it gives back contradicts itself | stops the node before it says anything more |
//! | [`CommitRefusal`] | a height that must not be committed | stops: it had no business to come here |
//! | [`OpenError`] | the folder is not one that this node may go on from | shows [`OpenError::hint`] to the operator |

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ledger_types::bundle::Slot;
use ledger_types::participant::SignerError;
use ledger_types::{BlockHash, BundleDigest, GenesisHash, Height};

type Source = Arc<dyn Error + Send + Sync>;

/// The world failed under the store. After a failed write every later write fails too: what the disk holds is unknown until
/// the next start has looked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    #[error("reading {what} failed")]
    Read { what: String, source: Source },
    #[error("writing {what} failed")]
    Write { what: String, source: Source },
    #[error("{what} is corrupt: {fault}")]
    Corrupt { what: String, fault: String },
    #[error("a value for {column} is not storable: {fault}")]
    Unstorable { column: &'static str, fault: String },
    #[error("an earlier write failed; nothing is written any more")]
    Stopped,
}

impl StoreError {
    pub(crate) fn read(what: impl Into<String>, source: impl Error + Send + Sync + 'static) -> Self {
        StoreError::Read { what: what.into(), source: Arc::new(source) }
    }

    pub(crate) fn write(what: impl Into<String>, source: impl Error + Send + Sync + 'static) -> Self {
        StoreError::Write { what: what.into(), source: Arc::new(source) }
    }

    pub(crate) fn corrupt(what: impl Into<String>, fault: impl ToString) -> Self {
        StoreError::Corrupt { what: what.into(), fault: fault.to_string() }
    }
}

/// Why a height is not committed. None of these can happen to a caller that commits what consensus decided, in order.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommitRefusal {
    #[error("height {height} is committed already; the tip is {tip}")]
    Committed { height: Height, tip: Height },
    #[error("height {height} does not follow the tip {tip}")]
    Gap { height: Height, tip: Height },
    #[error("the block's parent is {parent}, the tip is {tip}")]
    OtherParent { parent: BlockHash, tip: BlockHash },
    #[error("the block's header is not the one that its execution gave")]
    OtherExecution,
    #[error("the commit certificate is for another block")]
    OtherCertificate,
    #[error("the commit certificate proves nothing: {0}")]
    Certificate(#[from] SignerError),
    #[error("the block orders bundle {0}, which is not stored")]
    BundleNotStored(BundleDigest),
}

#[derive(Clone, Debug, thiserror::Error)]
pub enum CommitError {
    #[error("height refused: {0}")]
    Refused(#[from] CommitRefusal),
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The height stands; the next start takes the snapshot.
    #[error("the snapshot of this height cannot be taken: {0}")]
    Snapshot(Arc<OpenError>),
}

impl From<OpenError> for CommitError {
    fn from(error: OpenError) -> Self {
        CommitError::Snapshot(Arc::new(error))
    }
}

/// Why the tip of a stored chain is not proved by what is stored beside it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofGap {
    #[error("its block is missing")]
    BlockMissing,
    #[error("its commit certificate is missing")]
    CertificateMissing,
    #[error("its commit certificate is for another block")]
    OtherCertificate,
    #[error("its commit certificate does not verify: {0}")]
    Certificate(SignerError),
    #[error("its parent's block is missing or another")]
    ParentMissing,
    #[error("the stored state is not the one that its header commits to: {0} differs")]
    StateDiffers(&'static str),
}

/// Why a folder is not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("{path}: format version {found} is unknown, this program knows {known}")]
    UnknownVersion { path: PathBuf, found: u32, known: u32 },
    #[error("{path}: holds the chain {found}, not {expected}")]
    OtherGenesis { path: PathBuf, found: GenesisHash, expected: GenesisHash },
    #[error("{path}: holds {found:?}, not {expected:?}")]
    OtherPurpose { path: PathBuf, found: String, expected: String },
    #[error("{path}: was not created by this program, or its first rows are lost")]
    Unmarked { path: PathBuf },
    #[error("{path}: is in use by another process")]
    InUse { path: PathBuf },
    #[error("height {height} is not proved: {gap}")]
    NotProven { height: Height, gap: ProofGap },
    #[error("{path}: the rows end with write {kept}, but write {durable} had been durable")]
    RowsLost { path: PathBuf, kept: u64, durable: u64 },
    #[error("bundle file {path} is damaged at byte {offset}: {fault}")]
    BundlesDamaged { path: PathBuf, offset: u64, fault: &'static str },
    #[error("bundle file {path} is missing or too short: it holds ordered bundles up to byte {end}")]
    BundlesMissing { path: PathBuf, end: u64 },
    #[error("the ack for bundle {digest} in {slot:?} is guarded, but the bundle is lost")]
    AckedBundleLost { slot: Slot, digest: BundleDigest },
    #[error("ack guard {path} is damaged at byte {offset}")]
    GuardDamaged { path: PathBuf, offset: u64 },
    #[error("ack guard {path} is missing")]
    GuardMissing { path: PathBuf },
    #[error("the genesis cannot be applied: {0}")]
    Genesis(Source),
    #[error("{path}: {what}")]
    Io { path: PathBuf, what: &'static str, source: io::Error },
    #[error(transparent)]
    Store(#[from] StoreError),
}

const START_EMPTY: &str = "Keep the keys and the signing guard, move this folder away, and start the node with an empty one: it \
                           fetches the chain from the other validators.";

impl OpenError {
    /// What an operator can do.
    pub fn hint(&self) -> &'static str {
        match self {
            OpenError::UnknownVersion { .. } => {
                "Start the version of the program that wrote this folder, or move the folder away."
            }
            OpenError::OtherGenesis { .. } => {
                "Name the genesis file of this chain, or another folder for the other chain."
            }
            OpenError::OtherPurpose { .. } => {
                "Each role keeps a folder of its own: check the paths in the configuration."
            }
            OpenError::Unmarked { .. } => "Name an empty or absent folder, or one that this program has created.",
            OpenError::InUse { .. } => "Stop the other process first. Never run two nodes on one folder.",
            OpenError::RowsLost { .. } => {
                "The disk lost what had been durable. Check the disk, then restore the folder."
            }
            OpenError::NotProven { .. }
            | OpenError::BundlesDamaged { .. }
            | OpenError::BundlesMissing { .. }
            | OpenError::AckedBundleLost { .. } => START_EMPTY,
            OpenError::GuardDamaged { .. } | OpenError::GuardMissing { .. } => {
                "Without its ack guard this validator could ack two bundles in one slot, so no node makes one for itself. Move a \
                 damaged file away, run `assay-node guards renew`, and start: the node acks again behind what it may have acked \
                 before. Never restore a guard from a backup."
            }
            OpenError::Genesis(_) => "Check the genesis file against the one that the other participants pinned.",
            OpenError::Io { .. } | OpenError::Store(_) => "Check the disk, its free space and the folder's owner.",
        }
    }

    pub(crate) fn io(path: &Path, what: &'static str) -> impl FnOnce(io::Error) -> OpenError + use<> {
        let path = path.to_owned();
        move |source| OpenError::Io { path, what, source }
    }
}
