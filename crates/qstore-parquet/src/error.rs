//! What can go wrong with a metrics file: which file, what, and what to do about it.

use qstore_buffer::DrainError;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Everything this crate refuses or fails at.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A setting that makes no sense.
    #[error("{setting} is {value}: {advice}")]
    Setting {
        /// Its name.
        setting: &'static str,
        /// What it was set to.
        value: String,
        /// What it may be.
        advice: &'static str,
    },
    /// A codec nobody knows.
    #[error(
        "`{name}` is no compression; choose gzip, zstd, lz4, snappy or none, with a level as in `zstd:3`"
    )]
    UnknownCompression {
        /// What was asked for.
        name: String,
    },
    /// The path cannot be a metrics file.
    #[error("{} cannot be a metrics file: {reason}", path.display())]
    BadPath {
        /// The path.
        path: PathBuf,
        /// Why not, and what to do.
        reason: &'static str,
    },
    /// Another writer has the file open.
    #[error("{} is being written by another writer; stop that one or choose another path", path.display())]
    AlreadyOpen {
        /// The file.
        path: PathBuf,
    },
    /// The file exists but is not a whole Parquet file.
    #[error("{} exists but is no Parquet file: {reason}; it was left as it is, move it away or choose another path", path.display())]
    NotParquet {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A file that is read is damaged.
    #[error("{} is damaged: {reason}; what is not damaged can still be read", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What and where.
        reason: String,
    },
    /// A column was asked for that the file has not.
    #[error("{} has no column `{name}`; names are kept exactly, capitals included", path.display())]
    UnknownColumn {
        /// The file.
        path: PathBuf,
        /// What was asked for.
        name: String,
    },
    /// The file exists but its columns do not go with these rows.
    #[error("{} holds other columns: {reason}; it was left as it is, choose another path", path.display())]
    SchemaConflict {
        /// The file.
        path: PathBuf,
        /// Which column, and how it differs.
        reason: String,
    },
    /// A chunk of columns that cannot become rows.
    #[error("column `{column}` of the chunk cannot be taken: {reason}")]
    Chunk {
        /// Which column.
        column: String,
        /// Why not, and what to do.
        reason: String,
    },
    /// A row type that cannot be a file.
    #[error("the row type cannot be stored: {0}")]
    Schema(#[from] qstore_schema::Error),
    /// The file system refused.
    #[error(transparent)]
    Storage(#[from] qstore_storage::Error),
    /// The Parquet library refused; a bug, here or there.
    #[error("{} could not be encoded or decoded: {source}", path.display())]
    Codec {
        /// The file.
        path: PathBuf,
        /// What it said.
        source: parquet::errors::ParquetError,
    },
    /// An error of the background thread, which several callers may be told of.
    #[error("{0}")]
    Background(Arc<Error>),
    /// The background thread panicked; the buffer is closed and what was in it is lost. What was
    /// flushed is in the file.
    #[error("the background writer panicked: {message}")]
    Panicked {
        /// What it said.
        message: String,
    },
    /// The time allowed was not enough.
    #[error("the background writer was not done after {waited:?}; it goes on by itself")]
    TimedOut {
        /// The time that was allowed.
        waited: Duration,
    },
    /// The system did not start the background thread.
    #[error("the background thread could not be started: {0}")]
    Spawn(Arc<std::io::Error>),
    /// The log was flushed and accepts nothing all the same; a bug in this crate.
    #[error("the writer has no room after a successful flush; {left} rows remain in the buffer")]
    NoRoom {
        /// Rows that were not taken.
        left: usize,
    },
    /// The writer was stopped, so the row was not taken; it counts as refused.
    #[error("the writer has stopped: the row was not logged and counts as refused")]
    Stopped,
}

impl From<DrainError<Error>> for Error {
    fn from(error: DrainError<Error>) -> Self {
        match error {
            DrainError::Sink(error) => Self::Background(error),
            DrainError::Panicked { message } => Self::Panicked { message },
            DrainError::TimedOut { waited } => Self::TimedOut { waited },
            DrainError::Spawn(error) => Self::Spawn(error),
            DrainError::NoRoom { left } => Self::NoRoom { left },
            // A kind that a later version of the drain may add.
            other => Self::Panicked { message: other.to_string() },
        }
    }
}
