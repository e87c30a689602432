//! The small state: everything that stands whole in memory and is written whole with every height.
//!
//! What stays true here: a [`Ledger`] is a function of the blocks up to its height; the log always ends on its last state
//! leaf, so `log_size` is a size at which a checkpoint may be signed (L-1). Coins, records, the map's and the log's nodes are
//! behind [`crate::StateReader`].

use crate::contracts::{Contracts, Feeds};
use crate::lane::Lane;
use crate::overdue::OverdueReleases;
use crate::roots::StateRootParts;
use crate::rules::Rules;
use crate::rules_schedule::RulesSchedule;
use crate::validators::Validators;
use ledger_types::encoding::{Decode, DecodeError, Encode, Reader};
use ledger_types::envelope::RecoverReason;
use ledger_types::ids::*;
use ledger_types::log_leaf::{LogLeaf, StateLeaf};
use ledger_types::participant::Directory;
use ledger_types::request::RequestKind;
use ledger_types::snapshot::SnapshotHash;
use std::collections::BTreeMap;
use std::sync::Arc;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ledger {
    pub height: Height,
    /// Hash of the block at this height; at height 0 the genesis hash.
    pub block: BlockHash,
    pub time_ms: u64,
    /// Commits to the live coins (B-7).
    pub delta: [u8; 32],
    /// The last accepted batch; the next one has the next number and names `batch_hash`.
    pub batch: BatchNumber,
    pub batch_hash: BatchHash,
    /// The next issue number of every series; dense from 0 (C-1).
    pub issue_numbers: BTreeMap<SeriesNumber, u64>,
    pub overdue: OverdueReleases,
    /// Lanes that no block has served yet are missing: they stand at incarnation 0, sequence 0.
    pub lanes: BTreeMap<ParticipantNumber, Lane>,
    pub directory: Arc<Directory>,
    pub participants_hash: ParticipantsHash,
    /// Of the validators that decide the next height.
    pub set_hash: ValidatorSetHash,
    pub validators: Validators,
    /// Settled by registration, over all series, in minor units.
    pub issued: u128,
    pub redeemed: u128,
    pub issued_by_series: BTreeMap<SeriesNumber, u128>,
    /// Accepted recover envelopes by reason.
    pub recovered: BTreeMap<RecoverReason, u64>,
    /// Accepted requests of the officers by class and basis.
    pub requests: BTreeMap<RequestKind, u64>,
    pub log_size: u64,
    pub log_root: TreeRoot,
    pub map_root: TreeRoot,
    /// The log's last leaf, at index `log_size` − 1.
    pub last_state_leaf: StateLeaf,
    /// Public events that enter the log with the next accepted batch (L-1).
    pub events_to_log: Vec<LogLeaf>,
    pub contracts: Arc<Contracts>,
    pub feeds: Arc<Feeds>,
    /// Authorizations of participant updates, requests and orders that were used, until the envelope that carried them expires: these
    /// kinds spend no coin, so nothing else would stop a replay.
    pub used_authorizations: BTreeMap<[u8; 32], u64>,
    /// The last snapshot hash that entered the state root (B-7).
    pub snapshot: Option<SnapshotHash>,
    pub rules_schedule: RulesSchedule,
}

impl Ledger {
    pub fn lane(&self, submitter: ParticipantNumber) -> Lane {
        self.lanes.get(&submitter).copied().unwrap_or_default()
    }

    /// See [`Lane::bytes_left`].
    pub fn bytes_left(&self, rules: &Rules, submitter: ParticipantNumber) -> u64 {
        self.lane(submitter).bytes_left(rules)
    }

    /// What the header of the ledger's block says of it (B-1).
    pub fn state_root(&self, chain: &ledger_types::Chain) -> StateRoot {
        self.state_root_parts(chain).root(chain)
    }

    pub fn state_root_parts(&self, chain: &ledger_types::Chain) -> StateRootParts {
        crate::roots::state_root_parts(chain, self)
    }
}

/// A map as a `u32` count and its entries, strictly ascending by key.
struct Entries<K, V>(BTreeMap<K, V>);

pub(crate) fn encode_entries<K: Encode, V: Encode>(entries: &BTreeMap<K, V>, out: &mut Vec<u8>) {
    (entries.len() as u32).encode(out);
    for (key, value) in entries {
        key.encode(out);
        value.encode(out);
    }
}

pub(crate) fn decode_entries<K: Decode + Ord, V: Decode>(
    reader: &mut Reader<'_>,
) -> Result<BTreeMap<K, V>, DecodeError> {
    Ok(reader.read::<Entries<K, V>>()?.0)
}

impl<K: Decode + Ord, V: Decode> Decode for Entries<K, V> {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut entries = BTreeMap::new();
        for _ in 0..reader.read::<u32>()? {
            let (key, value): (K, V) = (reader.read()?, reader.read()?);
            if entries.last_key_value().is_some_and(|(last, _)| *last >= key) {
                return Err(DecodeError::NotCanonical("map entries"));
            }
            entries.insert(key, value);
        }
        Ok(Entries(entries))
    }
}

/// The stored form, and the row that a snapshot hash covers (B-7).
impl Encode for Ledger {
    fn encode(&self, out: &mut Vec<u8>) {
        self.height.encode(out);
        self.block.encode(out);
        self.time_ms.encode(out);
        self.delta.encode(out);
        self.batch.encode(out);
        self.batch_hash.encode(out);
        encode_entries(&self.issue_numbers, out);
        self.overdue.encode(out);
        encode_entries(&self.lanes, out);
        self.directory.encode(out);
        self.participants_hash.encode(out);
        self.set_hash.encode(out);
        self.validators.encode(out);
        self.issued.encode(out);
        self.redeemed.encode(out);
        encode_entries(&self.issued_by_series, out);
        encode_entries(&self.recovered, out);
        encode_entries(&self.requests, out);
        self.log_size.encode(out);
        self.log_root.encode(out);
        self.map_root.encode(out);
        self.last_state_leaf.encode(out);
        (self.events_to_log.len() as u32).encode(out);
        self.events_to_log.iter().for_each(|leaf| leaf.encode(out));
        self.contracts.encode(out);
        self.feeds.encode(out);
        encode_entries(&self.used_authorizations, out);
        self.snapshot.encode(out);
        self.rules_schedule.encode(out);
    }
}

impl Decode for Ledger {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Ledger {
            height: reader.read()?,
            block: reader.read()?,
            time_ms: reader.read()?,
            delta: reader.read()?,
            batch: reader.read()?,
            batch_hash: reader.read()?,
            issue_numbers: decode_entries(reader)?,
            overdue: reader.read()?,
            lanes: decode_entries(reader)?,
            directory: Arc::new(reader.read()?),
            participants_hash: reader.read()?,
            set_hash: reader.read()?,
            validators: reader.read()?,
            issued: reader.read()?,
            redeemed: reader.read()?,
            issued_by_series: decode_entries(reader)?,
            recovered: decode_entries(reader)?,
            requests: decode_entries(reader)?,
            log_size: reader.read()?,
            log_root: reader.read()?,
            map_root: reader.read()?,
            last_state_leaf: reader.read()?,
            events_to_log: (0..reader.read::<u32>()?).map(|_| reader.read()).collect::<Result<_, _>>()?,
            contracts: Arc::new(reader.read()?),
            feeds: Arc::new(reader.read()?),
            used_authorizations: decode_entries(reader)?,
            snapshot: reader.read()?,
            rules_schedule: reader.read()?,
        })
    }
}
