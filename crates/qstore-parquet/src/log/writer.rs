//! The background writer: a buffer, a drain and a metrics log in one handle.

use crate::error::Error;
use crate::log::metrics_log::MetricsLog;
use crate::log::settings::WriterSettings;
use crate::log::stats::WriterStats;
use qstore_buffer::{AsyncBuffer, Drain, DrainSettings, Health, PushError, RING_LINGER};
use qstore_schema::{Logged, Record};
use qstore_storage::{FileSystem, LocalFs};
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// A background thread that empties a buffer into one Parquet file.
///
/// Log rows with [`log`](Self::log), or push them into the [`AsyncBuffer`] from any thread. The writer
/// publishes them every [`flush_interval`](WriterSettings::flush_interval) rows or
/// [`flush_after`](WriterSettings::flush_after), whichever comes first.
///
/// * A row waits in the ring for [`RING_LINGER`](qstore_buffer::RING_LINGER) at most.
/// * A row that finds the ring full is handled by the buffer's
///   [`Overflow`](qstore_buffer::Overflow) policy and counted in the buffer's statistics and in the file.
///   The first one is a `tracing` warning and stays in [`health`](Self::health), and so is the first row
///   that does not fit its columns.
/// * When the file cannot be written, rows are kept and the writer retries; the first error is reported
///   as a `tracing` warning and stays in [`health`](Self::health).
/// * In a forked child every call but `stats` returns [`Error::Forked`] without waiting, and dropping the writer
///   does nothing: the thread, the rows and the file are the parent's.
///
/// Call [`stop`](Self::stop) to shut down cleanly. Dropping the writer does the same with a limit of
/// 5 s and discards errors.
///
/// ```
/// use qstore_buffer::AsyncBuffer;
/// use qstore_parquet::{AsyncMetricsWriter, WriterSettings};
/// use qstore_schema::Row;
/// use std::time::Duration;
///
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("metrics.parquet");
/// let buffer = AsyncBuffer::new(1_000)?;
/// let mut writer = AsyncMetricsWriter::start(buffer, &path, WriterSettings::default())?;
/// for step in 0..50_000_i64 {
///     // A full ring is not an error.
///     writer.log(Row::from([("step", step)]))?;
/// }
/// let written = writer.stop(Duration::from_secs(60))?.rows_written;
/// let intake = writer.buffer().stats();
/// assert_eq!((written, intake.pushed + intake.dropped), (intake.pushed, 50_000));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "dropping a writer stops it"]
pub struct AsyncMetricsWriter<R: Record + Send + 'static> {
    drain: Drain<R, MetricsLog<R>>,
}

impl<R: Record + Send + 'static> AsyncMetricsWriter<R> {
    /// Opens or creates the file and starts the thread.
    ///
    /// # Errors
    /// As [`MetricsLog::open`], and [`Error::Spawn`] when the system cannot start a thread. The buffer
    /// stays open.
    pub fn start(
        buffer: AsyncBuffer<R>,
        output_path: impl AsRef<Path>,
        settings: WriterSettings,
    ) -> Result<Self, Error> {
        Self::start_in(Arc::new(LocalFs::new()), buffer, output_path, settings)
    }

    /// Like [`start`](Self::start), on any file system.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn start_in(
        file_system: Arc<dyn FileSystem>,
        buffer: AsyncBuffer<R>,
        output_path: impl AsRef<Path>,
        settings: WriterSettings,
    ) -> Result<Self, Error> {
        let priority = settings.priority;
        let log = MetricsLog::open_in(file_system, output_path, settings)?;
        let settings = DrainSettings::default()
            .thread_name("qstore-metrics")
            .linger(RING_LINGER)
            .on_start(move || priority.apply());
        Ok(Self { drain: Drain::spawn(buffer, log, settings)? })
    }

    /// Logs a row. A row that finds the ring full is handled by the buffer's
    /// [`Overflow`](qstore_buffer::Overflow) policy; by default it is dropped and counted, and the call
    /// returns [`Logged::Dropped`].
    ///
    /// # Errors
    /// [`Error::Stopped`] after the writer was stopped, [`Error::Forked`] in a child of the process that
    /// started it.
    #[inline]
    pub fn log(&self, row: R) -> Result<Logged, Error> {
        match self.drain.buffer().push(row) {
            Ok(()) => Ok(Logged::Accepted),
            Err(PushError::Full(_)) => Ok(Logged::Dropped),
            Err(PushError::Closed(_)) => Err(Error::Stopped),
            Err(PushError::Forked(_)) => Err(Error::Forked),
        }
    }

    /// Waits until every row pushed before this call is in the published file.
    ///
    /// # Errors
    /// When it could not be published within the time limit; the rows stay pending.
    pub fn flush(&self, timeout: Duration) -> Result<(), Error> {
        Ok(self.drain.flush(timeout)?)
    }

    /// Closes the buffer, writes everything in it, closes the file, ends the thread, and reports what
    /// was written. On a full disk it retries until the time is up.
    ///
    /// # Errors
    /// When rows could not be written within the time limit.
    pub fn stop(&mut self, timeout: Duration) -> Result<WriterStats, Error> {
        self.drain.stop(timeout)?;
        Ok(self.stats())
    }

    /// Writes the whole log as a new file elsewhere, with every row that was logged before this call, as
    /// [`MetricsLog::save_as`]. For a writer whose file, lock or directory was taken away: it can be called
    /// while the writer runs, and after a [`stop`](Self::stop) that failed. Returns the number of rows.
    ///
    /// ```
    /// use qstore_buffer::AsyncBuffer;
    /// use qstore_parquet::{AsyncMetricsWriter, MetricsFile, WriterSettings};
    /// use qstore_schema::Row;
    /// use std::time::Duration;
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let (path, rescued) = (dir.path().join("metrics.parquet"), dir.path().join("rescued.parquet"));
    /// let buffer = AsyncBuffer::new(1_000)?;
    /// let mut writer = AsyncMetricsWriter::start(buffer, &path, WriterSettings::default())?;
    /// writer.log(Row::from([("loss", 0.5)]))?;
    /// writer.flush(Duration::from_secs(10))?;
    /// std::fs::remove_file(&path)?;
    /// std::fs::create_dir(&path)?; // by another program
    /// writer.log(Row::from([("loss", 0.4)]))?;
    /// assert!(writer.stop(Duration::from_millis(100)).is_err());
    /// assert_eq!(writer.save_as(&rescued, Duration::from_secs(10))?, 2);
    /// assert_eq!(MetricsFile::open(&rescued)?.rows(), 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Background`] as [`MetricsLog::save_as`]; [`Error::TimedOut`] when the thread is busy for
    /// longer, and then it may still be saved later; [`Error::Ended`] after a `stop` that succeeded.
    pub fn save_as(&self, path: impl AsRef<Path>, timeout: Duration) -> Result<u64, Error> {
        let path = path.as_ref().to_path_buf();
        let saved = self.drain.with_sink(timeout, move |log| log.save_as(path))?;
        saved.map_err(|error| Error::Background(Arc::new(error)))
    }

    /// As [`save_as`](Self::save_as), but only the rows that are in no published version of the file.
    ///
    /// # Errors
    /// As [`save_as`](Self::save_as).
    pub fn save_pending_as(&self, path: impl AsRef<Path>, timeout: Duration) -> Result<u64, Error> {
        let path = path.as_ref().to_path_buf();
        let saved = self.drain.with_sink(timeout, move |log| log.save_pending_as(path))?;
        saved.map_err(|error| Error::Background(Arc::new(error)))
    }

    /// The writer's counters as of its last round.
    pub fn stats(&self) -> WriterStats {
        self.drain.stats()
    }

    /// The first error since the start, which stays even when a later try succeeded, and the rows and
    /// values that were lost, by kind, with the first of each.
    pub fn health(&self) -> Health<Error> {
        self.drain.health().map_err(Error::from)
    }

    /// Whether there was no error since the start, at the cost of one load. Losses are not errors.
    #[inline]
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        self.drain.is_healthy()
    }

    /// The buffer that is written.
    pub fn buffer(&self) -> &AsyncBuffer<R> {
        self.drain.buffer()
    }
}

impl<R: Record + Send + 'static> fmt::Debug for AsyncMetricsWriter<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncMetricsWriter").field("stats", &self.stats()).finish_non_exhaustive()
    }
}
