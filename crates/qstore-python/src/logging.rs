//! What every call that logs does: a row into the ring, an outcome, and each kind of loss warned of once.

use crate::errors::of_log;
use crate::logged::Logged;
use crate::values;
use pyo3::PyClass;
use pyo3::exceptions::PyRuntimeWarning;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use qstore_logger::{LogError, LogHandle, MetricsRow};
use qstore_os::ForkCheck;
use qstore_schema::{Logged as Outcome, Row};
use std::ffi::CString;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

/// The way of rows into the ring of a logger. It takes no lock.
pub(crate) struct Logging {
    handle: LogHandle,
    home: ForkCheck,
    has_warned_of_drops: AtomicBool,
    has_warned_of_fork: AtomicBool,
}

/// A class that has `log_step`.
pub(crate) trait LogsSteps: PyClass {
    /// Logs a row, stamped with the time of this call.
    ///
    /// # Errors
    /// `StoppedError` after the end.
    fn log_step(this: &Bound<'_, Self>, step: i64, row: MetricsRow) -> PyResult<Py<Logged>>;
}

impl Logging {
    pub(crate) fn new(handle: LogHandle) -> Self {
        Self {
            handle,
            home: ForkCheck::new(),
            has_warned_of_drops: AtomicBool::new(false),
            has_warned_of_fork: AtomicBool::new(false),
        }
    }

    /// Whether this process was forked from the one that opened the logger.
    pub(crate) fn is_forked(&self) -> bool {
        self.home.is_forked()
    }

    /// Before a lock, which another thread of the parent may have held at the fork.
    pub(crate) fn check_process(&self) -> PyResult<()> {
        if self.is_forked() { Err(of_log(&LogError::Forked)) } else { Ok(()) }
    }

    /// Logs a row, stamped with the time of this call.
    #[inline]
    pub(crate) fn log_step(
        &self,
        py: Python<'_>,
        step: i64,
        row: MetricsRow,
    ) -> PyResult<Py<Logged>> {
        self.outcome(py, Some(step), self.handle.log_step(row))
    }

    /// Logs a whole row: any names, of which fixed columns are set by theirs.
    pub(crate) fn log_row(&self, row: &Bound<'_, PyDict>) -> PyResult<Py<Logged>> {
        let mut logged = MetricsRow::default();
        values::each(row, |name, value| {
            logged.set(name, value);
        })?;
        self.outcome(row.py(), None, self.handle.log(logged))
    }

    /// Logs one row that sums up an epoch, with step -1.
    pub(crate) fn log_epoch(
        &self,
        epoch: i64,
        train_metrics: &Bound<'_, PyDict>,
        val_metrics: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Py<Logged>> {
        let train = values::row(train_metrics)?;
        let val = val_metrics.map(values::row).transpose()?.unwrap_or_else(Row::new);
        self.outcome(train_metrics.py(), None, self.handle.log_epoch(epoch, train, val))
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
