//! The states that this node can offer to one that joins: taken, hashed in the background, served in pieces (B-7).
//!
//! What stays true here:
//! - At a snapshot height the rows are kept aside, within the commit of that height, in a folder that shares the database's files. A
//!   start takes again what a crash left undone, so the hash is known whenever the state root needs it; who needs it waits.
//! - What is served comes from that folder, whatever heights follow. The newest two states are kept: whoever began with one has
//!   10,000 heights to finish.
//!
//! ```text
//! snapshots/<height>/   the rows after that height, in hard links
//! ```

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;

use ledger_state::Ledger;
use ledger_tree::log;
use ledger_types::encoding::Encode;
use ledger_types::hand_over::HandOver;
use ledger_types::snapshot::{Chunks, Part, SNAPSHOT_HEIGHTS, SnapshotCommitment, chunk_hash, is_snapshot_height};
use ledger_types::{Chain, Height};

use crate::columns::{self, ChunkRow, SnapshotRow};
use crate::database::{Database, Scan};
use crate::error::{OpenError, StoreError};
use crate::folder::{parent_of, sync_folder};
use crate::offer::{BLOCKS, HandOvers, Hashes, Headers, LEAVES_PER_CHUNK, LEVEL_OF_CHUNKS, Offer, Piece};
use crate::options::Memory;
use crate::parts;
use crate::store::{Losses, Tip};

pub(crate) struct Offers {
    folder: PathBuf,
    chain: Chain,
    /// The ledger's.
    database: Arc<Database>,
    states: Mutex<BTreeMap<Height, State>>,
    changed: Condvar,
    stopping: AtomicBool,
}

/// A state that this node serves to others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeptSnapshot {
    pub height: Height,
    /// Of its files, most of which are the ledger's own for as long as that needs them.
    pub bytes: u64,
}

enum State {
    Hashing,
    Failed(StoreError),
    Hashed { row: Arc<SnapshotRow>, rows: Option<Arc<Database>> },
}

/// The thread that hashes. Dropped, it ends within a chunk, or once the file of coins is written; the next start begins it anew.
pub(crate) struct Hashing {
    offers: Arc<Offers>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Drop for Hashing {
    fn drop(&mut self) {
        self.offers.stopping.store(true, Ordering::SeqCst);
        self.wait();
    }
}

impl Hashing {
    /// Looks at what stands in the folder of a ledger that is being opened.
    pub fn open(folder: PathBuf, chain: Chain, database: Arc<Database>, tip: &Ledger) -> Result<Self, OpenError> {
        fs::create_dir_all(&folder).map_err(OpenError::io(&folder, "the folder cannot be created"))?;
        let (states, changed, stopping) = Default::default();
        let offers = Arc::new(Offers { folder, chain, database, states, changed, stopping });
        let hashing = Hashing { offers: offers.clone(), thread: Mutex::default() };
        for row in offers.database.scan(&columns::SNAPSHOTS, Scan::all()) {
            let (height, row) = row?;
            // The hash is what this node needs; the rows are for others.
            let rows = offers.exists(height).then(|| offers.rows(height)).transpose().unwrap_or_else(|error| {
                tracing::warn!(%height, %error, "this height's snapshot is not offered");
                None
            });
            offers.lock().insert(height, State::Hashed { row: Arc::new(row), rows });
        }
        let newest = Height(tip.height.0 - tip.height.0 % SNAPSHOT_HEIGHTS);
        offers.remove_strays(newest)?;
        let is_hashed = offers.lock().contains_key(&newest);
        if newest == tip.height {
            hashing.take(newest)?;
        } else if !is_hashed && offers.exists(newest) {
            hashing.begin(newest)?;
        }
        Ok(hashing)
    }

    pub fn offers(&self) -> &Arc<Offers> {
        &self.offers
    }

    /// Keeps the rows of this moment aside if this height is to be hashed. No height is committed meanwhile.
    pub fn take(&self, height: Height) -> Result<(), OpenError> {
        if !is_snapshot_height(height) || self.offers.lock().contains_key(&height) {
            return Ok(());
        }
        if !self.offers.exists(height) {
            self.wait();
            self.offers.forget_before(Height(height.0.saturating_sub(SNAPSHOT_HEIGHTS)))?;
            self.offers.keep_aside(height)?;
        }
        self.begin(height)
    }

    fn begin(&self, height: Height) -> Result<(), OpenError> {
        let rows = self.offers.rows(height)?;
        self.offers.lock().insert(height, State::Hashing);
        let offers = self.offers.clone();
        let hash = move || offers.hash_rows(height, rows);
        let thread = std::thread::Builder::new().name("snapshot".into()).spawn(hash);
        let thread = thread.map_err(OpenError::io(&self.offers.folder, "no thread can be begun"))?;
        *self.thread.lock().expect("no holder of this lock panics") = Some(thread);
        Ok(())
    }

    /// Until no state is being hashed.
    pub fn wait(&self) {
        let mut thread = self.thread.lock().expect("no holder of this lock panics");
        thread.take().into_iter().for_each(|thread| drop(thread.join()));
    }
}

impl Offers {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Height, State>> {
        self.states.lock().expect("no holder of this lock panics")
    }

    fn path(&self, height: Height) -> PathBuf {
        self.folder.join(height.to_string())
    }

    fn exists(&self, height: Height) -> bool {
        self.path(height).is_dir()
    }

    fn rows(&self, height: Height) -> Result<Arc<Database>, OpenError> {
        let name = "snapshot's";
        let damage = self.database.damage().clone();
        let rows = Database::open(&self.path(height), name, columns::ALL, Memory::SMALL, Losses::Refuse, damage)?;
        Ok(Arc::new(rows))
    }

    /// There whole or not at all.
    fn keep_aside(&self, height: Height) -> Result<(), OpenError> {
        let (path, building) = (self.path(height), self.folder.join("building"));
        remove(&building)?;
        self.database.copy_to(&building)?;
        sync_folder(&building)?;
        fs::rename(&building, &path).map_err(OpenError::io(&path, "the folder cannot be renamed into its place"))?;
        sync_folder(parent_of(&path))
    }

    fn forget_before(&self, oldest: Height) -> Result<(), OpenError> {
        let mut states = self.lock();
        let kept = states.split_off(&oldest);
        let gone = std::mem::replace(&mut *states, kept);
        drop(states);
        let mut writes = self.database.writes();
        writes.delete_all(&columns::SNAPSHOTS, gone.keys());
        writes.commit()?;
        gone.into_keys().try_for_each(|height| remove(&self.path(height)))
    }

    /// What a crash left: a folder whose row is deleted already, or one that was not whole yet.
    fn remove_strays(&self, newest: Height) -> Result<(), OpenError> {
        let kept: Vec<_> = self.lock().keys().copied().chain([newest]).map(|height| self.path(height)).collect();
        let unreadable = |error| OpenError::io(&self.folder, "the folder cannot be read")(error);
        for entry in fs::read_dir(&self.folder).map_err(unreadable)? {
            let path = entry.map_err(unreadable)?.path();
            if path.is_dir() && !kept.contains(&path) {
                remove(&path)?;
            }
        }
        Ok(())
    }

    fn hash_rows(&self, height: Height, rows: Arc<Database>) {
        // It is served for long: from the file, not from memory.
        if let Err(error) = rows.file_coins() {
            tracing::warn!(%height, %error, "the snapshot of this height keeps changes of coins in memory");
        }
        let hashed = self.chunks_of(height, &rows).and_then(|row| {
            let mut writes = self.database.writes();
            writes.put(&columns::SNAPSHOTS, &height, &row)?;
            writes.commit()?;
            Ok(row)
        });
        let state = match hashed {
            Ok(row) => State::Hashed { row: Arc::new(row), rows: Some(rows) },
            Err(error) => {
                if !self.stopping.load(Ordering::SeqCst) {
                    tracing::error!(%height, %error, "the snapshot of this height cannot be hashed");
                }
                State::Failed(error)
            }
        };
        self.lock().insert(height, state);
        self.changed.notify_all();
    }

    fn chunks_of(&self, height: Height, rows: &Database) -> Result<SnapshotRow, StoreError> {
        let (mut chunks, mut list, mut hashes) = (Chunks::default(), Vec::new(), Vec::new());
        for part in Part::ALL {
            for row in parts::rows(rows, *part, &[]) {
                let (key, row) = row?;
                if chunks.begins(*part) {
                    list.push(ChunkRow { part: *part as u8, first: key });
                    if self.stopping.load(Ordering::SeqCst) {
                        return Err(StoreError::Stopped);
                    }
                }
                hashes.extend(chunks.put(*part, &row).map(|chunk| chunk_hash(&self.chain, &chunk)));
            }
        }
        hashes.extend(chunks.end().map(|chunk| chunk_hash(&self.chain, &chunk)));
        let missing = || rows.corrupt(format!("height {height}"), "its ledger is missing");
        let block = rows.get(&columns::LEDGER, &())?.ok_or_else(missing)?.block;
        let hash = SnapshotCommitment { height, block, chunks: &hashes }.hash(&self.chain);
        Ok(SnapshotRow { hash, chunks: list, hashes })
    }

    /// Waits while it is being computed.
    pub fn hash(&self, height: Height) -> Result<[u8; 32], StoreError> {
        let mut states = self.lock();
        loop {
            match states.get(&height) {
                Some(State::Hashed { row, .. }) => return Ok(row.hash),
                Some(State::Failed(error)) => return Err(error.clone()),
                Some(State::Hashing) => states = self.changed.wait(states).expect("no holder of this lock panics"),
                None => {
                    let fault = "neither its hash nor its rows are there";
                    return Err(self.database.corrupt(format!("the snapshot of height {height}"), fault));
                }
            }
        }
    }

    /// Whether every state that was taken is hashed; the error of one that could not be.
    pub fn are_hashed(&self) -> Result<bool, StoreError> {
        let states = self.lock();
        let failed =
            states.values().find_map(|state| if let State::Failed(error) = state { Some(error.clone()) } else { None });
        failed.map_or_else(|| Ok(!states.values().any(|state| matches!(state, State::Hashing))), Err)
    }

    fn served(&self, height: Height) -> Option<(Arc<SnapshotRow>, Arc<Database>)> {
        match self.lock().get(&height)? {
            State::Hashed { row, rows } => Some((row.clone(), rows.clone()?)),
            State::Hashing | State::Failed(_) => None,
        }
    }

    /// None while the newest that can be checked, `bound`, is not served.
    pub fn oldest_served(&self, bound: Height) -> Option<Height> {
        self.served(bound)?;
        let heights: Vec<_> = self.lock().keys().copied().collect();
        heights.into_iter().find(|height| self.served(*height).is_some())
    }

    /// Those whose pieces are served, ascending.
    pub fn kept(&self) -> Result<Vec<KeptSnapshot>, OpenError> {
        let heights: Vec<_> = self.lock().keys().copied().collect();
        let kept = heights.into_iter().filter(|height| self.served(*height).is_some());
        kept.map(|height| Ok(KeptSnapshot { height, bytes: bytes_in(&self.path(height))? })).collect()
    }

    /// The state that the tip's block commits to, if it is kept here. `hand_overs`: all up to the tip.
    pub fn offer(&self, tip: &Tip, hand_overs: Vec<HandOver>) -> Result<Option<Offer>, StoreError> {
        let (Some(anchor), Some(certificate)) = (tip.header.clone(), tip.certificate.clone()) else { return Ok(None) };
        let Some(snapshot) = tip.ledger.snapshot else { return Ok(None) };
        let Some((row, rows)) = self.served(snapshot.height) else { return Ok(None) };
        let missing = |what: &str| rows.corrupt(format!("the snapshot of height {}", snapshot.height), what);
        let first = snapshot.height.0.saturating_sub(BLOCKS - 1).max(1);
        let header = |height| rows.get(&columns::BLOCKS, &Height(height))?.ok_or_else(|| missing("a block is missing"));
        let headers: Vec<_> =
            (first..=snapshot.height.0).map(|height| Ok(header(height)?.header)).collect::<Result<_, StoreError>>()?;
        let log_size = headers.last().expect("the snapshot's own is among them").log_size;
        let node = |level: u8, index| {
            rows.get(&columns::LOG_NODES, &(level, index))?.ok_or_else(|| missing("a node of the log is missing"))
        };
        let whole = log_size / LEAVES_PER_CHUNK;
        let mut log_chunks: Vec<_> =
            (0..whole).map(|index| node(LEVEL_OF_CHUNKS, index)).collect::<Result<_, StoreError>>()?;
        let rest: Vec<_> =
            (whole * LEAVES_PER_CHUNK..log_size).map(|index| node(0, index)).collect::<Result<_, StoreError>>()?;
        if !rest.is_empty() {
            log_chunks.push(log::root_of_leaves(&rest));
        }
        Ok(Some(Offer {
            hand_overs: HandOvers(hand_overs),
            anchor,
            certificate,
            parts: tip.ledger.state_root_parts(&self.chain),
            headers: Headers(headers),
            chunks: Hashes(row.hashes.clone()),
            log_chunks: Hashes(log_chunks),
        }))
    }

    /// None for what is not kept, or no longer.
    pub fn piece(&self, height: Height, piece: Piece) -> Result<Option<Vec<u8>>, StoreError> {
        let Some((row, rows)) = self.served(height) else { return Ok(None) };
        match piece {
            Piece::Rows(index) => row.chunks.get(index as usize).map(|chunk| rows_from(&rows, chunk)).transpose(),
            Piece::Leaves(index) => leaves_from(&rows, u64::from(index) * LEAVES_PER_CHUNK),
            Piece::Block(index) => {
                let first = height.0.saturating_sub(BLOCKS - 1).max(1);
                let at = Height(first + u64::from(index));
                let (block, certificate) =
                    (rows.get(&columns::BLOCKS, &at)?, rows.get(&columns::COMMIT_CERTIFICATES, &at)?);
                Ok(block
                    .zip(certificate)
                    .map(|(block, certificate)| [block.to_bytes(), certificate.to_bytes()].concat()))
            }
        }
    }
}

fn rows_from(rows: &Database, chunk: &ChunkRow) -> Result<Vec<u8>, StoreError> {
    let corrupt = || rows.corrupt("the list of a snapshot's chunks", format!("part {}", chunk.part));
    let part = Part::ALL.iter().find(|part| **part as u8 == chunk.part).ok_or_else(corrupt)?;
    let mut chunks = Chunks::default();
    for row in parts::rows(rows, *part, &chunk.first) {
        if let Some(chunk) = chunks.put(*part, &row?.1).next() {
            return Ok(chunk);
        }
    }
    chunks.end().ok_or_else(corrupt)
}

fn leaves_from(rows: &Database, first: u64) -> Result<Option<Vec<u8>>, StoreError> {
    let mut chunk = Vec::new();
    let leaves = rows.scan(&columns::LOG_LEAVES, Scan::all().starting_at(&first));
    for leaf in leaves.take(LEAVES_PER_CHUNK as usize) {
        let (_, leaf) = leaf?;
        (leaf.len() as u32).encode(&mut chunk);
        chunk.extend_from_slice(&leaf);
    }
    Ok(Some(chunk).filter(|chunk| !chunk.is_empty()))
}

fn bytes_in(folder: &Path) -> Result<u64, OpenError> {
    let sum = || fs::read_dir(folder)?.map(|file| Ok(file?.metadata()?.len())).sum::<std::io::Result<u64>>();
    sum().map_err(OpenError::io(folder, "the folder cannot be read"))
}

fn remove(folder: &Path) -> Result<(), OpenError> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(OpenError::io(folder, "the folder cannot be removed")(error))
        }
        _ => Ok(()),
    }
}
