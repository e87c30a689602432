//! What a start finds in the bundle files.
//!
//! What stays true here: no bundle file is changed before everything has been checked, so a refusal leaves the evidence as it
//! was; and what a start goes on from is synced first, since after a crash it may stand in the page cache alone.
//!
//! A folder that is created beside a guard with acks, since the operator emptied the one before, does not hold their bundles. It
//! says so itself, so that a later start tells them from bundles that it has lost:
//!
//! ```text
//! acked-before      (submitter u16 ‖ incarnation u32 ‖ sequence u64 ‖ digest[32])* ‖ BLAKE3 of all before it[32]
//! ```

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, RwLock};

use ledger_types::bundle::Slot;
use ledger_types::encoding::{Encode, Reader};
use ledger_types::{BundleDigest, Chain};

use super::guard::AckGuard;
use super::segment::{self, HEAD_BYTES, Segment, Synced};
use super::{Bundles, Files, Index, SegmentCount};
use crate::columns::{self, MetaRow, SegmentRow};
use crate::copy::copy_beginning;
use crate::database::{Database, Scan};
use crate::error::{OpenError, StoreError};
use crate::folder::sync_folder;
use crate::store::{Losses, StoreOptions};

const ACKED_BEFORE_FILE: &str = "acked-before";

/// An empty folder of bundles, within a folder that is being created.
pub(crate) fn create(folder: &Path, chain: &Chain, guard: Option<&AckGuard>) -> Result<(), OpenError> {
    fs::create_dir(folder).map_err(OpenError::io(folder, "the folder of bundles cannot be created"))?;
    let acked: Vec<_> = guard.into_iter().flat_map(AckGuard::iter).collect();
    if !acked.is_empty() {
        write_acked_before(&folder.join(ACKED_BEFORE_FILE), &acked)?;
    }
    Segment::create(folder, 0, chain.genesis_hash())?;
    sync_folder(folder)
}

/// The list of a folder that is copied, if it has one.
pub(super) fn copy_earlier_acks(from: &Path, to: &Path) -> Result<(), OpenError> {
    let from = from.join(ACKED_BEFORE_FILE);
    match fs::metadata(&from) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        found => found
            .and_then(|metadata| copy_beginning(&from, &to.join(ACKED_BEFORE_FILE), metadata.len()))
            .map_err(OpenError::io(&from, "the list of earlier acks cannot be copied")),
    }
}

/// For a folder that was put back from a copy: what the guard holds was acked before, and may have had its bundle elsewhere.
pub(crate) fn note_earlier_acks(folder: &Path, guard: &AckGuard) -> Result<(), OpenError> {
    let path = folder.join(ACKED_BEFORE_FILE);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(OpenError::io(&path, "the list of earlier acks cannot be replaced")(error));
        }
        _ => {}
    }
    write_acked_before(&path, &guard.iter().collect::<Vec<_>>())?;
    sync_folder(folder)
}

fn write_acked_before(path: &Path, acked: &[(&Slot, &BundleDigest)]) -> Result<(), OpenError> {
    let mut bytes = Vec::new();
    for (slot, digest) in acked {
        slot.encode(&mut bytes);
        digest.encode(&mut bytes);
    }
    bytes.extend_from_slice(blake3::hash(&bytes).as_bytes());
    let written = File::create_new(path).and_then(|mut file| {
        file.write_all(&bytes)?;
        file.sync_all()
    });
    written.map_err(OpenError::io(path, "the list of earlier acks cannot be written"))
}

/// Acks that are older than the folder.
fn acked_before(path: &Path) -> Result<HashMap<Slot, BundleDigest>, OpenError> {
    let bytes = match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(HashMap::new()),
        read => read.map_err(OpenError::io(path, "the list of earlier acks cannot be read"))?,
    };
    let damaged = || OpenError::BundlesDamaged { path: path.to_owned(), offset: 0, fault: "its checksum differs" };
    let (mut list, checksum) = bytes.split_last_chunk::<32>().ok_or_else(damaged)?;
    if blake3::hash(list) != *checksum {
        return Err(damaged());
    }
    let mut acked = HashMap::new();
    while !list.is_empty() {
        let mut reader = Reader::new(list);
        let (slot, digest) = reader.read().and_then(|slot| Ok((slot, reader.read()?))).map_err(|_| damaged())?;
        list = &list[list.len() - reader.remaining()..];
        acked.insert(slot, digest);
    }
    Ok(acked)
}

/// The rows that say what the files must hold.
struct Rows {
    segments: HashMap<u32, SegmentRow>,
    first_open: u32,
}

impl Rows {
    fn read(database: &Database) -> Result<Self, StoreError> {
        let segments = database.scan(&columns::SEGMENTS, Scan::all()).collect::<Result<_, _>>()?;
        let first_open = match database.get(&columns::META, &MetaRow::FirstOpenSegment)? {
            None => 0,
            Some(bytes) => {
                let bytes = bytes
                    .try_into()
                    .map_err(|_| StoreError::corrupt("the number of the first open segment", "not four bytes"))?;
                u32::from_le_bytes(bytes)
            }
        };
        Ok(Rows { segments, first_open })
    }

    /// History that is not scanned must at least be there.
    fn check_lengths(&self, folder: &Path) -> Result<(), OpenError> {
        for (number, row) in &self.segments {
            let path = segment::path(folder, *number);
            if fs::metadata(&path).map_or(0, |metadata| metadata.len()) < row.end {
                return Err(OpenError::BundlesMissing { path, end: row.end });
            }
        }
        Ok(())
    }
}

impl Bundles {
    /// `is_open`: whether a block after the tip may hold the slot.
    pub(crate) fn open(
        folder: &Path,
        chain: Chain,
        database: Arc<Database>,
        options: &StoreOptions,
        guard: Option<AckGuard>,
        is_open: impl Fn(&Slot) -> bool,
    ) -> Result<Self, OpenError> {
        let rows = Rows::read(&database)?;
        rows.check_lengths(folder)?;

        let mut index = Index::default();
        let mut last: Option<(Segment, u64)> = None;
        let mut broken_head = None;
        let all = segment::numbers(folder)?;
        let numbers: Vec<u32> = all.iter().copied().filter(|number| *number >= rows.first_open).collect();
        for number in &numbers {
            let is_last = Some(number) == numbers.last();
            let Some(segment) = Segment::open(folder, *number, chain.genesis_hash())? else {
                if !is_last {
                    let path = segment::path(folder, *number);
                    return Err(OpenError::BundlesDamaged { path, offset: 0, fault: "its head is broken" });
                }
                broken_head = Some(*number);
                continue;
            };
            let row = rows.segments.get(number).copied().unwrap_or_default();
            let scanned = segment.scan(if is_last { Synced::AtLeast(row.end) } else { Synced::Whole })?;
            index.segments.insert(*number, SegmentCount { unordered: 0, row });
            for (digest, place) in scanned.frames {
                if database.get(&columns::BUNDLES, &digest)?.is_none() {
                    index.insert(digest, place);
                }
            }
            last = Some((segment, scanned.end));
        }
        let before = acked_before(&folder.join(ACKED_BEFORE_FILE))?;
        let mut of_another_folder = 0;
        for (slot, digest) in guard.iter().flat_map(AckGuard::iter).filter(|(slot, _)| is_open(slot)) {
            let is_there = index.unordered.contains_key(digest) || database.get(&columns::BUNDLES, digest)?.is_some();
            if is_there {
                continue;
            }
            if before.get(slot) == Some(digest) {
                of_another_folder += 1;
                continue;
            }
            match options.losses {
                Losses::Refuse => return Err(OpenError::AckedBundleLost { slot: *slot, digest: *digest }),
                Losses::Accept => tracing::warn!(?slot, %digest, "the bundle of a guarded ack is lost"),
            }
        }
        if of_another_folder > 0 {
            tracing::warn!(
                acks = of_another_folder,
                "bundles that this validator acked before its folder was emptied are not here; they are fetched when a block holds them"
            );
        }

        // From here on the files are changed.
        let (segment, end) = match (last, broken_head) {
            (Some((segment, end)), None) => {
                let cut = segment.length()? - end;
                if cut > 0 {
                    tracing::warn!(file = %segment.path().display(), end, cut, "cut off a write that never returned");
                }
                segment.cut(end)?;
                (segment, end)
            }
            (_, Some(number)) => (Segment::create(folder, number, chain.genesis_hash())?, HEAD_BYTES),
            (None, None) => (Segment::create(folder, rows.first_open, chain.genesis_hash())?, HEAD_BYTES),
        };
        // Deleted once, but the deletion was not on disk yet.
        for number in all.iter().filter(|number| **number < rows.first_open && !rows.segments.contains_key(*number)) {
            let path = segment::path(folder, *number);
            fs::remove_file(&path).map_err(OpenError::io(&path, "the empty segment cannot be deleted"))?;
        }
        index.segments.entry(segment.number).or_default();
        let files = Files {
            segment: Arc::new(segment),
            end,
            synced: end,
            syncing: false,
            waiting: HashMap::new(),
            failed: None,
        };
        Ok(Bundles {
            chain,
            folder: folder.to_owned(),
            database,
            segment_bytes: options.segment_bytes,
            files: Mutex::new(files),
            synced: Condvar::new(),
            index: RwLock::new(index),
            guard: Mutex::new(guard),
            read_from: Mutex::new(HashMap::new()),
            oldest: Mutex::new(None),
        })
    }
}
