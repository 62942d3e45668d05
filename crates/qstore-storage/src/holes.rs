//! Which parts of a file are stored, and which are holes.

use std::fs::File;
use std::ops::Range;

/// The first stored range within `range`; all of it where the system cannot tell.
#[cfg(any(target_os = "linux", target_vendor = "apple"))]
pub(crate) fn next_data(file: &File, range: Range<u64>) -> Option<Range<u64>> {
    use rustix::fs::{SeekFrom, seek};
    use rustix::io::Errno;
    // The cursor of the file moves, but nothing here uses it.
    let start = match seek(file, SeekFrom::Data(range.start)) {
        Ok(start) => start,
        Err(Errno::NXIO) => return None,
        Err(_) => return Some(range),
    };
    let end = seek(file, SeekFrom::Hole(start)).unwrap_or(range.end).min(range.end);
    (start < end).then_some(start..end)
}

#[cfg(not(any(target_os = "linux", target_vendor = "apple")))]
pub(crate) fn next_data(_: &File, range: Range<u64>) -> Option<Range<u64>> {
    Some(range)
}
