//! The last step of a part of a dataset: its file gets the name that it keeps, and is never touched again.
//!
//! The old name disappears and the new one appears in one step, so anyone who lists the directory finds each
//! row once. Nothing is replaced: what has the new name already stays, and what turns out not to be the
//! writer's file gets its name back. Where a file cannot be moved to a free name in one step, the name is
//! looked at and then renamed to: what appears there between the two system calls is replaced.

use crate::error::WriteError;
use crate::publish::disk::Disk;
use crate::publish::ownership::Present;
use qstore_storage::FileSystem;
use std::path::Path;

impl Disk {
    /// Gives the published file the name `name`, in the same directory, and makes that durable. Can be called
    /// again after an error.
    ///
    /// # Errors
    /// [`WriteError::Occupied`] when something else has either name.
    pub(crate) fn seal(&mut self, name: &Path) -> Result<(), WriteError> {
        self.check_process()?;
        if self.names.public != name {
            self.give_last_name(name).map_err(|error| self.place.explain(error))?;
        }
        self.sync_name()
    }

    fn give_last_name(&mut self, name: &Path) -> Result<(), WriteError> {
        self.undo()?;
        // The last version, and that nothing but it has its name, before that name disappears.
        self.sync_name()?;
        self.forget_twin()?;
        // mutant: sealed_without_proof
        let present = self.place.prove(self.published.as_deref())?;
        if present == Present::Nothing {
            return Err(self.place.missing());
        }
        let public = self.names.public.clone();
        self.move_to_free_name(&public, name)?;
        if !self.is_known(name) {
            // Put there between the proof and the move.
            // mutant: foreign_file_sealed
            self.move_to_free_name(name, &public)?;
            return Err(self.place.occupied(self.place.kind_of(&public)));
        }
        self.names.public = name.to_path_buf();
        self.place.renamed(name);
        self.is_durable = false;
        Ok(())
    }

    /// Whether that name leads to the version that was published last, as far as the file system can tell.
    fn is_known(&self, name: &Path) -> bool {
        match (self.storage.stamp(name), self.place.known) {
            (Ok(Some(found)), Some(known)) => found.is_same_file(&known),
            (Ok(None), _) => false,
            _ => true,
        }
    }

    fn move_to_free_name(&self, from: &Path, to: &Path) -> Result<(), WriteError> {
        let storage: &dyn FileSystem = &*self.storage;
        // mutant: sealing_replaces
        let moved = match storage.rename_new(from, to) {
            Err(error) if error.is_unsupported() => match storage.metadata(to)? {
                Some(_) => return Err(self.place.occupied_as(to)),
                None => storage.rename(from, to),
            },
            moved => moved,
        };
        match moved {
            Err(error) if error.is_already_exists() => Err(self.place.occupied_as(to)),
            moved => Ok(moved?),
        }
    }
}
