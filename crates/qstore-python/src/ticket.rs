//! The pending result of a save: waited for without the GIL, and awaited through a pipe.
//!
//! An event loop waits for the reading end, so that no thread of this crate takes the GIL. The waker owns both ends: an
//! await that is canceled must not close a number that the waker still writes to.

use crate::errors::of_save;
use crate::memory;
use crate::waiting::{self, Deadline};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use qstore_checkpoint::{Outcome, SaveError};
use qstore_zarr::SaveTicket;

/// The pending result of one save.
#[pyclass(module = "qstore._native", frozen)]
pub(crate) struct Ticket {
    ticket: SaveTicket,
}

impl Ticket {
    pub(crate) fn new(ticket: SaveTicket) -> Self {
        Self { ticket }
    }
}

#[pymethods]
impl Ticket {
    /// The epoch or step that is being saved.
    #[getter]
    fn number(&self) -> u64 {
        self.ticket.number()
    }

    /// Whether the save has ended.
    #[getter]
    fn done(&self) -> bool {
        self.ticket.is_done()
    }

    /// Waits until the save has ended, and returns how.
    #[pyo3(signature = (timeout=None))]
    fn wait<'py>(&self, py: Python<'py>, timeout: Option<f64>) -> PyResult<Bound<'py, PyDict>> {
        let deadline = Deadline::after(timeout)?;
        let is_decided = |waited: &Result<Outcome, SaveError>| {
            !matches!(waited, Err(SaveError::TimedOut { .. }))
        };
        let waited = waiting::until(py, deadline, |slice| self.ticket.wait(slice), is_decided)?;
        memory::release(py);
        match waited {
            Ok(outcome) => of_outcome(py, self.ticket.number(), &outcome),
            Err(SaveError::TimedOut { number, .. }) => {
                Err(of_save(&SaveError::TimedOut { number, waited: waiting::waited(timeout) }))
            }
            Err(error) => Err(of_save(&error)),
        }
    }

    /// What becomes readable when the save has ended; None if it has, or if this system has no such thing.
    fn notifier(&self) -> PyResult<Option<Notifier>> {
        Ok(Notifier::of(&self.ticket)?)
    }
}

#[cfg(unix)]
pub(crate) use pipe::Notifier;

#[cfg(unix)]
mod pipe {
    use super::{SaveTicket, pyclass, pymethods};
    use std::future::Future;
    use std::io::{self, PipeReader, PipeWriter, Write as _};
    use std::os::fd::{AsRawFd as _, RawFd};
    use std::pin::Pin;
    use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
    use std::task::{Context, Wake, Waker};

    /// A file descriptor that becomes readable when a save has ended.
    #[pyclass(module = "qstore._native", frozen)]
    pub(crate) struct Notifier {
        open: Mutex<Option<Open>>,
    }

    struct Open {
        pipe: Arc<Pipe>,
        /// It knows its waker as long as it lives.
        _ticket: SaveTicket,
    }

    struct Pipe {
        reader: PipeReader,
        writer: PipeWriter,
    }

    impl Wake for Pipe {
        fn wake(self: Arc<Self>) {
            // Once for each pipe, so it cannot be full; and the reading end is ours, so it is open.
            let _ = (&self.writer).write(&[1]);
        }
    }

    impl Notifier {
        pub(super) fn of(ticket: &SaveTicket) -> io::Result<Option<Self>> {
            let (reader, writer) = io::pipe()?;
            let pipe = Arc::new(Pipe { reader, writer });
            let waker = Waker::from(Arc::clone(&pipe));
            let mut ticket = ticket.clone();
            if Pin::new(&mut ticket).poll(&mut Context::from_waker(&waker)).is_ready() {
                return Ok(None);
            }
            Ok(Some(Self { open: Mutex::new(Some(Open { pipe, _ticket: ticket })) }))
        }

        fn lock(&self) -> MutexGuard<'_, Option<Open>> {
            self.open.lock().unwrap_or_else(PoisonError::into_inner)
        }
    }

    #[pymethods]
    impl Notifier {
        /// The number of the descriptor, which is open until `close`; -1 afterwards.
        fn fileno(&self) -> RawFd {
            self.lock().as_ref().map_or(-1, |open| open.pipe.reader.as_raw_fd())
        }

        /// Closes the descriptor, as soon as no waker is writing to it.
        fn close(&self) {
            let open = self.lock().take();
            drop(open);
        }
    }
}

#[cfg(not(unix))]
pub(crate) use none::Notifier;

#[cfg(not(unix))]
mod none {
    use super::{SaveTicket, pyclass, pymethods};
    use std::io;

    /// Not on this system.
    #[pyclass(module = "qstore._native", frozen)]
    pub(crate) struct Notifier {}

    impl Notifier {
        pub(super) fn of(_: &SaveTicket) -> io::Result<Option<Self>> {
            Ok(None)
        }
    }

    #[pymethods]
    impl Notifier {
        /// Never called, because there is none.
        #[expect(clippy::unused_self, reason = "as on other systems")]
        fn fileno(&self) -> i32 {
            -1
        }

        /// Does nothing.
        #[expect(clippy::unused_self, reason = "as on other systems")]
        fn close(&self) {}
    }
}

/// How a save ended, as a dict.
fn of_outcome<'py>(
    py: Python<'py>,
    number: u64,
    outcome: &Outcome,
) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("epoch", number)?;
    match outcome {
        Outcome::Saved(saved) => {
            dict.set_item("kind", "saved")?;
            dict.set_item("save_seq", saved.save_seq)?;
            dict.set_item("stored_bytes", saved.stored_bytes)?;
            dict.set_item("linked_bytes", saved.linked_bytes)?;
            dict.set_item("seconds", saved.duration.as_secs_f64())?;
            dict.set_item("removed", &saved.removed)?;
            dict.set_item("retention_error", saved.retention.as_ref().map(ToString::to_string))?;
            dict.set_item("unranked", saved.unranked.as_ref().map(ToString::to_string))?;
        }
        Outcome::Superseded { by } => {
            dict.set_item("kind", "superseded")?;
            dict.set_item("superseded_by", by)?;
        }
        _ => dict.set_item("kind", "skipped")?,
    }
    Ok(dict)
}
