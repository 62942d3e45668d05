//! The machine's own file system.

use crate::attributes;
use crate::cannot::cannot;
use crate::error::{Context, Error, Operation, Result};
use crate::file_system::{Entry, EntryKind, FileHandle, FileSystem, Lock, Metadata, TreeSync};
use crate::in_place::{Exclusive, Stamp};
use crate::lease;
use crate::tree::parent_of;
use rustix::fs::OFlags;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::Arc;

/// The machine's own file system. Relative paths are relative to the current directory.
///
/// Every operation is one system call or a few; nothing is cached and nothing is retried. Links in a path
/// are followed, but a link in the last component is never opened as a lock, and is removed rather than
/// followed.
///
/// ```
/// use qstore_storage::{FileSystem, LocalFs, StagedFile, read_all};
/// use std::sync::Arc;
///
/// # let dir = tempfile::tempdir().unwrap();
/// # let dir = dir.path();
/// let files: Arc<dyn FileSystem> = Arc::new(LocalFs::new());
/// let mut staged = StagedFile::create(&files, &dir.join(".report.tmp"))?;
/// staged.append(b"all rows are safe")?;
/// staged.commit(&dir.join("report"))?;
/// assert_eq!(read_all(&*files, &dir.join("report"))?, b"all rows are safe");
/// # Ok::<(), qstore_storage::Error>(())
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct LocalFs;

impl LocalFs {
    /// The machine's file system.
    #[must_use]
    pub const fn new() -> Self {
        Self
    }
}

#[derive(Debug)]
struct LocalFile {
    /// Shared with claims on it.
    file: Arc<File>,
    path: PathBuf,
    /// Whether its leases reveal every reader.
    proof: lease::Proof,
}

#[derive(Debug)]
struct LocalLock {
    path: PathBuf,
    /// The open file holds the lock; it is closed after the name is removed.
    file: File,
    /// A forked child has a copy of this struct, but the lock belongs to its parent.
    process: u32,
}

impl Lock for LocalLock {}

impl Drop for LocalLock {
    fn drop(&mut self) {
        // The lock is still held here, so no other process can take it for its own: one that opened this
        // very file finds, once it gets the lock, that the name no longer leads to it. If the name does not
        // lead to it even now, the file was removed by hand, and the name belongs to another holder.
        let is_ours = self.process == process::id();
        // mutant: lock_of_somebody_else_removed
        if is_ours && is_named(&self.path, &self.file).unwrap_or(false) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl FileSystem for LocalFs {
    fn create_new(&self, path: &Path) -> Result<Box<dyn FileHandle>> {
        create(path, OpenOptions::new().read(true).write(true).create_new(true))
    }

    fn create_private(&self, path: &Path) -> Result<Box<dyn FileHandle>> {
        // mutant: private_file_open_at_first
        create(path, OpenOptions::new().read(true).write(true).create_new(true).mode(0o600))
    }

    fn open(&self, path: &Path) -> Result<Box<dyn FileHandle>> {
        open(path, OpenOptions::new().read(true))
    }

    fn open_writable(&self, path: &Path) -> Result<Box<dyn FileHandle>> {
        open(path, OpenOptions::new().read(true).write(true))
    }

    fn stamp(&self, path: &Path) -> Result<Option<Stamp>> {
        match fs::symlink_metadata(path) {
            Ok(found) => Ok(Some(stamp_of(&found))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::new(Operation::Inspect, path, error)),
        }
    }

    fn metadata(&self, path: &Path) -> Result<Option<Metadata>> {
        match fs::symlink_metadata(path) {
            Ok(found) => Ok(Some(Metadata::new(kind_of(found.file_type()), found.len()))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::new(Operation::Inspect, path, error)),
        }
    }

    fn resolve(&self, path: &Path) -> Result<PathBuf> {
        // As many links in a row as Linux itself follows.
        const LINKS_MAX: usize = 40;
        let mut path = path.to_path_buf();
        for _ in 0..LINKS_MAX {
            match fs::canonicalize(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                resolved => return resolved.context(Operation::Inspect, &path),
            }
            let Ok(target) = fs::read_link(&path) else {
                let name = path.file_name().ok_or(io::ErrorKind::InvalidInput.into());
                let name = name.context(Operation::Inspect, &path)?;
                let dir = fs::canonicalize(parent_of(&path)).context(Operation::Inspect, &path)?;
                return Ok(dir.join(name));
            };
            path = parent_of(&path).join(target);
        }
        Err(Error::new(Operation::Inspect, &path, io::Error::other("too many links in a row")))
    }

    fn list(&self, dir: &Path) -> Result<Vec<Entry>> {
        fs::read_dir(dir)
            .and_then(|entries| {
                entries
                    .map(|entry| {
                        let entry = entry?;
                        Ok(Entry { name: entry.file_name(), kind: kind_of(entry.file_type()?) })
                    })
                    .collect()
            })
            .context(Operation::List, dir)
    }

    fn create_dir(&self, dir: &Path) -> Result<()> {
        fs::create_dir(dir).context(Operation::CreateDir, dir)
    }

    fn create_private_dir(&self, dir: &Path) -> Result<()> {
        fs::DirBuilder::new().mode(0o700).create(dir).context(Operation::CreateDir, dir)
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
        crate::sync_dir::sync_dir(dir)
    }

    fn sync_tree(&self, dir: &Path) -> Result<Option<Box<dyn TreeSync>>> {
        crate::sync_tree::begin(dir)
    }

    fn available(&self, dir: &Path) -> Result<Option<u64>> {
        match rustix::fs::statvfs(dir).map_err(io::Error::from) {
            Ok(found) => Ok(Some(found.f_bavail.saturating_mul(found.f_frsize))),
            Err(error) if cannot(Operation::Inspect, &error) => Ok(None),
            Err(error) => Err(Error::new(Operation::Inspect, dir, error)),
        }
    }

    fn copy_mode(&self, from: &Path, to: &Path) -> Result<()> {
        attributes::carry(from, to).context(Operation::SetMode, to)
    }

    fn try_lock(&self, path: &Path) -> Result<Option<Box<dyn Lock>>> {
        acquire(path, |file| match file.try_lock() {
            Ok(()) => Ok(true),
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(error)) => Err(error),
        })
    }

    fn lock(&self, path: &Path) -> Result<Box<dyn Lock>> {
        let held = acquire(path, |file| file.lock().map(|()| true))?;
        Ok(held.expect("waiting for a lock ends with holding it"))
    }
}

impl FileHandle for LocalFile {
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

    fn begin_write_out(&self, offset: u64, len: u64) {
        crate::write_out::begin(&self.file, offset, len);
    }

    fn sync(&self) -> Result<()> {
        // mutant: local_file_sync_does_nothing
        self.file.sync_data().context(Operation::Sync, &self.path)
    }

    fn stamp(&self) -> Result<Stamp> {
        let found = self.file.metadata().context(Operation::Inspect, &self.path)?;
        Ok(stamp_of(&found))
    }

    fn claim(&self) -> Result<Exclusive> {
        lease::claim(&self.file, &self.proof).context(Operation::Claim, &self.path)
    }
}

impl LocalFile {
    fn boxed(file: File, path: &Path) -> Box<dyn FileHandle> {
        let (file, path) = (Arc::new(file), path.to_path_buf());
        Box::new(Self { file, path, proof: lease::Proof::default() })
    }
}

fn create(path: &Path, options: &OpenOptions) -> Result<Box<dyn FileHandle>> {
    let file = options.open(path).context(Operation::Create, path)?;
    Ok(LocalFile::boxed(file, path))
}

fn open(path: &Path, options: &OpenOptions) -> Result<Box<dyn FileHandle>> {
    // Inspected first: opening a pipe would wait for a writer.
    let metadata = fs::metadata(path).context(Operation::Open, path)?;
    if metadata.is_dir() {
        return Err(Error::new(Operation::Open, path, io::ErrorKind::IsADirectory.into()));
    }
    if !metadata.is_file() {
        let reason = io::Error::new(io::ErrorKind::InvalidInput, "not a regular file");
        return Err(Error::new(Operation::Open, path, reason));
    }
    let file = options.open(path).context(Operation::Open, path)?;
    Ok(LocalFile::boxed(file, path))
}

fn stamp_of(found: &fs::Metadata) -> Stamp {
    Stamp {
        identity: (found.dev(), found.ino()),
        names: found.nlink(),
        len: found.len(),
        modified: (found.mtime(), found.mtime_nsec()),
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

/// Opens and locks the file of that name, again and again until the name leads to the file that was locked:
/// the previous holder removes the file when it releases the lock.
fn acquire(path: &Path, lock: impl Fn(&File) -> io::Result<bool>) -> Result<Option<Box<dyn Lock>>> {
    loop {
        let (file, is_new) = open_lock_file(path).context(Operation::Create, path)?;
        match lock(&file) {
            Ok(true) => {}
            Ok(false) => return Ok(None),
            Err(error) => {
                // Where there are no locks, nobody else can hold this file, which only we have made.
                // mutant: lock_file_left_where_there_are_no_locks
                if is_new && cannot(Operation::Lock, &error) {
                    let _ = fs::remove_file(path);
                }
                return Err(Error::new(Operation::Lock, path, error));
            }
        }
        // mutant: lock_of_a_name_that_is_gone
        if is_named(path, &file).context(Operation::Lock, path)? {
            let (path, process) = (path.to_path_buf(), process::id());
            return Ok(Some(Box::new(LocalLock { path, file, process })));
        }
    }
}

/// Opens the file of that name, and tells whether it is new. A link would lead elsewhere, so it is refused.
fn open_lock_file(path: &Path) -> io::Result<(File, bool)> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).custom_flags(OFlags::NOFOLLOW.bits() as i32);
    loop {
        match options.clone().create_new(true).open(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            opened => return Ok((opened?, true)),
        }
        match options.open(path) {
            // Its holder has released the lock in the meantime.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            opened => return Ok((opened?, false)),
        }
    }
}

/// Whether the name leads to this file.
fn is_named(path: &Path, file: &File) -> io::Result<bool> {
    let opened = file.metadata()?;
    match fs::symlink_metadata(path) {
        Ok(named) => Ok((named.dev(), named.ino()) == (opened.dev(), opened.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
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
        crate::conformance::check(&LocalFs::new(), dir.path());
    }

    #[test]
    fn a_stale_lock_file_locks_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        fs::write(&path, "left by a killed process").unwrap();
        let lock = LocalFs.try_lock(&path).unwrap();
        assert!(lock.is_some());
        drop(lock);
        assert!(!path.exists(), "the lock file is left behind");
    }

    // Regression: waits indefinitely, because the locked file is never the one that the name stands for.
    #[test]
    fn a_link_in_place_of_a_lock_file_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        symlink("elsewhere", dir.path().join("lock")).unwrap();
        assert!(LocalFs.try_lock(&dir.path().join("lock")).is_err());
        assert!(!dir.path().join("elsewhere").exists());
    }

    #[test]
    fn a_dropped_lock_removes_only_its_own_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let first = LocalFs.try_lock(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let second = LocalFs.try_lock(&path).unwrap();
        assert!(second.is_some(), "the file was removed by hand, so its name is free");
        drop(first);
        assert!(
            LocalFs.try_lock(&path).unwrap().is_none(),
            "the second lock was removed with the first"
        );
    }

    // Two threads that open the lock file between the holder's unlink and close must not both acquire it:
    // the name check in `acquire` prevents that.
    #[test]
    fn a_lock_has_one_holder_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let inside = std::sync::atomic::AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        let lock = LocalFs.lock(&path).unwrap();
                        assert_eq!(inside.fetch_add(1, std::sync::atomic::Ordering::SeqCst), 0);
                        // Gives the others a chance to get in as well.
                        std::thread::yield_now();
                        inside.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
                        drop(lock);
                    }
                });
            }
        });
    }

    // A thread that waited acquires a file that no longer has a name; a third thread would create a new file
    // and lock that.
    #[test]
    fn a_thread_that_waited_for_a_lock_holds_the_file_of_that_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        for _ in 0..50 {
            let first = LocalFs.lock(&path).unwrap();
            std::thread::scope(|scope| {
                let (about_to, wait) = std::sync::mpsc::channel();
                let path = &path;
                let second = scope.spawn(move || {
                    about_to.send(()).unwrap();
                    LocalFs.lock(path).unwrap()
                });
                wait.recv().unwrap();
                // In most rounds the second one is waiting by then.
                (0..20).for_each(|_| std::thread::yield_now());
                drop(first);
                let second = second.join().unwrap();
                assert!(LocalFs.try_lock(path).unwrap().is_none(), "the lock has two holders");
                drop(second);
            });
        }
    }

    #[test]
    fn a_link_is_resolved_whether_its_target_exists_or_not() {
        let dir = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(dir.path()).unwrap();
        fs::create_dir(root.join("real")).unwrap();
        symlink("real/file", root.join("link")).unwrap();
        assert_eq!(LocalFs.resolve(&root.join("link")).unwrap(), root.join("real/file"));
        fs::write(root.join("real/file"), "x").unwrap();
        assert_eq!(LocalFs.resolve(&root.join("link")).unwrap(), root.join("real/file"));
        assert_eq!(LocalFs.resolve(&root.join("new")).unwrap(), root.join("new"));
        assert!(LocalFs.resolve(&root.join("missing/new")).unwrap_err().is_not_found());
        symlink("second", root.join("first")).unwrap();
        symlink("real/third", root.join("second")).unwrap();
        assert_eq!(LocalFs.resolve(&root.join("first")).unwrap(), root.join("real/third"));
        symlink("loop", root.join("loop")).unwrap();
        assert!(LocalFs.resolve(&root.join("loop")).is_err());
    }

    #[test]
    fn a_link_is_removed_without_its_target() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("outside")).unwrap();
        fs::write(dir.path().join("outside/keep"), "x").unwrap();
        fs::create_dir(dir.path().join("tree")).unwrap();
        symlink("../outside", dir.path().join("tree/link")).unwrap();
        crate::remove_dir_all(&LocalFs, &dir.path().join("tree")).unwrap();
        assert!(dir.path().join("outside/keep").exists());
        assert!(!dir.path().join("tree").exists());
    }
}
