//! What can go wrong with a metrics file: which file, what happened, and what to do about it.
//!
//! Each stage has errors of its own: opening a file for writing, writing it, and reading it.

use qstore_buffer::DrainError;
use qstore_settings::SettingError;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Why a file could not be opened for writing. Nothing that was there has been changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// A setting has a value that cannot be used.
    #[error(transparent)]
    Setting(#[from] SettingError),
    /// The path cannot be a metrics file.
    #[error("{} cannot be a metrics file: {reason}", path.display())]
    BadPath {
        /// The path.
        path: PathBuf,
        /// Why not, and what to do.
        reason: &'static str,
    },
    /// Another writer has the file open.
    #[error("{} is open in another writer; stop that writer or choose another path", path.display())]
    AlreadyOpen {
        /// The file.
        path: PathBuf,
    },
    /// The file exists but is not a valid Parquet file.
    #[error(
        "{} is not a valid Parquet file: {reason}; it was left untouched, move it away or choose another path",
        path.display()
    )]
    NotParquet {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The file exists and may be whole, but this crate cannot continue it.
    #[error(
        "{} cannot be continued here: {reason}; it was left untouched, choose another path",
        path.display()
    )]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// What this crate does not support.
        reason: String,
    },
    /// A compaction of this rank was killed, and what it left to do could not be done.
    #[error(transparent)]
    Compaction(Box<CompactError>),
    /// The file exists but its columns do not match these rows.
    #[error(
        "{} has columns that do not match: {reason}; it was left untouched, choose another path",
        path.display()
    )]
    SchemaConflict {
        /// The file.
        path: PathBuf,
        /// Which column, and how it differs.
        reason: String,
    },
    /// The row type declares columns that no file can have.
    #[error("the row type cannot be stored: {0}")]
    Schema(#[from] qstore_schema::ColumnError),
    /// A file operation failed.
    #[error(transparent)]
    Storage(#[from] qstore_storage::Error),
    /// The first version of a new file could not be encoded.
    #[error(transparent)]
    FirstVersion(Box<WriteError>),
}

impl From<WriteError> for OpenError {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Storage(error) => Self::Storage(error),
            other => Self::FirstVersion(Box::new(other)),
        }
    }
}

/// Why rows could not be published. They stay pending: a later flush tries them again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// A file operation failed.
    #[error(transparent)]
    Storage(#[from] qstore_storage::Error),
    /// The published file is damaged in a place that the next version needs: its metadata, or a
    /// column of integers that has to become one of floats.
    #[error(
        "{} is damaged and cannot be continued: {reason}; what is not damaged can still be read, go on with another path",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What and where.
        reason: String,
    },
    /// The next version needs stored values that this crate cannot decode: a column of integers of
    /// another writer has to become one of floats.
    #[error(
        "{} cannot be continued: {reason}; nothing in it is damaged, go on with another path",
        path.display()
    )]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// What and where.
        reason: String,
    },
    /// The Parquet library refused to encode the rows: a bug, here or there.
    #[error("rows for {} could not be encoded: {source}", path.display())]
    Encode {
        /// The file.
        path: PathBuf,
        /// The library's reason.
        source: parquet::errors::ParquetError,
    },
    /// The thread that encodes row groups in advance panicked.
    #[error("rows for {} could not be encoded: the encoding thread panicked", path.display())]
    EncoderPanicked {
        /// The file.
        path: PathBuf,
    },
    /// This process was forked from the one that opened the log, to which the file and its lock belong.
    /// Nothing was done.
    #[error(
        "this process was forked from the one that opened {}, which goes on writing it; open a log of \
         your own under another name",
        path.display()
    )]
    Forked {
        /// The file.
        path: PathBuf,
    },
    /// The next part of a [`RankLog`](crate::RankLog) could not be opened.
    #[error(transparent)]
    NextPart(Box<OpenError>),
    /// Something else has the name of the file. It was left as it is, and the rows are kept: once it is
    /// moved away, writing resumes by itself.
    #[error(
        "{} was not written: {found}. Nothing of it was changed, and {waiting} rows are kept in memory: move \
         it away and writing resumes, or write the rows elsewhere with `save_as`",
        path.display()
    )]
    Occupied {
        /// The file, where it is now.
        path: PathBuf,
        /// What has its name.
        found: Occupant,
        /// The number of rows that could not be published.
        waiting: usize,
    },
    /// The directory of the file was removed. It does not come back, so writing does not resume.
    #[error(
        "{} was not written: its directory was removed{}. {waiting} rows are kept in memory: write them \
         elsewhere with `save_as`",
        path.display(),
        if *is_replaced { ", and another one has its name" } else { "" }
    )]
    DirectoryRemoved {
        /// Where the file was.
        path: PathBuf,
        /// Whether another directory has the name now.
        is_replaced: bool,
        /// The number of rows that could not be published.
        waiting: usize,
    },
}

/// What has the name of a metrics file in place of the version that its writer published last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Occupant {
    /// Another writer, which has the lock: the lock file was removed while this writer ran.
    Writer,
    /// A file that this writer did not write.
    File,
    /// This writer's file, with bytes of another program.
    Changed,
    /// A directory.
    Dir,
    /// A link, a device or a pipe.
    Special,
}

impl fmt::Display for Occupant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Writer => "another writer has taken its lock",
            Self::File => "a file that this writer did not write has its name",
            Self::Changed => "another program has changed it",
            Self::Dir => "a directory has its name",
            Self::Special => "a link, a device or a pipe has its name",
        })
    }
}

impl WriteError {
    /// The same error about this number of rows.
    pub(crate) fn about(mut self, rows: usize) -> Self {
        if let Self::Occupied { waiting, .. } | Self::DirectoryRemoved { waiting, .. } = &mut self {
            *waiting = rows;
        }
        self
    }
}

impl From<OpenError> for WriteError {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Storage(error) => Self::Storage(error),
            OpenError::FirstVersion(error) => *error,
            other => Self::NextPart(Box::new(other)),
        }
    }
}

/// Why a file, or some rows of it, could not be read.
///
/// A disk that failed is never reported as damage: [`Storage`](Self::Storage) says that nothing is
/// known about the bytes, [`Damaged`](Self::Damaged) that they were read and are wrong. Neither is what
/// this reader cannot decode: that is [`Unsupported`](Self::Unsupported).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// A file operation failed. Trying again may succeed.
    #[error(transparent)]
    Storage(#[from] qstore_storage::Error),
    /// The bytes were read and are not what a writer wrote there.
    #[error("{} is damaged: {reason}; what is not damaged can still be read", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What and where.
        reason: String,
    },
    /// The bytes were read and may be right, but this reader does not decode them: another program
    /// wrote them in a way that it does not know, or they are more than it takes.
    #[error(
        "{} cannot be decoded here: {reason}; that does not mean that it is damaged, use a general Parquet reader",
        path.display()
    )]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// What, where, and which limit can be raised, if it is one.
        reason: String,
    },
    /// The file does not have the column.
    #[error("{} has no column `{name}`; names are case-sensitive", path.display())]
    UnknownColumn {
        /// The file.
        path: PathBuf,
        /// The name that was asked for.
        name: String,
    },
    /// Another file has taken the path since the last look: its sessions are not a continuation of
    /// those seen before.
    #[error("{} was replaced by another file; open it again to read from its first row", path.display())]
    Replaced {
        /// The file.
        path: PathBuf,
    },
}

impl From<CompactError> for OpenError {
    fn from(error: CompactError) -> Self {
        match error {
            CompactError::Open(error) => error,
            CompactError::Storage(error) => Self::Storage(error),
            other => Self::Compaction(Box::new(other)),
        }
    }
}

/// Why the parts of a rank could not be compacted. No row is lost or found twice: either nothing has changed, or
/// engines fail on the directory until it is called again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CompactError {
    /// A setting cannot be used, or someone else compacts this rank.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A part could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The new part could not be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// A file operation failed.
    #[error(transparent)]
    Storage(#[from] qstore_storage::Error),
    /// A sealed part was changed by another program while it was read; nothing was replaced.
    #[error("{} was changed by another program; nothing was compacted", path.display())]
    Changed {
        /// The first of the parts.
        path: PathBuf,
    },
    /// Something in the directory is not what it should be.
    #[error("{} stands in the way of compacting: {reason}", path.display())]
    Other {
        /// The file, in the directory of the rank.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

/// What an [`AsyncMetricsWriter`](crate::AsyncMetricsWriter) reports.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file could not be opened; no thread was started.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// An error of the background thread, which may be reported to several callers.
    #[error("{0}")]
    Background(Arc<WriteError>),
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
    /// The writer was stopped and has published every row, so there is nothing to save elsewhere.
    #[error("the writer was stopped and has published every row; read its file")]
    Ended,
    /// The writer was stopped, so the row was not taken; it counts as refused.
    #[error("the writer has stopped: the row was not logged and counts as refused")]
    Stopped,
    /// This process was forked from the one that started the writer, whose thread runs there only. Nothing was
    /// done; a row counts as refused.
    #[error(
        "this process was forked from the one that started the writer, which runs there only; start \
         your own, under another name"
    )]
    Forked,
}

impl From<DrainError<WriteError>> for Error {
    fn from(error: DrainError<WriteError>) -> Self {
        match error {
            DrainError::Sink(error) => Self::Background(error),
            DrainError::Panicked { message } => Self::Panicked { message },
            DrainError::TimedOut { waited } => Self::TimedOut { waited },
            DrainError::Spawn(error) => Self::Spawn(error),
            DrainError::NoRoom { left } => Self::NoRoom { left },
            DrainError::Forked => Self::Forked,
            DrainError::Ended => Self::Ended,
            // A kind that a later version of the drain may add.
            other => Self::Panicked { message: other.to_string() },
        }
    }
}
