//! A tree of files that gets its public name only when it is complete and durable.

use crate::{Result, Storage, StorageFile, create_dir_all, parent_of, remove_dir_all};
use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A directory under a temporary name, filled and then [committed](Self::commit).
///
/// Files in it are synced by whoever writes them; the directories are synced by the commit. Dropped
/// without a commit, it removes itself; after a kill the temporary name is left over.
pub struct StagedDir {
    storage: Arc<dyn Storage>,
    temporary: PathBuf,
    /// Every directory below and including the temporary one; a deeper one sorts after its parent.
    dirs: BTreeSet<PathBuf>,
    is_committed: bool,
}

impl StagedDir {
    /// An empty directory under a temporary name in the same file system as its public name.
    ///
    /// # Errors
    /// When the directory cannot be created, above all because the name is taken.
    pub fn create(storage: &Arc<dyn Storage>, temporary: &Path) -> Result<Self> {
        storage.create_dir(temporary)?;
        Ok(Self {
            storage: Arc::clone(storage),
            temporary: temporary.to_path_buf(),
            dirs: BTreeSet::from([temporary.to_path_buf()]),
            is_committed: false,
        })
    }

    /// Creates a file, and the directories above it, at a path relative to this directory. Sync it
    /// before the commit.
    ///
    /// # Errors
    /// When it cannot be created.
    pub fn create_file(&mut self, relative: &Path) -> Result<Box<dyn StorageFile>> {
        let path = self.temporary.join(relative);
        let mut dir = parent_of(&path);
        if !self.dirs.contains(dir) {
            create_dir_all(&*self.storage, dir)?;
            while self.dirs.insert(dir.to_path_buf()) {
                dir = parent_of(dir);
            }
        }
        self.storage.create_new(&path)
    }

    /// Publishes the tree: its directories are synced from the bottom up, it takes the public name
    /// in one step, then that name is synced. A tree that was there is exchanged for this one and
    /// removed afterwards.
    ///
    /// # Errors
    /// When the last sync or the removal fails, the public name already shows the new tree. After
    /// any other error it is as it was.
    pub fn commit(mut self, public: &Path) -> Result<()> {
        for dir in self.dirs.iter().rev() {
            self.storage.sync_dir(dir)?;
        }
        let replaces = self.storage.metadata(public)?.is_some();
        if replaces {
            self.storage.exchange(&self.temporary, public)?;
        } else {
            self.storage.rename(&self.temporary, public)?;
        }
        self.is_committed = true;
        self.storage.sync_dir(parent_of(public))?;
        if replaces {
            self.storage.sync_dir(parent_of(&self.temporary))?;
            remove_dir_all(&*self.storage, &self.temporary)?;
        }
        Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{MemoryStorage, read_all};

    fn stage(storage: &Arc<dyn Storage>, text: &[u8]) -> StagedDir {
        let mut staged = StagedDir::create(storage, Path::new("/.tree.tmp")).unwrap();
        for name in ["a/b/c", "a/d", "e"] {
            let file = staged.create_file(Path::new(name)).unwrap();
            file.write_at(0, text).unwrap();
            file.sync().unwrap();
        }
        staged
    }

    #[test]
    fn a_committed_tree_survives_a_power_cut_and_replaces_an_older_one() {
        let memory = MemoryStorage::new();
        let storage: Arc<dyn Storage> = Arc::new(memory.clone());
        for text in [&b"first"[..], b"second"] {
            stage(&storage, text).commit(Path::new("/tree")).unwrap();
            let cut = memory.power_cut();
            for name in ["/tree/a/b/c", "/tree/a/d", "/tree/e"] {
                assert_eq!(read_all(&cut, Path::new(name)).unwrap(), text, "{name}");
            }
        }
        assert_eq!(memory.list(Path::new("/")).unwrap().len(), 1);
    }

    #[test]
    fn without_a_commit_nothing_is_left() {
        let memory = MemoryStorage::new();
        let storage: Arc<dyn Storage> = Arc::new(memory.clone());
        drop(stage(&storage, b"text"));
        assert!(memory.list(Path::new("/")).unwrap().is_empty());
    }
}
