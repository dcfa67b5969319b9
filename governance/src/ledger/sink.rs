//! Where a segment's bytes go: a file, or in tests a disk that fills up.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// What a segment needs of its file.
pub(super) trait Sink: Send {
    /// Writes all bytes at the end, which is at this offset, in one system call as long as the disk takes them.
    fn put(&mut self, bytes: &[u8], end: u64) -> io::Result<()>;

    /// Cuts everything off behind an offset.
    fn cut(&mut self, offset: u64) -> io::Result<()>;

    /// A second handle that flushes, so that nobody waits for the disk with the segment locked.
    fn flusher(&self) -> io::Result<Box<dyn Flush>>;
}

/// Brings a file's content to the disk.
pub(super) trait Flush {
    /// Returns when it is there.
    fn flush(&self) -> io::Result<()>;
}

impl Sink for File {
    // At its offset: a file's own place is behind a lock, which costs something also where nobody else wants it.
    fn put(&mut self, bytes: &[u8], end: u64) -> io::Result<()> {
        self.write_all_at(bytes, end)
    }

    fn cut(&mut self, offset: u64) -> io::Result<()> {
        self.set_len(offset)
    }

    fn flusher(&self) -> io::Result<Box<dyn Flush>> {
        Ok(Box::new(self.try_clone()?))
    }
}

impl Flush for File {
    fn flush(&self) -> io::Result<()> {
        self.sync_data()
    }
}
