//! What to do on a file system without locks: refuse, or go on with locks that only this process knows.

use crate::error::{Operation, Result};
use crate::file_system::{EntryKind, FileSystem, Lock};
use crate::tree::parent_of;
use qstore_os::ForkCheck;
use std::collections::HashSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Condvar, LazyLock, Mutex, MutexGuard, PoisonError};

/// Whether a writer may go on where the file system has no locks, as Lustre mounted without `flock`, some
/// NFS and some FUSE file systems.
///
/// ```
/// use qstore_storage::{LocalFs, Locking, FileSystem};
///
/// # let dir = tempfile::tempdir().unwrap();
/// # let path = dir.path().join("run.lock");
/// let held = Locking::IfSupported.try_lock(&LocalFs::new(), &path)?.expect("nothing else runs here");
/// assert!(Locking::IfSupported.try_lock(&LocalFs::new(), &path)?.is_none());
/// # drop(held);
/// # Ok::<(), qstore_storage::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Locking {
    /// Without a lock nothing is opened for writing; the error says what can be done.
    #[default]
    Required,
    /// Where there are no locks, only the writers of this process exclude each other. Then **you**
    /// guarantee that no other process, on this machine or another one, writes to the same metrics file or
    /// checkpoint directory: two that do overwrite each other's files and remove each other's drafts.
    /// Where there are locks, nothing changes.
    IfSupported,
}

impl Locking {
    /// As [`FileSystem::try_lock`].
    ///
    /// # Errors
    /// As there; [`Error::is_unsupported`](crate::Error::is_unsupported) only if a lock is required.
    pub fn try_lock(self, storage: &dyn FileSystem, path: &Path) -> Result<Option<Box<dyn Lock>>> {
        let locked = storage.try_lock(path);
        if !self.goes_without(&locked) {
            return locked;
        }
        let key = Key::of(storage, path);
        Ok(held().insert(key.clone()).then(|| InProcess::boxed(key)))
    }

    /// As [`FileSystem::lock`].
    ///
    /// # Errors
    /// As [`try_lock`](Self::try_lock).
    pub fn lock(self, storage: &dyn FileSystem, path: &Path) -> Result<Box<dyn Lock>> {
        let locked = storage.lock(path);
        if !self.goes_without(&locked) {
            return locked;
        }
        let key = Key::of(storage, path);
        let waiting = RELEASED.wait_while(held(), |held| held.contains(&key));
        waiting.unwrap_or_else(PoisonError::into_inner).insert(key.clone());
        Ok(InProcess::boxed(key))
    }

    fn goes_without<T>(self, locked: &Result<T>) -> bool {
        let has_none =
            |error: &crate::Error| error.operation == Operation::Lock && error.is_unsupported();
        self == Self::IfSupported && locked.as_ref().is_err_and(has_none)
    }
}

/// The locks that are held in this process only.
static HELD: LazyLock<Mutex<HashSet<Key>>> = LazyLock::new(Mutex::default);
static RELEASED: Condvar = Condvar::new();

fn held() -> MutexGuard<'static, HashSet<Key>> {
    HELD.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A name in a directory, however the directory was reached.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    In {
        directory: (u64, u64),
        name: OsString,
    },
    /// On a file system that cannot tell directories apart.
    Path(PathBuf),
}

impl Key {
    fn of(storage: &dyn FileSystem, path: &Path) -> Self {
        let parent = parent_of(path);
        let resolved = || storage.resolve(parent);
        // Only a link has to be followed; what is open may not have a name anymore.
        let is_dir =
            matches!(storage.metadata(parent), Ok(Some(found)) if found.kind == EntryKind::Dir);
        let directory = if is_dir {
            storage.stamp(parent)
        } else {
            resolved().and_then(|dir| storage.stamp(&dir))
        };
        match (directory, path.file_name()) {
            (Ok(Some(stamp)), Some(name)) => {
                Self::In { directory: stamp.identity, name: name.to_owned() }
            }
            // A relative path would be the same one in every open directory.
            (_, Some(name)) => {
                Self::Path(resolved().map_or_else(|_| path.into(), |dir| dir.join(name)))
            }
            _ => Self::Path(path.into()),
        }
    }
}

#[derive(Debug)]
struct InProcess {
    key: Key,
    /// A forked child has a copy of this struct, but the lock belongs to its parent.
    home: ForkCheck,
}

impl InProcess {
    fn boxed(key: Key) -> Box<dyn Lock> {
        Box::new(Self { key, home: ForkCheck::new() })
    }
}

impl Lock for InProcess {}

impl Drop for InProcess {
    fn drop(&mut self) {
        if !self.home.is_forked() {
            held().remove(&self.key);
            RELEASED.notify_all();
        }
    }
}
