//! Reads some tensors of a checkpoint without reading the others.
//!
//! Tensors are named by the paths of their arrays, as any Zarr reader sees them: `model/layer.0.weight`,
//! `optimizer/state/0/exp_avg`.

use super::fetch::read_tensors;
use super::root::Root;
use crate::catalog::Catalog;
use crate::container::sealed::Sealed;
use qstore_checkpoint::{CheckpointInfo, LoadError, Select};
use qstore_schema::{Dtype, Tensor};

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
/// In the single-file layout an open checkpoint does not change, whatever happens to its name. A directory
/// can be replaced or removed; the next read then returns [`LoadError::Replaced`].
#[derive(Debug)]
pub struct CheckpointReader {
    number: u64,
    sealed: Sealed,
    root: Root,
    workers: usize,
}

impl CheckpointReader {
    pub(crate) fn open(catalog: &Catalog, number: u64, workers: usize) -> Result<Self, LoadError> {
        let sealed = catalog.open(number)?;
        match Root::read(&sealed) {
            Ok(root) => Ok(Self { number, sealed, root, workers }),
            Err(error) => Err(if sealed.container.is_replaced() {
                let location = sealed.container.location().into();
                LoadError::Replaced { number, location }
            } else {
                error
            }),
        }
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
        let read = || {
            let meant = self.root.paths().into_iter().filter(|path| select.matches(path));
            let arrays = meant.map(|path| self.root.checked_array(&self.sealed, path));
            let arrays = arrays.collect::<Result<Vec<_>, _>>()?;
            if arrays.is_empty() && *select != Select::All {
                return Err(self.not_found(select));
            }
            read_tensors(&self.sealed, arrays, self.workers)
        };
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
