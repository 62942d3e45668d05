//! A storage that asks before each operation: somebody may look, wait, or let it fail.
//!
//! It wraps any [`FileSystem`]. [`FaultFs`](crate::fault::FaultFs) and
//! [`CrashFs`](crate::crash::CrashFs) are this with two ways to answer; write a [`Watcher`]
//! for a third.

use qstore::storage::{
    Entry, Error, Exclusive, FileHandle, FileSystem, Lock, Metadata, Operation, Result, Stamp,
    TreeSync,
};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

/// An operation that is about to be done.
#[derive(Debug)]
pub struct Step<'a> {
    /// How many came before.
    pub number: usize,
    /// What it is.
    pub operation: Operation,
    /// On what; of two paths, the one that changes its meaning.
    pub path: &'a Path,
    /// The file, where one is open.
    pub file: Option<&'a dyn FileHandle>,
    /// Whether it changes or syncs something, or claims it.
    pub is_change: bool,
}

/// What becomes of it.
#[derive(Debug)]
pub enum Verdict {
    /// It is done.
    Proceed,
    /// It fails and has no effect, but for what is written of a write.
    Fail(io::Error, Written),
    /// It says that it is done, and has no effect.
    Pretend,
}

/// How much of a write is done although it fails.
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

/// Is asked before each operation, by whichever thread does it.
pub trait Watcher: fmt::Debug + Send + Sync + 'static {
    /// Decides.
    fn before(&self, step: &Step<'_>) -> Verdict;
}

/// A storage with a watcher. Clones have the same one.
#[derive(Debug)]
pub struct WatchedFs<W> {
    inner: Arc<dyn FileSystem>,
    watcher: Arc<W>,
    count: Arc<AtomicUsize>,
    syncs_trees: bool,
}

impl<W> Clone for WatchedFs<W> {
    fn clone(&self) -> Self {
        let Self { inner, watcher, count, syncs_trees } = self;
        let (inner, watcher) = (Arc::clone(inner), Arc::clone(watcher));
        Self { inner, watcher, count: Arc::clone(count), syncs_trees: *syncs_trees }
    }
}

impl<W: Watcher> WatchedFs<W> {
    /// Asks `watcher` before each operation on `inner`.
    pub fn over(inner: Arc<dyn FileSystem>, watcher: W) -> Self {
        Self { inner, watcher: Arc::new(watcher), count: Arc::default(), syncs_trees: true }
    }

    /// As on a poorer system, no tree can be synced as a whole: files are, one by one.
    #[must_use]
    pub fn without_tree_sync(mut self) -> Self {
        self.syncs_trees = false;
        self
    }

    /// Who is asked.
    pub fn watcher(&self) -> &W {
        &self.watcher
    }

    /// This storage, to be handed on.
    pub fn shared(&self) -> Arc<dyn FileSystem> {
        Arc::new(self.clone())
    }

    /// Asks; `Some` is the answer the caller must give without doing anything.
    fn ask(
        &self,
        operation: Operation,
        path: &Path,
        file: Option<&dyn FileHandle>,
        is_change: bool,
    ) -> Option<(Result<()>, Written)> {
        let number = self.count.fetch_add(1, SeqCst);
        match self.watcher.before(&Step { number, operation, path, file, is_change }) {
            Verdict::Proceed => None,
            Verdict::Pretend => Some((Ok(()), Written::None)),
            Verdict::Fail(reason, written) => {
                Some((Err(Error::new(operation, path, reason)), written))
            }
        }
    }

    fn change(
        &self,
        operation: Operation,
        path: &Path,
        work: impl FnOnce() -> Result<()>,
    ) -> Result<()> {
        self.ask(operation, path, None, true).map_or_else(work, |(answer, _)| answer)
    }

    /// What only looks cannot be pretended.
    fn look(&self, operation: Operation, path: &Path) -> Result<()> {
        self.ask(operation, path, None, false).map_or(Ok(()), |(answer, _)| answer)
    }

    fn file(&self, path: &Path, file: Box<dyn FileHandle>) -> Box<dyn FileHandle> {
        Box::new(WatchedFile { storage: self.clone(), file, path: path.to_path_buf() })
    }
}

impl<W: Watcher> FileSystem for WatchedFs<W> {
    fn create_new(&self, path: &Path) -> Result<Box<dyn FileHandle>> {
        self.change(Operation::Create, path, || Ok(()))?;
        Ok(self.file(path, self.inner.create_new(path)?))
    }

    fn open(&self, path: &Path) -> Result<Box<dyn FileHandle>> {
        self.look(Operation::Open, path)?;
        Ok(self.file(path, self.inner.open(path)?))
    }

    fn open_writable(&self, path: &Path) -> Result<Box<dyn FileHandle>> {
        self.look(Operation::Open, path)?;
        Ok(self.file(path, self.inner.open_writable(path)?))
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

    fn link(&self, from: &Path, to: &Path) -> Result<()> {
        self.change(Operation::Link, to, || self.inner.link(from, to))
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        self.change(Operation::Rename, to, || self.inner.rename(from, to))
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
        if !self.syncs_trees {
            return Ok(None);
        }
        self.look(Operation::Open, dir)?;
        let Some(tree) = self.inner.sync_tree(dir)? else { return Ok(None) };
        Ok(Some(Box::new(WatchedTree { storage: self.clone(), tree, dir: dir.to_path_buf() })))
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
        self.inner.try_lock(path)
    }

    fn lock(&self, path: &Path) -> Result<Box<dyn Lock>> {
        self.look(Operation::Lock, path)?;
        self.inner.lock(path)
    }
}

#[derive(Debug)]
struct WatchedTree<W> {
    storage: WatchedFs<W>,
    tree: Box<dyn TreeSync>,
    dir: PathBuf,
}

impl<W: Watcher> TreeSync for WatchedTree<W> {
    fn sync(&self) -> Result<()> {
        self.storage.change(Operation::Sync, &self.dir, || self.tree.sync())
    }
}

#[derive(Debug)]
struct WatchedFile<W> {
    storage: WatchedFs<W>,
    file: Box<dyn FileHandle>,
    path: PathBuf,
}

impl<W: Watcher> WatchedFile<W> {
    fn ask(&self, operation: Operation, is_change: bool) -> Option<(Result<()>, Written)> {
        self.storage.ask(operation, &self.path, Some(&*self.file), is_change)
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
        match self.ask(Operation::Lock, true) {
            None => self.file.claim(),
            Some((answer, _)) => answer.map(|()| Exclusive::Unknown),
        }
    }
}
