//! The machine's own file system.

mod dir;
mod file;
mod lock;
mod operations;

use crate::error::Result;
use crate::file_system::{Entry, FileHandle, FileSystem, Lock, Metadata, TreeSync};
use crate::in_place::Stamp;
use crate::noted_lock::Probe;
use dir::LocalDir;
use std::path::{Path, PathBuf};
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

/// Where relative paths begin.
static WORKING_DIRECTORY: LocalDir = LocalDir::WORKING;

/// The working directory does it all, because a path that is absolute leads anywhere.
impl FileSystem for LocalFs {
    fn create_new(&self, path: &Path) -> Result<Box<dyn FileHandle>> {
        WORKING_DIRECTORY.create_new(path)
    }

    fn create_private(&self, path: &Path) -> Result<Box<dyn FileHandle>> {
        WORKING_DIRECTORY.create_private(path)
    }

    fn open(&self, path: &Path) -> Result<Box<dyn FileHandle>> {
        WORKING_DIRECTORY.open(path)
    }

    fn open_writable(&self, path: &Path) -> Result<Box<dyn FileHandle>> {
        WORKING_DIRECTORY.open_writable(path)
    }

    fn open_dir(&self, dir: &Path) -> Result<Option<Arc<dyn FileSystem>>> {
        WORKING_DIRECTORY.open_dir(dir)
    }

    fn stamp(&self, path: &Path) -> Result<Option<Stamp>> {
        WORKING_DIRECTORY.stamp(path)
    }

    fn metadata(&self, path: &Path) -> Result<Option<Metadata>> {
        WORKING_DIRECTORY.metadata(path)
    }

    fn resolve(&self, path: &Path) -> Result<PathBuf> {
        WORKING_DIRECTORY.resolve(path)
    }

    fn list(&self, dir: &Path) -> Result<Vec<Entry>> {
        WORKING_DIRECTORY.list(dir)
    }

    fn create_dir(&self, dir: &Path) -> Result<()> {
        WORKING_DIRECTORY.create_dir(dir)
    }

    fn create_private_dir(&self, dir: &Path) -> Result<()> {
        WORKING_DIRECTORY.create_private_dir(dir)
    }

    fn link(&self, from: &Path, to: &Path) -> Result<()> {
        WORKING_DIRECTORY.link(from, to)
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        WORKING_DIRECTORY.rename(from, to)
    }

    fn rename_new(&self, from: &Path, to: &Path) -> Result<()> {
        WORKING_DIRECTORY.rename_new(from, to)
    }

    fn exchange(&self, one: &Path, other: &Path) -> Result<()> {
        WORKING_DIRECTORY.exchange(one, other)
    }

    fn remove_file(&self, path: &Path) -> Result<()> {
        WORKING_DIRECTORY.remove_file(path)
    }

    fn remove_dir(&self, dir: &Path) -> Result<()> {
        WORKING_DIRECTORY.remove_dir(dir)
    }

    fn sync_dir(&self, dir: &Path) -> Result<()> {
        WORKING_DIRECTORY.sync_dir(dir)
    }

    fn sync_tree(&self, dir: &Path) -> Result<Option<Box<dyn TreeSync>>> {
        WORKING_DIRECTORY.sync_tree(dir)
    }

    fn available(&self, dir: &Path) -> Result<Option<u64>> {
        WORKING_DIRECTORY.available(dir)
    }

    fn copy_mode(&self, from: &Path, to: &Path) -> Result<()> {
        WORKING_DIRECTORY.copy_mode(from, to)
    }

    fn try_lock(&self, path: &Path) -> Result<Option<Box<dyn Lock>>> {
        WORKING_DIRECTORY.try_lock(path)
    }

    fn lock(&self, path: &Path) -> Result<Box<dyn Lock>> {
        WORKING_DIRECTORY.lock(path)
    }

    fn try_lock_noted(&self, path: &Path, note: &[u8]) -> Result<Option<Box<dyn Lock>>> {
        WORKING_DIRECTORY.try_lock_noted(path, note)
    }

    fn probe_lock(&self, path: &Path) -> Result<Probe> {
        WORKING_DIRECTORY.probe_lock(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use qstore_os::testing::{Fork, in_child};
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn the_local_file_system_conforms() {
        let dir = tempfile::tempdir().unwrap();
        crate::conformance::check(&LocalFs::new(), dir.path());
        let opened = LocalFs.open_dir(dir.path()).unwrap().unwrap();
        crate::conformance::check(&*opened, Path::new(""));
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

    #[test]
    fn a_lock_that_a_forked_child_drops_is_still_held_by_its_parent() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let mut lock = LocalFs.try_lock(&path).unwrap();
        for fork in Fork::ALL {
            in_child(fork, || {
                drop(lock.take());
                in_child(fork, || assert!(LocalFs.try_lock(&path).unwrap().is_none())).unwrap();
                assert!(LocalFs.try_lock(&path).unwrap().is_none(), "the child has released it");
            })
            .unwrap();
            assert!(path.exists(), "{fork:?}: the child has removed the lock file");
            assert!(LocalFs.try_lock(&path).unwrap().is_none(), "{fork:?}");
        }
        drop(lock);
        assert!(!path.exists());
        assert!(LocalFs.try_lock(&path).unwrap().is_some());
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
