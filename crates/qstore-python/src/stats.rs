//! Counters as dicts, under the names that the original package has.

use pyo3::prelude::*;
use pyo3::types::PyDict;
use qstore_buffer::{BufferStats, Health, Loss};
use qstore_logger::LoggerStats;
use qstore_parquet::WriterStats;
use std::fmt;

/// The counters of a logger, as `{"buffer": …, "writer": …}`.
pub(crate) fn of_logger<'py>(
    py: Python<'py>,
    stats: &LoggerStats<WriterStats>,
) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("buffer", of_buffer(py, &stats.buffer)?)?;
    dict.set_item("writer", of_writer(py, &stats.writer)?)?;
    Ok(dict)
}

pub(crate) fn of_buffer<'py>(py: Python<'py>, stats: &BufferStats) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("name", &stats.name)?;
    dict.set_item("size", stats.size)?;
    dict.set_item("maxsize", stats.maxsize)?;
    dict.set_item("pushed", stats.pushed)?;
    dict.set_item("popped", stats.popped)?;
    dict.set_item("dropped", stats.dropped)?;
    dict.set_item("drop_rate", stats.drop_rate)?;
    dict.set_item("utilization", stats.utilization)?;
    dict.set_item("uptime_seconds", stats.uptime.as_secs_f64())?;
    dict.set_item("evicted", stats.evicted)?;
    dict.set_item("refused", stats.refused)?;
    dict.set_item("first_lost", stats.lost_first)?;
    dict.set_item("last_lost", stats.lost_last)?;
    Ok(dict)
}

pub(crate) fn of_writer<'py>(py: Python<'py>, stats: &WriterStats) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("rows_written", stats.rows_written)?;
    dict.set_item("flushes", stats.flushes)?;
    dict.set_item("errors", stats.errors)?;
    dict.set_item("pending_rows", stats.pending_rows)?;
    dict.set_item("output_path", stats.output_path.to_string_lossy())?;
    dict.set_item("file_rows", stats.file_rows)?;
    dict.set_item("rejected_rows", stats.rejected_rows)?;
    dict.set_item("omitted_values", stats.omitted_values)?;
    dict.set_item("last_rejection", stats.last_rejection.as_deref())?;
    dict.set_item("bytes_written", stats.bytes_written)?;
    Ok(dict)
}

/// What the background thread reports: its first error, and what was lost, by kind.
pub(crate) fn of_health<'py, E: fmt::Display>(
    py: Python<'py>,
    health: &Health<E>,
) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("first_error", health.first_error.as_ref().map(ToString::to_string))?;
    dict.set_item("errors", health.errors)?;
    let losses = PyDict::new(py);
    for lost in &health.losses {
        let kind = match lost.loss {
            Loss::Dropped => "dropped",
            Loss::Evicted => "evicted",
            Loss::Rejected => "rejected",
            Loss::Incomplete => "incomplete",
            _ => "other",
        };
        let each = PyDict::new(py);
        each.set_item("count", lost.count)?;
        each.set_item("first", lost.first)?;
        each.set_item("reason", &*lost.reason)?;
        losses.set_item(kind, each)?;
    }
    dict.set_item("losses", losses)?;
    Ok(dict)
}
