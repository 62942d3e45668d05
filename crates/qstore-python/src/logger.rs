//! The logger. Its method `log_step` is in `step`.

use crate::errors::{of_drain, of_logger_open};
use crate::logged::Logged;
use crate::logging::{Logging, LogsSteps};
use crate::waiting::{self, Deadline};
use crate::{settings, stats};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use qstore_buffer::DrainError;
use qstore_logger::{MetricsRow, ParquetMetricsLogger};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

/// Rows of training metrics, into one Parquet file.
#[pyclass(module = "qstore._native", frozen, subclass, weakref)]
pub(crate) struct Logger {
    logging: Logging,
    /// What logs does not take it.
    owner: Mutex<ParquetMetricsLogger>,
}

impl LogsSteps for Logger {
    #[inline]
    fn log_step(this: &Bound<'_, Self>, step: i64, row: MetricsRow) -> PyResult<Py<Logged>> {
        this.get().logging.log_step(this.py(), step, row)
    }
}

impl Logger {
    fn with<T>(&self, run: impl FnOnce(&mut ParquetMetricsLogger) -> T) -> T {
        run(&mut self.owner.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[pymethods]
impl Logger {
    #[new]
    #[pyo3(signature = (path, buffer_size, flush_interval, flush_seconds, compression, overflow))]
    fn new(
        py: Python<'_>,
        path: PathBuf,
        buffer_size: usize,
        flush_interval: usize,
        flush_seconds: f64,
        compression: &str,
        overflow: &str,
    ) -> PyResult<Self> {
        let ring = settings::ring(buffer_size, overflow)?;
        let writer = settings::writer(flush_interval, flush_seconds, compression)?;
        let opened = py.detach(|| ParquetMetricsLogger::open_with(path, ring, writer));
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
