//! Why the next version of the file could not be laid out.

use crate::error::WriteError;
use crate::format::read_failure::ReadFailure;
use parquet::errors::ParquetError;
use std::path::Path;

/// Why the next version could not be laid out.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LayoutError {
    /// Stored bytes that it needs could not be read, or are damaged.
    #[error(transparent)]
    Read(#[from] ReadFailure),
    /// The library refused to encode.
    #[error(transparent)]
    Encode(#[from] ParquetError),
}

impl LayoutError {
    /// The error for the version of the file at this path.
    pub(crate) fn at(self, path: &Path) -> WriteError {
        let path = path.to_path_buf();
        match self {
            Self::Read(ReadFailure::Storage(error)) => WriteError::Storage(error),
            Self::Read(ReadFailure::Damaged(reason)) => WriteError::Damaged { path, reason },
            Self::Read(ReadFailure::Unsupported(reason)) => {
                WriteError::Unsupported { path, reason }
            }
            Self::Encode(source) => WriteError::Encode { path, source },
        }
    }
}
