//! A tree of files that gets its public name only when it is complete and durable.

use crate::{
    Error, FileHandle, FileSystem, Operation, Result, TreeSync, parent_of, remove_dir_all,
};
use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::{fmt, io};

/// A directory under a temporary name, filled and then [committed](Self::commit).
///
/// Any number of threads may fill it at a time: to create a file is work for the file system, and most
/// of them do it for several directories at once.
///
/// Where the system can sync a whole tree, the commit does; elsewhere, as
/// [`is_synced_as_a_whole`](Self::is_synced_as_a_whole) tells, files are synced by whoever writes them,
/// and the commit syncs the directories. Dropped without a commit, it removes itself; after a kill the
/// temporary name is left over.
pub struct StagedDir {
    storage: Arc<dyn FileSystem>,
    temporary: PathBuf,
    /// Every directory below and including the temporary one; a deeper one sorts after its parent.
    dirs: Mutex<BTreeSet<PathBuf>>,
    tree: Option<Box<dyn TreeSync>>,
    is_committed: bool,
}

impl StagedDir {
    /// An empty directory under a temporary name in the same file system as its public name.
    ///
    /// # Errors
    /// When the directory cannot be created, above all because the name is taken.
    pub fn create(storage: &Arc<dyn FileSystem>, temporary: &Path) -> Result<Self> {
        storage.create_dir(temporary)?;
        let tree = storage.sync_tree(temporary).unwrap_or(None);
        Ok(Self {
            storage: Arc::clone(storage),
            temporary: temporary.to_path_buf(),
            dirs: Mutex::new(BTreeSet::from([temporary.to_path_buf()])),
            tree,
            is_committed: false,
        })
    }

    /// Whether the commit syncs the files as well.
    #[must_use]
    pub fn is_synced_as_a_whole(&self) -> bool {
        self.tree.is_some()
    }

    /// Creates a file, and the directories above it, at a path relative to this directory. Sync it
    /// before the commit, unless the commit does.
    ///
    /// # Errors
    /// When it cannot be created; when the path leads out of the directory.
    pub fn create_file(&self, relative: &Path) -> Result<Box<dyn FileHandle>> {
        let path = self.place(relative)?;
        self.storage.create_new(&path)
    }

    /// Makes a file that is durable elsewhere a part of this tree as well, without copying it.
    ///
    /// # Errors
    /// When it cannot be linked; when the path leads out of the directory.
    pub fn link_file(&self, from: &Path, relative: &Path) -> Result<()> {
        let path = self.place(relative)?;
        self.storage.link(from, &path)
    }

    /// The path of a file in this tree, whose directory exists from now on.
    fn place(&self, relative: &Path) -> Result<PathBuf> {
        let path = self.temporary.join(relative);
        let is_inside = relative.components().all(|part| matches!(part, Component::Normal(_)));
        if !is_inside || relative.as_os_str().is_empty() {
            let reason = io::Error::new(io::ErrorKind::InvalidInput, "it leads out of the tree");
            return Err(Error::new(Operation::Create, &path, reason));
        }
        self.make_dir(parent_of(&path))?;
        Ok(path)
    }

    fn make_dir(&self, dir: &Path) -> Result<()> {
        if self.dirs().contains(dir) {
            return Ok(());
        }
        self.make_dir(parent_of(dir))?;
        match self.storage.create_dir(dir) {
            // Nobody but us knows the temporary name: another thread needed it at the same moment.
            Err(error) if error.is_already_exists() => {}
            made => made?,
        }
        self.dirs().insert(dir.to_path_buf());
        Ok(())
    }

    /// While the tree is filled it is held for a look only, never while the file system works.
    fn dirs(&self) -> MutexGuard<'_, BTreeSet<PathBuf>> {
        self.dirs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Publishes the tree: it is synced as a whole, or its directories from the bottom up; it takes the
    /// public name in one step, then that name is synced. A tree that was there is exchanged for this
    /// one; it has the temporary name then, and goes when what is returned is dropped. To take a large
    /// tree apart takes as long as to write it, so that need not be waited for.
    ///
    /// Where the system cannot exchange two names, the old tree first steps aside to `tombstone`, a
    /// name in the same file system that nobody else uses, and is removed at once. Whoever finds it,
    /// and nothing under the public name, after a crash between the two steps, moves it back.
    ///
    /// # Errors
    /// When the last sync or the removal fails, the public name already shows the new tree. After
    /// any other error the old one is as it was, or under `tombstone` if it could not be moved back.
    pub fn commit(mut self, public: &Path, tombstone: &Path) -> Result<Option<ReplacedDir>> {
        match &self.tree {
            // mutant: staged_tree_not_synced
            Some(tree) => tree.sync()?,
            None => {
                for dir in self.dirs().iter().rev() {
                    // mutant: staged_directories_not_synced
                    self.storage.sync_dir(dir)?;
                }
            }
        }
        let mut old = None;
        if self.storage.metadata(public)?.is_none() {
            self.storage.rename(&self.temporary, public)?;
        } else {
            // mutant: staged_tree_deletes_then_renames
            match self.storage.exchange(&self.temporary, public) {
                Ok(()) => old = Some(&*self.temporary),
                Err(error) if error.source.kind() == io::ErrorKind::Unsupported => {
                    self.bury(public, tombstone)?;
                    old = Some(tombstone);
                }
                Err(error) => return Err(error),
            }
        }
        self.is_committed = true;
        // mutant: staged_tree_name_not_synced, replaced_tree_removed_before_the_name_is_durable
        self.storage.sync_dir(parent_of(public))?;
        let Some(old) = old else { return Ok(None) };
        // mutant: replaced_tree_removed_while_its_new_place_is_not_durable
        self.storage.sync_dir(parent_of(old))?;
        if old == tombstone {
            remove_dir_all(&*self.storage, old)?;
            return Ok(None);
        }
        let (storage, path) = (Arc::clone(&self.storage), old.to_path_buf());
        Ok(Some(ReplacedDir { storage, path }))
    }

    /// Puts this tree in the place of the old one in two steps.
    fn bury(&self, public: &Path, tombstone: &Path) -> Result<()> {
        // The directory the tombstone goes to may be new; it must not be lost with what is in it.
        // mutant: directory_of_the_tombstone_not_synced
        self.storage.sync_dir(parent_of(parent_of(tombstone)))?;
        self.storage.rename(public, tombstone)?;
        // Durable where it is now, so that it cannot be lost between the two names.
        // mutant: tombstone_not_synced
        self.storage.sync_dir(parent_of(tombstone))?;
        let moved = self.storage.rename(&self.temporary, public);
        if moved.is_err() {
            let _ = self.storage.rename(tombstone, public);
        }
        moved
    }
}

impl Drop for StagedDir {
    fn drop(&mut self) {
        if !self.is_committed {
            // Best effort: whoever owns the name collects leftovers when he next opens.
            let _ = remove_dir_all(&*self.storage, &self.temporary);
        }
    }
}

impl fmt::Debug for StagedDir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StagedDir").field("temporary", &self.temporary).finish_non_exhaustive()
    }
}

/// A tree that another one has replaced, under that one's temporary name; dropping it removes it.
#[must_use = "dropping it takes the tree apart, which takes time"]
pub struct ReplacedDir {
    storage: Arc<dyn FileSystem>,
    path: PathBuf,
}

impl Drop for ReplacedDir {
    fn drop(&mut self) {
        // Best effort: whoever owns the name collects leftovers when he next opens.
        let _ = remove_dir_all(&*self.storage, &self.path);
    }
}

impl fmt::Debug for ReplacedDir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplacedDir").field("path", &self.path).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{MemoryFs, read_all};

    fn stage(storage: &Arc<dyn FileSystem>, text: &[u8]) -> StagedDir {
        let staged = StagedDir::create(storage, Path::new("/.tree.tmp")).unwrap();
        for name in ["a/b/c", "a/d", "e"] {
            let file = staged.create_file(Path::new(name)).unwrap();
            file.write_at(0, text).unwrap();
            file.sync().unwrap();
        }
        staged
    }

    #[test]
    fn a_committed_tree_survives_a_power_cut_and_replaces_an_older_one() {
        let memory = MemoryFs::new();
        let storage: Arc<dyn FileSystem> = Arc::new(memory.clone());
        for text in [&b"first"[..], b"second"] {
            drop(stage(&storage, text).commit(Path::new("/tree"), Path::new("/.old")).unwrap());
            let cut = memory.power_cut();
            for name in ["/tree/a/b/c", "/tree/a/d", "/tree/e"] {
                assert_eq!(read_all(&cut, Path::new(name)).unwrap(), text, "{name}");
            }
        }
        assert_eq!(memory.list(Path::new("/")).unwrap().len(), 1);
    }

    #[test]
    fn a_path_that_leads_out_is_refused_and_a_file_can_be_shared() {
        let memory = MemoryFs::new();
        let storage: Arc<dyn FileSystem> = Arc::new(memory.clone());
        let staged = stage(&storage, b"text");
        for outside in ["/etc/x", "../x", "a/../../x", "./x", ""] {
            assert!(staged.create_file(Path::new(outside)).is_err(), "{outside}");
        }
        drop(staged.commit(Path::new("/one"), Path::new("/.old")).unwrap());
        let other = StagedDir::create(&storage, Path::new("/.tree.tmp")).unwrap();
        other.link_file(Path::new("/one/a/d"), Path::new("x/y")).unwrap();
        drop(other.commit(Path::new("/other"), Path::new("/.old")).unwrap());
        remove_dir_all(&memory, Path::new("/one")).unwrap();
        assert_eq!(read_all(&memory.power_cut(), Path::new("/other/x/y")).unwrap(), b"text");
    }

    #[test]
    fn without_a_commit_nothing_is_left() {
        let memory = MemoryFs::new();
        let storage: Arc<dyn FileSystem> = Arc::new(memory.clone());
        drop(stage(&storage, b"text"));
        assert!(memory.list(Path::new("/")).unwrap().is_empty());
    }
}
