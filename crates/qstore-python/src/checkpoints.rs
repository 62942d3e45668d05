//! The checkpoint manager.
//!
//! A save takes its state before it returns: it waits for room, walks the tree, and copies the arrays into memory of its
//! own without the GIL. Reading needs neither the manager's lock nor its thread.

use crate::arena::Arena;
use crate::errors::{of_arena, of_checkpoints_open, of_load, of_save};
use crate::objects::Objects;
use crate::ticket::Ticket;
use crate::tree::{Walked, metadata, unwrapped};
use crate::waiting::{self, Deadline};
use crate::{settings, stats};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString};
use qstore_checkpoint::{Checkpoint, CheckpointInfo, LoadError, SaveError, Snapshot};
use qstore_os::ForkCheck;
use qstore_zarr::{ArenaError, Busy, CheckpointManager, Checkpoints, StagingArena, TrySave};
use std::path::PathBuf;
use std::sync::{PoisonError, RwLock};
use std::thread;
use std::time::{Duration, UNIX_EPOCH};

/// The numbers of checkpoints that could not be loaded, and why.
type Skipped = Vec<(u64, String)>;

/// Saves checkpoints in the background and loads them.
#[pyclass(module = "qstore._native", frozen)]
pub(crate) struct Manager {
    /// For writing only to close it.
    saving: RwLock<CheckpointManager>,
    checkpoints: Checkpoints,
    arena: Arena,
    may_wait: bool,
    home: ForkCheck,
}

impl Manager {
    fn with<T>(&self, run: impl FnOnce(&CheckpointManager) -> T) -> T {
        run(&self.saving.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Before the lock, which another thread of the parent may have held at the fork.
    fn check_process(&self) -> PyResult<()> {
        if self.home.is_forked() { Err(of_save(&SaveError::Forked)) } else { Ok(()) }
    }

    /// Waits until a save would not have to, with the GIL for others.
    fn wait_for_room(&self, py: Python<'_>) -> PyResult<()> {
        if self.may_wait {
            let forever = Deadline::after(None)?;
            let wait = |slice| self.with(|manager| manager.wait_for_room(slice));
            waiting::until(py, forever, wait, |has_room| *has_room)?;
        }
        Ok(())
    }

    /// Walks the trees of parts.
    fn walked(parts: &Bound<'_, PyDict>) -> PyResult<Walked> {
        let mut walked = Walked::default();
        for (name, tree) in parts {
            walked.part(&name.cast::<PyString>()?.to_cow()?, &tree)?;
        }
        Ok(walked)
    }

    /// For what takes long. An interrupt arrives within one slice of the wait.
    fn read_all<T: Send + 'static>(
        &self,
        py: Python<'_>,
        read: impl FnOnce(&Checkpoints) -> Result<T, LoadError> + Send + 'static,
    ) -> PyResult<T> {
        let checkpoints = self.checkpoints.clone();
        let read = move || read(&checkpoints);
        waiting::elsewhere(py, "qstore-load", read)?.map_err(|error| of_load(&error))
    }

    fn read<T: Send>(
        &self,
        py: Python<'_>,
        read: impl FnOnce(&Checkpoints) -> Result<T, LoadError> + Send,
    ) -> PyResult<T> {
        py.detach(|| read(&self.checkpoints)).map_err(|error| of_load(&error))
    }
}

#[pymethods]
impl Manager {
    #[new]
    #[pyo3(signature = (path, keep_last, keep_best, keep_every, compression, layout, counter, busy, deduplicate, workers))]
    #[expect(clippy::too_many_arguments, reason = "the package names them")]
    fn new(
        py: Python<'_>,
        path: PathBuf,
        keep_last: usize,
        keep_best: Option<(usize, String, String)>,
        keep_every: Option<u64>,
        compression: &str,
        layout: &str,
        counter: Option<&str>,
        busy: &str,
        deduplicate: bool,
        workers: Option<usize>,
    ) -> PyResult<Self> {
        let settings = settings::Checkpoints {
            keep_last,
            keep_best,
            keep_every,
            compression,
            layout,
            counter,
            busy,
            deduplicate,
            workers,
        };
        let settings = settings.parsed()?;
        let may_wait = settings.busy == Busy::Wait;
        let opened = py.detach(|| CheckpointManager::open(path, settings));
        let manager = opened.map_err(|error| of_checkpoints_open(&error))?;
        let checkpoints = manager.checkpoints().clone();
        let (saving, home) = (RwLock::new(manager), ForkCheck::new());
        Ok(Self { saving, checkpoints, arena: Arena::default(), may_wait, home })
    }

    /// Takes the state now and saves it in the background.
    fn save(
        &self,
        py: Python<'_>,
        number: u64,
        parts: &Bound<'_, PyDict>,
        metadata: &Bound<'_, PyDict>,
    ) -> PyResult<Ticket> {
        self.check_process()?;
        self.wait_for_room(py)?;
        let walked = Self::walked(parts)?;
        let mut snapshot = Snapshot::new(number).metadata(self::metadata(metadata)?);
        let bytes = walked.bytes();
        let copied = match walked.copy(py, &self.arena.with_room_for(bytes)) {
            // Another thread took the room.
            Err(ArenaError::Full { .. }) => walked.copy(py, &StagingArena::new(bytes)),
            copied => copied,
        };
        let copied = copied.map_err(|error| of_arena(&error))?;
        for (name, state) in walked.states(&copied) {
            snapshot = snapshot.part(name, state);
        }
        drop(copied);
        loop {
            let saved = py.detach(|| self.with(|manager| manager.try_save(snapshot)));
            match saved.map_err(|error| of_save(&error))? {
                TrySave::Started(ticket) => return Ok(Ticket::new(ticket)),
                TrySave::Busy(returned) => snapshot = *returned,
            }
            self.wait_for_room(py)?;
        }
    }

    /// Allocates the memory for a snapshot of such states, so that the first save is as fast as the later ones.
    fn reserve(&self, py: Python<'_>, parts: &Bound<'_, PyDict>, wait: bool) -> PyResult<()> {
        self.check_process()?;
        let walked = Self::walked(parts)?;
        let (bytes, lens) = (walked.bytes(), walked.lens());
        drop(walked);
        let arena = self.arena.with_room_for(bytes);
        // What has no room now is allocated by the save.
        let reserve = move || drop(arena.reserve(lens));
        if wait {
            return waiting::elsewhere(py, "qstore-reserve", reserve);
        }
        thread::Builder::new().name("qstore-reserve".into()).spawn(reserve)?;
        Ok(())
    }

    /// The bytes of memory that wait for the next save.
    #[getter]
    fn reserved_bytes(&self) -> u64 {
        self.arena.idle_bytes()
    }

    /// Loads a checkpoint; each tensor is what `convert` makes of it.
    #[pyo3(signature = (number, convert=None))]
    fn load<'py>(
        &self,
        py: Python<'py>,
        number: u64,
        convert: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let loaded = self.read_all(py, move |checkpoints| checkpoints.load(number))?;
        of_checkpoint(py, loaded, convert)
    }

    /// Loads the newest checkpoint that can be loaded, with the numbers and errors of newer ones that cannot.
    #[pyo3(signature = (convert=None))]
    fn load_latest<'py>(
        &self,
        py: Python<'py>,
        convert: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Option<(Bound<'py, PyDict>, Skipped)>> {
        let Some(latest) = self.read_all(py, Checkpoints::load_latest)? else { return Ok(None) };
        let skipped = latest.skipped.iter();
        let skipped = skipped.map(|(number, error)| (*number, error.to_string())).collect();
        Ok(Some((of_checkpoint(py, latest.checkpoint, convert)?, skipped)))
    }

    /// Describes a checkpoint without its tensors.
    fn info<'py>(&self, py: Python<'py>, number: u64) -> PyResult<Bound<'py, PyDict>> {
        of_info(py, self.read(py, |checkpoints| checkpoints.get_checkpoint_info(number))?)
    }

    /// Reads and checks a checkpoint, and keeps nothing of it.
    fn verify<'py>(&self, py: Python<'py>, number: u64) -> PyResult<Bound<'py, PyDict>> {
        of_info(py, self.read_all(py, move |checkpoints| checkpoints.verify(number))?)
    }

    /// The numbers of the checkpoints, in ascending order.
    fn list_checkpoints(&self, py: Python<'_>) -> PyResult<Vec<u64>> {
        self.read(py, Checkpoints::list_checkpoints)
    }

    /// The number of the newest save.
    fn latest(&self, py: Python<'_>) -> PyResult<Option<u64>> {
        self.read(py, Checkpoints::latest_checkpoint)
    }

    /// Keeps a checkpoint until it is unpinned.
    fn pin(&self, py: Python<'_>, number: u64) -> PyResult<()> {
        self.read(py, |checkpoints| checkpoints.pin(number))
    }

    /// Lets retention remove it again.
    fn unpin(&self, py: Python<'_>, number: u64) -> PyResult<()> {
        self.read(py, |checkpoints| checkpoints.unpin(number))
    }

    /// What retention would do with each checkpoint, and why: the number, whether it is kept, and the reason.
    fn explain(&self, py: Python<'_>) -> PyResult<Vec<(u64, bool, String)>> {
        let decisions = self.read(py, Checkpoints::explain)?;
        let decisions = decisions.iter();
        Ok(decisions.map(|each| (each.number, each.keep, each.to_string())).collect())
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
        match waiting::until(py, deadline, close, is_decided)? {
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

/// Loads a checkpoint of the original package, which is a plain Zarr group.
#[pyfunction]
#[pyo3(signature = (path, convert=None))]
pub(crate) fn load_zarr_group<'py>(
    py: Python<'py>,
    path: PathBuf,
    convert: Option<Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyDict>> {
    let read = move || qstore_zarr::load_zarr_group(path, qstore_zarr::MissingChunks::Fill);
    let loaded = waiting::elsewhere(py, "qstore-load", read)?.map_err(|error| of_load(&error))?;
    of_checkpoint(py, loaded, convert)
}

fn of_checkpoint<'py>(
    py: Python<'py>,
    loaded: Checkpoint,
    convert: Option<Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyDict>> {
    let objects = Objects { py, convert };
    let parts = PyDict::new(py);
    let mut loaded = loaded;
    let names: Vec<_> = loaded.parts.names().map(ToOwned::to_owned).collect();
    for name in names {
        if let Some(part) = loaded.parts.remove(&name) {
            parts.set_item(name, objects.of(unwrapped(part))?)?;
        }
    }
    let dict = of_info(py, loaded.info)?;
    dict.set_item("parts", parts)?;
    Ok(dict)
}

fn of_info(py: Python<'_>, info: CheckpointInfo) -> PyResult<Bound<'_, PyDict>> {
    let dict = PyDict::new(py);
    let timestamp = info.timestamp.duration_since(UNIX_EPOCH).unwrap_or_default();
    dict.set_item("epoch", info.number)?;
    dict.set_item("timestamp", timestamp.as_secs_f64())?;
    dict.set_item("save_duration_ms", info.save_duration.as_secs_f64() * 1e3)?;
    dict.set_item("model_size_mb", info.model_bytes() as f64 / f64::from(1 << 20))?;
    dict.set_item("stored_bytes", info.stored_bytes)?;
    dict.set_item("save_seq", info.save_seq)?;
    let sizes = PyList::new(py, &info.parts)?;
    dict.set_item("part_bytes", sizes.as_any().call_method0("copy")?)?;
    dict.set_item("metadata", Objects { py, convert: None }.dict(info.metadata)?)?;
    Ok(dict)
}
