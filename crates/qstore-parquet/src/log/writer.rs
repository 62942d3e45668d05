//! The background writer: a buffer, a drain and a metrics log in one handle.

use crate::error::Error;
use crate::log::metrics_log::MetricsLog;
use crate::log::settings::WriterSettings;
use crate::log::stats::WriterStats;
use qstore_buffer::{AsyncBuffer, Drain, DrainSettings};
use qstore_schema::Record;
use qstore_storage::{FileSystem, LocalFs};
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// How long a row waits in a ring that is not half full: less than there is between two flushes, and so
/// long that looking for rows costs next to nothing.
const LINGER: Duration = Duration::from_millis(50);

/// A background thread that empties a buffer into one Parquet file.
///
/// Push rows into the [`AsyncBuffer`]; the writer publishes them every
/// [`flush_interval`](WriterSettings::flush_interval) rows or
/// [`flush_after`](WriterSettings::flush_after), whichever comes first.
/// [`stop`](Self::stop) is its real ending; dropping it does the same within 5 s and tells nobody.
#[must_use = "dropping a writer stops it"]
pub struct AsyncMetricsWriter<R: Record + Send + 'static> {
    drain: Drain<R, MetricsLog<R>>,
}

impl<R: Record + Send + 'static> AsyncMetricsWriter<R> {
    /// Opens or creates the file and starts the thread.
    ///
    /// # Errors
    /// As [`MetricsLog::open`]; the buffer stays open then.
    pub fn start(
        buffer: AsyncBuffer<R>,
        output_path: impl AsRef<Path>,
        settings: WriterSettings,
    ) -> Result<Self, Error> {
        Self::start_in(Arc::new(LocalFs::new()), buffer, output_path, settings)
    }

    /// As [`start`](Self::start), on any storage.
    ///
    /// # Errors
    /// As [`MetricsLog::open`].
    pub fn start_in(
        storage: Arc<dyn FileSystem>,
        buffer: AsyncBuffer<R>,
        output_path: impl AsRef<Path>,
        settings: WriterSettings,
    ) -> Result<Self, Error> {
        let log = MetricsLog::open_in(storage, output_path, settings)?;
        let settings = DrainSettings::default().thread_name("qstore-metrics").linger(LINGER);
        Ok(Self { drain: Drain::spawn(buffer, log, &settings)? })
    }

    /// Waits until every row pushed before this call is in the published file.
    ///
    /// # Errors
    /// When it could not be published, or not in time; the rows stay pending.
    pub fn flush(&self, timeout: Duration) -> Result<(), Error> {
        Ok(self.drain.flush(timeout)?)
    }

    /// Closes the buffer, writes everything in it, closes the file, ends the thread, and tells what
    /// was written. A full disk is waited for until the time is up.
    ///
    /// # Errors
    /// When rows could not be written, or not in time.
    pub fn stop(&mut self, timeout: Duration) -> Result<WriterStats, Error> {
        self.drain.stop(timeout)?;
        Ok(self.stats())
    }

    /// The writer's counters, as of its last round.
    pub fn stats(&self) -> WriterStats {
        self.drain.stats()
    }

    /// The first error since the start, even when a later try succeeded.
    ///
    /// # Errors
    /// That error.
    pub fn health(&self) -> Result<(), Error> {
        self.drain.first_error().map_or(Ok(()), |error| Err(error.into()))
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
