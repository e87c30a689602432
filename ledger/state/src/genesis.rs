//! Height 0 (G-1): the directory and the pre-issued coins, in chunks, because a bench genesis has 10⁶ coins.
//!
//! What stays true here: batch 0 always exists and ends with its state leaf, so there is a checkpoint before height 1. Its
//! records are derived from the genesis and not listed in a batch: the log holds them in the order of the pre-issue lines and of
//! the coins in a line, and its hash, which batch 1 names, is that of an empty batch with number 0 and previous hash zero.
//! Pre-issued coins are live, count as issued, and use up the first issue numbers of their series.

use crate::block::map_failed;
use crate::changes::StateChanges;
use crate::ledger::Ledger;
use crate::overdue::OverdueReleases;
use crate::reader::StateReader;
use crate::rules::Rules;
use crate::rules_schedule::RulesSchedule;
use crate::validators::Validators;
use ledger_tree::ReadError;
use ledger_tree::log::{self, Frontier};
use ledger_tree::map::{self, EntryType, Version};
use ledger_types::block::genesis_block_hash;
use ledger_types::coin::{Coin, CoinStatus, Opening, issue_origin};
use ledger_types::confirmation::{Batch, Record, RecordStatus};
use ledger_types::encoding::{Encode, List};
use ledger_types::ids::*;
use ledger_types::log_leaf::{LogLeaf, StateLeaf};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A coin of the genesis. Its opening is public.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreissuedCoin {
    pub id: CoinId,
    pub opening: Opening,
    pub origin: Origin,
    pub issue_number: u64,
    /// Whose custody it is in. The output index is 0.
    pub bank: ParticipantNumber,
}

/// All coins of the genesis, in the order of the pre-issue lines.
pub fn preissued_coins(rules: &Rules) -> impl Iterator<Item = PreissuedCoin> + '_ {
    let lines = Lines::of(rules);
    (0..lines.count).map(move |index| lines.coin(rules, index))
}

/// The ledger at height 0 with these roots: everything in it that follows from the genesis without a look at each coin.
pub fn genesis_ledger(rules: &Rules, map_root: TreeRoot, log_root: TreeRoot) -> Ledger {
    Lines::of(rules).ledger(rules, map_root, log_root)
}

/// Coins of one chunk: a few megabytes of changes.
const CHUNK_COINS: usize = 10_000;

/// Loads the genesis step by step. The changes of one step are written before the next is asked for, and the reader sees them;
/// all steps together are height 0. Memory beside one chunk: 36 bytes a coin.
///
/// ```no_run
/// # use ledger_state::{GenesisLoad, GenesisStep, Rules, memory::MemoryState};
/// # fn load(rules: Rules, mut state: MemoryState) -> Result<ledger_state::Ledger, ledger_tree::ReadError> {
/// let mut load = GenesisLoad::start(&rules);
/// loop {
///     match load.step(&state)? {
///         GenesisStep::More(changes) => state.write(&changes),
///         GenesisStep::Last(changes, ledger) => {
///             state.write(&changes);
///             return Ok(*ledger);
///         }
///     }
/// }
/// # }
/// ```
pub struct GenesisLoad<'a> {
    rules: &'a Rules,
    lines: Lines,
    log: Frontier,
    /// Coins in the state and in the log, so far.
    coins_loaded: u32,
    /// Where each loaded coin's record stands in the map; sorted once all are known.
    map_keys: Vec<([u8; 32], u32)>,
    map_loaded: usize,
    map_version: Option<Version>,
    map_chunks: u32,
}

pub enum GenesisStep {
    More(StateChanges),
    Last(StateChanges, Box<Ledger>),
}

impl<'a> GenesisLoad<'a> {
    pub fn start(rules: &'a Rules) -> Self {
        GenesisLoad {
            rules,
            lines: Lines::of(rules),
            log: Frontier::default(),
            coins_loaded: 0,
            map_keys: Vec::new(),
            map_loaded: 0,
            map_version: None,
            map_chunks: 0,
        }
    }

    /// Not to be called again after the last step.
    pub fn step<R: StateReader>(&mut self, reader: &R) -> Result<GenesisStep, ReadError> {
        if self.coins_loaded < self.lines.count {
            return Ok(GenesisStep::More(self.load_coins()));
        }
        if self.map_loaded < self.map_keys.len() {
            return Ok(GenesisStep::More(self.load_map(reader)?));
        }
        let (changes, ledger) = self.finish(reader)?;
        Ok(GenesisStep::Last(changes, Box::new(ledger)))
    }

    fn load_coins(&mut self) -> StateChanges {
        let first = self.coins_loaded;
        let last = self.lines.count.min(first.saturating_add(CHUNK_COINS as u32));
        let mut changes = StateChanges::default();
        let mut leaf_hashes = Vec::with_capacity(CHUNK_COINS);
        for index in first..last {
            let coin = self.lines.coin(self.rules, index);
            let record = self.record(&coin);
            let leaf = LogLeaf::Record { coin: coin.id, record }.to_bytes();
            leaf_hashes.push(log::leaf_hash(&leaf));
            changes.coins_put.push((coin.id, Coin::plain(CoinStatus::Live)));
            changes.records.push((coin.id, record));
            changes.log_leaves.push((index.into(), leaf));
            changes.record_leaves.push((coin.id, index.into()));
            self.map_keys.push((map::key_hash(EntryType::Record, &coin.id.0), index));
        }
        changes.coins_put.sort_unstable_by_key(|(id, _)| *id);
        changes.records.sort_unstable_by_key(|(id, _)| *id);
        changes.record_leaves.sort_unstable_by_key(|(id, _)| *id);
        changes.log_nodes = self.log.append(&leaf_hashes).expect("fewer than 2^64 coins").nodes;
        self.coins_loaded = last;
        if last == self.lines.count {
            // In the order of the keys each chunk rewrites its own branch of the map only.
            self.map_keys.sort_unstable();
        }
        changes
    }

    fn load_map<R: StateReader>(&mut self, reader: &R) -> Result<StateChanges, ReadError> {
        let last = self.map_keys.len().min(self.map_loaded + CHUNK_COINS);
        let entries = self.map_keys[self.map_loaded..last].iter().map(|(key, index)| {
            let coin = self.lines.coin(self.rules, *index);
            (*key, Some(self.record(&coin).to_bytes()))
        });
        let version = Version::genesis_chunk(self.map_chunks).expect("2,000 chunks hold the largest genesis");
        let update = map::update(reader, self.map_version, version, entries.collect()).map_err(map_failed)?;
        (self.map_version, self.map_loaded, self.map_chunks) = (Some(version), last, self.map_chunks + 1);
        Ok(StateChanges { map: Some(update), ..StateChanges::default() })
    }

    fn finish<R: StateReader>(&mut self, reader: &R) -> Result<(StateChanges, Ledger), ReadError> {
        let genesis = &self.rules.genesis;
        let line = |p: &ledger_types::participant::Participant| {
            (map::key_hash(EntryType::Participant, &p.number.to_bytes()), Some(p.to_bytes()))
        };
        let entries = genesis.directory.iter().map(line).collect();
        let version = Version::after_height(Height::GENESIS.0);
        let map = map::update(reader, self.map_version, version, entries).map_err(map_failed)?;

        // The leaf stands under the log's root, so it comes before the ledger that names the root.
        let map_root = TreeRoot(map.root);
        let leaf = LogLeaf::State(self.lines.state_leaf(self.rules, map_root)).to_bytes();
        let appended = self.log.append(&[log::leaf_hash(&leaf)]).expect("fewer than 2^64 coins");
        let ledger = self.lines.ledger(self.rules, map_root, TreeRoot(appended.root));
        let changes = StateChanges {
            map: Some(map),
            log_nodes: appended.nodes,
            log_leaves: vec![(appended.size - 1, leaf)],
            ..StateChanges::default()
        };
        Ok((changes, ledger))
    }

    fn record(&self, coin: &PreissuedCoin) -> Record {
        Record {
            status: RecordStatus::Live,
            batch: BatchNumber(0),
            height: Height::GENESIS,
            time_ms: self.rules.genesis.time_ms,
            contract: ContractNumber(0),
            failed_check: 0,
            tag: coin.opening.owner_tag(&self.rules.chain, &coin.id),
        }
    }
}

fn empty_batch() -> Batch {
    let (records, settled, overdue, cleared) = (List::empty(), List::empty(), List::empty(), List::empty());
    Batch { number: BatchNumber(0), previous: BatchHash::ZERO, records, settled, overdue, cleared }
}

/// The pre-issue lines with the numbers that their coins get.
struct Lines {
    /// For each line: the index of its first coin, and that coin's issue number.
    starts: Vec<(u32, u64)>,
    count: u32,
    next_issue_numbers: BTreeMap<SeriesNumber, u64>,
}

impl Lines {
    fn of(rules: &Rules) -> Self {
        let mut next_issue_numbers: BTreeMap<SeriesNumber, u64> =
            rules.genesis.series.iter().map(|series| (series.number, 0)).collect();
        let (mut starts, mut count) = (Vec::new(), 0u32);
        for line in &rules.genesis.preissues {
            let next = next_issue_numbers.get_mut(&line.series).expect("a checked genesis pre-issues known series");
            starts.push((count, *next));
            *next += u64::from(line.count);
            count = count.checked_add(line.count).expect("a checked genesis pre-issues at most 20 million coins");
        }
        Lines { starts, count, next_issue_numbers }
    }

    fn coin(&self, rules: &Rules, index: u32) -> PreissuedCoin {
        let line = self.starts.partition_point(|(first, _)| *first <= index) - 1;
        let ((first, first_number), line) = (self.starts[line], &rules.genesis.preissues[line]);
        let issue_number = first_number + u64::from(index - first);
        let opening = line.opening(&rules.chain, rules.genesis.currency, index - first);
        let origin = issue_origin(&rules.chain, line.series, issue_number);
        PreissuedCoin {
            id: opening.coin_id(&rules.chain, &origin, 0, line.bank),
            opening,
            origin,
            issue_number,
            bank: line.bank,
        }
    }

    fn state_leaf(&self, rules: &Rules, map_root: TreeRoot) -> StateLeaf {
        StateLeaf {
            batch: BatchNumber(0),
            height: Height::GENESIS,
            time_ms: rules.genesis.time_ms,
            map_root,
            set_hash: rules.genesis.directory.validators().hash(&rules.chain),
            issued: self.issued_by_series(rules).values().sum(),
            redeemed: 0,
        }
    }

    fn ledger(&self, rules: &Rules, map_root: TreeRoot, log_root: TreeRoot) -> Ledger {
        let (chain, genesis) = (&rules.chain, &rules.genesis);
        let last_state_leaf = self.state_leaf(rules, map_root);
        Ledger {
            height: Height::GENESIS,
            block: genesis_block_hash(chain),
            time_ms: genesis.time_ms,
            delta: [0; 32],
            batch: BatchNumber(0),
            batch_hash: empty_batch().hash(chain),
            issue_numbers: self.next_issue_numbers.clone(),
            overdue: OverdueReleases::default(),
            lanes: BTreeMap::new(),
            directory: Arc::new(genesis.directory.clone()),
            participants_hash: genesis.directory.hash(chain),
            set_hash: last_state_leaf.set_hash,
            validators: Validators::of_genesis(genesis.directory.validators()),
            issued: last_state_leaf.issued,
            redeemed: last_state_leaf.redeemed,
            issued_by_series: self.issued_by_series(rules),
            recovered: BTreeMap::new(),
            requests: BTreeMap::new(),
            // A record a coin, and the state leaf.
            log_size: u64::from(self.count) + 1,
            log_root,
            map_root,
            last_state_leaf,
            events_to_log: Vec::new(),
            contracts: Arc::default(),
            feeds: Arc::default(),
            used_authorizations: BTreeMap::new(),
            snapshot: None,
            rules_schedule: RulesSchedule::default(),
        }
    }

    fn issued_by_series(&self, rules: &Rules) -> BTreeMap<SeriesNumber, u128> {
        let mut issued: BTreeMap<SeriesNumber, u128> = rules.genesis.series.iter().map(|s| (s.number, 0)).collect();
        for line in &rules.genesis.preissues {
            *issued.entry(line.series).or_default() += u128::from(line.amount.0) * u128::from(line.count);
        }
        issued
    }
}
