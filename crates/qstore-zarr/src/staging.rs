//! Files and directories that are being written or removed: `.staging/<epoch>-<pid>-<number>`, each
//! with a lock of its own.
//!
//! The lock, `.staging/<epoch>-<pid>-<number>.lock`, is held as long as the file is written, so that
//! a leftover of a killed process can be told from the live file of a neighbour, thread or process.

use crate::Error;
use crate::Layout;
use crate::directory::{CheckpointDir, STAGING, tombstone_of};
use crate::manifest::Sealed;
use qstore_storage::{FileSystem, Lock, StagedDir, StagedFile, remove_dir_all};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

const LOCK_SUFFIX: &str = ".lock";

/// The lock of a temporary name. To be dropped after what has that name.
#[derive(Debug)]
pub(crate) struct StagingLock {
    lock: Option<Box<dyn Lock>>,
    storage: Arc<dyn FileSystem>,
    staging: PathBuf,
}

impl Drop for StagingLock {
    fn drop(&mut self) {
        drop(self.lock.take());
        // Succeeds for the last one to leave; whoever comes next makes it again.
        let _ = self.storage.remove_dir(&self.staging);
    }
}

/// An empty staged file under a name that nobody else uses, and its lock.
pub(crate) fn stage_file(
    dir: &CheckpointDir,
    epoch: u64,
) -> Result<(StagingLock, StagedFile), Error> {
    reserve(dir, epoch, |temporary| StagedFile::create(&dir.storage, temporary))
}

/// As [`stage_file`], a directory.
pub(crate) fn stage_dir(
    dir: &CheckpointDir,
    epoch: u64,
) -> Result<(StagingLock, StagedDir), Error> {
    reserve(dir, epoch, |temporary| StagedDir::create(&dir.storage, temporary))
}

/// Takes a public name away in one step; what had it can be removed at leisure. The caller syncs the
/// directory in between.
pub(crate) fn discard(
    dir: &CheckpointDir,
    epoch: u64,
    public: &Path,
) -> Result<(StagingLock, PathBuf), Error> {
    reserve(dir, epoch, |temporary| {
        dir.storage.rename(public, temporary)?;
        Ok(temporary.to_path_buf())
    })
}

/// Finds a temporary name that nobody else uses, locks it, and lets `make` use it.
fn reserve<T>(
    dir: &CheckpointDir,
    epoch: u64,
    make: impl Fn(&Path) -> qstore_storage::Result<T>,
) -> Result<(StagingLock, T), Error> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    // Somebody who leaves may take the empty directory away between any two of these steps, and a
    // process of an earlier boot may have had the same number: neither happens often in a row.
    const ATTEMPTS: usize = 100;
    let staging = dir.dir.join(STAGING);
    let mut last = None;
    for _ in 0..ATTEMPTS {
        match dir.storage.create_dir(&staging) {
            Err(error) if !error.is_already_exists() => return Err(error.into()),
            _ => {}
        }
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let temporary = staging.join(format!("{epoch}-{}-{number}", std::process::id()));
        let lock = match dir.storage.try_lock(&lock_of(&temporary)) {
            Ok(Some(lock)) => lock,
            Ok(None) => continue,
            Err(error) if error.is_not_found() => {
                last = Some(error);
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        let (storage, staging) = (Arc::clone(&dir.storage), staging.clone());
        let lock = StagingLock { lock: Some(lock), storage, staging };
        match make(&temporary) {
            Ok(staged) => return Ok((lock, staged)),
            Err(error) if error.is_not_found() || error.is_already_exists() => last = Some(error),
            Err(error) => return Err(error.into()),
        }
    }
    Err(match last {
        Some(error) => error.into(),
        None => Error::Busy { staging },
    })
}

/// Removes what killed processes left behind. Nothing depends on it: what cannot be removed now is
/// tried again by whoever opens the directory next.
pub(crate) fn collect(dir: &CheckpointDir) {
    let staging = dir.dir.join(STAGING);
    let Ok(entries) = dir.storage.list(&staging) else { return };
    for entry in entries {
        if let Some(epoch) = tombstone_of(&entry.name) {
            let _ = restore(dir, epoch);
        }
        let Some(name) = entry.name.to_str() else { continue };
        let name = name.strip_suffix(LOCK_SUFFIX).unwrap_or(name);
        if !is_ours(name) {
            continue;
        }
        let temporary = staging.join(name);
        // Dropping the lock removes a lock file that was left behind as well.
        // mutant: live_staging_collected
        if let Ok(Some(_lock)) = dir.storage.try_lock(&lock_of(&temporary)) {
            let _ = remove_dir_all(&*dir.storage, &temporary);
        }
    }
    let _ = dir.storage.remove_dir(&staging);
}

/// Gives a directory that has stepped aside its public name back, or removes it when another one is
/// there in its place.
fn restore(dir: &CheckpointDir, epoch: u64) -> Result<(), Error> {
    let _lock = dir.lock()?; // nobody is between the two steps now
    let (tombstone, public) = (dir.tombstone_of(epoch), dir.path_of(epoch, Layout::Directory));
    if dir.storage.metadata(&public)?.is_none() {
        dir.storage.rename(&tombstone, &public)?;
    } else {
        Sealed::open(&dir.storage, &public, Layout::Directory, epoch)?;
        remove_dir_all(&*dir.storage, &tombstone)?;
    }
    Ok(dir.storage.sync_dir(&dir.dir)?)
}

fn is_ours(name: &str) -> bool {
    let mut parts = name.split('-');
    let mut number = || parts.next().is_some_and(|part| part.parse::<u64>().is_ok());
    number() && number() && number() && parts.next().is_none()
}

fn lock_of(temporary: &Path) -> PathBuf {
    let mut path = temporary.as_os_str().to_os_string();
    path.push(LOCK_SUFFIX);
    path.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use qstore_storage::{EntryKind, LocalFs, MemoryFs};

    fn names(dir: &CheckpointDir) -> Vec<String> {
        let entries = dir.storage.list(&dir.dir.join(STAGING)).unwrap_or_default();
        let files = entries.into_iter().filter(|entry| entry.kind == EntryKind::File);
        files.map(|entry| entry.name.into_string().unwrap()).collect()
    }

    #[test]
    fn leftovers_are_collected_and_live_files_are_not() {
        let root = tempfile::tempdir().unwrap();
        let memory = MemoryFs::new();
        memory.create_dir(Path::new("/c")).unwrap();
        let on_disk: (Arc<dyn FileSystem>, PathBuf) =
            (Arc::new(LocalFs::new()), root.path().join("c"));
        for (storage, path) in [(Arc::new(memory) as Arc<dyn FileSystem>, "/c".into()), on_disk] {
            let dir = CheckpointDir::open(storage, &path).unwrap();
            let live = stage_file(&dir, 7).unwrap();
            for leftover in ["3-1-0", "4-1-1", "4-1-1.lock", "5-1-2.lock"] {
                dir.storage.create_new(&path.join(STAGING).join(leftover)).unwrap();
            }
            for foreign in ["notes", "1-2", "1-2-3-4", "1-2-x"] {
                dir.storage.create_new(&path.join(STAGING).join(foreign)).unwrap();
            }
            collect(&dir);
            let left = names(&dir);
            assert!(left.iter().any(|name| name.starts_with("7-")), "{left:?}");
            assert!(
                !left.iter().any(|name| name.starts_with("3-1") || name == "4-1-1"),
                "{left:?}"
            );
            for foreign in ["notes", "1-2", "1-2-3-4", "1-2-x"] {
                assert!(left.iter().any(|name| name == foreign), "{foreign} was touched");
                dir.storage.remove_file(&path.join(STAGING).join(foreign)).unwrap();
            }
            let (lock, staged) = live;
            drop(staged);
            drop(lock);
            collect(&dir);
            assert!(names(&dir).iter().all(|name| name.ends_with(LOCK_SUFFIX)));
        }
    }

    #[test]
    fn threads_that_come_and_go_never_take_each_others_files() {
        let root = tempfile::tempdir().unwrap();
        let dir = CheckpointDir::open(Arc::new(LocalFs::new()), root.path()).unwrap();
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let dir = &dir;
                scope.spawn(move || {
                    for round in 0..50 {
                        let (_lock, staged) = stage_file(dir, thread).unwrap();
                        collect(dir);
                        staged.commit(&dir.dir.join(format!("{thread}-{round}"))).unwrap();
                    }
                });
            }
        });
        assert!(!root.path().join(STAGING).exists());
    }
}
