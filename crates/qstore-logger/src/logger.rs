//! The logger: a ring, a drain and a clock.

use crate::clock::Clock;
use crate::{LogError, LogHandle, MetricsRow, epoch};
use qstore_buffer::{
    AsyncBuffer, BufferSettings, BufferStats, Drain, DrainError, DrainSettings, Hooks, Overflow,
    PushError, Sink,
};
use qstore_schema::{Record, Row};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// How long a row waits in a ring that is not half full. Files are flushed less often, and looking for
/// rows fifty times a second costs next to nothing.
const LINGER: Duration = Duration::from_millis(20);

/// How a logger behaves.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct LoggerSettings {
    /// Rows the ring holds, at least 1. Default 1 000.
    pub buffer_size: usize,
    /// What becomes of a row that finds the ring full. Default [`Overflow::DropNewest`].
    pub overflow: Overflow,
}

impl Default for LoggerSettings {
    fn default() -> Self {
        Self { buffer_size: 1_000, overflow: Overflow::DropNewest }
    }
}

impl LoggerSettings {
    /// Rows the ring holds.
    #[must_use]
    pub fn buffer_size(mut self, rows: usize) -> Self {
        self.buffer_size = rows;
        self
    }

    /// What becomes of a row that finds the ring full.
    #[must_use]
    pub fn overflow(mut self, overflow: Overflow) -> Self {
        self.overflow = overflow;
        self
    }
}

/// What a logger has taken and passed on; `C` are the sink's own counters.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct LoggerStats<C> {
    /// The ring: rows accepted are `pushed`, rows that found it full are `dropped`, and
    /// `lost_first` and `lost_last` are the steps of the first and the last that was lost.
    pub buffer: BufferStats,
    /// The sink.
    pub writer: C,
    /// Errors of the background thread.
    pub errors: u64,
    /// The first of them, in words.
    pub first_error: Option<String>,
}

/// Logs rows from any thread; a background thread hands them to the sink.
///
/// The rows are [`MetricsRow`]s unless you say otherwise: any [`Record`](qstore_schema::Record) does,
/// and then [`log`](Self::log) takes that. No call waits for the sink: a row that finds the ring full
/// is dropped, counted and reported, unless [`LoggerSettings::overflow`] says otherwise. [`stop`](Self::stop) is the logger's real ending; dropping it
/// does the same within 5 s and tells nobody.
#[must_use = "dropping a logger stops it"]
pub struct AsyncMetricsLogger<S: Sink<R>, R = MetricsRow> {
    drain: Drain<R, S>,
    clock: Arc<Clock>,
}

impl<S: Sink<MetricsRow>> AsyncMetricsLogger<S> {
    /// Logs one step, stamped with the time of this call.
    ///
    /// # Errors
    /// [`LogError::Dropped`] and [`LogError::Stopped`] when the row was not taken;
    /// [`LogError::Background`], once, when it was taken but the writer has failed since the start.
    #[inline]
    pub fn log_step(&self, row: impl Into<MetricsRow>) -> Result<(), LogError<S::Error>> {
        let mut row = row.into();
        row.metrics.timestamp = self.now();
        self.log(row)
    }

    /// Logs one row that sums up an epoch: its step is −1, `loss` becomes `train_loss` and
    /// `val_loss`, fixed columns are set by name, and every other metric becomes a column, those of
    /// the validation with the prefix `val_`.
    ///
    /// # Errors
    /// [`LogError::Metric`], [`LogError::Reserved`] and [`LogError::Duplicate`] when a metric cannot be
    /// kept, in which case nothing is logged; otherwise as [`log_step`](Self::log_step).
    pub fn log_epoch(
        &self,
        epoch: i64,
        train_metrics: impl Into<Row>,
        val_metrics: impl Into<Row>,
    ) -> Result<(), LogError<S::Error>> {
        self.log_step(epoch::row(epoch, &train_metrics.into(), &val_metrics.into())?)
    }
}

impl<S: Sink<R>, R: Record + Send + 'static> AsyncMetricsLogger<S, R> {
    /// A logger that writes to this sink.
    ///
    /// # Errors
    /// [`LogError::Buffer`] for a `buffer_size` of 0, [`LogError::Background`] when no thread can be
    /// started.
    pub fn with_sink(sink: S, settings: &LoggerSettings) -> Result<Self, LogError<S::Error>> {
        Self::with_hooks(sink, settings, Hooks::default())
    }

    /// As [`with_sink`](Self::with_sink), and tells what it loses. Where the hooks name no label, lost
    /// rows are called by the record's own, such as its step.
    ///
    /// # Errors
    /// As [`with_sink`](Self::with_sink).
    pub fn with_hooks(
        sink: S,
        settings: &LoggerSettings,
        hooks: Hooks<R>,
    ) -> Result<Self, LogError<S::Error>> {
        let ring = BufferSettings::default().name("metrics");
        let ring = ring.maxsize(settings.buffer_size).overflow(settings.overflow);
        let buffer = AsyncBuffer::with_hooks(ring, hooks.label_or(R::label))?;
        let settings = DrainSettings::default().thread_name("qstore-metrics").linger(LINGER);
        Ok(Self { drain: Drain::spawn(buffer, sink, &settings)?, clock: Arc::new(Clock::new()) })
    }
}

impl<S: Sink<R>, R: Send + 'static> AsyncMetricsLogger<S, R> {
    /// The time as this logger stamps it, in seconds since 1970-01-01 UTC: within some microseconds
    /// of the system's clock, whose steps it follows within a second, at a third of the cost.
    #[inline]
    pub fn now(&self) -> f64 {
        self.clock.now()
    }

    /// Logs a whole row as it is, its own timestamp included.
    ///
    /// # Errors
    /// As [`log_step`](Self::log_step).
    #[inline]
    pub fn log(&self, row: impl Into<R>) -> Result<(), LogError<S::Error>> {
        match self.drain.buffer().push(row.into()) {
            Ok(()) => self.drain.take_news().map_or(Ok(()), |error| Err(error.into())),
            Err(PushError::Full(_)) => Err(LogError::Dropped),
            // After a panic the buffer is closed, too, and the panic is the better answer.
            Err(PushError::Closed(_)) => {
                Err(self.drain.take_news().map_or(LogError::Stopped, Into::into))
            }
        }
    }

    /// Something to log with that can be cloned and given away, while the logger itself stays with
    /// whoever is to [`stop`](Self::stop) it.
    #[must_use]
    pub fn handle(&self) -> LogHandle<R> {
        LogHandle::new(self.drain.buffer().clone(), Arc::clone(&self.clock))
    }

    /// Waits until every row this thread logged before is published: readable, and safe from a crash
    /// of the process.
    ///
    /// # Errors
    /// When it could not be published, or not in time.
    pub fn flush(&self, timeout: Duration) -> Result<(), LogError<S::Error>> {
        Ok(self.drain.flush(timeout)?)
    }

    /// Refuses further rows, writes those there are, closes the sink, ends the thread, and tells
    /// what was written.
    ///
    /// # Errors
    /// When rows could not be written, or not in time.
    pub fn stop(&mut self, timeout: Duration) -> Result<LoggerStats<S::Stats>, LogError<S::Error>> {
        self.drain.stop(timeout)?;
        Ok(self.stats())
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

    /// Whether the background thread has been well since the start.
    ///
    /// # Errors
    /// Its first error, even when a later try succeeded.
    pub fn health(&self) -> Result<(), DrainError<S::Error>> {
        self.drain.first_error().map_or(Ok(()), Err)
    }
}

impl<S: Sink<R>, R> fmt::Debug for AsyncMetricsLogger<S, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncMetricsLogger").field("drain", &self.drain).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
