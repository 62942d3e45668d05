//! Why a row was not logged, or what went wrong behind the scenes.

use qstore_buffer::DrainError;
use qstore_schema::SmolStr;

/// What a logging call can report; `E` is the sink's own error.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogError<E> {
    /// The ring was full and the row was dropped and counted. Training goes on; if it happens often,
    /// make the buffer larger or log less often.
    #[error(
        "the buffer is full: the row was dropped and counted; make buffer_size larger or log less often"
    )]
    Dropped,
    /// The logger was stopped; the row was refused and counted.
    #[error("the logger has been stopped: the row was refused and counted")]
    Stopped,
    /// The background writer failed for the first time since the start. The row of this call was
    /// taken all the same; the writer goes on trying.
    #[error(transparent)]
    Background(DrainError<E>),
    /// The sink could not be opened.
    #[error(transparent)]
    Open(E),
    /// A setting of the buffer makes no sense.
    #[error("buffer_size: {0}")]
    Buffer(#[from] qstore_buffer::Error),
    /// A metric does not fit its fixed column; nothing was logged.
    #[error(transparent)]
    Metric(#[from] qstore_schema::ColumnError),
    /// The row of an epoch has this column by itself; nothing was logged.
    #[error("`{name}` is set by log_epoch itself; rename that metric")]
    Reserved {
        /// The column.
        name: SmolStr,
    },
    /// Two metrics of one epoch would share a column; nothing was logged.
    #[error("two metrics of this epoch would be column `{name}`; rename one of them")]
    Duplicate {
        /// The column.
        name: SmolStr,
    },
}

impl<E> From<DrainError<E>> for LogError<E> {
    fn from(error: DrainError<E>) -> Self {
        Self::Background(error)
    }
}
