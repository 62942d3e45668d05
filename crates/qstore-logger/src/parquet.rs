//! The logger on a path: one Parquet file.

use crate::error::OpenError;
use crate::logger::AsyncMetricsLogger;
use crate::row::MetricsRow;
use crate::settings::LoggerSettings;
use qstore_buffer::DrainError;
use qstore_parquet::{MetricsLog, WriteError, WriterSettings};
use qstore_schema::Record;
use qstore_storage::{FileSystem, LocalFs};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// A logger whose rows go into one Parquet file.
pub type ParquetMetricsLogger<R = MetricsRow> = AsyncMetricsLogger<MetricsLog<R>, R>;

impl ParquetMetricsLogger {
    /// Opens or continues the file at `output_path` with the default settings: a ring of 1 000 rows,
    /// a flush every 100 rows or 10 s, gzip.
    ///
    /// # Errors
    /// [`OpenError::Sink`] when the file cannot be opened or continued; nothing is changed then.
    pub fn open(output_path: impl AsRef<Path>) -> Result<Self, OpenError<WriteError>> {
        Self::open_with(output_path, LoggerSettings::default(), WriterSettings::default())
    }

    /// Like [`open`](Self::open), with settings.
    ///
    /// ```
    /// use qstore_logger::{AsyncMetricsLogger, LoggerSettings};
    /// use qstore_parquet::WriterSettings;
    /// use std::time::Duration;
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("metrics.parquet");
    /// let settings = LoggerSettings::default().buffer_size(10_000);
    /// let writer = WriterSettings::default().flush_interval(500);
    /// let mut logger = AsyncMetricsLogger::open_with(&path, settings, writer)?;
    /// logger.log_step((0, 1, 0.5))?;
    /// assert_eq!(logger.stop(Duration::from_secs(10))?.buffer.maxsize, 10_000);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`open`](Self::open), and for settings that cannot be used.
    pub fn open_with(
        output_path: impl AsRef<Path>,
        settings: LoggerSettings,
        writer: WriterSettings,
    ) -> Result<Self, OpenError<WriteError>> {
        Self::open_typed(output_path, settings, writer)
    }
}

impl<R: Record + Send + 'static> ParquetMetricsLogger<R> {
    /// Like [`open_with`](ParquetMetricsLogger::open_with), for rows of your own type, which
    /// [`record!`](qstore_schema::record!) defines.
    ///
    /// ```
    /// use qstore_logger::{LoggerSettings, ParquetMetricsLogger};
    /// use qstore_parquet::WriterSettings;
    /// use qstore_schema::record;
    /// use std::time::Duration;
    ///
    /// record! {
    ///     /// What one shot measured.
    ///     pub struct Shot by number { number: i64, fidelity: f64 }
    /// }
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("shots.parquet");
    /// let mut shots = ParquetMetricsLogger::<Shot>::open_typed(
    ///     &path,
    ///     LoggerSettings::default(),
    ///     WriterSettings::default(),
    /// )?;
    /// shots.log(Shot { number: 0, fidelity: 0.98 })?;
    /// assert_eq!(shots.stop(Duration::from_secs(10))?.writer.rows_written, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`open_with`](ParquetMetricsLogger::open_with).
    pub fn open_typed(
        output_path: impl AsRef<Path>,
        settings: LoggerSettings,
        writer: WriterSettings,
    ) -> Result<Self, OpenError<WriteError>> {
        Self::open_in(Arc::new(LocalFs::new()), output_path, settings, writer)
    }

    /// Like [`open_typed`](Self::open_typed), on any file system, for example one in memory.
    ///
    /// ```
    /// use qstore_logger::{LoggerSettings, ParquetMetricsLogger};
    /// use qstore_parquet::WriterSettings;
    /// use qstore_storage::{FileSystem, MemoryFs};
    /// use std::path::Path;
    /// use std::sync::Arc;
    /// use std::time::Duration;
    ///
    /// let memory = MemoryFs::new();
    /// let mut logger: ParquetMetricsLogger = ParquetMetricsLogger::open_in(
    ///     Arc::new(memory.clone()),
    ///     "/metrics.parquet",
    ///     LoggerSettings::default(),
    ///     WriterSettings::default(),
    /// )?;
    /// logger.log_step((0, 1, 0.5))?;
    /// logger.stop(Duration::from_secs(10))?;
    /// assert!(!qstore_storage::read_all(&memory, Path::new("/metrics.parquet"))?.is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`open_with`](ParquetMetricsLogger::open_with).
    pub fn open_in(
        file_system: Arc<dyn FileSystem>,
        output_path: impl AsRef<Path>,
        settings: LoggerSettings,
        writer: WriterSettings,
    ) -> Result<Self, OpenError<WriteError>> {
        let (priority, on_start) = (writer.priority, settings.on_start.clone());
        let log = MetricsLog::open_in(file_system, output_path, writer)
            .map_err(|error| OpenError::Sink(error.into()))?;
        Self::with_sink(
            log,
            settings.on_start(move || {
                priority.apply();
                on_start.run();
            }),
        )
    }

    /// Writes the whole log as a new file elsewhere, with every row that was logged before this call, as
    /// [`MetricsLog::save_as`]. For a logger whose file, lock or directory was taken away: it can be called
    /// while the logger runs, and after a [`stop`](Self::stop) that failed. Returns the number of rows.
    ///
    /// # Errors
    /// [`DrainError::Sink`] as [`MetricsLog::save_as`]; [`DrainError::TimedOut`] when the thread is busy for
    /// longer, and then it may still be saved later; [`DrainError::Ended`] after a `stop` that succeeded.
    pub fn save_as(
        &self,
        path: impl AsRef<Path>,
        timeout: Duration,
    ) -> Result<u64, DrainError<WriteError>> {
        let path = path.as_ref().to_path_buf();
        let saved = self.drain().with_sink(timeout, move |log| log.save_as(path))?;
        saved.map_err(|error| DrainError::Sink(Arc::new(error)))
    }

    /// As [`save_as`](Self::save_as), but only the rows that are in no published version of the file.
    ///
    /// # Errors
    /// As [`save_as`](Self::save_as).
    pub fn save_pending_as(
        &self,
        path: impl AsRef<Path>,
        timeout: Duration,
    ) -> Result<u64, DrainError<WriteError>> {
        let path = path.as_ref().to_path_buf();
        let saved = self.drain().with_sink(timeout, move |log| log.save_pending_as(path))?;
        saved.map_err(|error| DrainError::Sink(Arc::new(error)))
    }
}
