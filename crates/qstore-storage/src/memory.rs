//! A file system in memory that knows what is visible and what a power cut would leave.
//!
//! It is as strict as the standards allow a file system to be: bytes survive only through a sync of their
//! file, names only through a sync of their directory, and a synced file without a synced name is lost. Real
//! file systems often write names earlier than they must, even before the bytes behind them, and bytes in
//! any order, so there are many cuts to survive: see [`PowerCut`].

mod capacity;
mod cut;
mod disk;
mod pending;

pub use cut::{PowerCut, UnsyncedBytes, UnsyncedNames};

use crate::error::{Context, Error, Operation, Result};
use crate::file_system::{Entry, FileHandle, FileSystem, Lock, Metadata, TreeSync};
use crate::in_place::{Claim, Exclusive, Stamp};
use crate::noted_lock::{FileId, NOTE_BYTES_MAX, Probe};
use disk::{At, Disk, Inode, ROOT};
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// Files in memory, with power cuts.
///
/// It behaves like [`LocalFs`](crate::LocalFs), including locks, hard links and claims, except that it has
/// neither links to follow nor permissions. Clones share the files. What a power cut or a kill would leave
/// is an independent file system, so that a test can cut the power at any moment and go on.
///
/// ```
/// use qstore_storage::{FileSystem, MemoryFs, read_all};
/// use std::path::Path;
///
/// let memory = MemoryFs::new();
/// let file = memory.create_new(Path::new("/file"))?;
/// file.write_at(0, b"synced")?;
/// file.sync()?;
/// assert!(memory.power_cut().open(Path::new("/file")).is_err(), "its name was not synced");
///
/// memory.sync_dir(Path::new("/"))?;
/// file.write_at(0, b"SYNCED?")?;
/// assert_eq!(read_all(&memory.power_cut(), Path::new("/file"))?, b"synced");
/// assert_eq!(read_all(&memory.process_kill(), Path::new("/file"))?, b"SYNCED?");
/// # Ok::<(), qstore_storage::Error>(())
/// ```
///
/// A disk can also be full:
///
/// ```
/// # use qstore_storage::{FileSystem, MemoryFs};
/// # use std::{io::ErrorKind, path::Path};
/// let memory = MemoryFs::new();
/// memory.set_capacity(Some(4));
/// let file = memory.create_new(Path::new("/file"))?;
/// let error = file.write_at(0, b"too long").unwrap_err();
/// assert_eq!(error.source.kind(), ErrorKind::StorageFull);
/// assert_eq!(file.len()?, 4); // as on a real disk, a part is written
/// # Ok::<(), qstore_storage::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct MemoryFs {
    shared: Arc<Shared>,
    /// Where relative paths begin.
    dir: usize,
    /// The name of that directory when it was opened, for messages.
    name: PathBuf,
}

#[derive(Debug)]
struct Shared {
    disk: Mutex<Disk>,
    unlocked: Condvar,
}

impl MemoryFs {
    /// A file system with an empty root directory.
    #[must_use]
    pub fn new() -> Self {
        Self::of(Disk::new())
    }

    /// What a power cut at this moment leaves at least: only what was synced. Locks are gone.
    #[must_use]
    pub fn power_cut(&self) -> Self {
        self.power_cut_by(PowerCut::STRICT)
    }

    /// What a power cut leaves if every other block of 512 unsynced bytes has already been written, as the
    /// system may do at any time. Names are as after [`power_cut`](Self::power_cut).
    #[must_use]
    pub fn power_cut_torn(&self) -> Self {
        let bytes = UnsyncedBytes::Torn { block: 512 };
        self.power_cut_by(PowerCut { bytes, names: UnsyncedNames::Lost })
    }

    /// What a power cut leaves if the file system has already written all names, as it may do at any time,
    /// but no unsynced bytes: a file that was renamed before its sync is empty.
    #[must_use]
    pub fn power_cut_after_names(&self) -> Self {
        self.power_cut_by(PowerCut { bytes: UnsyncedBytes::Lost, names: UnsyncedNames::Kept })
    }

    /// What that power cut leaves at this moment. Locks are gone.
    #[must_use]
    pub fn power_cut_by(&self, cut: PowerCut) -> Self {
        let mut disk = self.disk().clone();
        disk.cut(cut);
        Self::of(disk)
    }

    /// Limits the bytes of all files together; `None`, the default, means no limit. A write beyond it
    /// stores what still fits and fails, as on a full disk. Files without a name do not count.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.disk().capacity = bytes;
    }

    /// What `kill -9` leaves at this moment: everything visible. Locks are gone.
    #[must_use]
    pub fn process_kill(&self) -> Self {
        let mut disk = self.disk().clone();
        disk.forget_processes();
        Self::of(disk)
    }

    fn of(disk: Disk) -> Self {
        let shared = Arc::new(Shared { disk: Mutex::new(disk), unlocked: Condvar::new() });
        Self { shared, dir: ROOT, name: PathBuf::new() }
    }

    fn at<'p>(&self, path: &'p Path) -> At<'p> {
        At { dir: self.dir, path }
    }

    /// The path as a person knows it.
    fn shown(&self, path: &Path) -> PathBuf {
        if path == Path::new(".") && self.dir != ROOT {
            return self.name.clone();
        }
        self.name.join(path)
    }

    fn file(&self, disk: &mut Disk, inode: usize, path: &Path) -> Box<dyn FileHandle> {
        *disk.opened.entry(inode).or_default() += 1;
        Box::new(MemoryFile { storage: self.clone(), inode, path: self.shown(path) })
    }

    fn disk(&self) -> MutexGuard<'_, Disk> {
        self.shared.disk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for MemoryFs {
    fn default() -> Self {
        Self::new()
    }
}

#[derive(Debug)]
struct MemoryFile {
    storage: MemoryFs,
    inode: usize,
    path: PathBuf,
}

#[derive(Debug)]
struct MemoryLock {
    storage: MemoryFs,
    /// The directory, and the name in it.
    key: (usize, OsString),
    number: u64,
    /// The file of a lock with a note.
    seen_as: Option<FileId>,
}

impl Lock for MemoryLock {
    fn is_named(&self) -> Result<bool> {
        Ok(self.storage.disk().is_locked_by(&self.key, self.number))
    }

    fn seen_as(&self) -> Option<FileId> {
        self.seen_as
    }
}

impl Drop for MemoryLock {
    fn drop(&mut self) {
        let mut disk = self.storage.disk();
        if disk.locked.get(&self.key) == Some(&self.number) {
            disk.locked.remove(&self.key);
        }
        drop(disk);
        self.storage.shared.unlocked.notify_all();
    }
}

impl FileSystem for MemoryFs {
    fn create_new(&self, path: &Path) -> Result<Box<dyn FileHandle>> {
        let empty = Inode::File { live: Vec::new(), durable: Vec::new() };
        let mut disk = self.disk();
        let created = disk.insert(self.at(path), empty);
        let inode = created.context(Operation::Create, &self.shown(path))?;
        Ok(self.file(&mut disk, inode, path))
    }

    fn open(&self, path: &Path) -> Result<Box<dyn FileHandle>> {
        let mut disk = self.disk();
        let shown = self.shown(path);
        loop {
            let inode = disk.find(self.at(path)).context(Operation::Open, &shown)?;
            disk.bytes(inode).context(Operation::Open, &shown)?;
            if !disk.claimed.contains(&inode) {
                return Ok(self.file(&mut disk, inode, path));
            }
            let waited = self.shared.unlocked.wait(disk);
            disk = waited.unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn open_writable(&self, path: &Path) -> Result<Box<dyn FileHandle>> {
        self.open(path)
    }

    fn open_dir(&self, dir: &Path) -> Result<Option<Arc<dyn FileSystem>>> {
        let disk = self.disk();
        let name = self.shown(dir);
        let inode = disk.find(self.at(dir)).context(Operation::Open, &name)?;
        disk.names(inode).context(Operation::Open, &name)?;
        Ok(Some(Arc::new(Self { shared: Arc::clone(&self.shared), dir: inode, name })))
    }

    fn stamp(&self, path: &Path) -> Result<Option<Stamp>> {
        let disk = self.disk();
        match disk.find(self.at(path)) {
            Ok(inode) => Ok(Some(disk.stamp(inode))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::new(Operation::Inspect, &self.shown(path), error)),
        }
    }

    fn metadata(&self, path: &Path) -> Result<Option<Metadata>> {
        let disk = self.disk();
        match disk.find(self.at(path)) {
            Ok(inode) => {
                let len = disk.bytes(inode).map_or(0, |bytes| bytes.len() as u64);
                Ok(Some(Metadata::new(disk.kind(inode), len)))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::new(Operation::Inspect, &self.shown(path), error)),
        }
    }

    fn resolve(&self, path: &Path) -> Result<PathBuf> {
        let (disk, shown) = (self.disk(), self.shown(path));
        if self.dir == ROOT || path.is_absolute() {
            disk.split(self.at(path)).context(Operation::Inspect, &shown)?;
            return Ok(path.to_path_buf());
        }
        let dir = disk.path_of(self.dir).context(Operation::Inspect, &shown)?;
        if path == Path::new(".") {
            return Ok(dir);
        }
        disk.split(self.at(path)).context(Operation::Inspect, &shown)?;
        Ok(dir.join(path))
    }

    fn list(&self, dir: &Path) -> Result<Vec<Entry>> {
        let disk = self.disk();
        let names = disk.find(self.at(dir)).and_then(|inode| disk.names(inode));
        Ok(names
            .context(Operation::List, &self.shown(dir))?
            .iter()
            .map(|(name, inode)| Entry { name: name.clone(), kind: disk.kind(*inode) })
            .collect())
    }

    fn create_dir(&self, dir: &Path) -> Result<()> {
        let created = self.disk().insert(self.at(dir), Inode::dir());
        created.map(drop).context(Operation::CreateDir, &self.shown(dir))
    }

    fn link(&self, from: &Path, to: &Path) -> Result<()> {
        let linked = self.disk().link(self.at(from), self.at(to));
        linked.context(Operation::Link, &self.shown(to))
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        let renamed = self.disk().rename(self.at(from), self.at(to));
        renamed.context(Operation::Rename, &self.shown(to))
    }

    fn rename_new(&self, from: &Path, to: &Path) -> Result<()> {
        let renamed = self.disk().rename_new(self.at(from), self.at(to));
        renamed.context(Operation::RenameNew, &self.shown(to))
    }

    fn exchange(&self, one: &Path, other: &Path) -> Result<()> {
        let exchanged = self.disk().exchange(self.at(one), self.at(other));
        exchanged.context(Operation::Exchange, &self.shown(other))
    }

    fn remove_file(&self, path: &Path) -> Result<()> {
        let removed = self.disk().remove(self.at(path), false);
        self.shared.unlocked.notify_all(); // it may have been the file of a lock
        removed.context(Operation::Remove, &self.shown(path))
    }

    fn remove_dir(&self, dir: &Path) -> Result<()> {
        self.disk().remove(self.at(dir), true).context(Operation::Remove, &self.shown(dir))
    }

    fn sync_dir(&self, dir: &Path) -> Result<()> {
        let (mut disk, shown) = (self.disk(), self.shown(dir));
        let inode = disk.find(self.at(dir)).context(Operation::SyncDir, &shown)?;
        disk.sync_names(inode).context(Operation::SyncDir, &shown)
    }

    fn sync_tree(&self, dir: &Path) -> Result<Option<Box<dyn TreeSync>>> {
        let shown = self.shown(dir);
        let root = self.disk().find(self.at(dir)).context(Operation::Open, &shown)?;
        Ok(Some(Box::new(MemoryTree { storage: self.clone(), root, dir: shown })))
    }

    fn available(&self, _: &Path) -> Result<Option<u64>> {
        Ok(self.disk().available())
    }

    fn copy_mode(&self, _: &Path, _: &Path) -> Result<()> {
        Ok(())
    }

    fn try_lock(&self, path: &Path) -> Result<Option<Box<dyn Lock>>> {
        let mut disk = self.disk();
        let (dir, name) = disk.split(self.at(path)).context(Operation::Lock, &self.shown(path))?;
        let key = (dir, name.to_os_string());
        if disk.locked.contains_key(&key) {
            return Ok(None);
        }
        disk.locks += 1;
        let number = disk.locks;
        disk.locked.insert(key.clone(), number);
        Ok(Some(Box::new(MemoryLock { storage: self.clone(), key, number, seen_as: None })))
    }

    fn lock(&self, path: &Path) -> Result<Box<dyn Lock>> {
        loop {
            if let Some(lock) = self.try_lock(path)? {
                return Ok(lock);
            }
            drop(self.shared.unlocked.wait_while(self.disk(), |disk| {
                let key = disk.split(self.at(path)).map(|(dir, name)| (dir, name.to_os_string()));
                key.is_ok_and(|key| disk.locked.contains_key(&key))
            }));
        }
    }

    fn try_lock_noted(&self, path: &Path, note: &[u8]) -> Result<Option<Box<dyn Lock>>> {
        let shown = self.shown(path);
        let mut disk = self.disk();
        let (dir, name) = disk.split(self.at(path)).context(Operation::Lock, &shown)?;
        let key = (dir, name.to_os_string());
        if disk.locked.contains_key(&key) {
            return Ok(None);
        }
        let file = if let Ok(found) = disk.find(self.at(path)) {
            found
        } else {
            let empty = Inode::File { live: Vec::new(), durable: Vec::new() };
            disk.insert(self.at(path), empty).context(Operation::Create, &shown)?
        };
        note.clone_into(disk.bytes_mut(file).context(Operation::Lock, &shown)?);
        disk.locks += 1;
        let number = disk.locks;
        disk.locked.insert(key.clone(), number);
        let seen_as = Some(FileId { device: 0, number: file as u64 });
        Ok(Some(Box::new(MemoryLock { storage: self.clone(), key, number, seen_as })))
    }

    fn probe_lock(&self, path: &Path) -> Result<Probe> {
        let (disk, shown) = (self.disk(), self.shown(path));
        let (dir, name) = disk.split(self.at(path)).context(Operation::Lock, &shown)?;
        let Ok(inode) = disk.find(self.at(path)) else { return Ok(Probe::Missing) };
        let file = FileId { device: 0, number: inode as u64 };
        if !disk.locked.contains_key(&(dir, name.to_os_string())) {
            return Ok(Probe::Free { file });
        }
        let note = disk.bytes(inode).context(Operation::Lock, &shown)?;
        Ok(Probe::Held { file, note: note[..note.len().min(NOTE_BYTES_MAX)].to_vec() })
    }
}

#[derive(Debug)]
struct MemoryTree {
    storage: MemoryFs,
    root: usize,
    /// For messages.
    dir: PathBuf,
}

impl TreeSync for MemoryTree {
    fn sync(&self) -> Result<()> {
        let mut disk = self.storage.disk();
        let mut left = vec![self.root];
        while let Some(inode) = left.pop() {
            match &mut disk.inodes[inode] {
                Inode::File { live, durable } => durable.clone_from(live),
                Inode::Dir { live, .. } => {
                    left.extend(live.values());
                    disk.sync_names(inode).context(Operation::Sync, &self.dir)?;
                }
            }
        }
        Ok(())
    }
}

impl FileHandle for MemoryFile {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        let mut disk = self.storage.disk();
        let start = offset as usize;
        let (end, outcome) = disk.room(self.inode, start, start + bytes.len());
        let live = disk.bytes_mut(self.inode).context(Operation::Write, &self.path)?;
        if live.len() < end {
            live.resize(end, 0);
        }
        live[start..end].copy_from_slice(&bytes[..end - start]);
        outcome.context(Operation::Write, &self.path)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        let disk = self.storage.disk();
        let live = disk.bytes(self.inode).context(Operation::Read, &self.path)?;
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let found = start.checked_add(buffer.len()).and_then(|end| live.get(start..end));
        let found = found.ok_or_else(|| io::ErrorKind::UnexpectedEof.into());
        buffer.copy_from_slice(found.context(Operation::Read, &self.path)?);
        Ok(())
    }

    fn len(&self) -> Result<u64> {
        let disk = self.storage.disk();
        disk.bytes(self.inode).map(|live| live.len() as u64).context(Operation::Inspect, &self.path)
    }

    fn set_len(&self, len: u64) -> Result<()> {
        let mut disk = self.storage.disk();
        disk.room(self.inode, 0, len as usize).1.context(Operation::Resize, &self.path)?;
        let live = disk.bytes_mut(self.inode).context(Operation::Resize, &self.path)?;
        live.resize(len as usize, 0);
        Ok(())
    }

    fn sync(&self) -> Result<()> {
        if let Inode::File { live, durable } = &mut self.storage.disk().inodes[self.inode] {
            durable.clone_from(live);
        }
        Ok(())
    }

    fn stamp(&self) -> Result<Stamp> {
        Ok(self.storage.disk().stamp(self.inode))
    }

    fn claim(&self) -> Result<Exclusive> {
        let mut disk = self.storage.disk();
        if disk.opened.get(&self.inode) != Some(&1) || !disk.claimed.insert(self.inode) {
            return Ok(Exclusive::Busy);
        }
        let claim = MemoryClaim { storage: self.storage.clone(), inode: self.inode };
        Ok(Exclusive::Held(Box::new(claim)))
    }
}

impl Drop for MemoryFile {
    fn drop(&mut self) {
        if let Some(count) = self.storage.disk().opened.get_mut(&self.inode) {
            *count -= 1;
        }
    }
}

#[derive(Debug)]
struct MemoryClaim {
    storage: MemoryFs,
    inode: usize,
}

impl Claim for MemoryClaim {}

impl Drop for MemoryClaim {
    fn drop(&mut self) {
        self.storage.disk().claimed.remove(&self.inode);
        self.storage.shared.unlocked.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::read_all;

    #[test]
    fn the_memory_file_system_conforms() {
        let memory = MemoryFs::new();
        crate::conformance::check(&memory, Path::new("/"));
        memory.create_dir(Path::new("/run")).unwrap();
        let opened = memory.open_dir(Path::new("/run")).unwrap().unwrap();
        crate::conformance::check(&*opened, Path::new(""));
    }

    #[test]
    fn a_tree_is_synced_without_its_own_name() {
        let memory = MemoryFs::new();
        memory.create_dir(Path::new("/tree")).unwrap();
        memory.create_dir(Path::new("/tree/a")).unwrap();
        let file = memory.create_new(Path::new("/tree/a/file")).unwrap();
        let tree = memory.sync_tree(Path::new("/tree")).unwrap().unwrap();
        file.write_at(0, b"text").unwrap();
        tree.sync().unwrap();
        assert!(memory.power_cut().metadata(Path::new("/tree")).unwrap().is_none());
        memory.sync_dir(Path::new("/")).unwrap();
        let cut = memory.power_cut();
        assert_eq!(read_all(&cut, Path::new("/tree/a/file")).unwrap(), b"text");
    }

    #[test]
    fn a_power_cut_removes_what_was_not_synced() {
        let memory = MemoryFs::new();
        let file = memory.create_new(Path::new("/file")).unwrap();
        file.write_at(0, b"synced").unwrap();
        file.sync().unwrap();
        assert!(memory.power_cut().metadata(Path::new("/file")).unwrap().is_none());

        memory.sync_dir(Path::new("/")).unwrap();
        file.write_at(0, b"UNSYNCED").unwrap();
        memory.rename(Path::new("/file"), Path::new("/moved")).unwrap();
        let cut = memory.power_cut();
        assert_eq!(read_all(&cut, Path::new("/file")).unwrap(), b"synced");
        let torn = read_all(&memory.power_cut_torn(), Path::new("/file")).unwrap();
        assert_eq!(torn, b"UNSYNCED", "its only block may have been written");
        assert!(cut.metadata(Path::new("/moved")).unwrap().is_none());
        assert_eq!(read_all(&memory.process_kill(), Path::new("/moved")).unwrap(), b"UNSYNCED");
    }
}
