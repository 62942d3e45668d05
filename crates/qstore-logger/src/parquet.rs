//! The logger on a path: one Parquet file.

use crate::{AsyncMetricsLogger, LogError, LoggerSettings, MetricsRow};
use qstore_parquet::{MetricsLog, WriteError, WriterSettings};
use qstore_schema::Record;
use std::path::Path;

/// A logger whose rows go into one Parquet file.
pub type ParquetMetricsLogger<R = MetricsRow> = AsyncMetricsLogger<MetricsLog<R>, R>;

impl ParquetMetricsLogger {
    /// Opens or continues the file at `output_path` with the default settings: a ring of 1 000 rows,
    /// a flush every 100 rows or 10 s, gzip.
    ///
    /// # Errors
    /// [`LogError::Open`] when the file cannot be opened or continued; nothing is changed then.
    pub fn open(output_path: impl AsRef<Path>) -> Result<Self, LogError<WriteError>> {
        Self::open_with(output_path, &LoggerSettings::default(), WriterSettings::default())
    }

    /// As [`open`](Self::open), with settings.
    ///
    /// # Errors
    /// As [`open`](Self::open), and for settings that make no sense.
    pub fn open_with(
        output_path: impl AsRef<Path>,
        settings: &LoggerSettings,
        writer: WriterSettings,
    ) -> Result<Self, LogError<WriteError>> {
        Self::open_typed(output_path, settings, writer)
    }
}

impl<R: Record + Send + 'static> ParquetMetricsLogger<R> {
    /// As [`open_with`](ParquetMetricsLogger::open_with), for rows of your own type, which
    /// [`record!`](qstore_schema::record!) defines.
    ///
    /// ```
    /// use qstore_logger::{LoggerSettings, ParquetMetricsLogger};
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
    /// let (logger, writer) = (LoggerSettings::default(), Default::default());
    /// let mut shots = ParquetMetricsLogger::<Shot>::open_typed(&path, &logger, writer)?;
    /// shots.log(Shot { number: 0, fidelity: 0.98 })?;
    /// assert_eq!(shots.stop(Duration::from_secs(10))?.writer.rows_written, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`open_with`](ParquetMetricsLogger::open_with).
    pub fn open_typed(
        output_path: impl AsRef<Path>,
        settings: &LoggerSettings,
        writer: WriterSettings,
    ) -> Result<Self, LogError<WriteError>> {
        let log =
            MetricsLog::open(output_path, writer).map_err(|error| LogError::Open(error.into()))?;
        Self::with_sink(log, settings)
    }
}
