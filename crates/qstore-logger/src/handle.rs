//! Logging from elsewhere: a handle that can be cloned, and rows that are filled by column name.
//!
//! A handle cannot stop the logger, and does not report errors of the writer; both belong to the
//! logger.

use crate::clock::Clock;
use crate::epoch;
use crate::error::LogError;
use crate::row::MetricsRow;
use qstore_buffer::{AsyncBuffer, PushError};
use qstore_schema::{Logged, Name, Row, Value};
use std::fmt;
use std::sync::Arc;

/// Logs rows for as long as its logger runs. Clones log to the same place.
///
/// It is meant for other threads, and for what outlives the training loop, such as a `tracing`
/// subscriber. After the logger was stopped, and in a forked child, rows are refused and counted.
///
#[cfg_attr(feature = "parquet", doc = "```")]
#[cfg_attr(not(feature = "parquet"), doc = "```ignore")]
/// use qstore_logger::{AsyncMetricsLogger, LogError};
/// use std::thread;
/// use std::time::Duration;
///
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("metrics.parquet");
/// let mut logger = AsyncMetricsLogger::open(&path)?;
/// thread::scope(|scope| {
///     for worker in 0..4 {
///         let handle = logger.handle();
///         scope.spawn(move || handle.log_step((0, worker, 0.5)));
///     }
/// });
/// let handle = logger.handle();
/// assert_eq!(logger.stop(Duration::from_secs(10))?.writer.rows_written, 4);
/// assert_eq!(handle.log_step((0, 4, 0.5)), Err(LogError::Stopped));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct LogHandle<R = MetricsRow> {
    buffer: AsyncBuffer<R>,
    clock: Arc<Clock>,
}

/// The outcome of a row. It takes what the push returned and not the row, which would be moved once more on
/// its way through a function of ours.
#[inline]
pub(crate) fn outcome<R>(pushed: &Result<(), PushError<R>>) -> Result<Logged, LogError> {
    match pushed {
        Ok(()) => Ok(Logged::Accepted),
        Err(PushError::Full(_)) => Ok(Logged::Dropped),
        Err(PushError::Closed(_)) => Err(LogError::Stopped),
        Err(PushError::Forked(_)) => Err(LogError::Forked),
    }
}

impl<R> LogHandle<R> {
    pub(crate) fn new(buffer: AsyncBuffer<R>, clock: Arc<Clock>) -> Self {
        Self { buffer, clock }
    }

    /// Logs a whole row as it is, with its own timestamp.
    ///
    /// # Errors
    /// [`LogError::Stopped`] after the logger was stopped, [`LogError::Forked`] in a child of the process that
    /// opened it. A full ring is not an error.
    #[inline]
    pub fn log(&self, row: impl Into<R>) -> Result<Logged, LogError> {
        outcome(&self.buffer.push(row.into()))
    }

    /// The time as the logger stamps it, in seconds since 1970-01-01 UTC.
    #[inline]
    #[must_use]
    pub fn now(&self) -> f64 {
        self.clock.now()
    }
}

impl LogHandle {
    /// Logs one step, stamped with the time of this call.
    ///
    /// # Errors
    /// As [`log`](Self::log).
    #[inline]
    pub fn log_step(&self, row: impl Into<MetricsRow>) -> Result<Logged, LogError> {
        let now = self.now();
        outcome(&self.buffer.push_then(row.into(), |row| row.stamp(now)))
    }
}

impl LogHandle {
    /// Logs one row that sums up an epoch, as
    /// [`AsyncMetricsLogger::log_epoch`](crate::AsyncMetricsLogger::log_epoch).
    ///
    /// # Errors
    /// As that one.
    pub fn log_epoch(
        &self,
        epoch: i64,
        train_metrics: impl Into<Row>,
        val_metrics: impl Into<Row>,
    ) -> Result<Logged, LogError> {
        self.log_step(epoch::row(epoch, &train_metrics.into(), &val_metrics.into())?)
    }
}

impl<R> Clone for LogHandle<R> {
    fn clone(&self) -> Self {
        Self { buffer: self.buffer.clone(), clock: Arc::clone(&self.clock) }
    }
}

impl<R> fmt::Debug for LogHandle<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogHandle").field("buffer", &self.buffer).finish_non_exhaustive()
    }
}

/// A row that takes any column by name, for adapters that do not know the columns beforehand.
pub trait NamedRow: Send + 'static {
    /// A row with nothing but its timestamp, in seconds since 1970-01-01 UTC.
    fn at(timestamp: f64) -> Self;

    /// Sets a column. The last value of a name counts.
    fn put(&mut self, name: Name, value: Value);
}

/// Fixed columns that are not set have their defaults.
impl NamedRow for MetricsRow {
    fn at(timestamp: f64) -> Self {
        let mut row = Self::default();
        row.stamp(timestamp);
        row
    }

    fn put(&mut self, name: Name, value: Value) {
        self.set(name, value);
    }
}

/// Only the columns that are set, and `timestamp`.
impl NamedRow for Row {
    fn at(timestamp: f64) -> Self {
        Self::from([("timestamp", timestamp)])
    }

    fn put(&mut self, name: Name, value: Value) {
        self.set(name.as_str(), value);
    }
}
