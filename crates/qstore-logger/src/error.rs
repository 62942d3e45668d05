//! Why a logger could not be opened, and why a row was not logged.

use qstore_schema::SmolStr;
use qstore_settings::SettingError;
use std::sync::Arc;

/// Why a row was not logged. Nothing was taken, and nothing was written.
///
/// A row that was dropped because the ring was full is not an error but
/// [`Logged::Dropped`](qstore_schema::Logged::Dropped). A failure of the background thread is not one
/// either: the row was taken, and the failure is in
/// [`health`](crate::AsyncMetricsLogger::health) and in the result of
/// [`stop`](crate::AsyncMetricsLogger::stop).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// The logger was stopped, or its background thread panicked, which
    /// [`health`](crate::AsyncMetricsLogger::health) reports. The row counts as refused.
    #[error("the logger has stopped: the row was not logged and counts as refused")]
    Stopped,
    /// This process was forked from the one that opened the logger, whose background thread runs there only. The
    /// row counts as refused. The parent's logger is not affected.
    #[error(
        "this process was forked from the one that opened the logger: the row was not logged and counts \
         as refused; open your own, under another name"
    )]
    Forked,
    /// A metric of `log_epoch` does not fit its fixed column.
    #[error(transparent)]
    Metric(#[from] qstore_schema::ColumnError),
    /// `log_epoch` sets this column itself.
    #[error("`{name}` is set by log_epoch itself; rename this metric")]
    Reserved {
        /// The column.
        name: SmolStr,
    },
    /// Two metrics of one epoch would be the same column.
    #[error("two metrics of this epoch would be column `{name}`; rename one of them")]
    Duplicate {
        /// The column.
        name: SmolStr,
    },
}

/// Why a logger could not be opened; `E` is the sink's own error. Nothing was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError<E> {
    /// The sink could not be opened, for example because the file belongs to another writer.
    #[error(transparent)]
    Sink(E),
    /// A setting of the logger has a value that cannot be used.
    #[error(transparent)]
    Setting(#[from] SettingError),
    /// The system did not start the background thread.
    #[error("the background thread could not be started: {0}")]
    Spawn(Arc<std::io::Error>),
}
