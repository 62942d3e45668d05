//! Settings as Python passes them, and outcomes.

use crate::errors::{ForkedError, StoppedError, of_setting};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use qstore_buffer::{Overflow, PushError};
use qstore_checkpoint::retention::Goal;
use qstore_checkpoint::{Counter, Layout};
use qstore_logger::LoggerSettings;
use qstore_parquet::{Compression, Error, WriterSettings};
use qstore_schema::Logged;
use qstore_zarr::{Busy, CheckpointSettings};
use std::time::Duration;

/// The ring of a logger.
///
/// # Errors
/// `ValueError`, which names the setting and the choices.
pub(crate) fn ring(buffer_size: usize, overflow: &str) -> PyResult<LoggerSettings> {
    let choices = [("drop_newest", Overflow::DropNewest), ("drop_oldest", Overflow::DropOldest)];
    let overflow = choice("overflow", overflow, choices)?;
    Ok(LoggerSettings::default().buffer_size(buffer_size).overflow(overflow))
}

/// A time in seconds.
///
/// # Errors
/// `ValueError`, which names the setting, for what is not a time.
pub(crate) fn seconds(setting: &str, seconds: f64, default: &str) -> PyResult<Duration> {
    Duration::try_from_secs_f64(seconds).map_err(|_| {
        PyValueError::new_err(format!(
            "{setting} is {seconds}; choose a number of seconds above 0 (default {default})"
        ))
    })
}

pub(crate) fn writer(
    flush_interval: usize,
    flush_seconds: f64,
    compression: &str,
) -> PyResult<WriterSettings> {
    let flush_after = seconds("flush_seconds", flush_seconds, "10.0")?;
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

/// The settings of a logger as Python passes them, in a dict.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct Metrics {
    buffer_size: usize,
    flush_interval: usize,
    flush_seconds: f64,
    compression: String,
    overflow: String,
}

impl Metrics {
    /// The settings of the ring and of the file.
    ///
    /// # Errors
    /// `ValueError`, which names the setting.
    pub(crate) fn parsed(self) -> PyResult<(LoggerSettings, WriterSettings)> {
        let ring = ring(self.buffer_size, &self.overflow)?;
        let writer = writer(self.flush_interval, self.flush_seconds, &self.compression)?;
        Ok((ring, writer))
    }
}

/// The settings of a checkpoint manager as Python passes them, in a dict.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct Checkpoints {
    keep_last: usize,
    /// How many, by which metric, and whether `min` or `max` is best.
    keep_best: Option<(usize, String, String)>,
    keep_every: Option<u64>,
    compression: String,
    layout: String,
    counter: Option<String>,
    busy: String,
    deduplicate: bool,
    workers: Option<usize>,
}

impl Checkpoints {
    /// The settings that they mean.
    ///
    /// # Errors
    /// `ValueError`, which names the setting and the choices.
    pub(crate) fn parsed(self) -> PyResult<CheckpointSettings> {
        let layouts = [("file", Layout::SingleFile), ("directory", Layout::Directory)];
        let policies =
            [("wait", Busy::Wait), ("skip", Busy::Skip), ("coalesce", Busy::CoalesceLatest)];
        let counters = [("epoch", Counter::Epoch), ("step", Counter::Step)];
        let goals = [("min", Goal::Lowest), ("max", Goal::Highest)];
        let compression: Compression =
            self.compression.parse().map_err(|error| of_setting(&error))?;
        let mut settings = CheckpointSettings::default()
            .keep_last(self.keep_last)
            .compression(compression)
            .layout(choice("layout", &self.layout, layouts)?)
            .busy(choice("busy", &self.busy, policies)?)
            .deduplicate(self.deduplicate)
            .drop_timeout(DROP_TIMEOUT);
        if let Some(counter) = self.counter {
            settings = settings.counter(choice("counter", &counter, counters)?);
        }
        if let Some((count, metric, goal)) = self.keep_best {
            settings = settings.keep_best(count, metric, choice("keep_best", &goal, goals)?);
        }
        if let Some(numbers) = self.keep_every {
            settings = settings.keep_every(numbers);
        }
        if let Some(workers) = self.workers {
            settings = settings.workers(workers);
        }
        Ok(settings)
    }
}

/// The package closes a manager before it is dropped, and waits there with the GIL for others.
const DROP_TIMEOUT: Duration = Duration::from_millis(100);

pub(crate) fn choice<T: Copy, const COUNT: usize>(
    setting: &str,
    given: &str,
    choices: [(&str, T); COUNT],
) -> PyResult<T> {
    let found = choices.iter().find(|(name, _)| *name == given);
    found.map(|(_, value)| *value).ok_or_else(|| {
        let names: Vec<_> = choices.iter().map(|(name, _)| format!("{name:?}")).collect();
        let (default, names) = (&names[0], names.join(" or "));
        PyValueError::new_err(format!("{setting} is {given:?}; choose {names} (default {default})"))
    })
}
