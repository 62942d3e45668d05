//! What is proved before each publication: that the writer still has its directory, its lock and its file.
//!
//! All three were its own when the file was opened, and each can be taken away while the writer runs: the
//! directory is removed or renamed and another run takes its name; the lock file is removed by a job that
//! tidies up; a repaired copy, a link or a directory is put under the public name. Nothing is written over
//! what is found then.
//!
//! A directory that was renamed is still the writer's, and so is a file that was removed or only touched: the
//! next version appears where the directory is now.

use crate::error::{Occupant, WriteError};
use crate::format::published::Published;
use crate::format::read_failure::ReadFailure;
use crate::publish::names::Names;
use qstore_storage::{
    EntryKind, Error as StorageError, FileSystem, Lock, Locking, Operation, Stamp, parent_of,
};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The directory as a path in itself.
const HERE: &str = ".";

/// Where the file is, and what the writer knows to be its own there.
pub(crate) struct Place {
    /// Knows all names; only asked for the name of the directory.
    files: Arc<dyn FileSystem>,
    /// The directory that was opened, whatever its name is.
    pub(crate) dir: Arc<dyn FileSystem>,
    pub(crate) names: Names,
    /// The file, under the name that its directory had last.
    pub(crate) path: PathBuf,
    /// The directory; unknown where the file system cannot tell.
    identity: Option<Stamp>,
    /// Keeps other writers out; released last. `None` once it was given back.
    lock: Option<Box<dyn Lock>>,
    locking: Locking,
    /// What the writer left under the public name; `None` if it left nothing there.
    pub(crate) known: Option<Stamp>,
}

/// What is under the public name now, if it is not something else's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Present {
    /// The version that was published last.
    Ours,
    /// Nothing.
    Nothing,
    /// The file system cannot tell files apart.
    Unknown,
}

impl Place {
    pub(crate) fn new(
        files: Arc<dyn FileSystem>,
        dir: Arc<dyn FileSystem>,
        names: Names,
        lock: Box<dyn Lock>,
        locking: Locking,
    ) -> Self {
        let identity = dir.stamp(Path::new(HERE)).ok().flatten();
        let path = names.path.clone();
        Self { files, dir, names, path, identity, lock: Some(lock), locking, known: None }
    }

    /// Proves everything.
    ///
    /// # Errors
    /// [`WriteError::DirectoryRemoved`] and [`WriteError::Occupied`]; another one if it cannot be proved.
    pub(crate) fn prove(&mut self, published: Option<&Published>) -> Result<Present, WriteError> {
        self.prove_dir()?;
        self.prove_lock()?;
        self.prove_file(published)
    }

    /// Proves that the directory still exists, and finds out where.
    pub(crate) fn prove_dir(&mut self) -> Result<(), WriteError> {
        let Some(identity) = self.identity else { return Ok(()) };
        let stamp = |dir: &Path| self.files.stamp(dir).ok().flatten();
        let named = stamp(parent_of(&self.path));
        if named.is_some_and(|named| named.is_same_file(&identity)) {
            return Ok(());
        }
        let here = Path::new(HERE);
        if let Ok(dir) = self.dir.resolve(here) {
            // Without an open directory this is its old name, and another directory has it.
            if !stamp(&dir).is_some_and(|found| found.is_same_file(&identity)) {
                return Err(self.removed());
            }
            self.path = dir.join(&self.names.public);
            return Ok(());
        }
        // Not every system tells its name. If it was removed, the next operation in it fails.
        match self.dir.stamp(here)? {
            Some(found) if found.names() > 0 => Ok(()),
            _ => Err(self.removed()),
        }
    }

    /// The reason behind a failure in the directory, if that is that the directory was removed.
    pub(crate) fn explain(&self, error: WriteError) -> WriteError {
        let WriteError::Storage(reason) = &error else { return error };
        let is_gone = || self.dir.resolve(Path::new(HERE)).is_err_and(|error| error.is_not_found());
        if reason.is_not_found() && self.identity.is_some() && is_gone() {
            return self.removed();
        }
        error
    }

    fn removed(&self) -> WriteError {
        let is_replaced = matches!(self.files.stamp(parent_of(&self.path)), Ok(Some(_)));
        WriteError::DirectoryRemoved { path: self.path.clone(), is_replaced, waiting: 0 }
    }

    /// Proves that no other writer can have the lock. A lock whose file was removed is taken again.
    fn prove_lock(&mut self) -> Result<(), WriteError> {
        // mutant: lost_lock_not_noticed
        if self.lock.as_ref().map_or(Ok(false), |lock| lock.is_named())? {
            return Ok(());
        }
        self.lock = self.locking.try_lock(&*self.dir, &self.names.lock)?;
        if self.lock.is_some() { Ok(()) } else { Err(self.occupied(Occupant::Writer)) }
    }

    /// Lets other writers in.
    pub(crate) fn release(&mut self) {
        self.lock = None;
    }

    /// Proves that the public name leads to what the writer left there, or to nothing.
    pub(crate) fn prove_file(
        &mut self,
        published: Option<&Published>,
    ) -> Result<Present, WriteError> {
        let found = match self.dir.stamp(&self.names.public) {
            Err(error) if error.is_unsupported() => return Ok(Present::Unknown),
            found => found?,
        };
        let Some(found) = found else { return Ok(Present::Nothing) };
        match self.known.filter(|known| found.is_same_file(known)) {
            // mutant: public_name_not_proved
            Some(known) if found.is_unchanged_since(&known) => return Ok(Present::Ours),
            Some(_) => {}
            None => return Err(self.occupied(self.occupant())),
        }
        // Its time has changed. It may only have been touched, as jobs do that keep files from a clean-up.
        let is_intact = match published.map(Published::is_intact) {
            Some(Err(ReadFailure::Storage(error))) => return Err(error.into()),
            Some(Ok(is_intact)) => is_intact,
            Some(Err(ReadFailure::Damaged(_) | ReadFailure::Unsupported(_))) => false,
            None => found.is_empty(),
        };
        if !is_intact {
            return Err(self.occupied(Occupant::Changed));
        }
        self.known = Some(found);
        Ok(Present::Ours)
    }

    /// What has the public name, if it is not the writer's.
    fn occupant(&self) -> Occupant {
        self.kind_of(&self.names.public)
    }

    /// What kind of thing has that name.
    pub(crate) fn kind_of(&self, name: &Path) -> Occupant {
        match self.dir.metadata(name).ok().flatten().map(|found| found.kind) {
            Some(EntryKind::Dir) => Occupant::Dir,
            Some(EntryKind::Other) => Occupant::Special,
            // It is named for what it was, if it has gone since.
            Some(EntryKind::File) | None => Occupant::File,
        }
    }

    /// Something has that name in the directory.
    pub(crate) fn occupied_as(&self, name: &Path) -> WriteError {
        let path = self.path.with_file_name(name);
        WriteError::Occupied { path, found: self.kind_of(name), waiting: 0 }
    }

    /// Nothing has the public name.
    pub(crate) fn missing(&self) -> WriteError {
        let reason = std::io::ErrorKind::NotFound.into();
        StorageError::new(Operation::RenameNew, &self.path, reason).into()
    }

    /// Records that the file has another name now.
    pub(crate) fn renamed(&mut self, name: &Path) {
        self.path.set_file_name(name);
        self.names.public = name.to_path_buf();
    }

    pub(crate) fn occupied(&self, found: Occupant) -> WriteError {
        WriteError::Occupied { path: self.path.clone(), found, waiting: 0 }
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Place").field("path", &self.path).finish_non_exhaustive()
    }
}
