//! A failed file system operation: what was tried, on which path, why it failed, and what to do.

use crate::cannot::cannot;
pub use crate::operation::Operation;
use rustix::io::Errno;
use std::io;
use std::path::{Path, PathBuf};

/// The result of a file system operation.
pub type Result<T> = std::result::Result<T, Error>;

/// A failed operation: which one, on which path, and the system's reason.
///
/// The text names all three and adds advice where there is some. A caller that must act on the kind of
/// failure asks one of the four questions; [`source`](Self::source) has the rest.
///
/// ```
/// use qstore_storage::{FileSystem, MemoryFs};
/// use std::path::Path;
///
/// let error = MemoryFs::new().open(Path::new("/metrics.parquet")).unwrap_err();
/// assert!(error.is_not_found());
/// assert_eq!(error.to_string(), "could not open /metrics.parquet: entity not found");
/// ```
#[derive(Debug, thiserror::Error)]
#[error("could not {operation} {}: {source}{}", path.display(), advice(*operation, source))]
pub struct Error {
    /// What was tried.
    pub operation: Operation,
    /// The path it was tried on; of two paths, the one that would have changed its meaning.
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

    /// Whether nothing exists under that path.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.source.kind() == io::ErrorKind::NotFound
    }

    /// Whether something already exists under that path.
    #[must_use]
    pub fn is_already_exists(&self) -> bool {
        self.source.kind() == io::ErrorKind::AlreadyExists
    }

    /// Whether this process or this machine has run out of something that has nothing to do with the
    /// file: memory or file descriptors. The file may be fine, so it must not be reported as damaged;
    /// the same call can succeed later.
    ///
    /// A full disk is not meant: that is about the file system, and its kind is `StorageFull`.
    ///
    /// ```
    /// use qstore_storage::{Error, Operation};
    /// use std::{io, path::Path};
    ///
    /// let too_many_open_files = io::Error::from_raw_os_error(24);
    /// let error = Error::new(Operation::Open, Path::new("/epoch_7"), too_many_open_files);
    /// assert!(error.is_exhausted() && !error.is_not_found());
    /// ```
    #[must_use]
    pub fn is_exhausted(&self) -> bool {
        self.source.kind() == io::ErrorKind::OutOfMemory
            || matches!(self.errno(), Some(Errno::NOMEM | Errno::MFILE | Errno::NFILE))
    }

    /// Whether the system cannot do this at all, so that the caller should do without. Systems report it
    /// in several ways, all of which are recognized here and nowhere else:
    ///
    /// | operation | reported as |
    /// |---|---|
    /// | any | `Unsupported`, `ENOSYS`, `EOPNOTSUPP`, `ENOTSUP` |
    /// | exchange | also `EINVAL` (the flag is unknown to the file system), `EXDEV`, `EPERM` (a sandbox), `ENOTTY` |
    /// | rename | also `EXDEV` (the names belong to different file systems or layers) |
    /// | link | also `EXDEV`, `EPERM` (no hard links, as on FAT), `EMLINK` (no further link), `EINVAL`, `ENOTTY` |
    /// | sync directory | also `EINVAL`, `EBADF`, `EISDIR`, `ENOTTY` |
    /// | lock | also `ENOLCK`, `EINVAL`, `EBADF`, `EPERM`, `ENOTTY` |
    /// | claim | also the same and `EACCES` |
    /// | set the mode | also `EPERM`, `EINVAL` (an owner or a group that we may not give), `ENOTTY` |
    #[must_use]
    pub fn is_unsupported(&self) -> bool {
        cannot(self.operation, &self.source)
    }

    fn errno(&self) -> Option<Errno> {
        Errno::from_io_error(&self.source)
    }
}

fn advice(operation: Operation, source: &io::Error) -> &'static str {
    if operation == Operation::Lock && cannot(operation, source) {
        return "; the file system has no locks: mount it with them (Lustre: `-o flock`), choose another \
                directory, or set `locking` to `Locking::IfSupported` and let only one process write";
    }
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "; free some space, and writing resumes by itself"
        }
        io::ErrorKind::PermissionDenied => "; check the owner and the mode of the directory",
        io::ErrorKind::ReadOnlyFilesystem => "; choose a directory that can be written to",
        io::ErrorKind::IsADirectory => "; name a file, not a directory",
        io::ErrorKind::NotADirectory => "; a part of the path is a file",
        _ => match Errno::from_io_error(source) {
            Some(Errno::MFILE) => "; raise the limit of open files (`ulimit -n`)",
            _ => "",
        },
    }
}

/// Adds the operation and the path to a system error.
pub(crate) trait Context<T> {
    fn context(self, operation: Operation, path: &Path) -> Result<T>;
}

impl<T> Context<T> for io::Result<T> {
    fn context(self, operation: Operation, path: &Path) -> Result<T> {
        self.map_err(|source| Error::new(operation, path, source))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(operation: Operation, errno: Errno) -> Error {
        Error::new(operation, Path::new("/file"), errno.into())
    }

    #[test]
    fn an_exhausted_process_is_distinguished_from_a_bad_file() {
        for errno in [Errno::NOMEM, Errno::MFILE, Errno::NFILE] {
            assert!(failed(Operation::Open, errno).is_exhausted(), "{errno}");
        }
        let out_of_memory = io::ErrorKind::OutOfMemory.into();
        assert!(Error::new(Operation::Read, Path::new("/file"), out_of_memory).is_exhausted());
        for errno in [Errno::IO, Errno::NOSPC, Errno::NOENT, Errno::ACCESS] {
            assert!(!failed(Operation::Open, errno).is_exhausted(), "{errno}");
        }
    }

    #[test]
    fn a_missing_lock_comes_with_an_advice_and_a_failed_one_does_not() {
        for errno in [Errno::NOSYS, Errno::NOLCK, Errno::OPNOTSUPP, Errno::BADF, Errno::INVAL] {
            let text = failed(Operation::Lock, errno).to_string();
            assert!(text.contains("Locking::IfSupported") && text.contains("flock"), "{text}");
        }
        assert!(!failed(Operation::Lock, Errno::IO).to_string().contains("Locking"));
        assert!(!failed(Operation::Create, Errno::INVAL).to_string().contains("Locking"));
    }
}
