//! Logging from elsewhere: a handle that can be cloned, and rows that are filled by name.
//!
//! What it does not do: stop anything, or tell of the writer's errors; these are the logger's.

use crate::clock::Clock;
use crate::{LogError, MetricsRow};
use qstore_buffer::{AsyncBuffer, PushError};
use qstore_schema::{Name, Row, Value};
use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;

/// Logs rows for as long as the logger it came from runs; clones log to the same place.
///
/// For other threads, and for whatever lives longer than the training loop, such as a `tracing`
/// subscriber: after the logger was stopped, rows are refused and counted.
pub struct LogHandle<R = MetricsRow> {
    buffer: AsyncBuffer<R>,
    clock: Arc<Clock>,
}

impl<R> LogHandle<R> {
    pub(crate) fn new(buffer: AsyncBuffer<R>, clock: Arc<Clock>) -> Self {
        Self { buffer, clock }
    }

    /// Logs a whole row as it is, its own timestamp included.
    ///
    /// # Errors
    /// [`LogError::Dropped`] and [`LogError::Stopped`] when the row was not taken.
    #[inline]
    pub fn log(&self, row: impl Into<R>) -> Result<(), LogError<Infallible>> {
        self.buffer.push(row.into()).map_err(|error| match error {
            PushError::Full(_) => LogError::Dropped,
            PushError::Closed(_) => LogError::Stopped,
        })
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
    pub fn log_step(&self, row: impl Into<MetricsRow>) -> Result<(), LogError<Infallible>> {
        let mut row = row.into();
        row.metrics.timestamp = self.now();
        self.log(row)
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

/// A row that takes any column by name: what adapters fill that do not know the columns beforehand.
pub trait NamedRow: Send + 'static {
    /// A row with nothing but its time, in seconds since 1970-01-01 UTC.
    fn at(timestamp: f64) -> Self;

    /// Sets a column; the last value of a name counts.
    fn put(&mut self, name: Name, value: Value);
}

/// The fixed columns have their defaults where nothing is put into them.
impl NamedRow for MetricsRow {
    fn at(timestamp: f64) -> Self {
        let mut row = Self::default();
        row.metrics.timestamp = timestamp;
        row
    }

    fn put(&mut self, name: Name, value: Value) {
        self.set(name, value);
    }
}

/// Only what is put into it, and the column `timestamp`.
impl NamedRow for Row {
    fn at(timestamp: f64) -> Self {
        Self::from([("timestamp", timestamp)])
    }

    fn put(&mut self, name: Name, value: Value) {
        self.set(name.as_str(), value);
    }
}
