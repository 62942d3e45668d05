//! The logger, of one file or of one rank of a dataset. Its method `log_step` is in `step`.

use crate::errors::{of_drain, of_logger_open};
use crate::logged::Logged;
use crate::logging::{Logging, LogsSteps};
use crate::settings::Metrics;
use crate::stats;
use crate::waiting::{self, Deadline};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use qstore_buffer::{DrainError, Health};
use qstore_logger::{
    AsyncMetricsLogger, LogHandle, LoggerSettings, LoggerStats, MetricsRow, OpenError,
    ParquetMetricsLogger,
};
use qstore_parquet::{DatasetSettings, RankLog, WriteError, WriterSettings, WriterStats};
use qstore_schema::DataType;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Rows of training metrics, into one Parquet file or into the parts of one rank.
#[pyclass(module = "qstore._native", frozen, subclass, weakref)]
pub(crate) struct Logger {
    logging: Logging,
    /// What logs does not take it.
    owner: Mutex<Owner>,
}

enum Owner {
    File(ParquetMetricsLogger),
    Rank(AsyncMetricsLogger<RankLog<MetricsRow>>),
}

/// Calls a method that both have.
macro_rules! either {
    ($owner:expr, $logger:ident => $call:expr) => {
        match $owner {
            Owner::File($logger) => $call,
            Owner::Rank($logger) => $call,
        }
    };
}

impl Owner {
    fn open(
        path: PathBuf,
        ring: LoggerSettings,
        writer: WriterSettings,
        rank: Option<u32>,
    ) -> Result<Self, OpenError<WriteError>> {
        let Some(rank) = rank else {
            return ParquetMetricsLogger::open_with(path, ring, writer).map(Self::File);
        };
        let settings = DatasetSettings::default().writer(|mut each| {
            // The others have defaults of their own in a dataset.
            each.columns = writer.columns;
            each.flush_interval(writer.flush_interval)
                .flush_after(writer.flush_after)
                .compression(writer.compression)
        });
        let log = RankLog::open(path, rank, settings);
        let log = log.map_err(|error| OpenError::Sink(error.into()))?;
        AsyncMetricsLogger::with_sink(log, ring).map(Self::Rank)
    }

    fn handle(&self) -> LogHandle {
        either!(self, logger => logger.handle())
    }

    fn flush(&self, timeout: Duration) -> Result<(), DrainError<WriteError>> {
        either!(self, logger => logger.flush(timeout))
    }

    fn stop(
        &mut self,
        timeout: Duration,
    ) -> Result<LoggerStats<WriterStats>, DrainError<WriteError>> {
        either!(self, logger => logger.stop(timeout))
    }

    fn stats(&self) -> LoggerStats<WriterStats> {
        either!(self, logger => logger.stats())
    }

    fn health(&self) -> Health<DrainError<WriteError>> {
        either!(self, logger => logger.health())
    }
}

impl LogsSteps for Logger {
    #[inline]
    fn log_step(this: &Bound<'_, Self>, step: i64, row: MetricsRow) -> PyResult<Py<Logged>> {
        this.get().logging.log_step(this.py(), step, row)
    }
}

impl Logger {
    fn with<T>(&self, run: impl FnOnce(&mut Owner) -> T) -> T {
        run(&mut self.owner.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[pymethods]
impl Logger {
    /// With a rank the path is the directory of the dataset.
    #[new]
    #[pyo3(signature = (path, settings, columns, rank))]
    fn new(
        py: Python<'_>,
        path: PathBuf,
        settings: Metrics,
        columns: Vec<String>,
        rank: Option<u32>,
    ) -> PyResult<Self> {
        let (ring, mut writer) = settings.parsed()?;
        for name in columns {
            writer = writer.column(name, DataType::Float64);
        }
        let opened = py.detach(|| Owner::open(path, ring, writer, rank));
        let logger = opened.map_err(|error| of_logger_open(&error))?;
        Ok(Self { logging: Logging::new(logger.handle()), owner: Mutex::new(logger) })
    }

    /// Logs a whole row: any names, of which fixed columns are set by theirs.
    fn log_row(&self, row: &Bound<'_, PyDict>) -> PyResult<Py<Logged>> {
        self.logging.log_row(row)
    }

    /// Logs one row that sums up an epoch, with step -1.
    #[pyo3(signature = (epoch, train_metrics, val_metrics=None))]
    fn log_epoch(
        &self,
        epoch: i64,
        train_metrics: &Bound<'_, PyDict>,
        val_metrics: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Py<Logged>> {
        self.logging.log_epoch(epoch, train_metrics, val_metrics)
    }

    /// Waits until every row that was logged before is in the file.
    #[pyo3(signature = (timeout=None))]
    fn flush(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<()> {
        self.logging.check_process()?;
        let deadline = Deadline::after(timeout)?;
        let flush = |slice| self.with(|logger| logger.flush(slice));
        let is_decided = |flushed: &Result<(), DrainError<_>>| {
            !matches!(flushed, Err(DrainError::TimedOut { .. }))
        };
        waiting::until(py, deadline, flush, is_decided)?.map_err(of_drain)
    }

    /// Writes everything, closes the file and ends the thread. Again, it does nothing.
    #[pyo3(signature = (timeout=None))]
    fn stop<'py>(&self, py: Python<'py>, timeout: Option<f64>) -> PyResult<Bound<'py, PyDict>> {
        self.logging.check_process()?;
        let deadline = Deadline::after(timeout)?;
        let stop = |slice| self.with(|logger| logger.stop(slice));
        waiting::until(py, deadline, stop, Result::is_ok)?.map_err(of_drain)?;
        self.stats(py)
    }

    /// The counters, as `{"buffer": …, "writer": …}`.
    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        self.logging.check_process()?;
        stats::of_logger(py, &py.detach(|| self.with(|logger| logger.stats())))
    }

    /// The first error, and what was lost.
    fn health<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        self.logging.check_process()?;
        stats::of_health(py, &py.detach(|| self.with(|logger| logger.health())))
    }

    /// Whether this process was forked from the one that opened the logger.
    #[getter]
    fn is_forked(&self) -> bool {
        self.logging.is_forked()
    }
}
