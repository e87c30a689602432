//! What readers see: one height, whole.
//!
//! What stays true here: a [`Snapshot`] is a view of the database at one moment between two writes, so all its answers are of
//! one height, however long it lives. It borrows from its [`Readers`], so none outlives the database. It holds back the
//! deletion of what it sees: take one for a request, not for a day.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, RwLock};

use ledger_state::{Package, PendingAmount, PeriodItems, Rules, StateReader};
use ledger_tree::log::LogReader;
use ledger_tree::map::MapReader;
use ledger_tree::{Hash, ReadError};
use ledger_types::block::{Block, BlockHeader};
use ledger_types::coin::Coin;
use ledger_types::confirmation::Record;
use ledger_types::contract::OpenObligation;
use ledger_types::feed::FeedItem;
use ledger_types::hand_over::HandOver;
use ledger_types::participant::ValidatorSet;
use ledger_types::request::OfficerRequest;
use ledger_types::vote::CommitCertificate;
use ledger_types::*;

use crate::columns::{self, Column, Format, Key, MetaRow, envelope_prefix};
use crate::database::{Database, Scan, View};
use crate::error::StoreError;
use crate::offer::{Offer, Piece};
use crate::offers::Offers;
use crate::store::Tip;

pub(crate) struct Shared {
    pub rules: Rules,
    pub database: Arc<Database>,
    pub tip: RwLock<Arc<Tip>>,
    pub packages: Packages,
    pub offers: Arc<Offers>,
}

/// Deployed packages that were asked for: verifying one anew takes longer than running it. A package is named by
/// its hash and never changes, so whatever view asks gets the same; as many as officers deploy.
#[derive(Default)]
pub(crate) struct Packages(Mutex<BTreeMap<PolicyHash, Arc<Package>>>);

impl Packages {
    fn get(&self, view: &StateView<'_>, policy: &PolicyHash) -> Result<Option<Arc<Package>>, ReadError> {
        if let Some(known) = self.lock().get(policy) {
            return Ok(Some(known.clone()));
        }
        let read = view.package(policy)?;
        if let Some(package) = &read {
            self.lock().insert(*policy, package.clone());
        }
        Ok(read)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<PolicyHash, Arc<Package>>> {
        self.0.lock().expect("no thread panics while it holds the packages")
    }
}

impl Shared {
    pub fn tip(&self) -> Arc<Tip> {
        self.tip.read().expect("no thread panics while it holds the tip").clone()
    }
}

/// Takes snapshots. Cheap to clone.
#[derive(Clone)]
pub struct Readers(pub(crate) Arc<Shared>);

/// The state after one height.
pub struct Snapshot<'a> {
    state: StateView<'a>,
    packages: &'a Packages,
    offers: &'a Offers,
    tip: Arc<Tip>,
}

/// Where an envelope was ordered, and what became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OrderedEnvelope {
    pub height: Height,
    /// Among the block's results, which are in the order of its certificates and of the envelopes in them.
    pub position: u32,
    /// 0 accepted, else the number of the rejection.
    pub code: u16,
}

impl Readers {
    pub fn rules(&self) -> &Rules {
        &self.0.rules
    }

    /// The last durable height, without its rows.
    pub fn tip(&self) -> Arc<Tip> {
        self.0.tip()
    }

    /// A view of the last durable height.
    pub fn snapshot(&self) -> Result<Snapshot<'_>, StoreError> {
        let tip = self.0.tip();
        let state = StateView(self.0.database.view());
        let height = state.height()?;
        // A height may have been committed between the two lines above; then the view has it, and has it whole.
        let tip = if height == tip.ledger.height { tip } else { Arc::new(state.tip()?) };
        Ok(Snapshot { state, packages: &self.0.packages, offers: &self.0.offers, tip })
    }

    /// What a node that joins can begin from: a state that the tip's block commits to. None before the first, and while this node
    /// keeps none of its own.
    pub fn offer(&self) -> Result<Option<Offer>, StoreError> {
        let snapshot = self.snapshot()?;
        self.0.offers.offer(&snapshot.tip, snapshot.hand_overs()?)
    }

    /// The lowest state that this node serves to those who join; none before it serves one that the tip's block commits to.
    /// Whoever begins with it asks for the heights after it.
    pub fn oldest_offered(&self) -> Option<Height> {
        let bound = self.0.tip().ledger.snapshot?;
        self.0.offers.oldest_served(bound.height)
    }

    /// A piece of the state after this height; none of a state that is not kept.
    pub fn piece(&self, height: Height, piece: Piece) -> Result<Option<Vec<u8>>, StoreError> {
        self.0.offers.piece(height, piece)
    }
}

impl Snapshot<'_> {
    pub fn height(&self) -> Height {
        self.tip.ledger.height
    }

    pub fn tip(&self) -> &Arc<Tip> {
        &self.tip
    }

    /// Block, certificate, results and bundles of this height and of every later one are here; of earlier ones at most the last
    /// [`crate::BLOCKS`] blocks. Height 1 where nothing is missing.
    pub fn first_height(&self) -> Result<Height, StoreError> {
        self.state.first_height()
    }

    pub fn block(&self, height: Height) -> Result<Option<Block>, StoreError> {
        self.state.0.get(&columns::BLOCKS, &height)
    }

    pub fn header(&self, height: Height) -> Result<Option<BlockHeader>, StoreError> {
        Ok(self.block(height)?.map(|block| block.header))
    }

    pub fn certificate(&self, height: Height) -> Result<Option<CommitCertificate>, StoreError> {
        self.state.0.get(&columns::COMMIT_CERTIFICATES, &height)
    }

    pub fn height_of_block(&self, block: &BlockHash) -> Result<Option<Height>, StoreError> {
        self.state.0.get(&columns::BLOCK_HEIGHTS, block)
    }

    pub fn validator_set(&self, hash: &ValidatorSetHash) -> Result<Option<ValidatorSet>, StoreError> {
        self.state.0.get(&columns::VALIDATOR_SETS, hash)
    }

    /// The hand-overs that have bound, ascending by number.
    pub fn hand_overs(&self) -> Result<Vec<HandOver>, StoreError> {
        (1..=self.tip.ledger.validators.hand_overs)
            .map(|number| {
                let missing = || self.state.0.corrupt(format!("hand-over {number}"), "it is missing");
                self.state.hand_over(number)?.ok_or_else(missing)
            })
            .collect()
    }

    /// One code a result of the block, in its order.
    pub fn result_codes(&self, height: Height) -> Result<Option<Vec<u16>>, StoreError> {
        let Some(bytes) = self.state.0.get(&columns::RESULTS, &height)? else { return Ok(None) };
        let (codes, rest) = bytes.as_chunks::<2>();
        if !rest.is_empty() {
            return Err(self.state.0.corrupt(format!("the results of height {height}"), "an odd number of bytes"));
        }
        Ok(Some(codes.iter().map(|code| u16::from_le_bytes(*code)).collect()))
    }

    /// Where an envelope was accepted, or else first refused in its own submitter's bundle. Found by half of its id: whoever shows the envelope itself
    /// compares the whole id in the bundle.
    pub fn envelope(&self, envelope: &EnvelopeId) -> Result<Option<OrderedEnvelope>, StoreError> {
        let Some(row) = self.state.0.get(&columns::ENVELOPES, &envelope_prefix(envelope))? else { return Ok(None) };
        let height = Height(row.height);
        let codes = self.result_codes(height)?.unwrap_or_default();
        let missing =
            || self.state.0.corrupt(format!("the results of height {height}"), format!("none at {}", row.position));
        let code = *codes.get(row.position as usize).ok_or_else(missing)?;
        Ok(Some(OrderedEnvelope { height, position: row.position, code }))
    }

    /// The height that ordered a bundle.
    pub fn height_of_bundle(&self, digest: &BundleDigest) -> Result<Option<Height>, StoreError> {
        Ok(self.state.0.get(&columns::BUNDLES, digest)?.map(|row| Height(row.height)))
    }

    pub fn coin(&self, id: &CoinId) -> Result<Option<Coin>, StoreError> {
        Ok(self.state.0.coins(&[*id])?.pop().flatten())
    }

    pub fn record(&self, id: &CoinId) -> Result<Option<Record>, StoreError> {
        self.state.0.get(&columns::RECORDS, id)
    }

    /// The bytes of a leaf of the public log.
    pub fn log_leaf(&self, index: u64) -> Result<Option<Vec<u8>>, StoreError> {
        self.state.0.get(&columns::LOG_LEAVES, &index)
    }

    /// The leaves of the public log from this index on, with their indexes.
    pub fn log_leaves_from(&self, index: u64) -> impl Iterator<Item = Result<(u64, Vec<u8>), StoreError>> + '_ {
        self.state.0.scan(&columns::LOG_LEAVES, Scan::all().starting_at(&index))
    }

    /// The complete subtrees of one level of the public log from this index on, with their places.
    pub fn log_nodes_from(
        &self,
        level: u8,
        index: u64,
    ) -> impl Iterator<Item = Result<((u8, u64), Hash), StoreError>> + '_ {
        self.state.0.scan(&columns::LOG_NODES, Scan::under(&level).starting_at(&(level, index)))
    }

    /// The leaf that holds a coin's latest record.
    pub fn leaf_of_coin(&self, id: &CoinId) -> Result<Option<u64>, StoreError> {
        self.state.0.get(&columns::COIN_LEAVES, id)
    }

    /// The officers' requests in the log below this size, newest first.
    pub fn requests_before(&self, size: u64) -> impl Iterator<Item = Result<(u64, OfficerRequest), StoreError>> + '_ {
        let rows = self.state.0.scan(&columns::REQUEST_LEAVES, Scan::all().backwards());
        rows.skip_while(move |row| row.as_ref().is_ok_and(|(index, _)| *index >= size))
    }

    /// A package as it was deployed.
    pub fn package_bytes(&self, policy: &PolicyHash) -> Result<Option<Vec<u8>>, StoreError> {
        self.state.0.get(&columns::PACKAGES, policy)
    }

    /// All items of a feed, ascending by period and vintage.
    pub fn feed_history(&self, feed: FeedNumber) -> impl Iterator<Item = Result<FeedItem, StoreError>> + '_ {
        let rows = self.state.0.scan(&columns::FEED_ITEMS, Scan::under(&feed));
        rows.map(|row| row.map(|(_, item)| item))
    }

    /// What a bank owes, by contract and in the order in which it falls due.
    pub fn obligations_of(
        &self,
        bank: ParticipantNumber,
    ) -> impl Iterator<Item = Result<(ContractNumber, u64, ObligationId), StoreError>> + '_ {
        let rows = self.state.0.scan(&columns::OBLIGATIONS_DUE, Scan::under(&bank));
        rows.map(|row| row.map(|(((_, contract), due_ms, id), _)| (contract, due_ms, id)))
    }

    /// All that is owed, in no order of sense.
    pub fn obligations(&self) -> impl Iterator<Item = Result<(ObligationId, OpenObligation), StoreError>> + '_ {
        self.state.0.scan(&columns::OBLIGATIONS, Scan::all())
    }

    /// The leaves of the log about a contract, below this size, newest first: events and receipts.
    pub fn contract_leaves_before(
        &self,
        contract: ContractNumber,
        size: u64,
    ) -> impl Iterator<Item = Result<u64, StoreError>> + '_ {
        let rows = self.state.0.scan(&columns::CONTRACT_LEAVES, Scan::under(&contract).backwards());
        let indexes = rows.map(|row| row.map(|((_, index), _)| index));
        indexes.skip_while(move |index| index.as_ref().is_ok_and(|index| *index >= size))
    }

    /// The leaf that is the receipt of an obligation.
    pub fn leaf_of_receipt(&self, obligation: &ObligationId) -> Result<Option<u64>, StoreError> {
        self.state.0.get(&columns::RECEIPT_LEAVES, obligation)
    }

    /// The newest checkpoint of the log, with its size.
    pub fn newest_checkpoint(&self) -> Result<Option<(u64, String)>, StoreError> {
        let newest = self.state.0.scan(&columns::CHECKPOINTS, Scan::all().backwards()).next().transpose()?;
        newest.map(|(size, note)| Ok((size, self.text(note)?))).transpose()
    }

    pub fn checkpoint(&self, size: u64) -> Result<Option<String>, StoreError> {
        self.state.0.get(&columns::CHECKPOINTS, &size)?.map(|note| self.text(note)).transpose()
    }

    /// Rows of one column, in the order of their keys' list.
    pub(crate) fn rows<K: Key + AsRef<[u8]>, V, F: Format<V>>(
        &self,
        column: &Column<K, V, F>,
        keys: &[K],
    ) -> Result<Vec<Option<V>>, StoreError> {
        self.state.0.get_many(column, keys)
    }

    /// Checkpoints of smaller sizes than this, largest first.
    pub fn checkpoints_below(&self, size: u64) -> impl Iterator<Item = Result<(u64, String), StoreError>> + '_ {
        let below = size.checked_sub(1).map(|last| Scan::all().starting_at(&last).backwards());
        let rows = below.map(|scan| self.state.0.scan(&columns::CHECKPOINTS, scan));
        rows.into_iter().flatten().map(|row| row.and_then(|(size, note)| Ok((size, self.text(note)?))))
    }

    /// Evidence of faults, oldest height first.
    pub fn evidence(&self) -> impl Iterator<Item = Result<(Height, Vec<u8>), StoreError>> + '_ {
        let rows = self.state.0.scan(&columns::EVIDENCE, Scan::all());
        rows.map(|row| row.map(|((height, _), evidence)| (height, evidence)))
    }

    /// Evidence from this place on, the place itself included, with the place of each.
    pub fn evidence_from(
        &self,
        place: EvidencePlace,
    ) -> impl Iterator<Item = Result<(EvidencePlace, Vec<u8>), StoreError>> + '_ {
        self.state.0.scan(&columns::EVIDENCE, Scan::all().starting_at(&place))
    }

    /// The map can be read and proved as of this height and every later one.
    pub fn oldest_map_height(&self) -> Result<Height, StoreError> {
        Ok(self.state.number(MetaRow::PrunedTo)?.map_or(Height::GENESIS, Height))
    }

    fn text(&self, note: Vec<u8>) -> Result<String, StoreError> {
        String::from_utf8(note).map_err(|error| self.state.0.corrupt("a checkpoint", error))
    }
}

/// Where a piece of evidence stands among all: its height, and the hash of its content.
pub type EvidencePlace = (Height, [u8; 32]);

/// The rows that the transition and the trees read.
pub(crate) struct StateView<'a>(pub View<'a>);

impl StateView<'_> {
    pub fn number(&self, row: MetaRow) -> Result<Option<u64>, StoreError> {
        let number = |bytes: Vec<u8>| {
            let bytes = bytes.try_into().map_err(|_| self.0.corrupt(format!("the row {row:?}"), "not eight bytes"))?;
            Ok(u64::from_le_bytes(bytes))
        };
        self.0.get(&columns::META, &row)?.map(number).transpose()
    }

    pub fn height(&self) -> Result<Height, StoreError> {
        self.number(MetaRow::Height)?.map(Height).ok_or_else(|| self.0.corrupt("the height's row", "it is missing"))
    }

    pub fn first_height(&self) -> Result<Height, StoreError> {
        Ok(self.number(MetaRow::HistoryFrom)?.map_or(Height(1), Height))
    }

    /// A hand-over that has bound. Read, not checked.
    pub fn hand_over(&self, number: u32) -> Result<Option<HandOver>, StoreError> {
        self.0.get(&columns::HAND_OVERS, &number)
    }

    /// Read, not checked.
    pub fn tip(&self) -> Result<Tip, StoreError> {
        let ledger =
            self.0.get(&columns::LEDGER, &())?.ok_or_else(|| self.0.corrupt("the ledger's row", "it is missing"))?;
        let header = self.0.get(&columns::BLOCKS, &ledger.height)?.map(|block| block.header);
        let certificate = self.0.get(&columns::COMMIT_CERTIFICATES, &ledger.height)?;
        Ok(Tip { ledger, header, certificate })
    }
}

impl MapReader for StateView<'_> {
    fn node(&self, key: &[u8]) -> Result<Option<Vec<u8>>, ReadError> {
        self.0.get(&columns::MAP_NODES, &key.to_vec()).map_err(ReadError::new)
    }

    fn nodes(&self, keys: &[Vec<u8>]) -> Result<Vec<Option<Vec<u8>>>, ReadError> {
        self.0.get_many(&columns::MAP_NODES, keys).map_err(ReadError::new)
    }
}

impl LogReader for StateView<'_> {
    fn node(&self, level: u8, index: u64) -> Result<Option<Hash>, ReadError> {
        self.0.get(&columns::LOG_NODES, &(level, index)).map_err(ReadError::new)
    }
}

impl StateReader for StateView<'_> {
    fn coins(&self, ids: &[CoinId]) -> Result<Vec<Option<Coin>>, ReadError> {
        self.0.coins(ids).map_err(ReadError::new)
    }

    fn records(&self, ids: &[CoinId]) -> Result<Vec<Option<Record>>, ReadError> {
        self.0.get_many(&columns::RECORDS, ids).map_err(ReadError::new)
    }

    fn pending_amount(&self, envelope: &EnvelopeId) -> Result<Option<PendingAmount>, ReadError> {
        self.0.get(&columns::PENDING_AMOUNTS, envelope).map_err(ReadError::new)
    }

    fn package(&self, policy: &PolicyHash) -> Result<Option<Arc<Package>>, ReadError> {
        let Some(bytes) = self.0.get(&columns::PACKAGES, policy).map_err(ReadError::new)? else { return Ok(None) };
        let package = Package::as_deployed(&bytes)
            .map_err(|error| ReadError::new(self.0.corrupt(format!("the package of policy {policy}"), error)))?;
        Ok(Some(Arc::new(package)))
    }

    fn last_vintage(&self, feed: FeedNumber, period: Period) -> Result<Option<FeedItem>, ReadError> {
        let mut rows = self.0.scan(&columns::FEED_ITEMS, Scan::under(&(feed, period)).backwards());
        Ok(rows.next().transpose().map_err(ReadError::new)?.map(|(_, item)| item))
    }

    fn newest_periods(&self, feed: FeedNumber, periods: u16) -> Result<Vec<PeriodItems>, ReadError> {
        let (mut found, mut scan) = (Vec::new(), Scan::under(&feed).backwards());
        while found.len() < usize::from(periods) {
            let row = self.0.scan(&columns::FEED_ITEMS, scan).next().transpose().map_err(ReadError::new)?;
            let Some(((_, period, _), last)) = row else { break };
            // Vintages are dense from 0 (K-11).
            let first = self.0.get(&columns::FEED_ITEMS, &(feed, period, Vintage(0))).map_err(ReadError::new)?;
            let first = first.ok_or_else(|| {
                ReadError::new(self.0.corrupt(format!("period {period} of feed {feed}"), "it has no first vintage"))
            })?;
            found.push(PeriodItems { first, last });
            let Some(older) = period.0.checked_sub(1) else { break };
            scan = Scan::under(&feed).starting_at(&(feed, Period(older), Vintage(u32::MAX))).backwards();
        }
        Ok(found)
    }

    fn obligation(&self, id: &ObligationId) -> Result<Option<OpenObligation>, ReadError> {
        self.0.get(&columns::OBLIGATIONS, id).map_err(ReadError::new)
    }

    fn has_receipt(&self, id: &ObligationId) -> Result<bool, ReadError> {
        Ok(self.0.get(&columns::RECEIPT_LEAVES, id).map_err(ReadError::new)?.is_some())
    }

    fn earliest_due(&self, bank: ParticipantNumber, contract: ContractNumber) -> Result<Option<u64>, ReadError> {
        let mut rows = self.0.scan(&columns::OBLIGATIONS_DUE, Scan::under(&(bank, contract)));
        let first = rows.next().transpose().map_err(ReadError::new)?;
        Ok(first.map(|((_, due_ms, _), _)| due_ms))
    }

    fn snapshot_hash(&self, height: Height) -> Result<[u8; 32], ReadError> {
        let row = self.0.get(&columns::SNAPSHOTS, &height).map_err(ReadError::new)?;
        row.map(|row| row.hash).ok_or_else(|| ReadError::new("this state is not hashed"))
    }
}

impl MapReader for Snapshot<'_> {
    fn node(&self, key: &[u8]) -> Result<Option<Vec<u8>>, ReadError> {
        MapReader::node(&self.state, key)
    }

    fn nodes(&self, keys: &[Vec<u8>]) -> Result<Vec<Option<Vec<u8>>>, ReadError> {
        self.state.nodes(keys)
    }
}

impl LogReader for Snapshot<'_> {
    fn node(&self, level: u8, index: u64) -> Result<Option<Hash>, ReadError> {
        LogReader::node(&self.state, level, index)
    }
}

impl StateReader for Snapshot<'_> {
    fn coins(&self, ids: &[CoinId]) -> Result<Vec<Option<Coin>>, ReadError> {
        self.state.coins(ids)
    }

    fn records(&self, ids: &[CoinId]) -> Result<Vec<Option<Record>>, ReadError> {
        self.state.records(ids)
    }

    fn pending_amount(&self, envelope: &EnvelopeId) -> Result<Option<PendingAmount>, ReadError> {
        self.state.pending_amount(envelope)
    }

    fn package(&self, policy: &PolicyHash) -> Result<Option<Arc<Package>>, ReadError> {
        self.packages.get(&self.state, policy)
    }

    fn last_vintage(&self, feed: FeedNumber, period: Period) -> Result<Option<FeedItem>, ReadError> {
        self.state.last_vintage(feed, period)
    }

    fn newest_periods(&self, feed: FeedNumber, periods: u16) -> Result<Vec<PeriodItems>, ReadError> {
        self.state.newest_periods(feed, periods)
    }

    fn obligation(&self, id: &ObligationId) -> Result<Option<OpenObligation>, ReadError> {
        self.state.obligation(id)
    }

    fn has_receipt(&self, id: &ObligationId) -> Result<bool, ReadError> {
        self.state.has_receipt(id)
    }

    fn earliest_due(&self, bank: ParticipantNumber, contract: ContractNumber) -> Result<Option<u64>, ReadError> {
        self.state.earliest_due(bank, contract)
    }

    fn snapshot_hash(&self, height: Height) -> Result<[u8; 32], ReadError> {
        self.offers.hash(height).map_err(ReadError::new)
    }
}
