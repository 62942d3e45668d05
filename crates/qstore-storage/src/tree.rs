//! What any [`FileSystem`] can do with whole paths and trees, made of its own operations.

use crate::error::Result;
use crate::file_system::{EntryKind, FileSystem};
use std::io;
use std::path::{Path, PathBuf};

/// The directory that a path lies in; `.` for a bare name, and the path itself for the root.
///
/// ```
/// use qstore_storage::parent_of;
/// use std::path::Path;
///
/// assert_eq!(parent_of(Path::new("runs/metrics.parquet")), Path::new("runs"));
/// assert_eq!(parent_of(Path::new("metrics.parquet")), Path::new("."));
/// assert_eq!(parent_of(Path::new("/")), Path::new("/"));
/// ```
#[must_use]
pub fn parent_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => path,
    }
}

/// Creates a directory and its missing parents; each is durable before the next one is created. The
/// directory that holds the first of them is synced as well, as far as permissions allow: its creator
/// may have crashed before syncing it. An existing directory is not an error.
///
/// ```
/// use qstore_storage::{FileSystem, MemoryFs, create_dir_all};
/// use std::path::Path;
///
/// let files = MemoryFs::new();
/// create_dir_all(&files, Path::new("/runs/7"))?;
/// assert!(files.power_cut().metadata(Path::new("/runs/7"))?.is_some());
/// # Ok::<(), qstore_storage::Error>(())
/// ```
///
/// # Errors
/// The first operation that failed. Directories created before it stay.
pub fn create_dir_all(storage: &dyn FileSystem, dir: &Path) -> Result<()> {
    let mut missing: Vec<PathBuf> = Vec::new();
    let mut next = dir;
    while storage.metadata(next)?.is_none() {
        missing.push(next.to_path_buf());
        if parent_of(next) == next {
            break;
        }
        next = parent_of(next);
    }
    match storage.sync_dir(parent_of(next)) {
        // A directory that may be passed through but not read is not ours to sync.
        Err(error) if error.source.kind() == io::ErrorKind::PermissionDenied => {}
        synced => synced?,
    }
    for dir in missing.iter().rev() {
        match storage.create_dir(dir) {
            // Another thread or process created it first, which is just as good.
            Err(error) if error.is_already_exists() => {}
            created => created?,
        }
        // mutant: new_directory_not_synced
        storage.sync_dir(parent_of(dir))?;
    }
    Ok(())
}

/// Removes a directory and everything in it. A missing directory is not an error. Links are removed,
/// never followed.
///
/// # Errors
/// The first operation that failed; what was removed before it is gone.
pub fn remove_dir_all(storage: &dyn FileSystem, dir: &Path) -> Result<()> {
    let Some(metadata) = storage.metadata(dir)? else { return Ok(()) };
    if metadata.kind != EntryKind::Dir {
        return storage.remove_file(dir);
    }
    for entry in storage.list(dir)? {
        let path = dir.join(&entry.name);
        match entry.kind {
            EntryKind::Dir => remove_dir_all(storage, &path)?,
            EntryKind::File | EntryKind::Other => unless_gone(storage.remove_file(&path))?,
        }
    }
    unless_gone(storage.remove_dir(dir))
}

/// Somebody else may have removed it first.
fn unless_gone(removed: Result<()>) -> Result<()> {
    match removed {
        Err(error) if error.is_not_found() => Ok(()),
        removed => removed,
    }
}
