//! A folder that begins at a snapshot (B-7).
//!
//! What stays true here:
//! - Every byte that is written is of a [`Checked`] piece, or follows from such: log and map are built, not believed, and lead to the
//!   roots of the snapshot's header before the folder gets its name.
//! - The folder is built beside its place without a log, flushed, synced and renamed: what a crash leaves is begun anew, and a half
//!   state is never opened.
//! - Like any folder, what stands in it is proved again when it is opened ([`crate::proof`]).
//!
//! Not in the folder: blocks before the last [`crate::offer::BLOCKS`], bundles, results and where envelopes were ordered: the first
//! height held is the one after the snapshot's. Nor versions of the map before the snapshot's, nor checkpoints.

use std::path::Path;

use ledger_state::{
    Ledger, MapEntry, Rules, entries_of_small_state, entry_of_feed_item, entry_of_hand_over, entry_of_obligation,
    entry_of_record, rows_of_leaves,
};
use ledger_tree::log::{self, Frontier};
use ledger_tree::map::{self, Version};
use ledger_types::TreeRoot;
use ledger_types::encoding::Decode;
use ledger_types::genesis::Genesis;
use ledger_types::hand_over::HandOver;
use ledger_types::log_leaf::LogLeaf;

use crate::bundles::{self, AckGuard};
use crate::columns::{self, MetaRow, SnapshotRow};
use crate::commit;
use crate::database::{Database, Scan};
use crate::error::{OpenError, StoreError};
use crate::folder;
use crate::offer::{Checked, CheckedOffer, Content};
use crate::options::Memory;
use crate::parts;
use crate::snapshot::StateView;
use crate::store::{BUNDLES_FOLDER, STATE_FOLDER, marker};

/// Of one update of the map: a few megabytes.
const ENTRIES_PER_UPDATE: usize = 10_000;
/// Held in memory at once while the map is built: some 150 MB.
const ENTRIES_PER_PASS: u64 = 1 << 20;

/// Why no folder was made.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    #[error(transparent)]
    Folder(#[from] OpenError),
    /// Whoever fetches the pieces has given up.
    #[error("the snapshot was not fetched whole: {0}")]
    Pieces(String),
    /// A quorum stood for it, and it contradicts itself.
    #[error("the snapshot does not lead to the roots of its own block: {0} differs")]
    Unsound(&'static str),
}

impl From<StoreError> for JoinError {
    fn from(error: StoreError) -> Self {
        JoinError::Folder(error.into())
    }
}

impl From<parts::PartError> for JoinError {
    fn from(error: parts::PartError) -> Self {
        match error {
            parts::PartError::Encoding(_) => JoinError::Unsound("a row"),
            parts::PartError::Store(error) => error.into(),
        }
    }
}

/// Whether a node at this path begins from nothing: what stands there is kept.
pub fn begins_from_nothing(path: &Path) -> Result<bool, OpenError> {
    Ok(!folder::exists(path)?)
}

/// Makes the ledger's folder at `path` from the pieces of a checked offer, in the order of [`CheckedOffer::pieces`]. `guard` holds what
/// this validator acked while it had another folder.
pub fn join(
    path: &Path,
    genesis: Genesis,
    memory: Memory,
    guard: Option<&AckGuard>,
    offer: &CheckedOffer,
    pieces: impl IntoIterator<Item = Result<Checked, String>>,
) -> Result<(), JoinError> {
    let rules = Rules::new(genesis);
    folder::create(path, &marker(&rules), |building| {
        let database = Database::create(&building.join(STATE_FOLDER), "ledger", columns::ALL, memory)?;
        let mut import = Import { rules: &rules, offer, database: &database, ledger: None, log: Frontier::default() };
        let mut expected = offer.pieces();
        for piece in pieces {
            let piece = piece.map_err(JoinError::Pieces)?;
            if expected.next() != Some(piece.piece) {
                return Err(JoinError::Pieces(format!("{} is out of turn", piece.piece)));
            }
            import.put(piece)?;
        }
        if let Some(missing) = expected.next() {
            return Err(JoinError::Pieces(format!("{missing} is missing")));
        }
        import.finish()?;
        database.flush(columns::ALL)?;
        database.compact(columns::ALL)?;
        Ok(bundles::create(&building.join(BUNDLES_FOLDER), &rules.chain, guard)?)
    })
}

struct Import<'a> {
    rules: &'a Rules,
    offer: &'a CheckedOffer,
    database: &'a Database,
    ledger: Option<Ledger>,
    log: Frontier,
}

impl Import<'_> {
    fn put(&mut self, piece: Checked) -> Result<(), JoinError> {
        let mut writes = self.database.writes();
        match piece.content {
            Content::Rows(rows) => self.ledger = parts::write(&mut writes, &rows)?.or(self.ledger.take()),
            Content::Leaves(leaves) => {
                let first = self.log.size();
                let hashes: Vec<_> = leaves.iter().map(|leaf| log::leaf_hash(leaf)).collect();
                let decoded: Result<Vec<_>, _> = leaves.iter().map(|leaf| LogLeaf::from_bytes(leaf)).collect();
                let mut changes = rows_of_leaves(first, &decoded.map_err(|_| JoinError::Unsound("a leaf"))?);
                changes.log_nodes = self.log.append(&hashes).map_err(|_| JoinError::Unsound("the log"))?.nodes;
                changes.log_leaves = (first..).zip(leaves).collect();
                commit::write_changes(&mut writes, &changes)?;
            }
            Content::Block(decided) => {
                let (block, certificate) = *decided;
                let height = block.header.height;
                writes.put(&columns::BLOCK_HEIGHTS, &certificate.block, &height)?;
                writes.put(&columns::COMMIT_CERTIFICATES, &height, &certificate)?;
                writes.put(&columns::BLOCKS, &height, &block)?;
            }
        }
        Ok(writes.load()?)
    }

    fn finish(mut self) -> Result<(), JoinError> {
        let (chain, header) = (&self.rules.chain, self.offer.header());
        let ledger = self.ledger.take().ok_or(JoinError::Unsound("the small state"))?;
        if (ledger.height, ledger.block) != (self.offer.height(), self.offer.block(self.rules))
            || ledger.state_root(chain) != header.state_root
        {
            return Err(JoinError::Unsound("the small state"));
        }
        if (self.log.size(), TreeRoot(self.log.root())) != (header.log_size, header.log_root) {
            return Err(JoinError::Unsound("the log"));
        }
        let mut writes = self.database.writes();
        // Published, and not in the log before the next batch (L-1).
        let waiting = rows_of_leaves(self.log.size(), &ledger.events_to_log).feed_items;
        for item in waiting {
            writes.put(&columns::FEED_ITEMS, &(item.head.feed, item.head.period, item.head.vintage), &item)?;
        }
        writes.load()?;
        if self.build_map(&ledger)? != header.map_root {
            return Err(JoinError::Unsound("the map"));
        }

        let mut writes = self.database.writes();
        commit::write_ledger(&mut writes, &ledger)?;
        writes.put(&columns::META, &MetaRow::PrunedTo, &ledger.height.0.to_le_bytes().to_vec())?;
        writes.put(&columns::META, &MetaRow::HistoryFrom, &ledger.height.next().0.to_le_bytes().to_vec())?;
        let first = self.rules.genesis.directory.validators();
        writes.put(&columns::VALIDATOR_SETS, &first.hash(chain), &first)?;
        for hand_over in self.hand_overs(&ledger) {
            let incoming = &hand_over.order.incoming;
            writes.put(&columns::VALIDATOR_SETS, &incoming.hash(chain), incoming)?;
            writes.put(&columns::HAND_OVERS, &hand_over.order.number, hand_over)?;
        }
        let row = SnapshotRow { hash: *self.offer.hash(), ..SnapshotRow::default() };
        writes.put(&columns::SNAPSHOTS, &ledger.height, &row)?;
        Ok(writes.load()?)
    }

    /// In the order of the keys, so that each update rewrites its own branch only; in as many passes over the rows as memory asks for.
    fn build_map(&self, ledger: &Ledger) -> Result<TreeRoot, JoinError> {
        let mut map = Map { database: self.database, version: None, updates: 0 };
        let bits = self.log.size().div_ceil(ENTRIES_PER_PASS).max(1).next_power_of_two().ilog2();
        for pass in 0..1u64 << bits {
            let mut entries = self.entries(ledger, |key| {
                let first = u64::from_be_bytes(*key.first_chunk().expect("8 of 32 bytes"));
                first.checked_shr(64 - bits).unwrap_or(0) == pass
            })?;
            entries.sort_unstable();
            for entries in entries.chunks(ENTRIES_PER_UPDATE) {
                map.update(entries)?;
            }
        }
        map.end(ledger)
    }

    /// Those that had bound when the snapshot was taken.
    fn hand_overs(&self, ledger: &Ledger) -> &[HandOver] {
        let bound = ledger.validators.hand_overs as usize;
        let offered = &self.offer.offer.hand_overs.0;
        &offered[..bound.min(offered.len())]
    }

    fn entries(&self, ledger: &Ledger, is_wanted: impl Fn(&[u8; 32]) -> bool) -> Result<Vec<MapEntry>, StoreError> {
        let mut entries = entries_of_small_state(&self.rules.chain, ledger);
        entries.retain(|(key, _)| is_wanted(key));
        let mut put = |entry: MapEntry| {
            if is_wanted(&entry.0) {
                entries.push(entry)
            }
        };
        for hand_over in self.hand_overs(ledger) {
            put(entry_of_hand_over(&self.rules.chain, hand_over));
        }
        for row in self.database.scan(&columns::RECORDS, Scan::all()) {
            let (coin, record) = row?;
            put(entry_of_record(&coin, &record));
        }
        for row in self.database.scan(&columns::FEED_ITEMS, Scan::all()) {
            put(entry_of_feed_item(&row?.1));
        }
        for row in self.database.scan(&columns::OBLIGATIONS, Scan::all()) {
            let (id, open) = row?;
            put(entry_of_obligation(&id, &open));
        }
        Ok(entries)
    }
}

/// The map while it is being built. Only its last version is kept.
struct Map<'a> {
    database: &'a Database,
    version: Option<Version>,
    updates: u32,
}

impl Map<'_> {
    fn update(&mut self, entries: &[MapEntry]) -> Result<(), JoinError> {
        let version = Version::genesis_chunk(self.updates).ok_or(JoinError::Unsound("the size of the map"))?;
        self.updates += 1;
        self.write(version, entries).map(drop)
    }

    fn end(mut self, ledger: &Ledger) -> Result<TreeRoot, JoinError> {
        self.write(Version::after_height(ledger.height.0), &[])
    }

    fn write(&mut self, version: Version, entries: &[MapEntry]) -> Result<TreeRoot, JoinError> {
        let changes = entries.iter().map(|(key, value)| (*key, Some(value.clone()))).collect();
        let update = map::update(&StateView(self.database.view()), self.version, version, changes);
        let update = update.map_err(|error| StoreError::corrupt("the map that is being built", error))?;
        let mut writes = self.database.writes();
        writes.put_all(&columns::MAP_NODES, update.nodes.iter().map(|(key, node)| (key, node)))?;
        writes.delete_all(&columns::MAP_NODES, &update.stale_nodes);
        writes.load()?;
        self.version = Some(version);
        Ok(TreeRoot(update.root))
    }
}
