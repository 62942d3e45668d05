//! What has the name of a checkpoint file: identified before it is replaced or removed, recognized again when it
//! has lost its name, and given its name back if it is somebody else's.

use super::directory::Directory;
use super::source::LocalSource;
use crate::repository::{Identify, RepositoryError, Result, Source};
use qstore_storage::{FileSystem, Stamp, parent_of};
use std::path::Path;

/// A file that was identified.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known {
    /// `None` where the file system cannot tell files apart.
    stamp: Option<Stamp>,
}

impl Known {
    /// Whether what has that name now is that file, as it was.
    pub(super) fn is_still(
        &self,
        fs: &dyn FileSystem,
        path: &Path,
    ) -> qstore_storage::Result<bool> {
        let Some(known) = self.stamp else { return Ok(true) };
        Ok(fs.stamp(path)?.is_some_and(|found| found.is_unchanged_since(&known)))
    }
}

/// What has a name.
#[derive(Debug, Clone, Copy)]
pub(super) enum Found {
    Nothing,
    Ours(Known),
    Foreign(Known),
}

/// Identifies the file at a path.
pub(super) fn identify(
    directory: &Directory,
    path: &Path,
    name: &str,
    is_ours: Identify<'_>,
) -> Result<Found> {
    let file = match directory.fs.open(path) {
        Err(error) if error.is_not_found() => return Ok(Found::Nothing),
        opened => opened?,
    };
    let stamp = match file.stamp() {
        Err(error) if error.is_unsupported() => None,
        stamp => Some(stamp?),
    };
    let is_ours = is_ours(name, Source::File(Box::new(LocalSource { file })))?;
    let known = Known { stamp };
    Ok(if is_ours { Found::Ours(known) } else { Found::Foreign(known) })
}

/// What a killed process has taken a name away from, and not identified.
pub(super) fn settle(directory: &Directory, retired: &Path, name: &str, is_ours: Identify<'_>) {
    // mutant: foreign_leftover_removed
    match identify(directory, retired, name, is_ours) {
        Ok(Found::Ours(_)) => drop(directory.fs.remove_file(retired)),
        Ok(Found::Foreign(_)) => drop(give_back(directory, retired, name)),
        // It is gone, or cannot be read now.
        Ok(Found::Nothing) | Err(_) => {}
    }
}

/// Gives something that is not ours its name back. If that is taken, it gets another one next to it.
pub(super) fn give_back(directory: &Directory, retired: &Path, name: &str) -> Result<()> {
    const ATTEMPTS: usize = 1000;
    let fs = &*directory.fs;
    for attempt in 0..ATTEMPTS {
        let public = match attempt {
            0 => Directory::path_of(name),
            _ => Directory::path_of(&format!("{name}.displaced-{attempt}")),
        };
        match fs.link(retired, &public) {
            Err(error) if error.is_already_exists() => continue,
            Err(error) if error.is_unsupported() => {
                if fs.metadata(&public)?.is_some() {
                    continue;
                }
                fs.rename(retired, &public)?;
                return directory.sync();
            }
            linked => linked?,
        }
        fs.sync_dir(parent_of(&public))?;
        return Ok(fs.remove_file(retired)?);
    }
    Err(RepositoryError::Busy { location: directory.shown(retired) })
}
