//! The lock that the writer of a file holds. A file that is replaced has no writer at work, and none begins
//! meanwhile.

use crate::failure::Failure;
use qstore_storage::{FileSystem, LocalFs, Lock, parent_of};
use std::path::Path;

/// Takes the lock of a file that is to be replaced; `None` where there is nothing to replace, or no locks.
///
/// # Errors
/// [`Failure::Busy`] if a writer has the file open.
pub(crate) fn hold(path: &Path, is_forced: bool) -> Result<Option<Box<dyn Lock>>, Failure> {
    let Some(name) = path.file_name().filter(|_| is_forced && path.exists()) else {
        return Ok(None);
    };
    let mut hidden = std::ffi::OsString::from(".");
    hidden.push(name);
    hidden.push(".lock");
    match LocalFs::new().try_lock(&parent_of(path).join(hidden)) {
        Ok(Some(lock)) => Ok(Some(lock)),
        Ok(None) => Err(Failure::Busy { path: path.to_path_buf() }),
        Err(error) if error.is_unsupported() => Ok(None),
        Err(error) => Err(error.into()),
    }
}
