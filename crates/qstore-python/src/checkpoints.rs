//! The checkpoints of a directory: loading, listing, verifying. Reading needs no manager and no thread of one.

use crate::errors::{of_checkpoints_open, of_load};
use crate::memory::Loaded;
use crate::objects::Objects;
use crate::tree::unwrapped;
use crate::waiting;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use qstore_checkpoint::{Checkpoint, CheckpointInfo, LoadError};
use qstore_zarr as zarr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

/// The numbers of checkpoints that could not be loaded, and why.
type Skipped = Vec<(u64, String)>;

/// The checkpoints of a directory.
#[pyclass(module = "qstore._native", frozen)]
pub(crate) struct Checkpoints {
    checkpoints: zarr::Checkpoints,
}

impl Checkpoints {
    pub(crate) fn over(checkpoints: zarr::Checkpoints) -> Self {
        Self { checkpoints }
    }

    /// For what takes long. An interrupt arrives within one slice of the wait.
    fn read_all<T: Send + 'static>(
        &self,
        py: Python<'_>,
        read: impl FnOnce(&zarr::Checkpoints) -> Result<T, LoadError> + Send + 'static,
    ) -> PyResult<T> {
        let checkpoints = self.checkpoints.clone();
        let read = move || read(&checkpoints);
        waiting::elsewhere(py, "qstore-load", read)?.map_err(|error| of_load(&error))
    }

    fn read<T: Send>(
        &self,
        py: Python<'_>,
        read: impl FnOnce(&zarr::Checkpoints) -> Result<T, LoadError> + Send,
    ) -> PyResult<T> {
        py.detach(|| read(&self.checkpoints)).map_err(|error| of_load(&error))
    }
}

#[pymethods]
impl Checkpoints {
    #[new]
    #[pyo3(signature = (path))]
    fn new(py: Python<'_>, path: PathBuf) -> PyResult<Self> {
        let opened = py.detach(|| zarr::Checkpoints::open(path));
        Ok(Self::over(opened.map_err(|error| of_checkpoints_open(&error))?))
    }

    /// Loads a checkpoint; each tensor is what `convert` makes of it.
    #[pyo3(signature = (number, convert=None))]
    fn load<'py>(
        &self,
        py: Python<'py>,
        number: u64,
        convert: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let memory = Arc::new(Loaded::default());
        let loading = self.checkpoints.clone().memory(Arc::clone(&memory) as _);
        let read = move || loading.load(number);
        let loaded =
            waiting::elsewhere(py, "qstore-load", read)?.map_err(|error| of_load(&error))?;
        of_checkpoint(py, loaded, convert, memory)
    }

    /// Loads the newest checkpoint that can be loaded, with the numbers and errors of newer ones that cannot.
    #[pyo3(signature = (convert=None))]
    fn load_latest<'py>(
        &self,
        py: Python<'py>,
        convert: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Option<(Bound<'py, PyDict>, Skipped)>> {
        let memory = Arc::new(Loaded::default());
        let loading = self.checkpoints.clone().memory(Arc::clone(&memory) as _);
        let read = move || loading.load_latest();
        let latest =
            waiting::elsewhere(py, "qstore-load", read)?.map_err(|error| of_load(&error))?;
        let Some(latest) = latest else { return Ok(None) };
        let skipped = latest.skipped.iter();
        let skipped = skipped.map(|(number, error)| (*number, error.to_string())).collect();
        Ok(Some((of_checkpoint(py, latest.checkpoint, convert, memory)?, skipped)))
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
        self.read(py, zarr::Checkpoints::list_checkpoints)
    }

    /// The number of the newest save.
    fn latest(&self, py: Python<'_>) -> PyResult<Option<u64>> {
        self.read(py, zarr::Checkpoints::latest_checkpoint)
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
        let decisions = self.read(py, zarr::Checkpoints::explain)?;
        let decisions = decisions.iter();
        Ok(decisions.map(|each| (each.number, each.keep, each.to_string())).collect())
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
    let read = move || zarr::load_zarr_group(path, zarr::MissingChunks::Fill);
    let loaded = waiting::elsewhere(py, "qstore-load", read)?.map_err(|error| of_load(&error))?;
    of_checkpoint(py, loaded, convert, Arc::default())
}

/// A checkpoint that was loaded into this memory as a dict: its description, and its `parts`.
pub(crate) fn of_checkpoint<'py>(
    py: Python<'py>,
    loaded: Checkpoint,
    convert: Option<Bound<'py, PyAny>>,
    memory: Arc<Loaded>,
) -> PyResult<Bound<'py, PyDict>> {
    let objects = Objects { py, memory, convert };
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
    dict.set_item(
        "metadata",
        Objects { py, memory: Arc::default(), convert: None }.dict(info.metadata)?,
    )?;
    Ok(dict)
}
