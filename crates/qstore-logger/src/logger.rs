//! The logger: a ring, a drain and a clock.

use crate::clock::Clock;
use crate::epoch;
use crate::error::{LogError, OpenError};
use crate::handle::{LogHandle, outcome};
use crate::row::MetricsRow;
use crate::settings::LoggerSettings;
use qstore_buffer::{AsyncBuffer, BufferStats, Drain, DrainError, Health, Hooks, Sink};
use qstore_schema::{Logged, Record, Row};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// What a logger has taken and written; `C` is the sink's own statistics.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct LoggerStats<C> {
    /// The ring. `pushed` counts the rows that were accepted, `dropped` those that found the ring full,
    /// `evicted` those discarded for newer ones, and `refused` those logged after the stop.
    /// `lost_first` and `lost_last` are the steps of the first and the last row that was lost.
    pub buffer: BufferStats,
    /// The sink's own statistics.
    pub writer: C,
    /// Number of errors of the background thread.
    pub errors: u64,
    /// The first of them, as text.
    pub first_error: Option<String>,
}

/// Logs rows from any thread; a background thread hands them to a sink, such as a Parquet file.
///
/// The rows are [`MetricsRow`]s by default; any [`Record`](qstore_schema::Record) works, with
/// [`log`](Self::log).
///
/// What happens in each case:
///
/// * *There is room in the ring.* The row is stored, and the call returns
///   [`Logged::Accepted`](qstore_schema::Logged::Accepted). It takes about 50 ns, allocates nothing and
///   never waits for the sink.
/// * *The ring is full.* The [`Overflow`](qstore_buffer::Overflow) policy of the settings decides. By
///   default the new row is dropped: the call returns `Ok(Logged::Dropped)`, so `log_step(row)?` does
///   not end the run. Drops are counted in [`stats`](Self::stats), in the result of
///   [`stop`](Self::stop) and in the file itself; the first is a `tracing` warning and stays in
///   [`health`](Self::health).
/// * *The sink fails*, for example because the disk is full. Rows are kept and the sink is retried;
///   logging continues. The first error is reported as a `tracing` warning, and stays in
///   [`health`](Self::health) and in the result of `stop`.
/// * *The logger was stopped*, or its background thread panicked. The call returns
///   [`LogError::Stopped`].
/// * *The process was forked*, and this is the child. The background thread runs in the parent only: rows are
///   refused with [`LogError::Forked`], `flush`, `stop` and `health` return [`DrainError::Forked`], each
///   without waiting, and dropping the logger does nothing. The parent's logger is not affected. Open another
///   logger, under another name, in the child.
///
/// Call [`stop`](Self::stop) to shut down cleanly. Dropping the logger does the same with a limit of
/// 5 s and discards errors.
///
#[cfg_attr(feature = "parquet", doc = "```")]
#[cfg_attr(not(feature = "parquet"), doc = "```ignore")]
/// use qstore_logger::AsyncMetricsLogger;
/// use std::time::Duration;
///
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("metrics.parquet");
/// let mut logger = AsyncMetricsLogger::open(&path)?;
/// for step in 0..100_000 {
///     // No training between the rows: the ring of 1 000 may overflow, and the loop ends all the same.
///     logger.log_step((0, step, 0.5))?;
/// }
/// let summary = logger.stop(Duration::from_secs(60))?;
/// assert_eq!(summary.buffer.pushed + summary.buffer.dropped, 100_000);
/// assert_eq!(summary.writer.rows_written, summary.buffer.pushed);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "dropping a logger stops it"]
pub struct AsyncMetricsLogger<S: Sink<R>, R = MetricsRow> {
    drain: Drain<R, S>,
    clock: Arc<Clock>,
}

impl<S: Sink<MetricsRow>> AsyncMetricsLogger<S> {
    /// Logs one step, stamped with the time of this call.
    ///
    #[cfg_attr(feature = "parquet", doc = "```")]
    #[cfg_attr(not(feature = "parquet"), doc = "```ignore")]
    /// use qstore_logger::{AsyncMetricsLogger, Logged, MetricsRow};
    /// use std::time::Duration;
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("metrics.parquet");
    /// let mut logger = AsyncMetricsLogger::open(&path)?;
    /// logger.log_step((0, 1, 0.5))?; // epoch, step and training loss
    /// let logged = logger.log_step(MetricsRow::step(0, 2, 0.4).with("accuracy", 0.9))?;
    /// assert_eq!(logged, Logged::Accepted);
    /// # logger.stop(Duration::from_secs(10))?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`LogError::Stopped`] after the logger was stopped, [`LogError::Forked`] in a child of the process that
    /// opened it. A full ring is not an error.
    #[inline]
    pub fn log_step(&self, row: impl Into<MetricsRow>) -> Result<Logged, LogError> {
        let now = self.now();
        outcome(&self.drain.buffer().push_then(row.into(), |row| row.stamp(now)))
    }

    /// Logs one row that sums up an epoch. Its step is −1, `loss` becomes `train_loss` and `val_loss`,
    /// fixed columns are set by name, and every other metric becomes a column of its own, those of the
    /// validation with the prefix `val_`.
    ///
    #[cfg_attr(feature = "parquet", doc = "```")]
    #[cfg_attr(not(feature = "parquet"), doc = "```ignore")]
    /// use qstore_logger::{AsyncMetricsLogger, LogError};
    /// use std::time::Duration;
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("metrics.parquet");
    /// let mut logger = AsyncMetricsLogger::open(&path)?;
    /// let train = [("loss", 0.4), ("accuracy", 0.90)];
    /// let val = [("loss", 0.5), ("accuracy", 0.85)];
    /// logger.log_epoch(0, train, val)?; // train_loss, accuracy, val_loss, val_accuracy
    ///
    /// // The columns `epoch`, `step` and `timestamp` are set by the call itself.
    /// let error = logger.log_epoch(1, [("step", 7.0)], [("loss", 0.5)]).unwrap_err();
    /// assert!(matches!(error, LogError::Reserved { .. }));
    /// # logger.stop(Duration::from_secs(10))?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`LogError::Metric`], [`LogError::Reserved`] and [`LogError::Duplicate`] when a metric cannot be
    /// kept; nothing is logged then. [`LogError::Stopped`] as [`log_step`](Self::log_step).
    pub fn log_epoch(
        &self,
        epoch: i64,
        train_metrics: impl Into<Row>,
        val_metrics: impl Into<Row>,
    ) -> Result<Logged, LogError> {
        self.log_step(epoch::row(epoch, &train_metrics.into(), &val_metrics.into())?)
    }
}

impl<S: Sink<R>, R: Record + Send + 'static> AsyncMetricsLogger<S, R> {
    /// A logger that writes to this sink.
    ///
    /// ```
    /// use qstore_buffer::{Progress, Round, Sink};
    /// use qstore_logger::{AsyncMetricsLogger, LoggerSettings, MetricsRow};
    /// use std::convert::Infallible;
    /// use std::time::Duration;
    ///
    /// /// Prints every hundredth loss.
    /// struct Print;
    ///
    /// impl Sink<MetricsRow> for Print {
    ///     type Error = Infallible;
    ///     type Stats = ();
    ///
    ///     fn receive(
    ///         &mut self,
    ///         batch: &mut Vec<MetricsRow>,
    ///         _: &mut Round<'_>,
    ///     ) -> Result<(), Infallible> {
    ///         for row in batch.drain(..).map(|row| row.metrics()).filter(|row| row.step % 100 == 0) {
    ///             println!("{}: {:?}", row.step, row.train_loss);
    ///         }
    ///         Ok(())
    ///     }
    ///
    ///     fn flush(&mut self) -> Result<Progress<Infallible>, Infallible> {
    ///         Ok(Progress::Idle)
    ///     }
    /// }
    ///
    /// let settings = LoggerSettings::default().buffer_size(10_000);
    /// let mut logger = AsyncMetricsLogger::with_sink(Print, settings)?;
    /// logger.log_step((0, 100, 0.5))?;
    /// logger.stop(Duration::from_secs(10))?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`OpenError::Setting`] for a `buffer_size` that cannot be used, and [`OpenError::Spawn`] when the
    /// system cannot start a thread.
    pub fn with_sink(sink: S, settings: LoggerSettings) -> Result<Self, OpenError<S::Error>> {
        Self::with_hooks(sink, settings, Hooks::default())
    }

    /// Like [`with_sink`](Self::with_sink), with callbacks for the rows that the ring loses. If the
    /// hooks set no label, reports identify lost rows by the record's own label, such as its step.
    ///
    /// # Errors
    /// As [`with_sink`](Self::with_sink).
    pub fn with_hooks(
        sink: S,
        settings: LoggerSettings,
        hooks: Hooks<R>,
    ) -> Result<Self, OpenError<S::Error>> {
        let (ring, drain) = settings.split();
        let buffer = AsyncBuffer::with_hooks(ring, hooks.label_or(R::label))
            .map_err(LoggerSettings::own_error)?;
        let drain = Drain::spawn(buffer, sink, drain).map_err(|error| match error {
            DrainError::Spawn(error) => OpenError::Spawn(error),
            other => unreachable!("a drain that was not started reported: {other}"),
        })?;
        Ok(Self { drain, clock: Arc::new(Clock::new()) })
    }
}

impl<S: Sink<R>, R: Send + 'static> AsyncMetricsLogger<S, R> {
    /// The time as this logger stamps it, in seconds since 1970-01-01 UTC: within some microseconds
    /// of the system clock, whose steps it follows within a second, at a third of the cost
    /// (docs/benchmarks.md).
    #[inline]
    pub fn now(&self) -> f64 {
        self.clock.now()
    }

    /// Logs a whole row as it is, with its own timestamp.
    ///
    /// # Errors
    /// [`LogError::Stopped`] after the logger was stopped, [`LogError::Forked`] in a child of the process that
    /// opened it. A full ring is not an error.
    #[inline]
    pub fn log(&self, row: impl Into<R>) -> Result<Logged, LogError> {
        outcome(&self.drain.buffer().push(row.into()))
    }

    /// A handle that logs to the same place and can be cloned and sent to other threads. The logger
    /// itself stays with the owner that [stops](Self::stop) it.
    #[must_use]
    pub fn handle(&self) -> LogHandle<R> {
        LogHandle::new(self.drain.buffer().clone(), Arc::clone(&self.clock))
    }

    /// Waits until every row that this thread logged before is published: readable, and safe from a
    /// crash of the process.
    ///
    /// # Errors
    /// [`DrainError::Sink`] when they could not be published; they are kept and retried.
    /// [`DrainError::TimedOut`] when the time limit was too short; the flush continues.
    pub fn flush(&self, timeout: Duration) -> Result<(), DrainError<S::Error>> {
        self.drain.flush(timeout)
    }

    /// Refuses further rows, writes those that were accepted, closes the sink, ends the thread, and
    /// reports what was written, what was lost, and the first error on the way.
    ///
    /// # Errors
    /// When rows could not be written within the time limit. After [`DrainError::TimedOut`] the thread
    /// continues in the background, and `stop` can be called again.
    pub fn stop(
        &mut self,
        timeout: Duration,
    ) -> Result<LoggerStats<S::Stats>, DrainError<S::Error>> {
        self.drain.stop(timeout)?;
        Ok(self.stats())
    }

    /// The drain, for what a sink can do beyond its trait.
    #[cfg(feature = "parquet")]
    pub(crate) fn drain(&self) -> &Drain<R, S> {
        &self.drain
    }

    /// The counters at this moment.
    pub fn stats(&self) -> LoggerStats<S::Stats> {
        LoggerStats {
            buffer: self.drain.buffer().stats(),
            writer: self.drain.stats(),
            errors: self.drain.errors(),
            first_error: self.drain.first_error().map(|error| error.to_string()),
        }
    }

    /// The first error of the background thread since the start, which stays even when a later try
    /// succeeded, and the rows and values that were lost, by kind, with the first of each.
    ///
    #[cfg_attr(feature = "parquet", doc = "```")]
    #[cfg_attr(not(feature = "parquet"), doc = "```ignore")]
    /// use qstore_logger::{AsyncMetricsLogger, LoggerSettings, Loss};
    /// use qstore_parquet::WriterSettings;
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("metrics.parquet");
    /// let settings = LoggerSettings::default().buffer_size(10);
    /// let logger = AsyncMetricsLogger::open_with(&path, settings, WriterSettings::default())?;
    /// for step in 0..100_000 {
    ///     logger.log_step((0, step, 0.5))?;
    /// }
    /// let health = logger.health();
    /// if let Some(dropped) = health.losses.get(Loss::Dropped) {
    ///     println!("{} rows were dropped, the first was step {:?}", dropped.count, dropped.first);
    /// }
    /// health.check()?; // errors only: a full disk, for example
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn health(&self) -> Health<DrainError<S::Error>> {
        self.drain.health()
    }

    /// Whether there was no error since the start, at the cost of one load, so that a training loop can
    /// check it after every step. Losses are not errors.
    #[inline]
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        self.drain.is_healthy()
    }
}

impl<S: Sink<R>, R> fmt::Debug for AsyncMetricsLogger<S, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncMetricsLogger").field("drain", &self.drain).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
