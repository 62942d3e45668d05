//! Files: written under a temporary name, synced, and renamed to their final name.
//!
//! A checkpoint replaces nothing but a checkpoint, and nothing but the checkpoint that is due is removed. What
//! has the name is identified; then the name is taken away from it, and it is compared with what was identified.
//! If it is something else, it gets its name back.

use super::directory::Directory;
use super::identity::{Found, give_back, identify};
use super::source::LocalSource;
use super::staging::{StagingLock, reserve, retired_name};
use crate::repository::{
    Created, FileDraft, FileSource, Identify, Leftovers, RepositoryError, Result,
};
use qstore_storage::{EntryKind, FileSystem, StagedFile, create_dir_all, parent_of, read_up_to};
use std::path::{Path, PathBuf};

/// The longest document that is read, in bytes. Documents of Q-Store have some hundred.
const DOCUMENT_MAX: u64 = 1 << 26;

/// Begins a file.
pub(super) fn begin(directory: &Directory, name: &str) -> Result<Box<dyn FileDraft>> {
    let public = Directory::path_of(name);
    if name.contains('/') {
        create_dir_all(&*directory.fs, parent_of(&public))?;
    }
    let (lock, (staged, temporary)) = reserve(directory, |temporary| {
        let staged = StagedFile::replacing(&directory.fs, temporary, &public)?;
        Ok((staged, temporary.to_path_buf()))
    })?;
    let (directory, name) = (directory.clone(), name.into());
    Ok(Box::new(LocalFile { staged, lock, temporary, directory, public, name }))
}

/// Fields are dropped in this order: the lock outlives the file it protects.
#[derive(Debug)]
struct LocalFile {
    staged: StagedFile,
    lock: StagingLock,
    temporary: PathBuf,
    directory: Directory,
    public: PathBuf,
    name: String,
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

    fn commit_over(self: Box<Self>, is_ours: Identify<'_>) -> Result<Leftovers> {
        // Dropped from the back: the lock outlives the file it protects.
        let Self { lock: _lock, temporary, directory, public, name, mut staged } = *self;
        let fs = &*directory.fs;
        let foreign = || RepositoryError::Foreign { location: directory.shown(&public) };
        refuse_foreign(&directory, &public)?;
        let mut leftovers = Leftovers::none();
        let found = identify(&directory, &public, &name, is_ours)?;
        // mutant: checkpoint_replaces_whatever_is_there
        if let Found::Foreign(_) = found {
            return Err(foreign());
        }
        if let Found::Ours(known) | Found::Foreign(known) = found {
            staged.move_to(&retired_name(&temporary, &name))?;
            let exchanged = staged.exchange(&public, |retired| {
                hold(&directory, retired, &mut leftovers);
                known.is_still(fs, retired)
            });
            match exchanged {
                Ok(true) => return Ok(leftovers),
                Ok(false) => return Err(foreign()),
                // It was removed in the meantime.
                Err(error) if error.is_not_found() => {}
                Err(error) if error.is_unsupported() => {
                    hold(&directory, &public, &mut leftovers);
                    // Directly before the name is changed, once more.
                    if !known.is_still(fs, &public)? {
                        return Err(foreign());
                    }
                    drop(staged.commit(&public)?);
                    return Ok(leftovers);
                }
                Err(error) => return Err(error.into()),
            }
        }
        match staged.link_to(&public) {
            Ok(()) => {}
            Err(error) if error.is_already_exists() => return Err(foreign()),
            Err(error) if error.is_unsupported() => {
                if fs.metadata(&public)?.is_some() {
                    return Err(foreign());
                }
                drop(staged.commit(&public)?);
            }
            Err(error) => return Err(error.into()),
        }
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

/// Removes a file if it is the one that is due. A missing file is not an error.
pub(super) fn remove_if(
    directory: &Directory,
    name: &str,
    is_due: Identify<'_>,
    leftovers: &mut Leftovers,
) -> Result<()> {
    let (fs, path) = (&*directory.fs, Directory::path_of(name));
    let replaced = || RepositoryError::Replaced { location: directory.shown(&path) };
    // mutant: removed_by_name
    let known = match identify(directory, &path, name, is_due)? {
        Found::Nothing => return Ok(()),
        Found::Ours(known) => known,
        Found::Foreign(_) => return Err(replaced()),
    };
    let renamed = reserve(directory, |temporary| {
        let retired = retired_name(temporary, name);
        fs.rename(&path, &retired).map(|()| retired)
    });
    let (_lock, retired) = match renamed {
        Ok(renamed) => renamed,
        Err(error) if error.is_not_found() => return Ok(()), // another writer was faster
        // On a full disk there may be no room for a temporary name.
        Err(_) if known.is_still(fs, &path)? => return remove(directory, &path, leftovers),
        Err(error) => return Err(error),
    };
    // mutant: removed_file_not_compared
    if known.is_still(fs, &retired)? {
        return remove(directory, &retired, leftovers);
    }
    give_back(directory, &retired, name)?;
    Err(replaced())
}

/// Writes a document if there is none with this name. It is linked to its name, which fails if the name
/// exists. On a file system without hard links it is renamed after a check; there, two writers that do not
/// exclude each other may both believe that they created the document.
pub(super) fn create(directory: &Directory, name: &str, bytes: &[u8]) -> Result<Created> {
    let (fs, public) = (&directory.fs, Directory::path_of(name));
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
    let path = Directory::path_of(name);
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
