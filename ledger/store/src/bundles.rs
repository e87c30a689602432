//! Bundles in the order of their arrival, and the guard of the acks for them.
//!
//! What stays true here:
//! - What [`Bundles::put`] has returned for is on disk; what [`Bundles::contains`] and [`Bundles::get`] know is on disk too.
//! - What is read is checked on the way: checksum, form, digest.
//! - An ordered bundle stays until its height is pruned, an unordered one until no block can hold its slot any more.
//! - An ack is guarded only for a bundle that is stored, and for one bundle a slot (B-3).
//!
//! ```text
//!  put ──append──▶ segment file ──one sync for all who wait──▶ unordered ──commit of a height──▶ ordered (a row of the database)
//!                                                                 └──collect: slot gone──▶ forgotten ◀──height pruned──┘
//! ```
//! A start scans the segments from the first in which something was unordered at the last commit; older ones hold only ordered
//! bundles, whose number and end stand in rows and are compared with the files. Segments that hold nothing any more are deleted.
//!
//! Left to others: signatures, and whose bundles are let in.

mod guard;
mod prune;
mod recover;
mod segment;

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, RwLock};

use ledger_types::bundle::{Bundle, Slot};
use ledger_types::encoding::Encode;
use ledger_types::{BundleDigest, Chain, Height, ParticipantNumber};

use crate::columns::{self, BundleRow, SegmentRow};
use crate::copy;
use crate::database::{Database, Writes};
use crate::error::{OpenError, StoreError};
use crate::folder::sync_folder;
use segment::{Place, Segment};

pub use guard::AckGuard;
pub(crate) use recover::{create, note_earlier_acks};

/// Open files of segments that are read; history is read rarely.
const OPEN_SEGMENTS_MAX: usize = 32;

const NO_PANIC: &str = "no thread panics while it holds this lock";

pub struct Bundles {
    chain: Chain,
    folder: PathBuf,
    database: Arc<Database>,
    /// A segment that is longer gets a successor.
    segment_bytes: u64,
    files: Mutex<Files>,
    synced: Condvar,
    index: RwLock<Index>,
    /// None: this node acks nothing.
    guard: Mutex<Option<AckGuard>>,
    read_from: Mutex<HashMap<u32, Arc<Segment>>>,
    oldest: Mutex<Option<prune::Oldest>>,
}

/// A place in the sequence of all segments.
type Position = (u32, u64);

/// The writer's side.
struct Files {
    segment: Arc<Segment>,
    /// Where the next frame goes.
    end: u64,
    /// The segment is on disk up to here.
    synced: u64,
    /// A thread is syncing, for itself and for all who wait.
    syncing: bool,
    /// Written, not synced yet.
    waiting: HashMap<BundleDigest, Place>,
    failed: Option<StoreError>,
}

/// What is on disk.
#[derive(Default)]
struct Index {
    unordered: HashMap<BundleDigest, Place>,
    /// From the first open one on.
    segments: BTreeMap<u32, SegmentCount>,
}

#[derive(Clone, Copy, Debug, Default)]
struct SegmentCount {
    unordered: u32,
    row: SegmentRow,
}

/// The bundles of one block, found in the files: what its commit writes.
pub(crate) struct OrderedBundles {
    places: Vec<(BundleDigest, Place)>,
    segments: BTreeMap<u32, SegmentRow>,
    first_open: u32,
}

impl Bundles {
    /// Stores bundles with one sync, shared with whoever calls at the same time. Storing one again writes nothing.
    pub fn put(&self, bundles: &[Arc<Bundle>]) -> Result<(), StoreError> {
        let mut fresh = Vec::new();
        for bundle in bundles {
            if !self.contains(&bundle.digest())? {
                fresh.push((bundle, bundle.to_bytes()));
            }
        }
        if fresh.is_empty() {
            return Ok(());
        }
        let mut files = self.files.lock().expect(NO_PANIC);
        let mut target: Position = (0, 0);
        for (bundle, body) in &fresh {
            let digest = bundle.digest();
            let place = match files.waiting.get(&digest) {
                Some(place) => *place,
                // Since we looked, another caller may have stored it.
                None if self.index.read().expect(NO_PANIC).unordered.contains_key(&digest) => continue,
                None => {
                    files = self.next_segment_when_full(files)?;
                    self.append(&mut files, bundle, body)?
                }
            };
            target = target.max((place.segment, place.end()));
        }
        drop(self.wait_until_synced(files, target)?);
        Ok(())
    }

    fn append(&self, files: &mut Files, bundle: &Bundle, body: &[u8]) -> Result<Place, StoreError> {
        files.check()?;
        let written = files.segment.write(files.end, files.synced, bundle, body);
        let place = written.inspect_err(|error| files.failed = Some(error.clone()))?;
        files.end = place.end();
        files.waiting.insert(bundle.digest(), place);
        Ok(place)
    }

    fn next_segment_when_full<'a>(&'a self, files: MutexGuard<'a, Files>) -> Result<MutexGuard<'a, Files>, StoreError> {
        let mut files = files;
        while files.end >= self.segment_bytes {
            files = self.next_segment(files)?;
        }
        Ok(files)
    }

    /// Every segment but the last is on disk to its end: none is begun if another thread appends while this one syncs.
    fn next_segment<'a>(&'a self, files: MutexGuard<'a, Files>) -> Result<MutexGuard<'a, Files>, StoreError> {
        let full = (files.segment.number, files.end);
        let mut files = self.wait_until_synced(files, full)?;
        if (files.segment.number, files.end) != full {
            return Ok(files);
        }
        let number = full.0.checked_add(1).ok_or(StoreError::Stopped)?;
        let next = Segment::create(&self.folder, number, self.chain.genesis_hash());
        let next = Arc::new(next.inspect_err(|error| files.failed = Some(error.clone()))?);
        self.index.write().expect(NO_PANIC).segments.entry(number).or_default();
        files.segment = next;
        files.end = segment::HEAD_BYTES;
        files.synced = segment::HEAD_BYTES;
        Ok(files)
    }

    /// One thread syncs, the others wait for it; whoever finds its bundles on disk leaves.
    fn wait_until_synced<'a>(
        &'a self,
        mut files: MutexGuard<'a, Files>,
        target: Position,
    ) -> Result<MutexGuard<'a, Files>, StoreError> {
        loop {
            files.check()?;
            if (files.segment.number, files.synced) >= target {
                return Ok(files);
            }
            if files.syncing {
                files = self.synced.wait(files).expect(NO_PANIC);
                continue;
            }
            files.syncing = true;
            let (segment, synced, end) = (files.segment.clone(), files.synced, files.end);
            drop(files);
            let result = segment.sync(synced, end);
            files = self.files.lock().expect(NO_PANIC);
            files.syncing = false;
            match result {
                Ok(()) => {
                    files.synced = end;
                    self.publish(&mut files);
                }
                Err(error) => files.failed = Some(error),
            }
            self.synced.notify_all();
        }
    }

    /// Lets readers see what is on disk.
    fn publish(&self, files: &mut Files) {
        let synced = files.synced;
        let mut index = self.index.write().expect(NO_PANIC);
        files.waiting.retain(|digest, place| {
            let waits = place.end() > synced;
            if !waits {
                index.insert(*digest, *place);
            }
            waits
        });
    }

    pub fn get(&self, digest: &BundleDigest) -> Result<Option<Arc<Bundle>>, StoreError> {
        let unordered = self
            .index
            .read()
            .expect(NO_PANIC)
            .unordered
            .get(digest)
            .map(|place| (place.segment, place.offset, place.bytes));
        let place = match unordered {
            Some(place) => place,
            None => match self.database.get(&columns::BUNDLES, digest)? {
                Some(row) => (row.segment, row.offset, row.bytes),
                None => return Ok(None),
            },
        };
        match self.read(digest, place) {
            Ok(bundle) => Ok(Some(Arc::new(bundle))),
            // Forgotten while we read, and its segment with it.
            Err(_) if !self.contains(digest)? => Ok(None),
            Err(error) => Err(self.database.damage().note(error, || format!("bundle {digest}: "))),
        }
    }

    fn read(&self, digest: &BundleDigest, (segment, offset, bytes): (u32, u64, u32)) -> Result<Bundle, StoreError> {
        let segment = self.segment(segment)?;
        let body = segment.read(offset, bytes, digest)?;
        let corrupt =
            |fault: String| StoreError::corrupt(format!("{} at byte {offset}", segment.path().display()), fault);
        let bundle = Bundle::parse(&self.chain, &body).map_err(|error| corrupt(error.to_string()))?;
        match bundle.digest() == *digest {
            true => Ok(bundle),
            false => Err(corrupt(format!("the bundle there is {}", bundle.digest()))),
        }
    }

    fn segment(&self, number: u32) -> Result<Arc<Segment>, StoreError> {
        let mut open = self.read_from.lock().expect(NO_PANIC);
        if let Some(segment) = open.get(&number) {
            return Ok(segment.clone());
        }
        let found = Segment::open(&self.folder, number, self.chain.genesis_hash());
        let what = || segment::path(&self.folder, number).display().to_string();
        let found = found.map_err(|error| StoreError::read(what(), io::Error::other(error.to_string())))?;
        let segment = Arc::new(found.ok_or_else(|| StoreError::corrupt(what(), "its head is broken"))?);
        if open.len() >= OPEN_SEGMENTS_MAX {
            open.clear();
        }
        open.insert(number, segment.clone());
        Ok(segment)
    }

    /// Whether the bundle is on disk, ordered or not.
    pub fn contains(&self, digest: &BundleDigest) -> Result<bool, StoreError> {
        if self.index.read().expect(NO_PANIC).unordered.contains_key(digest) {
            return Ok(true);
        }
        Ok(self.database.get(&columns::BUNDLES, digest)?.is_some())
    }

    /// Bundles that no committed block holds, in the order of their arrival.
    pub fn unordered(&self) -> Result<Vec<Arc<Bundle>>, StoreError> {
        let index = self.index.read().expect(NO_PANIC);
        let mut places: Vec<_> = index.unordered.iter().map(|(digest, place)| (*digest, *place)).collect();
        drop(index);
        places.sort_unstable_by_key(|(_, place)| (place.segment, place.offset));
        places.into_iter().filter_map(|(digest, _)| self.get(&digest).transpose()).collect()
    }

    /// Records that this node acks these bundles in these slots, and returns what it acks in each: the bundle given, the one
    /// that it acked there before (B-3), or none if it may not ack there (B-9) or does not hold the bundle: an ack says "I hold this
    /// bundle durably", and one that was stored is forgotten when its slot has closed. On disk when it returns, with one sync for all.
    pub fn guard_acks(&self, acks: &[(Slot, BundleDigest)]) -> Result<Vec<Option<BundleDigest>>, StoreError> {
        let mut guard = self.guard.lock().expect(NO_PANIC);
        let Some(guard) = guard.as_mut() else { return Ok(vec![None; acks.len()]) };
        let mut fresh = BTreeMap::new();
        let mut acked = Vec::with_capacity(acks.len());
        for (slot, digest) in acks {
            if let Some(before) = guard.acked(slot).or_else(|| fresh.get(slot).copied()) {
                acked.push(Some(before));
                continue;
            }
            if !guard.permits(slot) || !self.contains(digest)? {
                acked.push(None);
                continue;
            }
            fresh.insert(*slot, *digest);
            acked.push(Some(*digest));
        }
        guard.append(&fresh)?;
        Ok(acked)
    }

    /// What this node has acked in the slot.
    pub fn acked(&self, slot: &Slot) -> Option<BundleDigest> {
        self.guard.lock().expect(NO_PANIC).as_ref()?.acked(slot)
    }

    /// Whether an ack in this slot, if it holds none, contradicts nothing that the key may have signed (B-9).
    pub fn guard_permits(&self, slot: &Slot) -> bool {
        self.guard.lock().expect(NO_PANIC).as_ref().is_some_and(|guard| guard.permits(slot))
    }

    pub(crate) fn guard_is_waiting(&self) -> bool {
        self.guard.lock().expect(NO_PANIC).as_ref().is_some_and(AckGuard::is_waiting)
    }

    /// See [`crate::Store::begin_renewed_acks`].
    pub(crate) fn begin_renewed_acks(
        &self,
        tip_time_ms: u64,
        stands: BTreeMap<ParticipantNumber, (u32, u64)>,
    ) -> Result<bool, StoreError> {
        let mut guard = self.guard.lock().expect(NO_PANIC);
        let Some(guard) = guard.as_mut().filter(|guard| guard.is_waiting()) else { return Ok(true) };
        if !guard.is_older_than(tip_time_ms) {
            return Ok(false);
        }
        guard.set_floors(stands)?;
        Ok(true)
    }

    /// Forgets unordered bundles and acks of slots that no block can hold any more, and deletes segments that are empty.
    /// `is_open` is true for slots that a block after the committed height may hold.
    pub(crate) fn collect(&self, is_open: impl Fn(&Slot) -> bool) -> Result<(), StoreError> {
        // The guard first: a guarded ack must find its bundle at the next start.
        if let Some(guard) = self.guard.lock().expect(NO_PANIC).as_mut() {
            guard.collect(&is_open)?;
        }
        let current = self.files.lock().expect(NO_PANIC).segment.number;
        let mut index = self.index.write().expect(NO_PANIC);
        let index = &mut *index;
        index.unordered.retain(|_, place| {
            let stays = is_open(&place.slot);
            if !stays {
                index.segments.entry(place.segment).or_default().unordered -= 1;
            }
            stays
        });
        let settled: Vec<_> =
            index.segments.range(..current).filter(|(_, count)| count.unordered == 0).map(|(n, c)| (*n, *c)).collect();
        for (number, count) in settled {
            if count.row.ordered == 0 {
                self.delete_file(number)?;
            }
            index.segments.remove(&number);
        }
        Ok(())
    }

    /// Whoever calls holds the index, so that no copy is being made.
    fn delete_file(&self, number: u32) -> Result<(), StoreError> {
        let path = segment::path(&self.folder, number);
        std::fs::remove_file(&path).map_err(|error| StoreError::write(path.display().to_string(), error))?;
        self.read_from.lock().expect(NO_PANIC).remove(&number);
        Ok(())
    }

    /// What is on disk now. Segments before the last are whole and are linked, the last one is copied as far as it is synced.
    /// Nothing is forgotten meanwhile.
    pub(crate) fn copy_to(&self, folder: &Path) -> Result<(), OpenError> {
        std::fs::create_dir(folder).map_err(OpenError::io(folder, "the folder of bundles cannot be created"))?;
        let (last, synced) = {
            let files = self.files.lock().expect(NO_PANIC);
            (files.segment.number, files.synced)
        };
        let _nothing_is_forgotten = self.index.read().expect(NO_PANIC);
        for number in segment::numbers(&self.folder)?.into_iter().filter(|number| *number <= last) {
            let (from, to) = (segment::path(&self.folder, number), segment::path(folder, number));
            let copied = match number == last {
                true => copy::copy_beginning(&from, &to, synced),
                false => std::fs::hard_link(&from, &to),
            };
            copied.map_err(OpenError::io(&from, "the segment cannot be copied"))?;
        }
        recover::copy_earlier_acks(&self.folder, folder)?;
        sync_folder(folder)
    }

    /// Finds the bundles of a block that is to be committed; else the first that is missing. B-8: a height is not durable
    /// before its bundles are.
    pub(crate) fn order(&self, digests: &[BundleDigest]) -> Result<OrderedBundles, BundleDigest> {
        let current = self.files.lock().expect(NO_PANIC).segment.number;
        let index = self.index.read().expect(NO_PANIC);
        let mut counts: BTreeMap<u32, SegmentCount> = BTreeMap::new();
        let mut places = Vec::with_capacity(digests.len());
        for digest in digests {
            let place = *index.unordered.get(digest).ok_or(*digest)?;
            if places.iter().any(|(placed, _)| placed == digest) {
                return Err(*digest);
            }
            let before = index.segments.get(&place.segment).copied().unwrap_or_default();
            let count = counts.entry(place.segment).or_insert(before);
            count.unordered -= 1;
            count.row.ordered += 1;
            count.row.end = count.row.end.max(place.end());
            places.push((*digest, place));
        }
        let left = |(number, count): (&u32, &SegmentCount)| counts.get(number).unwrap_or(count).unordered > 0;
        let first_open =
            index.segments.iter().find(|(number, count)| left((number, count))).map_or(current, |(number, _)| *number);
        let segments = counts.into_iter().map(|(number, count)| (number, count.row)).collect();
        Ok(OrderedBundles { places, segments, first_open: first_open.min(current) })
    }

    /// Writes the rows of an ordering into the height's batch.
    pub(crate) fn write(
        &self,
        writes: &mut Writes<'_>,
        height: Height,
        ordering: &OrderedBundles,
    ) -> Result<(), StoreError> {
        for (digest, place) in &ordering.places {
            let row = BundleRow { segment: place.segment, offset: place.offset, bytes: place.bytes, height: height.0 };
            writes.put(&columns::BUNDLES, digest, &row)?;
        }
        writes.put_all(&columns::SEGMENTS, &ordering.segments)?;
        writes.put(&columns::META, &columns::MetaRow::FirstOpenSegment, &ordering.first_open.to_le_bytes().to_vec())
    }

    /// After the height is durable.
    pub(crate) fn ordered(&self, ordering: OrderedBundles) {
        let mut index = self.index.write().expect(NO_PANIC);
        for (digest, place) in &ordering.places {
            if index.unordered.remove(digest).is_some() {
                index.segments.entry(place.segment).or_default().unordered -= 1;
            }
        }
        for (number, row) in ordering.segments {
            index.segments.entry(number).or_default().row = row;
        }
    }
}

impl Files {
    fn check(&self) -> Result<(), StoreError> {
        self.failed.clone().map_or(Ok(()), Err)
    }
}

impl Index {
    /// The same bundle may stand in the files twice, if it was forgotten and came again: its first place counts.
    fn insert(&mut self, digest: BundleDigest, place: Place) {
        if let Entry::Vacant(vacant) = self.unordered.entry(digest) {
            vacant.insert(place);
            self.segments.entry(place.segment).or_default().unordered += 1;
        }
    }
}
