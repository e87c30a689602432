//! Every row of the ledger's database, declared once: the column, its key and its value.
//!
//! What stays true here:
//! - A column is read and written through its [`Column`] only, so a row never has another type than the one declared.
//! - Keys compare as bytes in the order of their values: numbers are big-endian in keys, and only there.
//! - Values that are hashed, signed or shown keep their canonical encoding; the store's own rows are bincode.
//!
//! Golden tests hold the bytes. A change of a layout needs another [`FORMAT_VERSION`].

use std::marker::PhantomData;

use ledger_state::Ledger;
use ledger_types::block::Block;
use ledger_types::confirmation::Record;
use ledger_types::contract::OpenObligation;
use ledger_types::encoding::{Decode, Encode};
use ledger_types::feed::FeedItem;
use ledger_types::hand_over::HandOver;
use ledger_types::participant::ValidatorSet;
use ledger_types::request::OfficerRequest;
use ledger_types::vote::CommitCertificate;
use ledger_types::*;
use serde::{Deserialize, Serialize};

use crate::error::StoreError;
use crate::values;

/// Of the ledger's database and the bundle files together.
pub const FORMAT_VERSION: u32 = 7;

/// A family of rows with one type of key and one of value.
pub struct Column<K, V, F = Canonical> {
    spec: ColumnSpec,
    #[expect(clippy::type_complexity, reason = "a marker of three types")]
    types: PhantomData<fn() -> (K, V, F)>,
}

/// A column without its types, for opening a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ColumnSpec {
    pub(crate) name: &'static str,
    pub(crate) keys: Keys,
}

/// How keys come in, for the storage engine's sake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keys {
    /// Hashes: read one by one, never in order.
    Random,
    /// Numbers that grow, or few rows.
    Ascending,
}

// Derived, they would demand that keys and values are copied too.
impl<K, V, F> Clone for Column<K, V, F> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K, V, F> Copy for Column<K, V, F> {}

impl<K, V, F> Column<K, V, F> {
    /// A column of hashes.
    pub const fn random(name: &'static str) -> Self {
        Column { spec: ColumnSpec { name, keys: Keys::Random }, types: PhantomData }
    }

    /// A column of numbers, or of few rows.
    pub const fn ascending(name: &'static str) -> Self {
        Column { spec: ColumnSpec { name, keys: Keys::Ascending }, types: PhantomData }
    }

    pub const fn spec(&self) -> ColumnSpec {
        self.spec
    }

    pub const fn name(&self) -> &'static str {
        self.spec.name
    }
}

/// A key: bytes that sort like the value.
pub trait Key: Sized {
    fn write(&self, out: &mut Vec<u8>);
    /// Takes the key from the front of `bytes`; `None` if it is none.
    fn read(bytes: &mut &[u8]) -> Option<Self>;

    fn from_key(mut bytes: &[u8]) -> Option<Self> {
        Self::read(&mut bytes).filter(|_| bytes.is_empty())
    }
}

/// How a column's values become bytes.
pub trait Format<V> {
    fn encode(value: &V, out: &mut Vec<u8>) -> Result<(), String>;
    fn decode(bytes: &[u8]) -> Result<V, String>;
}

/// The canonical encoding of `ledger-types`.
pub struct Canonical;

/// [`crate::values`].
pub struct Bincode;

/// Bytes as they are.
pub struct Raw;

impl<V: Encode + Decode> Format<V> for Canonical {
    fn encode(value: &V, out: &mut Vec<u8>) -> Result<(), String> {
        value.encode(out);
        Ok(())
    }

    fn decode(bytes: &[u8]) -> Result<V, String> {
        V::from_bytes(bytes).map_err(|error| error.to_string())
    }
}

impl<V: Serialize + serde::de::DeserializeOwned> Format<V> for Bincode {
    fn encode(value: &V, out: &mut Vec<u8>) -> Result<(), String> {
        values::encode(value, out).map_err(|error| error.to_string())
    }

    fn decode(bytes: &[u8]) -> Result<V, String> {
        values::decode(bytes).map_err(|error| error.to_string())
    }
}

impl Format<Vec<u8>> for Raw {
    fn encode(value: &Vec<u8>, out: &mut Vec<u8>) -> Result<(), String> {
        out.extend_from_slice(value);
        Ok(())
    }

    fn decode(bytes: &[u8]) -> Result<Vec<u8>, String> {
        Ok(bytes.to_vec())
    }
}

impl<K: Key, V, F: Format<V>> Column<K, V, F> {
    pub(crate) fn decode(&self, bytes: &[u8]) -> Result<V, StoreError> {
        F::decode(bytes).map_err(|fault| StoreError::corrupt(format!("a row of column {}", self.name()), fault))
    }

    pub(crate) fn decode_row(&self, key: &[u8], value: &[u8]) -> Result<(K, V), StoreError> {
        let key = K::from_key(key)
            .ok_or_else(|| StoreError::corrupt(format!("a key of column {}", self.name()), hex::encode(key)))?;
        Ok((key, self.decode(value)?))
    }
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, rest) = bytes.split_first_chunk::<N>()?;
    *bytes = rest;
    Some(*taken)
}

impl Key for () {
    fn write(&self, _: &mut Vec<u8>) {}
    fn read(_: &mut &[u8]) -> Option<Self> {
        Some(())
    }
}

impl<const N: usize> Key for [u8; N] {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }
    fn read(bytes: &mut &[u8]) -> Option<Self> {
        take(bytes)
    }
}

/// Takes the rest: last in a tuple.
impl Key for String {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.as_bytes());
    }
    fn read(bytes: &mut &[u8]) -> Option<Self> {
        String::from_utf8(std::mem::take(bytes).to_vec()).ok()
    }
}

/// Takes the rest: last in a tuple.
impl Key for Vec<u8> {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }
    fn read(bytes: &mut &[u8]) -> Option<Self> {
        Some(std::mem::take(bytes).to_vec())
    }
}

impl<A: Key, B: Key> Key for (A, B) {
    fn write(&self, out: &mut Vec<u8>) {
        self.0.write(out);
        self.1.write(out);
    }
    fn read(bytes: &mut &[u8]) -> Option<Self> {
        Some((A::read(bytes)?, B::read(bytes)?))
    }
}

impl<A: Key, B: Key, C: Key> Key for (A, B, C) {
    fn write(&self, out: &mut Vec<u8>) {
        self.0.write(out);
        self.1.write(out);
        self.2.write(out);
    }
    fn read(bytes: &mut &[u8]) -> Option<Self> {
        Some((A::read(bytes)?, B::read(bytes)?, C::read(bytes)?))
    }
}

macro_rules! keys {
    (integers: $($int:ty),*; numbers: $($number:ident),*; bytes: $($bytes:ident),*;) => {
        $(impl Key for $int {
            fn write(&self, out: &mut Vec<u8>) { out.extend_from_slice(&self.to_be_bytes()); }
            fn read(bytes: &mut &[u8]) -> Option<Self> { Some(<$int>::from_be_bytes(take(bytes)?)) }
        })*
        $(impl Key for $number {
            fn write(&self, out: &mut Vec<u8>) { self.0.write(out); }
            fn read(bytes: &mut &[u8]) -> Option<Self> { Some($number(Key::read(bytes)?)) }
        })*
        $(impl Key for $bytes {
            fn write(&self, out: &mut Vec<u8>) { out.extend_from_slice(&self.0); }
            fn read(bytes: &mut &[u8]) -> Option<Self> { Some($bytes(take(bytes)?)) }
        })*
    };
}
keys! {
    integers: u8, u16, u32, u64;
    numbers: ParticipantNumber, Height, SeriesNumber, ContractNumber, FeedNumber, Period, Vintage, BatchNumber;
    bytes: GenesisHash, Note, Custody, Kappa, Origin, CoinLink, OwnerTag, EnvelopeId, KeyCommitment, Salt, BundleDigest, BlockHash,
        BatchHash, OrderHash, MerkleRoot, ParticipantsHash, ValidatorSetHash, CoinId, EnvelopeHint, PolicyHash, ObligationId;
}

/// The single rows of the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum MetaRow {
    /// The committed height, beside the ledger that carries it too, so that a reader need not decode a ledger to know it.
    Height = 0,
    /// The first segment of the bundle files in which something was neither ordered nor forgotten.
    FirstOpenSegment = 1,
    /// Versions of the map below this height are pruned.
    PrunedTo = 2,
    /// The last change of coins that is in their file, and the file's name.
    CoinFile = 3,
    /// The last change of coins.
    CoinChanges = 4,
    /// The first height held whole; absent where that is height 1.
    HistoryFrom = 5,
}

impl MetaRow {
    const ALL: [MetaRow; 6] = [
        MetaRow::Height,
        MetaRow::FirstOpenSegment,
        MetaRow::PrunedTo,
        MetaRow::CoinFile,
        MetaRow::CoinChanges,
        MetaRow::HistoryFrom,
    ];
}

impl Key for MetaRow {
    fn write(&self, out: &mut Vec<u8>) {
        out.push(*self as u8);
    }
    fn read(bytes: &mut &[u8]) -> Option<Self> {
        let [byte] = take(bytes)?;
        MetaRow::ALL.into_iter().find(|row| *row as u8 == byte)
    }
}

/// An envelope's first sixteen bytes: no two envelopes are found to share them with less than 2^64 work, and whoever reads a
/// row compares the whole id in the bundle.
pub(crate) type EnvelopePrefix = [u8; 16];

pub(crate) fn envelope_prefix(id: &EnvelopeId) -> EnvelopePrefix {
    *id.0.first_chunk().expect("16 of 32 bytes")
}

/// Whose obligation, under which contract, when it falls due, and which.
pub(crate) type DueKey = ((ParticipantNumber, ContractNumber), u64, ObligationId);

/// Where an envelope was ordered: the block, and the place among the block's results.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct EnvelopeRow {
    pub height: u64,
    pub position: u32,
}

/// Where a bundle stands in the files, and the height that ordered it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BundleRow {
    pub segment: u32,
    pub offset: u64,
    pub bytes: u32,
    pub height: u64,
}

/// What a segment must hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct SegmentRow {
    pub ordered: u32,
    /// Where the last of them ends.
    pub end: u64,
}

/// A state that was hashed (B-7).
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct SnapshotRow {
    pub hash: [u8; 32],
    /// What is needed to serve it; a node that joined by this state has none of it.
    pub chunks: Vec<ChunkRow>,
    /// Of the chunks, in their order.
    pub hashes: Vec<[u8; 32]>,
}

/// Where a chunk of rows begins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ChunkRow {
    /// [`ledger_types::snapshot::Part`].
    pub part: u8,
    /// Key of its first row.
    pub first: Vec<u8>,
}

/// What a version of the map made stale.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct StaleRow {
    pub nodes: Vec<Vec<u8>>,
}

macro_rules! columns {
    ($($(#[$meta:meta])* $name:ident: $type:ty = $make:ident($text:literal);)*) => {
        $($(#[$meta])* pub(crate) const $name: $type = <$type>::$make($text);)*
        /// All columns of the ledger's database.
        pub(crate) const ALL: &[ColumnSpec] = &[$($name.spec()),*];
    };
}

columns! {
    META: Column<MetaRow, Vec<u8>, Raw> = ascending("meta");

    // The chain.
    /// Header, certificates, the parent's commit certificate.
    BLOCKS: Column<Height, Block> = ascending("blocks");
    COMMIT_CERTIFICATES: Column<Height, CommitCertificate> = ascending("commit_certificates");
    BLOCK_HEIGHTS: Column<BlockHash, Height> = random("block_heights");
    VALIDATOR_SETS: Column<ValidatorSetHash, ValidatorSet> = ascending("validator_sets");
    /// Hand-overs that have bound, by their numbers.
    HAND_OVERS: Column<u32, HandOver> = ascending("hand_overs");
    /// One u16 a result, little-endian, in the block's order.
    RESULTS: Column<Height, Vec<u8>, Raw> = ascending("results");
    ENVELOPES: Column<EnvelopePrefix, EnvelopeRow, Bincode> = random("envelopes");
    BUNDLES: Column<BundleDigest, BundleRow, Bincode> = random("bundles");
    SEGMENTS: Column<u32, SegmentRow, Bincode> = ascending("segments");

    // The state.
    /// One row: the small state as of the committed height.
    LEDGER: Column<(), Ledger> = ascending("ledger");
    /// By their numbers, which have no gap, those that are not in the file of coins (`coins`).
    COIN_CHANGES: Column<u64, Vec<u8>, Raw> = ascending("coin_changes");
    RECORDS: Column<CoinId, Record> = random("records");
    PENDING_AMOUNTS: Column<EnvelopeId, ledger_state::PendingAmount> = random("pending_amounts");

    /// Packages as they were deployed.
    PACKAGES: Column<PolicyHash, Vec<u8>, Raw> = random("packages");
    FEED_ITEMS: Column<(FeedNumber, Period, Vintage), FeedItem> = ascending("feed_items");
    OBLIGATIONS: Column<ObligationId, OpenObligation> = random("obligations");
    /// The same by whose they are, under which contract and when they fall due: the first of a bank and a contract is asked for
    /// before every loan.
    OBLIGATIONS_DUE: Column<DueKey, Vec<u8>, Raw> = ascending("obligations_due");

    // The registry's map: keys and bytes are `ledger-tree`'s.
    MAP_NODES: Column<Vec<u8>, Vec<u8>, Raw> = ascending("map_nodes");
    MAP_STALE: Column<u64, StaleRow, Bincode> = ascending("map_stale");

    // The public log.
    LOG_NODES: Column<(u8, u64), [u8; 32]> = ascending("log_nodes");
    LOG_LEAVES: Column<u64, Vec<u8>, Raw> = ascending("log_leaves");
    /// A coin's latest leaf.
    COIN_LEAVES: Column<CoinId, u64> = random("coin_leaves");
    /// The leaves that are requests of the officers.
    REQUEST_LEAVES: Column<u64, OfficerRequest> = ascending("request_leaves");
    /// The leaves that are about a contract: events and receipts.
    CONTRACT_LEAVES: Column<(ContractNumber, u64), Vec<u8>, Raw> = ascending("contract_leaves");
    RECEIPT_LEAVES: Column<ObligationId, u64> = random("receipt_leaves");
    /// Signed notes by the log's size.
    CHECKPOINTS: Column<u64, Vec<u8>, Raw> = ascending("checkpoints");

    /// States after every so many heights, by height.
    SNAPSHOTS: Column<Height, SnapshotRow, Bincode> = ascending("snapshots");

    /// By height and content, so that the same evidence is kept once.
    EVIDENCE: Column<(Height, [u8; 32]), Vec<u8>, Raw> = ascending("evidence");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(key: impl Key) -> String {
        let mut bytes = Vec::new();
        key.write(&mut bytes);
        hex::encode(bytes)
    }

    #[test]
    fn the_bytes_of_keys_are_fixed_and_numbers_are_big_endian() {
        assert_eq!(key(Height(258)), "0000000000000102");
        assert_eq!(key((3u8, 258u64)), "030000000000000102");
        assert_eq!(key((ParticipantNumber(2), "bob".to_owned())), "0002626f62");
        assert_eq!(key(([7u8; 2], 1u64)), "07070000000000000001");
        assert_eq!(key((FeedNumber(1), Period(258), Vintage(2))), "000000010000010200000002");
        assert_eq!(
            key(((ParticipantNumber(2), ContractNumber(1)), 258u64, ObligationId([0xef; 32]))),
            ["0002000000010000000000000102", &"ef".repeat(32)].concat()
        );
        assert_eq!(key(CoinId([0xab; 32])), "ab".repeat(32));
        assert_eq!(key(envelope_prefix(&EnvelopeId([0xcd; 32]))), "cd".repeat(16));
        assert_eq!(MetaRow::ALL.map(key), ["00", "01", "02", "03", "04", "05"]);
        assert_eq!(key(()), "");
    }

    #[test]
    fn a_key_is_read_back_and_another_length_is_none() {
        let bytes = hex::decode("0002626f62").unwrap();
        assert_eq!(Key::from_key(&bytes), Some((ParticipantNumber(2), "bob".to_owned())));
        assert_eq!(<(u16, u16)>::from_key(&bytes), None);
        assert_eq!(u64::from_key(&[0; 7]), None);
        assert_eq!(u64::from_key(&[0; 9]), None);
        assert_eq!(MetaRow::from_key(&[9]), None);
        assert_eq!(String::from_key(&[0xff]), None);
    }

    #[test]
    fn keys_compare_as_their_values_do() {
        let numbers = [0u64, 1, 255, 256, 65_535, 1 << 32, u64::MAX];
        let mut keys: Vec<String> = numbers.iter().map(|number| key((7u8, *number))).collect();
        assert!(keys.is_sorted());
        keys.dedup();
        assert_eq!(keys.len(), numbers.len());
    }

    #[test]
    fn the_bytes_of_the_stores_own_rows_are_fixed() {
        fn bytes<V, F: Format<V>>(_: &Column<impl Key, V, F>, value: &V) -> String {
            let mut bytes = Vec::new();
            F::encode(value, &mut bytes).unwrap();
            assert!(F::decode(&bytes).is_ok());
            hex::encode(bytes)
        }
        assert_eq!(bytes(&ENVELOPES, &EnvelopeRow { height: 258, position: 3 }), "020100000000000003000000");
        let row = BundleRow { segment: 1, offset: 2, bytes: 3, height: 4 };
        assert_eq!(bytes(&BUNDLES, &row), "010000000200000000000000030000000400000000000000");
        assert_eq!(bytes(&SEGMENTS, &SegmentRow { ordered: 1, end: 2 }), "010000000200000000000000");
        let chunk = ChunkRow { part: 2, first: vec![7] };
        let row = SnapshotRow { hash: [5; 32], chunks: vec![chunk], hashes: vec![[6; 32]] };
        let expected = ["05".repeat(32), ["0100000000000000", "02", "0100000000000000", "07"].concat()];
        let expected = [expected.concat(), "0100000000000000".into(), "06".repeat(32)].concat();
        assert_eq!(bytes(&SNAPSHOTS, &row), expected);
        let stale = StaleRow { nodes: vec![vec![9]] };
        assert_eq!(bytes(&MAP_STALE, &stale), ["0100000000000000", "010000000000000009"].concat());
    }

    #[test]
    fn no_two_columns_share_a_name() {
        let names: std::collections::BTreeSet<_> = ALL.iter().map(|spec| spec.name).collect();
        assert_eq!(names.len(), ALL.len());
    }
}
