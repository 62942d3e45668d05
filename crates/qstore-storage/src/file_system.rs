//! The seam: what a file system must be able to do for Q-Store, and what holds afterwards.
//!
//! Two notions of safety run through it. After `Ok` every operation is *visible* to all readers at
//! once; it *survives a power cut* only after the sync that covers it: [`FileHandle::sync`] for a
//! file's bytes and length, [`FileSystem::sync_dir`] for the names in a directory.

use crate::error::{Error, Operation, Result};
use crate::in_place::{Exclusive, Stamp};
use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// A file system. All methods may block and are called from background threads only.
pub trait FileSystem: fmt::Debug + Send + Sync {
    /// Creates an empty file and opens it for reading and writing.
    ///
    /// # Errors
    /// `AlreadyExists` when the name is taken, by whatever it is; nothing has changed then.
    fn create_new(&self, path: &Path) -> Result<Box<dyn FileHandle>>;

    /// Opens a file for reading.
    ///
    /// # Errors
    /// `NotFound` when there is none; an error when it is not a plain file.
    fn open(&self, path: &Path) -> Result<Box<dyn FileHandle>>;

    /// Opens a file for reading and writing.
    ///
    /// # Errors
    /// As [`open`](Self::open), and when the file may not be written; `Unsupported` where a storage
    /// has no such thing.
    fn open_writable(&self, path: &Path) -> Result<Box<dyn FileHandle>> {
        Err(Error::new(Operation::Open, path, io::ErrorKind::Unsupported.into()))
    }

    /// Which file the name stands for, a link for itself; `None` when it stands for nothing.
    ///
    /// # Errors
    /// When it cannot be found out; `Unsupported` where a storage has no such thing.
    fn stamp(&self, path: &Path) -> Result<Option<Stamp>> {
        Err(Error::new(Operation::Inspect, path, io::ErrorKind::Unsupported.into()))
    }

    /// What the name stands for, a link for itself; `None` when it stands for nothing.
    ///
    /// # Errors
    /// When it cannot be found out.
    fn metadata(&self, path: &Path) -> Result<Option<Metadata>>;

    /// Where the path leads once links are followed. The last component need not exist.
    ///
    /// # Errors
    /// `NotFound` when the directory it lies in does not exist.
    fn resolve(&self, path: &Path) -> Result<PathBuf>;

    /// What lies directly in a directory, in no particular order.
    ///
    /// # Errors
    /// `NotFound` when there is no such directory.
    fn list(&self, dir: &Path) -> Result<Vec<Entry>>;

    /// Creates one directory.
    ///
    /// # Errors
    /// `AlreadyExists` when the name is taken, `NotFound` when the directory above is missing.
    fn create_dir(&self, dir: &Path) -> Result<()>;

    /// Makes `to` a second name of the file `from`.
    ///
    /// # Errors
    /// `AlreadyExists` when `to` is taken.
    fn link(&self, from: &Path, to: &Path) -> Result<()>;

    /// Moves `from` to `to` in one step, replacing a file that is there: every reader sees the old
    /// or the new one, never neither.
    ///
    /// # Errors
    /// After an error both names are as they were.
    fn rename(&self, from: &Path, to: &Path) -> Result<()>;

    /// Lets two existing names change places in one step.
    ///
    /// # Errors
    /// `Unsupported` where the system cannot; after an error both names are as they were.
    fn exchange(&self, one: &Path, other: &Path) -> Result<()>;

    /// Removes a name that is no directory. Open files stay readable.
    ///
    /// # Errors
    /// `NotFound` when there is none.
    fn remove_file(&self, path: &Path) -> Result<()>;

    /// Removes an empty directory.
    ///
    /// # Errors
    /// An error when it is missing or not empty.
    fn remove_dir(&self, dir: &Path) -> Result<()>;

    /// Makes the names in a directory, as they are now, survive a power cut.
    ///
    /// # Errors
    /// After an error nothing is known about what would survive.
    fn sync_dir(&self, dir: &Path) -> Result<()>;

    /// Takes up the syncing of a whole tree at once; `None` where the system has no such thing, as
    /// here, and every file and directory must be synced by itself. To be asked for before anything
    /// is written below `dir`.
    ///
    /// # Errors
    /// When the directory cannot be opened.
    fn sync_tree(&self, dir: &Path) -> Result<Option<Box<dyn TreeSync>>> {
        let _ = dir;
        Ok(None)
    }

    /// Bytes that can still be written below that directory, `None` where that is not known. What
    /// others write meanwhile takes from it, so enough now is no promise.
    ///
    /// # Errors
    /// When it cannot be found out.
    fn available(&self, dir: &Path) -> Result<Option<u64>> {
        let _ = dir;
        Ok(None)
    }

    /// Gives `to` the mode of `from`, where the file system knows modes.
    ///
    /// # Errors
    /// When it has modes and refuses; `to` then has the mode it was created with.
    fn copy_mode(&self, from: &Path, to: &Path) -> Result<()>;

    /// Takes the lock of that name if nobody holds it, `None` otherwise. Where there is a lock file,
    /// it appears with the lock and disappears with it; one left by a killed process locks nothing.
    ///
    /// # Errors
    /// When the lock file cannot be made.
    fn try_lock(&self, path: &Path) -> Result<Option<Box<dyn Lock>>>;

    /// Takes the lock of that name, waiting as long as somebody else holds it.
    ///
    /// # Errors
    /// When the lock file cannot be made.
    fn lock(&self, path: &Path) -> Result<Box<dyn Lock>>;
}

/// A tree that is synced as a whole, and perhaps more with it.
pub trait TreeSync: fmt::Debug + Send + Sync {
    /// Makes all files and names in the tree, as they are now, survive a power cut; not the tree's
    /// own name.
    ///
    /// # Errors
    /// When anything written since this was taken up may be lost; it must be written anew.
    fn sync(&self) -> Result<()>;
}

/// An open file. Offsets are bytes from its beginning; there is no cursor.
pub trait FileHandle: fmt::Debug + Send + Sync {
    /// Writes all the bytes at that offset, extending the file where needed.
    ///
    /// # Errors
    /// After an error any part of the bytes may have been written.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<()>;

    /// Fills the buffer from that offset.
    ///
    /// # Errors
    /// `UnexpectedEof` when the file ends before the buffer is full.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<()>;

    /// The file's length in bytes.
    ///
    /// # Errors
    /// When it cannot be found out.
    fn len(&self) -> Result<u64>;

    /// Whether the file has no bytes.
    ///
    /// # Errors
    /// As [`FileHandle::len`].
    fn is_empty(&self) -> Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Cuts the file to that length, or extends it with zeros.
    ///
    /// # Errors
    /// After an error the length is the old or the new one.
    fn set_len(&self, len: u64) -> Result<()>;

    /// Asks the system to begin writing these bytes down, so that a later [`sync`](Self::sync) has
    /// less to wait for. A hint: it makes nothing durable and nothing changes if it is ignored, as
    /// it is unless an implementation knows better. A wrapper should pass it on.
    fn begin_write_out(&self, offset: u64, len: u64) {
        let _ = (offset, len);
    }

    /// Makes the file's bytes and length, as they are now, survive a power cut; not its name.
    ///
    /// # Errors
    /// After an error the file must not be trusted: the system may have dropped the bytes, and a
    /// later `Ok` does not bring them back. Write them to a new file.
    fn sync(&self) -> Result<()>;

    /// Which file this is and what was last done to it.
    ///
    /// # Errors
    /// When it cannot be found out; `Unsupported` where a storage has no such thing.
    fn stamp(&self) -> Result<Stamp>;

    /// Makes sure that nobody else has the file open, nor opens it until the claim is dropped.
    ///
    /// # Errors
    /// When it cannot be found out although it usually can.
    fn claim(&self) -> Result<Exclusive> {
        Ok(Exclusive::Unknown)
    }
}

/// A lock that is held until it is dropped.
#[must_use = "dropping the lock releases it"]
pub trait Lock: fmt::Debug + Send + Sync {}

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metadata {
    /// A file, a directory, or something else.
    pub kind: EntryKind,
    /// Length of a file in bytes.
    pub len: u64,
}

impl Metadata {
    /// The metadata of something of that kind and length.
    #[must_use]
    pub const fn new(kind: EntryKind, len: u64) -> Self {
        Self { kind, len }
    }
}

/// A name in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The name, without the directory.
    pub name: OsString,
    /// What it stands for.
    pub kind: EntryKind,
}

/// What a name can stand for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EntryKind {
    /// A plain file.
    File,
    /// A directory.
    Dir,
    /// A link, a device, a pipe: Q-Store neither reads nor follows it.
    Other,
}
