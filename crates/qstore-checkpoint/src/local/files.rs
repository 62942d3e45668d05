//! Files: written under a temporary name, synced, and renamed to their final name.

use super::directory::Directory;
use super::staging::{StagingLock, reserve};
use crate::repository::{Created, FileDraft, FileSource, Leftovers, RepositoryError, Result};
use qstore_storage::{
    EntryKind, FileHandle, FileSystem, StagedFile, create_dir_all, parent_of, read_up_to,
};
use std::path::{Path, PathBuf};

/// The longest document that is read, in bytes. Documents of Q-Store have some hundred.
const DOCUMENT_MAX: u64 = 1 << 26;

/// Begins a file.
pub(super) fn begin(directory: &Directory, name: &str) -> Result<Box<dyn FileDraft>> {
    let public = directory.path_of(name);
    if name.contains('/') {
        create_dir_all(&*directory.fs, parent_of(&public))?;
    }
    let (lock, staged) =
        reserve(directory, |temporary| StagedFile::replacing(&directory.fs, temporary, &public))?;
    Ok(Box::new(LocalFile { staged, _lock: lock, directory: directory.clone(), public }))
}

/// Fields are dropped in this order: the lock outlives the file it protects.
#[derive(Debug)]
struct LocalFile {
    staged: StagedFile,
    _lock: StagingLock,
    directory: Directory,
    public: PathBuf,
}

impl FileDraft for LocalFile {
    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        Ok(self.staged.append(bytes)?)
    }

    fn len(&self) -> u64 {
        self.staged.len()
    }

    fn commit(self: Box<Self>) -> Result<Leftovers> {
        refuse_foreign(&self.directory, &self.public)?;
        let mut leftovers = Leftovers::none();
        hold(&self.directory, &self.public, &mut leftovers);
        drop(self.staged.commit(&self.public)?);
        Ok(leftovers)
    }
}

/// Refuses a name that belongs to something that is not a file, such as a link: it would be replaced.
fn refuse_foreign(directory: &Directory, public: &Path) -> Result<()> {
    match directory.fs.metadata(public)?.map(|found| found.kind) {
        None | Some(EntryKind::File) => Ok(()),
        Some(_) => Err(RepositoryError::Foreign { location: directory.shown(public) }),
    }
}

/// Holds a file that is about to lose its name open until the leftovers are dropped, because freeing a
/// large file takes time. If it cannot be opened, it is freed immediately.
fn hold(directory: &Directory, path: &Path, leftovers: &mut Leftovers) {
    if let Ok(file) = directory.fs.open(path) {
        leftovers.hold(file);
    }
}

/// Removes a file. A missing file is not an error.
pub(super) fn remove(directory: &Directory, path: &Path, leftovers: &mut Leftovers) -> Result<()> {
    hold(directory, path, leftovers);
    match directory.fs.remove_file(path) {
        Err(error) if !error.is_not_found() => Err(error.into()),
        _ => Ok(()),
    }
}

/// Writes a document if there is none with this name. It is linked to its name, which fails if the name
/// exists. On a file system without hard links it is renamed after a check; there, two writers that do not
/// exclude each other may both believe that they created the document.
pub(super) fn create(directory: &Directory, name: &str, bytes: &[u8]) -> Result<Created> {
    let (fs, public) = (&directory.fs, directory.path_of(name));
    let existing = || match read_up_to(&**fs, &public, DOCUMENT_MAX) {
        Err(error) if error.is_not_found() => Ok(None),
        read => read.map(Some),
    };
    if let Some(found) = existing()? {
        return Ok(Created::Exists(found));
    }
    if name.contains('/') {
        create_dir_all(&**fs, parent_of(&public))?;
    }
    let (_lock, mut staged) = reserve(directory, |temporary| StagedFile::create(fs, temporary))?;
    staged.append(bytes)?;
    match staged.link_to(&public) {
        Ok(()) => Ok(Created::New),
        Err(error) if error.is_already_exists() => match existing()? {
            Some(found) => Ok(Created::Exists(found)),
            None => Err(error.into()), // removed in the meantime
        },
        Err(error) if error.is_unsupported() && fs.metadata(&public)?.is_none() => {
            drop(staged.commit(&public)?);
            Ok(Created::New)
        }
        Err(error) => Err(error.into()),
    }
}

/// Opens a file. A directory or a symbolic link with this name is treated as missing.
pub(super) fn open(directory: &Directory, name: &str) -> Result<Box<dyn FileSource>> {
    let path = directory.path_of(name);
    if directory.fs.metadata(&path)?.is_some_and(|found| found.kind != EntryKind::File) {
        let location = directory.root.display().to_string();
        return Err(RepositoryError::NotFound { name: name.into(), location });
    }
    Ok(Box::new(LocalSource { file: directory.fs.open(&path)? }))
}

/// Opens a file by its path.
pub(super) fn open_path(fs: &dyn FileSystem, path: &Path) -> Result<Box<dyn FileSource>> {
    Ok(Box::new(LocalSource { file: fs.open(path)? }))
}

#[derive(Debug)]
pub(super) struct LocalSource {
    pub(super) file: Box<dyn FileHandle>,
}

impl FileSource for LocalSource {
    fn len(&self) -> Result<u64> {
        Ok(self.file.len()?)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        Ok(self.file.read_at(offset, buffer)?)
    }
}
