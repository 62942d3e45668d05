//! The logger. Its method `log_step` is in `step`.

use crate::errors::{of_drain, of_log, of_logger_open};
use crate::logged::Logged;
use crate::waiting::{self, Deadline};
use crate::{settings, stats, values};
use pyo3::exceptions::{PyRuntimeWarning, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use qstore_buffer::{DrainError, Overflow};
use qstore_logger::{LogError, LogHandle, LoggerSettings, MetricsRow, ParquetMetricsLogger};
use qstore_os::ForkCheck;
use qstore_schema::{Logged as Outcome, Row};
use std::ffi::CString;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Mutex, PoisonError};

/// Rows of training metrics, into one Parquet file.
#[pyclass(module = "qstore._native", frozen, subclass, weakref)]
pub(crate) struct Logger {
    handle: LogHandle,
    /// `log_step` does not take it.
    owner: Mutex<ParquetMetricsLogger>,
    home: ForkCheck,
    has_warned_of_drops: AtomicBool,
    has_warned_of_fork: AtomicBool,
}

impl Logger {
    fn with<T>(&self, run: impl FnOnce(&mut ParquetMetricsLogger) -> T) -> T {
        run(&mut self.owner.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Before the lock, which another thread of the parent may have held at the fork.
    fn check_process(&self) -> PyResult<()> {
        if self.home.is_forked() { Err(of_log(&LogError::Forked)) } else { Ok(()) }
    }

    /// Logs a row, stamped with the time of this call.
    #[inline]
    pub(crate) fn log(
        &self,
        py: Python<'_>,
        step: Option<i64>,
        row: MetricsRow,
    ) -> PyResult<Py<Logged>> {
        self.outcome(py, step, self.handle.log_step(row))
    }

    /// Neither a full ring nor a forked child ends a loop. Each is warned of once.
    #[inline]
    fn outcome(
        &self,
        py: Python<'_>,
        step: Option<i64>,
        logged: Result<Outcome, LogError>,
    ) -> PyResult<Py<Logged>> {
        match logged {
            Ok(Outcome::Accepted) => Logged::accepted(py),
            Ok(_) => {
                let step =
                    step.map_or_else(|| "a row".into(), |step| format!("the row of step {step}"));
                let what = format!(
                    "the buffer was full, and {step} was dropped; increase buffer_size or log less \
                     often. Further losses are counted in stats() and health()"
                );
                warn_once(py, &self.has_warned_of_drops, what)?;
                Logged::dropped(py)
            }
            Err(error @ LogError::Forked) => {
                warn_once(py, &self.has_warned_of_fork, error.to_string())?;
                Logged::forked(py)
            }
            Err(error) => Err(of_log(&error)),
        }
    }
}

#[cold]
fn warn_once(py: Python<'_>, has_warned: &AtomicBool, what: String) -> PyResult<()> {
    if has_warned.swap(true, Relaxed) {
        return Ok(());
    }
    let what = CString::new(what).expect("our messages have no zero byte");
    PyErr::warn(py, &py.get_type::<PyRuntimeWarning>(), &what, 1)
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
        let overflow = match overflow {
            "drop_newest" => Overflow::DropNewest,
            "drop_oldest" => Overflow::DropOldest,
            other => {
                return Err(PyValueError::new_err(format!(
                    "overflow is {other:?}; choose 'drop_newest' (default) or 'drop_oldest'"
                )));
            }
        };
        let ring = LoggerSettings::default().buffer_size(buffer_size).overflow(overflow);
        let writer = settings::writer(flush_interval, flush_seconds, compression)?;
        let opened = py.detach(|| ParquetMetricsLogger::open_with(path, ring, writer));
        let logger = opened.map_err(|error| of_logger_open(&error))?;
        let handle = logger.handle();
        Ok(Self {
            handle,
            owner: Mutex::new(logger),
            home: ForkCheck::new(),
            has_warned_of_drops: AtomicBool::new(false),
            has_warned_of_fork: AtomicBool::new(false),
        })
    }

    /// Logs a whole row: any names, of which fixed columns are set by theirs.
    fn log_row(&self, py: Python<'_>, row: &Bound<'_, PyDict>) -> PyResult<Py<Logged>> {
        let mut logged = MetricsRow::default();
        values::each(row, |name, value| {
            logged.set(name, value);
        })?;
        self.outcome(py, None, self.handle.log(logged))
    }

    /// Logs one row that sums up an epoch, with step -1.
    #[pyo3(signature = (epoch, train_metrics, val_metrics=None))]
    fn log_epoch(
        &self,
        py: Python<'_>,
        epoch: i64,
        train_metrics: &Bound<'_, PyDict>,
        val_metrics: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Py<Logged>> {
        let train = values::row(train_metrics)?;
        let val = val_metrics.map(values::row).transpose()?.unwrap_or_else(Row::new);
        self.outcome(py, None, self.handle.log_epoch(epoch, train, val))
    }

    /// Waits until every row that was logged before is in the file.
    #[pyo3(signature = (timeout=None))]
    fn flush(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<()> {
        self.check_process()?;
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
        self.check_process()?;
        let deadline = Deadline::after(timeout)?;
        let stop = |slice| self.with(|logger| logger.stop(slice));
        waiting::until(py, deadline, stop, Result::is_ok)?.map_err(of_drain)?;
        self.stats(py)
    }

    /// The counters, as `{"buffer": …, "writer": …}`.
    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        self.check_process()?;
        let now = py.detach(|| self.with(|logger| logger.stats()));
        let dict = PyDict::new(py);
        dict.set_item("buffer", stats::of_buffer(py, &now.buffer)?)?;
        dict.set_item("writer", stats::of_writer(py, &now.writer)?)?;
        Ok(dict)
    }

    /// The first error, and what was lost.
    fn health<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        self.check_process()?;
        stats::of_health(py, &py.detach(|| self.with(|logger| logger.health())))
    }

    /// Whether this process was forked from the one that opened the logger.
    #[getter]
    fn is_forked(&self) -> bool {
        self.home.is_forked()
    }
}
