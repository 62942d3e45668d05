//! Why bytes of a file cannot be used: they could not be read, they are wrong, or this crate does not know
//! how.
//!
//! The three are kept apart all the way up: a file that could not be read or decoded is not a damaged one,
//! must not be reported as one, and must never be set aside as one.

use crate::error::ReadError;
use parquet::errors::ParquetError;
use std::io::ErrorKind;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

/// A failure in a file whose path the caller knows.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadFailure {
    /// The bytes could not be read.
    #[error(transparent)]
    Storage(qstore_storage::Error),
    /// The bytes were read and are wrong; the text says how.
    #[error("{0}")]
    Damaged(String),
    /// The bytes were read and may be right: this crate cannot decode them, or they are more than it
    /// takes. The text says which.
    #[error("{0}")]
    Unsupported(String),
}

impl ReadFailure {
    pub(crate) fn damaged(reason: impl Into<String>) -> Self {
        Self::Damaged(reason.into())
    }

    pub(crate) fn unsupported(reason: impl Into<String>) -> Self {
        Self::Unsupported(reason.into())
    }

    /// The same failure, with the place that it is about before its reason.
    pub(crate) fn at(self, place: &str) -> Self {
        match self {
            Self::Storage(_) => self,
            Self::Damaged(reason) => Self::Damaged(format!("{place}: {reason}")),
            Self::Unsupported(reason) => Self::Unsupported(format!("{place}: {reason}")),
        }
    }

    /// The same failure for the caller who asked for that file.
    pub(crate) fn of_file(self, path: &Path) -> ReadError {
        match self {
            Self::Storage(error) => ReadError::Storage(error),
            Self::Damaged(reason) => ReadError::Damaged { path: path.to_path_buf(), reason },
            Self::Unsupported(reason) => {
                ReadError::Unsupported { path: path.to_path_buf(), reason }
            }
        }
    }
}

impl From<qstore_storage::Error> for ReadFailure {
    fn from(error: qstore_storage::Error) -> Self {
        // The file was cut off after its length had been read.
        if error.source.kind() == ErrorKind::UnexpectedEof {
            return Self::Damaged("the file ends before its data does".into());
        }
        Self::Storage(error)
    }
}

/// The library gets bytes that are in memory already, so what it reports is about the bytes.
impl From<ParquetError> for ReadFailure {
    fn from(error: ParquetError) -> Self {
        match error {
            ParquetError::NYI(what) => Self::Unsupported(what),
            other => Self::Damaged(other.to_string()),
        }
    }
}

/// Turns a panic of the library, which malformed input can cause, into an error. The panic's message
/// is still printed; where a program aborts on panics, it does so here, too.
pub(crate) fn contain<T, E: From<ReadFailure>>(
    parse: impl FnOnce() -> Result<T, E>,
) -> Result<T, E> {
    catch_unwind(AssertUnwindSafe(parse))
        .unwrap_or_else(|_| Err(ReadFailure::damaged("the Parquet library cannot parse it").into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use qstore_storage::{Error, Operation};

    #[test]
    fn a_failed_disk_is_not_damage_and_a_panic_of_the_library_is() {
        let failed = |kind: ErrorKind| Error::new(Operation::Read, Path::new("/m"), kind.into());
        assert!(matches!(failed(ErrorKind::Other).into(), ReadFailure::Storage(_)));
        assert!(matches!(failed(ErrorKind::UnexpectedEof).into(), ReadFailure::Damaged(_)));
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(|_| {}));
        let contained = contain(|| -> Result<(), ReadFailure> { panic!("as the library does") });
        std::panic::set_hook(hook);
        assert!(matches!(contained, Err(ReadFailure::Damaged(_))));
    }
}
