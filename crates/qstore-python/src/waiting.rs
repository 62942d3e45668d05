//! Waiting without the GIL, in slices, so that Ctrl-C arrives.

use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

/// Signals are looked at between two slices.
const SLICE: Duration = Duration::from_millis(50);

/// When a wait ends; `None` is never.
#[derive(Clone, Copy)]
pub(crate) struct Deadline(Option<Instant>);

impl Deadline {
    /// `None` and more seconds than a clock can count wait without a limit.
    ///
    /// # Errors
    /// `ValueError` for a negative number and for NaN.
    pub(crate) fn after(seconds: Option<f64>) -> PyResult<Self> {
        let Some(seconds) = seconds else { return Ok(Self(None)) };
        if seconds.is_nan() || seconds < 0.0 {
            return Err(PyValueError::new_err(format!(
                "timeout is {seconds}; it must be None or a number of seconds that is not negative"
            )));
        }
        let time = Duration::try_from_secs_f64(seconds).ok();
        Ok(Self(time.and_then(|time| Instant::now().checked_add(time))))
    }

    /// How long the next slice takes.
    fn slice(self) -> Duration {
        self.0.map_or(SLICE, |end| end.saturating_duration_since(Instant::now()).min(SLICE))
    }

    fn is_over(self) -> bool {
        self.0.is_some_and(|end| Instant::now() >= end)
    }
}

/// Repeats `try_for` without the GIL until it is done or the time is up; then it returns what the last try
/// returned.
///
/// # Errors
/// What a signal handler raises, such as `KeyboardInterrupt`.
pub(crate) fn until<T: Send>(
    py: Python<'_>,
    deadline: Deadline,
    mut try_for: impl FnMut(Duration) -> T + Send,
    is_done: impl Fn(&T) -> bool,
) -> PyResult<T> {
    loop {
        let slice = deadline.slice();
        let tried = py.detach(|| try_for(slice));
        if is_done(&tried) || deadline.is_over() {
            return Ok(tried);
        }
        drop(tried);
        py.check_signals()?;
    }
}

/// The time that was waited for, as a message says it.
pub(crate) fn waited(timeout: Option<f64>) -> Duration {
    Duration::try_from_secs_f64(timeout.unwrap_or(0.0)).unwrap_or_default()
}

/// Does what cannot be interrupted in a thread of its own, which never takes the GIL, and waits for it.
///
/// # Errors
/// What a signal handler raises. The thread goes on, and its result is dropped. `OSError` if it cannot be started.
pub(crate) fn elsewhere<T: Send + 'static>(
    py: Python<'_>,
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> PyResult<T> {
    let (sender, mut results) = channel();
    // Nobody receives after an interrupt.
    let run = move || drop(sender.send(work()));
    thread::Builder::new().name(name.into()).spawn(run)?;
    loop {
        let received = py.detach(|| {
            let received = results.recv_timeout(SLICE);
            (received, results)
        });
        match received.0 {
            Ok(result) => return Ok(result),
            Err(RecvTimeoutError::Timeout) => py.check_signals()?,
            Err(RecvTimeoutError::Disconnected) => {
                return Err(PyRuntimeError::new_err(format!(
                    "the thread {name} panicked; its message is in the standard error output"
                )));
            }
        }
        results = received.1;
    }
}
