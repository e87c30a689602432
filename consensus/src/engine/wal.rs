//! The log of one height's inputs to consensus, and of the blocks that they speak of (trap 3, trap 5).
//!
//! What must stay true:
//! - everything appended before a flush is on disk when the flush returns, and the signing guard flushes before it signs: so
//!   a signature never rests on an input that a restart forgets;
//! - a flush that fails makes every later one fail, so that nothing is signed any more;
//! - reading back stops at the first record that does not chain; the guard's [`LogMark`] tells whether that is the tail that
//!   was never flushed (harmless) or damage (no vote in this height).
//!
//! ```text
//! file   = header ‖ record …              overwritten in place at each height: stale records do not chain and are not read
//! header = "assaywal" ‖ height u64 ‖ checksum[16]            checksum = BLAKE3("assaywal" ‖ height)
//! record = length u32 ‖ kind u8 ‖ bytes ‖ checksum[16]       checksum = BLAKE3(checksum before ‖ length ‖ kind ‖ bytes)
//! ```
//! The file never shrinks, so that a flush rarely has to write the file's metadata.

use crate::guard::LogMark;
use crate::medium::Medium;
use ledger_types::Height;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Mutex;

const MAGIC: [u8; 8] = *b"assaywal";
const HEADER_BYTES: usize = 8 + 8 + 16;
const RECORD_OVERHEAD_BYTES: usize = 4 + 1 + 16;
/// A block with room for its envelope of fields.
const RECORD_BYTES_MAX: usize = ledger_types::block::BLOCK_BYTES_MAX + 1024;
/// A height in which every round brings a new block for an hour stays below; more is an attack or a fault, and stops the node.
const WAL_BYTES_MAX: u64 = 1 << 30;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordKind {
    /// An input of the engine, in the engine's encoding.
    Input = 1,
    /// A block that the engine was told of.
    Block = 2,
}

impl RecordKind {
    fn from_byte(byte: u8) -> Option<Self> {
        [RecordKind::Input, RecordKind::Block].into_iter().find(|kind| *kind as u8 == byte)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub kind: RecordKind,
    pub bytes: Vec<u8>,
}

/// What a log said when it was opened.
#[derive(Clone, Debug, Default)]
pub struct Recovered {
    /// None when there is no readable header.
    pub height: Option<Height>,
    pub records: Vec<Record>,
    /// The place after the header and after each record.
    marks: Vec<LogMark>,
}

impl Recovered {
    /// The log reaches at least to where it was when the guard signed last.
    pub fn reaches(&self, mark: &LogMark) -> bool {
        self.marks.contains(mark)
    }
}

pub struct Wal<F = File> {
    state: Mutex<State<F>>,
}

struct State<F> {
    file: F,
    height: Option<Height>,
    /// Not yet written; they follow at `written`.
    buffer: Vec<u8>,
    written: u64,
    checksum: [u8; 16],
    failed: bool,
}

impl Wal {
    /// Opens or makes the log and reads it back. The log continues only after [`Wal::start`].
    pub fn open(path: &Path) -> io::Result<(Self, Recovered)> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
        file.try_lock().map_err(|error| io::Error::other(format!("the log {} is in use: {error}", path.display())))?;
        Self::open_on(file)
    }
}

impl<F: Medium> Wal<F> {
    /// [`Wal::open`] on anything that nobody else has open.
    pub fn open_on(file: F) -> io::Result<(Self, Recovered)> {
        let recovered = read_back(&file)?;
        let state = State { file, height: None, buffer: Vec::new(), written: 0, checksum: [0; 16], failed: false };
        Ok((Wal { state: Mutex::new(state) }, recovered))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State<F>> {
        self.state.lock().expect("no holder panics")
    }

    /// Continues after what was recovered of `height`.
    pub fn resume(&self, recovered: &Recovered) {
        let mut state = self.lock();
        let end = recovered.marks.last().expect("a recovered height has at least its header's mark");
        state.height = recovered.height;
        state.written = end.bytes;
        state.checksum = end.checksum;
        state.buffer.clear();
    }

    /// Starts anew for a height. Writes nothing yet: nothing has been signed in this height.
    pub fn start(&self, height: Height) {
        let mut state = self.lock();
        let header = header(height);
        state.height = Some(height);
        state.written = 0;
        state.checksum = header[HEADER_BYTES - 16..].try_into().expect("16 bytes");
        state.buffer = header.to_vec();
    }

    pub fn height(&self) -> Option<Height> {
        self.lock().height
    }

    /// Takes a record into the buffer; [`Wal::flush`] makes it durable. Records of another height are not ours to keep.
    pub fn append(&self, height: Height, kind: RecordKind, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.lock();
        if state.height != Some(height) {
            return Ok(());
        }
        let room = WAL_BYTES_MAX.saturating_sub(state.written + state.buffer.len() as u64);
        if bytes.len() > RECORD_BYTES_MAX || (bytes.len() + RECORD_OVERHEAD_BYTES) as u64 > room {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("the log of height {height} is full")));
        }
        let length = (bytes.len() as u32).to_le_bytes();
        state.checksum = chained(&state.checksum, &length, kind as u8, bytes);
        let checksum = state.checksum;
        state.buffer.extend_from_slice(&length);
        state.buffer.push(kind as u8);
        state.buffer.extend_from_slice(bytes);
        state.buffer.extend_from_slice(&checksum);
        Ok(())
    }

    /// Durable up to the returned mark.
    pub fn flush(&self) -> io::Result<LogMark> {
        let mut state = self.lock();
        if state.failed {
            return Err(io::Error::other("an earlier write of the log failed"));
        }
        if !state.buffer.is_empty() {
            let written = state.file.write_all_at(&state.buffer, state.written).and_then(|()| state.file.sync_data());
            if let Err(error) = written {
                state.failed = true;
                return Err(error);
            }
            state.written += state.buffer.len() as u64;
            state.buffer.clear();
        }
        Ok(LogMark { bytes: state.written, checksum: state.checksum })
    }
}

fn header(height: Height) -> [u8; HEADER_BYTES] {
    let mut header = [0; HEADER_BYTES];
    header[..8].copy_from_slice(&MAGIC);
    header[8..16].copy_from_slice(&height.0.to_le_bytes());
    let checksum = blake3::hash(&header[..16]);
    header[16..].copy_from_slice(&checksum.as_bytes()[..16]);
    header
}

fn chained(before: &[u8; 16], length: &[u8; 4], kind: u8, bytes: &[u8]) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(before).update(length).update(&[kind]).update(bytes);
    hasher.finalize().as_bytes()[..16].try_into().expect("16 of 32 bytes")
}

fn read_back(file: &impl Medium) -> io::Result<Recovered> {
    let mut recovered = Recovered::default();
    let mut start = [0; HEADER_BYTES];
    if !read_whole(file, &mut start, 0)? {
        return Ok(recovered);
    }
    let height = Height(u64::from_le_bytes(start[8..16].try_into().expect("8 bytes")));
    if start != header(height) {
        return Ok(recovered);
    }
    recovered.height = Some(height);
    let mut mark = LogMark { bytes: HEADER_BYTES as u64, checksum: start[16..].try_into().expect("16 bytes") };
    recovered.marks.push(mark);
    let mut prefix = [0; 5];
    while read_whole(file, &mut prefix, mark.bytes)? {
        let length: [u8; 4] = prefix[..4].try_into().expect("4 bytes");
        let bytes_len = u32::from_le_bytes(length) as usize;
        let Some(kind) = RecordKind::from_byte(prefix[4]) else { break };
        if bytes_len > RECORD_BYTES_MAX {
            break;
        }
        let mut bytes = vec![0; bytes_len + 16];
        if !read_whole(file, &mut bytes, mark.bytes + 5)? {
            break;
        }
        let checksum = bytes.split_off(bytes_len);
        let expected = chained(&mark.checksum, &length, prefix[4], &bytes);
        if checksum != expected {
            break;
        }
        mark = LogMark { bytes: mark.bytes + (bytes_len + RECORD_OVERHEAD_BYTES) as u64, checksum: expected };
        recovered.marks.push(mark);
        recovered.records.push(Record { kind, bytes });
    }
    Ok(recovered)
}

/// False when the file ends before.
fn read_whole(file: &impl Medium, bytes: &mut [u8], offset: u64) -> io::Result<bool> {
    match file.read_exact_at(bytes, offset) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(count: u8) -> Vec<Record> {
        (0..count)
            .map(|i| Record {
                kind: if i % 2 == 0 { RecordKind::Input } else { RecordKind::Block },
                bytes: vec![i; usize::from(i) * 7],
            })
            .collect()
    }

    fn write(path: &Path, height: u64, records: &[Record]) -> LogMark {
        let (wal, _) = Wal::open(path).unwrap();
        wal.start(Height(height));
        for record in records {
            wal.append(Height(height), record.kind, &record.bytes).unwrap();
        }
        wal.flush().unwrap()
    }

    #[test]
    fn what_was_flushed_reads_back_and_reaches_its_mark() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("wal");
        let mark = write(&path, 4, &records(6));
        let (_, recovered) = Wal::open(&path).unwrap();
        assert_eq!((recovered.height, &recovered.records), (Some(Height(4)), &records(6)));
        assert!(recovered.reaches(&mark));
    }

    #[test]
    fn what_was_not_flushed_is_gone_without_being_damage() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("wal");
        let (wal, _) = Wal::open(&path).unwrap();
        wal.start(Height(1));
        wal.append(Height(1), RecordKind::Input, b"flushed").unwrap();
        let mark = wal.flush().unwrap();
        wal.append(Height(1), RecordKind::Input, b"not flushed").unwrap();
        drop(wal);
        let (_, recovered) = Wal::open(&path).unwrap();
        assert_eq!(recovered.records.len(), 1);
        assert!(recovered.reaches(&mark));
    }

    #[test]
    fn a_resumed_log_continues_its_chain() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("wal");
        write(&path, 9, &records(3));
        let (wal, recovered) = Wal::open(&path).unwrap();
        wal.resume(&recovered);
        wal.append(Height(9), RecordKind::Input, b"later").unwrap();
        let mark = wal.flush().unwrap();
        drop(wal);
        let (_, recovered) = Wal::open(&path).unwrap();
        assert_eq!(recovered.records.len(), 4);
        assert!(recovered.reaches(&mark));
    }

    /// A shorter height over a longer one: the longer one's records stand behind, and are not taken for this height's.
    #[test]
    fn records_of_an_earlier_height_are_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("wal");
        write(&path, 1, &records(20));
        write(&path, 2, &records(3));
        let (_, recovered) = Wal::open(&path).unwrap();
        assert_eq!((recovered.height, recovered.records), (Some(Height(2)), records(3)));
    }

    #[test]
    fn a_record_of_another_height_is_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("wal");
        let (wal, _) = Wal::open(&path).unwrap();
        wal.start(Height(2));
        wal.append(Height(3), RecordKind::Block, b"early").unwrap();
        wal.flush().unwrap();
        drop(wal);
        assert_eq!(Wal::open(&path).unwrap().1.records, vec![]);
    }

    /// Trap 3: one flipped bit anywhere, also in a length, is seen: the log no longer reaches the mark.
    #[test]
    fn any_flipped_bit_before_the_mark_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("wal");
        let mark = write(&path, 7, &records(5));
        let whole = std::fs::read(&path).unwrap();
        assert_eq!(whole.len() as u64, mark.bytes);
        for byte in 0..whole.len() {
            for bit in 0..8 {
                let mut flipped = whole.clone();
                flipped[byte] ^= 1 << bit;
                std::fs::write(&path, &flipped).unwrap();
                let (_, recovered) = Wal::open(&path).unwrap();
                assert!(!(recovered.height == Some(Height(7)) && recovered.reaches(&mark)), "byte {byte} bit {bit}");
            }
        }
    }

    #[test]
    fn any_cut_before_the_mark_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("wal");
        let mark = write(&path, 7, &records(5));
        let whole = std::fs::read(&path).unwrap();
        for cut in 0..whole.len() {
            std::fs::write(&path, &whole[..cut]).unwrap();
            let (_, recovered) = Wal::open(&path).unwrap();
            assert!(!recovered.reaches(&mark), "cut at {cut}");
        }
    }

    #[test]
    fn trap_3_a_log_that_cannot_write_fails_for_good() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("wal");
        std::os::unix::fs::symlink("/dev/full", &path).unwrap();
        let file = OpenOptions::new().read(true).write(true).open(&path).unwrap();
        let state = State { file, height: None, buffer: Vec::new(), written: 0, checksum: [0; 16], failed: false };
        let wal = Wal { state: Mutex::new(state) };
        wal.start(Height(1));
        wal.append(Height(1), RecordKind::Input, b"x").unwrap();
        assert!(wal.flush().is_err());
        wal.lock().file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(folder.path().join("good"))
            .unwrap();
        assert!(wal.flush().is_err(), "a flush after a failed one must fail too");
    }

    #[test]
    fn two_processes_cannot_share_a_log() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("wal");
        let _held = Wal::open(&path).unwrap();
        assert!(Wal::open(&path).is_err());
    }
}
