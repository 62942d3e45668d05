//! A new version of one file, staged beside it under a name that nobody else uses.
//!
//! The name is `.qstore-PROCESS-NUMBER.tmp`; see [`temporary`](crate::temporary). While the file is written, its
//! lock `….tmp.lock` is held. That distinguishes a file that a killed process left behind, which the next
//! replacement in the directory removes, from one that is being written.

use crate::error::{Error, Operation, Result};
use crate::file_system::{FileHandle, FileSystem, Lock};
use crate::staged_file::StagedFile;
use crate::temporary::{LOCK_SUFFIX, is_temporary, lock_of, unused_name};
use crate::tree::parent_of;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const PREFIX: &str = ".qstore-";
const SUFFIX: &str = ".tmp";

/// A [`StagedFile`] that finds its own temporary name, and removes what killed processes left behind.
///
/// Any number of threads and processes may replace one file at the same time. Each of them succeeds, and the
/// last to commit wins. Where the file system has no locks, leftovers stay, but they are in nobody's way.
///
/// ```
/// use qstore_storage::{FileSystem, MemoryFs, Replacement, read_all};
/// use std::{path::Path, sync::Arc};
///
/// let files: Arc<dyn FileSystem> = Arc::new(MemoryFs::new());
/// let (mut one, mut other) = (
///     Replacement::of(&files, Path::new("/report"))?,
///     Replacement::of(&files, Path::new("/report"))?,
/// );
/// one.append(b"one")?;
/// other.append(b"other")?;
/// one.commit()?;
/// other.commit()?;
/// assert_eq!(read_all(&*files, Path::new("/report"))?, b"other");
/// # Ok::<(), qstore_storage::Error>(())
/// ```
#[derive(Debug)]
pub struct Replacement {
    staged: StagedFile,
    storage: Arc<dyn FileSystem>,
    temporary: PathBuf,
    public: PathBuf,
    /// Declared last, so that it is released after the temporary name is gone.
    _lock: Option<Box<dyn Lock>>,
}

impl Replacement {
    /// Begins a new version of the file `public`, which need not exist. A link is followed: the file that it
    /// leads to is replaced.
    ///
    /// # Errors
    /// When the directory does not exist, or a file cannot be created in it.
    pub fn of(storage: &Arc<dyn FileSystem>, public: &Path) -> Result<Self> {
        // Only a forked child counts on from its parent's numbers, so one attempt is nearly always enough.
        const ATTEMPTS: usize = 100;
        let public = storage.resolve(public)?;
        let dir = parent_of(&public);
        collect(&**storage, dir);
        for _ in 0..ATTEMPTS {
            let temporary = dir.join(format!("{PREFIX}{}{SUFFIX}", unused_name()));
            let lock = match storage.try_lock(&lock_of(&temporary)) {
                Ok(None) => continue,
                Ok(held) => held,
                Err(error) if error.is_unsupported() => None,
                Err(error) => return Err(error),
            };
            match StagedFile::replacing(storage, &temporary, &public) {
                Err(error) if error.is_already_exists() => {}
                created => {
                    let (staged, storage) = (created?, Arc::clone(storage));
                    return Ok(Self { staged, storage, temporary, public, _lock: lock });
                }
            }
        }
        let reason = io::Error::new(io::ErrorKind::AlreadyExists, "no temporary name is unused");
        Err(Error::new(Operation::Create, &public, reason))
    }

    /// Appends bytes; see [`StagedFile::append`].
    ///
    /// # Errors
    /// After an error the replacement can only be dropped.
    pub fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.staged.append(bytes)
    }

    /// The bytes written so far.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.staged.len()
    }

    /// Whether nothing has been written yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.staged.is_empty()
    }

    /// Publishes the file under its name; see [`StagedFile::commit`].
    ///
    /// # Errors
    /// As [`StagedFile::commit`].
    pub fn commit(self) -> Result<Box<dyn FileHandle>> {
        self.staged.commit(&self.public)
    }

    /// Publishes the file only if nothing has its name; see [`StagedFile::link_to`]. Where there are no links,
    /// the name is looked at and then taken.
    ///
    /// # Errors
    /// `AlreadyExists` if something has the name.
    pub fn commit_new(self) -> Result<()> {
        let Self { staged, storage, public, _lock, .. } = self;
        match staged.link_to(&public) {
            Err(error) if error.is_unsupported() => {}
            linked => return linked,
        }
        if storage.metadata(&public)?.is_some() {
            let reason = io::ErrorKind::AlreadyExists.into();
            return Err(Error::new(Operation::Link, &public, reason));
        }
        staged.commit(&public).map(drop)
    }

    /// The temporary name, under which the file can be read before it is published.
    #[must_use]
    pub fn temporary(&self) -> &Path {
        &self.temporary
    }
}

/// Removes what killed processes left in a directory. Best effort: a leftover is in nobody's way.
fn collect(storage: &dyn FileSystem, dir: &Path) {
    for entry in storage.list(dir).unwrap_or_default() {
        let Some(name) = entry.name.to_str() else { continue };
        let name = name.strip_suffix(LOCK_SUFFIX).unwrap_or(name);
        if !is_ours(name) {
            continue;
        }
        let path = dir.join(name);
        // Dropping the lock also removes a lock file that was left behind.
        // mutant: live_replacement_collected
        if let Ok(Some(_lock)) = storage.try_lock(&lock_of(&path)) {
            let _ = storage.remove_file(&path);
        }
    }
}

fn is_ours(name: &str) -> bool {
    let unique = name.strip_prefix(PREFIX).and_then(|name| name.strip_suffix(SUFFIX));
    unique.is_some_and(is_temporary)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{LocalFs, MemoryFs, read_all};

    fn names(storage: &dyn FileSystem, dir: &Path) -> Vec<String> {
        let entries = storage.list(dir).unwrap().into_iter();
        let mut names: Vec<_> = entries.map(|entry| entry.name.into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn replace(storage: &Arc<dyn FileSystem>, path: &Path, bytes: &[u8]) {
        let mut replacement = Replacement::of(storage, path).unwrap();
        replacement.append(bytes).unwrap();
        replacement.commit().unwrap();
    }

    #[test]
    fn leftovers_of_killed_processes_are_collected_and_nothing_else_is() {
        let tmp = tempfile::tempdir().unwrap();
        let on_disk: (Arc<dyn FileSystem>, &Path) = (Arc::new(LocalFs::new()), tmp.path());
        let memory = MemoryFs::new();
        memory.create_dir(Path::new("/d")).unwrap();
        let in_memory: (Arc<dyn FileSystem>, &Path) = (Arc::new(memory), Path::new("/d"));
        for (storage, dir) in [on_disk, in_memory] {
            let dir = &storage.resolve(dir).unwrap();
            let leftovers = ["-0.tmp", "-1.tmp", "-1.tmp.lock", "-2.tmp.lock"]
                .map(|end| format!("{PREFIX}0123456789abcdef{end}"));
            let others =
                [".qstore-0123456789abcdef-x.tmp", ".qstore-1-2.tmp", ".file.tmp", "x.tmp"];
            for name in leftovers.iter().map(String::as_str).chain(others) {
                storage.create_new(&dir.join(name)).unwrap();
            }
            let live = Replacement::of(&storage, &dir.join("live")).unwrap();
            replace(&storage, &dir.join("file"), b"text");
            let found = names(&*storage, dir);
            // A lock file locks nothing by itself, and the file system in memory keeps it.
            let is_draft = |name: &&String| name.ends_with(SUFFIX);
            assert!(
                !leftovers.iter().filter(is_draft).any(|name| found.contains(name)),
                "{found:?}"
            );
            assert!(others.iter().all(|name| found.iter().any(|found| found == name)), "{found:?}");
            live.commit().unwrap();
            assert!(storage.metadata(&dir.join("live")).unwrap().is_some(), "the live one is gone");
        }
    }

    #[test]
    fn threads_that_replace_one_file_all_succeed() {
        let tmp = tempfile::tempdir().unwrap();
        let storage: Arc<dyn FileSystem> = Arc::new(LocalFs::new());
        let path = tmp.path().join("file");
        std::thread::scope(|scope| {
            for thread in 0..4_u8 {
                let (storage, path) = (&storage, &path);
                scope.spawn(move || {
                    (0..25).for_each(|_| replace(storage, path, &[thread; 1000]));
                });
            }
        });
        let bytes = read_all(&*storage, &path).unwrap();
        assert!(bytes.len() == 1000 && bytes.iter().all(|byte| *byte == bytes[0]));
        assert_eq!(names(&*storage, tmp.path()), ["file"]);
    }

    #[test]
    fn a_file_may_have_the_longest_name_there_is() {
        let tmp = tempfile::tempdir().unwrap();
        let storage: Arc<dyn FileSystem> = Arc::new(LocalFs::new());
        let name = "n".repeat(255);
        replace(&storage, &tmp.path().join(&name), b"text");
        assert_eq!(names(&*storage, tmp.path()), [name]);
    }

    #[test]
    fn a_link_stays_a_link_to_the_new_version() {
        let tmp = tempfile::tempdir().unwrap();
        let storage: Arc<dyn FileSystem> = Arc::new(LocalFs::new());
        std::fs::create_dir(tmp.path().join("real")).unwrap();
        let link = tmp.path().join("link");
        std::os::unix::fs::symlink("real/file", &link).unwrap();
        for text in [&b"first"[..], b"second"] {
            replace(&storage, &link, text);
            assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
            assert_eq!(std::fs::read(tmp.path().join("real/file")).unwrap(), text);
        }
    }

    #[test]
    fn a_new_file_replaces_nothing() {
        let tmp = tempfile::tempdir().unwrap();
        let storage: Arc<dyn FileSystem> = Arc::new(LocalFs::new());
        let path = tmp.path().join("file");
        for is_first in [true, false] {
            let mut replacement = Replacement::of(&storage, &path).unwrap();
            replacement.append(if is_first { b"first" } else { b"other" }).unwrap();
            assert_eq!(read_all(&*storage, replacement.temporary()).unwrap().len(), 5);
            let committed = replacement.commit_new();
            assert_eq!(committed.is_err_and(|error| error.is_already_exists()), !is_first);
            assert_eq!(read_all(&*storage, &path).unwrap(), b"first");
            assert_eq!(names(&*storage, tmp.path()), ["file"]);
        }
    }

    #[test]
    fn a_dropped_replacement_leaves_nothing() {
        let tmp = tempfile::tempdir().unwrap();
        let storage: Arc<dyn FileSystem> = Arc::new(LocalFs::new());
        let mut replacement = Replacement::of(&storage, &tmp.path().join("file")).unwrap();
        replacement.append(b"never published").unwrap();
        assert_eq!((replacement.len(), replacement.is_empty()), (15, false));
        drop(replacement);
        assert!(names(&*storage, tmp.path()).is_empty());
    }
}
