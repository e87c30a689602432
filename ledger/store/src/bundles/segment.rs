//! One segment: bundles in the order of their arrival, in a file that only grows.
//!
//! ```text
//! file   NNNNNNNN.bundles                                                      the segment's number, eight digits
//! head   "ASSAYBND" ‖ version u32 ‖ segment u32 ‖ chain[32] ‖ key[32] ‖ checksum[16]              96 bytes
//! frame  "BNDL" ‖ bytes u32 ‖ synced u64 ‖ digest[32] ‖ body hash[16] ‖ mac[16] ‖ body                80 bytes and the body
//!        synced      the file was on disk up to here before the frame was written
//!        body hash   BLAKE3(body)[..16]
//!        mac         BLAKE3 keyed(key, segment u32 ‖ offset u64 ‖ frame up to here)[..16]
//! ```
//! Integers little-endian. The key is random and never leaves the file: it keeps bytes that a peer chose, inside a bundle,
//! from passing for a frame.
//!
//! What stays true here: a fault in bytes that had been synced is told apart from a write that never returned. If any
//! later frame says that the file was on disk beyond the fault, it is damage; else nothing behind it had been promised to
//! anyone, and it is cut off.

use std::fs::{File, OpenOptions};
use std::io;
use std::num::NonZeroU64;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use ledger_types::bundle::{BUNDLE_BYTES_MAX, Bundle, BundleHeader, Slot};
use ledger_types::encoding::{Encode, Reader};
use ledger_types::{BundleDigest, GenesisHash};
use rustix::fs::Advice;

use crate::error::{OpenError, StoreError};
use crate::folder::sync_folder;

const MAGIC: &[u8; 8] = b"ASSAYBND";
const VERSION: u32 = 1;
pub(super) const HEAD_BYTES: u64 = 96;

const PAGE_BYTES: u64 = 4096;

const FRAME_MAGIC: &[u8; 4] = b"BNDL";
const FRAME_HEAD_BYTES: usize = 80;
/// Header and signature stand before a bundle's body.
const BUNDLE_HEAD_BYTES: usize = 2 + 4 + 8 + 2 + 4 + 32 + 64;
const FRAME_BODY_BYTES_MAX: usize = BUNDLE_HEAD_BYTES + BUNDLE_BYTES_MAX;

/// Where a bundle stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub segment: u32,
    /// Of the frame.
    pub offset: u64,
    /// Of the body.
    pub bytes: u32,
    pub slot: Slot,
}

impl Place {
    /// Where the frame ends.
    pub fn end(&self) -> u64 {
        frame_end(self.offset, self.bytes)
    }
}

pub(super) fn frame_end(offset: u64, body_bytes: u32) -> u64 {
    offset + FRAME_HEAD_BYTES as u64 + u64::from(body_bytes)
}

pub(super) struct Segment {
    pub number: u32,
    path: PathBuf,
    file: File,
    key: [u8; 32],
}

/// What a frame says before its body.
struct FrameHead {
    bytes: u32,
    synced: u64,
    digest: BundleDigest,
    body_hash: [u8; 16],
}

/// What a scan of a whole segment found.
pub(super) struct Scanned {
    pub frames: Vec<(BundleDigest, Place)>,
    /// Where the last whole frame ends. What stands behind it is a write that never returned.
    pub end: u64,
}

/// What is known of a segment before it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Synced {
    /// It was on disk to its end before the next one began.
    Whole,
    /// The last one: it was on disk at least up to here, and may end in the middle of a write.
    AtLeast(u64),
}

pub(super) fn path(folder: &Path, number: u32) -> PathBuf {
    folder.join(format!("{number:08}.bundles"))
}

/// The numbers of all segments in a folder, ascending.
pub(super) fn numbers(folder: &Path) -> Result<Vec<u32>, OpenError> {
    let failed = || OpenError::io(folder, "the folder of bundles cannot be read");
    let mut numbers = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed())? {
        let name = entry.map_err(failed())?.file_name();
        let number = name.to_str().and_then(|name| name.strip_suffix(".bundles")).filter(|stem| stem.len() == 8);
        numbers.extend(number.and_then(|number| number.parse::<u32>().ok()));
    }
    numbers.sort_unstable();
    Ok(numbers)
}

fn short_hash(hash: blake3::Hash) -> [u8; 16] {
    *hash.as_bytes().first_chunk().expect("16 of 32 bytes")
}

fn head(number: u32, chain: GenesisHash, key: &[u8; 32]) -> Vec<u8> {
    let mut bytes = [&MAGIC[..], &VERSION.to_le_bytes(), &number.to_le_bytes(), &chain.0, key].concat();
    let checksum = short_hash(blake3::hash(&bytes));
    bytes.extend_from_slice(&checksum);
    bytes
}

impl Segment {
    /// The file and its name are on disk when this returns.
    pub fn create(folder: &Path, number: u32, chain: GenesisHash) -> Result<Self, StoreError> {
        let mut key = [0; 32];
        getrandom::fill(&mut key)
            .map_err(|error| StoreError::write("a segment's key", io::Error::other(error.to_string())))?;
        let path = path(folder, number);
        let written = || -> io::Result<File> {
            // A segment of this number can only be one whose creation never returned.
            let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&path)?;
            file.write_all_at(&head(number, chain, &key), 0)?;
            file.sync_all()?;
            Ok(file)
        };
        let file = written().map_err(|error| StoreError::write(path.display().to_string(), error))?;
        sync_folder(folder)
            .map_err(|error| StoreError::write(path.display().to_string(), io::Error::other(error.to_string())))?;
        Ok(Segment { number, path, file, key })
    }

    /// `Ok(None)`: the file holds nothing but a broken head, so its creation never returned.
    pub fn open(folder: &Path, number: u32, chain: GenesisHash) -> Result<Option<Self>, OpenError> {
        let path = path(folder, number);
        let failed = |what| OpenError::io(&path, what);
        let file =
            OpenOptions::new().read(true).write(true).open(&path).map_err(failed("the segment cannot be opened"))?;
        let length = file.metadata().map_err(failed("the segment's length cannot be read"))?.len();
        let mut found = vec![0; HEAD_BYTES.min(length) as usize];
        file.read_exact_at(&mut found, 0).map_err(failed("the segment cannot be read"))?;
        let key = found.get(48..80).map(|key| <[u8; 32]>::try_from(key).expect("32 bytes"));
        match key {
            Some(key) if found == head(number, chain, &key) => Ok(Some(Segment { number, path, file, key })),
            _ if length <= HEAD_BYTES => Ok(None),
            _ => Err(OpenError::BundlesDamaged {
                path,
                offset: 0,
                fault: "its head is not this segment's of this chain",
            }),
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    fn mac(&self, offset: u64, frame: &[u8]) -> [u8; 16] {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        hasher.update(&self.number.to_le_bytes()).update(&offset.to_le_bytes()).update(frame);
        short_hash(hasher.finalize())
    }

    /// Writes one frame; it is on disk after the next [`sync`](Self::sync). `body` is the bundle's canonical bytes.
    pub fn write(&self, offset: u64, synced: u64, bundle: &Bundle, body: &[u8]) -> Result<Place, StoreError> {
        let bytes = body.len() as u32;
        let mut frame = Vec::with_capacity(FRAME_HEAD_BYTES);
        frame.extend_from_slice(FRAME_MAGIC);
        bytes.encode(&mut frame);
        synced.encode(&mut frame);
        bundle.digest().encode(&mut frame);
        frame.extend_from_slice(&short_hash(blake3::hash(body)));
        let mac = self.mac(offset, &frame);
        frame.extend_from_slice(&mac);
        let written = self
            .file
            .write_all_at(&frame, offset)
            .and_then(|()| self.file.write_all_at(body, offset + FRAME_HEAD_BYTES as u64));
        written.map_err(|error| StoreError::write(self.path.display().to_string(), error))?;
        Ok(Place { segment: self.number, offset, bytes, slot: bundle.slot() })
    }

    /// What was on disk up to `synced` is on disk up to `end` too when this returns, and no longer in the page cache: whoever needs a new
    /// bundle has it in memory, and the next frames get pages that are in use already (record 092).
    pub fn sync(&self, synced: u64, end: u64) -> Result<(), StoreError> {
        self.file.sync_data().map_err(|error| StoreError::write(self.path.display().to_string(), error))?;
        // The page in which the next frame begins stays, and goes with the next sync: only whole pages do.
        let from = synced - synced % PAGE_BYTES;
        // Advice that is not taken costs nothing but time.
        let _ = rustix::fs::fadvise(&self.file, from, NonZeroU64::new(end - from), Advice::DontNeed);
        Ok(())
    }

    /// The canonical bytes of the bundle in the frame at `offset`.
    pub fn read(&self, offset: u64, bytes: u32, digest: &BundleDigest) -> Result<Vec<u8>, StoreError> {
        let corrupt = |fault: &str| StoreError::corrupt(format!("{} at byte {offset}", self.path.display()), fault);
        let mut frame = vec![0; FRAME_HEAD_BYTES + bytes as usize];
        match self.file.read_exact_at(&mut frame, offset) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                return Err(corrupt("the file ends too early"));
            }
            Err(error) => return Err(StoreError::read(self.path.display().to_string(), error)),
            Ok(()) => {}
        }
        let body = frame.split_off(FRAME_HEAD_BYTES);
        match self.frame_head(offset, &frame) {
            Some(head)
                if head.bytes == bytes
                    && head.digest == *digest
                    && head.body_hash == short_hash(blake3::hash(&body)) =>
            {
                Ok(body)
            }
            Some(_) => Err(corrupt("another frame stands there, or its body is damaged")),
            None => Err(corrupt("no frame stands there")),
        }
    }

    /// Of the frames up to `end`, read off their heads.
    pub fn digests(&self, end: u64) -> impl Iterator<Item = Result<BundleDigest, StoreError>> {
        let mut offset = HEAD_BYTES;
        std::iter::from_fn(move || (offset < end).then(|| self.digest_at(&mut offset)))
    }

    fn digest_at(&self, offset: &mut u64) -> Result<BundleDigest, StoreError> {
        let mut frame = [0; FRAME_HEAD_BYTES];
        let read = self.file.read_exact_at(&mut frame, *offset);
        read.map_err(|error| StoreError::read(self.path.display().to_string(), error))?;
        let damaged =
            || StoreError::corrupt(format!("{} at byte {offset}", self.path.display()), "no frame stands there");
        let head = self.frame_head(*offset, &frame).ok_or_else(damaged)?;
        *offset = frame_end(*offset, head.bytes);
        Ok(head.digest)
    }

    fn frame_head(&self, offset: u64, frame: &[u8]) -> Option<FrameHead> {
        let frame = frame.first_chunk::<FRAME_HEAD_BYTES>()?;
        let (fields, mac) = frame.split_at(FRAME_HEAD_BYTES - 16);
        let mut reader = Reader::new(fields);
        if reader.take(4).ok()? != FRAME_MAGIC || self.mac(offset, fields) != *mac {
            return None;
        }
        let mut read = || -> Result<FrameHead, ledger_types::DecodeError> {
            Ok(FrameHead {
                bytes: reader.read()?,
                synced: reader.read()?,
                digest: reader.read()?,
                body_hash: reader.array()?,
            })
        };
        read().ok().filter(|head| head.bytes as usize <= FRAME_BODY_BYTES_MAX)
    }

    pub fn length(&self) -> Result<u64, OpenError> {
        self.file
            .metadata()
            .map(|metadata| metadata.len())
            .map_err(OpenError::io(&self.path, "the segment's length cannot be read"))
    }

    /// Makes the segment end here, and syncs what is left: after a crash it may be in memory only.
    pub fn cut(&self, end: u64) -> Result<(), OpenError> {
        let cut = self.file.set_len(end).and_then(|()| self.file.sync_all());
        cut.map_err(OpenError::io(&self.path, "the segment cannot be cut"))
    }

    /// Reads and checks every frame.
    pub fn scan(&self, synced: Synced) -> Result<Scanned, OpenError> {
        let failed = |what| OpenError::io(&self.path, what);
        let length = self.length()?;
        let mut scanned = Scanned { frames: Vec::new(), end: HEAD_BYTES };
        while scanned.end < length {
            match self.whole_frame(scanned.end, length).map_err(failed("the segment cannot be read"))? {
                Ok((head, slot)) => {
                    let place = Place { segment: self.number, offset: scanned.end, bytes: head.bytes, slot };
                    scanned.frames.push((head.digest, place));
                    scanned.end = place.end();
                }
                Err(fault) => {
                    let promised = match synced {
                        Synced::Whole => true,
                        Synced::AtLeast(known) if known > scanned.end => true,
                        Synced::AtLeast(_) => {
                            self.synced_beyond(scanned.end, length).map_err(failed("the segment cannot be read"))?
                        }
                    };
                    if promised {
                        return Err(OpenError::BundlesDamaged { path: self.path.clone(), offset: scanned.end, fault });
                    }
                    break;
                }
            }
        }
        Ok(scanned)
    }

    fn whole_frame(&self, offset: u64, length: u64) -> io::Result<Result<(FrameHead, Slot), &'static str>> {
        let body_at = offset + FRAME_HEAD_BYTES as u64;
        if body_at > length {
            return Ok(Err("it ends in the head of a frame"));
        }
        let mut frame = [0; FRAME_HEAD_BYTES];
        self.file.read_exact_at(&mut frame, offset)?;
        let Some(head) = self.frame_head(offset, &frame) else { return Ok(Err("the head of a frame is damaged")) };
        if frame_end(offset, head.bytes) > length {
            return Ok(Err("it ends in the body of a frame"));
        }
        let mut body = vec![0; head.bytes as usize];
        self.file.read_exact_at(&mut body, body_at)?;
        if short_hash(blake3::hash(&body)) != head.body_hash {
            return Ok(Err("the body of a frame is damaged"));
        }
        let Ok(bundle) = Reader::new(&body).read::<BundleHeader>() else {
            return Ok(Err("the body of a frame is no bundle"));
        };
        Ok(Ok((head, bundle.slot)))
    }

    /// Whether a frame behind `fault` says that the file had been on disk beyond it. Looks at every byte, since the lengths
    /// that lead from frame to frame are not to be trusted here; at most a segment is read, once, at a start after damage.
    fn synced_beyond(&self, fault: u64, length: u64) -> io::Result<bool> {
        let mut rest = vec![0; (length - fault) as usize];
        self.file.read_exact_at(&mut rest, fault)?;
        let frames = rest.windows(FRAME_MAGIC.len()).enumerate().filter(|(_, window)| window == FRAME_MAGIC);
        let heads = frames.filter_map(|(at, _)| self.frame_head(fault + at as u64, &rest[at..]));
        Ok(heads.map(|head| head.synced).any(|synced| synced > fault))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ledger_types::confirmation::{Batch, SignedBatch};
    use ledger_types::keys::SigningKey;
    use ledger_types::{BatchHash, BatchNumber, Chain, List, ParticipantNumber};

    const CHAIN: Chain = Chain::new(GenesisHash([5; 32]));

    fn bundle(sequence: u64) -> Bundle {
        let (records, settled, overdue, cleared) = (List::empty(), List::empty(), List::empty(), List::empty());
        let batch = Batch { number: BatchNumber(1), previous: BatchHash::ZERO, records, settled, overdue, cleared };
        let key = SigningKey::from_seed(&[1; 32]);
        let batch: SignedBatch = batch.sign(&CHAIN, &key);
        let slot = Slot { submitter: ParticipantNumber::REGISTRATION, incarnation: 0, sequence };
        Bundle::sign_confirmation(&CHAIN, slot, batch, &key).unwrap()
    }

    fn write(segment: &Segment, offset: u64, synced: u64, bundle: &Bundle) -> Place {
        segment.write(offset, synced, bundle, &bundle.to_bytes()).unwrap()
    }

    #[test]
    fn the_bytes_of_head_and_frame_are_fixed() {
        let folder = tempfile::tempdir().unwrap();
        let created = Segment::create(folder.path(), 7, CHAIN.genesis_hash()).unwrap();
        let segment = Segment { key: [9; 32], ..created };
        let place = write(&segment, HEAD_BYTES, 64, &bundle(3));
        let bytes = std::fs::read(path(folder.path(), 7)).unwrap();
        assert_eq!(hex::encode(&bytes[..16]), "4153534159424e440100000007000000");
        assert_eq!(bytes[16..48], [5; 32]);
        let frame = &bytes[96..];
        assert_eq!(hex::encode(&frame[..16]), "424e444ce40000004000000000000000");
        assert_eq!(frame[16..48], bundle(3).digest().0);
        assert_eq!(frame[48..64], blake3::hash(&bundle(3).to_bytes()).as_bytes()[..16]);
        let maced = [&7u32.to_le_bytes()[..], &96u64.to_le_bytes(), &frame[..64]].concat();
        assert_eq!(frame[64..80], blake3::keyed_hash(&[9; 32], &maced).as_bytes()[..16]);
        assert_eq!(frame[80..], bundle(3).to_bytes());
        assert_eq!((place.end(), place.bytes), (bytes.len() as u64, 228));
    }

    /// A peer picks the bytes of a bundle. They must not make a start believe that a torn tail had been on disk.
    #[test]
    fn a_frame_of_another_segment_or_place_is_no_witness() {
        let folder = tempfile::tempdir().unwrap();
        let other = Segment::create(folder.path(), 1, CHAIN.genesis_hash()).unwrap();
        let place = write(&other, HEAD_BYTES, 5_000, &bundle(1));
        let frame = std::fs::read(path(folder.path(), 1)).unwrap().split_off(HEAD_BYTES as usize);

        let segment = Segment::create(folder.path(), 2, CHAIN.genesis_hash()).unwrap();
        let whole = write(&segment, HEAD_BYTES, HEAD_BYTES, &bundle(1));
        // A torn frame, and behind it one that says that the file had been on disk up to byte 5,000.
        segment.file.write_all_at(&[0; 50], whole.end()).unwrap();
        segment.file.write_all_at(&frame, whole.end() + 50).unwrap();
        let scanned = segment.scan(Synced::AtLeast(0)).unwrap();
        assert_eq!((scanned.frames.len(), scanned.end), (1, whole.end()));
        // In this segment and at its own place it is believed.
        write(&segment, whole.end() + 50, whole.end() + 1, &bundle(2));
        assert!(matches!(segment.scan(Synced::AtLeast(0)), Err(OpenError::BundlesDamaged { .. })));
        assert_eq!(place.offset, HEAD_BYTES);
    }

    #[test]
    fn what_was_synced_may_not_be_torn() {
        let folder = tempfile::tempdir().unwrap();
        let segment = Segment::create(folder.path(), 0, CHAIN.genesis_hash()).unwrap();
        let place = write(&segment, HEAD_BYTES, HEAD_BYTES, &bundle(1));
        segment.cut(place.end() - 1).unwrap();
        assert!(matches!(segment.scan(Synced::Whole), Err(OpenError::BundlesDamaged { offset: 96, .. })));
        assert!(matches!(
            segment.scan(Synced::AtLeast(place.end())),
            Err(OpenError::BundlesDamaged { offset: 96, .. })
        ));
        assert_eq!(segment.scan(Synced::AtLeast(HEAD_BYTES)).unwrap().end, HEAD_BYTES);
    }
}
