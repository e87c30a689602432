//! The desk's tables and what their rows hold. Values are encrypted ([`super::at_rest`]); names are hashes, numbers, or labels.
//!
//! Rows are bincode with fixed-width integers and a limit; nouns of the ledger stand inside as their canonical bytes.

use super::at_rest::AtRest;
use super::job::Job;
use ledger_store::{Column, ColumnSpec, PrivateStore, Raw, Scan, StoreError};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// Of the rows' layout; another one refuses the folder.
pub(crate) const FORMAT: u32 = 4;
const ROW_BYTES_MAX: usize = 1 << 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Table {
    /// Single rows, see [`Meta`].
    Meta,
    /// label(name) → [`WalletRow`]
    Wallets,
    /// coin id → [`CoinRow`]: held, until the ledger says spent.
    Coins,
    /// coin id → [`KeptRow`]: of outputs that this bank opened and did not book, until the ledger says spent.
    Kept,
    /// job id → [`Job`], until it is final.
    OpenJobs,
    /// job id → [`Job`]
    Jobs,
    /// label(key) → job id
    Idempotency,
    /// epoch number → [`SendingRow`]
    Sending,
    /// (sender, epoch number) → the epoch's record
    Receiving,
    /// (sender, epoch number) → highest counter that was ordered
    Progress,
    /// note → [`ExpectedRow`]: outputs that will be ours if they are ordered.
    Expected,
    /// owner key → [`ExpectedRow`]: keys given to the central bank for a recovery.
    Owners,
    /// envelope id → [`VerdictRow`]: what was found in payments from other banks.
    Verdicts,
    /// cursor → [`ReleaseRow`], until registration has it.
    Releases,
    /// obligation id → [`super::lending::LoanRow`]
    Loans,
}

type RawColumn = Column<Vec<u8>, Vec<u8>, Raw>;

impl Table {
    const ALL: [Table; 15] = [
        Table::Meta,
        Table::Wallets,
        Table::Coins,
        Table::Kept,
        Table::OpenJobs,
        Table::Jobs,
        Table::Idempotency,
        Table::Sending,
        Table::Receiving,
        Table::Progress,
        Table::Expected,
        Table::Owners,
        Table::Verdicts,
        Table::Releases,
        Table::Loans,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Table::Meta => "meta",
            Table::Wallets => "wallets",
            Table::Coins => "coins",
            Table::Kept => "kept",
            Table::OpenJobs => "open_jobs",
            Table::Jobs => "jobs",
            Table::Idempotency => "idempotency",
            Table::Sending => "sending",
            Table::Receiving => "receiving",
            Table::Progress => "progress",
            Table::Expected => "expected",
            Table::Owners => "owners",
            Table::Verdicts => "verdicts",
            Table::Releases => "releases",
            Table::Loans => "loans",
        }
    }

    pub fn column(self) -> RawColumn {
        match self {
            Table::Meta | Table::Sending | Table::Receiving | Table::Progress | Table::Releases => {
                Column::ascending(self.name())
            }
            _ => Column::random(self.name()),
        }
    }

    pub fn specs() -> Vec<ColumnSpec> {
        Table::ALL.iter().map(|table| table.column().spec()).collect()
    }
}

/// Names of the single rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meta {
    /// u64: the last height whose effects are in these rows.
    Cursor,
    /// u64: the highest epoch number offered.
    EpochNumber,
    /// u64: the next release cursor. It never goes back, or registration would miss releases.
    ReleaseNext,
    /// Canonical directory that governs the height after the cursor.
    Directory,
    /// Canonical contracts that govern it (K-1); absent before the first deployment.
    Contracts,
    /// Vec<u32>: coins taken from each of this bank's pre-issue lines.
    Preissued,
    /// BTreeSet<(u32, u32)>: line and index of those that were taken before their turn, which has not come yet.
    PreissuedOutOfTurn,
    /// u64: the highest epoch number that this sender has offered; a destroyed epoch is not accepted again.
    HighestOffer(u16),
    /// u64: the newest restore from a backup whose unfinished jobs were given no further attempt, in milliseconds.
    Restored,
}

impl Meta {
    pub fn key(self) -> Vec<u8> {
        match self {
            Meta::Cursor => b"cursor".to_vec(),
            Meta::EpochNumber => b"epoch number".to_vec(),
            Meta::ReleaseNext => b"release next".to_vec(),
            Meta::Restored => b"restored".to_vec(),
            Meta::Directory => b"directory".to_vec(),
            Meta::Contracts => b"contracts".to_vec(),
            Meta::Preissued => b"preissued".to_vec(),
            Meta::PreissuedOutOfTurn => b"preissued out of turn".to_vec(),
            Meta::HighestOffer(sender) => [b"highest offer ".as_slice(), &sender.to_be_bytes()].concat(),
        }
    }
}

#[derive(Serialize, Deserialize)]
pub(crate) struct WalletRow {
    pub name: String,
    pub seed: [u8; 32],
}

impl Drop for WalletRow {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.seed);
    }
}

#[derive(Serialize, Deserialize)]
pub(crate) struct CoinRow {
    pub opening: Vec<u8>,
    pub origin: [u8; 32],
    pub output_index: u8,
    pub wallet: String,
    pub key_index: u64,
    /// [`ledger_types::coin::CoinStatus`]
    pub status: u8,
}

/// Enough to name the coin in a recovery, and nothing to spend it with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeptRow {
    pub opening: Vec<u8>,
    pub origin: [u8; 32],
    pub output_index: u8,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct SendingRow {
    pub record: Vec<u8>,
    pub members: Vec<u16>,
    /// Counters below it may have been used.
    pub limit: u64,
}

impl Drop for SendingRow {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.record);
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ExpectedRow {
    pub wallet: String,
    pub key_index: u64,
    /// Nothing that brings it can be accepted later than this block time.
    pub expiry_ms: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct VerdictRow {
    pub submitter: u16,
    /// 0: good; else the number of the failed check (rules P).
    pub failed_check: u16,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct ReleaseRow {
    pub envelope: [u8; 32],
    pub root: [u8; 32],
}

impl Drop for ReleaseRow {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.root);
    }
}

pub(crate) fn epoch_key(sender: u16, number: u64) -> Vec<u8> {
    [&sender.to_be_bytes()[..], &number.to_be_bytes()].concat()
}

pub(crate) fn read_epoch_key(key: &[u8]) -> Option<(u16, u64)> {
    let (sender, number) = key.split_first_chunk::<2>()?;
    Some((u16::from_be_bytes(*sender), u64::from_be_bytes(number.try_into().ok()?)))
}

fn layout() -> impl bincode::config::Config {
    bincode::config::standard().with_little_endian().with_fixed_int_encoding().with_limit::<ROW_BYTES_MAX>()
}

pub(crate) fn encode(value: &impl Serialize) -> Zeroizing<Vec<u8>> {
    // Larger than most rows, so that the vector seldom moves and leaves a copy behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(1024));
    bincode::serde::encode_into_std_write(value, &mut *bytes, layout())
        .expect("rows are plain structures below the limit");
    bytes
}

pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    let (value, read) = bincode::serde::decode_from_slice(bytes, layout()).ok()?;
    (read == bytes.len()).then_some(value)
}

#[derive(Debug, thiserror::Error)]
pub enum RowError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Sealed(#[from] CannotOpen),
    #[error("a row of {0} does not decode")]
    Malformed(&'static str),
}

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct CannotOpen(String);

impl From<super::at_rest::CannotOpenRow> for RowError {
    fn from(error: super::at_rest::CannotOpenRow) -> Self {
        RowError::Sealed(CannotOpen(error.to_string()))
    }
}

/// Reads rows. Writing goes through the journal alone.
pub(crate) struct Rows {
    pub store: std::sync::Arc<PrivateStore>,
    pub at_rest: std::sync::Arc<AtRest>,
}

impl Rows {
    pub fn get<T: DeserializeOwned>(&self, table: Table, key: &[u8]) -> Result<Option<T>, RowError> {
        let Some(sealed) = self.store.get(&table.column(), &key.to_vec())? else { return Ok(None) };
        let plain = self.at_rest.open(table.name(), key, &sealed)?;
        decode(&plain).map(Some).ok_or(RowError::Malformed(table.name()))
    }

    pub fn meta<T: DeserializeOwned>(&self, row: Meta) -> Result<Option<T>, RowError> {
        self.get(Table::Meta, &row.key())
    }

    pub fn all<T: DeserializeOwned>(&self, table: Table) -> Result<Vec<(Vec<u8>, T)>, RowError> {
        self.from(table, &[], usize::MAX)
    }

    /// At most `max` rows from `key` on.
    pub fn from<T: DeserializeOwned>(
        &self,
        table: Table,
        key: &[u8],
        max: usize,
    ) -> Result<Vec<(Vec<u8>, T)>, RowError> {
        let mut found = Vec::new();
        for row in self.store.scan(&table.column(), Scan::all().starting_at(&key.to_vec())).take(max) {
            let (key, sealed) = row?;
            let plain = self.at_rest.open(table.name(), &key, &sealed)?;
            found.push((key, decode(&plain).ok_or(RowError::Malformed(table.name()))?));
        }
        Ok(found)
    }

    pub fn job(&self, id: &[u8; 16]) -> Result<Option<Job>, RowError> {
        self.get(Table::Jobs, id)
    }
}
