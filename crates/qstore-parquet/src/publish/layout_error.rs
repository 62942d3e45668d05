//! Why the next version of the file could not be laid out.

use crate::format::read_failure::ReadFailure;
use parquet::errors::ParquetError;

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
