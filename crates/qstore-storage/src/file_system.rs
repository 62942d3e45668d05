//! What a file system must be able to do for Q-Store, and what holds after each operation.
//!
//! Two notions of safety run through it. After `Ok` every operation is *visible* to all readers at
//! once; it *survives a power cut* only after the sync that covers it: [`FileHandle::sync`] for a
//! file's bytes and length, [`FileSystem::sync_dir`] for the names in a directory.

use crate::error::{Error, Operation, Result};
use crate::in_place::{Exclusive, Stamp};
use crate::noted_lock::{FileId, Probe};
use std::ffi::OsString;
use std::fmt;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A file system. All methods may block; Q-Store calls them from background threads only.
///
/// Implement it to store files elsewhere, or to wrap another file system. The methods with a default are
/// optional abilities; a wrapper must forward them all the same, or the ability is lost. Then run
/// [`conformance::check`](crate::conformance::check) on it. To observe or fail operations in a test, no
/// implementation is needed: `qstore_storage::testing` has one that asks a closure.
///
/// Every path may be relative; what it is relative to is up to the implementation.
///
/// ```
/// use qstore_storage::{FileSystem, LocalFs, MemoryFs, read_all};
/// use std::path::Path;
///
/// /// Appends a line, durably, to a log that it creates first if it is missing.
/// fn append_line(files: &dyn FileSystem, path: &Path, line: &str) -> qstore_storage::Result<()> {
///     let file = match files.metadata(path)? {
///         Some(_) => files.open_writable(path)?,
///         None => files.create_new(path)?,
///     };
///     file.write_at(file.len()?, line.as_bytes())?;
///     file.sync()?; // the bytes survive a power cut from here on …
///     files.sync_dir(qstore_storage::parent_of(path)) // … and now the name does, too
/// }
///
/// let memory = MemoryFs::new();
/// append_line(&memory, Path::new("/log"), "first\n")?;
/// append_line(&memory, Path::new("/log"), "second\n")?;
/// assert_eq!(read_all(&memory.power_cut(), Path::new("/log"))?, b"first\nsecond\n");
/// # let _ = LocalFs::new();
/// # Ok::<(), qstore_storage::Error>(())
/// ```
pub trait FileSystem: fmt::Debug + Send + Sync {
    /// Creates an empty file and opens it for reading and writing.
    ///
    /// # Errors
    /// `AlreadyExists` when anything has that name; nothing has changed then.
    fn create_new(&self, path: &Path) -> Result<Box<dyn FileHandle>>;

    /// The same, but nobody else can open the file until [`copy_mode`](Self::copy_mode) gives it the
    /// permissions of another one. The default is [`create_new`](Self::create_new), for a file system
    /// without permissions.
    ///
    /// # Errors
    /// As [`create_new`](Self::create_new).
    fn create_private(&self, path: &Path) -> Result<Box<dyn FileHandle>> {
        self.create_new(path)
    }

    /// Opens a file for reading.
    ///
    /// # Errors
    /// `NotFound` when there is none; an error when it is not a regular file.
    fn open(&self, path: &Path) -> Result<Box<dyn FileHandle>>;

    /// Opens a file for reading and writing.
    ///
    /// # Errors
    /// As [`open`](Self::open), and when the file must not be written to. The default is `Unsupported`.
    fn open_writable(&self, path: &Path) -> Result<Box<dyn FileHandle>> {
        Err(Error::new(Operation::Open, path, io::ErrorKind::Unsupported.into()))
    }

    /// The same file system, with paths that are relative to this directory: to the directory that has the
    /// name now, whatever becomes of the name. It can be renamed, and another can take its name; when it is
    /// removed, operations fail with `NotFound`. Absolute paths are not affected, and
    /// [`resolve`](Self::resolve) answers with absolute paths: `resolve(".")` is where the directory is now.
    ///
    /// `None`, the default, where the file system cannot hold a directory open: [`open_dir`](crate::open_dir)
    /// then goes by names.
    ///
    /// ```
    /// use qstore_storage::{FileSystem, MemoryFs};
    /// use std::path::Path;
    ///
    /// let files = MemoryFs::new();
    /// files.create_dir(Path::new("/run"))?;
    /// let run = files.open_dir(Path::new("/run"))?.expect("this one can");
    /// files.rename(Path::new("/run"), Path::new("/kept"))?;
    /// run.create_new(Path::new("log"))?;
    /// assert!(files.metadata(Path::new("/kept/log"))?.is_some());
    /// assert_eq!(run.resolve(Path::new("."))?, Path::new("/kept"));
    /// # Ok::<(), qstore_storage::Error>(())
    /// ```
    ///
    /// # Errors
    /// When there is no such directory, or it cannot be opened.
    fn open_dir(&self, dir: &Path) -> Result<Option<Arc<dyn FileSystem>>> {
        let _ = dir;
        Ok(None)
    }

    /// Identifies what has that name, without following a link; `None` when nothing has.
    ///
    /// # Errors
    /// When this cannot be determined. The default is `Unsupported`.
    fn stamp(&self, path: &Path) -> Result<Option<Stamp>> {
        Err(Error::new(Operation::Inspect, path, io::ErrorKind::Unsupported.into()))
    }

    /// The kind and length of what has that name, without following a link; `None` when nothing has.
    ///
    /// # Errors
    /// When this cannot be determined.
    fn metadata(&self, path: &Path) -> Result<Option<Metadata>>;

    /// The path with all links followed. Its last component need not exist.
    ///
    /// # Errors
    /// `NotFound` when its parent directory does not exist.
    fn resolve(&self, path: &Path) -> Result<PathBuf>;

    /// The entries of a directory, in no particular order.
    ///
    /// # Errors
    /// `NotFound` when there is no such directory.
    fn list(&self, dir: &Path) -> Result<Vec<Entry>>;

    /// Creates one directory.
    ///
    /// # Errors
    /// `AlreadyExists` when the name is taken, `NotFound` when the directory above is missing.
    fn create_dir(&self, dir: &Path) -> Result<()>;

    /// The same, but nobody else can look into it until [`copy_mode`](Self::copy_mode) gives it the
    /// permissions of another one. The default is [`create_dir`](Self::create_dir).
    ///
    /// # Errors
    /// As [`create_dir`](Self::create_dir).
    fn create_private_dir(&self, dir: &Path) -> Result<()> {
        self.create_dir(dir)
    }

    /// Makes `to` another name of the file `from` (a hard link).
    ///
    /// # Errors
    /// `AlreadyExists` when `to` is taken. [`Error::is_unsupported`] where hard links are not possible.
    fn link(&self, from: &Path, to: &Path) -> Result<()>;

    /// Moves `from` to `to` in one step, replacing a file under that name: every reader sees the old
    /// one or the new one, never neither.
    ///
    /// # Errors
    /// After an error both names are as they were.
    fn rename(&self, from: &Path, to: &Path) -> Result<()>;

    /// Moves `from` to `to` in one step if nothing has that name: every reader sees the file under one of the
    /// two names, never under both and never under neither.
    ///
    /// # Errors
    /// `AlreadyExists` when anything has the name `to`. [`Error::is_unsupported`] where the file system cannot,
    /// which is the default; after an error both names are as they were.
    fn rename_new(&self, from: &Path, to: &Path) -> Result<()> {
        let _ = from;
        Err(Error::new(Operation::RenameNew, to, io::ErrorKind::Unsupported.into()))
    }

    /// Swaps two existing names in one step.
    ///
    /// # Errors
    /// [`Error::is_unsupported`] where the file system cannot; after an error both names are as they were.
    fn exchange(&self, one: &Path, other: &Path) -> Result<()>;

    /// Removes a name that is not a directory. Open handles stay readable.
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
    /// After an error it is unknown which names would survive.
    fn sync_dir(&self, dir: &Path) -> Result<()>;

    /// Prepares to sync a whole tree at once. Must be called before anything is written below `dir`.
    /// `None`, the default, where the system cannot: then every file and directory must be synced by
    /// itself.
    ///
    /// # Errors
    /// When the directory cannot be opened.
    fn sync_tree(&self, dir: &Path) -> Result<Option<Box<dyn TreeSync>>> {
        let _ = dir;
        Ok(None)
    }

    /// The bytes that can still be written below that directory; `None`, the default, where this is not
    /// known. Others may use them up at any time, so enough space now is not a promise.
    ///
    /// # Errors
    /// When this cannot be determined.
    fn available(&self, dir: &Path) -> Result<Option<u64>> {
        let _ = dir;
        Ok(None)
    }

    /// Gives `to`, a file or a directory, the permissions of `from`: mode, owner, group, access list and
    /// what else is attached to it, as far as this process may. What it may not give narrows the rest, so
    /// that nobody can do more with `to` than with `from`. Does nothing on a file system without
    /// permissions.
    ///
    /// # Errors
    /// When `to` is more open than `from` and the file system refuses to change that.
    fn copy_mode(&self, from: &Path, to: &Path) -> Result<()>;

    /// Acquires the lock of that name, or returns `None` if it is held, by this process or another one.
    ///
    /// A lock file appears with the lock and disappears with it. A lock ends with its process at the latest,
    /// so a lock file left behind by a killed process locks nothing.
    ///
    /// ```
    /// use qstore_storage::{FileSystem, MemoryFs};
    /// use std::path::Path;
    ///
    /// let files = MemoryFs::new();
    /// let held = files.try_lock(Path::new("/run.lock"))?.expect("nothing else runs here");
    /// assert!(files.try_lock(Path::new("/run.lock"))?.is_none());
    /// drop(held);
    /// assert!(files.try_lock(Path::new("/run.lock"))?.is_some());
    /// # Ok::<(), qstore_storage::Error>(())
    /// ```
    ///
    /// # Errors
    /// When the lock file cannot be created. [`Error::is_unsupported`] where the file system has no locks;
    /// no lock file is left behind then, and [`Locking`](crate::Locking) can do without.
    fn try_lock(&self, path: &Path) -> Result<Option<Box<dyn Lock>>>;

    /// Acquires the lock of that name, waiting indefinitely while it is held elsewhere.
    ///
    /// # Errors
    /// As [`try_lock`](Self::try_lock).
    fn lock(&self, path: &Path) -> Result<Box<dyn Lock>>;

    /// As [`try_lock`](Self::try_lock), with a lock that others can ask for without taking it, by
    /// [`probe_lock`](Self::probe_lock). They also see `note`, which tells who holds it. Its file stays when the
    /// lock is released. The default is a lock that nobody sees.
    ///
    /// ```
    /// use qstore_storage::{FileSystem, MemoryFs, Probe};
    /// use std::path::Path;
    ///
    /// let files = MemoryFs::new();
    /// let path = Path::new("/run.lock");
    /// assert_eq!(files.probe_lock(path)?, Probe::Missing);
    /// let held = files.try_lock_noted(path, b"process 7")?.expect("nothing else runs here");
    /// assert!(matches!(files.probe_lock(path)?, Probe::Held { note, .. } if note == b"process 7"));
    /// drop(held);
    /// assert!(matches!(files.probe_lock(path)?, Probe::Free { .. }));
    /// # Ok::<(), qstore_storage::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`try_lock`](Self::try_lock).
    fn try_lock_noted(&self, path: &Path, note: &[u8]) -> Result<Option<Box<dyn Lock>>> {
        let _ = note;
        self.try_lock(path)
    }

    /// Whether somebody holds the [noted lock](Self::try_lock_noted) of that name. Takes no lock, changes
    /// nothing, and never makes anybody wait.
    ///
    /// A lock that is held on another machine may not be seen: a holder there reports as
    /// [`Lock::seen_as`] what it is worth on its own machine only.
    ///
    /// # Errors
    /// [`Error::is_unsupported`] where the file system cannot tell, which is the default; when the file cannot
    /// be opened for reading.
    fn probe_lock(&self, path: &Path) -> Result<Probe> {
        Err(Error::new(Operation::Lock, path, io::ErrorKind::Unsupported.into()))
    }
}

/// Syncs a tree as a whole, and perhaps more than that tree.
pub trait TreeSync: fmt::Debug + Send + Sync {
    /// Makes all files and names in the tree, as they are now, survive a power cut; but not the tree's
    /// own name.
    ///
    /// # Errors
    /// When anything written since [`FileSystem::sync_tree`] may be lost; it must be written again, to new
    /// files.
    fn sync(&self) -> Result<()>;
}

/// An open file. Offsets are in bytes from the beginning; there is no cursor, so threads may share it.
///
/// ```
/// use qstore_storage::{FileSystem, MemoryFs};
/// use std::path::Path;
///
/// let file = MemoryFs::new().create_new(Path::new("/file"))?;
/// file.write_at(4, b"tail")?; // the bytes before it are zeros
/// file.write_at(0, b"head")?;
/// let mut part = [0; 4];
/// file.read_at(2, &mut part)?;
/// assert_eq!(&part, b"adta");
/// assert!(file.read_at(6, &mut part).is_err(), "the file ends before the buffer is full");
/// # Ok::<(), qstore_storage::Error>(())
/// ```
pub trait FileHandle: fmt::Debug + Send + Sync {
    /// Writes all bytes at that offset, extending the file where needed.
    ///
    /// # Errors
    /// After an error any part of the bytes may have been written.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<()>;

    /// Fills the buffer from that offset.
    ///
    /// # Errors
    /// `UnexpectedEof` when the file ends before the buffer is full.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<()>;

    /// The first range of bytes, at or after that offset, for which anything is stored; `None` when there is
    /// none. The rest of a file are holes, which read as zeros. The default knows of no holes: everything up
    /// to the end is stored. A wrapper should forward it.
    ///
    /// # Errors
    /// When this cannot be determined.
    fn next_data(&self, offset: u64) -> Result<Option<Range<u64>>> {
        let len = self.len()?;
        Ok((offset < len).then_some(offset..len))
    }

    /// The length of the file in bytes.
    ///
    /// # Errors
    /// When this cannot be determined.
    fn len(&self) -> Result<u64>;

    /// Whether the file is empty.
    ///
    /// # Errors
    /// As [`FileHandle::len`].
    fn is_empty(&self) -> Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Truncates the file to that length, or extends it with zeros.
    ///
    /// # Errors
    /// After an error the file has its old length or the new one.
    fn set_len(&self, len: u64) -> Result<()>;

    /// Asks the system to start writing these bytes to the disk, so that a later [`sync`](Self::sync) has
    /// less to wait for. A hint: it makes nothing durable, and the default ignores it. A wrapper should
    /// forward it.
    fn begin_write_out(&self, offset: u64, len: u64) {
        let _ = (offset, len);
    }

    /// Makes the file's bytes and length, as they are now, survive a power cut; not its name.
    ///
    /// # Errors
    /// After an error the file cannot be trusted: the system may have dropped the bytes, and a later `Ok`
    /// does not bring them back. Write them to a new file.
    fn sync(&self) -> Result<()>;

    /// Identifies this file and its last change.
    ///
    /// # Errors
    /// When this cannot be determined; `Unsupported` on a file system that cannot tell files apart.
    fn stamp(&self) -> Result<Stamp>;

    /// Checks that this is the only open handle of the file, and if so, prevents it from being opened again
    /// until the claim is dropped. The default is [`Exclusive::Unknown`].
    ///
    /// # Errors
    /// When this cannot be determined although the file system usually can.
    fn claim(&self) -> Result<Exclusive> {
        Ok(Exclusive::Unknown)
    }
}

/// A lock, held until it is dropped. See [`FileSystem::try_lock`].
#[must_use = "dropping the lock releases it"]
pub trait Lock: fmt::Debug + Send + Sync {
    /// Whether the name of the lock still leads to this one. If it does not, the lock file was removed by
    /// hand, and someone else may hold a lock of that name. The default is `true`.
    ///
    /// # Errors
    /// When this cannot be determined.
    fn is_named(&self) -> Result<bool> {
        Ok(true)
    }

    /// The file by which a [probe](FileSystem::probe_lock) on this machine sees the lock, as far as its holder
    /// could try. `None`, the default, if no probe would see it.
    fn seen_as(&self) -> Option<FileId> {
        None
    }
}

/// The kind and length of what has a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metadata {
    /// A file, a directory, or something else.
    pub kind: EntryKind,
    /// The length in bytes; of a file only.
    pub len: u64,
}

impl Metadata {
    /// Metadata of that kind and length.
    #[must_use]
    pub const fn new(kind: EntryKind, len: u64) -> Self {
        Self { kind, len }
    }
}

/// An entry of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The name, without the directory.
    pub name: OsString,
    /// What has that name.
    pub kind: EntryKind,
}

/// What can have a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A directory.
    Dir,
    /// A link, a device or a pipe: Q-Store neither reads nor follows it.
    Other,
}
