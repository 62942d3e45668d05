//! Reads one open checkpoint, or some of its tensors without the others; one that was copied out of its
//! directory is opened by its path.
//!
//! Tensors are named by the paths of their arrays, as any Zarr reader sees them: `model/layer.0.weight`,
//! `optimizer/state/0/exp_avg`.

use super::fetch::read_tensors;
use super::memory::Loading;
use super::root::Root;
use super::{Depth, load_all, verify_all};
use crate::catalog::Catalog;
use crate::container::sealed::Sealed;
use qstore_checkpoint::repository::RepositoryError;
use qstore_checkpoint::{Checkpoint, CheckpointInfo, LoadError, LocalRepository, Select};
use qstore_schema::{Dtype, Tensor};
use qstore_storage::{FileSystem, LocalFs};
use std::path::Path;
use std::sync::Arc;

/// Describes a tensor without reading it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TensorInfo {
    /// The path of its array.
    pub path: String,
    /// The element type.
    pub dtype: Dtype,
    /// The length of each dimension, outermost first.
    pub shape: Vec<usize>,
    /// Size in memory, in bytes.
    pub bytes: u64,
    /// Size in the repository, in bytes.
    pub stored_bytes: u64,
}

/// An open checkpoint whose tensors are read on demand.
///
/// It is opened by its number, with [`Checkpoints::reader`](crate::Checkpoints::reader), or
/// [by its path](Self::open), wherever it is and whatever its name:
///
/// ```
/// use qstore_checkpoint::Snapshot;
/// use qstore_zarr::{CheckpointManager, CheckpointReader, CheckpointSettings};
///
/// # let tmp = tempfile::tempdir()?;
/// # let dir = tmp.path().join("checkpoints");
/// # let best = tmp.path().join("best.zarr.zip");
/// let mut manager = CheckpointManager::open(&dir, CheckpointSettings::default())?;
/// manager.save(Snapshot::new(7).meta("val_loss", 0.25))?;
/// manager.close(std::time::Duration::from_secs(60))?;
/// std::fs::copy(dir.join("epoch_0007.zarr.zip"), &best)?;
///
/// let reader = CheckpointReader::open(&best)?;
/// assert_eq!(reader.number(), 7);
/// reader.verify()?;
/// assert_eq!(reader.checkpoint()?.metadata().float("val_loss"), Some(0.25));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// In the single-file layout an open checkpoint does not change, whatever happens to its name. A directory
/// can be replaced or removed; the next read then returns [`LoadError::Replaced`].
#[derive(Debug)]
pub struct CheckpointReader {
    number: u64,
    sealed: Sealed,
    root: Root,
    loading: Loading,
}

impl CheckpointReader {
    /// Opens a checkpoint by its path, in either layout: a file or a directory of the local file system.
    /// Neither its name nor the directory it is in matters, links are followed, and nothing is written.
    ///
    /// A file may also have been unzipped and zipped again, or be a zipped checkpoint directory, if its
    /// entries are stored or deflated. The manifest checks every entry as always.
    ///
    /// # Errors
    /// [`LoadError::NotACheckpoint`] if it is something else, or a zip archive in a form that is not read;
    /// [`LoadError::Damaged`], [`LoadError::UnsupportedVersion`], [`LoadError::Repository`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, LoadError> {
        Self::open_in(Arc::new(LocalFs::new()), path)
    }

    /// Like [`open`](Self::open), in a file system of your choice.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_in(fs: Arc<dyn FileSystem>, path: impl AsRef<Path>) -> Result<Self, LoadError> {
        let location = path.as_ref().display().to_string();
        let source = match LocalRepository::open_path(fs, path) {
            Err(RepositoryError::Unsupported { what }) => {
                let reason = format!("{what} are not read");
                return Err(LoadError::NotACheckpoint { location, reason });
            }
            opened => opened?,
        };
        Self::of(Sealed::of_source(source, &location)?, Loading::default())
    }

    pub(crate) fn of_number(
        catalog: &Catalog,
        number: u64,
        loading: Loading,
    ) -> Result<Self, LoadError> {
        Self::of(catalog.open(number)?, loading)
    }

    fn of(sealed: Sealed, loading: Loading) -> Result<Self, LoadError> {
        let number = sealed.manifest.number;
        match Root::read(&sealed) {
            Ok(root) => Ok(Self { number, sealed, root, loading }),
            Err(error) => Err(if sealed.container.is_replaced() {
                let location = sealed.container.location().into();
                LoadError::Replaced { number, location }
            } else {
                error
            }),
        }
    }

    /// How many threads read and decompress, at least 1. Default: the number of cores, at most 2.
    #[must_use]
    pub fn workers(mut self, workers: usize) -> Self {
        self.loading.workers = workers.max(1);
        self
    }

    /// The epoch or step.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Describes the checkpoint.
    ///
    /// # Errors
    /// [`LoadError::Damaged`].
    pub fn info(&self) -> Result<CheckpointInfo, LoadError> {
        self.root.info(&self.sealed)
    }

    /// Its tensors, in the order of the state. Their bytes are not read.
    ///
    /// # Errors
    /// [`LoadError::Damaged`].
    pub fn tensors(&self) -> Result<Vec<TensorInfo>, LoadError> {
        let info = |path: &str| {
            let array = self.root.array(&self.sealed, path)?;
            let stored = array.entries.iter().map(|entry| self.sealed.container.len_of(*entry));
            Ok(TensorInfo {
                path: path.into(),
                dtype: array.form.dtype,
                bytes: array.len as u64,
                stored_bytes: stored.sum(),
                shape: array.form.shape,
            })
        };
        self.root.paths().into_iter().map(info).collect()
    }

    /// Reads one tensor, by the path of its array.
    ///
    /// # Errors
    /// [`LoadError::TensorNotFound`], [`LoadError::Damaged`], [`LoadError::Replaced`],
    /// [`LoadError::Repository`].
    pub fn tensor(&self, path: &str) -> Result<Tensor, LoadError> {
        let found = self.load(&Select::Name(path.into()))?;
        let first = found.into_iter().next();
        first.map(|(_, tensor)| tensor).ok_or_else(|| self.not_found(&Select::Name(path.into())))
    }

    /// Reads the selected tensors on several threads and returns them in the order of the state. Every byte
    /// of them is verified; the others are not read.
    ///
    /// # Errors
    /// [`LoadError::TensorNotFound`] if none matches, [`LoadError::Damaged`], [`LoadError::Replaced`],
    /// [`LoadError::Repository`].
    pub fn load(&self, select: &Select) -> Result<Vec<(String, Tensor)>, LoadError> {
        self.reading(|| {
            let meant = self.root.paths().into_iter().filter(|path| select.matches(path));
            let arrays = meant.map(|path| self.root.checked_array(&self.sealed, path));
            let arrays = arrays.collect::<Result<Vec<_>, _>>()?;
            if arrays.is_empty() && *select != Select::All {
                return Err(self.not_found(select));
            }
            read_tensors(&self.sealed, arrays, &self.loading)
        })
    }

    /// Reads all of it and verifies every byte.
    ///
    /// # Errors
    /// [`LoadError::Damaged`], [`LoadError::Replaced`], [`LoadError::Repository`].
    pub fn checkpoint(&self) -> Result<Checkpoint, LoadError> {
        self.reading(|| load_all(&self.sealed, &self.root, &self.loading))
    }

    /// Reads and checks all of it as [`checkpoint`](Self::checkpoint) does, but keeps nothing in memory.
    /// Also refuses a directory with files that are not part of the checkpoint.
    ///
    /// # Errors
    /// As [`checkpoint`](Self::checkpoint).
    pub fn verify(&self) -> Result<CheckpointInfo, LoadError> {
        self.reading(|| verify_all(&self.sealed, &self.root, self.loading.workers, Depth::Decoded))
    }

    /// Reads all of it and compares every checksum, as [`verify`](Self::verify) does, but decompresses nothing:
    /// every byte is the one that was written. This takes little longer than reading the bytes. Unlike `verify`,
    /// it cannot find a fault of the program that wrote them.
    ///
    /// # Errors
    /// As [`checkpoint`](Self::checkpoint).
    pub fn verify_stored(&self) -> Result<CheckpointInfo, LoadError> {
        self.reading(|| verify_all(&self.sealed, &self.root, self.loading.workers, Depth::Stored))
    }

    /// An error of a checkpoint that was replaced in the meantime says so.
    fn reading<T>(&self, read: impl FnOnce() -> Result<T, LoadError>) -> Result<T, LoadError> {
        read().map_err(|error| {
            if !matches!(error, LoadError::TensorNotFound { .. })
                && self.sealed.container.is_replaced()
            {
                return LoadError::Replaced {
                    number: self.number,
                    location: self.sealed.container.location().into(),
                };
            }
            error
        })
    }

    fn not_found(&self, select: &Select) -> LoadError {
        let available = self.root.paths().into_iter().map(ToOwned::to_owned).collect();
        LoadError::TensorNotFound { number: self.number, wanted: select.to_string(), available }
    }
}
