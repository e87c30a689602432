//! What the signing guard and the log of consensus write to: a file; in the simulator a disk that forgets what was not synced.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

pub trait Medium {
    /// An end before the buffer is full is [`io::ErrorKind::UnexpectedEof`].
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// What was written before is on disk when it returns.
    fn sync_data(&self) -> io::Result<()>;
}

impl Medium for File {
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        FileExt::read_exact_at(self, buffer, offset)
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        FileExt::write_all_at(self, bytes, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        File::sync_data(self)
    }
}
