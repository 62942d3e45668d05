//! The machine's own file system.

use crate::error::Context;
use crate::{
    Entry, EntryKind, Error, Lock, Metadata, Operation, Result, Storage, StorageFile, parent_of,
};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

/// Files where they usually are. Relative paths start at the current directory.
#[derive(Debug, Clone, Copy, Default)]
pub struct LocalStorage;

impl LocalStorage {
    /// The machine's file system.
    #[must_use]
    pub const fn new() -> Self {
        Self
    }
}

#[derive(Debug)]
struct LocalFile {
    file: File,
    path: PathBuf,
}

#[derive(Debug)]
struct LocalLock {
    path: PathBuf,
    /// The open file is the lock; it is closed after the name is removed.
    _file: File,
}

impl Lock for LocalLock {}

impl Drop for LocalLock {
    fn drop(&mut self) {
        // While the lock is still held nobody else can believe that he has it: whoever opened this
        // very file finds, once he gets the lock, that the name no longer leads to it.
        let _ = fs::remove_file(&self.path);
    }
}

impl Storage for LocalStorage {
    fn create_new(&self, path: &Path) -> Result<Box<dyn StorageFile>> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .open(path)
            .context(Operation::Create, path)?;
        Ok(Box::new(LocalFile { file, path: path.to_path_buf() }))
    }

    fn open(&self, path: &Path) -> Result<Box<dyn StorageFile>> {
        // Looked at first: opening a pipe would wait for whoever writes into it.
        let metadata = fs::metadata(path).context(Operation::Open, path)?;
        if metadata.is_dir() {
            return Err(Error::new(Operation::Open, path, io::ErrorKind::IsADirectory.into()));
        }
        if !metadata.is_file() {
            let reason = io::Error::new(io::ErrorKind::InvalidInput, "it is not a plain file");
            return Err(Error::new(Operation::Open, path, reason));
        }
        let file = File::open(path).context(Operation::Open, path)?;
        Ok(Box::new(LocalFile { file, path: path.to_path_buf() }))
    }

    fn metadata(&self, path: &Path) -> Result<Option<Metadata>> {
        match fs::symlink_metadata(path) {
            Ok(found) => Ok(Some(Metadata::new(kind_of(found.file_type()), found.len()))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::new(Operation::Inspect, path, error)),
        }
    }

    fn resolve(&self, path: &Path) -> Result<PathBuf> {
        match fs::canonicalize(path) {
            Ok(resolved) => Ok(resolved),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let target = match fs::read_link(path) {
                    Ok(target) => parent_of(path).join(target),
                    Err(_) => path.to_path_buf(),
                };
                let name = target
                    .file_name()
                    .ok_or_else(|| Error::new(Operation::Inspect, path, error))?;
                let dir = fs::canonicalize(parent_of(&target)).context(Operation::Inspect, path)?;
                Ok(dir.join(name))
            }
            Err(error) => Err(Error::new(Operation::Inspect, path, error)),
        }
    }

    fn list(&self, dir: &Path) -> Result<Vec<Entry>> {
        let entry = |entry: io::Result<fs::DirEntry>| {
            let entry = entry?;
            Ok(Entry { name: entry.file_name(), kind: kind_of(entry.file_type()?) })
        };
        fs::read_dir(dir)
            .and_then(|entries| entries.map(entry).collect())
            .context(Operation::List, dir)
    }

    fn create_dir(&self, dir: &Path) -> Result<()> {
        fs::create_dir(dir).context(Operation::CreateDir, dir)
    }

    fn link(&self, from: &Path, to: &Path) -> Result<()> {
        fs::hard_link(from, to).context(Operation::Link, to)
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        fs::rename(from, to).context(Operation::Rename, to)
    }

    fn exchange(&self, one: &Path, other: &Path) -> Result<()> {
        exchange(one, other).context(Operation::Exchange, other)
    }

    fn remove_file(&self, path: &Path) -> Result<()> {
        fs::remove_file(path).context(Operation::Remove, path)
    }

    fn remove_dir(&self, dir: &Path) -> Result<()> {
        fs::remove_dir(dir).context(Operation::Remove, dir)
    }

    fn sync_dir(&self, dir: &Path) -> Result<()> {
        File::open(dir).and_then(|dir| dir.sync_all()).context(Operation::SyncDir, dir)
    }

    fn try_lock(&self, path: &Path) -> Result<Option<Box<dyn Lock>>> {
        acquire(path, |file| match file.try_lock() {
            Ok(()) => Ok(true),
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(error)) => Err(error),
        })
        .context(Operation::Lock, path)
    }

    fn lock(&self, path: &Path) -> Result<Box<dyn Lock>> {
        let held =
            acquire(path, |file| file.lock().map(|()| true)).context(Operation::Lock, path)?;
        Ok(held.expect("a lock that was waited for is held"))
    }
}

impl StorageFile for LocalFile {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        self.file.write_all_at(bytes, offset).context(Operation::Write, &self.path)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        self.file.read_exact_at(buffer, offset).context(Operation::Read, &self.path)
    }

    fn len(&self) -> Result<u64> {
        self.file.metadata().map(|found| found.len()).context(Operation::Inspect, &self.path)
    }

    fn set_len(&self, len: u64) -> Result<()> {
        self.file.set_len(len).context(Operation::Resize, &self.path)
    }

    fn sync(&self) -> Result<()> {
        self.file.sync_data().context(Operation::Sync, &self.path)
    }
}

fn kind_of(file_type: fs::FileType) -> EntryKind {
    if file_type.is_file() {
        EntryKind::File
    } else if file_type.is_dir() {
        EntryKind::Dir
    } else {
        EntryKind::Other
    }
}

/// Opens and locks the file of that name until the name still leads to the file that was locked:
/// the previous holder removes it together with his lock.
fn acquire(
    path: &Path,
    lock: impl Fn(&File) -> io::Result<bool>,
) -> io::Result<Option<Box<dyn Lock>>> {
    loop {
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        if !lock(&file)? {
            return Ok(None);
        }
        let locked = file.metadata()?;
        match fs::symlink_metadata(path) {
            Ok(named) if (named.dev(), named.ino()) == (locked.dev(), locked.ino()) => {
                return Ok(Some(Box::new(LocalLock { path: path.to_path_buf(), _file: file })));
            }
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(any(target_os = "linux", target_vendor = "apple"))]
fn exchange(one: &Path, other: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    Ok(renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE)?)
}

#[cfg(not(any(target_os = "linux", target_vendor = "apple")))]
fn exchange(_: &Path, _: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn the_local_file_system_conforms() {
        let dir = tempfile::tempdir().unwrap();
        crate::conformance::check(&LocalStorage::new(), dir.path());
    }

    #[test]
    fn a_stale_lock_file_locks_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        fs::write(&path, "left by a killed process").unwrap();
        let lock = LocalStorage.try_lock(&path).unwrap();
        assert!(lock.is_some());
        drop(lock);
        assert!(!path.exists(), "the lock file goes with the lock");
    }

    // Two threads that open the lock file between the holder's unlink and close must not both get
    // a lock: the name check in `acquire` is what prevents it.
    #[test]
    fn a_lock_is_held_by_one_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let inside = std::sync::atomic::AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        let lock = LocalStorage.lock(&path).unwrap();
                        assert_eq!(inside.fetch_add(1, std::sync::atomic::Ordering::SeqCst), 0);
                        inside.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
                        drop(lock);
                    }
                });
            }
        });
    }

    #[test]
    fn a_link_is_resolved_whether_its_target_exists_or_not() {
        let dir = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(dir.path()).unwrap();
        fs::create_dir(root.join("real")).unwrap();
        symlink("real/file", root.join("link")).unwrap();
        assert_eq!(LocalStorage.resolve(&root.join("link")).unwrap(), root.join("real/file"));
        fs::write(root.join("real/file"), "x").unwrap();
        assert_eq!(LocalStorage.resolve(&root.join("link")).unwrap(), root.join("real/file"));
        assert_eq!(LocalStorage.resolve(&root.join("new")).unwrap(), root.join("new"));
        assert!(LocalStorage.resolve(&root.join("missing/new")).unwrap_err().is_not_found());
    }

    #[test]
    fn a_link_is_seen_as_what_it_is_and_removed_without_its_target() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("outside")).unwrap();
        fs::write(dir.path().join("outside/keep"), "x").unwrap();
        fs::create_dir(dir.path().join("tree")).unwrap();
        symlink("../outside", dir.path().join("tree/link")).unwrap();
        crate::remove_dir_all(&LocalStorage, &dir.path().join("tree")).unwrap();
        assert!(dir.path().join("outside/keep").exists());
        assert!(!dir.path().join("tree").exists());
    }
}
