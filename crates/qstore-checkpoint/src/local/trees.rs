//! Trees: directories that are filled under a temporary name, synced as a whole if the system supports
//! that, and atomically given their final name.
//!
//! If the system cannot sync a whole tree, the files are synced in [batches](Unsynced). A directory that
//! cannot be renamed is replaced and removed [in place](super::in_place). A tree is read by paths, so it
//! can be replaced while it is read. Symbolic links are never followed, and no entry can escape the tree.

use super::directory::Directory;
use super::in_place;
use super::retired::is_vacant;
use super::source::LocalSource;
use super::staging::{StagingLock, reserve};
use super::unsynced::Unsynced;
use crate::repository::{
    FileSource, Identify, Leftovers, RepositoryError, Result, Source, TreeDraft, TreeSource,
};
use crate::seal::MANIFEST;
use qstore_storage::{
    EntryKind, FileSystem, Operation, StagedDir, Stamp, create_dir_all, parent_of, remove_dir_all,
};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Begins a tree.
pub(super) fn begin(
    directory: &Directory,
    name: &str,
    writers: usize,
) -> Result<Box<dyn TreeDraft>> {
    let public = Directory::path_of(name);
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
    let fs = &*directory.fs;
    let is_ours = match fs.metadata(public)? {
        None => true,
        Some(found) if found.kind != EntryKind::Dir => false,
        Some(_) => fs.metadata(&public.join(MANIFEST))?.is_some() || is_vacant(fs, public)?,
    };
    if is_ours {
        return Ok(());
    }
    Err(RepositoryError::Foreign { location: directory.shown(public) })
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
        let Ok(Some(stored)) = in_place::root_of(&self.directory, tree) else { return false };
        self.staged.link_file(&stored.join(entry), Path::new(entry)).is_ok()
    }

    fn commit(self: Box<Self>) -> Result<Leftovers> {
        // Dropped from the back: the lock outlives the tree it protects.
        let Self { lock, name, directory, writers, unsynced, mut staged } = *self;
        // mutant: files_of_a_tree_not_synced
        unsynced.finish(writers)?;
        let public = Directory::path_of(&name);
        refuse_foreign(&directory, &public)?;
        // Another writer may have been killed between two steps of a replacement.
        let _ = in_place::settle(&directory, &name);
        let mut leftovers = Leftovers::none();
        match staged.try_commit(&public, &Directory::tombstone_of(&name)) {
            Ok(replaced) => leftovers.hold(replaced),
            Err(error) if is_fixed(&*directory.fs, &public, &error)? => {
                in_place::replace(&directory, staged, &name)?;
            }
            Err(error) => return Err(error.into()),
        }
        leftovers.hold(lock); // locks the name that the replaced tree now has, so it is dropped last
        Ok(leftovers)
    }
}

/// Whether a commit failed because the directory that it replaces cannot be renamed at all.
fn is_fixed(fs: &dyn FileSystem, public: &Path, error: &qstore_storage::Error) -> Result<bool> {
    let is_renaming = matches!(error.operation, Operation::Rename | Operation::Exchange);
    Ok(is_renaming && error.is_unsupported() && fs.metadata(public)?.is_some())
}

/// A whole tree that has lost its public name.
#[derive(Debug)]
pub(super) struct Discarded {
    fs: Arc<dyn FileSystem>,
    path: PathBuf,
    _lock: StagingLock,
}

/// Takes away the public name atomically, so that readers never see part of a tree. The caller syncs the
/// directory before it lets the tree be deleted. If the directory cannot be renamed, whatever the reason,
/// the tree is removed in place; then there is nothing left to delete.
pub(super) fn discard(directory: &Directory, public: &Path) -> Result<Option<Discarded>> {
    match discard_if(directory, public, |_| Ok(true))? {
        Taken::Tree(tree) => Ok(Some(tree)),
        Taken::Nothing | Taken::GivenBack => Ok(None),
    }
}

/// The same for the tree that is due.
pub(super) fn discard_due(
    directory: &Directory,
    name: &str,
    is_due: Identify<'_>,
) -> Result<Option<Discarded>> {
    let public = Directory::path_of(name);
    let replaced = || RepositoryError::Replaced { location: directory.shown(&public) };
    let source = match open(directory, name) {
        Err(error) if error.is_not_found() => return Ok(None),
        opened => opened?,
    };
    let before = known_stamp(&*directory.fs, &public)?;
    // mutant: tree_removed_by_name
    if !is_due(name, Source::Tree(source))? {
        return Err(replaced());
    }
    let is_still = |path: &Path| -> Result<bool> {
        let now = known_stamp(&*directory.fs, path)?;
        Ok(before.is_none_or(|before| now.is_some_and(|now| now.is_same_file(&before))))
    };
    match discard_if(directory, &public, is_still)? {
        Taken::Tree(tree) => Ok(Some(tree)),
        Taken::Nothing => Ok(None),
        Taken::GivenBack => Err(replaced()),
    }
}

/// What lost its name.
enum Taken {
    Tree(Discarded),
    /// Nothing that has to be deleted.
    Nothing,
    /// Something else, which has its name again.
    GivenBack,
}

/// Takes the name away from a tree.
fn discard_if(
    directory: &Directory,
    public: &Path,
    is_due: impl Fn(&Path) -> Result<bool>,
) -> Result<Taken> {
    let fs = &directory.fs;
    if fs.metadata(public)?.is_none() {
        return Ok(Taken::Nothing);
    }
    let renamed = reserve(directory, |temporary| {
        fs.rename(public, temporary)?;
        Ok(temporary.to_path_buf())
    });
    match renamed {
        Ok((lock, path)) => {
            // mutant: removed_tree_not_compared
            if is_due(&path)? {
                return Ok(Taken::Tree(Discarded { fs: Arc::clone(fs), path, _lock: lock }));
            }
            fs.rename(&path, public)?;
            directory.sync()?;
            Ok(Taken::GivenBack)
        }
        Err(error) if error.is_not_found() => Ok(Taken::Nothing), // another writer was faster
        Err(_) if !is_due(public)? => Ok(Taken::GivenBack),
        Err(error) => match in_place::remove(directory, public) {
            Ok(()) => Ok(Taken::Nothing),
            Err(_) => Err(error), // the first error says more
        },
    }
}

/// The stamp of what has that name; `None` where the file system cannot tell files apart.
fn known_stamp(fs: &dyn FileSystem, path: &Path) -> Result<Option<Stamp>> {
    match fs.stamp(path) {
        Err(error) if error.is_unsupported() => Ok(None),
        stamp => Ok(stamp?),
    }
}

impl Discarded {
    /// The same tree, now deleted on drop.
    pub(super) fn delete_on_drop(self) -> impl Send + 'static {
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
    if let Some(root) = in_place::root_of(directory, name)? {
        let location = directory.shown(&root);
        let (fs, resolved) = (Arc::clone(&directory.fs), directory.fs.resolve(&root)?);
        return Ok(Box::new(LocalTreeSource { fs, root, resolved, location }));
    }
    let location = directory.root.display().to_string();
    Err(RepositoryError::NotFound { name: name.into(), location })
}

/// Opens a tree by its path, in which no component is a link.
pub(super) fn open_path(fs: Arc<dyn FileSystem>, root: PathBuf) -> Box<dyn TreeSource> {
    let location = root.display().to_string();
    Box::new(LocalTreeSource { fs, resolved: root.clone(), root, location })
}

#[derive(Debug)]
struct LocalTreeSource {
    fs: Arc<dyn FileSystem>,
    root: PathBuf,
    /// Where it was when it was opened.
    resolved: PathBuf,
    location: String,
}

impl LocalTreeSource {
    /// Whether the entry is below the tree, and no link leads to it.
    fn is_inside(&self, entry: &str) -> Result<bool> {
        let found = self.fs.resolve(&self.root.join(entry))?;
        // The directory above may have been renamed since the tree was opened.
        Ok(found == self.resolved.join(entry) || found == self.fs.resolve(&self.root)?.join(entry))
    }
}

impl TreeSource for LocalTreeSource {
    fn open(&self, entry: &str) -> Result<Box<dyn FileSource>> {
        let path = self.root.join(entry);
        // A symbolic link in the path could lead out of the tree.
        // mutant: link_in_a_tree_followed
        if !self.is_inside(entry)? {
            return Err(RepositoryError::NotFound {
                name: entry.into(),
                location: self.location.clone(),
            });
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
