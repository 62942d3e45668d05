//! A storage that fails when it is told to.
//!
//! It counts the operations that change or sync something and makes one of them, or all from one on,
//! fail without having any effect. Put it around a [`MemoryStorage`](qstore::storage::MemoryStorage)
//! and one can stop a scenario at every operation and look at what a kill or a power cut would leave.

use qstore::storage::{
    Entry, Error, Exclusive, Lock, Metadata, Operation, Result, Stamp, Storage, StorageFile,
};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;

/// Which operations fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// None.
    Never,
    /// The one with this number, counted from 0.
    Once(usize),
    /// So many, beginning with the one with this number.
    Burst {
        /// The first that fails.
        at: usize,
        /// How many fail.
        length: usize,
    },
    /// The one with this number and all after it, as if the machine had stopped there.
    From(usize),
}

/// Wraps a storage.
#[derive(Debug, Clone)]
pub struct FaultStorage {
    inner: Arc<dyn Storage>,
    plan: Arc<Plan>,
}

#[derive(Debug)]
struct Plan {
    fault: Fault,
    kind: io::ErrorKind,
    count: AtomicUsize,
}

impl FaultStorage {
    /// Lets everything through to `inner` but for `fault`, which fails with an error of that kind.
    pub fn new(inner: Arc<dyn Storage>, fault: Fault, kind: io::ErrorKind) -> Self {
        Self { inner, plan: Arc::new(Plan { fault, kind, count: AtomicUsize::new(0) }) }
    }

    /// How many operations were asked for so far.
    pub fn operations(&self) -> usize {
        self.plan.count.load(SeqCst)
    }
}

impl Plan {
    fn check(&self, operation: Operation, path: &Path) -> Result<()> {
        let number = self.count.fetch_add(1, SeqCst);
        let fails = match self.fault {
            Fault::Never => false,
            Fault::Once(at) => number == at,
            Fault::Burst { at, length } => (at..at + length).contains(&number),
            Fault::From(at) => number >= at,
        };
        if fails { Err(Error::new(operation, path, self.kind.into())) } else { Ok(()) }
    }
}

#[derive(Debug)]
struct FaultFile {
    inner: Box<dyn StorageFile>,
    plan: Arc<Plan>,
    path: PathBuf,
}

impl FaultStorage {
    fn wrap(&self, path: &Path, inner: Box<dyn StorageFile>) -> Box<dyn StorageFile> {
        Box::new(FaultFile { inner, plan: Arc::clone(&self.plan), path: path.to_path_buf() })
    }
}

impl Storage for FaultStorage {
    fn create_new(&self, path: &Path) -> Result<Box<dyn StorageFile>> {
        self.plan.check(Operation::Create, path)?;
        Ok(self.wrap(path, self.inner.create_new(path)?))
    }

    fn open(&self, path: &Path) -> Result<Box<dyn StorageFile>> {
        Ok(self.wrap(path, self.inner.open(path)?))
    }

    fn open_writable(&self, path: &Path) -> Result<Box<dyn StorageFile>> {
        Ok(self.wrap(path, self.inner.open_writable(path)?))
    }

    fn stamp(&self, path: &Path) -> Result<Option<Stamp>> {
        self.inner.stamp(path)
    }

    fn metadata(&self, path: &Path) -> Result<Option<Metadata>> {
        self.inner.metadata(path)
    }

    fn resolve(&self, path: &Path) -> Result<PathBuf> {
        self.inner.resolve(path)
    }

    fn list(&self, dir: &Path) -> Result<Vec<Entry>> {
        self.inner.list(dir)
    }

    fn create_dir(&self, dir: &Path) -> Result<()> {
        self.plan.check(Operation::CreateDir, dir)?;
        self.inner.create_dir(dir)
    }

    fn link(&self, from: &Path, to: &Path) -> Result<()> {
        self.plan.check(Operation::Link, to)?;
        self.inner.link(from, to)
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        self.plan.check(Operation::Rename, to)?;
        self.inner.rename(from, to)
    }

    fn exchange(&self, one: &Path, other: &Path) -> Result<()> {
        self.plan.check(Operation::Exchange, other)?;
        self.inner.exchange(one, other)
    }

    fn remove_file(&self, path: &Path) -> Result<()> {
        self.plan.check(Operation::Remove, path)?;
        self.inner.remove_file(path)
    }

    fn remove_dir(&self, dir: &Path) -> Result<()> {
        self.plan.check(Operation::Remove, dir)?;
        self.inner.remove_dir(dir)
    }

    fn sync_dir(&self, dir: &Path) -> Result<()> {
        self.plan.check(Operation::SyncDir, dir)?;
        self.inner.sync_dir(dir)
    }

    fn copy_mode(&self, from: &Path, to: &Path) -> Result<()> {
        self.plan.check(Operation::SetMode, to)?;
        self.inner.copy_mode(from, to)
    }

    fn try_lock(&self, path: &Path) -> Result<Option<Box<dyn Lock>>> {
        self.inner.try_lock(path)
    }

    fn lock(&self, path: &Path) -> Result<Box<dyn Lock>> {
        self.inner.lock(path)
    }
}

impl StorageFile for FaultFile {
    /// A write that fails leaves its first half behind, as a full disk does.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        if let Err(error) = self.plan.check(Operation::Write, &self.path) {
            if let Fault::Once(_) | Fault::Burst { .. } = self.plan.fault {
                self.inner.write_at(offset, &bytes[..bytes.len() / 2])?;
            }
            return Err(error);
        }
        self.inner.write_at(offset, bytes)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        self.inner.read_at(offset, buffer)
    }

    fn len(&self) -> Result<u64> {
        self.inner.len()
    }

    fn set_len(&self, len: u64) -> Result<()> {
        self.plan.check(Operation::Resize, &self.path)?;
        self.inner.set_len(len)
    }

    fn sync(&self) -> Result<()> {
        self.plan.check(Operation::Sync, &self.path)?;
        self.inner.sync()
    }

    fn stamp(&self) -> Result<Stamp> {
        self.inner.stamp()
    }

    fn claim(&self) -> Result<Exclusive> {
        self.plan.check(Operation::Lock, &self.path)?;
        self.inner.claim()
    }
}
