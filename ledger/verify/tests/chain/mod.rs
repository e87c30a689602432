//! A tiny chain with real keys, a real log and a real map, for proofs that hold and for attacks on them.
//!
//! Its numbers are fixed, so that its bytes are: participants 1 (the central bank), 2, 3, 4 are validators of power 1 and
//! 5 an observer; the seed of a key is its purpose and its participant's number.

// Each test file uses a part of it.
#![allow(dead_code)]

use ledger_tree::log::{self, LogReader};
use ledger_tree::map::{self, EntryType, MapReader, Prefix, Version};
use ledger_tree::note::{Checkpoint, CosignerKey, Note, NoteKey, NoteSignature};
use ledger_tree::{Hash, ReadError};
use ledger_types::block::{Acknowledgement, BlockHeader, EnvelopeResult, genesis_block_hash, results_root};
use ledger_types::coin::{issue_origin, origin};
use ledger_types::confirmation::{Record, RecordStatus};
use ledger_types::encoding::{Encode, List, Octets, Text};
use ledger_types::genesis::{GENESIS_VERSION, Genesis, KemSuite, Series};
use ledger_types::keys::{PublicKey, SigningKey};
use ledger_types::log_leaf::{LogLeaf, StateLeaf};
use ledger_types::participant::{
    CentralBankKeys, Directory, Participant, ParticipantKeys, Roles, SignedBy, ValidatorSet,
};
use ledger_types::request::*;
use ledger_types::vote::{CommitCertificate, Vote, VoteStep};
use ledger_types::*;
use ledger_verify::{
    Answer, BUCKET_ENTRIES_MAX, BucketEntry, BucketProof, CoinProof, EntryInState, EntryKey, EntryProof, LeafProof,
    RequestProof, StateProof, Trust,
};
use std::collections::BTreeMap;

pub const ORIGIN: &str = "registry.example/assay";
pub const GENESIS_TIME_MS: u64 = 1_700_000_000_000;
/// When the validators cosign, unless a test says otherwise.
pub const COSIGNED_AT_S: u64 = 1_700_000_100;
pub const NOW_MS: u64 = COSIGNED_AT_S * 1_000 + 5_000;
pub const VALIDATORS: [u16; 4] = [1, 2, 3, 4];

#[derive(Clone, Copy)]
#[repr(u8)]
pub enum Purpose {
    Consensus = 1,
    Bundle,
    Cosign,
    Desk,
    Offer,
    Link,
    EnginePeer,
    DataPeer,
    Log,
    Registration,
    RegistrationLink,
    Issue,
    Officer,
    Owner,
}

pub fn seed(purpose: Purpose, number: u16) -> [u8; 32] {
    let mut seed = [0; 32];
    (seed[0], seed[1], seed[2]) = (purpose as u8, number as u8, (number >> 8) as u8);
    seed
}

pub fn key(purpose: Purpose, number: u16) -> SigningKey {
    SigningKey::from_seed(&seed(purpose, number))
}

fn public(purpose: Purpose, number: u16) -> PublicKey {
    key(purpose, number).public_key()
}

fn participant(number: u16, name: &str, roles: Roles) -> Participant {
    let power = u64::from(roles.include(Roles::VALIDATOR));
    let keys = ParticipantKeys {
        consensus: public(Purpose::Consensus, number),
        bundle: public(Purpose::Bundle, number),
        cosign: public(Purpose::Cosign, number),
        desk: public(Purpose::Desk, number),
        offer: public(Purpose::Offer, number),
        link: public(Purpose::Link, number),
        engine_peer: public(Purpose::EnginePeer, number),
        data_peer: public(Purpose::DataPeer, number),
        kem: Octets::new(vec![number as u8; 32]).unwrap(),
    };
    let central_bank = roles.include(Roles::CENTRAL_BANK).then(|| CentralBankKeys {
        log: public(Purpose::Log, number),
        registration: public(Purpose::Registration, number),
        registration_link: public(Purpose::RegistrationLink, number),
        issue: public(Purpose::Issue, number),
    });
    let (number, name) = (ParticipantNumber(number), Text::new(name).unwrap());
    Participant { number, name, roles, power, keys, central_bank }
}

pub fn directory() -> Vec<Participant> {
    let bank = Roles::VALIDATOR.and(Roles::COMMERCIAL_BANK);
    vec![
        participant(1, "Central Bank", Roles::VALIDATOR.and(Roles::CENTRAL_BANK)),
        participant(2, "First Bank", bank),
        participant(3, "Second Bank", bank),
        participant(4, "Third Bank", bank),
        participant(5, "Observer", Roles::OBSERVER),
    ]
}

pub fn genesis_with(participants: Vec<Participant>) -> Genesis {
    Genesis {
        version: GENESIS_VERSION,
        currency: Currency::parse("XAS").unwrap(),
        exponent: 2,
        kem_suite: KemSuite::X25519,
        time_ms: GENESIS_TIME_MS,
        origin: Text::new(ORIGIN).unwrap(),
        officers: List::new((1..=3).map(|n| public(Purpose::Officer, n)).collect()).unwrap(),
        officer_threshold: 2,
        unconfirmed_depth_max: 0,
        expiry_window_ms: 600_000,
        release_deadline_ms: 60_000,
        bytes_per_submitter_per_height: 1 << 22,
        batch_records_max: 1_000,
        series: List::new(vec![Series { number: SeriesNumber(1), name: Text::new("Notes").unwrap() }]).unwrap(),
        preissues: List::empty(),
        directory: Directory::new(participants).unwrap(),
    }
}

pub fn genesis() -> Genesis {
    genesis_with(directory())
}

/// The set of these participants, as a directory would give it.
pub fn set_of(validators: &[(u16, u64)]) -> ValidatorSet {
    let line = |(number, power): &(u16, u64)| {
        let mut line = participant(*number, "Bank", Roles::VALIDATOR.and(Roles::COMMERCIAL_BANK));
        line.power = *power;
        line
    };
    let mut lines: Vec<Participant> = validators.iter().map(line).collect();
    let mut central = participant(999, "Central Bank", Roles::CENTRAL_BANK);
    central.power = 0;
    lines.push(central);
    Directory::new(lines).unwrap().validators()
}

/// A coin's secret, fixed by its number.
pub fn opening(chain: &Chain, number: u8) -> coin::Opening {
    coin::Opening {
        amount: Amount(1_000 + u64::from(number)),
        currency: Currency::parse("XAS").unwrap(),
        series: SeriesNumber(1),
        terms: Terms::ZERO,
        owner: public(Purpose::Owner, number.into()),
        rho: chain.hash(Tag::PreissueRho, &[&[number]]),
    }
}

/// The only coin of issue `number` of series 1, in the custody of participant 2.
pub fn issued_coin(chain: &Chain, number: u8) -> CoinId {
    let origin = issue_origin(chain, SeriesNumber(1), number.into());
    opening(chain, number).coin_id(chain, &origin, 0, ParticipantNumber(2))
}

/// Where a coin's record stands in the map.
pub fn record_key(coin: &CoinId) -> Hash {
    map::key_hash(EntryType::Record, &coin.0)
}

/// Output 1 of an envelope that spent these coins, in the custody of participant 3.
pub fn paid_coin(chain: &Chain, number: u8, inputs: &[CoinId]) -> CoinId {
    opening(chain, number).coin_id(chain, &origin(chain, inputs), 1, ParticipantNumber(3))
}

#[derive(Default, Clone)]
pub struct Rows {
    log_nodes: BTreeMap<log::Position, Hash>,
    pub map_nodes: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl LogReader for Rows {
    fn node(&self, level: u8, index: u64) -> Result<Option<Hash>, ReadError> {
        Ok(self.log_nodes.get(&(level, index)).copied())
    }
}

impl MapReader for Rows {
    fn node(&self, key: &[u8]) -> Result<Option<Vec<u8>>, ReadError> {
        Ok(self.map_nodes.get(key).cloned())
    }
}

/// A registry that grows batch by batch, and everyone's keys.
#[derive(Clone)]
pub struct Registry {
    pub genesis: Genesis,
    pub chain: Chain,
    pub rows: Rows,
    pub leaves: Vec<Vec<u8>>,
    pub map_root: Hash,
    pub records: BTreeMap<CoinId, Record>,
    /// One a batch, with the log's size at it.
    pub states: Vec<(StateLeaf, u64)>,
    pub set: ValidatorSet,
    /// What stands in the map beside records, and the packages that it names by their hashes.
    pub entries: Vec<(EntryKey, Vec<u8>)>,
    pub packages: Vec<Vec<u8>>,
    /// Of them what the next batch brings in.
    pub pending: BTreeMap<Hash, Option<Vec<u8>>>,
    /// Moved by every confirmed record of a coin that was not there before: 1,000 a coin.
    pub issued: u128,
}

impl Registry {
    /// With batch 0, which confirms coins 1 to 3.
    pub fn new() -> Self {
        Self::of(genesis())
    }

    pub fn of(genesis: Genesis) -> Self {
        let chain = genesis.chain();
        let set = genesis.directory.validators();
        let mut registry = Registry {
            genesis,
            chain,
            rows: Rows::default(),
            leaves: Vec::new(),
            map_root: map::EMPTY_ROOT,
            records: BTreeMap::new(),
            states: Vec::new(),
            set,
            entries: Vec::new(),
            packages: Vec::new(),
            pending: BTreeMap::new(),
            issued: 0,
        };
        let live: Vec<_> = (1..=3).map(|n| registry.live(n)).collect();
        registry.confirm(0, &live);
        registry
    }

    pub fn document(&self) -> Vec<u8> {
        self.genesis.to_bytes()
    }

    pub fn trust(&self) -> Trust {
        Trust::from_genesis(&self.document()).unwrap()
    }

    /// The line of a batch that confirms issued coin `number`.
    pub fn live(&self, number: u8) -> (CoinId, RecordStatus, OwnerTag) {
        let coin = issued_coin(&self.chain, number);
        (coin, RecordStatus::Live, opening(&self.chain, number).owner_tag(&self.chain, &coin))
    }

    pub fn spent(&self, number: u8) -> (CoinId, RecordStatus, OwnerTag) {
        (issued_coin(&self.chain, number), RecordStatus::Spent, OwnerTag::ZERO)
    }

    /// Accepts one batch at `height`: its records go into log and map, then the state leaf.
    pub fn confirm(&mut self, height: u64, lines: &[(CoinId, RecordStatus, OwnerTag)]) {
        let (batch, time_ms) = (BatchNumber(self.states.len() as u64), GENESIS_TIME_MS + 1_000 * height);
        let mut lines = lines.to_vec();
        lines.sort_by_key(|line| line.0);
        let mut changes = BTreeMap::new();
        for (coin, status, tag) in lines {
            let contract = ContractNumber(0);
            let record = Record { status, batch, height: Height(height), time_ms, contract, failed_check: 0, tag };
            self.append(&LogLeaf::Record { coin, record });
            changes.insert(map::key_hash(EntryType::Record, &coin.0), Some(record.to_bytes()));
            if self.records.insert(coin, record).is_none() {
                self.issued += 1_000;
            }
        }
        self.accept(batch, height, time_ms, changes);
    }

    /// Stands in the map from the next batch on.
    pub fn put(&mut self, key: EntryKey, value: &impl Encode) {
        let value = value.to_bytes();
        self.pending.insert(key.hash(), Some(value.clone()));
        self.entries.retain(|(known, _)| *known != key);
        self.entries.push((key, value));
    }

    /// A batch's end with any entries of the map, such as no honest validator would sign.
    pub fn accept_entries(&mut self, height: u64, entries: &[(Hash, Vec<u8>)]) {
        let changes = entries.iter().map(|(key_hash, value)| (*key_hash, Some(value.clone()))).collect();
        self.accept(BatchNumber(self.states.len() as u64), height, GENESIS_TIME_MS + 1_000 * height, changes);
    }

    fn accept(&mut self, batch: BatchNumber, height: u64, time_ms: u64, mut changes: BTreeMap<Hash, Option<Vec<u8>>>) {
        changes.append(&mut self.pending);
        let base = self.states.last().map(|(leaf, _)| Version::after_height(leaf.height.0));
        let update = map::update(&self.rows, base, Version::after_height(height), changes).unwrap();
        self.map_root = update.root;
        self.rows.map_nodes.extend(update.nodes);
        let leaf = StateLeaf {
            batch,
            height: Height(height),
            time_ms,
            map_root: TreeRoot(self.map_root),
            set_hash: self.set.hash(&self.chain),
            issued: self.issued,
            redeemed: 0,
        };
        self.append_state(leaf);
    }

    pub fn append_state(&mut self, leaf: StateLeaf) {
        self.append(&LogLeaf::State(leaf));
        self.states.push((leaf, self.leaves.len() as u64));
    }

    pub fn append(&mut self, leaf: &LogLeaf) {
        let bytes = leaf.to_bytes();
        let append = log::append(&self.rows, self.leaves.len() as u64, &[log::leaf_hash(&bytes)]).unwrap();
        self.rows.log_nodes.extend(append.nodes);
        self.leaves.push(bytes);
    }

    pub fn size(&self) -> u64 {
        self.leaves.len() as u64
    }

    pub fn checkpoint_text(&self, size: u64) -> String {
        Checkpoint::new(ORIGIN, size, log::root(&self.rows, size).unwrap()).unwrap().to_text()
    }

    /// By the log and all four validators, at the newest size.
    pub fn checkpoint(&self) -> String {
        let text = self.checkpoint_text(self.size());
        let cosigned = VALIDATORS.iter().map(|number| cosign(&text, *number, COSIGNED_AT_S));
        note(&text, std::iter::once(log_sign(&text)).chain(cosigned))
    }

    pub fn state_proof(&self) -> StateProof {
        self.state_proof_with(&self.checkpoint())
    }

    pub fn state_proof_with(&self, checkpoint: &str) -> StateProof {
        self.state_proof_at(self.states.last().expect("batch 0 is there"), checkpoint)
    }

    pub fn state_proof_at(&self, (leaf, size): &(StateLeaf, u64), checkpoint: &str) -> StateProof {
        let path = log::prove_inclusion(&self.rows, size - 1, *size).unwrap();
        StateProof {
            genesis_hash: self.chain.genesis_hash(),
            state_leaf: *leaf,
            path: List::new(path.into_iter().map(TreeRoot).collect()).unwrap(),
            checkpoint: Octets::new(checkpoint.as_bytes().to_vec()).unwrap(),
        }
    }

    pub fn coin_proof(&self, coin: CoinId) -> CoinProof {
        self.coin_proof_with(coin, &self.checkpoint())
    }

    pub fn coin_proof_with(&self, coin: CoinId, checkpoint: &str) -> CoinProof {
        let state = self.state_proof_with(checkpoint);
        let answer = self.records.get(&coin).map_or(Answer::Absent, |record| Answer::Present(*record));
        let version = Version::after_height(state.state_leaf.height.0);
        let map_proof = map::prove(&self.rows, version, &map::key_hash(EntryType::Record, &coin.0)).unwrap().proof;
        CoinProof { state, coin, answer, map_proof }
    }

    /// Officers' request about issued coin `number`, blinded by 32 bytes of the number, which the next batch brings in.
    pub fn request(&self, class: RequestClass, number: u8) -> OfficerRequest {
        OfficerRequest {
            class,
            basis: BasisCode::parse("COURT-9").unwrap(),
            epoch: NOW_MS / EPOCH_MS,
            commitment: request_commitment(&self.chain, &issued_coin(&self.chain, number), &[number; 32]),
        }
    }

    /// Appends it as the next batch would.
    pub fn log_request(&mut self, request: OfficerRequest) {
        self.append(&LogLeaf::Request(request));
    }

    /// Of the leaf that holds this request.
    pub fn request_proof(&self, request: OfficerRequest) -> RequestProof {
        let bytes = LogLeaf::Request(request).to_bytes();
        let index = self.leaves.iter().position(|leaf| *leaf == bytes).expect("the request was logged") as u64;
        let path = log::prove_inclusion(&self.rows, index, self.size()).unwrap();
        let path = List::new(path.into_iter().map(TreeRoot).collect()).unwrap();
        RequestProof { state: self.state_proof(), request, index, path }
    }

    /// Of the first leaf with these bytes.
    pub fn leaf_proof(&self, leaf: &LogLeaf) -> LeafProof {
        let bytes = leaf.to_bytes();
        let index = self.leaves.iter().position(|logged| *logged == bytes).expect("it was logged") as u64;
        let path = log::prove_inclusion(&self.rows, index, self.size()).unwrap();
        let path = List::new(path.into_iter().map(TreeRoot).collect()).unwrap();
        LeafProof { state: self.state_proof(), leaf: leaf.clone(), index, path }
    }

    /// `value` is what the map holds, if anything.
    pub fn entry_proof(&self, key: EntryKey, value: Option<Vec<u8>>) -> EntryProof {
        let state = self.state_proof();
        let version = Version::after_height(state.state_leaf.height.0);
        let map_proof = map::prove(&self.rows, version, &key.hash()).unwrap().proof;
        EntryProof { state, key, value: value.map(|value| Octets::new(value).unwrap()), map_proof }
    }

    /// What stands under a key, if anything, as [`Self::put`] put it there.
    pub fn entry_in_state(&self, key: EntryKey) -> EntryInState {
        let value = self.entries.iter().find(|(known, _)| *known == key).map(|(_, value)| value.clone());
        self.entry_proof(key, value).apart().1
    }

    pub fn leaf_proof_with(&self, leaf: &LogLeaf, checkpoint: &str) -> LeafProof {
        LeafProof { state: self.state_proof_with(checkpoint), ..self.leaf_proof(leaf) }
    }

    pub fn bucket_proof(&self, prefix: Prefix) -> BucketProof {
        self.bucket_proof_with(prefix, &self.checkpoint())
    }

    pub fn bucket_proof_with(&self, prefix: Prefix, checkpoint: &str) -> BucketProof {
        let state = self.state_proof_with(checkpoint);
        let version = Version::after_height(state.state_leaf.height.0);
        let below = map::prove_below(&self.rows, version, &prefix, BUCKET_ENTRIES_MAX).unwrap().unwrap();
        let entry =
            |(key_hash, value)| BucketEntry { key_hash: TreeRoot(key_hash), value: Octets::new(value).unwrap() };
        BucketProof {
            state,
            prefix,
            siblings: List::new(below.siblings.into_iter().map(TreeRoot).collect()).unwrap(),
            entries: List::new(below.entries.into_iter().map(entry).collect()).unwrap(),
        }
    }

    /// Three verdicts: two accepted, the third refused with 16.
    pub fn results(&self) -> Vec<EnvelopeResult> {
        let id = |n: u8| EnvelopeId([n; 32]);
        [(id(1), 0), (id(2), 0), (id(3), 16)].map(|(envelope, code)| EnvelopeResult { envelope, code }).to_vec()
    }

    pub fn header(&self, height: u64, parent: BlockHash) -> BlockHeader {
        BlockHeader {
            version: RulesVersion::GENESIS,
            height: Height(height),
            parent,
            time_ms: GENESIS_TIME_MS + 1_000 * height,
            certificates_root: MerkleRoot([0xc0; 32]),
            results_root: results_root(&self.chain, &self.results()),
            state_root: StateRoot([0x50; 32]),
            log_size: self.size(),
            log_root: TreeRoot(log::root(&self.rows, self.size()).unwrap()),
            map_root: TreeRoot(self.map_root),
            participants_hash: self.genesis.directory.hash(&self.chain),
            next_set_hash: self.set.hash(&self.chain),
            parent_round: 0,
        }
    }

    pub fn first_header(&self) -> BlockHeader {
        self.header(1, genesis_block_hash(&self.chain))
    }

    pub fn certificate(&self, header: &BlockHeader, signers: &[u16]) -> CommitCertificate {
        let (height, round, block) = (header.height, 0, header.hash(&self.chain));
        let precommit = |signer: &u16| {
            let validator = ParticipantNumber(*signer);
            let vote = Vote { step: VoteStep::Precommit, height, round, block: Some(block), validator };
            let signature = key(Purpose::Consensus, *signer).sign(&vote.message(&self.chain));
            SignedBy { signer: validator, signature }
        };
        let precommits = List::new(signers.iter().map(precommit).collect()).unwrap();
        CommitCertificate { height, round, block, precommits }
    }

    /// Blocks 1 to `count`, each decided by validators 1, 2 and 3.
    pub fn segment(&self, count: u64) -> Vec<(BlockHeader, CommitCertificate)> {
        let mut parent = genesis_block_hash(&self.chain);
        (1..=count)
            .map(|height| {
                let header = self.header(height, parent);
                parent = header.hash(&self.chain);
                let certificate = self.certificate(&header, &[1, 2, 3]);
                (header, certificate)
            })
            .collect()
    }

    /// The verdict on the envelope `index` of block 1.
    pub fn acknowledgement(&self, index: u32) -> Acknowledgement {
        let (header, results) = (self.first_header(), self.results());
        let leaves: Vec<[u8; 32]> = results.iter().map(|result| result.leaf(&self.chain)).collect();
        let path = merkle::path(&self.chain, &leaves, index as usize).unwrap();
        Acknowledgement {
            certificate: self.certificate(&header, &[1, 2, 4]),
            header,
            result: results[index as usize],
            index,
            count: results.len() as u32,
            path: List::new(path.into_iter().map(MerkleRoot).collect()).unwrap(),
        }
    }
}

pub fn log_sign(text: &str) -> NoteSignature {
    let secret = key(Purpose::Log, 1);
    NoteKey::new(ORIGIN, &secret.public_key().0).unwrap().sign(text, |message| secret.sign(message).0)
}

pub fn cosign(text: &str, number: u16, time_s: u64) -> NoteSignature {
    cosign_as(&format!("{ORIGIN}/{number}"), &key(Purpose::Cosign, number), text, time_s)
}

/// A cosignature under any name by any key.
pub fn cosign_as(name: &str, secret: &SigningKey, text: &str, time_s: u64) -> NoteSignature {
    CosignerKey::new(name, &secret.public_key().0).unwrap().cosign(text, time_s, |message| secret.sign(message).0)
}

pub fn note(text: &str, lines: impl IntoIterator<Item = NoteSignature>) -> String {
    Note::new(text.to_owned(), lines.into_iter().collect()).unwrap().to_string()
}
