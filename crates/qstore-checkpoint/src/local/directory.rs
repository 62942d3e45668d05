//! The directory itself: its paths, its lock, its listing.

use crate::repository::{Kind, Listed, Result};
use qstore_storage::{EntryKind, FileSystem, Lock, Locking};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub(super) const LOCK: &str = ".qstore.lock";
/// The directory for drafts, and for trees that are being deleted.
pub(super) const STAGING: &str = ".staging";
const TOMBSTONE_PREFIX: &str = "tombstone-";

#[derive(Debug, Clone)]
pub(super) struct Directory {
    pub(super) fs: Arc<dyn FileSystem>,
    pub(super) root: PathBuf,
    pub(super) locking: Locking,
}

impl Directory {
    pub(super) fn path_of(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    pub(super) fn staging(&self) -> PathBuf {
        self.root.join(STAGING)
    }

    /// Where a tree is moved aside if two names cannot be exchanged.
    pub(super) fn tombstone_of(&self, name: &str) -> PathBuf {
        self.staging().join(format!("{TOMBSTONE_PREFIX}{}", name.replace('/', "~")))
    }

    /// A lock of that name, unless it is held elsewhere.
    pub(super) fn try_lock(&self, path: &Path) -> qstore_storage::Result<Option<Box<dyn Lock>>> {
        self.locking.try_lock(&*self.fs, path)
    }

    /// Excludes all other writers until it is dropped.
    pub(super) fn lock(&self) -> Result<Box<dyn Lock>> {
        Ok(self.locking.lock(&*self.fs, &self.path_of(LOCK))?)
    }

    /// Makes the names in the directory survive a power cut.
    pub(super) fn sync(&self) -> Result<()> {
        Ok(self.fs.sync_dir(&self.root)?)
    }

    /// The names below a prefix. A tree that was moved aside is listed under its own name.
    pub(super) fn list(&self, prefix: &str) -> Result<Vec<Listed>> {
        let dir = self.root.join(prefix.trim_end_matches('/'));
        let mut found = BTreeSet::new();
        if self.list_into(&dir, &mut found)? && prefix.is_empty() {
            let asides = self.trees_aside()?;
            if !asides.is_empty() {
                // A tree may have been moved back to its own name since the first listing.
                self.list_into(&dir, &mut found)?;
            }
            found.extend(asides.into_iter().map(Listed::tree));
        }
        Ok(found.into_iter().collect())
    }

    /// Lists a directory once; returns whether it has a staging directory.
    fn list_into(&self, dir: &Path, found: &mut BTreeSet<Listed>) -> Result<bool> {
        let entries = match self.fs.list(dir) {
            Err(error) if error.is_not_found() && dir != self.root => return Ok(false),
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
            found.insert(Listed { name: name.into(), kind });
        }
        Ok(has_staging)
    }

    /// The names of the trees that were moved aside.
    pub(super) fn trees_aside(&self) -> Result<Vec<String>> {
        let entries = match self.fs.list(&self.staging()) {
            Err(error) if error.is_not_found() => return Ok(Vec::new()),
            listed => listed?,
        };
        let names = entries.iter().filter_map(|entry| {
            entry.name.to_str()?.strip_prefix(TOMBSTONE_PREFIX).map(ToOwned::to_owned)
        });
        Ok(names.collect())
    }
}
