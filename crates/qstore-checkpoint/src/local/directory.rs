//! The directory itself: its paths, its lock, its listing.
//!
//! It is held open, and all paths begin at the open directory. Another process may rename it and begin a run
//! under its name: nothing of that run is then listed, replaced or removed from here.

use super::retired::{is_retired, is_vacant};
use crate::repository::{Kind, Listed, RepositoryError, Result};
use qstore_storage::{EntryKind, FileSystem, Lock, Locking, open_dir};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The directory as a path in itself.
const HERE: &str = ".";
pub(super) const LOCK: &str = ".qstore.lock";
/// The directory for drafts, and for trees that are being deleted.
pub(super) const STAGING: &str = ".staging";
const TOMBSTONE_PREFIX: &str = "tombstone-";

#[derive(Debug, Clone)]
pub(super) struct Directory {
    /// The whole file system, in which the directory has a name.
    pub(super) files: Arc<dyn FileSystem>,
    /// The open directory.
    pub(super) fs: Arc<dyn FileSystem>,
    /// The name under which it was opened, for messages.
    pub(super) root: PathBuf,
    pub(super) locking: Locking,
}

impl Directory {
    /// Opens the directory of that name.
    pub(super) fn open(files: Arc<dyn FileSystem>, root: PathBuf) -> Result<Self> {
        let fs = open_dir(&files, &root)?;
        Ok(Self { files, fs, root, locking: Locking::Required })
    }

    /// The path of a name in an open directory.
    pub(super) fn path_of(name: &str) -> PathBuf {
        PathBuf::from(name)
    }

    pub(super) fn staging() -> PathBuf {
        PathBuf::from(STAGING)
    }

    /// A path as a person knows it.
    pub(super) fn shown(&self, path: &Path) -> String {
        self.root.join(path).display().to_string()
    }

    /// Where drafts, locks and new names are refused because the directory was removed, the reason.
    pub(super) fn explain(&self, error: RepositoryError) -> RepositoryError {
        let here = Path::new(HERE);
        if error.is_not_found() && self.fs.resolve(here).is_err_and(|error| error.is_not_found()) {
            return RepositoryError::DirectoryRemoved { location: self.root.display().to_string() };
        }
        error
    }

    /// Where a tree is moved aside if two names cannot be exchanged.
    pub(super) fn tombstone_of(name: &str) -> PathBuf {
        Self::staging().join(format!("{TOMBSTONE_PREFIX}{}", name.replace('/', "~")))
    }

    /// A lock of that name, unless it is held elsewhere.
    pub(super) fn try_lock(&self, path: &Path) -> qstore_storage::Result<Option<Box<dyn Lock>>> {
        self.locking.try_lock(&*self.fs, path)
    }

    /// Excludes all other writers until it is dropped.
    pub(super) fn lock(&self) -> Result<Box<dyn Lock>> {
        let locked = self.locking.lock(&*self.fs, &Self::path_of(LOCK));
        locked.map_err(|error| self.explain(error.into()))
    }

    /// The bytes that can still be written.
    pub(super) fn available(&self) -> Result<Option<u64>> {
        Ok(self.fs.available(Path::new(HERE))?)
    }

    /// Makes the names in the directory survive a power cut.
    pub(super) fn sync(&self) -> Result<()> {
        Ok(self.fs.sync_dir(Path::new(HERE))?)
    }

    /// The names below a prefix. A tree that was moved aside is listed under its own name, and one that is
    /// being removed in place is not listed.
    pub(super) fn list(&self, prefix: &str) -> Result<Vec<Listed>> {
        let dir = match prefix.trim_end_matches('/') {
            "" => Path::new(HERE),
            prefix => Path::new(prefix),
        };
        let mut found = BTreeSet::new();
        if self.list_into(dir, &mut found)? && prefix.is_empty() {
            let asides = self.trees_aside()?;
            // A tree may have been moved to its own name since the first listing.
            self.list_into(dir, &mut found)?;
            found.extend(asides.into_iter().map(Listed::tree));
        }
        Ok(found.into_iter().collect())
    }

    /// Lists a directory once; returns whether it has a staging directory.
    fn list_into(&self, dir: &Path, found: &mut BTreeSet<Listed>) -> Result<bool> {
        let entries = match self.fs.list(dir) {
            Err(error) if error.is_not_found() && dir != Path::new(HERE) => return Ok(false),
            listed => listed?,
        };
        let mut has_staging = false;
        for entry in entries {
            let Some(name) = entry.name.to_str() else { continue };
            if name == STAGING || name == LOCK {
                has_staging |= name == STAGING;
                continue;
            }
            let kind = match entry.kind {
                EntryKind::File => Kind::File,
                EntryKind::Dir => Kind::Tree,
                EntryKind::Other => continue,
            };
            if kind == Kind::File || !is_vacant(&*self.fs, &dir.join(name))? {
                found.insert(Listed { name: name.into(), kind });
            }
        }
        Ok(has_staging)
    }

    /// The names of the trees that were moved aside.
    pub(super) fn trees_aside(&self) -> Result<Vec<String>> {
        let entries = match self.fs.list(&Self::staging()) {
            Err(error) if error.is_not_found() => return Ok(Vec::new()),
            listed => listed?,
        };
        let names = entries.iter().filter_map(|entry| {
            Some(entry.name.to_str()?.strip_prefix(TOMBSTONE_PREFIX)?.replace('~', "/"))
        });
        Ok(names.collect())
    }

    /// The names of the trees that are being removed in place.
    pub(super) fn trees_retired(&self) -> Result<Vec<String>> {
        let mut retired = Vec::new();
        for entry in self.fs.list(Path::new(HERE))? {
            let Some(name) = entry.name.to_str() else { continue };
            if entry.kind == EntryKind::Dir && is_retired(&*self.fs, &Self::path_of(name))? {
                retired.push(name.to_owned());
            }
        }
        Ok(retired)
    }
}
