//! A storage operation that failed: which one, on what, why, and what to do about it.

use std::path::{Path, PathBuf};
use std::{fmt, io};

/// An operation of the seam.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[allow(missing_docs)] // each is the method of the same name
pub enum Operation {
    Create,
    Open,
    Write,
    Read,
    Resize,
    Sync,
    SyncDir,
    CreateDir,
    List,
    Inspect,
    Link,
    Rename,
    Exchange,
    Remove,
    SetMode,
    Lock,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Create => "create",
            Self::Open => "open",
            Self::Write => "write to",
            Self::Read => "read from",
            Self::Resize => "resize",
            Self::Sync => "sync",
            Self::SyncDir => "sync the directory",
            Self::CreateDir => "create the directory",
            Self::List => "list the directory",
            Self::Inspect => "look at",
            Self::Link => "link to",
            Self::Rename => "rename to",
            Self::Exchange => "exchange",
            Self::Remove => "remove",
            Self::SetMode => "set the mode of",
            Self::Lock => "lock",
        })
    }
}

/// What failed, on which path, and the system's reason.
#[derive(Debug, thiserror::Error)]
#[error("could not {operation} {}: {source}{}", path.display(), advice(source))]
pub struct Error {
    /// What was tried.
    pub operation: Operation,
    /// On what.
    pub path: PathBuf,
    /// Why it failed.
    pub source: io::Error,
}

impl Error {
    /// An error of that operation on that path.
    #[must_use]
    pub fn new(operation: Operation, path: &Path, source: io::Error) -> Self {
        Self { operation, path: path.to_path_buf(), source }
    }

    /// Whether there was nothing under that path.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.source.kind() == io::ErrorKind::NotFound
    }

    /// Whether there already was something under that path.
    #[must_use]
    pub fn is_already_exists(&self) -> bool {
        self.source.kind() == io::ErrorKind::AlreadyExists
    }
}

fn advice(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "; free some space, then it goes on by itself"
        }
        io::ErrorKind::PermissionDenied => "; check the owner and the mode of the directory",
        io::ErrorKind::ReadOnlyFilesystem => "; choose a directory that can be written to",
        io::ErrorKind::IsADirectory => "; name a file, not a directory",
        io::ErrorKind::NotADirectory => "; a part of the path is a file",
        _ => "",
    }
}

/// Puts the operation and the path to a system error.
pub(crate) trait Context<T> {
    fn context(self, operation: Operation, path: &Path) -> crate::Result<T>;
}

impl<T> Context<T> for io::Result<T> {
    fn context(self, operation: Operation, path: &Path) -> crate::Result<T> {
        self.map_err(|source| Error::new(operation, path, source))
    }
}
