//! The logger on a path: one Parquet file.

use crate::{AsyncMetricsLogger, LogError, LoggerSettings, MetricsRow};
use qstore_parquet::{Error, MetricsLog, WriterSettings};
use std::path::Path;

/// A logger whose rows go into one Parquet file.
pub type ParquetMetricsLogger = AsyncMetricsLogger<MetricsLog<MetricsRow>>;

impl ParquetMetricsLogger {
    /// Opens or continues the file at `output_path` with the default settings: a ring of 1 000 rows,
    /// a flush every 100 rows or 10 s, gzip.
    ///
    /// # Errors
    /// [`LogError::Open`] when the file cannot be opened or continued; nothing is changed then.
    pub fn open(output_path: impl AsRef<Path>) -> Result<Self, LogError<Error>> {
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
    ) -> Result<Self, LogError<Error>> {
        let log = MetricsLog::open(output_path, writer).map_err(LogError::Open)?;
        Self::with_sink(log, settings)
    }
}
