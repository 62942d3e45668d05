//! The names that belong to one metrics file, and the check that its path can be one.
//!
//! They are names in the directory that was opened, which stays the same one whatever its own name is.

use crate::error::OpenError;
use qstore_storage::{EntryKind, FileSystem};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The names that belong to one metrics file, all in one directory.
#[derive(Debug, Clone)]
pub(crate) struct Names {
    /// The path under which the file was opened, with all links followed.
    pub(crate) path: PathBuf,
    /// What readers open.
    pub(crate) public: PathBuf,
    /// The retired inode, and a version being written.
    pub(crate) hidden: PathBuf,
    /// The lock that a writer holds while it is open.
    pub(crate) lock: PathBuf,
}

impl Names {
    /// The names for this path, if it can be a metrics file.
    pub(crate) fn of(storage: &dyn FileSystem, path: &Path) -> Result<Self, OpenError> {
        let bad = |reason| OpenError::BadPath { path: path.to_path_buf(), reason };
        if path.file_name().is_none() {
            return Err(bad("it does not name a file"));
        }
        // Links are followed once, here: publishing renames, which would replace the link.
        let path = storage.resolve(path).map_err(|error| {
            if error.is_not_found() {
                bad("its directory does not exist; create it first")
            } else {
                error.into()
            }
        })?;
        match storage.metadata(&path)?.map(|found| found.kind) {
            None | Some(EntryKind::File) => {}
            Some(EntryKind::Dir) => return Err(bad("it is a directory; name a file in it")),
            Some(EntryKind::Other) => return Err(bad("it is neither a file nor a link to one")),
        }
        let name = path.file_name().ok_or_else(|| bad("it does not name a file"))?;
        let hidden = |suffix: &str| {
            let mut hidden = OsString::from(".");
            hidden.push(name);
            hidden.push(suffix);
            hidden.into()
        };
        Ok(Self { public: name.into(), hidden: hidden(".twin"), lock: hidden(".lock"), path })
    }
}
