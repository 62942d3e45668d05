//! A file system that asks a watcher before each operation.
//!
//! The only place where the methods of [`FileSystem`] and [`FileHandle`] are forwarded by hand: every other
//! wrapper is a [`Watcher`].

use crate::error::{Error, Operation, Result};
use crate::file_system::{Entry, FileHandle, FileSystem, Lock, Metadata, TreeSync};
use crate::in_place::{Exclusive, Stamp};
use crate::noted_lock::{FileId, Probe};
use std::fmt;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

/// An operation that is about to be performed.
#[derive(Debug)]
#[non_exhaustive]
pub struct Step<'a> {
    /// The number of operations before it.
    pub number: usize,
    /// What it is.
    pub operation: Operation,
    /// Its path; of two paths, the one that changes its meaning.
    pub path: &'a Path,
    /// The file, if the operation is on an open one.
    pub file: Option<&'a dyn FileHandle>,
    /// Whether it changes, syncs or claims something.
    pub is_change: bool,
}

/// What becomes of an operation.
#[derive(Debug)]
pub enum Verdict {
    /// It is performed.
    Proceed,
    /// It fails and has no effect, except for the given part of a write.
    Fail(io::Error, Written),
    /// It reports success and has no effect. An operation that only reads cannot pretend; it is performed.
    Pretend,
}

/// How much of a failing write is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// Nothing.
    None,
    /// The first byte.
    One,
    /// The first half.
    Half,
    /// All but the last byte.
    AllButOne,
}

impl Written {
    fn of(self, len: usize) -> usize {
        match self {
            Self::None => 0,
            Self::One => len.min(1),
            Self::Half => len / 2,
            Self::AllButOne => len.saturating_sub(1),
        }
    }
}

/// Decides what becomes of each operation of a [`WatchedFs`].
///
/// ```
/// use qstore_storage::testing::{Step, Verdict, WatchedFs, Watcher};
/// use qstore_storage::{FileSystem, MemoryFs, Operation};
/// use std::path::Path;
/// use std::sync::{Arc, atomic::{AtomicUsize, Ordering::SeqCst}};
///
/// /// Counts syncs, and lets everything pass.
/// #[derive(Debug, Default)]
/// struct Syncs(AtomicUsize);
///
/// impl Watcher for Syncs {
///     fn before(&self, step: &Step<'_>) -> Verdict {
///         if matches!(step.operation, Operation::Sync | Operation::SyncDir) {
///             self.0.fetch_add(1, SeqCst);
///         }
///         Verdict::Proceed
///     }
/// }
///
/// let files = WatchedFs::over(Arc::new(MemoryFs::new()), Syncs::default());
/// files.create_new(Path::new("/file"))?.sync()?;
/// files.sync_dir(Path::new("/"))?;
/// assert_eq!(files.watcher().0.load(SeqCst), 2);
/// # Ok::<(), qstore_storage::Error>(())
/// ```
pub trait Watcher: fmt::Debug + Send + Sync + 'static {
    /// Called before each operation, on the thread that performs it.
    fn before(&self, step: &Step<'_>) -> Verdict;
}

/// A file system with a [`Watcher`]. Clones share it.
#[derive(Debug)]
pub struct WatchedFs<W> {
    inner: Arc<dyn FileSystem>,
    /// The directory that relative paths begin at, if it was opened.
    dir: PathBuf,
    watcher: Arc<W>,
    count: Arc<AtomicUsize>,
    syncs_trees: Arc<AtomicBool>,
}

impl<W> Clone for WatchedFs<W> {
    fn clone(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
            dir: self.dir.clone(),
            watcher: Arc::clone(&self.watcher),
            count: Arc::clone(&self.count),
            syncs_trees: Arc::clone(&self.syncs_trees),
        }
    }
}

impl<W: Watcher> WatchedFs<W> {
    /// Asks `watcher` before each operation on `inner`.
    pub fn over(inner: Arc<dyn FileSystem>, watcher: W) -> Self {
        let syncs_trees = Arc::new(AtomicBool::new(true));
        let (dir, watcher) = (PathBuf::new(), Arc::new(watcher));
        Self { inner, dir, watcher, count: Arc::default(), syncs_trees }
    }

    /// From now on no tree can be synced as a whole, as on systems that cannot: files are synced one by
    /// one.
    pub fn sync_files_one_by_one(&self) {
        self.syncs_trees.store(false, SeqCst);
    }

    /// The watcher.
    pub fn watcher(&self) -> &W {
        &self.watcher
    }

    /// This file system as a trait object.
    pub fn shared(&self) -> Arc<dyn FileSystem> {
        Arc::new(self.clone())
    }

    /// Asks the watcher; `Some` is the answer to return instead of performing the operation.
    fn ask(
        &self,
        operation: Operation,
        path: &Path,
        file: Option<&dyn FileHandle>,
        is_change: bool,
    ) -> Option<(Result<()>, Written)> {
        let number = self.count.fetch_add(1, SeqCst);
        let path = &self.shown(path);
        match self.watcher.before(&Step { number, operation, path, file, is_change }) {
            Verdict::Proceed => None,
            Verdict::Pretend => Some((Ok(()), Written::None)),
            Verdict::Fail(reason, written) => {
                Some((Err(Error::new(operation, path, reason)), written))
            }
        }
    }

    /// The path as the watcher knows it.
    fn shown(&self, path: &Path) -> PathBuf {
        let is_dir = path == Path::new(".") && !self.dir.as_os_str().is_empty();
        if is_dir { self.dir.clone() } else { self.dir.join(path) }
    }

    fn change(
        &self,
        operation: Operation,
        path: &Path,
        work: impl FnOnce() -> Result<()>,
    ) -> Result<()> {
        self.ask(operation, path, None, true).map_or_else(work, |(answer, _)| answer)
    }

    /// For operations that only read.
    fn look(&self, operation: Operation, path: &Path) -> Result<()> {
        self.ask(operation, path, None, false).map_or(Ok(()), |(answer, _)| answer)
    }

    fn file(&self, path: &Path, file: Box<dyn FileHandle>) -> Box<dyn FileHandle> {
        Box::new(WatchedFile { files: self.clone(), file, path: path.to_path_buf() })
    }

    fn locked(&self, path: &Path, lock: Box<dyn Lock>) -> Box<dyn Lock> {
        Box::new(WatchedLock { files: self.clone(), lock, path: path.to_path_buf() })
    }
}

impl<W: Watcher> FileSystem for WatchedFs<W> {
    fn create_new(&self, path: &Path) -> Result<Box<dyn FileHandle>> {
        self.change(Operation::Create, path, || Ok(()))?;
        Ok(self.file(path, self.inner.create_new(path)?))
    }

    fn create_private(&self, path: &Path) -> Result<Box<dyn FileHandle>> {
        self.change(Operation::Create, path, || Ok(()))?;
        Ok(self.file(path, self.inner.create_private(path)?))
    }

    fn open(&self, path: &Path) -> Result<Box<dyn FileHandle>> {
        self.look(Operation::Open, path)?;
        Ok(self.file(path, self.inner.open(path)?))
    }

    fn open_writable(&self, path: &Path) -> Result<Box<dyn FileHandle>> {
        self.look(Operation::Open, path)?;
        Ok(self.file(path, self.inner.open_writable(path)?))
    }

    fn open_dir(&self, dir: &Path) -> Result<Option<Arc<dyn FileSystem>>> {
        self.look(Operation::Open, dir)?;
        let Some(inner) = self.inner.open_dir(dir)? else { return Ok(None) };
        Ok(Some(Arc::new(Self { inner, dir: self.shown(dir), ..self.clone() })))
    }

    fn stamp(&self, path: &Path) -> Result<Option<Stamp>> {
        self.look(Operation::Inspect, path)?;
        self.inner.stamp(path)
    }

    fn metadata(&self, path: &Path) -> Result<Option<Metadata>> {
        self.look(Operation::Inspect, path)?;
        self.inner.metadata(path)
    }

    fn resolve(&self, path: &Path) -> Result<PathBuf> {
        self.look(Operation::Inspect, path)?;
        self.inner.resolve(path)
    }

    fn list(&self, dir: &Path) -> Result<Vec<Entry>> {
        self.look(Operation::List, dir)?;
        self.inner.list(dir)
    }

    fn create_dir(&self, dir: &Path) -> Result<()> {
        self.change(Operation::CreateDir, dir, || self.inner.create_dir(dir))
    }

    fn create_private_dir(&self, dir: &Path) -> Result<()> {
        self.change(Operation::CreateDir, dir, || self.inner.create_private_dir(dir))
    }

    fn link(&self, from: &Path, to: &Path) -> Result<()> {
        self.change(Operation::Link, to, || self.inner.link(from, to))
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        self.change(Operation::Rename, to, || self.inner.rename(from, to))
    }

    fn rename_new(&self, from: &Path, to: &Path) -> Result<()> {
        self.change(Operation::RenameNew, to, || self.inner.rename_new(from, to))
    }

    fn exchange(&self, one: &Path, other: &Path) -> Result<()> {
        self.change(Operation::Exchange, other, || self.inner.exchange(one, other))
    }

    fn remove_file(&self, path: &Path) -> Result<()> {
        self.change(Operation::Remove, path, || self.inner.remove_file(path))
    }

    fn remove_dir(&self, dir: &Path) -> Result<()> {
        self.change(Operation::Remove, dir, || self.inner.remove_dir(dir))
    }

    fn sync_dir(&self, dir: &Path) -> Result<()> {
        self.change(Operation::SyncDir, dir, || self.inner.sync_dir(dir))
    }

    fn sync_tree(&self, dir: &Path) -> Result<Option<Box<dyn TreeSync>>> {
        if !self.syncs_trees.load(SeqCst) {
            return Ok(None);
        }
        self.look(Operation::Open, dir)?;
        let Some(tree) = self.inner.sync_tree(dir)? else { return Ok(None) };
        Ok(Some(Box::new(WatchedTree { files: self.clone(), tree, dir: dir.to_path_buf() })))
    }

    fn available(&self, dir: &Path) -> Result<Option<u64>> {
        self.look(Operation::Inspect, dir)?;
        self.inner.available(dir)
    }

    fn copy_mode(&self, from: &Path, to: &Path) -> Result<()> {
        self.change(Operation::SetMode, to, || self.inner.copy_mode(from, to))
    }

    fn try_lock(&self, path: &Path) -> Result<Option<Box<dyn Lock>>> {
        self.look(Operation::Lock, path)?;
        Ok(self.inner.try_lock(path)?.map(|lock| self.locked(path, lock)))
    }

    fn lock(&self, path: &Path) -> Result<Box<dyn Lock>> {
        self.look(Operation::Lock, path)?;
        Ok(self.locked(path, self.inner.lock(path)?))
    }

    fn try_lock_noted(&self, path: &Path, note: &[u8]) -> Result<Option<Box<dyn Lock>>> {
        self.look(Operation::Lock, path)?;
        Ok(self.inner.try_lock_noted(path, note)?.map(|lock| self.locked(path, lock)))
    }

    fn probe_lock(&self, path: &Path) -> Result<Probe> {
        self.look(Operation::Lock, path)?;
        self.inner.probe_lock(path)
    }
}

#[derive(Debug)]
struct WatchedLock<W> {
    files: WatchedFs<W>,
    lock: Box<dyn Lock>,
    path: PathBuf,
}

impl<W: Watcher> Lock for WatchedLock<W> {
    fn is_named(&self) -> Result<bool> {
        self.files.look(Operation::Inspect, &self.path)?;
        self.lock.is_named()
    }

    fn seen_as(&self) -> Option<FileId> {
        self.lock.seen_as()
    }
}

#[derive(Debug)]
struct WatchedTree<W> {
    files: WatchedFs<W>,
    tree: Box<dyn TreeSync>,
    dir: PathBuf,
}

impl<W: Watcher> TreeSync for WatchedTree<W> {
    fn sync(&self) -> Result<()> {
        self.files.change(Operation::Sync, &self.dir, || self.tree.sync())
    }
}

#[derive(Debug)]
struct WatchedFile<W> {
    files: WatchedFs<W>,
    file: Box<dyn FileHandle>,
    path: PathBuf,
}

impl<W: Watcher> WatchedFile<W> {
    fn ask(&self, operation: Operation, is_change: bool) -> Option<(Result<()>, Written)> {
        self.files.ask(operation, &self.path, Some(&*self.file), is_change)
    }

    fn look(&self, operation: Operation) -> Result<()> {
        self.ask(operation, false).map_or(Ok(()), |(answer, _)| answer)
    }
}

impl<W: Watcher> FileHandle for WatchedFile<W> {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        let Some((answer, written)) = self.ask(Operation::Write, true) else {
            return self.file.write_at(offset, bytes);
        };
        match written.of(bytes.len()) {
            0 => {}
            some => self.file.write_at(offset, &bytes[..some])?,
        }
        answer
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        self.look(Operation::Read)?;
        self.file.read_at(offset, buffer)
    }

    fn next_data(&self, offset: u64) -> Result<Option<Range<u64>>> {
        self.file.next_data(offset)
    }

    fn len(&self) -> Result<u64> {
        self.look(Operation::Inspect)?;
        self.file.len()
    }

    fn set_len(&self, len: u64) -> Result<()> {
        match self.ask(Operation::Resize, true) {
            None => self.file.set_len(len),
            Some((answer, _)) => answer,
        }
    }

    fn begin_write_out(&self, offset: u64, len: u64) {
        self.file.begin_write_out(offset, len);
    }

    fn sync(&self) -> Result<()> {
        match self.ask(Operation::Sync, true) {
            None => self.file.sync(),
            Some((answer, _)) => answer,
        }
    }

    fn stamp(&self) -> Result<Stamp> {
        self.look(Operation::Inspect)?;
        self.file.stamp()
    }

    fn claim(&self) -> Result<Exclusive> {
        match self.ask(Operation::Claim, true) {
            None => self.file.claim(),
            Some((answer, _)) => answer.map(|()| Exclusive::Unknown),
        }
    }
}
