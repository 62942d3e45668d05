//! A storage in memory that calls a hook before each operation, which can look, wait, panic, or make
//! the operation fail.

use qstore_storage::{
    Entry, Error, FileHandle, FileSystem, Lock, MemoryFs, Metadata, Operation, Result, TreeSync,
};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};

type Hook = dyn Fn(usize, Operation, &Path) -> io::Result<()> + Send + Sync;

/// [`MemoryFs`] with a hook. The number given to the hook counts the operations.
#[derive(Clone)]
pub(crate) struct Watched {
    memory: MemoryFs,
    hook: Arc<Mutex<Arc<Hook>>>,
    count: Arc<AtomicUsize>,
    syncs_trees: Arc<AtomicBool>,
}

impl Watched {
    pub(crate) fn new(memory: &MemoryFs) -> Self {
        let hook: Arc<Hook> = Arc::new(|_, _, _| Ok(()));
        Self {
            memory: memory.clone(),
            hook: Arc::new(Mutex::new(hook)),
            count: Arc::default(),
            syncs_trees: Arc::new(AtomicBool::new(true)),
        }
    }

    /// From now on no tree can be synced as a whole.
    pub(crate) fn sync_files_one_by_one(&self) {
        self.syncs_trees.store(false, Ordering::SeqCst);
    }

    /// Sets the hook and counts from 0 again.
    pub(crate) fn set(
        &self,
        hook: impl Fn(usize, Operation, &Path) -> io::Result<()> + Send + Sync + 'static,
    ) {
        *self.hook.lock().unwrap() = Arc::new(hook);
        self.count.store(0, Ordering::SeqCst);
    }

    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }

    pub(crate) fn shared(&self) -> Arc<dyn FileSystem> {
        Arc::new(self.clone())
    }

    fn before(&self, operation: Operation, path: &Path) -> Result<()> {
        let hook = Arc::clone(&self.hook.lock().unwrap());
        let number = self.count.fetch_add(1, Ordering::SeqCst);
        hook(number, operation, path).map_err(|error| Error::new(operation, path, error))
    }

    fn file(&self, path: &Path, file: Box<dyn FileHandle>) -> Box<dyn FileHandle> {
        Box::new(WatchedFile { storage: self.clone(), file, path: path.into() })
    }
}

impl fmt::Debug for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watched").finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct WatchedTree {
    storage: Watched,
    tree: Box<dyn TreeSync>,
    dir: PathBuf,
}

impl TreeSync for WatchedTree {
    fn sync(&self) -> Result<()> {
        self.storage.before(Operation::Sync, &self.dir)?;
        self.tree.sync()
    }
}

#[derive(Debug)]
struct WatchedFile {
    storage: Watched,
    file: Box<dyn FileHandle>,
    path: PathBuf,
}

impl FileSystem for Watched {
    fn create_new(&self, path: &Path) -> Result<Box<dyn FileHandle>> {
        self.before(Operation::Create, path)?;
        Ok(self.file(path, self.memory.create_new(path)?))
    }

    fn open(&self, path: &Path) -> Result<Box<dyn FileHandle>> {
        self.before(Operation::Open, path)?;
        Ok(self.file(path, self.memory.open(path)?))
    }

    fn metadata(&self, path: &Path) -> Result<Option<Metadata>> {
        self.before(Operation::Inspect, path)?;
        self.memory.metadata(path)
    }

    fn resolve(&self, path: &Path) -> Result<PathBuf> {
        self.before(Operation::Inspect, path)?;
        self.memory.resolve(path)
    }

    fn list(&self, dir: &Path) -> Result<Vec<Entry>> {
        self.before(Operation::List, dir)?;
        self.memory.list(dir)
    }

    fn create_dir(&self, dir: &Path) -> Result<()> {
        self.before(Operation::CreateDir, dir)?;
        self.memory.create_dir(dir)
    }

    fn link(&self, from: &Path, to: &Path) -> Result<()> {
        self.before(Operation::Link, to)?;
        self.memory.link(from, to)
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        self.before(Operation::Rename, to)?;
        self.memory.rename(from, to)
    }

    fn exchange(&self, one: &Path, other: &Path) -> Result<()> {
        self.before(Operation::Exchange, other)?;
        self.memory.exchange(one, other)
    }

    fn remove_file(&self, path: &Path) -> Result<()> {
        self.before(Operation::Remove, path)?;
        self.memory.remove_file(path)
    }

    fn remove_dir(&self, dir: &Path) -> Result<()> {
        self.before(Operation::Remove, dir)?;
        self.memory.remove_dir(dir)
    }

    fn sync_dir(&self, dir: &Path) -> Result<()> {
        self.before(Operation::SyncDir, dir)?;
        self.memory.sync_dir(dir)
    }

    fn sync_tree(&self, dir: &Path) -> Result<Option<Box<dyn TreeSync>>> {
        if !self.syncs_trees.load(Ordering::SeqCst) {
            return Ok(None);
        }
        self.before(Operation::Open, dir)?;
        let Some(tree) = self.memory.sync_tree(dir)? else { return Ok(None) };
        Ok(Some(Box::new(WatchedTree { storage: self.clone(), tree, dir: dir.into() })))
    }

    fn available(&self, dir: &Path) -> Result<Option<u64>> {
        self.before(Operation::Inspect, dir)?;
        self.memory.available(dir)
    }

    fn copy_mode(&self, from: &Path, to: &Path) -> Result<()> {
        self.before(Operation::SetMode, to)?;
        self.memory.copy_mode(from, to)
    }

    fn try_lock(&self, path: &Path) -> Result<Option<Box<dyn Lock>>> {
        self.before(Operation::Lock, path)?;
        self.memory.try_lock(path)
    }

    fn lock(&self, path: &Path) -> Result<Box<dyn Lock>> {
        self.before(Operation::Lock, path)?;
        self.memory.lock(path)
    }
}

impl FileHandle for WatchedFile {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        let allowed = self.storage.before(Operation::Write, &self.path);
        if allowed.is_err() {
            // A disk that runs full takes what still fits.
            self.file.write_at(offset, &bytes[..bytes.len() / 2])?;
        }
        allowed?;
        self.file.write_at(offset, bytes)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        self.storage.before(Operation::Read, &self.path)?;
        self.file.read_at(offset, buffer)
    }

    fn len(&self) -> Result<u64> {
        self.storage.before(Operation::Inspect, &self.path)?;
        self.file.len()
    }

    fn set_len(&self, len: u64) -> Result<()> {
        self.storage.before(Operation::Resize, &self.path)?;
        self.file.set_len(len)
    }

    fn begin_write_out(&self, offset: u64, len: u64) {
        self.file.begin_write_out(offset, len);
    }

    fn sync(&self) -> Result<()> {
        self.storage.before(Operation::Sync, &self.path)?;
        self.file.sync()
    }
}

/// Holds whoever comes until it is opened, and tells when somebody has come.
#[derive(Default)]
pub(crate) struct Gate {
    state: Mutex<GateState>,
    changed: Condvar,
}

#[derive(Default)]
struct GateState {
    is_open: bool,
    has_come: bool,
}

impl Gate {
    pub(crate) fn pass(&self) {
        let mut state = self.state.lock().unwrap();
        state.has_come = true;
        self.changed.notify_all();
        drop(self.changed.wait_while(state, |state| !state.is_open).unwrap());
    }

    pub(crate) fn wait_for_somebody(&self) {
        let state = self.state.lock().unwrap();
        drop(self.changed.wait_while(state, |state| !state.has_come).unwrap());
    }

    pub(crate) fn open(&self) {
        self.state.lock().unwrap().is_open = true;
        self.changed.notify_all();
    }
}
