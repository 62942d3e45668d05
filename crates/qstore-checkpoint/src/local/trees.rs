//! Trees: directories that are filled under a temporary name, synced as a whole if the system supports
//! that, and atomically given their final name.
//!
//! If the system cannot sync a whole tree, the files are synced in [batches](Unsynced). A tree is read by
//! paths, so it can be replaced while it is read. Symbolic links are never followed, and no entry can
//! escape the tree.

use super::directory::Directory;
use super::files::LocalSource;
use super::staging::{StagingLock, reserve};
use super::unsynced::Unsynced;
use crate::repository::{FileSource, Leftovers, RepositoryError, Result, TreeDraft, TreeSource};
use crate::seal::MANIFEST;
use qstore_storage::{EntryKind, FileSystem, StagedDir, create_dir_all, parent_of, remove_dir_all};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Begins a tree.
pub(super) fn begin(
    directory: &Directory,
    name: &str,
    writers: usize,
) -> Result<Box<dyn TreeDraft>> {
    let public = directory.path_of(name);
    refuse_foreign(directory, &public)?; // before any work, and again before the commit
    if name.contains('/') {
        create_dir_all(&*directory.fs, parent_of(&public))?;
    }
    let (lock, staged) =
        reserve(directory, |temporary| StagedDir::replacing(&directory.fs, temporary, &public))?;
    Ok(Box::new(LocalTree {
        staged,
        lock,
        unsynced: Unsynced::new(writers),
        writers,
        directory: directory.clone(),
        name: name.into(),
    }))
}

/// Refuses a name whose directory was not written by Q-Store and would be replaced.
fn refuse_foreign(directory: &Directory, public: &Path) -> Result<()> {
    match directory.fs.metadata(public)? {
        None => Ok(()),
        Some(found)
            if found.kind == EntryKind::Dir
                && directory.fs.metadata(&public.join(MANIFEST))?.is_some() =>
        {
            Ok(())
        }
        Some(_) => Err(RepositoryError::Foreign { location: public.display().to_string() }),
    }
}

/// Fields are dropped in this order: the lock outlives the tree it protects.
#[derive(Debug)]
struct LocalTree {
    staged: StagedDir,
    lock: StagingLock,
    unsynced: Unsynced,
    writers: usize,
    directory: Directory,
    name: String,
}

impl TreeDraft for LocalTree {
    fn put(&self, entry: &str, pieces: &[&[u8]]) -> Result<()> {
        let file = self.staged.create_file(Path::new(entry))?;
        let mut len = 0;
        for piece in pieces {
            file.write_at(len, piece)?;
            len += piece.len() as u64;
        }
        file.begin_write_out(0, len);
        if self.staged.is_synced_as_a_whole() { Ok(()) } else { self.unsynced.push(file) }
    }

    fn link(&self, entry: &str, tree: &str) -> bool {
        // It is not an error if the other file is gone or has reached its limit of links.
        let stored = self.directory.path_of(tree).join(entry);
        self.staged.link_file(&stored, Path::new(entry)).is_ok()
    }

    fn commit(self: Box<Self>) -> Result<Leftovers> {
        // Dropped from the back: the lock outlives the tree it protects.
        let Self { lock, name, directory, writers, unsynced, staged } = *self;
        // mutant: files_of_a_tree_not_synced
        unsynced.finish(writers)?;
        let public = directory.path_of(&name);
        refuse_foreign(&directory, &public)?;
        let replaced = staged.commit(&public, &directory.tombstone_of(&name))?;
        let mut leftovers = Leftovers::none();
        leftovers.hold(replaced);
        leftovers.hold(lock); // locks the name that the replaced tree now has, so it is dropped last
        Ok(leftovers)
    }
}

/// A whole tree that has lost its public name.
#[derive(Debug)]
pub(super) struct Discarded {
    fs: Arc<dyn FileSystem>,
    path: PathBuf,
    _lock: StagingLock,
}

/// Takes away the public name atomically, so that readers never see part of a tree. The caller syncs the
/// directory before it lets the tree be deleted.
pub(super) fn discard(directory: &Directory, public: &Path) -> Result<Option<Discarded>> {
    let fs = &directory.fs;
    if fs.metadata(public)?.is_none() {
        return Ok(None);
    }
    let renamed = reserve(directory, |temporary| {
        fs.rename(public, temporary)?;
        Ok(temporary.to_path_buf())
    });
    match renamed {
        Ok((lock, path)) => Ok(Some(Discarded { fs: Arc::clone(fs), path, _lock: lock })),
        Err(error) if error.is_not_found() => Ok(None), // another writer was faster
        Err(error) => Err(error),
    }
}

impl Discarded {
    /// The same tree, now deleted on drop.
    pub(super) fn taken_apart_on_drop(self) -> impl Send + 'static {
        RemovedOnDrop(self)
    }
}

/// The fields are dropped after the tree is deleted, so its temporary name stays locked until then.
struct RemovedOnDrop(Discarded);

impl Drop for RemovedOnDrop {
    fn drop(&mut self) {
        // Best effort: the next writer removes what is left.
        let _ = remove_dir_all(&*self.0.fs, &self.0.path);
    }
}

/// Opens a tree, even one that was moved aside.
pub(super) fn open(directory: &Directory, name: &str) -> Result<Box<dyn TreeSource>> {
    let fs = &directory.fs;
    for root in [directory.path_of(name), directory.tombstone_of(name)] {
        if fs.metadata(&root)?.is_some_and(|found| found.kind == EntryKind::Dir) {
            return Ok(Box::new(LocalTreeSource { fs: Arc::clone(fs), root }));
        }
    }
    let location = directory.root.display().to_string();
    Err(RepositoryError::NotFound { name: name.into(), location })
}

#[derive(Debug)]
struct LocalTreeSource {
    fs: Arc<dyn FileSystem>,
    root: PathBuf,
}

impl TreeSource for LocalTreeSource {
    fn open(&self, entry: &str) -> Result<Box<dyn FileSource>> {
        let path = self.root.join(entry);
        // A symbolic link in the path could lead out of the tree.
        // mutant: link_in_a_tree_followed
        if self.fs.resolve(&path)? != path {
            let location = self.root.display().to_string();
            return Err(RepositoryError::NotFound { name: entry.into(), location });
        }
        Ok(Box::new(LocalSource { file: self.fs.open(&path)? }))
    }

    fn entries(&self) -> Result<Vec<String>> {
        let mut found = Vec::new();
        let mut dirs = vec![String::new()];
        while let Some(dir) = dirs.pop() {
            for entry in self.fs.list(&self.root.join(&dir))? {
                let name = format!("{dir}{}", entry.name.to_string_lossy());
                match entry.kind {
                    EntryKind::Dir if entry.name.to_str().is_some() => dirs.push(name + "/"),
                    EntryKind::Dir | EntryKind::File | EntryKind::Other => found.push(name),
                }
            }
        }
        Ok(found)
    }
}
