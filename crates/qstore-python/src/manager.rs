//! The checkpoint manager: saves in the background.

use crate::checkpoints::Checkpoints;
use crate::errors::{of_checkpoints_open, of_save};
use crate::memory;
use crate::saver::{Draft, Saver, Saves};
use crate::ticket::Ticket;
use crate::waiting::{self, Deadline};
use crate::{settings, stats, tree};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use qstore_checkpoint::{SaveError, Snapshot};
use qstore_os::ForkCheck;
use qstore_zarr::{Busy, CheckpointManager};
use std::path::PathBuf;
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

/// Saves checkpoints in the background.
#[pyclass(module = "qstore._native", frozen)]
pub(crate) struct Manager {
    /// For writing only to close it.
    saving: RwLock<CheckpointManager>,
    saver: Saver,
    home: ForkCheck,
}

impl Saves for Manager {
    fn with<T>(&self, run: impl FnOnce(&CheckpointManager) -> T) -> T {
        run(&self.saving.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Manager {
    /// Before the lock, which another thread of the parent may have held at the fork.
    fn check_process(&self) -> PyResult<()> {
        if self.home.is_forked() { Err(of_save(&SaveError::Forked)) } else { Ok(()) }
    }
}

#[pymethods]
impl Manager {
    #[new]
    #[pyo3(signature = (path, settings))]
    fn new(py: Python<'_>, path: PathBuf, settings: settings::Checkpoints) -> PyResult<Self> {
        let settings = settings.parsed()?;
        let may_wait = settings.busy == Busy::Wait;
        let opened = py.detach(|| CheckpointManager::open(path, settings));
        let manager = opened.map_err(|error| of_checkpoints_open(&error))?;
        let saver = Saver::new(manager.checkpoints().clone(), may_wait);
        Ok(Self { saving: RwLock::new(manager), saver, home: ForkCheck::new() })
    }

    /// The checkpoints, to be read.
    #[getter]
    fn checkpoints(&self) -> Checkpoints {
        // Not of the manager, whose lock another thread of the parent may have held at a fork.
        Checkpoints::over(self.saver.checkpoints().clone())
    }

    /// A checkpoint to be, with everything but its state.
    #[staticmethod]
    fn draft(number: u64, metadata: &Bound<'_, PyDict>) -> PyResult<Draft> {
        Ok(Draft::new(Snapshot::new(number).metadata(tree::metadata(metadata)?)))
    }

    /// Takes the state of a draft now and saves it in the background.
    fn save(&self, py: Python<'_>, draft: &Draft, parts: &Bound<'_, PyDict>) -> PyResult<Ticket> {
        self.check_process()?;
        self.saver.save(py, self, draft, parts)
    }

    /// Allocates the memory for a snapshot of such states, so that the first save is as fast as the later ones.
    fn reserve(&self, py: Python<'_>, parts: &Bound<'_, PyDict>, wait: bool) -> PyResult<()> {
        self.check_process()?;
        self.saver.reserve(py, parts, wait)
    }

    /// The bytes of memory that wait for the next save.
    #[getter]
    fn reserved_bytes(&self) -> u64 {
        self.saver.reserved_bytes()
    }

    /// The number of saves that are running or waiting.
    #[getter]
    fn pending(&self) -> usize {
        if self.home.is_forked() { 0 } else { self.with(CheckpointManager::pending) }
    }

    /// The first failure in the background, and the saves that were skipped or superseded.
    fn health<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        self.check_process()?;
        stats::of_health(py, &py.detach(|| self.with(CheckpointManager::health)))
    }

    /// Waits for all saves and ends the thread.
    #[pyo3(signature = (timeout=None))]
    fn close(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<()> {
        self.check_process()?;
        let deadline = Deadline::after(timeout)?;
        let close = |slice: Duration| {
            self.saving.write().unwrap_or_else(PoisonError::into_inner).close(slice)
        };
        let is_decided = |closed: &Result<(), SaveError>| {
            !matches!(closed, Err(SaveError::CloseTimedOut { .. }))
        };
        let closed = waiting::until(py, deadline, close, is_decided)?;
        memory::release(py);
        match closed {
            Err(SaveError::CloseTimedOut { .. }) => {
                Err(of_save(&SaveError::CloseTimedOut { waited: waiting::waited(timeout) }))
            }
            closed => closed.map_err(|error| of_save(&error)),
        }
    }

    /// Whether this process was forked from the one that opened the manager.
    #[getter]
    fn is_forked(&self) -> bool {
        self.home.is_forked()
    }
}
