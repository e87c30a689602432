//! Coins in a file that never changes: sorted rows of one size, in pages.
//!
//! ```text
//! file    NNNN.coins                                        the number of the last change that is in it, twenty digits
//! page    22 rows, the last page fewer ‖ zeros ‖ checksum[4]                                       1,024 bytes
//! row     coin id[32] ‖ status u8 ‖ contract u32 ‖ issued_ms u64                                       45 bytes
//! index   of each page: first eight bytes of its first id
//! end     "ASSAYCNS" ‖ rows u64 ‖ checksum[4] of the index and of what stands before it here           20 bytes
//! ```
//! Integers little-endian. Checksums are CRC-32, begun with the file's number and the page's; of the end with the number of pages.
//!
//! What stays true here: a row is given out only from a page whose checksum holds. Who looks for one coin reads one page: the
//! index is in memory, nine bytes for 22 coins.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ledger_types::coin::{Coin, CoinStatus};
use ledger_types::encoding::Decode;
use ledger_types::places::{Places, beginning};
use ledger_types::{CoinId, ContractNumber};

use crate::error::StoreError;
use crate::folder::parent_of;

const ROW_BYTES: usize = 45;
const PAGE_BYTES: usize = 1024;
const ROWS_PER_PAGE: usize = (PAGE_BYTES - CHECKSUM_BYTES) / ROW_BYTES;
const CHECKSUM_BYTES: usize = 4;
const MAGIC: &[u8; 8] = b"ASSAYCNS";
const END_BYTES: usize = 20;
/// Read at once by whoever goes through all rows.
const PAGES_AHEAD: usize = 64;
/// Handed to the disk as they are written, not in one burst in front of a commit's sync.
const PAGES_PER_SYNC: usize = 8 << 10;

/// Rows ascending by coin id.
#[derive(Debug)]
pub(crate) struct CoinFile {
    path: PathBuf,
    number: u64,
    file: File,
    rows: u64,
    /// [`beginning`] of each page's first id.
    index: Vec<u64>,
    places: Places,
}

pub(crate) fn path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:020}.coins"))
}

/// The number of a file of coins.
pub(crate) fn number(path: &Path) -> Option<u64> {
    path.file_name()?.to_str()?.strip_suffix(".coins")?.parse().ok()
}

/// So that a page of another file, or of another place in it, is not taken for one of this.
fn checksum(file: u64, page: u64, content: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&file.to_le_bytes());
    hasher.update(&page.to_le_bytes());
    hasher.update(content);
    hasher.finalize().to_le_bytes()
}

fn row(bytes: &[u8]) -> Result<(CoinId, Coin), StoreError> {
    let (id, rest) = bytes.split_first_chunk().expect("a row has 45 bytes");
    let (status, rest) = rest.split_at(1);
    let (contract, rest) = rest.split_first_chunk().expect("a row has 45 bytes");
    let issued_ms = rest.first_chunk().expect("a row has 45 bytes");
    let status = CoinStatus::from_bytes(status).map_err(|error| StoreError::corrupt("a row of coins", error))?;
    let (contract, issued_ms) = (ContractNumber(u32::from_le_bytes(*contract)), u64::from_le_bytes(*issued_ms));
    Ok((CoinId(*id), Coin { status, contract, issued_ms }))
}

impl CoinFile {
    /// Writes a new file; on disk when it returns, or gone if it fails. `rows` ascending.
    pub fn write(
        path: &Path,
        number: u64,
        rows: impl Iterator<Item = Result<(CoinId, Coin), StoreError>>,
    ) -> Result<Self, StoreError> {
        Self::write_rows(path, number, rows).inspect_err(|_| {
            // The disk may be full: what was begun must not keep it so.
            let _ = std::fs::remove_file(path);
        })
    }

    fn write_rows(
        path: &Path,
        number: u64,
        rows: impl Iterator<Item = Result<(CoinId, Coin), StoreError>>,
    ) -> Result<Self, StoreError> {
        let failed = |error: io::Error| StoreError::write(path.display().to_string(), error);
        // One that stands there was never named, or its name was lost; a copy of the folder may share it.
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        let file = File::options().read(true).write(true).create_new(true).open(path).map_err(failed)?;
        let mut out = BufWriter::with_capacity(PAGES_AHEAD * PAGE_BYTES, &file);
        let (mut page, mut count, mut index) = (Vec::with_capacity(PAGE_BYTES), 0, Vec::new());
        let mut put = |page: &mut Vec<u8>, at: usize| {
            page.resize(PAGE_BYTES - CHECKSUM_BYTES, 0);
            let checksum = checksum(number, at as u64, page);
            page.extend_from_slice(&checksum);
            out.write_all(page)?;
            page.clear();
            if at % PAGES_PER_SYNC == PAGES_PER_SYNC - 1 {
                out.flush()?;
                file.sync_data()?;
            }
            Ok(())
        };
        for row in rows {
            let (id, coin) = row?;
            if page.is_empty() {
                index.push(beginning(&id));
            }
            page.extend_from_slice(&id.0);
            page.push(coin.status.number());
            page.extend_from_slice(&coin.contract.0.to_le_bytes());
            page.extend_from_slice(&coin.issued_ms.to_le_bytes());
            count += 1;
            if page.len() == ROWS_PER_PAGE * ROW_BYTES {
                put(&mut page, index.len() - 1).map_err(failed)?;
            }
        }
        if !page.is_empty() {
            put(&mut page, index.len() - 1).map_err(failed)?;
        }
        let mut end: Vec<u8> = index.iter().flat_map(|first| first.to_le_bytes()).collect();
        end.extend_from_slice(MAGIC);
        end.extend_from_slice(&u64::to_le_bytes(count));
        let checksum = checksum(number, index.len() as u64, &end);
        end.extend_from_slice(&checksum);
        out.write_all(&end).and_then(|()| out.flush()).and_then(|()| file.sync_all()).map_err(failed)?;
        // With its name: rows that are in it are deleted next.
        File::open(parent_of(path)).and_then(|folder| folder.sync_all()).map_err(failed)?;
        drop(out);
        Ok(Self::of(path, number, file, count, index))
    }

    fn of(path: &Path, number: u64, file: File, rows: u64, index: Vec<u64>) -> Self {
        let places = Places::of(index.iter().copied());
        CoinFile { path: path.to_owned(), number, file, rows, index, places }
    }

    pub fn open(path: &Path, number: u64) -> Result<Self, StoreError> {
        let failed = |error: io::Error| StoreError::read(path.display().to_string(), error);
        let corrupt = |fault: &str| StoreError::corrupt(path.display().to_string(), fault);
        let file = File::open(path).map_err(failed)?;
        let bytes = file.metadata().map_err(failed)?.len();
        let mut end = [0; END_BYTES];
        let end_at = bytes.checked_sub(END_BYTES as u64).ok_or_else(|| corrupt("it has no end"))?;
        file.read_exact_at(&mut end, end_at).map_err(failed)?;
        let rows = u64::from_le_bytes(*end[8..].first_chunk().expect("8 of 12 bytes"));
        let pages = rows.div_ceil(ROWS_PER_PAGE as u64);
        let expected = pages.checked_mul(PAGE_BYTES as u64 + 8).and_then(|bytes| bytes.checked_add(END_BYTES as u64));
        if &end[..8] != MAGIC || expected != Some(bytes) {
            return Err(corrupt("its end is not that of a file of coins"));
        }
        let mut checked = vec![0; (end_at - pages * PAGE_BYTES as u64) as usize];
        file.read_exact_at(&mut checked, pages * PAGE_BYTES as u64).map_err(failed)?;
        let index: Vec<u64> = checked.as_chunks().0.iter().map(|first| u64::from_le_bytes(*first)).collect();
        checked.extend_from_slice(&end[..16]);
        if checksum(number, pages, &checked) != end[16..] {
            return Err(corrupt("its index is not the one that was written"));
        }
        // A page that lies out of order would be found by nobody.
        if !index.is_sorted() {
            return Err(corrupt("its index is not ascending"));
        }
        Ok(Self::of(path, number, file, rows, index))
    }

    pub fn rows(&self) -> u64 {
        self.rows
    }

    pub fn number(&self) -> u64 {
        self.number
    }

    pub fn get(&self, id: &CoinId) -> Result<Option<Coin>, StoreError> {
        let begins = beginning(id);
        // The page before the first that begins after it; and those before, while ids begin alike.
        let mut page = self.places.position(begins, |page| self.index[page] <= begins);
        while page > 0 {
            page -= 1;
            let mut bytes = [0; PAGE_BYTES];
            self.read(page, &mut bytes)?;
            let rows = self.rows_of(page, &bytes);
            if let Ok(at) = rows.binary_search_by(|row| row[..32].cmp(&id.0)) {
                return Ok(Some(row(&rows[at])?.1));
            }
            if self.index[page] < begins {
                break;
            }
        }
        Ok(None)
    }

    /// The rows from this id on.
    pub fn rows_from(self: &Arc<Self>, id: &CoinId) -> CoinRows {
        let begins = beginning(id);
        let page = self.places.position(begins, |page| self.index[page] < begins).saturating_sub(1);
        CoinRows { file: self.clone(), page, from: *id, ahead: Vec::new().into_iter() }
    }

    fn rows_of<'a>(&self, page: usize, bytes: &'a [u8]) -> &'a [[u8; ROW_BYTES]] {
        let count = (self.rows - (page * ROWS_PER_PAGE) as u64).min(ROWS_PER_PAGE as u64) as usize;
        bytes[..count * ROW_BYTES].as_chunks().0
    }

    /// Of this page and those after it.
    fn read(&self, page: usize, bytes: &mut [u8]) -> Result<(), StoreError> {
        let at = (page * PAGE_BYTES) as u64;
        let read = self.file.read_exact_at(bytes, at);
        read.map_err(|error| StoreError::read(self.path.display().to_string(), error))?;
        for (at, page) in (page..).zip(bytes.as_chunks::<PAGE_BYTES>().0) {
            let (content, stored) = page.split_at(PAGE_BYTES - CHECKSUM_BYTES);
            if checksum(self.number, at as u64, content) != stored {
                return Err(StoreError::corrupt(format!("page {at} of {}", self.path.display()), "checksum"));
            }
        }
        Ok(())
    }
}

/// Ends after the first error.
pub(crate) struct CoinRows {
    file: Arc<CoinFile>,
    page: usize,
    from: CoinId,
    ahead: std::vec::IntoIter<(CoinId, Coin)>,
}

impl CoinRows {
    fn read_ahead(&mut self) -> Result<(), StoreError> {
        let pages = PAGES_AHEAD.min(self.file.index.len() - self.page);
        let mut bytes = vec![0; pages * PAGE_BYTES];
        self.file.read(self.page, &mut bytes)?;
        let mut rows = Vec::with_capacity(pages * ROWS_PER_PAGE);
        for (page, bytes) in (self.page..).zip(bytes.as_chunks::<PAGE_BYTES>().0) {
            for bytes in self.file.rows_of(page, bytes) {
                rows.push(row(bytes)?);
            }
        }
        rows.drain(..rows.partition_point(|(id, _)| *id < self.from));
        self.page += pages;
        self.ahead = rows.into_iter();
        Ok(())
    }
}

impl Iterator for CoinRows {
    type Item = Result<(CoinId, Coin), StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(row) = self.ahead.next() {
                return Some(Ok(row));
            }
            if self.page == self.file.index.len() {
                return None;
            }
            if let Err(error) = self.read_ahead() {
                self.page = self.file.index.len();
                return Some(Err(error));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Even ids, from 0 on; their bytes lie as hashes do.
    fn coins(count: u32) -> Vec<(CoinId, Coin)> {
        let coin = |nth: u32| (id(2 * nth, 2 * count), Coin::plain(CoinStatus::ALL[nth as usize % 4]));
        (0..count).map(coin).collect()
    }

    fn id(place: u32, of: u32) -> CoinId {
        let mut id = [0xee; 32];
        id[..8].copy_from_slice(&(u64::MAX / u64::from(of.max(1)) * u64::from(place)).to_be_bytes());
        CoinId(id)
    }

    fn written(folder: &Path, coins: &[(CoinId, Coin)]) -> Arc<CoinFile> {
        let path = path(folder, 7);
        assert_eq!(number(&path), Some(7));
        let file = CoinFile::write(&path, 7, coins.iter().map(|row| Ok(*row))).unwrap();
        let read = CoinFile::open(&path, 7).unwrap();
        assert_eq!((read.rows, &read.index), (file.rows, &file.index));
        Arc::new(read)
    }

    #[test]
    fn every_coin_is_found_and_no_other() {
        let folder = tempfile::tempdir().unwrap();
        // Pages that are full to the last row, and not; more of them than are read at once.
        for count in [0, 1, 21, 22, 23, 44, 22 * 64, 22 * 64 + 1, 3_000] {
            let coins = coins(count);
            let file = written(folder.path(), &coins);
            for (nth, (id, coin)) in (0..).zip(&coins) {
                assert_eq!(file.get(id).unwrap(), Some(*coin));
                assert_eq!(file.get(&self::id(2 * nth + 1, 2 * count)).unwrap(), None);
            }
            for place in (0..2 * count).step_by(97).chain([0, 2 * count]) {
                let from = id(place, 2 * count);
                let rows: Vec<_> = file.rows_from(&from).map(Result::unwrap).collect();
                assert_eq!(rows, coins[coins.partition_point(|(id, _)| *id < from)..]);
            }
        }
    }

    #[test]
    fn coins_that_begin_alike_are_found_across_pages() {
        let folder = tempfile::tempdir().unwrap();
        let alike = |nth: u16| {
            let mut id = [9; 32];
            id[30..].copy_from_slice(&nth.to_be_bytes());
            CoinId(id)
        };
        let coins: Vec<_> = (0..200).map(|nth| (alike(nth), Coin::plain(CoinStatus::Live))).collect();
        let file = written(folder.path(), &coins);
        for (nth, (id, coin)) in coins.iter().enumerate() {
            assert_eq!(file.get(id).unwrap(), Some(*coin));
            assert_eq!(file.rows_from(id).count(), coins.len() - nth);
        }
        assert_eq!(file.get(&alike(200)).unwrap(), None);
    }

    #[test]
    fn the_bytes_of_a_file_are_fixed() {
        let folder = tempfile::tempdir().unwrap();
        let inert = Coin { status: CoinStatus::Frozen, contract: ContractNumber(258), issued_ms: 513 };
        written(folder.path(), &[(CoinId([1; 32]), Coin::plain(CoinStatus::Live)), (CoinId([2; 32]), inert)]);
        let bytes = std::fs::read(path(folder.path(), 7)).unwrap();
        let rows = [&"01".repeat(32), "02", &"00".repeat(12), &"02".repeat(32), "03", "02010000", "0102000000000000"];
        assert_eq!(hex::encode(&bytes[..90]), rows.concat());
        assert!(bytes[90..1020].iter().all(|byte| *byte == 0));
        let (checksum, index, end) = ("18466f2d", "0101010101010101", "4153534159434e530200000000000000bb78ace9");
        assert_eq!(hex::encode(&bytes[1020..]), [checksum, index, end].concat());
    }

    #[test]
    fn no_byte_changes_unseen() {
        let folder = tempfile::tempdir().unwrap();
        let coins = coins(30);
        written(folder.path(), &coins);
        let good = std::fs::read(path(folder.path(), 7)).unwrap();
        let damaged = folder.path().join("damaged");
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1 << (at % 8);
            std::fs::write(&damaged, bad).unwrap();
            let read =
                CoinFile::open(&damaged, 7).and_then(|file| Arc::new(file).rows_from(&CoinId([0; 32])).collect());
            let read: Result<Vec<_>, StoreError> = read;
            assert!(read.is_err(), "byte {at}");
        }
        for length in [0, 19, 20, good.len() - 1, 1024] {
            std::fs::write(&damaged, &good[..length]).unwrap();
            assert!(CoinFile::open(&damaged, 7).is_err(), "{length} bytes");
        }
        // The same pages as another file's.
        std::fs::write(&damaged, &good).unwrap();
        assert!(CoinFile::open(&damaged, 7).is_ok() && CoinFile::open(&damaged, 8).is_err());
        let whole = CoinFile::open(&damaged, 7).unwrap();
        assert!(CoinFile { number: 8, ..whole }.get(&coins[0].0).is_err());
    }

    #[test]
    fn what_cannot_be_written_whole_leaves_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = path(folder.path(), 7);
        let rows = coins(30).into_iter().map(Ok).chain([Err(StoreError::Stopped)]);
        assert!(CoinFile::write(&path, 7, rows).is_err());
        assert!(!path.exists());
    }
}
