//! A tree of files that receives its public name only once it is complete and durable.

use crate::error::{Error, Operation, Result};
use crate::file_system::{EntryKind, FileHandle, FileSystem, TreeSync};
use crate::tree::{parent_of, remove_dir_all};
use qstore_os::ForkCheck;
use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::{fmt, io};

/// A directory under a temporary name, filled and then [committed](Self::commit).
///
/// * **Until `commit` returns**, the public name shows what it showed before: the old tree, or nothing.
/// * **After `commit` returned `Ok`**, it shows the new tree, and does so even after a power cut.
/// * **Dropped without a commit**, it removes itself. The public name is untouched. A forked child leaves it
///   to its parent.
/// * **After a crash**, the temporary name may be left behind. Removing it is up to the owner of that name.
///
/// Any number of threads may fill it at the same time: most file systems create files in several directories
/// concurrently.
///
/// Where the system can sync a whole tree, `commit` does so. Elsewhere
/// [`is_synced_as_a_whole`](Self::is_synced_as_a_whole) is `false`, the caller syncs each file it writes,
/// and `commit` syncs the directories. Syncing each file in any case is correct, only slower.
///
/// ```
/// use qstore_storage::{FileSystem, MemoryFs, StagedDir, read_all};
/// use std::{path::Path, sync::Arc};
///
/// let memory = MemoryFs::new();
/// let files: Arc<dyn FileSystem> = Arc::new(memory.clone());
///
/// let staged = StagedDir::create(&files, Path::new("/.model.tmp"))?;
/// for name in ["weights/0", "weights/1", "index"] {
///     let file = staged.create_file(Path::new(name))?; // and its directories
///     file.write_at(0, name.as_bytes())?;
///     if !staged.is_synced_as_a_whole() {
///         file.sync()?;
///     }
/// }
/// let replaced = staged.commit(Path::new("/model"), Path::new("/.model.old"))?;
/// assert!(replaced.is_none(), "there was no tree to replace");
///
/// assert_eq!(read_all(&memory.power_cut(), Path::new("/model/weights/1"))?, b"weights/1");
/// # Ok::<(), qstore_storage::Error>(())
/// ```
pub struct StagedDir {
    storage: Arc<dyn FileSystem>,
    temporary: PathBuf,
    /// The temporary directory and every directory below it; a deeper one sorts after its parent.
    dirs: Mutex<BTreeSet<PathBuf>>,
    tree: Option<Box<dyn TreeSync>>,
    is_committed: bool,
    /// The process that the temporary name belongs to.
    home: ForkCheck,
}

impl StagedDir {
    /// Creates an empty directory under a temporary name, which must be in the same file system as the public
    /// one.
    ///
    /// # Errors
    /// When the directory cannot be created, typically because the name is taken.
    pub fn create(storage: &Arc<dyn FileSystem>, temporary: &Path) -> Result<Self> {
        storage.create_dir(temporary)?;
        Ok(Self::in_new(storage, temporary))
    }

    /// The same for a tree that will replace the one under the public name, if there is one: at no moment
    /// can anybody look into it who cannot look into that.
    ///
    /// # Errors
    /// As [`create`](Self::create).
    pub fn replacing(
        storage: &Arc<dyn FileSystem>,
        temporary: &Path,
        public: &Path,
    ) -> Result<Self> {
        if storage.metadata(public)?.is_none_or(|found| found.kind != EntryKind::Dir) {
            return Self::create(storage, temporary);
        }
        // Private until the commit: the mode of the old one may not even let us fill it.
        storage.create_private_dir(temporary)?;
        Ok(Self::in_new(storage, temporary))
    }

    fn in_new(storage: &Arc<dyn FileSystem>, temporary: &Path) -> Self {
        let tree = storage.sync_tree(temporary).unwrap_or(None);
        Self {
            storage: Arc::clone(storage),
            temporary: temporary.to_path_buf(),
            dirs: Mutex::new(BTreeSet::from([temporary.to_path_buf()])),
            tree,
            is_committed: false,
            home: ForkCheck::new(),
        }
    }

    /// Whether `commit` also syncs the files. If not, the caller syncs each file.
    #[must_use]
    pub fn is_synced_as_a_whole(&self) -> bool {
        self.tree.is_some()
    }

    /// Creates a file at a path relative to this directory, and the directories above it.
    ///
    /// # Errors
    /// When it cannot be created, or when the path leads out of the directory.
    pub fn create_file(&self, relative: &Path) -> Result<Box<dyn FileHandle>> {
        let path = self.place(relative)?;
        self.storage.create_new(&path)
    }

    /// Adds a file that is durable elsewhere to this tree, by a hard link instead of a copy.
    ///
    /// # Errors
    /// When it cannot be linked, or when the path leads out of the directory.
    pub fn link_file(&self, from: &Path, relative: &Path) -> Result<()> {
        let path = self.place(relative)?;
        self.storage.link(from, &path)
    }

    /// The path of a file in this tree; creates its directory.
    fn place(&self, relative: &Path) -> Result<PathBuf> {
        let path = self.temporary.join(relative);
        let is_inside = relative.components().all(|part| matches!(part, Component::Normal(_)));
        if !is_inside || relative.as_os_str().is_empty() {
            let reason = io::Error::new(
                io::ErrorKind::InvalidInput,
                "the path leads out of the staged directory",
            );
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
            // Only this tree knows the temporary name: another thread created it at the same moment.
            Err(error) if error.is_already_exists() => {}
            made => made?,
        }
        self.dirs().insert(dir.to_path_buf());
        Ok(())
    }

    /// While the tree is filled, this lock is held for lookups only, never during a file system operation.
    fn dirs(&self) -> MutexGuard<'_, BTreeSet<PathBuf>> {
        self.dirs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Publishes the tree: syncs it, as a whole or its directories bottom up, gives it the public name in one
    /// step, and syncs that name.
    ///
    /// A tree under the public name is exchanged for this one, which takes over the
    /// [permissions](FileSystem::copy_mode) of its directory. It then has the temporary name and is removed
    /// when the returned [`ReplacedDir`] is dropped: removing a large tree takes as long as writing it, so the
    /// caller chooses when.
    ///
    /// Where the file system cannot exchange two names, the old tree is first moved to `tombstone`, an unused
    /// name in the same file system, and removed before this method returns. After a crash between the two
    /// steps there is a tree under `tombstone` and nothing under the public name: the owner of the names moves
    /// it back when it next opens.
    ///
    /// # Errors
    /// If the last sync or the removal fails, the public name already shows the new tree. After any other
    /// error the old tree is where it was, or under `tombstone` if it could not be moved back.
    pub fn commit(mut self, public: &Path, tombstone: &Path) -> Result<Option<ReplacedDir>> {
        self.try_commit(public, tombstone)
    }

    /// Like [`commit`](Self::commit), but an error leaves the tree under its temporary name, unless the
    /// public name already shows it. The caller may then commit it under another name.
    ///
    /// # Errors
    /// As [`commit`](Self::commit); [`Error::is_unsupported`] if the old tree can neither be exchanged nor
    /// renamed, as a directory of a lower layer of overlayfs.
    pub fn try_commit(&mut self, public: &Path, tombstone: &Path) -> Result<Option<ReplacedDir>> {
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
            match self.storage.copy_mode(public, &self.temporary) {
                Err(error) if !error.is_not_found() => return Err(error),
                _ => {}
            }
            // mutant: staged_tree_deletes_then_renames
            match self.storage.exchange(&self.temporary, public) {
                Ok(()) => old = Some(&*self.temporary),
                Err(error) if error.is_unsupported() => {
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
        Ok(Some(ReplacedDir { storage, path, home: ForkCheck::new() }))
    }

    /// Replaces the old tree with this one in two steps.
    fn bury(&self, public: &Path, tombstone: &Path) -> Result<()> {
        // The directory of the tombstone may be new; it must not be lost with the tree in it.
        // mutant: directory_of_the_tombstone_not_synced
        self.storage.sync_dir(parent_of(parent_of(tombstone)))?;
        self.storage.rename(public, tombstone)?;
        // Durable under its new name first, so that it cannot be lost between the two names.
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
        // mutant: staged_tree_removed_in_a_forked_child
        if !self.is_committed && !self.home.is_forked() {
            // Best effort: the owner of the name removes leftovers when it next opens.
            let _ = remove_dir_all(&*self.storage, &self.temporary);
        }
    }
}

impl fmt::Debug for StagedDir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StagedDir").field("temporary", &self.temporary).finish_non_exhaustive()
    }
}

/// A tree that was replaced by [`StagedDir::commit`], now under the temporary name. Dropping it removes it,
/// except in a forked child.
#[must_use = "dropping it removes the tree, which takes time"]
pub struct ReplacedDir {
    storage: Arc<dyn FileSystem>,
    path: PathBuf,
    /// The process that removes it.
    home: ForkCheck,
}

impl Drop for ReplacedDir {
    fn drop(&mut self) {
        // mutant: replaced_tree_removed_in_a_forked_child
        if !self.home.is_forked() {
            // Best effort: the owner of the name removes leftovers when it next opens.
            let _ = remove_dir_all(&*self.storage, &self.path);
        }
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
    use crate::{LocalFs, MemoryFs, read_all};
    use qstore_os::testing::{Fork, in_child};

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
    fn a_path_that_leads_out_is_refused_and_a_file_can_be_linked() {
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
    fn a_tree_that_a_forked_child_drops_stays_with_its_parent() {
        let dir = tempfile::tempdir().unwrap();
        let (tree, tombstone) = (dir.path().join("tree"), dir.path().join(".old"));
        let temporary = dir.path().join(".tree.tmp");
        let storage: Arc<dyn FileSystem> = Arc::new(LocalFs::new());
        for fork in Fork::ALL {
            let mut replaced = None;
            for text in [&b"first"[..], b"second"] {
                let staged = StagedDir::create(&storage, &temporary).unwrap();
                let file = staged.create_file(Path::new("a")).unwrap();
                file.write_at(0, text).unwrap();
                file.sync().unwrap();
                let mut staged = Some(staged);
                in_child(fork, || drop(staged.take())).unwrap();
                assert!(temporary.join("a").exists(), "{fork:?}: the child has removed the tree");
                replaced = staged.unwrap().commit(&tree, &tombstone).unwrap();
                assert_eq!(read_all(&*storage, &tree.join("a")).unwrap(), text);
            }
            let is_held = replaced.is_some(); // where the file system can exchange
            in_child(fork, || drop(replaced.take())).unwrap();
            assert_eq!(temporary.join("a").exists(), is_held, "{fork:?}: the child has removed it");
            drop(replaced);
            assert!(!temporary.exists());
            remove_dir_all(&*storage, &tree).unwrap();
        }
    }

    #[test]
    fn without_a_commit_nothing_is_left() {
        let memory = MemoryFs::new();
        let storage: Arc<dyn FileSystem> = Arc::new(memory.clone());
        drop(stage(&storage, b"text"));
        assert!(memory.list(Path::new("/")).unwrap().is_empty());
    }
}
