//! The file system as Q-Store needs it: small enough to replace, strict enough to test against.
//!
//! This crate is the only one in the set that renames, links, locks or fsyncs. Everything that must
//! survive a crash goes through the [`FileSystem`] seam and the two durable helpers on top of it:
//!
//! | to publish | use | until `commit` returns `Ok` |
//! |---|---|---|
//! | one file | [`StagedFile`] | its public name shows the old file, or nothing |
//! | a tree of files | [`StagedDir`] | its public name shows the old tree, or nothing |
//!
//! [`LocalFs`] is the real thing. [`MemoryFs`] behaves like it and also knows what a power
//! cut would leave: bytes that were not synced and directory entries whose directory was not synced
//! are gone. Wrap either to inject faults; [`conformance`] checks an implementation of your own.
//!
//! What it is **not**: it knows no file format, starts no thread and retries nothing. It is not a
//! general virtual file system: there are no permissions, no times and no links to follow.
//!
//! ```
//! use qstore_storage::{MemoryFs, StagedFile, FileSystem, read_all};
//! use std::{path::Path, sync::Arc};
//!
//! let memory = MemoryFs::new();
//! let storage: Arc<dyn FileSystem> = Arc::new(memory.clone());
//!
//! let mut staged = StagedFile::create(&storage, Path::new("/.report.tmp"))?;
//! staged.append(b"all rows are safe")?;
//! staged.commit(Path::new("/report"))?;
//!
//! let after: Arc<dyn FileSystem> = Arc::new(memory.power_cut());
//! assert_eq!(read_all(&*after, Path::new("/report"))?, b"all rows are safe");
//! # Ok::<(), qstore_storage::Error>(())
//! ```
//!
//! # Platforms
//! Unix. [`FileSystem::exchange`] needs Linux or macOS. Locks are `flock` locks: they hold between
//! processes of one machine, belong to the open file, and are therefore shared with a forked child
//! until both have closed it.

#![deny(unsafe_code)]

#[cfg(not(unix))]
compile_error!("qstore-storage needs positional writes and directory syncs as Unix has them");

pub mod conformance;
mod error;
mod in_place;
mod lease;
mod local;
mod memory;
mod seam;
mod staged_dir;
mod staged_file;
mod sync_tree;
mod write_out;

pub use error::{Error, Operation};
pub use in_place::{Claim, Exclusive, Stamp};
pub use local::LocalFs;
pub use memory::{MemoryFs, PowerCut, UnsyncedBytes, UnsyncedNames};
pub use seam::{Entry, EntryKind, FileHandle, FileSystem, Lock, Metadata, TreeSync};
pub use staged_dir::{ReplacedDir, StagedDir};
pub use staged_file::StagedFile;

use std::path::{Path, PathBuf};

/// The result of a storage operation.
pub type Result<T> = std::result::Result<T, Error>;

/// The directory a path lies in; `.` for a bare name.
#[must_use]
pub fn parent_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => path,
    }
}

/// Creates a directory and those above it, each durable before the next is made. The name of the first
/// that is there already is made durable, too, as far as that is permitted: whoever created it may have
/// been stopped before it was.
///
/// # Errors
/// The first operation that failed. Directories made before it stay.
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
        // A directory may be passed through and not be read; what lies in it is not ours, then.
        Err(error) if error.source.kind() == std::io::ErrorKind::PermissionDenied => {}
        synced => synced?,
    }
    for dir in missing.iter().rev() {
        match storage.create_dir(dir) {
            // Somebody else was quicker; that is what we wanted.
            Err(error) if error.is_already_exists() => {}
            made => made?,
        }
        // mutant: new_directory_not_synced
        storage.sync_dir(parent_of(dir))?;
    }
    Ok(())
}

/// Removes a directory and everything in it; nothing to remove is no error. Links are removed, never
/// followed.
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
            EntryKind::File | EntryKind::Other => storage.remove_file(&path)?,
        }
    }
    storage.remove_dir(dir)
}

/// A whole file's bytes.
///
/// # Errors
/// When the file cannot be opened or read.
pub fn read_all(storage: &dyn FileSystem, path: &Path) -> Result<Vec<u8>> {
    let file = storage.open(path)?;
    let mut bytes = vec![0; usize::try_from(file.len()?).unwrap_or(usize::MAX)];
    file.read_at(0, &mut bytes)?;
    Ok(bytes)
}
