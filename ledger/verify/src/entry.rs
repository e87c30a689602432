//! What stands in the map of contracts, feeds and loans (12.1): one entry, or that there is none.
//!
//! ```text
//! entry proof = state proof ‖ key ‖ value: option of a byte string ‖ map proof: byte string
//! key         = 1 ‖ contract u32                      contract: newest version, stop, retirement
//!             | 2 ‖ contract u32 ‖ version u32        one version of it: hash of its package, heights
//!             | 3 ‖ feed u32                          feed: definition and newest period
//!             | 4 ‖ feed u32 ‖ period u32 ‖ vintage u32       one item of it
//!             | 5 ‖ obligation[32]                    a loan that is not returned
//! ```
//! What stays true here: a [`VerifiedEntry`] is the map's under a root that the log's key and a quorum signed. That an item is its
//! period's last vintage is shown by the next one's absence; that a package is a version's, by its hash alone.

use crate::proof::{MAP_PROOF_BYTES_MAX, STATE_PROOF_BYTES_MAX, StateProof, VALUE_BYTES_MAX};
use crate::state::{CheckedState, VerifiedState};
use crate::trust::Trust;
use crate::verdict::{Reason, Verdict};
use ledger_tree::Hash;
use ledger_tree::map::{self, EntryType, MapProof};
use ledger_types::contract::{ContractHead, DeployedPolicy, Obligation};
use ledger_types::encoding::{Decode, DecodeError, Encode, Octets, Reader};
use ledger_types::feed::{Feed, FeedItem};
use ledger_types::{ContractNumber, FeedNumber, ObligationId, Period, PolicyVersion, Vintage};

pub const ENTRY_PROOF_BYTES_MAX: usize = STATE_PROOF_BYTES_MAX + 33 + 3 + VALUE_BYTES_MAX + 2 + MAP_PROOF_BYTES_MAX;

/// Which entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKey {
    Contract(ContractNumber),
    Version(ContractNumber, PolicyVersion),
    Feed(FeedNumber),
    FeedItem(FeedNumber, Period, Vintage),
    Obligation(ObligationId),
}

impl EntryKey {
    /// Where it stands in the map.
    pub fn hash(&self) -> Hash {
        match self {
            EntryKey::Contract(contract) => map::key_hash(EntryType::Contract, &contract.to_bytes()),
            EntryKey::Version(contract, version) => {
                map::key_hash(EntryType::Contract, &[contract.to_bytes(), version.to_bytes()].concat())
            }
            EntryKey::Feed(feed) => map::key_hash(EntryType::Feed, &feed.to_bytes()),
            EntryKey::FeedItem(feed, period, vintage) => {
                map::key_hash(EntryType::Feed, &[feed.to_bytes(), period.to_bytes(), vintage.to_bytes()].concat())
            }
            EntryKey::Obligation(id) => map::key_hash(EntryType::Obligation, &id.0),
        }
    }

    fn read(&self, value: &[u8]) -> Result<Entry, DecodeError> {
        Ok(match self {
            EntryKey::Contract(_) => Entry::Contract(ContractHead::from_bytes(value)?),
            EntryKey::Version(..) => Entry::Version(DeployedPolicy::from_bytes(value)?),
            EntryKey::Feed(_) => Entry::Feed(Feed::from_bytes(value)?),
            EntryKey::FeedItem(..) => Entry::FeedItem(FeedItem::from_bytes(value)?),
            EntryKey::Obligation(_) => Entry::Obligation(Obligation::from_bytes(value)?),
        })
    }
}

impl Encode for EntryKey {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            EntryKey::Contract(contract) => {
                out.push(1);
                contract.encode(out);
            }
            EntryKey::Version(contract, version) => {
                out.push(2);
                contract.encode(out);
                version.encode(out);
            }
            EntryKey::Feed(feed) => {
                out.push(3);
                feed.encode(out);
            }
            EntryKey::FeedItem(feed, period, vintage) => {
                out.push(4);
                feed.encode(out);
                period.encode(out);
                vintage.encode(out);
            }
            EntryKey::Obligation(id) => {
                out.push(5);
                id.encode(out);
            }
        }
    }
}

impl Decode for EntryKey {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(match reader.read::<u8>()? {
            1 => EntryKey::Contract(reader.read()?),
            2 => EntryKey::Version(reader.read()?, reader.read()?),
            3 => EntryKey::Feed(reader.read()?),
            4 => EntryKey::FeedItem(reader.read()?, reader.read()?, reader.read()?),
            5 => EntryKey::Obligation(reader.read()?),
            byte => return Err(DecodeError::UnknownValue { field: "key of an entry", byte }),
        })
    }
}

/// An entry's value, of its key's kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    Contract(ContractHead),
    Version(DeployedPolicy),
    Feed(Feed),
    FeedItem(FeedItem),
    Obligation(Obligation),
}

/// An entry of the map, or its absence, in a confirmed state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryProof {
    pub state: StateProof,
    pub key: EntryKey,
    /// None: there is no such entry.
    pub value: Option<Octets<VALUE_BYTES_MAX>>,
    pub map_proof: MapProof,
}

impl EntryProof {
    /// Its two parts: the bytes of the one and then the other are its own.
    pub fn apart(self) -> (StateProof, EntryInState) {
        let EntryProof { state, key, value, map_proof } = self;
        (state, EntryInState { key, value, map_proof })
    }
}

impl Encode for EntryProof {
    fn encode(&self, out: &mut Vec<u8>) {
        let (state, entry) = self.clone().apart();
        state.encode(out);
        entry.encode(out);
    }
}

impl Decode for EntryProof {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let state = reader.read()?;
        let EntryInState { key, value, map_proof } = reader.read()?;
        Ok(EntryProof { state, key, value, map_proof })
    }
}

/// What an entry proof has behind its state proof: so many of one state can stand behind it once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryInState {
    pub key: EntryKey,
    /// None: there is no such entry.
    pub value: Option<Octets<VALUE_BYTES_MAX>>,
    pub map_proof: MapProof,
}

impl Encode for EntryInState {
    fn encode(&self, out: &mut Vec<u8>) {
        self.key.encode(out);
        self.value.encode(out);
        let bytes = self.map_proof.encode();
        Octets::<MAP_PROOF_BYTES_MAX>::new(bytes).expect("a map proof has at most 256 siblings").encode(out);
    }
}

impl Decode for EntryInState {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let (key, value) = (reader.read()?, reader.read()?);
        let bytes: Octets<MAP_PROOF_BYTES_MAX> = reader.read()?;
        let map_proof = MapProof::decode(&bytes).map_err(|_| DecodeError::NotCanonical("map proof"))?;
        Ok(EntryInState { key, value, map_proof })
    }
}

impl EntryInState {
    /// Under the state's map root, and of its key's kind.
    fn shown(&self, checked: &CheckedState) -> Result<Option<Entry>, Reason> {
        let (root, key_hash) = (&checked.leaf().map_root.0, self.key.hash());
        let holds = match &self.value {
            Some(value) => map::verify_inclusion(root, &key_hash, &map::value_hash(value), &self.map_proof),
            None => map::verify_absence(root, &key_hash, &self.map_proof),
        };
        holds.map_err(|_| Reason::WrongRecord)?;
        let entry = self.value.as_ref().map(|value| self.key.read(value)).transpose();
        entry.map_err(|_| Reason::WrongRecord)
    }
}

/// What the map says of a key, in a confirmed state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedEntry {
    key: EntryKey,
    entry: Option<Entry>,
    state: VerifiedState,
}

impl VerifiedEntry {
    pub fn key(&self) -> EntryKey {
        self.key
    }

    /// None: as of this state there is no such entry. An obligation that was returned has none.
    pub fn entry(&self) -> Option<&Entry> {
        self.entry.as_ref()
    }

    pub fn state(&self) -> &VerifiedState {
        &self.state
    }
}

/// `asked` is the key that the question was about: a proof may hold and be of another one.
pub fn verify_entry(trust: &Trust, asked: &EntryKey, proof: &EntryProof, now_ms: u64) -> Verdict<VerifiedEntry> {
    let (state, entry) = proof.clone().apart();
    verify_entries(trust, &[*asked], &state, &[entry], now_ms)
        .map(|mut entries| entries.pop().expect("as many as were asked for"))
}

/// The same of several keys in one state, which is checked once. An answer that leaves a key out, or adds one, is of other keys than
/// those asked for.
pub fn verify_entries(
    trust: &Trust,
    asked: &[EntryKey],
    state: &StateProof,
    entries: &[EntryInState],
    now_ms: u64,
) -> Verdict<Vec<VerifiedEntry>> {
    if !entries.iter().map(|entry| &entry.key).eq(asked) {
        return Verdict::Invalid(Reason::OtherCoin);
    }
    let checked = CheckedState::check(trust, state).and_then(|checked| {
        let found: Vec<_> = entries.iter().map(|entry| entry.shown(&checked)).collect::<Result<_, _>>()?;
        let entries = asked.iter().zip(found);
        Ok(checked.judge(trust, now_ms).map(|state| {
            entries.map(|(key, entry)| VerifiedEntry { key: *key, entry, state: state.clone() }).collect()
        }))
    });
    checked.into()
}
