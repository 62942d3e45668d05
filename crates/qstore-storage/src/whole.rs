//! Reading into memory what a file claims to have, without believing the claim.
//!
//! A file's length costs nothing: a file of holes can claim more than any machine has. So memory is asked for
//! in a way that can be refused, and what nothing was stored for is not touched.

use crate::error::{Error, Operation, Result};
use crate::file_system::{FileHandle, FileSystem};
use std::io;
use std::path::Path;

/// Reads a whole file, of any length.
///
/// # Errors
/// When the file cannot be opened or read. [`Error::is_exhausted`] when there is not enough memory for it.
pub fn read_all(storage: &dyn FileSystem, path: &Path) -> Result<Vec<u8>> {
    read_up_to(storage, path, u64::MAX)
}

/// Reads a whole file of at most `limit` bytes.
///
/// ```
/// use qstore_storage::{FileSystem, MemoryFs, read_up_to};
/// use std::{io::ErrorKind, path::Path};
///
/// let files = MemoryFs::new();
/// files.create_new(Path::new("/file"))?.write_at(0, b"text")?;
/// assert_eq!(read_up_to(&files, Path::new("/file"), 4)?, b"text");
/// let error = read_up_to(&files, Path::new("/file"), 3).unwrap_err();
/// assert_eq!(error.source.kind(), ErrorKind::FileTooLarge);
/// # Ok::<(), qstore_storage::Error>(())
/// ```
///
/// # Errors
/// `FileTooLarge` when it is longer; otherwise as [`read_all`].
pub fn read_up_to(storage: &dyn FileSystem, path: &Path, limit: u64) -> Result<Vec<u8>> {
    let file = storage.open(path)?;
    let failed = |source| Error::new(Operation::Read, path, source);
    let len = file.len()?;
    if len > limit {
        let reason = format!("it has {len} bytes, more than the limit of {limit}");
        return Err(failed(io::Error::new(io::ErrorKind::FileTooLarge, reason)));
    }
    let no_memory = || {
        let reason = format!("there is not enough memory for its {len} bytes");
        failed(io::Error::new(io::ErrorKind::OutOfMemory, reason))
    };
    let len = usize::try_from(len).map_err(|_| no_memory())?;
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(len).map_err(|_| no_memory())?;
    bytes.resize(len, 0); // bounded: it was reserved
    file.read_at(0, &mut bytes)?;
    Ok(bytes)
}

/// Fills `zeroed`, which must hold only zeros, from that offset, without touching it where the file has a
/// hole. Memory that the system zeroes when it is first touched then takes no more than what is stored.
///
/// # Errors
/// `UnexpectedEof` when the file ends before the memory is full.
pub fn read_into_zeroed(file: &dyn FileHandle, offset: u64, zeroed: &mut [u8]) -> Result<()> {
    let Some(end) = offset.checked_add(zeroed.len() as u64) else {
        return file.read_at(offset, zeroed); // beyond the end of any file
    };
    let mut position = offset;
    while position < end {
        let Some(data) = file.next_data(position)? else { break };
        let (start, data_end) = (data.start.max(offset), data.end.min(end));
        if start >= data_end {
            break;
        }
        let part = (start - offset) as usize..(data_end - offset) as usize;
        file.read_at(start, &mut zeroed[part])?;
        position = data_end;
    }
    // A file that is too short has no data there either. One byte finds out.
    match end.checked_sub(1).filter(|last| *last >= offset && !zeroed.is_empty()) {
        Some(last) => file.read_at(last, &mut [0]),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{LocalFs, MemoryFs};
    use std::os::unix::fs::FileExt;

    /// A file whose holes are of every kind: at the beginning, in the middle, at the end.
    fn with_holes(path: &Path, len: u64) -> Vec<(u64, Vec<u8>)> {
        let file = std::fs::File::create(path).unwrap();
        let parts = vec![(1 << 20, vec![7; 5000]), ((4 << 20) + 123, vec![9; 1 << 20])];
        for (offset, bytes) in &parts {
            file.write_all_at(bytes, *offset).unwrap();
        }
        file.set_len(len).unwrap();
        parts
    }

    #[test]
    fn a_file_with_holes_reads_as_it_is() {
        let tmp = tempfile::tempdir().unwrap();
        let path = tmp.path().join("file");
        let len = 16 << 20;
        with_holes(&path, len);
        let whole = std::fs::read(&path).unwrap();
        let file = LocalFs.open(&path).unwrap();
        for (start, end) in [(0, len), (1, len), (1 << 20, len - 1), ((1 << 20) + 7, 5 << 20)] {
            let (start_at, end_at) = (start as usize, end as usize);
            let mut bytes = vec![0; end_at - start_at];
            read_into_zeroed(&*file, start, &mut bytes).unwrap();
            assert!(bytes == whole[start_at..end_at], "{start}..{end}");
        }
        read_into_zeroed(&*file, len, &mut []).unwrap();
        for (offset, room) in [(len, 1), (len - 10, 11), (len + 5, 3), (u64::MAX, 2)] {
            let error = read_into_zeroed(&*file, offset, &mut vec![0; room]);
            assert!(error.is_err(), "{offset} + {room} is beyond the end");
        }
    }

    #[test]
    fn memory_is_not_touched_where_nothing_is_stored() {
        let tmp = tempfile::tempdir().unwrap();
        let path = tmp.path().join("file");
        let len = 16 << 20;
        let parts = with_holes(&path, len);
        let file = LocalFs.open(&path).unwrap();
        if file.next_data(0).unwrap() == Some(0..len) {
            println!("not tested: this file system does not tell what is stored");
            return;
        }
        // Not zeros, so that a hole that was read would show.
        let mut bytes = vec![0xff; len as usize];
        read_into_zeroed(&*file, 0, &mut bytes).unwrap();
        let stored: usize = parts.iter().map(|(_, bytes)| bytes.len()).sum();
        let read = bytes.iter().filter(|byte| **byte != 0xff).count();
        assert!(read < 2 * stored, "{read} bytes of {stored} were read");
    }

    #[test]
    fn a_length_that_no_machine_has_memory_for_is_an_error_of_its_own() {
        let tmp = tempfile::tempdir().unwrap();
        let path = tmp.path().join("file");
        std::fs::File::create(&path).unwrap().set_len(1 << 43).unwrap();
        let error = read_up_to(&LocalFs, &path, 1 << 30).unwrap_err();
        assert_eq!(error.source.kind(), io::ErrorKind::FileTooLarge);
        assert!(
            error.to_string().contains("8796093022208 bytes, more than the limit of 1073741824")
        );
        let files = MemoryFs::new();
        files.create_new(Path::new("/file")).unwrap().write_at(0, b"text").unwrap();
        assert_eq!(read_all(&files, Path::new("/file")).unwrap(), b"text");
    }
}
