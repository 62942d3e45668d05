//! Temporary names: `.staging/<process>-<number>`, each with its own lock.
//!
//! What loses its public name before it is identified has the name `.staging/<process>-<number>.of-<name>`
//! meanwhile: if the process is killed then, the next writer knows whose name it was.
//!
//! The lock, `.staging/<process>-<number>.lock`, is held while the draft exists. It distinguishes what a
//! killed process left behind from the live draft of another thread or process.

use super::directory::Directory;
use super::{identity, in_place};
use crate::repository::{Identify, RepositoryError, Result};
use qstore_storage::temporary::{LOCK_SUFFIX, is_temporary, lock_of, unused_name};
use qstore_storage::{FileSystem, Lock, remove_dir_all};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Between a temporary name and the public name that something had before.
const RETIRED_INFIX: &str = ".of-";

/// The lock of a temporary name. Dropped after the draft with that name.
#[derive(Debug)]
pub(super) struct StagingLock {
    lock: Option<Box<dyn Lock>>,
    fs: Arc<dyn FileSystem>,
    staging: PathBuf,
}

impl Drop for StagingLock {
    fn drop(&mut self) {
        drop(self.lock.take());
        // Succeeds only for the last writer to leave; the next one creates the directory again.
        let _ = self.fs.remove_dir(&self.staging);
    }
}

/// Finds a temporary name that is not in use, locks it, and lets `make` use it.
pub(super) fn reserve<T>(
    directory: &Directory,
    make: impl Fn(&Path) -> qstore_storage::Result<T>,
) -> Result<(StagingLock, T)> {
    // Another writer may remove the empty directory between any two of these steps. That does not happen
    // many times in a row.
    const ATTEMPTS: usize = 100;
    let (fs, staging) = (&directory.fs, Directory::staging());
    let mut last = None;
    for _ in 0..ATTEMPTS {
        match fs.create_dir(&staging) {
            Err(error) if !error.is_already_exists() => {
                return Err(directory.explain(error.into()));
            }
            _ => {}
        }
        let path = staging.join(unused_name());
        let lock = match directory.try_lock(&lock_of(&path)) {
            Ok(Some(lock)) => lock,
            Ok(None) => continue,
            Err(error) if error.is_not_found() => {
                last = Some(error);
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        let (fs, staging) = (Arc::clone(fs), staging.clone());
        let lock = StagingLock { lock: Some(lock), fs, staging };
        match make(&path) {
            Ok(staged) => return Ok((lock, staged)),
            Err(error) if error.is_not_found() || error.is_already_exists() => last = Some(error),
            Err(error) => return Err(error.into()),
        }
    }
    Err(match last {
        Some(error) => error.into(),
        None => RepositoryError::Busy { location: directory.shown(&staging) },
    })
}

/// The name for what had a public name, while it is not known what it is.
pub(super) fn retired_name(temporary: &Path, name: &str) -> PathBuf {
    let mut path = temporary.as_os_str().to_os_string();
    path.push(RETIRED_INFIX);
    path.push(name.replace('/', "~"));
    path.into()
}

/// Removes the leftovers of killed processes.
pub(super) fn collect(directory: &Directory, is_ours: Identify<'_>) {
    let (fs, staging) = (&directory.fs, Directory::staging());
    settle_trees(directory);
    let Ok(entries) = fs.list(&staging) else { return };
    for entry in entries {
        let Some(name) = entry.name.to_str() else { continue };
        let name = name.strip_suffix(LOCK_SUFFIX).unwrap_or(name);
        let (unique, public) = match name.split_once(RETIRED_INFIX) {
            Some((unique, public)) => (unique, Some(public.replace('~', "/"))),
            None => (name, None),
        };
        if !is_temporary(unique) {
            continue;
        }
        let path = staging.join(name);
        // Dropping the lock also removes a lock file that was left behind.
        // mutant: live_staging_collected
        if let Ok(Some(_lock)) = directory.try_lock(&lock_of(&staging.join(unique))) {
            match public {
                Some(public) => identity::settle(directory, &path, &public, is_ours),
                None => drop(remove_dir_all(&**fs, &path)),
            }
        }
    }
    let _ = fs.remove_dir(&staging);
}

/// Ends interrupted replacements and removals of trees.
fn settle_trees(directory: &Directory) {
    let aside = directory.trees_aside().unwrap_or_default();
    let retired = directory.trees_retired().unwrap_or_default();
    for name in aside.into_iter().chain(retired) {
        // Under the lock, so that no other writer is between two steps.
        if let Ok(_lock) = directory.lock() {
            let _ = in_place::settle(directory, &name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::directory::STAGING as NAME;
    use super::*;
    use crate::repository::{FileDraft, Repository};
    use crate::{LocalRepository, local::files};
    use qstore_storage::{EntryKind, LocalFs, MemoryFs};

    fn names(directory: &Directory) -> Vec<String> {
        let entries = directory.fs.list(&Directory::staging()).unwrap_or_default();
        let files = entries.into_iter().filter(|entry| entry.kind == EntryKind::File);
        files.map(|entry| entry.name.into_string().unwrap()).collect()
    }

    #[test]
    fn leftovers_are_collected_and_live_drafts_are_not() {
        let root = tempfile::tempdir().unwrap();
        let memory = MemoryFs::new();
        memory.create_dir(Path::new("/c")).unwrap();
        let on_disk: (Arc<dyn FileSystem>, PathBuf) =
            (Arc::new(LocalFs::new()), root.path().join("c"));
        for (fs, path) in [(Arc::new(memory) as Arc<dyn FileSystem>, "/c".into()), on_disk] {
            let directory = LocalRepository::open_in(fs, &path).unwrap().directory;
            let live = files::begin(&directory, "live").unwrap();
            let process = "0123456789abcdef";
            let leftovers = ["-0", "-1", "-1.lock", "-2.lock"].map(|end| format!("{process}{end}"));
            let foreign = ["notes", "1-2", "3-1-0", "0123456789abcdeg-0", "0123456789abcdef-x"];
            for name in leftovers.iter().map(String::as_str).chain(foreign) {
                directory.fs.create_new(&Path::new(NAME).join(name)).unwrap();
            }
            collect(&directory, &|_, _| Ok(true));
            let left = names(&directory);
            // A lock file by itself locks nothing, and may remain on some file systems.
            let is_draft = |name: &&String| !name.ends_with(LOCK_SUFFIX);
            assert!(!leftovers.iter().filter(is_draft).any(|name| left.contains(name)), "{left:?}");
            for name in foreign {
                assert!(left.iter().any(|left| left == name), "{name} was touched");
                directory.fs.remove_file(&Path::new(NAME).join(name)).unwrap();
            }
            assert!(
                names(&directory).iter().any(|name| is_temporary(name)),
                "the live draft is gone"
            );
            drop(live);
            collect(&directory, &|_, _| Ok(true));
            assert!(names(&directory).iter().all(|name| name.ends_with(LOCK_SUFFIX)));
        }
    }

    #[test]
    fn concurrent_threads_never_remove_each_others_drafts() {
        let root = tempfile::tempdir().unwrap();
        let repository = LocalRepository::open_in(Arc::new(LocalFs::new()), root.path()).unwrap();
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let repository = &repository;
                scope.spawn(move || {
                    for round in 0..50 {
                        let draft: Box<dyn FileDraft> =
                            repository.begin_file(&format!("{thread}-{round}")).unwrap();
                        repository.collect_leftovers(&|_, _| Ok(true));
                        drop(draft.commit().unwrap());
                    }
                });
            }
        });
        assert!(!root.path().join(NAME).exists());
    }
}
