//! Settings as Python passes them, and outcomes.

use crate::errors::{ForkedError, StoppedError, of_setting};
use pyo3::PyResult;
use pyo3::exceptions::PyValueError;
use qstore_buffer::PushError;
use qstore_parquet::{Compression, Error, WriterSettings};
use qstore_schema::Logged;
use std::time::Duration;

pub(crate) fn writer(
    flush_interval: usize,
    flush_seconds: f64,
    compression: &str,
) -> PyResult<WriterSettings> {
    let flush_after = Duration::try_from_secs_f64(flush_seconds).map_err(|_| {
        PyValueError::new_err(format!(
            "flush_seconds is {flush_seconds}; choose a number of seconds above 0 (default 10.0)"
        ))
    })?;
    let compression: Compression = compression.parse().map_err(|error| of_setting(&error))?;
    Ok(WriterSettings::default()
        .flush_interval(flush_interval)
        .flush_after(flush_after)
        .compression(compression))
}

/// What became of a row that was pushed.
pub(crate) fn outcome<T>(pushed: &Result<(), PushError<T>>) -> PyResult<Logged> {
    match pushed {
        Ok(()) => Ok(Logged::Accepted),
        Err(PushError::Full(_)) => Ok(Logged::Dropped),
        Err(PushError::Closed(_)) => Err(StoppedError::new_err(Error::Stopped.to_string())),
        Err(PushError::Forked(_)) => Err(ForkedError::new_err(Error::Forked.to_string())),
    }
}

/// Whether waiting longer cannot change the result.
pub(crate) fn is_decided<T>(result: &Result<T, Error>) -> bool {
    !matches!(result, Err(Error::TimedOut { .. }))
}
