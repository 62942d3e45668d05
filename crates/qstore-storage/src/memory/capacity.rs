//! A disk that can run full.

use super::disk::{Disk, Inode, ROOT};
use std::collections::HashSet;
use std::io;

impl Disk {
    /// Bytes that can still be written.
    pub(super) fn available(&self) -> Option<u64> {
        self.capacity.map(|capacity| capacity.saturating_sub(self.used()))
    }

    /// Where a write of the bytes `start..end` of a file must stop, and the error if that is too early.
    pub(super) fn room(&self, inode: usize, start: usize, end: usize) -> (usize, io::Result<()>) {
        let len = self.bytes(inode).map_or(0, Vec::len);
        match self.available() {
            Some(left) if end.saturating_sub(len) as u64 > left => {
                (start.max(len + left as usize), Err(io::ErrorKind::StorageFull.into()))
            }
            _ => (end, Ok(())),
        }
    }

    fn used(&self) -> u64 {
        let (mut seen, mut left, mut used) = (HashSet::new(), vec![ROOT], 0);
        while let Some(inode) = left.pop() {
            if !seen.insert(inode) {
                continue;
            }
            match &self.inodes[inode] {
                Inode::File { live, .. } => used += live.len() as u64,
                Inode::Dir { live, .. } => left.extend(live.values()),
            }
        }
        used
    }
}

#[cfg(test)]
mod tests {
    use crate::{FileSystem, MemoryFs, read_all};
    use std::io;
    use std::path::Path;

    #[test]
    fn a_full_disk_accepts_what_fits_and_more_once_something_is_removed() {
        let memory = MemoryFs::new();
        memory.set_capacity(Some(10));
        let old = memory.create_new(Path::new("/old")).unwrap();
        old.write_at(0, b"12345").unwrap();
        let new = memory.create_new(Path::new("/new")).unwrap();
        let error = new.write_at(0, b"1234567").unwrap_err();
        assert_eq!(error.source.kind(), io::ErrorKind::StorageFull);
        assert_eq!(read_all(&memory, Path::new("/new")).unwrap(), b"12345");
        assert_eq!(memory.available(Path::new("/")).unwrap(), Some(0));
        old.write_at(0, b"54321").unwrap(); // takes no new byte
        memory.remove_file(Path::new("/old")).unwrap();
        assert_eq!(memory.available(Path::new("/")).unwrap(), Some(5));
        new.write_at(5, b"67890").unwrap();
        assert!(new.set_len(11).is_err());
        memory.set_capacity(None);
        assert_eq!(memory.available(Path::new("/")).unwrap(), None);
        new.set_len(11).unwrap();
    }
}
