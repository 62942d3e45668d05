//! The trait for stores of whole states: saving and loading checkpoints anywhere.
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

/// Saves and loads checkpoints. No method blocks the thread that polls it.
///
/// The checkpoint manager of `qstore-zarr` implements it over a repository, and
/// [`MemoryStore`](crate::MemoryStore) in memory. To store bytes elsewhere and keep the format,
/// implement [`Repository`](crate::repository::Repository) instead.
#[async_trait]
pub trait CheckpointStore: fmt::Debug + Send + Sync {
    /// Saves a snapshot. After [`Outcome::Saved`] it is as durable as the store can make it, and has
    /// atomically replaced an earlier checkpoint with the same number.
    ///
    /// # Errors
    /// After an error, an earlier checkpoint with the same number is unchanged, or completely replaced.
    async fn save(&self, snapshot: Snapshot) -> Result<Outcome, SaveError>;

    /// Loads a checkpoint, bit for bit.
    ///
    /// # Errors
    /// [`LoadError::NotFound`], among others. Never returns values other than those that were saved.
    async fn load(&self, number: u64) -> Result<Checkpoint, LoadError>;

    /// Loads the selected tensors of a checkpoint, in the order of the state.
    ///
    /// # Errors
    /// [`LoadError::TensorNotFound`] if none matches; otherwise as [`load`](Self::load).
    async fn load_tensors(
        &self,
        number: u64,
        select: &Select,
    ) -> Result<Vec<(String, Tensor)>, LoadError>;

    /// Loads the newest checkpoint that can be loaded, and reports which ones were skipped.
    ///
    /// # Errors
    /// [`LoadError::NoneValid`] if there are checkpoints but none can be loaded.
    async fn load_latest(&self) -> Result<Option<Latest>, LoadError>;

    /// The numbers of the checkpoints, in ascending order.
    ///
    /// # Errors
    /// If they could not be listed.
    async fn list_checkpoints(&self) -> Result<Vec<u64>, LoadError>;

    /// The number of the newest save, which need not be the largest number.
    ///
    /// # Errors
    /// If the checkpoints could not be listed.
    async fn latest_checkpoint(&self) -> Result<Option<u64>, LoadError>;

    /// Describes a checkpoint without reading its tensors.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    async fn get_checkpoint_info(&self, number: u64) -> Result<CheckpointInfo, LoadError>;

    /// Checks everything that [`load`](Self::load) checks, but keeps nothing in memory.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    async fn verify(&self, number: u64) -> Result<CheckpointInfo, LoadError>;
}
