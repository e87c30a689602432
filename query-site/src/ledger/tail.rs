//! The end of the public log, leaf by leaf: the states, their roots, how many records each batch has, and what officers and loans
//! left in it.
//!
//! Believed because of arithmetic alone: leaves are appended to a frontier, and the root that comes out must be the root of
//! a checkpoint that was verified. A wrong leaf, count or order anywhere gives another root.
//!
//! Tiles and entry bundles: `c2sp.org/tlog-tiles`. A bundle holds 256 entries, each a big-endian u16 length and its bytes.

use super::upstream::{Upstream, UpstreamError};
use ledger_tree::log::{self, Frontier, LogReader};
use ledger_tree::{Hash, ReadError};
use ledger_types::contract::{ContractEvent, Receipt};
use ledger_types::encoding::Decode;
use ledger_types::log_leaf::{LogLeaf, StateLeaf};
use ledger_types::request::{OfficerRequest, RequestClass, RequestKind};
use ledger_types::{BatchNumber, ContractNumber, ObligationId, TreeRoot};
use ledger_verify::TreeHead;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

pub const TILE_WIDTH: u64 = 256;
/// The longest leaf is a state's with its first byte.
const BUNDLE_BYTES_MAX: usize = TILE_WIDTH as usize * (2 + 1024);
const TILE_BYTES_MAX: usize = TILE_WIDTH as usize * 32;
/// States that lists and charts reach back to.
const STATES_MAX: usize = 2_000;
/// Requests of the officers that are listed; all that were read are counted.
const REQUESTS_MAX: usize = 100;
/// Orders of the officers about contracts, and receipts of returned loans: the newest of all contracts together.
const ORDERS_MAX: usize = 500;
const RECEIPTS_MAX: usize = 500;
/// Leaves before the tail that one look reads to count the requests in them, 8 bundles: an observer that bounds its readers, and
/// the look itself, hardly feel it, and a log of a million leaves is counted within ten minutes. A multiple of the tile's width.
const BACK_LEAVES: u64 = 8 * TILE_WIDTH;

/// A state leaf in the log, with what its block brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownState {
    pub leaf: StateLeaf,
    /// Of the log that ends with it.
    pub size: u64,
    pub root: TreeRoot,
    /// Records a batch, ascending by batch; of the first state in the tail unknown if the log is older than the tail.
    pub batches: Vec<(BatchNumber, u32)>,
    pub whole: bool,
    /// When this site first verified a checkpoint over it, if it was watching.
    pub seen_at_ms: Option<u64>,
}

impl KnownState {
    /// From the block's time to a checkpoint that outsiders can verify, as this site saw it.
    pub fn lag_ms(&self) -> Option<u64> {
        self.seen_at_ms.map(|seen| seen.saturating_sub(self.leaf.time_ms))
    }

    pub fn records(&self) -> Option<u64> {
        self.whole.then(|| self.batches.iter().map(|(_, count)| u64::from(*count)).sum())
    }
}

/// What the leaves that were read say beside records and states: the officers' requests and orders, and receipts (12.5).
#[derive(Clone, Debug, Default)]
pub struct Events {
    /// The first leaf that was read, at a tile's beginning: with 0 the counts are the whole log's.
    first_leaf: u64,
    /// Of the log before that leaf; it follows from the verified root, so leaves that lead to it are the log's.
    root_before: Hash,
    counts: BTreeMap<RequestKind, u64>,
    /// With their places in the log, oldest first.
    newest: VecDeque<(u64, OfficerRequest)>,
    /// The same.
    orders: VecDeque<(u64, ContractEvent)>,
    receipts: VecDeque<(u64, Arc<Receipt>)>,
}

impl Events {
    pub fn first_leaf(&self) -> u64 {
        self.first_leaf
    }

    pub fn counts(&self) -> &BTreeMap<RequestKind, u64> {
        &self.counts
    }

    pub fn count(&self, class: RequestClass) -> u64 {
        self.counts.iter().filter(|(kind, _)| kind.class == class).map(|(_, count)| count).sum()
    }

    /// Of a contract, oldest first.
    pub fn orders(&self, contract: ContractNumber) -> impl Iterator<Item = &(u64, ContractEvent)> {
        self.orders.iter().filter(move |(_, order)| order.contract == contract)
    }

    /// Of a contract, newest first.
    pub fn receipts(&self, contract: ContractNumber) -> impl Iterator<Item = &(u64, Arc<Receipt>)> {
        self.receipts.iter().rev().filter(move |(_, receipt)| receipt.contract == contract)
    }

    pub fn receipt(&self, obligation: &ObligationId) -> Option<&(u64, Arc<Receipt>)> {
        self.receipts.iter().find(|(_, receipt)| receipt.obligation == *obligation)
    }

    /// Newest first.
    pub fn newest(&self) -> impl Iterator<Item = &(u64, OfficerRequest)> {
        self.newest.iter().rev()
    }

    fn take(&mut self, index: u64, leaf: LogLeaf) {
        match leaf {
            LogLeaf::Request(request) => {
                *self.counts.entry(RequestKind { class: request.class, basis: request.basis }).or_default() += 1;
                kept(&mut self.newest, (index, request), REQUESTS_MAX);
            }
            LogLeaf::Contract(order) => kept(&mut self.orders, (index, order), ORDERS_MAX),
            LogLeaf::Receipt(receipt) => kept(&mut self.receipts, (index, Arc::new(receipt)), RECEIPTS_MAX),
            // Overdue ends, recoveries, directory changes; feeds and items are shown from the map.
            _ => {}
        }
    }

    /// These and those of the leaves that follow.
    fn followed_by(mut self, later: &Events) -> Self {
        for (kind, count) in &later.counts {
            *self.counts.entry(*kind).or_default() += count;
        }
        later.newest.iter().for_each(|one| kept(&mut self.newest, *one, REQUESTS_MAX));
        later.orders.iter().for_each(|one| kept(&mut self.orders, *one, ORDERS_MAX));
        later.receipts.iter().for_each(|one| kept(&mut self.receipts, one.clone(), RECEIPTS_MAX));
        self
    }
}

/// The newest `most` stay.
fn kept<T>(newest: &mut VecDeque<T>, one: T, most: usize) {
    newest.push_back(one);
    if newest.len() > most {
        newest.pop_front();
    }
}

#[derive(Clone, Debug, Default)]
pub struct Tail {
    frontier: Frontier,
    /// Oldest first.
    states: VecDeque<KnownState>,
    events: Events,
}

#[derive(Debug, thiserror::Error)]
pub enum TailError {
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    #[error("a bundle or tile of the log is malformed")]
    Malformed,
    #[error("the leaves do not lead to the checkpoint's root")]
    OtherRoot,
}

impl Tail {
    pub fn size(&self) -> u64 {
        self.frontier.size()
    }

    pub fn states(&self) -> &VecDeque<KnownState> {
        &self.states
    }

    pub fn events(&self) -> &Events {
        &self.events
    }

    pub fn at_size(&self, size: u64) -> Option<&KnownState> {
        self.states.iter().find(|state| state.size == size)
    }

    pub fn at_height(&self, height: u64) -> Option<&KnownState> {
        self.states.iter().find(|state| state.leaf.height.0 == height)
    }

    /// The state whose block accepted batch `number`.
    pub fn with_batch(&self, number: u64) -> Option<&KnownState> {
        self.states
            .iter()
            .find(|state| state.leaf.batch.0 == number || state.batches.iter().any(|(batch, _)| batch.0 == number))
    }

    /// Records of a batch: one of so many.
    pub fn records_of(&self, batch: BatchNumber) -> Option<u32> {
        let state = self.states.iter().find(|state| state.whole && state.batches.iter().any(|(b, _)| *b == batch))?;
        state.batches.iter().find(|(b, _)| *b == batch).map(|(_, count)| *count)
    }

    /// Grows to `head`, which is verified. Beyond `leaves_max` leaves away it starts anew, nearer to the end.
    pub async fn grow(
        &self,
        upstream: &Upstream,
        head: TreeHead,
        leaves_max: u64,
        seen_at_ms: u64,
    ) -> Result<Tail, TailError> {
        let missing = head.size.saturating_sub(self.size());
        let watching = self.size() > 0 && missing <= leaves_max;
        let mut tail = if watching {
            self.clone()
        } else {
            let base = head.size.saturating_sub(leaves_max) / TILE_WIDTH * TILE_WIDTH;
            let frontier = frontier_at(upstream, base).await?;
            let events = Events { first_leaf: base, root_before: frontier.root(), ..Events::default() };
            Tail { frontier, states: VecDeque::new(), events }
        };
        let entries = entries(upstream, tail.size(), head.size).await?;
        tail.append(&entries, watching.then_some(seen_at_ms))?;
        if tail.frontier.root() != head.root.0 {
            return Err(TailError::OtherRoot);
        }
        Ok(tail)
    }

    /// A step towards the log's start, in which the events alone are read: the tail of a long log begins behind
    /// most of them, and no root says how many there are.
    pub async fn reach_back(&self, upstream: &Upstream) -> Result<Tail, TailError> {
        let to = self.events.first_leaf;
        let from = to.saturating_sub(BACK_LEAVES);
        let mut frontier = frontier_at(upstream, from).await?;
        let mut earlier = Events { first_leaf: from, root_before: frontier.root(), ..Events::default() };
        for entry in entries(upstream, from, to).await? {
            let index = frontier.size();
            frontier.append(&[log::leaf_hash(&entry)]).map_err(|_| TailError::Malformed)?;
            earlier.take(index, LogLeaf::from_bytes(&entry).map_err(|_| TailError::Malformed)?);
        }
        if frontier.root() != self.events.root_before {
            return Err(TailError::OtherRoot);
        }
        Ok(Tail { events: earlier.followed_by(&self.events), ..self.clone() })
    }

    /// Whether it knows more than `other`: of the log's end first, of its beginning then.
    pub fn reaches_further_than(&self, other: &Tail) -> bool {
        let first_leaf = |tail: &Tail| std::cmp::Reverse(tail.events.first_leaf);
        (self.size(), first_leaf(self)) > (other.size(), first_leaf(other))
    }

    fn append(&mut self, entries: &[Vec<u8>], seen_at_ms: Option<u64>) -> Result<(), TailError> {
        // At the log's start, or after a state, the next batch is counted from its first record.
        let mut whole = self.size() == 0 || self.states.back().is_some_and(|state| state.size == self.size());
        let mut batches: BTreeMap<BatchNumber, u32> = BTreeMap::new();
        for entry in entries {
            let index = self.size();
            self.frontier.append(&[log::leaf_hash(entry)]).map_err(|_| TailError::Malformed)?;
            match LogLeaf::from_bytes(entry).map_err(|_| TailError::Malformed)? {
                LogLeaf::Record { record, .. } => *batches.entry(record.batch).or_default() += 1,
                LogLeaf::State(leaf) => {
                    let (size, root) = (self.frontier.size(), TreeRoot(self.frontier.root()));
                    let batches = std::mem::take(&mut batches).into_iter().collect();
                    self.states.push_back(KnownState { leaf, size, root, batches, whole, seen_at_ms });
                    whole = true;
                }
                // No record of a batch.
                other => self.events.take(index, other),
            }
        }
        while self.states.len() > STATES_MAX {
            self.states.pop_front();
        }
        Ok(())
    }
}

/// Index `n` as three digits a folder, all but the last with an `x`: `x001/x234/067`.
pub fn tile_index(n: u64) -> String {
    let mut text = format!("{:03}", n % 1_000);
    let mut rest = n / 1_000;
    while rest > 0 {
        text = format!("x{:03}/{text}", rest % 1_000);
        rest /= 1_000;
    }
    text
}

async fn tile(upstream: &Upstream, kind: &str, n: u64, width: u64, bytes_max: usize) -> Result<Vec<u8>, UpstreamError> {
    let whole = format!("/log/tile/{kind}/{}", tile_index(n));
    if width == TILE_WIDTH {
        return upstream.bytes(&whole, bytes_max).await;
    }
    match upstream.bytes(&format!("{whole}.p/{width}"), bytes_max).await {
        // A log may drop a partial tile once the whole one exists.
        Err(UpstreamError::Refused(problem)) if problem.status == 404 => upstream.bytes(&whole, bytes_max).await,
        answer => answer,
    }
}

async fn entries(upstream: &Upstream, from: u64, to: u64) -> Result<Vec<Vec<u8>>, TailError> {
    let mut found = Vec::new();
    let mut at = from;
    while at < to {
        let n = at / TILE_WIDTH;
        let width = TILE_WIDTH.min(to - n * TILE_WIDTH);
        let bundle = entries_of(&tile(upstream, "entries", n, width, BUNDLE_BYTES_MAX).await?)?;
        let skip = usize::try_from(at - n * TILE_WIDTH).expect("below 256");
        let take = usize::try_from(width).expect("at most 256") - skip;
        let before = found.len();
        found.extend(bundle.into_iter().skip(skip).take(take));
        if found.len() - before != take {
            return Err(TailError::Malformed);
        }
        at = n * TILE_WIDTH + width;
    }
    Ok(found)
}

fn entries_of(mut bundle: &[u8]) -> Result<Vec<Vec<u8>>, TailError> {
    let mut entries = Vec::new();
    while let Some((length, rest)) = bundle.split_first_chunk::<2>() {
        let (entry, rest) = rest.split_at_checked(u16::from_be_bytes(*length).into()).ok_or(TailError::Malformed)?;
        entries.push(entry.to_vec());
        bundle = rest;
    }
    if bundle.is_empty() { Ok(entries) } else { Err(TailError::Malformed) }
}

/// Complete subtrees from tiles: node (8·L + r, i) is the root of the 2^r hashes from i·2^r of level L.
#[derive(Default)]
struct Nodes(BTreeMap<log::Position, Hash>);

impl LogReader for Nodes {
    fn node(&self, level: u8, index: u64) -> Result<Option<Hash>, ReadError> {
        Ok(self.0.get(&(level, index)).copied())
    }
}

/// The peaks before leaf `base`, a multiple of 256. Not believed until a root comes out of them.
async fn frontier_at(upstream: &Upstream, base: u64) -> Result<Frontier, TailError> {
    let mut nodes = Nodes::default();
    let mut rest = base;
    while rest > 0 {
        let level = rest.trailing_zeros() as u8;
        rest &= rest - 1;
        let index = rest >> level;
        let (tile_level, height) = (level / 8, level % 8);
        let first = index << height;
        let n = first / TILE_WIDTH;
        // The tile as it stands at `base`: whatever lies left of the frontier is complete.
        let width = TILE_WIDTH.min((base >> (8 * u32::from(tile_level))) - n * TILE_WIDTH);
        let bytes = tile(upstream, &tile_level.to_string(), n, width, TILE_BYTES_MAX).await?;
        let start = usize::try_from(first - n * TILE_WIDTH).expect("below 256") * 32;
        let hashes = bytes.get(start..start + (32 << height)).ok_or(TailError::Malformed)?;
        nodes.0.insert((level, index), root_of(hashes));
    }
    Frontier::load(&nodes, base).map_err(|_| TailError::Malformed)
}

fn root_of(hashes: &[u8]) -> Hash {
    use ledger_tree::merkle::TreeHasher;
    match <&[u8; 32]>::try_from(hashes) {
        Ok(hash) => *hash,
        Err(_) => {
            let (left, right) = hashes.split_at(hashes.len() / 2);
            log::Rfc6962.node(&root_of(left), &root_of(right))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tile_indexes_are_three_digits_a_folder() {
        for (n, text) in [(0, "000"), (67, "067"), (999, "999"), (1_000, "x001/000"), (1_234_067, "x001/x234/067")] {
            assert_eq!(tile_index(n), text);
        }
    }

    #[test]
    fn a_bundle_that_is_cut_is_malformed() {
        assert_eq!(entries_of(&[0, 2, 7, 8, 0, 0]).unwrap(), vec![vec![7, 8], vec![]]);
        for bundle in [&[0u8][..], &[0, 2, 7], &[0, 0, 0]] {
            assert!(entries_of(bundle).is_err(), "{bundle:?}");
        }
    }
}
