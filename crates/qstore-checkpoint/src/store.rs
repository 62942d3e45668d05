//! The seam for whole states: where checkpoints can be saved to and loaded from.
//!
//! Object-safe and asynchronous, for programs that choose at run time where checkpoints go.

#[cfg(any(test, feature = "testing"))]
pub mod conformance;

use crate::checkpoint::{Checkpoint, CheckpointInfo, Latest};
use crate::error::{LoadError, SaveError};
use crate::outcome::Outcome;
use crate::select::Select;
use crate::snapshot::Snapshot;
use async_trait::async_trait;
use qstore_schema::Tensor;
use std::fmt;

/// A place for checkpoints. No method blocks the thread that polls it.
///
/// The checkpoint manager of `qstore-zarr` implements it over a repository, and
/// [`MemoryStore`](crate::MemoryStore) in memory. To store bytes elsewhere and keep the format,
/// implement [`Repository`](crate::repository::Repository) instead.
#[async_trait]
pub trait CheckpointStore: fmt::Debug + Send + Sync {
    /// Saves a snapshot. After [`Outcome::Saved`] it is as durable as the store can make it, and an
    /// earlier checkpoint of the same number was replaced as a whole.
    ///
    /// # Errors
    /// After an error the earlier checkpoint of that number is as it was, or was replaced as a whole.
    async fn save(&self, snapshot: Snapshot) -> Result<Outcome, SaveError>;

    /// Loads a checkpoint, bit for bit.
    ///
    /// # Errors
    /// [`LoadError::NotFound`]; never other values than those that were saved.
    async fn load(&self, number: u64) -> Result<Checkpoint, LoadError>;

    /// Loads some of a checkpoint's tensors, in the order of the state.
    ///
    /// # Errors
    /// [`LoadError::TensorNotFound`] when none matches; as [`load`](Self::load).
    async fn load_tensors(
        &self,
        number: u64,
        select: &Select,
    ) -> Result<Vec<(String, Tensor)>, LoadError>;

    /// Loads the newest checkpoint that can be loaded, and reports which ones were skipped.
    ///
    /// # Errors
    /// [`LoadError::NoneValid`] when there are checkpoints, none of which can be loaded.
    async fn load_latest(&self) -> Result<Option<Latest>, LoadError>;

    /// The numbers of the checkpoints, in ascending order.
    ///
    /// # Errors
    /// When they could not be listed.
    async fn list_checkpoints(&self) -> Result<Vec<u64>, LoadError>;

    /// The number of the newest save, whatever it is.
    ///
    /// # Errors
    /// When the checkpoints could not be listed.
    async fn latest_checkpoint(&self) -> Result<Option<u64>, LoadError>;

    /// What is known about a checkpoint without reading its tensors.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    async fn get_checkpoint_info(&self, number: u64) -> Result<CheckpointInfo, LoadError>;

    /// Checks everything that [`load`](Self::load) would, and keeps nothing in memory.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    async fn verify(&self, number: u64) -> Result<CheckpointInfo, LoadError>;
}
