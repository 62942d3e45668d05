//! A directory of the local file system as a repository.
//!
//! Foreign files in the directory are listed but never touched: which names are checkpoints is decided
//! one layer above. Reading takes no lock; writers exclude each other by `flock` on `.qstore.lock`, held
//! only during a commit or a removal.
//!
//! The two layouts are two kinds of draft: [`files`] publishes with one rename, [`trees`] with one
//! exchange of names, or [`in_place`] where a directory cannot be renamed.

mod directory;
mod files;
mod identity;
mod in_place;
mod retired;
mod source;
mod staging;
mod trees;
mod unsynced;

use crate::error::OpenError;
use crate::repository::{
    Created, Exclusion, FileDraft, FileSource, Identify, Leftovers, Listed, Repository,
    RepositoryError, Result, Source, TreeDraft, TreeSource,
};
use directory::{Directory, LOCK};
use qstore_storage::{EntryKind, FileSystem, Locking, create_dir_all};
use std::path::Path;
use std::sync::Arc;
use trees::Discarded;

/// Checkpoints in a directory of a [`FileSystem`].
///
/// Any number of repositories, in one process or in several, may share a directory. Clones share the open
/// directory.
///
/// A repository belongs to the directory that it opened, not to its name. If the directory is renamed, the
/// repository goes on in it; whatever has the old name by then is not touched. If it is removed, saving fails
/// with [`RepositoryError::DirectoryRemoved`](crate::repository::RepositoryError::DirectoryRemoved).
///
/// ```
/// use qstore_checkpoint::LocalRepository;
/// use qstore_checkpoint::repository::Repository;
/// use qstore_storage::MemoryFs;
/// use std::sync::Arc;
///
/// let fs = MemoryFs::new();
/// let repository = LocalRepository::open_in(Arc::new(fs.clone()), "/checkpoints")?;
/// let mut draft = repository.begin_file("epoch_0042.zarr.zip")?;
/// draft.append(b"all of it")?;
/// drop(draft.commit()?);
///
/// let after = LocalRepository::open_read_only_in(Arc::new(fs.power_cut()), "/checkpoints")?;
/// assert_eq!(after.list("")?[0].name, "epoch_0042.zarr.zip");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct LocalRepository {
    directory: Directory,
}

impl LocalRepository {
    /// Opens a directory for reading and writing, creating it if it does not exist.
    ///
    /// # Errors
    /// [`OpenError::NotADirectory`]; [`OpenError::Repository`] if it cannot be created or written to.
    pub fn open_in(fs: Arc<dyn FileSystem>, dir: impl AsRef<Path>) -> Result<Self, OpenError> {
        Self::open_with_locking(fs, dir, Locking::Required)
    }

    /// The same, with a choice for file systems without locks.
    ///
    /// # Errors
    /// As [`open_in`](Self::open_in).
    pub fn open_with_locking(
        fs: Arc<dyn FileSystem>,
        dir: impl AsRef<Path>,
        locking: Locking,
    ) -> Result<Self, OpenError> {
        create_dir_all(&*fs, dir.as_ref())?;
        let opened = Self::open_read_only_in(fs, dir)?.with_locking(locking);
        // Another holder of the lock has just proved that the directory can be written to.
        drop(opened.directory.try_lock(&Directory::path_of(LOCK))?);
        Ok(opened)
    }

    /// The same directory, with a choice for file systems without locks.
    #[must_use]
    pub fn with_locking(mut self, locking: Locking) -> Self {
        self.directory.locking = locking;
        self
    }

    /// Opens an existing directory. Opening writes nothing.
    ///
    /// # Errors
    /// [`OpenError::NotADirectory`]; [`OpenError::Repository`] if it does not exist.
    pub fn open_read_only_in(
        fs: Arc<dyn FileSystem>,
        dir: impl AsRef<Path>,
    ) -> Result<Self, OpenError> {
        let dir = dir.as_ref();
        // A link to a directory is as good as the directory.
        let root = fs.resolve(dir)?;
        if fs.metadata(&root)?.is_none_or(|found| found.kind != EntryKind::Dir) {
            return Err(OpenError::NotADirectory { location: dir.display().to_string() });
        }
        // Made absolute here, because the process may change its working directory.
        Ok(Self { directory: Directory::open(fs, root)? })
    }

    /// Opens a file or a directory by its path, whatever its name and wherever it is: a checkpoint that
    /// was copied out of its repository. Links are followed, and nothing is written.
    ///
    /// # Errors
    /// [`is_not_found`](crate::repository::RepositoryError::is_not_found) if it does not exist;
    /// [`RepositoryError::Unsupported`](crate::repository::RepositoryError::Unsupported) if it is neither.
    pub fn open_path(fs: Arc<dyn FileSystem>, path: impl AsRef<Path>) -> Result<Source> {
        // Made absolute here, because the process may change its working directory.
        let path = fs.resolve(path.as_ref())?;
        match fs.metadata(&path)?.map(|found| found.kind) {
            Some(EntryKind::Dir) => Ok(Source::Tree(trees::open_path(fs, path))),
            Some(EntryKind::Other) => {
                Err(RepositoryError::Unsupported { what: "devices or pipes" })
            }
            // A missing file has the better error.
            Some(EntryKind::File) | None => Ok(Source::File(files::open_path(&*fs, &path)?)),
        }
    }

    /// The directory, as an absolute path: the name under which it was opened.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.directory.root
    }

    /// The file system of the directory.
    #[must_use]
    pub fn file_system(&self) -> &Arc<dyn FileSystem> {
        &self.directory.files
    }
}

impl LocalRepository {
    /// Takes away one name. The caller makes that durable.
    fn take_away(
        &self,
        name: &str,
        is_due: Option<Identify<'_>>,
        discarded: &mut Vec<Discarded>,
        leftovers: &mut Leftovers,
    ) -> Result<()> {
        let (path, aside) = (Directory::path_of(name), Directory::tombstone_of(name));
        // Whatever was moved aside first: it would be found again without the other one.
        discarded.extend(trees::discard(&self.directory, &aside)?);
        match self.directory.fs.metadata(&path)?.map(|found| found.kind) {
            Some(EntryKind::Dir) => discarded.extend(match is_due {
                Some(is_due) => trees::discard_due(&self.directory, name, is_due)?,
                None => trees::discard(&self.directory, &path)?,
            }),
            Some(_) => match is_due {
                Some(is_due) => files::remove_if(&self.directory, name, is_due, leftovers)?,
                None => files::remove(&self.directory, &path, leftovers)?,
            },
            None => {}
        }
        Ok(())
    }

    fn remove_all(&self, names: &[String], is_due: Option<Identify<'_>>) -> Result<Leftovers> {
        let mut leftovers = Leftovers::none();
        if names.is_empty() {
            return Ok(leftovers);
        }
        let (mut discarded, mut failure) = (Vec::new(), None);
        for name in names {
            // One that cannot be removed does not keep the others.
            if let Err(error) = self.take_away(name, is_due, &mut discarded, &mut leftovers) {
                failure = failure.or(Some(error));
            }
        }
        // mutant: removal_goes_on_before_it_is_durable, removal_goes_on_although_its_sync_failed
        self.directory.sync()?;
        // Only now may a tree be deleted: a name that a power cut brings back must refer to a whole tree.
        for tree in discarded {
            leftovers.hold(tree.delete_on_drop());
        }
        // mutant: removal_goes_on_although_its_sync_failed
        failure.map_or(Ok(leftovers), Err)
    }
}

impl Repository for LocalRepository {
    fn location(&self) -> String {
        self.directory.root.display().to_string()
    }

    fn list(&self, prefix: &str) -> Result<Vec<Listed>> {
        self.directory.list(prefix)
    }

    fn begin_file(&self, name: &str) -> Result<Box<dyn FileDraft>> {
        files::begin(&self.directory, name)
    }

    fn open_file(&self, name: &str) -> Result<Box<dyn FileSource>> {
        files::open(&self.directory, name)
    }

    fn begin_tree(&self, name: &str, writers: usize) -> Result<Box<dyn TreeDraft>> {
        trees::begin(&self.directory, name, writers)
    }

    fn open_tree(&self, name: &str) -> Result<Box<dyn TreeSource>> {
        trees::open(&self.directory, name)
    }

    fn has_trees(&self) -> bool {
        true
    }

    fn create(&self, name: &str, bytes: &[u8]) -> Result<Created> {
        files::create(&self.directory, name, bytes)
    }

    fn remove(&self, names: &[String]) -> Result<Leftovers> {
        self.remove_all(names, None)
    }

    fn remove_if(&self, names: &[String], is_due: Identify<'_>) -> Result<Leftovers> {
        self.remove_all(names, Some(is_due))
    }

    fn exclude(&self) -> Result<Exclusion> {
        Ok(Exclusion::Held(Box::new(self.directory.lock()?)))
    }

    fn available(&self) -> Result<Option<u64>> {
        self.directory.available()
    }

    fn collect_leftovers(&self, is_ours: Identify<'_>) {
        staging::collect(&self.directory, is_ours);
    }
}
