//! Settings as Python passes them, and outcomes.

use crate::errors::{ForkedError, StoppedError, of_setting};
use pyo3::PyResult;
use pyo3::exceptions::PyValueError;
use qstore_buffer::PushError;
use qstore_checkpoint::retention::Goal;
use qstore_checkpoint::{Counter, Layout};
use qstore_parquet::{Compression, Error, WriterSettings};
use qstore_schema::Logged;
use qstore_zarr::{Busy, CheckpointSettings};
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

/// The settings of a checkpoint manager as Python passes them.
pub(crate) struct Checkpoints<'a> {
    pub(crate) keep_last: usize,
    /// How many, by which metric, and whether `min` or `max` is best.
    pub(crate) keep_best: Option<(usize, String, String)>,
    pub(crate) keep_every: Option<u64>,
    pub(crate) compression: &'a str,
    pub(crate) layout: &'a str,
    pub(crate) counter: Option<&'a str>,
    pub(crate) busy: &'a str,
    pub(crate) deduplicate: bool,
    pub(crate) workers: Option<usize>,
}

impl Checkpoints<'_> {
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
            .layout(choice("layout", self.layout, layouts)?)
            .busy(choice("busy", self.busy, policies)?)
            .deduplicate(self.deduplicate)
            .drop_timeout(DROP_TIMEOUT);
        if let Some(counter) = self.counter {
            settings = settings.counter(choice("counter", counter, counters)?);
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

fn choice<T: Copy, const COUNT: usize>(
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
