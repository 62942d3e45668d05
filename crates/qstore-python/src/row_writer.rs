//! A writer of rows whose columns are whatever their dicts have.

use crate::errors::of_writer;
use crate::logged::Logged;
use crate::waiting::{self, Deadline};
use crate::{settings, stats, values};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use qstore_buffer::{AsyncBuffer, BufferSettings, Overflow};
use qstore_os::ForkCheck;
use qstore_parquet::{AsyncMetricsWriter, Error};
use qstore_schema::{Logged as Outcome, Row};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Rows as dicts, into one Parquet file.
#[pyclass(module = "qstore._native", frozen)]
pub(crate) struct RowWriter {
    rows: AsyncBuffer<Row>,
    writer: Mutex<AsyncMetricsWriter<Row>>,
    home: ForkCheck,
}

impl RowWriter {
    fn with<T>(&self, run: impl FnOnce(&mut AsyncMetricsWriter<Row>) -> T) -> T {
        run(&mut self.writer.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn check_process(&self) -> PyResult<()> {
        if self.home.is_forked() { Err(of_writer(&Error::Forked)) } else { Ok(()) }
    }
}

#[pymethods]
impl RowWriter {
    #[new]
    #[pyo3(signature = (path, buffer_size, flush_interval, flush_seconds, compression, block_seconds))]
    fn new(
        py: Python<'_>,
        path: PathBuf,
        buffer_size: usize,
        flush_interval: usize,
        flush_seconds: f64,
        compression: &str,
        block_seconds: f64,
    ) -> PyResult<Self> {
        let writer = settings::writer(flush_interval, flush_seconds, compression)?;
        let overflow = Overflow::BlockFor(Duration::from_secs_f64(block_seconds.max(0.0)));
        let ring = BufferSettings::default().name("rows").maxsize(buffer_size).overflow(overflow);
        let rows = AsyncBuffer::with_settings(ring).map_err(|e| crate::errors::of_setting(&e))?;
        let started = py.detach(|| AsyncMetricsWriter::start(rows.clone(), path, writer));
        let writer = Mutex::new(started.map_err(|error| of_writer(&error))?);
        Ok(Self { rows, writer, home: ForkCheck::new() })
    }

    /// Logs one row.
    fn log(&self, py: Python<'_>, row: &Bound<'_, PyDict>) -> PyResult<Py<Logged>> {
        let row = values::row(row)?;
        let pushed = if self.rows.is_full() {
            py.detach(|| self.rows.push(row))
        } else {
            self.rows.push(row)
        };
        match settings::outcome(&pushed)? {
            Outcome::Accepted => Logged::accepted(py),
            _ => Logged::dropped(py),
        }
    }

    /// Waits until every row that was logged before is in the file.
    #[pyo3(signature = (timeout=None))]
    fn flush(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<()> {
        self.check_process()?;
        let deadline = Deadline::after(timeout)?;
        let flush = |slice| self.with(|writer| writer.flush(slice));
        waiting::until(py, deadline, flush, settings::is_decided)?
            .map_err(|error| of_writer(&error))
    }

    /// Writes everything, closes the file and ends the thread.
    #[pyo3(signature = (timeout=None))]
    fn stop<'py>(&self, py: Python<'py>, timeout: Option<f64>) -> PyResult<Bound<'py, PyDict>> {
        self.check_process()?;
        let deadline = Deadline::after(timeout)?;
        let stop = |slice| self.with(|writer| writer.stop(slice));
        let stopped = waiting::until(py, deadline, stop, Result::is_ok)?;
        stats::of_writer(py, &stopped.map_err(|error| of_writer(&error))?)
    }

    /// The counters as of the last round.
    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        self.check_process()?;
        stats::of_writer(py, &py.detach(|| self.with(|writer| writer.stats())))
    }

    /// The first error, and what was lost.
    fn health<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        self.check_process()?;
        stats::of_health(py, &py.detach(|| self.with(|writer| writer.health())))
    }
}
