//! What must be known before an open file may be overwritten in place: that it is still the same file, and
//! that nothing else has it open.
//!
//! Nothing here writes. A file system that cannot tell reports that, and its user then does without.

use std::fmt;
use std::time::{Duration, SystemTime};

/// Identifies a file and its last change. Two equal stamps mean that it is the same file and has not been
/// changed in between, as far as the clock of the file system can tell.
///
/// ```
/// use qstore_storage::{FileSystem, MemoryFs};
/// use std::path::Path;
///
/// let files = MemoryFs::new();
/// let file = files.create_new(Path::new("/file"))?;
/// let before = file.stamp()?;
/// file.write_at(0, b"changed")?;
/// let after = file.stamp()?;
/// assert!(after != before && after.is_same_file(&before));
/// # Ok::<(), qstore_storage::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// The file system, and the number of the file in it.
    pub(crate) identity: (u64, u64),
    /// The number of its names.
    pub(crate) names: u64,
    pub(crate) len: u64,
    /// The time of the last change in seconds and nanoseconds, or a count of changes.
    pub(crate) modified: (i64, i64),
}

impl Stamp {
    /// The number of names that the file has; more than one if it was linked.
    #[must_use]
    pub fn names(&self) -> u64 {
        self.names
    }

    /// The time of the last change, as the file system tells it; [`MemoryFs`](crate::MemoryFs) counts changes
    /// instead, as seconds.
    #[must_use]
    pub fn modified(&self) -> SystemTime {
        let (seconds, nanos) = self.modified;
        let offset = Duration::new(seconds.unsigned_abs(), nanos.unsigned_abs() as u32);
        let time = if seconds < 0 {
            SystemTime::UNIX_EPOCH.checked_sub(offset)
        } else {
            SystemTime::UNIX_EPOCH.checked_add(offset)
        };
        time.unwrap_or(SystemTime::UNIX_EPOCH)
    }

    /// Whether the file has no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether it is the same file as `earlier` and holds the same, as far as its length and the time of its
    /// last change tell. It may have more names or fewer.
    #[must_use]
    pub fn is_unchanged_since(&self, earlier: &Self) -> bool {
        Self { names: earlier.names, ..*self } == *earlier
    }

    /// Whether both identify the same file, changed or not.
    #[must_use]
    pub fn is_same_file(&self, other: &Self) -> bool {
        self.identity == other.identity
    }
}

/// Whether a file is open elsewhere: the result of [`FileHandle::claim`](crate::FileHandle::claim).
#[must_use = "a claim that is dropped is released"]
pub enum Exclusive {
    /// It is not. Opening it waits until the claim is dropped, or until the system gives up (Linux: 45 s).
    Held(Box<dyn Claim>),
    /// It is open or mapped into memory elsewhere, in this process or another one.
    Busy,
    /// The file system cannot tell.
    Unknown,
}

/// Prevents a file from being opened until it is dropped.
pub trait Claim: fmt::Debug + Send + Sync {}

impl fmt::Debug for Exclusive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Held(_) => "Held",
            Self::Busy => "Busy",
            Self::Unknown => "Unknown",
        })
    }
}
